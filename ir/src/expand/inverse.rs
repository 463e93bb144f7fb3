//! The inverse circular functions.
//!
//! Each is base ± (z + z³ p(z²)) with one polynomial, where the base is 0 or a multiple of π/2 in two words.

use super::coefficients::{ASIN_F32, ASIN_F64, ATAN_F32, ATAN_HALF_F64, ATAN_NARROW};
use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product};
use crate::dtype::Dtype;

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

/// atan x, with −1/|x| in two words in the place of |x| > 1, to which π/2 is added.
pub(super) fn atan(x: Value<'_>) -> Value<'_> {
    // Beyond this atan is π/2 rounded, and at ∞ the quotient would have no rest.
    let limit = f64::powi(2.0, 100);
    let a = x.abs();
    let a = a.gt(limit).select(a.constant(limit), a);
    let swapped = a.gt(1.0);
    let quotient = -1.0 / a;
    let rest = quotient.fma(a, 1.0) * quotient;
    let z = Words {
        hi: swapped.select(quotient, a),
        lo: swapped.select(rest, 0.0),
    };
    let eighths = swapped.select(x.constant(2.0), 0.0);
    with_sign_of(atan_from(eighths, z), x)
}

/// So many eighths of a turn, and atan(z + z_lo) for |z| ≤ 1.
///
/// The term −z³/3, of up to a quarter of the result, is a product of its own: one rounding less. The polynomial of f64 is so
/// long that near 1 its roundings add up to more than an ulp; there it serves for |z| ≤ ½.
fn atan_from<'a>(eighths: Value<'a>, z: Words<'a>) -> Value<'a> {
    let format = Format::of(z.hi.dtype());
    let (eighths, z, coefficients): (_, _, &[f64]) = match format.dtype {
        Dtype::F64 => {
            let (eighths, z) = to_half(eighths, z);
            (eighths, z, &ATAN_HALF_F64)
        }
        _ => (eighths, z, &ATAN_F32),
    };
    let (pi_2, pi_2_lo) = half_pi(format);
    let base = two_product(eighths, z.hi.constant(pi_2 * 0.5));
    let base_lo = eighths.fma(pi_2_lo * 0.5, base.lo);
    let (&third, higher) = coefficients.split_first().expect("a polynomial has coefficients");
    let s = z.hi * z.hi;
    let cube = s * z.hi;
    // The slope of atan is 1 / (1 + z²), and 1 − z²/2 is near enough.
    let slope = s.fma(-0.5, 1.0);
    let sum = fast_two_sum(base.hi, z.hi);
    let low = (cube * s).fma(s.poly(higher), z.lo.fma(slope, sum.lo + base_lo));
    sum.hi + cube.fma(third, low)
}

/// The same angle with |z| ≤ ½: atan z = ±π/4 + atan((z ∓ 1) / (1 + |z|)) for a greater z, where the difference is exact.
fn to_half<'a>(eighths: Value<'a>, z: Words<'a>) -> (Value<'a>, Words<'a>) {
    let large = z.hi.abs().gt(0.5);
    let one = with_sign_of(z.hi.constant(1.0), z.hi);
    let sum = fast_two_sum(z.hi.constant(1.0), z.hi.abs());
    let difference = Words {
        hi: z.hi - one,
        lo: z.lo,
    };
    let turned = difference.over(sum);
    let z = Words {
        hi: large.select(turned.hi, z.hi),
        lo: large.select(turned.lo, z.lo),
    };
    (eighths + large.select(one, 0.0), z)
}

/// The angle of the point (y, x): atan of the lesser over the greater coordinate, put into its octant.
pub(super) fn atan2<'a>(y: Value<'a>, x: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    let (a, b) = (y.abs(), x.abs());
    let swapped = a.gt(b);
    let left = (x.bits() & format.sign_mask()).ne(0);
    let octant = Octant {
        num: swapped.select(b, a),
        den: swapped.select(a, b),
        minus: swapped.ne(left),
        eighths: swapped.select(x.constant(2.0), left.select(x.constant(4.0), 0.0)),
    };
    let angle = match format.dtype {
        Dtype::F64 => octant.angle_f64(),
        _ => octant.angle_f32(),
    };
    // The comparisons took a NaN for a number.
    let angle = (x.ne(x) | y.ne(y)).select(x + y, angle);
    with_sign_of(angle, y)
}

/// So many eighths of a turn, plus or minus atan(num / den) for 0 ≤ num ≤ den.
struct Octant<'a> {
    num: Value<'a>,
    den: Value<'a>,
    minus: Value<'a>,
    eighths: Value<'a>,
}

impl<'a> Octant<'a> {
    /// Computed in f64, where no quotient of two f32 overflows or vanishes.
    fn angle_f32(&self) -> Value<'a> {
        let same = self.num.eq(self.den);
        let one = self.num.constant(1.0);
        // Zeros over zeros are 0, and infinities over infinities 1.
        let num = same.select(self.den.eq(0.0).select(self.den, one), self.num);
        let den = same.select(one, self.den);
        let z = self.signed(num).cast(Dtype::F64) / den.cast(Dtype::F64);
        let arc = z * (z * z).poly(&ATAN_NARROW);
        let angle = self.eighths.cast(Dtype::F64).fma(std::f64::consts::FRAC_PI_4, arc);
        angle.cast(Dtype::F32)
    }

    fn angle_f64(&self) -> Value<'a> {
        let (num, den) = (self.num, self.den);
        // So small a point is enlarged, that the rest of the division is no subnormal number; so large a one is diminished,
        // that its reciprocal is none.
        let one = num.constant(1.0);
        let scale = den
            .lt(f64::powi(2.0, -900))
            .select(num.constant(f64::powi(2.0, 900)), one);
        let scale = den.gt(f64::powi(2.0, 1000)).select(num.constant(0.0625), scale);
        let same = num.eq(den);
        // Zeros over zeros are 0; all others that are the same, infinities too, are an eighth of a turn.
        let diagonal = same & den.ne(0.0);
        let infinite = den.eq(f64::INFINITY) & !same;
        let eighth = diagonal.select(self.minus.select(num.constant(-1.0), one), 0.0);
        let num = same.select(num.constant(0.0), num * scale);
        let den = same.select(one, den * scale);
        let den = den.lt(f64::INFINITY).select(den, one);
        let num = infinite.select(num * 0.0, num);
        let num = self.signed(num);
        let z = num / den;
        let z = Words {
            hi: z,
            lo: (-z).fma(den, num) / den,
        };
        atan_from(self.eighths + eighth, z)
    }

    /// A value with the sign of the arc.
    fn signed(&self, value: Value<'a>) -> Value<'a> {
        self.minus.select(-value, value)
    }
}

/// asin x = x + x³ p(x²) up to ½, else π/2 − 2 asin √((1 − |x|)/2).
pub(super) fn asin(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let a = x.abs();
    let Arc { far, z, tail } = arc(a);
    let (pi_2, pi_2_lo) = half_pi(format);
    let two = z.hi + z.hi;
    let hi = pi_2 - two;
    let lo = (pi_2 - hi) - two;
    let beyond = hi + (lo + (pi_2_lo - (tail + tail)));
    with_sign_of(far.select(beyond, z.hi + tail), x)
}

/// acos x = π/2 − asin x up to ½, 2 asin √((1 − x)/2) above, and π less that of −x below.
pub(super) fn acos(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let Arc { far, z, tail } = arc(x.abs());
    let (pi_2, pi_2_lo) = half_pi(format);
    let negative = x.lt(0.0);
    let (zero, one) = (x.constant(0.0), x.constant(1.0));
    // 1, 0 or 2 quarter turns, less or plus the arc.
    let quarters = far.select(negative.select(x.constant(2.0), zero), one);
    let minus = far.eq(negative).select(x.constant(-0.0), zero);
    let factor = (far.select(one, zero) + 1.0).bits() ^ minus.bits();
    let factor = factor.bitcast(format.dtype);
    let sum = fast_two_sum(quarters * pi_2, z.hi * factor);
    sum.hi + (sum.lo + tail.fma(factor, quarters * pi_2_lo))
}

/// asin z = z.hi + tail, for z = a up to ½ and z = √((1 − a)/2) above.
struct Arc<'a> {
    far: Value<'a>,
    z: Words<'a>,
    tail: Value<'a>,
}

fn arc(a: Value<'_>) -> Arc<'_> {
    let format = Format::of(a.dtype());
    let far = a.gt(0.5);
    let square = (1.0 - a) * 0.5;
    let root = square.sqrt();
    let rest = (-root).fma(root, square);
    let root_lo = rest / (root + root + format.least_normal);
    let z = far.select(root, a);
    let s = far.select(square, a * a);
    let lo = far.select(root_lo, 0.0);
    let tail = (s * z).fma(s.poly(format.pick(&ASIN_F32, &ASIN_F64)), lo);
    Arc {
        far,
        z: Words { hi: z, lo },
        tail,
    }
}
