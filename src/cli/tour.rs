//! The tour: three small programs on data that is made here, each compiled, run, checked and timed beside a plain Rust loop.
//!
//! In: nothing. Out: text that shows a newcomer what the product does. It takes a second or two, most of it the timing.
//!
//! The plain loops are what one would write without loopweave: single-threaded, in the same element type, compiled by rustc
//! with this program's own options. Both are measured against the same formula in `f64`.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};

use super::error::CliError;
use super::eval::time;
use super::subject::Subject;
use crate::error::Error;
use crate::pipeline::{Options, Program};
use crate::runtime::array::AnyArray;
use crate::runtime::parallel::Threads;
use crate::runtime::view::{Arg, View};
use crate::shape::Layout;

/// The calls that a time is the best of.
const CALLS: u32 = 30;

/// The level of detail of the reports.
const REPORT_LEVEL: u8 = 2;

/// The largest relative error that is not a fault.
const TOLERANCE: f64 = 1e-5;

/// One stop of the tour.
struct Stop {
    title: &'static str,
    /// What is going on, for someone who sees it for the first time.
    story: &'static str,
    text: &'static str,
    inputs: Vec<(&'static str, ArrayD<f32>)>,
    /// The plain loop, as it is shown.
    loop_text: &'static str,
    plain: fn(&[&[f32]], &mut [f32]),
    /// The same formula in `f64`.
    exact: fn(&[&[f32]], &mut [f64]),
}

pub(super) fn run(out: &mut impl Write) -> Result<(), CliError> {
    let options = Options::native().map_err(Error::from)?;
    print(out, &welcome(options.threads.number()))?;
    for (i, stop) in stops().iter().enumerate() {
        print(out, &show(i + 1, stop, &options)?)?;
        // Each part appears when it is done.
        out.flush().map_err(CliError::Stdout)?;
    }
    print(out, FAREWELL)
}

fn print(out: &mut impl Write, text: &str) -> Result<(), CliError> {
    out.write_all(text.as_bytes()).map_err(CliError::Stdout)
}

fn welcome(threads: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let plural = if threads == 1 { "" } else { "s" };
    let warning = if cfg!(debug_assertions) {
        "This is a debug build, so neither the compiler nor the plain loops are fast: see `cargo run --release`.\n\n"
    } else {
        ""
    };
    format!(
        "loopweave {version}: a compiler for array operations, on {threads} thread{plural}\n\n\
         You write what happens to one element, or a formula over whole arrays. loopweave turns it into machine code while\n\
         your program runs: one loop instead of many, vector instructions, all cores. Here are three programs on arrays of\n\
         about a million f32 numbers.\n\n{warning}"
    )
}

const FAREWELL: &str = "\
Now yours. Arrays come from NumPy's .npy files:

  loopweave eval 'sqrt(x*x + y*y)' -i x=x.npy -i y=y.npy -o distance.npy
  loopweave explain 'sqrt(x*x + y*y)' -a x=f32[1000] -a y=f32[1000] --emit nest,asm
  loopweave --help
";

fn stops() -> [Stop; 3] {
    let mut random = Random(1);
    [
        Stop {
            title: "Two arrays, one function",
            story: "How far is each point from the origin? The function sees one x and one y; the kernel runs over all of them.",
            text: "sqrt(x*x + y*y)",
            inputs: vec![
                ("x", random.array(&[1 << 20], -10.0)),
                ("y", random.array(&[1 << 20], -10.0)),
            ],
            loop_text: "for i in 0..n { r[i] = (x[i]*x[i] + y[i]*y[i]).sqrt() }",
            plain: distance,
            exact: |inputs, out| {
                for ((out, &x), &y) in out.iter_mut().zip(inputs[0]).zip(inputs[1]) {
                    *out = (f64::from(x).powi(2) + f64::from(y).powi(2)).sqrt();
                }
            },
        },
        Stop {
            title: "Rows of a matrix",
            story: "The log of the sum of exponentials of each row, as a softmax needs it: the greatest element is taken out first\n\
                    so that nothing overflows. Elementwise parts are computed inside the loops of the reductions.",
            text: "let top = max(z, axis = -1, keepdims = true); ln(sum(exp(z - top), axis = -1)) + top[:, 0]",
            inputs: vec![("z", random.array(&[ROWS, (1 << 20) / ROWS], -5.0))],
            loop_text: "per row: m = max(z); r = (sum of (z - m).exp()).ln() + m",
            plain: log_sum_exp,
            exact: |inputs, out| {
                for (out, row) in out.iter_mut().zip(inputs[0].chunks_exact(inputs[0].len() / ROWS)) {
                    *out = row.iter().map(|&z| f64::from(z).exp()).sum::<f64>().ln();
                }
            },
        },
        Stop {
            title: "A reduction",
            story: "The root mean square of a signal. The order of the additions is fixed: every machine, thread count and vector\n\
                    width gives the same bits, and 64 running sums lose less to rounding than the one of a plain loop.",
            text: "sqrt(mean(s*s))",
            inputs: vec![("s", random.array(&[1 << 20], -1.0))],
            loop_text: "for v in s { sum += v*v }  r = (sum / n).sqrt()",
            plain: root_mean_square,
            exact: |inputs, out| {
                let sum: f64 = inputs[0].iter().map(|&s| f64::from(s).powi(2)).sum();
                out[0] = (sum / inputs[0].len() as f64).sqrt();
            },
        },
    ]
}

const ROWS: usize = 1024;

#[inline(never)]
fn distance(inputs: &[&[f32]], out: &mut [f32]) {
    for ((out, &x), &y) in out.iter_mut().zip(inputs[0]).zip(inputs[1]) {
        *out = (x * x + y * y).sqrt();
    }
}

#[inline(never)]
fn log_sum_exp(inputs: &[&[f32]], out: &mut [f32]) {
    for (out, row) in out.iter_mut().zip(inputs[0].chunks_exact(inputs[0].len() / ROWS)) {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        *out = row.iter().map(|&z| (z - top).exp()).sum::<f32>().ln() + top;
    }
}

#[inline(never)]
fn root_mean_square(inputs: &[&[f32]], out: &mut [f32]) {
    let sum: f32 = inputs[0].iter().map(|&s| s * s).sum();
    out[0] = (sum / inputs[0].len() as f32).sqrt();
}

/// Compiles, runs, checks and times one program.
fn show(number: usize, stop: &Stop, options: &Options) -> Result<String, CliError> {
    let views: Vec<View<'_>> = stop.inputs.iter().map(|(_, array)| array.view()).collect();
    let start = Instant::now();
    let program = compile(stop.text, &views, options)?;
    let compile_time = start.elapsed();
    let alone = Options {
        threads: Threads::Caller,
        ..options.clone()
    };
    let alone = compile(stop.text, &views, &alone)?;

    let mut results = program.run(&views)?;
    let slices: Vec<&[f32]> = stop
        .inputs
        .iter()
        .map(|(_, array)| array.as_slice().unwrap_or_default())
        .collect();
    let found = floats(&results);
    let mut plain = vec![0f32; found.len()];
    let plain_time = best(|| (stop.plain)(black_box(&slices), black_box(&mut plain)));
    let mut exact = vec![0f64; found.len()];
    (stop.exact)(&slices, &mut exact);
    let (kernel_error, plain_error) = (error(&found, &exact), error(&plain, &exact));
    if kernel_error.is_nan() || kernel_error > TOLERANCE {
        return Err(CliError::Differs { program: stop.text });
    }
    let shown: Vec<String> = results.iter().map(ToString::to_string).collect();
    let call_time = Duration::from_nanos(time(&program, &views, &mut results, CALLS)?.0);
    let alone_time = Duration::from_nanos(time(&alone, &views, &mut results, CALLS)?.0);

    let inputs: String = stop
        .inputs
        .iter()
        .map(|(name, array)| format!("    {name} = {}\n", indent(&AnyArray::from(array.clone()).to_string())))
        .collect();
    let ratio = |time: Duration| plain_time.as_secs_f64() / time.as_secs_f64();
    Ok(format!(
        "{number}. {title}\n\n{story}\n\n    {text}\n\n{inputs}    -> {result}\n\n\
         \x20 compiled      {compile}   once, from text to machine code\n\
         \x20 a call        {call}   {call_ratio:.1} x the plain loop's speed, on {threads}\n\
         \x20               {alone}   {alone_ratio:.1} x, on one thread\n\
         \x20 plain Rust    {plain}   {loop_text}\n\
         \x20 error         {kernel_error:>9.1e}   the largest, relative to the same in f64; the plain loop's is {plain_error:.1e}\n\n\
         {report}\n\n",
        title = stop.title,
        story = stop.story,
        text = stop.text,
        result = indent(&shown.join("\n")),
        compile = milliseconds(compile_time),
        call = milliseconds(call_time),
        call_ratio = ratio(call_time),
        threads = match options.threads.number() {
            1 => String::from("one thread"),
            n => format!("{n} threads"),
        },
        alone = milliseconds(alone_time),
        alone_ratio = ratio(alone_time),
        plain = milliseconds(plain_time),
        loop_text = stop.loop_text,
        report = program.report().text(REPORT_LEVEL).trim_end(),
    ))
}

fn compile(text: &str, views: &[View<'_>], options: &Options) -> Result<Program, CliError> {
    let types: Vec<_> = views.iter().map(|view| (view.ty(), view.shape().len())).collect();
    let layouts: Vec<Layout> = views.iter().map(View::layout).collect();
    let program = Subject::read(text)?.compile(&types, Some(&layouts), options)?;
    program.warm(&layouts)?;
    Ok(program)
}

/// The fastest of some calls.
fn best(mut call: impl FnMut()) -> Duration {
    let times = (0..CALLS).map(|_| {
        let start = Instant::now();
        call();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

/// The largest relative error.
fn error(found: &[f32], exact: &[f64]) -> f64 {
    let errors = found.iter().zip(exact).map(|(&found, &exact)| match exact {
        0.0 => f64::from(found).abs(),
        _ => ((f64::from(found) - exact) / exact).abs(),
    });
    // A NaN is the largest error of all.
    errors.fold(0.0, |largest, error| if error <= largest { largest } else { error })
}

fn floats(results: &[AnyArray]) -> Vec<f32> {
    results
        .iter()
        .flat_map(AnyArray::scalars)
        .map(|value| value.as_f64() as f32)
        .collect()
}

/// The later lines of an array below its first.
fn indent(text: &str) -> String {
    text.replace('\n', "\n        ")
}

fn milliseconds(time: Duration) -> String {
    format!("{:6.2} ms", time.as_secs_f64() * 1e3)
}

/// Numbers without a pattern, the same on every machine (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    /// An array of numbers between `low` and `-low`.
    fn array(&mut self, shape: &[usize], low: f32) -> ArrayD<f32> {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            low + (self.0 >> 40) as f32 / (1 << 24) as f32 * -2.0 * low
        })
    }
}
