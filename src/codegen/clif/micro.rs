//! The tiles of a block of a matrix product in 128-bit code: loops around micro-kernels, each of which keeps a tile of
//! accumulators in registers over the contracted axis.
//!
//! In: [`BlockWord`]s, and from them [`TileWord`]s. Out: the tiles, stored where they say. `codegen::wide` has its counterpart
//! for x86-64's wider vectors.
//!
//! A micro-kernel is a function of its own, so that its loop has the registers to itself.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_module::FuncId;
use loopweave_ir::Dtype;

use super::body::Body;
use super::emit::{Carried, Emitter};
use super::memory::Access;
use super::value::{Lanes, Registers};
use crate::codegen::CodegenError;
use crate::codegen::abi::{BlockWord, TileWord};
use crate::nest::MatMul;

/// Elements of the contracted axis per iteration of a micro-kernel's loop: accumulators change registers with every step,
/// which only the end of an iteration has to undo.
const UNROLL: i64 = 4;

/// What a micro-kernel is made of.
struct Tile<'f> {
    combine: Body<'f>,
    dtype: Dtype,
    lanes: usize,
    vectors: usize,
    rows: usize,
    zero: Value,
}

impl Tile<'_> {
    /// A register of accumulators.
    fn vector(&self, register: Value) -> Lanes {
        Lanes::new(
            self.dtype,
            self.lanes,
            self.dtype.size(),
            Registers::from_elem(register, 1),
        )
    }
}

impl Emitter<'_> {
    /// All tiles of a block: row panel by row panel by these micro-kernels, the largest first, and in each the column panels.
    pub(super) fn block_tiles(&mut self, product: &MatMul, kernels: &[(usize, FuncId)]) -> Result<(), CodegenError> {
        let word = |e: &mut Self, word: BlockWord| e.argument(word as usize);
        let words = self.stack(8 * TileWord::COUNT);
        let zero = self.word(0);
        let [rows, columns] = [BlockWord::Rows, BlockWord::Columns].map(|w| word(self, w));
        let [left, right, from, to] =
            [BlockWord::Left, BlockWord::Right, BlockWord::From, BlockWord::To].map(|w| word(self, w));
        let [left_row, to_row] = [BlockWord::LeftRow, BlockWord::ToRow].map(|w| word(self, w));
        let width = product.tile.columns() as i64;
        let width_bytes = self.word(width * product.accumulator().size() as i64);
        // No accumulators to start from are none at every tile.
        let is_first = self.b.ins().icmp_imm_s(IntCC::Equal, from, 0);
        let from_row = word(self, BlockWord::FromRow);
        let [from_row, from_columns] = [from_row, width_bytes].map(|bytes| self.b.ins().select(is_first, zero, bytes));
        for (to, value) in [
            (TileWord::LeftStep, word(self, BlockWord::LeftStep)),
            (TileWord::LeftRow, left_row),
            (TileWord::RightStep, word(self, BlockWord::RightStep)),
            (TileWord::Depth, word(self, BlockWord::Depth)),
            (TileWord::FromRow, from_row),
            (TileWord::ToRow, to_row),
        ] {
            self.store_word(value, words, to as usize);
        }
        let along_columns = [word(self, BlockWord::RightPanel), from_columns, width_bytes];
        self.loop_while(zero, rows, &[left, from, to], |e, row, panel| {
            let rest = e.b.ins().isub(rows, row);
            let (count, kernel) = e.kernel_for(kernels, rest);
            e.store_word(panel[0], words, TileWord::Left as usize);
            e.for_range(zero, columns, width, &[right, panel[1], panel[2]], |e, _, at| {
                for (word, &value) in [TileWord::Right, TileWord::From, TileWord::To].into_iter().zip(at) {
                    e.store_word(value, words, word as usize);
                }
                e.call_at(kernel, words);
                Ok(at
                    .iter()
                    .zip(along_columns)
                    .map(|(&at, step)| e.b.ins().iadd(at, step))
                    .collect())
            })?;
            let mut next = Carried::new();
            for (&at, distance) in panel.iter().zip([left_row, from_row, to_row]) {
                let bytes = e.b.ins().imul(count, distance);
                next.push(e.b.ins().iadd(at, bytes));
            }
            Ok((e.b.ins().iadd(row, count), next))
        })?;
        Ok(())
    }

    /// The most rows, of these that are left, that there is a micro-kernel for, and its address.
    fn kernel_for(&mut self, kernels: &[(usize, FuncId)], rest: Value) -> (Value, Value) {
        let (mut count, mut address) = (self.word(0), self.word(0));
        for &(rows, kernel) in kernels.iter().rev() {
            let fits = self
                .b
                .ins()
                .icmp_imm_s(IntCC::SignedGreaterThanOrEqual, rest, rows as i64);
            let (rows, kernel) = (self.word(rows as i64), self.address_of(kernel));
            count = self.b.ins().select(fits, rows, count);
            address = self.b.ins().select(fits, kernel, address);
        }
        (count, address)
    }

    /// A micro-kernel: a tile of this many rows, as the [`TileWord`]s of the argument block say.
    pub(super) fn micro_kernel(&mut self, product: &MatMul, rows: usize) -> Result<(), CodegenError> {
        let tile = Tile {
            combine: self.body(&product.combine, |_| None, None)?,
            dtype: product.accumulator(),
            lanes: product.tile.lanes as usize,
            vectors: product.tile.vectors as usize,
            rows,
            zero: self.word(0),
        };
        let word = |e: &mut Self, word: TileWord| e.argument(word as usize);
        let zeros = self.splat_const(product.zero, tile.lanes).first();
        let zeros = Carried::from_elem(zeros, rows * tile.vectors);
        let types: Vec<Type> = zeros.iter().map(|&z| self.b.func.dfg.value_type(z)).collect();
        let (later, start) = (self.block([]), self.block(types));
        let from = word(self, TileWord::From);
        let is_first = self.b.ins().icmp_imm_s(IntCC::Equal, from, 0);
        self.branch(is_first, (start, &zeros), (later, &[]));
        self.b.switch_to_block(later);
        let row = word(self, TileWord::FromRow);
        let loaded = self.load_tile(&tile, from, row);
        self.jump(start, &loaded);

        self.b.switch_to_block(start);
        let (left, right) = (word(self, TileWord::Left), word(self, TileWord::Right));
        let row = word(self, TileWord::LeftRow);
        let steps = (word(self, TileWord::LeftStep), word(self, TileWord::RightStep));
        let depth = word(self, TileWord::Depth);
        // Rows 0, 1, 2 are reached from one pointer by scaled distances, rows 3, 4, 5 from another, and so on.
        let far: Vec<Value> = (0..rows.div_ceil(3))
            .map(|group| self.b.ins().imul_imm_s(row, 3 * group as i64))
            .collect();
        let mut state: Carried = [left, right].into_iter().collect();
        state.extend(self.b.block_params(start).iter().copied());
        let mut at = tile.zero;
        for unroll in [UNROLL, 1] {
            let end = self.b.ins().iadd_imm_s(depth, 1 - unroll);
            (at, state) = self.for_range_folding(at, end, unroll, &state, |e, _, state| {
                let mut state: Carried = state.iter().copied().collect();
                for _ in 0..unroll {
                    e.kernel_step(&tile, row, &far, &mut state)?;
                    state[0] = e.b.ins().iadd(state[0], steps.0);
                    state[1] = e.b.ins().iadd(state[1], steps.1);
                }
                Ok(state)
            })?;
        }
        let (to, row) = (word(self, TileWord::To), word(self, TileWord::ToRow));
        self.store_tile(&tile, &state[2..], to, row);
        Ok(())
    }

    /// One element of the contracted axis: `state` is the pointers to both factors' elements, then the accumulators.
    fn kernel_step(
        &mut self,
        tile: &Tile<'_>,
        row: Value,
        far: &[Value],
        state: &mut Carried,
    ) -> Result<(), CodegenError> {
        let columns = Access::contiguous(tile.dtype, state[1]);
        let columns: Vec<Lanes> = (0..tile.vectors)
            .map(|v| self.load(&columns, tile.zero, v * tile.lanes, tile.lanes))
            .collect();
        for r in 0..tile.rows {
            let base = match r / 3 {
                0 => state[0],
                group => self.b.ins().iadd(state[0], far[group]),
            };
            let address = match r % 3 {
                0 => base,
                within => {
                    let distance = self.b.ins().ishl_imm_u(row, within as i64 - 1);
                    self.b.ins().iadd(base, distance)
                }
            };
            let element = self.load_scalar(tile.dtype, address);
            let element = self.splat(tile.dtype, element, tile.lanes);
            for (v, column) in columns.iter().enumerate() {
                let sum = &mut state[2 + r * tile.vectors + v];
                let old = tile.vector(*sum);
                let value = |_: &mut Self, i: usize| {
                    Ok(match i {
                        0 => old.clone(),
                        1 => element.clone(),
                        _ => column.clone(),
                    })
                };
                *sum = self.eval(&tile.combine, tile.lanes, value, None)?[0].first();
            }
        }
        Ok(())
    }

    fn load_tile(&mut self, tile: &Tile<'_>, from: Value, row: Value) -> Carried {
        let mut loaded = Carried::new();
        let mut at = from;
        for _ in 0..tile.rows {
            let access = Access::contiguous(tile.dtype, at);
            for v in 0..tile.vectors {
                loaded.push(self.load(&access, tile.zero, v * tile.lanes, tile.lanes).first());
            }
            at = self.b.ins().iadd(at, row);
        }
        loaded
    }

    fn store_tile(&mut self, tile: &Tile<'_>, sums: &[Value], to: Value, row: Value) {
        let mut at = to;
        for sums in sums.chunks(tile.vectors) {
            let access = Access::contiguous(tile.dtype, at);
            for (v, &sum) in sums.iter().enumerate() {
                self.store(&access, tile.zero, v * tile.lanes, &tile.vector(sum));
            }
            at = self.b.ins().iadd(at, row);
        }
    }
}

/// The numbers of rows that have a micro-kernel of this emitter, the largest first.
pub(super) fn row_counts(most: u32) -> Vec<usize> {
    let mut counts = vec![most as usize, most as usize / 2, 1];
    counts.retain(|&count| count > 0);
    counts.dedup();
    counts
}
