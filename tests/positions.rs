//! `argmin` and `argmax` on every target: the first of equal extrema, or the first NaN, wherever it stands.

use loopweave::ir::Element;
use loopweave::ir::testing::Rng;
use loopweave::jit::{self, Kernel};
use loopweave::runtime::array::AnyArray;
use loopweave::target::Target;
use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayView2, s};

/// Elements: around vectors, lanes and blocks.
const SIZES: [usize; 15] = [1, 2, 7, 16, 17, 31, 64, 65, 127, 130, 1023, 4096, 4097, 8200, 20_000];

const ORDERS: [&str; 2] = ["argmin", "argmax"];

fn targets() -> impl Iterator<Item = Target> {
    let targets = ["native", "simd128", "x86-64-v3"].map(|name| Target::parse(name).unwrap());
    targets.into_iter().filter(Target::runs_here)
}

#[test]
fn floats() {
    everywhere(|bits| (bits % 1000) as f32, &[f32::NAN, f32::INFINITY, -f32::INFINITY]);
    everywhere(|bits| (bits % 1000) as f64, &[f64::NAN, f64::INFINITY, -f64::INFINITY]);
    let special = [half::f16::NAN, half::f16::INFINITY, half::f16::NEG_INFINITY];
    everywhere(|bits| half::f16::from_f32((bits % 1000) as f32), &special);
}

#[test]
fn integers() {
    everywhere(|bits| bits as i32 % 1000, &[i32::MIN, i32::MAX]);
    everywhere(|bits| bits as i64 % 1000, &[i64::MIN, i64::MAX]);
    everywhere(|bits| bits as u32 % 1000 + 1, &[0, u32::MAX]);
    everywhere(|bits| bits % 1000 + 1, &[0, u64::MAX]);
    everywhere(|bits| bits as i16 % 1000, &[i16::MIN, i16::MAX]);
    everywhere(|bits| bits as u8 % 100 + 1, &[0, u8::MAX]);
}

/// Zeros of either sign are equal, and an array may hold nothing but the worst value there is.
#[test]
fn equal_elements() {
    for order in ORDERS {
        for target in targets() {
            let kernel = kernel::<f32>(order, "", 1, &target);
            for n in SIZES {
                let zeros = Array1::from_shape_fn(n, |i| if i % 3 == 1 { 0.0 } else { -0.0f32 });
                for x in [
                    zeros,
                    Array1::from_elem(n, f32::INFINITY),
                    Array1::from_elem(n, -f32::INFINITY),
                ] {
                    let found: ArrayD<i64> = kernel.call(&x).unwrap();
                    assert_eq!(found.sum(), 0, "{order} of {n} for {}", target.name());
                }
            }
        }
    }
}

/// What is sought is computed before it is compared, and other results go along.
#[test]
fn functions_of_elements() {
    for target in targets() {
        let bodies = [
            "argmax(exp(x) * y)",
            "(argmin(x - y), max(x - y))",
            "argmax(x < y)",
            "argmax(x) + argmin(y)",
        ];
        for body in bodies {
            let kernel = |target: &Target| {
                let kernel = jit::kernel(&format!("kernel k(x: f32[n], y: f32[n]) {{ {body} }}")).unwrap();
                kernel.target(target.clone())
            };
            let (found, expected) = (kernel(&target), kernel(&Target::parse("simd128").unwrap()));
            let mut rng = Rng::new(3);
            for n in SIZES {
                let [x, y] =
                    [(); 2].map(|()| Array1::from_shape_simple_fn(n, || (rng.bits() % 512) as f32 / 64.0 - 4.0));
                let call = |kernel: &Kernel| -> Vec<AnyArray> { kernel.call((&x, &y)).unwrap() };
                for (found, expected) in call(&found).iter().zip(&call(&expected)) {
                    let same = found.scalars().into_iter().zip(expected.scalars());
                    assert!(
                        same.into_iter().all(|(a, b)| a.is_same(b)),
                        "{body} of {n} for {}",
                        target.name()
                    );
                }
            }
        }
    }
}

/// Parts on several threads meet in the first position.
#[test]
fn several_threads() {
    let mut rng = Rng::new(5);
    let mut x = Array1::from_shape_simple_fn(1 << 20, || (rng.bits() % 1000) as f32);
    for order in ORDERS {
        let kernel = kernel::<f32>(order, "", 1, &Target::native().unwrap())
            .threads(3)
            .unwrap();
        for at in [1 << 19, 700_000, (1 << 20) - 1, 3] {
            for special in [f32::INFINITY, -f32::INFINITY, f32::NAN] {
                let before = std::mem::replace(&mut x[at], special);
                let found: ArrayD<i64> = kernel.call(&x).unwrap();
                assert_eq!(found.sum(), first(order, x.view()), "{order} with {special} at {at}");
                x[at] = before;
            }
        }
    }
}

/// Values in which there are ties, with some special ones in many places.
fn everywhere<T: Element + PartialOrd + Default>(value: fn(u64) -> T, special: &[T]) {
    for order in ORDERS {
        for target in targets() {
            let whole = kernel::<T>(order, "", 1, &target);
            let last = kernel::<T>(order, ", axis = -1", 2, &target);
            let outer = kernel::<T>(order, ", axis = 0", 2, &target);
            let mut rng = Rng::new(11);
            for n in SIZES {
                let mut x = Array1::from_shape_simple_fn(n, || value(rng.bits()));
                let what = format!("{order} of {n} {} for {}", T::DTYPE, target.name());
                for round in 0..12 {
                    let found: ArrayD<i64> = whole.call(&x).unwrap();
                    assert_eq!(found.sum(), first(order, x.view()), "{what}, round {round}");
                    // One more special value, each time in another place.
                    x[(n * 5 / 16 + round * 1237) % n] = special[round % special.len()];
                }
                for every in [-1, 2, -3] {
                    let strided = x.slice(s![..;every]);
                    let found: ArrayD<i64> = whole.call(strided).unwrap();
                    assert_eq!(found.sum(), first(order, strided), "{what}, every {every}");
                }
                // Rows of an array, and columns: side by side, few and many, and of an array in the other order.
                for rows in [1, 3, 21] {
                    let rows = Array2::from_shape_fn((rows, n), |(row, i)| x[(i + row * 5) % n]);
                    let columns = rows.t().as_standard_layout().into_owned();
                    for x in [rows.view(), columns.t()] {
                        let found: ArrayD<i64> = last.call(x).unwrap();
                        assert_eq!(
                            found.into_iter().collect::<Vec<_>>(),
                            firsts(order, x),
                            "{what}, last axis"
                        );
                        let found: ArrayD<i64> = outer.call(x.t()).unwrap();
                        assert_eq!(
                            found.into_iter().collect::<Vec<_>>(),
                            firsts(order, x),
                            "{what}, first axis"
                        );
                    }
                }
            }
        }
    }
}

/// Of each row.
fn firsts<T: PartialOrd>(order: &str, x: ArrayView2<'_, T>) -> Vec<i64> {
    x.rows().into_iter().map(|row| first(order, row)).collect()
}

fn kernel<T: Element>(order: &str, axis: &str, rank: usize, target: &Target) -> Kernel {
    let axes = &["n", "m"][..rank];
    let text = format!("kernel k(x: {}[{}]) {{ {order}(x{axis}) }}", T::DTYPE, axes.join(", "));
    jit::kernel(&text).unwrap().target(target.clone())
}

/// The position of the first NaN, or of the first extremum.
fn first<T: PartialOrd>(order: &str, x: ArrayView1<'_, T>) -> i64 {
    let mut best = 0;
    for (i, value) in x.iter().enumerate() {
        let before = &x[best];
        let is_number = before.partial_cmp(before).is_some();
        let no_better = if order == "argmax" {
            value <= before
        } else {
            value >= before
        };
        if is_number && !no_better {
            best = i;
        }
    }
    best as i64
}
