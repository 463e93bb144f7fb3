//! `loopweave check`: every error in a file, or how much there is in it.
//!
//! Kernels, and functions whose parameters all have types, are taken through every stage that needs no extents, so that what
//! passes here can be compiled.

use std::io::Write;

use loopweave_ir::text::Diagnostics;
use loopweave_ir::text::ast::Item;
use loopweave_ir::{Func, Type};

use super::args::CheckArgs;
use super::error::CliError;
use super::say;
use super::subject::{Subject, read_module};
use crate::error::Error;
use crate::pipeline::{Options, Program};

pub(super) fn run(args: &CheckArgs, out: &mut impl Write) -> Result<(), CliError> {
    let (module, functions) = read_module(&args.file)?;
    let options = Options::native().map_err(Error::from)?;
    let mut diagnostics = Diagnostics::new(&module.source);
    let mut others = Vec::new();
    let mut kernels = 0;
    for item in &module.items {
        let (subject, inputs) = match item {
            Item::Kernel(item) => {
                kernels += 1;
                let kernel = Subject::Kernel {
                    item: item.clone(),
                    functions: functions.clone(),
                    source: module.source.clone(),
                };
                (kernel, Vec::new())
            }
            Item::Fn(item) => match functions
                .get(&item.name.name)
                .and_then(|func| Some((func, types(func)?)))
            {
                Some((func, types)) => (Subject::Function(func.clone()), types),
                None => continue,
            },
        };
        match subject
            .graph(&inputs)
            .and_then(|graph| Program::compile(graph, &options))
            .map_err(|error| subject.located(error))
        {
            Ok(_) => {}
            Err(Error::Text(found)) => diagnostics.append(*found),
            Err(error) => others.push(error),
        }
    }
    // The last is told by the program's end: what has places in the text, together, or an error without.
    let placed = diagnostics.into_result(()).map_err(Error::from);
    if let Some(last) = placed.err().or_else(|| others.pop()) {
        others.iter().for_each(|error| say(&format!("error: {error}")));
        return Err(last.into());
    }
    let functions = count(module.items.len() - kernels, "fn");
    let summary = format!("{}: {functions}, {}", args.file.display(), count(kernels, "kernel"));
    writeln!(out, "{summary}").map_err(CliError::Stdout)
}

/// The type of each parameter with no axes, if all have one.
fn types(func: &Func) -> Option<Vec<(Type, usize)>> {
    let param = |dtype| Some((Type::Strong(dtype?), 0));
    func.params().iter().map(|p| param(p.dtype)).collect()
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
