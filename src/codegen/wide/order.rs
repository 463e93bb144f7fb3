//! Order: in which order a function's ops hold few values at once.
//!
//! In: ops, each after its operands. Out: the same ops in another such order, for which fewer registers do. The nodes of a
//! function stand as a walk from its results finds them, which starts many things before it finishes one.

use std::cmp::Reverse;

use loopweave_ir::ExprId;

/// A function's ops, and what it takes to order them.
pub(super) struct Ops<'a, O, W> {
    /// Each after its operands.
    pub(super) ops: &'a [ExprId],
    /// What is held from the start; other values that no op makes are there when one needs them first.
    pub(super) inputs: &'a [ExprId],
    /// What is held to the end.
    pub(super) results: &'a [ExprId],
    /// There are ids below this.
    pub(super) ids: usize,
    pub(super) operands: O,
    /// How much it costs to hold a value: nothing if that takes no register.
    pub(super) weight: W,
}

impl<'a, O: Fn(ExprId) -> &'a [ExprId], W: Fn(ExprId) -> i32> Ops<'a, O, W> {
    /// The ops in an order that holds few values: the better of two.
    pub(super) fn few_held(&self) -> Vec<ExprId> {
        let [walk, list] = [self.by_need(), self.last_first()].map(|order| self.hurried(&order));
        if self.most_held(&walk) < self.most_held(&list) {
            walk
        } else {
            list
        }
    }

    /// The most that the values held at once weigh.
    fn most_held(&self, order: &[ExprId]) -> i32 {
        let mut users = self.users().iter().map(Vec::len).collect::<Vec<_>>();
        self.results.iter().for_each(|id| users[id.index()] += 1);
        let mut held = self.mark(self.inputs);
        let mut now: i32 = self.inputs.iter().map(|id| (self.weight)(*id)).sum();
        let mut most = now;
        for &id in order {
            for value in self.distinct(id).chain([id]) {
                if !std::mem::replace(&mut held[value.index()], true) {
                    now += (self.weight)(value);
                }
            }
            most = most.max(now);
            for arg in self.distinct(id) {
                users[arg.index()] -= 1;
                if users[arg.index()] == 0 {
                    now -= (self.weight)(arg);
                }
            }
        }
        most
    }

    /// The order of a walk from the results that goes first to those operands that need the most registers (Sethi and Ullman,
    /// *The generation of optimal code for arithmetic expressions*, 1970).
    fn by_need(&self) -> Vec<ExprId> {
        let mut need = vec![None; self.ids];
        let mut operands = vec![Vec::new(); self.ids];
        for &id in self.ops {
            let need_of = |arg: &ExprId| need[arg.index()].unwrap_or((self.weight)(*arg));
            let mut args: Vec<ExprId> = self.distinct(id).collect();
            args.sort_by_key(|arg| Reverse(need_of(arg)));
            let (mut before, mut most) = (0, (self.weight)(id));
            for arg in &args {
                most = most.max(before + need_of(arg));
                before += (self.weight)(*arg);
            }
            need[id.index()] = Some(most);
            operands[id.index()] = args;
        }
        let mut order = Vec::with_capacity(self.ops.len());
        let mut seen = vec![false; self.ids];
        let mut stack: Vec<(ExprId, usize)> = self.results.iter().map(|id| (*id, 0)).collect();
        while let Some((id, next)) = stack.pop() {
            let is_known = need[id.index()].is_none() || (next == 0 && std::mem::replace(&mut seen[id.index()], true));
            match operands[id.index()].get(next) {
                _ if is_known => {}
                Some(&arg) => stack.extend([(id, next + 1), (arg, 0)]),
                None => order.push(id),
            }
        }
        order
    }

    /// List scheduling from the end: the last op is the one before which the values held weigh least, and so on; of equals the
    /// one that stood last.
    fn last_first(&self) -> Vec<ExprId> {
        let mut users = self.users();
        let mut held = self.mark(self.results);
        let is_op = self.mark(self.ops);
        let ops = self.ops.iter().copied();
        let mut ready: Vec<ExprId> = ops.filter(|id| users[id.index()].is_empty()).collect();
        let mut backwards = Vec::with_capacity(self.ops.len());
        loop {
            let growth = |id: ExprId| {
                let new: i32 = self
                    .distinct(id)
                    .filter(|arg| !held[arg.index()])
                    .map(&self.weight)
                    .sum();
                if held[id.index()] { new - (self.weight)(id) } else { new }
            };
            let Some(best) = (0..ready.len()).min_by_key(|&i| (growth(ready[i]), Reverse(ready[i]))) else {
                break;
            };
            let id = ready.swap_remove(best);
            backwards.push(id);
            held[id.index()] = false;
            for arg in self.distinct(id) {
                held[arg.index()] = true;
                users[arg.index()].retain(|user| *user != id);
                if users[arg.index()].is_empty() && is_op[arg.index()] {
                    ready.push(arg);
                }
            }
        }
        backwards.reverse();
        backwards
    }

    /// The same order, but that an op comes as soon as it leaves less held than before: from the end it is not seen that a sum
    /// might have been made long before.
    fn hurried(&self, order: &[ExprId]) -> Vec<ExprId> {
        let mut users = self.users();
        let is_result = self.mark(self.results);
        let mut is_there = self.mark(self.inputs);
        let mut done = vec![false; self.ids];
        let mut sooner = Vec::with_capacity(order.len());
        for &id in order {
            let mut next = vec![id];
            while let Some(id) = next.pop() {
                if std::mem::replace(&mut done[id.index()], true) {
                    continue;
                }
                sooner.push(id);
                is_there[id.index()] = true;
                for arg in self.distinct(id) {
                    is_there[arg.index()] = true;
                    users[arg.index()].retain(|user| *user != id);
                }
                let touched = self.distinct(id).chain([id]);
                let candidates = touched.flat_map(|value| users[value.index()].iter().copied());
                next.extend(candidates.filter(|&user| {
                    let ends = |arg: &ExprId| users[arg.index()] == [user] && !is_result[arg.index()];
                    let freed: i32 = self.distinct(user).filter(ends).map(&self.weight).sum();
                    let is_ready = self
                        .distinct(user)
                        .all(|arg| is_there[arg.index()] || (self.weight)(arg) == 0);
                    is_ready && freed > 0 && freed >= (self.weight)(user)
                }));
            }
        }
        sooner
    }

    /// The ops that take each value.
    fn users(&self) -> Vec<Vec<ExprId>> {
        let mut users = vec![Vec::new(); self.ids];
        for &id in self.ops {
            self.distinct(id).for_each(|arg| users[arg.index()].push(id));
        }
        users
    }

    /// The operands of an op, each once.
    fn distinct(&self, id: ExprId) -> impl Iterator<Item = ExprId> + use<'a, O, W> {
        let all = (self.operands)(id);
        let repeated = move |i: usize| all[..i].contains(&all[i]);
        let distinct = all.iter().enumerate().filter(move |(i, _)| !repeated(*i));
        distinct.map(|(_, arg)| *arg)
    }

    /// Which ids these are.
    fn mark(&self, ids: &[ExprId]) -> Vec<bool> {
        let mut marked = vec![false; self.ids];
        ids.iter().for_each(|id| marked[id.index()] = true);
        marked
    }
}
