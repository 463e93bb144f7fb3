//! The simplifier: rewrites of a typed function into a cheaper one.
//!
//! In: a typed [`Func`] and what the user allows ([`Fast`]). Out: a typed function with the same parameters and as many
//! results. The rules are two tables: `exact`, always on, which keep every result the same bit for bit (up to which NaN,
//! [`crate::Scalar::is_same`]); and `fast`, each row with the permissions it needs. `balance` regroups long chains.
//!
//! Each rule meets these requirements, the exact ones also the last:
//!
//! 1. It preserves the type of the node.
//! 2. It decreases the measure (weight of the expression tree, operands out of canonical order): so rewriting ends. The
//!    weight of an op grows with its cost: a constant weighs less than a negation, `shl` less than `mul`, `mul` and `fma`
//!    less than `div`.
//! 3. It duplicates no work: for each node it makes that is not a constant, a node of at least its cost falls away or is
//!    shared with others. Where that depends on the number of users, the rule asks for it.
//! 4. It reads operands only one level down, so one step takes constant time.
//! 5. It gives the same result as [`crate::interp`] on every input, which tests check by the rule's name on edge values.
//!
//! Permissions belong before [`crate::expand`]: the expansions rely on the order of their roundings (a sum with a large
//! constant that is then subtracted rounds to an integer; a comparison of x with itself finds a NaN), which the fast rules
//! would undo. An expanded function is simplified with [`Fast::NONE`].
//!
//! A function is rebuilt bottom-up, the rules tried on each node as it is made; so what a rule sees is already simple. That
//! is repeated until nothing changes, which takes a second or third time only where the number of users of a node changed.

pub mod flags;

mod balance;
mod exact;
mod fast;
mod rewriter;

use std::collections::BTreeSet;

pub use flags::{Fast, UnknownFlag};

use crate::func::{Func, MAX_NODES};
use rewriter::Rewriter;

/// More rounds than any function needs; each one is linear in its size.
const MAX_ROUNDS: usize = 16;

/// The function in a cheaper form: the same bits in every result for [`Fast::NONE`], otherwise within what is allowed.
/// A polymorphic function is returned as it is.
///
/// ```
/// use loopweave_ir::{Builder, Dtype, Op, simplify::{Fast, simplify}};
/// let mut b = Builder::typed("half");
/// let x = b.param("x", Some(Dtype::F32));
/// let two = b.float(Dtype::F32, 2.0);
/// let half = b.node(Op::Div, &[x, two]);
/// let half = simplify(&b.finish(&[half]), Fast::NONE);
/// assert_eq!(half.node(half.results()[0]).op, Op::Mul);
/// ```
pub fn simplify(func: &Func, fast: Fast) -> Func {
    simplify_traced(func, fast).0
}

/// As [`simplify`], with the names of the rules that took part, in alphabetical order: for tests and explanations.
pub fn simplify_traced(func: &Func, fast: Fast) -> (Func, BTreeSet<&'static str>) {
    let mut fired = BTreeSet::new();
    if !func.is_typed() {
        return (func.clone(), fired);
    }
    // Contraction comes last: a fused multiply-add hides the sums and products that the other rules look for.
    let mut simple = to_fixpoint(func.clone(), fast.without(Fast::CONTRACT), &mut fired);
    if fast.contains(Fast::REASSOC) {
        let balanced = balance::balance(&simple);
        if balanced != simple {
            fired.insert("balance");
            simple = balanced;
        }
    }
    if fast.contains(Fast::CONTRACT) {
        simple = to_fixpoint(simple, fast, &mut fired);
    }
    // A shared reciprocal is a node more: at the very limit the function stays as it is.
    if simple.nodes().len() > MAX_NODES.max(func.nodes().len()) {
        return (func.clone(), BTreeSet::new());
    }
    (simple, fired)
}

/// The names of all rules, each once.
pub fn rule_names() -> BTreeSet<&'static str> {
    let tables = exact::RULES.iter().chain(fast::RULES).map(|rule| rule.name);
    tables.chain(["fold", "balance"]).collect()
}

fn to_fixpoint(mut func: Func, fast: Fast, fired: &mut BTreeSet<&'static str>) -> Func {
    for _ in 0..MAX_ROUNDS {
        let next = Rewriter::rebuild(&func, fast, fired);
        if next == func {
            break;
        }
        func = next;
    }
    func
}
