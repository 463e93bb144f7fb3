//! Reports as text for people, at four levels of detail.
//!
//! In: a [`Report`] and a level. Out: text in the user's names, with readable units.
//!
//! Invariant: a level says all that the one below it says, in the same order; where it says it in more detail, the short form
//! goes.

use std::fmt::{self, Display, Formatter};

use super::words::{self, Bytes, Row, Time, list};
use super::{Accuracy, Group, Report, Stage};

impl Report {
    /// The report as text. Level 1 has a line per kernel, one for all that each rule fused into it, and what stayed apart; 2
    /// adds the kernels' loops, which of them are parallel, vector and blocked, how exact their functions are, and each
    /// decision with its reason; 3 adds the vector loops and how fast they can be, what the schedule did and hoisted, the arrays and the bytes and
    /// flops; 4 adds
    /// everything else: ops and where they stand, functions, code and times. Other levels mean the nearest of these.
    pub fn text(&self, level: u8) -> String {
        Text {
            report: self,
            level: level.clamp(1, 4),
        }
        .to_string()
    }
}

/// Level 2.
impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(2))
    }
}

struct Text<'a> {
    report: &'a Report,
    level: u8,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.report;
        match words::title(report) {
            (made, None) => writeln!(f, "{made}")?,
            (made, Some(machine)) => writeln!(f, "{made:<52}  {machine}")?,
        }
        if self.level >= 4 {
            section(f, "  ", "ops", &report.ops, words::op)?;
        }
        let width = width(report.groups.iter().map(|g| &g.name));
        let fused = words::fused(report);
        for (group, fused) in report.groups.iter().zip(&fused) {
            writeln!(f, "  {:<width$}  {}", group.name, words::in_short(report, group))?;
            if self.level == 1 {
                rows(f, "    ", fused, words::fused_ops)?;
            }
            self.group(group, f)?;
        }
        if report.stage != Stage::Traced {
            self.decisions(f)?;
        }
        if let Some(work) = &report.work {
            writeln!(f, "  traffic: {}", words::traffic(report, work))?;
        }
        if let (3.., Some(memory)) = (self.level, report.memory) {
            let (between, peak) = (Bytes(memory.intermediate_bytes), Bytes(memory.peak_bytes));
            let alone = match memory.unshared_bytes {
                bytes if bytes > memory.intermediate_bytes => format!(" ({} if they shared none)", Bytes(bytes)),
                _ => String::new(),
            };
            writeln!(f, "  memory: {between} between kernels{alone}, {peak} in all")?;
        }
        if let (4, Some(time)) = (self.level, report.prepare_ns) {
            writeln!(f, "  prepared in {}", Time(time))?;
        }
        Ok(())
    }
}

impl Text<'_> {
    /// What stands below a kernel's line.
    fn group(&self, group: &Group, f: &mut Formatter<'_>) -> fmt::Result {
        if let (2.., Some(schedule)) = (self.level, &group.schedule) {
            rows(f, "    ", &words::nest_loops(schedule), Row::clone)?;
        }
        if self.level >= 2 && !group.accuracy.is_empty() {
            let bound = |a: &Accuracy| format!("{} of {} within {} ulp ({})", a.op, a.dtype, a.max_ulp, a.tier);
            writeln!(f, "    accuracy: {}", list(group.accuracy.iter().map(bound)))?;
        }
        if let (3.., Some(schedule)) = (self.level, &group.schedule) {
            if let Some(order) = schedule.order {
                writeln!(f, "    order: {}", words::order(order))?;
            }
            section(f, "    ", "vector loops", &schedule.vector_loops, words::vector_loop)?;
            let estimates: Vec<Row> = schedule.vector_loops.iter().filter_map(words::estimate).collect();
            if !estimates.is_empty() {
                section(f, "    ", &words::estimated(self.report), &estimates, Row::clone)?;
            }
            section(f, "    ", "schedule", &schedule.notes, words::note)?;
            section(f, "    ", "hoisted", &schedule.hoisted, words::hoisted)?;
            section(f, "    ", "arrays", &schedule.operands, words::operand)?;
            writeln!(f, "    work: {}", words::work(schedule))?;
        }
        if self.level >= 4 {
            writeln!(f, "    computes: {}", list(&group.members))?;
            for function in &group.functions {
                writeln!(f, "    {}", function.role)?;
                function.text.lines().try_for_each(|line| writeln!(f, "      {line}"))?;
            }
            if let Some(code) = group.code {
                let (emit, compile, load) = (Time(code.emit_ns), Time(code.compile_ns), Time(code.load_ns));
                let bytes = Bytes(code.bytes);
                writeln!(
                    f,
                    "    code: {bytes}; emitted in {emit}, compiled in {compile}, loaded in {load}"
                )?;
            }
        }
        Ok(())
    }

    /// What was fused and what not: at level 1, the refusals by their reasons.
    fn decisions(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.level == 1 {
            return section(f, "  ", "not fused", &words::refusals(self.report), Row::clone);
        }
        let (fused, refused): (Vec<_>, Vec<_>) = self.report.decisions.iter().partition(|d| d.fused);
        section(f, "  ", "fused", &fused, |d| words::decision(d))?;
        section(f, "  ", "not fused", &refused, |d| words::decision(d))
    }
}

/// A heading over its rows, or with `nothing` beside it.
fn section<T>(f: &mut Formatter<'_>, indent: &str, heading: &str, items: &[T], row: impl Fn(&T) -> Row) -> fmt::Result {
    if items.is_empty() {
        return writeln!(f, "{indent}{heading}: nothing");
    }
    writeln!(f, "{indent}{heading}")?;
    rows(f, &format!("{indent}  "), items, row)
}

/// A table: columns as wide as their widest cell.
fn rows<T>(f: &mut Formatter<'_>, indent: &str, items: &[T], row: impl Fn(&T) -> Row) -> fmt::Result {
    let rows: Vec<Row> = items.iter().map(row).collect();
    let columns = rows.first().map_or(0, |(cells, _)| cells.len());
    let widths: Vec<usize> = (0..columns)
        .map(|c| width(rows.iter().map(|(cells, _)| &cells[c])))
        .collect();
    for (cells, words) in &rows {
        let mut line = String::from(indent);
        for (cell, &width) in cells.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        writeln!(f, "{}", (line + words).trim_end())?;
    }
    Ok(())
}

fn width<'a>(cells: impl Iterator<Item = &'a String>) -> usize {
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
}
