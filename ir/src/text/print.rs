//! Trees and functions into text.
//!
//! In: a tree or a [`Func`]. Out: text that parses to the same, with no more brackets than needed.
//!
//! Invariant: the text of an operand depends on the tree below it and its precedence alone, so printing is idempotent.

use std::fmt::Write;

use super::ast::{Argument, ArrayType, Block, Dim, Expr, ExprKind, FnItem, Ident, Item, KernelItem, Module, Subscript};
use super::names::quote;
use super::raise::raise;
use crate::dtype::{Dtype, Scalar};
use crate::func::Func;
use crate::op::{Literal, Op};

/// The widest line that holds a whole item.
const WIDTH: usize = 100;

/// The text of a function; it parses and lowers to an equal one.
///
/// A parameter's name may be any text, but two parameters of one function must have different names.
///
/// ```
/// use loopweave_ir::{Builder, Op, text};
/// let mut b = Builder::polymorphic("norm");
/// let (x, y) = (b.param("x", None), b.param("y", None));
/// let (xx, yy) = (b.node(Op::Mul, &[x, x]), b.node(Op::Mul, &[y, y]));
/// let sum = b.node(Op::Add, &[xx, yy]);
/// let norm = b.node(Op::Sqrt, &[sum]);
/// let norm = b.finish(&[norm]);
/// let printed = text::print_func(&norm);
/// assert_eq!(printed, "fn norm(x, y) { sqrt(x * x + y * y) }\n");
/// let module = text::parse(&printed, "norm.lw").unwrap();
/// assert_eq!(text::lower_module(&module).unwrap().get("norm"), Some(&norm));
/// ```
pub fn print_func(func: &Func) -> String {
    let mut printer = Printer::default();
    printer.fn_item(&raise(func));
    printer.out
}

/// The text of a file, its items in order.
pub fn print_module(module: &Module) -> String {
    let mut printer = Printer::default();
    for (index, item) in module.items.iter().enumerate() {
        if index > 0 {
            printer.out.push('\n');
        }
        match item {
            Item::Fn(item) => printer.fn_item(item),
            Item::Kernel(item) => printer.kernel_item(item),
        }
    }
    printer.out
}

/// The text of a body without braces, on one line.
pub fn print_block(block: &Block) -> String {
    let mut printer = Printer::default();
    printer.inline_body(block);
    printer.out
}

/// The text of an expression.
pub fn print_expr(expr: &Expr) -> String {
    let mut printer = Printer::default();
    printer.expr(expr, LOOSEST);
    printer.out
}

const LOOSEST: u8 = 0;
const COMPARISON: u8 = 3;
const PRODUCT: u8 = 9;
const CAST: u8 = 10;
const UNARY: u8 = 11;
const POSTFIX: u8 = 12;

/// The symbol of an op between two operands and its precedence. `and` and `or` of truth values have symbols of their own.
fn binary_symbol(op: Op, logical: bool) -> Option<(&'static str, u8)> {
    Some(match (op, logical) {
        (Op::Or, true) => ("||", 1),
        (Op::And, true) => ("&&", 2),
        (Op::Eq, _) => ("==", COMPARISON),
        (Op::Ne, _) => ("!=", COMPARISON),
        (Op::Lt, _) => ("<", COMPARISON),
        (Op::Le, _) => ("<=", COMPARISON),
        (Op::Gt, _) => (">", COMPARISON),
        (Op::Ge, _) => (">=", COMPARISON),
        (Op::Or, false) => ("|", 4),
        (Op::Xor, _) => ("^", 5),
        (Op::And, false) => ("&", 6),
        (Op::Shl, _) => ("<<", 7),
        (Op::Shr, _) => (">>", 7),
        (Op::Add, _) => ("+", 8),
        (Op::Sub, _) => ("-", 8),
        (Op::Mul, _) => ("*", PRODUCT),
        (Op::Div, _) => ("/", PRODUCT),
        (Op::Rem, _) => ("%", PRODUCT),
        _ => return None,
    })
}

/// Whether the op is written as an operator with this many operands.
pub(super) fn is_operator(op: Op) -> bool {
    matches!(op, Op::Neg | Op::Not) || binary_symbol(op, false).is_some()
}

/// Whether the expression is a truth value by its form, as far as this level and the `and`s and `or`s below it show.
fn is_logical(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(Literal::Bool(_)) => true,
        ExprKind::Typed(value) => value.dtype() == Dtype::Bool,
        ExprKind::Operator(Op::And | Op::Or | Op::Not, args) => args.iter().all(is_logical),
        ExprKind::Operator(op, _) => matches!(op, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge),
        _ => false,
    }
}

fn is_number(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Typed(_) | ExprKind::Literal(Literal::Int(_) | Literal::Float(_))
    )
}

#[derive(Default)]
struct Printer {
    out: String,
}

impl Printer {
    fn fn_item(&mut self, item: &FnItem) {
        self.put("fn ");
        self.put(&quote(&item.name.name));
        self.put("(");
        self.separated(&item.params, |p, (name, dtype)| {
            p.put(&quote(&name.name));
            if let Some((dtype, _)) = dtype {
                p.put(": ");
                p.put(dtype.name());
            }
        });
        self.put(")");
        if let Some(results) = &item.results {
            self.put(" -> ");
            self.tuple(results, |_| false, |p, (dtype, _)| p.put(dtype.name()));
        }
        self.item_body(&item.body);
    }

    fn kernel_item(&mut self, item: &KernelItem) {
        self.put("kernel ");
        self.put(&quote(&item.name.name));
        self.put("(");
        self.separated(&item.params, |p, (name, array)| {
            p.put(&quote(&name.name));
            p.put(": ");
            p.array_type(array);
        });
        self.put(")");
        if let Some(results) = &item.results {
            self.put(" -> ");
            let named = |(name, _): &(Option<Ident>, ArrayType)| name.is_some();
            self.tuple(results, named, |p, (name, array)| {
                if let Some(name) = name {
                    p.put(&quote(&name.name));
                    p.put(": ");
                }
                p.array_type(array);
            });
        }
        self.item_body(&item.body);
    }

    fn array_type(&mut self, array: &ArrayType) {
        self.put(array.dtype.name());
        if !array.dims.is_empty() {
            self.put("[");
            self.separated(&array.dims, |p, dim| match dim {
                Dim::Name(name) => p.put(&quote(&name.name)),
                Dim::Fixed(extent, _) => p.put(&extent.to_string()),
            });
            self.put("]");
        }
    }

    /// The body between braces: on the line of the header where it has no bindings and fits, else a line each.
    fn item_body(&mut self, block: &Block) {
        let header = self
            .out
            .rfind('\n')
            .map_or(self.out.len(), |newline| self.out.len() - newline - 1);
        if block.lets.is_empty() {
            let result = print_block(block);
            if header + result.len() + 5 <= WIDTH {
                let _ = writeln!(self.out, " {{ {result} }}");
                return;
            }
        }
        self.put(" {\n");
        for (name, value) in &block.lets {
            let _ = writeln!(self.out, "    let {} = {};", quote(&name.name), print_expr(value));
        }
        self.put("    ");
        self.results(&block.results);
        self.put("\n}\n");
    }

    fn inline_body(&mut self, block: &Block) {
        for (name, value) in &block.lets {
            self.put("let ");
            self.put(&quote(&name.name));
            self.put(" = ");
            self.expr(value, LOOSEST);
            self.put("; ");
        }
        self.results(&block.results);
    }

    fn results(&mut self, results: &[Expr]) {
        self.tuple(results, |_| false, |p, result| p.expr(result, LOOSEST));
    }

    /// The members between round brackets; without brackets if there is one that needs none.
    fn tuple<T>(&mut self, members: &[T], bracketed: impl Fn(&T) -> bool, print: impl Fn(&mut Printer, &T)) {
        match members {
            [only] if !bracketed(only) => print(self, only),
            _ => {
                self.put("(");
                self.separated(members, print);
                self.put(")");
            }
        }
    }

    fn separated<T>(&mut self, members: &[T], print: impl Fn(&mut Printer, &T)) {
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            print(self, member);
        }
    }

    /// The expression as an operand of an operator that takes operands of at least this precedence.
    fn expr(&mut self, expr: &Expr, least: u8) {
        match &expr.kind {
            ExprKind::Name(name) => self.put(&quote(name)),
            ExprKind::Literal(literal) => self.bracketed(least, is_negative_literal(*literal), |p| p.literal(*literal)),
            ExprKind::Typed(value) => {
                let text = typed(*value);
                self.bracketed(least, text.starts_with('-'), |p| p.put(&text));
            }
            ExprKind::Operator(op, args) => self.operator(*op, args, least),
            ExprKind::MatMul(left, right) => self.infix("@", PRODUCT, left, right, least),
            ExprKind::Call { callee, args, named } => {
                self.put(&quote(&callee.name));
                self.put("(");
                self.separated(args, |p, arg| p.expr(arg, LOOSEST));
                if !args.is_empty() && !named.is_empty() {
                    self.put(", ");
                }
                self.separated(named, |p, (name, value)| {
                    p.put(&quote(&name.name));
                    p.put(" = ");
                    p.argument(value);
                });
                self.put(")");
            }
            ExprKind::Cast(value, dtype) => self.level(CAST, least, |p| {
                p.expr(value, CAST);
                p.put(" as ");
                p.put(dtype.name());
            }),
            ExprKind::Bitcast(value, dtype) => {
                self.put("bitcast(");
                self.expr(value, LOOSEST);
                self.put(", ");
                self.put(dtype.name());
                self.put(")");
            }
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => self.level(LOOSEST, least, |p| p.conditional(condition, then, otherwise)),
            ExprKind::Index(value, subscripts) => {
                self.expr(value, POSTFIX);
                self.put("[");
                self.separated(subscripts, Printer::subscript);
                self.put("]");
            }
            ExprKind::List(members) => {
                self.put("[");
                self.separated(members, |p, member| p.expr(member, LOOSEST));
                self.put("]");
            }
        }
    }

    fn operator(&mut self, op: Op, args: &[Expr], least: u8) {
        match (op, args) {
            (Op::Neg | Op::Not, [value]) => self.level(UNARY, least, |p| {
                p.put(if op == Op::Neg { "-" } else { "!" });
                // `-1` is a literal; the operator on a literal shows it by brackets.
                if op == Op::Neg && is_number(value) {
                    p.put("(");
                    p.expr(value, LOOSEST);
                    p.put(")");
                } else {
                    p.expr(value, UNARY);
                }
            }),
            (_, [left, right]) => match binary_symbol(op, is_logical(left) && is_logical(right)) {
                Some((symbol, precedence)) => self.infix(symbol, precedence, left, right, least),
                None => self.call(op.name(), args),
            },
            _ => self.call(op.name(), args),
        }
    }

    fn call(&mut self, name: &str, args: &[Expr]) {
        self.put(name);
        self.put("(");
        self.separated(args, |p, arg| p.expr(arg, LOOSEST));
        self.put(")");
    }

    fn infix(&mut self, symbol: &str, precedence: u8, left: &Expr, right: &Expr, least: u8) {
        self.level(precedence, least, |p| {
            let left_least = if precedence == COMPARISON {
                precedence + 1
            } else {
                precedence
            };
            p.expr(left, left_least);
            p.put(" ");
            p.put(symbol);
            p.put(" ");
            p.expr(right, precedence + 1);
        });
    }

    fn conditional(&mut self, condition: &Expr, then: &Block, otherwise: &Block) {
        self.put("if ");
        self.expr(condition, LOOSEST);
        self.put(" { ");
        self.inline_body(then);
        self.put(" } else ");
        match (otherwise.lets.as_slice(), otherwise.results.as_slice()) {
            ([], [nested]) if matches!(nested.kind, ExprKind::If { .. }) => self.expr(nested, LOOSEST),
            _ => {
                self.put("{ ");
                self.inline_body(otherwise);
                self.put(" }");
            }
        }
    }

    fn argument(&mut self, argument: &Argument) {
        match argument {
            Argument::Int(value, _) => self.put(&value.to_string()),
            Argument::Ints(values, _) => {
                self.put("[");
                self.separated(values, |p, value| p.put(&value.to_string()));
                self.put("]");
            }
            Argument::Bool(value, _) => self.put(if *value { "true" } else { "false" }),
            Argument::Dtype(dtype, _) => self.put(dtype.name()),
        }
    }

    fn subscript(&mut self, subscript: &Subscript) {
        let shown = |bound: &Option<i64>| bound.map(|b| b.to_string()).unwrap_or_default();
        match subscript {
            Subscript::At(at, _) => self.put(&at.to_string()),
            Subscript::Range { start, stop, step, .. } => {
                let _ = write!(self.out, "{}:{}", shown(start), shown(stop));
                if step.is_some() {
                    let _ = write!(self.out, ":{}", shown(step));
                }
            }
            Subscript::NewAxis(_) => self.put("newaxis"),
            Subscript::Ellipsis(_) => self.put("..."),
        }
    }

    fn literal(&mut self, literal: Literal) {
        match literal {
            Literal::Bool(value) => self.put(if value { "true" } else { "false" }),
            Literal::Int(value) => self.put(&value.to_string()),
            Literal::Float(bits) => {
                let value = f64::from_bits(bits);
                if !value.is_nan() {
                    let _ = write!(self.out, "{value:?}");
                } else if bits == f64::NAN.to_bits() {
                    self.put("nan");
                } else {
                    let _ = write!(self.out, "bits_float({bits:#x})");
                }
            }
        }
    }

    fn level(&mut self, precedence: u8, least: u8, print: impl FnOnce(&mut Printer)) {
        self.brackets(precedence < least, print);
    }

    /// A literal, which binds as a unary operator if it has a sign.
    fn bracketed(&mut self, least: u8, signed: bool, print: impl FnOnce(&mut Printer)) {
        self.brackets(signed && least > UNARY, print);
    }

    fn brackets(&mut self, needed: bool, print: impl FnOnce(&mut Printer)) {
        if needed {
            self.put("(");
        }
        print(self);
        if needed {
            self.put(")");
        }
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }
}

fn is_negative_literal(literal: Literal) -> bool {
    match literal {
        Literal::Bool(_) => false,
        Literal::Int(value) => value < 0,
        Literal::Float(bits) => {
            let value = f64::from_bits(bits);
            !value.is_nan() && value.is_sign_negative()
        }
    }
}

/// A typed literal as text; unlike a bare `true`, that of a `bool` says that it has a type.
fn typed(value: Scalar) -> String {
    match value.dtype() {
        Dtype::Bool => format!("{value}_bool"),
        _ => value.to_string(),
    }
}
