//! The fusion plan, a row a case: which nodes run together, and what was decided of each edge and of siblings.
//!
//! A row reads `parameters | body => groups | decisions`: a group is its members' names joined by `+`, groups are separated
//! by `;`, and a decision is `producer>consumer rule-or-reason`, or `first~second rule-or-reason` for siblings.

use std::collections::HashSet;

use loopweave::fuse::{self, GroupKind, Plan, Relation, Verdict};
use loopweave::graph::build::{GraphBuilder, ReduceWith};
use loopweave::graph::text::lower_kernel;
use loopweave::graph::{ArrayOp, Dim, Graph, Named, NodeId};
use loopweave::ir::simplify::Fast;
use loopweave::ir::text::ast::Item;
use loopweave::ir::text::{lower_module, parse};
use loopweave::ir::{Dtype, Expr, Func, Literal, trace};
use loopweave::nest::Role;
use loopweave::nest::lower::lower;

#[test]
fn maps() {
    check_rows(
        "
        x: f32[n] | let a = exp(x); a => a
        x: f32[n] | let a = exp(x); let b = abs(a); let c = sqrt(b); c => a+b+c | a>b map-into-map, b>c map-into-map
        x: f32[n] | let a = abs(x); let b = exp(x); a + b => a+b+add | a>add map-into-map, b>add map-into-map
        x: f32[n] | let a = exp(x); a + a => a+add | a>add map-into-map
        x: f32[n] | let a = exp(x); let b = abs(a); a + b => a+b+add | a>b map-into-map, a>add map-into-map, b>add map-into-map
        x: f32[n] | let a = exp(x); let b = abs(a); (b, a) => a+b | a>b map-into-map
        x: f32[n] | let a = abs(x); let b = exp(x); (a, b) => a+b | a~b sibling-maps
        x: f32[n], y: f32[n] | let a = abs(x); let b = exp(y); (a, b) => a; b
        x: f32[n], y: f32[n] | let a = x + y; let b = x - y; let c = x * y; (a, b, c) => a+b+c | a~b sibling-maps, b~c sibling-maps
        x: f32[n], y: f32[m] | let a = abs(x); let b = exp(y); (a, b) => a; b
        x: f32[n], y: f64[n] | let a = x * x; let b = a + y; let c = sqrt(a); (b, c) => a+b+c | a>b map-into-map, a>c map-into-map
        x: f32[n] | let a = x as f16; let b = a as f32; let c = exp(a); (b, c) => a+b+c | a>b map-into-map, a>c map-into-map
        x: f32[n], y: f32[n] | let a = select(x < y, x, y); let b = a * 2; (a, b) => lt+a+b | lt>a map-into-map, a>b map-into-map
        ",
    );
}

#[test]
fn outputs_that_nothing_computes() {
    check_rows(
        "
        x: f32[n, m] | (transpose(x), x) => transpose; x
        x: f32[n, m] | let a = exp(x); transpose(a) => a+transpose | a>transpose map-into-map
        x: f32[n, m] | let a = exp(x); (a, transpose(a)) => a; transpose | a>transpose used-elsewhere
        x: f32[n, m] | let a = abs(x); (a, transpose(a)) => a; transpose | a>transpose used-elsewhere
        x: f32[n, m] | let a = abs(x); let v = transpose(a); (v, v + 1) => a+v+add | a>v map-into-map, a>add map-into-map
        ",
    );
}

#[test]
fn broadcasts() {
    check_rows(
        "
        x: f32[n, m], y: f32[m] | let a = abs(y); x + a => a+add | a>add map-into-map
        x: f32[n, m], y: f32[m] | let a = exp(y); x + a => a; add | a>add would-duplicate-expensive-op
        x: f32[n, m], y: f32[n, 1] | let a = exp(y); x + a => a+add | a>add map-into-map
        x: f32[n, m], y: f32[1, m] | let a = exp(y); x + a => a; add | a>add would-duplicate-expensive-op
        x: f32[n, m], y: f32 | let a = exp(y); x + a => a+add | a>add map-into-map
        x: f32, y: f32 | let a = exp(y); x + a => a+add | a>add map-into-map
        x: f32[4, m], y: f32[1, m] | let a = sqrt(y); x + a => a; add | a>add would-duplicate-expensive-op
        x: f32[64, m], y: f32[1, m] | let a = sqrt(y); x + a => a; add | a>add would-duplicate-expensive-op
        x: f32[n, m], y: f32[m], z: f32[m] | let a = y * z - 1; x + a => mul+a+add | mul>a map-into-map, a>add map-into-map
        x: f32[n, m], y: f32[m] | let a = y * 2; let b = x + a; let c = x - a; (b, c) => a+b+c | a>b recomputed, a>c recomputed, b~c sibling-maps
        x: f32[n, m], y: f32[m] | let a = y * 2; (a, x + a) => a; add | a>add used-elsewhere
        x: f32[2, m], y: f32[1, m] | let a = sqrt(y); x + a => a+add | a>add map-into-map
        x: f32[n, m], y: f32[m], a: f32[m], b: f32[m], c: f32[m] | let t = y + a + b + c; x + t => add+add+t; add | add>add map-into-map, add>t map-into-map, t>add would-duplicate-expensive-op
        ",
    );
}

#[test]
fn views() {
    check_rows(
        "
        x: f32[n, m] | let a = exp(x); abs(transpose(a)) => a+abs | a>abs map-into-map
        x: f32[n, m] | let a = exp(x); abs(a[::2, 0]) => a+abs | a>abs map-into-map
        x: f32[n, n] | let a = abs(x); a + transpose(a) => a+add | a>add recomputed
        x: f32[n, n] | let a = exp(x); a + transpose(a) => a; add | a>add would-duplicate-expensive-op
        x: f32[n, n] | let a = exp(x); transpose(a) * transpose(a) => a+mul | a>mul map-into-map
        x: f32[n] | let a = abs(x); a[1:] - a[:-1] => a+sub | a>sub recomputed
        x: f32[n] | let a = exp(x); a[1:] - a[:-1] => a; sub | a>sub would-duplicate-expensive-op
        x: f32[n], y: f32[n, m] | let a = abs(x); a[:, newaxis] + y => a+add | a>add map-into-map
        x: f32[n], y: f32[n, m] | let a = exp(x); a[:, newaxis] + y => a+add | a>add map-into-map
        x: f32[n, m] | let a = exp(x); abs(reshape(a, -1)) => a; abs | a>abs view-between
        x: f32[n, m] | let a = exp(x); abs(reshape(a, n, 1, m)) => a+abs | a>abs map-into-map
        x: f32[n, m] | let a = exp(x); abs(reshape(a, n, -1)) => a+abs | a>abs map-into-map
        x: f32[n], y: f32[m] | let a = abs(x); (abs(broadcast(a, m, n)), y) => a+abs; y | a>abs map-into-map
        x: f32[n], y: f32[m] | let a = exp(x); (abs(broadcast(a, m, n)), y) => a; abs; y | a>abs would-duplicate-expensive-op
        x: f32[n, m] | let a = exp(x); (abs(transpose(a)), abs(a[::-1])) => a; abs; abs | a>abs would-duplicate-expensive-op, a>abs would-duplicate-expensive-op
        x: f32[n] | let a = abs(x); exp(a[::2]) => a+exp | a>exp map-into-map
        x: f32[n, m] | let a = exp(transpose(x)); let b = abs(transpose(x)); (a, b) => a+b | a~b sibling-maps
        ",
    );
}

#[test]
fn into_reductions() {
    check_rows(
        "
        x: f32[n, m] | let a = x as f64; let s = sum(a, axis = 1); let t = sum(a, axis = 0); (s, t) => a+s; a+t | a>s recomputed, a>t recomputed
        x: f32[n, m] | let a = exp(x); let s = sum(a, axis = 1); let t = sum(a, axis = 0); (s, t) => a+s; t | a>s row-resident, a>t would-duplicate-expensive-op
        x: f32[n, m] | let a = exp(x); let s = sum(a, axis = 1); s => a+s | a>s map-into-reduce
        x: f32[n, m] | let a = exp(x); let s = sum(transpose(a), axis = 1); s => a+s | a>s map-into-reduce
        x: f32[n, m] | let a = exp(x); let s = sum(a, axis = 1); (a, s) => a+s | a>s row-resident
        x: f32[n, m] | let a = abs(x); let s = sum(a, axis = 1); (a, s) => a+s | a>s row-resident
        x: f32[n, m], y: f32[n, m] | let a = x - y; let s = sum(a * x, axis = 1); (a, s) => a+mul+s | a>mul row-resident, mul>s map-into-reduce
        x: f32[n, m], y: f32[m] | let a = exp(y); let s = sum(x * a, axis = 1); s => a; mul+s | a>mul would-duplicate-expensive-op, mul>s map-into-reduce
        x: f32[n, m] | let s = sum(reshape(exp(x), -1), axis = 0); s => exp; s | exp>s view-between
        x: f32[n] | let s = max(abs(x)); s => abs+s | abs>s map-into-reduce
        ",
    );
}

#[test]
fn after_reductions() {
    check_rows(
        "
        x: f32[n, m] | let s = sum(x, axis = 1, keepdims = true); let b = s * 2; let c = sum(b, axis = 0, keepdims = true); b - c => s+b; c; sub | s>b map-after-reduce, b>c reduce-of-reduce, b>sub depends-through-another, c>sub result-is-broadcast
        x: f32[n, m] | let s = sum(x, axis = 1); let b = s * 2; sqrt(b) => s+b+sqrt | s>b map-after-reduce, b>sqrt map-after-reduce
        x: f32[n, m], y: f32[n] | let s = sum(x, axis = 1); s + y => s+add | s>add map-after-reduce
        x: f32[n, m], y: f32[n] | let s = sum(x, axis = 1); let e = exp(y); e + s => s+e+add | e>add map-into-map, s>add map-after-reduce
        x: f32[n, m], y: f32[m, n] | let s = sum(x, axis = 1); s + y => s; add | s>add result-is-broadcast
        x: f32[n, m] | let s = sum(x, axis = 1, keepdims = true); x + s => s+add | s>add row-resident
        x: f32[n, m] | let s = sum(x, axis = 1, keepdims = true); let e = s * 2; x + e => s+e+add | s>e map-after-reduce, e>add row-resident
        x: f32[n, m] | let s = sum(x, axis = 1); sum(s, axis = 0) => s; sum | s>sum reduce-of-reduce
        x: f32[n, m] | let s = sum(x, axis = 1); let e = exp(s); sum(e, axis = 0) => s+e; sum | s>e map-after-reduce, e>sum reduce-of-reduce
        x: f32[n, m] | let s = sum(x, axis = 1); let b = exp(s); (s, b) => s+b | s>b map-after-reduce
        x: f32[n] | let s = sum(x); let b = exp(s); let c = abs(s); (b, c) => s+b+c | s>b map-after-reduce, s>c map-after-reduce
        x: f32[n, n] | let s = sum(x, axis = []); exp(transpose(s)) => s; exp | s>exp view-between
        x: f32[n, m] | let s = sum(x, axis = 1); x + s[:, newaxis] => s+add | s>add row-resident
        x: f32[n, m] | let e = abs(x); let s = sum(e, axis = 1, keepdims = true); e + s => e+s+add | e>s recomputed, e>add map-into-map, s>add row-resident
        x: f32[n, m] | let e = exp(x); let s = sum(e, axis = 1, keepdims = true); e / s => e+s+div | e>s row-resident, e>div row-resident, s>div row-resident
        ",
    );
}

#[test]
fn sibling_reductions() {
    check_rows(
        "
        x: f32[n] | let s = sum(x); let t = max(x); (s, t) => s+t | s~t sibling-reductions
        x: f32[n] | let s = sum(x); let t = sum(x * x); (s, t) => s+mul+t | mul>t map-into-reduce, s~t sibling-reductions
        x: f32[n, m] | let s = mean(x, axis = 1); let t = mean(x * x, axis = 1); t - s * s => s+mul+t+mul+sub | mul>t map-into-reduce, s>mul map-after-reduce, t>sub map-after-reduce, mul>sub map-after-reduce, s~t sibling-reductions
        x: f32[n, m] | let e = exp(x); let s = sum(e, axis = 1); let t = max(e, axis = 1); (s, t) => e+s+t | e>s map-into-reduce, e>t map-into-reduce, s~t sibling-reductions
        x: f32[n, m] | let s = sum(x, axis = 1); let t = sum(x, axis = 0); (s, t) => s; t
        x: f32[n, m] | let s = sum(x, axis = 1); let t = sum(x, axis = 1, keepdims = true); (s, t) => s+t | s~t sibling-reductions
        x: f32[n] | let s = sum(x); let t = sum(x, dtype = f64); (s, t) => s; t | s~t order-dependent
        x: f32[n] | let s = sum(x, dtype = f64); let t = argmax(x); let u = min(x); (s, t, u) => s+t+u | s~t sibling-reductions, t~u sibling-reductions
        x: f32[n], y: f32[n] | let s = sum(x); let t = sum(y); (s, t) => s; t
        x: f32[n], y: f32[n] | let s = sum(x); let t = sum(y); let d = sum(x * y); (s, t, d) => s+t+mul+d | mul>d map-into-reduce, s~d sibling-reductions, t~d sibling-reductions
        x: f32[n, m], y: f32[n, k] | let s = sum(x, axis = 1); let t = sum(y, axis = 1); s + t => s; t+add | s>add second-reduction, t>add map-after-reduce
        x: f32[n] | let s = sum(x); let t = sum(x - s); (s, t) => s+sub+t | s>sub row-resident, sub>t map-into-reduce
        x: f32[n] | let s = sum(x); let t = sum(x - s); s + t => s+sub+t+add | s>sub row-resident, sub>t map-into-reduce, s>add row-resident, t>add map-after-reduce
        x: f64[n] | (sum(x), max(x), min(x), prod(x), mean(x), argmin(x), argmax(x), any(x)) => argmax; sum+max+min+prod+mean+argmin+any | sum~max sibling-reductions, max~min sibling-reductions, min~prod sibling-reductions, prod~mean sibling-reductions, mean~argmin sibling-reductions, argmin~argmax kernel-too-large, argmin~any sibling-reductions
        x: f32[n] | (sum(x), mean(x)) => sum+mean | sum~mean sibling-reductions
        x: f32[n, m] | let s = sum(x, axis = 0); let t = max(x, axis = 0); let u = t - s; (s, u) => s+t+u | t>u map-after-reduce, s>u map-after-reduce, s~t sibling-reductions
        ",
    );
}

#[test]
fn programs() {
    check_rows(
        "
        x: f32[n, m], y: f32[n, m], t: f32[n, m] | let e = x - y; let l = e * e; let s = mean(l); (s, 2 * e * t) => e+l+s+mul+mul | e>l row-resident, l>s map-into-reduce, e>mul map-into-map, mul>mul map-into-map
        x: f32[n, m] | let e = exp(x - max(x, axis = -1, keepdims = true)); e / sum(e, axis = -1, keepdims = true) => max+sub+e+sum+div | max>sub row-resident, sub>e map-into-map, e>sum row-resident, e>div row-resident, sum>div row-resident
        x: f32[n, m] | let mu = mean(x, axis = -1, keepdims = true); let d = x - mu; let v = mean(d * d, axis = -1, keepdims = true); d / sqrt(v + 0.00001) => mu+d+mul+v+add+sqrt+div | mu>d row-resident, d>mul recomputed, mul>v map-into-reduce, v>add map-after-reduce, add>sqrt map-after-reduce, d>div map-into-map, sqrt>div row-resident
        x: f32[n, m] | let mu = mean(x, axis = -1, keepdims = true); let d = x - mu; let v = mean(d * d, axis = -1, keepdims = true); (d, d / sqrt(v + 0.00001)) => mu+d+mul+v+add+sqrt+div | mu>d row-resident, d>mul row-resident, mul>v map-into-reduce, v>add map-after-reduce, add>sqrt map-after-reduce, d>div row-resident, sqrt>div row-resident
        x: f32[n, m], g: f32[m], b: f32[m], mu: f32[m], v: f32[m] | let r = g / sqrt(v + 0.00001); (x - mu) * r + b => add+sqrt+r; sub+mul+add | add>sqrt map-into-map, sqrt>r map-into-map, sub>mul map-into-map, r>mul would-duplicate-expensive-op, mul>add map-into-map
        x: f32[n, 2] | let d = x[:, newaxis] - x[newaxis]; sqrt(sum(d * d, axis = -1)) => d+mul+sum+sqrt | d>mul map-into-map, mul>sum map-into-reduce, sum>sqrt map-after-reduce
        x: f32[n], y: f32[n] | let mx = mean(x); let my = mean(y); sum((x - mx) * (y - my)) => mx+my+sub+sub+mul+sum | mx>sub row-resident, my>sub row-resident, sub>mul map-into-map, sub>mul map-into-map, mul>sum map-into-reduce
        ",
    );
}

/// What the text has no words for: extents without a name, and combiners of the user's.
#[test]
fn of_the_builder() {
    // A function need not use its arguments.
    check(
        |g| {
            let (x, y) = (input(g, "x", "n"), input(g, "y", "n"));
            let a = map(g, "a", |[x, _, _]| x, &[x, y, y]);
            g.output("a", a);
        },
        "a",
    );
    // Extents that are not known may be equal in each call; a map that is not sure to loop over the same shape is no root.
    check(
        |g| {
            let (x, y) = (input(g, "x", "? ?"), input(g, "y", "? ?"));
            let a = map(g, "a", |[y]| y.exp(), &[y]);
            let b = map(g, "b", |[x, a]| x + a, &[x, a]);
            g.output("b", b);
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let (x, y) = (input(g, "x", "?"), input(g, "y", "?"));
            let a = map(g, "a", |[x]| x.exp(), &[x]);
            let b = map(g, "b", |[a, y]| a + y, &[a, y]);
            g.output("a", a);
            g.output("b", b);
        },
        "a; b | a>b used-elsewhere",
    );
    check(
        |g| {
            let (x, y) = (input(g, "x", "n m"), input(g, "y", "?"));
            let s = sum(g, "s", x);
            let b = map(g, "b", |[s, y]| s + y, &[s, y]);
            g.output("b", b);
        },
        "s; b | s>b shape-mismatch",
    );
    check(
        |g| {
            let x = input(g, "x", "n m");
            let s = sum(g, "s", x);
            let t = custom(g, "t", |[a, b]| a * b, x);
            g.output("s", s);
            g.output("t", t);
        },
        "s; t | s~t initial-value",
    );
    check(
        |g| {
            let x = input(g, "x", "n m");
            let s = custom(g, "s", |[a, b]| a + b, x);
            let t = custom(g, "t", |[a, b]| a * b, x);
            g.output("s", s);
            g.output("t", t);
        },
        "s+t | s~t sibling-reductions",
    );
    check(
        |g| {
            let x = input(g, "x", "n m");
            let s = custom(g, "s", |[a, b]| a + b, x);
            let t = custom(g, "t", |[a, b]| b + a * 0.0, x);
            g.output("s", s);
            g.output("t", t);
        },
        "s; t | s~t order-dependent",
    );
}

/// A kernel of several outputs writes no more arrays at once than a core has write buffers for.
#[test]
fn siblings_are_limited() {
    let outputs = |count: usize| {
        let mut g = GraphBuilder::new("case");
        let x = input(&mut g, "x", "n");
        for i in 0..count {
            let a = map(&mut g, &format!("a{i}"), |[x]| x.exp(), &[x]);
            g.output(format!("y{i}"), a);
        }
        fuse::plan(&g.finish().unwrap()).groups.len()
    };
    assert_eq!([1, 2, 8, 9, 24].map(outputs), [1, 1, 1, 2, 3]);
}

/// Each map reads the one before it in two ways, so that computing all of them again would take 2^n copies.
#[test]
fn copies_are_limited() {
    let mut g = GraphBuilder::new("case");
    let mut x = input(&mut g, "x", "n n");
    for i in 0..60 {
        let t = g.transpose(x).unwrap();
        x = map(&mut g, &format!("a{i}"), |[x, y]| x - y, &[x, t]);
    }
    g.output("y", x);
    let graph = g.finish().unwrap();
    let plan = fuse::plan(&graph);
    sound(&graph, &plan);
    assert!((15..60).contains(&plan.groups.len()), "{} groups", plan.groups.len());
}

/// A chain as long as one likes is one kernel.
#[test]
fn chains_are_not_limited() {
    let mut g = GraphBuilder::new("case");
    let x = input(&mut g, "x", "n");
    let mut y = x;
    for i in 0..2000 {
        y = map(&mut g, &format!("a{i}"), |[y, x]| y * 0.5 + x, &[y, x]);
    }
    g.output("y", y);
    assert_eq!(fuse::plan(&g.finish().unwrap()).groups.len(), 1);
}

/// Passes over memory that each decision saves, by the array's name.
#[test]
fn traffic() {
    let rows = [
        ("x: f32[n] | let a = exp(x); let b = abs(a); b", "a>b: 2 a"),
        ("x: f32[n] | let a = exp(x); (a, abs(a))", "a>abs: 1 a"),
        (
            "x: f32[n] | let a = exp(x); (abs(a), sqrt(a))",
            "a>abs: 2 a, a>sqrt: 1 a",
        ),
        ("x: f32[n] | (abs(x), sqrt(x))", "abs>sqrt: 1 x"),
        ("x: f32[n], y: f32[n] | (x + y, x - y)", "add>sub: 1 x 1 y"),
        ("x: f32[n] | (sum(x), max(x))", "sum>max: 1 x"),
        (
            "x: f32[n] | let a = exp(x); (sum(a), max(a))",
            "a>sum: 2 a, a>max: 1 a, sum>max:",
        ),
        (
            "x: f32[n, m] | let a = abs(x); (sum(a, axis = 0), sum(a, axis = 1))",
            "a>sum: 2 a, a>sum: 1 a -1 x",
        ),
        (
            "x: f32[n] | let a = exp(x); sum(a) + a",
            "a>sum: 2 a, sum>add: 2 sum, a>add: 1 a",
        ),
    ];
    for (row, expected) in rows {
        let graph = kernel(row);
        let plan = fuse::plan(&graph);
        let name = |id: NodeId| graph.node(id).name.as_str();
        let decision = |d: &fuse::Decision| {
            let saves = d.saves.iter().map(|t| format!(" {} {}", t.passes, name(t.array)));
            format!(
                "{}>{}:{}",
                name(d.producer),
                name(d.consumer),
                saves.collect::<String>()
            )
        };
        let found: Vec<_> = plan.decisions.iter().map(decision).collect();
        assert_eq!(found.join(", "), expected, "{row}");
    }
}

#[test]
fn products() {
    check_rows(
        "
        x: f32[m, k], w: f32[k, n] | let h = x @ w; h => h
        x: f32[m, k], w: f32[k, n], b: f32[n] | let h = x @ w; let a = h + b; a => h+a | h>a map-after-matmul
        x: f32[m, k], w: f32[k, n], b: f32[n] | let h = x @ w; let a = h + b; let r = maximum(a, 0); r => h+a+r | h>a map-after-matmul, a>r map-after-matmul
        x: f32[m, k], w: f32[k, n], b: f32[n] | let h = x @ w; let a = h + b; let r = maximum(a, 0); (a, r) => h+a+r | h>a map-after-matmul, a>r map-after-matmul
        x: f32[m, k], w: f32[k, n] | let h = x @ w; let a = exp(h); (h, a) => h+a | h>a map-after-matmul
        x: f32[m, k], w: f32[k, k] | let h = x @ w; let a = h + x; a => h+a | h>a map-after-matmul
        x: f16[m, k], w: f32[k, n] | let c = x as f32; let h = c @ w; h => c+h | c>h map-into-matmul
        x: f32[m, k], w: f32[k, n] | let c = x * 2; let h = c @ w; h => c+h | c>h map-into-matmul
        x: f32[m, k], w: f32[k, n] | let c = exp(x); let h = c @ w; h => c; h | c>h would-duplicate-expensive-op
        x: f32[m, k], w: f32[k, n] | let c = x * 2; let h = c @ w; (c, h) => c; h | c>h used-elsewhere
        x: f32[m, k] | let c = x * 2; let h = c @ transpose(c); h => c+h | c>h recomputed
        x: f32[m, k], w: f32[k, n], v: f32[n, p] | let h = x @ w; let r = maximum(h, 0); let y = r @ v; y => h+r; y | h>r map-after-matmul, r>y reduce-of-reduce
        x: f32[m, k], w: f32[k, n], v: f32[k, n] | let a = x @ w; let b = x @ v; let c = a * b; c => a; b+c | a>c second-reduction, b>c map-after-matmul
        x: f32[m, k], w: f32[k, n] | let h = x @ w; let s = sum(h, axis = 1); s => h; s | h>s reduce-of-reduce
        x: f32[m, k], w: f32[k, n] | let h = x @ w; let s = sum(h * 2, axis = 0); (h, s) => h+mul; s | h>mul map-after-matmul, mul>s reduce-of-reduce
        x: f32[m, k], w: f32[k, n] | let h = x @ w; let a = transpose(h) + 1; a => h; a | h>a view-between
        x: f32[m, k], w: f32[k, m] | let h = x @ w; let a = h + transpose(h); a => h; a | h>a view-between
        x: f32[b, m, k], w: f32[k, n], c: f32[b, 1, n] | let h = x @ w; let a = h + c; a => h+a | h>a map-after-matmul
        q: f32[n, d], k: f32[m, d], v: f32[m, e] | let s = (q @ transpose(k)) * 0.125; let t = exp(s - max(s, axis = 1, keepdims = true)); let p = t / sum(t, axis = 1, keepdims = true); let y = p @ v; y => matmul+s; max+sub+t+sum+p; y | matmul>s map-after-matmul, s>max reduce-of-reduce, s>sub depends-through-another, max>sub row-resident, sub>t map-into-map, t>sum row-resident, t>p row-resident, sum>p row-resident, p>y reduce-of-reduce
        x: f32[k], w: f32[k, n] | let h = x @ w; let a = h * 2; a => h+a | h>a map-after-matmul
        ",
    );
}

#[test]
fn rows() {
    check_rows(
        "
        x: f32[n, m] | let t = max(x, axis = 1, keepdims = true); let l = ln(sum(exp(x - t), axis = 1, keepdims = true)) + t; x - l => t+sub+exp+sum+ln+l+sub | t>sub row-resident, sub>exp map-into-map, exp>sum map-into-reduce, sum>ln map-after-reduce, ln>l map-after-reduce, t>l row-resident, l>sub row-resident
        x: f32[n, m], g: f32[m] | let r = sqrt(mean(x * x, axis = 1, keepdims = true) + 0.00001); x / r * g => mul+mean+add+r+div+mul | mul>mean map-into-reduce, mean>add map-after-reduce, add>r map-after-reduce, r>div row-resident, div>mul map-into-map
        x: f32[m, n] | let y = transpose(x); let s = sum(y, axis = 1, keepdims = true); y / s => s+div | s>div row-resident
        x: f32[m, n] | let s = sum(x, axis = 0, keepdims = true); x / s => s; div | s>div result-is-broadcast
        x: f32[n, m] | let s = sum(x); x / s => s+div | s>div row-resident
        x: f32[a, b, c] | let s = sum(x, axis = [1, 2], keepdims = true); x / s => s+div | s>div row-resident
        x: f32[a, b, c] | let s = sum(x, axis = [0, 2], keepdims = true); x / s => s; div | s>div result-is-broadcast
        x: f32[n, m] | let s = sum(x, axis = 1, keepdims = true); let e = x / s; let t = sum(e, axis = 0); t => s; e+t | s>e result-is-broadcast, e>t map-into-reduce
        x: f32[n, m] | let s = sum(x, axis = 1, keepdims = true); let t = sum(x, axis = 0, keepdims = true); x / s / t => t; s+div+div | s>div row-resident, div>div map-into-map, t>div result-is-broadcast
        x: f32[n, m] | let a = argmax(x, axis = 1, keepdims = true); let s = x - a; s => a+s | a>s row-resident
        x: f32[n, n] | let s = sum(x, axis = 1); x + s => s; add | s>add result-is-broadcast
        x: f32[n, m] | let s = sum(x, axis = 1, keepdims = true); let e = exp(x[:, ::-1] - s); e => s+sub+e | s>sub row-resident, sub>e map-into-map
        ",
    );
}

/// The plan that fuses nothing has a group for each op.
#[test]
fn unfused() {
    let graph = kernel("x: f32[n, m] | let a = exp(x); let s = sum(a * a, axis = 1); (transpose(a), sqrt(s))");
    let plan = fuse::unfused(&graph);
    assert_eq!(render(&graph, &plan), "a; mul; s; transpose; sqrt");
    sound(&graph, &plan);
}

fn check_rows(rows: &str) {
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (program, expected) = row.split_once(" => ").unwrap_or((row, ""));
        let graph = kernel(program);
        let plan = fuse::plan(&graph);
        assert_eq!(render(&graph, &plan), expected, "{program}");
        sound(&graph, &plan);
    }
}

fn check(build: impl FnOnce(&mut GraphBuilder), expected: &str) {
    let mut g = GraphBuilder::new("case");
    build(&mut g);
    let graph = g.finish().unwrap();
    let plan = fuse::plan(&graph);
    assert_eq!(render(&graph, &plan), expected);
    sound(&graph, &plan);
}

/// The graph of `parameters | body`.
fn kernel(row: &str) -> Graph {
    let (params, body) = row.split_once(" | ").unwrap();
    let text = format!("kernel case({params}) {{ {body} }}");
    let module = parse(&text, "case.lw").unwrap_or_else(|e| panic!("{row}: {e}"));
    let functions = lower_module(&module).unwrap();
    let Item::Kernel(kernel) = &module.items[0] else {
        panic!("{row}: no kernel")
    };
    lower_kernel(kernel, &functions, &module.source).unwrap_or_else(|e| panic!("{row}: {e}"))
}

fn render(graph: &Graph, plan: &Plan) -> String {
    let name = |id: &NodeId| graph.node(*id).name.as_str();
    let group = |g: &fuse::Group| g.members.iter().map(name).collect::<Vec<_>>().join("+");
    let decision = |d: &fuse::Decision| {
        let code = match d.verdict {
            Verdict::Fused(rule) => rule.code(),
            Verdict::Refused(reason) => reason.code(),
        };
        let between = match d.relation {
            Relation::Edge => '>',
            Relation::Siblings => '~',
        };
        format!("{}{between}{} {code}", name(&d.producer), name(&d.consumer))
    };
    let groups: Vec<_> = plan.groups.iter().map(group).collect();
    let decisions: Vec<_> = plan.decisions.iter().map(decision).collect();
    let bar = if decisions.is_empty() { "" } else { " | " };
    format!("{}{bar}{}", groups.join("; "), decisions.join(", "))
}

/// What holds of every plan: each computed node is in a group, each array that leaves a group is stored once and made before
/// it is read, no group reads what it computes, and each edge was decided once.
fn sound(graph: &Graph, plan: &Plan) {
    let mut made: HashSet<NodeId> = graph.inputs.iter().copied().collect();
    let mut computed: HashSet<NodeId> = HashSet::new();
    for group in &plan.groups {
        let lowered = lower(graph, group, Fast::NONE).unwrap();
        for operand in lowered.operands.iter().filter(|o| o.role == Role::Input) {
            let array = operand.access.source;
            assert!(made.contains(&array), "{} reads {array} before it is made", group.name);
            let copies_itself = matches!(graph.node(array).op, ArrayOp::Input { .. });
            assert!(
                copies_itself || !group.members.contains(&array),
                "{} reads {array}",
                group.name
            );
        }
        for root in &group.roots {
            assert!(group.members.contains(root), "{root} is stored and not computed");
            let is_input = matches!(graph.node(*root).op, ArrayOp::Input { .. });
            assert!(made.insert(*root) || is_input, "{root} is stored twice");
        }
        if let GroupKind::Reduce(reductions) = &group.kind {
            let is_reduce = |id: &&NodeId| matches!(graph.node(**id).op, ArrayOp::Reduce { .. });
            assert!(group.members.iter().filter(is_reduce).eq(reductions));
        }
        computed.extend(&group.members);
    }
    for (id, node) in graph.iter() {
        let is_output = graph.outputs.iter().any(|(_, output)| *output == id);
        let computes = matches!(node.op, ArrayOp::Map(_) | ArrayOp::Reduce { .. } | ArrayOp::MatMul);
        assert_eq!(computed.contains(&id), computes || is_output, "{id}");
        assert!(!is_output || made.contains(&id), "the output {id} is not stored");
    }
    let mut edges: Vec<_> = plan
        .decisions
        .iter()
        .map(|d| (d.producer, d.consumer, d.relation == Relation::Edge))
        .collect();
    edges.sort_unstable();
    let count = edges.len();
    edges.dedup();
    assert_eq!(edges.len(), count, "an edge was decided twice");
}

/// An `f32` input; `dims` as `n 4 ?`.
fn input(g: &mut GraphBuilder, name: &str, dims: &str) -> NodeId {
    let dims = dims.split_whitespace().map(|dim| match dim.parse() {
        _ if dim == "?" => None,
        Ok(extent) => Some(Dim::Fixed(extent)),
        Err(_) => Some(Dim::Name(dim.to_owned())),
    });
    g.input_with_dims(name, Dtype::F32, dims.collect())
}

fn map<const N: usize>(g: &mut GraphBuilder, name: &str, f: impl FnOnce([Expr; N]) -> Expr, args: &[NodeId]) -> NodeId {
    g.map(&func(name, f), args).unwrap()
}

/// The sum over the last axis.
fn sum(g: &mut GraphBuilder, name: &str, arg: NodeId) -> NodeId {
    let id = g.reduce(Named::Sum, arg, Some(&[-1]), false).unwrap();
    g.rename(id, name).unwrap();
    id
}

/// A user's reduction over the last axis, from 1 on.
fn custom(g: &mut GraphBuilder, name: &str, combine: impl FnOnce([Expr; 2]) -> Expr, arg: NodeId) -> NodeId {
    let with = ReduceWith::Custom {
        combine: &func(name, combine),
        init: Literal::Int(1),
    };
    g.reduce(with, arg, Some(&[-1]), false).unwrap()
}

fn func<const N: usize>(name: &str, f: impl FnOnce([Expr; N]) -> Expr) -> Func {
    trace(name, f).unwrap()
}
