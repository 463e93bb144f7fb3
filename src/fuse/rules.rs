//! The rules of fusion: which producer is computed inside its consumer.
//!
//! In: a [`Graph`]. Out: its [`Plan`].
//!
//! Nodes are visited in order, and each asks for the groups of its producers. A producer joins only if this consumer is its
//! one reader, so each group is a tree whose one way out is its root: groups cannot depend on each other in a circle, and
//! the order of their roots is an order of execution.
//!
//! No rule computes an element twice, except where extents that are unknown here turn out to be 1 beside larger ones: the
//! bits are the same either way, and the common case is that they are equal.

use super::extents::{Extent, extents};
use super::{Decision, Group, GroupKind, Plan, Reason, Rule, Verdict};
use crate::graph::{ArrayOp, Graph, NodeId, View};

/// Decides what runs together.
///
/// ```
/// use loopweave::fuse::{self, Rule, Verdict};
/// use loopweave::graph::{Named, build::GraphBuilder};
/// use loopweave::ir::{Dtype, trace};
/// let mut g = GraphBuilder::new("energy");
/// let x = g.input("x", Dtype::F32, 1);
/// let square = g.map(&trace("square", |[x]| x * x)?, &[x])?;
/// let energy = g.reduce(Named::Sum, square, None, false)?;
/// g.output("energy", energy);
/// let plan = fuse::plan(&g.finish()?);
/// assert_eq!(plan.groups.len(), 1);
/// assert_eq!(plan.decisions[0].verdict, Verdict::Fused(Rule::MapIntoReduce));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(graph: &Graph) -> Plan {
    let mut planner = Planner {
        graph,
        extents: extents(graph),
        readers: readers(graph),
        drafts: Vec::new(),
        draft_of: vec![None; graph.nodes.len()],
        decisions: Vec::new(),
    };
    for (id, _) in graph.iter() {
        planner.visit(id);
    }
    planner.finish()
}

/// Who reads a node's array, directly or through views.
#[derive(Clone, Default)]
struct Readers {
    /// The maps and reductions, each once.
    nodes: Vec<NodeId>,
    /// Whether the array, or a view of it, is an output.
    is_output: bool,
}

/// A group while it grows.
struct Draft {
    members: Vec<NodeId>,
    root: NodeId,
    reduce: Option<NodeId>,
}

struct Planner<'g> {
    graph: &'g Graph,
    extents: Vec<Vec<Extent>>,
    readers: Vec<Readers>,
    /// Groups by number; one that joined another is empty.
    drafts: Vec<Draft>,
    draft_of: Vec<Option<usize>>,
    decisions: Vec<Decision>,
}

impl Planner<'_> {
    fn visit(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let computed = is_computed(&node.op);
        if !computed && !self.graph.outputs.iter().any(|(_, output)| *output == id) {
            return;
        }
        let draft = self.drafts.len();
        self.drafts.push(Draft {
            members: vec![id],
            root: id,
            reduce: matches!(node.op, ArrayOp::Reduce { .. } | ArrayOp::MatMul).then_some(id),
        });
        self.draft_of[id.index()] = Some(draft);
        if !computed {
            // An output that nothing computes is a copy.
            return;
        }
        let mut asked: Vec<NodeId> = Vec::new();
        for &arg in &node.args {
            let producer = source(self.graph, arg);
            if is_computed(&self.graph.node(producer).op) && !asked.contains(&producer) {
                asked.push(producer);
                let verdict = match self.decide(producer, id) {
                    Ok(rule) => Verdict::Fused(rule),
                    Err(reason) => Verdict::Refused(reason),
                };
                if let Verdict::Fused(_) = verdict {
                    self.join(producer, draft);
                }
                self.decisions.push(Decision {
                    producer,
                    consumer: id,
                    verdict,
                });
            }
        }
    }

    fn decide(&self, producer: NodeId, consumer: NodeId) -> Result<Rule, Reason> {
        let readers = &self.readers[producer.index()];
        if readers.is_output || readers.nodes.len() > 1 {
            return Err(Reason::UsedElsewhere);
        }
        let after_reduce = self.draft(producer).reduce.is_some();
        let reading = self.reading(producer, consumer)?;
        match &self.graph.node(consumer).op {
            ArrayOp::MatMul => Err(Reason::ReadManyTimes),
            ArrayOp::Reduce { .. } if after_reduce => Err(Reason::ReduceOfReduce),
            ArrayOp::Reduce { .. } => self.through(reading).map(|_| Rule::MapIntoReduce),
            _ if after_reduce => self.after_reduce(reading, producer, consumer),
            _ => self.map_into_map(reading, consumer),
        }
    }

    /// An elementwise producer in its elementwise consumer: where the consumer has no axis along which one element of the
    /// producer serves many.
    fn map_into_map(&self, reading: NodeId, consumer: NodeId) -> Result<Rule, Reason> {
        let path = self.through(reading)?;
        if !self.grows(reading, consumer) {
            return Ok(Rule::MapIntoMap);
        }
        Err(match path {
            Path::Same => Reason::ShapeMismatch,
            Path::Moved => Reason::ViewBetween,
        })
    }

    /// An elementwise consumer of a reduction's result: where its shape is the result's in every call.
    fn after_reduce(&self, reading: NodeId, producer: NodeId, consumer: NodeId) -> Result<Rule, Reason> {
        if self.draft(consumer).reduce.is_some() {
            return Err(Reason::SecondReduction);
        }
        if self.grows(reading, consumer) {
            return Err(Reason::ResultIsBroadcast);
        }
        if reading != producer {
            return Err(Reason::ViewBetween);
        }
        if self.extents[consumer.index()] != self.extents[producer.index()] {
            return Err(Reason::ShapeMismatch);
        }
        Ok(match self.draft(producer).reduce.map(|id| &self.graph.node(id).op) {
            Some(ArrayOp::MatMul) => Rule::MapAfterMatMul,
            _ => Rule::MapAfterReduce,
        })
    }

    /// The argument through which the consumer reads the producer, if it reads all elements in one way.
    fn reading(&self, producer: NodeId, consumer: NodeId) -> Result<NodeId, Reason> {
        let args = self.graph.node(consumer).args.iter().copied();
        let mut readings = args.filter(|&arg| source(self.graph, arg) == producer);
        let first = readings.next().unwrap_or(producer);
        if readings.all(|other| same_views(self.graph, first, other)) {
            Ok(first)
        } else {
            Err(Reason::ViewBetween)
        }
    }

    /// Whether the views between a producer and this reading of it become addresses of the producer's operands.
    fn through(&self, reading: NodeId) -> Result<Path, Reason> {
        let mut id = reading;
        let mut path = Path::Same;
        while let ArrayOp::View(view) = &self.graph.node(id).op {
            match view {
                View::Permute(_) | View::Slice(_) => path = Path::Moved,
                View::Broadcast(_) | View::Reshape(_) => return Err(Reason::ViewBetween),
            }
            id = self.graph.node(id).args[0];
        }
        Ok(path)
    }

    /// Whether the consumer surely has an axis along which this argument is repeated: one that the argument lacks, or where
    /// it has extent 1 and the consumer has not.
    fn grows(&self, argument: NodeId, consumer: NodeId) -> bool {
        let from = &self.extents[argument.index()];
        let to = &self.extents[consumer.index()];
        to.len() > from.len()
            || from
                .iter()
                .zip(to)
                .any(|(from, to)| *from == Extent::ONE && *to != Extent::ONE)
    }

    fn draft(&self, id: NodeId) -> &Draft {
        let draft = self.draft_of[id.index()].expect("a node is asked for after it was visited");
        &self.drafts[draft]
    }

    /// Moves the producer's group into the one that grows.
    fn join(&mut self, producer: NodeId, into: usize) {
        let Some(from) = self.draft_of[producer.index()] else {
            return;
        };
        let members = std::mem::take(&mut self.drafts[from].members);
        for member in &members {
            self.draft_of[member.index()] = Some(into);
        }
        let reduce = self.drafts[from].reduce;
        let draft = &mut self.drafts[into];
        draft.members.extend(members);
        draft.reduce = draft.reduce.or(reduce);
    }

    /// The extents of a group's iteration space.
    fn space(&self, draft: &Draft, kind: GroupKind) -> Vec<Extent> {
        let extents = |id: NodeId| self.extents[id.index()].clone();
        match kind {
            GroupKind::Map => extents(draft.root),
            GroupKind::Reduce(id) => extents(self.graph.node(id).args[0]),
            // The contracted axis stands before the product's columns.
            GroupKind::MatMul(id) => {
                let [left, right] = [0, 1].map(|i| self.graph.node(id).args[i]);
                let mut space = extents(id);
                let columns = (self.graph.node(right).rank > 1) as usize;
                space.insert(
                    space.len() - columns,
                    extents(left)[self.graph.node(left).rank - 1].clone(),
                );
                space
            }
        }
    }

    fn finish(mut self) -> Plan {
        let graph = self.graph;
        // Drafts stand in the order of their roots.
        let drafts = std::mem::take(&mut self.drafts);
        let groups = drafts.into_iter().filter(|draft| !draft.members.is_empty());
        let groups = groups.map(|mut draft| {
            draft.members.sort_unstable();
            let output = graph.outputs.iter().find(|(_, id)| *id == draft.root);
            let name = output.map_or(&graph.node(draft.root).name, |(name, _)| name);
            let kind = match draft.reduce {
                None => GroupKind::Map,
                Some(id) if graph.node(id).op == ArrayOp::MatMul => GroupKind::MatMul(id),
                Some(id) => GroupKind::Reduce(id),
            };
            let axes = self.space(&draft, kind).into_iter().map(|extent| match extent {
                Extent::Named(name) => Some(name),
                Extent::Fixed(_) | Extent::Of(..) => None,
            });
            Group {
                name: name.clone(),
                members: draft.members,
                roots: vec![draft.root],
                kind,
                axes: axes.collect(),
            }
        });
        Plan {
            groups: groups.collect(),
            decisions: self.decisions,
        }
    }
}

/// What the views between two nodes do.
enum Path {
    /// There are none.
    Same,
    /// They pick and reorder elements, and repeat none.
    Moved,
}

fn readers(graph: &Graph) -> Vec<Readers> {
    let mut readers = vec![Readers::default(); graph.nodes.len()];
    for (id, node) in graph.iter().filter(|(_, node)| is_computed(&node.op)) {
        for &arg in &node.args {
            let nodes = &mut readers[source(graph, arg).index()].nodes;
            if nodes.last() != Some(&id) {
                nodes.push(id);
            }
        }
    }
    for &(_, id) in &graph.outputs {
        readers[source(graph, id).index()].is_output = true;
    }
    readers
}

/// Whether a nest must compute the node.
fn is_computed(op: &ArrayOp) -> bool {
    matches!(op, ArrayOp::Map(_) | ArrayOp::Reduce { .. } | ArrayOp::MatMul)
}

/// The node whose elements this one shows: itself, or what a chain of views starts from.
fn source(graph: &Graph, mut id: NodeId) -> NodeId {
    while let ArrayOp::View(_) = graph.node(id).op {
        id = graph.node(id).args[0];
    }
    id
}

/// Whether two readings of one node see the same elements at the same indices.
fn same_views(graph: &Graph, mut a: NodeId, mut b: NodeId) -> bool {
    while a != b {
        match (&graph.node(a).op, &graph.node(b).op) {
            (ArrayOp::View(va), ArrayOp::View(vb)) if va == vb => {
                a = graph.node(a).args[0];
                b = graph.node(b).args[0];
            }
            _ => return false,
        }
    }
    true
}
