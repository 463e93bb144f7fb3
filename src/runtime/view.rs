//! Borrowed strided arrays of any element type: what a kernel's arguments become.
//!
//! In: `ndarray` views, slices and Rust scalars, through [`Arg`] and [`ArgMut`]. Out: a [`View`] or [`ViewMut`]: a pointer, a
//! dtype and a [`Layout`]. Making one reads no memory, and only the launcher follows its pointer.
//!
//! Invariant: a view's layout stays inside memory that is borrowed for the view's lifetime, shared for [`View`], exclusively
//! for [`ViewMut`]. It holds because both are made from `ndarray` views and slices alone, which promise it.

use std::marker::PhantomData;
use std::ops::Range;

use loopweave_ir::{Dtype, Element, Literal, Scalar, Type, Weak};
use ndarray::{ArrayBase, ArrayRef, Data, DataMut, Dimension};
use smallvec::SmallVec;

use crate::shape::{Dims, Layout};

/// A borrowed array to read.
#[derive(Clone, Debug)]
pub struct View<'a> {
    source: Source,
    ty: Type,
    layout: Layout,
    borrow: PhantomData<&'a ()>,
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
    layout: Layout,
    borrow: PhantomData<&'a mut ()>,
}

impl View<'_> {
    /// The type as promotion sees it: weak for a Rust scalar.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.ty.dtype()
    }

    /// How the elements lie, from [`View::pointer`].
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// The first logical element. Valid while `self` is, and not moved.
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

    /// The addresses that the view's elements take; empty for an empty view.
    pub fn addresses(&self) -> Range<usize> {
        self.layout.byte_range(self.pointer().addr(), self.dtype().size())
    }
}

impl<'a> ViewMut<'a> {
    /// The same memory to read, for a call that overwrites an argument. The launcher allows this one overlap.
    pub(crate) fn alias(&self) -> View<'a> {
        View {
            source: Source::Memory(self.pointer),
            ty: Type::Strong(self.dtype),
            layout: self.layout.clone(),
            borrow: PhantomData,
        }
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How the elements lie, from [`ViewMut::pointer`].
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// The first logical element.
    pub fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// The addresses that the view's elements take; empty for an empty view.
    pub fn addresses(&self) -> Range<usize> {
        self.layout.byte_range(self.pointer.addr(), self.dtype.size())
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
        memory(self.as_ptr(), layout(self.shape(), self.strides()))
    }
}

impl<T: Element, D: Dimension> ArgMut for ArrayRef<T, D> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        let layout = layout(self.shape(), self.strides());
        memory_mut(self.as_mut_ptr(), layout)
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> Arg for ArrayBase<S, D> {
    fn view(&self) -> View<'_> {
        memory(self.as_ptr(), layout(self.shape(), self.strides()))
    }
}

impl<T: Element, S: DataMut<Elem = T>, D: Dimension> ArgMut for ArrayBase<S, D> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        let layout = layout(self.shape(), self.strides());
        memory_mut(self.as_mut_ptr(), layout)
    }
}

impl<T: Element> Arg for [T] {
    fn view(&self) -> View<'_> {
        memory(self.as_ptr(), layout(&[self.len()], &[1]))
    }
}

impl<T: Element> ArgMut for [T] {
    fn view_mut(&mut self) -> ViewMut<'_> {
        let layout = layout(&[self.len()], &[1]);
        memory_mut(self.as_mut_ptr(), layout)
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
        self.clone()
    }
}

impl ArgMut for ViewMut<'_> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut {
            pointer: self.pointer,
            dtype: self.dtype,
            layout: self.layout.clone(),
            borrow: PhantomData,
        }
    }
}

macro_rules! scalars {
    ($($t:ty => $weak:ident as $held:ty;)*) => {$(
        impl Arg for $t {
            fn view(&self) -> View<'_> {
                weak_scalar(Weak::$weak, <$held as Element>::to_bits(*self as $held))
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
        View {
            source: Source::Scalar(self.bits()),
            ty: Type::Strong(self.dtype()),
            layout: layout(&[], &[]),
            borrow: PhantomData,
        }
    }
}

fn weak_scalar<'a>(weak: Weak, bits: u64) -> View<'a> {
    View {
        source: Source::Scalar(bits),
        ty: Type::Weak(weak),
        layout: layout(&[], &[]),
        borrow: PhantomData,
    }
}

fn layout(shape: &[usize], strides: &[isize]) -> Layout {
    Layout {
        shape: Dims::from_slice(shape),
        strides: Dims::from_slice(strides),
        offset: 0,
    }
}

fn memory<'a, T: Element>(pointer: *const T, layout: Layout) -> View<'a> {
    View {
        source: Source::Memory(pointer.cast()),
        ty: Type::Strong(T::DTYPE),
        layout,
        borrow: PhantomData,
    }
}

fn memory_mut<'a, T: Element>(pointer: *mut T, layout: Layout) -> ViewMut<'a> {
    ViewMut {
        pointer: pointer.cast(),
        dtype: T::DTYPE,
        layout,
        borrow: PhantomData,
    }
}

/// One or several arguments: a single [`Arg`] by reference or value, or a tuple, an array or a slice of them.
pub trait Args {
    /// The arguments as views, in order.
    fn views(&self) -> SmallVec<[View<'_>; 4]>;
}

macro_rules! single {
    ($($t:ty),*) => {$(
        impl Args for $t {
            fn views(&self) -> SmallVec<[View<'_>; 4]> {
                smallvec::smallvec![self.view()]
            }
        }
    )*};
}

single!(bool, i8, i16, i32, i64, u8, u16, u32, f32, f64, Scalar, View<'_>);

impl<A: Arg + ?Sized> Args for &A {
    fn views(&self) -> SmallVec<[View<'_>; 4]> {
        smallvec::smallvec![(**self).view()]
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> Args for ArrayBase<S, D> {
    fn views(&self) -> SmallVec<[View<'_>; 4]> {
        smallvec::smallvec![self.view()]
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: Arg),*> Args for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn views(&self) -> SmallVec<[View<'_>; 4]> {
                let ($($name,)*) = self;
                smallvec::smallvec![$($name.view()),*]
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

impl<A: Arg, const N: usize> Args for [A; N] {
    fn views(&self) -> SmallVec<[View<'_>; 4]> {
        self.iter().map(Arg::view).collect()
    }
}

impl Args for () {
    fn views(&self) -> SmallVec<[View<'_>; 4]> {
        SmallVec::new()
    }
}

/// One or several outputs: a single [`ArgMut`] by mutable reference, or a tuple of them.
pub trait ArgsMut {
    /// The outputs as views, in order.
    fn views_mut(&mut self) -> SmallVec<[ViewMut<'_>; 2]>;
}

impl<A: ArgMut + ?Sized> ArgsMut for &mut A {
    fn views_mut(&mut self) -> SmallVec<[ViewMut<'_>; 2]> {
        smallvec::smallvec![(**self).view_mut()]
    }
}

macro_rules! output_tuples {
    ($($name:ident)*) => {
        impl<$($name: ArgMut),*> ArgsMut for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn views_mut(&mut self) -> SmallVec<[ViewMut<'_>; 2]> {
                let ($($name,)*) = self;
                smallvec::smallvec![$($name.view_mut()),*]
            }
        }
    };
}

output_tuples!(A B);
output_tuples!(A B C);
output_tuples!(A B C D);
