//! Logarithms.

use std::f64::consts::FRAC_1_SQRT_2;

use super::coefficients::{LN_F32, LN_F64, LOG2_E_F32, LOG2_E_F64, LOG2_F32, LOG2_F64};
use super::coefficients::{LOG10_2_F32, LOG10_2_F64, LOG10_E_F32, LOG10_E_F64, LOG10_F32, LOG10_F64};
use super::format::Format;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product, two_sum};
use crate::dtype::Dtype;

/// x = 2ᵉ · m for positive finite x, with m in [2/3, 4/3).
pub(super) struct Split<'a> {
    /// e, as a float.
    pub(super) exponent: Value<'a>,
    pub(super) m: Value<'a>,
}

/// Splits a positive finite x, scaling subnormal ones up first, so that m lies in [low, 2 low) for `low` between 1/2 and 1;
/// any other x gives some finite exponent and m.
///
/// Subtracting the bits of `low` carries into the exponent field exactly when the significand is at or above it. The
/// exponent becomes a float by standing in the low bits of 2^mantissa.
pub(super) fn split(x: Value<'_>, low: f64) -> Split<'_> {
    let format = Format::of(x.dtype());
    let low_bits = format.pick((low as f32).to_bits() as i64, low.to_bits() as i64);
    let two_to_mantissa = (1i64 << format.mantissa) as f64;
    let anchor_bits = (format.mantissa + format.bias) << format.mantissa;
    let small = x.lt(format.least_normal);
    let bits = small.select(x * two_to_mantissa, x).bits();
    // The added bias keeps the field positive for every exponent, so that the shift may be a logical one.
    let offset = bits - (low_bits - (format.bias << format.mantissa));
    let field = offset >> format.mantissa;
    let zero = two_to_mantissa + format.bias as f64;
    let shift = small.select(x.constant(zero + format.mantissa as f64), zero);
    let exponent = (field | anchor_bits).bitcast(format.dtype) - shift;
    let fraction = offset & ((1 << format.mantissa) - 1);
    let m = (fraction + low_bits).bitcast(format.dtype);
    Split { exponent, m }
}

/// ln x = e ln 2 + ln(1 + f), by a polynomial of degree 10 (f32) or 21 (f64) without division.
///
/// e · `ln2_hi` is exact, and its sum with f is carried in two words, so only the terms from f² on are rounded more than
/// once. 0.92 ulp (f32), 0.90 ulp (f64).
pub(super) fn ln(x: Value<'_>) -> Value<'_> {
    of_any(x, 2.0 / 3.0, |split| ln_of_split(&split, None))
}

/// ln x + lo, for a much smaller lo.
fn ln_of_split<'a>(split: &Split<'a>, lo: Option<Value<'a>>) -> Value<'a> {
    let format = Format::of(split.m.dtype());
    let e = split.exponent;
    let f = split.m - 1.0;
    let high = e * format.ln2_hi;
    let sum = high + f;
    let rest = f - (sum - high);
    let rest = lo.map_or(rest, |lo| rest + lo);
    let poly = f.poly(format.pick(&LN_F32, &LN_F64));
    sum + e.fma(format.ln2_lo, (f * f).fma(poly, rest))
}

/// ln((n + n_lo) / d) for a quotient from 3 up, n between 3/2 and 2.
pub(super) fn ln_of_quotient<'a>(n: Words<'a>, d: Value<'a>) -> Value<'a> {
    let q = n.hi / d;
    let rest = (-q).fma(d, n.hi) + n.lo;
    // 1/n but for two hundredths.
    let reciprocal = n.hi.fma(-1.0 / 3.0, 1.161);
    ln_of_split(&split_normal(q, 2.0 / 3.0), Some(rest * reciprocal))
}

/// log2 x = e + log2(1 + f), with m from √½ up, so that the fraction is at most ½ and rounded much finer than a sum with e that
/// is not exact. In log2(1 + f) = f log2 e + f² p only the first product, fused with the sum of the rest, is large. Powers of two
/// are exact.
pub(super) fn log2(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    // The least number above √½.
    let low = format.pick(f64::from(f32::from_bits(0x3f35_04f4)), FRAC_1_SQRT_2);
    of_any(x, low, |Split { exponent: e, m }| {
        let f = m - 1.0;
        let (unit, unit_lo) = format.pick(LOG2_E_F32, LOG2_E_F64);
        let poly = f.poly(format.pick(&LOG2_F32, &LOG2_F64));
        e + f.fma(unit, f * f.fma(poly, unit_lo))
    })
}

/// log10 x = e log10 2 + log10(1 + f): log10 e · f in two words, and a polynomial from f² on. The exponent becomes 1 just above
/// 4/3, so that the difference of its terms there is no less than ⅛, from which on ulps are larger.
pub(super) fn log10(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    of_any(x, 0.667, |Split { exponent: e, m }| {
        let f = m - 1.0;
        let (whole, whole_lo) = format.pick(LOG10_2_F32, LOG10_2_F64);
        let (unit, unit_lo) = format.pick(LOG10_E_F32, LOG10_E_F64);
        let tail = f.poly(format.pick(&LOG10_F32, &LOG10_F64));
        let first = two_product(f, f.constant(unit));
        // The whole is zero or the larger term.
        let sum = fast_two_sum(e * whole, first.hi);
        let low = f.fma(unit_lo, first.lo) + (sum.lo + e * whole_lo);
        sum.hi + (f * f).fma(tail, low)
    })
}

/// The logarithm of any x, by what makes it of a number's exponent and significand. All that is no positive normal number is
/// left to a seldom taken branch.
fn of_any<'a>(x: Value<'a>, low: f64, log: impl Fn(Split<'a>) -> Value<'a>) -> Value<'a> {
    let rare = of_special(x, 0.0, log(split(x, low)));
    let least = Format::of(x.dtype()).least_normal;
    is_outside(x, least).rare(rare, log(split_normal(x, low)))
}

/// Whether x is no finite number from `least` on, which is positive.
pub(super) fn is_outside(x: Value<'_>, least: f64) -> Value<'_> {
    let greatest = Format::of(x.dtype()).pick(f64::from(f32::MAX), f64::MAX);
    is_outside_of(x, least, greatest)
}

/// Whether x does not lie between two positive numbers: by the bits of those that do, a range that a difference moves to the
/// least integers there are.
pub(super) fn is_outside_of(x: Value<'_>, least: f64, greatest: f64) -> Value<'_> {
    let format = Format::of(x.dtype());
    let bits = |v: f64| format.pick((v as f32).to_bits() as i64, v.to_bits() as i64);
    let moved = x.bits() - (bits(least) ^ format.sign_mask());
    let last = (bits(greatest) - bits(least)) ^ format.sign_mask();
    moved.bitcast(format.dtype.to_signed()).gt(last)
}

/// ln(1 + x); 1 + x is carried in two words. The sign is that of x, for −0 too.
pub(super) fn log1p(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let zero = x.constant(0.0);
    let y = log1p_words(Words { hi: x, lo: zero }, zero).sum();
    let y = is_outside(1.0 + x, format.least_normal).rare(of_special(x, -1.0, y), y);
    (y.bits() | (x.bits() & format.sign_mask())).bitcast(format.dtype)
}

/// ln((1 + v) 2ⁿ) in two words, for v > −1 in two words and n an integer as a float.
///
/// 1 + v = 2ᵉ (m + c) with c below an ulp of m, and f = m − 1. Where e is 0, f + c is v itself, so a tiny v keeps both its
/// words.
pub(super) fn log1p_words<'a>(v: Words<'a>, n: Value<'a>) -> Words<'a> {
    let format = Format::of(v.hi.dtype());
    let one = v.hi.constant(1.0);
    let u = two_sum(one, v.hi);
    let Split { exponent: e, m } = split_normal(u.hi, 2.0 / 3.0);
    let power = power_of_minus(e, format);
    let near = e.eq(0.0);
    let sum = fast_two_sum(m - 1.0, (u.lo + v.lo) * power);
    let f = near.select(v.hi, sum.hi);
    let f_lo = near.select(v.lo, sum.lo);
    let e = e + n;
    let whole = fast_two_sum(e * format.ln2_hi, f);
    let poly = f.poly(format.pick(&LN_F32, &LN_F64));
    // The slope of the logarithm is 1 / (1 + f).
    let square = f * f;
    let low = square.fma(poly, f_lo.fma((one - f) + square, whole.lo));
    Words {
        hi: whole.hi,
        lo: e.fma(format.ln2_lo, low),
    }
}

/// 2^−e for a float e of an integer's value, or 0 where that is not normal.
fn power_of_minus<'a>(e: Value<'a>, format: &'static Format) -> Value<'a> {
    let bias = format.bias as f64;
    let bounded = e.gt(bias).select(e.constant(bias), e);
    let shifted = e.constant(format.magic + bias) - bounded;
    (shifted.bits() << format.mantissa).bitcast(format.dtype)
}

/// As [`split`], where x is no subnormal number.
pub(super) fn split_normal(x: Value<'_>, low: f64) -> Split<'_> {
    let format = Format::of(x.dtype());
    let low_bits = format.pick((low as f32).to_bits() as i64, low.to_bits() as i64);
    let (offset, exponent) = match format.dtype {
        // 128-bit x86 code converts no integers of 64 bits: those stand in the low bits of 2^mantissa.
        Dtype::F64 => {
            let anchor = (1i64 << format.mantissa) as f64;
            let anchor_bits = (format.mantissa + format.bias) << format.mantissa;
            let offset = x.bits() - (low_bits - (format.bias << format.mantissa));
            let field = (offset >> format.mantissa) | anchor_bits;
            (offset, field.bitcast(format.dtype) - (anchor + format.bias as f64))
        }
        _ => {
            let offset = x.bits() - low_bits;
            (offset, (offset.bitcast(Dtype::I32) >> format.mantissa).cast(Dtype::F32))
        }
    };
    let m = ((offset & ((1 << format.mantissa) - 1)) + low_bits).bitcast(format.dtype);
    Split { exponent, m }
}

/// The logarithm y of a positive number, or that of what is none: −∞ at `zero`, NaN below, ∞ at ∞.
pub(super) fn of_special<'a>(x: Value<'a>, zero: f64, y: Value<'a>) -> Value<'a> {
    let infinite = x.constant(f64::INFINITY);
    let finite = x.lt(infinite).select(y, infinite);
    let special = x.eq(zero).select(x.constant(f64::NEG_INFINITY), f64::NAN);
    x.gt(zero).select(finite, special)
}
