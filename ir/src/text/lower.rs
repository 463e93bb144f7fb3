//! Functions of the text into [`Func`]s: names resolved, calls inlined, types checked.
//!
//! In: a [`FnItem`] and the [`Functions`] above it. Out: a [`Func`], or every error with its place.
//!
//! Invariants: no function has more than [`MAX_NODES`] nodes, and lowering a file visits at most [`MAX_WORK`] of them, so a
//! tower of calls that double each other is an error and not an endless loop. Every node knows the expression it came from.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::ast::{Block, Expr, ExprKind, FnItem, Ident, Item, Module, Span};
use super::check::check_types;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::names::{ARRAY_FUNCTIONS, constant, op_names, suggest};
use super::parse;
use super::source::Source;
use crate::dtype::Dtype;
use crate::func::{Builder, ExprId, Func, MAX_NODES};
use crate::op::Op;
use crate::table::Column;

/// The largest number of nodes that the calls of one file may inline, all together.
const MAX_WORK: usize = 32 * MAX_NODES;

/// The largest number of names that are looked through for those an unknown one may have meant.
const MAX_CANDIDATES: usize = 1 << 20;

/// What the lowering of one file has spent of its bounds.
#[derive(Default)]
struct Spent {
    /// Nodes that calls have inlined.
    nodes: usize,
    /// Names that were candidates of suggestions.
    candidates: usize,
}

/// The functions that a body may call, in the order of their definition.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    list: Vec<Func>,
    index: HashMap<String, usize>,
}

impl Functions {
    /// No functions.
    pub fn new() -> Functions {
        Functions::default()
    }

    /// Adds a function, which hides an earlier one of the same name.
    pub fn insert(&mut self, func: Func) {
        self.index.insert(func.name().to_owned(), self.list.len());
        self.list.push(func);
    }

    /// The function of this name.
    pub fn get(&self, name: &str) -> Option<&Func> {
        self.index.get(name).map(|&index| &self.list[index])
    }

    /// The functions in the order of their definition.
    pub fn iter(&self) -> impl Iterator<Item = &Func> {
        self.list.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of functions.
    pub fn len(&self) -> usize {
        self.list.len()
    }
}

/// The function of this name that the language has beside its ops: `relu` or `clamp`.
pub fn built_in(name: &str) -> Option<&'static Func> {
    static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
        let text = "fn relu(x) { maximum(x, 0) } fn clamp(x, lo, hi) { minimum(maximum(x, lo), hi) }";
        let module = parse(text, "<built in>").expect("text of the language");
        lower_module(&module).expect("functions of ops alone")
    });
    // The functions themselves call ops, which must not lead here again.
    matches!(name, "relu" | "clamp").then(|| FUNCTIONS.get(name)).flatten()
}

/// All functions of a file.
///
/// ```
/// let source = "fn sq(x) { x * x } fn norm(x: f32, y: f32) -> f32 { sqrt(sq(x) + sq(y)) }";
/// let module = loopweave_ir::text::parse(source, "norm.lw").unwrap();
/// let functions = loopweave_ir::text::lower_module(&module).unwrap();
/// assert!(functions.get("norm").unwrap().is_typed());
/// ```
///
/// # Errors
/// Every unknown name, wrong number of arguments, type that does not fit, and so on.
pub fn lower_module(module: &Module) -> Result<Functions, Diagnostics> {
    let mut diagnostics = Diagnostics::new(&module.source);
    let mut functions = Functions::new();
    let mut later: HashMap<&str, Span> = HashMap::new();
    for item in &module.items {
        if let Item::Fn(item) = item {
            later.insert(&item.name.name, item.name.span);
        }
    }
    let mut spent = Spent::default();
    let mut broken: HashMap<&str, Span> = HashMap::new();
    for item in &module.items {
        let Item::Fn(item) = item else { continue };
        later.remove(item.name.name.as_str());
        let context = Context {
            functions: &functions,
            later: &later,
            broken: &broken,
        };
        match lower(item, context, &mut spent, &module.source) {
            Ok(func) => functions.insert(func),
            Err(errors) => {
                diagnostics.append(errors);
                broken.insert(&item.name.name, item.name.span);
            }
        }
    }
    diagnostics.into_result(functions)
}

/// One function, which may call those in `functions`. The spans of `item` are of `source`.
///
/// # Errors
/// Every error of the function.
pub fn lower_fn(item: &FnItem, functions: &Functions, source: &Source) -> Result<Func, Diagnostics> {
    let context = Context {
        functions,
        later: &HashMap::new(),
        broken: &HashMap::new(),
    };
    lower(item, context, &mut Spent::default(), source)
}

/// What a callee may be.
#[derive(Clone, Copy)]
struct Context<'a> {
    functions: &'a Functions,
    /// Functions further down the file.
    later: &'a HashMap<&'a str, Span>,
    /// Functions above whose errors have been reported, so that calls of them are not errors of their own.
    broken: &'a HashMap<&'a str, Span>,
}

/// An error has been reported.
struct Reported;

struct Lowering<'a> {
    context: Context<'a>,
    name: &'a Ident,
    builder: Builder,
    /// The expression of each node of the builder.
    spans: Vec<Span>,
    scope: HashMap<&'a str, ExprId>,
    /// Names whose binding has an error that was reported.
    lost: HashMap<&'a str, Span>,
    spent: &'a mut Spent,
    full: bool,
    diagnostics: Diagnostics,
}

fn lower(item: &FnItem, context: Context<'_>, spent: &mut Spent, source: &Source) -> Result<Func, Diagnostics> {
    let mut lowering = Lowering {
        context,
        name: &item.name,
        builder: Builder::polymorphic(&item.name.name),
        spans: Vec::new(),
        scope: HashMap::new(),
        lost: HashMap::new(),
        spent,
        full: false,
        diagnostics: Diagnostics::new(source),
    };
    for (param, dtype) in &item.params {
        let id = lowering.builder.param(&param.name, dtype.map(|(dtype, _)| dtype));
        lowering.spans.resize(lowering.builder.len(), param.span);
        lowering.scope.insert(&param.name, id);
    }
    if let (Some(_), Some((untyped, _))) = (&item.results, item.params.iter().find(|(_, dtype)| dtype.is_none())) {
        let message = format!(
            "`{}` has a result type, but its parameter `{}` has no type",
            item.name.name, untyped.name
        );
        lowering.diagnostics.push(
            Diagnostic::new(untyped.span, message)
                .label("expected a type, such as `f32`")
                .help("leave the result type out for a function that takes any types"),
        );
    }
    let results = lowering.block(&item.body);
    let Lowering {
        builder,
        spans,
        diagnostics,
        ..
    } = lowering;
    let results = match results {
        Ok(results) if diagnostics.is_empty() => results,
        _ => return Err(diagnostics),
    };
    let (func, map) = builder.finish_with_map(&results);
    let mut node_spans = vec![item.name.span; func.nodes().len()];
    for (old, new) in map.iter().enumerate() {
        if let (Some(new), Some(span)) = (new, spans.get(old)) {
            node_spans[new.index()] = *span;
        }
    }
    check_types(item, func, &node_spans, diagnostics)
}

impl<'a> Lowering<'a> {
    /// The results of a block; its bindings end with it.
    fn block(&mut self, block: &'a Block) -> Result<Vec<ExprId>, Reported> {
        let mut hidden = Vec::with_capacity(block.lets.len());
        let mut failed = false;
        for (name, value) in &block.lets {
            let value = self.expr(value);
            hidden.push((name.name.as_str(), self.scope.get(name.name.as_str()).copied()));
            match value {
                Ok(id) => {
                    self.scope.insert(&name.name, id);
                    self.lost.remove(name.name.as_str());
                }
                Err(Reported) => {
                    failed = true;
                    self.scope.remove(name.name.as_str());
                    self.lost.insert(&name.name, name.span);
                }
            }
        }
        let results: Vec<_> = block.results.iter().map(|result| self.expr(result)).collect();
        for (name, before) in hidden.into_iter().rev() {
            self.lost.remove(name);
            match before {
                Some(id) => self.scope.insert(name, id),
                None => self.scope.remove(name),
            };
        }
        if failed {
            Err(Reported)
        } else {
            results.into_iter().collect()
        }
    }

    fn expr(&mut self, expr: &'a Expr) -> Result<ExprId, Reported> {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Literal(literal) => self.node(Op::Literal(*literal), &[], expr.span),
            ExprKind::Typed(value) => self.node(Op::Const(*value), &[], expr.span),
            ExprKind::Operator(op, args) => {
                let args = self.all(args)?;
                self.op(*op, &args, expr.span)
            }
            ExprKind::Call { callee, args, named } => {
                if let Some((name, _)) = named.first() {
                    let message = format!("`{}` is no argument of a scalar function", name.name);
                    let diagnostic = Diagnostic::new(name.span, message)
                        .label("expected arguments by position")
                        .note("reductions and views have arguments by name; they are for a `kernel`");
                    return Err(self.report(diagnostic));
                }
                // The arguments are looked at even if the callee is not known: they may have errors of their own.
                let args = self.all(args);
                self.call(callee, args, expr.span)
            }
            ExprKind::Cast(value, dtype) => {
                let value = self.expr(value)?;
                self.node(Op::Cast(*dtype), &[value], expr.span)
            }
            ExprKind::Bitcast(value, dtype) => {
                let value = self.expr(value)?;
                self.node(Op::Bitcast(*dtype), &[value], expr.span)
            }
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.expr(condition);
                let then = self.block(then);
                let otherwise = self.block(otherwise);
                let (condition, then, otherwise) = (condition?, then?, otherwise?);
                let mut operands = vec![condition];
                operands.extend(then.into_iter().chain(otherwise));
                self.op(Op::Select, &operands, expr.span)
            }
            ExprKind::MatMul(..) => Err(self.array_only(expr.span, "a matrix product")),
            ExprKind::Index(..) => Err(self.array_only(expr.span, "indexing")),
            ExprKind::List(_) => Err(self.array_only(expr.span, "a shape")),
        }
    }

    fn all(&mut self, args: &'a [Expr]) -> Result<Vec<ExprId>, Reported> {
        let args: Vec<_> = args.iter().map(|arg| self.expr(arg)).collect();
        args.into_iter().collect()
    }

    fn name(&mut self, name: &str, span: Span) -> Result<ExprId, Reported> {
        if let Some(&id) = self.scope.get(name) {
            return Ok(id);
        }
        if self.lost.contains_key(name) {
            return Err(Reported);
        }
        if let Some(literal) = constant(name) {
            return self.node(Op::Literal(literal), &[], span);
        }
        let mut diagnostic = Diagnostic::new(span, format!("the name `{name}` is not defined"))
            .label("expected a parameter, or a name that a `let` binds above");
        if let Some(near) = self.similar_value(name) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if Op::from_name(name).is_some() || self.context.functions.get(name).is_some() {
            diagnostic = diagnostic.help(format!("`{name}` is a function; write `{name}(…)` to call it"));
        } else if name == "e" {
            diagnostic = diagnostic.help("the base of the natural logarithm is `exp(1)`");
        }
        Err(self.report(diagnostic))
    }

    fn call(&mut self, callee: &'a Ident, args: Result<Vec<ExprId>, Reported>, span: Span) -> Result<ExprId, Reported> {
        let name = callee.name.as_str();
        let functions = self.context.functions;
        let is_own = name == self.name.name || self.context.later.contains_key(name);
        if let Some(func) = functions.get(name).or_else(|| built_in(name).filter(|_| !is_own)) {
            let args = args?;
            self.check_arity(callee, func.params().len(), args.len(), span)?;
            return self.inline(func, &args, span);
        }
        if self.context.broken.contains_key(name) {
            return Err(Reported);
        }
        let op = match name {
            "index" => Some(Op::Index),
            _ => Op::from_name(name).or_else(|| Column::from_name(name).map(Op::Lookup)),
        };
        let Some(op) = op else {
            return Err(self.unknown_callee(callee));
        };
        let args = args?;
        self.check_arity(callee, op.arity(), args.len(), span)?;
        self.op(op, &args, span)
    }

    fn check_arity(&mut self, callee: &Ident, expected: usize, found: usize, span: Span) -> Result<(), Reported> {
        if expected == found {
            return Ok(());
        }
        let plural = if expected == 1 { "" } else { "s" };
        let message = format!("`{}` takes {expected} argument{plural}, found {found}", callee.name);
        Err(self.report(Diagnostic::new(span, message).label(format!("expected {expected} argument{plural}"))))
    }

    fn inline(&mut self, func: &Func, args: &[ExprId], span: Span) -> Result<ExprId, Reported> {
        if func.results().len() != 1 {
            let count = func.results().len();
            let message = format!("`{}` has {count} results, and an expression one", func.name());
            let diagnostic = Diagnostic::new(span, message)
                .label("expected a function of one result")
                .help("split the function into one for each result");
            return Err(self.report(diagnostic));
        }
        self.spent.nodes += func.nodes().len();
        if self.builder.len() + func.nodes().len() > MAX_NODES || self.spent.nodes > MAX_WORK {
            return Err(self.too_large(span));
        }
        let args: Vec<ExprId> = args
            .iter()
            .zip(func.params())
            .map(|(&arg, param)| match param.dtype {
                Some(dtype) if !self.has_dtype(arg, dtype) => self.builder.node(Op::Cast(dtype), &[arg]),
                _ => arg,
            })
            .collect();
        let results = self.builder.inline(func, &args);
        self.spans.resize(self.builder.len(), span);
        Ok(results[0])
    }

    /// Whether a node is known to have the type already.
    fn has_dtype(&self, id: ExprId, dtype: Dtype) -> bool {
        match self.builder.op(id) {
            Op::Cast(to) | Op::Bitcast(to) => to == dtype,
            Op::Const(value) => value.dtype() == dtype,
            _ => false,
        }
    }

    fn op(&mut self, op: Op, args: &[ExprId], span: Span) -> Result<ExprId, Reported> {
        if op.arity() != args.len() {
            // Only a tree that was not parsed has an operator with other operands than its own.
            let message = format!("`{}` takes {} operands, found {}", op.name(), op.arity(), args.len());
            return Err(self.report(Diagnostic::new(span, message)));
        }
        self.node(op, args, span)
    }

    fn node(&mut self, op: Op, args: &[ExprId], span: Span) -> Result<ExprId, Reported> {
        if self.builder.len() >= MAX_NODES {
            return Err(self.too_large(span));
        }
        let id = self.builder.node(op, args);
        self.spans.resize(self.builder.len(), span);
        Ok(id)
    }

    fn too_large(&mut self, span: Span) -> Reported {
        if !std::mem::replace(&mut self.full, true) {
            let message = format!(
                "the function `{}` is too large once its calls are inlined",
                self.name.name
            );
            let diagnostic = Diagnostic::new(span, message)
                .label("the limit is reached here")
                .note(format!(
                    "a function has at most {MAX_NODES} nodes, and the calls of a file inline at most {MAX_WORK}"
                ));
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    fn array_only(&mut self, span: Span, what: &str) -> Reported {
        let diagnostic = Diagnostic::new(span, format!("{what} is for arrays, and a `fn` is scalar"))
            .label("expected a scalar expression")
            .help("write a `kernel` instead");
        self.report(diagnostic)
    }

    fn unknown_callee(&mut self, callee: &Ident) -> Reported {
        let name = callee.name.as_str();
        let diagnostic = Diagnostic::new(callee.span, format!("the function `{name}` is not defined"));
        let diagnostic = if name == self.name.name {
            Diagnostic::new(callee.span, format!("`{name}` calls itself"))
                .label("expected an op or a function defined above")
                .note("functions are inlined where they are called, so none may call itself")
        } else if let Some(&below) = self.context.later.get(name) {
            Diagnostic::new(
                callee.span,
                format!("`{name}` is defined below; functions may call those above"),
            )
            .label("expected an op or a function defined above")
            .context(below, "defined here")
        } else if self.scope.contains_key(name) {
            diagnostic
                .label("expected an op or a function defined above")
                .note(format!("`{name}` is a value; write `*` to multiply"))
        } else {
            let diagnostic = diagnostic.label("expected an op or a function defined above");
            let array = ARRAY_FUNCTIONS.contains(&name);
            let diagnostic = match self.similar_function(name) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic,
            };
            match array {
                true => diagnostic.note(format!("`{name}` of an array is for a `kernel`; a `fn` is scalar")),
                false => diagnostic,
            }
        };
        self.report(diagnostic)
    }

    /// The value that an unknown name may have meant.
    fn similar_value(&mut self, name: &str) -> Option<&'a str> {
        if !self.may_look_through(self.scope.len()) {
            return None;
        }
        // The least of equally near names, as the order of a map is no order.
        let mut candidates: Vec<&str> = self.scope.keys().copied().chain(["pi", "tau", "inf", "nan"]).collect();
        candidates.sort_unstable();
        suggest(name, candidates)
    }

    /// The function or op that an unknown callee may have meant.
    fn similar_function(&mut self, name: &str) -> Option<&'a str> {
        let functions = self.context.functions;
        if !self.may_look_through(functions.len()) {
            return None;
        }
        let functions = functions.iter().map(|func| func.name());
        suggest(name, functions.chain(op_names().map(|op| -> &str { op })))
    }

    fn may_look_through(&mut self, candidates: usize) -> bool {
        self.spent.candidates += candidates;
        self.spent.candidates <= MAX_CANDIDATES
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.diagnostics.push(diagnostic);
        Reported
    }
}
