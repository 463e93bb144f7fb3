//! Every elementary function, as machine code, stays within its stated bound of the correctly rounded function and is monotone
//! where that is, on a sample of all inputs. `examples/accuracy.rs` measures the same on billions.

mod compiled;
#[path = "../ir/tests/oracle/mod.rs"]
mod oracle;

use compiled::{Function, LANES};
use loopweave::ir::{Accuracy, Dtype, Scalar};
use oracle::{CASES, Case, Inputs, backward_steps, distance};

/// Random inputs of each function at each dtype.
const POINTS: u64 = 100_000;
/// One block of 1024 neighbours in so many of all `f32`.
const STRIDE: u64 = 9_973;

/// Fails with the first input whose result is farther from the exact one than the bound, and for a step against the slope.
fn check(case: &Case, dtype: Dtype, accuracy: Accuracy, mut inputs: Inputs) {
    let function = Function::new(case.op, dtype, accuracy);
    let bound = case.op.max_ulp(dtype, accuracy).expect("the op is expanded");
    // The f64 reference is itself rounded.
    let bound = if dtype == Dtype::F64 { bound + 0.5 } else { bound };
    let name = format!("{} of {dtype} ({})", case.op.name(), accuracy.name());
    let mut chunk = [[0; LANES]; 2];
    let mut results = [0; LANES];
    let (mut last, mut steps_back) = (None, 0);
    while let count @ 1.. = inputs.fill(&mut chunk) {
        function.run(&chunk, &mut results);
        for (lane, &result) in results[..count].iter().enumerate() {
            let args = [chunk[0][lane], chunk[1][lane]];
            let error = distance(case, dtype, args, result);
            assert!(
                error <= bound,
                "{name} {:?} = {}: off by {error} ulp",
                args.map(|bits| Scalar::from_bits(dtype, bits)),
                Scalar::from_bits(dtype, result),
            );
        }
        steps_back += backward_steps(case.slope, dtype, &mut last, &chunk[0][..count], &results);
    }
    assert!(
        steps_back == 0 || accuracy == Accuracy::Fast,
        "{name} goes back {steps_back} times"
    );
}

#[test]
fn samples_are_within_the_bound_and_in_order() {
    for dtype in [Dtype::F32, Dtype::F64] {
        for case in CASES {
            check(case, dtype, Accuracy::Precise, Inputs::new(case.op, dtype, POINTS));
        }
    }
}

/// Blocks of neighbours from all of f32.
#[test]
fn sweeps_are_within_the_bound_and_in_order() {
    for case in CASES.iter().filter(|c| c.op.arity() == 1) {
        check(case, Dtype::F32, Accuracy::Precise, Inputs::sweep(case.op, STRIDE));
    }
}

#[test]
fn fast_forms_are_within_their_bound() {
    for case in CASES.iter().filter(|c| c.op.tier(Accuracy::Fast) == Accuracy::Fast) {
        for dtype in [Dtype::F32, Dtype::F64] {
            check(case, dtype, Accuracy::Fast, Inputs::new(case.op, dtype, POINTS));
        }
        check(case, Dtype::F32, Accuracy::Fast, Inputs::sweep(case.op, STRIDE));
    }
}
