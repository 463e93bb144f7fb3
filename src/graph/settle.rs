//! Settling: extents that a program leaves open get names, where a call says which of them are 1.
//!
//! In: a [`Graph`], and per input the axes of extent 1 ([`ones`]). Out: the graph of all calls like that one, in which open
//! extents that must be equal have one name, so that fusion knows which arrays have one shape.
//!
//! Two extents that meet in a broadcast are equal, or one of them is 1: of two that are known not to be 1, equality follows,
//! and a call in which they differ is refused by either graph. So a program written without named extents is fused as well as
//! one with them.

use super::{ArrayOp, Dim, Graph, NodeId, Slice, View};

/// The axes of extent 1, a bit for each.
pub fn ones(shape: &[usize]) -> u32 {
    let axes = shape.iter().enumerate().take(u32::BITS as usize);
    axes.fold(0, |ones, (axis, &extent)| ones | u32::from(extent == 1) << axis)
}

/// Whether an input has an extent that the program leaves open.
pub fn is_open(graph: &Graph) -> bool {
    let open = |op: &ArrayOp| matches!(op, ArrayOp::Input { dims } if dims.contains(&None));
    graph.nodes.iter().any(|node| open(&node.op))
}

/// The graph of the calls in which exactly these axes of the inputs have extent 1.
///
/// ```
/// use loopweave::Dtype;
/// use loopweave::graph::{ArrayOp, Dim, settle::settle, trace::trace};
/// let graph = trace("scale", |g| {
///     g.output("y", g.input("x", Dtype::F32, 2) * g.input("s", Dtype::F32, 1));
/// })?;
/// // In a call on shapes [8, 5] and [5] the last extents must be equal.
/// let settled = settle(graph, &[0, 0]);
/// let ArrayOp::Input { dims } = &settled.node(settled.inputs[1]).op else { unreachable!() };
/// assert_eq!(dims[..], [Some(Dim::from("x.1"))]);
/// # Ok::<(), loopweave::graph::trace::ProgramErrors>(())
/// ```
pub fn settle(mut graph: Graph, ones: &[u32]) -> Graph {
    let mut settle = Settle::default();
    let mut known: Vec<Vec<Extent>> = Vec::with_capacity(graph.nodes.len());
    for (id, _) in graph.iter() {
        let extents = settle.extents(&graph, id, ones, &known);
        known.push(extents);
    }
    for input in graph.inputs.clone() {
        for (axis, extent) in known[input.index()].iter().enumerate() {
            let dim = match *extent {
                Extent::One => Dim::Fixed(1),
                Extent::Unknown => continue,
                Extent::Class(class) => {
                    let class = settle.root(class);
                    let named = settle.classes[class].name.get_or_insert_with(|| {
                        let mut name = format!("{}.{axis}", graph.node(input).name);
                        while graph.declares(&name) {
                            name.push('\'');
                        }
                        Dim::Name(name)
                    });
                    named.clone()
                }
            };
            if let ArrayOp::Input { dims } = &mut graph.nodes[input.index()].op
                && let Some(open @ None) = dims.get_mut(axis)
            {
                *open = Some(dim);
            }
        }
    }
    graph
}

/// What is known of an extent in the calls in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    One,
    /// Any extent, 1 or not.
    Unknown,
    /// The extent of this class, not 1.
    Class(usize),
}

/// Extents that are equal in every call: a forest of classes, joined as equality is found.
#[derive(Default)]
struct Settle {
    classes: Vec<Class>,
}

struct Class {
    parent: usize,
    /// What the program calls it, or a name given to it here.
    name: Option<Dim>,
}

impl Settle {
    fn class(&mut self, name: Option<Dim>) -> Extent {
        let known = name
            .as_ref()
            .and_then(|name| self.classes.iter().position(|c| c.name.as_ref() == Some(name)));
        Extent::Class(known.unwrap_or_else(|| {
            let parent = self.classes.len();
            self.classes.push(Class { parent, name });
            parent
        }))
    }

    fn root(&self, mut class: usize) -> usize {
        while self.classes[class].parent != class {
            class = self.classes[class].parent;
        }
        class
    }

    /// Two extents that are equal unless one is 1.
    fn meet(&mut self, a: Extent, b: Extent) -> Extent {
        match (a, b) {
            (Extent::Class(a), Extent::Class(b)) => Extent::Class(self.join(a, b)),
            (Extent::Class(_), _) => a,
            (_, Extent::Class(_)) => b,
            (Extent::One, Extent::One) => Extent::One,
            _ => Extent::Unknown,
        }
    }

    fn join(&mut self, a: usize, b: usize) -> usize {
        let (a, b) = (self.root(a), self.root(b));
        // The one with a name stays; two names stay apart, as the call checks them.
        match (&self.classes[a].name, &self.classes[b].name) {
            _ if a == b => a,
            (Some(_), Some(_)) => a,
            (None, Some(_)) => {
                self.classes[a].parent = b;
                b
            }
            _ => {
                self.classes[b].parent = a;
                a
            }
        }
    }

    fn declared(&mut self, dim: Option<&Dim>, is_one: bool) -> Extent {
        match dim {
            Some(Dim::Fixed(1)) => Extent::One,
            Some(Dim::Fixed(_)) => self.class(dim.cloned()),
            _ if is_one => Extent::One,
            _ => self.class(dim.cloned()),
        }
    }

    fn extents(&mut self, graph: &Graph, id: NodeId, ones: &[u32], known: &[Vec<Extent>]) -> Vec<Extent> {
        let node = graph.node(id);
        let arg = |i: usize| &known[node.args[i].index()][..];
        match &node.op {
            ArrayOp::Constant(_) => Vec::new(),
            ArrayOp::Input { dims } => {
                let input = graph.inputs.iter().position(|&input| input == id);
                let ones = input.and_then(|input| ones.get(input)).copied().unwrap_or(0);
                let dims = dims.iter().enumerate();
                dims.map(|(axis, dim)| self.declared(dim.as_ref(), axis < 32 && ones >> axis & 1 == 1))
                    .collect()
            }
            ArrayOp::Map(_) => {
                let args: Vec<&[Extent]> = (0..node.args.len()).map(arg).collect();
                self.broadcast(&args, node.rank)
            }
            ArrayOp::Reduce { axes, keepdims, .. } => {
                let kept = |(axis, &extent): (usize, &Extent)| match (axes.contains(&axis), keepdims) {
                    (false, _) => Some(extent),
                    (true, true) => Some(Extent::One),
                    (true, false) => None,
                };
                arg(0).iter().enumerate().filter_map(kept).collect()
            }
            ArrayOp::MatMul => self.product(arg(0), arg(1)),
            ArrayOp::View(view) => self.view(view, arg(0), graph, ones),
        }
    }

    fn broadcast(&mut self, args: &[&[Extent]], rank: usize) -> Vec<Extent> {
        let mut result = vec![Extent::One; rank];
        for extents in args {
            let lead = rank - extents.len();
            for (met, &extent) in result[lead..].iter_mut().zip(*extents) {
                *met = self.meet(*met, extent);
            }
        }
        result
    }

    fn product(&mut self, left: &[Extent], right: &[Extent]) -> Vec<Extent> {
        let (lead_of_left, lead_of_right) = (left.len().saturating_sub(2), right.len().saturating_sub(2));
        self.meet(left[left.len() - 1], right[lead_of_right]);
        let batch = lead_of_left.max(lead_of_right);
        let mut result = self.broadcast(&[&left[..lead_of_left], &right[..lead_of_right]], batch);
        result.extend(left.len().checked_sub(2).map(|axis| left[axis]));
        result.extend((right.len() > 1).then(|| right[right.len() - 1]));
        result
    }

    fn view(&mut self, view: &View, from: &[Extent], graph: &Graph, ones: &[u32]) -> Vec<Extent> {
        match view {
            View::Permute(axes) => axes.iter().map(|&axis| from[axis]).collect(),
            View::Slice(slices) => sliced(slices, from),
            View::Broadcast(dims) => {
                let to: Vec<Extent> = dims.iter().map(|dim| self.asked(dim, graph, ones)).collect();
                self.broadcast(&[from, &to], to.len());
                to
            }
            View::Reshape(dims) => {
                let asked =
                    |dim: &Option<Dim>| dim.as_ref().map_or(Extent::Unknown, |dim| self.asked(dim, graph, ones));
                dims.iter().map(asked).collect()
            }
        }
    }

    /// An extent that a view asks for: a number, or that of an input's axis.
    fn asked(&mut self, dim: &Dim, graph: &Graph, ones: &[u32]) -> Extent {
        let is_one = |(&input, &ones): (&NodeId, &u32)| match &graph.node(input).op {
            ArrayOp::Input { dims } => {
                let mut dims = dims.iter().take(u32::BITS as usize).enumerate();
                dims.any(|(axis, known)| known.as_ref() == Some(dim) && ones >> axis & 1 == 1)
            }
            _ => false,
        };
        let is_one = graph.inputs.iter().zip(ones).any(is_one);
        self.declared(Some(dim), is_one)
    }
}

fn sliced(slices: &[Slice], from: &[Extent]) -> Vec<Extent> {
    let mut axes = from.iter().copied();
    let mut result = Vec::new();
    for slice in slices {
        match slice {
            Slice::New => result.push(Extent::One),
            Slice::At(_) => drop(axes.next()),
            // Every element of the axis, forwards or backwards.
            Slice::Range {
                start: None,
                stop: None,
                step: 1 | -1,
            } => result.extend(axes.next()),
            Slice::Range { .. } => {
                axes.next();
                result.push(Extent::Unknown);
            }
        }
    }
    result.extend(axes);
    result
}

#[cfg(test)]
mod tests {
    use loopweave_ir::{Dtype, trace};
    use proptest::prelude::*;

    use super::*;
    use crate::graph::bind::bind;
    use crate::graph::build::GraphBuilder;
    use crate::graph::{GraphError, Named};

    /// A graph of these steps; a step that its operands do not allow is left out.
    fn graph(ranks: &[usize], steps: &[(u8, usize, usize)]) -> Result<Graph, GraphError> {
        let add = trace("add", |[x, y]| x + y).unwrap();
        let mut g = GraphBuilder::new("random");
        let inputs = ranks.iter().enumerate();
        let mut nodes: Vec<NodeId> = inputs
            .map(|(i, &rank)| g.input(format!("x{i}"), Dtype::F32, rank))
            .collect();
        for &(kind, a, b) in steps {
            let (a, b) = (nodes[a % nodes.len()], nodes[b % nodes.len()]);
            let made = match kind {
                0..3 => g.map(&add, &[a, b]),
                3..5 => g.matmul(a, b),
                5 => g.reduce(Named::Sum, a, Some(&[-1]), true),
                6 => g.reduce(Named::Sum, a, Some(&[0]), false),
                7 => g.transpose(a),
                8 => g.slice(a, &[Slice::New]),
                9 => g.slice(a, &[Slice::from(1..)]),
                10 => g.slice(a, &[Slice::At(0)]),
                _ => g.reshape(a, &[None, Some(Dim::Fixed(2))]),
            };
            nodes.extend(made.ok().filter(|&node| g.graph().node(node).rank <= 4));
        }
        for (i, &node) in nodes.iter().enumerate().skip(ranks.len()) {
            g.output(format!("y{i}"), node);
        }
        g.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_settled_graph_takes_the_calls_that_the_graph_takes(
            inputs in proptest::collection::vec(proptest::collection::vec(1usize..4, 0..4), 1..4),
            steps in proptest::collection::vec((0u8..12, 0usize..100, 0usize..100), 1..7),
        ) {
            let ranks: Vec<usize> = inputs.iter().map(Vec::len).collect();
            let Ok(graph) = graph(&ranks, &steps) else { return Ok(()) };
            let shapes: Vec<&[usize]> = inputs.iter().map(Vec::as_slice).collect();
            let masks: Vec<u32> = shapes.iter().map(|shape| ones(shape)).collect();
            let settled = settle(graph.clone(), &masks);
            prop_assert!(!is_open(&settled) || inputs.is_empty());
            match (bind(&graph, &shapes), bind(&settled, &shapes)) {
                (Ok(open), Ok(settled)) => prop_assert_eq!(open, settled),
                (open, settled) => prop_assert_eq!(open.is_ok(), settled.is_ok(), "{:?} {:?}", open, settled),
            }
        }
    }
}
