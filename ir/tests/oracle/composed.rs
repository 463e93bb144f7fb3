//! Functions composed of exponentials, to about a hundred bits, for which there is no correctly rounded library.
//!
//! In: f64 arguments. Out: the f64 nearest to the exact value, or in one case of a thousand the one beside it.

use std::ops::{Add, Div, Mul, Neg};

/// The unevaluated sum of two f64.
#[derive(Clone, Copy)]
struct Two(f64, f64);

impl Two {
    fn value(self) -> f64 {
        self.0 + self.1
    }
}

impl From<f64> for Two {
    fn from(v: f64) -> Two {
        Two(v, 0.0)
    }
}

impl Neg for Two {
    type Output = Two;
    fn neg(self) -> Two {
        Two(-self.0, -self.1)
    }
}

impl Add for Two {
    type Output = Two;
    fn add(self, b: Two) -> Two {
        let s = self.0 + b.0;
        let part = s - self.0;
        let e = (self.0 - (s - part)) + (b.0 - part) + self.1 + b.1;
        Two(s + e, e - ((s + e) - s))
    }
}

impl Mul for Two {
    type Output = Two;
    fn mul(self, b: Two) -> Two {
        let p = self.0 * b.0;
        let e = self.0.mul_add(b.0, -p) + (self.0 * b.1 + self.1 * b.0);
        Two(p + e, e - ((p + e) - p))
    }
}

impl Div for Two {
    type Output = Two;
    fn div(self, b: Two) -> Two {
        let q = self.0 / b.0;
        let rest = self + -(Two::from(q) * b);
        Two::from(q) + Two::from((rest.0 + rest.1) / b.0)
    }
}

const ONE: Two = Two(1.0, 0.0);
const TWO: Two = Two(2.0, 0.0);
const SQRT_HALF: Two = Two(std::f64::consts::FRAC_1_SQRT_2, -4.833646656726457e-17);
/// 2 √(2/π).
const LINEAR: Two = Two(1.5957691216057308, -9.96930880911092e-17);
const CUBIC: Two = Two(0.044715, 2.1960211427085595e-18);

/// Below this, functions of e^x are that or 0.
const LOWEST: f64 = -700.0;

pub(super) fn sigmoid(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    times_sigmoid(1.0, Two(x.clamp(-800.0, 800.0), 0.0))
}

pub(super) fn silu(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 || x == f64::INFINITY {
        return x;
    }
    times_sigmoid(x.max(-800.0), Two(x.max(-800.0), 0.0))
}

pub(super) fn gelu_tanh(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 || x.abs() > 100.0 {
        return if x < 0.0 { -0.0 } else { x };
    }
    let t = Two::from(x);
    let v = t * LINEAR * (ONE + CUBIC * t * t);
    times_sigmoid(x, v)
}

/// x / (1 + e^−v).
fn times_sigmoid(x: f64, v: Two) -> f64 {
    if v.0 < LOWEST {
        // The quotient's denominator is e^−v but for 10⁻³⁰⁰.
        let (power, scale) = (exp(Two(v.0 + 64.0, 0.0) + Two(v.1, 0.0)), exp(Two(-64.0, 0.0)));
        return round_once(power * Two::from(x), scale).copysign(x);
    }
    if v.0 > -LOWEST {
        return x;
    }
    let w = exp(Two(-v.0.abs(), if v.0 > 0.0 { -v.1 } else { v.1 }));
    let n = if v.0 < 0.0 { w } else { ONE };
    (Two::from(x) * n / (ONE + w)).value()
}

/// a · b where the product may be subnormal, by way of a greater number; the sign of zeros is lost.
fn round_once(a: Two, b: Two) -> f64 {
    let up = 2f64.powi(200);
    let p = Two(a.0 * up, a.1 * up) * b;
    // 2⁻²⁰⁰ times a two-word number: the low word decides ties by moving the high one to odd.
    let (hi, lo) = (p.0, p.1);
    let bits = hi.to_bits();
    let odd = if lo != 0.0 && bits & 1 == 0 {
        let toward_zero = (lo > 0.0) != (hi > 0.0);
        f64::from_bits(if toward_zero { bits - 1 } else { bits + 1 })
    } else {
        hi
    };
    odd * 2f64.powi(-200)
}

pub(super) fn softplus(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x < LOWEST || x == f64::INFINITY {
        return core_math::exp(x);
    }
    (Two::from(x.max(0.0)) + log1p_exp(Two(-x.abs(), 0.0))).value()
}

pub(super) fn logaddexp(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let (high, low) = (x.max(y), x.min(y));
    // ln 1 is +0.
    if high.is_infinite() || low == f64::NEG_INFINITY {
        return high + 0.0;
    }
    let d = Two::from(low) + -Two::from(high);
    if d.0.is_nan() || d.0 <= LOWEST {
        return high + core_math::exp(low - high);
    }
    (Two::from(high) + log1p_exp(d)).value()
}

/// ln(1 + eᵈ) for d ≤ 0, by one step of Newton's method from the f64 value.
fn log1p_exp(d: Two) -> Two {
    if d.0 < LOWEST {
        return Two::from(core_math::exp(d.0));
    }
    let w = exp(d);
    let y = core_math::log1p(w.0);
    // e^−y (1 + w) − 1 where e^−y − 1 is computed apart, so that nothing is lost of a small w.
    let less = expm1(-y);
    Two::from(y) + (less + w + less * w)
}

pub(super) fn mish(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 || x > 700.0 {
        return x;
    }
    if x < LOWEST {
        let x = x.max(-800.0);
        return round_once(exp(Two(x + 64.0, 0.0)) * Two::from(x), exp(Two(-64.0, 0.0))).copysign(x);
    }
    let w = exp(Two(-x.abs(), 0.0));
    let (n, d) = if x < 0.0 {
        let n = w * (w + TWO);
        (n, n + TWO)
    } else {
        let n = ONE + w + w;
        (n, n + TWO * w * w)
    };
    (Two::from(x) * n / d).value()
}

/// x Φ(x); erfc of the f64 nearest to −x/√2, moved by the tangent to the exact place.
pub(super) fn gelu(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 || x > 40.0 {
        return x;
    }
    if x < -40.0 {
        return -0.0;
    }
    if x < -30.0 {
        return gelu_tail(x);
    }
    let z = -(Two::from(x) * SQRT_HALF);
    let slope = core_math::exp(-z.0 * z.0) * -std::f64::consts::FRAC_2_SQRT_PI;
    let erfc = core_math::erfc(z.0);
    (Two::from(x * 0.5) * (Two::from(erfc) + Two::from(slope * z.1))).value()
}

/// −e^(−x²/2) / √(2π) · (1 − 1/x² + 3/x⁴ − 15/x⁶ …), whose terms shrink by a hundred and more.
fn gelu_tail(x: f64) -> f64 {
    let square = Two::from(x) * Two::from(x);
    let (mut term, mut sum) = (ONE, ONE);
    for i in 1..12 {
        term = -(term * Two::from((2 * i - 1) as f64) / square);
        sum = sum + term;
    }
    let half = Two(square.0 * -0.25, square.1 * -0.25);
    round_once(-(exp(half) * sum * LINEAR * Two::from(0.25)), exp(half)).copysign(-0.0)
}

/// eˣ for x from −745 to 0 and a little: e^h by squaring, where h is x rounded to 1/1024, times e^(x − h) by Taylor's series.
fn exp(x: Two) -> Two {
    let n = (x.0 * 1024.0).round();
    let rest = Two::from(x.0 - n / 1024.0) + Two::from(x.1);
    if n < -1024.0 * 640.0 {
        // In two parts, so that the low words are no subnormal numbers for long.
        return exp(Two(x.0 * 0.5, x.1 * 0.5)) * exp(Two(x.0 * 0.5, x.1 * 0.5));
    }
    power_of_e(n) * (ONE + taylor(rest))
}

/// eˣ − 1.
fn expm1(x: f64) -> Two {
    if x.abs() < 0.01 {
        return taylor(Two::from(x));
    }
    exp(Two::from(x)) + Two::from(-1.0)
}

/// eˣ − 1 for a small x.
fn taylor(x: Two) -> Two {
    let (mut term, mut sum) = (x, x);
    for i in 2..20 {
        term = term * x / Two::from(i as f64);
        sum = sum + term;
    }
    sum
}

/// e^(n / 1024), by repeated squaring (n ≤ 0).
fn power_of_e(n: f64) -> Two {
    let mut base = ONE + taylor(Two::from(-1.0 / 1024.0));
    let mut p = ONE;
    let mut rest = (-n) as u64;
    while rest > 0 {
        if rest & 1 == 1 {
            p = p * base;
        }
        base = base * base;
        rest >>= 1;
    }
    p
}

/// The same in plain f64, exact far beyond an f32; NaN at some special values.
pub(super) mod quick {
    pub(crate) fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + core_math::exp(-x))
    }

    pub(crate) fn silu(x: f64) -> f64 {
        x * sigmoid(x)
    }

    pub(crate) fn softplus(x: f64) -> f64 {
        x.max(0.0) + core_math::log1p(core_math::exp(-x.abs()))
    }

    pub(crate) fn logaddexp(x: f64, y: f64) -> f64 {
        x.max(y) + core_math::log1p(core_math::exp(-(x - y).abs()))
    }

    pub(crate) fn gelu(x: f64) -> f64 {
        x * 0.5 * core_math::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    }

    pub(crate) fn gelu_tanh(x: f64) -> f64 {
        x * sigmoid(super::LINEAR.0 * (x + super::CUBIC.0 * x * x * x))
    }

    pub(crate) fn mish(x: f64) -> f64 {
        let w = core_math::exp(x.min(40.0));
        let n = w * (w + 2.0);
        x * n / (n + 2.0)
    }
}
