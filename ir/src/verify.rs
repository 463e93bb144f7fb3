//! The verifier: whether a function keeps the invariants every stage relies on.
//!
//! In: a [`Func`]. Out: nothing, or every [`Violation`] there is. It runs between passes in tests and debug builds, and on
//! a function that was not made by a [`crate::Builder`].
//!
//! The invariants of a function, each with the violations that report it:
//!
//! 1. It has a result, and each result is one of its nodes ([`NoResult`], [`ResultOutOfRange`]).
//! 2. Children stand before their parents ([`OperandNotBefore`]).
//! 3. A node has as many operands as its op takes ([`Arity`]).
//! 4. No two nodes are equal ([`Duplicate`]).
//! 5. No node is dead: each is reached from a result ([`Dead`]).
//! 6. Nodes stand in canonical order, that of a depth-first walk from the results, left before right ([`OutOfOrder`]).
//! 7. It has at most [`MAX_NODES`] nodes ([`TooManyNodes`]).
//! 8. It is typed or polymorphic as a whole: all nodes and parameters have a dtype, or no node has
//!    ([`Untyped`], [`UntypedParam`]).
//! 9. In a typed function each node has the dtype that its op's strict rule, or its parameter, gives it ([`IllTyped`],
//!    [`WrongDtype`]).
//! 10. In a typed function there is no weak literal ([`WeakLiteral`]).
//! 11. Each parameter node refers to a parameter ([`ParamOutOfRange`]).
//! 12. The function and its parameters have names, no two parameters the same ([`NoName`], [`NoParamName`],
//!     [`DuplicateParam`]).
//!
//! [`NoResult`]: Violation::NoResult
//! [`ResultOutOfRange`]: Violation::ResultOutOfRange
//! [`OperandNotBefore`]: Violation::OperandNotBefore
//! [`Arity`]: Violation::Arity
//! [`Duplicate`]: Violation::Duplicate
//! [`Dead`]: Violation::Dead
//! [`OutOfOrder`]: Violation::OutOfOrder
//! [`TooManyNodes`]: Violation::TooManyNodes
//! [`Untyped`]: Violation::Untyped
//! [`UntypedParam`]: Violation::UntypedParam
//! [`IllTyped`]: Violation::IllTyped
//! [`WrongDtype`]: Violation::WrongDtype
//! [`WeakLiteral`]: Violation::WeakLiteral
//! [`ParamOutOfRange`]: Violation::ParamOutOfRange
//! [`NoName`]: Violation::NoName
//! [`NoParamName`]: Violation::NoParamName
//! [`DuplicateParam`]: Violation::DuplicateParam

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::dtype::Dtype;
use crate::func::{ExprId, Func, MAX_NODES, Node};
use crate::op::Op;

/// One broken invariant; the module's docs number them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Invariant 1.
    #[error("the function has no result")]
    NoResult,
    /// Invariant 1.
    #[error("result {position} is {id}, which is no node")]
    ResultOutOfRange {
        /// Which result, from 0.
        position: usize,
        /// The id that is out of range.
        id: ExprId,
    },
    /// Invariant 2.
    #[error("{id} takes {operand}, which does not stand before it")]
    OperandNotBefore {
        /// The node.
        id: ExprId,
        /// Its operand.
        operand: ExprId,
    },
    /// Invariant 3.
    #[error("{id}: `{op}` takes {expected} operands, not {found}", op = op.name(), expected = op.arity())]
    Arity {
        /// The node.
        id: ExprId,
        /// Its op.
        op: Op,
        /// The number of operands it has.
        found: usize,
    },
    /// Invariant 4.
    #[error("{id} equals {first}")]
    Duplicate {
        /// The node.
        id: ExprId,
        /// The node before it that it equals.
        first: ExprId,
    },
    /// Invariant 5.
    #[error("{id} is reached from no result")]
    Dead {
        /// The node.
        id: ExprId,
    },
    /// Invariant 6.
    #[error("{id} stands after {before}, but a walk from the results reaches it first")]
    OutOfOrder {
        /// The node.
        id: ExprId,
        /// The node that the walk reaches later.
        before: ExprId,
    },
    /// Invariant 7.
    #[error("the function has {found} nodes; the limit is {MAX_NODES}")]
    TooManyNodes {
        /// The number of nodes.
        found: usize,
    },
    /// Invariant 8.
    #[error("{id} has no dtype, but other nodes have one")]
    Untyped {
        /// The node.
        id: ExprId,
    },
    /// Invariant 8.
    #[error("parameter {index} has no dtype, but the nodes have one")]
    UntypedParam {
        /// Which parameter, from 0.
        index: usize,
    },
    /// Invariant 9.
    #[error("{id}: `{op}` does not take operands of {operands:?}", op = op.name())]
    IllTyped {
        /// The node.
        id: ExprId,
        /// Its op.
        op: Op,
        /// The types of its operands.
        operands: Vec<Dtype>,
    },
    /// Invariant 9.
    #[error("{id} is declared {declared}, but is {ruled}")]
    WrongDtype {
        /// The node.
        id: ExprId,
        /// The type it has.
        declared: Dtype,
        /// The type its op's rule or its parameter gives it.
        ruled: Dtype,
    },
    /// Invariant 10.
    #[error("{id} is a weak literal in a typed function")]
    WeakLiteral {
        /// The node.
        id: ExprId,
    },
    /// Invariant 11.
    #[error("{id} refers to parameter {index}, which does not exist")]
    ParamOutOfRange {
        /// The node.
        id: ExprId,
        /// The index that is out of range.
        index: u32,
    },
    /// Invariant 12.
    #[error("the function has no name")]
    NoName,
    /// Invariant 12.
    #[error("parameter {index} has no name")]
    NoParamName {
        /// Which parameter, from 0.
        index: usize,
    },
    /// Invariant 12.
    #[error("parameters {first} and {index} are both `{name}`")]
    DuplicateParam {
        /// The later parameter.
        index: usize,
        /// The earlier one.
        first: usize,
        /// Their name.
        name: String,
    },
}

/// Checks every invariant of a function.
///
/// ```
/// use loopweave_ir::{Builder, Dtype, Op, verify::verify};
/// let mut b = Builder::typed("square");
/// let x = b.param("x", Some(Dtype::F32));
/// let xx = b.node(Op::Mul, &[x, x]);
/// assert_eq!(verify(&b.finish(&[xx])), Ok(()));
/// ```
///
/// # Errors
/// All violations, those of the whole function first, then node by node.
pub fn verify(func: &Func) -> Result<(), Vec<Violation>> {
    let mut verifier = Verifier {
        func,
        violations: Vec::new(),
    };
    verifier.names();
    verifier.size();
    verifier.results();
    verifier.nodes();
    verifier.types();
    verifier.order();
    if verifier.violations.is_empty() {
        Ok(())
    } else {
        Err(verifier.violations)
    }
}

struct Verifier<'f> {
    func: &'f Func,
    violations: Vec<Violation>,
}

impl Verifier<'_> {
    fn report(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    fn names(&mut self) {
        if self.func.name().is_empty() {
            self.report(Violation::NoName);
        }
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (index, param) in self.func.params().iter().enumerate() {
            if param.name.is_empty() {
                self.report(Violation::NoParamName { index });
            } else if let Some(&first) = known.get(param.name.as_str()) {
                let name = param.name.clone();
                self.report(Violation::DuplicateParam { index, first, name });
            } else {
                known.insert(&param.name, index);
            }
        }
    }

    fn size(&mut self) {
        let found = self.func.nodes().len();
        if found > MAX_NODES {
            self.report(Violation::TooManyNodes { found });
        }
    }

    fn results(&mut self) {
        if self.func.results().is_empty() {
            self.report(Violation::NoResult);
        }
        for (position, &id) in self.func.results().iter().enumerate() {
            if id.index() >= self.func.nodes().len() {
                self.report(Violation::ResultOutOfRange { position, id });
            }
        }
    }

    fn nodes(&mut self) {
        let mut known: HashMap<&Node, ExprId> = HashMap::new();
        for (id, node) in self.func.iter() {
            for &operand in node.args.iter().filter(|&&operand| operand >= id) {
                self.report(Violation::OperandNotBefore { id, operand });
            }
            if node.args.len() != node.op.arity() {
                let found = node.args.len();
                self.report(Violation::Arity { id, op: node.op, found });
            }
            match node.op {
                Op::Param(index) if index as usize >= self.func.params().len() => {
                    self.report(Violation::ParamOutOfRange { id, index });
                }
                _ => {}
            }
            if let Some(&first) = known.get(node) {
                self.report(Violation::Duplicate { id, first });
            } else {
                known.insert(node, id);
            }
        }
    }

    fn types(&mut self) {
        if self.func.nodes().iter().all(|n| n.dtype.is_none()) {
            return;
        }
        for (index, param) in self.func.params().iter().enumerate() {
            if param.dtype.is_none() {
                self.report(Violation::UntypedParam { index });
            }
        }
        for (id, node) in self.func.iter() {
            match node.dtype {
                None => self.report(Violation::Untyped { id }),
                Some(declared) => self.node_type(id, node, declared),
            }
        }
    }

    fn node_type(&mut self, id: ExprId, node: &Node, declared: Dtype) {
        let ruled = match node.op {
            Op::Literal(_) => return self.report(Violation::WeakLiteral { id }),
            Op::Param(index) => self.func.params().get(index as usize).and_then(|p| p.dtype),
            op => {
                let operand = |a: &ExprId| self.func.nodes().get(a.index()).and_then(|n| n.dtype);
                let operands: Option<SmallVec<[Dtype; 3]>> = node.args.iter().map(operand).collect();
                // Operands without a type, and too few or too many of them, are reported where they stand.
                let Some(operands) = operands.filter(|o| o.len() == op.arity()) else {
                    return;
                };
                let ruled = op.result_dtype(&operands);
                if ruled.is_none() {
                    let operands = operands.to_vec();
                    self.report(Violation::IllTyped { id, op, operands });
                }
                ruled
            }
        };
        match ruled {
            Some(ruled) if ruled != declared => self.report(Violation::WrongDtype { id, declared, ruled }),
            _ => {}
        }
    }

    /// Walks from the results as [`crate::Builder::finish`] does. A function whose ids are broken has no walk.
    fn order(&mut self) {
        let nodes = self.func.nodes();
        let broken = |v: &Violation| {
            matches!(
                v,
                Violation::OperandNotBefore { .. } | Violation::ResultOutOfRange { .. }
            )
        };
        if self.violations.iter().any(broken) {
            return;
        }
        let mut reached = vec![false; nodes.len()];
        let mut walk: Vec<ExprId> = Vec::with_capacity(nodes.len());
        let mut stack: Vec<(ExprId, usize)> = Vec::new();
        for &root in self.func.results() {
            stack.push((root, 0));
            while let Some((id, next)) = stack.pop() {
                if reached[id.index()] {
                    continue;
                }
                match self.func.node(id).args.get(next) {
                    Some(&child) => stack.extend([(id, next + 1), (child, 0)]),
                    None => {
                        reached[id.index()] = true;
                        walk.push(id);
                    }
                }
            }
        }
        for (id, _) in self.func.iter().filter(|(id, _)| !reached[id.index()]) {
            self.violations.push(Violation::Dead { id });
        }
        for pair in walk.windows(2).filter(|pair| pair[0] > pair[1]) {
            self.report(Violation::OutOfOrder {
                id: pair[0],
                before: pair[1],
            });
        }
    }
}
