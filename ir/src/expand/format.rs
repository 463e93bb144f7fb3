//! The two binary formats the expansions compute in, as numbers, so that one formula serves both.

use crate::dtype::Dtype;

/// The layout and the rounding constants of `f32` or `f64`.
pub(super) struct Format {
    pub(super) dtype: Dtype,
    /// Bits of the stored significand: 23 or 52.
    pub(super) mantissa: i64,
    /// The exponent's bias: 127 or 1023.
    pub(super) bias: i64,
    /// 1.5 · 2^mantissa: adding it to |x| < 2^(mantissa − 1) rounds x to an integer, which then stands in the low bits.
    pub(super) magic: f64,
    /// The bits of `magic`.
    pub(super) magic_bits: i64,
    /// The least normal number.
    pub(super) least_normal: f64,
    /// ln 2 in two words; the first is so short that k · `ln2_hi` is exact for every exponent k.
    pub(super) ln2_hi: f64,
    pub(super) ln2_lo: f64,
}

pub(super) const F32: Format = Format {
    dtype: Dtype::F32,
    mantissa: 23,
    bias: 127,
    magic: 12_582_912.0,
    magic_bits: 0x4b40_0000,
    least_normal: f32::MIN_POSITIVE as f64,
    ln2_hi: f64::from_bits(0x3fe6_2e40_0000_0000),
    ln2_lo: f64::from_bits(0x3eb7_f7d1_c000_0000),
};

pub(super) const F64: Format = Format {
    dtype: Dtype::F64,
    mantissa: 52,
    bias: 1023,
    magic: 6_755_399_441_055_744.0,
    magic_bits: 0x4338_0000_0000_0000,
    least_normal: f64::MIN_POSITIVE,
    ln2_hi: f64::from_bits(0x3fe6_2e42_fefa_3800),
    ln2_lo: f64::from_bits(0x3d2e_f357_93c7_6730),
};

impl Format {
    /// The format of a float dtype that is computed in.
    pub(super) fn of(dtype: Dtype) -> &'static Format {
        match dtype {
            Dtype::F64 => &F64,
            _ => &F32,
        }
    }

    /// All bits but the sign.
    pub(super) fn magnitude_mask(&self) -> i64 {
        i64::MAX >> (64 - self.dtype.bits())
    }

    /// The sign bit alone.
    pub(super) fn sign_mask(&self) -> i64 {
        1 << (self.dtype.bits() - 1)
    }

    /// `for_f32` or `for_f64`, whichever this is.
    pub(super) fn pick<T>(&self, for_f32: T, for_f64: T) -> T {
        match self.dtype {
            Dtype::F64 => for_f64,
            _ => for_f32,
        }
    }
}
