//! What it takes to compute one element of a node again, from arrays in memory.
//!
//! In: a graph, its extents and readers. Out: an [`Estimate`] per node.
//!
//! The estimate of a node includes those of the maps that it reads, up to where an array is surely in memory: inputs,
//! outputs, results of reductions and what is made of these, and maps so expensive that two readers would rather have an
//! array. So a chain of cheap ops is weighed as a whole.

use loopweave_ir::Func;
use smallvec::SmallVec;

use super::cost::{self, Reader, Work};
use super::extents::Extent;
use super::reading::{Edge, Growth, Path, Reading};
use crate::graph::{ArrayOp, Graph, NodeId};

/// The most operands that are told apart: more than these are never worth reading again.
const MAX_OPERANDS: usize = 12;

/// What one element of a node takes.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    pub(super) work: Work,
    /// The arrays that it is computed from, each with the bytes of its element; 0 where one element serves many of the
    /// node's, since it then stays in cache.
    operands: SmallVec<[(NodeId, u64); 4]>,
    /// Whether it is a reduction or a matrix product, or made of the result of one element by element.
    pub(super) is_result: bool,
    /// Whether its array is in memory rather than computed again.
    is_array: bool,
}

/// The estimates of all nodes. `shape_of` has equal numbers for equal shapes.
pub(super) fn estimates(
    graph: &Graph,
    extents: &[Vec<Extent>],
    shape_of: &[u32],
    edges: &[Vec<Edge>],
) -> Vec<Estimate> {
    let mut is_output = vec![false; graph.nodes.len()];
    for &(_, id) in &graph.outputs {
        is_output[id.index()] = true;
    }
    let mut estimates: Vec<Estimate> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let bytes = node.dtype.size() as u64;
        let mut estimate = Estimate {
            work: Work {
                bytes,
                flops: 0,
                operand_bytes: 0,
                near: stays_near(bytes, &extents[id.index()]),
            },
            operands: SmallVec::new(),
            is_result: matches!(node.op, ArrayOp::Reduce { .. } | ArrayOp::MatMul),
            is_array: true,
        };
        if let ArrayOp::Map(func) = &node.op {
            estimate.work.flops = flops(func);
            let mut seen: SmallVec<[NodeId; 4]> = SmallVec::new();
            for &arg in &node.args {
                let from = graph.source(arg);
                if seen.contains(&from) {
                    continue;
                }
                seen.push(from);
                let same_shape = shape_of[from.index()] == shape_of[id.index()];
                let of = &estimates[from.index()];
                estimate.is_result |= of.is_result && arg == from && same_shape;
                let readings = readings(&edges[from.index()], id);
                if of.is_array
                    || readings
                        .iter()
                        .any(|r| r.path == Path::Reshaped || !of.may_repeat(r.growth))
                {
                    let is_constant = matches!(graph.node(from).op, ArrayOp::Constant(_));
                    let serves_many = is_constant || readings.iter().all(|r| r.growth != Growth::None);
                    let read = if serves_many { 0 } else { of.work.bytes };
                    estimate.reads(from, read);
                } else {
                    estimate.work.flops = estimate.work.flops.saturating_add(of.work.flops);
                    for &(operand, read) in &of.operands {
                        estimate.reads(operand, read);
                    }
                }
            }
            estimate.work.operand_bytes = estimate.operands.iter().map(|(_, bytes)| bytes).sum();
            let reader = Reader {
                copies: 1,
                further_bytes: estimate.work.operand_bytes,
                repeats: false,
            };
            let two_want_an_array = || !cost::compute_again(estimate.work, &[reader; 2], false);
            estimate.is_array =
                is_output[id.index()] || estimate.is_result || (edges[id.index()].len() > 1 && two_want_an_array());
        }
        estimates.push(estimate);
    }
    estimates
}

impl Estimate {
    /// Whether the node may be computed for each of the consumer's elements.
    pub(super) fn may_repeat(&self, growth: Growth) -> bool {
        match growth {
            Growth::None | Growth::Hoisted => true,
            Growth::Repeated(factor) => {
                cost::is_free(self.work.flops, self.operands.len())
                    || factor.is_some_and(|factor| cost::repeat_beats_array(self.work, factor as u64))
            }
        }
    }

    /// Bytes of the operands that a reader of these other arrays would read in addition to compute the node.
    pub(super) fn bytes_beside(&self, others: &[NodeId], estimates: &[Estimate]) -> u64 {
        self.operands_beside(others, estimates).map(|(_, bytes)| bytes).sum()
    }

    /// The operands that a reader of these other arrays would read in addition to compute the node.
    pub(super) fn operands_beside<'a>(
        &'a self,
        others: &'a [NodeId],
        estimates: &'a [Estimate],
    ) -> impl Iterator<Item = (NodeId, u64)> + 'a {
        let read_anyway = |operand: NodeId| {
            others.iter().any(|&other| {
                let of = &estimates[other.index()];
                other == operand || (!of.is_array && of.operands.iter().any(|&(o, _)| o == operand))
            })
        };
        self.operands
            .iter()
            .copied()
            .filter(move |&(operand, _)| !read_anyway(operand))
    }

    fn reads(&mut self, operand: NodeId, bytes: u64) {
        if let Some((_, read)) = self.operands.iter_mut().find(|(other, _)| *other == operand) {
            *read = (*read).max(bytes);
        } else if self.operands.len() < MAX_OPERANDS {
            self.operands.push((operand, bytes));
        }
    }
}

/// How a consumer reads an array, given the array's edges, which stand in the order of their consumers.
fn readings(edges: &[Edge], consumer: NodeId) -> &[Reading] {
    match edges.binary_search_by_key(&consumer, |edge| edge.consumer) {
        Ok(i) => &edges[i].readings,
        Err(_) => &[],
    }
}

/// Operations on 4 bytes.
fn flops(func: &Func) -> u64 {
    let weight = |(id, node): (_, &loopweave_ir::Node)| {
        let operand = node.args.first().map_or(func.dtype(id), |&arg| func.dtype(arg));
        let wide = operand.size().max(func.dtype(id).size()) == 8;
        node.op.cost().flops() as u64 * (1 + wide as u64)
    };
    func.iter().map(weight).sum()
}

fn stays_near(bytes: u64, extents: &[Extent]) -> bool {
    let total = extents.iter().try_fold(bytes, |bytes, extent| match extent {
        Extent::Fixed(extent) => bytes.checked_mul(*extent as u64),
        Extent::Named(_) | Extent::Of(..) => None,
    });
    total.is_some_and(|total| total <= cost::CACHE)
}
