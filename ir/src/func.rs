//! Scalar functions: a flat, hash-consed list of nodes, and the builder that makes it.
//!
//! In: ops and operands through [`Builder`]. Out: a canonical [`Func`].
//!
//! Invariants of a `Func`, which [`crate::verify`] checks:
//!
//! - **Canonical**: nodes stand in the order of a depth-first walk from the results, children before parents, left before
//!   right; no node is dead; no two nodes are equal. So equal functions are equal data, and `==` compares meaning up to
//!   rewriting.
//! - **Typed or polymorphic, as a whole**: in a typed function every node has a dtype, strictly ruled
//!   ([`Op::result_dtype`]); in a polymorphic one no node has, and literals are weak. [`crate::infer::specialise`] leads
//!   from the second to the first.

use std::collections::HashMap;
use std::fmt;

use crate::dtype::{Dtype, Scalar};
use crate::op::Op;

/// The largest number of nodes a function may have; a builder that reaches it stops and reports.
pub const MAX_NODES: usize = 1 << 16;

/// The index of a node within its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u32);

impl ExprId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ExprId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// The operands of a node: up to three ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operands {
    len: u8,
    ids: [ExprId; 3],
}

impl Operands {
    /// The operands as a list; none of the ops takes more than three.
    pub fn new(ids: &[ExprId]) -> Operands {
        let mut operands = Operands {
            len: ids.len() as u8,
            ids: [ExprId(0); 3],
        };
        operands.ids[..ids.len()].copy_from_slice(ids);
        operands
    }

    fn map(self, f: impl Fn(ExprId) -> ExprId) -> Operands {
        let mut mapped = self;
        for id in &mut mapped.ids[..self.len as usize] {
            *id = f(*id);
        }
        mapped
    }
}

impl std::ops::Deref for Operands {
    type Target = [ExprId];

    fn deref(&self) -> &[ExprId] {
        &self.ids[..self.len as usize]
    }
}

/// One node: an op applied to earlier nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// From what.
    pub args: Operands,
    /// The type of the value; `None` in a polymorphic function.
    pub dtype: Option<Dtype>,
}

/// A parameter of a function: its name and, where it is fixed, its storage type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// The name in text and reports.
    pub name: String,
    /// The type of the argument, `None` where the function takes any.
    pub dtype: Option<Dtype>,
}

/// A scalar function of some parameters with one or more results.
///
/// ```
/// use loopweave_ir::{Builder, Op};
/// let mut b = Builder::polymorphic("square");
/// let x = b.param("x", None);
/// let xx = b.node(Op::Mul, &[x, x]);
/// let square = b.finish(&[xx]);
/// assert_eq!(square.nodes().len(), 2);
/// assert_eq!(square.params()[0].name, "x");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Func {
    name: String,
    params: Vec<Param>,
    nodes: Vec<Node>,
    results: Vec<ExprId>,
    typed: bool,
}

impl Func {
    /// The name, which plays no part in meaning.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters, in order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The nodes, children before parents.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes whose values are the results, in order.
    pub fn results(&self) -> &[ExprId] {
        &self.results
    }

    /// Whether every node has a dtype.
    pub fn is_typed(&self) -> bool {
        self.typed
    }

    /// The node of this id.
    pub fn node(&self, id: ExprId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Ids and nodes, children before parents.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ExprId, &Node)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(i, node)| (ExprId(i as u32), node))
    }

    /// The dtype of a node of a typed function.
    ///
    /// # Panics
    /// If the function is polymorphic: stages after inference only see typed ones.
    pub fn dtype(&self, id: ExprId) -> Dtype {
        self.node(id).dtype.expect("only typed functions reach this stage")
    }

    /// The dtypes of a typed function's results.
    pub fn result_dtypes(&self) -> Vec<Dtype> {
        self.results.iter().map(|&id| self.dtype(id)).collect()
    }

    /// The dtypes of a typed function's parameters.
    pub fn param_dtypes(&self) -> Vec<Dtype> {
        self.params
            .iter()
            .map(|p| p.dtype.expect("a typed function has typed parameters"))
            .collect()
    }

    /// For each node, whether every element needs its value: whether the results use it otherwise than through what
    /// [`Op::Rare`] seldom chooses.
    pub fn always_needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        self.results.iter().for_each(|r| needed[r.index()] = true);
        for (id, node) in self.iter().rev().filter(|(_, node)| !node.args.is_empty()) {
            for (i, arg) in node.args.iter().enumerate() {
                let is_rare = node.op == Op::Rare && i == 1;
                needed[arg.index()] |= needed[id.index()] && !is_rare;
            }
        }
        needed
    }

    /// The nodes besides those already known that the value of a node takes, each after its operands.
    pub fn needed_beside(&self, id: ExprId, is_known: impl Fn(ExprId) -> bool) -> Vec<ExprId> {
        let mut needed = vec![false; id.index() + 1];
        needed[id.index()] = !is_known(id);
        let before = || self.iter().take(id.index() + 1).map(|(id, _)| id);
        for at in before().rev() {
            if needed[at.index()] {
                for arg in self.node(at).args.iter().filter(|a| !is_known(**a)) {
                    needed[arg.index()] = true;
                }
            }
        }
        before().filter(|at| needed[at.index()]).collect()
    }

    /// The function under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Func {
        self.name = name.into();
        self
    }

    /// Takes the names of the function and of its parameters away, so that functions which differ in nothing else are equal.
    pub fn forget_names(&mut self) {
        self.name.clear();
        self.params.iter_mut().for_each(|param| param.name.clear());
    }

    /// The function with other results: nodes of its own, in any order and number.
    ///
    /// # Panics
    /// If an id is not one of its nodes.
    pub fn with_results(mut self, results: Vec<ExprId>) -> Func {
        assert!(
            results.iter().all(|id| id.index() < self.nodes.len()),
            "results are nodes"
        );
        self.results = results;
        self
    }

    /// A function made of these parts as they stand, for tests of the verifier: nothing is checked or put in order.
    pub fn from_parts_unchecked(name: &str, params: Vec<Param>, nodes: Vec<Node>, results: Vec<ExprId>) -> Func {
        let typed = nodes.iter().all(|n| n.dtype.is_some()) && params.iter().all(|p| p.dtype.is_some());
        Func {
            name: name.to_owned(),
            params,
            nodes,
            results,
            typed,
        }
    }
}

/// Builds a [`Func`] node by node, sharing equal nodes.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    params: Vec<Param>,
    nodes: Vec<Node>,
    known: HashMap<(Op, Operands), ExprId>,
    typed: bool,
}

impl Builder {
    /// A builder of a function that takes any types: nodes get no dtype.
    pub fn polymorphic(name: impl Into<String>) -> Builder {
        Builder::new(name.into(), false)
    }

    /// A builder of a typed function: operands must have exactly the types the op's strict rule asks for.
    pub fn typed(name: impl Into<String>) -> Builder {
        Builder::new(name.into(), true)
    }

    fn new(name: String, typed: bool) -> Builder {
        Builder {
            name,
            params: Vec::new(),
            nodes: Vec::new(),
            known: HashMap::new(),
            typed,
        }
    }

    /// Adds a parameter and returns its node. In a typed function `dtype` must be given.
    pub fn param(&mut self, name: impl Into<String>, dtype: Option<Dtype>) -> ExprId {
        debug_assert!(!self.typed || dtype.is_some(), "a typed function has typed parameters");
        let index = self.params.len() as u32;
        self.params.push(Param {
            name: name.into(),
            dtype,
        });
        self.insert(
            Op::Param(index),
            Operands::new(&[]),
            if self.typed { dtype } else { None },
        )
    }

    /// The node of this op and operands, new or already there.
    ///
    /// # Panics
    /// If the number of operands is not the op's arity or, in a typed function, the strict type rule is broken. Both are
    /// errors of the calling pass, never of a user's program: text and closures are checked by [`crate::infer`].
    pub fn node(&mut self, op: Op, args: &[ExprId]) -> ExprId {
        assert_eq!(args.len(), op.arity(), "operands of `{}`", op.name());
        let dtype = self.typed.then(|| {
            let dtypes: smallvec::SmallVec<[Dtype; 3]> = args.iter().map(|&a| self.dtype(a)).collect();
            op.result_dtype(&dtypes)
                .unwrap_or_else(|| panic!("`{}` cannot take {dtypes:?}", op.name()))
        });
        self.insert(op, Operands::new(args), dtype)
    }

    /// The node of this op and operands if it is already there.
    pub(crate) fn find(&self, op: Op, args: &[ExprId]) -> Option<ExprId> {
        self.known.get(&(op, Operands::new(args))).copied()
    }

    /// A typed constant.
    pub fn constant(&mut self, value: impl Into<Scalar>) -> ExprId {
        self.node(Op::Const(value.into()), &[])
    }

    /// A float constant of the given float dtype.
    pub fn float(&mut self, dtype: Dtype, value: f64) -> ExprId {
        self.node(Op::Const(Scalar::from_f64(dtype, value)), &[])
    }

    /// The value converted to `dtype`: the value itself if it has that type.
    pub fn cast(&mut self, value: ExprId, dtype: Dtype) -> ExprId {
        let from = self.dtype(value);
        if from == dtype {
            value
        } else if dtype.is_storage_only()
            && from != Dtype::Bool
            && !from.is_storage_only()
            && from.size() > 2
            && from != Dtype::F32
        {
            let wide = self.cast(value, Dtype::F64);
            let odd = self.round_to_odd(wide);
            self.node(Op::Cast(dtype), &[odd])
        } else if (dtype.is_storage_only() || from.is_storage_only()) && from.compute() != dtype.compute() {
            let middle = self.cast(value, Dtype::F32);
            self.cast(middle, dtype)
        } else if dtype.is_storage_only() && from.is_storage_only() {
            let middle = self.node(Op::Cast(Dtype::F32), &[value]);
            self.node(Op::Cast(dtype), &[middle])
        } else {
            self.node(Op::Cast(dtype), &[value])
        }
    }

    /// An `f64` as the `f32` beside it whose last bit is odd, or as itself where it is one: what a further rounding needs to
    /// come out as if it were the only one (S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
    fn round_to_odd(&mut self, x: ExprId) -> ExprId {
        let near = self.node(Op::Cast(Dtype::F32), &[x]);
        let back = self.node(Op::Cast(Dtype::F64), &[near]);
        let inexact = self.node(Op::Ne, &[back, x]);
        let (far, here) = (self.node(Op::Abs, &[back]), self.node(Op::Abs, &[x]));
        let away = self.node(Op::Gt, &[far, here]);
        let bits = self.node(Op::Bitcast(Dtype::U32), &[near]);
        let step = self.node(Op::Cast(Dtype::U32), &[away]);
        let toward_zero = self.node(Op::Sub, &[bits, step]);
        let sticky = self.node(Op::Cast(Dtype::U32), &[inexact]);
        let odd = self.node(Op::Or, &[toward_zero, sticky]);
        self.node(Op::Bitcast(Dtype::F32), &[odd])
    }

    /// The dtype of a node of a typed function under construction.
    pub fn dtype(&self, id: ExprId) -> Dtype {
        self.nodes[id.index()]
            .dtype
            .expect("only typed builders ask for dtypes")
    }

    /// The op of a node under construction.
    pub fn op(&self, id: ExprId) -> Op {
        self.nodes[id.index()].op
    }

    /// The operands of a node under construction.
    pub fn args(&self, id: ExprId) -> Operands {
        self.nodes[id.index()].args
    }

    /// The number of nodes so far; a caller with a user's program behind it checks this against [`MAX_NODES`].
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes of `func` on the given arguments: an inlined call. Returns the results' nodes.
    pub fn inline(&mut self, func: &Func, args: &[ExprId]) -> Vec<ExprId> {
        self.inline_where(func, args, |b| b.node(Op::Index, &[]))
    }

    /// As [`Builder::inline`], at a position of the reduced axes that is a value: what [`Op::Index`] reads is that.
    pub fn inline_at(&mut self, func: &Func, args: &[ExprId], position: ExprId) -> Vec<ExprId> {
        self.inline_where(func, args, |_| position)
    }

    fn inline_where(&mut self, func: &Func, args: &[ExprId], index: impl Fn(&mut Builder) -> ExprId) -> Vec<ExprId> {
        assert_eq!(args.len(), func.params().len(), "arguments of `{}`", func.name());
        let mut map: Vec<ExprId> = Vec::with_capacity(func.nodes().len());
        for node in func.nodes() {
            let id = match node.op {
                Op::Param(i) => args[i as usize],
                Op::Index => index(self),
                op => {
                    let operands = node.args.map(|a| map[a.index()]);
                    self.node(op, &operands)
                }
            };
            map.push(id);
        }
        func.results().iter().map(|&r| map[r.index()]).collect()
    }

    /// The function with these results, in canonical order and without dead nodes.
    pub fn finish(self, results: &[ExprId]) -> Func {
        self.finish_with_map(results).0
    }

    /// As [`Builder::finish`], with the new id of each old node; `None` for a node that was dead.
    pub fn finish_with_map(self, results: &[ExprId]) -> (Func, Vec<Option<ExprId>>) {
        let mut map: Vec<Option<ExprId>> = vec![None; self.nodes.len()];
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len());
        // An explicit stack: a chain of 60,000 additions is a legal program.
        let mut stack: Vec<(ExprId, usize)> = Vec::new();
        for &root in results {
            stack.push((root, 0));
            while let Some((id, next)) = stack.pop() {
                if map[id.index()].is_some() {
                    continue;
                }
                let node = &self.nodes[id.index()];
                if let Some(&child) = node.args.get(next) {
                    stack.push((id, next + 1));
                    stack.push((child, 0));
                } else {
                    let args = node.args.map(|a| map[a.index()].expect("children come first"));
                    map[id.index()] = Some(ExprId(nodes.len() as u32));
                    nodes.push(Node { args, ..*node });
                }
            }
        }
        let results = results
            .iter()
            .map(|r| map[r.index()].expect("every result was visited"))
            .collect();
        let func = Func {
            name: self.name,
            params: self.params,
            nodes,
            results,
            typed: self.typed,
        };
        (func, map)
    }

    fn insert(&mut self, op: Op, args: Operands, dtype: Option<Dtype>) -> ExprId {
        if let Some(&id) = self.known.get(&(op, args)) {
            return id;
        }
        let id = ExprId(self.nodes.len() as u32);
        self.nodes.push(Node { op, args, dtype });
        self.known.insert((op, args), id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_nodes_are_shared_and_dead_ones_dropped() {
        let mut b = Builder::polymorphic("f");
        let x = b.param("x", None);
        let y = b.param("y", None);
        let dead = b.node(Op::Neg, &[y]);
        let a = b.node(Op::Add, &[y, x]);
        let again = b.node(Op::Add, &[y, x]);
        assert_eq!(a, again);
        assert_ne!(a, dead);
        let f = b.finish(&[a]);
        assert_eq!(f.nodes().len(), 3);
        assert_eq!(
            f.node(ExprId(0)).op,
            Op::Param(1),
            "canonical order follows the walk from the results"
        );
    }
}
