//! Where an array begins in a cache line changes no bits of its reductions.
//!
//! Wide folds turn their lanes so that loads are aligned. 128-bit code does not, and says what the bits are.

use loopweave::ir::Element;
use loopweave::ir::testing::Rng;
use loopweave::jit::{self, Kernel};
use loopweave::target::Target;
use ndarray::{ArrayView1, arr0};

/// Around the least block that is aligned, and more than one block.
const SIZES: [usize; 7] = [511, 512, 1023, 1024, 1025, 4096, 9000];

#[test]
fn sums_of_floats() {
    everywhere::<f32>("sum(x)", "f32", |bits| (bits % 2000) as f32 * 0.37 - 300.0);
    everywhere::<f64>("sum(x)", "f64", |bits| (bits % 2000) as f64 * 0.37 - 300.0);
}

#[test]
fn sums_of_integers_and_mixed_values() {
    everywhere::<i32>("sum(x)", "i64", |bits| bits as i32);
    everywhere::<f32>("argmax(x)", "i64", |bits| (bits % 50) as f32);
    everywhere::<f64>("max(x) - min(x)", "f64", |bits| bits as f64);
}

/// Extrema with NaNs and both zeros, each in any place.
#[test]
fn extrema() {
    fn value(bits: u64) -> f32 {
        match bits % 4096 {
            0 => f32::NAN,
            n if n < 2048 => 0.0,
            _ => -0.0,
        }
    }
    for combine in ["max(x)", "min(x)"] {
        everywhere::<f32>(combine, "f32", value);
        everywhere::<f64>(combine, "f64", |bits| value(bits).into());
    }
}

/// A reduction of arrays that begin at each place of a cache line, by the widest code and by that of 128 bits.
fn everywhere<T: Element + Default>(body: &str, result: &str, value: fn(u64) -> T) {
    let text = format!("kernel k(x: {}[n]) -> {result} {{ {body} }}", T::DTYPE.name());
    let wide = jit::kernel(&text).unwrap().threads(1).unwrap();
    let narrow = wide.target(Target::parse("simd128").unwrap());
    let mut rng = Rng::new(7);
    for n in SIZES {
        let values: Vec<T> = (0..n + 80).map(|_| value(rng.bits())).collect();
        for at in 0..=64 / size_of::<T>() {
            let x = ArrayView1::from(&values[at..at + n]);
            assert_eq!(
                call(&wide, x, result),
                call(&narrow, x, result),
                "{text}: {n} from {at}"
            );
        }
    }
}

/// The bits of the result; one NaN stands for all.
fn call<T: Element>(kernel: &Kernel, x: ArrayView1<'_, T>, result: &str) -> u64 {
    let (mut single, mut double, mut int) = (arr0(0.0f32), arr0(0.0f64), arr0(0i64));
    match result {
        "f32" => kernel.call_into(x, &mut single),
        "f64" => kernel.call_into(x, &mut double),
        _ => kernel.call_into(x, &mut int),
    }
    .unwrap();
    match result {
        "f32" if single[()].is_nan() => u64::MAX,
        "f32" => single[()].to_bits().into(),
        "f64" if double[()].is_nan() => u64::MAX,
        "f64" => double[()].to_bits(),
        _ => int[()] as u64,
    }
}
