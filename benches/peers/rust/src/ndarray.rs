//! `ndarray`: `Zip` and `azip!`, their parallel forms on several threads, its reductions, and its products.

use bytemuck::Pod;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Zip, azip, par_azip};

use crate::protocol::Memory;
use crate::{Real, Row, Run};

/// `azip!`, or `par_azip!` on several threads.
macro_rules! zip {
    ($row:expr, $($parts:tt)*) => {
        if $row.threads > 1 { par_azip!($($parts)*) } else { azip!($($parts)*) }
    };
}

pub(crate) fn row<T: Real>(row: Row<'_>) -> Option<Run> {
    let threads = row.threads;
    let at = Row { name: "", threads };
    let relu = |x: T| if x > T::zero() { x } else { T::zero() };
    let serial: Option<Run> = match row.name {
        "sum" => Some(Box::new(|x, out| out.elements_mut::<T>()[0] = vector::<T>(&x[0]).sum())),
        "dot" => Some(Box::new(|x, out| {
            out.elements_mut::<T>()[0] = vector::<T>(&x[0]).dot(&vector::<T>(&x[1]))
        })),
        "max" => Some(Box::new(|x, out| {
            out.elements_mut::<T>()[0] = vector::<T>(&x[0]).fold(T::neg_infinity(), |a, b| a.max(*b));
        })),
        "sum_axis1" => Some(Box::new(|x, out| {
            vector_mut::<T>(out).assign(&grid::<T>(&x[0]).sum_axis(Axis(1)))
        })),
        "sum_axis0" => Some(Box::new(|x, out| {
            vector_mut::<T>(out).assign(&grid::<T>(&x[0]).sum_axis(Axis(0)))
        })),
        _ => None,
    };
    match row.name {
        "add" | "dispatch_add" => integers::<T>(Row { name: "add", threads }),
        "axpy" => Some(Box::new(move |x, out| {
            let k = T::of(2.5);
            zip!(at, (out in vector_mut::<T>(out), &x in vector::<T>(&x[0]), &y in vector::<T>(&x[1])) *out = k * x + y);
        })),
        "chain" => Some(Box::new(move |x, out| {
            // A `Zip` takes fewer arrays than the six of this row, so the last term follows in one of its own.
            let mut out = vector_mut::<T>(out);
            let zip = Zip::from(&mut out).and(vector::<T>(&x[0])).and(vector::<T>(&x[1]));
            let zip = zip.and(vector::<T>(&x[2])).and(vector::<T>(&x[3]));
            if at.threads > 1 {
                zip.par_for_each(|out, &a, &b, &c, &d| *out = relu(a * b + c) * d);
            } else {
                zip.for_each(|out, &a, &b, &c, &d| *out = relu(a * b + c) * d);
            }
            zip!(at, (out in &mut out, &e in vector::<T>(&x[4])) *out -= e);
        })),
        "poly8" => map::<T>(at, crate::native::poly8),
        "exp" => map::<T>(at, |x| x.exp()),
        "tanh" => map::<T>(at, |x| x.tanh()),
        "silu" => map::<T>(at, |x| x / (T::one() + (-x).exp())),
        "bcast_row_add" | "bcast_col_add" => Some(Box::new(move |x, out| {
            let mut out = grid_mut::<T>(out);
            let (x, y) = (grid::<T>(&x[0]), grid::<T>(&x[1]));
            let Some(y) = y.broadcast(x.dim()) else { return };
            zip!(at, (out in &mut out, &x in x, &y in y) *out = x + y);
        })),
        "transpose_add" => Some(Box::new(move |x, out| {
            zip!(at, (out in grid_mut::<T>(out), &a in grid::<T>(&x[0]), &b in grid::<T>(&x[1]).reversed_axes()) *out = a + b);
        })),
        "matmul" | "mm_bias_relu" => {
            let epilogue = row.name != "matmul";
            Some(Box::new(move |x, out| {
                let mut out = grid_mut::<T>(out);
                ndarray::linalg::general_mat_mul(T::one(), &grid::<T>(&x[0]), &grid::<T>(&x[1]), T::zero(), &mut out);
                if epilogue {
                    let b = vector::<T>(&x[2]);
                    let Some(b) = b.broadcast(out.dim()) else { return };
                    zip!(at, (out in &mut out, &b in b) *out = relu(*out + b));
                }
            }))
        }
        // Its reductions run on one thread.
        _ => serial.filter(|_| threads == 1),
    }
}

/// `add`, which is that of integers, too.
pub(crate) fn integers<T: Pod + Send + Sync + std::ops::Add<Output = T>>(row: Row<'_>) -> Option<Run> {
    let at = Row {
        name: "",
        threads: row.threads,
    };
    (row.name == "add").then(|| -> Run {
        Box::new(move |x, out| {
            zip!(at, (out in vector_mut::<T>(out), &a in vector::<T>(&x[0]), &b in vector::<T>(&x[1])) *out = a + b);
        })
    })
}

fn map<T: Real>(at: Row<'static>, of: impl Fn(T) -> T + Send + Sync + 'static) -> Option<Run> {
    Some(Box::new(move |x, out| {
        zip!(at, (out in vector_mut::<T>(out), &x in vector::<T>(&x[0])) *out = of(x));
    }))
}

fn vector<T: Pod>(memory: &Memory) -> ArrayView1<'_, T> {
    ArrayView1::from(memory.elements::<T>())
}

fn vector_mut<T: Pod>(memory: &mut Memory) -> ArrayViewMut1<'_, T> {
    ArrayViewMut1::from(memory.elements_mut::<T>())
}

/// Rows and columns; one row where there is one axis.
fn dim(shape: &[usize]) -> (usize, usize) {
    match *shape {
        [rows, columns] => (rows, columns),
        _ => (1, shape.iter().product()),
    }
}

fn grid<T: Pod>(memory: &Memory) -> ArrayView2<'_, T> {
    ArrayView2::from_shape(dim(&memory.shape), memory.elements()).expect("memory of this shape")
}

fn grid_mut<T: Pod>(memory: &mut Memory) -> ArrayViewMut2<'_, T> {
    let dim = dim(&memory.shape);
    ArrayViewMut2::from_shape(dim, memory.elements_mut()).expect("memory of this shape")
}
