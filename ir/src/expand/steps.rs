//! Odd functions that go to 1, read off a table: one polynomial for each of some intervals.

use super::format::Format;
use super::hyperbolic::with_sign_of;
use super::tables::{ERF_F32, ERF_F64, TANH_F32, TANH_F64};
use super::value::Value;
use crate::table::Table;

/// The hyperbolic tangent: 28 ops, 0.77 ulp (f32); 41 ops, 0.96 ulp (f64, where the result becomes 1).
pub(super) fn tanh(x: Value<'_>) -> Value<'_> {
    Format::of(x.dtype())
        .pick(
            Steps {
                table: &TANH_F32,
                shift: 0.75,
                second: 1.0,
                end: 10.0,
            },
            Steps {
                table: &TANH_F64,
                shift: 1.25,
                second: 1.5,
                end: 18.74,
            },
        )
        .at(x)
}

/// The error function: 28 ops, 0.88 ulp (f32); 41 ops, 0.71 ulp (f64).
pub(super) fn erf(x: Value<'_>) -> Value<'_> {
    Format::of(x.dtype())
        .pick(
            Steps {
                table: &ERF_F32,
                shift: 0.375,
                second: 0.5,
                end: 4.0,
            },
            Steps {
                table: &ERF_F64,
                shift: 0.5,
                second: 0.625,
                end: 6.0,
            },
        )
        .at(x)
}

/// An odd function as `ir/tools/tables.py` fits it: u = |x| + `shift` says by its exponent and the first bits of its
/// significand (one of f32, two of f64) which polynomial in x − x0 counts from which value at x0.
struct Steps {
    /// Columns: x0, the coefficients from the highest power down to the first, and the value at x0.
    table: &'static Table,
    shift: f64,
    /// The u of the second interval; in the first x itself is what the polynomial counts from.
    second: f64,
    /// An |x| at which what the table gives is 1, as it is beyond.
    end: f64,
}

impl Steps {
    fn at<'a>(&self, x: Value<'a>) -> Value<'a> {
        let format = Format::of(x.dtype());
        let a = x.abs();
        let a = a.gt(self.end).select(a.constant(self.end), a);
        let u = a + self.shift;
        let index = u.bits() >> (format.mantissa - format.pick(1, 2));
        let entry = |column| index.lookup(self.table.column(column));
        let t = a - entry(0);
        let value = self.table.columns().len() - 1;
        let slope = slope(t, &(1..value).map(entry).collect::<Vec<_>>());
        let base = u.lt(self.second).select(a, entry(value));
        let magnitude = slope.fma(t, base);
        with_sign_of(magnitude, x)
    }
}

/// Coefficients up to which one chain of multiply-adds serves.
const LONG: usize = 11;

/// The polynomial with these coefficients, in the order of their use: from the highest power down, and of a long one first every
/// second, then the others, in two chains that need not wait for each other, and then the lowest two.
fn slope<'a>(t: Value<'a>, coefficients: &[Value<'a>]) -> Value<'a> {
    let chain = |t: Value<'a>, first: Value<'a>, rest: &[Value<'a>]| rest.iter().fold(first, |sum, &c| sum.fma(t, c));
    match coefficients {
        [high @ .., second, first] if coefficients.len() > LONG => {
            let (odd, even) = high.split_at(high.len() / 2);
            let square = t * t;
            let [odd, even] = [odd, even].map(|half| chain(square, half[0], &half[1..]));
            chain(t, odd, &[even, *second, *first])
        }
        _ => chain(t, coefficients[0], &coefficients[1..]),
    }
}
