//! Tables of constants: what [`Op::Lookup`](crate::Op::Lookup) reads.
//!
//! In: a column and an index. Out: the column's entry. The tables are those of the expansions; [`Column::from_name`] knows them
//! all, so that printed functions can be read again.
//!
//! A column has a power of two of entries, few enough for the vector registers that it is meant for: what fills one or two is
//! permuted by one instruction.

use std::fmt;

use crate::dtype::{Dtype, Scalar};
use crate::expand::TABLES;

/// Some columns of constants of one dtype.
#[derive(Debug)]
pub struct Table {
    name: &'static str,
    dtype: Dtype,
    columns: &'static [&'static [f64]],
}

impl Table {
    /// A table of floats, which have to be exact in the dtype; the columns are equally long.
    pub(crate) const fn new(name: &'static str, dtype: Dtype, columns: &'static [&'static [f64]]) -> Table {
        Table { name, dtype, columns }
    }

    /// All tables there are.
    pub fn all() -> impl Iterator<Item = &'static Table> {
        TABLES.into_iter()
    }

    /// Its name in printed functions and object files.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The dtype of its entries; an index is an unsigned integer of the same width.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its rows, a power of two: an index counts modulo this.
    pub fn rows(&self) -> usize {
        self.columns[0].len()
    }

    /// Its columns in their order.
    pub fn columns(&'static self) -> impl ExactSizeIterator<Item = Column> {
        (0..self.columns.len()).map(|column| self.column(column))
    }

    pub(crate) fn column(&'static self, column: usize) -> Column {
        assert!(column < self.columns.len(), "`{}` has no column {column}", self.name);
        Column {
            table: self,
            column: column as u32,
        }
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    table: &'static Table,
    column: u32,
}

impl Column {
    /// The table.
    pub fn table(self) -> &'static Table {
        self.table
    }

    /// Its place in the table.
    pub fn position(self) -> usize {
        self.column as usize
    }

    /// The entry at an index, of which the low bits count.
    pub fn entry(self, index: u64) -> Scalar {
        let value = self.table.columns[self.position()][index as usize % self.table.rows()];
        Scalar::from_f64(self.table.dtype, value)
    }

    /// All entries in their order.
    pub fn entries(self) -> impl ExactSizeIterator<Item = Scalar> {
        (0..self.table.rows()).map(move |index| self.entry(index as u64))
    }

    /// The column that is printed like this, as in `tanh_f32_3`.
    pub fn from_name(name: &str) -> Option<Column> {
        let (table, column) = name.rsplit_once('_')?;
        let table = Table::all().find(|known| known.name == table)?;
        table.columns().find(|known| known.column.to_string() == column)
    }

    fn key(self) -> (&'static str, u32) {
        (self.table.name, self.column)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.table.name, self.column)
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Column) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Column {}

impl std::hash::Hash for Column {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_names_and_exact_entries() {
        for column in Table::all().flat_map(Table::columns) {
            assert_eq!(Column::from_name(&column.to_string()), Some(column));
            assert!(column.entries().len().is_power_of_two());
            for (entry, value) in column.entries().zip(column.table.columns[column.position()]) {
                assert_eq!(entry.as_f64(), *value, "{column}");
            }
        }
        for name in ["tanh_f32_99", "tanh_f32_03", "tanh_f32", "_1", "1"] {
            assert_eq!(Column::from_name(name), None);
        }
    }
}
