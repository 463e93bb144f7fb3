//! Micro-architectures: what a core does in a cycle, a row for each kind of core.
//!
//! In: the name of a target, or the features of this machine's processor. Out: a [`Microarchitecture`], which schedules and
//! emitters ask how far to unroll, and reports how fast a loop can be.
//!
//! Invariant: no result's bits depend on a row. The order of every reduction is the nest's; a row decides only how much of it
//! one iteration does.
//!
//! # Where the numbers are from
//!
//! Agner Fog's instruction tables (agner.org/optimize), uops.info, Intel's *Optimization Reference Manual*, AMD's *Software
//! Optimization Guides* for families 19h and 1Ah, Arm's *Neoverse N1 Software Optimization Guide*, and the scheduling models of
//! LLVM. Where a divider's time depends on the operands, the row has the longest. What was measured instead says so.
//!
//! # The ports
//!
//! A port starts one micro-op a cycle. The vector ports of Intel's cores are 0, 1 and 5, of which with 64-byte vectors 0 and 1
//! work as one; those of AMD's are the pipes 0 to 3, and those of Arm's V0 and V1.

/// What a core of one kind does in a cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Microarchitecture {
    /// Its name in reports: `golden-cove`.
    pub name: &'static str,
    /// What it is built into.
    pub processors: &'static str,
    /// Micro-ops that enter its back end in a cycle.
    pub issue: f64,
    /// Vector micro-ops that can wait for their operands.
    pub window: f64,
    /// Loads a cycle of at most 16, 32 and 64 bytes from the first-level cache.
    pub loads: [f64; 3],
    /// Stores a cycle of at most 16, 32 and 64 bytes into the first-level cache.
    pub stores: [f64; 3],
    /// Cycles from an address to a loaded vector.
    pub load_latency: f64,
    /// Cycles that a 64-byte vector takes on a port.
    wide_passes: f64,
    /// By [`Kind`].
    costs: [Cost; Kind::ALL.len()],
    /// Cycles that the divider is taken by vectors of 16, 32 and 64 bytes, by [`Quotient`].
    dividers: [[f64; 3]; Quotient::ALL.len()],
}

/// A kind of vector instruction: those that use the same units for as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sums, differences, minima and maxima of floats.
    Add,
    /// Products of floats.
    Multiply,
    /// Fused multiply-adds of floats.
    MultiplyAdd,
    /// Sums, minima and comparisons of integers, and logic.
    Simple,
    /// Shifts of integers.
    Shift,
    /// Products of integers of 32 bits.
    IntegerMultiply,
    /// Exchanges of lanes.
    Shuffle,
    /// Comparisons of floats that give vectors.
    Compare,
    /// Comparisons that give masks.
    CompareToMask,
    /// Logic of masks.
    MaskLogic,
    /// Masks to and from other registers, and shifts of masks.
    MaskMove,
    /// Choices by a vector.
    Blend,
    /// Conversions between numbers of one width.
    Convert,
    /// Conversions between numbers of two widths.
    Resize,
    /// Rounding to integers.
    Round,
    /// Quotients and square roots of floats, beside the time that they take the divider.
    Divide,
}

impl Kind {
    /// Every kind, in the order of a row's costs.
    pub const ALL: [Kind; 16] = [
        Kind::Add,
        Kind::Multiply,
        Kind::MultiplyAdd,
        Kind::Simple,
        Kind::Shift,
        Kind::IntegerMultiply,
        Kind::Shuffle,
        Kind::Compare,
        Kind::CompareToMask,
        Kind::MaskLogic,
        Kind::MaskMove,
        Kind::Blend,
        Kind::Convert,
        Kind::Resize,
        Kind::Round,
        Kind::Divide,
    ];

    /// Whether it is a sum or a product of floats.
    pub const fn is_multiply_add(self) -> bool {
        matches!(self, Kind::Add | Kind::Multiply | Kind::MultiplyAdd)
    }
}

/// What a divider computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotient {
    /// A quotient of `f32`.
    DivF32,
    /// A quotient of `f64`.
    DivF64,
    /// A square root of `f32`.
    SqrtF32,
    /// A square root of `f64`.
    SqrtF64,
}

impl Quotient {
    /// Every one, in the order of a row's dividers.
    pub const ALL: [Quotient; 4] = [Quotient::DivF32, Quotient::DivF64, Quotient::SqrtF32, Quotient::SqrtF64];
}

/// What an instruction of a kind costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Micro-ops.
    pub uops: f64,
    /// The ports that one of them may use with vectors of at most 32 bytes, a bit each, and with wider ones.
    pub ports: [Ports; 2],
    /// Cycles from its operands to its result.
    pub latency: f64,
}

/// A set of ports, a bit each; there are at most four.
pub type Ports = u8;

const fn cost(uops: u8, ports: Ports, wide: Ports, latency: u8) -> Cost {
    Cost {
        uops: uops as f64,
        ports: [ports, wide],
        latency: latency as f64,
    }
}

/// The same ports for vectors of any width.
const fn any(uops: u8, ports: Ports, latency: u8) -> Cost {
    cost(uops, ports, ports, latency)
}

// Intel's ports.
const P0: Ports = 1;
const P1: Ports = 2;
const P5: Ports = 4;
const P01: Ports = P0 | P1;
const P05: Ports = P0 | P5;
const P15: Ports = P1 | P5;
const P015: Ports = P0 | P1 | P5;

// AMD's pipes.
const F01: Ports = 0b0011;
const F03: Ports = 0b1001;
const F12: Ports = 0b0110;
const F23: Ports = 0b1100;
const F0123: Ports = 0b1111;
const F1: Ports = 0b0010;

// Arm's.
const V0: Ports = 1;
const V1: Ports = 2;
const V01: Ports = V0 | V1;

/// The first cores with SSE4.2. They have no fused multiply-add: it is a call for each lane.
const WESTMERE: Microarchitecture = Microarchitecture {
    name: "westmere",
    processors: "Intel Nehalem and Westmere",
    issue: 4.0,
    window: 36.0,
    loads: [1.0, 0.5, 0.25],
    stores: [1.0, 0.5, 0.25],
    load_latency: 6.0,
    wide_passes: 4.0,
    costs: [
        any(1, P1, 3),
        any(1, P0, 4),
        any(80, P015, 40),
        any(1, P015, 1),
        any(1, P05, 1),
        any(2, P01, 6),
        any(1, P15, 1),
        any(1, P1, 3),
        any(1, P1, 3),
        any(1, P015, 1),
        any(1, P0, 1),
        any(2, P05, 2),
        any(1, P1, 3),
        any(2, P15, 4),
        any(1, P1, 3),
        any(1, P0, 22),
    ],
    dividers: [
        [14.0, 28.0, 56.0],
        [22.0, 44.0, 88.0],
        [18.0, 36.0, 72.0],
        [32.0, 64.0, 128.0],
    ],
};

const SKYLAKE: Microarchitecture = Microarchitecture {
    name: "skylake",
    processors: "Intel Skylake to Comet Lake, and the servers to Cascade Lake",
    issue: 4.0,
    window: 97.0,
    loads: [2.0; 3],
    stores: [1.0; 3],
    load_latency: 7.0,
    wide_passes: 1.0,
    costs: [
        cost(1, P01, P05, 4),
        cost(1, P01, P05, 4),
        cost(1, P01, P05, 4),
        cost(1, P015, P05, 1),
        cost(1, P01, P0, 1),
        cost(2, P01, P05, 10),
        any(1, P5, 1),
        any(1, P01, 4),
        any(1, P5, 3),
        any(1, P0, 1),
        any(1, P05, 3),
        any(2, P015, 2),
        cost(1, P01, P05, 4),
        cost(2, P015, P05, 7),
        cost(2, P01, P05, 8),
        any(1, P0, 14),
    ],
    dividers: [[3.0, 5.0, 10.0], [4.0, 8.0, 16.0], [3.0, 6.0, 12.0], [6.0, 12.0, 24.0]],
};

const ICE_LAKE: Microarchitecture = Microarchitecture {
    name: "ice-lake",
    processors: "Intel Ice Lake to Rocket Lake",
    issue: 5.0,
    stores: [2.0, 2.0, 1.0],
    costs: with(SKYLAKE.costs, Kind::Shuffle, cost(1, P15, P5, 1)),
    ..SKYLAKE
};

/// Stores of 64 bytes are measured: loops that load and store a vector each took 1.3 cycles, where the manual has one.
const GOLDEN_COVE: Microarchitecture = Microarchitecture {
    name: "golden-cove",
    processors: "Intel Alder Lake and Sapphire Rapids, and later",
    issue: 6.0,
    loads: [3.0, 3.0, 2.0],
    stores: [2.0, 2.0, 0.75],
    costs: with(
        with(ICE_LAKE.costs, Kind::Add, cost(1, P15, P05, 3)),
        Kind::Blend,
        any(3, P015, 3),
    ),
    ..ICE_LAKE
};

const ZEN_3: Microarchitecture = Microarchitecture {
    name: "zen-3",
    processors: "AMD Zen 2 and Zen 3",
    issue: 6.0,
    window: 64.0,
    loads: [2.0, 2.0, 1.0],
    stores: [1.0, 1.0, 0.5],
    load_latency: 8.0,
    wide_passes: 2.0,
    costs: [
        any(1, F23, 3),
        any(1, F01, 3),
        any(1, F01, 4),
        any(1, F0123, 1),
        any(1, F12, 1),
        any(1, F03, 3),
        any(1, F12, 1),
        any(1, F01, 1),
        any(1, F01, 3),
        any(1, F01, 1),
        any(1, F12, 1),
        any(1, F01, 1),
        any(1, F23, 3),
        any(2, F23, 4),
        any(1, F23, 3),
        any(1, F1, 13),
    ],
    dividers: [[3.0, 3.0, 6.0], [5.0, 5.0, 10.0], [5.0, 5.0, 10.0], [9.0, 9.0, 18.0]],
};

/// Vectors of 64 bytes pass its units in two halves.
const ZEN_4: Microarchitecture = Microarchitecture {
    name: "zen-4",
    processors: "AMD Zen 4",
    ..ZEN_3
};

const ZEN_5: Microarchitecture = Microarchitecture {
    name: "zen-5",
    processors: "AMD Zen 5 with units of 64 bytes",
    issue: 8.0,
    window: 114.0,
    loads: [2.0; 3],
    stores: [2.0, 2.0, 1.0],
    wide_passes: 1.0,
    ..ZEN_3
};

const NEOVERSE_N1: Microarchitecture = Microarchitecture {
    name: "neoverse-n1",
    processors: "Arm Neoverse N1 and Cortex-A76",
    issue: 4.0,
    window: 36.0,
    loads: [2.0, 1.0, 0.5],
    stores: [1.0, 0.5, 0.25],
    load_latency: 5.0,
    wide_passes: 4.0,
    costs: [
        any(1, V01, 2),
        any(1, V01, 3),
        any(1, V01, 4),
        any(1, V01, 2),
        any(1, V1, 2),
        any(2, V0, 5),
        any(1, V01, 2),
        any(1, V01, 2),
        any(1, V01, 2),
        any(1, V01, 2),
        any(1, V1, 2),
        any(1, V01, 2),
        any(2, V0, 4),
        any(2, V0, 4),
        any(2, V0, 4),
        any(1, V0, 15),
    ],
    dividers: [[7.0, 14.0, 28.0]; 4],
};

/// Costs with another one for a kind.
const fn with(mut costs: [Cost; Kind::ALL.len()], kind: Kind, cost: Cost) -> [Cost; Kind::ALL.len()] {
    costs[kind as usize] = cost;
    costs
}

/// Every row.
pub const ALL: [&Microarchitecture; 8] = [
    &WESTMERE,
    &SKYLAKE,
    &ICE_LAKE,
    &GOLDEN_COVE,
    &ZEN_3,
    &ZEN_4,
    &ZEN_5,
    &NEOVERSE_N1,
];

/// What a vector's part of a loop asks of a core, as far as that is known before there are instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorWork {
    /// Bytes of a register.
    pub bytes: usize,
    /// Instructions that compute.
    pub ops: usize,
    /// Vectors that are loaded.
    pub loads: usize,
    /// Vectors that are stored.
    pub stores: usize,
}

impl Microarchitecture {
    /// The most vectors that an iteration of a loop has.
    pub const MOST_UNROLLED: usize = 4;
    /// Micro-ops of a loop itself: one that counts, and one that compares and branches.
    pub const LOOP_UOPS: f64 = 2.0;
    /// How many times longer an iteration's vectors take than the loop itself does.
    const LOOP_SHARE: f64 = 40.0;

    /// What the machine of a target is taken for, by the target's name: cores that many who ask for the name have. `None` where
    /// code has no vectors.
    ///
    /// | target | core |
    /// | --- | --- |
    /// | `x86-64`, `x86-64-v2` | `westmere` |
    /// | `x86-64-v3` | `skylake` |
    /// | `x86-64-v4` | `ice-lake` |
    /// | `aarch64` | `neoverse-n1` |
    pub(super) fn of_name(name: &str) -> Option<&'static Microarchitecture> {
        match name {
            "x86-64" | "x86-64-v2" => Some(&WESTMERE),
            "x86-64-v3" => Some(&SKYLAKE),
            "x86-64-v4" => Some(&ICE_LAKE),
            "aarch64" => Some(&NEOVERSE_N1),
            _ => None,
        }
    }

    /// The cores of this machine, by the features of its processor, and not by the model's number, which a virtual machine may
    /// have from another.
    pub(super) fn of_host() -> Option<&'static Microarchitecture> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let is_amd = has!("sse4a");
            Some(match (is_amd, has!("avx512f"), has!("avx2")) {
                (true, true, _) if has!("avxvnni") => &ZEN_5,
                (true, true, _) => &ZEN_4,
                (true, false, true) => &ZEN_3,
                (false, true, _) if has!("avx512fp16") => &GOLDEN_COVE,
                (false, true, _) if has!("avx512vbmi2") => &ICE_LAKE,
                (false, false, true) if has!("avxvnni") => &GOLDEN_COVE,
                (false, true, _) | (false, false, true) => &SKYLAKE,
                (_, false, false) => &WESTMERE,
            })
        }
        #[cfg(target_arch = "aarch64")]
        {
            Some(&NEOVERSE_N1)
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            None
        }
    }

    /// What an instruction costs.
    pub fn cost(&self, kind: Kind) -> Cost {
        self.costs[kind as usize]
    }

    /// The ports for one of its micro-ops on vectors of so many bytes, and the cycles it takes one of them.
    pub fn ports(&self, kind: Kind, bytes: usize) -> (Ports, f64) {
        let [ports, wide] = self.cost(kind).ports;
        match bytes {
            0..=32 => (ports, 1.0),
            _ => (wide, self.wide_passes),
        }
    }

    /// Cycles that a vector of so many bytes takes the divider.
    pub fn divider(&self, quotient: Quotient, bytes: usize) -> f64 {
        self.dividers[quotient as usize][width(bytes)]
    }

    /// Loads a cycle of so many bytes.
    pub fn loads(&self, bytes: usize) -> f64 {
        self.loads[width(bytes)]
    }

    /// Stores a cycle of so many bytes.
    pub fn stores(&self, bytes: usize) -> f64 {
        self.stores[width(bytes)]
    }

    /// The vectors of an iteration: as few as make what the loop itself takes little beside what they do. More would take room
    /// in the caches of instructions, and time to compile; the latencies of one vector are hidden behind the next in any case,
    /// as cores look further ahead than an iteration.
    pub fn unroll(&self, work: VectorWork) -> usize {
        let (add, passes) = self.ports(Kind::Add, work.bytes);
        let ports = add | self.ports(Kind::Multiply, work.bytes).0;
        let arithmetic = work.ops as f64 * passes / f64::from(ports.count_ones());
        let memory = (work.loads as f64 / self.loads(work.bytes)).max(work.stores as f64 / self.stores(work.bytes));
        let least = Self::LOOP_SHARE * Self::LOOP_UOPS / self.issue / arithmetic.max(memory);
        let mut vectors = 1;
        while vectors < Self::MOST_UNROLLED && (vectors as f64) < least {
            vectors *= 2;
        }
        vectors
    }

    /// The most ops of a function whose waiting for each other the core hides behind other vectors' ops by itself. The worst
    /// function is one chain; to keep the units busy takes as many of those as multiply-adds are under way at a time, and all
    /// of them have to be among the ops that wait.
    pub fn short_body(&self, bytes: usize) -> usize {
        let (ports, passes) = self.ports(Kind::MultiplyAdd, bytes);
        let under_way = self.cost(Kind::MultiplyAdd).latency * f64::from(ports.count_ones()) / passes;
        (self.window / under_way) as usize
    }

    /// The vectors of accumulators, of so many bytes, that keep the units for additions busy while each addition waits for
    /// the one before it in its chain.
    pub fn accumulators(&self, bytes: usize) -> usize {
        let (ports, passes) = self.ports(Kind::Add, bytes);
        let a_cycle = f64::from(ports.count_ones()) / passes;
        (self.cost(Kind::Add).latency * a_cycle).ceil() as usize
    }
}

/// The place of a width in a row's numbers.
fn width(bytes: usize) -> usize {
    match bytes {
        0..=16 => 0,
        17..=32 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_sane() {
        for (i, core) in ALL.into_iter().enumerate() {
            let name = core.name;
            assert!(ALL[..i].iter().all(|other| other.name != name), "{name} twice");
            assert!((1.0..=8.0).contains(&core.issue), "{name}");
            assert!((16.0..=512.0).contains(&core.window), "{name}");
            for rates in [core.loads, core.stores] {
                assert!(
                    rates.is_sorted_by(|a, b| a >= b),
                    "{name}: wider accesses are no faster"
                );
                assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= 4.0), "{name}");
            }
            for (place, kind) in Kind::ALL.into_iter().enumerate() {
                assert_eq!(place, kind as usize, "{kind:?} stands in its place");
                let cost = core.cost(kind);
                assert!(cost.uops >= 1.0 && cost.latency >= 1.0, "{name} {kind:?}");
                assert!(
                    cost.ports.iter().all(|&ports| ports > 0 && ports < 16),
                    "{name} {kind:?}"
                );
            }
            for (place, quotient) in Quotient::ALL.into_iter().enumerate() {
                assert_eq!(place, quotient as usize, "{quotient:?} stands in its place");
                let cycles = [16, 32, 64].map(|bytes| core.divider(quotient, bytes));
                assert!(cycles.is_sorted() && cycles[0] >= 1.0, "{name} {quotient:?}");
            }
            assert!(
                core.divider(Quotient::DivF64, 16) >= core.divider(Quotient::DivF32, 16),
                "{name}"
            );
            assert!(
                core.cost(Kind::MultiplyAdd).latency >= core.cost(Kind::Add).latency,
                "{name}"
            );
        }
    }

    /// Short bodies are unrolled, long ones are not, and none is less for a shorter body.
    #[test]
    fn unrolling_falls_with_the_length() {
        for core in ALL {
            for bytes in [16, 32, 64] {
                let unroll = |ops| {
                    core.unroll(VectorWork {
                        bytes,
                        ops,
                        loads: 1,
                        stores: 1,
                    })
                };
                let counts: Vec<usize> = (0..200).map(unroll).collect();
                assert!(counts.is_sorted_by(|a, b| a >= b), "{}", core.name);
                assert_eq!(counts[199], 1, "{}", core.name);
            }
        }
        let short = VectorWork {
            bytes: 64,
            ops: 1,
            loads: 2,
            stores: 1,
        };
        assert_eq!((GOLDEN_COVE.unroll(short), ICE_LAKE.unroll(short)), (4, 4));
        assert_eq!((GOLDEN_COVE.short_body(64), ZEN_4.short_body(32)), (12, 8));
        assert_eq!((GOLDEN_COVE.accumulators(16), NEOVERSE_N1.accumulators(16)), (6, 4));
    }
}
