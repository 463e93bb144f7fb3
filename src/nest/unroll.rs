//! Narrow reductions: where each result is made of few elements, a map over the results is faster than a loop of few steps
//! for each.
//!
//! In: a lowered reduction, or a chain of stages over rows, with the shape and layouts of a call. Out: the same as a map over
//! the kept axes: each reduced element is an operand of its own, some way into the array, and the function combines them in
//! the order that the nest's docs define, so the bits are the same. Its vectors run across results.

use std::collections::HashMap;

use loopweave_ir::simplify::{Fast, simplify};
use loopweave_ir::{Builder, ExprId, Func};
use smallvec::SmallVec;

use super::lower::{CHAIN_BLOCK, Lowered, Operand};
use super::{Leaf, OperandId, Order, Reduce, Role};
use crate::shape::{Dims, Layout};

/// The most elements per result. Nanoseconds per result at one thread in f32 with AVX-512, as loops / as a map, for rows of 3, 8,
/// 12 and 16 elements: sums 5.2 / 0.9, 6.2 / 2.9, 5.5 / 4.6, 6.0 / 6.4; softmax 118 / 5.9, 40 / 18.6, 38 / 27, 30 / 33.
const MOST_ELEMENTS: usize = 12;
/// Of elements of one or two bytes, which come one by one into vectors of many.
const MOST_SMALL_ELEMENTS: usize = 4;
/// The fewest results that are worth a kernel for their number of elements alone; more than `compile_for` binds.
const FEWEST_RESULTS: usize = 512;
/// The most elements that are loaded for a result, the most operands, and the most ops of the function: more take longer to come
/// together than a loop over them, and to compile.
const MOST_LOADS: usize = 12;
const MOST_OPERANDS: usize = 24;
const MOST_OPS: usize = 400;

/// A group without its reduced axes.
pub(super) struct Unrolled {
    pub(super) lowered: Lowered,
    pub(super) shape: Dims<usize>,
    pub(super) layouts: Vec<Layout>,
    /// For each operand, the one of the group that it is a part of.
    pub(super) sources: SmallVec<[usize; 6]>,
    /// How many elements each result is made of.
    pub(super) elements: usize,
}

/// The group as a map, if its rows are narrow.
pub(super) fn unrolled(lowered: &Lowered, shape: &[usize], layouts: &[Layout], order: Order) -> Option<Unrolled> {
    let is_reduced = |axis: &usize| lowered.reduced.contains(axis);
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !is_reduced(axis)).collect();
    let extents = |axes: &[usize]| axes.iter().try_fold(1usize, |len, &axis| len.checked_mul(shape[axis]));
    let elements = extents(&lowered.reduced)?;
    let is_small = lowered.operands.iter().any(|operand| operand.dtype.size() < 4);
    let most = if is_small { MOST_SMALL_ELEMENTS } else { MOST_ELEMENTS };
    let is_narrow = (1..=most).contains(&elements) && ops(&lowered.leaf, elements) <= MOST_OPS;
    if !is_narrow || extents(&kept).is_none_or(|results| results < FEWEST_RESULTS) {
        return None;
    }
    let mut unroll = Unroll {
        group: lowered,
        order,
        elements,
        steps: layouts.iter().map(|layout| steps(lowered, shape, layout)).collect(),
        builder: Builder::typed(&lowered.name),
        values: HashMap::new(),
        loads: Vec::new(),
        stores: Vec::new(),
    };
    lowered.leaf.stages().iter().for_each(|stage| unroll.stage(stage));
    unroll.finish(shape, layouts, &kept)
}

/// How many ops the map would have at most.
fn ops(leaf: &Leaf, elements: usize) -> usize {
    let of = |func: &Func| func.nodes().iter().filter(|node| !node.args.is_empty()).count();
    let stages = leaf.stages().iter().map(|stage| match stage {
        Leaf::Reduce(reduce) => elements * (of(&reduce.map) + of(&reduce.combine)) + of(&reduce.finish),
        stage => elements * stage.functions().iter().map(|(_, func)| of(func)).sum::<usize>(),
    });
    stages.sum()
}

/// Per reduced element, in C order, how far it lies into an operand over the iteration space.
fn steps(lowered: &Lowered, shape: &[usize], layout: &Layout) -> Vec<isize> {
    if layout.rank() != shape.len() {
        return Vec::new();
    }
    lowered.reduced.iter().fold(vec![0], |steps, &axis| {
        let along = |&step: &isize| (0..shape[axis] as isize).map(move |i| step + i * layout.strides[axis]);
        steps.iter().flat_map(along).collect()
    })
}

/// One element of an operand, or all there is of one that has a single element per result.
type Part = (OperandId, usize);

struct Unroll<'a> {
    group: &'a Lowered,
    order: Order,
    elements: usize,
    steps: Vec<Vec<isize>>,
    builder: Builder,
    /// What the parts of local operands and those that were loaded are.
    values: HashMap<Part, ExprId>,
    loads: Vec<Part>,
    stores: Vec<(Part, ExprId)>,
}

impl Unroll<'_> {
    fn operand(&self, id: OperandId) -> &Operand {
        &self.group.operands[id.index()]
    }

    /// The part of an operand that a loop over the reduced elements is at.
    fn part(&self, id: OperandId, element: usize) -> Part {
        let is_single = self.operand(id).of_result;
        // A broadcast element is loaded once.
        let first = |steps: &[isize]| steps.iter().position(|&step| step == steps[element]).unwrap_or(element);
        match self.operand(id).role {
            _ if is_single => (id, 0),
            Role::Input => (id, first(&self.steps[id.index()])),
            Role::Output | Role::Local => (id, element),
        }
    }

    fn load(&mut self, id: OperandId, element: usize) -> ExprId {
        let part = self.part(id, element);
        if let Some(&known) = self.values.get(&part) {
            return known;
        }
        let name = self.part_name(part);
        let value = self.builder.param(name, Some(self.operand(id).dtype));
        self.loads.push(part);
        self.values.insert(part, value);
        value
    }

    fn store(&mut self, id: OperandId, element: usize, value: ExprId) {
        let part = self.part(id, element);
        match self.operand(id).role {
            Role::Local => drop(self.values.insert(part, value)),
            Role::Input | Role::Output => self.stores.push((part, value)),
        }
    }

    fn part_name(&self, (id, element): Part) -> String {
        let operand = self.operand(id);
        if operand.of_result {
            operand.name.clone()
        } else {
            format!("{}.{element}", operand.name)
        }
    }

    fn stage(&mut self, stage: &Leaf) {
        match stage {
            Leaf::Map { map, loads, stores } => {
                for element in 0..self.elements {
                    let results = self.map(map, loads, element);
                    for (&to, value) in stores.iter().zip(results) {
                        self.store(to, element, value);
                    }
                }
            }
            Leaf::Reduce(reduce) => self.reduce(reduce),
            Leaf::MatMul(_) | Leaf::Rows(_) => {
                unreachable!("the group reduces, and the stages of rows are maps and reductions")
            }
        }
    }

    /// The results of a function at a reduced element.
    fn map(&mut self, map: &Func, loads: &[OperandId], element: usize) -> Vec<ExprId> {
        let args: Vec<ExprId> = loads.iter().map(|&id| self.load(id, element)).collect();
        let position = self.builder.constant(element as i64);
        self.builder.inline_at(map, &args, position)
    }

    fn reduce(&mut self, reduce: &Reduce) {
        let mut values: Vec<Vec<ExprId>> = Vec::with_capacity(self.elements);
        for element in 0..self.elements {
            values.push(self.map(&reduce.map, &reduce.loads, element));
        }
        let mut combine = |a: &[ExprId], b: &[ExprId]| self.builder.inline(&reduce.combine, &[a, b].concat());
        // All elements are of one block, in which a chain is a single lane.
        const { assert!(MOST_ELEMENTS <= CHAIN_BLOCK as usize) };
        let lanes = match reduce.order.within(self.order) {
            Order::Lanes { lanes, .. } => lanes as usize,
            Order::Chain { .. } => 1,
        };
        for i in lanes..values.len() {
            values[i % lanes] = combine(&values[i % lanes], &values[i]);
        }
        values.truncate(lanes);
        let mut h = lanes / 2;
        while h > 0 {
            for i in 0..h.min(values.len().saturating_sub(h)) {
                values[i] = combine(&values[i], &values[i + h]);
            }
            h /= 2;
        }
        let mut total = values.swap_remove(0);
        if let Some(init) = reduce.init.as_ref().filter(|_| reduce.apply_init) {
            let init: Vec<ExprId> = init.iter().map(|&value| self.builder.constant(value)).collect();
            total = self.builder.inline(&reduce.combine, &[init, total].concat());
        }
        let mut args = total;
        args.push(self.builder.constant(self.elements as i64));
        for &id in &reduce.finish_loads {
            args.push(self.load(id, 0));
        }
        let results = self.builder.inline(&reduce.finish, &args);
        for (&to, value) in reduce.stores.iter().zip(results) {
            self.store(to, 0, value);
        }
    }

    fn finish(self, shape: &[usize], layouts: &[Layout], kept: &[usize]) -> Option<Unrolled> {
        let parts: Vec<Part> = self
            .loads
            .iter()
            .copied()
            .chain(self.stores.iter().map(|(part, _)| *part))
            .collect();
        let loaded = self.loads.iter().filter(|(id, _)| !self.operand(*id).of_result);
        if parts.len() > MOST_OPERANDS || loaded.count() > MOST_LOADS {
            return None;
        }
        let operands = parts.iter().map(|&part| Operand {
            name: self.part_name(part),
            of_result: false,
            ..self.operand(part.0).clone()
        });
        let layout = |&(id, element): &Part| {
            let layout = &layouts[id.index()];
            // With `keepdims` a result has every axis; without, only the kept ones.
            let has_all = layout.rank() == shape.len();
            let axis = |(i, &axis): (usize, &usize)| layout.strides[if has_all { axis } else { i }];
            let step = self.steps[id.index()].get(element).copied().unwrap_or(0);
            Layout {
                shape: kept.iter().map(|&axis| shape[axis]).collect(),
                strides: kept.iter().enumerate().map(axis).collect(),
                offset: layout.offset + if self.operand(id).of_result { 0 } else { step },
            }
        };
        let (operands, layouts) = (operands.collect(), parts.iter().map(layout).collect());
        let results: Vec<ExprId> = self.stores.iter().map(|(_, value)| *value).collect();
        let map = simplify(&self.builder.finish(&results), Fast::NONE);
        let ids = |range: std::ops::Range<usize>| range.map(|i| OperandId(i as u32)).collect();
        Some(Unrolled {
            lowered: Lowered {
                name: self.group.name.clone(),
                operands,
                domain: self.group.domain,
                axis_names: kept.iter().map(|&axis| self.group.axis_names[axis].clone()).collect(),
                reduced: Vec::new(),
                leaf: Leaf::Map {
                    map,
                    loads: ids(0..self.loads.len()),
                    stores: ids(self.loads.len()..parts.len()),
                },
                order_free: true,
                thin: None,
            },
            shape: kept.iter().map(|&axis| shape[axis]).collect(),
            layouts,
            sources: parts.iter().map(|(id, _)| id.index()).collect(),
            elements: self.elements,
        })
    }
}
