//! Entries of constant tables, each lane's by an index of its own.
//!
//! In: a column and the lanes of an index. Out: the entries that its low bits number.
//!
//! A table lies in the module's read-only data, row by row: each lane's row is loaded 16 bytes at a time, and what comes is
//! transposed. The columns that the same loads bring are kept for those who ask next.

use std::collections::HashMap;

use cranelift_codegen::ir::{Block, GlobalValueData, InstBuilder, MemFlagsData, Value, types};
use cranelift_module::{DataDescription, DataId, Linkage, Module};
use loopweave_ir::{Column, Table};

use super::emit::{Emitter, WORD};
use super::value::{Lanes, Registers, int_type, scalar_type, vector_type};
use crate::codegen::CodegenError;
use crate::codegen::table::{LOADED, row_by_row, row_bytes};

/// The alignment of a table: a cache line.
const ALIGNMENT: u64 = 64;

/// What has been read of tables, by the register of the index and the block where it was asked for.
pub(super) type Lookups = HashMap<(&'static str, Value, Block), Rows>;

/// The rows that the lanes of an index number.
pub(super) struct Rows {
    addresses: Registers,
    /// The columns that have been loaded.
    columns: Vec<Option<Value>>,
}

/// The table in the module's data.
fn data(module: &mut dyn Module, table: &'static Table) -> Result<DataId, CodegenError> {
    let symbol = format!("loopweave_{}", table.name());
    let is_new = module.declarations().get_name(&symbol).is_none();
    let declared = module.declare_data(&symbol, Linkage::Local, false, false);
    let id = declared.map_err(|e| super::failed(&symbol, e))?;
    if is_new {
        let mut data = DataDescription::new();
        data.define(row_by_row(table).into());
        data.set_align(ALIGNMENT);
        module.define_data(id, &data).map_err(|e| super::failed(&symbol, e))?;
    }
    Ok(id)
}

impl Emitter<'_> {
    /// The entries of a column.
    pub(super) fn lookup(&mut self, column: Column, index: &Lanes) -> Result<Lanes, CodegenError> {
        let dtype = column.table().dtype();
        let mut registers = Registers::new();
        for &register in &index.registers {
            registers.push(self.lookup_register(column, index.count, register)?);
        }
        Ok(Lanes::new(dtype, index.count, dtype.size(), registers))
    }

    /// The entries for one register of an index of so many lanes.
    pub(super) fn lookup_register(
        &mut self,
        column: Column,
        count: usize,
        index: Value,
    ) -> Result<Value, CodegenError> {
        let (table, size) = (column.table(), column.table().dtype().size());
        let block = self.b.current_block().expect("code stands in a block");
        let key = (table.name(), index, block);
        let mut rows = match self.lookups.remove(&key) {
            Some(rows) => rows,
            None => Rows {
                addresses: self.addresses_of_rows(table, count, index)?,
                columns: vec![None; table.columns().len()],
            },
        };
        let value = match (rows.columns[column.position()], &rows.addresses[..]) {
            (Some(value), _) => value,
            (None, &[row]) => {
                let offset = (column.position() * size) as i32;
                let ty = scalar_type(table.dtype());
                self.b
                    .ins()
                    .load(ty, MemFlagsData::trusted().with_readonly(), row, offset)
            }
            (None, addresses) => {
                let each = LOADED / size;
                let first = column.position() / each * each;
                let loaded = self.columns_from(table, addresses, first);
                for (known, &value) in rows.columns[first..].iter_mut().zip(&loaded) {
                    *known = Some(value);
                }
                loaded[column.position() - first]
            }
        };
        self.lookups.insert(key, rows);
        Ok(value)
    }

    /// The addresses of the rows that the lanes of a register number.
    fn addresses_of_rows(
        &mut self,
        table: &'static Table,
        count: usize,
        index: Value,
    ) -> Result<Registers, CodegenError> {
        let base = self.address_of_table(table)?;
        let size = table.dtype().size();
        let last = table.rows() as u64 - 1;
        let last = match count {
            1 => self.b.ins().iconst(int_type(size), last as i64),
            _ => self.vector_const(self.b.func.dfg.value_type(index), size, |_| last),
        };
        let distances = self.b.ins().band(index, last);
        let distances = self
            .b
            .ins()
            .ishl_imm_u(distances, i64::from(row_bytes(table).trailing_zeros()));
        let lanes = if count == 1 { 1 } else { LOADED / size };
        let address = |lane: usize| {
            let distance = match count {
                1 => distances,
                _ => self.b.ins().extractlane(distances, lane as u8),
            };
            let distance = match size {
                8 => distance,
                _ => self.b.ins().uextend(WORD, distance),
            };
            self.b.ins().iadd(base, distance)
        };
        Ok((0..lanes).map(address).collect())
    }

    fn address_of_table(&mut self, table: &'static Table) -> Result<Value, CodegenError> {
        let id = data(self.module, table)?;
        let symbol = self.module.declare_data_in_func(id, self.b.func);
        // Code and data may be far apart.
        if let GlobalValueData::Symbol { colocated, .. } = &mut self.b.func.global_values[symbol] {
            *colocated = false;
        }
        Ok(self.b.ins().symbol_value(WORD, symbol))
    }

    /// The columns that come with one load of each row, from one on.
    fn columns_from(&mut self, table: &'static Table, addresses: &[Value], first: usize) -> Registers {
        let size = table.dtype().size();
        let load = |&address: &Value| {
            let flags = MemFlagsData::trusted().with_readonly();
            self.b.ins().load(types::I8X16, flags, address, (first * size) as i32)
        };
        let rows: Registers = addresses.iter().map(load).collect();
        // Pairs of 64 bits of two rows, the lower ones and the upper ones, and then of 32 bits of two such.
        let mut columns = self.pairs(&rows, [[0, 1, 4, 5], [2, 3, 6, 7]]);
        if let [ab_low, ab_high, cd_low, cd_high] = columns[..] {
            columns = self.pairs(&[ab_low, cd_low, ab_high, cd_high], [[0, 2, 4, 6], [1, 3, 5, 7]]);
        }
        let ty = vector_type(table.dtype());
        columns.into_iter().map(|column| self.retype(column, ty)).collect()
    }

    /// Of each two registers, two choices of their 32-bit lanes.
    fn pairs(&mut self, registers: &[Value], choices: [[u8; 4]; 2]) -> Registers {
        let mut pairs = Registers::new();
        for pair in registers.chunks(2) {
            pairs.extend(choices.map(|words| self.shuffle_words(pair[0], pair[1], words)));
        }
        pairs
    }
}
