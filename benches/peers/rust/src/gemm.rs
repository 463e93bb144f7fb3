//! `gemm`, the matrix product beneath `faer` and `candle`.

use gemm::{Parallelism, gemm};

use crate::{Real, Row, Run, extents};

pub(crate) fn row<T: Real>(row: Row<'_>) -> Option<Run> {
    let parallelism = match row.threads {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    (row.name == "matmul").then(|| -> Run {
        Box::new(move |inputs, out| {
            let [m, k, n] = extents(inputs);
            let (x, w) = (inputs[0].elements::<T>().as_ptr(), inputs[1].elements::<T>().as_ptr());
            let out = out.elements_mut::<T>().as_mut_ptr();
            let (k_stride, n_stride) = (k as isize, n as isize);
            // SAFETY: the arrays have these extents, in rows.
            unsafe {
                gemm(
                    m,
                    n,
                    k,
                    out,
                    1,
                    n_stride,
                    false,
                    x,
                    1,
                    k_stride,
                    w,
                    1,
                    n_stride,
                    T::zero(),
                    T::one(),
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
        })
    })
}
