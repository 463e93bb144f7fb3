//! Where splitting a call among threads begins to pay: the measurements behind `runtime::parallel`'s cost model.
//!
//! `cargo bench --bench split` times `a + b` and `exp(x)` on f32 from 4k to 16M elements, on one thread and split into 2, 4
//! and 8 parts on two threads whatever the model says, and beside each what the model estimates and decides. It begins with
//! what handing a part over costs: loops of two parts after pauses shorter and longer than helpers stay awake.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loopweave::Dtype;
use loopweave::codegen::jit::JitCode;
use loopweave::graph::build::GraphBuilder;
use loopweave::jit::IntoFunc;
use loopweave::nest::AxisId;
use loopweave::nest::schedule::Scheduled;
use loopweave::pipeline::{Options, Program};
use loopweave::runtime::launch::{Kernel, Launch, Region};
use loopweave::runtime::parallel::{SerialReason, Split, Threads, Work, for_each, split};
use loopweave::runtime::view::{Arg, ArgMut, View};

const ROUNDS: usize = 200;
/// The part of a loop that shows when the other thread comes.
const PART: Duration = Duration::from_micros(20);
/// Longer than an idle worker of the pool looks for work before it sleeps.
const ASLEEP: Duration = Duration::from_millis(2);

fn main() {
    let threads = Threads::count(2).expect("a second thread");
    hand_off(&threads);
    println!(
        "| kernel | elements | estimate ns | serial ns | 2 parts | 4 parts | 8 parts | 2 after a pause | the model |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for text in ["a + b", "exp(a)"] {
        for log2 in (12..=20).chain([24]) {
            row(text, 1 << log2, &threads);
        }
    }
}

/// What it costs the caller that a loop has two parts, and what part of the time the other thread came before the caller had
/// done both: each part takes as long as a small part of a call.
fn hand_off(threads: &Threads) {
    println!("| pause before the call | two empty parts, ns | two parts of {PART:?}, ns | shared |");
    println!("| --- | --- | --- | --- |");
    for pause in [0, 10, 50, 200, 900, 3000].map(Duration::from_micros) {
        let rounds = |part: fn()| {
            (0..ROUNDS).map(move |_| {
                let start = Instant::now();
                // The system's sleep is too coarse for short pauses.
                while start.elapsed() < pause {
                    std::hint::spin_loop();
                }
                once(|| for_each(threads, 2, move |_| part()))
            })
        };
        let empty = quartile(rounds(|| {}).collect());
        let times: Vec<f64> = rounds(|| {
            let start = Instant::now();
            while start.elapsed() < PART {
                std::hint::spin_loop();
            }
        })
        .collect();
        let shared = times.iter().filter(|&&t| t < 1.9 * PART.as_nanos() as f64).count();
        println!(
            "| {pause:?} | {empty:.0} | {:.0} | {:.0} % |",
            quartile(times),
            100.0 * shared as f64 / ROUNDS as f64
        );
    }
    println!();
}

fn row(text: &str, n: usize, threads: &Threads) {
    let func = text.into_func().expect("an expression");
    let mut builder = GraphBuilder::new("kernel");
    let inputs: Vec<_> = func
        .params()
        .iter()
        .map(|p| builder.input(&p.name, Dtype::F32, 1))
        .collect();
    let out = builder.map(&func, &inputs).expect("a typed function");
    builder.output("out", out);
    let options = Options::native().expect("a supported host");
    let program = Program::compile(builder.finish().expect("a whole graph"), &options).expect("a supported program");

    let arrays: Vec<Vec<f32>> = inputs.iter().map(|_| vec![0.5; n]).collect();
    let mut out = vec![0.0f32; n];
    let views: Vec<_> = arrays.iter().map(Arg::view).collect();
    let layouts: Vec<_> = views.iter().map(View::layout).collect();
    let scheduled = program.schedule(&layouts).expect("layouts that fit").remove(0);
    let code = JitCode::compile(&scheduled.nest, &options.target).expect("a supported nest");
    let kernel = Arc::new(Kernel {
        nest: scheduled.nest.clone(),
        code,
    });
    let mut out = out.view_mut();
    let bytes: Vec<_> = layouts
        .iter()
        .chain([&out.layout()])
        .map(|l| l.byte_range(size_of::<f32>()))
        .collect();
    let mut regions: Vec<Region<'_>> = views.iter().map(Region::read).collect();
    regions.push(Region::write(&mut out));
    let launch =
        |split| Arc::new(Launch::new(Arc::clone(&kernel), &scheduled, split, &bytes).expect("a verified nest"));

    let serial = launch(Split::Serial {
        reason: SerialReason::OneThread,
    });
    let parts = [2, 4, 8].map(|parts| launch(into_parts(n, parts)));
    let sides = [&serial, &parts[0], &parts[1], &parts[2]];
    let mut run = |side: usize| once(|| sides[side].run(regions.iter().cloned(), threads));
    let [serial_ns, two, four, eight] = interleaved(&mut run);
    let paused = quartile(
        (0..ROUNDS / 4)
            .map(|_| {
                std::thread::sleep(ASLEEP);
                run(1)
            })
            .collect(),
    );
    println!(
        "| {text} | {n} | {:.0} | {serial_ns:.0} | {two:.0} | {four:.0} | {eight:.0} | {paused:.0} | {} |",
        Work::of(&scheduled).estimate_ns(),
        decision(&scheduled)
    );
}

fn into_parts(n: usize, parts: usize) -> Split {
    Split::Axis {
        axis: AxisId(0),
        grain: n / parts,
    }
}

fn decision(scheduled: &Scheduled) -> String {
    match split(scheduled, 2) {
        Split::Serial { reason } => reason.code().to_owned(),
        Split::Axis { grain, .. } => format!("grain {grain}"),
        Split::Grid { grain: [a, b], .. } => format!("grain {a} x {b}"),
        Split::Blocks { grain } => format!("{grain} blocks"),
    }
}

/// The times of four sides that take turns, three calls each, the last of them timed: what runs beside disturbs all alike.
fn interleaved(run: &mut impl FnMut(usize) -> f64) -> [f64; 4] {
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for (side, times) in times.iter_mut().enumerate() {
            times.push((0..3).map(|_| run(side)).last().expect("three calls"));
        }
    }
    times.map(quartile)
}

fn once(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_nanos() as f64
}

/// The lower quartile: what other load disturbs least.
fn quartile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}
