//! The evaluation of a scalar function on lanes.
//!
//! In: a function, and where its parameters come from. Out: the lanes of its results.
//!
//! What does not change along the vector axis (constants, operands of stride 0, and all that is computed from those alone)
//! is computed once, as scalars, before the loop. What only the seldom chosen operand of `rare` needs stands behind a branch,
//! which is taken for vectors of which no lane wants it.

use std::collections::HashMap;

use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use loopweave_ir::func::Node;
use loopweave_ir::op::Rule;
use loopweave_ir::{Dtype, ExprId, Func, Op, Scalar};
use smallvec::SmallVec;

use super::emit::Emitter;
use super::value::Lanes;
use crate::codegen::CodegenError;

/// A function with what does not change along the vector axis already computed.
pub(super) struct Body<'f> {
    pub(super) func: &'f Func,
    /// Whether each node is needed for every vector.
    is_common: Vec<bool>,
    /// Per node: its value if it is the same for the whole axis; constants are left to their uses.
    scalars: Vec<Option<Value>>,
    /// The same in all lanes, for each number of lanes that was prepared and each node that needs it.
    splats: Vec<(usize, Vec<Option<Lanes>>)>,
}

/// The most vector constants that are kept in registers across a loop; the others are operands in memory.
const HOISTED: usize = 10;

/// Ids between two ops that use the same constant, up to which it stays in its register.
const NEAR: usize = 6;

/// Whether a function has more constants than are kept in registers.
pub(super) fn has_many_constants(func: &Func) -> bool {
    let constants = func.nodes().iter().filter(|node| matches!(node.op, Op::Const(_)));
    constants.count() > HOISTED
}

impl<'f> Body<'f> {
    fn is_invariant(&self, id: ExprId) -> bool {
        self.scalars[id.index()].is_some() || matches!(self.func.node(id).op, Op::Const(_))
    }

    fn constant(&self, id: ExprId) -> Option<Scalar> {
        match self.func.node(id).op {
            Op::Const(value) => Some(value),
            _ => None,
        }
    }
}

impl Emitter<'_> {
    /// Computes what is the same for the whole axis, where `param` gives the parameters that are, and `index` is
    /// [`Op::Index`] if that is.
    pub(super) fn body<'f>(
        &mut self,
        func: &'f Func,
        param: impl Fn(usize) -> Option<Value>,
        index: Option<Value>,
    ) -> Result<Body<'f>, CodegenError> {
        let mut body = Body {
            func,
            is_common: func.always_needed(),
            scalars: vec![None; func.nodes().len()],
            splats: Vec::new(),
        };
        for (id, node) in func.iter() {
            let value = match node.op {
                Op::Param(p) => param(p as usize),
                Op::Index => index,
                Op::Const(_) => None,
                op if node.args.iter().all(|&a| body.is_invariant(a)) => {
                    let args: SmallVec<[Value; 3]> = node.args.iter().map(|&a| self.invariant(&body, a)).collect();
                    let dtype = func.dtype(node.args[(op.rule() == Rule::Select) as usize]);
                    Some(self.scalar_op(op, dtype, &args)?)
                }
                _ => None,
            };
            body.scalars[id.index()] = value;
        }
        Ok(body)
    }

    /// Makes vectors of what is the same for the whole axis, before a loop over `count` lanes.
    pub(super) fn prepare(&mut self, body: &mut Body<'_>, count: usize) {
        let func = body.func;
        let mut needed = vec![false; func.nodes().len()];
        for (id, node) in func.iter() {
            if !body.is_invariant(id) && body.is_common[id.index()] {
                node.args.iter().for_each(|a| needed[a.index()] = true);
            }
        }
        func.results().iter().for_each(|r| needed[r.index()] = true);
        let mut constants = 0;
        let splats = func
            .iter()
            .map(|(id, node)| match node.op {
                Op::Const(value) if needed[id.index()] && count > 1 && constants < HOISTED => {
                    constants += 1;
                    Some(self.splat_const(value, count))
                }
                _ => {
                    let value = body.scalars[id.index()].filter(|_| needed[id.index()])?;
                    Some(self.splat(func.dtype(id), value, count))
                }
            })
            .collect();
        body.splats.push((count, splats));
    }

    /// The results of a function on lanes; `param` loads those parameters that change along the axis.
    pub(super) fn eval(
        &mut self,
        body: &Body<'_>,
        count: usize,
        mut param: impl FnMut(&mut Self, usize) -> Result<Lanes, CodegenError>,
        index: Option<&Lanes>,
    ) -> Result<Vec<Lanes>, CodegenError> {
        let func = body.func;
        let splats = body.splats.iter().find(|(c, _)| *c == count).map(|(_, splats)| splats);
        let mut values: Vec<Option<Lanes>> = vec![None; func.nodes().len()];
        let mut loaded = HashMap::new();
        let mut value = |e: &mut Self, id: ExprId, values: &[Option<Lanes>]| {
            let node = func.node(id);
            let splat = splats.and_then(|s| s[id.index()].clone());
            Ok(match (splat, node.op) {
                (Some(splat), _) => splat,
                (None, Op::Const(value)) => e.splat_const(value, count),
                (None, _) if body.scalars[id.index()].is_some() => {
                    let value = e.invariant(body, id);
                    e.splat(func.dtype(id), value, count)
                }
                (None, Op::Param(p)) => param(e, p as usize)?,
                (None, op @ Op::Index) => index.cloned().ok_or(CodegenError::NotBasic { op })?,
                (None, op) => {
                    let constants: SmallVec<[Option<Scalar>; 3]> =
                        node.args.iter().map(|&a| body.constant(a)).collect();
                    let operands = node.args.iter().zip(&constants);
                    let args: SmallVec<[Lanes; 3]> = operands
                        .filter_map(|(a, constant)| match (&values[a.index()], constant) {
                            (None, Some(value)) => Some(e.load_constant(&mut loaded, (id, *a), *value, count)),
                            (value, _) => value.clone(),
                        })
                        .collect();
                    let args: SmallVec<[&Lanes; 3]> = args.iter().collect();
                    e.op(op, func.dtype(id), &args, &constants)?
                }
            })
        };
        // Constants are left to the ops that use them, but for those in registers and results.
        let is_left = |id: ExprId, node: &Node| {
            let is_held = splats.is_some_and(|s| s[id.index()].is_some());
            matches!(node.op, Op::Const(_)) && !is_held && !func.results().contains(&id)
        };
        let common = func.iter().filter(|(id, _)| body.is_common[id.index()]);
        for (id, node) in common.filter(|(id, node)| !is_left(*id, node)) {
            let is_rare = node.op == Op::Rare && !body.is_invariant(id);
            values[id.index()] = Some(match is_rare {
                true => self.rarely(func, id, values.clone(), &mut value)?,
                false => value(self, id, &values)?,
            });
        }
        Ok(func
            .results()
            .iter()
            .filter_map(|r| values[r.index()].clone())
            .collect())
    }

    /// The choice of `rare`, whose condition and third operand are known; `value` gives the value of a node whose operands are.
    fn rarely(
        &mut self,
        func: &Func,
        id: ExprId,
        mut values: Vec<Option<Lanes>>,
        value: &mut impl FnMut(&mut Self, ExprId, &[Option<Lanes>]) -> Result<Lanes, CodegenError>,
    ) -> Result<Lanes, CodegenError> {
        let [condition, rare, usual] = [0, 1, 2].map(|i| func.node(id).args[i]);
        let needed = func.needed_beside(rare, |id| values[id.index()].is_some());
        let is_op = |id: &ExprId| !matches!(func.node(*id).op, Op::Const(_));
        let region: Vec<ExprId> = needed.into_iter().filter(is_op).collect();
        for operand in [condition, usual] {
            // A constant.
            if values[operand.index()].is_none() {
                values[operand.index()] = Some(value(self, operand, &values)?);
            }
        }
        let (Some(any), Some(common)) = (&values[condition.index()], &values[usual.index()]) else {
            return Err(CodegenError::NotBasic { op: Op::Rare });
        };
        // Masks have no one type of register.
        let skipped = (!region.is_empty() && common.dtype != Dtype::Bool).then(|| common.clone());
        let any = any.clone();
        let join = skipped.as_ref().map(|common| {
            let any = self.any_lane(&any);
            let join = self.block(vec![common.register_type(); common.registers.len()]);
            let inside = self.block([]);
            self.branch(any, (inside, &[]), (join, &common.registers));
            self.b.switch_to_block(inside);
            join
        });
        for id in region {
            values[id.index()] = Some(value(self, id, &values)?);
        }
        let chosen = value(self, id, &values)?;
        Ok(match (join, skipped) {
            (Some(join), Some(common)) => {
                self.jump(join, &chosen.registers);
                self.b.switch_to_block(join);
                let registers = self.b.block_params(join).iter().copied().collect();
                Lanes::new(common.dtype, common.count, common.width, registers)
            }
            _ => chosen,
        })
    }

    /// Whether any lane of a mask is set; lanes of its registers that are none may count.
    fn any_lane(&mut self, mask: &Lanes) -> Value {
        let all = mask.registers.iter().copied();
        let any = all
            .reduce(|a, b| self.b.ins().bor(a, b))
            .unwrap_or_else(|| mask.first());
        match mask.count {
            1 => any,
            // One instruction, where a test of a whole register takes two.
            _ if self.is_x86_64() => self.b.ins().vhigh_bits(types::I32, any),
            _ => self.b.ins().vany_true(any),
        }
    }

    /// A constant for an op, anew where the last op that used it is far off or in another block: to hold it costs a register,
    /// and to load it no more than a load.
    fn load_constant(
        &mut self,
        loaded: &mut HashMap<ExprId, (Option<Block>, ExprId, Lanes)>,
        (user, id): (ExprId, ExprId),
        value: Scalar,
        count: usize,
    ) -> Lanes {
        let block = self.b.current_block();
        match loaded.get(&id) {
            Some((at, last, lanes)) if *at == block && user.index() - last.index() <= NEAR => lanes.clone(),
            _ => {
                let lanes = self.splat_const(value, count);
                loaded.insert(id, (block, user, lanes.clone()));
                lanes
            }
        }
    }

    /// The scalar of a node that is the same for the whole axis.
    fn invariant(&mut self, body: &Body<'_>, id: ExprId) -> Value {
        match (body.constant(id), body.scalars[id.index()]) {
            (Some(value), _) => self.scalar_const(value),
            (None, Some(value)) => value,
            (None, None) => unreachable!("only asked of nodes that are the same for the whole axis"),
        }
    }
}
