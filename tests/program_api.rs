//! Array programs in Rust: names in calls, every mistake reported and none a panic, fusion without named extents, the arena, and
//! products with epilogues.

use std::f64::consts::FRAC_1_SQRT_2;

use loopweave::jit::{Program, ProgramBuilder, Slice};
use loopweave::prelude::*;
use ndarray::{Array1, Array2, Array3, array};

fn dense() -> Program {
    jit::program(|g| {
        g.name("dense");
        let (x, w, b) = (g.input("x", F32, 2), g.input("w", F32, 2), g.input("b", F32, 1));
        g.output(
            "y",
            (x.matmul(w) + b).map(|h| 0.5 * h * (1.0 + (h * FRAC_1_SQRT_2).erf())),
        );
    })
    .unwrap()
}

fn noise(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 37 + j * 11) % 19) as f32 / 9.0 - 1.0)
}

#[test]
fn inputs_go_by_name_in_any_order() {
    let (x, w, b) = (noise(5, 8), noise(8, 3), Array1::from_elem(3, 0.25f32));
    let dense = dense();
    let by_position: Array2<f32> = dense.call((&x, &w, &b)).unwrap();
    let by_name: Array2<f32> = dense.run_as([("b", &b), ("x", &x), ("w", &w)]).unwrap();
    assert_eq!(by_name, by_position);
    let mut taken = dense.run([("w", &w), ("x", &x), ("b", &b)]).unwrap();
    assert_eq!(taken.take::<f32, _>("y").unwrap(), by_position);
    assert_eq!(
        taken.get("y").unwrap_err().to_string(),
        "the result `y` was taken before"
    );
    let mut into = Array2::<f32>::zeros((3, 5));
    dense
        .run_into(
            [("b", &b), ("w", &w), ("x", &x)],
            [("y", &mut into.view_mut().reversed_axes())],
        )
        .unwrap();
    assert_eq!(into.t(), by_position);
}

#[test]
fn wrong_names_say_what_was_meant() {
    let (x, w, b) = (noise(5, 8), noise(8, 3), Array1::from_elem(3, 0.25f32));
    let dense = dense();
    let message =
        |inputs: &[(&str, &dyn loopweave::runtime::view::Arg)]| dense.run_slice(inputs).unwrap_err().to_string();
    for (inputs, expected) in [
        (message(&[("x", &x), ("b", &b)]), "the input `w` of `dense` is missing"),
        (message(&[]), "the input `x` of `dense` is missing"),
        (
            message(&[("x", &x), ("w", &w), ("bb", &b)]),
            "`dense` has no input `bb`; there is `x`, `w`, `b`",
        ),
        (
            message(&[("x", &x), ("w", &w), ("b", &b), ("scale", &2.0)]),
            "`dense` has no input `scale`; there is `x`, `w`, `b`",
        ),
        (
            message(&[("x", &x), ("w", &w), ("b", &b), ("w", &w)]),
            "the input `w` of `dense` is given twice",
        ),
        (
            message(&[("x", &x), ("w", &x), ("b", &b)]),
            "axis 1 of `x` [5, 8] and axis 0 of `w` [5, 8] must have the same extent for a matrix product",
        ),
        (
            message(&[("x", &x), ("w", &w), ("b", &x)]),
            "`b` has 2 axes; `dense` takes 1",
        ),
    ] {
        assert_eq!(inputs, expected);
    }
    let mut y = Array2::<f32>::zeros((5, 3));
    let wrong = dense.run_into([("x", &x), ("w", &w), ("b", &b)], [("z", &mut y)]);
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "`dense` has no output `z`; there is `y`"
    );
    let wrong = dense.run_into([("x", &x), ("w", &w), ("b", &b)], []);
    assert_eq!(wrong.unwrap_err().to_string(), "the output `y` of `dense` is missing");
}

#[test]
fn every_mistake_is_reported_once_with_its_line() {
    let program = |g: &ProgramBuilder| {
        let (x, scale) = (g.input("x", F32, 2), g.input("scale", F32, 0));
        let bad = x.matmul(scale);
        let also_bad = x.sum(5).exp() + 1;
        g.output("y", (bad + also_bad).map(|v| v * 2).t());
    };
    let error = jit::program(program).unwrap_err().to_string();
    let line = line!() - 5;
    let file = file!();
    assert_eq!(
        error,
        format!(
            "the program `program` cannot be built:\n  {file}:{line}:21: `scale` has no axes; a matrix product needs at least \
             one (`*` scales by a scalar)\n  {file}:{}:26: axis 5 is out of range for `x` with 2 axes",
            line + 1
        )
    );
}

/// The one error of a program, without its place.
fn fault(program: impl FnOnce(&ProgramBuilder)) -> String {
    match jit::program(program) {
        Err(Error::Program(errors)) => match &errors.errors[..] {
            [only] => only.fault.to_string(),
            several => panic!("{several:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn misuse_is_an_error() {
    for (found, expected) in [
        (
            fault(|g| {
                g.input("x", F32, 2).map(|x| x);
            }),
            "`program` has no output",
        ),
        (
            fault(|g| {
                g.output("y", g.input("x", F32, 1));
                g.output("y", g.input("z", F32, 1));
            }),
            "the output name `y` is used twice",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 1) + g.input("x", F32, 1))),
            "the input name `x` is used twice",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 2).permute([0, 0]))),
            "axis 0 is given twice",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 2).swap_axes(0, 2))),
            "axis 2 is out of range for `x` with 2 axes",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 2).expand_dims(-4))),
            "axis -4 is out of range for `x` with 3 axes",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 1).slice((0, ..)))),
            "`x`: 2 subscripts for 1 axes",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 1).reshape([-2, 3]))),
            "-2 is no extent; −1 stands for what remains",
        ),
        (
            fault(|g| g.output("y", g.input("x", F32, 1).broadcast(["n"]))),
            "no input has an extent named `n`",
        ),
    ] {
        assert_eq!(found, expected);
    }
    assert!(fault(|g| g.output("y", g.input("x", F32, 1).select(1, 2))).starts_with("`select` of f32"));
}

#[test]
fn an_array_of_another_program_is_an_error() {
    jit::program(|outer| {
        let x = outer.input("x", F32, 1);
        let message = fault(|g| {
            g.name("inner");
            g.output("y", g.input("x", F32, 1) + x);
        });
        assert_eq!(message, "an array of another program was used in `inner`");
        outer.output("y", x);
    })
    .unwrap();
    let mut escaped = None;
    let func = loopweave::ir::trace("f", |[v]| {
        escaped = Some(v);
        v
    });
    assert!(func.is_ok());
    let escaped = escaped.unwrap();
    let message = fault(|g| g.output("y", g.input("x", F32, 1).map(|v| v + escaped)));
    assert!(message.starts_with("an expression of another function"), "{message}");
}

/// What a call on these shapes fuses does not depend on names of extents, and follows from which extents are 1.
#[test]
fn open_extents_fuse_as_named_ones_do() {
    let program = jit::program(|g| {
        let (x, y) = (g.input("x", F64, 2), g.input("y", F64, 2));
        g.output("z", (x * 2 + y).exp().sum(-1));
    })
    .unwrap();
    for (x, y) in [
        ([4, 6], [4, 6]),
        ([4, 6], [1, 6]),
        ([4, 1], [1, 6]),
        ([4, 6], [4, 1]),
        ([1, 1], [1, 1]),
    ] {
        let (x, y) = (Array2::from_elem(x, 0.5), Array2::from_elem(y, -1.0));
        let z: Array1<f64> = program.call((&x, &y)).unwrap();
        let columns = x.ncols().max(y.ncols());
        assert_eq!(z, Array1::from_elem(x.nrows(), columns as f64));
        program.report().assert_groups(1).assert_fused(["add", "exp", "sum"]);
    }
    let refused = program.call::<Array1<f64>>((&Array2::<f64>::zeros((4, 6)), &Array2::<f64>::zeros((4, 5))));
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("[4, 6]") && message.contains("[4, 5]") && !message.contains("x.1"),
        "{message}"
    );
    dense().report().assert_groups(1);
}

/// Arrays between groups take turns in the arena, and a chain needs two places however long it is.
#[test]
fn a_chain_of_products_takes_turns_in_the_arena() {
    let chain = jit::program(|g| {
        let (x, w) = (g.input("x", F32, 2), g.input("w", F32, 2));
        g.output("y", (0..6).fold(x, |h, _| h.matmul(w).named("h")));
    })
    .unwrap();
    let (x, w) = (noise(32, 32), noise(32, 32));
    let y: Array2<f32> = chain.call((&x, &w)).unwrap();
    let product = jit::matmul();
    let expected = (0..6).fold(x, |h, _| product.call((&h, &w)).unwrap());
    assert_eq!(y, expected);
    let memory = chain.report().memory.unwrap();
    assert_eq!((memory.intermediate_bytes, memory.unshared_bytes), (2 * 4096, 5 * 4096));
    assert!(
        chain
            .report()
            .text(3)
            .contains("8.0 KiB between kernels (20.0 KiB if they shared none)")
    );
}

#[test]
fn options_make_programs_of_their_own() {
    let (x, w, b) = (noise(64, 80), noise(80, 48), Array1::from_elem(48, 0.25f32));
    let dense = dense();
    let expected: Array2<f32> = dense.call((&x, &w, &b)).unwrap();
    for other in [dense.threads(1).unwrap(), dense.threads(3).unwrap(), dense.clone()] {
        assert_eq!(other.call::<Array2<f32>>((&x, &w, &b)).unwrap(), expected);
    }
    let fast = dense.fast(Fast::ALL).unwrap();
    let close: Array2<f32> = fast.run_as([("x", &x), ("w", &w), ("b", &b)]).unwrap();
    assert!((&close - &expected).iter().all(|d| d.abs() < 1e-4));
}

#[test]
fn products_take_epilogues_of_any_arity_and_dtype() {
    let a = array![[1i64, 2], [3, 4]];
    let plain: Array2<i64> = jit::matmul().call((&a, &a)).unwrap();
    assert_eq!(plain, array![[7, 10], [15, 22]]);
    // One kernel for any dtypes and ranks.
    let biased = jit::matmul().epilogue(|acc, bias| acc + bias);
    let y: Array2<i64> = biased.call((&a, &a, &array![1i64, -1])).unwrap();
    assert_eq!(y, array![[8, 9], [16, 21]]);
    biased.report().assert_groups(1);
    let x = a.mapv(|v| v as f32);
    let y: Array2<f32> = biased.call((&x, &x, 0.5)).unwrap();
    assert_eq!(y, array![[7.5, 10.5], [15.5, 22.5]]);
    let y: Array1<f64> = biased
        .call((&x, &array![1.0f64, 1.0], &array![[0.5f32]].slice(ndarray::s![0, ..])))
        .unwrap();
    assert_eq!(y, array![3.5, 7.5]);
    // Two results: what the activation takes, and what it gives.
    let kept = jit::matmul().epilogue_of(|[acc, bias, residual]| {
        let h = acc + bias;
        (h, h.relu() + residual)
    });
    let (h, y): (Array2<f32>, Array2<f32>) = kept.call((&x, &-&x, &array![8.0f32, 12.0], &x)).unwrap();
    assert_eq!(h, array![[1.0, 2.0], [-7.0, -10.0]]);
    assert_eq!(y, array![[2.0, 4.0], [3.0, 4.0]]);
    kept.report().assert_groups(1);
    // Batches.
    let batch = Array3::<f32>::ones((2, 3, 4));
    let y: Array3<f32> = biased.call((&batch, &Array2::<f32>::ones((4, 5)), 1)).unwrap();
    assert_eq!(y, Array3::from_elem((2, 3, 5), 5.0));
    biased.report().assert_groups(1);
    let wrong = biased
        .call::<AnyArray>((&x, &x, &array![1.0f32, 2.0, 3.0]))
        .unwrap_err();
    assert!(!wrong.to_string().contains("a.1"), "{wrong}");
    let wrong = biased.call::<AnyArray>((&x, &x)).unwrap_err();
    assert_eq!(wrong.to_string(), "`matmul` takes 3 arguments, not 2");
    let wrong = jit::matmul().call::<AnyArray>((&x, 2.0)).unwrap_err();
    assert!(wrong.to_string().starts_with("`b` has no axes"), "{wrong}");
    let none = jit::matmul().epilogue_func("fn seven() { 7 }").unwrap();
    assert_eq!(
        none.call::<AnyArray>((&x, &x)).unwrap_err().to_string(),
        "`seven` takes 0 arguments but is given 1"
    );
}

#[test]
fn results_of_fortran_ordered_arguments_can_be_reshaped() {
    let program = jit::program(|g| {
        let doubled = 2 * g.input("x", I64, 2);
        g.output("doubled", doubled);
        g.output("flat", doubled.reshape([-1]));
    })
    .unwrap();
    let x = array![[1i64, 2, 3], [4, 5, 6]].reversed_axes();
    let (doubled, flat): (Array2<i64>, Array1<i64>) = program.call(&x).unwrap();
    assert_eq!(doubled, &x * 2);
    assert_eq!(flat, array![2, 8, 4, 10, 6, 12]);
}

#[test]
fn views_of_a_program_are_numpys() {
    let program = jit::program(|g| {
        let x = g.input_with_dims("x", I64, ["n", "m"]);
        g.output("steps", x.slice((1.., ..)) - x.slice((..-1, ..)));
        g.output("row", x.slice(-1).reshape([-1, 2]));
        g.output("column", x.slice((.., 0, Slice::New)));
        g.output(
            "every_other",
            x.slice([
                Slice::ALL,
                Slice::Range {
                    start: None,
                    stop: None,
                    step: 2,
                },
            ]),
        );
    })
    .unwrap();
    let x = array![[1i64, 2, 3, 4], [5, 7, 9, 11]];
    let out = program.run([("x", &x)]).unwrap();
    for (name, expected) in [
        ("steps", array![[4i64, 5, 6, 7]]),
        ("row", array![[5, 7], [9, 11]]),
        ("column", array![[1], [5]]),
        ("every_other", array![[1, 3], [5, 9]]),
    ] {
        assert_eq!(*out.get(name).unwrap(), AnyArray::from(expected.into_dyn()), "{name}");
    }
    assert_eq!(
        program.output_names().collect::<Vec<_>>(),
        ["steps", "row", "column", "every_other"]
    );
    assert_eq!(program.input_names().collect::<Vec<_>>(), ["x"]);
}
