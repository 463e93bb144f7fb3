//! The loop that a user would write, as rustc compiles it for this very processor; chunks of it on several threads.
//!
//! Strict as Rust is: sums keep their order unless the loop says otherwise, so here it says so, with lanes.

use bytemuck::Pod;
use rayon::prelude::*;

use crate::{Real, Row, Run};

/// How many partial results a reduction keeps: enough for vectors, and for several of them.
const LANES: usize = 64;

pub(crate) fn row<T: Real>(row: Row<'_>) -> Option<Run> {
    let Row { name, threads } = row;
    let relu = |x: T| if x > T::zero() { x } else { T::zero() };
    Some(match name {
        "add" | "dispatch_add" => return integers::<T>(Row { name: "add", threads }),
        "axpy" => zip::<T, T, T>(threads, |x, y| T::of(2.5) * x + y),
        "cast_add" => zip::<f32, f64, f64>(threads, |a, b| f64::from(a) + b),
        "chain" => Box::new(move |x, out| {
            let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|i| x[i].elements::<T>());
            chunks(threads, out.elements_mut(), |at, out| {
                let [a, b, c, d, e] = [a, b, c, d, e].map(|x| &x[at..at + out.len()]);
                for i in 0..out.len() {
                    out[i] = relu(a[i] * b[i] + c[i]) * d[i] - e[i];
                }
            });
        }),
        "poly8" => map::<T>(threads, poly8),
        "exp" => map::<T>(threads, |x| x.exp()),
        "tanh" => map::<T>(threads, |x| x.tanh()),
        "silu" => map::<T>(threads, |x| x / (T::one() + (-x).exp())),
        "sum" => reduce::<T>(threads, 1, T::zero(), |s, x, _| s + x, |a, b| a + b),
        "dot" => reduce::<T>(threads, 2, T::zero(), |s, x, y| s + x * y, |a, b| a + b),
        "max" => reduce::<T>(
            threads,
            1,
            T::neg_infinity(),
            |s, x, _| if x > s { x } else { s },
            |a, b| a.max(b),
        ),
        "mse" => {
            let sum = reduce::<T>(threads, 2, T::zero(), |s, x, y| s + (x - y) * (x - y), |a, b| a + b);
            Box::new(move |x, out| {
                sum(x, out);
                let out = out.elements_mut::<T>();
                out[0] /= T::of(x[0].elements::<T>().len() as f64);
            })
        }
        "sum_axis1" => rows::<T>(threads, |x, out| {
            out[0] = fold(x, &[], T::zero(), |s, x, _| s + x, |a, b| a + b)
        }),
        "softmax_rows" => rows::<T>(threads, |x, out| {
            let top = fold(
                x,
                &[],
                T::neg_infinity(),
                |s, x, _| if x > s { x } else { s },
                |a, b| a.max(b),
            );
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = (x - top).exp());
            let scale = T::one() / fold(out, &[], T::zero(), |s, x, _| s + x, |a, b| a + b);
            out.iter_mut().for_each(|out| *out *= scale);
        }),
        "bcast_row_add" => Box::new(move |x, out| {
            let (y, x) = (x[1].elements::<T>(), x[0].elements::<T>());
            each_row(threads, x, y.len(), out.elements_mut(), y.len(), |_, x, out| {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    *out = *x + *y;
                }
            });
        }),
        "bcast_col_add" => Box::new(move |x, out| {
            let (y, width, x) = (x[1].elements::<T>(), x[0].shape[1], x[0].elements::<T>());
            each_row(threads, x, width, out.elements_mut(), width, |i, x, out| {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = *x + y[i];
                }
            });
        }),
        "transpose_add" => Box::new(move |x, out| {
            const TILE: usize = 16;
            let (b, width, a) = (x[1].elements::<T>(), x[0].shape[1], x[0].elements::<T>());
            let height = x[0].shape[0];
            each_row(
                threads,
                a,
                TILE * width,
                out.elements_mut(),
                TILE * width,
                |tile, a, out| {
                    for j0 in (0..width).step_by(TILE) {
                        for (i, (a, out)) in a.chunks(width).zip(out.chunks_mut(width)).enumerate() {
                            for j in j0..width.min(j0 + TILE) {
                                out[j] = a[j] + b[j * height + tile * TILE + i];
                            }
                        }
                    }
                },
            );
        }),
        _ => return None,
    })
}

/// `add`, which is that of integers, too.
pub(crate) fn integers<T: Pod + Send + Sync + std::ops::Add<Output = T>>(row: Row<'_>) -> Option<Run> {
    (row.name == "add").then(|| zip::<T, T, T>(row.threads, |a, b| a + b))
}

pub(crate) fn poly8<T: Real>(x: T) -> T {
    const POLY: [f64; 9] = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9];
    POLY[1..].iter().fold(T::of(POLY[0]), |v, &c| v * x + T::of(c))
}

fn map<T: Real>(threads: usize, of: impl Fn(T) -> T + Copy + Send + Sync + 'static) -> Run {
    Box::new(move |x, out| {
        let x = x[0].elements::<T>();
        chunks(threads, out.elements_mut(), |at, out| {
            out.iter_mut().zip(&x[at..]).for_each(|(out, &x)| *out = of(x));
        });
    })
}

fn zip<A, B, O>(threads: usize, of: impl Fn(A, B) -> O + Copy + Send + Sync + 'static) -> Run
where
    A: Pod + Send + Sync,
    B: Pod + Send + Sync,
    O: Pod + Send + Sync,
{
    Box::new(move |x, out| {
        let (a, b) = (x[0].elements::<A>(), x[1].elements::<B>());
        chunks(threads, out.elements_mut(), |at, out: &mut [O]| {
            let both = a[at..].iter().zip(&b[at..]);
            out.iter_mut().zip(both).for_each(|(out, (&a, &b))| *out = of(a, b));
        });
    })
}

/// A reduction of one or two arrays to one number.
fn reduce<T: Real>(
    threads: usize,
    count: usize,
    init: T,
    step: impl Fn(T, T, T) -> T + Copy + Send + Sync + 'static,
    join: impl Fn(T, T) -> T + Copy + Send + Sync + 'static,
) -> Run {
    Box::new(move |x, out| {
        let a = x[0].elements::<T>();
        let b: &[T] = if count == 2 { x[1].elements() } else { &[] };
        let part = a.len().div_ceil(threads).max(1);
        out.elements_mut::<T>()[0] = if threads == 1 {
            fold(a, b, init, step, join)
        } else {
            let parts = a.par_chunks(part).enumerate();
            let parts = parts.map(|(i, a)| fold(a, b.get(i * part..).unwrap_or(&[]), init, step, join));
            parts.reduce(|| init, join)
        };
    })
}

/// Folds in lanes, then over the lanes. Without a second array the step is given the element twice.
#[inline(always)]
fn fold<T: Real>(a: &[T], b: &[T], init: T, step: impl Fn(T, T, T) -> T, join: impl Fn(T, T) -> T) -> T {
    let b = if b.is_empty() { a } else { &b[..a.len()] };
    let mut lanes = [init; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let rest = rest.fold(init, |s, (&a, &b)| step(s, a, b));
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] = step(lanes[i], a[i], b[i]);
        }
    }
    lanes.into_iter().fold(rest, join)
}

/// A function of each row and what is computed of it.
fn rows<T: Real>(threads: usize, of: impl Fn(&[T], &mut [T]) + Copy + Send + Sync + 'static) -> Run {
    Box::new(move |x, out| {
        let (x, height, width) = (x[0].elements::<T>(), x[0].shape[0], x[0].shape[1]);
        let out = out.elements_mut::<T>();
        let into = out.len() / height;
        each_row(threads, x, width, out, into, |_, x, out| of(x, out));
    })
}

fn each_row<T: Real>(
    threads: usize,
    x: &[T],
    width: usize,
    out: &mut [T],
    into: usize,
    of: impl Fn(usize, &[T], &mut [T]) + Send + Sync,
) {
    if threads == 1 {
        let rows = x.chunks(width).zip(out.chunks_mut(into)).enumerate();
        rows.for_each(|(i, (x, out))| of(i, x, out));
    } else {
        let rows = x.par_chunks(width).zip(out.par_chunks_mut(into)).enumerate();
        rows.with_min_len(16).for_each(|(i, (x, out))| of(i, x, out));
    }
}

/// Runs a loop over each thread's part of the output, which begins at the given element.
fn chunks<T: Pod + Send>(threads: usize, out: &mut [T], of: impl Fn(usize, &mut [T]) + Send + Sync) {
    if threads == 1 {
        of(0, out);
    } else {
        let part = out.len().div_ceil(threads).max(1);
        out.par_chunks_mut(part)
            .enumerate()
            .for_each(|(i, out)| of(i * part, out));
    }
}
