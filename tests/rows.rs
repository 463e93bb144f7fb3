//! Row-resident chains: one kernel whatever the layout, the values of plain loops, and the same bits as stage by stage.

use loopweave::prelude::*;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, ShapeBuilder, s};

const SOFTMAX: &str = "kernel softmax(x: f32[n, m]) -> f32[n, m] {
    let top = max(x, axis = -1, keepdims = true);
    let e = exp(x - top);
    e / sum(e, axis = -1, keepdims = true)
}";

const NORM: &str = "kernel norm(x: f32[n, m], g: f32[m], b: f32[m]) -> (f32[n, m], f32[n, 1]) {
    let mu = mean(x, axis = -1, keepdims = true);
    let d = x - mu;
    let scale = 1 / sqrt(mean(d * d, axis = -1, keepdims = true) + 0.00001);
    (d * scale * g + b, scale)
}";

fn noisy(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let bits = (i * 7919 + j * 104_729 + 13).wrapping_mul(2_654_435_761) as u32;
        (bits >> 8) as f32 / (1 << 22) as f32 - 2.0
    })
}

fn softmax(x: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut y = x.mapv(f64::from);
    for mut row in y.rows_mut() {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|v| (v - top).exp());
        let sum = row.sum();
        row.mapv_inplace(|v| v / sum);
    }
    y
}

#[track_caller]
fn close(found: &Array2<f32>, expected: &Array2<f64>, what: &str) {
    assert_eq!(found.dim(), expected.dim(), "{what}");
    for (index, &found) in found.indexed_iter() {
        let expected = expected[index];
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= 4e-6 * expected.abs().max(0.05),
            "{what} at {index:?}: {found} for {expected}"
        );
    }
}

#[test]
fn softmax_is_one_kernel_in_every_layout() {
    let kernel = jit::kernel(SOFTMAX).unwrap();
    for (n, m) in [(0, 3), (1, 1), (5, 1), (1, 70), (7, 63), (33, 64), (4, 65), (3, 5000)] {
        let x = noisy(n, m);
        let expected = softmax(x.view());
        let mut fortran = Array2::zeros((n, m).f());
        fortran.assign(&x);
        let mut wide = Array2::from_elem((2 * n, 3 * m), f32::NAN);
        wide.slice_mut(s![..;2, ..;-3]).assign(&x);
        let strided = wide.slice(s![..;2, ..;-3]);
        for (what, x) in [("C", x.view()), ("F", fortran.view()), ("strided", strided)] {
            let found: Array2<f32> = kernel.call(x).unwrap();
            kernel.report().assert_groups(1);
            close(&found, &expected, &format!("{what} {n} x {m}"));
        }
    }
}

/// The others of the family, along the last axis and along the first one of the transposed array.
#[test]
fn log_softmax_logsumexp_and_rms_norm_are_one_kernel() {
    let text = "kernel rows(x: f32[n, m]) -> (f32[n, m], f32[n, 1], f32[n, m]) {
        let top = max(x, axis = -1, keepdims = true);
        let lse = ln(sum(exp(x - top), axis = -1, keepdims = true)) + top;
        (x - lse, lse, x / sqrt(mean(x * x, axis = -1, keepdims = true) + 0.00001))
    }";
    let kernel = jit::kernel(text).unwrap();
    for (n, m) in [(1, 1), (7, 63), (33, 64), (3, 5000)] {
        let x = noisy(n, m);
        let x64 = x.mapv(f64::from);
        let lse = x64
            .map_axis(Axis(1), |row| row.mapv(f64::exp).sum().ln())
            .insert_axis(Axis(1));
        let size = x64.map_axis(Axis(1), |row| ((&row * &row).mean().unwrap() + 1e-5).sqrt());
        let mut fortran = Array2::zeros((n, m).f());
        fortran.assign(&x);
        for (order, x) in [("C", &x), ("F", &fortran)] {
            let (logs, sums, normed): (Array2<f32>, Array2<f32>, Array2<f32>) = kernel.call(x).unwrap();
            kernel.report().assert_groups(1);
            let what = |name: &str| format!("{name}, {order} {n} x {m}");
            close(&logs, &(&x64 - &lse), &what("log-softmax"));
            close(&sums, &lse, &what("logsumexp"));
            close(&normed, &(&x64 / &size.clone().insert_axis(Axis(1))), &what("RMS norm"));
        }
    }
}

#[test]
fn what_is_made_for_a_row_may_leave_it_too() {
    let kernel = jit::kernel(NORM).unwrap();
    let x = noisy(9, 130);
    let (g, b) = (
        Array1::<f32>::linspace(0.5, 1.5, 130),
        Array1::<f32>::linspace(-1.0, 1.0, 130),
    );
    let (y, scale): (Array2<f32>, Array2<f32>) = kernel.call((&x, &g, &b)).unwrap();
    kernel.report().assert_groups(1);
    let x64 = x.mapv(f64::from);
    let d = &x64 - &x64.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let variance = (&d * &d).mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let expected = variance.mapv(|v| 1.0 / (v + 1e-5).sqrt());
    close(&scale, &expected, "scale");
    close(&y, &(&d * &expected * g.mapv(f64::from) + b.mapv(f64::from)), "y");
}

#[test]
fn special_values_stay_in_their_row() {
    let mut x = noisy(5, 40);
    x[[1, 7]] = f32::NAN;
    x[[2, 3]] = f32::NEG_INFINITY;
    x[[3, 3]] = f32::INFINITY;
    let y: Array2<f32> = jit::kernel(SOFTMAX).unwrap().call(&x).unwrap();
    assert!(y.row(1).iter().all(|v| v.is_nan()));
    assert_eq!(y[[2, 3]], 0.0);
    assert!(y.row(2).iter().all(|v| v.is_finite()) && y.row(4).iter().all(|v| v.is_finite()));
    assert!(
        y.row(3).iter().all(|v| v.is_nan()),
        "inf - inf is NaN, and so is its sum"
    );
}

#[test]
fn several_axes_make_a_row() {
    let text = "kernel scaled(x: f64[a, b, c]) -> f64[a, b, c] { x / sum(x, axis = [1, 2], keepdims = true) }";
    let kernel = jit::kernel(text).unwrap();
    let x = Array3::from_shape_fn((3, 5, 7), |(i, j, k)| (i + 2 * j + 3 * k + 1) as f64);
    for x in [x.view(), x.view().permuted_axes([0, 2, 1])] {
        let y: Array3<f64> = kernel.call(x).unwrap();
        kernel.report().assert_groups(1);
        for (row, found) in x.outer_iter().zip(y.outer_iter()) {
            assert_eq!(found, &row / row.sum());
        }
    }
}

/// Few long rows are computed stage by stage, each stage on all threads; the bits are the same.
#[test]
fn few_long_rows_are_split() {
    let x = noisy(2, 100_000);
    let alone = jit::kernel(SOFTMAX).unwrap().threads(1).unwrap();
    let expected: Array2<f32> = alone.call(&x).unwrap();
    alone.report().assert_groups(1);
    for threads in [3, 7] {
        let kernel = jit::kernel(SOFTMAX).unwrap().threads(threads).unwrap();
        let found: Array2<f32> = kernel.call(&x).unwrap();
        kernel.report().assert_groups(4);
        assert_eq!(found, expected, "{threads} threads");
    }
    let many = noisy(300, 1000);
    let expected: Array2<f32> = alone.call(&many).unwrap();
    let found: Array2<f32> = jit::kernel(SOFTMAX).unwrap().threads(3).unwrap().call(&many).unwrap();
    assert_eq!(found, expected);
}

/// A vector is one row.
#[test]
fn a_vector_is_a_row() {
    let text = "kernel softmax(x: f32[n]) -> f32[n] { let e = exp(x - max(x)); e / sum(e) }";
    let kernel = jit::kernel(text).unwrap();
    let x = noisy(1, 300);
    let y: Array1<f32> = kernel.call(x.row(0)).unwrap();
    kernel.report().assert_groups(1);
    close(&y.insert_axis(Axis(0)), &softmax(x.view()), "vector");
}

/// Rows without elements still have sums, and nothing is stored for what has no elements.
#[test]
fn empty_rows_are_rows() {
    let text = "kernel centred(x: f32[n, m]) -> (f32[n, m], f32[n, 1]) {
        let s = sum(x, axis = -1, keepdims = true);
        (x - s, s + 1)
    }";
    let kernel = jit::kernel(text).unwrap();
    let (y, s): (Array2<f32>, Array2<f32>) = kernel.call(Array2::<f32>::zeros((3, 0))).unwrap();
    assert_eq!((y.dim(), s), ((3, 0), Array2::ones((3, 1))));
}
