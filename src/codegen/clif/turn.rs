//! Maps whose operands disagree about the fast axis, tile by tile.
//!
//! In: the functions that turn a tile and that map one. Out: the loops that call them.

use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_module::FuncId;

use super::emit::{Carried, Emitter};
use crate::codegen::CodegenError;
use crate::codegen::abi::TurnWord;
use crate::nest::{Nest, Role, Stride, TURNED_ROW_BYTES};

/// Tiles below each other that follow each other: pages of memory that lie across are then visited once for all of them. Each
/// visit may cost a walk through the page tables.
const BAND_TILES: usize = 4;

/// The operands that lie across, each with the size of its elements.
pub(super) fn across(nest: &Nest) -> impl Iterator<Item = (usize, usize)> {
    let operands = nest.operands.iter().enumerate();
    operands.filter_map(|(i, o)| (o.stride == Stride::Across).then_some((i, o.dtype.size())))
}

/// An operand that is turned.
struct Turned {
    operand: usize,
    /// The function that does it, by address.
    turn: Value,
    /// Its argument block, and where the tile goes.
    args: Value,
    buffer: Value,
}

impl Emitter<'_> {
    /// The loops of a map over tiles of the nest's last two axes: `turns` has the function for each size of elements.
    pub(super) fn turned_map(
        &mut self,
        inner: FuncId,
        turns: &[(usize, FuncId)],
        side: usize,
    ) -> Result<(), CodegenError> {
        let pointers = self.pointers();
        let last = self.nest.axes.len() - 1;
        let outer: Vec<usize> = (0..last - 1).collect();
        let outer = self.with_extents(&outer);
        let block = self.inner_block(2);
        let row_bytes = self.word(TURNED_ROW_BYTES as i64);
        let mut turned = Vec::new();
        for (operand, size) in across(self.nest) {
            let Some(&(_, turn)) = turns.iter().find(|(known, _)| *known == size) else {
                continue;
            };
            let element = self.word(size as i64);
            self.set_stride(&block, operand, 0, row_bytes);
            self.set_stride(&block, operand, 1, element);
            let turn = self.address_of(turn);
            let (args, buffer) = (self.stack(8 * TurnWord::COUNT), self.stack(side * TURNED_ROW_BYTES));
            let step = self.stride(operand, last);
            self.store_word(step, args, TurnWord::Step as usize);
            self.store_word(buffer, args, TurnWord::To as usize);
            turned.push(Turned {
                operand,
                turn,
                args,
                buffer,
            });
        }
        let [rows, columns] = [last - 1, last].map(|axis| self.extent(axis));
        let (height, width) = (self.word(side as i64), self.word(side as i64));
        let band = self.word((BAND_TILES * side) as i64);
        let first = self.phase(&pointers);
        let start = self.word(0);
        self.outer_loops(&outer, &pointers, &mut |e, pointers| {
            e.pieces((last - 1, rows), (band, start), pointers, |e, rows, pointers| {
                e.pieces((last, columns), (width, first), pointers, |e, columns, pointers| {
                    e.set_extent(&block, 1, columns);
                    e.pieces((last - 1, rows), (height, start), pointers, |e, rows, pointers| {
                        e.set_extent(&block, 0, rows);
                        let mut pointers = Carried::from_slice(pointers);
                        for t in &turned {
                            for (word, value) in [
                                (TurnWord::From, pointers[t.operand]),
                                (TurnWord::Rows, rows),
                                (TurnWord::Columns, columns),
                            ] {
                                e.store_word(value, t.args, word as usize);
                            }
                            e.call_at(t.turn, t.args);
                            pointers[t.operand] = t.buffer;
                        }
                        e.call_inner(inner, &block, &pointers);
                        Ok(())
                    })
                })
            })
        })
    }

    /// How many elements before the first result a tile would begin whose rows of results fill cache lines.
    fn phase(&mut self, pointers: &[Value]) -> Value {
        let result = self.nest.operands.iter().position(|o| o.role == Role::Output);
        let Some(result) = result else { return self.word(0) };
        let size = self.nest.operands[result].dtype.size();
        let bytes = self.b.ins().band_imm_u(pointers[result], 63);
        self.b.ins().ushr_imm_u(bytes, size.trailing_zeros() as i64)
    }

    /// A loop over pieces of an axis of at most `side` indices, a power of two, the first of which is shorter by `before`.
    /// `body` gets the length of the piece, and the pointers at its beginning.
    fn pieces(
        &mut self,
        (axis, extent): (usize, Value),
        (side, before): (Value, Value),
        pointers: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Result<(), CodegenError>,
    ) -> Result<(), CodegenError> {
        let start = self.word(0);
        self.loop_while(start, extent, pointers, |e, at, pointers| {
            let left = e.b.ins().isub(extent, at);
            let from = e.b.ins().iadd(at, before);
            let mask = e.b.ins().iadd_imm_s(side, -1);
            let within = e.b.ins().band(from, mask);
            let whole = e.b.ins().isub(side, within);
            let length = e.b.ins().smin(left, whole);
            body(e, length, pointers)?;
            let mut moved = Carried::new();
            for (operand, &pointer) in pointers.iter().enumerate() {
                let stride = e.stride(operand, axis);
                let distance = e.b.ins().imul(stride, length);
                moved.push(e.b.ins().iadd(pointer, distance));
            }
            Ok((e.b.ins().iadd(at, length), moved))
        })?;
        Ok(())
    }
}
