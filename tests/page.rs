//! The drawings of reports: for Graphviz, and as a page. What is drawn, that it is well-formed, and that no name of the user's
//! gets out of its quotes.

use std::collections::HashSet;

use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{Graph, Named, text};
use loopweave::ir::simplify::Fast;
use loopweave::ir::text::{Source, lower_module, parse};
use loopweave::ir::{Dtype, trace};
use loopweave::pipeline::{Options, Program};
use loopweave::prelude::jit;
use loopweave::report::{Listing, Report};
use loopweave::runtime::parallel::Threads;
use loopweave::shape::Layout;
use loopweave::target::Target;

/// A program as text, with the shapes of its arguments.
struct Case {
    text: &'static str,
    shapes: &'static [&'static [usize]],
}

const ONE: Case = Case {
    text: "kernel root(x: f32[n]) -> f32[n] { sqrt(x) }",
    shapes: &[&[1 << 20]],
};

const SOFTMAX: Case = Case {
    text: "kernel softmax(x: f32[n, m]) -> f32[n, m] {
        let e = exp(x - max(x, axis = -1, keepdims = true));
        e / sum(e, axis = -1, keepdims = true)
    }",
    shapes: &[&[4096, 1024]],
};

const DENSE: Case = Case {
    text: "fn gelu(x) { 0.5 * x * (1.0 + erf(x * 0.70710678)) }
    kernel dense(x: f32[n, d], w: f32[m, d], b: f32[m]) -> f32[n, m] { gelu(x @ permute(w, 1, 0) + b) }",
    shapes: &[&[2048, 1024], &[1024, 1024], &[1024]],
};

const CHAIN: Case = Case {
    text: "kernel chain(x: f32[n, k], w: f32[k, m], v: f32[m, p]) -> f32[n, p] { x @ w @ v }",
    shapes: &[&[100, 100], &[100, 100], &[100, 100]],
};

const TWO: Case = Case {
    text: "kernel two(x: f64[n], r: f64) -> (p: f64[n], q: f64[n]) { let e = exp(-r * x); (e + x, e - x) }",
    shapes: &[&[100_000], &[]],
};

/// `c` is cheap, and so computed in both kernels.
const TWICE: Case = Case {
    text: "kernel twice(x: f32[n, m]) -> f32[n, m] {
        let c = x - mean(x, axis = -1, keepdims = true);
        c / sqrt(mean(c * c, axis = -1, keepdims = true))
    }",
    shapes: &[&[512, 512]],
};

const CASES: [Case; 6] = [ONE, SOFTMAX, DENSE, CHAIN, TWO, TWICE];

#[test]
fn dot() {
    insta::assert_snapshot!("dense_dot", scheduled(&DENSE).dot());
    insta::assert_snapshot!("planned_chain_dot", planned(&CHAIN).report().dot());
}

#[test]
fn dot_names_every_node_that_it_joins() {
    for case in CASES {
        let dot = scheduled(&case).dot();
        let (mut nodes, mut clusters) = (HashSet::new(), 0);
        for line in dot.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [from, "->", to, ..] => assert!(nodes.contains(from) && nodes.contains(to), "{line}\n{dot}"),
                ["subgraph", ..] => clusters += 1,
                [node, ..] if node.starts_with('n') && node[1..].parse::<usize>().is_ok() => {
                    assert!(nodes.insert(node), "{line}\n{dot}");
                }
                _ => {}
            }
        }
        assert_eq!(clusters, scheduled(&case).groups.len());
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
        assert_eq!(dot, scheduled(&case).dot());
    }
}

#[test]
fn an_op_is_drawn_in_each_kernel_that_computes_it() {
    let report = scheduled(&TWICE);
    let computing = report.groups.iter().filter(|g| g.members.contains(&String::from("c")));
    assert_eq!(report.dot().matches("[label=\"c\\n").count(), computing.count());
}

#[test]
fn pages_are_well_formed() {
    for case in CASES {
        let source = Source::new("case.lw", case.text);
        let report = scheduled(&case).locate(&source);
        let listings: Vec<Listing> = report.groups.iter().map(|_| listing()).collect();
        let page = report.html(Some(&source), &listings);
        check_page(&page);
        assert_eq!(page.matches("<article ").count(), report.groups.len());
        assert_eq!(
            page.matches("; an &lt;instruction&gt; &amp; another").count(),
            report.groups.len()
        );
        assert_eq!(page, report.html(Some(&source), &listings));
        check_page(&planned(&case).report().html(None, &[]));
    }
    check_page(&jit::map(|x| x.exp()).unwrap().report().html(None, &[]));
}

/// The figures and the reasons, where a reader looks for them.
#[test]
fn a_page_says_what_the_report_says() {
    let page = scheduled(&DENSE).html(None, &[]);
    for part in [
        "<b>20.0 MiB</b><span>moved, instead of 52.0 MiB</span>",
        "<b>1</b><span>kernels, instead of 3</span>",
        "matmul x @ permute(w), parallel over n",
        "register tiles",
        "<text class=\"label\"",
        "map-after-matmul",
    ] {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    let page = scheduled(&SOFTMAX).html(None, &[]);
    for decision in scheduled(&SOFTMAX).decisions.iter().filter(|d| !d.fused) {
        assert!(page.contains(&decision.code), "{}", decision.code);
    }
}

#[test]
fn names_stay_within_their_quotes() {
    const HOSTILE: [&str; 5] = [
        "</script><script>alert(1)</script>",
        "\"><b>&amp;",
        "' onload='x",
        "back\\slash\"];\n\u{0} }",
        "a name of more characters than any drawing has the room to show in full: ąęłćśź",
    ];
    for name in HOSTILE {
        let mut g = GraphBuilder::new(name);
        let x = g.input(name, Dtype::F32, 2);
        let y = g.map(&trace(name, |[x]| x.exp()).unwrap(), &[x]).unwrap();
        g.rename(y, name).unwrap();
        let top = g.reduce(Named::Max, y, Some(&[-1]), true).unwrap();
        g.rename(top, name).unwrap();
        let z = g.map(&trace("div", |[y, top]| y / top).unwrap(), &[y, top]).unwrap();
        g.output(name, z);
        let report = report(g.finish().unwrap(), &[&[300, 300]]);
        let page = report.html(Some(&Source::new(name, name)), &[listing()]);
        check_page(&page);
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(!page.contains("<b>&amp;"), "{page}");
        let dot = report.dot();
        for line in dot.lines() {
            let unescaped = line.replace("\\\\", "").replace("\\\"", "");
            assert!(unescaped.matches('"').count().is_multiple_of(2), "{line}");
        }
        assert_eq!(dot.lines().last(), Some("}"));
    }
}

fn listing() -> Listing {
    Listing {
        nest: String::from("for i < 3"),
        clif: String::from("v1 = \"quoted\""),
        asm: String::from("; an <instruction> & another"),
    }
}

fn graph(case: &Case) -> Graph {
    let module = parse(case.text, "case.lw").unwrap();
    let functions = lower_module(&module).unwrap();
    let mut kernels = module.items.iter().filter_map(|item| match item {
        loopweave::ir::text::ast::Item::Kernel(kernel) => Some(kernel),
        loopweave::ir::text::ast::Item::Fn(_) => None,
    });
    text::lower_kernel(kernels.next_back().unwrap(), &functions, &module.source).unwrap()
}

fn planned(case: &Case) -> Program {
    compiled(graph(case))
}

fn scheduled(case: &Case) -> Report {
    report(graph(case), case.shapes)
}

fn report(graph: Graph, shapes: &[&[usize]]) -> Report {
    let layouts: Vec<Layout> = shapes.iter().map(|shape| Layout::contiguous(shape).unwrap()).collect();
    compiled(graph).report_for(&layouts).unwrap()
}

fn compiled(graph: Graph) -> Program {
    let options = Options {
        fast: Fast::NONE,
        threads: Threads::count(2).unwrap(),
        target: Target::parse("x86-64-v3").unwrap(),
        fusion: true,
    };
    Program::compile(graph, &options).unwrap()
}

/// Checks that a page is one well-formed element after its doctype, that its links lead somewhere in it, and that it asks for
/// nothing from elsewhere.
fn check_page(page: &str) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    let mut open: Vec<&str> = Vec::new();
    let (mut ids, mut links) = (HashSet::new(), Vec::new());
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start]);
        let end = tag_end(&rest[start..]) + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> in {page}");
            continue;
        }
        let (tag, is_empty) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        assert!(name.chars().all(char::is_alphanumeric), "<{name}>");
        for (key, value) in attributes_of(attributes) {
            check_text(value);
            match key {
                "id" => assert!(ids.insert(value), "two parts are `{value}`"),
                "href" => links.push(value.strip_prefix('#').expect("a link within the page")),
                "src" | "onclick" | "onload" => panic!("<{tag}>"),
                _ => {}
            }
        }
        if !is_empty {
            open.push(name);
        }
        if matches!(name, "style" | "script") {
            let end = rest.find("</").unwrap();
            assert!(
                !rest[..end].contains(['<', '&']) && !rest[..end].contains("http"),
                "{}",
                &rest[..end]
            );
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    assert!(links.iter().all(|link| ids.contains(link)), "{links:?} {ids:?}");
}

/// The end of a tag: a `>` within quotes is part of an attribute.
fn tag_end(text: &str) -> usize {
    let mut is_quoted = false;
    let mut ends = text.char_indices().filter(|&(_, c)| {
        is_quoted ^= c == '"';
        c == '>' && !is_quoted
    });
    ends.next().expect("a tag ends").0
}

fn attributes_of(mut text: &str) -> Vec<(&str, &str)> {
    let mut attributes = Vec::new();
    while let Some((key, rest)) = text.trim_start().split_once("=\"") {
        let (value, rest) = rest.split_once('"').expect("a quote closes");
        assert!(
            key.chars().all(|c| c.is_alphanumeric() || c == '-' || c == ':'),
            "{key}"
        );
        attributes.push((key, value));
        text = rest;
    }
    assert!(text.trim().is_empty(), "{text}");
    attributes
}

fn check_text(text: &str) {
    for (i, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(
            known.iter().any(|entity| text[i..].starts_with(entity)),
            "{}",
            &text[i..]
        );
    }
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
        "{text:?}"
    );
}
