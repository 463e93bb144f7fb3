//! Every reduction × dtype × size × pattern of axes × memory layout, by bits.
//!
//! Two questions are asked of each. Do its values mean what NumPy's do? A plain reference folds the elements in C order; where
//! floats are added or multiplied they are chosen so that no step rounds, and then any order gives one result. And is the
//! order of combination the nest's? On values that do round, machine code is compared with the interpreter of nests.

mod support;

use std::panic::catch_unwind;

use loopweave::graph::bind::bind;
use loopweave::graph::build::{GraphBuilder, ReduceWith};
use loopweave::graph::{Graph, Named};
use loopweave::ir::testing::Rng;
use loopweave::ir::{Builder, Dtype, Func, Kind, Literal, Op, Scalar};
use support::{Caches, Engines, Lay, Strided, interpret};

/// Around the lanes and blocks of the orders: 32 or 64 lanes, blocks of 256 and 4096.
const SIZES: [usize; 18] = [
    0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 255, 257, 4095, 4096, 4097, 8193, 12289,
];

#[test]
fn sum() {
    named(Named::Sum);
}

#[test]
fn prod() {
    named(Named::Prod);
}

#[test]
fn min() {
    named(Named::Min);
}

#[test]
fn max() {
    named(Named::Max);
}

#[test]
fn mean() {
    named(Named::Mean);
}

#[test]
fn any_and_all() {
    named(Named::Any);
    named(Named::All);
}

#[test]
fn argmin() {
    named(Named::ArgMin);
}

#[test]
fn argmax() {
    named(Named::ArgMax);
}

/// Combiners that keep the order of their operands: each gives the left fold, whatever the grouping.
#[test]
fn combiners_that_do_not_commute() {
    let take_second = combiner(Dtype::I32, |_, _, y| y);
    custom(&take_second, Literal::Int(-1), |elements| {
        elements.last().copied().unwrap_or(Scalar::from(-1i32))
    });
    // The last element that is not 0.
    let last_set = combiner(Dtype::I16, |b, x, y| {
        let zero = b.constant(0i16);
        let set = b.node(Op::Ne, &[y, zero]);
        b.node(Op::Select, &[set, y, x])
    });
    custom(&last_set, Literal::Int(7), |elements| {
        let set = elements.iter().rev().find(|e| e.as_bool());
        set.copied().unwrap_or(Scalar::from(7i16))
    });
    // Composition of the maps x ↦ a·x + b modulo 2³², with a in the high half of an element and b in the low half.
    custom(&composition(), Literal::Int(1 << 32), |elements| {
        let (a, b) = elements.iter().fold((1u32, 0u32), |(a, b), e| {
            let (c, d) = ((e.bits() >> 32) as u32, e.bits() as u32);
            (a.wrapping_mul(c), b.wrapping_mul(c).wrapping_add(d))
        });
        Scalar::from((a as u64) << 32 | b as u64)
    });
}

/// Sums of floats as a combiner of the user's: not exact, so only the order is asked about.
#[test]
fn combiners_of_floats() {
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64] {
        let add = combiner(dtype.compute(), |b, x, y| b.node(Op::Add, &[x, y]));
        let with = ReduceWith::Custom {
            combine: &add,
            init: Literal::float(0.5),
        };
        order(with, dtype);
    }
}

#[test]
fn nothing_is_refused_where_there_is_no_identity() {
    for named in [Named::Min, Named::Max, Named::ArgMin, Named::ArgMax] {
        let graph = graph(named.into(), Dtype::F32, 2, &[-1], false);
        let error = bind(&graph, &[&[3, 0]]).unwrap_err();
        let name = named.name();
        assert_eq!(
            error.to_string(),
            format!("`{name}` over axis 1 of `x` [3, 0] has no elements")
        );
        assert!(
            bind(&graph, &[&[0, 0]]).is_ok(),
            "no result, so nothing is asked of an empty row"
        );
    }
}

#[test]
fn no_axes_and_kept_axes() {
    for named in Named::ALL {
        let x = |position| Scalar::from(position as f32 - 3.0);
        let input = || [Strided::new(Dtype::F32, &[4, 3], Lay::Contiguous, x)];
        let elements = input()[0].scalars();
        let each: Vec<Scalar> = elements
            .iter()
            .map(|e| reference(named, Dtype::F32, &[*e]).unwrap())
            .collect();
        check(
            &graph(named.into(), Dtype::F32, 2, &[], false),
            &input(),
            each,
            "no axes",
        );
        let rows: Vec<Scalar> = elements
            .chunks(3)
            .map(|row| reference(named, Dtype::F32, row).unwrap())
            .collect();
        let keepdims = graph(named.into(), Dtype::F32, 2, &[-1], true);
        assert_eq!(bind(&keepdims, &[&[4, 3]]).unwrap()[keepdims.outputs[0].1][..], [4, 1]);
        check(&keepdims, &input(), rows, "keepdims");
    }
}

/// A reduction of NumPy's, on every dtype.
fn named(named: Named) {
    let failed: Vec<Dtype> = Dtype::ALL
        .into_iter()
        .filter(|&dtype| {
            let meaning = || {
                meaning(
                    named.into(),
                    dtype,
                    |rng| element(named, dtype, rng),
                    |elements| reference(named, dtype, elements),
                );
            };
            // Where no order rounds, all orders give what the reference gave.
            let rounds = dtype.is_float() && matches!(named, Named::Sum | Named::Prod | Named::Mean);
            catch_unwind(meaning).is_err() || rounds && catch_unwind(|| order(named.into(), dtype)).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "`{}` fails on {failed:?}", named.name());
}

fn custom(combine: &Func, init: Literal, fold: impl Fn(&[Scalar]) -> Scalar) {
    let dtype = combine.param_dtypes()[0];
    let with = ReduceWith::Custom { combine, init };
    let element = |rng: &mut Rng| match rng.one_in(3) {
        true => Scalar::from_bits(dtype, 0),
        false => Scalar::from_bits(dtype, rng.bits()),
    };
    meaning(with, dtype, element, |elements| Some(fold(elements)));
}

fn combiner(
    dtype: Dtype,
    body: impl FnOnce(&mut Builder, loopweave::ir::ExprId, loopweave::ir::ExprId) -> loopweave::ir::ExprId,
) -> Func {
    let mut b = Builder::typed("combine");
    let x = b.param("a", Some(dtype));
    let y = b.param("b", Some(dtype));
    let result = body(&mut b, x, y);
    b.finish(&[result])
}

fn composition() -> Func {
    combiner(Dtype::U64, |b, f, g| {
        let half = b.constant(32u64);
        let low = b.constant(0xffff_ffffu64);
        let a = b.node(Op::Shr, &[f, half]);
        let c = b.node(Op::Shr, &[g, half]);
        let slope = b.node(Op::Mul, &[a, c]);
        let slope = b.node(Op::Shl, &[slope, half]);
        let offset = b.node(Op::And, &[f, low]);
        let offset = b.node(Op::Mul, &[offset, c]);
        let offset = b.node(Op::Add, &[offset, g]);
        let offset = b.node(Op::And, &[offset, low]);
        b.node(Op::Or, &[slope, offset])
    })
}

/// Compares all engines with a reference on values on which it is exact.
fn meaning(
    with: ReduceWith<'_>,
    dtype: Dtype,
    element: impl Fn(&mut Rng) -> Scalar,
    reference: impl Fn(&[Scalar]) -> Option<Scalar>,
) {
    each_case(with, dtype, |engines, shape, axes, lay, case| {
        let mut rng = Rng::new(shape.iter().sum::<usize>() as u64);
        let values: Vec<Scalar> = (0..shape.iter().product()).map(|_| element(&mut rng)).collect();
        let input = [Strided::new(dtype, shape, lay, |position| values[position])];
        let expected: Option<Vec<Scalar>> = groups(&input[0].scalars(), shape, axes)
            .iter()
            .map(|g| reference(g))
            .collect();
        if let Some(expected) = expected {
            engines.check(&input, &[expected], case);
        }
    });
}

/// Compares machine code with the interpreter of nests on values of any kind.
fn order(with: ReduceWith<'_>, dtype: Dtype) {
    each_case(with, dtype, |engines, shape, _, lay, case| {
        let mut rng = Rng::new(7 + shape.iter().sum::<usize>() as u64);
        let values: Vec<Scalar> = (0..shape.iter().product()).map(|_| small(dtype, &mut rng)).collect();
        let input = [Strided::new(dtype, shape, lay, |position| values[position])];
        engines.check_code(&input, &interpret(engines.speed(), &input), case);
    });
}

/// Calls `check` for every shape, pattern of axes and layout.
fn each_case(with: ReduceWith<'_>, dtype: Dtype, check: impl Fn(&Engines, &[usize], &[isize], Lay, &str)) {
    let caches = Caches::default();
    // Per pattern: the place of the long axis in a shape, and the reduced axes.
    let patterns: [(&[usize], &[isize]); 8] = [
        (&[0], &[0]),
        (&[3, 0], &[1]),
        (&[0, 3], &[0]),
        (&[2, 0, 3], &[1]),
        (&[2, 0, 3], &[1, 2]),
        (&[2, 0, 3], &[0, 1]),
        (&[0, 2, 3], &[0, 2]),
        (&[3, 0], &[0, 1]),
    ];
    for (extents, axes) in patterns {
        let engines = Engines::new(&graph(with, dtype, extents.len(), axes, false), &caches);
        for size in SIZES {
            // One size beyond a block is enough for the patterns whose arrays are several times as large.
            if size > 300 && (axes.len() > 1 || extents.len() > 1 && size != 4097) {
                continue;
            }
            let shape: Vec<usize> = extents.iter().map(|&e| if e == 0 { size } else { e }).collect();
            let lays = match size {
                3 | 65 => Lay::all(shape.len()),
                _ => vec![Lay::Contiguous],
            };
            for lay in lays {
                let case = format!("{dtype} {shape:?} axes {axes:?} {lay:?}");
                check(&engines, &shape, axes, lay, &case);
            }
        }
    }
}

fn check(graph: &Graph, inputs: &[Strided], expected: Vec<Scalar>, case: &str) {
    let case = format!("{} {case}", graph.name);
    Engines::new(graph, &Caches::default()).check(inputs, &[expected], &case);
}

fn graph(with: ReduceWith<'_>, dtype: Dtype, rank: usize, axes: &[isize], keepdims: bool) -> Graph {
    let mut g = GraphBuilder::new("g");
    let x = g.input("x", dtype, rank);
    let result = g.reduce(with, x, Some(axes), keepdims).unwrap();
    g.output("result", result);
    g.finish().unwrap()
}

/// The elements that go into each result, in C order.
fn groups(elements: &[Scalar], shape: &[usize], axes: &[isize]) -> Vec<Vec<Scalar>> {
    let is_reduced = |axis: usize| axes.contains(&(axis as isize));
    let results = (0..shape.len()).filter(|&a| !is_reduced(a)).map(|a| shape[a]).product();
    let mut groups = vec![Vec::new(); results];
    for (position, &element) in elements.iter().enumerate() {
        let (mut rest, mut result, mut scale) = (position, 0, 1);
        for axis in (0..shape.len()).rev() {
            if !is_reduced(axis) {
                result += rest % shape[axis] * scale;
                scale *= shape[axis];
            }
            rest /= shape[axis];
        }
        groups[result].push(element);
    }
    groups
}

/// An element for the reference: any value where the reduction never rounds, else one of those that make it exact.
fn element(named: Named, dtype: Dtype, rng: &mut Rng) -> Scalar {
    let float = dtype.is_float();
    match named {
        Named::Sum if float => Scalar::from_f64(dtype, rng.below(17) as f64 - 8.0),
        Named::Mean => Scalar::from_f64(dtype, rng.below(17) as f64 - 8.0),
        Named::Prod if float => {
            let magnitude = *rng.pick(&[2.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
            Scalar::from_f64(dtype, if rng.one_in(2) { magnitude } else { -magnitude })
        }
        Named::Any => Scalar::from_bits(dtype, rng.one_in(300) as u64),
        Named::All => Scalar::from_bits(dtype, !rng.one_in(300) as u64),
        _ => {
            // A NaN decides, so it is rare.
            let value = rng.value(dtype);
            if value.is_nan() && !rng.one_in(20) {
                Scalar::from_bits(dtype, 0)
            } else {
                value
            }
        }
    }
}

/// A value whose sums and products stay finite for a while.
fn small(dtype: Dtype, rng: &mut Rng) -> Scalar {
    match dtype.kind() {
        Kind::Float if !rng.one_in(5000) => {
            let magnitude = 1.0 + (rng.below(2001) as f64 - 1000.0) / 4096.0;
            Scalar::from_f64(dtype, if rng.one_in(2) { magnitude } else { -magnitude })
        }
        _ => rng.value(dtype),
    }
}

/// NumPy's result for these elements, in C order, of an array of this dtype; `None` where it refuses.
fn reference(named: Named, dtype: Dtype, elements: &[Scalar]) -> Option<Scalar> {
    if elements.is_empty() && !named.has_identity() {
        return None;
    }
    let widened = |start: i128, fold: fn(i128, i128) -> i128| {
        let total = elements.iter().fold(start, |t, e| fold(t, e.as_i128()) as u64 as i128);
        let wide = if dtype.kind() == Kind::Unsigned {
            Dtype::U64
        } else {
            Dtype::I64
        };
        Scalar::from_i128(wide, total)
    };
    let float_sum = || elements.iter().map(|e| e.as_f64()).reduce(|a, b| a + b).unwrap_or(0.0);
    let best = |better: fn(f64, f64) -> bool, int: fn(i128, i128) -> bool| {
        let mut best = 0;
        for (i, e) in elements.iter().enumerate() {
            let b = elements[best];
            let improves = match dtype.kind() {
                Kind::Float => !b.is_nan() && (e.is_nan() || better(e.as_f64(), b.as_f64())),
                _ => int(e.as_i128(), b.as_i128()),
            };
            if improves {
                best = i;
            }
        }
        best
    };
    // For the value, unlike for the position, −0 is below +0.
    let below = |x: f64, y: f64| x < y || (x == y && x.is_sign_negative() && !y.is_sign_negative());
    let above = |x: f64, y: f64| x > y || (x == y && !x.is_sign_negative() && y.is_sign_negative());
    Some(match named {
        Named::Sum if dtype.is_float() => Scalar::from_f64(dtype, float_sum()),
        Named::Sum => widened(0, |t, e| t.wrapping_add(e)),
        Named::Prod if dtype.is_float() => Scalar::from_f64(dtype, elements.iter().map(|e| e.as_f64()).product()),
        Named::Prod => widened(1, |t, e| t.wrapping_mul(e)),
        Named::Mean => {
            let count = elements.len() as f64;
            match dtype {
                Dtype::F64 => Scalar::from(float_sum() / count),
                Dtype::F32 | Dtype::F16 | Dtype::Bf16 => {
                    let mean = float_sum() as f32 / count as f32;
                    Scalar::from_f64(dtype, mean.into())
                }
                _ => Scalar::from(float_sum() / count),
            }
        }
        Named::Min => elements[best(below, |x, y| x < y)],
        Named::Max => elements[best(above, |x, y| x > y)],
        Named::ArgMin => Scalar::from(best(|x, y| x < y, |x, y| x < y) as i64),
        Named::ArgMax => Scalar::from(best(|x, y| x > y, |x, y| x > y) as i64),
        Named::Any => Scalar::from(elements.iter().any(|e| e.as_bool())),
        Named::All => Scalar::from(elements.iter().all(|e| e.as_bool())),
    })
}
