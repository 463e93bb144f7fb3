//! The leaf of a reduction over interleaved lanes: `Order::Lanes`.
//!
//! In: the pointers at one kept index. Out: the stored results, or the values of some blocks in scratch.
//!
//! A block of m elements and V lanes goes one of three ways, all of which end in the tree over lanes:
//!
//! ```text
//! m ≥ V   passes over the block, each with as many lanes as fit the registers; then the last m mod V elements
//! L ≤ m   the elements themselves are lanes; those above the largest power of two below m are combined into the others
//! m < L   (L lanes to a vector) the same with scalars
//! ```
//!
//! The lanes stand in an array on the stack between these steps. It has room before and after for a vector that reaches
//! beyond the lanes in use; what is there is computed with, to no effect.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_module::FuncId;
use loopweave_ir::Dtype;

use super::elements::{Elements, identity};
use super::emit::{Carried, Emitter, InnerBlock, WORD};
use super::memory::Access;
use super::reduce::{Reduction, from_registers};
use super::tree::Tree;
use super::value::{Lanes, Registers, int_type, int_vector, mask_width, registers};
use crate::codegen::CodegenError;
use crate::nest::Reduce;

/// Room at both ends of the array of lanes: a vector of any dtype.
const MARGIN: usize = 64;

/// Operations up to which the tree over lanes is written out rather than looped.
const TREE_LENGTH: usize = 64;

/// What the steps of one block share.
pub(super) struct Fold<'r, 'f> {
    pub(super) r: &'r Reduction<'f>,
    /// Lanes of the order, and of a vector.
    pub(super) virtual_lanes: usize,
    pub(super) lanes: usize,
    /// The array of lanes.
    pub(super) slots: Vec<Access>,
    /// Vectors that the tree takes in registers.
    pub(super) tree_width: usize,
}

/// How the value of a block is found.
enum Way<'r, 'f> {
    /// By the wide emitter's function, which leaves it at an address.
    Wide(FuncId, &'r InnerBlock, Value),
    /// By code of this function, with buffers for elements that several axes make.
    Here(Fold<'r, 'f>, Vec<Value>),
}

impl Emitter<'_> {
    /// All that a function of the reduction does at one kept index.
    pub(super) fn lanes_leaf(
        &mut self,
        r: &Reduction<'_>,
        virtual_lanes: usize,
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let end = self.block([]);
        let total = self.block(Self::scalar_types(r));
        let result = self.block(Self::scalar_types(r));
        let identity = identity(&r.accumulators);
        let way = match &r.fold {
            Some((func, block, results)) => Way::Wide(*func, block, *results),
            None => {
                let fold = self.fold(r, virtual_lanes);
                let buffers = self.buffers(r, &fold)?;
                Way::Here(fold, buffers)
            }
        };

        // A single block of all stays in registers.
        let one = self.word(1);
        let single = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, r.blocks, one);
        let single = match r.part {
            Some(part) => self.b.ins().band(single, part.is_all),
            None => single,
        };
        if let Way::Wide(_, _, results) = &way {
            self.before_folds(r.reduce, *results);
        }
        let scratch = self.arrays(r, &r.scratch);
        self.for_range(r.first, r.last, 1, &[], |e, block, _| {
            let size = r.reduce.order.block() as i64;
            let origin = e.b.ins().imul_imm_s(block, size);
            let left = e.b.ins().isub(r.n, origin);
            let size = e.word(size);
            let m = e.b.ins().smin(left, size);
            let values = match &way {
                Way::Wide(func, block, results) => {
                    let pointers = e.moved(r, pointers, &[(r.axes[0], origin)]);
                    e.call_fold(*func, block, &pointers, origin, m);
                    e.folded(&r.accumulators, *results)
                }
                Way::Here(fold, buffers) => {
                    let elements = if r.axes.len() == 1 {
                        e.direct_elements(r, pointers, origin)?
                    } else {
                        e.packed_elements(r, buffers, &identity, pointers, origin, m)?
                    };
                    e.fold_block(fold, &elements, m)?
                }
            };
            let store = e.block([]);
            e.branch(single, (total, &values), (store, &[]));
            e.b.switch_to_block(store);
            let values = Self::as_scalars(r, &values);
            e.store_all(&scratch, block, 0, &values);
            Ok(Carried::new())
        })?;

        let combine = self.block([]);
        match r.part {
            Some(part) => self.branch(part.is_blocks, (end, &[]), (combine, &[])),
            None => self.jump(combine, &[]),
        }
        self.b.switch_to_block(combine);
        let empty = self.b.ins().icmp_imm_s(IntCC::Equal, r.n, 0);
        let (none, some) = (self.block([]), self.block([]));
        self.branch(empty, (none, &[]), (some, &[]));

        self.b.switch_to_block(none);
        match &r.reduce.init {
            Some(init) => {
                let init: Vec<Value> = self.initial(init, 1).iter().map(Lanes::first).collect();
                self.jump(result, &init);
            }
            // The launcher refuses a reduction of nothing that has no value.
            None => self.jump(end, &[]),
        }

        self.b.switch_to_block(some);
        self.block_tree(r, |e, i, other| {
            let (a, b) = (e.load_all(&scratch, i, 0, 1), e.load_all(&scratch, other, 0, 1));
            let values = e.combine(r, &a, &b)?;
            e.store_all(&scratch, i, 0, &values);
            Ok(())
        })?;
        let zero = self.word(0);
        let values: Vec<Value> = self.load_all(&scratch, zero, 0, 1).iter().map(Lanes::first).collect();
        self.jump(total, &values);

        self.b.switch_to_block(total);
        let mut values = Self::as_scalars(r, self.b.block_params(total));
        if let (true, Some(init)) = (r.reduce.apply_init, &r.reduce.init) {
            let init = self.initial(init, 1);
            values = self.combine(r, &init, &values)?;
        }
        let values: Vec<Value> = values.iter().map(Lanes::first).collect();
        self.jump(result, &values);

        self.b.switch_to_block(result);
        let values = self.b.block_params(result).to_vec();
        self.store_result(r.reduce, r.n, &values, pointers)?;
        self.jump(end, &[]);
        self.b.switch_to_block(end);
        Ok(())
    }

    /// Prepares the place where the wide emitter's fold leaves its values, before the first block.
    pub(super) fn before_folds(&mut self, reduce: &Reduce, results: Value) {
        if reduce.sought().is_some() {
            // There is no position yet.
            let (none, position) = (self.word(-1), self.b.ins().iadd_imm_s(results, 8));
            self.store_scalar(none, position);
        }
    }

    /// What the wide emitter's fold left there.
    pub(super) fn folded(&mut self, accumulators: &[Dtype], results: Value) -> Vec<Value> {
        let value = |(i, dtype): (i64, &Dtype)| {
            let place = self.b.ins().iadd_imm_s(results, 8 * i);
            self.load_scalar(*dtype, place)
        };
        (0..).zip(accumulators).map(value).collect()
    }

    /// `finish` of the combined values, and its stores.
    pub(super) fn store_result(
        &mut self,
        reduce: &Reduce,
        n: Value,
        values: &[Value],
        pointers: &[Value],
    ) -> Result<(), CodegenError> {
        let mut args = values.to_vec();
        args.push(n);
        for &id in &reduce.finish_loads {
            args.push(self.load_scalar(self.nest.operand(id).dtype, pointers[id.index()]));
        }
        let finish = &reduce.finish;
        let body = self.body(finish, |p| Some(args[p]), None)?;
        let results = self.eval(
            &body,
            1,
            |_, _| {
                Err(CodegenError::Untyped {
                    func: finish.name().to_owned(),
                })
            },
            None,
        )?;
        for (id, value) in reduce.stores.iter().zip(&results) {
            self.store_scalar(value.first(), pointers[id.index()]);
        }
        Ok(())
    }

    fn fold<'r, 'f>(&mut self, r: &'r Reduction<'f>, virtual_lanes: usize) -> Fold<'r, 'f> {
        let lanes = (self.nest.vector.lanes as usize).min(virtual_lanes);
        let slots = r
            .accumulators
            .iter()
            .map(|&dtype| {
                let room = self.stack(MARGIN + virtual_lanes * dtype.size() + MARGIN);
                Access::contiguous(dtype, self.b.ins().iadd_imm_s(room, MARGIN as i64))
            })
            .collect();
        let mut tree_width = virtual_lanes / lanes;
        let cost = r.reduce.combine.nodes().len().max(1);
        while tree_width > 1 && (tree_width - 1) * cost > TREE_LENGTH {
            tree_width /= 2;
        }
        Fold {
            r,
            virtual_lanes,
            lanes,
            slots,
            tree_width,
        }
    }

    /// A buffer for the mapped elements of a block, where several reduced axes make runs of them.
    fn buffers(&mut self, r: &Reduction<'_>, fold: &Fold<'_, '_>) -> Result<Vec<Value>, CodegenError> {
        let block = r.reduce.order.block() as usize;
        let per_element: usize = r.accumulators.iter().map(|d| d.size()).sum();
        let packed = if r.axes.len() > 1 { block * per_element } else { 0 };
        let bytes = packed + fold.virtual_lanes * per_element + 2 * MARGIN * r.accumulators.len();
        self.limit_stack(bytes)?;
        if packed == 0 {
            return Ok(Vec::new());
        }
        Ok(r.accumulators.iter().map(|d| self.stack(block * d.size())).collect())
    }

    /// The value of a block of `m` elements, at least one, in scalar registers.
    fn fold_block(
        &mut self,
        fold: &Fold<'_, '_>,
        elements: &Elements<'_>,
        m: Value,
    ) -> Result<Vec<Value>, CodegenError> {
        let tree = self.tree_blocks(fold);
        let (long, short, vectors, scalars) = (self.block([]), self.block([]), self.block([]), self.block([]));
        let entry = self.block([WORD]);
        let all = self.word(fold.virtual_lanes as i64);
        let is_short = self.less(m, all);
        self.branch(is_short, (short, &[]), (long, &[]));

        self.b.switch_to_block(long);
        self.fold_rows(fold, elements, m)?;
        self.jump(entry, &[all]);

        self.b.switch_to_block(short);
        let lanes = self.word(fold.lanes as i64);
        let is_tiny = self.less(m, lanes);
        self.branch(is_tiny, (scalars, &[]), (vectors, &[]));

        self.b.switch_to_block(vectors);
        let valid = self.fold_vectors(fold, elements, m)?;
        self.jump(entry, &[valid]);

        self.b.switch_to_block(entry);
        let valid = self.b.block_params(entry)[0];
        self.enter_tree(fold, &tree, valid)?;

        self.b.switch_to_block(scalars);
        self.fold_scalars(fold, elements, m, &tree)?;

        self.emit_tree(fold, &tree)?;
        self.b.switch_to_block(tree.done);
        Ok(self.b.block_params(tree.done).to_vec())
    }

    /// The lanes of a block with at least one element for each.
    fn fold_rows(&mut self, fold: &Fold<'_, '_>, elements: &Elements<'_>, m: Value) -> Result<(), CodegenError> {
        let (all, lanes) = (fold.virtual_lanes as i64, fold.lanes);
        // A power of two, so that passes of so many vectors come out even.
        let vectors = 1 << self.nest.vector.unroll.max(1).ilog2();
        let vectors = (fold.virtual_lanes / lanes).min(vectors);
        let whole = self.b.ins().band_imm_s(m, -all);
        let (zero, end) = (self.word(0), self.word(all));
        self.for_range(zero, end, (vectors * lanes) as i64, &[], |e, lane, _| {
            let mut accumulators = Vec::new();
            for v in 0..vectors {
                accumulators.extend(e.elements(elements, lane, v * lanes, lanes)?);
            }
            let second = e.b.ins().iadd_imm_s(lane, all);
            let entering: Carried = accumulators.iter().flat_map(|a| a.registers.iter().copied()).collect();
            let (_, left) = e.for_range(second, whole, all, &entering, |e, i, carried| {
                let old = from_registers(&fold.r.accumulators, lanes, carried);
                let mut new = Carried::new();
                for (v, old) in old.chunks(fold.slots.len()).enumerate() {
                    let element = e.elements(elements, i, v * lanes, lanes)?;
                    let combined = e.combine(fold.r, old, &element)?;
                    new.extend(combined.iter().flat_map(|a| a.registers.iter().copied()));
                }
                Ok(new)
            })?;
            let folded = from_registers(&fold.r.accumulators, lanes, &left);
            for (v, values) in folded.chunks(fold.slots.len()).enumerate() {
                e.store_all(&fold.slots, lane, v * lanes, values);
            }
            Ok(Carried::new())
        })?;

        let rest = self.b.ins().isub(m, whole);
        let last = self.b.ins().iadd_imm_s(rest, 1 - lanes as i64);
        let (at, _) = self.for_range(zero, last, lanes as i64, &[], |e, lane, _| {
            let i = e.b.ins().iadd(whole, lane);
            let element = e.elements(elements, i, 0, lanes)?;
            let old = e.load_all(&fold.slots, lane, 0, lanes);
            let values = e.combine(fold.r, &old, &element)?;
            e.store_all(&fold.slots, lane, 0, &values);
            Ok(Carried::new())
        })?;
        if lanes == 1 {
            return Ok(());
        }
        let any = self.less(at, rest);
        self.when(any, |e| {
            // The last vector of the block holds the elements that are left in its upper lanes.
            let lane = e.b.ins().iadd_imm_s(rest, -(lanes as i64));
            let i = e.b.ins().iadd_imm_s(m, -(lanes as i64));
            let element = e.elements(elements, i, 0, lanes)?;
            let old = e.load_all(&fold.slots, lane, 0, lanes);
            let values = e.combine(fold.r, &old, &element)?;
            let done = e.b.ins().isub(at, lane);
            let below = e.lanes_below(done, lanes);
            let values: Vec<Lanes> = old.iter().zip(&values).map(|(o, v)| e.select(&below, o, v)).collect();
            e.store_all(&fold.slots, lane, 0, &values);
            Ok(())
        })
    }

    /// The lanes of a block with at most one element for each but at least a vector of them. Gives how many lanes are
    /// left, a power of two.
    fn fold_vectors(&mut self, fold: &Fold<'_, '_>, elements: &Elements<'_>, m: Value) -> Result<Value, CodegenError> {
        let lanes = fold.lanes;
        let zero = self.word(0);
        let last = self.b.ins().iadd_imm_s(m, 1 - lanes as i64);
        let (at, _) = self.for_range(zero, last, lanes as i64, &[], |e, i, _| {
            let values = e.elements(elements, i, 0, lanes)?;
            e.store_all(&fold.slots, i, 0, &values);
            Ok(Carried::new())
        })?;
        if lanes > 1 {
            let any = self.less(at, m);
            self.when(any, |e| {
                // Lanes that are stored twice get the same value.
                let i = e.b.ins().iadd_imm_s(m, -(lanes as i64));
                let values = e.elements(elements, i, 0, lanes)?;
                e.store_all(&fold.slots, i, 0, &values);
                Ok(())
            })?;
        }
        let half = self.half_below(m);
        let vector = self.word(lanes as i64);
        // With exactly one vector there is nothing to combine across vectors.
        let valid = self.b.ins().smax(half, vector);
        let above = self.b.ins().isub(m, valid);
        self.for_range(zero, above, lanes as i64, &[], |e, lane, _| {
            let other = e.b.ins().iadd(lane, valid);
            let (a, b) = (
                e.load_all(&fold.slots, lane, 0, lanes),
                e.load_all(&fold.slots, other, 0, lanes),
            );
            let values = e.combine(fold.r, &a, &b)?;
            let left = e.b.ins().isub(above, lane);
            let values: Vec<Lanes> = if lanes == 1 {
                values
            } else {
                let limit = e.word(lanes as i64);
                let left = e.b.ins().smin(left, limit);
                let below = e.lanes_below(left, lanes);
                a.iter().zip(&values).map(|(a, v)| e.select(&below, v, a)).collect()
            };
            e.store_all(&fold.slots, lane, 0, &values);
            Ok(Carried::new())
        })?;
        Ok(valid)
    }

    /// A block of fewer elements than a vector has lanes.
    fn fold_scalars(
        &mut self,
        fold: &Fold<'_, '_>,
        elements: &Elements<'_>,
        m: Value,
        tree: &Tree,
    ) -> Result<(), CodegenError> {
        let zero = self.word(0);
        self.for_range(zero, m, 1, &[], |e, i, _| {
            let values = e.elements(elements, i, 0, 1)?;
            e.store_all(&fold.slots, i, 0, &values);
            Ok(Carried::new())
        })?;
        // For h = half, half/2 … 1; the loop counts −h upwards.
        let half = self.half_below(m);
        let start = self.b.ins().ineg(half);
        self.loop_while(start, zero, &[], |e, at, _| {
            let h = e.b.ins().ineg(at);
            let above = e.b.ins().isub(m, h);
            let pairs = e.b.ins().smin(h, above);
            let zero = e.word(0);
            e.for_range(zero, pairs, 1, &[], |e, i, _| {
                let other = e.b.ins().iadd(i, h);
                let (a, b) = (e.load_all(&fold.slots, i, 0, 1), e.load_all(&fold.slots, other, 0, 1));
                let values = e.combine(fold.r, &a, &b)?;
                e.store_all(&fold.slots, i, 0, &values);
                Ok(Carried::new())
            })?;
            let next = e.b.ins().ushr_imm_u(h, 1);
            Ok((e.b.ins().ineg(next), Carried::new()))
        })?;
        let values: Vec<Value> = self
            .load_all(&fold.slots, zero, 0, 1)
            .iter()
            .map(Lanes::first)
            .collect();
        self.jump(tree.done, &values);
        Ok(())
    }

    /// The largest power of two below m; 0 for m = 1.
    fn half_below(&mut self, m: Value) -> Value {
        // 1 << (63 − clz(m − 1)), where m − 1 = 0 has 64 leading zeros and a count of −1 shifts by 63.
        let below = self.b.ins().iadd_imm_s(m, -1);
        let zeros = self.b.ins().clz(below);
        let sixty_three = self.word(63);
        let shift = self.b.ins().isub(sixty_three, zeros);
        let one = self.word(1);
        let half = self.b.ins().ishl(one, shift);
        let zero = self.word(0);
        let single = self.b.ins().icmp_imm_s(IntCC::Equal, below, 0);
        self.b.ins().select(single, zero, half)
    }

    /// A mask of the lanes below a number of at most `count`.
    fn lanes_below(&mut self, limit: Value, count: usize) -> Lanes {
        let width = mask_width(count);
        let ty = int_vector(width);
        let narrow = if width == 8 {
            limit
        } else {
            self.b.ins().ireduce(int_type(width), limit)
        };
        let limit = self.b.ins().splat(ty, narrow);
        let lanes = self.vector_const(ty, width, |lane| lane as u64);
        let below = self.b.ins().icmp(IntCC::SignedLessThan, lanes, limit);
        Lanes::new(
            Dtype::Bool,
            count,
            width,
            Registers::from_elem(below, registers(count, width)),
        )
    }
}
