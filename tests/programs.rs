//! Whole array programs of the kinds that users write, against the interpreter of nests, bit for bit, and against plain Rust in
//! `f64`, within a tolerance that each states.
//!
//! A difference from plain Rust is counted relative to `1 + |expected|`: the sums of these programs have terms of about 1.

mod support;

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use loopweave::jit::{ProgramBuilder, Slice};
use loopweave::prelude::*;
use loopweave::runtime::view::Arg;
use ndarray::{Array, Array1, Array2, Array3, Array4, ArrayD, ArrayView1, ArrayView2, Dimension, Ix1, IxDyn, arr0, s};

use support::{Caches, Engines, Lay, Strided, assert_same, interpret};

/// A program, its inputs in order (name, shape, and the range of the values), and the same in plain Rust.
struct Case {
    program: fn(&ProgramBuilder, Dtype),
    inputs: &'static [(&'static str, &'static [usize], f64, f64)],
    plain: fn(&[ArrayD<f64>]) -> Vec<ArrayD<f64>>,
    /// The largest difference from plain Rust, in `f32` and in `f64`; `None` where rounding decides the result.
    tolerance: [Option<f64>; 2],
}

impl Case {
    fn check(&self) {
        for (dtype, tolerance) in [F32, F64].into_iter().zip(self.tolerance) {
            let program = jit::program(|g| (self.program)(g, dtype)).unwrap();
            let engines = Engines::new(program.graph(), &Caches::default());
            for lay in [Lay::Contiguous, Lay::Strided, Lay::Reversed] {
                let case = format!("{dtype}, {lay:?}");
                let inputs: Vec<Strided> = self.inputs(dtype, lay);
                let bits = interpret(engines.speed(), &inputs);
                engines.check_code(&inputs, &bits, &case);
                let args: Vec<Box<dyn Arg + '_>> = inputs.iter().map(Strided::arg).collect();
                let names = self.inputs.iter().map(|input| input.0);
                // In another order than the program's.
                let named: Vec<(&str, &dyn Arg)> = names.zip(args.iter().map(AsRef::as_ref)).rev().collect();
                for threads in [1, 3] {
                    let out = program.threads(threads).unwrap().run_slice(&named).unwrap();
                    let results: Vec<_> = out.iter().map(|(_, array)| array.scalars()).collect();
                    assert_same(&results, &bits, &format!("{case}, {threads} threads"));
                }
                if let Some(tolerance) = tolerance {
                    self.compare(&inputs, &bits, tolerance, &case);
                }
            }
        }
    }

    fn inputs(&self, dtype: Dtype, lay: Lay) -> Vec<Strided> {
        let inputs = self.inputs.iter().enumerate();
        inputs
            .map(|(seed, &(_, shape, low, high))| {
                Strided::new(dtype, shape, lay, |i| {
                    let noise = ((i * 7919 + seed * 104_729 + 17) as u32).wrapping_mul(2_654_435_761) >> 8;
                    Scalar::from_f64(dtype, low + (high - low) * f64::from(noise) / f64::from(1 << 24))
                })
            })
            .collect()
    }

    fn compare(&self, inputs: &[Strided], bits: &[Vec<Scalar>], tolerance: f64, case: &str) {
        let plain: Vec<ArrayD<f64>> = inputs
            .iter()
            .zip(self.inputs)
            .map(|(input, (_, shape, ..))| {
                let values = input.scalars().iter().map(|s| s.as_f64()).collect();
                ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
            })
            .collect();
        let expected = (self.plain)(&plain);
        assert_eq!(bits.len(), expected.len(), "{case}: number of results");
        for (output, (found, expected)) in bits.iter().zip(&expected).enumerate() {
            assert_eq!(found.len(), expected.len(), "{case}: elements of result {output}");
            for (i, (found, &expected)) in found.iter().zip(expected.iter()).enumerate() {
                let difference = (found.as_f64() - expected).abs() / (1.0 + expected.abs());
                assert!(
                    difference <= tolerance,
                    "{case}: element {i} of result {output} is {found}, in plain Rust {expected}: off by {difference:e}"
                );
            }
        }
    }
}

/// The array with its number of axes in its type.
fn ranked<D: Dimension>(array: &ArrayD<f64>) -> Array<f64, D> {
    array.clone().into_dimensionality().unwrap()
}

/// The error function by its series without alternation, for the few arguments of these tests.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    sum * 2.0 / PI.sqrt() * (-x * x).exp()
}

fn gelu(x: Expr) -> Expr {
    0.5 * x * (1.0 + (x * FRAC_1_SQRT_2).erf())
}

fn plain_gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

#[test]
fn two_layer_perceptron() {
    Case {
        program: |g, dtype| {
            let x = g.input("x", dtype, 2);
            let (w1, b1) = (g.input("w1", dtype, 2), g.input("b1", dtype, 1));
            let (w2, b2) = (g.input("w2", dtype, 2), g.input("b2", dtype, 1));
            let hidden = (x.matmul(w1) + b1).map(gelu).named("hidden");
            g.output("y", hidden.matmul(w2) + b2);
        },
        inputs: &[
            ("x", &[19, 24], -1.0, 1.0),
            ("w1", &[24, 37], -0.5, 0.5),
            ("b1", &[37], -0.1, 0.1),
            ("w2", &[37, 10], -0.5, 0.5),
            ("b2", &[10], -0.1, 0.1),
        ],
        plain: |inputs| {
            let [x, w1, b1, w2, b2] = inputs else { panic!() };
            let (x, w1, w2): (Array2<f64>, Array2<f64>, Array2<f64>) = (ranked(x), ranked(w1), ranked(w2));
            let hidden: Array2<f64> = ranked(&(x.dot(&w1) + b1).mapv(plain_gelu));
            vec![hidden.dot(&w2).into_dyn() + b2]
        },
        tolerance: [Some(2e-6), Some(1e-14)],
    }
    .check();
}

fn softmax(x: jit::Array<'_>) -> jit::Array<'_> {
    let e = (x - x.max_keepdims(-1)).exp();
    e / e.sum_keepdims(-1)
}

#[test]
fn attention() {
    Case {
        program: |g, dtype| {
            let (q, k, v) = (g.input("q", dtype, 3), g.input("k", dtype, 3), g.input("v", dtype, 3));
            let mask = g.input("mask", dtype, 2);
            let scores = q.matmul(k.swap_axes(-1, -2)) * (1.0 / 12f64.sqrt()) + mask;
            g.output("y", softmax(scores).matmul(v));
        },
        inputs: &[
            ("q", &[2, 9, 12], -2.0, 2.0),
            ("k", &[2, 14, 12], -2.0, 2.0),
            ("v", &[2, 14, 7], -1.0, 1.0),
            ("mask", &[9, 14], -4.0, 0.0),
        ],
        plain: |inputs| {
            let [q, k, v, mask] = inputs else { panic!() };
            let (q, k, v): (Array3<f64>, Array3<f64>, Array3<f64>) = (ranked(q), ranked(k), ranked(v));
            let mask: Array2<f64> = ranked(mask);
            let mut y = Array3::<f64>::zeros((2, 9, 7));
            for b in 0..2 {
                let (q, k): (ArrayView2<f64>, ArrayView2<f64>) = (q.slice(s![b, .., ..]), k.slice(s![b, .., ..]));
                let scores = q.dot(&k.t()) / 12f64.sqrt() + &mask;
                for (i, row) in scores.rows().into_iter().enumerate() {
                    let top = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                    let e = row.mapv(|s| (s - top).exp());
                    let v: ArrayView2<f64> = v.slice(s![b, .., ..]);
                    let mixed: Array1<f64> = e.dot(&v) / e.sum();
                    y.slice_mut(s![b, i, ..]).assign(&mixed);
                }
            }
            vec![y.into_dyn()]
        },
        tolerance: [Some(2e-6), Some(1e-14)],
    }
    .check();
}

#[test]
fn layer_norm() {
    Case {
        program: |g, dtype| {
            let x = g.input("x", dtype, 2);
            let (gamma, beta) = (g.input("gamma", dtype, 1), g.input("beta", dtype, 1));
            let centred = x - x.mean_keepdims(-1);
            let variance = (centred * centred).mean_keepdims(-1);
            g.output("y", centred / (variance + 1e-5).sqrt() * gamma + beta);
        },
        inputs: &[
            ("x", &[11, 45], -3.0, 5.0),
            ("gamma", &[45], 0.5, 1.5),
            ("beta", &[45], -1.0, 1.0),
        ],
        plain: |inputs| {
            let [x, gamma, beta] = inputs else { panic!() };
            let x: Array2<f64> = ranked(x);
            let mut y = x.to_owned();
            for mut row in y.rows_mut() {
                let mean = row.sum() / 45.0;
                let variance = row.mapv(|v| (v - mean) * (v - mean)).sum() / 45.0;
                row.mapv_inplace(|v| (v - mean) / (variance + 1e-5).sqrt());
            }
            vec![y.into_dyn() * gamma + beta]
        },
        tolerance: [Some(2e-6), Some(1e-14)],
    }
    .check();
}

#[test]
fn batch_norm_inference() {
    Case {
        program: |g, dtype| {
            let x = g.input("x", dtype, 4);
            let per_channel = |name| g.input(name, dtype, 1).slice((.., Slice::New, Slice::New));
            let [mean, variance] = ["mean", "variance"].map(per_channel);
            let [gamma, beta] = ["gamma", "beta"].map(per_channel);
            g.output("y", ((x - mean) / (variance + 1e-3).sqrt() * gamma + beta).relu());
        },
        inputs: &[
            ("x", &[2, 5, 6, 7], -2.0, 2.0),
            ("mean", &[5], -0.5, 0.5),
            ("variance", &[5], 0.5, 2.0),
            ("gamma", &[5], 0.5, 1.5),
            ("beta", &[5], -0.5, 0.5),
        ],
        plain: |inputs| {
            let x: Array4<f64> = ranked(&inputs[0]);
            let of = |input: usize, c: usize| inputs[input][[c]];
            let y = Array4::from_shape_fn(x.dim(), |(n, c, h, w)| {
                let normal = (x[[n, c, h, w]] - of(1, c)) / (of(2, c) + 1e-3).sqrt();
                (normal * of(3, c) + of(4, c)).max(0.0)
            });
            vec![y.into_dyn()]
        },
        tolerance: [Some(1e-6), Some(1e-15)],
    }
    .check();
}

#[test]
fn k_means_distances() {
    Case {
        program: |g, dtype| {
            let (points, centres) = (g.input("points", dtype, 2), g.input("centres", dtype, 2));
            let offset = points.expand_dims(1) - centres;
            let distances = (offset * offset).sum(-1);
            g.output("nearest", distances.argmin(-1));
            g.output("inertia", distances.min(-1).sum(..));
            g.output("distances", distances);
        },
        inputs: &[("points", &[40, 3], -1.0, 1.0), ("centres", &[6, 3], -1.0, 1.0)],
        plain: |inputs| {
            let (points, centres): (Array2<f64>, Array2<f64>) = (ranked(&inputs[0]), ranked(&inputs[1]));
            let distances = Array2::from_shape_fn((40, 6), |(i, j)| {
                let offset = &points.row(i) - &centres.row(j);
                offset.dot(&offset)
            });
            let least = |row: ArrayView1<f64>| {
                let first = (0, row[0]);
                let smaller = |best: (usize, f64), (i, &d): (usize, &f64)| if d < best.1 { (i, d) } else { best };
                row.iter().enumerate().fold(first, smaller)
            };
            let least: Vec<(usize, f64)> = distances.rows().into_iter().map(least).collect();
            let nearest = least.iter().map(|&(i, _)| i as f64).collect();
            let inertia = least.iter().map(|&(_, d)| d).sum();
            vec![
                ArrayD::from_shape_vec(IxDyn(&[40]), nearest).unwrap(),
                arr0(inertia).into_dyn(),
                distances.into_dyn(),
            ]
        },
        tolerance: [Some(1e-6), Some(1e-15)],
    }
    .check();
}

#[test]
fn black_scholes() {
    Case {
        program: |g, dtype| {
            let [s, k, t, r, v] = ["spot", "strike", "years", "rate", "volatility"].map(|name| g.input(name, dtype, 1));
            let (call, put) = g.map([s, k, t, r, v], |[s, k, t, r, v]| {
                let normal = |x: Expr| 0.5 * (1.0 + (x * FRAC_1_SQRT_2).erf());
                let spread = v * t.sqrt();
                let d1 = ((s / k).ln() + (r + 0.5 * v * v) * t) / spread;
                let d2 = d1 - spread;
                let discounted = k * (-r * t).exp();
                let call = s * normal(d1) - discounted * normal(d2);
                (call, discounted * normal(-d2) - s * normal(-d1))
            });
            g.output("call", call);
            g.output("put", put);
        },
        inputs: &[
            ("spot", &[101], 80.0, 120.0),
            ("strike", &[101], 80.0, 120.0),
            ("years", &[101], 0.25, 2.0),
            ("rate", &[101], 0.0, 0.05),
            ("volatility", &[101], 0.1, 0.5),
        ],
        plain: |inputs| {
            let price = |i: usize| {
                let [s, k, t, r, v] = [0, 1, 2, 3, 4].map(|input| inputs[input][[i]]);
                let normal = |x: f64| 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
                let d1 = ((s / k).ln() + (r + 0.5 * v * v) * t) / (v * t.sqrt());
                let d2 = d1 - v * t.sqrt();
                let discounted = k * (-r * t).exp();
                let call = s * normal(d1) - discounted * normal(d2);
                (call, discounted * normal(-d2) - s * normal(-d1))
            };
            let (call, put): (Vec<f64>, Vec<f64>) = (0..101).map(price).unzip();
            [call, put].map(|v| Array1::from(v).into_dyn()).into()
        },
        // Prices are differences of numbers near 100.
        tolerance: [Some(3e-5), Some(1e-13)],
    }
    .check();
}

const DIAMETER_KM: f64 = 12742.0;

#[test]
fn haversine() {
    Case {
        program: |g, dtype| {
            let [lat1, lon1, lat2, lon2] = ["lat1", "lon1", "lat2", "lon2"].map(|name| g.input(name, dtype, 1));
            let distance = g.map([lat1, lon1, lat2, lon2], |[lat1, lon1, lat2, lon2]| {
                let radians = |x: Expr| x * (PI / 180.0);
                let half_sine = |x: Expr| (radians(x) * 0.5).sin();
                let (a, b) = (half_sine(lat2 - lat1), half_sine(lon2 - lon1));
                let h = (a * a + radians(lat1).cos() * radians(lat2).cos() * (b * b)).clamp(0, 1);
                DIAMETER_KM * h.sqrt().asin()
            });
            g.output("km", distance);
        },
        inputs: &[
            ("lat1", &[77], -90.0, 90.0),
            ("lon1", &[77], -180.0, 180.0),
            ("lat2", &[77], -90.0, 90.0),
            ("lon2", &[77], -180.0, 180.0),
        ],
        plain: |inputs| {
            let km = |i: usize| {
                let [lat1, lon1, lat2, lon2] = [0, 1, 2, 3].map(|input| inputs[input][[i]].to_radians());
                let (a, b) = (((lat2 - lat1) / 2.0).sin(), ((lon2 - lon1) / 2.0).sin());
                DIAMETER_KM * (a * a + lat1.cos() * lat2.cos() * b * b).min(1.0).sqrt().asin()
            };
            vec![(0..77).map(km).collect::<Array1<f64>>().into_dyn()]
        },
        // Near the antipode the arcsine takes a small difference from 1 to its square root.
        tolerance: [Some(1e-5), Some(1e-13)],
    }
    .check();
}

#[test]
fn n_body_step() {
    Case {
        program: |g, dtype| {
            let (position, velocity) = (g.input("position", dtype, 2), g.input("velocity", dtype, 2));
            let (mass, dt) = (g.input("mass", dtype, 1), g.input("dt", dtype, 0));
            // From body i to body j, at [i, j].
            let offset = position - position.expand_dims(1);
            let squared = (offset * offset).sum(-1) + 1e-2;
            let pull = mass / (squared * squared.sqrt());
            let acceleration = (offset * pull.expand_dims(-1)).sum(1);
            let velocity = velocity + dt * acceleration;
            g.output("position", position + dt * velocity);
            g.output("velocity", velocity);
        },
        inputs: &[
            ("position", &[13, 3], -1.0, 1.0),
            ("velocity", &[13, 3], -0.1, 0.1),
            ("mass", &[13], 0.1, 1.0),
            ("dt", &[], 0.01, 0.02),
        ],
        plain: |inputs| {
            let (position, velocity): (Array2<f64>, Array2<f64>) = (ranked(&inputs[0]), ranked(&inputs[1]));
            let (mass, dt) = (ranked::<Ix1>(&inputs[2]), inputs[3].first().copied().unwrap());
            let mut velocity = velocity.to_owned();
            for i in 0..13 {
                for j in 0..13 {
                    let offset = &position.row(j) - &position.row(i);
                    let squared = offset.dot(&offset) + 1e-2;
                    velocity
                        .row_mut(i)
                        .scaled_add(dt * mass[j] / (squared * squared.sqrt()), &offset);
                }
            }
            vec![(&position + &(dt * &velocity)).into_dyn(), velocity.into_dyn()]
        },
        tolerance: [Some(2e-6), Some(1e-14)],
    }
    .check();
}

/// The steps until |z| exceeds 2, of 24.
#[test]
fn mandelbrot() {
    Case {
        program: |g, dtype| {
            let (re, im) = (g.input("re", dtype, 1), g.input("im", dtype, 1));
            let steps = im.expand_dims(-1).zip(re, |ci, cr| {
                let inside = |zr: Expr, zi: Expr| (zr * zr + zi * zi).le(4).cast(I32);
                let (mut zr, mut zi) = (cr, ci);
                let mut steps = inside(zr, zi);
                for _ in 1..24 {
                    // An escaped z grows to infinity and NaN, neither of which is inside.
                    (zr, zi) = (zr * zr - zi * zi + cr, 2 * zr * zi + ci);
                    steps = steps + inside(zr, zi);
                }
                steps
            });
            g.output("steps", steps);
        },
        inputs: &[("re", &[31], -2.0, 1.0), ("im", &[22], -1.2, 1.2)],
        plain: |inputs| {
            let steps = |(i, j)| {
                let (cr, ci) = (inputs[0][[j]], inputs[1][[i]]);
                let (mut zr, mut zi, mut steps) = (0.0, 0.0, 0.0);
                for _ in 0..24 {
                    (zr, zi) = (zr * zr - zi * zi + cr, 2.0 * zr * zi + ci);
                    steps += f64::from(zr * zr + zi * zi <= 4.0);
                }
                steps
            };
            vec![Array2::from_shape_fn((22, 31), steps).into_dyn()]
        },
        // The iteration is chaotic, and each operation the same in both: equal in `f64`, and not comparable in `f32`.
        tolerance: [None, Some(0.0)],
    }
    .check();
}

#[test]
fn logistic_regression_step() {
    Case {
        program: |g, dtype| {
            let (x, y, w) = (g.input("x", dtype, 2), g.input("y", dtype, 1), g.input("w", dtype, 1));
            let rate = g.input("rate", dtype, 0);
            let p = x.matmul(w).sigmoid().named("p");
            let gradient = (x * (p - y).expand_dims(-1)).mean(0);
            g.output("w", w - rate * gradient);
            g.output("loss", (-(y * p.ln() + (1.0 - y) * (1.0 - p).ln())).mean(..));
        },
        inputs: &[
            ("x", &[50, 8], -1.0, 1.0),
            ("y", &[50], 0.0, 1.0),
            ("w", &[8], -1.0, 1.0),
            ("rate", &[], 0.1, 0.2),
        ],
        plain: |inputs| {
            let x: Array2<f64> = ranked(&inputs[0]);
            let (y, w): (Array1<f64>, Array1<f64>) = (ranked(&inputs[1]), ranked(&inputs[2]));
            let p = x.dot(&w).mapv(|s| 1.0 / (1.0 + (-s).exp()));
            let gradient = x.t().dot(&(&p - &y)) / 50.0;
            let loss = |(p, y): (&f64, &f64)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln());
            let loss = p.iter().zip(&y).map(loss).sum::<f64>() / 50.0;
            let rate = inputs[3].first().copied().unwrap();
            vec![(&w - &(rate * &gradient)).into_dyn(), arr0(loss).into_dyn()]
        },
        tolerance: [Some(1e-6), Some(1e-14)],
    }
    .check();
}
