//! Expansions of simple ops agree with the interpreter bit for bit; every op is either expanded into basic ones or refused
//! by name; storage casts become integer arithmetic.

use half::{bf16, f16};
use loopweave_ir::expand::{ExpandError, expand, expand_to, lower_storage_casts};
use loopweave_ir::interp::{Evaluator, apply};
use loopweave_ir::testing::{edge_values, single_op};
use loopweave_ir::verify::verify;
use loopweave_ir::{Accuracy, Builder, Dtype, Func, Op, Scalar, Stage};

const COMPUTED: [Dtype; 10] = [
    Dtype::I8,
    Dtype::I16,
    Dtype::I32,
    Dtype::I64,
    Dtype::U8,
    Dtype::U16,
    Dtype::U32,
    Dtype::U64,
    Dtype::F32,
    Dtype::F64,
];

/// Ops at each dtype they take, all operands alike, that are not basic.
fn unexpanded() -> impl Iterator<Item = (Op, Dtype, Func)> {
    let pairs = Op::ALL.iter().flat_map(|&op| COMPUTED.map(|dtype| (op, dtype)));
    pairs
        .filter(|(op, dtype)| op.stage_for(*dtype) != Stage::Basic)
        .filter_map(|(op, dtype)| Some((op, dtype, single_op(op, &vec![dtype; op.arity()])?)))
}

#[test]
fn expanded_functions_are_basic_canonical_and_bounded() {
    for (op, dtype, func) in unexpanded() {
        let expanded = expand(&func).expect("an op of this stage has an expansion");
        verify(&expanded).expect("an expansion is a valid function");
        for node in expanded.nodes() {
            let operand = node.args.first().map(|&a| expanded.dtype(a));
            let dtype = operand.or(node.dtype).expect("an expansion is typed");
            assert_eq!(
                node.op.stage_for(dtype),
                Stage::Basic,
                "{} in {}",
                node.op.name(),
                op.name()
            );
        }
        assert_eq!(
            expand(&expanded).as_ref(),
            Ok(&expanded),
            "{} is expanded once",
            op.name()
        );
        assert!(op.max_ulp(dtype, Accuracy::Precise).is_some());
    }
}

/// The fast tier has another form of a function where its row states a bound for one, and of no other.
#[test]
fn fast_forms_are_those_of_the_table() {
    for (op, dtype, func) in unexpanded() {
        let [precise, fast] = [Accuracy::Precise, Accuracy::Fast].map(|tier| expand_to(&func, tier));
        let has_form = dtype.is_float() && op.tier(Accuracy::Fast) == Accuracy::Fast;
        assert_eq!(precise != fast, has_form, "{} of {dtype}", op.name());
        let bound = op.max_ulp(dtype, Accuracy::Fast).expect("the op is expanded");
        assert!(bound <= 4.0);
    }
}

#[test]
fn a_polymorphic_function_is_refused() {
    let mut b = Builder::polymorphic("f");
    let x = b.param("x", None);
    let error = expand(&b.finish(&[x])).expect_err("it has no types");
    assert_eq!(error.to_string(), "`f` has no types yet, so it cannot be expanded");
}

#[test]
fn a_function_that_grows_too_large_is_refused() {
    let mut b = Builder::typed("tower");
    let mut x = b.param("x", Some(Dtype::F64));
    for _ in 0..1000 {
        x = b.node(Op::Sin, &[x]);
    }
    assert!(matches!(expand(&b.finish(&[x])), Err(ExpandError::TooLarge { .. })));
}

/// The ops that the interpreter defines itself: their expansions are checked against it on every pair of edge values.
#[test]
fn simple_expansions_agree_with_the_interpreter() {
    let mut compared = 0;
    for (op, dtype, func) in unexpanded() {
        let expanded = expand(&func).expect("an op of this stage has an expansion");
        let mut evaluator = Evaluator::new(&expanded).expect("an expansion is basic");
        let edges = edge_values(dtype);
        for &x in &edges {
            for &y in if op.arity() == 2 { &edges[..] } else { &edges[..1] } {
                let args = &[x, y][..op.arity()];
                let Some(want) = apply(&op, args) else { continue };
                let got = evaluator.eval(args, 0).expect("the types fit")[0];
                assert!(got.is_same(want), "{} {args:?} = {got}, not {want}", op.name());
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "only {compared} values were compared");
}

#[test]
fn integer_powers_of_constants_are_short_and_the_same() {
    for dtype in [Dtype::I8, Dtype::I64, Dtype::U32] {
        for exponent in [0, 1, 2, 3, 7, 10, 31, 100, -1, -2] {
            let exponent = Scalar::from_i128(dtype, exponent);
            let mut b = Builder::typed("power");
            let x = b.param("x", Some(dtype));
            let y = b.constant(exponent);
            let result = b.node(Op::Pow, &[x, y]);
            let expanded = expand(&b.finish(&[result])).expect("pow has an expansion");
            assert!(expanded.nodes().len() < 70);
            let mut evaluator = Evaluator::new(&expanded).expect("an expansion is basic");
            for base in edge_values(dtype) {
                let want = apply(&Op::Pow, &[base, exponent]).expect("pow of integers has a value");
                assert_eq!(
                    evaluator.eval(&[base], 0).expect("the types fit"),
                    [want],
                    "{base} to the {exponent}"
                );
            }
        }
    }
}

/// What `lower_storage_casts` makes of a single cast, ready to evaluate.
fn lowered(from: Dtype, to: Dtype) -> Func {
    let func = single_op(Op::Cast(to), &[from]).expect("a storage type converts to and from f32");
    let lowered = lower_storage_casts(&func).expect("casts are always lowered");
    let is_storage = |d: Dtype| d.is_storage_only();
    for node in lowered.nodes() {
        let casts_storage = matches!(node.op, Op::Cast(_)) && node.args.iter().any(|&a| is_storage(lowered.dtype(a)));
        assert!(!casts_storage && !matches!(node.op, Op::Cast(to) if is_storage(to)));
    }
    lowered
}

#[test]
fn widening_is_lowered_for_every_storage_value() {
    for from in [Dtype::F16, Dtype::Bf16] {
        let func = lowered(from, Dtype::F32);
        let mut evaluator = Evaluator::new(&func).expect("the casts are basic");
        for bits in 0..=u16::MAX {
            let want = match from {
                Dtype::F16 => f16::from_bits(bits).to_f32(),
                _ => bf16::from_bits(bits).to_f32(),
            };
            let arg = Scalar::from_bits(from, bits.into());
            assert_eq!(
                evaluator.eval(&[arg], 0).expect("the types fit"),
                [Scalar::from(want)],
                "{bits:#x}"
            );
        }
    }
}

#[test]
fn narrowing_is_lowered_with_one_rounding() {
    // Every upper half of an f32 with lower halves around the ties of both formats.
    let lows = [0u32, 1, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xf000, 0xffff];
    for to in [Dtype::F16, Dtype::Bf16] {
        let func = lowered(Dtype::F32, to);
        let mut evaluator = Evaluator::new(&func).expect("the casts are basic");
        for high in (0..=u16::MAX).step_by(3) {
            for low in lows {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                let want = match to {
                    Dtype::F16 => Scalar::from(f16::from_f32(x)),
                    _ => Scalar::from(bf16::from_f32(x)),
                };
                let got = evaluator.eval(&[Scalar::from(x)], 0).expect("the types fit");
                assert_eq!(got, [want], "{x:?} ({:#x})", x.to_bits());
            }
        }
    }
}
