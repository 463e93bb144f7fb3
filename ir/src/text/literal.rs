//! Numbers as text into values.
//!
//! In: a number token's text, without a sign. Out: a weak literal or a typed value, or why it is neither.
//!
//! Invariants: a weak integer fits `i64` or `u64`; a typed literal fits its type; no finite text becomes an infinity.

use crate::dtype::{Dtype, Scalar};
use crate::op::Literal;

/// The value of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Without a suffix.
    Weak(Literal),
    /// With one.
    Typed(Scalar),
}

/// Why a text is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberError {
    #[error("`{0}` is not a suffix of a number; expected a dtype: i8 … i64, u8 … u64, f16, bf16, f32 or f64")]
    UnknownSuffix(String),
    #[error("a float literal cannot have the type {0}")]
    FloatForInt(Dtype),
    #[error("a number cannot have the type bool; write `true` or `false`")]
    Bool,
    #[error("`{0}` is not a digit in base {1}")]
    Digit(char, u32),
    #[error("expected digits after the prefix")]
    NoDigits,
    #[error("expected digits after the exponent's `e`")]
    NoExponent,
    #[error("the integer is out of range: {0} holds {low} to {high}", low = range(*.0).0, high = range(*.0).1)]
    OutOfRange(Dtype),
    #[error("the integer is out of range: neither i64 nor u64 holds it")]
    TooLarge,
    #[error("the float is out of range for {0}: it would become an infinity")]
    Infinite(Dtype),
}

/// The value of the number `text`, negated if the sign before it is its own.
pub(super) fn number(negative: bool, text: &str) -> Result<Number, NumberError> {
    let (body, suffix) = split_suffix(text);
    let dtype = match suffix {
        "" => None,
        _ => Some(
            suffix
                .parse::<Dtype>()
                .map_err(|_| NumberError::UnknownSuffix(suffix.to_owned()))?,
        ),
    };
    if dtype == Some(Dtype::Bool) {
        return Err(NumberError::Bool);
    }
    let prefixed = matches!(body.as_bytes(), [b'0', b'x' | b'b' | b'o', ..]);
    if !prefixed && body.contains(['.', 'e', 'E']) {
        return float(negative, body, dtype);
    }
    match (dtype, prefixed) {
        (Some(dtype), false) if dtype.is_float() => float(negative, body, Some(dtype)),
        _ => int(negative, body, dtype),
    }
}

/// The least and the greatest value of an integer type.
fn range(dtype: Dtype) -> (i128, i128) {
    let bits = dtype.bits();
    match dtype.kind() {
        crate::dtype::Kind::Signed => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    }
}

/// The digits and the letters behind them. In base 16 only `i` and `u` begin a suffix, as `f32` is three digits.
fn split_suffix(text: &str) -> (&str, &str) {
    let at = match text.as_bytes() {
        [b'0', b'x', ..] => text.find(['i', 'u']),
        [b'0', b'b' | b'o', ..] => text[2..].find(|c: char| c.is_ascii_alphabetic()).map(|at| at + 2),
        _ => {
            let exponent = text
                .find(['e', 'E'])
                .filter(|&e| text[e + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-'));
            let from = exponent.map_or(0, |e| e + 1);
            text[from..].find(|c: char| c.is_ascii_alphabetic()).map(|at| at + from)
        }
    };
    text.split_at(at.unwrap_or(text.len()))
}

fn int(negative: bool, body: &str, dtype: Option<Dtype>) -> Result<Number, NumberError> {
    let (digits, radix) = match body.as_bytes() {
        [b'0', b'x', ..] => (&body[2..], 16),
        [b'0', b'b', ..] => (&body[2..], 2),
        [b'0', b'o', ..] => (&body[2..], 8),
        _ => (body, 10),
    };
    let mut magnitude: i128 = 0;
    let mut any = false;
    for c in digits.chars().filter(|&c| c != '_') {
        let digit = c.to_digit(radix).ok_or(NumberError::Digit(c, radix))?;
        any = true;
        // Saturating keeps a long number out of range instead of wrapping it back in.
        magnitude = magnitude.saturating_mul(radix as i128).saturating_add(digit as i128);
    }
    if !any {
        return Err(NumberError::NoDigits);
    }
    let value = if negative { -magnitude } else { magnitude };
    let Some(dtype) = dtype else {
        let fits = (i64::MIN as i128..=u64::MAX as i128).contains(&value);
        return if fits {
            Ok(Number::Weak(Literal::Int(value)))
        } else {
            Err(NumberError::TooLarge)
        };
    };
    if dtype.is_float() {
        return Ok(Number::Typed(Scalar::from_i128(dtype, value)));
    }
    let (low, high) = range(dtype);
    if (low..=high).contains(&value) {
        Ok(Number::Typed(Scalar::from_i128(dtype, value)))
    } else {
        Err(NumberError::OutOfRange(dtype))
    }
}

fn float(negative: bool, body: &str, dtype: Option<Dtype>) -> Result<Number, NumberError> {
    if dtype.is_some_and(|d| !d.is_float()) {
        return Err(NumberError::FloatForInt(dtype.unwrap_or(Dtype::I64)));
    }
    let digits: String = body.chars().filter(|&c| c != '_').collect();
    let wide: f64 = digits.parse().map_err(|_| NumberError::NoExponent)?;
    // An `f32` is read in one rounding; through `f64` some decimals would round twice.
    let magnitude = match dtype {
        Some(Dtype::F32) => digits.parse::<f32>().map_err(|_| NumberError::NoExponent)? as f64,
        _ => wide,
    };
    let value = if negative { -magnitude } else { magnitude };
    let held = Scalar::from_f64(dtype.unwrap_or(Dtype::F64), value);
    if held.as_f64().is_infinite() {
        return Err(NumberError::Infinite(held.dtype()));
    }
    Ok(match dtype {
        None => Number::Weak(Literal::float(value)),
        Some(_) => Number::Typed(held),
    })
}
