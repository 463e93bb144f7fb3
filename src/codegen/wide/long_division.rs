//! Quotients and remainders of 64-bit integers, with AVX-512: long division, each of two digits an estimate by floats.
//!
//! In: lanes of 64-bit integers. Out: what the interpreter's division gives, `x / 0` being 0 and `MIN / −1` `MIN`.
//!
//! Signed numbers are divided by their absolute values, of which that of `MIN` is 2^63. Let x and y be unsigned, y not 0, and
//! u = 2^−53. With numbers as floats in hats, each rounded to nearest,
//!
//! ```text
//! r  = (1 − 8u) / ŷ       rounded
//! a  = ⌊x̂ · r⌋            the product rounded
//! s  = x − a·y            modulo 2^64
//! b  = ⌊ŝ · r⌋            the product rounded
//! t  = s − b·y            modulo 2^64
//! ```
//!
//! A product v̂·r is v/y · (1 − 8u) · (1 + e₁)(1 + e₂)(1 + e₃) / (1 + e₄) with |eᵢ| ≤ u: at most v/y, as (1 + u)³ / (1 − u) is below
//! 1 + 5u, and at least v/y · (1 − 12u). So a ≤ x/y, which makes s a number from 0 to x that the low 64 bits hold, and
//! s/y < 1 + 12u · x/y ≤ 1 + 12 · 2^11. Likewise b ≤ s/y, t is from 0 to s, and t/y < 1 + 12u · s/y < 2. What is left is a choice: the
//! quotient is a + b or one more, and the remainder t or t − y, the lesser of the two modulo 2^64.
//!
//! Where y is 0, r is made 0, and with it a and b; the choices are not made, and the remainder is 0.
//!
//! In µs for 64k `i64` on one thread, one number at a time / so: `trunc_div(x, y)` 307 / 48, `x % y` 185 / 49, `floor_div(x, y)`
//! 389 / 67; by 7, which has a reciprocal of 128 bits for one number at a time, 45 / 30, 54 / 30 and 97 / 47.

use loopweave_ir::{Dtype, Kind, Op, Scalar};

use super::asm::{Arg, BlockId, Inst, Reg};
use super::isa::{self, Isa, Row};
use super::lanes::{Gap, Lanes, Place, Selected, Selector};

/// Bytes of a lane.
const SIZE: usize = 8;
/// The predicate of a comparison: greater or equal.
const GREATER_EQUAL: u8 = 5;

/// A division that has just been made, but for the last choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongDivision {
    operands: [Place; 2],
    /// Where it was made.
    block: BlockId,
    /// Where the divisor is not 0, if there are such lanes.
    is_defined: Option<Reg>,
    divisor: Reg,
    quotient: Reg,
    rest: Reg,
}

impl Selector {
    /// `trunc_div` or `rem` of 64-bit integers.
    pub(super) fn divide_long(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<Lanes> {
        let found = self.two_digits(op, dtype, args)?;
        let value = match op {
            Op::TruncDiv => {
                let (code, to) = (self.code(isa::CMP_U64, self.register_bytes(SIZE), op)?, self.asm.mask());
                let [rest, divisor] = [found.rest, found.divisor].map(Arg::Use);
                let compare = Inst::new(code, &[Arg::Def(to), rest, divisor, Arg::Byte(GREATER_EQUAL)]);
                self.asm.push(match found.is_defined {
                    Some(mask) => compare.merging(mask),
                    None => compare,
                });
                let one = self.splat(1, SIZE);
                self.where_set(op, isa::ADD64, to, found.quotient, found.quotient, one)?
            }
            _ => {
                let less = self.binary(op, isa::SUB64, SIZE, found.rest, found.divisor)?;
                let rest = self.binary(op, isa::MIN_U64, SIZE, found.rest, less)?;
                match found.is_defined {
                    Some(mask) => self.keep(mask, rest, SIZE)?,
                    None => rest,
                }
            }
        };
        if dtype.kind() == Kind::Unsigned {
            return Ok(Lanes::new(dtype, value));
        }
        let sign = match op {
            Op::TruncDiv => self.op(Op::Xor, dtype, args, &[false; 2])?,
            _ => args[0],
        };
        let zero = self.constant(Scalar::from_bits(dtype, 0));
        let is_negative = self.op(Op::Lt, dtype, &[sign, zero], &[false; 2])?;
        let (is_negative, zero) = (self.reg(&is_negative), self.reg(&zero));
        let value = self.where_set(op, isa::SUB64, is_negative, value, zero, value)?;
        Ok(Lanes::new(dtype, value))
    }

    /// a + b and t. A quotient and a remainder of the same operands share it.
    fn two_digits(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<LongDivision> {
        if self.isa == Isa::Avx2 {
            return Err(Gap { op });
        }
        let (operands, block) = ([args[0].place, args[1].place], self.asm.current());
        let known = self
            .long_division
            .filter(|d| (d.operands, d.block) == (operands, block));
        if let Some(known) = known {
            return Ok(known);
        }
        let [x, divisor] = [args[0], args[1]].map(|value| self.magnitude(dtype, &value));
        let (x, divisor) = (x?, divisor?);
        let (is_defined, reciprocal) = self.reciprocal_below(op, &divisor)?;
        let divisor = self.reg(&divisor);
        let mut rest = self.reg(&x);
        let mut digits = [rest; 2];
        for digit in &mut digits {
            let estimate = self.unary(op, isa::U64_TO_F64, SIZE, rest)?;
            let estimate = self.binary(op, isa::MUL_PD, SIZE, estimate, reciprocal)?;
            *digit = self.unary(op, isa::F64_TO_U64, SIZE, estimate)?;
            let product = self.binary(op, isa::MUL64, SIZE, *digit, divisor)?;
            rest = self.binary(op, isa::SUB64, SIZE, rest, product)?;
        }
        let found = LongDivision {
            operands,
            block,
            is_defined,
            divisor,
            quotient: self.binary(op, isa::ADD64, SIZE, digits[0], digits[1])?,
            rest,
        };
        self.long_division = Some(found);
        Ok(found)
    }

    fn magnitude(&mut self, dtype: Dtype, value: &Lanes) -> Selected<Lanes> {
        Ok(match value.as_const() {
            Some(value) => self.constant(Scalar::from_bits(Dtype::U64, value.as_i128().unsigned_abs() as u64)),
            None => {
                let magnitude = self.op(Op::Abs, dtype, &[*value], &[false])?;
                Lanes::new(Dtype::U64, self.reg(&magnitude))
            }
        })
    }

    /// r, and where it is not made 0.
    fn reciprocal_below(&mut self, op: Op, divisor: &Lanes) -> Selected<(Option<Reg>, Reg)> {
        let one = 1.0 - 2f64.powi(-50);
        if let Some(divisor) = divisor.as_const().filter(|y| y.bits() != 0) {
            return Ok((None, self.splat((one / divisor.bits() as f64).to_bits(), SIZE)));
        }
        let zero = self.constant(Scalar::from_bits(Dtype::U64, 0));
        let is_defined = self.op(Op::Ne, Dtype::U64, &[*divisor, zero], &[false; 2])?;
        let (is_defined, one) = (self.reg(&is_defined), self.splat(one.to_bits(), SIZE));
        let divisor = self.reg(divisor);
        let divisor = self.unary(op, isa::U64_TO_F64, SIZE, divisor)?;
        let (bytes, to) = (self.register_bytes(SIZE), self.asm.like(divisor));
        let divide = Inst::new(
            self.code(isa::DIV_PD, bytes, op)?,
            &[Arg::Def(to), Arg::Use(one), Arg::Use(divisor)],
        );
        self.asm.push(divide.zeroing(is_defined));
        Ok((Some(is_defined), to))
    }

    /// What an instruction makes of two operands where a mask is set, else `from`.
    fn where_set(&mut self, op: Op, row: Row, mask: Reg, from: Reg, x: Reg, y: Reg) -> Selected<Reg> {
        let (code, to) = (self.code(row, self.register_bytes(SIZE), op)?, self.asm.like(from));
        let inst = Inst::new(code, &[Arg::Update { from, to }, Arg::Use(x), Arg::Use(y)]);
        self.asm.push(inst.merging(mask));
        Ok(to)
    }
}
