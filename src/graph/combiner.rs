//! Reductions as functions: what is done with each element, with two accumulated values, and with the last of them.
//!
//! In: a [`Reduction`] and the dtypes of its argument and result. Out: a [`Combiner`].

use loopweave_ir::simplify::{Fast, simplify};
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op, Scalar};

use super::{Named, Reduction};

/// A reduction for one argument dtype: the functions around its accumulators.
pub(crate) struct Combiner {
    kind: Reduction,
    /// The dtypes of the values that are combined.
    pub(crate) accumulators: Vec<Dtype>,
    /// Two sets of values to one.
    pub(crate) combine: Func,
    /// What a reduction of nothing gives; `None` where there is no such value.
    pub(crate) init: Option<Vec<Scalar>>,
    /// Whether `init` also takes part where there are elements.
    pub(crate) apply_init: bool,
    /// Whether every order of the elements gives the same bits.
    pub(crate) order_free: bool,
}

impl Combiner {
    /// The virtual lanes over which elements are combined that lie along the fastest axis: as many as keep a core's units
    /// busy, and one where the combiner would notice that interleaved lanes bring elements out of their order.
    pub(crate) fn lanes(&self) -> u32 {
        let wide = self.accumulators.iter().any(|d| d.size() == 8);
        match (self.order_free || commutes(&self.combine), wide) {
            (false, _) => 1,
            (true, true) => 32,
            (true, false) => 64,
        }
    }

    /// The reduction of elements of dtype `argument` to `result`.
    pub(crate) fn of(reduction: &Reduction, argument: Dtype, result: Dtype) -> Combiner {
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
    pub(crate) fn map(&self, b: &mut Builder, element: ExprId) -> Vec<ExprId> {
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
    pub(crate) fn finish(&self, b: &mut Builder, accumulated: &[ExprId], count: ExprId, result: Dtype) -> ExprId {
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

pub(crate) fn binary(op: Op, dtype: Dtype) -> Func {
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

/// The extremum whose position a combiner seeks, if it is that of `argmin` or `argmax` in its simplest form.
pub(crate) fn sought(combine: &Func) -> Option<Op> {
    let [dtype, Dtype::I64] = combine.result_dtypes()[..] else {
        return None;
    };
    let seeks = |better: Op| {
        let known = simplify(&arg_combine(better, dtype), Fast::NONE);
        known.nodes() == combine.nodes() && known.results() == combine.results()
    };
    let orders = [(Op::Lt, Op::Minimum), (Op::Gt, Op::Maximum)];
    orders
        .into_iter()
        .find_map(|(better, extremum)| seeks(better).then_some(extremum))
}

/// What the combiner that [`sought`] knows makes of a value with its position and one that comes later: the later one where it is
/// better, or the first NaN.
pub(crate) fn seek_next(extremum: Op, dtype: Dtype) -> Func {
    let mut b = Builder::typed("next");
    let [x, i, y, j] = [("a", dtype), ("i", Dtype::I64), ("b", dtype), ("j", Dtype::I64)]
        .map(|(name, dtype)| b.param(name, Some(dtype)));
    let no_better = if extremum == Op::Maximum { Op::Le } else { Op::Ge };
    let no_better = b.node(no_better, &[y, x]);
    let is_number = b.node(Op::Eq, &[x, x]);
    let better = b.node(Op::Not, &[no_better]);
    let take = b.node(Op::And, &[better, is_number]);
    let value = b.node(Op::Select, &[take, y, x]);
    let position = b.node(Op::Select, &[take, j, i]);
    simplify(&b.finish(&[value, position]), Fast::NONE)
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
