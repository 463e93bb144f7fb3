//! The complementary error function and the Gaussian linear unit, which share their tails.
//!
//! Beyond a small x both are e^−cx² times a function that is nearly 1 / (x + b): a polynomial in v = (x − b) / (x + b)
//! divided by x + b (Shepherd and Laframboise, *Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞*, 1981).

use super::coefficients::{ERF_F64, ERF_NARROW, ERFC_TAIL_F32, ERFC_TAIL_F64};
use super::coefficients::{GELU_NEAR_F64, GELU_TAIL_F32, GELU_TAIL_F64};
use super::exp::{Reduced, clamp, reduce};
use super::narrow;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product};
use crate::dtype::Dtype;

/// 1 − erf x: by erf's polynomial up to ¾, by the tail beyond, and 2 less the tail of −x below −¾.
pub(super) fn erfc(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => {
            let a = x.abs();
            let near = a.lt(0.75);
            let erf = x.fma((x * x).poly(&ERF_F64), 0.0);
            let one = x.constant(1.0);
            let head = fast_two_sum(one, -x);
            let middle = head.hi + (head.lo - erf);
            let tail = tail(clamp(a, 0.0, 28.0), 1.0, 2.0, &ERFC_TAIL_F64);
            let far = tail.times(one);
            near.select(middle, x.lt(0.0).select(2.0 - far, far))
        }
        _ => {
            let x = clamp(x.cast(Dtype::F64), -11.0, 11.0);
            let a = x.abs();
            let middle = (-x).fma((x * x).poly(&ERF_NARROW), 1.0);
            let far = narrow_tail(a, 1.0, 2.0, &ERFC_TAIL_F32);
            let far = x.lt(0.0).select(2.0 - far, far);
            a.lt(0.75).select(middle, far).cast(Dtype::F32)
        }
    }
}

/// x Φ(x): the tail Q of |x| times −|x|, to which x is added if it is positive; in f64 x (½ + x p(x²)) up to ½, as that sum
/// would double the error of the tail.
pub(super) fn gelu(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => {
            let a = x.abs();
            let middle = x * x.fma((x * x).poly(&GELU_NEAR_F64), 0.5);
            let bounded = clamp(a, 0.0, 40.0);
            let far = tail(bounded, 0.5, 3.0, &GELU_TAIL_F64).times(-bounded);
            let far = x.gt(0.0).select(x + far, far);
            a.lt(0.5).select(middle, far)
        }
        _ => {
            let x = x.cast(Dtype::F64);
            let a = clamp(x.abs(), 0.0, 16.0);
            let tail = narrow_tail(a, 0.5, 3.0, &GELU_TAIL_F32) * -a;
            x.ge(0.0).select(x + tail, tail).cast(Dtype::F32)
        }
    }
}

fn narrow_tail<'a>(a: Value<'a>, c: f64, b: f64, coefficients: &[f64]) -> Value<'a> {
    let t = 1.0 / (a + b);
    let v = t.fma(-2.0 * b, 1.0);
    narrow::exp(a * a * -c) * t * v.poly(coefficients)
}

/// A tail in two words, less a power of two.
struct Tail<'a> {
    mantissa: Words<'a>,
    reduced: Reduced<'a>,
}

impl<'a> Tail<'a> {
    /// The tail times a factor, rounded before the power of two is multiplied in, which rounds subnormal results alone.
    fn times(self, factor: Value<'a>) -> Value<'a> {
        let (s1, s2) = self.reduced.scales();
        let p = two_product(self.mantissa.hi, factor);
        (p.hi + self.mantissa.lo.fma(factor, p.lo)) * s1 * s2
    }
}

/// e^−ca² · P(v) / (a + b): each factor in two words.
fn tail<'a>(a: Value<'a>, c: f64, b: f64, coefficients: &[f64]) -> Tail<'a> {
    let square = two_product(a, a);
    let reduced = reduce(square.hi * -c);
    let power = reduced.exp_words(Some(square.lo * -c));
    let d = a + b;
    let d_lo = a - (d - b);
    let t = 1.0 / d;
    let rest = (-t).fma(d, 1.0) - t * d_lo;
    let v = t.fma(-2.0 * b, 1.0);
    // The rest t · rest of t counts in v, too.
    let v_lo = t.fma(-2.0 * b, 1.0 - v) - (t * rest) * (2.0 * b);
    let (&c0, higher) = coefficients.split_first().expect("a polynomial has coefficients");
    let slope = v.poly(higher);
    let p = v.fma(slope, c0);
    let p_lo = v.fma(slope, c0 - p) + v_lo * slope;
    let q = Words { hi: t, lo: t * rest }.times(Words { hi: p, lo: p_lo });
    Tail {
        mantissa: q.times(power),
        reduced,
    }
}
