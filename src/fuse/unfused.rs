//! The plan that fuses nothing, to compare with and to find out where a result comes from.
//!
//! In: a graph. Out: a [`Plan`] with a group for each computed node, and no decisions.

use super::extents::extents;
use super::reading::is_computed;
use super::{GroupKind, Plan, group};
use crate::graph::{ArrayOp, Graph, NodeId};

/// Each computed node in a group of its own.
pub fn unfused(graph: &Graph) -> Plan {
    let extents = extents(graph);
    let is_output = |id: NodeId| graph.outputs.iter().any(|(_, output)| *output == id);
    let alone = |(id, node): (NodeId, &crate::graph::Node)| {
        let kind = match &node.op {
            ArrayOp::Reduce { .. } => GroupKind::Reduce(vec![id]),
            ArrayOp::MatMul => GroupKind::MatMul(id),
            op if is_computed(op) || is_output(id) => GroupKind::Map,
            _ => return None,
        };
        Some(group(graph, &extents, vec![id], vec![id], kind))
    };
    Plan {
        groups: graph.iter().filter_map(alone).collect(),
        decisions: Vec::new(),
    }
}
