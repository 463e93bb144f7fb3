//! Turning a tile of a matrix: what lies along its columns comes to lie along its rows.
//!
//! In: the size of an element, and the side of a tile. Out: machine code with an argument block of its own ([`TurnWord`]):
//! element r of column c, at `from + c·step + r·size`, goes to `to + r·TURNED_ROW_BYTES + c·size`.
//!
//! A block is 64 bytes of each of some columns, so that a cache line is used whole while it is there: lines of columns that are a
//! power of two apart share few places in a cache. It is done in parts, each so many rows of all its columns. The lower halves
//! of the registers hold a square: 16 bytes of each of as many columns as that has elements. The upper halves hold another one:
//!
//! ```text
//! elements of      columns of a block    upper halves
//! 4 or 8 bytes     8 or 4                the same rows of as many columns further on
//! 1 or 2 bytes     16 or 8               as many rows further on of the same columns
//! ```
//!
//! The former fill whole registers with rows; for the latter a block would have more columns than a cache has places. The elements
//! of a square change places by the unpack instructions: register i, which held column i of it, comes to hold row i. What is left
//! at the ends goes part by part, then element by element.
//!
//! On one thread, in ms for `x + transpose(y)` of 2048 by 2048 elements, in loops of 128-bit code / so: `u8` 3.8 / 1.0, `i16` 4.5 /
//! 2.2, `f16` 19.6 / 2.4.
//!
//! The lines of the tile to the right are asked for meanwhile: no processor foresees a walk across columns.

use iced_x86::Code;

use super::ahead::LINE_BYTES;
use super::asm::{Arg, Assembly, Memory, Reg};
use crate::codegen::abi::TurnWord;
use crate::nest::TURNED_ROW_BYTES;

/// Bytes of the vectors, and of their halves.
const VECTOR_BYTES: usize = 32;
const HALF_BYTES: usize = 16;

/// The function that turns tiles of this side of elements of this size.
pub(super) fn select(size: usize, side: usize) -> Assembly {
    let mut turn = Turn::new(size, side);
    turn.columns();
    turn.asm.order_blocks();
    turn.asm
}

struct Turn {
    asm: Assembly,
    size: usize,
    /// Columns of a square, and bytes of a column of a part.
    square: usize,
    part_bytes: usize,
    /// Bytes from one column to the next, three times as many, and those to the same column of the tile to the right.
    step: Reg,
    step3: Reg,
    ahead: Reg,
    rows: Reg,
    columns: Reg,
}

fn at(base: Reg, offset: usize) -> Memory {
    Memory {
        base,
        index: None,
        offset: offset as i32,
    }
}

fn times(base: Reg, step: Reg, count: u8) -> Memory {
    Memory {
        base,
        index: Some((step, count)),
        offset: 0,
    }
}

impl Turn {
    fn new(size: usize, side: usize) -> Turn {
        let mut asm = Assembly::new();
        let block = asm.argument.0;
        let [step, rows, columns, step3, ahead] = [(); 5].map(|()| asm.general());
        for (to, word) in [
            (step, TurnWord::Step),
            (rows, TurnWord::Rows),
            (columns, TurnWord::Columns),
        ] {
            let from = Arg::Memory(at(block, 8 * word as usize));
            asm.emit(Code::Mov_r64_rm64, &[Arg::Def(to), from]);
        }
        asm.emit(Code::Lea_r64_m, &[Arg::Def(step3), Arg::Memory(times(step, step, 2))]);
        let shifted = Arg::Update { from: step, to: ahead };
        let shift = Arg::Byte(side.trailing_zeros() as u8);
        asm.emit(Code::Shl_rm64_imm8, &[shifted, shift]);
        Turn {
            asm,
            size,
            square: HALF_BYTES / size,
            part_bytes: if size < 4 { VECTOR_BYTES } else { HALF_BYTES },
            step,
            step3,
            ahead,
            rows,
            columns,
        }
    }

    /// Columns of a block.
    fn lines(&self) -> usize {
        self.square * VECTOR_BYTES / self.part_bytes
    }

    fn columns(&mut self) {
        let block = self.asm.argument.0;
        let [from, to, zero] = [(); 3].map(|()| self.asm.general());
        for (reg, word) in [(from, TurnWord::From), (to, TurnWord::To)] {
            let word = Arg::Memory(at(block, 8 * word as usize));
            self.asm.emit(Code::Mov_r64_rm64, &[Arg::Def(reg), word]);
        }
        self.asm.emit(Code::Mov_rm64_imm32, &[Arg::Def(zero), Arg::Word(0)]);
        let (lines, part) = (self.lines(), self.part_bytes / self.size);
        let whole = self.whole(self.columns, lines);
        let [_, from, to] = self.repeat([zero, from, to], whole, lines, &mut |turn, from, to| {
            let mut at = [zero, from, to];
            for (count, body) in [
                (LINE_BYTES / turn.size, Turn::block as fn(&mut Turn, Reg, Reg)),
                (part, |turn, from, to| {
                    let bases = turn.bases(from);
                    turn.part(&bases, to, 0);
                }),
                (1, |turn, from, to| turn.elements(turn.lines(), from, to)),
            ] {
                let whole = turn.whole(turn.rows, count);
                at = turn.down(at, whole, count, &mut |turn, from, to| body(turn, from, to));
            }
        });
        self.repeat([whole, from, to], self.columns, 1, &mut |turn, from, to| {
            let rows = turn.rows;
            turn.down([zero, from, to], rows, 1, &mut |turn, from, to| {
                turn.elements(1, from, to)
            });
        });
    }

    /// How many of these are in groups of `unit`, a power of two.
    fn whole(&mut self, all: Reg, unit: usize) -> Reg {
        if unit == 1 {
            return all;
        }
        let whole = self.asm.general();
        let kept = Arg::Word(-(unit as i32));
        let update = Arg::Update { from: all, to: whole };
        self.asm.emit(Code::And_rm64_imm32, &[update, kept]);
        whole
    }

    /// A loop over columns, `by` at a time.
    fn repeat(&mut self, start: [Reg; 3], end: Reg, by: usize, body: &mut dyn FnMut(&mut Turn, Reg, Reg)) -> [Reg; 3] {
        let width = by * self.size;
        self.walk(start, end, by, body, &mut |turn, from, to| {
            // An address counts at most 8 of them.
            let next = (0..by).step_by(8).fold(from, |from, done| {
                let count = (by - done).min(8) as u8;
                turn.address(times(from, turn.step, count))
            });
            [next, turn.moved(to, width)]
        })
    }

    /// A loop over rows, `by` at a time.
    fn down(&mut self, start: [Reg; 3], end: Reg, by: usize, body: &mut dyn FnMut(&mut Turn, Reg, Reg)) -> [Reg; 3] {
        let (along, across) = (by * self.size, by * TURNED_ROW_BYTES);
        self.walk(start, end, by, body, &mut |turn, from, to| {
            [turn.moved(from, along), turn.moved(to, across)]
        })
    }

    /// A loop `while index < end` that moves two pointers; gives all three as they are then.
    fn walk(
        &mut self,
        start: [Reg; 3],
        end: Reg,
        by: usize,
        body: &mut dyn FnMut(&mut Turn, Reg, Reg),
        step: &mut dyn FnMut(&mut Turn, Reg, Reg) -> [Reg; 2],
    ) -> [Reg; 3] {
        let [now, after] = [(); 2].map(|()| [(); 3].map(|()| self.asm.general()));
        let (head, done) = (self.asm.block(&now), self.asm.block(&after));
        self.asm.jump(head, &start);
        self.asm.switch_to(head);
        self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(now[0]), Arg::Use(end)]);
        self.asm.branch(Code::Jge_rel32_64, done, &now);
        body(self, now[1], now[2]);
        let [from, to] = step(self, now[1], now[2]);
        let index = self.moved(now[0], by);
        self.asm.jump(head, &[index, from, to]);
        self.asm.switch_to(done);
        after
    }

    fn moved(&mut self, from: Reg, by: usize) -> Reg {
        self.address(at(from, by))
    }

    fn address(&mut self, of: Memory) -> Reg {
        let to = self.asm.general();
        self.asm.emit(Code::Lea_r64_m, &[Arg::Def(to), Arg::Memory(of)]);
        to
    }

    /// The pointers of every fourth column of a block.
    fn bases(&mut self, from: Reg) -> Vec<Reg> {
        let more = [(self.step, 4), (self.step, 8), (self.step3, 4)];
        let mut bases = vec![from];
        for (step, count) in more.into_iter().take(self.lines() / 4 - 1) {
            bases.push(self.address(times(from, step, count)));
        }
        bases
    }

    /// Bytes of a column of a block.
    fn line(&self, bases: &[Reg], column: usize, offset: usize) -> Memory {
        let index = match column % 4 {
            0 => None,
            1 => Some((self.step, 1)),
            2 => Some((self.step, 2)),
            _ => Some((self.step3, 1)),
        };
        Memory {
            base: bases[column / 4],
            index,
            offset: offset as i32,
        }
    }

    /// One element of each of some columns.
    fn elements(&mut self, columns: usize, from: Reg, to: Reg) {
        let (load, store) = match self.size {
            1 => (Code::Movzx_r32_rm8, Code::Mov_rm8_r8),
            2 => (Code::Movzx_r32_rm16, Code::Mov_rm16_r16),
            4 => (Code::Mov_r32_rm32, Code::Mov_rm32_r32),
            _ => (Code::Mov_r64_rm64, Code::Mov_rm64_r64),
        };
        let bases = if columns > 1 { self.bases(from) } else { vec![from] };
        for column in 0..columns {
            let element = self.asm.general();
            let (from, to) = (self.line(&bases, column, 0), at(to, column * self.size));
            let loaded = Arg::Def(element.as_bytes(self.size.max(4)));
            self.asm.emit(load, &[loaded, Arg::Memory(from)]);
            let stored = Arg::Use(element.as_bytes(self.size));
            self.asm.emit(store, &[Arg::Memory(to), stored]);
        }
    }

    /// 64 bytes of each column.
    fn block(&mut self, from: Reg, to: Reg) {
        let right = self.address(times(from, self.ahead, 1));
        let right = self.bases(right);
        for column in 0..self.lines() {
            let line = self.line(&right, column, 0);
            self.asm.emit(Code::Prefetcht1_m8, &[Arg::Memory(line)]);
        }
        let bases = self.bases(from);
        for part in 0..LINE_BYTES / self.part_bytes {
            self.part(&bases, to, part);
        }
    }

    /// A part of each column.
    fn part(&mut self, bases: &[Reg], to: Reg, part: usize) {
        let mut square: Vec<Reg> = (0..self.square).map(|i| self.halves(bases, i, part)).collect();
        let [low, high] = match self.size {
            1 => [
                Code::VEX_Vpunpcklbw_ymm_ymm_ymmm256,
                Code::VEX_Vpunpckhbw_ymm_ymm_ymmm256,
            ],
            2 => [
                Code::VEX_Vpunpcklwd_ymm_ymm_ymmm256,
                Code::VEX_Vpunpckhwd_ymm_ymm_ymmm256,
            ],
            4 => [Code::VEX_Vunpcklps_ymm_ymm_ymmm256, Code::VEX_Vunpckhps_ymm_ymm_ymmm256],
            _ => [Code::VEX_Vunpcklpd_ymm_ymm_ymmm256, Code::VEX_Vunpckhpd_ymm_ymm_ymmm256],
        };
        // Number the elements by register, then by place within it: each shuffle moves the first bit of the number to its end, so
        // that after as many as a place has bits, register and place have changed roles.
        for _ in 0..self.square.trailing_zeros() {
            let (first, second) = square.split_at(self.square / 2);
            let pairs = first.iter().zip(second);
            square = pairs
                .flat_map(|(&a, &b)| [low, high].map(|code| self.unpack(code, a, b)))
                .collect();
        }
        let rows = self.part_bytes / self.size;
        for (row, value) in square.into_iter().enumerate() {
            self.store_row(value, at(to, (part * rows + row) * TURNED_ROW_BYTES));
        }
    }

    /// A column of both squares of a part.
    fn halves(&mut self, bases: &[Reg], column: usize, part: usize) -> Reg {
        let both = self.asm.vector(VECTOR_BYTES);
        let first = Arg::Memory(self.line(bases, column, part * self.part_bytes));
        if self.part_bytes == VECTOR_BYTES {
            self.asm.emit(Code::VEX_Vmovups_ymm_ymmm256, &[Arg::Def(both), first]);
            return both;
        }
        let low = self.asm.vector(HALF_BYTES);
        self.asm.emit(Code::VEX_Vmovups_xmm_xmmm128, &[Arg::Def(low), first]);
        let second = Arg::Memory(self.line(bases, column + self.square, part * self.part_bytes));
        let low = Arg::Use(low.as_bytes(VECTOR_BYTES));
        self.asm.emit(
            Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
            &[Arg::Def(both), low, second, Arg::Byte(1)],
        );
        both
    }

    fn store_row(&mut self, value: Reg, to: Memory) {
        if self.part_bytes == HALF_BYTES {
            self.asm
                .emit(Code::VEX_Vmovups_ymmm256_ymm, &[Arg::Memory(to), Arg::Use(value)]);
            return;
        }
        let low = Arg::Use(value.as_bytes(HALF_BYTES));
        self.asm.emit(Code::VEX_Vmovups_xmmm128_xmm, &[Arg::Memory(to), low]);
        let further = (self.square * TURNED_ROW_BYTES) as i32;
        let to = Memory {
            offset: to.offset + further,
            ..to
        };
        self.asm.emit(
            Code::VEX_Vextractf128_xmmm128_ymm_imm8,
            &[Arg::Memory(to), Arg::Use(value), Arg::Byte(1)],
        );
    }

    fn unpack(&mut self, code: Code, a: Reg, b: Reg) -> Reg {
        let to = self.asm.vector(VECTOR_BYTES);
        self.asm.emit(code, &[Arg::Def(to), Arg::Use(a), Arg::Use(b)]);
        to
    }
}
