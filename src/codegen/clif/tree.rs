//! The tree over the lanes of a block.
//!
//! In: lanes in their array on the stack, as many as a power of two of vectors. Out: the value of the block.
//!
//! Each level combines the upper half of its vectors into the lower, all in registers; the last one does so with the lanes
//! of one vector. A level is a block with its vectors as parameters, so that a short block enters where it belongs.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Type, Value, types};

use super::emit::{Carried, Emitter};
use super::lanes::Fold;
use super::reduce::{Reduction, carried_types, from_registers};
use super::value::{Lanes, Registers};
use crate::codegen::CodegenError;

/// The tree over lanes, with an entrance for each number of vectors.
pub(super) struct Tree {
    /// Entered with 2ⁱ vectors of each accumulator.
    pub(super) levels: Vec<Block>,
    /// Entered with the value of the block, in scalar registers.
    pub(super) done: Block,
}

impl Emitter<'_> {
    pub(super) fn tree_blocks(&mut self, fold: &Fold<'_, '_>) -> Tree {
        let types: Vec<Type> = fold
            .r
            .accumulators
            .iter()
            .flat_map(|&d| carried_types(d, fold.lanes))
            .collect();
        let levels = (0..=fold.tree_width.ilog2())
            .map(|level| {
                let all = (0..1 << level).flat_map(|_| types.iter().copied());
                self.block(all)
            })
            .collect();
        Tree {
            levels,
            done: self.block(Self::scalar_types(fold.r)),
        }
    }

    /// Goes from `valid` lanes in their array, a power of two of vectors, to the level of the tree for so many.
    pub(super) fn enter_tree(&mut self, fold: &Fold<'_, '_>, tree: &Tree, valid: Value) -> Result<(), CodegenError> {
        let widest = self.word((fold.tree_width * fold.lanes) as i64);
        let mut valid = valid;
        if fold.tree_width * fold.lanes < fold.virtual_lanes {
            // Too many vectors for the registers, or for the length of the code: halve them in memory first. The loop
            // counts −valid upwards.
            let (start, stop) = (self.b.ins().ineg(valid), self.b.ins().ineg(widest));
            let (at, _) = self.loop_while(start, stop, &[], |e, at, _| {
                let valid = e.b.ins().ineg(at);
                let half = e.b.ins().ushr_imm_u(valid, 1);
                let zero = e.word(0);
                e.for_range(zero, half, fold.lanes as i64, &[], |e, lane, _| {
                    let other = e.b.ins().iadd(lane, half);
                    let a = e.load_all(&fold.slots, lane, 0, fold.lanes);
                    let b = e.load_all(&fold.slots, other, 0, fold.lanes);
                    let values = e.combine(fold.r, &a, &b)?;
                    e.store_all(&fold.slots, lane, 0, &values);
                    Ok(Carried::new())
                })?;
                Ok((e.b.ins().ineg(half), Carried::new()))
            })?;
            valid = self.b.ins().ineg(at);
        }
        let zero = self.word(0);
        for (level, &block) in tree.levels.iter().enumerate().rev() {
            let load = self.block([]);
            let next = self.block([]);
            if level == 0 {
                self.jump(load, &[]);
            } else {
                let here = self
                    .b
                    .ins()
                    .icmp_imm_s(IntCC::Equal, valid, (fold.lanes << level) as i64);
                self.branch(here, (load, &[]), (next, &[]));
            }
            self.b.switch_to_block(load);
            let mut args = Vec::new();
            for v in 0..1 << level {
                let values = self.load_all(&fold.slots, zero, v * fold.lanes, fold.lanes);
                args.extend(values.iter().flat_map(|a| a.registers.iter().copied()));
            }
            self.jump(block, &args);
            if level > 0 {
                self.b.switch_to_block(next);
            }
        }
        Ok(())
    }

    /// The levels of the tree: each combines the upper half of its vectors into the lower; the last one does so with the
    /// lanes of one vector.
    pub(super) fn emit_tree(&mut self, fold: &Fold<'_, '_>, tree: &Tree) -> Result<(), CodegenError> {
        let k = fold.r.accumulators.len();
        for (level, &block) in tree.levels.iter().enumerate().rev() {
            self.b.switch_to_block(block);
            let params = self.b.block_params(block).to_vec();
            let values = from_registers(&fold.r.accumulators, fold.lanes, &params);
            if level == 0 {
                let values = self.fold_lanes(fold.r, values)?;
                self.jump(tree.done, &values);
                continue;
            }
            let half = k << (level - 1);
            let mut args = Vec::new();
            for (a, b) in values[..half].chunks(k).zip(values[half..].chunks(k)) {
                let combined = self.combine(fold.r, a, b)?;
                args.extend(combined.iter().flat_map(|a| a.registers.iter().copied()));
            }
            self.jump(tree.levels[level - 1], &args);
        }
        Ok(())
    }

    /// The tree over the lanes of one vector.
    pub(super) fn fold_lanes(&mut self, r: &Reduction<'_>, mut values: Vec<Lanes>) -> Result<Vec<Value>, CodegenError> {
        while values[0].count > 1 {
            let (low, high): (Vec<Lanes>, Vec<Lanes>) = values.iter().map(|v| self.halves(v)).unzip();
            values = self.combine(r, &low, &high)?;
        }
        Ok(values.iter().map(Lanes::first).collect())
    }

    /// The lower and the upper half of the lanes of a value.
    pub(super) fn halves(&mut self, value: &Lanes) -> (Lanes, Lanes) {
        let half = value.count / 2;
        if half == 1 {
            let (low, high) = (self.extract(value, 0), self.extract(value, 1));
            return (Lanes::scalar(value.dtype, low), Lanes::scalar(value.dtype, high));
        }
        let part = |registers| Lanes::new(value.dtype, half, value.width, registers);
        if value.registers.len() > 1 {
            let (low, high) = value.registers.split_at(value.registers.len() / 2);
            return (part(Registers::from_slice(low)), part(Registers::from_slice(high)));
        }
        let ty = value.register_type();
        let register = value.first();
        let high = match half * value.width {
            bytes @ (8 | 4) => {
                let words = if bytes == 8 { [2, 3, 2, 3] } else { [1, 1, 1, 1] };
                let register = self.retype(register, types::I8X16);
                self.shuffle_words(register, register, words)
            }
            bytes => {
                let register = self.retype(register, types::I64X2);
                self.b.ins().ushr_imm_u(register, 8 * bytes as i64)
            }
        };
        let high = self.retype(high, ty);
        (part(value.registers.clone()), part(Registers::from_elem(high, 1)))
    }
}
