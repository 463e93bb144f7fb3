//! The evaluation of a scalar function on lanes.
//!
//! In: a function, and where its parameters come from. Out: the lanes of its results.
//!
//! What is the same for all lanes of a row (operands of stride 0, and all that is computed from those and constants alone) is
//! computed once, in vectors, before the loop. Parameters are loaded where they are first needed. What only the seldom chosen
//! operand of `rare` needs stands behind a branch, which is taken for vectors of which no lane wants it.

use std::collections::HashMap;

use iced_x86::Code;
use loopweave_ir::func::Node;
use loopweave_ir::op::Rule;
use loopweave_ir::{Dtype, ExprId, Func, Op};
use smallvec::SmallVec;

use super::asm::Reg;
use super::isa::Isa;
use super::lanes::{Gap, Lanes, Selected, Selector};
use super::order::Ops;
use super::pattern::{self, Found};
use super::quotient::Reciprocal;

/// Registers that instructions need beside the values of ops.
pub(super) const SPARE_REGISTERS: usize = 2;
/// Registers for masks with AVX-512, of which one has the lanes at the end of a row.
const MASKS: usize = 7;
/// Ops up to which it is worth the time to look for an order that needs few registers.
const REORDERED_OPS: usize = 1000;

/// A function with what its evaluations share.
pub(super) struct Body<'f> {
    pub(super) func: &'f Func,
    /// What one instruction makes of other nodes than the node's operands.
    patterns: Vec<Option<Found>>,
    /// How often each node's value is needed.
    uses: Vec<u32>,
    /// The ops that are computed for vectors, each after its operands.
    order: Vec<ExprId>,
    /// Whether each node is needed for every vector.
    is_common: Vec<bool>,
    /// Whether each node is the same for all lanes; constants are not counted, they are known anyway.
    is_uniform: Vec<bool>,
    /// The values of those, once computed.
    uniform: Vec<Option<Lanes>>,
    /// What floats are divided by that is the same for all lanes, where a loop may take the reciprocal.
    divisors: Vec<ExprId>,
    /// Those of them whose reciprocal is there.
    reciprocals: HashMap<ExprId, Reciprocal>,
}

/// What stands behind the branch of a `rare`.
struct Region {
    ops: Vec<ExprId>,
    /// What the choice takes that is computed in any case.
    inputs: Vec<ExprId>,
}

impl<'f> Body<'f> {
    /// A function whose parameters are the same for all lanes where `uniform` says so.
    pub(super) fn new(func: &'f Func, isa: Isa, uniform: impl Fn(usize) -> bool) -> Body<'f> {
        let patterns = pattern::find(func, isa);
        let mut uses = vec![0; func.nodes().len()];
        let mut is_uniform = vec![false; func.nodes().len()];
        for (id, node) in func.iter() {
            is_uniform[id.index()] = match node.op {
                Op::Param(p) => uniform(p as usize),
                Op::Const(_) | Op::Index => false,
                _ => node.args.iter().all(|a| is_uniform[a.index()] || is_const(func, *a)),
            };
        }
        func.results().iter().for_each(|r| uses[r.index()] += 1);
        for (id, node) in func.iter().rev() {
            if uses[id.index()] > 0 && !is_uniform[id.index()] {
                let args = operands(&patterns, id, node);
                args.iter().for_each(|a| uses[a.index()] += 1);
            }
        }
        let is_computed = |node: &Node| !matches!(node.op, Op::Param(_) | Op::Const(_));
        let varying = func.iter().filter(|(id, node)| {
            let at = id.index();
            !is_uniform[at] && uses[at] > 0 && is_computed(node)
        });
        let mut body = Body {
            func,
            order: varying.map(|(id, _)| id).collect(),
            patterns,
            uniform: vec![None; uses.len()],
            uses,
            is_common: func.always_needed(),
            is_uniform,
            divisors: Vec::new(),
            reciprocals: HashMap::new(),
        };
        if !body.fits(isa) {
            body.hold_few(isa);
        }
        body
    }

    /// Puts its ops in an order that needs few registers.
    pub(super) fn hold_few(&mut self, isa: Isa) {
        if self.order.len() <= REORDERED_OPS {
            self.order = self.few_held(isa);
        }
    }

    /// Whether there are registers for all that is held at once.
    fn fits(&self, isa: Isa) -> bool {
        let masks = match isa {
            Isa::Avx512 => self.most_held(|id| self.is_mask(id)),
            Isa::Avx2 => 0,
        };
        masks < MASKS && self.live(isa) + SPARE_REGISTERS <= isa.registers()
    }

    /// Its ops in an order that holds few values, in which what only the seldom chosen operand of `rare` needs stands before it,
    /// as it will in the code: behind all that the choice takes otherwise.
    fn few_held(&self, isa: Isa) -> Vec<ExprId> {
        let weight = |id: ExprId| match isa {
            _ if self.is_uniform[id.index()] || is_const(self.func, id) => 0,
            // Four times as many registers hold vectors as hold masks.
            Isa::Avx512 if self.is_mask(id) => 4,
            _ => 1,
        };
        let ids = self.uses.len();
        let common: Vec<ExprId> = self.common().collect();
        let regions: HashMap<ExprId, Region> = common.iter().filter_map(|&id| Some((id, self.region(id)?))).collect();
        let operands = |id: ExprId| match regions.get(&id) {
            Some(region) => &region.inputs,
            None => self.operands(id, self.func.node(id)),
        };
        let ops = Ops {
            ops: &common,
            inputs: &[],
            results: self.func.results(),
            ids,
            operands,
            weight,
        };
        let common = ops.few_held();
        let mut order = Vec::with_capacity(self.order.len());
        for (at, &id) in common.iter().enumerate() {
            if let Some(Region { ops, inputs }) = regions.get(&id) {
                let mut results = vec![self.func.node(id).args[1]];
                for &later in &common[at..] {
                    let operands = self.operands(later, self.func.node(later));
                    results.extend(operands.iter().filter(|arg| inputs.contains(arg)));
                }
                results.sort_unstable();
                results.dedup();
                let is_new = |op: &ExprId| !order.contains(op);
                let ops = Ops {
                    ops: &ops.iter().copied().filter(is_new).collect::<Vec<_>>(),
                    inputs,
                    results: &results,
                    ids,
                    operands: |id: ExprId| self.operands(id, self.func.node(id)),
                    weight,
                };
                order.extend(ops.few_held());
            }
            order.push(id);
        }
        order
    }

    /// What a seldom chosen operand needs, if `id` is a choice that has one.
    fn region(&self, id: ExprId) -> Option<Region> {
        let node = self.func.node(id);
        let [condition, seldom, usual] = *node.args else {
            return None;
        };
        let is_known = |id: ExprId| self.is_common[id.index()] || is_const(self.func, id);
        let mut ops = (node.op == Op::Rare).then(|| self.func.needed_beside(seldom, is_known))?;
        ops.retain(|op| self.order.contains(op));
        let mut inputs = vec![condition, usual];
        for &op in &ops {
            let operands = self.operands(op, self.func.node(op));
            inputs.extend(operands.iter().filter(|arg| is_known(**arg)));
        }
        inputs.sort_unstable();
        inputs.dedup();
        Some(Region { ops, inputs })
    }

    /// The function where loops may divide by way of the reciprocals of what stays the same. With AVX2 division is fast enough.
    pub(super) fn with_reciprocals(mut self, isa: Isa) -> Body<'f> {
        if isa == Isa::Avx512 {
            let divides = |id: &ExprId| self.func.node(*id).op == Op::Div && self.func.dtype(*id).is_float();
            let stays = |by: &ExprId| self.is_uniform[by.index()] || is_const(self.func, *by);
            let divided = self.order.iter().copied().filter(divides);
            let mut divisors: Vec<ExprId> = divided.map(|id| self.func.node(id).args[1]).filter(stays).collect();
            divisors.sort_unstable();
            divisors.dedup();
            self.divisors = divisors;
        }
        self
    }

    /// Whether it has divisions that [`Selector::prepare_reciprocals`] changes.
    pub(super) fn has_divisors(&self) -> bool {
        !self.divisors.is_empty()
    }

    /// Makes divisions divide again.
    pub(super) fn forget_reciprocals(&mut self) {
        self.reciprocals.clear();
    }

    /// The ops that are computed for each vector.
    pub(super) fn ops(&self) -> usize {
        self.common().count()
    }

    /// Those ops.
    fn common(&self) -> impl Iterator<Item = ExprId> {
        self.order.iter().copied().filter(|id| self.is_common[id.index()])
    }

    /// What a node's value is computed from.
    fn operands<'a>(&'a self, id: ExprId, node: &'a Node) -> &'a [ExprId] {
        operands(&self.patterns, id, node)
    }

    /// The most registers that values of one evaluation hold at once, those that are the same for all lanes included.
    pub(super) fn live(&self, isa: Isa) -> usize {
        // A quotient has two values on the way.
        let quotients = match self.divisors.len() {
            0 => 0,
            n => n * Reciprocal::REGISTERS + 2,
        };
        self.most_held(|id| isa == Isa::Avx2 || !self.is_mask(id)) + quotients
    }

    fn is_mask(&self, id: ExprId) -> bool {
        self.func.dtype(id) == Dtype::Bool
    }

    /// The most values held at once, of those that count.
    fn most_held(&self, counts: impl Fn(ExprId) -> bool) -> usize {
        let resident = self
            .func
            .iter()
            .filter(|(id, _)| self.is_uniform[id.index()] && self.uses[id.index()] > 0 && counts(*id));
        let (mut live, mut most) = (0usize, 0usize);
        let mut remaining = self.uses.clone();
        let mut loaded = vec![false; remaining.len()];
        for &id in &self.order {
            let node = self.func.node(id);
            for arg in self.operands(id, node) {
                let is_load = matches!(self.func.node(*arg).op, Op::Param(_)) && !self.is_uniform[arg.index()];
                if is_load && !loaded[arg.index()] {
                    loaded[arg.index()] = true;
                    live += counts(*arg) as usize;
                }
            }
            live += counts(id) as usize;
            most = most.max(live);
            for arg in self.operands(id, node) {
                let at = arg.index();
                remaining[at] = remaining[at].saturating_sub(1);
                let held = !self.is_uniform[at] && !is_const(self.func, *arg) && counts(*arg);
                live -= (held && remaining[at] == 0) as usize;
            }
        }
        most + resident.count()
    }
}

/// What a node's value is computed from: by a pattern, or by its op.
fn operands<'a>(patterns: &'a [Option<Found>], id: ExprId, node: &'a Node) -> &'a [ExprId] {
    match &patterns[id.index()] {
        Some((_, operands)) => operands,
        None => &node.args,
    }
}

fn is_const(func: &Func, id: ExprId) -> bool {
    matches!(func.node(id).op, Op::Const(_))
}

impl Selector {
    /// Computes what is the same for all lanes; `param` loads parameters.
    pub(super) fn prepare(
        &mut self,
        body: &mut Body<'_>,
        mut param: impl FnMut(&mut Selector, usize) -> Selected<Lanes>,
    ) -> Selected<()> {
        for (id, node) in body.func.iter() {
            if !body.is_uniform[id.index()] {
                continue;
            }
            let value = match node.op {
                Op::Param(p) => param(self, p as usize)?,
                _ => self.apply(body, id, &body.uniform, &[false; 3])?,
            };
            body.uniform[id.index()] = Some(value);
        }
        Ok(())
    }

    /// Computes the reciprocals of what stays the same; divisions by it take them from here on, until they are forgotten.
    pub(super) fn prepare_reciprocals(&mut self, body: &mut Body<'_>) -> Selected<()> {
        for &id in &body.divisors {
            let divisor = self.known(body.func, id, &body.uniform)?;
            body.reciprocals.insert(id, self.reciprocal(divisor)?);
        }
        Ok(())
    }

    /// The results of a function on lanes; `param` loads those parameters that differ between them, and `index` is
    /// [`Op::Index`].
    pub(super) fn eval(
        &mut self,
        body: &Body<'_>,
        mut param: impl FnMut(&mut Selector, usize) -> Selected<Lanes>,
        index: Option<Lanes>,
    ) -> Selected<Vec<Lanes>> {
        let mut results = self.eval_abreast(body, 1, |s, _, p| param(s, p), index)?;
        Ok(results.pop().unwrap_or_default())
    }

    /// The results of a function on several vectors abreast: each op for all of them in turn. `param` loads a vector's parameters.
    pub(super) fn eval_abreast(
        &mut self,
        body: &Body<'_>,
        abreast: usize,
        mut param: impl FnMut(&mut Selector, usize, usize) -> Selected<Lanes>,
        index: Option<Lanes>,
    ) -> Selected<Vec<Vec<Lanes>>> {
        let func = body.func;
        let mut vectors = vec![body.uniform.clone(); abreast];
        let mut remaining = body.uses.clone();
        for id in body.common() {
            let node = func.node(id);
            let operands = body.operands(id, node);
            let mut dying = [false; 3];
            for (i, arg) in operands.iter().enumerate() {
                remaining[arg.index()] -= 1;
                dying[i] = remaining[arg.index()] == 0 && body.uniform[arg.index()].is_none();
            }
            for (vector, values) in vectors.iter_mut().enumerate() {
                let mut param = |s: &mut Selector, p: usize| param(s, vector, p);
                for arg in operands.iter().filter(|a| body.is_common[a.index()]) {
                    if let (Op::Param(p), None) = (func.node(*arg).op, &values[arg.index()]) {
                        values[arg.index()] = Some(param(self, p as usize)?);
                    }
                }
                let value = match node.op {
                    Op::Index => index.ok_or(Gap { op: node.op })?,
                    Op::Rare => self.rarely(body, id, values.clone(), &mut param, index)?,
                    _ => self.apply(body, id, values, &dying)?,
                };
                values[id.index()] = Some(value);
            }
        }
        let mut results = Vec::with_capacity(abreast);
        for (vector, values) in vectors.iter_mut().enumerate() {
            let mut of_vector = Vec::with_capacity(func.results().len());
            for &id in func.results() {
                if let (Op::Param(p), None) = (func.node(id).op, values[id.index()]) {
                    values[id.index()] = Some(param(self, vector, p as usize)?);
                }
                of_vector.push(self.known(func, id, values)?);
            }
            results.push(of_vector);
        }
        Ok(results)
    }

    /// The choice of `rare`, whose condition and third operand are known.
    fn rarely(
        &mut self,
        body: &Body<'_>,
        id: ExprId,
        mut values: Vec<Option<Lanes>>,
        param: &mut impl FnMut(&mut Selector, usize) -> Selected<Lanes>,
        index: Option<Lanes>,
    ) -> Selected<Lanes> {
        let (func, node) = (body.func, body.func.node(id));
        let is_known = |id: ExprId| values[id.index()].is_some() || is_const(func, id);
        let mut region = func.needed_beside(node.args[1], is_known);
        let place = |id: &ExprId| body.order.iter().position(|other| other == id);
        region.sort_by_cached_key(place);
        if region.is_empty() {
            return self.apply(body, id, &values, &[false; 3]);
        }
        let [condition, usual] = [node.args[0], node.args[2]].map(|id| self.known(func, id, &values));
        let (condition, usual) = (self.reg(&condition?), self.reg(&usual?));
        let dtype = func.dtype(node.args[2]);
        values[node.args[2].index()] = Some(Lanes::new(dtype, usual));
        self.test(condition);
        self.usually(Code::Je_rel32_64, dtype, usual, |s| {
            for id in region.into_iter().filter(|id| body.uses[id.index()] > 0) {
                let value = match func.node(id).op {
                    Op::Param(p) => param(s, p as usize)?,
                    op @ Op::Index => index.ok_or(Gap { op })?,
                    _ => s.apply(body, id, &values, &[false; 3])?,
                };
                values[id.index()] = Some(value);
            }
            s.apply(body, id, &values, &[false; 3])
        })
    }

    /// A value where the flags fulfil the condition of a jump, and seldom another.
    pub(super) fn usually(
        &mut self,
        condition: Code,
        dtype: Dtype,
        usual: Reg,
        other: impl FnOnce(&mut Selector) -> Selected<Lanes>,
    ) -> Selected<Lanes> {
        let chosen = self.asm.like(usual);
        let join = self.asm.block(&[chosen]);
        self.asm.branch(condition, join, &[usual]);
        // No constant is kept in a register for what seldom runs.
        let room = std::mem::take(&mut self.room);
        let value = other(self)?;
        let value = self.reg(&value);
        self.room = room;
        self.asm.jump(join, &[value]);
        self.asm.switch_to(join);
        Ok(Lanes::new(dtype, chosen))
    }

    /// The value of a node that has one.
    fn known(&self, func: &Func, id: ExprId, values: &[Option<Lanes>]) -> Selected<Lanes> {
        match (func.node(id).op, values[id.index()]) {
            (_, Some(value)) => Ok(value),
            (Op::Const(value), None) => Ok(self.constant(value)),
            (op, None) => Err(Gap { op }),
        }
    }

    /// A node's value from values that are known.
    fn apply(&mut self, body: &Body<'_>, id: ExprId, values: &[Option<Lanes>], dying: &[bool]) -> Selected<Lanes> {
        let (func, node) = (body.func, body.func.node(id));
        let args = body.operands(id, node);
        let mut lanes: SmallVec<[Lanes; 3]> = SmallVec::new();
        for &arg in args {
            lanes.push(self.known(func, arg, values)?);
        }
        if let Some((pattern, _)) = &body.patterns[id.index()] {
            return self.pattern(node.op, *pattern, &lanes, dying);
        }
        if let (Op::Div, Some(by)) = (node.op, body.reciprocals.get(args.last().unwrap_or(&id))) {
            return self.quotient(lanes[0], by);
        }
        let dtype = func.dtype(args[(node.op.rule() == Rule::Select) as usize]);
        self.op(node.op, dtype, &lanes, dying)
    }
}
