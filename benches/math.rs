//! Elementary functions, time per element beside a loop over the platform's libm.
//!
//! `cargo bench --bench math [-- FUNCTION …]`: 64k elements, one thread; in vectors of 128 bits beside libm's loop, and in the
//! widest there are, in both tiers of accuracy. The sides are interleaved and each shows the lower quartile of its times, what
//! the machine's other load disturbs least. What the standard library lacks is a formula of its functions, or comes from the
//! crate `libm`; a dash stands where a function has no fast form. `ir/ACCURACY.md` has the ratios, and what bounds them.

use std::f64::consts::FRAC_1_SQRT_2;
use std::hint::black_box;
use std::time::{Duration, Instant};

use loopweave::ir::expand::expand;
use loopweave::ir::simplify::Fast;
use loopweave::ir::testing::{operations, single_op};
use loopweave::ir::{Accuracy, Dtype, Op};
use loopweave::jit::{self, Kernel};
use loopweave::target::Target;

const ELEMENTS: usize = 1 << 16;
/// How long one function is measured at one dtype.
const BUDGET: Duration = Duration::from_millis(300);

/// A function, the range of its arguments, and the scalar functions beside it.
struct Row {
    op: Op,
    range: (f64, f64),
    libm: Libm,
}

/// A scalar function at both types.
type Libm = (fn(f32) -> f32, fn(f64) -> f64);

macro_rules! rows {
    ($($op:ident $low:literal $high:literal $f32:expr, $f64:expr;)*) => {
        &[$(Row { op: Op::$op, range: ($low, $high), libm: ($f32, $f64) }),*]
    };
}

/// A formula of the standard library's functions, at both types.
macro_rules! formula {
    ($($name:ident |$x:ident| $body:expr;)*) => {
        mod f32_formula {
            use std::f32::consts::{FRAC_2_PI, PI};
            $(pub(super) fn $name($x: f32) -> f32 { $body })*
        }
        mod f64_formula {
            use std::f64::consts::{FRAC_2_PI, PI};
            $(pub(super) fn $name($x: f64) -> f64 { $body })*
        }
    };
}

formula! {
    sinpi |x| (x * PI).sin();
    cospi |x| (x * PI).cos();
    rsqrt |x| 1.0 / x.sqrt();
    sigmoid |x| 1.0 / (1.0 + (-x).exp());
    softplus |x| x.exp().ln_1p();
    gelu_tanh |x| 0.5 * x * (1.0 + (FRAC_2_PI.sqrt() * (x + 0.044_715 * x * x * x)).tanh());
    silu |x| x / (1.0 + (-x).exp());
    mish |x| x * x.exp().ln_1p().tanh();
}

const ROWS: &[Row] = rows! {
    Exp -80.0 80.0 f32::exp, f64::exp;
    Exp2 -100.0 100.0 f32::exp2, f64::exp2;
    Exp10 -30.0 30.0 libm::exp10f, libm::exp10;
    Expm1 -4.0 4.0 f32::exp_m1, f64::exp_m1;
    Ln 1e-3 1e3 f32::ln, f64::ln;
    Log2 1e-3 1e3 f32::log2, f64::log2;
    Log10 1e-3 1e3 f32::log10, f64::log10;
    Log1p -0.9 10.0 f32::ln_1p, f64::ln_1p;
    Sin -10.0 10.0 f32::sin, f64::sin;
    Cos -10.0 10.0 f32::cos, f64::cos;
    Tan -10.0 10.0 f32::tan, f64::tan;
    SinPi -10.0 10.0 f32_formula::sinpi, f64_formula::sinpi;
    CosPi -10.0 10.0 f32_formula::cospi, f64_formula::cospi;
    Asin -1.0 1.0 f32::asin, f64::asin;
    Acos -1.0 1.0 f32::acos, f64::acos;
    Atan -10.0 10.0 f32::atan, f64::atan;
    Sinh -4.0 4.0 f32::sinh, f64::sinh;
    Cosh -4.0 4.0 f32::cosh, f64::cosh;
    Tanh -4.0 4.0 f32::tanh, f64::tanh;
    Asinh -10.0 10.0 f32::asinh, f64::asinh;
    Acosh 1.0 10.0 f32::acosh, f64::acosh;
    Atanh -0.99 0.99 f32::atanh, f64::atanh;
    Cbrt -10.0 10.0 f32::cbrt, f64::cbrt;
    Rsqrt 1e-3 1e3 f32_formula::rsqrt, f64_formula::rsqrt;
    Erf -4.0 4.0 libm::erff, libm::erf;
    Erfc -4.0 8.0 libm::erfcf, libm::erfc;
    LnGamma 0.1 30.0 libm::lgammaf, libm::lgamma;
    Gamma 0.1 30.0 libm::tgammaf, libm::tgamma;
    Sigmoid -8.0 8.0 f32_formula::sigmoid, f64_formula::sigmoid;
    Softplus -8.0 8.0 f32_formula::softplus, f64_formula::softplus;
    Gelu -8.0 8.0 |x| 0.5 * x * (1.0 + libm::erff(x * FRAC_1_SQRT_2 as f32)), |x| 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2));
    GeluTanh -8.0 8.0 f32_formula::gelu_tanh, f64_formula::gelu_tanh;
    Silu -8.0 8.0 f32_formula::silu, f64_formula::silu;
    Mish -8.0 8.0 f32_formula::mish, f64_formula::mish;
};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!(
        "| function | dtype | ops | libm ns | 128-bit ns | libm / 128-bit | widest ns | libm / widest | fast ns |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in ROWS {
        if wanted.is_empty() || wanted.iter().any(|name| name == row.op.name()) {
            measure::<f32>(row, Dtype::F32, row.libm.0, |x| x as f32);
            measure::<f64>(row, Dtype::F64, row.libm.1, |x| x);
        }
    }
}

fn measure<T: Copy + Default>(row: &Row, dtype: Dtype, libm: fn(T) -> T, make: fn(f64) -> T)
where
    [T]: Call,
{
    let (low, high) = row.range;
    // A sequence without short periods, so that no branch predictor learns libm's branches.
    let at = |i: usize| (i as f64 * 0.618_033_988_749_895).fract();
    let x: Vec<T> = (0..ELEMENTS).map(|i| make(low + (high - low) * at(i))).collect();
    let mut y = vec![T::default(); ELEMENTS];
    let [narrow, widest] = ["simd128", "native"].map(|target| kernel(row.op, Fast::NONE, target));
    let has_fast = row.op.tier(Accuracy::Fast) == Accuracy::Fast;
    let fast = has_fast.then(|| kernel(row.op, Fast::APPROX, "native"));
    let mut times = [const { Vec::new() }; 4];
    let start = Instant::now();
    while start.elapsed() < BUDGET || times[1].len() < 9 {
        times[0].push(time(|| {
            y.iter_mut().zip(&x).for_each(|(y, &x)| *y = libm(x));
            black_box(&mut y);
        }));
        times[1].push(time(|| x.run(&narrow, &mut y)));
        times[2].push(time(|| x.run(&widest, &mut y)));
        if let Some(fast) = &fast {
            times[3].push(time(|| x.run(fast, &mut y)));
        }
    }
    let [libm, narrow, widest, fast] = times.map(lower_quartile);
    let show = |ns: Option<f64>| ns.map_or("—".to_owned(), |ns| format!("{ns:.2}"));
    let ratio = |ours: Option<f64>| show(libm.zip(ours).map(|(libm, ours)| libm / ours));
    let cells = [
        show(libm),
        show(narrow),
        ratio(narrow),
        show(widest),
        ratio(widest),
        show(fast),
    ];
    println!(
        "| {} | {dtype} | {} | {} |",
        row.op.name(),
        ops(row.op, dtype),
        cells.join(" | ")
    );
}

/// The kernel of one op on the caller's thread.
fn kernel(op: Op, fast: Fast, target: &str) -> Kernel {
    let text = format!("fn f(x) {{ {}(x) }}", op.name());
    let kernel = jit::func(text.as_str()).expect("an op of one operand is a function");
    let target = Target::parse(target).expect("this machine has such code");
    kernel
        .fast(fast)
        .target(target)
        .threads(1)
        .expect("one thread is the caller's")
}

/// The basic ops that each element pays for, without constants and bitcasts.
fn ops(op: Op, dtype: Dtype) -> usize {
    let func = single_op(op, &[dtype]).expect("the op computes in this type");
    operations(&expand(&func).expect("the op has an expansion"))
}

/// A call on slices, which a generic function cannot write by itself.
trait Call {
    fn run(&self, kernel: &Kernel, out: &mut Self);
}

macro_rules! call {
    ($($t:ty)*) => {$(
        impl Call for [$t] {
            fn run(&self, kernel: &Kernel, out: &mut [$t]) {
                kernel.call_into(self, out).expect("two slices of one length");
            }
        }
    )*};
}

call! { f32 f64 }

/// Nanoseconds for each element.
fn time(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / ELEMENTS as f64
}

fn lower_quartile(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 4).copied()
}
