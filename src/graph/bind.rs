//! Binding: from the shapes of one call's arguments to the shape of every node.
//!
//! In: a [`Graph`] and the extents of its inputs. Out: [`Shapes`], or the first contradiction, by the user's names. Also
//! [`layout`]: where the elements of one view lie, given where its argument's do.
//!
//! Invariants: a bound shape agrees with every declared extent, and no array, stored or not, is larger than memory could
//! hold, so the sizes and distances computed from bound shapes do not overflow.

use std::ops::Index;

use loopweave_ir::text::ast::Span;
use smallvec::SmallVec;

use super::error::count;
use super::{ArrayOp, Dim, Graph, NodeId, Reduction, View};
use crate::shape::{self, Dims, Layout, ShapeError, broadcast_shapes};

/// The extents of every node of a graph in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shapes(Vec<Dims<usize>>);

impl Index<NodeId> for Shapes {
    type Output = Dims<usize>;

    fn index(&self, id: NodeId) -> &Dims<usize> {
        &self.0[id.index()]
    }
}

/// Why a graph cannot take arguments of these shapes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Too few or too many arguments.
    #[error("`{graph}` takes {}, not {given}", count(*.takes, "array", "arrays"))]
    InputCount {
        /// The graph's name.
        graph: String,
        /// The number of its inputs.
        takes: usize,
        /// The number of arguments.
        given: usize,
    },
    /// An argument with the wrong number of axes.
    #[error("`{input}` has {}; `{graph}` takes {takes}", count(*.given, "axis", "axes"))]
    Rank {
        /// The input's name.
        input: String,
        /// The number of its axes.
        given: usize,
        /// The graph's name.
        graph: String,
        /// The number of axes it takes.
        takes: usize,
    },
    /// An argument or a result whose extent is not the one the graph fixes.
    #[error("{array} has extent {extent} at axis {axis}; `{graph}` declares {declared}")]
    Extent {
        /// The input or output.
        array: End,
        /// The axis.
        axis: usize,
        /// Its extent.
        extent: usize,
        /// The graph's name.
        graph: String,
        /// The extent it declares.
        declared: usize,
    },
    /// Two extents of one name that differ.
    #[error(
        "the extent `{name}` is {first} in {first_array} (axis {first_axis}) but {extent} in {array} (axis {axis})"
    )]
    Name {
        /// The name of the extent.
        name: String,
        /// What it was first.
        first: usize,
        /// The input or output where it was that.
        first_array: End,
        /// The axis of that array.
        first_axis: usize,
        /// What it is then.
        extent: usize,
        /// The input or output where it is that.
        array: End,
        /// The axis of that array.
        axis: usize,
    },
    /// A broadcast to an extent that no input declares.
    #[error("no input has an extent named `{name}`")]
    UnknownExtent {
        /// The name.
        name: String,
    },
    /// Shapes that do not broadcast.
    #[error("{error}")]
    Broadcast {
        /// What is wrong.
        error: Box<ShapeError>,
        /// The place in the text of what computes with them; empty where there is no text.
        span: Span,
    },
    /// A shape that a view, or the program, cannot take.
    #[error("`{array}`: {error}")]
    Shape {
        /// The array that is viewed, or that is too large.
        array: String,
        /// What is wrong.
        error: Box<ShapeError>,
        /// The place of the array, or of its view, in the text.
        span: Span,
    },
    /// A matrix product of arrays whose contracted axes differ.
    #[error("{} and {} must have the same extent for a matrix product", .factors[0], .factors[1])]
    Contraction {
        /// The two arrays.
        factors: Box<[ContractedAxis; 2]>,
        /// The place of the product in the text.
        span: Span,
    },
    /// A reduction of nothing that has no value for nothing.
    #[error("`{reduction}` over {} of `{array}` {shape:?} has no elements", Axes(.axes))]
    Empty {
        /// The reduction's name.
        reduction: &'static str,
        /// The reduced axes.
        axes: Vec<usize>,
        /// The name of the array that is reduced.
        array: String,
        /// Its extents.
        shape: Vec<usize>,
        /// The reduction's place in the text.
        span: Span,
    },
}

impl BindError {
    /// The place in the program's text that the error is about, where it is about one.
    pub fn span(&self) -> Option<Span> {
        match self {
            BindError::Broadcast { span, .. }
            | BindError::Contraction { span, .. }
            | BindError::Shape { span, .. }
            | BindError::Empty { span, .. } => Some(*span).filter(|span| span.start < span.end),
            _ => None,
        }
    }
}

/// The axis of a factor that a matrix product sums over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractedAxis {
    /// The array's name.
    pub array: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// The axis.
    pub axis: usize,
}

impl std::fmt::Display for ContractedAxis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "axis {} of `{}` {:?}", self.axis, self.array, self.shape)
    }
}

/// An array at an end of a program; an input and a result may have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The input of this name.
    Input(Box<str>),
    /// The result of this name.
    Result(Box<str>),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Input(name) => write!(f, "`{name}`"),
            End::Result(name) => write!(f, "the result `{name}`"),
        }
    }
}

/// Axes in a sentence.
struct Axes<'a>(&'a [usize]);

impl std::fmt::Display for Axes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [axis] => write!(f, "axis {axis}"),
            axes => write!(f, "axes {axes:?}"),
        }
    }
}

/// The shape of every node, for inputs of these shapes in the order of [`Graph::inputs`].
///
/// ```
/// use loopweave::graph::{Named, bind::bind, build::GraphBuilder};
/// use loopweave::ir::Dtype;
/// let mut g = GraphBuilder::new("peak");
/// let x = g.input("x", Dtype::F32, 2);
/// let peak = g.reduce(Named::Max, x, Some(&[0]), false)?;
/// g.output("peak", peak);
/// let graph = g.finish()?;
/// assert_eq!(bind(&graph, &[&[4, 3]])?[peak][..], [3]);
/// let error = bind(&graph, &[&[0, 3]]).unwrap_err();
/// assert_eq!(error.to_string(), "`max` over axis 0 of `x` [0, 3] has no elements");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first contradiction between the shapes and the graph.
pub fn bind(graph: &Graph, inputs: &[&[usize]]) -> Result<Shapes, BindError> {
    if inputs.len() != graph.inputs.len() {
        return Err(BindError::InputCount {
            graph: graph.name.clone(),
            takes: graph.inputs.len(),
            given: inputs.len(),
        });
    }
    let mut bind = Bind {
        graph,
        extents: SmallVec::new(),
        shapes: vec![Dims::new(); graph.nodes.len()],
    };
    for (&id, &shape) in graph.inputs.iter().zip(inputs) {
        bind.input(id, shape)?;
    }
    for (id, _) in graph.iter() {
        bind.node(id)?;
    }
    for ((name, id), dims) in graph.outputs.iter().zip(&graph.output_dims) {
        let shape = bind.shapes[id.index()].clone();
        bind.declared(|| End::Result(name.as_str().into()), dims, &shape)?;
    }
    Ok(Shapes(bind.shapes))
}

/// Where the elements of a view node lie, where `source` is the layout of its argument. The layout of any other node is
/// `source` itself.
///
/// # Errors
/// A reshape of elements that lie so that no strides reach them in the new order.
pub fn layout(graph: &Graph, shapes: &Shapes, node: NodeId, source: &Layout) -> Result<Layout, ShapeError> {
    let ArrayOp::View(view) = &graph.node(node).op else {
        return Ok(source.clone());
    };
    match view {
        View::Permute(axes) => source.permute(axes),
        View::Slice(slices) => source.slice(slices),
        View::Broadcast(_) => source.broadcast_to(&shapes[node]),
        View::Reshape(_) => {
            let extents: Dims<Option<usize>> = shapes[node].iter().copied().map(Some).collect();
            source.reshape(&extents)
        }
    }
}

/// Where a named extent was first seen.
struct Extent<'g> {
    name: &'g str,
    extent: usize,
    array: End,
    axis: usize,
}

struct Bind<'g> {
    graph: &'g Graph,
    extents: SmallVec<[Extent<'g>; 8]>,
    shapes: Vec<Dims<usize>>,
}

impl<'g> Bind<'g> {
    fn input(&mut self, id: NodeId, shape: &[usize]) -> Result<(), BindError> {
        let node = self.graph.node(id);
        if shape.len() != node.rank {
            return Err(BindError::Rank {
                input: node.name.clone(),
                given: shape.len(),
                graph: self.graph.name.clone(),
                takes: node.rank,
            });
        }
        if let ArrayOp::Input { dims } = &node.op {
            self.declared(|| End::Input(node.name.as_str().into()), dims, shape)?;
        }
        self.shapes[id.index()] = shape.into();
        Ok(())
    }

    /// Compares the extents of an input or output with the declared ones.
    fn declared(&mut self, array: impl Fn() -> End, dims: &'g [Option<Dim>], shape: &[usize]) -> Result<(), BindError> {
        for (axis, (dim, &extent)) in dims.iter().zip(shape).enumerate() {
            match dim {
                None => {}
                Some(Dim::Fixed(declared)) if *declared == extent => {}
                Some(Dim::Fixed(declared)) => {
                    return Err(BindError::Extent {
                        array: array(),
                        axis,
                        extent,
                        graph: self.graph.name.clone(),
                        declared: *declared,
                    });
                }
                Some(Dim::Name(name)) => self.named(name, extent, &array, axis)?,
            }
        }
        Ok(())
    }

    fn named(&mut self, name: &'g str, extent: usize, array: &impl Fn() -> End, axis: usize) -> Result<(), BindError> {
        match self.extents.iter().find(|e| e.name == name) {
            Some(first) if first.extent == extent => {}
            Some(first) => {
                return Err(BindError::Name {
                    name: name.to_owned(),
                    first: first.extent,
                    first_array: first.array.clone(),
                    first_axis: first.axis,
                    extent,
                    array: array(),
                    axis,
                });
            }
            None => self.extents.push(Extent {
                name,
                extent,
                array: array(),
                axis,
            }),
        }
        Ok(())
    }

    fn node(&mut self, id: NodeId) -> Result<(), BindError> {
        let node = self.graph.node(id);
        let shape = match &node.op {
            ArrayOp::Input { .. } => self.shapes[id.index()].clone(),
            ArrayOp::Constant(_) => Dims::new(),
            ArrayOp::Map(_) => self.map(&node.args, node.span)?,
            ArrayOp::Reduce {
                reduction,
                axes,
                keepdims,
            } => self.reduce(id, reduction, axes, *keepdims)?,
            ArrayOp::MatMul => self.matmul(id)?,
            ArrayOp::View(view) => self.view(node.args[0], view, node.span)?,
        };
        // A view is named by what it views: its own name says nothing to the user.
        let named = if matches!(node.op, ArrayOp::View(_)) {
            node.args[0]
        } else {
            id
        };
        let checked = shape::check_size(&shape);
        checked.map_err(|error| self.shape_error(named, error, node.span))?;
        self.shapes[id.index()] = shape;
        Ok(())
    }

    fn map(&self, args: &[NodeId], span: Span) -> Result<Dims<usize>, BindError> {
        let first = args.first().map(|a| &self.shapes[a.index()]);
        if let Some(first) = first
            && args.iter().all(|a| &self.shapes[a.index()] == first)
        {
            return Ok(first.clone());
        }
        let arrays: SmallVec<[(&str, &[usize]); 4]> = args
            .iter()
            .map(|a| (self.graph.node(*a).name.as_str(), &self.shapes[a.index()][..]))
            .collect();
        broadcast_shapes(&arrays).map_err(|error| BindError::Broadcast {
            error: Box::new(error),
            span,
        })
    }

    fn reduce(
        &self,
        node: NodeId,
        reduction: &Reduction,
        axes: &[usize],
        keepdims: bool,
    ) -> Result<Dims<usize>, BindError> {
        let node = self.graph.node(node);
        let arg = node.args[0];
        let from = &self.shapes[arg.index()];
        let kept = |(axis, &extent): (usize, &usize)| match (axes.contains(&axis), keepdims) {
            (false, _) => Some(extent),
            (true, true) => Some(1),
            (true, false) => None,
        };
        let shape: Dims<usize> = from.iter().enumerate().filter_map(kept).collect();
        if let Reduction::Named(named) = reduction
            && !named.has_identity()
            && axes.iter().any(|&a| from[a] == 0)
            && !shape.contains(&0)
        {
            return Err(BindError::Empty {
                reduction: named.name(),
                axes: axes.to_vec(),
                array: self.graph.node(arg).name.clone(),
                shape: from.to_vec(),
                span: node.span,
            });
        }
        Ok(shape)
    }

    fn matmul(&self, id: NodeId) -> Result<Dims<usize>, BindError> {
        let node = self.graph.node(id);
        let [left, right] = [0, 1].map(|i| node.args[i]);
        let (a, b) = (&self.shapes[left.index()][..], &self.shapes[right.index()][..]);
        let name = |id: NodeId| self.graph.node(id).name.as_str();
        let (left_axis, right_axis) = (a.len() - 1, b.len().saturating_sub(2));
        if a[left_axis] != b[right_axis] {
            let factor = |id: NodeId, shape: &[usize], axis: usize| ContractedAxis {
                array: name(id).to_owned(),
                shape: shape.to_vec(),
                axis,
            };
            return Err(BindError::Contraction {
                factors: Box::new([factor(left, a, left_axis), factor(right, b, right_axis)]),
                span: node.span,
            });
        }
        let (left_lead, right_lead) = (&a[..a.len().saturating_sub(2)], &b[..b.len().saturating_sub(2)]);
        let batch = broadcast_shapes(&[(name(left), left_lead), (name(right), right_lead)]);
        let mut shape = batch.map_err(|error| BindError::Broadcast {
            // The user knows the factors by their whole shapes.
            error: Box::new(match error {
                ShapeError::Broadcast { axis, .. } => ShapeError::Broadcast {
                    name: name(right).to_owned(),
                    shape: b.to_vec(),
                    other: name(left).to_owned(),
                    other_shape: a.to_vec(),
                    axis,
                },
                other => other,
            }),
            span: node.span,
        })?;
        shape.extend(a.len().checked_sub(2).map(|axis| a[axis]));
        shape.extend((b.len() > 1).then(|| b[b.len() - 1]));
        Ok(shape)
    }

    fn view(&self, arg: NodeId, view: &View, span: Span) -> Result<Dims<usize>, BindError> {
        let from = &self.shapes[arg.index()];
        let shape = match view {
            View::Permute(axes) => Ok(axes.iter().map(|&a| from[a]).collect()),
            View::Slice(slices) => shape::slice_shape(from, slices),
            View::Broadcast(dims) => {
                let to: Dims<usize> = dims.iter().map(|dim| self.extent_of(dim)).collect::<Result<_, _>>()?;
                shape::check_broadcast_to(from, &to).map(|()| to)
            }
            View::Reshape(dims) => {
                let known = dims
                    .iter()
                    .map(|dim| dim.as_ref().map(|dim| self.extent_of(dim)).transpose());
                let to: Dims<Option<usize>> = known.collect::<Result<_, _>>()?;
                shape::reshape_shape(from, &to)
            }
        };
        shape.map_err(|error| self.shape_error(arg, error, span))
    }

    fn extent_of(&self, dim: &Dim) -> Result<usize, BindError> {
        match dim {
            Dim::Fixed(extent) => Ok(*extent),
            Dim::Name(name) => {
                let known = self.extents.iter().find(|e| e.name == name);
                let known = known.map(|e| e.extent);
                known.ok_or_else(|| BindError::UnknownExtent { name: name.clone() })
            }
        }
    }

    fn shape_error(&self, array: NodeId, error: ShapeError, span: Span) -> BindError {
        BindError::Shape {
            array: self.graph.node(array).name.clone(),
            error: Box::new(error),
            span,
        }
    }
}
