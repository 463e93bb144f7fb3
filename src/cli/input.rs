//! The inputs of a program: what the command line gives, matched with what the program takes.
//!
//! In: `NAME=…` arguments and the program's parameters. Out: a value, or a type and a layout, for each parameter in order.

use loopweave_ir::{Dtype, Literal, Scalar, Type};

use super::args::{Argument, Input, Number, Order};
use super::error::CliError;
use super::npy;
use super::subject::Param;
use crate::error::Error;
use crate::runtime::array::AnyArray;
use crate::runtime::view::{Arg, View};
use crate::shape::{Layout, ShapeError};

/// The value of an input.
#[derive(Debug)]
pub(super) enum Value {
    Array(AnyArray),
    Typed(Scalar),
    /// Numbers without a type, which take that of what they meet.
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Value {
    /// Reads what the command line gives for a parameter.
    pub(super) fn read(param: &Param, input: &Input) -> Result<Value, CliError> {
        match input {
            Input::Number(number) => Value::number(param, *number),
            Input::File(path) => npy::read(path).map(Value::Array).map_err(|source| CliError::ReadArray {
                path: path.clone(),
                source,
            }),
        }
    }

    fn number(param: &Param, number: Number) -> Result<Value, CliError> {
        Ok(match (number, param.dtype) {
            (Number::Typed(scalar), _) => Value::Typed(scalar),
            (Number::Weak(literal), Some(dtype)) => Value::Typed(literal_as(param, literal, dtype)?),
            (Number::Weak(Literal::Bool(value)), None) => Value::Bool(value),
            (Number::Weak(Literal::Float(bits)), None) => Value::Float(f64::from_bits(bits)),
            (Number::Weak(Literal::Int(value)), None) => {
                Value::Int(i64::try_from(value).map_err(|_| CliError::Range {
                    name: param.name.clone(),
                    value,
                })?)
            }
        })
    }

    /// The type as promotion sees it, and the number of axes.
    pub(super) fn ty(&self) -> (Type, usize) {
        let view = self.view();
        (view.ty(), view.shape().len())
    }

    pub(super) fn view(&self) -> View<'_> {
        match self {
            Value::Array(array) => array.view(),
            Value::Typed(scalar) => scalar.view(),
            Value::Bool(value) => value.view(),
            Value::Int(value) => value.view(),
            Value::Float(value) => value.view(),
        }
    }
}

/// The type of an argument that is only described, and how it lies in memory.
pub(super) fn describe(param: &Param, argument: &Argument) -> Result<(Type, Layout), CliError> {
    let scalar = || Layout::contiguous(&[]).map_err(Error::from);
    let (ty, layout) = match (argument, param.dtype) {
        (Argument::Array { dtype, shape, order }, _) => (Type::Strong(*dtype), layout(param, shape, order)?),
        (Argument::Number(Number::Typed(value)), _) => (Type::Strong(value.dtype()), scalar()?),
        (Argument::Number(Number::Weak(literal)), Some(dtype)) => {
            (Type::Strong(literal_as(param, *literal, dtype)?.dtype()), scalar()?)
        }
        (Argument::Number(Number::Weak(literal)), None) => (Type::Weak(literal.weak()), scalar()?),
    };
    match param.dtype {
        Some(expected) if expected != ty.dtype() => Err(CliError::ParamType {
            name: param.name.clone(),
            found: ty.dtype(),
            expected,
        }),
        _ => Ok((ty, layout)),
    }
}

/// What the command line gives for each parameter, in the order of the parameters; `None` where it gives nothing.
///
/// What is given for no parameter is told here only if a parameter has nothing, as it may be meant for that one. Otherwise
/// the program has the word first, where a call without its argument may be why a name is not an input: see [`no_others`].
pub(super) fn matched<'a, T>(params: &[Param], given: &'a [(String, T)]) -> Result<Vec<Option<&'a T>>, CliError> {
    for (i, (name, _)) in given.iter().enumerate() {
        if given[..i].iter().any(|(other, _)| other == name) {
            return Err(CliError::Twice { name: name.clone() });
        }
    }
    let find = |param: &Param| {
        given
            .iter()
            .find(|(name, _)| *name == param.name)
            .map(|(_, value)| value)
    };
    let found: Vec<Option<&T>> = params.iter().map(find).collect();
    if found.iter().any(Option::is_none) {
        no_others(params, given)?;
    }
    Ok(found)
}

/// Refuses what is given for no parameter.
pub(super) fn no_others<T>(params: &[Param], given: &[(String, T)]) -> Result<(), CliError> {
    let is_param = |name: &String| params.iter().any(|param| param.name == *name);
    let names = given.iter().map(|(name, _)| name);
    let names: Vec<String> = names.filter(|name| !is_param(name)).cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    let inputs = params.iter().map(|param| param.name.clone()).collect();
    Err(CliError::Unused { names, inputs })
}

/// All the values, or the error that names the parameters without one.
pub(super) fn all<T>(params: &[Param], values: Vec<Option<T>>, flag: &'static str) -> Result<Vec<T>, CliError> {
    let missing: Vec<String> = params
        .iter()
        .zip(&values)
        .filter(|(_, value)| value.is_none())
        .map(|(param, _)| param.name.clone())
        .collect();
    if !missing.is_empty() {
        return Err(CliError::Missing { names: missing, flag });
    }
    Ok(values.into_iter().flatten().collect())
}

fn literal_as(param: &Param, literal: Literal, dtype: Dtype) -> Result<Scalar, CliError> {
    literal.to_scalar(dtype).ok_or_else(|| CliError::Literal {
        name: param.name.clone(),
        value: match literal {
            Literal::Bool(value) => value.to_string(),
            Literal::Int(value) => value.to_string(),
            Literal::Float(bits) => format!("{:?}", f64::from_bits(bits)),
        },
        dtype,
    })
}

fn layout(param: &Param, shape: &[usize], order: &Order) -> Result<Layout, CliError> {
    let layout: Result<Layout, ShapeError> = match order {
        Order::C => Layout::contiguous(shape),
        Order::Fortran => {
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            let axes: Vec<usize> = (0..shape.len()).rev().collect();
            Layout::contiguous(&reversed).and_then(|layout| layout.permute(&axes))
        }
        Order::Strides(strides) if strides.len() != shape.len() => {
            return Err(CliError::Strides {
                name: param.name.clone(),
                axes: shape.len(),
                strides: strides.len(),
            });
        }
        Order::Strides(strides) => Layout::new(shape, strides),
    };
    Ok(layout.map_err(Error::from)?)
}
