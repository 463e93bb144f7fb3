//! Gathering: what each stage of a program left behind becomes a report.
//!
//! In: a [`Subject`], which borrows the program's stages. Out: a [`Report`].
//!
//! Invariant: nothing is decided here: every fact is read from the stage that decided it.

use std::time::Duration;

use loopweave_ir::Func;
use loopweave_ir::simplify::Fast;
use loopweave_ir::text::print_func;

use super::hoist::hoisted;
use super::traffic::{array_bytes, unfused};
use super::{
    Access, Accuracy, Code, Decision, Estimate, Function, Group, Kind, Loop, Memory, Op, Operand, Options, Parallel,
    Report, Role, Schedule, Stage, Stride, Unit, VERSION, Vector,
};
use crate::codegen::bound;
use crate::codegen::clif;
use crate::codegen::jit::JitCode;
use crate::fuse::{self, GroupKind, Plan, Relation, Verdict};
use crate::graph::bind::Shapes;
use crate::graph::{ArrayOp, Graph, NodeId, Reduction, View};
use crate::nest::lower::Lowered;
use crate::nest::schedule::Scheduled;
use crate::nest::{self, AxisRole, Leaf};
use crate::runtime::arena::ArenaSize;
use crate::runtime::parallel::{Split, Work};
use crate::target::Target;

/// A program, as far as it has come.
pub(crate) struct Subject<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) plan: &'a Plan,
    pub(crate) groups: &'a [Lowered],
    pub(crate) target: &'a Target,
    pub(crate) threads: usize,
    pub(crate) fast: Fast,
    pub(crate) bound: Option<Bound<'a>>,
}

/// What a program decided for the layouts of one call.
pub(crate) struct Bound<'a> {
    pub(crate) shapes: &'a Shapes,
    /// One per group.
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) arena: ArenaSize,
    /// `None` where the program was scheduled and not compiled.
    pub(crate) compile_time: Option<Duration>,
}

/// One group's part in a call.
pub(crate) struct Step<'a> {
    pub(crate) scheduled: &'a Scheduled,
    pub(crate) split: &'a Split,
    pub(crate) code: Option<&'a JitCode>,
}

impl Report {
    /// What is known of a program.
    pub(crate) fn of(subject: &Subject<'_>) -> Report {
        let Subject { graph, plan, .. } = subject;
        let bound = subject.bound.as_ref();
        let shapes = bound.map(|b| b.shapes);
        let step = |i: usize| bound.map(|b| &b.steps[i]);
        let groups = plan.groups.iter().zip(subject.groups).enumerate();
        let groups: Vec<Group> = groups
            .map(|(i, (planned, lowered))| group(subject, planned, lowered, step(i)))
            .collect();
        let work = shapes.map(|shapes| work(graph, shapes, &groups));
        Report {
            version: VERSION,
            program: graph.name.clone(),
            stage: if bound.is_some() {
                Stage::Scheduled
            } else {
                Stage::Planned
            },
            options: Some(Options {
                target: subject.target.name().to_owned(),
                core: subject.target.microarchitecture().map(|core| core.name.to_owned()),
                threads: subject.threads,
                fast: subject.fast.to_string(),
            }),
            ops: graph.iter().map(|(id, _)| op(graph, shapes, id)).collect(),
            outputs: graph.outputs.iter().map(output).collect(),
            groups,
            decisions: plan.decisions.iter().map(|d| decision(graph, shapes, d)).collect(),
            work,
            memory: bound.map(|bound| memory(graph, bound)),
            prepare_ns: bound.and_then(|b| b.compile_time).map(nanoseconds),
        }
    }
}

/// What makes an array, in a word.
pub(super) fn kind_of(op: &ArrayOp) -> &'static str {
    match op {
        ArrayOp::Input { .. } => "input",
        ArrayOp::Constant(_) => "constant",
        ArrayOp::Map(_) => "map",
        ArrayOp::Reduce {
            reduction: Reduction::Named(named),
            ..
        } => named.name(),
        ArrayOp::Reduce { .. } => "reduce",
        ArrayOp::MatMul => "matmul",
        ArrayOp::View(View::Permute(_)) => "permute",
        ArrayOp::View(View::Slice(_)) => "slice",
        ArrayOp::View(View::Broadcast(_)) => "broadcast",
        ArrayOp::View(View::Reshape(_)) => "reshape",
    }
}

fn op(graph: &Graph, shapes: Option<&Shapes>, id: NodeId) -> Op {
    let node = graph.node(id);
    Op {
        name: node.name.clone(),
        kind: kind_of(&node.op).to_owned(),
        function: match &node.op {
            ArrayOp::Map(func) => Some(func.name().to_owned()),
            ArrayOp::Reduce {
                reduction: Reduction::Custom { combine, .. },
                ..
            } => Some(combine.name().to_owned()),
            _ => None,
        },
        args: positions(&node.args),
        dtype: node.dtype.to_string(),
        rank: node.rank,
        shape: shapes.map(|shapes| shapes[id].to_vec()),
        position: None,
        span: node.span,
    }
}

fn output((name, id): &(String, NodeId)) -> super::Output {
    super::Output {
        name: name.clone(),
        op: id.index(),
    }
}

fn positions(nodes: &[NodeId]) -> Vec<usize> {
    nodes.iter().map(|id| id.index()).collect()
}

fn group(subject: &Subject<'_>, planned: &fuse::Group, lowered: &Lowered, step: Option<&Step<'_>>) -> Group {
    let graph = subject.graph;
    Group {
        name: planned.name.clone(),
        kind: match &planned.kind {
            GroupKind::Map => Kind::Map,
            GroupKind::Reduce(_) => Kind::Reduce,
            GroupKind::MatMul(_) => Kind::MatMul,
            GroupKind::Rows(_) => Kind::Rows,
        },
        members: planned.members.iter().map(|&id| graph.node(id).name.clone()).collect(),
        ops: positions(&planned.members),
        stores: positions(&planned.roots),
        functions: functions(&lowered.leaf),
        accuracy: accuracy(graph, &planned.members, subject.fast),
        schedule: step.map(|step| schedule(step, subject.target, subject.threads)),
        code: step.and_then(|step| step.code).map(|code| Code {
            bytes: code.size(),
            emit_ns: nanoseconds(code.times().emit),
            compile_ns: nanoseconds(code.times().compile),
            load_ns: nanoseconds(code.times().load),
        }),
    }
}

fn functions(leaf: &Leaf) -> Vec<Function> {
    let function = |role: &str, func: &Func| Function {
        role: role.to_owned(),
        text: print_func(func),
    };
    leaf.functions()
        .iter()
        .map(|(role, func)| function(role, func))
        .collect()
}

/// The bounds of the functions that the members call, each once: before expansion, since afterwards they are basic ops.
fn accuracy(graph: &Graph, members: &[NodeId], fast: Fast) -> Vec<Accuracy> {
    /// An op with this bound or a lower one is correctly rounded, or exact.
    const CORRECTLY_ROUNDED: f64 = 0.5;
    let func = |&id: &NodeId| match &graph.node(id).op {
        ArrayOp::Map(func) => Some(func),
        ArrayOp::Reduce {
            reduction: Reduction::Custom { combine, .. },
            ..
        } => Some(combine),
        _ => None,
    };
    let mut found: Vec<Accuracy> = Vec::new();
    for func in members.iter().filter_map(func) {
        for (id, node) in func.iter() {
            let dtype = node.args.first().map_or(func.dtype(id), |&arg| func.dtype(arg));
            let tier = node.op.tier(fast.accuracy());
            let bound = node.op.max_ulp(dtype, tier);
            let Some(max_ulp) = bound.filter(|&ulp| ulp > CORRECTLY_ROUNDED) else {
                continue;
            };
            let accuracy = Accuracy {
                op: node.op.name().to_owned(),
                dtype: dtype.to_string(),
                tier: tier.name().to_owned(),
                max_ulp,
            };
            if !found.contains(&accuracy) {
                found.push(accuracy);
            }
        }
    }
    found
}

fn schedule(step: &Step<'_>, target: &Target, threads: usize) -> Schedule {
    let scheduled = step.scheduled;
    let nest = &scheduled.nest;
    let work = Work::of(scheduled);
    let bytes = work.bytes_read + work.bytes_written;
    // A nest that no code can be made of has another error to report.
    let vector_loops = clif::vector_loops(nest, target).unwrap_or_default();
    let operands = nest.operands.iter().zip(scheduled.binding.operand_bytes(nest));
    Schedule {
        loops: loops(
            step,
            vector_loops.last().map_or(nest.vector, |last| last.vector),
            threads,
        ),
        serial: match step.split {
            Split::Serial { reason } => Some(*reason),
            Split::Axis { .. } | Split::Grid { .. } | Split::Blocks { .. } => None,
        },
        order: match &nest.leaf {
            Leaf::Map { .. } | Leaf::MatMul(_) | Leaf::Rows(_) => None,
            Leaf::Reduce(reduce) => Some(reduce.order),
        },
        blocks: match &nest.leaf {
            Leaf::MatMul(product) => Some(product.tile),
            Leaf::Map { .. } | Leaf::Reduce(_) | Leaf::Rows(_) => None,
        },
        vector_loops: vector_loops.iter().map(vector_loop).collect(),
        hoisted: hoisted(nest),
        notes: scheduled.notes.clone(),
        operands: operands.map(|(operand, bytes)| self::operand(operand, bytes)).collect(),
        bytes_read: work.bytes_read,
        bytes_written: work.bytes_written,
        flops: work.flops,
        intensity: intensity(work.flops, bytes),
    }
}

/// Flops per byte, to two digits.
fn intensity(flops: usize, bytes: usize) -> Option<f64> {
    (bytes > 0).then(|| (flops as f64 / bytes as f64 * 100.0).round() / 100.0)
}

fn work(graph: &Graph, shapes: &Shapes, groups: &[Group]) -> super::Work {
    let schedules = || groups.iter().filter_map(|group| group.schedule.as_ref());
    let bytes = schedules().flat_map(|s| [s.bytes_read, s.bytes_written]);
    let bytes = bytes.fold(0, usize::saturating_add);
    let flops = schedules().map(|s| s.flops).fold(0, usize::saturating_add);
    let unfused = unfused(graph, shapes);
    super::Work {
        unfused_kernels: unfused.len(),
        unfused_bytes: unfused.into_iter().fold(0, usize::saturating_add),
        bytes,
        flops,
        intensity: intensity(flops, bytes),
    }
}

fn loops(step: &Step<'_>, vector: nest::Vector, threads: usize) -> Vec<Loop> {
    let (nest, binding) = (&step.scheduled.nest, &step.scheduled.binding);
    let innermost = nest.vector_axis();
    let parallel = |unit, grain: usize, units: usize| {
        let parts = units.div_ceil(grain);
        Parallel {
            unit,
            grain,
            parts,
            threads: threads.min(parts),
        }
    };
    // The parts of a reduction are ranges of its elements, so its outermost loop stands for all of them.
    let outermost_reduced = nest.reduced().next();
    let axes = nest.axes.iter().zip(&binding.extents).enumerate();
    axes.map(|(i, (axis, &extent))| Loop {
        name: axis.name.clone(),
        role: match axis.role {
            AxisRole::Kept => Role::Kept,
            AxisRole::Reduced => Role::Reduced,
        },
        extent,
        parallel: match (step.split, &nest.leaf) {
            (Split::Axis { axis, grain }, _) if axis.index() == i => Some(parallel(Unit::Indices, *grain, extent)),
            (Split::Grid { axes, grain }, _) => {
                let cut = axes.iter().zip(grain).find(|(axis, _)| axis.index() == i);
                cut.map(|(_, &grain)| parallel(Unit::Indices, grain, extent))
            }
            (Split::Blocks { grain }, Leaf::Reduce(reduce)) if outermost_reduced.is_some_and(|a| a.index() == i) => {
                let blocks = binding.reduced_len(nest).div_ceil(reduce.order.block() as usize);
                Some(parallel(Unit::Blocks, *grain, blocks))
            }
            _ => None,
        },
        vector: (i == innermost.index() && vector.lanes > 1).then_some(Vector {
            lanes: vector.lanes,
            unroll: vector.unroll,
        }),
        // Tiles are squares of the two innermost loops.
        tile: (step.scheduled.tile.or(nest.turned_side())).filter(|_| i + 2 >= nest.axes.len()),
    })
    .collect()
}

fn vector_loop(l: &bound::VectorLoop) -> super::VectorLoop {
    super::VectorLoop {
        computes: l.kind,
        vector: Vector {
            lanes: l.vector.lanes,
            unroll: l.vector.unroll,
        },
        choice: l.choice,
        estimate: l.bound.map(|parts| {
            let (by, cycles) = parts.longest();
            Estimate { cycles, by, parts }
        }),
    }
}

fn operand(operand: &nest::Operand, bytes: usize) -> Operand {
    Operand {
        name: operand.name.clone(),
        access: match operand.role {
            nest::Role::Input => Access::Read,
            nest::Role::Output => Access::Written,
            nest::Role::Local => Access::Local,
        },
        dtype: operand.dtype.to_string(),
        stride: match operand.stride {
            nest::Stride::Zero => Stride::Same,
            nest::Stride::Unit => Stride::Contiguous,
            nest::Stride::Across => Stride::Across,
            nest::Stride::Any => Stride::Strided,
        },
        bytes,
    }
}

fn decision(graph: &Graph, shapes: Option<&Shapes>, decision: &fuse::Decision) -> Decision {
    let (fused, code, words) = match decision.verdict {
        Verdict::Fused(rule) => (true, rule.code(), rule.words()),
        Verdict::Refused(reason) => (false, reason.code(), reason.words()),
    };
    let saved = |shapes: &Shapes| {
        let passes = decision.saves.iter();
        let bytes = passes.map(|t| array_bytes(graph, shapes, t.array) as i64 * i64::from(t.passes));
        usize::try_from(bytes.fold(0, i64::saturating_add)).unwrap_or(0)
    };
    Decision {
        siblings: decision.relation == Relation::Siblings,
        producer: graph.node(decision.producer).name.clone(),
        consumer: graph.node(decision.consumer).name.clone(),
        ops: Some([decision.producer.index(), decision.consumer.index()]),
        fused,
        code: code.to_owned(),
        words: words.to_owned(),
        saved_bytes: shapes.filter(|_| fused).map(saved),
    }
}

fn memory(graph: &Graph, bound: &Bound<'_>) -> Memory {
    let outputs = graph.outputs.iter().map(|(_, id)| id);
    let arrays = graph
        .inputs
        .iter()
        .chain(outputs)
        .map(|&id| array_bytes(graph, bound.shapes, id));
    Memory {
        intermediate_bytes: bound.arena.bytes,
        unshared_bytes: bound.arena.without_reuse,
        peak_bytes: arrays.fold(bound.arena.bytes, usize::saturating_add),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
