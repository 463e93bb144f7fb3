//! Array programs: a graph of inputs, constants, maps, reductions and views, with dtypes and ranks.
//!
//! In: a Rust closure ([`trace`](mod@trace)), calls of the builder ([`build`]) or a kernel of the array language ([`text`]). Out: a [`Graph`] whose every node has
//! a dtype and a rank. Extents are not known here: they come with each call and are checked by [`bind`].
//!
//! Invariants: nodes stand in order, arguments before users; a map's function is typed, and its parameters have exactly
//! the dtypes of its arguments; views change shape and strides and never touch elements.

pub mod bind;
pub mod build;
pub(crate) mod combiner;
mod error;
mod print;
pub mod settle;
pub mod text;
pub mod trace;

use std::fmt;

use loopweave_ir::{Dtype, Func, Scalar};

pub use crate::shape::Slice;
pub use error::GraphError;

/// The index of a node within its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// An array program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The program's name.
    pub name: String,
    /// The nodes, arguments before users.
    pub nodes: Vec<Node>,
    /// The inputs, in the order of the call.
    pub inputs: Vec<NodeId>,
    /// The outputs, in order, each with its name.
    pub outputs: Vec<(String, NodeId)>,
    /// The declared extents of each output, which every call checks; empty where any will do.
    pub output_dims: Vec<Vec<Option<Dim>>>,
}

/// One node: an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What makes it.
    pub op: ArrayOp,
    /// From what.
    pub args: Vec<NodeId>,
    /// The element type.
    pub dtype: Dtype,
    /// The number of axes.
    pub rank: usize,
    /// The user's name for it: an input's, a binding's, or one made from the op.
    pub name: String,
    /// Where it stands in the text it came from.
    pub span: loopweave_ir::text::ast::Span,
}

/// What makes an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrayOp {
    /// An argument of the call. Extents are constrained where the text constrains them.
    Input {
        /// The declared extent of each axis; `None` where any will do.
        dims: Vec<Option<Dim>>,
    },
    /// A 0-d constant.
    Constant(Scalar),
    /// A typed scalar function of the arguments' elements, which broadcast. One result.
    Map(Func),
    /// A reduction over some axes of the one argument.
    Reduce {
        /// How values are combined.
        reduction: Reduction,
        /// The reduced axes, ascending, not negative.
        axes: Vec<usize>,
        /// Whether a reduced axis stays with extent 1.
        keepdims: bool,
    },
    /// The matrix product of the two arguments, by NumPy's rules: the last axis of the first and the last but one of the
    /// second (or its only one) are contracted, the axes before those broadcast. Integers wrap; of `bool` it is whether any
    /// pair holds.
    MatMul,
    /// A view of the one argument.
    View(View),
}

/// A declared extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A name: equal names are equal extents within one call.
    Name(String),
    /// A fixed extent.
    Fixed(usize),
}

/// How a reduction combines values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// One of NumPy's.
    Named(Named),
    /// A user's combiner, associative by promise: a typed function of two values of the argument's dtype to one, and the
    /// value it starts from.
    Custom {
        /// Two values to one.
        combine: Func,
        /// The initial value, combined once, first.
        init: Scalar,
    },
}

/// The named reductions, with NumPy's rules for NaN, empty axes and integer widening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named {
    /// Integers and bool widen to `i64` or `u64`; 0 for nothing.
    Sum,
    /// As `Sum`; 1 for nothing.
    Prod,
    /// NaN if any is NaN; nothing is refused.
    Min,
    /// NaN if any is NaN; nothing is refused.
    Max,
    /// The sum over the count, integers as `f64`; NaN for nothing.
    Mean,
    /// Whether any is not zero; false for nothing.
    Any,
    /// Whether all are not zero; true for nothing.
    All,
    /// The position (`i64`, in C order of the reduced axes) of the first least value, or of the first NaN; nothing is
    /// refused.
    ArgMin,
    /// As `ArgMin`, of the first greatest value.
    ArgMax,
}

/// A change of shape and strides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// Axis i of the result is axis `0[i]` of the argument.
    Permute(Vec<usize>),
    /// NumPy's basic indexing.
    Slice(Vec<Slice>),
    /// Extents of 1, and missing leading axes, grow to the given ones.
    Broadcast(Vec<Dim>),
    /// The same elements in C order under other extents; −1 (`None`) once for what remains. A call on a layout that no
    /// view can reshape is refused with the reason.
    Reshape(Vec<Option<Dim>>),
}

impl From<usize> for Dim {
    fn from(extent: usize) -> Dim {
        Dim::Fixed(extent)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Dim {
        Dim::Name(name.to_owned())
    }
}

impl Named {
    /// The name in text and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Named::Sum => "sum",
            Named::Prod => "prod",
            Named::Min => "min",
            Named::Max => "max",
            Named::Mean => "mean",
            Named::Any => "any",
            Named::All => "all",
            Named::ArgMin => "argmin",
            Named::ArgMax => "argmax",
        }
    }

    /// Every named reduction.
    pub const ALL: [Named; 9] = [
        Named::Sum,
        Named::Prod,
        Named::Min,
        Named::Max,
        Named::Mean,
        Named::Any,
        Named::All,
        Named::ArgMin,
        Named::ArgMax,
    ];

    /// The reduction of this name.
    pub fn from_name(name: &str) -> Option<Named> {
        Named::ALL.into_iter().find(|named| named.name() == name)
    }

    /// Whether the reduction has a value for no elements.
    pub const fn has_identity(self) -> bool {
        !matches!(self, Named::Min | Named::Max | Named::ArgMin | Named::ArgMax)
    }
}

impl Graph {
    /// The node of this id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Ids and nodes, arguments before users.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i as u32), node))
    }

    /// The node whose elements this one shows: itself, or what a chain of views starts from.
    pub(crate) fn source(&self, mut id: NodeId) -> NodeId {
        while let ArrayOp::View(_) = self.node(id).op {
            id = self.node(id).args[0];
        }
        id
    }

    /// Whether a node's elements are also shown in another shape, which needs them in C order.
    pub(crate) fn is_reshaped(&self, id: NodeId) -> bool {
        let is_reshape = |node: &&Node| matches!(node.op, ArrayOp::View(View::Reshape(_)));
        let mut reshapes = self.nodes.iter().filter(is_reshape);
        reshapes.any(|node| self.source(node.args[0]) == id)
    }

    /// How many nodes and outputs use each node.
    pub fn use_counts(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        let args = self.nodes.iter().flat_map(|n| &n.args);
        for id in args.chain(self.outputs.iter().map(|(_, id)| id)) {
            uses[id.index()] += 1;
        }
        uses
    }

    /// Whether an input declares an extent of this name.
    fn declares(&self, extent: &str) -> bool {
        let named = |dim: &Option<Dim>| matches!(dim, Some(Dim::Name(name)) if name == extent);
        let dims = self.nodes.iter().filter_map(|node| match &node.op {
            ArrayOp::Input { dims } => Some(dims),
            _ => None,
        });
        dims.flatten().any(named)
    }

    /// The graph of the nodes that outputs need, and of all inputs.
    fn without_dead_nodes(self) -> Graph {
        let mut live = vec![false; self.nodes.len()];
        for id in self.inputs.iter().chain(self.outputs.iter().map(|(_, id)| id)) {
            live[id.index()] = true;
        }
        for (id, node) in self.iter().rev() {
            if live[id.index()] {
                node.args.iter().for_each(|arg| live[arg.index()] = true);
            }
        }
        let mut new_ids = Vec::with_capacity(live.len());
        let mut next = 0;
        for &live in &live {
            new_ids.push(NodeId(next));
            next += live as u32;
        }
        let renumber = |id: &mut NodeId| *id = new_ids[id.index()];
        let mut graph = self;
        let mut index = 0;
        graph.nodes.retain(|_| {
            index += 1;
            live[index - 1]
        });
        graph.nodes.iter_mut().flat_map(|n| &mut n.args).for_each(renumber);
        graph.inputs.iter_mut().for_each(renumber);
        graph.outputs.iter_mut().for_each(|(_, id)| renumber(id));
        graph
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(self, f)
    }
}
