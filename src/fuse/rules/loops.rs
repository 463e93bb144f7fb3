//! What a group reduces, and which reductions share one pass.
//!
//! In: reductions of a graph. Out: their [`Loops`], and whether two of them can be one without moving a bit.

use super::super::{Reason, cost};
use crate::graph::combiner::Combiner;
use crate::graph::{ArrayOp, Graph, NodeId};

/// What a group reduces.
#[derive(Clone, Debug)]
pub(super) struct Loops {
    pub(super) reductions: Vec<NodeId>,
    /// The shape of what is reduced, as a number.
    pub(super) domain: u32,
    pub(super) axes: Vec<usize>,
    /// Virtual lanes of the reductions whose bits depend on the order; `None` while there are none.
    lanes: Option<u32>,
    starts_from_value: bool,
    /// The number and the bytes of the values that are accumulated.
    accumulators: (usize, usize),
}

impl Loops {
    /// What a node loops over, if it reduces.
    pub(super) fn of(graph: &Graph, id: NodeId, shape_of: &[u32]) -> Option<Loops> {
        let node = graph.node(id);
        let (reduction, axes) = match &node.op {
            ArrayOp::Reduce { reduction, axes, .. } => (reduction, axes),
            // No other node has the loops of a product.
            ArrayOp::MatMul => {
                return Some(Loops {
                    reductions: vec![id],
                    domain: u32::MAX - id.0,
                    axes: Vec::new(),
                    lanes: None,
                    starts_from_value: false,
                    accumulators: (1, node.dtype.compute().size()),
                });
            }
            _ => return None,
        };
        let combiner = Combiner::of(reduction, graph.node(node.args[0]).dtype, node.dtype);
        let bytes = combiner.accumulators.iter().map(|d| d.size()).sum();
        Some(Loops {
            reductions: vec![id],
            domain: shape_of[node.args[0].index()],
            axes: axes.clone(),
            lanes: (!combiner.order_free).then(|| combiner.lanes()),
            starts_from_value: combiner.apply_init,
            accumulators: (combiner.accumulators.len(), bytes),
        })
    }

    /// Both in one pass, where that is the order of each.
    pub(super) fn with(&self, other: &Loops) -> Result<Loops, Reason> {
        if self.domain != other.domain || self.axes != other.axes {
            return Err(Reason::SecondReduction);
        }
        if let (Some(a), Some(b)) = (self.lanes, other.lanes)
            && a != b
        {
            return Err(Reason::OrderDependent);
        }
        if self.starts_from_value != other.starts_from_value {
            return Err(Reason::InitialValue);
        }
        let accumulators = (
            self.accumulators.0 + other.accumulators.0,
            self.accumulators.1 + other.accumulators.1,
        );
        let (count, bytes) = cost::MAX_ACCUMULATORS;
        if accumulators.0 > count || accumulators.1 > bytes {
            return Err(Reason::KernelTooLarge);
        }
        Ok(Loops {
            reductions: [&self.reductions[..], &other.reductions].concat(),
            lanes: self.lanes.or(other.lanes),
            accumulators,
            ..self.clone()
        })
    }
}
