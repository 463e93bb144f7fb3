//! Arrays in NumPy's `.npy` files, of every dtype.
//!
//! In: a file, or an [`AnyArray`]. Out: the array, or the file. The header is `ndarray-npy`'s to read and write; the elements
//! are read here, because that crate knows no 16-bit floats and allocates what the header claims before it looks at the data.
//!
//! | dtype | `descr` |
//! | --- | --- |
//! | `bool` | `\|b1` |
//! | `i8` … `i64`, `u8` … `u64` | `\|i1`, `<i2` … `<i8`, `\|u1` … `<u8` |
//! | `f16`, `f32`, `f64` | `<f2`, `<f4`, `<f8` |
//! | `bf16` | `<V2`, as `ml_dtypes` writes it (`np.load(file).view(ml_dtypes.bfloat16)`); `bfloat16` is read too |
//!
//! Big-endian files (`>f4`) are read, with their bytes swapped. An array in Fortran order stays in Fortran order, both ways.
//!
//! Invariants: no file makes these functions panic, recurse deeply or allocate more than a small multiple of its size.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use loopweave_ir::{Dtype, Element};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use ndarray_npy::npy::header::{Header, Layout};

use crate::runtime::array::AnyArray;

/// The longest header that is read; NumPy's own limit.
const MAX_HEADER: usize = 10_000;

/// The most brackets that may be open at once in a header; an honest one has two. Reading nested lists takes time
/// exponential in their depth.
const MAX_NESTING: usize = 4;

/// The most axes an array may have; NumPy's own limit.
const MAX_RANK: usize = 64;

/// The number of bytes that are turned into elements at a time.
const CHUNK: usize = 1 << 16;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file begins otherwise.
    #[error("this is not a .npy file")]
    Magic,
    /// A version of the format that is not known.
    #[error("version {major}.{minor} of the .npy format is not known; 1.0, 2.0 and 3.0 are")]
    Version {
        /// As the file says.
        major: u8,
        /// As the file says.
        minor: u8,
    },
    /// A header that NumPy would not read either.
    #[error("the header has {0} bytes, more than any array needs")]
    HeaderSize(usize),
    /// The header is damaged.
    #[error("the header is damaged: {0}")]
    Header(String),
    /// An element type with no dtype for it.
    #[error(
        "elements of type `{0}` cannot be read; bool, integers up to 64 bits, f16, f32, f64 and bf16 (as `<V2`) can"
    )]
    Descr(String),
    /// More axes than NumPy allows.
    #[error("the array has {0} axes; at most 64 can be read")]
    Rank(usize),
    /// A shape beyond what memory can address.
    #[error("an array of shape {shape:?} does not fit in memory")]
    Size {
        /// As the file says.
        shape: Vec<usize>,
    },
    /// Fewer bytes than the shape needs.
    #[error("the file ends after {found} bytes of elements, where shape {shape:?} of {dtype} needs {expected}")]
    Truncated {
        /// As the file says.
        shape: Vec<usize>,
        /// As the file says.
        dtype: Dtype,
        /// What there is.
        found: usize,
        /// What there should be.
        expected: usize,
    },
    /// More bytes than the shape needs.
    #[error("the file goes on after the last element of shape {shape:?}")]
    TooLong {
        /// As the file says.
        shape: Vec<usize>,
    },
    /// A byte that is no bool.
    #[error("element {index} is {byte:#04x}, which is not a bool")]
    Bool {
        /// The element's place in the file.
        index: usize,
        /// Its byte.
        byte: u8,
    },
}

/// The array in a file.
///
/// # Errors
/// If the file cannot be read, is damaged, ends early or goes on too long, or has elements of a type with no dtype for it.
pub fn read(path: &Path) -> Result<AnyArray, NpyError> {
    read_from(BufReader::new(File::open(path)?))
}

/// The array in what a reader gives, which must end with it.
///
/// # Errors
/// As [`read`].
pub fn read_from(mut reader: impl Read) -> Result<AnyArray, NpyError> {
    let header = read_header(&mut reader)?;
    let descr = header.type_descriptor.as_string().map(String::as_str);
    let (dtype, endian) = descr
        .and_then(element_type)
        .ok_or_else(|| NpyError::Descr(descr.map_or_else(|| header.type_descriptor.to_string(), str::to_owned)))?;
    macro_rules! elements {
        ($($variant:ident $t:ty;)*) => {
            match dtype {
                $(Dtype::$variant => read_elements::<$t>(reader, &header, endian).map(AnyArray::from),)*
            }
        };
    }
    elements! {
        Bool bool; I8 i8; I16 i16; I32 i32; I64 i64; U8 u8; U16 u16; U32 u32; U64 u64;
        F16 half::f16; Bf16 half::bf16; F32 f32; F64 f64;
    }
}

/// Writes an array to a file, which is made or overwritten.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, array: &AnyArray) -> Result<(), NpyError> {
    let mut writer = BufWriter::new(File::create(path)?);
    write_to(&mut writer, array)?;
    Ok(writer.flush()?)
}

/// Writes an array to a writer: in Fortran order if it lies so in memory, otherwise in C order.
///
/// # Errors
/// If the writer fails.
pub fn write_to(mut writer: impl Write, array: &AnyArray) -> Result<(), NpyError> {
    macro_rules! elements {
        ($($variant:ident)*) => {
            match array {
                $(AnyArray::$variant(a) => write_elements(&mut writer, a),)*
            }
        };
    }
    elements!(Bool I8 I16 I32 I64 U8 U16 U32 U64 F16 Bf16 F32 F64)
}

#[derive(Clone, Copy, PartialEq)]
enum Endian {
    Little,
    Big,
}

const NATIVE: Endian = if cfg!(target_endian = "little") {
    Endian::Little
} else {
    Endian::Big
};

/// The header, after its claims about itself have been checked.
fn read_header(reader: &mut impl Read) -> Result<Header, NpyError> {
    let mut start = [0; 8];
    read_exactly(reader, &mut start).map_err(|error| match error {
        NpyError::Header(_) => NpyError::Magic,
        other => other,
    })?;
    let [magic @ .., major, minor] = start;
    if &magic != b"\x93NUMPY" {
        return Err(NpyError::Magic);
    }
    let mut bytes = start.to_vec();
    let length = match (major, minor) {
        (1, 0) => {
            let mut length = [0; 2];
            read_exactly(reader, &mut length)?;
            bytes.extend(length);
            u16::from_le_bytes(length) as usize
        }
        (2 | 3, 0) => {
            let mut length = [0; 4];
            read_exactly(reader, &mut length)?;
            bytes.extend(length);
            u32::from_le_bytes(length) as usize
        }
        _ => return Err(NpyError::Version { major, minor }),
    };
    if length > MAX_HEADER {
        return Err(NpyError::HeaderSize(length));
    }
    let mut text = vec![0; length];
    read_exactly(reader, &mut text)?;
    if nesting(&text) > MAX_NESTING {
        return Err(NpyError::Header(String::from("its brackets are nested too deeply")));
    }
    bytes.extend(text);
    let header = Header::from_reader(&mut bytes.as_slice()).map_err(|error| NpyError::Header(error.to_string()))?;
    if header.shape.len() > MAX_RANK {
        return Err(NpyError::Rank(header.shape.len()));
    }
    Ok(header)
}

fn read_exactly(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), NpyError> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => NpyError::Header(String::from("the file ends inside it")),
        _ => NpyError::Io(error),
    })
}

/// The most brackets that are open at once, those in strings included.
fn nesting(text: &[u8]) -> usize {
    let mut open = 0usize;
    let mut most = 0;
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// The dtype and byte order that a `descr` names.
fn element_type(descr: &str) -> Option<(Dtype, Endian)> {
    if descr == "bfloat16" {
        return Some((Dtype::Bf16, NATIVE));
    }
    let (endian, name) = match descr.as_bytes().first()? {
        b'<' => (Endian::Little, &descr[1..]),
        b'>' => (Endian::Big, &descr[1..]),
        b'=' | b'|' => (NATIVE, &descr[1..]),
        _ => (NATIVE, descr),
    };
    let dtype = match name {
        "b1" | "?" => Dtype::Bool,
        "i1" | "b" => Dtype::I8,
        "i2" => Dtype::I16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "u1" | "B" => Dtype::U8,
        "u2" => Dtype::U16,
        "u4" => Dtype::U32,
        "u8" => Dtype::U64,
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "V2" => Dtype::Bf16,
        _ => return None,
    };
    Some((dtype, endian))
}

/// The `descr` that files of a dtype are written with, as a Python literal.
fn descr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "'|b1'",
        Dtype::I8 => "'|i1'",
        Dtype::I16 => "'<i2'",
        Dtype::I32 => "'<i4'",
        Dtype::I64 => "'<i8'",
        Dtype::U8 => "'|u1'",
        Dtype::U16 => "'<u2'",
        Dtype::U32 => "'<u4'",
        Dtype::U64 => "'<u8'",
        Dtype::F16 => "'<f2'",
        Dtype::Bf16 => "'<V2'",
        Dtype::F32 => "'<f4'",
        Dtype::F64 => "'<f8'",
    }
}

fn read_elements<T: Element>(mut reader: impl Read, header: &Header, endian: Endian) -> Result<ArrayD<T>, NpyError> {
    let too_large = || NpyError::Size {
        shape: header.shape.clone(),
    };
    let size = T::DTYPE.size();
    // ndarray counts a shape's elements without its axes of extent 0.
    let extents = header.shape.iter().filter(|&&extent| extent > 0);
    let addressed = extents.fold(Some(size), |n: Option<usize>, &extent| n?.checked_mul(extent));
    if addressed.is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(too_large());
    }
    let expected = header.shape.iter().product::<usize>() * size;
    // Grows with what is read, not with what the header claims.
    let mut elements: Vec<T> = Vec::new();
    let mut chunk = [0u8; CHUNK];
    while elements.len() * size < expected {
        let wanted = CHUNK.min(expected - elements.len() * size);
        let found = read_up_to(&mut reader, &mut chunk[..wanted])?;
        if T::DTYPE == Dtype::Bool
            && let Some(i) = chunk[..found].iter().position(|&byte| byte > 1)
        {
            return Err(NpyError::Bool {
                index: elements.len() + i,
                byte: chunk[i],
            });
        }
        if found < wanted {
            return Err(NpyError::Truncated {
                shape: header.shape.clone(),
                dtype: T::DTYPE,
                found: elements.len() * size + found,
                expected,
            });
        }
        elements.extend(
            chunk[..found]
                .chunks_exact(size)
                .map(|bytes| element::<T>(bytes, endian)),
        );
    }
    if read_up_to(&mut reader, &mut [0])? > 0 {
        return Err(NpyError::TooLong {
            shape: header.shape.clone(),
        });
    }
    let shape = IxDyn(&header.shape).set_f(header.layout.is_fortran());
    ArrayD::from_shape_vec(shape, elements).map_err(|_| too_large())
}

/// Fills the buffer as far as the reader goes.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, NpyError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

fn element<T: Element>(bytes: &[u8], endian: Endian) -> T {
    let mut word = [0; 8];
    match endian {
        Endian::Little => {
            word[..bytes.len()].copy_from_slice(bytes);
            T::from_bits(u64::from_le_bytes(word))
        }
        Endian::Big => {
            word[8 - bytes.len()..].copy_from_slice(bytes);
            T::from_bits(u64::from_be_bytes(word))
        }
    }
}

fn write_elements<T: Element>(writer: &mut impl Write, array: &ArrayD<T>) -> Result<(), NpyError> {
    let is_fortran = !array.is_standard_layout() && array.t().is_standard_layout();
    let layout = if is_fortran { Layout::Fortran } else { Layout::Standard };
    let damaged = |error: &dyn std::fmt::Display| NpyError::Header(error.to_string());
    let header = Header {
        type_descriptor: descr(T::DTYPE).parse().map_err(|error| damaged(&error))?,
        layout,
        shape: array.shape().to_vec(),
    };
    writer.write_all(&header.to_bytes().map_err(|error| damaged(&error))?)?;
    let size = T::DTYPE.size();
    let view = if is_fortran { array.t() } else { array.view() };
    let mut chunk = Vec::with_capacity(CHUNK);
    for &value in view {
        chunk.extend_from_slice(&value.to_bits().to_le_bytes()[..size]);
        if chunk.len() == CHUNK {
            writer.write_all(&chunk)?;
            chunk.clear();
        }
    }
    Ok(writer.write_all(&chunk)?)
}
