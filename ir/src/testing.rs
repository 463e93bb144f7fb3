//! Material for tests of this and other crates: values at the edges of each dtype, and random typed functions.
//!
//! In: a dtype, or a seed and a [`Profile`]. Out: a list of [`Scalar`]s, or a verified typed [`Func`].
//!
//! Invariants: the same seed gives the same function on every machine. No integer or sign in a random function depends on
//! the bits of a NaN that arithmetic made, so each result has one right value up to [`Scalar::is_same`].

use crate::dtype::{Dtype, Kind, Scalar};
use crate::func::{Builder, ExprId, Func};
use crate::interp::apply;
use crate::op::{Op, Rule, Stage};
use crate::table::{Column, Table};

/// A small deterministic generator of random numbers (Steele, Lea and Flood's SplitMix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// Whether an event of probability 1/n happens.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A member of a list that is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A value of a dtype: from the edges, of random bits, or a small number, a third each.
    pub fn value(&mut self, dtype: Dtype) -> Scalar {
        match self.below(3) {
            0 => *self.pick(&edge_values(dtype)),
            1 => Scalar::from_bits(dtype, self.bits()),
            _ => Scalar::from_f64(dtype, (self.below(4001) as f64 - 2000.0) / 100.0),
        }
    }
}

/// What a random function is made of.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The types of parameters and of values; the parameters take them in turn. `bool` is always in.
    pub dtypes: Vec<Dtype>,
    /// The number of parameters.
    pub params: usize,
    /// The number of ops that are tried; equal ones and those not used by a result fall away.
    pub ops: usize,
    /// The number of results.
    pub results: usize,
    /// Whether ops are used that [`crate::expand`] removes (those with a meaning of their own, as `sign`).
    pub expanded: bool,
    /// Whether [`Op::Index`] is used.
    pub index: bool,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            dtypes: Dtype::ALL.to_vec(),
            params: 4,
            ops: 24,
            results: 2,
            expanded: true,
            index: false,
        }
    }
}

/// A random typed function. Two seeds give functions that differ, as a rule.
pub fn random_func(seed: u64, profile: &Profile) -> Func {
    let mut generator = Generator::new(seed, profile);
    for _ in 0..profile.ops {
        generator.add_op();
    }
    generator.finish()
}

/// Random arguments for a typed function.
pub fn random_args(rng: &mut Rng, func: &Func) -> Vec<Scalar> {
    func.param_dtypes().into_iter().map(|d| rng.value(d)).collect()
}

/// The values of a dtype where ops are easy to get wrong: zeros, ones, extremes, subnormals, infinities, NaNs of both signs,
/// halves and ties of rounding, and both sides of the range of every integer type. No two are equal.
pub fn edge_values(dtype: Dtype) -> Vec<Scalar> {
    let mut values = match dtype.kind() {
        Kind::Bool => vec![Scalar::from(false), Scalar::from(true)],
        Kind::Signed | Kind::Unsigned => edge_integers(dtype),
        Kind::Float => edge_floats(dtype),
    };
    let mut seen = std::collections::HashSet::new();
    values.retain(|v| seen.insert(*v));
    values
}

fn edge_integers(dtype: Dtype) -> Vec<Scalar> {
    let width = dtype.bits() as i128;
    let mut values: Vec<i128> = vec![0, 1, 2, 3, 5, 7, 10, 100, width - 1, width, width + 1];
    for power in [7, 8, 15, 16, 24, 31, 32, 53, 63, 64] {
        values.extend([(1 << power) - 1, 1 << power, (1 << power) + 1]);
    }
    values.extend([0x5555_5555_5555_5555, 0x0123_4567_89ab_cdef, 0x8000_0080_0000_0001]);
    // What lies outside the type wraps into it: more values, and the extremes are among them.
    let both_signs = values.iter().flat_map(|&v| [v, -v]);
    both_signs.map(|v| Scalar::from_i128(dtype, v)).collect()
}

fn edge_floats(dtype: Dtype) -> Vec<Scalar> {
    let mantissa = match dtype {
        Dtype::F16 => 10,
        Dtype::Bf16 => 7,
        Dtype::F32 => 23,
        _ => 52,
    };
    let mut magnitudes = vec![
        0.0,
        1.0,
        2.0,
        3.0,
        10.0,
        0.1,
        1.0 / 3.0,
        0.75,
        3.9,
        100.5,
        1e-3,
        1e10,
        1e30,
        1e300,
    ];
    // Ties of `round`, and their neighbours.
    magnitudes.extend([
        0.5,
        1.5,
        2.5,
        3.5,
        0.5f64.next_down(),
        0.49999997,
        0.5f64.next_up(),
        1.5f64.next_down(),
    ]);
    // The last bits at one, and where the fraction and the last integer bit end.
    let ulp = 2f64.powi(-mantissa);
    magnitudes.extend([1.0 + ulp, 1.0 - ulp / 2.0, 2.0 - ulp]);
    for power in [mantissa - 1, mantissa, mantissa + 1] {
        let integer = 2f64.powi(power);
        magnitudes.extend([integer - 0.5, integer + 0.5, integer - 1.0, integer + 1.0]);
    }
    // Ties of the casts to 16 bits: at one, at the overflow and at the underflow of f16, at one of bf16.
    magnitudes.extend([
        1.0 + 2f64.powi(-11),
        1.0 + 3.0 * 2f64.powi(-11),
        65504.0,
        65519.996,
        65520.0,
    ]);
    magnitudes.extend([
        2f64.powi(-24),
        2f64.powi(-25),
        2f64.powi(-25) * (1.0 + 2f64.powi(-20)),
        2f64.powi(-14),
    ]);
    magnitudes.extend([
        1.0 + 2f64.powi(-8),
        1.0 + 3.0 * 2f64.powi(-8),
        3.4e38,
        3.4028235677973366e38,
    ]);
    // Both sides of the range of every integer type.
    for power in [7, 8, 15, 16, 31, 32, 63, 64] {
        let bound = 2f64.powi(power);
        magnitudes.extend([
            bound - 1.0,
            bound - 0.5,
            bound * (1.0 - ulp / 2.0),
            bound,
            bound * (1.0 + ulp),
            bound + 1.0,
        ]);
    }
    let mut values: Vec<Scalar> = magnitudes
        .iter()
        .flat_map(|&m| [m, -m])
        .map(|v| Scalar::from_f64(dtype, v))
        .collect();
    // By bits: the subnormals' ends, the first normal, the greatest number, infinity, and a quiet and a signalling NaN.
    let sign = 1u64 << (dtype.bits() - 1);
    let infinity = (sign - 1) & !((1 << mantissa) - 1);
    let first_normal = 1u64 << mantissa;
    let quiet = infinity | (first_normal >> 1);
    for bits in [
        1,
        2,
        first_normal - 1,
        first_normal,
        first_normal + 1,
        infinity - 1,
        infinity,
        quiet,
        quiet + 1,
        infinity + 1,
    ] {
        values.extend([Scalar::from_bits(dtype, bits), Scalar::from_bits(dtype, bits | sign)]);
    }
    values
}

/// A value of a function under construction.
#[derive(Clone, Copy)]
struct Value {
    id: ExprId,
    /// Whether even the bits of a NaN are specified, so that `bitcast` and the sign of `copysign` may look at them.
    exact: bool,
}

struct Generator<'p> {
    profile: &'p Profile,
    rng: Rng,
    builder: Builder,
    values: Vec<Value>,
    /// The types values may have.
    dtypes: Vec<Dtype>,
}

impl<'p> Generator<'p> {
    fn new(seed: u64, profile: &'p Profile) -> Generator<'p> {
        let mut builder = Builder::typed(format!("random_{seed}"));
        let mut values = Vec::new();
        for i in 0..profile.params {
            let dtype = profile.dtypes[i % profile.dtypes.len()];
            let param = builder.param(format!("x{i}"), Some(dtype));
            values.push(Value { id: param, exact: true });
            if dtype.is_storage_only() {
                let id = builder.cast(param, Dtype::F32);
                values.push(Value { id, exact: false });
            }
        }
        let mut dtypes: Vec<Dtype> = profile.dtypes.iter().map(|d| d.compute()).collect();
        dtypes.push(Dtype::Bool);
        Generator {
            profile,
            rng: Rng::new(seed),
            builder,
            values,
            dtypes,
        }
    }

    fn add_op(&mut self) {
        let dtype = *self.rng.pick(&self.dtypes);
        match self.rng.below(10) {
            0 if self.profile.index && self.dtypes.contains(&Dtype::I64) => {
                let id = self.builder.node(Op::Index, &[]);
                self.values.push(Value { id, exact: true });
            }
            0 | 1 => {
                let from = *self.rng.pick(&self.values);
                let id = self.builder.cast(from.id, dtype);
                let exact = from.id == id && from.exact || !dtype.is_float();
                self.values.push(Value { id, exact });
            }
            2 if self.rng.one_in(3) => self.add_lookup(),
            2 => self.add_bitcast(dtype),
            _ => self.add_table_op(dtype),
        }
    }

    fn add_bitcast(&mut self, to: Dtype) {
        let from = *self.rng.pick(&self.values);
        let legal = Op::Bitcast(to).result_dtype(&[self.builder.dtype(from.id)]);
        if from.exact && legal.is_some() {
            let id = self.builder.node(Op::Bitcast(to), &[from.id]);
            self.values.push(Value { id, exact: true });
        }
    }

    fn add_lookup(&mut self) {
        let tables: Vec<&Table> = Table::all().collect();
        let table = *self.rng.pick(&tables);
        let index = table.dtype().to_unsigned();
        if [table.dtype(), index].iter().all(|d| self.dtypes.contains(d)) {
            let columns: Vec<Column> = table.columns().collect();
            let (column, index) = (*self.rng.pick(&columns), self.operand(index));
            let id = self.builder.node(Op::Lookup(column), &[index.id]);
            self.values.push(Value { id, exact: true });
        }
    }

    fn add_table_op(&mut self, dtype: Dtype) {
        let op = *self.rng.pick(Op::ALL);
        let dtypes = operand_dtypes(op, dtype);
        let zeros: Vec<Scalar> = dtypes.iter().map(|&d| Scalar::from_bits(d, 0)).collect();
        let wanted = self.profile.expanded || op.stage_for(dtype) == Stage::Basic;
        if !wanted || apply(&op, &zeros).is_none() {
            return;
        }
        let operands: Vec<Value> = dtypes.iter().map(|&d| self.operand(d)).collect();
        if op == Op::Copysign && !operands[1].exact {
            return;
        }
        let moves_bits = matches!(op, Op::Neg | Op::Abs | Op::Copysign | Op::Select | Op::Rare);
        let ids: Vec<ExprId> = operands.iter().map(|v| v.id).collect();
        let id = self.builder.node(op, &ids);
        let exact = !self.builder.dtype(id).is_float() || moves_bits && operands.iter().all(|v| v.exact);
        self.values.push(Value { id, exact });
    }

    /// A value of this type: mostly a recent one, so that functions grow deep, and sometimes a constant.
    fn operand(&mut self, dtype: Dtype) -> Value {
        let known: Vec<Value> = self
            .values
            .iter()
            .copied()
            .filter(|v| self.builder.dtype(v.id) == dtype)
            .collect();
        if known.is_empty() || self.rng.one_in(5) {
            let value = self.rng.value(dtype);
            let id = self.builder.constant(value);
            return Value { id, exact: true };
        }
        let recent = known.len().saturating_sub(4);
        if self.rng.one_in(2) {
            *self.rng.pick(&known[recent..])
        } else {
            *self.rng.pick(&known)
        }
    }

    fn finish(mut self) -> Func {
        let mut results = Vec::new();
        for i in 0..self.profile.results {
            let recent = self.values.len().saturating_sub(1 + 2 * i);
            let mut id = self.values.get(recent).or(self.values.first()).map(|v| v.id);
            if id.is_none() {
                id = Some(self.builder.constant(0i64));
            }
            results.extend(id.map(|id| self.stored(id)));
        }
        self.builder.finish(&results)
    }

    /// The value, or its rounding to a storage type of the profile.
    fn stored(&mut self, id: ExprId) -> ExprId {
        let dtype = *self.rng.pick(&self.profile.dtypes);
        if self.builder.dtype(id) == Dtype::F32 && dtype.is_storage_only() {
            self.builder.cast(id, dtype)
        } else {
            id
        }
    }
}

/// The function of an op alone, on parameters of these dtypes; `None` where its type rule refuses them.
pub fn single_op(op: Op, dtypes: &[Dtype]) -> Option<Func> {
    op.result_dtype(dtypes)?;
    let mut b = Builder::typed(op.name());
    let params: Vec<_> = ["x", "y", "z"]
        .iter()
        .zip(dtypes)
        .map(|(&name, &dtype)| b.param(name, Some(dtype)))
        .collect();
    let result = b.node(op, &params);
    Some(b.finish(&[result]))
}

/// The basic ops that each element pays for, without constants and bitcasts.
pub fn operations(func: &Func) -> usize {
    let is_free = |op: Op| matches!(op, Op::Param(_) | Op::Const(_) | Op::Bitcast(_));
    let nodes = func.nodes().iter().zip(func.always_needed());
    nodes.filter(|(node, needed)| *needed && !is_free(node.op)).count()
}

/// The types of the operands of an op that computes in `dtype`.
pub fn operand_dtypes(op: Op, dtype: Dtype) -> Vec<Dtype> {
    let mut dtypes = vec![dtype; op.arity()];
    match op.rule() {
        Rule::Select => dtypes[0] = Dtype::Bool,
        Rule::Scale => dtypes[1] = dtype.to_signed(),
        _ => {}
    }
    dtypes
}
