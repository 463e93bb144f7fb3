//! Expanded functions where they are hardest: special values, symmetries, and the angles that are reduced worst. The root
//! crate's tests hold the bounds on samples of all inputs, in machine code.

mod oracle;

use loopweave_ir::expand::expand;
use loopweave_ir::interp::Evaluator;
use loopweave_ir::testing::{Rng, operations};
use loopweave_ir::{Accuracy, Builder, Dtype, Func, Op, Scalar};
use oracle::{CASES, Case, Inputs, distance, expanded, expanded_to, wrong_specials};

const FLOATS: [Dtype; 2] = [Dtype::F32, Dtype::F64];

/// Fails if a value is farther from the exact one than the bound.
fn check(case: &Case, dtype: Dtype, inputs: impl IntoIterator<Item = [u64; 2]>) {
    let func = expanded(case.op, dtype);
    let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
    let bound = case.op.max_ulp(dtype, Accuracy::Precise).expect("the op is expanded");
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

/// The fast forms have fewer operations than the precise ones.
#[test]
fn fast_forms_are_cheaper() {
    for dtype in FLOATS {
        for case in CASES.iter().filter(|c| c.op.tier(Accuracy::Fast) == Accuracy::Fast) {
            let [precise, fast] = [Accuracy::Precise, Accuracy::Fast].map(|a| expanded_to(case.op, dtype, a));
            // Where a precise form computes in f64, two of its operations are one of f32.
            let lanes = |f: &Func| f.nodes().iter().any(|n| n.dtype == Some(Dtype::F64)) && dtype == Dtype::F32;
            let cost = |f: &Func| operations(f) * if lanes(f) { 2 } else { 1 };
            assert!(cost(&fast) < cost(&precise), "{} of {dtype}", case.op.name());
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

/// The greatest arguments whose ln Γ is finite, and the first beyond.
/// There the low word of the reduction, added without the weight of the slope, made the result 1.02 ulp off.
#[test]
fn expm1_near_half_a_reduction() {
    let func = expanded(Op::Expm1, Dtype::F64);
    let value = Evaluator::new(&func)
        .expect("an expansion is basic")
        .eval(&[Scalar::from(0.355_492_893_222_796_26)], 0)
        .expect("the types fit")[0];
    assert_eq!(value.bits(), 0x3fdb_5210_5b13_23ab);
}

#[test]
fn lgamma_overflows_where_it_must() {
    let last = 2.559_983_327_851_638_3e305f64.to_bits();
    let case = CASES.iter().find(|c| c.op == Op::LnGamma).expect("lgamma is a case");
    check(case, Dtype::F64, (last - 2_000..last + 10).map(|bits| [bits, 0]));
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
                    error <= if dtype == Dtype::F64 { 1.5 } else { 1.0 },
                    "{arg} to the power {exponent} = {value}: off by {error} ulp"
                );
            }
        }
    }
}
