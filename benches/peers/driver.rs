//! Loopweave's side of the comparison with other libraries: `benches/peers/run` builds it and speaks with it.
//!
//! In: the number of threads as the argument, then requests on stdin, one JSON object a line ([`Request`]). Out: one JSON
//! object a line for each: `{"ns": […]}` for times, `{"error": "…"}` for what fails, `{}` for the rest. Knows no row: programs
//! come as text, and inputs are numbers that the other sides make alike.
//!
//! Invariants: outside a request nothing runs, so that no side disturbs another; the arrays lie in memory as those of the
//! other sides do ([`Memory`]).

use std::io::{BufRead, Lines, StdinLock, Write};
use std::path::PathBuf;
use std::time::Instant;

use bytemuck::Pod;
use loopweave::ir::Element;
use loopweave::ir::simplify::Fast;
use loopweave::jit::{self, Kernel};
use loopweave::runtime::view::{Arg, Args, View};
use loopweave::{AnyArray, Dtype};
use memmap2::MmapMut;
use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, IxDyn};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

type Error = Box<dyn std::error::Error>;

/// What the other end may ask.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Request {
    /// Compiles a program, makes its arrays and calls it once.
    Open(Case),
    /// Times `samples` batches of `calls` calls each; a batch more goes first, unmeasured.
    Time { calls: u32, samples: u32 },
    /// Writes the result to a `.npy` file.
    Result { path: PathBuf },
    /// Frees the arrays.
    Close,
}

#[derive(Debug, Deserialize)]
struct Case {
    /// A `kernel` item, and the functions it calls.
    text: String,
    /// The type of all arrays.
    dtype: String,
    /// The extents of each input.
    inputs: Vec<Vec<usize>>,
    /// Those of the result.
    output: Vec<usize>,
    /// Fast-math permissions, as `--fast` takes them; none where it is empty.
    fast: String,
}

#[derive(Debug, Default, Serialize)]
struct Reply {
    /// Per call, one for each sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn main() -> Result<(), Error> {
    let threads = std::env::args()
        .nth(1)
        .ok_or("expected the number of threads")?
        .parse()?;
    let mut lines = std::io::stdin().lock().lines();
    while let Some(line) = lines.next() {
        let done = match serde_json::from_str(&line?)? {
            Request::Open(case) => match case.dtype.parse()? {
                Dtype::F32 => serve(&case, threads, &mut lines, |value| value as f32),
                Dtype::F64 => serve(&case, threads, &mut lines, |value| value),
                other => Err(format!("no rows of {other} yet").into()),
            },
            Request::Close => Ok(()),
            Request::Time { .. } | Request::Result { .. } => Err("no case is open".into()),
        };
        say(done.map(|()| Reply::default()))?;
    }
    Ok(())
}

fn say(reply: Result<Reply, Error>) -> Result<(), Error> {
    let reply = reply.unwrap_or_else(|error| Reply {
        error: Some(error.to_string()),
        ..Reply::default()
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&reply)?)?;
    Ok(out.flush()?)
}

/// Answers what is asked of one case, until it is closed. An error is one of opening it.
fn serve<T>(case: &Case, threads: usize, lines: &mut Lines<StdinLock<'_>>, of: fn(f64) -> T) -> Result<(), Error>
where
    T: Element + Pod,
    AnyArray: From<ArrayD<T>>,
{
    let fast: Fast = match case.fast.as_str() {
        "" => Fast::default(),
        fast => fast.parse()?,
    };
    let kernel = jit::kernel(&case.text)?.threads(threads)?.fast(fast);
    let shapes = || case.inputs.iter().chain([&case.output]);
    let memory = (0..)
        .zip(shapes())
        .map(|(position, shape)| Memory::new::<T>(position, shape));
    let mut memory: Vec<Memory> = memory.collect::<Result<_, _>>()?;
    for (memory, position) in memory.iter_mut().zip(0..case.inputs.len() as u32) {
        for (element, i) in memory.elements_mut().iter_mut().zip(0..) {
            *element = of(value(position, i));
        }
    }
    let Some((output, inputs)) = memory.split_last_mut() else {
        return Err("no arrays".into());
    };
    let inputs = inputs.iter().zip(&case.inputs);
    let inputs = inputs.map(|(memory, shape)| ArrayViewD::from_shape(IxDyn(shape), memory.elements()));
    let inputs: Vec<ArrayViewD<'_, T>> = inputs.collect::<Result<_, _>>()?;
    let mut output = ArrayViewMutD::from_shape(IxDyn(&case.output), output.elements_mut())?;

    batch(&kernel, &inputs, &mut output, 1)?;
    say(Ok(Reply::default()))?;
    for line in lines {
        match serde_json::from_str(&line?)? {
            Request::Close => break,
            Request::Open(_) => say(Err("another case is open".into()))?,
            Request::Time { calls, samples } => {
                // The batch before the samples warms what the other sides have cooled.
                let times = (0..=samples).map(|_| batch(&kernel, &inputs, &mut output, calls));
                let times: Result<Vec<f64>, Error> = times.collect();
                say(times.map(|times| Reply {
                    ns: Some(times[1..].to_vec()),
                    ..Reply::default()
                }))?;
            }
            Request::Result { path } => {
                let written = loopweave::cli::npy::write(&path, &AnyArray::from(output.to_owned()));
                say(written.map(|()| Reply::default()).map_err(Error::from))?;
            }
        }
    }
    Ok(())
}

/// The time per call of so many calls, in nanoseconds.
fn batch<T: Element>(
    kernel: &Kernel,
    inputs: &[ArrayViewD<'_, T>],
    output: &mut ArrayViewMutD<'_, T>,
    calls: u32,
) -> Result<f64, Error> {
    let start = Instant::now();
    for _ in 0..calls {
        kernel.call_into(Inputs(inputs), &mut *output)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(calls))
}

/// As many arguments as there are.
struct Inputs<'a, T>(&'a [ArrayViewD<'a, T>]);

impl<T: Element> Args for Inputs<'_, T> {
    type Views<'a>
        = SmallVec<[View<'a>; 4]>
    where
        Self: 'a;

    fn views(&self) -> SmallVec<[View<'_>; 4]> {
        self.0.iter().map(Arg::view).collect()
    }
}

/// The memory of an array: from the beginning of a huge page, and a little on for each position, so that the arrays of a
/// call do not compete for the same sets of the caches. `worker.py` does the same.
struct Memory {
    map: MmapMut,
    begin: usize,
    bytes: usize,
}

impl Memory {
    fn new<T>(position: usize, shape: &[usize]) -> Result<Memory, Error> {
        const PAGE: usize = 2 << 20;
        let bytes = shape.iter().product::<usize>() * size_of::<T>();
        let map = MmapMut::map_anon(bytes + 2 * PAGE)?;
        #[cfg(target_os = "linux")]
        map.advise(memmap2::Advice::HugePage)?;
        let begin = map.as_ptr().align_offset(PAGE) + 320 * position;
        Ok(Memory { map, begin, bytes })
    }

    fn elements<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&self.map[self.begin..self.begin + self.bytes])
    }

    fn elements_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map[self.begin..self.begin + self.bytes])
    }
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
