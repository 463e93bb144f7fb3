//! Errors in a user's text: message, place, and what was expected; several at once.
//!
//! In: [`Diagnostic`]s from the lexer, the parser, lowering and the array front end. Out: an error value that renders as
//! file, line, column, the source line and a caret.
//!
//! Invariants: diagnostics are shown in the order of the text; at most [`MAX_SHOWN`] are rendered and the rest counted, so
//! hostile text cannot make a report that is large beside its source.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DEFAULT_TERM_WIDTH};

use super::ast::Span;
use super::source::Source;

/// The largest number of diagnostics a report shows.
pub const MAX_SHOWN: usize = 20;

/// The largest number of diagnostics that are kept; later ones are only counted.
const MAX_KEPT: usize = 200;

/// Words of a diagnostic longer than this, in bytes, are cut: a name can be as long as the text.
const MAX_WORDS: usize = 400;

/// A source line longer than this is shown as the part around the caret.
const MAX_LINE: usize = 1000;

/// One error in a user's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// The words beside the caret; may be empty.
    pub label: String,
    /// Other places that matter, with the words beside them.
    pub context: Vec<(Span, String)>,
    /// What else helps to understand the error.
    pub notes: Vec<String>,
    /// What the user may do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at this place.
    pub fn new(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            message: message.into(),
            span,
            label: String::new(),
            context: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// With these words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// With another place that matters.
    pub fn context(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.context.push((span, label.into()));
        self
    }

    /// With a note.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// With advice.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }
}

/// The errors of one source text. Displays as a plain report; [`Diagnostics::styled`] has colours.
///
/// ```
/// let error = loopweave_ir::text::parse("fn f(x) { x + }", "half.lw").unwrap_err();
/// assert!(error.to_string().contains("half.lw:1:15"));
/// assert_eq!(error.iter().count(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    source: Source,
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// No errors in this source yet.
    pub fn new(source: &Source) -> Diagnostics {
        Diagnostics {
            source: source.clone(),
            list: Vec::new(),
            dropped: 0,
        }
    }

    /// Adds an error.
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        if self.list.len() < MAX_KEPT {
            let context = diagnostic.context.iter_mut().map(|(_, words)| words);
            let advice = diagnostic.notes.iter_mut().chain(&mut diagnostic.help);
            let others = context.chain(advice).chain([&mut diagnostic.label]);
            others.chain([&mut diagnostic.message]).for_each(shorten);
            self.list.push(diagnostic);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds another collection's errors.
    pub fn append(&mut self, other: Diagnostics) {
        self.dropped += other.dropped;
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    /// Whether there is no error.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of errors, those that are not kept included.
    pub fn len(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// The errors that are kept, in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The source the errors are in.
    pub fn source_text(&self) -> &Source {
        &self.source
    }

    /// The value if there is no error.
    ///
    /// # Errors
    /// The diagnostics themselves, if there are any.
    pub fn into_result<T>(self, value: T) -> Result<T, Diagnostics> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The report with terminal colours.
    pub fn styled(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut order: Vec<&Diagnostic> = self.list.iter().collect();
        order.sort_by_key(|d| d.span.start);
        let shown = order.len().min(MAX_SHOWN);
        let mut reports: Vec<String> = order[..shown]
            .iter()
            .map(|d| renderer.render(&[self.group(d)]))
            .collect();
        let more = self.len() - shown;
        if more > 0 {
            let plural = if more == 1 { "" } else { "s" };
            reports.push(renderer.render(&[Group::with_title(
                Level::ERROR.primary_title(format!("and {more} more error{plural}")),
            )]));
        }
        reports.join("\n\n")
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let title = Level::ERROR.primary_title(diagnostic.message.as_str());
        let (window, windowed) = self.window(diagnostic);
        let inside = |span: Span| {
            let start = self.source.floor(span.start).clamp(window.start, window.end);
            let end = self.source.floor(span.end).clamp(start, window.end);
            start - window.start..end - window.start
        };
        let (line, column) = self.source.position(diagnostic.span.start);
        let first_line = self.source.position(window.start as u32).0;
        let optional = |label: &'a str| (!label.is_empty()).then_some(label);
        // A carriage return would be drawn; a blank is as wide, so that spans still fit.
        let lines = self.source.text()[window.clone()].replace('\r', " ");
        let mut snippet = Snippet::source(lines).line_start(first_line).fold(true).annotation(
            AnnotationKind::Primary
                .span(inside(diagnostic.span))
                .label(optional(&diagnostic.label)),
        );
        let mut group = Group::with_title(title);
        if windowed {
            // The renderer would count columns from the window's beginning.
            group = group.element(Origin::path(self.source.name()).line(line).char_column(column));
        } else {
            snippet = snippet.path(self.source.name());
        }
        for (span, label) in &diagnostic.context {
            if (span.start as usize) >= window.start && (span.end as usize) <= window.end {
                snippet = snippet.annotation(AnnotationKind::Context.span(inside(*span)).label(optional(label)));
            }
        }
        group
            .element(snippet)
            .elements(diagnostic.notes.iter().map(|note| Level::NOTE.message(note.as_str())))
            .elements(diagnostic.help.iter().map(|help| Level::HELP.message(help.as_str())))
    }

    /// The bytes of the text to show: the lines of all the spans, or, where those are too long, a part of the one line
    /// around the caret (then the flag is set).
    fn window(&self, diagnostic: &Diagnostic) -> (std::ops::Range<usize>, bool) {
        let text = self.source.text();
        let line_start = |byte: usize| text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = |byte: usize| text[byte..].find('\n').map_or(text.len(), |length| byte + length);
        let at = self.source.floor(diagnostic.span.start);
        let line = line_start(at)..line_end(at);
        if line.len() > MAX_LINE {
            let half = DEFAULT_TERM_WIDTH / 2;
            let start = self.source.floor(at.saturating_sub(half) as u32).max(line.start);
            let end = self.source.floor((at + half) as u32).clamp(start, line.end);
            return (start..end, true);
        }
        let spans = diagnostic.context.iter().map(|(span, _)| *span);
        let whole = spans.chain([diagnostic.span]).fold(line.clone(), |window, span| {
            let start = self.source.floor(span.start);
            let end = self.source.floor(span.end).max(start);
            window.start.min(line_start(start))..window.end.max(line_end(end))
        });
        if whole.len() > 100 * MAX_LINE {
            (line, false)
        } else {
            (whole, false)
        }
    }
}

/// Cuts words that are too long.
fn shorten(words: &mut String) {
    if words.len() > MAX_WORDS {
        let mut end = MAX_WORDS;
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        words.truncate(end);
        words.push('…');
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Diagnostics {}
