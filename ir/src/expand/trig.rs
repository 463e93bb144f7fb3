//! Sine and cosine.
//!
//! Both reduce x to quarter turns, x · 2/π = n + f with |f| ≤ 1/2, for every finite x by Payne and Hanek's method (*Radian
//! reduction for trigonometric functions*, 1983): digits of 2/π whose product with x is a multiple of 4 quarter turns are
//! left out, so a window of them is enough, chosen by the exponent of x. A function of the IR cannot branch, hence there is
//! no shorter way for small x; the window is chosen by `select`s among a few wide ones.

use super::coefficients::{COS_F64, COS_QUARTER, SIN_F64, SIN_QUARTER};
use super::coefficients::{TWO_OVER_PI_F32, TWO_OVER_PI_F32_FROM, TWO_OVER_PI_F64, TWO_OVER_PI_F64_FROM};
use super::format::F64;
use super::value::Value;
use crate::dtype::Dtype;

/// sin x.
pub(super) fn sin(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => {
            // So small an x is its own sine, and its product with 2/π might underflow.
            let tiny = x.abs().lt(f64::from_bits((1023 - 27) << 52));
            tiny.select(x, turn_f64(x, 0))
        }
        _ => turn_f32(x, 0),
    }
}

/// cos x, which is the sine a quarter turn on.
pub(super) fn cos(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => turn_f64(x, 1),
        _ => turn_f32(x, 1),
    }
}

/// The sine of an f32 `ahead` quarter turns on, computed in f64.
///
/// Three words of 2/π, of 29, 29 and 53 digits: the first two products are exact and are reduced modulo 4. The error of f is
/// below 2⁻⁵⁹, where no f32 but 0 comes nearer to a multiple of π/2 than 2⁻³⁰. 47 ops, 0.51 ulp.
fn turn_f32(x: Value<'_>, ahead: i64) -> Value<'_> {
    let wide = x.cast(Dtype::F64);
    let [c0, c1, c2] = window(wide, &TWO_OVER_PI_F32_FROM, &TWO_OVER_PI_F32);
    // 1.5 · 2⁵⁴ is so large that adding it rounds to a multiple of 4.
    let fours = 4.0 * F64.magic;
    let p0 = wide * c0;
    let p1 = wide * c1;
    let p0 = p0 - ((p0 + fours) - fours);
    let p1 = p1 - ((p1 + fours) - fours);
    let shifted = (p0 + p1) + F64.magic;
    let n = shifted - F64.magic;
    let f = wide.fma(c2, (p0 - n) + p1);
    let s = f * f;
    let sine = f * s.poly(&SIN_QUARTER);
    let cosine = s.poly(&COS_QUARTER);
    quadrant(shifted, ahead, sine, cosine).cast(Dtype::F32)
}

/// The sine of an f64 `ahead` quarter turns on. 192 ops, 0.81 ulp.
fn turn_f64(x: Value<'_>, ahead: i64) -> Value<'_> {
    let Turn { n, f, f_lo } = quarter_turns_f64(x);
    // r + r_lo = (f + f_lo) π/2.
    let (half_pi, half_pi_lo) = (std::f64::consts::FRAC_PI_2, f64::from_bits(0x3c91_a626_3314_5c07));
    let r = f * half_pi;
    let r_lo = f.fma(half_pi, -r) + f.fma(half_pi_lo, f_lo * half_pi);
    let s = r * r;
    let half = s * 0.5;
    let base = 1.0 - half;
    let sine = r + (r * s).fma(s.poly(&SIN_F64), r_lo * base);
    let rest = (1.0 - base) - half;
    let cosine = base + (s * s).fma(s.poly(&COS_F64), (-r).fma(r_lo, rest));
    quadrant(n + F64.magic, ahead, sine, cosine)
}

/// The sine or the cosine of f, and its sign, as the quarter turns in the low bits of `shifted` say.
fn quadrant<'a>(shifted: Value<'a>, ahead: i64, sine: Value<'a>, cosine: Value<'a>) -> Value<'a> {
    let bits = shifted.bits();
    let turns = if ahead == 0 { bits } else { bits + ahead };
    let magnitude = (turns & 1).eq(0).select(sine, cosine);
    (magnitude.bits() ^ ((turns & 2) << 62)).bitcast(Dtype::F64)
}

/// x · 2/π = n + f + f_lo modulo 4, n a small integer.
struct Turn<'a> {
    n: Value<'a>,
    f: Value<'a>,
    f_lo: Value<'a>,
}

/// The reduction of an f64, by six words of 53 digits. The exact products p + e of x and each word stand like this, the
/// greater weights to the left, and are reduced modulo 4 where they can be that large:
///
/// ```text
/// p0  (a multiple of 4: dropped)
///     e0
///     p1    e1
///           p2    e2
///                 p3    e3
///                       p4    e4
///                             p5
/// ```
///
/// Each column is one sum: the first exact, the next three in two words. Columns meet the sum from the left, and each
/// addition's rounding error is kept, so nothing of f is lost even where x is as near to a multiple of π/2 as an f64 can be,
/// 2⁻⁶¹.
fn quarter_turns_f64(x: Value<'_>) -> Turn<'_> {
    let c = window(x, &TWO_OVER_PI_F64_FROM, &TWO_OVER_PI_F64);
    // The rows from the fourth on are scaled, so that their last words are no subnormal numbers.
    let scaled = x.abs().ge(power_of_two(TWO_OVER_PI_F64_FROM[2]));
    let x = x * scaled.select(x.constant(f64::from_bits((1023 - 400) << 52)), 1.0);
    let p: [Value<'_>; 6] = c.map(|word| x * word);
    let e: [Value<'_>; 5] = std::array::from_fn(|i| x.fma(c[i], -p[i]));
    let column0 = modulo_4(e[0]) + modulo_4(p[1]);
    let (column1, low1) = two_sum(modulo_4(e[1]), modulo_4(p[2]));
    let (column2, low2) = two_sum(modulo_4(e[2]), modulo_4(p[3]));
    let (column3, low3) = two_sum(e[3], p[4]);
    let column4 = e[4] + p[5];
    let whole = [column0, column1, column2].map(Value::round);
    let part0 = column0 - whole[0];
    let part1 = column1 - whole[1];
    let part2 = column2 - whole[2];
    let carry = (((part0 + part1) + part2) + column3).round();
    let mut f = part0 - carry;
    let mut f_lo = low3 + column4;
    for term in [part1, part2, low1, column3, low2] {
        let (sum, error) = two_sum(f, term);
        f = sum;
        f_lo = f_lo + error;
    }
    let n = ((whole[0] + whole[1]) + whole[2]) + carry;
    let high = f + f_lo;
    Turn {
        n,
        f: high,
        f_lo: f_lo - (high - f),
    }
}

/// p − 4k for the integer k that makes it least.
fn modulo_4(p: Value<'_>) -> Value<'_> {
    (p * 0.25).round().fma(-4.0, p)
}

/// a + b and its rounding error (Knuth's two-sum).
fn two_sum<'a>(a: Value<'a>, b: Value<'a>) -> (Value<'a>, Value<'a>) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// The words of the last row of the table whose exponent |x| reaches.
fn window<'a, const N: usize>(x: Value<'a>, from: &[u64], table: &[[f64; N]]) -> [Value<'a>; N] {
    let a = x.abs();
    let mut chosen = table[0].map(|word| x.constant(word));
    for (&exponent, words) in from.iter().zip(&table[1..]) {
        let reached = a.ge(power_of_two(exponent));
        for (word, &next) in chosen.iter_mut().zip(words) {
            *word = reached.select(x.constant(next), *word);
        }
    }
    chosen
}

/// 2^exponent.
fn power_of_two(exponent: u64) -> f64 {
    f64::from_bits((1023 + exponent) << 52)
}
