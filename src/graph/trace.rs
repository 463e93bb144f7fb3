//! Tracing of array programs: a Rust closure over [`Array`] handles becomes a [`Graph`].
//!
//! In: a closure that is given a [`ProgramBuilder`]. Out: the graph, or [`ProgramErrors`]: everything that was wrong, each with
//! its line of the user's source.
//!
//! [`Array`] is a `Copy` handle with overloaded operators, so a program reads as the formula it computes. No method returns a
//! `Result`: what is wrong is recorded, the handle that comes of it stands for nothing, and whatever is made from that is
//! nothing too, so that one mistake is reported once.
//!
//! Invariants: a handle belongs to the builder that made it, and one of another builder is an error; nothing here panics; no
//! builder is borrowed while the user's code runs.

mod array;
mod forms;

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;

use loopweave_ir::build::TraceError;
use loopweave_ir::{Dtype, Expr, Func, Scalar, trace as trace_scalar};

pub use self::array::Array;
pub use self::forms::{ArrayOperand, Axes, Extent, MapResults, Operand, Subscript, Subscripts};
use super::build::GraphBuilder;
use super::{ArrayOp, Dim, Graph, GraphError, NodeId};

/// Traces a closure into the graph of this name, which [`ProgramBuilder::name`] can change.
///
/// ```
/// use loopweave::Dtype;
/// use loopweave::graph::trace::trace;
/// let graph = trace("mean_square", |g| {
///     let x = g.input("x", Dtype::F32, 2);
///     g.output("y", (x * x).mean(-1));
/// })?;
/// assert_eq!(graph.outputs[0].0, "y");
/// # Ok::<(), loopweave::graph::trace::ProgramErrors>(())
/// ```
///
/// # Errors
/// Everything that was wrong in the closure.
#[track_caller]
pub fn trace(name: &str, program: impl FnOnce(&ProgramBuilder)) -> Result<Graph, ProgramErrors> {
    let location = Location::caller();
    let builder = ProgramBuilder {
        state: RefCell::new(State {
            graph: GraphBuilder::new(name),
            errors: Vec::new(),
        }),
    };
    program(&builder);
    let State { graph, mut errors } = builder.state.into_inner();
    let name = graph.graph().name.clone();
    if errors.is_empty() {
        match graph.finish() {
            Ok(graph) => return Ok(graph),
            Err(error) => errors.push(ProgramError {
                fault: error.into(),
                location,
            }),
        }
    }
    Err(ProgramErrors { program: name, errors })
}

/// What is wrong with an array program, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramErrors {
    /// The program's name.
    pub program: String,
    /// Each mistake; there is at least one.
    pub errors: Vec<ProgramError>,
}

/// One mistake in an array program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {fault}")]
pub struct ProgramError {
    /// What is wrong.
    pub fault: Fault,
    /// The line of the user's source that made it.
    pub location: &'static Location<'static>,
}

/// What can be wrong with an array program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Arrays that do not fit the operation.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A scalar closure that cannot be traced.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// An array of another program.
    #[error("an array of another program was used in `{program}`")]
    Foreign {
        /// The program that it was used in.
        program: String,
    },
    /// An extent below zero that is not −1.
    #[error("{extent} is no extent; −1 stands for what remains")]
    Extent {
        /// The extent as given.
        extent: i64,
    },
}

impl std::error::Error for ProgramErrors {}

impl fmt::Display for ProgramErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program `{}` cannot be built:", self.program)?;
        match &self.errors[..] {
            [only] => write!(f, " {only}"),
            errors => errors.iter().try_for_each(|error| write!(f, "\n  {error}")),
        }
    }
}

/// What an array program is written with: its inputs, its constants and its outputs.
///
/// [`crate::jit::program`] hands one to its closure.
#[derive(Debug)]
pub struct ProgramBuilder {
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    graph: GraphBuilder,
    errors: Vec<ProgramError>,
}

impl ProgramBuilder {
    /// Names the program, for reports and errors.
    pub fn name(&self, name: impl Into<String>) {
        let name = name.into();
        self.state.borrow_mut().graph.set_name(name);
    }

    /// An argument of the call: an array of this dtype and number of axes, of any extents.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let square = jit::program(|g| {
    ///     let x = g.input("x", F64, 1);
    ///     g.output("y", x * x);
    /// })?;
    /// let y: ndarray::Array1<f64> = square.call(&[1.0, 3.0])?;
    /// assert_eq!(y, ndarray::array![1.0, 9.0]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    pub fn input(&self, name: impl Into<String>, dtype: Dtype, rank: usize) -> Array<'_> {
        let name = name.into();
        let node = self.state.borrow_mut().graph.input(name, dtype, rank);
        Array::new(self, Some(node))
    }

    /// As [`ProgramBuilder::input`], with an extent for each axis: a number, or a name. Axes of one name have one extent, which
    /// every call checks, and which views can ask for.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let dot = jit::program(|g| {
    ///     let (x, y) = (g.input_with_dims("x", F64, ["n"]), g.input_with_dims("y", F64, ["n"]));
    ///     g.output("dot", (x * y).sum(..));
    /// })?;
    /// let result: Result<f64, _> = dot.call((&[1.0, 2.0], &[1.0]));
    /// let error = result.unwrap_err().to_string();
    /// assert_eq!(error, "the extent `n` is 2 in `x` (axis 0) but 1 in `y` (axis 0)");
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    pub fn input_with_dims(
        &self,
        name: impl Into<String>,
        dtype: Dtype,
        dims: impl IntoIterator<Item = impl Into<Dim>>,
    ) -> Array<'_> {
        let dims = dims.into_iter().map(|dim| Some(dim.into())).collect();
        let name = name.into();
        let node = self.state.borrow_mut().graph.input_with_dims(name, dtype, dims);
        Array::new(self, Some(node))
    }

    /// A 0-d array of one value, whose dtype counts in promotion. A bare Rust number beside an array needs no constant, and
    /// yields to the array's dtype.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let widen = jit::program(|g| g.output("y", g.input("x", F32, 0) + g.constant(1.0f64)))?;
    /// assert_eq!(widen.call::<f64>(Scalar::from(0.5f32))?, 1.5);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    pub fn constant(&self, value: impl Into<Scalar>) -> Array<'_> {
        let value = value.into();
        let node = self.state.borrow_mut().graph.constant(value);
        Array::new(self, Some(node))
    }

    /// A closure applied to the elements of any number of arrays, which broadcast. It is traced once. With several results,
    /// as a tuple, it gives as many arrays.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let polar = jit::program(|g| {
    ///     let (r, t) = (g.input("r", F64, 1), g.input("t", F64, 1));
    ///     let (x, y) = g.map([r, t], |[r, t]| (r * t.cos(), r * t.sin()));
    ///     g.output("x", x);
    ///     g.output("y", y);
    /// })?;
    /// let (x, y): (ndarray::Array1<f64>, ndarray::Array1<f64>) = polar.call((&[2.0], &[0.0]))?;
    /// assert_eq!((x[0], y[0]), (2.0, 0.0));
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn map<'g, const N: usize, R: MapResults, F: FnOnce([Expr; N]) -> R>(
        &'g self,
        arrays: [Array<'g>; N],
        f: F,
    ) -> R::Arrays<'g> {
        let func = trace_scalar(&name_of::<F>(), f);
        let nodes = self.traced(&arrays, func);
        R::arrays(|i| Array::new(self, nodes.get(i).copied()))
    }

    /// A [`Func`] of one result applied to the elements of arrays.
    #[track_caller]
    pub fn apply<'g>(&'g self, func: &Func, arrays: &[Array<'g>]) -> Array<'g> {
        let node = self.make(arrays, |graph, args| graph.map(func, args).map_err(Fault::from));
        Array::new(self, node)
    }

    /// Makes an array a result of the program. Results come in the order of these calls.
    #[track_caller]
    pub fn output<'g>(&'g self, name: impl Into<String>, array: Array<'g>) {
        let name = name.into();
        self.make(&[array], |graph, args| {
            graph.output(name, args[0]);
            Ok(())
        });
    }

    /// The nodes of a traced function of arrays, one for each result; none where there are errors.
    #[track_caller]
    fn traced(&self, arrays: &[Array<'_>], func: Result<Func, TraceError>) -> Vec<NodeId> {
        let made = self.make(arrays, |graph, args| Ok(graph.map_multi(&func?, args)?));
        made.unwrap_or_default()
    }

    /// What `make` makes of the arrays' nodes; `None`, and a record of why, where it cannot, and where an array is nothing.
    #[track_caller]
    fn make<T>(
        &self,
        arrays: &[Array<'_>],
        make: impl FnOnce(&mut GraphBuilder, &[NodeId]) -> Result<T, Fault>,
    ) -> Option<T> {
        let location = Location::caller();
        let state = &mut *self.state.borrow_mut();
        let made = if arrays.iter().any(|array| !std::ptr::eq(self, array.builder())) {
            Err(Fault::Foreign {
                program: state.graph.graph().name.clone(),
            })
        } else {
            let args: Option<Vec<NodeId>> = arrays.iter().map(|array| array.node()).collect();
            make(&mut state.graph, &args?)
        };
        made.map_err(|fault| state.errors.push(ProgramError { fault, location }))
            .ok()
    }

    /// The name that a function's parameter for this node has.
    fn param_name(&self, node: NodeId) -> String {
        let state = self.state.borrow();
        let source = state.graph.graph().node(node);
        match source.op {
            ArrayOp::Input { .. } => source.name.clone(),
            _ => node.to_string(),
        }
    }
}

/// The name of a function that is passed as one; `map` for a closure, which has none.
fn name_of<F>() -> String {
    let path = std::any::type_name::<F>();
    let path = path.split_once('<').map_or(path, |(path, _)| path);
    let last = path.rsplit("::").next().unwrap_or(path);
    if last.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        last.to_owned()
    } else {
        String::from("map")
    }
}
