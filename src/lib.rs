//! loopweave: an op compiler. Describe a scalar function; get the native, parallel, vectorised array kernel for it.

pub mod shape;
pub mod target;

pub mod graph;

pub mod fuse;

pub mod nest;

pub mod codegen;

pub use loopweave_ir as ir;
