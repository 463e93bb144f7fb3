//! What the expansions are measured against: correctly rounded functions, inputs, and the distance between two values.
//!
//! The result of an `f32` function that is the correctly rounded one has distance 0; of any other the exact value is taken
//! from the f64 function, so that errors have fractions of an ulp. Of an `f64` function the exact value is the correctly
//! rounded one, so that half an ulp has to be added to the distance.

#![allow(dead_code, reason = "each crate of tests uses its own part")]

mod composed;
mod inputs;

use loopweave_ir::expand::expand_to;
use loopweave_ir::testing::single_op;
use loopweave_ir::{Accuracy, Dtype, Func, Op, Scalar, interp};

pub(crate) use inputs::Inputs;

/// A function that has an expansion, and its exact values.
pub(crate) struct Case {
    pub(crate) op: Op,
    /// The correctly rounded f64 function (but for those of [`composed`], whose error is below 0.51 ulp).
    pub(crate) exact: fn(f64, f64) -> f64,
    /// The correctly rounded f32 function.
    exact_f32: fn(f32, f32) -> f32,
    /// An f64 function exact to 2⁻⁴⁰ or so, where that is quicker than `exact`; its NaN means nothing.
    quick: Option<fn(f64, f64) -> f64>,
    /// Whether the function rises, falls, or is not monotone on a common domain.
    pub(crate) slope: Slope,
}

impl Case {
    /// Whether a result is the correctly rounded one, as far as that is known sooner than the exact value.
    fn is_rounded_correctly(&self, dtype: Dtype, args: [u64; 2], result: u64) -> bool {
        let [x, y] = args.map(|bits| f32::from_bits(bits as u32));
        dtype == Dtype::F32 && self.quick.is_none() && u64::from((self.exact_f32)(x, y).to_bits()) == result
    }

    fn exact_at(&self, dtype: Dtype, x: f64, y: f64) -> f64 {
        let quick = self.quick.filter(|_| dtype == Dtype::F32).map(|quick| quick(x, y));
        quick.filter(|v| !v.is_nan()).unwrap_or_else(|| (self.exact)(x, y))
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Slope {
    Rises,
    Falls,
    None,
}

macro_rules! core {
    ($op:ident $slope:ident $f64:ident $f32:ident) => {
        Case {
            op: Op::$op,
            exact: |x, _| core_math::$f64(x),
            exact_f32: |x, _| core_math::$f32(x),
            quick: None,
            slope: Slope::$slope,
        }
    };
    ($op:ident of two $f64:ident $f32:ident) => {
        Case {
            op: Op::$op,
            exact: |x, y| core_math::$f64(x, y),
            exact_f32: |x, y| core_math::$f32(x, y),
            quick: None,
            slope: Slope::None,
        }
    };
}

macro_rules! composed {
    ($op:ident $slope:ident $f64:ident) => {
        Case {
            op: Op::$op,
            exact: |x, _| composed::$f64(x),
            exact_f32: |x, _| composed::$f64(x as f64) as f32,
            quick: Some(|x, _| composed::quick::$f64(x)),
            slope: Slope::$slope,
        }
    };
}

pub(crate) const CASES: &[Case] = &[
    core!(Exp Rises exp expf),
    core!(Exp2 Rises exp2 exp2f),
    core!(Exp10 Rises exp10 exp10f),
    core!(Expm1 Rises expm1 expm1f),
    core!(Ln Rises log logf),
    core!(Log2 Rises log2 log2f),
    core!(Log10 Rises log10 log10f),
    core!(Log1p Rises log1p log1pf),
    core!(Sin None sin sinf),
    core!(Cos None cos cosf),
    core!(Tan None tan tanf),
    core!(SinPi None sinpi sinpif),
    core!(CosPi None cospi cospif),
    core!(Asin Rises asin asinf),
    core!(Acos Falls acos acosf),
    core!(Atan Rises atan atanf),
    core!(Atan2 of two atan2 atan2f),
    core!(Sinh Rises sinh sinhf),
    core!(Cosh None cosh coshf),
    core!(Tanh Rises tanh tanhf),
    core!(Asinh Rises asinh asinhf),
    core!(Acosh Rises acosh acoshf),
    core!(Atanh Rises atanh atanhf),
    core!(Cbrt Rises cbrt cbrtf),
    core!(Rsqrt Falls rsqrt rsqrtf),
    core!(Hypot of two hypot hypotf),
    core!(Pow of two pow powf),
    core!(Erf Rises erf erff),
    core!(Erfc Falls erfc erfcf),
    core!(LnGamma None lgamma lgammaf),
    core!(Gamma None tgamma tgammaf),
    composed!(Sigmoid Rises sigmoid),
    composed!(Softplus Rises softplus),
    composed!(Gelu None gelu),
    composed!(GeluTanh None gelu_tanh),
    composed!(Silu None silu),
    composed!(Mish None mish),
    Case {
        op: Op::LogAddExp,
        exact: composed::logaddexp,
        exact_f32: |x, y| composed::logaddexp(x as f64, y as f64) as f32,
        quick: Some(composed::quick::logaddexp),
        slope: Slope::None,
    },
];

/// The expansion of one op, as a function of its operands.
pub(crate) fn expanded(op: Op, dtype: Dtype) -> Func {
    expanded_to(op, dtype, Accuracy::Precise)
}

/// The expansion of an accuracy.
pub(crate) fn expanded_to(op: Op, dtype: Dtype, accuracy: Accuracy) -> Func {
    let func = single_op(op, &vec![dtype; op.arity()]).expect("the op computes in this type");
    expand_to(&func, accuracy).expect("the op has an expansion")
}

/// The error in units of the exact value's last place; infinite where one is NaN, infinite or of another sign alone.
pub(crate) fn distance(case: &Case, dtype: Dtype, args: [u64; 2], result: u64) -> f64 {
    if case.is_rounded_correctly(dtype, args, result) {
        return 0.0;
    }
    let [x, y] = args.map(|b| Scalar::from_bits(dtype, b).as_f64());
    let value = Scalar::from_bits(dtype, result).as_f64();
    let exact = case.exact_at(dtype, x, y);
    if value.is_nan() || exact.is_nan() {
        return if value.is_nan() == exact.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let infinity = if dtype == Dtype::F64 {
        f64::INFINITY
    } else {
        2f64.powi(128)
    };
    // Zeros have signs.
    if value == 0.0 && exact == 0.0 && value.is_sign_negative() != exact.is_sign_negative() {
        return f64::INFINITY;
    }
    if value == exact || value.is_infinite() && exact.abs() >= infinity && (value > 0.0) == (exact > 0.0) {
        return 0.0;
    }
    // A sum that cancels is as exact as its greater term; ln |Γ| of f64 has such zeros below −2.
    let unit = match case.op {
        Op::LogAddExp => exact.abs().max(x.max(y).abs()),
        Op::LnGamma if dtype == Dtype::F64 && x < -2.0 => exact.abs().max(0.5),
        _ => exact.abs(),
    };
    let exponent = ((unit.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    if dtype == Dtype::F64 {
        let order = |v: f64| {
            let bits = v.to_bits() as i64;
            i128::from(if bits < 0 { i64::MIN - bits } else { bits })
        };
        let steps = (order(value) - order(exact)).abs() as f64;
        return match case.op {
            Op::LogAddExp | Op::LnGamma => steps.min((value - exact).abs() / 2f64.powi(exponent.max(-1022) - 52)),
            _ => steps,
        };
    }
    // Beyond the largest number the next one would be 2^128.
    let widen = |v: f64| if v.is_infinite() { infinity.copysign(v) } else { v };
    let exact = if exact.abs() >= infinity {
        infinity.copysign(exact)
    } else {
        exact
    };
    let ulp = 2f64.powi(exponent.clamp(-126, 127) - 23);
    (widen(value) - exact).abs() / ulp
}

/// How often a function goes against its slope between inputs that are neighbours, of one sign and growing in magnitude; `last`
/// holds the last input and result before them, and then theirs.
pub(crate) fn backward_steps(
    slope: Slope,
    dtype: Dtype,
    last: &mut Option<(u64, u64)>,
    xs: &[u64],
    results: &[u64],
) -> u64 {
    if slope == Slope::None {
        return 0;
    }
    let value = |bits: u64| match dtype {
        Dtype::F32 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    };
    let mut steps = 0;
    for (&x, &result) in xs.iter().zip(results) {
        if let Some((before, y)) = last.replace((x, result))
            && before + 1 == x
            && value(before).is_sign_positive() == value(x).is_sign_positive()
        {
            let rises = (slope == Slope::Rises) == value(x).is_sign_positive();
            let (low, high) = if rises { (y, result) } else { (result, y) };
            steps += u64::from(value(high) < value(low));
        }
    }
    steps
}

/// The special inputs that give another value than the correctly rounded function, or another zero.
pub(crate) fn wrong_specials(case: &Case, dtype: Dtype, accuracy: Accuracy) -> Vec<String> {
    let func = expanded_to(case.op, dtype, accuracy);
    let specials = [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        4.0,
        5.0,
        1e9,
        1e30,
        8388607.5,
        16777215.0,
        9007199254740991.0,
        f64::INFINITY,
        f64::NAN,
    ];
    let both: Vec<f64> = specials.iter().flat_map(|&v| [v, -v]).collect();
    let mut wrong = Vec::new();
    for &x in &both {
        for &y in if case.op.arity() == 2 { &both[..] } else { &both[..1] } {
            let args = [x, y].map(|v| Scalar::from_f64(dtype, v));
            let value = interp::eval(&func, &args[..case.op.arity()], 0).expect("an expanded function has a value")[0];
            let exact = match dtype {
                Dtype::F64 => Scalar::from((case.exact)(x, y)),
                _ => Scalar::from((case.exact_f32)(x as f32, y as f32)),
            };
            let special = |v: f64| v == 0.0 || v.abs() == 1.0 || !v.is_finite();
            let is_exact =
                case.op == Op::Pow || special(x) || (case.op.arity() == 2 && special(y)) || special(exact.as_f64());
            if !is_exact {
                continue;
            }
            // Only a value that has to be exact is compared here; the others' errors are in the table.
            let to_round = exact.as_f64().is_normal() && exact.as_f64().fract() != 0.0 || exact.as_f64().abs() > 1e6;
            let same = value == exact || value.is_nan() && exact.is_nan();
            let may_differ = to_round && exact.as_f64().is_finite();
            if !same && !may_differ {
                wrong.push(format!("{}({x}, {y}) is {value}, not {exact}", case.op.name()));
            }
        }
    }
    wrong
}
