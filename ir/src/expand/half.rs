//! The 16-bit storage floats converted to and from `f32` by integer arithmetic on bits.
//!
//! In: the bits of a storage value as `u16`, or an `f32`. Out: the other. Narrowing rounds once, to nearest even, with
//! subnormal results right; a NaN stays a NaN, made quiet, with the top of its payload.

use super::value::{Context, Value};
use crate::dtype::Dtype;
use crate::func::{Builder, ExprId};

/// The `f32` whose value is that of the `f16` with these bits (`u16`).
pub fn f16_to_f32(builder: &mut Builder, bits: ExprId) -> ExprId {
    within(builder, |cx| widen_f16(cx.value(bits)).id)
}

/// The bits (`u16`) of the `f16` nearest to an `f32`.
pub fn f32_to_f16(builder: &mut Builder, x: ExprId) -> ExprId {
    within(builder, |cx| narrow_f16(cx.value(x)).id)
}

/// The `f32` whose value is that of the `bf16` with these bits (`u16`).
pub fn bf16_to_f32(builder: &mut Builder, bits: ExprId) -> ExprId {
    within(builder, |cx| widen_bf16(cx.value(bits)).id)
}

/// The bits (`u16`) of the `bf16` nearest to an `f32`.
pub fn f32_to_bf16(builder: &mut Builder, x: ExprId) -> ExprId {
    within(builder, |cx| narrow_bf16(cx.value(x)).id)
}

fn within(builder: &mut Builder, emit: impl FnOnce(&Context) -> ExprId) -> ExprId {
    let cx = Context::new(std::mem::replace(builder, Builder::typed("")));
    let id = emit(&cx);
    *builder = cx.into_builder();
    id
}

/// 13 ops. The 15 low bits, moved up 13 places, are an `f32` too small by 2^112; the multiplication by 2^112 is exact and
/// normalises subnormal numbers. Infinities and NaNs (exponent 31) get the exponent 255 instead.
pub(super) fn widen_f16(bits: Value<'_>) -> Value<'_> {
    let bits = bits.cast(Dtype::U32);
    let magnitude = (bits & 0x7fff) << 13;
    let scaled = magnitude.bitcast(Dtype::F32) * f64::from_bits((1023 + 112) << 52);
    let special = magnitude | 0x7f80_0000;
    // Signalling NaNs become quiet, as the processor's own conversion makes them.
    let quiet = magnitude.gt(0x0f80_0000).select(special | 0x0040_0000, special);
    let wide = magnitude.ge(0x0f80_0000).select(quiet, scaled.bits());
    (wide | ((bits & 0x8000) << 16)).bitcast(Dtype::F32)
}

/// 20 ops, after Fabian Giesen's `float_to_half_fast3_rtne`: a normal result is rounded by adding half an ulp (less one,
/// plus the bit that is to become even) before the shift; a subnormal one by the adder, beside 1/2, whose ulp is the least
/// `f16`.
pub(super) fn narrow_f16(x: Value<'_>) -> Value<'_> {
    let bits = x.bits();
    let magnitude = bits & 0x7fff_ffff;
    let even = (magnitude >> 13) & 1;
    // The exponent's bias falls from 127 to 15.
    let normal = (magnitude + even + (0xfff - (112i64 << 23))) >> 13;
    let anchored = magnitude.bitcast(Dtype::F32) + 0.5;
    let subnormal = anchored.bits() - 0x3f00_0000;
    let finite = magnitude.lt(0x3880_0000).select(subnormal, normal);
    let infinite = magnitude.constant(0x7c00);
    let nan = ((magnitude >> 13) & 0x3ff) | 0x7e00;
    let special = magnitude.gt(0x7f80_0000).select(nan, infinite);
    let narrow = magnitude.ge(0x4780_0000).select(special, finite);
    (narrow | ((bits >> 16) & 0x8000)).cast(Dtype::U16)
}

/// 6 ops: a `bf16` is the upper half of an `f32`.
pub(super) fn widen_bf16(bits: Value<'_>) -> Value<'_> {
    let wide = bits.cast(Dtype::U32) << 16;
    let quiet = (wide & 0x7fff_ffff).gt(0x7f80_0000).select(wide | 0x0040_0000, wide);
    quiet.bitcast(Dtype::F32)
}

/// 9 ops: half an ulp (less one, plus the bit that is to become even) is added before the lower half is dropped; the carry
/// may run into the exponent, to infinity too.
pub(super) fn narrow_bf16(x: Value<'_>) -> Value<'_> {
    let bits = x.bits();
    let rounded = (bits + ((bits >> 16) & 1) + 0x7fff) >> 16;
    let quiet = (bits >> 16) | 0x0040;
    x.ne(x).select(quiet, rounded).cast(Dtype::U16)
}
