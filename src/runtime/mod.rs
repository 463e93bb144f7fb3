//! Running kernels: views of arrays in, checks, parallel launch, arrays out.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod arena;
pub mod args;
pub mod array;
pub mod cache;
mod display;
pub mod launch;
pub mod lend;
pub mod parallel;
mod processor;
mod team;
pub mod view;

/// A lock whose holder panicked is still whole: every critical section in this crate leaves its data consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
