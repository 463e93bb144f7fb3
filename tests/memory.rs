//! Compiled code is given back: cycles of compiling, calling and dropping leave the resident memory where it was.

#![cfg(target_os = "linux")]

use std::fs;

use loopweave::jit;
use ndarray::Array1;

/// The pages of memory this process holds.
fn resident_pages() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

fn cycle(i: usize) {
    let x = Array1::from_elem(100, 1.5f32);
    let kernel = jit::map(|x| (x * (i as f64 + 0.5)).sqrt() - 1.0).unwrap();
    let y: Array1<f32> = kernel.call(&x).unwrap();
    assert_eq!(y[99], (1.5 * (i as f32 + 0.5)).sqrt() - 1.0);
    let sum: f32 = jit::sum().of(|x| x * (i as f64)).call(&x).unwrap();
    assert_eq!(sum, 150.0 * i as f32);
}

/// Runs `warm` cycles, then `cycles` more, which may grow the memory by at most `pages`.
fn stays_flat(warm: usize, cycles: usize, pages: usize) {
    (0..warm).for_each(cycle);
    let before = resident_pages();
    (0..cycles).for_each(cycle);
    let after = resident_pages();
    assert!(
        after <= before + pages,
        "{before} pages before {cycles} cycles, {after} after"
    );
}

/// Each cycle makes two kernels of at least one page of code each, so 300 that leaked would show as 600 pages.
#[test]
fn three_hundred_cycles() {
    stays_flat(100, 300, 256);
}

#[test]
#[ignore = "takes a minute without optimisation: cargo test --release --test memory -- --ignored"]
fn ten_thousand_cycles() {
    stays_flat(500, 10_000, 512);
}
