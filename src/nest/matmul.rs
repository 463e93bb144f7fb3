//! Matrix products: their leaf, and how it is scheduled.
//!
//! In: a lowered product and the loops of a call. Out: the order of those loops, and the sizes of the blocks and of the
//! register tile.
//!
//! # The order of a product
//!
//! Each element of the result is one chain over all of the contracted axis, from its first element to its last:
//! `acc = combine(acc, left[i, k], right[k, j])`, which for floats is a fused multiply-add. Blocking, packing, vectors and
//! threads all leave that chain as it is, so every target and thread count gives the same bits.
//!
//! A product of one row or one column is a reduction instead ([`crate::nest::Order`] says in which order), and one along a
//! contracted axis of extent 1 a map: the logical shape alone decides which, so the bits still do not depend on anything else.
//!
//! # The loops
//!
//! As in Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34, 2008), and Van Zee and
//! van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality" (ACM TOMS 41, 2015), with the factors'
//! parts exchanged, as rows are what lies together. From the outermost: bands of rows; blocks of the contracted axis, of
//! `depth` elements, for which the band's part of `left` is packed; blocks of columns, for which `depth` × `panel` elements
//! of `right` are packed so that they stay in the second-level cache; row panels; and column panels, whose micro-kernel
//! keeps a tile of accumulators in registers. Where a block of the contracted axis is not the first, the tile starts from
//! what the one before left: in an output of the accumulators' type, or in scratch where there is none.
//!
//! Small products, and those of few rows, have no blocks: all tiles are one call on the factors where they are.
//!
//! Packed `left` is rows as they are: a micro-kernel reads an element at a time, at any distance between rows, so packing
//! only keeps rows from competing for the same sets of a cache, and is a copy. Each element is packed once; packing row
//! panels for each block of columns instead took 21 % of the time at 2048³.

use loopweave_ir::{Dtype, Func, Op, Scalar};

use super::{Binding, Leaf, Nest, OperandId, Stride};
use crate::target::Target;

/// The leaf of a matrix product. The nest's last three axes are its rows, the contracted axis, and its columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// The elements at (row, k).
    pub left: Factor,
    /// The elements at (k, column).
    pub right: Factor,
    /// From an accumulator and an element of each factor to the next accumulator.
    pub combine: Func,
    /// What the chain starts from, and what is the result where the contracted axis is empty.
    pub zero: Scalar,
    /// From the accumulator, then one element of each operand of `finish_loads`, to what is stored.
    pub finish: Func,
    /// Further inputs of `finish`, at (row, column).
    pub finish_loads: Vec<OperandId>,
    /// The operand each result of `finish` is stored to.
    pub stores: Vec<OperandId>,
    /// The blocks.
    pub tile: Tile,
}

/// One side of a matrix product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Factor {
    /// Applied to the loaded elements; its one result has the accumulator's dtype.
    pub map: Func,
    /// The operand each parameter of `map` is loaded from.
    pub loads: Vec<OperandId>,
}

/// The sizes of a product's blocks, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tile {
    /// Rows of the register tile.
    pub rows: u32,
    /// Vectors of a row of the register tile.
    pub vectors: u32,
    /// Accumulators per vector.
    pub lanes: u32,
    /// Elements of the contracted axis per block.
    pub depth: u32,
    /// Columns per packed block: a whole number of tiles.
    pub panel: u32,
    /// Rows of `left` that are packed at once.
    pub band: u32,
    /// Lines that a first-level cache holds of those whose addresses differ by a multiple of [`SET_BYTES`].
    pub ways: u32,
    /// Whether there are no blocks: the factors are read where they are.
    pub in_place: bool,
}

/// Rows up to which a right factor that lies in rows is read where it is: packing it costs more than it saves.
pub const ROWS_UNPACKED: usize = 48;
/// Columns up to which a left factor whose rows are not runs of memory is read where it is.
pub const COLUMNS_UNPACKED: usize = 64;
/// Elements of the contracted axis per block where `right` is read in place, and its rows are so far apart that each is on a
/// page of its own. As many pages a processor fetches ahead from at once, each row from one column panel to the next, if they
/// are returned to soon enough. In GFLOP/s at one thread on Sapphire Rapids, in blocks of 1024 / 32: f32 16 × 1024 × 1024
/// 71 / 101, 32 × 1024 × 1024 92 / 124, 16 × 4096 × 4096 25 / 88, f64 16 × 1024 × 1024 33 / 50; where all is in the
/// second-level cache (f32 16 × 600 × 600), 126 / 125.
const ROWS_STREAMED: u32 = 32;
/// Bytes of address bits that choose a set of a first-level cache: as far apart, lines compete for the same set.
pub const SET_BYTES: usize = 4096;

/// Bytes of a row of `left` per block of the contracted axis.
const DEPTH_BYTES: usize = 4 << 10;
/// Bytes of `left` that are packed at once: small beside a third-level cache.
const BAND_BYTES: usize = 4 << 20;

impl Tile {
    /// No blocking: what a lowered product has before it is scheduled.
    pub(super) const NONE: Tile = Tile {
        rows: 1,
        vectors: 1,
        lanes: 1,
        depth: 1,
        panel: 1,
        band: 1,
        ways: 1,
        in_place: false,
    };

    /// Columns of the register tile.
    pub const fn columns(self) -> u32 {
        self.vectors * self.lanes
    }

    /// Whether rows of `left` that compete for the same sets still leave room for those of `right`: then they are read in place.
    pub const fn holds_competing_rows(self) -> bool {
        self.rows + self.vectors <= self.ways
    }

    /// The tile for accumulators of this dtype and a product of these rows, contracted elements and columns: accumulators, one
    /// vector of `right` per column vector and one or two of `left` fill the register file, and a packed block half or more of
    /// the second-level cache.
    ///
    /// A row panel of `left` need not stay in the first level: of blocks of one size, longer ones with fewer columns are
    /// faster, as a tile of accumulators is loaded and stored less often. In GFLOP/s at one thread in f32 on Zen 4 (1 MiB
    /// of second-level cache, peak 118), depth × panel 512 × 384 / 1024 × 192: 1024³ 100.5 / 105.8, 2048³ 101.7 / 103.8,
    /// 4096 × 512 × 512 104.0 / 106.0; 340 × 512 and 256 × 528 are slower than either, 2048 × 96 is the same.
    ///
    /// With twelve ways, as Golden Cove has, few rows of many vectors read even competing rows of `left` in place, which
    /// costs less than packing them: 14 × 32 packed / 9 × 48 in place on Sapphire Rapids (2 MiB of second-level cache,
    /// peak 180), in f32 512³ 136 / 155, 1000³ 151 / 167, 1024³ 138 / 163, 4096 × 512 × 512 140 / 161, and 6 × 64 in place
    /// 64 × 4096 × 64 127 / 152. Where all is in cache 14 × 32 is as fast as any: 128³ 174, 256³ 177.
    pub(super) fn of(dtype: Dtype, [rows, k, columns]: [usize; 3], target: &Target) -> Tile {
        let size = dtype.size();
        let bytes = match (target.fma_bytes(), least_tile_bytes(dtype)) {
            (wide, Some(least)) if wide >= least => wide,
            _ => target.vector_bytes(),
        };
        let lanes = (bytes / size).max(1);
        let ways = target.caches().l1d / SET_BYTES;
        // Of few, wide shapes the first-level cache holds even rows that compete.
        let holds = bytes == 64 && ways >= 12;
        let room = target.caches().l2 / 4 * if holds { 2 } else { 3 };
        // Blocks of a short contracted axis have more columns; a power of two, so that products of similar extents share code.
        let most = DEPTH_BYTES / size;
        let depth = k.next_power_of_two().clamp(most / 8, most);
        let packs = rows > ROWS_UNPACKED && k.min(depth).saturating_mul(columns * size) >= room;
        // Rows, vectors, and the time of a column, where a tile is full, in hundredths of that of the best shape.
        let shapes: &[(u32, u32, usize)] = match (target.vector_registers(bytes), bytes == target.vector_bytes()) {
            // Where a step copies what is used twice, one vector is best.
            (..=16, true) if target.fma_bytes() == 0 => &[(12, 1, 100)],
            (..=16, _) => &[(6, 2, 100), (12, 1, 130)],
            _ if holds && packs => &[(9, 3, 100)],
            _ if holds && columns <= 64 => &[(6, 4, 100), (9, 3, 102), (14, 2, 103), (16, 1, 130)],
            _ if bytes == 64 => &[(14, 2, 100), (9, 3, 102), (16, 1, 130)],
            _ => &[(8, 3, 100), (12, 2, 100), (16, 1, 130)],
        };
        let time = |&(_, vectors, time): &(u32, u32, usize)| columns.next_multiple_of(vectors as usize * lanes) * time;
        let (rows, vectors, _) = shapes.iter().copied().min_by_key(time).unwrap_or((1, 1, 100));
        let width = vectors as usize * lanes;
        // Blocks of the same size, so that the last one is not a narrow rest.
        let most = (room / (depth * size) / width).max(1) * width;
        let panel = match columns.div_ceil(most) {
            0 | 1 => most,
            blocks => columns.div_ceil(blocks).next_multiple_of(width),
        };
        Tile {
            rows,
            vectors,
            lanes: lanes as u32,
            depth: depth as u32,
            panel: panel as u32,
            band: (BAND_BYTES / (depth * size)) as u32,
            ways: ways as u32,
            in_place: false,
        }
    }
}

/// Bytes of the least vectors in which the wide emitter has tiles of this dtype, where it has them at all: integers of 64 bits are
/// multiplied by AVX-512 alone, and 128-bit vectors of integers by the reference emitter as well.
pub(crate) fn least_tile_bytes(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F32 | Dtype::F64 => Some(16),
        Dtype::I32 | Dtype::U32 => Some(32),
        Dtype::I64 | Dtype::U64 => Some(64),
        _ => None,
    }
}

/// Fits the blocks to the strides of a call.
///
/// Where there are few rows to pack `right` for and its rows are far apart, blocks of the contracted axis are as short as
/// [`ROWS_STREAMED`]. There are no blocks at all where the contracted axis is one, `right` has few rows to be packed for or
/// takes no more room than a packed block, and `left` lies in rows or has few columns to be packed for; the sizes of blocks
/// are then the same for all products, so that they share code.
pub(super) fn settle(nest: &mut Nest, binding: &Binding) {
    let Leaf::MatMul(product) = &nest.leaf else { return };
    let (Some([left, right]), &[.., rows, k, columns]) = (product.plain_factors(nest), &binding.extents[..]) else {
        return;
    };
    let (mut tile, size) = (product.tile, product.accumulator().size());
    let along_k = nest.axes.len() - 2;
    let step = |id: OperandId| binding.operands[id.index()].strides[along_k].unsigned_abs();
    let (few, near) = (rows <= ROWS_UNPACKED, step(right) <= SET_BYTES / 2);
    if few && !near {
        tile.depth = tile.depth.min(ROWS_STREAMED);
    }
    let fits = near && k.saturating_mul(step(right)) <= (tile.depth * tile.panel) as usize * size;
    let left_in_rows = step(left) == size && tile.holds_competing_rows();
    tile.in_place = product.masks_columns()
        && k <= tile.depth as usize
        && (few || fits)
        && (columns <= COLUMNS_UNPACKED || left_in_rows);
    if tile.in_place {
        tile = Tile {
            depth: 1,
            panel: tile.columns(),
            band: 1,
            ..tile
        };
    }
    if let Leaf::MatMul(product) = &mut nest.leaf {
        product.tile = tile;
    }
}

impl Factor {
    /// The operand whose elements are the factor's as they stand in memory, if it has one.
    pub fn plain(&self, nest: &Nest, accumulator: Dtype) -> Option<OperandId> {
        let [result] = self.map.results() else { return None };
        match (self.map.node(*result).op, &self.loads[..]) {
            (Op::Param(0), &[operand]) if nest.operand(operand).dtype == accumulator => Some(operand),
            _ => None,
        }
    }
}

impl MatMul {
    /// The dtype of the accumulators.
    pub fn accumulator(&self) -> Dtype {
        self.zero.dtype()
    }

    /// The operand that is stored to, if what is stored is the accumulator as it is.
    pub fn plain_store(&self, nest: &Nest) -> Option<OperandId> {
        match (self.finish.results(), &self.stores[..]) {
            (&[result], &[operand]) if self.finish.node(result).op == Op::Param(0) => {
                Some(operand).filter(|&id| nest.operand(id).dtype == self.accumulator())
            }
            _ => None,
        }
    }

    /// The operand that whole tiles are stored to as they are: its columns are neighbours.
    pub fn direct_store(&self, nest: &Nest) -> Option<OperandId> {
        self.plain_store(nest)
            .filter(|&id| nest.operand(id).stride == Stride::Unit)
    }

    /// The result that holds the accumulators of whole tiles between blocks of the contracted axis, whatever comes there in the
    /// end: its elements are of their type, and its columns neighbours.
    pub fn partial_store(&self, nest: &Nest) -> Option<OperandId> {
        let holds = |id: &&OperandId| {
            let operand = nest.operand(**id);
            operand.dtype == self.accumulator() && operand.stride == Stride::Unit
        };
        self.stores.iter().find(holds).copied()
    }

    /// Both factors, if their elements are those of the product as they stand in memory, and columns of `right` neighbours.
    fn plain_factors(&self, nest: &Nest) -> Option<[OperandId; 2]> {
        let left = self.left.plain(nest, self.accumulator())?;
        let right = self.right.plain(nest, self.accumulator())?;
        (nest.operand(right).stride == Stride::Unit).then_some([left, right])
    }

    /// Both factors, if there are no blocks: then they are read where they are.
    pub fn factors_in_place(&self, nest: &Nest) -> Option<[OperandId; 2]> {
        self.plain_factors(nest).filter(|_| self.tile.in_place)
    }

    /// As [`MatMul::factors_in_place`], and the result, if tiles go there as they are.
    pub fn operands_in_place(&self, nest: &Nest) -> Option<[OperandId; 3]> {
        let [left, right] = self.factors_in_place(nest)?;
        Some([left, right, self.direct_store(nest)?])
    }

    /// Whether the micro-kernels take tiles with fewer columns than theirs: vectors of 64 bytes have masks.
    pub fn masks_columns(&self) -> bool {
        self.tile.lanes as usize * self.accumulator().size() == 64
    }

    /// Bytes of scratch memory for `rows` × `k` × `columns` elements: packed rows of `left`, a packed block of `right`, and
    /// the accumulators between blocks of the contracted axis, each from a multiple of 64 bytes on. Where a result holds
    /// those, only those of the last tile of each row are here, if it is not whole. None without blocks.
    pub fn scratch_bytes(&self, nest: &Nest, rows: usize, k: usize, columns: usize) -> usize {
        if self.factors_in_place(nest).is_some() {
            return 0;
        }
        let size = self.accumulator().size();
        let (depth, panel, width) = (
            self.tile.depth as usize,
            self.tile.panel as usize,
            self.tile.columns() as usize,
        );
        let rows = rows.min(self.tile.band as usize);
        // A line more than a row takes, as rows a power of two apart would compete for the same sets of a cache.
        let left = rows * ((k.min(depth) * size).next_multiple_of(64) + 64);
        let columns = columns.next_multiple_of(width);
        if k <= depth {
            return left + k * columns.min(panel) * size;
        }
        let partial_row = if self.partial_store(nest).is_some() {
            width
        } else {
            columns
        };
        left + (depth * panel * size).next_multiple_of(64) + rows * partial_row * size
    }
}
