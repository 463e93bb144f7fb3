//! The threads that help a caller with a loop, and stay awake a moment for its next one.
//!
//! In: a loop's parts and a count of helpers that would be of use. Out: the parts, each run once, on the caller's thread and
//! on those that came in time. A helper is a job on a rayon pool; between loops it looks at its team's board for a while
//! ([`WATCHES`]) before it gives the thread back, for a sleeping thread takes longer to wake than most loops take to run.
//!
//! Invariants: a part runs only after it was claimed, a claim is followed by the end of the part, and [`Loop::finish`]
//! returns when all parts were claimed and have ended. So no part runs afterwards, a helper that comes late finds nothing
//! left, and the caller waits for no thread that has not begun. A helper holds its team but not the pool, so a pool ends
//! soon after its last loop; and it lets the pool's other jobs run, every [`WATCH`] while it is idle and every [`LONGEST`] in
//! any case.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::lock;
use super::processor::{ThreadId, make_way};

/// How long an idle helper watches the board before other jobs of its pool, and other threads, have a turn.
const WATCH: Duration = Duration::from_micros(20);
/// How often it does so before it leaves. Watches are counted, not timed, so that a process that was stopped or a machine
/// that was taken away finds its helpers awake when it goes on. A millisecond is less than OpenMP's threads wait.
const WATCHES: u32 = 50;
/// The most threads that a caller asks to another processor: with many processors none waits for long.
const MOVED: usize = 4;
/// How long a caller looks for the end of the last part before it sleeps.
const PATIENCE: Duration = Duration::from_micros(100);
/// How long other jobs of the pool wait at most, however many loops follow each other.
const LONGEST: Duration = Duration::from_millis(1);

/// The helpers of one pool, and the loops they can take part in.
#[derive(Debug, Default)]
pub(super) struct Team {
    /// How many loops are on the board, to be watched without its lock.
    posted: AtomicUsize,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    posts: Vec<Post>,
    /// Helpers that were called and have not left.
    helpers: usize,
    /// Those of them that run no loop: they watch the board, or will as soon as their threads begin.
    free: usize,
    /// The threads that have helped before and run no loop now.
    resting: Vec<ThreadId>,
}

/// A loop that seeks helpers.
#[derive(Debug)]
struct Post {
    work: Arc<Loop>,
    seats: usize,
}

thread_local! {
    /// Whether this thread is a helper.
    static HELPS: Cell<bool> = const { Cell::new(false) };
}

impl Team {
    /// Runs a loop on this thread and on up to `others` helpers. Where too few are free, `call` starts a thread on
    /// [`help`](Team::help), as long as there are no more than `most` in all.
    pub(super) fn run(self: &Arc<Team>, work: &Arc<Loop>, others: usize, most: usize, call: impl Fn(Arc<Team>)) {
        let missing = {
            let mut board = self.board();
            board.posts.push(Post {
                work: Arc::clone(work),
                seats: others,
            });
            self.posted.store(board.posts.len(), Ordering::Release);
            let missing = others
                .saturating_sub(board.free)
                .min(most.saturating_sub(board.helpers));
            board.helpers += missing;
            board.free += missing;
            missing
        };
        (0..missing).for_each(|_| call(Arc::clone(self)));
        if work.step(End::First) && !work.is_shared() {
            let resting: Vec<ThreadId> = self.board().resting.iter().take(others.min(MOVED)).copied().collect();
            resting.into_iter().for_each(make_way);
        }
        work.run(End::First);
        self.withdraw(&mut self.board(), work);
        work.finish();
    }

    /// What a helper does: parts of loops, until there were none for a while.
    pub(super) fn help(&self) {
        // A thread that helps already came here through the pool's other jobs: it must not begin to wait within its wait.
        let nested = HELPS.replace(true);
        if !nested {
            self.rest(&mut self.board());
        }
        let mut gave_way = Instant::now();
        let mut watches = 0;
        loop {
            if let Some(work) = self.next(if nested { Duration::ZERO } else { WATCH }) {
                work.run(End::Last);
                let mut board = self.board();
                self.withdraw(&mut board, &work);
                board.free += 1;
                self.rest(&mut board);
                drop(board);
                watches = 0;
                if gave_way.elapsed() < LONGEST {
                    continue;
                }
            }
            if !self.leave(gave_way.elapsed() >= LONGEST) {
                continue;
            }
            watches += 1;
            if nested || watches >= WATCHES {
                break;
            }
            // The pool's other jobs may take long, so that the team must not count on this thread meanwhile.
            if let Some(rayon::Yield::Executed) = rayon::yield_now() {
                watches = 0;
            }
            thread::yield_now();
            if !self.come_back() {
                break;
            }
            gave_way = Instant::now();
        }
        HELPS.set(nested);
    }

    /// A loop from the board, as soon as there is one, unless that takes too long.
    fn next(&self, patience: Duration) -> Option<Arc<Loop>> {
        let start = Instant::now();
        loop {
            for _ in 0..16 {
                if self.posted.load(Ordering::Acquire) > 0
                    && let Some(work) = self.take()
                {
                    return Some(work);
                }
                spin_loop();
            }
            if start.elapsed() >= patience {
                return None;
            }
        }
    }

    /// Takes a seat at the first loop of the board.
    fn take(&self) -> Option<Arc<Loop>> {
        let mut board = self.board();
        let post = board.posts.first_mut()?;
        post.seats -= 1;
        let work = Arc::clone(&post.work);
        if post.seats == 0 {
            self.withdraw(&mut board, &work);
        }
        board.free -= 1;
        let this = ThreadId::current();
        board.resting.retain(|&thread| thread != this);
        Some(work)
    }

    /// Counts this thread among those that have helped and run no loop.
    fn rest(&self, board: &mut Board) {
        let this = ThreadId::current();
        if !board.resting.contains(&this) {
            board.resting.push(this);
        }
    }

    /// Removes a loop that seeks no more helpers.
    fn withdraw(&self, board: &mut Board, work: &Arc<Loop>) {
        board.posts.retain(|post| !Arc::ptr_eq(&post.work, work));
        self.posted.store(board.posts.len(), Ordering::Release);
    }

    /// Takes a free helper out of the count; unless it must go, not while a loop counts on it.
    fn leave(&self, must: bool) -> bool {
        let mut board = self.board();
        let leaves = must || board.posts.is_empty();
        if leaves {
            board.helpers -= 1;
            board.free -= 1;
        }
        leaves
    }

    /// Counts a helper again, unless others watch the board on all processors but the caller's.
    fn come_back(&self) -> bool {
        let mut board = self.board();
        let of_use = board.free + 1 < processors();
        if of_use {
            board.helpers += 1;
            board.free += 1;
        }
        of_use
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

/// Where a thread begins to claim parts. The caller and its helpers work towards each other, so that of arrays that are used
/// again each core finds in its cache what it had there before.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    First,
    Last,
}

/// A loop whose parts are independent, shared by the threads that run them.
pub(super) struct Loop {
    part: Box<dyn Fn(usize) + Send + Sync>,
    parts: usize,
    /// How many parts were claimed, in all and from each end.
    claimed: AtomicUsize,
    claimed_from: [AtomicUsize; 2],
    ended: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    caller: Thread,
    /// Whether the caller sleeps until the last part has ended.
    asleep: AtomicBool,
}

impl Loop {
    /// The loop of `part(i)` for every i below `parts`, to be finished by this thread.
    pub(super) fn new(parts: usize, part: impl Fn(usize) + Send + Sync + 'static) -> Arc<Loop> {
        Arc::new(Loop {
            part: Box::new(part),
            parts,
            claimed: AtomicUsize::new(0),
            claimed_from: [const { AtomicUsize::new(0) }; 2],
            ended: AtomicUsize::new(0),
            panic: Mutex::new(None),
            caller: thread::current(),
            asleep: AtomicBool::new(false),
        })
    }

    /// Runs parts until none is left to claim, from this end of the loop on.
    pub(super) fn run(&self, end: End) {
        while self.step(end) {}
    }

    /// Runs the next part from this end of the loop, if one is left to claim.
    fn step(&self, end: End) -> bool {
        if self.claimed.fetch_add(1, Ordering::Relaxed) >= self.parts {
            return false;
        }
        // There are no more claims from both ends together than parts, so the ends do not cross.
        let nth = self.claimed_from[end as usize].fetch_add(1, Ordering::Relaxed);
        let i = match end {
            End::First => nth,
            End::Last => self.parts - 1 - nth,
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.part)(i))) {
            *self.panic() = Some(panic);
        }
        // In one order with `finish`, which sets `asleep` and then reads `ended`: one of the two sees the other.
        let ended = self.ended.fetch_add(1, Ordering::SeqCst) + 1;
        if ended == self.parts && self.asleep.load(Ordering::SeqCst) {
            self.caller.unpark();
        }
        true
    }

    /// Whether a helper has come.
    fn is_shared(&self) -> bool {
        self.claimed_from[End::Last as usize].load(Ordering::Relaxed) > 0
    }

    /// Waits until the parts that others claimed have ended; called when none is left to claim.
    ///
    /// # Panics
    /// With the panic of a part.
    pub(super) fn finish(&self) {
        let unfinished = || self.ended.load(Ordering::SeqCst) < self.parts;
        let start = Instant::now();
        while unfinished() && start.elapsed() < PATIENCE {
            (0..16).for_each(|_| spin_loop());
        }
        self.asleep.store(true, Ordering::SeqCst);
        while unfinished() {
            thread::park();
        }
        let panic = self.panic().take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn panic(&self) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
        lock(&self.panic)
    }
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop")
            .field("parts", &self.parts)
            .field("claimed", &self.claimed)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// The processors that this process may use.
fn processors() -> usize {
    static COUNT: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| thread::available_parallelism().map_or(1, std::num::NonZero::get));
    *COUNT
}
