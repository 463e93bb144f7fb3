//! The error function.

use super::coefficients::{ERF_F32, ERF_F64, ERFC_F32, ERFC_F64};
use super::exp::reduce;
use super::format::Format;
use super::value::Value;

/// erf x: x + x · p(x²) near 0, else 1 − e^−q with q a polynomial in |x| − b fitted to −ln erfc |x|, with the sign put on
/// last.
///
/// Where the far part begins, at b = 0.947 (f32) or 1 (f64), erfc is below 0.19, so an error of q of one ulp or two weighs
/// less than half an ulp of the result; beyond |x| = 4 (f32) or 6 (f64) the result is 1. 41 ops, 0.95 ulp (f32);
/// 67 ops, 0.92 ulp (f64).
pub(super) fn erf(x: Value<'_>) -> Value<'_> {
    let format = Format::of(x.dtype());
    let (begin, end) = format.pick((970.0 / 1024.0, 4.0), (1.0, 6.0));
    let a = x.abs();
    let s = a * a;
    let near = a.fma(s.poly(format.pick(&ERF_F32, &ERF_F64)), a);
    let bounded = a.gt(end).select(a.constant(end), a);
    let q = (bounded - begin).poly(format.pick(&ERFC_F32, &ERFC_F64));
    let reduced = reduce(-q);
    let scale = reduced.scale();
    let far = (-scale).fma(reduced.expm1(), 1.0 - scale);
    let magnitude = a.lt(begin).select(near, far);
    (magnitude.bits() | (x.bits() & format.sign_mask())).bitcast(format.dtype)
}
