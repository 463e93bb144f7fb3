//! What kernels compute, and what they are specialised for.
//!
//! In: a function, a reduction, a product or an array program, and the kinds of a call's arguments. Out: the array program for
//! such arguments.

use loopweave_ir::text::Source as SourceText;
use loopweave_ir::{Func, Type};
use smallvec::SmallVec;

use super::matmul::MatMulSpec;
use super::reduce::ReduceSpec;
use crate::error::{CallError, Error};
use crate::graph::build::GraphBuilder;
use crate::graph::settle::{self, settle};
use crate::graph::{Graph, NodeId};

/// What a kernel computes.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Elementwise(Func),
    Reduce(ReduceSpec),
    MatMul(MatMulSpec),
    /// An array program, with types of its own.
    Program {
        graph: Graph,
        /// The text it came from, if it came from one.
        text: Option<SourceText>,
        /// Whether it leaves extents open.
        is_open: bool,
    },
}

/// What a kernel is specialised for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// The type and the rank of each argument.
    Typed(SmallVec<[(Type, usize); 4]>),
    /// The same of a product with an epilogue, and the axes of extent 1, which tell whether further arguments are as large as it.
    Shaped(SmallVec<[(Type, usize); 4]>, SmallVec<[u32; 4]>),
    /// The axes of extent 1 of each input of an array program, whose types and ranks are its own; empty where it names all
    /// extents.
    Ones(SmallVec<[u32; 4]>),
}

impl Source {
    pub(super) fn program(graph: Graph, text: Option<SourceText>) -> Source {
        Source::Program {
            is_open: settle::is_open(&graph),
            graph,
            text,
        }
    }

    /// What arguments of these types and shapes specialise it for.
    pub(super) fn signature<'a>(&self, args: impl Iterator<Item = (Type, &'a [usize])>) -> Signature {
        match self {
            Source::Program { is_open: false, .. } => Signature::Ones(SmallVec::new()),
            Source::Program { is_open: true, .. } => {
                Signature::Ones(args.map(|(_, shape)| settle::ones(shape)).collect())
            }
            Source::MatMul(spec) if spec.has_epilogue() => {
                let (kinds, ones) = args.map(|(ty, shape)| ((ty, shape.len()), settle::ones(shape))).unzip();
                Signature::Shaped(kinds, ones)
            }
            _ => Signature::Typed(args.map(|(ty, shape)| (ty, shape.len())).collect()),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Source::Elementwise(func) => func.name(),
            Source::Reduce(spec) => spec.name(),
            Source::MatMul(spec) => spec.name(),
            Source::Program { graph, .. } => &graph.name,
        }
    }

    /// The array program for arguments of this kind.
    pub(super) fn graph(&self, signature: &Signature) -> Result<Graph, Error> {
        let graph = self.written(signature)?;
        Ok(match signature {
            Signature::Shaped(_, ones) => settle(graph, ones),
            Signature::Ones(ones) if !ones.is_empty() => {
                check_count(&graph.name, graph.inputs.len(), ones.len())?;
                settle(graph, ones)
            }
            Signature::Typed(_) | Signature::Ones(_) => graph,
        })
    }

    /// The array program as it is written, its open extents without names.
    pub(super) fn written(&self, signature: &Signature) -> Result<Graph, Error> {
        let kinds = match signature {
            Signature::Typed(kinds) | Signature::Shaped(kinds, _) => &kinds[..],
            Signature::Ones(_) => &[],
        };
        match self {
            Source::Elementwise(func) => {
                check_count(func.name(), func.params().len(), kinds.len())?;
                let mut builder = GraphBuilder::new(func.name());
                let inputs = inputs(&mut builder, func, kinds);
                let results = builder.map_multi(func, &inputs)?;
                outputs(&mut builder, func.name(), &results);
                Ok(builder.finish()?)
            }
            Source::Reduce(spec) => spec.graph(kinds),
            Source::MatMul(spec) => spec.graph(kinds),
            Source::Program { graph, .. } => Ok(graph.clone()),
        }
    }
}

pub(super) fn check_count(kernel: &str, expected: usize, found: usize) -> Result<(), CallError> {
    if expected == found {
        return Ok(());
    }
    Err(CallError::ArgumentCount {
        kernel: kernel.to_owned(),
        expected,
        found,
    })
}

pub(super) fn inputs(builder: &mut GraphBuilder, func: &Func, signature: &[(Type, usize)]) -> Vec<NodeId> {
    let params = func.params().iter().zip(signature);
    params
        .map(|(param, &(ty, rank))| builder.input(&param.name, ty, rank))
        .collect()
}

/// Makes nodes the outputs, under the name of the function that gives them.
pub(super) fn outputs(builder: &mut GraphBuilder, name: &str, results: &[NodeId]) {
    for (i, &node) in results.iter().enumerate() {
        let name = if results.len() == 1 {
            name.to_owned()
        } else {
            format!("{name}.{i}")
        };
        builder.output(name, node);
    }
}
