//! Roots and distances: `cbrt`, `rsqrt`, `hypot`.

use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::log::is_outside;
use super::value::Value;
use super::words::{fast_two_sum, two_product};
use crate::dtype::Dtype;

/// The cube root, with the sign put on last. What is so small that the rest of its cube would be subnormal is enlarged first,
/// behind a seldom taken branch, where zeros, infinities and NaN stay what they are.
pub(super) fn cbrt(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (least, up, down) = format.pick((-90, 72, -24), (-900, 300, -100));
    let power = |exponent: i32| f64::powi(2.0, exponent);
    let a = x.abs();
    let enlarged = cbrt_of(a * power(up)) * power(down);
    let special = (a.gt(0.0) & a.lt(f64::INFINITY)).select(enlarged, a);
    with_sign_of(is_outside(a, power(least)).rare(special, cbrt_of(a)), x)
}

/// The cube root of a positive number: a^(−1/3), first by taking a third of the exponent and significand as they stand from a
/// constant (as in Moroz and others, *Fast calculation of cube root and inverse cube root*, 2021), which is off by 3.5 % at
/// most, then by steps of third order and one of second; and a last correction by the exact rest of the cube, so that little
/// more than one rounding is left.
fn cbrt_of<'a>(a: Value<'a>) -> Value<'a> {
    /// By how much less than 4/3 of the bias the exponent is that makes the greatest error least.
    const BALANCE: f64 = 0.0682;
    let format = Format::of(a.dtype());
    // The upper bits as an integer, which stands in the low bits of 2^mantissa, and so does the difference.
    let dropped = format.pick(8, 12);
    let anchor = f64::powi(2.0, format.mantissa as i32);
    let anchor_bits = (format.mantissa + format.bias) << format.mantissa;
    let exponent = format.bias as f64 * 4.0 / 3.0 - BALANCE;
    let minuend = (exponent * f64::powi(2.0, (format.mantissa - dropped) as i32) + anchor * 4.0 / 3.0).round();
    let upper = ((a.bits() >> dropped) | anchor_bits).bitcast(format.dtype);
    let start = (upper.fma(-1.0 / 3.0, minuend).bits() << dropped).bitcast(format.dtype);
    // 1 − a r³, where no product overflows or vanishes.
    let rest = |r: Value<'a>| (-(a * r)).fma(r * r, 1.0);
    let step = |r: Value<'a>| {
        let h = rest(r);
        (r * h).fma(h.fma(2.0 / 9.0, 1.0 / 3.0), r)
    };
    let r = step(start);
    let r = format.pick(r, step(r));
    let r = (r * rest(r)).fma(1.0 / 3.0, r);
    let square = r * r;
    let y = a * square;
    let y2 = two_product(y, y);
    let rest = (-y2.hi).fma(y, a) - y2.lo * y;
    rest.fma(square * (1.0 / 3.0), y)
}

/// 1/√x: the root's and the reciprocal's rounding errors are both found by a fused multiply-add and taken off.
pub(super) fn rsqrt(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (small, up, back) = format.pick((-100, 64, 32), (-900, 512, 256));
    let is_small = x.lt(f64::powi(2.0, small));
    let scaled = is_small.select(x * f64::powi(2.0, up), x);
    let root = scaled.sqrt();
    let r = 1.0 / root;
    let rest = (-root).fma(root, scaled);
    let missing = (-r).fma(root, 1.0);
    let missing = (r * r * -0.5).fma(rest, missing);
    let y = r.fma(missing, r);
    let y = is_small.select(y * f64::powi(2.0, back), y);
    // At 0 and ∞ the rests are NaN, and so is what is negative.
    let ordinary = x.gt(0.0) & x.lt(f64::INFINITY);
    ordinary.select(y, r)
}

/// √(x² + y²): in f64 for f32; else of numbers scaled by a power of two, with the squares and the root in two words.
pub(super) fn hypot<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let root = match x.dtype() {
        Dtype::F64 => hypot_f64(x.abs(), y.abs()),
        _ => {
            let (a, b) = (x.cast(Dtype::F64), y.cast(Dtype::F64));
            a.fma(a, b * b).sqrt().cast(Dtype::F32)
        }
    };
    // An infinity wins over a NaN.
    let infinite = x.abs().eq(f64::INFINITY) | y.abs().eq(f64::INFINITY);
    infinite.select(x.constant(f64::INFINITY), root)
}

fn hypot_f64<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let swapped = x.lt(y);
    let a = swapped.select(y, x);
    let b = swapped.select(x, y);
    let (up, down) = (f64::powi(2.0, 600), f64::powi(2.0, -600));
    let is_large = a.gt(f64::powi(2.0, 500));
    let is_small = a.lt(f64::powi(2.0, -400));
    let scale = is_large.select(a.constant(down), is_small.select(a.constant(up), 1.0));
    let unscale = is_large.select(a.constant(up), is_small.select(a.constant(down), 1.0));
    let (a, b) = (a * scale, b * scale);
    let (p, q) = (two_product(a, a), two_product(b, b));
    let sum = fast_two_sum(p.hi, q.hi);
    let root = sum.hi.sqrt();
    let rest = (-root).fma(root, sum.hi) + (sum.lo + (p.lo + q.lo));
    let half = 0.5 / root;
    let corrected = rest.fma(half, root);
    root.gt(0.0).select(corrected, root) * unscale
}
