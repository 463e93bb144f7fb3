//! The record of what was decided: one [`Decision`] for each edge between computed nodes, and for siblings.
//!
//! In: what became of an edge in each place where the consumer is computed. Out: the decisions, with the rule or the reason,
//! and the traffic they save.
//!
//! The traffic of a merge is what the two nodes would have had as kernels of their own: the consumer's read of the array, its
//! write where then nobody stores it (counted at its first edge), and less the operands that a consumer reads instead.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use super::estimate::Estimate;
use super::reading::{Edge, is_computed};
use super::{Decision, Reason, Relation, Rule, Traffic, Verdict};
use crate::graph::{ArrayOp, Graph, NodeId};

/// What became of an edge in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The producer is computed with the consumer alone, or in the group that has its iteration space.
    Inside,
    /// The producer is computed again for the consumer.
    Copy,
    /// The consumer reads the producer's array.
    Refused(Reason),
}

/// What was decided so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    edges: HashMap<(NodeId, NodeId), Outcome>,
    siblings: Vec<(NodeId, NodeId, Result<(), Reason>)>,
}

/// The groups that compute a node, each with whether it does so for each element that is reduced.
pub(super) type Places = SmallVec<[(usize, bool); 2]>;

impl Records {
    /// An edge, in one of the places where the consumer is computed. A refusal stands before all else, since the array is
    /// then read.
    pub(super) fn edge(&mut self, producer: NodeId, consumer: NodeId, outcome: Outcome) {
        let known = self.edges.entry((producer, consumer)).or_insert(outcome);
        *known = match (*known, outcome) {
            (Outcome::Refused(reason), _) | (_, Outcome::Refused(reason)) => Outcome::Refused(reason),
            (Outcome::Copy, _) | (_, Outcome::Copy) => Outcome::Copy,
            (Outcome::Inside, Outcome::Inside) => Outcome::Inside,
        };
    }

    /// Two groups that read one array, by a node of each.
    pub(super) fn siblings(&mut self, first: NodeId, second: NodeId, outcome: Result<(), Reason>) {
        let pair = (first.min(second), first.max(second));
        if !self.siblings.iter().rev().take(16).any(|&(a, b, _)| (a, b) == pair) {
            self.siblings.push((pair.0, pair.1, outcome));
        }
    }

    /// All decisions.
    pub(super) fn finish(
        mut self,
        graph: &Graph,
        edges: &[Vec<Edge>],
        estimates: &[Estimate],
        home: &[Option<usize>],
        places: &[Places],
    ) -> Vec<Decision> {
        let from_result = from_results(graph, places);
        let mut decisions: Vec<Decision> = Vec::new();
        let mut traffic = Saved {
            graph,
            estimates,
            home,
            places,
            computed_in: vec![SmallVec::new(); graph.nodes.len()],
        };
        for (consumer, node) in graph.iter() {
            let mut asked: SmallVec<[NodeId; 4]> = SmallVec::new();
            let own = [consumer];
            let args = if matches!(node.op, ArrayOp::View(_)) {
                &own[..]
            } else {
                &node.args[..]
            };
            for producer in args.iter().map(|&arg| graph.source(arg)) {
                if asked.contains(&producer) {
                    continue;
                }
                asked.push(producer);
                let Some(&outcome) = self.edges.get(&(producer, consumer)) else {
                    continue;
                };
                let rule = match outcome {
                    Outcome::Refused(_) => None,
                    Outcome::Copy => Some(Rule::Recomputed),
                    Outcome::Inside => Some(match (&graph.node(producer).op, &node.op) {
                        (ArrayOp::Reduce { .. }, _) => Rule::MapAfterReduce,
                        (ArrayOp::MatMul, _) => Rule::MapAfterMatMul,
                        (_, ArrayOp::Reduce { .. }) => Rule::MapIntoReduce,
                        (_, ArrayOp::MatMul) => Rule::MapIntoMatMul,
                        _ => from_result[producer.index()].unwrap_or(Rule::MapIntoMap),
                    }),
                };
                let saves = match rule {
                    Some(_) => traffic.of(producer, consumer, args),
                    None => Vec::new(),
                };
                decisions.push(Decision {
                    relation: Relation::Edge,
                    producer,
                    consumer,
                    verdict: match (rule, outcome) {
                        (_, Outcome::Refused(reason)) => Verdict::Refused(reason),
                        (Some(rule), _) => Verdict::Fused(rule),
                        (None, _) => continue,
                    },
                    saves,
                });
            }
        }
        debug_assert_eq!(
            decisions.len(),
            edges
                .iter()
                .enumerate()
                .filter(|(i, _)| is_computed(&graph.nodes[*i].op))
                .map(|(_, e)| e.len())
                .sum::<usize>(),
            "one decision for each edge"
        );
        self.siblings
            .sort_unstable_by_key(|&(first, second, _)| (first, second));
        self.siblings.dedup_by_key(|&mut (first, second, _)| (first, second));
        for (first, second, outcome) in self.siblings {
            decisions.extend(sibling(graph, places, first, second, outcome));
        }
        decisions
    }
}

/// The traffic that edges save, as far as they were asked for.
struct Saved<'a> {
    graph: &'a Graph,
    estimates: &'a [Estimate],
    home: &'a [Option<usize>],
    places: &'a [Places],
    /// Per node: the groups of its edges so far.
    computed_in: Vec<SmallVec<[usize; 2]>>,
}

impl Saved<'_> {
    /// The traffic that an edge saves: its read; the producer's write, at the first edge of one that nobody stores; less
    /// the operands that a group reads to compute the producer once more.
    fn of(&mut self, producer: NodeId, consumer: NodeId, args: &[NodeId]) -> Vec<Traffic> {
        let home = self.home[producer.index()];
        let known = &mut self.computed_in[producer.index()];
        let is_first = known.is_empty();
        let mut saves = vec![Traffic {
            array: producer,
            passes: if is_first && home.is_none() { 2 } else { 1 },
        }];
        known.extend(home.filter(|_| is_first));
        for &(group, _) in &self.places[consumer.index()] {
            let computed = self.places[producer.index()].iter().any(|(other, _)| *other == group);
            if !computed || known.contains(&group) {
                continue;
            }
            let is_own = known.is_empty();
            known.push(group);
            if !is_own {
                let others: Vec<NodeId> = args
                    .iter()
                    .map(|&arg| self.graph.source(arg))
                    .filter(|&arg| arg != producer)
                    .collect();
                let further = self.estimates[producer.index()].operands_beside(&others, self.estimates);
                let in_memory =
                    further.filter(|(array, _)| !matches!(self.graph.node(*array).op, ArrayOp::Constant(_)));
                saves.extend(in_memory.map(|(array, _)| Traffic { array, passes: -1 }));
            }
        }
        saves
    }
}

/// The decision on two siblings; none where all they share is computed in the merged group, as its edges say.
fn sibling(
    graph: &Graph,
    places: &[Places],
    first: NodeId,
    second: NodeId,
    outcome: Result<(), Reason>,
) -> Option<Decision> {
    let reduces = matches!(graph.node(first).op, ArrayOp::Reduce { .. });
    let decision = |verdict, saves| Decision {
        relation: Relation::Siblings,
        producer: first,
        consumer: second,
        verdict,
        saves,
    };
    let together = || {
        let groups = places[second.index()].iter();
        groups
            .map(|(group, _)| *group)
            .find(|g| places[first.index()].iter().any(|(other, _)| other == g))
    };
    match outcome {
        Err(reason) => Some(decision(Verdict::Refused(reason), Vec::new())),
        Ok(()) => {
            let saves = shared(graph, places, together()?, first, second);
            let rule = if reduces {
                Rule::SiblingReductions
            } else {
                Rule::SiblingMaps
            };
            (reduces || !saves.is_empty()).then(|| decision(Verdict::Fused(rule), saves))
        }
    }
}

/// The arrays in memory that both nodes would read, alone.
fn shared(graph: &Graph, places: &[Places], group: usize, first: NodeId, second: NodeId) -> Vec<Traffic> {
    let (a, b) = (reads(graph, places, group, first), reads(graph, places, group, second));
    let apart = |own: &Reads, other: &Reads, array: &NodeId| {
        own.arrays
            .iter()
            .any(|(read, by)| read == array && !other.nodes.contains(by))
    };
    let mut arrays: Vec<NodeId> = a.arrays.iter().map(|&(array, _)| array).collect();
    arrays.sort_unstable();
    arrays.dedup();
    arrays.retain(|array| apart(&a, &b, array) && apart(&b, &a, array));
    arrays.into_iter().map(|array| Traffic { array, passes: 1 }).collect()
}

/// What computes a node within its group, and the arrays that this reads.
struct Reads {
    nodes: HashSet<NodeId>,
    arrays: Vec<(NodeId, NodeId)>,
}

fn reads(graph: &Graph, places: &[Places], group: usize, root: NodeId) -> Reads {
    let mut reads = Reads {
        nodes: HashSet::from([root]),
        arrays: Vec::new(),
    };
    let mut stack = vec![root];
    while let Some(id) = stack.pop() {
        let own = [id];
        let node = graph.node(id);
        let args = if matches!(node.op, ArrayOp::View(_)) {
            &own[..]
        } else {
            &node.args[..]
        };
        for from in args.iter().map(|&arg| graph.source(arg)) {
            if places[from.index()].iter().any(|(other, _)| *other == group) {
                if reads.nodes.insert(from) {
                    stack.push(from);
                }
            } else if !matches!(graph.node(from).op, ArrayOp::Constant(_)) {
                reads.arrays.push((from, id));
            }
        }
    }
    reads
}

/// Per node: for a map of results of its own group's reductions or matrix product, the rule by which it is there.
fn from_results(graph: &Graph, places: &[Places]) -> Vec<Option<Rule>> {
    let mut from_result: Vec<Option<Rule>> = vec![None; graph.nodes.len()];
    for (id, node) in graph.iter().filter(|(_, node)| matches!(node.op, ArrayOp::Map(_))) {
        let rule_of = |from: NodeId| match graph.node(from).op {
            ArrayOp::Reduce { .. } => Some(Rule::MapAfterReduce),
            ArrayOp::MatMul => Some(Rule::MapAfterMatMul),
            _ => from_result[from.index()],
        };
        let made_after = |group: usize| {
            let sources = node.args.iter().map(|&arg| graph.source(arg));
            let mut own = sources.filter(|from| places[from.index()].contains(&(group, false)));
            own.find_map(rule_of)
        };
        let after = places[id.index()].iter().filter(|(_, before)| !before);
        from_result[id.index()] = after.map(|&(group, _)| group).find_map(made_after);
    }
    from_result
}
