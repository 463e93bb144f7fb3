//! Kernels from scalar functions: the front door.
//!
//! In: a closure, a [`Func`] or text. Out: a [`Kernel`] that takes arrays. [`map`] and [`zip`] apply a function to every
//! element, [`reduce`] and the named reductions ([`sum`], [`max`] …) combine elements along axes, [`matmul`] multiplies
//! matrices. [`program`] compiles a whole array program that a closure describes, [`kernel`] one in text.
//!
//! A kernel is specialised at its first call for each set of dtypes, ranks and memory layouts; later calls of the same kind
//! find their machine code. It can be called from several threads at once, cloning it is cheap, and dropping the last clone
//! frees its code.
//!
//! ```
//! use loopweave::prelude::*;
//! use ndarray::{Array1, Array2, array};
//!
//! // A closure is traced once; machine code is made at the first call for each dtype and layout.
//! let silu = jit::map(|x| x / (1.0 + (-x).exp()))?;
//! let y: Array1<f32> = silu.call(&array![0.0f32, 1.0, -1.0])?;
//! assert_eq!(y[0], 0.0);
//!
//! // Arrays broadcast as in NumPy; a bare Rust scalar takes the arrays' type.
//! let axpy = jit::zip3(|a, x, y| a * x + y)?;
//! let mut out = Array1::<f64>::zeros(2);
//! axpy.call_into((2.5, &array![1.0, 2.0], &array![0.5, 0.5]), &mut out)?;
//! assert_eq!(out, array![3.0, 5.5]);
//!
//! // A reduction of a function of the elements, along the last axis.
//! let energy = jit::sum().of(|x| x * x).axis(-1);
//! let e: Array1<f64> = energy.call(&array![[3.0, 4.0], [1.0, 2.0]])?;
//! assert_eq!(e, array![25.0, 5.0]);
//! # Ok::<(), loopweave::Error>(())
//! ```

mod matmul;
mod program;
mod reduce;
mod source;

use std::sync::Arc;

use loopweave_ir::build::{Results, trace};
use loopweave_ir::simplify::Fast;
use loopweave_ir::text::ast::FnItem;
use loopweave_ir::text::{
    Diagnostics, Source as SourceText, ast, free_names, lower_fn, lower_module, parse, parse_expr_body,
};
use loopweave_ir::{Dtype, Expr, Func, Type};
use rayon::ThreadPool;
use smallvec::SmallVec;

pub use self::matmul::{MatMul, matmul};
pub use self::program::{Outputs, Program, program};
pub use self::reduce::{Reduction, all, any, argmax, argmin, max, mean, min, prod, reduce, reduce_func, sum};
use self::source::{Signature, Source};
use crate::error::Error;
pub use crate::graph::Slice;
use crate::graph::bind;
use crate::graph::settle;
pub use crate::graph::trace::{Array, ProgramBuilder};
use crate::pipeline::{self, KernelCache, Options};
use crate::report::Report;
use crate::runtime::args::{Args, ArgsMut};
use crate::runtime::array::Output;
use crate::runtime::cache::{Cache, Found};
pub use crate::runtime::launch::Bound;
pub use crate::runtime::lend::Cells;
use crate::runtime::lend::{Lend, LendMut};
use crate::runtime::parallel::Threads;
use crate::runtime::view::{ArgMut, View, ViewMut};
use crate::shape::Layout;
use crate::target::{Target, TargetError};

/// A kernel that applies a function of one argument to every element of an array.
///
/// ```
/// use loopweave::prelude::*;
/// let relu = jit::map(|x| x.maximum(0))?;
/// let y: ndarray::Array1<i32> = relu.call(&[-1, 0, 7])?;
/// assert_eq!(y.as_slice(), Some(&[0, 0, 7][..]));
/// # Ok::<(), loopweave::Error>(())
/// ```
///
/// # Errors
/// A closure that cannot be traced: one with more operations than a function may have.
pub fn map<R: Results>(f: impl FnOnce(Expr) -> R) -> Result<Kernel, Error> {
    func(trace("map", |[x]| f(x))?)
}

/// A kernel that applies a function of two arguments to the elements of two arrays, which broadcast. [`zip3`] to [`zip8`]
/// take more.
///
/// ```
/// use loopweave::prelude::*;
/// let norm = jit::zip(|x, y| (x * x + y * y).sqrt())?;
/// let d: ndarray::Array1<f64> = norm.call((&[3.0, 6.0], &[4.0, 8.0]))?;
/// assert_eq!(d.as_slice(), Some(&[5.0, 10.0][..]));
/// # Ok::<(), loopweave::Error>(())
/// ```
///
/// # Errors
/// As [`map`].
pub fn zip<R: Results>(f: impl FnOnce(Expr, Expr) -> R) -> Result<Kernel, Error> {
    func(trace("zip", |[x, y]| f(x, y))?)
}

macro_rules! zips {
    ($($name:ident $count:literal: $($arg:ident)*;)*) => {$(
        #[doc = concat!("As [`zip`], with ", $count, " arrays.")]
        ///
        /// # Errors
        /// As [`map`].
        pub fn $name<R: Results>(f: impl FnOnce($(zips!(@expr $arg)),*) -> R) -> Result<Kernel, Error> {
            func(trace("zip", |[$($arg),*]| f($($arg),*))?)
        }
    )*};
    (@expr $arg:ident) => { Expr };
}

zips! {
    zip3 "three": a b c;
    zip4 "four": a b c d;
    zip5 "five": a b c d e;
    zip6 "six": a b c d e f;
    zip7 "seven": a b c d e f g;
    zip8 "eight": a b c d e f g h;
}

/// A kernel that applies a [`Func`], or a function in text, to the elements of as many arrays as it has parameters.
///
/// Text is either an expression, whose free names are the parameters in the order of their first appearance, or `fn` items,
/// of which the last is taken.
///
/// ```
/// use loopweave::prelude::*;
/// let gelu = jit::func("fn gelu(x) { 0.5 * x * (1 + erf(x * 0.7071067811865476)) }")?;
/// let y: ndarray::Array1<f32> = gelu.call(&[0.0f32, 100.0])?;
/// assert_eq!(y.as_slice(), Some(&[0.0, 100.0][..]));
///
/// let mix = jit::func("if t < 0.5 { a } else { b }")?;
/// let y: ndarray::Array1<i64> = mix.call((&[0.1, 0.9], 1, 2))?;
/// assert_eq!(y.as_slice(), Some(&[1, 2][..]));
/// # Ok::<(), loopweave::Error>(())
/// ```
///
/// # Errors
/// Text with errors.
pub fn func(source: impl IntoFunc) -> Result<Kernel, Error> {
    let func = source.into_func()?;
    Ok(Kernel::new(Source::Elementwise(func), Options::native()))
}

/// A kernel from an array program in text: one `kernel` item, and the `fn` items it uses. Of several kernels the last is
/// taken.
///
/// ```
/// use loopweave::prelude::*;
/// let k = jit::kernel("kernel lse(x: f64[n, m]) -> f64[n] { let top = max(x, axis = -1, keepdims = true);
///     ln(sum(exp(x - top), axis = -1)) + max(x, axis = -1) }")?;
/// let y: ndarray::Array1<f64> = k.call(&ndarray::array![[0.0, 0.0]])?;
/// assert!((y[0] - 2f64.ln()).abs() < 1e-15);
/// # Ok::<(), loopweave::Error>(())
/// ```
///
/// # Errors
/// Text with errors, each with its line and column; text without a kernel.
pub fn kernel(text: &str) -> Result<Kernel, Error> {
    let module = parse(text, "<text>")?;
    let functions = lower_module(&module)?;
    let last = module.items.iter().rev().find_map(|item| match item {
        ast::Item::Kernel(kernel) => Some(kernel),
        ast::Item::Fn(_) => None,
    });
    let source = SourceText::new("<text>", text);
    let Some(kernel) = last else {
        let mut diagnostics = Diagnostics::new(&source);
        diagnostics.push(loopweave_ir::text::Diagnostic::new(
            ast::Span::default(),
            "expected a `kernel` in this text",
        ));
        return Err(diagnostics.into());
    };
    let graph = crate::graph::text::lower_kernel(kernel, &functions, &source)?;
    Ok(Kernel::new(Source::program(graph, Some(source)), Options::native()))
}

/// What a function can be given as: a [`Func`], or text.
pub trait IntoFunc {
    /// The function.
    ///
    /// # Errors
    /// Text with errors.
    fn into_func(self) -> Result<Func, Error>;
}

impl IntoFunc for Func {
    fn into_func(self) -> Result<Func, Error> {
        Ok(self)
    }
}

impl IntoFunc for &Func {
    fn into_func(self) -> Result<Func, Error> {
        Ok(self.clone())
    }
}

impl IntoFunc for &str {
    fn into_func(self) -> Result<Func, Error> {
        func_from_text(self)
    }
}

impl IntoFunc for &String {
    fn into_func(self) -> Result<Func, Error> {
        func_from_text(self)
    }
}

/// A function from text: the last `fn` item, or an expression over its free names.
fn func_from_text(text: &str) -> Result<Func, Error> {
    const FILE: &str = "<text>";
    // An item begins with its keyword, which no expression can.
    let is_item = |keyword: &str| {
        let rest = text.trim_start().strip_prefix(keyword);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace()))
    };
    if is_item("fn") || text.trim_start().starts_with('/') {
        let module = parse(text, FILE)?;
        let functions = lower_module(&module)?;
        let last = module.items.iter().rev().find_map(|item| match item {
            ast::Item::Fn(item) => functions.get(&item.name.name),
            ast::Item::Kernel(_) => None,
        });
        if let Some(func) = last {
            return Ok(func.clone());
        }
    }
    let body = parse_expr_body(text, FILE)?;
    let params = free_names(&body).into_iter().map(|name| (name, None)).collect();
    let item = FnItem {
        name: ast::Ident {
            name: String::from("expr"),
            span: ast::Span::default(),
        },
        params,
        results: None,
        body,
    };
    Ok(lower_fn(&item, &Default::default(), &SourceText::new(FILE, text))?)
}

/// A compiled function over arrays.
///
/// Arguments are `ndarray` arrays and views by reference, slices, and bare Rust scalars; several go in a tuple. Results come
/// as `ndarray` arrays of any dimension type, as [`crate::AnyArray`], or as a Rust scalar where the result is 0-d.
#[derive(Clone, Debug)]
pub struct Kernel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    /// An error where code cannot be made for this machine; calls report it.
    options: Result<Options, TargetError>,
    kernels: Arc<KernelCache>,
    /// The programs for the types and ranks of calls so far.
    programs: Cache<Specialised>,
}

/// A program for arguments of these types and ranks.
#[derive(Debug)]
struct Specialised {
    signature: Signature,
    program: pipeline::Program,
}

/// How many programs of one function are remembered beside those that are kept; more are compiled again when they come back.
const REMEMBERED: usize = 64;

impl Kernel {
    fn new(source: Source, options: Result<Options, TargetError>) -> Kernel {
        Kernel {
            inner: Arc::new(Inner {
                source,
                options,
                kernels: Arc::default(),
                programs: Cache::new(REMEMBERED),
            }),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Kernel {
        let mut options = self.inner.options.clone();
        if let Ok(options) = &mut options {
            change(options);
        }
        Kernel::new(self.inner.source.clone(), options)
    }

    /// The kernel with `count` threads of its own, the caller's included; 1 keeps every call on the caller's thread.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn threads(&self, count: usize) -> Result<Kernel, Error> {
        let threads = Threads::count(count)?;
        Ok(self.with(|options| options.threads = threads))
    }

    /// The kernel on the threads of a pool.
    pub fn pool(&self, pool: Arc<ThreadPool>) -> Kernel {
        self.with(|options| options.threads = Threads::Pool(pool.into()))
    }

    /// The kernel with these fast-math rewrites allowed.
    pub fn fast(&self, fast: Fast) -> Kernel {
        self.with(|options| options.fast = fast)
    }

    /// The kernel with code for another target, which must run on this machine to be called.
    pub fn target(&self, target: Target) -> Kernel {
        self.with(|options| options.target = target)
    }

    /// The results for these arguments, as new arrays.
    ///
    /// # Errors
    /// Types the function does not take, shapes that do not broadcast, and a result asked for in another form than it has.
    pub fn call<O: Output>(&self, args: impl Args) -> Result<O, Error> {
        self.run_as(args.views().as_mut())
    }

    /// Computes the results into existing arrays of the results' dtypes and shapes, of any strides: one, or a tuple of them.
    /// Warm, it allocates nothing, or where loops run on several threads a few hundred bytes for each of them.
    ///
    /// # Errors
    /// As [`Kernel::call`]; outputs of another dtype or shape, or that overlap an argument.
    pub fn call_into(&self, args: impl Args, mut out: impl ArgsMut) -> Result<(), Error> {
        self.run_into(args.views().as_mut(), out.views_mut().as_mut())
    }

    /// Overwrites the first argument with the result; `rest` are the other arguments, `()` for none.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let scale = jit::zip(|x, a| x * a)?;
    /// let mut x = ndarray::array![1.0f32, 2.0];
    /// scale.call_in_place(&mut x, 3.0)?;
    /// assert_eq!(x, ndarray::array![3.0, 6.0]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Kernel::call_into`]; a function that does not read its first argument element by element.
    pub fn call_in_place(&self, first: &mut impl ArgMut, rest: impl Args) -> Result<(), Error> {
        let out = first.view_mut();
        let mut views: SmallVec<[View<'_>; 8]> = SmallVec::new();
        views.push(out.alias());
        views.extend_from_slice(rest.views().as_mut());
        self.run_into(&mut views, &mut [out])
    }

    /// Binds the kernel to arguments and outputs, for a call that is repeated: everything is checked once, here, and
    /// [`Bound::run`] costs little more than its machine code, allocates as little as [`Kernel::call_into`] and cannot fail.
    ///
    /// The arguments stay borrowed as long as the bound call is used. [`Bound::output`] shows results between runs;
    /// [`Cells`] are for arrays that change between them.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// use ndarray::{Array1, Ix1, array};
    /// let axpy = jit::zip3(|a, x, y| a * x + y)?;
    /// let (mut x, y) = (array![1.0, 2.0], array![0.5, 0.5]);
    /// let (x, mut out) = (x.cell_view(), Array1::<f64>::zeros(2));
    /// let mut step = axpy.bind((2.0, jit::Cells::from(&x), &y), &mut out)?;
    /// step.run();
    /// assert_eq!(step.output::<f64, Ix1>(0)?, array![2.5, 4.5]);
    /// x[0].set(10.0);
    /// step.run();
    /// assert_eq!(out, array![20.5, 4.5]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// What is bound cannot be changed behind its back:
    ///
    /// ```compile_fail,E0506
    /// # use loopweave::prelude::*;
    /// let double = jit::map(|x| 2 * x).unwrap();
    /// let (mut x, mut out) = ([1.0f32; 4], [0.0f32; 4]);
    /// let mut step = double.bind(&x, &mut out).unwrap();
    /// x[0] = 3.0;
    /// step.run();
    /// ```
    ///
    /// # Errors
    /// As [`Kernel::call_into`].
    pub fn bind<'a>(&self, args: impl Lend<'a>, out: impl LendMut<'a>) -> Result<Bound<'a>, Error> {
        self.bind_views(args.lend(), out.lend_mut())
    }

    /// Compiles for contiguous arguments of these dtypes, all of one rank, ahead of the first call.
    ///
    /// # Errors
    /// As [`Kernel::call`].
    pub fn compile_for(&self, dtypes: &[Dtype], rank: usize) -> Result<(), Error> {
        let shape = vec![2; rank];
        let signature = self
            .inner
            .source
            .signature(dtypes.iter().map(|&d| (Type::Strong(d), &shape[..])));
        let specialised = self.specialise(signature)?;
        // Any extents above 1 lead to the same kernels, as contiguous axes merge; but many results of few elements each have
        // some of their own, and these are few.
        let layout = Layout::contiguous(&shape)?;
        specialised.program.warm(&vec![layout; dtypes.len()])
    }

    /// What the last call did: loops, parallel and vector, what was merged and what not, with reasons. Before any call it
    /// holds the name alone.
    pub fn report(&self) -> Report {
        match self.inner.programs.last() {
            Some(last) => match &self.inner.source {
                Source::Program { text: Some(text), .. } => last.program.report().locate(text),
                _ => last.program.report(),
            },
            None => Report::uncalled(self.inner.source.name()),
        }
    }

    /// The number of machine-code kernels compiled so far.
    pub fn compiled(&self) -> usize {
        self.inner.kernels.len()
    }

    fn run_as<O: Output>(&self, views: &mut [View<'_>]) -> Result<O, Error> {
        let specialised = self.specialised(views)?;
        self.convert_scalars(&specialised.program, views);
        specialised
            .program
            .run_as(views)
            .map_err(|error| self.unsettled(error, views))
    }

    fn run_into(&self, views: &mut [View<'_>], out: &mut [ViewMut<'_>]) -> Result<(), Error> {
        let specialised = self.specialised(views)?;
        self.convert_scalars(&specialised.program, views);
        let done = specialised.program.run_into(views, out);
        done.map_err(|error| self.unsettled(error, views))
    }

    fn bind_views<'a>(&self, mut views: Vec<View<'a>>, out: Vec<ViewMut<'a>>) -> Result<Bound<'a>, Error> {
        let specialised = self.specialised(&views)?;
        self.convert_scalars(&specialised.program, &mut views);
        let bound = specialised.program.bind_call(views.clone(), out);
        bound.map_err(|error| self.unsettled(error, &views))
    }

    /// What the program as it was written says of shapes that its settled form refuses: it speaks of no names made up here.
    #[cold]
    fn unsettled(&self, error: Error, views: &[View<'_>]) -> Error {
        let Error::Bind(_) = error else { return error };
        let source = &self.inner.source;
        let shapes: Vec<&[usize]> = views.iter().map(View::shape).collect();
        let signature = source.signature(views.iter().map(|view| (view.ty(), view.shape())));
        match source.written(&signature).map(|graph| bind::bind(&graph, &shapes)) {
            Ok(Err(written)) => written.into(),
            _ => error,
        }
    }

    fn specialised(&self, views: &[View<'_>]) -> Result<Found<'_, Specialised>, Error> {
        let has_kinds = |kinds: &[(Type, usize)]| {
            let found = views.iter().map(|view| (view.ty(), view.shape().len()));
            kinds.len() == views.len() && kinds.iter().copied().eq(found)
        };
        let has_ones = |ones: &[u32]| {
            let found = views.iter().map(|view| settle::ones(view.shape()));
            ones.iter().copied().eq(found)
        };
        let fits = |s: &Specialised| match &s.signature {
            Signature::Typed(kinds) => has_kinds(kinds),
            Signature::Shaped(kinds, ones) => has_kinds(kinds) && has_ones(ones),
            // A program without open extents checks all itself.
            Signature::Ones(ones) => ones.is_empty() || has_ones(ones),
        };
        match self.inner.programs.find(fits) {
            Some(specialised) => Ok(specialised),
            None => {
                let views = views.iter().map(|view| (view.ty(), view.shape()));
                self.specialise(self.inner.source.signature(views))
            }
        }
    }

    /// Plans and lowers for arguments of these types and ranks, unless that is done.
    #[cold]
    fn specialise(&self, signature: Signature) -> Result<Found<'_, Specialised>, Error> {
        let inner = &*self.inner;
        if let Some(specialised) = inner.programs.find(|s| s.signature == signature) {
            return Ok(specialised);
        }
        let options = inner.options.as_ref().map_err(TargetError::clone)?;
        let graph = inner.source.graph(&signature)?;
        let program = pipeline::Program::compile_shared(graph, options, Arc::clone(&inner.kernels))?;
        Ok(inner.programs.insert(Specialised { signature, program }))
    }

    /// Takes bare scalars to the types that a program in text declares.
    fn convert_scalars(&self, program: &pipeline::Program, views: &mut [View<'_>]) {
        if matches!(self.inner.source, Source::Program { .. }) {
            for (view, &input) in views.iter_mut().zip(&program.graph().inputs) {
                view.convert_weak(program.graph().node(input).dtype);
            }
        }
    }
}
