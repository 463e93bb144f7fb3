//! The arguments of the command line, and their small languages: `NAME=…`, `f32[8,8]:F`.
//!
//! In: arguments. Out: [`Cli`]. What is refused here ends the program with exit code 2.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use loopweave_ir::simplify::Fast;
use loopweave_ir::text::ast::{Block, ExprKind};
use loopweave_ir::text::parse_expr_body;
use loopweave_ir::{Dtype, Literal, Scalar};

use crate::target;

/// Compiles array programs to native kernels, and runs and explains them. Without arguments: a tour of what it does.
#[derive(Debug, Parser)]
#[command(name = "loopweave", version, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compiles a program and runs it on arrays
    Eval(EvalArgs),
    /// Shows what each stage of the compiler makes of a program
    Explain(ExplainArgs),
    /// Checks a file, and reports every error in it
    Check(CheckArgs),
}

const SUBJECT: &str = "EXPR|FILE.lw[:NAME]";

#[derive(Debug, Args)]
#[command(after_help = "\
EXPR is anything a kernel's body may be; its free names are inputs. An EXPR that begins with `-` goes after `--`.
NAME may be a kernel, or an fn, which is applied to every element; it may be left out where the file has only one.
A FILE.npy to write whose name has a `=` in it is written with its folder: `-o ./a=b.npy`.

Examples:
  loopweave eval 'sqrt(x*x + y*y)' -i x=x.npy -i y=y.npy -o r.npy
  loopweave eval 'let c = x - mean(x, axis = 0); c * s' -i x=x.npy -i s=2.5
  loopweave eval softmax.lw -i x=logits.npy --time 100")]
pub(super) struct EvalArgs {
    /// An expression, or a kernel or fn of a file
    #[arg(value_name = SUBJECT)]
    pub(super) subject: String,
    /// An input: a .npy file, or a number, which takes the type of what it meets (`2.5`) or has its own (`2.5f32`)
    #[arg(short, long = "input", value_name = "NAME=FILE.npy|NUMBER", value_parser = input)]
    pub(super) inputs: Vec<(String, Input)>,
    /// Writes a result to a file instead of printing it; without NAME, the results in their order
    #[arg(short, long = "output", value_name = "[NAME=]FILE.npy", value_parser = output)]
    pub(super) outputs: Vec<Destination>,
    #[command(flatten)]
    pub(super) machine: MachineArgs,
    /// Threads to use, the calling one included [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Prints what was fused, parallel and vectorised, in this detail, after the result (with --time, on stderr)
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(super) report: Option<u8>,
    /// Writes the report as a page for a browser: the graph, the loops and the code of each kernel
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Runs the warm kernel N times and prints one line of JSON instead of the result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) time: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
DTYPE is bool, i8 … i64, u8 … u64, f16, bf16, f32 or f64. After the extents may stand how the array lies in memory:
`:C` (the default), `:F` (Fortran order), or strides counted in elements.
A kernel of a file needs arguments only for the stages from `nest` on.

Examples:
  loopweave explain 'sqrt(x*x + y*y)' -a x=f32[1024] -a y=f32[1024] --emit nest,asm
  loopweave explain 'a + b' -a 'a=f32[64,64]' -a 'b=f32[64,64]:F' --emit nest --target aarch64
  loopweave explain 'a * x' -a a=2.5 -a 'x=f64[100]:[-2]'
  loopweave explain 'x @ w + b' -a 'x=f32[512,64]' -a 'w=f32[64,256]' -a 'b=f32[256]' --report 1
  loopweave explain softmax.lw -a 'x=f32[4096,1024]' --html softmax.html
  loopweave explain softmax.lw --emit dot | dot -Tsvg -o softmax.svg")]
pub(super) struct ExplainArgs {
    /// An expression, or a kernel or fn of a file
    #[arg(value_name = SUBJECT)]
    pub(super) subject: String,
    /// An argument's type, extents and memory order, or a number
    #[arg(short, long = "arg", value_name = "NAME=DTYPE[EXTENTS][:ORDER]|NUMBER", value_parser = argument)]
    pub(super) args: Vec<(String, Argument)>,
    /// The stages to show [default: graph,plan,nest]
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    emit: Vec<Stage>,
    /// Shows what is fused, parallel and vectorised, in this detail
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=4))]
    report: Option<u8>,
    /// Writes a page for a browser: the graph, the loops and the code of each kernel
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    #[command(flatten)]
    pub(super) machine: MachineArgs,
}

/// The level of detail of a report that is asked for as a stage.
const REPORT_LEVEL: u8 = 4;

impl ExplainArgs {
    /// What to print: the stages that are asked for, or the usual ones where nothing is.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let mut stages = self.emit.clone();
        if self.report.is_some() && !stages.contains(&Stage::Report) {
            stages.push(Stage::Report);
        }
        if stages.is_empty() && self.html.is_none() {
            stages = vec![Stage::Graph, Stage::Plan, Stage::Nest];
        }
        stages
    }

    /// The detail of the report.
    pub(super) fn level(&self) -> u8 {
        self.report.unwrap_or(REPORT_LEVEL)
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The file
    #[arg(value_name = "FILE.lw")]
    pub(super) file: PathBuf,
}

/// What code is made for, and how freely.
#[derive(Debug, Args)]
pub(super) struct MachineArgs {
    /// Allows rewrites that may change results: all, or a comma list of contract, reassoc, recip, nnan, ninf, nsz, approx
    #[arg(long, value_name = "FLAGS", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub(super) fast: Option<Fast>,
    /// The machine to make code for
    #[arg(long, value_name = "TARGET", default_value = "native", value_parser = PossibleValuesParser::new(target::NAMES))]
    pub(super) target: String,
}

/// A stage of the compiler, by what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Stage {
    /// The scalar functions
    Func,
    /// The array program with its types
    Graph,
    /// What is fused and what is not, and why
    Plan,
    /// The loops
    Nest,
    /// The code generator's input
    Clif,
    /// The machine code
    Asm,
    /// What was parallelised and vectorised
    Report,
    /// The graph with its kernels, for Graphviz
    Dot,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Func => "func",
            Stage::Graph => "graph",
            Stage::Plan => "plan",
            Stage::Nest => "nest",
            Stage::Clif => "clif",
            Stage::Asm => "asm",
            Stage::Report => "report",
            Stage::Dot => "dot",
        }
    }
}

/// What an input is given as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    File(PathBuf),
    Number(Number),
}

/// A file to write a result to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// The result; the next one that has no file where this says none.
    pub(super) name: Option<String>,
    pub(super) file: PathBuf,
}

/// What an argument is described as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Array {
        dtype: Dtype,
        shape: Vec<usize>,
        order: Order,
    },
    Number(Number),
}

/// A number of the language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// `2.5`: takes the type of what it meets.
    Weak(Literal),
    /// `2.5f32`.
    Typed(Scalar),
}

/// How an array lies in memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    C,
    Fortran,
    Strides(Vec<isize>),
}

/// `NAME=REST`.
fn binding(text: &str) -> Result<(String, &str), String> {
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && !rest.is_empty() => Ok((name.to_owned(), rest)),
        _ => Err(String::from("expected NAME=…")),
    }
}

fn input(text: &str) -> Result<(String, Input), String> {
    let (name, rest) = binding(text)?;
    let input = match number(rest) {
        Ok(number) => Input::Number(number),
        Err(why) if begins_as_number(rest) && !rest.ends_with(".npy") && !Path::new(rest).exists() => {
            return Err(format!("`{rest}` is neither a number ({why}) nor a file"));
        }
        Err(_) => Input::File(PathBuf::from(rest)),
    };
    Ok((name, input))
}

/// `r.npy`, `NAME=r.npy`; what stands before a `=` is part of the path where it names a folder.
fn output(text: &str) -> Result<Destination, String> {
    let (name, file) = match text.split_once('=') {
        Some((name, file)) if !name.contains(std::path::is_separator) => (Some(name), file),
        _ => (None, text),
    };
    match (name, file) {
        (Some(""), _) | (_, "") => Err(String::from("expected FILE.npy or NAME=FILE.npy")),
        (_, "-") => Err(String::from(
            "`-` is no file; a result without a file is printed on stdout (a file of that name is `./-`)",
        )),
        (name, file) => Ok(Destination {
            name: name.map(str::to_owned),
            file: PathBuf::from(file),
        }),
    }
}

/// The number that a text is, in the language's own grammar, which here may begin with `+` or with its point; or why it is
/// none.
fn number(text: &str) -> Result<Number, String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = &text[..text.len() - unsigned.len()];
    let has_fraction = unsigned
        .strip_prefix('.')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let whole = if has_fraction { "0" } else { "" };
    let plain = match sign {
        "" | "-" => format!("{sign}{whole}{unsigned}"),
        "+" => format!("{whole}{unsigned}"),
        _ => return Err(String::from("it has several signs")),
    };
    let Block { lets, results } = parse_expr_body(&plain, "number").map_err(|errors| {
        let first = errors.iter().next();
        first.map_or_else(String::new, |error| error.message.clone())
    })?;
    match (&lets[..], &results[..]) {
        ([], [only]) => match only.kind {
            ExprKind::Literal(literal) => Ok(Number::Weak(literal)),
            ExprKind::Typed(scalar) => Ok(Number::Typed(scalar)),
            _ => Err(String::from("it is an expression")),
        },
        _ => Err(String::from("it is an expression")),
    }
}

/// Whether a text can only have been meant as a number, unless it is the name of a file.
fn begins_as_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let digits = digits.strip_prefix('.').unwrap_or(digits);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

fn argument(text: &str) -> Result<(String, Argument), String> {
    let (name, rest) = binding(text)?;
    let argument = match number(rest) {
        Ok(number) => Argument::Number(number),
        Err(why) if begins_as_number(rest) => {
            return Err(format!("`{rest}` is neither a number ({why}) nor a type"));
        }
        Err(_) => array(rest)?,
    };
    Ok((name, argument))
}

/// `f32[8, 8]:F`.
fn array(text: &str) -> Result<Argument, String> {
    let end = text.find(['[', ':']).unwrap_or(text.len());
    let (dtype, rest) = text.split_at(end);
    let dtype = Dtype::from_str(dtype.trim()).map_err(|error| error.to_string())?;
    let (shape, rest) = match bracketed(rest)? {
        Some((extents, rest)) => (numbers(extents, "extent")?, rest),
        None => (Vec::new(), rest),
    };
    let order = match rest.trim() {
        "" | ":C" => Order::C,
        ":F" => Order::Fortran,
        other => match other.strip_prefix(':').map(bracketed).transpose()?.flatten() {
            Some((strides, "")) => Order::Strides(numbers(strides, "stride")?),
            _ => {
                return Err(format!(
                    "`{other}` is no memory order; expected :C, :F or strides as :[8,1]"
                ));
            }
        },
    };
    Ok(Argument::Array { dtype, shape, order })
}

/// What stands between brackets at the beginning of a text, and the rest.
fn bracketed(text: &str) -> Result<Option<(&str, &str)>, String> {
    let Some(inner) = text.trim_start().strip_prefix('[') else {
        return Ok(None);
    };
    inner
        .split_once(']')
        .map(Some)
        .ok_or_else(|| String::from("expected `]`"))
}

fn numbers<T: FromStr>(text: &str, what: &str) -> Result<Vec<T>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let parse = |item: &str| {
        item.trim()
            .parse()
            .map_err(|_| format!("`{}` is no {what}", item.trim()))
    };
    text.split(',').map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments() {
        let of = |dtype, shape: &[usize], order| {
            Ok(Argument::Array {
                dtype,
                shape: shape.to_vec(),
                order,
            })
        };
        let rows = [
            ("x=f32", of(Dtype::F32, &[], Order::C)),
            ("x=f32[]", of(Dtype::F32, &[], Order::C)),
            ("x=bf16[3]", of(Dtype::Bf16, &[3], Order::C)),
            ("x=f32[8, 8]:F", of(Dtype::F32, &[8, 8], Order::Fortran)),
            ("x=i8[2,3]:[-3,1]", of(Dtype::I8, &[2, 3], Order::Strides(vec![-3, 1]))),
            ("x=2.5", Ok(Argument::Number(Number::Weak(Literal::float(2.5))))),
            ("x=-2i8", Ok(Argument::Number(Number::Typed(Scalar::from(-2i8))))),
            (
                "x=300u8",
                Err("`300u8` is neither a number (the integer is out of range: u8 holds 0 to 255) nor a type"),
            ),
            ("x", Err("expected NAME=…")),
            ("=f32", Err("expected NAME=…")),
            ("x=f32[3", Err("expected `]`")),
            ("x=f32[-3]", Err("`-3` is no extent")),
            ("x=f32[3,]", Err("`` is no extent")),
            (
                "x=f32[99999999999999999999]",
                Err("`99999999999999999999` is no extent"),
            ),
            ("x=f32[3]:[x]", Err("`x` is no stride")),
            (
                "x=f32[3]:A",
                Err("`:A` is no memory order; expected :C, :F or strides as :[8,1]"),
            ),
            (
                "x=f32[3]F",
                Err("`F` is no memory order; expected :C, :F or strides as :[8,1]"),
            ),
        ];
        for (text, expected) in rows {
            let found = argument(text).map(|(_, argument)| argument);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn inputs() {
        let file = |path: &str| Input::File(PathBuf::from(path));
        let rows = [
            ("x=x.npy", file("x.npy")),
            ("x=./3", file("./3")),
            ("x=a=b.npy", file("a=b.npy")),
            ("x=3", Input::Number(Number::Weak(Literal::Int(3)))),
            ("x=-inf", Input::Number(Number::Weak(Literal::float(f64::NEG_INFINITY)))),
            ("x=true", Input::Number(Number::Weak(Literal::Bool(true)))),
            ("x=1e-3f32", Input::Number(Number::Typed(Scalar::from(1e-3f32)))),
            ("x=.5", Input::Number(Number::Weak(Literal::float(0.5)))),
            ("x=-.5", Input::Number(Number::Weak(Literal::float(-0.5)))),
            ("x=+5", Input::Number(Number::Weak(Literal::Int(5)))),
            ("x=+.5f32", Input::Number(Number::Typed(Scalar::from(0.5f32)))),
            ("x=3d.npy", file("3d.npy")),
            ("x=.", file(".")),
            ("x=..", file("..")),
        ];
        for (text, expected) in rows {
            assert_eq!(input(text), Ok((String::from("x"), expected)), "{text}");
        }
        for (text, why) in [
            (
                "1e999",
                "the float is out of range for f64: it would become an infinity",
            ),
            ("300u8", "the integer is out of range: u8 holds 0 to 255"),
            (
                "3x",
                "`x` is not a suffix of a number; expected a dtype: i8 … i64, u8 … u64, f16, bf16, f32 or f64",
            ),
            ("--5", "it has several signs"),
            ("1+2", "it is an expression"),
        ] {
            let message = format!("`{text}` is neither a number ({why}) nor a file");
            assert_eq!(input(&format!("x={text}")), Err(message), "{text}");
        }
    }

    #[test]
    fn outputs() {
        let rows = [
            ("r.npy", Ok((None, "r.npy"))),
            ("y=r.npy", Ok((Some("y"), "r.npy"))),
            ("y=a=b.npy", Ok((Some("y"), "a=b.npy"))),
            ("./a=b.npy", Ok((None, "./a=b.npy"))),
            ("x+1=z.npy", Ok((Some("x+1"), "z.npy"))),
            ("./-", Ok((None, "./-"))),
            ("", Err("expected FILE.npy or NAME=FILE.npy")),
            ("y=", Err("expected FILE.npy or NAME=FILE.npy")),
            ("=r.npy", Err("expected FILE.npy or NAME=FILE.npy")),
            (
                "y=-",
                Err("`-` is no file; a result without a file is printed on stdout (a file of that name is `./-`)"),
            ),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(name, file)| Destination {
                name: name.map(str::to_owned),
                file: PathBuf::from(file),
            });
            assert_eq!(output(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
