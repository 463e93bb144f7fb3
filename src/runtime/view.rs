//! Borrowed strided arrays of any element type: what a kernel's arguments become.
//!
//! In: `ndarray` views, slices and Rust scalars, through [`Arg`] and [`ArgMut`]. Out: a [`View`] or [`ViewMut`]: a pointer, a
//! dtype, and the extents and strides, borrowed from the array where it has them. Making one reads no element and costs a
//! few moves, since every call makes one per argument; only the launcher follows its pointer.
//!
//! Invariant: a view's elements stay inside memory that is borrowed for the view's lifetime, shared for [`View`], exclusively
//! for [`ViewMut`], or shared among cells, which this thread alone can reach. It holds because both are made from `ndarray`
//! views and slices alone, which promise it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::slice;

use loopweave_ir::{Dtype, Element, Literal, Scalar, Type, Weak};
use ndarray::{ArrayBase, ArrayRef, Data, DataMut, Dimension, MathCell};

use super::lend::Lent;
use crate::shape::{Dims, Layout};

/// A borrowed array to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    source: Source,
    ty: Type,
    axes: Axes<'a>,
}

/// Where a view's elements are: in the caller's memory, or, for a Rust scalar, in the view itself.
#[derive(Clone, Copy, Debug)]
enum Source {
    Memory(*const u8),
    Scalar(u64),
}

/// A borrowed array to write.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pointer: *mut u8,
    dtype: Dtype,
    axes: Axes<'a>,
    /// Whether the owner may read and change the elements meanwhile, between the runs of a bound call.
    cells: bool,
    borrow: PhantomData<&'a mut ()>,
}

/// The extents and strides of a view.
#[derive(Clone, Copy, Debug)]
enum Axes<'a> {
    /// Those that an array holds.
    Of { shape: &'a [usize], strides: &'a [isize] },
    /// One axis of neighbours. A slice knows its length but holds no list of extents.
    Dense(usize),
}

impl Axes<'_> {
    /// The axes of a scalar: none.
    const NONE: Axes<'static> = Axes::Of {
        shape: &[],
        strides: &[],
    };

    #[inline]
    fn shape(&self) -> &[usize] {
        match self {
            Axes::Of { shape, .. } => shape,
            Axes::Dense(len) => slice::from_ref(len),
        }
    }

    #[inline]
    fn strides(&self) -> &[isize] {
        match self {
            Axes::Of { strides, .. } => strides,
            Axes::Dense(_) => &[1],
        }
    }

    fn layout(&self) -> Layout {
        Layout {
            shape: Dims::from_slice(self.shape()),
            strides: Dims::from_slice(self.strides()),
            offset: 0,
        }
    }
}

impl View<'_> {
    /// The type as promotion sees it: weak for a Rust scalar.
    #[inline]
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> Dtype {
        self.ty.dtype()
    }

    /// The extent of each axis.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.axes.shape()
    }

    /// The distance in elements between neighbours along each axis.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        self.axes.strides()
    }

    /// How the elements lie, from [`View::pointer`]: shape and strides to keep.
    pub fn layout(&self) -> Layout {
        self.axes.layout()
    }

    /// The first logical element. Valid while `self` is, and not moved.
    #[inline]
    pub fn pointer(&self) -> *const u8 {
        match &self.source {
            Source::Memory(pointer) => *pointer,
            Source::Scalar(bits) => (bits as *const u64).cast(),
        }
    }

    /// The value of a bare Rust scalar, as a literal; `None` for any other view.
    pub fn weak_value(&self) -> Option<Literal> {
        match (self.ty, self.source) {
            (Type::Weak(Weak::Bool), Source::Scalar(bits)) => Some(Literal::Bool(bits != 0)),
            (Type::Weak(Weak::Int), Source::Scalar(bits)) => Some(Literal::Int((bits as i64).into())),
            (Type::Weak(Weak::Float), Source::Scalar(bits)) => Some(Literal::Float(bits)),
            _ => None,
        }
    }

    /// Takes a bare Rust scalar to a dtype it fits; any other view stays as it is.
    pub fn convert_weak(&mut self, dtype: Dtype) {
        if let Some(value) = self.weak_value().and_then(|literal| literal.to_scalar(dtype)) {
            self.source = Source::Scalar(value.bits());
            self.ty = Type::Strong(dtype);
        }
    }
}

impl<'a> ViewMut<'a> {
    /// The same memory to read, for a call that overwrites an argument. The launcher allows this one overlap.
    pub(crate) fn alias(&self) -> View<'a> {
        View {
            source: Source::Memory(self.pointer),
            ty: Type::Strong(self.dtype),
            axes: self.axes,
        }
    }

    /// Memory that its owner does not touch while a kernel runs, and that no other thread knows of.
    pub(super) fn of_cells<T: Element>(cells: &'a [Cell<T>]) -> ViewMut<'a> {
        ViewMut {
            pointer: cells.as_ptr().cast_mut().cast(),
            dtype: T::DTYPE,
            axes: Axes::Dense(cells.len()),
            cells: true,
            borrow: PhantomData,
        }
    }

    /// As [`ViewMut::of_cells`], for any number of axes.
    pub(super) fn of_array_of_cells<T, S, D>(cells: &'a ArrayBase<S, D>) -> ViewMut<'a>
    where
        T: Element,
        S: Data<Elem = MathCell<T>>,
        D: Dimension,
    {
        let pointer = cells.as_ptr().cast_mut().cast::<T>();
        ViewMut {
            cells: true,
            ..memory_mut(pointer, cells.shape(), cells.strides())
        }
    }

    /// Whether the elements are cells, which no reference may show: their owner may change them while it lives.
    pub(super) fn is_cells(&self) -> bool {
        self.cells
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The extent of each axis.
    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.axes.shape()
    }

    /// The distance in elements between neighbours along each axis.
    #[inline]
    pub fn strides(&self) -> &[isize] {
        self.axes.strides()
    }

    /// How the elements lie, from [`ViewMut::pointer`]: shape and strides to keep.
    pub fn layout(&self) -> Layout {
        self.axes.layout()
    }

    /// The first logical element.
    #[inline]
    pub fn pointer(&self) -> *mut u8 {
        self.pointer
    }
}

/// What can be passed where a kernel reads: arrays and views of `ndarray` by reference, slices, and bare Rust scalars, which
/// are weakly typed as Python's are in NumPy.
pub trait Arg {
    /// The argument as a view.
    fn view(&self) -> View<'_>;
}

/// What can be passed where a kernel writes: mutable arrays and views of `ndarray`, and slices.
pub trait ArgMut {
    /// The argument as a view.
    fn view_mut(&mut self) -> ViewMut<'_>;
}

impl<A: Arg + ?Sized> Arg for &A {
    fn view(&self) -> View<'_> {
        (**self).view()
    }
}

impl<A: ArgMut + ?Sized> ArgMut for &mut A {
    fn view_mut(&mut self) -> ViewMut<'_> {
        (**self).view_mut()
    }
}

impl<T: Element, D: Dimension> Arg for ArrayRef<T, D> {
    fn view(&self) -> View<'_> {
        memory(self.as_ptr(), self.shape(), self.strides())
    }
}

impl<T: Element, D: Dimension> ArgMut for ArrayRef<T, D> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        let pointer = self.as_mut_ptr();
        memory_mut(pointer, self.shape(), self.strides())
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> Arg for ArrayBase<S, D> {
    fn view(&self) -> View<'_> {
        memory(self.as_ptr(), self.shape(), self.strides())
    }
}

impl<T: Element, S: DataMut<Elem = T>, D: Dimension> ArgMut for ArrayBase<S, D> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        // First the pointer: an array that shares its elements, or borrows them, copies them here and may lie otherwise then.
        let pointer = self.as_mut_ptr();
        memory_mut(pointer, self.shape(), self.strides())
    }
}

impl<T: Element> Arg for [T] {
    fn view(&self) -> View<'_> {
        View {
            source: Source::Memory(self.as_ptr().cast()),
            ty: Type::Strong(T::DTYPE),
            axes: Axes::Dense(self.len()),
        }
    }
}

impl<T: Element> ArgMut for [T] {
    fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut {
            pointer: self.as_mut_ptr().cast(),
            dtype: T::DTYPE,
            axes: Axes::Dense(self.len()),
            cells: false,
            borrow: PhantomData,
        }
    }
}

impl<T: Element> Arg for Vec<T> {
    fn view(&self) -> View<'_> {
        self.as_slice().view()
    }
}

impl<T: Element> ArgMut for Vec<T> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        self.as_mut_slice().view_mut()
    }
}

impl<T: Element, const N: usize> Arg for [T; N] {
    fn view(&self) -> View<'_> {
        self.as_slice().view()
    }
}

impl<T: Element, const N: usize> ArgMut for [T; N] {
    fn view_mut(&mut self) -> ViewMut<'_> {
        self.as_mut_slice().view_mut()
    }
}

impl Arg for View<'_> {
    fn view(&self) -> View<'_> {
        *self
    }
}

impl ArgMut for ViewMut<'_> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut {
            pointer: self.pointer,
            dtype: self.dtype,
            axes: self.axes,
            cells: self.cells,
            borrow: PhantomData,
        }
    }
}

macro_rules! scalars {
    ($($t:ty => $weak:ident as $held:ty;)*) => {$(
        impl Arg for $t {
            fn view(&self) -> View<'_> {
                Lent::lent(*self)
            }
        }

        impl<'a> Lent<'a> for $t {
            fn lent(self) -> View<'a> {
                View {
                    source: Source::Scalar(<$held as Element>::to_bits(self as $held)),
                    ty: Type::Weak(Weak::$weak),
                    axes: Axes::NONE,
                }
            }
        }
    )*};
}

scalars! {
    bool => Bool as bool;
    i8 => Int as i64; i16 => Int as i64; i32 => Int as i64; i64 => Int as i64;
    u8 => Int as i64; u16 => Int as i64; u32 => Int as i64;
    f32 => Float as f64; f64 => Float as f64;
}

/// A strongly typed 0-d argument, where a bare Rust scalar's weak type is not wanted.
impl Arg for Scalar {
    fn view(&self) -> View<'_> {
        Lent::lent(*self)
    }
}

impl<'a> Lent<'a> for Scalar {
    fn lent(self) -> View<'a> {
        View {
            source: Source::Scalar(self.bits()),
            ty: Type::Strong(self.dtype()),
            axes: Axes::NONE,
        }
    }
}

#[inline]
fn memory<'a, T: Element>(pointer: *const T, shape: &'a [usize], strides: &'a [isize]) -> View<'a> {
    View {
        source: Source::Memory(pointer.cast()),
        ty: Type::Strong(T::DTYPE),
        axes: Axes::Of { shape, strides },
    }
}

#[inline]
fn memory_mut<'a, T: Element>(pointer: *mut T, shape: &'a [usize], strides: &'a [isize]) -> ViewMut<'a> {
    ViewMut {
        pointer: pointer.cast(),
        dtype: T::DTYPE,
        axes: Axes::Of { shape, strides },
        cells: false,
        borrow: PhantomData,
    }
}
