//! Turning a tile of a matrix: what lies along its columns comes to lie along its rows.
//!
//! In: the size of an element, 4 or 8 bytes. Out: machine code with an argument block of its own ([`TurnWord`]): element r of
//! column c, at `from + c·step + r·size`, goes to `to + r·TURNED_ROW_BYTES + c·size`.
//!
//! A block is 64 bytes of each of 8 columns (4 of f64), so that a cache line is used whole while it is there: lines of columns
//! that are a power of two apart share few places in a cache. Register i holds 16 bytes of column i in its lower half and of
//! column i + 4 (i + 2) in the upper one, which come with the loads; the elements of 4 (2) such registers then change places
//! within halves, by the unpack instructions. What is left at the ends goes element by element.
//!
//! The lines of the tile to the right are asked for meanwhile: no processor foresees a walk across columns.

use iced_x86::Code;

use super::ahead::LINE_BYTES;
use super::asm::{Arg, Assembly, Memory, Reg};
use crate::codegen::abi::TurnWord;
use crate::nest::TURNED_ROW_BYTES;

/// Bytes of the vectors.
const VECTOR_BYTES: usize = 32;

/// The function that turns tiles of elements of this size.
pub(super) fn select(size: usize) -> Assembly {
    let mut turn = Turn::new(size);
    turn.columns();
    turn.asm.order_blocks();
    turn.asm
}

struct Turn {
    asm: Assembly,
    size: usize,
    /// Columns of a block.
    lines: usize,
    /// Bytes from one column to the next, three times as many, and those to the same column of the tile to the right.
    step: Reg,
    step3: Reg,
    ahead: Reg,
    rows: Reg,
    columns: Reg,
    /// Rows and columns in whole blocks.
    whole_rows: Reg,
    whole_columns: Reg,
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
    fn new(size: usize) -> Turn {
        let mut asm = Assembly::new();
        let block = asm.argument.0;
        let [step, rows, columns, step3, ahead, whole_rows, whole_columns] = [(); 7].map(|()| asm.general());
        for (to, word) in [
            (step, TurnWord::Step),
            (rows, TurnWord::Rows),
            (columns, TurnWord::Columns),
        ] {
            let from = Arg::Memory(at(block, 8 * word as usize));
            asm.emit(Code::Mov_r64_rm64, &[Arg::Def(to), from]);
        }
        asm.emit(Code::Lea_r64_m, &[Arg::Def(step3), Arg::Memory(times(step, step, 2))]);
        let update = |from, to| Arg::Update { from, to };
        let side = TURNED_ROW_BYTES / size;
        let shift = Arg::Byte(side.trailing_zeros() as u8);
        asm.emit(Code::Shl_rm64_imm8, &[update(step, ahead), shift]);
        let lines = VECTOR_BYTES / size;
        for (all, whole, unit) in [(rows, whole_rows, LINE_BYTES / size), (columns, whole_columns, lines)] {
            let kept = Arg::Word(-(unit as i32));
            asm.emit(Code::And_rm64_imm32, &[update(all, whole), kept]);
        }
        Turn {
            asm,
            size,
            lines,
            step,
            step3,
            ahead,
            rows,
            columns,
            whole_rows,
            whole_columns,
        }
    }

    fn columns(&mut self) {
        let block = self.asm.argument.0;
        let [from, to, zero] = [(); 3].map(|()| self.asm.general());
        for (reg, word) in [(from, TurnWord::From), (to, TurnWord::To)] {
            let word = Arg::Memory(at(block, 8 * word as usize));
            self.asm.emit(Code::Mov_r64_rm64, &[Arg::Def(reg), word]);
        }
        self.asm.emit(Code::Mov_rm64_imm32, &[Arg::Def(zero), Arg::Word(0)]);
        let (lines, whole) = (self.lines, self.whole_columns);
        let [_, from, to] = self.repeat([zero, from, to], whole, lines, &mut |turn, from, to| {
            let (rows, whole) = (turn.rows, turn.whole_rows);
            let count = LINE_BYTES / turn.size;
            let [r, from, to] = turn.down([zero, from, to], whole, count, &mut |turn, from, to| {
                turn.block(from, to)
            });
            turn.down([r, from, to], rows, 1, &mut |turn, from, to| {
                turn.elements(lines, from, to)
            });
        });
        self.repeat([whole, from, to], self.columns, 1, &mut |turn, from, to| {
            let rows = turn.rows;
            turn.down([zero, from, to], rows, 1, &mut |turn, from, to| {
                turn.elements(1, from, to)
            });
        });
    }

    /// A loop over columns, `by` at a time.
    fn repeat(&mut self, start: [Reg; 3], end: Reg, by: usize, body: &mut dyn FnMut(&mut Turn, Reg, Reg)) -> [Reg; 3] {
        let width = by * self.size;
        self.walk(start, end, by, body, &mut |turn, from, to| {
            let next = turn.address(times(from, turn.step, by as u8));
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

    /// The pointers of column 0 and, where a block has so many, of column 4.
    fn bases(&mut self, from: Reg) -> [Reg; 2] {
        if self.lines <= 4 {
            return [from; 2];
        }
        [from, self.address(times(from, self.step, 4))]
    }

    /// Bytes of a column of a block.
    fn line(&self, bases: [Reg; 2], column: usize, offset: usize) -> Memory {
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
            4 => (Code::Mov_r32_rm32, Code::Mov_rm32_r32),
            _ => (Code::Mov_r64_rm64, Code::Mov_rm64_r64),
        };
        let bases = if columns > 1 { self.bases(from) } else { [from; 2] };
        for column in 0..columns {
            let element = self.asm.general().as_bytes(self.size);
            let (from, to) = (self.line(bases, column, 0), at(to, column * self.size));
            self.asm.emit(load, &[Arg::Def(element), Arg::Memory(from)]);
            self.asm.emit(store, &[Arg::Memory(to), Arg::Use(element)]);
        }
    }

    /// 64 bytes of each column.
    fn block(&mut self, from: Reg, to: Reg) {
        let bases = self.bases(from);
        let right = self.address(times(from, self.ahead, 1));
        let right = self.bases(right);
        for column in 0..self.lines {
            let line = self.line(right, column, 0);
            self.asm.emit(Code::Prefetcht1_m8, &[Arg::Memory(line)]);
        }
        let half = self.lines / 2;
        for part in 0..LINE_BYTES / 16 {
            let mut held: Vec<Reg> = Vec::with_capacity(half);
            for column in 0..half {
                let [low, both] = [16, VECTOR_BYTES].map(|bytes| self.asm.vector(bytes));
                let [first, second] = [column, column + half].map(|column| self.line(bases, column, 16 * part));
                self.asm
                    .emit(Code::VEX_Vmovups_xmm_xmmm128, &[Arg::Def(low), Arg::Memory(first)]);
                self.asm.emit(
                    Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
                    &[
                        Arg::Def(both),
                        Arg::Use(low.as_bytes(VECTOR_BYTES)),
                        Arg::Memory(second),
                        Arg::Byte(1),
                    ],
                );
                held.push(both);
            }
            let pairs = match half {
                4 => {
                    let singles = [Code::VEX_Vunpcklps_ymm_ymm_ymmm256, Code::VEX_Vunpckhps_ymm_ymm_ymmm256];
                    let [a, b] = singles.map(|code| self.unpack(code, held[0], held[1]));
                    let [c, d] = singles.map(|code| self.unpack(code, held[2], held[3]));
                    vec![(a, c), (b, d)]
                }
                _ => vec![(held[0], held[1])],
            };
            let doubles = [Code::VEX_Vunpcklpd_ymm_ymm_ymmm256, Code::VEX_Vunpckhpd_ymm_ymm_ymmm256];
            let rows: Vec<Reg> = pairs
                .into_iter()
                .flat_map(|(a, b)| doubles.map(|code| self.unpack(code, a, b)))
                .collect();
            for (row, value) in rows.iter().enumerate() {
                let to = at(to, (part * rows.len() + row) * TURNED_ROW_BYTES);
                self.asm
                    .emit(Code::VEX_Vmovups_ymmm256_ymm, &[Arg::Memory(to), Arg::Use(*value)]);
            }
        }
    }

    fn unpack(&mut self, code: Code, a: Reg, b: Reg) -> Reg {
        let to = self.asm.vector(VECTOR_BYTES);
        self.asm.emit(code, &[Arg::Def(to), Arg::Use(a), Arg::Use(b)]);
        to
    }
}
