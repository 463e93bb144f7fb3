//! Reports as text for people, at four levels of detail.
//!
//! In: a [`Report`] and a level. Out: text in the user's names, with readable units.
//!
//! Invariant: a level shows all that the one below it shows, in the same order.

use std::fmt::{self, Display, Formatter};

use super::{
    Access, Decision, Group, Kind, Loop, Note, Op, Operand, Order, Parallel, Report, Role, Schedule, Stage, Stride,
    Unit, Vector,
};

impl Report {
    /// The report as text. Level 1 has one line per kernel; 2 adds its loops, which of them are parallel and vector, and what
    /// was fused and what not; 3 adds what the schedule did, the arrays and the bytes and flops; 4 adds everything else:
    /// ops, functions, code and times. Other levels mean the nearest of these.
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
        title(report, f)?;
        if self.level >= 4 {
            section(f, "  ", "ops", &report.ops, op)?;
        }
        let width = width(report.groups.iter().map(|g| &g.name));
        for group in &report.groups {
            writeln!(f, "  {:<width$}  {}", group.name, in_short(group))?;
            self.group(group, f)?;
        }
        if self.level >= 2 && report.stage != Stage::Traced {
            let (fused, refused): (Vec<_>, Vec<_>) = report.decisions.iter().partition(|d| d.fused);
            section(f, "  ", "fused", &fused, |d| decision(d))?;
            section(f, "  ", "not fused", &refused, |d| decision(d))?;
        }
        if let (3.., Some(memory)) = (self.level, report.memory) {
            let (between, peak) = (Bytes(memory.intermediate_bytes), Bytes(memory.peak_bytes));
            write!(f, "  memory: {between} between kernels")?;
            if memory.unshared_bytes > memory.intermediate_bytes {
                write!(f, " ({} if they shared none)", Bytes(memory.unshared_bytes))?;
            }
            writeln!(f, ", {peak} in all")?;
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
            rows(f, "    ", &schedule.loops, nest_loop)?;
        }
        if let (3.., Some(schedule)) = (self.level, &group.schedule) {
            if let Some(order) = schedule.order {
                writeln!(f, "    order: {}", self::order(order))?;
            }
            section(f, "    ", "schedule", &schedule.notes, note)?;
            section(f, "    ", "arrays", &schedule.operands, operand)?;
            writeln!(f, "    work: {}", work(schedule))?;
        }
        if self.level >= 3 && !group.accuracy.is_empty() {
            let bounds = group
                .accuracy
                .iter()
                .map(|a| format!("{} {} {} ulp", a.op, a.dtype, a.max_ulp));
            writeln!(f, "    accuracy: within {}", list(bounds))?;
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
}

fn title(report: &Report, f: &mut Formatter<'_>) -> fmt::Result {
    let Some(options) = &report.options else {
        return writeln!(
            f,
            "{}: not compiled yet; the first call decides the dtypes",
            report.program
        );
    };
    let ops = report
        .ops
        .iter()
        .filter(|op| !matches!(op.kind.as_str(), "input" | "constant"))
        .count();
    let left = format!(
        "{}: {} from {}",
        report.program,
        count(report.groups.len(), "kernel"),
        count(ops, "op")
    );
    let mut dtypes: Vec<&str> = Vec::new();
    for op in report.ops.iter().filter(|op| op.kind != "constant") {
        if !dtypes.contains(&op.dtype.as_str()) {
            dtypes.push(&op.dtype);
        }
    }
    let fast = match options.fast.as_str() {
        "none" => String::new(),
        fast => format!(", fast {fast}"),
    };
    let (dtypes, threads) = (dtypes.join("/"), count(options.threads, "thread"));
    writeln!(f, "{left:<52}  {dtypes}, {}, {threads}{fast}", options.target)
}

/// A kernel in one line.
fn in_short(group: &Group) -> String {
    let Some(schedule) = &group.schedule else {
        let kind = match group.kind {
            Kind::Map => "map",
            Kind::Reduce => "reduce",
            Kind::MatMul => "matmul",
            Kind::Rows => "rows",
        };
        return format!("{kind}, not scheduled yet: the first call decides the loops");
    };
    let over = |role| {
        let names = schedule
            .loops
            .iter()
            .filter(|l| l.role == role && !l.is_unit())
            .map(|l| &l.name);
        let names = list(names);
        (!names.is_empty()).then_some(names)
    };
    let one = || String::from("one element");
    let what = match (group.kind, over(Role::Kept), over(Role::Reduced)) {
        (Kind::Map, kept, _) => format!("map over {}", kept.unwrap_or_else(one)),
        (Kind::Rows, kept, reduced) => format!(
            "rows of {} for each {}",
            reduced.unwrap_or_else(one),
            kept.unwrap_or_else(one)
        ),
        (Kind::MatMul, kept, reduced) => format!(
            "matmul of {} over {}",
            kept.unwrap_or_else(one),
            reduced.unwrap_or_else(one)
        ),
        (Kind::Reduce, None, reduced) => format!("reduce {}", reduced.unwrap_or_else(one)),
        (Kind::Reduce, Some(kept), reduced) => format!("reduce {} for each {kept}", reduced.unwrap_or_else(one)),
    };
    let parallel = match (schedule.serial, schedule.loops.iter().find(|l| l.parallel.is_some())) {
        (Some(reason), _) => format!("on the calling thread ({})", reason.code()),
        (None, Some(l)) => format!("parallel over {}", l.name),
        (None, None) => String::from("on the calling thread"),
    };
    let vector = schedule
        .loops
        .iter()
        .find_map(|l| l.vector.map(|v| format!("{} along {}", lanes(v), l.name)));
    format!(
        "{what}, {parallel}, {}",
        vector.unwrap_or_else(|| String::from("scalar"))
    )
}

/// A line of a table: cells that are aligned, and words that end the line.
type Row = (Vec<String>, String);

fn nest_loop(l: &Loop) -> Row {
    let kept = match l.role {
        Role::Kept => "for",
        Role::Reduced => "reduce",
    };
    let mut words: Vec<String> = Vec::new();
    words.extend(l.parallel.map(parts));
    words.extend(l.vector.map(|v| format!("vector of {}", lanes(v))));
    words.extend(l.tile.map(|size| format!("tiles of {size}")));
    (
        vec![kept.to_owned(), l.name.clone(), l.extent.to_string()],
        words.join("; "),
    )
}

fn order(order: Order) -> String {
    match order {
        Order::Lanes { lanes, block } => format!("blocks of {block} elements over {lanes} virtual lanes, then a tree"),
        Order::Chain { block } => format!("blocks of {block} rows, one after the other, then a tree"),
    }
}

fn parts(parallel: Parallel) -> String {
    let unit = match parallel.unit {
        Unit::Indices => "",
        Unit::Blocks if parallel.grain == 1 => " block",
        Unit::Blocks => " blocks",
    };
    let (parts, threads) = (count(parallel.parts, "part"), count(parallel.threads, "thread"));
    format!("parallel, {parts} of {}{unit} on {threads}", parallel.grain)
}

fn lanes(vector: Vector) -> String {
    format!("{} lanes x {}", vector.lanes, vector.unroll)
}

fn decision(decision: &Decision) -> Row {
    let saved = match decision.saved_bytes {
        Some(bytes) if bytes > 0 => format!("; saves {} of traffic", Bytes(bytes)),
        _ => String::new(),
    };
    let between = if decision.siblings { "beside" } else { "into" };
    let edge = format!("{} {between} {}", decision.producer, decision.consumer);
    (vec![edge, decision.code.clone()], format!("{}{saved}", decision.words))
}

fn note(note: &Note) -> Row {
    let (code, words) = match note {
        Note::Merged { axes } => ("merged", format!("{}: one run of memory in every array", list(axes))),
        Note::Reordered { axes } => ("reordered", format!("to {}: the shorter strides inside", list(axes))),
        Note::Reversed { axis } => ("reversed", format!("{axis}: no array runs forwards along it")),
        Note::NotMerged {
            axes: [outer, inner],
            operand,
        } => (
            "not merged",
            format!("{outer} and {inner}: {operand} is not one run of memory across them"),
        ),
        Note::Gathered { operand } => (
            "gathered",
            format!("{operand}: its elements are not neighbours along the innermost loop"),
        ),
        Note::Tiled { size } => (
            "tiled",
            format!("{size} x {size}: the arrays disagree about the innermost loop"),
        ),
    };
    (vec![code.to_owned()], words)
}

fn operand(operand: &Operand) -> Row {
    let access = match operand.access {
        Access::Read => "read",
        Access::Written => "written",
        Access::Local => "kept for each row",
    };
    let stride = match operand.stride {
        Stride::Same => "one element for the innermost loop",
        Stride::Contiguous => "contiguous",
        Stride::Strided => "strided",
    };
    let cells = [access, &operand.name, &operand.dtype, &Bytes(operand.bytes).to_string()];
    (cells.map(str::to_owned).to_vec(), stride.to_owned())
}

fn work(schedule: &Schedule) -> String {
    let (read, written) = (Bytes(schedule.bytes_read), Bytes(schedule.bytes_written));
    let intensity = schedule.intensity.map(|i| format!(", {i} for each byte"));
    format!(
        "{read} read, {written} written, {} flops{}",
        schedule.flops,
        intensity.unwrap_or_default()
    )
}

fn op(op: &Op) -> Row {
    let shape = match &op.shape {
        Some(shape) => format!("{}{shape:?}", op.dtype),
        None => format!("{} of rank {}", op.dtype, op.rank),
    };
    let place = op.position.map(|p| format!("line {}, column {}", p.line, p.column));
    let cells = vec![op.name.clone(), op.kind.clone(), shape];
    (cells, place.unwrap_or_default())
}

impl Loop {
    /// Whether the loop is there for its form only: a nest has a loop even over one element.
    fn is_unit(&self) -> bool {
        self.name == "_"
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

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// `1 kernel`, `2 kernels`.
fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Bytes in the largest binary unit below them.
struct Bytes(usize);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
    }
}

/// Nanoseconds in the largest unit below them.
struct Time(u64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, 1000.0, &["ns", "µs", "ms", "s"])
    }
}

fn scaled(f: &mut Formatter<'_>, mut value: f64, step: f64, units: &[&str]) -> fmt::Result {
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    match unit {
        0 => write!(f, "{value} {}", units[0]),
        _ => write!(f, "{value:.1} {}", units[unit]),
    }
}
