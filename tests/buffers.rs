//! Memory between the kernels of a program is kept from call to call.

#![cfg(target_os = "linux")]

use std::fs;

use loopweave::jit;
use ndarray::Array2;

/// The pages that the system made ready for this thread.
fn page_faults() -> usize {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// What one kernel leaves for the next stands in memory that later calls use again: 4 MiB of it, which would be a thousand pages
/// for each call, or two large ones.
#[test]
fn intermediate_arrays_are_used_again() {
    let text = "kernel k(x: f32[n, m], w: f32[m, m]) { (x @ w) @ w }";
    let kernel = jit::kernel(text).unwrap().threads(1).unwrap();
    let (x, w) = (Array2::<f32>::zeros((2048, 512)), Array2::<f32>::zeros((512, 512)));
    let mut out = x.clone();
    let mut call = || kernel.call_into((&x, &w), &mut out).unwrap();
    call();
    let before = page_faults();
    (0..50).for_each(|_| call());
    let faults = page_faults() - before;
    assert!(faults < 30, "{faults} pages in 50 calls");
    let report = kernel.report();
    assert!(report.memory.unwrap().intermediate_bytes >= 4 << 20, "{report}");
}
