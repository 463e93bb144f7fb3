//! Matrix products beside `ndarray`'s, as one table: what the README quotes.
//!
//! `cargo bench --bench matmul` interleaves the sides of every case and takes each side's lower quartile. Figures are
//! billions of operations a second, a multiplication and an addition each being one; the last columns are what an epilogue
//! adds to the time of the bare product, and what the same adds as a kernel of its own.
//!
//! A second table has the same epilogue in nanoseconds for each element of the result: in the product, as a kernel that
//! computes as many elements in the first-level cache, which is what its operations cost, and as a kernel over the stored
//! product.

use std::time::{Duration, Instant};

use loopweave::ir::Element;
use loopweave::jit::Kernel;
use loopweave::prelude::*;
use loopweave::target::Target;
use ndarray::{Array1, Array2, LinalgScalar};

/// How long one case is measured.
const BUDGET: Duration = Duration::from_millis(2_000);

fn main() {
    println!(
        "| dtype | m x k x n | ndarray | 1 thread | 128-bit vectors | 2 threads | + gelu(acc + b) | gelu(y + b) apart |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for n in [16, 32, 64, 127, 128, 250, 256, 500, 512, 1000, 1023, 1024, 2048] {
        case::<f32>("f32", [n, n, n]);
    }
    for shape in [
        [4096, 512, 512],
        [512, 512, 4096],
        [16, 1024, 1024],
        [64, 4096, 64],
        [1024, 16, 1024],
        [2048, 1024, 32],
    ] {
        case::<f32>("f32", shape);
    }
    for n in [64, 250, 256, 1000, 1024] {
        case::<f64>("f64", [n, n, n]);
    }
    println!("\n| vectors | m x k x n | x @ w | gelu(x @ w + b), ns more | gelu(y + b) in cache, ns | apart, ns |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for target in ["simd128", "native"] {
        for n in [256, 512, 1024, 2048] {
            epilogue(target, n);
        }
    }
}

/// Elements of the result that the epilogue's operations are measured on: 16 KiB in, and 16 KiB out.
const IN_CACHE: usize = 4096;

fn epilogue(target: &str, n: usize) {
    let of = |seed: usize| Array2::from_shape_fn((n, n), |(i, j)| wave(i + seed, j) as f32);
    let (x, w, y) = (of(1), of(2), of(3));
    let b = Array1::from_shape_fn(n, |j| wave(j, 1) as f32);
    let near = Array2::from_shape_fn((IN_CACHE / n, n), |(i, j)| wave(i, j) as f32);
    let [mut bare_out, mut dense_out, mut apart_out] = [(); 3].map(|()| Array2::<f32>::zeros((n, n)));
    let mut near_out = near.clone();
    let kernel =
        |params: &str, body: &str| gelu_kernel("f32", params, body).target(Target::parse(target).expect("a target"));
    let [bare, dense] = ["x @ w", "gelu(x @ w + b)"].map(|body| {
        let b = if body == "x @ w" { "" } else { ", b: T[n]" };
        kernel(&format!("x: T[m, k], w: T[k, n]{b}"), body)
    });
    let apart = kernel("y: T[m, n], b: T[n]", "gelu(y + b)");
    let fits = "fitting arrays";
    let mut bare = bare.bind((&x, &w), &mut bare_out).expect(fits);
    let mut dense = dense.bind((&x, &w, &b), &mut dense_out).expect(fits);
    let mut near_call = apart.bind((&near, &b), &mut near_out).expect(fits);
    let mut apart_call = apart.bind((&y, &b), &mut apart_out).expect(fits);
    let repeats = n * n / near.len();
    let mut sides: [Box<dyn FnMut()>; 4] = [
        Box::new(|| bare.run()),
        Box::new(|| dense.run()),
        Box::new(|| (0..repeats).for_each(|_| near_call.run())),
        Box::new(|| apart_call.run()),
    ];
    let [bare, dense, near, apart] = rounds(&mut sides);
    // Of differences between neighbours, as the clock wanders.
    let more = dense.iter().zip(&bare).map(|(dense, bare)| dense - bare).collect();
    let per_element = |ns: f64| ns / (n * n) as f64;
    println!(
        "| {target} | {n} x {n} x {n} | {:.1} | {:.3} | {:.3} | {:.3} |",
        2.0 * (n * n * n) as f64 / quantile(bare, 4),
        per_element(quantile(more, 2)),
        per_element(quantile(near, 4)),
        per_element(quantile(apart, 4))
    );
}

/// A kernel on one thread, with `T` in its parameters for a dtype, which may call `gelu`.
fn gelu_kernel(dtype: &str, params: &str, body: &str) -> Kernel {
    let text = format!(
        "fn gelu(x) {{ 0.5 * x * (1 + erf(x * 0.7071067811865476)) }}
         kernel k({}) {{ {body} }}",
        params.replace('T', dtype)
    );
    jit::kernel(&text).expect("a kernel").threads(1).expect("this thread")
}

fn case<T: Element + LinalgScalar>(dtype: &str, [m, k, n]: [usize; 3]) {
    let of = |i: usize, j: usize| T::from_bits(loopweave::Scalar::from_f64(T::DTYPE, wave(i, j)).bits());
    let x = Array2::from_shape_fn((m, k), |(i, j)| of(i, j));
    let w = Array2::from_shape_fn((k, n), |(i, j)| of(j, i));
    let b = Array1::from_shape_fn(n, |j| of(j, 1));
    let kernel = |params: &str, body: &str| gelu_kernel(dtype, params, body);
    let factors = "x: T[m, k], w: T[k, n]";
    let product = kernel(factors, "x @ w");
    let narrow = product.target(Target::parse("simd128").expect("a target"));
    let two = product.threads(2).expect("threads");
    let dense = kernel(&format!("{factors}, b: T[n]"), "gelu(x @ w + b)");
    let apart = kernel("y: T[m, n], b: T[n]", "gelu(y + b)");
    let (mut y, mut z) = (Array2::<T>::zeros((m, n)), Array2::<T>::zeros((m, n)));
    let mut sides: [Box<dyn FnMut()>; 6] = [
        Box::new(|| ndarray::linalg::general_mat_mul(T::one(), &x, &w, T::zero(), &mut y)),
        run({
            let mut out = Array2::<T>::zeros((m, n));
            let (x, w) = (&x, &w);
            move || product.call_into((x, w), &mut out)
        }),
        run({
            let mut out = Array2::<T>::zeros((m, n));
            let (x, w) = (&x, &w);
            move || narrow.call_into((x, w), &mut out)
        }),
        run({
            let mut out = Array2::<T>::zeros((m, n));
            let (x, w) = (&x, &w);
            move || two.call_into((x, w), &mut out)
        }),
        run({
            let mut out = Array2::<T>::zeros((m, n));
            let (x, w, b) = (&x, &w, &b);
            move || dense.call_into((x, w, b), &mut out)
        }),
        run({
            let y = Array2::<T>::zeros((m, n));
            let b = &b;
            move || apart.call_into((&y, b), &mut z)
        }),
    ];
    let [plain, one, narrow, two, dense, apart] = interleaved(&mut sides);
    let rate = |ns: f64| 2.0 * (m * k * n) as f64 / ns;
    println!(
        "| {dtype} | {m} x {k} x {n} | {:.1} | {:.1} | {:.1} | {:.1} | {:+.1} % | {:+.1} % |",
        rate(plain),
        rate(one),
        rate(narrow),
        rate(two),
        100.0 * (dense / one - 1.0),
        100.0 * apart / one
    );
}

/// A call that cannot fail.
fn run<'a>(mut call: impl FnMut() -> Result<(), loopweave::Error> + 'a) -> Box<dyn FnMut() + 'a> {
    Box::new(move || call().expect("a call of fitting arrays"))
}

/// The lower quartiles of the sides' times, in nanoseconds.
fn interleaved<const N: usize>(sides: &mut [Box<dyn FnMut() + '_>; N]) -> [f64; N] {
    rounds(sides).map(|times| quantile(times, 4))
}

/// The times of rounds in which the sides take turns, in nanoseconds.
fn rounds<const N: usize>(sides: &mut [Box<dyn FnMut() + '_>; N]) -> [Vec<f64>; N] {
    sides.iter_mut().for_each(|side| side());
    let mut times = [const { Vec::new() }; N];
    let start = Instant::now();
    while start.elapsed() < BUDGET || times[0].len() < 5 {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            let start = Instant::now();
            side();
            times.push(start.elapsed().as_nanos() as f64);
        }
    }
    times
}

/// What one in so many times is below.
fn quantile(mut times: Vec<f64>, parts: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / parts]
}

fn wave(i: usize, j: usize) -> f64 {
    ((i * 37 + j * 101) % 257) as f64 / 128.0 - 1.0
}
