//! The rewrites that keep every result, on every input, bit for bit; only which NaN may differ.
//!
//! A row is: name, permissions (`NONE`), the types of operands, the ops, the rewrite. The comment over it states the
//! identity, and why it is exact where that takes a thought.

use super::rewriter::{Rewriter, Rule, Site, rules};
use crate::dtype::{Dtype, Kind, Scalar};
use crate::func::ExprId;
use crate::interp;
use crate::op::Op::{self, *};

rules! {
    // Canonical order: constants stand right. Float sums and products commute up to the payload of a NaN.
    "constant-right" NONE any Add | Mul | Minimum | Maximum | Eq | Ne | And | Or | Xor | Fma => |g, s|
        constant_right(g, s);
    // c < x = x > c.
    "compare-constant-right" NONE any Lt | Le | Gt | Ge => |g, s|
        (g.constant(s.x).is_some() && g.constant(s.y).is_none()).then(|| g.make(mirrored(s.op), &[s.y, s.x]));
    // y + x is x + y if that is already there. Ordering operands always would undo the order the user wrote.
    "share-commuted" NONE any Add | Mul | Minimum | Maximum | Eq | Ne | And | Or | Xor => |g, s|
        g.find(s.op, &[s.y, s.x]).filter(|_| s.x != s.y);

    // x + (−0) = x; x + (+0) is not: −0 + +0 = +0.
    "add-minus-zero" NONE float Add => |g, s| g.is_minus_zero(s.y).then_some(s.x);
    // x − (+0) = x, for zeros of both signs.
    "sub-zero" NONE any Sub => |g, s| g.is(s.y, 0).then_some(s.x);
    // −0 − x = −x: −0 − (+0) = −0, and −0 − (−0) = +0.
    "minus-zero-sub" NONE float Sub => |g, s| g.is_minus_zero(s.x).then(|| g.make(Neg, &[s.y]));
    // x · 1 = x.
    "mul-one" NONE any Mul => |g, s| g.is(s.y, 1).then_some(s.x);
    // x · −1 = −x.
    "mul-minus-one" NONE any Mul => |g, s| g.is(s.y, -1).then(|| g.make(Neg, &[s.x]));
    // x / 1 = x.
    "div-one" NONE float Div => |g, s| g.is(s.y, 1).then_some(s.x);
    // x / c = x · (1/c) if c is a power of two whose reciprocal is a normal number. Then 1/c is exact, so both sides are
    // the correct rounding of one real number: also where the result overflows or is subnormal. Zeros, infinities and
    // signs agree since c is finite and not 0.
    "div-power-of-two" NONE float Div => |g, s| {
        let c = exact_reciprocal(g.constant(s.y)?)?;
        let c = g.value(c);
        Some(g.make(Mul, &[s.x, c]))
    };

    // −(−x) = x.
    "neg-neg" NONE any Neg => |g, s| g.operand(Neg, s.x);
    // −(x − y) = y − x on integers; on floats the sign of a zero would change.
    "neg-sub" NONE int Neg => |g, s| { let (x, y) = g.operands(Sub, s.x)?; Some(g.make(Sub, &[y, x])) };
    // x + (−y) = x − y.
    "add-neg" NONE any Add => |g, s| { let y = g.operand(Neg, s.y)?; Some(g.make(Sub, &[s.x, y])) };
    // (−x) + y = y − x.
    "neg-add" NONE any Add => |g, s| { let x = g.operand(Neg, s.x)?; Some(g.make(Sub, &[s.y, x])) };
    // x − (−y) = x + y.
    "sub-neg" NONE any Sub => |g, s| { let y = g.operand(Neg, s.y)?; Some(g.make(Add, &[s.x, y])) };
    // (−x) · (−y) = x · y: signs of products and quotients are exact, and rounding to nearest is symmetric.
    "neg-mul-neg" NONE any Mul => |g, s| {
        let (x, y) = (g.operand(Neg, s.x)?, g.operand(Neg, s.y)?);
        Some(g.make(Mul, &[x, y]))
    };
    // (−x) / (−y) = x / y.
    "neg-div-neg" NONE float Div => |g, s| {
        let (x, y) = (g.operand(Neg, s.x)?, g.operand(Neg, s.y)?);
        Some(g.make(Div, &[x, y]))
    };
    // (−x) · c = x · (−c), and the same of `/`.
    "neg-by-constant" NONE any Mul | Div => |g, s| {
        let x = g.operand(Neg, s.x)?;
        g.constant(s.y)?;
        let c = g.make(Neg, &[s.y]);
        Some(g.make(s.op, &[x, c]))
    };
    // c / (−x) = (−c) / x.
    "constant-by-neg" NONE float Div => |g, s| {
        let x = g.operand(Neg, s.y)?;
        g.constant(s.x)?;
        let c = g.make(Neg, &[s.x]);
        Some(g.make(Div, &[c, x]))
    };
    // fma(−x, −y, z) = fma(x, y, z).
    "fma-neg-neg" NONE any Fma => |g, s| {
        let (x, y) = (g.operand(Neg, s.x)?, g.operand(Neg, s.y)?);
        Some(g.make(Fma, &[x, y, s.z]))
    };
    // fma(x, 1, z) = x + z: the product is exact.
    "fma-one" NONE any Fma => |g, s| g.is(s.y, 1).then(|| g.make(Add, &[s.x, s.z]));
    // fma(x, −1, z) = z − x.
    "fma-minus-one" NONE any Fma => |g, s| g.is(s.y, -1).then(|| g.make(Sub, &[s.z, s.x]));
    // fma(x, y, −0) = x · y: adding −0 changes no number, nor a zero.
    "fma-minus-zero" NONE float Fma => |g, s| g.is_minus_zero(s.z).then(|| g.make(Mul, &[s.x, s.y]));

    // |  |x|  | = |x|.
    "abs-abs" NONE any Abs => |g, s| g.operand(Abs, s.x).map(|_| s.x);
    // |x| = x on unsigned types.
    "abs-unsigned" NONE unsigned Abs => |_g, s| Some(s.x);
    // |−x| = |x|; on integers |−MIN| = |MIN| = MIN.
    "abs-neg" NONE sign Abs => |g, s| { let x = g.operand(Neg, s.x)?; Some(g.make(Abs, &[x])) };
    // |copysign(x, y)| = |x|.
    "abs-copysign" NONE float Abs => |g, s| { let (x, _) = g.operands(Copysign, s.x)?; Some(g.make(Abs, &[x])) };
    // copysign(x, c) = |x| for c ≥ +0, NaN or not: only the sign bit of c counts.
    "copysign-positive" NONE float Copysign => |g, s| (!is_negative(g.constant(s.y)?)).then(|| g.make(Abs, &[s.x]));
    // copysign(x, c) = −|x| for c ≤ −0.
    "copysign-negative" NONE float Copysign => |g, s|
        is_negative(g.constant(s.y)?).then(|| { let abs = g.make(Abs, &[s.x]); g.make(Neg, &[abs]) });
    // copysign(−x, y) = copysign(|x|, y) = copysign(x, y).
    "copysign-signed" NONE float Copysign => |g, s| {
        let x = g.operand(Neg, s.x).or(g.operand(Abs, s.x))?;
        Some(g.make(Copysign, &[x, s.y]))
    };
    // An integral number is its own floor, ceiling, truncation and rounding, and so are zeros, infinities and NaNs.
    "round-integral" NONE float Floor | Ceil | Trunc | Round => |g, s| is_integral(g, s.x).then_some(s.x);

    // min(x, x) = max(x, x) = x.
    "min-same" NONE any Minimum | Maximum | Fmin | Fmax => |_g, s| (s.x == s.y).then_some(s.x);
    // min(x, +∞ or MAX) = x: `minimum` propagates the NaN.
    "min-top" NONE any Minimum => |g, s| (g.constant(s.y)? == extreme(g.dtype(s.y), Extreme::Top)).then_some(s.x);
    // max(x, −∞ or MIN) = x.
    "max-bottom" NONE any Maximum => |g, s| (g.constant(s.y)? == extreme(g.dtype(s.y), Extreme::Bottom)).then_some(s.x);
    // min(x, MIN) = MIN on integers.
    "min-bottom" NONE int Minimum => |g, s| (g.constant(s.y)? == extreme(g.dtype(s.y), Extreme::Bottom)).then_some(s.y);
    // max(x, MAX) = MAX on integers.
    "max-top" NONE int Maximum => |g, s| (g.constant(s.y)? == extreme(g.dtype(s.y), Extreme::Top)).then_some(s.y);
    // min(min(x, c), d) = min(x, min(c, d)): a total order with NaN beyond both ends.
    "min-constants" NONE any Minimum | Maximum => |g, s| group_constants(g, s);

    // x + 0 = x on integers.
    "add-zero" NONE int Add => |g, s| g.is(s.y, 0).then_some(s.x);
    // 0 − x = −x on integers.
    "zero-sub" NONE int Sub => |g, s| g.is(s.x, 0).then(|| g.make(Neg, &[s.y]));
    // x − x = 0 on integers.
    "sub-same" NONE int Sub => |g, s| (s.x == s.y).then(|| g.number(g.dtype(s.x), 0));
    // x · 0 = 0 on integers.
    "mul-zero" NONE int Mul => |g, s| g.is(s.y, 0).then_some(s.y);
    // fma(x, y, 0) = x · y on integers.
    "fma-zero" NONE int Fma => |g, s| g.is(s.z, 0).then(|| g.make(Mul, &[s.x, s.y]));
    // (x + c) + d = x + (c + d) on integers, which form a ring; the bit operations are associative too.
    "group-constants" NONE bits Add | Mul | And | Or | Xor => |g, s| group_constants(g, s);
    // x · 2ᵏ = x << k.
    "mul-power-of-two" NONE int Mul => |g, s| {
        let k = power_of_two(g.constant(s.y)?)?;
        let k = g.number(g.dtype(s.x), k);
        Some(g.make(Shl, &[s.x, k]))
    };
    // x / 2ᵏ = x >> k rounded down, which is toward zero on unsigned types.
    "floor-div-power-of-two" NONE int FloorDiv => |g, s| {
        let k = power_of_two(positive(g.constant(s.y)?)?)?;
        let k = g.number(g.dtype(s.x), k);
        Some(g.make(Shr, &[s.x, k]))
    };
    "trunc-div-power-of-two" NONE unsigned TruncDiv => |g, s| {
        let k = power_of_two(g.constant(s.y)?)?;
        let k = g.number(g.dtype(s.x), k);
        Some(g.make(Shr, &[s.x, k]))
    };
    // x mod 2ᵏ = x & (2ᵏ − 1): the remainder of the division rounded down.
    "floor-mod-power-of-two" NONE int FloorMod => |g, s| {
        let c = positive(g.constant(s.y)?)?;
        power_of_two(c)?;
        let mask = g.number(c.dtype(), c.as_i128() - 1);
        Some(g.make(And, &[s.x, mask]))
    };
    "rem-power-of-two" NONE unsigned Rem => |g, s| {
        let c = g.constant(s.y)?;
        power_of_two(c)?;
        let mask = g.number(c.dtype(), c.as_i128() - 1);
        Some(g.make(And, &[s.x, mask]))
    };
    // x / 1 = x on signed integers, whose division rounds toward zero.
    "trunc-div-one" NONE int TruncDiv => |g, s| g.is(s.y, 1).then_some(s.x);
    // x / −1 = −x: MIN stays MIN.
    "trunc-div-minus-one" NONE signed TruncDiv | FloorDiv => |g, s| g.is(s.y, -1).then(|| g.make(Neg, &[s.x]));
    // x % ±1 = 0.
    "rem-one" NONE signed Rem | FloorMod => |g, s| (g.is(s.y, 1) || g.is(s.y, -1)).then(|| g.number(g.dtype(s.x), 0));
    // x / 0 = x % 0 = 0 on integers, by definition.
    "div-by-zero" NONE int TruncDiv | FloorDiv | Rem | FloorMod => |g, s| g.is(s.y, 0).then_some(s.y);

    // !!x = x.
    "not-not" NONE any Not => |g, s| g.operand(Not, s.x);
    // !(x = y) is x ≠ y, also for NaN.
    "not-eq" NONE boolean Not => |g, s| {
        let op = match g.op(s.x) { Eq => Ne, Ne => Eq, _ => return None };
        let args = g.args(s.x);
        Some(g.make(op, &args))
    };
    // !(x < y) is x ≥ y where there is no NaN.
    "not-less" NONE boolean Not => |g, s| {
        let args = g.args(s.x);
        let op = negated_order(g.op(s.x))?;
        (!g.dtype(args[0]).is_float()).then(|| g.make(op, &args))
    };
    // x & x = x | x = x.
    "and-same" NONE any And | Or => |_g, s| (s.x == s.y).then_some(s.x);
    // x ^ x = 0.
    "xor-same" NONE any Xor => |g, s| (s.x == s.y).then(|| g.number(g.dtype(s.x), 0));
    // x & 0 = 0.
    "and-zero" NONE any And => |g, s| g.is(s.y, 0).then_some(s.y);
    // x & −1 = x.
    "and-ones" NONE any And => |g, s| g.is(s.y, -1).then_some(s.x);
    // x | 0 = x ^ 0 = x.
    "or-zero" NONE any Or | Xor => |g, s| g.is(s.y, 0).then_some(s.x);
    // x | −1 = −1.
    "or-ones" NONE any Or => |g, s| g.is(s.y, -1).then_some(s.y);
    // x ^ −1 = !x.
    "xor-ones" NONE any Xor => |g, s| g.is(s.y, -1).then(|| g.make(Not, &[s.x]));
    // x << 0 = x >> 0 = x, the count taken modulo the width.
    "shift-zero" NONE any Shl | Shr => |g, s| {
        let c = g.constant(s.y)?;
        (c.bits() % c.dtype().bits() as u64 == 0).then_some(s.x)
    };
    // 0 << x = 0 >> x = 0.
    "zero-shift" NONE any Shl | Shr => |g, s| g.is(s.x, 0).then_some(s.x);

    // x = x where there is no NaN; so are x ≤ x and x ≥ x.
    "compare-same" NONE bits Eq | Le | Ge => |g, s| (s.x == s.y).then(|| g.value(true.into()));
    // x ≠ x nowhere but at NaN.
    "differ-same" NONE bits Ne => |g, s| (s.x == s.y).then(|| g.value(false.into()));
    // x < x nowhere, NaN or not.
    "less-same" NONE any Lt | Gt => |g, s| (s.x == s.y).then(|| g.value(false.into()));
    // (c = true) is c, and (c = false) is !c.
    "eq-bool" NONE boolean Eq => |g, s| {
        let c = g.constant(s.y)?;
        Some(if c.as_bool() { s.x } else { g.make(Not, &[s.x]) })
    };
    // (c ≠ false) is c, and (c ≠ true) is !c.
    "ne-bool" NONE boolean Ne => |g, s| {
        let c = g.constant(s.y)?;
        Some(if c.as_bool() { g.make(Not, &[s.x]) } else { s.x })
    };
    // Nothing is below the least integer, and nothing above the greatest.
    "compare-bound" NONE bits Lt | Le | Gt | Ge => |g, s| compare_bound(g, s);

    // select(c, x, x) = x.
    "select-same" NONE any Select | Rare => |_g, s| (s.y == s.z).then_some(s.y);
    // select(true, x, y) = x, select(false, x, y) = y.
    "select-constant" NONE any Select | Rare => |g, s| g.constant(s.x).map(|c| if c.as_bool() { s.y } else { s.z });
    // select(!c, x, y) = select(c, y, x).
    "select-not" NONE any Select => |g, s| { let c = g.operand(Not, s.x)?; Some(g.make(Select, &[c, s.z, s.y])) };
    // select(c, true, false) = c.
    "select-bool" NONE boolean Select => |g, s| (g.is(s.y, 1) && g.is(s.z, 0)).then_some(s.x);
    // select(c, false, true) = !c.
    "select-bool-not" NONE boolean Select => |g, s| (g.is(s.y, 0) && g.is(s.z, 1)).then(|| g.make(Not, &[s.x]));

    // A cast to the type a value has is the value.
    "cast-same" NONE any Cast(_) => |g, s| (s.op == Cast(g.dtype(s.x))).then_some(s.x);
    // A cast of a cast is one cast where the first loses nothing the second would keep.
    "cast-cast" NONE any Cast(_) => |g, s| cast_of_cast(g, s);
    // A bitcast to the type a value has is the value.
    "bitcast-same" NONE any Bitcast(_) => |g, s| (s.op == Bitcast(g.dtype(s.x))).then_some(s.x);
    // A bitcast of a bitcast is one bitcast.
    "bitcast-bitcast" NONE any Bitcast(_) => |g, s| {
        let Bitcast(_) = g.op(s.x) else { return None };
        let x = g.args(s.x)[0];
        Some(g.make(s.op, &[x]))
    };
}

fn constant_right(g: &mut Rewriter<'_>, s: Site) -> Option<ExprId> {
    if g.constant(s.x).is_none() || g.constant(s.y).is_some() {
        return None;
    }
    Some(match s.op {
        Fma => g.make(Fma, &[s.y, s.x, s.z]),
        op => g.make(op, &[s.y, s.x]),
    })
}

/// `(x op c) op d = x op (c op d)`.
pub(super) fn group_constants(g: &mut Rewriter<'_>, s: Site) -> Option<ExprId> {
    g.constant(s.y)?;
    let (x, c) = g.with_constant(s.op, s.x)?;
    let constant = g.make(s.op, &[c, s.y]);
    Some(g.make(s.op, &[x, constant]))
}

/// The comparison with its operands swapped.
fn mirrored(op: Op) -> Op {
    match op {
        Lt => Gt,
        Le => Ge,
        Gt => Lt,
        Ge => Le,
        op => op,
    }
}

/// The comparison that holds where this one does not, of values in a total order.
pub(super) fn negated_order(op: Op) -> Option<Op> {
    match op {
        Lt => Some(Ge),
        Le => Some(Gt),
        Gt => Some(Le),
        Ge => Some(Lt),
        _ => None,
    }
}

fn is_negative(value: Scalar) -> bool {
    value.bits() >> (value.dtype().bits() - 1) == 1
}

fn is_integral(g: &Rewriter<'_>, id: ExprId) -> bool {
    match g.op(id) {
        Floor | Ceil | Trunc | Round => true,
        Cast(_) => !g.dtype(g.args(id)[0]).is_float(),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Extreme {
    Bottom,
    Top,
}

/// The value that no other is below or above: an infinity, an end of the integers' range, `false` or `true`.
pub(super) fn extreme(dtype: Dtype, extreme: Extreme) -> Scalar {
    let sign = 1u64 << (dtype.bits() - 1);
    match (dtype.kind(), extreme) {
        (Kind::Float, Extreme::Top) => Scalar::from_f64(dtype, f64::INFINITY),
        (Kind::Float, Extreme::Bottom) => Scalar::from_f64(dtype, f64::NEG_INFINITY),
        (Kind::Signed, Extreme::Top) => Scalar::from_bits(dtype, sign - 1),
        (Kind::Signed, Extreme::Bottom) => Scalar::from_bits(dtype, sign),
        (_, Extreme::Top) => Scalar::from_bits(dtype, u64::MAX),
        (_, Extreme::Bottom) => Scalar::from_bits(dtype, 0),
    }
}

fn compare_bound(g: &mut Rewriter<'_>, s: Site) -> Option<ExprId> {
    let c = g.constant(s.y)?;
    let bound = match s.op {
        Lt | Ge => Extreme::Bottom,
        _ => Extreme::Top,
    };
    let value = matches!(s.op, Le | Ge);
    (c == extreme(c.dtype(), bound)).then(|| g.value(value.into()))
}

/// k where the integer's bits are those of 2ᵏ; the least signed integer has those of a power of two too.
fn power_of_two(value: Scalar) -> Option<i128> {
    (value.bits().count_ones() == 1).then(|| value.bits().trailing_zeros() as i128)
}

fn positive(value: Scalar) -> Option<Scalar> {
    (value.as_i128() > 0).then_some(value)
}

/// 1/c if that is exact and both are normal numbers: c is a power of two away from the ends of the range.
fn exact_reciprocal(c: Scalar) -> Option<Scalar> {
    const FRACTION: u64 = (1 << 52) - 1;
    let is_power_of_two = c.as_f64().is_normal() && c.as_f64().to_bits() & FRACTION == 0;
    normal_reciprocal(c).filter(|_| is_power_of_two)
}

/// The rounded 1/c if it is a normal number, and so neither overflows nor loses bits to underflow.
pub(super) fn normal_reciprocal(c: Scalar) -> Option<Scalar> {
    let reciprocal = interp::apply(&Recip, &[c])?;
    let is_normal = match reciprocal.dtype() {
        Dtype::F32 => f32::from_bits(reciprocal.bits() as u32).is_normal(),
        _ => reciprocal.as_f64().is_normal(),
    };
    is_normal.then_some(reciprocal)
}

/// `x: A` as B as C is `x` as C in these cases, if the strict type rule knows that cast:
///
/// - Integers all three, and C no wider than B: both sides are x modulo 2 to the width of C.
/// - B holds every value of A, and the rule of the second cast for B is that of A: C is `bool` or a float, or A and B
///   are both integers or both floats, or C holds every value of A too.
fn cast_of_cast(g: &mut Rewriter<'_>, s: Site) -> Option<ExprId> {
    let (Cast(c), Cast(b)) = (s.op, g.op(s.x)) else {
        return None;
    };
    let x = g.args(s.x)[0];
    let a = g.dtype(x);
    let wraps = a.is_int() && b.is_int() && c.is_int() && c.size() <= b.size();
    let same_rule = !c.is_int() || (a.is_int() && b.is_int()) || (a.is_float() && b.is_float()) || holds(c, a);
    if !(wraps || holds(b, a) && same_rule) {
        return None;
    }
    if a == c {
        return Some(x);
    }
    Cast(c).result_dtype(&[a]).map(|_| g.make(Cast(c), &[x]))
}

/// Whether every value of `narrow` is a value of `wide`.
fn holds(wide: Dtype, narrow: Dtype) -> bool {
    let integer_bits = |d: Dtype| match d {
        Dtype::Bool => 1,
        d if d.kind() == Kind::Signed => d.bits() - 1,
        d => d.bits(),
    };
    match (wide.kind(), narrow.kind()) {
        _ if wide == narrow => true,
        (Kind::Float, Kind::Float) => wide.size() > narrow.size(),
        (Kind::Float, _) => {
            let precision = match wide {
                Dtype::F16 => 11,
                Dtype::Bf16 => 8,
                Dtype::F32 => 24,
                _ => 53,
            };
            integer_bits(narrow) <= precision
        }
        (_, Kind::Float) | (Kind::Bool, _) | (Kind::Unsigned, Kind::Signed) => false,
        _ => integer_bits(wide) >= integer_bits(narrow),
    }
}
