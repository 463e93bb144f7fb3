//! Division by what stays the same for a whole row gives the bits of division, for every divisor and numerator; and integers are
//! divided as Rust divides them, in whichever vectors.
//!
//! Loops may take a reciprocal and correct it; the numerators here are long enough rows for that. Beside random and edge values
//! they hold the hard ones: those whose quotient lies as near as can be to the middle between two numbers.

use loopweave::ir::testing::Rng;
use loopweave::prelude::*;
use loopweave::target::Target;
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

/// Integers that stand for all of a type: both ends, all around zero and the powers of two, and others.
macro_rules! integers {
    ($int:ident) => {{
        let mut rng = Rng::new(3);
        let near = |at: $int| (0..5).map(move |i| at.wrapping_add(i).wrapping_sub(2));
        let powers = (0..$int::BITS).flat_map(|bit| [(1 as $int) << bit, ((1 as $int) << bit).wrapping_neg()]);
        let mut all: Vec<$int> = near(0).chain(powers.flat_map(near)).collect();
        // Of every magnitude, and of both signs.
        let random = (0..300).map(|i| (i, (rng.bits() >> (i % 60)) as $int));
        all.extend(random.map(|(i, x)| if i % 7 < 3 { x.wrapping_neg() } else { x }));
        if $int::BITS == 8 {
            all.extend((0..=255u8).map(|x| x as $int));
        }
        all.sort_unstable();
        all.dedup();
        all
    }};
}

/// Each of them by each, and by constants, and multiples and their neighbours, in the code of every emitter.
macro_rules! check_integers {
    ($int:ident) => {{
        let numbers = integers!($int);
        // In i128 nothing overflows.
        let expected = |x: $int, y: $int| {
            let (x, y) = (x as i128, y as i128);
            if y == 0 {
                return [0; 4];
            }
            [x / y, x % y, x.div_euclid(y), x.rem_euclid(y)].map(|v| v as $int)
        };
        // Rounded down, from rounded so that the remainder is not negative.
        let expected = |x: $int, y: $int| {
            let [quotient, rest, floor, positive] = expected(x, y);
            let away = (y as i128) < 0 && positive != 0;
            match away {
                true => [quotient, rest, floor.wrapping_sub(1), positive.wrapping_add(y)],
                false => [quotient, rest, floor, positive],
            }
        };
        let near = |by: $int| {
            let multiples = numbers.iter().map(move |&q| q.wrapping_mul(by));
            let near = multiples.flat_map(|m| [m.wrapping_sub(1), m, m.wrapping_add(1)]);
            let all: Vec<$int> = numbers.iter().copied().chain(near).collect();
            Array1::from(all)
        };
        for target in ["native", "x86-64-v3", "simd128"] {
            let target = Target::parse(target).unwrap();
            if target.name() == "x86-64-v3" && Target::native().unwrap().wide_bytes() == 0 {
                continue;
            }
            let names = ["trunc_div(x, Y)", "x % Y", "floor_div(x, Y)", "floor_mod(x, Y)"];
            let func = |text: String| jit::func(&*text).unwrap().target(target.clone());
            let divide = names.map(|name| func(name.replace('Y', "y")));
            for (i, &y) in numbers.iter().enumerate() {
                let x = near(y);
                let ys = Array1::from_elem(x.len(), y);
                let mut kernels = vec![
                    divide
                        .each_ref()
                        .map(|kernel| (kernel.call((&x, &ys)).unwrap(), "an array")),
                ];
                if i % 23 == 0 {
                    let constants =
                        names.map(|name| func(name.replace('Y', &format!("({y} as {})", stringify!($int)))));
                    kernels.push(constants.map(|kernel| (kernel.call(&x).unwrap(), "a constant")));
                }
                for found in kernels {
                    for (at, &x) in x.iter().enumerate() {
                        let all: [$int; 4] = found.each_ref().map(|(values, _): &(Array1<$int>, _)| values[at]);
                        assert_eq!(all, expected(x, y), "{x} by {}, {y}, for {}", found[0].1, target.name());
                    }
                }
            }
        }
    }};
}

#[test]
fn of_bytes() {
    check_integers!(i8);
    check_integers!(u8);
}

#[test]
fn of_words() {
    check_integers!(i16);
    check_integers!(u16);
}

#[test]
fn of_i32() {
    check_integers!(i32);
}

#[test]
fn of_u32() {
    check_integers!(u32);
}

#[test]
fn of_64_bits() {
    check_integers!(i64);
    check_integers!(u64);
}
