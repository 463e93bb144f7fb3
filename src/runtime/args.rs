//! The arguments and the outputs of a call: one, or a tuple of several.
//!
//! In: what [`Arg`] and [`ArgMut`] take. Out: an array of views, for a call at once ([`Args`], [`ArgsMut`]), or views that
//! live as long as what was lent ([`Lend`], [`LendMut`]), for a bound call.

use loopweave_ir::{Element, Scalar};
use ndarray::{ArrayBase, Data, Dimension};

use super::lend::{Cells, Lend, LendMut, Lent, LentMut};
use super::view::{Arg, ArgMut, View, ViewMut};

/// One or several arguments: a single [`Arg`] by reference or value, or a tuple or an array of them.
pub trait Args {
    /// As many views as there are arguments.
    type Views<'a>: AsMut<[View<'a>]>
    where
        Self: 'a;

    /// The arguments as views, in order.
    fn views(&self) -> Self::Views<'_>;
}

macro_rules! single {
    ($($t:ty),*) => {$(
        impl Args for $t {
            type Views<'a> = [View<'a>; 1] where Self: 'a;

            fn views(&self) -> [View<'_>; 1] {
                [self.view()]
            }
        }
    )*};
}

single!(bool, i8, i16, i32, i64, u8, u16, u32, f32, f64, Scalar, View<'_>);

impl<A: Arg + ?Sized> Args for &A {
    type Views<'a>
        = [View<'a>; 1]
    where
        Self: 'a;

    fn views(&self) -> [View<'_>; 1] {
        [(**self).view()]
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> Args for ArrayBase<S, D> {
    type Views<'a>
        = [View<'a>; 1]
    where
        Self: 'a;

    fn views(&self) -> [View<'_>; 1] {
        [Arg::view(self)]
    }
}

macro_rules! tuples {
    ($count:literal: $($name:ident)*) => {
        impl<$($name: Arg),*> Args for ($($name,)*) {
            type Views<'a> = [View<'a>; $count] where Self: 'a;

            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn views(&self) -> [View<'_>; $count] {
                let ($($name,)*) = self;
                [$($name.view()),*]
            }
        }

        impl<'a, $($name: Lent<'a>),*> Lend<'a> for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn lend(self) -> Vec<View<'a>> {
                let ($($name,)*) = self;
                vec![$($name.lent()),*]
            }
        }
    };
}

tuples!(1: A);
tuples!(2: A B);
tuples!(3: A B C);
tuples!(4: A B C D);
tuples!(5: A B C D E);
tuples!(6: A B C D E F);
tuples!(7: A B C D E F G);
tuples!(8: A B C D E F G H);

impl<A: Arg, const N: usize> Args for [A; N] {
    type Views<'a>
        = [View<'a>; N]
    where
        Self: 'a;

    fn views(&self) -> [View<'_>; N] {
        self.each_ref().map(Arg::view)
    }
}

impl Args for () {
    type Views<'a> = [View<'a>; 0];

    fn views(&self) -> [View<'_>; 0] {
        []
    }
}

/// One or several outputs: a single [`ArgMut`] by mutable reference, or a tuple of them.
pub trait ArgsMut {
    /// As many views as there are outputs.
    type Views<'a>: AsMut<[ViewMut<'a>]>
    where
        Self: 'a;

    /// The outputs as views, in order.
    fn views_mut(&mut self) -> Self::Views<'_>;
}

impl<A: ArgMut + ?Sized> ArgsMut for &mut A {
    type Views<'a>
        = [ViewMut<'a>; 1]
    where
        Self: 'a;

    fn views_mut(&mut self) -> [ViewMut<'_>; 1] {
        [(**self).view_mut()]
    }
}

macro_rules! output_tuples {
    ($count:literal: $($name:ident)*) => {
        impl<$($name: ArgMut),*> ArgsMut for ($($name,)*) {
            type Views<'a> = [ViewMut<'a>; $count] where Self: 'a;

            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn views_mut(&mut self) -> [ViewMut<'_>; $count] {
                let ($($name,)*) = self;
                [$($name.view_mut()),*]
            }
        }

        impl<'a, $($name: LentMut<'a>),*> LendMut<'a> for ($($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the members")]
            fn lend_mut(self) -> Vec<ViewMut<'a>> {
                let ($($name,)*) = self;
                vec![$($name.lent_mut()),*]
            }
        }
    };
}

output_tuples!(2: A B);
output_tuples!(3: A B C);
output_tuples!(4: A B C D);

macro_rules! lent_alone {
    ($($t:ty),*) => {$(
        impl<'a> Lend<'a> for $t {
            fn lend(self) -> Vec<View<'a>> {
                vec![self.lent()]
            }
        }
    )*};
}

lent_alone!(bool, i8, i16, i32, i64, u8, u16, u32, f32, f64, Scalar, Cells<'a>);

impl<'a, A: Arg + ?Sized> Lend<'a> for &'a A {
    fn lend(self) -> Vec<View<'a>> {
        vec![self.lent()]
    }
}

impl<'a, A: Lent<'a>, const N: usize> Lend<'a> for [A; N] {
    fn lend(self) -> Vec<View<'a>> {
        self.map(A::lent).into()
    }
}

impl<'a> Lend<'a> for () {
    fn lend(self) -> Vec<View<'a>> {
        Vec::new()
    }
}

impl<'a, A: ArgMut + ?Sized> LendMut<'a> for &'a mut A {
    fn lend_mut(self) -> Vec<ViewMut<'a>> {
        vec![self.lent_mut()]
    }
}

impl<'a> LendMut<'a> for Cells<'a> {
    fn lend_mut(self) -> Vec<ViewMut<'a>> {
        vec![self.lent_mut()]
    }
}
