//! Reductions of few elements each: as a map over the results or as a loop for each result, the bits are the same.
//!
//! Whether a call is unrolled depends on how many results it has, so an array is reduced whole, and in slices of fewer rows.

use loopweave::ir::Element;
use loopweave::ir::testing::Rng;
use loopweave::jit::{self, Kernel};
use loopweave::report::{Note, Report};
use loopweave::runtime::array::AnyArray;
use ndarray::{Array1, Array2, Array3, ArrayView3, Axis, Dimension, Slice, s};

/// So many slices of so many rows: the rows of all are enough to be unrolled, and those of one are not.
const SLICES: usize = 4;
const ROWS: usize = 150;
/// Elements per row, on either side of the most that are unrolled.
const WIDTHS: [usize; 6] = [1, 2, 3, 7, 12, 13];
/// So many are in any case, and so many in none; between, long functions are not.
const SURELY: usize = 3;
const NEVER: usize = 13;

const OF_ALL: [&str; 8] = [
    "sum(x, axis = AXIS)",
    "mean(x, axis = AXIS, keepdims = true)",
    "min(x, axis = AXIS)",
    "max(x, axis = AXIS, keepdims = true)",
    "argmin(x, axis = AXIS)",
    "argmax(x, axis = AXIS)",
    "any(x > 1, axis = AXIS)",
    "all(x > 1, axis = AXIS, keepdims = true)",
];
const OF_FLOATS: [&str; 5] = [
    "prod(x, axis = AXIS)",
    "sum(x * x, axis = AXIS) / max(x, axis = AXIS)",
    "let e = exp(x - max(x, axis = AXIS, keepdims = true)); e / sum(e, axis = AXIS, keepdims = true)",
    "let m = max(x, axis = AXIS, keepdims = true); m + ln(sum(exp(x - m), axis = AXIS, keepdims = true))",
    "let d = x - mean(x, axis = AXIS, keepdims = true); d / sqrt(mean(d * d, axis = AXIS, keepdims = true) + 0.001)",
];

#[test]
fn floats() {
    let bodies = OF_ALL.iter().chain(&OF_FLOATS);
    for body in bodies {
        everywhere::<f32>(body, |bits| (bits % 2000) as f32 * 0.37 - 300.0);
        everywhere::<f64>(body, |bits| (bits % 2000) as f64 * 0.37 - 300.0);
        everywhere::<half::f16>(body, |bits| half::f16::from_f32((bits % 200) as f32 * 0.37 - 30.0));
    }
}

#[test]
fn integers() {
    for body in OF_ALL {
        everywhere::<i8>(body, |bits| bits as i8);
        everywhere::<u16>(body, |bits| bits as u16);
        everywhere::<i32>(body, |bits| bits as i32 % 50);
        everywhere::<i64>(body, |bits| bits as i64);
    }
}

/// NaNs and both zeros, each in any place.
#[test]
fn special_values() {
    for body in OF_ALL {
        everywhere::<f32>(body, |bits| {
            [f32::NAN, -0.0, 0.0, f32::INFINITY, 2.0][(bits % 23).min(4) as usize]
        });
        everywhere::<f64>(body, |bits| {
            [f64::NAN, -0.0, 0.0, -f64::INFINITY, 2.0][(bits % 23).min(4) as usize]
        });
    }
}

#[test]
fn two_axes_at_once() {
    let narrow = jit::kernel("kernel k(x: f32[n, p, q]) -> f32[n] { sum(x, axis = [1, 2]) }").unwrap();
    let x = Array3::from_shape_fn((520, 3, 4), |(i, j, k)| (i * 77 + j * 13 + k * 5) as f32 * 0.1);
    let all: AnyArray = narrow.call(&x).unwrap();
    assert!(is_unrolled(&narrow.report()));
    let few = jit::kernel("kernel k(x: f32[n, p, q]) -> f32[n] { sum(x, axis = [1, 2]) }").unwrap();
    for (i, row) in x.axis_chunks_iter(Axis(0), 1).enumerate() {
        let one: AnyArray = few.call(row).unwrap();
        assert_eq!(one.scalars()[0].bits(), all.scalars()[i].bits());
    }
    assert!(!is_unrolled(&few.report()));
}

/// A factor that is the same for all rows, one for all elements of a row, and several results.
#[test]
fn broadcast_factors_and_several_results() {
    let text = "kernel k(x: f32[n, m], w: f32[m], v: f32[n]) -> (f32[n], f32[n, m]) {
        let s = sum(x * w, axis = 1); (s * v, x / (s * v)[:, newaxis])
    }";
    let [all, few] = [(); 2].map(|()| jit::kernel(text).unwrap());
    let x = Array2::from_shape_fn((600, 5), |(i, j)| (i * 31 + j * 7) as f32 * 0.1 - 50.0);
    let w = Array1::from_shape_fn(5, |j| 0.3 + j as f32);
    let v = Array1::from_shape_fn(600, |i| i as f32 * 0.7 + 1.0);
    let (sums, shares): (Array1<f32>, Array2<f32>) = all.call((&x, &w, &v)).unwrap();
    assert!(is_unrolled(&all.report()));
    for i in 0..600 {
        let row = s![i..i + 1, ..];
        let (sum, share): (Array1<f32>, Array2<f32>) = few.call((x.slice(row), &w, v.slice(s![i..i + 1]))).unwrap();
        assert_eq!((sum[0], share), (sums[i], shares.slice(row).to_owned()));
    }
    assert!(!is_unrolled(&few.report()));
    let mut strided = Array2::zeros((1200, 10));
    let (mut to, mut other) = (Array1::zeros(600), strided.slice_mut(s![..;-2, ..;2]));
    all.call_into((&x, &w, &v), (&mut to, &mut other)).unwrap();
    assert_eq!((to, other.to_owned()), (sums, shares));
}

/// Whether an output may be an input does not depend on how many results there are.
#[test]
fn rows_in_place_are_refused() {
    let softmax = jit::kernel("kernel k(x: f32[n, 1]) -> f32[n, 1] { x / sum(x, axis = 1, keepdims = true) }").unwrap();
    for rows in [3, 600] {
        let mut x = Array2::from_elem((rows, 1), 2.0f32);
        assert!(softmax.call_in_place(&mut x, ()).is_err(), "{rows}");
    }
}

/// A reduction over the last, the first and the middle axis, of arrays in several layouts.
fn everywhere<T: Element + Default>(body: &str, value: fn(u64) -> T) {
    let mut rng = Rng::new(11);
    let text = |axis: usize| {
        let body = body.replace("AXIS", &axis.to_string());
        format!("kernel k(x: {}[a, b, c]) {{ {body} }}", T::DTYPE)
    };
    let kernels = [0, 1, 2].map(|axis| [(); 2].map(|()| jit::kernel(&text(axis)).unwrap().threads(2).unwrap()));
    for width in WIDTHS {
        let x = Array3::from_shape_simple_fn((SLICES, ROWS, width), || value(rng.bits()));
        let far = Array3::from_shape_simple_fn((SLICES, ROWS * 2, width * 3), || value(rng.bits()));
        let far = far.slice(ndarray::s![.., ..;-2, 1..;3]);
        for x in [x.view(), far] {
            same(&kernels[2], x, 2);
            same(&kernels[0], x.permuted_axes([2, 0, 1]), 0);
            same(&kernels[1], x.permuted_axes([0, 2, 1]), 1);
        }
    }
}

/// An array reduced over an axis: whole, and slice by slice along another one.
fn same<T: Element>([all, few]: &[Kernel; 2], x: ArrayView3<'_, T>, reduced: usize) {
    let along = if reduced == 0 { 1 } else { 0 };
    let whole: AnyArray = all.call(x).unwrap();
    match x.len_of(Axis(reduced)) {
        ..=SURELY => assert!(is_unrolled(&all.report())),
        NEVER.. => assert!(!is_unrolled(&all.report())),
        _ => {}
    }
    let kept = whole.shape().len() == 3;
    for slice in 0..SLICES {
        let part = x.slice_axis(Axis(along), Slice::from(slice..slice + 1));
        let part: AnyArray = few.call(part).unwrap();
        for (at, found) in indices(part.shape()).zip(part.scalars()) {
            let mut in_whole = at.clone();
            in_whole[if kept || reduced > along { along } else { along - 1 }] = slice;
            let expected = whole.get(&in_whole).unwrap();
            assert!(
                found.is_same(expected),
                "{in_whole:?} of {:?}: {found} by a loop, {expected} by a map\n{}",
                x.dim(),
                all.report()
            );
        }
    }
    assert!(!is_unrolled(&few.report()));
}

/// The indices of an array, in C order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    ndarray::indices(shape)
        .into_iter()
        .map(|index| index.as_array_view().to_vec())
}

fn is_unrolled(report: &Report) -> bool {
    let schedules = report.groups.iter().filter_map(|group| group.schedule.as_ref());
    schedules
        .flat_map(|s| &s.notes)
        .any(|note| matches!(note, Note::SideBySide { .. }))
}
