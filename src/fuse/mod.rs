//! The fusion plan: which nodes of a graph become one loop nest, and why.
//!
//! In: a typed [`Graph`](crate::graph::Graph). Out: a [`Plan`]: groups in the order in which they run, and a [`Decision`] for each edge along
//! which a merge was made or refused. The only module that fuses; it knows no target.
//!
//! Invariants: every node that is not an input, a constant or a view belongs to exactly one group (a map that was
//! duplicated into several consumers to several); a group reads only inputs and roots of earlier groups, through views.

mod extents;
mod rules;

pub use rules::plan;

use std::fmt;

use crate::graph::NodeId;

/// The index of a group, in the order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What will run: groups in order, and how it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The groups, in an order in which they can run.
    pub groups: Vec<Group>,
    /// Each merge and each refusal.
    pub decisions: Vec<Decision>,
}

/// The nodes that one nest computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// A name from the user's names.
    pub name: String,
    /// Every node the nest computes, arguments before users. Views between them are not listed.
    pub members: Vec<NodeId>,
    /// The nodes whose arrays leave the group: outputs of the program, or inputs of later groups. All have one iteration
    /// space.
    pub roots: Vec<NodeId>,
    /// What the group loops over.
    pub kind: GroupKind,
    /// Per axis of the iteration space, the program's name for its extent, where it has one.
    pub axes: Vec<Option<String>>,
}

/// What a group loops over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Elementwise, over the shape of the roots.
    Map,
    /// A reduction (the one member that is one), with elementwise nodes before it and, over its result, after it.
    Reduce(NodeId),
    /// A matrix product (the one member that is one), with elementwise nodes before it and, over its result, after it.
    MatMul(NodeId),
}

/// One merge or refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The node whose array would pass between the two.
    pub producer: NodeId,
    /// The node that reads it.
    pub consumer: NodeId,
    /// What was decided.
    pub verdict: Verdict,
}

/// What was decided of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// One nest computes both, by this rule.
    Fused(Rule),
    /// The producer's array goes through memory, for this reason.
    Refused(Reason),
}

/// The rules that merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// An elementwise producer computed inside its elementwise consumer.
    MapIntoMap,
    /// An elementwise producer computed inside the reduction that consumes it.
    MapIntoReduce,
    /// An elementwise consumer of a reduction's result, computed where the result is stored.
    MapAfterReduce,
    /// An elementwise consumer of a matrix product, computed where the product is stored.
    MapAfterMatMul,
}

/// The reasons that keep two nodes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The producer's array is an output of the program, or several consumers read it: it is stored anyway.
    UsedElsewhere,
    /// The producer is a reduction and the consumer reads its result more than once per element.
    ResultIsBroadcast,
    /// The consumer's iteration space differs from the producer's.
    ShapeMismatch,
    /// The consumer reduces what another reduction made.
    ReduceOfReduce,
    /// The consumer already stands in the nest of another reduction.
    SecondReduction,
    /// The consumer is a matrix product, which reads its factors many times.
    ReadManyTimes,
    /// A view between the two that cannot be turned into addresses of the producer's operands.
    ViewBetween,
}

impl Rule {
    /// The stable name in reports.
    pub const fn code(self) -> &'static str {
        match self {
            Rule::MapIntoMap => "map-into-map",
            Rule::MapIntoReduce => "map-into-reduce",
            Rule::MapAfterReduce => "map-after-reduce",
            Rule::MapAfterMatMul => "map-after-matmul",
        }
    }
}

impl Reason {
    /// The stable name in reports.
    pub const fn code(self) -> &'static str {
        match self {
            Reason::UsedElsewhere => "used-elsewhere",
            Reason::ResultIsBroadcast => "result-is-broadcast",
            Reason::ShapeMismatch => "shape-mismatch",
            Reason::ReduceOfReduce => "reduce-of-reduce",
            Reason::SecondReduction => "second-reduction",
            Reason::ReadManyTimes => "read-many-times",
            Reason::ViewBetween => "view-between",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Fused(rule) => write!(f, "fused ({})", rule.code()),
            Verdict::Refused(reason) => write!(f, "not fused ({})", reason.code()),
        }
    }
}
