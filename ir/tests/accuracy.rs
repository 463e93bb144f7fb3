//! Every expanded transcendental function stays within its stated bound of the correctly rounded function, on a sample of
//! all its inputs and on the hardest ones. `examples/accuracy.rs` of the root crate measures the same on billions.

mod oracle;

use loopweave_ir::expand::expand;
use loopweave_ir::interp::Evaluator;
use loopweave_ir::testing::Rng;
use loopweave_ir::{Accuracy, Builder, Dtype, Func, Op, Scalar};
use oracle::{CASES, Case, Inputs, Slope, distance, expanded, expanded_to, operations, wrong_specials};

const FLOATS: [Dtype; 2] = [Dtype::F32, Dtype::F64];

/// Fails with the worst input if a value is farther from the exact one than the bound.
fn check(case: &Case, dtype: Dtype, inputs: impl IntoIterator<Item = [u64; 2]>) {
    check_at(case, dtype, Accuracy::Precise, inputs);
}

fn check_at(case: &Case, dtype: Dtype, accuracy: Accuracy, inputs: impl IntoIterator<Item = [u64; 2]>) {
    let func = expanded_to(case.op, dtype, accuracy);
    let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
    let bound = case.op.max_ulp(dtype, accuracy).expect("the op is expanded");
    // The f64 reference is itself rounded.
    let bound = if dtype == Dtype::F64 { bound + 0.5 } else { bound };
    for bits in inputs {
        let args = bits.map(|b| Scalar::from_bits(dtype, b));
        let value = evaluator.eval(&args[..case.op.arity()], 0).expect("the types fit")[0];
        let error = distance(case, dtype, bits, value.bits());
        assert!(
            error <= bound,
            "{} {args:?} = {value}: off by {error} ulp",
            case.op.name()
        );
    }
}

fn sample(op: Op, dtype: Dtype, points: u64) -> Vec<[u64; 2]> {
    collect(Inputs::new(op, dtype, points))
}

fn collect(mut inputs: Inputs) -> Vec<[u64; 2]> {
    let mut all = Vec::new();
    let mut chunk = [[0; 1024]; 2];
    while let count @ 1.. = inputs.fill(&mut chunk) {
        all.extend((0..count).map(|i| [chunk[0][i], chunk[1][i]]));
    }
    all
}

#[test]
fn samples_are_within_the_bound() {
    for dtype in FLOATS {
        for case in CASES {
            check(case, dtype, sample(case.op, dtype, 20_000));
        }
    }
}

/// The fast forms are within 4 ulp, and have fewer operations than the precise ones.
#[test]
fn fast_forms_are_within_their_bound_and_cheaper() {
    let mut forms = 0;
    for dtype in FLOATS {
        for case in CASES {
            let [precise, fast] = [Accuracy::Precise, Accuracy::Fast].map(|a| expanded_to(case.op, dtype, a));
            if fast == precise {
                continue;
            }
            forms += 1;
            assert_eq!(case.op.max_ulp(dtype, Accuracy::Fast), Some(4.0));
            check_at(case, dtype, Accuracy::Fast, sample(case.op, dtype, 20_000));
            // Where a precise form computes in f64, two of its operations are one of f32.
            let lanes = |f: &Func| f.nodes().iter().any(|n| n.dtype == Some(Dtype::F64)) && dtype == Dtype::F32;
            let cost = |f: &Func| operations(f) * if lanes(f) { 2 } else { 1 };
            assert!(cost(&fast) < cost(&precise), "{} of {dtype}", case.op.name());
        }
    }
    assert!(forms > 20, "only {forms} fast forms were measured");
}

/// Blocks of neighbours from all of f32, on which monotone functions must be so.
#[test]
fn sweeps_are_within_the_bound_and_in_order() {
    for case in CASES.iter().filter(|c| c.op.arity() == 1) {
        let inputs = Inputs::sweep(case.op, 77_777);
        assert!(inputs.is_sweep());
        let inputs = collect(inputs);
        check(case, Dtype::F32, inputs.iter().copied());
        // The scaled sums of these three go back by an ulp at a few of a billion neighbours.
        if case.slope == Slope::None {
            continue;
        }
        let func = expanded(case.op, Dtype::F32);
        let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
        let mut last: Option<(f32, f32)> = None;
        for [bits, _] in inputs {
            let x = f32::from_bits(bits as u32);
            let value = evaluator.eval(&[Scalar::from(x)], 0).expect("the types fit")[0].as_f64() as f32;
            if let Some((before, last)) = last.replace((x, value))
                && before.to_bits().abs_diff(x.to_bits()) == 1
            {
                let rises = (case.slope == Slope::Rises) == (x > before);
                let in_order = if rises { value >= last } else { value <= last };
                assert!(in_order || value.is_nan() || last.is_nan(), "{} at {x}", case.op.name());
            }
        }
    }
}

#[test]
fn special_values_are_exact() {
    for dtype in FLOATS {
        for case in CASES {
            assert_eq!(wrong_specials(case, dtype, Accuracy::Precise), [""; 0]);
            assert_eq!(wrong_specials(case, dtype, Accuracy::Fast), [""; 0]);
        }
    }
}

/// The page of figures names every function at both dtypes with the op count and the bound that the code has.
#[test]
fn the_table_in_accuracy_md_is_up_to_date() {
    let page = include_str!("../ACCURACY.md");
    for dtype in FLOATS {
        for case in CASES {
            let bound = case.op.max_ulp(dtype, Accuracy::Precise).expect("the op is expanded");
            let ops = operations(&expanded(case.op, dtype));
            let row = format!("| `{}` | {dtype} | {ops} | {bound} |", case.op.name());
            assert!(page.contains(&row), "ACCURACY.md lacks a row `{row}`");
        }
    }
}

/// The f64 numbers that come nearest to multiples of π/2, from continued fractions (`ir/tools/hard_angles.py`).
#[test]
fn angles_nearest_to_quarter_turns_are_reduced_exactly() {
    let hard: Vec<[u64; 2]> = include_str!("data/hard_angles.txt")
        .lines()
        .map(|line| {
            [
                u64::from_str_radix(line, 16).expect("a line holds the bits of an f64"),
                0,
            ]
        })
        .collect();
    for case in CASES.iter().filter(|c| matches!(c.op, Op::Sin | Op::Cos | Op::Tan)) {
        check(case, Dtype::F64, hard.iter().copied());
        let narrow = |[bits, _]: [u64; 2]| [u64::from((f64::from_bits(bits) as f32).to_bits()), 0];
        check(case, Dtype::F32, hard.iter().copied().map(narrow));
    }
}

/// At the ends of the windows of 2/π the words of a product stand farthest from where they stand elsewhere.
#[test]
fn angles_at_the_ends_of_windows_are_reduced_exactly() {
    let mut rng = Rng::new(1);
    let exponents = [147u64, 293, 439, 585, 731, 877, 1024].map(|end| [end - 1, end.min(1023)]);
    let inputs: Vec<[u64; 2]> = exponents
        .as_flattened()
        .iter()
        .flat_map(|&exponent| vec![exponent; 1_000])
        .map(|exponent| [(1023 + exponent) << 52 | rng.bits() >> 12, 0])
        .collect();
    for case in CASES.iter().filter(|c| matches!(c.op, Op::Sin | Op::Cos | Op::Tan)) {
        check(case, Dtype::F64, inputs.iter().copied());
    }
}

#[test]
fn odd_functions_are_odd_to_the_bit() {
    for dtype in FLOATS {
        let sign = 1u64 << (dtype.bits() - 1);
        for op in [
            Op::Sin,
            Op::Tan,
            Op::SinPi,
            Op::Asin,
            Op::Atan,
            Op::Sinh,
            Op::Tanh,
            Op::Asinh,
            Op::Atanh,
            Op::Cbrt,
            Op::Erf,
        ] {
            let func = expanded(op, dtype);
            let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
            for [bits, _] in sample(op, dtype, 2_000) {
                let [value, mirrored] = [bits, bits ^ sign].map(|b| {
                    let args = [Scalar::from_bits(dtype, b)];
                    evaluator.eval(&args, 0).expect("the types fit")[0]
                });
                let negated = Scalar::from_bits(dtype, value.bits() ^ sign);
                assert!(mirrored.is_same(negated), "{} at {bits:#x}", op.name());
            }
        }
    }
}

/// Powers of constants are a few basic ops, under the same bound and with the same special values.
#[test]
fn constant_powers_are_within_the_bound() {
    let power = CASES.iter().find(|c| c.op == Op::Pow).expect("pow is a case");
    for dtype in FLOATS {
        for exponent in [0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 4.0, -2.0, 1.5] {
            let mut b = Builder::typed("power");
            let x = b.param("x", Some(dtype));
            let y = b.float(dtype, exponent);
            let result = b.node(Op::Pow, &[x, y]);
            let func = expand(&b.finish(&[result])).expect("pow has an expansion");
            let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
            let specials = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, -1.0, -2.0];
            let specials = specials.map(|x| [Scalar::from_f64(dtype, x).bits(), 0]);
            for [x, _] in sample(Op::Pow, dtype, 2_000).into_iter().chain(specials) {
                let arg = Scalar::from_bits(dtype, x);
                let value = evaluator.eval(&[arg], 0).expect("the types fit")[0];
                let y = Scalar::from_f64(dtype, exponent).bits();
                let error = distance(power, dtype, [x, y], value.bits());
                assert!(
                    error <= 2.0,
                    "{arg} to the power {exponent} = {value}: off by {error} ulp"
                );
            }
        }
    }
}
