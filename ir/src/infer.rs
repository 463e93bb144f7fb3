//! Type inference: from a polymorphic function and the types of its arguments to a typed function.
//!
//! In: a polymorphic [`Func`] and a [`Type`] per parameter. Out: a typed [`Func`] with every cast explicit.
//!
//! Each value has a *logical* type, which follows NumPy 2's promotion, and a *compute* dtype: a value of logical type `f16`
//! is held as `f32`, and is rounded only when it is stored or explicitly cast. Weakly typed values (literals, and parameters
//! passed as bare Rust scalars) yield to the strong types they meet.
//!
//! Invariant: the result obeys the strict rules of [`Op::result_dtype`] and holds no literal.

use std::fmt;

use crate::dtype::{Dtype, Kind, Scalar, Weak};
use crate::func::{Builder, ExprId, Func};
use crate::op::{Literal, Op, Rule};
use crate::table::Column;

/// The type of a value as promotion sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A dtype that others must meet.
    Strong(Dtype),
    /// A type that yields to any strong one.
    Weak(Weak),
}

impl Type {
    /// The dtype a value of this type is stored in.
    pub const fn dtype(self) -> Dtype {
        match self {
            Type::Strong(dtype) => dtype,
            Type::Weak(weak) => weak.default_dtype(),
        }
    }

    /// The type in which two values meet.
    pub fn promote(a: Type, b: Type) -> Type {
        match (a, b) {
            (Type::Strong(a), Type::Strong(b)) => Type::Strong(Dtype::promote(a, b)),
            (Type::Strong(s), Type::Weak(w)) | (Type::Weak(w), Type::Strong(s)) => Type::Strong(s.promote_weak(w)),
            (Type::Weak(a), Type::Weak(b)) => Type::Weak(a.max(b)),
        }
    }

    /// The same type with its integers and `bool` taken to the given float.
    fn to_float(self, of: impl Fn(Dtype) -> Dtype) -> Type {
        match self {
            Type::Strong(d) if d.is_float() => self,
            Type::Strong(d) => Type::Strong(of(d)),
            Type::Weak(_) => Type::Weak(Weak::Float),
        }
    }
}

impl From<Dtype> for Type {
    fn from(dtype: Dtype) -> Type {
        Type::Strong(dtype)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Strong(dtype) => dtype.fmt(f),
            Type::Weak(Weak::Bool) => f.write_str("bool literal"),
            Type::Weak(Weak::Int) => f.write_str("integer literal"),
            Type::Weak(Weak::Float) => f.write_str("float literal"),
        }
    }
}

/// One place where a function cannot take the types it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// The node of the polymorphic function.
    pub node: ExprId,
    /// What is wrong there.
    pub kind: TypeErrorKind,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for TypeError {}

/// What can be wrong with the types of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeErrorKind {
    /// An operand of a type that the op does not take.
    #[error("`{}` does not take {found}; expected {expected}", .op.name())]
    Operand {
        /// The op.
        op: Op,
        /// The type the operands meet in.
        found: Type,
        /// What the op takes, in words.
        expected: &'static str,
    },
    /// A literal that its type cannot hold.
    #[error("the literal {literal} does not fit {dtype}")]
    Literal {
        /// The literal.
        literal: Literal,
        /// The type it should have taken.
        dtype: Dtype,
    },
    /// A bitcast between types of different width.
    #[error("bitcast from {from} to {to}: expected types of the same width, other than bool")]
    Bitcast {
        /// The operand's type.
        from: Dtype,
        /// The type asked for.
        to: Dtype,
    },
}

/// The typed function that `func` is for arguments of these types; a typed `func` is returned as it is.
///
/// A parameter whose type the function fixes ([`crate::Param::dtype`]) takes its argument converted to that type. A weakly
/// typed parameter is stored in its default dtype (`f64`, `i64`, `bool`) and converted where it is used.
///
/// ```
/// use loopweave_ir::{Dtype, Type, specialise, trace};
/// let f = trace("half", |[x]| x * 0.5)?;
/// let g = specialise(&f, &[Type::Strong(Dtype::I32)]).unwrap();
/// assert_eq!(g.result_dtypes(), [Dtype::F64]);
/// let h = specialise(&f, &[Type::Strong(Dtype::F16)]).unwrap();
/// assert_eq!(h.result_dtypes(), [Dtype::F16]);
/// # Ok::<(), loopweave_ir::build::TraceError>(())
/// ```
///
/// # Errors
/// Every node whose operands have no type in which the op can take them.
///
/// # Panics
/// If the number of types is not the number of parameters; callers check it first, where the user's names are known.
pub fn specialise(func: &Func, params: &[Type]) -> Result<Func, Vec<TypeError>> {
    assert_eq!(params.len(), func.params().len(), "one type per parameter");
    if func.is_typed() {
        return Ok(func.clone());
    }
    let mut inference = Inference {
        builder: Builder::typed(func.name()),
        values: Vec::with_capacity(func.nodes().len()),
        errors: Vec::new(),
    };
    let params: Vec<Value> = func
        .params()
        .iter()
        .zip(params)
        .map(|(param, &ty)| {
            let ty = param.dtype.map_or(ty, Type::Strong);
            let stored = inference.builder.param(&param.name, Some(ty.dtype()));
            inference.computed(ty, stored)
        })
        .collect();
    for (id, node) in func.iter() {
        let args: smallvec::SmallVec<[Value; 3]> = node.args.iter().map(|a| inference.values[a.index()]).collect();
        let value = match node.op {
            Op::Param(i) => Ok(params[i as usize]),
            op => inference.node(op, &args),
        };
        let value = value.unwrap_or_else(|kind| {
            // An error in an operand is reported there; the value goes on as a float so that only new errors follow.
            if args.iter().all(|a| a.sound) {
                inference.errors.push(TypeError { node: id, kind });
            }
            let stand_in = inference.builder.float(Dtype::F64, 0.0);
            Value {
                ty: Type::Weak(Weak::Float),
                id: stand_in,
                literal: None,
                sound: false,
            }
        });
        inference.values.push(value);
    }
    let mut results = Vec::with_capacity(func.results().len());
    for &result in func.results() {
        let value = inference.values[result.index()];
        match inference.stored(value) {
            Ok(id) => results.push(id),
            Err(kind) => inference.errors.push(TypeError { node: result, kind }),
        }
    }
    if inference.errors.is_empty() {
        Ok(inference.builder.finish(&results))
    } else {
        Err(inference.errors)
    }
}

/// A node of the polymorphic function as the typed one holds it.
#[derive(Clone, Copy)]
struct Value {
    /// The logical type.
    ty: Type,
    /// The node, of the compute dtype of `ty`.
    id: ExprId,
    /// The literal that `id` is, which can still become a constant of another type.
    literal: Option<Literal>,
    /// Whether no error stands behind it.
    sound: bool,
}

struct Inference {
    builder: Builder,
    values: Vec<Value>,
    errors: Vec<TypeError>,
}

impl Inference {
    fn node(&mut self, op: Op, args: &[Value]) -> Result<Value, TypeErrorKind> {
        match op {
            Op::Literal(literal) => Ok(self.literal(literal)),
            Op::Const(value) => {
                let id = self.builder.constant(value);
                Ok(self.computed(Type::Strong(value.dtype()), id))
            }
            Op::Index => Ok(self.plain(Type::Strong(Dtype::I64), op, &[])),
            Op::Cast(to) => {
                let id = match args[0].literal.and_then(|l| l.to_scalar(to)) {
                    Some(value) => self.builder.constant(value),
                    None => self.builder.cast(args[0].id, to),
                };
                Ok(self.computed(Type::Strong(to), id))
            }
            Op::Bitcast(to) => self.bitcast(args[0], to),
            Op::Lookup(column) => self.lookup(column, args[0]),
            _ => self.by_rule(op, args),
        }
    }

    fn by_rule(&mut self, op: Op, args: &[Value]) -> Result<Value, TypeErrorKind> {
        let operands = if op.rule() == Rule::Select { &args[1..] } else { args };
        let met = operands
            .iter()
            .map(|a| a.ty)
            .reduce(Type::promote)
            .unwrap_or(Type::Strong(Dtype::F64));
        let refuse = |expected| TypeErrorKind::Operand {
            op,
            found: met,
            expected,
        };
        let kind = met.dtype().kind();
        match op.rule() {
            Rule::Arith if kind == Kind::Bool => {
                let logical = match op {
                    Op::Add | Op::Maximum | Op::Fmax => Op::Or,
                    _ => Op::And,
                };
                self.uniform(logical, met, args)
            }
            Rule::Arith => self.uniform(op, met, args),
            Rule::Number if kind == Kind::Bool => Err(refuse("a number (a bool can be cast: `x as i32`)")),
            Rule::Number => self.uniform(op, met, args),
            Rule::Rounding if kind == Kind::Float => self.uniform(op, met, args),
            Rule::Rounding => Ok(args[0]),
            Rule::Float => self.uniform(op, met.to_float(Dtype::float_for), args),
            Rule::TrueDivide => self.uniform(op, met.to_float(|_| Dtype::F64), args),
            Rule::Compare => self.compare(op, met, args),
            Rule::Bits if kind == Kind::Float => Err(refuse("integers or bool")),
            Rule::Bits => self.uniform(op, met, args),
            Rule::Shift if met.dtype().is_int() => self.uniform(op, met, args),
            Rule::Shift => Err(refuse("integers")),
            Rule::Predicate if kind == Kind::Float => {
                let id = self.builder.node(op, &[args[0].id]);
                Ok(self.computed(Type::Strong(Dtype::Bool), id))
            }
            Rule::Predicate => {
                let id = self.builder.constant(op == Op::IsFinite);
                Ok(self.computed(Type::Strong(Dtype::Bool), id))
            }
            Rule::Exponent => {
                let id = self.coerce(args[0], met.to_float(Dtype::float_for))?;
                let id = self.builder.node(op, &[id]);
                Ok(self.computed(Type::Strong(self.builder.dtype(id)), id))
            }
            Rule::Scale => self.scale(op, args),
            Rule::Select => self.select(op, met, args),
            Rule::Own => unreachable!("`node` treats ops with a type of their own"),
        }
    }

    /// The op on all operands taken to one type, which is also the result's.
    fn uniform(&mut self, op: Op, ty: Type, args: &[Value]) -> Result<Value, TypeErrorKind> {
        let ids = self.coerce_all(args, ty)?;
        Ok(self.plain(ty, op, &ids))
    }

    fn select(&mut self, op: Op, ty: Type, args: &[Value]) -> Result<Value, TypeErrorKind> {
        if args[0].ty.dtype() != Dtype::Bool {
            return Err(TypeErrorKind::Operand {
                op,
                found: args[0].ty,
                expected: "a bool condition (write `x != 0`)",
            });
        }
        let mut ids = self.coerce_all(&args[1..], ty)?;
        ids.insert(0, args[0].id);
        Ok(self.plain(ty, op, &ids))
    }

    /// `ldexp`: the first operand decides the type, and the second is an integer of its compute dtype's width.
    fn scale(&mut self, op: Op, args: &[Value]) -> Result<Value, TypeErrorKind> {
        let ty = args[0].ty.to_float(Dtype::float_for);
        let count = args[1].ty.dtype();
        if !count.is_int() {
            return Err(TypeErrorKind::Operand {
                op,
                found: args[1].ty,
                expected: "an integer power of two after the number (write `n as i32`)",
            });
        }
        let x = self.coerce(args[0], ty)?;
        let n = self.saturated(args[1], ty.dtype().compute().to_signed())?;
        Ok(self.plain(ty, op, &[x, n]))
    }

    /// An integer as a signed integer type: what lies outside it becomes the nearest that does not.
    fn saturated(&mut self, value: Value, to: Dtype) -> Result<ExprId, TypeErrorKind> {
        let from = value.ty.dtype();
        if let Some(Literal::Int(i)) = value.literal {
            let bound = i128::MAX >> (128 - to.bits());
            return Ok(self.builder.constant(Scalar::from_i128(to, i.clamp(-bound, bound))));
        }
        let mut id = self.coerce(value, value.ty)?;
        let wider = from.size() > to.size();
        if wider || from.kind() == Kind::Unsigned && from.size() == to.size() {
            let bound = i128::MAX >> (128 - to.bits());
            let high = self.builder.constant(Scalar::from_i128(from, bound));
            id = self.builder.node(Op::Minimum, &[id, high]);
            if from.kind() == Kind::Signed {
                let low = self.builder.constant(Scalar::from_i128(from, -bound));
                id = self.builder.node(Op::Maximum, &[id, low]);
            }
        }
        Ok(self.builder.cast(id, to))
    }

    fn compare(&mut self, op: Op, met: Type, args: &[Value]) -> Result<Value, TypeErrorKind> {
        let signed_unsigned = |a: &Value, b: &Value| {
            a.ty.dtype().kind() == Kind::Signed && b.ty.dtype().kind() == Kind::Unsigned && a.literal.is_none()
        };
        let id = if met.dtype() == Dtype::F64 && signed_unsigned(&args[0], &args[1]) {
            self.compare_mixed(op, args[0].id, args[1].id)
        } else if met.dtype() == Dtype::F64 && signed_unsigned(&args[1], &args[0]) {
            self.compare_mixed(mirrored(op), args[1].id, args[0].id)
        } else if let Some(known) = out_of_range(op, met, args) {
            self.builder.constant(known)
        } else {
            let ids = self.coerce_all(args, met)?;
            self.builder.node(op, &ids)
        };
        Ok(self.computed(Type::Strong(Dtype::Bool), id))
    }

    /// `signed op unsigned` where no integer type holds both: a negative value is less than any unsigned one.
    fn compare_mixed(&mut self, op: Op, signed: ExprId, unsigned: ExprId) -> ExprId {
        let b = &mut self.builder;
        let signed = b.cast(signed, Dtype::I64);
        let unsigned = b.cast(unsigned, Dtype::U64);
        let zero = b.constant(0i64);
        let negative = b.node(Op::Lt, &[signed, zero]);
        let as_unsigned = b.cast(signed, Dtype::U64);
        let compared = b.node(op, &[as_unsigned, unsigned]);
        if matches!(op, Op::Lt | Op::Le | Op::Ne) {
            b.node(Op::Or, &[negative, compared])
        } else {
            let not_negative = b.node(Op::Not, &[negative]);
            b.node(Op::And, &[not_negative, compared])
        }
    }

    fn bitcast(&mut self, value: Value, to: Dtype) -> Result<Value, TypeErrorKind> {
        let stored = self.stored(value)?;
        let from = self.builder.dtype(stored);
        if Op::Bitcast(to).result_dtype(&[from]).is_none() {
            return Err(TypeErrorKind::Bitcast { from, to });
        }
        let id = self.builder.node(Op::Bitcast(to), &[stored]);
        Ok(self.computed(Type::Strong(to), id))
    }

    fn lookup(&mut self, column: Column, index: Value) -> Result<Value, TypeErrorKind> {
        let op = Op::Lookup(column);
        let dtype = op.result_dtype(&[index.ty.dtype()]).ok_or(TypeErrorKind::Operand {
            op,
            found: index.ty,
            expected: "an unsigned integer as wide as the table's entries",
        })?;
        let id = self.builder.node(op, &[index.id]);
        Ok(self.computed(Type::Strong(dtype), id))
    }

    fn literal(&mut self, literal: Literal) -> Value {
        let weak = literal.weak();
        // An integer beyond `i64` is one of `u64`, as the parser lets through no other.
        let value = literal
            .to_scalar(weak.default_dtype())
            .or_else(|| literal.to_scalar(Dtype::U64));
        let id = self.builder.constant(value.unwrap_or(Scalar::from(0i64)));
        Value {
            ty: Type::Weak(weak),
            id,
            literal: Some(literal),
            sound: true,
        }
    }

    /// A node whose operands have the compute dtype of the logical type that is also the result's.
    fn plain(&mut self, ty: Type, op: Op, ids: &[ExprId]) -> Value {
        let id = self.builder.node(op, ids);
        Value {
            ty,
            id,
            literal: None,
            sound: true,
        }
    }

    /// The value of logical type `ty` that `stored`, a node of the storage dtype, holds.
    fn computed(&mut self, ty: Type, stored: ExprId) -> Value {
        let id = self.builder.cast(stored, ty.dtype().compute());
        Value {
            ty,
            id,
            literal: None,
            sound: true,
        }
    }

    /// The value's node in its storage dtype.
    fn stored(&mut self, value: Value) -> Result<ExprId, TypeErrorKind> {
        let dtype = value.ty.dtype();
        let id = self.coerce(value, value.ty)?;
        // A value that was just loaded is not rounded again.
        if dtype.is_storage_only() && self.builder.op(id) == Op::Cast(Dtype::F32) {
            let source = self.builder.args(id)[0];
            if self.builder.dtype(source) == dtype {
                return Ok(source);
            }
        }
        Ok(self.builder.cast(id, dtype))
    }

    fn coerce_all(&mut self, args: &[Value], ty: Type) -> Result<Vec<ExprId>, TypeErrorKind> {
        args.iter().map(|&arg| self.coerce(arg, ty)).collect()
    }

    /// The value's node in the compute dtype of `ty`; a literal becomes a constant of that type.
    fn coerce(&mut self, value: Value, ty: Type) -> Result<ExprId, TypeErrorKind> {
        let dtype = ty.dtype().compute();
        match value.literal {
            Some(literal) => match literal.to_scalar(dtype) {
                Some(constant) => Ok(self.builder.constant(constant)),
                None => Err(TypeErrorKind::Literal { literal, dtype }),
            },
            None => Ok(self.builder.cast(value.id, dtype)),
        }
    }
}

/// The comparison that holds for (b, a) when `op` holds for (a, b).
fn mirrored(op: Op) -> Op {
    match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        other => other,
    }
}

/// The answer of comparing an integer value with an integer literal outside its type's range.
fn out_of_range(op: Op, met: Type, args: &[Value]) -> Option<bool> {
    let Type::Strong(dtype) = met else { return None };
    if !dtype.is_int() {
        return None;
    }
    let beyond = |literal: Option<Literal>| match literal {
        Some(Literal::Int(i)) if Literal::Int(i).to_scalar(dtype).is_none() => Some(i > 0),
        _ => None,
    };
    let (op, above) = match (beyond(args[0].literal), beyond(args[1].literal)) {
        (_, Some(above)) => (op, above),
        (Some(above), None) => (mirrored(op), above),
        (None, None) => return None,
    };
    Some(match op {
        Op::Lt | Op::Le => above,
        Op::Gt | Op::Ge => !above,
        other => other == Op::Ne,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::trace;

    fn types(f: &Func, params: &[Type]) -> Vec<Dtype> {
        specialise(f, params).unwrap().result_dtypes()
    }

    #[test]
    fn literals_yield_as_in_nep_50() {
        use Dtype::*;
        let add_int = trace("f", |[x]| x + 1).unwrap();
        let add_float = trace("f", |[x]| x + 1.0).unwrap();
        for (dtype, int, float) in [
            (Bool, I64, F64),
            (I8, I8, F64),
            (U64, U64, F64),
            (F16, F16, F16),
            (Bf16, Bf16, Bf16),
            (F32, F32, F32),
            (F64, F64, F64),
        ] {
            assert_eq!(types(&add_int, &[dtype.into()]), [int], "{dtype} + 1");
            assert_eq!(types(&add_float, &[dtype.into()]), [float], "{dtype} + 1.0");
        }
    }

    #[test]
    fn a_literal_must_fit() {
        let f = trace("f", |[x]| x + 300).unwrap();
        let errors = specialise(&f, &[Type::Strong(Dtype::U8)]).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].to_string(), "the literal 300 does not fit u8");
    }

    #[test]
    fn half_floats_are_rounded_once() {
        let f = trace("f", |[x]| (x + 1.0) * x).unwrap();
        let g = specialise(&f, &[Type::Strong(Dtype::F16)]).unwrap();
        let casts = g.nodes().iter().filter(|n| matches!(n.op, Op::Cast(_))).count();
        assert_eq!(casts, 2, "one load, one store");
    }

    #[test]
    fn a_weak_parameter_takes_the_type_it_meets() {
        let f = trace("axpy", |[a, x, y]| a * x + y).unwrap();
        let weak = Type::Weak(Weak::Float);
        let g = specialise(&f, &[weak, Dtype::F32.into(), Dtype::F32.into()]).unwrap();
        assert_eq!(g.param_dtypes(), [Dtype::F64, Dtype::F32, Dtype::F32]);
        assert_eq!(g.result_dtypes(), [Dtype::F32]);
    }

    #[test]
    fn bool_arithmetic_is_logic_and_its_subtraction_an_error() {
        let or = trace("f", |[x, y]| x + y).unwrap();
        let both = [Type::Strong(Dtype::Bool); 2];
        let g = specialise(&or, &both).unwrap();
        assert!(g.nodes().iter().any(|n| n.op == Op::Or));
        let sub = trace("f", |[x, y]| x - y).unwrap();
        assert!(specialise(&sub, &both).is_err());
    }
}
