//! What a matrix product does with finished accumulators.
//!
//! In: a tile of them in a buffer, and the pointers to what `finish` loads and stores there. Out: the results, stored row by row
//! while the tile is in the first-level cache.

use cranelift_codegen::ir::{InstBuilder, Value};

use super::body::Body;
use super::emit::{Carried, Emitter, InnerBlock};
use super::matmul::Product;
use super::memory::Access;
use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::MatMul;

impl Emitter<'_> {
    /// `finish` of the rows and columns of a tile in the buffer, and its stores.
    pub(super) fn finish_tile(
        &mut self,
        p: &Product<'_>,
        rows: Value,
        columns: Value,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        if let Some((func, block)) = &p.epilogue {
            self.set_extent(block, 0, rows);
            self.set_extent(block, 1, columns);
            let others = p.product.finish_loads.iter().chain(&p.product.stores);
            let places: Carried = std::iter::once(p.buffer)
                .chain(others.map(|id| pointers[id.index()]))
                .collect();
            self.call_inner(*func, block, &places);
            return Ok(());
        }
        let zero = self.word(0);
        let mut carried: Carried = pointers.iter().copied().collect();
        carried.push(p.buffer);
        self.for_range(zero, rows, 1, &carried, |e, _, carried| {
            let (&buffer, pointers) = carried.split_last().expect("the buffer was carried");
            let (loads, stores, body) = e.finish_row(p, pointers)?;
            let sums = Access::contiguous(p.product.accumulator(), buffer);
            e.vector_loops(zero, columns, |e, v, count| {
                let load = |e: &mut Self, i: usize| {
                    Ok(match i {
                        0 => e.load(&sums, v, 0, count),
                        i => e.load(&loads[i - 1], v, 0, count),
                    })
                };
                let results = e.eval(&body, count, load, None)?;
                for (store, value) in stores.iter().zip(&results) {
                    e.store(store, v, 0, value);
                }
                Ok(())
            })?;
            let mut next = e.advance_finish(p, pointers);
            let row = p.size * p.product.tile.columns() as i64;
            next.push(e.b.ins().iadd_imm_s(buffer, row));
            Ok(next)
        })?;
        Ok(())
    }

    /// The argument block of the wide emitter's `finish`: tiles of accumulators, then what it loads and stores.
    pub(super) fn epilogue_block(&mut self, product: &MatMul) -> InnerBlock {
        let row = self.nest.vector_axis().index() - 2;
        let others = product.finish_loads.iter().chain(&product.stores);
        let block = self.empty_block(Abi::sized(2, 1 + others.clone().count()));
        let buffer_row = product.tile.columns() as i64 * product.accumulator().size() as i64;
        let stride = self.word(buffer_row);
        self.set_stride(&block, 0, 0, stride);
        for (operand, id) in others.enumerate() {
            let stride = self.stride(id.index(), row);
            self.set_stride(&block, operand + 1, 0, stride);
        }
        block
    }

    /// The loads and stores of `finish` along one row, and its body.
    fn finish_row<'f>(
        &mut self,
        p: &Product<'f>,
        pointers: &[Value],
    ) -> Result<(Vec<Access>, Vec<Access>, Body<'f>), CodegenError> {
        let loads = self.accesses(&p.product.finish_loads, pointers, p.column);
        let stores = self.accesses(&p.product.stores, pointers, p.column);
        let once = self.load_once(&loads);
        let body = self.body(&p.product.finish, |i| i.checked_sub(1).and_then(|i| once[i]), None)?;
        Ok((loads, stores, body))
    }

    /// The pointers of what `finish` loads and stores, one row further on.
    fn advance_finish(&mut self, p: &Product<'_>, pointers: &[Value]) -> Carried {
        let mut next: Carried = pointers.iter().copied().collect();
        for id in p.product.finish_loads.iter().chain(&p.product.stores) {
            let stride = self.stride(id.index(), p.row);
            next[id.index()] = self.b.ins().iadd(pointers[id.index()], stride);
        }
        next
    }
}
