//! The rewrites that may change results, each with the permissions that allow it.
//!
//! A row is: name, permissions, the types of operands, the ops, the rewrite. Where a rule's inputs are what the permissions
//! promise (no NaN, no infinity, no matter which zero), its result is exact, but for `CONTRACT`, `REASSOC` and `RECIP`,
//! which change roundings.

use super::exact::{Extreme, extreme, group_constants, negated_order, normal_reciprocal};
use super::rewriter::{Rewriter, Rule, Site, rules};
use crate::func::ExprId;
use crate::op::Op::{self, *};

rules! {
    // x · y + z = fma(x, y, z) if the product has no other user, for which it would be computed again.
    "contract-add" CONTRACT float Add => |g, s| { let (x, y) = product(g, s.x)?; Some(g.make(Fma, &[x, y, s.y])) };
    // z + x · y = fma(x, y, z).
    "contract-add-right" CONTRACT float Add => |g, s| {
        let (x, y) = product(g, s.y)?;
        Some(g.make(Fma, &[x, y, s.x]))
    };
    // x · y − z = fma(x, y, −z).
    "contract-sub" CONTRACT float Sub => |g, s| {
        let (x, y) = product(g, s.x)?;
        let z = g.make(Neg, &[s.y]);
        Some(g.make(Fma, &[x, y, z]))
    };
    // z − x · y = fma(−x, y, z).
    "contract-sub-right" CONTRACT float Sub => |g, s| {
        let (x, y) = product(g, s.y)?;
        let x = g.make(Neg, &[x]);
        Some(g.make(Fma, &[x, y, s.x]))
    };

    // x / c = x · (1/c) if 1/c is a normal number.
    "recip-constant" RECIP float Div => |g, s| {
        let c = normal_reciprocal(g.constant(s.y)?)?;
        let c = g.value(c);
        Some(g.make(Mul, &[s.x, c]))
    };
    // x / y = x · (1/y) where several values are divided by y: one division instead of several.
    "recip-shared" RECIP float Div => |g, s| {
        if !g.has_several_divisions(s.y) { return None; }
        let r = g.make(Recip, &[s.y]);
        Some(g.make(Mul, &[s.x, r]))
    };

    // x − c = x + (−c), which the rules of sums go on with.
    "sub-constant" REASSOC float Sub => |g, s| {
        g.constant(s.y)?;
        let c = g.make(Neg, &[s.y]);
        Some(g.make(Add, &[s.x, c]))
    };
    // (x + c) + d = x + (c + d), and the same of `·`, if the constant neither overflows nor vanishes.
    "reassoc-constants" REASSOC float Add | Mul => |g, s|
        if grouping_is_tame(g, s) { group_constants(g, s) } else { None };
    // (c − x) + d = (c + d) − x.
    "reassoc-sub" REASSOC float Add => |g, s| {
        let (c, x) = g.operands(Sub, s.x)?;
        g.constant(c).and(g.constant(s.y))?;
        let c = g.make(Add, &[c, s.y]);
        Some(g.make(Sub, &[c, x]))
    };

    // No value is a NaN.
    "nnan-is-nan" NNAN float IsNan => |g, _s| Some(g.value(false.into()));
    // x = x, x ≤ x and x ≥ x without NaN.
    "nnan-compare-same" NNAN float Eq | Le | Ge => |g, s| (s.x == s.y).then(|| g.value(true.into()));
    // x ≠ x nowhere without NaN.
    "nnan-differ-same" NNAN float Ne => |g, s| (s.x == s.y).then(|| g.value(false.into()));
    // !(x < y) is x ≥ y without NaN.
    "nnan-not-less" NNAN boolean Not => |g, s| {
        let op = negated_order(g.op(s.x))?;
        let args = g.args(s.x);
        Some(g.make(op, &args))
    };
    // fmin differs from minimum at NaN only, and one is an instruction on more machines.
    "nnan-fmin" NNAN float Fmin | Fmax => |g, s|
        Some(g.make(if s.op == Fmin { Minimum } else { Maximum }, &[s.x, s.y]));
    // x − x = 0 but at infinities, where it is NaN.
    "nnan-sub-same" NNAN float Sub => |g, s| (s.x == s.y).then(|| g.number(g.dtype(s.x), 0));
    // x / x = 1 but at zeros and infinities, where it is NaN.
    "nnan-div-same" NNAN float Div => |g, s| (s.x == s.y).then(|| g.number(g.dtype(s.x), 1));
    // min(x, −∞) = −∞ and max(x, +∞) = +∞ without NaN.
    "nnan-min-bottom" NNAN float Minimum | Maximum => |g, s| {
        let end = if s.op == Minimum { Extreme::Bottom } else { Extreme::Top };
        (g.constant(s.y)? == extreme(g.dtype(s.y), end)).then_some(s.y)
    };

    // No value is infinite.
    "ninf-is-inf" NINF float IsInf => |g, _s| Some(g.value(false.into()));
    // A value that is neither a NaN nor infinite is finite.
    "finite-is-finite" FINITE float IsFinite => |g, _s| Some(g.value(true.into()));

    // x + 0 = x but for x = −0.
    "nsz-add-zero" NSZ float Add => |g, s| g.is(s.y, 0).then_some(s.x);
    // x − (−0) = x but for x = −0.
    "nsz-sub-minus-zero" NSZ float Sub => |g, s| g.is_minus_zero(s.y).then_some(s.x);
    // 0 − x = −x but for x = +0.
    "nsz-zero-sub" NSZ float Sub => |g, s| g.is(s.x, 0).then(|| g.make(Neg, &[s.y]));
    // −(x − y) = y − x but for x = y.
    "nsz-neg-sub" NSZ float Neg => |g, s| { let (x, y) = g.operands(Sub, s.x)?; Some(g.make(Sub, &[y, x])) };
    // fma(x, y, 0) = x · y but for the product −0.
    "nsz-fma-zero" NSZ float Fma => |g, s| g.is(s.z, 0).then(|| g.make(Mul, &[s.x, s.y]));
    // x · 0 = 0 but for the sign, infinities and NaNs.
    "nsz-mul-zero" NSZ_NNAN float Mul => |g, s|
        (g.is(s.y, 0) || g.is_minus_zero(s.y)).then(|| g.number(g.dtype(s.x), 0));
}

/// The factors of a product that no other node uses.
fn product(g: &Rewriter<'_>, id: ExprId) -> Option<(ExprId, ExprId)> {
    g.operands(Mul, id).filter(|_| g.has_one_user(id))
}

/// Whether `c op d` of `(x op c) op d` is finite, and not a zero that neither constant is.
fn grouping_is_tame(g: &Rewriter<'_>, s: Site) -> bool {
    let constants = || Some((g.constant(g.with_constant(s.op, s.x)?.1)?, g.constant(s.y)?));
    let Some((c, d)) = constants() else {
        return false;
    };
    let Some(grouped) = crate::interp::apply(&s.op, &[c, d]) else {
        return false;
    };
    let vanished = s.op == Op::Mul && !grouped.as_bool() && c.as_bool() && d.as_bool();
    grouped.as_f64().is_finite() && !vanished
}
