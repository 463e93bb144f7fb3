//! `loopweave eval`: compiles a program for the arrays it is given, runs it, and prints or writes its results.

use std::collections::HashMap;
use std::io::Write;
use std::path::{self, Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::args::{Destination, EvalArgs, MachineArgs};
use super::error::CliError;
use super::input::{Value, all, matched, no_others};
use super::npy;
use super::page;
use super::say;
use super::subject::Subject;
use crate::error::Error;
use crate::pipeline::{Options, Program};
use crate::runtime::array::AnyArray;
use crate::runtime::parallel::Threads;
use crate::runtime::view::{ArgMut, View, ViewMut};
use crate::shape::Layout;
use crate::target::Target;

/// What `--time` prints: one line of JSON.
#[derive(Debug, Serialize)]
struct Timing<'a> {
    /// From the text to native code, all stages, in microseconds.
    compile_us: u64,
    /// The fastest of the warm calls, in nanoseconds.
    call_ns_min: u64,
    /// The middle one of the warm calls.
    call_ns_median: u64,
    /// The threads that a call may use.
    threads: usize,
    target: &'a str,
}

pub(super) fn run(args: &EvalArgs, out: &mut impl Write) -> Result<(), CliError> {
    let options = options(&args.machine, args.threads)?;
    let start = Instant::now();
    let subject = Subject::read(&args.subject)?;
    let mut compile_time = start.elapsed();

    let params = subject.params();
    let given = all(&params, matched(&params, &args.inputs)?, "-i")?;
    let values = params.iter().zip(given).map(|(param, input)| Value::read(param, input));
    let values: Vec<Value> = values.collect::<Result<_, _>>()?;
    let types: Vec<_> = values.iter().map(Value::ty).collect();
    let views: Vec<View<'_>> = values.iter().map(Value::view).collect();

    let start = Instant::now();
    let layouts: Vec<Layout> = views.iter().map(View::layout).collect();
    let program = subject.compile(&types, Some(&layouts), &options)?;
    no_others(&params, &args.inputs)?;
    let names: Vec<String> = program.graph().outputs.iter().map(|(name, _)| name.clone()).collect();
    let files = files(&args.outputs, &names)?;
    program.warm(&layouts).map_err(|error| subject.located(error))?;
    compile_time += start.elapsed();

    let mut results = program.run(&views)?;
    if let Some(count) = args.time {
        let (call_ns_min, call_ns_median) = time(&program, &views, &mut results, count)?;
        let timing = Timing {
            compile_us: compile_time.as_micros() as u64,
            call_ns_min,
            call_ns_median,
            threads: options.threads.number(),
            target: options.target.name(),
        };
        let json = serde_json::to_string(&timing).map_err(|error| CliError::Stdout(error.into()))?;
        writeln!(out, "{json}").map_err(CliError::Stdout)?;
    }
    deliver(&results, &names, &files, args.time.is_none(), out)?;
    if let Some(file) = &args.html {
        page::write(file, &program, &subject, Some(&layouts))?;
    }
    match args.report.map(|level| subject.placed(program.report()).text(level)) {
        None => Ok(()),
        Some(report) if args.time.is_some() => {
            say(&report);
            Ok(())
        }
        Some(report) => writeln!(out, "\n{}", report.trim_end()).map_err(CliError::Stdout),
    }
}

/// What a program is compiled for.
pub(super) fn options(machine: &MachineArgs, threads: Option<u16>) -> Result<Options, Error> {
    Ok(Options {
        fast: machine.fast.unwrap_or_default(),
        threads: threads.map_or(Ok(Threads::Global), |count| Threads::count(count.into()))?,
        target: Target::parse(&machine.target)?,
        fusion: true,
    })
}

/// The fastest and the middle time of so many calls into existing arrays, in nanoseconds.
pub(super) fn time(
    program: &Program,
    inputs: &[View<'_>],
    results: &mut [AnyArray],
    count: u32,
) -> Result<(u64, u64), CliError> {
    let mut outputs: Vec<ViewMut<'_>> = results.iter_mut().map(ArgMut::view_mut).collect();
    program.run_into(inputs, &mut outputs)?;
    let mut times = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let start = Instant::now();
        program.run_into(inputs, &mut outputs)?;
        times.push(start.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    Ok((times[0], times[times.len() / 2]))
}

/// The file of each result, if it has one: by its name, or else in order.
fn files(outputs: &[Destination], names: &[String]) -> Result<Vec<Option<PathBuf>>, CliError> {
    let mut files: Vec<Option<PathBuf>> = vec![None; names.len()];
    for Destination { name, file } in outputs {
        let Some(name) = name else { continue };
        let Some(result) = names.iter().position(|n| n == name) else {
            return Err(CliError::NoOutput {
                name: name.clone(),
                file: file.clone(),
                results: names.to_vec(),
            });
        };
        if files[result].replace(file.clone()).is_some() {
            return Err(CliError::Twice { name: name.clone() });
        }
    }
    let mut unnamed = outputs.iter().filter(|output| output.name.is_none());
    for file in files.iter_mut().filter(|file| file.is_none()) {
        *file = unnamed.next().map(|output| output.file.clone());
    }
    if unnamed.next().is_some() {
        return Err(CliError::TooManyOutputs {
            files: outputs.len(),
            results: names.len(),
        });
    }
    let mut places = HashMap::new();
    for (file, name) in files.iter().zip(names) {
        let Some(file) = file else { continue };
        if let Some(first) = places.insert(place(file), name) {
            return Err(CliError::SameFile {
                path: file.clone(),
                first: first.clone(),
                second: name.clone(),
            });
        }
    }
    Ok(files)
}

/// One path for all that lead to the same file, which need not exist yet.
fn place(file: &Path) -> PathBuf {
    let in_folder = || {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(file.file_name()?))
    };
    // A folder that is not there is found out when the file is written.
    let named = || path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.canonicalize().ok().or_else(in_folder).unwrap_or_else(named)
}

/// Writes the results that have a file, and prints the others.
fn deliver(
    results: &[AnyArray],
    names: &[String],
    files: &[Option<PathBuf>],
    print: bool,
    out: &mut impl Write,
) -> Result<(), CliError> {
    for ((result, name), file) in results.iter().zip(names).zip(files) {
        match file {
            Some(file) => write(file, result)?,
            None if !print => {}
            None if results.len() == 1 => writeln!(out, "{result}").map_err(CliError::Stdout)?,
            None => writeln!(out, "{name} =\n{result}").map_err(CliError::Stdout)?,
        }
    }
    Ok(())
}

fn write(path: &Path, array: &AnyArray) -> Result<(), CliError> {
    npy::write(path, array).map_err(|source| CliError::WriteArray {
        path: path.to_owned(),
        source,
    })
}
