//! Maps: loads, a function and stores along one axis, inside of at most one loop.
//!
//! In: a function and how its operands lie. Out: machine code with the interface of [`Abi`] for the nest's last one or two axes.
//!
//! ```text
//! for each row        (where there is a second axis)
//!     what is the same for the whole row
//!     elements up to where the output is aligned, under a mask    (cheap functions, long rows)
//!     unroll vectors at a time, while there are as many
//!     one vector at a time, under a mask of the elements that are left
//! ```

use iced_x86::Code;
use loopweave_ir::{Dtype, Func};

use super::ahead::{Fetch, NextRow};
use super::asm::{Arg, BlockId, Memory, Reg};
use super::body::{Body, SPARE_REGISTERS};
use super::division;
use super::gather::Access;
use super::isa::{self, Isa};
use super::lanes::{Selected, Selector, Tail};
use crate::codegen::abi::Abi;
use crate::nest::Writes;
use crate::target::microarchitecture::{Microarchitecture, VectorWork};

/// An operand of a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// Its place among the operands of the argument block.
    pub(super) operand: usize,
    pub(super) dtype: Dtype,
    /// Whether one element serves the whole axis.
    pub(super) is_uniform: bool,
    /// Whether neighbours are any distance apart, which the argument block tells.
    pub(super) is_strided: bool,
}

impl Stream {
    /// Whether its elements are neighbours in memory.
    pub(super) fn is_dense(&self) -> bool {
        !self.is_uniform && !self.is_strided
    }
}

/// A map along the last of one or two axes.
pub(super) struct Map<'f> {
    pub(super) func: &'f Func,
    pub(super) loads: Vec<Stream>,
    pub(super) stores: Vec<Stream>,
    pub(super) abi: Abi,
    pub(super) axes: usize,
    pub(super) writes: Writes,
    /// Bytes from a row of a tile to the same row of the next one, where it runs in tiles.
    pub(super) tile: Option<usize>,
    /// What the main loop fetches of the row after.
    pub(super) next_row: Vec<NextRow>,
}

impl Map<'_> {
    /// What it loads, then what it stores.
    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.loads.iter().chain(&self.stores)
    }

    /// Whether a result goes past the caches: the first may, as it is the one that lies aligned.
    fn is_streamed(&self, result: usize) -> bool {
        result == 0 && self.writes == Writes::Streamed
    }
}

/// Bytes of the widest value.
pub(super) fn widest(funcs: &[&Func]) -> usize {
    let nodes = funcs.iter().flat_map(|f| f.nodes());
    let sizes = nodes.filter_map(|n| Some(division::bytes_on_the_way(n.op, n.dtype?.size())));
    sizes.max().unwrap_or(1)
}

/// Vectors of an iteration.
#[derive(Clone, Copy)]
pub(super) struct Unroll {
    /// How many there are.
    pub(super) vectors: usize,
    /// How many of them are computed abreast, each op for one after the other; the others follow.
    pub(super) abreast: usize,
}

impl Unroll {
    /// For a loop that does so much for a vector, with so many values at once, on such a core: short bodies need company beside
    /// the loop itself.
    ///
    /// The ops of a long body wait for each other, and a processor that holds a hundred waiting ops sees no more than two such
    /// bodies beside each other; abreast they are side by side as the code stands, for which 16 registers serve two. In µs for
    /// 64k values, one after the other / abreast: f64 `erf` 122 / 104, `tanh` 108 / 97, `exp` 29.6 / 28.2, f32 Black–Scholes
    /// 170 / 129; with AVX2 f64 `gelu` 308 / 274. Three also share each column of a table that is in registers: f64 `tanh` by table
    /// 69 / 55.
    fn of(work: VectorWork, live: usize, isa: Isa, core: &Microarchitecture) -> Unroll {
        let has_room = 3 * (live + SPARE_REGISTERS) <= isa.registers();
        let (vectors, abreast) = match (work.ops, isa) {
            (ops, _) if ops <= core.short_body(work.bytes) => (core.unroll(work), 1),
            (..=20, Isa::Avx512) => (3, 3),
            (..=40, Isa::Avx512) if has_room => (3, 3),
            (..=40, Isa::Avx512) => (2, 2),
            (_, Isa::Avx512) => (3, 3),
            (..=40, Isa::Avx2) => (2, 1),
            (_, Isa::Avx2) => (2, 2),
        };
        Unroll { vectors, abreast }
    }
}

/// Ops up to which the accesses to memory decide the speed of a loop.
const PEEL_OPS: usize = 12;
/// Vectors in a row from which on it pays to align them.
const PEEL_VECTORS: usize = 32;
/// Vectors in a row from which on it pays to take the reciprocal of what all of them are divided by.
const RECIPROCAL_VECTORS: usize = 8;
/// How far ahead lines are fetched for writing: measured alike from 512 to 4096 bytes.
const AHEAD_BYTES: usize = 1024;

/// Selects the instructions of a map, unrolled as far as it pays on such a core.
pub(super) fn select(map: &Map<'_>, isa: Isa, core: &Microarchitecture) -> Selected<Selector> {
    let varying = |streams: &[Stream]| streams.iter().filter(|stream| !stream.is_uniform).count();
    let (bytes, loads, stores) = (isa.bytes(), varying(&map.loads), varying(&map.stores));
    select_unrolled(map, isa, |body| {
        let work = VectorWork {
            bytes,
            ops: body.ops(),
            loads,
            stores,
        };
        Unroll::of(work, body.live(isa), isa, core)
    })
}

/// As [`select`], with the vectors of an iteration that a function of the body tells.
pub(super) fn select_unrolled(map: &Map<'_>, isa: Isa, unroll: impl Fn(&Body<'_>) -> Unroll) -> Selected<Selector> {
    let mut body = Body::new(map.func, isa, |p| map.loads[p].is_uniform).with_reciprocals(isa);
    let Unroll { vectors, abreast } = unroll(&body);
    if abreast > 1 {
        body.hold_few(isa);
    }
    let strided = map.streams().filter(|s| s.is_strided).count();
    let needed = abreast * body.live(isa) + SPARE_REGISTERS + strided;
    let room = isa.registers().saturating_sub(needed);
    let mut s = Selector::new(isa, widest(&[map.func]), room);
    (s.vectors, s.abreast) = (vectors, abreast);
    let exit = s.asm.block(&[]);
    let n = s.load_word(s.argument(map.abi.vector_extent()));
    s.compare_word(n, 0);
    s.asm.branch(Code::Jle_rel32_64, exit, &[]);

    // In the order of the streams.
    let streams: Vec<Stream> = map.streams().copied().collect();
    let mut accesses = s.accesses(&streams, map.abi);
    let mut rows = None;
    if map.axes == 2 {
        let count = s.load_word(s.argument(map.abi.extent(0)));
        s.compare_word(count, 0);
        s.asm.branch(Code::Jle_rel32_64, exit, &[]);
        let entering: Vec<Reg> = std::iter::once(count).chain(accesses.iter().map(|a| a.base)).collect();
        let params: Vec<Reg> = entering.iter().map(|&r| s.asm.like(r)).collect();
        let row = s.asm.block(&params);
        s.asm.jump(row, &entering);
        s.asm.switch_to(row);
        for (access, &base) in accesses.iter_mut().zip(&params[1..]) {
            access.base = base;
        }
        rows = Some((row, params));
    }
    let (loads, stores) = accesses.split_at(map.loads.len());
    s.prepare(&mut body, |s, p| {
        let from = Memory {
            base: loads[p].base,
            index: None,
            offset: 0,
        };
        s.load_uniform(map.loads[p].dtype, from)
    })?;
    s.row(map, &mut body, loads, stores, n)?;
    if let Some((row, params)) = rows {
        let mut leaving = vec![s.moved(params[0], -1)];
        for (stream, &pointer) in streams.iter().zip(&params[1..]) {
            let stride = s.argument(map.abi.stride(stream.operand, 0));
            leaving.push(s.sum(pointer, Arg::Memory(stride)));
        }
        s.compare_word(leaving[0], 0);
        s.asm.branch(Code::Jg_rel32_64, row, &leaving);
    }
    if map.writes == Writes::Streamed {
        // Streamed stores are not ordered among others: what follows must find them done.
        s.asm.emit(Code::Sfence, &[]);
    }
    s.asm.jump(exit, &[]);
    s.asm.order_blocks();
    Ok(s)
}

impl Selector {
    /// One row of `n` elements.
    fn row(&mut self, map: &Map<'_>, body: &mut Body<'_>, loads: &[Access], stores: &[Access], n: Reg) -> Selected<()> {
        let copies = self.vectors;
        let step = (copies * self.lanes) as i32;
        let last = self.moved(n, -step);
        let i = self.asm.general();
        let rest = self.asm.block(&[i]);
        let is_short = body.ops() <= PEEL_OPS && map.stores[0].is_dense();
        let start = match is_short || map.writes == Writes::Streamed {
            true => self.peel(map, body, loads, stores, n, rest)?,
            false => self.word(0),
        };
        self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(start), Arg::Use(last)]);
        self.asm.branch(Code::Jg_rel32_64, rest, &[start]);
        if body.has_divisors() {
            self.compare_word(n, (RECIPROCAL_VECTORS * self.lanes) as i32);
            self.asm.branch(Code::Jl_rel32_64, rest, &[start]);
            self.prepare_reciprocals(body)?;
        }
        let fetches = self.next_rows(&map.next_row, map.abi);
        let at = self.asm.general();
        let main = self.asm.block(&[at]);
        self.asm.main = Some(main);
        self.asm.jump(main, &[start]);
        self.asm.switch_to(main);
        self.fetch_ahead(map, body.ops(), loads, stores, at);
        for fetch in &fetches {
            self.fetch(fetch, at, 0, copies * self.lanes);
        }
        for first in (0..copies).step_by(self.abreast) {
            let count = self.abreast.min(copies - first);
            self.vectors_abreast(map, body, loads, stores, (at, first, count), None)?;
        }
        let next = self.moved(at, step);
        self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(next), Arg::Use(last)]);
        self.asm.branch(Code::Jle_rel32_64, main, &[next]);
        self.asm.jump(rest, &[next]);
        body.forget_reciprocals();

        self.asm.switch_to(rest);
        let done = self.asm.block(&[]);
        self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(i), Arg::Use(n)]);
        self.asm.branch(Code::Jge_rel32_64, done, &[]);
        let left = self.difference(n, i);
        let has_parts = self.isa == Isa::Avx2 && map.streams().any(|s| s.dtype.size() < 4);
        if has_parts {
            // Parts of narrow vectors take so long that there should be one at most.
            let whole = self.asm.block(&[]);
            self.compare_word(left, self.lanes as i32);
            self.asm.branch(Code::Jge_rel32_64, whole, &[]);
            let here = self.asm.current();
            self.asm.switch_to(whole);
            self.vector(map, body, loads, stores, i, None)?;
            let next = self.moved(i, self.lanes as i32);
            self.asm.jump(rest, &[next]);
            self.asm.switch_to(here);
        }
        let tail = self.tail(left, map)?;
        self.vector(map, body, loads, stores, i, Some(&tail))?;
        let next = self.moved(i, self.lanes as i32);
        self.asm.jump(rest, &[next]);
        self.asm.switch_to(done);
        Ok(())
    }

    /// The elements up to where the first output is aligned to a vector, in rows long enough: an access that crosses a cache line
    /// costs two, and large arrays all lie alike within a line. What is loaded crosses lines more often where the output is less
    /// than half as wide, and is aligned instead: so `f32 < f32` of 64k values takes 5.8 µs where it took 7.6, and 8.4
    /// where it took 10.2 with AVX2. Gives the index of the next element.
    ///
    /// Short rows are not aligned, except where results are streamed, which takes aligned stores: then rows of less than a
    /// vector go to `rest`.
    fn peel(
        &mut self,
        map: &Map<'_>,
        body: &Body<'_>,
        loads: &[Access],
        stores: &[Access],
        n: Reg,
        rest: BlockId,
    ) -> Selected<Reg> {
        let zero = self.word(0);
        let start = self.asm.general();
        let aligned = self.asm.block(&[start]);
        let (least, short_row) = match map.writes {
            Writes::Streamed => (self.lanes, rest),
            Writes::Plain | Writes::Ahead => (PEEL_VECTORS * self.lanes, aligned),
        };
        self.compare_word(n, least as i32);
        self.asm.branch(Code::Jl_rel32_64, short_row, &[zero]);
        let inputs = map.loads.iter().zip(loads).filter(|(load, _)| load.is_dense());
        let widest = match map.writes {
            Writes::Streamed => None,
            Writes::Plain | Writes::Ahead => inputs.map(|(_, access)| access).max_by_key(|a| a.dtype.size()),
        };
        let output = &stores[0];
        let aligned_to = widest
            .filter(|w| w.dtype.size() > 2 * output.dtype.size())
            .unwrap_or(output);
        let count = self.lanes_to_alignment(aligned_to.base, aligned_to.dtype.size());
        self.compare_word(count, 0);
        self.asm.branch(Code::Je_rel32_64, aligned, &[zero]);
        let tail = self.tail(count, map)?;
        self.vector(map, body, loads, stores, zero, Some(&tail))?;
        self.asm.jump(aligned, &[count]);
        self.asm.switch_to(aligned);
        Ok(start)
    }

    /// One vector of results at an index.
    fn vector(
        &mut self,
        map: &Map<'_>,
        body: &Body<'_>,
        loads: &[Access],
        stores: &[Access],
        at: Reg,
        tail: Option<&Tail>,
    ) -> Selected<()> {
        self.vectors_abreast(map, body, loads, stores, (at, 0, 1), tail)
    }

    /// Vectors of results abreast: a number of them, so many vectors after an index.
    fn vectors_abreast(
        &mut self,
        map: &Map<'_>,
        body: &Body<'_>,
        loads: &[Access],
        stores: &[Access],
        (at, first, count): (Reg, usize, usize),
        tail: Option<&Tail>,
    ) -> Selected<()> {
        let lanes = self.lanes;
        let place = |vector: usize| (at, (first + vector) * lanes);
        let load = |s: &mut Selector, vector: usize, p: usize| s.load_from(&loads[p], place(vector), tail);
        let vectors = self.eval_abreast(body, count, load, None)?;
        for (vector, results) in vectors.into_iter().enumerate() {
            for (result, value) in results.iter().enumerate() {
                let whole = if map.is_streamed(result) {
                    isa::STREAM
                } else {
                    isa::STORE
                };
                self.store_to(&stores[result], value, place(vector), tail, whole)?;
            }
        }
        Ok(())
    }

    /// Asks for the lines that later iterations of the main loop write through the caches, and for those that they read where the
    /// processor would not have them in time: in tiles, as none foresees pieces of rows, and beyond the second-level cache.
    ///
    /// There a loop of many ops holds too few iterations at once to ask for much by itself, least of all beside streamed results.
    /// On one thread, from memory and back without / with, in ms for 16M values of f32 and of f64: `sin` 28.7 / 9.9 and 83.7 / 26.2,
    /// `tanh` 16.5 / 10.2 and 81.8 / 29.7, `exp` 8.8 / 8.2 and 21.1 / 19.5, `x * 2` 7.0 / 6.3 and 16.8 / 14.4.
    fn fetch_ahead(&mut self, map: &Map<'_>, ops: usize, loads: &[Access], stores: &[Access], at: Reg) {
        let read = match map.writes {
            _ if map.tile.is_some() => Some(Code::Prefetcht1_m8),
            Writes::Streamed => Some(Code::Prefetcht1_m8),
            Writes::Ahead if ops > PEEL_OPS => Some(Code::Prefetcht0_m8),
            Writes::Ahead | Writes::Plain => None,
        };
        let mut fetch = |code: Code, access: &Access| {
            let fetch = Fetch {
                code,
                base: access.base,
                size: access.dtype.size(),
                distance: map.tile.unwrap_or(AHEAD_BYTES),
            };
            self.fetch(&fetch, at, 0, self.vectors * self.lanes);
        };
        let dense = map.loads.iter().zip(loads).filter(|(load, _)| load.is_dense());
        if let Some(code) = read {
            dense.for_each(|(_, access)| fetch(code, access));
        }
        let is_ahead = map.tile.is_some() || map.writes != Writes::Plain;
        for (result, access) in stores.iter().enumerate() {
            if is_ahead && !map.is_streamed(result) {
                fetch(Code::Prefetchw_m8, access);
            }
        }
    }

    /// The first lanes of a vector: a number of them of at most 255.
    fn tail(&mut self, count: Reg, map: &Map<'_>) -> Selected<Tail> {
        match self.isa {
            Isa::Avx512 => {
                // A register of bytes holds 16, and a result may lie where a later vector's operand does.
                let count = if self.lanes < 16 {
                    self.at_most_a_vector(count)
                } else {
                    count
                };
                let lanes = self.lanes_below(count);
                Ok(Tail {
                    lanes,
                    lanes32: lanes,
                    lanes64: lanes,
                    count,
                })
            }
            Isa::Avx2 => {
                let varying = map.streams().filter(|s| !s.is_uniform);
                let mut sizes: Vec<usize> = varying.map(|s| s.dtype.size()).collect();
                // What is wider than every value belongs to a parameter that is not used.
                sizes.retain(|size| self.lanes * size <= self.isa.bytes());
                sizes.sort_unstable();
                sizes.dedup();
                let count = self.at_most_a_vector(count);
                let all = self.word(self.lanes as i32);
                let skipped = self.difference(all, count);
                let mut masks = [skipped; 2];
                for &size in sizes.iter().filter(|&&size| size >= 4) {
                    masks[(size == 8) as usize] = self.first_lanes(size, skipped);
                }
                Ok(Tail {
                    lanes: skipped,
                    lanes32: masks[0],
                    lanes64: masks[1],
                    count,
                })
            }
        }
    }

    /// A number of lanes, and of those no more than there are.
    fn at_most_a_vector(&mut self, count: Reg) -> Reg {
        let (lanes, least) = (self.word(self.lanes as i32), self.asm.general());
        self.asm.emit(Code::Cmp_r64_rm64, &[Arg::Use(count), Arg::Use(lanes)]);
        let update = Arg::Update { from: count, to: least };
        self.asm.emit(Code::Cmovg_r64_rm64, &[update, Arg::Use(lanes)]);
        least
    }

    /// A mask of the lanes below a number of at most 255, with AVX-512.
    pub(super) fn lanes_below(&mut self, count: Reg) -> Reg {
        let ones = self.word(-1);
        let bits = self.asm.general();
        // Counts of 64 and more keep all bits; the instruction looks at the low byte of the number.
        self.asm.emit(
            Code::VEX_Bzhi_r64_rm64_r64,
            &[Arg::Def(bits), Arg::Use(ones), Arg::Use(count)],
        );
        let lanes = self.asm.mask();
        self.asm
            .emit(Code::VEX_Kmovq_kr_r64, &[Arg::Def(lanes), Arg::Use(bits)]);
        lanes
    }

    /// All ones in the lanes below a vector's last `skipped`: a load from a row of ones before zeros.
    fn first_lanes(&mut self, size: usize, skipped: Reg) -> Reg {
        let bytes = self.lanes * size;
        let table = self.asm.constant([vec![0xff; bytes], vec![0; bytes]].concat());
        let base = self.asm.general();
        self.asm.emit(Code::Lea_r64_m, &[Arg::Def(base), Arg::Const(table)]);
        let from = Memory {
            base,
            index: Some((skipped, size as u8)),
            offset: 0,
        };
        let to = self.asm.vector(self.register_bytes(size));
        let code = self.sure(isa::LOAD, bytes);
        self.asm.emit(code, &[Arg::Def(to), Arg::Memory(from)]);
        to
    }
}
