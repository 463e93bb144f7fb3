//! Reductions as kernels: what is combined, of which function of the elements, along which axes.
//!
//! In: a combiner, or a name, and then the methods of [`Reduction`]. Out: a [`Reduction`], which is called as the [`Kernel`]
//! that it derefs to. Invariant: a reduction does not change; every method gives a new one, with kernels of its own.

use std::ops::Deref;

use loopweave_ir::build::{TraceError, trace};
use loopweave_ir::{Dtype, Expr, Func, Literal, Type};

use super::source::{Source, check_count, inputs};
use super::{IntoFunc, Kernel};
use crate::error::Error;
use crate::graph::build::{GraphBuilder, ReduceWith};
use crate::graph::{Graph, Named};
use crate::pipeline::Options;

/// A reduction by a user's combiner, which must be associative: the order of combination is fixed by the shape and documented
/// in [`crate::nest`], and is not left to right. `init` is combined once, first, and is the result for no elements.
///
/// It reduces over all axes until [`Reduction::axis`] or [`Reduction::axes`] says otherwise.
///
/// ```
/// use loopweave::prelude::*;
/// let longest = jit::reduce(|a, b| a.maximum(b), 0)?.of(|x| x.abs());
/// let m: i32 = longest.call(&[3, -8, 5])?;
/// assert_eq!(m, 8);
/// # Ok::<(), loopweave::Error>(())
/// ```
///
/// # Errors
/// As [`map`](super::map).
pub fn reduce(combine: impl FnOnce(Expr, Expr) -> Expr, init: impl Into<Literal>) -> Result<Reduction, Error> {
    let combine = trace("reduce", |[a, b]| combine(a, b))?;
    Ok(Reduction::new(Combine::Custom(combine, init.into())))
}

/// As [`reduce`], with the combiner as a [`Func`] or text of two parameters.
///
/// # Errors
/// As [`func`](super::func).
pub fn reduce_func(combine: impl IntoFunc, init: impl Into<Literal>) -> Result<Reduction, Error> {
    let combine = combine.into_func()?;
    Ok(Reduction::new(Combine::Custom(combine, init.into())))
}

macro_rules! named {
    ($($name:ident $named:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        pub fn $name() -> Reduction {
            Reduction::new(Combine::Named(Named::$named, None))
        }
    )*};
}

named! {
    sum Sum "The sum; integers and `bool` widen to `i64` or `u64`; 0 for no elements.";
    prod Prod "The product; integers and `bool` widen to `i64` or `u64`; 1 for no elements.";
    min Min "The least element, NaN if any is; refused for no elements.";
    max Max "The greatest element, NaN if any is; refused for no elements.";
    mean Mean "The mean, of integers in `f64`; NaN for no elements.";
    any Any "Whether any element is not zero.";
    all All "Whether all elements are not zero.";
    argmin ArgMin "The position of the first least element, or of the first NaN, in C order of the reduced axes, as `i64`.";
    argmax ArgMax "The position of the first greatest element, or of the first NaN, in C order of the reduced axes, as `i64`.";
}

/// A reduction: a [`Kernel`] whose axes can still be chosen.
///
/// Every method gives a new reduction; calls go through [`Kernel::call`] and its kin.
///
/// ```
/// use loopweave::prelude::*;
/// let x = ndarray::array![[1.0, 2.0], [3.0, 4.0]];
/// let mean = jit::mean().axis(0).keepdims(true);
/// let m: ndarray::Array2<f64> = mean.call(&x)?;
/// assert_eq!(m, ndarray::array![[2.0, 3.0]]);
/// let dot: f64 = jit::sum().of_zip(|x, y| x * y).call((&x, &x))?;
/// assert_eq!(dot, 30.0);
/// # Ok::<(), loopweave::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reduction {
    spec: ReduceSpec,
    kernel: Kernel,
}

impl Deref for Reduction {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl Reduction {
    fn new(combine: Combine) -> Reduction {
        Reduction::from_spec(ReduceSpec {
            combine,
            of: None,
            failed: None,
            axes: None,
            keepdims: false,
        })
    }

    fn from_spec(spec: ReduceSpec) -> Reduction {
        Reduction {
            kernel: Kernel::new(Source::Reduce(spec.clone()), Options::native()),
            spec,
        }
    }

    fn with(&self, change: impl FnOnce(&mut ReduceSpec)) -> Reduction {
        let mut spec = self.spec.clone();
        change(&mut spec);
        Reduction {
            kernel: Kernel::new(Source::Reduce(spec.clone()), self.kernel.inner.options.clone()),
            spec,
        }
    }

    /// Reduces a function of the elements.
    pub fn of(&self, f: impl FnOnce(Expr) -> Expr) -> Reduction {
        self.of_traced(trace("of", |[x]| f(x)))
    }

    /// Reduces a function of the elements of two arrays, which broadcast.
    pub fn of_zip(&self, f: impl FnOnce(Expr, Expr) -> Expr) -> Reduction {
        self.of_traced(trace("of", |[x, y]| f(x, y)))
    }

    /// Reduces a function, given as a [`Func`] or text, of the elements of as many arrays as it has parameters.
    ///
    /// # Errors
    /// Text with errors.
    pub fn of_func(&self, source: impl IntoFunc) -> Result<Reduction, Error> {
        let func = source.into_func()?;
        Ok(self.with(|spec| spec.of = Some(func)))
    }

    fn of_traced(&self, traced: Result<Func, TraceError>) -> Reduction {
        self.with(|spec| match traced {
            Ok(func) => spec.of = Some(func),
            Err(error) => spec.failed = Some(error),
        })
    }

    /// Reduces along one axis, counted from the end if negative.
    pub fn axis(&self, axis: isize) -> Reduction {
        self.axes([axis])
    }

    /// Reduces along these axes.
    pub fn axes(&self, axes: impl IntoIterator<Item = isize>) -> Reduction {
        let axes = axes.into_iter().collect();
        self.with(|spec| spec.axes = Some(axes))
    }

    /// Reduces along all axes, as a new reduction does.
    pub fn full(&self) -> Reduction {
        self.with(|spec| spec.axes = None)
    }

    /// Whether the reduced axes stay in the result, with extent 1.
    pub fn keepdims(&self, keepdims: bool) -> Reduction {
        self.with(|spec| spec.keepdims = keepdims)
    }

    /// Computes in this dtype and gives it, as NumPy's `dtype=`; for sums, products and means.
    pub fn dtype(&self, dtype: Dtype) -> Reduction {
        self.with(|spec| {
            if let Combine::Named(_, wanted) = &mut spec.combine {
                *wanted = Some(dtype);
            }
        })
    }
}

/// What a reduction computes.
#[derive(Clone, Debug)]
pub(super) struct ReduceSpec {
    combine: Combine,
    /// Applied to the elements first.
    of: Option<Func>,
    /// Why that function could not be made; reported at the first call, so that methods chain.
    failed: Option<TraceError>,
    /// `None` for all axes.
    axes: Option<Vec<isize>>,
    keepdims: bool,
}

#[derive(Clone, Debug)]
enum Combine {
    Custom(Func, Literal),
    Named(Named, Option<Dtype>),
}

impl ReduceSpec {
    pub(super) fn name(&self) -> &str {
        match &self.combine {
            Combine::Custom(func, _) => func.name(),
            Combine::Named(named, _) => named.name(),
        }
    }

    /// The array program for arguments of these types and ranks.
    pub(super) fn graph(&self, signature: &[(Type, usize)]) -> Result<Graph, Error> {
        let name = self.name();
        let arity = self.of.as_ref().map_or(1, |f| f.params().len());
        check_count(name, arity, signature.len())?;
        if let Some(error) = &self.failed {
            return Err(error.clone().into());
        }
        let mut builder = GraphBuilder::new(name);
        let element = match &self.of {
            Some(func) => {
                let inputs = inputs(&mut builder, func, signature);
                builder.map(func, &inputs)?
            }
            None => builder.input("x", signature[0].0, signature[0].1),
        };
        let with = match &self.combine {
            Combine::Custom(combine, init) => ReduceWith::Custom { combine, init: *init },
            Combine::Named(named, dtype) => ReduceWith::Named {
                named: *named,
                dtype: *dtype,
            },
        };
        let result = builder.reduce(with, element, self.axes.as_deref(), self.keepdims)?;
        builder.output(name, result);
        Ok(builder.finish()?)
    }
}
