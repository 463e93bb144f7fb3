//! Why a graph cannot be built: the errors of [`super::build`], with the user's names.
//!
//! In: names, ids and types. Out: a sentence that says what was expected.

use loopweave_ir::infer::TypeError;
use loopweave_ir::{Dtype, Type};

use super::NodeId;
use super::build::MAX_RANK;
use crate::shape::ShapeError;

/// Why a graph cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A node id of another builder.
    #[error("node {node} is not a node of `{graph}`")]
    UnknownNode {
        /// The id.
        node: NodeId,
        /// The graph's name.
        graph: String,
    },
    /// A function applied to the wrong number of arrays.
    #[error("`{func}` takes {} but is given {given}", count(*.takes, "argument", "arguments"))]
    ArgumentCount {
        /// The function's name.
        func: String,
        /// The number of its parameters.
        takes: usize,
        /// The number of arguments.
        given: usize,
    },
    /// A function used for one array that has several results, or none.
    #[error("`{func}` has {given} results where one is expected")]
    ResultCount {
        /// The function's name.
        func: String,
        /// The number of its results.
        given: usize,
    },
    /// A function that cannot take the types of its arguments.
    #[error("`{func}`{}: {}", types(.args), texts(.errors))]
    Types {
        /// The function's name.
        func: String,
        /// The types of the arguments.
        args: Vec<Type>,
        /// What is wrong.
        errors: Vec<TypeError>,
    },
    /// An argument that a typed function does not take.
    #[error("parameter `{param}` of `{func}` is {takes}, but the argument is {given}")]
    ArgumentType {
        /// The function's name.
        func: String,
        /// The parameter's name.
        param: String,
        /// The parameter's type.
        takes: Dtype,
        /// The argument's type.
        given: Dtype,
    },
    /// A matrix product of an array without axes.
    #[error("`{array}` has no axes; a matrix product needs at least one (`*` scales by a scalar)")]
    MatMulScalar {
        /// The array's name.
        array: String,
    },
    /// More axes than an array may have.
    #[error("an array of {rank} axes; at most {MAX_RANK} are supported")]
    Rank {
        /// The number of axes.
        rank: usize,
    },
    /// An axis that the array does not have.
    #[error("axis {axis} is out of range for `{array}` with {}", count(*.rank, "axis", "axes"))]
    Axis {
        /// The axis as given.
        axis: isize,
        /// The array's name.
        array: String,
        /// The number of its axes.
        rank: usize,
    },
    /// An axis named twice.
    #[error("axis {axis} is given twice")]
    DuplicateAxis {
        /// The axis as given the second time.
        axis: isize,
    },
    /// A result dtype that the reduction cannot have.
    #[error("`{reduction}` cannot be computed as {dtype}; expected {expected}")]
    ReductionDtype {
        /// The reduction's name.
        reduction: &'static str,
        /// The dtype asked for.
        dtype: Dtype,
        /// What it can be, in words.
        expected: &'static str,
    },
    /// A combiner that does not take two values to one of their own type.
    #[error("the combiner `{func}` takes two {takes} to {}; expected {takes}", dtypes(.gives))]
    Combiner {
        /// The combiner's name.
        func: String,
        /// The type of the elements.
        takes: Dtype,
        /// The types of its results.
        gives: Vec<Dtype>,
    },
    /// An initial value that the elements' type cannot hold.
    #[error("the initial value of `{func}` does not fit {dtype}")]
    Init {
        /// The combiner's name.
        func: String,
        /// The type of the elements.
        dtype: Dtype,
    },
    /// A view that no array of this rank has.
    #[error("`{array}`: {error}")]
    View {
        /// The array's name.
        array: String,
        /// What is wrong.
        error: Box<ShapeError>,
    },
    /// A broadcast to fewer axes than there are.
    #[error("`{array}` has {} and cannot be broadcast to {to}", count(*.rank, "axis", "axes"))]
    BroadcastRank {
        /// The array's name.
        array: String,
        /// The number of its axes.
        rank: usize,
        /// The number asked for.
        to: usize,
    },
    /// A broadcast to an extent that no input declares.
    #[error("no input has an extent named `{name}`")]
    UnknownExtent {
        /// The name.
        name: String,
    },
    /// A name given to two inputs or to two outputs.
    #[error("the {what} name `{name}` is used twice")]
    DuplicateName {
        /// `input` or `output`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An output with another number of axes than declared.
    #[error("output `{output}` has {}, but {declared} are declared", count(*.rank, "axis", "axes"))]
    OutputRank {
        /// The output's name.
        output: String,
        /// The number of its axes.
        rank: usize,
        /// The number declared.
        declared: usize,
    },
    /// A graph that computes nothing.
    #[error("`{graph}` has no output")]
    NoOutput {
        /// The graph's name.
        graph: String,
    },
}

/// `1 axis`, `2 axes`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// ` of f32 and i8`, or nothing for no types.
fn types(types: &[Type]) -> String {
    let names: Vec<String> = types.iter().map(Type::to_string).collect();
    match &names[..] {
        [] => String::new(),
        names => format!(" of {}", names.join(" and ")),
    }
}

fn dtypes(dtypes: &[Dtype]) -> String {
    let names: Vec<&str> = dtypes.iter().map(|d| d.name()).collect();
    names.join(" and ")
}

fn texts(errors: &[TypeError]) -> String {
    let texts: Vec<String> = errors.iter().map(TypeError::to_string).collect();
    texts.join("; ")
}
