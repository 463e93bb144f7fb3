//! Folds: the elements of one block of a reduction over interleaved lanes, combined to one value.
//!
//! In: the function of the elements, the combiner, and how the operands lie. Out: machine code with the interface of [`Abi`] for
//! the one reduced axis, whose extent is the number of the block's elements; its first word of scratch says where the values go,
//! 8 bytes each, and its word of blocks the position of the first element. The order is that of
//! [`Order::Lanes`](crate::nest::Order::Lanes), by one of three ways:
//!
//! ```text
//! at least an element for each lane   all lanes in registers; the elements that are left, under masks; the tree
//! at most one vector of elements      that one under a mask; its part of the tree, under masks
//! otherwise                           all vectors under masks; the tree under masks
//! ```

use iced_x86::Code;
use loopweave_ir::{Dtype, Func, Op};

use super::ahead::{Fetch, NextRow};
use super::align::Aligned;
use super::asm::{Arg, Inst, Memory, Reg};
use super::body::Body;
use super::extrema;
use super::gather::Access;
use super::isa::{self, Isa, by_size};
use super::lanes::{Gap, Lanes, Selected, Selector, Tail};
use super::map::{Stream, widest};
use crate::codegen::abi::Abi;

/// A fold along the one axis of an argument block.
pub(super) struct Fold<'f> {
    pub(super) map: &'f Func,
    pub(super) loads: Vec<Stream>,
    pub(super) combine: &'f Func,
    pub(super) outcome: Outcome,
    /// Lanes of the order.
    pub(super) virtual_lanes: usize,
    /// Elements per block.
    pub(super) block: usize,
    /// The loads that come from memory rather than from what was just computed.
    pub(super) from_memory: Vec<usize>,
    /// What the loop over whole sets of lanes fetches of the row after.
    pub(super) next_row: Vec<NextRow>,
    pub(super) abi: Abi,
}

/// What a fold leaves of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The combined values.
    Values,
    /// The one value, which is this extremum, and where it first stands; what was there stays if it is no worse.
    Position(Op),
}

/// What the ways share.
pub(super) struct Folding<'a> {
    pub(super) fold: &'a Fold<'a>,
    pub(super) map: Body<'a>,
    pub(super) combine: Body<'a>,
    pub(super) accesses: Vec<Access>,
    /// The position of the first element, where that is needed.
    origin: Option<Reg>,
    /// The next rows of `fold.next_row`.
    fetches: Vec<Fetch>,
}

/// One vector of each accumulator.
pub(super) type Set = Vec<Lanes>;

/// Selects the instructions of a fold.
pub(super) fn select(fold: &Fold<'_>, isa: Isa) -> Selected<Selector> {
    let map = Body::new(fold.map, isa, |p| fold.loads[p].is_uniform);
    let combine = Body::new(fold.combine, isa, |_| false);
    let accumulators = fold.map.results().len();
    let widest = widest(&[fold.map, fold.combine]);
    let lanes = isa.bytes() / widest;
    if fold.virtual_lanes < lanes {
        return Err(Gap { op: Op::Index });
    }
    // As many sets at once as leave the functions their registers; the others are for further passes over the block.
    let sets = fold.virtual_lanes / lanes;
    let live = map.live(isa).max(combine.live(isa)) + 1;
    let mut together = sets;
    while together > 1 && together * accumulators + live > isa.registers() {
        together /= 2;
    }
    let room = isa.registers().saturating_sub(together * accumulators + live + 1);
    let mut s = Selector::new(isa, widest, room);
    s.vectors = together;
    let m = s.load_word(s.argument(fold.abi.vector_extent()));
    let accesses = s.accesses(&fold.loads, fold.abi);
    let uses_index = fold.map.nodes().iter().any(|n| n.op == Op::Index);
    let origin = uses_index.then(|| s.load_word(s.argument(Abi::FIRST_BLOCK)));
    let fetches = s.next_rows(&fold.next_row, fold.abi);
    let mut f = Folding {
        fold,
        map,
        combine,
        accesses,
        origin,
        fetches,
    };
    s.prepare(&mut f.map, |s, p| {
        let from = Memory {
            base: f.accesses[p].base,
            index: None,
            offset: 0,
        };
        s.load_uniform(fold.loads[p].dtype, from)
    })?;
    s.prepare(&mut f.combine, |_, p| {
        Err(Gap {
            op: Op::Param(p as u32),
        })
    })?;

    let done_params = s.set_params(&f);
    let done = s.asm.block(&registers(&done_params));
    let (short, tiny) = (s.asm.block(&[]), s.asm.block(&[]));
    s.compare_word(m, s.lanes as i32);
    s.asm.branch(Code::Jle_rel32_64, tiny, &[]);
    s.compare_word(m, fold.virtual_lanes as i32);
    s.asm.branch(Code::Jl_rel32_64, short, &[]);
    let value = s.whole_block(&f, m, sets, together)?;
    s.asm.jump(done, &registers(&value));

    s.asm.switch_to(short);
    let value = s.partial_block(&f, m, sets)?;
    s.asm.jump(done, &registers(&value));

    s.asm.switch_to(tiny);
    let value = s.partial_block(&f, m, 1)?;
    s.asm.jump(done, &registers(&value));

    s.asm.switch_to(done);
    let results = s.load_word(s.argument(Abi::SCRATCH));
    let place = |i: usize| Memory {
        base: results,
        index: None,
        offset: 8 * i as i32,
    };
    match fold.outcome {
        Outcome::Position(extremum) => s.seek(&f, m, (extremum, &done_params[0]), [place(0), place(1)])?,
        Outcome::Values => {
            for (i, value) in done_params.iter().enumerate() {
                s.store_first(value, place(i))?;
            }
        }
    }
    s.asm.order_blocks();
    Ok(s)
}

/// The registers of values, which are none of them constants.
fn registers(values: &[Lanes]) -> Vec<Reg> {
    values.iter().filter_map(Lanes::register).collect()
}

/// Words and masks, then the registers of sets.
pub(super) fn carried(words: &[Reg], sets: &[Set]) -> Vec<Reg> {
    let values = sets.iter().flat_map(|set| registers(set));
    words.iter().copied().chain(values).collect()
}

impl Selector {
    /// New registers for a value of each accumulator.
    pub(super) fn set_params(&mut self, f: &Folding<'_>) -> Set {
        let dtypes = f.fold.map.result_dtypes();
        dtypes
            .into_iter()
            .map(|dtype| Lanes::new(dtype, self.register_of(dtype)))
            .collect()
    }

    /// A new register for values of a dtype.
    pub(super) fn register_of(&mut self, dtype: Dtype) -> Reg {
        match (dtype, self.isa) {
            (Dtype::Bool, Isa::Avx512) => self.asm.mask(),
            (Dtype::Bool, Isa::Avx2) => self.asm.vector(32),
            _ => self.asm.vector(self.register_bytes(dtype.size())),
        }
    }

    /// A block with at least one element for each lane.
    fn whole_block(&mut self, f: &Folding<'_>, m: Reg, sets: usize, together: usize) -> Selected<Set> {
        let (all, lanes) = (f.fold.virtual_lanes, self.lanes);
        let (start, last) = (self.word(all as i32), self.moved(m, -(all as i32)));
        self.prefetch_next(f, m);
        let mut folded: Vec<Set> = Vec::new();
        let mut end = start;
        let mut turned = None;
        let extrema = extrema::of(f.fold.combine, self.isa, together);
        for pass in 0..sets / together {
            let zero = self.word(0);
            let mine = pass * together..(pass + 1) * together;
            let mut first = Vec::new();
            for set in mine.clone() {
                let elements = self.elements(f, zero, set * lanes, None)?;
                first.push(self.materialised(&elements));
            }
            let mut from = start;
            if let Some(load) = self.aligns(f).filter(|_| sets == together) {
                let Aligned { by, at, sets } = self.align(f, load, (m, start), first)?;
                (from, first, turned) = (at, sets, Some(by));
            }
            let numbers = match &extrema {
                Some(_) => self.numbers(&first, None)?,
                None => Vec::new(),
            };
            // While there is an element for each lane.
            let at = self.asm.general();
            let mut params: Vec<Set> = mine.clone().map(|_| self.set_params(f)).collect();
            let mut masks: Vec<Reg> = numbers.iter().map(|_| self.asm.mask()).collect();
            let after: Vec<Set> = mine.clone().map(|_| self.set_params(f)).collect();
            let after_masks: Vec<Reg> = numbers.iter().map(|_| self.asm.mask()).collect();
            let after_at = self.asm.general();
            let entering = carried(&[&[from], &numbers[..]].concat(), &first);
            let next = self
                .asm
                .block(&carried(&[&[after_at], &after_masks[..]].concat(), &after));
            self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(from), Arg::Use(last)]);
            self.asm.branch(Code::Jg_rel32_64, next, &entering);
            let body = self.asm.block(&carried(&[&[at], &masks[..]].concat(), &params));
            self.asm.main = Some(body);
            self.asm.jump(body, &entering);
            self.asm.switch_to(body);
            let mut elements = Vec::with_capacity(together);
            for fetch in &f.fetches {
                self.fetch(fetch, at, mine.start * lanes, mine.len() * lanes);
            }
            for (set, old) in mine.clone().zip(&mut params) {
                let mine = self.elements(f, at, set * lanes, None)?;
                *old = match &extrema {
                    Some(ops) => self.extrema(ops, old, &mine)?,
                    None => self.combine(f, old, &mine)?,
                };
                elements.push(mine);
            }
            if extrema.is_some() {
                masks = self.numbers(&elements, Some(&masks))?;
            }
            let on = self.moved(at, all as i32);
            let leaving = carried(&[&[on], &masks[..]].concat(), &params);
            self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(on), Arg::Use(last)]);
            self.asm.branch(Code::Jle_rel32_64, body, &leaving);
            self.asm.jump(next, &leaving);
            self.asm.switch_to(next);
            end = after_at;
            folded.extend(self.with_nans(after, &after_masks)?);
        }

        // The elements that are left: one for some of the lanes.
        let left = self.difference(m, end);
        let params: Vec<Set> = folded.iter().map(|_| self.set_params(f)).collect();
        let tree = self.asm.block(&carried(&[], &params));
        let mut valid = None;
        for set in 0..sets {
            let values = carried(&[], &folded);
            self.compare_word(left, (set * lanes) as i32);
            self.asm.branch(Code::Jle_rel32_64, tree, &values);
            let valid = *valid.get_or_insert_with(|| self.first_below(left));
            let mask = self.valid_from(valid, set * lanes);
            let tail = self.tail_of(f, mask)?;
            let elements = self.elements(f, end, set * lanes, Some(&tail))?;
            let combined = self.combine(f, &folded[set], &elements)?;
            folded[set] = self.choose(mask, &combined, &folded[set])?;
        }
        let values = carried(&[], &folded);
        self.asm.jump(tree, &values);
        self.asm.switch_to(tree);
        let in_order = match turned {
            Some(by) => self.in_order(f, params, by),
            None => params,
        };
        self.tree(f, in_order, None)
    }

    /// Asks for the beginnings of the pages that the next block lies in: the processor fetches ahead by itself, but not from
    /// one page to the next. That takes a sum of 16M f32 values from 2.9 ms to 2.5, where pages have 4 KiB.
    fn prefetch_next(&mut self, f: &Folding<'_>, m: Reg) {
        const PAGE: usize = 4096;
        for &load in &f.fold.from_memory {
            let size = f.fold.loads[load].dtype.size();
            for page in 0..(f.fold.block * size).div_ceil(PAGE) {
                for line in 0..2 {
                    let place = Memory {
                        base: f.accesses[load].base,
                        index: Some((m, size as u8)),
                        offset: (page * PAGE + 64 * line) as i32,
                    };
                    self.asm.emit(Code::Prefetcht0_m8, &[Arg::Memory(place)]);
                }
            }
        }
    }

    /// A block of at most one element for each lane, in so many vectors.
    fn partial_block(&mut self, f: &Folding<'_>, m: Reg, sets: usize) -> Selected<Set> {
        let zero = self.word(0);
        let valid = self.first_below(m);
        let mut values = Vec::new();
        for set in 0..sets {
            let mask = self.valid_from(valid, set * self.lanes);
            let tail = self.tail_of(f, mask)?;
            let elements = self.elements(f, zero, set * self.lanes, Some(&tail))?;
            values.push(self.materialised(&elements));
        }
        self.tree(f, values, Some(valid))
    }

    /// The tree over the lanes of some vectors, all of which count, or those of a number of first ones.
    fn tree(&mut self, f: &Folding<'_>, mut sets: Vec<Set>, valid: Option<Reg>) -> Selected<Set> {
        let mut half = sets.len() / 2;
        while half > 0 {
            for set in 0..half {
                let mut combined = self.combine(f, &sets[set], &sets[set + half])?;
                if let Some(valid) = valid {
                    let mask = self.valid_from(valid, (set + half) * self.lanes);
                    combined = self.choose(mask, &combined, &sets[set])?;
                }
                sets[set] = combined;
            }
            sets.truncate(half);
            half /= 2;
        }
        let mut value = sets.swap_remove(0);
        let mut distance = self.lanes / 2;
        while distance > 0 {
            let mut upper = Vec::with_capacity(value.len());
            for value in &value {
                upper.push(self.upper(value, distance)?);
            }
            let mut combined = self.combine(f, &value, &upper)?;
            if let Some(valid) = valid {
                let mask = self.valid_from(valid, distance);
                combined = self.choose(mask, &combined, &value)?;
            }
            value = combined;
            distance /= 2;
        }
        Ok(value)
    }

    /// The mapped elements of a vector, `ahead` of an index.
    pub(super) fn elements(&mut self, f: &Folding<'_>, at: Reg, ahead: usize, tail: Option<&Tail>) -> Selected<Set> {
        let index = match f.origin {
            Some(origin) => Some(self.positions(origin, at, ahead)?),
            None => None,
        };
        let load = |s: &mut Selector, p: usize| s.load_from(&f.accesses[p], (at, ahead), tail);
        self.eval(&f.map, load, index)
    }

    /// The combination of two sets, in registers.
    pub(super) fn combine(&mut self, f: &Folding<'_>, a: &[Lanes], b: &[Lanes]) -> Selected<Set> {
        let value = |_: &mut Selector, p: usize| Ok(if p < a.len() { a[p] } else { b[p - a.len()] });
        let values = self.eval(&f.combine, value, None)?;
        Ok(self.materialised(&values))
    }

    /// The values in registers, also those that are constants.
    pub(super) fn materialised(&mut self, values: &[Lanes]) -> Set {
        values.iter().map(|v| Lanes::new(v.dtype, self.reg(v))).collect()
    }

    /// The one set's values where a mask is set, else the other's.
    pub(super) fn choose(&mut self, mask: Reg, then: &[Lanes], otherwise: &[Lanes]) -> Selected<Set> {
        let condition = Lanes::new(Dtype::Bool, mask);
        then.iter()
            .zip(otherwise)
            .map(|(then, otherwise)| self.op(Op::Select, then.dtype, &[condition, *then, *otherwise], &[false; 3]))
            .collect()
    }

    /// The positions of a vector's elements.
    fn positions(&mut self, origin: Reg, at: Reg, ahead: usize) -> Selected<Lanes> {
        let bytes = self.register_bytes(8);
        let base = self.address(Memory {
            base: origin,
            index: Some((at, 1)),
            offset: ahead as i32,
        });
        let splat = self.splat_word(base, 8, bytes);
        let steps = self.vector_const((0..self.lanes as u64).flat_map(u64::to_le_bytes).collect());
        Ok(Lanes::new(
            Dtype::I64,
            self.sure_binary(isa::ADD64, bytes, splat, steps),
        ))
    }

    /// The low bytes of a word in all lanes of a register of so many bytes.
    pub(super) fn splat_word(&mut self, word: Reg, size: usize, bytes: usize) -> Reg {
        let first = self.asm.vector(16);
        let code = match self.isa {
            Isa::Avx512 => Code::EVEX_Vmovq_xmm_rm64,
            Isa::Avx2 => Code::VEX_Vmovq_xmm_rm64,
        };
        self.asm.emit(code, &[Arg::Def(first), Arg::Use(word)]);
        let rows = [isa::SPLAT8, isa::SPLAT16, isa::SPLAT32, isa::SPLAT64];
        let code = self.sure(by_size(rows, size), bytes);
        self.set(code, bytes, &[], first.into(), None)
    }

    // Which lanes count: below a number of at most 64 lanes, a bit each with AVX-512, and the number in all lanes with AVX2.

    pub(super) fn first_below(&mut self, count: Reg) -> Reg {
        match self.isa {
            Isa::Avx512 => self.lanes_below(count),
            Isa::Avx2 => self.splat_word(count, self.mask_size(), self.isa.bytes()),
        }
    }

    /// The mask of the vector whose first lane is the lane of this number.
    pub(super) fn valid_from(&mut self, valid: Reg, lane: usize) -> Reg {
        match self.isa {
            Isa::Avx512 if lane == 0 => valid,
            Isa::Avx512 => {
                let to = self.asm.mask();
                let args = [Arg::Def(to), Arg::Use(valid), Arg::Byte(lane as u8)];
                self.asm.emit(Code::VEX_Kshiftrq_kr_kr_imm8, &args);
                to
            }
            Isa::Avx2 => {
                let size = self.mask_size();
                let numbers = (lane..lane + self.lanes).flat_map(|n| (n as u64).to_le_bytes()[..size].to_vec());
                let numbers = self.vector_const(numbers.collect());
                let rows = [isa::GREATER8, isa::GREATER16, isa::GREATER32, isa::GREATER64];
                let code = self.sure(by_size(rows, size), 32);
                self.set(code, 32, &[Arg::Use(valid)], numbers.into(), None)
            }
        }
    }

    /// A mask for loads.
    pub(super) fn tail_of(&mut self, f: &Folding<'_>, mask: Reg) -> Selected<Tail> {
        let mut tail = Tail {
            lanes: mask,
            lanes32: mask,
            lanes64: mask,
            count: mask,
        };
        if self.isa == Isa::Avx2 {
            let varying = f.fold.loads.iter().filter(|s| !s.is_uniform);
            for size in varying.map(|s| s.dtype.size()) {
                match size {
                    // A parameter that is not used, wider than every value.
                    _ if self.lanes * size > self.isa.bytes() => {}
                    4 => tail.lanes32 = self.mask_for(Op::Index, mask, 4)?,
                    8 => tail.lanes64 = self.mask_for(Op::Index, mask, 8)?,
                    _ if tail.count != mask => {}
                    _ => tail.count = self.lanes_of(mask),
                }
            }
        }
        Ok(tail)
    }

    /// The value with lanes from `distance` on at its start; what becomes of the others means nothing.
    fn upper(&mut self, value: &Lanes, distance: usize) -> Selected<Lanes> {
        let x = self.reg(value);
        if value.dtype == Dtype::Bool && self.isa == Isa::Avx512 {
            return Ok(Lanes::new(value.dtype, self.valid_from(x, distance)));
        }
        let size = match value.dtype {
            Dtype::Bool => self.mask_size(),
            dtype => dtype.size(),
        };
        let bytes = self.register_bytes(size);
        let (row, byte) = match distance * size {
            // Halves of 128 or 256 bits, or neighbours of 128 in each half of 512.
            moved @ (16 | 32) => {
                let (code, order) = match (self.isa, bytes, moved) {
                    (Isa::Avx2, ..) => (Code::VEX_Vperm2i128_ymm_ymm_ymmm256_imm8, 0x01),
                    (Isa::Avx512, 32, _) => (Code::EVEX_Vshufi64x2_ymm_k1z_ymm_ymmm256b64_imm8, 0x01),
                    (.., 16) => (Code::EVEX_Vshufi64x2_zmm_k1z_zmm_zmmm512b64_imm8, 0xb1),
                    _ => (Code::EVEX_Vshufi64x2_zmm_k1z_zmm_zmmm512b64_imm8, 0x4e),
                };
                let reg = self.set(code, bytes, &[Arg::Use(x)], x.into(), Some(order));
                return Ok(Lanes::new(value.dtype, reg));
            }
            8 => (isa::PERMUTE32, 0x4e),
            4 => (isa::PERMUTE32, 0xb1),
            2 => (isa::SHR32, 16),
            _ => (isa::SHR16, 8),
        };
        let reg = self.unary_byte(Op::Index, row, size, x, byte)?;
        Ok(Lanes::new(value.dtype, reg))
    }

    /// Stores the first lane's value in 8 bytes of memory.
    pub(super) fn store_first(&mut self, value: &Lanes, to: Memory) -> Selected<()> {
        let reg = match value.dtype {
            Dtype::Bool => self.bytes_of_mask(value)?,
            _ => self.reg(value),
        };
        let code = match self.isa {
            Isa::Avx512 => Code::EVEX_Vmovq_xmmm64_xmm,
            Isa::Avx2 => Code::VEX_Vmovq_xmmm64_xmm,
        };
        self.asm
            .push(Inst::new(code, &[Arg::Memory(to), Arg::Use(reg.as_bytes(16))]));
        Ok(())
    }
}
