//! What is checked of a call's arguments before anything runs.
//!
//! In: the views of a call. Out: nothing, or a [`CallError`] in the program's names. Shapes are checked where they are bound,
//! once for each layout; what stands here is checked at every call.

use loopweave_ir::{Dtype, Op};

use super::Program;
use super::prepare::Prepared;
use crate::error::CallError;
use crate::graph::{ArrayOp, Graph};
use crate::runtime::launch::Region;
use crate::runtime::view::{View, ViewMut};
use crate::shape;

impl Program {
    pub(super) fn check_dtypes(&self, inputs: &[View<'_>], outputs: Option<&[ViewMut<'_>]>) -> Result<(), CallError> {
        let kernel = || self.graph.name.clone();
        if inputs.len() != self.graph.inputs.len() {
            return Err(CallError::ArgumentCount {
                kernel: kernel(),
                expected: self.graph.inputs.len(),
                found: inputs.len(),
            });
        }
        for (i, (view, &expected)) in inputs.iter().zip(&self.dtypes.0).enumerate() {
            if view.dtype() != expected {
                return Err(CallError::ArgumentDtype {
                    kernel: kernel(),
                    input: self.input_name(i),
                    found: view.dtype(),
                    expected,
                });
            }
        }
        for &(input, dtype) in &self.weak {
            if let Some(literal) = inputs[input].weak_value().filter(|l| l.to_scalar(dtype).is_none()) {
                return Err(CallError::ScalarRange {
                    input: self.input_name(input),
                    literal,
                    dtype,
                });
            }
        }
        let Some(outputs) = outputs else { return Ok(()) };
        if outputs.len() != self.graph.outputs.len() {
            return Err(CallError::OutputCount {
                kernel: kernel(),
                expected: self.graph.outputs.len(),
                found: outputs.len(),
            });
        }
        for (o, (view, &expected)) in outputs.iter().zip(&self.dtypes.1).enumerate() {
            if view.dtype() != expected {
                return Err(CallError::OutputDtype {
                    output: self.output_name(o),
                    found: view.dtype(),
                    expected,
                });
            }
        }
        Ok(())
    }

    fn input_name(&self, input: usize) -> String {
        self.graph.node(self.graph.inputs[input]).name.clone()
    }

    pub(super) fn output_name(&self, output: usize) -> String {
        self.graph.outputs[output].0.clone()
    }

    /// Refuses outputs that overlap an input, except the very same view where the program reads it element by element; and
    /// outputs that overlap each other.
    pub(super) fn check_overlap(&self, prepared: &Prepared, regions: &[Region<'_>]) -> Result<(), CallError> {
        let (inputs, outputs) = regions.split_at(prepared.inputs.len());
        for (o, output) in outputs.iter().enumerate() {
            let bytes = output.addresses();
            for (i, input) in inputs.iter().enumerate() {
                if shape::overlap(&bytes, &input.addresses()) && !self.is_in_place(prepared, regions, i, o) {
                    return Err(CallError::Overlap {
                        output: self.output_name(o),
                        input: self.input_name(i),
                    });
                }
            }
            for (p, other) in outputs[..o].iter().enumerate() {
                if shape::overlap(&bytes, &other.addresses()) {
                    return Err(CallError::OutputsOverlap {
                        first: self.output_name(p),
                        second: self.output_name(o),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether an input and an output are the very same view, and may be.
    fn is_in_place(&self, prepared: &Prepared, regions: &[Region<'_>], input: usize, output: usize) -> bool {
        std::ptr::eq(
            regions[input].pointer(),
            regions[prepared.inputs.len() + output].pointer(),
        ) && prepared.inputs[input] == prepared.outputs[output]
            && self.dtypes.0[input] == self.dtypes.1[output]
            && prepared.in_place.contains(&(input, output))
    }
}

/// The integer types that maps take each `i64` input to. Only a bare scalar's value is checked against them: an array's
/// elements are cast because the program says so.
pub(super) fn weak_types(graph: &Graph) -> Vec<(usize, Dtype)> {
    let mut types = Vec::new();
    for (input, id) in graph
        .inputs
        .iter()
        .enumerate()
        .filter(|(_, id)| graph.node(**id).dtype == Dtype::I64)
    {
        for node in &graph.nodes {
            let ArrayOp::Map(func) = &node.op else { continue };
            for cast in func.nodes() {
                let (Op::Cast(dtype), Some(&of)) = (cast.op, cast.args.first()) else {
                    continue;
                };
                let is_input = matches!(func.node(of).op, Op::Param(p) if node.args[p as usize] == *id);
                if is_input && dtype.is_int() && !types.contains(&(input, dtype)) {
                    types.push((input, dtype));
                }
            }
        }
    }
    types
}
