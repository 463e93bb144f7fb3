//! Order: in which order a function's ops hold few values at once.
//!
//! In: ops, each after its operands. Out: the same ops in another such order, for which fewer registers do. The nodes of a
//! function stand as a walk from its results finds them, which starts many things before it finishes one.

use std::cmp::Reverse;

use loopweave_ir::ExprId;

/// List scheduling from the end: the last op is the one before which the values held weigh least, and so on; of equals the one
/// that stood last. There are ids below `ids`, and the results are held to the end; what takes no register weighs nothing.
pub(super) fn few_held<'a>(
    ops: &[ExprId],
    results: &[ExprId],
    ids: usize,
    operands: impl Fn(ExprId) -> &'a [ExprId],
    weight: impl Fn(ExprId) -> i32,
) -> Vec<ExprId> {
    // The operands of an op, each once.
    let distinct = |id: ExprId| {
        let all = operands(id);
        let repeated = move |i: usize| all[..i].contains(&all[i]);
        all.iter()
            .enumerate()
            .filter(move |(i, _)| !repeated(*i))
            .map(|(_, arg)| *arg)
    };
    let mut users = vec![0u32; ids];
    for &id in ops {
        distinct(id).for_each(|arg| users[arg.index()] += 1);
    }
    let mut held = vec![false; ids];
    results.iter().for_each(|id| held[id.index()] = true);
    let mut is_op = vec![false; ids];
    ops.iter().for_each(|id| is_op[id.index()] = true);
    let mut ready: Vec<ExprId> = ops.iter().copied().filter(|id| users[id.index()] == 0).collect();
    let mut backwards = Vec::with_capacity(ops.len());
    loop {
        let growth = |id: ExprId| {
            let new: i32 = distinct(id).filter(|arg| !held[arg.index()]).map(&weight).sum();
            if held[id.index()] { new - weight(id) } else { new }
        };
        let Some(best) = (0..ready.len()).min_by_key(|&i| (growth(ready[i]), Reverse(ready[i]))) else {
            break;
        };
        let id = ready.swap_remove(best);
        backwards.push(id);
        held[id.index()] = false;
        for arg in distinct(id) {
            held[arg.index()] = true;
            users[arg.index()] -= 1;
            if users[arg.index()] == 0 && is_op[arg.index()] {
                ready.push(arg);
            }
        }
    }
    backwards.reverse();
    backwards
}
