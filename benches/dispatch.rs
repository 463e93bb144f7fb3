//! What a warm call costs beyond its loop: `a + b` on 1, 16 and 256 f32 elements, beside plain loops.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use loopweave::Dtype;
use loopweave::graph::build::GraphBuilder;
use loopweave::jit::{self, IntoFunc};
use loopweave::pipeline::{Options, Program};
use loopweave::runtime::view::{Arg, ArgMut};
use ndarray::{Array1, Zip};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .nresamples(5_000)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .without_plots()
        .configure_from_args();
    let kernel = jit::zip(|a, b| a + b).expect("a function of two arguments");
    let program = program();
    let mut group = criterion.benchmark_group("dispatch");
    for n in [1, 16, 256] {
        let a = Array1::from_elem(n, 1.5f32);
        let b = Array1::from_elem(n, 2.0f32);
        let mut out = Array1::zeros(n);
        group.bench_function(format!("{n}/call"), |bench| {
            bench.iter(|| kernel.call::<Array1<f32>>((black_box(&a), &b)));
        });
        group.bench_function(format!("{n}/call_into"), |bench| {
            bench.iter(|| kernel.call_into((black_box(&a), &b), &mut out));
        });
        let views = [Arg::view(&a), Arg::view(&b)];
        let mut outputs = [ArgMut::view_mut(&mut out)];
        group.bench_function(format!("{n}/run_into"), |bench| {
            bench.iter(|| program.run_into(black_box(&views), &mut outputs));
        });
        let mut bound = kernel.bind((&a, &b), &mut out).expect("arrays of one shape");
        group.bench_function(format!("{n}/bound"), |bench| bench.iter(|| black_box(&mut bound).run()));
        group.bench_function(format!("{n}/plain loop"), |bench| {
            let slices = (a.as_slice().zip(b.as_slice())).zip(out.as_slice_mut());
            let ((a, b), out) = slices.expect("contiguous arrays");
            bench.iter(|| add(black_box(a), black_box(b), black_box(out)));
        });
        group.bench_function(format!("{n}/ndarray Zip"), |bench| {
            bench.iter(|| {
                Zip::from(&mut out)
                    .and(black_box(&a))
                    .and(black_box(&b))
                    .for_each(|out, a, b| *out = a + b);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}

/// The loop that a user would write.
fn add(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a + b;
    }
}

fn program() -> Program {
    let func = "a + b".into_func().expect("an expression");
    let mut builder = GraphBuilder::new("add");
    let inputs = ["a", "b"].map(|name| builder.input(name, Dtype::F32, 1));
    let sum = builder.map(&func, &inputs).expect("a typed function");
    builder.output("sum", sum);
    let options = Options::native().expect("a supported host");
    Program::compile(builder.finish().expect("a whole graph"), &options).expect("a supported program")
}
