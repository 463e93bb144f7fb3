//! How one node reads another's array: through which views, and along which axes one element serves many.
//!
//! In: a graph and its extents. Out: per array, its [`Edge`]s: the computed nodes that read it, with their [`Reading`]s.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::extents::Extent;
use crate::graph::{ArrayOp, Graph, NodeId, View};

/// A node that reads an array.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    /// A map, a reduction, or a view that is an output.
    pub(super) consumer: NodeId,
    /// The ways in which it reads the array, all different.
    pub(super) readings: SmallVec<[Reading; 1]>,
}

/// One way of reading an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The array itself, or the view of it that the consumer has as an argument; of views that do the same, the first.
    pub(super) through: NodeId,
    /// What the views do.
    pub(super) path: Path,
    /// Where one element serves many of the consumer's.
    pub(super) growth: Growth,
}

/// What the views between an array and its reader do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// There are none.
    Same,
    /// They pick, reorder and repeat elements, so they can be turned into addresses of the producer's operands.
    Moved,
    /// They bring axes together or take them apart, which strides of another array may not allow.
    Reshaped,
}

/// Along which axes one element of an array serves many of its reader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Along none, as far as the program says.
    None,
    /// Along the innermost axis alone, or the array has a single element: what does not change along that axis is computed
    /// once per row.
    Hoisted,
    /// Along others, by this factor where it is known.
    Repeated(Option<usize>),
}

/// The readers of each node's array, in order.
/// `views` is [`same_views`].
pub(super) fn edges(graph: &Graph, extents: &[Vec<Extent>], views: &[NodeId]) -> Vec<Vec<Edge>> {
    let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); graph.nodes.len()];
    let mut is_output = vec![false; graph.nodes.len()];
    for &(_, id) in &graph.outputs {
        is_output[id.index()] = true;
    }
    for (id, node) in graph.iter() {
        let args: &[NodeId] = match &node.op {
            ArrayOp::Map(_) | ArrayOp::Reduce { .. } | ArrayOp::MatMul => &node.args,
            ArrayOp::View(_) if is_output[id.index()] => &[id],
            _ => &[],
        };
        for &arg in args {
            let reading = reading(graph, extents, views[arg.index()], id);
            let edges = &mut edges[graph.source(arg).index()];
            match edges.last_mut() {
                Some(edge) if edge.consumer == id => {
                    if !edge.readings.contains(&reading) {
                        edge.readings.push(reading);
                    }
                }
                _ => edges.push(Edge {
                    consumer: id,
                    readings: SmallVec::from_iter([reading]),
                }),
            }
        }
    }
    edges
}

/// Whether a nest must compute the node.
pub(super) fn is_computed(op: &ArrayOp) -> bool {
    matches!(op, ArrayOp::Map(_) | ArrayOp::Reduce { .. } | ArrayOp::MatMul)
}

/// Per node, the first one that shows the same elements at the same indices by the same views.
pub(super) fn same_views(graph: &Graph) -> Vec<NodeId> {
    let mut first: HashMap<(NodeId, &View), NodeId> = HashMap::new();
    let mut same: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        same.push(match &node.op {
            ArrayOp::View(view) => *first.entry((same[node.args[0].index()], view)).or_insert(id),
            _ => id,
        });
    }
    same
}

fn reading(graph: &Graph, extents: &[Vec<Extent>], through: NodeId, consumer: NodeId) -> Reading {
    let mut path = Path::Same;
    // A reduction's iteration space is its argument's shape, and a view has its own.
    let mut growth = match graph.node(consumer).op {
        ArrayOp::Map(_) => grown(&extents[through.index()], &extents[consumer.index()]),
        _ => Growth::None,
    };
    let mut id = through;
    while let ArrayOp::View(view) = &graph.node(id).op {
        let arg = graph.node(id).args[0];
        let (from, to) = (&extents[arg.index()], &extents[id.index()]);
        match view {
            View::Permute(_) | View::Slice(_) => {}
            View::Broadcast(_) => {
                growth = match grown(from, to) {
                    // Behind another view, the innermost axis may be another one.
                    Growth::Hoisted if path != Path::Same => Growth::Repeated(None),
                    own => own.then(growth),
                }
            }
            View::Reshape(_) if only_ones_differ(from, to) => {}
            View::Reshape(_) => path = Path::Reshaped,
        }
        if path == Path::Same {
            path = Path::Moved;
        }
        id = arg;
    }
    Reading { through, path, growth }
}

impl Growth {
    /// This growth, then another one.
    fn then(self, other: Growth) -> Growth {
        match (self, other) {
            (Growth::None, other) => other,
            (own, Growth::None) => own,
            (Growth::Repeated(Some(a)), Growth::Repeated(Some(b))) => Growth::Repeated(a.checked_mul(b)),
            _ => Growth::Repeated(None),
        }
    }
}

/// Where an axis is surely repeated: one that `from` lacks, or where it has extent 1 and `to` has not.
fn grown(from: &[Extent], to: &[Extent]) -> Growth {
    let lead = to.len() - from.len();
    let repeated = |axis: &usize| match axis.checked_sub(lead) {
        None => to[*axis] != Extent::ONE,
        Some(own) => from[own] == Extent::ONE && to[*axis] != Extent::ONE,
    };
    let axes: SmallVec<[usize; 4]> = (0..to.len()).filter(repeated).collect();
    let is_single = from.iter().all(|extent| *extent == Extent::ONE);
    match axes[..] {
        [] => Growth::None,
        _ if is_single => Growth::Hoisted,
        [axis] if axis + 1 == to.len() => Growth::Hoisted,
        _ => Growth::Repeated(axes.iter().try_fold(1usize, |factor, &axis| match to[axis] {
            Extent::Fixed(extent) => factor.checked_mul(extent),
            Extent::Named(_) | Extent::Of(..) => None,
        })),
    }
}

/// Whether two shapes differ in axes of extent 1 alone, in every call.
fn only_ones_differ(from: &[Extent], to: &[Extent]) -> bool {
    let long = |extents: &'_ [Extent]| {
        extents
            .iter()
            .filter(|e| **e != Extent::ONE)
            .cloned()
            .collect::<Vec<_>>()
    };
    long(from) == long(to)
}
