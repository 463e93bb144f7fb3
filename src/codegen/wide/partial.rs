//! The ends of arrays of bytes and of words with AVX2, whose masked accesses take lanes of 4 and 8 bytes alone.
//!
//! In: a place in memory, and how many of a vector's elements lie there. Out: accesses to just those: under a mask the whole
//! double words among them, then what is left, a word or up to three bytes.

use iced_x86::Code;

use super::asm::{Arg, BlockId, Memory, Reg};
use super::isa;
use super::lanes::Selector;

/// The first bytes of a vector, in memory.
struct Part {
    /// The number of double words, in all lanes of 4 bytes.
    doubles: Reg,
    /// Those lanes.
    mask: Reg,
    /// The address behind them.
    behind: Reg,
    /// The number of bytes that are left there.
    left: Reg,
}

/// A byte of those left, and by how many bits it is shifted among them.
struct Byte {
    place: Memory,
    shift: Reg,
}

impl Part {
    fn first(&self) -> Memory {
        Memory {
            base: self.behind,
            index: None,
            offset: 0,
        }
    }
}

impl Selector {
    /// The first `count` elements of `size` bytes, 1 or 2; zeros in the other lanes.
    pub(super) fn load_part(&mut self, size: usize, from: Memory, count: Reg) -> Reg {
        let bytes = self.register_bytes(size);
        let value = self.asm.vector(bytes);
        let done = self.asm.block(&[value]);
        let part = self.part(size, from, count);
        let loaded = self.asm.vector(bytes);
        let code = self.sure(isa::MASKED_LOAD32, bytes);
        self.asm
            .emit(code, &[Arg::Def(loaded), Arg::Use(part.mask), Arg::Memory(from)]);
        self.leave_unless_left(&part, done, &[loaded]);
        let first = Arg::Memory(part.first());
        let mut left = self.asm.general();
        if size == 2 {
            self.asm.emit(Code::Movzx_r64_rm16, &[Arg::Def(left), first]);
        } else {
            self.asm.emit(Code::Movzx_r64_rm8, &[Arg::Def(left), first]);
            for Byte { place, shift } in self.further_bytes(&part) {
                let [byte, shifted, both] = [(); 3].map(|()| self.asm.general());
                self.asm
                    .emit(Code::Movzx_r64_rm8, &[Arg::Def(byte), Arg::Memory(place)]);
                let args = [Arg::Def(shifted), Arg::Use(byte), Arg::Use(shift)];
                self.asm.emit(Code::VEX_Shlx_r64_rm64_r64, &args);
                let update = Arg::Update { from: left, to: both };
                self.asm.emit(Code::Or_r64_rm64, &[update, Arg::Use(shifted)]);
                left = both;
            }
        }
        let left = self.splat_word(left, 4, bytes);
        let numbers = self.numbers_of_doubles(bytes);
        let place = self.sure_binary(isa::EQUAL32, bytes, part.doubles, numbers);
        let left = self.sure_binary(isa::AND32, bytes, place, left);
        let all = self.sure_binary(isa::OR32, bytes, loaded, left);
        self.asm.jump(done, &[all]);
        self.asm.switch_to(done);
        value
    }

    /// Stores the first `count` elements of `size` bytes, 1 or 2.
    pub(super) fn store_part(&mut self, size: usize, value: Reg, to: Memory, count: Reg) {
        let done = self.asm.block(&[]);
        let part = self.part(size, to, count);
        let code = self.sure(isa::MASKED_STORE32, self.register_bytes(size));
        self.asm
            .emit(code, &[Arg::Memory(to), Arg::Use(part.mask), Arg::Use(value)]);
        self.leave_unless_left(&part, done, &[]);
        let (moved, left) = (self.asm.vector(32), self.asm.general());
        let [doubles, value] = [part.doubles, value].map(|reg| Arg::Use(reg.as_bytes(32)));
        self.asm
            .emit(Code::VEX_Vpermd_ymm_ymm_ymmm256, &[Arg::Def(moved), doubles, value]);
        let args = [Arg::Def(left), Arg::Use(moved.as_bytes(16))];
        self.asm.emit(Code::VEX_Vmovq_rm64_xmm, &args);
        let code = if size == 2 {
            Code::Mov_rm16_r16
        } else {
            Code::Mov_rm8_r8
        };
        let first = Arg::Memory(part.first());
        self.asm.emit(code, &[first, Arg::Use(left.as_bytes(size))]);
        if size == 1 {
            for Byte { place, shift } in self.further_bytes(&part) {
                let byte = self.asm.general();
                let args = [Arg::Def(byte), Arg::Use(left), Arg::Use(shift)];
                self.asm.emit(Code::VEX_Shrx_r64_rm64_r64, &args);
                let byte = Arg::Use(byte.as_bytes(1));
                self.asm.emit(Code::Mov_rm8_r8, &[Arg::Memory(place), byte]);
            }
        }
        self.asm.jump(done, &[]);
        self.asm.switch_to(done);
    }

    /// The number of lanes of a mask.
    pub(super) fn lanes_of(&mut self, mask: Reg) -> Reg {
        let [bits, bytes] = [(); 2].map(|()| self.asm.general());
        let mask = Arg::Use(mask.as_bytes(32));
        self.asm.emit(Code::VEX_Vpmovmskb_r64_ymm, &[Arg::Def(bits), mask]);
        self.asm.emit(Code::Popcnt_r64_rm64, &[Arg::Def(bytes), Arg::Use(bits)]);
        self.shifted(Code::Shr_rm64_imm8, bytes, self.mask_size().trailing_zeros())
    }

    fn part(&mut self, size: usize, place: Memory, count: Reg) -> Part {
        let register = self.register_bytes(size);
        let bytes = self.shifted(Code::Shl_rm64_imm8, count, size.trailing_zeros());
        let whole = self.shifted(Code::Shr_rm64_imm8, bytes, 2);
        let start = self.address(place);
        let behind = self.address(Memory {
            base: start,
            index: Some((whole, 4)),
            offset: 0,
        });
        let left = self.asm.general();
        let update = Arg::Update { from: bytes, to: left };
        self.asm.emit(Code::And_rm64_imm32, &[update, Arg::Word(3)]);
        let doubles = self.splat_word(whole, 4, register);
        let numbers = self.numbers_of_doubles(register);
        Part {
            doubles,
            mask: self.sure_binary(isa::GREATER32, register, doubles, numbers),
            behind,
            left,
        }
    }

    /// Goes to `done` where nothing is left behind the double words.
    fn leave_unless_left(&mut self, part: &Part, done: BlockId, values: &[Reg]) {
        self.compare_word(part.left, 0);
        self.asm.branch(Code::Je_rel32_64, done, values);
    }

    /// Beside the first of one to three bytes the one in the middle and the last, which may be the same.
    fn further_bytes(&mut self, part: &Part) -> [Byte; 2] {
        let middle = self.shifted(Code::Shr_rm64_imm8, part.left, 1);
        let last = self.moved(part.left, -1);
        [middle, last].map(|number| Byte {
            place: Memory {
                base: part.behind,
                index: Some((number, 1)),
                offset: 0,
            },
            shift: self.shifted(Code::Shl_rm64_imm8, number, 3),
        })
    }

    fn shifted(&mut self, code: Code, from: Reg, by: u32) -> Reg {
        let to = self.asm.general();
        let update = Arg::Update { from, to };
        self.asm.emit(code, &[update, Arg::Byte(by as u8)]);
        to
    }

    /// The numbers from zero on, one in each lane of 4 bytes.
    fn numbers_of_doubles(&mut self, bytes: usize) -> Reg {
        self.vector_const((0..bytes as u32 / 4).flat_map(u32::to_le_bytes).collect())
    }
}
