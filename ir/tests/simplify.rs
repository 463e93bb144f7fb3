//! The rewrite rules, each by its name: it fires where the table says, and keeps what it must keep.

use std::collections::BTreeSet;

use loopweave_ir::interp::Evaluator;
use loopweave_ir::simplify::{Fast, rule_names, simplify, simplify_traced};
use loopweave_ir::testing::{Profile, Rng, edge_values, random_args, random_func};
use loopweave_ir::verify::verify;
use loopweave_ir::{Builder, Dtype, ExprId, Func, Op, Op::*, Scalar};

/// Builds the left side of a rule on parameters `x` and `y` of one dtype and `c` of `bool`.
struct Sides {
    builder: Builder,
    dtype: Dtype,
    x: ExprId,
    y: ExprId,
    c: ExprId,
}

impl Sides {
    fn new(dtype: Dtype) -> Sides {
        let mut builder = Builder::typed("f");
        let x = builder.param("x", Some(dtype));
        let y = builder.param("y", Some(dtype));
        let c = builder.param("c", Some(Dtype::Bool));
        Sides {
            builder,
            dtype,
            x,
            y,
            c,
        }
    }

    /// The node, or `None` where the op does not take this dtype.
    fn op(&mut self, op: Op, args: &[ExprId]) -> Option<ExprId> {
        let dtypes: Vec<Dtype> = args.iter().map(|&a| self.builder.dtype(a)).collect();
        op.result_dtype(&dtypes)?;
        Some(self.builder.node(op, args))
    }

    fn int(&mut self, value: i128) -> ExprId {
        self.builder.constant(Scalar::from_i128(self.dtype, value))
    }

    /// The value rounded to the dtype: saturated for integers, as their infinities.
    fn num(&mut self, value: f64) -> ExprId {
        self.builder.constant(Scalar::from_f64(self.dtype, value))
    }
}

type Left = fn(&mut Sides) -> Option<ExprId>;

#[rustfmt::skip]
/// What the rule is called, and an expression it fits for some dtype at least.
const EXACT: &[(&str, Left)] = &[
    ("fold", |s| { let (a, b) = (s.int(3), s.int(5)); let sum = s.op(Sub, &[a, b])?; s.op(Eq, &[s.x, sum]) }),
    ("constant-right", |s| { let c = s.num(2.5); s.op(Add, &[c, s.x]) }),
    ("constant-right", |s| { let c = s.int(3); s.op(Fma, &[c, s.x, s.y]) }),
    ("compare-constant-right", |s| { let c = s.int(3); s.op(Lt, &[c, s.x]) }),
    ("compare-constant-right", |s| { let c = s.int(3); s.op(Ge, &[c, s.x]) }),
    ("share-commuted", |s| { let a = s.op(Add, &[s.x, s.y])?; let b = s.op(Add, &[s.y, s.x])?; s.op(Mul, &[a, b]) }),
    ("add-minus-zero", |s| { let c = s.num(-0.0); s.op(Add, &[s.x, c]) }),
    ("sub-zero", |s| { let c = s.int(0); s.op(Sub, &[s.x, c]) }),
    ("minus-zero-sub", |s| { let c = s.num(-0.0); s.op(Sub, &[c, s.x]) }),
    ("mul-one", |s| { let c = s.int(1); s.op(Mul, &[s.x, c]) }),
    ("mul-minus-one", |s| { let c = s.int(-1); s.op(Mul, &[s.x, c]) }),
    ("div-one", |s| { let c = s.int(1); s.op(Div, &[s.x, c]) }),
    ("div-power-of-two", |s| { let c = s.num(-8.0); s.op(Div, &[s.x, c]) }),
    ("div-power-of-two", |s| { let c = s.num(2f64.powi(126)); s.op(Div, &[s.x, c]) }),
    ("div-power-of-two", |s| { let c = s.num(2f64.powi(-126)); s.op(Div, &[s.x, c]) }),
    ("div-power-of-two", |s| { let c = s.num(2f64.powi(1022)); s.op(Div, &[s.x, c]) }),
    ("neg-neg", |s| { let n = s.op(Neg, &[s.x])?; s.op(Neg, &[n]) }),
    ("neg-sub", |s| { let n = s.op(Sub, &[s.x, s.y])?; s.op(Neg, &[n]) }),
    ("add-neg", |s| { let n = s.op(Neg, &[s.y])?; s.op(Add, &[s.x, n]) }),
    ("neg-add", |s| { let n = s.op(Neg, &[s.x])?; s.op(Add, &[n, s.y]) }),
    ("sub-neg", |s| { let n = s.op(Neg, &[s.y])?; s.op(Sub, &[s.x, n]) }),
    ("neg-mul-neg", |s| { let (a, b) = (s.op(Neg, &[s.x])?, s.op(Neg, &[s.y])?); s.op(Mul, &[a, b]) }),
    ("neg-div-neg", |s| { let (a, b) = (s.op(Neg, &[s.x])?, s.op(Neg, &[s.y])?); s.op(Div, &[a, b]) }),
    ("neg-by-constant", |s| { let (n, c) = (s.op(Neg, &[s.x])?, s.int(3)); s.op(Mul, &[n, c]) }),
    ("neg-by-constant", |s| { let (n, c) = (s.op(Neg, &[s.x])?, s.int(3)); s.op(Div, &[n, c]) }),
    ("constant-by-neg", |s| { let (n, c) = (s.op(Neg, &[s.x])?, s.int(3)); s.op(Div, &[c, n]) }),
    ("fma-neg-neg", |s| { let (a, b) = (s.op(Neg, &[s.x])?, s.op(Neg, &[s.y])?); s.op(Fma, &[a, b, s.x]) }),
    ("fma-one", |s| { let c = s.int(1); s.op(Fma, &[s.x, c, s.y]) }),
    ("fma-minus-one", |s| { let c = s.int(-1); s.op(Fma, &[c, s.x, s.y]) }),
    ("fma-minus-zero", |s| { let c = s.num(-0.0); s.op(Fma, &[s.x, s.y, c]) }),
    ("abs-abs", |s| { let a = s.op(Abs, &[s.x])?; s.op(Abs, &[a]) }),
    ("abs-unsigned", |s| s.op(Abs, &[s.x])),
    ("abs-neg", |s| { let n = s.op(Neg, &[s.x])?; s.op(Abs, &[n]) }),
    ("abs-copysign", |s| { let a = s.op(Copysign, &[s.x, s.y])?; s.op(Abs, &[a]) }),
    ("copysign-positive", |s| { let c = s.int(0); s.op(Copysign, &[s.x, c]) }),
    ("copysign-negative", |s| { let c = s.num(-0.0); s.op(Copysign, &[s.x, c]) }),
    ("copysign-signed", |s| { let n = s.op(Neg, &[s.x])?; s.op(Copysign, &[n, s.y]) }),
    ("copysign-signed", |s| { let n = s.op(Abs, &[s.x])?; s.op(Copysign, &[n, s.y]) }),
    ("round-integral", |s| { let n = s.op(Ceil, &[s.x])?; s.op(Floor, &[n]) }),
    ("round-integral", |s| { let n = s.op(Cast(Dtype::F64), &[s.x])?; s.op(Round, &[n]) }),
    ("min-same", |s| s.op(Fmax, &[s.x, s.x])),
    ("min-same", |s| s.op(Minimum, &[s.x, s.x])),
    ("min-top", |s| { let c = s.num(f64::INFINITY); s.op(Minimum, &[s.x, c]) }),
    ("max-bottom", |s| { let c = s.num(f64::NEG_INFINITY); s.op(Maximum, &[s.x, c]) }),
    ("min-bottom", |s| { let c = s.num(f64::NEG_INFINITY); s.op(Minimum, &[s.x, c]) }),
    ("max-top", |s| { let c = s.num(f64::INFINITY); s.op(Maximum, &[s.x, c]) }),
    ("min-constants", |s| { let (c, d) = (s.num(0.0), s.num(-0.0)); let m = s.op(Minimum, &[s.x, c])?; s.op(Minimum, &[m, d]) }),
    ("min-constants", |s| { let (c, d) = (s.num(3.0), s.num(7.0)); let m = s.op(Maximum, &[s.x, c])?; s.op(Maximum, &[m, d]) }),
    ("add-zero", |s| { let c = s.int(0); s.op(Add, &[s.x, c]) }),
    ("zero-sub", |s| { let c = s.int(0); s.op(Sub, &[c, s.x]) }),
    ("sub-same", |s| s.op(Sub, &[s.x, s.x])),
    ("mul-zero", |s| { let c = s.int(0); s.op(Mul, &[s.x, c]) }),
    ("fma-zero", |s| { let c = s.int(0); s.op(Fma, &[s.x, s.y, c]) }),
    ("group-constants", |s| { let (c, d) = (s.int(100), s.int(99)); let a = s.op(Add, &[s.x, c])?; s.op(Add, &[a, d]) }),
    ("group-constants", |s| { let (c, d) = (s.int(6), s.int(3)); let a = s.op(Xor, &[s.x, c])?; s.op(Xor, &[a, d]) }),
    ("mul-power-of-two", |s| { let c = s.int(16); s.op(Mul, &[s.x, c]) }),
    ("mul-power-of-two", |s| { let c = s.num(f64::NEG_INFINITY); s.op(Mul, &[s.x, c]) }),
    ("floor-div-power-of-two", |s| { let c = s.int(16); s.op(FloorDiv, &[s.x, c]) }),
    ("trunc-div-power-of-two", |s| { let c = s.int(128); s.op(TruncDiv, &[s.x, c]) }),
    ("floor-mod-power-of-two", |s| { let c = s.int(64); s.op(FloorMod, &[s.x, c]) }),
    ("rem-power-of-two", |s| { let c = s.int(128); s.op(Rem, &[s.x, c]) }),
    ("trunc-div-one", |s| { let c = s.int(1); s.op(TruncDiv, &[s.x, c]) }),
    ("trunc-div-minus-one", |s| { let c = s.int(-1); s.op(TruncDiv, &[s.x, c]) }),
    ("trunc-div-minus-one", |s| { let c = s.int(-1); s.op(FloorDiv, &[s.x, c]) }),
    ("rem-one", |s| { let c = s.int(-1); s.op(FloorMod, &[s.x, c]) }),
    ("div-by-zero", |s| { let c = s.int(0); s.op(FloorMod, &[s.x, c]) }),
    ("div-by-zero", |s| { let c = s.int(0); s.op(TruncDiv, &[s.x, c]) }),
    ("not-not", |s| { let n = s.op(Not, &[s.x])?; s.op(Not, &[n]) }),
    ("not-eq", |s| { let e = s.op(Eq, &[s.x, s.y])?; s.op(Not, &[e]) }),
    ("not-eq", |s| { let e = s.op(Ne, &[s.x, s.y])?; s.op(Not, &[e]) }),
    ("not-less", |s| { let e = s.op(Lt, &[s.x, s.y])?; s.op(Not, &[e]) }),
    ("not-less", |s| { let e = s.op(Ge, &[s.x, s.y])?; s.op(Not, &[e]) }),
    ("and-same", |s| s.op(And, &[s.x, s.x])),
    ("xor-same", |s| s.op(Xor, &[s.x, s.x])),
    ("and-zero", |s| { let c = s.int(0); s.op(And, &[s.x, c]) }),
    ("and-ones", |s| { let c = s.int(-1); s.op(And, &[s.x, c]) }),
    ("or-zero", |s| { let c = s.int(0); s.op(Xor, &[s.x, c]) }),
    ("or-ones", |s| { let c = s.int(-1); s.op(Or, &[s.x, c]) }),
    ("xor-ones", |s| { let c = s.int(-1); s.op(Xor, &[s.x, c]) }),
    ("shift-zero", |s| { let c = s.int(64); s.op(Shr, &[s.x, c]) }),
    ("zero-shift", |s| { let c = s.int(0); s.op(Shl, &[c, s.x]) }),
    ("compare-same", |s| s.op(Ge, &[s.x, s.x])),
    ("compare-same", |s| s.op(Eq, &[s.x, s.x])),
    ("differ-same", |s| s.op(Ne, &[s.x, s.x])),
    ("less-same", |s| s.op(Gt, &[s.x, s.x])),
    ("eq-bool", |s| { let c = s.int(0); s.op(Eq, &[s.x, c]) }),
    ("eq-bool", |s| { let c = s.int(1); s.op(Eq, &[s.x, c]) }),
    ("ne-bool", |s| { let c = s.int(0); s.op(Ne, &[s.x, c]) }),
    ("ne-bool", |s| { let c = s.int(1); s.op(Ne, &[s.x, c]) }),
    ("compare-bound", |s| { let c = s.num(f64::NEG_INFINITY); s.op(Lt, &[s.x, c]) }),
    ("compare-bound", |s| { let c = s.num(f64::NEG_INFINITY); s.op(Ge, &[s.x, c]) }),
    ("compare-bound", |s| { let c = s.num(f64::INFINITY); s.op(Gt, &[s.x, c]) }),
    ("compare-bound", |s| { let c = s.num(f64::INFINITY); s.op(Le, &[s.x, c]) }),
    ("select-same", |s| s.op(Select, &[s.c, s.x, s.x])),
    ("select-constant", |s| { let c = s.builder.constant(false); s.op(Select, &[c, s.x, s.y]) }),
    ("select-not", |s| { let c = s.op(Not, &[s.c])?; s.op(Select, &[c, s.x, s.y]) }),
    ("select-bool", |s| { let (t, f) = (s.int(1), s.int(0)); s.op(Select, &[s.c, t, f]) }),
    ("select-bool-not", |s| { let (t, f) = (s.int(1), s.int(0)); s.op(Select, &[s.c, f, t]) }),
    ("cast-same", |s| s.op(Cast(s.dtype), &[s.x])),
    ("bitcast-same", |s| s.op(Bitcast(s.dtype), &[s.x])),
    ("bitcast-bitcast", |s| { let b = s.op(Bitcast(s.dtype.to_signed()), &[s.x])?; s.op(Bitcast(s.dtype.to_unsigned()), &[b]) }),
];

#[rustfmt::skip]
/// As [`EXACT`], with the permissions each needs.
const FAST: &[(&str, Fast, Left)] = &[
    ("contract-add", Fast::CONTRACT, |s| { let p = s.op(Mul, &[s.x, s.y])?; s.op(Add, &[p, s.x]) }),
    ("contract-add-right", Fast::CONTRACT, |s| { let p = s.op(Mul, &[s.x, s.y])?; s.op(Add, &[s.x, p]) }),
    ("contract-sub", Fast::CONTRACT, |s| { let p = s.op(Mul, &[s.x, s.y])?; s.op(Sub, &[p, s.x]) }),
    ("contract-sub-right", Fast::CONTRACT, |s| { let p = s.op(Mul, &[s.x, s.y])?; s.op(Sub, &[s.x, p]) }),
    ("recip-constant", Fast::RECIP, |s| { let c = s.num(3.0); s.op(Div, &[s.x, c]) }),
    ("recip-shared", Fast::RECIP, |s| { let d = s.op(Div, &[s.x, s.y])?; let one = s.int(1); let a = s.op(Add, &[s.x, one])?; let e = s.op(Div, &[a, s.y])?; s.op(Mul, &[d, e]) }),
    ("sub-constant", Fast::REASSOC, |s| { let c = s.num(3.0); s.op(Sub, &[s.x, c]) }),
    ("reassoc-constants", Fast::REASSOC, |s| { let (c, d) = (s.num(0.1), s.num(3.0)); let a = s.op(Add, &[s.x, c])?; s.op(Add, &[a, d]) }),
    ("reassoc-constants", Fast::REASSOC, |s| { let (c, d) = (s.num(0.1), s.num(3.0)); let a = s.op(Mul, &[s.x, c])?; s.op(Mul, &[a, d]) }),
    ("reassoc-sub", Fast::REASSOC, |s| { let (c, d) = (s.num(0.1), s.num(3.0)); let a = s.op(Sub, &[c, s.x])?; s.op(Add, &[a, d]) }),
    ("balance", Fast::REASSOC, |s| { let a = s.op(Add, &[s.x, s.y])?; let b = s.op(Add, &[a, s.y])?; let c = s.op(Add, &[b, s.x])?; s.op(Add, &[c, s.y]) }),
    ("nnan-is-nan", Fast::NNAN, |s| s.op(IsNan, &[s.x])),
    ("nnan-compare-same", Fast::NNAN, |s| s.op(Eq, &[s.x, s.x])),
    ("nnan-differ-same", Fast::NNAN, |s| s.op(Ne, &[s.x, s.x])),
    ("nnan-not-less", Fast::NNAN, |s| { let l = s.op(Lt, &[s.x, s.y])?; s.op(Not, &[l]) }),
    ("nnan-fmin", Fast::NNAN, |s| s.op(Fmin, &[s.x, s.y])),
    ("nnan-fmin", Fast::NNAN, |s| s.op(Fmax, &[s.x, s.y])),
    ("nnan-sub-same", Fast::NNAN, |s| s.op(Sub, &[s.x, s.x])),
    ("nnan-div-same", Fast::NNAN, |s| s.op(Div, &[s.x, s.x])),
    ("nnan-min-bottom", Fast::NNAN, |s| { let c = s.num(f64::NEG_INFINITY); s.op(Minimum, &[s.x, c]) }),
    ("nnan-min-bottom", Fast::NNAN, |s| { let c = s.num(f64::INFINITY); s.op(Maximum, &[s.x, c]) }),
    ("ninf-is-inf", Fast::NINF, |s| s.op(IsInf, &[s.x])),
    ("finite-is-finite", Fast::ALL, |s| s.op(IsFinite, &[s.x])),
    ("nsz-add-zero", Fast::NSZ, |s| { let c = s.int(0); s.op(Add, &[s.x, c]) }),
    ("nsz-sub-minus-zero", Fast::NSZ, |s| { let c = s.num(-0.0); s.op(Sub, &[s.x, c]) }),
    ("nsz-zero-sub", Fast::NSZ, |s| { let c = s.int(0); s.op(Sub, &[c, s.x]) }),
    ("nsz-neg-sub", Fast::NSZ, |s| { let d = s.op(Sub, &[s.x, s.y])?; s.op(Neg, &[d]) }),
    ("nsz-fma-zero", Fast::NSZ, |s| { let c = s.int(0); s.op(Fma, &[s.x, s.y, c]) }),
    ("nsz-mul-zero", Fast::ALL, |s| { let c = s.num(-0.0); s.op(Mul, &[s.x, c]) }),
];

/// Expressions that look like the rule's but on which it would be wrong.
#[rustfmt::skip]
const NEAR_MISSES: &[(&str, Dtype, Left)] = &[
    ("add-zero", Dtype::F32, |s| { let c = s.int(0); s.op(Add, &[s.x, c]) }),
    ("mul-zero", Dtype::F64, |s| { let c = s.int(0); s.op(Mul, &[s.x, c]) }),
    ("sub-zero", Dtype::F32, |s| { let c = s.num(-0.0); s.op(Sub, &[s.x, c]) }),
    ("sub-same", Dtype::F32, |s| s.op(Sub, &[s.x, s.x])),
    ("neg-sub", Dtype::F32, |s| { let d = s.op(Sub, &[s.x, s.y])?; s.op(Neg, &[d]) }),
    ("not-less", Dtype::F32, |s| { let l = s.op(Lt, &[s.x, s.y])?; s.op(Not, &[l]) }),
    ("compare-same", Dtype::F64, |s| s.op(Eq, &[s.x, s.x])),
    ("div-power-of-two", Dtype::F32, |s| { let c = s.num(3.0); s.op(Div, &[s.x, c]) }),
    ("div-power-of-two", Dtype::F32, |s| { let c = s.num(2f64.powi(127)); s.op(Div, &[s.x, c]) }),
    ("div-power-of-two", Dtype::F32, |s| { let c = s.num(2f64.powi(-149)); s.op(Div, &[s.x, c]) }),
    ("min-bottom", Dtype::F32, |s| { let c = s.num(f64::NEG_INFINITY); s.op(Minimum, &[s.x, c]) }),
    ("trunc-div-power-of-two", Dtype::I32, |s| { let c = s.int(8); s.op(TruncDiv, &[s.x, c]) }),
    ("floor-mod-power-of-two", Dtype::I8, |s| { let c = s.int(-128); s.op(FloorMod, &[s.x, c]) }),
    ("mul-power-of-two", Dtype::F32, |s| { let c = s.int(8); s.op(Mul, &[s.x, c]) }),
    ("cast-cast", Dtype::I8, |s| { let b = s.op(Cast(Dtype::F64), &[s.x])?; s.op(Cast(Dtype::U8), &[b]) }),
    ("cast-cast", Dtype::F64, |s| { let b = s.op(Cast(Dtype::F32), &[s.x])?; s.op(Cast(Dtype::F64), &[b]) }),
    ("cast-cast", Dtype::I32, |s| { let b = s.op(Cast(Dtype::F32), &[s.x])?; s.op(Cast(Dtype::I32), &[b]) }),
];

#[test]
fn rules_keep_off_their_near_misses() {
    for (name, dtype, left) in NEAR_MISSES {
        let mut sides = Sides::new(*dtype);
        let root = left(&mut sides).unwrap();
        let (_, rules) = simplify_traced(&sides.builder.finish(&[root]), Fast::NONE);
        assert!(!rules.contains(name), "`{name}` fired on {dtype}");
    }
}

/// The left side on each dtype that has it.
fn left_sides(left: Left) -> Vec<(Dtype, Func)> {
    let computed = Dtype::ALL.into_iter().filter(|d| !d.is_storage_only());
    computed
        .filter_map(|dtype| {
            let mut sides = Sides::new(dtype);
            let root = left(&mut sides)?;
            Some((dtype, sides.builder.finish(&[root])))
        })
        .collect()
}

/// Calls `check` with every combination of the given values of the parameters that the function uses.
fn for_each_input(func: &Func, values: fn(Dtype) -> Vec<Scalar>, mut check: impl FnMut(&[Scalar])) {
    let used = |i: usize| func.nodes().iter().any(|n| n.op == Param(i as u32));
    let choices: Vec<Vec<Scalar>> = func
        .param_dtypes()
        .into_iter()
        .enumerate()
        .map(|(i, d)| {
            if used(i) {
                values(d)
            } else {
                vec![Scalar::from_bits(d, 0)]
            }
        })
        .collect();
    let total: usize = choices.iter().map(Vec::len).product();
    for mut n in 0..total {
        let args: Vec<Scalar> = choices
            .iter()
            .map(|list| {
                let value = list[n % list.len()];
                n /= list.len();
                value
            })
            .collect();
        check(&args);
    }
}

fn assert_same_on_edges(name: &str, before: &Func, after: &Func) {
    assert_eq!(verify(after), Ok(()), "{name}");
    assert_eq!(before.result_dtypes(), after.result_dtypes(), "{name}");
    let (mut old, mut new) = (Evaluator::new(before).unwrap(), Evaluator::new(after).unwrap());
    for_each_input(before, edge_values, |args| {
        let want = old.eval(args, 0).unwrap()[0];
        let got = new.eval(args, 0).unwrap()[0];
        assert!(
            want.is_same(got),
            "{name} on {args:?}: {got}, not {want}\n{before:#?}\n{after:#?}"
        );
    });
}

#[test]
fn each_exact_rule_fires_and_keeps_every_edge_value() {
    for (name, left) in EXACT {
        let mut fired = false;
        for (_, before) in left_sides(*left) {
            let (after, rules) = simplify_traced(&before, Fast::NONE);
            fired |= rules.contains(name);
            assert_same_on_edges(name, &before, &after);
        }
        assert!(fired, "`{name}` did not fire");
    }
}

#[test]
fn casts_of_casts_keep_every_edge_value() {
    let mut fired = 0;
    for a in Dtype::ALL {
        for b in Dtype::ALL {
            for c in Dtype::ALL {
                let mut sides = Sides::new(a);
                let Some(middle) = sides.op(Cast(b), &[sides.x]) else {
                    continue;
                };
                let Some(root) = sides.op(Cast(c), &[middle]) else {
                    continue;
                };
                let before = sides.builder.finish(&[root]);
                let (after, rules) = simplify_traced(&before, Fast::NONE);
                fired += rules.contains("cast-cast") as u32;
                assert_same_on_edges(&format!("{a} as {b} as {c}"), &before, &after);
            }
        }
    }
    assert!(fired > 200, "`cast-cast` fired {fired} times");
}

#[test]
fn sixteen_bit_round_trips_vanish() {
    for narrow in [Dtype::F16, Dtype::Bf16] {
        let mut sides = Sides::new(narrow);
        let wide = sides.op(Cast(Dtype::F32), &[sides.x]).unwrap();
        let back = sides.op(Cast(narrow), &[wide]).unwrap();
        let after = simplify(&sides.builder.finish(&[back]), Fast::NONE);
        assert_eq!(after.nodes().len(), 1);
    }
}

/// Values on which every permission's promise holds.
fn tame_values(dtype: Dtype) -> Vec<Scalar> {
    [0.5, 1.0, 1.75, -3.0, 7.1, 100.25, -0.3]
        .map(|v| Scalar::from_f64(dtype, v))
        .to_vec()
}

#[test]
fn each_fast_rule_fires_with_its_permission_alone() {
    for (name, needs, left) in FAST {
        let mut fired = false;
        for (dtype, before) in left_sides(*left) {
            let (exact, _) = simplify_traced(&before, Fast::NONE);
            assert_same_on_edges(name, &before, &exact);
            let (without, rules) = simplify_traced(&before, Fast::ALL.without(*needs));
            assert!(!rules.contains(name), "`{name}` fired without {needs}: {without:?}");
            let (after, rules) = simplify_traced(&before, *needs);
            fired |= rules.contains(name);
            assert_eq!(verify(&after), Ok(()));
            let (mut old, mut new) = (Evaluator::new(&before).unwrap(), Evaluator::new(&after).unwrap());
            for_each_input(&before, tame_values, |args| {
                let want = old.eval(args, 0).unwrap()[0];
                let got = new.eval(args, 0).unwrap()[0];
                let close = if dtype.is_float() && want.dtype().is_float() {
                    (want.as_f64() - got.as_f64()).abs() <= 1e-5 * want.as_f64().abs().max(1.0)
                } else {
                    want == got
                };
                assert!(close || want == got, "{name} on {args:?}: {got}, not {want}");
            });
        }
        assert!(fired, "`{name}` did not fire");
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases: BTreeSet<&str> = EXACT
        .iter()
        .map(|c| c.0)
        .chain(FAST.iter().map(|c| c.0))
        .chain(["cast-cast"])
        .collect();
    assert_eq!(cases, rule_names());
}

#[test]
fn random_functions_keep_their_values() {
    for seed in 0..3000 {
        let profile = Profile {
            index: seed % 2 == 0,
            ops: 10 + (seed % 40) as usize,
            ..Profile::default()
        };
        let before = random_func(seed, &profile);
        let after = simplify(&before, Fast::NONE);
        assert_eq!(verify(&after), Ok(()), "seed {seed}");
        assert!(after.nodes().len() <= before.nodes().len() + 2, "seed {seed} grew");
        assert_eq!(
            simplify(&after, Fast::NONE),
            after,
            "seed {seed} is not simplified to the end"
        );
        let (mut old, mut new) = (Evaluator::new(&before).unwrap(), Evaluator::new(&after).unwrap());
        let mut rng = Rng::new(seed);
        for index in 0..20 {
            let args = random_args(&mut rng, &before);
            let want = old.eval(&args, index).unwrap();
            let got = new.eval(&args, index).unwrap();
            for (w, g) in want.iter().zip(got) {
                assert!(
                    w.is_same(*g),
                    "seed {seed} on {args:?}: {g}, not {w}\n{before:#?}\n{after:#?}"
                );
            }
        }
    }
}

#[test]
fn random_functions_stay_sound_under_every_permission() {
    for seed in 0..1000 {
        let before = random_func(
            seed,
            &Profile {
                dtypes: vec![Dtype::F32, Dtype::F64],
                ..Profile::default()
            },
        );
        let after = simplify(&before, Fast::ALL);
        assert_eq!(verify(&after), Ok(()), "seed {seed}");
        assert_eq!(after.result_dtypes(), before.result_dtypes());
        assert_eq!(
            simplify(&after, Fast::ALL),
            after,
            "seed {seed} is not simplified to the end"
        );
    }
}

#[test]
fn a_shared_product_is_not_contracted() {
    let mut sides = Sides::new(Dtype::F32);
    let (x, y) = (sides.x, sides.y);
    let product = sides.builder.node(Mul, &[x, y]);
    let sum = sides.builder.node(Add, &[product, x]);
    let func = sides.builder.finish(&[sum, product]);
    assert_eq!(simplify(&func, Fast::CONTRACT), func);
}

#[test]
fn a_dot_product_becomes_a_tree_of_fused_ops() {
    let mut b = Builder::typed("dot");
    let params: Vec<ExprId> = (0..16).map(|i| b.param(format!("x{i}"), Some(Dtype::F32))).collect();
    let products: Vec<ExprId> = params.chunks(2).map(|p| b.node(Mul, p)).collect();
    let sum = products[1..].iter().fold(products[0], |sum, &p| b.node(Add, &[sum, p]));
    let func = simplify(&b.finish(&[sum]), Fast::REASSOC | Fast::CONTRACT);
    let count = |op| func.nodes().iter().filter(|n| n.op == op).count();
    assert_eq!((count(Fma), count(Mul), count(Add)), (4, 4, 3));
}

#[test]
fn the_longest_chain_is_simplified_in_linear_time() {
    let mut b = Builder::typed("chain");
    let x = b.param("x", Some(Dtype::F32));
    let y = b.param("y", Some(Dtype::F32));
    let mut sum = x;
    for i in 0..32_000 {
        let next = b.node(if i % 3 == 0 { Mul } else { Add }, &[sum, y]);
        sum = b.node(Neg, &[next]);
    }
    let func = b.finish(&[sum]);
    let start = std::time::Instant::now();
    let after = simplify(&func, Fast::ALL);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert_eq!(verify(&after), Ok(()));

    let mut b = Builder::typed("sum");
    let x = b.param("x", Some(Dtype::F64));
    let mut sum = x;
    for _ in 0..60_000 {
        sum = b.node(Add, &[sum, x]);
    }
    let after = simplify(&b.finish(&[sum]), Fast::REASSOC);
    assert!(after.nodes().len() < 100, "equal partial sums of the tree are shared");
}
