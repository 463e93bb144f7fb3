//! The elements of a reduction: where they stand, and the map applied to them.
//!
//! In: the pointers at one kept index, and a position along the reduced axes. Out: lanes of mapped elements.
//!
//! Along a single reduced axis elements are mapped where they are used. Several axes that could not be merged make runs of
//! elements; a block of those is mapped into a buffer first, which then is the one run that the fold works on.

use cranelift_codegen::ir::{InstBuilder, Value};
use loopweave_ir::{Builder, Dtype, Func, Op};

use super::body::Body;
use super::emit::{Carried, Emitter};
use super::memory::Access;
use super::reduce::Reduction;
use super::value::Lanes;
use crate::codegen::CodegenError;

/// The elements of a block: from operands through the map, or from a buffer of what the map gave.
pub(super) struct Elements<'f> {
    pub(super) body: Body<'f>,
    pub(super) loads: Vec<Access>,
    /// The position of the first one along the reduced axes.
    pub(super) origin: Value,
}

impl Emitter<'_> {
    /// The elements of a block along a single reduced axis.
    pub(super) fn direct_elements<'f>(
        &mut self,
        r: &Reduction<'f>,
        pointers: &[Value],
        origin: Value,
    ) -> Result<Elements<'f>, CodegenError> {
        let pointers = self.moved(r, pointers, &[(r.axes[0], origin)]);
        let loads = self.accesses(&r.reduce.loads, &pointers, r.axes[0]);
        let body = self.row_body(&r.reduce.map, &loads)?;
        Ok(Elements { body, loads, origin })
    }

    /// The pointers moved by an index along some axes.
    pub(super) fn moved(&mut self, r: &Reduction<'_>, pointers: &[Value], by: &[(usize, Value)]) -> Carried {
        let mut moved: Carried = pointers.iter().copied().collect();
        for id in &r.reduce.loads {
            let mut pointer = pointers[id.index()];
            for &(axis, index) in by {
                let stride = self.stride(id.index(), axis);
                let offset = self.b.ins().imul(index, stride);
                pointer = self.b.ins().iadd(pointer, offset);
            }
            moved[id.index()] = pointer;
        }
        moved
    }

    /// The index along each reduced axis but the last of the run that a flat position of runs names.
    pub(super) fn decompose(&mut self, axes: &[usize], mut position: Value) -> Vec<(usize, Value)> {
        let mut indices = Vec::new();
        for (i, &axis) in axes.iter().enumerate().rev() {
            if i == 0 {
                indices.push((axis, position));
            } else {
                let extent = self.extent(axis);
                indices.push((axis, self.b.ins().urem(position, extent)));
                position = self.b.ins().udiv(position, extent);
            }
        }
        indices
    }

    /// The elements of a block over several reduced axes: mapped run by run into a buffer.
    pub(super) fn packed_elements<'f>(
        &mut self,
        r: &Reduction<'_>,
        buffers: &[Value],
        identity: &'f Func,
        pointers: &[Value],
        origin: Value,
        m: Value,
    ) -> Result<Elements<'f>, CodegenError> {
        let arrays = self.arrays(r, buffers);
        let (&last, outer) = r.axes.split_last().unwrap_or((&0, &[]));
        let zero = self.word(0);
        self.loop_while(zero, m, &[], |e, at, _| {
            let extent = e.extent(last);
            let position = e.b.ins().iadd(origin, at);
            let (run, index) = (e.b.ins().udiv(position, extent), e.b.ins().urem(position, extent));
            let (rest, left) = (e.b.ins().isub(extent, index), e.b.ins().isub(m, at));
            let length = e.b.ins().smin(rest, left);
            let mut by = e.decompose(outer, run);
            by.push((last, index));
            let pointers = e.moved(r, pointers, &by);
            let loads = e.accesses(&r.reduce.loads, &pointers, last);
            let body = e.row_body(&r.reduce.map, &loads)?;
            let elements = Elements {
                body,
                loads,
                origin: position,
            };
            let zero = e.word(0);
            e.vector_loops(zero, length, |e, i, count| {
                let values = e.elements(&elements, i, 0, count)?;
                let to = e.b.ins().iadd(at, i);
                e.store_all(&arrays, to, 0, &values);
                Ok(())
            })?;
            Ok((e.b.ins().iadd(at, length), Carried::new()))
        })?;
        Ok(Elements {
            body: self.body(identity, |_| None, None)?,
            loads: arrays,
            origin,
        })
    }

    /// Loops over `start .. end`, vector by vector, then element by element.
    pub(super) fn vector_loops(
        &mut self,
        start: Value,
        end: Value,
        mut body: impl FnMut(&mut Self, Value, usize) -> Result<(), CodegenError>,
    ) -> Result<(), CodegenError> {
        let lanes = self.nest.vector.lanes as usize;
        let mut counts = vec![lanes, 1];
        counts.dedup();
        let mut at = start;
        for count in counts {
            let last = self.b.ins().iadd_imm_s(end, 1 - count as i64);
            (at, _) = self.for_range(at, last, count as i64, &[], |e, i, _| {
                body(e, i, count)?;
                Ok(Carried::new())
            })?;
        }
        Ok(())
    }

    /// The mapped elements `i + ahead …` of a block.
    pub(super) fn elements(
        &mut self,
        elements: &Elements<'_>,
        i: Value,
        ahead: usize,
        count: usize,
    ) -> Result<Vec<Lanes>, CodegenError> {
        let uses_index = elements.body.func.nodes().iter().any(|n| n.op == Op::Index);
        let index = uses_index.then(|| {
            let position = self.b.ins().iadd(elements.origin, i);
            let position = self.b.ins().iadd_imm_s(position, ahead as i64);
            self.positions(position, count)
        });
        let load = |e: &mut Self, p: usize| Ok(e.load(&elements.loads[p], i, ahead, count));
        let values = self.eval(&elements.body, count, load, index.as_ref())?;
        Ok(values.iter().map(|v| self.carried_form(v)).collect())
    }
}

/// The function that gives its parameters.
pub(super) fn identity(dtypes: &[Dtype]) -> Func {
    let mut b = Builder::typed("identity");
    let params: Vec<_> = (0..)
        .zip(dtypes)
        .map(|(i, &d)| b.param(format!("x{i}"), Some(d)))
        .collect();
    b.finish(&params)
}
