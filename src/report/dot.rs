//! Reports as graphs for Graphviz.
//!
//! In: a [`Report`]. Out: a digraph whose clusters are the kernels.

use std::fmt::Write as _;

use super::Report;
use super::drawing::{Drawing, Node};
use super::words;

/// The fills of the kernels: those of the palette `pastel19`, which Graphviz knows.
const COLOURS: usize = 9;

impl Report {
    /// The program's graph in Graphviz's language: a cluster for each kernel, with its ops; dashed edges for arrays that are
    /// read through views, and on each edge between two kernels the reason why they are not one.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let kernel = jit::kernel("kernel norm(x: f32[n]) -> f32[n] { x / sqrt(sum(x * x)) }")?;
    /// let y: ndarray::Array1<f32> = kernel.call(&[3.0f32, 4.0])?;
    /// assert!(kernel.report().dot().starts_with("digraph \"norm\" {"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dot(&self) -> String {
        let drawing = Drawing::of(self);
        let mut text = format!("digraph {} {{\n", quoted(&self.program));
        text += "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"monospace\", fontsize=11]\n";
        text += "  edge [fontname=\"monospace\", fontsize=9]\n";
        let nodes = |group: Option<usize>| {
            drawing
                .nodes
                .iter()
                .enumerate()
                .filter(move |(_, n)| n.group() == group)
        };
        // Writing to a string cannot fail.
        for (i, node) in nodes(None) {
            let label = match node {
                Node::Input(op) => quoted(&format!("{}\n{}", op.name, op.array())),
                Node::Output(output, op) => quoted(&format!("{}\n{}", output.name, op.array())),
                Node::Op(..) => continue,
            };
            let _ = writeln!(text, "  n{i} [shape=ellipse, label={label}]");
        }
        for (g, group) in self.groups.iter().enumerate() {
            let label = quoted(&format!("{}\n{}", group.name, words::kind(self, group)));
            let tooltip = quoted(&words::in_short(self, group));
            let colour = g % COLOURS + 1;
            let _ = writeln!(text, "  subgraph cluster_{g} {{");
            let _ = writeln!(
                text,
                "    label={label}; tooltip={tooltip}; fontname=\"monospace\"; fontsize=10"
            );
            let _ = writeln!(
                text,
                "    style=\"rounded,filled\"; fillcolor=\"/pastel19/{colour}\"; color=gray50"
            );
            for (i, node) in nodes(Some(g)) {
                if let Node::Op(op, _) = node {
                    let label = quoted(&format!("{}\n{}", op.name, op.what()));
                    let _ = writeln!(text, "    n{i} [label={label}]");
                }
            }
            text += "  }\n";
        }
        for edge in &drawing.edges {
            let is_inside = drawing.nodes[edge.from].group() == drawing.nodes[edge.to].group();
            let mut labels: Vec<&str> = edge.views.clone();
            labels.extend(edge.refused);
            let mut attributes = Vec::new();
            if !labels.is_empty() {
                attributes.push(format!("label={}", quoted(&labels.join("\n"))));
            }
            if !edge.views.is_empty() {
                attributes.push(String::from("style=dashed"));
            }
            if !is_inside {
                attributes.push(String::from("penwidth=2"));
            }
            let attributes = match attributes.is_empty() {
                true => String::new(),
                false => format!(" [{}]", attributes.join(", ")),
            };
            let _ = writeln!(text, "  n{} -> n{}{attributes}", edge.from, edge.to);
        }
        text + "}\n"
    }
}

/// A string of Graphviz's: quotes and backslashes are escaped, and a line ends in `\n`.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
