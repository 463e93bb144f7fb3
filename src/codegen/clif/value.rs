//! Values in registers: the lanes of one value of a leaf, and conversions of their width.
//!
//! In: one value per lane, as one or more 128-bit registers, or one scalar register where a leaf has one lane. Out: the
//! same.
//!
//! A value of L lanes of s bytes takes ⌈L·s/16⌉ registers, lane 0 lowest; where L·s is less than 16 the lanes above hold
//! anything. A `bool` of several lanes is a mask, every bit of a lane alike, in lanes of whatever width made it; a single
//! `bool` is an `i8` of 0 or 1. Storage floats are their bits.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use loopweave_ir::{Dtype, Scalar};
use smallvec::{SmallVec, smallvec};

use super::emit::Emitter;

/// The registers of one value.
pub(super) type Registers = SmallVec<[Value; 4]>;

/// The lanes of one value.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    /// The type of each element.
    pub(super) dtype: Dtype,
    /// The number of lanes; with one, the register is scalar.
    pub(super) count: usize,
    /// Bytes of a lane: the dtype's, except that a mask can have any.
    pub(super) width: usize,
    /// The registers, low lanes first.
    pub(super) registers: Registers,
    /// The scalar that all lanes hold, where it is known to be one.
    pub(super) uniform: Option<Value>,
}

/// What becomes of an integer that does not fit a narrower lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Narrowing {
    /// The high bits are dropped.
    Wrap,
    /// Signed to the nearest signed value.
    SaturateSigned,
    /// Signed to the nearest unsigned value.
    SaturateUnsigned,
}

/// The type of a scalar register that holds an element.
pub(super) fn scalar_type(dtype: Dtype) -> Type {
    match dtype {
        Dtype::F32 => types::F32,
        Dtype::F64 => types::F64,
        other => int_type(other.size()),
    }
}

/// The integer type of this many bytes.
pub(super) fn int_type(bytes: usize) -> Type {
    match bytes {
        1 => types::I8,
        2 => types::I16,
        4 => types::I32,
        _ => types::I64,
    }
}

/// The vector type of integers of this many bytes.
pub(super) fn int_vector(bytes: usize) -> Type {
    match bytes {
        1 => types::I8X16,
        2 => types::I16X8,
        4 => types::I32X4,
        _ => types::I64X2,
    }
}

/// The vector type that holds elements of a dtype; not for masks.
pub(super) fn vector_type(dtype: Dtype) -> Type {
    match dtype {
        Dtype::F32 => types::F32X4,
        Dtype::F64 => types::F64X2,
        other => int_vector(other.size()),
    }
}

/// Flags of a bitcast, which only moves bits: lane 0 is the lowest.
pub(super) fn bits() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

/// The number of registers of some lanes.
pub(super) fn registers(count: usize, width: usize) -> usize {
    if count == 1 { 1 } else { (count * width).div_ceil(16) }
}

/// The width at which a mask of this many lanes fills one register.
pub(super) fn mask_width(count: usize) -> usize {
    if count == 1 { 1 } else { (16 / count).clamp(1, 8) }
}

impl Lanes {
    /// A value in a scalar register.
    pub(super) fn scalar(dtype: Dtype, value: Value) -> Lanes {
        Lanes {
            dtype,
            count: 1,
            width: dtype.size(),
            registers: smallvec![value],
            uniform: Some(value),
        }
    }

    /// A value in vector registers, or in a scalar one for a single lane.
    pub(super) fn new(dtype: Dtype, count: usize, width: usize, registers: Registers) -> Lanes {
        Lanes {
            dtype,
            count,
            width,
            registers,
            uniform: None,
        }
    }

    /// The type of its registers.
    pub(super) fn register_type(&self) -> Type {
        match (self.count, self.dtype) {
            (1, dtype) => scalar_type(dtype),
            (_, Dtype::Bool) => int_vector(self.width),
            (_, dtype) => vector_type(dtype),
        }
    }

    /// The first register.
    pub(super) fn first(&self) -> Value {
        self.registers[0]
    }
}

impl Emitter<'_> {
    /// A constant in a scalar register.
    pub(super) fn scalar_const(&mut self, value: Scalar) -> Value {
        match value.dtype() {
            Dtype::F32 => self.b.ins().f32const(f32::from_bits(value.bits() as u32)),
            Dtype::F64 => self.b.ins().f64const(f64::from_bits(value.bits())),
            dtype => self.b.ins().iconst(scalar_type(dtype), value.bits() as i64),
        }
    }

    /// A constant in every lane.
    pub(super) fn splat_const(&mut self, value: Scalar, count: usize) -> Lanes {
        let dtype = value.dtype();
        if count == 1 {
            let value = self.scalar_const(value);
            return Lanes::scalar(dtype, value);
        }
        let (width, lane) = match dtype {
            Dtype::Bool => (mask_width(count), if value.as_bool() { u64::MAX } else { 0 }),
            dtype => (dtype.size(), value.bits()),
        };
        let ty = if dtype == Dtype::Bool {
            int_vector(width)
        } else {
            vector_type(dtype)
        };
        let register = self.vector_const(ty, width, |_| lane);
        Lanes::new(dtype, count, width, smallvec![register; registers(count, width)])
    }

    /// A vector constant, lane by lane.
    pub(super) fn vector_const(&mut self, ty: Type, width: usize, lane: impl Fn(usize) -> u64) -> Value {
        let mut bytes = [0; 16];
        for (i, chunk) in bytes.chunks_mut(width).enumerate() {
            chunk.copy_from_slice(&lane(i).to_le_bytes()[..width]);
        }
        let constant = self.b.func.dfg.constants.insert(bytes.as_slice().into());
        self.b.ins().vconst(ty, constant)
    }

    /// A scalar in every lane.
    pub(super) fn splat(&mut self, dtype: Dtype, value: Value, count: usize) -> Lanes {
        if count == 1 {
            return Lanes::scalar(dtype, value);
        }
        let (width, register) = if dtype == Dtype::Bool {
            // 0 or 1 becomes 0 or −1 at the mask's width.
            let width = mask_width(count);
            let wide = if width == 1 {
                value
            } else {
                self.b.ins().uextend(int_type(width), value)
            };
            let mask = self.b.ins().ineg(wide);
            (width, self.b.ins().splat(int_vector(width), mask))
        } else {
            (dtype.size(), self.b.ins().splat(vector_type(dtype), value))
        };
        Lanes {
            uniform: Some(value),
            ..Lanes::new(dtype, count, width, smallvec![register; registers(count, width)])
        }
    }

    /// The same bits in a register of another type.
    pub(super) fn retype(&mut self, value: Value, ty: Type) -> Value {
        if self.b.func.dfg.value_type(value) == ty {
            value
        } else {
            self.b.ins().bitcast(ty, bits(), value)
        }
    }

    /// One element as a scalar.
    pub(super) fn extract(&mut self, value: &Lanes, lane: usize) -> Value {
        if value.count == 1 {
            return value.first();
        }
        if let Some(uniform) = value.uniform {
            return uniform;
        }
        let per_register = 16 / value.width;
        let register = value.registers[lane / per_register];
        let element = self.b.ins().extractlane(register, (lane % per_register) as u8);
        if value.dtype != Dtype::Bool {
            return element;
        }
        self.b.ins().icmp_imm_s(IntCC::NotEqual, element, 0)
    }

    /// Lanes from one scalar each.
    pub(super) fn gather(&mut self, dtype: Dtype, scalars: &[Value]) -> Lanes {
        if let [value] = scalars {
            return Lanes::scalar(dtype, *value);
        }
        let width = dtype.size();
        let ty = vector_type(dtype);
        let registers = scalars
            .chunks(16 / width)
            .map(|chunk| {
                let mut register = self.low_lane(ty, chunk[0]);
                for (lane, &value) in chunk.iter().enumerate().skip(1) {
                    register = self.b.ins().insertlane(register, value, lane as u8);
                }
                register
            })
            .collect();
        let lanes = Lanes::new(dtype, scalars.len(), width, registers);
        if dtype == Dtype::Bool {
            self.mask_from_bytes(lanes)
        } else {
            lanes
        }
    }

    /// A register with the scalar in lane 0. The back ends take scalars of 32 and 64 bits there.
    fn low_lane(&mut self, ty: Type, value: Value) -> Value {
        if ty.lane_bits() >= 32 {
            return self.b.ins().scalar_to_vector(ty, value);
        }
        let wide = self.b.ins().uextend(types::I32, value);
        let register = self.b.ins().scalar_to_vector(types::I32X4, wide);
        self.retype(register, ty)
    }

    /// A mask from bytes of 0 and 1.
    pub(super) fn mask_from_bytes(&mut self, mut bytes: Lanes) -> Lanes {
        for register in &mut bytes.registers {
            let zero = self.vector_const(types::I8X16, 1, |_| 0);
            *register = self.b.ins().icmp(IntCC::NotEqual, *register, zero);
        }
        bytes
    }

    /// A mask in lanes of another width.
    pub(super) fn mask_to_width(&mut self, mask: &Lanes, width: usize) -> Lanes {
        if mask.count == 1 || mask.width == width {
            return mask.clone();
        }
        let mut registers = mask.registers.clone();
        let mut at = mask.width;
        while at < width {
            registers = self.widen(&registers, at, mask.count, true);
            at *= 2;
        }
        while at > width {
            // A mask is 0 or −1, which no narrowing changes; this is the cheapest.
            registers = self.narrow(&registers, at, Narrowing::SaturateSigned);
            at /= 2;
        }
        Lanes {
            width,
            registers,
            ..mask.clone()
        }
    }

    /// Integer lanes of `from` bytes in lanes of twice that.
    pub(super) fn widen(&mut self, registers: &Registers, from: usize, count: usize, signed: bool) -> Registers {
        let needed = self::registers(count, 2 * from);
        let mut wide = Registers::new();
        for &register in registers {
            wide.push(match signed {
                true => self.b.ins().swiden_low(register),
                false => self.b.ins().uwiden_low(register),
            });
            if wide.len() < needed {
                wide.push(match signed {
                    true => self.b.ins().swiden_high(register),
                    false => self.b.ins().uwiden_high(register),
                });
            }
        }
        wide
    }

    /// Integer lanes of `from` bytes in lanes of half that.
    ///
    /// From 8 bytes there is no saturating form: only values that fit, or wrapping, may come here.
    pub(super) fn narrow(&mut self, registers: &Registers, from: usize, narrowing: Narrowing) -> Registers {
        let wide: Registers = match (from, narrowing) {
            (2 | 4, Narrowing::Wrap) => {
                // Without the high half the value is one that unsigned saturation leaves as it is.
                let mask = self.vector_const(int_vector(from), from, |_| (1 << (4 * from)) - 1);
                registers.iter().map(|&r| self.b.ins().band(r, mask)).collect()
            }
            _ => registers.clone(),
        };
        wide.chunks(2)
            .map(|pair| {
                let (low, high) = (pair[0], pair[pair.len() - 1]);
                match (from, narrowing) {
                    (8, _) => self.even_words(low, high),
                    (_, Narrowing::SaturateSigned) => self.b.ins().snarrow(low, high),
                    (_, Narrowing::Wrap | Narrowing::SaturateUnsigned) => self.b.ins().unarrow(low, high),
                }
            })
            .collect()
    }

    /// The even 32-bit lanes of two registers, as `i32x4`.
    pub(super) fn even_words(&mut self, low: Value, high: Value) -> Value {
        let low = self.retype(low, types::I8X16);
        let high = self.retype(high, types::I8X16);
        let words = self.shuffle_words(low, high, [0, 2, 4, 6]);
        self.retype(words, types::I32X4)
    }

    /// 32-bit lanes chosen from two registers of bytes: 0 … 3 of the first, 4 … 7 of the second.
    pub(super) fn shuffle_words(&mut self, low: Value, high: Value, words: [u8; 4]) -> Value {
        let bytes: Vec<u8> = words.iter().flat_map(|w| (0..4).map(move |b| 4 * w + b)).collect();
        let mask = self.b.func.dfg.immediates.push(bytes.as_slice().into());
        self.b.ins().shuffle(low, high, mask)
    }
}
