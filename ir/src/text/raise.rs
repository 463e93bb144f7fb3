//! Functions into trees: the way back from lowering.
//!
//! In: a [`Func`]. Out: a [`FnItem`] that lowers to an equal one.
//!
//! Invariants: a node that is used more than once is bound by a `let`, so sharing survives; a tree is at most
//! [`MAX_HEIGHT`] levels high, however long a chain the function is.

use std::collections::HashSet;

use super::ast::{Block, Expr, ExprKind, FnItem, Ident, Span};
use super::print::is_operator;
use crate::func::{ExprId, Func, Node};
use crate::op::Op;

/// The height at which a tree is cut by a `let`: low enough to read, far below what the parser takes.
const MAX_HEIGHT: u32 = 12;

/// The tree of a function.
pub fn raise(func: &Func) -> FnItem {
    let names = param_names(func);
    let mut raise = Raise {
        func,
        taken: names.iter().cloned().collect(),
        names,
        trees: vec![None; func.nodes().len()],
        uses: count_uses(func),
        lets: Vec::new(),
        next: 0,
    };
    for (id, node) in func.iter() {
        raise.node(id, node);
    }
    let results = func.results().iter().map(|&id| raise.operand(id).0).collect();
    let params = raise.names.iter().zip(func.params());
    FnItem {
        name: ident(func.name()),
        params: params
            .map(|(name, param)| (ident(name), param.dtype.map(|d| (d, Span::default()))))
            .collect(),
        results: func
            .is_typed()
            .then(|| func.result_dtypes().into_iter().map(|d| (d, Span::default())).collect()),
        body: Block {
            lets: raise.lets,
            results,
        },
    }
}

struct Raise<'a> {
    func: &'a Func,
    names: Vec<String>,
    /// The same names, which bindings must not have.
    taken: HashSet<String>,
    /// The tree and height of each node that has been reached; one that is used once is taken by its user.
    trees: Vec<Option<(Expr, u32)>>,
    uses: Vec<u32>,
    lets: Vec<(Ident, Expr)>,
    /// The number of the next binding.
    next: usize,
}

impl Raise<'_> {
    fn node(&mut self, id: ExprId, node: &Node) {
        let mut height = 0;
        let mut args = Vec::with_capacity(node.args.len());
        for &arg in node.args.iter() {
            let (tree, reached) = self.operand(arg);
            height = height.max(reached);
            args.push(tree);
        }
        let leaf = node.args.is_empty();
        let tree = expr(self.kind(node.op, args));
        let bound = !leaf && (self.uses[id.index()] > 1 || height + 1 >= MAX_HEIGHT && !self.is_last(id));
        self.trees[id.index()] = Some(if bound { self.bind(tree) } else { (tree, height + 1) });
    }

    fn is_last(&self, id: ExprId) -> bool {
        id.index() + 1 == self.func.nodes().len()
    }

    fn bind(&mut self, tree: Expr) -> (Expr, u32) {
        let name = loop {
            let name = format!("t{}", self.next);
            self.next += 1;
            if !self.taken.contains(&name) {
                break name;
            }
        };
        self.lets.push((ident(&name), tree));
        (expr(ExprKind::Name(name)), 1)
    }

    /// The tree of an operand; a bound one or a leaf may be asked for again.
    fn operand(&mut self, id: ExprId) -> (Expr, u32) {
        let slot = &mut self.trees[id.index()];
        let tree = if self.uses[id.index()] > 1 {
            slot.clone()
        } else {
            slot.take()
        };
        tree.expect("children come before parents")
    }

    fn kind(&self, op: Op, mut args: Vec<Expr>) -> ExprKind {
        let mut next = || Box::new(args.remove(0));
        match op {
            Op::Param(index) => ExprKind::Name(self.names[index as usize].clone()),
            Op::Const(value) => ExprKind::Typed(value),
            Op::Literal(literal) => ExprKind::Literal(literal),
            Op::Cast(dtype) => ExprKind::Cast(next(), dtype),
            Op::Bitcast(dtype) => ExprKind::Bitcast(next(), dtype),
            Op::Select => ExprKind::If {
                condition: next(),
                then: block(*next()),
                otherwise: block(*next()),
            },
            Op::Lookup(column) => ExprKind::Call {
                callee: ident(&column.to_string()),
                args,
                named: Vec::new(),
            },
            op if is_operator(op) => ExprKind::Operator(op, args),
            op => ExprKind::Call {
                callee: ident(op.name()),
                args,
                named: Vec::new(),
            },
        }
    }
}

/// How often each node is an operand or a result.
fn count_uses(func: &Func) -> Vec<u32> {
    let mut uses = vec![0; func.nodes().len()];
    let operands = func.nodes().iter().flat_map(|node| node.args.iter());
    for id in operands.chain(func.results()) {
        uses[id.index()] += 1;
    }
    uses
}

/// The parameters' names. The language cannot tell two of one name apart, so a later one gets a number.
fn param_names(func: &Func) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let own: HashSet<&str> = func.params().iter().map(|p| p.name.as_str()).collect();
    func.params()
        .iter()
        .map(|param| {
            let mut name = param.name.clone();
            let mut number = 1;
            while !taken.insert(name.clone()) || number > 1 && own.contains(name.as_str()) {
                number += 1;
                name = format!("{}_{number}", param.name);
            }
            name
        })
        .collect()
}

fn ident(name: &str) -> Ident {
    Ident {
        name: name.to_owned(),
        span: Span::default(),
    }
}

fn expr(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::default(),
    }
}

fn block(result: Expr) -> Box<Block> {
    Box::new(Block {
        lets: Vec::new(),
        results: vec![result],
    })
}
