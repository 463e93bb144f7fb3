//! The lowering of a matrix product, with what is computed of its factors before and of its result after.
//!
//! In: the graph and a group whose kind is a product. Out: its [`Lowered`] form: a [`MatMul`] leaf, or for factors of one axis
//! a reduction.

use loopweave_ir::expand::ExpandError;
use loopweave_ir::simplify::Fast;
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op, Scalar};

use super::{Domain, LANE_BLOCK, Lowered, Step, Thin, Walk, axis_names, contracted_axis, finished, ids, push_outputs};
use crate::fuse::Group;
use crate::graph::combiner::binary;
use crate::graph::{Graph, NodeId};
use crate::nest::matmul::{Factor, MatMul, Tile};
use crate::nest::{Leaf, Order, Reduce};

pub(super) fn lower_matmul(graph: &Graph, group: &Group, node: NodeId, fast: Fast) -> Result<Lowered, ExpandError> {
    let (left, right) = (graph.node(node).args[0], graph.node(node).args[1]);
    let result = graph.node(node).dtype;
    // A sum of products of truth values is whether any pair holds.
    let (accumulator, multiply, add) = match result {
        Dtype::Bool => (Dtype::U8, Op::And, Op::Or),
        dtype => (dtype.compute(), Op::Mul, Op::Add),
    };
    let zero = Scalar::from_i128(accumulator, 0);
    let mut operands = Vec::new();
    let mut factor = |arg: NodeId, step: Step| -> Result<Factor, ExpandError> {
        let mut walk = Walk::new(graph, group, false);
        let path = walk.path(step, None);
        let element = walk.value_along(arg, path);
        let promoted = walk.builder.cast(element, result);
        let value = walk.builder.cast(promoted, accumulator);
        let (map, loaded) = walk.finish(&[value]);
        let loads = ids(operands.len(), loaded.len());
        operands.extend(loaded);
        Ok(Factor {
            map: finished(&map.with_name("element"), fast)?,
            loads,
        })
    };
    let left_factor = factor(left, Step::Left(node))?;
    let right_factor = factor(right, Step::Right(node))?;

    let finish = |count: bool| {
        let mut after = Walk::new(graph, group, true);
        let value = after.builder.param("acc", Some(accumulator));
        if count {
            after.builder.param("count", Some(Dtype::I64));
        }
        let value = after.builder.cast(value, result);
        after.given.push((node, value));
        let results: Vec<ExprId> = group.roots.iter().map(|&root| after.value_over(node, root)).collect();
        after.finish(&results)
    };
    let (finish_product, after_operands) = finish(false);
    let (finish_reduce, _) = finish(true);
    let finish_loads = ids(operands.len(), after_operands.len());
    operands.extend(after_operands);
    let stores = push_outputs(graph, group, &mut operands, true);

    let product = MatMul {
        combine: finished(&multiply_add(accumulator, multiply, add), Fast::NONE)?,
        zero,
        finish: finished(&finish_product, fast)?,
        finish_loads,
        stores,
        left: left_factor,
        right: right_factor,
        tile: Tile::NONE,
    };
    let reduce = Reduce {
        map: binary_of(&product, multiply),
        loads: [&product.left.loads[..], &product.right.loads].concat(),
        combine: binary(add, accumulator),
        init: Some(vec![zero]),
        apply_init: false,
        finish: finished(&finish_reduce, fast)?,
        finish_loads: product.finish_loads.clone(),
        stores: product.stores.clone(),
        order: Order::Lanes {
            lanes: if accumulator.size() == 8 { 32 } else { 64 },
            block: LANE_BLOCK,
        },
    };
    let axis = contracted_axis(graph, node);
    let is_thin = graph.node(left).rank == 1 || graph.node(right).rank == 1;
    let map = one_product(&product);
    let (leaf, thin) = match is_thin {
        true => (Leaf::Reduce(reduce), None),
        false => {
            let reduce = Leaf::Reduce(reduce);
            (Leaf::MatMul(product), Some(Box::new(Thin { reduce, map })))
        }
    };
    Ok(Lowered {
        name: group.name.clone(),
        operands,
        domain: Domain::Product(node),
        axis_names: axis_names(group),
        reduced: vec![axis],
        leaf,
        order_free: !accumulator.is_float(),
        thin,
    })
}

/// `acc + left · right`, fused where it is of floats.
fn multiply_add(dtype: Dtype, multiply: Op, add: Op) -> Func {
    let mut b = Builder::typed("multiply_add");
    let [acc, x, y] = ["acc", "left", "right"].map(|name| b.param(name, Some(dtype)));
    let result = if dtype.is_float() {
        b.node(Op::Fma, &[x, y, acc])
    } else {
        let product = b.node(multiply, &[x, y]);
        b.node(add, &[acc, product])
    };
    b.finish(&[result])
}

/// The product of one element of each factor.
fn binary_of(product: &MatMul, multiply: Op) -> Func {
    let mut b = Builder::typed("product");
    let factors = [&product.left.map, &product.right.map].map(|map| {
        let params: Vec<ExprId> = map.params().iter().map(|p| b.param(&p.name, p.dtype)).collect();
        (map, params)
    });
    let values: Vec<ExprId> = factors.iter().map(|(map, params)| b.inline(map, params)[0]).collect();
    let result = b.node(multiply, &values);
    b.finish(&[result])
}

/// The whole result where the chain has one element.
fn one_product(product: &MatMul) -> Leaf {
    let mut b = Builder::typed("product");
    let mut elements = Vec::with_capacity(3);
    elements.push(b.constant(product.zero));
    for map in [&product.left.map, &product.right.map] {
        let params: Vec<ExprId> = map.params().iter().map(|p| b.param(&p.name, p.dtype)).collect();
        elements.push(b.inline(map, &params)[0]);
    }
    let mut args = b.inline(&product.combine, &elements);
    args.extend(product.finish.params()[1..].iter().map(|p| b.param(&p.name, p.dtype)));
    let results = b.inline(&product.finish, &args);
    Leaf::Map {
        map: b.finish(&results),
        loads: [&product.left.loads[..], &product.right.loads, &product.finish_loads].concat(),
        stores: product.stores.clone(),
    }
}
