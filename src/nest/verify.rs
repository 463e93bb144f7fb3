//! The verifier of nests: that a nest is well formed, and that no access of a call leaves its view.
//!
//! In: a nest; or a nest, a binding and the byte range of each operand's view. Out: every [`Violation`].
//!
//! A nest is well formed when
//!
//! 1. it has an axis, the functions are typed, and hold basic ops only;
//! 2. every function takes and gives as many values as the leaf loads, combines and stores, of the operands' dtypes;
//! 3. inputs are only loaded and outputs only stored, each output once;
//! 4. `Op::Index` stands only in the map of a reduction;
//! 5. a map has no reduced axis; a reduction has one at least, in the place its order asks for;
//! 6. only a map's inputs lie across, and only where there are two axes;
//! 7. lanes and blocks are not 0, lanes a power of two that divides the block.
//!
//! A binding fits when every operand has a stride per axis, its class along the vector axis is true, and the lowest and the
//! highest byte it can reach lie inside its view. These are the only checks between a user's array and generated code,
//! which has none.

use std::ops::Range;

use loopweave_ir::{Dtype, Func, Op, Stage};

use super::matmul::{MatMul, Tile};
use super::{AxisRole, Binding, Bound, Leaf, Nest, OperandId, Order, Reduce, Role, Stride};

/// One way in which a nest or a binding is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A nest without axes.
    #[error("the nest has no axis")]
    NoAxis,
    /// A function with an op that no back end emits, or without types.
    #[error("`{func}` holds `{op}`, which code generation does not take")]
    NotBasic {
        /// The function.
        func: String,
        /// The op's name.
        op: &'static str,
    },
    /// A function whose parameters or results are not those of its place.
    #[error("`{func}` has {found:?} where {expected:?} stand")]
    Signature {
        /// The function.
        func: String,
        /// Its types.
        found: Vec<Dtype>,
        /// The types around it.
        expected: Vec<Dtype>,
    },
    /// An input that is stored to, an output that is loaded or not stored exactly once.
    #[error("operand `{operand}` is not used as its role allows")]
    RoleMisused {
        /// The operand's name.
        operand: String,
    },
    /// `Op::Index` outside of the map of a reduction.
    #[error("`{func}` uses the index outside of a reduction")]
    StrayIndex {
        /// The function.
        func: String,
    },
    /// Axes that are not in the order the leaf asks for.
    #[error("the reduced axes do not stand where the order of the reduction has them")]
    AxisOrder,
    /// Lanes or blocks that make no order.
    #[error("{order:?} is no order")]
    BadOrder {
        /// The order.
        order: Order,
    },
    /// A stage of rows that is neither a map nor a reduction.
    #[error("a stage of rows is neither a map nor a reduction")]
    Nested,
    /// Blocks that make no tiling.
    #[error("{tile:?} is no tiling")]
    BadTile {
        /// The sizes.
        tile: Tile,
    },
    /// A binding with another number of extents, operands or strides than the nest.
    #[error("the binding has another number of axes or operands than the nest")]
    Arity,
    /// A stride along the vector axis that is not of the operand's class.
    #[error("operand `{operand}` has stride {stride} along the vector axis, against its class")]
    Class {
        /// The operand's name.
        operand: String,
        /// The stride in bytes.
        stride: isize,
    },
    /// An access outside of the view.
    #[error("operand `{operand}` reaches bytes {reach:?} of a view of bytes {view:?}")]
    OutOfBounds {
        /// The operand's name.
        operand: String,
        /// The bytes it can reach, from the first element of the view.
        reach: Range<isize>,
        /// The bytes of the view.
        view: Range<isize>,
    },
}

/// Checks that a nest is well formed.
///
/// # Errors
/// Every violation found.
pub fn verify(nest: &Nest) -> Result<(), Vec<Violation>> {
    let mut check = Check {
        nest,
        violations: Vec::new(),
    };
    if nest.axes.is_empty() {
        check.violations.push(Violation::NoAxis);
    }
    check.roles();
    let axes = nest.axes.len();
    match &nest.leaf {
        Leaf::Map { .. } => check.axis_order(0, axes),
        Leaf::MatMul(_) => {
            if axes < 3 {
                check.violations.push(Violation::AxisOrder);
            }
            check.axis_order(1, axes.saturating_sub(1));
        }
        Leaf::Reduce(_) | Leaf::Rows(_) => {
            let reduced = nest.reduced().count();
            check.axis_order(reduced, axes.saturating_sub(nest.is_across() as usize));
            if reduced == 0 {
                check.violations.push(Violation::AxisOrder);
            }
        }
    }
    for stage in nest.leaf.stages() {
        check.stage(stage);
    }
    check.done()
}

/// Checks that a binding fits a nest and stays inside each operand's view: `views` gives, per operand, the bytes of the view
/// relative to its first logical element.
///
/// # Errors
/// Every violation found.
pub fn verify_binding(nest: &Nest, binding: &Binding, views: &[Range<isize>]) -> Result<(), Vec<Violation>> {
    let mut check = Check {
        nest,
        violations: Vec::new(),
    };
    let axes = nest.axes.len();
    let strip = binding.strip_extents();
    let fits = binding.extents.len() == axes
        && binding.operands.len() == nest.operands.len()
        && views.len() == nest.operands.len()
        && binding.operands.iter().all(|o| o.strides.len() == axes);
    if !fits {
        check.violations.push(Violation::Arity);
        return check.done();
    }
    for (i, view) in views.iter().enumerate() {
        // Local memory serves one strip after the other.
        let extents = match nest.operands[i].role {
            Role::Local => &strip,
            Role::Input | Role::Output => &binding.extents,
        };
        check.bounds(i, &binding.operands[i], extents, view);
    }
    check.done()
}

struct Check<'a> {
    nest: &'a Nest,
    violations: Vec<Violation>,
}

impl Check<'_> {
    fn done(self) -> Result<(), Vec<Violation>> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(self.violations)
        }
    }

    fn dtypes(&self, operands: &[OperandId]) -> Vec<Dtype> {
        operands.iter().map(|&id| self.nest.operand(id).dtype).collect()
    }

    /// Inputs are never stored; outputs are stored once and never loaded; what is local is stored once, before it is loaded.
    fn roles(&mut self) {
        let count = self.nest.operands.len();
        let (mut stores, mut loaded) = (vec![0; count], vec![false; count]);
        let mut loaded_early = vec![false; count];
        for stage in self.nest.leaf.stages() {
            let maps = stage.maps();
            for id in maps.iter().flat_map(|(_, loads)| *loads).chain(&stage.finish_loads()) {
                loaded[id.index()] = true;
                loaded_early[id.index()] |= stores[id.index()] == 0;
            }
            stage.stores().iter().for_each(|id| stores[id.index()] += 1);
        }
        for (i, operand) in self.nest.operands.iter().enumerate() {
            let may_lie_across =
                operand.role == Role::Input && matches!(self.nest.leaf, Leaf::Map { .. }) && self.nest.axes.len() >= 2;
            let right = match operand.role {
                _ if operand.stride == Stride::Across && !may_lie_across => false,
                Role::Input => stores[i] == 0,
                Role::Output => stores[i] == 1 && !loaded[i],
                Role::Local => {
                    let is_row = operand.stride != Stride::Any && matches!(self.nest.leaf, Leaf::Rows(_));
                    stores[i] == 1 && !loaded_early[i] && is_row
                }
            };
            if !right {
                self.violations.push(Violation::RoleMisused {
                    operand: operand.name.clone(),
                });
            }
        }
    }

    fn stage(&mut self, leaf: &Leaf) {
        let in_rows = matches!(self.nest.leaf, Leaf::Rows(_));
        match leaf {
            Leaf::Map { map, loads, stores } => self.func(map, &self.dtypes(loads), &self.dtypes(stores), false),
            Leaf::Reduce(reduce) => {
                self.reduce(reduce);
                if matches!(reduce.order, Order::Chain { .. }) && !self.nest.is_across() {
                    self.violations.push(Violation::BadOrder { order: reduce.order });
                }
            }
            Leaf::MatMul(product) => {
                self.matmul(product);
                if in_rows {
                    self.violations.push(Violation::Nested);
                }
            }
            Leaf::Rows(_) => self.violations.push(Violation::Nested),
        }
    }

    fn reduce(&mut self, reduce: &Reduce) {
        let accumulators = reduce.accumulators();
        self.func(&reduce.map, &self.dtypes(&reduce.loads), &accumulators, true);
        self.func(
            &reduce.combine,
            &[&accumulators[..], &accumulators[..]].concat(),
            &accumulators,
            false,
        );
        let mut finish = accumulators.clone();
        finish.push(Dtype::I64);
        finish.extend(self.dtypes(&reduce.finish_loads));
        self.func(&reduce.finish, &finish, &self.dtypes(&reduce.stores), false);
        if let Some(init) = &reduce.init {
            let found: Vec<Dtype> = init.iter().map(|v| v.dtype()).collect();
            self.signature("init", found, &accumulators);
        }
        let whole = match reduce.order {
            Order::Lanes { lanes, block } => lanes.is_power_of_two() && block > 0 && block % lanes == 0,
            Order::Chain { block } => block > 0,
        };
        if !whole {
            self.violations.push(Violation::BadOrder { order: reduce.order });
        }
    }

    fn matmul(&mut self, product: &MatMul) {
        let acc = product.accumulator();
        for factor in [&product.left, &product.right] {
            self.func(&factor.map, &self.dtypes(&factor.loads), &[acc], false);
        }
        self.func(&product.combine, &[acc; 3], &[acc], false);
        let mut finish = vec![acc];
        finish.extend(self.dtypes(&product.finish_loads));
        self.func(&product.finish, &finish, &self.dtypes(&product.stores), false);
        let tile = product.tile;
        let whole = tile.rows > 0 && tile.depth > 0 && tile.columns() > 0 && tile.panel > 0;
        if !whole || !tile.panel.is_multiple_of(tile.columns()) {
            self.violations.push(Violation::BadTile { tile });
        }
    }

    /// The reduced axes are the `count` axes before `end`.
    fn axis_order(&mut self, count: usize, end: usize) {
        let expected = |i: usize| {
            if i < end && i + count >= end {
                AxisRole::Reduced
            } else {
                AxisRole::Kept
            }
        };
        if self
            .nest
            .axes
            .iter()
            .enumerate()
            .any(|(i, axis)| axis.role != expected(i))
        {
            self.violations.push(Violation::AxisOrder);
        }
    }

    fn func(&mut self, func: &Func, params: &[Dtype], results: &[Dtype], index_allowed: bool) {
        if !func.is_typed() {
            self.violations.push(Violation::NotBasic {
                func: func.name().to_owned(),
                op: "untyped node",
            });
            return;
        }
        self.signature(func.name(), func.param_dtypes(), params);
        self.signature(func.name(), func.result_dtypes(), results);
        for node in func.nodes() {
            let operand = node.args.first().map_or(Dtype::I64, |&a| func.dtype(a));
            if node.op.stage_for(operand) != Stage::Basic || matches!(node.op, Op::Literal(_)) {
                self.violations.push(Violation::NotBasic {
                    func: func.name().to_owned(),
                    op: node.op.name(),
                });
            }
            if node.op == Op::Index && !index_allowed {
                self.violations.push(Violation::StrayIndex {
                    func: func.name().to_owned(),
                });
            }
        }
    }

    fn signature(&mut self, func: &str, found: Vec<Dtype>, expected: &[Dtype]) {
        if found != expected {
            self.violations.push(Violation::Signature {
                func: func.to_owned(),
                found,
                expected: expected.to_vec(),
            });
        }
    }

    fn bounds(&mut self, i: usize, bound: &Bound, extents: &[usize], view: &Range<isize>) {
        let operand = &self.nest.operands[i];
        let size = operand.dtype.size() as isize;
        let vector = self.nest.vector_axis().index();
        let (stride, extent) = (bound.strides[vector], extents[vector]);
        let class_holds = match operand.stride {
            Stride::Zero => stride == 0,
            Stride::Unit => stride == size || extent <= 1,
            Stride::Across => vector > 0 && bound.strides[vector - 1] == size,
            Stride::Any => true,
        };
        if !class_holds {
            self.violations.push(Violation::Class {
                operand: operand.name.clone(),
                stride,
            });
        }
        let along = |(&extent, &stride): (&usize, &isize)| stride.saturating_mul(extent.saturating_sub(1) as isize);
        let reaches = extents.iter().zip(&bound.strides).map(along);
        let (mut low, mut high) = (bound.offset, bound.offset.saturating_add(size));
        for reach in reaches {
            low = low.saturating_add(reach.min(0));
            high = high.saturating_add(reach.max(0));
        }
        // An operand is touched when every axis it depends on has an index; a result of an empty reduction is, but not what a
        // map of an empty row stores.
        let is_of_result = self.nest.is_of_result(OperandId(i as u32));
        let mut axes = self.nest.axes.iter().zip(extents);
        let touched = axes.all(|(axis, &extent)| extent > 0 || (is_of_result && axis.role == AxisRole::Reduced));
        if touched && (low < view.start || high > view.end) {
            self.violations.push(Violation::OutOfBounds {
                operand: operand.name.clone(),
                reach: low..high,
                view: view.clone(),
            });
        }
    }
}
