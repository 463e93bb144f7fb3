//! The drawing of a program as inline SVG.
//!
//! In: a [`Report`]. Out: an `svg` element, without a style of its own: classes name what each part is, and the custom
//! property `--hue` has the colour of a kernel.
//!
//! A kernel is a box with a drawing of its own inside. An array from outside enters it by a port on its upper edge, at which
//! the drawing inside begins, and leaves by one on its lower edge; so both drawings are plain layered ones ([`super::layout`]).

use std::fmt::Write as _;

use super::Report;
use super::drawing::{Drawing, Edge, Node};
use super::html::escaped;
use super::layout::{Item, Line, Pin, Places, Way, place};

/// The advance of a character of the 12-pixel and of the 10-pixel monospace font.
const CHAR: f64 = 7.3;
const SMALL_CHAR: f64 = 6.1;
const NODE_HEIGHT: f64 = 38.0;
/// Between a kernel's edge and what is in it, and the height of a heading that no array enters through.
const MARGIN: f64 = 14.0;
const HEADING: f64 = 24.0;
/// The width that a port takes in its layer.
const PORT: f64 = 8.0;
/// Longer names are cut; the whole one is shown when it is pointed at.
const SHOWN_CHARS: usize = 26;
/// With more reasons than these they are shown only when an edge is pointed at.
const SHOWN_REASONS: usize = 12;
/// The width of the widest reason.
const REASON: f64 = 150.0;

/// The hue of a kernel, in degrees: those of neighbours are far apart.
pub(super) fn hue(group: usize) -> u32 {
    (210 + group as u32 * 137) % 360
}

/// The drawing.
pub(super) fn svg(report: &Report) -> String {
    let drawing = Drawing::of(report);
    let boxes: Vec<Inside> = (0..report.groups.len())
        .map(|g| Inside::of(report, &drawing, g))
        .collect();
    let outside = Outside::of(&drawing, &boxes);
    let places = &outside.places;
    let reasons = outside.ends.iter().filter(|(.., reason)| reason.is_some()).count();
    let has_labels = (1..=SHOWN_REASONS).contains(&reasons);
    let side = if has_labels { REASON } else { MARGIN };
    let (width, height) = (places.width + 2.0 * side, places.height + 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{} {} {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" aria-label=\"The ops and the kernels that compute them\">\n",
        -side, -MARGIN
    );
    text += "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n";
    outside.draw_edges(&drawing, &boxes, &mut text);
    for (g, inside) in boxes.iter().enumerate() {
        inside.draw(report, &drawing, g, places.at[outside.boxes[g]], &mut text);
    }
    for (i, node) in drawing.nodes.iter().enumerate() {
        if let Some(item) = outside.items[i] {
            draw_node(node, places.at[item], &mut text);
        }
    }
    if has_labels {
        outside.draw_labels(&mut text);
    }
    text + "</svg>\n"
}

/// The drawing inside a kernel.
struct Inside {
    /// Node ids: arrays from outside, ops, ops whose arrays others read. The items stand in this order.
    entering: Vec<usize>,
    members: Vec<usize>,
    leaving: Vec<usize>,
    /// The edges of the drawing that each line is, but for those to the lower edge.
    edges: Vec<Option<usize>>,
    lines: Vec<Line>,
    places: Places,
    width: f64,
    height: f64,
}

impl Inside {
    fn of(report: &Report, drawing: &Drawing<'_>, group: usize) -> Inside {
        let is_own = |node: usize| drawing.nodes[node].group() == Some(group);
        let mut inside = Inside {
            entering: Vec::new(),
            members: (0..drawing.nodes.len()).filter(|&node| is_own(node)).collect(),
            leaving: Vec::new(),
            edges: Vec::new(),
            lines: Vec::new(),
            places: place(&[], &[]),
            width: 0.0,
            height: 0.0,
        };
        for edge in &drawing.edges {
            let (ports, node) = match (is_own(edge.from), is_own(edge.to)) {
                (false, true) => (&mut inside.entering, edge.from),
                (true, false) => (&mut inside.leaving, edge.from),
                _ => continue,
            };
            if !ports.contains(&node) {
                ports.push(node);
            }
        }
        let port = |pin| Item {
            width: PORT,
            height: 0.0,
            pin,
        };
        let mut items: Vec<Item> = Vec::new();
        items.extend(inside.entering.iter().map(|_| port(Pin::First)));
        items.extend(inside.members.iter().map(|&node| item(&drawing.nodes[node])));
        items.extend(inside.leaving.iter().map(|_| port(Pin::Last)));
        let middle = |item: usize| (item, items[item].width / 2.0);
        for (id, edge) in drawing.edges.iter().enumerate().filter(|(_, edge)| is_own(edge.to)) {
            let from = match is_own(edge.from) {
                true => inside.member(edge.from),
                false => position(&inside.entering, edge.from),
            };
            let line = Line {
                from: middle(from),
                to: middle(inside.member(edge.to)),
                strand: !edge.views.is_empty(),
            };
            inside.lines.push(line);
            inside.edges.push(Some(id));
        }
        for (i, &node) in inside.leaving.iter().enumerate() {
            let line = Line {
                from: middle(inside.member(node)),
                to: middle(inside.entering.len() + inside.members.len() + i),
                strand: false,
            };
            inside.lines.push(line);
            inside.edges.push(None);
        }
        inside.places = place(&items, &inside.lines);
        let heading = report.groups[group].name.chars().count().min(SHOWN_CHARS) as f64 * CHAR;
        inside.width = inside.places.width.max(heading) + 2.0 * MARGIN;
        let below = if inside.leaving.is_empty() { MARGIN } else { 0.0 };
        inside.height = inside.top() + inside.places.height + below;
        inside
    }

    /// From the box's upper edge to where its drawing begins: with the ports, if it has any.
    fn top(&self) -> f64 {
        if self.entering.is_empty() { HEADING } else { 0.0 }
    }

    fn member(&self, node: usize) -> usize {
        // They stand in the order of the drawing.
        self.entering.len() + self.members.partition_point(|&member| member < node)
    }

    /// From the box's left to where its drawing begins.
    fn left(&self) -> f64 {
        (self.width - self.places.width) / 2.0
    }

    /// Where the array of a node enters, from the box's left.
    fn enters(&self, node: usize) -> f64 {
        self.left() + self.places.at[position(&self.entering, node)].0 + PORT / 2.0
    }

    /// Where the array of a node leaves, from the box's left.
    fn leaves(&self, node: usize) -> f64 {
        let port = self.entering.len() + self.members.len() + position(&self.leaving, node);
        self.left() + self.places.at[port].0 + PORT / 2.0
    }

    fn draw(&self, report: &Report, drawing: &Drawing<'_>, group: usize, at: (f64, f64), text: &mut String) {
        let name = &report.groups[group].name;
        let (width, height) = (self.width, self.height);
        let (x, y) = at;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<a href=\"#kernel-{group}\" class=\"kernel\" data-kernel=\"{group}\" style=\"--hue:{}\">\n\
             <title>kernel {}</title><rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\" rx=\"9\"/>",
            hue(group),
            escaped(name)
        );
        let (left, top) = (x + self.left(), y + self.top());
        let mut labels = String::new();
        for ((line, edge), way) in self.lines.iter().zip(&self.edges).zip(&self.places.ways) {
            let (from, to) = (self.places.at[line.from.0], self.places.at[line.to.0]);
            let height = if line.from.0 < self.entering.len() {
                0.0
            } else {
                NODE_HEIGHT
            };
            let x = from.0 + line.from.1;
            let start = [(x, from.1 + height), (x, self.places.layers[line.from.0].1)];
            let end = [
                (to.0 + line.to.1, self.places.layers[line.to.0].0),
                (to.0 + line.to.1, to.1),
            ];
            let start = if way.branches { &[][..] } else { &start };
            let points = start.iter().chain(&way.points).chain(&end);
            let points: Vec<(f64, f64)> = points.map(|&(x, y)| (x + left, y + top)).collect();
            let edge = edge.map(|id| &drawing.edges[id]);
            let views = edge.map_or(&[][..], |edge| &edge.views);
            let class = if views.is_empty() { "wire" } else { "wire view" };
            let tip = if edge.is_some() {
                " marker-end=\"url(#tip)\""
            } else {
                ""
            };
            let _ = writeln!(text, "<path class=\"{class}\" d=\"{}\"{tip}/>", curve(&points));
            if !views.is_empty() {
                let (x, y) = points[points.len() - 1];
                label("label", (x, y - 12.0), &views.join(", "), &mut labels);
            }
        }
        for &node in &self.members {
            let (x, y) = self.places.at[self.member(node)];
            draw_node(&drawing.nodes[node], (x + left, y + top), text);
        }
        // Over the wires that enter.
        label("heading", (x + MARGIN, y + 16.0), &cut(name), &mut labels);
        *text += &labels;
        *text += "</a>\n";
    }
}

/// The drawing of kernels, inputs and outputs.
struct Outside {
    /// Per node of the drawing, its item; `None` for those inside kernels.
    items: Vec<Option<usize>>,
    /// The item of each kernel.
    boxes: Vec<usize>,
    /// Per line: the node whose array it is, and the kernel or the output that it leads to.
    ends: Vec<(usize, usize, Option<String>)>,
    lines: Vec<Line>,
    places: Places,
}

impl Outside {
    fn of(drawing: &Drawing<'_>, boxes: &[Inside]) -> Outside {
        let mut items: Vec<Item> = Vec::new();
        let mut outside = Outside {
            items: vec![None; drawing.nodes.len()],
            boxes: Vec::with_capacity(boxes.len()),
            ends: Vec::new(),
            lines: Vec::new(),
            places: place(&[], &[]),
        };
        let mut stand = |nodes: &dyn Fn(&Node<'_>) -> bool, items: &mut Vec<Item>| {
            for (i, node) in drawing.nodes.iter().enumerate().filter(|(_, node)| nodes(node)) {
                outside.items[i] = Some(items.len());
                items.push(item(node));
            }
        };
        stand(&|node| matches!(node, Node::Input(_)), &mut items);
        let inputs = items.len();
        items.extend(boxes.iter().map(|inside| Item {
            width: inside.width,
            height: inside.height,
            pin: Pin::Free,
        }));
        stand(&|node| matches!(node, Node::Output(..)), &mut items);
        outside.boxes = (inputs..inputs + boxes.len()).collect();

        for Edge { from, to, refused, .. } in &drawing.edges {
            let (source, target) = (drawing.nodes[*from].group(), drawing.nodes[*to].group());
            if source.is_some() && source == target {
                continue;
            }
            let end = |node: usize, ports: &dyn Fn(&Inside) -> f64| match drawing.nodes[node].group() {
                Some(group) => (outside.boxes[group], ports(&boxes[group])),
                None => {
                    let item = outside.items[node].unwrap_or_default();
                    (item, items[item].width / 2.0)
                }
            };
            let line = Line {
                from: end(*from, &|inside| inside.leaves(*from)),
                to: end(*to, &|inside| inside.enters(*from)),
                strand: refused.is_some(),
            };
            let known = outside
                .ends
                .iter_mut()
                .find(|(node, item, _)| (*node, *item) == (*from, line.to.0));
            match known {
                Some((_, _, reason)) => *reason = reason.take().or(refused.map(str::to_owned)),
                None => {
                    outside.ends.push((*from, line.to.0, refused.map(str::to_owned)));
                    outside.lines.push(line);
                }
            }
        }
        outside.places = place(&items, &outside.lines);
        outside
    }

    /// The points of a line, from the lower edge of one box to the upper edge of another.
    fn points(&self, line: usize, height: f64) -> Vec<(f64, f64)> {
        let Line { from, to, .. } = self.lines[line];
        let (start, end) = (self.places.at[from.0], self.places.at[to.0]);
        let Way { points, branches } = &self.places.ways[line];
        let mut points = points.clone();
        if !branches {
            let x = start.0 + from.1;
            points.splice(0..0, [(x, start.1 + height), (x, self.places.layers[from.0].1)]);
        }
        points.push((end.0 + to.1, self.places.layers[to.0].0));
        points.push((end.0 + to.1, end.1));
        points
    }

    fn draw_edges(&self, drawing: &Drawing<'_>, boxes: &[Inside], text: &mut String) {
        for (i, (from, to, reason)) in self.ends.iter().enumerate() {
            let height = drawing.nodes[*from]
                .group()
                .map_or(NODE_HEIGHT, |group| boxes[group].height);
            let class = if reason.is_some() {
                "wire memory refused"
            } else {
                "wire memory"
            };
            let title = reason
                .as_ref()
                .map(|reason| format!("<title>{}</title>", escaped(reason)));
            // What enters a kernel goes on inside it.
            let tip = if self.boxes.contains(to) {
                ""
            } else {
                " marker-end=\"url(#tip)\""
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "<path class=\"{class}\" d=\"{}\"{tip}>{}</path>",
                curve(&self.points(i, height)),
                title.unwrap_or_default()
            );
        }
    }

    /// The reasons of the refusals, above the kernels that read the arrays: to the left of those that enter on the left, and
    /// to the right of the others.
    fn draw_labels(&self, text: &mut String) {
        let mut above: Vec<(usize, bool)> = Vec::new();
        for ((_, to, reason), Line { to: (item, x), .. }) in self.ends.iter().zip(&self.lines) {
            let Some(reason) = reason else { continue };
            let entering = self
                .lines
                .iter()
                .filter(|line| line.to.0 == *item)
                .map(|line| line.to.1);
            let (sum, count) = entering.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
            let is_left = *x <= sum / count;
            // Labels on one side of a kernel stand above each other.
            let height = above.iter().filter(|other| **other == (*to, is_left)).count() as f64 * 11.0 + 5.0;
            above.push((*to, is_left));
            let (left, top) = self.places.at[*item];
            let (class, x) = match is_left {
                true => ("label refused before", left + x - 6.0),
                false => ("label refused after", left + x + 6.0),
            };
            label(class, (x, top - height), reason, text);
        }
    }
}

fn position(nodes: &[usize], node: usize) -> usize {
    nodes.iter().position(|other| *other == node).unwrap_or_default()
}

/// The name of a node, and what it is.
fn lines(node: &Node<'_>) -> (String, String) {
    match node {
        Node::Input(op) => (op.name.clone(), op.array()),
        Node::Op(op, _) => (op.name.clone(), op.what()),
        Node::Output(output, op) => (output.name.clone(), op.array()),
    }
}

fn item(node: &Node<'_>) -> Item {
    let (name, what) = lines(node);
    let wide = |text: &str, char: f64| cut(text).chars().count() as f64 * char;
    Item {
        width: wide(&name, CHAR).max(wide(&what, SMALL_CHAR)) + 22.0,
        height: NODE_HEIGHT,
        pin: Pin::Free,
    }
}

fn draw_node(node: &Node<'_>, (x, y): (f64, f64), text: &mut String) {
    let (name, what) = lines(node);
    let (class, radius, place) = match node {
        Node::Input(op) => ("node input", NODE_HEIGHT / 2.0, op.position),
        Node::Op(op, _) => ("node op", 5.0, op.position),
        Node::Output(..) => ("node output", NODE_HEIGHT / 2.0, None),
    };
    let place = place.map(|p| format!("\nline {}, column {}", p.line, p.column));
    let width = item(node).width;
    let middle = x + width / 2.0;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<g class=\"{class}\"><title>{}\n{}{}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{NODE_HEIGHT}\" rx=\"{radius}\"/><text x=\"{middle:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"what\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text></g>",
        escaped(&name),
        escaped(&what),
        place.unwrap_or_default(),
        y + 16.0,
        escaped(&cut(&name)),
        y + 29.0,
        escaped(&cut(&what))
    );
}

fn label(class: &str, (x, y): (f64, f64), words: &str, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(words)
    );
}

/// A path through points, upright at each of them.
fn curve(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    for &(x, y) in points {
        // Writing to a string cannot fail.
        let _ = match last {
            None => write!(path, "M{x:.1} {y:.1}"),
            Some(last) if last == (x, y) => Ok(()),
            Some((from, _)) if from == x => write!(path, "L{x:.1} {y:.1}"),
            Some((from, above)) => {
                let middle = (above + y) / 2.0;
                write!(path, "C{from:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}")
            }
        };
        last = Some((x, y));
    }
    path
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
