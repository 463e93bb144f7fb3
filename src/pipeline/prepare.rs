//! A program bound to the layouts of its arguments: what is made at the first call of a kind, and found at later ones.
//!
//! In: the layouts of a call's arguments, and of its outputs where they exist. Out: a [`Prepared`]: each group scheduled and
//! compiled, and a place for each array.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::Program;
use crate::error::{CallError, Error};
use crate::graph::NodeId;
use crate::graph::bind::{self, Shapes};
use crate::nest::lower::Lowered;
use crate::nest::schedule::{Note, Scheduled, schedule};
use crate::nest::verify;
use crate::nest::{Leaf, OperandId, Role};
use crate::report::gather::Step;
use crate::runtime::arena::{self, ArenaSize, Interval};
use crate::runtime::array::fits_memory;
use crate::runtime::launch::{Launch, Place};
use crate::runtime::parallel::split;
use crate::runtime::view::{View, ViewMut};
use crate::shape::Layout;

/// A program bound to the layouts of a call.
#[derive(Debug)]
pub struct Prepared {
    pub(super) inputs: SmallVec<[Layout; 4]>,
    /// The layouts of the caller's outputs, or of those to be allocated.
    pub(super) outputs: SmallVec<[Layout; 2]>,
    pub(super) given: bool,
    pub(super) steps: Vec<PreparedStep>,
    /// Per input, the outputs that may be the very same view.
    pub(super) in_place: Vec<(usize, usize)>,
    pub(super) shapes: Shapes,
    pub(super) arena: ArenaSize,
    /// How long scheduling and compiling took; nearly nothing where the kernels were there.
    pub(super) compile_time: Duration,
}

/// One group's part in a call.
#[derive(Debug)]
pub(super) struct PreparedStep {
    pub(super) scheduled: Scheduled,
    pub(super) launch: Arc<Launch>,
    pub(super) places: SmallVec<[Place; 6]>,
}

impl Program {
    /// Schedules every group for these layouts, and finds or makes its kernel.
    pub(super) fn bind(&self, inputs: &[&Layout], outputs: Option<&[&Layout]>) -> Result<Prepared, Error> {
        let start = Instant::now();
        let plan = self.place(inputs, outputs)?;
        let version = self.version_for(&plan.shapes)?;
        let groups = version.groups.iter();
        let schedules: Vec<_> = groups
            .map(|group| self.schedule_group(group, &plan))
            .collect::<Result<_, _>>()?;
        let nests = schedules.iter().map(|(scheduled, _)| &scheduled.nest);
        let kernels = self
            .kernels
            .get_all(nests, &self.options.target, &self.options.threads)?;
        let mut steps = Vec::with_capacity(version.groups.len());
        for ((group, (scheduled, views)), kernel) in version.groups.iter().zip(schedules).zip(kernels) {
            let split = split(&scheduled, self.options.threads.number());
            let launch = Launch::new(kernel, &scheduled, split, &views).map_err(Error::Nest)?;
            let operands = scheduled.sources.iter().map(|&source| &group.operands[source]);
            let places = operands
                .filter(|o| o.role != Role::Local)
                .map(|o| plan.places[&o.access.source].clone())
                .collect();
            steps.push(PreparedStep {
                scheduled,
                launch: Arc::new(launch),
                places,
            });
        }
        let output_layouts = self
            .graph
            .outputs
            .iter()
            .map(|(_, node)| plan.layouts[node].clone())
            .collect();
        let in_place = self.in_place(&steps);
        Ok(Prepared {
            inputs: inputs.iter().map(|&l| l.clone()).collect(),
            outputs: output_layouts,
            given: outputs.is_some(),
            steps,
            in_place,
            shapes: plan.shapes,
            arena: plan.arena,
            compile_time: start.elapsed(),
        })
    }

    pub(super) fn schedule_group(
        &self,
        group: &Lowered,
        placement: &Placement,
    ) -> Result<(Scheduled, ByteRanges), Error> {
        let mut layouts: SmallVec<[Layout; 6]> = SmallVec::new();
        let mut views = ByteRanges::new();
        let shape = group.domain.shape(&self.graph, &placement.shapes);
        for operand in &group.operands {
            if operand.role == Role::Local {
                views.push(0..0);
                layouts.push(Layout::contiguous(&[])?);
                continue;
            }
            let source = &placement.layouts[&operand.access.source];
            views.push(source.byte_range(operand.dtype.size()));
            layouts.push(operand.access.layout(&self.graph, &placement.shapes, source)?);
        }
        let mut scheduled = schedule(group, &shape, &layouts, &self.options.target);
        let is_result = |place| matches!(place, &Place::Output(_));
        let written = group.operands.iter().filter(|o| o.role == Role::Output);
        if !placement.given && written.map(|o| &placement.places[&o.access.source]).any(is_result) {
            scheduled.for_fresh_results();
        }
        debug_assert_eq!(verify::verify(&scheduled.nest), Ok(()), "{}", scheduled.nest);
        let nest = &scheduled.nest;
        let strip = scheduled.binding.strip_extents();
        let view = |(id, &source): (OperandId, &usize)| match nest.operand(id).role {
            Role::Local => 0..nest.local_bytes(id, &strip) as isize,
            Role::Input | Role::Output => views[source].clone(),
        };
        let views = nest.operand_ids().zip(&scheduled.sources).map(view).collect();
        Ok((scheduled, views))
    }

    /// Where each array of a call is, and how it lies there.
    pub(super) fn place(&self, inputs: &[&Layout], outputs: Option<&[&Layout]>) -> Result<Placement, Error> {
        let input_shapes: SmallVec<[&[usize]; 4]> = inputs.iter().map(|l| &l.shape[..]).collect();
        let shapes = bind::bind(&self.graph, &input_shapes)?;
        let mut placement = Placement {
            shapes,
            layouts: HashMap::new(),
            places: HashMap::new(),
            given: outputs.is_some(),
            arena: ArenaSize::default(),
        };
        for (i, (&node, &layout)) in self.graph.inputs.iter().zip(inputs).enumerate() {
            placement.layouts.insert(node, layout.clone());
            placement.places.insert(node, Place::Input(i));
        }
        for (i, (name, node)) in self.graph.outputs.iter().enumerate() {
            let shape = &placement.shapes[*node];
            let layout = match outputs.map(|o| o[i]) {
                None if self.graph.is_reshaped(*node) => Layout::contiguous(shape)?,
                None => Layout::like(shape, inputs)?,
                Some(given) if given.shape == *shape => given.clone(),
                Some(given) => {
                    return Err(Error::Call(CallError::OutputShape {
                        output: name.clone(),
                        found: given.shape.to_vec(),
                        expected: shape.to_vec(),
                    }));
                }
            };
            // ndarray gives an empty array strides of 0.
            let repeats = layout.shape.iter().zip(&layout.strides).any(|(&e, &s)| e > 1 && s == 0);
            if repeats && !layout.is_empty() {
                return Err(Error::Call(CallError::SelfOverlap { output: name.clone() }));
            }
            placement.layouts.insert(*node, layout);
            placement.places.insert(*node, Place::Output(i));
        }
        self.place_intermediates(&mut placement)?;
        Ok(placement)
    }

    /// Places what groups leave for later groups in the arena, each array from the group that writes it to the last that reads
    /// it.
    fn place_intermediates(&self, placement: &mut Placement) -> Result<(), Error> {
        let mut nodes = Vec::new();
        let mut lives = Vec::new();
        let version = self.version_for(&placement.shapes)?;
        for (step, group) in version.plan.groups.iter().enumerate() {
            for &root in &group.roots {
                if placement.places.contains_key(&root) || nodes.contains(&root) {
                    continue;
                }
                let layout = Layout::contiguous(&placement.shapes[root])?;
                nodes.push(root);
                lives.push(Interval {
                    bytes: layout.len() * self.graph.node(root).dtype.size(),
                    first: step,
                    last: step,
                });
                placement.layouts.insert(root, layout);
            }
        }
        for (step, group) in version.groups.iter().enumerate() {
            for operand in &group.operands {
                if let Some(i) = nodes.iter().position(|&node| node == operand.access.source) {
                    lives[i].last = lives[i].last.max(step);
                }
            }
        }
        let Some(planned) = arena::plan(&lives).filter(|planned| fits_memory(planned.size.bytes)) else {
            let largest = (0..nodes.len()).max_by_key(|&i| lives[i].bytes).map(|i| nodes[i]);
            return Err(Error::Call(CallError::TooLarge {
                output: largest.map_or_else(String::new, |node| self.graph.node(node).name.clone()),
                shape: largest.map_or_else(Vec::new, |node| placement.shapes[node].to_vec()),
            }));
        };
        for ((node, life), &start) in nodes.into_iter().zip(&lives).zip(&planned.offsets) {
            placement.places.insert(node, Place::Arena(start..start + life.bytes));
        }
        placement.arena = planned.size;
        Ok(())
    }

    /// Pairs of an input and an output that may be one view: in a program of a single map, where every access of the input
    /// is at the element that is written.
    fn in_place(&self, steps: &[PreparedStep]) -> Vec<(usize, usize)> {
        let [step] = steps else { return Vec::new() };
        // A reduction may be a map here by the extents of the call, which shall not decide what is allowed.
        let is_reduction = step
            .scheduled
            .notes
            .iter()
            .any(|note| matches!(note, Note::SideBySide { .. }));
        if is_reduction || !matches!(step.scheduled.nest.leaf, Leaf::Map { .. }) {
            return Vec::new();
        }
        let bound = &step.scheduled.binding.operands;
        let same = |input: usize, output: usize| {
            let mut accesses = step
                .places
                .iter()
                .enumerate()
                .filter(|(_, p)| matches!(p, Place::Input(i) if *i == input));
            let output = step
                .places
                .iter()
                .position(|p| matches!(p, Place::Output(o) if *o == output));
            output.is_some_and(|output| accesses.all(|(access, _)| bound[access] == bound[output]))
        };
        let pairs = (0..self.graph.inputs.len()).flat_map(|i| (0..self.graph.outputs.len()).map(move |o| (i, o)));
        pairs.filter(|&(i, o)| same(i, o)).collect()
    }
}

/// Per operand, the bytes of its array relative to the first element.
pub(super) type ByteRanges = SmallVec<[Range<isize>; 6]>;

/// Where the arrays of a call are.
pub(super) struct Placement {
    pub(super) shapes: Shapes,
    pub(super) layouts: HashMap<NodeId, Layout>,
    pub(super) places: HashMap<NodeId, Place>,
    /// Whether the results' memory is the caller's.
    pub(super) given: bool,
    pub(super) arena: ArenaSize,
}

impl Prepared {
    /// Whether this was bound for arguments that lie as these; their number and dtypes are the program's.
    #[inline]
    pub(super) fn fits(&self, inputs: &[View<'_>], outputs: Option<&[ViewMut<'_>]>) -> bool {
        let mut input_layouts = self.inputs.iter().zip(inputs);
        if !input_layouts.all(|(layout, view)| layout.describes(view.shape(), view.strides())) {
            return false;
        }
        let Some(outputs) = outputs else { return !self.given };
        let mut output_layouts = self.outputs.iter().zip(outputs);
        self.given && output_layouts.all(|(layout, view)| layout.describes(view.shape(), view.strides()))
    }
}

impl PreparedStep {
    pub(super) fn for_report(&self) -> Step<'_> {
        Step {
            scheduled: &self.scheduled,
            split: self.launch.split(),
            code: Some(self.launch.code()),
        }
    }
}
