//! Integer quotients and powers.

use super::value::Value;
use crate::dtype::Kind;

/// The quotient rounded down. `x / 0` is 0 and `MIN / −1` is `MIN`, as for the truncated one.
pub(super) fn floor_div<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let quotient = x.trunc_div(y);
    if x.dtype().kind() == Kind::Unsigned {
        return quotient;
    }
    signs_cross(x.rem(y), y).select(quotient - 1, quotient)
}

/// The remainder of [`floor_div`], with the sign of y.
pub(super) fn floor_mod<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let rem = x.rem(y);
    if x.dtype().kind() == Kind::Unsigned {
        return rem;
    }
    signs_cross(rem, y).select(rem + y, rem)
}

/// Whether a remainder that is not zero has another sign than y.
fn signs_cross<'a>(rem: Value<'a>, y: Value<'a>) -> Value<'a> {
    (rem ^ y).lt(0) & rem.ne(0)
}

/// xʸ, wrapping, by squaring over every bit of the exponent: 5 ops a bit, or for a constant exponent the multiplications of
/// its binary digits alone.
///
/// A negative exponent truncates 1/xⁿ toward zero: 1 and −1 keep their powers, anything else, 0 included, gives 0.
pub(super) fn pow<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let signed = y.dtype().kind() == Kind::Signed;
    let digits = y.dtype().bits() - u32::from(signed);
    let one = x.constant(1);
    if let Some(exponent) = y.as_const() {
        if exponent.as_i128() >= 0 {
            return constant_power(x, exponent.bits());
        }
        return negative_power(x, y);
    }
    let mut square = x;
    let mut power = (y & 1).ne(0).select(x, one);
    for digit in 1..digits {
        square = square * square;
        power = power * (y & (1i64 << digit)).ne(0).select(square, one);
    }
    match signed {
        true => y.lt(0).select(negative_power(x, y), power),
        false => power,
    }
}

fn constant_power(x: Value<'_>, exponent: u64) -> Value<'_> {
    let mut rest = exponent;
    let mut square = x;
    let mut power: Option<Value<'_>> = None;
    while rest != 0 {
        if rest & 1 != 0 {
            power = Some(power.map_or(square, |p| p * square));
        }
        rest >>= 1;
        if rest != 0 {
            square = square * square;
        }
    }
    power.unwrap_or_else(|| x.constant(1))
}

fn negative_power<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let one = x.constant(1);
    let alternating = (y & 1).ne(0).select(x, one);
    let unit = x.eq(-1).select(alternating, 0);
    x.eq(1).select(one, unit)
}
