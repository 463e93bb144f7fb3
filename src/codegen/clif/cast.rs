//! Casts of vectors between dtypes.
//!
//! In: lanes of one dtype. Out: as many of another, by the rules of [`loopweave_ir::op`]. Pairs without vector instructions
//! (64-bit integers and floats) go lane by lane.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, types};
use loopweave_ir::{Dtype, Kind, Scalar};

use super::emit::Emitter;
use super::value::{Lanes, Narrowing, Registers, int_vector, registers, vector_type};
use crate::codegen::CodegenError;

impl Emitter<'_> {
    /// The lanes converted to `to`.
    pub(super) fn cast(&mut self, value: &Lanes, to: Dtype) -> Result<Lanes, CodegenError> {
        let from = value.dtype;
        if from == to {
            return Ok(value.clone());
        }
        let count = value.count;
        if count == 1 {
            let value = self.scalar_cast(value.first(), from, to);
            return Ok(Lanes::scalar(to, value));
        }
        let lanes = |registers| Lanes::new(to, count, to.size(), registers);
        Ok(match (from.kind(), to.kind()) {
            (Kind::Bool, _) => self.mask_to_number(value, to),
            (_, Kind::Bool) => self.is_not_zero(value),
            (Kind::Float, Kind::Float) if from == Dtype::F32 => lanes(self.promote(&value.registers, count)),
            (Kind::Float, Kind::Float) => lanes(self.demote(&value.registers)),
            (Kind::Signed | Kind::Unsigned, Kind::Signed | Kind::Unsigned) => {
                lanes(self.resize_lanes(value, to.size()))
            }
            (Kind::Float, _) if to.size() == 8 || (from == Dtype::F64 && to == Dtype::U32) => {
                return self.each_lane(loopweave_ir::Op::Cast(to), to, &[value]);
            }
            (Kind::Float, _) => lanes(self.float_to_small_int(value, to)),
            (_, Kind::Float) if from.size() == 8 => {
                return self.each_lane(loopweave_ir::Op::Cast(to), to, &[value]);
            }
            (_, Kind::Float) => lanes(self.small_int_to_float(value, to)),
        })
    }

    /// 0 or 1 of a number type from a mask.
    fn mask_to_number(&mut self, mask: &Lanes, to: Dtype) -> Lanes {
        let mask = self.mask_to_width(mask, to.size());
        let one = Scalar::from_i128(to, 1);
        let one = self.vector_const(int_vector(to.size()), to.size(), |_| one.bits());
        let registers = mask
            .registers
            .iter()
            .map(|&register| {
                let value = self.b.ins().band(register, one);
                self.retype(value, vector_type(to))
            })
            .collect();
        Lanes::new(to, mask.count, to.size(), registers)
    }

    /// Whether each lane is not zero; a NaN is not.
    fn is_not_zero(&mut self, value: &Lanes) -> Lanes {
        let zero = self.vector_const(value.register_type(), value.width, |_| 0);
        let registers = value
            .registers
            .iter()
            .map(|&register| match value.dtype.is_float() {
                true => self.b.ins().fcmp(FloatCC::NotEqual, register, zero),
                false => self.b.ins().icmp(IntCC::NotEqual, register, zero),
            })
            .collect();
        Lanes::new(Dtype::Bool, value.count, value.width, registers)
    }

    /// Integers in lanes of another size: extended by their sign, or cut.
    fn resize_lanes(&mut self, value: &Lanes, size: usize) -> Registers {
        let mut registers = value.registers.clone();
        let mut at = value.width;
        while at < size {
            registers = self.widen(&registers, at, value.count, value.dtype.kind() == Kind::Signed);
            at *= 2;
        }
        while at > size {
            registers = self.narrow(&registers, at, Narrowing::Wrap);
            at /= 2;
        }
        registers
    }

    fn promote(&mut self, values: &Registers, count: usize) -> Registers {
        let needed = registers(count, 8);
        let mut wide = Registers::new();
        for &value in values {
            wide.push(self.b.ins().fvpromote_low(value));
            if wide.len() < needed {
                let bytes = self.retype(value, types::I8X16);
                let high = self.shuffle_words(bytes, bytes, [2, 3, 2, 3]);
                let high = self.retype(high, types::F32X4);
                wide.push(self.b.ins().fvpromote_low(high));
            }
        }
        wide
    }

    fn demote(&mut self, values: &Registers) -> Registers {
        values
            .chunks(2)
            .map(|pair| {
                let low = self.b.ins().fvdemote(pair[0]);
                let Some(&high) = pair.get(1) else { return low };
                let high = self.b.ins().fvdemote(high);
                let low = self.retype(low, types::I8X16);
                let high = self.retype(high, types::I8X16);
                let both = self.shuffle_words(low, high, [0, 1, 4, 5]);
                self.retype(both, types::F32X4)
            })
            .collect()
    }

    /// Floats to integers of at most 32 bits: to `i32` (or `u32`) first, saturating at each step.
    fn float_to_small_int(&mut self, value: &Lanes, to: Dtype) -> Registers {
        let mut values: Registers = match value.dtype {
            Dtype::F64 => self.doubles_to_ints(&value.registers),
            _ if to == Dtype::U32 => {
                let convert = |e: &mut Self, r| e.b.ins().fcvt_to_uint_sat(types::I32X4, r);
                value.registers.iter().map(|&r| convert(self, r)).collect()
            }
            _ => {
                let convert = |e: &mut Self, r| e.b.ins().fcvt_to_sint_sat(types::I32X4, r);
                value.registers.iter().map(|&r| convert(self, r)).collect()
            }
        };
        let mut at = 4;
        while at > to.size() {
            // Only the last step may go to unsigned: the steps before keep the sign that saturation looks at.
            let last = at / 2 == to.size();
            let narrowing = match to.kind() {
                Kind::Unsigned if last => Narrowing::SaturateUnsigned,
                _ => Narrowing::SaturateSigned,
            };
            values = self.narrow(&values, at, narrowing);
            at /= 2;
        }
        values
    }

    fn doubles_to_ints(&mut self, values: &Registers) -> Registers {
        values
            .chunks(2)
            .map(|pair| {
                // The two instructions together are the one pattern that the x86-64 back end knows.
                let halves: Registers = pair
                    .iter()
                    .map(|&r| {
                        let wide = self.b.ins().fcvt_to_sint_sat(types::I64X2, r);
                        let zero = self.vector_const(types::I64X2, 8, |_| 0);
                        self.b.ins().snarrow(wide, zero)
                    })
                    .collect();
                let &[low, high] = halves.as_slice() else {
                    return halves[0];
                };
                let low = self.retype(low, types::I8X16);
                let high = self.retype(high, types::I8X16);
                let both = self.shuffle_words(low, high, [0, 1, 4, 5]);
                self.retype(both, types::I32X4)
            })
            .collect()
    }

    /// Integers of at most 32 bits to floats.
    fn small_int_to_float(&mut self, value: &Lanes, to: Dtype) -> Registers {
        // Narrower unsigned values fit `i32`, whose conversion is one instruction.
        let unsigned = value.dtype == Dtype::U32;
        let ints = self.resize_lanes(value, 4);
        if to == Dtype::F32 {
            let convert = |e: &mut Self, r| match unsigned {
                true => e.b.ins().fcvt_from_uint(types::F32X4, r),
                false => e.b.ins().fcvt_from_sint(types::F32X4, r),
            };
            return ints.iter().map(|&r| convert(self, r)).collect();
        }
        let needed = registers(value.count, 8);
        let mut wide = Registers::new();
        for &register in &ints {
            let bytes = self.retype(register, types::I8X16);
            let high = self.shuffle_words(bytes, bytes, [2, 3, 2, 3]);
            let high = self.retype(high, types::I32X4);
            for half in [register, high] {
                if wide.len() == needed {
                    break;
                }
                wide.push(if unsigned {
                    let half = self.b.ins().uwiden_low(half);
                    self.b.ins().fcvt_from_uint(types::F64X2, half)
                } else {
                    let half = self.b.ins().swiden_low(half);
                    self.b.ins().fcvt_from_sint(types::F64X2, half)
                });
            }
        }
        wide
    }
}
