//! Groups that become one: siblings, and a reduction with what reads its result.
//!
//! In: two groups of the planner. Out: the one that they are now, or the reason why they stay two.

use super::super::order::DraftId;
use super::super::{Reason, cost};
use super::loops::Loops;
use super::{Place, Planner, Unit};
use crate::graph::NodeId;

impl Planner<'_> {
    /// Merges a reduction's group with one that reads its result at the result's index.
    pub(super) fn take_in(&mut self, reduction: DraftId, reader: DraftId) -> Result<DraftId, Reason> {
        let [reduction, reader] = [reduction, reader].map(|id| self.order.find(id));
        if reduction == reader {
            return Ok(reader);
        }
        let (a, b) = (&self.drafts[reduction.index()], &self.drafts[reader.index()]);
        let (loops, siblings) = match (&a.loops, &b.loops) {
            (Some(a), Some(b)) => (Some(a.with(b)?), a.reductions.last().zip(b.reductions.last())),
            (loops, None) | (None, loops) => (loops.clone(), None),
        };
        let siblings = siblings.map(|(&first, &second)| (first, second));
        let merged = self.merge(reduction, reader, loops, true)?;
        if let Some((first, second)) = siblings {
            self.records.siblings(first, second, Ok(()));
        }
        Ok(merged)
    }

    /// Merges the groups that read this array at the same index of the same loops.
    pub(super) fn merge_siblings(&mut self, id: NodeId) {
        /// How many groups are tried for each: those that cannot be merged stay apart from most others too.
        const TRIED: usize = 4;
        let mut leaders: Vec<Unit> = Vec::new();
        for mut unit in self.units(id) {
            unit.place.draft = self.order.find(unit.place.draft);
            if unit.repeats {
                continue;
            }
            let mut joined = false;
            let first = leaders.len().saturating_sub(TRIED);
            for leader in &mut leaders[first..] {
                leader.place.draft = self.order.find(leader.place.draft);
                let alike = leader.place.before == unit.place.before && leader.place.frame == unit.place.frame;
                if !alike || leader.place.draft == unit.place.draft {
                    continue;
                }
                let names = (self.sibling(leader), self.sibling(&unit));
                match self.merge_sibling(leader.place, unit.place) {
                    Ok(merged) => {
                        self.records.siblings(names.0, names.1, Ok(()));
                        leader.place.draft = merged;
                        joined = true;
                        break;
                    }
                    Err(Some(reason)) if unit.place.before => self.records.siblings(names.0, names.1, Err(reason)),
                    Err(_) => {}
                }
            }
            if !joined {
                leaders.push(unit);
            }
        }
    }

    /// The node that stands for a group among siblings.
    fn sibling(&self, unit: &Unit) -> NodeId {
        let draft = &self.drafts[unit.place.draft.index()];
        let loops = draft.loops.as_ref().and_then(|l| l.reductions.last());
        loops.or(draft.roots.first()).copied().unwrap_or(unit.consumers[0])
    }

    /// Merges two groups that want the same elements; refused without a reason where they are no siblings.
    fn merge_sibling(&mut self, a: Place, b: Place) -> Result<DraftId, Option<Reason>> {
        let (first, second) = (&self.drafts[a.draft.index()], &self.drafts[b.draft.index()]);
        let loops = match (&first.loops, &second.loops) {
            (None, None) if first.shape == second.shape => None,
            (Some(x), Some(y)) if a.before && x.domain == y.domain && x.axes == y.axes => {
                Some(x.with(y).map_err(Some)?)
            }
            _ => return Err(None),
        };
        self.merge(a.draft, b.draft, loops, false)
            .map_err(|reason| match reason {
                // One reads what the other makes, which an edge between the two says already.
                Reason::DependsThroughAnother => None,
                reason => Some(reason),
            })
    }

    fn merge(&mut self, a: DraftId, b: DraftId, loops: Option<Loops>, absorbed: bool) -> Result<DraftId, Reason> {
        if self.reads_what_computes(a, b) || self.reads_what_computes(b, a) {
            return Err(Reason::DependsThroughAnother);
        }
        let [first, second] = [a, b].map(|id| &self.drafts[id.index()]);
        if first.nodes + second.nodes > cost::MAX_NODES || first.roots.len() + second.roots.len() > cost::MAX_STORES {
            return Err(Reason::KernelTooLarge);
        }
        let merged = self.order.merge(a, b, absorbed).ok_or(Reason::DependsThroughAnother)?;
        let other = if merged == a { b } else { a };
        let gone = &mut self.drafts[other.index()];
        let (roots, reads, nodes) = (
            std::mem::take(&mut gone.roots),
            std::mem::take(&mut gone.reads),
            gone.nodes,
        );
        let draft = &mut self.drafts[merged.index()];
        draft.roots.extend(roots);
        draft.reads.extend(reads);
        draft.nodes += nodes;
        draft.loops = loops;
        Ok(merged)
    }

    /// Whether a group reads an array whose elements the other computes for itself: together they would compute all of them,
    /// and that was refused.
    fn reads_what_computes(&mut self, reader: DraftId, other: DraftId) -> bool {
        let reads = &self.drafts[reader.index()].reads;
        let places = reads.iter().flat_map(|id| &self.places[id.index()]);
        places.into_iter().any(|place| self.order.find(place.draft) == other)
    }
}
