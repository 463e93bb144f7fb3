//! What the expansions are measured against: correctly rounded functions, inputs, and the distance between two values.
//!
//! The exact value of an `f32` function is taken from its f64 version, so that errors have fractions of an ulp; of an `f64`
//! function it is the correctly rounded value, so that half an ulp has to be added to the distance.

mod inputs;

use loopweave_ir::expand::expand;
use loopweave_ir::{Builder, Dtype, Func, Op, Scalar, interp};

pub(crate) use inputs::Inputs;

/// A function that has an expansion, and its exact values.
pub(crate) struct Case {
    pub(crate) op: Op,
    /// The correctly rounded f64 function; the second argument is only for `pow`.
    pub(crate) exact: fn(f64, f64) -> f64,
    /// The correctly rounded f32 function, for special values.
    exact_f32: fn(f32, f32) -> f32,
}

macro_rules! unary {
    ($op:ident, $f64:expr, $f32:expr) => {
        Case {
            op: Op::$op,
            exact: |x, _| $f64(x),
            exact_f32: |x, _| $f32(x),
        }
    };
}

pub(crate) const CASES: &[Case] = &[
    unary!(Exp, core_math::exp, core_math::expf),
    unary!(Ln, core_math::log, core_math::logf),
    unary!(Sin, core_math::sin, core_math::sinf),
    unary!(Cos, core_math::cos, core_math::cosf),
    unary!(Tanh, core_math::tanh, core_math::tanhf),
    unary!(Erf, core_math::erf, core_math::erff),
    unary!(Sigmoid, sigmoid, |x: f32| sigmoid(x as f64) as f32),
    Case {
        op: Op::Pow,
        exact: core_math::pow,
        exact_f32: core_math::powf,
    },
];

/// The expansion of one op, as a function of its operands.
pub(crate) fn expanded(op: Op, dtype: Dtype) -> Func {
    let mut b = Builder::typed(op.name());
    let params: Vec<_> = ["x", "y"][..op.arity()]
        .iter()
        .map(|&name| b.param(name, Some(dtype)))
        .collect();
    let result = b.node(op, &params);
    expand(&b.finish(&[result])).expect("the op has an expansion")
}

/// Nodes that cost an instruction.
pub(crate) fn operations(func: &Func) -> usize {
    let free = |op: Op| matches!(op, Op::Param(_) | Op::Const(_) | Op::Bitcast(_));
    func.nodes().iter().filter(|n| !free(n.op)).count()
}

/// The error in units of the exact value's last place; infinite where one is NaN, infinite or of another sign alone.
pub(crate) fn distance(case: &Case, dtype: Dtype, args: [u64; 2], result: u64) -> f64 {
    let [x, y] = args.map(|b| Scalar::from_bits(dtype, b).as_f64());
    let value = Scalar::from_bits(dtype, result).as_f64();
    let exact = (case.exact)(x, y);
    if value.is_nan() || exact.is_nan() {
        return if value.is_nan() == exact.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if dtype == Dtype::F64 {
        let order = |v: f64| {
            let bits = v.to_bits() as i64;
            i128::from(if bits < 0 { i64::MIN - bits } else { bits })
        };
        return (order(value) - order(exact)).abs() as f64;
    }
    // Beyond the largest number the next one would be 2^128.
    let widen = |v: f64| if v.is_infinite() { 2f64.powi(128).copysign(v) } else { v };
    let exact = if exact.abs() >= 2f64.powi(128) {
        2f64.powi(128).copysign(exact)
    } else {
        exact
    };
    let exponent = ((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let ulp = 2f64.powi(exponent.clamp(-126, 127) - 23);
    (widen(value) - exact).abs() / ulp
}

/// The special inputs that give another value than the correctly rounded function, or another zero.
pub(crate) fn wrong_specials(case: &Case, dtype: Dtype) -> Vec<String> {
    let func = expanded(case.op, dtype);
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
    let is_exact = |op, x: f64, y: f64| op == Op::Pow || x == 0.0 || !x.is_finite() || y.is_nan();
    let mut wrong = Vec::new();
    for &x in &both {
        for &y in if case.op.arity() == 2 { &both[..] } else { &both[..1] } {
            if !is_exact(case.op, x, y) {
                continue;
            }
            let args = [x, y].map(|v| Scalar::from_f64(dtype, v));
            let value = interp::eval(&func, &args[..case.op.arity()], 0).expect("an expanded function has a value")[0];
            let exact = match dtype {
                Dtype::F64 => Scalar::from((case.exact)(x, y)),
                _ => Scalar::from((case.exact_f32)(x as f32, y as f32)),
            };
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

/// 1 / (1 + e⁻ˣ), with e^−|x| in two words and one correction of the quotient.
fn sigmoid(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 800.0 {
        return if x.is_nan() { x } else { f64::from(x > 0.0) };
    }
    let (w, w_lo) = exp_two_words(-x.abs());
    let d = 1.0 + w;
    let d_lo = (w - (d - 1.0)) + w_lo;
    let (n, n_lo) = if x < 0.0 { (w, w_lo) } else { (1.0, 0.0) };
    let q = n / d;
    let rest = (-q).mul_add(d, n) + (n_lo - q * d_lo);
    q + rest / d
}

/// eˣ in two words for x ≤ 0: e^h by squaring, where h is x rounded to 1/1024, times e^(x − h) by Taylor's series.
fn exp_two_words(x: f64) -> (f64, f64) {
    let n = (x * 1024.0).round();
    let (p, p_lo) = power_of_e(n);
    let (q, q_lo) = taylor(x - n / 1024.0);
    if p < 1e-290 {
        (core_math::exp(x), 0.0)
    } else {
        times(p, p_lo, q, q_lo)
    }
}

fn taylor(x: f64) -> (f64, f64) {
    let (mut term, mut sum) = ((1.0, 0.0), (1.0, 0.0));
    for i in 1..14 {
        term = times(term.0, term.1, x, 0.0);
        term = over(term.0, term.1, i as f64);
        sum = plus(sum.0, sum.1, term.0, term.1);
    }
    sum
}

/// e^(n / 1024) in two words, by repeated squaring of the two-word e^(−1/1024) (n ≤ 0).
fn power_of_e(n: f64) -> (f64, f64) {
    let (mut base, mut base_lo) = taylor(-1.0 / 1024.0);
    let (mut p, mut p_lo) = (1.0, 0.0);
    let mut rest = (-n) as u64;
    while rest > 0 {
        if rest & 1 == 1 {
            (p, p_lo) = times(p, p_lo, base, base_lo);
        }
        (base, base_lo) = times(base, base_lo, base, base_lo);
        rest >>= 1;
    }
    (p, p_lo)
}

fn plus(a: f64, a_lo: f64, b: f64, b_lo: f64) -> (f64, f64) {
    let s = a + b;
    let part = s - a;
    let e = (a - (s - part)) + (b - part) + a_lo + b_lo;
    (s + e, e - ((s + e) - s))
}

fn times(a: f64, a_lo: f64, b: f64, b_lo: f64) -> (f64, f64) {
    let p = a * b;
    let e = a.mul_add(b, -p) + (a * b_lo + a_lo * b);
    (p + e, e - ((p + e) - p))
}

fn over(a: f64, a_lo: f64, b: f64) -> (f64, f64) {
    let q = a / b;
    let e = ((-q).mul_add(b, a) + a_lo) / b;
    (q + e, e - ((q + e) - q))
}
