//! The wide emitter: machine code for x86-64 with vectors as wide as the processor has.
//!
//! In: the leaf of a matrix product of floats, and a target with fused multiply-add. Out: the bytes of a micro-kernel that
//! does what [`clif`](super::clif)'s does, bit for bit; they hold no relocations, so any module takes them.

mod tile;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use loopweave_ir::Dtype;

use crate::codegen::CodegenError;
use crate::nest::MatMul;
use crate::target::Target;

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
