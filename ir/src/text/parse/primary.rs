//! The operands of operators: names, literals, calls, indexing and brackets.
//!
//! In: tokens. Out: trees with their heights.

use super::expr::Tree;
use super::{MAX_NESTING, Parsed, Parser};
use crate::dtype::{Dtype, Scalar};
use crate::op::Literal;
use crate::text::ast::{Argument, Expr, ExprKind, Ident, Span, Subscript};
use crate::text::diagnostic::Diagnostic;
use crate::text::lex::Kind;
use crate::text::literal::{Number, NumberError, number};
use crate::text::names::{self, BitsWord};

/// Arguments by name.
type Named = Vec<(Ident, Argument)>;

/// The sign before a literal.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Plus,
    Minus,
}

impl Parser<'_> {
    /// A primary with calls and subscripts behind it.
    pub(super) fn postfix(&mut self) -> Parsed<Tree> {
        let (mut value, mut height) = self.primary()?;
        loop {
            if self.at_symbol("[") {
                let open = self.advance().span;
                let (subscripts, end) = self.list("]", open, "after a subscript", Parser::subscript)?;
                let span = value.span.to(end);
                self.check_subscripts(&subscripts, open.to(end))?;
                (value, height) = self.tree(ExprKind::Index(Box::new(value), subscripts), span, height)?;
            } else if self.eat(".") {
                (value, height) = self.method(value, height)?;
            } else {
                return Ok((value, height));
            }
        }
    }

    /// `.name(arguments)` after `receiver`.
    fn method(&mut self, receiver: Expr, height: u32) -> Parsed<Tree> {
        let start = receiver.span;
        // Printed, the receiver stands between brackets; what was read must not be too deep to be read again.
        if self.depth + 2 * height > MAX_NESTING {
            return Err(self.too_deep(start));
        }
        if self.at_word("bitcast") {
            self.advance();
            let open = self.expect("(", "and the type")?;
            let (dtype, end) = self.within(|p| {
                let (dtype, _) = p.dtype("the type to show the bits as")?;
                Ok((dtype, p.close(")", open, "after the type")?))
            })?;
            return self.tree(ExprKind::Bitcast(Box::new(receiver), dtype), start.to(end), height);
        }
        let callee = self.name("the name of a function after `.`")?;
        if !self.at_symbol("(") {
            let diagnostic = self
                .expectation("`(` and the arguments")
                .note(format!("`x.{}()` is a call; there are no fields", callee.name));
            return Err(self.report(diagnostic));
        }
        let mut args = vec![receiver];
        let (named, below, end) = self.arguments(&mut args)?;
        self.tree(ExprKind::Call { callee, args, named }, start.to(end), below.max(height))
    }

    fn primary(&mut self) -> Parsed<Tree> {
        let span = self.span();
        match self.kind() {
            Kind::Number => {
                let kind = self.literal(Sign::Plus)?;
                self.tree(kind, span, 0)
            }
            Kind::Symbol("(") => self.parenthesised(),
            Kind::Word if names::is_reserved(self.word()) => self.reserved(),
            Kind::Word | Kind::Quoted => self.name_or_call(),
            Kind::Symbol(".") if matches!(self.ahead(1).kind, Kind::Number) => {
                let diagnostic = self.expectation("an expression").help(format!(
                    "a float begins with a digit: `0.{}`",
                    self.source.slice(self.ahead(1).span)
                ));
                Err(self.report(diagnostic))
            }
            // After an operator this can only be the second half of `**`.
            Kind::Symbol("*") => {
                let diagnostic = self.expectation("an expression").help("powers are `pow(x, y)`");
                Err(self.report(diagnostic))
            }
            _ => Err(self.expected("an expression")),
        }
    }

    /// `(expr)`, or where a body's result begins `(expr, expr)`: that is a [`ExprKind::List`], which no operand can be, for
    /// the body to take apart.
    fn parenthesised(&mut self) -> Parsed<Tree> {
        let may_be_tuple = self.tuple_at == self.at;
        let open = self.advance().span;
        if may_be_tuple && self.at_symbol(")") {
            let diagnostic =
                Diagnostic::new(open.to(self.span()), "expected at least one result").label("no result here");
            return Err(self.report(diagnostic));
        }
        let (mut value, mut height) = self.within(Parser::expr)?;
        if !self.at_symbol(",") {
            let end = self.within(|p| p.close(")", open, "or an operator"))?;
            value.span = open.to(end);
            return Ok((value, height));
        }
        let comma = self
            .expectation("`)` or an operator")
            .note("several results in brackets may only end a body");
        self.advance();
        let (others, end) = self.list(")", open, "after a result", |p| {
            let (value, reached) = p.expr()?;
            height = height.max(reached);
            Ok(value)
        })?;
        if !may_be_tuple || !self.at_body_end() {
            return Err(self.report(comma));
        }
        let mut results = vec![value];
        results.extend(others);
        self.tree(ExprKind::List(results), open.to(end), height)
    }

    /// An expression that begins with a word of the language.
    fn reserved(&mut self) -> Parsed<Tree> {
        let span = self.span();
        let word = self.word();
        if word == "if" {
            return self.conditional();
        }
        if word == "bitcast" {
            self.advance();
            let open = self.expect("(", "and the value")?;
            let ((value, height), dtype, end) = self.within(|p| {
                let value = p.expr()?;
                p.expect(",", "and a type after the value")?;
                let (dtype, _) = p.dtype("the type to show the bits as")?;
                p.eat(",");
                Ok((value, dtype, p.close(")", open, "after the type")?))
            })?;
            return self.tree(ExprKind::Bitcast(Box::new(value), dtype), span.to(end), height);
        }
        if let Ok(dtype) = word.parse::<Dtype>() {
            self.advance();
            let open = self.expect("(", &format!("and the value to convert to {dtype}"))?;
            let ((value, height), end) = self.within(|p| {
                let value = p.expr()?;
                p.eat(",");
                Ok((value, p.close(")", open, "after the value")?))
            })?;
            return self.tree(ExprKind::Cast(Box::new(value), dtype), span.to(end), height);
        }
        let kind = self.literal(Sign::Plus)?;
        self.tree(kind, span.to(self.end()), 0)
    }

    fn name_or_call(&mut self) -> Parsed<Tree> {
        let ident = self.name("an expression")?;
        let span = ident.span;
        if !self.at_symbol("(") {
            return self.tree(ExprKind::Name(ident.name), span, 0);
        }
        let mut args = Vec::new();
        let (named, below, end) = self.arguments(&mut args)?;
        let kind = ExprKind::Call {
            callee: ident,
            args,
            named,
        };
        self.tree(kind, span.to(end), below)
    }

    /// `(arguments)`. Those by position are put behind `args`; returns those by name, the greatest height and the end.
    fn arguments(&mut self, args: &mut Vec<Expr>) -> Parsed<(Named, u32, Span)> {
        let open = self.expect("(", "and the arguments")?;
        let mut named: Named = Vec::new();
        let mut height = 0;
        let (_, end) = self.list(")", open, "after an argument", |p| {
            if matches!(p.ahead(1).kind, Kind::Symbol("=")) {
                let ident = p.name("an argument's name")?;
                p.advance();
                let value = p.argument_value()?;
                named.push((ident, value));
                return Ok(());
            }
            if !named.is_empty() {
                let diagnostic = p
                    .expectation("an argument by name")
                    .note("arguments by position come before those by name");
                return Err(p.report(diagnostic));
            }
            let (arg, reached) = if p.at_symbol("[") { p.shape()? } else { p.expr()? };
            height = height.max(reached);
            args.push(arg);
            Ok(())
        })?;
        self.check_distinct("argument", "given", named.iter().map(|(name, _)| name));
        Ok((named, height, end))
    }

    /// `[2, n]` as an argument.
    fn shape(&mut self) -> Parsed<Tree> {
        let open = self.advance().span;
        let mut height = 0;
        let (members, end) = self.list("]", open, "after an extent", |p| {
            let (member, reached) = p.expr()?;
            height = height.max(reached);
            Ok(member)
        })?;
        self.tree(ExprKind::List(members), open.to(end), height)
    }

    fn argument_value(&mut self) -> Parsed<Argument> {
        let span = self.span();
        let word = self.word();
        if let "true" | "false" = word {
            self.advance();
            return Ok(Argument::Bool(word == "true", span));
        }
        if let Ok(dtype) = word.parse() {
            self.advance();
            return Ok(Argument::Dtype(dtype, span));
        }
        if self.at_symbol("[") {
            let open = self.advance().span;
            let (ints, end) = self.list("]", open, "after an integer", |p| p.int("an integer"))?;
            return Ok(Argument::Ints(ints, open.to(end)));
        }
        let value = self.int("an integer, a list of integers, `true`, `false` or a type")?;
        Ok(Argument::Int(value, span.to(self.end())))
    }

    fn subscript(&mut self) -> Parsed<Subscript> {
        let span = self.span();
        if self.eat("...") {
            return Ok(Subscript::Ellipsis(span));
        }
        if self.at_word("newaxis") {
            self.advance();
            return Ok(Subscript::NewAxis(span));
        }
        let start = self.bound()?;
        if !self.eat(":") {
            return match start {
                Some(at) => Ok(Subscript::At(at, span.to(self.end()))),
                None => Err(self.expected("a subscript: an integer, a range such as `1:`, `newaxis` or `...`")),
            };
        }
        let stop = self.bound()?;
        let step_span = self.ahead(1).span;
        let step = if self.eat(":") { self.bound()? } else { None };
        if step == Some(0) {
            let diagnostic = Diagnostic::new(step_span, "the step of a range is 0").label("expected another step");
            return Err(self.report(diagnostic));
        }
        Ok(Subscript::Range {
            start,
            stop,
            step,
            span: span.to(self.end()),
        })
    }

    fn bound(&mut self) -> Parsed<Option<i64>> {
        match self.kind() {
            Kind::Number | Kind::Symbol("-") => self.int("an integer").map(Some),
            _ => Ok(None),
        }
    }

    /// An integer with or without a sign, in the range of `i64`.
    fn int(&mut self, expected: &str) -> Parsed<i64> {
        let start = self.span();
        let negative = self.eat("-");
        let span = self.span();
        if self.kind() != Kind::Number {
            return Err(self.expected(expected));
        }
        let value = match number(negative, self.source.slice(span)) {
            Ok(Number::Weak(Literal::Int(value))) => i64::try_from(value).ok(),
            _ => None,
        };
        let Some(value) = value else {
            let diagnostic = Diagnostic::new(
                start.to(span),
                "expected an integer in the range of i64, without a type",
            )
            .label("not such an integer");
            return Err(self.report(diagnostic));
        };
        self.advance();
        Ok(value)
    }

    fn check_subscripts(&mut self, subscripts: &[Subscript], span: Span) -> Parsed<()> {
        if subscripts.is_empty() {
            return Err(
                self.report(Diagnostic::new(span, "expected a subscript").label("nothing between the brackets"))
            );
        }
        let mut ellipses = subscripts.iter().filter_map(|s| match s {
            Subscript::Ellipsis(span) => Some(*span),
            _ => None,
        });
        if let (Some(first), Some(second)) = (ellipses.next(), ellipses.next()) {
            let diagnostic = Diagnostic::new(second, "`...` stands twice")
                .label("expected at most one")
                .context(first, "the first one");
            return Err(self.report(diagnostic));
        }
        Ok(())
    }

    /// The literal at this place, which the caller has seen begin; its sign is already read.
    pub(super) fn literal(&mut self, sign: Sign) -> Parsed<ExprKind> {
        let span = self.span();
        let negative = matches!(sign, Sign::Minus);
        if self.kind() == Kind::Number {
            return match number(negative, self.source.slice(span)) {
                Ok(Number::Weak(literal)) => {
                    self.advance();
                    Ok(ExprKind::Literal(literal))
                }
                Ok(Number::Typed(value)) => {
                    self.advance();
                    Ok(ExprKind::Typed(value))
                }
                Err(error) => Ok(self.bad_number(error)),
            };
        }
        let word = self.word();
        let weak = |value: f64| ExprKind::Literal(Literal::float(if negative { -value } else { value }));
        let kind = match word {
            "true" => ExprKind::Literal(Literal::Bool(true)),
            "false" => ExprKind::Literal(Literal::Bool(false)),
            "inf" => weak(f64::INFINITY),
            "nan" => weak(f64::NAN),
            _ => {
                if let Some(value) = names::typed_word(word) {
                    self.advance();
                    let sign = u64::from(negative) << (value.dtype().bits() - 1);
                    return Ok(ExprKind::Typed(Scalar::from_bits(value.dtype(), value.bits() ^ sign)));
                }
                return match names::bits_word(word) {
                    Some(bits) => self.bits(bits),
                    None => Err(self.expected("an expression")),
                };
            }
        };
        self.advance();
        Ok(kind)
    }

    /// `bits_f32(0x7fc00001)`.
    fn bits(&mut self, word: BitsWord) -> Parsed<ExprKind> {
        self.advance();
        let open = self.expect("(", "and the bits")?;
        let width = match word {
            BitsWord::Weak => 64,
            BitsWord::Typed(Dtype::Bool) => 1,
            BitsWord::Typed(dtype) => dtype.bits(),
        };
        let bits = self.within(|p| {
            let text = if p.kind() == Kind::Number {
                p.source.slice(p.span())
            } else {
                ""
            };
            let bits = match number(false, text) {
                Ok(Number::Weak(Literal::Int(bits))) if bits >> width == 0 => bits as u64,
                _ => return Err(p.expected(&format!("an integer of at most {width} bits, without a type"))),
            };
            p.advance();
            p.close(")", open, "after the bits")?;
            Ok(bits)
        })?;
        Ok(match word {
            BitsWord::Weak => ExprKind::Literal(Literal::Float(bits)),
            BitsWord::Typed(dtype) => ExprKind::Typed(Scalar::from_bits(dtype, bits)),
        })
    }

    /// Reports a number that is none. Where it ends is clear, so the text behind it is read on; 0 stands in for it.
    fn bad_number(&mut self, error: NumberError) -> ExprKind {
        let label = match error {
            NumberError::UnknownSuffix(_) | NumberError::FloatForInt(_) | NumberError::Bool => "expected another type",
            NumberError::Digit(..) | NumberError::NoDigits | NumberError::NoExponent => "expected a number",
            NumberError::OutOfRange(_) | NumberError::TooLarge | NumberError::Infinite(_) => {
                "expected a value in range"
            }
        };
        let diagnostic = Diagnostic::new(self.span(), error.to_string()).label(label);
        self.report(diagnostic);
        self.advance();
        ExprKind::Literal(Literal::Int(0))
    }
}
