//! Words: addresses, counts and indices, in general registers.
//!
//! In: words, and where they stand in the argument block. Out: other words, and the flags of a comparison.

use iced_x86::Code;

use super::asm::{Arg, Memory, Reg};
use super::lanes::Selector;

impl Selector {
    /// The place of a word of the argument block.
    pub(super) fn argument(&self, index: usize) -> Memory {
        Memory {
            base: self.asm.argument.0,
            index: None,
            offset: 8 * index as i32,
        }
    }

    pub(super) fn load_word(&mut self, from: Memory) -> Reg {
        let to = self.asm.general();
        self.asm.emit(Code::Mov_r64_rm64, &[Arg::Def(to), Arg::Memory(from)]);
        to
    }

    pub(super) fn word(&mut self, value: i32) -> Reg {
        let to = self.asm.general();
        self.asm.emit(Code::Mov_rm64_imm32, &[Arg::Def(to), Arg::Word(value)]);
        to
    }

    /// The address of a place.
    pub(super) fn address(&mut self, of: Memory) -> Reg {
        let to = self.asm.general();
        self.asm.emit(Code::Lea_r64_m, &[Arg::Def(to), Arg::Memory(of)]);
        to
    }

    /// A word and a number.
    pub(super) fn moved(&mut self, from: Reg, by: i32) -> Reg {
        self.address(Memory {
            base: from,
            index: None,
            offset: by,
        })
    }

    /// a + b, which may be in memory.
    pub(super) fn sum(&mut self, a: Reg, b: Arg) -> Reg {
        let to = self.asm.general();
        self.asm.emit(Code::Add_r64_rm64, &[Arg::Update { from: a, to }, b]);
        to
    }

    /// a − b.
    pub(super) fn difference(&mut self, a: Reg, b: Reg) -> Reg {
        let to = self.asm.general();
        self.asm
            .emit(Code::Sub_r64_rm64, &[Arg::Update { from: a, to }, Arg::Use(b)]);
        to
    }

    pub(super) fn compare_word(&mut self, word: Reg, value: i32) {
        self.asm.emit(Code::Cmp_rm64_imm32, &[Arg::Use(word), Arg::Word(value)]);
    }
}
