//! Loopweave's side of the comparison with other libraries: `benches/peers/run` builds it and speaks with it.
//!
//! In: the number of threads as the argument, then requests on stdin, one JSON object a line ([`Request`]). Out: one JSON
//! object a line for each: `{"ns": […]}` for times, `{"error": "…"}` for what fails, `{}` for the rest. Knows no row: programs
//! come as text, and inputs are numbers that the other sides make alike.
//!
//! Invariant: outside a request nothing runs, so that no side disturbs another.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use loopweave::ir::simplify::Fast;
use loopweave::jit::{self, Kernel};
use loopweave::runtime::view::{Arg, Args, View};
use loopweave::{AnyArray, Dtype};
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

type Error = Box<dyn std::error::Error>;

/// What the other end may ask.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Request {
    /// Compiles a program and makes its arrays.
    Open {
        /// A `kernel` item.
        text: String,
        /// The type of all arrays.
        dtype: String,
        /// The extents of each input.
        inputs: Vec<Vec<usize>>,
        /// Those of the result.
        output: Vec<usize>,
        /// Fast-math permissions, as `--fast` takes them; none where it is empty.
        fast: String,
    },
    /// Times `samples` batches of `calls` calls each; a batch more goes first, unmeasured.
    Time { calls: u32, samples: u32 },
    /// Writes the result to a `.npy` file.
    Result { path: PathBuf },
    /// Frees the arrays.
    Close,
}

#[derive(Debug, Default, Serialize)]
struct Reply {
    /// Per call, one for each sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A kernel with its arrays.
struct Case {
    kernel: Kernel,
    inputs: Vec<AnyArray>,
    output: AnyArray,
}

/// As many arguments as there are.
struct Inputs<'a>(&'a [AnyArray]);

impl Args for Inputs<'_> {
    fn views(&self) -> SmallVec<[View<'_>; 4]> {
        self.0.iter().map(Arg::view).collect()
    }
}

fn main() -> Result<(), Error> {
    let threads = std::env::args()
        .nth(1)
        .ok_or("expected the number of threads")?
        .parse()?;
    let mut case = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let reply = serve(&line?, threads, &mut case).unwrap_or_else(|error| Reply {
            error: Some(error.to_string()),
            ..Reply::default()
        });
        writeln!(out, "{}", serde_json::to_string(&reply)?)?;
        out.flush()?;
    }
    Ok(())
}

fn serve(line: &str, threads: usize, case: &mut Option<Case>) -> Result<Reply, Error> {
    match (serde_json::from_str(line)?, case) {
        (Request::Close, case) => *case = None,
        (
            Request::Open {
                text,
                dtype,
                inputs,
                output,
                fast,
            },
            case,
        ) => {
            // The arrays of the case before are gone before those of the next are made.
            *case = None;
            let dtype: Dtype = dtype.parse()?;
            let fast: Fast = if fast.is_empty() {
                Fast::default()
            } else {
                fast.parse()?
            };
            let made = Case {
                kernel: jit::kernel(&text)?.threads(threads)?.fast(fast),
                inputs: (0u32..)
                    .zip(&inputs)
                    .map(|(position, shape)| array(dtype, position, shape))
                    .collect::<Result<_, _>>()?,
                output: AnyArray::zeros(dtype, &output).ok_or("the result is too large")?,
            };
            case.insert(made).call()?;
        }
        (_, None) => return Err("no case is open".into()),
        (Request::Time { calls, samples }, Some(case)) => {
            case.batch(calls)?;
            let ns = (0..samples).map(|_| case.batch(calls)).collect::<Result<_, _>>()?;
            return Ok(Reply {
                ns: Some(ns),
                ..Reply::default()
            });
        }
        (Request::Result { path }, Some(case)) => loopweave::cli::npy::write(&path, &case.output)?,
    }
    Ok(Reply::default())
}

impl Case {
    fn call(&mut self) -> Result<(), loopweave::Error> {
        self.kernel.call_into(Inputs(&self.inputs), &mut self.output)
    }

    /// The time per call of so many calls, in nanoseconds.
    fn batch(&mut self, calls: u32) -> Result<f64, loopweave::Error> {
        let start = Instant::now();
        for _ in 0..calls {
            self.call()?;
        }
        Ok(start.elapsed().as_nanos() as f64 / f64::from(calls))
    }
}

/// The input at this position: the same numbers as `values` in `worker.py`.
fn array(dtype: Dtype, position: u32, shape: &[usize]) -> Result<AnyArray, Error> {
    let count = shape.iter().product::<usize>();
    let values = (0..count as u32).map(|i| value(position, i));
    Ok(match dtype {
        Dtype::F32 => ArrayD::from_shape_vec(IxDyn(shape), values.map(|v| v as f32).collect())?.into(),
        Dtype::F64 => ArrayD::from_shape_vec(IxDyn(shape), values.collect())?.into(),
        other => return Err(format!("no rows of {other} yet").into()),
    })
}

/// A number between -1 and 1 of 24 bits, which every float type but the 16-bit ones holds.
fn value(position: u32, i: u32) -> f64 {
    let mut bits = i
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add(position.wrapping_mul(0x85eb_ca6b));
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(0x2c1b_3c6d);
    bits ^= bits >> 12;
    f64::from(bits >> 8) / f64::from(1 << 23) - 1.0
}
