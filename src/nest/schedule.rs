//! Scheduling: the loops of a group for one call's extents and strides.
//!
//! In: a [`Lowered`] group, the shape of its iteration space, and each operand's layout over it. Out: a [`Nest`], the
//! [`Binding`] of this call to it, and a [`Note`] for each thing done or not done, with its reason.
//!
//! What it does, in order: drops axes of extent 1; orders the kept axes so that the inner ones have the short strides;
//! turns axes around along which every operand runs backwards; merges neighbours that are contiguous in every operand;
//! chooses the order of a reduction; and sets lanes and unroll. Most calls end as one contiguous axis.
//!
//! Invariants: the kept axes may come in any order, as each index has its own result. The reduced axes keep their logical
//! order, as it is part of the result's bits, except where the combiner is free of order.

use std::borrow::Cow;
use std::cmp::Reverse;

use loopweave_ir::{Dtype, Func, Op};
use smallvec::{SmallVec, smallvec};

use super::lower::Lowered;
use super::matmul::{self, Tile};
use super::unroll::unrolled;
use super::{Axis, AxisRole, Binding, Bound, Leaf, Nest, Operand, Order, Reduce, Role, Stride, Vector, Writes};
use crate::shape::Layout;
use crate::target::Target;
use crate::target::microarchitecture::{Microarchitecture, VectorWork};

/// A nest, this call's binding to it, and what the schedule did.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The loops.
    pub nest: Nest,
    /// The extents and strides of the call.
    pub binding: Binding,
    /// What was done and what was not, in order.
    pub notes: Vec<Note>,
    /// Tiles of the two innermost axes of a map, where its operands disagree about the fast axis.
    pub tile: Option<usize>,
    /// For each operand of the nest, the one of the group that it is, or is a part of.
    pub sources: SmallVec<[usize; 6]>,
}

/// One thing the schedule did, or could not do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Note {
    /// Neighbouring axes that are one run of memory in every operand became one.
    Merged {
        /// The axes, outermost first.
        axes: Vec<String>,
    },
    /// Axes came in another order than in the program, for shorter strides inside.
    Reordered {
        /// The new order, outermost first.
        axes: Vec<String>,
    },
    /// An axis along which every operand ran backwards was turned around.
    Reversed {
        /// The axis.
        axis: String,
    },
    /// Neighbouring axes stayed apart: this operand is not one run of memory across them.
    NotMerged {
        /// The axes.
        axes: [String; 2],
        /// The operand's name.
        operand: String,
    },
    /// An operand is loaded or stored element by element, as its elements are not neighbours along the vector axis.
    Gathered {
        /// The operand's name.
        operand: String,
    },
    /// An operand whose elements are neighbours along the loop before the innermost one is turned, tile by tile.
    Turned {
        /// The operand's name.
        operand: String,
    },
    /// The operands disagree about the fast axis; the two inner loops run in square tiles.
    Tiled {
        /// Elements along each side.
        size: usize,
    },
    /// Each result is made of few elements: a map over the results takes them as arguments, instead of a loop over them.
    SideBySide {
        /// How many.
        elements: usize,
    },
    /// Strips of so many rows go through all stages together, vectors across them.
    Strips {
        /// How many.
        rows: usize,
    },
    /// Results go past the caches, which would not hold this much.
    Streamed {
        /// The data that the call touches.
        bytes: usize,
    },
}

impl Scheduled {
    /// Takes into account that the results go to memory that was never written: the system makes it ready a page at a time,
    /// in the caches, which a streamed store would only empty again.
    pub fn for_fresh_results(&mut self) {
        if self.nest.writes == Writes::Streamed {
            self.nest.writes = Writes::Plain;
            self.notes.retain(|note| !matches!(note, Note::Streamed { .. }));
        }
    }
}

/// The tile's side: 64 rows of 64 f32 elements are 16 KiB an operand.
const TILE: usize = 64;

/// A kept or reduced axis on its way: its logical name, extent, and every operand's stride in bytes.
#[derive(Clone, Debug)]
struct Loop {
    name: String,
    logical: usize,
    role: AxisRole,
    extent: usize,
    strides: SmallVec<[isize; 6]>,
}

/// The iteration space whose leaf this call runs: a matrix product with an axis of extent 1 is a reduction, or a map.
fn thinned<'l>(lowered: &'l Lowered, shape: &[usize]) -> Cow<'l, Lowered> {
    let Some(thin) = &lowered.thin else {
        return Cow::Borrowed(lowered);
    };
    let [.., rows, contracted, columns] = *shape else {
        return Cow::Borrowed(lowered);
    };
    let leaf = if contracted == 1 {
        &thin.map
    } else if rows == 1 || columns == 1 {
        &thin.reduce
    } else {
        return Cow::Borrowed(lowered);
    };
    Cow::Owned(Lowered {
        leaf: leaf.clone(),
        thin: None,
        ..lowered.clone()
    })
}

/// Schedules a group for one call.
///
/// `shape` is the iteration space; `layouts` has, per operand, the layout over the iteration space, or over the result for
/// operands that are [`super::lower::Operand::of_result`].
pub fn schedule(lowered: &Lowered, shape: &[usize], layouts: &[Layout], target: &Target) -> Scheduled {
    let lowered = &*thinned(lowered, shape);
    let logical = logical_loops(lowered, shape, layouts);
    let reduction = Reduction::of(lowered, shape, &logical);
    let narrow = reduction.and_then(|reduction| unrolled(lowered, shape, layouts, reduction.order));
    if let Some(map) = narrow {
        let notes = vec![Note::SideBySide { elements: map.elements }];
        let loops = logical_loops(&map.lowered, &map.shape, &map.layouts);
        let mut scheduled = arranged(&map.lowered, loops, None, &map.layouts, notes, target);
        scheduled.sources = map.sources;
        return scheduled;
    }
    arranged(lowered, logical, reduction, layouts, Vec::new(), target)
}

/// The nest of these loops.
fn arranged(
    lowered: &Lowered,
    loops: Vec<Loop>,
    reduction: Option<Reduction>,
    layouts: &[Layout],
    mut notes: Vec<Note>,
    target: &Target,
) -> Scheduled {
    let mut bounds: SmallVec<[Bound; 6]> = layouts
        .iter()
        .zip(&lowered.operands)
        .map(|(layout, operand)| Bound {
            offset: layout.offset * operand.dtype.size() as isize,
            strides: SmallVec::new(),
        })
        .collect();

    if let Leaf::MatMul(_) = &lowered.leaf {
        let loops = product_loops(loops, lowered, &mut notes);
        return finish(lowered, loops, None, bounds, notes, target);
    }
    let (mut kept, mut reduced): (Vec<Loop>, Vec<Loop>) = loops.into_iter().partition(|l| l.role == AxisRole::Kept);
    // A reduction of nothing still has results; a kept axis of extent 0 has none, and its loops may have any form.
    kept.retain(|l| l.extent != 1);
    reduced.retain(|l| l.extent != 1);

    order_by_stride(&mut kept, &mut notes);
    let maps = lowered.leaf.maps();
    let uses_index = maps
        .iter()
        .any(|(map, _)| map.nodes().iter().any(|n| n.op == Op::Index));
    if lowered.order_free && !uses_index {
        order_by_stride(&mut reduced, &mut notes);
    }
    for axis in &mut kept {
        reverse(axis, &mut bounds, &mut notes);
    }
    merge(&mut kept, lowered, &mut notes);
    merge(&mut reduced, lowered, &mut notes);

    let loops = arrange(kept, reduced, reduction, layouts.len());
    finish(lowered, loops, reduction, bounds, notes, target)
}

/// The loops of a matrix product: its batches by stride, then rows, the contracted axis and columns. Batches that follow each
/// other as rows do, on one and the same other factor, are rows.
fn product_loops(mut loops: Vec<Loop>, lowered: &Lowered, notes: &mut Vec<Note>) -> Vec<Loop> {
    let inner = loops.split_off(loops.len() - 2);
    let rows = loops.pop();
    loops.retain(|l| l.extent != 1);
    order_by_stride(&mut loops, notes);
    loops.extend(rows);
    merge(&mut loops, lowered, notes);
    loops.extend(inner);
    loops
}

/// The axes of the iteration space, in logical order, with the operands' strides along them.
fn logical_loops(lowered: &Lowered, shape: &[usize], layouts: &[Layout]) -> Vec<Loop> {
    let mut result_axis = 0;
    (0..shape.len())
        .map(|axis| {
            let is_reduced = lowered.reduced.contains(&axis);
            let strides = lowered
                .operands
                .iter()
                .zip(layouts)
                .map(|(operand, layout)| {
                    let size = operand.dtype.size() as isize;
                    // Local memory is laid out when the loops have their order.
                    if operand.role == Role::Local {
                        return 0;
                    }
                    if !operand.of_result {
                        return layout.strides[axis] * size;
                    }
                    // With `keepdims` the result has every axis; without, only the kept ones.
                    let keepdims = layout.shape.len() == shape.len();
                    match (is_reduced, keepdims) {
                        (true, _) => 0,
                        (false, true) => layout.strides[axis] * size,
                        (false, false) => layout.strides[result_axis] * size,
                    }
                })
                .collect();
            if !is_reduced {
                result_axis += 1;
            }
            Loop {
                name: lowered.axis_names[axis].clone(),
                logical: axis,
                role: if is_reduced { AxisRole::Reduced } else { AxisRole::Kept },
                extent: shape[axis],
                strides,
            }
        })
        .collect()
}

/// How the reductions of a nest go about their elements.
#[derive(Clone, Copy, Debug)]
struct Reduction {
    /// The order of all, as [`Order::within`] has it.
    order: Order,
    /// Whether vectors run across results.
    is_across: bool,
}

impl Reduction {
    /// The order by the logical shape, or, where the bits do not depend on it, by what lies together, as that decides which way
    /// vectors run.
    fn of(lowered: &Lowered, shape: &[usize], loops: &[Loop]) -> Option<Reduction> {
        let reduces = |leaf: &Leaf| match leaf {
            Leaf::Reduce(reduce) => Some(reduce.order),
            Leaf::Map { .. } | Leaf::MatMul(_) | Leaf::Rows(_) => None,
        };
        let lanes = lowered.leaf.stages().iter().find_map(reduces)?;
        // What is read, in every stage; results are written once.
        let is_read = |i: &usize| lowered.operands[*i].role == Role::Input;
        let cost = |role| {
            let long = loops.iter().filter(|l| l.role == role && l.extent > 1);
            let read = |l: &Loop| distance((0..l.strides.len()).filter(is_read).map(|i| l.strides[i]));
            long.map(read).min()
        };
        let lie_together = match (cost(AxisRole::Kept), cost(AxisRole::Reduced)) {
            (Some(kept), Some(reduced)) => kept < reduced,
            _ => false,
        };
        let is_chained = if lowered.order_free {
            lie_together
        } else {
            let last = (0..shape.len()).rfind(|&axis| shape[axis] != 1);
            last.is_some_and(|axis| !lowered.reduced.contains(&axis))
        };
        Some(Reduction {
            order: if is_chained { Lowered::CHAIN } else { lanes },
            is_across: is_chained || lie_together,
        })
    }
}

/// How far apart elements lie that are these strides apart: first by whether they share cache lines, then in all.
fn distance(strides: impl Iterator<Item = isize>) -> (usize, usize) {
    strides.map(isize::unsigned_abs).fold((0, 0), |(near, far), stride| {
        (near + stride.min(64), far.saturating_add(stride))
    })
}

fn order_by_stride(loops: &mut [Loop], notes: &mut Vec<Note>) {
    loops.sort_by_key(|l| Reverse(distance(l.strides.iter().copied())));
    if !loops.is_sorted_by_key(|l| l.logical) {
        notes.push(Note::Reordered {
            axes: loops.iter().map(|l| l.name.clone()).collect(),
        });
    }
}

/// Turns an axis around if no operand runs forwards along it and some run backwards.
fn reverse(axis: &mut Loop, bounds: &mut [Bound], notes: &mut Vec<Note>) {
    let backwards = axis.strides.iter().all(|&s| s <= 0) && axis.strides.iter().any(|&s| s < 0);
    if !backwards || axis.extent == 0 {
        return;
    }
    for (stride, bound) in axis.strides.iter_mut().zip(bounds) {
        bound.offset += *stride * (axis.extent as isize - 1);
        *stride = -*stride;
    }
    notes.push(Note::Reversed {
        axis: axis.name.clone(),
    });
}

/// Merges neighbours that are one run in every operand.
fn merge(loops: &mut Vec<Loop>, lowered: &Lowered, notes: &mut Vec<Note>) {
    let mut merged: Vec<(Loop, Vec<String>)> = Vec::new();
    for inner in loops.drain(..) {
        let names = vec![inner.name.clone()];
        let Some((outer, outer_names)) = merged.last_mut() else {
            merged.push((inner, names));
            continue;
        };
        let broken = (0..inner.strides.len())
            .find(|&i| inner.strides[i].checked_mul(inner.extent as isize) != Some(outer.strides[i]));
        match broken {
            None => {
                outer.name = format!("{}·{}", outer.name, inner.name);
                outer.extent *= inner.extent;
                outer.strides = inner.strides;
                outer_names.extend(names);
            }
            Some(operand) => {
                notes.push(Note::NotMerged {
                    axes: [outer.name.clone(), inner.name.clone()],
                    operand: lowered.operands[operand].name.clone(),
                });
                merged.push((inner, names));
            }
        }
    }
    for (axis, names) in merged {
        if names.len() > 1 {
            notes.push(Note::Merged { axes: names });
        }
        loops.push(axis);
    }
}

/// The axes in the order of the nest. A nest has at least the axes its leaf needs, of extent 1 where the shape has none.
fn arrange(mut kept: Vec<Loop>, mut reduced: Vec<Loop>, reduction: Option<Reduction>, operands: usize) -> Vec<Loop> {
    let unit = |role| Loop {
        name: String::from("_"),
        logical: usize::MAX,
        role,
        extent: 1,
        strides: smallvec![0; operands],
    };
    if reduction.is_some() && reduced.is_empty() {
        reduced.push(unit(AxisRole::Reduced));
    }
    if reduction.is_none_or(|reduction| reduction.is_across) && kept.is_empty() {
        kept.push(unit(AxisRole::Kept));
    }
    let vector = match reduction {
        Some(reduction) if reduction.is_across => kept.pop(),
        _ => None,
    };
    kept.into_iter().chain(reduced).chain(vector).collect()
}

/// Gives local operands their distances: along the reduced axes as in an array of their own, with room for a strip of results
/// side by side where vectors run across those.
fn lay_locals(lowered: &Lowered, loops: &mut [Loop], strip: Option<usize>) {
    for (i, operand) in lowered.operands.iter().enumerate() {
        if operand.role != Role::Local {
            continue;
        }
        let mut step = operand.dtype.size() as isize;
        if let (Some(strip), Some(vector)) = (strip, loops.last_mut()) {
            vector.strides[i] = step;
            step *= strip as isize;
        }
        if operand.of_result {
            continue;
        }
        for axis in loops.iter_mut().rev().filter(|l| l.role == AxisRole::Reduced) {
            axis.strides[i] = step;
            step *= axis.extent as isize;
        }
    }
}

/// The part of a second-level cache that a strip of rows may fill.
const STRIP_CACHE: usize = 2;
/// A strip has a multiple of this many results: a cache line of f32 elements.
const STRIP_GRAIN: usize = 16;

/// How many rows go from stage to stage together, where vectors run across them: as many as stay in the second-level cache.
fn strip(lowered: &Lowered, loops: &[Loop], target: &Target) -> usize {
    let reduced = || loops.iter().filter(|l| l.role == AxisRole::Reduced);
    let operands = lowered.operands.iter().enumerate();
    // What later stages read again.
    let stays = operands.filter(|(i, operand)| match operand.role {
        Role::Local => !operand.of_result,
        Role::Input => reduced().any(|l| l.strides[*i] != 0),
        Role::Output => false,
    });
    let bytes: usize = stays.map(|(_, operand)| operand.dtype.size()).sum();
    let row = reduced().map(|l| l.extent).fold(bytes, usize::saturating_mul);
    let room = target.caches().l2 / STRIP_CACHE / row.max(1);
    let widest = loops.last().map_or(1, |l| l.extent.max(1));
    (room / STRIP_GRAIN * STRIP_GRAIN).max(STRIP_GRAIN).min(widest)
}

fn finish(
    lowered: &Lowered,
    mut loops: Vec<Loop>,
    reduction: Option<Reduction>,
    mut bounds: SmallVec<[Bound; 6]>,
    mut notes: Vec<Note>,
    target: &Target,
) -> Scheduled {
    let vector_axis = loops.len() - 1;
    let is_across = reduction.is_some_and(|reduction| reduction.is_across);
    let is_strip = is_across && matches!(lowered.leaf, Leaf::Rows(_));
    let strip = is_strip.then(|| strip(lowered, &loops, target));
    lay_locals(lowered, &mut loops, strip);
    for (i, bound) in bounds.iter_mut().enumerate() {
        bound.strides = loops.iter().map(|l| l.strides[i]).collect();
    }
    let extents: SmallVec<[usize; 4]> = loops.iter().map(|l| l.extent).collect();
    let turns = turns(lowered, &bounds, &extents, target);
    let operands: Vec<Operand> = lowered
        .operands
        .iter()
        .zip(&bounds)
        .map(|(operand, bound)| {
            let size = operand.dtype.size() as isize;
            Operand {
                name: operand.name.clone(),
                dtype: operand.dtype,
                role: operand.role,
                stride: match (bound.strides[vector_axis], loops[vector_axis].extent) {
                    _ if operand.role == Role::Local && operand.of_result && !is_across => Stride::Zero,
                    _ if operand.role == Role::Local => Stride::Unit,
                    // The stride along an axis of extent 1 is never taken, so it may be the one of most calls.
                    (_, 1) if !operand.of_result => Stride::Unit,
                    (0, _) => Stride::Zero,
                    (stride, _) if stride == size => Stride::Unit,
                    _ if turns && operand.role == Role::Input && lies_across(bound, size, &extents) => Stride::Across,
                    _ => Stride::Any,
                },
            }
        })
        .collect();
    let mut leaf = lowered.leaf.clone();
    if let Some(reduction) = reduction {
        leaf.reductions_mut()
            .for_each(|reduce| reduce.order = reduce.order.within(reduction.order));
    }
    let mut vector = vector_shape(&leaf, &operands, target);
    if let (Leaf::Reduce(reduce), false) = (&leaf, is_across) {
        vector.unroll = accumulators(reduce, &operands, vector.unroll, target);
    }
    if let Leaf::MatMul(product) = &mut leaf {
        let product_extents = [2, 1, 0].map(|before| extents[vector_axis - before]);
        product.tile = Tile::of(product.accumulator(), product_extents, target);
        vector = Vector {
            lanes: vector.lanes.min(product.tile.columns()),
            unroll: 1,
        };
    }
    for operand in &operands {
        let name = operand.name.clone();
        match operand.stride {
            Stride::Any => notes.push(Note::Gathered { operand: name }),
            Stride::Across => notes.push(Note::Turned { operand: name }),
            Stride::Zero | Stride::Unit => {}
        }
    }
    let tile = tile(&leaf, &operands, &bounds, &extents);
    let axes = loops
        .into_iter()
        .map(|l| Axis {
            name: l.name,
            role: l.role,
        })
        .collect();
    let mut nest = Nest {
        name: lowered.name.clone(),
        operands,
        axes,
        leaf,
        vector,
        writes: Writes::Plain,
    };
    let binding = Binding {
        extents,
        operands: bounds,
        strip,
    };
    notes.extend(strip.map(|rows| Note::Strips { rows }));
    matmul::settle(&mut nest, &binding);
    notes.extend(tile.or(nest.turned_side()).map(|size| Note::Tiled { size }));
    let bytes = binding.operand_bytes(&nest).fold(0, usize::saturating_add);
    nest.writes = writes(&nest, bytes, target);
    if nest.writes == Writes::Streamed {
        notes.push(Note::Streamed { bytes });
    }
    Scheduled {
        sources: (0..nest.operands.len()).collect(),
        nest,
        binding,
        notes,
        tile,
    }
}

/// From so many second-level caches of data on, a map's results would not stay in any cache: measured on a core with 2 MiB,
/// where `a + b` of 48 MiB in all takes the same time by either way, and of 192 MiB 0.75 of it by streaming.
const STREAMED_CACHES: usize = 32;
/// Up to so many second-level caches of data, stores wait for lines that are not far away: fetched ahead, `a + b` takes 0.8
/// to 0.9 of the time between the first and the second level, and beyond what this allows a copy takes longer.
const AHEAD_CACHES: usize = 4;
/// Functions of more ops than this keep the processor busy while lines come from the second-level cache; from farther away they
/// are fetched ahead, with those that are read: on 1M f32 values `tanh` takes 0.82 of the time, `sin` 0.8, `exp` as long.
const AHEAD_OPS: usize = 12;

/// How the results of a call go to memory that touches so much of it.
fn writes(nest: &Nest, bytes: usize, target: &Target) -> Writes {
    let Leaf::Map { map, .. } = &nest.leaf else {
        return Writes::Plain;
    };
    // The reference emitter has plain stores alone, and gathers keep a loop from being bound by its stores.
    if target.wide_bytes() == 0 || nest.operands.iter().any(|operand| operand.stride == Stride::Any) {
        return Writes::Plain;
    }
    let caches = target.caches();
    let ops = map
        .nodes()
        .iter()
        .filter(|n| !matches!(n.op, Op::Param(_) | Op::Const(_)));
    let waits = match ops.count() <= AHEAD_OPS {
        true => (caches.l1d..=AHEAD_CACHES * caches.l2).contains(&bytes),
        false => bytes > caches.l2,
    };
    if bytes > STREAMED_CACHES * caches.l2 {
        Writes::Streamed
    } else if waits {
        Writes::Ahead
    } else {
        Writes::Plain
    }
}

/// The most operands that are turned: their tiles lie on the stack of the thread, and more would not stay in a cache anyway.
const TURNED_OPERANDS: usize = 8;

/// Whether the inputs of a map that lie across are turned. The wide emitter does it where it stores results one after the
/// other.
fn turns(lowered: &Lowered, bounds: &[Bound], extents: &[usize], target: &Target) -> bool {
    let operands = || lowered.operands.iter().zip(bounds);
    let is_stored_along = |(operand, bound): (&super::lower::Operand, &Bound)| {
        operand.role != Role::Output || bound.strides.last() == Some(&(operand.dtype.size() as isize))
    };
    let across = operands().filter(|(operand, bound)| {
        operand.role == Role::Input && lies_across(bound, operand.dtype.size() as isize, extents)
    });
    matches!(lowered.leaf, Leaf::Map { .. })
        && target.wide_bytes() > 0
        && across.count() <= TURNED_OPERANDS
        && operands().all(is_stored_along)
}

/// Whether an operand's elements are neighbours along the axis before the vector axis, of which a turned tile has more than one
/// vector.
fn lies_across(bound: &Bound, size: isize, extents: &[usize]) -> bool {
    let [.., before, along] = bound.strides[..] else {
        return false;
    };
    let [.., rows, columns] = *extents else { return false };
    before == size && along.unsigned_abs() >= 64 && rows >= 16 && columns >= 16
}

/// Tiles pay where an operand strides along the vector axis and is short along the next one, so that a tile uses whole
/// cache lines that a plain loop would fetch again and again.
fn tile(leaf: &Leaf, operands: &[Operand], bounds: &[Bound], extents: &[usize]) -> Option<usize> {
    let axes = extents.len();
    if !matches!(leaf, Leaf::Map { .. }) || axes < 2 || extents[axes - 1] <= TILE || extents[axes - 2] <= 1 {
        return None;
    }
    let disagrees = operands.iter().zip(bounds).any(|(operand, bound)| {
        operand.stride == Stride::Any
            && bound.strides[axes - 1].unsigned_abs() >= 64
            && bound.strides[axes - 2].unsigned_abs() < 64
            && bound.strides[axes - 2] != 0
    });
    disagrees.then_some(TILE)
}

/// Lanes so that the narrowest value fills a 128-bit register, as long as the widest takes no more than four; unroll by the
/// length of the body and what the cores do of it in a cycle, the less the more registers a value takes.
fn vector_shape(leaf: &Leaf, operands: &[Operand], target: &Target) -> Vector {
    let bytes = target.vector_bytes();
    let mut functions: SmallVec<[&Func; 4]> = leaf.maps().iter().map(|(map, _)| *map).collect();
    for stage in leaf.stages() {
        match stage {
            Leaf::Reduce(reduce) => functions.push(&reduce.combine),
            Leaf::MatMul(product) => functions.push(&product.finish),
            Leaf::Map { .. } | Leaf::Rows(_) => {}
        }
    }
    let nodes = || {
        functions
            .iter()
            .flat_map(|f| f.iter().map(move |(id, node)| (f.dtype(id), node)))
    };
    let computed = nodes().filter(|(_, node)| !matches!(node.op, Op::Param(_) | Op::Const(_)));
    let stored = operands.iter().map(|o| o.dtype);
    // A bool that is only computed takes the width of what it was made from.
    let sizes: Vec<usize> = computed
        .map(|(dtype, _)| dtype)
        .filter(|d| *d != Dtype::Bool)
        .chain(stored)
        .map(|d| d.size())
        .collect();
    if bytes == 0 || sizes.is_empty() {
        return Vector { lanes: 1, unroll: 1 };
    }
    let widest = sizes.iter().copied().max().unwrap_or(1);
    let narrowest = sizes.iter().copied().min().unwrap_or(1);
    let lanes = (bytes / narrowest).min(4 * bytes / widest);
    let cost: u32 = nodes().map(|(_, node)| node.op.cost().flops()).sum();
    let registers = (lanes * widest).div_ceil(bytes) as u32;
    let unroll = target.microarchitecture().map_or(1, |core| {
        core.unroll(VectorWork {
            bytes,
            ops: (cost * registers) as usize,
            loads: varying(operands, Role::Input),
            stores: varying(operands, Role::Output),
        }) as u32
    });
    Vector {
        lanes: lanes as u32,
        unroll: (unroll / registers.min(unroll)).max(1),
    }
}

/// Vectors of accumulators per iteration of a reduction along its axis: where the body is short, enough that additions need
/// not wait for those before them in each chain. The code generator loads for all of them before it combines any, which takes
/// registers. Four / eight vectors of 128 bits took 0.167 / 0.122 cycles an element of an f32 sum on Sapphire Rapids, and
/// 0.223 / 0.383 of a dot product, which had not registers enough.
fn accumulators(reduce: &Reduce, operands: &[Operand], unroll: u32, target: &Target) -> u32 {
    let most = Microarchitecture::MOST_UNROLLED;
    let bytes = target.vector_bytes();
    match target.microarchitecture() {
        Some(core) if unroll as usize == most => {
            let held = reduce.accumulators().len() + varying(operands, Role::Input);
            let room = target.vector_registers(bytes) / held;
            1 << core.accumulators(bytes).next_power_of_two().min(room.max(most)).ilog2()
        }
        _ => unroll,
    }
}

/// The operands of a role with an element of their own for each index of the vector axis.
fn varying(operands: &[Operand], role: Role) -> usize {
    operands
        .iter()
        .filter(|o| o.role == role && o.stride != Stride::Zero)
        .count()
}
