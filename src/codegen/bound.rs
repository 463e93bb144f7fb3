//! Bounds: how many cycles an element of a vector loop takes, by what takes them.
//!
//! In: the instructions of one iteration, of which each kind is told to a [`Demand`]. Out: a [`Bound`].
//!
//! The model is that of a core whose units are all busy at once: each by itself takes as long as its micro-ops, and the
//! longest of those times is the loop's. Micro-ops that may use several ports are shared among these in the best way there
//! is, so the ports take as long as the busiest set of them, counting the micro-ops that may use no port outside of it.
//!
//! Latency is such a part where an iteration waits for the one before. Where none does, micro-ops still wait for others of
//! their vector, each for half of its longest chain on the average, and the core has room for a number of those that wait: by
//! Little's law that gives how many go through in a cycle. Vectors abreast wait less than that.
//!
//! On Sapphire Rapids, `cargo bench --bench bounds` measures 1.00 to 1.35 times the estimate for each of 30 kernels but one, f64 `erf`
//! with 0.78.

use serde::{Deserialize, Serialize};

use crate::nest::Vector;
use crate::target::microarchitecture::{Kind, Microarchitecture, Quotient};

/// A vector loop of a kernel's code: its shape, why it has that, and how fast it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorLoop {
    /// What it computes.
    pub kind: LoopKind,
    /// Its lanes, and vectors per iteration.
    pub vector: Vector,
    /// Why so many.
    pub choice: Choice,
    /// What an element of it takes, where the target's cores are known.
    pub bound: Option<Bound>,
}

/// What a vector loop computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LoopKind {
    /// A function of each element.
    Map,
    /// A reduction along its axis.
    Fold {
        /// Lanes of its order.
        lanes: u32,
    },
    /// A reduction along the axes before its own.
    Strip {
        /// Rows that an iteration combines.
        rows: u32,
    },
    /// A step along the contracted axis of a matrix product; its elements are multiply-adds.
    Product,
}

/// Why a loop has so many vectors per iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Choice {
    /// As few as make the loop itself cheap beside them.
    Loop {
        /// Instructions of an iteration.
        instructions: usize,
        /// Those of them that see no vector: they count, branch, and ask for lines ahead.
        counting: usize,
        /// Vectors that are computed abreast, where the ops of one wait for each other for longer than the core looks ahead.
        abreast: usize,
    },
    /// As many vectors of accumulators as there are registers for, of those that the order of the reduction has.
    Accumulators {
        /// The vectors of the order's lanes.
        of: usize,
        /// Registers for vectors.
        registers: usize,
    },
    /// The accumulators of a tile fill the registers.
    Tile {
        /// The vectors of a tile.
        accumulators: usize,
        /// Registers for vectors.
        registers: usize,
    },
}

/// Cycles an element, by what takes them; four digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Loads from the first-level cache.
    pub load: f64,
    /// Stores to it.
    pub store: f64,
    /// The units that add and multiply floats.
    pub multiply_add: f64,
    /// The ports of all vector instructions.
    pub arithmetic: f64,
    /// The divider.
    pub division: f64,
    /// What the core takes in a cycle, whatever it does.
    pub issue: f64,
    /// The chain from one iteration to the next, and where there is none, how far ahead the core looks for independent work.
    pub latency: f64,
}

/// A part of a [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields of `Bound` say it")]
pub enum Part {
    Load,
    Store,
    MultiplyAdd,
    Arithmetic,
    Division,
    Issue,
    Latency,
}

impl Bound {
    /// Its parts.
    pub fn parts(&self) -> [(Part, f64); 7] {
        [
            (Part::Load, self.load),
            (Part::Store, self.store),
            (Part::MultiplyAdd, self.multiply_add),
            (Part::Arithmetic, self.arithmetic),
            (Part::Division, self.division),
            (Part::Issue, self.issue),
            (Part::Latency, self.latency),
        ]
    }

    /// The part that takes longest, the first of several, and the cycles an element that it takes.
    pub fn longest(&self) -> (Part, f64) {
        let longer = |a: (Part, f64), b: (Part, f64)| if b.1 > a.1 { b } else { a };
        self.parts().into_iter().reduce(longer).unwrap_or((Part::Load, 0.0))
    }
}

/// What an iteration asks of a core's units.
pub(super) struct Demand {
    pub(super) core: &'static Microarchitecture,
    /// Cycles of micro-ops by the set of ports that they may use: of all, and of sums and products of floats.
    ports: [[f64; 16]; 2],
    division: f64,
    load: f64,
    store: f64,
    issued: f64,
    /// Cycles from one iteration to the next.
    pub(super) chain: f64,
    /// Cycles from the loads of a vector to its stores.
    pub(super) path: f64,
}

impl Demand {
    pub(super) fn of(core: &'static Microarchitecture) -> Demand {
        Demand {
            core,
            ports: [[0.0; 16]; 2],
            division: 0.0,
            load: 0.0,
            store: 0.0,
            issued: 0.0,
            chain: 0.0,
            path: 0.0,
        }
    }

    /// So many instructions on vectors of so many bytes.
    pub(super) fn compute(&mut self, kind: Kind, bytes: usize, count: f64) {
        let uops = count * self.core.cost(kind).uops;
        let (ports, passes) = self.core.ports(kind, bytes);
        self.ports[0][ports as usize] += uops * passes;
        if kind.is_multiply_add() {
            self.ports[1][ports as usize] += uops * passes;
        }
        self.issued += uops;
    }

    pub(super) fn divide(&mut self, quotient: Quotient, bytes: usize, count: f64) {
        self.compute(Kind::Divide, bytes, count);
        self.division += count * self.core.divider(quotient, bytes);
    }

    /// Loads, of which so many are micro-ops beside those of the instructions they are part of.
    pub(super) fn load(&mut self, bytes: usize, count: f64, issued: f64) {
        self.load += count / self.core.loads(bytes);
        self.issued += issued;
    }

    pub(super) fn store(&mut self, bytes: usize, count: f64) {
        self.store += count / self.core.stores(bytes);
        self.issued += count;
    }

    /// Instructions that no unit for vectors sees.
    pub(super) fn scalar(&mut self, count: f64) {
        self.issued += count;
    }

    /// The bound of one of so many elements of an iteration.
    pub(super) fn bound(&self, elements: usize) -> Bound {
        let of_element = |cycles: f64| (cycles / elements as f64 * 1e4).round() / 1e4;
        let [arithmetic, multiply_add] = self.ports.map(|cycles| of_element(busiest(&cycles)));
        // Little's law.
        let waited = self.issued * self.path / 2.0 / self.core.window;
        Bound {
            load: of_element(self.load),
            store: of_element(self.store),
            multiply_add,
            arithmetic,
            division: of_element(self.division),
            issue: of_element(self.issued / self.core.issue),
            latency: of_element(self.chain.max(waited)),
        }
    }
}

/// The cycles of the busiest set of ports, by the cycles of micro-ops that may use each set.
fn busiest(cycles: &[f64; 16]) -> f64 {
    let of = |set: usize| {
        let inside = (1..16).filter(|ports| ports & !set == 0);
        inside.map(|ports| cycles[ports]).sum::<f64>() / f64::from(set.count_ones())
    };
    (1..16).map(of).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_ops_take_the_ports_in_the_best_way() {
        let mut cycles = [0.0; 16];
        cycles[0b011] = 4.0;
        assert_eq!(busiest(&cycles), 2.0);
        // One of the two ports has work of its own.
        cycles[0b001] = 2.0;
        assert_eq!(busiest(&cycles), 3.0);
        cycles[0b001] = 8.0;
        assert_eq!(busiest(&cycles), 8.0);
        // A third port takes none of that.
        cycles[0b100] = 1.0;
        cycles[0b111] = 6.0;
        assert_eq!(busiest(&cycles), 8.0);
    }

    #[test]
    fn the_longest_part_bounds() {
        let bound = Bound {
            load: 1.0,
            store: 1.0,
            multiply_add: 0.5,
            arithmetic: 0.5,
            division: 0.0,
            issue: 0.75,
            latency: 0.0,
        };
        assert_eq!(bound.longest(), (Part::Load, 1.0));
        assert_eq!(Bound { latency: 2.0, ..bound }.longest(), (Part::Latency, 2.0));
    }
}
