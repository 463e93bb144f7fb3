//! The names of the language: which are words of it, which are constants, how others are quoted, and what a misspelt one may
//! have meant.
//!
//! In: names and trees. Out: answers that the printer, lowering and the array front end share.
//!
//! Invariant: every string is writable as a name; one that does not read as an identifier stands between backticks.

use super::ast::{Block, Expr, ExprKind, Ident};
use crate::dtype::{Dtype, Scalar};
use crate::op::{Literal, Op};

/// The words that are never names unless quoted, beside dtypes and typed literals.
pub const KEYWORDS: [&str; 11] = [
    "fn", "kernel", "let", "if", "else", "as", "true", "false", "inf", "nan", "bitcast",
];

/// The functions of arrays that only a kernel's body may call.
pub const ARRAY_FUNCTIONS: [&str; 13] = [
    "sum",
    "prod",
    "min",
    "max",
    "mean",
    "any",
    "all",
    "argmin",
    "argmax",
    "permute",
    "transpose",
    "reshape",
    "broadcast",
];

/// Names other languages use, and what they are called here.
const ALIASES: [(&str, &str); 35] = [
    ("log", "ln"),
    ("loge", "ln"),
    ("min", "minimum"),
    ("max", "maximum"),
    ("fabs", "abs"),
    ("absolute", "abs"),
    ("power", "pow"),
    ("powf", "pow"),
    ("powi", "pow"),
    ("isnan", "is_nan"),
    ("isinf", "is_inf"),
    ("isfinite", "is_finite"),
    ("where", "select"),
    ("arcsin", "asin"),
    ("arccos", "acos"),
    ("arctan", "atan"),
    ("arctan2", "atan2"),
    ("arcsinh", "asinh"),
    ("arccosh", "acosh"),
    ("arctanh", "atanh"),
    ("sgn", "sign"),
    ("signum", "sign"),
    ("rint", "round"),
    ("reciprocal", "recip"),
    ("fmod", "rem"),
    ("mod", "floor_mod"),
    ("logistic", "sigmoid"),
    ("swish", "silu"),
    ("tgamma", "gamma"),
    ("gammaln", "lgamma"),
    ("scalbn", "ldexp"),
    ("remquo", "remainder"),
    ("next_after", "nextafter"),
    ("log_add_exp", "logaddexp"),
    ("mul_add", "fma"),
];

/// The value of a named constant, a weak float. Parameters and bindings of the same name come first.
pub fn constant(name: &str) -> Option<Literal> {
    match name {
        "pi" => Some(Literal::float(std::f64::consts::PI)),
        "tau" => Some(Literal::float(std::f64::consts::TAU)),
        _ => None,
    }
}

/// The typed literal that this word is: `nan_f32`, `inf_f64`, `true_bool`.
pub(super) fn typed_word(word: &str) -> Option<Scalar> {
    match word {
        "true_bool" => return Some(Scalar::from(true)),
        "false_bool" => return Some(Scalar::from(false)),
        _ => {}
    }
    let (value, dtype) = word.split_once('_')?;
    let dtype: Dtype = dtype.parse().ok().filter(|d: &Dtype| d.is_float())?;
    match value {
        "nan" => Some(Scalar::from_f64(dtype, f64::NAN)),
        "inf" => Some(Scalar::from_f64(dtype, f64::INFINITY)),
        _ => None,
    }
}

/// What `bits_f32(…)` and its kin give: a typed value, or for `bits_float` the weak float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BitsWord {
    Weak,
    Typed(Dtype),
}

/// What this word gives when it is applied to bits.
pub(super) fn bits_word(word: &str) -> Option<BitsWord> {
    match word.strip_prefix("bits_")? {
        "float" => Some(BitsWord::Weak),
        dtype => dtype.parse().ok().map(BitsWord::Typed),
    }
}

/// Whether the word has a meaning of its own, so that a name spelt alike must be quoted.
pub fn is_reserved(word: &str) -> bool {
    KEYWORDS.contains(&word) || word.parse::<Dtype>().is_ok() || typed_word(word).is_some() || bits_word(word).is_some()
}

/// Whether the text is an identifier: ASCII letters, digits and `_`, not beginning with a digit.
pub fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The name as it is written in text: as it is, or between backticks.
///
/// ```
/// use loopweave_ir::text::quote;
/// assert_eq!(quote("x1"), "x1");
/// assert_eq!(quote("layer.weight"), "`layer.weight`");
/// assert_eq!(quote("if"), "`if`");
/// ```
pub fn quote(name: &str) -> String {
    if is_identifier(name) && !is_reserved(name) {
        return name.to_owned();
    }
    let mut quoted = String::from("`");
    for c in name.chars() {
        match c {
            '`' | '\\' => quoted.extend(['\\', c]),
            ' ' => quoted.push(c),
            _ if c.is_ascii_graphic() || c.is_alphanumeric() => quoted.push(c),
            _ => quoted.extend(c.escape_unicode()),
        }
    }
    quoted.push('`');
    quoted
}

/// The candidate that `name` most likely meant: a name of another language for it, or the nearest by edit distance if that
/// is near enough.
///
/// ```
/// use loopweave_ir::text::suggest;
/// assert_eq!(suggest("sqr", ["sqrt", "exp"]), Some("sqrt"));
/// assert_eq!(suggest("log", ["sqrt", "ln"]), Some("ln"));
/// assert_eq!(suggest("frobnicate", ["sqrt", "exp"]), None);
/// ```
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer names are no one's typing error, and the distance is quadratic.
    if name.len() > 64 {
        return None;
    }
    let alias = ALIASES.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
    let limit = name.len().div_ceil(3).min(3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if Some(candidate) == alias {
            return Some(candidate);
        }
        if candidate.len().abs_diff(name.len()) > limit {
            continue;
        }
        let distance = distance(name.as_bytes(), candidate.as_bytes());
        if distance <= limit && distance < candidate.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The names of all ops, as candidates for [`suggest`].
pub fn op_names() -> impl Iterator<Item = &'static str> {
    Op::ALL.iter().map(Op::name)
}

/// The names a block uses but does not bind, in the order of their first appearance. Callees, extents in lists and the
/// constants are not among them.
///
/// ```
/// use loopweave_ir::text::{free_names, parse_expr_body};
/// let body = parse_expr_body("let r = y - x; sqrt(r * r + pi) * y", "expr").unwrap();
/// let names: Vec<_> = free_names(&body).into_iter().map(|ident| ident.name).collect();
/// assert_eq!(names, ["y", "x"]);
/// ```
pub fn free_names(block: &Block) -> Vec<Ident> {
    let mut walk = FreeNames::default();
    walk.block(block);
    walk.free
}

#[derive(Default)]
struct FreeNames {
    free: Vec<Ident>,
    seen: std::collections::HashSet<String>,
    /// How many bindings of a name are in scope.
    bound: std::collections::HashMap<String, usize>,
}

impl FreeNames {
    fn block(&mut self, block: &Block) {
        for (ident, value) in &block.lets {
            self.expr(value);
            *self.bound.entry(ident.name.clone()).or_default() += 1;
        }
        block.results.iter().for_each(|result| self.expr(result));
        for (ident, _) in &block.lets {
            if let Some(count) = self.bound.get_mut(&ident.name) {
                *count -= 1;
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                let bound = self.bound.get(name).is_some_and(|&count| count > 0);
                if !bound && constant(name).is_none() && self.seen.insert(name.clone()) {
                    self.free.push(Ident {
                        name: name.clone(),
                        span: expr.span,
                    });
                }
            }
            ExprKind::Literal(_) | ExprKind::Typed(_) | ExprKind::List(_) => {}
            ExprKind::Operator(_, args) | ExprKind::Call { args, .. } => args.iter().for_each(|arg| self.expr(arg)),
            ExprKind::MatMul(left, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Cast(value, _) | ExprKind::Bitcast(value, _) | ExprKind::Index(value, _) => self.expr(value),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.block(then);
                self.block(otherwise);
            }
        }
    }
}

/// The edit distance in which a swap of neighbours counts once (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
