//! The inverse circular functions.
//!
//! Each is base ± (z + z³ p(z²)) with one polynomial, where the base is 0 or a multiple of π/2 in two words.

use super::coefficients::{ASIN_F32, ASIN_F64, ATAN_F32, ATAN_F64};
use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::value::Value;
use super::words::{Words, fast_two_sum};

const HALF_PI: [(f64, f64); 2] = [
    words_f32(std::f64::consts::FRAC_PI_2),
    (std::f64::consts::FRAC_PI_2, f64::from_bits(0x3c91_a626_3314_5c07)),
];

/// The words of π/2 in a format.
fn half_pi(format: &Format) -> (f64, f64) {
    format.pick(HALF_PI[0], HALF_PI[1])
}

const fn words_f32(value: f64) -> (f64, f64) {
    let hi = value as f32 as f64;
    (hi, (value - hi) as f32 as f64)
}

/// atan x, with 1/|x| in two words in the place of |x| > 1.
pub(super) fn atan(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    // Beyond this atan is π/2 rounded, and at ∞ the quotient would have no rest.
    let limit = f64::powi(2.0, 100);
    let a = x.abs();
    let a = a.gt(limit).select(a.constant(limit), a);
    let swapped = a.gt(1.0);
    let quotient = 1.0 / a;
    let rest = (-quotient).fma(a, 1.0) * quotient;
    let zero = x.constant(0.0);
    let z = swapped.select(quotient, a);
    let z_lo = swapped.select(rest, zero);
    let s = z * z;
    // The slope of atan is 1 / (1 + z²), and 1 − z²/2 is near enough.
    let tail = (s * z).fma(s.poly(format.pick(&ATAN_F32, &ATAN_F64)), z_lo * s.fma(-0.5, 1.0));
    let (pi_2, pi_2_lo) = half_pi(format);
    let sum = fast_two_sum(swapped.select(x.constant(pi_2), zero), swapped.select(-z, z));
    let low = sum.lo + swapped.select(pi_2_lo - tail, tail);
    with_sign_of(sum.hi + low, x)
}

/// The angle of the point (y, x): atan of the lesser over the greater coordinate, in two words, put into its octant.
pub(super) fn atan2<'a>(y: Value<'a>, x: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    let (a, b) = (y.abs(), x.abs());
    let swapped = a.gt(b);
    let num = swapped.select(b, a);
    let den = swapped.select(a, b);
    // So small a point is enlarged, that the rest of the division is no subnormal number; so large a one is diminished,
    // that its reciprocal is none.
    let (small, up) = format.pick((-60, 60), (-900, 900));
    let (small, up) = (f64::powi(2.0, small), f64::powi(2.0, up));
    let large = format.pick(f64::powi(2.0, 100), f64::powi(2.0, 1000));
    let scale = den.lt(small).select(x.constant(up), 1.0);
    let scale = den.gt(large).select(x.constant(0.0625), scale);
    let same = num.eq(den);
    let one = x.constant(1.0);
    // Zeros over zeros and infinities over infinities are 0 and 1.
    let quotient_of_same = den.eq(0.0).select(den, one);
    let num = same.select(quotient_of_same, num * scale);
    let den = same.select(one, den * scale);
    let den = den.lt(f64::INFINITY).select(den, one);
    let infinite = swapped.select(a, b).eq(f64::INFINITY) & !same;
    let num = infinite.select(num * 0.0, num);
    let z = num / den;
    let z_lo = (-z).fma(den, num) / den;
    let s = z * z;
    let tail = (s * z).fma(s.poly(format.pick(&ATAN_F32, &ATAN_F64)), z_lo * s.fma(-0.5, 1.0));
    let (pi_2, pi_2_lo) = half_pi(format);
    let left = (x.bits() & format.sign_mask()).ne(0);
    let straight = left.select(x.constant(2.0), 0.0);
    let quarters = swapped.select(one, straight);
    let minus = swapped.ne(left);
    let z = minus.select(-z, z);
    let tail = minus.select(-tail, tail);
    let sum = fast_two_sum(quarters * pi_2, z);
    let angle = sum.hi + (quarters.fma(pi_2_lo, sum.lo) + tail);
    // The comparisons took a NaN for a number.
    let angle = (x.ne(x) | y.ne(y)).select(x + y, angle);
    with_sign_of(angle, y)
}

/// asin x = x + x³ p(x²) up to ½, else π/2 − 2 asin √((1 − |x|)/2).
pub(super) fn asin(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let Arc { near, z, tail } = arc(a);
    let (pi_2, pi_2_lo) = half_pi(format);
    let two = z.hi + z.hi;
    let sum = fast_two_sum(x.constant(pi_2), -two);
    let far = sum.hi + (sum.lo + (pi_2_lo - (tail + tail)));
    with_sign_of(near.select(z.hi + tail, far), x)
}

/// acos x = π/2 − asin x up to ½, 2 asin √((1 − x)/2) above, and π less that of −x below.
pub(super) fn acos(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let Arc { near, z, tail } = arc(x.abs());
    let (pi_2, pi_2_lo) = half_pi(format);
    let negative = x.lt(0.0);
    let one = x.constant(1.0);
    // 1, 0 or 2 quarter turns, less or plus the arc.
    let quarters = near.select(one, negative.select(x.constant(2.0), 0.0));
    let minus = near.ne(negative);
    let doubled = near.select(one, 2.0);
    let factor = minus.select(-doubled, doubled);
    let sum = fast_two_sum(quarters * pi_2, z.hi * factor);
    sum.hi + (sum.lo + tail.fma(factor, quarters * pi_2_lo))
}

/// asin z = z.hi + tail, for z = a up to ½ and z = √((1 − a)/2) above.
struct Arc<'a> {
    near: Value<'a>,
    z: Words<'a>,
    tail: Value<'a>,
}

fn arc(a: Value<'_>) -> Arc<'_> {
    let format = Format::of(a.dtype());
    let near = a.le(0.5);
    let square = (1.0 - a) * 0.5;
    let root = square.sqrt();
    let rest = (-root).fma(root, square);
    let root_lo = rest / (root + root + format.least_normal);
    let z = near.select(a, root);
    let s = near.select(a * a, square);
    let lo = near.select(a.constant(0.0), root_lo);
    let tail = (s * z).fma(s.poly(format.pick(&ASIN_F32, &ASIN_F64)), lo);
    Arc {
        near,
        z: Words { hi: z, lo },
        tail,
    }
}
