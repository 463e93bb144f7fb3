//! The scalar expression IR of loopweave: what a user's function means, apart from any array and any machine.
//!
//! A function comes in as text ([`text`]) or as a traced closure ([`build`]), polymorphic in its types; [`infer`] gives it
//! types, [`simplify`] rewrites it, [`expand`] writes transcendental functions in basic ops, and [`interp`] says what it
//! computes, bit for bit. This crate has no unsafe code and knows no code generator.

#![forbid(unsafe_code)]

pub mod dtype;
pub mod op;
pub mod table;

pub mod func;

pub mod build;
pub mod text;

pub mod infer;
pub mod verify;

pub mod expand;
pub mod simplify;

pub mod interp;

#[doc(hidden)]
pub mod testing;

pub use build::{Expr, trace};
pub use dtype::{Dtype, Element, Kind, Scalar, Weak};
pub use func::{Builder, ExprId, Func, Node, Param};
pub use infer::{Type, TypeError, specialise};
pub use op::{Accuracy, Cost, Literal, Op, Rule, Stage};
pub use table::{Column, Table};
