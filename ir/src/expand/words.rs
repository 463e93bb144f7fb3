//! Sums and products in two words, by which a result is rounded little more than once.
//!
//! In: values. Out: a value and what its rounding lost, as in Dekker, *A floating-point technique for extending the
//! available precision*, 1971, with a fused multiply-add in the place of his splitting.

use super::value::Value;

/// The unevaluated sum of a value and a much smaller one.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) hi: Value<'a>,
    pub(super) lo: Value<'a>,
}

/// a + b exactly, for |a| ≥ |b| or a = 0.
pub(super) fn fast_two_sum<'a>(a: Value<'a>, b: Value<'a>) -> Words<'a> {
    let hi = a + b;
    Words { hi, lo: b - (hi - a) }
}

/// a + b exactly, whatever their order (Knuth).
pub(super) fn two_sum<'a>(a: Value<'a>, b: Value<'a>) -> Words<'a> {
    let hi = a + b;
    let part = hi - a;
    let lo = (a - (hi - part)) + (b - part);
    Words { hi, lo }
}

/// a · b exactly, but for underflow.
pub(super) fn two_product<'a>(a: Value<'a>, b: Value<'a>) -> Words<'a> {
    let hi = a * b;
    Words { hi, lo: a.fma(b, -hi) }
}

impl<'a> Words<'a> {
    /// The product, but for that of the low words.
    pub(super) fn times(self, b: Words<'a>) -> Words<'a> {
        let p = two_product(self.hi, b.hi);
        Words {
            hi: p.hi,
            lo: p.lo + self.hi.fma(b.lo, self.lo * b.hi),
        }
    }

    /// Both words times an exact factor.
    pub(super) fn scaled(self, s: Value<'a>) -> Words<'a> {
        Words {
            hi: self.hi * s,
            lo: self.lo * s,
        }
    }

    /// The quotient by a denominator in two words, rounded once and a little: one division and a Newton correction.
    pub(super) fn over(self, d: Words<'a>) -> Words<'a> {
        let reciprocal = 1.0 / d.hi;
        let q = self.hi * reciprocal;
        let rest = (-q).fma(d.hi, self.hi) + (-q).fma(d.lo, self.lo);
        Words {
            hi: q,
            lo: rest * reciprocal,
        }
    }

    /// The two words in one.
    pub(super) fn sum(self) -> Value<'a> {
        self.hi + self.lo
    }
}
