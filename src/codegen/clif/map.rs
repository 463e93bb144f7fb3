//! The leaf of a map: loads, the function and stores along the vector axis.
//!
//! In: the pointers of one row. Out: a loop over `unroll` vectors at a time, then one over single vectors, then one over
//! single elements.

use cranelift_codegen::ir::{InstBuilder, Value};
use loopweave_ir::Func;

use super::body::Body;
use super::emit::{Carried, Emitter};
use super::memory::Access;
use crate::codegen::CodegenError;
use crate::nest::{OperandId, Stride};

impl Emitter<'_> {
    /// The vector axis of a map, from the pointers of all operands at its start.
    pub(super) fn map_leaf(
        &mut self,
        map: &Func,
        loads: &[OperandId],
        stores: &[OperandId],
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let axis = self.nest.vector_axis().index();
        let (zero, n) = (self.word(0), self.extent(axis));
        let any = self.less(zero, n);
        // Nothing may be loaded for an empty axis, not even the element that would serve all of it.
        self.when(any, |e| {
            let loads = e.accesses(loads, pointers, axis);
            let stores = e.accesses(stores, pointers, axis);
            let body = e.row_body(map, &loads)?;
            e.map_row(body, &loads, &stores, zero, n)
        })
    }

    /// A function of operands along the vector axis, those of stride 0 loaded.
    pub(super) fn row_body<'f>(&mut self, func: &'f Func, loads: &[Access]) -> Result<Body<'f>, CodegenError> {
        let once = self.load_once(loads);
        self.body(func, |p| once[p], None)
    }

    /// The elements of those operands that have one for the whole axis.
    pub(super) fn load_once(&mut self, loads: &[Access]) -> Vec<Option<Value>> {
        loads
            .iter()
            .map(|load| (load.stride == Stride::Zero).then(|| self.load_scalar(load.dtype, load.pointer)))
            .collect()
    }

    /// The results of a function for the indices `start .. end`.
    pub(super) fn map_row(
        &mut self,
        mut body: Body<'_>,
        loads: &[Access],
        stores: &[Access],
        start: Value,
        end: Value,
    ) -> Result<(), CodegenError> {
        let (lanes, unroll) = (self.nest.vector.lanes as usize, self.nest.vector.unroll as usize);
        self.prepare(&mut body, lanes);
        if lanes > 1 {
            self.prepare(&mut body, 1);
        }
        let mut at = start;
        let mut loops = vec![(lanes, unroll), (lanes, 1), (1, 1)];
        loops.dedup();
        for (count, copies) in loops {
            let step = (count * copies) as i64;
            let last = self.b.ins().iadd_imm_s(end, 1 - step);
            (at, _) = self.for_range(at, last, step, &[], |e, i, _| {
                for copy in 0..copies {
                    let ahead = copy * count;
                    let load = |e: &mut Self, p: usize| Ok(e.load(&loads[p], i, ahead, count));
                    let results = e.eval(&body, count, load, None)?;
                    for (store, value) in stores.iter().zip(&results) {
                        e.store(store, i, ahead, value);
                    }
                }
                Ok(Carried::new())
            })?;
        }
        Ok(())
    }
}
