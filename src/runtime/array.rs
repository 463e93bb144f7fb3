//! Owned arrays whose element type is known at run time only.
//!
//! In: a dtype and a shape, or a typed `ndarray` array. Out: an [`AnyArray`], and from it the typed array again, or one of
//! the forms of [`Output`] that a call can return.

use std::cmp::Reverse;

use loopweave_ir::{Dtype, Element, Scalar};
use ndarray::{Array, ArrayD, Dimension, IxDyn};
use smallvec::SmallVec;

use super::view::{Arg, ArgMut, View, ViewMut};
use crate::shape::{Dims, Layout};

macro_rules! any_array {
    ($($variant:ident $t:ty;)*) => {
        /// An array of any dtype, owned.
        ///
        /// ```
        /// use loopweave::{AnyArray, Dtype};
        /// let a = AnyArray::from(ndarray::arr1(&[1.0f32, 2.5]).into_dyn());
        /// assert_eq!((a.dtype(), a.shape()), (Dtype::F32, &[2][..]));
        /// let typed: ndarray::Array1<f32> = a.try_into_array()?;
        /// assert_eq!(typed[1], 2.5);
        /// # Ok::<(), loopweave::OutputError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "the names are those of the dtypes")]
        pub enum AnyArray {
            $($variant(ArrayD<$t>),)*
        }

        impl AnyArray {
            /// An array of zeros. `None` if it would be larger than memory can be.
            pub fn zeros(dtype: Dtype, shape: &[usize]) -> Option<AnyArray> {
                // ndarray counts a shape's elements without its axes of extent 0, and panics where that overflows.
                let len = shape.iter().filter(|&&e| e > 0).try_fold(dtype.size(), |n, &e| n.checked_mul(e))?;
                if len > isize::MAX as usize || !(shape.contains(&0) || fits_memory(len)) {
                    return None;
                }
                Some(match dtype {
                    $(Dtype::$variant => AnyArray::$variant(ArrayD::from_elem(IxDyn(shape), <$t as Element>::from_bits(0))),)*
                })
            }

            /// An array of zeros whose elements lie as the dense `layout` says: its axes may be in any order.
            pub(crate) fn with_layout(dtype: Dtype, layout: &Layout) -> Option<AnyArray> {
                if layout.is_contiguous() {
                    return AnyArray::zeros(dtype, &layout.shape);
                }
                let mut order: Vec<usize> = (0..layout.rank()).collect();
                order.sort_by_key(|&axis| Reverse(layout.strides[axis]));
                let extents: Vec<usize> = order.iter().map(|&axis| layout.shape[axis]).collect();
                let mut places = vec![0; order.len()];
                for (place, &axis) in order.iter().enumerate() {
                    places[axis] = place;
                }
                Some(match AnyArray::zeros(dtype, &extents)? {
                    $(AnyArray::$variant(a) => AnyArray::$variant(a.permuted_axes(IxDyn(&places))),)*
                })
            }

            /// The element type.
            pub fn dtype(&self) -> Dtype {
                match self {
                    $(AnyArray::$variant(_) => Dtype::$variant,)*
                }
            }

            /// The extent of each axis.
            pub fn shape(&self) -> &[usize] {
                match self {
                    $(AnyArray::$variant(a) => a.shape(),)*
                }
            }

            /// The element at an index; `None` outside the array, and where the index has another number of axes.
            pub fn get(&self, index: &[usize]) -> Option<Scalar> {
                if index.len() != self.shape().len() {
                    return None;
                }
                match self {
                    $(AnyArray::$variant(a) => a.get(index).map(|&v| Scalar::from(v)),)*
                }
            }

            /// The elements in C order.
            pub fn scalars(&self) -> Vec<Scalar> {
                match self {
                    $(AnyArray::$variant(a) => a.iter().map(|&v| Scalar::from(v)).collect(),)*
                }
            }
        }

        impl Arg for AnyArray {
            fn view(&self) -> View<'_> {
                match self {
                    $(AnyArray::$variant(a) => a.view_arg(),)*
                }
            }
        }

        impl ArgMut for AnyArray {
            fn view_mut(&mut self) -> ViewMut<'_> {
                match self {
                    $(AnyArray::$variant(a) => a.view_arg_mut(),)*
                }
            }
        }

        $(
            impl From<ArrayD<$t>> for AnyArray {
                fn from(array: ArrayD<$t>) -> AnyArray {
                    AnyArray::$variant(array)
                }
            }

            impl Owned for $t {
                fn take(array: AnyArray) -> Result<ArrayD<$t>, AnyArray> {
                    match array {
                        AnyArray::$variant(a) => Ok(a),
                        other => Err(other),
                    }
                }
            }
        )*
    };
}

any_array! {
    Bool bool; I8 i8; I16 i16; I32 i32; I64 i64; U8 u8; U16 u16; U32 u32; U64 u64;
    F16 half::f16; Bf16 half::bf16; F32 f32; F64 f64;
}

/// Whether the system would give this many bytes. Allocation aborts the process where it would not, so large ones are tried.
pub(crate) fn fits_memory(bytes: usize) -> bool {
    const LARGE: usize = 64 << 20;
    bytes < LARGE || Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

/// `ArrayD` has a method `view` of its own; these reach the trait's.
trait AsArg {
    fn view_arg(&self) -> View<'_>;
    fn view_arg_mut(&mut self) -> ViewMut<'_>;
}

impl<T: Element> AsArg for ArrayD<T> {
    fn view_arg(&self) -> View<'_> {
        Arg::view(self)
    }

    fn view_arg_mut(&mut self) -> ViewMut<'_> {
        ArgMut::view_mut(self)
    }
}

/// An element type that an [`AnyArray`] can be turned into.
pub trait Owned: Element {
    /// The typed array, or the array back if its type is another.
    fn take(array: AnyArray) -> Result<ArrayD<Self>, AnyArray>;
}

/// Why a result cannot be returned in the form the caller asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Another element type.
    #[error("the result is {found}, but {expected} was asked for")]
    Dtype {
        /// The result's.
        found: Dtype,
        /// The caller's.
        expected: Dtype,
    },
    /// Another number of axes.
    #[error("the result has shape {shape:?}, but {expected} axes were asked for")]
    Rank {
        /// The result's shape.
        shape: Vec<usize>,
        /// The caller's rank.
        expected: usize,
    },
    /// Another number of results.
    #[error("the kernel has {found} results, but {expected} were asked for")]
    Count {
        /// The kernel's.
        found: usize,
        /// The caller's.
        expected: usize,
    },
}

impl AnyArray {
    /// The typed array of a given number of axes.
    ///
    /// # Errors
    /// If the dtype or the number of axes is another.
    pub fn try_into_array<T: Owned, D: Dimension>(self) -> Result<Array<T, D>, OutputError> {
        let shape = Dims::from_slice(self.shape());
        let array = T::take(self).map_err(|other| OutputError::Dtype {
            found: other.dtype(),
            expected: T::DTYPE,
        })?;
        array.into_dimensionality().map_err(|_| OutputError::Rank {
            shape: shape.to_vec(),
            expected: D::NDIM.unwrap_or(0),
        })
    }
}

/// The results of a program, in the order of its outputs.
pub type Arrays = SmallVec<[AnyArray; 1]>;

/// What a call can return: an array of any rank, an [`AnyArray`], a Rust scalar for a 0-d result, or a tuple of these for
/// several results.
pub trait Output: Sized {
    /// The results in this form.
    ///
    /// # Errors
    /// If they have another count, dtype or rank.
    fn from_results(results: Arrays) -> Result<Self, OutputError>;
}

/// One result in the form the caller asked for.
pub trait OutputItem: Sized {
    /// The result in this form.
    ///
    /// # Errors
    /// If it has another dtype or rank.
    fn from_result(result: AnyArray) -> Result<Self, OutputError>;
}

impl OutputItem for AnyArray {
    fn from_result(result: AnyArray) -> Result<AnyArray, OutputError> {
        Ok(result)
    }
}

impl<T: Owned, D: Dimension> OutputItem for Array<T, D> {
    fn from_result(result: AnyArray) -> Result<Array<T, D>, OutputError> {
        result.try_into_array()
    }
}

macro_rules! scalar_outputs {
    ($($t:ty),*) => {$(
        impl OutputItem for $t {
            fn from_result(result: AnyArray) -> Result<$t, OutputError> {
                let array: Array<$t, ndarray::Ix0> = result.try_into_array()?;
                Ok(array.into_scalar())
            }
        }
    )*};
}

scalar_outputs!(
    bool,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
    half::f16,
    half::bf16,
    f32,
    f64
);

impl<O: OutputItem> Output for O {
    fn from_results(results: Arrays) -> Result<O, OutputError> {
        let [result] = expect_count(results)?;
        O::from_result(result)
    }
}

fn expect_count<const N: usize>(results: Arrays) -> Result<[AnyArray; N], OutputError> {
    let found = results.len();
    if found != N {
        return Err(OutputError::Count { found, expected: N });
    }
    let mut results = results.into_iter();
    Ok(std::array::from_fn(|_| results.next().expect("counted above")))
}

macro_rules! tuple_outputs {
    ($n:literal: $($name:ident)*) => {
        impl<$($name: OutputItem),*> Output for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn from_results(results: Arrays) -> Result<Self, OutputError> {
                let [$($name),*] = expect_count::<$n>(results)?;
                Ok(($($name::from_result($name)?,)*))
            }
        }
    };
}

tuple_outputs!(2: A B);
tuple_outputs!(3: A B C);
tuple_outputs!(4: A B C D);

impl Output for Vec<AnyArray> {
    fn from_results(results: Arrays) -> Result<Vec<AnyArray>, OutputError> {
        Ok(results.into_vec())
    }
}
