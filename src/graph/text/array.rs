//! Calls of a kernel that only arrays have: reductions, views and indexing.
//!
//! In: the call's tree. Out: a node, or every error in its arguments.

use loopweave_ir::text::Diagnostic;
use loopweave_ir::text::ast::{Argument, Expr, ExprKind, Ident, Span, Subscript};
use loopweave_ir::{Dtype, Literal};

use super::{Lowering, Reported, Value};
use crate::graph::build::ReduceWith;
use crate::graph::{Dim, Named, NodeId, Slice};

impl<'a> Lowering<'a> {
    pub(super) fn reduce(
        &mut self,
        reduction: Named,
        callee: &Ident,
        args: &'a [Expr],
        named: &'a [(Ident, Argument)],
        span: Span,
    ) -> Result<Value, Reported> {
        let options = self.reduce_options(callee, named);
        let args = self.all(args)?;
        self.arity(callee, 1, args.len(), span)?;
        let options = options?;
        let id = self.array(args[0].clone(), span)?;
        let with = ReduceWith::Named {
            named: reduction,
            dtype: options.dtype,
        };
        let reduced = self.built(span, |b| b.reduce(with, id, options.axes.as_deref(), options.keepdims));
        reduced.map(Value::Node)
    }

    fn reduce_options(&mut self, callee: &Ident, named: &[(Ident, Argument)]) -> Result<ReduceOptions, Reported> {
        let mut options = ReduceOptions::default();
        let mut failed = false;
        for (name, value) in named {
            let expected = match (name.name.as_str(), value) {
                ("axis", Argument::Int(axis, _)) => {
                    options.axes = Some(vec![saturated(*axis)]);
                    continue;
                }
                ("axis", Argument::Ints(axes, _)) => {
                    options.axes = Some(axes.iter().copied().map(saturated).collect());
                    continue;
                }
                ("keepdims", Argument::Bool(keepdims, _)) => {
                    options.keepdims = *keepdims;
                    continue;
                }
                ("dtype", Argument::Dtype(dtype, _)) => {
                    options.dtype = Some(*dtype);
                    continue;
                }
                ("axis", _) => "`axis` is an integer or a list of integers",
                ("keepdims", _) => "`keepdims` is `true` or `false`",
                ("dtype", _) => "`dtype` is a dtype, such as `f64`",
                _ => {
                    let message = format!("`{}` has no argument `{}`", callee.name, name.name);
                    let diagnostic = Diagnostic::new(name.span, message);
                    self.diagnostics
                        .push(diagnostic.label("expected `axis`, `keepdims` or `dtype`"));
                    failed = true;
                    continue;
                }
            };
            self.report(span_of(value), expected);
            failed = true;
        }
        if failed { Err(Reported) } else { Ok(options) }
    }

    pub(super) fn view(&mut self, callee: &Ident, args: &'a [Expr], span: Span) -> Result<Value, Reported> {
        let Some((array, rest)) = args.split_first() else {
            let message = format!("`{}` takes an array", callee.name);
            return Err(self.report(span, message));
        };
        let value = self.expr(array)?;
        let id = self.array(value, array.span)?;
        // `permute(x, 1, 0)` and `permute(x, [1, 0])` are the same.
        let list = match rest {
            [
                Expr {
                    kind: ExprKind::List(list),
                    ..
                },
            ] => list,
            _ => rest,
        };
        let made = match callee.name.as_str() {
            "transpose" if rest.is_empty() => self.built(span, |b| b.transpose(id)),
            "permute" | "transpose" => {
                let axes = self.each(list, Self::axis)?;
                self.built(span, |b| b.permute(id, &axes))
            }
            "reshape" => {
                let extents = self.each(list, Self::open_extent)?;
                self.built(span, |b| b.reshape(id, &extents))
            }
            _ => {
                let extents = self.each(list, Self::extent)?;
                self.built(span, |b| b.broadcast(id, &extents))
            }
        };
        made.map(Value::Node)
    }

    fn each<T>(
        &mut self,
        list: &[Expr],
        read: impl Fn(&mut Self, &Expr) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let read: Vec<_> = list.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    fn axis(&mut self, expr: &Expr) -> Result<isize, Reported> {
        match expr.kind {
            ExprKind::Literal(Literal::Int(axis)) => {
                isize::try_from(axis).map_err(|_| self.report(expr.span, format!("there is no axis {axis}")))
            }
            _ => Err(self.report(expr.span, "expected the number of an axis")),
        }
    }

    fn open_extent(&mut self, expr: &Expr) -> Result<Option<Dim>, Reported> {
        match expr.kind {
            ExprKind::Literal(Literal::Int(-1)) => Ok(None),
            _ => self.extent(expr).map(Some),
        }
    }

    fn extent(&mut self, expr: &Expr) -> Result<Dim, Reported> {
        match &expr.kind {
            ExprKind::Literal(Literal::Int(extent)) => match usize::try_from(*extent) {
                Ok(extent) => Ok(Dim::Fixed(extent)),
                Err(_) => Err(self.report(expr.span, format!("{extent} is no extent"))),
            },
            ExprKind::Name(name) if self.builder.graph().declares(name) => Ok(Dim::Name(name.clone())),
            ExprKind::Name(name) => {
                let message = format!("no input has an extent named `{name}`");
                let diagnostic = Diagnostic::new(expr.span, message);
                self.diagnostics
                    .push(diagnostic.label("expected a number, or an extent that a parameter declares"));
                Err(Reported)
            }
            _ => Err(self.report(expr.span, "expected an extent: a number or the name of one")),
        }
    }

    pub(super) fn slices(&self, id: NodeId, subscripts: &[Subscript]) -> Vec<Slice> {
        let taken = |s: &&Subscript| matches!(s, Subscript::At(..) | Subscript::Range { .. });
        let rank = self.builder.graph().node(id).rank;
        let rest = rank.saturating_sub(subscripts.iter().filter(taken).count());
        let mut slices = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            match *subscript {
                Subscript::At(index, _) => slices.push(Slice::At(index)),
                Subscript::Range { start, stop, step, .. } => slices.push(Slice::Range {
                    start,
                    stop,
                    step: step.unwrap_or(1),
                }),
                Subscript::NewAxis(_) => slices.push(Slice::New),
                Subscript::Ellipsis(_) => slices.extend(std::iter::repeat_n(Slice::ALL, rest)),
            }
        }
        slices
    }
}

/// The arguments by name of a reduction.
#[derive(Default)]
struct ReduceOptions {
    axes: Option<Vec<isize>>,
    keepdims: bool,
    dtype: Option<Dtype>,
}

fn saturated(axis: i64) -> isize {
    isize::try_from(axis).unwrap_or(isize::MAX)
}

fn span_of(argument: &Argument) -> Span {
    match argument {
        Argument::Int(_, span) | Argument::Ints(_, span) | Argument::Bool(_, span) | Argument::Dtype(_, span) => *span,
    }
}
