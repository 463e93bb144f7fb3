//! Functions of the bits of a float and the exact remainders: `ldexp`, `exponent`, `significand`, `nextafter`, `round_away`,
//! `remainder`.

use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::value::Value;

/// x · 2ⁿ: n is kept within twice the exponents' range and split in three, so that each power is a normal number and at most
/// one product is rounded: a product that is subnormal before the last factor, which is then the least, vanishes in it.
pub(super) fn ldexp<'a>(x: Value<'a>, n: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    let (low, high) = (1 - format.bias, format.bias);
    let within = |n: Value<'a>| n.maximum(low).minimum(high);
    let power = |n: Value<'a>| ((n + format.bias) << format.mantissa).bitcast(format.dtype);
    let third = within(n);
    let rest = n.maximum(3 * low).minimum(3 * high) - third;
    let second = within(rest);
    let first = within(rest - second);
    x * power(first) * power(second) * power(third)
}

/// The bits of x, of a subnormal x those of x · 2^mantissa, and by how much the exponent is then too great.
fn normal_bits<'a>(x: Value<'a>, format: &Format) -> (Value<'a>, Value<'a>) {
    let subnormal = x.abs().lt(format.least_normal);
    let up = (1i64 << format.mantissa) as f64;
    let bits = subnormal.select(x * up, x).bitcast(format.dtype.to_signed());
    let excess = subnormal.select(bits.constant(format.mantissa), 0);
    (bits, excess)
}

/// Whether x has an exponent: it is neither 0 nor infinite nor NaN.
fn has_exponent(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    a.gt(0.0) & a.lt(f64::INFINITY)
}

/// The e of x = s · 2ᵉ, ½ ≤ |s| < 1.
pub(super) fn exponent(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (bits, excess) = normal_bits(x, format);
    let field = (bits >> format.mantissa) & (2 * format.bias + 1);
    has_exponent(x).select(field - (format.bias - 1) - excess, 0)
}

/// The s of x = s · 2ᵉ, ½ ≤ |s| < 1.
pub(super) fn significand(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (bits, _) = normal_bits(x, format);
    let field = (2 * format.bias + 1) << format.mantissa;
    let half = (format.bias - 1) << format.mantissa;
    let s = ((bits & !field) | half).bitcast(format.dtype);
    has_exponent(x).select(s, x)
}

/// The number after x toward y: away from 0 the magnitude's bits are one more.
pub(super) fn nextafter<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    let zero = x.eq(0.0);
    let bits = x.bits();
    let outward = y.gt(x).eq(x.gt(0.0));
    let step = outward.select(bits + 1, bits - 1);
    let least = (y.bits() & format.sign_mask()) | 1;
    let next = zero.select(least, step).bitcast(format.dtype);
    let next = x.eq(y).select(y, next);
    (x.ne(x) | y.ne(y)).select(x + y, next)
}

/// The nearest integer, ties away from zero; x less its integer part is exact.
pub(super) fn round_away(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let whole = a.trunc();
    let up = (a - whole).ge(0.5);
    with_sign_of(up.select(whole + 1.0, whole), x)
}

/// IEEE 754's remainder, by that of a division by 2y (fdlibm's `e_remainder.c`): what is left is below 2|y|, and y is taken
/// off once or twice. Every difference is exact; halves are compared as doubles where y is tiny.
pub(super) fn remainder<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    let (a, b) = (x.abs(), y.abs());
    let half_of_largest = format.pick(f64::from(f32::MAX) * 0.5, f64::MAX * 0.5);
    let r = b.le(half_of_largest).select(a.rem(b + b), a);
    let tiny = b.lt(format.least_normal * 2.0);
    let half = b * 0.5;
    let past = tiny.select(r + r, r).gt(tiny.select(b, half));
    let once = r - b;
    let past_again = tiny.select(once + once, once).ge(tiny.select(b, half));
    let r = past.select(past_again.select(once - b, once), r);
    let signed = (r.bits() ^ (x.bits() & format.sign_mask())).bitcast(format.dtype);
    // An infinite y leaves x as it is; a y of 0 or an infinite x gives NaN, as the remainder of the division does.
    let invalid = a.eq(f64::INFINITY) | b.eq(0.0);
    let signed = invalid.select(x.constant(f64::NAN), signed);
    let nan = x.ne(x) | y.ne(y);
    let zero = with_sign_of(x.constant(0.0), x);
    nan.select(x + y, r.eq(0.0).select(zero, signed))
}
