//! [`Array`]: the handle that array programs are written with.
//!
//! In: method calls and operators. Out: nodes of the builder's graph, one for each call, so that reports speak of what the
//! user wrote; fusion joins them again.

mod ops;

use loopweave_ir::build::Expr;
use loopweave_ir::{Dtype, Literal, Op, trace as trace_scalar};

use super::forms::{ArrayOperand, Axes, Extent, MapResults, Operand, Subscripts};
use super::{Fault, ProgramBuilder, name_of};
use crate::graph::build::{GraphBuilder, ReduceWith};
use crate::graph::{Dim, GraphError, Named, NodeId, Slice};

/// An array in a program that is being written: a `Copy` handle.
///
/// Operators and elementwise methods are those of a scalar [`Expr`], apply to each element, and broadcast as in NumPy; a bare
/// number beside an array takes its dtype. Each makes an array of its own, rounded to its dtype, while the arithmetic inside
/// one [`Array::map`] is rounded to a 16-bit dtype only at its end. Comparisons are methods ([`Array::lt`] …), and the choice
/// is [`Array::select`].
///
/// ```
/// use loopweave::prelude::*;
/// let softmax = jit::program(|g| {
///     let x = g.input("x", F64, 2);
///     let e = (x - x.max_keepdims(-1)).exp().named("e");
///     g.output("y", e / e.sum_keepdims(-1));
/// })?;
/// let y: ndarray::Array2<f64> = softmax.call(&ndarray::array![[1.0, 1.0], [0.0, f64::NEG_INFINITY]])?;
/// assert_eq!(y, ndarray::array![[0.5, 0.5], [1.0, 0.0]]);
/// # Ok::<(), loopweave::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Array<'g> {
    builder: &'g ProgramBuilder,
    /// `None` for what could not be made, or was made from such: an error has been recorded.
    node: Option<NodeId>,
}

impl<'g> Array<'g> {
    /// A closure applied to the elements. With several results, as a tuple, it gives as many arrays.
    ///
    /// A function that is passed by its name names the array in reports.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// fn silu(x: Expr) -> Expr {
    ///     x * x.sigmoid()
    /// }
    /// let program = jit::program(|g| g.output("y", g.input("x", F32, 1).map(silu)))?;
    /// assert_eq!(program.call::<ndarray::Array1<f32>>(&[0.0f32])?, ndarray::array![0.0]);
    /// assert!(program.report().ops.iter().any(|op| op.name == "silu"));
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn map<R: MapResults, F: FnOnce(Expr) -> R>(self, f: F) -> R::Arrays<'g> {
        let func = trace_scalar(&name_of::<F>(), |[x]| f(x));
        self.results::<R>(&self.builder.traced(&[self], func))
    }

    /// A closure applied to the elements of two arrays, which broadcast. [`ProgramBuilder::map`] takes any number.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let norm = jit::program(|g| {
    ///     let (x, y) = (g.input("x", F64, 1), g.input("y", F64, 1));
    ///     g.output("norm", x.zip(y, |x, y| (x * x + y * y).sqrt()));
    /// })?;
    /// assert_eq!(norm.call::<ndarray::Array1<f64>>((&[3.0], &[4.0]))?[0], 5.0);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn zip<R: MapResults, F: FnOnce(Expr, Expr) -> R>(self, other: Array<'g>, f: F) -> R::Arrays<'g> {
        let func = trace_scalar(&name_of::<F>(), |[x, y]| f(x, y));
        self.results::<R>(&self.builder.traced(&[self, other], func))
    }

    /// As [`Array::zip`], with three arrays.
    #[track_caller]
    pub fn zip3<R: MapResults, F: FnOnce(Expr, Expr, Expr) -> R>(
        self,
        second: Array<'g>,
        third: Array<'g>,
        f: F,
    ) -> R::Arrays<'g> {
        let func = trace_scalar(&name_of::<F>(), |[x, y, z]| f(x, y, z));
        self.results::<R>(&self.builder.traced(&[self, second, third], func))
    }

    /// The matrix product, by the rules of NumPy's `@`: the last axis of this array and the last but one of the other (its
    /// only one, if it has one) are contracted, and the axes before them broadcast. Integers wrap.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let dense = jit::program(|g| {
    ///     let (x, w, b) = (g.input("x", F32, 2), g.input("w", F32, 2), g.input("b", F32, 1));
    ///     g.output("y", (x.matmul(w) + b).relu());
    /// })?;
    /// let (x, w) = (ndarray::array![[1.0f32, 2.0]], ndarray::array![[1.0f32, -1.0], [1.0, -1.0]]);
    /// let y: ndarray::Array2<f32> = dense.call((&x, &w, &[0.5f32, 0.5]))?;
    /// assert_eq!(y, ndarray::array![[3.5, 0.0]]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(self, other: Array<'g>) -> Array<'g> {
        let node = self.builder.make(&[self, other], |graph, args| {
            graph.matmul(args[0], args[1]).map_err(Fault::from)
        });
        self.with(node)
    }

    /// A reduction by a user's combiner, which must be associative: the order of combination is fixed by the shape and is not
    /// left to right. `init` is combined once, first, and is the result for no elements.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let longest = jit::program(|g| {
    ///     g.output("longest", g.input("x", I32, 2).abs().reduce(|a, b| a.maximum(b), 0, -1));
    /// })?;
    /// let y: ndarray::Array1<i32> = longest.call(&ndarray::array![[3, -8], [1, 0]])?;
    /// assert_eq!(y, ndarray::array![8, 1]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<F: FnOnce(Expr, Expr) -> Expr>(
        self,
        combine: F,
        init: impl Into<Literal>,
        axes: impl Axes,
    ) -> Array<'g> {
        self.combined(combine, init.into(), axes, false)
    }

    /// As [`Array::reduce`]; the reduced axes stay with extent 1.
    #[track_caller]
    pub fn reduce_keepdims<F: FnOnce(Expr, Expr) -> Expr>(
        self,
        combine: F,
        init: impl Into<Literal>,
        axes: impl Axes,
    ) -> Array<'g> {
        self.combined(combine, init.into(), axes, true)
    }

    /// The view with the axes in opposite order, as NumPy's `.T`. [`Array::swap_axes`] transposes the matrices of a batch.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let gram = jit::program(|g| {
    ///     let x = g.input("x", I64, 2);
    ///     g.output("gram", x.matmul(x.t()));
    /// })?;
    /// let y: ndarray::Array2<i64> = gram.call(&ndarray::array![[1i64, 2], [3, 4]])?;
    /// assert_eq!(y, ndarray::array![[5, 11], [11, 25]]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn t(self) -> Array<'g> {
        self.view(|graph, node| graph.transpose(node))
    }

    /// The view whose axis i is axis `axes[i]` of this array; negative ones count from the end.
    #[track_caller]
    pub fn permute(self, axes: impl AsRef<[isize]>) -> Array<'g> {
        self.view(|graph, node| graph.permute(node, axes.as_ref()))
    }

    /// The view with two axes exchanged; negative ones count from the end.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let scores = jit::program(|g| {
    ///     let (q, k) = (g.input("q", F32, 3), g.input("k", F32, 3));
    ///     g.output("scores", q.matmul(k.swap_axes(-1, -2)));
    /// })?;
    /// let (q, k) = (ndarray::Array3::<f32>::ones((2, 3, 4)), ndarray::Array3::<f32>::ones((2, 5, 4)));
    /// assert_eq!(scores.call::<ndarray::Array3<f32>>((&q, &k))?.dim(), (2, 3, 5));
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn swap_axes(self, first: isize, second: isize) -> Array<'g> {
        self.view(|graph, node| {
            let rank = graph.graph().node(node).rank;
            let position = |axis: isize| {
                let from_front = if axis < 0 {
                    axis.checked_add_unsigned(rank)
                } else {
                    Some(axis)
                };
                from_front.and_then(|axis| usize::try_from(axis).ok())
            };
            let mut axes: Vec<isize> = (0..rank as isize).collect();
            match (position(first), position(second)) {
                (Some(a), Some(b)) if a < rank && b < rank => axes.swap(a, b),
                (Some(a), _) if a < rank => axes[a] = second,
                // The builder says which axis there is not.
                _ => axes = vec![first],
            }
            graph.permute(node, &axes)
        })
    }

    /// The view that basic indexing gives: a position, a range, or a [`Slice`] for each axis; axes without one stay whole.
    ///
    /// ```
    /// use loopweave::jit::Slice;
    /// use loopweave::prelude::*;
    /// let steps = jit::program(|g| {
    ///     let x = g.input("x", F64, 2);
    ///     g.output("steps", x.slice((.., 1..)) - x.slice((.., ..-1)));
    ///     g.output("last", x.slice((-1, Slice::New)));
    /// })?;
    /// let x = ndarray::array![[1.0, 2.0, 4.0], [0.0, 0.0, 5.0]];
    /// let (steps, last): (ndarray::Array2<f64>, ndarray::Array2<f64>) = steps.call(&x)?;
    /// assert_eq!(steps, ndarray::array![[1.0, 2.0], [0.0, 5.0]]);
    /// assert_eq!(last, ndarray::array![[0.0, 0.0, 5.0]]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn slice(self, subscripts: impl Subscripts) -> Array<'g> {
        let slices = subscripts.slices();
        self.view(|graph, node| graph.slice(node, &slices))
    }

    /// The view with a new axis of extent 1 at this position, from 0 up to the number of axes; negative ones count from behind
    /// the last axis, so that −1 is a new last one.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let outer = jit::program(|g| {
    ///     let (x, y) = (g.input("x", I32, 1), g.input("y", I32, 1));
    ///     g.output("outer", x.expand_dims(-1) * y);
    /// })?;
    /// let z: ndarray::Array2<i32> = outer.call((&[1, 2], &[3, 4]))?;
    /// assert_eq!(z, ndarray::array![[3, 4], [6, 8]]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn expand_dims(self, axis: isize) -> Array<'g> {
        self.view(|graph, node| {
            let source = graph.graph().node(node);
            let rank = source.rank;
            let position = if axis < 0 {
                axis.checked_add_unsigned(rank + 1)
            } else {
                Some(axis)
            };
            match position.and_then(|position| usize::try_from(position).ok()) {
                Some(position) if position <= rank => {
                    let mut slices = vec![Slice::ALL; position];
                    slices.push(Slice::New);
                    graph.slice(node, &slices)
                }
                _ => Err(GraphError::Axis {
                    axis,
                    array: source.name.clone(),
                    rank: rank + 1,
                }),
            }
        })
    }

    /// The view with extents of 1, and missing leading axes, grown to these extents: numbers, or names of extents that
    /// [`ProgramBuilder::input_with_dims`] declared.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let repeat = jit::program(|g| {
    ///     let (x, y) = (g.input_with_dims("x", F32, ["n", "m"]), g.input("y", F32, 1));
    ///     g.output("y", y.broadcast(["n", "m"]));
    ///     g.output("x", x + 1);
    /// })?;
    /// let y: Vec<AnyArray> = repeat.call((&ndarray::Array2::<f32>::zeros((3, 2)), &[1.0f32, 2.0]))?;
    /// assert_eq!(y[0].shape(), [3, 2]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast(self, dims: impl IntoIterator<Item = impl Into<Dim>>) -> Array<'g> {
        let dims: Vec<Dim> = dims.into_iter().map(Into::into).collect();
        self.view(|graph, node| graph.broadcast(node, &dims))
    }

    /// The view of the same elements, in C order, under other extents: numbers, of which one may be −1 for what remains, or
    /// names of extents. A call on an array that no view can reshape is refused.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let pairs = jit::program(|g| g.output("sums", g.input("x", I64, 1).reshape([-1, 2]).sum(-1)))?;
    /// let y: ndarray::Array1<i64> = pairs.call(&[1i64, 2, 3, 4])?;
    /// assert_eq!(y, ndarray::array![3, 7]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn reshape(self, extents: impl IntoIterator<Item = impl Into<Extent>>) -> Array<'g> {
        let extents: Result<Vec<Option<Dim>>, i64> = extents.into_iter().map(|extent| extent.into().dim()).collect();
        let node = self.builder.make(&[self], |graph, args| {
            let extents = extents.map_err(|extent| Fault::Extent { extent })?;
            graph.reshape(args[0], &extents).map_err(Fault::from)
        });
        self.with(node)
    }

    /// Gives the array the name that reports and errors use. An input keeps its own, by which calls know it.
    #[track_caller]
    pub fn named(self, name: impl Into<String>) -> Array<'g> {
        let name = name.into();
        self.builder.make(&[self], |graph, args| {
            if graph.graph().inputs.contains(&args[0]) {
                return Ok(());
            }
            graph.rename(args[0], name).map_err(Fault::from)
        });
        self
    }

    /// The elements converted to a dtype; see the op table for the rules.
    #[track_caller]
    pub fn cast(self, dtype: Dtype) -> Array<'g> {
        self.op(Op::Cast(dtype), dtype.name(), &[])
    }

    /// The elements' bits as another dtype of the same width.
    #[track_caller]
    pub fn bitcast(self, dtype: Dtype) -> Array<'g> {
        self.op(Op::Bitcast(dtype), "bitcast", &[])
    }

    /// Where the elements (of dtype `bool`) hold `then`, else `otherwise`.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let masked = jit::program(|g| {
    ///     let (x, keep) = (g.input("x", F64, 1), g.input("keep", Bool, 1));
    ///     g.output("y", keep.select(x, f64::NEG_INFINITY));
    /// })?;
    /// let y: ndarray::Array1<f64> = masked.call((&[1.0, 2.0], &[true, false]))?;
    /// assert_eq!(y, ndarray::array![1.0, f64::NEG_INFINITY]);
    /// # Ok::<(), loopweave::Error>(())
    /// ```
    #[track_caller]
    pub fn select(self, then: impl ArrayOperand<'g>, otherwise: impl ArrayOperand<'g>) -> Array<'g> {
        self.op(Op::Select, Op::Select.name(), &[then.operand(), otherwise.operand()])
    }

    /// `self * factor + addend`, rounded once.
    #[track_caller]
    pub fn mul_add(self, factor: impl ArrayOperand<'g>, addend: impl ArrayOperand<'g>) -> Array<'g> {
        self.op(Op::Fma, Op::Fma.name(), &[factor.operand(), addend.operand()])
    }

    /// The elements kept between two bounds: `maximum(lo)`, then `minimum(hi)`; NaN stays NaN.
    #[track_caller]
    pub fn clamp(self, lo: impl ArrayOperand<'g>, hi: impl ArrayOperand<'g>) -> Array<'g> {
        self.maximum(lo).minimum(hi)
    }

    /// The elements where they are above zero, else zero; NaN stays NaN.
    #[track_caller]
    pub fn relu(self) -> Array<'g> {
        self.op(Op::Maximum, "relu", &[0.operand()])
    }

    pub(super) fn new(builder: &'g ProgramBuilder, node: Option<NodeId>) -> Array<'g> {
        Array { builder, node }
    }

    pub(super) fn builder(self) -> &'g ProgramBuilder {
        self.builder
    }

    pub(super) fn node(self) -> Option<NodeId> {
        self.node
    }

    fn with(self, node: Option<NodeId>) -> Array<'g> {
        Array::new(self.builder, node)
    }

    fn results<R: MapResults>(self, nodes: &[NodeId]) -> R::Arrays<'g> {
        R::arrays(|i| self.with(nodes.get(i).copied()))
    }

    #[track_caller]
    fn view(self, make: impl FnOnce(&mut GraphBuilder, NodeId) -> Result<NodeId, GraphError>) -> Array<'g> {
        let node = self
            .builder
            .make(&[self], |graph, args| make(graph, args[0]).map_err(Fault::from));
        self.with(node)
    }

    #[track_caller]
    fn combined<F: FnOnce(Expr, Expr) -> Expr>(
        self,
        combine: F,
        init: Literal,
        axes: impl Axes,
        keepdims: bool,
    ) -> Array<'g> {
        let name = match name_of::<F>() {
            unnamed if unnamed == "map" => String::from("reduce"),
            name => name,
        };
        let (combine, axes) = (trace_scalar(&name, |[a, b]| combine(a, b)), axes.axes());
        let node = self.builder.make(&[self], |graph, args| {
            let with = ReduceWith::Custom {
                combine: &combine?,
                init,
            };
            graph
                .reduce(with, args[0], axes.as_deref(), keepdims)
                .map_err(Fault::from)
        });
        self.with(node)
    }

    #[track_caller]
    fn named_reduction(self, named: Named, axes: impl Axes, keepdims: bool) -> Array<'g> {
        let axes = axes.axes();
        self.view(|graph, node| graph.reduce(named, node, axes.as_deref(), keepdims))
    }

    /// This array and other operands under an op, as a node of its own.
    #[track_caller]
    fn op(self, op: Op, name: &str, others: &[Operand<'g>]) -> Array<'g> {
        let mut operands = vec![Operand::Array(self)];
        operands.extend_from_slice(others);
        ops::apply(self.builder, op, name, &operands)
    }
}
