//! The interpreter: the living definition of every op, and the evaluation of a typed function on one element.
//!
//! In: an op and the values of its operands ([`apply`]), or a typed [`Func`] and its arguments ([`eval`], [`Evaluator`]).
//! Out: values, bit for bit those of compiled code; a NaN that arithmetic made has whatever sign and payload the host gave
//! it, so results are compared with [`Scalar::is_same`].
//!
//! An op has its meaning here or its meaning is its expansion: transcendental functions and the power of floats are
//! *defined* as what [`crate::expand`] writes for them, and evaluating one unexpanded is an error that names it. The simple
//! expanded ops (`sign`, `floor_div`, `fmin` …) are defined here too, and their expansions must agree with this file.
//!
//! Invariant: nothing here panics or traps, whatever the values.

use std::ops::Neg;

use half::{bf16, f16};
use smallvec::SmallVec;

use crate::dtype::{Dtype, Element, Kind, Scalar};
use crate::func::{ExprId, Func};
use crate::op::{Op, functions};

/// Why a function has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The function has no types yet.
    #[error("the function is polymorphic: it has a value only once its types are inferred")]
    Polymorphic,
    /// The meaning of an op is its expansion, which was not done.
    #[error("{id}: `{op}` of {dtype} is evaluated only after it is expanded into basic ops", op = op.name())]
    NotExpanded {
        /// The node.
        id: ExprId,
        /// Its op.
        op: Op,
        /// The type of its result.
        dtype: Dtype,
    },
    /// A node's operands break the strict type rule of its op.
    #[error("{id}: `{op}` does not take operands of these types", op = op.name())]
    IllTyped {
        /// The node.
        id: ExprId,
        /// Its op.
        op: Op,
    },
    /// Too few or too many arguments.
    #[error("the function takes {expected} arguments but was given {found}")]
    ArgumentCount {
        /// How many parameters there are.
        expected: usize,
        /// How many arguments came.
        found: usize,
    },
    /// An argument of another type than its parameter.
    #[error("argument {index} is {found} but its parameter is {expected}")]
    ArgumentType {
        /// Which argument, from 0.
        index: usize,
        /// The parameter's type.
        expected: Dtype,
        /// The argument's type.
        found: Dtype,
    },
}

/// The value of an op on these operands.
///
/// `None` where the op has no value of its own (`Param`, `Literal`, `Index`), where its meaning is its expansion, and where
/// the operands break its strict type rule ([`Op::result_dtype`]).
///
/// ```
/// use loopweave_ir::{Op, Scalar, interp::apply};
/// assert_eq!(apply(&Op::Add, &[Scalar::from(250u8), Scalar::from(10u8)]), Some(Scalar::from(4u8)));
/// assert_eq!(apply(&Op::Minimum, &[Scalar::from(0.0f32), Scalar::from(-0.0f32)]), Some(Scalar::from(-0.0f32)));
/// assert_eq!(apply(&Op::Exp, &[Scalar::from(1.0f32)]), None);
/// ```
pub fn apply(op: &Op, args: &[Scalar]) -> Option<Scalar> {
    let dtypes: SmallVec<[Dtype; 3]> = args.iter().map(|a| a.dtype()).collect();
    op.result_dtype(&dtypes)?;
    value(*op, args)
}

/// The results of a typed function on these arguments, at this position of the reduced axes (what [`Op::Index`] reads).
///
/// For many elements prepare an [`Evaluator`] once.
///
/// ```
/// use loopweave_ir::{Builder, Dtype, Op, Scalar, interp::eval};
/// let mut b = Builder::typed("axpy");
/// let [a, x, y] = ["a", "x", "y"].map(|name| b.param(name, Some(Dtype::F32)));
/// let sum = b.node(Op::Fma, &[a, x, y]);
/// let axpy = b.finish(&[sum]);
/// let args = [2.0f32, 3.0, 0.5].map(Scalar::from);
/// assert_eq!(eval(&axpy, &args, 0), Ok(vec![Scalar::from(6.5f32)]));
/// ```
///
/// # Errors
/// As [`Evaluator::new`] and [`Evaluator::eval`].
pub fn eval(func: &Func, args: &[Scalar], index: i64) -> Result<Vec<Scalar>, EvalError> {
    let mut evaluator = Evaluator::new(func)?;
    Ok(evaluator.eval(args, index)?.to_vec())
}

/// A typed function made ready to be evaluated once per element: checked once, its constants in place, and no allocation
/// per call.
#[derive(Clone, Debug)]
pub struct Evaluator<'f> {
    func: &'f Func,
    /// One value per node. Those of constants never change; the others are of the last call.
    values: Vec<Scalar>,
    results: Vec<Scalar>,
}

impl<'f> Evaluator<'f> {
    /// Prepares a function.
    ///
    /// # Errors
    /// If the function is polymorphic, or has an op without a meaning of its own.
    pub fn new(func: &'f Func) -> Result<Evaluator<'f>, EvalError> {
        if !func.is_typed() {
            return Err(EvalError::Polymorphic);
        }
        let mut values: Vec<Scalar> = Vec::with_capacity(func.nodes().len());
        for (id, node) in func.iter() {
            let dtype = func.dtype(id);
            let zero = match node.op {
                Op::Param(_) | Op::Index => Scalar::from_bits(dtype, 0),
                // Whether an op has a meaning depends on the types alone, so one trial on the values so far tells.
                op => {
                    let args: SmallVec<[Scalar; 3]> = node.args.iter().map(|a| values[a.index()]).collect();
                    let dtypes: SmallVec<[Dtype; 3]> = args.iter().map(|a| a.dtype()).collect();
                    if op.result_dtype(&dtypes) != Some(dtype) {
                        return Err(EvalError::IllTyped { id, op });
                    }
                    value(op, &args).ok_or(EvalError::NotExpanded { id, op, dtype })?
                }
            };
            values.push(zero);
        }
        let results = func.results().iter().map(|r| values[r.index()]).collect();
        Ok(Evaluator { func, values, results })
    }

    /// The results on these arguments, in order; they stand until the next call.
    ///
    /// # Errors
    /// If the number or a type of the arguments is not the parameters'.
    pub fn eval(&mut self, args: &[Scalar], index: i64) -> Result<&[Scalar], EvalError> {
        self.check(args)?;
        for (i, node) in self.func.nodes().iter().enumerate() {
            self.values[i] = match node.op {
                Op::Const(_) => continue,
                Op::Param(p) => args[p as usize],
                Op::Index => Scalar::from(index),
                op => {
                    let mut operands = [self.values[i]; 3];
                    for (operand, arg) in operands.iter_mut().zip(node.args.iter()) {
                        *operand = self.values[arg.index()];
                    }
                    let unexpanded = || EvalError::NotExpanded {
                        id: ExprId(i as u32),
                        op,
                        dtype: self.values[i].dtype(),
                    };
                    value(op, &operands[..node.args.len()]).ok_or_else(unexpanded)?
                }
            };
        }
        for (result, id) in self.results.iter_mut().zip(self.func.results()) {
            *result = self.values[id.index()];
        }
        Ok(&self.results)
    }

    fn check(&self, args: &[Scalar]) -> Result<(), EvalError> {
        let params = self.func.params();
        if args.len() != params.len() {
            return Err(EvalError::ArgumentCount {
                expected: params.len(),
                found: args.len(),
            });
        }
        for (index, (arg, param)) in args.iter().zip(params).enumerate() {
            let found = arg.dtype();
            match param.dtype {
                Some(expected) if expected != found => {
                    return Err(EvalError::ArgumentType { index, expected, found });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The value of an op whose operands obey its strict type rule.
fn value(op: Op, args: &[Scalar]) -> Option<Scalar> {
    match op {
        Op::Param(_) | Op::Literal(_) | Op::Index => None,
        Op::Const(value) => Some(value),
        Op::Cast(to) => Some(cast(args[0], to)),
        Op::Bitcast(to) => Some(Scalar::from_bits(to, args[0].bits())),
        Op::Lookup(column) => Some(column.entry(args[0].bits())),
        Op::Select | Op::Rare => Some(if args[0].as_bool() { args[1] } else { args[2] }),
        _ => match args[0].dtype() {
            Dtype::Bool => on::<bool>(op, args),
            Dtype::I8 => on::<i8>(op, args),
            Dtype::I16 => on::<i16>(op, args),
            Dtype::I32 => on::<i32>(op, args),
            Dtype::I64 => on::<i64>(op, args),
            Dtype::U8 => on::<u8>(op, args),
            Dtype::U16 => on::<u16>(op, args),
            Dtype::U32 => on::<u32>(op, args),
            Dtype::U64 => on::<u64>(op, args),
            Dtype::F32 => on::<f32>(op, args),
            Dtype::F64 => on::<f64>(op, args),
            // Storage types are converted to and from `f32`, never computed with.
            Dtype::F16 | Dtype::Bf16 => None,
        },
    }
}

/// The value converted to a type; the table of [`crate::op`]. Each arm rounds once: a 64-bit integer goes to `f32`
/// directly, not through `f64`.
fn cast(x: Scalar, to: Dtype) -> Scalar {
    match (x.dtype(), to) {
        (from, to) if from == to => x,
        (Dtype::F32, Dtype::F16) => f16::from_f32(f32::from_bits(x.bits() as u32)).into(),
        (Dtype::F32, Dtype::Bf16) => bf16::from_f32(f32::from_bits(x.bits() as u32)).into(),
        (from, to) if from.kind() == Kind::Float => Scalar::from_f64(to, x.as_f64()),
        (_, to) => Scalar::from_i128(to, x.as_i128()),
    }
}

/// A type ops compute in, with the meaning of every op on it.
trait Meaning: Element + Default {
    /// The value of `op` on up to three operands, where it has a meaning on this type.
    fn meaning(op: Op, x: Self, y: Self, z: Self) -> Option<Scalar>;
}

fn on<T: Meaning>(op: Op, args: &[Scalar]) -> Option<Scalar> {
    let arg = |i: usize| args.get(i).map_or(T::default(), |a| T::from_bits(a.bits()));
    T::meaning(op, arg(0), arg(1), arg(2))
}

/// The ops that [`value`] handles for all types at once.
macro_rules! untyped {
    () => {
        Op::Param(_)
            | Op::Const(_)
            | Op::Literal(_)
            | Op::Index
            | Op::Cast(_)
            | Op::Bitcast(_)
            | Op::Lookup(_)
            | Op::Select
            | Op::Rare
    };
}

impl Meaning for bool {
    fn meaning(op: Op, x: bool, y: bool, _: bool) -> Option<Scalar> {
        let value = match op {
            Op::Not => !x,
            Op::And => x & y,
            Op::Or => x | y,
            Op::Xor | Op::Ne => x ^ y,
            Op::Eq => x == y,
            Op::Lt => !x & y,
            Op::Le => x <= y,
            Op::Gt => x & !y,
            Op::Ge => x >= y,
            // Inference writes arithmetic on `bool` as logic, so no other op takes one in a typed function.
            _ => return None,
        };
        Some(value.into())
    }
}

macro_rules! integer_meaning {
    ($($t:ty)*) => {$(
        impl Meaning for $t {
            fn meaning(op: Op, x: $t, y: $t, z: $t) -> Option<Scalar> {
                let signs_differ = (x < 0 as $t) != (y < 0 as $t);
                let quotient = x.checked_div(y).unwrap_or(if y == 0 { 0 } else { <$t>::MIN });
                // `MIN % -1` is 0, which `checked_rem` refuses along with `x % 0`.
                let remainder = x.checked_rem(y).unwrap_or(0);
                let value: $t = match op {
                    Op::Neg => x.wrapping_neg(),
                    Op::Abs => if x < 0 as $t { x.wrapping_neg() } else { x },
                    Op::Sign => (x > 0) as $t - if x < 0 as $t { 1 } else { 0 },
                    Op::Not => !x,
                    Op::Add => x.wrapping_add(y),
                    Op::Sub => x.wrapping_sub(y),
                    Op::Mul => x.wrapping_mul(y),
                    Op::TruncDiv => quotient,
                    Op::FloorDiv => quotient.wrapping_sub((remainder != 0 && signs_differ) as $t),
                    Op::Rem => remainder,
                    Op::FloorMod if remainder != 0 && signs_differ => remainder.wrapping_add(y),
                    Op::FloorMod => remainder,
                    Op::Pow => integer_pow(x, y),
                    Op::Minimum | Op::Fmin => x.min(y),
                    Op::Maximum | Op::Fmax => x.max(y),
                    Op::And => x & y,
                    Op::Or => x | y,
                    Op::Xor => x ^ y,
                    // These take the count modulo the width, of which the cast keeps every bit that matters.
                    Op::Shl => x.wrapping_shl(y as u32),
                    Op::Shr => x.wrapping_shr(y as u32),
                    Op::Fma => x.wrapping_mul(y).wrapping_add(z),
                    Op::Eq => return Some((x == y).into()),
                    Op::Ne => return Some((x != y).into()),
                    Op::Lt => return Some((x < y).into()),
                    Op::Le => return Some((x <= y).into()),
                    Op::Gt => return Some((x > y).into()),
                    Op::Ge => return Some((x >= y).into()),
                    // These take floats only; inference puts the cast before them.
                    Op::Floor | Op::Ceil | Op::Trunc | Op::Round | Op::Sqrt | Op::Recip | Op::Div | Op::Copysign => {
                        return None;
                    }
                    Op::IsNan | Op::IsFinite | Op::IsInf => return None,
                    functions!() | untyped!() => return None,
                };
                Some(value.into())
            }
        }
    )*};
}

integer_meaning! { i8 i16 i32 i64 u8 u16 u32 u64 }

macro_rules! float_meaning {
    ($($t:ident)*) => {$(
        impl Meaning for $t {
            fn meaning(op: Op, x: $t, y: $t, z: $t) -> Option<Scalar> {
                let value: $t = match op {
                    Op::Neg => -x,
                    Op::Abs => x.abs(),
                    Op::Sign if x.is_nan() => x,
                    Op::Sign => ((x > 0.0) as i8 - (x < 0.0) as i8) as $t,
                    Op::Floor => x.floor(),
                    Op::Ceil => x.ceil(),
                    Op::Trunc => x.trunc(),
                    Op::Round => x.round_ties_even(),
                    Op::Sqrt => x.sqrt(),
                    Op::Recip => 1.0 / x,
                    Op::Add => x + y,
                    Op::Sub => x - y,
                    Op::Mul => x * y,
                    Op::Div => x / y,
                    Op::TruncDiv => (x / y).trunc(),
                    Op::FloorDiv => $t::floor_div_mod(x, y).0,
                    Op::Rem => x % y,
                    Op::FloorMod => $t::floor_div_mod(x, y).1,
                    Op::Copysign => x.copysign(y),
                    Op::Minimum => if x.is_nan() || y.is_nan() { x + y } else { $t::lesser(x, y) },
                    Op::Maximum => if x.is_nan() || y.is_nan() { x + y } else { -$t::lesser(-x, -y) },
                    Op::Fmin if x.is_nan() => y,
                    Op::Fmin if y.is_nan() => x,
                    Op::Fmin => $t::lesser(x, y),
                    Op::Fmax if x.is_nan() => y,
                    Op::Fmax if y.is_nan() => x,
                    Op::Fmax => -$t::lesser(-x, -y),
                    Op::Fma => x.mul_add(y, z),
                    Op::IsNan => return Some(x.is_nan().into()),
                    Op::IsFinite => return Some(x.is_finite().into()),
                    Op::IsInf => return Some(x.is_infinite().into()),
                    Op::Eq => return Some((x == y).into()),
                    Op::Ne => return Some((x != y).into()),
                    Op::Lt => return Some((x < y).into()),
                    Op::Le => return Some((x <= y).into()),
                    Op::Gt => return Some((x > y).into()),
                    Op::Ge => return Some((x >= y).into()),
                    // Bits are taken from integers; a float is bitcast first.
                    Op::Not | Op::And | Op::Or | Op::Xor | Op::Shl | Op::Shr => return None,
                    Op::Pow | functions!() | untyped!() => return None,
                };
                Some(value.into())
            }
        }

        impl FloatMeaning for $t {
            fn lesser(x: $t, y: $t) -> $t {
                if x < y || (x == y && x.is_sign_negative()) { x } else { y }
            }

            fn floor_div_mod(x: $t, y: $t) -> ($t, $t) {
                let rem = x % y;
                if y == 0.0 {
                    return (x / y, rem);
                }
                let mut quotient = (x - rem) / y;
                let mut modulus = rem;
                if rem == 0.0 {
                    modulus = (0.0 as $t).copysign(y);
                } else if (y < 0.0) != (rem < 0.0) {
                    modulus += y;
                    quotient -= 1.0;
                }
                if quotient == 0.0 {
                    return ((0.0 as $t).copysign(x / y), modulus);
                }
                let floor = quotient.floor();
                (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, modulus)
            }
        }
    )*};
}

/// What floats need beyond the operators.
trait FloatMeaning: Neg<Output = Self> + Sized {
    /// The lesser of two numbers, −0 below +0.
    fn lesser(x: Self, y: Self) -> Self;

    /// The quotient rounded down and its remainder with the sign of y, as NumPy's `npy_divmod` computes them:
    ///
    /// 1. `rem = fmod(x, y)`, which is exact. If `y` is 0, the quotient is `x / y` and the modulus is `rem`, a NaN.
    /// 2. `quotient = (x − rem) / y`, near an integer.
    /// 3. If `rem` is a zero, the modulus is a zero with the sign of y. Otherwise, if `rem < 0` is not `y < 0`, the modulus
    ///    is `rem + y` and 1 is taken from the quotient.
    /// 4. A quotient of zero becomes a zero with the sign of `x / y`; any other becomes the integer nearest to it: its
    ///    floor, plus 1 if it is more than ½ above that.
    ///
    /// The comparisons of steps 3 and 4 are IEEE's, so a NaN is not a zero and not below one.
    fn floor_div_mod(x: Self, y: Self) -> (Self, Self);
}

float_meaning! { f32 f64 }

/// xʸ by squaring, wrapping. For a negative exponent the true value 1/xⁿ truncates to 0 except at x = ±1, and is taken as 0
/// at x = 0.
fn integer_pow<T: Integer>(x: T, y: T) -> T {
    if y.is_negative() {
        return match x.to_i128() {
            1 => T::ONE,
            -1 if y.to_i128() % 2 != 0 => x,
            -1 => T::ONE,
            _ => T::default(),
        };
    }
    let (mut power, mut square, mut exponent) = (T::ONE, x, y.to_i128() as u64);
    while exponent != 0 {
        if exponent & 1 != 0 {
            power = power.times(square);
        }
        square = square.times(square);
        exponent >>= 1;
    }
    power
}

/// What the power of integers needs of its type.
trait Integer: Copy + Default {
    const ONE: Self;
    fn times(self, other: Self) -> Self;
    fn to_i128(self) -> i128;
    fn is_negative(self) -> bool {
        self.to_i128() < 0
    }
}

macro_rules! integer {
    ($($t:ty)*) => {$(
        impl Integer for $t {
            const ONE: $t = 1;
            fn times(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
            fn to_i128(self) -> i128 {
                self as i128
            }
        }
    )*};
}

integer! { i8 i16 i32 i64 u8 u16 u32 u64 }
