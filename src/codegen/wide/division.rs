//! Quotients and remainders of integers, by way of floats.
//!
//! In: lanes of integers of up to 32 bits; those of 64 are [`super::long_division`]'s. Out: what the interpreter's division gives,
//! `x / 0` being 0 and `MIN / −1` `MIN`.
//!
//! Let x and y have at most n bits, and let a float have p; here n is 16 and p 24, or n is 32 and p 53. Both are then floats, and
//! x / y is an integer or at least |x / y| / |x| ≥ |x / y| · 2^−n away from the next one further from zero. Rounding moves it by
//! less, by |x / y| · 2^−p, and never past an integer: so what it is cut to is the quotient. So it is for a product with a number
//! that is further from zero than 1 / y by one or two units in its last place, which serves where y is a constant. The remainder
//! x − q·y is exact, each of its parts being an integer of n bits or one more.
//!
//! A quotient by 0 is infinite or a NaN, and what becomes of it has zeros for its low bits, of which alone the result is made.

use loopweave_ir::{Dtype, Op, Scalar};

use super::asm::BlockId;
use super::isa;
use super::lanes::{Lanes, Place, Selected, Selector};

/// The float by way of which integers of this many bytes are divided.
fn float_for(size: usize) -> Option<Dtype> {
    match size {
        1 | 2 => Some(Dtype::F32),
        4 => Some(Dtype::F64),
        _ => None,
    }
}

/// Bytes of the values that an op of integers of this many bytes is made with.
pub(super) fn bytes_on_the_way(op: Op, size: usize) -> usize {
    match op {
        Op::TruncDiv | Op::Rem => float_for(size).map_or(size, Dtype::size),
        _ => size,
    }
}

/// A quotient that has just been made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotient {
    operands: [Place; 2],
    /// Where it was made.
    block: BlockId,
    /// The operands and the quotient as floats.
    floats: [Lanes; 3],
}

impl Selector {
    /// `trunc_div` or `rem`.
    pub(super) fn divide(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<Lanes> {
        let Some(float) = float_for(dtype.size()) else {
            return self.divide_long(op, dtype, args);
        };
        let [x, y, quotient] = self.float_quotient(float, args)?;
        let value = match op {
            Op::TruncDiv => quotient,
            _ => {
                let product = self.floats(Op::Mul, &[quotient, y])?;
                self.floats(Op::Sub, &[x, product])?
            }
        };
        let value = self.reg(&value);
        let (size, way) = (dtype.size(), float.size());
        let integer = match float {
            // What does not fit gives the least number.
            Dtype::F32 => self.unary(op, isa::F32_TO_I32, way, value)?,
            // An integer beside so great a number is the low bits of the sum.
            _ => {
                let great = self.constant(Scalar::from_f64(float, 1.5 * 2f64.powi(52)));
                let great = self.rm(&great);
                self.binary(op, isa::ADD_PD, way, value, great)?
            }
        };
        Ok(Lanes::new(dtype, self.resize(op, integer, way, size, false)?))
    }

    /// Both operands and their quotient, cut to an integer. A quotient and a remainder of the same operands share it, as those
    /// that are rounded down need both.
    fn float_quotient(&mut self, float: Dtype, args: &[Lanes]) -> Selected<[Lanes; 3]> {
        let (operands, block) = ([args[0].place, args[1].place], self.asm.current());
        let known = self.quotient.filter(|q| (q.operands, q.block) == (operands, block));
        if let Some(known) = known {
            return Ok(known.floats);
        }
        let (x, y) = (self.as_float(&args[0], float)?, self.as_float(&args[1], float)?);
        let quotient = match y.as_const().map(|y| y.as_f64()).filter(|y| *y != 0.0) {
            Some(y) => {
                let nearest = Scalar::from_f64(float, 1.0 / y);
                let beyond = self.constant(Scalar::from_bits(float, nearest.bits() + 1));
                self.floats(Op::Mul, &[x, beyond])?
            }
            None => self.floats(Op::Div, &[x, y])?,
        };
        let floats = [x, y, self.floats(Op::Trunc, &[quotient])?];
        self.quotient = Some(Quotient {
            operands,
            block,
            floats,
        });
        Ok(floats)
    }

    fn as_float(&mut self, value: &Lanes, float: Dtype) -> Selected<Lanes> {
        match value.as_const() {
            Some(value) => Ok(self.constant(Scalar::from_f64(float, value.as_f64()))),
            None => self.cast(value, float),
        }
    }

    fn floats(&mut self, op: Op, args: &[Lanes]) -> Selected<Lanes> {
        self.op(op, args[0].dtype, args, &[false; 3])
    }
}
