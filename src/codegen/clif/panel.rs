//! Packing of the factors of a matrix product.
//!
//! In: the pointers at the first element of a panel. Out: the panel in scratch, mapped and in the accumulators' dtype, in the
//! order in which the micro-kernel reads it: for each element of the contracted axis the panel's columns, or its rows.
//! Columns beyond the last one are zeros, whose products go nowhere.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::emit::{Carried, Emitter};
use super::matmul::Product;
use super::memory::Access;
use crate::codegen::CodegenError;
use crate::nest::OperandId;

impl Emitter<'_> {
    /// Columns of a block of `right`, from the first to the last, to the column panels that they are in.
    pub(super) fn pack_right(
        &mut self,
        p: &Product<'_>,
        pointers: &[Value],
        columns: (Value, Value),
        depth: Value,
    ) -> Result<(), CodegenError> {
        let factor = &p.product.right;
        let dtype = p.product.accumulator();
        let width = p.product.tile.columns() as i64;
        // All columns of one element of the contracted axis before the next: they are neighbours, and panels are not.
        let panel_bytes = self.b.ins().imul_imm_s(depth, width * p.size);
        let first = self.packed_panel(p, columns.0, depth);
        let entering = self.factor_pointers(&factor.loads, pointers, first);
        let along_k = self.strides(&factor.loads, p.k);
        let zero = self.word(0);
        self.for_range(zero, depth, 1, &entering, |e, _, carried| {
            let (&to, own) = carried.split_last().expect("the target was carried");
            let pointers = e.with_own(&factor.loads, pointers, own);
            let loads = e.accesses(&factor.loads, &pointers, p.column);
            let body = e.row_body(&factor.map, &loads)?;
            let last = e.b.ins().iadd_imm_s(columns.1, 1 - width);
            let lanes = 1 << (e.nest.vector.lanes | width as u32).trailing_zeros();
            let (at, tail) = e.for_range(columns.0, last, width, &[to], |e, column, carried| {
                let panel = Access::contiguous(dtype, carried[0]);
                for ahead in (0..width as usize).step_by(lanes) {
                    let load = |e: &mut Self, i: usize| Ok(e.load(&loads[i], column, ahead, lanes));
                    let value = e.eval(&body, lanes, load, None)?;
                    e.store(&panel, zero, ahead, &value[0]);
                }
                Ok([e.b.ins().iadd(carried[0], panel_bytes)].into_iter().collect())
            })?;
            let some = e.less(at, columns.1);
            e.when(some, |e| {
                let count = e.b.ins().isub(columns.1, at);
                let from = e.b.ins().imul_imm_s(at, p.size);
                let panel = Access::contiguous(dtype, e.b.ins().isub(tail[0], from));
                e.vector_loops(at, columns.1, |e, v, count| {
                    let load = |e: &mut Self, i: usize| Ok(e.load(&loads[i], v, 0, count));
                    let value = e.eval(&body, count, load, None)?;
                    e.store(&panel, v, 0, &value[0]);
                    Ok(())
                })?;
                let panel = Access::contiguous(dtype, tail[0]);
                let width = e.word(width);
                e.for_range(count, width, 1, &[], |e, v, _| {
                    let zero = e.splat_const(p.product.zero, 1);
                    e.store(&panel, v, 0, &zero);
                    Ok(Carried::new())
                })?;
                Ok(())
            })?;
            let mut next = e.advance_own(own, &along_k);
            next.push(e.b.ins().iadd_imm_s(to, width * p.size));
            Ok(next)
        })?;
        Ok(())
    }

    /// Some rows of `left` to an address, row by row.
    pub(super) fn pack_left(
        &mut self,
        p: &Product<'_>,
        pointers: &[Value],
        to: Value,
        rows: Value,
        depth: Value,
    ) -> Result<(), CodegenError> {
        let loads = &p.product.left.loads;
        let mut neighbours = self.b.ins().iconst(types::I8, 1);
        for id in loads {
            let stride = self.stride(id.index(), p.k);
            let size = self.nest.operand(*id).dtype.size();
            let unit = self.b.ins().icmp_imm_s(IntCC::Equal, stride, size as i64);
            neighbours = self.b.ins().band(neighbours, unit);
        }
        self.when(neighbours, |e| e.pack_left_rows(p, pointers, to, rows, depth))?;
        let apart = self.b.ins().icmp_imm_s(IntCC::Equal, neighbours, 0);
        self.when(apart, |e| e.pack_left_elements(p, pointers, to, rows, depth))
    }

    /// As [`Emitter::pack_left`], of rows whose elements are neighbours.
    fn pack_left_rows(
        &mut self,
        p: &Product<'_>,
        pointers: &[Value],
        to: Value,
        rows: Value,
        depth: Value,
    ) -> Result<(), CodegenError> {
        let factor = &p.product.left;
        let zero = self.word(0);
        let entering = self.factor_pointers(&factor.loads, pointers, to);
        let along_rows = self.strides(&factor.loads, p.row);
        self.for_range(zero, rows, 1, &entering, |e, _, carried| {
            let (&to, own) = carried.split_last().expect("the target was carried");
            let loads: Vec<Access> = factor
                .loads
                .iter()
                .zip(own)
                .map(|(id, &pointer)| Access::contiguous(e.nest.operand(*id).dtype, pointer))
                .collect();
            let body = e.row_body(&factor.map, &loads)?;
            let row = Access::contiguous(p.product.accumulator(), to);
            // Four vectors at a time, so that more lines are on their way from memory at once.
            let lanes = e.nest.vector.lanes as usize;
            let last = e.b.ins().iadd_imm_s(depth, 1 - 4 * lanes as i64);
            let (at, _) = e.for_range(zero, last, 4 * lanes as i64, &[], |e, at, _| {
                for ahead in (0..4 * lanes).step_by(lanes) {
                    let load = |e: &mut Self, i: usize| Ok(e.load(&loads[i], at, ahead, lanes));
                    let value = e.eval(&body, lanes, load, None)?;
                    e.store(&row, at, ahead, &value[0]);
                }
                Ok(Carried::new())
            })?;
            e.map_row(body, &loads, &[row], at, depth)?;
            let mut next = e.advance_own(own, &along_rows);
            next.push(e.b.ins().iadd(to, p.left_row));
            Ok(next)
        })?;
        Ok(())
    }

    /// As [`Emitter::pack_left`], of elements that lie anywhere.
    fn pack_left_elements(
        &mut self,
        p: &Product<'_>,
        pointers: &[Value],
        to: Value,
        rows: Value,
        depth: Value,
    ) -> Result<(), CodegenError> {
        let factor = &p.product.left;
        let zero = self.word(0);
        let entering = self.factor_pointers(&factor.loads, pointers, to);
        let (along_k, along_rows) = (self.strides(&factor.loads, p.k), self.strides(&factor.loads, p.row));
        // Row by row inside, as the rows of a transposed factor are neighbours.
        self.for_range(zero, depth, 1, &entering, |e, _, carried| {
            let (&to, column) = carried.split_last().expect("the target was carried");
            let entering: Carried = carried.iter().copied().collect();
            e.for_range(zero, rows, 1, &entering, |e, _, carried| {
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
                let mut next = e.advance_own(own, &along_rows);
                next.push(e.b.ins().iadd(to, p.left_row));
                Ok(next)
            })?;
            let mut next = e.advance_own(column, &along_k);
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
