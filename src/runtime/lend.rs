//! Arguments that are lent for longer than one call: what a bound call keeps.
//!
//! In: references to what [`Arg`] and [`ArgMut`] take, bare scalars, and [`Cells`]. Out: views that live as long as what was
//! lent.
//!
//! While a call is bound, what it reads cannot change and what it writes cannot be seen but through it, as with every borrow.
//! [`Cells`] are for the other case: memory that both sides use in turns.

use std::cell::Cell;

use loopweave_ir::Element;
use ndarray::{ArrayBase, Data, Dimension, MathCell};

use super::view::{Arg, ArgMut, View, ViewMut};

/// Memory that a bound call reads or writes, and that its owner may read and change between the runs. It can stand for an
/// input, for an output, and for one of each where the call overwrites its argument.
///
/// ```
/// use loopweave::prelude::*;
/// use loopweave::runtime::lend::Cells;
/// let mut x = ndarray::array![1.0f32, 2.0];
/// let x = x.cell_view();
/// let double = jit::map(|x| 2 * x)?;
/// let mut step = double.bind(Cells::from(&x), Cells::from(&x))?;
/// step.run();
/// x[1].set(8.0);
/// step.run();
/// assert_eq!((x[0].get(), x[1].get()), (4.0, 16.0));
/// # Ok::<(), loopweave::Error>(())
/// ```
#[derive(Debug)]
pub struct Cells<'a>(ViewMut<'a>);

// Cells belong to one thread, and a `Cells` is no more `Send` than they are: nobody else reads or writes while a kernel runs.

impl<'a, T: Element> From<&'a [Cell<T>]> for Cells<'a> {
    fn from(cells: &'a [Cell<T>]) -> Cells<'a> {
        Cells(ViewMut::of_cells(cells))
    }
}

impl<'a, T: Element, S: Data<Elem = MathCell<T>>, D: Dimension> From<&'a ArrayBase<S, D>> for Cells<'a> {
    fn from(cells: &'a ArrayBase<S, D>) -> Cells<'a> {
        Cells(ViewMut::of_array_of_cells(cells))
    }
}

/// One argument that is lent for `'a`: a reference to an [`Arg`], a bare scalar, or [`Cells`].
pub trait Lent<'a> {
    /// Its view.
    fn lent(self) -> View<'a>;
}

/// One output that is lent for `'a`: a mutable reference to an [`ArgMut`], or [`Cells`].
pub trait LentMut<'a> {
    /// Its view.
    fn lent_mut(self) -> ViewMut<'a>;
}

impl<'a, A: Arg + ?Sized> Lent<'a> for &'a A {
    fn lent(self) -> View<'a> {
        self.view()
    }
}

impl<'a, A: ArgMut + ?Sized> LentMut<'a> for &'a mut A {
    fn lent_mut(self) -> ViewMut<'a> {
        self.view_mut()
    }
}

impl<'a> Lent<'a> for Cells<'a> {
    fn lent(self) -> View<'a> {
        self.0.alias()
    }
}

impl<'a> LentMut<'a> for Cells<'a> {
    fn lent_mut(self) -> ViewMut<'a> {
        self.0
    }
}

/// One or several arguments that are lent for `'a`: a single [`Lent`], a tuple, or an array of them.
pub trait Lend<'a> {
    /// Their views, in order.
    fn lend(self) -> Vec<View<'a>>;
}

/// One or several outputs that are lent for `'a`: a single [`LentMut`], or a tuple of them.
pub trait LendMut<'a> {
    /// Their views, in order.
    fn lend_mut(self) -> Vec<ViewMut<'a>>;
}
