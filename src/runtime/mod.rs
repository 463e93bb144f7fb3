//! Running kernels: views of arrays in, checks, parallel launch, arrays out.

pub mod arena;
pub mod args;
pub mod array;
pub mod cache;
mod display;
pub mod launch;
pub mod lend;
pub mod parallel;
mod processor;
mod team;
pub mod view;
