//! Sine, cosine and tangent.
//!
//! They reduce x to quarter turns, x = (n + f) π/2 with |f| ≤ 1/2 (f32: to half turns). For x of ordinary size n comes from a
//! product with 2/π, and n π/2 is taken off in three words (Cody and Waite, *Software Manual for the Elementary Functions*,
//! 1980). A huge x is reduced by Payne and Hanek's method (*Radian reduction for trigonometric functions*, 1983): digits of
//! 2/π whose product with x is a multiple of 4 quarter turns are left out, so a window of them is enough, chosen by the
//! exponent of x: by `select`s among a few wide ones.

use super::coefficients::{COS_F64, SIN_F64, SIN_HALF_TURN};
use super::coefficients::{ONE_OVER_PI_F32, ONE_OVER_PI_F32_FROM, TWO_OVER_PI_F64, TWO_OVER_PI_F64_FROM};
use super::format::F64;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product, two_sum};
use crate::dtype::Dtype;

/// From here on x is huge: its quarter turns have more than 30 bits.
const HUGE: f64 = 1_073_741_824.0;

/// sin x.
pub(super) fn sin(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => {
            let ordinary = sine_of(ordinary_angle(x), 0);
            // So small an x is its own sine, and its product with 2/π might underflow.
            let tiny = x.abs().lt(f64::from_bits((1023 - 27) << 52));
            is_huge(x).rare(sine_of(huge_angle(x), 0), tiny.select(x, ordinary))
        }
        _ => sine_f32(x, 0.0),
    }
}

/// cos x, which is the sine a quarter turn on.
pub(super) fn cos(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => is_huge(x).rare(sine_of(huge_angle(x), 1), sine_of(ordinary_angle(x), 1)),
        _ => sine_f32(x, 0.5),
    }
}

/// tan x.
pub(super) fn tan(x: Value<'_>) -> Value<'_> {
    match x.dtype() {
        Dtype::F64 => {
            let tiny = x.abs().lt(f64::from_bits((1023 - 27) << 52));
            let huge = tan_f64(huge_angle(x));
            is_huge(x).rare(huge, tiny.select(x, tan_f64(ordinary_angle(x))))
        }
        _ => {
            let huge = tan_f32(&huge_half_turns(x, 0.0), &huge_half_turns(x, 0.5));
            is_huge(x).rare(huge, tan_f32(&half_turns(x, 0.0), &half_turns(x, 0.5)))
        }
    }
}

fn is_huge(x: Value<'_>) -> Value<'_> {
    x.abs().ge(HUGE)
}

/// The sine of an f32 a quarter or no turn `ahead`, computed in f64: half turns need one polynomial where quarter turns need
/// two and a choice.
fn sine_f32<'a>(x: Value<'a>, ahead: f64) -> Value<'a> {
    let sine = |turn: HalfTurn<'a>| {
        let sine = turn.f * (turn.f * turn.f).poly(&SIN_HALF_TURN);
        (sine.bits() ^ (turn.n.bits() << 63))
            .bitcast(Dtype::F64)
            .cast(Dtype::F32)
    };
    is_huge(x).rare(sine(huge_half_turns(x, ahead)), sine(half_turns(x, ahead)))
}

/// tan x as the quotient of two sines, the second a quarter turn ahead, computed in f64: each is reduced by itself, so that
/// the one near 0 is exact.
fn tan_f32<'a>(sine: &HalfTurn<'a>, cosine: &HalfTurn<'a>) -> Value<'a> {
    let half_turn = |f: Value<'a>| f * (f * f).poly(&SIN_HALF_TURN);
    let quotient = half_turn(sine.f) / half_turn(cosine.f);
    let sign = (sine.n.bits() ^ cosine.n.bits()) << 63;
    (quotient.bits() ^ sign).bitcast(Dtype::F64).cast(Dtype::F32)
}

/// x / π + ahead = n + f modulo 2 in f64, |f| ≤ ½; the low bits of n's float hold the integer.
struct HalfTurn<'a> {
    n: Value<'a>,
    f: Value<'a>,
}

/// Two words of 1/π: the fused product with the first leaves f exact but for the second's share. Both are positive, so that
/// −0 stays what it is.
fn half_turns(x: Value<'_>, ahead: f64) -> HalfTurn<'_> {
    let (per_pi, per_pi_lo) = (
        f64::from_bits(0x3fd4_5f30_6dc9_c882),
        f64::from_bits(0x3c84_a7f0_9d5f_47d5),
    );
    let wide = x.cast(Dtype::F64);
    let n = match ahead {
        0.0 => wide.fma(per_pi, F64.magic),
        _ => wide.fma(per_pi, ahead) + F64.magic,
    };
    let whole = n - F64.magic;
    let rest = if ahead == 0.0 { -whole } else { ahead - whole };
    let f = wide.fma(per_pi_lo, wide.fma(per_pi, rest));
    HalfTurn { n, f }
}

/// Three words of 1/π, of 29, 29 and 53 digits: the first two products are exact and are reduced modulo 2. The error of f is
/// below 2⁻⁵⁸, where no f32 but 0 comes nearer to a multiple of π/2 than 2⁻³⁰.
fn huge_half_turns(x: Value<'_>, ahead: f64) -> HalfTurn<'_> {
    let wide = x.cast(Dtype::F64);
    let [c0, c1, c2] = window(wide, &ONE_OVER_PI_F32_FROM, &ONE_OVER_PI_F32);
    // 1.5 · 2⁵³ is so large that adding it rounds to a multiple of 2.
    let twos = 2.0 * F64.magic;
    let p0 = wide * c0;
    let p1 = wide * c1;
    let p0 = p0 - ((p0 + twos) - twos);
    let p1 = p1 - ((p1 + twos) - twos);
    let p0 = if ahead == 0.0 { p0 } else { p0 + ahead };
    let n = (p0 + p1) + F64.magic;
    let f = wide.fma(c2, (p0 - (n - F64.magic)) + p1);
    HalfTurn { n, f }
}

/// tan x as the quotient of the two-word sine and cosine, or of the negated cosine and the sine.
fn tan_f64(angle: Angle<'_>) -> Value<'_> {
    let Circle { sine, cosine } = circle_f64(&angle);
    let sine = fast_two_sum(sine.hi, sine.lo);
    let cosine = fast_two_sum(cosine.hi, cosine.lo);
    let bits = angle.n.bits();
    let even = (bits & 1).eq(0);
    let num = Words {
        hi: even.select(sine.hi, cosine.hi),
        lo: even.select(sine.lo, cosine.lo),
    };
    let den = Words {
        hi: even.select(cosine.hi, sine.hi),
        lo: even.select(cosine.lo, sine.lo),
    };
    let magnitude = num.over(den).sum();
    (magnitude.bits() ^ (bits << 63)).bitcast(Dtype::F64)
}

/// x = n π/2 + r + r_lo modulo 2π, |r| ≤ π/4; the low bits of n's float hold the integer.
struct Angle<'a> {
    n: Value<'a>,
    r: Value<'a>,
    r_lo: Value<'a>,
}

/// π/2 in three words.
const HALF_PI: [f64; 3] = [
    std::f64::consts::FRAC_PI_2,
    f64::from_bits(0x3c91_a626_3314_5c07),
    f64::from_bits(0xb91f_1976_b7ed_8fbc),
];

/// The angle of an x below [`HUGE`]. Multiples of the first word of π/2 have the place of the last bit of x or a higher one, so
/// the first difference is exact; of the second word the product is kept in two, for x may be as near to a multiple of π/2
/// as 2⁻⁶².
fn ordinary_angle(x: Value<'_>) -> Angle<'_> {
    let n = x.fma(std::f64::consts::FRAC_2_PI, F64.magic);
    let minus = F64.magic - n;
    let exact = minus.fma(HALF_PI[0], x);
    let second = two_product(minus, minus.constant(HALF_PI[1]));
    let sum = two_sum(exact, second.hi);
    let low = sum.lo + minus.fma(HALF_PI[2], second.lo);
    let Words { hi: r, lo: r_lo } = fast_two_sum(sum.hi, low);
    Angle { n, r, r_lo }
}

/// The angle of any x.
fn huge_angle(x: Value<'_>) -> Angle<'_> {
    let Turn { n, f, f_lo } = quarter_turns_f64(x);
    let r = f * HALF_PI[0];
    let r_lo = f.fma(HALF_PI[0], -r) + f.fma(HALF_PI[1], f_lo * HALF_PI[0]);
    Angle {
        n: n + F64.magic,
        r,
        r_lo,
    }
}

/// The sine and the cosine of r + r_lo, each in two words that are still to be added.
struct Circle<'a> {
    sine: Words<'a>,
    cosine: Words<'a>,
}

fn circle_f64<'a>(angle: &Angle<'a>) -> Circle<'a> {
    let &Angle { r, r_lo, .. } = angle;
    let s = r * r;
    let half = s * 0.5;
    let base = 1.0 - half;
    let rest = (1.0 - base) - half;
    Circle {
        sine: Words {
            hi: r,
            lo: (r * s).fma(s.poly(&SIN_F64), r_lo * base),
        },
        cosine: Words {
            hi: base,
            lo: (s * s).fma(s.poly(&COS_F64), (-r).fma(r_lo, rest)),
        },
    }
}

/// The sine of an angle `ahead` quarter turns on: by its own sine or cosine, and its sign, as the quarter turns say.
fn sine_of(angle: Angle<'_>, ahead: i64) -> Value<'_> {
    let Circle { sine, cosine } = circle_f64(&angle);
    let bits = angle.n.bits();
    let turns = if ahead == 0 { bits } else { bits + ahead };
    let magnitude = (turns & 1).eq(0).select(sine.sum(), cosine.sum());
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
    let Words { hi: column1, lo: low1 } = two_sum(modulo_4(e[1]), modulo_4(p[2]));
    let Words { hi: column2, lo: low2 } = two_sum(modulo_4(e[2]), modulo_4(p[3]));
    let Words { hi: column3, lo: low3 } = two_sum(e[3], p[4]);
    let column4 = e[4] + p[5];
    let whole = [column0, column1, column2].map(Value::round);
    let part0 = column0 - whole[0];
    let part1 = column1 - whole[1];
    let part2 = column2 - whole[2];
    let carry = (((part0 + part1) + part2) + column3).round();
    let mut f = part0 - carry;
    let mut f_lo = low3 + column4;
    for term in [part1, part2, low1, column3, low2] {
        let sum = two_sum(f, term);
        f = sum.hi;
        f_lo = f_lo + sum.lo;
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

/// The words of the last row of the table whose exponent |x| reaches: by binary search, which holds as many conditions as the
/// row's number has binary digits.
fn window<'a, const N: usize>(x: Value<'a>, from: &[u64], table: &[[f64; N]]) -> [Value<'a>; N] {
    let a = x.abs();
    let last = table.len() - 1;
    let rows = table.len().next_power_of_two();
    let mut digits = Vec::new();
    let mut step = rows / 2;
    while step > 0 {
        // Where the upper half begins of what the digits so far leave.
        let halves = (step..rows).step_by(2 * step);
        let thresholds: Vec<f64> = halves
            .map(|row| from.get(row - 1).map_or(f64::INFINITY, |&e| power_of_two(e)))
            .collect();
        digits.push(a.ge(choose(x, &digits, &thresholds)));
        step /= 2;
    }
    std::array::from_fn(|word| {
        let column: Vec<f64> = (0..rows).map(|row| table[row.min(last)][word]).collect();
        choose(x, &digits, &column)
    })
}

/// The constant at the place with these binary digits, the highest first.
fn choose<'a>(like: Value<'a>, digits: &[Value<'a>], from: &[f64]) -> Value<'a> {
    match digits {
        [digit, lower @ ..] if from.iter().any(|v| *v != from[0]) => {
            let (low, high) = from.split_at(from.len() / 2);
            digit.select(choose(like, lower, high), choose(like, lower, low))
        }
        _ => like.constant(from[0]),
    }
}

/// 2^exponent.
fn power_of_two(exponent: u64) -> f64 {
    f64::from_bits((1023 + exponent) << 52)
}
