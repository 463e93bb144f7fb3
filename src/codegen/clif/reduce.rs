//! The frame of every reduction: what its three functions share, and what comes after the elements.
//!
//! In: the pointers at one kept index. Out: the stored results, or the values of some blocks in scratch.
//!
//! One body of code serves all of a reduction and its parts, as the mode word of the argument block tells: it loops over the
//! kept axes and does everything, or stands at one kept index and does its part. [`lanes`](super::lanes) and
//! [`across`](super::across) emit what is between: elements to values of blocks, along one result or across results.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_module::FuncId;
use loopweave_ir::{Dtype, Scalar};

use super::body::Body;
use super::emit::{Carried, Emitter, InnerBlock};
use super::memory::Access;
use super::value::{Lanes, Registers, int_vector, mask_width, registers, scalar_type, vector_type};
use crate::codegen::CodegenError;
use crate::codegen::abi::{self, Abi};
use crate::nest::{Order, Reduce};

/// What a function of a reduction needs at every kept index.
pub(super) struct Reduction<'f> {
    pub(super) reduce: &'f Reduce,
    /// The types of the values that are combined.
    pub(super) accumulators: Vec<Dtype>,
    /// The reduced axes, outermost first.
    pub(super) axes: Vec<usize>,
    /// The combination of two sets of values.
    pub(super) combine: Body<'f>,
    /// Elements per result.
    pub(super) n: Value,
    /// Blocks per result.
    pub(super) blocks: Value,
    /// The blocks to compute.
    pub(super) first: Value,
    pub(super) last: Value,
    /// The part to compute; all where nothing says which.
    pub(super) part: Option<Part>,
    /// Scratch of each accumulator: the value of block 0.
    pub(super) scratch: Vec<Value>,
    /// Values per block in scratch.
    pub(super) row: Value,
    /// The wide emitter's function for the elements of a block, with its argument block and where it leaves the values.
    pub(super) fold: Option<(FuncId, InnerBlock, Value)>,
    /// Its functions for rows of elements, each with how many rows it combines.
    pub(super) strips: &'f [(usize, FuncId)],
}

/// The part of a reduction that is to be computed.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Whether it is all.
    pub(super) is_all: Value,
    /// Whether it is some blocks.
    pub(super) is_blocks: Value,
}

/// The wide emitter's functions for a leaf or a stage of rows, as far as it has them.
#[derive(Default)]
pub(super) struct Wide {
    /// A map along the vector axis, or over a tile of a product.
    pub(super) map: Option<FuncId>,
    /// The fold of a block over lanes.
    pub(super) fold: Option<FuncId>,
    /// The combination of so many rows, the most first; of none for the first row.
    pub(super) strips: Vec<(usize, FuncId)>,
}

impl Wide {
    /// Whether the wide emitter's functions do all that is done for each element.
    pub(super) fn is_whole(&self) -> bool {
        self.map.is_some() || self.fold.is_some() || !self.strips.is_empty()
    }
}

impl Emitter<'_> {
    /// A whole function of a reduction.
    pub(super) fn reduction(&mut self, reduce: &Reduce, wide: &Wide) -> Result<(), CodegenError> {
        let pointers = self.pointers();
        let scratch = self.argument(Abi::SCRATCH);
        let mode = self.argument(Abi::MODE);
        let is = |e: &mut Self, value| e.b.ins().icmp_imm_s(IntCC::Equal, mode, value as i64);
        let part = Part {
            is_all: is(self, abi::MODE_ALL),
            is_blocks: is(self, abi::MODE_BLOCKS),
        };
        if let (Some(fold), 1, false) = (wide.fold, self.nest.axes.len(), reduce.apply_init) {
            self.single_block(reduce, fold, &pointers, scratch, part)?;
        }
        let block = wide.fold.is_some().then(|| self.row_block());
        let reduction = self.reduction_frame(reduce, Some(part), scratch, wide, block)?;
        let outer: Vec<(usize, Value)> = self
            .nest
            .outer()
            .map(|axis| {
                let (extent, one) = (self.extent(axis.index()), self.word(1));
                (axis.index(), self.b.ins().select(part.is_all, extent, one))
            })
            .collect();
        self.outer_loops(&outer, &pointers, &mut |e, pointers| {
            e.reduce_leaf(&reduction, pointers)
        })
    }

    /// Returns from here where all of the elements are one block along the only axis: the fold's argument block is the function's
    /// own then, and there is nothing to combine. That takes the sum of 16 squares from 28 ns to 25.5.
    fn single_block(
        &mut self,
        reduce: &Reduce,
        fold: FuncId,
        pointers: &[Value],
        scratch: Value,
        part: Part,
    ) -> Result<(), CodegenError> {
        let n = self.extent(0);
        let (single, several) = (self.block([]), self.block([]));
        let before_last = self.b.ins().iadd_imm_s(n, -1);
        let size = reduce.order.block() as i64;
        let fits = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, before_last, size);
        let is_single = self.b.ins().band(fits, part.is_all);
        self.branch(is_single, (single, &[]), (several, &[]));
        self.b.switch_to_block(single);
        let zero = self.word(0);
        self.store_word(zero, self.args, Abi::FIRST_BLOCK);
        self.before_folds(reduce, scratch);
        let fold = self.address_of(fold);
        self.call_at(fold, self.args);
        let values = self.folded(&reduce.accumulators(), scratch);
        self.store_result(reduce, n, &values, pointers)?;
        self.b.ins().return_(&[]);
        self.b.switch_to_block(several);
        Ok(())
    }

    /// All that a function of a reduction does at one index of the outer axes.
    pub(super) fn reduce_leaf(&mut self, r: &Reduction<'_>, pointers: &[Value]) -> Result<(), CodegenError> {
        match r.reduce.order {
            Order::Lanes { lanes, .. } if !self.nest.is_across() => self.lanes_leaf(r, lanes as usize, pointers),
            Order::Lanes { .. } | Order::Chain { .. } => self.across_leaf(r, pointers),
        }
    }

    /// The results that stand side by side along the vector axis; 1 where it is reduced.
    pub(super) fn row_len(&mut self) -> Value {
        match self.nest.is_across() {
            true => self.extent(self.nest.vector_axis().index()),
            false => self.word(1),
        }
    }

    /// What the code of a reduction shares at all kept indices; `scratch` is where its blocks stand, and `block` the argument
    /// block for the wide emitter's fold.
    pub(super) fn reduction_frame<'f>(
        &mut self,
        reduce: &'f Reduce,
        part: Option<Part>,
        scratch: Value,
        wide: &'f Wide,
        block: Option<InnerBlock>,
    ) -> Result<Reduction<'f>, CodegenError> {
        let axes: Vec<usize> = self.nest.reduced().map(|a| a.index()).collect();
        let mut n = self.word(1);
        for &axis in &axes {
            let extent = self.extent(axis);
            n = self.b.ins().imul(n, extent);
        }
        let size = reduce.order.block();
        let blocks = self.b.ins().iadd_imm_s(n, size as i64 - 1);
        // Without its optimiser the code generator would divide.
        let blocks = match size.is_power_of_two() {
            true => self.b.ins().ushr_imm_u(blocks, size.ilog2() as i64),
            false => {
                let size = self.word(size as i64);
                self.b.ins().udiv(blocks, size)
            }
        };
        let zero = self.word(0);
        let (first, last) = match part {
            Some(part) => {
                let (first, last) = (self.argument(Abi::FIRST_BLOCK), self.argument(Abi::LAST_BLOCK));
                let first = self.b.ins().select(part.is_blocks, first, zero);
                let last = self.b.ins().select(part.is_blocks, last, zero);
                (first, self.b.ins().select(part.is_all, blocks, last))
            }
            None => (zero, blocks),
        };
        let row = self.row_len();
        let accumulators = reduce.accumulators();
        let scratch = self.scratch(&accumulators, scratch, blocks, row);
        let mut fold = None;
        if let (Some(func), Some(block)) = (wide.fold, block) {
            let results = self.shared_stack([8 * accumulators.len()].into_iter())?[0];
            self.set_results(&block, results);
            fold = Some((func, block, results));
        }
        Ok(Reduction {
            fold,
            strips: &wide.strips,
            reduce,
            axes,
            combine: self.body(&reduce.combine, |_| None, None)?,
            accumulators,
            n,
            blocks,
            first,
            last,
            part,
            scratch,
            row,
        })
    }

    /// Where the values of each accumulator stand, as [`abi`] lays them out.
    fn scratch(&mut self, accumulators: &[Dtype], start: Value, blocks: Value, row: Value) -> Vec<Value> {
        let one = self.word(1);
        let blocks = self.b.ins().umax(blocks, one);
        let values = self.b.ins().imul(blocks, row);
        let mut at = start;
        accumulators
            .iter()
            .map(|dtype| {
                let start = at;
                let bytes = self.b.ins().imul_imm_s(values, dtype.size() as i64);
                let end = self.b.ins().iadd_imm_s(bytes, 63);
                let end = self.b.ins().band_imm_s(end, -64);
                at = self.b.ins().iadd(start, end);
                start
            })
            .collect()
    }

    /// The combination of two sets of values, masks in the form that loops carry.
    pub(super) fn combine(&mut self, r: &Reduction<'_>, a: &[Lanes], b: &[Lanes]) -> Result<Vec<Lanes>, CodegenError> {
        let (k, count) = (a.len(), a[0].count);
        let value = |_: &mut Self, p: usize| Ok(if p < k { a[p].clone() } else { b[p - k].clone() });
        let values = self.eval(&r.combine, count, value, None)?;
        Ok(values.iter().map(|v| self.carried_form(v)).collect())
    }

    /// A value in the form that loops carry: a mask in the one register it fills, anything else as it is.
    pub(super) fn carried_form(&mut self, value: &Lanes) -> Lanes {
        match value.dtype {
            Dtype::Bool => self.mask_to_width(value, mask_width(value.count)),
            _ => value.clone(),
        }
    }

    /// Accesses to one array of values per accumulator.
    pub(super) fn arrays(&self, r: &Reduction<'_>, starts: &[Value]) -> Vec<Access> {
        r.accumulators
            .iter()
            .zip(starts)
            .map(|(&dtype, &start)| Access::contiguous(dtype, start))
            .collect()
    }

    /// Loads one value of each array.
    pub(super) fn load_all(&mut self, arrays: &[Access], i: Value, ahead: usize, count: usize) -> Vec<Lanes> {
        arrays
            .iter()
            .map(|array| {
                let value = self.load(array, i, ahead, count);
                self.carried_form(&value)
            })
            .collect()
    }

    /// Stores one value to each array.
    pub(super) fn store_all(&mut self, arrays: &[Access], i: Value, ahead: usize, values: &[Lanes]) {
        for (array, value) in arrays.iter().zip(values) {
            self.store(array, i, ahead, value);
        }
    }

    /// The initial value in all lanes.
    pub(super) fn initial(&mut self, init: &[Scalar], count: usize) -> Vec<Lanes> {
        init.iter().map(|&value| self.splat_const(value, count)).collect()
    }

    /// The tree over blocks: for h = 1, 2, 4 … below their number, `step` for each i that is a multiple of 2h with another
    /// block h further on.
    pub(super) fn block_tree(
        &mut self,
        r: &Reduction<'_>,
        step: impl FnOnce(&mut Self, Value, Value) -> Result<(), CodegenError>,
    ) -> Result<(), CodegenError> {
        let one = self.word(1);
        self.loop_while(one, r.blocks, &[], |e, h, _| {
            let (zero, end) = (e.word(0), e.b.ins().isub(r.blocks, h));
            let stride = e.b.ins().iadd(h, h);
            e.loop_while(zero, end, &[], |e, i, _| {
                let other = e.b.ins().iadd(i, h);
                step(e, i, other)?;
                Ok((e.b.ins().iadd(i, stride), Carried::new()))
            })?;
            Ok((stride, Carried::new()))
        })?;
        Ok(())
    }

    /// The types of one value of each accumulator in scalar registers.
    pub(super) fn scalar_types(r: &Reduction<'_>) -> impl Iterator<Item = Type> {
        r.accumulators.iter().map(|&d| scalar_type(d))
    }

    /// The values in scalar registers as lanes.
    pub(super) fn as_scalars(r: &Reduction<'_>, values: &[Value]) -> Vec<Lanes> {
        r.accumulators
            .iter()
            .zip(values)
            .map(|(&dtype, &value)| Lanes::scalar(dtype, value))
            .collect()
    }
}

/// The types of the registers of a value in the form that loops carry.
pub(super) fn carried_types(dtype: Dtype, count: usize) -> impl Iterator<Item = Type> {
    let (ty, n) = match dtype {
        _ if count == 1 => (scalar_type(dtype), 1),
        Dtype::Bool => (int_vector(mask_width(count)), registers(count, mask_width(count))),
        _ => (vector_type(dtype), registers(count, dtype.size())),
    };
    std::iter::repeat_n(ty, n)
}

/// Sets of values of these types, one after the other, from the registers that carry them.
pub(super) fn from_registers(dtypes: &[Dtype], count: usize, values: &[Value]) -> Vec<Lanes> {
    let mut values = values.iter().copied();
    let mut lanes = Vec::new();
    while values.len() > 0 {
        for &dtype in dtypes {
            let width = if dtype == Dtype::Bool {
                mask_width(count)
            } else {
                dtype.size()
            };
            let own: Registers = values.by_ref().take(registers(count, width)).collect();
            lanes.push(Lanes::new(dtype, count, width, own));
        }
    }
    lanes
}
