//! Throughput of whole calls, each beside the plain Rust loop of the same thing, with statistics.
//!
//! `cargo bench --bench kernels` measures every row of [`rows`] at every size: the loop, and our kernel as a bound call on one
//! thread, and as a whole call on one and on two. For ratios that stand on a noisy machine use `ratios`, which interleaves the sides.

mod rows;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .nresamples(2_000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .without_plots()
        .configure_from_args();
    for row in &rows::ROWS {
        let mut group = criterion.benchmark_group(row.name);
        for (size, elements) in rows::SIZES {
            let mut case = (row.case)(elements);
            group.throughput(Throughput::Bytes(case.bytes as u64));
            group.bench_function(format!("{size}/plain"), |b| b.iter(|| case.plain()));
            group.bench_function(format!("{size}/loopweave-bound"), |b| {
                b.iter_custom(|runs| {
                    let start = Instant::now();
                    case.bound(runs.try_into().unwrap_or(u32::MAX));
                    start.elapsed()
                });
            });
            for threads in [1, 2] {
                let name = format!("{size}/loopweave-{threads}");
                group.bench_function(name, |b| b.iter(|| case.ours(threads)));
            }
        }
        group.finish();
    }
    criterion.final_summary();
}
