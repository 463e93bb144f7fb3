//! Tracing: a Rust closure over [`Expr`] handles becomes a [`Func`].
//!
//! In: a closure over an array of arguments that returns one [`Expr`] or a tuple of them. Out: a polymorphic [`Func`].
//!
//! [`Expr`] is a `Copy` handle with overloaded operators, so a closure reads as the scalar function it describes:
//! `|[x, y]| (x * x + y * y).sqrt()`. It is called once, with symbols; a Rust `if` on a comparison cannot be traced, which is
//! why comparisons are methods ([`Expr::lt`] …) and the choice is [`Expr::select`].
//!
//! Invariant: a handle belongs to the trace that made it. One that leaves its closure is noticed and is an error of the trace
//! it is used in, not a panic.

use std::cell::{Cell, RefCell};
use std::ops;

use crate::dtype::{Dtype, Scalar};
use crate::func::{Builder, ExprId, Func, MAX_NODES};
use crate::op::Op;

/// A value in a closure that is being traced.
#[derive(Clone, Copy, Debug)]
pub struct Expr {
    trace: u64,
    id: ExprId,
}

/// Why a closure could not be traced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A handle was used outside of the closure that it was made for.
    #[error("an expression of another function was used in `{func}`; a traced closure may only use its own arguments")]
    Escaped {
        /// The function being traced.
        func: String,
    },
    /// The closure made more nodes than a function may have.
    #[error("`{func}` has more than {MAX_NODES} operations")]
    TooLarge {
        /// The function being traced.
        func: String,
    },
}

struct Trace {
    id: u64,
    name: String,
    builder: Builder,
    error: Option<TraceError>,
}

thread_local! {
    static TRACES: RefCell<Vec<Trace>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(1) };
}

/// Traces a closure into a polymorphic function.
///
/// ```
/// use loopweave_ir::trace;
/// let norm = trace("norm", |[x, y]| (x * x + y * y).sqrt())?;
/// assert_eq!(norm.params().len(), 2);
/// let both = trace("both", |[x]| (x + 1, x - 1))?;
/// assert_eq!(both.results().len(), 2);
/// # Ok::<(), loopweave_ir::build::TraceError>(())
/// ```
///
/// # Errors
/// A handle from another closure, or too many nodes.
pub fn trace<const N: usize, R: Results>(name: &str, closure: impl FnOnce([Expr; N]) -> R) -> Result<Func, TraceError> {
    let id = NEXT.with(|next| next.replace(next.get() + 1));
    let mut builder = Builder::polymorphic(name);
    let params = std::array::from_fn(|i| Expr {
        trace: id,
        id: builder.param(param_name(i, N), None),
    });
    TRACES.with_borrow_mut(|traces| {
        traces.push(Trace {
            id,
            name: name.to_owned(),
            builder,
            error: None,
        });
    });
    // A closure that panics must not leave its trace behind for the next one on this thread.
    let guard = PopOnDrop(id);
    let results = closure(params).exprs();
    let results: Vec<ExprId> = results.iter().map(|r| r.resolve(id)).collect();
    let trace = guard.take();
    match trace.error {
        Some(error) => Err(error),
        None => Ok(trace.builder.finish(&results)),
    }
}

/// The names given to a closure's parameters: x, y, z for up to three, a to h for up to eight, x0, x1 … for more
fn param_name(index: usize, arity: usize) -> String {
    match (index, arity) {
        (_, 0..=3) => String::from(["x", "y", "z"][index]),
        (0..8, 4..=8) => char::from(b'a' + index as u8).to_string(),
        _ => format!("x{index}"),
    }
}

struct PopOnDrop(u64);

impl PopOnDrop {
    fn take(self) -> Trace {
        let id = self.0;
        std::mem::forget(self);
        pop(id).expect("the trace was pushed above and nothing else pops it")
    }
}

impl Drop for PopOnDrop {
    fn drop(&mut self) {
        pop(self.0);
    }
}

fn pop(id: u64) -> Option<Trace> {
    TRACES.with_borrow_mut(|traces| {
        let position = traces.iter().rposition(|t| t.id == id)?;
        traces.drain(position..).next()
    })
}

/// What a traced closure may return: an [`Expr`] or a tuple of up to four.
pub trait Results {
    /// The results in order.
    fn exprs(self) -> Vec<Expr>;
}

impl Results for Expr {
    fn exprs(self) -> Vec<Expr> {
        vec![self]
    }
}

macro_rules! tuples {
    ($(($($i:tt)*))*) => {$(
        impl Results for ($(tuples!(@expr $i),)*) {
            fn exprs(self) -> Vec<Expr> {
                vec![$(self.$i),*]
            }
        }
    )*};
    (@expr $i:tt) => { Expr };
}

tuples! { (0 1) (0 1 2) (0 1 2 3) }

/// A value that can stand in an expression: an [`Expr`], or a Rust number or `bool`, which is weakly typed.
pub trait Operand {
    /// The node in the trace that `beside` belongs to.
    fn to_expr(self, beside: Expr) -> Expr;
}

impl Operand for Expr {
    fn to_expr(self, _: Expr) -> Expr {
        self
    }
}

macro_rules! literals {
    ($($t:ty)*) => {$(
        impl Operand for $t {
            fn to_expr(self, beside: Expr) -> Expr {
                node(beside.trace, Op::Literal(self.into()), &[])
            }
        }
    )*};
}

literals! { bool i32 i64 u64 f32 f64 }

/// Adds a node to the trace, which is the innermost one unless a handle escaped its closure.
fn node(trace: u64, op: Op, args: &[Expr]) -> Expr {
    TRACES.with_borrow_mut(|traces| {
        let Some(current) = traces.last_mut() else {
            // No trace is running: the handle is dead, and so is whatever is made from it.
            return Expr { trace, id: ExprId(0) };
        };
        let escaped = trace != current.id || args.iter().any(|a| a.trace != current.id);
        if escaped || current.builder.len() >= MAX_NODES {
            let func = current.name.clone();
            let error = if escaped {
                TraceError::Escaped { func }
            } else {
                TraceError::TooLarge { func }
            };
            current.error.get_or_insert(error);
            return Expr {
                trace: current.id,
                id: ExprId(0),
            };
        }
        let ids: smallvec::SmallVec<[ExprId; 3]> = args.iter().map(|a| a.id).collect();
        Expr {
            trace: current.id,
            id: current.builder.node(op, &ids),
        }
    })
}

impl Expr {
    /// The node of a result; a handle of another trace is recorded as an error.
    fn resolve(self, trace: u64) -> ExprId {
        if self.trace == trace {
            return self.id;
        }
        TRACES.with_borrow_mut(|traces| {
            if let Some(t) = traces.iter_mut().find(|t| t.id == trace) {
                t.error.get_or_insert(TraceError::Escaped { func: t.name.clone() });
            }
        });
        ExprId(0)
    }

    fn unary(self, op: Op) -> Expr {
        node(self.trace, op, &[self])
    }

    fn binary(self, op: Op, other: impl Operand) -> Expr {
        let other = other.to_expr(self);
        node(self.trace, op, &[self, other])
    }

    /// The value converted to a dtype; see the op table for the rules.
    pub fn cast(self, dtype: Dtype) -> Expr {
        self.unary(Op::Cast(dtype))
    }

    /// The value's bits as another dtype of the same width.
    pub fn bitcast(self, dtype: Dtype) -> Expr {
        self.unary(Op::Bitcast(dtype))
    }

    /// A strongly typed constant in the trace this handle belongs to.
    pub fn constant(self, value: impl Into<Scalar>) -> Expr {
        node(self.trace, Op::Const(value.into()), &[])
    }

    /// Where `self` (a `bool`) holds `then`, else `otherwise`.
    pub fn select(self, then: impl Operand, otherwise: impl Operand) -> Expr {
        let then = then.to_expr(self);
        let otherwise = otherwise.to_expr(self);
        node(self.trace, Op::Select, &[self, then, otherwise])
    }

    /// `self * factor + addend`, rounded once.
    pub fn mul_add(self, factor: impl Operand, addend: impl Operand) -> Expr {
        let factor = factor.to_expr(self);
        let addend = addend.to_expr(self);
        node(self.trace, Op::Fma, &[self, factor, addend])
    }

    /// The value kept between two bounds: `maximum(lo)`, then `minimum(hi)`; NaN stays NaN.
    pub fn clamp(self, lo: impl Operand, hi: impl Operand) -> Expr {
        self.maximum(lo).minimum(hi)
    }

    /// The value where it is above zero, else zero; NaN stays NaN.
    pub fn relu(self) -> Expr {
        self.maximum(0)
    }
}

/// Hands the methods of one value, each with its op, to a macro: the table of [`Expr`] and of every other handle that has them.
#[doc(hidden)]
#[macro_export]
macro_rules! for_unary_methods {
    ($with:ident) => {
        $with! {
            abs Abs; sign Sign; floor Floor; ceil Ceil; trunc Trunc; round Round; round_away RoundAway;
            sqrt Sqrt; rsqrt Rsqrt; cbrt Cbrt; recip Recip; exponent Exponent; significand Significand;
            is_nan IsNan; is_finite IsFinite; is_inf IsInf;
            exp Exp; exp2 Exp2; exp10 Exp10; expm1 Expm1; ln Ln; log2 Log2; log10 Log10; log1p Log1p;
            sin Sin; cos Cos; tan Tan; sinpi SinPi; cospi CosPi; asin Asin; acos Acos; atan Atan;
            sinh Sinh; cosh Cosh; tanh Tanh; asinh Asinh; acosh Acosh; atanh Atanh;
            erf Erf; erfc Erfc; lgamma LnGamma; gamma Gamma;
            sigmoid Sigmoid; softplus Softplus; gelu Gelu; gelu_tanh GeluTanh; silu Silu; mish Mish;
        }
    };
}

/// As `for_unary_methods`, for methods of two values.
#[doc(hidden)]
#[macro_export]
macro_rules! for_binary_methods {
    ($with:ident) => {
        $with! {
            trunc_div TruncDiv; floor_div FloorDiv; floor_mod FloorMod; pow Pow; atan2 Atan2; hypot Hypot; copysign Copysign;
            remainder Remainder; nextafter NextAfter; ldexp Ldexp; logaddexp LogAddExp;
            minimum Minimum; maximum Maximum; fmin Fmin; fmax Fmax;
            eq Eq; ne Ne; lt Lt; le Le; gt Gt; ge Ge;
        }
    };
}

/// As `for_unary_methods`, for operators: the trait of [`std::ops`], its method, and the op.
#[doc(hidden)]
#[macro_export]
macro_rules! for_operators {
    ($with:ident) => {
        $with! {
            Add add Add; Sub sub Sub; Mul mul Mul; Div div Div; Rem rem Rem;
            BitAnd bitand And; BitOr bitor Or; BitXor bitxor Xor; Shl shl Shl; Shr shr Shr;
        }
    };
}

macro_rules! unary_methods {
    ($($name:ident $op:ident;)*) => {
        impl Expr {
            $(
                #[doc = concat!("The op [`Op::", stringify!($op), "`] of this value.")]
                pub fn $name(self) -> Expr {
                    self.unary(Op::$op)
                }
            )*
        }
    };
}

crate::for_unary_methods!(unary_methods);

macro_rules! binary_methods {
    ($($name:ident $op:ident;)*) => {
        impl Expr {
            $(
                #[doc = concat!("The op [`Op::", stringify!($op), "`] of this value and another.")]
                pub fn $name(self, other: impl Operand) -> Expr {
                    self.binary(Op::$op, other)
                }
            )*
        }
    };
}

crate::for_binary_methods!(binary_methods);

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl<T: Operand> ops::$trait<T> for Expr {
            type Output = Expr;

            fn $method(self, other: T) -> Expr {
                self.binary(Op::$op, other)
            }
        }

        operators! { @left $trait $method $op: bool i32 i64 u64 f32 f64 }
    )*};
    (@left $trait:ident $method:ident $op:ident: $($t:ty)*) => {$(
        impl ops::$trait<Expr> for $t {
            type Output = Expr;

            fn $method(self, other: Expr) -> Expr {
                let left = self.to_expr(other);
                node(other.trace, Op::$op, &[left, other])
            }
        }
    )*};
}

crate::for_operators!(operators);

impl ops::Neg for Expr {
    type Output = Expr;

    fn neg(self) -> Expr {
        self.unary(Op::Neg)
    }
}

impl ops::Not for Expr {
    type Output = Expr;

    fn not(self) -> Expr {
        self.unary(Op::Not)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_literals_make_nodes() {
        let f = trace("f", |[x, y]| 2.0 * x + (-y).exp() / 3 - (x.lt(y) & true).select(x, 0)).unwrap();
        assert_eq!(f.params().len(), 2);
        assert!(f.nodes().iter().any(|n| n.op == Op::Select));
    }

    #[test]
    fn an_escaped_handle_is_an_error() {
        let mut escaped: Option<Expr> = None;
        trace("inner", |[x]| {
            escaped = Some(x);
            x
        })
        .unwrap();
        let old = escaped.unwrap();
        assert!(matches!(trace("outer", |[x]| x + old), Err(TraceError::Escaped { .. })));
        assert!(matches!(trace("outer", |[_x]| old), Err(TraceError::Escaped { .. })));
        // Outside of any trace the handle is dead, but using it is harmless.
        let _ = old + old;
    }

    #[test]
    fn a_panicking_closure_leaves_no_trace_behind() {
        let result = std::panic::catch_unwind(|| trace("bad", |[_x]| -> Expr { panic!("user's") }));
        assert!(result.is_err());
        assert!(trace("good", |[x]| x + 1).is_ok());
    }

    #[test]
    fn nested_traces_do_not_mix() {
        let f = trace("outer", |[x]| {
            trace("inner", |[y]| y * 2).unwrap();
            x + 1
        })
        .unwrap();
        assert_eq!(f.nodes().len(), 3);
    }
}
