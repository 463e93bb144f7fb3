//! The Rust API that makes graphs.
//!
//! In: calls of [`GraphBuilder`], with polymorphic or typed scalar functions. Out: a [`Graph`] without dead nodes, or a
//! [`GraphError`] from the call that was wrong.
//!
//! Invariant: every node has its dtype and rank when it is made: maps are specialised for the types of their arguments, and
//! axes are counted from the front.

use loopweave_ir::text::ast::Span;
use loopweave_ir::{Builder, Dtype, Func, Kind, Literal, Scalar, Type, specialise};

use super::{ArrayOp, Dim, Graph, GraphError, Named, Node, NodeId, Reduction, View};
use crate::shape::{self, ShapeError, Slice};

/// The most axes an array may have.
pub const MAX_RANK: usize = 32;

/// What a reduction is asked to do.
#[derive(Clone, Copy, Debug)]
pub enum ReduceWith<'a> {
    /// One of NumPy's reductions.
    Named {
        /// Which.
        named: Named,
        /// The dtype to compute in and to give, as NumPy's `dtype=`: for sums, products and means.
        dtype: Option<Dtype>,
    },
    /// A user's combiner, associative by promise.
    Custom {
        /// Two values to one of the same type; polymorphic or typed.
        combine: &'a Func,
        /// What it starts from.
        init: Literal,
    },
}

impl From<Named> for ReduceWith<'_> {
    fn from(named: Named) -> Self {
        ReduceWith::Named { named, dtype: None }
    }
}

/// Builds a [`Graph`] node by node.
///
/// ```
/// use loopweave::graph::{Named, build::GraphBuilder};
/// use loopweave::ir::{Dtype, trace};
/// let mut g = GraphBuilder::new("energy");
/// let x = g.input("x", Dtype::F32, 2);
/// let squares = g.map(&trace("square", |[x]| x * x)?, &[x])?;
/// let energy = g.reduce(Named::Sum, squares, Some(&[-1]), false)?;
/// g.output("energy", energy);
/// let graph = g.finish()?;
/// assert_eq!((graph.node(graph.outputs[0].1).rank, graph.nodes.len()), (1, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: Graph,
    /// The type of each node as promotion sees it; weak for an input that is a bare scalar.
    types: Vec<Type>,
    /// Where the nodes to come stand in the text.
    span: Span,
}

impl GraphBuilder {
    /// A graph of this name, without nodes.
    pub fn new(name: impl Into<String>) -> GraphBuilder {
        GraphBuilder {
            graph: Graph {
                name: name.into(),
                nodes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                output_dims: Vec::new(),
            },
            types: Vec::new(),
            span: Span::default(),
        }
    }

    /// Gives the graph another name.
    pub fn set_name(&mut self, name: impl Into<String>) {
        self.graph.name = name.into();
    }

    /// Says where in a text the nodes to come stand.
    pub fn at(&mut self, span: Span) -> &mut GraphBuilder {
        self.span = span;
        self
    }

    /// An argument of the call with any extents. A weak type makes it a bare scalar, which yields to the types it meets and
    /// is passed in its default dtype.
    pub fn input(&mut self, name: impl Into<String>, ty: impl Into<Type>, rank: usize) -> NodeId {
        self.input_with_dims(name, ty, vec![None; rank])
    }

    /// An argument of the call whose extents are constrained where `dims` says so.
    pub fn input_with_dims(&mut self, name: impl Into<String>, ty: impl Into<Type>, dims: Vec<Option<Dim>>) -> NodeId {
        let rank = dims.len();
        let id = self.push(ArrayOp::Input { dims }, &[], ty.into(), rank, name.into());
        self.graph.inputs.push(id);
        id
    }

    /// A 0-d constant of a fixed type. A literal that should yield to the types it meets belongs into a map's function.
    pub fn constant(&mut self, value: Scalar) -> NodeId {
        let ty = Type::Strong(value.dtype());
        self.push(ArrayOp::Constant(value), &[], ty, 0, value.to_string())
    }

    /// The function applied to the elements of the arguments, which broadcast. The function has one result.
    ///
    /// # Errors
    /// The wrong number of arguments or results, and types that the function cannot take.
    pub fn map(&mut self, func: &Func, args: &[NodeId]) -> Result<NodeId, GraphError> {
        match self.map_multi(func, args)?[..] {
            [id] => Ok(id),
            ref ids => Err(GraphError::ResultCount {
                func: func.name().to_owned(),
                given: ids.len(),
            }),
        }
    }

    /// As [`GraphBuilder::map`], with a node for each result of the function.
    ///
    /// # Errors
    /// The wrong number of arguments, and types that the function cannot take.
    pub fn map_multi(&mut self, func: &Func, args: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        self.check(args)?;
        let typed = typed_for(func, &self.types_of(args))?;
        let rank = args.iter().map(|&a| self.rank(a)).max().unwrap_or(0);
        let results = typed.results().iter().enumerate();
        Ok(results
            .map(|(i, &result)| {
                let name = if typed.results().len() == 1 {
                    typed.name().to_owned()
                } else {
                    format!("{}.{i}", typed.name())
                };
                let func = single_result(&typed, result, &name);
                let ty = Type::Strong(typed.dtype(result));
                self.push(ArrayOp::Map(func), args, ty, rank, name)
            })
            .collect())
    }

    /// A reduction over the given axes, negative ones counted from the end; over all of them for `None`, over none (the
    /// combination of each element alone) for an empty list.
    ///
    /// The result's dtype follows NumPy: sums and products of integers and `bool` widen to `i64` or `u64`, means of them are
    /// `f64`, `any` and `all` are `bool`, `argmin` and `argmax` `i64`; all else keeps the argument's dtype.
    ///
    /// # Errors
    /// Axes that the array does not have or that are given twice, a dtype the reduction cannot have, and a combiner that
    /// does not fit the elements.
    pub fn reduce<'a>(
        &mut self,
        with: impl Into<ReduceWith<'a>>,
        node: NodeId,
        axes: Option<&[isize]>,
        keepdims: bool,
    ) -> Result<NodeId, GraphError> {
        self.check(&[node])?;
        let axes = match axes {
            None => (0..self.rank(node)).collect(),
            Some(axes) => {
                let mut axes = self.axes(node, axes)?;
                axes.sort_unstable();
                axes
            }
        };
        let from = self.dtype(node);
        let (reduction, dtype, name) = match with.into() {
            ReduceWith::Named { named, dtype } => {
                let dtype = named_dtype(named, from, dtype)?;
                (Reduction::Named(named), dtype, named.name().to_owned())
            }
            ReduceWith::Custom { combine, init } => {
                let reduction = custom(combine, init, from.compute())?;
                (reduction, from, combine.name().to_owned())
            }
        };
        let rank = if keepdims {
            self.rank(node)
        } else {
            self.rank(node) - axes.len()
        };
        let op = ArrayOp::Reduce {
            reduction,
            axes,
            keepdims,
        };
        Ok(self.push(op, &[node], Type::Strong(dtype), rank, name))
    }

    /// The matrix product, by the rules of NumPy's `@`: the last axis of `left` and the last but one of `right` are
    /// contracted (of one with a single axis, that one), the axes before them broadcast. The dtypes promote; integers keep
    /// theirs and wrap. Extents are compared at the call.
    ///
    /// ```
    /// use loopweave::graph::build::GraphBuilder;
    /// use loopweave::ir::Dtype;
    /// let mut g = GraphBuilder::new("dense");
    /// let (x, w) = (g.input("x", Dtype::F32, 2), g.input("w", Dtype::F32, 2));
    /// let y = g.matmul(x, w)?;
    /// g.output("y", y);
    /// assert_eq!(g.finish()?.nodes[2].rank, 2);
    /// # Ok::<(), loopweave::graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    /// An array without axes, and dtypes that have no common one.
    pub fn matmul(&mut self, left: NodeId, right: NodeId) -> Result<NodeId, GraphError> {
        self.check(&[left, right])?;
        for factor in [left, right] {
            if self.rank(factor) == 0 {
                let array = self.name(factor).to_owned();
                return Err(GraphError::MatMulScalar { array });
            }
        }
        let dtype = Dtype::promote(self.dtype(left), self.dtype(right));
        let (a, b) = (self.rank(left), self.rank(right));
        let batch = a.max(b).saturating_sub(2);
        let rank = batch + (a > 1) as usize + (b > 1) as usize;
        let ty = Type::Strong(dtype);
        Ok(self.push(ArrayOp::MatMul, &[left, right], ty, rank, String::from("matmul")))
    }

    /// The view whose axis i is axis `axes[i]` of the node, negative ones counted from the end.
    ///
    /// # Errors
    /// Axes that are not each axis once.
    pub fn permute(&mut self, node: NodeId, axes: &[isize]) -> Result<NodeId, GraphError> {
        self.check(&[node])?;
        let axes = self.axes(node, axes)?;
        let checked = shape::check_permutation(&axes, self.rank(node));
        self.view(
            node,
            checked.map(|()| (View::Permute(axes), self.rank(node))),
            "permute",
        )
    }

    /// The view with the axes in opposite order.
    ///
    /// # Errors
    /// A node of another builder.
    pub fn transpose(&mut self, node: NodeId) -> Result<NodeId, GraphError> {
        self.check(&[node])?;
        let axes = (0..self.rank(node)).rev().collect();
        self.view(node, Ok((View::Permute(axes), self.rank(node))), "transpose")
    }

    /// The view that basic indexing gives; axes without a subscript stay whole.
    ///
    /// # Errors
    /// More subscripts than axes, and a step of 0. Positions are checked at the call.
    pub fn slice(&mut self, node: NodeId, slices: &[Slice]) -> Result<NodeId, GraphError> {
        self.check(&[node])?;
        let rank = self.rank(node);
        let mut taken = 0;
        let mut result = rank;
        let mut zero_step = None;
        for slice in slices {
            match slice {
                Slice::New => result += 1,
                Slice::At(_) => result = result.saturating_sub(1),
                Slice::Range { step: 0, .. } => zero_step = zero_step.or(Some(taken)),
                Slice::Range { .. } => {}
            }
            taken += (*slice != Slice::New) as usize;
        }
        let checked = shape::check_subscripts(slices, rank).and(match zero_step {
            Some(axis) => Err(ShapeError::ZeroStep { axis }),
            None => Ok(()),
        });
        let whole = std::iter::repeat_n(Slice::ALL, rank.saturating_sub(taken));
        let slices = slices.iter().copied().chain(whole).collect();
        self.view(node, checked.map(|()| (View::Slice(slices), result)), "slice")
    }

    /// The view with extents of 1, and missing leading axes, grown to the given extents. A named extent is one that an input
    /// declares.
    ///
    /// # Errors
    /// Fewer extents than axes, and a name that no input declares.
    pub fn broadcast(&mut self, node: NodeId, dims: &[Dim]) -> Result<NodeId, GraphError> {
        self.check(&[node])?;
        if dims.len() < self.rank(node) {
            return Err(GraphError::BroadcastRank {
                array: self.name(node).to_owned(),
                rank: self.rank(node),
                to: dims.len(),
            });
        }
        self.check_extents(dims)?;
        self.view(node, Ok((View::Broadcast(dims.to_vec()), dims.len())), "broadcast")
    }

    /// The view of the same elements, in C order, under other extents; `None` once for what remains. A named extent is one
    /// that an input declares.
    ///
    /// # Errors
    /// More than one open extent, and a name that no input declares. Numbers of elements are compared at the call.
    pub fn reshape(&mut self, node: NodeId, extents: &[Option<Dim>]) -> Result<NodeId, GraphError> {
        self.check(&[node])?;
        self.check_extents(extents.iter().flatten())?;
        let open = extents.iter().filter(|e| e.is_none()).count();
        let checked = if open > 1 {
            Err(ShapeError::OpenExtents { open })
        } else {
            Ok((View::Reshape(extents.to_vec()), extents.len()))
        };
        self.view(node, checked, "reshape")
    }

    /// Gives the node the name that reports use for it.
    ///
    /// # Errors
    /// A node of another builder.
    pub fn rename(&mut self, node: NodeId, name: impl Into<String>) -> Result<(), GraphError> {
        self.check(&[node])?;
        self.graph.nodes[node.index()].name = name.into();
        Ok(())
    }

    /// Makes the node an output of the program.
    pub fn output(&mut self, name: impl Into<String>, node: NodeId) {
        self.output_with_dims(name, node, Vec::new());
    }

    /// As [`GraphBuilder::output`], with extents that each call checks, one per axis.
    pub fn output_with_dims(&mut self, name: impl Into<String>, node: NodeId, dims: Vec<Option<Dim>>) {
        // Each output is an array of its own: an input, or what is an output already, is copied by way of a view.
        let taken = |id: NodeId| self.graph.inputs.contains(&id) || self.graph.outputs.iter().any(|(_, o)| *o == id);
        let node = match self.graph.nodes.get(node.index()) {
            Some(source) if taken(node) => {
                let axes = (0..source.rank).collect();
                let (ty, rank, name) = (self.types[node.index()], source.rank, source.name.clone());
                self.push(ArrayOp::View(View::Permute(axes)), &[node], ty, rank, name)
            }
            _ => node,
        };
        self.graph.outputs.push((name.into(), node));
        self.graph.output_dims.push(dims);
    }

    /// The type of a node as promotion sees it.
    ///
    /// # Errors
    /// A node of another builder.
    pub fn ty(&self, node: NodeId) -> Result<Type, GraphError> {
        self.check(&[node])?;
        Ok(self.types[node.index()])
    }

    /// The graph as it stands, for questions about its nodes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The graph, without the nodes that no output needs; inputs stay, since they are the call's arguments.
    ///
    /// # Errors
    /// No output, a name used twice, an output of another builder or of another rank than declared, and arrays of more than [`MAX_RANK`] axes.
    pub fn finish(self) -> Result<Graph, GraphError> {
        let graph = &self.graph;
        if graph.outputs.is_empty() {
            let graph = graph.name.clone();
            return Err(GraphError::NoOutput { graph });
        }
        let outputs: Vec<NodeId> = graph.outputs.iter().map(|&(_, id)| id).collect();
        self.check(&outputs)?;
        unique("input", graph.inputs.iter().map(|&id| graph.node(id).name.as_str()))?;
        unique("output", graph.outputs.iter().map(|(name, _)| name.as_str()))?;
        for ((name, id), dims) in graph.outputs.iter().zip(&graph.output_dims) {
            let rank = graph.node(*id).rank;
            if !dims.is_empty() && dims.len() != rank {
                return Err(GraphError::OutputRank {
                    output: name.clone(),
                    rank,
                    declared: dims.len(),
                });
            }
        }
        if let Some(node) = graph.nodes.iter().find(|n| n.rank > MAX_RANK) {
            return Err(GraphError::Rank { rank: node.rank });
        }
        Ok(self.graph.without_dead_nodes())
    }

    fn push(&mut self, op: ArrayOp, args: &[NodeId], ty: Type, rank: usize, name: String) -> NodeId {
        let id = NodeId(self.graph.nodes.len() as u32);
        self.graph.nodes.push(Node {
            op,
            args: args.to_vec(),
            dtype: ty.dtype(),
            rank,
            name,
            span: self.span,
        });
        self.types.push(ty);
        id
    }

    fn view(
        &mut self,
        node: NodeId,
        view: Result<(View, usize), ShapeError>,
        name: &str,
    ) -> Result<NodeId, GraphError> {
        let (view, rank) = view.map_err(|error| GraphError::View {
            array: self.name(node).to_owned(),
            error: Box::new(error),
        })?;
        if rank > MAX_RANK {
            return Err(GraphError::Rank { rank });
        }
        let ty = self.types[node.index()];
        Ok(self.push(ArrayOp::View(view), &[node], ty, rank, name.to_owned()))
    }

    fn check(&self, nodes: &[NodeId]) -> Result<(), GraphError> {
        match nodes.iter().find(|id| id.index() >= self.graph.nodes.len()) {
            Some(&node) => Err(GraphError::UnknownNode {
                node,
                graph: self.graph.name.clone(),
            }),
            None => Ok(()),
        }
    }

    fn check_extents<'d>(&self, dims: impl IntoIterator<Item = &'d Dim>) -> Result<(), GraphError> {
        let unknown = dims.into_iter().find_map(|dim| match dim {
            Dim::Name(name) if !self.graph.declares(name) => Some(name.clone()),
            _ => None,
        });
        match unknown {
            Some(name) => Err(GraphError::UnknownExtent { name }),
            None => Ok(()),
        }
    }

    fn axes(&self, node: NodeId, axes: &[isize]) -> Result<Vec<usize>, GraphError> {
        let rank = self.rank(node);
        let mut found = Vec::with_capacity(axes.len());
        for &axis in axes {
            let from_front = if axis < 0 {
                axis.checked_add_unsigned(rank)
            } else {
                Some(axis)
            };
            let known = from_front.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank);
            let known = known.ok_or_else(|| GraphError::Axis {
                axis,
                array: self.name(node).to_owned(),
                rank,
            })?;
            if found.contains(&known) {
                return Err(GraphError::DuplicateAxis { axis });
            }
            found.push(known);
        }
        Ok(found)
    }

    fn types_of(&self, nodes: &[NodeId]) -> Vec<Type> {
        nodes.iter().map(|id| self.types[id.index()]).collect()
    }

    fn rank(&self, node: NodeId) -> usize {
        self.graph.node(node).rank
    }

    fn dtype(&self, node: NodeId) -> Dtype {
        self.graph.node(node).dtype
    }

    fn name(&self, node: NodeId) -> &str {
        &self.graph.node(node).name
    }
}

/// The typed function for arguments of these types, whose parameters have exactly the arguments' dtypes.
fn typed_for(func: &Func, args: &[Type]) -> Result<Func, GraphError> {
    if func.params().len() != args.len() {
        return Err(GraphError::ArgumentCount {
            func: func.name().to_owned(),
            takes: func.params().len(),
            given: args.len(),
        });
    }
    if func.is_typed() {
        let wrong = func.params().iter().zip(args).find(|(p, a)| p.dtype != Some(a.dtype()));
        return match wrong {
            None => Ok(func.clone()),
            Some((param, given)) => Err(GraphError::ArgumentType {
                func: func.name().to_owned(),
                param: param.name.clone(),
                takes: param.dtype.unwrap_or(given.dtype()),
                given: given.dtype(),
            }),
        };
    }
    let typed = specialise(func, args).map_err(|errors| GraphError::Types {
        func: func.name().to_owned(),
        args: args.to_vec(),
        errors,
    })?;
    let fits = typed.params().iter().zip(args).all(|(p, a)| p.dtype == Some(a.dtype()));
    if fits {
        return Ok(typed);
    }
    // A parameter of a fixed type takes its argument converted.
    let mut b = Builder::typed(typed.name());
    let loaded: Vec<_> = typed
        .params()
        .iter()
        .zip(args)
        .map(|(p, a)| b.param(&p.name, Some(a.dtype())))
        .collect();
    let converted: Vec<_> = loaded
        .iter()
        .zip(typed.param_dtypes())
        .map(|(&id, dtype)| b.cast(id, dtype))
        .collect();
    let results = b.inline(&typed, &converted);
    Ok(b.finish(&results))
}

/// The function with this one result, under this name.
fn single_result(func: &Func, result: loopweave_ir::ExprId, name: &str) -> Func {
    if func.results().len() == 1 {
        return func.clone();
    }
    let mut b = Builder::typed(name);
    let params: Vec<_> = func.params().iter().map(|p| b.param(&p.name, p.dtype)).collect();
    let position = func.results().iter().position(|&r| r == result);
    let results = b.inline(func, &params);
    b.finish(&[results[position.unwrap_or(0)]])
}

/// The dtype of a named reduction's result, in whose compute dtype it also accumulates.
fn named_dtype(named: Named, from: Dtype, asked: Option<Dtype>) -> Result<Dtype, GraphError> {
    let natural = match (named, from.kind()) {
        (Named::Sum | Named::Prod, Kind::Bool | Kind::Signed) => Dtype::I64,
        (Named::Sum | Named::Prod, Kind::Unsigned) => Dtype::U64,
        (Named::Mean, Kind::Bool | Kind::Signed | Kind::Unsigned) => Dtype::F64,
        (Named::Any | Named::All, _) => Dtype::Bool,
        (Named::ArgMin | Named::ArgMax, _) => Dtype::I64,
        (Named::Sum | Named::Prod | Named::Mean, Kind::Float) | (Named::Min | Named::Max, _) => from,
    };
    let Some(asked) = asked else { return Ok(natural) };
    let expected = match named {
        Named::Sum | Named::Prod if asked == Dtype::Bool => "a number (`any` and `all` are the reductions of bool)",
        Named::Sum | Named::Prod => return Ok(asked),
        Named::Mean if !asked.is_float() => "a float",
        Named::Mean => return Ok(asked),
        Named::Min | Named::Max if asked != natural => "the dtype of its argument (which can be cast)",
        _ if asked != natural => "its own dtype",
        _ => return Ok(natural),
    };
    Err(GraphError::ReductionDtype {
        reduction: named.name(),
        dtype: asked,
        expected,
    })
}

/// The reduction by a user's combiner over values of this compute dtype.
fn custom(combine: &Func, init: Literal, dtype: Dtype) -> Result<Reduction, GraphError> {
    let typed = typed_for(combine, &[Type::Strong(dtype); 2])?;
    if typed.result_dtypes() != [dtype] {
        return Err(GraphError::Combiner {
            func: combine.name().to_owned(),
            takes: dtype,
            gives: typed.result_dtypes(),
        });
    }
    let init = init.to_scalar(dtype).ok_or_else(|| GraphError::Init {
        func: combine.name().to_owned(),
        dtype,
    })?;
    Ok(Reduction::Custom { combine: typed, init })
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), GraphError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            let name = name.to_owned();
            return Err(GraphError::DuplicateName { what, name });
        }
    }
    Ok(())
}
