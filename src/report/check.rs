//! Assertions on reports, for tests: a fusion, a parallel loop or a vector that was lost fails a test.
//!
//! In: a [`Report`] and what a test expects of it. Out: the report again, so that assertions chain, or a panic whose message
//! has the whole report.

use super::{Group, Loop, Report};

/// Assertions, for tests. A loop goes by the name of an axis in it: `n` is found in `n` and in the merged `n·m`.
impl Report {
    /// Asserts the number of kernels.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[track_caller]
    pub fn assert_groups(&self, count: usize) -> &Report {
        self.check(self.groups.len() == count, || {
            let noun = if count == 1 { "group" } else { "groups" };
            format!("expected {count} {noun}, found {}", self.groups.len())
        })
    }

    /// Asserts that a loop over the axis is shared among threads.
    ///
    /// # Panics
    /// If none is.
    #[track_caller]
    pub fn assert_parallel(&self, axis: &str) -> &Report {
        self.check(self.any_loop(axis, |l| l.parallel.is_some()), || {
            format!("expected a parallel loop over `{axis}`")
        })
    }

    /// Asserts that every kernel runs on the calling thread alone.
    ///
    /// # Panics
    /// If a loop is parallel, or nothing has been scheduled.
    #[track_caller]
    pub fn assert_serial(&self) -> &Report {
        let serial = |group: &Group| group.schedule.as_ref().is_some_and(|s| s.serial.is_some());
        self.check(!self.groups.is_empty() && self.groups.iter().all(serial), || {
            String::from("expected every kernel on the calling thread")
        })
    }

    /// Asserts that a loop over the axis is vectorised.
    ///
    /// # Panics
    /// If none is.
    #[track_caller]
    pub fn assert_vectorised(&self, axis: &str) -> &Report {
        self.check(self.any_loop(axis, |l| l.vector.is_some()), || {
            format!("expected a vectorised loop over `{axis}`")
        })
    }

    /// Asserts that one kernel computes all these ops.
    ///
    /// # Panics
    /// If none does.
    #[track_caller]
    pub fn assert_fused<S: AsRef<str>>(&self, ops: impl IntoIterator<Item = S>) -> &Report {
        let ops: Vec<S> = ops.into_iter().collect();
        let computes = |group: &Group, op: &S| group.members.iter().any(|m| m == op.as_ref());
        let fused = self.groups.iter().any(|group| ops.iter().all(|op| computes(group, op)));
        self.check(fused, || {
            let ops: Vec<&str> = ops.iter().map(S::as_ref).collect();
            format!("expected {} in one group", ops.join(", "))
        })
    }

    fn any_loop(&self, axis: &str, holds: impl Fn(&Loop) -> bool) -> bool {
        let schedules = self.groups.iter().filter_map(|g| g.schedule.as_ref());
        let mut loops = schedules.flat_map(|s| &s.loops);
        loops.any(|l| l.name.split('·').any(|name| name == axis) && holds(l))
    }

    #[track_caller]
    fn check(&self, holds: bool, expected: impl FnOnce() -> String) -> &Report {
        assert!(holds, "{}\n\n{}", expected(), self.text(4));
        self
    }
}
