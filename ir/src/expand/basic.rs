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

/// The quotient rounded toward zero.
pub(super) fn trunc_div<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    (x / y).trunc()
}

/// The quotient rounded down, as NumPy's `npy_divmod` has it; the interpreter's text lists the steps.
pub(super) fn floor_div<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let rem = x.rem(y);
    let quotient = (x - rem) / y;
    let quotient = signs_cross(rem, y).select(quotient - 1.0, quotient);
    let floor = quotient.floor();
    let nearest = (quotient - floor).gt(0.5).select(floor + 1.0, floor);
    let signed_zero = copysign(x.constant(0.0), x / y);
    let quotient = quotient.eq(0.0).select(signed_zero, nearest);
    y.eq(0.0).select(x / y, quotient)
}

/// The remainder of [`floor_div`]; a zero has the sign of y.
pub(super) fn floor_mod<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let rem = x.rem(y);
    let moved = signs_cross(rem, y).select(rem + y, rem);
    let signed_zero = copysign(x.constant(0.0), y);
    // Only y = 0 makes a NaN remainder of two numbers, and it stays one.
    rem.eq(0.0).select(signed_zero, moved)
}

/// Whether a remainder that is not zero lies on the other side of zero than y.
fn signs_cross<'a>(rem: Value<'a>, y: Value<'a>) -> Value<'a> {
    rem.ne(0.0) & rem.lt(0.0).ne(y.lt(0.0))
}
