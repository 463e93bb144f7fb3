//! Kernels of the text as graphs: what is built, and every error with its place.

use loopweave::graph::Graph;
use loopweave::graph::text::{lower_block, lower_kernel};
use loopweave::ir::Dtype;
use loopweave::ir::text::ast::Item;
use loopweave::ir::text::{Diagnostics, Source, lower_module, parse, parse_expr_body};

fn kernel(text: &str) -> Result<Graph, Diagnostics> {
    let module = parse(text, "case.lw").unwrap();
    let functions = lower_module(&module).unwrap();
    let kernel = module.items.iter().rev().find_map(|item| match item {
        Item::Kernel(kernel) => Some(kernel),
        Item::Fn(_) => None,
    });
    lower_kernel(kernel.unwrap(), &functions, &module.source)
}

fn body(text: &str) -> Result<Graph, Diagnostics> {
    let source = Source::new("expr", text);
    let block = parse_expr_body(text, "expr").unwrap();
    let inputs = [
        ("x", Dtype::F32, 2),
        ("v", Dtype::F32, 1),
        ("i", Dtype::I32, 2),
        ("h", Dtype::F16, 1),
        ("b", Dtype::Bool, 1),
    ];
    lower_block(&block, &inputs, &Default::default(), &source)
}

#[track_caller]
fn check_graph(text: &str, expected: &str) {
    let graph = kernel(text).unwrap_or_else(|errors| panic!("{errors}"));
    let lines = |text: &str| text.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&graph.to_string()).trim(), lines(expected).trim());
}

/// The result of a body: its dtype and rank, or its errors as `column: message`.
fn summary(text: &str) -> String {
    match body(text) {
        Ok(graph) => {
            let results = graph.outputs.iter().map(|(_, id)| graph.node(*id));
            results
                .map(|n| format!("{} {}", n.dtype, n.rank))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Err(errors) => {
            let source = errors.source_text();
            let errors = errors
                .iter()
                .map(|e| format!("{}: {}", source.position(e.span.start).1, e.message));
            errors.collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn kernels_become_graphs() {
    check_graph(
        "kernel dist(x: f32[n], y: f32[n]) -> f32[n] { sqrt(x * x + y * y) }",
        r#"graph dist
        %0 = input  f32[n]  "x"
        %1 = input  f32[n]  "y"
        %2 = mul(%0)  f32[1 axis]  "mul"
        fn mul(x: f32) -> f32 { x * x }
        %3 = mul(%1)  f32[1 axis]  "mul"
        fn mul(y: f32) -> f32 { y * y }
        %4 = add(%2, %3)  f32[1 axis]  "add"
        %5 = sqrt(%4)  f32[1 axis]  "sqrt"
        output "out" = %5  [n]"#,
    );
    check_graph(
        "fn double(x) { 2 * x } kernel k(x: i8[n, 4]) -> (lo: i8[n], all: i64) {
            let half = 0.5 * 2; let y = double(x); (min(y[..., ::-1], axis = 1), sum(y)) }",
        r#"graph k
        %0 = input  i8[n, 4]  "x"
        %1 = double(%0)  i8[2 axes]  "y"
        fn double(x: i8) -> i8 { 2i8 * x }
        %2 = %1[:, ::-1]  i8[2 axes]  "slice"
        %3 = min(%2, axis = [1])  i8[1 axis]  "min"
        %4 = sum(%1, axis = [0, 1])  i64  "sum"
        output "lo" = %3  [n]
        output "all" = %4"#,
    );
    check_graph(
        "kernel k(x: f32[n, m]) { let t = permute(x, 1, 0); let y = broadcast(x[0, newaxis], [n, m]); (t, reshape(y, [n, 2, -1]), x) }",
        r#"graph k
        %0 = input  f32[n, m]  "x"
        %1 = permute(%0, [1, 0])  f32[2 axes]  "t"
        %2 = %0[0, newaxis, :]  f32[2 axes]  "slice"
        %3 = broadcast(%2, [n, m])  f32[2 axes]  "y"
        %4 = reshape(%3, [n, 2, -1])  f32[3 axes]  "reshape"
        %5 = permute(%0, [0, 1])  f32[2 axes]  "x"
        output "t" = %1
        output "out1" = %4
        output "x" = %5"#,
    );
}

#[test]
fn a_part_of_an_expression_is_not_rounded_to_a_16_bit_float() {
    check_graph(
        "kernel k(a: f16[n], b: f16[n]) -> f16[n] { a * b + 1 }",
        r#"graph k
        %0 = input  f16[n]  "a"
        %1 = input  f16[n]  "b"
        %2 = add(%0, %1)  f16[1 axis]  "add"
        fn add(a: f16, b: f16) -> f16 { (a as f32 * b as f32 + 1.0f32) as f16 }
        output "out" = %2  [n]"#,
    );
    // A name makes an array of it.
    let graph = kernel("kernel k(a: f16[n], b: f16[n]) -> f16[n] { let p = a * b; p + 1 }").unwrap();
    assert_eq!(graph.nodes.len(), 4);
}

#[test]
fn results_have_the_types_of_numpy() {
    for (text, expected) in [
        ("x + 1", "f32 2"),
        ("x + 1.5", "f32 2"),
        ("i + 1.5", "f64 2"),
        ("i + 1", "i32 2"),
        ("i * (2 * 0.5)", "f64 2"),
        ("x * (2 * 0.5)", "f32 2"),
        ("let half = 1 / 2; x * half", "f32 2"),
        ("x + 1f64", "f64 2"),
        ("x + v", "f32 2"),
        ("1 + 2", "i64 0"),
        ("2.5", "f64 0"),
        ("pi", "f64 0"),
        ("sum(1.5)", "f64 0"),
        ("i as f16", "f16 2"),
        ("h + 1", "f16 1"),
        ("h + v", "f32 1"),
        ("sum(h)", "f16 0"),
        ("sum(h, dtype = f32)", "f32 0"),
        ("sum(i, axis = 0)", "i64 1"),
        ("sum(i, axis = [0, 1], keepdims = true)", "i64 2"),
        ("sum(i, dtype = i32)", "i32 0"),
        ("mean(i)", "f64 0"),
        ("mean(x, axis = -1)", "f32 1"),
        ("any(x)", "bool 0"),
        ("argmax(x, axis = 1)", "i64 1"),
        ("max(b)", "bool 0"),
        ("sum(b)", "i64 0"),
        ("if x > 0 { x } else { 0 }", "f32 2"),
        ("if b { v } else { 1i8 }", "f32 1"),
        ("x[0]", "f32 1"),
        ("x[..., newaxis]", "f32 3"),
        ("x[1:, ::2]", "f32 2"),
        ("transpose(x)", "f32 2"),
        ("(x, v)", "f32 2, f32 1"),
        ("bitcast(v, u32)", "u32 1"),
        ("minimum(x, 0)", "f32 2"),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, expected) in [
        ("x + y", "5: the name `y` is not defined"),
        (
            "x @ sum(x)",
            "1: `sum` has no axes; a matrix product needs at least one (`*` scales by a scalar)",
        ),
        ("expp(x)", "1: the function `expp` is not defined"),
        ("exp(x, x)", "1: `exp` takes 1 argument, found 2"),
        ("max(x, 0)", "1: `max` takes 1 argument, found 2"),
        ("sum(x, axis = 2)", "1: axis 2 is out of range for `x` with 2 axes"),
        ("sum(x, axis = -3)", "1: axis -3 is out of range for `x` with 2 axes"),
        ("sum(x, axis = [0, -2])", "1: axis -2 is given twice"),
        ("sum(x, axes = 1)", "8: `sum` has no argument `axes`"),
        ("sum(x, axis = true)", "15: `axis` is an integer or a list of integers"),
        ("exp(x, axis = 0)", "8: `exp` has no argument `axis`"),
        (
            "max(x, dtype = f64)",
            "1: `max` cannot be computed as f64; expected the dtype of its argument (which can be cast)",
        ),
        (
            "mean(x, dtype = i32)",
            "1: `mean` cannot be computed as i32; expected a float",
        ),
        ("!x", "1: `not` does not take f32; expected integers or bool"),
        (
            "b - b",
            "1: `sub` does not take bool; expected a number (a bool can be cast: `x as i32`)",
        ),
        ("(i as u8) + 300", "1: the literal 300 does not fit u8"),
        (
            "9223372036854775808",
            "1: the literal 9223372036854775808 does not fit i64",
        ),
        (
            "if x { 1 } else { 2 }",
            "1: `select` does not take f32; expected a bool condition (write `x != 0`)",
        ),
        ("permute(x, 0)", "1: `x`: [0] does not name each of the 2 axes once"),
        ("permute(x, 0, 0)", "1: axis 0 is given twice"),
        ("x[0, 0, 0]", "1: `x`: 3 subscripts for 2 axes"),
        ("broadcast(v, [k, 3])", "15: no input has an extent named `k`"),
        ("broadcast(x, [3])", "1: `x` has 2 axes and cannot be broadcast to 1"),
        (
            "reshape(x, [-1, -1])",
            "1: `x`: a reshape can leave one extent open, not 2",
        ),
        ("reshape(x, [-2])", "13: -2 is no extent"),
        (
            "let y = z; y + w",
            "9: the name `z` is not defined; 16: the name `w` is not defined",
        ),
        (
            "!x + !v",
            "1: `not` does not take f32; expected integers or bool; 6: `not` does not take f32; expected integers or bool",
        ),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn declared_results_must_match() {
    for (text, expected) in [
        (
            "kernel k(x: f32[n]) -> f64[n] { x + 1 }",
            "this result is f32 with 1 axis, but f64 with 1 axis is declared",
        ),
        (
            "kernel k(x: f32[n]) -> f32[n] { sum(x) }",
            "this result is a 0-d f32, but f32 with 1 axis is declared",
        ),
    ] {
        let errors = kernel(text).unwrap_err();
        assert_eq!(
            errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>(),
            [expected],
            "{text}"
        );
    }
}

#[test]
fn a_kernel_is_bounded() {
    let sums = "let x = x + 1; ".repeat(70_000);
    let errors = kernel(&format!("kernel k(x: f32[n]) {{ {sums} x }}")).unwrap_err();
    assert_eq!(errors.iter().next().unwrap().message, "the kernel is too large");
    let scalars = "let a = a * 3; ".repeat(70_000);
    let errors = kernel(&format!("kernel k(x: f32[n]) {{ let a = 2; {scalars} x * a }}")).unwrap_err();
    assert_eq!(errors.iter().next().unwrap().message, "the kernel is too large");
}

#[test]
fn an_error_shows_its_line_and_a_caret() {
    let error = kernel("kernel k(x: f32[n]) {\n    let y = exq(x);\n    y + z\n}")
        .unwrap_err()
        .to_string();
    for part in [
        "case.lw:2:13",
        "did you mean `exp`?",
        "case.lw:3:9",
        "let y = exq(x);",
        "^^^",
    ] {
        assert!(error.contains(part), "{part} in\n{error}");
    }
}

#[test]
fn a_tower_of_doublings_stays_small() {
    let mut text = String::from("kernel k(x: f16[n]) { ");
    let mut expr = String::from("x");
    for _ in 0..13 {
        expr = format!("({expr} + {expr})");
    }
    text.push_str(&expr);
    text.push_str(" }");
    // Equal parts are one: the function holds each sum once, and the kernel one map.
    let graph = kernel(&text).unwrap();
    assert_eq!(graph.nodes.len(), 2);
}
