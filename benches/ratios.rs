//! Our kernels against plain Rust loops as one table of ratios: what the README quotes.
//!
//! `cargo bench --bench ratios [-- NAME …]` interleaves the sides of every case, many rounds of each, and takes each side's
//! lower quartile: what the machine's other load disturbs least. Times are of whole calls, checks and dispatch included, and of
//! bound calls, which are the kernel alone.

mod rows;

use std::time::{Duration, Instant};

/// How long one case is measured.
const BUDGET: Duration = Duration::from_millis(1_500);
/// A side runs at least this long in each round, so that the clock's own cost vanishes.
const ROUND: Duration = Duration::from_micros(200);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("| row | size | plain GB/s | 1 thread GB/s | 1 thread / plain | bound / plain | 2 threads / 1 thread |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in &rows::ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == row.name) {
            continue;
        }
        for (size, elements) in rows::SIZES {
            let mut case = (row.case)(elements);
            let [plain, one, bound, two] = interleaved(&mut case);
            let rate = |ns: f64| case.bytes as f64 / ns;
            println!(
                "| {} | {size} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} |",
                row.name,
                rate(plain),
                rate(one),
                plain / one,
                plain / bound,
                one / two
            );
        }
    }
}

/// The sides of a case.
const SIDES: [fn(&mut rows::Case, u32); 4] = [
    |case, runs| (0..runs).for_each(|_| case.plain()),
    |case, runs| (0..runs).for_each(|_| case.ours(1)),
    |case, runs| case.bound(runs),
    |case, runs| (0..runs).for_each(|_| case.ours(2)),
];

/// The lower quartiles of the times of the plain loop, of our kernel on one thread as a whole call and as a bound one, and of
/// a whole call on two, in nanoseconds.
fn interleaved(case: &mut rows::Case) -> [f64; SIDES.len()] {
    let repeats = SIDES.map(|run| {
        run(case, 1);
        let start = Instant::now();
        run(case, 1);
        (ROUND.as_nanos() / start.elapsed().as_nanos().max(1)).max(1) as u32
    });
    let mut times = [const { Vec::new() }; SIDES.len()];
    let start = Instant::now();
    while start.elapsed() < BUDGET || times[0].len() < 9 {
        for ((run, runs), times) in SIDES.iter().zip(repeats).zip(&mut times) {
            let start = Instant::now();
            run(case, runs);
            times.push(start.elapsed().as_nanos() as f64 / f64::from(runs));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 4]
    })
}
