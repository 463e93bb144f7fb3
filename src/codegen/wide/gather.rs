//! Operands whose elements are any distance apart: read by gathers, and with AVX-512 stored by scatters.
//!
//! In: where an operand lies and by how much its elements are apart, which may be negative. Out: vectors from and to there. The
//! instructions take an address for each lane, made of 64-bit distances, so that no array is too large; a vector of twice as many
//! elements takes two of them. Lanes that a mask leaves out are not touched.
//!
//! A gather takes about as long as loads of the elements by themselves: it is what is computed with them that gains.

use iced_x86::Code;
use loopweave_ir::Dtype;

use super::asm::{Arg, Inst, Memory, Reg};
use super::isa::{self, Isa, Row};
use super::lanes::{Lanes, Selected, Selector, Tail};
use super::map::Stream;
use crate::codegen::abi::Abi;

/// Where an operand's elements lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) dtype: Dtype,
    /// The address of the first.
    pub(super) base: Reg,
    /// How they follow each other, unless they are neighbours.
    pub(super) steps: Option<Steps>,
}

/// Elements that are not neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// Bytes from one to the next.
    step: Reg,
    /// Bytes from the first, in lanes of 64 bits.
    distances: Reg,
}

impl Access {
    /// The element of this index and so many further on, where they are neighbours.
    fn place(&self, at: (Reg, usize)) -> Memory {
        let size = self.dtype.size();
        Memory {
            base: self.base,
            index: Some((at.0, size as u8)),
            offset: (at.1 * size) as i32,
        }
    }
}

impl Selector {
    /// Where streams lie, by an argument block.
    pub(super) fn accesses(&mut self, streams: &[Stream], abi: Abi) -> Vec<Access> {
        let mut accesses: Vec<Access> = Vec::with_capacity(streams.len());
        for stream in streams {
            accesses.push(Access {
                dtype: stream.dtype,
                base: self.load_word(self.argument(abi.pointer(stream.operand))),
                steps: None,
            });
        }
        for (access, stream) in accesses.iter_mut().zip(streams).filter(|(_, s)| s.is_strided) {
            access.steps = Some(self.steps(self.argument(abi.stride(stream.operand, abi.axes() - 1))));
        }
        accesses
    }

    /// The elements from an index and so many further on: all lanes, or those of a mask.
    pub(super) fn load_from(&mut self, access: &Access, at: (Reg, usize), tail: Option<&Tail>) -> Selected<Lanes> {
        let Some(steps) = access.steps else {
            return self.load(access.dtype, access.place(at), tail);
        };
        let size = access.dtype.size();
        let bytes = self.distances() * size;
        let zero = self.splat(0, size).as_bytes(bytes);
        let mut parts = Vec::with_capacity(2);
        for (part, from) in self.parts(access, steps, at).into_iter().enumerate() {
            let to = self.asm.vector(bytes);
            let args = [Arg::Update { from: zero, to }, Arg::Memory(from)];
            match self.isa {
                Isa::Avx512 => {
                    let code = match size {
                        4 => Code::EVEX_Vpgatherqd_ymm_k1_vm64z,
                        _ => Code::EVEX_Vpgatherqq_zmm_k1_vm64z,
                    };
                    let mask = self.consumable_mask(tail, part);
                    self.asm.push(Inst::new(code, &args).merging(mask));
                }
                Isa::Avx2 => {
                    let code = match size {
                        4 => Code::VEX_Vpgatherqd_xmm_vm64y_xmm,
                        _ => Code::VEX_Vpgatherqq_ymm_vm64y_ymm,
                    };
                    let all = self.lanes_mask(tail, size);
                    let mask = self.half(all, part).as_bytes(bytes);
                    let consumed = self.asm.vector(bytes);
                    let mask = Arg::Update {
                        from: mask,
                        to: consumed,
                    };
                    self.asm.emit(code, &[args[0], args[1], mask]);
                }
            }
            parts.push(to);
        }
        let reg = match parts[..] {
            [low, high] => self.joined(low, high),
            _ => parts[0],
        };
        Ok(Lanes::new(access.dtype, reg))
    }

    /// Stores elements from an index and so many further on: those of a mask, or all lanes, by an instruction of this row where
    /// they are neighbours and fill a register. AVX2 has no scatters.
    pub(super) fn store_to(
        &mut self,
        access: &Access,
        value: &Lanes,
        at: (Reg, usize),
        tail: Option<&Tail>,
        whole: Row,
    ) -> Selected<()> {
        let Some(steps) = access.steps else {
            return self.store(value, access.place(at), tail, whole);
        };
        let (value, bytes) = (self.reg(value), self.distances() * access.dtype.size());
        let code = match access.dtype.size() {
            4 => Code::EVEX_Vpscatterqd_vm64z_k1_ymm,
            _ => Code::EVEX_Vpscatterqq_vm64z_k1_zmm,
        };
        for (part, to) in self.parts(access, steps, at).into_iter().enumerate() {
            let mask = self.consumable_mask(tail, part);
            let value = self.half(value, part).as_bytes(bytes);
            let scatter = Inst::new(code, &[Arg::Memory(to), Arg::Use(value)]);
            self.asm.push(scatter.merging(mask));
        }
        Ok(())
    }

    /// How elements follow each other that are as many bytes apart as a word of memory says.
    fn steps(&mut self, step: Memory) -> Steps {
        let step = self.load_word(step);
        let bytes = self.isa.bytes();
        let numbers = (0..self.distances() as u64).flat_map(u64::to_le_bytes);
        let numbers = self.vector_const(numbers.collect());
        let splat = self.splat_word(step, 8, bytes);
        // The products with both halves of the step.
        let low = self.sure_binary(isa::MUL_EVEN32, bytes, splat, numbers);
        let high = self.shift64(isa::SHR64, splat);
        let high = self.sure_binary(isa::MUL_EVEN32, bytes, high, numbers);
        let high = self.shift64(isa::SHL64, high);
        let distances = self.sure_binary(isa::ADD64, bytes, low, high);
        Steps { step, distances }
    }

    fn shift64(&mut self, row: Row, x: Reg) -> Reg {
        let bytes = self.isa.bytes();
        let code = self.sure(row, bytes);
        self.set(code, bytes, &[], x.into(), Some(32))
    }

    /// Elements for each instruction.
    fn distances(&self) -> usize {
        self.isa.bytes() / 8
    }

    /// The places of a vector's elements, for each instruction.
    fn parts(&mut self, access: &Access, steps: Steps, at: (Reg, usize)) -> Vec<Memory> {
        let from = self.moved(at.0, at.1 as i32);
        let offset = self.asm.general();
        let update = Arg::Update { from, to: offset };
        self.asm.emit(Code::Imul_r64_rm64, &[update, Arg::Use(steps.step)]);
        let first = self.sum(offset, Arg::Use(access.base));
        let mut bases = vec![first];
        let each = self.distances();
        if self.lanes > each {
            bases.push(self.address(Memory {
                base: first,
                index: Some((steps.step, each as u8)),
                offset: 0,
            }));
        }
        let place = |base| Memory {
            base,
            index: Some((steps.distances, 1)),
            offset: 0,
        };
        bases.into_iter().map(place).collect()
    }

    /// With AVX-512, the mask of a part's lanes in a register of its own: the instruction takes each bit away.
    fn consumable_mask(&mut self, tail: Option<&Tail>, part: usize) -> Reg {
        let Some(tail) = tail else {
            return self.constant_mask(true);
        };
        let to = self.asm.mask();
        let by = Arg::Byte((part * self.distances()) as u8);
        let args = [Arg::Def(to), Arg::Use(tail.lanes), by];
        self.asm.emit(Code::VEX_Kshiftrq_kr_kr_imm8, &args);
        to
    }

    /// With AVX2, the mask of lanes of this size.
    fn lanes_mask(&mut self, tail: Option<&Tail>, size: usize) -> Reg {
        match (tail, size) {
            (None, _) => self.constant_mask(true),
            (Some(tail), 4) => tail.lanes32,
            (Some(tail), _) => tail.lanes64,
        }
    }

    /// Half of a register.
    pub(super) fn half(&mut self, of: Reg, part: usize) -> Reg {
        if part == 0 {
            return of;
        }
        let (bytes, code) = match self.isa {
            Isa::Avx512 => (32, Code::EVEX_Vextracti64x4_ymmm256_k1z_zmm_imm8),
            Isa::Avx2 => (16, Code::VEX_Vextracti128_xmmm128_ymm_imm8),
        };
        let to = self.asm.vector(bytes);
        let of = Arg::Use(of.as_bytes(2 * bytes));
        self.asm.emit(code, &[Arg::Def(to), of, Arg::Byte(1)]);
        to
    }

    /// A register of two halves.
    fn joined(&mut self, low: Reg, high: Reg) -> Reg {
        let code = match self.isa {
            Isa::Avx512 => Code::EVEX_Vinserti64x4_zmm_k1z_zmm_ymmm256_imm8,
            Isa::Avx2 => Code::VEX_Vinserti128_ymm_ymm_xmmm128_imm8,
        };
        let bytes = self.isa.bytes();
        self.set(code, bytes, &[Arg::Use(low.as_bytes(bytes))], high.into(), Some(1))
    }
}
