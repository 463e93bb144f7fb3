//! Patterns: values made by several ops that one instruction makes too, to the bit.
//!
//! In: a function. Out: per node, what computes it from which other nodes, where that is not its own op; ops that nothing else
//! needs then fall away.
//!
//! `if a < b { a } else { b }` is what the processor calls a minimum, whatever the operands. The power of two that an expansion
//! multiplies last, in two steps so that a subnormal result is rounded once, is `vscalef` as long as nothing is lost before the
//! last step. Whether that is so depends on how large the factors can be; [`bounds`] proves it, and where it cannot the ops stay.

use loopweave_ir::{Dtype, ExprId, Func, Op};
use smallvec::{SmallVec, smallvec};

use super::isa::Isa;

/// An instruction for several ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The first operand if it is less than the second, else the second.
    Lesser,
    /// The first operand if it is greater than the second, else the second.
    Greater,
    /// The first operand times two to the power of the second, rounded once.
    Scale,
    /// ±a · b ± c, rounded once.
    Fma(Signs),
    /// For each bit, the entry of a table that the bits of the three operands select, the first as the highest.
    Logic(u8),
}

/// Which terms of a multiply-add are negated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    pub(super) product: bool,
    pub(super) sum: bool,
}

/// A pattern and its operands.
pub(super) type Found = (Pattern, SmallVec<[ExprId; 3]>);

/// The patterns in a function, by node.
pub(super) fn find(func: &Func, isa: Isa) -> Vec<Option<Found>> {
    let mut bounds = None;
    let mut all_uses = uses(func, |_| true);
    func.results().iter().for_each(|id| all_uses[id.index()] += 1);
    let sums = uses(func, |op| op == Op::Fma);
    let pattern = |(id, node): (ExprId, &loopweave_ir::func::Node)| match node.op {
        Op::Select => extremum(func, &node.args),
        Op::Fma if isa == Isa::Avx512 && func.dtype(id).is_float() => {
            negated(func, &node.args, |id| all_uses[id.index()] == sums[id.index()])
        }
        Op::And | Op::Or | Op::Xor if isa == Isa::Avx512 => logic(func, id, &all_uses),
        Op::Mul if isa == Isa::Avx512 && func.dtype(id).is_float() => {
            let scaled = Scaled::of(func, id)?;
            let bounds = bounds.get_or_insert_with(|| self::bounds(func));
            scaled
                .is_exact(func, bounds)
                .then(|| (Pattern::Scale, smallvec![scaled.value, scaled.power]))
        }
        _ => None,
    };
    func.iter().map(pattern).collect()
}

/// How often each node is an operand of such ops.
fn uses(func: &Func, by: impl Fn(Op) -> bool) -> Vec<u32> {
    let mut uses = vec![0; func.nodes().len()];
    let users = func.nodes().iter().filter(|node| by(node.op));
    users
        .flat_map(|node| node.args.iter())
        .for_each(|id| uses[id.index()] += 1);
    uses
}

/// A multiply-add of floats that are negated for the sake of such sums alone: else the negated value is there
/// anyway. With AVX2 it is left, as a third port takes it and the values wait in fewer registers.
fn negated(func: &Func, args: &[ExprId], serves_sums: impl Fn(ExprId) -> bool) -> Option<Found> {
    let mut operands: SmallVec<[ExprId; 3]> = args.into();
    let mut is_negated = [false; 3];
    for (operand, is_negated) in operands.iter_mut().zip(&mut is_negated) {
        if func.node(*operand).op == Op::Neg && serves_sums(*operand) {
            (*operand, *is_negated) = (func.node(*operand).args[0], true);
        }
    }
    let [a, b, sum] = is_negated;
    let signs = Signs { product: a != b, sum };
    is_negated.contains(&true).then_some((Pattern::Fma(signs), operands))
}

/// A function of three words' bits made of two ops, of which the first serves the second alone.
fn logic(func: &Func, id: ExprId, uses: &[u32]) -> Option<Found> {
    /// The bits of the three operands in the places of a table.
    const BITS: [u8; 3] = [0xf0, 0xcc, 0xaa];
    let apply = |op: Op, x: u8, y: u8| match op {
        Op::And => Some(x & y),
        Op::Or => Some(x | y),
        Op::Xor => Some(x ^ y),
        _ => None,
    };
    let node = func.node(id);
    if func.dtype(id) == Dtype::Bool {
        return None;
    }
    (0..2).find_map(|i| {
        let (inner, other) = (func.node(node.args[i]), node.args[1 - i]);
        if uses[node.args[i].index()] != 1 || inner.args.len() != 2 {
            return None;
        }
        // A constant comes last, where it may be in memory.
        let mut operands = [(other, true), (inner.args[0], false), (inner.args[1], false)];
        operands.sort_by_key(|(operand, _)| matches!(func.node(*operand).op, Op::Const(_)));
        let bits = |of_inner: bool| {
            (0..3)
                .filter(move |&at: &usize| operands[at].1 != of_inner)
                .map(|at| BITS[at])
        };
        let mut pair = bits(true);
        let first = apply(inner.op, pair.next()?, pair.next()?)?;
        let table = apply(node.op, first, bits(false).next()?)?;
        Some((
            Pattern::Logic(table),
            operands.iter().map(|(operand, _)| *operand).collect(),
        ))
    })
}

/// The choice between two floats by their order.
fn extremum(func: &Func, args: &[ExprId]) -> Option<Found> {
    let (condition, chosen) = (func.node(args[0]), [args[1], args[2]]);
    if !func.dtype(chosen[0]).is_float() {
        return None;
    }
    let is_first = match *condition.args {
        [a, b] if [a, b] == chosen => true,
        [a, b] if [b, a] == chosen => false,
        _ => return None,
    };
    match (condition.op, is_first) {
        (Op::Lt, true) | (Op::Gt, false) => Some((Pattern::Lesser, SmallVec::from_slice(&chosen))),
        (Op::Gt, true) | (Op::Lt, false) => Some((Pattern::Greater, SmallVec::from_slice(&chosen))),
        _ => None,
    }
}

/// `value · 2^⌊power / 2⌋ · 2^⌈power / 2⌉`, each power of two made from the bits of its exponent.
struct Scaled {
    value: ExprId,
    power: ExprId,
    /// What `power` is made from: NaN if this is.
    argument: ExprId,
}

/// The exponent's bias, the bits of the significand, and 1.5 · 2^bits, which leaves an integer in its low bits.
fn format(dtype: Dtype) -> (i64, u32, f64) {
    let (bias, bits) = if dtype == Dtype::F32 { (127, 23) } else { (1023, 52) };
    (bias, bits, 1.5 * (1u64 << bits) as f64)
}

/// The bits of [`format`]'s great number.
fn magic_bits(dtype: Dtype, magic: f64) -> u64 {
    match dtype {
        Dtype::F32 => (magic as f32).to_bits().into(),
        _ => magic.to_bits(),
    }
}

impl Scaled {
    fn of(func: &Func, product: ExprId) -> Option<Scaled> {
        let (bias, bits, magic) = format(func.dtype(product));
        let [once, upper] = operands(func, product, Op::Mul)?;
        let [value, lower] = operands(func, once, Op::Mul)?;
        // 2^e from e plus the bias.
        let exponent = |power: ExprId| {
            let node = func.node(power);
            let [exponent, shift] = match node.op {
                Op::Bitcast(_) => operands(func, node.args[0], Op::Shl)?,
                _ => return None,
            };
            is_int(func, shift, bits.into()).then_some(exponent)
        };
        let half = exponent(lower)?;
        let [biased, other] = operands(func, exponent(upper)?, Op::Sub)?;
        let [halved, one] = operands(func, half, Op::Shr)?;
        let [bitcast, offset] = operands(func, biased, Op::Sub)?;
        let Op::Bitcast(_) = func.node(bitcast).op else {
            return None;
        };
        let shifted = func.node(bitcast).args[0];
        let expected = magic_bits(func.dtype(product), magic).wrapping_sub(2 * bias as u64);
        if (other, halved) != (half, biased) || !is_int(func, one, 1) || !is_int(func, offset, expected) {
            return None;
        }
        let power = |(id, node): (ExprId, &loopweave_ir::func::Node)| {
            (node.op == Op::Sub && node.args[0] == shifted && Rounded::of(func, id).is_some()).then_some(id)
        };
        let power = func.iter().find_map(power)?;
        let argument = Rounded::of(func, power)?.argument;
        Some(Scaled { value, power, argument })
    }

    /// Whether the product is that of one multiplication by a power of two: the first step loses nothing, both steps' factors
    /// are normal, and a NaN comes out as one.
    fn is_exact(&self, func: &Func, bounds: &[Bounds]) -> bool {
        /// The binary exponents of the value lie between this and its negative.
        const VALUE: i32 = 40;
        let (bias, ..) = format(func.dtype(self.value));
        let (low, high) = bounds[self.value.index()];
        let limit = 2f64.powi(VALUE);
        let is_moderate = |low: f64, high: f64| low >= 1.0 / limit && high <= limit;
        let most = 2.0 * (bias as f64 - f64::from(VALUE) - 2.0);
        let (least_power, greatest_power) = bounds[self.power.index()];
        (is_moderate(low, high) || is_moderate(-high, -low))
            && least_power >= -most
            && greatest_power <= most
            && is_nan_with(func, self.value, self.argument)
    }
}

/// The integer nearest to `argument · factor`, from adding and subtracting [`format`]'s great number.
struct Rounded {
    argument: ExprId,
    factor: f64,
}

impl Rounded {
    fn of(func: &Func, id: ExprId) -> Option<Rounded> {
        let (_, _, magic) = format(func.dtype(id));
        let is_magic = |id| float(func, id) == Some(magic);
        let [shifted, taken] = operands(func, id, Op::Sub)?;
        let node = func.node(shifted);
        match *node.args {
            [argument, added] if node.op == Op::Add && is_magic(added) && is_magic(taken) => {
                Some(Rounded { argument, factor: 1.0 })
            }
            [argument, factor, added] if node.op == Op::Fma && is_magic(added) && is_magic(taken) => {
                let factor = float(func, factor)?;
                Some(Rounded { argument, factor })
            }
            _ => None,
        }
    }
}

/// The least and the greatest value, wherever it is not a NaN.
type Bounds = (f64, f64);

const UNKNOWN: Bounds = (f64::NEG_INFINITY, f64::INFINITY);

/// The bounds of every float of a function, wider than needed.
fn bounds(func: &Func) -> Vec<Bounds> {
    let mut known: Vec<Bounds> = Vec::with_capacity(func.nodes().len());
    for (id, node) in func.iter() {
        let of = |i: usize| known[node.args[i].index()];
        let is_float = node.dtype.is_some_and(Dtype::is_float);
        known.push(match node.op {
            _ if !is_float => UNKNOWN,
            Op::Const(value) if !value.is_nan() => (value.as_f64(), value.as_f64()),
            Op::Neg => (-of(0).1, -of(0).0),
            Op::Abs => (0.0, of(0).1.max(-of(0).0)),
            Op::Add => sum(of(0), of(1)),
            Op::Sub => rounded(func, id, &known)
                .or_else(|| remainder(func, node.args[1], 1.0, node.args[0], &known))
                .or_else(|| lost(func, node.args[0], node.args[1], &known))
                .unwrap_or_else(|| sum(of(0), (-of(1).1, -of(1).0))),
            Op::Mul => product(of(0), of(1)),
            Op::Fma => float(func, node.args[1])
                .and_then(|unit| remainder(func, node.args[0], -unit, node.args[2], &known))
                .unwrap_or_else(|| sum(product(of(0), of(1)), of(2))),
            Op::Select => match extremum(func, &node.args).filter(|_| float(func, node.args[1]).is_some()) {
                // The first is a number, so where one is a NaN it is the second, which then is the result.
                Some((Pattern::Lesser, _)) => (of(1).0.min(of(2).0), of(1).1.min(of(2).1)),
                Some((Pattern::Greater, _)) => (of(1).0.max(of(2).0), of(1).1.max(of(2).1)),
                _ => (of(1).0.min(of(2).0), of(1).1.max(of(2).1)),
            },
            Op::Rare => (of(1).0.min(of(2).0), of(1).1.max(of(2).1)),
            _ => UNKNOWN,
        });
    }
    known
}

/// The bounds of an integer nearest to a product.
fn rounded(func: &Func, id: ExprId, known: &[Bounds]) -> Option<Bounds> {
    let Rounded { argument, factor } = Rounded::of(func, id)?;
    let (_, bits, _) = format(func.dtype(id));
    let (low, high) = product(known[argument.index()], (factor, factor));
    let fits = low.abs().max(high.abs()) < f64::from(1u32 << (bits.min(31) - 2));
    fits.then_some((low - 1.0, high + 1.0))
}

/// The bounds of x − k·h, where k is the integer nearest to x·f and h nearly 1/f: Cody and Waite's reduction.
fn remainder(func: &Func, k: ExprId, unit: f64, x: ExprId, known: &[Bounds]) -> Option<Bounds> {
    let Rounded { argument, factor } = Rounded::of(func, k)?;
    rounded(func, k, known)?;
    let (low, high) = known[x.index()];
    let most = low.abs().max(high.abs()) * (1.0 - unit * factor).abs() + 0.51 * unit.abs();
    (argument == x).then_some((-most, most))
}

/// The bounds of x − (x + k·c), the sum rounded once: −k·c but for that rounding.
fn lost(func: &Func, x: ExprId, sum: ExprId, known: &[Bounds]) -> Option<Bounds> {
    let node = func.node(sum);
    let [k, factor, added] = *node.args else { return None };
    let factor = float(func, factor).filter(|_| node.op == Op::Fma && added == x)?;
    let (low, high) = known[sum.index()];
    let rounding = low.abs().max(high.abs()) * 1e-6;
    Some(self::sum(
        product(known[k.index()], (-factor, -factor)),
        (-rounding, rounding),
    ))
}

fn sum(a: Bounds, b: Bounds) -> Bounds {
    widened(a.0 + b.0, a.1 + b.1)
}

fn product(a: Bounds, b: Bounds) -> Bounds {
    let all = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
    match all.iter().any(|p| p.is_nan()) {
        true => UNKNOWN,
        false => widened(
            all.into_iter().fold(f64::INFINITY, f64::min),
            all.into_iter().fold(f64::NEG_INFINITY, f64::max),
        ),
    }
}

/// Bounds of what rounding, there and here, makes of values between these.
fn widened(low: f64, high: f64) -> Bounds {
    let room = |x: f64| x.abs() * 1e-6 + 1e-36;
    match low.is_nan() || high.is_nan() {
        true => UNKNOWN,
        false => (low - room(low), high + room(high)),
    }
}

/// Whether a value is a NaN whenever another one is.
fn is_nan_with(func: &Func, value: ExprId, other: ExprId) -> bool {
    let mut follows = vec![false; func.nodes().len()];
    for (id, node) in func.iter() {
        let of = |i: usize| follows[node.args[i].index()];
        follows[id.index()] = match node.op {
            _ if id == other => true,
            Op::Neg | Op::Abs => of(0),
            Op::Add | Op::Sub | Op::Mul | Op::Fma => (0..node.args.len()).any(of),
            Op::Select | Op::Rare => of(1) && of(2),
            _ => false,
        };
    }
    follows[value.index()]
}

/// The two operands of a node of this op.
fn operands(func: &Func, id: ExprId, op: Op) -> Option<[ExprId; 2]> {
    let node = func.node(id);
    match *node.args {
        [a, b] if node.op == op => Some([a, b]),
        _ => None,
    }
}

/// The value of a float constant.
fn float(func: &Func, id: ExprId) -> Option<f64> {
    match func.node(id).op {
        Op::Const(value) => Some(value.as_f64()),
        _ => None,
    }
}

fn is_int(func: &Func, id: ExprId, bits: u64) -> bool {
    matches!(func.node(id).op, Op::Const(value) if value.bits() == bits)
}

#[cfg(test)]
mod tests {
    use loopweave_ir::Builder;
    use loopweave_ir::expand::expand;

    use super::*;

    fn patterns(op: Op, dtype: Dtype) -> Vec<Pattern> {
        let mut b = Builder::typed("f");
        let x = b.param("x", Some(dtype));
        let y = b.node(op, &[x]);
        let func = expand(&b.finish(&[y])).unwrap();
        let found = find(&func, Isa::Avx512);
        found.into_iter().flatten().map(|(pattern, _)| pattern).collect()
    }

    #[test]
    fn exponentials_are_scaled_by_one_instruction() {
        for dtype in [Dtype::F32, Dtype::F64] {
            for op in [Op::Exp, Op::Exp2, Op::Exp10] {
                assert!(patterns(op, dtype).contains(&Pattern::Scale), "{op:?} {dtype:?}");
            }
            let exp = patterns(Op::Exp, dtype);
            assert_eq!(exp, [Pattern::Lesser, Pattern::Greater, Pattern::Scale]);
        }
    }

    /// Negations go into the sums, and the sign that is put on last is one op of three words.
    #[test]
    fn negations_and_signs_take_no_instruction_of_their_own() {
        let asinh = patterns(Op::Asinh, Dtype::F64);
        let negated = Signs {
            product: true,
            sum: false,
        };
        let count = |pattern| asinh.iter().filter(|p| **p == pattern).count();
        assert_eq!(count(Pattern::Fma(negated)), 3);
        // magnitude | (x & sign)
        assert_eq!(count(Pattern::Logic(0xf8)), 1);
    }

    /// Without the clamp the power of two is not known to be small.
    #[test]
    fn a_power_of_unknown_size_stays() {
        let (bias, bits, magic) = format(Dtype::F32);
        let mut b = Builder::typed("f");
        let (x, y) = (b.param("x", Some(Dtype::F32)), b.param("y", Some(Dtype::F32)));
        let great = b.float(Dtype::F32, magic);
        let shifted = b.node(Op::Add, &[x, great]);
        let k = b.node(Op::Sub, &[shifted, great]);
        let word = |b: &mut Builder, v: u64| b.constant(loopweave_ir::Scalar::from_bits(Dtype::U32, v));
        let offset = word(&mut b, magic_bits(Dtype::F32, magic) - 2 * bias as u64);
        let raw = b.node(Op::Bitcast(Dtype::U32), &[shifted]);
        let biased = b.node(Op::Sub, &[raw, offset]);
        let one = word(&mut b, 1);
        let half = b.node(Op::Shr, &[biased, one]);
        let rest = b.node(Op::Sub, &[biased, half]);
        let shift = word(&mut b, bits.into());
        let mut value = y;
        for part in [half, rest] {
            let exponent = b.node(Op::Shl, &[part, shift]);
            let power = b.node(Op::Bitcast(Dtype::F32), &[exponent]);
            value = b.node(Op::Mul, &[value, power]);
        }
        let func = b.finish(&[value, k]);
        assert!(Scaled::of(&func, func.results()[0]).is_some());
        assert!(find(&func, Isa::Avx512).iter().all(Option::is_none));
    }
}
