//! The meaning of each op on the values where it is easy to get wrong, one row a case, bits compared.

use half::{bf16, f16};
use loopweave_ir::interp::{EvalError, Evaluator, apply, eval};
use loopweave_ir::{Builder, Dtype, ExprId, Op, Scalar};

/// Checks rows of `op(operands) = value`, the operands and the value as Rust values.
macro_rules! rows {
    ($($op:ident($($arg:expr),+) = $want:expr;)*) => {$({
        let args = [$(Scalar::from($arg)),+];
        let got = apply(&Op::$op, &args).unwrap_or_else(|| panic!("{} {args:?} has no value", Op::$op.name()));
        let want = Scalar::from($want);
        assert!(got.is_same(want), "{} {args:?} = {got}, not {want}", Op::$op.name());
    })*};
}

#[test]
fn integers_wrap_and_never_trap() {
    rows! {
        Neg(i8::MIN) = i8::MIN;
        Neg(1u8) = 255u8;
        Abs(i32::MIN) = i32::MIN;
        Abs(200u8) = 200u8;
        Sign(-7i16) = -1i16;
        Sign(0i16) = 0i16;
        Sign(u64::MAX) = 1u64;
        Not(0u16) = u16::MAX;
        Add(i64::MAX, 1i64) = i64::MIN;
        Sub(0u32, 1u32) = u32::MAX;
        Mul(i16::MIN, -1i16) = i16::MIN;
        Fma(200u8, 2u8, 200u8) = 88u8;
        Minimum(-1i8, 1i8) = -1i8;
        Minimum(255u8, 1u8) = 1u8;
        Fmax(-1i8, 1i8) = 1i8;
    }
}

#[test]
fn integer_division_takes_each_direction() {
    rows! {
        TruncDiv(7i32, 0i32) = 0i32;
        TruncDiv(i32::MIN, -1i32) = i32::MIN;
        TruncDiv(-7i32, 2i32) = -3i32;
        Rem(-7i32, 2i32) = -1i32;
        Rem(7i32, -2i32) = 1i32;
        Rem(i32::MIN, -1i32) = 0i32;
        Rem(7i32, 0i32) = 0i32;
        FloorDiv(-7i32, 2i32) = -4i32;
        FloorDiv(7i32, -2i32) = -4i32;
        FloorDiv(-8i32, 2i32) = -4i32;
        FloorDiv(i32::MIN, -1i32) = i32::MIN;
        FloorDiv(7i32, 0i32) = 0i32;
        FloorDiv(200u8, 3u8) = 66u8;
        FloorDiv(1u8, 255u8) = 0u8;
        FloorMod(-7i32, 2i32) = 1i32;
        FloorMod(7i32, -2i32) = -1i32;
        FloorMod(-8i32, 2i32) = 0i32;
        FloorMod(i32::MIN, -1i32) = 0i32;
        FloorMod(7i32, 0i32) = 0i32;
        FloorMod(1u8, 255u8) = 1u8;
    }
}

#[test]
fn integer_powers_wrap_and_truncate() {
    rows! {
        Pow(3i32, 4i32) = 81i32;
        Pow(0i32, 0i32) = 1i32;
        Pow(2i8, 7i8) = -128i8;
        Pow(3u64, u64::MAX) = 0xaaaa_aaaa_aaaa_aaabu64; // The inverse of 3, whose order divides 2^64.
        Pow(1i32, -5i32) = 1i32;
        Pow(-1i32, -5i32) = -1i32;
        Pow(-1i32, -4i32) = 1i32;
        Pow(-1i64, i64::MIN) = 1i64;
        Pow(2i32, -1i32) = 0i32;
        Pow(0i32, -1i32) = 0i32;
    }
}

#[test]
fn shift_counts_are_taken_modulo_the_width() {
    rows! {
        Shl(1u8, 9u8) = 2u8;
        Shl(1i8, -1i8) = i8::MIN;
        Shl(1i64, 64i64) = 1i64;
        Shr(-8i32, 1i32) = -4i32;
        Shr(-8i32, 33i32) = -4i32;
        Shr(0x8000_0000u32, 31u32) = 1u32;
        Shr(i64::MIN, 63i64) = -1i64;
    }
}

#[test]
fn floats_keep_signs_of_zero_and_nan() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    rows! {
        Sign(-0.0f32) = 0.0f32;
        Sign(-inf) = -1.0f32;
        Sign(nan) = nan;
        Round(2.5f64) = 2.0f64;
        Round(3.5f64) = 4.0f64;
        Round(-0.5f64) = -0.0f64;
        Ceil(-0.5f32) = -0.0f32;
        Trunc(-0.9f32) = -0.0f32;
        Sqrt(-0.0f32) = -0.0f32;
        Sqrt(-1.0f32) = nan;
        Recip(-0.0f32) = -inf;
        Minimum(0.0f32, -0.0f32) = -0.0f32;
        Minimum(-0.0f32, 0.0f32) = -0.0f32;
        Maximum(0.0f32, -0.0f32) = 0.0f32;
        Maximum(-0.0f32, 0.0f32) = 0.0f32;
        Minimum(nan, 1.0f32) = nan;
        Maximum(1.0f32, nan) = nan;
        Fmin(nan, 1.0f32) = 1.0f32;
        Fmax(1.0f32, nan) = 1.0f32;
        Fmax(nan, nan) = nan;
        Fmin(0.0f32, -0.0f32) = -0.0f32;
        Fmax(-0.0f32, 0.0f32) = 0.0f32;
        Copysign(nan, -1.0f32) = nan;
        Copysign(3.0f32, -0.0f32) = -3.0f32;
        Fma(1.0f32 + f32::EPSILON, 1.0f32 - f32::EPSILON, -1.0f32) = -f32::EPSILON * f32::EPSILON;
        Lt(nan, nan) = false;
        Ne(nan, nan) = true;
        Eq(0.0f32, -0.0f32) = true;
        IsNan(nan) = true;
        IsInf(-inf) = true;
        IsFinite(f32::MAX) = true;
        IsFinite(nan) = false;
    }
    let negated = apply(&Op::Neg, &[Scalar::from(f32::NAN)]);
    assert_eq!(
        negated.map(Scalar::bits),
        Some(0xffc0_0000),
        "`neg` flips the sign of a NaN"
    );
}

#[test]
fn float_division_takes_each_direction() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    rows! {
        TruncDiv(-7.0f64, 2.0) = -3.0f64;
        TruncDiv(-1.0f64, 2.0) = -0.0f64;
        TruncDiv(1.0f64, 0.0) = inf;
        Rem(-7.5f64, 2.0) = -1.5f64;
        Rem(1.0f64, inf) = 1.0f64;
        Rem(1.0f64, 0.0) = nan;
        FloorDiv(-7.0f64, 2.0) = -4.0f64;
        // 1.0 / 0.1 rounds to 10, but 0.1 is a little above a tenth.
        FloorDiv(1.0f64, 0.1) = 9.0f64;
        // The quotient 1049105509967.9999 is snapped to the integer it stands for.
        FloorDiv(4954350870919.41f64, 4.722452435761166) = 1049105509968.0f64;
        FloorMod(4954350870919.41f64, 4.722452435761166) = 0.5679659964283132f64;
        FloorDiv(-1.0f64, inf) = -1.0f64;
        FloorDiv(0.0f64, -2.0) = -0.0f64;
        FloorDiv(1.0f64, -inf) = -1.0f64;
        FloorDiv(1.0f64, 0.0) = inf;
        FloorDiv(0.0f64, 0.0) = nan;
        FloorDiv(inf, 2.0) = nan;
        FloorMod(-7.0f64, 2.0) = 1.0f64;
        FloorMod(7.0f64, -2.0) = -1.0f64;
        FloorMod(4.0f64, -2.0) = -0.0f64;
        FloorMod(-4.0f64, 2.0) = 0.0f64;
        FloorMod(-1.0f64, inf) = inf;
        FloorMod(1.0f64, 0.0) = nan;
    }
}

#[test]
fn casts_round_saturate_and_wrap() {
    let rows: &[(Scalar, Scalar)] = &[
        (300i32.into(), 44u8.into()),
        ((-1i8).into(), u64::MAX.into()),
        (3.9f32.into(), 3i8.into()),
        ((-3.9f64).into(), (-3i64).into()),
        (f32::NAN.into(), 0i32.into()),
        (f32::INFINITY.into(), i16::MAX.into()),
        ((-1.0f64).into(), 0u8.into()),
        (1e30f32.into(), u64::MAX.into()),
        (f64::NAN.into(), true.into()),
        ((-0.0f64).into(), false.into()),
        (0.25f64.into(), true.into()),
        (true.into(), 1.0f32.into()),
        // Directly to f32: by way of f64 this would round to even twice and lose the tie's sticky bit.
        (
            0x8000_0080_0000_0001u64.into(),
            ((1u64 << 63) as f32 * (1.0 + f32::EPSILON)).into(),
        ),
        (i64::MIN.into(), (i64::MIN as f64).into()),
        (1e300f64.into(), f32::INFINITY.into()),
        (65519.996f32.into(), f16::MAX.into()),
        (65520.0f32.into(), f16::INFINITY.into()),
        // Ties of f16 between subnormals go to even.
        (f32::from_bits(0x3300_0000).into(), f16::from_bits(0).into()),
        (f32::from_bits(0x3300_0001).into(), f16::from_bits(1).into()),
        (f32::from_bits(0x3f80_8000).into(), bf16::from_bits(0x3f80).into()),
        (f32::from_bits(0x3f81_8000).into(), bf16::from_bits(0x3f82).into()),
        (f16::from_bits(0x0001).into(), 2f32.powi(-24).into()),
        (bf16::from_bits(0x8000).into(), (-0.0f32).into()),
    ];
    for &(from, want) in rows {
        let got = apply(&Op::Cast(want.dtype()), &[from]);
        assert_eq!(got, Some(want), "{from} as {}", want.dtype());
    }
    assert_eq!(
        apply(&Op::Cast(Dtype::F16), &[Scalar::from(1.0f64)]),
        None,
        "storage types are reached from f32 alone"
    );
}

#[test]
fn literals_round_once_to_sixteen_bits() {
    // Halfway between two values of the type, and a little above: f64 → f32 → f16 would see a tie.
    let above = |tie: f64| f64::from_bits(tie.to_bits() + 1);
    for dtype in [Dtype::F16, Dtype::Bf16] {
        let ulp = if dtype == Dtype::F16 {
            2f64.powi(-10)
        } else {
            2f64.powi(-7)
        };
        let bits = |v: f64| Scalar::from_f64(dtype, v).bits();
        let one = bits(1.0);
        assert_eq!(bits(1.0 + ulp / 2.0), one, "{dtype}: a tie goes to even");
        assert_eq!(bits(above(1.0 + ulp / 2.0)), one + 1, "{dtype}: above the tie");
        assert_eq!(bits(1.0 + ulp), one + 1);
        assert_eq!(bits(-f64::MIN_POSITIVE), 0x8000, "{dtype}: underflow keeps the sign");
    }
    assert_eq!(Scalar::from_f64(Dtype::F16, above(2f64.powi(-25))).bits(), 1);
    assert_eq!(Scalar::from_f64(Dtype::F16, f64::MAX), f16::INFINITY.into());
    assert!(Scalar::from_f64(Dtype::Bf16, f64::NAN).is_nan());
}

#[test]
fn a_function_is_evaluated_at_each_element() {
    let mut b = Builder::typed("f");
    let x = b.param("x", Some(Dtype::F16));
    let wide = b.cast(x, Dtype::F32);
    let index = b.node(Op::Index, &[]);
    let at = b.cast(index, Dtype::F32);
    let sum = b.node(Op::Add, &[wide, at]);
    let stored = b.cast(sum, Dtype::F16);
    let func = b.finish(&[stored, index]);
    let mut evaluator = Evaluator::new(&func).unwrap();
    for i in [0i64, 1, 2047, 2049] {
        let want = f16::from_f32(0.5 + i as f32);
        let got = evaluator.eval(&[f16::from_f32(0.5).into()], i).unwrap();
        assert_eq!(got, [Scalar::from(want), Scalar::from(i)]);
    }
    assert_eq!(
        evaluator.eval(&[], 0),
        Err(EvalError::ArgumentCount { expected: 1, found: 0 })
    );
    let wrong = EvalError::ArgumentType {
        index: 0,
        expected: Dtype::F16,
        found: Dtype::F32,
    };
    assert_eq!(evaluator.eval(&[Scalar::from(1.0f32)], 0), Err(wrong));
}

#[test]
fn an_unexpanded_op_is_named() {
    let mut b = Builder::typed("f");
    let x = b.param("x", Some(Dtype::F64));
    let exp = b.node(Op::Exp, &[x]);
    let func = b.finish(&[exp]);
    let error = eval(&func, &[Scalar::from(1.0f64)], 0).unwrap_err();
    assert_eq!(
        error,
        EvalError::NotExpanded {
            id: ExprId(1),
            op: Op::Exp,
            dtype: Dtype::F64
        }
    );
    assert_eq!(
        error.to_string(),
        "%1: `exp` of f64 is evaluated only after it is expanded into basic ops"
    );

    let mut b = Builder::polymorphic("g");
    let x = b.param("x", None);
    let func = b.finish(&[x]);
    assert_eq!(eval(&func, &[Scalar::from(1.0f64)], 0), Err(EvalError::Polymorphic));
}
