//! Reductions of arrays whose results lie together in memory: vectors run across results, and the bits are those of vectors
//! along the elements of each.

use loopweave::ir::testing::Rng;
use loopweave::ir::{Dtype, Element};
use loopweave::jit::{self, Kernel};
use loopweave::report::Note;
use loopweave::runtime::array::AnyArray;
use loopweave::target::Target;
use ndarray::{Array2, Array3, ArrayD, ArrayViewD, Axis, ShapeBuilder, s};

const OF_ALL: [&str; 6] = [
    "sum(x, axis = -1)",
    "mean(x, axis = -1, keepdims = true)",
    "max(x, axis = -1)",
    "argmin(x, axis = -1)",
    "any(x > 1, axis = -1)",
    "(sum(x, axis = -1), max(x, axis = -1))",
];
const OF_FLOATS: [&str; 5] = [
    "prod(x * 0.01, axis = -1)",
    "sum(x * x, axis = -1) / max(x, axis = -1)",
    "let e = exp(x - max(x, axis = -1, keepdims = true)); e / sum(e, axis = -1, keepdims = true)",
    "let m = max(x, axis = -1, keepdims = true); m + ln(sum(exp(x - m), axis = -1, keepdims = true))",
    "let d = x - mean(x, axis = -1, keepdims = true); (d / sqrt(mean(d * d, axis = -1, keepdims = true) + 0.001), d)",
];

/// Results and elements of each: around vectors, lanes, strips, blocks, and what is unrolled.
const SHAPES: [(usize, usize); 9] = [
    (0, 5),
    (1, 40),
    (3, 1),
    (15, 63),
    (17, 65),
    (70, 130),
    (600, 7),
    (530, 20),
    (20, 8200),
];

/// The machine's own code, that of 128 bits, and that of 256 where the machine runs it.
fn targets() -> impl Iterator<Item = Target> {
    let targets = ["native", "simd128", "x86-64-v3"].map(|name| Target::parse(name).unwrap());
    targets.into_iter().filter(Target::runs_here)
}

#[test]
fn floats() {
    for body in OF_ALL.iter().chain(&OF_FLOATS) {
        everywhere::<f32>(body, |bits| (bits % 2000) as f32 * 0.37 - 300.0);
        everywhere::<f64>(body, |bits| (bits % 2000) as f64 * 0.37 - 300.0);
        everywhere::<half::f16>(body, |bits| half::f16::from_f32((bits % 200) as f32 * 0.37 - 30.0));
    }
}

#[test]
fn integers() {
    for body in OF_ALL {
        everywhere::<i8>(body, |bits| bits as i8);
        everywhere::<i64>(body, |bits| bits as i64);
    }
}

#[test]
fn a_transposed_array_takes_vectors_across_results() {
    let x = Array2::from_shape_fn((300, 200).f(), |(i, j)| (i * 31 + j * 7) as f32 * 0.1);
    for body in [OF_ALL[0], OF_FLOATS[2]] {
        let kernel = kernel(body, Dtype::F32, 2);
        let _: AnyArray = kernel.call(&x).unwrap();
        let report = kernel.report();
        let schedule = report.groups[0].schedule.as_ref().unwrap();
        assert_eq!(report.groups.len(), 1, "{report}");
        assert!(schedule.loops.last().unwrap().vector.is_some(), "{report}");
        assert!(
            !schedule.notes.iter().any(|n| matches!(n, Note::Gathered { .. })),
            "{report}"
        );
    }
}

/// Two axes at once, the batch outside, the results inside.
#[test]
fn several_axes() {
    let text = "kernel k(x: f32[b, n, p, q]) { sum(x * 0.5, axis = [2, 3]) }";
    let [kernel, other] = [(); 2].map(|()| jit::kernel(text).unwrap());
    let x = ArrayD::from_shape_fn(&[3, 90, 6, 31][..], |at| {
        (at[0] * 5 + at[1] * 31 + at[2] * 7 + at[3]) as f32 * 0.1
    });
    let turned = x.view().permuted_axes(&[0, 2, 3, 1][..]);
    let turned = turned.as_standard_layout();
    let turned = turned.view().permuted_axes(&[0, 3, 1, 2][..]);
    same(&call(&kernel, turned), &call(&other, x.view()), text);
}

fn kernel(body: &str, dtype: Dtype, rank: usize) -> Kernel {
    let axes = &["a", "b", "c"][3 - rank..];
    jit::kernel(&format!("kernel k(x: {dtype}[{}]) {{ {body} }}", axes.join(", "))).unwrap()
}

/// The last axis reduced, in C order and with the results together, whole and in slices, on every target.
fn everywhere<T: Element + Default>(body: &str, value: fn(u64) -> T) {
    let mut rng = Rng::new(7);
    for target in targets() {
        let [along, across] = [(); 2].map(|()| kernel(body, T::DTYPE, 2).target(target.clone()));
        let [deep, deep_across] = [(); 2].map(|()| kernel(body, T::DTYPE, 3).target(target.clone()));
        for (n, m) in SHAPES {
            let x = Array2::from_shape_simple_fn((n, m), || value(rng.bits()));
            let mut fortran = Array2::default((n, m).f());
            fortran.assign(&x);
            let what = format!("{body} of {n} x {m} {} for {}", T::DTYPE, target.name());
            let expected = call(&along, x.view().into_dyn());
            same(&call(&across, fortran.view().into_dyn()), &expected, &what);
            // Every second result, backwards, of an array with room between.
            let mut far = Array2::default((3 * n + 1, m).f());
            far.slice_mut(s![1..;3, ..]).assign(&x);
            let far = far.slice(s![1..;-3, ..]);
            let expected = call(&along, far.as_standard_layout().view().into_dyn());
            same(&call(&across, far.into_dyn()), &expected, &what);
            // As one of two arrays of a batch.
            let mut batch = Array3::default((m, 2, n));
            batch.index_axis_mut(Axis(1), 0).assign(&x.t());
            batch.index_axis_mut(Axis(1), 1).assign(&x.slice(s![..;-1, ..]).t());
            let batch = batch.permuted_axes([1, 2, 0]);
            let expected = call(&deep, batch.as_standard_layout().view().into_dyn());
            same(&call(&deep_across, batch.view().into_dyn()), &expected, &what);
        }
    }
}

fn call<T: Element>(kernel: &Kernel, x: ArrayViewD<'_, T>) -> Vec<AnyArray> {
    kernel.call(x).unwrap()
}

#[track_caller]
fn same(found: &[AnyArray], expected: &[AnyArray], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.shape(), expected.shape(), "{what}");
        for (i, (found, expected)) in found.scalars().into_iter().zip(expected.scalars()).enumerate() {
            assert!(found.is_same(expected), "{what}, element {i}: {found} for {expected}");
        }
    }
}

/// Many sums in one chain share the room that they take on the stack of a thread.
#[test]
fn long_chains_fit_a_small_stack() {
    let steps: String = (0..12)
        .map(|i| format!("let h{} = h{i} - sum(h{i} * {i}.5, axis = -1, keepdims = true);", i + 1))
        .collect();
    let kernel = kernel(&format!("let h0 = x; {steps} h12"), Dtype::F32, 2);
    let x = Array2::from_shape_fn((70, 300).f(), |(i, j)| (i * 31 + j * 7) as f32 * 1e-6);
    let run = move || call(&kernel, x.view().into_dyn());
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let found = thread.spawn(run).unwrap().join().unwrap();
    assert_eq!(found[0].shape(), [70, 300]);
}
