//! The order in which groups run, kept while groups are made and merged.
//!
//! In: new groups, "this group makes what those read", and "these two become one". Out: whether that leaves an order; if
//! not, nothing has changed.
//!
//! # Why merging cannot make a circle
//!
//! The groups stand in a list, and every edge (from the group that makes an array to a group that reads it) points forwards
//! in it: that is the invariant, and a list with it is an order of execution. An edge from h to z that would point backwards
//! needs z, and all that is reached from z, moved to behind h. Let F be what is reached from z and stands before h. If h
//! is an edge's end of F, the new edge would close a circle, and is refused. Otherwise F is moved to right behind h, in the
//! order that it had. Edges inside of F still point forwards; an edge into F from outside starts before or at h, since it
//! pointed forwards and its start was not moved; an edge out of F ends behind h, where all that is not in F but was reached
//! from it stood and stands. So every edge points forwards again.
//!
//! Merging a with b, which stands behind it, is the same with all ends of a's edges in place of z, but for the one edge to b
//! that the merge may do away with: if b is reached from them, then b needs an array of a's, or a third group stands between
//! the two, and the merge is refused; otherwise they move to behind b, and a's edges may start at b. Edges to a end at b
//! instead, further on.
//!
//! A new group stands first: it reads nothing that an older group makes, because nodes are visited from the outputs back.
//! The work is that of the groups between the two ends (Pearce and Kelly, "A dynamic topological sort algorithm for directed
//! acyclic graphs", 2006), which are few where neighbours merge.

/// A group while it grows. Groups that have been merged have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DraftId(u32);

impl DraftId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The groups in an order in which they can run.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The list, last one first, with gaps where groups have been merged.
    slots: Vec<Option<DraftId>>,
    /// Per group: its slot.
    slot_of: Vec<usize>,
    /// Per group: those that read what it makes, by any of their ids.
    readers: Vec<Vec<DraftId>>,
    /// Per group: the one it was merged into, or itself.
    merged: Vec<DraftId>,
}

impl Order {
    /// A new group, before all others.
    pub(super) fn push_front(&mut self) -> DraftId {
        let id = DraftId(self.slot_of.len() as u32);
        self.slot_of.push(self.slots.len());
        self.slots.push(Some(id));
        self.readers.push(Vec::new());
        self.merged.push(id);
        id
    }

    /// The group that this one is by now.
    pub(super) fn find(&mut self, id: DraftId) -> DraftId {
        let mut root = id;
        while self.merged[root.index()] != root {
            root = self.merged[root.index()];
        }
        let mut at = id;
        while at != root {
            at = std::mem::replace(&mut self.merged[at.index()], root);
        }
        root
    }

    /// Records that `readers` read what `maker` makes; false where that cannot be.
    pub(super) fn precede(&mut self, maker: DraftId, readers: &[DraftId]) -> bool {
        let maker = self.find(maker);
        let readers: Vec<DraftId> = readers.iter().map(|&r| self.find(r)).collect();
        if readers.contains(&maker) || !self.move_behind(maker, readers.clone()) {
            return false;
        }
        self.readers[maker.index()].extend(readers);
        true
    }

    /// Makes two groups one, which has the id that is returned; `None` where an array or a third group stands between them.
    /// `absorbed`: whether one of the edges from a to b is a reading that is none in the merged group.
    pub(super) fn merge(&mut self, a: DraftId, b: DraftId, absorbed: bool) -> Option<DraftId> {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return Some(a);
        }
        // Later in the order is lower in the slots.
        let (first, last) = if self.slot_of[a.index()] > self.slot_of[b.index()] {
            (a, b)
        } else {
            (b, a)
        };
        let mut moved = std::mem::take(&mut self.readers[first.index()]);
        moved.iter_mut().for_each(|r| *r = self.find(*r));
        let edge = moved.iter().position(|&r| r == last).filter(|_| absorbed);
        let edge = edge.map(|i| moved.swap_remove(i));
        if !self.move_behind(last, moved.clone()) {
            moved.extend(edge);
            self.readers[first.index()] = moved;
            return None;
        }
        self.slots[self.slot_of[first.index()]] = None;
        self.merged[first.index()] = last;
        self.readers[last.index()].extend(moved);
        Some(last)
    }

    /// The groups in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = DraftId> {
        self.slots.iter().rev().flatten().copied()
    }

    /// Moves these groups, and all that is reached from them, to behind `last` where they stand before it; false where
    /// `last` is reached too.
    fn move_behind(&mut self, last: DraftId, starts: Vec<DraftId>) -> bool {
        let end = self.slot_of[last.index()];
        let mut stack = starts;
        let mut reached: Vec<DraftId> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some(id) = stack.pop() {
            if id == last {
                return false;
            }
            if self.slot_of[id.index()] < end || !seen.insert(id) {
                continue;
            }
            reached.push(id);
            let next: Vec<DraftId> = self.readers[id.index()].clone();
            stack.extend(next.into_iter().map(|r| self.find(r)));
        }
        let Some(first) = reached.iter().map(|id| self.slot_of[id.index()]).max() else {
            return true;
        };
        let region = self.slots[end..=first].iter().rev().flatten();
        let (behind, before): (Vec<DraftId>, Vec<DraftId>) = region.partition(|id| seen.contains(id));
        self.slots[end..=first].fill(None);
        for (i, id) in behind.into_iter().rev().chain(before.into_iter().rev()).enumerate() {
            self.slots[end + i] = Some(id);
            self.slot_of[id.index()] = end + i;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups with edges from each to some older ones, then merges: after each, every edge points forwards, and a merge is
    /// refused exactly where a path leads from one of the two to the other.
    #[test]
    fn merges_are_refused_exactly_where_they_would_close_a_circle() {
        let mut state = 1u64;
        let mut random = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let (mut merges, mut refusals) = (0, 0);
        for _ in 0..300 {
            let mut order = Order::default();
            let mut edges: Vec<(DraftId, DraftId)> = Vec::new();
            let mut all: Vec<DraftId> = Vec::new();
            for _ in 0..12 {
                let id = order.push_front();
                let readers: Vec<DraftId> = all.iter().copied().filter(|_| random(4) == 0).collect();
                assert!(order.precede(id, &readers));
                edges.extend(readers.into_iter().map(|r| (id, r)));
                all.push(id);
            }
            for _ in 0..10 {
                let (a, b) = (all[random(12)], all[random(12)]);
                let (a, b) = (order.find(a), order.find(b));
                let now: Vec<_> = edges.iter().map(|&(x, y)| (order.find(x), order.find(y))).collect();
                let between = a != b && (reaches(&now, a, b) || reaches(&now, b, a));
                assert_eq!(order.merge(a, b, false).is_none(), between);
                merges += !between as usize;
                refusals += between as usize;
                let position = |id| order.iter().position(|other| other == id).unwrap();
                let mut later = Order {
                    slots: order.slots.clone(),
                    ..Order::default()
                };
                later.merged = order.merged.clone();
                for &(x, y) in &edges {
                    let (x, y) = (later.find(x), later.find(y));
                    assert!(x == y || position(x) < position(y));
                }
            }
        }
        assert!(merges > 100 && refusals > 100, "{merges} merges, {refusals} refusals");
    }

    fn reaches(edges: &[(DraftId, DraftId)], a: DraftId, b: DraftId) -> bool {
        let mut reached = vec![a];
        let mut i = 0;
        while i < reached.len() {
            let next = edges
                .iter()
                .filter(|e| e.0 == reached[i] && !reached.contains(&e.1))
                .map(|e| e.1);
            let next: Vec<DraftId> = next.collect();
            reached.extend(next);
            i += 1;
        }
        reached.contains(&b)
    }

    #[test]
    fn an_edge_that_closes_a_circle_is_refused() {
        let mut order = Order::default();
        let (c, b, a) = (order.push_front(), order.push_front(), order.push_front());
        assert!(order.precede(a, &[b]) && order.precede(b, &[c]));
        assert!(!order.precede(c, &[a]) && !order.precede(c, &[c]));
        // The edge from a to b may go, the path from a over b to c may not.
        assert!(order.precede(a, &[c]));
        assert_eq!((order.merge(a, c, true), order.merge(a, b, false)), (None, None));
        assert!(order.merge(a, b, true).is_some());
        assert_eq!(order.merge(a, c, true), None, "b's edge is still there");
        assert_eq!(order.iter().count(), 2);
    }
}
