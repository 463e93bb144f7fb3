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
//! van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality" (ACM TOMS 41, 2015): a block of `right`, of
//! `depth` × `columns` elements, is packed so that it stays in the second-level cache; over it runs the loop of row panels,
//! and inside that the loop of column panels, whose micro-kernel keeps a tile of accumulators in registers. Where a block of
//! the contracted axis is not the first, the tile starts from what the one before left.

use loopweave_ir::{Dtype, Func, Op, Scalar};

use super::{Nest, OperandId};
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
}

impl Tile {
    /// No blocking: what a lowered product has before it is scheduled.
    pub(super) const NONE: Tile = Tile {
        rows: 1,
        vectors: 1,
        lanes: 1,
        depth: 1,
        panel: 1,
    };

    /// Columns of the register tile.
    pub const fn columns(self) -> u32 {
        self.vectors * self.lanes
    }

    /// The tile for accumulators of this dtype and this many columns: accumulators, one vector of `right` per column
    /// vector and one or two of `left` fill the register file; a panel of each factor fills three quarters of the first-level
    /// cache, though none is shorter than 256 elements, and a packed block half of the second level.
    pub(super) fn of(dtype: Dtype, columns: usize, target: &Target) -> Tile {
        let size = dtype.size();
        let bytes = match target.fma_bytes() {
            wide if wide > 0 && dtype.is_float() => wide,
            _ => target.vector_bytes(),
        };
        let lanes = (bytes / size).max(1);
        let shapes: &[(u32, u32)] = match (target.vector_registers(bytes), bytes == target.vector_bytes()) {
            // Rows and vectors, the widest first. Where a step copies what is used twice, one vector is best.
            (..=16, true) if target.fma_bytes() == 0 => &[(12, 1)],
            (..=16, _) => &[(6, 2), (12, 1)],
            _ if bytes == 64 => &[(9, 3), (14, 2), (14, 1)],
            _ => &[(8, 3), (12, 2), (16, 1)],
        };
        // The shape with the fewest columns beyond the last one.
        let covered = |&(_, vectors): &(u32, u32)| columns.next_multiple_of(vectors as usize * lanes);
        let (rows, vectors) = shapes.iter().copied().min_by_key(covered).unwrap_or((1, 1));
        let columns = vectors as usize * lanes;
        let caches = target.caches();
        let depth = (caches.l1d * 3 / 4 / ((rows as usize + columns) * size)).clamp(256, 1024);
        let panel = (caches.l2 / 2 / (depth * size)).next_multiple_of(columns).max(columns);
        Tile {
            rows,
            vectors,
            lanes: lanes as u32,
            depth: depth as u32,
            panel: panel as u32,
        }
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

    /// Where the parts of scratch memory start, for `rows` × `k` × `columns` elements, and where the last one ends.
    pub fn scratch(&self, rows: usize, k: usize, columns: usize) -> Scratch {
        let size = self.accumulator().size();
        let (depth, panel) = (self.tile.depth as usize, self.tile.panel as usize);
        let right = (depth * self.tile.rows as usize * size).next_multiple_of(64);
        let partial = right + (depth * panel * size).next_multiple_of(64);
        let columns = columns.next_multiple_of(self.tile.columns() as usize).min(panel);
        let end = if k > depth {
            partial + rows * panel * size
        } else {
            right + k * columns * size
        };
        Scratch { right, partial, end }
    }
}

/// The scratch memory of a product, as offsets in bytes. At its start is a row panel of `left`, if that is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// A packed block of `right`.
    pub right: usize,
    /// The accumulators of a block of columns, for all rows; used where the contracted axis takes several blocks.
    pub partial: usize,
    /// All bytes.
    pub end: usize,
}
