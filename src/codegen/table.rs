//! Tables of constants row by row, for code that loads a row for each lane.
//!
//! In: a table. Out: its bytes, each row at a multiple of a power of two, so that an index is a shift away from its row.

use loopweave_ir::{Scalar, Table};

/// Bytes of a row that come with one load.
pub(super) const LOADED: usize = 16;

/// The bytes of entries, one after the other.
pub(super) fn bytes_of(entries: impl Iterator<Item = Scalar>) -> Vec<u8> {
    let bytes = |entry: Scalar| entry.bits().to_le_bytes().into_iter().take(entry.dtype().size());
    entries.flat_map(bytes).collect()
}

/// Bytes from one row of a table to the next.
pub(super) fn row_bytes(table: &'static Table) -> usize {
    let bytes = table.columns().len() * table.dtype().size();
    bytes.next_power_of_two().max(LOADED)
}

/// All rows.
pub(super) fn row_by_row(table: &'static Table) -> Vec<u8> {
    let row = |index: usize| {
        let mut row = bytes_of(table.columns().map(|column| column.entry(index as u64)));
        row.resize(row_bytes(table), 0);
        row
    };
    (0..table.rows()).flat_map(row).collect()
}
