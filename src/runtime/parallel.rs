//! How a call is split among threads, and the loop that runs the parts.
//!
//! In: a scheduled nest and a thread count. Out: a [`Split`], with its reason; and [`for_each`], which runs parts on a pool.
//!
//! # The cost model
//!
//! The estimate of a call on one thread is `max(bytes / 48 GB/s, flops / 32 G/s)`: the rate of a core between its second-level
//! cache (86 GB/s) and memory (10 to 20), and that of 128-bit arithmetic. Handing parts to a pool and waiting for them costs
//! 12 µs, 23 µs where it sleeps, so a call is split only where the estimate is above [`SPLIT_NS`], and into parts of at least
//! [`PART_NS`]. `cargo bench --bench split` measures all of these: it times `a + b` and `exp(x)` with the split forced on and
//! off, beside what the model says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loopweave_ir::Op;
use rayon::ThreadPool;

use crate::nest::schedule::Scheduled;
use crate::nest::{AxisId, AxisRole, Leaf, Order, Role};

/// Calls estimated below this stay on the caller's thread.
pub const SPLIT_NS: f64 = 40_000.0;
/// No part is estimated below this.
pub const PART_NS: f64 = 15_000.0;
/// Parts per thread, so that a thread that is held up leaves its share to the others.
const PARTS_PER_THREAD: usize = 4;
/// A part along the vector axis covers a multiple of this many elements: whole cache lines of every dtype.
const VECTOR_GRAIN: usize = 64;

/// The threads that a program may use.
#[derive(Clone, Debug, Default)]
pub enum Threads {
    /// All of rayon's global pool.
    #[default]
    Global,
    /// The threads of this pool.
    Pool(Arc<ThreadPool>),
    /// The calling thread alone.
    Caller,
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
        Ok(Threads::Pool(Arc::new(pool)))
    }

    /// How many threads run a parallel loop, the caller included.
    pub fn number(&self) -> usize {
        match self {
            Threads::Global => rayon::current_num_threads(),
            Threads::Pool(pool) => pool.current_num_threads() + 1,
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
        for (operand, bytes) in nest.operands.iter().zip(Work::operand_bytes(scheduled)) {
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

    /// The bytes of each operand's elements, each counted once.
    pub fn operand_bytes(scheduled: &Scheduled) -> impl Iterator<Item = usize> {
        let (nest, binding) = (&scheduled.nest, &scheduled.binding);
        nest.operands.iter().zip(&binding.operands).map(|(operand, bound)| {
            let along = |(&extent, &stride): (&usize, &isize)| if stride == 0 { extent.min(1) } else { extent };
            let elements: usize = binding.extents.iter().zip(&bound.strides).map(along).product();
            elements * operand.dtype.size()
        })
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
    // Each part of a matrix product packs what it needs of the other factor, so there is one for each thread.
    let most = match &nest.leaf {
        Leaf::MatMul(_) => threads,
        Leaf::Map { .. } | Leaf::Reduce(_) | Leaf::Rows(_) => threads * PARTS_PER_THREAD,
    };
    let parts = ((estimate / PART_NS) as usize).clamp(2, most);
    let axis = |(i, &extent): (usize, &usize)| {
        let id = AxisId(i as u32);
        let grain = extent.div_ceil(parts);
        let grain = match &nest.leaf {
            _ if id == nest.vector_axis() => grain.next_multiple_of(VECTOR_GRAIN),
            Leaf::MatMul(product) if i + 3 == nest.axes.len() => grain.next_multiple_of(product.tile.rows as usize),
            _ => grain,
        };
        (nest.axes[i].role == AxisRole::Kept && extent > grain).then_some((id, grain, extent))
    };
    // The outermost axis with enough indices for every thread, else the kept axis with the most parts.
    let axes: Vec<_> = binding.extents.iter().enumerate().filter_map(axis).collect();
    let enough = axes
        .iter()
        .find(|(_, grain, extent)| extent.div_ceil(*grain) >= threads);
    if let Some(&(axis, grain, _)) = enough {
        return Split::Axis { axis, grain };
    }
    if let Leaf::Reduce(reduce) = &nest.leaf {
        let blocks = binding.reduced_len(nest).div_ceil(reduce.order.block() as usize);
        let row = match reduce.order {
            Order::Lanes { .. } => 1,
            Order::Chain { .. } => binding.extents[nest.vector_axis().index()],
        };
        // Each kept index outside of the vector axis is a parallel loop of its own, worth its own wake-up.
        let rounds = (binding.kept_len(nest) / row.max(1)).max(1);
        if blocks > 1 && estimate / rounds as f64 >= SPLIT_NS {
            let parts = ((estimate / rounds as f64 / PART_NS) as usize).clamp(2, threads * PARTS_PER_THREAD);
            return Split::Blocks {
                grain: blocks.div_ceil(parts),
            };
        }
    }
    match axes.iter().max_by_key(|(_, grain, extent)| extent.div_ceil(*grain)) {
        Some(&(axis, grain, _)) => Split::Axis { axis, grain },
        None => serial(SerialReason::NoAxis),
    }
}

/// Runs `part(i)` for every i below `parts`, on the caller's thread and the pool's.
pub fn for_each(threads: &Threads, parts: usize, part: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= parts {
                break;
            }
            part(i);
        }
    };
    let others = threads.number().min(parts).saturating_sub(1);
    match threads {
        _ if others == 0 => work(),
        Threads::Pool(pool) => pool.in_place_scope(|scope| share(scope, others, &work)),
        _ => rayon::in_place_scope(|scope| share(scope, others, &work)),
    }
}

/// Runs `work` on `others` threads of the pool and on this one.
fn share<'s>(scope: &rayon::Scope<'s>, others: usize, work: &'s (impl Fn() + Sync)) {
    for _ in 0..others {
        scope.spawn(|_| work());
    }
    work();
}
