//! Streams of inputs: spread over all binades, with more where a function is hard.

use loopweave_ir::{Dtype, Op, Scalar};

/// The stream of inputs of one measurement.
pub(crate) struct Inputs {
    op: Op,
    dtype: Dtype,
    next: u64,
    end: u64,
    /// Every f32 in turn, not a sample.
    every: bool,
    seed: u64,
}

impl Inputs {
    /// A stream of so many inputs; 0 stands for every `f32`.
    pub(crate) fn new(op: Op, dtype: Dtype, points: u64) -> Inputs {
        let every = points == 0 && dtype == Dtype::F32 && op.arity() == 1;
        let end = match points {
            0 if every => 1 << 32,
            0 => 10_000_000,
            n => n,
        };
        Inputs {
            op,
            dtype,
            next: 0,
            end,
            every,
            seed: 0x9e37_79b9_7f4a_7c15,
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
        for (x, y) in xs.iter_mut().zip(ys).take(count) {
            [*x, *y] = if self.every { [self.next, 0] } else { self.pick() };
            self.next += 1;
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
        let x = match self.next % 4 {
            0 => any,
            1 => bits(self.dtype, self.uniform(-7.0, 7.0)),
            2 if matches!(self.op, Op::Exp | Op::Sigmoid) => bits(self.dtype, self.uniform(-750.0, 720.0)),
            2 if self.op == Op::Ln => bits(self.dtype, self.uniform(0.4, 3.0)),
            2 if matches!(self.op, Op::Sin | Op::Cos) => {
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
