//! The rows in Rust: what a program would use that has no loopweave, and the limits of the machine.
//!
//! In: the number of threads as the argument, then the requests of [`protocol`]. Each library is one file with one function,
//! `row`, that makes of a row's name a function of the inputs and the output, or leaves the row out.

mod faer;
mod gemm;
mod limits;
mod matrixmultiply;
mod native;
mod ndarray;
#[path = "../../protocol.rs"]
mod protocol;

use bytemuck::Pod;
use protocol::{Case, Error, Memory, Way};

/// A row of one library: a function of the inputs and the output.
type Run = Box<dyn Fn(&[Memory], &mut Memory)>;

/// A row's name, and how it is to be computed.
#[derive(Clone, Copy)]
struct Row<'a> {
    name: &'a str,
    threads: usize,
}

/// The floats, by what the libraries ask of them.
trait Real:
    Pod + ::ndarray::NdFloat + ::faer::traits::ComplexField + ::faer::traits::Conjugate<Canonical = Self> + std::iter::Sum
{
    /// The number nearest to a constant of a row.
    fn of(value: f64) -> Self;
    /// `matrixmultiply`'s function for this type: extents, then pointer and strides of x, w and the output.
    ///
    /// # Safety
    /// The pointers and strides must lie within arrays of these extents.
    unsafe fn matrixmultiply(extents: [usize; 3], x: *const Self, w: *const Self, out: *mut Self);
}

macro_rules! real {
    ($t:ident, $function:ident) => {
        impl Real for $t {
            fn of(value: f64) -> $t {
                value as $t
            }

            unsafe fn matrixmultiply([m, k, n]: [usize; 3], x: *const $t, w: *const $t, out: *mut $t) {
                let (k_stride, n_stride) = (k as isize, n as isize);
                // SAFETY: the caller's promise, for arrays in rows.
                unsafe {
                    ::matrixmultiply::$function(
                        m, k, n, 1.0, x, k_stride, 1, w, n_stride, 1, 0.0, out, n_stride, 1,
                    )
                }
            }
        }
    };
}

real!(f32, sgemm);
real!(f64, dgemm);

fn main() -> Result<(), Error> {
    let threads = std::env::args()
        .nth(1)
        .ok_or("expected the number of threads")?
        .parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    protocol::serve(|case| Ok(open(case, threads)), || Some(limits::measure(threads)))
}

fn open(case: &Case, threads: usize) -> Vec<Way<'static>> {
    let row = Row {
        name: &case.row,
        threads,
    };
    let ways = match case.dtype.as_str() {
        "f32" => floats::<f32>(row),
        "f64" => floats::<f64>(row),
        "i32" => vec![
            ("rustc", native::integers::<i32>(row)),
            ("ndarray", ndarray::integers::<i32>(row)),
        ],
        "i64" => vec![
            ("rustc", native::integers::<i64>(row)),
            ("ndarray", ndarray::integers::<i64>(row)),
        ],
        _ => Vec::new(),
    };
    let ways = ways.into_iter().filter_map(|(name, run)| Some((name, run?)));
    let ways = ways.map(|(name, run)| Way {
        name: name.to_owned(),
        batch: Box::new(move |calls, inputs, output| {
            for _ in 0..calls {
                run(inputs, output);
                // No call may be left out, though all store the same.
                std::hint::black_box(output.bytes().as_ptr());
            }
            Ok(())
        }),
    });
    ways.collect()
}

fn floats<T: Real>(row: Row<'_>) -> Vec<(&'static str, Option<Run>)> {
    vec![
        ("rustc", native::row::<T>(row)),
        ("ndarray", ndarray::row::<T>(row)),
        ("gemm", gemm::row::<T>(row)),
        ("matrixmultiply", matrixmultiply::row::<T>(row)),
        ("faer", faer::row::<T>(row)),
    ]
}

/// The extents of a product: m, k and n.
fn extents(inputs: &[Memory]) -> [usize; 3] {
    [inputs[0].shape[0], inputs[0].shape[1], inputs[1].shape[1]]
}
