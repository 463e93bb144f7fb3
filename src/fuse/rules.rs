//! The rules of fusion: which nodes one nest computes.
//!
//! In: a [`Graph`]. Out: its [`Plan`].
//!
//! Nodes are visited from the outputs back, so the groups that read a node's array are there when it is its turn. The places
//! where its elements are wanted are its [`Unit`]s: a group, and the index at which the group wants them. Then
//!
//! 1. groups that read the array at the same index of the same loops are siblings, and become one;
//! 2. a map that one unit alone wants is computed there; one that several want is computed in the group that has its
//!    iteration space, in all of them where that costs less than an array ([`cost`]), else in a group of its own;
//! 3. a reduction takes in the maps that read its result at the result's index, and the reductions that these read beside it.
//!
//! What is not computed in all places is stored by one group and read by the others, and [`Order`] refuses what would let two
//! groups wait for each other. The work is that of the edges, times the few places where a node is wanted.
//!
//! Fusion moves no bits: a node's function is applied to the same elements wherever it is computed, and a reduction's order
//! depends on the shape that it reduces and on its combiner alone. Siblings are merged only where the order of both
//! together is the order of each ([`Loops::with`]).

mod loops;
mod merge;

use std::collections::HashMap;

use loopweave_ir::Op;
use smallvec::SmallVec;

use self::loops::Loops;
use super::cost::{self, Reader, Work};
use super::estimate::{Estimate, estimates};
use super::extents::{Extent, extents};
use super::order::{DraftId, Order};
use super::reading::{Edge, Growth, Path, Reading, edges, is_computed, same_views};
use super::records::{Outcome, Records};
use super::rows;
use super::{GroupKind, Plan, Reason};
use crate::graph::{ArrayOp, Graph, NodeId};

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
    let extents = extents(graph);
    rows::merge(graph, &extents, plan_over(graph, &extents))
}

/// As [`plan`], without row-resident chains: for rows too few for all threads and too long for a cache.
pub fn plan_apart(graph: &Graph) -> Plan {
    plan_over(graph, &extents(graph))
}

fn plan_over(graph: &Graph, extents: &[Vec<Extent>]) -> Plan {
    let mut shapes = HashMap::new();
    let shape_of: Vec<u32> = extents
        .iter()
        .map(|extents| {
            let next = shapes.len() as u32;
            *shapes.entry(extents).or_insert(next)
        })
        .collect();
    let views = same_views(graph);
    let edges = edges(graph, extents, &views);
    let estimates = estimates(graph, extents, &shape_of, &edges);
    let mut planner = Planner {
        graph,
        shape_of,
        views,
        edges: &edges,
        estimates: &estimates,
        frames: HashMap::new(),
        repeats: vec![false],
        order: Order::default(),
        drafts: Vec::new(),
        places: vec![SmallVec::new(); graph.nodes.len()],
        home: vec![None; graph.nodes.len()],
        records: Records::default(),
    };
    let mut is_output = vec![false; graph.nodes.len()];
    for &(_, id) in &graph.outputs {
        is_output[id.index()] = true;
    }
    for id in (0..graph.nodes.len()).rev() {
        planner.visit(NodeId(id as u32), is_output[id]);
    }
    planner.finish(extents)
}

/// An index at which elements are wanted, relative to the index of a group's loops: equal ones are equal, and
/// [`ALIGNED`] is the loops' own.
type Frame = u32;

const ALIGNED: Frame = 0;

/// Where a group computes a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    draft: DraftId,
    /// Whether it is computed for each element that is reduced, and not for each result.
    before: bool,
    frame: Frame,
}

/// A place where a node's elements are wanted.
#[derive(Clone, Debug)]
struct Unit {
    place: Place,
    /// Who wants them.
    consumers: SmallVec<[NodeId; 2]>,
    /// Whether one element serves several indices of the loops.
    repeats: bool,
    /// Why they cannot be computed there.
    refused: Option<Reason>,
}

/// A group while it grows.
#[derive(Debug)]
struct Draft {
    /// `None` for a map.
    loops: Option<Loops>,
    /// The shape over which its roots lie, as a number.
    shape: u32,
    /// Function nodes that it computes.
    nodes: usize,
    roots: Vec<NodeId>,
    /// The computed nodes whose arrays it reads.
    reads: Vec<NodeId>,
}

struct Planner<'g> {
    graph: &'g Graph,
    /// Per node, a number that is the same for shapes that are the same in every call.
    shape_of: Vec<u32>,
    /// Per node, the first that shows the same by the same views.
    views: Vec<NodeId>,
    edges: &'g [Vec<Edge>],
    estimates: &'g [Estimate],
    /// Frames by the frame around them, the view that is read through, and the shape that is read.
    frames: HashMap<(Frame, Option<NodeId>, u32), Frame>,
    /// Per frame: whether one element serves several indices of the loops.
    repeats: Vec<bool>,
    order: Order,
    drafts: Vec<Draft>,
    /// Per node: where it is computed.
    places: Vec<SmallVec<[Place; 2]>>,
    /// Per node: the group that stores its array.
    home: Vec<Option<DraftId>>,
    records: Records,
}

impl Planner<'_> {
    fn visit(&mut self, id: NodeId, is_output: bool) {
        match &self.graph.node(id).op {
            ArrayOp::Map(_) => self.map(id, is_output),
            ArrayOp::Reduce { .. } | ArrayOp::MatMul => self.reduce(id, is_output),
            op => {
                if !matches!(op, ArrayOp::View(_)) {
                    self.merge_siblings(id);
                }
                if is_output {
                    // An output that nothing computes is a copy.
                    let copy = self.found(id);
                    self.store(id, copy);
                }
            }
        }
    }

    /// A map: computed in one place, in several, or in the group that stores it.
    fn map(&mut self, id: NodeId, is_output: bool) {
        self.merge_siblings(id);
        let mut units = self.units(id);
        self.refuse_whole_groups(&mut units);
        let kept_array = is_output || units.iter().any(|u| u.refused.is_some());
        if let ([unit], false) = (&units[..], kept_array) {
            self.compute(id, unit, Outcome::Inside);
            return;
        }

        let homes = units
            .iter()
            .filter(|u| u.refused.is_none() && !u.place.before && u.place.frame == ALIGNED);
        let home = homes
            .map(|u| u.place.draft)
            .min_by_key(|d| self.drafts[d.index()].loops.is_some());
        let is_home = |u: &Unit| Some(u.place.draft) == home && !u.place.before && u.place.frame == ALIGNED;
        let copies: Vec<&Unit> = units.iter().filter(|u| u.refused.is_none() && !is_home(u)).collect();
        let nodes = self.nodes(id);
        let has_room = |u: &&Unit| self.drafts[u.place.draft.index()].nodes + nodes <= cost::MAX_NODES;
        let few = copies.len() <= cost::MAX_COPIES && copies.iter().all(has_room);
        let work = self.work(id);
        let readers: Vec<Reader> = copies.iter().map(|u| self.reader(id, u)).collect();
        if !kept_array && few && cost::compute_again(work, &readers, home.is_some()) {
            for unit in &units {
                self.compute(id, unit, if is_home(unit) { Outcome::Inside } else { Outcome::Copy });
            }
            return;
        }

        // The array is stored. A group computes all that it wants of the node, or reads all of it.
        let is_expensive = few && !kept_array && cost::is_expensive(work, &readers, home.is_some());
        let why = if is_expensive {
            Reason::WouldDuplicateExpensiveOp
        } else {
            Reason::UsedElsewhere
        };
        let mut by_draft: Vec<(DraftId, Reader)> = Vec::new();
        for (unit, reader) in copies.iter().zip(&readers) {
            let draft = unit.place.draft;
            match by_draft.iter_mut().find(|(other, _)| *other == draft) {
                Some((_, all)) => *all = all.and(*reader),
                None => by_draft.push((draft, *reader)),
            }
        }
        let copied = |draft: DraftId| {
            let reader = by_draft.iter().find(|(other, _)| *other == draft);
            reader.is_none_or(|(_, reader)| few && cost::compute_beside(work, *reader))
        };
        let reads = |u: &Unit| u.refused.is_some() || (Some(u.place.draft) != home && !copied(u.place.draft));
        let readers: Vec<DraftId> = units.iter().filter(|u| reads(u)).map(|u| u.place.draft).collect();
        let fits = |home: &DraftId| copied(*home) && self.drafts[home.index()].roots.len() < cost::MAX_STORES;
        let stored_by = home.filter(fits).filter(|&home| self.order.precede(home, &readers));
        // A home that cannot store it is a reader as any other.
        let beside = home.filter(|_| stored_by.is_none()).is_some_and(|home| {
            let own = units.iter().find(|u| is_home(u)).map(|u| self.reader(id, u));
            few && copied(home) && own.is_some_and(|own| cost::compute_beside(work, own))
        });
        let away = match home {
            Some(home) if !copied(home) => why,
            Some(home) if self.drafts[home.index()].roots.len() >= cost::MAX_STORES => Reason::KernelTooLarge,
            _ => Reason::DependsThroughAnother,
        };
        match stored_by {
            Some(home) => self.store(id, home),
            None => {
                let own = self.found(id);
                self.store(id, own);
                let readers: Vec<DraftId> = readers.into_iter().chain(home.filter(|_| !beside)).collect();
                // A new group stands before all others, so this holds.
                self.order.precede(own, &readers);
            }
        }
        for unit in &units {
            let in_home = Some(unit.place.draft) == home;
            match unit.refused {
                Some(reason) => self.refuse(id, unit, reason),
                None if in_home && stored_by.is_none() && !beside => self.refuse(id, unit, away),
                None if is_home(unit) && stored_by.is_some() => self.compute(id, unit, Outcome::Inside),
                None if reads(unit) => self.refuse(id, unit, why),
                None => self.compute(id, unit, Outcome::Copy),
            }
        }
    }

    /// A reduction or a matrix product: a group of its own, which takes in what only reads its result where that is made.
    fn reduce(&mut self, id: NodeId, is_output: bool) {
        self.merge_siblings(id);
        let mut units = self.units(id);
        self.refuse_whole_groups(&mut units);
        let mut group = self.found(id);
        let readers: Vec<DraftId> = units.iter().map(|u| u.place.draft).collect();
        // A new group stands before all others, so this holds.
        self.order.precede(group, &readers);
        let mut stored = is_output;
        for unit in &units {
            let taken = match unit.refused {
                Some(reason) => Err(reason),
                None => self.take_in(group, unit.place.draft),
            };
            match taken {
                Ok(merged) => {
                    group = merged;
                    unit.consumers
                        .iter()
                        .for_each(|&c| self.records.edge(id, c, Outcome::Inside));
                }
                Err(reason) => {
                    stored = true;
                    self.refuse(id, unit, reason);
                }
            }
        }
        if stored {
            self.store(id, group);
        }
    }

    /// A new group that computes this node.
    fn found(&mut self, id: NodeId) -> DraftId {
        let draft = self.order.push_front();
        self.drafts.push(Draft {
            loops: Loops::of(self.graph, id, &self.shape_of),
            shape: self.shape_of[id.index()],
            nodes: self.nodes(id),
            roots: Vec::new(),
            reads: Vec::new(),
        });
        self.places[id.index()].push(Place {
            draft,
            before: false,
            frame: ALIGNED,
        });
        draft
    }

    fn store(&mut self, id: NodeId, draft: DraftId) {
        self.home[id.index()] = Some(draft);
        self.drafts[draft.index()].roots.push(id);
    }

    /// Computes a node where it is wanted.
    fn compute(&mut self, id: NodeId, unit: &Unit, outcome: Outcome) {
        let nodes = self.nodes(id);
        self.drafts[unit.place.draft.index()].nodes += nodes;
        self.places[id.index()].push(unit.place);
        unit.consumers.iter().for_each(|&c| self.records.edge(id, c, outcome));
    }

    fn refuse(&mut self, id: NodeId, unit: &Unit, reason: Reason) {
        let draft = self.order.find(unit.place.draft);
        self.drafts[draft.index()].reads.push(id);
        let consumers = unit.consumers.iter();
        consumers.for_each(|&c| self.records.edge(id, c, Outcome::Refused(reason)));
    }

    /// The places where a node's elements are wanted, each once.
    fn units(&mut self, id: NodeId) -> Vec<Unit> {
        let edges = self.edges;
        let mut units: Vec<Unit> = Vec::new();
        for edge in &edges[id.index()] {
            let mut places = self.places[edge.consumer.index()].clone();
            places.iter_mut().for_each(|p| p.draft = self.order.find(p.draft));
            for (i, &place) in places.iter().enumerate() {
                if places[..i].contains(&place) {
                    continue;
                }
                for (reading, side) in self.sides(id, edge) {
                    let unit = self.unit(id, edge.consumer, reading, side, place);
                    match units.iter_mut().find(|other| other.place == unit.place) {
                        Some(other) => {
                            other.refused = other.refused.or(unit.refused);
                            if other.consumers.last() != Some(&edge.consumer) {
                                other.consumers.push(edge.consumer);
                            }
                        }
                        None => units.push(unit),
                    }
                }
            }
        }
        units
    }

    /// The readings of an edge, and for a matrix product each with the factor that it is.
    fn sides<'e>(&self, id: NodeId, edge: &'e Edge) -> SmallVec<[(&'e Reading, Option<usize>); 2]> {
        let consumer = self.graph.node(edge.consumer);
        if consumer.op != ArrayOp::MatMul {
            return edge.readings.iter().map(|reading| (reading, None)).collect();
        }
        let factors = (0..2).filter(|&side| self.graph.source(consumer.args[side]) == id);
        let reading = |side: usize| {
            let same = |r: &&Reading| r.through == self.views[consumer.args[side].index()];
            edge.readings.iter().find(same).unwrap_or(&edge.readings[0])
        };
        factors.map(|side| (reading(side), Some(side))).collect()
    }

    /// Where a consumer that is computed at `place` wants elements.
    fn unit(&mut self, id: NodeId, consumer: NodeId, reading: &Reading, side: Option<usize>, place: Place) -> Unit {
        let shape = self.shape_of[id.index()];
        let reduces = matches!(self.graph.node(consumer).op, ArrayOp::Reduce { .. } | ArrayOp::MatMul);
        let in_step = reading.path == Path::Same && (reduces || shape == self.shape_of[consumer.index()]);
        let around = if reduces { ALIGNED } else { place.frame };
        let frame = if let Some(side) = side {
            // Each factor has loops of its own, and its elements serve a row or a column of the result.
            self.frame((side as Frame, Some(consumer), u32::MAX), true)
        } else if in_step {
            around
        } else {
            let through = (reading.path != Path::Same).then_some(reading.through);
            let repeats = self.repeats[around as usize] || reading.growth != Growth::None;
            self.frame((around, through, shape), repeats)
        };
        let place = Place {
            before: place.before || reduces,
            frame,
            ..place
        };
        Unit {
            place,
            consumers: SmallVec::from_iter([consumer]),
            repeats: self.repeats[frame as usize],
            refused: self.refusal(id, consumer, reading, place),
        }
    }

    /// The frame of this key, and whether one element serves several indices there.
    fn frame(&mut self, key: (Frame, Option<NodeId>, u32), repeats: bool) -> Frame {
        let next = self.repeats.len() as Frame;
        let frame = *self.frames.entry(key).or_insert(next);
        if frame == next {
            self.repeats.push(repeats);
        }
        frame
    }

    /// Why a node cannot be computed where it is wanted, whatever it costs elsewhere.
    fn refusal(&self, id: NodeId, consumer: NodeId, reading: &Reading, place: Place) -> Option<Reason> {
        let op = &self.graph.node(id).op;
        if !is_computed(op) {
            return None;
        }
        let estimate = &self.estimates[id.index()];
        if estimate.is_result {
            // What is made of a reduction's result is computed where that is, and nowhere else.
            return match (&self.graph.node(consumer).op, reading.growth, reading.path) {
                (ArrayOp::Reduce { .. } | ArrayOp::MatMul, ..) => Some(Reason::ReduceOfReduce),
                (_, Growth::Hoisted | Growth::Repeated(_), _) => Some(Reason::ResultIsBroadcast),
                (_, _, Path::Moved | Path::Reshaped) => Some(Reason::ViewBetween),
                _ if place.before => Some(Reason::ReduceOfReduce),
                _ if place.frame != ALIGNED || self.shape_of[id.index()] != self.shape_of[consumer.index()] => {
                    Some(Reason::ShapeMismatch)
                }
                _ => None,
            };
        }
        if reading.path == Path::Reshaped {
            return Some(Reason::ViewBetween);
        }
        // A product reads each element of a factor once for every few rows or columns.
        let growth = match self.graph.node(consumer).op {
            ArrayOp::MatMul => Growth::Repeated(None),
            _ => reading.growth,
        };
        (!estimate.may_repeat(growth)).then_some(Reason::WouldDuplicateExpensiveOp)
    }

    /// A group that has to read a node's array for one use reads it for all.
    fn refuse_whole_groups(&self, units: &mut [Unit]) {
        let refused: Vec<(DraftId, Reason)> = units
            .iter()
            .filter_map(|u| u.refused.map(|reason| (u.place.draft, reason)))
            .collect();
        for unit in units {
            let reason = refused.iter().find(|(draft, _)| *draft == unit.place.draft);
            unit.refused = unit.refused.or(reason.map(|&(_, reason)| reason));
        }
    }

    fn work(&self, id: NodeId) -> Work {
        self.estimates[id.index()].work
    }

    /// What computing the node costs in this place.
    fn reader(&self, id: NodeId, unit: &Unit) -> Reader {
        let consumers = unit.consumers.iter();
        let further = consumers.map(|&c| self.further_bytes(id, c)).min();
        Reader {
            copies: 1,
            further_bytes: further.unwrap_or(0),
            repeats: unit.repeats,
        }
    }

    /// Bytes of the operands that the consumer reads only because it computes the node.
    fn further_bytes(&self, id: NodeId, consumer: NodeId) -> u64 {
        let args = self.graph.node(consumer).args.iter().map(|&arg| self.graph.source(arg));
        let others: Vec<NodeId> = args.filter(|&arg| arg != id).collect();
        let own = &self.estimates[id.index()];
        own.bytes_beside(&others, self.estimates)
    }

    fn nodes(&self, id: NodeId) -> usize {
        match &self.graph.node(id).op {
            ArrayOp::Map(func) => func.nodes().iter().filter(|n| !matches!(n.op, Op::Param(_))).count(),
            _ => 1,
        }
    }

    fn finish(mut self, extents: &[Vec<Extent>]) -> Plan {
        let mut number = vec![None; self.drafts.len()];
        let order: Vec<DraftId> = self.order.iter().collect();
        for (i, draft) in order.iter().enumerate() {
            number[draft.index()] = Some(i);
        }
        // Per node and place, the number of the group.
        let mut computed: Vec<SmallVec<[(usize, bool); 2]>> = Vec::with_capacity(self.places.len());
        let mut members: Vec<Vec<NodeId>> = vec![Vec::new(); order.len()];
        for (i, places) in self.places.iter().enumerate() {
            let mut own = SmallVec::new();
            for place in places {
                let Some(group) = number[self.order.find(place.draft).index()] else {
                    continue;
                };
                if members[group].last() != Some(&NodeId(i as u32)) {
                    members[group].push(NodeId(i as u32));
                }
                own.push((group, place.before));
            }
            computed.push(own);
        }
        let groups = order.iter().zip(members).map(|(id, members)| {
            let draft = &mut self.drafts[id.index()];
            draft.roots.sort_unstable();
            let roots = std::mem::take(&mut draft.roots);
            let kind = match draft.loops.take() {
                None => GroupKind::Map,
                Some(mut loops) => {
                    loops.reductions.sort_unstable();
                    match loops.reductions[..] {
                        [product] if self.graph.node(product).op == ArrayOp::MatMul => GroupKind::MatMul(product),
                        _ => GroupKind::Reduce(loops.reductions),
                    }
                }
            };
            super::group(self.graph, extents, members, roots, kind)
        });
        let groups = groups.collect();
        let home: Vec<Option<usize>> = self
            .home
            .iter()
            .map(|home| home.and_then(|id| number[self.order.find(id).index()]))
            .collect();
        Plan {
            decisions: self
                .records
                .finish(self.graph, self.edges, self.estimates, &home, &computed),
            groups,
        }
    }
}
