//! loopweave: an op compiler. Describe a scalar function; get the native, parallel, vectorised array kernel for it.

pub mod shape;
pub mod target;

pub mod graph;

pub mod fuse;

pub mod nest;

pub mod codegen;

pub mod runtime;

pub mod error;
pub mod report;

pub mod pipeline;

pub mod jit;

#[cfg(feature = "cli")]
pub mod cli;

pub use error::Error;
pub use loopweave_ir as ir;
pub use loopweave_ir::{Dtype, Expr, Func, Scalar};
pub use runtime::array::{AnyArray, Output, OutputError};

/// What most programs need: `use loopweave::prelude::*`.
pub mod prelude {
    pub use crate::Dtype::*;
    pub use crate::ir::simplify::Fast;
    pub use crate::report::Report;
    pub use crate::target::Target;
    pub use crate::{AnyArray, Dtype, Error, Expr, Func, Scalar, jit};
}

/// Runs the README's example among the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
