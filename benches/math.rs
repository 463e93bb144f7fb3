//! Elementary functions, time per element beside a loop over the platform's libm.
//!
//! `cargo bench --bench math [-- FUNCTION …]`: 64k elements, one thread, both tiers of accuracy; the sides are interleaved and
//! each shows the lower quartile of its times, what the machine's other load disturbs least. A dash stands where Rust's
//! standard library has no such function, or a function no fast form.

use std::hint::black_box;
use std::time::{Duration, Instant};

use loopweave::ir::simplify::Fast;
use loopweave::ir::{Accuracy, Dtype, Op};
use loopweave::jit::{self, Kernel};

const ELEMENTS: usize = 1 << 16;
/// How long one function is measured at one dtype.
const BUDGET: Duration = Duration::from_millis(300);

/// A function, the range of its arguments, and the standard library's loops.
struct Row {
    op: Op,
    range: (f64, f64),
    libm: Option<Libm>,
}

/// A function of the standard library at both types.
type Libm = (fn(f32) -> f32, fn(f64) -> f64);

macro_rules! rows {
    ($($op:ident $low:literal $high:literal $($std:ident)?;)*) => {
        &[$(Row { op: Op::$op, range: ($low, $high), libm: rows!(@libm $($std)?) }),*]
    };
    (@libm) => { None };
    (@libm $std:ident) => { Some((f32::$std, f64::$std)) };
}

const ROWS: &[Row] = rows! {
    Exp -80.0 80.0 exp;
    Exp2 -100.0 100.0 exp2;
    Exp10 -30.0 30.0;
    Expm1 -4.0 4.0 exp_m1;
    Ln 1e-3 1e3 ln;
    Log2 1e-3 1e3 log2;
    Log10 1e-3 1e3 log10;
    Log1p -0.9 10.0 ln_1p;
    Sin -10.0 10.0 sin;
    Cos -10.0 10.0 cos;
    Tan -10.0 10.0 tan;
    SinPi -10.0 10.0;
    CosPi -10.0 10.0;
    Asin -1.0 1.0 asin;
    Acos -1.0 1.0 acos;
    Atan -10.0 10.0 atan;
    Sinh -4.0 4.0 sinh;
    Cosh -4.0 4.0 cosh;
    Tanh -4.0 4.0 tanh;
    Asinh -10.0 10.0 asinh;
    Acosh 1.0 10.0 acosh;
    Atanh -0.99 0.99 atanh;
    Cbrt -10.0 10.0 cbrt;
    Rsqrt 1e-3 1e3;
    Erf -4.0 4.0;
    Erfc -4.0 8.0;
    LnGamma 0.1 30.0;
    Gamma 0.1 30.0;
    Sigmoid -8.0 8.0;
    Softplus -8.0 8.0;
    Gelu -8.0 8.0;
    GeluTanh -8.0 8.0;
    Silu -8.0 8.0;
    Mish -8.0 8.0;
};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("| function | dtype | libm ns | precise ns | libm / precise | fast ns |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in ROWS {
        if wanted.is_empty() || wanted.iter().any(|name| name == row.op.name()) {
            measure::<f32>(row, Dtype::F32, row.libm.map(|(f, _)| f), |x| x as f32);
            measure::<f64>(row, Dtype::F64, row.libm.map(|(_, f)| f), |x| x);
        }
    }
}

fn measure<T: Copy + Default>(row: &Row, dtype: Dtype, libm: Option<fn(T) -> T>, make: fn(f64) -> T)
where
    [T]: Call,
{
    let (low, high) = row.range;
    // A sequence without short periods, so that no branch predictor learns libm's branches.
    let at = |i: usize| (i as f64 * 0.618_033_988_749_895).fract();
    let x: Vec<T> = (0..ELEMENTS).map(|i| make(low + (high - low) * at(i))).collect();
    let mut y = vec![T::default(); ELEMENTS];
    let precise = kernel(row.op, Fast::NONE);
    let has_fast = row.op.tier(Accuracy::Fast) == Accuracy::Fast;
    let fast = has_fast.then(|| kernel(row.op, Fast::APPROX));
    let mut times = [const { Vec::new() }; 3];
    let start = Instant::now();
    while start.elapsed() < BUDGET || times[1].len() < 9 {
        if let Some(libm) = libm {
            times[0].push(time(|| {
                y.iter_mut().zip(&x).for_each(|(y, &x)| *y = libm(x));
                black_box(&mut y);
            }));
        }
        times[1].push(time(|| x.run(&precise, &mut y)));
        if let Some(fast) = &fast {
            times[2].push(time(|| x.run(fast, &mut y)));
        }
    }
    let [libm, precise, fast] = times.map(lower_quartile);
    let show = |ns: Option<f64>| ns.map_or("—".to_owned(), |ns| format!("{ns:.2}"));
    let ratio = libm.zip(precise).map(|(libm, precise)| libm / precise);
    let name = row.op.name();
    println!(
        "| {name} | {dtype} | {} | {} | {} | {} |",
        show(libm),
        show(precise),
        show(ratio),
        show(fast)
    );
}

/// The kernel of one op on the caller's thread.
fn kernel(op: Op, fast: Fast) -> Kernel {
    let text = format!("fn f(x) {{ {}(x) }}", op.name());
    let kernel = jit::func(text.as_str()).expect("an op of one operand is a function");
    kernel.fast(fast).threads(1).expect("one thread is the caller's")
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
