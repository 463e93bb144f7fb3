//! Array programs as kernels that are called by the names of their inputs and outputs.
//!
//! In: a closure over arrays ([`program`]). Out: a [`Program`], planned and fused as a whole, which is called by name
//! ([`Program::run`]) or, as the [`Kernel`] that it derefs to, by position.
//!
//! Invariants: names are checked before anything else of a call; a warm call into existing arrays allocates none, by name or by
//! position.

use std::ops::Deref;
use std::sync::Arc;

use loopweave_ir::Type;
use loopweave_ir::simplify::Fast;
use loopweave_ir::text::suggest;
use ndarray::{Array as OwnedArray, Dimension};
use rayon::ThreadPool;
use smallvec::SmallVec;

use super::source::Source;
use super::{Bound, Kernel};
use crate::error::{CallError, Error, Side};
use crate::graph::Graph;
use crate::graph::trace::{ProgramBuilder, trace};
use crate::pipeline::Options;
use crate::runtime::array::{AnyArray, Output, Owned};
use crate::runtime::view::{Arg, ArgMut, View, ViewMut};
use crate::shape::Layout;
use crate::target::Target;

/// An array program: what the closure describes with the inputs that it declares, fused as a whole and compiled at the first
/// call for each memory layout.
///
/// ```
/// use loopweave::prelude::*;
/// use ndarray::{Array2, array};
/// use std::f64::consts::FRAC_1_SQRT_2;
///
/// let dense = jit::program(|g| {
///     let (x, w, b) = (g.input("x", F32, 2), g.input("w", F32, 2), g.input("b", F32, 1));
///     g.output("y", (x.matmul(w) + b).map(|h| 0.5 * h * (1.0 + (h * FRAC_1_SQRT_2).erf())));
/// })?;
/// let (x, w, b) = (array![[1.0f32, 2.0]], array![[50.0f32], [0.0]], array![25.0f32]);
/// let mut out = dense.run([("x", &x), ("w", &w), ("b", &b)])?;
/// let y: Array2<f32> = out.take("y")?;
/// assert_eq!(y, array![[75.0]]);
/// dense.report().assert_groups(1);
/// # Ok::<(), loopweave::Error>(())
/// ```
///
/// # Errors
/// Everything that is wrong with the program, each with its line; an op that is not yet supported; a machine that code cannot
/// be made for.
#[track_caller]
pub fn program(program: impl FnOnce(&ProgramBuilder)) -> Result<Program, Error> {
    Program::of_graph(trace("program", program)?)
}

/// A compiled array program.
///
/// It is called by name, or as a [`Kernel`] by position, in the order in which the inputs and the outputs were declared. It can
/// be called from several threads at once, and cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Program {
    kernel: Kernel,
    graph: Arc<Graph>,
}

/// The most inputs, or outputs, that a warm call finds by name without an allocation.
const NAMED: usize = 16;

impl Deref for Program {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl Program {
    /// A program from a graph of the builder's.
    ///
    /// ```
    /// use loopweave::graph::build::GraphBuilder;
    /// use loopweave::ir::trace;
    /// use loopweave::prelude::*;
    /// let mut g = GraphBuilder::new("twice");
    /// let x = g.input("x", F32, 1);
    /// let y = g.map(&trace("twice", |[x]| 2 * x)?, &[x])?;
    /// g.output("y", y);
    /// let twice = jit::Program::of_graph(g.finish()?)?;
    /// assert_eq!(twice.run_as::<ndarray::Array1<f32>, 1>([("x", &[1.5f32])])?[0], 3.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An op that is not yet supported, and a machine that code cannot be made for.
    pub fn of_graph(graph: Graph) -> Result<Program, Error> {
        let kernel = Kernel::new(Source::program(graph.clone(), None), Options::native());
        Program::planned(kernel, Arc::new(graph))
    }

    /// Runs the program on inputs by their names, in any order.
    ///
    /// # Errors
    /// Names that are unknown, missing or given twice; arrays that do not fit in dtype or shape; what compiling can report at a
    /// layout's first call.
    pub fn run<const N: usize>(&self, inputs: [(&str, &dyn Arg); N]) -> Result<Outputs, Error> {
        self.run_slice(&inputs)
    }

    /// As [`Program::run`], for inputs whose number is known at run time only.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_slice(&self, inputs: &[(&str, &dyn Arg)]) -> Result<Outputs, Error> {
        let arrays: Vec<AnyArray> = self.kernel.run_as(&mut self.inputs(inputs)?)?;
        Ok(Outputs {
            graph: Arc::clone(&self.graph),
            arrays: arrays.into_iter().map(Some).collect(),
        })
    }

    /// As [`Program::run`], with the results in the order of the outputs: one array or scalar, or a tuple of them.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// use ndarray::{Array1, array};
    /// let stats = jit::program(|g| {
    ///     let x = g.input("x", F64, 2);
    ///     g.output("mean", x.mean(-1));
    ///     g.output("top", x.max(..));
    /// })?;
    /// let (mean, top): (Array1<f64>, f64) = stats.run_as([("x", &array![[1.0, 3.0]])])?;
    /// assert_eq!((mean[0], top), (2.0, 3.0));
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::run`]; results of another number, dtype or rank.
    pub fn run_as<O: Output, const N: usize>(&self, inputs: [(&str, &dyn Arg); N]) -> Result<O, Error> {
        self.kernel.run_as(&mut self.inputs(&inputs)?)
    }

    /// Runs the program on inputs by their names, into existing arrays for all outputs by theirs. Warm, it allocates
    /// as little as [`Kernel::call_into`] for up to ten arrays in all.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let halves = jit::program(|g| g.output("y", g.input("x", F64, 1) * 0.5))?;
    /// let mut y = [0.0; 2];
    /// halves.run_into([("x", &[1.0, 3.0])], [("y", &mut y)])?;
    /// assert_eq!(y, [0.5, 1.5]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::run`]; outputs of another dtype or shape, or that overlap an input or each other.
    pub fn run_into<const N: usize, const M: usize>(
        &self,
        inputs: [(&str, &dyn Arg); N],
        outputs: [(&str, &mut dyn ArgMut); M],
    ) -> Result<(), Error> {
        self.kernel
            .run_into(&mut self.inputs(&inputs)?, &mut self.outputs(outputs)?)
    }

    /// Binds the program to inputs and outputs by their names, for a call that is repeated, as [`Kernel::bind`] does by
    /// position.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// use ndarray::{Ix1, array};
    /// let scaled = jit::program(|g| {
    ///     let (x, w) = (g.input("x", F64, 1), g.input("w", F64, 1));
    ///     g.output("y", x / w.sum(..));
    /// })?;
    /// let (x, w, mut y) = (array![2.0, 4.0], array![1.5, 0.5], array![0.0, 0.0]);
    /// let mut call = scaled.bind_by_name([("w", &w), ("x", &x)], [("y", &mut y)])?;
    /// call.run();
    /// assert_eq!(call.output::<f64, Ix1>(0)?, array![1.0, 2.0]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::run_into`].
    pub fn bind_by_name<'a, const N: usize, const M: usize>(
        &self,
        inputs: [(&str, &'a dyn Arg); N],
        outputs: [(&str, &'a mut dyn ArgMut); M],
    ) -> Result<Bound<'a>, Error> {
        let inputs = self.inputs(&inputs)?.into_vec();
        self.kernel.bind_views(inputs, self.outputs(outputs)?.into_vec())
    }

    /// The names of the inputs, in the order of a call by position.
    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        names(&self.graph, Side::Input)
    }

    /// The names of the outputs, in their order.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        names(&self.graph, Side::Output)
    }

    /// The array program.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Compiles for contiguous inputs of these shapes, in their order, ahead of the first call.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let product = jit::program(|g| {
    ///     let (a, b) = (g.input("a", F32, 2), g.input("b", F32, 2));
    ///     g.output("c", a.matmul(b));
    /// })?;
    /// product.warm(&[&[64, 32], &[32, 16]])?;
    /// assert_eq!(product.compiled(), 1);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn warm(&self, shapes: &[&[usize]]) -> Result<(), Error> {
        let layouts: Result<Vec<Layout>, _> = shapes.iter().map(|shape| Layout::contiguous(shape)).collect();
        let inputs = self.graph.inputs.iter().map(|&id| self.graph.node(id).dtype.into());
        let signature = self.kernel.inner.source.signature(inputs.zip(shapes.iter().copied()));
        self.kernel.specialise(signature)?.program.warm(&layouts?)
    }

    /// The program with `count` threads of its own, the caller's included; 1 keeps every call on the caller's thread.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn threads(&self, count: usize) -> Result<Program, Error> {
        self.with(self.kernel.threads(count)?)
    }

    /// The program on the threads of a pool.
    ///
    /// # Errors
    /// As [`Program::of_graph`].
    pub fn pool(&self, pool: Arc<ThreadPool>) -> Result<Program, Error> {
        self.with(self.kernel.pool(pool))
    }

    /// The program with these fast-math rewrites allowed.
    ///
    /// # Errors
    /// As [`Program::of_graph`].
    pub fn fast(&self, fast: Fast) -> Result<Program, Error> {
        self.with(self.kernel.fast(fast))
    }

    /// The program with code for another target, which must run on this machine to be called.
    ///
    /// # Errors
    /// As [`Program::of_graph`].
    pub fn target(&self, target: Target) -> Result<Program, Error> {
        self.with(self.kernel.target(target))
    }

    fn with(&self, kernel: Kernel) -> Result<Program, Error> {
        Program::planned(kernel, Arc::clone(&self.graph))
    }

    /// The program, planned: its types and ranks are known, so what does not depend on a call is done and reported now.
    fn planned(kernel: Kernel, graph: Arc<Graph>) -> Result<Program, Error> {
        // Most calls have no axis of extent 1.
        let inputs = graph.inputs.iter().map(|&id| graph.node(id));
        let shapes: Vec<(Type, Vec<usize>)> = inputs.map(|node| (node.dtype.into(), vec![2; node.rank])).collect();
        let signature = kernel
            .inner
            .source
            .signature(shapes.iter().map(|(ty, shape)| (*ty, &shape[..])));
        kernel.specialise(signature)?;
        Ok(Program { kernel, graph })
    }

    /// The views of inputs in the order of the program.
    fn inputs<'a>(&self, inputs: &[(&str, &'a dyn Arg)]) -> Result<SmallVec<[View<'a>; NAMED]>, CallError> {
        let names: SmallVec<[&str; NAMED]> = inputs.iter().map(|(name, _)| *name).collect();
        let order = self.order(Side::Input, &names)?;
        Ok(order.into_iter().map(|position| inputs[position].1.view()).collect())
    }

    /// The views of outputs in the order of the program.
    fn outputs<'a, const M: usize>(
        &self,
        outputs: [(&str, &'a mut dyn ArgMut); M],
    ) -> Result<SmallVec<[ViewMut<'a>; NAMED]>, CallError> {
        let names = outputs.each_ref().map(|(name, _)| *name);
        let order = self.order(Side::Output, &names)?;
        // Each position is in the order once.
        let mut given = outputs.map(|(_, array)| Some(array));
        let views = order.into_iter().filter_map(|position| given[position].take());
        Ok(views.map(ArgMut::view_mut).collect())
    }

    /// For each of the program's names the position among the given ones, which are the same in another order.
    fn order(&self, side: Side, given: &[&str]) -> Result<SmallVec<[usize; NAMED]>, CallError> {
        let mut order = SmallVec::new();
        for name in names(&self.graph, side) {
            match given.iter().position(|given| *given == name) {
                Some(position) => order.push(position),
                None => return Err(self.missing(side, name, given)),
            }
        }
        // Every declared name is there, each once: what is left over is unknown or given twice.
        match (0..given.len()).find(|position| !order.contains(position)) {
            None => Ok(order),
            Some(position) => Err(self.left_over(side, given[position])),
        }
    }

    #[cold]
    fn missing(&self, side: Side, name: &str, given: &[&str]) -> CallError {
        // A name that no one declared is the likelier mistake: it says what was meant.
        let is_unknown = |given: &&&str| names(&self.graph, side).all(|declared| declared != **given);
        match given.iter().find(is_unknown) {
            Some(unknown) => self.left_over(side, unknown),
            None => CallError::MissingName {
                kernel: self.graph.name.clone(),
                side,
                name: name.to_owned(),
            },
        }
    }

    #[cold]
    fn left_over(&self, side: Side, name: &str) -> CallError {
        if names(&self.graph, side).any(|declared| declared == name) {
            return CallError::DuplicateName {
                kernel: self.graph.name.clone(),
                side,
                name: name.to_owned(),
            };
        }
        unknown(&self.graph, side, name)
    }
}

/// The results of a call, by the names of the program's outputs.
#[derive(Clone, Debug)]
pub struct Outputs {
    graph: Arc<Graph>,
    /// One for each output in order; `None` once it was taken.
    arrays: Vec<Option<AnyArray>>,
}

impl Outputs {
    /// A result to look at.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let program = jit::program(|g| g.output("twice", 2 * g.input("x", I32, 1)))?;
    /// let out = program.run([("x", &[1, 2])])?;
    /// assert_eq!(out.get("twice")?.get(&[1]), Some(Scalar::from(4)));
    /// assert_eq!(
    ///     out.get("twize").unwrap_err().to_string(),
    ///     "`program` has no output `twize`; did you mean `twice`?"
    /// );
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// A name that no output has, and a result that was taken.
    pub fn get(&self, name: &str) -> Result<&AnyArray, Error> {
        let position = self.position(name)?;
        Ok(self.arrays[position].as_ref().ok_or_else(|| taken(name))?)
    }

    /// A result as a typed array, without a copy.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let program = jit::program(|g| g.output("twice", 2 * g.input("x", I32, 1)))?;
    /// let twice: ndarray::Array1<i32> = program.run([("x", &[1, 2])])?.take("twice")?;
    /// assert_eq!(twice, ndarray::array![2, 4]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Outputs::get`]; a result of another dtype or number of axes.
    pub fn take<T: Owned, D: Dimension>(&mut self, name: &str) -> Result<OwnedArray<T, D>, Error> {
        let position = self.position(name)?;
        let array = self.arrays[position].take().ok_or_else(|| taken(name))?;
        Ok(array.try_into_array()?)
    }

    /// The results that were not taken, each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AnyArray)> {
        let named = self.graph.outputs.iter().zip(&self.arrays);
        named.filter_map(|((name, _), array)| Some((name.as_str(), array.as_ref()?)))
    }

    fn position(&self, name: &str) -> Result<usize, CallError> {
        let outputs = &self.graph.outputs;
        let position = outputs.iter().position(|(output, _)| output == name);
        position.ok_or_else(|| unknown(&self.graph, Side::Output, name))
    }
}

fn taken(name: &str) -> CallError {
    CallError::Taken {
        output: name.to_owned(),
    }
}

/// The names of a program's inputs or outputs, in their order.
fn names(graph: &Graph, side: Side) -> impl Iterator<Item = &str> {
    let (inputs, outputs) = match side {
        Side::Input => (&graph.inputs[..], &[][..]),
        Side::Output => (&[][..], &graph.outputs[..]),
    };
    let inputs = inputs.iter().map(|&id| graph.node(id).name.as_str());
    inputs.chain(outputs.iter().map(|(name, _)| name.as_str()))
}

fn unknown(graph: &Graph, side: Side, name: &str) -> CallError {
    CallError::UnknownName {
        kernel: graph.name.clone(),
        side,
        name: name.to_owned(),
        near: suggest(name, names(graph, side)).map(str::to_owned),
        names: names(graph, side).map(str::to_owned).collect(),
    }
}
