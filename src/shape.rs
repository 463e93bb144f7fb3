//! Shapes and strides: how a strided array lies in its buffer, and how views change that.
//!
//! In: a shape and strides. Out: a [`Layout`], or an error that names the axis. Invariant: no function here touches memory,
//! and none overflows: a layout whose byte range does not fit `isize` cannot be made.

use smallvec::SmallVec;

/// Extents or strides of a few axes.
pub type Dims<T> = SmallVec<[T; 4]>;

/// How the elements of a strided array lie: extents, and distances counted in elements from the first one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The extent of each axis, outermost first.
    pub shape: Dims<usize>,
    /// The distance in elements between neighbours along each axis.
    pub strides: Dims<isize>,
    /// The distance in elements from the start of the original view to the element at index 0 of every axis.
    pub offset: isize,
}
