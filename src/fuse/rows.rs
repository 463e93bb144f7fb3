//! Row-resident chains: groups that work on the same rows become one, whose rows stay in cache from stage to stage.
//!
//! In: a [`Plan`] of maps and reductions. Out: the plan with chains of them as groups of [`GroupKind::Rows`].
//!
//! A reduction over the last axes of its space and whatever loops over that space, before it or with its results, can take
//! turns row by row: softmax is a maximum, an exponential, a sum and a division for each row. A group joins a chain where it
//! reads what the chain makes, or makes what it reads, at the same row: an array of the space at the same index, or a
//! reduction's result along the axes that were reduced. What only the chain reads is then never an array in memory.
//!
//! Two sets of groups become one only if no path leads from the one out to a third group and back into the other, so the
//! chains and the groups that are left have an order of execution. The reductions' own orders are those of reductions over
//! the last axes, which the chain's are, so fusion moves no bits.
//!
//! Reductions over other axes stay apart, as a chain of them gains nothing: along the first axis of 1024 × 1024 and 4096 × 1024
//! f32 values, a softmax that took strips of columns through all its stages had the speed of its four kernels, since the pieces
//! of rows in a strip come from the third-level cache one by one where whole rows stream.

use std::collections::{HashMap, HashSet};

use super::extents::Extent;
use super::{Decision, Group, GroupKind, Plan, Relation, Rule, Traffic, Verdict, group_name};
use crate::graph::{ArrayOp, Graph, NodeId, Slice, View};

/// The most groups that one chain takes.
const MAX_STAGES: usize = 24;

/// The plan with row-resident chains.
pub(super) fn merge(graph: &Graph, extents: &[Vec<Extent>], plan: Plan) -> Plan {
    let spaces: Vec<Option<Space>> = plan.groups.iter().map(|g| Space::of(graph, extents, g)).collect();
    if !spaces.iter().flatten().any(|space| space.reduced > 0) {
        return plan;
    }
    let mut chains = Chains::new(graph, extents, &plan.groups, spaces);
    chains.grow();
    chains.finish(&plan.decisions)
}

/// What a group loops over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Space {
    extents: Vec<Extent>,
    /// How many of the last axes are reduced; 0 for a map.
    reduced: usize,
}

impl Space {
    /// The space of a map, or of a reduction over the last axes.
    fn of(graph: &Graph, extents: &[Vec<Extent>], group: &Group) -> Option<Space> {
        match &group.kind {
            GroupKind::Map => Some(Space {
                extents: extents[group.roots[0].index()].clone(),
                reduced: 0,
            }),
            GroupKind::Reduce(reductions) => {
                let node = graph.node(reductions[0]);
                let ArrayOp::Reduce { axes, .. } = &node.op else {
                    return None;
                };
                let rank = graph.node(node.args[0]).rank;
                let last = axes.iter().rev().enumerate().all(|(i, &axis)| axis + i + 1 == rank);
                (last && !axes.is_empty()).then(|| Space {
                    extents: extents[node.args[0].index()].clone(),
                    reduced: axes.len(),
                })
            }
            GroupKind::MatMul(_) | GroupKind::Rows(_) => None,
        }
    }

    /// Both, where the one may be the map of the other's rows.
    fn with(&self, other: &Space) -> Option<Space> {
        let same =
            self.extents == other.extents && (self.reduced == other.reduced || self.reduced == 0 || other.reduced == 0);
        same.then(|| Space {
            extents: self.extents.clone(),
            reduced: self.reduced.max(other.reduced),
        })
    }
}

/// A reading of another group's array.
#[derive(Clone, Copy, Debug)]
struct Read {
    array: NodeId,
    maker: usize,
    reader: usize,
    /// The extents at which it is read, as a node that has them; `None` where the path to it changes the order of elements.
    along: Option<NodeId>,
    /// Whether it is read at the index of a reduction's result.
    after: bool,
}

struct Chains<'g> {
    graph: &'g Graph,
    extents: &'g [Vec<Extent>],
    groups: &'g [Group],
    reads: Vec<Read>,
    /// Per group: those that read its arrays.
    readers: Vec<Vec<usize>>,
    /// Per group: the chain it is in, by its first group, or itself.
    chain: Vec<usize>,
    /// Per chain: its groups, its space.
    members: Vec<Vec<usize>>,
    spaces: Vec<Option<Space>>,
}

impl<'g> Chains<'g> {
    fn new(
        graph: &'g Graph,
        extents: &'g [Vec<Extent>],
        groups: &'g [Group],
        spaces: Vec<Option<Space>>,
    ) -> Chains<'g> {
        let mut maker = HashMap::new();
        for (i, group) in groups.iter().enumerate() {
            maker.extend(group.roots.iter().map(|&root| (root, i)));
        }
        let mut reads = Vec::new();
        let mut readers = vec![Vec::new(); groups.len()];
        for (reader, group) in groups.iter().enumerate() {
            for (array, along, after) in arrays_read(graph, group) {
                let Some(&made_by) = maker.get(&array) else { continue };
                reads.push(Read {
                    array,
                    maker: made_by,
                    reader,
                    along,
                    after,
                });
                if !readers[made_by].contains(&reader) {
                    readers[made_by].push(reader);
                }
            }
        }
        Chains {
            graph,
            extents,
            groups,
            reads,
            readers,
            chain: (0..groups.len()).collect(),
            members: (0..groups.len()).map(|i| vec![i]).collect(),
            spaces,
        }
    }

    /// Merges along readings until nothing changes. Each merge makes one chain less, so this ends.
    fn grow(&mut self) {
        loop {
            let pairs: Vec<(usize, usize)> = self.reads.iter().map(|r| (r.maker, r.reader)).collect();
            let merged = pairs.into_iter().filter(|&(a, b)| self.join(a, b)).count();
            if merged == 0 {
                return;
            }
        }
    }

    fn join(&mut self, maker: usize, reader: usize) -> bool {
        let (a, b) = (self.chain[maker], self.chain[reader]);
        if a == b || self.members[a].len() + self.members[b].len() > MAX_STAGES {
            return false;
        }
        let (Some(x), Some(y)) = (&self.spaces[a], &self.spaces[b]) else {
            return false;
        };
        let Some(space) = x.with(y).filter(|space| space.reduced > 0) else {
            return false;
        };
        let between = |r: &&Read| {
            let (from, to) = (self.chain[r.maker], self.chain[r.reader]);
            (from, to) == (a, b) || (from, to) == (b, a)
        };
        if !self.reads.iter().filter(between).all(|r| self.is_in_step(r, &space)) || self.leaves_and_returns(a, b) {
            return false;
        }
        let moved = std::mem::take(&mut self.members[b]);
        moved.iter().for_each(|&group| self.chain[group] = a);
        self.members[a].extend(moved);
        self.spaces[a] = Some(space);
        true
    }

    /// Whether what is read is the reader's own row.
    fn is_in_step(&self, read: &Read, space: &Space) -> bool {
        let Some(along) = read.along else { return false };
        let kept = space.extents.len() - space.reduced;
        let (made, along) = (&self.extents[read.array.index()], &self.extents[along.index()]);
        if read.after {
            // At the index of a result: another result.
            return made == along && !matches!(self.groups[read.maker].kind, GroupKind::Map);
        }
        match self.groups[read.maker].kind {
            GroupKind::Map => *made == space.extents && *along == space.extents,
            _ => {
                let ones = along[kept.min(along.len())..]
                    .iter()
                    .all(|extent| *extent == Extent::ONE);
                // The one result of all axes may be read without axes.
                let whole = along.len() == space.extents.len() || kept == 0;
                whole && along[..kept] == space.extents[..kept] && ones
            }
        }
    }

    /// Whether a path leads from the two chains out to another group and back.
    fn leaves_and_returns(&self, a: usize, b: usize) -> bool {
        let is_own = |group: usize| self.chain[group] == a || self.chain[group] == b;
        let mut stack: Vec<usize> = Vec::new();
        let mut seen = HashSet::new();
        let step = |from: usize, stack: &mut Vec<usize>, seen: &mut HashSet<usize>| {
            // From any group of a chain one gets where the whole chain leads.
            for &member in &self.members[self.chain[from]] {
                for &reader in &self.readers[member] {
                    if seen.insert(reader) {
                        stack.push(reader);
                    }
                }
            }
        };
        for &member in self.members[a].iter().chain(&self.members[b]) {
            for &reader in &self.readers[member] {
                if !is_own(reader) && seen.insert(reader) {
                    stack.push(reader);
                }
            }
        }
        while let Some(group) = stack.pop() {
            if is_own(group) {
                return true;
            }
            step(group, &mut stack, &mut seen);
        }
        false
    }

    fn finish(self, decisions: &[Decision]) -> Plan {
        let is_output = |id: NodeId| self.graph.outputs.iter().any(|(_, output)| *output == id);
        let leaves = |chain: usize, root: NodeId| {
            is_output(root) || {
                let mut reads = self.reads.iter().filter(|r| r.array == root);
                reads.any(|r| self.chain[r.reader] != chain)
            }
        };
        // Groups in an order in which they can run: each when all that it reads is made, the earliest first.
        let mut waiting: Vec<HashSet<usize>> = vec![HashSet::new(); self.groups.len()];
        for read in &self.reads {
            let (from, to) = (self.chain[read.maker], self.chain[read.reader]);
            if from != to {
                waiting[to].insert(from);
            }
        }
        let mut left: Vec<usize> = (0..self.groups.len()).filter(|&i| self.chain[i] == i).collect();
        let mut done: HashSet<usize> = HashSet::new();
        let mut groups = Vec::with_capacity(left.len());
        while let Some(next) = left.iter().position(|&chain| waiting[chain].is_subset(&done)) {
            let chain = left.remove(next);
            done.insert(chain);
            let mut members = self.members[chain].clone();
            members.sort_unstable();
            if let [group] = members[..] {
                groups.push(self.groups[group].clone());
                continue;
            }
            let stages: Vec<Group> = members.iter().map(|&group| self.groups[group].clone()).collect();
            let mut nodes: Vec<NodeId> = stages.iter().flat_map(|s| s.members.iter().copied()).collect();
            nodes.sort_unstable();
            nodes.dedup();
            let roots = stages.iter().flat_map(|s| s.roots.iter().copied());
            let roots: Vec<NodeId> = roots.filter(|&root| leaves(chain, root)).collect();
            groups.push(Group {
                name: group_name(self.graph, &roots),
                members: nodes,
                roots,
                axes: stages
                    .iter()
                    .max_by_key(|s| s.axes.len())
                    .map_or(Vec::new(), |s| s.axes.clone()),
                kind: GroupKind::Rows(stages),
            });
        }
        debug_assert!(left.is_empty(), "chains close no circle");
        let mut again = self.read_again();
        let decisions = decisions.iter();
        let decisions = decisions.map(|decision| self.decided(decision.clone(), &leaves, &mut again));
        Plan {
            groups,
            decisions: decisions.collect(),
        }
    }

    /// Per stage of a chain: the arrays in memory that an earlier one reads too, so that it finds them in the cache.
    fn read_again(&self) -> HashMap<usize, Vec<NodeId>> {
        let mut again = HashMap::new();
        for chain in self.members.iter().filter(|members| members.len() > 1) {
            let mut stages = chain.clone();
            stages.sort_unstable();
            let made: HashSet<NodeId> = stages
                .iter()
                .flat_map(|&s| self.groups[s].roots.iter().copied())
                .collect();
            let mut read = HashSet::new();
            for &stage in &stages {
                let arrays = arrays_read(self.graph, &self.groups[stage]);
                let in_memory = |array: &NodeId| {
                    !made.contains(array) && !matches!(self.graph.node(*array).op, ArrayOp::Constant(_))
                };
                let mut arrays: Vec<NodeId> = arrays.iter().map(|(array, ..)| *array).filter(in_memory).collect();
                arrays.sort_unstable();
                arrays.dedup();
                arrays.retain(|&array| !read.insert(array));
                again.insert(stage, arrays);
            }
        }
        again
    }

    /// The decision on an edge that is now inside of a chain. The first one into a stage has what that reads `again`.
    fn decided(
        &self,
        decision: Decision,
        leaves: &impl Fn(usize, NodeId) -> bool,
        again: &mut HashMap<usize, Vec<NodeId>>,
    ) -> Decision {
        if decision.relation != Relation::Edge || !matches!(decision.verdict, Verdict::Refused(_)) {
            return decision;
        }
        let inside = |r: &&Read| {
            let reader = &self.groups[r.reader];
            r.array == decision.producer
                && reader.members.contains(&decision.consumer)
                && self.chain[r.maker] == self.chain[r.reader]
        };
        let Some(reader) = self.reads.iter().find(inside).map(|r| r.reader) else {
            return decision;
        };
        // The array's write counts once, at its first reader.
        let first = self.reads.iter().find(|r| r.array == decision.producer);
        let is_first = first.is_some_and(|r| self.groups[r.reader].members.contains(&decision.consumer));
        let passes = 1 + (is_first && !leaves(self.chain[reader], decision.producer)) as i32;
        let made = Traffic {
            array: decision.producer,
            passes,
        };
        let again = again.remove(&reader).unwrap_or_default().into_iter();
        let again = again.map(|array| Traffic { array, passes: 1 });
        Decision {
            verdict: Verdict::Fused(Rule::RowResident),
            saves: std::iter::once(made).chain(again).collect(),
            ..decision
        }
    }
}

/// The arrays that a group reads: each with the node whose extents it is read along, if that is in step with the group's
/// loops, and whether it is read at the index of a reduction's result.
fn arrays_read(graph: &Graph, group: &Group) -> Vec<(NodeId, Option<NodeId>, bool)> {
    let members: HashSet<NodeId> = group.members.iter().copied().collect();
    let reductions: &[NodeId] = match &group.kind {
        GroupKind::Reduce(reductions) => reductions,
        _ => &[],
    };
    let mut reads = Vec::new();
    let mut seen = HashSet::new();
    let after = !reductions.is_empty();
    let mut stack: Vec<(NodeId, bool, bool)> = group.roots.iter().map(|&root| (root, true, after)).collect();
    while let Some(state) = stack.pop() {
        if !seen.insert(state) {
            continue;
        }
        let (id, in_step, after) = state;
        let node = graph.node(id);
        if after && reductions.contains(&id) {
            stack.push((node.args[0], true, false));
        } else if members.contains(&id) && !matches!(node.op, ArrayOp::View(_)) {
            stack.extend(node.args.iter().map(|&arg| (arg, in_step, after)));
        } else {
            let array = graph.source(id);
            if members.contains(&array) {
                stack.push((array, false, after));
            } else {
                let along = (in_step && only_adds_axes(graph, id)).then_some(id);
                reads.push((array, along, after));
            }
        }
    }
    reads
}

/// Whether the views that a node is do no more than add axes of extent 1.
fn only_adds_axes(graph: &Graph, mut id: NodeId) -> bool {
    while let ArrayOp::View(view) = &graph.node(id).op {
        let adds = match view {
            View::Slice(slices) => slices.iter().all(|s| *s == Slice::New || *s == Slice::ALL),
            View::Permute(_) | View::Broadcast(_) | View::Reshape(_) => false,
        };
        if !adds {
            return false;
        }
        id = graph.node(id).args[0];
    }
    true
}
