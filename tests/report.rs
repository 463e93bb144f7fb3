//! Reports: what they say of a few programs, at every level and as JSON, and the assertions on them.
//!
//! The programs are scheduled for a named target and two threads, so the snapshots are the same on every machine. What is
//! measured on a real call (times, bytes of code) is compared with nothing; the rest of a call's report must be the
//! schedule's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{self, Dim, Graph, Named, NodeId};
use loopweave::ir::simplify::Fast;
use loopweave::ir::{Dtype, Expr, Func, Op, trace};
use loopweave::pipeline::{Options, Program};
use loopweave::prelude::jit;
use loopweave::report::{Note, Part, Report, Role, SerialReason, Stage, Unit};
use loopweave::runtime::parallel::Threads;
use loopweave::runtime::view::Arg;
use loopweave::shape::Layout;
use loopweave::target::Target;

/// The length of each row, scaled by the peak of all: two kernels, because two reductions over different axes follow each other.
fn lengths() -> Graph {
    let mut g = GraphBuilder::new("lengths");
    let x = input(&mut g, "x", Dtype::F32, "n m");
    let peak = g.reduce(Named::Max, x, None, true).unwrap();
    g.rename(peak, "peak").unwrap();
    let scaled = g.map(&func("scaled", |[x, peak]| x / peak), &[x, peak]).unwrap();
    let squares = g.map(&func("squares", |[x]| x * x), &[scaled]).unwrap();
    let total = g.reduce(Named::Sum, squares, Some(&[-1]), true).unwrap();
    g.rename(total, "total").unwrap();
    let result = func("length", |[total, peak]| total.sqrt() * peak);
    let result = g.map(&result, &[total, peak]).unwrap();
    g.output("length", result);
    g.finish().unwrap()
}

/// One kernel with arrays that disagree about the fast axis.
fn transposed_add() -> Graph {
    let mut g = GraphBuilder::new("transposed_add");
    let a = g.input("a", Dtype::F64, 2);
    let b = g.input("b", Dtype::F64, 2);
    let flipped = g.transpose(b).unwrap();
    let sum = g.map(&func("add", |[a, b]| a + b), &[a, flipped]).unwrap();
    g.output("c", sum);
    g.finish().unwrap()
}

/// One kernel of three ops over one run of memory.
fn chain() -> Graph {
    let mut g = GraphBuilder::new("chain");
    let x = input(&mut g, "x", Dtype::F32, "rows cols");
    let scaled = g.map(&func("scaled", |[x]| x * 2.0), &[x]).unwrap();
    let powers = g.map(&func("powers", |[x]| x.exp()), &[scaled]).unwrap();
    let shifted = g.map(&func("shifted", |[x]| x - 1.0), &[powers]).unwrap();
    g.output("y", shifted);
    g.finish().unwrap()
}

/// A matrix product with an epilogue, of which one array is kept.
fn dense() -> Graph {
    let mut g = GraphBuilder::new("dense");
    let x = input(&mut g, "x", Dtype::F32, "rows k");
    let w = input(&mut g, "w", Dtype::F32, "k cols");
    let b = input(&mut g, "b", Dtype::F32, "cols");
    let product = g.matmul(x, w).unwrap();
    let h = g.map(&func("h", |[x, b]| x + b), &[product, b]).unwrap();
    let y = g.map(&func("relu", |[h]| h.relu()), &[h]).unwrap();
    g.output("y", y);
    g.output("h", h);
    g.finish().unwrap()
}

/// Two products of a scalar and a row, of which nothing changes along the columns.
fn hoisted() -> Graph {
    let mut g = GraphBuilder::new("hoisted");
    let x = input(&mut g, "x", Dtype::F32, "n m");
    let r = input(&mut g, "r", Dtype::F32, "n 1");
    let s = input(&mut g, "s", Dtype::F32, "");
    let scaled = func("scaled", |[x, r, s]| (x - 1.0) * (r * s).sqrt() + x.mul_add(s + 2.0, r));
    let y = g.map(&scaled, &[x, r, s]).unwrap();
    g.output("y", y);
    g.finish().unwrap()
}

/// The sum of all elements.
fn total() -> Graph {
    let mut g = GraphBuilder::new("total");
    let x = input(&mut g, "x", Dtype::F32, "n");
    let total = g.reduce(Named::Sum, x, None, false).unwrap();
    g.output("total", total);
    g.finish().unwrap()
}

#[test]
fn levels_of_detail() {
    let reports = [
        ("lengths", scheduled(lengths(), &[&[1024, 4096]])),
        (
            "transposed_add",
            scheduled(transposed_add(), &[&[512, 300], &[300, 512]]),
        ),
        ("total", scheduled(total(), &[&[1 << 22]])),
        ("dense", scheduled(dense(), &[&[2048, 1024], &[1024, 1024], &[1024]])),
        ("planned", compiled(lengths()).report()),
    ];
    for (name, report) in reports {
        for level in 1..=4 {
            insta::assert_snapshot!(format!("{name}_{level}"), report.text(level));
        }
    }
    // The functions of this one are the business of the expansions' tests.
    insta::assert_snapshot!("few_elements_3", scheduled(chain(), &[&[4, 4]]).text(3));
}

#[test]
fn json_is_stable_and_comes_back() {
    for (name, report) in [
        ("lengths_json", scheduled(lengths(), &[&[1024, 4096]])),
        ("planned_json", compiled(total()).report()),
    ] {
        insta::assert_snapshot!(name, report.json());
        assert_eq!(serde_json::from_str::<Report>(&report.json()).unwrap(), report);
    }
    let uncalled = jit::map(|x| x.exp()).unwrap().report();
    assert_eq!(serde_json::from_str::<Report>(&uncalled.json()).unwrap(), uncalled);
}

#[test]
fn other_levels_are_the_nearest() {
    let report = scheduled(chain(), &[&[4, 4]]);
    assert_eq!((report.text(0), report.text(200)), (report.text(1), report.text(4)));
    assert_eq!(report.to_string(), report.text(2));
}

#[test]
fn stages() {
    let kernel = jit::map(|x| x.exp()).unwrap();
    assert_eq!(kernel.report().stage, Stage::Traced);
    assert_eq!(compiled(chain()).report().stage, Stage::Planned);
    assert_eq!(scheduled(chain(), &[&[2, 2]]).stage, Stage::Scheduled);
    assert_eq!(
        kernel.report().to_string(),
        "map: not compiled yet; the first call decides the dtypes\n"
    );
}

#[test]
fn loops_have_the_programs_names() {
    let names = |graph: Graph, shapes: &[&[usize]]| -> Vec<String> {
        let report = scheduled(graph, shapes);
        let loops = report.groups.iter().flat_map(|g| &g.schedule.as_ref().unwrap().loops);
        loops.map(|l| l.name.clone()).collect()
    };
    assert_eq!(names(chain(), &[&[3, 4]]), ["rows·cols"]);
    assert_eq!(names(transposed_add(), &[&[3, 4], &[4, 3]]), ["i", "j"]);
    assert_eq!(names(lengths(), &[&[3, 4]]), ["n·m", "n", "m"]);
    // Extents without a name, or with one that is taken, get a letter that no name has.
    let doubled = |dims: &str| {
        let mut g = GraphBuilder::new("doubled");
        let x = input(&mut g, "x", Dtype::F32, dims);
        let double = g.map(&func("double", |[x]| x + x), &[x]).unwrap();
        g.output("y", double);
        g.finish().unwrap()
    };
    assert_eq!(names(doubled("n n"), &[&[3, 3]]), ["n·j"]);
    assert_eq!(names(doubled("? i 5"), &[&[3, 4, 5]]), ["i0·i·k"]);
}

#[test]
fn ops_are_found_in_their_text() {
    let kernel =
        jit::kernel("kernel dist(x: f32[n], y: f32[n]) -> f32[n] {\n    let s = x * x;\n    sqrt(s + y * y)\n}")
            .unwrap();
    let _: ndarray::Array1<f32> = kernel.call((&[3.0f32], &[4.0f32])).unwrap();
    let report = kernel.report();
    let position = |name: &str| report.ops.iter().find(|op| op.name == name).unwrap().position.unwrap();
    assert_eq!((position("y").line, position("s").line), (1, 2));
    assert_eq!(report.groups[0].schedule.as_ref().unwrap().loops[0].name, "_");
}

#[test]
fn facts_of_a_schedule() {
    let report = scheduled(total(), &[&[1 << 22]]);
    let schedule = report.groups[0].schedule.as_ref().unwrap();
    let parallel = schedule.loops[0].parallel.unwrap();
    assert_eq!((schedule.loops[0].role, parallel.unit), (Role::Reduced, Unit::Blocks));
    assert_eq!((parallel.threads, parallel.parts * parallel.grain >= 1024), (2, true));
    assert_eq!((schedule.bytes_read, schedule.bytes_written), (4 << 22, 4));

    let report = scheduled(transposed_add(), &[&[512, 300], &[300, 512]]);
    let schedule = report.groups[0].schedule.as_ref().unwrap();
    assert!(schedule.notes.contains(&Note::Tiled { size: 32 }));
    assert!(schedule.loops.iter().all(|l| l.tile == Some(32)));

    let report = scheduled(chain(), &[&[4, 4]]);
    assert_eq!(
        report.groups[0].schedule.as_ref().unwrap().serial,
        Some(SerialReason::LittleWork)
    );
    assert_eq!(report.groups[0].accuracy[0].op, "exp");
    let saved: Vec<_> = report.decisions.iter().map(|d| d.saved_bytes).collect();
    assert_eq!(saved, [Some(2 * 4 * 16), Some(2 * 4 * 16)]);
    assert_eq!(report.memory.unwrap().peak_bytes, 2 * 4 * 16);
}

/// Each function of a kernel is told with its dtype, tier and error bound, from the second level on and in the JSON; a function
/// without a fast form is the precise one in either tier.
#[test]
fn the_exactness_of_functions_is_told() {
    let mut g = GraphBuilder::new("gates");
    let x = input(&mut g, "x", Dtype::F64, "n");
    let h = g.map(&func("h", |[x]| x.sinh() + x.exp() + x.sqrt()), &[x]).unwrap();
    let y = g.map(&func("y", |[h]| h.sinh().cast(Dtype::F32).silu()), &[h]).unwrap();
    g.output("y", y);
    let graph = g.finish().unwrap();
    for (fast, line) in [
        (
            Fast::NONE,
            "sinh of f64 within 1 ulp (precise), exp of f64 within 1 ulp (precise), silu of f32 within 2 ulp (precise)",
        ),
        (
            Fast::APPROX,
            "sinh of f64 within 4 ulp (fast), exp of f64 within 1 ulp (precise), silu of f32 within 2 ulp (precise)",
        ),
    ] {
        let options = Options {
            fast,
            ..options(Target::parse("x86-64-v3").unwrap())
        };
        let report = Program::compile(graph.clone(), &options).unwrap().report();
        assert!(!report.text(1).contains("accuracy"));
        assert!(
            report.to_string().contains(&format!("    accuracy: {line}\n")),
            "{report}"
        );
        let json = report.json();
        for (op, dtype, tier, ulp) in report.groups[0]
            .accuracy
            .iter()
            .map(|a| (&a.op, &a.dtype, &a.tier, a.max_ulp))
        {
            assert!(json.contains(&format!(r#""op": "{op}""#)) && json.contains(&format!(r#""tier": "{tier}""#)));
            let op = Op::from_name(op).unwrap();
            let accuracy = op.tier(fast.accuracy());
            assert_eq!(
                (tier.as_str(), Some(ulp)),
                (accuracy.name(), op.max_ulp(dtype.parse().unwrap(), accuracy))
            );
        }
    }
}

/// What is computed before the vector loop: for each row, and once where the rows are one run of memory.
#[test]
fn invariants_are_hoisted() {
    let hoisted_in = |report: &Report| {
        let hoisted = &report.groups[0].schedule.as_ref().unwrap().hoisted[0];
        (hoisted.outer.clone(), hoisted.values.clone(), hoisted.constants)
    };
    let report = scheduled(hoisted(), &[&[64, 32], &[64, 1], &[]]);
    let values = ["r", "sqrt(r * s)", "s + 2.0f32"];
    assert_eq!(hoisted_in(&report), (vec![String::from("n")], texts(&values), 1));
    let report = scheduled(hoisted(), &[&[1, 32], &[1, 1], &[]]);
    assert_eq!(hoisted_in(&report), (vec![], texts(&values), 1));
    // Nothing is the same for a whole chain over one array.
    let hoisted = &scheduled(transposed_add(), &[&[512, 300], &[300, 512]]).groups[0];
    assert!(hoisted.schedule.as_ref().unwrap().hoisted.is_empty());
}

/// The bounds of vector loops on the cores that named targets are taken to have.
#[test]
fn vector_loops_are_bounded() {
    let map = |body: fn([Expr; 2]) -> Expr| {
        let mut g = GraphBuilder::new("map");
        let x = input(&mut g, "x", Dtype::F32, "n");
        let y = input(&mut g, "y", Dtype::F32, "n");
        let z = g.map(&func("f", body), &[x, y]).unwrap();
        g.output("z", z);
        g.finish().unwrap()
    };
    let estimate = |graph: Graph, target: &str| {
        let layouts: Vec<Layout> = graph.inputs.iter().map(|_| layout(&[1024])).collect();
        let program = compiled_for(graph, Target::parse(target).unwrap());
        let report = program.report_for(&layouts).unwrap();
        let [l] = report.groups[0].schedule.as_ref().unwrap().vector_loops[..] else {
            panic!("one stage: {report}");
        };
        let estimate = l.estimate.unwrap();
        assert_eq!(estimate.parts.longest(), (estimate.by, estimate.cycles));
        (l.vector.lanes * l.vector.unroll, estimate.cycles, estimate.by)
    };
    let add = || map(|[x, y]| x + y);
    // Two loads, by as many as a cycle has.
    assert_eq!(estimate(add(), "x86-64-v4"), (64, 1.0 / 16.0, Part::Load));
    assert_eq!(estimate(add(), "x86-64"), (16, 2.0 / 4.0, Part::Load));
    // Eighteen instructions for four vectors, four a cycle.
    assert_eq!(estimate(add(), "aarch64"), (16, 0.2813, Part::Issue));
    // The divider takes 16 elements in 10 cycles, and 8 in 5.
    let divide = || map(|[x, y]| x / y);
    assert_eq!(estimate(divide(), "x86-64-v4"), (64, 10.0 / 16.0, Part::Division));
    assert_eq!(estimate(divide(), "x86-64-v3"), (32, 5.0 / 8.0, Part::Division));
    // Sixteen additions on two ports.
    let long = || map(|[x, y]| (0..16).fold(x, |sum, _| sum + y));
    let (_, cycles, by) = estimate(long(), "x86-64-v4");
    assert_eq!((cycles, by), (8.0 / 16.0, Part::MultiplyAdd));
    // Each addition waits four cycles for the one before it; with vectors of 32 bytes there are eight chains instead of four.
    assert_eq!(estimate(total(), "x86-64-v4"), (64, 4.0 / 64.0, Part::Latency));
    assert_eq!(estimate(total(), "x86-64-v3"), (64, 0.0703, Part::Issue));
    let scalar = compiled_for(add(), Target::parse("riscv64").unwrap());
    let report = scalar.report_for(&[layout(&[64]), layout(&[64])]).unwrap();
    assert_eq!(report.options.as_ref().unwrap().core, None);
    assert_eq!(
        report.groups[0].schedule.as_ref().unwrap().vector_loops[0].estimate,
        None
    );
}

fn softmax_and_norm() -> Graph {
    let graph = graph::trace::trace("softmax_and_norm", |g| {
        let x = g.input_with_dims("x", Dtype::F32, ["n", "m"]);
        let e = (x - x.max_keepdims(-1)).exp();
        g.output("softmax", e / e.sum_keepdims(-1));
        let c = x - x.mean_keepdims(-1);
        g.output("norm", c / ((c * c).mean_keepdims(-1) + 1e-5).sqrt());
    });
    graph.unwrap()
}

/// The figures are those of the plan that fuses nothing, less what the decisions save.
#[test]
fn traffic_before_and_after() {
    let graphs: [(Graph, &[&[usize]]); 5] = [
        (softmax_and_norm(), &[&[128, 1024]]),
        (lengths(), &[&[1024, 4096]]),
        (transposed_add(), &[&[512, 300], &[300, 512]]),
        (chain(), &[&[256, 256]]),
        (dense(), &[&[256, 64], &[64, 128], &[128]]),
    ];
    for (graph, shapes) in graphs {
        let report = scheduled(graph.clone(), shapes);
        let work = report.work.unwrap();
        let saved: usize = report.decisions.iter().filter_map(|d| d.saved_bytes).sum();
        assert_eq!(work.bytes + saved, work.unfused_bytes, "{}", report.text(2));
        let unfused = Options {
            fusion: false,
            ..options(Target::parse("x86-64-v3").unwrap())
        };
        let layouts: Vec<Layout> = shapes.iter().map(|shape| layout(shape)).collect();
        let unfused = Program::compile(graph, &unfused).unwrap().report_for(&layouts).unwrap();
        let alone = unfused.work.unwrap();
        assert_eq!(unfused.groups.len(), work.unfused_kernels);
        assert_eq!(
            (alone.bytes, alone.unfused_bytes),
            (work.unfused_bytes, work.unfused_bytes)
        );
        assert!(work.bytes <= work.unfused_bytes);
    }
}

/// A report from before fields were added is one without them.
#[test]
fn old_json_is_read() {
    let mut json: serde_json::Value = serde_json::from_str(&scheduled(chain(), &[&[4, 4]]).json()).unwrap();
    for field in ["work", "outputs"] {
        json.as_object_mut().unwrap().remove(field);
    }
    for part in ["ops", "groups", "decisions"] {
        for item in json[part].as_array_mut().unwrap() {
            let item = item.as_object_mut().unwrap();
            item.retain(|field, _| !["args", "function", "ops", "stores"].contains(&field.as_str()));
        }
    }
    let report: Report = serde_json::from_value(json).unwrap();
    assert!(report.text(4).contains("1 kernel from 3 ops"));
    assert!(report.html(None, &[]).contains("</html>") && report.dot().contains("cluster_0"));
}

#[test]
fn assertions_hold() {
    scheduled(lengths(), &[&[1024, 4096]])
        .assert_groups(2)
        .assert_parallel("n")
        .assert_vectorised("m")
        .assert_fused(["scaled", "squares", "total"]);
    scheduled(chain(), &[&[1024, 1024]])
        .assert_groups(1)
        .assert_parallel("rows")
        .assert_vectorised("cols")
        .assert_fused(["scaled", "shifted"]);
    scheduled(chain(), &[&[4, 4]]).assert_serial();
}

#[test]
fn assertions_fail_with_the_whole_report() {
    let large = scheduled(lengths(), &[&[1024, 4096]]);
    let small = scheduled(chain(), &[&[4, 4]]);
    let planned = compiled(chain()).report();
    let fails = |report: &Report, expected: &str, assertion: fn(&Report) -> &Report| {
        let panic = catch_unwind(AssertUnwindSafe(|| assertion(report).groups.len())).expect_err(expected);
        let message = panic.downcast::<String>().unwrap();
        assert!(message.starts_with(expected), "{message}");
        assert!(message.ends_with(&report.text(4)), "{message}");
    };
    fails(&large, "expected 1 group, found 2", |r| r.assert_groups(1));
    fails(&large, "expected a parallel loop over `q`", |r| r.assert_parallel("q"));
    fails(&large, "expected every kernel on the calling thread", |r| {
        r.assert_serial()
    });
    fails(&large, "expected a vectorised loop over `q`", |r| {
        r.assert_vectorised("q")
    });
    fails(&large, "expected peak, total in one group", |r| {
        r.assert_fused(["peak", "total"])
    });
    fails(&small, "expected a parallel loop over `rows`", |r| {
        r.assert_parallel("rows")
    });
    fails(&planned, "expected every kernel on the calling thread", |r| {
        r.assert_serial()
    });
}

/// A call reports what its layout was scheduled to do, with its code beside it.
#[test]
fn a_call_does_what_the_schedule_says() {
    let program = compiled_for(lengths(), Target::native().unwrap());
    let x = ndarray::Array2::<f32>::ones((64, 32));
    program.run(&[Arg::view(&x)]).unwrap();
    let mut report = program.report();
    for group in &mut report.groups {
        assert!(group.code.take().is_some_and(|code| code.bytes > 0));
    }
    assert!(report.prepare_ns.take().is_some());
    assert_eq!(report, program.report_for(&[layout(&[64, 32])]).unwrap());
}

fn input(g: &mut GraphBuilder, name: &str, dtype: Dtype, dims: &str) -> NodeId {
    let dims = dims.split_whitespace().map(|dim| match dim.parse() {
        _ if dim == "?" => None,
        Ok(extent) => Some(Dim::Fixed(extent)),
        Err(_) => Some(Dim::Name(dim.to_owned())),
    });
    g.input_with_dims(name, dtype, dims.collect())
}

fn func<const N: usize>(name: &str, f: impl FnOnce([Expr; N]) -> Expr) -> Func {
    trace(name, f).unwrap()
}

fn compiled(graph: Graph) -> Program {
    compiled_for(graph, Target::parse("x86-64-v3").unwrap())
}

fn compiled_for(graph: Graph, target: Target) -> Program {
    Program::compile(graph, &options(target)).unwrap()
}

fn options(target: Target) -> Options {
    Options {
        fast: Fast::NONE,
        threads: Threads::count(2).unwrap(),
        target,
        fusion: true,
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn scheduled(graph: Graph, shapes: &[&[usize]]) -> Report {
    let layouts: Vec<Layout> = shapes.iter().map(|shape| layout(shape)).collect();
    compiled(graph).report_for(&layouts).unwrap()
}

fn layout(shape: &[usize]) -> Layout {
    Layout::contiguous(shape).unwrap()
}
