//! The forms of [`Accuracy::Fast`](super::Accuracy::Fast): at most 4 ulp, with fewer operations than the precise ones.
//!
//! They leave out the second words of sums and quotients. Special values and ranges are those of the precise forms. A
//! function without a form here is no cheaper at 4 ulp, because its cost is in what bounds the error at all: the reduction
//! of an angle, or the argument of an exponential in two words.

use super::coefficients::{ASIN_F32, ASIN_F64, ATAN_F32, ATAN_F64, LN_F32, LN_F64, SINH_F32, SINH_F64};
use super::exp::{clamp, reduce};
use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::log::{Split, of_special, split, split_normal};
use super::value::Value;
use crate::op::Op;

/// The fast form of a function of one float.
pub(super) type Form = for<'a> fn(Value<'a>) -> Value<'a>;

/// The fast form of an op, where it has one.
pub(super) fn form(op: &Op) -> Option<Form> {
    Some(match op {
        Op::Sinh => sinh,
        Op::Cosh => cosh,
        Op::Expm1 => expm1,
        Op::Log1p => log1p,
        Op::Log10 => log10,
        Op::Asinh => asinh,
        Op::Acosh => acosh,
        Op::Atanh => atanh,
        Op::Asin => asin,
        Op::Acos => acos,
        Op::Atan => atan,
        Op::Rsqrt => rsqrt,
        _ => return None,
    })
}

fn rsqrt(x: Value<'_>) -> Value<'_> {
    1.0 / x.sqrt()
}

fn sinh(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let s = a * a;
    let near = (s * a).fma(s.poly(format.pick(&SINH_F32, &SINH_F64)), a);
    with_sign_of(a.lt(1.0).select(near, half_sum(a, -1.0)), x)
}

fn cosh(x: Value<'_>) -> Value<'_> {
    half_sum(x.abs(), 1.0)
}

/// (eᵃ ± e⁻ᵃ) / 2.
fn half_sum(a: Value<'_>, sign: f64) -> Value<'_> {
    let format = Format::of(a.dtype());
    let far = format.pick(90.0, 711.0);
    let reduced = reduce(a.gt(far).select(a.constant(far), a));
    let n = reduced.expm1() + 1.0;
    let (s1, s2) = reduced.scales();
    let s = s1 * s2;
    (n + sign / (n * s * s)) * 0.5 * s1 * s2
}

fn expm1(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (low, high) = format.pick((-18.0, 89.0), (-38.0, 710.0));
    let reduced = reduce(clamp(x, low, high));
    let half = reduced.half_scale();
    let y = half.fma(reduced.expm1_compensated(), half - 0.5);
    let tiny = x.abs().lt(format.pick(f64::powi(2.0, -25), f64::powi(2.0, -54)));
    tiny.select(x, y + y)
}

/// ln(1 + v) for v ≥ 0 or v > −1: the rounding error of 1 + v is added to what its significand is above 1.
fn log_of_one_plus(v: Value<'_>) -> Value<'_> {
    let format = Format::of(v.dtype());
    let u = v + 1.0;
    let lost = v - (u - 1.0);
    let Split { exponent: e, m } = split_normal(u, 2.0 / 3.0);
    // The error matters only where the exponent is 0: elsewhere it is below an ulp of the result.
    let f = e.eq(0.0).select(v, m - 1.0);
    let rest = e.eq(-1.0).select(lost + lost, 0.0);
    let poly = f.poly(format.pick(&LN_F32, &LN_F64));
    let high = e.fma(format.ln2_hi, f);
    high + e.fma(format.ln2_lo, (f * f).fma(poly, rest))
}

fn log1p(x: Value<'_>) -> Value<'_> {
    with_sign_of(of_special(x, -1.0, log_of_one_plus(x)), x)
}

fn log10(x: Value<'_>) -> Value<'_> {
    let Split { exponent: e, m } = split(x, 2.0 / 3.0);
    let fraction = ln_of_significand(m - 1.0) * std::f64::consts::LOG10_E;
    of_special(x, 0.0, e.fma(std::f64::consts::LOG10_2, fraction))
}

fn ln_of_significand(f: Value<'_>) -> Value<'_> {
    let format = Format::of(f.dtype());
    (f * f).fma(f.poly(format.pick(&LN_F32, &LN_F64)), f)
}

fn asinh(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let large = Format::of(x.dtype()).pick(f64::powi(2.0, 30), f64::powi(2.0, 60));
    let is_large = a.gt(large);
    let b = is_large.select(a.constant(1.0), a);
    let square = b * b;
    let v = b + square / ((square + 1.0).sqrt() + 1.0);
    with_sign_of(with_large(v, a, is_large), x)
}

fn acosh(x: Value<'_>) -> Value<'_> {
    let large = Format::of(x.dtype()).pick(f64::powi(2.0, 30), f64::powi(2.0, 60));
    let is_large = x.gt(large);
    let t = is_large.select(x.constant(1.0), x) - 1.0;
    let v = t + t.fma(t, t + t).sqrt();
    let y = with_large(v, x, is_large);
    x.lt(1.0).select(x.constant(f64::NAN), y)
}

/// ln(1 + v), or ln 2a where a is large.
fn with_large<'a>(v: Value<'a>, a: Value<'a>, is_large: Value<'a>) -> Value<'a> {
    let y = log_of_one_plus(is_large.select(a, v));
    let y = y + is_large.select(a.constant(std::f64::consts::LN_2), 0.0);
    a.lt(f64::INFINITY).select(y, a)
}

fn atanh(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let one = a.constant(1.0);
    let inside = a.lt(1.0);
    let y = log_of_one_plus((a + a) / inside.select(1.0 - a, one)) * 0.5;
    let tiny = a.lt(Format::of(x.dtype()).least_normal * 4.0);
    let beyond = a.eq(1.0).select(a.constant(f64::INFINITY), f64::NAN);
    with_sign_of(inside.select(tiny.select(a, y), beyond), x)
}

/// asin z for z = a up to ½ and z = √((1 − a)/2) above.
fn arc<'a>(a: Value<'a>, near: Value<'a>) -> Value<'a> {
    let format = Format::of(a.dtype());
    let square = (1.0 - a) * 0.5;
    let z = near.select(a, square.sqrt());
    let s = near.select(a * a, square);
    (s * z).fma(s.poly(format.pick(&ASIN_F32, &ASIN_F64)), z)
}

fn asin(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let near = a.le(0.5);
    let y = arc(a, near);
    with_sign_of(near.select(y, y.fma(-2.0, std::f64::consts::FRAC_PI_2)), x)
}

fn acos(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let near = a.le(0.5);
    let y = arc(a, near);
    let y = with_sign_of(y, x);
    let negative = x.lt(0.0);
    let far = (y + y) + negative.select(x.constant(std::f64::consts::PI), 0.0);
    near.select(std::f64::consts::FRAC_PI_2 - y, far)
}

fn atan(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let swapped = a.gt(1.0);
    let z = swapped.select(1.0 / a, a);
    let s = z * z;
    let y = (s * z).fma(s.poly(format.pick(&ATAN_F32, &ATAN_F64)), z);
    with_sign_of(swapped.select(std::f64::consts::FRAC_PI_2 - y, y), x)
}
