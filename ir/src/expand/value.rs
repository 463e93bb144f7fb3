//! Arithmetic notation for the expansions: a `Copy` handle on a node, so that a formula reads as one.
//!
//! In: operators on [`Value`]s. Out: nodes in the [`Builder`] of the surrounding [`Context`].
//!
//! Invariant: every operator adds exactly one node (besides constants); nothing is folded or reordered, so an expansion's
//! bits can be read off its source.

use std::cell::RefCell;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Shl, Shr, Sub};

use crate::dtype::{Dtype, Scalar};
use crate::func::{Builder, ExprId};
use crate::op::Op;
use crate::table::Column;

/// The function under construction, shared by all values in it.
pub(super) struct Context {
    builder: RefCell<Builder>,
}

impl Context {
    pub(super) fn new(builder: Builder) -> Context {
        Context {
            builder: RefCell::new(builder),
        }
    }

    pub(super) fn into_builder(self) -> Builder {
        self.builder.into_inner()
    }

    pub(super) fn len(&self) -> usize {
        self.builder.borrow().len()
    }

    pub(super) fn value(&self, id: ExprId) -> Value<'_> {
        Value { cx: self, id }
    }

    pub(super) fn node(&self, op: Op, args: &[ExprId]) -> Value<'_> {
        let id = self.builder.borrow_mut().node(op, args);
        Value { cx: self, id }
    }

    pub(super) fn param(&self, name: &str, dtype: Dtype) -> ExprId {
        self.builder.borrow_mut().param(name, Some(dtype))
    }
}

/// A node of a typed function under construction.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    cx: &'a Context,
    pub(super) id: ExprId,
}

/// What may stand beside a [`Value`] in a formula: another value, or a number that takes the value's dtype.
pub(super) trait Arg<'a> {
    /// The argument as a value of the dtype of `like`.
    fn beside(self, like: Value<'a>) -> Value<'a>;
}

impl<'a> Arg<'a> for Value<'a> {
    fn beside(self, _: Value<'a>) -> Value<'a> {
        self
    }
}

/// A float constant, rounded to the dtype of what it stands beside.
impl<'a> Arg<'a> for f64 {
    fn beside(self, like: Value<'a>) -> Value<'a> {
        debug_assert!(like.dtype().is_float());
        like.cx.node(Op::Const(Scalar::from_f64(like.dtype(), self)), &[])
    }
}

/// An integer constant, by its bits.
impl<'a> Arg<'a> for i64 {
    fn beside(self, like: Value<'a>) -> Value<'a> {
        debug_assert!(like.dtype().is_int());
        like.cx
            .node(Op::Const(Scalar::from_bits(like.dtype(), self as u64)), &[])
    }
}

impl<'a> Value<'a> {
    pub(super) fn dtype(self) -> Dtype {
        self.cx.builder.borrow().dtype(self.id)
    }

    /// The constant's value, if the node is one.
    pub(super) fn as_const(self) -> Option<Scalar> {
        match self.cx.builder.borrow().op(self.id) {
            Op::Const(value) => Some(value),
            _ => None,
        }
    }

    /// A constant of this value's dtype.
    pub(super) fn constant(self, c: impl Arg<'a>) -> Value<'a> {
        c.beside(self)
    }

    fn unary(self, op: Op) -> Value<'a> {
        self.cx.node(op, &[self.id])
    }

    fn binary(self, op: Op, other: impl Arg<'a>) -> Value<'a> {
        let other = other.beside(self);
        self.cx.node(op, &[self.id, other.id])
    }

    /// self · b + c with one rounding.
    pub(super) fn fma(self, b: impl Arg<'a>, c: impl Arg<'a>) -> Value<'a> {
        let (b, c) = (b.beside(self), c.beside(self));
        self.cx.node(Op::Fma, &[self.id, b.id, c.id])
    }

    /// The polynomial with these coefficients, lowest power first: by Horner's rule, but for a long one's terms from x² on,
    /// which matter less to the rounding. Those are split into even and odd powers (Estrin, *Organization of computer systems*,
    /// 1960), as each step of Horner's waits for the one before.
    pub(super) fn poly(self, coefficients: &[f64]) -> Value<'a> {
        match coefficients {
            [c0, c1, higher @ ..] if !higher.is_empty() => self.split_poly(higher).fma(self, *c1).fma(self, *c0),
            _ => self.horner(coefficients),
        }
    }

    fn split_poly(self, coefficients: &[f64]) -> Value<'a> {
        // Terms up to which waiting costs less than the registers that two sums take.
        let short = if self.dtype() == Dtype::F32 { 6 } else { 11 };
        if coefficients.len() <= short {
            return self.horner(coefficients);
        }
        let every_second = |from: usize| -> Vec<f64> { coefficients[from..].iter().step_by(2).copied().collect() };
        let square = self * self;
        let odd = square.split_poly(&every_second(1));
        odd.fma(self, square.split_poly(&every_second(0)))
    }

    fn horner(self, coefficients: &[f64]) -> Value<'a> {
        let (last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
        rest.iter().rev().fold(self.constant(*last), |sum, &c| sum.fma(self, c))
    }

    /// `yes` where this `bool` is true, else `no`.
    pub(super) fn select(self, yes: Value<'a>, no: impl Arg<'a>) -> Value<'a> {
        let no = no.beside(yes);
        self.cx.node(Op::Select, &[self.id, yes.id, no.id])
    }

    /// As [`Value::select`], where `yes` is worth a branch around it because it is seldom wanted.
    pub(super) fn rare(self, yes: Value<'a>, no: Value<'a>) -> Value<'a> {
        self.cx.node(Op::Rare, &[self.id, yes.id, no.id])
    }

    pub(super) fn abs(self) -> Value<'a> {
        self.unary(Op::Abs)
    }

    pub(super) fn floor(self) -> Value<'a> {
        self.unary(Op::Floor)
    }

    pub(super) fn trunc(self) -> Value<'a> {
        self.unary(Op::Trunc)
    }

    pub(super) fn round(self) -> Value<'a> {
        self.unary(Op::Round)
    }

    pub(super) fn sqrt(self) -> Value<'a> {
        self.unary(Op::Sqrt)
    }

    pub(super) fn rem(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Rem, other)
    }

    pub(super) fn trunc_div(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::TruncDiv, other)
    }

    pub(super) fn minimum(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Minimum, other)
    }

    pub(super) fn maximum(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Maximum, other)
    }

    pub(super) fn eq(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Eq, other)
    }

    pub(super) fn ne(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Ne, other)
    }

    pub(super) fn lt(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Lt, other)
    }

    pub(super) fn gt(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Gt, other)
    }

    pub(super) fn le(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Le, other)
    }

    pub(super) fn ge(self, other: impl Arg<'a>) -> Value<'a> {
        self.binary(Op::Ge, other)
    }

    /// The value converted to `dtype`.
    pub(super) fn cast(self, dtype: Dtype) -> Value<'a> {
        let id = self.cx.builder.borrow_mut().cast(self.id, dtype);
        Value { id, ..self }
    }

    /// The entry of a table's column that these bits number.
    pub(super) fn lookup(self, column: Column) -> Value<'a> {
        self.unary(Op::Lookup(column))
    }

    /// The bits as a value of `dtype`.
    pub(super) fn bitcast(self, dtype: Dtype) -> Value<'a> {
        self.unary(Op::Bitcast(dtype))
    }

    /// The bits as an unsigned integer.
    pub(super) fn bits(self) -> Value<'a> {
        self.bitcast(self.dtype().to_unsigned())
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl<'a, A: Arg<'a>> $trait<A> for Value<'a> {
            type Output = Value<'a>;
            fn $method(self, other: A) -> Value<'a> {
                self.binary(Op::$op, other)
            }
        }
    )*};
}

operator! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    BitAnd bitand And;
    BitOr bitor Or;
    BitXor bitxor Xor;
    Shl shl Shl;
    Shr shr Shr;
}

impl<'a> Add<Value<'a>> for f64 {
    type Output = Value<'a>;
    fn add(self, other: Value<'a>) -> Value<'a> {
        self.beside(other) + other
    }
}

impl<'a> Mul<Value<'a>> for f64 {
    type Output = Value<'a>;
    fn mul(self, other: Value<'a>) -> Value<'a> {
        self.beside(other) * other
    }
}

/// An integer less a value, by the integer's bits.
impl<'a> Sub<Value<'a>> for i64 {
    type Output = Value<'a>;
    fn sub(self, other: Value<'a>) -> Value<'a> {
        self.beside(other) - other
    }
}

impl<'a> Sub<Value<'a>> for f64 {
    type Output = Value<'a>;
    fn sub(self, other: Value<'a>) -> Value<'a> {
        self.beside(other) - other
    }
}

impl<'a> Div<Value<'a>> for f64 {
    type Output = Value<'a>;
    fn div(self, other: Value<'a>) -> Value<'a> {
        self.beside(other) / other
    }
}

impl<'a> Neg for Value<'a> {
    type Output = Value<'a>;
    fn neg(self) -> Value<'a> {
        self.unary(Op::Neg)
    }
}

impl<'a> Not for Value<'a> {
    type Output = Value<'a>;
    fn not(self) -> Value<'a> {
        self.unary(Op::Not)
    }
}
