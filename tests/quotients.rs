//! Division by what stays the same for a whole row gives the bits of division, for every divisor and numerator.
//!
//! Loops may take a reciprocal and correct it; the numerators here are long enough rows for that. Beside random and edge values
//! they hold the hard ones: those whose quotient lies as near as can be to the middle between two numbers.

use loopweave::ir::testing::Rng;
use loopweave::prelude::*;
use ndarray::Array1;

/// Divisors per type; the arrays have a row of numerators for each.
const DIVISORS: usize = 8_000;
const NUMERATORS: usize = 1_021;

macro_rules! check {
    ($float:ident, $bits:ident, $significand:literal) => {{
        let divide = jit::zip(|x, by| x / by).unwrap();
        let mut rng = Rng::new(7);
        let exponents = 8 * size_of::<$float>() as u64 - 1 - $significand;
        let edges: Vec<$float> = [
            0.0,
            1.0,
            1.5,
            3.0,
            0.1,
            $float::MIN_POSITIVE,
            $float::EPSILON,
            $float::MAX,
        ]
        .into_iter()
        .chain([
            $float::INFINITY,
            $float::NAN,
            $float::from_bits(1),
            2.0 - $float::EPSILON,
        ])
        .flat_map(|x| [x, -x])
        .collect();
        for i in 0..DIVISORS {
            let any = |rng: &mut Rng| $float::from_bits(rng.bits() as $bits);
            // Of moderate size, where the reciprocal is used, three times out of four.
            let moderate = |rng: &mut Rng| {
                let x = any(rng);
                let middle = (1 << (exponents - 1)) - 1 + rng.bits() % 16 - 8;
                $float::from_bits(x.to_bits() & !($float::INFINITY.to_bits()) | (middle as $bits) << $significand)
            };
            let by = match i % 4 {
                _ if i < edges.len() => edges[i],
                0 => any(&mut rng),
                1 => $float::from_bits(moderate(&mut rng).to_bits() | ((1 << $significand) - 1 - (i as $bits & 7))),
                _ => moderate(&mut rng),
            };
            // The product of the divisor and the middle of two numbers, rounded to a number and its neighbours.
            let hard = |rng: &mut Rng| {
                let quotient = moderate(rng);
                let half = ($float::from_bits(quotient.to_bits() + 1) - quotient) / 2.0;
                let near = half.mul_add(by, quotient * by);
                $float::from_bits(near.to_bits().wrapping_add((rng.bits() % 3) as $bits).wrapping_sub(1))
            };
            let x: Array1<$float> = (0..NUMERATORS)
                .map(|j| match (i + j / 64) % 4 {
                    0 if j % 64 < edges.len() => edges[j % 64],
                    0 => any(&mut rng),
                    1 => moderate(&mut rng),
                    _ => hard(&mut rng),
                })
                .collect();
            let found: Array1<$float> = divide.call((&x, by)).unwrap();
            for (&x, &found) in x.iter().zip(&found) {
                let expected = x / by;
                assert!(
                    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                    "{x:e} / {by:e} is {expected:e}, not {found:e}"
                );
            }
        }
    }};
}

#[test]
fn of_f32() {
    check!(f32, u32, 23);
}

#[test]
fn of_f64() {
    check!(f64, u64, 52);
}
