//! The bytes that the ops of a program would move as kernels of their own.
//!
//! In: a graph and its shapes. Out: bytes, counted as those of a schedule are: each array's elements that are reached, once.

use crate::fuse;
use crate::graph::bind::Shapes;
use crate::graph::{ArrayOp, Graph, NodeId};

/// The bytes that each kernel reads and writes where nothing is fused.
pub(super) fn unfused(graph: &Graph, shapes: &Shapes) -> Vec<usize> {
    let plan = fuse::unfused(graph);
    let roots = plan.groups.iter().flat_map(|group| &group.roots);
    roots.map(|&root| alone(graph, shapes, root)).collect()
}

/// The bytes of a node's array.
pub(super) fn array_bytes(graph: &Graph, shapes: &Shapes, id: NodeId) -> usize {
    let extents = shapes[id].iter();
    extents.fold(graph.node(id).dtype.size(), |bytes, &extent| {
        bytes.saturating_mul(extent)
    })
}

fn alone(graph: &Graph, shapes: &Shapes, root: NodeId) -> usize {
    let node = graph.node(root);
    let own = [root];
    // A view that is an output is copied.
    let args = match node.op {
        ArrayOp::View(_) | ArrayOp::Input { .. } | ArrayOp::Constant(_) => &own[..],
        ArrayOp::Map(_) | ArrayOp::Reduce { .. } | ArrayOp::MatMul => &node.args[..],
    };
    let mut read: Vec<NodeId> = Vec::with_capacity(args.len());
    for &arg in args {
        if !read.contains(&arg) {
            read.push(arg);
        }
    }
    let read = read.into_iter().map(|arg| reached(graph, shapes, arg));
    read.fold(array_bytes(graph, shapes, root), usize::saturating_add)
}

/// The bytes in memory that a node's elements are: views may show some of them, or some several times. A constant has none.
fn reached(graph: &Graph, shapes: &Shapes, mut id: NodeId) -> usize {
    let mut bytes = array_bytes(graph, shapes, id);
    while let ArrayOp::View(_) = graph.node(id).op {
        id = graph.node(id).args[0];
        bytes = bytes.min(array_bytes(graph, shapes, id));
    }
    match graph.node(id).op {
        ArrayOp::Constant(_) => 0,
        _ => bytes,
    }
}
