//! The cost model's estimates beside what is measured, for kernels whose arrays are in the first-level cache.
//!
//! `cargo bench --bench bounds` takes each kernel's times for two lengths: their difference has no part of what a call costs by
//! itself. A chain of multiplications right after a kernel tells how long a cycle took then, since processors with wide vectors
//! in use may run slower. `cargo bench --bench bounds -- simd128` is for another target.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopweave::ir::Element;
use loopweave::jit::{self, Kernel};
use loopweave::report::Estimate;
use loopweave::target::Target;

/// Bytes of each array: all three of a kernel are in a cache of 48 KiB.
const LENGTHS: [usize; 2] = [4 << 10, 12 << 10];
/// How often a kernel is timed, of which the least time is taken.
const ROUNDS: usize = 300;
/// Runs that are timed together.
const RUNS: u32 = 100;

/// A polynomial of degree 8 by Horner's rule.
const POLY8: &str =
    "(((((((0.125 * x - 0.25) * x + 0.5) * x - 0.75) * x + 1.0) * x - 1.25) * x + 1.5) * x - 1.75) * x + 2.0";

fn main() {
    let target = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let target = Target::parse(target.as_deref().unwrap_or("native")).expect("a target's name");
    println!("| kernel | dtype | vectors | estimate | by | measured | measured / estimate |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let text = |text: &str| jit::func(text).expect("a function");
    let dot = jit::sum().of_zip(|x, y| x * y);
    for (name, kernel) in [
        ("x + y", text("x + y")),
        ("2.5 * x + y", text("2.5 * x + y")),
        ("dot", (*dot).clone()),
    ] {
        case::<f32, 2>(name, &kernel, &target);
        case::<f64, 2>(name, &kernel, &target);
    }
    for (name, kernel) in [
        ("poly8", text(POLY8)),
        ("maximum(x, 0)", text("maximum(x, 0)")),
        ("1 / x", text("1 / x")),
        ("sqrt", text("sqrt(x)")),
        ("exp", text("exp(x)")),
        ("ln", text("ln(x)")),
        ("sin", text("sin(x)")),
        ("tanh", text("tanh(x)")),
        ("sigmoid", text("sigmoid(x)")),
        ("erf", text("erf(x)")),
        ("sum", (*jit::sum()).clone()),
        ("max", (*jit::max()).clone()),
    ] {
        case::<f32, 1>(name, &kernel, &target);
        case::<f64, 1>(name, &kernel, &target);
    }
}

fn case<T: Element + From<f32>, const N: usize>(name: &str, kernel: &Kernel, target: &Target) {
    let kernel = kernel.threads(1).expect("a thread").target(target.clone());
    let is_reduction = matches!(name, "sum" | "max" | "dot");
    let mut cycle = f64::MAX;
    let times = LENGTHS.map(|bytes| {
        let n = bytes / size_of::<T>();
        let line = 64 / size_of::<T>();
        // Each array lies some lines less far within its page than the one before: no load finds the place of a store before it.
        let step = n.next_multiple_of(64 * line) + 59 * line;
        let values = |i: usize| T::from(0.25 + (i % 97) as f32 / 400.0);
        let mut memory: Vec<T> = (0..(N + 1) * step + line).map(values).collect();
        let start = memory.as_ptr().align_offset(64);
        let (inputs, out) = memory[start..].split_at_mut(N * step);
        let inputs: [&[T]; N] = std::array::from_fn(|i| &inputs[i * step..][..n]);
        let mut one = ndarray::arr0(T::from(0.0));
        let fits = "arrays of one length";
        let mut bound = match is_reduction {
            true => kernel.bind(inputs, &mut one).expect(fits),
            false => kernel.bind(inputs, &mut out[..n]).expect(fits),
        };
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            (0..RUNS).for_each(|_| bound.run());
            least = least.min(start.elapsed());
            cycle = cycle.min(self::cycle());
        }
        least.as_secs_f64() * 1e9 / f64::from(RUNS)
    });
    let elements = (LENGTHS[1] - LENGTHS[0]) / size_of::<T>();
    let measured = (times[1] - times[0]) / elements as f64 / cycle;
    let report = kernel.report();
    let schedule = report.groups[0].schedule.as_ref().expect("a call");
    let l = schedule.vector_loops[0];
    let vectors = format!("{} x {}", l.vector.lanes, l.vector.unroll);
    let dtype = T::DTYPE;
    match l.estimate {
        Some(Estimate { cycles, by, .. }) => println!(
            "| {name} | {dtype} | {vectors} | {cycles:.3} | {by:?} | {measured:.3} | {:.2} |",
            measured / cycles
        ),
        None => println!("| {name} | {dtype} | {vectors} | | | {measured:.3} | |"),
    }
}

/// Nanoseconds of a cycle: a multiplication of integers takes three, and a rotation one.
fn cycle() -> f64 {
    const STEPS: u32 = 5_000;
    let mut x = black_box(3u64);
    let start = Instant::now();
    for _ in 0..STEPS {
        x = x.wrapping_mul(x).rotate_left(7);
    }
    black_box(x);
    start.elapsed().as_secs_f64() * 1e9 / f64::from(4 * STEPS)
}
