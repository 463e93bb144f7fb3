//! Owned arrays whose element type is known at run time only.
//!
//! In: a dtype and a shape, or a typed `ndarray` array. Out: an [`AnyArray`], and from it the typed array again; and the
//! forms of [`Output`] that a call can return, each made in the form that the caller asked for, so that no result is moved.

use std::cmp::Reverse;

use loopweave_ir::{Dtype, Element, Scalar};
use ndarray::{Array, Array0, ArrayD, Dimension, IxDyn};
use smallvec::SmallVec;

use super::launch::prefer_large_pages;
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
                let layout = Layout::contiguous(shape).ok()?;
                Wanted::new(dtype, &layout).map(|wanted| AnyArray::of(&wanted))
            }

            fn of(wanted: &Wanted<'_>) -> AnyArray {
                match wanted.dtype {
                    $(Dtype::$variant => AnyArray::$variant(wanted.zeros::<$t, IxDyn>()),)*
                }
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
    /// A bound call's result in [`Cells`](crate::jit::Cells), whose owner may change it.
    #[error("the result lies in cells, where their owner reads it; a view would forbid changing them")]
    Cells,
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

/// A new array that a call asks for: its element type, and its dense layout, whose axes may be in any order.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    dtype: Dtype,
    layout: &'a Layout,
}

impl<'a> Wanted<'a> {
    /// An array that fits memory; `None` for any other.
    pub(crate) fn new(dtype: Dtype, layout: &'a Layout) -> Option<Wanted<'a>> {
        // ndarray counts a shape's elements without its axes of extent 0, and panics where that overflows.
        let mut extents = layout.shape.iter().filter(|&&e| e > 0);
        let bytes = extents.try_fold(dtype.size(), |n, &e| n.checked_mul(e))?;
        let fits = bytes <= isize::MAX as usize && (layout.is_empty() || fits_memory(bytes));
        fits.then_some(Wanted { dtype, layout })
    }

    /// The array as zeros, which the system gives without a pass over its memory where they are a number's. `D` has the rank
    /// of the layout, or any.
    fn zeros<T: Element, D: Dimension>(&self) -> Array<T, D> {
        let dimension = |extents: &[usize]| {
            let mut dimension = D::zeros(extents.len());
            dimension.slice_mut().copy_from_slice(extents);
            dimension
        };
        let zeros = |extents: &[usize]| {
            let mut array = Array::from_elem(dimension(extents), T::from_bits(0));
            array.as_slice_mut().into_iter().for_each(prefer_large_pages);
            array
        };
        if self.layout.is_contiguous() {
            return zeros(&self.layout.shape);
        }
        let mut order: Dims<usize> = (0..self.layout.rank()).collect();
        order.sort_by_key(|&axis| Reverse(self.layout.strides[axis]));
        let extents: Dims<usize> = order.iter().map(|&axis| self.layout.shape[axis]).collect();
        let mut places: Dims<usize> = SmallVec::from_elem(0, order.len());
        for (place, &axis) in order.iter().enumerate() {
            places[axis] = place;
        }
        zeros(&extents).permuted_axes(dimension(&places))
    }
}

/// What a call can return: an array of any rank, an [`AnyArray`], a Rust scalar for a 0-d result, or a tuple of these for
/// several results.
pub trait Output: Sized {
    /// The results in this form: makes an array for each, and has `compute` fill them.
    ///
    /// # Errors
    /// If they have another count, dtype or rank.
    fn compute(wanted: &[Wanted<'_>], compute: impl FnOnce(&mut [ViewMut<'_>])) -> Result<Self, OutputError>;
}

/// One result in the form the caller asked for.
pub trait OutputItem: Sized {
    /// The array that it is computed into.
    type Array: ArgMut;

    /// Makes that array.
    ///
    /// # Errors
    /// If the result has another dtype or rank.
    fn array(wanted: &Wanted<'_>) -> Result<Self::Array, OutputError>;

    /// The result, computed.
    fn from_array(array: Self::Array) -> Self;
}

impl OutputItem for AnyArray {
    type Array = AnyArray;

    fn array(wanted: &Wanted<'_>) -> Result<AnyArray, OutputError> {
        Ok(AnyArray::of(wanted))
    }

    fn from_array(array: AnyArray) -> AnyArray {
        array
    }
}

impl<T: Element, D: Dimension> OutputItem for Array<T, D> {
    type Array = Array<T, D>;

    fn array(wanted: &Wanted<'_>) -> Result<Array<T, D>, OutputError> {
        if wanted.dtype != T::DTYPE {
            return Err(OutputError::Dtype {
                found: wanted.dtype,
                expected: T::DTYPE,
            });
        }
        match D::NDIM {
            Some(expected) if expected != wanted.layout.rank() => Err(OutputError::Rank {
                shape: wanted.layout.shape.to_vec(),
                expected,
            }),
            _ => Ok(wanted.zeros()),
        }
    }

    fn from_array(array: Array<T, D>) -> Array<T, D> {
        array
    }
}

macro_rules! scalar_outputs {
    ($($t:ty),*) => {$(
        impl OutputItem for $t {
            type Array = Array0<$t>;

            fn array(wanted: &Wanted<'_>) -> Result<Array0<$t>, OutputError> {
                Array0::array(wanted)
            }

            fn from_array(array: Array0<$t>) -> $t {
                array.into_scalar()
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
    fn compute(wanted: &[Wanted<'_>], compute: impl FnOnce(&mut [ViewMut<'_>])) -> Result<O, OutputError> {
        let [wanted] = expect_count(wanted)?;
        let mut array = O::array(wanted)?;
        compute(&mut [array.view_mut()]);
        Ok(O::from_array(array))
    }
}

fn expect_count<'a, 'b, const N: usize>(wanted: &'a [Wanted<'b>]) -> Result<&'a [Wanted<'b>; N], OutputError> {
    wanted.try_into().map_err(|_| OutputError::Count {
        found: wanted.len(),
        expected: N,
    })
}

macro_rules! tuple_outputs {
    ($($name:ident)*) => {
        impl<$($name: OutputItem),*> Output for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn compute(wanted: &[Wanted<'_>], compute: impl FnOnce(&mut [ViewMut<'_>])) -> Result<Self, OutputError> {
                let [$($name),*] = expect_count(wanted)?;
                $(let mut $name = $name::array($name)?;)*
                compute(&mut [$($name.view_mut()),*]);
                Ok(($($name::from_array($name),)*))
            }
        }
    };
}

tuple_outputs!(A B);
tuple_outputs!(A B C);
tuple_outputs!(A B C D);

impl Output for Vec<AnyArray> {
    fn compute(wanted: &[Wanted<'_>], compute: impl FnOnce(&mut [ViewMut<'_>])) -> Result<Self, OutputError> {
        let mut arrays: Vec<AnyArray> = wanted.iter().map(AnyArray::of).collect();
        let mut views: SmallVec<[ViewMut<'_>; 2]> = arrays.iter_mut().map(ArgMut::view_mut).collect();
        compute(&mut views);
        drop(views);
        Ok(arrays)
    }
}
