//! The forms in which the arguments of [`Array`]'s methods can be written, and the results of its closures.
//!
//! In: Rust values as a user would write them: numbers, ranges, tuples. Out: what the graph builder takes.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use loopweave_ir::build::Results;
use loopweave_ir::{Expr, Literal, Scalar};

use super::Array;
use crate::graph::{Dim, Slice};

/// What stands beside an array in an operation: another array, a typed [`Scalar`], or a bare Rust number or `bool`, which
/// takes the array's dtype.
pub trait ArrayOperand<'g> {
    /// The operand.
    fn operand(self) -> Operand<'g>;
}

/// An operand of an operation on arrays.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'g> {
    /// An array.
    Array(Array<'g>),
    /// A bare number.
    Literal(Literal),
    /// A number whose dtype counts in promotion.
    Scalar(Scalar),
}

impl<'g> ArrayOperand<'g> for Array<'g> {
    fn operand(self) -> Operand<'g> {
        Operand::Array(self)
    }
}

impl<'g> ArrayOperand<'g> for Scalar {
    fn operand(self) -> Operand<'g> {
        Operand::Scalar(self)
    }
}

macro_rules! literals {
    ($($t:ty)*) => {$(
        impl<'g> ArrayOperand<'g> for $t {
            fn operand(self) -> Operand<'g> {
                Operand::Literal(self.into())
            }
        }
    )*};
}

literals! { bool i32 i64 u64 f32 f64 }

/// The axes of a reduction: one, an array or slice of them, or `..` for all. Negative ones count from the end.
pub trait Axes {
    /// The axes; `None` for all.
    fn axes(self) -> Option<Vec<isize>>;
}

impl Axes for isize {
    fn axes(self) -> Option<Vec<isize>> {
        Some(vec![self])
    }
}

impl<const N: usize> Axes for [isize; N] {
    fn axes(self) -> Option<Vec<isize>> {
        Some(self.to_vec())
    }
}

impl Axes for &[isize] {
    fn axes(self) -> Option<Vec<isize>> {
        Some(self.to_vec())
    }
}

impl Axes for RangeFull {
    fn axes(self) -> Option<Vec<isize>> {
        None
    }
}

/// An extent that a reshape asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A number; −1 stands for what remains.
    Fixed(i64),
    /// That of an input's axis.
    Name(String),
}

impl From<i64> for Extent {
    fn from(extent: i64) -> Extent {
        Extent::Fixed(extent)
    }
}

impl From<&str> for Extent {
    fn from(name: &str) -> Extent {
        Extent::Name(name.to_owned())
    }
}

impl Extent {
    /// The extent for a view, `None` for the one that remains.
    pub(super) fn dim(self) -> Result<Option<Dim>, i64> {
        match self {
            Extent::Name(name) => Ok(Some(Dim::Name(name))),
            Extent::Fixed(-1) => Ok(None),
            Extent::Fixed(extent) => match usize::try_from(extent) {
                Ok(extent) => Ok(Some(Dim::Fixed(extent))),
                Err(_) => Err(extent),
            },
        }
    }
}

/// A subscript: a position, a range, or a [`Slice`] for a range with a step and for a new axis.
pub trait Subscript {
    /// What happens to the axis.
    fn slice(self) -> Slice;
}

/// The subscripts of an array: one, a tuple of up to six, or an array or slice of [`Slice`]s.
pub trait Subscripts {
    /// What happens to each axis.
    fn slices(self) -> Vec<Slice>;
}

macro_rules! subscripts {
    ($($t:ty),*) => {$(
        impl Subscript for $t {
            fn slice(self) -> Slice {
                self.into()
            }
        }

        impl Subscripts for $t {
            fn slices(self) -> Vec<Slice> {
                vec![self.into()]
            }
        }
    )*};
}

subscripts!(Slice, i64, RangeFull, Range<i64>, RangeFrom<i64>, RangeTo<i64>);

impl<const N: usize> Subscripts for [Slice; N] {
    fn slices(self) -> Vec<Slice> {
        self.to_vec()
    }
}

impl Subscripts for &[Slice] {
    fn slices(self) -> Vec<Slice> {
        self.to_vec()
    }
}

macro_rules! subscript_tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: Subscript),*> Subscripts for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn slices(self) -> Vec<Slice> {
                let ($($name,)*) = self;
                vec![$($name.slice()),*]
            }
        }
    )*};
}

subscript_tuples! { A B; A B C; A B C D; A B C D E; A B C D E F; }

/// What the closure of a map returns: an [`Expr`], which gives an [`Array`], or a tuple of up to four, which gives as many.
pub trait MapResults: Results {
    /// The arrays.
    type Arrays<'g>;

    /// The arrays, where `array` gives that of each result.
    fn arrays<'g>(array: impl FnMut(usize) -> Array<'g>) -> Self::Arrays<'g>;
}

impl MapResults for Expr {
    type Arrays<'g> = Array<'g>;

    fn arrays<'g>(mut array: impl FnMut(usize) -> Array<'g>) -> Array<'g> {
        array(0)
    }
}

macro_rules! result_tuples {
    ($(($($i:literal)*))*) => {$(
        impl MapResults for ($(result_tuples!(@expr $i),)*) {
            type Arrays<'g> = ($(result_tuples!(@array $i),)*);

            fn arrays<'g>(mut array: impl FnMut(usize) -> Array<'g>) -> Self::Arrays<'g> {
                ($(array($i),)*)
            }
        }
    )*};
    (@expr $i:literal) => { Expr };
    (@array $i:literal) => { Array<'g> };
}

result_tuples! { (0 1) (0 1 2) (0 1 2 3) }
