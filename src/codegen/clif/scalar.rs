//! Ops on scalars: what each basic op is on one element.
//!
//! In: an op with operands in scalar registers. Out: its value. Vector code falls back on this, lane by lane, where no
//! vector instruction does the same.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use loopweave_ir::{Dtype, Kind, Op, Scalar};

use super::emit::Emitter;
use super::value::{bits, int_type, scalar_type};
use crate::codegen::CodegenError;

/// The comparison of floats that an op is, false on NaN except for `ne`.
pub(super) fn float_compare(op: Op) -> Option<FloatCC> {
    Some(match op {
        Op::Eq => FloatCC::Equal,
        Op::Ne => FloatCC::NotEqual,
        Op::Lt => FloatCC::LessThan,
        Op::Le => FloatCC::LessThanOrEqual,
        Op::Gt => FloatCC::GreaterThan,
        Op::Ge => FloatCC::GreaterThanOrEqual,
        _ => return None,
    })
}

/// The comparison of integers that an op is; `bool` counts as unsigned.
pub(super) fn int_compare(op: Op, dtype: Dtype) -> Option<IntCC> {
    let signed = dtype.kind() == Kind::Signed;
    Some(match op {
        Op::Eq => IntCC::Equal,
        Op::Ne => IntCC::NotEqual,
        Op::Lt if signed => IntCC::SignedLessThan,
        Op::Le if signed => IntCC::SignedLessThanOrEqual,
        Op::Gt if signed => IntCC::SignedGreaterThan,
        Op::Ge if signed => IntCC::SignedGreaterThanOrEqual,
        Op::Lt => IntCC::UnsignedLessThan,
        Op::Le => IntCC::UnsignedLessThanOrEqual,
        Op::Gt => IntCC::UnsignedGreaterThan,
        Op::Ge => IntCC::UnsignedGreaterThanOrEqual,
        _ => return None,
    })
}

impl Emitter<'_> {
    /// An op on scalars, of operands of `dtype` (for `select`, that of the two values).
    pub(super) fn scalar_op(&mut self, op: Op, dtype: Dtype, args: &[Value]) -> Result<Value, CodegenError> {
        match op {
            Op::Cast(to) => return Ok(self.scalar_cast(args[0], dtype, to)),
            Op::Bitcast(to) => return Ok(self.scalar_bitcast(args[0], to)),
            Op::Lookup(column) => return self.lookup_register(column, 1, args[0]),
            Op::Select | Op::Rare => return Ok(self.b.ins().select(args[0], args[1], args[2])),
            _ => {}
        }
        if dtype.is_float() {
            self.scalar_float(op, dtype, args)
        } else {
            self.scalar_int(op, dtype, args)
        }
    }

    fn scalar_float(&mut self, op: Op, dtype: Dtype, args: &[Value]) -> Result<Value, CodegenError> {
        if let Some(compare) = float_compare(op) {
            return Ok(self.b.ins().fcmp(compare, args[0], args[1]));
        }
        let name = if dtype == Dtype::F32 { "fmodf" } else { "fmod" };
        Ok(match op {
            Op::Neg => self.b.ins().fneg(args[0]),
            Op::Abs => self.b.ins().fabs(args[0]),
            Op::Floor => self.b.ins().floor(args[0]),
            Op::Ceil => self.b.ins().ceil(args[0]),
            Op::Trunc => self.b.ins().trunc(args[0]),
            Op::Round => self.b.ins().nearest(args[0]),
            Op::Sqrt => self.b.ins().sqrt(args[0]),
            Op::Add => self.b.ins().fadd(args[0], args[1]),
            Op::Sub => self.b.ins().fsub(args[0], args[1]),
            Op::Mul => self.b.ins().fmul(args[0], args[1]),
            Op::Div => self.b.ins().fdiv(args[0], args[1]),
            Op::Rem => self.call_library(name, dtype, args)?,
            Op::Minimum => self.b.ins().fmin(args[0], args[1]),
            Op::Maximum => self.b.ins().fmax(args[0], args[1]),
            Op::Fma => self.b.ins().fma(args[0], args[1], args[2]),
            _ => return Err(CodegenError::NotBasic { op }),
        })
    }

    fn scalar_int(&mut self, op: Op, dtype: Dtype, args: &[Value]) -> Result<Value, CodegenError> {
        if let Some(compare) = int_compare(op, dtype) {
            return Ok(self.b.ins().icmp(compare, args[0], args[1]));
        }
        let signed = dtype.kind() == Kind::Signed;
        Ok(match op {
            Op::Neg => self.b.ins().ineg(args[0]),
            Op::Abs if signed => self.b.ins().iabs(args[0]),
            Op::Abs => args[0],
            Op::Not if dtype == Dtype::Bool => {
                let one = self.b.ins().iconst(types::I8, 1);
                self.b.ins().bxor(args[0], one)
            }
            Op::Not => self.b.ins().bnot(args[0]),
            Op::Add => self.b.ins().iadd(args[0], args[1]),
            Op::Sub => self.b.ins().isub(args[0], args[1]),
            Op::Mul => self.b.ins().imul(args[0], args[1]),
            Op::Fma => {
                let product = self.b.ins().imul(args[0], args[1]);
                self.b.ins().iadd(product, args[2])
            }
            Op::TruncDiv | Op::Rem => self.divide(op, dtype, args[0], args[1]),
            Op::Minimum | Op::Maximum => {
                let less = if op == Op::Minimum { Op::Lt } else { Op::Gt };
                let first = self.scalar_int(less, dtype, args)?;
                self.b.ins().select(first, args[0], args[1])
            }
            Op::And => self.b.ins().band(args[0], args[1]),
            Op::Or => self.b.ins().bor(args[0], args[1]),
            Op::Xor => self.b.ins().bxor(args[0], args[1]),
            // Cranelift takes shift counts modulo the width.
            Op::Shl => self.b.ins().ishl(args[0], args[1]),
            Op::Shr if signed => self.b.ins().sshr(args[0], args[1]),
            Op::Shr => self.b.ins().ushr(args[0], args[1]),
            _ => return Err(CodegenError::NotBasic { op }),
        })
    }

    /// Quotient or remainder of integers. The instructions trap on a zero divisor and on `MIN / -1`, so those divisors are
    /// replaced by 1, which gives `MIN` and remainder 0 as it should; only the quotient by 0 is left to be corrected.
    fn divide(&mut self, op: Op, dtype: Dtype, x: Value, y: Value) -> Value {
        let signed = dtype.kind() == Kind::Signed;
        let narrow = scalar_type(dtype);
        let ty = if narrow.bits() < 32 { types::I32 } else { narrow };
        let (x, y) = match (ty == narrow, signed) {
            (true, _) => (x, y),
            (false, true) => (self.b.ins().sextend(ty, x), self.b.ins().sextend(ty, y)),
            (false, false) => (self.b.ins().uextend(ty, x), self.b.ins().uextend(ty, y)),
        };
        let is_zero = self.b.ins().icmp_imm_s(IntCC::Equal, y, 0);
        let mut replace = is_zero;
        if signed && ty == narrow {
            let min = self.b.ins().iconst(ty, (1u64 << (ty.bits() - 1)) as i64);
            let lowest = self.b.ins().icmp(IntCC::Equal, x, min);
            let minus_one = self.b.ins().icmp_imm_s(IntCC::Equal, y, -1);
            let overflows = self.b.ins().band(lowest, minus_one);
            replace = self.b.ins().bor(is_zero, overflows);
        }
        let one = self.b.ins().iconst(ty, 1);
        let divisor = self.b.ins().select(replace, one, y);
        let value = match (op, signed) {
            (Op::Rem, true) => self.b.ins().srem(x, divisor),
            (Op::Rem, false) => self.b.ins().urem(x, divisor),
            (_, true) => self.b.ins().sdiv(x, divisor),
            (_, false) => self.b.ins().udiv(x, divisor),
        };
        let value = if op == Op::Rem {
            value
        } else {
            let zero = self.b.ins().iconst(ty, 0);
            self.b.ins().select(is_zero, zero, value)
        };
        if ty == narrow {
            value
        } else {
            self.b.ins().ireduce(narrow, value)
        }
    }

    fn scalar_bitcast(&mut self, value: Value, to: Dtype) -> Value {
        let ty = scalar_type(to);
        if self.b.func.dfg.value_type(value) == ty {
            value
        } else {
            self.b.ins().bitcast(ty, bits(), value)
        }
    }

    /// A conversion of one element; storage floats have been lowered to bit operations before.
    pub(super) fn scalar_cast(&mut self, value: Value, from: Dtype, to: Dtype) -> Value {
        match (from.kind(), to.kind()) {
            _ if from == to => value,
            (Kind::Float, Kind::Bool) => {
                let zero = self.scalar_const(Scalar::from_f64(from, 0.0));
                self.b.ins().fcmp(FloatCC::NotEqual, value, zero)
            }
            (_, Kind::Bool) => self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0),
            (Kind::Float, Kind::Float) if from == Dtype::F32 => self.b.ins().fpromote(types::F64, value),
            (Kind::Float, Kind::Float) => self.b.ins().fdemote(types::F32, value),
            (Kind::Float, _) => self.float_to_int(value, to),
            (_, Kind::Float) => {
                let ty = scalar_type(to);
                let wide = self.resize(value, from, if from.size() < 4 { 4 } else { from.size() });
                match from.kind() {
                    Kind::Signed => self.b.ins().fcvt_from_sint(ty, wide),
                    _ => self.b.ins().fcvt_from_uint(ty, wide),
                }
            }
            _ => self.resize(value, from, to.size()),
        }
    }

    /// An integer in another number of bytes: extended by its sign, or cut.
    fn resize(&mut self, value: Value, from: Dtype, bytes: usize) -> Value {
        let ty = int_type(bytes);
        match bytes.cmp(&from.size()) {
            std::cmp::Ordering::Less => self.b.ins().ireduce(ty, value),
            std::cmp::Ordering::Equal => value,
            std::cmp::Ordering::Greater if from.kind() == Kind::Signed => self.b.ins().sextend(ty, value),
            std::cmp::Ordering::Greater => self.b.ins().uextend(ty, value),
        }
    }

    fn float_to_int(&mut self, value: Value, to: Dtype) -> Value {
        let signed = to.kind() == Kind::Signed;
        let ty = int_type(to.size().max(4));
        let wide = match signed {
            true => self.b.ins().fcvt_to_sint_sat(ty, value),
            false => self.b.ins().fcvt_to_uint_sat(ty, value),
        };
        if to.size() >= 4 {
            return wide;
        }
        let max = self.b.ins().iconst(ty, (1i64 << (to.bits() - signed as u32)) - 1);
        let clamped = if signed {
            let min = self.b.ins().iconst(ty, -(1i64 << (to.bits() - 1)) & 0xffff_ffff);
            let low = self.b.ins().smax(wide, min);
            self.b.ins().smin(low, max)
        } else {
            self.b.ins().umin(wide, max)
        };
        self.b.ins().ireduce(int_type(to.size()), clamped)
    }
}
