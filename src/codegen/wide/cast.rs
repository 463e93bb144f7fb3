//! Casts between dtypes.
//!
//! In: lanes of one dtype. Out: as many of another, by the rules of [`loopweave_ir::op`]. AVX2 lacks most conversions of 64-bit
//! integers; those leave a leaf to the other emitter.

use loopweave_ir::{Dtype, Kind, Op, Scalar};

use super::asm::{Arg, Reg};
use super::isa::{self, Isa, Row};
use super::lanes::{Gap, Lanes, Selected, Selector};

impl Selector {
    /// The lanes converted to `to`.
    pub(super) fn cast(&mut self, value: &Lanes, to: Dtype) -> Selected<Lanes> {
        let from = value.dtype;
        let op = Op::Cast(to);
        if from == to {
            return Ok(*value);
        }
        let x = self.reg(value);
        let reg = match (from.kind(), to.kind()) {
            (_, Kind::Bool) => {
                let zero = self.constant(Scalar::from_bits(from, 0));
                return self.op(Op::Ne, from, &[*value, zero], &[false; 2]);
            }
            (Kind::Bool, _) => {
                let one = Scalar::from_i128(to, 1);
                let one = self.splat(one.bits(), to.size());
                self.keep(x, one, to.size())?
            }
            (Kind::Float, Kind::Float) => self.float_to_float(op, x, from, to)?,
            (Kind::Float, _) => self.float_to_int(x, from, to)?,
            (_, Kind::Float) => self.int_to_float(op, x, from, to)?,
            _ => self.resize(op, x, from.size(), to.size(), from.kind() == Kind::Signed)?,
        };
        Ok(Lanes::new(to, reg))
    }

    /// A conversion between lanes of two sizes.
    fn convert(&mut self, op: Op, row: Row, x: Reg, from: usize, to: usize) -> Selected<Reg> {
        let (source, target) = (self.register_bytes(from), self.register_bytes(to));
        let code = self.code(row, source.max(target), op)?;
        Ok(self.set(code, target, &[], x.into(), None))
    }

    fn float_to_float(&mut self, op: Op, x: Reg, from: Dtype, to: Dtype) -> Selected<Reg> {
        match (from, to) {
            (Dtype::F32, Dtype::F64) => self.convert(op, isa::F32_TO_F64, x, 4, 8),
            (Dtype::F64, Dtype::F32) => self.convert(op, isa::F64_TO_F32, x, 8, 4),
            (Dtype::F16, Dtype::F32) => self.convert(op, isa::F16_TO_F32, x, 2, 4),
            (Dtype::F32, Dtype::F16) => {
                let (source, target) = (self.register_bytes(4), self.register_bytes(2));
                let code = self.code(isa::F32_TO_F16, source.max(target), op)?;
                // To nearest, ties to even.
                Ok(self.set(code, target, &[], x.into(), Some(0)))
            }
            _ => Err(Gap { op }),
        }
    }

    /// Integers in lanes of another size: extended by their sign or with zeros, or cut.
    pub(super) fn resize(&mut self, op: Op, x: Reg, from: usize, to: usize, signed: bool) -> Selected<Reg> {
        let row = match (from, to, signed) {
            _ if from == to => return Ok(x),
            (1, 2, true) => isa::SIGN_EXTEND_8_16,
            (1, 4, true) => isa::SIGN_EXTEND_8_32,
            (1, 8, true) => isa::SIGN_EXTEND_8_64,
            (2, 4, true) => isa::SIGN_EXTEND_16_32,
            (2, 8, true) => isa::SIGN_EXTEND_16_64,
            (4, 8, true) => isa::SIGN_EXTEND_32_64,
            (1, 2, false) => isa::ZERO_EXTEND_8_16,
            (1, 4, false) => isa::ZERO_EXTEND_8_32,
            (1, 8, false) => isa::ZERO_EXTEND_8_64,
            (2, 4, false) => isa::ZERO_EXTEND_16_32,
            (2, 8, false) => isa::ZERO_EXTEND_16_64,
            (4, 8, false) => isa::ZERO_EXTEND_32_64,
            _ if self.isa == Isa::Avx2 => return self.cut(op, x, from, to),
            (2, 1, _) => isa::CUT_16_8,
            (4, 1, _) => isa::CUT_32_8,
            (8, 1, _) => isa::CUT_64_8,
            (4, 2, _) => isa::CUT_32_16,
            (8, 2, _) => isa::CUT_64_16,
            _ => isa::CUT_64_32,
        };
        self.convert(op, row, x, from, to)
    }

    /// The low bytes of lanes, with AVX2: brought together in each half of the register, then the halves.
    fn cut(&mut self, op: Op, x: Reg, from: usize, to: usize) -> Selected<Reg> {
        let bytes = self.register_bytes(from);
        let per_half = 16 / from;
        let half = |at: usize| match at < per_half * to {
            true => (at / to * from + at % to) as u8,
            false => 0x80,
        };
        let pattern: Vec<u8> = (0..16).map(half).collect();
        let order = self.vector_const(pattern.repeat(bytes / 16));
        let code = self.code(isa::SHUFFLE8, bytes, op)?;
        let packed = self.set(code, bytes, &[Arg::Use(x)], order.into(), None);
        if bytes == 16 {
            return Ok(packed.as_bytes(self.register_bytes(to)));
        }
        let high = self.asm.vector(16);
        let args = [Arg::Def(high), Arg::Use(packed.as_bytes(32)), Arg::Byte(1)];
        self.asm.emit(iced_x86::Code::VEX_Vextracti128_xmmm128_ymm_imm8, &args);
        let row = match per_half * to {
            8 => isa::UNPACK64,
            4 => isa::UNPACK32,
            _ => isa::UNPACK16,
        };
        let code = self.code(row, 16, op)?;
        Ok(self.set(code, 16, &[Arg::Use(packed.as_bytes(16))], high.into(), None))
    }

    fn int_to_float(&mut self, op: Op, x: Reg, from: Dtype, to: Dtype) -> Selected<Reg> {
        let signed = from.kind() == Kind::Signed;
        if from.size() == 8 {
            let row = match (signed, to) {
                (true, Dtype::F32) => isa::I64_TO_F32,
                (false, Dtype::F32) => isa::U64_TO_F32,
                (true, _) => isa::I64_TO_F64,
                (false, _) => isa::U64_TO_F64,
            };
            return self.convert(op, row, x, 8, to.size());
        }
        // Narrower unsigned values fit `i32`.
        let unsigned = from == Dtype::U32;
        let x = self.resize(op, x, from.size(), 4, signed)?;
        if unsigned && self.isa == Isa::Avx2 {
            return self.halves_to_float(op, x, to);
        }
        let row = match (unsigned, to) {
            (false, Dtype::F32) => isa::I32_TO_F32,
            (true, Dtype::F32) => isa::U32_TO_F32,
            (false, _) => isa::I32_TO_F64,
            (true, _) => isa::U32_TO_F64,
        };
        self.convert(op, row, x, 4, to.size())
    }

    /// `u32` to floats without an instruction for it: both halves are exact, and their sum rounds once.
    fn halves_to_float(&mut self, op: Op, x: Reg, to: Dtype) -> Selected<Reg> {
        let row = if to == Dtype::F32 {
            isa::I32_TO_F32
        } else {
            isa::I32_TO_F64
        };
        let high = self.unary_byte(op, isa::SHR32, 4, x, 16)?;
        let low = self.splat(0xffff, 4);
        let low = self.binary(op, isa::AND32, 4, x, low)?;
        let (high, low) = (
            self.convert(op, row, high, 4, to.size())?,
            self.convert(op, row, low, 4, to.size())?,
        );
        let scale = self.constant(Scalar::from_f64(to, 65536.0));
        let args = [Lanes::new(to, high), scale, Lanes::new(to, low)];
        let sum = self.op(Op::Fma, to, &args, &[true, false, true])?;
        Ok(self.reg(&sum))
    }

    /// Truncates, saturates, and takes NaN to 0.
    fn float_to_int(&mut self, x: Reg, from: Dtype, to: Dtype) -> Selected<Reg> {
        let op = Op::Cast(to);
        let size = to.size();
        if size < 4 {
            // By way of `i32`, whose range holds that of the result.
            let wide = self.float_to_int(x, from, Dtype::I32)?;
            let signed = to.kind() == Kind::Signed;
            let (low, high) = match signed {
                true => (-(1i64 << (8 * size - 1)), (1i64 << (8 * size - 1)) - 1),
                false => (0, (1i64 << (8 * size)) - 1),
            };
            let (low, high) = (self.splat(low as u32 as u64, 4), self.splat(high as u64, 4));
            let wide = self.binary(op, isa::MAX_I32, 4, wide, low)?;
            let wide = self.binary(op, isa::MIN_I32, 4, wide, high)?;
            return self.resize(op, wide, 4, size, signed);
        }
        let single = from == Dtype::F32;
        if to.kind() == Kind::Unsigned {
            // The larger of the number and zero, which is the second operand and so what a NaN becomes. Too large ones give all
            // ones.
            let zero = self.splat(0, from.size());
            let row = if single { isa::MAX_PS } else { isa::MAX_PD };
            let x = self.binary(op, row, from.size(), x, zero)?;
            let row = match (single, size) {
                (true, 4) => isa::F32_TO_U32,
                (false, 4) => isa::F64_TO_U32,
                (true, _) => isa::F32_TO_U64,
                (false, _) => isa::F64_TO_U64,
            };
            return self.convert(op, row, x, from.size(), size);
        }
        let row = match (single, size) {
            (true, 4) => isa::F32_TO_I32,
            (false, 4) => isa::F64_TO_I32,
            (true, _) => isa::F32_TO_I64,
            (false, _) => isa::F64_TO_I64,
        };
        // Whatever does not fit gives `MIN`, which is right for numbers below.
        let value = self.convert(op, row, x, from.size(), size)?;
        let lanes = Lanes::new(from, x);
        let limit = self.constant(Scalar::from_f64(from, 2f64.powi(8 * size as i32 - 1)));
        let above = self.op(Op::Ge, from, &[lanes, limit], &[false; 2])?;
        let number = self.op(Op::Eq, from, &[lanes, lanes], &[false; 2])?;
        let (above, number) = (self.reg(&above), self.reg(&number));
        let most = self.splat(u64::MAX >> (65 - 8 * size), size);
        let value = self.blend(above, most, value, size)?;
        self.keep(number, value, size)
    }
}
