//! What a command is about: an expression, or a kernel or `fn` of a file.
//!
//! In: the text of the argument. Out: a [`Subject`], which knows its inputs and becomes a [`Graph`] once their types and
//! ranks are known.

use std::fs;
use std::path::{Path, PathBuf};

use loopweave_ir::text::ast::{Block, Item, KernelItem, Module, Span};
use loopweave_ir::text::{
    Diagnostic, Diagnostics, Functions, Source, free_names, lower_module, parse, parse_expr_body,
};
use loopweave_ir::{Dtype, Func, Type};

use super::error::CliError;
use crate::error::Error;
use crate::graph::bind::bind;
use crate::graph::build::GraphBuilder;
use crate::graph::{Graph, settle, text};
use crate::pipeline::{Options, Program};
use crate::report::Report;
use crate::shape::Layout;

/// A program before its inputs are known.
#[derive(Debug)]
pub(super) enum Subject {
    /// A bare body; its free names are the inputs.
    Body { block: Block, source: Source },
    /// A kernel, with the functions it may call.
    Kernel {
        item: KernelItem,
        functions: Functions,
        source: Source,
    },
    /// A function of one element of each input.
    Function(Func),
}

/// An input of a subject.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) name: String,
    /// The type and the number of axes where the text says them. Functions fix the type alone.
    pub(super) dtype: Option<Dtype>,
    pub(super) rank: Option<usize>,
}

impl Subject {
    /// Reads the program that `EXPR|FILE.lw[:NAME]` names.
    pub(super) fn read(text: &str) -> Result<Subject, CliError> {
        match file_and_item(text) {
            Some((path, item)) => Subject::of_file(path, item),
            None => {
                let source = Source::new("<expr>", text);
                refuse_comment(&source).map_err(Error::from)?;
                let block = parse_expr_body(text, "<expr>").map_err(Error::from)?;
                Ok(Subject::Body { block, source })
            }
        }
    }

    fn of_file(path: &Path, item: Option<&str>) -> Result<Subject, CliError> {
        let (module, functions) = read_module(path)?;
        let file = path.display().to_string();
        let items = || module.items.iter().map(|item| name_of(item).to_owned()).collect();
        let found = match item {
            Some(name) => module.items.iter().find(|item| name_of(item) == name),
            None => only(&module),
        };
        match (found, item) {
            (Some(Item::Kernel(kernel)), _) => Ok(Subject::Kernel {
                item: kernel.clone(),
                functions,
                source: module.source,
            }),
            (Some(Item::Fn(function)), _) if let Some(func) = functions.get(&function.name.name) => {
                Ok(Subject::Function(func.clone()))
            }
            (_, Some(name)) => Err(CliError::NoItem {
                file,
                name: name.to_owned(),
                items: items(),
            }),
            (_, None) => Err(CliError::WhichItem { file, items: items() }),
        }
    }

    /// The inputs, in order.
    pub(super) fn params(&self) -> Vec<Param> {
        match self {
            Subject::Body { block, .. } => free_names(block)
                .into_iter()
                .map(|ident| Param {
                    name: ident.name,
                    dtype: None,
                    rank: None,
                })
                .collect(),
            Subject::Kernel { item, .. } => item
                .params
                .iter()
                .map(|(ident, ty)| Param {
                    name: ident.name.clone(),
                    dtype: Some(ty.dtype),
                    rank: Some(ty.dims.len()),
                })
                .collect(),
            Subject::Function(func) => func
                .params()
                .iter()
                .map(|param| Param {
                    name: param.name.clone(),
                    dtype: param.dtype,
                    rank: None,
                })
                .collect(),
        }
    }

    /// The array program for inputs of these types and ranks, in the order of [`Subject::params`].
    pub(super) fn graph(&self, inputs: &[(Type, usize)]) -> Result<Graph, Error> {
        match self {
            Subject::Body { block, source } => {
                let names = free_names(block);
                let names = names.iter().map(|ident| ident.name.as_str());
                let inputs: Vec<(&str, Type, usize)> =
                    names.zip(inputs).map(|(name, &(ty, rank))| (name, ty, rank)).collect();
                Ok(text::lower_block(block, &inputs, &Functions::new(), source)?)
            }
            Subject::Kernel {
                item,
                functions,
                source,
            } => Ok(text::lower_kernel(item, functions, source)?),
            Subject::Function(func) => {
                let mut builder = GraphBuilder::new(func.name());
                let inputs: Vec<_> = func
                    .params()
                    .iter()
                    .zip(inputs)
                    .map(|(param, &(ty, rank))| builder.input(param.name.as_str(), ty, rank))
                    .collect();
                let results = builder.map_multi(func, &inputs)?;
                let name = |i: usize| match results.len() {
                    1 => func.name().to_owned(),
                    _ => format!("{}.{i}", func.name()),
                };
                for (i, &result) in results.iter().enumerate() {
                    builder.output(name(i), result);
                }
                Ok(builder.finish()?)
            }
        }
    }

    /// The program for inputs of these types and ranks, and of the shapes that these layouts have, where they are known: they tell
    /// which extents are equal, and so what can be fused.
    pub(super) fn compile(
        &self,
        inputs: &[(Type, usize)],
        layouts: Option<&[Layout]>,
        options: &Options,
    ) -> Result<Program, Error> {
        let mut graph = self.graph(inputs)?;
        if let Some(layouts) = layouts {
            let shapes: Vec<&[usize]> = layouts.iter().map(|layout| &layout.shape[..]).collect();
            // What is wrong is said of the program as it is written, not in the names that settling makes up.
            bind(&graph, &shapes).map_err(|error| self.located(error.into()))?;
            let ones: Vec<u32> = shapes.iter().map(|shape| settle::ones(shape)).collect();
            graph = settle::settle(graph, &ones);
        }
        Program::compile(graph, options)
    }

    /// The text that the nodes of the graph stand in.
    pub(super) fn source(&self) -> Option<&Source> {
        match self {
            Subject::Body { source, .. } | Subject::Kernel { source, .. } => Some(source),
            Subject::Function(_) => None,
        }
    }

    /// The report with the places of its ops.
    pub(super) fn placed(&self, report: Report) -> Report {
        match self.source() {
            Some(source) => report.locate(source),
            None => report,
        }
    }

    /// The error with the part of the text that it is about, where it is about shapes that meet there.
    pub(super) fn located(&self, error: Error) -> Error {
        let (Some(source), Error::Bind(bind)) = (self.source(), &error) else {
            return error;
        };
        let Some(span) = bind.span() else {
            return error;
        };
        let mut diagnostics = Diagnostics::new(source);
        diagnostics.push(Diagnostic::new(span, bind.to_string()));
        diagnostics.into()
    }
}

/// A file and the functions in it.
pub(super) fn read_module(path: &Path) -> Result<(Module, Functions), CliError> {
    let text = fs::read_to_string(path).map_err(|source| CliError::Read {
        path: PathBuf::from(path),
        source,
    })?;
    let module = parse(&text, &path.display().to_string()).map_err(Error::from)?;
    let functions = lower_module(&module).map_err(Error::from)?;
    Ok((module, functions))
}

/// Refuses a line comment in an expression of one line: it hides what was meant as a quotient, as in Python.
fn refuse_comment(source: &Source) -> Result<(), Diagnostics> {
    let mut diagnostics = Diagnostics::new(source);
    let text = source.text();
    let is_quoted = |at: usize| text[..at].matches('`').count() % 2 == 1;
    let mut slashes = text.match_indices("//").map(|(at, _)| at);
    if let Some(at) = slashes.find(|at| !is_quoted(*at))
        && !text.contains('\n')
    {
        let start = at as u32;
        let span = Span { start, end: start + 2 };
        let diagnostic = Diagnostic::new(span, "`//` begins a comment")
            .label("what follows is not read")
            .help("the quotient rounded down is `floor_div(x, y)`");
        diagnostics.push(diagnostic);
    }
    diagnostics.into_result(())
}

/// The file and the item that a text names; `None` where it is an expression, in which `.lw` cannot stand at the end nor
/// before a colon.
fn file_and_item(text: &str) -> Option<(&Path, Option<&str>)> {
    if text.ends_with(".lw") {
        return Some((Path::new(text), None));
    }
    let (file, item) = text.rsplit_once(':')?;
    file.ends_with(".lw").then_some((Path::new(file), Some(item)))
}

/// The item that is meant where none is named: the only kernel, or in a file without kernels the only function.
fn only(module: &Module) -> Option<&Item> {
    let (kernels, functions): (Vec<_>, Vec<_>) = module.items.iter().partition(|item| matches!(item, Item::Kernel(_)));
    match (&kernels[..], &functions[..]) {
        ([kernel], _) => Some(kernel),
        ([], [function]) => Some(function),
        _ => None,
    }
}

fn name_of(item: &Item) -> &str {
    match item {
        Item::Fn(item) => &item.name.name,
        Item::Kernel(item) => &item.name.name,
    }
}
