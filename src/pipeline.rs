//! The pipeline: from an array program to running kernels, stage by stage.
//!
//! In: a [`Graph`] and [`Options`]. Out: a [`Program`], which plans and lowers once, and schedules and compiles at the first
//! call for each layout of its arguments.
//!
//! ```text
//! Graph ─ fuse::plan ─▶ Plan ─ nest::lower ─▶ Lowered                         once
//!          ─ nest::schedule ─▶ Nest ─ codegen ─▶ Kernel ─ Launch              per layout, cached
//!          ─ launch ─▶ results                                                per call
//! ```

mod kernels;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use loopweave_ir::simplify::Fast;
use loopweave_ir::{Dtype, Op};
use smallvec::SmallVec;

pub use self::kernels::KernelCache;
use crate::error::{CallError, Error};
use crate::fuse::{self, Plan};
use crate::graph::bind::{self, Shapes};
use crate::graph::{ArrayOp, Graph, NodeId};
use crate::nest::lower::{Lowered, lower};
use crate::nest::schedule::{Scheduled, schedule};
use crate::nest::verify;
use crate::nest::{Leaf, Role};
use crate::report::Report;
use crate::report::gather::{Bound, Step, Subject};
use crate::runtime::arena::{self, ArenaSize, Interval};
use crate::runtime::array::{AnyArray, Output, Wanted, fits_memory};
use crate::runtime::cache::{Cache, Found};
use crate::runtime::launch::{Arena, Launch, Region};
use crate::runtime::parallel::{Split, Threads, split};
use crate::runtime::view::{View, ViewMut};
use crate::shape::{self, Layout};
use crate::target::{Target, TargetError};

/// What a program is compiled for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The fast-math rewrites that may be made; none by default.
    pub fast: Fast,
    /// The threads that calls may use.
    pub threads: Threads,
    /// The machine that code is made for.
    pub target: Target,
    /// Whether ops are fused. Results are the same bits without it: every array is then stored by a kernel of its own, so
    /// that a wrong or slow one can be found.
    pub fusion: bool,
}

impl Options {
    /// Strict arithmetic, all threads, this machine.
    ///
    /// # Errors
    /// If code cannot be made for this machine.
    pub fn native() -> Result<Options, TargetError> {
        Ok(Options {
            fast: Fast::NONE,
            threads: Threads::Global,
            target: Target::native()?,
            fusion: true,
        })
    }
}

/// An array program, ready to run. It can be called from several threads at once.
#[derive(Debug)]
pub struct Program {
    graph: Graph,
    version: Version,
    /// The same with the stages of rows as groups of their own, made at the first call that needs it.
    apart: OnceLock<Version>,
    options: Options,
    kernels: Arc<KernelCache>,
    /// The element types of the inputs and of the outputs, side by side for the checks of a call.
    dtypes: (SmallVec<[Dtype; 4]>, SmallVec<[Dtype; 2]>),
    /// The bindings of calls so far.
    prepared: Cache<Prepared>,
    /// Integer types that bare scalars are taken to, by input: their values must fit.
    weak: Vec<(usize, Dtype)>,
    arenas: Mutex<Vec<Arena>>,
}

/// How many bindings a program remembers beside those it keeps.
const RECENT: usize = 8;

/// The groups of a program, planned and lowered.
#[derive(Debug)]
struct Version {
    plan: Plan,
    groups: Vec<Lowered>,
}

/// Elements of a row from which on fewer rows than threads are not kept together: the stages' own loops can be split.
const LONG_ROW: usize = 1 << 15;
/// Elements of a row that no second-level cache holds.
const HUGE_ROW: usize = 1 << 18;

/// A program bound to the layouts of a call.
#[derive(Debug)]
pub struct Prepared {
    inputs: SmallVec<[Layout; 4]>,
    /// The layouts of the caller's outputs, or of those to be allocated.
    outputs: SmallVec<[Layout; 2]>,
    given: bool,
    steps: Vec<PreparedStep>,
    /// Per input, the outputs that may be the very same view.
    in_place: Vec<(usize, usize)>,
    shapes: Shapes,
    arena: ArenaSize,
    /// How long scheduling and compiling took; nearly nothing where the kernels were there.
    compile_time: Duration,
}

/// One group's part in a call.
#[derive(Debug)]
struct PreparedStep {
    scheduled: Scheduled,
    launch: Arc<Launch>,
    places: SmallVec<[Place; 6]>,
}

/// Where an operand's array is.
#[derive(Clone, Debug)]
enum Place {
    Input(usize),
    Output(usize),
    /// Bytes of the arena.
    Arena(Range<usize>),
}

impl Version {
    fn new(graph: &Graph, plan: Plan, fast: Fast) -> Result<Version, Error> {
        let groups = plan.groups.iter().map(|group| lower(graph, group, fast));
        Ok(Version {
            groups: groups.collect::<Result<_, _>>()?,
            plan,
        })
    }
}

impl Program {
    /// Plans and lowers a graph.
    ///
    /// # Errors
    /// An op that is not yet supported.
    pub fn compile(graph: Graph, options: &Options) -> Result<Program, Error> {
        Program::compile_shared(graph, options, Arc::default())
    }

    /// As [`Program::compile`], with a cache of kernels that other programs use too.
    ///
    /// # Errors
    /// An op that is not yet supported.
    pub fn compile_shared(graph: Graph, options: &Options, kernels: Arc<KernelCache>) -> Result<Program, Error> {
        let plan = if options.fusion {
            fuse::plan(&graph)
        } else {
            fuse::unfused(&graph)
        };
        let version = Version::new(&graph, plan, options.fast)?;
        let weak = weak_types(&graph);
        let dtype = |node: &NodeId| graph.node(*node).dtype;
        let dtypes = (
            graph.inputs.iter().map(dtype).collect(),
            graph.outputs.iter().map(|(_, node)| dtype(node)).collect(),
        );
        Ok(Program {
            graph,
            version,
            apart: OnceLock::new(),
            options: options.clone(),
            kernels,
            dtypes,
            prepared: Cache::new(RECENT),
            weak,
            arenas: Mutex::default(),
        })
    }

    /// The array program.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What was fused, and why.
    pub fn plan(&self) -> &Plan {
        &self.version.plan
    }

    /// The groups over logical axes, in the order in which they run.
    pub fn groups(&self) -> &[Lowered] {
        &self.version.groups
    }

    /// The groups that run for arguments of these layouts: [`Program::groups`], or with the stages of rows as groups of their
    /// own where the rows are too few or too long to stay together.
    ///
    /// # Errors
    /// Layouts that do not fit.
    pub fn groups_for(&self, inputs: &[Layout]) -> Result<&[Lowered], Error> {
        let shapes: SmallVec<[&[usize]; 4]> = inputs.iter().map(|l| &l.shape[..]).collect();
        let shapes = bind::bind(&self.graph, &shapes)?;
        Ok(&self.version_for(&shapes)?.groups)
    }

    /// What the program was compiled for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Runs the program. Results are new arrays, in the order of the outputs.
    ///
    /// # Errors
    /// Arguments that do not fit in number, dtype or shape, and what compiling can report at a layout's first call.
    pub fn run(&self, inputs: &[View<'_>]) -> Result<Vec<AnyArray>, Error> {
        self.run_as(inputs)
    }

    /// As [`Program::run`], with the results in another form.
    ///
    /// # Errors
    /// As [`Program::run`]; results of another number, dtype or rank than that form has.
    pub fn run_as<O: Output>(&self, inputs: &[View<'_>]) -> Result<O, Error> {
        let prepared = self.prepared(inputs, None)?;
        let wanted = self.wanted(&prepared)?;
        let compute = |outputs: &mut [ViewMut<'_>]| {
            let mut regions = Regions::new();
            fill(&mut regions, inputs, outputs);
            self.execute(&prepared, &regions);
        };
        Ok(O::compute(&wanted, compute)?)
    }

    /// The new arrays of a call.
    fn wanted<'a>(&self, prepared: &'a Prepared) -> Result<SmallVec<[Wanted<'a>; 2]>, CallError> {
        let mut wanted = SmallVec::new();
        for (o, (layout, &dtype)) in prepared.outputs.iter().zip(&self.dtypes.1).enumerate() {
            let too_large = || CallError::TooLarge {
                output: self.output_name(o),
                shape: layout.shape.to_vec(),
            };
            wanted.push(Wanted::new(dtype, layout).ok_or_else(too_large)?);
        }
        Ok(wanted)
    }

    /// Runs the program into existing arrays, one per output, of the results' dtypes and shapes and of any strides. Warm,
    /// it allocates nothing.
    ///
    /// # Errors
    /// As [`Program::run`]; outputs that do not fit, and outputs that overlap an input without being the very same view.
    pub fn run_into(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Result<(), Error> {
        let prepared = self.prepared(inputs, Some(outputs))?;
        let mut regions = Regions::new();
        fill(&mut regions, inputs, outputs);
        self.check_overlap(&prepared, &regions)?;
        self.execute(&prepared, &regions);
        Ok(())
    }

    /// Schedules and compiles for arguments of these layouts, ahead of the first call.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn prepare(&self, inputs: &[Layout]) -> Result<Vec<Scheduled>, Error> {
        let inputs: SmallVec<[&Layout; 4]> = inputs.iter().collect();
        let prepared = self.bind(&inputs, None)?;
        Ok(prepared.steps.iter().map(|s| s.scheduled.clone()).collect())
    }

    /// Compiles for arguments of these layouts, so that their first call finds its kernels.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn warm(&self, inputs: &[Layout]) -> Result<(), Error> {
        let known = self.prepared.find(|p| !p.given && p.inputs[..] == *inputs);
        if known.is_none() {
            let inputs: SmallVec<[&Layout; 4]> = inputs.iter().collect();
            self.prepared.insert(self.bind(&inputs, None)?);
        }
        Ok(())
    }

    /// The schedules for arguments of these layouts, without compiling them: for a target of another machine.
    ///
    /// # Errors
    /// Layouts that do not fit.
    pub fn schedule(&self, inputs: &[Layout]) -> Result<Vec<Scheduled>, Error> {
        let inputs: SmallVec<[&Layout; 4]> = inputs.iter().collect();
        let placement = self.place(&inputs, None)?;
        let version = self.version_for(&placement.shapes)?;
        let schedules = version
            .groups
            .iter()
            .map(|group| self.schedule_group(group, &placement));
        schedules
            .map(|scheduled| scheduled.map(|(scheduled, _)| scheduled))
            .collect()
    }

    /// What the last call did: its loops, what was fused, parallel and vectorised, and why; without a call, what is known
    /// from the plan.
    pub fn report(&self) -> Report {
        let prepared = self.prepared.last();
        // The version of a call that was made is there.
        let apart = prepared
            .as_deref()
            .filter(|prepared| self.comes_apart(&prepared.shapes));
        let version = apart.and_then(|_| self.apart.get()).unwrap_or(&self.version);
        self.report_on(
            version,
            prepared.as_deref().map(|prepared| Bound {
                shapes: &prepared.shapes,
                steps: prepared.steps.iter().map(PreparedStep::for_report).collect(),
                arena: prepared.arena,
                compile_time: Some(prepared.compile_time),
            }),
        )
    }

    /// What a call on arguments of these layouts would do, without compiling for it: for a target of another machine.
    ///
    /// # Errors
    /// Layouts that do not fit.
    pub fn report_for(&self, inputs: &[Layout]) -> Result<Report, Error> {
        let inputs: SmallVec<[&Layout; 4]> = inputs.iter().collect();
        let placement = self.place(&inputs, None)?;
        let version = self.version_for(&placement.shapes)?;
        let mut groups: Vec<(Scheduled, Split)> = Vec::with_capacity(version.groups.len());
        for group in &version.groups {
            let (scheduled, _) = self.schedule_group(group, &placement)?;
            let split = split(&scheduled, self.options.threads.number());
            groups.push((scheduled, split));
        }
        let steps = groups.iter().map(|(scheduled, split)| Step {
            scheduled,
            split,
            code: None,
        });
        Ok(self.report_on(
            version,
            Some(Bound {
                shapes: &placement.shapes,
                steps: steps.collect(),
                arena: placement.arena,
                compile_time: None,
            }),
        ))
    }

    /// The groups that run for arguments of these shapes.
    fn version_for(&self, shapes: &Shapes) -> Result<&Version, Error> {
        if !self.comes_apart(shapes) {
            return Ok(&self.version);
        }
        if let Some(apart) = self.apart.get() {
            return Ok(apart);
        }
        let apart = Version::new(&self.graph, fuse::plan_apart(&self.graph), self.options.fast)?;
        Ok(self.apart.get_or_init(|| apart))
    }

    /// Whether rows are so few that keeping them together would leave threads without work, or too long to stay in a cache.
    fn comes_apart(&self, shapes: &Shapes) -> bool {
        let threads = self.options.threads.number();
        self.version.groups.iter().any(|group| {
            let Leaf::Rows(_) = &group.leaf else { return false };
            let shape = group.domain.shape(&self.graph, shapes);
            let row: usize = group.reduced.iter().map(|&axis| shape[axis]).product();
            let all: usize = shape.iter().product();
            (row >= LONG_ROW && all < threads * row) || row >= HUGE_ROW
        })
    }

    fn report_on(&self, version: &Version, bound: Option<Bound<'_>>) -> Report {
        Report::of(&Subject {
            graph: &self.graph,
            plan: &version.plan,
            groups: &version.groups,
            target: &self.options.target,
            threads: self.options.threads.number(),
            fast: self.options.fast,
            bound,
        })
    }

    fn prepared(&self, inputs: &[View<'_>], outputs: Option<&[ViewMut<'_>]>) -> Result<Found<'_, Prepared>, Error> {
        self.check_dtypes(inputs, outputs)?;
        match self.prepared.find(|prepared| prepared.fits(inputs, outputs)) {
            Some(prepared) => Ok(prepared),
            None => self.bind_views(inputs, outputs),
        }
    }

    #[cold]
    fn bind_views(&self, inputs: &[View<'_>], outputs: Option<&[ViewMut<'_>]>) -> Result<Found<'_, Prepared>, Error> {
        let inputs: SmallVec<[Layout; 4]> = inputs.iter().map(View::layout).collect();
        let outputs: Option<SmallVec<[Layout; 2]>> = outputs.map(|o| o.iter().map(ViewMut::layout).collect());
        let inputs: SmallVec<[&Layout; 4]> = inputs.iter().collect();
        let outputs: Option<SmallVec<[&Layout; 2]>> = outputs.as_ref().map(|o| o.iter().collect());
        Ok(self.prepared.insert(self.bind(&inputs, outputs.as_deref())?))
    }

    fn check_dtypes(&self, inputs: &[View<'_>], outputs: Option<&[ViewMut<'_>]>) -> Result<(), CallError> {
        let kernel = || self.graph.name.clone();
        if inputs.len() != self.graph.inputs.len() {
            return Err(CallError::ArgumentCount {
                kernel: kernel(),
                expected: self.graph.inputs.len(),
                found: inputs.len(),
            });
        }
        for (i, (view, &expected)) in inputs.iter().zip(&self.dtypes.0).enumerate() {
            if view.dtype() != expected {
                return Err(CallError::ArgumentDtype {
                    kernel: kernel(),
                    input: self.input_name(i),
                    found: view.dtype(),
                    expected,
                });
            }
        }
        for &(input, dtype) in &self.weak {
            if let Some(literal) = inputs[input].weak_value().filter(|l| l.to_scalar(dtype).is_none()) {
                return Err(CallError::ScalarRange {
                    input: self.input_name(input),
                    literal,
                    dtype,
                });
            }
        }
        let Some(outputs) = outputs else { return Ok(()) };
        if outputs.len() != self.graph.outputs.len() {
            return Err(CallError::OutputCount {
                kernel: kernel(),
                expected: self.graph.outputs.len(),
                found: outputs.len(),
            });
        }
        for (o, (view, &expected)) in outputs.iter().zip(&self.dtypes.1).enumerate() {
            if view.dtype() != expected {
                return Err(CallError::OutputDtype {
                    output: self.output_name(o),
                    found: view.dtype(),
                    expected,
                });
            }
        }
        Ok(())
    }

    fn input_name(&self, input: usize) -> String {
        self.graph.node(self.graph.inputs[input]).name.clone()
    }

    fn output_name(&self, output: usize) -> String {
        self.graph.outputs[output].0.clone()
    }

    /// Refuses outputs that overlap an input, except the very same view where the program reads it element by element; and
    /// outputs that overlap each other.
    fn check_overlap(&self, prepared: &Prepared, regions: &[Region<'_>]) -> Result<(), CallError> {
        let (inputs, outputs) = regions.split_at(prepared.inputs.len());
        for (o, output) in outputs.iter().enumerate() {
            let bytes = output.addresses();
            for (i, input) in inputs.iter().enumerate() {
                if shape::overlap(&bytes, &input.addresses()) && !self.is_in_place(prepared, regions, i, o) {
                    return Err(CallError::Overlap {
                        output: self.output_name(o),
                        input: self.input_name(i),
                    });
                }
            }
            for (p, other) in outputs[..o].iter().enumerate() {
                if shape::overlap(&bytes, &other.addresses()) {
                    return Err(CallError::OutputsOverlap {
                        first: self.output_name(p),
                        second: self.output_name(o),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether an input and an output are the very same view, and may be.
    fn is_in_place(&self, prepared: &Prepared, regions: &[Region<'_>], input: usize, output: usize) -> bool {
        std::ptr::eq(
            regions[input].pointer(),
            regions[prepared.inputs.len() + output].pointer(),
        ) && prepared.inputs[input] == prepared.outputs[output]
            && self.dtypes.0[input] == self.dtypes.1[output]
            && prepared.in_place.contains(&(input, output))
    }

    /// Runs the steps on the memory of the inputs and then the outputs.
    fn execute(&self, prepared: &Prepared, regions: &[Region<'_>]) {
        let arena = (prepared.arena.bytes > 0).then(|| {
            let mut arena = lock(&self.arenas).pop().unwrap_or_default();
            arena.reserve(prepared.arena.bytes);
            arena
        });
        for step in &prepared.steps {
            let operands = step.places.iter().map(|place| match place {
                Place::Input(i) => regions[*i].clone(),
                Place::Output(i) => regions[prepared.inputs.len() + i].clone(),
                Place::Arena(bytes) => Region::within(arena.as_ref(), bytes),
            });
            step.launch.run(operands, &self.options.threads);
        }
        if let Some(arena) = arena {
            lock(&self.arenas).push(arena);
        }
    }

    /// Schedules every group for these layouts, and finds or makes its kernel.
    fn bind(&self, inputs: &[&Layout], outputs: Option<&[&Layout]>) -> Result<Prepared, Error> {
        let start = Instant::now();
        let plan = self.place(inputs, outputs)?;
        let version = self.version_for(&plan.shapes)?;
        let mut steps = Vec::with_capacity(version.groups.len());
        for group in &version.groups {
            let (scheduled, views) = self.schedule_group(group, &plan)?;
            let kernel = self.kernels.get(&scheduled.nest, &self.options.target)?;
            let split = split(&scheduled, self.options.threads.number());
            let launch = Launch::new(kernel, &scheduled, split, &views).map_err(Error::Nest)?;
            let places = group
                .operands
                .iter()
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

    fn schedule_group(&self, group: &Lowered, placement: &Placement) -> Result<(Scheduled, ByteRanges), Error> {
        let mut layouts: SmallVec<[Layout; 6]> = SmallVec::new();
        let mut views = ByteRanges::new();
        let shape = group.domain.shape(&self.graph, &placement.shapes);
        for operand in &group.operands {
            if operand.role == Role::Local {
                views.push(0..group.local_bytes(operand, &shape) as isize);
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
        Ok((scheduled, views))
    }

    /// Where each array of a call is, and how it lies there.
    fn place(&self, inputs: &[&Layout], outputs: Option<&[&Layout]>) -> Result<Placement, Error> {
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
        if !matches!(step.scheduled.nest.leaf, Leaf::Map { .. }) {
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
type ByteRanges = SmallVec<[Range<isize>; 6]>;

/// Where the arrays of a call are.
struct Placement {
    shapes: Shapes,
    layouts: HashMap<NodeId, Layout>,
    places: HashMap<NodeId, Place>,
    /// Whether the results' memory is the caller's.
    given: bool,
    arena: ArenaSize,
}

/// The integer types that maps take each `i64` input to. Only a bare scalar's value is checked against them: an array's
/// elements are cast because the program says so.
fn weak_types(graph: &Graph) -> Vec<(usize, Dtype)> {
    let mut types = Vec::new();
    for (input, id) in graph
        .inputs
        .iter()
        .enumerate()
        .filter(|(_, id)| graph.node(**id).dtype == Dtype::I64)
    {
        for node in &graph.nodes {
            let ArrayOp::Map(func) = &node.op else { continue };
            for cast in func.nodes() {
                let (Op::Cast(dtype), Some(&of)) = (cast.op, cast.args.first()) else {
                    continue;
                };
                let is_input = matches!(func.node(of).op, Op::Param(p) if node.args[p as usize] == *id);
                if is_input && dtype.is_int() && !types.contains(&(input, dtype)) {
                    types.push((input, dtype));
                }
            }
        }
    }
    types
}

/// The memory of a call's inputs, then of its outputs; up to ten take no allocation.
type Regions<'a> = SmallVec<[Region<'a>; 10]>;

/// Fills an empty list in place: returning it would copy all of its room.
#[inline]
fn fill<'a>(regions: &mut Regions<'a>, inputs: &'a [View<'_>], outputs: &'a mut [ViewMut<'_>]) {
    // One by one: `extend` is a call that costs more than the few regions.
    for input in inputs {
        regions.push(Region::read(input));
    }
    for output in outputs {
        regions.push(Region::write(output));
    }
}

impl Prepared {
    /// Whether this was bound for arguments that lie as these; their number and dtypes are the program's.
    #[inline]
    fn fits(&self, inputs: &[View<'_>], outputs: Option<&[ViewMut<'_>]>) -> bool {
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
    fn for_report(&self) -> Step<'_> {
        Step {
            scheduled: &self.scheduled,
            split: self.launch.split(),
            code: Some(self.launch.code()),
        }
    }
}

/// A lock whose holder panicked is still whole: every critical section here leaves its data consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
