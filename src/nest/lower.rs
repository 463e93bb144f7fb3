//! Lowering: from a group of the plan to loops over logical axes.
//!
//! In: the graph, a group of its plan, and the fast-math flags. Out: a [`Lowered`] group: typed functions in basic ops, the
//! operands they load and store, and how each operand's array is reached through views. Shapes are not known yet.
//!
//! Views between the members of a group become part of the operands' access ([`Access`]), so they cost nothing at run time:
//! `permute(exp(x))` loads x along permuted strides.

use std::collections::{HashMap, HashSet};

use loopweave_ir::expand::{self, ExpandError};
use loopweave_ir::simplify::{Fast, simplify};
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op, Scalar};

use super::matmul::{Factor, MatMul, Tile};
use super::{Leaf, OperandId, Order, Reduce, Role};
use crate::fuse::{Group, GroupKind};
use crate::graph::bind::{self, Shapes};
use crate::graph::{ArrayOp, Graph, Named, NodeId, Reduction};
use crate::shape::{Dims, Layout, ShapeError};

/// Elements per block of a reduction over interleaved lanes.
const LANE_BLOCK: u32 = 4096;
/// Elements per block of a reduction folded row by row.
const CHAIN_BLOCK: u32 = 256;

/// A group as loops over the logical axes of its iteration space.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The group's name.
    pub name: String,
    /// Inputs, then outputs.
    pub operands: Vec<Operand>,
    /// What the iteration space is.
    pub domain: Domain,
    /// A name for each axis of the iteration space, all different.
    pub axis_names: Vec<String>,
    /// The reduced axes of the iteration space, ascending; none for a map.
    pub reduced: Vec<usize>,
    /// What is done with the elements. Its order is that of [`Order::Lanes`]; the schedule decides.
    pub leaf: Leaf,
    /// Whether the combiner gives the same bits in any order.
    pub order_free: bool,
    /// For a matrix product, what it is where an axis has extent 1.
    pub thin: Option<Box<Thin>>,
}

/// The leaves of a matrix product of one row or column, and of one along a contracted axis of extent 1.
#[derive(Clone, Debug)]
pub struct Thin {
    /// A sum of products.
    pub reduce: Leaf,
    /// A single product.
    pub map: Leaf,
}

/// The iteration space of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// The shape of a node.
    Node(NodeId),
    /// The shape of this matrix product, with the contracted axis before its columns, or last where it has none.
    Product(NodeId),
}

impl Domain {
    /// The extents in one call.
    pub fn shape(self, graph: &Graph, shapes: &Shapes) -> Dims<usize> {
        match self {
            Domain::Node(node) => shapes[node].clone(),
            Domain::Product(node) => {
                let left = &shapes[graph.node(node).args[0]];
                let mut shape = shapes[node].clone();
                shape.insert(contracted_axis(graph, node), left[left.len() - 1]);
                shape
            }
        }
    }
}

/// The position of a product's contracted axis in its iteration space.
fn contracted_axis(graph: &Graph, node: NodeId) -> usize {
    let node = graph.node(node);
    node.rank - (graph.node(node.args[1]).rank > 1) as usize
}

/// An operand before its strides are known.
#[derive(Clone, Debug)]
pub struct Operand {
    /// The user's name for its array.
    pub name: String,
    /// The element type in memory.
    pub dtype: Dtype,
    /// Whether it is read or written.
    pub role: Role,
    /// How its array is reached.
    pub access: Access,
    /// Whether its axes are those of the group's result instead of those of the iteration space.
    pub of_result: bool,
}

/// A way from an array in memory to the elements a group reads or writes: views, applied in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The node whose array is in memory.
    pub source: NodeId,
    /// What is applied to its layout.
    pub path: Vec<Step>,
}

/// One step of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Broadcasting to the shape of a node.
    Broadcast(NodeId),
    /// The view that a node is.
    View(NodeId),
    /// From the shape of this matrix product's first factor to the product's iteration space.
    Left(NodeId),
    /// The same from its second factor.
    Right(NodeId),
}

impl Access {
    /// The layout of the elements, given the layout of the source array.
    ///
    /// # Errors
    /// A reshape that no view of this layout can make.
    pub fn layout(&self, graph: &Graph, shapes: &Shapes, source: &Layout) -> Result<Layout, ShapeError> {
        let mut layout = source.clone();
        for step in &self.path {
            layout = match *step {
                Step::Broadcast(node) => layout.broadcast_to(&shapes[node])?,
                Step::View(node) => bind::layout(graph, shapes, node, &layout)?,
                Step::Left(node) | Step::Right(node) => {
                    let space = Domain::Product(node).shape(graph, shapes);
                    let rank = layout.rank();
                    // Room for the axis that only the other factor has, unless that has a single axis.
                    let (other, after) = match step {
                        Step::Left(_) => (graph.node(node).args[1], 0),
                        _ => (graph.node(node).args[0], space.len() - contracted_axis(graph, node)),
                    };
                    let layout = match graph.node(other).rank {
                        1 => layout,
                        _ => layout.insert_axis(rank - after),
                    };
                    layout.broadcast_to(&space)?
                }
            };
        }
        Ok(layout)
    }
}

/// The loops of a group, over logical axes.
///
/// # Errors
/// An op that has no expansion yet.
pub fn lower(graph: &Graph, group: &Group, fast: Fast) -> Result<Lowered, ExpandError> {
    match group.kind {
        GroupKind::Map => lower_map(graph, group, fast),
        GroupKind::Reduce(node) => lower_reduce(graph, group, node, fast),
        GroupKind::MatMul(node) => lower_matmul(graph, group, node, fast),
    }
}

fn lower_map(graph: &Graph, group: &Group, fast: Fast) -> Result<Lowered, ExpandError> {
    let mut walk = Walk::new(graph, group, false);
    let results: Vec<ExprId> = group.roots.iter().map(|&root| walk.value(root)).collect();
    let (map, mut operands) = walk.finish(&results);
    let loads = ids(0, operands.len());
    let stores = push_outputs(graph, group, &mut operands, false);
    Ok(Lowered {
        name: group.name.clone(),
        operands,
        domain: Domain::Node(group.roots[0]),
        axis_names: axis_names(group),
        reduced: Vec::new(),
        leaf: Leaf::Map {
            map: finished(&map, fast)?,
            loads,
            stores,
        },
        order_free: true,
        thin: None,
    })
}

fn lower_reduce(graph: &Graph, group: &Group, node: NodeId, fast: Fast) -> Result<Lowered, ExpandError> {
    let ArrayOp::Reduce { reduction, axes, .. } = &graph.node(node).op else {
        unreachable!("the plan names the member that reduces")
    };
    let domain = graph.node(node).args[0];
    let combiner = Combiner::of(reduction, graph.node(domain).dtype, graph.node(node).dtype);

    let mut before = Walk::new(graph, group, false);
    let element = before.value(domain);
    let mapped = combiner.map(&mut before.builder, element);
    let (map, mut operands) = before.finish(&mapped);
    let loads = ids(0, operands.len());

    let mut after = Walk::new(graph, group, true);
    let accumulated: Vec<ExprId> = combiner
        .accumulators
        .iter()
        .enumerate()
        .map(|(i, &dtype)| after.builder.param(format!("acc{i}"), Some(dtype)))
        .collect();
    let count = after.builder.param("count", Some(Dtype::I64));
    let value = combiner.finish(&mut after.builder, &accumulated, count, graph.node(node).dtype);
    after.given = Some((node, value));
    let results: Vec<ExprId> = group.roots.iter().map(|&root| after.value(root)).collect();
    let (finish, after_operands) = after.finish(&results);
    let finish_loads = ids(operands.len(), after_operands.len());
    operands.extend(after_operands);
    let stores = push_outputs(graph, group, &mut operands, true);

    let wide = combiner.accumulators.iter().any(|d| d.size() == 8);
    // Interleaved lanes bring elements out of their order, which a combiner that does not commute would notice.
    let interleaves = combiner.order_free || commutes(&combiner.combine);
    Ok(Lowered {
        name: group.name.clone(),
        operands,
        domain: Domain::Node(domain),
        axis_names: axis_names(group),
        reduced: axes.clone(),
        order_free: combiner.order_free,
        thin: None,
        leaf: Leaf::Reduce(Reduce {
            map: finished(&map, fast)?,
            loads,
            combine: finished(&combiner.combine, fast)?,
            init: combiner.init,
            apply_init: combiner.apply_init,
            finish: finished(&finish, fast)?,
            finish_loads,
            stores,
            order: Order::Lanes {
                lanes: match (interleaves, wide) {
                    (false, _) => 1,
                    (true, true) => 32,
                    (true, false) => 64,
                },
                block: LANE_BLOCK,
            },
        }),
    })
}

fn lower_matmul(graph: &Graph, group: &Group, node: NodeId, fast: Fast) -> Result<Lowered, ExpandError> {
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
        after.given = Some((node, value));
        let results: Vec<ExprId> = group.roots.iter().map(|&root| after.value(root)).collect();
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

impl Lowered {
    /// The order for a reduction whose result has the vector axis.
    pub(super) const fn chain() -> Order {
        Order::Chain { block: CHAIN_BLOCK }
    }
}

/// The program's name of each axis's extent; where it has none, or names two axes alike, i, j, k, l, m, i5, i6 … by position.
fn axis_names(group: &Group) -> Vec<String> {
    let mut names: Vec<Option<String>> = Vec::with_capacity(group.axes.len());
    for name in &group.axes {
        names.push(name.clone().filter(|name| !names.contains(&Some(name.clone()))));
    }
    for axis in 0..names.len() {
        if names[axis].is_none() {
            let letter = (axis < 5).then(|| char::from(b'i' + axis as u8).to_string());
            let numbered = (axis..).map(|n| format!("i{n}"));
            let free = |name: &String| !names.contains(&Some(name.clone()));
            names[axis] = letter.into_iter().chain(numbered).find(free);
        }
    }
    names.into_iter().flatten().collect()
}

fn ids(first: usize, count: usize) -> Vec<OperandId> {
    (first..first + count).map(|i| OperandId(i as u32)).collect()
}

fn push_outputs(graph: &Graph, group: &Group, operands: &mut Vec<Operand>, of_result: bool) -> Vec<OperandId> {
    let stores = ids(operands.len(), group.roots.len());
    let name = |root: NodeId| {
        let output = graph.outputs.iter().find(|(_, id)| *id == root);
        output.map_or_else(|| graph.node(root).name.clone(), |(name, _)| name.clone())
    };
    operands.extend(group.roots.iter().map(|&root| Operand {
        name: name(root),
        dtype: graph.node(root).dtype,
        role: Role::Output,
        access: Access {
            source: root,
            path: Vec::new(),
        },
        of_result,
    }));
    stores
}

/// The function in basic ops. The fast rules come before expansion only: an expansion relies on the very order of its
/// roundings.
fn finished(func: &Func, fast: Fast) -> Result<Func, ExpandError> {
    let expanded = expand::expand(&simplify(func, fast))?;
    Ok(simplify(&expanded, Fast::NONE))
}

/// A list of steps, shared from its end on: `None` is the empty one, the others are numbered by [`Walk::paths`].
type Path = Option<u32>;

/// Builds the function of a group from its members, and collects the operands it loads.
struct Walk<'a> {
    graph: &'a Graph,
    members: HashSet<NodeId>,
    builder: Builder,
    of_result: bool,
    /// A node whose value is there already, whatever axes of extent 1 a reader broadcasts it along.
    given: Option<(NodeId, ExprId)>,
    operands: Vec<Operand>,
    /// Each path's first step and the rest of it, and back from these to its number.
    paths: Vec<(Step, Path)>,
    path_ids: HashMap<(Step, Path), u32>,
    known: HashMap<(NodeId, Path), ExprId>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, group: &'a Group, of_result: bool) -> Walk<'a> {
        Walk {
            graph,
            members: group.members.iter().copied().collect(),
            builder: Builder::typed(&group.name),
            of_result,
            given: None,
            paths: Vec::new(),
            path_ids: HashMap::new(),
            operands: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The value of one element of a node. The stack is explicit because a chain of members can be long.
    fn value(&mut self, root: NodeId) -> ExprId {
        self.value_along(root, None)
    }

    /// As [`Walk::value`], of the element at the end of a path.
    fn value_along(&mut self, root: NodeId, path: Path) -> ExprId {
        let mut stack = vec![(root, path)];
        while let Some((node, path)) = stack.last().copied() {
            if self.known.contains_key(&(node, path)) {
                stack.pop();
                continue;
            }
            let children = self.children(node, path);
            let pending = children.iter().filter(|child| !self.known.contains_key(child));
            let before = stack.len();
            // The last one pushed is the first one computed.
            stack.extend(pending.rev().copied());
            if stack.len() > before {
                continue;
            }
            let args: Vec<ExprId> = children.iter().map(|child| self.known[child]).collect();
            let value = self.compute(node, path, &args);
            self.known.insert((node, path), value);
            stack.pop();
        }
        self.known[&(root, path)]
    }

    /// What a node's value is computed from: for a member its arguments, for a view what it shows, for others nothing.
    fn children(&mut self, node: NodeId, path: Path) -> Vec<(NodeId, Path)> {
        let graph = self.graph;
        match &graph.node(node).op {
            ArrayOp::Map(_) if self.members.contains(&node) => {
                // Broadcasting to this node's shape and from there to a consumer's is one step.
                let path = match path.map(|id| self.paths[id as usize].0) {
                    Some(Step::Broadcast(_)) => path,
                    _ => self.path(Step::Broadcast(node), path),
                };
                graph.node(node).args.iter().map(|&arg| (arg, path)).collect()
            }
            ArrayOp::View(_) => vec![(graph.node(node).args[0], self.path(Step::View(node), path))],
            _ => Vec::new(),
        }
    }

    fn path(&mut self, step: Step, rest: Path) -> Path {
        let next = self.paths.len() as u32;
        let id = *self.path_ids.entry((step, rest)).or_insert(next);
        if id == next {
            self.paths.push((step, rest));
        }
        Some(id)
    }

    fn compute(&mut self, node: NodeId, path: Path, args: &[ExprId]) -> ExprId {
        if let Some((given, value)) = self.given
            && given == node
        {
            return value;
        }
        match &self.graph.node(node).op {
            ArrayOp::Map(func) if self.members.contains(&node) => self.builder.inline(func, args)[0],
            ArrayOp::View(_) => args[0],
            ArrayOp::Constant(value) => self.constant(*value),
            _ => self.load(node, path),
        }
    }

    fn constant(&mut self, value: Scalar) -> ExprId {
        let dtype = value.dtype();
        if dtype.is_storage_only() {
            let wide = self.builder.float(Dtype::F32, value.as_f64());
            self.builder.cast(wide, dtype)
        } else {
            self.builder.constant(value)
        }
    }

    fn load(&mut self, node: NodeId, path: Path) -> ExprId {
        let mut steps = Vec::new();
        let mut rest = path;
        while let Some(id) = rest {
            let (step, next) = self.paths[id as usize];
            steps.push(step);
            rest = next;
        }
        let name = &self.graph.node(node).name;
        let dtype = self.graph.node(node).dtype;
        self.operands.push(Operand {
            name: name.clone(),
            dtype,
            role: Role::Input,
            access: Access {
                source: node,
                path: steps,
            },
            of_result: self.of_result,
        });
        self.builder.param(name, Some(dtype))
    }

    fn finish(self, results: &[ExprId]) -> (Func, Vec<Operand>) {
        (self.builder.finish(results), self.operands)
    }
}

/// A reduction for one argument dtype: the functions around its accumulators.
struct Combiner {
    kind: Reduction,
    accumulators: Vec<Dtype>,
    combine: Func,
    init: Option<Vec<Scalar>>,
    apply_init: bool,
    order_free: bool,
}

impl Combiner {
    fn of(reduction: &Reduction, argument: Dtype, result: Dtype) -> Combiner {
        let kind = reduction.clone();
        match reduction {
            Reduction::Custom { combine, init } => Combiner {
                kind,
                accumulators: combine.result_dtypes(),
                combine: combine.clone(),
                init: Some(vec![*init]),
                apply_init: true,
                order_free: false,
            },
            Reduction::Named(named) => {
                let exact = |d: Dtype| !d.is_float();
                let simple = |op: Op, dtype: Dtype, init: Option<i128>, order_free: bool| Combiner {
                    kind: kind.clone(),
                    accumulators: vec![dtype],
                    combine: binary(op, dtype),
                    init: init.map(|i| vec![Scalar::from_i128(dtype, i)]),
                    apply_init: false,
                    order_free,
                };
                match named {
                    Named::Sum | Named::Mean => {
                        let dtype = result.compute();
                        simple(Op::Add, dtype, Some(0), exact(dtype))
                    }
                    Named::Prod => {
                        let dtype = result.compute();
                        simple(Op::Mul, dtype, Some(1), exact(dtype))
                    }
                    Named::Min if argument == Dtype::Bool => simple(Op::And, Dtype::Bool, None, true),
                    Named::Max if argument == Dtype::Bool => simple(Op::Or, Dtype::Bool, None, true),
                    Named::Min => simple(Op::Minimum, argument.compute(), None, true),
                    Named::Max => simple(Op::Maximum, argument.compute(), None, true),
                    Named::Any => simple(Op::Or, Dtype::Bool, Some(0), true),
                    Named::All => simple(Op::And, Dtype::Bool, Some(1), true),
                    Named::ArgMin | Named::ArgMax => {
                        let dtype = if argument == Dtype::Bool {
                            Dtype::U8
                        } else {
                            argument.compute()
                        };
                        let better = if *named == Named::ArgMin { Op::Lt } else { Op::Gt };
                        Combiner {
                            kind,
                            accumulators: vec![dtype, Dtype::I64],
                            combine: arg_combine(better, dtype),
                            init: None,
                            apply_init: false,
                            order_free: true,
                        }
                    }
                }
            }
        }
    }

    /// From one element, in its storage dtype, to the values that are combined.
    fn map(&self, b: &mut Builder, element: ExprId) -> Vec<ExprId> {
        let dtype = self.accumulators[0];
        match &self.kind {
            Reduction::Named(Named::Any | Named::All) if b.dtype(element) != Dtype::Bool => {
                let compute = b.dtype(element).compute();
                let value = b.cast(element, compute);
                let zero = b.constant(Scalar::from_i128(compute, 0));
                vec![b.node(Op::Ne, &[value, zero])]
            }
            Reduction::Named(Named::ArgMin | Named::ArgMax) => {
                let value = b.cast(element, dtype);
                vec![value, b.node(Op::Index, &[])]
            }
            _ => vec![b.cast(element, dtype)],
        }
    }

    /// From the combined values to the result in its storage dtype.
    fn finish(&self, b: &mut Builder, accumulated: &[ExprId], count: ExprId, result: Dtype) -> ExprId {
        let value = match &self.kind {
            Reduction::Named(Named::Mean) => {
                let count = b.cast(count, self.accumulators[0]);
                b.node(Op::Div, &[accumulated[0], count])
            }
            Reduction::Named(Named::ArgMin | Named::ArgMax) => accumulated[1],
            _ => accumulated[0],
        };
        b.cast(value, result)
    }
}

fn binary(op: Op, dtype: Dtype) -> Func {
    let mut b = Builder::typed(op.name());
    let x = b.param("a", Some(dtype));
    let y = b.param("b", Some(dtype));
    let result = b.node(op, &[x, y]);
    b.finish(&[result])
}

/// Whether a combiner is the same function with its two values exchanged, as far as its commutative ops show it.
fn commutes(combine: &Func) -> bool {
    // Both functions are built in one builder with sorted operands, so that equal values are equal nodes.
    let mut b = Builder::typed(combine.name());
    let params: Vec<ExprId> = combine.params().iter().map(|p| b.param(&p.name, p.dtype)).collect();
    let mut results = |arguments: &[ExprId]| {
        let mut values: Vec<ExprId> = Vec::with_capacity(combine.nodes().len());
        for node in combine.nodes() {
            let value = match node.op {
                Op::Param(i) => arguments[i as usize],
                op => {
                    let mut operands: Vec<ExprId> = node.args.iter().map(|a| values[a.index()]).collect();
                    if op.is_commutative() {
                        operands[..2].sort_unstable();
                    }
                    b.node(op, &operands)
                }
            };
            values.push(value);
        }
        combine.results().iter().map(|r| values[r.index()]).collect::<Vec<_>>()
    };
    let (first, second) = params.split_at(params.len() / 2);
    results(&params) == results(&[second, first].concat())
}

/// Of two values with positions, the better one: a NaN before any number, then by `better`, then the lower position.
fn arg_combine(better: Op, dtype: Dtype) -> Func {
    let mut b = Builder::typed("arg");
    let x = b.param("a", Some(dtype));
    let i = b.param("i", Some(Dtype::I64));
    let y = b.param("b", Some(dtype));
    let j = b.param("j", Some(Dtype::I64));
    let improves = b.node(better, &[y, x]);
    let equal = b.node(Op::Eq, &[x, y]);
    let earlier = b.node(Op::Lt, &[j, i]);
    let mut tie = equal;
    let mut take = improves;
    if dtype.is_float() {
        let x_nan = b.node(Op::Ne, &[x, x]);
        let y_nan = b.node(Op::Ne, &[y, y]);
        let x_number = b.node(Op::Not, &[x_nan]);
        let both = b.node(Op::And, &[x_nan, y_nan]);
        let only_y = b.node(Op::And, &[x_number, y_nan]);
        tie = b.node(Op::Or, &[equal, both]);
        take = b.node(Op::Or, &[improves, only_y]);
    }
    let tied = b.node(Op::And, &[tie, earlier]);
    let take = b.node(Op::Or, &[take, tied]);
    let value = b.node(Op::Select, &[take, y, x]);
    let position = b.node(Op::Select, &[take, j, i]);
    b.finish(&[value, position])
}
