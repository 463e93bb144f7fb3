//! The leaf of rows: maps and reductions over one row, one after the other.
//!
//! In: the stages. Out: for each index of the kept axes, the code of every stage in turn, around scratch memory that holds
//! what they leave for each other.

use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_module::FuncId;

use super::emit::{Carried, Emitter, InnerBlock};
use super::reduce::{Reduction, Wide};
use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::{Leaf, OperandId, Order, Role, Stride};

/// A stage with what is computed before the loops over rows.
enum Stage<'f> {
    Map {
        map: &'f loopweave_ir::Func,
        loads: &'f [OperandId],
        stores: &'f [OperandId],
    },
    /// A map by the wide emitter's function.
    Wide(FuncId, InnerBlock),
    Reduce(Box<Reduction<'f>>, usize),
}

impl Emitter<'_> {
    /// All rows, stage by stage.
    pub(super) fn rows_leaf(&mut self, stages: &[Leaf], wide: &[Wide]) -> Result<(), CodegenError> {
        let (pointers, scratch) = self.row_pointers();
        let mut prepared = Vec::with_capacity(stages.len());
        for (stage, wide) in stages.iter().zip(wide) {
            prepared.push(match stage {
                Leaf::Map { map, loads, stores } => match wide.map {
                    Some(func) => Stage::Wide(func, self.row_block()),
                    None => Stage::Map { map, loads, stores },
                },
                Leaf::Reduce(reduce) => {
                    let lanes = match reduce.order {
                        Order::Lanes { lanes, .. } => lanes,
                        Order::Chain { .. } => 1,
                    };
                    Stage::Reduce(Box::new(self.reduction_frame(reduce, scratch, wide)?), lanes as usize)
                }
                Leaf::MatMul(_) | Leaf::Rows(_) => unreachable!("verified: the stages of rows are maps and reductions"),
            });
        }
        // A map has loops of its own over all but the last axis of the row.
        let reduced: Vec<usize> = self.nest.reduced().map(|axis| axis.index()).collect();
        let within = self.with_extents(&reduced[..reduced.len() - 1]);
        self.nest_loops(&pointers, &mut |e, pointers| {
            for stage in &prepared {
                match stage {
                    Stage::Map { map, loads, stores } => e.outer_loops(&within, pointers, &mut |e, pointers| {
                        e.map_leaf(map, loads, stores, pointers)
                    })?,
                    Stage::Wide(func, block) => e.outer_loops(&within, pointers, &mut |e, pointers| {
                        e.call_inner(*func, block, pointers);
                        Ok(())
                    })?,
                    Stage::Reduce(reduction, lanes) => e.lanes_leaf(reduction, *lanes, pointers)?,
                }
            }
            Ok(())
        })
    }

    /// The pointers to all operands, local ones in scratch, and where scratch goes on after those.
    fn row_pointers(&mut self) -> (Carried, Value) {
        let mut pointers = self.pointers();
        let mut at = self.argument(Abi::SCRATCH);
        let mut n = self.word(1);
        for axis in self.nest.reduced() {
            let extent = self.extent(axis.index());
            n = self.b.ins().imul(n, extent);
        }
        for (i, operand) in self.nest.operands.iter().enumerate() {
            if operand.role != Role::Local {
                continue;
            }
            pointers[i] = at;
            at = if operand.stride == Stride::Zero {
                self.b.ins().iadd_imm_s(at, 64)
            } else {
                let bytes = self.b.ins().imul_imm_s(n, operand.dtype.size() as i64);
                let bytes = self.b.ins().iadd_imm_s(bytes, 63);
                let bytes = self.b.ins().band_imm_s(bytes, -64);
                self.b.ins().iadd(at, bytes)
            };
        }
        (pointers, at)
    }
}
