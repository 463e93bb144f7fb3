//! Ops on vectors: what each basic op is on the lanes of a value.
//!
//! In: an op with the lanes of its operands. Out: the lanes of its value. Where a target has no vector form, or Cranelift
//! fails on it, the op is done lane by lane; that is decided here, by table, as some combinations panic when tried.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use loopweave_ir::op::Rule;
use loopweave_ir::{Dtype, Kind, Op, Scalar};
use smallvec::SmallVec;

use super::emit::Emitter;
use super::scalar::{float_compare, int_compare};
use super::value::{Lanes, Narrowing, Registers, int_vector, vector_type};
use crate::codegen::CodegenError;

/// Whether an op has a vector form at operands of this dtype; otherwise it is done lane by lane.
pub(super) fn has_vector_form(op: Op, dtype: Dtype) -> bool {
    match op {
        Op::TruncDiv | Op::Rem => false,
        Op::Cast(to) => {
            let (wide, float) = (|d: Dtype| d.is_int() && d.size() == 8, |d: Dtype| d.is_float());
            let through_long = (wide(dtype) && float(to)) || (float(dtype) && wide(to));
            !through_long && (dtype, to) != (Dtype::F64, Dtype::U32)
        }
        _ => true,
    }
}

impl Emitter<'_> {
    /// An op on lanes, with a result of this dtype.
    ///
    /// `constants` are the operands that are known constants.
    pub(super) fn op(
        &mut self,
        op: Op,
        result: Dtype,
        args: &[&Lanes],
        constants: &[Option<Scalar>],
    ) -> Result<Lanes, CodegenError> {
        let uniform = self.uniform_operands(op, args, constants);
        let args: &[&Lanes] = &uniform.iter().collect::<SmallVec<[&Lanes; 3]>>();
        match op {
            Op::Select | Op::Rare if args[0].count > 1 => {
                let is_zero = |c: Scalar| c.bits() == 0 && c.dtype() != Dtype::Bool;
                return Ok(match constants[2].is_some_and(is_zero) {
                    true => self.where_true(args[0], args[1]),
                    false => self.select(args[0], args[1], args[2]),
                });
            }
            Op::Cast(to) => return self.cast(args[0], to),
            Op::Lookup(column) => return self.lookup(column, args[0]),
            Op::Bitcast(to) if args[0].count > 1 && to != Dtype::Bool => {
                let registers = args[0].registers.iter().map(|&r| self.retype(r, vector_type(to)));
                return Ok(Lanes::new(to, args[0].count, to.size(), registers.collect()));
            }
            Op::Bitcast(Dtype::Bool) => return Ok(args[0].clone()),
            Op::Minimum | Op::Maximum if args[0].dtype.is_float() => {
                if let Some(bounded) = self.bound(op, args, constants)? {
                    return Ok(bounded);
                }
            }
            _ => {}
        }
        if args[0].count == 1 {
            let dtype = if op.rule() == Rule::Select {
                args[1].dtype
            } else {
                args[0].dtype
            };
            let scalars: Vec<Value> = args.iter().map(|a| a.first()).collect();
            let value = self.scalar_op(op, dtype, &scalars)?;
            return Ok(Lanes::scalar(result, value));
        }
        match args[0].dtype.kind() {
            Kind::Bool => self.mask_op(op, args),
            Kind::Float => self.float_op(op, result, args),
            Kind::Signed | Kind::Unsigned => self.int_op(op, result, args),
        }
    }

    /// The operands, those that are constants with their scalar where the op asks for one.
    fn uniform_operands(&mut self, op: Op, args: &[&Lanes], constants: &[Option<Scalar>]) -> SmallVec<[Lanes; 3]> {
        let wants_scalars = matches!(op, Op::Shl | Op::Shr) || !has_vector_form(op, args[0].dtype);
        args.iter()
            .zip(constants)
            .map(|(&arg, constant)| match constant {
                Some(value) if wants_scalars && arg.count > 1 => Lanes {
                    uniform: Some(self.scalar_const(*value)),
                    ..arg.clone()
                },
                _ => arg.clone(),
            })
            .collect()
    }

    /// An op done on each lane by itself.
    pub(super) fn each_lane(&mut self, op: Op, result: Dtype, args: &[&Lanes]) -> Result<Lanes, CodegenError> {
        let dtype = args[0].dtype;
        let scalars = (0..args[0].count)
            .map(|lane| {
                let operands: Vec<Value> = args.iter().map(|a| self.extract(a, lane)).collect();
                self.scalar_op(op, dtype, &operands)
            })
            .collect::<Result<Vec<Value>, CodegenError>>()?;
        Ok(self.gather(result, &scalars))
    }

    /// An op done register by register.
    fn each_register(
        &mut self,
        result: Dtype,
        args: &[&Lanes],
        mut op: impl FnMut(&mut Self, &[Value]) -> Value,
    ) -> Lanes {
        let registers = (0..args[0].registers.len())
            .map(|i| {
                let operands: Registers = args.iter().map(|a| a.registers[i]).collect();
                op(self, &operands)
            })
            .collect();
        Lanes::new(result, args[0].count, args[0].width, registers)
    }

    fn mask_op(&mut self, op: Op, args: &[&Lanes]) -> Result<Lanes, CodegenError> {
        let width = args[0].width;
        let masks: Vec<Lanes> = args.iter().map(|a| self.mask_to_width(a, width)).collect();
        let masks: Vec<&Lanes> = masks.iter().collect();
        let emit: fn(&mut Self, &[Value]) -> Value = match op {
            Op::Not => |e, v| e.b.ins().bnot(v[0]),
            Op::And => |e, v| e.b.ins().band(v[0], v[1]),
            Op::Or => |e, v| e.b.ins().bor(v[0], v[1]),
            Op::Xor | Op::Ne => |e, v| e.b.ins().bxor(v[0], v[1]),
            Op::Eq => |e, v| {
                let differ = e.b.ins().bxor(v[0], v[1]);
                e.b.ins().bnot(differ)
            },
            Op::Lt => |e, v| e.b.ins().band_not(v[1], v[0]),
            Op::Gt => |e, v| e.b.ins().band_not(v[0], v[1]),
            Op::Le => |e, v| {
                let greater = e.b.ins().band_not(v[0], v[1]);
                e.b.ins().bnot(greater)
            },
            Op::Ge => |e, v| {
                let less = e.b.ins().band_not(v[1], v[0]);
                e.b.ins().bnot(less)
            },
            _ => return Err(CodegenError::NotBasic { op }),
        };
        Ok(self.each_register(Dtype::Bool, &masks, emit))
    }

    fn float_op(&mut self, op: Op, result: Dtype, args: &[&Lanes]) -> Result<Lanes, CodegenError> {
        if let (Op::Gt | Op::Ge, &[x, y]) = (op, args) {
            // As `<`, which back ends know to be a minimum or a maximum when a select of its operands follows.
            let mirrored = if op == Op::Gt { Op::Lt } else { Op::Le };
            return self.float_op(mirrored, result, &[y, x]);
        }
        if let Some(compare) = float_compare(op) {
            return Ok(self.each_register(Dtype::Bool, args, |e, v| e.b.ins().fcmp(compare, v[0], v[1])));
        }
        let emit: fn(&mut Self, &[Value]) -> Value = match op {
            Op::Neg => |e, v| e.b.ins().fneg(v[0]),
            Op::Abs if self.is_x86_64() => |e, v| {
                // The code generator would make the mask of `fabs` anew each time.
                let ty = e.b.func.dfg.value_type(v[0]);
                let width = ty.lane_type().bytes() as usize;
                let mask = e.vector_const(ty, width, |_| u64::MAX >> (65 - 8 * width));
                e.b.ins().band(v[0], mask)
            },
            Op::Abs => |e, v| e.b.ins().fabs(v[0]),
            Op::Floor => |e, v| e.b.ins().floor(v[0]),
            Op::Ceil => |e, v| e.b.ins().ceil(v[0]),
            Op::Trunc => |e, v| e.b.ins().trunc(v[0]),
            Op::Round => |e, v| e.b.ins().nearest(v[0]),
            Op::Sqrt => |e, v| e.b.ins().sqrt(v[0]),
            Op::Add => |e, v| e.b.ins().fadd(v[0], v[1]),
            Op::Sub => |e, v| e.b.ins().fsub(v[0], v[1]),
            Op::Mul => |e, v| e.b.ins().fmul(v[0], v[1]),
            Op::Div => |e, v| e.b.ins().fdiv(v[0], v[1]),
            Op::Minimum => |e, v| e.b.ins().fmin(v[0], v[1]),
            Op::Maximum => |e, v| e.b.ins().fmax(v[0], v[1]),
            Op::Fma => |e, v| e.b.ins().fma(v[0], v[1], v[2]),
            _ => return self.each_lane(op, result, args),
        };
        Ok(self.each_register(result, args, emit))
    }

    fn int_op(&mut self, op: Op, result: Dtype, args: &[&Lanes]) -> Result<Lanes, CodegenError> {
        let dtype = args[0].dtype;
        let signed = dtype.kind() == Kind::Signed;
        if let Some(compare) = int_compare(op, dtype) {
            return Ok(self.each_register(Dtype::Bool, args, |e, v| e.compare(compare, dtype, v[0], v[1])));
        }
        let emit: fn(&mut Self, &[Value]) -> Value = match op {
            Op::Neg => |e, v| e.b.ins().ineg(v[0]),
            Op::Abs if signed => |e, v| e.b.ins().iabs(v[0]),
            Op::Abs => |_, v| v[0],
            Op::Not => |e, v| e.b.ins().bnot(v[0]),
            Op::Add => |e, v| e.b.ins().iadd(v[0], v[1]),
            Op::Sub => |e, v| e.b.ins().isub(v[0], v[1]),
            Op::Mul => |e, v| e.multiply(v[0], v[1]),
            Op::Fma => |e, v| {
                let product = e.multiply(v[0], v[1]);
                e.b.ins().iadd(product, v[2])
            },
            Op::And => |e, v| e.b.ins().band(v[0], v[1]),
            Op::Or => |e, v| e.b.ins().bor(v[0], v[1]),
            Op::Xor => |e, v| e.b.ins().bxor(v[0], v[1]),
            Op::Minimum | Op::Maximum => {
                let compare = match (op, signed) {
                    (Op::Minimum, true) => IntCC::SignedLessThan,
                    (Op::Minimum, false) => IntCC::UnsignedLessThan,
                    (_, true) => IntCC::SignedGreaterThan,
                    (_, false) => IntCC::UnsignedGreaterThan,
                };
                return Ok(self.each_register(dtype, args, |e, v| match compare {
                    _ if dtype.size() == 8 => {
                        let first = e.compare(compare, dtype, v[0], v[1]);
                        e.b.ins().bitselect(first, v[0], v[1])
                    }
                    IntCC::SignedLessThan => e.b.ins().smin(v[0], v[1]),
                    IntCC::UnsignedLessThan => e.b.ins().umin(v[0], v[1]),
                    IntCC::SignedGreaterThan => e.b.ins().smax(v[0], v[1]),
                    _ => e.b.ins().umax(v[0], v[1]),
                }));
            }
            // Vector shifts have one count for all lanes; Cranelift takes it modulo the width.
            Op::Shl | Op::Shr => {
                let Some(count) = args[1].uniform else {
                    return self.each_lane(op, result, args);
                };
                return Ok(self.each_register(dtype, &args[..1], |e, v| match (op, signed) {
                    (Op::Shl, _) => e.b.ins().ishl(v[0], count),
                    (_, true) => e.b.ins().sshr(v[0], count),
                    (_, false) => e.b.ins().ushr(v[0], count),
                }));
            }
            _ => return self.each_lane(op, result, args),
        };
        Ok(self.each_register(result, args, emit))
    }

    /// A comparison of integer lanes. Unsigned 64-bit ones have no instruction: flipping the sign bits makes them signed.
    fn compare(&mut self, compare: IntCC, dtype: Dtype, x: Value, y: Value) -> Value {
        let signed = match compare {
            IntCC::UnsignedLessThan => IntCC::SignedLessThan,
            IntCC::UnsignedLessThanOrEqual => IntCC::SignedLessThanOrEqual,
            IntCC::UnsignedGreaterThan => IntCC::SignedGreaterThan,
            IntCC::UnsignedGreaterThanOrEqual => IntCC::SignedGreaterThanOrEqual,
            other => return self.b.ins().icmp(other, x, y),
        };
        if dtype.size() < 8 {
            return self.b.ins().icmp(compare, x, y);
        }
        let sign = self.vector_const(types::I64X2, 8, |_| 1 << 63);
        let (x, y) = (self.b.ins().bxor(x, sign), self.b.ins().bxor(y, sign));
        self.b.ins().icmp(signed, x, y)
    }

    /// A product of integer lanes. Bytes have no instruction: they are multiplied as 16-bit lanes.
    fn multiply(&mut self, x: Value, y: Value) -> Value {
        if self.b.func.dfg.value_type(x) != types::I8X16 {
            return self.b.ins().imul(x, y);
        }
        let (x, y) = (Registers::from_slice(&[x]), Registers::from_slice(&[y]));
        let (x, y) = (self.widen(&x, 1, 16, false), self.widen(&y, 1, 16, false));
        let products = x.iter().zip(&y).map(|(&x, &y)| self.b.ins().imul(x, y)).collect();
        self.narrow(&products, 2, Narrowing::Wrap)[0]
    }

    pub(super) fn select(&mut self, condition: &Lanes, then: &Lanes, otherwise: &Lanes) -> Lanes {
        let width = then.width;
        let otherwise = match then.dtype {
            Dtype::Bool => self.mask_to_width(otherwise, width),
            _ => otherwise.clone(),
        };
        let condition = self.mask_to_width(condition, width);
        let ty = then.register_type();
        self.each_register(then.dtype, &[then, &otherwise, &condition], |e, v| {
            let mask = e.retype(v[2], ty);
            e.b.ins().bitselect(mask, v[0], v[1])
        })
        .with_width(width)
    }

    /// As [`Self::select`], with no bit set where the condition is false: an "and", where a choice takes three instructions.
    fn where_true(&mut self, condition: &Lanes, then: &Lanes) -> Lanes {
        let condition = self.mask_to_width(condition, then.width);
        let ty = then.register_type();
        self.each_register(then.dtype, &[then, &condition], |e, v| {
            let mask = e.retype(v[1], ty);
            e.b.ins().band(mask, v[0])
        })
        .with_width(then.width)
    }

    /// `minimum` or `maximum` of floats with a constant that is a number. The instruction for two unknown values costs seven
    /// to nine operations for the sake of NaN and of zeros of two signs; here a compare and a select do:
    ///
    /// | op | constant c | result |
    /// | --- | --- | --- |
    /// | `maximum` | any but +0 | `x < c ? c : x` |
    /// | `maximum` | +0, which is above x = −0 | `x <= c ? c : x` |
    /// | `minimum` | any but −0 | `x > c ? c : x` |
    /// | `minimum` | −0, which is below x = +0 | `x >= c ? c : x` |
    ///
    /// A NaN in x fails the comparison, and so is the result.
    fn bound(&mut self, op: Op, args: &[&Lanes], constants: &[Option<Scalar>]) -> Result<Option<Lanes>, CodegenError> {
        let (bound, x, c) = match constants {
            [_, Some(c)] if !c.is_nan() => (*c, args[0], args[1]),
            [Some(c), _] if !c.is_nan() => (*c, args[1], args[0]),
            _ => return Ok(None),
        };
        let zero = bound.as_f64() == 0.0;
        let negative = bound.as_f64().is_sign_negative();
        let compare = match op {
            Op::Maximum if zero && !negative => FloatCC::LessThanOrEqual,
            Op::Maximum => FloatCC::LessThan,
            _ if zero && negative => FloatCC::GreaterThanOrEqual,
            _ => FloatCC::GreaterThan,
        };
        if x.count == 1 {
            let below = self.b.ins().fcmp(compare, x.first(), c.first());
            let value = self.b.ins().select(below, c.first(), x.first());
            return Ok(Some(Lanes::scalar(x.dtype, value)));
        }
        let ty = x.register_type();
        let clears = compare == FloatCC::LessThanOrEqual;
        Ok(Some(self.each_register(x.dtype, &[x, c], |e, v| {
            let beyond = e.b.ins().fcmp(compare, v[0], v[1]);
            if clears {
                // +0 has no bit set, so to select it is to clear bits.
                let beyond = e.retype(beyond, ty);
                return e.b.ins().band_not(v[0], beyond);
            }
            let beyond = e.retype(beyond, ty);
            e.b.ins().bitselect(beyond, v[1], v[0])
        })))
    }

    /// The position of each lane: `base`, `base + 1` … as `i64`.
    pub(super) fn positions(&mut self, base: Value, count: usize) -> Lanes {
        if count == 1 {
            return Lanes::scalar(Dtype::I64, base);
        }
        let base = self.b.ins().splat(types::I64X2, base);
        let registers = (0..count / 2)
            .map(|i| {
                let offsets = self.vector_const(int_vector(8), 8, |lane| (2 * i + lane) as u64);
                self.b.ins().iadd(base, offsets)
            })
            .collect();
        Lanes::new(Dtype::I64, count, 8, registers)
    }
}

impl Lanes {
    fn with_width(self, width: usize) -> Lanes {
        Lanes { width, ..self }
    }
}
