//! The fusion plan: which nodes of a graph become one loop nest, and why.
//!
//! In: a typed [`Graph`]. Out: a [`Plan`]: groups in the order in which they run, and a [`Decision`] for each pair of
//! nodes that were merged, or could have been. The only module that fuses; it knows no target.
//!
//! Invariants: every node that is not an input, a constant or a view belongs to a group, and a map may belong to several,
//! which all compute it; an array that leaves its group is stored by exactly one; a group reads only inputs and roots of
//! earlier groups, through views, and never an array of a node that it computes.

mod cost;
mod estimate;
mod extents;
mod order;
mod reading;
mod records;
mod rows;
mod rules;
mod unfused;

pub use rules::{plan, plan_apart};
pub use unfused::unfused;

use std::fmt;

use self::extents::Extent;
use crate::graph::{Graph, NodeId};

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
    /// Each merge and each refusal: one for each edge between two computed nodes, by consumers, then those of siblings.
    pub decisions: Vec<Decision>,
}

/// The nodes that one nest computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// A name from the user's names.
    pub name: String,
    /// Every node the nest computes, arguments before users. Views between them are not listed.
    pub members: Vec<NodeId>,
    /// The nodes whose arrays leave the group: outputs of the program, or inputs of later groups. Those of a map group have
    /// one shape in every call; those of a reduction too, but for reduced axes that some keep with extent 1.
    pub roots: Vec<NodeId>,
    /// What the group loops over.
    pub kind: GroupKind,
    /// Per axis of the iteration space, the program's name for its extent, where it has one.
    pub axes: Vec<Option<String>>,
}

/// What a group loops over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Elementwise, over the shape of the roots.
    Map,
    /// Reductions of one iteration space over the same axes (those of the members that are), with elementwise nodes before
    /// them and, over their results, after them.
    Reduce(Vec<NodeId>),
    /// A matrix product (the one member that is one), with elementwise nodes of its factors before it and, over its result,
    /// after it.
    MatMul(NodeId),
    /// Maps and reductions over the same rows, the last axes of their space: these groups one after the other, for each row.
    Rows(Vec<Group>),
}

/// One merge or refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the two are to each other.
    pub relation: Relation,
    /// The node whose array would pass between the two; of siblings, the first.
    pub producer: NodeId,
    /// The node that reads it; of siblings, the second.
    pub consumer: NodeId,
    /// What was decided.
    pub verdict: Verdict,
    /// The memory traffic that it saves.
    pub saves: Vec<Traffic>,
}

/// What two nodes are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// One reads what the other makes.
    Edge,
    /// Both read the same array.
    Siblings,
}

/// Passes over an array in memory, each a read or a write of all its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The node whose array it is.
    pub array: NodeId,
    /// How many; negative where they are made in place of others.
    pub passes: i32,
}

/// What was decided of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// One nest computes both, by this rule.
    Fused(Rule),
    /// The producer's array goes through memory, for this reason.
    Refused(Reason),
}

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident $code:literal $words:literal)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $name {
            /// The stable name in reports.
            pub const fn code(self) -> &'static str {
                match self {
                    $($name::$variant => $code,)*
                }
            }

            /// The same in words.
            pub const fn words(self) -> &'static str {
                match self {
                    $($name::$variant => $words,)*
                }
            }
        }
    };
}

codes! {
    /// The rules that merge.
    Rule {
        /// An elementwise producer computed inside its elementwise consumer.
        MapIntoMap "map-into-map" "computed where it is used"
        /// An elementwise producer computed inside the reduction that consumes it.
        MapIntoReduce "map-into-reduce" "computed where it is reduced"
        /// An elementwise consumer of a reduction's result, computed where the result is stored.
        MapAfterReduce "map-after-reduce" "computed where the result is stored"
        /// An elementwise producer of a matrix product's factor, computed as the factor is packed.
        MapIntoMatMul "map-into-matmul" "computed as the factor is packed"
        /// An elementwise consumer of a matrix product, computed where the product is stored.
        MapAfterMatMul "map-after-matmul" "computed where the product is stored"
        /// Two of a chain of nodes that work on the same rows, one row after the other.
        RowResident "row-resident" "kept in cache from row to row"
        /// An elementwise producer computed again in this consumer's kernel, since that costs less than its array's way
        /// through memory.
        Recomputed "recomputed" "cheaper to compute again than to read"
        /// Two elementwise nodes over one iteration space that read the same array.
        SiblingMaps "sibling-maps" "one pass over what both read"
        /// Two reductions of one iteration space over the same axes that read the same array.
        SiblingReductions "sibling-reductions" "one pass over what both reduce"
    }
}

codes! {
    /// The reasons that keep two nodes apart.
    Reason {
        /// The producer's array is an output of the program, or several kernels read it: it is stored anyway.
        UsedElsewhere "used-elsewhere" "its array is stored anyway, as an output or for another op"
        /// Computing the producer again for the consumer costs more than reading its array.
        WouldDuplicateExpensiveOp "would-duplicate-expensive-op" "computing it again would cost more than reading it"
        /// The producer is a reduction and the consumer reads its result more than once per element.
        ResultIsBroadcast "result-is-broadcast" "each result of the reduction is read more than once"
        /// The consumer's iteration space differs from the producer's.
        ShapeMismatch "shape-mismatch" "the two loop over different shapes"
        /// The consumer reduces what another reduction made.
        ReduceOfReduce "reduce-of-reduce" "it would be a reduction inside a reduction"
        /// The consumer stands in the nest of a reduction over other axes or another space.
        SecondReduction "second-reduction" "the kernel already computes another reduction"
        /// The two reductions combine in different orders, which are part of their bits.
        OrderDependent "order-dependent" "the two combine their elements in different orders"
        /// One of the two reductions starts from a given value, which is part of its bits.
        InitialValue "initial-value" "only one of the two starts from a given value"
        /// A view between the two that cannot be turned into addresses of the producer's operands.
        ViewBetween "view-between" "the view between them does not keep the elements in place"
        /// A third kernel reads the one and makes what the other reads.
        DependsThroughAnother "depends-through-another" "another kernel stands between the two"
        /// The merged kernel would be longer, or write or accumulate more at once, than one should.
        KernelTooLarge "kernel-too-large" "the kernel would grow too large"
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

/// A group with its names.
fn group(graph: &Graph, extents: &[Vec<Extent>], members: Vec<NodeId>, roots: Vec<NodeId>, kind: GroupKind) -> Group {
    let mut space = match &kind {
        GroupKind::Map => extents[roots[0].index()].clone(),
        GroupKind::Reduce(reductions) => extents[graph.node(reductions[0]).args[0].index()].clone(),
        GroupKind::MatMul(product) => extents[product.index()].clone(),
        GroupKind::Rows(_) => Vec::new(),
    };
    if let GroupKind::MatMul(product) = kind {
        // The contracted axis stands before the product's columns.
        let [left, right] = [0, 1].map(|i| graph.node(product).args[i]);
        let columns = (graph.node(right).rank > 1) as usize;
        let contracted = &extents[left.index()][graph.node(left).rank - 1];
        space.insert(space.len() - columns, contracted.clone());
    }
    let axes = space.iter().map(|extent| match extent {
        Extent::Named(name) => Some(name.clone()),
        Extent::Fixed(_) | Extent::Of(..) => None,
    });
    Group {
        name: group_name(graph, &roots),
        axes: axes.collect(),
        members,
        roots,
        kind,
    }
}

/// The names of the arrays that a group stores; of many, the first and the last.
fn group_name(graph: &Graph, roots: &[NodeId]) -> String {
    let name = |root: &NodeId| {
        let output = graph.outputs.iter().find(|(_, id)| id == root);
        output.map_or(graph.node(*root).name.as_str(), |(name, _)| name)
    };
    match roots {
        [first, .., last] if roots.len() > 3 => format!("{}_to_{}", name(first), name(last)),
        _ => roots.iter().map(name).collect::<Vec<_>>().join("_"),
    }
}
