//! Quotients by a divisor that is the same for all lanes, from its reciprocal, with the bits of a division.
//!
//! In: the divisor, once for a loop, then numerators. Out: what the processor's division gives, which for a vector of 64 bytes
//! takes 11 to 16 cycles where the instructions here take 3 or 4.
//!
//! Let p be the bits of a significand, r the reciprocal of b rounded to nearest, s what rounding left of it, 1/b − r, and
//!
//! ```text
//! q  = a·r + (a·s)        the product in brackets rounded, then the sum
//! e  = a − q·b            exact
//! q' = q + e·r            rounded once
//! ```
//!
//! The relative error of q before its rounding is below 2^(2 − 2p), so that q is one of the two numbers that a/b lies between, or
//! a/b itself. Then e is a number of p bits, and q' is a/b rounded to nearest: Markstein, Computation of elementary functions on
//! the IBM RISC System/6000 processor, IBM J. Res. Dev. 34 (1990); the same in Muller et al., Handbook of Floating-Point
//! Arithmetic, on division by fused multiply-add.
//!
//! All of this is true of exponents without bounds. With those that there are, let q' be at least [`Limits::quotient`] and at
//! least [`Limits::numerator`]·|r|, which makes |a| about `numerator`, and let |r| be at least [`Limits::reciprocal`]: then
//! e is a multiple of the least number, since it is one of a's last bit times 2^(−p − 1); r is normal; and what products with s
//! lose below the least number is too little to count. An overflow on the way makes q' a NaN, or is one of a/b. Wherever a
//! lane is not like this (zeros, numbers near them, infinities and NaNs) the vector is divided after all.

use iced_x86::Code;
use loopweave_ir::{Dtype, Op, Scalar};

use super::lanes::{Lanes, Selected, Selector};
use super::pattern::Pattern;

/// What is computed of a divisor, once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reciprocal {
    divisor: Lanes,
    negated: Lanes,
    /// Rounded to nearest.
    nearest: Lanes,
    /// What that leaves.
    rest: Lanes,
    /// Quotients of at least this are exact.
    least: Lanes,
}

impl Reciprocal {
    /// The registers that it takes beside the divisor's own.
    pub(super) const REGISTERS: usize = 4;
}

/// Binary exponents of the least numbers for which the proof holds.
struct Limits {
    quotient: i32,
    numerator: i32,
    reciprocal: i32,
}

impl Limits {
    fn of(dtype: Dtype) -> Limits {
        match dtype {
            Dtype::F32 => Limits {
                quotient: -90,
                numerator: -100,
                reciprocal: -96,
            },
            _ => Limits {
                quotient: -900,
                numerator: -960,
                reciprocal: -900,
            },
        }
    }
}

impl Selector {
    /// What quotients by this divisor need.
    pub(super) fn reciprocal(&mut self, divisor: Lanes) -> Selected<Reciprocal> {
        let dtype = divisor.dtype;
        let number = |s: &Selector, value: f64| s.constant(Scalar::from_f64(dtype, value));
        let power = |s: &Selector, exponent: i32| number(s, 2f64.powi(exponent));
        let limits = Limits::of(dtype);
        let one = number(self, 1.0);
        let negated = self.lanewise(Op::Neg, &[divisor])?;
        let nearest = self.lanewise(Op::Div, &[one, divisor])?;
        let left = self.lanewise(Op::Fma, &[nearest, negated, one])?;
        let rest = self.lanewise(Op::Mul, &[left, nearest])?;
        let size = self.lanewise(Op::Abs, &[nearest])?;
        let least = self.lanewise(Op::Mul, &[size, power(self, limits.numerator)])?;
        let least = self.pattern(
            Op::Select,
            Pattern::Greater,
            &[least, power(self, limits.quotient)],
            &[],
        )?;
        let is_small = self.lanewise(Op::Lt, &[size, power(self, limits.reciprocal)])?;
        let least = self.op(
            Op::Select,
            dtype,
            &[is_small, number(self, f64::INFINITY), least],
            &[false; 3],
        )?;
        Ok(Reciprocal {
            divisor,
            negated,
            nearest,
            rest,
            least,
        })
    }

    /// A numerator by a divisor.
    pub(super) fn quotient(&mut self, numerator: Lanes, by: &Reciprocal) -> Selected<Lanes> {
        let tail = self.lanewise(Op::Mul, &[numerator, by.rest])?;
        let near = self.fma_into_sum(numerator, by.nearest, tail)?;
        let left = self.lanewise(Op::Fma, &[near, by.negated, numerator])?;
        let quotient = self.fma_into_sum(left, by.nearest, near)?;
        let size = self.lanewise(Op::Abs, &[quotient])?;
        let is_exact = self.lanewise(Op::Ge, &[size, by.least])?;
        let (is_exact, usual) = (self.reg(&is_exact), self.reg(&quotient));
        self.test(is_exact);
        let all = Code::Jb_rel32_64;
        self.usually(all, quotient.dtype, usual, |s| {
            s.lanewise(Op::Div, &[numerator, by.divisor])
        })
    }

    /// a · b + c, where nothing else needs c.
    fn fma_into_sum(&mut self, a: Lanes, b: Lanes, c: Lanes) -> Selected<Lanes> {
        self.op(Op::Fma, a.dtype, &[a, b, c], &[false, false, true])
    }

    /// An op of operands that are needed further on.
    fn lanewise(&mut self, op: Op, args: &[Lanes]) -> Selected<Lanes> {
        self.op(op, args[0].dtype, args, &[false; 3])
    }
}
