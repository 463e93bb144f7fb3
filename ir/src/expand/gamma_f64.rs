//! The gamma function of f64 and its logarithm, in two words throughout; the formulas are those of [`super::gamma`].

use super::coefficients::{COSPI_F64, LGAMMA_FAR_F64, LGAMMA_NEAR_F64, LN_TAIL_F64, PI_WORDS_F64};
use super::coefficients::{SINPI_F64, STIRLING, STIRLING_CONSTANT_F64};
use super::exp::reduce;
use super::format::F64;
use super::gamma::{Pieces, pieces};
use super::log::{self, Split};
use super::pow::ln_words;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product, two_sum};
use crate::dtype::Dtype;

/// Below this Γ(a) is 1/a.
const TINY: f64 = 1.0 / (1u64 << 60) as f64;
/// Beyond this Γ is rounded to ∞, and between the integers below its negative to 0.
const GAMMA_OVERFLOWS: f64 = 200.0;
/// Beyond this ln Γ is rounded to ∞.
const LGAMMA_OVERFLOWS: f64 = 2.559_983_327_851_638_3e305;

/// Γ(x). Numbers below 0, very small and very great ones are left to a seldom taken branch.
pub(super) fn gamma(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let Shifted {
        b,
        rest,
        is_small,
        power,
    } = shifted(a);
    let reduced = reduce(power.hi);
    let product = rest.times_one(is_small.select(b, 1.0));
    let quotient = reduced.exp_words(Some(power.lo)).over(product);
    // The factors of two come last, as only with them the quotient may overflow or be subnormal.
    let (s1, s2) = reduced.scales();
    let value = quotient.sum() * s1 * s2;
    let reflected = gamma_reflected(x, quotient, reduced.inverse_scales());
    log::is_outside_of(x, TINY, GAMMA_OVERFLOWS).rare(reflected, value)
}

/// Γ(x), given Γ(|x|) but for powers of two, whose reciprocals these are: −π / (x sin πx Γ(−x)) for x < 0. Near 0 it
/// is 1/x, and far from it it overflows or, between the negative integers, vanishes.
fn gamma_reflected<'a>(x: Value<'a>, value: Words<'a>, (s1, s2): (Value<'a>, Value<'a>)) -> Value<'a> {
    let turn = Turn::of(x);
    let (pi, pi_lo) = PI_WORDS_F64;
    let minus_pi = Words {
        hi: x.constant(-pi),
        lo: x.constant(-pi_lo),
    };
    let quotient = minus_pi.over(turn.sine.times_one(x).times(value)).sum() * s1 * s2;
    let quotient = x.lt(-GAMMA_OVERFLOWS).select(turn.sine.hi * 0.0, quotient);
    let value = (turn.odd.bits() ^ quotient.bits()).bitcast(Dtype::F64);
    let value = turn.is_whole.select(x.constant(f64::NAN), value);
    let value = x.gt(0.0).select(x.constant(f64::INFINITY), value);
    let value = x.eq(f64::NEG_INFINITY).select(x.constant(f64::NAN), value);
    (x * x).lt(TINY * TINY).select(1.0 / x, value)
}

/// ln |Γ(x)|. Numbers below 0, very small and very great ones are left to a seldom taken branch.
pub(super) fn lgamma(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let value = lgamma_words(a);
    log::is_outside_of(x, TINY, LGAMMA_OVERFLOWS).rare(lgamma_reflected(a, value), value.sum())
}

/// ln Γ(a) for a from [`TINY`] to [`LGAMMA_OVERFLOWS`]; the sums are ordered so that none overflows.
fn lgamma_words(a: Value<'_>) -> Words<'_> {
    let Pieces {
        is_far,
        t,
        factors: [first, second],
        summand,
        weight,
    } = pieces(a);
    let q = first.fma(second, summand);
    let q_lo = first.fma(second, summand - q);
    let w = 1.0 / q;
    let ln = ln_words_short(q);
    // Stirling's series as (a − ½) (ln a − 1) + (½ ln 2π − ½) + p(1/a²)/a.
    let slope = fast_two_sum(ln.hi, is_far.select(a.constant(-1.0), 0.0));
    let slope_lo = slope.lo + q_lo.fma(w, ln.lo);
    let far = w.fma((w * w).poly(&LGAMMA_FAR_F64), STIRLING_CONSTANT_F64.0);
    let zeros = two_product(t, t + 1.0);
    let p = t.poly(&LGAMMA_NEAR_F64);
    let near = two_product(zeros.hi, p);
    let rest = is_far.select(a.constant(0.0), zeros.lo.fma(p, near.lo));
    let main = two_product(weight, slope.hi);
    let sum = two_sum(main.hi, is_far.select(far, near.hi));
    Words {
        hi: sum.hi,
        lo: sum.lo + (rest + weight.fma(slope_lo, main.lo)),
    }
}

/// ln |Γ(x)| given that of a = |x|: for x < 0 it is −ln(a |sin πa| / π) − ln Γ(a). Between its zeros below −2 the error is that of
/// a sum which cancels, about 2⁻⁵³. The order of the sums is that which holds the fewest values.
fn lgamma_reflected<'a>(a: Value<'a>, value: Words<'a>) -> Value<'a> {
    let sine = Turn::of(a).sine;
    let (pi, pi_lo) = PI_WORDS_F64;
    let pi = Words {
        hi: a.constant(pi),
        lo: a.constant(pi_lo),
    };
    let quotient = sine.signed(sine.hi.lt(0.0)).times_one(a).over(pi);
    let infinite = a.gt(LGAMMA_OVERFLOWS);
    // Near 0 it is −ln a, of an a that may be subnormal.
    let tiny = a.lt(TINY);
    let scale = 64.0;
    let constant = |value: f64| a.constant(value);
    let argument = Words {
        hi: tiny.select(a * 2f64.powf(scale), infinite.select(constant(0.0), quotient.hi)),
        lo: tiny.select(constant(0.0), quotient.lo),
    };
    let scaled = Words {
        hi: constant(-scale * F64.ln2_hi),
        lo: constant(-scale * F64.ln2_lo),
    };
    let value = Words::select(tiny, scaled, value);
    let low = argument.lo / argument.hi;
    let ln = ln_words_short(argument.hi);
    let sum = two_sum(-ln.hi, -value.hi);
    let value = (-((low + ln.lo) + value.lo) + sum.lo) + sum.hi;
    // The sine of an integer is 0.
    argument.hi.eq(0.0).select(constant(f64::INFINITY), value)
}

/// ln a for a positive normal a in two words, to about 2⁻⁵⁹ of it: ln m = 2s + s³ t(s²) with s = (m − 1) / (m + 1), where only
/// the first term needs two words.
fn ln_words_short(a: Value<'_>) -> Words<'_> {
    let Split { exponent: e, m } = log::split_normal(a, std::f64::consts::FRAC_1_SQRT_2);
    let f = m - 1.0;
    let d = m + 1.0;
    let d_lo = m - (d - 1.0);
    let reciprocal = 1.0 / d;
    let s = f * reciprocal;
    let rest = (-s).fma(d_lo, (-s).fma(d, f));
    let z = s * s;
    let low = (s * z).fma(z.poly(&LN_TAIL_F64), rest * (reciprocal + reciprocal));
    // e ln 2 is zero or the larger term.
    let sum = fast_two_sum(e * F64.ln2_hi, s + s);
    fast_two_sum(sum.hi, sum.lo + e.fma(F64.ln2_lo, low))
}

impl<'a> Words<'a> {
    /// The product with one word.
    fn times_one(self, b: Value<'a>) -> Words<'a> {
        let p = two_product(self.hi, b);
        Words {
            hi: p.hi,
            lo: self.lo.fma(b, p.lo),
        }
    }

    fn select(condition: Value<'a>, yes: Words<'a>, no: Words<'a>) -> Words<'a> {
        Words {
            hi: condition.select(yes.hi, no.hi),
            lo: condition.select(yes.lo, no.lo),
        }
    }

    /// The negative where `minus` is true.
    fn signed(self, minus: Value<'a>) -> Words<'a> {
        Words {
            hi: minus.select(-self.hi, self.hi),
            lo: minus.select(-self.lo, self.lo),
        }
    }
}

/// The product P of Γ(a) = Γ(z) / P but for its first factor a, which it has if a is small, and ln Γ(z).
struct Shifted<'a> {
    /// a if it is small, else 0.
    b: Value<'a>,
    rest: Words<'a>,
    is_small: Value<'a>,
    power: Words<'a>,
}

fn shifted(a: Value<'_>) -> Shifted<'_> {
    let is_small = a.lt(7.0);
    let b = is_small.select(a, 0.0);
    let factors = (1..7).map(|i| two_sum(b.constant(f64::from(i)), b));
    let rest = factors.reduce(|product, factor| {
        let p = product.times(factor);
        fast_two_sum(p.hi, p.lo)
    });
    let [zero, one] = [0.0, 1.0].map(|v| a.constant(v));
    let z = two_sum(b.constant(7.0), b);
    let z = Words::select(is_small, z, Words { hi: a, lo: zero });
    let rest = rest.expect("there are six factors");
    Shifted {
        b,
        rest: Words::select(is_small, rest, Words { hi: one, lo: zero }),
        is_small,
        power: stirling(z),
    }
}

/// (z − ½) (ln z − 1) + (½ ln 2π − ½) + p(1/z²)/z: no term overflows unless the result does.
fn stirling(z: Words<'_>) -> Words<'_> {
    let ln = ln_words(z.hi);
    let slope = fast_two_sum(ln.hi, ln.hi.constant(-1.0));
    let slope_lo = slope.lo + ln.lo;
    let w = 1.0 / z.hi;
    let series = w * (w * w).poly(&STIRLING);
    let weight = z.hi - 0.5;
    let main = two_product(weight, slope.hi);
    let (constant, constant_lo) = STIRLING_CONSTANT_F64;
    let sum = two_sum(main.hi, main.hi.constant(constant));
    // The low word of z times the slope of ln Γ, which is ln z − 1/(2z) and less.
    let moved = z.lo * w.fma(-0.5, ln.hi);
    let low = weight.fma(slope_lo, main.lo) + (sum.lo + (series + constant_lo)) + moved;
    fast_two_sum(sum.hi, low)
}

/// sin πx, less the sign that the integer nearest to x gives it.
struct Turn<'a> {
    sine: Words<'a>,
    /// That sign: the float of this sign bit.
    odd: Value<'a>,
    is_whole: Value<'a>,
}

impl<'a> Turn<'a> {
    fn of(x: Value<'a>) -> Turn<'a> {
        let whole = x.round();
        let f = x - whole;
        let g = 0.5 - f.abs();
        let (pi, pi_lo) = PI_WORDS_F64;
        // Up to ¼ of half a turn by the sine, beyond by the cosine.
        let s = f * f;
        let linear = two_product(f, f.constant(pi));
        let sine = Words {
            hi: linear.hi,
            lo: (f * s).fma(s.poly(&SINPI_F64), f.fma(pi_lo, linear.lo)),
        };
        let c = g * g;
        let cosine = fast_two_sum(f.constant(1.0), c * c.poly(&COSPI_F64));
        let cosine = cosine.signed(f.lt(0.0));
        let near = f.abs().le(0.25);
        let chosen = Words::select(near, sine, cosine);
        Turn {
            sine: fast_two_sum(chosen.hi, chosen.lo),
            odd: ((whole + F64.magic).bits() << 63).bitcast(Dtype::F64),
            is_whole: f.eq(0.0),
        }
    }
}
