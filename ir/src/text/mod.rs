//! Under construction.
pub mod ast;
