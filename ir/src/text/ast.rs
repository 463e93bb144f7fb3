//! The syntax tree of `.lw` text: what the parser makes, the printer prints, and lowering reads.
//!
//! Invariants: equality ignores where things stand ([`Span`] equals any other), so `parse(print(x)) == x` can be asked of
//! trees. A parsed tree is at most [`super::MAX_DEPTH`] levels high, chains of operators included, so functions over trees
//! may recurse.

use super::source::Source;
use crate::dtype::Dtype;
use crate::op::{Literal, Op};

/// A range of bytes in the source text. All spans are equal, so that trees compare by meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

impl Eq for Span {}

impl Span {
    /// The smallest span that covers both.
    pub fn to(self, end: Span) -> Span {
        Span {
            start: self.start,
            end: end.end,
        }
    }
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A file: functions and kernels in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Module {
    /// The text the spans are of; empty for a tree that was not parsed.
    pub source: Source,
    /// The items, in order; a function may call those before it.
    pub items: Vec<Item>,
}

/// One item of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Item {
    Fn(FnItem),
    Kernel(KernelItem),
}

/// `fn name(x, y: f32) -> f32 { body }`: a scalar function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FnItem {
    /// The name.
    pub name: Ident,
    /// The parameters, typed or not.
    pub params: Vec<(Ident, Option<(Dtype, Span)>)>,
    /// The result types where the text gives them, one per result.
    pub results: Option<Vec<(Dtype, Span)>>,
    /// The body.
    pub body: Block,
}

/// `kernel name(x: f32[n, 4]) -> f32[n] { body }`: an array kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelItem {
    /// The name.
    pub name: Ident,
    /// The parameters; each has an array type.
    pub params: Vec<(Ident, ArrayType)>,
    /// The results: a type each, and a name where the text gives one (`-> (lo: f32[n], hi: f32[n])`). `None` where the text
    /// leaves them out.
    pub results: Option<Vec<(Option<Ident>, ArrayType)>>,
    /// The body.
    pub body: Block,
}

/// `f32[n, 4]`, or `f32` for a 0-d array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayType {
    /// The element type.
    pub dtype: Dtype,
    /// The extents, outermost first.
    pub dims: Vec<Dim>,
    /// Where it stands.
    pub span: Span,
}

/// One extent of an array type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A name, which must stand for the same extent everywhere in one kernel.
    Name(Ident),
    /// A fixed extent.
    Fixed(u64, Span),
}

/// `{ let a = …; let b = …; result }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The bindings, each visible in those after it.
    pub lets: Vec<(Ident, Expr)>,
    /// The results: one, or the members of a final tuple.
    pub results: Vec<Expr>,
}

/// An expression and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    /// A name: a parameter or a binding.
    Name(String),
    /// A bare literal, weakly typed; a sign before a number is part of it, so `-1` is one literal and `-(1)` an operator.
    Literal(Literal),
    /// A literal with a dtype: `1.5f32`, `nan_f32`, `bits_f32(0x7fc00001)`, `true_bool`.
    Typed(crate::dtype::Scalar),
    /// An op written as an operator: `-x`, `!x`, `x + y`, `x < y`, `x & y`, `x << y` …; `&&` and `||` are `And` and `Or`.
    Operator(Op, Vec<Expr>),
    /// `x @ y`.
    MatMul(Box<Expr>, Box<Expr>),
    /// `name(args…, key = value…)`: an op by name, a function of the file, a reduction or a view.
    Call {
        /// What is called.
        callee: Ident,
        /// The arguments by position.
        args: Vec<Expr>,
        /// The arguments by name, after those by position: `axis = -1`, `keepdims = true`.
        named: Vec<(Ident, Argument)>,
    },
    /// `x as f32`; `f32(x)` parses to the same.
    Cast(Box<Expr>, Dtype),
    /// `bitcast(x, u32)`.
    Bitcast(Box<Expr>, Dtype),
    /// `if c { a } else { b }`; `else if` nests.
    If {
        /// The condition.
        condition: Box<Expr>,
        /// The value where it holds. A block of one result.
        then: Box<Block>,
        /// The value where it does not. A block of one result.
        otherwise: Box<Block>,
    },
    /// `x[1:, ::2, -1]`: kernels only.
    Index(Box<Expr>, Vec<Subscript>),
    /// `[2, n]`: a shape, only as an argument by position (`reshape(x, [2, n])`); its names are extents.
    List(Vec<Expr>),
}

/// The value of a named argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `-1`, `3`.
    Int(i64, Span),
    /// `[0, 2]`.
    Ints(Vec<i64>, Span),
    /// `true`, `false`.
    Bool(bool, Span),
    /// `f64`.
    Dtype(Dtype, Span),
}

/// One subscript of an indexing, as NumPy's basic indexing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscript {
    /// `3` or `-1`: picks one position and drops the axis.
    At(i64, Span),
    /// `start:stop:step`, each optional; the step is not 0.
    Range {
        /// Where it starts.
        start: Option<i64>,
        /// Where it stops.
        stop: Option<i64>,
        /// The step, which may be negative.
        step: Option<i64>,
        /// Where it stands.
        span: Span,
    },
    /// `newaxis`: a new axis of extent 1.
    NewAxis(Span),
    /// `...`: as many full ranges as are needed; at most one.
    Ellipsis(Span),
}
