//! Expressions: blocks, operators by precedence, postfix forms, calls and subscripts.
//!
//! In: tokens. Out: trees with their heights, which the parser bounds as it builds them.

use super::item::shown;
use super::{MAX_DEPTH, Parsed, Parser, Reported};
use crate::dtype::{Dtype, Scalar};
use crate::op::{Literal, Op};
use crate::text::ast::{Argument, Block, Expr, ExprKind, Ident, Span, Subscript};
use crate::text::diagnostic::Diagnostic;
use crate::text::lex::Kind;
use crate::text::literal::{Number, NumberError, number};
use crate::text::names::{self, BitsWord};

/// A tree and its height.
type Tree = (Expr, u32);

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

impl<'a> Parser<'a> {
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
            let more = if binding || failed { self.eat(";") } else { self.misplaced_semicolon(&mut failed) };
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
        if !self.at_tuple() {
            if matches!(self.kind(), Kind::End | Kind::Symbol("}")) {
                return Err(self.expected("the result: an expression"));
            }
            let (result, height) = self.expr()?;
            return Ok((vec![result], height));
        }
        let open = self.advance().span;
        let mut height = 0;
        let (results, end) = self.list(")", open, "after a result", |p| {
            let (result, reached) = p.expr()?;
            height = height.max(reached);
            Ok(result)
        })?;
        if results.is_empty() {
            let diagnostic = Diagnostic::new(open.to(end), "expected at least one result").label("no result here");
            return Err(self.report(diagnostic));
        }
        Ok((results, height))
    }

    /// Whether brackets begin here that hold a comma, or nothing, and end the body.
    fn at_tuple(&self) -> bool {
        if !self.at_symbol("(") {
            return false;
        }
        let mut open = 0usize;
        let mut comma = matches!(self.ahead(1).kind, Kind::Symbol(")"));
        for (index, token) in self.tokens[self.at..].iter().enumerate() {
            match token.kind {
                Kind::Symbol("(" | "[" | "{") => open += 1,
                Kind::Symbol(")" | "]" | "}") => {
                    open -= 1;
                    if open == 0 {
                        let ends = matches!(self.ahead(index + 1).kind, Kind::End | Kind::Symbol("}" | ";"));
                        return comma && ends;
                    }
                }
                Kind::Symbol(",") if open == 1 => comma = true,
                Kind::End => return false,
                _ => {}
            }
        }
        false
    }

    /// An expression of any precedence.
    pub(super) fn expr(&mut self) -> Parsed<Tree> {
        self.binary(1)
    }

    fn binary(&mut self, least: u8) -> Parsed<Tree> {
        let mut left = self.nested(Parser::cast)?;
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
    fn tree(&mut self, kind: ExprKind, span: Span, below: u32) -> Parsed<Tree> {
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

    fn postfix(&mut self) -> Parsed<Tree> {
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
        if self.at_word("bitcast") {
            self.advance();
            let open = self.expect("(", "and the type")?;
            let (dtype, _) = self.dtype("the type to show the bits as")?;
            let end = self.close(")", open, "after the type")?;
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
                let diagnostic = self
                    .expectation("an expression")
                    .help(format!("a float begins with a digit: `0.{}`", self.source.slice(self.ahead(1).span)));
                Err(self.report(diagnostic))
            }
            _ => Err(self.expected("an expression")),
        }
    }

    fn parenthesised(&mut self) -> Parsed<Tree> {
        let open = self.advance().span;
        let (mut value, height) = self.expr()?;
        if self.at_symbol(",") {
            let diagnostic = self
                .expectation("`)` or an operator")
                .note("several results in brackets may only end a body");
            return Err(self.report(diagnostic));
        }
        let end = self.close(")", open, "or an operator")?;
        value.span = open.to(end);
        Ok((value, height))
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
            let (value, height) = self.expr()?;
            self.expect(",", "and a type after the value")?;
            let (dtype, _) = self.dtype("the type to show the bits as")?;
            self.eat(",");
            let end = self.close(")", open, "after the type")?;
            return self.tree(ExprKind::Bitcast(Box::new(value), dtype), span.to(end), height);
        }
        if let Ok(dtype) = word.parse::<Dtype>() {
            self.advance();
            let open = self.expect("(", &format!("and the value to convert to {dtype}"))?;
            let (value, height) = self.expr()?;
            self.eat(",");
            let end = self.close(")", open, "after the value")?;
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

    fn conditional(&mut self) -> Parsed<Tree> {
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

    /// `(arguments)`. Those by position are put behind `args`; returns those by name, the greatest height and the end.
    fn arguments(&mut self, args: &mut Vec<Expr>) -> Parsed<(Vec<(Ident, Argument)>, u32, Span)> {
        let open = self.expect("(", "and the arguments")?;
        let mut named: Vec<(Ident, Argument)> = Vec::new();
        let mut height = 0;
        let (_, end) = self.list(")", open, "after an argument", |p| {
            if matches!(p.ahead(1).kind, Kind::Symbol("=")) {
                let ident = p.name("an argument's name")?;
                p.advance();
                if named.iter().any(|(other, _)| other.name == ident.name) {
                    let message = format!("the argument {} is given twice", shown(&ident.name));
                    return Err(p.report(Diagnostic::new(ident.span, message).label("expected another name")));
                }
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
            let diagnostic = Diagnostic::new(start.to(span), "expected an integer in the range of i64, without a type")
                .label("not such an integer");
            return Err(self.report(diagnostic));
        };
        self.advance();
        Ok(value)
    }

    fn check_subscripts(&mut self, subscripts: &[Subscript], span: Span) -> Parsed<()> {
        if subscripts.is_empty() {
            return Err(self.report(Diagnostic::new(span, "expected a subscript").label("nothing between the brackets")));
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
    fn literal(&mut self, sign: Sign) -> Parsed<ExprKind> {
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
                Err(error) => Err(self.bad_number(error)),
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
        let span = self.span();
        let text = if self.kind() == Kind::Number { self.source.slice(span) } else { "" };
        let bits = match number(false, text) {
            Ok(Number::Weak(Literal::Int(bits))) if bits >> width == 0 => bits as u64,
            _ => return Err(self.expected(&format!("an integer of at most {width} bits, without a type"))),
        };
        self.advance();
        self.close(")", open, "after the bits")?;
        Ok(match word {
            BitsWord::Weak => ExprKind::Literal(Literal::Float(bits)),
            BitsWord::Typed(dtype) => ExprKind::Typed(Scalar::from_bits(dtype, bits)),
        })
    }

    fn bad_number(&mut self, error: NumberError) -> Reported {
        let label = match error {
            NumberError::UnknownSuffix(_) | NumberError::FloatForInt(_) | NumberError::Bool => "expected another type",
            NumberError::Digit(..) | NumberError::NoDigits | NumberError::NoExponent => "expected a number",
            NumberError::OutOfRange(_) | NumberError::TooLarge | NumberError::Infinite(_) => "expected a value in range",
        };
        let diagnostic = Diagnostic::new(self.span(), error.to_string()).label(label);
        let reported = self.report(diagnostic);
        self.advance();
        reported
    }
}

/// The sign before a literal.
#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}
