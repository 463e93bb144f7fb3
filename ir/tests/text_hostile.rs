//! Texts that are meant to harm: deep, long, large, and exploding when inlined. Each gives an error or works, in little time,
//! on the small stack of a test thread.

use std::time::{Duration, Instant};

use loopweave_ir::func::MAX_NODES;
use loopweave_ir::text::{self, MAX_DEPTH, MAX_SOURCE};

/// The messages of the errors in a source, parsed and lowered.
fn messages(source: &str) -> Vec<String> {
    let start = Instant::now();
    let result = text::parse(source, "hostile.lw").and_then(|module| {
        // Whatever parsed also prints, compares, copies and drops.
        let printed = text::print_module(&module);
        if printed.len() <= MAX_SOURCE {
            let again = text::parse(&printed, "printed.lw").unwrap_or_else(|e| panic!("{e}"));
            assert!(again == module.clone());
        }
        text::lower_module(&module)
    });
    let messages = match result {
        Ok(_) => Vec::new(),
        Err(errors) => {
            assert!(errors.to_string().len() < 100_000);
            errors.iter().map(|e| e.message.clone()).collect()
        }
    };
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 10 });
    assert!(start.elapsed() < limit, "took {:?}", start.elapsed());
    messages
}

/// `fn f(x) { … }` around `n` repetitions of two texts.
fn nest(open: &str, inside: &str, close: &str, n: usize) -> String {
    format!("fn f(x) {{ {}{inside}{} }}", open.repeat(n), close.repeat(n))
}

#[test]
fn depth() {
    let forms = [
        ("(", "x", ")"),
        ("-", "x", ""),
        ("!", "x", ""),
        ("sqrt(", "x", ")"),
        ("f32(", "x", ")"),
        ("bitcast(", "x", ", u32)"),
        ("reshape(x, [", "1", "])"),
        ("if x { ", "x", " } else { x }"),
        ("if x { x } else ", "{ x }", ""),
        ("if ", "x", " { x } else { x }"),
        ("if x { let a = ", "x", "; a } else { x }"),
        ("x + (", "x", ")"),
        ("x * (x + ", "x", ")"),
        ("x || x && x == x | x ^ x & x << x + x * -", "x", ""),
        ("", "x", " + x"),
        ("", "x", " as f32"),
        ("", "x", ".sqrt()"),
        ("", "x", "[1:]"),
        ("", "x", ".pow(-x).sqrt()"),
        ("{", "x", "}"),
        ("[", "x", "]"),
    ];
    for (open, inside, close) in forms {
        for n in [
            20_000,
            2 * MAX_DEPTH as usize,
            MAX_DEPTH as usize,
            MAX_DEPTH as usize - 3,
            150,
            90,
            60,
        ] {
            let messages = messages(&nest(open, inside, close, n));
            if n >= 20_000 {
                let deep = messages == ["the expression is nested too deeply"];
                assert!(deep || open == "{" || open == "[", "{open}{close}: {messages:?}");
            }
        }
        assert!(messages(&nest("(", "x", ")", 120)).is_empty());
    }
}

#[test]
fn a_chain_within_the_limit_is_a_function() {
    assert!(messages(&nest("", "x", " + x", MAX_DEPTH as usize - 1)).is_empty());
    assert_eq!(
        messages(&nest("", "x", " + x", MAX_DEPTH as usize)),
        ["the expression is nested too deeply"]
    );
}

#[test]
fn unclosed_brackets() {
    for open in [
        "(",
        "[",
        "{",
        "f(",
        "x[",
        "if x {",
        "fn f(",
        "kernel k(x: f32[",
        "/*",
        "`",
        "bitcast(",
        "let a = (",
    ] {
        assert!(!messages(&open.repeat(50_000)).is_empty());
        assert!(!messages(&format!("fn f(x) {{ {}", open.repeat(50_000))).is_empty());
    }
    for close in [")", "]", "}", ";", ",", ".", ":", "else", "as", "é", "0x", "\\"] {
        assert!(!messages(&close.repeat(50_000)).is_empty());
        assert!(!messages(&format!("fn f(x) {{ x {}", close.repeat(50_000))).is_empty());
    }
}

#[test]
fn size() {
    let large = format!("fn f(x) {{ x }}{}", " ".repeat(MAX_SOURCE));
    assert_eq!(
        messages(&large),
        [format!("the text is too large: {} bytes", large.len())]
    );
    assert!(messages(&large[..MAX_SOURCE]).is_empty());
    let lets: String = (0..60_000).map(|i| format!("let a{i} = x;")).collect();
    assert!(messages(&format!("fn f(x) {{ {lets} a59999 }}")).is_empty());
    let nodes: String = (0..MAX_NODES).map(|i| format!("let a=a+{i};")).collect();
    let too_many = messages(&format!("fn f(a) {{ {nodes} a }}"));
    assert_eq!(too_many, ["the function `f` is too large once its calls are inlined"]);
    assert!(!messages(&format!("fn f(x) {{ {} }}", "9".repeat(500_000))).is_empty());
    assert!(!messages(&format!("fn f(x) {{ {} }}", "a".repeat(500_000))).is_empty());
}

#[test]
fn calls_that_double() {
    let mut source = String::from("fn a0(x) { x * x + 1 }\n");
    for i in 1..64 {
        source += &format!("fn g{i}(x) {{ a{}(a{}(x)) }}\nfn a{i}(x) {{ g{i}(x) }}\n", i - 1, i - 1);
    }
    let messages = messages(&source);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("too large once its calls are inlined"));
}

#[test]
fn many_calls_of_a_large_function() {
    let body: String = (0..30_000).map(|i| format!("let a=a+{i};")).collect();
    let calls = "let b=big(x);".repeat(40_000);
    let errors = messages(&format!("fn big(a) {{ {body} a }} fn f(x) {{ {calls} b }}"));
    assert_eq!(errors, ["the function `f` is too large once its calls are inlined"]);
    let small: String = (0..20_000).map(|i| format!("fn g{i}(x){{big(x)}}")).collect();
    let errors = messages(&format!("fn big(a) {{ {body} a }} {small}"));
    assert!(errors[0].contains("too large once its calls are inlined"));
}

#[test]
fn work_grows_with_the_text() {
    let names = |count: usize| (0..count).map(|i| format!("n{i:05}"));
    let lets: String = names(20_000).map(|name| format!("let {name} = x;")).collect();
    let unknown: String = names(20_000)
        .map(|name| format!("let y = {};", name.replace('n', "m")))
        .collect();
    assert!(!messages(&format!("fn f(x) {{ {lets} {unknown} x }}")).is_empty());
    let functions: String = names(30_000)
        .map(|name| format!("fn {name}(x) {{ {}(x) }}", name.replace('n', "m")))
        .collect();
    assert!(!messages(&functions).is_empty());
    let arguments: String = names(100_000).map(|name| format!(", {name} = 1")).collect();
    assert!(messages(&format!("kernel k(x: f32) {{ sum(x{arguments}) }}")).is_empty());
    assert!(!messages(&format!("fn f(x) {{ {} x }}", "let a = if x { ((".repeat(100_000))).is_empty());
    assert!(!messages(&"fn f(x) { (".repeat(100_000)).is_empty());
    let params: String = names(30_000).map(|name| format!("{name},")).collect();
    assert!(messages(&format!("fn f({params}) {{ n00001 }}")).is_empty());
}
