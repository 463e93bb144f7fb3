//! Sine and cosine of half turns, whose reduction is exact.

use super::coefficients::{COSPI_F32, COSPI_F64, PI_WORDS_F32, PI_WORDS_F64, SINPI_F32, SINPI_F64};
use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::value::Value;
use super::words::two_product;

/// sin πx. At integers it is a zero with the sign of x.
pub(super) fn sinpi(x: Value<'_>) -> Value<'_> {
    let value = half_turns(x, 0);
    let zero = with_sign_of(x.constant(0.0), x);
    value.eq(0.0).select(zero, value)
}

/// cos πx. Half way between integers it is +0.
pub(super) fn cospi(x: Value<'_>) -> Value<'_> {
    half_turns(x, 1) + 0.0
}

/// x = 2j + n/2 + f exactly with |f| ≤ ¼; then πf in two words, and polynomials of f². An infinity gives NaN.
fn half_turns(x: Value<'_>, ahead: i64) -> Value<'_> {
    let format = Format::of(x.dtype());
    let turn = x - (x * 0.5).round() * 2.0;
    let shifted = (turn + turn) + format.magic;
    let f = (shifted - format.magic).fma(-0.5, turn);
    let s = f * f;
    let (pi, pi_lo) = format.pick(PI_WORDS_F32, PI_WORDS_F64);
    let linear = two_product(f, f.constant(pi));
    let sine = linear.hi + (f * s).fma(s.poly(format.pick(&SINPI_F32, &SINPI_F64)), f.fma(pi_lo, linear.lo));
    let cosine = s.fma(s.poly(format.pick(&COSPI_F32, &COSPI_F64)), 1.0);
    let bits = shifted.bits();
    let turns = if ahead == 0 { bits } else { bits + ahead };
    let magnitude = (turns & 1).eq(0).select(sine, cosine);
    let top = i64::from(format.dtype.bits()) - 2;
    (magnitude.bits() ^ ((turns & 2) << top)).bitcast(format.dtype)
}
