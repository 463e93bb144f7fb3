//! The evaluation of a scalar function on lanes.
//!
//! In: a function, and where its parameters come from. Out: the lanes of its results.
//!
//! What does not change along the vector axis (constants, operands of stride 0, and all that is computed from those alone)
//! is computed once, as scalars, before the loop.

use cranelift_codegen::ir::Value;
use loopweave_ir::{ExprId, Func, Op, Scalar};
use smallvec::SmallVec;

use super::emit::Emitter;
use super::value::Lanes;
use crate::codegen::CodegenError;

/// A function with what does not change along the vector axis already computed.
pub(super) struct Body<'f> {
    pub(super) func: &'f Func,
    /// Per node: its value if it is the same for the whole axis; constants are left to their uses.
    scalars: Vec<Option<Value>>,
    /// The same in all lanes, for each number of lanes that was prepared and each node that needs it.
    splats: Vec<(usize, Vec<Option<Lanes>>)>,
}

/// The most vector constants that are kept in registers across a loop; the others are operands in memory.
const HOISTED: usize = 6;

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
                    let dtype = func.dtype(node.args[(op == Op::Select) as usize]);
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
            if !body.is_invariant(id) {
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
        for (id, node) in func.iter() {
            let splat = splats.and_then(|s| s[id.index()].clone());
            let value = match (splat, node.op) {
                (Some(splat), _) => splat,
                (None, Op::Const(value)) => self.splat_const(value, count),
                (None, _) if body.scalars[id.index()].is_some() => {
                    let value = self.invariant(body, id);
                    self.splat(func.dtype(id), value, count)
                }
                (None, Op::Param(p)) => param(self, p as usize)?,
                (None, op @ Op::Index) => index.cloned().ok_or(CodegenError::NotBasic { op })?,
                (None, op) => {
                    let args: SmallVec<[&Lanes; 3]> =
                        node.args.iter().filter_map(|a| values[a.index()].as_ref()).collect();
                    let constants: SmallVec<[Option<Scalar>; 3]> =
                        node.args.iter().map(|&a| body.constant(a)).collect();
                    self.op(op, func.dtype(id), &args, &constants)?
                }
            };
            values[id.index()] = Some(value);
        }
        Ok(func
            .results()
            .iter()
            .filter_map(|r| values[r.index()].clone())
            .collect())
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
