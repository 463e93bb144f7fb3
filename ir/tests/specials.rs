//! What the standards say of special values, word for word: IEEE 754-2019 (section 9.2.1) and C's Annex F, in either type and tier.

use std::f64::consts::PI;

use loopweave_ir::expand::expand_to;
use loopweave_ir::interp::Evaluator;
use loopweave_ir::testing::{Rng, single_op};
use loopweave_ir::{Accuracy, Dtype, Func, Op, Scalar};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// The expansions of an op in both types and tiers.
fn expansions(op: Op) -> Vec<(Dtype, Func)> {
    let mut all = Vec::new();
    for dtype in [Dtype::F32, Dtype::F64] {
        let func = single_op(op, &vec![dtype; op.arity()]).expect("the op computes in this type");
        for accuracy in [Accuracy::Precise, Accuracy::Fast] {
            all.push((dtype, expand_to(&func, accuracy).expect("the op has an expansion")));
        }
    }
    all
}

/// Fails where an op's value on some operands is another one, or another zero.
fn check(op: Op, cases: &[(&[f64], f64)]) {
    for (dtype, func) in expansions(op) {
        let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
        for &(args, want) in cases {
            let scalars: Vec<Scalar> = args.iter().map(|&v| Scalar::from_f64(dtype, v)).collect();
            let value = evaluator.eval(&scalars, 0).expect("the types fit")[0];
            let want = Scalar::from_f64(dtype, want);
            assert!(
                value.is_same(want),
                "{} of {args:?} in {dtype} is {value}, not {want}",
                op.name()
            );
        }
    }
}

#[test]
fn functions_of_one_operand_have_their_exact_values() {
    check(
        Op::Exp,
        &[
            (&[0.0], 1.0),
            (&[-0.0], 1.0),
            (&[-INF], 0.0),
            (&[INF], INF),
            (&[NAN], NAN),
        ],
    );
    check(
        Op::Exp2,
        &[
            (&[0.0], 1.0),
            (&[10.0], 1024.0),
            (&[-3.0], 0.125),
            (&[-INF], 0.0),
            (&[INF], INF),
        ],
    );
    check(
        Op::Exp10,
        &[(&[0.0], 1.0), (&[-0.0], 1.0), (&[-INF], 0.0), (&[INF], INF)],
    );
    check(
        Op::Expm1,
        &[(&[0.0], 0.0), (&[-0.0], -0.0), (&[-INF], -1.0), (&[INF], INF)],
    );
    for op in [Op::Ln, Op::Log2, Op::Log10] {
        check(
            op,
            &[
                (&[1.0], 0.0),
                (&[0.0], -INF),
                (&[-0.0], -INF),
                (&[-1.0], NAN),
                (&[-INF], NAN),
                (&[INF], INF),
                (&[NAN], NAN),
            ],
        );
    }
    check(Op::Log2, &[(&[8.0], 3.0), (&[0.25], -2.0)]);
    check(
        Op::Log1p,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[-1.0], -INF),
            (&[-2.0], NAN),
            (&[INF], INF),
        ],
    );
    for op in [Op::Sin, Op::Tan] {
        check(
            op,
            &[
                (&[0.0], 0.0),
                (&[-0.0], -0.0),
                (&[INF], NAN),
                (&[-INF], NAN),
                (&[NAN], NAN),
            ],
        );
    }
    check(Op::Cos, &[(&[0.0], 1.0), (&[-0.0], 1.0), (&[INF], NAN), (&[NAN], NAN)]);
    check(
        Op::SinPi,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[1.0], 0.0),
            (&[-1.0], -0.0),
            (&[2.0], 0.0),
            (&[0.5], 1.0),
            (&[INF], NAN),
        ],
    );
    check(
        Op::CosPi,
        &[
            (&[0.0], 1.0),
            (&[1.0], -1.0),
            (&[0.5], 0.0),
            (&[1.5], 0.0),
            (&[-0.5], 0.0),
            (&[INF], NAN),
        ],
    );
    check(
        Op::Asin,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[1.0], PI / 2.0),
            (&[1.5], NAN),
            (&[NAN], NAN),
        ],
    );
    check(Op::Acos, &[(&[1.0], 0.0), (&[-1.0], PI), (&[1.5], NAN), (&[NAN], NAN)]);
    check(
        Op::Atan,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[INF], PI / 2.0),
            (&[-INF], -PI / 2.0),
            (&[NAN], NAN),
        ],
    );
    check(
        Op::Sinh,
        &[(&[0.0], 0.0), (&[-0.0], -0.0), (&[INF], INF), (&[-INF], -INF)],
    );
    check(Op::Cosh, &[(&[0.0], 1.0), (&[INF], INF), (&[-INF], INF)]);
    check(
        Op::Tanh,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[INF], 1.0),
            (&[-INF], -1.0),
            (&[NAN], NAN),
        ],
    );
    check(
        Op::Asinh,
        &[(&[0.0], 0.0), (&[-0.0], -0.0), (&[INF], INF), (&[-INF], -INF)],
    );
    check(Op::Acosh, &[(&[1.0], 0.0), (&[0.5], NAN), (&[INF], INF)]);
    check(
        Op::Atanh,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[1.0], INF),
            (&[-1.0], -INF),
            (&[1.5], NAN),
        ],
    );
    check(
        Op::Cbrt,
        &[
            (&[0.0], 0.0),
            (&[-0.0], -0.0),
            (&[27.0], 3.0),
            (&[-8.0], -2.0),
            (&[INF], INF),
            (&[-INF], -INF),
        ],
    );
    check(
        Op::Rsqrt,
        &[
            (&[4.0], 0.5),
            (&[0.0], INF),
            (&[-0.0], -INF),
            (&[INF], 0.0),
            (&[-1.0], NAN),
        ],
    );
    check(
        Op::Erf,
        &[(&[0.0], 0.0), (&[-0.0], -0.0), (&[INF], 1.0), (&[-INF], -1.0)],
    );
    check(Op::Erfc, &[(&[0.0], 1.0), (&[INF], 0.0), (&[-INF], 2.0)]);
    check(
        Op::LnGamma,
        &[
            (&[1.0], 0.0),
            (&[2.0], 0.0),
            (&[0.0], INF),
            (&[-3.0], INF),
            (&[INF], INF),
            (&[-INF], INF),
        ],
    );
    check(
        Op::Gamma,
        &[
            (&[1.0], 1.0),
            (&[5.0], 24.0),
            (&[0.0], INF),
            (&[-0.0], -INF),
            (&[-1.0], NAN),
            (&[INF], INF),
            (&[-INF], NAN),
        ],
    );
    check(
        Op::Sigmoid,
        &[(&[0.0], 0.5), (&[INF], 1.0), (&[-INF], 0.0), (&[NAN], NAN)],
    );
    check(Op::Softplus, &[(&[-INF], 0.0), (&[INF], INF), (&[NAN], NAN)]);
    for op in [Op::Gelu, Op::GeluTanh, Op::Silu, Op::Mish] {
        check(
            op,
            &[
                (&[0.0], 0.0),
                (&[-0.0], -0.0),
                (&[INF], INF),
                (&[-INF], -0.0),
                (&[NAN], NAN),
            ],
        );
    }
}

/// `pow` as section 9.2.1 of IEEE 754-2019 has it, line by line.
#[test]
fn powers_of_special_values() {
    for x in [0.0, -0.0, 1.0, -1.0, 0.3, -7.5, INF, -INF, NAN] {
        check(Op::Pow, &[(&[x, 0.0], 1.0), (&[x, -0.0], 1.0)]);
    }
    for y in [0.0, -0.0, 3.0, -2.5, INF, -INF, NAN] {
        check(Op::Pow, &[(&[1.0, y], 1.0)]);
    }
    for odd in [1.0, 3.0, 7.0] {
        check(
            Op::Pow,
            &[
                (&[0.0, -odd], INF),
                (&[-0.0, -odd], -INF),
                (&[0.0, odd], 0.0),
                (&[-0.0, odd], -0.0),
            ],
        );
        check(Op::Pow, &[(&[-INF, -odd], -0.0), (&[-INF, odd], -INF)]);
    }
    for other in [2.0, 0.5, 4.5, 1e30] {
        check(
            Op::Pow,
            &[
                (&[0.0, -other], INF),
                (&[-0.0, -other], INF),
                (&[0.0, other], 0.0),
                (&[-0.0, other], 0.0),
            ],
        );
        check(Op::Pow, &[(&[-INF, -other], 0.0), (&[-INF, other], INF)]);
        check(Op::Pow, &[(&[INF, -other], 0.0), (&[INF, other], INF)]);
    }
    check(
        Op::Pow,
        &[
            (&[0.0, -INF], INF),
            (&[-0.0, -INF], INF),
            (&[0.0, INF], 0.0),
            (&[-0.0, INF], 0.0),
        ],
    );
    check(Op::Pow, &[(&[-1.0, INF], 1.0), (&[-1.0, -INF], 1.0)]);
    for less in [0.5, -0.5, 1e-30] {
        check(Op::Pow, &[(&[less, -INF], INF), (&[less, INF], 0.0)]);
    }
    for more in [1.5, -1.5, 1e30] {
        check(Op::Pow, &[(&[more, -INF], 0.0), (&[more, INF], INF)]);
    }
    check(
        Op::Pow,
        &[
            (&[INF, INF], INF),
            (&[INF, -INF], 0.0),
            (&[-INF, INF], INF),
            (&[-INF, -INF], 0.0),
        ],
    );
    check(
        Op::Pow,
        &[
            (&[-2.0, 0.5], NAN),
            (&[-2.0, -2.5], NAN),
            (&[-2.0, 3.0], -8.0),
            (&[-2.0, 4.0], 16.0),
        ],
    );
    check(
        Op::Pow,
        &[
            (&[NAN, 1.0], NAN),
            (&[2.0, NAN], NAN),
            (&[NAN, NAN], NAN),
            (&[-1.0, NAN], NAN),
        ],
    );
}

/// The sixteen cases of `atan2` in C's Annex F, with either sign of y.
#[test]
fn angles_of_special_points() {
    for sign in [1.0, -1.0] {
        let case = |y: f64, x: f64, angle: f64| check(Op::Atan2, &[(&[sign * y, x], sign * angle)]);
        case(0.0, -0.0, PI);
        case(0.0, 0.0, 0.0);
        case(INF, -INF, 0.75 * PI);
        case(INF, INF, 0.25 * PI);
        for finite in [1e-30, 1.0, 7e20] {
            case(0.0, -finite, PI);
            case(0.0, finite, 0.0);
            case(finite, -0.0, 0.5 * PI);
            case(finite, 0.0, 0.5 * PI);
            case(finite, -INF, PI);
            case(finite, INF, 0.0);
            case(INF, finite, 0.5 * PI);
            case(INF, -finite, 0.5 * PI);
        }
        case(0.0, -INF, PI);
        case(0.0, INF, 0.0);
        case(INF, 0.0, 0.5 * PI);
        case(INF, -0.0, 0.5 * PI);
        for other in [0.0, 1.0, INF, NAN] {
            case(NAN, other, NAN);
            case(other, NAN, NAN);
        }
    }
    check(
        Op::Hypot,
        &[
            (&[INF, NAN], INF),
            (&[NAN, -INF], INF),
            (&[NAN, 1.0], NAN),
            (&[3.0, -4.0], 5.0),
            (&[-0.0, -0.0], 0.0),
        ],
    );
}

/// Odd functions are odd, and even ones even, to the bit.
#[test]
fn symmetries_are_exact() {
    let odd = [
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
    ];
    let even = [Op::Cos, Op::CosPi, Op::Cosh];
    for (op, is_odd) in odd.map(|op| (op, true)).into_iter().chain(even.map(|op| (op, false))) {
        for (dtype, func) in expansions(op) {
            let mut evaluator = Evaluator::new(&func).expect("an expansion is basic");
            let mut rng = Rng::new(3);
            let sign = 1u64 << (dtype.bits() - 1);
            for i in 0..2_000 {
                let x = match i % 2 {
                    0 => rng.value(dtype),
                    _ => Scalar::from_f64(dtype, (rng.below(1 << 20) as f64 - 5e5) * 1e-5),
                };
                let [value, mirrored] = [x.bits(), x.bits() ^ sign].map(|bits| {
                    let arg = Scalar::from_bits(dtype, bits);
                    evaluator.eval(&[arg], 0).expect("the types fit")[0]
                });
                let want = if is_odd {
                    Scalar::from_bits(dtype, value.bits() ^ sign)
                } else {
                    value
                };
                assert!(mirrored.is_same(want), "{} at {x}", op.name());
            }
        }
    }
}
