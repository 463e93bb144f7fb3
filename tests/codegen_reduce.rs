//! Reductions as machine code against the interpreter: both orders, vectors along the elements of a result and across results,
//! every way through a block, all three functions.

mod harness;

use harness::{Layout, Via, axis, bind, compare, fill, operand};
use loopweave::codegen::jit::JitCode;
use loopweave::nest::interp::Buffer;
use loopweave::nest::{AxisRole, Binding, Leaf, Nest, OperandId, Order, Reduce, Role, Vector, Writes};
use loopweave::target::{OptLevel, Target};
use loopweave_ir::testing::Rng;
use loopweave_ir::{Builder, Dtype, Func, Op, Scalar};

/// A map and its combiner, with an initial value.
struct Combiner {
    name: &'static str,
    map: Func,
    combine: Func,
    init: Vec<Scalar>,
}

fn same_map(dtype: Dtype) -> Func {
    let mut b = Builder::typed("map");
    let x = b.param("x", Some(dtype));
    b.finish(&[x])
}

fn pair(
    name: &str,
    dtype: Dtype,
    f: impl FnOnce(&mut Builder, [loopweave_ir::ExprId; 2]) -> loopweave_ir::ExprId,
) -> Func {
    let mut b = Builder::typed(name);
    let args = [b.param("a", Some(dtype)), b.param("b", Some(dtype))];
    let result = f(&mut b, args);
    b.finish(&[result])
}

fn simple(name: &'static str, dtype: Dtype, op: Op, init: i128) -> Combiner {
    Combiner {
        name,
        map: same_map(dtype),
        combine: pair(name, dtype, |b, args| b.node(op, &args)),
        init: vec![Scalar::from_i128(dtype, init)],
    }
}

fn combiners() -> Vec<Combiner> {
    use Dtype::*;
    let mut list = vec![
        simple("sum", F32, Op::Add, 3),
        simple("sum", F64, Op::Add, 3),
        simple("product", I8, Op::Mul, 1),
        simple("minimum", F32, Op::Minimum, 7),
        simple("maximum", U64, Op::Maximum, 7),
        simple("any", Bool, Op::Or, 0),
    ];
    // Neither associative nor commutative: any change of the order shows.
    for dtype in [U32, I64, U16] {
        let combine = pair("digits", dtype, |b, [x, y]| {
            let base = b.node(Op::Const(Scalar::from_i128(dtype, 31)), &[]);
            b.node(Op::Fma, &[x, base, y])
        });
        list.push(Combiner {
            name: "digits",
            map: same_map(dtype),
            combine,
            init: vec![Scalar::from_i128(dtype, 5)],
        });
    }
    // The position of the largest element, the first of equal ones: two accumulators of different widths.
    for (value, op) in [(F32, Op::Gt), (I8, Op::Gt)] {
        let mut b = Builder::typed("with position");
        let x = b.param("x", Some(value));
        let index = b.node(Op::Index, &[]);
        let map = b.finish(&[x, index]);
        let mut b = Builder::typed("argmax");
        let [av, ai, bv, bi] = [value, I64, value, I64].map(|d| {
            let name = format!("p{}", b.len());
            b.param(name, Some(d))
        });
        let greater = b.node(op, &[bv, av]);
        let v = b.node(Op::Select, &[greater, bv, av]);
        let i = b.node(Op::Select, &[greater, bi, ai]);
        let combine = b.finish(&[v, i]);
        let init = vec![Scalar::from_i128(value, 2), Scalar::from_i128(I64, -1)];
        list.push(Combiner {
            name: "argmax",
            map,
            combine,
            init,
        });
    }
    // Of two operands, through a wider type, to a mask.
    let mut b = Builder::typed("dot");
    let (x, y) = (b.param("x", Some(F32)), b.param("y", Some(F32)));
    let (x, y) = (b.cast(x, F64), b.cast(y, F64));
    let product = b.node(Op::Mul, &[x, y]);
    let less = b.node(Op::Lt, &[x, y]);
    let map = b.finish(&[product, less]);
    let mut b = Builder::typed("sum and all");
    let [s, p, t, q] = [F64, Bool, F64, Bool].map(|d| {
        let name = format!("p{}", b.len());
        b.param(name, Some(d))
    });
    let (sum, all) = (b.node(Op::Add, &[s, t]), b.node(Op::Xor, &[p, q]));
    let combine = b.finish(&[sum, all]);
    list.push(Combiner {
        name: "dot",
        map,
        combine,
        init: vec![Scalar::from(1.0f64), Scalar::from(true)],
    });
    list
}

/// What becomes of the initial value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Init {
    None,
    Identity,
    Applied,
}

fn reduce_nest(c: &Combiner, order: Order, axes: &[AxisRole], layout: Layout, init: Init, vector: Vector) -> Nest {
    let accumulators = c.map.result_dtypes();
    // Results as they are, and of the last one also its count and another operand.
    let mut b = Builder::typed("finish");
    let mut values: Vec<_> = (0..)
        .zip(&accumulators)
        .map(|(i, &d)| b.param(format!("a{i}"), Some(d)))
        .collect();
    let n = b.param("n", Some(Dtype::I64));
    let extra = b.param("e", Some(Dtype::I64));
    values.push(b.node(Op::Add, &[n, extra]));
    let finish = b.finish(&values);

    let inputs = c.map.param_dtypes();
    let is_across = axes.last() == Some(&Kept);
    let mut operands: Vec<_> = inputs.iter().map(|&d| operand(d, Role::Input, layout)).collect();
    // The result has no extent along a reduced vector axis.
    let of_result = if is_across {
        Layout::Contiguous
    } else {
        Layout::Broadcast
    };
    operands.push(operand(Dtype::I64, Role::Input, of_result));
    operands.extend(
        finish
            .result_dtypes()
            .iter()
            .map(|&d| operand(d, Role::Output, of_result)),
    );
    let id = |i: usize| OperandId(i as u32);
    let k = inputs.len();
    Nest {
        name: String::from(c.name),
        axes: axes.iter().map(|&role| axis(role)).collect(),
        leaf: Leaf::Reduce(Reduce {
            map: c.map.clone(),
            loads: (0..k).map(id).collect(),
            combine: c.combine.clone(),
            init: (init != Init::None).then(|| c.init.clone()),
            apply_init: init == Init::Applied,
            finish,
            finish_loads: vec![id(k)],
            stores: (k + 1..operands.len()).map(id).collect(),
            order,
        }),
        operands,
        vector,
        writes: Writes::Plain,
    }
}

fn check(nest: &Nest, layout: Layout, shapes: &[Vec<usize>], opts: &[OptLevel], via: &[Via], what: &str) {
    let Leaf::Reduce(reduce) = &nest.leaf else {
        panic!("a reduction")
    };
    for &opt in opts {
        let target = Target::native().unwrap().with_opt_level(opt);
        let code = JitCode::compile(nest, &target).unwrap_or_else(|e| panic!("{what}: {e}\n{nest}"));
        for shape in shapes {
            let mut rng = Rng::new(shape.iter().sum::<usize>() as u64 + 1);
            let mut bounds = Vec::new();
            let mut buffers = Vec::new();
            for (i, operand) in nest.operands.iter().enumerate() {
                let of_result = i >= reduce.loads.len();
                let along: Vec<bool> = nest
                    .axes
                    .iter()
                    .map(|a| !of_result || a.role == AxisRole::Kept)
                    .collect();
                let how = if of_result { Layout::Contiguous } else { layout };
                let (bound, bytes) = bind(operand.dtype, how, shape, &along);
                bounds.push(bound);
                let value = |_| match operand.dtype {
                    // Ordinary numbers: a sum of special ones is soon a NaN.
                    Dtype::F32 | Dtype::F64 => Scalar::from_f64(operand.dtype, rng.below(2000) as f64 / 7.0 - 140.0),
                    dtype => rng.value(dtype),
                };
                buffers.push(Buffer {
                    bytes: fill(operand.dtype, bytes, value),
                    origin: 0,
                });
            }
            let binding = Binding {
                extents: shape.iter().copied().collect(),
                operands: bounds.into_iter().collect(),
                strip: None,
            };
            compare(nest, &code, &binding, &buffers, via, what);
        }
    }
}

fn vectors(c: &Combiner) -> Vec<Vector> {
    let sizes = c
        .map
        .param_dtypes()
        .into_iter()
        .chain(c.map.result_dtypes())
        .map(|d| d.size());
    let (min, max) = sizes.fold((8, 1), |(min, max), s| (min.min(s), max.max(s)));
    let lanes = (16 / min).min(64 / max) as u32;
    vec![
        Vector { lanes, unroll: 4 },
        Vector { lanes: 2, unroll: 3 },
        Vector { lanes: 1, unroll: 1 },
    ]
}

use AxisRole::{Kept, Reduced};
const BOTH: [OptLevel; 2] = [OptLevel::Speed, OptLevel::None];

#[test]
fn lanes_of_one_axis() {
    let lengths: Vec<usize> = (0..=70)
        .chain([95, 96, 97, 127, 128, 129, 200, 255, 256, 257, 300, 511, 700, 1025])
        .collect();
    for c in combiners() {
        for layout in Layout::ALL {
            for (i, vector) in vectors(&c).into_iter().enumerate() {
                let init = [Init::Identity, Init::Applied, Init::None][i];
                let order = Order::Lanes {
                    lanes: if i == 1 { 32 } else { 64 },
                    block: 256,
                };
                let what = format!("{} {layout:?} {init:?} {vector:?}", c.name);
                let nest = reduce_nest(&c, order, &[Reduced], layout, init, vector);
                // Nothing is reduced only where that has a value.
                let flat: Vec<_> = lengths
                    .iter()
                    .skip((init == Init::None) as usize)
                    .map(|&n| vec![n])
                    .collect();
                check(&nest, layout, &flat, &BOTH, &[Via::Main, Via::Parts], &what);
                let nest = reduce_nest(&c, order, &[Kept, Reduced], layout, init, vector);
                let rows: Vec<_> = flat
                    .iter()
                    .step_by(5)
                    .flat_map(|n| [vec![3, n[0]], vec![0, n[0]]])
                    .collect();
                check(&nest, layout, &rows, &BOTH[..1], &[Via::Main], &what);
            }
        }
    }
}

#[test]
fn lanes_of_several_axes() {
    let shapes = [
        [2, 0, 3],
        [1, 1, 1],
        [2, 2, 3],
        [1, 5, 13],
        [2, 3, 40],
        [3, 7, 64],
        [2, 30, 20],
        [1, 3, 700],
    ];
    for c in combiners() {
        for layout in Layout::ALL {
            for vector in vectors(&c) {
                let order = Order::Lanes { lanes: 32, block: 512 };
                let what = format!("{} {layout:?} {vector:?}", c.name);
                let nest = reduce_nest(&c, order, &[Kept, Reduced, Reduced], layout, Init::Applied, vector);
                let all: Vec<_> = shapes.iter().map(|s| s.to_vec()).collect();
                check(&nest, layout, &all, &BOTH[..1], &[Via::Main], &what);
                let nest = reduce_nest(&c, order, &[Reduced, Reduced, Reduced], layout, Init::Applied, vector);
                check(&nest, layout, &all, &BOTH[..1], &[Via::Main, Via::Parts], &what);
            }
        }
    }
}

#[test]
fn across_results() {
    let flat: Vec<Vec<usize>> = [0, 1, 2, 3, 8, 9, 10, 17, 33, 64, 100]
        .into_iter()
        .flat_map(|n| [0, 1, 3, 4, 19].map(|v| vec![n, v]))
        .chain([vec![5, 2100], vec![40, 1030]])
        .collect();
    let deep: Vec<Vec<usize>> = vec![
        vec![2, 0, 3, 5],
        vec![2, 3, 4, 21],
        vec![1, 9, 5, 3],
        vec![0, 2, 2, 2],
        vec![3, 1, 1, 1],
    ];
    for c in combiners() {
        for layout in Layout::ALL {
            for (i, vector) in vectors(&c).into_iter().enumerate() {
                let init = [Init::Applied, Init::Identity, Init::Applied][i];
                for order in [Order::Chain { block: 20 }, Order::Lanes { lanes: 4, block: 20 }] {
                    let what = format!("{} {order:?} {layout:?} {init:?} {vector:?}", c.name);
                    let nest = reduce_nest(&c, order, &[Reduced, Kept], layout, init, vector);
                    check(&nest, layout, &flat, &BOTH, &[Via::Main, Via::Parts], &what);
                    let nest = reduce_nest(&c, order, &[Kept, Reduced, Reduced, Kept], layout, init, vector);
                    check(&nest, layout, &deep, &BOTH[..1], &[Via::Main], &what);
                }
            }
        }
    }
}
