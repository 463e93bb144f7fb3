//! Loop nests: what one group of the plan does to its arrays, loop by loop, apart from any machine's instructions.
//!
//! In: a group of the plan ([`lower`]), then the extents and strides of one call ([`schedule`]). Out: a [`Nest`], from which
//! code is made and which can be printed, verified and interpreted.
//!
//! A nest is a number of outer loops around one [`Leaf`]: a vector loop that maps elements, or one that reduces them. It says
//! nothing of how long its axes are or how its operands lie in memory, beyond each operand's [`Stride`] class along the
//! vector axis; extents, pointers and strides come with each call ([`Binding`]), so one nest serves many shapes.
//!
//! # The order of a reduction
//!
//! It is part of the nest, so that every target, vector width and thread count gives the same bits. The elements that go into
//! one result stand in C order of the reduced axes, `e[0] … e[n-1]`; [`Order`] says how they are combined:
//!
//! - [`Order::Lanes`]: blocks of `block` elements. In a block of m elements, lane j (j < lanes) folds `e[j]`,
//!   `e[j + lanes]`, `e[j + 2·lanes]` … from left to right; then, for h = lanes/2, lanes/4 … 1, each lane i < h with i + h < m takes
//!   `combine(lane[i], lane[i + h])`. Lane 0 is the block's value.
//! - [`Order::Chain`]: blocks of `block` elements, each folded from left to right.
//!
//! The values of the blocks, `b[0] … b[k-1]`, meet in a tree: for h = 1, 2, 4 … < k, each i that is a multiple of 2h with
//! i + h < k takes `combine(b[i], b[i + h])`. Then `b[0]` is the result, after `combine(init, b[0])` where the user gave an
//! initial value. There is no identity element in this: lanes and blocks that hold nothing take no part.
//!
//! With one lane, both orders combine neighbours only, and so suit a combiner that does not commute; a user's combiner is
//! given more lanes where its ops show that it does.
//!
//! Which of the two orders applies depends on the logical shape alone, never on strides (lanes where the last axis longer
//! than 1 is reduced), except for combiners that give the same bits in any order (integers, min, max, any, all): for those
//! the schedule follows memory. Memory also decides which way vectors run: along the elements of one result, or across
//! results ([`Nest::is_across`]). Where results are many and each is made of few elements, the schedule makes a map of the
//! reduction, whose function combines its arguments in that very order.

pub mod interp;
pub mod lower;
pub mod matmul;
mod print;
pub mod schedule;
mod unroll;
pub mod verify;

use std::borrow::Cow;
use std::fmt;

use loopweave_ir::{Dtype, Func, Op, Scalar};
use smallvec::{SmallVec, smallvec};

pub use self::matmul::MatMul;
use crate::graph::combiner;

/// The index of an axis of a nest, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AxisId(pub u32);

/// The index of an operand of a nest: inputs first, then outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperandId(pub u32);

impl AxisId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl OperandId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The loops of one group.
#[derive(Clone, Debug)]
pub struct Nest {
    /// The group's name, for reports and symbols.
    pub name: String,
    /// The arrays: inputs, then outputs.
    pub operands: Vec<Operand>,
    /// The axes of the iteration space, outermost first. Those before the leaf's own are plain loops whose iterations are
    /// independent.
    pub axes: Vec<Axis>,
    /// What happens inside the outer loops.
    pub leaf: Leaf,
    /// Lanes of a vector and vectors per iteration of the vector loop.
    pub vector: Vector,
    /// How the results of a map go to memory.
    pub writes: Writes,
}

/// An array of a nest.
#[derive(Clone, Debug)]
pub struct Operand {
    /// The user's name for it.
    pub name: String,
    /// The element type in memory.
    pub dtype: Dtype,
    /// Whether it is read or written.
    pub role: Role,
    /// How its elements lie along the vector axis ([`Nest::vector_axis`]).
    pub stride: Stride,
}

/// Whether an operand is read or written, or both by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Role {
    Input,
    Output,
    /// Memory of one row: one element for each index of the reduced axes, or one for all of them ([`Nest::is_of_result`]).
    Local,
}

/// How the elements of an operand lie along the vector axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stride {
    /// One element serves the whole axis: a broadcast input, or the output of a reduction along it.
    Zero,
    /// Neighbours in memory.
    Unit,
    /// Neighbours in memory along the axis before, and any distance apart along the vector axis: the input of a map that is
    /// turned tile by tile ([`Nest::turned_side`]) on its way to where it is used.
    Across,
    /// Any other distance, known at run time; may be negative.
    Any,
}

/// Bytes of a row of a turned tile: whole cache lines, so few that the tiles of some operands stay in the nearest cache.
pub const TURNED_ROW_BYTES: usize = 256;

/// The most rows of a turned tile, which those of bytes have: of more, a column would push another one's lines out of the nearest
/// cache before the next column comes.
const TURNED_ROWS: usize = 128;

/// An axis of the iteration space.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its name in print: the names of the logical axes merged into it, as `i`, or `i·j`.
    pub name: String,
    /// Whether each index has a result of its own or contributes to one.
    pub role: AxisRole,
}

/// What an axis means for the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AxisRole {
    Kept,
    Reduced,
}

/// The shape of the vector loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vector {
    /// Elements that one iteration of the body's straight-line code computes; 1 for scalar code.
    pub lanes: u32,
    /// Copies of that code per iteration of the loop.
    pub unroll: u32,
}

/// How results go to memory; a matter of speed alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writes {
    /// By plain stores: what is written is near enough.
    #[default]
    Plain,
    /// Each cache line is fetched for writing some lines before its turn, as a store to a line that is not there waits for it.
    Ahead,
    /// Past the caches: a line that will be overwritten whole need not be read, nor push out what is there.
    Streamed,
}

/// The innermost loop, or loops, of a nest.
///
/// `map` reads parameter p from `loads[p]`, at the current index. All functions are typed, simplified and expanded: they
/// hold basic ops only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// For each index of the last axis: loads, `map`, and a store of each result.
    Map {
        /// The elementwise function.
        map: Func,
        /// The operand each parameter is loaded from.
        loads: Vec<OperandId>,
        /// The operand each result is stored to.
        stores: Vec<OperandId>,
    },
    /// For each index of the kept axes: a reduction over all reduced axes, in the order of the nest.
    ///
    /// The reduced axes are innermost and the last of them is the vector axis, or, where vectors run across results
    /// ([`Nest::is_across`]), the last axis is kept and is the vector axis, and the reduced ones stand just before it. With
    /// [`Order::Chain`] they always do.
    Reduce(Reduce),
    /// For each index of the axes before its own: a matrix product.
    MatMul(MatMul),
    /// For each index of the kept axes, a row: maps and reductions over the reduced axes, one after the other. What one stage
    /// leaves for later ones is an operand of [`Role::Local`]. The axes stand as those of a reduction; where vectors run
    /// across results, a strip of rows goes from stage to stage together ([`Binding::strip`]).
    Rows(Vec<Leaf>),
}

/// A reduction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Applied to the loaded elements; its results are what is combined. May use `Op::Index`.
    pub map: Func,
    /// The operand each parameter of `map` is loaded from.
    pub loads: Vec<OperandId>,
    /// Two sets of k values to one: parameters a₀ … a₍ₖ₋₁₎ b₀ … b₍ₖ₋₁₎, where k is the number of results of `map`.
    pub combine: Func,
    /// What an empty reduction gives; `None` where the launcher refuses to reduce nothing.
    pub init: Option<Vec<Scalar>>,
    /// Whether `init` also takes part when there are elements: it does where a user gave it, and not where it is the
    /// combiner's identity.
    pub apply_init: bool,
    /// From the k combined values, then the number of elements as `i64`, then one element of each operand of
    /// `finish_loads`, to what is stored.
    pub finish: Func,
    /// Further inputs of `finish`, at the kept index; they have no extent along the reduced axes.
    pub finish_loads: Vec<OperandId>,
    /// The operand each result of `finish` is stored to.
    pub stores: Vec<OperandId>,
    /// How the elements are combined.
    pub order: Order,
}

/// The order in which a reduction combines its elements; the module's docs define it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Order {
    /// Blocks of interleaved lanes, then trees.
    Lanes {
        /// Virtual lanes, a power of two.
        lanes: u32,
        /// Elements per block, a multiple of `lanes`.
        block: u32,
    },
    /// Blocks folded from left to right, then a tree.
    Chain {
        /// Elements per block.
        block: u32,
    },
}

impl Order {
    /// Elements per block.
    pub const fn block(self) -> u32 {
        match self {
            Order::Lanes { block, .. } | Order::Chain { block } => block,
        }
    }

    /// What becomes of this order over lanes where all reductions of a nest have that of `nest`: each its own lanes, or a chain.
    pub(crate) const fn within(self, nest: Order) -> Order {
        match nest {
            Order::Lanes { .. } => self,
            Order::Chain { .. } => nest,
        }
    }
}

impl Reduce {
    /// The dtypes of the values that are combined.
    pub fn accumulators(&self) -> Vec<Dtype> {
        self.map.result_dtypes()
    }

    /// Whether it looks at the positions of elements.
    pub(crate) fn uses_index(&self) -> bool {
        self.map.nodes().iter().any(|n| n.op == Op::Index)
    }

    /// The extremum of the first value whose first position is the second one, if that is what the reduction finds.
    pub(crate) fn sought(&self) -> Option<Op> {
        let [_, position] = *self.map.results() else {
            return None;
        };
        let is_position = self.map.node(position).op == Op::Index;
        is_position.then(|| combiner::sought(&self.combine)).flatten()
    }

    /// The combination of what was accumulated with an element that comes later.
    pub(crate) fn next(&self) -> Cow<'_, Func> {
        match self.sought() {
            Some(extremum) => Cow::Owned(combiner::seek_next(extremum, self.accumulators()[0])),
            None => Cow::Borrowed(&self.combine),
        }
    }
}

impl Leaf {
    /// The leaf itself, or its stages one after the other.
    pub fn stages(&self) -> &[Leaf] {
        match self {
            Leaf::Rows(stages) => stages,
            leaf => std::slice::from_ref(leaf),
        }
    }

    /// The reductions among the stages, to change them.
    pub(crate) fn reductions_mut(&mut self) -> impl Iterator<Item = &mut Reduce> {
        let stages = match self {
            Leaf::Rows(stages) => &mut stages[..],
            leaf => std::slice::from_mut(leaf),
        };
        stages.iter_mut().filter_map(|stage| match stage {
            Leaf::Reduce(reduce) => Some(reduce),
            Leaf::Map { .. } | Leaf::MatMul(_) | Leaf::Rows(_) => None,
        })
    }

    /// The operand each result is stored to.
    pub fn stores(&self) -> SmallVec<[OperandId; 2]> {
        match self {
            Leaf::Map { stores, .. } => stores[..].into(),
            Leaf::Reduce(reduce) => reduce.stores[..].into(),
            Leaf::MatMul(product) => product.stores[..].into(),
            Leaf::Rows(stages) => stages.iter().flat_map(Leaf::stores).collect(),
        }
    }

    /// The functions applied to loaded elements, each with the operands that its parameters are loaded from.
    pub fn maps(&self) -> SmallVec<[(&Func, &[OperandId]); 2]> {
        match self {
            Leaf::Map { map, loads, .. } => smallvec![(map, &loads[..])],
            Leaf::Reduce(reduce) => smallvec![(&reduce.map, &reduce.loads[..])],
            Leaf::MatMul(product) => [&product.left, &product.right]
                .map(|factor| (&factor.map, &factor.loads[..]))
                .into(),
            Leaf::Rows(stages) => stages.iter().flat_map(Leaf::maps).collect(),
        }
    }

    /// The operands that a reduction or a product loads where it stores.
    pub fn finish_loads(&self) -> SmallVec<[OperandId; 2]> {
        match self {
            Leaf::Map { .. } => SmallVec::new(),
            Leaf::Reduce(reduce) => reduce.finish_loads[..].into(),
            Leaf::MatMul(product) => product.finish_loads[..].into(),
            Leaf::Rows(stages) => stages.iter().flat_map(Leaf::finish_loads).collect(),
        }
    }

    /// Every function of the leaf, with its role.
    pub fn functions(&self) -> SmallVec<[(&'static str, &Func); 4]> {
        match self {
            Leaf::Map { map, .. } => smallvec![("map", map)],
            Leaf::Reduce(r) => smallvec![("map", &r.map), ("combine", &r.combine), ("finish", &r.finish)],
            Leaf::MatMul(p) => smallvec![
                ("left", &p.left.map),
                ("right", &p.right.map),
                ("combine", &p.combine),
                ("finish", &p.finish)
            ],
            Leaf::Rows(stages) => stages.iter().flat_map(Leaf::functions).collect(),
        }
    }

    /// As [`Leaf::functions`], to change them.
    pub fn functions_mut(&mut self) -> SmallVec<[&mut Func; 4]> {
        match self {
            Leaf::Map { map, .. } => smallvec![map],
            Leaf::Reduce(r) => smallvec![&mut r.map, &mut r.combine, &mut r.finish],
            Leaf::MatMul(p) => smallvec![&mut p.left.map, &mut p.right.map, &mut p.combine, &mut p.finish],
            Leaf::Rows(stages) => stages.iter_mut().flat_map(Leaf::functions_mut).collect(),
        }
    }
}

impl Nest {
    /// The operand of this id.
    pub fn operand(&self, id: OperandId) -> &Operand {
        &self.operands[id.index()]
    }

    /// The ids of all operands.
    pub fn operand_ids(&self) -> impl Iterator<Item = OperandId> + use<> {
        (0..self.operands.len() as u32).map(OperandId)
    }

    /// The side of the tiles in which operands that lie across are turned; `None` where there are none.
    pub fn turned_side(&self) -> Option<usize> {
        let across = self.operands.iter().filter(|o| o.stride == Stride::Across);
        across
            .map(|o| (TURNED_ROW_BYTES / o.dtype.size()).min(TURNED_ROWS))
            .min()
    }

    /// The axis that vectors run along: always the last.
    pub fn vector_axis(&self) -> AxisId {
        AxisId(self.axes.len() as u32 - 1)
    }

    /// The axes of plain loops around the leaf.
    pub fn outer(&self) -> impl Iterator<Item = AxisId> {
        let inner = match &self.leaf {
            Leaf::Map { .. } => 1,
            Leaf::Reduce(_) | Leaf::Rows(_) => self.reduced().count() + self.is_across() as usize,
            Leaf::MatMul(_) => 3,
        };
        (0..self.axes.len() - inner).map(|i| AxisId(i as u32))
    }

    /// Whether the vectors of a reduction or of rows run across results, and not along the elements of one.
    pub fn is_across(&self) -> bool {
        let reduces = matches!(self.leaf, Leaf::Reduce(_) | Leaf::Rows(_));
        reduces && self.axes.last().is_some_and(|axis| axis.role == AxisRole::Kept)
    }

    /// The extent of the axis along which results lie side by side, of these of all axes; 1 where vectors run along elements.
    pub fn row_len(&self, extents: &[usize]) -> usize {
        match self.is_across() {
            true => extents[self.vector_axis().index()],
            false => 1,
        }
    }

    /// Whether an operand that a stage stores has one element for each index of the kept axes, and not one for each index of all.
    pub fn is_of_result(&self, id: OperandId) -> bool {
        let stages = self.leaf.stages().iter();
        let mut reductions = stages.filter(|stage| !matches!(stage, Leaf::Map { .. }));
        reductions.any(|stage| stage.stores().contains(&id))
    }

    /// Bytes of a local operand, for these extents of all axes.
    pub fn local_bytes(&self, id: OperandId, extents: &[usize]) -> usize {
        let row = match self.is_of_result(id) {
            true => 1,
            false => self.reduced().map(|axis| extents[axis.index()]).product(),
        };
        row * self.row_len(extents) * self.operand(id).dtype.size()
    }

    /// The reduced axes, in the order in which their indices count elements.
    pub fn reduced(&self) -> impl Iterator<Item = AxisId> {
        let reduced = |(_, axis): &(usize, &Axis)| axis.role == AxisRole::Reduced;
        self.axes
            .iter()
            .enumerate()
            .filter(reduced)
            .map(|(i, _)| AxisId(i as u32))
    }
}

impl fmt::Display for Nest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(self, f)
    }
}

/// The extents and strides of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The extent of each axis of the nest.
    pub extents: SmallVec<[usize; 4]>,
    /// Per operand: where it starts and how it moves.
    pub operands: SmallVec<[Bound; 6]>,
    /// Indices of the vector axis at a time, for which local operands have room: those of rows across which vectors run.
    pub strip: Option<usize>,
}

/// How one operand of a nest lies in its buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes from the first logical element of the view to the element at index 0 of every axis of the nest; not 0 where an
    /// axis was reversed.
    pub offset: isize,
    /// The distance in bytes between neighbours along each axis.
    pub strides: SmallVec<[isize; 4]>,
}

impl Binding {
    /// The extents of the largest strip.
    pub fn strip_extents(&self) -> SmallVec<[usize; 4]> {
        let mut extents = self.extents.clone();
        if let (Some(strip), Some(vector)) = (self.strip, extents.last_mut()) {
            *vector = strip.min(*vector);
        }
        extents
    }

    /// The bytes of each operand's elements, each counted once.
    pub fn operand_bytes(&self, nest: &Nest) -> impl Iterator<Item = usize> {
        nest.operands.iter().zip(&self.operands).map(|(operand, bound)| {
            let along = |(&extent, &stride): (&usize, &isize)| if stride == 0 { extent.min(1) } else { extent };
            let elements = self.extents.iter().zip(&bound.strides).map(along);
            elements.fold(operand.dtype.size(), usize::saturating_mul)
        })
    }

    /// The number of elements that go into one result; 1 for a map.
    pub fn reduced_len(&self, nest: &Nest) -> usize {
        nest.reduced().map(|a| self.extents[a.index()]).product()
    }

    /// The number of indices of the kept axes.
    pub fn kept_len(&self, nest: &Nest) -> usize {
        let kept = |(i, axis): (usize, &Axis)| (axis.role == AxisRole::Kept).then_some(self.extents[i]);
        nest.axes.iter().enumerate().filter_map(kept).product()
    }
}
