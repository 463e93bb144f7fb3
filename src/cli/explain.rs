//! `loopweave explain`: prints what each stage of the compiler makes of a program, for any target.

use std::fmt::Write as _;
use std::io::Write;

use loopweave_ir::Type;
use loopweave_ir::text::print_func;

use super::args::{ExplainArgs, Stage};
use super::error::CliError;
use super::eval::options;
use super::input::{all, describe, matched, no_others};
use super::subject::{Param, Subject};
use crate::codegen::{print_asm, print_clif};
use crate::error::Error;
use crate::fuse::{Decision, GroupKind, Plan, Relation};
use crate::graph::{ArrayOp, Graph, NodeId, Reduction};
use crate::nest::Nest;
use crate::nest::schedule::Scheduled;
use crate::pipeline::Program;
use crate::shape::Layout;

/// The level of detail of a report that was asked for by name.
const REPORT_LEVEL: u8 = 4;

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
    let program = Program::compile(subject.graph(&types)?, &options)?;
    no_others(&params, &args.args)?;
    let layouts = || -> Result<Vec<Layout>, CliError> {
        let described = all(&params, described.clone(), "-a")?;
        Ok(described.into_iter().map(|(_, layout)| layout).collect())
    };
    let schedule = || -> Result<_, CliError> {
        let scheduled = program.schedule(&layouts()?);
        Ok(scheduled.map_err(|error| subject.located(error))?)
    };
    let text = |stage: Stage| match stage {
        Stage::Func => Ok(functions(program.graph())),
        Stage::Graph => Ok(program.graph().to_string()),
        Stage::Plan => Ok(plan(program.graph(), program.plan())),
        Stage::Nest => each(&schedule()?, |nest| Ok(nest.to_string())),
        Stage::Clif => each(&schedule()?, |nest| Ok(print_clif(nest, &options.target)?)),
        Stage::Asm => each(&schedule()?, |nest| Ok(print_asm(nest, &options.target)?)),
        Stage::Report => {
            // What this machine cannot run is reported as far as the plan tells.
            if options.target.runs_here() {
                program.warm(&layouts()?).map_err(|error| subject.located(error))?;
            }
            Ok(program.report().text(REPORT_LEVEL))
        }
    };
    // An error in a late stage is not to be found at the end of what the early ones print.
    let texts = args.emit.iter().map(|&stage| text(stage));
    let texts: Vec<String> = texts.collect::<Result<_, CliError>>()?;
    for (i, (stage, text)) in args.emit.iter().zip(&texts).enumerate() {
        let gap = if i > 0 { "\n" } else { "" };
        let title = match args.emit.len() {
            1 => String::new(),
            _ => format!("{gap}== {} ==\n", stage.name()),
        };
        writeln!(out, "{title}{}", text.trim_end()).map_err(CliError::Stdout)?;
    }
    Ok(())
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

/// The groups, and what was decided along each edge.
fn plan(graph: &Graph, plan: &Plan) -> String {
    let names = |nodes: &[NodeId]| {
        let names: Vec<&str> = nodes.iter().map(|&node| graph.node(node).name.as_str()).collect();
        names.join(", ")
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (i, group) in plan.groups.iter().enumerate() {
        let kind = match &group.kind {
            GroupKind::Map => "map",
            GroupKind::Reduce(_) => "reduce",
            GroupKind::MatMul(_) => "matmul",
        };
        let (members, roots) = (names(&group.members), names(&group.roots));
        let _ = writeln!(text, "group {i} {}: {kind} of {members}, storing {roots}", group.name);
    }
    for decision in &plan.decisions {
        let (producer, consumer) = (names(&[decision.producer]), names(&[decision.consumer]));
        let between = match decision.relation {
            Relation::Edge => "into",
            Relation::Siblings => "beside",
        };
        let saves = saved_passes(graph, decision);
        let _ = writeln!(text, "{producer} {between} {consumer}: {}{saves}", decision.verdict);
    }
    text
}

/// The passes over arrays in memory that a decision saves; extents, and so bytes, are not known here.
fn saved_passes(graph: &Graph, decision: &Decision) -> String {
    let passes = |sign: i32| -> Vec<String> {
        let these = decision.saves.iter().filter(|t| t.passes * sign > 0);
        these
            .map(|t| format!("{} of {}", t.passes * sign, graph.node(t.array).name))
            .collect()
    };
    let (saved, added) = (passes(1), passes(-1));
    match (saved.is_empty(), added.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!(", saves passes: {}", saved.join(", ")),
        (false, false) => format!(", saves passes: {}, for {}", saved.join(", "), added.join(", ")),
    }
}
