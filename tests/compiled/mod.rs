//! Elementary functions compiled for this machine, on inputs given by their bits.
//!
//! In: an op, a dtype and a tier. Out: results, a chunk at a time. The bits are those of the interpreter, in a hundredth of its time.

use loopweave::ir::simplify::Fast;
use loopweave::ir::{Accuracy, Dtype, Op};
use loopweave::jit::{self, Kernel};

/// Inputs of one call.
pub(crate) const LANES: usize = 1024;

/// Some inputs of an op at its dtype, by their bits.
pub(crate) type Chunk = [[u64; LANES]; 2];

/// A compiled function of one or two operands.
pub(crate) struct Function {
    kernel: Kernel,
    dtype: Dtype,
    arity: usize,
}

impl Function {
    pub(crate) fn new(op: Op, dtype: Dtype, accuracy: Accuracy) -> Function {
        let params = ["x", "x, y"][op.arity() - 1];
        let text = format!("fn f({params}) {{ {}({params}) }}", op.name());
        let kernel = jit::func(text.as_str()).expect("the text is a function");
        let fast = match accuracy {
            Accuracy::Precise => Fast::NONE,
            Accuracy::Fast => Fast::APPROX,
        };
        Function {
            kernel: kernel.fast(fast).threads(1).expect("one thread is the caller's"),
            dtype,
            arity: op.arity(),
        }
    }

    /// The results of all lanes.
    pub(crate) fn run(&self, args: &Chunk, results: &mut [u64; LANES]) {
        match self.dtype {
            Dtype::F32 => self.run_as(args, results, |b| f32::from_bits(b as u32), |v| v.to_bits().into()),
            _ => self.run_as(args, results, f64::from_bits, f64::to_bits),
        }
    }

    fn run_as<T: Copy + Default>(
        &self,
        args: &Chunk,
        results: &mut [u64; LANES],
        from_bits: impl Fn(u64) -> T,
        to_bits: impl Fn(T) -> u64,
    ) where
        [T; LANES]: Floats,
    {
        let mut columns = [[T::default(); LANES]; 2];
        for (column, bits) in columns.iter_mut().zip(args).take(self.arity) {
            column.iter_mut().zip(bits).for_each(|(x, &b)| *x = from_bits(b));
        }
        let mut out = [T::default(); LANES];
        Floats::call(&self.kernel, [&columns[0], &columns[1]], self.arity, &mut out);
        results.iter_mut().zip(out).for_each(|(bits, v)| *bits = to_bits(v));
    }
}

/// A call on arrays, which a generic function cannot write by itself.
trait Floats: Sized {
    fn call(kernel: &Kernel, args: [&Self; 2], arity: usize, out: &mut Self);
}

macro_rules! floats {
    ($($t:ty)*) => {$(
        impl Floats for [$t; LANES] {
            fn call(kernel: &Kernel, [x, y]: [&Self; 2], arity: usize, out: &mut Self) {
                let result = match arity {
                    1 => kernel.call_into(&x[..], &mut out[..]),
                    _ => kernel.call_into((&x[..], &y[..]), &mut out[..]),
                };
                result.expect("arrays of one length");
            }
        }
    )*};
}

floats! { f32 f64 }
