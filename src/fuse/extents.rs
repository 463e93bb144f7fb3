//! Which extents of a graph are the same in every call.
//!
//! In: a [`Graph`]. Out: per node, an [`Extent`] per axis; two equal extents are equal numbers in any call that binds.
//!
//! Invariant: never wrong, often ignorant: extents that differ here may still be equal in a call, and an extent that is not
//! [`Extent::ONE`] may be 1.

use crate::graph::{ArrayOp, Dim, Graph, Node, NodeId, Slice, View};

/// An extent known before any call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Extent {
    /// A number.
    Fixed(usize),
    /// An extent that the program names.
    Named(String),
    /// The extent of this axis of this node, whatever it is.
    Of(NodeId, usize),
}

impl Extent {
    /// An extent that is 1 in every call.
    pub(super) const ONE: Extent = Extent::Fixed(1);
}

/// The extents of every node.
pub(super) fn extents(graph: &Graph) -> Vec<Vec<Extent>> {
    let mut known: Vec<Vec<Extent>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let extents = node_extents(id, node, &known);
        debug_assert_eq!(extents.len(), node.rank, "extents of {id}");
        known.push(extents);
    }
    known
}

fn node_extents(id: NodeId, node: &Node, known: &[Vec<Extent>]) -> Vec<Extent> {
    let arg = |i: usize| &known[node.args[i].index()];
    let declared = |axis: usize, dim: Option<&Dim>| match dim {
        Some(Dim::Fixed(extent)) => Extent::Fixed(*extent),
        Some(Dim::Name(name)) => Extent::Named(name.clone()),
        None => Extent::Of(id, axis),
    };
    match &node.op {
        ArrayOp::Input { dims } => dims.iter().enumerate().map(|(i, d)| declared(i, d.as_ref())).collect(),
        ArrayOp::Constant(_) => Vec::new(),
        ArrayOp::Map(_) => {
            let args: Vec<&Vec<Extent>> = node.args.iter().map(|a| &known[a.index()]).collect();
            (0..node.rank)
                .map(|axis| broadcast(&args, node.rank, axis).unwrap_or(Extent::Of(id, axis)))
                .collect()
        }
        ArrayOp::Reduce { axes, keepdims, .. } => {
            let kept = |(axis, extent): (usize, &Extent)| match (axes.contains(&axis), keepdims) {
                (false, _) => Some(extent.clone()),
                (true, true) => Some(Extent::ONE),
                (true, false) => None,
            };
            arg(0).iter().enumerate().filter_map(kept).collect()
        }
        ArrayOp::MatMul => {
            let (left, right) = (arg(0), arg(1));
            let rows = left.len().checked_sub(2).map(|axis| left[axis].clone());
            let columns = (right.len() > 1).then(|| right[right.len() - 1].clone());
            let lead = |extents: &Vec<Extent>| extents[..extents.len().saturating_sub(2)].to_vec();
            let batch = node.rank - rows.is_some() as usize - columns.is_some() as usize;
            let leads = [lead(left), lead(right)];
            let batch =
                (0..batch).map(|axis| broadcast(&[&leads[0], &leads[1]], batch, axis).unwrap_or(Extent::Of(id, axis)));
            batch.chain(rows).chain(columns).collect()
        }
        ArrayOp::View(View::Permute(axes)) => axes.iter().map(|&axis| arg(0)[axis].clone()).collect(),
        ArrayOp::View(View::Broadcast(dims)) => dims.iter().enumerate().map(|(i, d)| declared(i, Some(d))).collect(),
        ArrayOp::View(View::Reshape(dims)) => {
            let open = remaining(arg(0), dims);
            let extent = |(axis, dim): (usize, &Option<Dim>)| match (dim, &open) {
                (None, Some(open)) => open.clone(),
                _ => declared(axis, dim.as_ref()),
            };
            dims.iter().enumerate().map(extent).collect()
        }
        ArrayOp::View(View::Slice(slices)) => sliced(id, slices, arg(0)),
    }
}

/// The extent that the arguments' axes broadcast to, where it is one of theirs in every call.
fn broadcast(args: &[&Vec<Extent>], rank: usize, axis: usize) -> Option<Extent> {
    let at_axis = args.iter().filter_map(|extents| {
        let lead = rank - extents.len();
        axis.checked_sub(lead).map(|i| &extents[i])
    });
    let mut met = &Extent::ONE;
    for extent in at_axis {
        if *met == Extent::ONE || met == extent {
            met = extent;
        } else if *extent != Extent::ONE {
            // A fixed extent beside an unknown one wins: the other can only be the same, or 1.
            match (met, extent) {
                (Extent::Fixed(_), _) => {}
                (_, Extent::Fixed(_)) => met = extent,
                _ => return None,
            }
        }
    }
    Some(met.clone())
}

/// The extent that a reshape leaves open, where the others are all there before: then it is what is left of those.
fn remaining(from: &[Extent], to: &[Option<Dim>]) -> Option<Extent> {
    let mut left: Vec<&Extent> = from.iter().filter(|extent| **extent != Extent::ONE).collect();
    for dim in to.iter().flatten() {
        let extent = match dim {
            Dim::Fixed(1) => continue,
            Dim::Fixed(extent) => Extent::Fixed(*extent),
            Dim::Name(name) => Extent::Named(name.clone()),
        };
        let met = left.iter().position(|other| **other == extent)?;
        left.remove(met);
    }
    match left[..] {
        [] => Some(Extent::ONE),
        [extent] => Some(extent.clone()),
        _ => None,
    }
}

fn sliced(id: NodeId, slices: &[Slice], from: &[Extent]) -> Vec<Extent> {
    let mut result = Vec::new();
    let mut axes = from.iter();
    for slice in slices {
        let extent = match slice {
            Slice::New => Some(Extent::ONE),
            Slice::At(_) => {
                axes.next();
                None
            }
            // Every element of the axis, forwards or backwards.
            Slice::Range {
                start: None,
                stop: None,
                step: 1 | -1,
            } => axes.next().cloned(),
            Slice::Range { .. } => {
                axes.next();
                Some(Extent::Of(id, result.len()))
            }
        };
        result.extend(extent);
    }
    result.extend(axes.cloned());
    result
}
