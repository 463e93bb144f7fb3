//! Maps as machine code against the interpreter: every basic op at every dtype, in every layout, on edge values.

mod harness;

use harness::{Layout, Via, axis, bind, compare, fill, operand};
use loopweave::codegen::jit::JitCode;
use loopweave::nest::interp::Buffer;
use loopweave::nest::{AxisRole, Binding, Leaf, Nest, OperandId, Role, Vector, Writes};
use loopweave::target::{OptLevel, Target};
use loopweave_ir::testing::{Rng, edge_values, operand_dtypes};
use loopweave_ir::{Builder, Dtype, Func, Op, Stage};

/// A map of one row, in these layouts of its operands.
fn map_nest(func: &Func, layouts: &[Layout], rank: usize, vector: Vector) -> Nest {
    let inputs = func.param_dtypes();
    let outputs = func.result_dtypes();
    let dtypes = inputs.iter().chain(&outputs);
    let operands = dtypes
        .zip(layouts)
        .enumerate()
        .map(|(i, (&dtype, &layout))| operand(dtype, if i < inputs.len() { Role::Input } else { Role::Output }, layout))
        .collect();
    let ids = |range: std::ops::Range<usize>| range.map(|i| OperandId(i as u32)).collect();
    Nest {
        name: func.name().to_owned(),
        operands,
        axes: vec![axis(AxisRole::Kept); rank],
        leaf: Leaf::Map {
            map: func.clone(),
            loads: ids(0..inputs.len()),
            stores: ids(inputs.len()..inputs.len() + outputs.len()),
        },
        vector,
        writes: Writes::Plain,
    }
}

/// Compiles at both levels, and compares on all these extents.
fn check(nest: &Nest, layouts: &[Layout], shapes: &[Vec<usize>], what: &str) {
    for opt in [OptLevel::Speed, OptLevel::None] {
        let target = Target::native().unwrap().with_opt_level(opt);
        let code = JitCode::compile(nest, &target).unwrap_or_else(|e| panic!("{what}: {e}\n{nest}"));
        for shape in shapes {
            let mut rng = Rng::new(shape.iter().sum::<usize>() as u64 + 1);
            let mut bounds = Vec::new();
            let mut buffers = Vec::new();
            for (operand, &layout) in nest.operands.iter().zip(layouts) {
                let (bound, bytes) = bind(operand.dtype, layout, shape, &vec![true; shape.len()]);
                bounds.push(bound);
                buffers.push(Buffer {
                    bytes: fill(operand.dtype, bytes, |_| rng.value(operand.dtype)),
                    origin: 0,
                });
            }
            let binding = Binding {
                extents: shape.iter().copied().collect(),
                operands: bounds.into_iter().collect(),
                strip: None,
            };
            compare(nest, &code, &binding, &buffers, &[Via::Main], what);
        }
    }
}

/// Lanes that fill a register with the narrowest of the function's values.
fn vector(func: &Func, unroll: u32) -> Vector {
    let dtypes = func.param_dtypes().into_iter().chain(func.result_dtypes());
    let sizes: Vec<usize> = dtypes.map(|d| d.size()).collect();
    let lanes = (16 / sizes.iter().min().unwrap()).min(64 / sizes.iter().max().unwrap());
    Vector {
        lanes: lanes as u32,
        unroll,
    }
}

fn unary(op: Op, dtypes: &[Dtype]) -> Func {
    let mut b = Builder::typed(op.name());
    let params: Vec<_> = (0..)
        .zip(dtypes)
        .map(|(i, &d)| b.param(format!("x{i}"), Some(d)))
        .collect();
    let result = b.node(op, &params);
    b.finish(&[result])
}

/// Every basic op that takes operands of some dtype, with those dtypes.
fn basic_ops() -> Vec<(Op, Vec<Dtype>)> {
    let mut ops = Vec::new();
    for &op in Op::ALL {
        for dtype in Dtype::ALL {
            let dtypes = operand_dtypes(op, dtype);
            let computed = if op == Op::Select { dtypes[1] } else { dtypes[0] };
            if op.result_dtype(&dtypes).is_some() && op.stage_for(computed) == Stage::Basic {
                ops.push((op, dtypes));
            }
        }
    }
    for from in Dtype::ALL {
        for to in Dtype::ALL {
            for op in [Op::Cast(to), Op::Bitcast(to)] {
                if op.result_dtype(&[from]).is_some() {
                    ops.push((op, vec![from]));
                }
            }
        }
    }
    ops
}

/// The layouts of a case: the first input in one, the others beside it, and outputs of both kinds.
fn layouts(operands: usize, first: Layout, output: Layout) -> Vec<Layout> {
    (0..operands)
        .map(|i| match i {
            _ if i + 1 == operands => output,
            0 => first,
            _ => Layout::Contiguous,
        })
        .collect()
}

#[test]
fn every_basic_op_in_every_layout() {
    let sizes: Vec<Vec<usize>> = (0..=67)
        .step_by(7)
        .chain([1, 3, 4, 16, 33, 64, 1000])
        .map(|n| vec![n])
        .collect();
    for (op, dtypes) in basic_ops() {
        let func = unary(op, &dtypes);
        for first in Layout::ALL {
            let output = if first == Layout::Reversed {
                Layout::Strided
            } else {
                Layout::Contiguous
            };
            let layouts = layouts(dtypes.len() + 1, first, output);
            let nest = map_nest(&func, &layouts, 1, vector(&func, 2));
            check(&nest, &layouts, &sizes, &format!("{op:?} {dtypes:?} {first:?}"));
        }
    }
}

#[test]
fn edge_values_meet_each_other() {
    // Every pair of edge values comes together: the first operand's change slowly, the second's fast.
    for (op, dtypes) in basic_ops() {
        let func = unary(op, &dtypes);
        let values: Vec<_> = dtypes.iter().map(|&d| edge_values(d)).collect();
        let n = values.iter().map(Vec::len).product::<usize>().min(20_000);
        let nest = map_nest(&func, &vec![Layout::Contiguous; dtypes.len() + 1], 1, vector(&func, 1));
        let scalar = Nest {
            vector: Vector { lanes: 1, unroll: 1 },
            ..nest.clone()
        };
        for nest in [nest, scalar] {
            let code = JitCode::compile(&nest, &Target::native().unwrap()).unwrap();
            let mut repeat = 1;
            let mut buffers = Vec::new();
            for (&dtype, values) in dtypes.iter().zip(&values) {
                let bytes = fill(dtype, n * dtype.size(), |i| values[i / repeat % values.len()]);
                buffers.push(Buffer { bytes, origin: 0 });
                repeat *= values.len();
            }
            let out = func.result_dtypes()[0];
            buffers.push(Buffer {
                bytes: vec![0; n * out.size()],
                origin: 0,
            });
            let bound = |d: &Dtype| bind(*d, Layout::Contiguous, &[n], &[true]).0;
            let binding = Binding {
                extents: [n].into_iter().collect(),
                operands: dtypes.iter().chain([&out]).map(bound).collect(),
                strip: None,
            };
            compare(
                &nest,
                &code,
                &binding,
                &buffers,
                &[Via::Main],
                &format!("{op:?} {dtypes:?}"),
            );
        }
    }
}

/// Functions of mixed widths, several results, constants and masks that live across widths.
fn mixed() -> Vec<Func> {
    use Dtype::*;
    let mut funcs = Vec::new();
    for (wide, narrow) in [(F64, F32), (F32, I8), (F64, U8), (I64, I16), (F32, U16)] {
        let mut b = Builder::typed("mixed");
        let x = b.param("x", Some(wide));
        let y = b.param("y", Some(narrow));
        let flag = b.param("flag", Some(Bool));
        let up = b.cast(y, wide);
        let sum = b.node(Op::Add, &[x, up]);
        let two = b.node(Op::Const(loopweave_ir::Scalar::from_i128(wide, 2)), &[]);
        let scaled = b.node(Op::Mul, &[sum, two]);
        let less = b.node(Op::Lt, &[scaled, x]);
        let both = b.node(Op::And, &[less, flag]);
        let one = b.node(Op::Const(loopweave_ir::Scalar::from_i128(narrow, 1)), &[]);
        let chosen = b.node(Op::Select, &[both, y, one]);
        let either = b.node(Op::Select, &[flag, less, both]);
        funcs.push(b.finish(&[scaled, chosen, either]));
    }
    for storage in [F16, Bf16] {
        let mut b = Builder::typed("storage");
        let x = b.param("x", Some(storage));
        let wide = b.cast(x, F32);
        let half = b.float(F32, 0.3);
        let y = b.node(Op::Mul, &[wide, half]);
        let y = b.cast(y, storage);
        funcs.push(b.finish(&[y]));
    }
    for constant in [0.0, -0.0, 1.5, f64::INFINITY] {
        let mut b = Builder::typed("clamp");
        let x = b.param("x", Some(F32));
        let c = b.float(F32, constant);
        let low = b.node(Op::Maximum, &[x, c]);
        let high = b.node(Op::Minimum, &[c, x]);
        funcs.push(b.finish(&[low, high]));
    }
    let mut b = Builder::typed("invariant");
    let x = b.param("x", Some(F32));
    let y = b.param("y", Some(F32));
    let (c, s) = (b.float(F32, 3.0), b.node(Op::Sqrt, &[y]));
    let p = b.node(Op::Fma, &[s, c, y]);
    let big = b.node(Op::Gt, &[p, c]);
    let z = b.node(Op::Add, &[x, p]);
    let z = b.node(Op::Select, &[big, z, x]);
    funcs.push(b.finish(&[z, p, big, c]));
    funcs
}

#[test]
fn mixed_widths_in_every_vector_shape() {
    let shapes: Vec<Vec<usize>> = vec![
        vec![2, 0, 5],
        vec![0, 3, 4],
        vec![2, 3, 0],
        vec![1, 1, 1],
        vec![2, 3, 37],
        vec![3, 1, 67],
    ];
    for func in mixed() {
        let (inputs, outputs) = (func.params().len(), func.results().len());
        for first in Layout::ALL {
            for lanes in [1, 2, 4, 8, 16] {
                for unroll in [1, 4] {
                    let layouts: Vec<Layout> = (0..inputs + outputs)
                        .map(|i| match i {
                            0 if inputs == 1 => first,
                            _ if i + 1 == inputs => first,
                            _ if i >= inputs && first == Layout::Strided => Layout::Reversed,
                            _ => Layout::Contiguous,
                        })
                        .collect();
                    let nest = map_nest(&func, &layouts, 3, Vector { lanes, unroll });
                    check(
                        &nest,
                        &layouts,
                        &shapes,
                        &format!("{} {lanes}x{unroll} {first:?}", func.name()),
                    );
                }
            }
        }
    }
}

/// Streamed stores take aligned vectors, so what matters is where rows begin and how they end; the buffers begin and end at
/// pages, and rows of these lengths in them anywhere.
#[test]
fn every_way_of_writing() {
    let mut functions = mixed();
    for dtype in [Dtype::I8, Dtype::F16, Dtype::F32, Dtype::F64] {
        let mut b = Builder::typed("copy");
        let x = b.param("x", Some(dtype));
        functions.push(b.finish(&[x]));
    }
    let long = |n: usize| [vec![n], vec![3, n]];
    let shapes: Vec<Vec<usize>> = [0, 15, 64, 511, 513, 2051].into_iter().flat_map(long).collect();
    for func in functions {
        let layouts = vec![Layout::Contiguous; func.params().len() + func.results().len()];
        for writes in [Writes::Plain, Writes::Ahead, Writes::Streamed] {
            for rank in [1, 2] {
                let mut nest = map_nest(&func, &layouts, rank, vector(&func, 2));
                nest.writes = writes;
                let shapes: Vec<Vec<usize>> = shapes.iter().filter(|s| s.len() == rank).cloned().collect();
                check(&nest, &layouts, &shapes, &format!("{} {writes:?}", func.name()));
            }
        }
    }
}
