//! Balancing: long chains of float sums or products become trees of least depth (permission `REASSOC`).
//!
//! In: a simplified typed [`Func`]. Out: the same function with ((a + b) + c) + d written as (a + b) + (c + d). Terms keep
//! their order, and the number of ops stays; the longest path shrinks from n to log₂ n, which is what bounds a loop body
//! with few elements in flight.
//!
//! A chain is a tree of one op whose inner nodes have one user each, so that no partial sum that someone needs is lost.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::func::{Builder, ExprId, Func};
use crate::op::Op;

/// Chains of fewer terms have least depth however they are grouped, or gain nothing.
const MIN_TERMS: usize = 4;

/// The function with its chains balanced.
pub(super) fn balance(func: &Func) -> Func {
    let chains = deep_chains(func);
    let mut absorbed = vec![false; func.nodes().len()];
    for id in chains.values().flat_map(|chain| &chain.inner) {
        absorbed[id.index()] = true;
    }
    let mut builder = Builder::typed(func.name());
    let params: Vec<ExprId> = func
        .params()
        .iter()
        .map(|p| builder.param(p.name.clone(), p.dtype))
        .collect();
    // An inner node of a deep chain has no node of its own in the new function: its root makes the whole tree.
    let mut map: Vec<Option<ExprId>> = Vec::with_capacity(func.nodes().len());
    for (id, node) in func.iter() {
        let new = match (node.op, chains.get(&id)) {
            (Op::Param(p), _) => Some(params[p as usize]),
            _ if absorbed[id.index()] => None,
            (op, Some(chain)) => {
                let terms = chain.terms.iter().filter_map(|t| map[t.index()]).collect();
                Some(tree(&mut builder, op, terms))
            }
            (op, None) => {
                let args: SmallVec<[ExprId; 3]> = node.args.iter().filter_map(|a| map[a.index()]).collect();
                Some(builder.node(op, &args))
            }
        };
        map.push(new);
    }
    let results: Vec<ExprId> = func.results().iter().filter_map(|r| map[r.index()]).collect();
    builder.finish(&results)
}

/// A maximal tree of one op.
#[derive(Default)]
struct Chain {
    /// What is summed or multiplied, left to right.
    terms: Vec<ExprId>,
    /// The nodes of the op but for the root.
    inner: Vec<ExprId>,
    /// The number of ops over the deepest term.
    depth: u32,
}

/// The chains that are deeper than they need to be, by their roots.
fn deep_chains(func: &Func) -> HashMap<ExprId, Chain> {
    let is_inner = inner_nodes(func);
    let roots = func
        .iter()
        .map(|(id, _)| id)
        .filter(|&id| is_chain_op(func, id) && !is_inner[id.index()]);
    roots
        .map(|root| (root, chain(func, root, &is_inner)))
        .filter(|(_, chain)| chain.terms.len() >= MIN_TERMS && chain.depth > least_depth(chain.terms.len()))
        .collect()
}

fn is_chain_op(func: &Func, id: ExprId) -> bool {
    matches!(func.node(id).op, Op::Add | Op::Mul) && func.dtype(id).is_float()
}

/// For each node, whether its one user is of the same chain.
fn inner_nodes(func: &Func) -> Vec<bool> {
    let mut users = vec![0u32; func.nodes().len()];
    let mut same_op = vec![false; func.nodes().len()];
    for (id, node) in func.iter() {
        for arg in node.args.iter() {
            users[arg.index()] += 1;
            same_op[arg.index()] = is_chain_op(func, id) && func.node(*arg).op == node.op;
        }
    }
    for result in func.results() {
        users[result.index()] += 1;
    }
    users.iter().zip(same_op).map(|(&n, same)| n == 1 && same).collect()
}

fn chain(func: &Func, root: ExprId, is_inner: &[bool]) -> Chain {
    let mut chain = Chain::default();
    let mut stack = vec![(root, 0)];
    while let Some((id, depth)) = stack.pop() {
        if id != root && !is_inner[id.index()] {
            chain.terms.push(id);
            chain.depth = chain.depth.max(depth);
            continue;
        }
        if id != root {
            chain.inner.push(id);
        }
        let args = func.node(id).args;
        stack.extend([(args[1], depth + 1), (args[0], depth + 1)]);
    }
    chain
}

/// ⌈log₂ n⌉.
fn least_depth(terms: usize) -> u32 {
    terms.next_power_of_two().trailing_zeros()
}

fn tree(builder: &mut Builder, op: Op, mut level: Vec<ExprId>) -> ExprId {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match *pair {
                [x, y] => builder.node(op, &[x, y]),
                _ => pair[0],
            })
            .collect();
    }
    level[0]
}
