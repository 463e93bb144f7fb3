//! The exponential and the functions built on it: `exp`, `sigmoid`, `silu`.
//!
//! All start from Cody and Waite's reduction x = k ln 2 + r with |r| ≤ ln 2 / 2 (*Software Manual for the Elementary
//! Functions*, 1980, chapter 6), where k is found by adding 1.5 · 2^mantissa, whose low bits then hold k: no conversion to
//! an integer, which 128-bit x86 code lacks for 64 bits.

use super::coefficients::{EXP_F32, EXP_F64, EXPM1_F32, EXPM1_F64};
use super::format::Format;
use super::value::Value;
use super::words::{Words, fast_two_sum};

/// x = k ln 2 + r + r_lo.
pub(super) struct Reduced<'a> {
    format: &'static Format,
    /// k in the low bits of the float beside which it was rounded, as an unsigned integer.
    bits: Value<'a>,
    pub(super) r: Value<'a>,
    pub(super) r_lo: Value<'a>,
}

/// Reduces x, of magnitude below 2^(mantissa − 1); a NaN gives a NaN r.
pub(super) fn reduce(x: Value<'_>) -> Reduced<'_> {
    let format = Format::of(x.dtype());
    reduce_by(x, std::f64::consts::LOG2_E, (format.ln2_hi, format.ln2_lo))
}

/// As [`reduce`], for a base whose logarithm to base 2 is `per_unit`, so that `unit`, its reciprocal in two words, is taken
/// off k times.
pub(super) fn reduce_by<'a>(x: Value<'a>, per_unit: f64, unit: (f64, f64)) -> Reduced<'a> {
    let format = Format::of(x.dtype());
    let shifted = match per_unit {
        1.0 => x + format.magic,
        _ => x.fma(per_unit, format.magic),
    };
    let k = shifted - format.magic;
    let bits = shifted.bits();
    if unit.1 == 0.0 {
        let r = if unit.0 == 1.0 { x - k } else { k.fma(-unit.0, x) };
        let r_lo = r.constant(0.0);
        return Reduced { format, bits, r, r_lo };
    }
    let exact = k.fma(-unit.0, x);
    let r = k.fma(-unit.1, exact);
    Reduced {
        format,
        bits,
        r,
        r_lo: k.fma(-unit.1, exact - r),
    }
}

/// x kept between two bounds; NaN stays NaN.
pub(super) fn clamp<'a>(x: Value<'a>, low: f64, high: f64) -> Value<'a> {
    let x = x.gt(high).select(x.constant(high), x);
    x.lt(low).select(x.constant(low), x)
}

impl<'a> Reduced<'a> {
    /// Two powers of two whose product is 2ᵏ; both are normal for |k| < 2 bias, so y · 2ᵏ is rounded once, even to a
    /// subnormal number.
    pub(super) fn scales(&self) -> (Value<'a>, Value<'a>) {
        self.powers(self.bits - (self.format.magic_bits - 2 * self.format.bias))
    }

    /// The same for 2⁻ᵏ.
    pub(super) fn inverse_scales(&self) -> (Value<'a>, Value<'a>) {
        self.powers((self.format.magic_bits + 2 * self.format.bias) - self.bits)
    }

    /// Two powers of two, the sum of whose exponents' fields this is.
    fn powers(&self, biased: Value<'a>) -> (Value<'a>, Value<'a>) {
        let half = biased >> 1;
        (self.power(half), self.power(biased - half))
    }

    /// 2ᵏ for k within the exponents of normal numbers.
    pub(super) fn scale(&self) -> Value<'a> {
        self.power(self.bits - (self.format.magic_bits - self.format.bias))
    }

    /// 2ᵏ / 2 for 2 − bias ≤ k ≤ bias + 1.
    pub(super) fn half_scale(&self) -> Value<'a> {
        self.power(self.bits - (self.format.magic_bits - self.format.bias + 1))
    }

    /// The power of two whose exponent's field this is.
    fn power(&self, biased: Value<'a>) -> Value<'a> {
        (biased << self.format.mantissa).bitcast(self.format.dtype)
    }

    /// (eʳ − 1 − r) / r².
    pub(super) fn quotient(&self) -> Value<'a> {
        self.r.poly(self.format.pick(&EXP_F32, &EXP_F64))
    }

    /// eʳ − 1.
    pub(super) fn expm1(&self) -> Value<'a> {
        (self.r * self.r).fma(self.quotient(), self.r)
    }

    /// eʳ − 1 with the low word of the reduction.
    pub(super) fn expm1_compensated(&self) -> Value<'a> {
        (self.r * self.r).fma(self.quotient(), self.r_lo) + self.r
    }

    /// eʳ − 1 in two words; the term r²/2 is a product of its own, which spares a rounding, and the low word of the reduction
    /// weighs by the slope, of which 1 + r is enough.
    pub(super) fn expm1_words(&self) -> Words<'a> {
        let coefficients: &[f64] = self.format.pick(&EXPM1_F32, &EXPM1_F64);
        let (&half, higher) = coefficients.split_first().expect("a polynomial has coefficients");
        let r = self.r;
        let square = r * r;
        let cubic = (square * r).fma(r.poly(higher), self.r_lo.fma(r, self.r_lo));
        fast_two_sum(r, square.fma(half, cubic))
    }

    /// e^(r + lo) in two words, where lo is below an ulp of the unreduced argument.
    pub(super) fn exp_words(&self, lo: Option<Value<'a>>) -> Words<'a> {
        let one = fast_two_sum(self.r.constant(1.0), self.r);
        let low = (self.r * self.r).fma(self.quotient(), self.r_lo);
        let low = match lo {
            Some(lo) => lo.fma(one.hi + low, low),
            None => low,
        };
        fast_two_sum(one.hi, one.lo + low)
    }
}

/// eˣ = 2ᵏ (1 + (r + r² q)), by a polynomial of degree 6 (f32) or 11 (f64).
///
/// The form is monotone: r steps by whole ulps of its own, and r² q, of at most a fifth of it, is rounded so much finer that
/// r + r² q never falls where r rises; every later operation is monotone by itself. Horner's form, an op shorter, goes back by
/// an ulp now and then. The coefficients are fitted closer where eʳ is below 1 and its ulps are smaller.
/// 22 ops, 0.98 ulp (f32); 27 ops, 0.97 ulp (f64). The clamp lets x beyond the range overflow to ∞ or underflow to 0 in the
/// last multiplication, and lets NaN pass.
pub(super) fn exp(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (low, high) = format.pick((-104.0, 89.0), (-746.0, 710.0));
    let reduced = reduce(clamp(x, low, high));
    let y = reduced.expm1() + 1.0;
    let (s1, s2) = reduced.scales();
    y * s1 * s2
}

/// 1 / (1 + e⁻ˣ).
pub(super) fn sigmoid(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let (mantissa, scales) = logistic_far(a);
    let t = mantissa * scales.0 * scales.1;
    let far = x.gt(0.0).select(1.0 - t, t);
    // So near to 0 that 1 + 2ᵏ is exact: the divisor 1 + 2ᵏ + 2ᵏ u is a sum in two words, and a Newton step makes up for the
    // rounding of it and of its reciprocal.
    let reduced = reduce(-x);
    let scale = reduced.scale();
    let u = reduced.expm1();
    let base = scale + 1.0;
    let d = scale.fma(u, base);
    let d_lo = scale.fma(u, base - d);
    let q = 1.0 / d;
    let rest = (-q).fma(d_lo, (-q).fma(d, 1.0));
    is_far(a).rare(far, rest.fma(q, q))
}

/// x / (1 + e⁻ˣ), which for a great a = |x| is max(x, 0) − a / (1 + eᵃ).
pub(super) fn silu(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    // −0 keeps the sign of a zero.
    let ramp = x.maximum(-0.0);
    let (mantissa, scales) = logistic_far(a);
    let bounded = a.minimum(Format::of(x.dtype()).pick(112.0, 760.0));
    let far = ramp - mantissa * bounded * scales.0 * scales.1;
    let reduced = reduce(-x);
    let scale = reduced.scale();
    let near = x / scale.fma(reduced.expm1(), scale + 1.0);
    is_far(a).rare(far, near)
}

/// Whether a number of this magnitude is [`logistic_far`]'s; so it is for a NaN.
fn is_far(a: Value<'_>) -> Value<'_> {
    let format = Format::of(a.dtype());
    let bits = format.pick(i64::from(16f32.to_bits()), 36f64.to_bits() as i64);
    a.bitcast(format.dtype.to_signed()).gt(bits)
}

/// 1 / (1 + eᵃ) for a great a, as a number times two powers of two: w − w² with w = e⁻ᵃ.
fn logistic_far(a: Value<'_>) -> (Value<'_>, (Value<'_>, Value<'_>)) {
    let reduced = reduce(-a.minimum(Format::of(a.dtype()).pick(112.0, 760.0)));
    let n = reduced.exp_words(None);
    let (s1, s2) = reduced.scales();
    let mantissa = n.hi + (n.lo - n.hi * n.hi * s1 * s2);
    (mantissa, (s1, s2))
}
