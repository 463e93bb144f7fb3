//! Entries of constant tables, each lane's by an index of its own.
//!
//! In: a column and the lanes of an index. Out: the entries that its low bits number.
//!
//! A column that fills a register, or two with AVX-512, is permuted by one instruction. Where there is none, a table of f64 lies row
//! by row: each lane's row is loaded 16 bytes at a time, and what comes is transposed; the column beside the one that was asked for
//! is kept for who asks next.

use std::collections::HashMap;

use iced_x86::Code;
use loopweave_ir::{Column, Op, Table};

use super::asm::{Arg, BlockId, Memory, Reg};
use super::isa::{self, Isa};
use super::lanes::{Gap, Lanes, Selected, Selector};
use crate::codegen::table::{LOADED, bytes_of, row_by_row, row_bytes};

/// Bytes of an entry of a table that lies row by row.
const ENTRY: usize = 8;

/// What has been read of tables.
#[derive(Default)]
pub(super) struct Lookups {
    /// The column that was last in registers, in the block where it was loaded: vectors abreast share it.
    loaded: Option<(Column, BlockId, Vec<Reg>)>,
    /// Where tables begin that lie row by row.
    bases: HashMap<&'static str, Reg>,
    /// Where the rows of an index are, in the block where it was asked for.
    rows: HashMap<(&'static str, Reg, BlockId), Rows>,
}

struct Rows {
    /// Bytes from the table's beginning, for each lane.
    distances: Vec<Reg>,
    /// The columns that have been loaded.
    columns: Vec<Option<Reg>>,
}

impl Selector {
    /// The entries of a column.
    pub(super) fn lookup(&mut self, column: Column, index: &Lanes) -> Selected<Lanes> {
        if let Some(index) = index.as_const() {
            return Ok(self.constant(column.entry(index.bits())));
        }
        let index = self.reg(index);
        let size = column.table().dtype().size();
        let fills_one = column.entries().len() * size <= self.isa.bytes();
        let reg = match self.isa {
            Isa::Avx2 if !fills_one && size == ENTRY => self.column_of_rows(column, index),
            Isa::Avx2 if !fills_one => return Err(Gap { op: Op::Lookup(column) }),
            _ => self.permuted(column, index),
        };
        Ok(Lanes::new(column.table().dtype(), reg))
    }

    /// By one instruction, which counts indices modulo the entries that it chooses from.
    fn permuted(&mut self, column: Column, index: Reg) -> Reg {
        // Entries of four bytes alone may be as few as a narrow register's, and instructions on those have two registers at least.
        let bytes = usize::from(index.bytes).max(32);
        let size = column.table().dtype().size();
        let row = if size == 4 {
            isa::PERMUTE_PAIR32
        } else {
            isa::PERMUTE_PAIR64
        };
        let index = index.as_bytes(bytes);
        let reg = match (&self.loaded_column(column, bytes)[..], self.isa) {
            (&[low, high], _) => self.update(low, self.sure(row, bytes), index, high.into(), None),
            (&[entries, ..], isa) => {
                let code = match (isa, bytes) {
                    (Isa::Avx2, _) => Code::VEX_Vpermps_ymm_ymm_ymmm256,
                    (Isa::Avx512, 32) => Code::EVEX_Vpermps_ymm_k1z_ymm_ymmm256b32,
                    (Isa::Avx512, _) => Code::EVEX_Vpermps_zmm_k1z_zmm_zmmm512b32,
                };
                self.set(code, bytes, &[Arg::Use(index)], entries.into(), None)
            }
            ([], _) => unreachable!("a column has entries"),
        };
        reg.as_bytes(self.register_bytes(size))
    }

    /// A column in registers, one or two; what is shorter than one is there several times.
    fn loaded_column(&mut self, column: Column, bytes: usize) -> Vec<Reg> {
        let block = self.asm.current();
        match &self.lookups.loaded {
            Some((known, at, registers)) if (*known, *at) == (column, block) => registers.clone(),
            _ => {
                let entries = bytes_of(column.entries());
                let entries = entries.repeat((bytes / entries.len()).max(1));
                let registers: Vec<Reg> = entries
                    .chunks(bytes)
                    .map(|part| self.vector_const(part.to_vec()))
                    .collect();
                self.lookups.loaded = Some((column, block, registers.clone()));
                registers
            }
        }
    }

    fn column_of_rows(&mut self, column: Column, index: Reg) -> Reg {
        let table = column.table();
        let base = self.base_of(table);
        let key = (table.name(), index, self.asm.current());
        let mut rows = match self.lookups.rows.remove(&key) {
            Some(rows) => rows,
            None => Rows {
                distances: self.distances_to_rows(table, index),
                columns: vec![None; table.columns().len()],
            },
        };
        let reg = match rows.columns[column.position()] {
            Some(reg) => reg,
            None => {
                let first = column.position() / 2 * 2;
                let loaded = self.columns_from(base, &rows.distances, first * ENTRY);
                for (known, reg) in rows.columns[first..].iter_mut().zip(loaded) {
                    *known = Some(reg);
                }
                loaded[column.position() - first]
            }
        };
        self.lookups.rows.insert(key, rows);
        reg
    }

    /// Where a table begins, in a register that stays.
    fn base_of(&mut self, table: &'static Table) -> Reg {
        if let Some(&base) = self.lookups.bases.get(table.name()) {
            return base;
        }
        let constant = self.asm.constant(row_by_row(table));
        let base = self.asm.general();
        self.at_entry(|s| s.asm.emit(Code::Lea_r64_m, &[Arg::Def(base), Arg::Const(constant)]));
        self.lookups.bases.insert(table.name(), base);
        base
    }

    /// The distances to the rows that the lanes of an index number, in general registers.
    fn distances_to_rows(&mut self, table: &'static Table, index: Reg) -> Vec<Reg> {
        let shift = row_bytes(table).trailing_zeros();
        let bytes = usize::from(index.bytes);
        let code = self.sure(isa::SHL64, bytes);
        let shifted = self.set(code, bytes, &[], index.into(), Some(shift as u8));
        let last = self.splat((table.rows() as u64 - 1) << shift, ENTRY);
        let distances = self.sure_binary(isa::AND64, bytes, shifted, last);
        let mut words = Vec::with_capacity(self.lanes);
        for part in 0..bytes / LOADED {
            let part = self.half(distances, part).as_bytes(LOADED);
            let [low, high] = [(); 2].map(|()| self.asm.general());
            self.asm
                .emit(Code::VEX_Vmovq_rm64_xmm, &[Arg::Def(low), Arg::Use(part)]);
            let args = [Arg::Def(high), Arg::Use(part), Arg::Byte(1)];
            self.asm.emit(Code::VEX_Vpextrq_rm64_xmm_imm8, &args);
            words.extend([low, high]);
        }
        words
    }

    /// The two columns that come with one load of each row, from an offset on.
    fn columns_from(&mut self, base: Reg, distances: &[Reg], offset: usize) -> [Reg; 2] {
        let place = |distance: Reg| Memory {
            base,
            index: Some((distance, 1)),
            offset: offset as i32,
        };
        // Each register has the row of a lane in its lower half, and in the upper one that of the lane which stands there.
        let [even, odd] = [0, 1].map(|lane| {
            let (lower, both) = (self.asm.vector(LOADED), self.asm.vector(2 * LOADED));
            let args = [Arg::Def(lower), Arg::Memory(place(distances[lane]))];
            self.asm.emit(self.sure(isa::LOAD, LOADED), &args);
            let upper = Arg::Memory(place(distances[lane + 2]));
            let args = [
                Arg::Def(both),
                Arg::Use(lower.as_bytes(2 * LOADED)),
                upper,
                Arg::Byte(1),
            ];
            self.asm.emit(Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8, &args);
            both
        });
        [isa::UNPACK64, isa::UNPACK_HIGH64].map(|row| self.sure_binary(row, 2 * LOADED, even, odd))
    }
}
