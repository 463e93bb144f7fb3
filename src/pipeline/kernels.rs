//! Compiled kernels, found by what their code depends on.
//!
//! In: a nest and a target. Out: its [`Kernel`], compiled once for all the programs that share a cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use loopweave_ir::{Dtype, Func};

use super::lock;
use crate::codegen::jit::JitCode;
use crate::error::Error;
use crate::nest::{AxisRole, Leaf, Nest, Role, Stride, Vector, Writes};
use crate::runtime::launch::Kernel;
use crate::target::Target;

/// Compiled kernels by what their code depends on, shared by the programs of one function.
#[derive(Debug, Default)]
pub struct KernelCache {
    kernels: Mutex<HashMap<NestKey, Arc<Kernel>>>,
}

/// Everything of a nest that its code depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NestKey {
    operands: Vec<(Dtype, Role, Stride)>,
    axes: Vec<AxisRole>,
    leaf: Leaf,
    vector: Vector,
    writes: Writes,
}

impl KernelCache {
    /// The kernel of a nest, compiled if there is none yet.
    pub(super) fn get(&self, nest: &Nest, target: &Target) -> Result<Arc<Kernel>, Error> {
        // Kernels that differ in names alone are one.
        let mut leaf = nest.leaf.clone();
        leaf.functions_mut().into_iter().for_each(Func::forget_names);
        let key = NestKey {
            operands: nest.operands.iter().map(|o| (o.dtype, o.role, o.stride)).collect(),
            axes: nest.axes.iter().map(|a| a.role).collect(),
            leaf,
            vector: nest.vector,
            writes: nest.writes,
        };
        if let Some(kernel) = lock(&self.kernels).get(&key) {
            return Ok(Arc::clone(kernel));
        }
        // Two threads may compile one nest at once; the first to finish keeps its kernel.
        let kernel = Arc::new(Kernel {
            nest: nest.clone(),
            code: JitCode::compile(nest, target)?,
        });
        Ok(Arc::clone(lock(&self.kernels).entry(key).or_insert(kernel)))
    }

    /// The number of kernels compiled so far.
    pub fn len(&self) -> usize {
        lock(&self.kernels).len()
    }

    /// Whether no kernel was compiled yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
