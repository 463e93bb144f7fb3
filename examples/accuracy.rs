//! Measures every elementary function against correctly rounded ones and prints the rows of `ir/ACCURACY.md`.
//!
//! `cargo run --release --example accuracy -- [FUNCTION|all] [STRIDE] [POINTS] [TIER]`: for a function of one `f32` one block
//! of 1024 neighbours in STRIDE (4096 by default; 1 means each of the 2³²), for `f64` and two operands POINTS random inputs
//! (a million by default), of one operand one in eight of them in runs of neighbours. No inputs, and no rows, for 0. TIER is `precise` or `fast`; without it, both. `misses=FILE` lists
//! some of the inputs whose precise `f64` results are not correctly rounded, in hexadecimal bits, of which
//! `ir/tools/fractions.py` tells how many ulps they are off.
//!
//! The functions are compiled for this machine, which makes each of the 2³² results of a function a matter of seconds; their
//! bits are those of the interpreter. Of an `f64` function the table shows the distance to the correctly rounded value, in
//! whole ulps.

#[path = "../tests/compiled/mod.rs"]
mod compiled;
#[path = "../ir/tests/oracle/mod.rs"]
mod oracle;

use std::fs::File;
use std::io::{BufWriter, Write};

use compiled::{Chunk, Function, LANES};
use loopweave::ir::testing::operations;
use loopweave::ir::{Accuracy, Dtype, Scalar};
use oracle::{CASES, Case, Inputs, Slope, backward_steps, distance, expanded_to, wrong_specials};

/// So many misses of a function are listed before only every second is, and so on.
const MISSES: u64 = 20_000;

/// What to measure.
struct Options {
    only: Option<String>,
    stride: u64,
    points: u64,
    tiers: Vec<Accuracy>,
    misses: Option<BufWriter<File>>,
}

fn main() {
    let mut options = options();
    println!(
        "| function | dtype | ops | bound | measured | worst input seen | inputs | wrong specials | not monotone |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for accuracy in options.tiers.clone() {
        for dtype in [Dtype::F32, Dtype::F64] {
            for case in CASES {
                let is_wanted = options.only.as_deref().is_none_or(|name| name == case.op.name());
                let is_same = expanded_to(case.op, dtype, accuracy) == expanded_to(case.op, dtype, Accuracy::Precise);
                if !is_wanted || (accuracy == Accuracy::Fast && is_same) {
                    continue;
                }
                let inputs = match (dtype, case.op.arity()) {
                    (Dtype::F32, 1) if options.stride > 0 => Inputs::sweep(case.op, options.stride),
                    (Dtype::F32, 1) => continue,
                    _ if options.points > 0 => Inputs::new(case.op, dtype, options.points),
                    _ => continue,
                };
                println!("{}", measure(case, dtype, accuracy, inputs, options.misses.as_mut()));
            }
        }
    }
}

fn options() -> Options {
    let mut options = Options {
        only: None,
        stride: 4096,
        points: 1_000_000,
        tiers: vec![Accuracy::Precise, Accuracy::Fast],
        misses: None,
    };
    let mut numbers = 0;
    for arg in std::env::args().skip(1) {
        if let Some(path) = arg.strip_prefix("misses=") {
            options.misses = Some(BufWriter::new(File::create(path).expect("the file can be made")));
        } else if let Ok(number) = arg.parse() {
            *[&mut options.stride, &mut options.points][usize::min(numbers, 1)] = number;
            numbers += 1;
        } else {
            match arg.as_str() {
                "all" => {}
                "precise" => options.tiers = vec![Accuracy::Precise],
                "fast" => options.tiers = vec![Accuracy::Fast],
                name => options.only = Some(name.to_owned()),
            }
        }
    }
    options
}

fn measure(
    case: &Case,
    dtype: Dtype,
    accuracy: Accuracy,
    mut inputs: Inputs,
    mut misses: Option<&mut BufWriter<File>>,
) -> String {
    let function = Function::new(case.op, dtype, accuracy);
    let (mut worst, mut at, mut count, mut steps_back) = (0.0, [0; 2], 0u64, 0u64);
    // Each miss at first, and fewer with each so many listed.
    let (mut every, mut seen, mut listed) = (1, 0u64, 0u64);
    let is_listed = accuracy == Accuracy::Precise && dtype == Dtype::F64 && case.op.arity() == 1;
    let mut chunk: Chunk = [[0; LANES]; 2];
    let mut results = [0; LANES];
    let mut last = None;
    loop {
        let filled = inputs.fill(&mut chunk);
        if filled == 0 {
            break;
        }
        function.run(&chunk, &mut results);
        for (lane, &result) in results[..filled].iter().enumerate() {
            let args = [chunk[0][lane], chunk[1][lane]];
            let error = distance(case, dtype, args, result);
            // A NaN is no error but that of the tool.
            if error > worst || error.is_nan() {
                (worst, at) = (error, args);
            }
            if let Some(file) = misses.as_mut().filter(|_| error > 0.0 && is_listed) {
                seen += 1;
                if seen.is_multiple_of(every) || error > 1.0 {
                    listed += 1;
                    every <<= u32::from(listed.is_multiple_of(MISSES));
                    writeln!(file, "{} {:x} {result:x}", case.op.name(), args[0]).expect("the file can be written");
                }
            }
        }
        steps_back += backward_steps(case.slope, dtype, &mut last, &chunk[0][..filled], &results);
        count += filled as u64;
    }
    let wrong = wrong_specials(case, dtype, accuracy);
    wrong.iter().for_each(|w| eprintln!("{w}"));
    let args = at.map(|bits| Scalar::from_bits(dtype, bits));
    let measured = match dtype {
        Dtype::F32 => format!("{:.3}", f64::max(worst, 0.5)),
        _ if worst == 0.0 => "0.5".to_owned(),
        _ => format!("< {}", worst + 0.5),
    };
    let shown = |value: Scalar| value.to_string().trim_end_matches(&dtype.to_string()).to_owned();
    let place = match (worst, case.op.arity()) {
        (0.0, _) => "—".to_owned(),
        (_, 1) => shown(args[0]),
        _ => format!("{}, {}", shown(args[0]), shown(args[1])),
    };
    let monotone = match case.slope {
        Slope::Rises | Slope::Falls => steps_back.to_string(),
        Slope::None => "—".to_owned(),
    };
    format!(
        "| `{}`{} | {dtype} | {} | {} | {measured} | {place} | {} | {} | {monotone} |",
        case.op.name(),
        if accuracy == Accuracy::Fast { " fast" } else { "" },
        operations(&expanded_to(case.op, dtype, accuracy)),
        case.op.max_ulp(dtype, accuracy).expect("the op is expanded"),
        grouped(count),
        wrong.len(),
    )
}

/// A number with a comma at every thousand.
fn grouped(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        _ => format!("{},{:03}", grouped(count / 1000), count % 1000),
    }
}
