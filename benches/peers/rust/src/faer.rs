//! `faer`, linear algebra in Rust.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::{Real, Row, Run, extents};

pub(crate) fn row<T: Real>(row: Row<'_>) -> Option<Run> {
    let par = if row.threads == 1 {
        Par::Seq
    } else {
        Par::rayon(row.threads)
    };
    (row.name == "matmul").then(|| -> Run {
        Box::new(move |inputs, out| {
            let [m, k, n] = extents(inputs);
            let x = MatRef::from_row_major_slice(inputs[0].elements::<T>(), m, k);
            let w = MatRef::from_row_major_slice(inputs[1].elements::<T>(), k, n);
            let out = MatMut::from_row_major_slice_mut(out.elements_mut::<T>(), m, n);
            matmul(out, Accum::Replace, x, w, T::of(1.0), par);
        })
    })
}
