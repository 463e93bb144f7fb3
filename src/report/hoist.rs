//! What a nest computes before its vector loop: constants, operands with one element for the whole loop, and all that is
//! made of these alone.
//!
//! In: a nest. Out: one [`Hoisted`] for each function that has such values. The generated code follows the same rule; it is
//! read off the nest here, so that a report needs no code.

use loopweave_ir::text::{print_expr, raise};
use loopweave_ir::{Builder, ExprId, Func, Op};

use super::Hoisted;
use crate::nest::{AxisRole, Leaf, Nest, OperandId, Stride};

/// An expression with more ops than these is counted instead of shown.
const SHOWN_OPS: usize = 8;

/// What is the same for the whole vector loop, by function.
pub(super) fn hoisted(nest: &Nest) -> Vec<Hoisted> {
    let stages = nest.leaf.stages().iter();
    stages.flat_map(|stage| of_stage(nest, stage)).collect()
}

fn of_stage(nest: &Nest, stage: &Leaf) -> Vec<Hoisted> {
    match stage {
        Leaf::Map { map, loads, .. } => of_function(nest, map, 0, loads).into_iter().collect(),
        // The values of a row of results are finished side by side where these have the vector loop.
        Leaf::Reduce(reduce) => {
            let accumulated = reduce.finish.params().len() - reduce.finish_loads.len();
            let finish = || of_function(nest, &reduce.finish, accumulated, &reduce.finish_loads);
            let finish = nest.is_across().then(finish).flatten();
            let map = of_function(nest, &reduce.map, 0, &reduce.loads);
            map.into_iter().chain(finish).collect()
        }
        Leaf::MatMul(product) => of_function(nest, &product.finish, 1, &product.finish_loads)
            .into_iter()
            .collect(),
        Leaf::Rows(_) => Vec::new(),
    }
}

/// The values of a function whose parameters from `first` on are loaded from these operands.
fn of_function(nest: &Nest, func: &Func, first: usize, loads: &[OperandId]) -> Option<Hoisted> {
    let once = |param: usize| {
        let load = param.checked_sub(first).and_then(|i| loads.get(i));
        load.is_some_and(|&id| nest.operand(id).stride == Stride::Zero)
    };
    let is_constant = |id: ExprId| matches!(func.node(id).op, Op::Const(_));
    let mut same = vec![false; func.nodes().len()];
    for (id, node) in func.iter() {
        same[id.index()] = match node.op {
            Op::Param(p) => once(p as usize),
            Op::Index => false,
            Op::Const(_) => true,
            _ => node.args.iter().all(|a| same[a.index()]),
        };
    }
    // What the loop itself uses; the rest only serves to compute that.
    let mut used = vec![false; func.nodes().len()];
    for (_, node) in func.iter().filter(|(id, _)| !same[id.index()]) {
        node.args.iter().for_each(|a| used[a.index()] = true);
    }
    func.results().iter().for_each(|r| used[r.index()] = true);
    let ready = || {
        func.iter()
            .map(|(id, _)| id)
            .filter(|id| same[id.index()] && used[id.index()])
    };
    let values: Vec<String> = ready()
        .filter(|&id| !is_constant(id))
        .map(|id| text(func, id))
        .collect();
    let constants = ready().filter(|&id| is_constant(id)).count();
    let vector = nest.vector_axis();
    let named = |name: &&String| *name != "_";
    (!values.is_empty() || constants > 0).then(|| Hoisted {
        axis: nest.axes[vector.index()].name.clone(),
        outer: nest.axes[..vector.index()]
            .iter()
            .filter(|axis| axis.role == AxisRole::Kept)
            .map(|axis| &axis.name)
            .filter(named)
            .cloned()
            .collect(),
        values,
        constants,
    })
}

/// The text of a node, or, where it is long, what it is made of.
fn text(func: &Func, id: ExprId) -> String {
    let mut builder = Builder::typed("hoisted");
    for param in func.params() {
        builder.param(param.name.as_str(), param.dtype);
    }
    let mut copies: Vec<ExprId> = Vec::with_capacity(id.index() + 1);
    for (_, node) in func.iter().take(id.index() + 1) {
        let args: Vec<ExprId> = node.args.iter().map(|a| copies[a.index()]).collect();
        copies.push(match node.op {
            Op::Param(p) => ExprId(p),
            op => builder.node(op, &args),
        });
    }
    let alone = builder.finish(&[copies[id.index()]]);
    let computed = |op: Op| !matches!(op, Op::Param(_) | Op::Const(_));
    let ops = alone.nodes().iter().filter(|node| computed(node.op)).count();
    let body = raise(&alone).body;
    match (&body.results[..], body.lets.is_empty()) {
        ([result], true) if ops <= SHOWN_OPS => print_expr(result),
        _ => {
            let params = alone.nodes().iter().filter_map(|node| match node.op {
                Op::Param(p) => Some(alone.params()[p as usize].name.as_str()),
                _ => None,
            });
            format!("{ops} ops on {}", params.collect::<Vec<_>>().join(", "))
        }
    }
}
