//! Text into tokens.
//!
//! In: a [`Source`]. Out: tokens with their spans, the last of them the end of the text, and diagnostics.
//!
//! Invariants: never fails; what is no token becomes [`Kind::Bad`], which is reported here, so the parser need not.

use super::ast::Span;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::Source;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word: a name, a keyword or a dtype; the parser looks at its text.
    Word,
    /// A name between backticks.
    Quoted,
    /// A number with its suffix, which [`super::literal`] reads.
    Number,
    /// Punctuation.
    Symbol(&'static str),
    /// Something that has been reported.
    Bad,
    /// The end of the text.
    End,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// The largest number of tokens, which bounds the memory a text takes; the largest function as it is printed has fewer.
const MAX_TOKENS: usize = 1 << 21;

/// Longer symbols come before those they begin with.
const SYMBOLS: [&str; 35] = [
    "...", "->", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "+", "-", "*", "/", "%", "@", "&", "|", "^", "!", "<",
    ">", "=", "(", ")", "[", "]", "{", "}", ",", ";", ":", ".", "?", "#",
];

/// The tokens of the text.
pub(super) fn lex(source: &Source, diagnostics: &mut Diagnostics) -> Vec<Token> {
    let mut lexer = Lexer {
        text: source.text(),
        at: 0,
        diagnostics,
    };
    let mut tokens = Vec::with_capacity(source.text().len() / 3);
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let kind = lexer.token();
        tokens.push(Token {
            kind,
            span: lexer.span(start),
        });
        if kind == Kind::End {
            return tokens;
        }
        if tokens.len() == MAX_TOKENS {
            let span = lexer.span(start);
            lexer.diagnostics.push(
                Diagnostic::new(span, "the text is too large")
                    .label(format!("at most {MAX_TOKENS} words and symbols are read")),
            );
            tokens.push(Token { kind: Kind::End, span });
            return tokens;
        }
    }
}

/// The name that a quoted word between its backticks stands for, or `None` where an escape is wrong.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = quoted.strip_prefix('`')?.strip_suffix('`')?.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            name.push(c);
            continue;
        }
        match rest.next()? {
            'n' => name.push('\n'),
            'r' => name.push('\r'),
            't' => name.push('\t'),
            c @ ('`' | '\\') => name.push(c),
            'u' => {
                let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                if digits.len() > 6 {
                    return None;
                }
                name.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                rest = after.chars();
            }
            _ => return None,
        }
    }
    Some(name)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    diagnostics: &'a mut Diagnostics,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The byte `ahead` of the next; 0 behind the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn span(&self, start: usize) -> Span {
        Span {
            start: start as u32,
            end: self.at as u32,
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            self.at += blank;
            if self.rest().starts_with("//") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if self.rest().starts_with("/*") {
                self.skip_block_comment();
            } else if blank == 0 {
                return;
            }
        }
    }

    /// Block comments nest, as in Rust.
    fn skip_block_comment(&mut self) {
        let start = self.at;
        let mut open = 0usize;
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            match &bytes[self.at..(self.at + 2).min(bytes.len())] {
                b"/*" => {
                    open += 1;
                    self.at += 2;
                }
                b"*/" => {
                    open -= 1;
                    self.at += 2;
                    if open == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
        let opening = Span {
            start: start as u32,
            end: start as u32 + 2,
        };
        self.diagnostics
            .push(Diagnostic::new(opening, "this comment has no end").label("expected `*/` after this"));
    }

    fn token(&mut self) -> Kind {
        let Some(c) = self.peek() else {
            return Kind::End;
        };
        match c {
            'a'..='z' | 'A'..='Z' | '_' => {
                self.skip_word();
                Kind::Word
            }
            '0'..='9' => {
                self.skip_number();
                Kind::Number
            }
            '`' => self.quoted(),
            _ => match SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol)) {
                Some(symbol) => {
                    self.at += symbol.len();
                    Kind::Symbol(symbol)
                }
                None => self.unknown(),
            },
        }
    }

    fn skip_word(&mut self) {
        while self.byte(0).is_ascii_alphanumeric() || self.byte(0) == b'_' {
            self.at += 1;
        }
    }

    /// A number takes its fraction, its exponent and any letters behind it, which must prove to be a suffix.
    fn skip_number(&mut self) {
        let radix_prefix = self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'b' | b'o');
        if radix_prefix {
            return self.skip_word();
        }
        self.skip_digits();
        // `1.5` and `1.` are floats, but `1.sqrt()` is a call and `1...` a subscript before an ellipsis.
        let after_point = self.byte(1);
        if self.byte(0) == b'.' && !(after_point.is_ascii_alphabetic() || matches!(after_point, b'_' | b'.' | b'`')) {
            self.at += 1;
            self.skip_digits();
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if sign == 1 || self.byte(1).is_ascii_digit() {
                self.at += 1 + sign;
            }
        }
        self.skip_word();
    }

    fn skip_digits(&mut self) {
        while self.byte(0).is_ascii_digit() || self.byte(0) == b'_' {
            self.at += 1;
        }
    }

    fn quoted(&mut self) -> Kind {
        let start = self.at;
        self.at += 1;
        loop {
            match self.byte(0) {
                b'`' => break self.at += 1,
                // An escape's second character may be of several bytes; the next turn skips the rest of it.
                b'\\' if !matches!(self.byte(1), 0 | b'\n') => self.at += 2,
                0 | b'\n' if self.at >= self.text.len() || self.byte(0) == b'\n' => {
                    let span = self.span(start);
                    self.diagnostics.push(
                        Diagnostic::new(span, "this quoted name has no end").label("expected a closing backtick"),
                    );
                    return Kind::Bad;
                }
                _ => self.at += 1,
            }
        }
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        let span = self.span(start);
        match self.text.get(start..self.at).and_then(unquote).as_deref() {
            Some("") => {
                self.diagnostics
                    .push(Diagnostic::new(span, "this quoted name is empty").label("expected at least one character"));
                return Kind::Bad;
            }
            Some(_) => return Kind::Quoted,
            None => {}
        }
        self.diagnostics.push(
            Diagnostic::new(span, "this quoted name has an unknown escape")
                .label(r"expected \\, \`, \n, \r, \t or \u{…} after a backslash"),
        );
        Kind::Bad
    }

    /// One character that begins no token, or a run of them, so that a line in another script is one error.
    fn unknown(&mut self) -> Kind {
        let start = self.at;
        let first = self.peek().unwrap_or_default();
        while let Some(c) = self.peek() {
            if c.is_ascii() && self.at > start {
                break;
            }
            self.at += c.len_utf8();
            if c.is_ascii() {
                break;
            }
        }
        let span = self.span(start);
        let diagnostic = match first {
            '"' | '\'' => Diagnostic::new(span, format!("unexpected quotation mark `{first}`"))
                .label("the language has no strings"),
            _ if first.is_alphabetic() => {
                Diagnostic::new(span, format!("`{}` cannot stand in a name", &self.text[start..self.at]))
                    .label("names are made of ASCII letters, digits and `_`")
                    .help("any other name can stand between backticks")
            }
            _ => Diagnostic::new(span, format!("unexpected character {first:?}")).label("not part of the language"),
        };
        self.diagnostics.push(diagnostic);
        Kind::Bad
    }
}
