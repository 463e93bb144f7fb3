//! The drawing of a program: its ops in their kernels, and the arrays that pass between them.
//!
//! In: a [`Report`]. Out: a [`Drawing`], which [`super::dot`] writes for Graphviz and [`super::svg`] draws.
//!
//! Invariants: an op that several kernels compute is drawn in each of them; views and constants are no nodes, as nothing
//! computes them: views label the edges that they lie on. Nodes stand in the order of the program: inputs, kernels, outputs.

use std::collections::BTreeMap;

use super::{Op, Output, Report};

/// What a program looks like.
#[derive(Debug)]
pub(super) struct Drawing<'r> {
    pub(super) nodes: Vec<Node<'r>>,
    pub(super) edges: Vec<Edge<'r>>,
}

/// A node of the drawing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'r> {
    /// An argument of the call.
    Input(&'r Op),
    /// An op, and the kernel that computes it.
    Op(&'r Op, usize),
    /// A result, and the op that it is.
    Output(&'r Output, &'r Op),
}

/// An array from the node that makes it to one that reads it.
#[derive(Debug)]
pub(super) struct Edge<'r> {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The views it is read through, the first one first.
    pub(super) views: Vec<&'r str>,
    /// Why the array goes through memory, where the two could have been one kernel.
    pub(super) refused: Option<&'r str>,
}

impl Node<'_> {
    /// The kernel that the node is in.
    pub(super) fn group(&self) -> Option<usize> {
        match self {
            Node::Op(_, group) => Some(*group),
            Node::Input(_) | Node::Output(..) => None,
        }
    }
}

impl<'r> Drawing<'r> {
    /// The drawing of a report.
    pub(super) fn of(report: &'r Report) -> Drawing<'r> {
        let mut drawing = Drawing {
            nodes: Vec::new(),
            edges: Vec::new(),
        };
        // Per op: the node that has its array in memory.
        let mut stored: Vec<Option<usize>> = vec![None; report.ops.len()];
        for (id, op) in report.ops.iter().enumerate().filter(|(_, op)| op.kind == "input") {
            stored[id] = Some(drawing.push(Node::Input(op)));
        }
        // Per kernel, the node of each of its ops.
        let mut members: Vec<BTreeMap<usize, usize>> = Vec::with_capacity(report.groups.len());
        for (g, group) in report.groups.iter().enumerate() {
            let ops = group.ops.iter().filter_map(|&id| Some((id, report.ops.get(id)?)));
            let nodes: BTreeMap<usize, usize> = ops.map(|(id, op)| (id, drawing.push(Node::Op(op, g)))).collect();
            for (&id, &node) in nodes.iter().filter(|(id, _)| group.stores.contains(id)) {
                stored[id] = Some(node);
            }
            members.push(nodes);
        }
        for nodes in &members {
            for (&id, &to) in nodes {
                for &arg in &report.ops[id].args {
                    let (source, views) = source(report, arg);
                    let inside = nodes.get(&source).copied();
                    let refused = inside.is_none().then(|| refusal(report, source, id)).flatten();
                    let from = inside.or_else(|| stored.get(source).copied().flatten());
                    drawing.connect(from, to, views, refused);
                }
            }
        }
        for output in &report.outputs {
            let Some(op) = report.ops.get(output.op) else { continue };
            let to = drawing.push(Node::Output(output, op));
            drawing.connect(stored[output.op], to, Vec::new(), None);
        }
        drawing
    }

    fn push(&mut self, node: Node<'r>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// An edge, unless it is there already; constants are in no memory and have none. All edges lead to later nodes, also
    /// those of a report that was read from a file.
    fn connect(&mut self, from: Option<usize>, to: usize, views: Vec<&'r str>, refused: Option<&'r str>) {
        let Some(from) = from.filter(|&from| from < to) else {
            return;
        };
        let mut of_reader = self.edges.iter().rev().take_while(|edge| edge.to == to);
        if !of_reader.any(|edge| edge.from == from && edge.views == views) {
            self.edges.push(Edge {
                from,
                to,
                views,
                refused,
            });
        }
    }
}

/// The op whose elements an array shows, and the views between the two.
fn source(report: &Report, mut id: usize) -> (usize, Vec<&str>) {
    let mut views = Vec::new();
    while let Some(op) = report.ops.get(id).filter(|op| op.is_view()) {
        let Some(&arg) = op.args.first() else { break };
        views.push(op.kind.as_str());
        id = arg;
    }
    views.reverse();
    (id, views)
}

fn refusal(report: &Report, producer: usize, consumer: usize) -> Option<&str> {
    let of_edge = report.decisions.iter().filter(|d| !d.siblings && !d.fused);
    let mut refused = of_edge.filter(|d| d.ops == Some([producer, consumer]));
    refused.next().map(|d| d.code.as_str())
}
