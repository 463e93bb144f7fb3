//! Matrix products beside `ndarray`'s, as one table: what the README quotes.
//!
//! `cargo bench --bench matmul` interleaves the sides of every case and takes each side's lower quartile. Figures are
//! billions of operations a second, a multiplication and an addition each being one; the last columns are what an epilogue
//! adds to the time of the bare product, and what the same adds as a kernel of its own.

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
}

fn case<T: Element + LinalgScalar>(dtype: &str, [m, k, n]: [usize; 3]) {
    let of = |i: usize, j: usize| T::from_bits(loopweave::Scalar::from_f64(T::DTYPE, wave(i, j)).bits());
    let x = Array2::from_shape_fn((m, k), |(i, j)| of(i, j));
    let w = Array2::from_shape_fn((k, n), |(i, j)| of(j, i));
    let b = Array1::from_shape_fn(n, |j| of(j, 1));
    let kernel = |params: &str, body: &str| -> Kernel {
        let text = format!(
            "fn gelu(x) {{ 0.5 * x * (1 + erf(x * 0.7071067811865476)) }}
             kernel k({}) {{ {body} }}",
            params.replace('T', dtype)
        );
        jit::kernel(&text).expect("a kernel").threads(1).expect("this thread")
    };
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
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 4]
    })
}

fn wave(i: usize, j: usize) -> f64 {
    ((i * 37 + j * 101) % 257) as f64 / 128.0 - 1.0
}
