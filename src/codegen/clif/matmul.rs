//! The leaf of a matrix product: the loops over blocks, and the micro-kernel that keeps a tile of accumulators in registers.
//!
//! In: the pointers at one index of the batch axes. Out: the stored results. [`crate::nest::matmul`] says in which order; the
//! names here are its. Packing of the factors is in [`panel`](super::panel).
//!
//! A micro-kernel is a function of its own, so that its loop has the registers to itself: the nest's function calls it with
//! [`TileWord`]s that say where a tile's elements are and where its accumulators go. That is the output itself where they are the
//! result and the tile is whole; else a small buffer, from where `finish` stores them row by row while they are in the
//! first-level cache.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_module::FuncId;
use loopweave_ir::Dtype;

use super::body::Body;
use super::emit::{Carried, Emitter};
use super::memory::Access;
use super::value::{Lanes, Registers};
use crate::codegen::CodegenError;
use crate::codegen::abi::{Abi, TileWord};
use crate::nest::{MatMul, OperandId, Stride};

/// Rows up to which a right factor that lies in rows is read where it is: packing it costs more than it saves.
const ROWS_UNPACKED: i64 = 48;
/// Columns up to which a left factor is read where it is.
const COLUMNS_UNPACKED: i64 = 64;
/// Elements of the contracted axis per iteration of a micro-kernel's loop: accumulators change registers with every step,
/// which only the end of an iteration has to undo.
const UNROLL: i64 = 4;

/// What the loops of one product share.
pub(super) struct Product<'f> {
    pub(super) product: &'f MatMul,
    /// Bytes of an accumulator.
    pub(super) size: i64,
    /// The nest's axes.
    pub(super) row: usize,
    pub(super) k: usize,
    pub(super) column: usize,
    /// Their extents.
    rows: Value,
    depth: Value,
    columns: Value,
    /// Scratch: a packed row panel of `left`, a packed block of `right`, accumulators between blocks.
    pub(super) left_room: Value,
    pub(super) right_room: Value,
    partial: Value,
    /// A tile on its way to `finish`.
    buffer: Value,
    /// The micro-kernels, and the rows of each.
    kernels: &'f [(usize, FuncId)],
    /// Their arguments.
    words: Value,
    /// Where whole tiles of the result go, if they are the accumulators as they are.
    plain_store: Option<OperandId>,
    /// The operands that are read where they are, if the call's extents and strides suggest it.
    plain_left: Option<OperandId>,
    plain_right: Option<OperandId>,
}

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

/// One block of the contracted axis and of the columns.
struct Block {
    /// The number of columns.
    columns: Value,
    /// The number of elements of the contracted axis.
    depth: Value,
    /// Whether it is the first of its columns, and the last.
    is_first: Value,
    is_last: Value,
    /// Whether `right` is read where it is, but for columns that do not fill a tile.
    unpacked: Value,
    /// The operands' pointers at the block's first column and element.
    pointers: Carried,
}

/// Where the micro-kernel finds one factor: the first element, and the distances to the next ones.
#[derive(Clone, Copy)]
struct Source {
    pointer: Value,
    /// Along the contracted axis.
    step: Value,
    /// Between rows; of `left` only.
    row: Value,
}

impl Emitter<'_> {
    /// A whole matrix product, from the pointers of all operands at its start.
    pub(super) fn matmul_leaf(
        &mut self,
        product: &MatMul,
        kernels: &[(usize, FuncId)],
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let p = self.product(product, kernels);
        let (zero, tile) = (self.word(0), product.tile);
        self.for_range(zero, p.columns, tile.panel as i64, &[], |e, column, _| {
            let columns = e.at_most(tile.panel as i64, p.columns, column);
            let pointers = e.moved_along(p.column, column, pointers);
            // An empty contracted axis still has one block, whose tiles are those of zeros.
            let one = e.word(1);
            let end = e.b.ins().smax(p.depth, one);
            e.for_range(zero, end, tile.depth as i64, &[], |e, k, _| {
                let block = e.block_at(&p, columns, k, &pointers);
                e.product_block(&p, &block)?;
                Ok(Carried::new())
            })?;
            Ok(Carried::new())
        })?;
        Ok(())
    }

    fn product<'f>(&mut self, product: &'f MatMul, kernels: &'f [(usize, FuncId)]) -> Product<'f> {
        let dtype = product.accumulator();
        let column = self.nest.vector_axis().index();
        let size = dtype.size();
        let scratch = product.scratch(0, 0, 0);
        let left_room = self.argument(Abi::SCRATCH);
        let tile = (product.tile.rows * product.tile.columns()) as usize;
        let plain_right = product.right.plain(self.nest, dtype);
        let is_unit = |id: &OperandId| self.nest.operand(*id).stride == Stride::Unit;
        Product {
            product,
            size: size as i64,
            row: column - 2,
            k: column - 1,
            column,
            rows: self.extent(column - 2),
            depth: self.extent(column - 1),
            columns: self.extent(column),
            left_room,
            right_room: self.b.ins().iadd_imm_s(left_room, scratch.right as i64),
            partial: self.b.ins().iadd_imm_s(left_room, scratch.partial as i64),
            buffer: self.stack(tile * size),
            kernels,
            words: self.stack(8 * TileWord::COUNT),
            plain_store: product.plain_store(self.nest).filter(is_unit),
            plain_left: product.left.plain(self.nest, dtype),
            plain_right: plain_right.filter(is_unit),
        }
    }

    fn block_at(&mut self, p: &Product<'_>, columns: Value, k: Value, pointers: &[Value]) -> Block {
        let tile = p.product.tile;
        let after = self.b.ins().iadd_imm_s(k, tile.depth as i64);
        let unpacked = match p.plain_right {
            Some(_) => self
                .b
                .ins()
                .icmp_imm_s(IntCC::SignedLessThanOrEqual, p.rows, ROWS_UNPACKED),
            None => self.b.ins().iconst(cranelift_codegen::ir::types::I8, 0),
        };
        Block {
            columns,
            depth: self.at_most(tile.depth as i64, p.depth, k),
            is_first: self.b.ins().icmp_imm_s(IntCC::Equal, k, 0),
            is_last: self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, after, p.depth),
            unpacked,
            pointers: self.moved_along(p.k, k, pointers),
        }
    }

    /// Packs a block of `right`, and runs over its row panels.
    fn product_block(&mut self, p: &Product<'_>, block: &Block) -> Result<(), CodegenError> {
        let (zero, tile) = (self.word(0), p.product.tile);
        // Where columns are read in place, only those that do not fill a tile are packed.
        let width = self.word(tile.columns() as i64);
        let partial = self.b.ins().urem(block.columns, width);
        let whole = self.b.ins().isub(block.columns, partial);
        let from = self.b.ins().select(block.unpacked, whole, zero);
        self.for_range(from, block.columns, tile.columns() as i64, &[], |e, column, _| {
            let count = e.at_most(tile.columns() as i64, block.columns, column);
            let pointers = e.moved_along(p.column, column, &block.pointers);
            let to = e.packed_panel(p, column, block.depth);
            e.pack_right(p, &pointers, to, count, block.depth)?;
            Ok(Carried::new())
        })?;
        self.loop_while(zero, p.rows, &[], |e, row, _| {
            let left = e.b.ins().isub(p.rows, row);
            let count = e.panel_rows(p, left);
            let pointers = e.moved_along(p.row, row, &block.pointers);
            let source = e.left_source(p, block, &pointers, count)?;
            e.for_range(zero, block.columns, tile.columns() as i64, &[], |e, column, _| {
                e.tile(p, block, (row, count), column, source, &pointers)?;
                Ok(Carried::new())
            })?;
            Ok((e.b.ins().iadd(row, count), Carried::new()))
        })?;
        Ok(())
    }

    /// The rows of the next panel: as many as there is a micro-kernel for, and the same for all panels as far as possible.
    fn panel_rows(&mut self, p: &Product<'_>, left: Value) -> Value {
        let most = p.kernels.iter().map(|&(rows, _)| rows).max().unwrap_or(1) as i64;
        if p.kernels.len() as i64 == most {
            let size = self.word(most);
            let panels = self.b.ins().iadd_imm_s(left, most - 1);
            let panels = self.b.ins().udiv(panels, size);
            let rounded = self.b.ins().iadd(left, panels);
            let rounded = self.b.ins().iadd_imm_s(rounded, -1);
            return self.b.ins().udiv(rounded, panels);
        }
        let mut count = self.word(1);
        for &(rows, _) in p.kernels.iter().rev() {
            let fits = self
                .b
                .ins()
                .icmp_imm_s(IntCC::SignedGreaterThanOrEqual, left, rows as i64);
            let rows = self.word(rows as i64);
            count = self.b.ins().select(fits, rows, count);
        }
        count
    }

    /// Where the micro-kernel finds a row panel of `left`: where it is, or packed.
    fn left_source(
        &mut self,
        p: &Product<'_>,
        block: &Block,
        pointers: &[Value],
        rows: Value,
    ) -> Result<Source, CodegenError> {
        let size = self.word(p.size);
        let tile = p.product.tile;
        let packed = Source {
            pointer: p.left_room,
            step: self.word(p.size * tile.rows as i64),
            row: size,
        };
        let Some(operand) = p.plain_left else {
            self.pack_left(p, pointers, rows, block.depth)?;
            return Ok(packed);
        };
        let (step, row) = (self.stride(operand.index(), p.k), self.stride(operand.index(), p.row));
        // Where many column panels read them, it is worth bringing the elements together.
        let in_place = self
            .b
            .ins()
            .icmp_imm_s(IntCC::SignedLessThanOrEqual, block.columns, COLUMNS_UNPACKED);
        let packs = self.b.ins().icmp_imm_s(IntCC::Equal, in_place, 0);
        self.when(packs, |e| e.pack_left(p, pointers, rows, block.depth))?;
        let mut select = |a: Value, b: Value| self.b.ins().select(in_place, a, b);
        Ok(Source {
            pointer: select(pointers[operand.index()], packed.pointer),
            step: select(step, packed.step),
            row: select(row, packed.row),
        })
    }

    /// Where a column panel of the packed block starts.
    fn packed_panel(&mut self, p: &Product<'_>, column: Value, depth: Value) -> Value {
        let offset = self.b.ins().imul(column, depth);
        let offset = self.b.ins().imul_imm_s(offset, p.size);
        self.b.ins().iadd(p.right_room, offset)
    }

    /// One tile: `rows.1` rows from `rows.0` on, and the columns of a panel from `column` of the block on.
    fn tile(
        &mut self,
        p: &Product<'_>,
        block: &Block,
        rows: (Value, Value),
        column: Value,
        left: Source,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let tile = p.product.tile;
        let count = self.at_most(tile.columns() as i64, block.columns, column);
        let is_whole = self.b.ins().icmp_imm_s(IntCC::Equal, count, tile.columns() as i64);
        let pointers = self.moved_along(p.column, column, pointers);
        let mut right = Source {
            pointer: self.packed_panel(p, column, block.depth),
            step: self.word(p.size * tile.columns() as i64),
            row: left.row,
        };
        if let Some(operand) = p.plain_right {
            let in_place = self.b.ins().band(block.unpacked, is_whole);
            let at = pointers[operand.index()];
            let step = self.stride(operand.index(), p.k);
            right.pointer = self.b.ins().select(in_place, at, right.pointer);
            right.step = self.b.ins().select(in_place, step, right.step);
        }
        // The accumulators between blocks: rows of a whole panel.
        let partial_row = p.size * tile.panel as i64;
        let partial = self.b.ins().imul_imm_s(rows.0, partial_row);
        let offset = self.b.ins().imul_imm_s(column, p.size);
        let partial = self.b.ins().iadd(partial, offset);
        let partial = self.b.ins().iadd(p.partial, partial);
        let (buffer_row, partial_row) = (self.word(p.size * tile.columns() as i64), self.word(partial_row));
        let null = self.word(0);
        let mut to = self.b.ins().select(block.is_last, p.buffer, partial);
        let mut to_row = self.b.ins().select(block.is_last, buffer_row, partial_row);
        let mut finishes = block.is_last;
        if let Some(operand) = p.plain_store {
            let at_once = self.b.ins().band(block.is_last, is_whole);
            let row = self.stride(operand.index(), p.row);
            to = self.b.ins().select(at_once, pointers[operand.index()], to);
            to_row = self.b.ins().select(at_once, row, to_row);
            finishes = self.b.ins().band_not(block.is_last, is_whole);
        }
        let from = self.b.ins().select(block.is_first, null, partial);
        for (word, value) in [
            (TileWord::Left, left.pointer),
            (TileWord::LeftStep, left.step),
            (TileWord::LeftRow, left.row),
            (TileWord::Right, right.pointer),
            (TileWord::RightStep, right.step),
            (TileWord::Depth, block.depth),
            (TileWord::From, from),
            (TileWord::FromRow, partial_row),
            (TileWord::To, to),
            (TileWord::ToRow, to_row),
        ] {
            self.b
                .ins()
                .store(MemFlagsData::trusted(), value, p.words, 8 * word as i32);
        }
        let done = self.block([]);
        for &(kernel_rows, kernel) in p.kernels {
            let fits = self.b.ins().icmp_imm_s(IntCC::Equal, rows.1, kernel_rows as i64);
            let (call, next) = (self.block([]), self.block([]));
            self.branch(fits, (call, &[]), (next, &[]));
            self.b.switch_to_block(call);
            self.call_with(kernel, p.words);
            self.jump(done, &[]);
            self.b.switch_to_block(next);
        }
        // Every number of rows has its kernel.
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        self.when(finishes, |e| e.finish_tile(p, rows.1, count, &pointers))
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

    /// `finish` of the rows and columns of a tile in the buffer, and its stores.
    fn finish_tile(
        &mut self,
        p: &Product<'_>,
        rows: Value,
        columns: Value,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let zero = self.word(0);
        let mut carried: Carried = pointers.iter().copied().collect();
        carried.push(p.buffer);
        self.for_range(zero, rows, 1, &carried, |e, _, carried| {
            let (&buffer, pointers) = carried.split_last().expect("the buffer was carried");
            let (loads, stores, body) = e.finish_row(p, pointers)?;
            let sums = Access::contiguous(p.product.accumulator(), buffer);
            e.vector_loops(zero, columns, |e, v, count| {
                let load = |e: &mut Self, i: usize| {
                    Ok(match i {
                        0 => e.load(&sums, v, 0, count),
                        i => e.load(&loads[i - 1], v, 0, count),
                    })
                };
                let results = e.eval(&body, count, load, None)?;
                for (store, value) in stores.iter().zip(&results) {
                    e.store(store, v, 0, value);
                }
                Ok(())
            })?;
            let mut next = e.advance_finish(p, pointers);
            let row = p.size * p.product.tile.columns() as i64;
            next.push(e.b.ins().iadd_imm_s(buffer, row));
            Ok(next)
        })?;
        Ok(())
    }

    /// The loads and stores of `finish` along one row, and its body.
    fn finish_row<'f>(
        &mut self,
        p: &Product<'f>,
        pointers: &[Value],
    ) -> Result<(Vec<Access>, Vec<Access>, Body<'f>), CodegenError> {
        let loads = self.accesses(&p.product.finish_loads, pointers, p.column);
        let stores = self.accesses(&p.product.stores, pointers, p.column);
        let once = self.load_once(&loads);
        let body = self.body(&p.product.finish, |i| i.checked_sub(1).and_then(|i| once[i]), None)?;
        Ok((loads, stores, body))
    }

    /// The pointers of what `finish` loads and stores, one row further on.
    fn advance_finish(&mut self, p: &Product<'_>, pointers: &[Value]) -> Carried {
        let mut next: Carried = pointers.iter().copied().collect();
        for id in p.product.finish_loads.iter().chain(&p.product.stores) {
            let stride = self.stride(id.index(), p.row);
            next[id.index()] = self.b.ins().iadd(pointers[id.index()], stride);
        }
        next
    }

    /// All pointers, moved by an index along an axis.
    fn moved_along(&mut self, axis: usize, index: Value, pointers: &[Value]) -> Carried {
        pointers
            .iter()
            .enumerate()
            .map(|(operand, &pointer)| {
                let stride = self.stride(operand, axis);
                let offset = self.b.ins().imul(index, stride);
                self.b.ins().iadd(pointer, offset)
            })
            .collect()
    }

    /// `min(most, extent - start)`.
    fn at_most(&mut self, most: i64, extent: Value, start: Value) -> Value {
        let left = self.b.ins().isub(extent, start);
        let most = self.word(most);
        self.b.ins().smin(left, most)
    }
}

/// The numbers of rows that have a micro-kernel of this emitter, the largest first.
pub(super) fn row_counts(most: u32) -> Vec<usize> {
    let mut counts = vec![most as usize, most as usize / 2, 1];
    counts.retain(|&count| count > 0);
    counts.dedup();
    counts
}
