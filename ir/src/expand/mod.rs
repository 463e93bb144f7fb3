//! Writes every op that back ends do not emit — transcendental functions above all — in basic ops.
//!
//! In: a typed [`Func`]. Out: a canonical typed function with the same parameters and results whose every op is
//! [`Stage::Basic`] at its dtype.
//!
//! Because the formulas are nodes of the IR, each back end, vector width and thread count gives the same bits. Invariants:
//! expansions are straight-line (choices are `select`s), contain only basic ops, and never depend on a target. Each function
//! states its method, its op count and the largest error measured; [`Op::max_ulp`] gives the bound that callers may rely on.

mod format;
mod narrow;
mod value;
mod words;

mod activation;
mod basic;
mod exp;
mod fast;
mod gamma;
mod gamma_f64;
mod gauss;
mod hyperbolic;
mod int;
mod inverse;
mod log;
mod pow;
mod power;
mod root;
mod scale;
mod steps;
mod trig;
mod turn;

#[rustfmt::skip]
mod coefficients;
#[rustfmt::skip]
mod tables;

pub mod half;

use crate::Builder;
use crate::dtype::Dtype;
use crate::func::{ExprId, Func, MAX_NODES};
use crate::op::{Accuracy, Op, Stage};
pub(crate) use tables::TABLES;
use value::{Context, Value};

/// Why a function cannot be written in basic ops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The table has a row for the op, but there is no formula at this type.
    #[error("`{}` is not yet supported", op.name())]
    NotYetSupported {
        /// The op.
        op: Op,
        /// The type it was to compute in.
        dtype: Dtype,
    },
    /// The function is polymorphic; inference comes first.
    #[error("`{name}` has no types yet, so it cannot be expanded")]
    Untyped {
        /// The function's name.
        name: String,
    },
    /// The expanded function has more nodes than a function may have.
    #[error("`{name}` has more than {MAX_NODES} operations once its functions are expanded")]
    TooLarge {
        /// The function's name.
        name: String,
    },
}

/// Rewrites every op of a typed function that is not basic at its dtype.
///
/// ```
/// use loopweave_ir::expand::expand;
/// use loopweave_ir::op::Stage;
/// use loopweave_ir::{Builder, Dtype, Op};
/// let mut b = Builder::typed("f");
/// let x = b.param("x", Some(Dtype::F32));
/// let y = b.node(Op::Exp, &[x]);
/// let f = expand(&b.finish(&[y])).unwrap();
/// assert!(f.nodes().iter().all(|n| n.op.stage_for(n.dtype.unwrap()) == Stage::Basic));
/// ```
///
/// # Errors
/// [`ExpandError::NotYetSupported`] for an op without an expansion, [`ExpandError::TooLarge`] where the result would exceed
/// [`MAX_NODES`], [`ExpandError::Untyped`] for a polymorphic function.
pub fn expand(func: &Func) -> Result<Func, ExpandError> {
    expand_to(func, Accuracy::Precise)
}

/// As [`expand`], with functions of this accuracy.
///
/// # Errors
/// As [`expand`].
pub fn expand_to(func: &Func, accuracy: Accuracy) -> Result<Func, ExpandError> {
    rewrite(func, |op, dtype, args| match op.stage_for(dtype) {
        Stage::Basic => Ok(None),
        Stage::Expanded => match fast_form(&op, dtype, accuracy) {
            Some(form) => Ok(Some(form(args[0]))),
            None => expansion(op, args)
                .map(Some)
                .ok_or(ExpandError::NotYetSupported { op, dtype }),
        },
    })
}

fn fast_form(op: &Op, dtype: Dtype, accuracy: Accuracy) -> Option<fast::Form> {
    fast::form(op).filter(|_| accuracy == Accuracy::Fast && dtype.is_float())
}

/// Rewrites casts to and from `f16` and `bf16` as integer arithmetic on their bits, for a back end without conversion
/// instructions: afterwards `bitcast` to and from `u16` is the only op on a storage value.
///
/// # Errors
/// As [`expand`], except that every op is supported.
pub fn lower_storage_casts(func: &Func) -> Result<Func, ExpandError> {
    rewrite(func, |op, _, args| {
        Ok(match op {
            Op::Cast(Dtype::F16) => Some(half::narrow_f16(args[0]).bitcast(Dtype::F16)),
            Op::Cast(Dtype::Bf16) => Some(half::narrow_bf16(args[0]).bitcast(Dtype::Bf16)),
            Op::Cast(Dtype::F32) => match args[0].dtype() {
                Dtype::F16 => Some(half::widen_f16(args[0].bits())),
                Dtype::Bf16 => Some(half::widen_bf16(args[0].bits())),
                _ => None,
            },
            _ => None,
        })
    })
}

/// Copies `func` node by node, replacing each node for which `replace` gives a value; it sees the op, the dtype its operands
/// have (its own where it takes none) and the new operands.
fn rewrite(
    func: &Func,
    replace: impl for<'a> Fn(Op, Dtype, &[Value<'a>]) -> Result<Option<Value<'a>>, ExpandError>,
) -> Result<Func, ExpandError> {
    let name = func.name().to_owned();
    if !func.is_typed() {
        return Err(ExpandError::Untyped { name });
    }
    let cx = Context::new(Builder::typed(name.clone()));
    let params: Vec<ExprId> = func
        .params()
        .iter()
        .zip(func.param_dtypes())
        .map(|(p, dtype)| cx.param(&p.name, dtype))
        .collect();
    let mut map: Vec<ExprId> = Vec::with_capacity(func.nodes().len());
    for (id, node) in func.iter() {
        let dtype = node.args.first().map_or(func.dtype(id), |&a| func.dtype(a));
        let args: Vec<Value<'_>> = node.args.iter().map(|a| cx.value(map[a.index()])).collect();
        let new = match node.op {
            Op::Param(index) => params[index as usize],
            op => match replace(op, dtype, &args)? {
                Some(value) => value.id,
                None => {
                    let ids: Vec<ExprId> = args.iter().map(|v| v.id).collect();
                    cx.node(op, &ids).id
                }
            },
        };
        map.push(new);
        if cx.len() > MAX_NODES {
            return Err(ExpandError::TooLarge { name });
        }
    }
    let results: Vec<ExprId> = func.results().iter().map(|r| map[r.index()]).collect();
    Ok(cx.into_builder().finish(&results))
}

/// The expansion of an op of stage [`Stage::Expanded`]; `None` where the table names one that has no formula here.
fn expansion<'a>(op: Op, args: &[Value<'a>]) -> Option<Value<'a>> {
    let x = args[0];
    let y = *args.last()?;
    let is_float = x.dtype().is_float();
    Some(match op {
        Op::Sign => basic::sign(x),
        Op::Recip => 1.0 / x,
        Op::IsNan => x.ne(x),
        Op::IsFinite => x.abs().lt(f64::INFINITY),
        Op::IsInf => x.abs().eq(f64::INFINITY),
        Op::Copysign => basic::copysign(x, y),
        Op::Fmin => basic::fmin(x, y),
        Op::Fmax => basic::fmax(x, y),
        Op::TruncDiv => basic::trunc_div(x, y),
        Op::FloorDiv if is_float => basic::floor_div(x, y),
        Op::FloorDiv => int::floor_div(x, y),
        Op::FloorMod if is_float => basic::floor_mod(x, y),
        Op::FloorMod => int::floor_mod(x, y),
        Op::RoundAway => scale::round_away(x),
        Op::Exponent => scale::exponent(x),
        Op::Significand => scale::significand(x),
        Op::Ldexp => scale::ldexp(x, y),
        Op::NextAfter => scale::nextafter(x, y),
        Op::Remainder => scale::remainder(x, y),
        Op::Exp => exp::exp(x),
        Op::Exp2 => power::exp2(x),
        Op::Exp10 => power::exp10(x),
        Op::Expm1 => power::expm1(x),
        Op::Sigmoid => exp::sigmoid(x),
        Op::Tanh => steps::tanh(x),
        Op::Sinh => hyperbolic::sinh(x),
        Op::Cosh => hyperbolic::cosh(x),
        Op::Asinh => hyperbolic::asinh(x),
        Op::Acosh => hyperbolic::acosh(x),
        Op::Atanh => hyperbolic::atanh(x),
        Op::Softplus => activation::softplus(x),
        Op::Silu => exp::silu(x),
        Op::Mish => activation::mish(x),
        Op::GeluTanh => activation::gelu_tanh(x),
        Op::LogAddExp => activation::logaddexp(x, y),
        Op::Ln => log::ln(x),
        Op::Log2 => log::log2(x),
        Op::Log10 => log::log10(x),
        Op::Log1p => log::log1p(x),
        Op::Sin => trig::sin(x),
        Op::Cos => trig::cos(x),
        Op::Tan => trig::tan(x),
        Op::SinPi => turn::sinpi(x),
        Op::CosPi => turn::cospi(x),
        Op::Asin => inverse::asin(x),
        Op::Acos => inverse::acos(x),
        Op::Atan => inverse::atan(x),
        Op::Atan2 => inverse::atan2(x, y),
        Op::Cbrt => root::cbrt(x),
        Op::Rsqrt => root::rsqrt(x),
        Op::Hypot => root::hypot(x, y),
        Op::Erf => steps::erf(x),
        Op::Erfc => gauss::erfc(x),
        Op::Gelu => gauss::gelu(x),
        Op::Gamma => gamma::gamma(x),
        Op::LnGamma => gamma::lgamma(x),
        Op::Pow if is_float => pow::pow(x, y),
        Op::Pow => int::pow(x, y),
        _ => return None,
    })
}
