//! The facts of a report in words: what the text and the page have in common.
//!
//! In: parts of a [`Report`]. Out: cells and lines, with readable units.

use std::fmt::{self, Display, Formatter};

use super::{
    Access, Choice, Decision, Group, Hoisted, Kind, Loop, LoopKind, Note, Op, Operand, Order, Parallel, Part, Report,
    Role, Schedule, Stride, Tile, Unit, Vector, VectorLoop, Work,
};

/// A line of a table: cells that are aligned, and words that end the line.
pub(super) type Row = (Vec<String>, String);

/// The program and what was made of it; and what it was compiled for.
pub(super) fn title(report: &Report) -> (String, Option<String>) {
    let Some(options) = &report.options else {
        let untyped = format!(
            "{}: not compiled yet; the first call decides the dtypes",
            report.program
        );
        return (untyped, None);
    };
    let ops = report.ops.iter().filter(|op| op.is_computed()).count();
    let made = format!(
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
    (made, Some(format!("{dtypes}, {}, {threads}{fast}", options.target)))
}

/// What a kernel is, before anything else is known of it.
pub(super) fn kind(report: &Report, group: &Group) -> String {
    match group.kind {
        Kind::Map => String::from("map"),
        Kind::Reduce => String::from("reduce"),
        Kind::MatMul => product(report, group),
        Kind::Rows => String::from("rows"),
    }
}

/// A kernel in one line.
pub(super) fn in_short(report: &Report, group: &Group) -> String {
    let Some(schedule) = &group.schedule else {
        let kind = kind(report, group);
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
    let side_by_side = schedule.notes.iter().find_map(|note| match note {
        Note::SideBySide { elements } => Some(format!("{}, side by side,", count(*elements, "element"))),
        _ => None,
    });
    let one = || side_by_side.clone().unwrap_or_else(|| String::from("one element"));
    let reduction = |reduced: Option<String>| match over(Role::Kept) {
        None => format!("reduce {}", reduced.unwrap_or_else(one)),
        Some(kept) => format!("reduce {} for each {kept}", reduced.unwrap_or_else(one)),
    };
    let what = match (group.kind, over(Role::Reduced)) {
        (Kind::Map, _) => format!("map over {}", over(Role::Kept).unwrap_or_else(one)),
        (Kind::Reduce, reduced) => reduction(reduced),
        (Kind::MatMul, _) if schedule.blocks.is_some() => product(report, group),
        (Kind::Rows, reduced) => {
            let row = reduced.unwrap_or_else(one);
            match over(Role::Kept) {
                None => format!("one row of {row}"),
                Some(kept) => format!("rows of {row} for each {kept}"),
            }
        }
        // A product with an axis of extent 1.
        (Kind::MatMul, reduced) => {
            let loops = match schedule.order {
                Some(_) => reduction(reduced),
                None => format!("map over {}", over(Role::Kept).unwrap_or_else(one)),
            };
            format!("{}: {loops}", product(report, group))
        }
    };
    let split = schedule.loops.iter().filter(|l| l.parallel.is_some());
    let split: Vec<&str> = split.map(|l| l.name.as_str()).collect();
    let parallel = match (schedule.serial, &split[..]) {
        (Some(reason), _) => format!("on the calling thread ({})", reason.code()),
        (None, []) => String::from("on the calling thread"),
        (None, split) => format!("parallel over {}", split.join(" and ")),
    };
    let vector = schedule
        .loops
        .iter()
        .find_map(|l| l.vector.map(|v| format!("{} along {}", lanes(v), l.name)));
    let vector = match (schedule.blocks, vector) {
        (Some(tile), _) => blocks(schedule, tile),
        (None, Some(vector)) => vector,
        (None, None) => String::from("scalar"),
    };
    format!("{what}, {parallel}, {vector}")
}

/// `matmul x @ w`.
fn product(report: &Report, group: &Group) -> String {
    let op = |&id: &usize| report.ops.get(id);
    let factor = |id: &usize| match op(id) {
        Some(view) if view.is_view() => {
            let of = view.args.first().and_then(op).map_or("_", |of| &of.name);
            format!("{}({of})", view.kind)
        }
        Some(array) => array.name.clone(),
        None => String::from("_"),
    };
    let product = group.ops.iter().filter_map(op).find(|op| op.kind == "matmul");
    let factors: Vec<String> = product.iter().flat_map(|op| &op.args).map(factor).collect();
    format!("matmul {}", factors.join(" @ "))
}

/// The register tile of a product, and the blocks that its axes are cut into.
fn blocks(schedule: &Schedule, tile: Tile) -> String {
    let cut = |back: usize, size: u32| {
        let l = schedule.loops.iter().rev().nth(back)?;
        (!tile.in_place && l.extent > size as usize).then(|| format!(", {} blocked by {size}", l.name))
    };
    format!(
        "{} x {} register tiles{}{}",
        tile.rows,
        tile.columns(),
        cut(1, tile.depth).unwrap_or_default(),
        cut(0, tile.panel).unwrap_or_default()
    )
}

/// What one rule brought into a kernel.
pub(super) struct Fused<'r> {
    code: &'r str,
    /// The ops that are computed along with others.
    ops: Vec<&'r str>,
    words: &'r str,
    saved_bytes: Option<usize>,
}

/// What was fused into each kernel, rule by rule.
pub(super) fn fused(report: &Report) -> Vec<Vec<Fused<'_>>> {
    let mut kernels: Vec<Vec<Fused<'_>>> = report.groups.iter().map(|_| Vec::new()).collect();
    let mut groups_of: Vec<Vec<usize>> = vec![Vec::new(); report.ops.len()];
    for (g, group) in report.groups.iter().enumerate() {
        let ops = group.ops.iter().filter(|op| **op < report.ops.len());
        ops.for_each(|&op| groups_of[op].push(g));
    }
    let groups = |op: usize| groups_of.get(op).map_or(&[][..], Vec::as_slice);
    for decision in report.decisions.iter().filter(|d| d.fused) {
        let home = decision.ops.and_then(|[producer, consumer]| {
            let mut both = groups(consumer).iter().filter(|g| groups(producer).contains(g));
            both.next().copied()
        });
        let Some(home) = home else { continue };
        let rules = &mut kernels[home];
        let known = rules.iter().position(|rule| rule.code == decision.code);
        let at = known.unwrap_or_else(|| {
            rules.push(Fused {
                code: &decision.code,
                ops: Vec::new(),
                words: &decision.words,
                saved_bytes: None,
            });
            rules.len() - 1
        });
        let rule = &mut rules[at];
        match (decision.siblings, decision.code.contains("after")) {
            (true, _) => rule.ops.extend([decision.producer.as_str(), &decision.consumer]),
            (false, true) => rule.ops.push(&decision.consumer),
            (false, false) => rule.ops.push(&decision.producer),
        }
        rule.ops.dedup();
        rule.saved_bytes = match (rule.saved_bytes, decision.saved_bytes) {
            (Some(sum), Some(bytes)) => Some(sum.saturating_add(bytes)),
            (sum, bytes) => sum.or(bytes),
        };
    }
    kernels
}

pub(super) fn fused_ops(fused: &Fused<'_>) -> Row {
    let words = format!("{}{}", fused.words, saved(fused.saved_bytes));
    (vec![format!("+ {}", few(&fused.ops))], words)
}

fn saved(bytes: Option<usize>) -> String {
    match bytes {
        Some(bytes) if bytes > 0 => format!("; saves {} of traffic", Bytes(bytes)),
        _ => String::new(),
    }
}

/// The refusals by their reasons: the code, the pairs of ops.
pub(super) fn refusals(report: &Report) -> Vec<Row> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for decision in report.decisions.iter().filter(|d| !d.fused) {
        match reasons.iter_mut().find(|(code, _)| *code == decision.code) {
            Some((_, pairs)) => pairs.push(pair(decision)),
            None => reasons.push((&decision.code, vec![pair(decision)])),
        }
    }
    let row = |(code, pairs): (&str, Vec<String>)| (vec![code.to_owned()], few(&pairs));
    reasons.into_iter().map(row).collect()
}

pub(super) fn pair(decision: &Decision) -> String {
    let between = if decision.siblings { "beside" } else { "into" };
    format!("{} {between} {}", decision.producer, decision.consumer)
}

pub(super) fn decision(decision: &Decision) -> Row {
    let saved = saved(decision.saved_bytes);
    (
        vec![pair(decision), decision.code.clone()],
        format!("{}{saved}", decision.words),
    )
}

/// What fusion saved of the traffic, and what is computed for it.
pub(super) fn traffic(report: &Report, work: &Work) -> String {
    let now = format!("{} in {}", Bytes(work.bytes), count(report.groups.len(), "kernel"));
    let before = match work.unfused_kernels == report.groups.len() && work.unfused_bytes == work.bytes {
        true => String::new(),
        false => format!(" instead of {} in {}", Bytes(work.unfused_bytes), work.unfused_kernels),
    };
    let intensity = work.intensity.map(|i| format!(", {i} for each byte"));
    format!("{now}{before}; {}{}", Flops(work.flops), intensity.unwrap_or_default())
}

pub(super) fn nest_loop(l: &Loop, blocks: Option<u32>) -> Row {
    let kept = match l.role {
        Role::Kept => "for",
        Role::Reduced => "reduce",
    };
    let mut words: Vec<String> = Vec::new();
    words.extend(l.parallel.map(parts));
    words.extend(l.vector.map(|v| format!("vector of {}", lanes(v))));
    words.extend(l.tile.map(|size| format!("tiles of {size}")));
    words.extend(blocks.map(|size| format!("blocks of {size}")));
    (
        vec![kept.to_owned(), l.name.clone(), l.extent.to_string()],
        words.join("; "),
    )
}

/// The loops of a kernel; those of a product with the blocks that it cuts them into.
pub(super) fn nest_loops(schedule: &Schedule) -> Vec<Row> {
    let last = schedule.loops.len();
    let size = |at: usize| {
        let tile = schedule.blocks?;
        let size = match last - at {
            1 => tile.panel,
            2 => tile.depth,
            _ => return None,
        };
        (!tile.in_place && schedule.loops[at].extent > size as usize).then_some(size)
    };
    let loops = schedule.loops.iter().enumerate();
    let mut rows: Vec<Row> = loops.map(|(i, l)| nest_loop(l, size(i))).collect();
    if let (Some(tile), [.., rows_loop, _, columns]) = (schedule.blocks, &schedule.loops[..]) {
        let cells = ["tile", &format!("{}, {}", rows_loop.name, columns.name)].map(str::to_owned);
        let size = format!("{} x {}", tile.rows, tile.columns());
        rows.push((
            cells.into_iter().chain([size]).collect(),
            String::from("accumulators in registers"),
        ));
    }
    rows
}

pub(super) fn order(order: Order) -> String {
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

/// A vector loop, and why it does so much in an iteration.
pub(super) fn vector_loop(l: &VectorLoop) -> Row {
    let why = match l.choice {
        Choice::Loop {
            instructions,
            counting,
            abreast,
        } => {
            let abreast = if abreast > 1 {
                format!("{abreast} abreast; ")
            } else {
                String::new()
            };
            format!("{abreast}of {instructions} instructions an iteration, {counting} are for the loop itself")
        }
        Choice::Accumulators { of, registers } => {
            let of = count(of, "vector");
            format!("as many accumulators of the order's {of} as fit {registers} registers beside the rest")
        }
        Choice::Tile {
            accumulators,
            registers,
        } => {
            format!("{accumulators} vectors of accumulators in {registers} registers")
        }
    };
    (vec![computes(l).to_owned(), lanes(l.vector)], why)
}

/// How long an element of a vector loop takes, and what of it takes how long.
pub(super) fn estimate(l: &VectorLoop) -> Option<Row> {
    let estimate = l.estimate?;
    let cells = [computes(l), &estimate.cycles.to_string(), part(estimate.by)];
    let parts = estimate.parts.parts().into_iter().filter(|(_, cycles)| *cycles > 0.0);
    let parts = list(parts.map(|(of, cycles)| format!("{} {cycles}", part(of))));
    Some((cells.map(str::to_owned).to_vec(), format!("of {parts}")))
}

/// What estimates are of, for the target's cores.
pub(super) fn estimated(report: &Report) -> String {
    let core = report.options.as_ref().and_then(|options| options.core.as_deref());
    format!(
        "cycles an element in cache, estimated for {}",
        core.unwrap_or("any core")
    )
}

fn computes(l: &VectorLoop) -> &'static str {
    match l.computes {
        LoopKind::Map => "map",
        LoopKind::Fold { .. } => "fold",
        LoopKind::Strip { .. } => "strip",
        LoopKind::Product => "product",
    }
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Load => "load",
        Part::Store => "store",
        Part::MultiplyAdd => "multiply-add",
        Part::Arithmetic => "arithmetic",
        Part::Division => "division",
        Part::Issue => "issue",
        Part::Latency => "latency",
    }
}

pub(super) fn note(note: &Note) -> Row {
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
        Note::Turned { operand } => (
            "turned",
            format!(
                "{operand}: its elements are neighbours along the loop before, and come to be along the innermost one"
            ),
        ),
        Note::Tiled { size } => (
            "tiled",
            format!("{size} x {size}: the arrays disagree about the innermost loop"),
        ),
        Note::SideBySide { elements } => (
            "side by side",
            format!(
                "each result is made of {}, which are arguments of a map",
                count(*elements, "element")
            ),
        ),
        Note::Strips { rows } => (
            "strips",
            format!("{} go through all stages together", count(*rows, "row")),
        ),
        Note::Streamed { bytes } => (
            "streamed",
            format!("results go past the caches, which do not hold {}", Bytes(*bytes)),
        ),
    };
    (vec![code.to_owned()], words)
}

/// What is ready before the vector loop, and how often it is made ready.
pub(super) fn hoisted(hoisted: &Hoisted) -> Row {
    let mut values = hoisted.values.clone();
    if hoisted.constants > 0 {
        values.push(count(hoisted.constants, "constant"));
    }
    let inner = if hoisted.axis == "_" { "" } else { &hoisted.axis };
    let often = match (&hoisted.outer[..], inner) {
        (_, "") => String::from("before the loop"),
        ([], axis) => format!("once, before the loop over {axis}"),
        (outer, axis) => format!("for each {}, before the loop over {axis}", list(outer)),
    };
    (vec![list(values)], often)
}

pub(super) fn operand(operand: &Operand) -> Row {
    let access = match operand.access {
        Access::Read => "read",
        Access::Written => "written",
        Access::Local => "kept for each row",
    };
    let stride = match operand.stride {
        Stride::Same => "one element for the innermost loop",
        Stride::Contiguous => "contiguous",
        Stride::Across => "contiguous along the loop before",
        Stride::Strided => "strided",
    };
    let cells = [access, &operand.name, &operand.dtype, &Bytes(operand.bytes).to_string()];
    (cells.map(str::to_owned).to_vec(), stride.to_owned())
}

pub(super) fn work(schedule: &Schedule) -> String {
    let (read, written) = (Bytes(schedule.bytes_read), Bytes(schedule.bytes_written));
    let intensity = schedule.intensity.map(|i| format!(", {i} for each byte"));
    format!(
        "{read} read, {written} written, {}{}",
        Flops(schedule.flops),
        intensity.unwrap_or_default()
    )
}

pub(super) fn op(op: &Op) -> Row {
    let place = op.position.map(|p| format!("line {}, column {}", p.line, p.column));
    let cells = vec![op.name.clone(), op.kind.clone(), op.array()];
    (cells, place.unwrap_or_default())
}

impl Op {
    /// `f32[64, 8]`.
    pub(super) fn array(&self) -> String {
        match &self.shape {
            Some(shape) => format!("{}{shape:?}", self.dtype),
            None => format!("{} of rank {}", self.dtype, self.rank),
        }
    }

    /// `exp f32[64, 8]`: how it is made, where its name does not say it, and what it is.
    pub(super) fn what(&self) -> String {
        let made = self.function.as_ref().unwrap_or(&self.kind);
        match *made == self.name {
            true => self.array(),
            false => format!("{made} {}", self.array()),
        }
    }

    /// Whether it is neither given nor a constant.
    pub(super) fn is_computed(&self) -> bool {
        !matches!(self.kind.as_str(), "input" | "constant")
    }

    /// Whether it shows the elements of its argument.
    pub(super) fn is_view(&self) -> bool {
        matches!(self.kind.as_str(), "permute" | "slice" | "broadcast" | "reshape")
    }
}

impl Loop {
    /// Whether the loop is there for its form only: a nest has a loop even over one element.
    fn is_unit(&self) -> bool {
        self.name == "_"
    }
}

pub(super) fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// As many as a line takes.
fn few(items: &[impl Display]) -> String {
    const SHOWN: usize = 6;
    match items.len().saturating_sub(SHOWN) {
        0 => list(items),
        more => format!("{} and {more} more", list(&items[..SHOWN])),
    }
}

/// `1 kernel`, `2 kernels`.
pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Bytes in the largest binary unit below them.
pub(super) struct Bytes(pub(super) usize);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
    }
}

/// Nanoseconds in the largest unit below them.
pub(super) struct Time(pub(super) u64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, 1000.0, &["ns", "µs", "ms", "s"])
    }
}

/// Operations in the largest decimal unit below them.
pub(super) struct Flops(pub(super) usize);

impl Display for Flops {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0 as f64,
            1000.0,
            &["flops", "kflops", "Mflops", "Gflops", "Tflops"],
        )
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
