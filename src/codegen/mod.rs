//! Code generation: nests become machine code in any `cranelift_module::Module`.
//!
//! In: a [`Nest`] and a [`Target`]. Out: functions with the interface of [`abi`], in memory ([`jit`]) or in an object file
//! ([`object`]).
//!
//! Invariant: the code does what the nest says in the order the nest says, and touches no memory but its operands, its
//! scratch and its stack; the same nest and target give the same code, byte for byte.

pub mod abi;
pub mod bound;

pub mod clif;
mod table;
mod wide;

pub mod jit;
pub mod object;

use cranelift_module::ModuleError;
use loopweave_ir::Op;
use loopweave_ir::expand::ExpandError;

use crate::nest::Nest;
use crate::target::{Target, TargetError};

/// Why a nest did not become code.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// The target cannot be configured.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target's code does not run in this process.
    #[error("code for `{0}` cannot run in this process; write it to an object file instead")]
    Foreign(String),
    /// An op that an earlier pass should have removed.
    #[error("`{}` must be expanded into basic ops before code is made of it", op.name())]
    NotBasic {
        /// The op.
        op: Op,
    },
    /// A function without types.
    #[error("`{func}` has no types, so no code can be made of it")]
    Untyped {
        /// The function's name.
        func: String,
    },
    /// A conversion of a storage float that cannot be written in basic ops.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// The accumulators of one reduction do not fit on a thread's stack.
    #[error("the reduction `{nest}` needs {bytes} bytes of stack; at most {limit} are used")]
    Stack {
        /// The nest's name.
        nest: String,
        /// What it would take.
        bytes: usize,
        /// What may be taken.
        limit: usize,
    },
    /// The code generator's own refusal.
    #[error("the code generator failed on `{symbol}`: {source}")]
    Module {
        /// The function that was compiled.
        symbol: String,
        /// What it says.
        #[source]
        source: Box<ModuleError>,
    },
    /// An instruction that has no encoding.
    #[error("a micro-kernel cannot be encoded: {0}")]
    Encode(String),
    /// An object file that cannot be written.
    #[error("the object file cannot be written: {0}")]
    Object(String),
}

/// The nest's functions as Cranelift IR, for a reader.
///
/// # Errors
/// As [`clif::define`].
pub fn print_clif(nest: &Nest, target: &Target) -> Result<String, CodegenError> {
    clif::print(nest, target, clif::Form::Ir)
}

/// The nest's functions as the target's instructions, for a reader.
///
/// # Errors
/// As [`clif::define`].
pub fn print_asm(nest: &Nest, target: &Target) -> Result<String, CodegenError> {
    clif::print(nest, target, clif::Form::Assembly)
}
