//! The wide emitter: machine code for x86-64 with vectors as wide as the processor has.
//!
//! In: the leaf of a matrix product of floats, and a target with fused multiply-add. Out: the bytes of a micro-kernel that
//! does what [`clif`](super::clif)'s does, bit for bit; they hold no relocations, so any module takes them.

mod alloc;
mod asm;
mod encode;

mod isa;

mod body;
mod cast;
mod lanes;
mod op;

mod fold;
mod map;

mod tile;

use std::borrow::Cow;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use loopweave_ir::expand::lower_storage_casts;
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op};

use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::{MatMul, Nest, OperandId, Order, Reduce, Stride};
use crate::target::Target;

use self::fold::Fold;
use self::isa::Isa;
use self::lanes::{Gap, Selector};
use self::map::{Map, Stream};

/// The alignment of a function: a cache line.
pub(super) const ALIGNMENT: u64 = 64;

/// Whether the micro-kernels of a product are this emitter's.
pub(super) fn has_micro_kernel(product: &MatMul, target: &Target) -> bool {
    let dtype = product.accumulator();
    let bytes = product.tile.lanes as usize * dtype.size();
    matches!(dtype, Dtype::F32 | Dtype::F64) && target.fma_bytes() >= bytes && bytes >= 16
}

/// The micro-kernel for a tile of this many rows.
///
/// # Errors
/// An instruction that cannot be encoded, which no tile that fits the registers has.
pub(super) fn micro_kernel(product: &MatMul, rows: usize) -> Result<Vec<u8>, CodegenError> {
    tile::micro_kernel(product.accumulator(), product.tile, rows)
}

/// The machine code of a map over the nest's last axes, one or two, whose operands may be in an argument block of just those
/// axes; `None` where the target has no wide vectors, or the leaf needs what they lack.
///
/// # Errors
/// An instruction that cannot be encoded, which is a mistake in a table.
pub(super) fn map(
    nest: &Nest,
    axes: usize,
    func: &Func,
    loads: &[OperandId],
    stores: &[OperandId],
    target: &Target,
) -> Result<Option<Vec<u8>>, CodegenError> {
    let Some(isa) = isa_of(target) else { return Ok(None) };
    if stores.iter().any(|id| nest.operand(*id).stride != Stride::Unit) {
        return Ok(None);
    }
    let func = with_storage_floats(func)?;
    let (Some(loads), Some(stores)) = (
        streams(nest, loads, func.param_dtypes()),
        streams(nest, stores, func.result_dtypes()),
    ) else {
        return Ok(None);
    };
    let map = Map {
        func: &func,
        loads,
        stores,
        abi: Abi::inner(nest, axes),
        axes,
    };
    encoded(map::select(&map, isa), isa)
}

/// The machine code of the fold of a reduction's blocks, with the interface that [`fold`] describes; `None` as for [`map`].
///
/// # Errors
/// As [`map`].
pub(super) fn fold(nest: &Nest, reduce: &Reduce, target: &Target) -> Result<Option<Vec<u8>>, CodegenError> {
    let (Some(isa), Order::Lanes { lanes, .. }) = (isa_of(target), reduce.order) else {
        return Ok(None);
    };
    let map = with_storage_floats(&reduce.map)?;
    let Some(loads) = streams(nest, &reduce.loads, map.param_dtypes()) else {
        return Ok(None);
    };
    let fold = Fold {
        map: &map,
        loads,
        combine: &reduce.combine,
        virtual_lanes: lanes as usize,
        abi: Abi::inner(nest, 1),
    };
    encoded(fold::select(&fold, isa), isa)
}

/// The machine code that combines some rows of elements into a row of accumulators, for a reduction along outer axes; with no
/// rows to combine, it makes the accumulators of the first row. Its argument block is that of a row of accumulators, then of
/// the operands of each row in turn. `None` as for [`map`].
///
/// # Errors
/// As [`map`].
pub(super) fn strip(
    nest: &Nest,
    reduce: &Reduce,
    rows: usize,
    target: &Target,
) -> Result<Option<Vec<u8>>, CodegenError> {
    let Some(isa) = isa_of(target) else { return Ok(None) };
    if reduce.map.nodes().iter().any(|n| n.op == Op::Index) {
        return Ok(None);
    }
    let accumulators = reduce.accumulators();
    let mut b = Builder::typed("strip");
    let sums: Vec<ExprId> = match rows {
        0 => Vec::new(),
        _ => params(&mut b, &accumulators),
    };
    let mut values = sums.clone();
    let mut loads = Vec::new();
    for row in 0..rows.max(1) {
        let elements = params(&mut b, &reduce.map.param_dtypes());
        let elements = b.inline(&reduce.map, &elements);
        values = match rows {
            0 => elements,
            _ => b.inline(&reduce.combine, &[values, elements].concat()),
        };
        let Some(mut streams) = streams(nest, &reduce.loads, reduce.map.param_dtypes()) else {
            return Ok(None);
        };
        for (i, stream) in streams.iter_mut().enumerate() {
            stream.operand = accumulators.len() + row * reduce.loads.len() + i;
        }
        loads.extend(streams);
    }
    let func = b.finish(&values);
    let func = with_storage_floats(&func)?;
    let sums = accumulators.iter().enumerate().map(|(operand, &dtype)| Stream {
        operand,
        dtype,
        is_uniform: false,
    });
    let stores: Vec<Stream> = sums.collect();
    if rows > 0 {
        loads.splice(0..0, stores.iter().copied());
    }
    let map = Map {
        func: &func,
        abi: Abi::sized(1, accumulators.len() + rows.max(1) * reduce.loads.len()),
        loads,
        stores,
        axes: 1,
    };
    encoded(map::select(&map, isa), isa)
}

/// The machine code of what a product does with its accumulators, over the rows and columns of a tile. Its argument block is
/// that of the accumulators, then of what `finish` loads, then of what it stores. `None` as for [`map`].
///
/// # Errors
/// As [`map`].
pub(super) fn epilogue(nest: &Nest, product: &MatMul, target: &Target) -> Result<Option<Vec<u8>>, CodegenError> {
    let Some(isa) = isa_of(target) else { return Ok(None) };
    if product.stores.iter().any(|id| nest.operand(*id).stride != Stride::Unit) {
        return Ok(None);
    }
    let func = with_storage_floats(&product.finish)?;
    let dtypes = func.param_dtypes();
    let sums = Stream {
        operand: 0,
        dtype: dtypes[0],
        is_uniform: false,
    };
    let (Some(others), Some(mut stores)) = (
        streams(nest, &product.finish_loads, dtypes[1..].to_vec()),
        streams(nest, &product.stores, func.result_dtypes()),
    ) else {
        return Ok(None);
    };
    let mut loads = vec![sums];
    loads.extend(others);
    for (operand, stream) in loads.iter_mut().chain(&mut stores).enumerate() {
        stream.operand = operand;
    }
    let map = Map {
        func: &func,
        abi: Abi::sized(2, loads.len() + stores.len()),
        loads,
        stores,
        axes: 2,
    };
    encoded(map::select(&map, isa), isa)
}

/// Parameters of these dtypes.
fn params(b: &mut Builder, dtypes: &[Dtype]) -> Vec<ExprId> {
    let first = b.len();
    let named = dtypes.iter().enumerate();
    named
        .map(|(i, &d)| b.param(format!("x{}", first + i), Some(d)))
        .collect()
}

/// The bytes of what was selected, if it was.
fn encoded(selected: Result<Selector, Gap>, isa: Isa) -> Result<Option<Vec<u8>>, CodegenError> {
    match selected {
        Ok(selector) => encode::encode(&selector.asm, isa.bytes()).map(Some),
        Err(Gap { .. }) => Ok(None),
    }
}

/// Operands as streams of elements of these dtypes, unless one has an unknown distance between its elements.
fn streams(nest: &Nest, ids: &[OperandId], dtypes: Vec<Dtype>) -> Option<Vec<Stream>> {
    let stream = |(id, dtype): (&OperandId, Dtype)| {
        let stride = nest.operand(*id).stride;
        (stride != Stride::Any).then(|| Stream {
            operand: id.index(),
            dtype,
            is_uniform: stride == Stride::Zero,
        })
    };
    ids.iter().zip(dtypes).map(stream).collect()
}

/// The function with conversions of `bf16` written as bit operations; those of `f16` are instructions.
fn with_storage_floats(func: &Func) -> Result<Cow<'_, Func>, CodegenError> {
    match func.nodes().iter().any(|n| n.dtype == Some(Dtype::Bf16)) {
        true => Ok(Cow::Owned(lower_storage_casts(func)?)),
        false => Ok(Cow::Borrowed(func)),
    }
}

/// The widest vectors of a target.
fn isa_of(target: &Target) -> Option<Isa> {
    match target.wide_bytes() {
        64 => Some(Isa::Avx512),
        32 => Some(Isa::Avx2),
        _ => None,
    }
}

/// The text of machine code, an instruction a line.
pub(super) fn disassemble(bytes: &[u8]) -> String {
    let mut formatter = GasFormatter::new();
    let mut text = String::new();
    for instruction in Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE) {
        let mut line = String::new();
        formatter.format(&instruction, &mut line);
        text += &format!("  {:4x}: {line}\n", instruction.ip());
    }
    text
}
