//! The methods and operators of [`Array`] that a table lists: one for each reduction and each op.
//!
//! In: the tables of scalar expressions, which `loopweave_ir` exports, and that of the named reductions. Out: methods that make
//! one node each.

use std::ops;

use loopweave_ir::{Builder, ExprId, Op};

use super::super::ProgramBuilder;
use super::super::forms::{ArrayOperand, Axes, Operand};
use super::Array;
use crate::graph::Named;

macro_rules! reductions {
    ($($name:ident $keepdims:ident $named:ident $doc:literal;)*) => {
        impl<'g> Array<'g> {
            $(
                #[doc = $doc]
                #[track_caller]
                pub fn $name(self, axes: impl Axes) -> Array<'g> {
                    self.named_reduction(Named::$named, axes, false)
                }

                #[doc = concat!("As [`Array::", stringify!($name), "`]; the reduced axes stay with extent 1.")]
                #[track_caller]
                pub fn $keepdims(self, axes: impl Axes) -> Array<'g> {
                    self.named_reduction(Named::$named, axes, true)
                }
            )*
        }
    };
}

reductions! {
    sum sum_keepdims Sum "The sum along axes, or `..` for all; integers and `bool` widen to `i64` or `u64`; 0 for no elements.";
    prod prod_keepdims Prod "The product along axes; integers and `bool` widen to `i64` or `u64`; 1 for no elements.";
    min min_keepdims Min "The least element along axes, NaN if any is; refused for no elements.";
    max max_keepdims Max "The greatest element along axes, NaN if any is; refused for no elements.";
    mean mean_keepdims Mean "The mean along axes, of integers in `f64`; NaN for no elements.";
    any any_keepdims Any "Whether any element along axes is not zero.";
    all all_keepdims All "Whether all elements along axes are not zero.";
    argmin argmin_keepdims ArgMin "The position of the first least element, or of the first NaN, in C order of the axes, as `i64`.";
    argmax argmax_keepdims ArgMax "The position of the first greatest element, or of the first NaN, in C order of the axes, as `i64`.";
}

macro_rules! unary_methods {
    ($($name:ident $op:ident;)*) => {
        impl<'g> Array<'g> {
            $(
                #[doc = concat!("The op [`Op::", stringify!($op), "`] of each element.")]
                #[track_caller]
                pub fn $name(self) -> Array<'g> {
                    self.op(Op::$op, Op::$op.name(), &[])
                }
            )*
        }
    };
}

loopweave_ir::for_unary_methods!(unary_methods);

macro_rules! binary_methods {
    ($($name:ident $op:ident;)*) => {
        impl<'g> Array<'g> {
            $(
                #[doc = concat!("The op [`Op::", stringify!($op), "`] of each element and the other operand's.")]
                #[track_caller]
                pub fn $name(self, other: impl ArrayOperand<'g>) -> Array<'g> {
                    self.op(Op::$op, Op::$op.name(), &[other.operand()])
                }
            )*
        }
    };
}

loopweave_ir::for_binary_methods!(binary_methods);

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl<'g, T: ArrayOperand<'g>> ops::$trait<T> for Array<'g> {
            type Output = Array<'g>;

            #[track_caller]
            fn $method(self, other: T) -> Array<'g> {
                self.op(Op::$op, Op::$op.name(), &[other.operand()])
            }
        }

        // One type of integers and one of floats: a literal is of that type at once, so that `(1.0 - x).sqrt()` needs no suffix.
        operators! { @left $trait $method $op: bool i64 f64 }
    )*};
    (@left $trait:ident $method:ident $op:ident: $($t:ty)*) => {$(
        impl<'g> ops::$trait<Array<'g>> for $t {
            type Output = Array<'g>;

            #[track_caller]
            fn $method(self, other: Array<'g>) -> Array<'g> {
                apply(other.builder, Op::$op, Op::$op.name(), &[self.operand(), Operand::Array(other)])
            }
        }
    )*};
}

loopweave_ir::for_operators!(operators);

impl<'g> ops::Neg for Array<'g> {
    type Output = Array<'g>;

    #[track_caller]
    fn neg(self) -> Array<'g> {
        self.op(Op::Neg, Op::Neg.name(), &[])
    }
}

impl<'g> ops::Not for Array<'g> {
    type Output = Array<'g>;

    #[track_caller]
    fn not(self) -> Array<'g> {
        self.op(Op::Not, Op::Not.name(), &[])
    }
}

/// The array of an op's results. Its function has a parameter for each array, each array once.
#[track_caller]
pub(super) fn apply<'g>(builder: &'g ProgramBuilder, op: Op, name: &str, operands: &[Operand<'g>]) -> Array<'g> {
    let mut body = Builder::polymorphic(name);
    let mut arrays: Vec<Array<'g>> = Vec::new();
    let mut params: Vec<ExprId> = Vec::new();
    let args: Vec<ExprId> = operands
        .iter()
        .map(|operand| match *operand {
            Operand::Literal(literal) => body.node(Op::Literal(literal), &[]),
            Operand::Scalar(value) => body.constant(value),
            Operand::Array(array) => {
                let same = |known: &Array<'g>| std::ptr::eq(known.builder, array.builder) && known.node == array.node;
                match arrays.iter().position(same) {
                    Some(known) => params[known],
                    None => {
                        let name = array.node.map(|node| array.builder.param_name(node));
                        let param = body.param(name.unwrap_or_default(), None);
                        arrays.push(array);
                        params.push(param);
                        param
                    }
                }
            }
        })
        .collect();
    let result = body.node(op, &args);
    builder.apply(&body.finish(&[result]), &arrays)
}
