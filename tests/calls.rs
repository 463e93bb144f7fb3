//! Calls: outputs of any layout, calls in place, extreme shapes, and what is refused, by the exact text.

mod support;

use loopweave::prelude::*;
use loopweave::runtime::view::{Arg, ArgMut, View};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, array, s};
use support::{Caches, Engines, Lay, Strided, map_graph};

#[test]
fn outputs_of_every_layout() {
    let func = loopweave::ir::trace("f", |[x, y]| x * 2 + y).unwrap();
    for dtype in [Dtype::I8, Dtype::F16, Dtype::I32, Dtype::F64] {
        let types = [dtype.into(); 2];
        let typed = loopweave::ir::specialise(&func, &types).unwrap();
        for shape in [&[0][..], &[1], &[37], &[5, 7], &[2, 3, 4], &[70, 3], &[3, 0, 2]] {
            let engines = Engines::new(&map_graph(&typed, &[shape.len(); 2]), &Caches::default());
            let value = |position: usize| Scalar::from_f64(dtype, (position % 11) as f64 - 5.0);
            let inputs = [Lay::Contiguous, Lay::Reversed].map(|lay| Strided::new(dtype, shape, lay, value));
            let args = inputs.each_ref().map(Strided::arg);
            let views: Vec<View<'_>> = args.iter().map(|a| a.view()).collect();
            let expected: Vec<Scalar> = (0..shape.iter().product())
                .map(|position: usize| Scalar::from_f64(dtype, value(position).as_f64() * 3.0))
                .collect();
            for lay in [Lay::Contiguous, Lay::Strided, Lay::Reversed, Lay::Transposed] {
                let untouched = Scalar::from_f64(dtype, 77.0);
                let mut out = Strided::new(dtype, shape, lay, |_| Scalar::from_bits(dtype, 0));
                out.paint_gaps(untouched);
                let gaps = out.memory().iter().filter(|&&v| v == untouched).count();
                engines
                    .speed()
                    .run_into(&views, &mut [out.arg_mut().view_mut()])
                    .unwrap();
                assert_eq!(out.scalars(), expected, "{dtype} {shape:?} {lay:?}");
                let after = out.memory().iter().filter(|&&v| v == untouched).count();
                assert_eq!(
                    after, gaps,
                    "{dtype} {shape:?} {lay:?}: elements between the output's own"
                );
            }
        }
    }
}

#[test]
fn long_and_thin() {
    for shape in [[1_000_000, 3], [3, 1_000_000]] {
        let x = Array2::from_shape_fn(shape, |(i, j)| ((i * 3 + j) % 1000) as f32);
        let y: Array2<f32> = jit::map(|x| x * 2 + 1).unwrap().call(&x).unwrap();
        assert_eq!(y, x.mapv(|x| x * 2.0 + 1.0));
        let row: Array2<f32> = jit::zip(|x, y| x - y)
            .unwrap()
            .call((&x, &x.slice(s![..1, ..])))
            .unwrap();
        assert_eq!(row, &x - &x.slice(s![..1, ..]));
        for axis in [0, 1] {
            let max: Array1<f32> = jit::max().axis(axis as isize).call(&x).unwrap();
            assert_eq!(max, x.fold_axis(Axis(axis), f32::MIN, |a, b| a.max(*b)));
            let sum: Array1<f64> = jit::sum()
                .of_func("f64(x)")
                .unwrap()
                .axis(axis as isize)
                .call(&x)
                .unwrap();
            assert_eq!(sum, x.mapv(f64::from).sum_axis(Axis(axis)));
            let arg: Array1<i64> = jit::argmax().axis(axis as isize).call(&x).unwrap();
            let first = |lane: ndarray::ArrayView1<'_, f32>| {
                let mut best = 0;
                lane.iter()
                    .enumerate()
                    .for_each(|(i, v)| best = if *v > lane[best] { i } else { best });
                best as i64
            };
            assert_eq!(arg, x.map_axis(Axis(axis), first));
        }
        let all: f64 = jit::sum().of_func("f64(x)").unwrap().call(&x).unwrap();
        assert_eq!(all, x.mapv(f64::from).sum());
    }
}

#[test]
fn twelve_axes() {
    let shape = [2, 1, 2, 1, 2, 3, 3, 2, 1, 2, 1, 2];
    let x = ArrayD::from_shape_fn(IxDyn(&shape), |i| (0..12).fold(0i64, |p, axis| p * 3 + i[axis] as i64));
    let y: ArrayD<i64> = jit::zip(|x, y| x * y - 1)
        .unwrap()
        .call((&x, &x.t()))
        .unwrap_or_else(|e| panic!("{e}"));
    let t = x.t();
    let expected = ndarray::Zip::from(x.broadcast(y.shape()).unwrap())
        .and(t.broadcast(y.shape()).unwrap())
        .map_collect(|a, b| a * b - 1);
    assert_eq!(y, expected);
    let total: i64 = jit::sum().call(&x).unwrap();
    assert_eq!(total, x.sum());
}

/// Tiles of operands that lie across are turned on the thread's stack, which holds those of a few.
#[test]
fn many_transposed_arguments() {
    for count in [8, 9, 200] {
        let names: Vec<String> = (0..2 * count).map(|k| format!("x{k}")).collect();
        let program = jit::program(|g| {
            let inputs: Vec<_> = names.iter().map(|name| g.input(name, F32, 2)).collect();
            let pairs = inputs.chunks(2).map(|pair| pair[0] + pair[1].t());
            g.output("sum", pairs.reduce(|sum, pair| sum + pair).unwrap());
        })
        .unwrap();
        let arrays: Vec<Array2<f32>> = (0..2 * count)
            .map(|k| Array2::from_shape_fn((40, 40), |(i, j)| ((k + 3 * i + 7 * j) % 16) as f32))
            .collect();
        let found: Array2<f32> = std::thread::scope(|scope| {
            let small = std::thread::Builder::new().stack_size(1 << 20);
            let call = || {
                let named = names
                    .iter()
                    .zip(&arrays)
                    .map(|(name, array)| (name.as_str(), array as &dyn Arg));
                program
                    .run_slice(&named.collect::<Vec<_>>())
                    .unwrap()
                    .take("sum")
                    .unwrap()
            };
            small.spawn_scoped(scope, call).unwrap().join().unwrap()
        });
        let expected = arrays
            .chunks(2)
            .fold(Array2::<f32>::zeros((40, 40)), |sum, pair| sum + &pair[0] + pair[1].t());
        assert_eq!(found, expected, "{count}");
    }
}

/// Where narrow results stand beside wide values, the end of a row has fewer lanes than a register of its bytes: what lies
/// further on is read after that store, in a call that overwrites its argument and in a reduction along the outer axis.
#[test]
fn ends_of_rows_leave_what_follows() {
    let positive = jit::func("fn positive(flag, x) { flag & (x > 0) }").unwrap();
    let all = jit::all().axis(0);
    for n in 1..100 {
        let x = Array2::from_shape_fn((3, n), |(i, j)| f64::from(u8::from((i + 5 * j) % 7 != 0)));
        let mut flags = Array1::from_elem(n, true);
        for row in x.rows() {
            positive.call_in_place(&mut flags, row).unwrap();
        }
        let expected = Array1::from_shape_fn(n, |j| x.column(j).iter().all(|&v| v > 0.0));
        assert_eq!(flags, expected, "{n} in place");
        let found: Array1<bool> = all.call(&x).unwrap();
        assert_eq!(found, expected, "{n} along the outer axis");
    }
}

#[test]
fn in_place() {
    let scale = jit::zip(|x, a| x * a).unwrap();
    let original = Array2::from_shape_fn((40, 30), |(i, j)| (i * 30 + j) as i64);
    let mut x = original.clone();
    scale.call_in_place(&mut x, 3).unwrap();
    assert_eq!(x, &original * 3);
    let mut x = original.clone();
    scale.call_in_place(&mut x.slice_mut(s![1..;2, ..;-3]), 3).unwrap();
    let mut expected = original.clone();
    expected.slice_mut(s![1..;2, ..;-3]).mapv_inplace(|v| v * 3);
    assert_eq!(x, expected);
    // The same array as both arguments' memory would be a borrow error; a row of another array is fine.
    let row = Array1::from_elem(30, 2i64);
    scale.call_in_place(&mut x, &row).unwrap();
    assert_eq!(x, &expected * 2);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let add = || jit::func("fn add(x, y) { x + y }").unwrap();
    let (x, y) = (Array2::<f32>::zeros((3, 4)), Array2::<f32>::zeros((3, 5)));
    let refused = |result: Result<ArrayD<f32>, Error>| result.unwrap_err().to_string();
    assert_eq!(
        refused(add().call((&x, &y))),
        "`y` has shape [3, 5], which does not broadcast with `x` [3, 4] at axis 1"
    );
    assert_eq!(refused(add().call(&x)), "`add` takes 2 arguments, not 1");
    assert_eq!(
        refused(add().call((&x, &Array2::<f64>::zeros((3, 4))))),
        "the result is f64, but f32 was asked for"
    );
    let into = |out: &mut dyn ArgMut| add().call_into((&x, &x), &mut *out).unwrap_err().to_string();
    assert_eq!(
        into(&mut Array2::<f32>::zeros((4, 4))),
        "the output for `add` has shape [4, 4], but the result has [3, 4]"
    );
    assert_eq!(
        into(&mut Array2::<f64>::zeros((3, 4))),
        "the output for `add` is f64, but the result is f32"
    );
    let typed = jit::func("fn typed(x: f32) -> f32 { x }").unwrap();
    assert_eq!(
        typed.call::<ArrayD<f32>>(&array![1i32]).unwrap_err().to_string(),
        "parameter `x` of `typed` is f32, but the argument is i32"
    );
    let mean: Result<f32, Error> = jit::mean().axis(2).call(&x);
    assert_eq!(
        mean.unwrap_err().to_string(),
        "axis 2 is out of range for `x` with 2 axes"
    );
    let shift = jit::func("fn shift(x) { x << 1 }").unwrap().call::<ArrayD<f32>>(&x);
    assert_eq!(
        shift.unwrap_err().to_string(),
        "`shift` of f32: `shl` does not take f32; expected integers"
    );
}

#[test]
fn overlaps_are_refused() {
    let kernel = jit::kernel("kernel rev(x: f32[n]) -> f32[n] { x[::-1] + 1 }").unwrap();
    let mut x = array![1.0f32, 2.0, 3.0];
    let error = kernel.call_in_place(&mut x, ()).unwrap_err().to_string();
    assert!(error.starts_with("the output for `"), "{error}");
    assert!(error.contains("overlaps the input `x`"), "{error}");
    assert_eq!(x, array![1.0, 2.0, 3.0], "nothing was written");
    let sum = jit::sum().axis(0).keepdims(true);
    let mut one = array![4.0f32];
    assert!(
        sum.call_in_place(&mut one, ())
            .unwrap_err()
            .to_string()
            .contains("overlaps the input `x`")
    );
}

#[test]
fn a_bare_integer_must_fit_what_it_meets() {
    let eq = jit::zip(|x, y| x.eq(y)).unwrap();
    let error = eq.call::<AnyArray>((&[44u8, 1], 300)).unwrap_err().to_string();
    assert_eq!(error, "`y` is 300, which does not fit u8");
    let add = jit::zip(|x, y| x + y).unwrap();
    assert!(add.call::<AnyArray>((&[3i8], 300)).is_err());
    assert!(add.call::<AnyArray>((&[3i8], 100)).is_ok());
}

#[test]
fn narrowing_to_half_rounds_once() {
    let half = jit::map(|x| x.cast(F16).cast(F64)).unwrap();
    let x = &[
        1.0 + 2f64.powi(-11) + 2f64.powi(-40),
        65519.999999999,
        f64::INFINITY,
        -0.0,
    ];
    let y: ndarray::Array1<f64> = half.call(x).unwrap();
    assert_eq!(
        y.as_slice().unwrap(),
        [1.0 + 2f64.powi(-10), 65504.0, f64::INFINITY, -0.0]
    );
}

#[test]
fn a_result_too_large_for_memory_is_an_error() {
    let add = jit::zip(|x, y| x + y).unwrap();
    let (column, row) = (
        ndarray::Array2::<u8>::zeros((40_000_000, 1)),
        ndarray::Array2::<u8>::zeros((1, 40_000_000)),
    );
    let error = add.call::<AnyArray>((&column, &row)).unwrap_err().to_string();
    assert!(error.contains("too large for memory"), "{error}");
}

/// Kernels that differ in names alone are compiled once.
#[test]
fn repeated_steps_share_their_kernels() {
    let step = |i: usize, from: &str| {
        format!(
            "let a{i} = {from} - max({from}, axis = 0, keepdims = true);
             let b{i} = a{i} / sum(a{i} * 0.5 + 1, axis = 0, keepdims = true);\n"
        )
    };
    let steps: String = (0..10)
        .map(|i| {
            step(
                i,
                &if i == 0 {
                    String::from("x")
                } else {
                    format!("b{}", i - 1)
                },
            )
        })
        .collect();
    let kernel = jit::kernel(&format!("kernel steps(x: f32[n, m]) -> f32[n, m] {{ {steps} b9 }}")).unwrap();
    let x = Array2::from_shape_fn((5, 6), |(i, j)| (i * 3 + j) as f32);
    let y: Array2<f32> = kernel.call(&x).unwrap();
    assert!(y.iter().all(|v| v.is_finite()));
    let made = kernel.report().groups.len();
    assert!(
        made >= 20 && kernel.compiled() <= 10,
        "{made} groups, {} kernels",
        kernel.compiled()
    );
}

/// What `compile_for` makes ahead of a call is what the call needs, whatever the rank.
#[test]
fn kernels_are_ready_for_any_rank() {
    for rank in 1..=8 {
        let mut shape = vec![2; rank];
        shape[rank - 1] = 30;
        let x = ndarray::ArrayD::<f32>::ones(&shape[..]);
        for kernel in [jit::sum().axis(-1), jit::max().axis(-1), jit::sum()] {
            kernel.compile_for(&[Dtype::F32], rank).unwrap();
            assert_eq!(kernel.compiled(), 1);
            let _: AnyArray = kernel.call(&x).unwrap();
            assert_eq!(kernel.compiled(), 1, "rank {rank}");
        }
    }
}
