//! The limits of the machine, in the widest vectors it has: multiplications and additions a second, and bytes a second read
//! and written by a triad (`c = a + k b`) in each level of memory, with and without non-temporal stores.
//!
//! Out: a JSON object of rates in Gflop/s and GB/s, each the best of several times; empty where there are no such vectors.

use serde_json::Value;

#[cfg(not(all(target_arch = "x86_64", target_feature = "fma")))]
pub(crate) fn measure(_threads: usize) -> Value {
    serde_json::json!({})
}

#[cfg(all(target_arch = "x86_64", target_feature = "fma"))]
pub(crate) fn measure(threads: usize) -> Value {
    x86::measure(threads)
}

#[cfg(all(target_arch = "x86_64", target_feature = "fma"))]
mod x86 {
    use std::hint::black_box;
    use std::sync::Barrier;
    use std::time::Instant;

    use serde_json::{Map, Value, json};

    use super::wide::{self, LANES};
    use crate::protocol::{Array, Memory};

    /// Where a triad's arrays lie, and how many bytes each has: what leaves room in the caches of common processors.
    const LEVELS: [(&str, usize); 4] = [
        ("L1", 8 << 10),
        ("L2", 128 << 10),
        ("L3", 2 << 20),
        ("memory", 128 << 20),
    ];

    const TRIES: usize = 7;
    /// Iterations of a loop of dependent multiplications and additions, and how many such chains there are: more than the
    /// latency of two units takes.
    const ROUNDS: usize = 500_000;
    const CHAINS: usize = 12;
    /// Where the arrays of a triad begin: so that no load waits for a store that is but 4 KiB away.
    const OFFSETS: [usize; 3] = [0, 5, 11];
    /// What a triad reads and writes in one try.
    const BYTES: usize = 256 << 20;

    /// A loop of independent chains of multiplications and additions.
    macro_rules! chains {
        ($set:path, $fma:path) => {
            // SAFETY: this module is compiled only for processors with these instructions.
            || unsafe {
                let (a, b) = ($set(black_box(0.5)), $set(black_box(0.25)));
                let mut sums = [$set(black_box(1.0)); CHAINS];
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        *sum = $fma(*sum, a, b);
                    }
                }
                black_box(sums);
            }
        };
    }
    pub(crate) fn measure(threads: usize) -> Value {
        let flops = |lanes: usize| (2 * threads * ROUNDS * CHAINS * lanes) as f64;
        let mut rates = Map::new();
        let mut found = |name: String, rate: f64| rates.insert(name, json!((rate * 10.0).round() / 10.0));
        found(
            "fma f32".into(),
            flops(LANES) / least(threads, || chains!(wide::set, wide::fma)),
        );
        found(
            "fma f64".into(),
            flops(LANES / 2) / least(threads, || chains!(wide::set_f64, wide::fma_f64)),
        );
        for (level, bytes) in LEVELS {
            found(format!("triad {level}"), triads(threads, bytes, triad::<false>));
        }
        found(
            "triad memory, non-temporal".into(),
            triads(threads, LEVELS[3].1, triad::<true>),
        );
        Value::Object(rates)
    }

    /// The least time in nanoseconds in which all threads finish what they prepared together.
    fn least<R: FnMut()>(threads: usize, prepare: impl Fn() -> R + Sync) -> f64 {
        let (begin, end) = (Barrier::new(threads), Barrier::new(threads));
        let work = || {
            let mut run = prepare();
            let mut best = f64::INFINITY;
            for _ in 0..TRIES {
                begin.wait();
                let start = Instant::now();
                run();
                end.wait();
                best = best.min(start.elapsed().as_nanos() as f64);
            }
            best
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mine = work();
            let others = others.into_iter().map(|other| other.join().expect("no thread panics"));
            others.fold(mine, f64::max)
        })
    }

    /// Bytes a nanosecond of a triad over three arrays of so many bytes for each thread.
    fn triads(threads: usize, bytes: usize, triad: fn(&[f32], &[f32], &mut [f32])) -> f64 {
        let repeats = (BYTES / (3 * bytes)).max(1);
        let prepare = || {
            let array = || Array {
                path: Default::default(),
                dtype: "f32".into(),
                shape: vec![bytes / 4],
            };
            let mut arrays = OFFSETS.map(|at| Memory::new(at, &array()).expect("memory for a triad"));
            arrays
                .iter_mut()
                .for_each(|array| array.elements_mut::<f32>().fill(1.0));
            move || {
                let [a, b, c] = &mut arrays;
                for _ in 0..repeats {
                    triad(a.elements(), b.elements(), c.elements_mut());
                    black_box(c.bytes().as_ptr());
                }
            }
        };
        (3 * bytes * repeats * threads) as f64 / least(threads, prepare)
    }

    /// The arrays begin at cache lines, as [`Memory`] does, and are whole numbers of them.
    fn triad<const NON_TEMPORAL: bool>(a: &[f32], b: &[f32], c: &mut [f32]) {
        const LINES: usize = 4 * LANES;
        let parts = a
            .chunks_exact(LINES)
            .zip(b.chunks_exact(LINES))
            .zip(c.chunks_exact_mut(LINES));
        // SAFETY: every address is within its chunk, and aligned.
        unsafe {
            let k = wide::set(black_box(3.0));
            for ((a, b), c) in parts {
                for i in (0..LINES).step_by(LANES) {
                    let value = wide::fma(k, wide::load(b.as_ptr().add(i)), wide::load(a.as_ptr().add(i)));
                    if NON_TEMPORAL {
                        wide::stream(c.as_mut_ptr().add(i), value);
                    } else {
                        wide::store(c.as_mut_ptr().add(i), value);
                    }
                }
            }
            std::arch::x86_64::_mm_sfence();
        }
    }
}

#[cfg(target_feature = "avx512f")]
mod wide {
    pub(crate) use std::arch::x86_64::{
        _mm512_fmadd_pd as fma_f64, _mm512_fmadd_ps as fma, _mm512_load_ps as load, _mm512_set1_pd as set_f64,
        _mm512_set1_ps as set, _mm512_store_ps as store, _mm512_stream_ps as stream,
    };
    pub(crate) const LANES: usize = 16;
}

#[cfg(all(target_feature = "fma", not(target_feature = "avx512f")))]
mod wide {
    pub(crate) use std::arch::x86_64::{
        _mm256_fmadd_pd as fma_f64, _mm256_fmadd_ps as fma, _mm256_load_ps as load, _mm256_set1_pd as set_f64,
        _mm256_set1_ps as set, _mm256_store_ps as store, _mm256_stream_ps as stream,
    };
    pub(crate) const LANES: usize = 8;
}
