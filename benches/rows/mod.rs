//! The kernels that the benchmarks measure, each beside the plain Rust loop of the same thing.
//!
//! In: a number of elements. Out: a [`Case`]: its arrays, our kernel, and the loop. The loops are compiled as a user's crate
//! is by default: for the x86-64 baseline, thus with 128-bit SSE2 vectors, while our kernels use what the processor has.
//!
//! Invariant: both sides of a case compute the same function of the same arrays into outputs that exist already; but beside
//! `six_ops` stands a copy, the least that can be done with its streams of memory.

#![allow(unreachable_pub, reason = "each bench uses its own part of the rows")]

use loopweave::jit::{self, Bound, Kernel};
use ndarray::{Array2, ArrayView2};

/// One kernel at one size.
pub(crate) struct Case {
    /// Bytes read and written, each array once.
    pub(crate) bytes: usize,
    /// On one thread and on two.
    ours: [Kernel; 2],
    run: Box<dyn FnMut(Side<'_>)>,
}

/// Which of the sides of a case runs.
enum Side<'a> {
    /// A whole call.
    Ours(&'a Kernel),
    /// So many runs of a bound call.
    Bound(&'a Kernel, u32),
    Plain,
}

impl Case {
    /// Our kernel, on one or two threads.
    pub(crate) fn ours(&mut self, threads: usize) {
        (self.run)(Side::Ours(&self.ours[threads - 1]));
    }

    /// Our kernel on one thread, its call bound once and run so many times.
    pub(crate) fn bound(&mut self, runs: u32) {
        (self.run)(Side::Bound(&self.ours[0], runs));
    }

    /// The plain loop.
    pub(crate) fn plain(&mut self) {
        (self.run)(Side::Plain);
    }
}

/// A kernel's name and its cases.
pub(crate) struct Row {
    /// The name.
    pub(crate) name: &'static str,
    /// The case of a number of elements, which for matrices is a square.
    pub(crate) case: fn(usize) -> Case,
}

/// Every row.
pub(crate) const ROWS: [Row; 13] = [
    row("add", add),
    row("axpy", axpy),
    row("chain", chain),
    row("six_ops", six_ops),
    row("poly8", poly8),
    row("exp", exp),
    row("sum", sum),
    row("dot", dot),
    row("sum_rows", sum_rows),
    row("sum_columns", sum_columns),
    row("add_row", add_row),
    row("add_column", add_column),
    row("add_transposed", add_transposed),
];

/// Numbers of elements, all of them squares, with the names the benchmarks give them.
pub(crate) const SIZES: [(&str, usize); 4] = [("1k", 1 << 10), ("64k", 1 << 16), ("1M", 1 << 20), ("16M", 1 << 24)];

const fn row(name: &'static str, case: fn(usize) -> Case) -> Row {
    Row { name, case }
}

/// The coefficients of the polynomial, highest power first.
const POLY: [f32; 9] = [0.125, -0.25, 0.5, -0.75, 1.0, -1.25, 1.5, -1.75, 2.0];

fn add(n: usize) -> Case {
    map("a + b", vectors::<2>(n), |[a, b], out| {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    })
}

fn axpy(n: usize) -> Case {
    map("2.5 * x + y", vectors::<2>(n), |[x, y], out| {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = 2.5 * x + y;
        }
    })
}

fn chain(n: usize) -> Case {
    let text = "let h = a * b + c; (if h > 0 { h } else { 0 }) * d - e";
    map(text, vectors::<5>(n), |[a, b, c, d, e], out| {
        for (((((out, a), b), c), d), e) in out.iter_mut().zip(a).zip(b).zip(c).zip(d).zip(e) {
            let h = a * b + c;
            *out = (if h > 0.0 { h } else { 0.0 }) * d - e;
        }
    })
}

fn six_ops(n: usize) -> Case {
    let text = "let h = abs(x) * 3 + 1; minimum(h * h - x, 2)";
    map(text, vectors::<1>(n), |[x], out| out.copy_from_slice(x))
}

fn poly8(n: usize) -> Case {
    let horner = |p, c| format!("({p}) * x + ({c:?})");
    let text = POLY[1..].iter().fold(format!("{:?}", POLY[0]), horner);
    map(&text, vectors::<1>(n), |[x], out| {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = POLY[1..].iter().fold(POLY[0], |p, c| p * x + c);
        }
    })
}

fn exp(n: usize) -> Case {
    map("exp(x)", vectors::<1>(n), |[x], out| {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x.exp();
        }
    })
}

fn sum(n: usize) -> Case {
    reduce(&jit::sum(), vectors::<1>(n), |[x]| x.iter().sum())
}

fn dot(n: usize) -> Case {
    let kernel = jit::sum().of_zip(|x, y| x * y);
    reduce(&kernel, vectors::<2>(n), |[x, y]| {
        x.iter().zip(y).map(|(x, y)| x * y).sum()
    })
}

fn sum_rows(n: usize) -> Case {
    matrix_sum(&jit::sum().axis(1), n, |x, out| {
        for (out, row) in out.iter_mut().zip(x.rows()) {
            *out = row.as_slice().expect(C_ORDER).iter().sum();
        }
    })
}

fn sum_columns(n: usize) -> Case {
    matrix_sum(&jit::sum().axis(0), n, |x, out| {
        out.fill(0.0);
        for row in x.rows() {
            for (out, x) in out.iter_mut().zip(row.as_slice().expect(C_ORDER)) {
                *out += x;
            }
        }
    })
}

fn add_row(n: usize) -> Case {
    matrix_add(n, matrix_of(1, n.isqrt()), |x, row, out| {
        let row = row.as_slice().expect(C_ORDER);
        for (mut out, x) in out.rows_mut().into_iter().zip(x.rows()) {
            let out = out.as_slice_mut().expect(C_ORDER);
            for ((out, x), y) in out.iter_mut().zip(x.as_slice().expect(C_ORDER)).zip(row) {
                *out = x + y;
            }
        }
    })
}

fn add_column(n: usize) -> Case {
    matrix_add(n, matrix_of(n.isqrt(), 1), |x, column, out| {
        for ((mut out, x), y) in out.rows_mut().into_iter().zip(x.rows()).zip(column) {
            let out = out.as_slice_mut().expect(C_ORDER);
            for (out, x) in out.iter_mut().zip(x.as_slice().expect(C_ORDER)) {
                *out = x + y;
            }
        }
    })
}

fn add_transposed(n: usize) -> Case {
    matrix_add(n, matrix_of(n.isqrt(), n.isqrt()).reversed_axes(), |x, y, out| {
        for ((mut out, x), y) in out.rows_mut().into_iter().zip(x.rows()).zip(y.rows()) {
            let out = out.as_slice_mut().expect(C_ORDER);
            for ((out, x), y) in out.iter_mut().zip(x.as_slice().expect(C_ORDER)).zip(y) {
                *out = x + y;
            }
        }
    })
}

const C_ORDER: &str = "a vector, or a row of a matrix in C order";

/// A map of vectors.
fn map<const N: usize>(text: &str, inputs: [Vec<f32>; N], plain: fn([&[f32]; N], &mut [f32])) -> Case {
    let n = inputs[0].len();
    let mut out = vec![0.0; n];
    let kernel = jit::func(text).expect("the text of a row");
    case(&kernel, 4 * (N + 1) * n, move |side| match side {
        Side::Ours(kernel) => kernel.call_into(inputs.each_ref(), &mut out).expect(FITS),
        Side::Bound(kernel, runs) => repeat(kernel.bind(inputs.each_ref(), &mut out).expect(FITS), runs),
        Side::Plain => plain(inputs.each_ref().map(Vec::as_slice), &mut out),
    })
}

/// A reduction of vectors to one number.
fn reduce<const N: usize>(kernel: &Kernel, inputs: [Vec<f32>; N], plain: fn([&[f32]; N]) -> f32) -> Case {
    let bytes = 4 * N * inputs[0].len();
    let mut out = ndarray::arr0(0.0f32);
    case(kernel, bytes, move |side| match side {
        Side::Ours(kernel) => kernel.call_into(inputs.each_ref(), &mut out).expect(FITS),
        Side::Bound(kernel, runs) => repeat(kernel.bind(inputs.each_ref(), &mut out).expect(FITS), runs),
        Side::Plain => out[()] = plain(inputs.each_ref().map(Vec::as_slice)),
    })
}

/// A sum of a square matrix along an axis.
fn matrix_sum(kernel: &Kernel, n: usize, plain: fn(ArrayView2<'_, f32>, &mut [f32])) -> Case {
    let side = n.isqrt();
    let x = matrix_of(side, side);
    let mut out = vec![0.0; side];
    case(kernel, 4 * (n + side), move |run| match run {
        Side::Ours(kernel) => kernel.call_into(&x, &mut out).expect(FITS),
        Side::Bound(kernel, runs) => repeat(kernel.bind(&x, &mut out).expect(FITS), runs),
        Side::Plain => plain(x.view(), &mut out),
    })
}

/// The sum of a square matrix and what broadcasts to it.
fn matrix_add(n: usize, y: Array2<f32>, plain: fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>, &mut Array2<f32>)) -> Case {
    let x = matrix_of(n.isqrt(), n.isqrt());
    let mut out = Array2::zeros(x.raw_dim());
    let kernel = jit::zip(|x, y| x + y).expect("a function of two arguments");
    case(&kernel, 4 * (2 * n + y.len()), move |side| match side {
        Side::Ours(kernel) => kernel.call_into((&x, &y), &mut out).expect(FITS),
        Side::Bound(kernel, runs) => repeat(kernel.bind((&x, &y), &mut out).expect(FITS), runs),
        Side::Plain => plain(x.view(), y.view(), &mut out),
    })
}

fn repeat(mut bound: Bound<'_>, runs: u32) {
    (0..runs).for_each(|_| bound.run());
}

const FITS: &str = "arguments that the row's kernel takes";

fn case(kernel: &Kernel, bytes: usize, run: impl FnMut(Side<'_>) + 'static) -> Case {
    let threads = |count| kernel.threads(count).expect("two threads");
    Case {
        bytes,
        ours: [threads(1), threads(2)],
        run: Box::new(run),
    }
}

fn vectors<const N: usize>(n: usize) -> [Vec<f32>; N] {
    std::array::from_fn(|array| values(array as u32, n))
}

fn matrix_of(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), values(7, rows * columns)).expect("as many values as elements")
}

/// Numbers between -1 and 1 from a fixed generator.
fn values(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(next).collect()
}
