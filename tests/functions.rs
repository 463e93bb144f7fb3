//! Elementary functions in machine code: in either tier, on 16-bit floats, and where lanes of one vector go different ways.

mod support;

use half::{bf16, f16};
use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{Graph, Named};
use loopweave::ir::expand::expand_to;
use loopweave::ir::interp::Evaluator;
use loopweave::ir::simplify::Fast;
use loopweave::ir::testing::{Rng, single_op};
use loopweave::ir::{Accuracy, Dtype, Func, Op, Scalar, Stage};
use loopweave::jit::{self, Kernel};
use loopweave::pipeline::{Options, Program};
use loopweave::runtime::view::{Arg, ArgMut};
use support::{Caches, Engines, Lay, Strided, interpret, map_graph, run};

/// The functions that have an error bound at a dtype.
fn functions(dtype: Dtype) -> impl Iterator<Item = Op> {
    let ops = Op::ALL.iter().copied();
    ops.filter(move |op| op.stage_for(dtype) == Stage::Expanded && op.max_ulp(dtype, Accuracy::Precise) > Some(0.5))
}

/// The function of an op whose operands have one dtype.
fn single(op: Op, dtype: Dtype) -> Func {
    single_op(op, &vec![dtype; op.arity()]).unwrap()
}

fn kernel(op: Op) -> Kernel {
    let params = ["x", "x, y"][op.arity() - 1];
    jit::func(format!("fn f({params}) {{ {}({params}) }}", op.name()).as_str()).unwrap()
}

/// What the expansion gives for each element.
fn expanded(op: Op, accuracy: Accuracy, args: &[&[Scalar]]) -> Vec<Scalar> {
    let func = expand_to(&single(op, args[0][0].dtype()), accuracy).unwrap();
    let mut evaluator = Evaluator::new(&func).unwrap();
    let element = |i: usize| -> Vec<Scalar> { args.iter().map(|column| column[i]).collect() };
    (0..args[0].len())
        .map(|i| evaluator.eval(&element(i), 0).unwrap()[0])
        .collect()
}

/// Numbers of every size beside zeros, subnormal numbers, infinities and NaN, so mixed that most vectors hold several kinds, and
/// a run of ordinary ones, whose vectors take no branch.
fn mixed(dtype: Dtype, count: usize) -> Vec<Scalar> {
    let mut rng = Rng::new(7);
    let kinds = [
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e30,
        -3e38,
        1e-40,
        -1e-310,
        1e300,
        6e5,
        2e15,
    ];
    let value = |i: usize| match (rng.below(3), i < count / 2) {
        (0, true) => Scalar::from_f64(dtype, kinds[rng.below(kinds.len())]),
        (1, true) => rng.value(dtype),
        _ => Scalar::from_f64(dtype, (rng.below(4001) as f64 - 2000.0) * 0.01),
    };
    (0..count).map(value).collect()
}

/// Where one lane takes a branch of `rare` and its neighbour does not, each gets its own result: in maps of every emitter, of
/// every function that has such a branch.
#[test]
fn lanes_that_differ_get_their_own_results() {
    let mut branching = Vec::new();
    for dtype in [Dtype::F32, Dtype::F64] {
        for op in functions(dtype).filter(|op| op.arity() == 1) {
            let func = expand_to(&single(op, dtype), Accuracy::Precise).unwrap();
            if !func.nodes().iter().any(|node| node.op == Op::Rare) {
                continue;
            }
            branching.push(op);
            let values = mixed(dtype, 1031);
            let engines = Engines::new(&map_graph(&single(op, dtype), &[1]), &Caches::default());
            let input = Strided::new(dtype, &[values.len()], Lay::Contiguous, |i| values[i]);
            engines.check(&[input], &[expanded(op, Accuracy::Precise, &[&values])], op.name());
        }
    }
    for op in [Op::Sin, Op::Cos, Op::Tan, Op::Ln] {
        assert_eq!(
            branching.iter().filter(|&&o| o == op).count(),
            2,
            "{op:?} of f32 and f64"
        );
    }
}

/// The same in a reduction, and in rows that are reduced and mapped in turn.
#[test]
fn lanes_that_differ_get_their_own_results_in_other_leaves() {
    for (dtype, op) in [(Dtype::F32, Op::Sin), (Dtype::F64, Op::Tan), (Dtype::F32, Op::Ln)] {
        for graph in [folded(op, dtype), scaled(op, dtype)] {
            let shape = [3, 517];
            let values = mixed(dtype, shape[0] * shape[1]);
            let engines = Engines::new(&graph, &Caches::default());
            let input = Strided::new(dtype, &shape, Lay::Contiguous, |i| values[i]);
            let expected = interpret(engines.speed(), std::slice::from_ref(&input));
            engines.check_code(&[input], &expected, &format!("{} of {}", graph.name, op.name()));
        }
    }
}

/// The greatest value of a function in each row.
fn folded(op: Op, dtype: Dtype) -> Graph {
    let mut g = GraphBuilder::new("folded");
    let x = g.input("x", dtype, 2);
    let y = g.map(&single(op, dtype), &[x]).unwrap();
    let greatest = g.reduce(Named::Max, y, Some(&[-1]), false).unwrap();
    g.output("greatest", greatest);
    g.finish().unwrap()
}

/// A function less its greatest value in each row.
fn scaled(op: Op, dtype: Dtype) -> Graph {
    let mut g = GraphBuilder::new("scaled");
    let x = g.input("x", dtype, 2);
    let y = g.map(&single(op, dtype), &[x]).unwrap();
    let greatest = g.reduce(Named::Max, y, Some(&[-1]), true).unwrap();
    let rest = g.map(&single(Op::Sub, dtype), &[y, greatest]).unwrap();
    g.output("rest", rest);
    g.finish().unwrap()
}

/// One handle gives both tiers, call by call; a program has the tier of its options.
#[test]
fn a_tier_is_chosen_per_call_and_per_program() {
    let values: Vec<f32> = (0..4000).map(|i| i as f32 * 0.004 - 8.0).collect();
    let scalars: Vec<Scalar> = values.iter().map(|&v| v.into()).collect();
    let bits = |values: &[f32]| -> Vec<u64> { values.iter().map(|v| v.to_bits().into()).collect() };
    let sinh = kernel(Op::Sinh);
    let mut results = Vec::new();
    for fast in [Fast::NONE, Fast::APPROX, Fast::NONE] {
        let expected: Vec<u64> = expanded(Op::Sinh, fast.accuracy(), &[&scalars])
            .iter()
            .map(|s| s.bits())
            .collect();
        let mut out = vec![0.0f32; values.len()];
        sinh.fast(fast).call_into(&values[..], &mut out[..]).unwrap();
        assert_eq!(bits(&out), expected, "{fast:?}");

        let options = Options {
            fast,
            ..Options::native().unwrap()
        };
        let program = Program::compile(map_graph(&single(Op::Sinh, Dtype::F32), &[1]), &options).unwrap();
        let input = Strided::new(Dtype::F32, &[values.len()], Lay::Contiguous, |i| scalars[i]);
        let of_program: Vec<u64> = run(&program, &[input]).unwrap()[0].iter().map(|s| s.bits()).collect();
        assert_eq!(of_program, expected, "{fast:?}");
        results.push(expected);
    }
    assert_ne!(results[0], results[1]);
}

/// Functions of 16-bit floats are those of f32 with one rounding: at every one of their 65,536 values, in both tiers.
#[test]
fn functions_of_16_bit_floats_are_rounded_once() {
    check_16_bits(f16::from_bits, f16::to_bits, f16::to_f32, f16::from_f32);
    check_16_bits(bf16::from_bits, bf16::to_bits, bf16::to_f32, bf16::from_f32);
}

fn check_16_bits<T: Copy>(from_bits: fn(u16) -> T, to_bits: fn(T) -> u16, widen: fn(T) -> f32, narrow: fn(f32) -> T)
where
    [T]: Arg + ArgMut,
{
    let all: Vec<T> = (0..=u16::MAX).map(from_bits).collect();
    // A partner of each, for functions of two operands.
    let others: Vec<T> = (0..=u16::MAX)
        .map(|i| from_bits(i.wrapping_mul(40_503).rotate_left(3)))
        .collect();
    let wide = |column: &[T]| -> Vec<f32> { column.iter().map(|&v| widen(v)).collect() };
    let (wide_all, wide_others) = (wide(&all), wide(&others));
    for op in functions(Dtype::F32) {
        for tier in [Accuracy::Precise, Accuracy::Fast]
            .into_iter()
            .filter(|&tier| op.tier(tier) == tier)
        {
            let kernel = kernel(op).fast(if tier == Accuracy::Fast {
                Fast::APPROX
            } else {
                Fast::NONE
            });
            let mut results = vec![from_bits(0); all.len()];
            let mut exact = vec![0.0f32; all.len()];
            match op.arity() {
                1 => {
                    kernel.call_into(&all[..], &mut results[..]).unwrap();
                    kernel.call_into(&wide_all[..], &mut exact[..]).unwrap();
                }
                _ => {
                    kernel.call_into((&all[..], &others[..]), &mut results[..]).unwrap();
                    kernel
                        .call_into((&wide_all[..], &wide_others[..]), &mut exact[..])
                        .unwrap();
                }
            }
            for (i, (&result, &wide)) in results.iter().zip(&exact).enumerate() {
                let is_same = to_bits(result) == to_bits(narrow(wide)) || (widen(result).is_nan() && wide.is_nan());
                assert!(
                    is_same,
                    "{} at {}: {} for {wide}",
                    op.name(),
                    wide_all[i],
                    widen(result)
                );
            }
        }
    }
}
