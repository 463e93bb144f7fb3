//! The leaf of a matrix product: the loops over blocks, around micro-kernels that keep a tile of accumulators in registers.
//!
//! In: the pointers at one index of the batch axes. Out: the stored results. [`crate::nest::matmul`] says in which order; the
//! names here are its. Packing of the factors is in [`panel`](super::panel), and the micro-kernel in [`micro`](super::micro).
//!
//! A micro-kernel is a function of its own, so that its loop has the registers to itself: the nest's function calls it with
//! [`TileWord`]s that say where a tile's elements are and where its accumulators go. That is the output itself where they are
//! the result and the tile is whole, or masks leave the rest alone; else a small buffer, from where `finish` stores them row by
//! row while they are in the first-level cache.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_module::FuncId;

use super::body::Body;
use super::emit::{Carried, Emitter, InnerBlock};
use super::memory::Access;
use super::reduce::Wide;
use crate::codegen::CodegenError;
use crate::codegen::abi::{Abi, TileWord};
use crate::nest::{MatMul, OperandId, Stride, matmul};

/// Columns up to which a left factor whose rows are not runs of memory is read where it is.
const COLUMNS_UNPACKED: i64 = 64;
const SET_BYTES: i64 = matmul::SET_BYTES as i64;
/// Bytes of a cache line.
const LINE: i64 = 64;
/// What the loops of one product share.
pub(super) struct Product<'f> {
    /// The wide emitter's `finish` over a tile, with its argument block.
    epilogue: Option<(FuncId, InnerBlock)>,
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
    /// Scratch: packed rows of `left`, a packed block of `right`, accumulators between blocks.
    pub(super) left_room: Value,
    pub(super) right_room: Value,
    partial: Value,
    /// Bytes between the rows of packed `left`, and between those of the accumulators.
    pub(super) left_row: Value,
    partial_row: Value,
    /// A tile on its way to `finish`.
    buffer: Value,
    /// The micro-kernels, and the rows of each.
    kernels: &'f [(usize, FuncId)],
    /// Their arguments.
    words: Value,
    /// Where whole tiles of the result go, if they are the accumulators as they are.
    plain_store: Option<OperandId>,
    /// Whether micro-kernels take tiles with fewer columns than theirs.
    masks: bool,
    /// The operands that are read where they are, if the call's extents and strides suggest it.
    plain_left: Option<OperandId>,
    plain_right: Option<OperandId>,
}

/// Some rows, and some elements of the contracted axis, for all columns.
struct Band {
    /// The number of rows.
    rows: Value,
    /// The number of elements of the contracted axis.
    depth: Value,
    left: Left,
    /// Whether the elements of the contracted axis are the first, and the last.
    is_first: Value,
    is_last: Value,
    /// Whether `right` is read where it is, but for columns that do not fill a tile where there are no masks.
    unpacked: Value,
    /// The operands' pointers at the first row and element.
    pointers: Carried,
}

/// Some columns of a band.
struct Block {
    /// The first, and the number of them.
    start: Value,
    columns: Value,
    /// The operands' pointers at the first.
    pointers: Carried,
}

/// Where a band's part of `left` is.
#[derive(Clone, Copy)]
struct Left {
    /// Its first row panel.
    source: Source,
    /// Bytes by which the next row's panel is further on.
    advance: Value,
    /// Whether it has to be packed there.
    packs: Value,
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
        wide: &Wide,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let p = self.product(product, kernels, wide);
        let (zero, tile) = (self.word(0), product.tile);
        self.for_range(zero, p.rows, tile.band as i64, &[], |e, row, _| {
            let rows = e.at_most(tile.band as i64, p.rows, row);
            let pointers = e.moved_along(p.row, row, pointers);
            // An empty contracted axis still has one block, whose tiles are those of zeros.
            let one = e.word(1);
            let end = e.b.ins().smax(p.depth, one);
            e.for_range(zero, end, tile.depth as i64, &[], |e, k, _| {
                let band = e.band_at(&p, rows, k, &pointers);
                e.for_range(zero, p.columns, tile.panel as i64, &[], |e, column, _| {
                    let block = Block {
                        start: column,
                        columns: e.at_most(tile.panel as i64, p.columns, column),
                        pointers: e.moved_along(p.column, column, &band.pointers),
                    };
                    e.product_block(&p, &band, &block)?;
                    Ok(Carried::new())
                })?;
                Ok(Carried::new())
            })?;
            Ok(Carried::new())
        })?;
        Ok(())
    }

    fn product<'f>(&mut self, product: &'f MatMul, kernels: &'f [(usize, FuncId)], wide: &Wide) -> Product<'f> {
        let dtype = product.accumulator();
        let column = self.nest.vector_axis().index();
        let size = dtype.size();
        let tile = product.tile;
        let plain_right = product.right.plain(self.nest, dtype);
        let is_unit = |id: &OperandId| self.nest.operand(*id).stride == Stride::Unit;
        let plain_store = product.direct_store(self.nest);
        let (rows, depth, columns) = (self.extent(column - 2), self.extent(column - 1), self.extent(column));
        // As `MatMul::scratch_bytes` lays it out.
        let zero = self.word(0);
        let left_row = self.at_most(tile.depth as i64, depth, zero);
        let left_row = self.b.ins().imul_imm_s(left_row, size as i64);
        let left_row = self.b.ins().iadd_imm_s(left_row, 127);
        let left_row = self.b.ins().band_imm_s(left_row, -64);
        let left_room = self.argument(Abi::SCRATCH);
        let band = self.at_most(tile.band as i64, rows, zero);
        let left_bytes = self.b.ins().imul(band, left_row);
        let right_room = self.b.ins().iadd(left_room, left_bytes);
        let right_bytes = (tile.depth * tile.panel) as i64 * size as i64;
        let partial = self.b.ins().iadd_imm_s(right_room, (right_bytes + 63) & !63);
        let partial_row = match plain_store {
            Some(_) => self.word(tile.columns() as i64 * size as i64),
            None => {
                let width = self.word(tile.columns() as i64);
                let rounded = self.b.ins().iadd_imm_s(columns, tile.columns() as i64 - 1);
                let tiles = self.b.ins().udiv(rounded, width);
                self.b.ins().imul_imm_s(tiles, tile.columns() as i64 * size as i64)
            }
        };
        let epilogue = wide.map.map(|func| (func, self.epilogue_block(product)));
        Product {
            epilogue,
            product,
            size: size as i64,
            row: column - 2,
            k: column - 1,
            column,
            rows,
            depth,
            columns,
            left_room,
            right_room,
            partial,
            left_row,
            partial_row,
            buffer: self.stack((tile.rows * tile.columns()) as usize * size),
            kernels,
            words: self.stack(8 * TileWord::COUNT),
            plain_store,
            masks: product.masks_columns(),
            plain_left: product.left.plain(self.nest, dtype),
            plain_right: plain_right.filter(is_unit),
        }
    }

    /// The rows and the elements of the contracted axis that one pass over the columns takes.
    fn band_at(&mut self, p: &Product<'_>, rows: Value, k: Value, pointers: &[Value]) -> Band {
        let tile = p.product.tile;
        let after = self.b.ins().iadd_imm_s(k, tile.depth as i64);
        let unpacked = self.right_in_place(p);
        let depth = self.at_most(tile.depth as i64, p.depth, k);
        let pointers = self.moved_along(p.k, k, pointers);
        Band {
            rows,
            depth,
            left: self.left_at(p, &pointers),
            is_first: self.b.ins().icmp_imm_s(IntCC::Equal, k, 0),
            is_last: self.b.ins().icmp(IntCC::SignedGreaterThanOrEqual, after, p.depth),
            unpacked,
            pointers,
        }
    }

    /// Whether columns that fill a tile are read where they are: where there are few rows to pack them for, or where
    /// the rows of `right` that they are in take no more room than a packed block and do not compete for the same sets.
    ///
    /// Packed always / read in place, at one thread in f32: 64³ 90 / 95, 128³ 104 / 107, 256³ 113 / 115, 384³ 106 / 107,
    /// 512³ 102 / 97, 768³ 102 / 98 and 1000³ 103 / 90 GFLOP/s of a peak of 117.
    fn right_in_place(&mut self, p: &Product<'_>) -> Value {
        let Some(operand) = p.plain_right else {
            return self.b.ins().iconst(types::I8, 0);
        };
        let at_most = IntCC::SignedLessThanOrEqual;
        let few = self.b.ins().icmp_imm_s(at_most, p.rows, matmul::ROWS_UNPACKED as i64);
        let step = self.stride(operand.index(), p.k);
        let zero = self.word(0);
        let depth = self.at_most(p.product.tile.depth as i64, p.depth, zero);
        let bytes = self.b.ins().imul(depth, step);
        let block = (p.product.tile.depth * p.product.tile.panel) as i64 * p.size;
        let fits = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, bytes, block);
        let near = self
            .b
            .ins()
            .icmp_imm_u(IntCC::UnsignedLessThanOrEqual, step, SET_BYTES / 2);
        let fits = self.b.ins().band(fits, near);
        self.b.ins().bor(few, fits)
    }

    /// Whether rows of `left` are read where they are: where the elements of a row are neighbours and rows do not compete
    /// for the same sets of the first-level cache, or the cache holds so many, or elements lie apart and there are few columns
    /// to pack them for.
    ///
    /// Packed always / read in place, at one thread in f32: 128³ 101 / 104, 256³ 110 / 113, 512³ 98 / 102, 1000³ 100 / 103;
    /// but 1023³ 100 / 94, 1024³ 103 / 79 and 2048³ 101 / 76 GFLOP/s of a peak of 117.
    fn left_in_place(&mut self, p: &Product<'_>, step: Value, row: Value) -> Value {
        let few = self
            .b
            .ins()
            .icmp_imm_s(IntCC::SignedLessThanOrEqual, p.columns, COLUMNS_UNPACKED);
        let neighbours = self.b.ins().icmp_imm_s(IntCC::Equal, step, p.size);
        if p.product.tile.holds_competing_rows() {
            return self.b.ins().bor(neighbours, few);
        }
        // Rows share lines, or are a line or more from the next multiple of `SET_BYTES`, up or down.
        let at_most = IntCC::UnsignedLessThanOrEqual;
        let near = self.b.ins().icmp_imm_u(at_most, row, LINE);
        let apart = self.b.ins().iadd_imm_s(row, -LINE);
        let apart = self.b.ins().band_imm_u(apart, SET_BYTES - 1);
        let apart = self.b.ins().icmp_imm_u(at_most, apart, SET_BYTES - 2 * LINE);
        let apart = self.b.ins().bor(near, apart);
        self.b.ins().select(neighbours, apart, few)
    }

    /// Packs a block of `right`, and runs over the row panels.
    fn product_block(&mut self, p: &Product<'_>, band: &Band, block: &Block) -> Result<(), CodegenError> {
        let (zero, tile) = (self.word(0), p.product.tile);
        // Where columns are read in place, only those that do not fill a tile are packed, if they must.
        let mut whole = block.columns;
        if !p.masks {
            let width = self.word(tile.columns() as i64);
            let partial = self.b.ins().urem(block.columns, width);
            whole = self.b.ins().isub(block.columns, partial);
        }
        let from = self.b.ins().select(band.unpacked, whole, zero);
        self.pack_right(p, &block.pointers, (from, block.columns), band.depth)?;
        // The first block of columns packs what later ones read, a row panel at a time while it is in cache.
        let is_first = self.b.ins().icmp_imm_s(IntCC::Equal, block.start, 0);
        let packs_left = self.b.ins().band(band.left.packs, is_first);
        self.loop_while(zero, band.rows, &[], |e, row, _| {
            let left = e.b.ins().isub(band.rows, row);
            let count = e.panel_rows(p, left);
            let pointers = e.moved_along(p.row, row, &block.pointers);
            let kernel = e.kernel_of(p, count);
            let offset = e.b.ins().imul(row, band.left.advance);
            let source = Source {
                pointer: e.b.ins().iadd(band.left.source.pointer, offset),
                ..band.left.source
            };
            e.when(packs_left, |e| {
                e.pack_left(p, &pointers, source.pointer, count, band.depth)
            })?;
            e.for_range(zero, block.columns, tile.columns() as i64, &[], |e, column, _| {
                e.tile(p, (band, block), (row, count, kernel), column, source, &pointers)?;
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

    /// Where the micro-kernels find rows of `left`: where they are, or packed.
    fn left_at(&mut self, p: &Product<'_>, pointers: &[Value]) -> Left {
        // Of one block of columns, no row panel is needed again, and the room of one stays in cache.
        let once = self
            .b
            .ins()
            .icmp_imm_s(IntCC::SignedLessThanOrEqual, p.columns, p.product.tile.panel as i64);
        let zero = self.word(0);
        let packed = Left {
            source: Source {
                pointer: p.left_room,
                step: self.word(p.size),
                row: p.left_row,
            },
            advance: self.b.ins().select(once, zero, p.left_row),
            packs: self.b.ins().iconst(types::I8, 1),
        };
        let Some(operand) = p.plain_left else { return packed };
        let (step, row) = (self.stride(operand.index(), p.k), self.stride(operand.index(), p.row));
        let in_place = self.left_in_place(p, step, row);
        let mut select = |a: Value, b: Value| self.b.ins().select(in_place, a, b);
        Left {
            source: Source {
                pointer: select(pointers[operand.index()], packed.source.pointer),
                step: select(step, packed.source.step),
                row: select(row, packed.source.row),
            },
            advance: select(row, packed.advance),
            packs: self.b.ins().icmp_imm_s(IntCC::Equal, in_place, 0),
        }
    }

    /// Where a column panel of the packed block starts.
    pub(super) fn packed_panel(&mut self, p: &Product<'_>, column: Value, depth: Value) -> Value {
        let offset = self.b.ins().imul(column, depth);
        let offset = self.b.ins().imul_imm_s(offset, p.size);
        self.b.ins().iadd(p.right_room, offset)
    }

    /// The address of the micro-kernel for a number of rows, which has one.
    fn kernel_of(&mut self, p: &Product<'_>, rows: Value) -> Value {
        let mut address = None;
        for &(kernel_rows, kernel) in p.kernels {
            let this = self.address_of(kernel);
            address = Some(match address {
                None => this,
                Some(other) => {
                    let fits = self.b.ins().icmp_imm_s(IntCC::Equal, rows, kernel_rows as i64);
                    self.b.ins().select(fits, this, other)
                }
            });
        }
        address.unwrap_or_else(|| self.word(0))
    }

    /// One tile: `rows` rows from `row` on, and the columns of a panel from `column` of the block on.
    fn tile(
        &mut self,
        p: &Product<'_>,
        (band, block): (&Band, &Block),
        (row, rows, kernel): (Value, Value, Value),
        column: Value,
        left: Source,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let tile = p.product.tile;
        let count = self.at_most(tile.columns() as i64, block.columns, column);
        let is_whole = match p.masks {
            true => self.b.ins().iconst(types::I8, 1),
            false => self.b.ins().icmp_imm_s(IntCC::Equal, count, tile.columns() as i64),
        };
        let pointers = self.moved_along(p.column, column, pointers);
        let mut right = Source {
            pointer: self.packed_panel(p, column, band.depth),
            step: self.word(p.size * tile.columns() as i64),
            row: left.row,
        };
        if let Some(operand) = p.plain_right {
            let in_place = self.b.ins().band(band.unpacked, is_whole);
            let at = pointers[operand.index()];
            let step = self.stride(operand.index(), p.k);
            right.pointer = self.b.ins().select(in_place, at, right.pointer);
            right.step = self.b.ins().select(in_place, step, right.step);
        }
        // Between blocks of the contracted axis the accumulators are in scratch, before `finish` in a buffer; but those of
        // a whole tile that is stored as it is are always in the output.
        let partial = self.b.ins().imul(row, p.partial_row);
        let mut partial = self.b.ins().iadd(p.partial, partial);
        if p.plain_store.is_none() {
            let column = self.b.ins().iadd(block.start, column);
            let offset = self.b.ins().imul_imm_s(column, p.size);
            partial = self.b.ins().iadd(partial, offset);
        }
        let mut partial_row = p.partial_row;
        let buffer_row = self.word(p.size * tile.columns() as i64);
        let mut to = self.b.ins().select(band.is_last, p.buffer, partial);
        let mut to_row = self.b.ins().select(band.is_last, buffer_row, partial_row);
        let mut finishes = band.is_last;
        if let Some(operand) = p.plain_store {
            let at = pointers[operand.index()];
            let row = self.stride(operand.index(), p.row);
            partial = self.b.ins().select(is_whole, at, partial);
            partial_row = self.b.ins().select(is_whole, row, partial_row);
            to = self.b.ins().select(is_whole, at, to);
            to_row = self.b.ins().select(is_whole, row, to_row);
            finishes = self.b.ins().band_not(band.is_last, is_whole);
        }
        let null = self.word(0);
        let from = self.b.ins().select(band.is_first, null, partial);
        for (word, value) in [
            (TileWord::Left, left.pointer),
            (TileWord::LeftStep, left.step),
            (TileWord::LeftRow, left.row),
            (TileWord::Right, right.pointer),
            (TileWord::RightStep, right.step),
            (TileWord::Depth, band.depth),
            (TileWord::From, from),
            (TileWord::FromRow, partial_row),
            (TileWord::To, to),
            (TileWord::ToRow, to_row),
            (TileWord::Columns, count),
        ] {
            self.b
                .ins()
                .store(MemFlagsData::trusted(), value, p.words, 8 * word as i32);
        }
        self.call_at(kernel, p.words);
        self.when(finishes, |e| e.finish_tile(p, rows, count, &pointers))
    }

    /// `finish` of the rows and columns of a tile in the buffer, and its stores.
    fn finish_tile(
        &mut self,
        p: &Product<'_>,
        rows: Value,
        columns: Value,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        if let Some((func, block)) = &p.epilogue {
            self.set_extent(block, 0, rows);
            self.set_extent(block, 1, columns);
            let others = p.product.finish_loads.iter().chain(&p.product.stores);
            let places: Carried = std::iter::once(p.buffer)
                .chain(others.map(|id| pointers[id.index()]))
                .collect();
            self.call_inner(*func, block, &places);
            return Ok(());
        }
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

    /// The argument block of the wide emitter's `finish`: tiles of accumulators, then what it loads and stores.
    fn epilogue_block(&mut self, product: &MatMul) -> InnerBlock {
        let row = self.nest.vector_axis().index() - 2;
        let others = product.finish_loads.iter().chain(&product.stores);
        let block = self.empty_block(Abi::sized(2, 1 + others.clone().count()));
        let buffer_row = product.tile.columns() as i64 * product.accumulator().size() as i64;
        let stride = self.word(buffer_row);
        self.set_stride(&block, 0, 0, stride);
        for (operand, id) in others.enumerate() {
            let stride = self.stride(id.index(), row);
            self.set_stride(&block, operand + 1, 0, stride);
        }
        block
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
