//! Expressions: blocks, operators by precedence, and `if`.
//!
//! In: tokens. Out: trees with their heights, which the parser bounds as it builds them.

use super::primary::Sign;
use super::{MAX_DEPTH, Parsed, Parser, Reported};
use crate::op::Op;
use crate::text::ast::{Block, Expr, ExprKind, Span};
use crate::text::diagnostic::Diagnostic;
use crate::text::lex::Kind;
use crate::text::names;

/// A tree and its height.
pub(super) type Tree = (Expr, u32);

/// What a binary operator builds.
#[derive(Clone, Copy)]
enum Binary {
    Op(Op),
    MatMul,
}

/// The operator that this symbol is between two operands, and its precedence.
fn binary_operator(symbol: &str) -> Option<(u8, Binary)> {
    let (precedence, op) = match symbol {
        "||" => (1, Op::Or),
        "&&" => (2, Op::And),
        "==" => (COMPARISON, Op::Eq),
        "!=" => (COMPARISON, Op::Ne),
        "<" => (COMPARISON, Op::Lt),
        "<=" => (COMPARISON, Op::Le),
        ">" => (COMPARISON, Op::Gt),
        ">=" => (COMPARISON, Op::Ge),
        "|" => (4, Op::Or),
        "^" => (5, Op::Xor),
        "&" => (6, Op::And),
        "<<" => (7, Op::Shl),
        ">>" => (7, Op::Shr),
        "+" => (8, Op::Add),
        "-" => (8, Op::Sub),
        "*" => (9, Op::Mul),
        "/" => (9, Op::Div),
        "%" => (9, Op::Rem),
        "@" => return Some((9, Binary::MatMul)),
        _ => return None,
    };
    Some((precedence, Binary::Op(op)))
}

/// The precedence of comparisons, the only operators that do not chain.
const COMPARISON: u8 = 3;

impl Parser<'_> {
    /// `{ body }`.
    pub(super) fn block(&mut self) -> Parsed<(Block, u32)> {
        let open = self.expect("{", "before the body")?;
        let body = self.nested(Parser::body);
        if body.is_err() {
            self.skip_to_any(&["}"]);
            self.eat("}");
            return body;
        }
        self.close("}", open, "or an operator")?;
        body
    }

    /// Bindings and the result, without braces.
    pub(super) fn body(&mut self) -> Parsed<(Block, u32)> {
        let mut block = Block {
            lets: Vec::new(),
            results: Vec::new(),
        };
        let mut height = 0;
        let mut failed = false;
        loop {
            let binding = self.at_word("let");
            let statement = if binding {
                self.binding(&mut block)
            } else {
                self.results().map(|(results, height)| {
                    block.results = results;
                    height
                })
            };
            match statement {
                Ok(reached) => height = height.max(reached),
                Err(Reported) => {
                    failed = true;
                    self.skip_to_any(&[";"]);
                    while matches!(self.kind(), Kind::Symbol(")" | "]")) {
                        self.advance();
                        self.skip_to_any(&[";"]);
                    }
                }
            }
            let more = if binding || failed {
                self.eat(";")
            } else {
                self.misplaced_semicolon(&mut failed)
            };
            // Without its `;` a binding has been reported; another one may follow all the same.
            if !(more || binding && !failed || self.at_word("let")) {
                break;
            }
            if failed && matches!(self.kind(), Kind::End | Kind::Symbol("}")) {
                break;
            }
        }
        if failed { Err(Reported) } else { Ok((block, height)) }
    }

    fn misplaced_semicolon(&mut self, failed: &mut bool) -> bool {
        if !self.at_symbol(";") {
            return false;
        }
        let diagnostic = self
            .expectation("the end of the body")
            .note("only a `let` ends with `;`; the last expression is the result");
        self.report(diagnostic);
        *failed = true;
        self.advance();
        true
    }

    fn binding(&mut self, block: &mut Block) -> Parsed<u32> {
        self.advance();
        let name = self.name("the name of a binding")?;
        self.expect("=", "and the value of the binding")?;
        let (value, height) = self.expr()?;
        if !self.at_symbol(";") {
            return Err(self.expected("`;` after the binding, or an operator"));
        }
        block.lets.push((name, value));
        Ok(height)
    }

    /// One expression, or a tuple of several that ends the body.
    fn results(&mut self) -> Parsed<(Vec<Expr>, u32)> {
        if self.at_body_end() {
            return Err(self.expected("the result: an expression"));
        }
        self.tuple_at = self.at;
        let (result, height) = self.expr()?;
        match result.kind {
            ExprKind::List(results) => Ok((results, height)),
            _ => Ok((vec![result], height)),
        }
    }

    /// Whether a body ends here, be it with a `;` too many.
    pub(super) fn at_body_end(&self) -> bool {
        matches!(self.kind(), Kind::End | Kind::Symbol("}" | ";"))
    }

    /// An expression of any precedence.
    pub(super) fn expr(&mut self) -> Parsed<Tree> {
        self.nested(|p| p.binary(1))
    }

    fn binary(&mut self, least: u8) -> Parsed<Tree> {
        let mut left = self.cast()?;
        let mut compared = false;
        while let Kind::Symbol(symbol) = self.kind() {
            let Some((precedence, operator)) = binary_operator(symbol) else {
                break;
            };
            if precedence < least {
                break;
            }
            if precedence == COMPARISON && std::mem::replace(&mut compared, true) {
                let diagnostic = Diagnostic::new(self.span(), "comparisons do not chain")
                    .label("expected `&&`, `||` or the end of the expression")
                    .help("write `a < b && b < c`, or `(a < b) == c` to compare truth values");
                return Err(self.report(diagnostic));
            }
            self.advance();
            let right = self.nested(|p| p.binary(precedence + 1))?;
            left = self.join(operator, left, right)?;
        }
        Ok(left)
    }

    fn join(&mut self, operator: Binary, (left, left_height): Tree, (right, right_height): Tree) -> Parsed<Tree> {
        let span = left.span.to(right.span);
        let kind = match operator {
            Binary::Op(op) => ExprKind::Operator(op, vec![left, right]),
            Binary::MatMul => ExprKind::MatMul(Box::new(left), Box::new(right)),
        };
        self.tree(kind, span, left_height.max(right_height))
    }

    /// A tree above others of the given height.
    pub(super) fn tree(&mut self, kind: ExprKind, span: Span, below: u32) -> Parsed<Tree> {
        if below >= MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        Ok((Expr { kind, span }, below + 1))
    }

    /// `unary { "as" dtype }`.
    fn cast(&mut self) -> Parsed<Tree> {
        let mut value = self.unary()?;
        while self.at_word("as") {
            self.advance();
            let (dtype, end) = self.dtype("a type after `as`")?;
            let span = value.0.span.to(end);
            value = self.tree(ExprKind::Cast(Box::new(value.0), dtype), span, value.1)?;
        }
        Ok(value)
    }

    fn unary(&mut self) -> Parsed<Tree> {
        let start = self.span();
        let op = match self.kind() {
            Kind::Symbol("-") => Op::Neg,
            Kind::Symbol("!") => Op::Not,
            _ => return self.postfix(),
        };
        self.advance();
        if op == Op::Neg && self.at_signed_literal() {
            let kind = self.literal(Sign::Minus)?;
            return self.tree(kind, start.to(self.end()), 0);
        }
        let (value, height) = self.nested(Parser::unary)?;
        let span = start.to(value.span);
        self.tree(ExprKind::Operator(op, vec![value]), span, height)
    }

    /// Whether a literal stands here that takes the sign before it: not where a call or an index follows, as
    /// `-2.abs()` is `-(2.abs())`.
    fn at_signed_literal(&self) -> bool {
        let literal = match self.kind() {
            Kind::Number => true,
            Kind::Word => {
                let word = self.word();
                matches!(word, "inf" | "nan") || names::typed_word(word).is_some_and(|s| s.dtype().is_float())
            }
            _ => false,
        };
        literal && !matches!(self.ahead(1).kind, Kind::Symbol("." | "["))
    }

    /// `if c { a } else { b }`.
    pub(super) fn conditional(&mut self) -> Parsed<Tree> {
        let start = self.advance().span;
        let (condition, mut height) = self.expr()?;
        let (then, reached) = self.branch()?;
        height = height.max(reached);
        if !self.at_word("else") {
            let diagnostic = self
                .expectation("`else`")
                .note("an `if` is a value, so it has both branches");
            return Err(self.report(diagnostic));
        }
        self.advance();
        let (otherwise, reached) = if self.at_word("if") {
            let (value, height) = self.nested(Parser::conditional)?;
            let block = Block {
                lets: Vec::new(),
                results: vec![value],
            };
            (block, height)
        } else {
            self.branch()?
        };
        let kind = ExprKind::If {
            condition: Box::new(condition),
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        self.tree(kind, start.to(self.end()), height.max(reached))
    }

    /// A block of one result.
    fn branch(&mut self) -> Parsed<(Block, u32)> {
        let (block, height) = self.block()?;
        if block.results.len() > 1 {
            let diagnostic = Diagnostic::new(block.results[1].span, "a branch of an `if` has one result")
                .label("expected only one")
                .help("write an `if` for each result");
            return Err(self.report(diagnostic));
        }
        Ok((block, height))
    }
}
