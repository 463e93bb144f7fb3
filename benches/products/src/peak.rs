//! The rate of multiply-adds between registers, in the widest vectors that the processor has.

/// Bytes of the vectors that are counted.
pub(crate) const BYTES: usize = 64;

/// Multiply-adds of 64 bytes a nanosecond on one core: the best of a few tries of some microseconds each, as a core that
/// waited for memory takes a while to run at its full width.
pub(crate) fn vectors_per_ns() -> f64 {
    (0..8).map(|_| one_try()).fold(f64::NAN, f64::max)
}

#[cfg(target_arch = "x86_64")]
fn one_try() -> f64 {
    use std::is_x86_feature_detected as has;
    if has!("avx512f") {
        // SAFETY: the processor has the instructions.
        unsafe { x86::zmm() }
    } else if has!("avx2") && has!("fma") {
        // SAFETY: as above.
        unsafe { x86::ymm() / 2.0 }
    } else {
        f64::NAN
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn one_try() -> f64 {
    f64::NAN
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;
    use std::time::Instant;

    const ROUNDS: usize = 1000;
    /// Independent chains: more than the latency of two units takes.
    const CHAINS: usize = 12;

    macro_rules! chains {
        ($name:ident, $features:literal, $set:path, $fma:path) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name() -> f64 {
                let (a, b) = ($set(black_box(0.5)), $set(black_box(0.25)));
                let mut sums = [$set(black_box(1.0)); CHAINS];
                let start = Instant::now();
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        *sum = $fma(*sum, a, b);
                    }
                }
                black_box(sums);
                (ROUNDS * CHAINS) as f64 / start.elapsed().as_nanos() as f64
            }
        };
    }
    chains!(zmm, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
    chains!(ymm, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
}
