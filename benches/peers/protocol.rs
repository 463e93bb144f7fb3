//! What `benches/peers/run` says to the programs it measures, and the loop that answers.
//!
//! In: requests on stdin, one JSON object a line ([`Request`]). Out: one JSON object a line for each ([`Reply`]). A program
//! opens a case by making its ways of computing it; all else is here.
//!
//! Invariants: outside a request nothing runs, so that no side disturbs another; the arrays lie in memory as those of the
//! Python sides do ([`Memory`]); before a result is taken the output is overwritten, so that no way can pass with another's.

use std::fs;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use bytemuck::Pod;
use memmap2::MmapMut;
use serde::{Deserialize, Serialize};

/// The bytes in a piece of a result; those of a long one are checked in part.
const PIECE: usize = 1 << 20;

pub(crate) type Error = Box<dyn std::error::Error>;

/// What the other end may ask.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(crate) enum Request {
    /// Makes the arrays of a case and the ways to compute it.
    Open(Case),
    /// Computes the result once, and writes its bytes to a file: of its pieces every `step`-th, counted from the last.
    Result { way: String, path: PathBuf, step: usize },
    /// Times `samples` batches of `calls` calls each.
    Time { way: String, calls: u32, samples: u32 },
    /// Frees the arrays.
    Close,
    /// Measures the machine.
    Limits,
}

/// A row for one dtype and size.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "each side reads what it needs")]
pub(crate) struct Case {
    pub(crate) row: String,
    /// The row as a `kernel` item, with the functions it calls.
    pub(crate) text: String,
    pub(crate) dtype: String,
    pub(crate) inputs: Vec<Array>,
    pub(crate) output: Array,
}

/// What is known of an array: the file an input's bytes are in, and what they are.
#[derive(Debug, Deserialize)]
pub(crate) struct Array {
    #[serde(default)]
    pub(crate) path: PathBuf,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Reply {
    /// The ways to compute the opened case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ways: Option<Vec<String>>,
    /// Per call, one for each sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ns: Option<Vec<f64>>,
    /// What was measured of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A way to compute a case: its name, and what makes so many calls of (inputs, output).
pub(crate) struct Way<'a> {
    pub(crate) name: String,
    pub(crate) batch: Batch<'a>,
}

/// So many calls, on the inputs, into the output.
pub(crate) type Batch<'a> = Box<dyn FnMut(u32, &[Memory], &mut Memory) -> Result<(), Error> + 'a>;

/// Answers until stdin ends.
pub(crate) fn serve<'a>(
    open: impl Fn(&Case) -> Result<Vec<Way<'a>>, Error>,
    limits: impl Fn() -> Option<serde_json::Value>,
) -> Result<(), Error> {
    let mut opened: Option<Opened<'a>> = None;
    for line in std::io::stdin().lock().lines() {
        let reply = answer(serde_json::from_str(&line?)?, &mut opened, &open, &limits);
        let reply = reply.unwrap_or_else(|error| Reply {
            error: Some(error.to_string()),
            ..Reply::default()
        });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&reply)?)?;
        out.flush()?;
    }
    Ok(())
}

struct Opened<'a> {
    inputs: Vec<Memory>,
    output: Memory,
    ways: Vec<Way<'a>>,
}

fn answer<'a>(
    request: Request,
    opened: &mut Option<Opened<'a>>,
    open: impl Fn(&Case) -> Result<Vec<Way<'a>>, Error>,
    limits: impl Fn() -> Option<serde_json::Value>,
) -> Result<Reply, Error> {
    let mut reply = Reply::default();
    match request {
        Request::Open(case) => {
            *opened = None;
            let ways = open(&case)?;
            reply.ways = Some(ways.iter().map(|way| way.name.clone()).collect());
            if !ways.is_empty() {
                let inputs = (0..).zip(&case.inputs).map(|(at, array)| Memory::read(at, array));
                *opened = Some(Opened {
                    inputs: inputs.collect::<Result<_, _>>()?,
                    output: Memory::new(case.inputs.len(), &case.output)?,
                    ways,
                });
            }
        }
        Request::Result { way, path, step } => {
            let case = opened.as_mut().ok_or("no case is open")?;
            case.output.bytes_mut().fill(0xff);
            reply.ns = Some(vec![case.batch(&way, 1)?]);
            let mut file = fs::File::create(path)?;
            for piece in case.output.bytes().chunks(PIECE).rev().step_by(step) {
                file.write_all(piece)?;
            }
        }
        Request::Time { way, calls, samples } => {
            let case = opened.as_mut().ok_or("no case is open")?;
            let times = (0..samples).map(|_| case.batch(&way, calls));
            reply.ns = Some(times.collect::<Result<_, _>>()?);
        }
        Request::Close => *opened = None,
        Request::Limits => reply.limits = limits(),
    }
    Ok(reply)
}

impl Opened<'_> {
    /// The time per call of so many calls, in nanoseconds.
    fn batch(&mut self, way: &str, calls: u32) -> Result<f64, Error> {
        let way = self.ways.iter_mut().find(|known| known.name == way);
        let way = way.ok_or("no such way")?;
        let start = Instant::now();
        (way.batch)(calls, &self.inputs, &mut self.output)?;
        Ok(start.elapsed().as_nanos() as f64 / f64::from(calls))
    }
}

/// The memory of an array: from the beginning of a huge page, and a little on for each position, so that the arrays of a
/// call do not compete for the same sets of the caches. `worker.py` does the same.
pub(crate) struct Memory {
    map: MmapMut,
    begin: usize,
    bytes: usize,
    pub(crate) shape: Vec<usize>,
}

impl Memory {
    pub(crate) fn new(position: usize, array: &Array) -> Result<Memory, Error> {
        const PAGE: usize = 2 << 20;
        let width = array.dtype[1..].parse::<usize>()? / 8;
        let bytes = array.shape.iter().product::<usize>() * width;
        let map = MmapMut::map_anon(bytes + 2 * PAGE)?;
        #[cfg(target_os = "linux")]
        map.advise(memmap2::Advice::HugePage)?;
        let begin = map.as_ptr().align_offset(PAGE) + 320 * position;
        let shape = array.shape.clone();
        Ok(Memory {
            map,
            begin,
            bytes,
            shape,
        })
    }

    fn read(position: usize, array: &Array) -> Result<Memory, Error> {
        let mut memory = Memory::new(position, array)?;
        let mut file = fs::File::open(&array.path)?;
        std::io::Read::read_exact(&mut file, memory.bytes_mut())?;
        Ok(memory)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[self.begin..self.begin + self.bytes]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.begin..self.begin + self.bytes]
    }

    pub(crate) fn elements<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    pub(crate) fn elements_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }
}
