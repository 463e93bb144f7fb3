//! The rewriter: makes a function anew, node by node, trying the rules on each.
//!
//! In: a typed [`Func`]. Out: the function with every rule applied that fits. Rules see the function under construction
//! through the questions asked here (`g.is(id, 1)`, `g.operand(Neg, id)`), and make nodes with [`Rewriter::make`].
//!
//! Invariant: a node of the new function is one that no rule without a condition on users fits.

use std::collections::BTreeSet;

use super::{Fast, exact, fast};
use crate::dtype::{Dtype, Scalar};
use crate::func::{Builder, ExprId, Func, Operands};
use crate::interp;
use crate::op::Op;

/// A rule: where it may fit, and what it makes.
pub(super) struct Rule {
    /// The name in tests and traces.
    pub(super) name: &'static str,
    /// The permissions it needs.
    pub(super) needs: Fast,
    /// Whether it looks at this op on operands of this dtype.
    pub(super) applies: fn(Op, Dtype) -> bool,
    /// The node that replaces the one at the site, if the rule fits.
    pub(super) rewrite: fn(&mut Rewriter<'_>, Site) -> Option<ExprId>,
}

/// Writes a table of rules, one a line: the name, the permissions, the operand types, the ops, and the rewrite.
macro_rules! rules {
    ($($name:literal $needs:ident $class:ident $op:pat => |$g:ident, $s:ident| $rewrite:expr;)*) => {
        pub(super) const RULES: &[Rule] = &[$(Rule {
            name: $name,
            needs: crate::simplify::Fast::$needs,
            applies: |op, dtype| matches!(op, $op) && crate::simplify::rewriter::class::$class(dtype),
            rewrite: |$g, $s| $rewrite,
        }),*];
    };
}
pub(super) use rules;

/// The families of operand types that rules are restricted to.
pub(super) mod class {
    use crate::dtype::{Dtype, Kind};

    pub(in crate::simplify) fn any(_: Dtype) -> bool {
        true
    }

    pub(in crate::simplify) fn float(dtype: Dtype) -> bool {
        dtype.is_float()
    }

    pub(in crate::simplify) fn int(dtype: Dtype) -> bool {
        dtype.is_int()
    }

    /// Integers and `bool`: the types on which equal operands compare equal.
    pub(in crate::simplify) fn bits(dtype: Dtype) -> bool {
        !dtype.is_float()
    }

    pub(in crate::simplify) fn boolean(dtype: Dtype) -> bool {
        dtype == Dtype::Bool
    }

    pub(in crate::simplify) fn signed(dtype: Dtype) -> bool {
        matches!(dtype.kind(), Kind::Signed)
    }

    pub(in crate::simplify) fn unsigned(dtype: Dtype) -> bool {
        matches!(dtype.kind(), Kind::Unsigned)
    }

    /// Types with a sign: those on which −x has the magnitude of x.
    pub(in crate::simplify) fn sign(dtype: Dtype) -> bool {
        matches!(dtype.kind(), Kind::Signed | Kind::Float)
    }
}

/// A node about to be made. `x`, `y` and `z` are its operands; those it does not have repeat the last.
#[derive(Clone, Copy)]
pub(super) struct Site {
    pub(super) op: Op,
    pub(super) x: ExprId,
    pub(super) y: ExprId,
    pub(super) z: ExprId,
}

pub(super) struct Rewriter<'a> {
    builder: Builder,
    fast: Fast,
    /// For each node of the new function, how many users the nodes had that it stands for; 0 if a rule made it.
    users: Vec<u32>,
    /// The same, of divisions by the node only.
    divisions: Vec<u32>,
    fired: &'a mut BTreeSet<&'static str>,
}

impl<'a> Rewriter<'a> {
    /// The function, remade with the rules that `fast` allows.
    pub(super) fn rebuild(func: &Func, fast: Fast, fired: &'a mut BTreeSet<&'static str>) -> Func {
        let mut rewriter = Rewriter {
            builder: Builder::typed(func.name()),
            fast,
            users: Vec::with_capacity(func.nodes().len()),
            divisions: Vec::with_capacity(func.nodes().len()),
            fired,
        };
        let params: Vec<ExprId> = func
            .params()
            .iter()
            .map(|p| rewriter.builder.param(p.name.clone(), p.dtype))
            .collect();
        let (users, divisions) = count_users(func);
        let mut map: Vec<ExprId> = Vec::with_capacity(func.nodes().len());
        for (i, node) in func.nodes().iter().enumerate() {
            let id = match node.op {
                Op::Param(p) => params[p as usize],
                op => {
                    let args: smallvec::SmallVec<[ExprId; 3]> = node.args.iter().map(|a| map[a.index()]).collect();
                    rewriter.make(op, &args)
                }
            };
            let len = rewriter.builder.len();
            rewriter.users.resize(len, 0);
            rewriter.divisions.resize(len, 0);
            rewriter.users[id.index()] += users[i];
            rewriter.divisions[id.index()] += divisions[i];
            map.push(id);
        }
        let results: Vec<ExprId> = func.results().iter().map(|r| map[r.index()]).collect();
        rewriter.builder.finish(&results)
    }

    /// The node of this op and operands in its simple form. Rules call this too; by requirement 2 the calls nest only as
    /// deep as rules enable each other, whatever the depth of the function.
    pub(super) fn make(&mut self, op: Op, args: &[ExprId]) -> ExprId {
        if let Some(folded) = self.fold(op, args) {
            self.fired.insert("fold");
            return self.builder.constant(folded);
        }
        if let (Some(&x), Some(&z)) = (args.first(), args.last()) {
            let y = *args.get(1).unwrap_or(&z);
            let site = Site { op, x, y, z };
            let dtype = self.dtype(z);
            for rule in exact::RULES.iter().chain(fast::RULES) {
                if !self.fast.contains(rule.needs) || !(rule.applies)(op, dtype) {
                    continue;
                }
                if let Some(id) = (rule.rewrite)(self, site) {
                    self.fired.insert(rule.name);
                    return id;
                }
            }
        }
        self.builder.node(op, args)
    }

    /// The value of an op on constants. A NaN that arithmetic makes has unspecified bits, so it becomes the canonical one.
    fn fold(&self, op: Op, args: &[ExprId]) -> Option<Scalar> {
        if args.is_empty() {
            return None;
        }
        let args: Option<smallvec::SmallVec<[Scalar; 3]>> = args.iter().map(|&a| self.constant(a)).collect();
        let value = interp::apply(&op, &args?)?;
        let moves_bits = matches!(
            op,
            Op::Neg | Op::Abs | Op::Copysign | Op::Select | Op::Rare | Op::Bitcast(_)
        );
        Some(if value.is_nan() && !moves_bits {
            Scalar::from_f64(value.dtype(), f64::NAN)
        } else {
            value
        })
    }

    /// A constant.
    pub(super) fn value(&mut self, value: Scalar) -> ExprId {
        self.builder.constant(value)
    }

    /// A small integer as a constant of the dtype.
    pub(super) fn number(&mut self, dtype: Dtype, value: i128) -> ExprId {
        self.value(Scalar::from_i128(dtype, value))
    }

    /// The node if it was already made.
    pub(super) fn find(&self, op: Op, args: &[ExprId]) -> Option<ExprId> {
        self.builder.find(op, args)
    }

    pub(super) fn dtype(&self, id: ExprId) -> Dtype {
        self.builder.dtype(id)
    }

    pub(super) fn op(&self, id: ExprId) -> Op {
        self.builder.op(id)
    }

    pub(super) fn args(&self, id: ExprId) -> Operands {
        self.builder.args(id)
    }

    /// The value of a constant.
    pub(super) fn constant(&self, id: ExprId) -> Option<Scalar> {
        match self.op(id) {
            Op::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the node is the constant of this value; zero is +0, and −1 the complement of 0 in unsigned types and `true`.
    pub(super) fn is(&self, id: ExprId, value: i128) -> bool {
        self.constant(id) == Some(Scalar::from_i128(self.dtype(id), value))
    }

    /// Whether the node is the constant −0.
    pub(super) fn is_minus_zero(&self, id: ExprId) -> bool {
        self.constant(id) == Some(Scalar::from_f64(self.dtype(id), -0.0)) && self.dtype(id).is_float()
    }

    /// The operand of a node that is this unary op.
    pub(super) fn operand(&self, op: Op, id: ExprId) -> Option<ExprId> {
        (self.op(id) == op).then(|| self.args(id)[0])
    }

    /// The operands of a node that is this binary op.
    pub(super) fn operands(&self, op: Op, id: ExprId) -> Option<(ExprId, ExprId)> {
        (self.op(id) == op).then(|| (self.args(id)[0], self.args(id)[1]))
    }

    /// The operand, and the constant right of it, of a node that is this binary op.
    pub(super) fn with_constant(&self, op: Op, id: ExprId) -> Option<(ExprId, ExprId)> {
        self.operands(op, id).filter(|&(_, c)| self.constant(c).is_some())
    }

    /// Whether the node had one user when the round began.
    pub(super) fn has_one_user(&self, id: ExprId) -> bool {
        self.users.get(id.index()) == Some(&1)
    }

    /// Whether several divisions by the node stood there when the round began.
    pub(super) fn has_several_divisions(&self, id: ExprId) -> bool {
        self.divisions.get(id.index()).is_some_and(|&n| n > 1)
    }
}

/// How many users each node has, results included, and how many divisions divide by it.
fn count_users(func: &Func) -> (Vec<u32>, Vec<u32>) {
    let mut users = vec![0; func.nodes().len()];
    let mut divisions = vec![0; func.nodes().len()];
    for node in func.nodes() {
        for arg in node.args.iter() {
            users[arg.index()] += 1;
        }
        if node.op == Op::Div {
            divisions[node.args[1].index()] += 1;
        }
    }
    for result in func.results() {
        users[result.index()] += 1;
    }
    (users, divisions)
}
