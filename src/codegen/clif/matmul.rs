//! The leaf of a matrix product: the loops over blocks, and the micro-kernel that keeps a tile of accumulators in registers.
//!
//! In: the pointers at one index of the batch axes. Out: the stored results. [`crate::nest::matmul`] says in which order; the
//! names here are its. Packing of the factors is in [`panel`](super::panel).
//!
//! A tile leaves its registers through a small buffer, from where `finish` stores it row by row; where `finish` is short,
//! whole tiles are finished in the registers instead.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

use super::body::Body;
use super::emit::{Carried, Emitter};
use super::memory::Access;
use super::value::{Lanes, Registers};
use crate::codegen::CodegenError;
use crate::nest::{MatMul, OperandId};

/// Rows up to which a right factor that lies in rows is read where it is: packing it costs more than it saves.
const ROWS_UNPACKED: i64 = 48;
/// Operations of `finish`, counted once for each vector of a tile, up to which tiles are finished in registers.
const FINISH_LENGTH: usize = 96;

/// What the loops of one product share.
pub(super) struct Product<'f> {
    pub(super) product: &'f MatMul,
    /// Elements of an accumulator vector, and bytes of an element.
    pub(super) lanes: usize,
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
    combine: Body<'f>,
    /// The operands that are read where they are, if the call's extents and strides suggest it.
    plain_left: Option<OperandId>,
    plain_right: Option<OperandId>,
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
    pub(super) fn matmul_leaf(&mut self, product: &MatMul, pointers: &[Value]) -> Result<(), CodegenError> {
        let p = self.product(product)?;
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

    fn product<'f>(&mut self, product: &'f MatMul) -> Result<Product<'f>, CodegenError> {
        let dtype = product.accumulator();
        let column = self.nest.vector_axis().index();
        let size = dtype.size();
        let scratch = product.scratch(0, 0, 0);
        let left_room = self.argument(crate::codegen::abi::Abi::SCRATCH);
        let tile = (product.tile.rows * product.tile.columns()) as usize;
        let plain_right = product.right.plain(self.nest, dtype);
        let is_unit = |id: &OperandId| self.nest.operand(*id).stride == crate::nest::Stride::Unit;
        Ok(Product {
            product,
            lanes: product.tile.lanes as usize,
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
            combine: self.body(&product.combine, |_| None, None)?,
            plain_left: product.left.plain(self.nest, dtype),
            plain_right: plain_right.filter(is_unit),
        })
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
            let count = e.panel_rows(tile.rows, left);
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

    /// The rows of the next panel: those of a full tile, of half of one, or one.
    fn panel_rows(&mut self, most: u32, left: Value) -> Value {
        let mut count = self.word(1);
        for rows in row_counts(most).into_iter().rev() {
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
        // Far elements are worth collecting where many column panels read them.
        let is_near = self.b.ins().icmp(IntCC::Equal, step, size);
        let few = 4 * tile.columns() as i64;
        let few = self
            .b
            .ins()
            .icmp_imm_s(IntCC::SignedLessThanOrEqual, block.columns, few);
        let in_place = self.b.ins().bor(is_near, few);
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
        let between = (partial, partial_row);
        let to = (
            self.b.ins().select(block.is_last, p.buffer, partial),
            self.b.ins().select(block.is_last, buffer_row, partial_row),
        );

        let (buffered, done) = (self.block([]), self.block([]));
        for kernel_rows in row_counts(tile.rows) {
            let fits = self.b.ins().icmp_imm_s(IntCC::Equal, rows.1, kernel_rows as i64);
            let (kernel, next) = (self.block([]), self.block([]));
            self.branch(fits, (kernel, &[]), (next, &[]));
            self.b.switch_to_block(kernel);
            let sums = self.micro_kernel(p, block, kernel_rows, left, right, between)?;
            if kernel_rows == tile.rows as usize && self.finishes_in_registers(p) {
                let (finish, store) = (self.block([]), self.block([]));
                let at_once = self.b.ins().band(block.is_last, is_whole);
                self.branch(at_once, (finish, &[]), (store, &[]));
                self.b.switch_to_block(finish);
                self.finish_in_registers(p, &sums, kernel_rows, &pointers)?;
                self.jump(done, &[]);
                self.b.switch_to_block(store);
            }
            self.store_tile(p, &sums, to);
            self.jump(buffered, &[]);
            self.b.switch_to_block(next);
        }
        // Every number of rows has its kernel.
        self.jump(done, &[]);

        self.b.switch_to_block(buffered);
        self.when(block.is_last, |e| e.finish_tile(p, rows.1, count, &pointers))?;
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// A tile's accumulators after a block of the contracted axis, row by row.
    fn micro_kernel(
        &mut self,
        p: &Product<'_>,
        block: &Block,
        rows: usize,
        left: Source,
        right: Source,
        between: (Value, Value),
    ) -> Result<Vec<Lanes>, CodegenError> {
        let dtype = p.product.accumulator();
        let vectors = p.product.tile.vectors as usize;
        let zeros = self.splat_const(p.product.zero, p.lanes).first();
        let zeros = Carried::from_elem(zeros, rows * vectors);
        let types = zeros.iter().map(|&z| self.b.func.dfg.value_type(z)).collect::<Vec<_>>();
        let (later, start) = (self.block([]), self.block(types));
        let zero = self.word(0);
        self.branch(block.is_first, (start, &zeros), (later, &[]));
        self.b.switch_to_block(later);
        let mut loaded = Carried::new();
        let mut row = between.0;
        for _ in 0..rows {
            let access = Access::contiguous(dtype, row);
            for v in 0..vectors {
                loaded.push(self.load(&access, zero, v * p.lanes, p.lanes).first());
            }
            row = self.b.ins().iadd(row, between.1);
        }
        self.jump(start, &loaded);
        self.b.switch_to_block(start);

        // Rows 0, 1, 2 are reached from one pointer by scaled distances, rows 3, 4, 5 from another, and so on.
        let far: Vec<Value> = (0..rows.div_ceil(3))
            .map(|group| self.b.ins().imul_imm_s(left.row, 3 * group as i64))
            .collect();
        let mut carried: Carried = [left.pointer, right.pointer].into_iter().collect();
        carried.extend(self.b.block_params(start).iter().copied());
        let (_, sums) = self.for_range(zero, block.depth, 1, &carried, |e, _, carried| {
            let (left_at, right_at) = (carried[0], carried[1]);
            let columns = Access::contiguous(dtype, right_at);
            let columns: Vec<Lanes> = (0..vectors)
                .map(|v| e.load(&columns, zero, v * p.lanes, p.lanes))
                .collect();
            let mut sums = Carried::new();
            for r in 0..rows {
                let base = match r / 3 {
                    0 => left_at,
                    group => e.b.ins().iadd(left_at, far[group]),
                };
                let address = match r % 3 {
                    0 => base,
                    within => {
                        let distance = e.b.ins().ishl_imm_u(left.row, within as i64 - 1);
                        e.b.ins().iadd(base, distance)
                    }
                };
                let element = e.load_scalar(dtype, address);
                let element = e.splat(dtype, element, p.lanes);
                for (v, column) in columns.iter().enumerate() {
                    let sum = Lanes::new(
                        dtype,
                        p.lanes,
                        dtype.size(),
                        Registers::from_elem(carried[2 + r * vectors + v], 1),
                    );
                    let value = |_: &mut Self, i: usize| {
                        Ok(match i {
                            0 => sum.clone(),
                            1 => element.clone(),
                            _ => column.clone(),
                        })
                    };
                    sums.push(e.eval(&p.combine, p.lanes, value, None)?[0].first());
                }
            }
            let mut next: Carried = [e.b.ins().iadd(left_at, left.step), e.b.ins().iadd(right_at, right.step)]
                .into_iter()
                .collect();
            next.extend(sums);
            Ok(next)
        })?;
        Ok(sums[2..]
            .iter()
            .map(|&sum| Lanes::new(dtype, p.lanes, dtype.size(), Registers::from_elem(sum, 1)))
            .collect())
    }

    fn store_tile(&mut self, p: &Product<'_>, sums: &[Lanes], to: (Value, Value)) {
        let vectors = p.product.tile.vectors as usize;
        let zero = self.word(0);
        let mut row = to.0;
        for sums in sums.chunks(vectors) {
            let access = Access::contiguous(p.product.accumulator(), row);
            for (v, sum) in sums.iter().enumerate() {
                self.store(&access, zero, v * p.lanes, sum);
            }
            row = self.b.ins().iadd(row, to.1);
        }
    }

    fn finishes_in_registers(&self, p: &Product<'_>) -> bool {
        let tile = p.product.tile;
        let vectors = (tile.rows * tile.vectors) as usize;
        self.nest.vector.lanes as usize == p.lanes && p.product.finish.nodes().len() * vectors <= FINISH_LENGTH
    }

    /// `finish` of a whole tile in registers, and its stores.
    fn finish_in_registers(
        &mut self,
        p: &Product<'_>,
        sums: &[Lanes],
        rows: usize,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let vectors = p.product.tile.vectors as usize;
        let zero = self.word(0);
        let mut pointers: Carried = pointers.iter().copied().collect();
        for row in 0..rows {
            let (loads, stores, body) = self.finish_row(p, &pointers)?;
            for v in 0..vectors {
                let load = |e: &mut Self, i: usize| {
                    Ok(match i {
                        0 => sums[row * vectors + v].clone(),
                        i => e.load(&loads[i - 1], zero, v * p.lanes, p.lanes),
                    })
                };
                let results = self.eval(&body, p.lanes, load, None)?;
                for (store, value) in stores.iter().zip(&results) {
                    self.store(store, zero, v * p.lanes, value);
                }
            }
            pointers = self.advance_finish(p, &pointers);
        }
        Ok(())
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

/// The numbers of rows that have a micro-kernel, the largest first.
fn row_counts(most: u32) -> Vec<usize> {
    let mut counts = vec![most as usize, most as usize / 2, 1];
    counts.retain(|&count| count > 0);
    counts.dedup();
    counts
}
