//! `.npy` files: every dtype and both orders there and back, foreign files, and damaged ones.

use std::io::Write;
use std::path::Path;

use loopweave::cli::npy::{NpyError, read, read_from, write, write_to};
use loopweave::ir::testing::{Rng, edge_values};
use loopweave::{AnyArray, Dtype, Scalar};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use proptest::prelude::*;

fn array(dtype: Dtype, shape: &[usize], fortran: bool, values: &[Scalar]) -> AnyArray {
    macro_rules! of {
        ($($variant:ident $t:ty;)*) => {
            match dtype {
                $(Dtype::$variant => {
                    let values = values.iter().map(|v| loopweave::ir::Element::from_bits(v.bits())).collect();
                    AnyArray::from(ArrayD::<$t>::from_shape_vec(IxDyn(shape).set_f(fortran), values).unwrap())
                })*
            }
        };
    }
    of! {
        Bool bool; I8 i8; I16 i16; I32 i32; I64 i64; U8 u8; U16 u16; U32 u32; U64 u64;
        F16 half::f16; Bf16 half::bf16; F32 f32; F64 f64;
    }
}

fn strides(array: &AnyArray) -> Vec<isize> {
    use loopweave::runtime::view::Arg;
    array.view().layout().strides.to_vec()
}

/// Equal in dtype, shape and bits, NaNs included.
fn assert_same(a: &AnyArray, b: &AnyArray) {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    assert_eq!(a.scalars(), b.scalars());
}

fn bytes(array: &AnyArray) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, array).unwrap();
    bytes
}

/// A version 1.0 file of this header and these elements.
fn file(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16 + 1).to_le_bytes());
    file.extend(header.as_bytes());
    file.push(b'\n');
    file.extend(elements);
    file
}

#[test]
fn there_and_back() {
    let mut rng = Rng::new(3);
    for dtype in Dtype::ALL {
        for shape in [&[][..], &[0], &[7], &[3, 4], &[2, 0, 3], &[2, 3, 4], &[40_000]] {
            for fortran in [false, true] {
                let count = shape.iter().product();
                let mut values: Vec<Scalar> = edge_values(dtype).into_iter().take(count).collect();
                values.extend((values.len()..count).map(|_| rng.value(dtype)));
                let a = array(dtype, shape, fortran, &values);
                let b = read_from(bytes(&a).as_slice()).unwrap();
                assert_same(&a, &b);
                if count > 1 {
                    assert_eq!(strides(&a), strides(&b), "{dtype} {shape:?} stays in its order");
                }
            }
        }
    }
}

/// Neither C nor Fortran order: written in C order.
#[test]
fn strided() {
    let mut a = ArrayD::from_shape_vec(IxDyn(&[2, 3, 4]), (0..24i32).collect()).unwrap();
    a.swap_axes(0, 1);
    let a = AnyArray::from(a);
    assert_same(&a, &read_from(bytes(&a).as_slice()).unwrap());
}

#[test]
fn headers_are_numpys() {
    let a = array(
        Dtype::Bf16,
        &[2, 1],
        false,
        &[Scalar::from_bits(Dtype::Bf16, 0x3f80); 2],
    );
    let written = bytes(&a);
    assert_eq!(written.len() % 64, 4);
    let header = "{'descr': '<V2', 'fortran_order': False, 'shape': (2, 1)";
    assert!(String::from_utf8_lossy(&written[10..]).starts_with(header));
    assert_eq!(&written[written.len() - 4..], [0x80, 0x3f, 0x80, 0x3f]);
}

#[test]
fn foreign_files() {
    let f32s = |values: [f32; 2]| array(Dtype::F32, &[2], false, &values.map(Scalar::from));
    let rows: [(&str, &[u8], AnyArray); 5] = [
        ("'>f4'", &[0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0], f32s([1.0, -2.0])),
        ("'=f4'", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], f32s([1.0, -2.0])),
        ("'f4'", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], f32s([1.0, -2.0])),
        (
            "'?'",
            &[1, 0],
            array(Dtype::Bool, &[2], false, &[Scalar::from(true), Scalar::from(false)]),
        ),
        (
            "'|V2'",
            &[0x80, 0x3f, 0, 0xc0],
            array(
                Dtype::Bf16,
                &[2],
                false,
                &[1.0, -2.0].map(|v| Scalar::from_f64(Dtype::Bf16, v)),
            ),
        ),
    ];
    for (descr, elements, expected) in rows {
        let file = file(
            &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2,)}}"),
            elements,
        );
        assert_same(&read_from(file.as_slice()).unwrap(), &expected);
    }
}

/// The message for each kind of damage.
#[test]
fn damaged_files() {
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}");
    let good = file(&header("'<f4'", "(2,)"), &[0; 8]);
    let version = |major: u8, length: u32| {
        let mut file = vec![0x93, b'N', b'U', b'M', b'P', b'Y', major, 0];
        file.extend(length.to_le_bytes());
        file
    };
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "this is not a .npy file"),
        (b"PK\x03\x04 a zip".to_vec(), "this is not a .npy file"),
        (version(9, 10), "version 9.0 of the .npy format is not known"),
        (version(2, u32::MAX), "the header has 4294967295 bytes"),
        (good[..9].to_vec(), "the file ends inside it"),
        (good[..30].to_vec(), "the file ends inside it"),
        (
            good[..good.len() - 3].to_vec(),
            "the file ends after 5 bytes of elements, where shape [2] of f32 needs 8",
        ),
        (
            [&good[..], &[0]].concat(),
            "goes on after the last element of shape [2]",
        ),
        (file("", &[]), "the header is damaged"),
        (file("[1]", &[]), "the header is damaged"),
        (file("{'descr': '<f4', 'shape': (2,)}", &[0; 8]), "fortran_order"),
        (file(&header("'<f4'", "(-1,)"), &[]), "the header is damaged"),
        (file(&header("'<f4'", "2"), &[]), "the header is damaged"),
        (
            file(&header("'<c8'", "(1,)"), &[0; 8]),
            "elements of type `<c8` cannot be read",
        ),
        (
            file(&header("'|O'", "(1,)"), &[0; 8]),
            "elements of type `|O` cannot be read",
        ),
        (file(&header("[('x', '<f4')]", "(1,)"), &[0; 4]), "cannot be read"),
        (file(&header("'<é'", "(1,)"), &[0; 4]), "the header is damaged"),
        (
            file(&header("''", "(1,)"), &[0; 4]),
            "elements of type `` cannot be read",
        ),
        (
            file(&header("'|b1'", "(3,)"), &[0, 1, 2]),
            "element 2 is 0x02, which is not a bool",
        ),
        (
            file(&header("'<f8'", "(4611686018427387904,)"), &[0; 64]),
            "does not fit in memory",
        ),
        (
            file(&header("'<f8'", "(1099511627776,)"), &[0; 64]),
            "the file ends after 64 bytes",
        ),
        (
            file(&header("'<f8'", "(4294967296, 4294967296, 0)"), &[]),
            "does not fit in memory",
        ),
        (
            file(
                &header(
                    "'<f8'",
                    &"1,"
                        .repeat(65)
                        .replace("1,", "1, ")
                        .replacen('1', "(1", 1)
                        .replace(", )", ",)"),
                ),
                &[],
            ),
            "damaged",
        ),
        (
            file(&header("'<f4'", &format!("({})", "1,".repeat(65))), &[0; 4]),
            "the array has 65 axes",
        ),
        (file(&"[".repeat(9000), &[]), "nested too deeply"),
        (file(&header("'<f4'", &"(".repeat(40)), &[]), "nested too deeply"),
        (
            file(&header("'<f4'", &format!("({},)", "9".repeat(5000))), &[]),
            "the header is damaged",
        ),
    ];
    for (file, expected) in rows {
        let error = read_from(file.as_slice()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}\nbut expected {expected}");
    }
}

#[test]
fn files_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let a = array(Dtype::I16, &[2, 2], true, &[1i16, 2, 3, 4].map(Scalar::from));
    write(&path, &a).unwrap();
    assert_same(&read(&path).unwrap(), &a);
    std::fs::File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    assert!(matches!(read(&path), Err(NpyError::TooLong { .. })));
    assert!(matches!(read(folder.path()), Err(NpyError::Io(_))));
    assert!(matches!(read(Path::new("/no/such/file.npy")), Err(NpyError::Io(_))));
    assert!(matches!(
        write(Path::new("/no/such/file.npy"), &a),
        Err(NpyError::Io(_))
    ));
}

proptest! {
    /// No bytes make the reader panic, and what it reads can be written and read again.
    #[test]
    fn any_bytes(position in 0usize..100, byte: u8, cut in 0usize..140, tail: Vec<u8>) {
        let a = array(Dtype::F16, &[3], false, &[Scalar::from_bits(Dtype::F16, 0x3c00); 3]);
        let mut file = bytes(&a);
        if let Some(place) = file.get_mut(position) {
            *place = byte;
        }
        file.truncate(cut);
        file.extend(tail);
        if let Ok(b) = read_from(file.as_slice()) {
            assert_same(&b, &read_from(bytes(&b).as_slice()).unwrap());
        }
    }
}
