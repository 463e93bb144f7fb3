//! Printing of arrays: expectation rows, and character for character against NumPy itself.
//!
//! The comparison with NumPy needs a `python3` that has NumPy 2.3 or later (where the printing of floats last changed). It
//! says so and passes without one, except where the environment has `CI=true`.

use std::io::Write;
use std::process::{Command, Stdio};

use loopweave::ir::testing::Rng;
use loopweave::{AnyArray, Dtype, Scalar};
use ndarray::{ArrayD, IxDyn};

/// An array of a dtype from scalars of it.
fn array(dtype: Dtype, shape: &[usize], values: &[Scalar]) -> AnyArray {
    macro_rules! of {
        ($($variant:ident $t:ty;)*) => {
            match dtype {
                $(Dtype::$variant => {
                    let values = values.iter().map(|v| loopweave::ir::Element::from_bits(v.bits())).collect();
                    AnyArray::from(ArrayD::<$t>::from_shape_vec(IxDyn(shape), values).unwrap())
                })*
            }
        };
    }
    of! {
        Bool bool; I8 i8; I16 i16; I32 i32; I64 i64; U8 u8; U16 u16; U32 u32; U64 u64;
        F16 half::f16; Bf16 half::bf16; F32 f32; F64 f64;
    }
}

fn floats(dtype: Dtype, shape: &[usize], values: &[f64]) -> AnyArray {
    let values: Vec<Scalar> = values.iter().map(|&v| Scalar::from_f64(dtype, v)).collect();
    array(dtype, shape, &values)
}

fn integers(dtype: Dtype, shape: &[usize]) -> AnyArray {
    let count = shape.iter().product::<usize>() as i128;
    let values: Vec<Scalar> = (0..count).map(|v| Scalar::from_i128(dtype, v)).collect();
    array(dtype, shape, &values)
}

#[test]
fn rows() {
    use Dtype::{Bf16, Bool, F16, F32, F64, I8, I64, U64};
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    #[rustfmt::skip]
    let rows: Vec<(AnyArray, &str)> = vec![
        // 0-d: a scalar.
        (floats(F64, &[], &[1.0]), "1.0"),
        (floats(F64, &[], &[-0.0]), "-0.0"),
        (floats(F64, &[], &[0.1 + 0.2]), "0.30000000000000004"),
        (floats(F64, &[], &[1e16]), "1e+16"),
        (floats(F64, &[], &[9999999999999998.0]), "9999999999999998.0"),
        (floats(F64, &[], &[1.5e-5]), "1.5e-05"),
        (floats(F64, &[], &[1e300]), "1e+300"),
        (floats(F32, &[], &[999999.0]), "999999.0"),
        (floats(F32, &[], &[1e6]), "1e+06"),
        (floats(F16, &[], &[65504.0]), "6.55e+04"),
        (floats(F64, &[], &[nan]), "nan"),
        (floats(F64, &[], &[-inf]), "-inf"),
        (floats(Bool, &[], &[1.0]), "True"),
        (floats(I8, &[], &[-128.0]), "-128"),
        // Empty: whatever the rank.
        (floats(F64, &[0], &[]), "[]"),
        (floats(F64, &[2, 0, 3], &[]), "[]"),
        // One format for all.
        (floats(F64, &[3], &[1.0, 2.5, -3.0]), "[ 1.   2.5 -3. ]"),
        (floats(F64, &[2], &[0.1, 1.0 / 3.0]), "[0.1        0.33333333]"),
        (floats(F32, &[2], &[0.1, 1.0 / 3.0]), "[0.1        0.33333334]"),
        (floats(F64, &[2], &[0.001953125, 1.0]), "[0.00195312 1.        ]"),
        (floats(F64, &[3], &[nan, inf, 1.0]), "[nan inf  1.]"),
        (floats(F64, &[3], &[nan, -inf, 1.25]), "[ nan -inf 1.25]"),
        (floats(F64, &[2], &[-inf, nan]), "[-inf  nan]"),
        (floats(F64, &[2], &[1e8, 1.0]), "[1.e+08 1.e+00]"),
        (floats(F64, &[2], &[1e-5, 0.0]), "[1.e-05 0.e+00]"),
        (floats(F64, &[2], &[1e-200, -1.5e100]), "[ 1.0e-200 -1.5e+100]"),
        (floats(F64, &[2], &[1001.0, 1.0]), "[1.001e+03 1.000e+00]"),
        (floats(F64, &[2], &[1000.0, 1.0]), "[1000.    1.]"),
        (floats(F32, &[2], &[0.3, 1.2345678901e-12]), "[3.0000001e-01 1.2345679e-12]"),
        (floats(F16, &[2], &[0.1, 1001.0]), "[9.998e-02 1.001e+03]"),
        (floats(Bf16, &[3], &[1.0, 0.1, -2.5]), "[ 1.   0.1 -2.5]"),
        (floats(Bf16, &[2], &[100.0, 3.140625]), "[1.00e+02 3.14e+00]"),
        (floats(Bool, &[2, 2], &[1.0, 0.0, 0.0, 1.0]), "[[ True False]\n [False  True]]"),
        (floats(I8, &[3], &[-128.0, 7.0, 10.0]), "[-128    7   10]"),
        (array(U64, &[2], &[Scalar::from(u64::MAX), Scalar::from(0u64)]), "[18446744073709551615                    0]"),
        // Rows, blocks, long lines, corners.
        (integers(I64, &[2, 3]), "[[0 1 2]\n [3 4 5]]"),
        (integers(I64, &[2, 2, 2]), "[[[0 1]\n  [2 3]]\n\n [[4 5]\n  [6 7]]]"),
        (integers(I64, &[2, 1, 1, 2]), "[[[[0 1]]]\n\n\n [[[2 3]]]]"),
        (integers(I64, &[30]), "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n 24 25 26 27 28 29]"),
        (integers(I64, &[1001]), "[   0    1    2 ...  998  999 1000]"),
        (integers(I64, &[1000, 2]), "[[   0    1]\n [   2    3]\n [   4    5]\n ...\n [1994 1995]\n [1996 1997]\n [1998 1999]]"),
        (integers(I64, &[7, 200]), "[[   0    1    2 ...  197  198  199]\n [ 200  201  202 ...  397  398  399]\n [ 400  401  402 ...  597  598  599]\n ...\n [ 800  801  802 ...  997  998  999]\n [1000 1001 1002 ... 1197 1198 1199]\n [1200 1201 1202 ... 1397 1398 1399]]"),
    ];
    for (array, expected) in rows {
        assert_eq!(array.to_string(), expected, "{array:?}");
    }
}

#[test]
fn order_in_memory_does_not_show() {
    let c = integers(Dtype::I64, &[3, 4]);
    let AnyArray::I64(a) = &c else {
        unreachable!("made as i64")
    };
    let mut f = ArrayD::zeros(ndarray::ShapeBuilder::f(IxDyn(&[3, 4])));
    f.assign(a);
    assert_eq!(AnyArray::from(f).to_string(), c.to_string());
}

/// Every bf16 prints the fewest digits that bring it back.
#[test]
fn shortest_bf16() {
    for bits in 0..=u16::MAX {
        let value = Scalar::from(half::bf16::from_bits(bits));
        let text = array(Dtype::Bf16, &[], &[value]).to_string();
        let back = Scalar::from_f64(Dtype::Bf16, text.parse().unwrap());
        assert!(back.is_same(value), "{bits:#x} prints as {text} = {back}");
        let mantissa = text.split('e').next().unwrap();
        let digits = mantissa.trim_start_matches(['-', '0', '.']).replace('.', "");
        let places = digits.trim_end_matches('0').len();
        if value.as_f64().is_finite() && places > 1 {
            let shorter = format!("{:.*e}", places - 2, value.as_f64());
            let back = Scalar::from_f64(Dtype::Bf16, shorter.parse().unwrap());
            assert!(
                !back.is_same(value),
                "{bits:#x} prints as {text}, but {shorter} is as good"
            );
        }
    }
}

/// Reads lines of dtype, shape and bytes; writes each array as it prints, then a record separator. With the shape `each`,
/// it writes the elements as scalars.
const NUMPY: &str = r"
import sys
try:
    import numpy as np
    assert np.lib.NumpyVersion(np.__version__) >= '2.3.0'
except Exception as error:
    sys.exit(77)
out = []
for line in sys.stdin:
    dtype, shape, data = line.split(' ')
    values = np.frombuffer(bytes.fromhex(data), dtype)
    if shape == 'each':
        out.append('\n'.join(str(v) for v in values))
    else:
        out.append(str(values.reshape(eval(shape))))
sys.stdout.write('\x1e'.join(out))
";

/// What NumPy prints for these lines; `None` where there is no NumPy.
fn numpy(lines: String) -> Option<Vec<String>> {
    let missing = || {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "CI needs a python3 with NumPy 2.3 or later"
        );
        eprintln!("skipped: no python3 with NumPy 2.3 or later");
        None
    };
    let python = std::env::var("LOOPWEAVE_PYTHON").unwrap_or_else(|_| String::from("python3"));
    let python = Command::new(python)
        .args(["-c", NUMPY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else { return missing() };
    let mut input = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // Python may have ended already, for want of NumPy.
        let _ = input.write_all(lines.as_bytes());
    });
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    if output.status.code() == Some(77) {
        return missing();
    }
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.split('\x1e').map(str::to_owned).collect())
}

fn line(dtype: Dtype, shape: &str, values: &[Scalar]) -> String {
    let name = match dtype {
        Dtype::Bool => String::from("?"),
        _ => {
            let kind = dtype.name().trim_end_matches(char::is_numeric);
            format!("<{kind}{}", dtype.size())
        }
    };
    let bytes = values
        .iter()
        .flat_map(|v| v.bits().to_le_bytes().into_iter().take(dtype.size()));
    let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    format!("{name} {shape} {hex}\n")
}

const NUMPY_DTYPES: [Dtype; 12] = [
    Dtype::Bool,
    Dtype::I8,
    Dtype::I16,
    Dtype::I32,
    Dtype::I64,
    Dtype::U8,
    Dtype::U16,
    Dtype::U32,
    Dtype::U64,
    Dtype::F16,
    Dtype::F32,
    Dtype::F64,
];

#[test]
fn as_numpy_prints() {
    let mut rng = Rng::new(7);
    let shapes: [&[usize]; 14] = [
        &[],
        &[1],
        &[2],
        &[5],
        &[17],
        &[100],
        &[1500],
        &[0],
        &[3, 4],
        &[2, 0],
        &[2, 3, 4],
        &[40, 40],
        &[2, 1, 3, 2],
        &[9, 5, 30],
    ];
    let mut cases = Vec::new();
    for _ in 0..3 {
        for dtype in NUMPY_DTYPES {
            for shape in shapes {
                // Wild values, tame ones, and floats around one scale with some that are not finite.
                for style in 0..3 {
                    let scale = 10f64.powi(rng.below(14) as i32 - 6);
                    let count = shape.iter().product();
                    let values: Vec<Scalar> = (0..count)
                        .map(|_| match style {
                            0 => rng.value(dtype),
                            1 => Scalar::from_f64(dtype, (rng.below(4001) as f64 - 2000.0) / 100.0),
                            _ if rng.one_in(20) => Scalar::from_f64(dtype, f64::NAN),
                            _ if rng.one_in(20) => Scalar::from_f64(dtype, f64::NEG_INFINITY),
                            _ => Scalar::from_f64(dtype, rng.bits() as f64 / 2f64.powi(64) * scale),
                        })
                        .collect();
                    cases.push((dtype, shape, values));
                }
            }
        }
    }
    let lines = cases.iter().map(|(dtype, shape, values)| {
        let extents: String = shape.iter().map(|extent| format!("{extent},")).collect();
        line(*dtype, &format!("({extents})"), values)
    });
    let Some(expected) = numpy(lines.collect()) else { return };
    assert_eq!(expected.len(), cases.len());
    for ((dtype, shape, values), expected) in cases.into_iter().zip(expected) {
        let printed = array(dtype, shape, &values).to_string();
        assert_eq!(printed, expected, "{dtype} {shape:?} {values:?}");
    }
}

/// Scalars: every f16, and random bits of the wider ones.
#[test]
fn scalars_as_numpy_prints() {
    let mut rng = Rng::new(8);
    let halves: Vec<Scalar> = (0..=u16::MAX)
        .map(|bits| Scalar::from_bits(Dtype::F16, bits.into()))
        .collect();
    let mut sets = vec![(Dtype::F16, halves)];
    for dtype in [Dtype::F32, Dtype::F64] {
        let powers = (-330..310).map(|e| Scalar::from_f64(dtype, format!("1e{e}").parse().unwrap()));
        let twos = (-1074..1024).map(|e| Scalar::from_f64(dtype, 2f64.powi(e)));
        let random = (0..20_000).map(|_| rng.value(dtype));
        sets.push((dtype, powers.chain(twos).chain(random).collect()));
    }
    let Some(expected) = numpy(
        sets.iter()
            .map(|(dtype, values)| line(*dtype, "each", values))
            .collect(),
    ) else {
        return;
    };
    for ((dtype, values), expected) in sets.iter().zip(expected) {
        for (value, expected) in values.iter().zip(expected.lines()) {
            assert_eq!(array(*dtype, &[], &[*value]).to_string(), expected, "{value:?}");
        }
    }
}
