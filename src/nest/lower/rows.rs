//! The lowering of a row-resident chain: its stages, each lowered by itself, over one set of operands.
//!
//! In: the graph and a group of stages. Out: its [`Lowered`] form, with a [`Leaf::Rows`] and, for what the stages leave for
//! each other, operands of [`Role::Local`].

use std::collections::HashSet;

use loopweave_ir::expand::ExpandError;
use loopweave_ir::simplify::Fast;

use super::{Domain, Lowered, Operand, Step, axis_names, lower};
use crate::fuse::Group;
use crate::graph::{Graph, NodeId};
use crate::nest::{Leaf, OperandId, Role};

pub(super) fn lower_rows(graph: &Graph, group: &Group, stages: &[Group], fast: Fast) -> Result<Lowered, ExpandError> {
    let made: Vec<NodeId> = stages.iter().flat_map(|s| s.roots.iter().copied()).collect();
    let stages: Vec<Lowered> = stages
        .iter()
        .map(|stage| lower(graph, stage, fast))
        .collect::<Result<_, _>>()?;
    let loaded = stages
        .iter()
        .flat_map(|s| &s.operands)
        .filter(|o| o.role == Role::Input);
    let loaded = loaded.map(|o| o.access.source);
    let mut operands = Operands {
        kept: loaded.filter(|source| made.contains(source)).collect(),
        roots: &group.roots,
        all: Vec::new(),
    };
    let mut leaves = Vec::with_capacity(stages.len());
    let mut whole: Option<Lowered> = None;
    let space = stages.first().map(|stage| stage.domain);
    for mut lowered in stages {
        // All stages loop over one space, so what they read along their own is the same.
        for operand in &mut lowered.operands {
            if let (Some(Step::Broadcast(own)), Some(Domain::Node(first))) = (operand.access.path.last_mut(), space)
                && Domain::Node(*own) == lowered.domain
            {
                *own = first;
            }
        }
        let loads: Vec<OperandId> = lowered.operands.iter().map(|o| operands.load(o)).collect();
        let stores = lowered.operands.iter().map(|o| operands.store(o)).collect::<Vec<_>>();
        let load = |ids: &mut Vec<OperandId>| ids.iter_mut().for_each(|id| *id = loads[id.index()]);
        match &mut lowered.leaf {
            Leaf::Map { map, loads, stores: to } => {
                load(loads);
                store(map, to, &stores);
            }
            Leaf::Reduce(reduce) => {
                load(&mut reduce.loads);
                load(&mut reduce.finish_loads);
                store(&mut reduce.finish, &mut reduce.stores, &stores);
            }
            Leaf::MatMul(_) | Leaf::Rows(_) => unreachable!("the stages of a plan's rows are maps and reductions"),
        }
        leaves.push(lowered.leaf.clone());
        // The space and its reduced axes are those of the reductions.
        if whole.as_ref().is_none_or(|w| w.reduced.is_empty()) {
            whole = Some(lowered);
        }
    }
    let whole = whole.expect("a chain has stages");
    Ok(Lowered {
        name: group.name.clone(),
        operands: operands.all,
        domain: whole.domain,
        axis_names: axis_names(&group.axes),
        reduced: whole.reduced,
        leaf: Leaf::Rows(leaves),
        order_free: false,
        thin: None,
    })
}

/// Stores each result where it belongs: in memory, for the row, or both.
fn store(func: &mut loopweave_ir::Func, to: &mut Vec<OperandId>, stores: &[Vec<OperandId>]) {
    let mut results = Vec::new();
    let mut targets = Vec::new();
    for (&result, id) in func.results().iter().zip(to.iter()) {
        for &target in &stores[id.index()] {
            results.push(result);
            targets.push(target);
        }
    }
    *to = targets;
    *func = func.clone().with_results(results);
}

/// The operands of all stages, those that are the same once.
struct Operands<'a> {
    /// The arrays that one stage makes and another one loads.
    kept: HashSet<NodeId>,
    /// Those of them that leave the chain.
    roots: &'a [NodeId],
    all: Vec<Operand>,
}

impl Operands<'_> {
    /// Where a stage loads what it would load alone.
    fn load(&mut self, operand: &Operand) -> OperandId {
        if operand.role != Role::Input {
            return OperandId(u32::MAX);
        }
        if self.kept.contains(&operand.access.source) {
            return self.local(operand);
        }
        self.find(operand.clone())
    }

    /// Where a stage stores what it would store alone.
    fn store(&mut self, operand: &Operand) -> Vec<OperandId> {
        let mut targets = Vec::new();
        if operand.role != Role::Output {
            return targets;
        }
        if self.kept.contains(&operand.access.source) {
            targets.push(self.local(operand));
        }
        if self.roots.contains(&operand.access.source) {
            targets.push(self.find(operand.clone()));
        }
        targets
    }

    /// The row's own copy of an array: the reduced axes tell whether it has one element or many.
    fn local(&mut self, operand: &Operand) -> OperandId {
        let known = self
            .all
            .iter()
            .position(|o| o.role == Role::Local && o.access.source == operand.access.source);
        if let Some(known) = known {
            return OperandId(known as u32);
        }
        let mut local = operand.clone();
        local.role = Role::Local;
        local.access.path.clear();
        self.push(local)
    }

    fn find(&mut self, operand: Operand) -> OperandId {
        let same =
            |o: &Operand| o.access == operand.access && o.role == operand.role && o.of_result == operand.of_result;
        match self.all.iter().position(same) {
            Some(known) => OperandId(known as u32),
            None => self.push(operand),
        }
    }

    fn push(&mut self, operand: Operand) -> OperandId {
        self.all.push(operand);
        OperandId(self.all.len() as u32 - 1)
    }
}
