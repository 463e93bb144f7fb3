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

mod check;
mod kernels;
mod prepare;

use std::sync::{Arc, Mutex, OnceLock};

use loopweave_ir::Dtype;
use loopweave_ir::simplify::Fast;
use smallvec::SmallVec;

use self::check::weak_types;
pub use self::kernels::KernelCache;
pub use self::prepare::Prepared;
use self::prepare::PreparedStep;
use crate::error::{CallError, Error};
use crate::fuse::{self, Plan};
use crate::graph::bind::{self, Shapes};
use crate::graph::{ArrayOp, Dim, Graph, NodeId};
use crate::nest::Leaf;
use crate::nest::lower::{Lowered, lower};
use crate::nest::schedule::Scheduled;
use crate::report::Report;
use crate::report::gather::{Bound as BoundShapes, Step, Subject};
use crate::runtime::array::{AnyArray, Output, Wanted};
use crate::runtime::cache::{Cache, Found};
use crate::runtime::launch::{Arena, Bound, Region};
use crate::runtime::lock;
use crate::runtime::parallel::{Split, Threads, map_each, split};
use crate::runtime::view::{View, ViewMut};
use crate::shape::{Dims, Layout};
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
    graph: Arc<Graph>,
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

impl Version {
    fn new(graph: &Arc<Graph>, plan: Plan, options: &Options) -> Result<Version, Error> {
        // A few are lowered sooner than a thread wakes.
        let threads = match plan.groups.len() {
            0..8 => &Threads::Caller,
            _ => &options.threads,
        };
        let (graph, fast) = (Arc::clone(graph), options.fast);
        let groups = map_each(threads, plan.groups.clone(), move |group| lower(&graph, &group, fast));
        Ok(Version {
            groups: groups.into_iter().collect::<Result<_, _>>()?,
            plan,
        })
    }
}

impl Program {
    /// Plans and lowers a graph.
    ///
    /// # Errors
    /// An op that is not yet supported; extents that do not fit, where the program fixes all of them.
    pub fn compile(graph: Graph, options: &Options) -> Result<Program, Error> {
        Program::compile_shared(graph, options, Arc::default())
    }

    /// As [`Program::compile`], with a cache of kernels that other programs use too.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_shared(graph: Graph, options: &Options, kernels: Arc<KernelCache>) -> Result<Program, Error> {
        let plan = if options.fusion {
            fuse::plan(&graph)
        } else {
            fuse::unfused(&graph)
        };
        if let Some(shapes) = fixed_shapes(&graph) {
            // What no call can mend is said at once.
            let shapes: SmallVec<[&[usize]; 4]> = shapes.iter().map(|shape| &shape[..]).collect();
            bind::bind(&graph, &shapes)?;
        }
        let graph = Arc::new(graph);
        let version = Version::new(&graph, plan, options)?;
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

    /// Binds the program to its arguments: checks them once, for a call that is repeated.
    ///
    /// # Errors
    /// As [`Program::run_into`].
    pub fn bind_call<'a>(&self, inputs: Vec<View<'a>>, mut outputs: Vec<ViewMut<'a>>) -> Result<Bound<'a>, Error> {
        let prepared = self.prepared(&inputs, Some(&outputs))?;
        let mut regions = Regions::new();
        fill(&mut regions, &inputs, &mut outputs);
        self.check_overlap(&prepared, &regions)?;
        drop(regions);
        let steps = prepared.steps.iter().map(|step| (&step.launch, &step.places[..]));
        let threads = self.options.threads.clone();
        Ok(Bound::new(steps, inputs, outputs, prepared.arena.bytes, threads))
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
            prepared.as_deref().map(|prepared| BoundShapes {
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
            Some(BoundShapes {
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
        let apart = Version::new(&self.graph, fuse::plan_apart(&self.graph), &self.options)?;
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

    fn report_on(&self, version: &Version, bound: Option<BoundShapes<'_>>) -> Report {
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

    /// Runs the steps on the memory of the inputs and then the outputs.
    fn execute(&self, prepared: &Prepared, regions: &[Region<'_>]) {
        let arena = (prepared.arena.bytes > 0).then(|| {
            let mut arena = lock(&self.arenas).pop().unwrap_or_default();
            arena.reserve(prepared.arena.bytes);
            arena
        });
        for step in &prepared.steps {
            let inputs = prepared.inputs.len();
            let operands = step
                .places
                .iter()
                .map(|place| place.region(regions, inputs, arena.as_ref()));
            step.launch.run(operands, &self.options.threads);
        }
        if let Some(arena) = arena {
            lock(&self.arenas).push(arena);
        }
    }
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

/// The inputs' shapes, where the program fixes every extent.
fn fixed_shapes(graph: &Graph) -> Option<Vec<Dims<usize>>> {
    let fixed = |dim: &Option<Dim>| match dim {
        Some(Dim::Fixed(extent)) => Some(*extent),
        Some(Dim::Name(_)) | None => None,
    };
    let shape = |input: &NodeId| match &graph.node(*input).op {
        ArrayOp::Input { dims } => dims.iter().map(fixed).collect(),
        _ => None,
    };
    graph.inputs.iter().map(shape).collect()
}
