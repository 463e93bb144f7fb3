//! The activation functions of neural networks beside `sigmoid`, `silu` and `tanh`, and the sum of exponentials.
//!
//! The f32 forms compute in f64 by [`super::narrow`]; the f64 forms carry in two words what would be rounded too often.

use super::coefficients::{GELU_CUBIC_F64, GELU_LINEAR_F64};
use super::exp::{clamp, reduce};
use super::log::log1p_words;
use super::narrow;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product, two_sum};
use crate::dtype::Dtype;

/// e^x is 0 or ∞ in f64 beyond this.
const FAR: f64 = 760.0;

/// ln(1 + eˣ) = max(x, 0) + log1p(e^−|x|).
pub(super) fn softplus(x: Value<'_>) -> Value<'_> {
    let zero = x.constant(0.0);
    match x.dtype() {
        Dtype::F64 => log_of_sum(x.gt(0.0).select(x, zero), x.abs(), zero),
        _ => {
            let x = x.cast(Dtype::F64);
            let w = narrow::exp(clamp(-x.abs(), -200.0, 0.0));
            let positive = x.gt(0.0).select(x, 0.0);
            // A NaN is not above 0, but is in w.
            (positive + narrow::log1p(w)).cast(Dtype::F32)
        }
    }
}

/// ln(eˣ + eʸ) = max(x, y) + log1p(e^−|x − y|). Where the two terms cancel the error is that of the greater.
pub(super) fn logaddexp<'a>(x: Value<'a>, y: Value<'a>) -> Value<'a> {
    let greater = x.gt(y).select(x, y);
    let lesser = x.gt(y).select(y, x);
    let sum = match x.dtype() {
        Dtype::F64 => {
            let d = two_sum(greater, -lesser);
            log_of_sum(greater, d.hi, d.lo)
        }
        _ => {
            let (high, low) = (greater.cast(Dtype::F64), lesser.cast(Dtype::F64));
            let w = narrow::exp(clamp(low - high, -200.0, 0.0));
            (high + narrow::log1p(w)).cast(Dtype::F32)
        }
    };
    // ∞ − ∞ is no number, but the sum of such powers is.
    let infinite = x.eq(y) & x.abs().eq(f64::INFINITY);
    let sum = infinite.select(x, sum);
    (x.ne(x) | y.ne(y)).select(x + y, sum)
}

/// base + ln(1 + e^−(d + d_lo)) in f64, d ≥ 0.
fn log_of_sum<'a>(base: Value<'a>, d: Value<'a>, d_lo: Value<'a>) -> Value<'a> {
    let near = d.lt(FAR);
    let reduced = reduce(clamp(-d, -FAR, 0.0));
    let power = reduced.exp_words(Some(near.select(-d_lo, 0.0)));
    let (s1, s2) = reduced.scales();
    let w = power.scaled(s1).scaled(s2);
    let log = log1p_words(w, base.constant(0.0));
    let sum = two_sum(base, log.hi);
    let value = sum.hi + (sum.lo + log.lo);
    // An infinite sum has no rounding error to add.
    let value = base.abs().lt(f64::INFINITY).select(value, base);
    d.eq(d).select(value, d)
}

/// x / (1 + e^−v) with v = 2√(2/π) (x + 0.044715 x³), which is in two words for f64, as the power multiplies its error.
pub(super) fn gelu_tanh(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => {
            let (linear, linear_lo) = GELU_LINEAR_F64;
            let (cubic, cubic_lo) = GELU_CUBIC_F64;
            let b = clamp(x, -100.0, 100.0);
            let square = two_product(b, b);
            let term = two_product(square.hi, b.constant(cubic));
            let term_lo = square.lo.fma(cubic, square.hi.fma(cubic_lo, term.lo));
            let slope = two_sum(b.constant(linear), term.hi);
            let slope_lo = slope.lo + (term_lo + linear_lo);
            let v = two_product(b, slope.hi);
            logistic(x, v.hi, b.fma(slope_lo, v.lo))
        }
        _ => {
            let x = x.cast(Dtype::F64);
            let v = x * (x * x).fma(GELU_CUBIC_F64.0, GELU_LINEAR_F64.0);
            narrow_logistic(x, v).cast(Dtype::F32)
        }
    }
}

/// x tanh(ln(1 + eˣ)): with w = e^−|x|, x w (w + 2) / (w (w + 2) + 2) for x < 0 and x − x · 2w² / (2w² + 2w + 1) for the
/// others.
pub(super) fn mish(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => mish_f64(x),
        _ => {
            let x = x.cast(Dtype::F64);
            let n = narrow::exp(clamp(x, -200.0, 40.0));
            let n = n * (n + 2.0);
            let x = x.lt(-200.0).select(x.constant(-200.0), x);
            (x * (n / (n + 2.0))).cast(Dtype::F32)
        }
    }
}

fn mish_f64(x: Value<'_>) -> Value<'_> {
    let a = clamp(x.abs(), 0.0, FAR);
    let reduced = reduce(-a);
    let n = reduced.exp_words(None);
    let (s1, s2) = reduced.scales();
    let w = n.hi * s1 * s2;
    let negative = x.lt(0.0);
    let one = x.constant(1.0);
    let more = w + 2.0;
    let small = two_product(n.hi, more);
    let small_lo = n.lo.fma(more, small.lo);
    let square = w * w;
    let doubled = w + w;
    // (w + 2) w + 2, or (2w + 2) w + 1.
    let factor = negative.select(more, doubled + 2.0);
    let rest = negative.select(x.constant(2.0), one);
    let den = factor.fma(w, rest);
    let den_lo = factor.fma(w, rest - den);
    let num = Words {
        hi: negative.select(small.hi, square + square),
        lo: negative.select(small_lo, 0.0),
    };
    let quotient = num.over(Words { hi: den, lo: den_lo });
    let product = two_product(quotient.hi, a);
    let part = (product.hi + quotient.lo.fma(a, product.lo)) * negative.select(s1, one) * negative.select(s2, one);
    let value = negative.select(-part, x - part);
    // A NaN is not below 0, and is in x.
    x.eq(f64::INFINITY).select(x, value)
}

/// x / (1 + e^−v) from f64 values, for an f32 result; v has the sign of x and at least its magnitude.
fn narrow_logistic<'a>(x: Value<'a>, v: Value<'a>) -> Value<'a> {
    let power = narrow::exp(clamp(-v, -200.0, 200.0));
    let x = x.lt(-200.0).select(x.constant(-200.0), x);
    x / (power + 1.0)
}

/// x / (1 + e^−(v + v_lo)) as x N / (1 + w) with w = e^−|v|, where N is w for negative v and 1 otherwise; the powers of two in
/// N come last.
fn logistic<'a>(x: Value<'a>, v: Value<'a>, v_lo: Value<'a>) -> Value<'a> {
    let negative = v.lt(0.0);
    let a = v.abs();
    let near = a.lt(FAR);
    let lo = negative.select(v_lo, -v_lo);
    let reduced = reduce(clamp(-a, -FAR, 0.0));
    let n = reduced.exp_words(Some(near.select(lo, 0.0)));
    let (s1, s2) = reduced.scales();
    let w = n.scaled(s1 * s2);
    let one = x.constant(1.0);
    let d = fast_two_sum(one, w.hi);
    let d = Words {
        hi: d.hi,
        lo: d.lo + w.lo,
    };
    let num = Words {
        hi: negative.select(n.hi, one),
        lo: negative.select(n.lo, 0.0),
    };
    let quotient = num.over(d).sum();
    let bounded = x.lt(-FAR).select(x.constant(-FAR), x);
    let value = bounded * quotient * negative.select(s1, one) * negative.select(s2, one);
    // NaN fails every comparison and is clamped to none of the bounds.
    v.eq(v).select(value, v)
}
