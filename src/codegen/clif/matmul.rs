//! The leaf of a matrix product: the loops over blocks, around micro-kernels that keep a tile of accumulators in registers.
//!
//! In: the pointers at one index of the batch axes. Out: the stored results. [`crate::nest::matmul`] says in which order; the
//! names here are its. Packing of the factors is in [`panel`](super::panel), the tiles of a block are in [`micro`](super::micro)
//! and the wide emitter's `block`, and what is done with them in [`finish`](super::finish).
//!
//! The nest's function calls another one for all tiles of some rows and columns, with [`BlockWord`]s that say where their
//! elements are and where the accumulators go. That is the output itself where they are the result and the tiles are whole, or
//! masks leave the rest alone; else a small buffer for one tile, from where `finish` stores them row by row while they are in
//! the first-level cache.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_module::FuncId;

use super::emit::{Carried, Emitter, InnerBlock};
use super::reduce::Wide;
use crate::codegen::CodegenError;
use crate::codegen::abi::{Abi, BlockWord};
use crate::nest::{MatMul, OperandId, Stride, matmul};

const SET_BYTES: i64 = matmul::SET_BYTES as i64;
/// Bytes of a cache line.
const LINE: i64 = 64;
/// What the loops of one product share.
pub(super) struct Product<'f> {
    /// The wide emitter's `finish` over a tile, with its argument block.
    pub(super) epilogue: Option<(FuncId, InnerBlock)>,
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
    pub(super) buffer: Value,
    /// The function over the tiles of a block.
    tiles: FuncId,
    /// Its arguments.
    words: Value,
    /// Where whole tiles of the result go, if they are the accumulators as they are.
    plain_store: Option<OperandId>,
    /// The result that holds the accumulators of whole tiles between blocks of the contracted axis.
    partial_store: Option<OperandId>,
    /// Whether that function takes tiles with fewer columns than theirs.
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

/// Where the micro-kernels find one factor: the first element, and the distances to the next ones.
#[derive(Clone, Copy)]
struct Source {
    pointer: Value,
    /// Along the contracted axis.
    step: Value,
    /// Between rows of `left`, or between column panels of `right`.
    next: Value,
}

/// Accumulators or results in memory: the first, and the distance between rows.
#[derive(Clone, Copy)]
struct Sums {
    pointer: Value,
    row: Value,
}

/// Some rows of a block.
#[derive(Clone, Copy)]
struct Rows {
    /// The first, and the number of them.
    start: Value,
    count: Value,
    left: Source,
}

impl Emitter<'_> {
    /// A whole matrix product, from the pointers of all operands at its start.
    pub(super) fn matmul_leaf(
        &mut self,
        product: &MatMul,
        tiles: FuncId,
        wide: &Wide,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let p = self.product(product, tiles, wide);
        if let Some(factors) = product.factors_in_place(self.nest) {
            return self.product_in_place(&p, factors, pointers);
        }
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

    /// A product whose factors are read where they are, tile by tile on the way to `finish`.
    fn product_in_place(
        &mut self,
        p: &Product<'_>,
        [left, right]: [OperandId; 2],
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let (zero, width) = (self.word(0), p.product.tile.columns() as i64);
        let buffer = Sums {
            pointer: p.buffer,
            row: self.word(p.size * width),
        };
        let none = Sums {
            pointer: zero,
            row: zero,
        };
        self.loop_while(zero, p.rows, pointers, |e, row, pointers| {
            let rest = e.b.ins().isub(p.rows, row);
            let rows = e.panel_rows(p, rest);
            e.for_range(zero, p.columns, width, &[], |e, column, _| {
                let columns = e.at_most(width, p.columns, column);
                let pointers = e.moved_along(p.column, column, pointers);
                let left = Source {
                    pointer: pointers[left.index()],
                    step: e.stride(left.index(), p.k),
                    next: e.stride(left.index(), p.row),
                };
                let right = e.right_in_rows(p, right, &pointers);
                let ahead = e.first_result(p, &pointers);
                e.call_tiles(p, p.depth, (left, right), [none, buffer, ahead], (rows, columns));
                e.finish_tile(p, rows, columns, &pointers)?;
                Ok(Carried::new())
            })?;
            let next = e.moved_along(p.row, rows, pointers);
            Ok((e.b.ins().iadd(row, rows), next))
        })?;
        Ok(())
    }

    fn product<'f>(&mut self, product: &'f MatMul, tiles: FuncId, wide: &Wide) -> Product<'f> {
        let dtype = product.accumulator();
        let column = self.nest.vector_axis().index();
        let size = dtype.size();
        let tile = product.tile;
        let plain_right = product.right.plain(self.nest, dtype);
        let is_unit = |id: &OperandId| self.nest.operand(*id).stride == Stride::Unit;
        let plain_store = product.direct_store(self.nest);
        let partial_store = product.partial_store(self.nest);
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
        let partial_row = match partial_store {
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
            buffer: self.stack((2 * tile.rows * tile.columns()) as usize * size),
            tiles,
            words: self.stack(8 * BlockWord::COUNT),
            plain_store,
            partial_store,
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

    /// Whether rows of `left` are read where they are: where there are few columns to pack them for, or the elements of a row
    /// are neighbours and rows do not compete for the same sets of the first-level cache, or the cache holds so many.
    ///
    /// Packed always / read in place, at one thread in f32: 128³ 101 / 104, 256³ 110 / 113, 512³ 98 / 102, 1000³ 100 / 103;
    /// but 1023³ 100 / 94, 1024³ 103 / 79 and 2048³ 101 / 76 GFLOP/s of a peak of 117.
    fn left_in_place(&mut self, p: &Product<'_>, step: Value, row: Value) -> Value {
        let few = self
            .b
            .ins()
            .icmp_imm_s(IntCC::SignedLessThanOrEqual, p.columns, matmul::COLUMNS_UNPACKED as i64);
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
        let apart = self.b.ins().band(neighbours, apart);
        self.b.ins().bor(apart, few)
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
            let rest = e.b.ins().isub(band.rows, row);
            let mut count = e.panel_rows(p, rest);
            if p.masks && p.plain_store.is_some() {
                count = e.b.ins().select(packs_left, count, rest);
            }
            let pointers = e.moved_along(p.row, row, &block.pointers);
            let offset = e.b.ins().imul(row, band.left.advance);
            let rows = Rows {
                start: row,
                count,
                left: Source {
                    pointer: e.b.ins().iadd(band.left.source.pointer, offset),
                    ..band.left.source
                },
            };
            e.when(packs_left, |e| {
                e.pack_left(p, &pointers, rows.left.pointer, count, band.depth)
            })?;
            match p.plain_store {
                Some(operand) if p.masks => e.store_tiles(p, band, rows, whole, operand, &pointers),
                Some(operand) => {
                    let some = e.less(zero, whole);
                    e.when(some, |e| {
                        e.store_tiles(p, band, rows, whole, operand, &pointers);
                        Ok(())
                    })?;
                    let some = e.less(whole, block.columns);
                    e.when(some, |e| e.tile(p, (band, block), rows, whole, &pointers))?;
                }
                None => {
                    e.for_range(zero, block.columns, tile.columns() as i64, &[], |e, column, _| {
                        e.tile(p, (band, block), rows, column, &pointers)?;
                        Ok(Carried::new())
                    })?;
                }
            }
            Ok((e.b.ins().iadd(row, count), Carried::new()))
        })?;
        Ok(())
    }

    /// The rows of the next panel, of so many that are left: those of a tile; or, if they are less than two tiles, all, which
    /// then are parted as is best for the micro-kernels.
    fn panel_rows(&mut self, p: &Product<'_>, rest: Value) -> Value {
        let rows = p.product.tile.rows as i64;
        let last = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, rest, 2 * rows);
        let rows = self.word(rows);
        self.b.ins().select(last, rest, rows)
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
                next: p.left_row,
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
                next: select(row, packed.source.next),
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

    /// The columns of `right` where they are.
    fn right_in_rows(&mut self, p: &Product<'_>, right: OperandId, pointers: &[Value]) -> Source {
        Source {
            pointer: pointers[right.index()],
            step: self.stride(right.index(), p.k),
            next: self.word(p.size * p.product.tile.columns() as i64),
        }
    }

    /// Column panels of `right` from a column of the block on: packed, or where they are if no tile of them is partial but by
    /// masks.
    fn right_at(&mut self, p: &Product<'_>, band: &Band, column: Value, is_whole: Value, pointers: &[Value]) -> Source {
        let step = p.size * p.product.tile.columns() as i64;
        let packed = Source {
            pointer: self.packed_panel(p, column, band.depth),
            step: self.word(step),
            next: self.b.ins().imul_imm_s(band.depth, step),
        };
        let Some(operand) = p.plain_right else { return packed };
        let in_place = self.b.ins().band(band.unpacked, is_whole);
        let there = self.right_in_rows(p, operand, pointers);
        let mut select = |a: Value, b: Value| self.b.ins().select(in_place, a, b);
        Source {
            pointer: select(there.pointer, packed.pointer),
            step: select(there.step, packed.step),
            next: select(there.next, packed.next),
        }
    }

    /// The tiles of some rows and of the first columns of a block, whose accumulators are always in the output.
    fn store_tiles(
        &mut self,
        p: &Product<'_>,
        band: &Band,
        rows: Rows,
        columns: Value,
        operand: OperandId,
        pointers: &[Value],
    ) {
        let (zero, yes) = (self.word(0), self.b.ins().iconst(types::I8, 1));
        let right = self.right_at(p, band, zero, yes, pointers);
        let to = Sums {
            pointer: pointers[operand.index()],
            row: self.stride(operand.index(), p.row),
        };
        let from = Sums {
            pointer: self.b.ins().select(band.is_first, zero, to.pointer),
            ..to
        };
        self.call_tiles(p, band.depth, (rows.left, right), [from, to, to], (rows.count, columns));
    }

    /// One tile of some rows, of less than two register tiles, whose accumulators are in a result or in scratch between blocks of
    /// the contracted axis, and before `finish` in a buffer.
    fn tile(
        &mut self,
        p: &Product<'_>,
        (band, block): (&Band, &Block),
        rows: Rows,
        column: Value,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let width = p.product.tile.columns() as i64;
        let count = self.at_most(width, block.columns, column);
        let is_whole = match p.masks {
            true => self.b.ins().iconst(types::I8, 1),
            false => self.b.ins().icmp_imm_s(IntCC::Equal, count, width),
        };
        let pointers = self.moved_along(p.column, column, pointers);
        let right = self.right_at(p, band, column, is_whole, &pointers);
        let offset = self.b.ins().imul(rows.start, p.partial_row);
        let mut partial = Sums {
            pointer: self.b.ins().iadd(p.partial, offset),
            row: p.partial_row,
        };
        match p.partial_store {
            Some(operand) => {
                let row = self.stride(operand.index(), p.row);
                partial = Sums {
                    pointer: self
                        .b
                        .ins()
                        .select(is_whole, pointers[operand.index()], partial.pointer),
                    row: self.b.ins().select(is_whole, row, partial.row),
                };
            }
            None => {
                let column = self.b.ins().iadd(block.start, column);
                let offset = self.b.ins().imul_imm_s(column, p.size);
                partial.pointer = self.b.ins().iadd(partial.pointer, offset);
            }
        }
        let (null, buffer_row) = (self.word(0), self.word(p.size * width));
        let from = Sums {
            pointer: self.b.ins().select(band.is_first, null, partial.pointer),
            ..partial
        };
        let to = Sums {
            pointer: self.b.ins().select(band.is_last, p.buffer, partial.pointer),
            row: self.b.ins().select(band.is_last, buffer_row, partial.row),
        };
        let result = self.first_result(p, &pointers);
        let ahead = Sums {
            pointer: self.b.ins().select(band.is_last, result.pointer, partial.pointer),
            row: self.b.ins().select(band.is_last, result.row, partial.row),
        };
        self.call_tiles(
            p,
            band.depth,
            (rows.left, right),
            [from, to, ahead],
            (rows.count, count),
        );
        self.when(band.is_last, |e| e.finish_tile(p, rows.count, count, &pointers))
    }

    /// Where `finish` stores its first result, if it has one.
    fn first_result(&mut self, p: &Product<'_>, pointers: &[Value]) -> Sums {
        match p.product.stores.first() {
            Some(operand) => Sums {
                pointer: pointers[operand.index()],
                row: self.stride(operand.index(), p.row),
            },
            None => Sums {
                pointer: p.buffer,
                row: self.word(0),
            },
        }
    }

    /// Calls the function over the tiles of a block: for so many elements of the contracted axis, both factors, accumulators
    /// before and after and where the results go, and so many rows and columns.
    fn call_tiles(
        &mut self,
        p: &Product<'_>,
        depth: Value,
        (left, right): (Source, Source),
        [from, to, ahead]: [Sums; 3],
        (rows, columns): (Value, Value),
    ) {
        for (word, value) in [
            (BlockWord::Left, left.pointer),
            (BlockWord::LeftStep, left.step),
            (BlockWord::LeftRow, left.next),
            (BlockWord::Right, right.pointer),
            (BlockWord::RightStep, right.step),
            (BlockWord::RightPanel, right.next),
            (BlockWord::Depth, depth),
            (BlockWord::From, from.pointer),
            (BlockWord::FromRow, from.row),
            (BlockWord::To, to.pointer),
            (BlockWord::ToRow, to.row),
            (BlockWord::Ahead, ahead.pointer),
            (BlockWord::AheadRow, ahead.row),
            (BlockWord::Rows, rows),
            (BlockWord::Columns, columns),
        ] {
            self.store_word(value, p.words, word as usize);
        }
        let tiles = self.address_of(p.tiles);
        self.call_at(tiles, p.words);
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
