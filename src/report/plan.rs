//! The plan as text: the ops as they stand in the program, the kernels that they became, and what was decided between them.
//!
//! In: a graph, its plan, the lowered groups, and the text the program was made from. Out: text. Extents, and so bytes, are
//! not known here: traffic is counted in passes over arrays.

use std::fmt::Write as _;

use loopweave_ir::text::Source;

use super::gather::kind_of;
use super::words::count;
use crate::fuse::{self, Decision, Group, GroupKind, Plan, Relation};
use crate::graph::{ArrayOp, Graph, Node, NodeId};
use crate::nest::Role;
use crate::nest::lower::Lowered;

/// A plan beside what it was made of.
pub(crate) fn print(graph: &Graph, plan: &Plan, groups: &[Lowered], source: Option<&Source>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let unfused = fuse::unfused(graph);
    let alone = unfused
        .groups
        .iter()
        .map(|group| passes_alone(graph, group.roots[0]))
        .sum();
    let _ = writeln!(text, "before fusion: {}", kernels(unfused.groups.len(), alone));
    text += &ops(graph, source);
    let together = groups.iter().map(passes).sum();
    let _ = writeln!(text, "after fusion: {}", kernels(groups.len(), together));
    for (i, group) in plan.groups.iter().enumerate() {
        let (members, roots) = (names(graph, &group.members), names(graph, &group.roots));
        let kind = kind(group);
        let _ = writeln!(text, "  group {i} {}: {kind} of {members}, storing {roots}", group.name);
    }
    for decision in &plan.decisions {
        let (producer, consumer) = (graph.node(decision.producer), graph.node(decision.consumer));
        let between = match decision.relation {
            Relation::Edge => "into",
            Relation::Siblings => "beside",
        };
        let saves = saved_passes(graph, decision);
        let (producer, consumer) = (&producer.name, &consumer.name);
        let _ = writeln!(text, "  {producer} {between} {consumer}: {}{saves}", decision.verdict);
    }
    text
}

fn kernels(kernels: usize, passes: usize) -> String {
    let passes = match passes {
        1 => String::from("1 pass"),
        n => format!("{n} passes"),
    };
    format!("{}, {passes} over arrays", count(kernels, "kernel"))
}

/// A line for each op that is computed: its name, what it does to which arrays, and where it stands.
fn ops(graph: &Graph, source: Option<&Source>) -> String {
    let rows: Vec<[String; 2]> = graph
        .iter()
        .filter(|(_, node)| !matches!(node.op, ArrayOp::Input { .. } | ArrayOp::Constant(_)))
        .map(|(_, node)| {
            let place = source.filter(|_| node.span.end > node.span.start);
            let place = place.map(|source| {
                let (line, column) = source.position(node.span.start);
                format!("  {line}:{column}")
            });
            let call = format!("{}({})", verb(node), args(graph, node));
            [node.name.clone(), call + &place.unwrap_or_default()]
        })
        .collect();
    let width = rows.iter().map(|[name, _]| name.chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|[name, call]| format!("  {name:<width$} = {call}\n"))
        .collect()
}

/// The function of a map, or what else makes the array.
fn verb(node: &Node) -> &str {
    match &node.op {
        ArrayOp::Map(func) => func.name(),
        op => kind_of(op),
    }
}

fn args(graph: &Graph, node: &Node) -> String {
    let arg = |&id: &NodeId| match &graph.node(id).op {
        ArrayOp::Constant(value) => value.to_string(),
        _ => graph.node(id).name.clone(),
    };
    node.args.iter().map(arg).collect::<Vec<_>>().join(", ")
}

fn kind(group: &Group) -> &'static str {
    match &group.kind {
        GroupKind::Map => "map",
        GroupKind::Reduce(_) => "reduce",
        GroupKind::MatMul(_) => "matmul",
        GroupKind::Rows(_) => "rows",
    }
}

fn names(graph: &Graph, nodes: &[NodeId]) -> String {
    let names: Vec<&str> = nodes.iter().map(|&node| graph.node(node).name.as_str()).collect();
    names.join(", ")
}

/// The arrays that an op alone reads and writes.
fn passes_alone(graph: &Graph, root: NodeId) -> usize {
    let node = graph.node(root);
    let is_array = |id: &NodeId| !matches!(graph.node(*id).op, ArrayOp::Constant(_));
    let mut args: Vec<NodeId> = node.args.iter().copied().filter(is_array).collect();
    args.sort_unstable();
    args.dedup();
    args.len() + 1
}

/// The arrays that a group reads and writes.
fn passes(group: &Lowered) -> usize {
    let operands = group.operands.iter().filter(|operand| operand.role != Role::Local);
    operands.count()
}

/// The passes over arrays in memory that a decision saves.
fn saved_passes(graph: &Graph, decision: &Decision) -> String {
    let passes = |sign: i32| -> Vec<String> {
        let these = decision.saves.iter().filter(|t| t.passes * sign > 0);
        these
            .map(|t| format!("{} of {}", t.passes * sign, graph.node(t.array).name))
            .collect()
    };
    let (saved, added) = (passes(1), passes(-1));
    match (saved.is_empty(), added.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!(", saves passes: {}", saved.join(", ")),
        (false, false) => format!(", saves passes: {}, for {}", saved.join(", "), added.join(", ")),
    }
}
