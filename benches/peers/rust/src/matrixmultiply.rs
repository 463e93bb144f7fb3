//! `matrixmultiply`, the matrix product of `ndarray`.

use crate::{Real, Row, Run, extents};

/// Its threads are those of `MATMUL_NUM_THREADS`, which it reads itself.
pub(crate) fn row<T: Real>(row: Row<'_>) -> Option<Run> {
    (row.name == "matmul").then(|| -> Run {
        Box::new(|inputs, out| {
            let (x, w) = (inputs[0].elements::<T>().as_ptr(), inputs[1].elements::<T>().as_ptr());
            // SAFETY: the arrays have these extents, in rows.
            unsafe { T::matrixmultiply(extents(inputs), x, w, out.elements_mut::<T>().as_mut_ptr()) }
        })
    })
}
