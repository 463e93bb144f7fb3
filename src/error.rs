//! The public error: one variant per stage, each with what its stage knows, rendered with the user's names and shapes.

use loopweave_ir::build::TraceError;
use loopweave_ir::expand::ExpandError;
use loopweave_ir::interp::EvalError;
use loopweave_ir::text::Diagnostics;
use loopweave_ir::{Dtype, Literal, Type, TypeError};

use crate::codegen::CodegenError;
use crate::graph::GraphError;
use crate::graph::bind::BindError;
use crate::graph::trace::ProgramErrors;
use crate::nest::verify::Violation;
use crate::runtime::array::OutputError;
use crate::shape::ShapeError;
use crate::target::TargetError;

/// Anything that can go wrong between a user's function and its results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A closure that cannot be traced.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// Text with errors, each with its place.
    #[error(transparent)]
    Text(#[from] Box<Diagnostics>),
    /// A function that does not take the types it is given.
    #[error("`{func}` cannot take ({}): {}", list(.types), list(.errors))]
    Type {
        /// The function.
        func: String,
        /// The types of its arguments.
        types: Vec<Type>,
        /// Every place where they do not fit.
        errors: Vec<TypeError>,
    },
    /// An array program in Rust with errors, each with its line.
    #[error(transparent)]
    Program(#[from] ProgramErrors),
    /// An array program that makes no sense whatever the shapes.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Shapes that do not fit the program or each other.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A layout that a view cannot have.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An op that is not yet supported.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// Code that cannot be made.
    #[error(transparent)]
    Codegen(#[from] CodegenError),
    /// A machine that code cannot be made for.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Arguments that do not fit the kernel.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A result asked for in a form that it does not have.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A pool of threads that cannot be started.
    #[error("the thread pool cannot be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// A nest that failed its verifier: a fault of loopweave, reported instead of run.
    #[error("loopweave made a nest that it refuses to run (please report this): {}", list(.0))]
    Nest(Vec<Violation>),
    /// A function that the interpreter cannot run: a fault of loopweave.
    #[error("loopweave made a function that it cannot interpret (please report this): {0}")]
    Eval(#[from] EvalError),
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Error {
        Error::Text(Box::new(diagnostics))
    }
}

/// Arguments that do not fit a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too few or too many arguments.
    #[error("`{kernel}` takes {expected} argument{}, not {found}", if *.expected == 1 { "" } else { "s" })]
    ArgumentCount {
        /// The kernel.
        kernel: String,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// Too few or too many outputs.
    #[error("`{kernel}` has {expected} result{}, not {found}", if *.expected == 1 { "" } else { "s" })]
    OutputCount {
        /// The kernel.
        kernel: String,
        /// How many results it has.
        expected: usize,
        /// How many outputs were given.
        found: usize,
    },
    /// An argument of another dtype than the program was compiled for.
    #[error("`{input}` is {found}, but `{kernel}` takes {expected}")]
    ArgumentDtype {
        /// The kernel.
        kernel: String,
        /// The argument.
        input: String,
        /// Its dtype.
        found: Dtype,
        /// What the program takes.
        expected: Dtype,
    },
    /// A bare integer that does not fit the type it meets.
    #[error("`{input}` is {literal}, which does not fit {dtype}")]
    ScalarRange {
        /// The argument.
        input: String,
        /// Its value.
        literal: Literal,
        /// The type of what it meets.
        dtype: Dtype,
    },
    /// A name that the program does not declare.
    #[error("`{kernel}` has no {side} `{name}`; {}", meant(.near, .names))]
    UnknownName {
        /// The program.
        kernel: String,
        /// What was named.
        side: Side,
        /// The name.
        name: String,
        /// The declared name that it may have meant.
        near: Option<String>,
        /// All declared names.
        names: Vec<String>,
    },
    /// An input or output that the call does not name.
    #[error("the {side} `{name}` of `{kernel}` is missing")]
    MissingName {
        /// The program.
        kernel: String,
        /// What is missing.
        side: Side,
        /// Its name.
        name: String,
    },
    /// An input or output that the call names twice.
    #[error("the {side} `{name}` of `{kernel}` is given twice")]
    DuplicateName {
        /// The program.
        kernel: String,
        /// What is given twice.
        side: Side,
        /// Its name.
        name: String,
    },
    /// A result that is asked for after it was taken.
    #[error("the result `{output}` was taken before")]
    Taken {
        /// The result.
        output: String,
    },
    /// An output of another dtype than the result.
    #[error("the output for `{output}` is {found}, but the result is {expected}")]
    OutputDtype {
        /// The result.
        output: String,
        /// The output's dtype.
        found: Dtype,
        /// The result's.
        expected: Dtype,
    },
    /// An output of another shape than the result.
    #[error("the output for `{output}` has shape {found:?}, but the result has {expected:?}")]
    OutputShape {
        /// The result.
        output: String,
        /// The output's shape.
        found: Vec<usize>,
        /// The result's.
        expected: Vec<usize>,
    },
    /// An output that shares memory with an input without being the same view, or in a program that reads the input in
    /// another order than it writes the output.
    #[error(
        "the output for `{output}` overlaps the input `{input}`; an output may only be the very same view as an input that \
         is read element by element"
    )]
    Overlap {
        /// The result.
        output: String,
        /// The input.
        input: String,
    },
    /// Two outputs that share memory.
    #[error("the outputs for `{first}` and `{second}` overlap")]
    OutputsOverlap {
        /// One result.
        first: String,
        /// The other.
        second: String,
    },
    /// An output whose elements share memory with each other.
    #[error("the output for `{output}` has several elements at one place")]
    SelfOverlap {
        /// The result.
        output: String,
    },
    /// A result larger than memory can be.
    #[error("the result `{output}` of shape {shape:?} is too large for memory")]
    TooLarge {
        /// The result.
        output: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

/// What of a program is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// An argument.
    Input,
    /// A result.
    Output,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Input => "input",
            Side::Output => "output",
        })
    }
}

/// The name that was meant, or else what there is.
fn meant(near: &Option<String>, names: &[String]) -> String {
    match (near, names) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => String::from("there are none"),
        (None, names) => {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("there is {}", quoted.join(", "))
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
