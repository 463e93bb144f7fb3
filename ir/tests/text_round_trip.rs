//! `parse(print(x)) == x`, for random typed functions, traced ones, and trees of random tokens; and no text panics.

use loopweave_ir::op::Op;
use loopweave_ir::testing::{Profile, Rng, edge_values, random_func};
use loopweave_ir::text::{self, ast::Module};
use loopweave_ir::{Builder, Dtype, ExprId, Func, Literal, Table};

/// The only function of a text.
fn read(source: &str) -> Func {
    let module = text::parse(source, "printed.lw").unwrap_or_else(|e| panic!("{source}\n{e}"));
    let functions = text::lower_module(&module).unwrap_or_else(|e| panic!("{source}\n{e}"));
    functions.iter().next().expect("one function").clone()
}

fn assert_round_trip(func: &Func) {
    let printed = text::print_func(func);
    let read = read(&printed);
    assert!(
        read == *func,
        "{printed}\nreads as\n{}\n{func:#?}\n{read:#?}",
        text::print_func(&read)
    );
}

/// The text of `module` parses to an equal tree, and that prints to the same text.
fn assert_module_round_trip(module: &Module) {
    let printed = text::print_module(module);
    let again = text::parse(&printed, "printed.lw").unwrap_or_else(|e| panic!("{printed}\n{e}"));
    assert!(again == *module, "{printed}\n{module:#?}\n{again:#?}");
    assert_eq!(text::print_module(&again), printed);
}

#[test]
fn typed_functions() {
    for seed in 0..2000 {
        let profile = Profile {
            params: 1 + (seed % 5) as usize,
            ops: 4 + (seed % 70) as usize,
            results: 1 + (seed % 3) as usize,
            index: seed % 2 == 0,
            ..Profile::default()
        };
        assert_round_trip(&random_func(seed, &profile));
    }
}

#[test]
fn polymorphic_functions() {
    let names = [
        "x",
        "if",
        "f32",
        "pi",
        "t0",
        "t1",
        "layer.0/w",
        "a`b\\c\n",
        "é",
        "nan_f32",
        "sqrt",
        "bits_f64",
        "_",
    ];
    let mut ops: Vec<Op> = Op::ALL.to_vec();
    ops.extend(Dtype::ALL.map(Op::Cast));
    ops.extend(Dtype::ALL.map(Op::Bitcast));
    ops.extend(Table::all().flat_map(Table::columns).map(Op::Lookup));
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let mut b = Builder::polymorphic(*rng.pick(&names));
        let mut nodes: Vec<ExprId> = Vec::new();
        for name in names.iter().take(rng.below(names.len())) {
            let dtype = rng.one_in(3).then(|| *rng.pick(&Dtype::ALL));
            nodes.push(b.param(*name, dtype));
        }
        for _ in 0..4 {
            let dtype = *rng.pick(&Dtype::ALL);
            let value = rng.value(dtype);
            nodes.push(b.constant(value));
            nodes.push(b.node(Op::Literal(literal(&mut rng)), &[]));
        }
        for _ in 0..rng.below(60) {
            let op = *rng.pick(&ops);
            // Operands near the end make long chains, others make sharing.
            let args: Vec<ExprId> = (0..op.arity())
                .map(|_| match rng.one_in(2) {
                    true => nodes[nodes.len() - 1],
                    false => *rng.pick(&nodes),
                })
                .collect();
            nodes.push(b.node(op, &args));
        }
        let results: Vec<ExprId> = (0..1 + rng.below(3))
            .map(|_| *rng.pick(&nodes[nodes.len() / 2..]))
            .collect();
        let func = b.finish(&results);
        // A function of typed parameters alone is checked, and these are not made to pass.
        if func.params().iter().any(|p| p.dtype.is_none()) {
            assert_round_trip(&func);
        } else {
            let module = Module {
                items: vec![text::ast::Item::Fn(text::raise(&func))],
                ..Module::default()
            };
            assert_module_round_trip(&module);
        }
    }
}

fn literal(rng: &mut Rng) -> Literal {
    match rng.below(4) {
        0 => Literal::Bool(rng.one_in(2)),
        1 => Literal::Int(rng.value(Dtype::I64).as_i128()),
        2 => Literal::Int(rng.value(Dtype::U64).as_i128()),
        _ => Literal::Float(rng.value(Dtype::F64).bits()),
    }
}

#[test]
fn every_edge_value_is_a_literal() {
    for dtype in Dtype::ALL {
        for value in edge_values(dtype) {
            let mut b = Builder::typed("value");
            let constant = b.constant(value);
            assert_round_trip(&b.finish(&[constant]));
            let mut b = Builder::polymorphic("negated");
            let x = b.param("x", None);
            let constant = b.constant(value);
            let negated = b.node(Op::Neg, &[constant]);
            let sum = b.node(Op::Add, &[negated, x]);
            assert_round_trip(&b.finish(&[sum]));
        }
    }
}

#[test]
fn a_chain_of_many_nodes() {
    let mut b = Builder::polymorphic("chain");
    let x = b.param("x", None);
    let mut sum = x;
    for _ in 0..60_000 {
        sum = b.node(Op::Sub, &[x, sum]);
    }
    assert_round_trip(&b.finish(&[sum]));
}

/// Words that make deep, odd, and now and then right texts.
const SOUP: &[&str] = &[
    "fn", "kernel", "let", "if", "else", "as", "true", "inf", "nan", "x", "y", "f", "f32", "i8", "bitcast", "newaxis",
    "sum", "axis", "bits_f32", "pi", "`q`", "1", "0x7f", "1.5", "2i8", "1e3f32", "(", ")", "[", "]", "{", "}", ",",
    ";", ":", ".", "...", "->", "=", "==", "<", "&&", "||", "+", "-", "*", "/", "@", "!", "&", "|", "^", "<<", "é",
    "\"", "`", "/*", "*/", "//", "\n", "\\",
];

#[test]
fn random_tokens_never_panic() {
    let mut parsed = 0;
    for seed in 0..20_000 {
        let mut rng = Rng::new(seed);
        let mut source = String::from(*rng.pick(&["", "fn f(x, y) { ", "kernel k(x: f32[n]) { "]));
        for _ in 0..rng.below(24) {
            source.push_str(rng.pick::<&str>(SOUP));
            source.push_str(rng.pick::<&str>(&[" ", ""]));
        }
        if rng.one_in(2) {
            source.push('}');
        }
        match text::parse(&source, "soup.lw") {
            Ok(module) => {
                parsed += 1;
                assert_module_round_trip(&module);
                if let Err(errors) = text::lower_module(&module) {
                    assert!(errors.to_string().contains("soup.lw:"));
                }
            }
            Err(errors) => assert!(errors.to_string().contains("soup.lw:"), "{source}"),
        }
        if let Ok(block) = text::parse_expr_body(&source, "soup") {
            text::free_names(&block);
        }
    }
    assert!(
        parsed > 100,
        "only {parsed} texts were right: the test reaches too little"
    );
}

/// A random expression that always parses.
fn expression(rng: &mut Rng, depth: usize) -> String {
    let sub = |rng: &mut Rng| expression(rng, depth.saturating_sub(1));
    if depth == 0 {
        return (*rng.pick(&[
            "x",
            "y",
            "pi",
            "1",
            "2.5",
            "-3i8",
            "true",
            "-inf",
            "-nan_f32",
            "bits_f16(0x7e01)",
            "1e-9",
        ]))
        .into();
    }
    match rng.below(14) {
        0 => format!("({})", sub(rng)),
        1 => format!("-{}", sub(rng)),
        2 => format!("!{}", sub(rng)),
        3 => format!("({}) as {}", sub(rng), rng.pick(&Dtype::ALL)),
        4 => format!("if {} {{ {} }} else {{ let z = {}; z }}", sub(rng), sub(rng), sub(rng)),
        5 => format!(
            "if {} {{ {} }} else if {} {{ {} }} else {{ x }}",
            sub(rng),
            sub(rng),
            sub(rng),
            sub(rng)
        ),
        6 => format!("sum({}, axis = [0, -1], keepdims = true, dtype = f64)", sub(rng)),
        7 => format!("({})[1:, ..., ::-2, -1, newaxis]", sub(rng)),
        8 => format!("({}).reshape([n, {}])", sub(rng), rng.below(9)),
        9 => format!("bitcast({}, u32)", sub(rng)),
        _ => {
            let operators = [
                "||", "&&", "|", "^", "&", "<<", ">>", "+", "-", "*", "/", "%", "@", "<", "==",
            ];
            let operator = *rng.pick(&operators);
            match operator {
                "<" | "==" => format!("({}) {operator} ({})", sub(rng), sub(rng)),
                _ => format!("{} {operator} {}", sub(rng), sub(rng)),
            }
        }
    }
}

#[test]
fn trees_of_kernels() {
    let mut chained = 0;
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let (a, b) = (expression(&mut rng, 4), expression(&mut rng, 3));
        let source = format!("kernel k(x: f32[n, 3], y: f32) -> (lo: f32[n], f64[]) {{ let w = {a}; (w, {b}) }}");
        match text::parse(&source, "kernel.lw") {
            Ok(module) => assert_module_round_trip(&module),
            // Two comparisons may have come to stand beside each other.
            Err(errors) => {
                assert!(
                    errors.iter().all(|e| e.message == "comparisons do not chain"),
                    "{errors}"
                );
                chained += 1;
            }
        }
    }
    assert!(chained < 1500);
}

#[test]
fn random_bytes_never_panic() {
    for seed in 0..5000 {
        let mut rng = Rng::new(seed);
        let bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.bits() as u8).collect();
        let source = String::from_utf8_lossy(&bytes);
        if let Err(errors) = text::parse(&source, "bytes.lw") {
            assert!(errors.to_string().contains("bytes.lw:1:") || source.contains('\n'));
        }
    }
}
