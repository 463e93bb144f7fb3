//! Random functions, shapes, strides and views, compared with the scalar interpreter and with plain index arithmetic.

mod support;

use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{Dim, Slice};
use loopweave::ir::interp::Evaluator;
use loopweave::ir::testing::{Profile, Rng, random_func};
use loopweave::ir::{Dtype, Scalar};
use loopweave::pipeline::{Options, Program};
use proptest::prelude::*;
use support::{AxisLay, Caches, Engines, Strided, map_graph, run};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_functions_on_random_layouts(seed: u64, shape in shapes(), layouts: [u64; 3]) {
        random_case(seed, &shape, layouts);
    }

    #[test]
    fn slices_permutations_and_broadcasts(shape in proptest::collection::vec(0usize..6, 1..5), seed: u64) {
        random_view(&shape, seed);
    }
}

/// Functions that once failed, or show what a random one seldom does.
#[test]
fn named_cases() {
    // Rank 8, whose axes do not merge.
    random_case(1, &[2, 1, 2, 3, 1, 2, 2, 2], [1, 2, 3]);
    // Rank 10.
    random_case(2, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 3], [4, 5, 6]);
    // An extent of 0 between others.
    random_case(3, &[4, 0, 3], [7, 8, 9]);
    // A parameter that is not used, and wider than every value.
    random_case(
        13600003529690454452,
        &[3],
        [11063939886560047175, 11277073935560163107, 13554203477787462603],
    );
    // A multiply-add of integers, one of them negated.
    random_case(
        13045403361116879340,
        &[],
        [5319023925158015550, 14041684148695122899, 16462842236295967410],
    );
    // Long inner axes with each kind of stride.
    for seed in 0..8 {
        random_case(seed, &[3, 1000], [seed, seed + 1, seed + 2]);
    }
}

/// Shapes of rank 0 to 6 with small extents, 0 among them.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    let extent = prop_oneof![1 => Just(0usize), 4 => Just(1usize), 20 => 2usize..8];
    proptest::collection::vec(extent, 0..7)
}

/// A random function on arrays that broadcast to `shape`, each in a layout of its own.
fn random_case(seed: u64, shape: &[usize], layouts: [u64; 3]) {
    let profile = Profile {
        params: 3,
        ops: 16,
        dtypes: some_dtypes(seed),
        ..Profile::default()
    };
    let func = random_func(seed, &profile);
    let inputs: Vec<Strided> = func
        .param_dtypes()
        .into_iter()
        .zip(layouts)
        .map(|(dtype, layout)| random_array(dtype, shape, layout))
        .collect();
    let elements: Vec<Vec<Scalar>> = inputs.iter().map(Strided::scalars).collect();
    let mut meaning = Evaluator::new(&func).unwrap();
    let mut expected = vec![Vec::new(); func.results().len()];
    for i in 0..shape.iter().product() {
        let args: Vec<Scalar> = elements.iter().map(|e| e[i]).collect();
        for (results, &value) in expected.iter_mut().zip(meaning.eval(&args, 0).unwrap()) {
            results.push(value);
        }
    }
    let graph = map_graph(&func, &[shape.len(); 3]);
    Engines::new(&graph, &Caches::default()).check(&inputs, &expected, &format!("seed {seed} {shape:?} {layouts:?}"));
}

/// Three dtypes at most, so that many values meet.
fn some_dtypes(seed: u64) -> Vec<Dtype> {
    let mut rng = Rng::new(!seed);
    (0..3).map(|_| *rng.pick(&Dtype::ALL)).collect()
}

fn random_array(dtype: Dtype, shape: &[usize], seed: u64) -> Strided {
    let mut rng = Rng::new(seed);
    let lays: Vec<AxisLay> = shape
        .iter()
        .map(|_| AxisLay {
            step: *rng.pick(&[1, 1, 1, 2, 3, -1, -2]),
            broadcast: rng.one_in(5),
            first: rng.one_in(3).into(),
        })
        .collect();
    let axes = permutation(&mut rng, shape.len());
    let values: Vec<Scalar> = (0..shape.iter().product()).map(|_| rng.value(dtype)).collect();
    Strided::general(dtype, shape, &lays, &axes, |position| values[position])
}

fn permutation(rng: &mut Rng, rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..rank).collect();
    if rng.one_in(2) {
        for i in (1..rank).rev() {
            axes.swap(i, rng.below(i + 1));
        }
    }
    axes
}

/// A program that shows a random view of its input, compared with Python's rule for slices written out.
fn random_view(shape: &[usize], seed: u64) {
    let mut rng = Rng::new(seed);
    let mut g = GraphBuilder::new("view");
    let x = g.input("x", Dtype::I32, shape.len());
    // Per axis of the result: the positions along the input's axis that it shows; no axis for a new one.
    let mut shown: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
    let mut fixed = vec![0; shape.len()];
    let mut slices = Vec::new();
    for (axis, &extent) in shape.iter().enumerate() {
        match rng.below(6) {
            0 if extent > 0 => {
                let at = rng.below(2 * extent) as i64 - extent as i64;
                fixed[axis] = at.rem_euclid(extent as i64) as usize;
                slices.push(Slice::At(at));
            }
            1 => {
                slices.extend([Slice::New, Slice::ALL]);
                shown.extend([(None, vec![0]), (Some(axis), (0..extent).collect())]);
            }
            _ => {
                let bound =
                    |rng: &mut Rng| (!rng.one_in(3)).then(|| rng.below(3 * extent + 3) as i64 - extent as i64 - 1);
                let (start, stop) = (bound(&mut rng), bound(&mut rng));
                let step = *rng.pick(&[1, 1, 2, 3, -1, -2, -3]);
                slices.push(Slice::Range { start, stop, step });
                shown.push((Some(axis), python_range(start, stop, step, extent)));
            }
        }
    }
    let view = g.slice(x, &slices).unwrap();
    let axes = permutation(&mut rng, shown.len());
    let signed: Vec<isize> = axes.iter().map(|&a| a as isize).collect();
    let view = g.permute(view, &signed).unwrap();
    shown = axes.iter().map(|&a| shown[a].clone()).collect();
    // A leading axis, and any axis of extent 1, may grow.
    shown.insert(0, (None, vec![0; 1 + rng.below(3)]));
    for (_, positions) in &mut shown {
        if positions.len() == 1 && rng.one_in(2) {
            *positions = vec![positions[0]; 1 + rng.below(4)];
        }
    }
    let dims: Vec<Dim> = shown.iter().map(|(_, positions)| Dim::Fixed(positions.len())).collect();
    let view = g.broadcast(view, &dims).unwrap();
    let negated = g.map(&loopweave::ir::trace("neg", |[x]| -x).unwrap(), &[view]).unwrap();
    g.output("y", negated);
    let program = Program::compile(g.finish().unwrap(), &Options::native().unwrap()).unwrap();

    let input = Strided::general(
        Dtype::I32,
        shape,
        &vec![
            AxisLay {
                step: 1,
                broadcast: false,
                first: 0,
            };
            shape.len()
        ],
        &permutation(&mut rng, shape.len()),
        |position| Scalar::from(position as i32),
    );
    let mut expected = Vec::new();
    let total: usize = shown.iter().map(|(_, positions)| positions.len()).product();
    for mut position in 0..total {
        let mut index = fixed.clone();
        for (axis, positions) in shown.iter().rev() {
            if let Some(axis) = axis {
                index[*axis] = positions[position % positions.len()];
            }
            position /= positions.len();
        }
        let at = index.iter().zip(shape).fold(0, |at, (i, extent)| at * extent + i);
        expected.push(Scalar::from(-(at as i32)));
    }
    let found = run(&program, &[input]).unwrap();
    support::assert_same(&found, &[expected], &format!("{shape:?} {slices:?} {axes:?}"));
}

/// The positions of `start:stop:step` along an axis, by the rule of Python's reference for sequences.
fn python_range(start: Option<i64>, stop: Option<i64>, step: i64, extent: usize) -> Vec<usize> {
    let extent = extent as i64;
    let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
    let bound = |given: Option<i64>, default: i64| match given {
        None => default,
        Some(at) if at < 0 => (at + extent).clamp(low, high),
        Some(at) => at.clamp(low, high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, stop) = (bound(start, first), bound(stop, last));
    let mut positions = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        positions.push(at as usize);
        at += step;
    }
    positions
}
