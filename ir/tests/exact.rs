//! The exact functions whose meaning is their expansion: `ldexp`, `exponent`, `significand`, `nextafter`, `remainder`,
//! `round_away`, each against another way to compute it.

use loopweave_ir::expand::expand;
use loopweave_ir::interp::Evaluator;
use loopweave_ir::testing::{edge_values, operand_dtypes};
use loopweave_ir::{Builder, Dtype, Func, Op, Scalar, Type, specialise, trace};

const FLOATS: [Dtype; 2] = [Dtype::F32, Dtype::F64];

fn expanded(op: Op, dtype: Dtype) -> Func {
    let mut b = Builder::typed(op.name());
    let params: Vec<_> = operand_dtypes(op, dtype)
        .iter()
        .enumerate()
        .map(|(i, &d)| b.param(format!("x{i}"), Some(d)))
        .collect();
    let result = b.node(op, &params);
    expand(&b.finish(&[result])).expect("every op has an expansion")
}

/// Compares the op with `want` on these operands.
fn check(op: Op, dtype: Dtype, operands: &[Vec<Scalar>], want: impl Fn(&[Scalar]) -> Scalar) {
    let func = expanded(op, dtype);
    let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
    for args in operands {
        let got = evaluator.eval(args, 0).expect("the types fit")[0];
        let want = want(args);
        assert!(got.is_same(want), "{} {args:?} = {got}, not {want}", op.name());
    }
}

fn pairs(dtype: Dtype) -> Vec<Vec<Scalar>> {
    let edges = edge_values(dtype);
    edges
        .iter()
        .flat_map(|&x| edges.iter().map(move |&y| vec![x, y]))
        .collect()
}

fn singles(dtype: Dtype) -> Vec<Vec<Scalar>> {
    edge_values(dtype).into_iter().map(|x| vec![x]).collect()
}

#[test]
fn round_away_is_rusts_round() {
    for dtype in FLOATS {
        check(Op::RoundAway, dtype, &singles(dtype), |args| match dtype {
            Dtype::F32 => (args[0].as_f64() as f32).round().into(),
            _ => args[0].as_f64().round().into(),
        });
    }
}

#[test]
fn nextafter_is_next_up_or_next_down() {
    check(Op::NextAfter, Dtype::F32, &pairs(Dtype::F32), |args| {
        let [x, y] = [args[0].as_f64() as f32, args[1].as_f64() as f32];
        let next = match x.partial_cmp(&y) {
            Some(std::cmp::Ordering::Less) => x.next_up(),
            Some(std::cmp::Ordering::Greater) => x.next_down(),
            Some(std::cmp::Ordering::Equal) => y,
            None => f32::NAN,
        };
        next.into()
    });
    check(Op::NextAfter, Dtype::F64, &pairs(Dtype::F64), |args| {
        let [x, y] = [args[0].as_f64(), args[1].as_f64()];
        let next = match x.partial_cmp(&y) {
            Some(std::cmp::Ordering::Less) => x.next_up(),
            Some(std::cmp::Ordering::Greater) => x.next_down(),
            Some(std::cmp::Ordering::Equal) => y,
            None => f64::NAN,
        };
        next.into()
    });
}

/// Powers of two whose product with an f32 is exact in f64, so that the one rounding is the conversion's.
#[test]
fn ldexp_of_f32_rounds_once() {
    let counts = [
        -400, -300, -280, -277, -160, -150, -149, -127, -126, -1, 0, 1, 126, 127, 128, 254, 276, 300, 400,
    ];
    let operands: Vec<Vec<Scalar>> = edge_values(Dtype::F32)
        .into_iter()
        .flat_map(|x| counts.map(|n: i32| vec![x, n.into()]))
        .collect();
    check(Op::Ldexp, Dtype::F32, &operands, |args| {
        let n = args[1].as_i128() as i32;
        Scalar::from((args[0].as_f64() * 2f64.powi(n)) as f32)
    });
}

#[test]
fn ldexp_of_f64_reaches_from_end_to_end() {
    let tiny = f64::from_bits(1);
    let rows = [
        (1.0, 1023, 2f64.powi(1023)),
        (1.0, -1074, tiny),
        (1.5, -1074, f64::from_bits(2)),
        (1.25, -1074, tiny),
        (0.75, -1074, tiny),
        (0.5, -1074, 0.0),
        (tiny, 2097, 2f64.powi(1023)),
        (-tiny, 2098, f64::NEG_INFINITY),
        (2f64.powi(1023), -2097, tiny),
        (f64::MAX, -2098, tiny),
        (f64::MAX, -2200, 0.0),
        (1.0 + f64::EPSILON, -1022, 2f64.powi(-1022) * (1.0 + f64::EPSILON)),
        (2f64.powi(-1000) * (1.0 + f64::EPSILON), -60, 2f64.powi(-1060)),
        (2f64.powi(-1000) * 1.5, -74, f64::from_bits(2)),
        (f64::INFINITY, i64::MIN, f64::INFINITY),
        (-0.0, i64::MAX, -0.0),
        (3.0, i64::MAX, f64::INFINITY),
        (3.0, i64::MIN, 0.0),
    ];
    for (x, n, want) in rows {
        check(Op::Ldexp, Dtype::F64, &[vec![x.into(), n.into()]], |_| want.into());
    }
}

#[test]
fn significand_and_exponent_take_a_float_apart() {
    for dtype in FLOATS {
        let exponents = expanded(Op::Exponent, dtype);
        let mut exponent = Evaluator::new(&exponents).expect("an expansion is basic");
        let significands = expanded(Op::Significand, dtype);
        let mut significand = Evaluator::new(&significands).expect("an expansion is basic");
        let scaled = expanded(Op::Ldexp, dtype);
        let mut ldexp = Evaluator::new(&scaled).expect("an expansion is basic");
        for x in edge_values(dtype) {
            let e = exponent.eval(&[x], 0).expect("the types fit")[0];
            let s = significand.eval(&[x], 0).expect("the types fit")[0];
            let ordinary = x.as_f64().is_finite() && x.as_f64() != 0.0;
            assert_eq!((0.5..1.0).contains(&s.as_f64().abs()), ordinary, "{x}");
            assert!(ordinary || e.as_i128() == 0, "{x}");
            assert!(ldexp.eval(&[s, e], 0).expect("the types fit")[0].is_same(x), "{x}");
        }
    }
}

#[test]
fn remainder_is_exact_and_nearest() {
    // Multiples of 1/4 of which every step of the definition is exact.
    let grid: Vec<f64> = (-40..=40).map(|i| f64::from(i) * 0.25).collect();
    for dtype in FLOATS {
        let operands: Vec<Vec<Scalar>> = grid
            .iter()
            .flat_map(|&x| grid.iter().map(move |&y| [x, y]))
            .map(|pair| pair.map(|v| Scalar::from_f64(dtype, v)).to_vec())
            .collect();
        check(Op::Remainder, dtype, &operands, |args| {
            let [x, y] = [args[0].as_f64(), args[1].as_f64()];
            let rest = x - y * (x / y).round_ties_even();
            Scalar::from_f64(dtype, if rest == 0.0 { rest.copysign(x) } else { rest })
        });
    }
    let (tiny, infinity) = (f64::from_bits(1), f64::INFINITY);
    let rows = [
        (3.0, infinity, 3.0),
        (-0.0, infinity, -0.0),
        (infinity, 3.0, f64::NAN),
        (1.0, 0.0, f64::NAN),
        (0.0, f64::NAN, f64::NAN),
        (3.0 * tiny, 2.0 * tiny, -tiny),
        (5.0 * tiny, 2.0 * tiny, tiny),
        (f64::MAX, f64::MAX, 0.0),
        (f64::MAX, 2f64.powi(1023), -2f64.powi(971)),
        (f64::MAX * 0.75, f64::MAX, f64::MAX * 0.75 - f64::MAX),
    ];
    for (x, y, want) in rows {
        check(Op::Remainder, Dtype::F64, &[vec![x.into(), y.into()]], |_| want.into());
    }
}

/// The count is taken to the width of the number: saturated, so that a large one stays large.
#[test]
fn ldexp_takes_any_integer() {
    let f = trace("f", |[x, n]| x.ldexp(n)).expect("one op");
    for (x, n, result) in [
        (Dtype::F32, Dtype::I64, Dtype::F32),
        (Dtype::F64, Dtype::U8, Dtype::F64),
        (Dtype::F16, Dtype::U64, Dtype::F16),
        (Dtype::I32, Dtype::I32, Dtype::F64),
    ] {
        let typed = specialise(&f, &[Type::Strong(x), Type::Strong(n)]).expect("a number and an integer");
        assert_eq!(typed.result_dtypes(), [result]);
    }
    let wide = specialise(&f, &[Type::Strong(Dtype::F32), Type::Strong(Dtype::I64)]).expect("a number and an integer");
    let wide = expand(&wide).expect("every op has an expansion");
    let mut evaluator = Evaluator::new(&wide).expect("an expansion is basic");
    for (n, want) in [(1i64 << 40, f32::INFINITY), (-(1i64 << 40), 0.0), (3, 8.0)] {
        let got = evaluator.eval(&[1f32.into(), n.into()], 0).expect("the types fit")[0];
        assert_eq!(got, Scalar::from(want));
    }
    let wrong = specialise(&f, &[Type::Strong(Dtype::F32); 2]).expect_err("a float is no count");
    assert_eq!(
        wrong[0].to_string(),
        "`ldexp` does not take f32; expected an integer power of two after the number (write `n as i32`)"
    );
}
