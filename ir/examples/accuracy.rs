//! Measures every expansion against correctly rounded functions and prints a table.
//!
//! `cargo run --release -p loopweave-ir --example accuracy -- [FUNCTION] [POINTS]`: all functions on about a million inputs
//! each by default; 0 points means every one of the 2³² `f32` inputs.
//!
//! Inputs are spread over all binades, with more where a function is hard. The exact value of an `f32` function is taken
//! from its f64 version, so that errors have fractions of an ulp; of an `f64` function it is the correctly rounded value, so
//! that half an ulp has to be added to the errors shown.

use loopweave_ir::expand::expand;
use loopweave_ir::{Builder, Dtype, Func, Op, Scalar, interp};

fn main() {
    let mut args = std::env::args().skip(1);
    let only = args.next().filter(|name| name != "all");
    let points: u64 = args
        .next()
        .map_or(1_000_000, |n| n.parse().expect("POINTS is a number"));
    println!("| function | dtype | ops | points | max ulp | at | value | exact | wrong specials |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for dtype in [Dtype::F32, Dtype::F64] {
        for case in CASES
            .iter()
            .filter(|c| only.as_deref().is_none_or(|name| name == c.op.name()))
        {
            println!("{}", measure(case, dtype, points));
        }
    }
}

struct Case {
    op: Op,
    /// The correctly rounded f64 function.
    exact: fn(f64, f64) -> f64,
    /// The correctly rounded f32 function, for special values.
    exact_f32: fn(f32, f32) -> f32,
}

const CASES: &[Case] = &[
    Case {
        op: Op::Exp,
        exact: |x, _| core_math::exp(x),
        exact_f32: |x, _| core_math::expf(x),
    },
    Case {
        op: Op::Ln,
        exact: |x, _| core_math::log(x),
        exact_f32: |x, _| core_math::logf(x),
    },
    Case {
        op: Op::Sin,
        exact: |x, _| core_math::sin(x),
        exact_f32: |x, _| core_math::sinf(x),
    },
    Case {
        op: Op::Cos,
        exact: |x, _| core_math::cos(x),
        exact_f32: |x, _| core_math::cosf(x),
    },
    Case {
        op: Op::Tanh,
        exact: |x, _| core_math::tanh(x),
        exact_f32: |x, _| core_math::tanhf(x),
    },
    Case {
        op: Op::Erf,
        exact: |x, _| core_math::erf(x),
        exact_f32: |x, _| core_math::erff(x),
    },
    Case {
        op: Op::Sigmoid,
        exact: |x, _| sigmoid(x),
        exact_f32: |x, _| sigmoid(x as f64) as f32,
    },
    Case {
        op: Op::Pow,
        exact: core_math::pow,
        exact_f32: core_math::powf,
    },
];

/// 1 / (1 + e⁻ˣ) from a correctly rounded exponential and the ratio of its rounding error, which `exp` of the residual
/// logarithm shows.
fn sigmoid(x: f64) -> f64 {
    if !(x.abs() < 800.0) {
        return if x.is_nan() {
            x
        } else if x > 0.0 {
            1.0
        } else {
            0.0
        };
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

fn measure(case: &Case, dtype: Dtype, points: u64) -> String {
    let func = expanded(case.op, dtype);
    let mut kernel = Kernel::new(&func);
    let mut inputs = Inputs::new(case.op, dtype, points);
    let (mut worst, mut at, mut count) = (0.0, [0; 2], 0u64);
    let mut chunk = [[0u64; Kernel::LANES]; 2];
    loop {
        let filled = inputs.fill(&mut chunk);
        if filled == 0 {
            break;
        }
        let results = kernel.run(&chunk).to_owned();
        for lane in 0..filled {
            let args = [chunk[0][lane], chunk[1][lane]];
            let error = distance(case, dtype, args, results[lane]);
            if error > worst {
                (worst, at) = (error, args);
            }
        }
        count += filled as u64;
    }
    let arity = case.op.arity();
    let args: Vec<Scalar> = at[..arity].iter().map(|&b| Scalar::from_bits(dtype, b)).collect();
    let value = interp::eval(&func, &args, 0).expect("an expanded function has a value")[0];
    let exact = (case.exact)(args[0].as_f64(), args[arity - 1].as_f64());
    let specials = wrong_specials(case, dtype, &func);
    format!(
        "| {} | {dtype} | {} | {count} | {worst:.4} | {args:?} | {value} | {exact:?} | {specials} |",
        case.op.name(),
        operations(&func),
    )
}

fn expanded(op: Op, dtype: Dtype) -> Func {
    let mut b = Builder::typed(op.name());
    let params: Vec<_> = ["x", "y"][..op.arity()]
        .iter()
        .map(|&name| b.param(name, Some(dtype)))
        .collect();
    let result = b.node(op, &params);
    expand(&b.finish(&[result])).expect("the op has an expansion")
}

/// Nodes that cost an instruction.
fn operations(func: &Func) -> usize {
    let free = |op: Op| matches!(op, Op::Param(_) | Op::Const(_) | Op::Bitcast(_));
    func.nodes().iter().filter(|n| !free(n.op)).count()
}

/// The error in units of the exact value's last place; infinite where one is NaN, infinite or of another sign alone.
fn distance(case: &Case, dtype: Dtype, args: [u64; 2], result: u64) -> f64 {
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

/// How many of the special inputs give another value than the correctly rounded function, or another zero.
fn wrong_specials(case: &Case, dtype: Dtype, func: &Func) -> usize {
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
        16777215.0,
        9007199254740991.0,
        f64::INFINITY,
        f64::NAN,
    ];
    let both: Vec<f64> = specials.iter().flat_map(|&v| [v, -v]).collect();
    let is_exact = |op, x: f64, y: f64| op == Op::Pow || x == 0.0 || !x.is_finite() || y.is_nan();
    let mut wrong = 0;
    for &x in &both {
        for &y in if case.op.arity() == 2 { &both[..] } else { &both[..1] } {
            if !is_exact(case.op, x, y) {
                continue;
            }
            let args = [x, y].map(|v| Scalar::from_f64(dtype, v));
            let value = interp::eval(func, &args[..case.op.arity()], 0).expect("an expanded function has a value")[0];
            let exact = match dtype {
                Dtype::F64 => Scalar::from((case.exact)(x, y)),
                _ => Scalar::from((case.exact_f32)(x as f32, y as f32)),
            };
            if value != exact && !(value.is_nan() && exact.is_nan()) {
                eprintln!("{}({x}, {y}) is {value}, not {exact}", case.op.name());
                wrong += 1;
            }
        }
    }
    wrong
}

/// The stream of inputs of one measurement.
struct Inputs {
    op: Op,
    dtype: Dtype,
    next: u64,
    end: u64,
    stride: u64,
    seed: u64,
}

impl Inputs {
    fn new(op: Op, dtype: Dtype, points: u64) -> Inputs {
        let all = 1u64 << 32;
        let (end, stride) = match (points, dtype, op.arity()) {
            (0, Dtype::F32, 1) => (all, 1),
            (0, _, _) => (10_000_000, 0),
            (n, _, _) => (n, 0),
        };
        Inputs {
            op,
            dtype,
            next: 0,
            end,
            stride,
            seed: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.random() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn fill(&mut self, chunk: &mut [[u64; Kernel::LANES]; 2]) -> usize {
        let count = (self.end - self.next).min(Kernel::LANES as u64) as usize;
        for lane in 0..count {
            let args = if self.stride == 1 { [self.next, 0] } else { self.pick() };
            (chunk[0][lane], chunk[1][lane]) = (args[0], args[1]);
            self.next += 1;
        }
        count
    }

    fn pick(&mut self) -> [u64; 2] {
        let bits = |dtype: Dtype, v: f64| Scalar::from_f64(dtype, v).bits();
        let mask = u64::MAX >> (64 - self.dtype.bits());
        let any = self.random() & mask;
        if self.op == Op::Pow {
            let x = match self.next % 4 {
                0 => any,
                1 => bits(self.dtype, self.uniform(0.5, 2.0)),
                2 => bits(self.dtype, 1.0 + self.uniform(-1e-3, 1e-3)),
                _ => bits(self.dtype, self.uniform(0.0, 100.0)),
            };
            let limit = if self.dtype == Dtype::F32 { 104.0 } else { 745.0 };
            let ln = Scalar::from_bits(self.dtype, x)
                .as_f64()
                .abs()
                .ln()
                .abs()
                .clamp(1e-300, 1e300);
            let y = match self.next % 3 {
                0 => self.uniform(-limit, limit) / ln,
                1 => (self.uniform(-limit, limit) / ln).round(),
                _ => self.uniform(-4.0, 4.0),
            };
            return [x, bits(self.dtype, y)];
        }
        let x = match self.next % 4 {
            0 => any,
            1 => bits(self.dtype, self.uniform(-7.0, 7.0)),
            2 if matches!(self.op, Op::Exp | Op::Sigmoid) => bits(self.dtype, self.uniform(-750.0, 720.0)),
            2 if self.op == Op::Ln => bits(self.dtype, self.uniform(0.4, 3.0)),
            2 if matches!(self.op, Op::Sin | Op::Cos) => {
                let turns = self.uniform(0.0, 1e6).floor();
                bits(self.dtype, turns * std::f64::consts::FRAC_PI_2).wrapping_add(any % 5)
            }
            2 => bits(self.dtype, self.uniform(-1.5, 1.5)),
            _ if self.dtype == Dtype::F32 => bits(self.dtype, self.uniform(-110.0, 95.0)),
            _ => bits(self.dtype, self.uniform(-30.0, 30.0)),
        };
        [x, 0]
    }
}

/// A function evaluated node by node over arrays: the interpreter's meaning, fast enough for billions of inputs.
struct Kernel<'f> {
    func: &'f Func,
    values: Vec<[u64; Kernel::LANES]>,
}

impl<'f> Kernel<'f> {
    const LANES: usize = 1024;

    fn new(func: &'f Func) -> Kernel<'f> {
        let constant = |op: Op| match op {
            Op::Const(value) => value.bits(),
            _ => 0,
        };
        let values = func.nodes().iter().map(|n| [constant(n.op); Kernel::LANES]).collect();
        Kernel { func, values }
    }

    fn run(&mut self, args: &[[u64; Kernel::LANES]; 2]) -> &[u64] {
        for (id, node) in self.func.iter() {
            let (before, rest) = self.values.split_at_mut(id.index());
            let out = &mut rest[0];
            let operand = |i: usize| &before[node.args[i.min(node.args.len() - 1)].index()];
            match node.op {
                Op::Param(p) => *out = args[p as usize],
                Op::Const(_) => {}
                Op::Bitcast(_) => *out = *operand(0),
                Op::Select => {
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = if operand(0)[i] != 0 {
                            operand(1)[i]
                        } else {
                            operand(2)[i]
                        };
                    }
                }
                Op::Cast(to) => {
                    let from = self.func.dtype(node.args[0]);
                    for (o, &x) in out.iter_mut().zip(operand(0)) {
                        *o = Scalar::from_f64(to, Scalar::from_bits(from, x).as_f64()).bits();
                    }
                }
                op => {
                    let [x, y, z] = [0, 1, 2].map(operand);
                    match self.func.dtype(node.args[0]) {
                        Dtype::F32 => float_f32(op, out, x, y, z),
                        Dtype::F64 => float_f64(op, out, x, y, z),
                        Dtype::U32 => integer_u32(op, out, x, y),
                        Dtype::Bool | Dtype::U64 => integer_u64(op, out, x, y),
                        other => panic!("no expansion measured here computes in {other}"),
                    }
                }
            }
        }
        &self.values[self.func.results()[0].index()]
    }
}

type Lanes = [u64; Kernel::LANES];

macro_rules! each {
    ($out:ident, $args:expr, |$x:ident, $y:ident, $z:ident| $value:expr, $from:expr, $to:expr) => {{
        let [xs, ys, zs]: [&Lanes; 3] = $args;
        for i in 0..Kernel::LANES {
            let ($x, $y, $z) = ($from(xs[i]), $from(ys[i]), $from(zs[i]));
            let _ = ($y, $z);
            $out[i] = $to($value);
        }
    }};
}

macro_rules! float {
    ($name:ident, $t:ident, $bits:ident) => {
        fn $name(op: Op, out: &mut Lanes, xs: &Lanes, ys: &Lanes, zs: &Lanes) {
            let from = |b: u64| $t::from_bits(b as $bits);
            let to = |v: $t| u64::from(v.to_bits());
            let truth = u64::from;
            let args = [xs, ys, zs];
            match op {
                Op::Add => each!(out, args, |x, y, z| x + y, from, to),
                Op::Sub => each!(out, args, |x, y, z| x - y, from, to),
                Op::Mul => each!(out, args, |x, y, z| x * y, from, to),
                Op::Div => each!(out, args, |x, y, z| x / y, from, to),
                Op::Fma => each!(out, args, |x, y, z| x.mul_add(y, z), from, to),
                Op::Neg => each!(out, args, |x, y, z| -x, from, to),
                Op::Abs => each!(out, args, |x, y, z| x.abs(), from, to),
                Op::Round => each!(out, args, |x, y, z| x.round_ties_even(), from, to),
                Op::Trunc => each!(out, args, |x, y, z| x.trunc(), from, to),
                Op::Eq => each!(out, args, |x, y, z| x == y, from, truth),
                Op::Ne => each!(out, args, |x, y, z| x != y, from, truth),
                Op::Lt => each!(out, args, |x, y, z| x < y, from, truth),
                Op::Gt => each!(out, args, |x, y, z| x > y, from, truth),
                Op::Ge => each!(out, args, |x, y, z| x >= y, from, truth),
                other => panic!("no expansion measured here has `{}` of floats", other.name()),
            }
        }
    };
}

float!(float_f32, f32, u32);
float!(float_f64, f64, u64);

macro_rules! integer {
    ($name:ident, $t:ident) => {
        fn $name(op: Op, out: &mut Lanes, xs: &Lanes, ys: &Lanes) {
            let from = |b: u64| b as $t;
            let to = u64::from;
            let args = [xs, ys, ys];
            match op {
                Op::Add => each!(out, args, |x, y, z| x.wrapping_add(y), from, to),
                Op::Sub => each!(out, args, |x, y, z| x.wrapping_sub(y), from, to),
                Op::And => each!(out, args, |x, y, z| x & y, from, to),
                Op::Or => each!(out, args, |x, y, z| x | y, from, to),
                Op::Xor => each!(out, args, |x, y, z| x ^ y, from, to),
                Op::Shl => each!(out, args, |x, y, z| x.wrapping_shl(y as u32), from, to),
                Op::Shr => each!(out, args, |x, y, z| x.wrapping_shr(y as u32), from, to),
                Op::Not => each!(out, args, |x, y, z| x ^ 1, from, to),
                Op::Eq => each!(out, args, |x, y, z| x == y, from, u64::from),
                Op::Ne => each!(out, args, |x, y, z| x != y, from, u64::from),
                other => panic!("no expansion measured here has `{}` of integers", other.name()),
            }
        }
    };
}

integer!(integer_u32, u32);
integer!(integer_u64, u64);
