//! Items: functions and kernels with their headers.
//!
//! In: tokens. Out: [`Item`]s whose names, parameters and results are distinct.

use std::collections::HashMap;

use super::{Parsed, Parser, Reported};
use crate::dtype::Dtype;
use crate::op::Literal;
use crate::text::ast::{ArrayType, Dim, FnItem, Ident, Item, KernelItem, Span};
use crate::text::diagnostic::Diagnostic;
use crate::text::lex::Kind;
use crate::text::literal::{Number, number};
use crate::text::names;

impl Parser<'_> {
    /// All items up to the end of the text.
    pub(super) fn module(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        while self.kind() != Kind::End {
            let start = self.at;
            let item = match self.word() {
                "fn" => self.fn_item().map(Item::Fn),
                "kernel" => self.kernel_item().map(Item::Kernel),
                _ => Err(self.expected("`fn` or `kernel`")),
            };
            match item {
                Ok(item) => items.push(item),
                Err(Reported) => {
                    if self.at == start {
                        self.advance();
                    }
                    self.skip_item();
                }
            }
        }
        self.check_distinct(
            "item",
            "defined",
            items.iter().map(|item| match item {
                Item::Fn(item) => &item.name,
                Item::Kernel(item) => &item.name,
            }),
        );
        items
    }

    fn fn_item(&mut self) -> Parsed<FnItem> {
        self.advance();
        let name = self.name("the function's name")?;
        let open = self.expect("(", "before the parameters")?;
        let params = self.list(")", open, "after a parameter", |p| {
            let name = p.name("a parameter's name")?;
            let dtype = if p.eat(":") {
                Some(p.dtype("the parameter's type")?)
            } else {
                None
            };
            Ok((name, dtype))
        });
        let results = if self.eat("->") {
            let results = if self.at_symbol("(") {
                let open = self.advance().span;
                self.list(")", open, "after a result's type", |p| p.dtype("a result's type"))
                    .map(|(types, end)| (types, open.to(end)))
            } else {
                self.dtype("the result's type")
                    .map(|(dtype, span)| (vec![(dtype, span)], span))
            };
            results.and_then(|(types, span)| self.non_empty(types, span)).map(Some)
        } else {
            Ok(None)
        };
        if let Ok((params, _)) = &params {
            self.check_distinct("parameter", "defined", params.iter().map(|(name, _)| name));
        } else if !self.at_symbol("{") {
            return Err(Reported);
        }
        let body = self.block()?.0;
        let item = FnItem {
            name,
            params: params?.0,
            results: results?,
            body,
        };
        if let (Some(results), false) = (&item.results, item.body.results.is_empty()) {
            self.check_count(
                results.len(),
                results[0].1,
                &item.body.results[0].span,
                item.body.results.len(),
            );
        }
        Ok(item)
    }

    fn kernel_item(&mut self) -> Parsed<KernelItem> {
        self.advance();
        let name = self.name("the kernel's name")?;
        let open = self.expect("(", "before the parameters")?;
        let params = self.list(")", open, "after a parameter", |p| {
            let name = p.name("a parameter's name")?;
            if !p.eat(":") {
                let diagnostic = p
                    .expectation("`:` and the parameter's type")
                    .note("a kernel's parameters have array types, such as `f32[n]`");
                return Err(p.report(diagnostic));
            }
            Ok((name, p.array_type()?))
        });
        let results = if self.eat("->") {
            self.kernel_results().map(Some)
        } else {
            Ok(None)
        };
        if let Ok((params, _)) = &params {
            self.check_distinct("parameter", "defined", params.iter().map(|(name, _)| name));
        } else if !self.at_symbol("{") {
            return Err(Reported);
        }
        if let Ok(Some(results)) = &results {
            self.check_distinct(
                "result",
                "defined",
                results.iter().filter_map(|(name, _)| name.as_ref()),
            );
        }
        let body = self.block()?.0;
        let item = KernelItem {
            name,
            params: params?.0,
            results: results?,
            body,
        };
        if let (Some(results), false) = (&item.results, item.body.results.is_empty()) {
            self.check_count(
                results.len(),
                results[0].1.span,
                &item.body.results[0].span,
                item.body.results.len(),
            );
        }
        Ok(item)
    }

    fn kernel_results(&mut self) -> Parsed<Vec<(Option<Ident>, ArrayType)>> {
        if !self.at_symbol("(") {
            return Ok(vec![(None, self.array_type()?)]);
        }
        let open = self.advance().span;
        let (results, end) = self.list(")", open, "after a result's type", |p| {
            let named = matches!(p.ahead(1).kind, Kind::Symbol(":"));
            let name = if named { Some(p.name("a result's name")?) } else { None };
            p.eat(":");
            Ok((name, p.array_type()?))
        })?;
        self.non_empty(results, open.to(end))
    }

    fn non_empty<T>(&mut self, list: Vec<T>, span: Span) -> Parsed<Vec<T>> {
        if list.is_empty() {
            return Err(self.report(Diagnostic::new(span, "expected at least one result").label("no result here")));
        }
        Ok(list)
    }

    fn array_type(&mut self) -> Parsed<ArrayType> {
        let (dtype, span) = self.dtype("a type such as `f32[n]`")?;
        if !self.at_symbol("[") {
            return Ok(ArrayType {
                dtype,
                dims: Vec::new(),
                span,
            });
        }
        let open = self.advance().span;
        let (dims, end) = self.list("]", open, "after an extent", Parser::dim)?;
        Ok(ArrayType {
            dtype,
            dims,
            span: span.to(end),
        })
    }

    fn dim(&mut self) -> Parsed<Dim> {
        if self.kind() != Kind::Number {
            return self.name("an extent: a name or a number").map(Dim::Name);
        }
        let span = self.span();
        match number(false, self.source.slice(span)) {
            // An extent is a count of elements that a signed offset can span.
            Ok(Number::Weak(Literal::Int(extent))) if extent <= i64::MAX as i128 => {
                self.advance();
                Ok(Dim::Fixed(extent as u64, span))
            }
            _ => Err(self.expected("an extent: a name or an integer without a type, at most 9223372036854775807")),
        }
    }

    /// A dtype by name.
    pub(super) fn dtype(&mut self, expected: &str) -> Parsed<(Dtype, Span)> {
        let span = self.span();
        let word = self.word();
        if let Ok(dtype) = word.parse() {
            self.advance();
            return Ok((dtype, span));
        }
        let mut diagnostic = self.expectation(expected);
        if let Some(near) = names::suggest(word, Dtype::ALL.iter().map(|d| d.name())) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        diagnostic =
            diagnostic.note("the types are bool, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32 and f64");
        Err(self.report(diagnostic))
    }

    fn check_count(&mut self, declared: usize, declaration: Span, body: &Span, given: usize) {
        if declared != given {
            let plural = if declared == 1 { "" } else { "s" };
            let diagnostic = Diagnostic::new(*body, format!("expected {declared} result{plural}, found {given}"))
                .label(format!("{given} given here"))
                .context(declaration, format!("{declared} declared here"));
            self.report(diagnostic);
        }
    }

    /// Reports names that stand twice.
    pub(super) fn check_distinct<'i>(&mut self, what: &str, verb: &str, idents: impl Iterator<Item = &'i Ident>) {
        let mut first: HashMap<&str, Span> = HashMap::new();
        for ident in idents {
            if let Some(&earlier) = first.get(ident.name.as_str()) {
                let diagnostic =
                    Diagnostic::new(ident.span, format!("the {what} {} is {verb} twice", shown(&ident.name)))
                        .label("expected another name")
                        .context(earlier, format!("first {verb} here"));
                self.report(diagnostic);
            } else {
                first.insert(&ident.name, ident.span);
            }
        }
    }
}

/// A name in a message: between backticks once.
fn shown(name: &str) -> String {
    let quoted = names::quote(name);
    if quoted.starts_with('`') {
        quoted
    } else {
        format!("`{quoted}`")
    }
}
