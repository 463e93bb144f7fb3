//! Matrix products as kernels, with a function of each element that is computed where it is stored.
//!
//! In: nothing, and then an epilogue. Out: a [`MatMul`], which is called as the [`Kernel`] that it derefs to. Invariant: a
//! product does not change; every method gives a new one, with kernels of its own.

use std::ops::Deref;

use loopweave_ir::build::{Results, TraceError, trace};
use loopweave_ir::{Expr, Func, Type};

use super::source::{Source, check_count, outputs};
use super::{IntoFunc, Kernel};
use crate::error::Error;
use crate::graph::Graph;
use crate::graph::build::GraphBuilder;
use crate::pipeline::Options;

/// The matrix product of two arrays, by the rules of NumPy's `@`: the last axis of the first and the last but one of the second
/// (its only one, if it has one) are contracted, and the axes before them broadcast. Operands of any strides are read where they
/// are; dtypes promote, and integers wrap.
///
/// ```
/// use loopweave::prelude::*;
/// let (a, b) = (ndarray::array![[1.0, 2.0], [3.0, 4.0]], ndarray::array![[0.0, 1.0], [1.0, 0.0]]);
/// let product: ndarray::Array2<f64> = jit::matmul().call((&a, &b.t()))?;
/// assert_eq!(product, ndarray::array![[2.0, 1.0], [4.0, 3.0]]);
/// # Ok::<(), loopweave::Error>(())
/// ```
pub fn matmul() -> MatMul {
    MatMul::from_spec(MatMulSpec::default(), Options::native())
}

/// A matrix product: a [`Kernel`] of two arrays that can still be given an epilogue.
///
/// An epilogue's further arrays are the arguments after the two factors; they broadcast against the product. It may have
/// several results, so that what an activation takes can be kept beside what it gives.
///
/// ```
/// use loopweave::prelude::*;
/// let dense = jit::matmul().epilogue(|acc, bias| (acc + bias, (acc + bias).relu()));
/// let (x, w) = (ndarray::array![[1.0f32, 2.0]], ndarray::array![[1.0f32, -1.0], [1.0, -1.0]]);
/// let (h, y): (ndarray::Array2<f32>, ndarray::Array2<f32>) = dense.call((&x, &w, &[0.5f32, 0.5]))?;
/// assert_eq!((h, y), (ndarray::array![[3.5, -2.5]], ndarray::array![[3.5, 0.0]]));
/// # Ok::<(), loopweave::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MatMul {
    kernel: Kernel,
}

impl Deref for MatMul {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl MatMul {
    /// Applies a function of each element of the product and of one further array.
    pub fn epilogue<R: Results>(&self, f: impl FnOnce(Expr, Expr) -> R) -> MatMul {
        self.traced(trace("epilogue", |[acc, x]| f(acc, x)))
    }

    /// Applies a function of each element of the product and of any number of further arrays, or none.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let gemm = jit::matmul().epilogue_of(|[acc, alpha, beta, c]| alpha * acc + beta * c);
    /// let (a, c) = (ndarray::array![[1.0, 2.0]], ndarray::array![[10.0]]);
    /// let d: ndarray::Array2<f64> = gemm.call((&a, &a.t(), 2.0, 0.5, &c))?;
    /// assert_eq!(d, ndarray::array![[15.0]]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    pub fn epilogue_of<const N: usize, R: Results>(&self, f: impl FnOnce([Expr; N]) -> R) -> MatMul {
        self.traced(trace("epilogue", f))
    }

    /// As [`MatMul::epilogue_of`], with the function as a [`Func`] or text. Its first parameter is the product's element.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let scaled = jit::matmul().epilogue_func("fn scaled(acc, s) { acc * s }")?;
    /// let y: f32 = scaled.call((&[1.0f32, 2.0], &[3.0f32, 4.0], 2.0))?;
    /// assert_eq!(y, 22.0);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    ///
    /// # Errors
    /// Text with errors.
    pub fn epilogue_func(&self, source: impl IntoFunc) -> Result<MatMul, Error> {
        Ok(self.traced(Ok(source.into_func()?)))
    }

    fn traced(&self, traced: Result<Func, TraceError>) -> MatMul {
        let epilogue = Some(traced);
        MatMul::from_spec(MatMulSpec { epilogue }, self.kernel.inner.options.clone())
    }

    fn from_spec(spec: MatMulSpec, options: Result<Options, crate::target::TargetError>) -> MatMul {
        MatMul {
            kernel: Kernel::new(Source::MatMul(spec), options),
        }
    }
}

/// What a product computes.
#[derive(Clone, Debug, Default)]
pub(super) struct MatMulSpec {
    /// Applied to the elements; why it could not be made is reported at the first call, so that methods chain.
    epilogue: Option<Result<Func, TraceError>>,
}

impl MatMulSpec {
    pub(super) fn name(&self) -> &str {
        match &self.epilogue {
            Some(Ok(func)) if func.name() != "epilogue" => func.name(),
            _ => "matmul",
        }
    }

    pub(super) fn has_epilogue(&self) -> bool {
        self.epilogue.is_some()
    }

    /// The array program for arguments of these types and ranks.
    pub(super) fn graph(&self, signature: &[(Type, usize)]) -> Result<Graph, Error> {
        let name = self.name();
        let epilogue = self.epilogue.as_ref().map(Result::as_ref).transpose();
        let epilogue = epilogue.map_err(|error| Error::Trace(error.clone()))?;
        // An epilogue without parameters is refused below, as it does not take the product.
        let further = epilogue.map_or(0, |func| func.params().len().saturating_sub(1));
        check_count(name, 2 + further, signature.len())?;
        let mut builder = GraphBuilder::new(name);
        let [left, right] = [("a", 0), ("b", 1)].map(|(factor, i)| {
            let (ty, rank) = signature[i];
            builder.input(free_name(factor, epilogue), ty, rank)
        });
        let product = builder.matmul(left, right)?;
        let results = match epilogue {
            None => vec![product],
            Some(func) => {
                let mut args = vec![product];
                for (param, &(ty, rank)) in func.params().iter().skip(1).zip(&signature[2..]) {
                    args.push(builder.input(&param.name, ty, rank));
                }
                builder.map_multi(func, &args)?
            }
        };
        outputs(&mut builder, name, &results);
        Ok(builder.finish()?)
    }
}

/// A factor's name that no parameter of the epilogue has.
fn free_name(factor: &str, epilogue: Option<&Func>) -> String {
    let taken = |name: &str| epilogue.is_some_and(|func| func.params().iter().any(|p| p.name == name));
    let mut name = factor.to_owned();
    while taken(&name) {
        name.push_str(factor);
    }
    name
}
