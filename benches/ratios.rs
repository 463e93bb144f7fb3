//! Our kernels against plain Rust loops as one table of ratios: what the README quotes.
//!
//! `cargo bench --bench ratios [-- NAME …]` interleaves the sides of every case, many rounds of each, and takes each side's
//! lower quartile: what the machine's other load disturbs least. Times are of whole calls, checks and dispatch included.

mod rows;

use std::time::{Duration, Instant};

/// How long one case is measured.
const BUDGET: Duration = Duration::from_millis(1_500);
/// A side runs at least this long in each round, so that the clock's own cost vanishes.
const ROUND: Duration = Duration::from_micros(200);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("| row | size | plain GB/s | 1 thread GB/s | 1 thread / plain | 2 threads / 1 thread |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in &rows::ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == row.name) {
            continue;
        }
        for &(size, elements) in rows::sizes(row) {
            let mut case = (row.case)(elements);
            let [plain, one, two] = interleaved(&mut case);
            let rate = |ns: f64| case.bytes as f64 / ns;
            println!(
                "| {} | {size} | {:.1} | {:.1} | {:.2} | {:.2} |",
                row.name,
                rate(plain),
                rate(one),
                plain / one,
                one / two
            );
        }
    }
}

/// The lower quartiles of the times of the plain loop and of our kernel on one and two threads, in nanoseconds.
fn interleaved(case: &mut rows::Case) -> [f64; 3] {
    let run = |case: &mut rows::Case, side: usize| match side {
        0 => case.plain(),
        threads => case.ours(threads),
    };
    let repeats: [u32; 3] = std::array::from_fn(|side| {
        run(case, side);
        let start = Instant::now();
        run(case, side);
        (ROUND.as_nanos() / start.elapsed().as_nanos().max(1)).max(1) as u32
    });
    let mut times = [const { Vec::new() }; 3];
    let start = Instant::now();
    while start.elapsed() < BUDGET || times[0].len() < 9 {
        for (side, times) in times.iter_mut().enumerate() {
            let start = Instant::now();
            for _ in 0..repeats[side] {
                run(case, side);
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(repeats[side]));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 4]
    })
}
