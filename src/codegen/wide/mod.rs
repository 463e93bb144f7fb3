//! The wide emitter: machine code for x86-64 with vectors as wide as the processor has.
//!
//! In: a leaf of a nest, and a target with AVX2 or AVX-512. Out: the bytes of a function that does what
//! [`clif`](super::clif)'s code does, bit for bit, or nothing where a leaf needs what the vectors lack; they hold no
//! relocations, so any module takes them.
//!
//! [`map`](mod@map) and [`fold`](mod@fold) (with [`ahead`], [`align`], [`extrema`] and [`seek`]) select instructions for loops,
//! with [`body`] for functions, [`order`], [`op`], [`cast`], [`pattern`], [`quotient`], [`division`] and [`long_division`] for
//! ops, [`lanes`], [`partial`] and [`gather`] for values and memory, and [`word`] for addresses and counts; [`isa`] is the table of
//! instructions. The result is an [`asm`] of virtual registers, which [`alloc`] gives real ones and [`encode`](mod@encode) turns
//! into bytes. [`block`] and [`tile`] are the tiles of a matrix product, and [`turn`] makes rows of columns. [`mod@bound`] tells
//! how fast a leaf can be.

mod alloc;
mod asm;
mod encode;

mod isa;

mod body;
mod cast;
mod division;
mod gather;
mod lanes;
mod long_division;
mod lookup;
mod op;
mod order;
mod partial;
mod pattern;
mod quotient;
mod word;

mod ahead;
mod align;
mod extrema;
mod fold;
mod map;
mod seek;

mod block;
mod tile;
mod turn;

mod bound;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use loopweave_ir::expand::lower_storage_casts;
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op};

use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::codegen::bound::{Choice, LoopKind, VectorLoop};
use crate::graph::combiner::binary;
use crate::nest::matmul::least_tile_bytes;
use crate::nest::{self, MatMul, Nest, OperandId, Order, Reduce, Role, Stride, TURNED_ROW_BYTES, Vector, Writes};
use crate::target::Target;
use crate::target::microarchitecture::Microarchitecture;

use self::ahead::NextRow;
use self::block::Places;
use self::fold::{Fold, Outcome};
use self::isa::Isa;
use self::lanes::Selector;
use self::map::{Map, Stream, widest};

pub(super) use self::ahead::next_rows;

/// The alignment of a function: a cache line.
pub(super) const ALIGNMENT: u64 = 64;

/// Vectors of lanes over which an extremum is found whose position is sought: as many as hide how long one takes, as far as
/// one mask has a bit for each lane.
const SEEKING_VECTORS: usize = 4;
const MASK_LANES: usize = 64;

/// Whether the tiles of a product are computed by this emitter's code.
pub(super) fn has_tiles(product: &MatMul, target: &Target) -> bool {
    let dtype = product.accumulator();
    let bytes = product.tile.lanes as usize * dtype.size();
    target.fma_bytes() >= bytes && least_tile_bytes(dtype).is_some_and(|least| bytes >= least)
}

/// The function over the tiles of a block of a product.
///
/// # Errors
/// An instruction that cannot be encoded, which no tile that fits the registers has.
pub(super) fn block_tiles(product: &MatMul) -> Result<MachineCode, CodegenError> {
    block::block_tiles(product.accumulator(), product.tile, Places::block())
}

/// A whole product of these factors and to this result, all where they are: a function over the nest's last three axes.
///
/// # Errors
/// As [`block_tiles`].
pub(super) fn product_in_place(
    nest: &Nest,
    product: &MatMul,
    operands: [OperandId; 3],
) -> Result<MachineCode, CodegenError> {
    block::block_tiles(
        product.accumulator(),
        product.tile,
        Places::nest(Abi::inner(nest, 3), operands),
    )
}

/// The function that turns tiles of this side of elements of this size; the target has wide vectors.
///
/// # Errors
/// An instruction that cannot be encoded, which is a mistake in a table.
pub(super) fn turn(size: usize, side: usize) -> Result<MachineCode, CodegenError> {
    encode::encode(&turn::select(size, side), Isa::Avx2.bytes())
}

/// A leaf whose instructions are selected.
pub(super) struct Leaf(Selector);

impl Leaf {
    /// Its main loop, on such cores: one for a map, for a fold of an order with so many lanes, or for a strip that combines so
    /// many rows.
    pub(super) fn main_loop(&self, kind: LoopKind, core: Option<&'static Microarchitecture>) -> VectorLoop {
        let Selector {
            isa,
            lanes,
            vectors,
            abreast,
            ref asm,
            ..
        } = self.0;
        let (instructions, counting) = bound::counts(asm);
        let rows = match kind {
            LoopKind::Strip { rows } => rows as usize,
            _ => 1,
        };
        VectorLoop {
            kind,
            vector: Vector {
                lanes: lanes as u32,
                unroll: vectors as u32,
            },
            choice: match kind {
                LoopKind::Fold { lanes: all } => Choice::Accumulators {
                    of: all as usize / lanes,
                    registers: isa.registers(),
                },
                _ => Choice::Loop {
                    instructions,
                    counting,
                    abreast,
                },
            },
            bound: core.map(|core| bound::demand(asm, core).bound(vectors * lanes * rows)),
        }
    }

    /// Its machine code.
    ///
    /// # Errors
    /// An instruction that cannot be encoded, which is a mistake in a table.
    pub(super) fn encode(&self) -> Result<MachineCode, CodegenError> {
        encode::encode(&self.0.asm, self.0.isa.bytes())
    }
}

/// Bytes that run at any address aligned to [`ALIGNMENT`].
pub(super) struct MachineCode {
    /// Instructions, then constants.
    pub(super) bytes: Vec<u8>,
    /// Bytes of instructions.
    pub(super) instructions: usize,
}

/// A map over the nest's last axes, one or two, whose operands may be in an argument block of just those axes, or a stage of
/// rows, which on the way fetches the next row of some operands; `None` where the target has no wide vectors, or the leaf needs
/// what they lack.
///
/// # Errors
/// Conversions that cannot be lowered, which no verified function has.
pub(super) fn map(
    nest: &Nest,
    axes: usize,
    func: &Func,
    loads: &[OperandId],
    stores: &[OperandId],
    next_row: Vec<NextRow>,
    target: &Target,
) -> Result<Option<Leaf>, CodegenError> {
    let Some((isa, core)) = machine(target) else {
        return Ok(None);
    };
    let func = with_storage_floats(func)?;
    let (Some(loads), Some(stores)) = (
        streams(nest, loads, func.param_dtypes()),
        streams(nest, stores, func.result_dtypes()),
    ) else {
        return Ok(None);
    };
    if stores.iter().any(|s| s.is_uniform || s.is_strided && isa == Isa::Avx2) {
        return Ok(None);
    }
    let abi = match nest.leaf {
        nest::Leaf::Rows(_) => Abi::row(nest),
        _ => Abi::inner(nest, axes),
    };
    let map = Map {
        func: &func,
        loads,
        stores,
        abi,
        axes,
        writes: nest.writes,
        tile: nest.turned_side().map(|_| TURNED_ROW_BYTES),
        next_row,
    };
    Ok(map::select(&map, isa, core).ok().map(Leaf))
}

/// The fold of a reduction's blocks, with the interface that [`fold`] describes; `None` as for [`map`].
///
/// # Errors
/// As [`map`].
pub(super) fn fold(
    nest: &Nest,
    reduce: &Reduce,
    next_row: Vec<NextRow>,
    target: &Target,
) -> Result<Option<Leaf>, CodegenError> {
    let (Some((isa, _)), Order::Lanes { lanes, block }) = (machine(target), reduce.order) else {
        return Ok(None);
    };
    let mut map = with_storage_floats(&reduce.map)?;
    let mut combine = Cow::Borrowed(&reduce.combine);
    let (mut lanes, mut outcome) = (lanes as usize, Outcome::Values);
    if let Some(extremum) = reduce.sought() {
        // The extremum alone, which is the same in any order; its position follows from it.
        let dtype = map.result_dtypes()[0];
        let mut b = Builder::typed("extremum");
        let params = params(&mut b, &map.param_dtypes());
        let value = b.inline(&map, &params)[0];
        map = Cow::Owned(b.finish(&[value]));
        combine = Cow::Owned(binary(extremum, dtype));
        lanes = (SEEKING_VECTORS * isa.bytes() / widest(&[&map])).min(MASK_LANES);
        outcome = Outcome::Position(extremum);
    }
    let Some(loads) = streams(nest, &reduce.loads, map.param_dtypes()) else {
        return Ok(None);
    };
    let is_memory = |p: &usize| nest.operand(reduce.loads[*p]).role == Role::Input && loads[*p].is_dense();
    let fold = Fold {
        map: &map,
        from_memory: (0..loads.len()).filter(is_memory).collect(),
        loads,
        combine: &combine,
        outcome,
        virtual_lanes: lanes,
        block: block as usize,
        abi: Abi::row(nest),
        next_row,
    };
    Ok(fold::select(&fold, isa).ok().map(Leaf))
}

/// The loop that combines some rows of elements into a row of accumulators, for a reduction along outer axes; with no
/// rows to combine, it makes the accumulators of the first row. Its argument block is that of a row of accumulators, then of
/// the operands of each row in turn, then, where elements have positions, of that of the first row and of the step to the
/// next. `None` as for [`map`].
///
/// # Errors
/// As [`map`].
pub(super) fn strip(nest: &Nest, reduce: &Reduce, rows: usize, target: &Target) -> Result<Option<Leaf>, CodegenError> {
    let Some((isa, core)) = machine(target) else {
        return Ok(None);
    };
    let (accumulators, combine) = (reduce.accumulators(), reduce.next());
    let mut b = Builder::typed("strip");
    let sums: Vec<ExprId> = match rows {
        0 => Vec::new(),
        _ => params(&mut b, &accumulators),
    };
    let others = accumulators.len() + rows.max(1) * reduce.loads.len();
    let mut position: Option<[ExprId; 2]> = None;
    let mut loads = Vec::new();
    if reduce.uses_index() {
        // That of the first row, and the step to the next.
        position = params(&mut b, &[Dtype::I64; 2]).try_into().ok();
        loads.extend([others, others + 1].map(|operand| Stream {
            operand,
            dtype: Dtype::I64,
            is_uniform: true,
            is_strided: false,
        }));
    }
    let mut values = sums.clone();
    for row in 0..rows.max(1) {
        let elements = params(&mut b, &reduce.map.param_dtypes());
        let elements = match &mut position {
            Some([position, step]) => {
                let here = *position;
                *position = b.node(Op::Add, &[here, *step]);
                b.inline_at(&reduce.map, &elements, here)
            }
            None => b.inline(&reduce.map, &elements),
        };
        values = match rows {
            0 => elements,
            _ => b.inline(&combine, &[values, elements].concat()),
        };
        let Some(mut streams) = dense_streams(nest, &reduce.loads, reduce.map.param_dtypes()) else {
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
        is_strided: false,
    });
    let stores: Vec<Stream> = sums.collect();
    if rows > 0 {
        loads.splice(0..0, stores.iter().copied());
    }
    let map = Map {
        func: &func,
        abi: Abi::sized(1, others + if position.is_some() { 2 } else { 0 }),
        loads,
        stores,
        axes: 1,
        writes: Writes::Plain,
        tile: None,
        next_row: Vec::new(),
    };
    Ok(map::select(&map, isa, core).ok().map(Leaf))
}

/// What a product does with its accumulators, over the rows and columns of a tile. Its argument block is
/// that of the accumulators, then of what `finish` loads, then of what it stores. `None` as for [`map`].
///
/// # Errors
/// As [`map`].
pub(super) fn epilogue(nest: &Nest, product: &MatMul, target: &Target) -> Result<Option<Leaf>, CodegenError> {
    let Some((isa, core)) = machine(target) else {
        return Ok(None);
    };
    if product.stores.iter().any(|id| nest.operand(*id).stride != Stride::Unit) {
        return Ok(None);
    }
    let func = with_storage_floats(&product.finish)?;
    let dtypes = func.param_dtypes();
    let sums = Stream {
        operand: 0,
        dtype: dtypes[0],
        is_uniform: false,
        is_strided: false,
    };
    let (Some(others), Some(mut stores)) = (
        dense_streams(nest, &product.finish_loads, dtypes[1..].to_vec()),
        dense_streams(nest, &product.stores, func.result_dtypes()),
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
        writes: Writes::Plain,
        tile: None,
        next_row: Vec::new(),
    };
    Ok(map::select(&map, isa, core).ok().map(Leaf))
}

/// Parameters of these dtypes.
fn params(b: &mut Builder, dtypes: &[Dtype]) -> Vec<ExprId> {
    let first = b.len();
    let named = dtypes.iter().enumerate();
    named
        .map(|(i, &d)| b.param(format!("x{}", first + i), Some(d)))
        .collect()
}

/// Operands as streams of elements of these dtypes, unless one has an unknown distance between elements of less than 4 bytes, for
/// which there are no gathers.
fn streams(nest: &Nest, ids: &[OperandId], dtypes: Vec<Dtype>) -> Option<Vec<Stream>> {
    let stream = |(id, dtype): (&OperandId, Dtype)| {
        let stride = nest.operand(*id).stride;
        let is_strided = stride == Stride::Any;
        (!is_strided || dtype.size() >= 4).then(|| Stream {
            operand: id.index(),
            dtype,
            is_uniform: stride == Stride::Zero,
            is_strided,
        })
    };
    ids.iter().zip(dtypes).map(stream).collect()
}

/// As [`streams`], of neighbours.
fn dense_streams(nest: &Nest, ids: &[OperandId], dtypes: Vec<Dtype>) -> Option<Vec<Stream>> {
    streams(nest, ids, dtypes).filter(|streams| streams.iter().all(|s| !s.is_strided))
}

/// The function with conversions of `bf16` written as bit operations; those of `f16` are instructions.
fn with_storage_floats(func: &Func) -> Result<Cow<'_, Func>, CodegenError> {
    match func.nodes().iter().any(|n| n.dtype == Some(Dtype::Bf16)) {
        true => Ok(Cow::Owned(lower_storage_casts(func)?)),
        false => Ok(Cow::Borrowed(func)),
    }
}

/// The widest vectors of a target, and its cores.
fn machine(target: &Target) -> Option<(Isa, &'static Microarchitecture)> {
    let isa = match target.wide_bytes() {
        64 => Isa::Avx512,
        32 => Isa::Avx2,
        _ => return None,
    };
    Some((isa, target.microarchitecture()?))
}

/// The text of machine code: an instruction a line, then the constants.
pub(super) fn disassemble(code: &MachineCode) -> String {
    let (bytes, constants) = code.bytes.split_at(code.instructions);
    let mut formatter = GasFormatter::new();
    let mut text = String::new();
    for instruction in Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE) {
        let mut line = String::new();
        formatter.format(&instruction, &mut line);
        text += &format!("  {:4x}: {line}\n", instruction.ip());
    }
    for (row, bytes) in constants.chunks(16).enumerate() {
        let words = bytes.chunks(4).map(|word| {
            let word: Vec<String> = word.iter().rev().map(|b| format!("{b:02x}")).collect();
            word.concat()
        });
        let words: Vec<String> = words.collect();
        text += &format!("  {:4x}: .long {}\n", code.instructions + 16 * row, words.join(" "));
    }
    text
}
