//! Values: one register for one value of each lane, and how they come from and go to memory.
//!
//! In: elements, constants and masks. Out: [`Lanes`] in virtual registers of an [`Assembly`].
//!
//! All values of a leaf have the same number of lanes, as many as the widest of them fills a register with; narrower ones fill
//! a part of theirs. A `bool` is a mask: with AVX-512 a bit a lane, of which those above the last lane mean nothing; with
//! AVX2 lanes of all ones or zeros, as wide as those of the widest values.

use std::collections::HashMap;

use iced_x86::Code;
use loopweave_ir::{Dtype, Op, Scalar};

use super::asm::{Arg, Assembly, BlockId, ConstId, Inst, Memory, Reg};
use super::division::Quotient;
use super::isa::{self, Isa, Row, by_size};
use super::long_division::LongDivision;
use super::lookup::Lookups;

/// Why a leaf is not this emitter's: an op for which the vectors have no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) op: Op,
}

pub(super) type Selected<T> = Result<T, Gap>;

/// One value of each lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    pub(super) dtype: Dtype,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// Elements in a vector register, or the lanes of a mask.
    Register(Reg),
    /// The same in all lanes.
    Const(Scalar),
}

impl Lanes {
    pub(super) fn new(dtype: Dtype, reg: Reg) -> Lanes {
        Lanes {
            dtype,
            place: Place::Register(reg),
        }
    }

    /// The register, if it is in one.
    pub(super) fn register(&self) -> Option<Reg> {
        match self.place {
            Place::Register(reg) => Some(reg),
            Place::Const(_) => None,
        }
    }

    pub(super) fn as_const(&self) -> Option<Scalar> {
        match self.place {
            Place::Const(value) => Some(value),
            Place::Register(_) => None,
        }
    }
}

/// The last operand of an instruction, which may be in memory: there, one element for all lanes if the flag says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rm {
    arg: Arg,
    broadcast: bool,
}

impl From<Reg> for Rm {
    fn from(reg: Reg) -> Rm {
        Rm {
            arg: Arg::Use(reg),
            broadcast: false,
        }
    }
}

/// An assembly in the making, for one instruction set and number of lanes.
pub(super) struct Selector {
    pub(super) asm: Assembly,
    pub(super) isa: Isa,
    pub(super) lanes: usize,
    /// Vectors per iteration of its main loop.
    pub(super) vectors: usize,
    /// How many of them are computed abreast.
    pub(super) abreast: usize,
    /// The block that sets up what stays in registers.
    entry: BlockId,
    /// Constants in registers, by bits and bytes of a lane.
    hoisted: HashMap<(u64, usize), Reg>,
    /// How many more there may be.
    pub(super) room: usize,
    /// The last quotient of integers, and the last one of those of 64 bits.
    pub(super) quotient: Option<Quotient>,
    pub(super) long_division: Option<LongDivision>,
    /// What has been read of tables.
    pub(super) lookups: Lookups,
}

impl Selector {
    /// At the beginning of a function whose values have at most `widest` bytes, with room in registers for so many constants.
    pub(super) fn new(isa: Isa, widest: usize, room: usize) -> Selector {
        let asm = Assembly::new();
        Selector {
            entry: asm.current(),
            asm,
            isa,
            lanes: isa.bytes() / widest,
            vectors: 1,
            abreast: 1,
            hoisted: HashMap::new(),
            room,
            quotient: None,
            long_division: None,
            lookups: Lookups::default(),
        }
    }

    /// Bytes of a register that holds a value of this many bytes a lane.
    pub(super) fn register_bytes(&self, size: usize) -> usize {
        (self.lanes * size).max(16)
    }

    /// Bytes of a mask's lane, where masks are vectors.
    pub(super) fn mask_size(&self) -> usize {
        self.isa.bytes() / self.lanes
    }

    pub(super) fn code(&self, row: Row, bytes: usize, op: Op) -> Selected<Code> {
        row.code(self.isa, bytes).ok_or(Gap { op })
    }

    // Instructions whose existence is certain take no op to blame.
    pub(super) fn sure(&self, row: Row, bytes: usize) -> Code {
        row.code(self.isa, bytes).unwrap_or(Code::INVALID)
    }

    /// A new register of `bytes` set by an instruction of operands.
    pub(super) fn set(&mut self, code: Code, bytes: usize, operands: &[Arg], rm: Rm, byte: Option<u8>) -> Reg {
        let to = self.asm.vector(bytes);
        self.set_to(to, code, operands, rm, byte)
    }

    pub(super) fn set_to(&mut self, to: Reg, code: Code, operands: &[Arg], rm: Rm, byte: Option<u8>) -> Reg {
        let mut inst = Inst::new(code, &[Arg::Def(to)]);
        inst.args.extend_from_slice(operands);
        inst.args.push(rm.arg);
        inst.args.extend(byte.map(Arg::Byte));
        inst.broadcast = rm.broadcast;
        self.asm.push(inst);
        to
    }

    /// An instruction that reads and overwrites its first operand.
    pub(super) fn update(&mut self, from: Reg, code: Code, factor: Reg, last: Rm, byte: Option<u8>) -> Reg {
        let to = self.asm.like(from);
        let mut inst = Inst::new(code, &[Arg::Update { from, to }, Arg::Use(factor), last.arg]);
        inst.args.extend(byte.map(Arg::Byte));
        inst.broadcast = last.broadcast;
        self.asm.push(inst);
        to
    }

    /// An instruction of one operand.
    pub(super) fn unary(&mut self, op: Op, row: Row, size: usize, x: impl Into<Rm>) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        let code = self.code(row, bytes, op)?;
        Ok(self.set(code, bytes, &[], x.into(), None))
    }

    /// An instruction of one operand and a byte.
    pub(super) fn unary_byte(&mut self, op: Op, row: Row, size: usize, x: impl Into<Rm>, byte: u8) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        let code = self.code(row, bytes, op)?;
        // Shifts by a constant name their result first in VEX and EVEX alike.
        Ok(self.set(code, bytes, &[], x.into(), Some(byte)))
    }

    /// An instruction of two operands.
    pub(super) fn binary(&mut self, op: Op, row: Row, size: usize, x: Reg, y: impl Into<Rm>) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        let code = self.code(row, bytes, op)?;
        Ok(self.set(code, bytes, &[Arg::Use(x)], y.into(), None))
    }

    /// An instruction of two operands that there is, on registers of so many bytes.
    pub(super) fn sure_binary(&mut self, row: Row, bytes: usize, x: Reg, y: Reg) -> Reg {
        let code = self.sure(row, bytes);
        self.set(code, bytes, &[Arg::Use(x)], y.into(), None)
    }

    /// The value in a register.
    pub(super) fn reg(&mut self, value: &Lanes) -> Reg {
        match value.place {
            Place::Register(reg) => reg,
            Place::Const(scalar) if value.dtype == Dtype::Bool => self.constant_mask(scalar.as_bool()),
            Place::Const(scalar) => self.splat(scalar.bits(), value.dtype.size()),
        }
    }

    /// The value as a last operand.
    pub(super) fn rm(&mut self, value: &Lanes) -> Rm {
        let (size, Some(scalar)) = (value.dtype.size(), value.as_const()) else {
            return self.reg(value).into();
        };
        let stays = self.room > 0 || self.hoisted.contains_key(&(scalar.bits(), size));
        if value.dtype == Dtype::Bool || stays || (self.isa == Isa::Avx512 && size < 4) {
            return self.reg(value).into();
        }
        let copies = match self.isa {
            Isa::Avx512 => 1,
            Isa::Avx2 => self.register_bytes(size) / size,
        };
        let constant = self.pool(scalar.bits(), size, copies);
        Rm {
            arg: Arg::Const(constant),
            broadcast: self.isa == Isa::Avx512,
        }
    }

    /// A constant in memory: some copies of so many low bytes.
    pub(super) fn pool(&mut self, bits: u64, size: usize, copies: usize) -> ConstId {
        let bytes = bits.to_le_bytes()[..size].repeat(copies);
        self.asm.constant(bytes)
    }

    /// The same bits in all lanes of `size` bytes, from a register that stays if there is room.
    pub(super) fn splat(&mut self, bits: u64, size: usize) -> Reg {
        if let Some(&reg) = self.hoisted.get(&(bits, size)) {
            return reg;
        }
        let constant = self.pool(bits, size, 1);
        if self.room == 0 {
            return self.broadcast(Arg::Const(constant), size);
        }
        self.room -= 1;
        let reg = self.at_entry(|s| s.broadcast(Arg::Const(constant), size));
        self.hoisted.insert((bits, size), reg);
        reg
    }

    /// What stands in the block that sets up what stays in registers.
    pub(super) fn at_entry<T>(&mut self, emit: impl FnOnce(&mut Selector) -> T) -> T {
        let here = self.asm.current();
        self.asm.switch_to(self.entry);
        let done = emit(self);
        self.asm.switch_to(here);
        done
    }

    /// One element, of memory or the first of a register, in all lanes.
    pub(super) fn broadcast(&mut self, from: Arg, size: usize) -> Reg {
        let rows = [isa::SPLAT8, isa::SPLAT16, isa::SPLAT32, isa::SPLAT64];
        let bytes = self.register_bytes(size);
        let code = self.sure(by_size(rows, size), bytes);
        let rm = Rm {
            arg: from,
            broadcast: false,
        };
        self.set(code, bytes, &[], rm, None)
    }

    /// A constant vector of 16 to 64 bytes.
    pub(super) fn vector_const(&mut self, bytes: Vec<u8>) -> Reg {
        let width = bytes.len();
        let constant = self.asm.constant(bytes);
        let code = self.sure(isa::LOAD, width);
        let rm = Rm {
            arg: Arg::Const(constant),
            broadcast: false,
        };
        self.set(code, width, &[], rm, None)
    }

    pub(super) fn constant_mask(&mut self, value: bool) -> Reg {
        let bits = if value { u64::MAX } else { 0 };
        match self.isa {
            Isa::Avx2 => self.splat(bits, self.mask_size()),
            Isa::Avx512 => {
                let constant = self.pool(bits, 8, 1);
                let to = self.asm.mask();
                let args = [Arg::Def(to), Arg::Const(constant)];
                self.asm.emit(Code::VEX_Kmovq_kr_km64, &args);
                to
            }
        }
    }

    // Masks.

    /// A mask from lanes of all ones or zeros.
    pub(super) fn mask_from(&mut self, op: Op, lanes: Reg, size: usize) -> Selected<Reg> {
        self.resize(op, lanes, size, self.mask_size(), true)
    }

    /// A mask for an instruction on lanes of this many bytes.
    pub(super) fn mask_for(&mut self, op: Op, mask: Reg, size: usize) -> Selected<Reg> {
        match self.isa {
            Isa::Avx512 => Ok(mask),
            Isa::Avx2 => self.resize(op, mask, self.mask_size(), size, true),
        }
    }

    /// Sets the zero flag if no lane of a mask is set, and with AVX-512 the carry flag if all lanes are.
    pub(super) fn test(&mut self, mask: Reg) {
        let (code, mask) = match (self.isa, self.lanes) {
            (Isa::Avx2, _) => (Code::VEX_Vptest_ymm_ymmm256, mask.as_bytes(32)),
            (Isa::Avx512, 8) => (Code::VEX_Kortestb_kr_kr, mask),
            (Isa::Avx512, 16) => (Code::VEX_Kortestw_kr_kr, mask),
            (Isa::Avx512, 32) => (Code::VEX_Kortestd_kr_kr, mask),
            (Isa::Avx512, _) => (Code::VEX_Kortestq_kr_kr, mask),
        };
        self.asm.emit(code, &[Arg::Use(mask), Arg::Use(mask)]);
    }

    /// An op of two masks; `AndNot` is the second without the first.
    pub(super) fn logic(&mut self, logic: Logic, a: Reg, b: Reg) -> Reg {
        match self.isa {
            Isa::Avx512 => {
                let code = match logic {
                    Logic::And => Code::VEX_Kandq_kr_kr_kr,
                    Logic::Or => Code::VEX_Korq_kr_kr_kr,
                    Logic::Xor => Code::VEX_Kxorq_kr_kr_kr,
                    Logic::AndNot => Code::VEX_Kandnq_kr_kr_kr,
                };
                let to = self.asm.mask();
                self.asm.emit(code, &[Arg::Def(to), Arg::Use(a), Arg::Use(b)]);
                to
            }
            Isa::Avx2 => {
                let row = match logic {
                    Logic::And => isa::AND32,
                    Logic::Or => isa::OR32,
                    Logic::Xor => isa::XOR32,
                    Logic::AndNot => isa::AND_NOT32,
                };
                let code = self.sure(row, 32);
                self.set(code, 32, &[Arg::Use(a)], b.into(), None)
            }
        }
    }

    pub(super) fn not(&mut self, mask: Reg) -> Reg {
        if self.isa == Isa::Avx512 {
            let to = self.asm.mask();
            self.asm.emit(Code::VEX_Knotq_kr_kr, &[Arg::Def(to), Arg::Use(mask)]);
            return to;
        }
        let ones = self.constant_mask(true);
        self.logic(Logic::Xor, mask, ones)
    }

    /// `then` where a mask is set, else `otherwise`; both of `size` bytes a lane.
    pub(super) fn blend(&mut self, mask: Reg, then: impl Into<Rm>, otherwise: Reg, size: usize) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        let to = self.asm.vector(bytes);
        let then = then.into();
        let mut inst;
        match self.isa {
            Isa::Avx512 => {
                let rows = [isa::BLEND8, isa::BLEND16, isa::BLEND32, isa::BLEND64];
                let code = self.sure(by_size(rows, size), bytes);
                inst = Inst::new(code, &[Arg::Def(to), Arg::Use(otherwise), then.arg]).merging(mask);
                inst.broadcast = then.broadcast;
            }
            Isa::Avx2 => {
                let mask = self.mask_for(Op::Select, mask, size)?.as_bytes(bytes);
                let code = self.sure(isa::BLEND, bytes);
                inst = Inst::new(code, &[Arg::Def(to), Arg::Use(otherwise), then.arg, Arg::Use(mask)]);
            }
        }
        self.asm.push(inst);
        Ok(to)
    }

    /// The value where a mask is set, else zeros.
    pub(super) fn keep(&mut self, mask: Reg, value: Reg, size: usize) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        if self.isa == Isa::Avx2 {
            let mask = self.mask_for(Op::Select, mask, size)?.as_bytes(bytes);
            let code = self.sure(isa::AND32, bytes);
            return Ok(self.set(code, bytes, &[Arg::Use(mask)], value.into(), None));
        }
        let rows = [isa::LOAD8, isa::LOAD16, isa::LOAD32, isa::LOAD64];
        let code = self.sure(by_size(rows, size), bytes);
        let to = self.asm.vector(bytes);
        self.asm
            .push(Inst::new(code, &[Arg::Def(to), Arg::Use(value)]).zeroing(mask));
        Ok(to)
    }

    // Memory.

    /// Elements from memory: all lanes, or those of a mask.
    pub(super) fn load(&mut self, dtype: Dtype, from: Memory, tail: Option<&Tail>) -> Selected<Lanes> {
        let size = dtype.size();
        let reg = self.load_bytes(size, from, tail)?;
        Ok(Lanes::new(
            dtype,
            match dtype {
                Dtype::Bool => self.mask_of_bytes(reg)?,
                _ => reg,
            },
        ))
    }

    fn load_bytes(&mut self, size: usize, from: Memory, tail: Option<&Tail>) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        let filled = self.lanes * size;
        let Some(tail) = tail else {
            let code = match (filled, self.isa) {
                (4, Isa::Avx2) => Code::VEX_Vmovd_xmm_rm32,
                (4, Isa::Avx512) => Code::EVEX_Vmovd_xmm_rm32,
                (8, Isa::Avx2) => Code::VEX_Vmovq_xmm_xmmm64,
                (8, Isa::Avx512) => Code::EVEX_Vmovq_xmm_xmmm64,
                _ => self.sure(isa::LOAD, bytes),
            };
            let to = self.asm.vector(bytes);
            self.asm.emit(code, &[Arg::Def(to), Arg::Memory(from)]);
            return Ok(to);
        };
        let to = self.asm.vector(bytes);
        match self.isa {
            Isa::Avx512 => {
                let rows = [isa::LOAD8, isa::LOAD16, isa::LOAD32, isa::LOAD64];
                let code = self.sure(by_size(rows, size), bytes);
                let inst = Inst::new(code, &[Arg::Def(to), Arg::Memory(from)]);
                self.asm.push(inst.zeroing(tail.lanes));
            }
            Isa::Avx2 => {
                let (row, mask) = match size {
                    4 => (isa::MASKED_LOAD32, tail.lanes32),
                    8 => (isa::MASKED_LOAD64, tail.lanes64),
                    _ => return Ok(self.load_part(size, from, tail.count)),
                };
                let code = self.sure(row, bytes);
                let mask = Arg::Use(mask.as_bytes(bytes));
                self.asm.emit(code, &[Arg::Def(to), mask, Arg::Memory(from)]);
            }
        }
        Ok(to)
    }

    /// One element for all lanes, from memory.
    pub(super) fn load_uniform(&mut self, dtype: Dtype, from: Memory) -> Selected<Lanes> {
        let reg = self.broadcast(Arg::Memory(from), dtype.size());
        Ok(Lanes::new(
            dtype,
            match dtype {
                Dtype::Bool => self.mask_of_bytes(reg)?,
                _ => reg,
            },
        ))
    }

    /// Whether each byte is not zero.
    fn mask_of_bytes(&mut self, bytes: Reg) -> Selected<Reg> {
        let op = Op::Cast(Dtype::Bool);
        match self.isa {
            Isa::Avx512 => {
                let code = self.sure(isa::TEST8, bytes.bytes as usize);
                let to = self.asm.mask();
                self.asm.emit(code, &[Arg::Def(to), Arg::Use(bytes), Arg::Use(bytes)]);
                Ok(to)
            }
            Isa::Avx2 => {
                let size = self.mask_size();
                let wide = self.resize(op, bytes, 1, size, false)?;
                let zero = self.splat(0, size);
                let rows = [isa::EQUAL8, isa::EQUAL16, isa::EQUAL32, isa::EQUAL64];
                let row = by_size(rows, size);
                let none = self.binary(op, row, size, wide, zero)?;
                Ok(self.not(none))
            }
        }
    }

    /// Stores elements: those of a mask, or all lanes, by an instruction of this row where they fill a register.
    pub(super) fn store(&mut self, value: &Lanes, to: Memory, tail: Option<&Tail>, whole: Row) -> Selected<()> {
        let size = value.dtype.size();
        let bytes = self.register_bytes(size);
        let reg = match value.dtype {
            Dtype::Bool => self.bytes_of_mask(value)?,
            _ => self.reg(value),
        };
        let filled = self.lanes * size;
        let Some(tail) = tail else {
            let code = match (filled, self.isa) {
                (4, Isa::Avx2) => Code::VEX_Vmovd_rm32_xmm,
                (4, Isa::Avx512) => Code::EVEX_Vmovd_rm32_xmm,
                (8, Isa::Avx2) => Code::VEX_Vmovq_xmmm64_xmm,
                (8, Isa::Avx512) => Code::EVEX_Vmovq_xmmm64_xmm,
                _ => self.sure(whole, bytes),
            };
            self.asm.emit(code, &[Arg::Memory(to), Arg::Use(reg)]);
            return Ok(());
        };
        match self.isa {
            Isa::Avx512 => {
                let rows = [isa::STORE8, isa::STORE16, isa::STORE32, isa::STORE64];
                let code = self.sure(by_size(rows, size), bytes);
                let inst = Inst::new(code, &[Arg::Memory(to), Arg::Use(reg)]);
                self.asm.push(inst.merging(tail.lanes));
            }
            Isa::Avx2 => {
                let (row, mask) = match size {
                    4 => (isa::MASKED_STORE32, tail.lanes32),
                    8 => (isa::MASKED_STORE64, tail.lanes64),
                    _ => {
                        self.store_part(size, reg, to, tail.count);
                        return Ok(());
                    }
                };
                let code = self.sure(row, bytes);
                let mask = Arg::Use(mask.as_bytes(bytes));
                self.asm.emit(code, &[Arg::Memory(to), mask, Arg::Use(reg)]);
            }
        }
        Ok(())
    }

    /// Bytes of 0 and 1 from a mask.
    pub(super) fn bytes_of_mask(&mut self, value: &Lanes) -> Selected<Reg> {
        let mask = self.reg(value);
        let ones = self.splat(1, 1);
        match self.isa {
            Isa::Avx512 => self.keep(mask, ones, 1),
            Isa::Avx2 => {
                let mask = self.mask_for(Op::Cast(Dtype::U8), mask, 1)?;
                self.binary(
                    Op::Cast(Dtype::U8),
                    isa::AND32,
                    1,
                    mask.as_bytes(self.register_bytes(1)),
                    ones,
                )
            }
        }
    }
}

/// How two masks meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
    /// The second without the first.
    AndNot,
}

/// The lanes of a vector that reaches beyond the last element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    /// The mask, with AVX-512.
    pub(super) lanes: Reg,
    /// With AVX2, lanes of 4 and of 8 bytes, and for narrower ones their number.
    pub(super) lanes32: Reg,
    pub(super) lanes64: Reg,
    pub(super) count: Reg,
}
