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

mod map;

mod tile;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use loopweave_ir::expand::lower_storage_casts;
use loopweave_ir::{Dtype, Func};

use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::{MatMul, Nest, OperandId, Stride};
use crate::target::Target;

use self::isa::Isa;
use self::lanes::Gap;
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
    let strided = |id: &OperandId| nest.operand(*id).stride == Stride::Any;
    if loads.iter().any(strided) || stores.iter().any(|id| nest.operand(*id).stride != Stride::Unit) {
        return Ok(None);
    }
    let lowered;
    let func = match func.nodes().iter().any(|n| n.dtype == Some(Dtype::Bf16)) {
        true => {
            lowered = lower_storage_casts(func)?;
            &lowered
        }
        false => func,
    };
    let stream = |(id, dtype): (&OperandId, Dtype)| Stream {
        operand: id.index(),
        dtype,
        is_uniform: nest.operand(*id).stride == Stride::Zero,
    };
    let map = Map {
        func,
        loads: loads.iter().zip(func.param_dtypes()).map(stream).collect(),
        stores: stores.iter().zip(func.result_dtypes()).map(stream).collect(),
        abi: Abi::inner(nest, axes),
        axes,
    };
    match map::select(&map, isa) {
        Ok(selector) => encode::encode(&selector.asm, isa.bytes()).map(Some),
        Err(Gap { .. }) => Ok(None),
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
