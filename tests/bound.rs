//! Bound calls: checked once, run again and again on what their arrays hold then.

use std::cell::Cell;

use loopweave::jit::Cells;
use loopweave::prelude::*;
use ndarray::{Array1, Array2, Ix0, Ix1, Ix2, array, s};

#[test]
fn every_run_sees_what_cells_hold_then() {
    let x = [1i32, 2, 3].map(Cell::new);
    let y = [0i32; 3].map(Cell::new);
    let step = jit::zip(|x, a| x * a + 1).unwrap();
    let mut bound = step.bind((Cells::from(&x[..]), 10), Cells::from(&y[..])).unwrap();
    bound.run();
    assert_eq!(y.each_ref().map(Cell::get), [11, 21, 31]);
    x[1].set(-1);
    bound.run();
    assert_eq!(y.each_ref().map(Cell::get), [11, -9, 31]);
    // A reference to what lies in cells would forbid changing them.
    let seen = bound.output::<i32, Ix1>(0).unwrap_err().to_string();
    assert!(seen.starts_with("the result lies in cells"), "{seen}");
    // The result of one call is the argument of another.
    let mut back = step.bind((Cells::from(&y[..]), 2), Cells::from(&x[..])).unwrap();
    back.run();
    bound.run();
    assert_eq!(y.each_ref().map(Cell::get), [231, -169, 631]);
}

#[test]
fn outputs_of_any_strides_are_shown_between_runs() {
    let x = Array2::from_shape_fn((3, 4), |(i, j)| (i * 4 + j) as f64);
    let mut memory = Array2::<f64>::zeros((8, 6));
    let kernel = jit::map(|x| 2 * x).unwrap();
    let mut out = memory.slice_mut(s![1..;2, ..;-2]).reversed_axes();
    let mut bound = kernel.bind(&x, &mut out).unwrap();
    bound.run();
    assert_eq!(bound.output::<f64, Ix2>(0).unwrap(), &x * 2.0);
    bound.run();
    let wrong = bound.output::<f32, Ix2>(0).unwrap_err().to_string();
    assert_eq!(wrong, "the result is f64, but f32 was asked for");
    let wrong = bound.output::<f64, Ix1>(0).unwrap_err().to_string();
    assert_eq!(wrong, "the result has shape [3, 4], but 1 axes were asked for");
    assert!(bound.output::<f64, Ix2>(1).is_err());
    assert_eq!(memory.slice(s![1..;2, ..;-2]).t(), &x * 2.0);
}

#[test]
fn programs_with_intermediates_and_several_outputs() {
    let program = jit::program(|g| {
        let (x, w) = (g.input("x", F32, 2), g.input("w", F32, 2));
        let hidden = x.matmul(w).named("hidden");
        g.output("y", hidden.matmul(hidden));
        g.output("top", hidden.max(..));
    })
    .unwrap();
    let x = Array2::from_shape_fn((5, 5), |(i, j)| (i as f32) - (j as f32) * 0.5);
    let w = Array2::from_shape_fn((5, 5), |(i, j)| ((i * j) % 3) as f32);
    let mut expected = (Array2::<f32>::zeros((5, 5)), ndarray::arr0(0.0f32));
    program.call_into((&x, &w), (&mut expected.0, &mut expected.1)).unwrap();
    let (mut y, mut top) = (Array2::<f32>::zeros((5, 5)), ndarray::arr0(0.0f32));
    let outputs: [(&str, &mut dyn loopweave::runtime::view::ArgMut); 2] = [("top", &mut top), ("y", &mut y)];
    let mut bound = program.bind_by_name([("w", &w), ("x", &x)], outputs).unwrap();
    // It stays whole without the program.
    drop(program);
    let mut bound = std::hint::black_box(move || {
        bound.run();
        bound
    })();
    bound.run();
    assert_eq!(bound.output::<f32, Ix2>(0).unwrap(), expected.0);
    assert_eq!(bound.output::<f32, Ix0>(1).unwrap(), expected.1);
}

#[test]
fn large_calls_are_split_as_ever() {
    let kernel = jit::func("exp(x) + y").unwrap().threads(3).unwrap();
    let x = Array1::from_shape_fn(1 << 17, |i| (i % 100) as f32 * 0.01);
    let expected: Array1<f32> = kernel.call((&x, 1.5)).unwrap();
    let mut out = Array1::<f32>::zeros(1 << 17);
    let mut bound = kernel.bind((&x, 1.5), &mut out).unwrap();
    (0..3).for_each(|_| bound.run());
    assert_eq!(out, expected);
}

#[test]
fn what_a_call_refuses_cannot_be_bound() {
    let mut x = array![1.0f32, 2.0, 3.0];
    let x = x.cell_view();
    let kernel = jit::zip(|x, y| x + y).unwrap();
    let message = |result: Result<jit::Bound<'_>, Error>| result.unwrap_err().to_string();
    let (head, tail) = (x.slice(s![..2]), x.slice(s![1..]));
    let overlap = kernel.bind((Cells::from(&head), 1), Cells::from(&tail));
    assert!(message(overlap).contains("overlaps the input"));
    let mut short = [0.0f32; 2];
    assert!(message(kernel.bind((Cells::from(&x), 1), &mut short)).contains("has shape [2]"));
    assert!(message(kernel.bind(Cells::from(&x), &mut short)).contains("takes 2 arguments, not 1"));
    let mut doubles = [0.0f64; 3];
    assert!(message(kernel.bind((Cells::from(&x), 1), &mut doubles)).contains("is f64, but the result is f32"));
    // Empty arrays have nothing to compute.
    let mut none = [0.0f32; 0];
    kernel.bind((&[0.0f32; 0], 1), &mut none).unwrap().run();
}
