//! The hyperbolic sine and cosine, and the inverse hyperbolic functions.

use super::coefficients::{ATANH_F32, ATANH_F64, SINH_F32, SINH_F64};
use super::exp::reduce;
use super::format::Format;
use super::log::{ln_of_quotient, log1p_words};
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product, two_sum};

/// cosh x = (e^|x| + e^−|x|) / 2.
pub(super) fn cosh(x: Value<'_>) -> Value<'_> {
    half_sum(x.abs(), false)
}

/// sinh x: an odd polynomial up to 1, else (e^|x| − e^−|x|) / 2, with the sign put on last.
pub(super) fn sinh(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let s = a * a;
    let near = (s * a).fma(s.poly(format.pick(&SINH_F32, &SINH_F64)), a);
    let magnitude = a.lt(1.0).select(near, half_sum(a, true));
    with_sign_of(magnitude, x)
}

/// (eᵃ ± e⁻ᵃ) / 2 for a ≥ 0 as 2ᵏ⁻¹ (n ± 1 / (n 4ᵏ)) with n = eʳ in two words; where 4ᵏ overflows the quotient is rightly 0.
fn half_sum(a: Value<'_>, minus: bool) -> Value<'_> {
    let format = Format::of(a.dtype());
    let far = format.pick(90.0, 711.0);
    let bounded = a.gt(far).select(a.constant(far), a);
    let reduced = reduce(bounded);
    let n = reduced.exp_words(None);
    let (s1, s2) = reduced.scales();
    let s = s1 * s2;
    let sign = if minus { -1.0 } else { 1.0 };
    let other = sign / (n.hi * s * s);
    let total = if minus {
        n.hi + (n.lo + other)
    } else {
        // At k = 0 both terms have the same weight.
        let sum = fast_two_sum(n.hi, other);
        sum.hi + (n.lo + sum.lo)
    };
    total * 0.5 * s1 * s2
}

/// asinh x = log1p(a + a² / (1 + √(1 + a²))), a = |x|; from a large a on a² + 1 is a², and it is ln a + ln 2.
pub(super) fn asinh(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let large = format.pick(f64::powi(2.0, 30), f64::powi(2.0, 60));
    let is_large = a.gt(large);
    let b = is_large.select(a.constant(1.0), a);
    let square = two_product(b, b);
    let one = b.constant(1.0);
    let sum = two_sum(one, square.hi);
    let root = sqrt_words(Words {
        hi: sum.hi,
        lo: sum.lo + square.lo,
    });
    let denominator = fast_two_sum(root.hi, one);
    let denominator = Words {
        hi: denominator.hi,
        lo: denominator.lo + root.lo,
    };
    let part = square.over(denominator);
    let v = fast_two_sum(b, part.hi);
    let v = Words {
        hi: v.hi,
        lo: v.lo + part.lo,
    };
    let y = log_of_one_plus(v, a, is_large);
    with_sign_of(y, x)
}

/// acosh x = log1p(t + √(t (t + 2))) with t = x − 1, which is exact.
pub(super) fn acosh(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let large = format.pick(f64::powi(2.0, 30), f64::powi(2.0, 60));
    let is_large = x.gt(large);
    let b = is_large.select(x.constant(1.0), x);
    let one = b.constant(1.0);
    let t = b - one;
    let square = two_product(t, t);
    let sum = two_sum(t + t, square.hi);
    let root = sqrt_words(Words {
        hi: sum.hi,
        lo: sum.lo + square.lo,
    });
    let v = fast_two_sum(root.hi, t);
    let v = Words {
        hi: v.hi,
        lo: v.lo + root.lo,
    };
    let y = log_of_one_plus(v, x, is_large);
    x.lt(1.0).select(x.constant(f64::NAN), y)
}

/// atanh x: an odd polynomial below ½, else ½ ln((1 + a) / (1 − a)) with a = |x|, where 1 − a is exact, with the sign put on
/// last.
pub(super) fn atanh(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let one = a.constant(1.0);
    let s = a * a;
    let near = (s * a).fma(s.poly(format.pick(&ATANH_F32, &ATANH_F64)), a);
    let far = ln_of_quotient(fast_two_sum(one, a), one - a) * 0.5;
    let inside = a.lt(0.5).select(near, far);
    let beyond = a.eq(1.0).select(a.constant(f64::INFINITY), f64::NAN);
    with_sign_of(is_outside_unit(a).rare(beyond, inside), x)
}

/// Whether a number that is not negative is no number below 1.
fn is_outside_unit(a: Value<'_>) -> Value<'_> {
    let format = Format::of(a.dtype());
    a.bitcast(format.dtype.to_signed()).ge(format.bias << format.mantissa)
}

/// ln(1 + v), or ln 2a where `is_large` says so.
fn log_of_one_plus<'a>(v: Words<'a>, a: Value<'a>, is_large: Value<'a>) -> Value<'a> {
    // 1 + v stands for a there: the error of a − 1 is nothing beside a.
    let v = Words {
        hi: is_large.select(a, v.hi),
        lo: is_large.select(a.constant(0.0), v.lo),
    };
    let n = is_large.select(a.constant(1.0), 0.0);
    let y = log1p_words(v, n).sum();
    a.lt(f64::INFINITY).select(y, a)
}

/// The square root in two words; 0 of 0.
fn sqrt_words(x: Words<'_>) -> Words<'_> {
    let root = x.hi.sqrt();
    let rest = (-root).fma(root, x.hi) + x.lo;
    let format = Format::of(root.dtype());
    Words {
        hi: root,
        lo: rest / (root + root).maximum(format.least_normal),
    }
}

/// A magnitude with a sign.
pub(super) fn with_sign_of<'a>(magnitude: Value<'a>, x: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    (magnitude.bits() | (x.bits() & format.sign_mask())).bitcast(format.dtype)
}
