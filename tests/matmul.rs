//! Matrix products against the chain that defines them, bit for bit: over layouts, dtypes,
//! batches and epilogues. `matmul_shapes.rs` crosses small shapes with all of them.

use loopweave::prelude::*;
use loopweave::runtime::array::AnyArray;
use loopweave::target::{OptLevel, Target};
use ndarray::{Array, Array1, Array2, Array3, ArrayD, ArrayView2, Dimension, IxDyn, ShapeBuilder, s};

const F32: &str = "kernel product(x: f32[m, k], y: f32[k, n]) -> f32[m, n] { x @ y }";

fn noisy(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let bits = (i * 7919 + j * 104_729 + seed * 31).wrapping_mul(2_654_435_761) as u32;
        (bits >> 8) as f32 / (1 << 24) as f32 - 0.5
    })
}

/// One chain of fused multiply-adds for each element.
fn chain(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32> {
    Array2::from_shape_fn((x.nrows(), y.ncols()), |(i, j)| {
        (0..x.ncols()).fold(0.0, |acc, k| x[[i, k]].mul_add(y[[k, j]], acc))
    })
}

#[test]
fn every_element_is_one_chain() {
    let kernel = jit::kernel(F32).unwrap();
    for (m, k, n) in [
        (2, 2, 2),
        (6, 64, 8),
        (7, 33, 9),
        (64, 64, 64),
        (65, 700, 31),
        (3, 2100, 17),
        (131, 129, 600),
        (50, 1500, 1100),
        // Rows a power of two apart, which are packed; several blocks of each axis; more rows than are packed at once.
        (30, 2048, 200),
        (70, 1024, 300),
        (1100, 1030, 40),
        // Few rows of a wide right factor, which is read in place, ahead.
        (20, 300, 1030),
    ] {
        let (x, y) = (noisy(m, k, 1), noisy(k, n, 2));
        let found: Array2<f32> = kernel.call((&x, &y)).unwrap();
        assert_eq!(found, chain(x.view(), y.view()), "{m} x {k} x {n}");
    }
}

#[test]
fn thread_counts_agree() {
    let (x, y) = (noisy(300, 900, 1), noisy(900, 250, 2));
    let one: Array2<f32> = jit::kernel(F32).unwrap().threads(1).unwrap().call((&x, &y)).unwrap();
    for threads in [2, 3, 7, 16] {
        let kernel = jit::kernel(F32).unwrap().threads(threads).unwrap();
        let many: Array2<f32> = kernel.call((&x, &y)).unwrap();
        assert_eq!(one, many, "{threads} threads");
    }
}

/// Parts pack what they need of both factors, so they are as nearly square as the result allows.
#[test]
fn products_are_cut_along_both_axes() {
    let kernel = |threads: usize| jit::kernel(F32).unwrap().threads(threads).unwrap();
    // Rows, the contracted axis, columns, threads; and the parts of the rows and of the columns. Halves of the products that
    // are cut along both axes are whole tiles of every shape.
    for (m, k, n, threads, parts) in [
        (2000, 60, 100, 4, [4, 1]),
        (100, 60, 2000, 4, [1, 4]),
        (756, 1100, 768, 4, [2, 2]),
        (960, 60, 640, 6, [3, 2]),
        (500, 300, 500, 1, [1, 1]),
    ] {
        let (x, y) = (noisy(m, k, 1), noisy(k, n, 2));
        let split = kernel(threads);
        let found: Array2<f32> = split.call((&x, &y)).unwrap();
        let whole: Array2<f32> = kernel(1).call((&x, &y)).unwrap();
        assert_eq!(found, whole, "{m} x {k} x {n}");
        let report = split.report();
        let loops = &report.groups[0].schedule.as_ref().unwrap().loops;
        let along = |axis: usize| loops[axis].parallel.map_or(1, |parallel| parallel.parts);
        assert_eq!([along(0), along(2)], parts, "{m} x {k} x {n} on {threads} threads");
    }
}

/// How an array lies in memory, what holds it, and the view of its elements there.
type Laid = (&'static str, Array2<f32>, fn(&Array2<f32>) -> ArrayView2<'_, f32>);

/// The ways a matrix of these elements can lie in memory.
fn layouts(dense: &Array2<f32>) -> Vec<Laid> {
    let (rows, columns) = dense.dim();
    let mut fortran = Array2::zeros((rows, columns).f());
    fortran.assign(dense);
    let mut strided = Array2::from_elem((2 * rows, 3 * columns), f32::NAN);
    strided.slice_mut(s![..;2, ..;3]).assign(dense);
    let mut reversed = Array2::zeros((rows, columns));
    reversed.slice_mut(s![..;-1, ..;-1]).assign(dense);
    vec![
        ("C", dense.clone(), |a| a.view()),
        ("F", fortran, |a| a.view()),
        ("strided", strided, |a| a.slice(s![..;2, ..;3])),
        ("reversed", reversed, |a| a.slice(s![..;-1, ..;-1])),
    ]
}

#[test]
fn every_layout_gives_the_same_bits() {
    let kernel = jit::kernel(F32).unwrap();
    for (m, k, n) in [(3, 5, 4), (40, 70, 90), (70, 600, 33)] {
        let (x, y) = (noisy(m, k, 1), noisy(k, n, 2));
        let expected = chain(x.view(), y.view());
        for (of_x, x, view_x) in layouts(&x) {
            for (of_y, y, view_y) in layouts(&y) {
                for (of_out, mut out, _) in layouts(&Array2::zeros((m, n))) {
                    let mut target = match of_out {
                        "strided" => out.slice_mut(s![..;2, ..;3]),
                        "reversed" => out.slice_mut(s![..;-1, ..;-1]),
                        _ => out.view_mut(),
                    };
                    kernel.call_into((&view_x(&x), &view_y(&y)), &mut target).unwrap();
                    assert_eq!(target, expected, "{of_x} @ {of_y} into {of_out}, {m} x {k} x {n}");
                }
            }
        }
    }
}

#[test]
fn ranks_and_batches_follow_numpy() {
    let text = |x: &str, y: &str| format!("kernel product(x: f64[{x}], y: f64[{y}]) {{ x @ y }}");
    let array = |shape: &[usize], seed: usize| -> ArrayD<f64> {
        let len = shape.iter().product();
        let values = (0..len).map(|i| ((i * 7 + seed) % 13) as f64 - 6.0);
        Array::from_iter(values).into_shape_with_order(IxDyn(shape)).unwrap()
    };
    // Shapes of the factors and of the result.
    let cases: &[(&[usize], &[usize], &[usize])] = &[
        (&[5], &[5], &[]),
        (&[0], &[0], &[]),
        (&[4, 5], &[5], &[4]),
        (&[5], &[5, 3], &[3]),
        (&[2, 4, 5], &[5], &[2, 4]),
        (&[5], &[2, 5, 3], &[2, 3]),
        (&[2, 4, 5], &[5, 3], &[2, 4, 3]),
        (&[4, 5], &[2, 5, 3], &[2, 4, 3]),
        (&[2, 1, 4, 5], &[3, 5, 6], &[2, 3, 4, 6]),
        (&[1, 4, 5], &[7, 5, 3], &[7, 4, 3]),
        (&[0, 4, 5], &[5, 3], &[0, 4, 3]),
        (&[2, 4, 0], &[2, 0, 3], &[2, 4, 3]),
        (&[2, 1, 5], &[2, 5, 1], &[2, 1, 1]),
    ];
    for (x_shape, y_shape, result) in cases {
        let dims = |name: &str, rank: usize| {
            (0..rank)
                .map(|axis| format!("{name}{axis}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let kernel = jit::kernel(&text(&dims("x", x_shape.len()), &dims("y", y_shape.len()))).unwrap();
        let (x, y) = (array(x_shape, 1), array(y_shape, 5));
        let found: ArrayD<f64> = kernel.call((&x, &y)).unwrap();
        assert_eq!(found.shape(), *result, "{x_shape:?} @ {y_shape:?}");
        assert_eq!(found, reference(&x, &y, result), "{x_shape:?} @ {y_shape:?}");
    }
}

/// The product by its definition, exact for small integers.
fn reference(x: &ArrayD<f64>, y: &ArrayD<f64>, result: &[usize]) -> ArrayD<f64> {
    let x = if x.ndim() == 1 {
        x.clone().insert_axis(ndarray::Axis(0))
    } else {
        x.clone()
    };
    let y = if y.ndim() == 1 {
        y.clone().insert_axis(ndarray::Axis(1))
    } else {
        y.clone()
    };
    let (m, n, depth) = (
        x.shape()[x.ndim() - 2],
        y.shape()[y.ndim() - 1],
        x.shape()[x.ndim() - 1],
    );
    let rank = x.ndim().max(y.ndim());
    let lead = |a: &ArrayD<f64>| {
        let mut shape = vec![1; rank - a.ndim()];
        shape.extend(&a.shape()[..a.ndim() - 2]);
        shape
    };
    let batch: Vec<usize> = lead(&x)
        .into_iter()
        .zip(lead(&y))
        .map(|(a, b)| if a == 1 { b } else { a })
        .collect();
    let full = |inner: [usize; 2]| batch.iter().copied().chain(inner).collect::<Vec<_>>();
    let xs = x.broadcast(full([m, depth])).unwrap();
    let ys = y.broadcast(full([depth, n])).unwrap();
    let product = ArrayD::from_shape_fn(IxDyn(&full([m, n])), |index| {
        let (batch, i, j) = (&index.slice()[..rank - 2], index[rank - 2], index[rank - 1]);
        (0..depth)
            .map(|k| {
                let at = |inner: [usize; 2]| IxDyn(&batch.iter().copied().chain(inner).collect::<Vec<_>>());
                xs[at([i, k])] * ys[at([k, j])]
            })
            .sum()
    });
    product.into_shape_with_order(IxDyn(result)).unwrap()
}

macro_rules! dtype_test {
    ($($name:ident $t:ty, $text:literal;)*) => {$(
        #[test]
        fn $name() {
            let kernel = jit::kernel(concat!("kernel p(x: ", $text, "[m, k], y: ", $text, "[k, n]) { x @ y }")).unwrap();
            for (m, k, n) in [(1, 3, 4), (4, 3, 1), (3, 1, 5), (5, 4, 3), (20, 40, 30), (70, 600, 90), (2, 0, 3)] {
                let x = Array2::from_shape_fn((m, k), |(i, j)| ((i * 5 + j * 3) % 7) as $t);
                let y = Array2::from_shape_fn((k, n), |(i, j)| ((i * 3 + j * 5) % 7) as $t);
                let found: Array2<$t> = kernel.call((&x, &y)).unwrap();
                let expected = Array2::from_shape_fn((m, n), |(i, j)| {
                    (0..k).fold(0 as $t, |acc, k| <$t as Ring>::add(acc, <$t as Ring>::mul(x[[i, k]], y[[k, j]])))
                });
                assert_eq!(found, expected, "{m} x {k} x {n}");
            }
        }
    )*};
}

/// Arithmetic that wraps where it can overflow.
trait Ring {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
}

macro_rules! wrapping {
    ($($t:ty)*) => {$(impl Ring for $t {
        fn add(self, other: Self) -> Self { self.wrapping_add(other) }
        fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
    })*};
}
wrapping!(i8 i16 i32 i64 u8 u16 u32 u64);
impl Ring for f64 {
    fn add(self, other: Self) -> Self {
        self + other
    }
    fn mul(self, other: Self) -> Self {
        self * other
    }
}

dtype_test! {
    of_i8 i8, "i8"; of_i16 i16, "i16"; of_i32 i32, "i32"; of_i64 i64, "i64";
    of_u8 u8, "u8"; of_u16 u16, "u16"; of_u32 u32, "u32"; of_u64 u64, "u64";
    of_f64 f64, "f64";
}

#[test]
fn storage_floats_accumulate_in_f32_and_round_once() {
    use half::{bf16, f16};
    let (x, y) = (noisy(20, 130, 1), noisy(130, 37, 2));
    let kernel = jit::kernel("kernel p(x: f16[m, k], y: f16[k, n]) { x @ y }").unwrap();
    let (hx, hy) = (x.mapv(f16::from_f32), y.mapv(f16::from_f32));
    let found: Array2<f16> = kernel.call((&hx, &hy)).unwrap();
    let exact = chain(hx.mapv(f32::from).view(), hy.mapv(f32::from).view());
    assert_eq!(found, exact.mapv(f16::from_f32));

    // Of two dtypes, the common one: here `f32`, to which the factors are cast as they are packed.
    let kernel = jit::kernel("kernel p(x: bf16[m, k], y: f32[k, n]) { x @ y }").unwrap();
    let bx = x.mapv(bf16::from_f32);
    let found: Array2<f32> = kernel.call((&bx, &y)).unwrap();
    assert_eq!(found, chain(bx.mapv(f32::from).view(), y.view()));
}

#[test]
fn of_truth_values_it_is_whether_any_pair_holds() {
    let kernel = jit::kernel("kernel p(x: bool[m, k], y: bool[k, n]) { x @ y }").unwrap();
    let x = Array2::from_shape_fn((9, 20), |(i, j)| (i * 3 + j) % 5 == 0);
    let y = Array2::from_shape_fn((20, 11), |(i, j)| (i + j * 3) % 7 == 0);
    let found: Array2<bool> = kernel.call((&x, &y)).unwrap();
    let expected = Array2::from_shape_fn((9, 11), |(i, j)| (0..20).any(|k| x[[i, k]] && y[[k, j]]));
    assert_eq!(found, expected);
}

#[test]
fn an_epilogue_is_computed_where_the_product_is_stored() {
    let kernel = jit::kernel(
        "kernel dense(x: f32[m, k], w: f32[k, n], b: f32[n], r: f32[m, n]) { let h = x @ w; maximum(h + b, 0) * 0.5 + r }",
    )
    .unwrap();
    for (m, k, n) in [
        (1, 5, 3),
        (5, 3, 1),
        (4, 1, 6),
        (7, 0, 5),
        (12, 64, 16),
        (13, 65, 19),
        (80, 1200, 90),
        (20, 2048, 400),
    ] {
        let (x, w) = (noisy(m, k, 1), noisy(k, n, 2));
        let b: Array1<f32> = noisy(1, n, 3).row(0).to_owned();
        let r = noisy(m, n, 4);
        let found: Array2<f32> = kernel.call((&x, &w, &b, &r)).unwrap();
        kernel.report().assert_groups(1);
        // A single row or column is a reduction, whose order is another one: its product is taken from the bare kernel.
        let product: Array2<f32> = jit::kernel(F32).unwrap().call((&x, &w)).unwrap();
        let expected = (product + b).mapv(|v| v.max(0.0) * 0.5) + r;
        assert_eq!(found, expected, "{m} x {k} x {n}");
    }
}

/// Between blocks of the contracted axis the sums are in a result of their type, or in scratch where there is none.
#[test]
fn sums_wait_in_a_result_of_their_type() {
    let results = [
        ("h + b", 1),
        ("(h + b) as f64", 1),
        ("((h + b) as f64, h * 0.5, h)", 3),
        ("(h as i32, transpose(h + b))", 2),
    ];
    for name in ["native", "simd128", "x86-64-v3"] {
        let target = Target::parse(name).unwrap();
        if !target.runs_here() {
            continue;
        }
        for (result, count) in results {
            let kernel = |body: &str, args: &str| {
                let text = format!("kernel k({args}) {{ {body} }}");
                jit::kernel(&text).unwrap().target(target.clone())
            };
            let fused = kernel(
                &format!("let h = x @ w; {result}"),
                "x: f32[m, k], w: f32[k, n], b: f32[n]",
            );
            let product = kernel("x @ w", "x: f32[m, k], w: f32[k, n]");
            let rest = kernel(result, "h: f32[m, n], b: f32[n]");
            for (m, k, n) in [(7, 1030, 700), (50, 2100, 67), (3, 5000, 33)] {
                let (x, w, b) = (noisy(m, k, 1), noisy(k, n, 2), noisy(1, n, 3).row(0).to_owned());
                let found: Vec<AnyArray> = fused.call((&x, &w, &b)).unwrap();
                let h: Array2<f32> = product.call((&x, &w)).unwrap();
                let expected: Vec<AnyArray> = rest.call((&h, &b)).unwrap();
                assert_eq!(found.len(), count);
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found.shape(), expected.shape());
                    assert_eq!(
                        found.scalars(),
                        expected.scalars(),
                        "{result} of {m} x {k} x {n} for {name}"
                    );
                }
            }
        }
    }
}

/// The micro-kernels of both emitters, in every width of vectors: with fused multiply-add in the processor, and without.
#[test]
fn every_target_gives_the_same_bits() {
    let (x, y) = (noisy(23, 70, 1), noisy(70, 19, 2));
    let (x64, y64) = (x.mapv(f64::from), y.mapv(f64::from));
    let f64_text = "kernel product(x: f64[m, k], y: f64[k, n]) -> f64[m, n] { x @ y }";
    let expected64: Array2<f64> = jit::kernel(f64_text).unwrap().call((&x64, &y64)).unwrap();
    // Integers wrap. Tiles are whole and not, in place and packed, with one block of the contracted axis and with several.
    let integers = [(23, 70, 19), (5, 2100, 67), (1, 3, 1), (40, 700, 300)].map(|(m, k, n)| {
        let number = |i: usize| (i as i64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
        let a = Array2::from_shape_fn((m, k), |(i, j)| number(i * k + j));
        let b = Array2::from_shape_fn((k, n), |(i, j)| number(7 * (i * n + j)));
        let product = Array2::from_shape_fn((m, n), |(i, j)| {
            let products = a
                .row(i)
                .iter()
                .zip(b.column(j))
                .map(|(a, b)| a.wrapping_mul(*b))
                .collect::<Vec<_>>();
            products.iter().fold(0i64, |sum, product| sum.wrapping_add(*product))
        });
        (a, b, product)
    });
    let mut names = vec!["native", "simd128"];
    if cfg!(target_arch = "x86_64") {
        names.push("x86-64");
        names.extend(has_avx2().then_some("x86-64-v3"));
    }
    for name in names {
        for opt in [OptLevel::None, OptLevel::Speed] {
            let target = Target::parse(name).unwrap().with_opt_level(opt);
            let kernel = jit::kernel(F32).unwrap().target(target.clone());
            let found: Array2<f32> = kernel.call((&x, &y)).unwrap();
            assert_eq!(found, chain(x.view(), y.view()), "{name} {opt:?}");
            let kernel = jit::kernel(f64_text).unwrap().target(target.clone());
            let found: Array2<f64> = kernel.call((&x64, &y64)).unwrap();
            assert_eq!(found, expected64, "{name} {opt:?}");
            let kernel = jit::matmul().target(target);
            for (a, b, product) in &integers {
                let found: Array2<i64> = kernel.call((a, b)).unwrap();
                assert_eq!(found, product, "{name} {opt:?}");
                // The low halves of sums are the sums of low halves.
                let (a, b) = (a.mapv(|v| v as i32), b.mapv(|v| v as i32));
                let found: Array2<i32> = kernel.call((&a, &b)).unwrap();
                assert_eq!(found, product.mapv(|v| v as i32), "{name} {opt:?}");
            }
        }
    }
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// NaN, infinities, signed zeros and subnormals go through the chain as its multiply-adds say.
#[test]
fn special_values_follow_the_chain() {
    let special = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        0.0,
        1e-40,
        f32::MAX,
        1.5,
    ];
    let x = Array2::from_shape_fn((9, 8), |(i, k)| special[(i + 3 * k) % 8]);
    let y = Array2::from_shape_fn((8, 17), |(k, j)| special[(5 * k + j) % 8]);
    let found: Array2<f32> = jit::kernel(F32).unwrap().call((&x, &y)).unwrap();
    let bits = |v: f32| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
    assert_eq!(found.mapv(bits), chain(x.view(), y.view()).mapv(bits));
}

#[test]
fn wrong_shapes_are_named() {
    let kernel = jit::kernel("kernel p(x: f32[a, b], w: f32[c, d]) { x @ w }").unwrap();
    let error = kernel
        .call::<Array2<f32>>((&Array2::<f32>::zeros((3, 4)), &Array2::<f32>::zeros((5, 6))))
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("axis 1 of `x` [3, 4] and axis 0 of `w` [5, 6]"), "{text}");
    let kernel = jit::kernel("kernel p(x: f32[a, b, c], w: f32[d, e, f]) { x @ w }").unwrap();
    let error = kernel
        .call::<Array3<f32>>((&Array3::<f32>::zeros((2, 3, 4)), &Array3::<f32>::zeros((3, 4, 5))))
        .unwrap_err();
    assert!(error.to_string().contains("does not broadcast"), "{error}");
    let error = jit::kernel("kernel p(x: f32[n], s: f32) { x @ s }").unwrap_err();
    assert!(error.to_string().contains("`s` has no axes"), "{error}");
}
