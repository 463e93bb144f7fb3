//! What programs and kernels remember from call to call: values that callers on several threads find without waiting.
//!
//! In: a value, made at the first call of its kind. Out: the value again, as long as the cache has it.
//!
//! The first values stay for the life of the cache in a list that only grows: finding one reads the list and writes nothing
//! shared, which is what a warm call can afford. Most callers have so few kinds of calls that all find theirs there. The
//! values of later kinds share places behind a lock, and the one that was not used for the longest time gives way.

use std::iter;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::lock;

/// How many values stay for good.
const KEPT: usize = 8;

/// Values by what a predicate says of them.
#[derive(Debug)]
pub struct Cache<T> {
    first: Slot<T>,
    /// The values of later kinds, the one used last first.
    recent: Mutex<Vec<Arc<T>>>,
    /// How many of those there may be.
    places: usize,
    /// The position of the kept value that was used last; [`KEPT`] where it was a recent one.
    last: AtomicUsize,
}

type Slot<T> = OnceLock<Box<Entry<T>>>;

#[derive(Debug)]
struct Entry<T> {
    value: T,
    next: Slot<T>,
}

/// A value of a cache, which stays whole while it is used.
#[derive(Debug)]
pub enum Found<'a, T> {
    /// One that stays in the cache.
    Kept(&'a T),
    /// One that may leave it meanwhile.
    Recent(Arc<T>),
}

impl<T> Deref for Found<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Found::Kept(value) => value,
            Found::Recent(value) => value,
        }
    }
}

impl<T> Cache<T> {
    /// An empty cache, with this many places for values that come after the first eight.
    pub fn new(places: usize) -> Cache<T> {
        Cache {
            first: Slot::new(),
            recent: Mutex::default(),
            places,
            last: AtomicUsize::new(0),
        }
    }

    /// A value that fits.
    #[inline]
    pub fn find(&self, fits: impl Fn(&T) -> bool) -> Option<Found<'_, T>> {
        match self.kept().enumerate().find(|(_, value)| fits(value)) {
            Some((position, value)) => {
                self.note(position);
                Some(Found::Kept(value))
            }
            None => self.find_recent(fits),
        }
    }

    /// Takes a value in. Of two that two threads made at once for one kind of call, both are kept, and the first is found.
    pub fn insert(&self, value: T) -> Found<'_, T> {
        let mut entry = Box::new(Entry {
            value,
            next: Slot::new(),
        });
        let mut slot = &self.first;
        for position in 0..KEPT {
            let refused = slot.set(entry).err();
            let held = slot.get().expect("the slot is set now");
            let Some(refused) = refused else {
                self.note(position);
                return Found::Kept(&held.value);
            };
            entry = refused;
            slot = &held.next;
        }
        let value = Arc::new(entry.value);
        let mut recent = self.lock();
        recent.insert(0, Arc::clone(&value));
        recent.truncate(self.places);
        self.note(KEPT);
        Found::Recent(value)
    }

    /// The value that was found or taken in last.
    pub fn last(&self) -> Option<Found<'_, T>> {
        match self.kept().nth(self.last.load(Ordering::Relaxed)) {
            Some(value) => Some(Found::Kept(value)),
            None => self.lock().first().map(|value| Found::Recent(Arc::clone(value))),
        }
    }

    fn find_recent(&self, fits: impl Fn(&T) -> bool) -> Option<Found<'_, T>> {
        let mut recent = self.lock();
        let position = recent.iter().position(|value| fits(value))?;
        recent[..=position].rotate_right(1);
        self.note(KEPT);
        Some(Found::Recent(Arc::clone(&recent[0])))
    }

    #[inline]
    fn kept(&self) -> impl Iterator<Item = &T> {
        iter::successors(self.first.get(), |entry| entry.next.get()).map(|entry| &entry.value)
    }

    /// Writes only what changes, so that threads with one kind of call leave each other's caches alone.
    #[inline]
    fn note(&self, position: usize) {
        if self.last.load(Ordering::Relaxed) != position {
            self.last.store(position, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<T>>> {
        lock(&self.recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_stay_and_later_ones_share_places() {
        let cache = Cache::new(2);
        assert!(cache.last().is_none());
        for i in 0..KEPT + 3 {
            assert!(cache.find(|&v| v == i).is_none());
            assert_eq!(*cache.insert(i), i);
            assert_eq!(cache.last().as_deref(), Some(&i));
        }
        for i in (0..KEPT).rev() {
            assert!(matches!(cache.find(|&v| v == i), Some(Found::Kept(&v)) if v == i));
            assert_eq!(cache.last().as_deref(), Some(&i));
        }
        assert!(cache.find(|&v| v == KEPT).is_none(), "the oldest gave way");
        // Use makes a value young again.
        assert!(cache.find(|&v| v == KEPT + 1).is_some());
        assert_eq!(cache.last().as_deref(), Some(&(KEPT + 1)));
        cache.insert(99);
        assert!(cache.find(|&v| v == KEPT + 1).is_some());
        assert!(cache.find(|&v| v == KEPT + 2).is_none());
    }
}
