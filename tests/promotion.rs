//! Promotion against NumPy's own answers: for every pair of dtypes, every weak literal, every op that both have, and every
//! reduction.
//!
//! `tests/promotion/table.txt` holds the answers, printed by `tests/promotion/generate.py`. Where Python has NumPy and
//! ml_dtypes the script runs here too, so the table stays NumPy's and not a memory of it. `LOOPWEAVE_PYTHON` names the
//! interpreter (`python3` otherwise); without one that works the live test says so, and fails where `CI` is set.

use std::env;
use std::process::Command;

use loopweave::graph::Named;
use loopweave::graph::build::GraphBuilder;
use loopweave::ir::{Builder, Dtype, Kind, Op, Weak, specialise};

const TABLE: &str = include_str!("promotion/table.txt");

#[test]
fn every_row_is_numpys_or_a_documented_difference() {
    let mut wrong = Vec::new();
    let mut differences = vec![0; DIFFERENCES.len()];
    for answer in answers(TABLE) {
        let ours = answer.ours();
        let documented = DIFFERENCES.iter().position(|d| (d.applies)(&answer));
        match documented {
            Some(i) => {
                differences[i] += 1;
                let expected = (DIFFERENCES[i].instead)(&answer);
                if ours != expected {
                    wrong.push(format!(
                        "{answer:?}: {ours:?}, not {expected:?} ({})",
                        DIFFERENCES[i].why
                    ));
                }
            }
            None if ours == answer.numpy => {}
            None => wrong.push(format!("{answer:?}: {ours:?}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ from NumPy:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    for (difference, count) in DIFFERENCES.iter().zip(differences) {
        assert!(count > 0, "no row shows this difference any more: {}", difference.why);
    }
}

#[test]
fn the_table_covers_every_dtype_op_and_reduction_that_numpy_has() {
    let rows: Vec<Answer> = answers(TABLE).collect();
    let has = |what: &str, count: usize| {
        let found = rows.iter().filter(|a| a.what == what).count();
        assert_eq!(found, count, "rows of `{what}`");
    };
    has("promote", 13 * 13);
    has("weak", 3 * 13);
    for op in Op::ALL.iter().filter(|op| !WITHOUT_PEER.contains(op)) {
        has(op.name(), if op.arity() == 1 { 13 } else { 13 * 13 });
    }
    for named in Named::ALL {
        has(named.name(), 13);
    }
}

#[test]
fn the_documentation_shows_the_table() {
    let documented = include_str!("../ir/src/dtype.rs");
    let row = |head: &str, cells: Vec<&str>| format!("    /// | {head} | {} |\n", cells.join(" | "));
    let names: Vec<&str> = Dtype::ALL.iter().map(|d| d.name()).collect();
    let mut table = row("", names) + &row("---", vec!["---"; 13]);
    for a in Dtype::ALL {
        let cells = Dtype::ALL.iter().map(|&b| Dtype::promote(a, b).name());
        table += &row(&format!("**{a}**"), cells.collect());
    }
    assert!(
        documented.contains(&table),
        "the documentation of `Dtype::promote` should hold\n{table}"
    );
}

#[test]
fn the_table_is_what_numpy_says_today() {
    let python = env::var("LOOPWEAVE_PYTHON").unwrap_or_else(|_| String::from("python3"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/promotion/generate.py");
    let has_numpy = Command::new(&python).args(["-c", "import numpy, ml_dtypes"]).output();
    if !has_numpy.is_ok_and(|output| output.status.success()) {
        assert!(
            env::var_os("CI").is_none(),
            "`{python}` has no NumPy and ml_dtypes, which CI must have"
        );
        println!("skipped: `{python}` has no NumPy and ml_dtypes");
        return;
    }
    let output = Command::new(&python).arg(script).output().unwrap();
    let live = String::from_utf8_lossy(&output.stdout);
    for (live, committed) in live.lines().zip(TABLE.lines()) {
        assert_eq!(live, committed);
    }
    assert_eq!(
        live.lines().count(),
        TABLE.lines().count(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Ops that NumPy has not, or not as one function.
const WITHOUT_PEER: [Op; 24] = [
    Op::Rare,
    Op::Erf,
    Op::Erfc,
    Op::Sigmoid,
    Op::TruncDiv,
    Op::Fma,
    Op::RoundAway,
    Op::Exp10,
    Op::SinPi,
    Op::CosPi,
    Op::Rsqrt,
    Op::Softplus,
    Op::Gelu,
    Op::GeluTanh,
    Op::Silu,
    Op::Mish,
    Op::LnGamma,
    Op::Gamma,
    Op::Exponent,
    Op::Significand,
    Op::Remainder,
    // These have one, by rules that the table has for others: `logaddexp` and `nextafter` are `arctan2`'s.
    Op::LogAddExp,
    Op::NextAfter,
    Op::Ldexp,
];

/// One answer of NumPy's.
#[derive(Debug)]
struct Answer {
    /// `promote`, `weak`, an op or a reduction.
    what: String,
    operands: Vec<Dtype>,
    /// The second operand where it is a literal.
    weak: Option<Weak>,
    /// `None` where NumPy refuses.
    numpy: Option<Dtype>,
}

fn answers(table: &str) -> impl Iterator<Item = Answer> {
    let mut lines = table.lines().map(|line| line.split_once(": ").unwrap());
    let (_, last) = lines.next().unwrap();
    let last: Vec<Dtype> = last.split(' ').map(|d| d.parse().unwrap()).collect();
    lines.flat_map(move |(head, results)| {
        let (what, first) = head.split_once(' ').unwrap_or((head, ""));
        let weak = match first {
            "bool" if what == "weak" => Some(Weak::Bool),
            "int" => Some(Weak::Int),
            "float" => Some(Weak::Float),
            _ => None,
        };
        let first: Option<Dtype> = if weak.is_some() { None } else { first.parse().ok() };
        let what = what.to_owned();
        let results: Vec<Option<Dtype>> = results.split(' ').map(|r| r.parse().ok()).collect();
        assert_eq!(results.len(), last.len(), "{head}");
        last.clone().into_iter().zip(results).map(move |(last, numpy)| Answer {
            what: what.clone(),
            operands: first.into_iter().chain([last]).collect(),
            weak,
            numpy,
        })
    })
}

impl Answer {
    fn ours(&self) -> Option<Dtype> {
        match (self.what.as_str(), self.weak) {
            ("promote", _) => Some(Dtype::promote(self.operands[0], self.operands[1])),
            (_, Some(weak)) => Some(self.operands[0].promote_weak(weak)),
            (name, None) => match Named::from_name(name) {
                Some(named) => reduced(named, self.operands[0]),
                None => computed(Op::from_name(name).unwrap(), &self.operands),
            },
        }
    }

    /// Whether `bf16` meets an integer that NumPy would not convert to it: all but the 8-bit ones.
    fn is_bf16_and_wide_int(&self) -> bool {
        let wide = |d: &Dtype| d.is_int() && d.size() > 1;
        self.operands.contains(&Dtype::Bf16) && self.operands.iter().any(wide)
    }

    fn is(&self, ops: &[Op]) -> bool {
        ops.iter().any(|op| op.name() == self.what)
    }

    fn all_bool(&self) -> bool {
        self.operands.iter().all(|&d| d == Dtype::Bool)
    }
}

/// The dtype of an op's result on arguments of these dtypes.
fn computed(op: Op, operands: &[Dtype]) -> Option<Dtype> {
    let mut b = Builder::polymorphic("f");
    let mut params = Vec::new();
    let mut types = Vec::new();
    if op == Op::Select {
        params.push(b.param("c", None));
        types.push(Dtype::Bool.into());
    }
    for (i, &dtype) in operands.iter().enumerate() {
        params.push(b.param(format!("x{i}"), None));
        types.push(dtype.into());
    }
    let result = b.node(op, &params);
    let typed = specialise(&b.finish(&[result]), &types).ok()?;
    Some(typed.result_dtypes()[0])
}

/// The dtype of a reduction of an array of this dtype.
fn reduced(named: Named, dtype: Dtype) -> Option<Dtype> {
    let mut g = GraphBuilder::new("g");
    let x = g.input("x", dtype, 1);
    let result = g.reduce(named, x, None, false).ok()?;
    Some(g.graph().node(result).dtype)
}

/// A rule of loopweave's that is not NumPy's.
struct Difference {
    why: &'static str,
    applies: fn(&Answer) -> bool,
    instead: fn(&Answer) -> Option<Dtype>,
}

/// The first that applies to an answer speaks for it.
const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "bf16 absorbs integers of any width, as in JAX; ml_dtypes converts those of 8 bits only",
        applies: |a| a.is_bf16_and_wide_int() && !a.is(LOGIC) && !a.is(COMPARISONS),
        instead: |_| Some(Dtype::Bf16),
    },
    Difference {
        why: "f16 and bf16 meet in f32, as in ml_dtypes' own functions; `result_type` has no answer",
        applies: |a| {
            let both = a.operands.contains(&Dtype::F16) && a.operands.contains(&Dtype::Bf16);
            both && (a.what == "promote" || a.is(&[Op::Select]))
        },
        instead: |_| Some(Dtype::F32),
    },
    Difference {
        why: "a float literal yields to bf16 as it does to every other float",
        applies: |a| a.weak == Some(Weak::Float) && a.operands == [Dtype::Bf16],
        instead: |_| Some(Dtype::Bf16),
    },
    Difference {
        why: "bool is no number: NumPy takes it to i8, or leaves it for `abs`",
        applies: |a| {
            let ops = [Op::Abs, Op::FloorDiv, Op::Rem, Op::FloorMod, Op::Pow, Op::Shl, Op::Shr];
            a.is(&ops) && a.all_bool()
        },
        instead: |_| None,
    },
    Difference {
        why: "every rounding of a bool is the bool; NumPy's `round` alone gives f16",
        applies: |a| a.is(&[Op::Round]) && a.all_bool(),
        instead: |_| Some(Dtype::Bool),
    },
    Difference {
        why: "the reciprocal of an integer is a float, as its quotients are; NumPy gives 0 for most",
        applies: |a| a.is(&[Op::Recip]) && a.operands[0].kind() != Kind::Float,
        instead: |a| Some(a.operands[0].float_for()),
    },
    Difference {
        why: "integers of both signs meet before they become a float; NumPy takes the narrowest float that holds each",
        applies: |a| {
            let mixed = matches!(a.operands[..], [x, y] if x.is_int() && y.is_int() && x.kind() != y.kind());
            mixed && a.is(&[Op::Atan2, Op::Hypot, Op::Copysign])
        },
        instead: |a| Some(Dtype::promote(a.operands[0], a.operands[1]).float_for()),
    },
];

const LOGIC: &[Op] = &[Op::And, Op::Or, Op::Xor, Op::Shl, Op::Shr];
const COMPARISONS: &[Op] = &[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];
