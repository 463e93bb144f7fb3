//! The plan of an arena: where the intermediate arrays of a call stand in one block of memory, so that arrays whose lives do
//! not meet share bytes.
//!
//! In: an [`Interval`] per array: its bytes, and the steps from the one that writes it to the last that reads it. Out: a
//! [`Plan`]: an offset per array, and the size of the block.
//!
//! Invariants: arrays that live at the same step share no byte, and since the step that writes an array counts as one of its
//! life, no step reads and writes overlapping memory; every offset is a multiple of [`ALIGN`].
//!
//! The arrays are placed largest first, each at the best-fitting gap that those placed already leave during its life: the
//! greedy-by-size heuristic of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020), which
//! they measure to be within a few per cent of the lower bound.

use std::cmp::Reverse;

/// What every offset is a multiple of: the bytes of a cache line, and of the widest vector.
pub const ALIGN: usize = 64;

/// An array's size and life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its size.
    pub bytes: usize,
    /// The step that writes it.
    pub first: usize,
    /// The last step that reads it, not before `first`.
    pub last: usize,
}

/// Where arrays stand in an arena.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The first byte of each array.
    pub offsets: Vec<usize>,
    /// The size of the arena.
    pub size: ArenaSize,
}

/// How large an arena is, and what reuse saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaSize {
    /// The most bytes that are in use at once, with what the gaps between them waste.
    pub bytes: usize,
    /// The bytes of an arena without reuse.
    pub without_reuse: usize,
}

impl Interval {
    /// Whether there is a step at which both are alive.
    pub fn meets(&self, other: &Interval) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The bytes it takes up with its padding; `None` where that is more than there are addresses.
    fn padded(&self) -> Option<usize> {
        self.bytes.checked_next_multiple_of(ALIGN)
    }
}

/// Places arrays of these sizes and lives. `None` if together they have more bytes than there are addresses.
///
/// ```
/// use loopweave::runtime::arena::{Interval, plan};
/// let array = |bytes, first, last| Interval { bytes, first, last };
/// // The third is written when the first has been read for the last time, and takes its place.
/// let plan = plan(&[array(100, 0, 1), array(64, 1, 2), array(128, 2, 3)]).unwrap();
/// assert_eq!(plan.offsets, [0, 128, 0]);
/// assert_eq!((plan.size.bytes, plan.size.without_reuse), (192, 320));
/// ```
pub fn plan(arrays: &[Interval]) -> Option<Plan> {
    let padded: Vec<usize> = arrays.iter().map(Interval::padded).collect::<Option<_>>()?;
    let without_reuse = padded.iter().try_fold(0usize, |sum, &bytes| sum.checked_add(bytes))?;
    let mut order: Vec<usize> = (0..arrays.len()).collect();
    order.sort_by_key(|&i| Reverse(padded[i]));
    let mut plan = Plan {
        offsets: vec![0; arrays.len()],
        size: ArenaSize {
            bytes: 0,
            without_reuse,
        },
    };
    // In the order of their offsets, so that one pass over them sees every gap.
    let mut placed: Vec<usize> = Vec::with_capacity(arrays.len());
    for i in order {
        let alive = placed.iter().filter(|&&p| arrays[p].meets(&arrays[i]));
        let offset = best_fit(padded[i], alive.map(|&p| (plan.offsets[p], padded[p])));
        plan.offsets[i] = offset;
        plan.size.bytes = plan.size.bytes.max(offset + padded[i]);
        let position = placed.partition_point(|&p| plan.offsets[p] <= offset);
        placed.insert(position, i);
    }
    debug_assert_eq!(conflict(arrays, &plan), None);
    Some(plan)
}

/// The start of the smallest gap between these blocks (offset and size, in the order of their offsets) that holds `bytes`;
/// their end where none does.
fn best_fit(bytes: usize, blocks: impl Iterator<Item = (usize, usize)>) -> usize {
    let mut end = 0;
    let mut best: Option<(usize, usize)> = None;
    for (offset, size) in blocks {
        let gap = offset.saturating_sub(end);
        if gap >= bytes && gap > 0 && best.is_none_or(|(smallest, _)| gap < smallest) {
            best = Some((gap, end));
        }
        end = end.max(offset + size);
    }
    best.map_or(end, |(_, start)| start)
}

/// The first two arrays that are alive at one step and share a byte.
pub fn conflict(arrays: &[Interval], plan: &Plan) -> Option<(usize, usize)> {
    let bytes = |i: usize| plan.offsets[i]..plan.offsets[i] + arrays[i].bytes;
    let shared = |&(i, j): &(usize, usize)| {
        let (a, b) = (bytes(i), bytes(j));
        arrays[i].meets(&arrays[j]) && a.start.max(b.start) < a.end.min(b.end)
    };
    let pairs = (0..arrays.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    pairs.into_iter().find(shared)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intervals() -> impl Strategy<Value = Vec<Interval>> {
        let interval = (0usize..2000, 0usize..40, 0usize..12).prop_map(|(bytes, first, life)| Interval {
            bytes,
            first,
            last: first + life,
        });
        proptest::collection::vec(interval, 0..60)
    }

    proptest! {
        #[test]
        fn arrays_that_live_together_share_nothing(arrays in intervals()) {
            let plan = plan(&arrays).unwrap();
            prop_assert_eq!(conflict(&arrays, &plan), None);
            prop_assert!(plan.offsets.iter().all(|offset| offset % ALIGN == 0));
            let ends = plan.offsets.iter().zip(&arrays).map(|(offset, array)| offset + array.bytes);
            prop_assert!(ends.max().unwrap_or(0) <= plan.size.bytes);
            // No arena is smaller than what one step needs, and reuse never costs.
            let at = |step: usize| arrays.iter().filter(move |a| (a.first..=a.last).contains(&step));
            let needed = (0..60).map(|step| at(step).map(|a| a.bytes).sum::<usize>()).max().unwrap_or(0);
            prop_assert!(needed <= plan.size.bytes && plan.size.bytes <= plan.size.without_reuse);
        }
    }

    #[test]
    fn a_chain_takes_turns_in_two_places() {
        let arrays: Vec<Interval> = (0..10)
            .map(|step| Interval {
                bytes: 1000,
                first: step,
                last: step + 1,
            })
            .collect();
        let plan = plan(&arrays).unwrap();
        assert_eq!((plan.size.bytes, plan.size.without_reuse), (2048, 10240));
    }

    #[test]
    fn a_shared_byte_is_seen() {
        let array = |bytes, first, last| Interval { bytes, first, last };
        let arrays = [array(65, 0, 1), array(1, 1, 1)];
        let plan = |offsets: [usize; 2]| Plan {
            offsets: offsets.to_vec(),
            ..Plan::default()
        };
        assert_eq!(conflict(&arrays, &plan([0, 64])), Some((0, 1)));
        assert_eq!(conflict(&arrays, &plan([0, 128])), None);
    }

    #[test]
    fn more_bytes_than_addresses_are_refused() {
        let half = Interval {
            bytes: usize::MAX / 2 + 1,
            first: 0,
            last: 0,
        };
        assert_eq!(plan(&[half, half]), None);
    }
}
