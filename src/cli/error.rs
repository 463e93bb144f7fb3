//! What can go wrong on the command line, beside what the library reports itself.

use std::io;
use std::path::PathBuf;

use loopweave_ir::Dtype;

use super::npy::NpyError;
use crate::error::Error;

/// An error in what the user gave.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// In the program or its arguments.
    #[error(transparent)]
    Program(#[from] Error),
    /// A text file that cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// An array file that cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    ReadArray { path: PathBuf, source: NpyError },
    /// An array file that cannot be written.
    #[error("`{}` cannot be written: {source}", path.display())]
    WriteArray { path: PathBuf, source: NpyError },
    /// A text file that cannot be written.
    #[error("`{}` cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A file without the named item.
    #[error("`{file}` has no kernel or fn named `{name}`; {}", known(.items))]
    NoItem {
        file: String,
        name: String,
        items: Vec<String>,
    },
    /// A file that does not say which of its items is meant.
    #[error("say which item of `{file}` is meant, as {file}:NAME; {}", known(.items))]
    WhichItem { file: String, items: Vec<String> },
    /// Inputs that were not given.
    #[error("{}; add {flag} NAME=…", quoted(.names, "is not given", "are not given"))]
    Missing { names: Vec<String>, flag: &'static str },
    /// Inputs that the program does not have.
    #[error("{}; {}", quoted(.names, "is not an input", "are not inputs"), expected(.inputs))]
    Unused { names: Vec<String>, inputs: Vec<String> },
    /// One input given twice.
    #[error("`{name}` is given twice")]
    Twice { name: String },
    /// An integer that no scalar holds.
    #[error("`{name}` is {value}, which does not fit i64")]
    Range { name: String, value: i128 },
    /// A literal that does not fit the parameter's type.
    #[error("`{name}` is {value}, which is not a value of {dtype}")]
    Literal { name: String, value: String, dtype: Dtype },
    /// An argument of another type than the parameter.
    #[error("`{name}` is {found}, but the parameter is {expected}")]
    ParamType {
        name: String,
        found: Dtype,
        expected: Dtype,
    },
    /// Strides for another number of axes.
    #[error("`{name}` has {axes} axes and {strides} strides")]
    Strides { name: String, axes: usize, strides: usize },
    /// A file for a result that there is not.
    #[error(
        "there is no result `{name}` to write; the results are {} (a file of that name is `./{name}={}`)",
        list(.results),
        file.display()
    )]
    NoOutput {
        name: String,
        file: PathBuf,
        results: Vec<String>,
    },
    /// One file for two results.
    #[error("`{first}` and `{second}` would both be written to `{}`", path.display())]
    SameFile {
        path: PathBuf,
        first: String,
        second: String,
    },
    /// More files than results.
    #[error("{files} files for {results} result{}", if *.results == 1 { "" } else { "s" })]
    TooManyOutputs { files: usize, results: usize },
    /// Results that do not agree with a plain loop's: a fault of loopweave, found by the tour.
    #[error("the kernel and the plain loop differ in `{program}` (please report this)")]
    Differs { program: &'static str },
    /// Nowhere to print to.
    #[error("stdout cannot be written: {0}")]
    Stdout(io::Error),
}

/// The names, as many as a person reads.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn quoted(names: &[String], one: &str, many: &str) -> String {
    format!("{} {}", list(names), if names.len() == 1 { one } else { many })
}

fn known(items: &[String]) -> String {
    match items {
        [] => String::from("it has no items at all"),
        items => format!("it has {}", list(items)),
    }
}

fn expected(inputs: &[String]) -> String {
    match inputs {
        [] => String::from("there are no inputs"),
        inputs => format!("the inputs are {}", list(inputs)),
    }
}
