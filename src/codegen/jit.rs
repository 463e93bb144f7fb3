//! Code in memory: one kernel's functions, which live as long as their owner.
//!
//! In: a nest. Out: a [`JitCode`] whose entries can be called by whoever keeps to the interface of
//! [`abi`](crate::codegen::abi).
//!
//! Invariants: pages are written, then made executable, never both; dropping the owner unmaps them; every symbol that code
//! refers to is a function of this file or data of its module, so no lookup depends on what else the process has loaded.

#![allow(
    unsafe_code,
    reason = "turns addresses of finished code into function pointers, and frees the code's memory"
)]

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::default_libcall_names;

use crate::codegen::{CodegenError, clif};
use crate::nest::Nest;
use crate::target::{Placement, Target};

/// A function of a kernel, called with its argument block.
///
/// # Safety
/// The block must be laid out as [`abi`](crate::codegen::abi) says for the nest, every element it reaches must be valid to
/// read or write, scratch must be as large as [`abi::scratch_bytes`](crate::codegen::abi::scratch_bytes) says, and the
/// [`JitCode`] must be alive.
pub type Entry = unsafe extern "C" fn(*mut u64);

/// The machine code of one nest in executable memory. Dropping it frees the memory; entries must not be called after that.
pub struct JitCode {
    main: Entry,
    size: usize,
    times: CompileTimes,
    /// Taken once, by `drop`.
    module: Mutex<Option<JITModule>>,
}

/// How long the stages of a compilation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileTimes {
    /// From the nest to Cranelift IR.
    pub emit: Duration,
    /// From Cranelift IR to machine code.
    pub compile: Duration,
    /// Relocation, and making the memory executable.
    pub load: Duration,
}

impl CompileTimes {
    /// All stages together.
    pub fn total(&self) -> Duration {
        self.emit + self.compile + self.load
    }
}

impl JitCode {
    /// Compiles a nest for a target that runs here.
    ///
    /// # Errors
    /// [`CodegenError::Foreign`] for a target of another machine; otherwise as [`clif::define`].
    pub fn compile(nest: &Nest, target: &Target) -> Result<JitCode, CodegenError> {
        if !target.runs_here() {
            return Err(CodegenError::Foreign(target.name().to_owned()));
        }
        let start = Instant::now();
        let mut builder = JITBuilder::with_isa(target.isa(Placement::Jit)?, default_libcall_names());
        builder.symbol_lookup_fn(Box::new(library_function));
        let mut owner = Unfinished(Some(JITModule::new(builder)));
        let module = owner.0.as_mut().expect("taken only at the end");
        let kernel = clif::define(module, nest, target, "kernel")?;
        let defined = Instant::now();
        module.finalize_definitions().map_err(|e| CodegenError::Module {
            symbol: nest.name.clone(),
            source: Box::new(e),
        })?;
        let address = module.get_finalized_function(kernel.main);
        // SAFETY: the address is that of a finished function which `clif::define` declared with this signature.
        let main = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
        Ok(JitCode {
            main,
            size: kernel.size,
            times: CompileTimes {
                emit: kernel.emit,
                compile: (defined - start).saturating_sub(kernel.emit),
                load: defined.elapsed(),
            },
            module: Mutex::new(owner.0.take()),
        })
    }

    /// The function that computes the nest, or the part of it that its argument block says.
    pub fn main(&self) -> Entry {
        self.main
    }

    /// Bytes of machine code.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How long the compilation took.
    pub fn times(&self) -> CompileTimes {
        self.times
    }
}

impl fmt::Debug for JitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JitCode")
            .field("size", &self.size)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

impl Drop for JitCode {
    fn drop(&mut self) {
        // A poisoned lock would mean that `drop` itself panicked; the module in it is still whole.
        let module = self.module.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        free(module.take());
    }
}

/// A module that is freed if compilation fails: a `JITModule` by itself leaks its memory.
struct Unfinished(Option<JITModule>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        free(self.0.take());
    }
}

fn free(module: Option<JITModule>) {
    if let Some(module) = module {
        // SAFETY: entries may only be called while their owner is alive, and this is called when it is no more.
        unsafe { module.free_memory() }
    }
}

/// The functions that generated code may call where the processor has no instruction.
fn library_function(name: &str) -> Option<*const u8> {
    extern "C" fn fmod(x: f64, y: f64) -> f64 {
        x % y
    }
    extern "C" fn fmodf(x: f32, y: f32) -> f32 {
        x % y
    }
    extern "C" fn fma(x: f64, y: f64, z: f64) -> f64 {
        x.mul_add(y, z)
    }
    extern "C" fn fmaf(x: f32, y: f32, z: f32) -> f32 {
        x.mul_add(y, z)
    }
    extern "C" fn ceil(x: f64) -> f64 {
        x.ceil()
    }
    extern "C" fn ceilf(x: f32) -> f32 {
        x.ceil()
    }
    extern "C" fn floor(x: f64) -> f64 {
        x.floor()
    }
    extern "C" fn floorf(x: f32) -> f32 {
        x.floor()
    }
    extern "C" fn trunc(x: f64) -> f64 {
        x.trunc()
    }
    extern "C" fn truncf(x: f32) -> f32 {
        x.trunc()
    }
    extern "C" fn nearbyint(x: f64) -> f64 {
        x.round_ties_even()
    }
    extern "C" fn nearbyintf(x: f32) -> f32 {
        x.round_ties_even()
    }
    Some(match name {
        "fmod" => fmod as *const u8,
        "fmodf" => fmodf as *const u8,
        "fma" => fma as *const u8,
        "fmaf" => fmaf as *const u8,
        "ceil" => ceil as *const u8,
        "ceilf" => ceilf as *const u8,
        "floor" => floor as *const u8,
        "floorf" => floorf as *const u8,
        "trunc" => trunc as *const u8,
        "truncf" => truncf as *const u8,
        "nearbyint" => nearbyint as *const u8,
        "nearbyintf" => nearbyintf as *const u8,
        _ => return None,
    })
}
