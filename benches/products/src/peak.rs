//! The rate of multiply-adds between registers.

/// Bytes that multiply-adds in vectors of up to `width` bytes take a nanosecond on one core: the best of a few tries of some
/// microseconds each, as a core that waited for memory takes a while to run at its full width.
pub(crate) fn bytes_per_ns(width: usize) -> f64 {
    (0..8).map(|_| one_try(width)).fold(f64::NAN, f64::max)
}

#[cfg(target_arch = "x86_64")]
fn one_try(width: usize) -> f64 {
    use std::is_x86_feature_detected as has;
    if width >= 64 && has!("avx512f") {
        // SAFETY: the processor has the instructions.
        64.0 * unsafe { x86::zmm() }
    } else if width >= 32 && has!("avx2") && has!("fma") {
        // SAFETY: as above.
        32.0 * unsafe { x86::ymm() }
    } else if has!("fma") {
        // SAFETY: as above.
        16.0 * unsafe { x86::xmm() }
    } else {
        f64::NAN
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn one_try(_width: usize) -> f64 {
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
    chains!(xmm, "fma", _mm_set1_ps, _mm_fmadd_ps);
}
