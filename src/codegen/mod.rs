//! Code generation: nests become machine code in any `cranelift_module::Module`.

pub mod abi;
pub mod clif;
