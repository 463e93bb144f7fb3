//! `loopweave explain`: prints what each stage of the compiler makes of a program, for any target.

use std::io::Write;

use loopweave_ir::Type;
use loopweave_ir::text::print_func;

use super::args::{ExplainArgs, Stage};
use super::error::CliError;
use super::eval::options;
use super::input::{all, describe, matched, no_others};
use super::page;
use super::subject::{Param, Subject};
use crate::codegen::{print_asm, print_clif};
use crate::error::Error;
use crate::graph::{ArrayOp, Graph, Reduction};
use crate::nest::Nest;
use crate::nest::schedule::Scheduled;
use crate::pipeline::Program;
use crate::report::{Report, plan};
use crate::shape::Layout;

pub(super) fn run(args: &ExplainArgs, out: &mut impl Write) -> Result<(), CliError> {
    let options = options(&args.machine, None)?;
    let subject = Subject::read(&args.subject)?;
    let params = subject.params();
    let described = params
        .iter()
        .zip(matched(&params, &args.args)?)
        .map(|(param, argument)| argument.map(|argument| describe(param, argument)).transpose())
        .collect::<Result<Vec<_>, _>>()?;

    let types = types(&params, &described)?;
    let layout = |described: Option<(Type, Layout)>| described.map(|(_, layout)| layout);
    let described: Vec<Option<Layout>> = described.into_iter().map(layout).collect();
    let known: Option<Vec<Layout>> = described.iter().cloned().collect();
    let program = subject.compile(&types, known.as_deref(), &options)?;
    no_others(&params, &args.args)?;
    let layouts = || all(&params, described.clone(), "-a");
    let schedule = || -> Result<_, CliError> {
        let scheduled = program.schedule(&layouts()?);
        Ok(scheduled.map_err(|error| subject.located(error))?)
    };
    let text = |stage: Stage| match stage {
        Stage::Func => Ok(functions(program.graph())),
        Stage::Graph => Ok(program.graph().to_string()),
        Stage::Plan => Ok(plan::print(
            program.graph(),
            program.plan(),
            program.groups(),
            subject.source(),
        )),
        Stage::Nest => each(&schedule()?, |nest| Ok(nest.to_string())),
        Stage::Clif => each(&schedule()?, |nest| Ok(print_clif(nest, &options.target)?)),
        Stage::Asm => each(&schedule()?, |nest| Ok(print_asm(nest, &options.target)?)),
        Stage::Report => Ok(report(&program, &subject, Some(&layouts()?))?.text(args.level())),
        // What a graph without shapes is made into is known too, so a kernel of a file can be drawn without arguments.
        Stage::Dot => Ok(report(&program, &subject, known.as_deref())?.dot()),
    };
    // An error in a late stage is not to be found at the end of what the early ones print.
    let stages = args.stages();
    let texts = stages.iter().map(|&stage| text(stage));
    let texts: Vec<String> = texts.collect::<Result<_, CliError>>()?;
    if let Some(file) = &args.html {
        page::write(file, &program, &subject, known.as_deref())?;
    }
    for (i, (stage, text)) in stages.iter().zip(&texts).enumerate() {
        let gap = if i > 0 { "\n" } else { "" };
        let title = match stages.len() {
            1 => String::new(),
            _ => format!("{gap}== {} ==\n", stage.name()),
        };
        writeln!(out, "{title}{}", text.trim_end()).map_err(CliError::Stdout)?;
    }
    Ok(())
}

/// What is known of a program for arguments of these layouts: what it was compiled to, or, for another machine, how it is
/// scheduled.
pub(super) fn report(program: &Program, subject: &Subject, layouts: Option<&[Layout]>) -> Result<Report, CliError> {
    let located = |error| subject.located(error);
    let report = match layouts {
        None => program.report(),
        Some(layouts) if program.options().target.runs_here() => {
            program.warm(layouts).map_err(located)?;
            program.report()
        }
        Some(layouts) => program.report_for(layouts).map_err(located)?,
    };
    Ok(subject.placed(report))
}

/// The type and rank of each input: as described, or as the text says.
fn types(params: &[Param], described: &[Option<(Type, Layout)>]) -> Result<Vec<(Type, usize)>, CliError> {
    let types = params
        .iter()
        .zip(described)
        .map(|(param, described)| match (described, param.dtype, param.rank) {
            (Some((ty, layout)), ..) => Some((*ty, layout.rank())),
            (None, Some(dtype), Some(rank)) => Some((Type::Strong(dtype), rank)),
            _ => None,
        });
    all(params, types.collect(), "-a")
}

/// The text of every group's nest.
fn each(scheduled: &[Scheduled], print: impl Fn(&Nest) -> Result<String, Error>) -> Result<String, CliError> {
    let texts: Result<Vec<String>, Error> = scheduled.iter().map(|s| print(&s.nest)).collect();
    Ok(texts?.join("\n"))
}

/// The scalar functions of a graph, in its order.
fn functions(graph: &Graph) -> String {
    let funcs = graph.nodes.iter().filter_map(|node| match &node.op {
        ArrayOp::Map(func) => Some(func),
        ArrayOp::Reduce {
            reduction: Reduction::Custom { combine, .. },
            ..
        } => Some(combine),
        _ => None,
    });
    funcs.map(print_func).collect()
}
