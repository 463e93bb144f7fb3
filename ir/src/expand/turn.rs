//! Sine and cosine of half turns, whose reduction is exact.

use super::coefficients::{COSPI_F32, COSPI_F64, PI_WORDS_F32, PI_WORDS_F64, SINPI_F32, SINPI_F64};
use super::format::Format;
use super::value::Value;
use super::words::two_product;

/// sin πx. At integers it is a zero with the sign of x.
pub(super) fn sinpi(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    // A sum with 0 has no negative zero.
    let magnitude = half_turns(x.abs(), 0) + 0.0;
    (magnitude.bits() ^ (x.bits() & format.sign_mask())).bitcast(format.dtype)
}

/// cos πx. Half way between integers it is +0.
pub(super) fn cospi(x: Value<'_>) -> Value<'_> {
    half_turns(x, 1) + 0.0
}

/// The sine of half turns, `ahead` quarter turns on. Whole turns are taken off first where twice x has no room in the low bits of
/// a float, which is seldom; an infinity gives NaN.
fn half_turns(x: Value<'_>, ahead: i64) -> Value<'_> {
    let format = Format::of(x.dtype());
    let turn = x - (x * 0.5).round() * 2.0;
    let is_large = x.abs().ge(f64::powi(2.0, format.mantissa as i32 - 2));
    is_large.rare(circle(turn, ahead), circle(x, ahead))
}

/// x = n/2 + f exactly with |f| ≤ ¼; then πf in two words, and polynomials of f².
fn circle(x: Value<'_>, ahead: i64) -> Value<'_> {
    let format = Format::of(x.dtype());
    let shifted = x.fma(2.0, format.magic);
    let f = (shifted - format.magic).fma(-0.5, x);
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
