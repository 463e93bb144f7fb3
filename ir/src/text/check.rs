//! A function against the types of its signature.
//!
//! In: a polymorphic [`Func`], the item it was lowered from, and the expression of each node. Out: the function, typed if it
//! has result types, or every type error with its place.

use super::ast::{FnItem, Span};
use super::diagnostic::{Diagnostic, Diagnostics};
use crate::func::{ExprId, Func};
use crate::infer::{Type, TypeError, TypeErrorKind, specialise};
use crate::op::{Op, Rule};

/// The function as its signature asks for it: typed if it has result types, otherwise checked as far as it has types.
pub(super) fn check_types(
    item: &FnItem,
    func: Func,
    spans: &[Span],
    mut diagnostics: Diagnostics,
) -> Result<Func, Diagnostics> {
    let Some(types) = func
        .params()
        .iter()
        .map(|p| p.dtype.map(Type::Strong))
        .collect::<Option<Vec<Type>>>()
    else {
        return Ok(func);
    };
    let typed = match specialise(&func, &types) {
        Ok(typed) => typed,
        Err(errors) => {
            for error in errors {
                let (node, label) = blame(&func, &error);
                diagnostics.push(Diagnostic::new(spans[node.index()], error.to_string()).label(label));
            }
            return Err(diagnostics);
        }
    };
    let Some(declared) = &item.results else {
        return Ok(func);
    };
    let results = item.body.results.iter();
    for ((found, &(dtype, declaration)), result) in typed.result_dtypes().into_iter().zip(declared).zip(results) {
        if found != dtype {
            diagnostics.push(
                Diagnostic::new(result.span, format!("expected a result of type {dtype}, found {found}"))
                    .label(format!("this is {found}"))
                    .context(declaration, "declared here")
                    .help(format!("nothing is converted silently; write `… as {dtype}`")),
            );
        }
    }
    diagnostics.into_result(typed)
}

/// The node a type error is about, which may be an operand of the one it was found at, and the words for its caret.
fn blame(func: &Func, error: &TypeError) -> (ExprId, String) {
    let operands = &func.node(error.node).args;
    match &error.kind {
        TypeErrorKind::Operand { op, expected, .. } => {
            let condition = operands.first().filter(|_| op.rule() == Rule::Select);
            (*condition.unwrap_or(&error.node), format!("expected {expected}"))
        }
        TypeErrorKind::Literal { literal, dtype } => {
            let itself = operands.iter().find(|&&arg| func.node(arg).op == Op::Literal(*literal));
            (*itself.unwrap_or(&error.node), format!("expected a value of {dtype}"))
        }
        TypeErrorKind::Bitcast { from, .. } => {
            let bits = from.bits();
            (error.node, format!("expected a type of {bits} bits"))
        }
    }
}
