//! Which processors threads run on.
//!
//! A system that wakes a thread while the other processors are busy for a moment may let it queue behind the thread that woke
//! it, and find it a free one only milliseconds later. Where the system can be asked (Linux), [`make_way`] asks at once.

#[cfg(target_os = "linux")]
pub(super) use linux::{ThreadId, make_way};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{ThreadId, make_way};

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Mutex;

    use rustix::thread::{Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    use crate::runtime::lock;

    /// A thread of this process.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct ThreadId(pub(super) Pid);

    impl ThreadId {
        pub(in super::super) fn current() -> ThreadId {
            thread_local!(static CURRENT: ThreadId = ThreadId(gettid()));
            CURRENT.with(|&id| id)
        }
    }

    /// Moves a thread that waits for this one's processor to another that it may use; any other thread stays where it is.
    pub(in super::super) fn make_way(ThreadId(thread): ThreadId) {
        /// Two at once could each take for the thread's own what the other narrowed.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = lock(&ONE_AT_A_TIME);
        let Ok(may) = sched_getaffinity(Some(thread)) else {
            return;
        };
        let mut elsewhere = may;
        elsewhere.unset(sched_getcpu());
        // Without another processor this is refused, and nothing has changed.
        let _: Result<(), _> =
            sched_setaffinity(Some(thread), &elsewhere).and_then(|()| sched_setaffinity(Some(thread), &may));
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// A thread of this process; they are not told apart, as nothing can be asked for one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct ThreadId;

    impl ThreadId {
        pub(in super::super) fn current() -> ThreadId {
            ThreadId
        }
    }

    pub(in super::super) fn make_way(_: ThreadId) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    use super::{ThreadId, make_way};

    /// A thread that shares a processor with the caller runs on another at once, and may run where it might before.
    #[test]
    fn a_thread_behind_the_caller_moves() {
        let may = sched_getaffinity(None).expect("an affinity");
        if may.count() < 2 {
            return;
        }
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        let (turns, seen, end) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        sched_setaffinity(None, &here).expect("a processor of its own");
        thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let (turns, seen, end) = (&turns, &seen, &end);
            // It begins where it was made, and stays there though it may go.
            scope.spawn(move || {
                sched_setaffinity(None, &may).expect("the affinity from before");
                sender.send(ThreadId::current()).expect("a receiver");
                while !end.load(Ordering::Relaxed) {
                    seen.store(sched_getcpu(), Ordering::Relaxed);
                    turns.fetch_add(1, Ordering::Release);
                }
            });
            let other = receiver.recv().expect("a thread");
            while turns.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            // Beside other programs the system may move it back before it is seen.
            let moves = (0..20).any(|_| {
                make_way(other);
                let before = turns.load(Ordering::Acquire);
                while turns.load(Ordering::Acquire) < before + 2 {}
                !here.is_set(seen.load(Ordering::Relaxed))
            });
            end.store(true, Ordering::Relaxed);
            assert!(moves, "both run on one processor");
            let ThreadId(id) = other;
            assert!(sched_getaffinity(Some(id)).is_ok_and(|now| now == may));
        });
    }
}
