//! The exponentials to other bases, and eˣ − 1.
//!
//! As in [`super::exp`], an integer k is split off and the rest is a polynomial; for the bases 2 and 10 its
//! linear term stands apart.

use std::f64::consts::LN_2;

use super::coefficients::{EXP2_F32, EXP2_F64, EXP10_F32, EXP10_F64, LN_10_F32, LN_10_F64, LOG10_2_F32, LOG10_2_F64};
use super::exp::{Reduced, clamp, reduce, reduce_by};
use super::format::Format;
use super::value::Value;

/// 2ˣ: x less the nearest integer is exact, so that integers have exact powers.
pub(super) fn exp2(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (low, high) = format.pick((-151.0, 129.0), (-1076.0, 1025.0));
    let reduced = reduce_by(clamp(x, low, high), 1.0, (1.0, 0.0));
    finish(&reduced, (LN_2, 0.0), format.pick(&EXP2_F32, &EXP2_F64))
}

/// 10ˣ, with log10 2 in two words.
pub(super) fn exp10(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (low, high) = format.pick((-46.0, 39.0), (-324.0, 309.0));
    let reduced = reduce_by(
        clamp(x, low, high),
        std::f64::consts::LOG2_10,
        format.pick(LOG10_2_F32, LOG10_2_F64),
    );
    finish(
        &reduced,
        format.pick(LN_10_F32, LN_10_F64),
        format.pick(&EXP10_F32, &EXP10_F64),
    )
}

/// 2ᵏ (1 + (linear (r + r_lo) + r² q)), monotone as [`super::exp::exp`] is.
fn finish<'a>(reduced: &Reduced<'a>, linear: (f64, f64), quotient: &[f64]) -> Value<'a> {
    let r = reduced.r;
    let square = r * r;
    let tail = match linear.1 {
        0.0 => square * r.poly(quotient),
        low => square.fma(r.poly(quotient), r.fma(low, reduced.r_lo * linear.0)),
    };
    let y = r.fma(linear.0, tail) + 1.0;
    let (s1, s2) = reduced.scales();
    y * s1 * s2
}

/// eˣ − 1 = 2ᵏ (eʳ − 1) + (2ᵏ − 1), where eʳ − 1 has two words because the sum may cancel at k = ±1.
///
/// So that k = 128 does not overflow early, half of each term is summed. A tiny x is its own result, even where its half
/// would be subnormal.
pub(super) fn expm1(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (low, high) = format.pick((-18.0, 89.0), (-38.0, 710.0));
    let bounded = clamp(x, low, high);
    let reduced = reduce(bounded);
    let u = reduced.expm1_words();
    let half = reduced.half_scale();
    let base = half - 0.5;
    // What the rounding of a large base lost: little, but it meets the last one's.
    let lost = (half - base) - 0.5;
    let sum = half.fma(u.hi, base);
    let rest = half.fma(u.hi, base - sum) + lost;
    let y = sum + half.fma(u.lo, rest);
    let tiny = x.abs().lt(format.pick(f64::powi(2.0, -25), f64::powi(2.0, -54)));
    tiny.select(x, y + y)
}
