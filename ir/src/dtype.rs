//! Element types, scalar values and the promotion rules.
//!
//! In: a dtype's name, or the types of an op's operands. Out: a [`Dtype`], a [`Scalar`], or the type the operands meet in.
//!
//! Invariants: a [`Scalar`]'s bits are zero above its dtype's width, so two scalars are the same value exactly when they
//! are equal. Promotion is NumPy 2's (NEP 50), with `bf16` placed as JAX places it.

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};

/// The type of one array element.
///
/// `F16` and `Bf16` are storage types: a loaded element becomes `f32`, is computed with as `f32`, and is rounded once when
/// it is stored.
///
/// ```
/// use loopweave_ir::Dtype;
/// assert_eq!(Dtype::promote(Dtype::I32, Dtype::F32), Dtype::F64);
/// assert_eq!("bf16".parse(), Ok(Dtype::Bf16));
/// assert_eq!(Dtype::F64.size(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Dtype {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    Bf16,
    F32,
    F64,
}

/// What family a [`Dtype`] belongs to; promotion and the type rules of ops speak of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

impl Dtype {
    /// Every dtype, in the order of declaration.
    pub const ALL: [Dtype; 13] = [
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
        Dtype::Bf16,
        Dtype::F32,
        Dtype::F64,
    ];

    /// The name in text: `bool`, `i8` … `f64`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::Bool => "bool",
            Dtype::I8 => "i8",
            Dtype::I16 => "i16",
            Dtype::I32 => "i32",
            Dtype::I64 => "i64",
            Dtype::U8 => "u8",
            Dtype::U16 => "u16",
            Dtype::U32 => "u32",
            Dtype::U64 => "u64",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }

    /// Bytes per element; a `bool` takes one byte, 0 or 1.
    pub const fn size(self) -> usize {
        match self {
            Dtype::Bool | Dtype::I8 | Dtype::U8 => 1,
            Dtype::I16 | Dtype::U16 | Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::I32 | Dtype::U32 | Dtype::F32 => 4,
            Dtype::I64 | Dtype::U64 | Dtype::F64 => 8,
        }
    }

    /// Bits per element as arithmetic sees them; 8 for `bool`.
    pub const fn bits(self) -> u32 {
        self.size() as u32 * 8
    }

    /// The family of the type.
    pub const fn kind(self) -> Kind {
        match self {
            Dtype::Bool => Kind::Bool,
            Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => Kind::Signed,
            Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => Kind::Unsigned,
            Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => Kind::Float,
        }
    }

    /// Whether the type is `f16`, `bf16`, `f32` or `f64`.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// Whether the type is a signed or unsigned integer; `bool` is not.
    pub const fn is_int(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// Whether the type only stores values, which are computed with in another type ([`Dtype::compute`]).
    pub const fn is_storage_only(self) -> bool {
        matches!(self, Dtype::F16 | Dtype::Bf16)
    }

    /// The type values of this type are computed in: `f32` for `f16` and `bf16`, otherwise the type itself.
    pub const fn compute(self) -> Dtype {
        match self {
            Dtype::F16 | Dtype::Bf16 => Dtype::F32,
            other => other,
        }
    }

    /// The integer type of the given kind and width in bytes.
    const fn int(signed: bool, size: usize) -> Dtype {
        match (signed, size) {
            (true, 1) => Dtype::I8,
            (true, 2) => Dtype::I16,
            (true, 4) => Dtype::I32,
            (true, _) => Dtype::I64,
            (false, 1) => Dtype::U8,
            (false, 2) => Dtype::U16,
            (false, 4) => Dtype::U32,
            (false, _) => Dtype::U64,
        }
    }

    /// The unsigned integer of the same width: the type whose bits a bitcast shows.
    pub const fn to_unsigned(self) -> Dtype {
        Dtype::int(false, self.size())
    }

    /// The signed integer of the same width.
    pub const fn to_signed(self) -> Dtype {
        Dtype::int(true, self.size())
    }

    /// The smallest float type that NumPy's float functions compute an operand of this type in
    /// (`sqrt(i8)` is `f16`, `sqrt(i16)` is `f32`, `sqrt(i32)` is `f64`).
    pub const fn float_for(self) -> Dtype {
        match (self.kind(), self.size()) {
            (Kind::Float, _) => self,
            (_, 1) => Dtype::F16,
            (_, 2) => Dtype::F32,
            _ => Dtype::F64,
        }
    }

    /// The type two operands meet in: NumPy 2's `result_type`, where an integer of 8 bits fits `f16`, of 16 bits `f32`, and a
    /// wider one `f64`; `i64` meets `u64` in `f64`. `bf16` takes any integer, as in JAX (`ml_dtypes` refuses those above 8
    /// bits), and meets `f16` in `f32`.
    ///
    /// |  | bool | i8 | i16 | i32 | i64 | u8 | u16 | u32 | u64 | f16 | bf16 | f32 | f64 |
    /// | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
    /// | **bool** | bool | i8 | i16 | i32 | i64 | u8 | u16 | u32 | u64 | f16 | bf16 | f32 | f64 |
    /// | **i8** | i8 | i8 | i16 | i32 | i64 | i16 | i32 | i64 | f64 | f16 | bf16 | f32 | f64 |
    /// | **i16** | i16 | i16 | i16 | i32 | i64 | i16 | i32 | i64 | f64 | f32 | bf16 | f32 | f64 |
    /// | **i32** | i32 | i32 | i32 | i32 | i64 | i32 | i32 | i64 | f64 | f64 | bf16 | f64 | f64 |
    /// | **i64** | i64 | i64 | i64 | i64 | i64 | i64 | i64 | i64 | f64 | f64 | bf16 | f64 | f64 |
    /// | **u8** | u8 | i16 | i16 | i32 | i64 | u8 | u16 | u32 | u64 | f16 | bf16 | f32 | f64 |
    /// | **u16** | u16 | i32 | i32 | i32 | i64 | u16 | u16 | u32 | u64 | f32 | bf16 | f32 | f64 |
    /// | **u32** | u32 | i64 | i64 | i64 | i64 | u32 | u32 | u32 | u64 | f64 | bf16 | f64 | f64 |
    /// | **u64** | u64 | f64 | f64 | f64 | f64 | u64 | u64 | u64 | u64 | f64 | bf16 | f64 | f64 |
    /// | **f16** | f16 | f16 | f32 | f64 | f64 | f16 | f32 | f64 | f64 | f16 | f32 | f32 | f64 |
    /// | **bf16** | bf16 | bf16 | bf16 | bf16 | bf16 | bf16 | bf16 | bf16 | bf16 | f32 | bf16 | f32 | f64 |
    /// | **f32** | f32 | f32 | f32 | f64 | f64 | f32 | f32 | f64 | f64 | f32 | f32 | f32 | f64 |
    /// | **f64** | f64 | f64 | f64 | f64 | f64 | f64 | f64 | f64 | f64 | f64 | f64 | f64 | f64 |
    pub fn promote(a: Dtype, b: Dtype) -> Dtype {
        use Kind::{Bool, Float, Signed, Unsigned};
        if a == b {
            return a;
        }
        match (a.kind(), b.kind()) {
            (Bool, _) => b,
            (_, Bool) => a,
            (Signed, Signed) | (Unsigned, Unsigned) => {
                if a.size() >= b.size() {
                    a
                } else {
                    b
                }
            }
            (Signed, Unsigned) => Dtype::promote_mixed(a, b),
            (Unsigned, Signed) => Dtype::promote_mixed(b, a),
            (Float, Float) => match (a, b) {
                (Dtype::F16, Dtype::Bf16) | (Dtype::Bf16, Dtype::F16) => Dtype::F32,
                _ if a.size() >= b.size() => a,
                _ => b,
            },
            (Float, _) => Dtype::promote_float_int(a, b),
            (_, Float) => Dtype::promote_float_int(b, a),
        }
    }

    fn promote_mixed(signed: Dtype, unsigned: Dtype) -> Dtype {
        if signed.size() > unsigned.size() {
            signed
        } else if unsigned.size() < 8 {
            Dtype::int(true, unsigned.size() * 2)
        } else {
            Dtype::F64
        }
    }

    fn promote_float_int(float: Dtype, int: Dtype) -> Dtype {
        match float {
            Dtype::Bf16 => Dtype::Bf16,
            _ => Dtype::promote(float, int.float_for()),
        }
    }

    /// The type a weakly typed operand (a bare literal, a bare Rust scalar) takes beside one of type `self`: an integer stays
    /// out of the way of every number, a float of every float; otherwise the default `i64` or `f64` stands in.
    pub fn promote_weak(self, weak: Weak) -> Dtype {
        match (self.kind(), weak) {
            (_, Weak::Bool) => self,
            (Kind::Bool, _) => weak.default_dtype(),
            (_, Weak::Int) | (Kind::Float, Weak::Float) => self,
            (_, Weak::Float) => Dtype::F64,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no dtype.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a dtype; expected one of bool, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64")]
pub struct UnknownDtype(pub String);

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(s: &str) -> Result<Dtype, UnknownDtype> {
        Dtype::ALL
            .into_iter()
            .find(|d| d.name() == s)
            .ok_or_else(|| UnknownDtype(s.to_owned()))
    }
}

/// The type of a bare literal, which yields to the type it meets (NEP 50's Python scalars).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weak {
    Bool,
    Int,
    Float,
}

impl Weak {
    /// The dtype a weak value has when nothing gives it another: `bool`, `i64`, `f64`.
    pub const fn default_dtype(self) -> Dtype {
        match self {
            Weak::Bool => Dtype::Bool,
            Weak::Int => Dtype::I64,
            Weak::Float => Dtype::F64,
        }
    }
}

/// One value with its dtype. Equality and hashing are by bits: `0.0 != -0.0`, and a NaN equals itself.
///
/// ```
/// use loopweave_ir::{Dtype, Scalar};
/// let x = Scalar::from(1.5f32);
/// assert_eq!((x.dtype(), x.as_f64()), (Dtype::F32, 1.5));
/// assert_eq!(Scalar::from(-1i8).bits(), 0xff);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scalar {
    dtype: Dtype,
    bits: u64,
}

impl Scalar {
    /// The value of `dtype` with these bits; bits above the dtype's width are dropped, and a `bool` is `bits != 0`.
    pub const fn from_bits(dtype: Dtype, bits: u64) -> Scalar {
        let bits = match dtype {
            Dtype::Bool => (bits != 0) as u64,
            _ => bits & (u64::MAX >> (64 - dtype.bits())),
        };
        Scalar { dtype, bits }
    }

    /// The value of `dtype` nearest to `value`; integers wrap, which the parser's range check rules out for literals.
    pub fn from_i128(dtype: Dtype, value: i128) -> Scalar {
        let bits = match dtype {
            Dtype::Bool => (value != 0) as u64,
            Dtype::F16 | Dtype::Bf16 => return Scalar::from_f64(dtype, value as f64),
            Dtype::F32 => (value as f32).to_bits() as u64,
            Dtype::F64 => (value as f64).to_bits(),
            _ => value as u64,
        };
        Scalar::from_bits(dtype, bits)
    }

    /// The value of `dtype` nearest to `value`: floats round to nearest even, integers saturate and take NaN as 0, as `cast`
    /// does.
    pub fn from_f64(dtype: Dtype, value: f64) -> Scalar {
        let bits = match dtype {
            Dtype::Bool => (value != 0.0) as u64,
            Dtype::I8 => value as i8 as u64,
            Dtype::I16 => value as i16 as u64,
            Dtype::I32 => value as i32 as u64,
            Dtype::I64 => value as i64 as u64,
            Dtype::U8 => value as u8 as u64,
            Dtype::U16 => value as u16 as u64,
            Dtype::U32 => value as u32 as u64,
            Dtype::U64 => value as u64,
            Dtype::F16 => f16::from_f32(round_to_odd(value)).to_bits() as u64,
            Dtype::Bf16 => bf16::from_f32(round_to_odd(value)).to_bits() as u64,
            Dtype::F32 => (value as f32).to_bits() as u64,
            Dtype::F64 => value.to_bits(),
        };
        Scalar::from_bits(dtype, bits)
    }

    /// The type of the value.
    pub const fn dtype(self) -> Dtype {
        self.dtype
    }

    /// The bits of the value, zero above the dtype's width.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The value as an integer: exact for `bool` and integers, truncated and saturated to `i64` for floats.
    pub fn as_i128(self) -> i128 {
        match self.dtype.kind() {
            Kind::Bool | Kind::Unsigned => self.bits as i128,
            Kind::Signed => {
                let shift = 64 - self.dtype.bits();
                (((self.bits << shift) as i64) >> shift) as i128
            }
            Kind::Float => self.as_f64() as i64 as i128,
        }
    }

    /// The value as `f64`: exact except for 64-bit integers, which round to nearest even.
    pub fn as_f64(self) -> f64 {
        match self.dtype {
            Dtype::F16 => f16::from_bits(self.bits as u16).to_f64(),
            Dtype::Bf16 => bf16::from_bits(self.bits as u16).to_f64(),
            Dtype::F32 => f32::from_bits(self.bits as u32) as f64,
            Dtype::F64 => f64::from_bits(self.bits),
            _ => self.as_i128() as f64,
        }
    }

    /// Whether the value is not zero; NaN counts as true, as in NumPy and C.
    pub fn as_bool(self) -> bool {
        match self.dtype.kind() {
            Kind::Float => self.as_f64() != 0.0,
            _ => self.bits != 0,
        }
    }

    /// Whether the value is a NaN.
    pub fn is_nan(self) -> bool {
        self.dtype.is_float() && self.as_f64().is_nan()
    }

    /// Whether the two are the same result: equal bits of one dtype, or both a NaN of that dtype, since the sign and
    /// payload of a NaN that arithmetic makes are unspecified. How every test compares results.
    pub fn is_same(self, other: Scalar) -> bool {
        self == other || (self.dtype == other.dtype && self.is_nan() && other.is_nan())
    }
}

/// `value` as an `f32` that still rounds correctly to 16 bits: where inexact, the neighbour whose last bit is 1, so that
/// it lies on the same side as `value` of every tie (Boldo and Melquiond, "When double rounding is odd", 2005). `half`'s
/// own conversion from `f64` rounds twice on some machines and drops low bits on the others.
fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = nearest as f64;
    if back == value || nearest.is_nan() || nearest.to_bits() & 1 == 1 {
        return nearest;
    }
    // Steps toward `value`; an infinity steps back to the largest finite number, whose last bit is 1.
    let away = (back.abs() < value.abs()) as u32;
    f32::from_bits(nearest.to_bits() - 1 + 2 * away)
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value with its dtype as a suffix, in a form the parser reads back to the same bits: `1.5f32`, `-3i8`, `true`.
/// NaNs and infinities print as `nan_f32`, `inf_f32`; a NaN of other bits as `bits_f32(0x7fc00001)`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.dtype.name();
        if self.dtype == Dtype::Bool {
            return write!(f, "{}", self.bits != 0);
        }
        if !self.dtype.is_float() {
            return write!(f, "{}{name}", self.as_i128());
        }
        let value = self.as_f64();
        if value.is_nan() && *self == Scalar::from_f64(self.dtype, f64::NAN) {
            write!(f, "nan_{name}")
        } else if value.is_nan() {
            write!(f, "bits_{name}({:#x})", self.bits)
        } else if value.is_infinite() {
            write!(f, "{}inf_{name}", if value < 0.0 { "-" } else { "" })
        } else if self.dtype == Dtype::F32 {
            write!(f, "{:?}{name}", value as f32)
        } else {
            write!(f, "{value:?}{name}")
        }
    }
}

/// A Rust type that is the element of an array: the bridge between `T` and [`Dtype`].
pub trait Element: Copy + Send + Sync + 'static {
    /// The dtype of `Self`.
    const DTYPE: Dtype;
    /// The bits of the value, as in [`Scalar::bits`].
    fn to_bits(self) -> u64;
    /// The value with these bits.
    fn from_bits(bits: u64) -> Self;
}

macro_rules! element {
    ($($t:ty, $dtype:ident, $to:expr, $from:expr;)*) => {$(
        impl Element for $t {
            const DTYPE: Dtype = Dtype::$dtype;
            fn to_bits(self) -> u64 {
                let to: fn($t) -> u64 = $to;
                to(self)
            }
            fn from_bits(bits: u64) -> $t {
                let from: fn(u64) -> $t = $from;
                from(bits)
            }
        }

        impl From<$t> for Scalar {
            fn from(value: $t) -> Scalar {
                Scalar { dtype: Dtype::$dtype, bits: Element::to_bits(value) }
            }
        }
    )*};
}

element! {
    bool, Bool, |v| v as u64, |b| b != 0;
    i8, I8, |v| v as u8 as u64, |b| b as i8;
    i16, I16, |v| v as u16 as u64, |b| b as i16;
    i32, I32, |v| v as u32 as u64, |b| b as i32;
    i64, I64, |v| v as u64, |b| b as i64;
    u8, U8, |v| v as u64, |b| b as u8;
    u16, U16, |v| v as u64, |b| b as u16;
    u32, U32, |v| v as u64, |b| b as u32;
    u64, U64, |v| v, |b| b;
    f16, F16, |v| v.to_bits() as u64, |b| f16::from_bits(b as u16);
    bf16, Bf16, |v| v.to_bits() as u64, |b| bf16::from_bits(b as u16);
    f32, F32, |v| v.to_bits() as u64, |b| f32::from_bits(b as u32);
    f64, F64, |v| v.to_bits(), f64::from_bits;
}
