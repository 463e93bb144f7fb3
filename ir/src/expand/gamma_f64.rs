//! The gamma function of f64 and its logarithm, in two words throughout; the formulas are those of [`super::gamma`].

use super::coefficients::{COSPI_F64, LGAMMA_NEAR_F64, PI_WORDS_F64, SINPI_F64, STIRLING, STIRLING_CONSTANT_F64};
use super::exp::{clamp, reduce};
use super::format::F64;
use super::pow::ln_words;
use super::value::Value;
use super::words::{Words, fast_two_sum, two_product, two_sum};
use crate::dtype::Dtype;

/// Beyond this ln Γ is rounded to ∞.
const LGAMMA_OVERFLOWS: f64 = 2.559_983_327_851_638_3e305;

/// Γ(x). Near 0 it is 1/x, and beyond 200 it overflows or, between the negative integers, vanishes.
pub(super) fn gamma(x: Value<'_>) -> Value<'_> {
    let a = clamp(x.abs(), 0.0, 200.0);
    let negative = x.lt(0.0);
    let Shifted { product, stirling, .. } = shifted(a);
    // The power's factors of two come last, as only with them the quotient may overflow or be subnormal.
    let power = stirling.signed(negative);
    let reduced = reduce(power.hi);
    let n = reduced.exp_words(Some(power.lo));
    let turn = Turn::of(x);
    let (pi, pi_lo) = PI_WORDS_F64;
    let pi = Words {
        hi: x.constant(pi),
        lo: x.constant(pi_lo),
    };
    // P has the factor a below 7 only, where it cancels.
    let one = Words::one(x);
    let numerator = Words::select(negative, product.rest.times(pi), one).times(n);
    let divisor = Words::select(
        product.has_a,
        one,
        Words {
            hi: a,
            lo: x.constant(0.0),
        },
    )
    .times(turn.sine);
    let whole = Words::select(
        product.has_a,
        product.rest.times(Words {
            hi: a,
            lo: x.constant(0.0),
        }),
        one,
    );
    let quotient = numerator.over(Words::select(negative, divisor, whole)).sum();
    let (s1, s2) = reduced.scales();
    let value = quotient * s1 * s2;
    let value = (turn.odd.bits() ^ value.bits()).bitcast(Dtype::F64);
    let value = negative.select(value, quotient * s1 * s2);
    let nan = x.constant(f64::NAN);
    let value = (negative & turn.is_whole).select(nan, value);
    let value = x.abs().lt(f64::powi(2.0, -60)).select(1.0 / x, value);
    let value = x.eq(f64::INFINITY).select(x, value);
    (x.eq(f64::NEG_INFINITY) | x.ne(x)).select(nan, value)
}

/// ln |Γ(x)|. Between its zeros below −2 the error is that of a sum which cancels, about 2⁻⁵³.
pub(super) fn lgamma(x: Value<'_>) -> Value<'_> {
    let a = x.abs();
    let negative = x.lt(0.0);
    let Shifted { product, stirling, .. } = shifted(a);
    let turn = Turn::of(x);
    let sine = turn.sine.signed(turn.sine.hi.lt(0.0));
    let one = Words::one(x);
    let factor = Words {
        hi: product.has_a.select(one.hi, a),
        lo: one.lo,
    };
    let (pi, pi_lo) = PI_WORDS_F64;
    let pi = Words {
        hi: x.constant(pi),
        lo: x.constant(pi_lo),
    };
    // ln Γ(a) = S − ln P and ln |Γ(−a)| = −S − ln (a |sin πa| / (π P)).
    let reflected = factor.times(sine).over(product.rest.times(pi));
    let whole = Words::select(product.has_a, product.rest.times(Words { hi: a, lo: one.lo }), one);
    let divisor = Words::select(negative, reflected, whole);
    // Near 0 it is −ln a, of an a that may be subnormal and so bears no multiplication.
    let tiny = a.lt(f64::powi(2.0, -60));
    let nothing = x.constant(0.0);
    let divisor = Words::select(tiny, Words { hi: a, lo: nothing }, divisor);
    let divisor = fast_two_sum(divisor.hi, divisor.lo);
    let ln = ln_words(divisor.hi);
    let low = divisor.lo / divisor.hi;
    let power = stirling.signed(negative);
    let power = Words::select(
        tiny,
        Words {
            hi: nothing,
            lo: nothing,
        },
        power,
    );
    let sum = two_sum(power.hi, -ln.hi);
    let far = sum.hi + (sum.lo + (power.lo - (ln.lo + low)));
    let t = x - 1.5;
    let second = fast_two_sum(x.constant(-2.0), x);
    let first = x - 1.0;
    let zeros = two_product(first, second.hi);
    let p = t.poly(&LGAMMA_NEAR_F64);
    let near = zeros.hi.fma(p, first.fma(second.lo, zeros.lo) * p);
    let is_near = x.gt(0.85) & x.lt(2.25);
    let value = is_near.select(near, far);
    let infinite = (x.le(0.0) & turn.is_whole) | a.gt(LGAMMA_OVERFLOWS);
    let value = infinite.select(x.constant(f64::INFINITY), value);
    x.ne(x).select(x, value)
}

impl<'a> Words<'a> {
    fn one(like: Value<'a>) -> Words<'a> {
        Words {
            hi: like.constant(1.0),
            lo: like.constant(0.0),
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

/// The product P of Γ(a) = Γ(z) / P but for its first factor, and whether it has that, a.
struct Product<'a> {
    rest: Words<'a>,
    has_a: Value<'a>,
}

/// The product, and ln Γ(z) in two words.
struct Shifted<'a> {
    product: Product<'a>,
    stirling: Words<'a>,
}

fn shifted(a: Value<'_>) -> Shifted<'_> {
    let small = a.lt(7.0);
    let b = small.select(a, 0.0);
    let factors = (1..7).map(|i| two_sum(b.constant(f64::from(i)), b));
    let rest = factors.reduce(|product, factor| {
        let p = product.times(factor);
        fast_two_sum(p.hi, p.lo)
    });
    let z = two_sum(b.constant(7.0), b);
    let z = Words::select(
        small,
        z,
        Words {
            hi: a,
            lo: a.constant(0.0),
        },
    );
    let one = Words::one(a);
    Shifted {
        product: Product {
            rest: Words::select(small, rest.expect("there are six factors"), one),
            has_a: small,
        },
        stirling: stirling(z),
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
