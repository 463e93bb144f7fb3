//! Streams of inputs: spread over all binades, with more where a function is hard.

use loopweave_ir::{Dtype, Op, Scalar};

/// The stream of inputs of one measurement.
pub(crate) struct Inputs {
    op: Op,
    dtype: Dtype,
    next: u64,
    end: u64,
    /// Every f32 in turn or one block of [`BLOCK`] in so many, not a sample.
    every: Option<u64>,
    seed: u64,
}

/// So many f32 are neighbours in a sweep, among which the function is seen to be monotone or not.
pub(crate) const BLOCK: u64 = 1024;

impl Inputs {
    /// A stream of so many random inputs; of one operand every eighth chunk is a run of neighbours from one of them up.
    pub(crate) fn new(op: Op, dtype: Dtype, points: u64) -> Inputs {
        Inputs {
            op,
            dtype,
            next: 0,
            end: points,
            every: None,
            seed: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// One block of neighbours in `stride` of all f32: those from +0 up, then those from −0 down.
    pub(crate) fn sweep(op: Op, stride: u64) -> Inputs {
        Inputs {
            every: Some(stride.max(1)),
            end: 1 << 32,
            ..Inputs::new(op, Dtype::F32, 0)
        }
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.random() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fills both operands' columns from the front and tells how many inputs there were left.
    pub(crate) fn fill<const N: usize>(&mut self, chunk: &mut [[u64; N]; 2]) -> usize {
        let count = (self.end - self.next).min(N as u64) as usize;
        let [xs, ys] = chunk;
        let is_run = self.every.is_none() && self.op.arity() == 1 && self.next / N as u64 % 8 == 7;
        if is_run {
            let magnitudes = u64::MAX >> (65 - self.dtype.bits());
            let [start, _] = self.pick();
            let end = (start | magnitudes) - N as u64;
            xs.iter_mut().zip(start.min(end)..).for_each(|(x, bits)| *x = bits);
            self.next += count as u64;
            return count;
        }
        for (x, y) in xs.iter_mut().zip(ys).take(count) {
            [*x, *y] = if self.every.is_some() {
                [self.next, 0]
            } else {
                self.pick()
            };
            self.next += 1;
        }
        if let Some(stride) = self.every {
            self.next = (self.next + (stride - 1) * BLOCK).min(self.end);
        }
        count
    }

    fn pick(&mut self) -> [u64; 2] {
        let bits = |dtype: Dtype, v: f64| Scalar::from_f64(dtype, v).bits();
        let mask = u64::MAX >> (64 - self.dtype.bits());
        let any = self.random() & mask;
        if self.op == Op::Pow {
            let x = match self.next % 4 {
                0 => any,
                1 => bits(self.dtype, self.uniform(0.5, 2.0)),
                2 => bits(self.dtype, 1.0 + self.uniform(-1e-3, 1e-3)),
                _ => bits(self.dtype, self.uniform(0.0, 100.0)),
            };
            let limit = if self.dtype == Dtype::F32 { 104.0 } else { 745.0 };
            let ln = Scalar::from_bits(self.dtype, x)
                .as_f64()
                .abs()
                .ln()
                .abs()
                .clamp(1e-300, 1e300);
            let y = match self.next % 3 {
                0 => self.uniform(-limit, limit) / ln,
                1 => (self.uniform(-limit, limit) / ln).round(),
                _ => self.uniform(-4.0, 4.0),
            };
            return [x, bits(self.dtype, y)];
        }
        if self.op.arity() == 2 {
            let other = self.random() & mask;
            let near = self.uniform(-40.0, 40.0);
            return match self.next % 4 {
                0 => [any, other],
                // Neighbours in size, of any size.
                1 => {
                    let x = Scalar::from_bits(self.dtype, any);
                    let factor = self.uniform(-4.0, 4.0);
                    [any, bits(self.dtype, x.as_f64() * factor)]
                }
                2 => [bits(self.dtype, near), bits(self.dtype, self.uniform(-40.0, 40.0))],
                _ => [bits(self.dtype, near), bits(self.dtype, near + self.uniform(-2.0, 2.0))],
            };
        }
        let x = match self.next % 5 {
            0 => any,
            1 => bits(self.dtype, self.uniform(-7.0, 7.0)),
            2 if matches!(self.op, Op::Gamma | Op::LnGamma) => bits(self.dtype, self.uniform(-190.0, 175.0)),
            2 if self.op == Op::Exp10 => bits(self.dtype, self.uniform(-324.0, 309.0)),
            2 if self.op == Op::Exp2 => bits(self.dtype, self.uniform(-1076.0, 1025.0)),
            2 if matches!(self.op, Op::Log2 | Op::Log10 | Op::Acosh) => bits(self.dtype, self.uniform(0.4, 3.0)),
            2 if matches!(
                self.op,
                Op::Expm1 | Op::Silu | Op::Softplus | Op::Mish | Op::Sinh | Op::Cosh
            ) =>
            {
                bits(self.dtype, self.uniform(-750.0, 720.0))
            }
            4 => bits(
                self.dtype,
                (self.uniform(-60.0, 6.0)).exp2() * if any & 1 == 0 { 1.0 } else { -1.0 },
            ),
            2 if matches!(self.op, Op::Exp | Op::Sigmoid) => bits(self.dtype, self.uniform(-750.0, 720.0)),
            2 if self.op == Op::Ln => bits(self.dtype, self.uniform(0.4, 3.0)),
            2 if matches!(self.op, Op::Sin | Op::Cos | Op::Tan) => {
                let turns = self.uniform(0.0, 1e6).floor();
                bits(self.dtype, turns * std::f64::consts::FRAC_PI_2).wrapping_add(any % 5)
            }
            2 => bits(self.dtype, self.uniform(-1.5, 1.5)),
            _ if self.dtype == Dtype::F32 => bits(self.dtype, self.uniform(-110.0, 95.0)),
            _ => bits(self.dtype, self.uniform(-30.0, 30.0)),
        };
        [x, 0]
    }
}
