//! Lowering: from a group of the plan to loops over logical axes.
//!
//! In: the graph, a group of its plan, and the fast-math flags. Out: a [`Lowered`] group: typed functions in basic ops, the
//! operands they load and store, and how each operand's array is reached through views. Shapes are not known yet.
//!
//! Views between the members of a group become part of the operands' access ([`Access`]), so they cost nothing at run time:
//! `permute(exp(x))` loads x along permuted strides.

mod product;
mod rows;

use std::collections::{HashMap, HashSet};

use loopweave_ir::expand::{self, ExpandError};
use loopweave_ir::simplify::{Fast, simplify};
use loopweave_ir::{Builder, Dtype, ExprId, Func, Scalar};

use self::product::lower_matmul;
use self::rows::lower_rows;
use super::{Leaf, OperandId, Order, Reduce, Role};
use crate::fuse::{Group, GroupKind};
use crate::graph::bind::{self, Shapes};
use crate::graph::combiner::Combiner;
use crate::graph::{ArrayOp, Graph, NodeId, View};
use crate::shape::{Dims, Layout, ShapeError};

/// Elements per block of a reduction over interleaved lanes.
const LANE_BLOCK: u32 = 4096;
/// Elements per block of a reduction folded row by row.
pub(super) const CHAIN_BLOCK: u32 = 256;

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
    /// What is done with the elements. Its orders are those of [`Order::Lanes`]; the schedule decides.
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
    match &group.kind {
        GroupKind::Map => lower_map(graph, group, fast),
        GroupKind::Reduce(nodes) => lower_reduce(graph, group, nodes, fast),
        GroupKind::MatMul(node) => lower_matmul(graph, group, *node, fast),
        GroupKind::Rows(stages) => lower_rows(graph, group, stages, fast),
    }
}

fn lower_map(graph: &Graph, group: &Group, fast: Fast) -> Result<Lowered, ExpandError> {
    let domain = group.roots[0];
    let mut walk = Walk::new(graph, group, false);
    let results: Vec<ExprId> = group.roots.iter().map(|&root| walk.value_over(domain, root)).collect();
    let (map, mut operands) = walk.finish(&results);
    let loads = ids(0, operands.len());
    let stores = push_outputs(graph, group, &mut operands, false);
    Ok(Lowered {
        name: group.name.clone(),
        operands,
        domain: Domain::Node(domain),
        axis_names: axis_names(&group.axes),
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

/// Reductions of one space over the same axes, in one pass: their accumulators stand side by side.
fn lower_reduce(graph: &Graph, group: &Group, nodes: &[NodeId], fast: Fast) -> Result<Lowered, ExpandError> {
    let mut reduced = &Vec::new();
    let mut combiners = Vec::with_capacity(nodes.len());
    for &id in nodes {
        let node = graph.node(id);
        let ArrayOp::Reduce { reduction, axes, .. } = &node.op else {
            unreachable!("the plan names the members that reduce")
        };
        reduced = axes;
        combiners.push(Combiner::of(reduction, graph.node(node.args[0]).dtype, node.dtype));
    }
    let domain = graph.node(nodes[0]).args[0];

    let mut before = Walk::new(graph, group, false);
    let mut sums: Vec<Accumulated> = Vec::new();
    // Per reduction, where its values are: a sum and a mean of the same elements accumulate the same.
    let mut found = Vec::with_capacity(nodes.len());
    for (&node, combiner) in nodes.iter().zip(&combiners) {
        let element = before.value_over(domain, graph.node(node).args[0]);
        let mapped = combiner.map(&mut before.builder, element);
        let sum = Accumulated { combiner, mapped };
        let known = sums.iter().position(|other| sum.is_same(other));
        found.push(known.unwrap_or(sums.len()));
        if known.is_none() {
            sums.push(sum);
        }
    }
    let mapped: Vec<ExprId> = sums.iter().flat_map(|s| s.mapped.iter().copied()).collect();
    let (map, mut operands) = before.finish(&mapped);
    let loads = ids(0, operands.len());

    let mut after = Walk::new(graph, group, true);
    let mut accumulated: Vec<Vec<ExprId>> = Vec::with_capacity(sums.len());
    let mut next = 0..;
    for sum in &sums {
        let params = sum.combiner.accumulators.iter().zip(&mut next);
        let params = params.map(|(&dtype, i)| after.builder.param(format!("acc{i}"), Some(dtype)));
        accumulated.push(params.collect());
    }
    let count = after.builder.param("count", Some(Dtype::I64));
    for ((&node, combiner), &at) in nodes.iter().zip(&combiners).zip(&found) {
        let value = combiner.finish(&mut after.builder, &accumulated[at], count, graph.node(node).dtype);
        after.given.push((node, value));
    }
    let mut results = Vec::with_capacity(group.roots.len());
    for &root in &group.roots {
        // Results with and without the reduced axes differ in rank; those of one rank have one shape.
        let same = |other: &&NodeId| graph.node(**other).rank == graph.node(root).rank;
        let shape = group.roots.iter().find(same).copied().unwrap_or(root);
        results.push(after.value_over(shape, root));
    }
    let (finish, after_operands) = after.finish(&results);
    let finish_loads = ids(operands.len(), after_operands.len());
    operands.extend(after_operands);
    let stores = push_outputs(graph, group, &mut operands, true);

    // The plan brings together only what has the same lanes alone, and what does not depend on them.
    let order_free = combiners.iter().all(|c| c.order_free);
    let ordered = combiners.iter().find(|c| !c.order_free).unwrap_or(&combiners[0]);
    let init: Option<Vec<Vec<Scalar>>> = sums.iter().map(|s| s.combiner.init.clone()).collect();
    Ok(Lowered {
        name: group.name.clone(),
        operands,
        domain: Domain::Node(domain),
        axis_names: axis_names(&group.axes),
        reduced: reduced.clone(),
        order_free,
        thin: None,
        leaf: Leaf::Reduce(Reduce {
            map: finished(&map, fast)?,
            loads,
            combine: finished(&side_by_side(&sums), fast)?,
            init: init.map(|init| init.concat()),
            apply_init: ordered.apply_init,
            finish: finished(&finish, fast)?,
            finish_loads,
            stores,
            order: Order::Lanes {
                lanes: ordered.lanes(),
                block: LANE_BLOCK,
            },
        }),
    })
}

/// What one or several reductions accumulate.
struct Accumulated<'a> {
    combiner: &'a Combiner,
    mapped: Vec<ExprId>,
}

impl Accumulated<'_> {
    fn is_same(&self, other: &Accumulated<'_>) -> bool {
        let (a, b) = (self.combiner, other.combiner);
        self.mapped == other.mapped && a.combine == b.combine && a.init == b.init && a.apply_init == b.apply_init
    }
}

/// The combination of several reductions' values at once, each with its own.
fn side_by_side(sums: &[Accumulated<'_>]) -> Func {
    if let [sum] = sums {
        return sum.combiner.combine.clone();
    }
    let mut b = Builder::typed("combine");
    let mut params = |side: &str| -> Vec<ExprId> {
        let dtypes = sums.iter().flat_map(|s| s.combiner.accumulators.iter().copied());
        dtypes
            .enumerate()
            .map(|(i, dtype)| b.param(format!("{side}{i}"), Some(dtype)))
            .collect()
    };
    let (first, second) = (params("a"), params("b"));
    let mut results = Vec::with_capacity(first.len());
    for sum in sums {
        let own = results.len()..results.len() + sum.combiner.accumulators.len();
        let args = [&first[own.clone()], &second[own]].concat();
        results.extend(b.inline(&sum.combiner.combine, &args));
    }
    b.finish(&results)
}

impl Lowered {
    /// The order of reductions that fold row by row.
    pub(super) const CHAIN: Order = Order::Chain { block: CHAIN_BLOCK };
}

/// The program's name of each axis's extent; where it has none, or names two axes alike, i, j, k, l, m, i5, i6 … by position.
fn axis_names(axes: &[Option<String>]) -> Vec<String> {
    let mut names: Vec<Option<String>> = Vec::with_capacity(axes.len());
    for name in axes {
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
    let expanded = expand::expand_to(&simplify(func, fast), fast.accuracy())?;
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
    /// Nodes whose values are there already, whatever axes of extent 1 a reader broadcasts them along.
    given: Vec<(NodeId, ExprId)>,
    operands: Vec<Operand>,
    /// Each path's first step and the rest of it, and back from these to its number.
    paths: Vec<(Step, Path)>,
    path_ids: HashMap<(Step, Path), u32>,
    known: HashMap<(NodeId, Path), ExprId>,
    /// For each view of a node, the first node that is it.
    views: HashMap<(NodeId, &'a View), NodeId>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, group: &'a Group, of_result: bool) -> Walk<'a> {
        Walk {
            graph,
            members: group.members.iter().copied().collect(),
            builder: Builder::typed(&group.name),
            of_result,
            given: Vec::new(),
            paths: Vec::new(),
            path_ids: HashMap::new(),
            operands: Vec::new(),
            known: HashMap::new(),
            views: HashMap::new(),
        }
    }

    /// The value of one element of a node, at an index of the shape of `space`, which is that of the node too. All values
    /// of a group start from one node's shape, so that what they share is loaded and computed once.
    fn value_over(&mut self, space: NodeId, node: NodeId) -> ExprId {
        let path = self.path(Step::Broadcast(space), None);
        self.value_along(node, path)
    }

    /// The value of one element of a node. The stack is explicit because a chain of members can be long.
    fn value_along(&mut self, root: NodeId, from: Path) -> ExprId {
        let mut stack = vec![(root, from)];
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
        self.known[&(root, from)]
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
            ArrayOp::View(view) => {
                let source = graph.node(node).args[0];
                // Views that do the same are one, so that what they show is loaded and computed once.
                let view = *self.views.entry((source, view)).or_insert(node);
                vec![(source, self.path(Step::View(view), path))]
            }
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
        if let Some((_, value)) = self.given.iter().find(|(given, _)| *given == node) {
            return *value;
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
