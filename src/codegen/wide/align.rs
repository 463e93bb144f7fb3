//! The lanes of a fold turned, so that its loop reads whole cache lines.
//!
//! In: vectors that hold one value for each lane, in order. Out: the same values, each some lanes further on, for elements that
//! begin as many lanes later; and back again. What is in a lane stays in it, so the order of the reduction does too.
//!
//! A load that crosses a cache line costs two, and arrays as allocators make them begin anywhere within one: turning the lanes
//! takes the sum of 64k f32 values from 3.2 µs to 1.7.

use iced_x86::Code;
use loopweave_ir::Dtype;

use super::asm::{Arg, Reg};
use super::fold::{Folding, Set, carried};
use super::isa::{self, Isa};
use super::lanes::{Lanes, Selected, Selector};

/// The least block that is worth it, in elements for each lane.
const ELEMENTS: usize = 16;
/// Ops of an element up to which the loads decide the speed.
const OPS: usize = 12;

/// The lanes of a block from some element on.
pub(super) struct Aligned {
    /// By how many lanes they are turned; less than a vector has.
    pub(super) by: Reg,
    /// The index of the next element.
    pub(super) at: Reg,
    pub(super) sets: Vec<Set>,
}

impl Selector {
    /// The load to align, where one is at all.
    pub(super) fn aligns(&self, f: &Folding<'_>) -> Option<usize> {
        let dtypes = f.fold.map.result_dtypes();
        let fits = |d: &Dtype| *d != Dtype::Bool && matches!(d.size(), 4 | 8);
        let varying = |&p: &usize| f.fold.loads[p].is_dense() && self.lanes * f.fold.loads[p].dtype.size() >= 16;
        (self.isa == Isa::Avx512 && dtypes.iter().all(fits) && f.map.ops() + f.combine.ops() <= OPS)
            .then(|| (0..f.fold.loads.len()).filter(varying))?
            .max_by_key(|&p| (f.fold.loads[p].dtype.size(), std::cmp::Reverse(p)))
    }

    /// The lanes after the elements up to where `load` is aligned, in a block long enough: those go into the first lanes.
    pub(super) fn align(
        &mut self,
        f: &Folding<'_>,
        load: usize,
        (m, start): (Reg, Reg),
        mut sets: Vec<Set>,
    ) -> Selected<Aligned> {
        let turned: Vec<Set> = sets.iter().map(|_| self.set_params(f)).collect();
        let (by, at) = (self.asm.general(), self.asm.general());
        let next = self.asm.block(&carried(&[by, at], &turned));
        let zero = self.word(0);
        let straight = carried(&[zero, start], &sets);
        self.compare_word(m, (ELEMENTS * f.fold.virtual_lanes) as i32);
        self.asm.branch(Code::Jl_rel32_64, next, &straight);
        let head = self.lanes_to_alignment(f.accesses[load].base, f.fold.loads[load].dtype.size());
        self.compare_word(head, 0);
        self.asm.branch(Code::Je_rel32_64, next, &straight);
        let mask = self.first_below(head);
        let tail = self.tail_of(f, mask)?;
        let elements = self.elements(f, start, 0, Some(&tail))?;
        let combined = self.combine(f, &sets[0], &elements)?;
        sets[0] = self.choose(mask, &combined, &sets[0])?;
        let moved = self.onward(&sets, head);
        let after = self.sum(start, Arg::Use(head));
        self.asm.jump(next, &carried(&[head, after], &moved));
        self.asm.switch_to(next);
        Ok(Aligned { by, at, sets: turned })
    }

    /// The lanes in order again.
    pub(super) fn in_order(&mut self, f: &Folding<'_>, sets: Vec<Set>, by: Reg) -> Vec<Set> {
        let straight: Vec<Set> = sets.iter().map(|_| self.set_params(f)).collect();
        let next = self.asm.block(&carried(&[], &straight));
        self.compare_word(by, 0);
        self.asm.branch(Code::Je_rel32_64, next, &carried(&[], &sets));
        let vector = self.word(self.lanes as i32);
        let rest = self.difference(vector, by);
        // All the way around is a vector further than these lanes go.
        let mut moved = self.onward(&sets, rest);
        moved.rotate_right(1);
        self.asm.jump(next, &carried(&[], &moved));
        self.asm.switch_to(next);
        straight
    }

    /// The elements from a pointer up to where a vector of them is aligned.
    pub(super) fn lanes_to_alignment(&mut self, pointer: Reg, size: usize) -> Reg {
        let update = |from, to| Arg::Update { from, to };
        let zero = self.word(0);
        let short = self.difference(zero, pointer);
        let (bytes, count) = (self.asm.general(), self.asm.general());
        let below = Arg::Word((self.lanes * size) as i32 - 1);
        self.asm.emit(Code::And_rm64_imm32, &[update(short, bytes), below]);
        let shift = Arg::Byte(size.trailing_zeros() as u8);
        self.asm.emit(Code::Shr_rm64_imm8, &[update(bytes, count), shift]);
        count
    }

    /// In each lane the value of the lane some lanes further on, of the first after the last.
    fn onward(&mut self, sets: &[Set], by: Reg) -> Vec<Set> {
        let mut orders = [None; 2];
        let mut moved = Vec::with_capacity(sets.len());
        for (set, following) in sets.iter().zip(sets.iter().cycle().skip(1)) {
            let mut values = Set::with_capacity(set.len());
            for (low, high) in set.iter().zip(following) {
                let size = low.dtype.size();
                let wide = size == 8;
                let order = match orders[usize::from(wide)] {
                    Some(order) => order,
                    None => self.lane_numbers_from(by, size),
                };
                orders[usize::from(wide)] = Some(order);
                let row = if wide { isa::PERMUTE_PAIR64 } else { isa::PERMUTE_PAIR32 };
                let code = self.sure(row, self.register_bytes(size));
                let (low_reg, high_reg) = (self.reg(low), self.reg(high));
                let reg = self.update(low_reg, code, order, high_reg.into(), None);
                values.push(Lanes::new(low.dtype, reg));
            }
            moved.push(values);
        }
        moved
    }

    /// The numbers from one on, one a lane.
    fn lane_numbers_from(&mut self, first: Reg, size: usize) -> Reg {
        let numbers = (0..self.lanes as u64).flat_map(|n| n.to_le_bytes()[..size].to_vec());
        let (splat, numbers) = (
            self.splat_word(first, size, self.register_bytes(size)),
            self.vector_const(numbers.collect()),
        );
        let row = if size == 8 { isa::ADD64 } else { isa::ADD32 };
        let bytes = self.register_bytes(size);
        let code = self.sure(row, bytes);
        self.set(code, bytes, &[Arg::Use(splat)], numbers.into(), None)
    }
}
