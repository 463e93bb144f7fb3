//! Warm calls: every check of a first call stands at later ones, whatever was called in between, and they allocate nothing.

#![allow(unsafe_code, reason = "counts what the system's allocator is asked for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::thread;

use loopweave::jit::Kernel;
use loopweave::prelude::*;
use loopweave::runtime::args::Args;
use loopweave::runtime::view::Arg;
use ndarray::{
    ArcArray1, Array1, Array2, ArrayD, ArrayView2, Axis, CowArray, Dimension, IxDyn, ShapeBuilder, array, s,
};

/// The system's allocator, counting per thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on as it is; counting touches a plain cell that needs no allocation itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The allocations of this thread during the third of three runs.
fn allocations(mut run: impl FnMut()) -> usize {
    run();
    run();
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[test]
fn warm_calls_allocate_nothing() {
    let x = Array2::from_shape_fn((30, 40), |(i, j)| (i * 40 + j) as f64);
    let row = Array1::from_elem(40, 2.0);
    let kernels: [(&str, Kernel); 5] = [
        ("map", jit::zip(|x, y| x * y + 1).unwrap()),
        (
            "two groups",
            jit::kernel(
                "kernel k(x: f64[n, m], y: f64[m]) -> f64[n, m] { x - sum(x * y, axis = -1, keepdims = true) / max(x) }",
            )
            .unwrap(),
        ),
        ("lanes", jit::sum().of_zip(|x, y| x * y).axis(1).keepdims(true).threads(1).unwrap()),
        ("chain", jit::sum().of_zip(|x, y| x * y).axis(0).keepdims(true).threads(1).unwrap()),
        ("all", jit::argmax().of_zip(|x, y| x * y).keepdims(true).threads(1).unwrap()),
    ];
    for (name, kernel) in &kernels {
        let shape = kernel.call::<AnyArray>((&x, &row)).unwrap().shape().to_vec();
        let mut floats = ArrayD::<f64>::zeros(IxDyn(&shape));
        let mut positions = ArrayD::<i64>::zeros(IxDyn(&shape));
        let count = match *name {
            "all" => allocations(|| kernel.call_into((&x, &row), &mut positions).unwrap()),
            _ => allocations(|| kernel.call_into((&x, &row), &mut floats).unwrap()),
        };
        assert_eq!(count, 0, "{name}");
    }
    // A program by name and by position, with arrays between its groups.
    let program = jit::program(|g| {
        let (x, row) = (g.input("x", F64, 2), g.input("row", F64, 1));
        let gram = x.matmul(x.t()).named("gram");
        g.output("y", gram.matmul(gram).matmul(x) + row);
    })
    .unwrap();
    let mut out = Array2::<f64>::zeros((30, 40));
    let by_name = || program.run_into([("row", &row), ("x", &x)], [("y", &mut out)]).unwrap();
    assert_eq!(allocations(by_name), 0, "by name");
    assert_eq!(
        allocations(|| program.call_into((&x, &row), &mut out).unwrap()),
        0,
        "by position"
    );
    assert!(program.report().memory.unwrap().intermediate_bytes > 0);
    let mut bound = program.bind((&x, &row), &mut out).unwrap();
    assert_eq!(allocations(|| bound.run()), 0, "bound");
    // Operands that disagree about the fast axis, scalars, and slices.
    let axpy = jit::zip3(|a, x, y| a * x + y).unwrap();
    let mut out = Array2::<f64>::zeros((40, 30));
    assert_eq!(
        allocations(|| axpy.call_into((2, &x.t(), &out.clone()), &mut out).unwrap()),
        1,
        "the clone"
    );
    let t = x.t().as_standard_layout().to_owned();
    assert_eq!(allocations(|| axpy.call_into((2, &x.t(), &t), &mut out).unwrap()), 0);
    let mut line = vec![0.0; 40];
    assert_eq!(
        allocations(|| axpy.call_into((2, &row, &[1.0; 40]), &mut line).unwrap()),
        0
    );
    assert_eq!(allocations(|| axpy.call_in_place(&mut line, (&row, 1)).unwrap()), 0);
    let sum = jit::zip8(|a, b, c, d, e, f, g, h| a + b + c + d + e + f + g + h).unwrap();
    let eight = (&x, &x, &x, &x, &x, &x, &x, &row);
    let mut out = Array2::<f64>::zeros((30, 40));
    assert_eq!(allocations(|| sum.call_into(eight, &mut out).unwrap()), 0);
}

/// More kinds of calls than are kept for good, in turns, each checked: a hit must be for its own layout.
#[test]
fn calls_of_many_kinds_in_turns() {
    let kernel = jit::zip(|x, y| x * 3 - y).unwrap();
    let base = Array2::from_shape_fn((12, 12), |(i, j)| (i * 12 + j) as i64);
    let check = |kernel: &Kernel, x: ArrayView2<'_, i64>| {
        let y = x.slice(s![..1, ..]);
        let expected = &x * 3 - y;
        let result: Array2<i64> = kernel.call((&x, &y)).unwrap();
        assert_eq!(result, expected);
        let mut out = Array2::<i64>::zeros(x.dim());
        kernel.call_into((&x, &y), &mut out).unwrap();
        assert_eq!(out, expected);
        let mut out = Array2::<i64>::zeros(x.dim().f());
        kernel.call_into((&x, &y), &mut out).unwrap();
        assert_eq!(out, expected);
        let floats = x.mapv(|v| v as f32);
        let result: Array2<f32> = kernel.call((&floats, 1)).unwrap();
        assert_eq!(result, floats * 3.0 - 1.0);
    };
    let run = |rounds: usize| {
        for _ in 0..rounds {
            for n in [1, 2, 5] {
                for step in [1, 2, -1, -2] {
                    let view = base.slice(s![..n, ..;step]);
                    check(&kernel, view);
                    check(&kernel, view.t());
                }
            }
            // The same extents with other strides, the same strides with other extents.
            check(&kernel, base.slice(s![..6, ..6]));
            check(&kernel, base.slice(s![..;2, ..;2]));
            check(&kernel, base.slice(s![..6, ..7]));
        }
    };
    run(2);
    thread::scope(|scope| {
        scope.spawn(|| run(3));
        scope.spawn(|| run(3));
    });
}

#[test]
fn ranks_and_dtypes_in_turns() {
    let kernel = jit::map(|x| x + 1).unwrap();
    for _ in 0..3 {
        for rank in 0..=8 {
            let shape: Vec<usize> = (0..rank).map(|axis| 1 + axis % 2).collect();
            let x = ArrayD::from_shape_fn(IxDyn(&shape), |i| i.slice().iter().sum::<usize>() as u8);
            let y: ArrayD<u8> = kernel.call(&x).unwrap();
            assert_eq!(y, x.mapv(|v| v + 1));
            let wide = x.mapv(f64::from);
            let mut out = ArrayD::<f64>::zeros(IxDyn(&shape));
            kernel.call_into(wide.t(), &mut out.view_mut().reversed_axes()).unwrap();
            assert_eq!(out, wide + 1.0);
            // The wrong dtype and rank, after a right call.
            assert!(
                kernel
                    .call_into(&x, &mut out)
                    .unwrap_err()
                    .to_string()
                    .contains("is f64")
            );
            let mut deeper = x.clone().insert_axis(Axis(0));
            assert!(
                kernel
                    .call_into(&x, &mut deeper)
                    .unwrap_err()
                    .to_string()
                    .contains("has shape")
            );
        }
        assert_eq!(kernel.call::<i32>(41).map_err(|e| e.to_string()), wrong_form());
    }
}

/// A bare integer is `i64`; asked for in another form, it is refused.
fn wrong_form() -> Result<i32, String> {
    Err(String::from("the result is i64, but i32 was asked for"))
}

#[test]
fn empty_arrays_with_odd_strides() {
    let kernel = jit::map(|x| x * 2).unwrap();
    let data = [1.0f32; 40];
    for _ in 0..3 {
        for (extents, strides) in [
            ((0, 3), (7, 2)),
            ((3, 0), (1, 5)),
            ((0, 0), (3, 3)),
            ((0, 3), (3, 1)),
            ((2, 0), (0, 0)),
        ] {
            let x = ArrayView2::from_shape(extents.strides(strides), &data).unwrap();
            let y: Array2<f32> = kernel.call(x).unwrap();
            assert_eq!(y.dim(), extents);
            kernel.call_into(x, &mut Array2::<f32>::zeros(extents)).unwrap();
            kernel.call_into(x, &mut Array2::<f32>::zeros(extents.f())).unwrap();
            assert!(kernel.call_into(x, &mut Array2::<f32>::zeros((1, 1))).is_err());
        }
        let full = array![[1.0f32, 2.0]];
        assert_eq!(kernel.call::<Array2<f32>>(&full).unwrap(), array![[2.0, 4.0]]);
        assert_eq!(kernel.call::<Array1<f32>>(&data[..0]).unwrap().len(), 0);
    }
}

#[test]
fn values_are_checked_at_every_call() {
    let add = jit::zip(|x, y| x + y).unwrap();
    let typed = jit::kernel("kernel k(x: u8[n], a: u8) -> u8[n] { x + a }").unwrap();
    let x = array![1u8, 2];
    let mut out = array![0u8, 0];
    for kernel in [&add, &typed] {
        for _ in 0..3 {
            kernel.call_into((&x, 250), &mut out).unwrap();
            assert_eq!(out, array![251, 252]);
            assert!(kernel.call_into((&x, 300), &mut out).is_err());
            assert!(kernel.call_into((&x, -1), &mut out).is_err());
            assert_eq!(out, array![251, 252], "nothing was written");
        }
    }
    for _ in 0..3 {
        let error = add.call_into((&x, 300), &mut out).unwrap_err().to_string();
        assert_eq!(error, "`y` is 300, which does not fit u8");
    }
}

#[test]
fn overlaps_are_refused_at_every_call() {
    let reverse = jit::kernel("kernel rev(x: f32[n]) -> f32[n] { x[::-1] + 1 }").unwrap();
    let mut x = array![1.0f32, 2.0, 3.0];
    let mut out = Array1::<f32>::zeros(3);
    for _ in 0..3 {
        reverse.call_into(&x, &mut out).unwrap();
        assert_eq!(out, array![4.0, 3.0, 2.0]);
        let error = reverse.call_in_place(&mut x, ()).unwrap_err().to_string();
        assert!(error.contains("overlaps the input `x`"), "{error}");
        assert_eq!(x, array![1.0, 2.0, 3.0], "nothing was written");
    }
    // A map reads where it writes, so the same layouts may be one view or two.
    let next = jit::map(|x| x + 1).unwrap();
    for round in 1..4 {
        next.call_in_place(&mut x, ()).unwrap();
        next.call_into(&x, &mut out).unwrap();
        let base = round as f32;
        assert_eq!((&x, &out), (&array![base + 1.0, base + 2.0, base + 3.0], &(&x + 1.0)));
    }
}

/// Arrays that share or borrow their elements copy them when they are written, and lie otherwise then.
#[test]
fn outputs_that_copy_when_written() {
    let kernel = jit::map(|x| x + 1).unwrap();
    let original = ArcArray1::from_iter(0..100i32);
    let mut sparse = original.clone();
    sparse.slice_axis_inplace(Axis(0), ndarray::Slice::new(0, None, 10));
    let x = Array1::from_iter(0..10i32);
    for _ in 0..2 {
        kernel.call_into(&x, &mut sparse).unwrap();
        assert_eq!(sparse, ArcArray1::from_iter(1..11));
        sparse = original.clone();
        sparse.slice_axis_inplace(Axis(0), ndarray::Slice::new(0, None, -10));
    }
    let mut borrowed = CowArray::from(original.slice(s![..;-10]));
    kernel.call_into(&x, &mut borrowed).unwrap();
    assert_eq!(borrowed, CowArray::from(Array1::from_iter(1..11)));
    assert_eq!(original, ArcArray1::from_iter(0..100));
}

#[test]
fn the_report_is_of_the_last_call() {
    let kernel = jit::map(|x| x + 1).unwrap();
    // More kinds than are kept for good.
    let lengths: Vec<usize> = (1..=12).map(|i| i * 1000).collect();
    for _ in 0..2 {
        for &n in &lengths {
            let _: Array1<f32> = kernel.call(Array1::<f32>::zeros(n)).unwrap();
            assert!(
                kernel.report().to_string().contains(&n.to_string()),
                "{}",
                kernel.report()
            );
            let _: Array1<i64> = kernel.call(Array1::<i64>::zeros(n)).unwrap();
            assert!(kernel.report().to_string().contains("i64"), "{}", kernel.report());
        }
    }
}

#[test]
fn views_show_what_the_array_has() {
    let x = Array2::<f32>::zeros((4, 6));
    let part = x.slice(s![..;2, ..;-3]);
    let view = Arg::view(&part);
    assert_eq!((view.shape(), view.strides()), (&[2, 2][..], &[12, -3][..]));
    assert_eq!(view.layout().byte_range(4), -12..52);
    let slice = [1u8, 2, 3];
    assert_eq!((slice.view().shape(), slice.view().strides()), (&[3][..], &[1][..]));
    let three = (&x, 2.5, &slice);
    assert_eq!(three.views().map(|v| v.shape().len()), [2, 0, 1]);
}
