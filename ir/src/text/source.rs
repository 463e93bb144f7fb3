//! The text of one file under its name: what diagnostics quote.
//!
//! In: a name and a text. Out: lines, and where in them a byte stands.
//!
//! Invariants: the text has no byte-order mark, so a [`Span`] counts from the first character a user sees. All sources are
//! equal, as all spans are, so that trees compare by meaning.

use std::fmt;
use std::sync::Arc;

use super::ast::Span;

/// A file's name and text, cheap to clone.
#[derive(Clone, Default)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl PartialEq for Source {
    fn eq(&self, _: &Source) -> bool {
        true
    }
}

impl Eq for Source {}

/// The name only: a text of megabytes is no help in a panic's message.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Source {
    /// The source of this name; a byte-order mark at its beginning is dropped.
    pub fn new(name: &str, text: &str) -> Source {
        Source {
            name: name.into(),
            text: text.strip_prefix('\u{feff}').unwrap_or(text).into(),
        }
    }

    /// The name of the file, as diagnostics show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text that spans index.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty where the span is of another source.
    pub fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// The line and column of a byte, both counted from 1; columns count characters.
    ///
    /// ```
    /// use loopweave_ir::text::Source;
    /// let source = Source::new("a.lw", "let é = 1;\nlet b");
    /// assert_eq!(source.position(7), (1, 7));
    /// assert_eq!(source.position(12), (2, 1));
    /// ```
    pub fn position(&self, byte: u32) -> (usize, usize) {
        let before = &self.text[..self.floor(byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The largest character boundary not above `byte`.
    pub(super) fn floor(&self, byte: u32) -> usize {
        let mut byte = (byte as usize).min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }
}
