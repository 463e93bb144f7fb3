//! The grammar as rows: a text and how it prints, or what it means as an op.

use loopweave_ir::text::{self, ast};
use loopweave_ir::{Dtype, Func, Op};

/// Bodies and their printed form, which shows how operators group. An empty second column: as written.
#[rustfmt::skip]
const BODIES: &[(&str, &str)] = &[
    // Precedence and grouping.
    ("a + b * c", ""),
    ("(a + b) * c", ""),
    ("(a * b) + c", "a * b + c"),
    ("a - b - c", ""),
    ("a - (b - c)", ""),
    ("a * b / c % d @ e", ""),
    ("a * (b @ c)", ""),
    ("a + b << c - d", ""),
    ("a + (b << c)", ""),
    ("a << b & c ^ d | e", ""),
    ("a << (b & (c ^ (d | e)))", ""),
    ("a & b == c", ""),
    ("a == (b & c)", "a == b & c"),
    ("(a == b) & c", ""),
    ("a < b && c >= d || !(e != f)", ""),
    ("(a < b || c < d) && e < f", ""),
    ("(a && b) || c", "a & b | c"),
    ("a < b & true", "a < b & true"),
    ("(a < b) & true", "a < b && true"),
    ("(a < b) == (c < d)", ""),
    ("-a * b", ""),
    ("-(a * b)", ""),
    ("!a & b", ""),
    ("-a as f32", ""),
    ("-(a as f32)", ""),
    ("a as i32 as f32 * b", ""),
    ("a * b as f32", ""),
    ("(a * b) as f32", ""),
    ("--a", ""),
    ("((((a))))", "a"),
    // Literals.
    ("0xff + 0b101 + 0o17 + 1_000", "255 + 5 + 15 + 1000"),
    ("1. + 1.50 + 1e3 + 1E-3 + 12.5e+2", "1.0 + 1.5 + 1000.0 + 0.001 + 1250.0"),
    ("-1 - -1.5 - -(1)", ""),
    ("-128i8 + 0xffu8 + 3f32 + 1e-7bf16", "-128i8 + 255u8 + 3.0f32 + 1.0011717677116394e-7bf16"),
    ("-9223372036854775808 + 18446744073709551615", ""),
    ("inf + -inf + nan", ""),
    ("nan_f32 + -inf_f64 + bits_f32(0x7fc00001) + bits_f16(0x3c00)", "nan_f32 + -inf_f64 + bits_f32(0x7fc00001) + 1.0f16"),
    ("-nan_f32", "bits_f32(0xffc00000)"),
    ("-nan + bits_float(0x7ff0000000000001)", "bits_float(0xfff8000000000000) + bits_float(0x7ff0000000000001)"),
    ("true & false | true_bool", "true && false || true_bool"),
    ("-0.0 + -0", "-0.0 + 0"),
    // Calls.
    ("x.sqrt()", "sqrt(x)"),
    ("x.pow(2).fma(y, z)", "fma(pow(x, 2), y, z)"),
    ("-2.abs() + 2.5.floor()", "-abs(2) + floor(2.5)"),
    ("-x.abs()", "-abs(x)"),
    ("f32(x) + x.bitcast(u32) + bitcast(x, u8)", "x as f32 + bitcast(x, u32) + bitcast(x, u8)"),
    ("f(x, y,)", "f(x, y)"),
    ("index()", ""),
    ("if a < b { a } else { b }", ""),
    ("if a { b } else if c { d } else { e }", ""),
    ("if a { let t = b; t * t } else { c }", ""),
    ("(if a { b } else { c }) + d", ""),
    ("if (if a { b } else { c }) { d } else { e }", "if if a { b } else { c } { d } else { e }"),
    ("let a = x; let b = a; a * b", ""),
    ("(x, y)", ""),
    ("(x, y,)", "(x, y)"),
    ("(x,)", "x"),
    // Arrays.
    ("sum(x, axis = -1, keepdims = true)", ""),
    ("x.max(axis = [0, 2])", "max(x, axis = [0, 2])"),
    ("sum(x, dtype = f64, axis = [])", ""),
    ("permute(x, 1, 0)", ""),
    ("reshape(x, [2, n, -1]) + broadcast(y, [n, 4])", ""),
    ("x[1:, ::2]", ""),
    ("x[:, 1:2:3, :-1, ::-1, -1, 0, newaxis, ...]", ""),
    ("x[1:][0]", ""),
    ("(x + y)[0]", ""),
    ("-x[0]", ""),
    ("(-x)[0]", ""),
    ("x as f32 @ y", ""),
    // Names.
    ("`a b` + `if` + `x`", "`a b` + `if` + x"),
    (r"`\u{e9}\n\``", r"`é\u{a}\``"),
    ("/* a */ x // b", "x"),
    ("pi + e + tau", ""),
];

#[test]
fn bodies_print_with_least_brackets() {
    for &(source, printed) in BODIES {
        let expected = if printed.is_empty() { source } else { printed };
        let body = text::parse_expr_body(source, "row").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(text::print_block(&body), expected, "{source}");
        assert!(
            text::parse_expr_body(expected, "row").is_ok_and(|again| again == body),
            "{source}"
        );
    }
}

/// Modules and their printed form.
const MODULES: &[(&str, &str)] = &[
    ("fn f(){1}", "fn f() { 1 }\n"),
    ("fn f(x:f32,y)->f32{x}", "fn f(x: f32, y) -> f32 { x }\n"),
    (
        "fn f(x: f32) -> (f32, bool) { (x, x < 0) }",
        "fn f(x: f32) -> (f32, bool) { (x, x < 0) }\n",
    ),
    (
        "// one\nfn f(x) { let a = x; a } kernel k() { 1 }",
        "fn f(x) {\n    let a = x;\n    a\n}\n\nkernel k() { 1 }\n",
    ),
    (
        "kernel dist(x: f32[n], y: f32[n]) -> f32[n] { sqrt(x*x + y*y) }",
        "kernel dist(x: f32[n], y: f32[n]) -> f32[n] { sqrt(x * x + y * y) }\n",
    ),
    (
        "kernel k(a: i8[n, 4], s: f64[], t: f64) -> (lo: i8[n], f64) { (min(a, axis = 1), s + t) }",
        "kernel k(a: i8[n, 4], s: f64, t: f64) -> (lo: i8[n], f64) { (min(a, axis = 1), s + t) }\n",
    ),
    (
        "kernel k(x: f32[n]) -> (sum: f32) { sum(x) }",
        "kernel k(x: f32[n]) -> (sum: f32) { sum(x) }\n",
    ),
    ("", ""),
];

#[test]
fn modules_print_in_one_form() {
    for &(source, printed) in MODULES {
        let module = text::parse(source, "row.lw").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(text::print_module(&module), printed, "{source}");
        assert!(
            text::parse(printed, "row.lw").is_ok_and(|again| again == module),
            "{source}"
        );
    }
}

/// The last function of a text.
fn last(source: &str) -> Func {
    let module = text::parse(source, "row.lw").unwrap_or_else(|e| panic!("{e}"));
    let functions = text::lower_module(&module).unwrap_or_else(|e| panic!("{e}"));
    functions.iter().last().unwrap().clone()
}

/// Texts that mean the same function.
#[rustfmt::skip]
const SAME: &[(&str, &str)] = &[
    ("fn f(x) { x.sqrt() }", "fn f(x) { sqrt(x) }"),
    ("fn f(x) { f32(x) }", "fn f(x) { x as f32 }"),
    ("fn f(c, x) { if c { x } else { 1 } }", "fn f(c, x) { select(c, x, 1) }"),
    ("fn f(x, y) { x && y || !x }", "fn f(x, y) { or(and(x, y), not(x)) }"),
    ("fn f(x, y) { x % y / -x }", "fn f(x, y) { div(rem(x, y), neg(x)) }"),
    ("fn f(x) { let x = x * x; let x = x + 1; x }", "fn f(x) { x * x + 1 }"),
    ("fn f(x) { let dead = sin(x); x }", "fn f(x) { x }"),
    ("fn f(x, pi) { x * pi }", "fn f(x, pi) { x * `pi` }"),
    ("fn f(x) { x * pi }", "fn f(x) { x * 3.141592653589793 }"),
    ("fn sq(x) { x * x } fn f(x) { sq(x) + sq(sq(x)) }", "fn f(x) { let a = x * x; a + a * a }"),
    ("fn sin(x) { x } fn f(x) { sin(x) }", "fn f(x) { x }"),
    ("fn sin(x) { sin(x) + 1 }", "fn `sin`(y) { sin(y) + 1 }"),
    ("fn half(x: f32) { x / 2 } fn f(x) { half(x) }", "fn f(x) { x as f32 / 2 }"),
    ("fn half(x: f32) { x / 2 } fn f(x) { half(x as f32) }", "fn f(x) { x as f32 / 2 }"),
    ("fn f(x: f16) -> f32 { x as f32 * 2 }", "fn f(x: f16) -> f32 { x as f32 * 2.0f32 }"),
];

#[test]
fn forms_that_mean_the_same() {
    for &(one, other) in SAME {
        let (a, b) = (last(one), last(other));
        let same = (a.nodes(), a.results()) == (b.nodes(), b.results());
        assert!(
            same,
            "{one} is {}{other} is {}",
            text::print_func(&a),
            text::print_func(&b)
        );
    }
}

#[test]
fn every_op_is_called_by_its_name() {
    for op in Op::ALL {
        let params = ["x", "y", "z"][..op.arity()].join(", ");
        let func = last(&format!("fn f({params}) {{ {}({params}) }}", op.name()));
        assert_eq!(func.nodes().last().map(|node| node.op), Some(*op));
    }
}

#[test]
fn result_types_make_a_function_typed() {
    for (source, typed) in [
        ("fn f(x: f32) -> f32 { x * 2 }", true),
        ("fn f(x: f32) { x * 2 }", false),
        ("fn f(x: f32, y) { x * y }", false),
        ("fn f() -> f64 { 1.5 }", true),
        ("fn f() { 1.5 }", false),
    ] {
        let func = last(source);
        assert_eq!(func.is_typed(), typed, "{source}");
        if let Some(param) = func.params().first() {
            assert_eq!(param.dtype, Some(Dtype::F32), "{source}");
        }
    }
}

#[test]
fn free_names_in_order() {
    for (source, names) in [
        ("relu(a*b+c)*d-e", "a b c d e"),
        ("let t = y; t + x + y", "y x"),
        ("x + (if x > z { let x = w; x } else { v })", "x z w v"),
        ("if c { let t = 1; t } else { t }", "c t"),
        ("sum(x * pi, axis = 0)[1:] + reshape(y, [n])", "x y"),
        ("let x = x; x", "x"),
        ("1", ""),
    ] {
        let body = text::parse_expr_body(source, "row").unwrap_or_else(|e| panic!("{e}"));
        let free: Vec<ast::Ident> = text::free_names(&body);
        let found: Vec<&str> = free.iter().map(|ident| ident.name.as_str()).collect();
        assert_eq!(found.join(" "), names, "{source}");
        assert!(
            free.iter()
                .all(|ident| source[ident.span.start as usize..].starts_with(&ident.name))
        );
    }
}

#[test]
fn functions_of_the_language() {
    for (source, same) in [
        ("fn f(x) { relu(x) }", "fn f(x) { maximum(x, 0) }"),
        ("fn f(x) { clamp(x, -1, 1) }", "fn f(x) { minimum(maximum(x, -1), 1) }"),
        ("fn relu(x) { x + 1 } fn f(x) { relu(x) }", "fn f(x) { x + 1 }"),
    ] {
        assert_eq!(last(source), last(same), "{source}");
    }
    // A file's own come first, even where they cannot be called yet.
    for source in [
        "fn f(x) { relu(x) } fn relu(x) { x }",
        "fn relu(x) { relu(x) }",
        "fn f(x) { relu(x, x) }",
    ] {
        let module = text::parse(source, "row").unwrap();
        assert!(text::lower_module(&module).is_err(), "{source}");
    }
}
