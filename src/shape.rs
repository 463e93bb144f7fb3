//! Shapes and strides: how a strided array lies in its buffer, and how views change that.
//!
//! In: a shape and strides. Out: a [`Layout`], or an error that names the axis. Invariant: no function here touches memory,
//! and none overflows: a layout whose byte range does not fit `isize` cannot be made.

use std::cmp::Reverse;
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use smallvec::SmallVec;

/// Extents or strides of a few axes.
pub type Dims<T> = SmallVec<[T; 4]>;

/// The most elements that an array may span: beyond it the byte distances of the widest dtype would not fit `isize`.
pub const MAX_SPAN: usize = isize::MAX as usize / 8;

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

/// What happens to one axis in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slice {
    /// One position, counted from the end if negative; the axis goes.
    At(i64),
    /// NumPy's `start:stop:step`; the step is not 0.
    Range {
        /// Where it starts.
        start: Option<i64>,
        /// Where it stops.
        stop: Option<i64>,
        /// By what it goes on.
        step: i64,
    },
    /// A new axis of extent 1.
    New,
}

/// Why a shape or a view of one cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// More elements than addresses.
    #[error("an array of shape {shape:?} is too large")]
    TooLarge {
        /// The extents.
        shape: Vec<usize>,
    },
    /// Extents and strides of different number.
    #[error("{extents} extents but {strides} strides")]
    Strides {
        /// The number of extents.
        extents: usize,
        /// The number of strides.
        strides: usize,
    },
    /// Axes that are not each axis once.
    #[error("{axes:?} does not name each of the {rank} axes once")]
    Permutation {
        /// The axes given.
        axes: Vec<usize>,
        /// The number of axes.
        rank: usize,
    },
    /// A position outside of its axis.
    #[error("index {index} is out of range for axis {axis} of extent {extent}")]
    Index {
        /// The axis of the array that is sliced.
        axis: usize,
        /// The position as given.
        index: i64,
        /// The extent of the axis.
        extent: usize,
    },
    /// A step of 0.
    #[error("the step of the range along axis {axis} is 0")]
    ZeroStep {
        /// The axis of the array that is sliced.
        axis: usize,
    },
    /// More subscripts than axes.
    #[error("{given} subscripts for {rank} axes")]
    TooManySubscripts {
        /// The number of positions and ranges.
        given: usize,
        /// The number of axes.
        rank: usize,
    },
    /// A shape that no broadcast takes to another.
    #[error("shape {from:?} does not broadcast to {to:?} at axis {axis}")]
    BroadcastTo {
        /// The extents there are.
        from: Vec<usize>,
        /// The extents asked for.
        to: Vec<usize>,
        /// The axis of the larger shape at which they part.
        axis: usize,
    },
    /// Two arrays whose shapes do not broadcast together.
    #[error("`{name}` has shape {shape:?}, which does not broadcast with `{other}` {other_shape:?} at axis {axis}")]
    Broadcast {
        /// The array at which it was noticed.
        name: String,
        /// Its extents.
        shape: Vec<usize>,
        /// The array that it contradicts.
        other: String,
        /// The extents of that.
        other_shape: Vec<usize>,
        /// The axis of the broadcast shape.
        axis: usize,
    },
    /// More than one extent left open.
    #[error("a reshape can leave one extent open, not {open}")]
    OpenExtents {
        /// How many were.
        open: usize,
    },
    /// Another number of elements.
    #[error("shape {shape:?} has {len} elements, which {} does not hold", Target(.target))]
    ReshapeLen {
        /// The extents there are.
        shape: Vec<usize>,
        /// Their product.
        len: usize,
        /// The extents asked for.
        target: Vec<Option<usize>>,
    },
    /// Elements that do not lie so that strides could reach them in the new order.
    #[error("shape {shape:?} with strides {strides:?} cannot be viewed as {}; reshape a copy, as `x + 0` makes one", Target(.target))]
    ReshapeLayout {
        /// The extents there are.
        shape: Vec<usize>,
        /// The strides there are, in elements.
        strides: Vec<isize>,
        /// The extents asked for.
        target: Vec<Option<usize>>,
    },
}

/// A reshape's extents as text: −1 for the open one.
struct Target<'a>(&'a [Option<usize>]);

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let extents = self.0.iter().map(|e| e.map_or(-1, |e| e as i128));
        f.debug_list().entries(extents).finish()
    }
}

impl Layout {
    /// The layout of a dense array in C order.
    ///
    /// ```
    /// use loopweave::shape::Layout;
    /// let layout = Layout::contiguous(&[2, 3])?;
    /// assert_eq!(layout.strides[..], [3, 1]);
    /// assert!(Layout::contiguous(&[usize::MAX, 2]).is_err());
    /// # Ok::<(), loopweave::shape::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// An array that spans more than [`MAX_SPAN`] elements; an extent of 0 does not excuse the others.
    pub fn contiguous(shape: &[usize]) -> Result<Layout, ShapeError> {
        span(shape)?;
        let mut strides: Dims<isize> = SmallVec::from_elem(1, shape.len());
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
        }
        Ok(Layout {
            shape: shape.into(),
            strides,
            offset: 0,
        })
    }

    /// The dense layout of a new array of this shape: its axes in the order in which the first of `models` with the same
    /// shape has them, in C order if there is none. A result of Fortran-ordered arrays is so Fortran-ordered too.
    ///
    /// # Errors
    /// A shape too large for memory.
    pub fn like(shape: &[usize], models: &[&Layout]) -> Result<Layout, ShapeError> {
        let mut layout = Layout::contiguous(shape)?;
        let moves = |m: &Layout| {
            m.shape
                .iter()
                .zip(&m.strides)
                .all(|(&extent, &stride)| extent <= 1 || stride != 0)
        };
        let model = models.iter().find(|m| m.shape[..] == *shape && moves(m));
        if let Some(model) = model.filter(|m| !m.is_contiguous()) {
            let mut order: Dims<usize> = (0..shape.len()).collect();
            order.sort_by_key(|&axis| Reverse(model.strides[axis].unsigned_abs()));
            let mut stride = 1;
            for &axis in order.iter().rev() {
                layout.strides[axis] = stride;
                stride *= shape[axis].max(1) as isize;
            }
        }
        Ok(layout)
    }

    /// The layout of these extents and strides, counted in elements.
    ///
    /// # Errors
    /// Lists of different length, or elements too far apart.
    pub fn new(shape: &[usize], strides: &[isize]) -> Result<Layout, ShapeError> {
        if shape.len() != strides.len() {
            return Err(ShapeError::Strides {
                extents: shape.len(),
                strides: strides.len(),
            });
        }
        span(shape)?;
        let reach = shape.iter().zip(strides).try_fold(0usize, |reach, (&extent, stride)| {
            reach.checked_add(extent.saturating_sub(1).checked_mul(stride.unsigned_abs())?)
        });
        match reach {
            Some(reach) if reach <= MAX_SPAN => Ok(Layout {
                shape: shape.into(),
                strides: strides.into(),
                offset: 0,
            }),
            _ => Err(ShapeError::TooLarge { shape: shape.to_vec() }),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Whether the elements lie densely in C order. The strides of axes of extent 1 do not matter, and an empty array always
    /// does.
    pub fn is_contiguous(&self) -> bool {
        let mut dense = 1isize;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if extent == 0 {
                return true;
            }
            if extent > 1 && stride != dense {
                return self.is_empty();
            }
            dense *= extent as isize;
        }
        true
    }

    /// The lowest and the highest element, counted from the start of the original view; `None` where there is no element.
    pub fn range(&self) -> Option<(isize, isize)> {
        let (low, high) = reach(&self.shape, &self.strides)?;
        Some((self.offset + low, self.offset + high))
    }

    /// The bytes that the elements of `size` bytes lie in, counted from the original view's first element. Empty where there
    /// is no element.
    pub fn byte_range(&self, size: usize) -> Range<isize> {
        bytes(self.range(), size)
    }

    /// Whether a view of these extents and strides, from its first element on, lies as this.
    #[inline]
    pub fn describes(&self, shape: &[usize], strides: &[isize]) -> bool {
        // Few axes are compared faster one by one than by a call of `memcmp` per list.
        let axes = shape.iter().zip(strides);
        let own = self.shape.iter().zip(&self.strides);
        self.offset == 0
            && self.rank() == shape.len()
            && own
                .zip(axes)
                .all(|((e, s), (extent, stride))| e == extent && s == stride)
    }

    /// The view whose axis i is axis `axes[i]` of this one.
    ///
    /// # Errors
    /// Axes that are not each axis once.
    pub fn permute(&self, axes: &[usize]) -> Result<Layout, ShapeError> {
        check_permutation(axes, self.rank())?;
        Ok(Layout {
            shape: axes.iter().map(|&a| self.shape[a]).collect(),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
        })
    }

    /// The view that NumPy's basic indexing gives: ranges are clamped to the axis; axes without a subscript stay whole.
    ///
    /// ```
    /// use loopweave::shape::{Layout, Slice};
    /// let reversed = Slice::Range { start: None, stop: None, step: -1 };
    /// let view = Layout::contiguous(&[4, 3])?.slice(&[reversed, Slice::At(-1)])?;
    /// assert_eq!((view.shape[..].to_vec(), view.strides[..].to_vec(), view.offset), (vec![4], vec![-3], 11));
    /// # Ok::<(), loopweave::shape::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// A position outside its axis, a step of 0, or more subscripts than axes.
    pub fn slice(&self, slices: &[Slice]) -> Result<Layout, ShapeError> {
        check_subscripts(slices, self.rank())?;
        let mut view = Layout {
            shape: Dims::new(),
            strides: Dims::new(),
            offset: self.offset,
        };
        let mut axis = 0;
        for slice in slices {
            if *slice == Slice::New {
                view.shape.push(1);
                view.strides.push(0);
                continue;
            }
            let (extent, stride) = (self.shape[axis], self.strides[axis]);
            let taken = slice.resolve(axis, extent)?;
            // Only an element that exists is reached by moving: the start of an empty range may lie outside the array.
            if taken.len > 0 {
                view.offset += taken.start as isize * stride;
            }
            if !matches!(slice, Slice::At(_)) {
                view.shape.push(taken.len);
                let stride = if taken.len > 1 { stride * taken.step } else { stride };
                view.strides.push(stride);
            }
            axis += 1;
        }
        view.shape.extend_from_slice(&self.shape[axis..]);
        view.strides.extend_from_slice(&self.strides[axis..]);
        Ok(view)
    }

    /// The view with one more axis, of extent 1, before the axis at this position.
    pub fn insert_axis(mut self, position: usize) -> Layout {
        self.shape.insert(position, 1);
        self.strides.insert(position, 0);
        self
    }

    /// The view with extents of 1, and missing leading axes, grown to `shape` by strides of 0.
    ///
    /// # Errors
    /// An extent that is neither 1 nor the one asked for, and shapes that are too large.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Layout, ShapeError> {
        check_broadcast_to(&self.shape, shape)?;
        span(shape)?;
        let lead = shape.len() - self.rank();
        let mut strides: Dims<isize> = SmallVec::from_elem(0, lead);
        let grown = self.shape.iter().zip(&self.strides).zip(&shape[lead..]);
        strides.extend(grown.map(|((&from, &stride), &to)| if from == to { stride } else { 0 }));
        Ok(Layout {
            shape: shape.into(),
            strides,
            offset: self.offset,
        })
    }

    /// The view of the same elements, in C order, under other extents; one of them may be left open.
    ///
    /// # Errors
    /// Another number of elements, or strides that no view can express.
    pub fn reshape(&self, target: &[Option<usize>]) -> Result<Layout, ShapeError> {
        let shape = reshape_shape(&self.shape, target)?;
        if self.is_empty() {
            return Ok(Layout {
                offset: self.offset,
                ..Layout::contiguous(&shape)?
            });
        }
        let refused = || ShapeError::ReshapeLayout {
            shape: self.shape.to_vec(),
            strides: self.strides.to_vec(),
            target: target.to_vec(),
        };
        let old: Dims<(usize, isize)> = self.shape.iter().copied().zip(self.strides.iter().copied()).collect();
        let old: Dims<(usize, isize)> = old.into_iter().filter(|&(extent, _)| extent != 1).collect();
        let mut strides: Dims<isize> = SmallVec::from_elem(1, shape.len());
        // Both lists fall into runs of equal products; a run can be viewed where its old axes lie as one.
        let (mut i, mut j) = (0, 0);
        while i < old.len() {
            let (first_old, first_new) = (i, j);
            let (mut from, mut to) = (old[i].0, shape[j]);
            while from != to {
                if from < to {
                    i += 1;
                    from *= old[i].0;
                } else {
                    j += 1;
                    to *= shape[j];
                }
            }
            let one_axis = |w: &[(usize, isize)]| w[1].1.checked_mul(w[1].0 as isize) == Some(w[0].1);
            if !old[first_old..=i].windows(2).all(one_axis) {
                return Err(refused());
            }
            let mut stride = old[i].1;
            for axis in (first_new..=j).rev() {
                strides[axis] = stride;
                stride *= shape[axis] as isize;
            }
            (i, j) = (i + 1, j + 1);
        }
        Ok(Layout {
            shape,
            strides,
            offset: self.offset,
        })
    }
}

/// The elements of one axis that a slice takes.
struct Taken {
    /// The first position.
    start: usize,
    /// By what the positions go on.
    step: isize,
    /// How many there are.
    len: usize,
}

macro_rules! slice_from_range {
    ($($range:ty: $value:ident => $start:expr, $stop:expr;)*) => {$(
        impl From<$range> for Slice {
            fn from($value: $range) -> Slice {
                Slice::Range { start: $start, stop: $stop, step: 1 }
            }
        }
    )*};
}

slice_from_range! {
    RangeFull: _r => None, None;
    Range<i64>: r => Some(r.start), Some(r.end);
    RangeFrom<i64>: r => Some(r.start), None;
    RangeTo<i64>: r => None, Some(r.end);
}

impl From<i64> for Slice {
    fn from(position: i64) -> Slice {
        Slice::At(position)
    }
}

impl Slice {
    /// All of an axis.
    pub const ALL: Slice = Slice::Range {
        start: None,
        stop: None,
        step: 1,
    };

    /// What the slice takes of an axis of this extent.
    fn resolve(self, axis: usize, extent: usize) -> Result<Taken, ShapeError> {
        // In 128 bits no sum or difference below can overflow.
        let n = extent as i128;
        let from_end = |i: i64| if i < 0 { i as i128 + n } else { i as i128 };
        match self {
            Slice::New => Ok(Taken {
                start: 0,
                step: 0,
                len: 1,
            }),
            Slice::At(index) => {
                let position = from_end(index);
                if !(0..n).contains(&position) {
                    return Err(ShapeError::Index { axis, index, extent });
                }
                Ok(Taken {
                    start: position as usize,
                    step: 1,
                    len: 1,
                })
            }
            Slice::Range { step: 0, .. } => Err(ShapeError::ZeroStep { axis }),
            Slice::Range { start, stop, step } => {
                // A falling range may stop before position 0, and starts no later than the last one.
                let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
                let (first, last) = if step > 0 { (low, high) } else { (high, low) };
                let start = start.map_or(first, |s| from_end(s).clamp(low, high));
                let stop = stop.map_or(last, |s| from_end(s).clamp(low, high));
                let distance = if step > 0 { stop - start } else { start - stop };
                let pace = (step as i128).abs();
                let len = if distance <= 0 { 0 } else { (distance + pace - 1) / pace };
                Ok(Taken {
                    start: start.max(0) as usize,
                    step: step as isize,
                    len: len as usize,
                })
            }
        }
    }
}

/// The shape that arrays broadcast to, as NumPy has it: shapes meet at their last axes, and an extent of 1 grows. The names
/// are those of the arrays, for the error.
///
/// ```
/// use loopweave::shape::broadcast_shapes;
/// assert_eq!(broadcast_shapes(&[("x", &[3, 1]), ("y", &[4])]).unwrap()[..], [3, 4]);
/// let error = broadcast_shapes(&[("x", &[3, 5]), ("y", &[3, 4])]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`y` has shape [3, 4], which does not broadcast with `x` [3, 5] at axis 1"
/// );
/// ```
///
/// # Errors
/// Two extents that differ, neither of them 1, and shapes that are too large.
pub fn broadcast_shapes(arrays: &[(&str, &[usize])]) -> Result<Dims<usize>, ShapeError> {
    let rank = arrays.iter().map(|(_, shape)| shape.len()).max().unwrap_or(0);
    let mut met: Dims<usize> = SmallVec::from_elem(1, rank);
    for (position, &(name, shape)) in arrays.iter().enumerate() {
        let lead = rank - shape.len();
        for (i, &extent) in shape.iter().enumerate() {
            let axis = lead + i;
            if met[axis] == 1 {
                met[axis] = extent;
            } else if extent != 1 && extent != met[axis] {
                let earlier = arrays[..position].iter();
                let (other, other_shape) = earlier
                    .copied()
                    .find(|(_, s)| (axis + s.len()).checked_sub(rank).is_some_and(|i| s[i] == met[axis]))
                    .unwrap_or((name, shape));
                return Err(ShapeError::Broadcast {
                    name: name.to_owned(),
                    shape: shape.to_vec(),
                    other: other.to_owned(),
                    other_shape: other_shape.to_vec(),
                    axis,
                });
            }
        }
    }
    span(&met)?;
    Ok(met)
}

/// The bytes that the elements of `size` bytes of a view lie in, counted from its first element: [`Layout::byte_range`] of a
/// view whose extents and strides are not in a layout.
#[inline]
pub fn byte_range(shape: &[usize], strides: &[isize], size: usize) -> Range<isize> {
    bytes(reach(shape, strides), size)
}

/// Whether two ranges of addresses share a byte.
pub fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end && !a.is_empty() && !b.is_empty()
}

/// Whether these are each axis once.
pub(crate) fn check_permutation(axes: &[usize], rank: usize) -> Result<(), ShapeError> {
    let each_once = axes.len() == rank && (0..rank).all(|axis| axes.contains(&axis));
    if each_once {
        Ok(())
    } else {
        Err(ShapeError::Permutation {
            axes: axes.to_vec(),
            rank,
        })
    }
}

/// Whether there are enough axes for these subscripts.
pub(crate) fn check_subscripts(slices: &[Slice], rank: usize) -> Result<(), ShapeError> {
    let given = slices.iter().filter(|s| **s != Slice::New).count();
    if given > rank {
        return Err(ShapeError::TooManySubscripts { given, rank });
    }
    Ok(())
}

/// Whether one shape broadcasts to the other.
pub(crate) fn check_broadcast_to(from: &[usize], to: &[usize]) -> Result<(), ShapeError> {
    let refused = |axis| ShapeError::BroadcastTo {
        from: from.to_vec(),
        to: to.to_vec(),
        axis,
    };
    let Some(lead) = to.len().checked_sub(from.len()) else {
        return Err(refused(0));
    };
    match (0..from.len()).find(|&i| from[i] != 1 && from[i] != to[lead + i]) {
        Some(i) => Err(refused(lead + i)),
        None => Ok(()),
    }
}

/// Whether an array of these extents fits memory.
pub(crate) fn check_size(shape: &[usize]) -> Result<(), ShapeError> {
    span(shape).map(|_| ())
}

/// The extents that slices leave.
pub(crate) fn slice_shape(shape: &[usize], slices: &[Slice]) -> Result<Dims<usize>, ShapeError> {
    check_subscripts(slices, shape.len())?;
    let mut result = Dims::new();
    let mut axis = 0;
    for slice in slices {
        if *slice == Slice::New {
            result.push(1);
            continue;
        }
        let taken = slice.resolve(axis, shape[axis])?;
        if !matches!(slice, Slice::At(_)) {
            result.push(taken.len);
        }
        axis += 1;
    }
    result.extend_from_slice(&shape[axis..]);
    Ok(result)
}

/// The extents of a reshape, with the open one filled in.
pub(crate) fn reshape_shape(shape: &[usize], target: &[Option<usize>]) -> Result<Dims<usize>, ShapeError> {
    let len = shape.iter().product();
    let open = target.iter().filter(|e| e.is_none()).count();
    if open > 1 {
        return Err(ShapeError::OpenExtents { open });
    }
    let refused = || ShapeError::ReshapeLen {
        shape: shape.to_vec(),
        len,
        target: target.to_vec(),
    };
    let known: Dims<usize> = target.iter().flatten().copied().collect();
    let known = span(&known).map(|_| known.iter().product::<usize>());
    let known = known.map_err(|_| refused())?;
    let rest = match open {
        0 => Some(1).filter(|_| known == len),
        _ => len.checked_div(known).filter(|rest| rest * known == len),
    };
    let rest = rest.ok_or_else(refused)?;
    Ok(target.iter().map(|e| e.unwrap_or(rest)).collect())
}

/// How far the elements go below and above the one at index 0 of every axis; `None` where there is no element.
#[inline]
fn reach(shape: &[usize], strides: &[isize]) -> Option<(isize, isize)> {
    if shape.contains(&0) {
        return None;
    }
    let (mut low, mut high) = (0, 0);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = (extent as isize - 1) * stride;
        low += reach.min(0);
        high += reach.max(0);
    }
    Some((low, high))
}

/// The bytes of a range of elements, the last one included.
#[inline]
fn bytes(elements: Option<(isize, isize)>, size: usize) -> Range<isize> {
    let size = size as isize;
    elements.map_or(0..0, |(low, high)| low * size..(high + 1) * size)
}

/// The product of the extents that are not 0, which bounds every dense stride.
fn span(shape: &[usize]) -> Result<usize, ShapeError> {
    let product = shape
        .iter()
        .try_fold(1usize, |product, &e| product.checked_mul(e.max(1)));
    match product {
        Some(product) if product <= MAX_SPAN => Ok(product),
        _ => Err(ShapeError::TooLarge { shape: shape.to_vec() }),
    }
}
