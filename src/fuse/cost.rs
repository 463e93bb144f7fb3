//! The cost model of fusion: whether computing an element again beats writing it to memory and reading it back.
//!
//! In: what an element of the producer takes to compute ([`Work`]), and how often it is read. Out: yes or no.
//!
//! # Terms
//!
//! Per element of the producer, in units of 1/96 ns of one core:
//!
//! - arithmetic: [`FLOP`] for each operation on 4 bytes, weighed by the op's class ([`loopweave_ir::Cost::flops`]: 1 for
//!   one or two instructions, 6 for a division or square root, 25 for a polynomial), at 32 G operations/s; an operation on
//!   8 bytes fills twice the register and counts twice;
//! - bytes: [`FAR_BYTE`] for each byte read or written, at the 16 GB/s of a core from memory; [`NEAR_BYTE`] where all
//!   extents are known and the array fits the second-level cache ([`CACHE`] bytes), at 48 GB/s.
//!
//! Storing costs a write, a read for each reader, and, unless a kernel that needs the elements anyway stores them, reading
//! the operands and computing once. Computing again costs the arithmetic for each reader, and the bytes of those operands
//! that the reader does not read anyway. Of an `exp` of `f32` in two kernels, with 75 for the arithmetic and 24 for each pass
//! over memory, an array costs 75 + 4 · 24 = 171 (read, write, read twice) and computing again 2 · (75 + 24) = 198: it is stored.
//! Of a scale, with 3 for the arithmetic, they cost 99 and 54: it is computed again.
//!
//! Along an axis that only the consumer has, one element of the producer serves an unknown number of the consumer's, and
//! storing it costs nothing per element. It is computed again where that hides behind the loads: [`FREE_FLOPS`] operations
//! and further operands together. Where the axis is the innermost one, generated code computes what does not change along
//! it once per row, so there anything may be.
//!
//! Nothing here knows a target: the rates are those by which calls are split among threads, measured on one machine.

/// Of one operation on 4 bytes.
pub(super) const FLOP: u64 = 3;
/// Of a byte between a core and memory.
pub(super) const FAR_BYTE: u64 = 6;
/// Of a byte between a core and its second-level cache.
pub(super) const NEAR_BYTE: u64 = 2;
/// Bytes of an array that surely stays in the second-level cache from one kernel to the next.
pub(super) const CACHE: u64 = 256 << 10;
/// Operations, and operands beyond the first, that hide behind an element's loads and stores.
pub(super) const FREE_FLOPS: u64 = 4;
/// Copies of one node's code, in all kernels together: beyond these the code grows more than the traffic shrinks.
pub(super) const MAX_COPIES: usize = 8;
/// Function nodes that a kernel may have for another to be merged into it, so that code stays in the instruction cache and
/// its values near the registers.
pub(super) const MAX_NODES: usize = 1024;
/// Arrays that a kernel of several outputs may write: as many streams as a core's write-combining buffers take.
pub(super) const MAX_STORES: usize = 8;
/// Values that one pass may accumulate, and their bytes: a vector of each stays in a register.
pub(super) const MAX_ACCUMULATORS: (usize, usize) = (8, 64);

/// What one element of a producer takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// The bytes of the element in memory.
    pub(super) bytes: u64,
    /// Operations on 4 bytes that compute it from arrays in memory.
    pub(super) flops: u64,
    /// Bytes of those arrays' elements.
    pub(super) operand_bytes: u64,
    /// Whether the array stays in cache.
    pub(super) near: bool,
}

/// A kernel that may compute the producer's elements itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
    /// How often it needs each element, at different indices of its own.
    pub(super) copies: u64,
    /// Bytes of operands that it would read in addition.
    pub(super) further_bytes: u64,
    /// Whether one element serves several of its own, and so is found in cache when it is read.
    pub(super) repeats: bool,
}

impl Reader {
    /// Both of one kernel's needs.
    pub(super) fn and(self, other: Reader) -> Reader {
        Reader {
            copies: self.copies + other.copies,
            further_bytes: self.further_bytes + other.further_bytes,
            repeats: self.repeats || other.repeats,
        }
    }
}

/// Whether all readers shall compute the elements, of which then no array is made. `has_home`: whether a further kernel
/// computes them anyway, and would store them.
pub(super) fn compute_again(work: Work, readers: &[Reader], has_home: bool) -> bool {
    let own = if has_home {
        0
    } else {
        work.flops * FLOP + work.operand_bytes * work.byte()
    };
    let copies: u64 = readers.iter().map(|r| r.copies).sum();
    let stored = own + (1 + copies) * work.bytes * work.byte();
    readers.iter().map(|&r| again(work, r)).sum::<u64>() < stored
}

/// Whether this reader shall compute the elements, though there is an array of them.
pub(super) fn compute_beside(work: Work, reader: Reader) -> bool {
    !reader.repeats && again(work, reader) < reader.copies * work.bytes * work.byte()
}

/// Whether it is the arithmetic, and not the bytes, that speaks against computing again.
pub(super) fn is_expensive(work: Work, readers: &[Reader], has_home: bool) -> bool {
    let free = Work { flops: 0, ..work };
    compute_again(free, readers, has_home)
}

/// Whether an element may be computed for each of an unknown number of the consumer's elements.
pub(super) fn is_free(flops: u64, operands: usize) -> bool {
    flops + operands.saturating_sub(1) as u64 <= FREE_FLOPS
}

/// Whether computing an element `factor` times beats writing it and reading it.
pub(super) fn repeat_beats_array(work: Work, factor: u64) -> bool {
    factor.saturating_sub(1).saturating_mul(work.flops * FLOP) < 2 * work.bytes * work.byte()
}

impl Work {
    fn byte(self) -> u64 {
        if self.near { NEAR_BYTE } else { FAR_BYTE }
    }
}

fn again(work: Work, reader: Reader) -> u64 {
    reader.copies * work.flops * FLOP + reader.further_bytes * work.byte()
}
