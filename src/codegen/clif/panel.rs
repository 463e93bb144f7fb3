//! Packing of the factors of a matrix product.
//!
//! In: the pointers at the first element of a panel. Out: the panel in scratch, mapped and in the accumulators' dtype, in the
//! order in which the micro-kernel reads it: for each element of the contracted axis the panel's columns, or its rows.
//! Columns beyond the last one are zeros, whose products go nowhere.

use cranelift_codegen::ir::{InstBuilder, Value};

use super::emit::{Carried, Emitter};
use super::matmul::Product;
use super::memory::Access;
use crate::codegen::CodegenError;
use crate::nest::OperandId;

impl Emitter<'_> {
    /// A column panel of `right`, of `columns` columns, to an address.
    pub(super) fn pack_right(
        &mut self,
        p: &Product<'_>,
        pointers: &[Value],
        to: Value,
        columns: Value,
        depth: Value,
    ) -> Result<(), CodegenError> {
        let factor = &p.product.right;
        let dtype = p.product.accumulator();
        let width = self.word(p.product.tile.columns() as i64);
        let zero = self.word(0);
        let entering = self.factor_pointers(&factor.loads, pointers, to);
        let along_k = self.strides(&factor.loads, p.k);
        self.for_range(zero, depth, 1, &entering, |e, _, carried| {
            let (&to, own) = carried.split_last().expect("the target was carried");
            let pointers = e.with_own(&factor.loads, pointers, own);
            let loads = e.accesses(&factor.loads, &pointers, p.column);
            let body = e.row_body(&factor.map, &loads)?;
            let panel = Access::contiguous(dtype, to);
            e.vector_loops(zero, columns, |e, v, count| {
                let load = |e: &mut Self, i: usize| Ok(e.load(&loads[i], v, 0, count));
                let value = e.eval(&body, count, load, None)?;
                e.store(&panel, v, 0, &value[0]);
                Ok(())
            })?;
            e.for_range(columns, width, 1, &[], |e, v, _| {
                let zero = e.splat_const(p.product.zero, 1);
                e.store(&panel, v, 0, &zero);
                Ok(Carried::new())
            })?;
            let mut next = e.advance_own(own, &along_k);
            next.push(e.b.ins().iadd_imm_s(to, p.size * p.product.tile.columns() as i64));
            Ok(next)
        })?;
        Ok(())
    }

    /// A panel of `rows` rows of `left`, to its place in scratch.
    pub(super) fn pack_left(
        &mut self,
        p: &Product<'_>,
        pointers: &[Value],
        rows: Value,
        depth: Value,
    ) -> Result<(), CodegenError> {
        let factor = &p.product.left;
        let zero = self.word(0);
        let entering = self.factor_pointers(&factor.loads, pointers, p.left_room);
        let (along_k, along_rows) = (self.strides(&factor.loads, p.k), self.strides(&factor.loads, p.row));
        self.for_range(zero, rows, 1, &entering, |e, _, carried| {
            let (&to, row) = carried.split_last().expect("the target was carried");
            let entering: Carried = carried.iter().copied().collect();
            e.for_range(zero, depth, 1, &entering, |e, _, carried| {
                let (&to, own) = carried.split_last().expect("the target was carried");
                let elements: Vec<Value> = factor
                    .loads
                    .iter()
                    .zip(own)
                    .map(|(id, &pointer)| e.load_scalar(e.nest.operand(*id).dtype, pointer))
                    .collect();
                let body = e.body(&factor.map, |i| Some(elements[i]), None)?;
                let none = |_: &mut Self, _: usize| {
                    Err(CodegenError::Untyped {
                        func: factor.map.name().to_owned(),
                    })
                };
                let value = e.eval(&body, 1, none, None)?[0].first();
                e.store_scalar(value, to);
                let mut next = e.advance_own(own, &along_k);
                next.push(e.b.ins().iadd_imm_s(to, p.size * p.product.tile.rows as i64));
                Ok(next)
            })?;
            let mut next = e.advance_own(row, &along_rows);
            next.push(e.b.ins().iadd_imm_s(to, p.size));
            Ok(next)
        })?;
        Ok(())
    }

    /// The pointers of a factor's own operands, and that of what is written.
    fn factor_pointers(&mut self, loads: &[OperandId], pointers: &[Value], to: Value) -> Carried {
        loads.iter().map(|id| pointers[id.index()]).chain([to]).collect()
    }

    /// All pointers, with those of some operands replaced.
    fn with_own(&self, loads: &[OperandId], pointers: &[Value], own: &[Value]) -> Carried {
        let mut all: Carried = pointers.iter().copied().collect();
        for (id, &pointer) in loads.iter().zip(own) {
            all[id.index()] = pointer;
        }
        all
    }

    /// The distances between the neighbours of some operands along an axis.
    fn strides(&mut self, loads: &[OperandId], axis: usize) -> Carried {
        loads.iter().map(|id| self.stride(id.index(), axis)).collect()
    }

    /// Pointers moved by one along an axis.
    fn advance_own(&mut self, own: &[Value], strides: &[Value]) -> Carried {
        own.iter()
            .zip(strides)
            .map(|(&pointer, &stride)| self.b.ins().iadd(pointer, stride))
            .collect()
    }
}
