//! The power of floats.

use super::coefficients::{EXP2_POW, LN_TAIL_POW, LOG2_POW};
use super::exp::{clamp, reduce};
use super::format::{F64, Format};
use super::log::{Split, split};
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product};
use crate::dtype::Dtype;

/// xʸ with every special case of IEEE 754-2019 (section 9.2.1) and C's Annex F.
///
/// 73 ops, 0.51 ulp (f32); 149 ops, 0.76 ulp (f64).
///
/// Constant exponents −1, 0, 1/2, 1, 2 and 3 become a few basic ops.
pub(super) fn pow<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    if let Some(power) = y.as_const().and_then(|c| constant_power(x, c.as_f64())) {
        return power;
    }
    let format = Format::of(x.dtype());
    let a = x.abs();
    let power = match format.dtype {
        Dtype::F64 => magnitude_f64(a, y),
        _ => magnitude_f32(a, y),
    };
    let half = y * 0.5;
    let whole = y.trunc().eq(y);
    let odd = whole & half.trunc().ne(half);
    // A negative number to a fraction; −∞ and −0 have one, of positive sign.
    let invalid = x.lt(0.0) & !whole & a.lt(f64::INFINITY);
    let power = invalid.select(x.constant(f64::NAN), power);
    let sign = x.bits() & format.sign_mask();
    let signed = (power.bits() | odd.select(sign, 0)).bitcast(format.dtype);
    let endless = y.abs().eq(f64::INFINITY);
    let one = y.eq(0.0) | x.eq(1.0) | (a.eq(1.0) & endless);
    one.select(x.constant(1.0), signed)
}

/// xʸ for the exponents at which basic ops are at least as accurate: no partial result overflows or underflows unless the
/// power does.
fn constant_power(x: Value<'_>, y: f64) -> Option<Value<'_>> {
    Some(match y {
        0.0 => x.constant(1.0),
        1.0 => x,
        2.0 => x * x,
        3.0 => cube(x),
        -1.0 => 1.0 / x,
        // √−0 is −0 and √−∞ is NaN, but their powers are +0 and +∞.
        0.5 => {
            let root = (x + 0.0).sqrt();
            x.eq(f64::NEG_INFINITY).select(x.constant(f64::INFINITY), root)
        }
        _ => return None,
    })
}

/// x³, rounded little more than once: what the rounding of x² lost comes back in the second product.
fn cube(x: Value<'_>) -> Value<'_> {
    let square = two_product(x, x);
    let is_finite = (square.hi * x).abs().lt(f64::INFINITY);
    square.hi.fma(x, is_finite.select(square.lo * x, 0.0))
}

/// aʸ for a ≥ 0, in f64: 2^(y log2 a), where log2 comes from the odd series in s = (m − 1) / (m + 1).
///
/// The error before the one rounding to f32 is below 2⁻³⁶. Every f32 is a normal f64, and so is every result.
fn magnitude_f32<'a>(a: Value<'a>, y: Value<'a>) -> Value<'a> {
    let wide = a.cast(Dtype::F64);
    let Split { exponent, m } = split(wide, std::f64::consts::FRAC_1_SQRT_2);
    let s = (m - 1.0) / (m + 1.0);
    let log2 = s.fma((s * s).poly(&LOG2_POW), exponent);
    let z = y.cast(Dtype::F64) * log_of_special(wide, log2);
    let z = clamp(z, -160.0, 160.0);
    let shifted = z + F64.magic;
    let r = z - (shifted - F64.magic);
    let scale = ((shifted.bits() - (F64.magic_bits - F64.bias)) << F64.mantissa).bitcast(Dtype::F64);
    (r.poly(&EXP2_POW) * scale).cast(Dtype::F32)
}

/// aʸ for a ≥ 0 as e^(y ln a), with ln a and its product with y in two words.
fn magnitude_f64<'a>(a: Value<'a>, y: Value<'a>) -> Value<'a> {
    let ln = ln_words(a);
    let hi = log_of_special(a, ln.hi);
    let power = y * hi;
    let power_lo = y.fma(hi, -power) + y * ln.lo;
    let bound = 800.0;
    let within = power.abs().lt(bound);
    exp_two_words(clamp(power, -bound, bound), within.select(power_lo, 0.0))
}

/// ln a for a positive f64 in two words.
///
/// ln m = 2s + 2s³/3 + 2s⁵/5 + s⁷·t(s²) with s = (m − 1) / (m + 1): the first three terms are computed to about 100 bits, and
/// the last is so small that one word leaves an error of 2⁻⁷⁰, hence 2⁻⁶⁰ in the largest exponents.
pub(super) fn ln_words(a: Value<'_>) -> Words<'_> {
    let Split { exponent: e, m } = split(a, std::f64::consts::FRAC_1_SQRT_2);
    let f = m - 1.0;
    let d = m + 1.0;
    let d_lo = m - (d - 1.0);
    let reciprocal = 1.0 / d;
    let s = f * reciprocal;
    let s_lo = ((-s).fma(d, f) - s * d_lo) * reciprocal;
    let z = s * s;
    let z_lo = s.fma(s, -z) + (s + s) * s_lo;
    let (cube, cube_lo) = product(s, s_lo, z, z_lo);
    let (fifth, fifth_lo) = product(cube, cube_lo, z, z_lo);
    let constant = |hi: f64, lo: u64| (s.constant(hi), s.constant(f64::from_bits(lo)));
    let (two_thirds, two_thirds_lo) = constant(2.0 / 3.0, 0x3c85_5555_5555_5555);
    let (two_fifths, two_fifths_lo) = constant(2.0 / 5.0, 0xbc79_9999_9999_999a);
    let (second, second_lo) = product(cube, cube_lo, two_thirds, two_thirds_lo);
    let (third, third_lo) = product(fifth, fifth_lo, two_fifths, two_fifths_lo);
    let tail = (fifth * z).fma(z.poly(&LN_TAIL_POW), (second_lo + third_lo) + (s_lo + s_lo));
    // Each term is smaller than the one before, so a sum's error is what is missing of the smaller.
    let first = s + s;
    let two_terms = first + second;
    let ln_m = two_terms + third;
    let ln_m_lo = (second - (two_terms - first)) + (third - (ln_m - two_terms)) + tail;
    // e ln 2 is zero or the larger term.
    let whole = e * F64.ln2_hi;
    let sum = whole + ln_m;
    let sum_lo = (ln_m - (sum - whole)) + e.fma(F64.ln2_lo, ln_m_lo);
    fast_two_sum(sum, sum_lo)
}

/// (a + a_lo) · (b + b_lo) in two words.
fn product<'a>(a: Value<'a>, a_lo: Value<'a>, b: Value<'a>, b_lo: Value<'a>) -> (Value<'a>, Value<'a>) {
    let p = a * b;
    (p, a.fma(b, -p) + a.fma(b_lo, a_lo * b))
}

/// e^(x + x_lo), where x_lo is below an ulp of x.
fn exp_two_words<'a>(x: Value<'a>, x_lo: Value<'a>) -> Value<'a> {
    let reduced = reduce(x);
    let r = reduced.r;
    let high = r + 1.0;
    let rest = r - (high - 1.0);
    let low = (r * r).fma(reduced.quotient(), reduced.r_lo);
    let low = x_lo.fma(high + low, low);
    let (s1, s2) = reduced.scales();
    (high + (rest + low)) * s1 * s2
}

/// The logarithm of a ≥ 0 given the one right for normal and subnormal numbers: −∞ for 0, ∞ for ∞, NaN for NaN.
fn log_of_special<'a>(a: Value<'a>, log: Value<'a>) -> Value<'a> {
    let log = a.lt(f64::INFINITY).select(log, a);
    a.eq(0.0).select(a.constant(f64::NEG_INFINITY), log)
}
