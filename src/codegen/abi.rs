//! The binary interface of generated code: the argument block, and which functions a kernel has.
//!
//! In: the number of axes and operands of a nest. Out: where each argument stands, for the emitters that load it and the
//! launcher that writes it.
//!
//! Every function of a kernel has the signature `extern "C" fn(args: *mut u64)`. The block is an array of 64-bit words that
//! the launcher fills for each call, and that the function may overwrite:
//!
//! | word | holds |
//! | --- | --- |
//! | 0 | pointer to scratch memory, aligned to 64 bytes; null where the kernel needs none |
//! | 1 | first block of the reduction to compute ([`MODE_BLOCKS`] only) |
//! | 2 | block after the last one ([`MODE_BLOCKS`] only) |
//! | 3 | the part of a reduction to compute; otherwise 0 |
//! | 4 … 4 + A | extent of each axis of the nest, outermost first |
//! | then P words | pointer to each operand's element at index 0 of every axis |
//! | then P × A words | distance in bytes between neighbours: operand 0 along axis 0, 1 …, operand 1 along axis 0 … |
//!
//! A part of an iteration space is another block with pointers moved and extents shortened. So the launcher splits a call
//! along any axis without the kernel knowing, and no part can reach outside of what was checked for the whole.
//!
//! # Parts of a reduction
//!
//! - [`MODE_ALL`]: every outer index, all blocks and the finish.
//! - [`MODE_BLOCKS`]: for the kept index at which the pointers stand, the values of blocks `word 1 … word 2` into scratch. Where
//!   vectors run across results that is a row of values along the vector axis per block.
//! - [`MODE_FINISH`]: the tree over all blocks of that index in scratch, `finish`, and the store.
//!
//! # Scratch of a reduction
//!
//! For accumulator c of size s(c), with B = ⌈n / block⌉ blocks and V = the extent of the vector axis where vectors run across
//! results, otherwise 1: B × V values, block-major, as an array that starts at the next multiple of 64 bytes after that of c − 1.
//! A function that finds a single block may keep the values in the first bytes instead, 8 for each.
//! Several calls may compute blocks at once on one table, each on its own blocks; whatever else a function needs (lanes,
//! packed elements) is in its own stack frame.
//!
//! # Scratch of rows
//!
//! The nest's local operands, each at the next multiple of 64 bytes, with an element for each index of the reduced axes or
//! one for all; where vectors run across results, with as many side by side as the vector axis has indices in the longest part.
//! Their pointers in the block are not used. Then what the stage at work needs as a reduction.
//!
//! # Scratch of a matrix product
//!
//! As [`MatMul::scratch_bytes`](crate::nest::MatMul::scratch_bytes) lays it out: packed blocks of the factors, and
//! accumulators between blocks of the contracted axis. A product without blocks has none, and its code keeps where it is in
//! the words before the extents.

use crate::nest::{Leaf, Nest, Reduce, Role};

/// Words before the extents.
const HEADER: usize = 4;

/// All of the nest.
pub const MODE_ALL: u64 = 0;
/// Some blocks of a reduction.
pub const MODE_BLOCKS: u64 = 1;
/// The combination of a reduction's blocks.
pub const MODE_FINISH: u64 = 2;

/// Where each argument of a kernel stands in its block, as an index of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abi {
    axes: usize,
    operands: usize,
}

impl Abi {
    /// The word of the scratch pointer.
    pub const SCRATCH: usize = 0;
    /// The word of the first block to compute.
    pub const FIRST_BLOCK: usize = 1;
    /// The word of the block after the last one.
    pub const LAST_BLOCK: usize = 2;
    /// The word of the part to compute.
    pub const MODE: usize = 3;

    /// The interface of a nest's kernel.
    pub fn of(nest: &Nest) -> Abi {
        Abi {
            axes: nest.axes.len(),
            operands: nest.operands.len(),
        }
    }

    /// The interface of a function over the last axes of a nest, with all of its operands.
    pub fn inner(nest: &Nest, axes: usize) -> Abi {
        Abi {
            axes,
            operands: nest.operands.len(),
        }
    }

    /// The interface of a function along the vector axis of a nest, with all of its operands. That of a stage of rows has the
    /// axis before as well, whose distances lead to the next row.
    pub fn row(nest: &Nest) -> Abi {
        let axes = match nest.leaf {
            Leaf::Rows(_) => nest.axes.len().min(2),
            _ => 1,
        };
        Abi::inner(nest, axes)
    }

    /// The interface of a function over so many axes with so many operands.
    pub const fn sized(axes: usize, operands: usize) -> Abi {
        Abi { axes, operands }
    }

    /// The word of an axis's extent.
    pub const fn extent(self, axis: usize) -> usize {
        HEADER + axis
    }

    /// The word of the extent of the last axis, which is the vector axis.
    pub const fn vector_extent(self) -> usize {
        self.extent(self.axes - 1)
    }

    /// The number of axes.
    pub const fn axes(self) -> usize {
        self.axes
    }

    /// The word of an operand's pointer.
    pub const fn pointer(self, operand: usize) -> usize {
        HEADER + self.axes + operand
    }

    /// The word of an operand's distance along an axis.
    pub const fn stride(self, operand: usize, axis: usize) -> usize {
        HEADER + self.axes + self.operands + operand * self.axes + axis
    }

    /// The number of words.
    pub const fn len(self) -> usize {
        HEADER + self.axes + self.operands * (1 + self.axes)
    }

    /// Whether the block has no words; it always has.
    pub const fn is_empty(self) -> bool {
        false
    }
}

/// The arguments of the function over the tiles of a block, as words of a block of its own: `extern "C" fn(args: *mut u64)`,
/// which may overwrite them. It computes accumulators over some elements of the contracted axis, for some rows and columns,
/// of which there are both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockWord {
    /// The first element of `left`.
    Left,
    /// Bytes to its next element along the contracted axis.
    LeftStep,
    /// Bytes to its next row.
    LeftRow,
    /// The first element of `right`, where the columns of a tile are neighbours.
    Right,
    /// Bytes to its next element along the contracted axis.
    RightStep,
    /// Bytes to the columns of the next tile.
    RightPanel,
    /// The number of elements along the contracted axis.
    Depth,
    /// What the accumulators start from; null for zeros.
    From,
    /// Bytes between its rows.
    FromRow,
    /// Where the accumulators go.
    To,
    /// Bytes between its rows.
    ToRow,
    /// Where the results go in the end, which may be fetched meanwhile.
    Ahead,
    /// Bytes between its rows.
    AheadRow,
    /// The number of rows.
    Rows,
    /// The number of columns: whole tiles of them, but where the micro-kernels have masks.
    Columns,
    /// The function's own: the words named alike, at the tile at work, and the rows and columns from there on.
    RightAt,
    /// As above.
    FromAt,
    /// As above.
    ToAt,
    /// As above.
    AheadAt,
    /// As above.
    RowsAt,
    /// As above.
    ColumnsAt,
}

impl BlockWord {
    /// The number of words.
    pub const COUNT: usize = BlockWord::ColumnsAt as usize + 1;
}

/// The arguments of a micro-kernel that is a function, as words of a block of its own: `extern "C" fn(args: *const u64)`. It
/// computes one tile of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileWord {
    /// The first element of `left`.
    Left,
    /// Bytes to its next element along the contracted axis.
    LeftStep,
    /// Bytes to its next row.
    LeftRow,
    /// The first element of `right`, whose columns are neighbours.
    Right,
    /// Bytes to its next element along the contracted axis.
    RightStep,
    /// The number of elements along the contracted axis.
    Depth,
    /// What the accumulators start from; null for zeros.
    From,
    /// Bytes between its rows.
    FromRow,
    /// Where the accumulators go.
    To,
    /// Bytes between its rows.
    ToRow,
}

impl TileWord {
    /// The number of words.
    pub const COUNT: usize = TileWord::ToRow as usize + 1;
}

/// The arguments of a function that turns a tile, as words of a block of its own: `extern "C" fn(args: *const u64)`. It copies
/// columns of elements that are neighbours to rows of such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnWord {
    /// The first element of the first column.
    From,
    /// Bytes to the next column.
    Step,
    /// Where the first row goes; the next one is [`TURNED_ROW_BYTES`](crate::nest::TURNED_ROW_BYTES) further.
    To,
    /// Elements of a column.
    Rows,
    /// The number of columns, which fit a row.
    Columns,
}

impl TurnWord {
    /// The number of words.
    pub const COUNT: usize = TurnWord::Columns as usize + 1;
}

/// Bytes of scratch that a kernel needs for these extents of the nest's axes; 0 for a map.
pub fn scratch_bytes(nest: &Nest, extents: &[usize]) -> usize {
    let n: usize = nest.reduced().map(|axis| extents[axis.index()]).product();
    match &nest.leaf {
        Leaf::Map { .. } => 0,
        Leaf::Reduce(reduce) => blocks_bytes(reduce, n, nest.row_len(extents)),
        Leaf::MatMul(product) => match *extents {
            [.., rows, k, columns] => product.scratch_bytes(nest, rows, k, columns),
            _ => 0,
        },
        Leaf::Rows(stages) => {
            let locals = nest.operand_ids().filter(|&id| nest.operand(id).role == Role::Local);
            let bytes = |id| nest.local_bytes(id, extents).next_multiple_of(64);
            let blocks = stages.iter().filter_map(|stage| match stage {
                Leaf::Reduce(reduce) => Some(blocks_bytes(reduce, n, nest.row_len(extents))),
                _ => None,
            });
            locals.map(bytes).sum::<usize>() + blocks.max().unwrap_or(0)
        }
    }
}

fn blocks_bytes(reduce: &Reduce, n: usize, row: usize) -> usize {
    let blocks = n.div_ceil(reduce.order.block() as usize).max(1);
    let array = |size: usize| (blocks * row * size).next_multiple_of(64);
    reduce.accumulators().iter().map(|d| array(d.size())).sum()
}
