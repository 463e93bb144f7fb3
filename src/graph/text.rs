//! Array programs of the text: a kernel's tree becomes a graph.
//!
//! In: a [`KernelItem`], or the bare body of a command line, and the functions of its file. Out: a [`Graph`], or every name,
//! type and rank error with its place.
//!
//! Each operator and each call becomes a node of its own, so that reports speak of what the user wrote; [`crate::fuse`]
//! puts them together again. Literals are part of the node that uses them, where they yield to its other operands.
//!
//! Invariant: a part of an expression is not rounded to a 16-bit float: `a * b + c` is computed in `f32` and rounded once, as
//! in a scalar function. What has a name, is reduced, viewed or returned is an array, and so is rounded.

mod array;

use std::collections::HashMap;

use loopweave_ir::func::MAX_NODES;
use loopweave_ir::text::ast::{self, Argument, ArrayType, Block, Expr, ExprKind, Ident, KernelItem, Span};
use loopweave_ir::text::{
    ARRAY_FUNCTIONS, Diagnostic, Diagnostics, Functions, Source, built_in, constant, op_names, suggest,
};
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op, Scalar, Type, TypeError, specialise};

use super::build::GraphBuilder;
use super::error::count;
use super::{ArrayOp, Dim, Graph, GraphError, Named, NodeId};

/// The largest number of function nodes that the maps of one kernel may hold, all together.
const MAX_WORK: usize = 32 * MAX_NODES;

/// The largest number of nodes a kernel may have.
const MAX_GRAPH: usize = 1 << 16;

/// The graph of a kernel, which may call the functions of its file. The spans of `kernel` are of `source`.
///
/// ```
/// use loopweave::graph::text::lower_kernel;
/// use loopweave::ir::text::{Functions, ast::Item, parse};
/// let module = parse("kernel norm(x: f32[n, 3]) -> f32[n] { sqrt(sum(x * x, axis = -1)) }", "norm.lw").unwrap();
/// let Item::Kernel(kernel) = &module.items[0] else { unreachable!() };
/// let graph = lower_kernel(kernel, &Functions::new(), &module.source).unwrap();
/// let names: Vec<_> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
/// assert_eq!(names, ["x", "mul", "sum", "sqrt"]);
/// ```
///
/// # Errors
/// Every error of the kernel.
pub fn lower_kernel(kernel: &KernelItem, functions: &Functions, source: &Source) -> Result<Graph, Diagnostics> {
    let mut lowering = Lowering::new(&kernel.name.name, functions, source);
    for (param, ty) in &kernel.params {
        let dims = ty.dims.iter().map(|dim| lowering.dim(dim)).collect();
        lowering.input(&param.name, param.span, ty.dtype, dims);
    }
    let results = lowering.block(&kernel.body);
    lowering.finish(&kernel.body, results, kernel.results.as_deref())
}

/// The graph of a bare body whose free names are the given inputs. The spans of `block` are of `source`, whose name becomes
/// the graph's.
///
/// ```
/// use loopweave::graph::text::lower_block;
/// use loopweave::ir::Dtype;
/// use loopweave::ir::text::{Functions, Source, parse_expr_body};
/// let source = Source::new("expr", "x - mean(x, axis = 0)");
/// let block = parse_expr_body(source.text(), source.name()).unwrap();
/// let graph = lower_block(&block, &[("x", Dtype::F32, 2)], &Functions::new(), &source).unwrap();
/// assert_eq!(graph.node(graph.outputs[0].1).rank, 2);
/// ```
///
/// # Errors
/// Every error of the body.
pub fn lower_block(
    block: &Block,
    inputs: &[(&str, impl Into<Type> + Copy, usize)],
    functions: &Functions,
    source: &Source,
) -> Result<Graph, Diagnostics> {
    let mut lowering = Lowering::new(source.name(), functions, source);
    for &(name, dtype, rank) in inputs {
        lowering.input(name, Span::default(), dtype, vec![None; rank]);
    }
    let results = lowering.block(block);
    lowering.finish(block, results, None)
}

/// An error has been reported.
#[derive(Clone, Copy, Debug)]
struct Reported;

/// What an expression stands for.
#[derive(Clone)]
enum Value {
    /// An array.
    Node(NodeId),
    /// A function of arrays that is not a node yet: a scalar, which still yields to what it meets, or a part of an
    /// expression that would be rounded if it were one.
    Part {
        /// A polymorphic function of one result.
        func: Func,
        /// Its arguments.
        args: Vec<NodeId>,
    },
}

struct Lowering<'a> {
    builder: GraphBuilder,
    functions: &'a Functions,
    scope: HashMap<&'a str, Value>,
    /// Names whose binding has an error that was reported.
    lost: HashMap<&'a str, Span>,
    /// Function nodes made so far.
    work: usize,
    full: bool,
    diagnostics: Diagnostics,
}

impl<'a> Lowering<'a> {
    fn new(name: &str, functions: &'a Functions, source: &Source) -> Lowering<'a> {
        Lowering {
            builder: GraphBuilder::new(name),
            functions,
            scope: HashMap::new(),
            lost: HashMap::new(),
            work: 0,
            full: false,
            diagnostics: Diagnostics::new(source),
        }
    }

    fn input(&mut self, name: &'a str, span: Span, ty: impl Into<Type>, dims: Vec<Option<Dim>>) {
        let id = self.builder.at(span).input_with_dims(name, ty, dims);
        self.scope.insert(name, Value::Node(id));
    }

    fn dim(&mut self, dim: &ast::Dim) -> Option<Dim> {
        match dim {
            ast::Dim::Name(ident) => Some(Dim::Name(ident.name.clone())),
            ast::Dim::Fixed(extent, span) => match usize::try_from(*extent) {
                Ok(extent) => Some(Dim::Fixed(extent)),
                Err(_) => {
                    self.report(*span, format!("the extent {extent} is too large"));
                    None
                }
            },
        }
    }

    /// The graph, once the results' names and declared types are settled.
    fn finish(
        mut self,
        block: &Block,
        results: Result<Vec<NodeId>, Reported>,
        declared: Option<&[(Option<Ident>, ArrayType)]>,
    ) -> Result<Graph, Diagnostics> {
        let (Ok(results), true) = (results, self.diagnostics.is_empty()) else {
            return Err(self.diagnostics);
        };
        let several = results.len() > 1;
        let mut used: Vec<String> = Vec::new();
        for (i, (&id, expr)) in results.iter().zip(&block.results).enumerate() {
            let declared = declared.and_then(|d| d.get(i));
            let name = match (declared, &expr.kind) {
                (Some((Some(ident), _)), _) => ident.name.clone(),
                (_, ExprKind::Name(name)) if !used.contains(name) => name.clone(),
                _ if several => format!("out{i}"),
                _ => "out".to_owned(),
            };
            used.push(name.clone());
            match declared {
                Some((_, ty)) if self.is_declared(id, ty, expr.span) => {
                    let dims = ty.dims.iter().map(|dim| self.dim(dim)).collect();
                    self.builder.output_with_dims(name, id, dims);
                }
                _ => self.builder.output(name, id),
            }
        }
        let end = block.results.last().map_or(Span::default(), |r| r.span);
        match self.builder.finish() {
            Ok(graph) => self.diagnostics.into_result(graph),
            Err(error) => {
                self.diagnostics.push(Diagnostic::new(end, error.to_string()));
                Err(self.diagnostics)
            }
        }
    }

    /// Whether a result has the declared dtype and rank; reports it where not.
    fn is_declared(&mut self, id: NodeId, ty: &ArrayType, span: Span) -> bool {
        let node = self.builder.graph().node(id);
        if node.dtype == ty.dtype && node.rank == ty.dims.len() {
            return true;
        }
        let found = array_type(node.dtype, node.rank);
        let expected = array_type(ty.dtype, ty.dims.len());
        let mut diagnostic = Diagnostic::new(span, format!("this result is {found}, but {expected} is declared"))
            .label(format!("expected {expected}"))
            .context(ty.span, "declared here");
        if node.rank == ty.dims.len() {
            diagnostic = diagnostic.help(format!("convert it: `… as {}`", ty.dtype));
        }
        self.diagnostics.push(diagnostic);
        false
    }

    /// The arrays that a block results in; its bindings end with it.
    fn block(&mut self, block: &'a Block) -> Result<Vec<NodeId>, Reported> {
        let values = self.values(block)?;
        let spans = block.results.iter().map(|r| r.span);
        values
            .into_iter()
            .zip(spans)
            .map(|(value, span)| self.array(value, span))
            .collect()
    }

    fn values(&mut self, block: &'a Block) -> Result<Vec<Value>, Reported> {
        let mut hidden = Vec::with_capacity(block.lets.len());
        let mut failed = false;
        for (ident, bound) in &block.lets {
            let name = ident.name.as_str();
            let value = self.binding(name, bound);
            hidden.push((name, self.scope.remove(name)));
            match value {
                Ok(value) => {
                    self.scope.insert(name, value);
                    self.lost.remove(name);
                }
                Err(Reported) => {
                    failed = true;
                    self.lost.insert(name, ident.span);
                }
            }
        }
        let results: Vec<_> = block.results.iter().map(|result| self.expr(result)).collect();
        for (name, before) in hidden.into_iter().rev() {
            self.lost.remove(name);
            match before {
                Some(value) => self.scope.insert(name, value),
                None => self.scope.remove(name),
            };
        }
        if failed {
            Err(Reported)
        } else {
            results.into_iter().collect()
        }
    }

    /// The value of a `let`: an array under that name, or a scalar.
    fn binding(&mut self, name: &str, bound: &'a Expr) -> Result<Value, Reported> {
        let known = self.builder.graph().nodes.len();
        let value = self.expr(bound)?;
        if let Value::Part { args, .. } = &value
            && args.is_empty()
        {
            return Ok(value);
        }
        let id = self.array(value, bound.span)?;
        // `let y = x` makes no array, and leaves x its name.
        if id.index() >= known {
            self.built(bound.span, |b| b.rename(id, name))?;
        }
        Ok(Value::Node(id))
    }

    fn expr(&mut self, expr: &'a Expr) -> Result<Value, Reported> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, span),
            ExprKind::Literal(literal) => Ok(scalar(Op::Literal(*literal))),
            ExprKind::Typed(value) => Ok(scalar(Op::Const(*value))),
            ExprKind::Operator(op, args) => {
                let args = self.all(args)?;
                self.op(*op, &args, span)
            }
            ExprKind::MatMul(left, right) => {
                // Both operands may have errors of their own.
                let factors = [left, right].map(|factor| (self.expr(factor), factor.span));
                let mut ids = Vec::with_capacity(2);
                for (value, span) in factors {
                    let value = value?;
                    if let Value::Part { args, .. } = &value
                        && args.is_empty()
                    {
                        let message =
                            "a scalar has no axes; a matrix product needs at least one (`*` scales by a scalar)";
                        return Err(self.report(span, message));
                    }
                    ids.push(self.array(value, span)?);
                }
                self.built(span, |b| b.matmul(ids[0], ids[1])).map(Value::Node)
            }
            ExprKind::Call { callee, args, named } => self.call(callee, args, named, span),
            ExprKind::Cast(value, dtype) => {
                let value = self.expr(value)?;
                self.op(Op::Cast(*dtype), &[value], span)
            }
            ExprKind::Bitcast(value, dtype) => {
                let value = self.expr(value)?;
                self.op(Op::Bitcast(*dtype), &[value], span)
            }
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.expr(condition);
                let then = self.values(then);
                let otherwise = self.values(otherwise);
                let mut operands = vec![condition?];
                operands.extend(then?.into_iter().chain(otherwise?));
                self.op(Op::Select, &operands, span)
            }
            ExprKind::Index(value, subscripts) => {
                let value = self.expr(value)?;
                let id = self.array(value, span)?;
                let slices = self.slices(id, subscripts);
                self.built(span, |b| b.slice(id, &slices)).map(Value::Node)
            }
            ExprKind::List(_) => Err(self.report(span, "a list is for the axes or extents of a view")),
        }
    }

    fn all(&mut self, args: &'a [Expr]) -> Result<Vec<Value>, Reported> {
        let args: Vec<_> = args.iter().map(|arg| self.expr(arg)).collect();
        args.into_iter().collect()
    }

    fn name(&mut self, name: &str, span: Span) -> Result<Value, Reported> {
        if let Some(value) = self.scope.get(name) {
            return Ok(value.clone());
        }
        if self.lost.contains_key(name) {
            return Err(Reported);
        }
        if let Some(literal) = constant(name) {
            return Ok(scalar(Op::Literal(literal)));
        }
        let mut diagnostic = Diagnostic::new(span, format!("the name `{name}` is not defined"))
            .label("expected a parameter, or a name that a `let` binds above");
        // The least of equally near names, as the order of a map is no order.
        let mut near: Vec<&str> = self.scope.keys().copied().chain(["pi", "tau", "inf", "nan"]).collect();
        near.sort_unstable();
        if let Some(near) = suggest(name, near) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.diagnostics.push(diagnostic);
        Err(Reported)
    }

    fn call(
        &mut self,
        callee: &'a Ident,
        args: &'a [Expr],
        named: &'a [(Ident, Argument)],
        span: Span,
    ) -> Result<Value, Reported> {
        let name = callee.name.as_str();
        let functions = self.functions;
        if let Some(func) = functions.get(name).or_else(|| built_in(name)) {
            self.no_named(callee, named)?;
            let args = self.all(args)?;
            self.arity(callee, func.params().len(), args.len(), span)?;
            return self.apply_function(func, &args, span);
        }
        if let Some(reduction) = Named::from_name(name) {
            return self.reduce(reduction, callee, args, named, span);
        }
        if ARRAY_FUNCTIONS.contains(&name) {
            self.no_named(callee, named)?;
            return self.view(callee, args, span);
        }
        let Some(op) = Op::from_name(name) else {
            // The arguments are looked at even so: they may have errors of their own.
            let _ = self.all(args);
            return Err(self.unknown_callee(callee));
        };
        self.no_named(callee, named)?;
        let args = self.all(args)?;
        self.arity(callee, op.arity(), args.len(), span)?;
        self.op(op, &args, span)
    }

    fn unknown_callee(&mut self, callee: &Ident) -> Reported {
        let name = callee.name.as_str();
        let mut diagnostic = Diagnostic::new(callee.span, format!("the function `{name}` is not defined"))
            .label("expected an op, a reduction, a view or a function of the file");
        let functions = self.functions.iter().map(Func::name);
        let ops = op_names().map(|name| -> &str { name });
        let known = functions.chain(ARRAY_FUNCTIONS.map(|name| -> &str { name })).chain(ops);
        if self.scope.contains_key(name) {
            diagnostic = diagnostic.note(format!("`{name}` is a value; write `*` to multiply"));
        } else if matches!(name, "matmul" | "dot") {
            diagnostic = diagnostic.help("`a @ b` is the matrix product");
        } else if let Some(near) = suggest(name, known) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.diagnostics.push(diagnostic);
        Reported
    }

    fn no_named(&mut self, callee: &Ident, named: &[(Ident, Argument)]) -> Result<(), Reported> {
        match named.first() {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("`{}` has no argument `{}`", callee.name, name.name);
                Err(self.report(name.span, message))
            }
        }
    }

    fn arity(&mut self, callee: &Ident, expected: usize, found: usize, span: Span) -> Result<(), Reported> {
        if expected == found {
            return Ok(());
        }
        let expected = count(expected, "argument", "arguments");
        let message = format!("`{}` takes {expected}, found {found}", callee.name);
        let mut diagnostic = Diagnostic::new(span, message).label(format!("expected {expected}"));
        if let Some(elementwise) = elementwise(&callee.name)
            && found == 2
        {
            diagnostic = diagnostic.help(format!(
                "the {} of two arrays, element by element, is `{elementwise}`",
                callee.name
            ));
        }
        self.diagnostics.push(diagnostic);
        Err(Reported)
    }

    fn op(&mut self, op: Op, args: &[Value], span: Span) -> Result<Value, Reported> {
        if op.arity() != args.len() {
            // Only a tree that was not parsed has an operator with other operands than its own.
            let message = format!("`{}` takes {} operands, found {}", op.name(), op.arity(), args.len());
            return Err(self.report(span, message));
        }
        let name = match op {
            Op::Cast(dtype) => dtype.name(),
            _ => op.name(),
        };
        self.apply(name, args, span, |b, args| b.node(op, args))
    }

    fn apply_function(&mut self, func: &Func, args: &[Value], span: Span) -> Result<Value, Reported> {
        if func.results().len() != 1 {
            let message = format!(
                "`{}` has {} results, and an expression one",
                func.name(),
                func.results().len()
            );
            return Err(self.report(span, message));
        }
        if func.nodes().iter().any(|node| node.op == Op::Index) {
            let message = format!(
                "`{}` uses `index()`, which only the function of a reduction has",
                func.name()
            );
            return Err(self.report(span, message));
        }
        self.work += func.nodes().len();
        self.apply(func.name(), args, span, |b, args| {
            let convert = |(&arg, param): (&ExprId, &loopweave_ir::Param)| match param.dtype {
                Some(dtype) => b.node(Op::Cast(dtype), &[arg]),
                None => arg,
            };
            let args: Vec<ExprId> = args.iter().zip(func.params()).map(convert).collect();
            b.inline(func, &args)[0]
        })
    }

    /// The value of a function of values: a node, unless it is a scalar or would be rounded.
    fn apply(
        &mut self,
        name: &str,
        values: &[Value],
        span: Span,
        make: impl FnOnce(&mut Builder, &[ExprId]) -> ExprId,
    ) -> Result<Value, Reported> {
        let parts = values.iter().map(|value| match value {
            Value::Node(_) => 1,
            Value::Part { func, .. } => func.nodes().len(),
        });
        self.work += parts.sum::<usize>() + 1;
        if self.work > MAX_WORK || self.builder.graph().nodes.len() >= MAX_GRAPH {
            return Err(self.too_large(span));
        }
        let mut body = Body::new(name);
        let operands: Vec<ExprId> = values
            .iter()
            .map(|value| body.operand(value, self.builder.graph()))
            .collect();
        let result = make(&mut body.builder, &operands);
        if body.builder.len() > MAX_NODES {
            return Err(self.too_large(span));
        }
        let (func, args) = (body.builder.finish(&[result]), body.args);
        let types: Vec<Type> = self.built(span, |b| args.iter().map(|&arg| b.ty(arg)).collect())?;
        let typed = specialise(&func, &types).map_err(|errors| self.type_errors(span, &types, &errors))?;
        if args.is_empty() || typed.result_dtypes().iter().any(|d| d.is_storage_only()) {
            return Ok(Value::Part { func, args });
        }
        self.built(span, |b| b.map(&typed, &args)).map(Value::Node)
    }

    /// The array of a value.
    fn array(&mut self, value: Value, span: Span) -> Result<NodeId, Reported> {
        match value {
            Value::Node(id) => Ok(id),
            Value::Part { func, args } => match self.builder.at(span).map(&func, &args) {
                Err(GraphError::Types { args, errors, .. }) => Err(self.type_errors(span, &args, &errors)),
                made => made.map_err(|error| self.report(span, error.to_string())),
            },
        }
    }

    /// Reports why a function of values of these types has no type.
    fn type_errors(&mut self, span: Span, types: &[Type], errors: &[TypeError]) -> Reported {
        let names: Vec<String> = types.iter().map(Type::to_string).collect();
        for error in errors {
            let mut diagnostic = Diagnostic::new(span, error.to_string());
            if !names.is_empty() {
                diagnostic = diagnostic.label(format!("of {}", names.join(" and ")));
            }
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    /// What the builder makes, or its error at this place.
    fn built<T>(
        &mut self,
        span: Span,
        make: impl FnOnce(&mut GraphBuilder) -> Result<T, GraphError>,
    ) -> Result<T, Reported> {
        make(self.builder.at(span)).map_err(|error| self.report(span, error.to_string()))
    }

    fn too_large(&mut self, span: Span) -> Reported {
        if !std::mem::replace(&mut self.full, true) {
            let diagnostic = Diagnostic::new(span, "the kernel is too large").label("the limit is reached here");
            self.diagnostics.push(diagnostic.note(format!(
                "a kernel has at most {MAX_GRAPH} operations, and the calls in it inline at most {MAX_WORK}"
            )));
        }
        Reported
    }

    fn report(&mut self, span: Span, message: impl Into<String>) -> Reported {
        self.diagnostics.push(Diagnostic::new(span, message));
        Reported
    }
}

/// A map's function while it is made.
struct Body {
    builder: Builder,
    args: Vec<NodeId>,
    params: Vec<ExprId>,
}

impl Body {
    fn new(name: &str) -> Body {
        Body {
            builder: Builder::polymorphic(name),
            args: Vec::new(),
            params: Vec::new(),
        }
    }

    /// The function's node for a value: a parameter for each array, each array once.
    fn operand(&mut self, value: &Value, graph: &Graph) -> ExprId {
        match value {
            Value::Node(id) => self.param(*id, graph),
            Value::Part { func, args } => {
                let params: Vec<ExprId> = args.iter().map(|&arg| self.param(arg, graph)).collect();
                self.builder.inline(func, &params)[0]
            }
        }
    }

    fn param(&mut self, id: NodeId, graph: &Graph) -> ExprId {
        if let Some(position) = self.args.iter().position(|&arg| arg == id) {
            return self.params[position];
        }
        let node = graph.node(id);
        let name = match node.op {
            ArrayOp::Input { .. } => node.name.clone(),
            _ => id.to_string(),
        };
        let param = self.builder.param(name, None);
        self.args.push(id);
        self.params.push(param);
        param
    }
}

/// A function of nothing that gives one scalar.
fn scalar(op: Op) -> Value {
    let name = match op {
        Op::Const(value) => Scalar::to_string(&value),
        _ => op.name().to_owned(),
    };
    let mut b = Builder::polymorphic(name);
    let result = b.node(op, &[]);
    Value::Part {
        func: b.finish(&[result]),
        args: Vec::new(),
    }
}

/// The op that does to two arrays what this reduction does to one.
fn elementwise(reduction: &str) -> Option<&'static str> {
    match reduction {
        "min" => Some("minimum"),
        "max" => Some("maximum"),
        _ => None,
    }
}

/// `f32 with 2 axes`, or `a 0-d f32`.
fn array_type(dtype: Dtype, rank: usize) -> String {
    match rank {
        0 => format!("a 0-d {dtype}"),
        _ => format!("{dtype} with {}", count(rank, "axis", "axes")),
    }
}
