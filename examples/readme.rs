//! The example of the README, word for word.

use loopweave::prelude::*;
use ndarray::{Array1, Array2, array};

fn main() -> Result<(), Error> {
    let gelu = jit::func("fn gelu(x) { 0.5 * x * (1 + erf(x * 0.7071067811865476)) }")?;
    let y: Array1<f32> = gelu.call(&array![-1.0f32, 0.0, 1.0])?;
    println!("{y}");

    let hypot = jit::zip(|x, y| (x * x + y * y).sqrt())?; // traced once, compiled at the first call for each layout
    let d: Array2<f64> = hypot.call((&array![[3.0], [6.0]], &array![4.0, 8.0]))?; // broadcasts as NumPy does
    assert_eq!(d[[0, 0]], 5.0);

    let energy = jit::sum().of(|x| x * x).axis(-1);
    let e: Array1<f64> = energy.call(&d)?;
    println!("{e}\n{}", energy.report());
    Ok(())
}
