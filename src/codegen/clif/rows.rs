//! The leaf of rows: maps and reductions over one row, one after the other.
//!
//! In: the stages. Out: for each index of the kept axes, the code of every stage in turn, around scratch memory that holds
//! what they leave for each other. Where vectors run across results, that is for as many as the argument block has side by
//! side.

use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_module::FuncId;

use super::emit::{Carried, Emitter, InnerBlock};
use super::reduce::{Reduction, Wide};
use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::{Leaf, Nest, OperandId, Role};

/// A stage with what is computed before the loops over rows.
enum Stage<'f> {
    Map {
        map: &'f loopweave_ir::Func,
        loads: &'f [OperandId],
        stores: &'f [OperandId],
    },
    /// A map by the wide emitter's function.
    Wide(FuncId, InnerBlock),
    Reduce(Box<Reduction<'f>>),
}

/// The axes that the wide emitter's function for a map loops over: the row's last one, and the vector axis where that is another.
pub(super) fn map_axes(nest: &Nest) -> usize {
    1 + nest.is_across() as usize
}

impl Emitter<'_> {
    /// All rows, stage by stage.
    pub(super) fn rows_leaf(&mut self, stages: &[Leaf], wide: &[Wide]) -> Result<(), CodegenError> {
        let (pointers, scratch) = self.row_pointers();
        // The wide emitter's functions take their arguments from one block, stage after stage.
        let block = wide.iter().any(Wide::is_whole).then(|| self.row_block());
        let mut prepared = Vec::with_capacity(stages.len());
        for (stage, wide) in stages.iter().zip(wide) {
            prepared.push(match stage {
                Leaf::Map { map, loads, stores } => match wide.map.zip(block) {
                    Some((func, block)) => Stage::Wide(func, block),
                    None => Stage::Map { map, loads, stores },
                },
                Leaf::Reduce(reduce) => {
                    Stage::Reduce(Box::new(self.reduction_frame(reduce, None, scratch, wide, block)?))
                }
                Leaf::MatMul(_) | Leaf::Rows(_) => unreachable!("verified: the stages of rows are maps and reductions"),
            });
        }
        // A map has loops of its own over all axes of the row but the vector axis, and those that its function has.
        let reduced: Vec<usize> = self.nest.reduced().map(|axis| axis.index()).collect();
        let before = |e: &mut Self, last: usize| {
            let end = e.nest.axes.len() - last;
            let axes = reduced.iter().copied().filter(|&axis| axis < end);
            e.with_extents(&axes.collect::<Vec<_>>())
        };
        let (within, within_wide) = (before(self, 1), before(self, map_axes(self.nest)));
        let len = self.extent(self.nest.vector_axis().index());
        self.nest_loops(&pointers, &mut |e, pointers| {
            for stage in &prepared {
                match stage {
                    Stage::Map { map, loads, stores } => e.outer_loops(&within, pointers, &mut |e, pointers| {
                        e.map_leaf(map, loads, stores, pointers)
                    })?,
                    Stage::Wide(func, block) => e.outer_loops(&within_wide, pointers, &mut |e, pointers| {
                        e.call_row(*func, block, pointers, len);
                        Ok(())
                    })?,
                    Stage::Reduce(reduction) => e.reduce_leaf(reduction, pointers)?,
                }
            }
            Ok(())
        })
    }

    /// The pointers to all operands, local ones in scratch, and where scratch goes on after those.
    fn row_pointers(&mut self) -> (Carried, Value) {
        let mut pointers = self.pointers();
        let mut at = self.argument(Abi::SCRATCH);
        let outermost = self.nest.reduced().next().map_or(0, |axis| axis.index());
        let row = self.row_len();
        for (i, operand) in self.nest.operands.iter().enumerate() {
            if operand.role != Role::Local {
                continue;
            }
            pointers[i] = at;
            // The distances leave room for the longest strip, of which this may be the end.
            let bytes = if self.nest.is_of_result(OperandId(i as u32)) {
                self.b.ins().imul_imm_s(row, operand.dtype.size() as i64)
            } else {
                let (extent, stride) = (self.extent(outermost), self.stride(i, outermost));
                self.b.ins().imul(extent, stride)
            };
            let bytes = self.b.ins().iadd_imm_s(bytes, 63);
            let bytes = self.b.ins().band_imm_s(bytes, -64);
            at = self.b.ins().iadd(at, bytes);
        }
        (pointers, at)
    }
}
