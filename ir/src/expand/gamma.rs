//! The gamma function and its logarithm; those of f32 are computed in f64.
//!
//! With a = |x| and z = a or, below 7, a + 7: ln Γ(z) = (z − ½) ln z − z + ½ ln 2π + p(1/z²)/z (Stirling's series), from which
//! Γ(a) is found by the product P = a (a + 1) … (a + 6), and Γ(−a) = −π / (a sin(πa) Γ(a)). For f64 each of these is in two
//! words ([`super::gamma_f64`]).

use super::coefficients::{LGAMMA_FAR_F32, LGAMMA_NEAR_F32, SIN_HALF_TURN, SIN_HALF_TURN_F64, STIRLING};
use super::exp::clamp;
use super::format::F64;
use super::gamma_f64;
use super::log;
use super::narrow;
use super::value::Value;
use crate::dtype::Dtype;

const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Γ(x).
pub(super) fn gamma(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => gamma_f64::gamma(x),
        _ => gamma_f32(x),
    }
}

/// ln |Γ(x)|.
pub(super) fn lgamma(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => gamma_f64::lgamma(x),
        _ => lgamma_f32(x),
    }
}

fn gamma_f32(x: Value<'_>) -> Value<'_> {
    let wide = x.cast(Dtype::F64);
    // Beyond 50 the function overflows or vanishes; only sin πx needs x itself.
    let a = clamp(wide.abs(), 0.0, 50.0);
    let Shifted { z, product } = shifted(a);
    let power = narrow::exp(stirling(z, narrow::ln(z)));
    let turn = wide - wide.round();
    let sine = turn * (turn * turn).poly(&SIN_HALF_TURN);
    let odd = (wide.round() + F64.magic).bits() << 63;
    let sine = (sine.bits() ^ odd).bitcast(Dtype::F64);
    // sin πx = −sin πa.
    let negative = wide.lt(0.0);
    let num = negative.select(product * std::f64::consts::PI, power);
    let den = negative.select(sine * a * power, product);
    let value = (num / den).cast(Dtype::F32);
    let value = (negative & turn.eq(0.0)).select(x.constant(f64::NAN), value);
    let value = x.eq(0.0).select(1.0 / x, value);
    let value = x.eq(f64::INFINITY).select(x, value);
    x.eq(f64::NEG_INFINITY).select(x.constant(f64::NAN), value)
}

/// All but positive normal numbers are left to a seldom taken branch.
fn lgamma_f32(x: Value<'_>) -> Value<'_> {
    let wide = x.cast(Dtype::F64);
    let Pieces {
        is_far,
        t,
        factors,
        summand,
        weight,
    } = pieces(wide);
    let w = 1.0 / wide;
    let series = w.fma((w * w).poly(&LGAMMA_FAR_F32), HALF_LN_TAU) - wide;
    let near = t * (t + 1.0) * t.poly(&LGAMMA_NEAR_F32);
    let ln = narrow::ln(factors[0].fma(factors[1], summand));
    let value = weight.fma(ln, is_far.select(series, near));
    log::is_outside(x, f64::from(f32::MIN_POSITIVE))
        .rare(lgamma_reflected(wide), value)
        .cast(Dtype::F32)
}

/// What ln Γ(a) is made of for a > 0. From 4¼ on it is Stirling's series with the logarithm of q = a. Below, t is a less the
/// nearest integer, or what lies up to ¾ below one, and ln Γ(a) = ln Γ(2 + t) ± ln q, for the product q of the numbers between:
/// ln Γ(2 + t) is t (t + 1) times a polynomial, and q is 1 between 1¼ and 2¼, where ln Γ goes through 0 or nearly so.
pub(super) struct Pieces<'a> {
    pub(super) is_far: Value<'a>,
    pub(super) t: Value<'a>,
    /// q is the product of these, which are exact, and a summand.
    pub(super) factors: [Value<'a>; 2],
    pub(super) summand: Value<'a>,
    /// What the logarithm is multiplied by.
    pub(super) weight: Value<'a>,
}

pub(super) fn pieces(a: Value<'_>) -> Pieces<'_> {
    let [zero, one] = [0.0, 1.0].map(|v| a.constant(v));
    let is_far = a.ge(4.25);
    let below = a.lt(1.25);
    // Here q = a (a + 1).
    let first = a.lt(0.25);
    let above = a.ge(2.25).select(a - 1.0, one);
    let second = a.ge(3.25).select(a - 2.0, one);
    Pieces {
        is_far,
        t: a - (a + 0.75).floor(),
        factors: [
            (is_far | below).select(a, above),
            is_far.select(one, first.select(a, second)),
        ],
        summand: first.select(a, zero),
        weight: is_far.select(a - 0.5, below.select(a.constant(-1.0), one)),
    }
}

/// Its zeros below −2 lie between the numbers, and the error of the f64 sum is below an ulp of the least value beside them.
fn lgamma_reflected(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let Shifted { z, product } = shifted(a);
    let stirling = stirling(z, log::ln(z));
    let turn = a - a.round();
    let sine = (turn * (turn * turn).poly(&SIN_HALF_TURN_F64)).abs();
    let negative = x.lt(0.0);
    // ln Γ(a) = S − ln P, and ln |Γ(−a)| = ln (π P / (a |sin πa|)) − S.
    let num = negative.select(product * std::f64::consts::PI, a.constant(1.0));
    let den = negative.select(a * sine, product);
    let ratio = log::ln(num / den);
    let value = ratio + negative.select(-stirling, stirling);
    // At 0 and the negative integers, and at both infinities, it is ∞.
    let pole = (x.le(0.0) & turn.eq(0.0)) | a.eq(f64::INFINITY);
    pole.select(a.constant(f64::INFINITY), value)
}

/// z and the product P with Γ(a) = Γ(z) / P.
struct Shifted<'a> {
    z: Value<'a>,
    product: Value<'a>,
}

fn shifted(a: Value<'_>) -> Shifted<'_> {
    let small = a.lt(7.0);
    let product = (1..7).fold(a, |product, i| product * (a + f64::from(i)));
    Shifted {
        z: small.select(a + 7.0, a),
        product: small.select(product, 1.0),
    }
}

/// ln Γ(z) for z ≥ 7 and its logarithm.
fn stirling<'a>(z: Value<'a>, ln: Value<'a>) -> Value<'a> {
    let w = 1.0 / z;
    let series = w * (w * w).poly(&STIRLING);
    (z - 0.5).fma(ln, (series + HALF_LN_TAU) - z)
}
