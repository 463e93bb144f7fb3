//! The loop of a fold that looks for extrema.
//!
//! In: accumulators and elements. Out: the greater or lesser numbers, and beside them, whether any was a NaN.
//!
//! `maximum` is a NaN where either operand is, which no instruction gives; the one that orders zeros leaves NaNs out. A loop
//! does not need to know before its end, so it takes three instructions for two vectors instead of six: the extremum of each, and
//! one comparison of the two, which says of a lane whether both were numbers. That takes the maximum of 64k f32 values from 2.7
//! µs to 2.0.

use loopweave_ir::{Dtype, Func, Op, Scalar};

use super::asm::{Arg, Inst, Reg};
use super::fold::Set;
use super::isa::{self, Isa};
use super::lanes::{Lanes, Selected, Selector};

/// The most masks of a loop: as many as leave some to the elements.
const MASKS: usize = 4;
/// The predicate of a comparison: neither is a NaN.
const ORDERED: u8 = 7;

/// The extrema that a combiner consists of, one for each accumulator, if it is of floats and such.
pub(super) fn of(combine: &Func, isa: Isa, sets: usize) -> Option<Vec<Op>> {
    let k = combine.results().len();
    let masks = k * sets.div_ceil(2);
    let extremum = |(i, &result): (usize, &loopweave_ir::ExprId)| {
        let node = combine.node(result);
        let is_param = |arg: usize, p: usize| combine.node(node.args[arg]).op == Op::Param(p as u32);
        let is_extremum = matches!(node.op, Op::Minimum | Op::Maximum) && combine.dtype(result).is_float();
        (is_extremum && is_param(0, i) && is_param(1, k + i)).then_some(node.op)
    };
    (isa == Isa::Avx512 && masks <= MASKS)
        .then(|| combine.results().iter().enumerate().map(extremum).collect())
        .flatten()
}

impl Selector {
    /// The extrema of two sets, as far as they are numbers.
    pub(super) fn extrema(&mut self, ops: &[Op], a: &[Lanes], b: &[Lanes]) -> Selected<Set> {
        let mut set = Set::with_capacity(a.len());
        for ((&op, a), b) in ops.iter().zip(a).zip(b) {
            let (x, y) = (self.reg(a), self.reg(b));
            set.push(Lanes::new(a.dtype, self.number_extremum(op, a.dtype, x, y)?));
        }
        Ok(set)
    }

    /// For each accumulator and pair of sets the lanes that hold numbers in both, of those that did `before`.
    pub(super) fn numbers(&mut self, sets: &[Set], before: Option<&[Reg]>) -> Selected<Vec<Reg>> {
        let mut masks = Vec::new();
        for accumulator in 0..sets[0].len() {
            for pair in sets.chunks(2) {
                let values = [pair[0][accumulator], pair[pair.len() - 1][accumulator]];
                let dtype = values[0].dtype;
                let row = if dtype == Dtype::F32 { isa::CMP_PS } else { isa::CMP_PD };
                let code = self.code(row, self.register_bytes(dtype.size()), Op::Maximum)?;
                let [x, y] = values.map(|v| self.reg(&v));
                let to = self.asm.mask();
                let mut compare = Inst::new(code, &[Arg::Def(to), Arg::Use(x), Arg::Use(y), Arg::Byte(ORDERED)]);
                if let Some(before) = before {
                    compare = compare.merging(before[masks.len()]);
                }
                self.asm.push(compare);
                masks.push(to);
            }
        }
        Ok(masks)
    }

    /// The sets with a NaN for each that was left out.
    pub(super) fn with_nans(&mut self, mut sets: Vec<Set>, masks: &[Reg]) -> Selected<Vec<Set>> {
        let pairs = sets.len().div_ceil(2);
        for (i, &mask) in masks.iter().enumerate() {
            let value = &mut sets[2 * (i % pairs)][i / pairs];
            let dtype = value.dtype;
            let nan = self.constant(Scalar::from_f64(dtype, f64::NAN));
            let choice = [Lanes::new(Dtype::Bool, mask), *value, nan];
            *value = self.op(Op::Select, dtype, &choice, &[false; 3])?;
        }
        Ok(sets)
    }
}
