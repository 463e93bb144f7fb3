//! The op table: every op's name, arity, type rule, cost, the stage that removes it, and the error bound.
//!
//! In: a name from text or a method of a traced closure. Out: the [`Op`], and what every later stage must know of it.
//!
//! # Meaning
//!
//! The interpreter ([`crate::interp`]) is the definition; these rules hold for all of them:
//!
//! - Floats are IEEE 754-2019, round to nearest even, no flush to zero. The sign and payload of a NaN that an arithmetic op
//!   makes are unspecified (processors differ); `neg`, `abs`, `copysign`, `select` and `bitcast` only move bits.
//! - Nothing traps. Integers wrap; shift counts are taken modulo the width; `>>` is arithmetic on signed types;
//!   integer quotients (`trunc_div`, `floor_div`) and remainders by 0 are 0, and `MIN` divided by −1 wraps to `MIN`.
//! - `cast` float → integer truncates, saturates, and takes NaN as 0; integer → narrower integer wraps; anything → `bool` is
//!   `x != 0`, so NaN is true.
//! - `<` and its kin are false on NaN, `!=` is true. `minimum` and `maximum` propagate NaN and order −0 below +0;
//!   `fmin` and `fmax` prefer the number over the NaN.
//!
//! Invariant: adding an op is adding a row here; every `match` over [`Op`] in the workspace is exhaustive, so the compiler
//! then names each place that must say what the op means.

use std::fmt;

use crate::dtype::{Dtype, Scalar, Weak};
use crate::table::Column;

/// How the dtypes of an op's operands decide the type it computes in and the type of its result.
///
/// Operands of any mix of types are accepted in a polymorphic function; [`crate::infer::specialise`] inserts the casts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// All operands meet by promotion; the result has that type. On `bool`, `add` and `maximum` are "or", `mul` and
    /// `minimum` are "and", as in NumPy.
    Arith,
    /// As [`Rule::Arith`], but `bool` is refused.
    Number,
    /// As [`Rule::Number`] for floats and integers; integers and `bool` pass through unchanged (`floor` of an integer).
    Rounding,
    /// Computed in a float type: integers are taken to [`Dtype::float_for`] first.
    Float,
    /// NumPy's `true_divide`: floats meet by promotion, integers and `bool` become `f64`.
    TrueDivide,
    /// Operands meet by promotion, without losing bits between `i64` and `u64`; the result is `bool`.
    Compare,
    /// Integers or `bool`, which meet by promotion.
    Bits,
    /// Integers, which meet by promotion; the count is the second operand.
    Shift,
    /// One operand of any type; the result is `bool`.
    Predicate,
    /// One float; the result is the signed integer of its width ([`Dtype::to_signed`]).
    Exponent,
    /// A float (or what [`Rule::Float`] makes one of), then an integer, taken to the signed type of the float's width.
    Scale,
    /// A `bool` condition, then two operands that meet by promotion.
    Select,
    /// The type is part of the op (`Cast`, `Const`, …).
    Own,
}

/// Which stage removes an op, and so who must give it a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Every back end emits it.
    Basic,
    /// [`crate::expand`] writes it in basic ops before code generation.
    Expanded,
}

/// How exact the functions are that have no exact form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Accuracy {
    /// At most 1 ulp for elementary functions, 2 for composed ones: [`Op::max_ulp`] has the bound of each.
    #[default]
    Precise,
    /// At most 4 ulp, for fewer operations where there is such a form.
    Fast,
}

impl Accuracy {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Accuracy::Precise => "precise",
            Accuracy::Fast => "fast",
        }
    }
}

/// Bounds of an expansion on floats, in units in the last place.
struct Ulps {
    f32: f64,
    f64: f64,
    /// That of the fast tier at both types, where it has a form of its own.
    fast: Option<f64>,
}

/// What an op costs, for the models that weigh recomputation and parallelism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cost {
    /// Nothing: parameters and constants.
    Free,
    /// One or two instructions per vector.
    Cheap,
    /// A division, a square root, or a lane-by-lane sequence.
    Medium,
    /// A polynomial: some tens of instructions per vector.
    Expensive,
}

impl Cost {
    /// Arithmetic instructions per vector, roughly.
    pub const fn flops(self) -> u32 {
        match self {
            Cost::Free => 0,
            Cost::Cheap => 1,
            Cost::Medium => 6,
            Cost::Expensive => 25,
        }
    }
}

/// A weakly typed literal, which takes the type of what it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// An integer; the parser bounds it to what `i64` or `u64` can hold.
    Int(i128),
    /// A float, by the bits of its `f64` value so that literals hash.
    Float(u64),
}

impl Literal {
    /// A float literal.
    pub const fn float(value: f64) -> Literal {
        Literal::Float(value.to_bits())
    }

    /// The weak type of the literal.
    pub const fn weak(self) -> Weak {
        match self {
            Literal::Bool(_) => Weak::Bool,
            Literal::Int(_) => Weak::Int,
            Literal::Float(_) => Weak::Float,
        }
    }

    /// The literal as a value of `dtype`, or `None` where it does not fit: an integer outside the type's range, a float for
    /// an integer type.
    pub fn to_scalar(self, dtype: Dtype) -> Option<Scalar> {
        match (self, dtype) {
            (Literal::Bool(b), _) => Some(Scalar::from_i128(dtype, b as i128)),
            (Literal::Int(_) | Literal::Float(_), Dtype::Bool) => None,
            (Literal::Int(i), _) => {
                let value = Scalar::from_i128(dtype, i);
                (dtype.is_float() || value.as_i128() == i).then_some(value)
            }
            (Literal::Float(bits), _) => dtype.is_float().then(|| Scalar::from_f64(dtype, f64::from_bits(bits))),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Literal::Bool(value) => value.fmt(f),
            Literal::Int(value) => value.fmt(f),
            Literal::Float(bits) => write!(f, "{:?}", f64::from_bits(bits)),
        }
    }
}

macro_rules! literals {
    ($($t:ty => $make:expr;)*) => {$(
        impl From<$t> for Literal {
            fn from(value: $t) -> Literal {
                let make: fn($t) -> Literal = $make;
                make(value)
            }
        }
    )*};
}

literals! {
    bool => Literal::Bool;
    i32 => |v| Literal::Int(v.into());
    i64 => |v| Literal::Int(v.into());
    u64 => |v| Literal::Int(v.into());
    f32 => |v| Literal::float(v.into());
    f64 => Literal::float;
}

/// The table. A row is a name, arity, rule, cost and stage, and after `within` the largest distance from the exact value in
/// ulps: of `f32`, of `f64`, and of the fast tier where that has another form. Without it results are exact in the sense of
/// the op's definition. The meaning of `functions` on floats is their expansion, so their stage goes without saying.
macro_rules! ops {
    (
        own { $($own:tt)* }
        functions {
            $(
                $(#[doc = $doc:literal])* $variant:ident $name:literal $arity:literal $rule:ident $cost:ident
                $(within $f32:literal $f64:literal $(fast $fast:literal)?)?;
            )*
        }
    ) => {
        ops! {
            @table
            $(
                $(#[doc = $doc])* $variant $name $arity $rule $cost Expanded
                $(within $f32 $f64 $(fast $fast)?)?;
            )*
            $($own)*
        }

        /// The pattern of the ops whose meaning on floats is their expansion.
        macro_rules! functions {
            () => { $(Op::$variant)|* };
        }
        pub(crate) use functions;
    };
    (
        @table
        $(
            $(#[doc = $doc:literal])* $variant:ident $name:literal $arity:literal $rule:ident $cost:ident $stage:ident
            $(within $f32:literal $f64:literal $(fast $fast:literal)?)?;
        )*
    ) => {
        /// One operation of the IR.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Op {
            /// The function's parameter of this index.
            Param(u32),
            /// A typed constant.
            Const(Scalar),
            /// A weakly typed literal; only in polymorphic functions.
            Literal(Literal),
            /// The position of the element along the reduced axes, counted in C order from 0, as `i64`; only in the
            /// map function of a reduction.
            Index,
            /// Conversion of the value to a type.
            Cast(Dtype),
            /// The same bits as a value of a type of the same width.
            Bitcast(Dtype),
            /// The entry of a table's column that the low bits of an unsigned integer of the same width number.
            Lookup(Column),
            $(
                $(#[doc = $doc])*
                $(#[doc = concat!(
                    "\n\nWithin ", $f32, " ulp in `f32` and ", $f64, " in `f64`" $(, ", or ", $fast, " in the fast tier")?, ".",
                )])?
                $variant,
            )*
        }

        impl Op {
            /// Every op that has a name of its own, functions first: all but parameters, constants, `Index`, `Cast`,
            /// `Bitcast` and `Lookup`.
            pub const ALL: &'static [Op] = &[$(Op::$variant),*];

            /// The name in text, in printed IR and in reports.
            pub const fn name(&self) -> &'static str {
                match self {
                    Op::Param(_) => "param",
                    Op::Const(_) => "const",
                    Op::Literal(_) => "literal",
                    Op::Index => "index",
                    Op::Cast(_) => "cast",
                    Op::Bitcast(_) => "bitcast",
                    Op::Lookup(_) => "lookup",
                    $(Op::$variant => $name,)*
                }
            }

            /// The number of operands.
            pub const fn arity(&self) -> usize {
                match self {
                    Op::Param(_) | Op::Const(_) | Op::Literal(_) | Op::Index => 0,
                    Op::Cast(_) | Op::Bitcast(_) | Op::Lookup(_) => 1,
                    $(Op::$variant => $arity,)*
                }
            }

            /// How operand types decide the result's.
            pub const fn rule(&self) -> Rule {
                match self {
                    Op::Param(_) | Op::Const(_) | Op::Literal(_) | Op::Index => Rule::Own,
                    Op::Cast(_) | Op::Bitcast(_) | Op::Lookup(_) => Rule::Own,
                    $(Op::$variant => Rule::$rule,)*
                }
            }

            /// What the op costs.
            pub const fn cost(&self) -> Cost {
                match self {
                    Op::Param(_) | Op::Const(_) | Op::Literal(_) => Cost::Free,
                    Op::Index | Op::Cast(_) | Op::Bitcast(_) | Op::Lookup(_) => Cost::Cheap,
                    $(Op::$variant => Cost::$cost,)*
                }
            }

            /// Which stage removes the op when its operands are floats; integer forms are in [`Op::stage_for`].
            const fn float_stage(&self) -> Stage {
                match self {
                    $(Op::$variant => Stage::$stage,)*
                    _ => Stage::Basic,
                }
            }

            /// What the row states as bounds.
            const fn ulps(&self) -> Ulps {
                match self {
                    $($(Op::$variant => Ulps { f32: $f32 as f64, f64: $f64 as f64, fast: ops!(@fast $($fast)?) },)?)*
                    _ => Ulps { f32: 0.0, f64: 0.0, fast: None },
                }
            }

            /// The op of this name.
            pub fn from_name(name: &str) -> Option<Op> {
                Op::ALL.iter().find(|op| op.name() == name).copied()
            }
        }
    };
    (@fast) => { None };
    (@fast $fast:literal) => { Some($fast as f64) };
}

ops! {
    own {
        /// −x: flips a float's sign bit, wraps an integer.
        Neg "neg" 1 Number Cheap Basic;
        /// |x|: clears a float's sign bit; `MIN` stays `MIN`.
        Abs "abs" 1 Number Cheap Basic;
        /// −1, 0 or 1; NaN for NaN; +0 for −0.
        Sign "sign" 1 Number Cheap Expanded;
        /// Bitwise complement; logical "not" on `bool`.
        Not "not" 1 Bits Cheap Basic;
        /// The largest integer not above x.
        Floor "floor" 1 Rounding Cheap Basic;
        /// The smallest integer not below x.
        Ceil "ceil" 1 Rounding Cheap Basic;
        /// x without its fraction.
        Trunc "trunc" 1 Rounding Cheap Basic;
        /// The nearest integer, ties to even.
        Round "round" 1 Rounding Cheap Basic;
        /// √x, correctly rounded.
        Sqrt "sqrt" 1 Float Medium Basic;
        /// 1/x, correctly rounded.
        Recip "recip" 1 Float Medium Expanded within 0.5 0.5;
        /// Whether x is a NaN.
        IsNan "is_nan" 1 Predicate Cheap Expanded;
        /// Whether x is neither infinite nor a NaN.
        IsFinite "is_finite" 1 Predicate Cheap Expanded;
        /// Whether x is infinite.
        IsInf "is_inf" 1 Predicate Cheap Expanded;

        /// x + y.
        Add "add" 2 Arith Cheap Basic;
        /// x − y.
        Sub "sub" 2 Number Cheap Basic;
        /// x · y.
        Mul "mul" 2 Arith Cheap Basic;
        /// The quotient, as NumPy's `/`: integers are divided as `f64`.
        Div "div" 2 TrueDivide Medium Basic;
        /// The quotient rounded toward zero, as Rust's `/` on integers; x / 0 is 0 for integers.
        TruncDiv "trunc_div" 2 Number Medium Expanded;
        /// The quotient rounded down, as NumPy's `//`; x / 0 is 0 for integers.
        FloorDiv "floor_div" 2 Number Medium Expanded;
        /// The remainder of `trunc_div`, with the sign of x, as Rust's `%` and C's `fmod`; exact for floats; x % 0 is 0 for
        /// integers.
        Rem "rem" 2 Number Medium Basic;
        /// The remainder of `floor_div`, with the sign of y, as NumPy's `%`; x mod 0 is 0 for integers.
        FloorMod "floor_mod" 2 Number Medium Expanded;
        /// xʸ; on integers wrapping, and truncated toward zero for y < 0 (0 for x = 0).
        Pow "pow" 2 Number Expensive Expanded within 1 1;
        /// |x| with the sign of y.
        Copysign "copysign" 2 Float Cheap Expanded;
        /// The lesser; NaN if either is; −0 is below +0.
        Minimum "minimum" 2 Arith Cheap Basic;
        /// The greater; NaN if either is; +0 is above −0.
        Maximum "maximum" 2 Arith Cheap Basic;
        /// The lesser; the other operand if one is NaN.
        Fmin "fmin" 2 Arith Cheap Expanded;
        /// The greater; the other operand if one is NaN.
        Fmax "fmax" 2 Arith Cheap Expanded;

        /// x = y.
        Eq "eq" 2 Compare Cheap Basic;
        /// x ≠ y.
        Ne "ne" 2 Compare Cheap Basic;
        /// x < y.
        Lt "lt" 2 Compare Cheap Basic;
        /// x ≤ y.
        Le "le" 2 Compare Cheap Basic;
        /// x > y.
        Gt "gt" 2 Compare Cheap Basic;
        /// x ≥ y.
        Ge "ge" 2 Compare Cheap Basic;

        /// Bitwise "and"; logical on `bool`.
        And "and" 2 Bits Cheap Basic;
        /// Bitwise "or"; logical on `bool`.
        Or "or" 2 Bits Cheap Basic;
        /// Bitwise "exclusive or"; logical on `bool`.
        Xor "xor" 2 Bits Cheap Basic;
        /// x shifted left by y modulo the width.
        Shl "shl" 2 Shift Cheap Basic;
        /// x shifted right by y modulo the width: arithmetic on signed types, logical on unsigned ones.
        Shr "shr" 2 Shift Cheap Basic;

        /// x · y + z: with one rounding for floats, wrapping for integers.
        Fma "fma" 3 Number Cheap Basic;
        /// The second operand where the first is true, else the third.
        Select "select" 3 Select Cheap Basic;
        /// As `select`, where the condition is seldom true: code may branch around what only the second operand needs where
        /// none of its elements wants that.
        Rare "rare" 3 Select Cheap Basic;
    }

    functions {
        /// The nearest integer, ties away from zero.
        RoundAway "round_away" 1 Rounding Cheap;
        /// eˣ.
        Exp "exp" 1 Float Expensive within 1 1;
        /// 2ˣ.
        Exp2 "exp2" 1 Float Expensive within 1 1;
        /// 10ˣ.
        Exp10 "exp10" 1 Float Expensive within 1 1;
        /// eˣ − 1.
        Expm1 "expm1" 1 Float Expensive within 1 1 fast 4;
        /// Natural logarithm.
        Ln "ln" 1 Float Expensive within 1 1;
        /// Logarithm to base 2.
        Log2 "log2" 1 Float Expensive within 1 1;
        /// Logarithm to base 10.
        Log10 "log10" 1 Float Expensive within 1 1 fast 4;
        /// ln(1 + x).
        Log1p "log1p" 1 Float Expensive within 1 1 fast 4;
        /// Sine of x radians.
        Sin "sin" 1 Float Expensive within 1 1;
        /// Cosine of x radians.
        Cos "cos" 1 Float Expensive within 1 1;
        /// Tangent of x radians.
        Tan "tan" 1 Float Expensive within 1 1;
        /// Sine of x half turns: sin πx.
        SinPi "sinpi" 1 Float Expensive within 1 1;
        /// Cosine of x half turns: cos πx.
        CosPi "cospi" 1 Float Expensive within 1 1;
        /// Inverse sine, in radians.
        Asin "asin" 1 Float Expensive within 1 1 fast 4;
        /// Inverse cosine, in radians.
        Acos "acos" 1 Float Expensive within 1 1 fast 4;
        /// Inverse tangent, in radians.
        Atan "atan" 1 Float Expensive within 1 1 fast 4;
        /// Hyperbolic sine.
        Sinh "sinh" 1 Float Expensive within 1 1 fast 4;
        /// Hyperbolic cosine.
        Cosh "cosh" 1 Float Expensive within 1 1 fast 4;
        /// Hyperbolic tangent.
        Tanh "tanh" 1 Float Expensive within 1 1;
        /// Inverse hyperbolic sine.
        Asinh "asinh" 1 Float Expensive within 1 1 fast 4;
        /// Inverse hyperbolic cosine.
        Acosh "acosh" 1 Float Expensive within 1 1 fast 4;
        /// Inverse hyperbolic tangent.
        Atanh "atanh" 1 Float Expensive within 1 1 fast 4;
        /// Cube root.
        Cbrt "cbrt" 1 Float Expensive within 1 1;
        /// 1/√x.
        Rsqrt "rsqrt" 1 Float Expensive within 1 1 fast 4;
        /// The error function 2/√π ∫₀ˣ e^(−t²) dt.
        Erf "erf" 1 Float Expensive within 1 1;
        /// 1 − erf(x).
        Erfc "erfc" 1 Float Expensive within 2 2;
        /// 1 / (1 + e⁻ˣ).
        Sigmoid "sigmoid" 1 Float Expensive within 1 1;
        /// ln(1 + eˣ).
        Softplus "softplus" 1 Float Expensive within 2 2;
        /// x Φ(x) with the normal distribution function Φ.
        Gelu "gelu" 1 Float Expensive within 2 2;
        /// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, the approximation of `gelu` that many models are trained with.
        GeluTanh "gelu_tanh" 1 Float Expensive within 2 2;
        /// x / (1 + e⁻ˣ).
        Silu "silu" 1 Float Expensive within 2 2;
        /// x tanh(ln(1 + eˣ)).
        Mish "mish" 1 Float Expensive within 2 2;
        /// ln |Γ(x)|.
        LnGamma "lgamma" 1 Float Expensive within 2 2;
        /// Γ(x); NaN at negative integers.
        Gamma "gamma" 1 Float Expensive within 2 2;
        /// The exponent e of x = s · 2ᵉ with ½ ≤ |s| < 1, an integer of the width of x; 0 for zeros, infinities and NaN.
        Exponent "exponent" 1 Exponent Cheap;
        /// The s of x = s · 2ᵉ with ½ ≤ |s| < 1; x itself for zeros, infinities and NaN.
        Significand "significand" 1 Float Cheap;

        /// The angle of the point (y, x), in radians: the first operand is y.
        Atan2 "atan2" 2 Float Expensive within 1 1;
        /// √(x² + y²) without undue overflow.
        Hypot "hypot" 2 Float Expensive within 1 1;
        /// ln(eˣ + eʸ).
        LogAddExp "logaddexp" 2 Float Expensive within 2 2;
        /// IEEE 754's remainder x − n y, n the integer nearest to x / y, ties to even; exact, with the sign of x when 0.
        Remainder "remainder" 2 Float Medium;
        /// The next number after x toward y; y where they are equal.
        NextAfter "nextafter" 2 Float Cheap;
        /// x · 2ⁿ with one rounding, for an integer n of the width of x.
        Ldexp "ldexp" 2 Scale Cheap;
    }
}

impl Op {
    /// Which stage removes the op at operands of this (compute) dtype: integer `trunc_div` is basic while the float one is
    /// expanded.
    pub const fn stage_for(&self, dtype: Dtype) -> Stage {
        match (self, dtype.is_float()) {
            (Op::TruncDiv, false) => Stage::Basic,
            (op, _) => op.float_stage(),
        }
    }

    /// The largest distance of the expansion from the exact value where operands are of this (compute) dtype, in units in the
    /// last place; `None` for an op that is not expanded. Integer and exact expansions have bound 0. `ir/ACCURACY.md` has the
    /// errors measured.
    ///
    /// ```
    /// use loopweave_ir::{Accuracy, Dtype, Op};
    /// assert_eq!(Op::Asin.max_ulp(Dtype::F32, Accuracy::Precise), Some(1.0));
    /// assert_eq!(Op::Asin.max_ulp(Dtype::F32, Accuracy::Fast), Some(4.0));
    /// assert_eq!(Op::Add.max_ulp(Dtype::F32, Accuracy::Fast), None);
    /// ```
    pub fn max_ulp(&self, dtype: Dtype, accuracy: Accuracy) -> Option<f64> {
        let Ulps { f32, f64, fast } = self.ulps();
        let precise = match dtype {
            _ if !dtype.is_float() => return (self.stage_for(dtype) == Stage::Expanded).then_some(0.0),
            Dtype::F64 => f64,
            _ => f32,
        };
        let bound = fast.filter(|_| accuracy == Accuracy::Fast).unwrap_or(precise);
        (self.stage_for(dtype) == Stage::Expanded).then_some(bound)
    }

    /// The tier of the form that the op has on floats where this one is asked for: not every op has a fast form.
    pub const fn tier(&self, accuracy: Accuracy) -> Accuracy {
        match self.ulps().fast {
            Some(_) => accuracy,
            None => Accuracy::Precise,
        }
    }

    /// Whether swapping the two (for `fma` the first two) operands never changes the result.
    pub const fn is_commutative(&self) -> bool {
        matches!(
            self,
            Op::Add | Op::Mul | Op::Minimum | Op::Maximum | Op::Eq | Op::Ne | Op::And | Op::Or | Op::Xor | Op::Fma
        )
    }

    /// The dtype of the op's result when its operands have exactly these compute dtypes, or `None` where the strict type
    /// rule does not allow them. Casts between types are explicit at this level.
    pub fn result_dtype(&self, args: &[Dtype]) -> Option<Dtype> {
        let same = |range: &[Dtype]| range.windows(2).all(|w| w[0] == w[1]);
        let computed = |d: Dtype| !d.is_storage_only();
        if args.len() != self.arity() {
            return None;
        }
        let ok = match self.rule() {
            Rule::Own => return self.own_dtype(args),
            Rule::Arith => same(args) && computed(args[0]) && args[0] != Dtype::Bool,
            Rule::Number => same(args) && computed(args[0]) && args[0] != Dtype::Bool,
            Rule::Rounding | Rule::Float | Rule::TrueDivide => same(args) && computed(args[0]) && args[0].is_float(),
            Rule::Compare => same(args) && computed(args[0]),
            Rule::Predicate => args[0].is_float() && computed(args[0]),
            Rule::Exponent => args[0].is_float() && computed(args[0]),
            Rule::Scale => args[0].is_float() && computed(args[0]) && args[1] == args[0].to_signed(),
            Rule::Bits => same(args) && !args[0].is_float(),
            Rule::Shift => same(args) && args[0].is_int(),
            Rule::Select => args[0] == Dtype::Bool && same(&args[1..]) && computed(args[1]),
        };
        let result = match self.rule() {
            Rule::Compare | Rule::Predicate => Dtype::Bool,
            Rule::Exponent => args[0].to_signed(),
            Rule::Select => args[1],
            _ => args[0],
        };
        ok.then_some(result)
    }

    fn own_dtype(&self, args: &[Dtype]) -> Option<Dtype> {
        match *self {
            Op::Const(value) => Some(value.dtype()),
            Op::Index => Some(Dtype::I64),
            // A storage type converts to and from `f32` alone; other conversions go through it.
            Op::Cast(to) if to.is_storage_only() => (args[0] == Dtype::F32).then_some(to),
            Op::Cast(to) if args[0].is_storage_only() => (to == Dtype::F32).then_some(to),
            Op::Cast(to) => Some(to),
            Op::Bitcast(to) => {
                (to.size() == args[0].size() && (to == Dtype::Bool) == (args[0] == Dtype::Bool)).then_some(to)
            }
            Op::Lookup(column) => {
                let dtype = column.table().dtype();
                (args[0] == dtype.to_unsigned()).then_some(dtype)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for op in Op::ALL {
            assert_eq!(Op::from_name(op.name()), Some(*op));
        }
    }
}
