//! How a call is split among threads, and the loop that runs the parts.
//!
//! In: a scheduled nest and a thread count. Out: a [`Split`], with its reason; and [`for_each`], which runs parts on a pool.
//!
//! # The cost model
//!
//! The estimate of a call on one thread is `max(bytes / 48 GB/s, flops / 32 G/s)`: the rate of a core between its second-level
//! cache (86 GB/s) and memory (10 to 20), and that of 128-bit arithmetic. Handing a part to a helper that is awake, as it is
//! for a millisecond after a loop, costs the caller 0.1 to 0.5 µs, and a call of 4 µs already gains; waking one costs 8 to 12
//! µs, and it comes tens of µs later. So a call is split only where the estimate is above [`SPLIT_NS`], where a wake-up that brings
//! nothing costs at most half as much as the call, and into parts of at least [`PART_NS`]. Two, four and eight parts on two
//! threads take the same time within 3 % (`a + b` from 128k to 16M elements, `exp(x)` from 64k), so there are enough for a
//! thread that is held up to leave its share to the others.
//!
//! A reduction over columns is split by its blocks of rows where there are enough: two threads sum the columns of 2048² f32
//! in 139 µs by blocks, 148 µs in two bands of columns and 196 µs in eight, one thread in 254 µs.
//!
//! A matrix product is split by whole products of a batch, or else into nearly square parts of the result, as each part packs
//! what it needs of both factors.
//!
//! `cargo bench --bench split` measures the hand-off, and `a + b` and `exp(x)` with the split forced on and off, beside what
//! the model says.

use std::mem;
use std::sync::{Arc, LazyLock, Mutex};

use loopweave_ir::Op;
use rayon::ThreadPool;

use super::lock;
use super::team::{End, Loop, Team};
use crate::nest::schedule::Scheduled;
use crate::nest::{AxisId, AxisRole, Leaf, MatMul, Role};

/// Calls estimated below this stay on the caller's thread.
pub const SPLIT_NS: f64 = 24_000.0;
/// No part is estimated below this.
pub const PART_NS: f64 = 8_000.0;
/// Parts per thread, so that a thread that is held up leaves its share to the others.
const PARTS_PER_THREAD: usize = 4;
/// Multiply-adds in the time that packing one element of a matrix product's factor takes: 0.15 ns at 110 GFLOP/s.
const PACKING: usize = 8;
/// A part along the vector axis covers a multiple of this many elements: whole cache lines of every dtype.
const VECTOR_GRAIN: usize = 64;

/// The threads that a program may use.
#[derive(Clone, Debug, Default)]
pub enum Threads {
    /// All of rayon's global pool.
    #[default]
    Global,
    /// The threads of this pool.
    Pool(Pool),
    /// The calling thread alone.
    Caller,
}

/// A rayon pool, with those of its threads that stay awake between calls.
#[derive(Clone, Debug)]
pub struct Pool {
    pool: Arc<ThreadPool>,
    team: Arc<Team>,
}

impl From<Arc<ThreadPool>> for Pool {
    fn from(pool: Arc<ThreadPool>) -> Pool {
        let team = Arc::default();
        Pool { pool, team }
    }
}

impl Threads {
    /// A pool of `count` threads; 0 and 1 mean the calling thread.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn count(count: usize) -> Result<Threads, rayon::ThreadPoolBuildError> {
        if count <= 1 {
            return Ok(Threads::Caller);
        }
        // The caller takes part, so one thread fewer is started.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count - 1).build()?;
        Ok(Threads::Pool(Arc::new(pool).into()))
    }

    /// How many threads run a parallel loop, the caller included.
    pub fn number(&self) -> usize {
        match self {
            Threads::Global => rayon::current_num_threads(),
            Threads::Pool(own) => own.pool.current_num_threads() + 1,
            Threads::Caller => 1,
        }
    }
}

/// How one nest's call is split.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Split {
    /// The whole call runs on the caller's thread.
    Serial {
        /// Why.
        reason: SerialReason,
    },
    /// Ranges of one kept axis run in parallel.
    Axis {
        /// The axis of the nest.
        #[serde(skip)]
        axis: AxisId,
        /// Indices per part.
        grain: usize,
    },
    /// Rectangles of two kept axes run in parallel: the rows and columns of a matrix product.
    Grid {
        /// The axes of the nest.
        #[serde(skip)]
        axes: [AxisId; 2],
        /// Indices per part along each.
        grain: [usize; 2],
    },
    /// Ranges of a reduction's blocks run in parallel, then their tree is folded.
    Blocks {
        /// Blocks per part.
        grain: usize,
    },
}

/// Why a call is not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialReason {
    /// The program has one thread.
    OneThread,
    /// Waking other threads would cost more than they save.
    LittleWork,
    /// No axis has two parts of sufficient work.
    NoAxis,
}

impl SerialReason {
    /// The stable name in reports.
    pub const fn code(self) -> &'static str {
        match self {
            SerialReason::OneThread => "one-thread",
            SerialReason::LittleWork => "little-work",
            SerialReason::NoAxis => "no-axis",
        }
    }
}

/// What a call moves and computes.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Work {
    /// Bytes read, each operand's elements once.
    pub bytes_read: usize,
    /// Bytes written.
    pub bytes_written: usize,
    /// Arithmetic operations on elements, weighed by [`loopweave_ir::Cost::flops`].
    pub flops: usize,
}

impl Work {
    /// The work of a scheduled nest.
    pub fn of(scheduled: &Scheduled) -> Work {
        let (nest, binding) = (&scheduled.nest, &scheduled.binding);
        let mut work = Work {
            bytes_read: 0,
            bytes_written: 0,
            flops: 0,
        };
        for (operand, bytes) in nest.operands.iter().zip(binding.operand_bytes(nest)) {
            match operand.role {
                Role::Input => work.bytes_read += bytes,
                Role::Output => work.bytes_written += bytes,
                Role::Local => {}
            }
        }
        let flops = |func: &loopweave_ir::Func| -> usize {
            func.nodes()
                .iter()
                .map(|n| {
                    if matches!(n.op, Op::Index) {
                        0
                    } else {
                        n.op.cost().flops() as usize
                    }
                })
                .sum()
        };
        let kept = binding.kept_len(nest);
        let all = kept.saturating_mul(binding.reduced_len(nest));
        let stages = nest.leaf.stages().iter().map(|stage| match stage {
            Leaf::Map { map, .. } => all.saturating_mul(flops(map)),
            Leaf::Reduce(r) => all
                .saturating_mul(flops(&r.map) + flops(&r.combine))
                .saturating_add(kept.saturating_mul(flops(&r.finish))),
            // A fused multiply-add counts as two operations in the peak of any machine.
            Leaf::MatMul(p) => all
                .saturating_mul(2)
                .saturating_add(kept.saturating_mul(flops(&p.finish))),
            Leaf::Rows(_) => 0,
        });
        work.flops = stages.fold(0, usize::saturating_add);
        work
    }

    /// The estimated time on one thread, in nanoseconds.
    pub fn estimate_ns(self) -> f64 {
        let bytes = (self.bytes_read + self.bytes_written) as f64;
        (bytes / 48.0).max(self.flops as f64 / 32.0)
    }
}

/// Decides how a call runs on `threads` threads.
pub fn split(scheduled: &Scheduled, threads: usize) -> Split {
    let serial = |reason| Split::Serial { reason };
    if threads <= 1 {
        return serial(SerialReason::OneThread);
    }
    let estimate = Work::of(scheduled).estimate_ns();
    if estimate < SPLIT_NS {
        return serial(SerialReason::LittleWork);
    }
    let (nest, binding) = (&scheduled.nest, &scheduled.binding);
    if let Leaf::MatMul(product) = &nest.leaf {
        return split_product(product, scheduled, estimate, threads);
    }
    let parts = ((estimate / PART_NS) as usize).clamp(2, threads * PARTS_PER_THREAD);
    let vector = nest.vector_axis();
    let axis = |(i, &extent): (usize, &usize)| {
        let id = AxisId(i as u32);
        let grain = extent.div_ceil(parts);
        let grain = match &nest.leaf {
            // A band of columns is a short piece of every row, so bands are few and wide.
            Leaf::Reduce(_) if id == vector => extent.div_ceil(parts.min(threads)).next_multiple_of(VECTOR_GRAIN),
            _ if id == vector => grain.next_multiple_of(VECTOR_GRAIN),
            _ => grain,
        };
        (nest.axes[i].role == AxisRole::Kept && extent > grain).then_some((id, grain, extent))
    };
    // The outermost axis with enough indices for every thread, else the kept axis with the most parts.
    let axes: Vec<_> = binding.extents.iter().enumerate().filter_map(axis).collect();
    let enough = axes
        .iter()
        .find(|(_, grain, extent)| extent.div_ceil(*grain) >= threads);
    match (enough, blocks(scheduled, estimate, threads)) {
        // Whole rows stream from memory, and bands do not.
        (Some(&(axis, ..)), Some((grain, parts))) if axis == vector && parts >= threads => Split::Blocks { grain },
        (Some(&(axis, grain, _)), _) => Split::Axis { axis, grain },
        (None, Some((grain, _))) => Split::Blocks { grain },
        (None, None) => match axes.iter().max_by_key(|(_, grain, extent)| extent.div_ceil(*grain)) {
            Some(&(axis, grain, _)) => Split::Axis { axis, grain },
            None => serial(SerialReason::NoAxis),
        },
    }
}

/// How a matrix product is split: by whole products where every thread has one, else by rows, columns or both.
///
/// Each part packs what it needs of the factors, so parts are few and nearly square: `rows` × `columns` elements of the result
/// take the time of that many multiply-adds per element of the contracted axis, and packing that of [`PACKING`] for each row
/// and column.
fn split_product(product: &MatMul, scheduled: &Scheduled, estimate: f64, threads: usize) -> Split {
    let (nest, extents) = (&scheduled.nest, &scheduled.binding.extents);
    let rank = nest.axes.len();
    let (row, column) = (rank - 3, rank - 1);
    if let Some(outer) = (0..row).find(|&i| extents[i] >= threads) {
        // One call of `main` for all products of a part, and no fewer parts than spread evenly.
        let most = ((estimate / PART_NS) as usize).clamp(2, threads * PARTS_PER_THREAD);
        let (axis, grain) = (AxisId(outer as u32), extents[outer].div_ceil(most));
        return Split::Axis { axis, grain };
    }
    let tile = [product.tile.rows as usize, product.tile.columns() as usize];
    let whole = [extents[row], extents[column]];
    let most = ((estimate / PART_NS) as usize).clamp(2, threads);
    let grids = (1..=most).flat_map(|across| [[across, most / across], [across, most.div_ceil(across)]]);
    let grids = grids.map(|counts| [0, 1].map(|i| whole[i].div_ceil(counts[i]).max(1).next_multiple_of(tile[i])));
    let time = |grain: &[usize; 2]| {
        let [rows, columns] = [0, 1].map(|i| grain[i].min(whole[i]));
        let parts = whole[0].div_ceil(grain[0]) * whole[1].div_ceil(grain[1]);
        parts.div_ceil(threads) * (rows * columns + PACKING * (rows + columns))
    };
    let axes = [row, column].map(|i| AxisId(i as u32));
    match grids.min_by_key(time) {
        Some([rows, columns]) if rows < whole[0] && columns < whole[1] => Split::Grid {
            axes,
            grain: [rows, columns],
        },
        Some([rows, _]) if rows < whole[0] => Split::Axis {
            axis: axes[0],
            grain: rows,
        },
        Some([_, columns]) if columns < whole[1] => Split::Axis {
            axis: axes[1],
            grain: columns,
        },
        _ => Split::Serial {
            reason: SerialReason::NoAxis,
        },
    }
}

/// The blocks per part and the parts of a reduction split by its blocks, where there are two with sufficient work.
fn blocks(scheduled: &Scheduled, estimate: f64, threads: usize) -> Option<(usize, usize)> {
    let (nest, binding) = (&scheduled.nest, &scheduled.binding);
    let Leaf::Reduce(reduce) = &nest.leaf else { return None };
    let blocks = binding.reduced_len(nest).div_ceil(reduce.order.block() as usize);
    let row = nest.row_len(&binding.extents);
    // Each kept index outside of the vector axis is a parallel loop of its own, worth its own wake-up.
    let rounds = (binding.kept_len(nest) / row.max(1)).max(1);
    let estimate = estimate / rounds as f64;
    let parts = ((estimate / PART_NS) as usize).clamp(2, threads * PARTS_PER_THREAD);
    let grain = blocks.div_ceil(parts);
    (blocks > 1 && estimate >= SPLIT_NS).then_some((grain, blocks.div_ceil(grain)))
}

/// What a function makes of each of some items, several at once where the threads allow it, in the items' order.
pub fn map_each<T, R>(threads: &Threads, items: Vec<T>, map: impl Fn(T) -> R + Send + Sync + 'static) -> Vec<R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    if items.len() < 2 || threads.number() < 2 {
        return items.into_iter().map(map).collect();
    }
    let parts = items.len();
    let todo: Vec<_> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let done = Arc::new(Mutex::new(Vec::with_capacity(parts)));
    let results = Arc::clone(&done);
    for_each(threads, parts, move |i| {
        if let Some(item) = lock(&todo[i]).take() {
            let result = map(item);
            lock(&results).push((i, result));
        }
    });
    let mut results = mem::take(&mut *lock(&done));
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs `part(i)` for every i below `parts`, on the caller's thread and the pool's; no call of `part` outlives this one.
pub fn for_each(threads: &Threads, parts: usize, part: impl Fn(usize) + Send + Sync + 'static) {
    /// The helpers from rayon's global pool.
    static GLOBAL: LazyLock<Arc<Team>> = LazyLock::new(Arc::default);
    let most = threads.number().saturating_sub(1);
    let others = most.min(parts.saturating_sub(1));
    if others == 0 {
        return (0..parts).for_each(part);
    }
    let work = Loop::new(parts, part);
    match threads {
        Threads::Pool(own) if own.pool.current_thread_index().is_none() => {
            own.team
                .run(&work, others, most, |team| own.pool.spawn(move || team.help()));
        }
        Threads::Global if rayon::current_thread_index().is_none() => {
            GLOBAL.run(&work, others, most, |team| rayon::spawn(move || team.help()));
        }
        // A pool's own thread asks the others through the pool: they are awake, or busy with what it is part of.
        _ => {
            for _ in 0..others {
                let work = Arc::clone(&work);
                rayon::spawn(move || work.run(End::Last));
            }
            work.run(End::First);
            work.finish();
        }
    }
}
