//! Measures every expansion against correctly rounded functions and prints a table.
//!
//! `cargo run --release -p loopweave-ir --example accuracy -- [FUNCTION|all] [STRIDE] [POINTS]`: for a function of one `f32`
//! one block of 1024 neighbours in STRIDE (4096 by default; 1 means each of the 2³²), for `f64` and two operands POINTS
//! random inputs (a million by default).
//!
//! A fourth argument names a file for the inputs and results of the precise f64 functions of one operand that are not correctly rounded,
//! in hexadecimal bits: `ir/tools/fractions.py` tells how many ulps they are off.
//!
//! Of an `f64` function the table shows the distance to the correctly rounded value, in whole ulps.

#[path = "../tests/oracle/mod.rs"]
mod oracle;

use std::fs::File;
use std::io::{BufWriter, Write};

use loopweave_ir::expand::{Accuracy, max_ulp_at};
use loopweave_ir::{Dtype, Func, Op, Scalar, interp};
use oracle::{CASES, Case, Inputs, Slope, distance, expanded, expanded_to, operations, wrong_specials};

fn main() {
    let mut args = std::env::args().skip(1);
    let only = args.next().filter(|name| name != "all");
    let mut number = |default: u64| {
        args.next()
            .map_or(default, |n| n.parse().expect("an argument is a number"))
    };
    let (stride, points) = (number(4096), number(1_000_000));
    let mut misses = args
        .next()
        .map(|path| BufWriter::new(File::create(path).expect("the file can be made")));
    println!(
        "| function | dtype | ops | bound | inputs | max ulp | at | value | exact | wrong specials | not monotone |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (accuracy, dtype) in [
        (Accuracy::Precise, Dtype::F32),
        (Accuracy::Precise, Dtype::F64),
        (Accuracy::Fast, Dtype::F32),
        (Accuracy::Fast, Dtype::F64),
    ] {
        let wanted = |case: &&Case| only.as_deref().is_none_or(|name| name == case.op.name());
        for case in CASES.iter().filter(wanted) {
            let func = expanded_to(case.op, dtype, accuracy);
            if accuracy == Accuracy::Fast && func == expanded(case.op, dtype) {
                continue;
            }
            let inputs = match dtype {
                Dtype::F32 if case.op.arity() == 1 => Inputs::sweep(case.op, stride),
                _ => Inputs::new(case.op, dtype, points),
            };
            println!("{}", measure(case, dtype, accuracy, inputs, misses.as_mut()));
        }
    }
}

/// Where misses are written, if anywhere.
type Misses<'a> = Option<&'a mut BufWriter<File>>;

fn measure(case: &Case, dtype: Dtype, accuracy: Accuracy, mut inputs: Inputs, mut misses: Misses<'_>) -> String {
    let func = expanded_to(case.op, dtype, accuracy);
    let mut kernel = Kernel::new(&func);
    let (mut worst, mut at, mut count, mut steps_back) = (0.0, [0; 2], 0u64, 0u64);
    let is_listed = accuracy == Accuracy::Precise && dtype == Dtype::F64 && case.op.arity() == 1;
    let mut chunk = [[0u64; Kernel::LANES]; 2];
    loop {
        let filled = inputs.fill(&mut chunk);
        if filled == 0 {
            break;
        }
        let results = &kernel.run(&chunk)[..filled];
        for (lane, &result) in results.iter().enumerate() {
            let args = [chunk[0][lane], chunk[1][lane]];
            let error = distance(case, dtype, args, result);
            // A NaN is no error but that of the tool.
            if error > worst || error.is_nan() {
                (worst, at) = (error, args);
            }
            if let Some(file) = misses.as_mut().filter(|_| error > 0.0 && is_listed) {
                writeln!(file, "{} {:x} {result:x}", case.op.name(), args[0]).expect("the file can be written");
            }
        }
        if inputs.is_sweep() {
            steps_back += backward_steps(case.slope, chunk[0][0], results);
        }
        count += filled as u64;
    }
    let arity = case.op.arity();
    let args: Vec<Scalar> = at[..arity].iter().map(|&b| Scalar::from_bits(dtype, b)).collect();
    let value = interp::eval(&func, &args, 0).expect("an expanded function has a value")[0];
    let exact = (case.exact)(args[0].as_f64(), args[arity - 1].as_f64());
    let wrong = wrong_specials(case, dtype, accuracy);
    wrong.iter().for_each(|w| eprintln!("{w}"));
    let specials = wrong.len();
    let bound = max_ulp_at(&case.op, dtype, accuracy).expect("the op is expanded");
    let monotone = match case.slope {
        Slope::None => "".to_owned(),
        _ if inputs.is_sweep() => steps_back.to_string(),
        _ => "".to_owned(),
    };
    format!(
        "| `{}`{} | {dtype} | {} | {bound} | {count} | {worst:.4} | {args:?} | {value} | {exact:?} | {specials} | {monotone} |",
        case.op.name(),
        if accuracy == Accuracy::Fast { " fast" } else { "" },
        operations(&func),
    )
}

/// How often a function of neighbours, which are of one sign and grow in magnitude, goes against its slope.
fn backward_steps(slope: Slope, first: u64, results: &[u64]) -> u64 {
    let value = |bits: u64| f32::from_bits(bits as u32);
    let rises = (slope == Slope::Rises) == (value(first).is_sign_positive());
    let against = |w: &[u64]| {
        if rises {
            value(w[1]) < value(w[0])
        } else {
            value(w[1]) > value(w[0])
        }
    };
    match slope {
        Slope::None => 0,
        _ => results.windows(2).filter(|w| against(w)).count() as u64,
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
                Op::Sqrt => each!(out, args, |x, y, z| x.sqrt(), from, to),
                Op::Maximum => each!(
                    out,
                    args,
                    |x, y, z| if x.is_nan() || y.is_nan() { x + y } else { x.max(y) },
                    from,
                    to
                ),
                Op::Le => each!(out, args, |x, y, z| x <= y, from, truth),
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
