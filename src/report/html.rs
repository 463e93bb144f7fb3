//! Reports as a page for a browser.
//!
//! In: a [`Report`], the text of the program, and the kernels' [`Listing`]s. Out: one HTML document that needs nothing else:
//! its style, its script and its drawing are in it, and without the script it only loses the highlights.
//!
//! Invariants: whatever came from the user passes [`escaped`]; the document is well-formed XML too, so that tests can read it.

use std::fmt::{Display, Write as _};

use loopweave_ir::text::Source;

use super::svg::{hue, svg};
use super::words::{self, Bytes, Flops, Row, Time};
use super::{Group, Report, Schedule, Stage};

/// What a kernel is, stage by stage, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Its loops.
    pub nest: String,
    /// The code generator's input.
    pub clif: String,
    /// The machine code.
    pub asm: String,
}

impl Report {
    /// The report as one page of HTML that needs no network: the figures, the graph with its kernels, what was fused and what
    /// not, and each kernel's loops beside its code, as far as `listings` has them in the order of [`Report::groups`].
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let kernel = jit::map(|x| x.exp())?;
    /// let y: ndarray::Array1<f32> = kernel.call(&[1.0f32, 2.0])?;
    /// let page = kernel.report().html(None, &[]);
    /// assert!(page.starts_with("<!DOCTYPE html>"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn html(&self, source: Option<&Source>, listings: &[Listing]) -> String {
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{} – loopweave</title>\n<style>\n{}</style>\n</head>\n<body>\n",
            escaped(&self.program),
            include_str!("page.css")
        );
        let (made, machine) = words::title(self);
        let made = made.strip_prefix(&format!("{}: ", self.program)).unwrap_or(&made);
        let machine = machine.map(|machine| format!(" · {machine}"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<header><h1 class=\"mono\">{}</h1><p class=\"soft\">{}{}</p></header>",
            escaped(&self.program),
            escaped(made),
            escaped(&machine.unwrap_or_default())
        );
        if self.stage != Stage::Traced {
            page += &figures(self);
            page += &source.map(program).unwrap_or_default();
            page += &graph(self);
            page += &decisions(self);
            page += "<section class=\"kernels\">\n<h2>Kernels, in the order in which they run</h2>\n";
            for (i, group) in self.groups.iter().enumerate() {
                page += &kernel(self, i, group, listings.get(i));
            }
            page += "</section>\n";
            let _ = writeln!(
                page,
                "<details><summary>The whole report as text</summary><pre>{}</pre></details>",
                escaped(&self.text(4))
            );
        }
        let _ = write!(
            page,
            "<script>\n{}</script>\n</body>\n</html>\n",
            include_str!("page.js")
        );
        page
    }
}

/// Text as it stands in HTML and in its quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // No document may have these.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The numbers at the top.
fn figures(report: &Report) -> String {
    let kernels = report.groups.len();
    let mut cards = String::new();
    match &report.work {
        None => card(&mut cards, kernels, "kernels; the first call decides their loops", None),
        Some(work) => {
            let all = work.unfused_kernels;
            let words = format!("kernels, {}", instead(kernels, all, &all));
            card(&mut cards, kernels, &words, Some((kernels, all)));
            let (now, all) = (work.bytes, work.unfused_bytes);
            let words = format!("moved, {}", instead(now, all, &Bytes(all)));
            card(&mut cards, Bytes(now), &words, Some((now, all)));
            let intensity = work.intensity.map(|i| format!("{i} for each byte that is moved"));
            card(&mut cards, Flops(work.flops), &intensity.unwrap_or_default(), None);
        }
    }
    if let Some(memory) = report.memory {
        let words = format!("between kernels; {} of arrays in all", Bytes(memory.peak_bytes));
        card(&mut cards, Bytes(memory.intermediate_bytes), &words, None);
    }
    let schedules: Vec<&Schedule> = report.groups.iter().filter_map(|g| g.schedule.as_ref()).collect();
    if !schedules.is_empty() {
        let having = |loops: fn(&super::Loop) -> bool| schedules.iter().filter(|s| s.loops.iter().any(loops)).count();
        let vector = having(|l| l.vector.is_some());
        let parallel = having(|l| l.parallel.is_some());
        let words = format!(
            "of {} run in parallel, {vector} in vectors",
            words::count(kernels, "kernel")
        );
        card(&mut cards, parallel, &words, None);
    }
    if let Some(time) = report.prepare_ns {
        card(&mut cards, Time(time), "to schedule and compile", None);
    }
    format!("<ul class=\"figures\">\n{cards}</ul>\n")
}

/// What a number would be without fusion.
fn instead(now: usize, before: usize, shown: &dyn Display) -> String {
    match now == before {
        true => String::from("as without fusion"),
        false => format!("instead of {shown}"),
    }
}

/// A figure over what it is, and how much of the whole it is.
fn card(cards: &mut String, figure: impl Display, words: &str, part: Option<(usize, usize)>) {
    let meter = part.filter(|(part, all)| part < all).map(|(part, all)| {
        let percent = (part as f64 / all as f64).min(1.0) * 100.0;
        format!("<div class=\"meter\"><i style=\"width:{percent:.1}%\"></i></div>")
    });
    let (figure, words) = (escaped(&figure.to_string()), escaped(words));
    *cards += &format!(
        "<li><b>{figure}</b><span>{words}</span>{}</li>\n",
        meter.unwrap_or_default()
    );
}

/// The text of the program with the numbers of its lines.
fn program(source: &Source) -> String {
    let width = source.text().lines().count().to_string().len();
    let lines = source.text().lines().enumerate();
    let numbered =
        |(i, line): (usize, &str)| format!("<span class=\"n\">{:>width$}  </span>{}\n", i + 1, escaped(line));
    let lines: String = lines.map(numbered).collect();
    format!("<section>\n<h2>Program</h2>\n<pre>{lines}</pre>\n</section>\n")
}

fn graph(report: &Report) -> String {
    format!(
        "<section>\n<h2>Graph</h2>\n<div class=\"card drawing\">\n{}</div>\n<p class=\"legend\">\
         <span>Coloured boxes are kernels: what is in one stays in registers or cache.</span>\
         <span>Thick lines are arrays in memory; orange ones could not be fused away.</span>\
         <span>Dashed lines are views.</span></p>\n</section>\n",
        svg(report)
    )
}

/// What was fused, and what not.
fn decisions(report: &Report) -> String {
    let (fused, refused): (Vec<_>, Vec<_>) = report.decisions.iter().partition(|d| d.fused);
    if report.decisions.is_empty() {
        return String::new();
    }
    let rows = |decisions: &[&super::Decision]| decisions.iter().map(|d| words::decision(d)).collect::<Vec<Row>>();
    let (fused, refused) = (table("Fused", &rows(&fused)), table("Not fused", &rows(&refused)));
    format!("<section>\n<h2>Decisions</h2>\n<div class=\"card tables decisions\">{refused}{fused}</div>\n</section>\n")
}

fn kernel(report: &Report, id: usize, group: &Group, listing: Option<&Listing>) -> String {
    let mut text = format!(
        "<article id=\"kernel-{id}\" class=\"card\" data-kernel=\"{id}\" style=\"--hue:{}\">\n\
         <h3 class=\"mono\">{}</h3><p class=\"soft\">{}</p>\n",
        hue(id),
        escaped(&group.name),
        escaped(&words::in_short(report, group))
    );
    let mut tables = table("Computes", &[(vec![words::list(&group.members)], String::new())]);
    if let Some(schedule) = &group.schedule {
        let rows = |rows: Vec<Row>, heading: &str| {
            if rows.is_empty() {
                String::new()
            } else {
                table(heading, &rows)
            }
        };
        tables += &table("Loops", &words::nest_loops(schedule));
        let vector_loops = &schedule.vector_loops;
        tables += &rows(vector_loops.iter().map(words::vector_loop).collect(), "Vector loops");
        let estimates = vector_loops.iter().filter_map(words::estimate).collect();
        tables += &rows(estimates, &escaped(&words::estimated(report)));
        tables += &table(
            "Arrays",
            &schedule.operands.iter().map(words::operand).collect::<Vec<Row>>(),
        );
        tables += &rows(schedule.hoisted.iter().map(words::hoisted).collect(), "Hoisted");
        tables += &rows(schedule.notes.iter().map(words::note).collect(), "Schedule");
        let order = schedule.order.map(words::order);
        tables += &rows(order.into_iter().map(|order| (Vec::new(), order)).collect(), "Order");
        tables += &table("Work", &[(Vec::new(), words::work(schedule))]);
    }
    if let Some(code) = group.code {
        let made = format!(
            "{}, compiled in {}",
            Bytes(code.bytes),
            Time(code.emit_ns + code.compile_ns)
        );
        tables += &table("Code", &[(Vec::new(), made)]);
    }
    text += &format!("<div class=\"tables\">{tables}</div>\n");
    if let Some(Listing { nest, clif, asm }) = listing {
        let pane = |caption: &str, code: &str| {
            let code = escaped(code.trim_end());
            format!("<figure><figcaption>{caption}</figcaption><pre tabindex=\"0\">{code}</pre></figure>\n")
        };
        let panes = [
            pane("Loops", nest),
            pane("Cranelift IR", clif),
            pane("Machine code", asm),
        ]
        .concat();
        text += &format!("<div class=\"panes\">\n{panes}</div>\n");
    }
    text + "</article>\n"
}

fn table(heading: &str, rows: &[Row]) -> String {
    let columns = rows.first().map_or(1, |(cells, _)| cells.len() + 1);
    let mut text = format!("<table><tr><th colspan=\"{columns}\">{heading}</th></tr>");
    if rows.is_empty() {
        text += "<tr><td>nothing</td></tr>";
    }
    for (cells, words) in rows {
        let cells = cells
            .iter()
            .chain([words])
            .map(|cell| format!("<td>{}</td>", escaped(cell)));
        text += &format!("<tr>{}</tr>", cells.collect::<String>());
    }
    text + "</table>\n"
}
