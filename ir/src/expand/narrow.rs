//! Functions in f64 that f32 functions are made of: their errors, about 2⁻³⁵, are far below an ulp of an f32, so a function
//! composed of several of them is rounded once, at the end.

use super::coefficients::{EXP_NARROW, LN_NARROW, LOG1P_NARROW};
use super::exp::reduce_by;
use super::log::{Split, split_normal};
use super::value::Value;

/// eˣ for |x| ≤ 700.
pub(super) fn exp(x: Value<'_>) -> Value<'_> {
    // The error of ln 2 in one word is multiplied by k, at most 2¹⁰.
    let reduced = reduce_by(x, std::f64::consts::LOG2_E, (std::f64::consts::LN_2, 0.0));
    reduced.r.poly(&EXP_NARROW) * reduced.scale()
}

/// ln x for a positive normal x, by 2 atanh s = ln((1 + s) / (1 − s)).
pub(super) fn ln(x: Value<'_>) -> Value<'_> {
    let Split { exponent, m } = split_normal(x, std::f64::consts::FRAC_1_SQRT_2);
    let s = (m - 1.0) / (m + 1.0);
    exponent.fma(std::f64::consts::LN_2, s * (s * s).poly(&LN_NARROW))
}

/// ln(1 + w) for w from 0 to 1.
pub(super) fn log1p(w: Value<'_>) -> Value<'_> {
    let s = w / (w + 2.0);
    s * (s * s).poly(&LOG1P_NARROW)
}
