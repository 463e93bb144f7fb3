//! Every op × dtype × way of running × memory layout, on edge values, compared by bits with the scalar interpreter.
//!
//! The table of ops drives it, so a new op is tested before anyone writes a test for it. An op of `f16` or `bf16` is the op on
//! `f32` between a load and a store of that type.

mod support;

use std::panic::catch_unwind;

use loopweave::ir::expand::expand;
use loopweave::ir::interp::Evaluator;
use loopweave::ir::op::Rule;
use loopweave::ir::testing::{edge_values, operand_dtypes};
use loopweave::ir::{Builder, Dtype, ExprId, Func, Op, Scalar, Table};
use support::{Caches, Engines, Lay, Strided, map_graph};

#[test]
fn arithmetic() {
    family(|rule| matches!(rule, Rule::Arith));
}

#[test]
fn numbers() {
    family(|rule| matches!(rule, Rule::Number));
}

#[test]
fn rounding_predicates_and_exponents() {
    family(|rule| matches!(rule, Rule::Rounding | Rule::Predicate | Rule::Exponent | Rule::Scale));
}

#[test]
fn float_functions() {
    family(|rule| matches!(rule, Rule::Float | Rule::TrueDivide));
}

#[test]
fn comparisons() {
    family(|rule| matches!(rule, Rule::Compare));
}

#[test]
fn bits_shifts_and_select() {
    family(|rule| matches!(rule, Rule::Bits | Rule::Shift | Rule::Select));
}

#[test]
fn casts() {
    let pairs = Dtype::ALL.iter().flat_map(|&from| Dtype::ALL.map(|to| (from, to)));
    let funcs: Vec<Func> = pairs
        .map(|(from, to)| {
            let mut b = Builder::typed(format!("{from}_to_{to}"));
            let x = b.param("x", Some(from));
            let y = b.cast(x, to);
            b.finish(&[y])
        })
        .collect();
    check_all(&funcs);
}

#[test]
fn bitcasts() {
    let pairs = Dtype::ALL.iter().flat_map(|&from| Dtype::ALL.map(|to| (from, to)));
    let funcs: Vec<Func> = pairs
        .filter(|&(from, to)| Op::Bitcast(to).result_dtype(&[from]).is_some())
        .map(|(from, to)| {
            let mut b = Builder::typed(format!("bitcast_{from}_to_{to}"));
            let x = b.param("x", Some(from));
            let y = b.node(Op::Bitcast(to), &[x]);
            b.finish(&[y])
        })
        .collect();
    assert_eq!(
        funcs.len(),
        1 + 2 * 2 + 4 * 4 + 3 * 3 + 3 * 3,
        "bool, 8, 16, 32 and 64 bits"
    );
    check_all(&funcs);
}

/// Entries of tables: one column, all of them in turn, by an index that is a constant, and beside values twice as wide, for which
/// registers hold fewer entries.
#[test]
fn lookups() {
    let mut funcs = Vec::new();
    for table in Table::all() {
        let (index, wide) = (table.dtype().to_unsigned(), table.dtype() == Dtype::F32);
        for column in table.columns() {
            let mut b = Builder::typed(column.to_string());
            let x = b.param("x", Some(index));
            let y = b.node(Op::Lookup(column), &[x]);
            funcs.push(b.finish(&[y]));
        }
        let mut b = Builder::typed(format!("{}_all", table.name()));
        let (x, t) = (b.param("x", Some(index)), b.param("t", Some(table.dtype())));
        let six = b.constant(Scalar::from_bits(index, 6 + 16));
        let mut sum = b.node(Op::Lookup(table.columns().last().unwrap()), &[six]);
        for column in table.columns() {
            let entry = b.node(Op::Lookup(column), &[x]);
            sum = b.node(Op::Fma, &[sum, t, entry]);
        }
        let sum = if wide { b.cast(sum, Dtype::F64) } else { sum };
        funcs.push(b.finish(&[sum]));
    }
    check_all(&funcs);
}

/// Sums of products with every choice of negated operands, and two bitwise ops on three words, with and without a constant: one
/// instruction each where there is one.
#[test]
fn negated_sums_and_pairs_of_bitwise_ops() {
    let mut funcs = Vec::new();
    for dtype in [Dtype::F32, Dtype::F64, Dtype::I8, Dtype::U16, Dtype::I32, Dtype::U64] {
        for negated in 1..8 {
            let mut b = Builder::typed(format!("fma_{negated:03b}_{dtype}"));
            let operands = [0, 1, 2].map(|i| {
                let x = b.param(format!("x{i}"), Some(dtype));
                if negated >> i & 1 == 1 {
                    b.node(Op::Neg, &[x])
                } else {
                    x
                }
            });
            let y = b.node(Op::Fma, &operands);
            funcs.push(b.finish(&[y]));
        }
    }
    let ops = [Op::And, Op::Or, Op::Xor];
    for dtype in [Dtype::I8, Dtype::U16, Dtype::I32, Dtype::U64] {
        for (i, (outer, inner)) in ops
            .iter()
            .flat_map(|&outer| ops.map(|inner| (outer, inner)))
            .enumerate()
        {
            let mut b = Builder::typed(format!("{}_{}_{dtype}", outer.name(), inner.name()));
            let mut operands = [0, 1, 2].map(|i| b.param(format!("x{i}"), Some(dtype)));
            if i % 2 == 1 {
                operands[i % 3] = b.constant(Scalar::from_bits(dtype, 0xa5));
            }
            let pair = b.node(inner, &operands[1..]);
            let y = match i % 4 < 2 {
                true => b.node(outer, &[operands[0], pair]),
                false => b.node(outer, &[pair, operands[0]]),
            };
            funcs.push(b.finish(&[y]));
        }
    }
    check_all(&funcs);
}

/// Checks every op of these rules on every dtype it takes.
fn family(is_member: impl Fn(Rule) -> bool) {
    let ops = Op::ALL.iter().filter(|op| is_member(op.rule()));
    let funcs: Vec<Func> = ops
        .flat_map(|op| Dtype::ALL.map(|dtype| (*op, dtype)))
        .filter_map(|(op, dtype)| function(op, dtype))
        .collect();
    check_all(&funcs);
}

/// Checks every function, and names all that fail.
fn check_all(funcs: &[Func]) {
    assert!(funcs.len() > 10, "{} cases", funcs.len());
    let failed: Vec<&str> = funcs
        .iter()
        .filter(|func| catch_unwind(|| check(func)).is_err())
        .map(Func::name)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {failed:?}",
        failed.len(),
        funcs.len()
    );
}

/// The op as a function of arrays of this dtype; `None` where it does not take it.
fn function(op: Op, dtype: Dtype) -> Option<Func> {
    let dtypes = operand_dtypes(op, dtype.compute());
    let result = op.result_dtype(&dtypes)?;
    let mut b = Builder::typed(format!("{}_{dtype}", op.name()));
    let operands: Vec<ExprId> = dtypes
        .iter()
        .enumerate()
        .map(|(i, &compute)| {
            let stored = if compute == dtype.compute() { dtype } else { compute };
            let param = b.param(format!("x{i}"), Some(stored));
            b.cast(param, compute)
        })
        .collect();
    let value = b.node(op, &operands);
    let stored = if result == dtype.compute() { dtype } else { result };
    let value = b.cast(value, stored);
    Some(b.finish(&[value]))
}

/// Checks a function on its operands' edge values, in every layout.
fn check(func: &Func) {
    let expanded = expand(func).unwrap();
    let mut meaning = Evaluator::new(&expanded).unwrap();
    let edges: Vec<Vec<Scalar>> = func
        .param_dtypes()
        .iter()
        .map(|&d| edges(d, func.params().len()))
        .collect();
    // Operand 0 goes along the rows and operand 1 along the columns, so all their pairs meet.
    let columns = edges.get(1).map_or(5, Vec::len);
    let rows = edges[0].len();
    let value = |operand: usize, position: usize| {
        let (row, column) = (position / columns, position % columns);
        let list = &edges[operand];
        match operand {
            0 if edges.len() == 1 => list[(row + column) % list.len()],
            0 => list[row],
            1 => list[column],
            _ => list[(7 * row + 3 * column) % list.len()],
        }
    };
    let caches = Caches::default();
    let arity = edges.len();
    for shape in [&[rows * columns][..], &[rows, columns], &[], &[0], &[3, 0]] {
        let engines = Engines::new(&map_graph(func, &vec![shape.len(); arity]), &caches);
        for lays in layouts(shape.len(), arity) {
            let dtypes = func.param_dtypes();
            let inputs: Vec<Strided> = (0..arity)
                .map(|i| Strided::new(dtypes[i], shape, lays[i], |position| value(i, position)))
                .collect();
            let columns: Vec<Vec<Scalar>> = inputs.iter().map(Strided::scalars).collect();
            let expected = (0..columns[0].len())
                .map(|i| {
                    let args: Vec<Scalar> = columns.iter().map(|c| c[i]).collect();
                    meaning.eval(&args, 0).unwrap()[0]
                })
                .collect();
            engines.check(&inputs, &[expected], &format!("{} {shape:?} {lays:?}", func.name()));
        }
    }
}

/// The layouts of all operands together: alike, and each at odds with the others.
fn layouts(rank: usize, arity: usize) -> Vec<Vec<Lay>> {
    let mut all: Vec<Vec<Lay>> = Vec::new();
    for lay in Lay::all(rank) {
        let mut first = vec![Lay::Contiguous; arity];
        first[0] = lay;
        let mut last = vec![Lay::Contiguous; arity];
        last[arity - 1] = lay;
        all.extend([first, last]);
        if matches!(lay, Lay::Strided | Lay::Reversed) {
            all.push(vec![lay; arity]);
        }
    }
    all.sort_by_key(|lays| format!("{lays:?}"));
    all.dedup();
    all
}

/// The edge values, fewer where several operands multiply them: those made by bits stand at the end of the list and stay.
fn edges(dtype: Dtype, arity: usize) -> Vec<Scalar> {
    let all = edge_values(dtype);
    let limit = match arity {
        1 => usize::MAX,
        2 => 40,
        _ => 24,
    };
    if all.len() <= limit {
        return all;
    }
    let (sampled, kept) = all.split_at(all.len() - 16);
    let step = sampled.len().div_ceil(limit - 16);
    sampled.iter().step_by(step).chain(kept).copied().collect()
}
