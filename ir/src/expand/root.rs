//! Roots and distances: `cbrt`, `rsqrt`, `hypot`.

use super::coefficients::{CBRT_F32, CBRT_F64};
use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::log::{Split, split};
use super::value::Value;
use super::words::{fast_two_sum, two_product};
use crate::dtype::Dtype;

/// The cube root: x = 2³ᵏ w with w from 1 to 8, a polynomial for w^(−1/3), one step of third order, and a last correction
/// by the exact rest of the cube, so that little more than one rounding is left.
pub(super) fn cbrt(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let Split { exponent: e, m } = split(a, 1.0);
    let shifted = (e - 1.0) * (1.0 / 3.0) + format.magic;
    let k = shifted - format.magic;
    let t = k.fma(-3.0, e);
    let (one, two) = (t.eq(1.0), t.eq(2.0));
    let factor = two.select(x.constant(4.0), one.select(x.constant(2.0), 1.0));
    let start = two.select(
        x.constant(f64::powf(4.0, -1.0 / 3.0)),
        one.select(x.constant(f64::powf(2.0, -1.0 / 3.0)), 1.0),
    );
    let w = m * factor;
    let r = m.poly(format.pick(&CBRT_F32, &CBRT_F64)) * start;
    let h = (-(r * r * r)).fma(w, 1.0);
    let r = (r * h).fma(h.fma(2.0 / 9.0, 1.0 / 3.0), r);
    let r2 = r * r;
    let y = w * r2;
    let square = two_product(y, y);
    let rest = (-square.hi).fma(y, w) - square.lo * y;
    let y = rest.fma(r2 * (1.0 / 3.0), y);
    let scale = ((shifted.bits() - (format.magic_bits - format.bias)) << format.mantissa).bitcast(format.dtype);
    let finite = a.gt(0.0) & a.lt(f64::INFINITY);
    with_sign_of(finite.select(y * scale, a), x)
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
