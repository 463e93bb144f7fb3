//! What compiling costs: `relu(a * b + c) * d - e` on f32, from text to native code, as a whole and stage by stage, and whole
//! programs of 200 ops. Where the wide emitter makes all of a kernel, as it does here on x86-64 with AVX2, its selection,
//! registers and encoding are in `emit`, and Cranelift has nothing to do.
//!
//! `cargo bench --bench compile` first prints what the process's very first compilation takes, then measures the stages with
//! statistics, and last compiles and drops 10,000 kernels and prints the resident memory on the way.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use loopweave::codegen::jit::JitCode;
use loopweave::graph::Graph;
use loopweave::graph::build::GraphBuilder;
use loopweave::graph::trace::{Array, ProgramBuilder};
use loopweave::ir::simplify::{Fast, simplify};
use loopweave::ir::{expand, specialise};
use loopweave::jit::{self, IntoFunc};
use loopweave::nest::lower::lower;
use loopweave::pipeline::{Options, Program};
use loopweave::shape::Layout;
use loopweave::{Dtype, Func, fuse};

const TEXT: &str = "relu(a * b + c) * d - e";
const DTYPES: [Dtype; 5] = [Dtype::F32; 5];
/// Kernels compiled and dropped, and how often memory is looked at on the way.
const CYCLES: usize = 10_000;
const LOOKS: usize = 5;

fn main() {
    let start = Instant::now();
    cold();
    println!("first compilation in the process: {:?}", start.elapsed());
    let mut criterion = Criterion::default()
        .sample_size(20)
        .nresamples(5_000)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots()
        .configure_from_args();
    stages(&mut criterion);
    criterion.final_summary();
    memory();
}

/// Text to native code, in the way users take.
fn cold() {
    let kernel = jit::func(TEXT).expect("the text above");
    kernel.compile_for(&DTYPES, 1).expect("a supported function");
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    let options = Options::native().expect("a supported host");
    let func = TEXT.into_func().expect("the text above");
    let typed = specialise(&func, &DTYPES.map(Into::into)).expect("a typed function");
    let graph = graph(&func);
    let plan = fuse::plan(&graph);
    let program = Program::compile(graph.clone(), &options).expect("a supported program");
    let layouts = vec![Layout::contiguous(&[1 << 20]).expect("a small array"); 5];
    let scheduled = program.schedule(&layouts).expect("layouts that fit");

    group.bench_function("parse", |b| b.iter(|| TEXT.into_func()));
    group.bench_function("infer", |b| {
        b.iter(|| specialise(&func, &DTYPES.map(Into::into)));
    });
    group.bench_function("simplify", |b| b.iter(|| simplify(&typed, Fast::NONE)));
    group.bench_function("expand", |b| b.iter(|| expand::expand(&typed)));
    group.bench_function("graph", |b| b.iter(|| self::graph(&func)));
    group.bench_function("plan", |b| b.iter(|| fuse::plan(&graph)));
    group.bench_function("lower", |b| b.iter(|| lower(&graph, &plan.groups[0], Fast::NONE)));
    group.bench_function("schedule", |b| b.iter(|| program.schedule(&layouts)));
    let nest = &scheduled[0].nest;
    let compile = || JitCode::compile(nest, &options.target).expect("a supported nest");
    for (name, stage) in [
        (
            "emit",
            (|t| t.emit) as fn(loopweave::codegen::jit::CompileTimes) -> Duration,
        ),
        ("cranelift", |t| t.compile),
        ("load", |t| t.load),
    ] {
        group.bench_function(name, |b| {
            b.iter_custom(|n| (0..n).map(|_| stage(compile().times())).sum());
        });
    }
    group.bench_function("all stages, cold", |b| b.iter(cold));
    let kernel = jit::func(TEXT).expect("the text above");
    group.bench_function("all stages, cached", |b| {
        b.iter(|| black_box(&kernel).compile_for(&DTYPES, 1));
    });
    for (name, text) in [
        ("200 ops in one kernel", chain_of_200()),
        ("200 ops, 50 of them reductions that differ", reductions_of_200()),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let kernel = jit::kernel(&text).expect("the text below");
                kernel.compile_for(&[Dtype::F32; 2], 2).expect("a supported program");
            });
        });
    }
    group.bench_function("200 ops of a transformer with 5 layers", |b| {
        b.iter(|| {
            let (rows, row, table): (&[usize], &[usize], &[usize]) = (&[64, 128], &[128], &[128, 128]);
            let shapes = [
                &[rows, &[64, 64], row, row, table, table, table, table, row][..],
                &[&[128, 512], &[512], &[512, 128], row],
            ];
            let program = jit::program(transformer).expect("the program below");
            program.warm(&shapes.concat()).expect("a supported program");
        });
    });
    group.finish();
}

/// The layers of a transformer's encoder on one sentence, with one head and weights that all layers share: 204 ops, 40 of them
/// products.
fn transformer(g: &ProgramBuilder) {
    let input = |name, rank| g.input(name, Dtype::F32, rank);
    let (mut h, mask) = (input("x", 2), input("mask", 2));
    let (scale, shift) = (input("scale", 1), input("shift", 1));
    let [query, key, value, out] = ["query", "key", "value", "out"].map(|name| input(name, 2));
    let out_bias = input("out_bias", 1);
    let (wide, wide_bias) = (input("wide", 2), input("wide_bias", 1));
    let (narrow, narrow_bias) = (input("narrow", 2), input("narrow_bias", 1));
    for _ in 0..5 {
        let x = norm(h, scale, shift);
        let scores = x.matmul(query).matmul(x.matmul(key).t()) * 0.125 + mask;
        let weights = (scores - scores.max_keepdims(-1)).exp();
        let attention = (weights / weights.sum_keepdims(-1)).matmul(x.matmul(value));
        h = attention.matmul(out) + out_bias + h;
        h = (norm(h, scale, shift).matmul(wide) + wide_bias).gelu().matmul(narrow) + narrow_bias + h;
    }
    g.output("y", norm(h, scale, shift));
}

/// Rows with mean 0 and variance 1, scaled and shifted.
fn norm<'g>(x: Array<'g>, scale: Array<'g>, shift: Array<'g>) -> Array<'g> {
    let centred = x - x.mean_keepdims(-1);
    let variance = (centred * centred).mean_keepdims(-1);
    centred / (variance + 1e-5).sqrt() * scale + shift
}

const HEAD: &str = "kernel k(x: f32[n, m], y: f32[n, m]) -> f32[n, m] { let h0 = x + y;";

/// A program of 200 elementwise ops.
fn chain_of_200() -> String {
    let op = |i: usize| {
        format!(
            "let h{i} = h{} {} {};",
            i - 1,
            ["+", "*", "-"][i % 3],
            ["x", "y"][i % 2]
        )
    };
    format!("{HEAD} {} h199 }}", (1..200).map(op).collect::<String>())
}

/// A program of 200 ops with 50 reductions along both axes, each of a function of its own and each needed by the next.
fn reductions_of_200() -> String {
    let step = |i: usize| {
        let (name, axis) = (["sum", "max", "min", "prod", "mean"][i % 5], [0, -1, -1][i % 3]);
        let before = i - 1;
        format!(
            "let r{i} = {name}(h{before} * {i}.5 + y, axis = {axis}, keepdims = true); let h{i} = h{before} - r{i};"
        )
    };
    format!("{HEAD} {} h50 }}", (1..=50).map(step).collect::<String>())
}

fn graph(func: &Func) -> Graph {
    let mut builder = GraphBuilder::new("chain");
    let inputs: Vec<_> = func
        .params()
        .iter()
        .map(|p| builder.input(&p.name, Dtype::F32, 1))
        .collect();
    let out = builder.map(func, &inputs).expect("a typed function");
    builder.output("out", out);
    builder.finish().expect("a whole graph")
}

fn memory() {
    let mut line = format!("resident KiB over {CYCLES} compile-and-drop cycles:");
    for _ in 0..LOOKS {
        for _ in 0..CYCLES / LOOKS {
            cold();
        }
        match resident() {
            Some(kib) => line += &format!(" {kib}"),
            None => line += " unknown",
        }
    }
    println!("{line}");
}

/// The process's resident memory in KiB, where Linux tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
