//! Compiled kernels, found by what their code depends on.
//!
//! In: the nests of a program and a target. Out: their [`Kernel`]s, compiled once for all the programs that share a cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use loopweave_ir::{Dtype, Func};

use crate::codegen::CodegenError;
use crate::codegen::jit::JitCode;
use crate::error::Error;
use crate::nest::{AxisRole, Leaf, Nest, Role, Stride, Vector, Writes};
use crate::runtime::launch::Kernel;
use crate::runtime::lock;
use crate::runtime::parallel::{Threads, map_each};
use crate::target::Target;

/// Compiled kernels by what their code depends on, shared by the programs of one function.
#[derive(Debug, Default)]
pub struct KernelCache {
    kernels: Mutex<HashMap<NestKey, Arc<Kernel>>>,
}

/// Everything of a nest that its code depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NestKey {
    operands: Vec<(Dtype, Role, Stride)>,
    axes: Vec<AxisRole>,
    leaf: Leaf,
    vector: Vector,
    writes: Writes,
}

impl NestKey {
    fn of(nest: &Nest) -> NestKey {
        // Kernels that differ in names alone are one.
        let mut leaf = nest.leaf.clone();
        leaf.functions_mut().into_iter().for_each(Func::forget_names);
        NestKey {
            operands: nest.operands.iter().map(|o| (o.dtype, o.role, o.stride)).collect(),
            axes: nest.axes.iter().map(|a| a.role).collect(),
            leaf,
            vector: nest.vector,
            writes: nest.writes,
        }
    }
}

impl KernelCache {
    /// The kernels of some nests. Those that are not there yet are compiled, several at once where the threads allow it.
    pub(super) fn get_all<'n>(
        &self,
        nests: impl Iterator<Item = &'n Nest>,
        target: &Target,
        threads: &Threads,
    ) -> Result<Vec<Arc<Kernel>>, Error> {
        let nests: Vec<(NestKey, &Nest)> = nests.map(|nest| (NestKey::of(nest), nest)).collect();
        let missing: HashMap<&NestKey, &Nest> = {
            let known = lock(&self.kernels);
            let missing = nests.iter().filter(|(key, _)| !known.contains_key(key));
            missing.map(|(key, nest)| (key, *nest)).collect()
        };
        let (keys, wanted): (Vec<&NestKey>, Vec<Nest>) =
            missing.into_iter().map(|(key, nest)| (key, nest.clone())).unzip();
        let made = compile_all(wanted, target, threads)?;
        let mut kernels = lock(&self.kernels);
        for (key, kernel) in keys.into_iter().zip(made) {
            // Two callers may compile one nest at once; the first to finish keeps its kernel.
            kernels.entry(key.clone()).or_insert(kernel);
        }
        Ok(nests.iter().map(|(key, _)| Arc::clone(&kernels[key])).collect())
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

/// Compiles nests, each on a thread that is free.
fn compile_all(nests: Vec<Nest>, target: &Target, threads: &Threads) -> Result<Vec<Arc<Kernel>>, CodegenError> {
    let target = target.clone();
    let compile = move |nest: Nest| {
        let code = JitCode::compile(&nest, &target)?;
        Ok(Arc::new(Kernel { nest, code }))
    };
    map_each(threads, nests, compile).into_iter().collect()
}
