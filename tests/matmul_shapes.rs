//! Matrix products of every shape, layout and dtype, bit for bit beside plain loops in the canonical order.
//!
//! Crossed for each dtype: every triple of [`EXTENTS`], with each factor in rows and in columns. Every [`SAMPLED`]th triple is
//! computed once more, each factor and the result in an order drawn from all of [`ORDERS`].
//!
//! Products of one dtype are corners of two matrices, so a single pass along k gives what each of them must be: the chain over
//! the first k elements is a part of the chain over all.

use std::fmt::Debug;

use half::{bf16, f16};
use loopweave::ir::Element;
use loopweave::prelude::*;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, ShapeBuilder, s};

/// The extents that meet every path: nothing, one, tails on both sides of vectors, tiles and blocks.
const EXTENTS: [usize; 16] = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 127, 129, 256];
const LARGEST: usize = 256;
/// Of so many triples, one is computed in further orders: some 1,300 of each dtype.
const SAMPLED: usize = 3;

/// A dtype as a plain loop computes with it.
trait Number: Element + Debug {
    /// What sums are accumulated in.
    type Sum: Copy;
    /// Virtual lanes of a sum that is not a chain.
    const LANES: usize;
    const ZERO: Self::Sum;
    /// Some value, of an even distribution over those whose sums show every mistake.
    fn of(noise: u32) -> Self;
    fn times(self, other: Self) -> Self::Sum;
    fn plus(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    /// One step of the chain.
    fn step(sum: Self::Sum, left: Self, right: Self) -> Self::Sum {
        Self::plus(sum, left.times(right))
    }
    fn stored(sum: Self::Sum) -> Self;
}

macro_rules! integers {
    ($($t:ty, $lanes:literal;)*) => {$(
        impl Number for $t {
            type Sum = $t;
            const LANES: usize = $lanes;
            const ZERO: $t = 0;
            fn of(noise: u32) -> $t {
                // All bits of the widest.
                (u64::from(noise) * 0x1_0000_0193) as $t
            }
            fn times(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
            fn plus(a: $t, b: $t) -> $t {
                a.wrapping_add(b)
            }
            fn stored(sum: $t) -> $t {
                sum
            }
        }
    )*};
}
integers! { i8, 64; i16, 64; i32, 64; i64, 32; u8, 64; u16, 64; u32, 64; u64, 32; }

/// Floats, each with the one that it is computed in.
macro_rules! floats {
    ($($t:ty, $sum:ty, $lanes:literal, $from:expr, $to:expr;)*) => {$(
        impl Number for $t {
            type Sum = $sum;
            const LANES: usize = $lanes;
            const ZERO: $sum = 0.0;
            fn of(noise: u32) -> $t {
                let to: fn($sum) -> $t = $to;
                to((f64::from(noise >> 8) / f64::from(1 << 24) - 0.5) as $sum)
            }
            fn times(self, other: $t) -> $sum {
                let from: fn($t) -> $sum = $from;
                from(self) * from(other)
            }
            fn plus(a: $sum, b: $sum) -> $sum {
                a + b
            }
            fn step(sum: $sum, left: $t, right: $t) -> $sum {
                let from: fn($t) -> $sum = $from;
                from(left).mul_add(from(right), sum)
            }
            fn stored(sum: $sum) -> $t {
                let to: fn($sum) -> $t = $to;
                to(sum)
            }
        }
    )*};
}
floats! {
    f32, f32, 64, |v| v, |v| v;
    f64, f64, 32, |v| v, |v| v;
    f16, f32, 64, f16::to_f32, f16::from_f32;
    bf16, f32, 64, bf16::to_f32, bf16::from_f32;
}

/// Whether any pair holds; few do, so that both results occur.
impl Number for bool {
    type Sum = bool;
    const LANES: usize = 64;
    const ZERO: bool = false;
    fn of(noise: u32) -> bool {
        noise.is_multiple_of(11)
    }
    fn times(self, other: bool) -> bool {
        self && other
    }
    fn plus(a: bool, b: bool) -> bool {
        a || b
    }
    fn stored(sum: bool) -> bool {
        sum
    }
}

/// The matrices whose corners are the factors, and the products of those corners.
struct Corners<T> {
    /// In rows.
    left: Vec<T>,
    /// In columns.
    right: Vec<T>,
    /// Per extent of the contracted axis, the chains of every row and column.
    chains: Vec<Vec<T>>,
}

impl<T: Number> Corners<T> {
    fn new() -> Corners<T> {
        let matrix = |seed: usize| {
            (0..LARGEST * LARGEST)
                .map(|i| T::of(noise(2 * i + seed)))
                .collect::<Vec<T>>()
        };
        let (left, right) = (matrix(0), matrix(1));
        let mut chains = vec![Vec::with_capacity(LARGEST * LARGEST); EXTENTS.len()];
        for row in left.chunks(LARGEST) {
            for column in right.chunks(LARGEST) {
                let mut sum = T::ZERO;
                let mut done = 0;
                for (&extent, chains) in EXTENTS.iter().zip(&mut chains) {
                    for k in done..extent {
                        sum = T::step(sum, row[k], column[k]);
                    }
                    done = extent;
                    chains.push(T::stored(sum));
                }
            }
        }
        Corners { left, right, chains }
    }

    /// The bits of row `i` of the product of `m` × `k` by `k` × `n` elements.
    ///
    /// A product of one row is a sum of products from left to right, one of one column a sum over interleaved lanes; along an
    /// axis of at most one element both are the chain.
    fn row(&self, i: usize, [m, k, n]: [usize; 3]) -> Vec<u64> {
        let left = &self.left[i * LARGEST..][..k];
        let columns = self.right.chunks(LARGEST).take(n).map(|column| &column[..k]);
        if k > 1 && n == 1 {
            columns.map(|column| T::stored(lanes(left, column)).to_bits()).collect()
        } else if k > 1 && m == 1 {
            let folded = |column: &[T]| products(left, column).reduce(T::plus).unwrap_or(T::ZERO);
            columns.map(|column| T::stored(folded(column)).to_bits()).collect()
        } else {
            let extent = EXTENTS.iter().position(|&e| e == k).expect("one of the extents");
            self.chains[extent][i * LARGEST..][..n]
                .iter()
                .map(|v| v.to_bits())
                .collect()
        }
    }

    fn left(&self, order: Order, m: usize, k: usize) -> Array2<T> {
        order.matrix([m, k], |i, k| self.left[i * LARGEST + k])
    }

    fn right(&self, order: Order, k: usize, n: usize) -> Array2<T> {
        order.matrix([k, n], |k, j| self.right[j * LARGEST + k])
    }

    /// Compares a product of factors in these orders, stored in the last of them.
    fn check(&self, found: ArrayView2<'_, T>, shape: [usize; 3], orders: [Order; 3]) {
        for (i, row) in found.rows().into_iter().enumerate() {
            let found: Vec<u64> = row.iter().map(|v| v.to_bits()).collect();
            assert_eq!(found, self.row(i, shape), "row {i} of {shape:?}, {orders:?}");
        }
    }
}

/// Some bits for each number.
fn noise(i: usize) -> u32 {
    let mixed = (i as u32).wrapping_mul(2_654_435_761);
    (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519)
}

fn products<T: Number>(left: &[T], right: &[T]) -> impl Iterator<Item = T::Sum> {
    left.iter().zip(right).map(|(&l, &r)| l.times(r))
}

/// The sum of a block of products: each lane from left to right, then halves of the lanes.
fn lanes<T: Number>(left: &[T], right: &[T]) -> T::Sum {
    let mut sums: Vec<T::Sum> = Vec::new();
    for (i, product) in products(left, right).enumerate() {
        match sums.get_mut(i % T::LANES) {
            Some(sum) => *sum = T::plus(*sum, product),
            None => sums.push(product),
        }
    }
    let mut half = T::LANES / 2;
    while half > 0 {
        for i in half..sums.len().min(2 * half) {
            sums[i - half] = T::plus(sums[i - half], sums[i]);
        }
        half /= 2;
    }
    sums[0]
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Order {
    Rows,
    Columns,
    /// Elements apart, of every second row and every third column.
    Apart,
    /// From the last row and column to the first.
    Reversed,
}

const ORDERS: [Order; 4] = [Order::Rows, Order::Columns, Order::Apart, Order::Reversed];

impl Order {
    /// Memory for such a matrix.
    fn memory<T: Number>(self, [rows, columns]: [usize; 2]) -> Array2<T> {
        let value = T::of(12_345);
        match self {
            Order::Rows | Order::Reversed => Array2::from_elem((rows, columns), value),
            Order::Columns => Array2::from_elem((rows, columns).f(), value),
            Order::Apart => Array2::from_elem((2 * rows, 3 * columns), value),
        }
    }

    fn view<T>(self, memory: &Array2<T>) -> ArrayView2<'_, T> {
        match self {
            Order::Rows | Order::Columns => memory.view(),
            Order::Apart => memory.slice(s![..;2, ..;3]),
            Order::Reversed => memory.slice(s![..;-1, ..;-1]),
        }
    }

    fn view_mut<T>(self, memory: &mut Array2<T>) -> ArrayViewMut2<'_, T> {
        match self {
            Order::Rows | Order::Columns => memory.view_mut(),
            Order::Apart => memory.slice_mut(s![..;2, ..;3]),
            Order::Reversed => memory.slice_mut(s![..;-1, ..;-1]),
        }
    }

    /// A matrix with these elements.
    fn matrix<T: Number>(self, shape: [usize; 2], of: impl Fn(usize, usize) -> T) -> Array2<T> {
        let mut memory = self.memory(shape);
        for ((i, j), element) in self.view_mut(&mut memory).indexed_iter_mut() {
            *element = of(i, j);
        }
        memory
    }
}

fn check<T: Number>() {
    let dtype = T::DTYPE;
    let kernel = jit::kernel(&format!(
        "kernel product(x: {dtype}[m, k], y: {dtype}[k, n]) {{ x @ y }}"
    ))
    .unwrap();
    let corners = Corners::<T>::new();
    let dense = [Order::Rows, Order::Columns];
    let mut triples = 0;
    for k in EXTENTS {
        let lefts = EXTENTS.map(|m| dense.map(|order| corners.left(order, m, k)));
        let rights = EXTENTS.map(|n| dense.map(|order| corners.right(order, k, n)));
        for (m, lefts) in EXTENTS.iter().copied().zip(&lefts) {
            for (n, rights) in EXTENTS.iter().copied().zip(&rights) {
                for (x_order, x) in dense.into_iter().zip(lefts) {
                    for (y_order, y) in dense.into_iter().zip(rights) {
                        let found: Array2<T> = kernel.call((x, y)).unwrap();
                        assert_eq!(found.dim(), (m, n));
                        corners.check(found.view(), [m, k, n], [x_order, y_order, Order::Rows]);
                    }
                }
                triples += 1;
                if triples % SAMPLED == 0 {
                    let drawn = noise(triples) as usize;
                    let orders = [0, 2, 4].map(|shift| ORDERS[drawn >> shift & 3]);
                    let (x, y) = (corners.left(orders[0], m, k), corners.right(orders[1], k, n));
                    let mut out = orders[2].memory([m, n]);
                    let mut target = orders[2].view_mut(&mut out);
                    kernel
                        .call_into((&orders[0].view(&x), &orders[1].view(&y)), &mut target)
                        .unwrap();
                    corners.check(target.view(), [m, k, n], orders);
                }
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident $t:ty;)*) => {$(
        #[test]
        fn $name() {
            check::<$t>();
        }
    )*};
}
tests! {
    of_f32 f32; of_f64 f64; of_f16 f16; of_bf16 bf16; of_bool bool;
    of_i8 i8; of_i16 i16; of_i32 i32; of_i64 i64;
    of_u8 u8; of_u16 u16; of_u32 u32; of_u64 u64;
}
