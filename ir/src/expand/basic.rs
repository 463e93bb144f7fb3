//! Exact functions: signs, classes, selections and float quotients.

use super::format::Format;
use super::value::Value;

/// −1, 0 or 1 of any number; NaN for NaN, +0 for −0.
pub(super) fn sign(x: Value<'_>) -> Value<'_> {
    if x.dtype().is_float() {
        let zero_or_nan = x.eq(0.0).select(x.constant(0.0), x);
        let not_positive = x.lt(0.0).select(x.constant(-1.0), zero_or_nan);
        return x.gt(0.0).select(x.constant(1.0), not_positive);
    }
    let zero = x.constant(0);
    let one = x.constant(1);
    match x.dtype().kind() {
        crate::dtype::Kind::Signed => x.gt(zero).select(one, x.lt(zero).select(x.constant(-1), zero)),
        _ => x.ne(zero).select(one, zero),
    }
}

/// |x| with the sign of y, NaNs included: only bits move.
pub(super) fn copysign<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let format = Format::of(x.dtype());
    let magnitude = x.bits() & format.magnitude_mask();
    (magnitude | (y.bits() & format.sign_mask())).bitcast(format.dtype)
}

/// The lesser, or the number beside a NaN. Among equals the "or" of the bits keeps the sign of a −0.
pub(super) fn fmin<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    if x.dtype().is_int() {
        return x.minimum(y);
    }
    let equal = (x.bits() | y.bits()).bitcast(x.dtype());
    let ordered = x.lt(y).select(x, x.eq(y).select(equal, y));
    y.ne(y).select(x, ordered)
}

/// The greater, or the number beside a NaN. Among equals the "and" of the bits keeps the sign of a +0.
pub(super) fn fmax<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    if x.dtype().is_int() {
        return x.maximum(y);
    }
    let equal = (x.bits() & y.bits()).bitcast(x.dtype());
    let ordered = x.gt(y).select(x, x.eq(y).select(equal, y));
    y.ne(y).select(x, ordered)
}
