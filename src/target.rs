//! Targets: the machines code is made for, with the instruction sets and caches that emitters and schedules ask about.
//!
//! In: a name, as a user writes it. Out: a [`Target`], which is cheap to clone and holds the code generator's
//! configuration ready made.
//!
//! Invariant: a target other than `native` and `simd128` is fully described by its name, so that code made for it does not
//! depend on the machine that makes it.

pub mod microarchitecture;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use target_lexicon::{Architecture, Triple};

use self::microarchitecture::Microarchitecture;

/// The names [`Target::parse`] knows.
pub const NAMES: [&str; 8] = [
    "native",
    "simd128",
    "x86-64",
    "x86-64-v2",
    "x86-64-v3",
    "x86-64-v4",
    "aarch64",
    "riscv64",
];

/// A machine code is made for.
///
/// ```
/// use loopweave::target::Target;
/// let target = Target::parse("x86-64-v3")?;
/// assert_eq!((target.name(), target.vector_bytes()), ("x86-64-v3", 16));
/// # Ok::<(), loopweave::target::TargetError>(())
/// ```
#[derive(Clone)]
pub struct Target {
    machine: Arc<Machine>,
    opt: OptLevel,
}

/// How much work the code generator puts into the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptLevel {
    /// Fast compilation, slow code: for tests that compare it with the other.
    None,
    /// The default.
    Speed,
}

/// Where code will run: in this process or in a linked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placement {
    /// In this process, at an address known when it is loaded.
    Jit,
    /// In an object file, position-independent.
    Object,
}

/// Why there is no such target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The name is none of [`NAMES`].
    #[error("`{0}` is not a target; expected one of {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// The host is not a machine the code generator knows.
    #[error("code cannot be made for this host: {0}")]
    Host(&'static str),
    /// The code generator refuses the configuration.
    #[error("the code generator cannot be configured for `{name}`: {reason}")]
    Configuration {
        /// The target's name.
        name: String,
        /// What the code generator says.
        reason: String,
    },
}

/// The sizes of a machine's caches in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First-level data cache of a core.
    pub l1d: usize,
    /// Second-level cache of a core.
    pub l2: usize,
}

/// What the code generator does with what it is given.
#[derive(Clone, Copy)]
enum Effort {
    /// Neither optimises nor allocates registers well.
    Least,
    /// Allocates registers well, and leaves instructions in their order.
    InOrder,
    /// Moves instructions to where their values are needed, too.
    Most,
}

struct Machine {
    name: String,
    triple: Triple,
    builder: isa::Builder,
    is_host: bool,
    vector_bytes: usize,
    fma_bytes: usize,
    caches: Caches,
    microarchitecture: Option<&'static Microarchitecture>,
    /// By effort and placement; making one takes longer than compiling a small kernel.
    isas: [OnceLock<Result<OwnedTargetIsa, TargetError>>; 6],
}

impl Target {
    /// The machine this process runs on, with every feature of its processor.
    ///
    /// # Errors
    /// [`TargetError::Host`] on a machine the code generator does not know.
    pub fn native() -> Result<Target, TargetError> {
        static NATIVE: OnceLock<Result<Target, TargetError>> = OnceLock::new();
        NATIVE.get_or_init(|| Target::host("native")).clone()
    }

    /// The target of this name, one of [`NAMES`]:
    ///
    /// | name | code |
    /// | --- | --- |
    /// | `native` | for this machine, with every feature of its processor |
    /// | `simd128` | for this machine, in vectors of 128 bits |
    /// | `x86-64`, `x86-64-v2`, `x86-64-v3`, `x86-64-v4` | Linux; the levels of the x86-64 ABI: SSE2, SSE4.2, AVX2 and FMA, AVX-512 |
    /// | `aarch64` | Linux; ARMv8-A with NEON |
    /// | `riscv64` | Linux; RV64GC, scalar |
    ///
    /// # Errors
    /// [`TargetError::Unknown`] for any other name.
    pub fn parse(name: &str) -> Result<Target, TargetError> {
        const V2: &[&str] = &[
            "has_sse3",
            "has_ssse3",
            "has_cmpxchg16b",
            "has_sse41",
            "has_sse42",
            "has_popcnt",
        ];
        const V3: &[&str] = &["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"];
        const V4: &[&str] = &["has_avx512f", "has_avx512dq", "has_avx512vl"];
        match name {
            "native" => Target::native(),
            "simd128" => Target::host(name),
            "x86-64" => Target::foreign(name, "x86_64-unknown-linux-gnu", &[], 16),
            "x86-64-v2" => Target::foreign(name, "x86_64-unknown-linux-gnu", &[V2], 16),
            "x86-64-v3" => Target::foreign(name, "x86_64-unknown-linux-gnu", &[V2, V3], 16),
            "x86-64-v4" => Target::foreign(name, "x86_64-unknown-linux-gnu", &[V2, V3, V4], 16),
            "aarch64" => Target::foreign(name, "aarch64-unknown-linux-gnu", &[], 16),
            "riscv64" => Target::foreign(name, "riscv64gc-unknown-linux-gnu", &[], 0),
            _ => Err(TargetError::Unknown(name.to_owned())),
        }
    }

    /// The target at another optimisation level.
    pub fn with_opt_level(mut self, opt: OptLevel) -> Target {
        self.opt = opt;
        self
    }

    /// The name it was made from.
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// Architecture, system and binary format.
    pub fn triple(&self) -> &Triple {
        &self.machine.triple
    }

    /// The optimisation level.
    pub fn opt_level(&self) -> OptLevel {
        self.opt
    }

    /// Bytes of a vector register in the reference emitter's code; 0 where it makes scalar code only.
    pub fn vector_bytes(&self) -> usize {
        self.machine.vector_bytes
    }

    /// Bytes of the widest x86-64 vectors with fused multiply-add that micro-kernels may use; 0 without any.
    pub fn fma_bytes(&self) -> usize {
        self.machine.fma_bytes
    }

    /// Bytes of the vectors of leaves in the wide emitter's code, 32 or 64; 0 where it makes none. Without optimisation it makes
    /// none: then all code is the reference emitter's.
    pub fn wide_bytes(&self) -> usize {
        match self.opt {
            OptLevel::None => 0,
            OptLevel::Speed if self.machine.fma_bytes < 32 => 0,
            OptLevel::Speed => self.machine.fma_bytes,
        }
    }

    /// Vector registers that code with vectors of this many bytes can use.
    pub fn vector_registers(&self, bytes: usize) -> usize {
        if self.is_x86_64() && bytes < 64 { 16 } else { 32 }
    }

    /// The sizes of the caches: those of this machine, or for a foreign target of a common one.
    pub fn caches(&self) -> Caches {
        self.machine.caches
    }

    /// The kind of cores that schedules and estimates suppose: this machine's, or for a foreign target a common one's. `None` where
    /// nothing is known of them, or code has no vectors.
    pub fn microarchitecture(&self) -> Option<&'static Microarchitecture> {
        self.machine.microarchitecture
    }

    /// Whether this process can run the target's code: whether it has the host's architecture and system, and the processor the
    /// vectors. SSE4.2, which `x86-64-v2` asks for, is taken for granted.
    pub fn runs_here(&self) -> bool {
        let host = Triple::host();
        let triple = self.triple();
        self.machine.is_host
            || (triple.architecture == host.architecture
                && triple.operating_system == host.operating_system
                && self.machine.fma_bytes <= host_fma_bytes())
    }

    /// Whether it is an x86-64 machine.
    pub fn is_x86_64(&self) -> bool {
        self.triple().architecture == Architecture::X86_64
    }

    /// The code generator for this target.
    ///
    /// # Errors
    /// [`TargetError::Configuration`] if the code generator refuses the target's settings.
    pub fn isa(&self, placement: Placement) -> Result<OwnedTargetIsa, TargetError> {
        self.isa_of(Effort::Most, placement)
    }

    /// The code generator for this target, for code whose instructions stay in the order in which they were emitted.
    ///
    /// # Errors
    /// As [`Target::isa`].
    pub fn isa_in_order(&self, placement: Placement) -> Result<OwnedTargetIsa, TargetError> {
        self.isa_of(Effort::InOrder, placement)
    }

    fn isa_of(&self, effort: Effort, placement: Placement) -> Result<OwnedTargetIsa, TargetError> {
        let effort = match self.opt {
            OptLevel::None => Effort::Least,
            OptLevel::Speed => effort,
        };
        self.machine.isas[2 * effort as usize + (placement == Placement::Object) as usize]
            .get_or_init(|| self.machine.isa(effort, placement))
            .clone()
    }

    fn host(name: &str) -> Result<Target, TargetError> {
        let builder = cranelift_native::builder().map_err(TargetError::Host)?;
        let vector_bytes = match builder.triple().architecture {
            Architecture::X86_64 | Architecture::Aarch64(_) => 16,
            _ => 0,
        };
        let fma_bytes = match name {
            "simd128" => host_fma_bytes().min(16),
            _ => host_fma_bytes(),
        };
        Ok(Target::new(
            name,
            builder,
            true,
            (vector_bytes, fma_bytes),
            host_caches(),
            Microarchitecture::of_host(),
        ))
    }

    fn foreign(name: &str, triple: &str, features: &[&[&str]], vector_bytes: usize) -> Result<Target, TargetError> {
        let failed = |reason: String| TargetError::Configuration {
            name: name.to_owned(),
            reason,
        };
        let triple = Triple::from_str(triple).map_err(|e| failed(e.to_string()))?;
        let mut builder = isa::lookup(triple).map_err(|e| failed(e.to_string()))?;
        // The code generator's own presets leave `has_avx` unset, without which `fma` becomes calls, so each feature is
        // named here.
        for feature in features.iter().copied().flatten() {
            builder.enable(feature).map_err(|e| failed(e.to_string()))?;
        }
        let fma_bytes = match name {
            "x86-64-v4" => 64,
            "x86-64-v3" => 32,
            _ => 0,
        };
        Ok(Target::new(
            name,
            builder,
            false,
            (vector_bytes, fma_bytes),
            COMMON_CACHES,
            Microarchitecture::of_name(name),
        ))
    }

    fn new(
        name: &str,
        builder: isa::Builder,
        is_host: bool,
        (vector_bytes, fma_bytes): (usize, usize),
        caches: Caches,
        microarchitecture: Option<&'static Microarchitecture>,
    ) -> Target {
        Target {
            machine: Arc::new(Machine {
                name: name.to_owned(),
                triple: builder.triple().clone(),
                builder,
                is_host,
                vector_bytes,
                fma_bytes,
                caches,
                microarchitecture,
                isas: Default::default(),
            }),
            opt: OptLevel::Speed,
        }
    }
}

impl Machine {
    fn isa(&self, effort: Effort, placement: Placement) -> Result<OwnedTargetIsa, TargetError> {
        let failed = |reason: String| TargetError::Configuration {
            name: self.name.clone(),
            reason,
        };
        let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
        let (opt, allocator) = match effort {
            Effort::Least => ("none", "single_pass"),
            Effort::InOrder => ("none", "backtracking"),
            Effort::Most => ("speed", "backtracking"),
        };
        let pic = if placement == Placement::Object {
            "true"
        } else {
            "false"
        };
        let mut flags = settings::builder();
        for (name, value) in [
            ("opt_level", opt),
            ("regalloc_algorithm", allocator),
            ("enable_verifier", verifier),
            ("is_pic", pic),
            // A libm function may be further away than a relative call reaches.
            ("use_colocated_libcalls", "false"),
            // The buffers of a reduction can exceed a page, so a frame is touched page by page, without a library call.
            ("enable_probestack", "true"),
            ("probestack_strategy", "inline"),
            // Generated code neither unwinds nor is unwound through: it calls nothing that panics.
            ("unwind_info", "false"),
        ] {
            flags.set(name, value).map_err(|e| failed(e.to_string()))?;
        }
        self.builder
            .finish(settings::Flags::new(flags))
            .map_err(|e| failed(e.to_string()))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.name()).field(&self.opt).finish()
    }
}

/// Bytes of the widest vectors with fused multiply-add of this processor, on systems with the calling convention that
/// micro-kernels follow.
fn host_fma_bytes() -> usize {
    #[cfg(all(target_arch = "x86_64", unix))]
    {
        use std::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma") && has!("f16c") && has!("bmi2");
        if avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
            return 64;
        }
        if avx2 {
            return 32;
        }
    }
    0
}

/// What a machine of unknown caches is taken to have.
const COMMON_CACHES: Caches = Caches {
    l1d: 32 << 10,
    l2: 1 << 20,
};

/// The caches of the first core, as Linux tells them; [`COMMON_CACHES`] where it does not.
fn host_caches() -> Caches {
    let mut caches = COMMON_CACHES;
    for index in 0..8 {
        let read = |file: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{file}");
            std::fs::read_to_string(path).ok().map(|s| s.trim().to_owned())
        };
        let (Some(level), Some(kind), Some(size)) = (read("level"), read("type"), read("size")) else {
            break;
        };
        let Some(bytes) = parse_size(&size) else { continue };
        match (level.as_str(), kind.as_str()) {
            ("1", "Data" | "Unified") => caches.l1d = bytes,
            ("2", "Data" | "Unified") => caches.l2 = bytes,
            _ => {}
        }
    }
    caches
}

/// A size as the kernel writes it: `48K`, `2M` or bytes.
fn parse_size(text: &str) -> Option<usize> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    digits
        .parse::<usize>()
        .ok()?
        .checked_mul(unit)
        .filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_target_that_can_be_configured() {
        for name in NAMES {
            let target = Target::parse(name).unwrap();
            assert_eq!(target.name(), name);
            for opt in [OptLevel::None, OptLevel::Speed] {
                for placement in [Placement::Jit, Placement::Object] {
                    target.clone().with_opt_level(opt).isa(placement).unwrap();
                }
            }
        }
        assert_eq!(
            Target::parse("sparc").unwrap_err(),
            TargetError::Unknown("sparc".to_owned())
        );
    }

    #[test]
    fn sizes_are_read_as_the_kernel_writes_them() {
        for (text, bytes) in [
            ("48K", Some(48 << 10)),
            ("2M", Some(2 << 20)),
            ("512", Some(512)),
            ("", None),
            ("K", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
