//! loopweave: an op compiler. Describe a scalar function; get the native, parallel, vectorised array kernel for it.

pub mod shape;
pub mod target;

pub mod graph;

pub mod fuse;

pub mod nest;

pub mod codegen;

pub mod runtime;

pub mod error;
pub mod pipeline;
pub mod report;

pub use error::Error;
pub use loopweave_ir as ir;
pub use loopweave_ir::{Dtype, Expr, Func, Scalar};
pub use runtime::array::{AnyArray, Output, OutputError};
