//! Text into trees: the parser's state, its limits and how it recovers.
//!
//! In: a text and its file's name. Out: an [`ast::Module`](super::ast::Module) or a [`Block`], or every syntax error.
//!
//! Invariants: each function either returns a tree or has reported an error ([`Reported`] is the receipt) and skipped to where
//! its caller can go on; recursion is bounded by [`MAX_NESTING`] and the height of trees by [`MAX_DEPTH`].

mod expr;
mod item;
mod primary;

use super::ast::{Block, Ident, Module, Span};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::lex::{self, Kind, Token};
use super::names;
use super::source::Source;

/// The largest size of a text, in bytes: enough for the largest function as it is printed.
pub const MAX_SOURCE: usize = 1 << 23;

/// The largest height of a tree.
pub const MAX_DEPTH: u32 = 128;

/// The deepest nesting of brackets, blocks and right operands: the recursion of the parser, which fits a thread of 2 MiB
/// without optimisation.
const MAX_NESTING: u32 = 136;

/// The tree of a file.
///
/// # Errors
/// Every syntax error in it, up to what [`Diagnostics`] keeps.
///
/// ```
/// let module = loopweave_ir::text::parse("fn square(x) { x * x }", "square.lw").unwrap();
/// assert_eq!(loopweave_ir::text::print_module(&module), "fn square(x) { x * x }\n");
/// ```
pub fn parse(source: &str, file_name: &str) -> Result<Module, Diagnostics> {
    let source = Source::new(file_name, source);
    let mut parser = Parser::new(&source)?;
    let items = parser.module();
    parser.diagnostics.into_result(Module { source, items })
}

/// The tree of a bare body, as in a command line: `let r = x - y; sqrt(r * r)`.
///
/// # Errors
/// Every syntax error in it.
pub fn parse_expr_body(source: &str, file_name: &str) -> Result<Block, Diagnostics> {
    let source = Source::new(file_name, source);
    let mut parser = Parser::new(&source)?;
    match parser.body() {
        Ok((block, _)) => {
            parser.expect_end();
            parser.diagnostics.into_result(block)
        }
        Err(Reported) => Err(parser.diagnostics),
    }
}

/// An error has been reported.
#[derive(Clone, Copy, Debug)]
struct Reported;

type Parsed<T> = Result<T, Reported>;

struct Parser<'a> {
    source: &'a Source,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    /// The token at which the result of the innermost body begins; only there may a tuple begin.
    tuple_at: usize,
    diagnostics: Diagnostics,
}

impl<'a> Parser<'a> {
    fn new(source: &'a Source) -> Result<Parser<'a>, Diagnostics> {
        let mut diagnostics = Diagnostics::new(source);
        let size = source.text().len();
        if size > MAX_SOURCE {
            diagnostics.push(
                Diagnostic::new(Span::default(), format!("the text is too large: {size} bytes"))
                    .label(format!("at most {MAX_SOURCE} bytes are read")),
            );
            return Err(diagnostics);
        }
        Ok(Parser {
            source,
            tokens: lex::lex(source, &mut diagnostics),
            at: 0,
            depth: 0,
            tuple_at: usize::MAX,
            diagnostics,
        })
    }

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    fn kind(&self) -> Kind {
        self.token().kind
    }

    fn span(&self) -> Span {
        self.token().span
    }

    fn ahead(&self, count: usize) -> Token {
        self.tokens[(self.at + count).min(self.tokens.len() - 1)]
    }

    /// The end of the token before this one.
    fn end(&self) -> Span {
        match self.at {
            0 => Span::default(),
            at => self.tokens[at - 1].span,
        }
    }

    fn advance(&mut self) -> Token {
        let token = self.token();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        matches!(self.kind(), Kind::Symbol(s) if s == symbol)
    }

    /// The word at this place, or `""` where none stands.
    fn word(&self) -> &'a str {
        match self.kind() {
            Kind::Word => self.source.slice(self.span()),
            _ => "",
        }
    }

    fn at_word(&self, word: &str) -> bool {
        self.word() == word
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str, context: &str) -> Parsed<Span> {
        if self.at_symbol(symbol) {
            return Ok(self.advance().span);
        }
        Err(self.expected(&format!("`{symbol}` {context}")))
    }

    /// Expects the bracket that closes the one at `open`.
    fn close(&mut self, symbol: &str, open: Span, context: &str) -> Parsed<Span> {
        if self.at_symbol(symbol) {
            return Ok(self.advance().span);
        }
        let expected = format!("`{symbol}` {context}");
        let diagnostic = self.expectation(&expected).context(open, "to close this");
        Err(self.report(diagnostic))
    }

    fn expect_end(&mut self) {
        if self.kind() == Kind::End {
            return;
        }
        if self.at_symbol(";") {
            let diagnostic = Diagnostic::new(self.span(), "expected the end of the expression, found `;`")
                .label("expected nothing after the result")
                .help("only a `let` ends with `;`");
            self.report(diagnostic);
        } else {
            self.expected("an operator or the end of the expression");
        }
    }

    /// A diagnostic that says what was expected at this token and what is there.
    fn expectation(&self, expected: &str) -> Diagnostic {
        let found = match self.kind() {
            Kind::End => "the end of the text".to_owned(),
            Kind::Word | Kind::Number | Kind::Symbol(_) => format!("`{}`", self.source.slice(self.span())),
            Kind::Quoted => self.source.slice(self.span()).to_owned(),
            Kind::Bad => "an unknown token".to_owned(),
        };
        Diagnostic::new(self.span(), format!("expected {expected}, found {found}"))
            .label(format!("expected {expected}"))
    }

    fn expected(&mut self, expected: &str) -> Reported {
        let diagnostic = self.expectation(expected);
        self.report(diagnostic)
    }

    /// Records an error, unless it is about a token that the lexer has reported.
    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        let lexed = self.kind() == Kind::Bad && self.span().start == diagnostic.span.start;
        if !lexed {
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    /// A name, quoted or not, that is about to be bound or called.
    fn name(&mut self, expected: &str) -> Parsed<Ident> {
        let span = self.span();
        match self.kind() {
            Kind::Quoted => {
                self.advance();
                // The lexer has read the escapes once, so this cannot fail.
                let name = lex::unquote(self.source.slice(span)).unwrap_or_default();
                Ok(Ident { name, span })
            }
            Kind::Word if names::is_reserved(self.word()) => {
                let word = self.word();
                let diagnostic = self
                    .expectation(expected)
                    .note(format!("`{word}` is a word of the language"))
                    .help(format!("a name may be any text between backticks: `` `{word}` ``"));
                Err(self.report(diagnostic))
            }
            Kind::Word => {
                let name = self.word().to_owned();
                self.advance();
                Ok(Ident { name, span })
            }
            _ => Err(self.expected(expected)),
        }
    }

    /// Runs `parse` one level deeper, or reports that the text is nested too deeply.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_NESTING {
            return Err(self.too_deep(self.span()));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn too_deep(&mut self, span: Span) -> Reported {
        let diagnostic = Diagnostic::new(span, "the expression is nested too deeply")
            .label(format!("expected at most {MAX_DEPTH} levels"))
            .note("operators in a row count one level each")
            .help("give a part of it a name with `let`");
        let reported = self.report(diagnostic);
        // What encloses this place is lost as well; its missing brackets would be errors without meaning.
        self.skip_item();
        reported
    }

    /// Members between brackets with commas between them, up to `close`. Errors in one member do not hide those in the next.
    fn list<T>(
        &mut self,
        close: &'static str,
        open: Span,
        what: &str,
        mut member: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<(Vec<T>, Span)> {
        let mut members = Vec::new();
        let mut failed = false;
        loop {
            if self.at_symbol(close) {
                let end = self.advance().span;
                return if failed { Err(Reported) } else { Ok((members, end)) };
            }
            match member(self) {
                Ok(member) => members.push(member),
                Err(Reported) => {
                    failed = true;
                    self.skip_to_any(&[",", close]);
                    if !self.at_symbol(",") && !self.at_symbol(close) {
                        return Err(Reported);
                    }
                }
            }
            if !self.eat(",") && !self.at_symbol(close) {
                let expected = format!("`,` or `{close}` {what}");
                let diagnostic = self.expectation(&expected).context(open, "to close this");
                self.report(diagnostic);
                self.skip_to_any(&[close]);
                self.eat(close);
                return Err(Reported);
            }
        }
    }

    /// What stands between round brackets, the first of which is read, to the end of the last. An error inside leaves the
    /// parser behind them, so that what encloses them can go on.
    fn within<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let result = inside(self);
        if result.is_err() {
            self.skip_to_any(&[")"]);
            self.eat(")");
        }
        result
    }

    /// Skips to one of the symbols at this level of brackets, or to where a statement or an item ends.
    fn skip_to_any(&mut self, symbols: &[&str]) {
        let mut open = 0usize;
        loop {
            match self.kind() {
                Kind::End => return,
                Kind::Symbol(s) if open == 0 && symbols.contains(&s) => return,
                Kind::Symbol("(" | "[" | "{") => open += 1,
                Kind::Symbol(")" | "]" | "}") if open == 0 => return,
                Kind::Symbol(")" | "]" | "}") => open -= 1,
                Kind::Symbol(";") if open == 0 => return,
                Kind::Word if self.at_item() => return,
                _ => {}
            }
            self.advance();
        }
    }

    /// Skips to the next item.
    fn skip_item(&mut self) {
        while self.kind() != Kind::End && !self.at_item() {
            self.advance();
        }
    }

    fn at_item(&self) -> bool {
        matches!(self.word(), "fn" | "kernel")
    }
}
