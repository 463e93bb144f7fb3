//! Each invariant of a function, broken once.

use loopweave_ir::func::MAX_NODES;
use loopweave_ir::func::Operands;
use loopweave_ir::testing::{Profile, random_func};
use loopweave_ir::verify::{Violation, verify};
use loopweave_ir::{Dtype, ExprId, Func, Literal, Node, Op, Param, Scalar};

/// The violations of the function `f(x, y)` on `f32` with these nodes and results, as text.
fn violations(nodes: &[(Op, &[u32], Dtype)], results: &[u32]) -> Vec<String> {
    let nodes = nodes
        .iter()
        .map(|&(op, args, dtype)| node(op, args, Some(dtype)))
        .collect();
    report(&Func::from_parts_unchecked(
        "f",
        params(&["x", "y"]),
        nodes,
        ids(results),
    ))
}

fn report(func: &Func) -> Vec<String> {
    verify(func)
        .err()
        .unwrap_or_default()
        .iter()
        .map(Violation::to_string)
        .collect()
}

fn node(op: Op, args: &[u32], dtype: Option<Dtype>) -> Node {
    Node {
        op,
        args: Operands::new(&ids(args)),
        dtype,
    }
}

fn ids(ids: &[u32]) -> Vec<ExprId> {
    ids.iter().map(|&i| ExprId(i)).collect()
}

fn params(names: &[&str]) -> Vec<Param> {
    let param = |name: &&str| Param {
        name: name.to_string(),
        dtype: Some(Dtype::F32),
    };
    names.iter().map(param).collect()
}

const X: (Op, &[u32], Dtype) = (Op::Param(0), &[], Dtype::F32);
const Y: (Op, &[u32], Dtype) = (Op::Param(1), &[], Dtype::F32);

#[test]
fn a_sound_function_passes() {
    assert_eq!(violations(&[X, Y, (Op::Add, &[0, 1], Dtype::F32)], &[2]), [""; 0]);
    for seed in 0..200 {
        assert_eq!(report(&random_func(seed, &Profile::default())), [""; 0], "seed {seed}");
    }
}

#[test]
fn results_exist() {
    assert_eq!(violations(&[], &[]), ["the function has no result"]);
    assert_eq!(violations(&[X], &[0, 3]), ["result 1 is %3, which is no node"]);
}

#[test]
fn children_stand_before_parents() {
    let found = violations(&[X, (Op::Add, &[0, 2], Dtype::F32), Y], &[1]);
    assert_eq!(found, ["%1 takes %2, which does not stand before it"]);
    let found = violations(&[(Op::Neg, &[0], Dtype::F32)], &[0]);
    assert_eq!(found, ["%0 takes %0, which does not stand before it"]);
}

#[test]
fn ops_have_their_arity() {
    assert_eq!(
        violations(&[X, (Op::Add, &[0], Dtype::F32)], &[1]),
        ["%1: `add` takes 2 operands, not 1"]
    );
}

#[test]
fn nodes_are_shared_live_and_in_order() {
    let (neg, abs) = (Op::Neg, Op::Abs);
    let f = Dtype::F32;
    assert_eq!(
        violations(&[X, (neg, &[0], f), (neg, &[0], f), (Op::Add, &[1, 2], f)], &[3]),
        ["%2 equals %1"]
    );
    assert_eq!(
        violations(&[X, (neg, &[0], f), (abs, &[0], f)], &[2]),
        ["%1 is reached from no result"]
    );
    let found = violations(&[X, Y, (Op::Sub, &[1, 0], f)], &[2]);
    assert_eq!(
        found,
        ["%1 stands after %0, but a walk from the results reaches it first"]
    );
}

#[test]
fn size_is_bounded() {
    let mut nodes = vec![X];
    let args: Vec<[u32; 1]> = (0..MAX_NODES as u32).map(|i| [i]).collect();
    nodes.extend(args.iter().map(|a| (Op::Neg, a.as_slice(), Dtype::F32)));
    let found = violations(&nodes, &[MAX_NODES as u32]);
    assert_eq!(found, ["the function has 65537 nodes; the limit is 65536"]);
}

#[test]
fn types_are_whole() {
    let nodes = vec![node(Op::Param(0), &[], None), node(Op::Neg, &[0], Some(Dtype::F32))];
    let func = Func::from_parts_unchecked("f", params(&["x"]), nodes, ids(&[1]));
    assert_eq!(report(&func), ["%0 has no dtype, but other nodes have one"]);

    let mut untyped = params(&["x", "y"]);
    untyped[1].dtype = None;
    let func = Func::from_parts_unchecked("f", untyped, vec![node(Op::Param(0), &[], Some(Dtype::F32))], ids(&[0]));
    assert_eq!(report(&func), ["parameter 1 has no dtype, but the nodes have one"]);
}

#[test]
fn types_are_strict() {
    let f = Dtype::F32;
    let one = (Op::Const(Scalar::from_f64(Dtype::F64, 1.0)), &[][..], Dtype::F64);
    let found = violations(&[X, one, (Op::Add, &[0, 1], f)], &[2]);
    assert_eq!(found, ["%2: `add` does not take operands of [F32, F64]"]);
    let found = violations(&[X, (Op::IsNan, &[0], f)], &[1]);
    assert_eq!(found, ["%1 is declared f32, but is bool"]);
    let found = violations(&[(Op::Param(0), &[], Dtype::F64)], &[0]);
    assert_eq!(found, ["%0 is declared f64, but is f32"]);
    let literal = (Op::Literal(Literal::Int(1)), &[][..], f);
    assert_eq!(
        violations(&[literal], &[0]),
        ["%0 is a weak literal in a typed function"]
    );
}

#[test]
fn parameters_exist() {
    let found = violations(&[(Op::Param(2), &[], Dtype::F32)], &[0]);
    assert_eq!(found, ["%0 refers to parameter 2, which does not exist"]);
}

#[test]
fn names_are_given_and_unique() {
    let nodes = vec![node(Op::Param(0), &[], Some(Dtype::F32))];
    let func = Func::from_parts_unchecked("", params(&["x", "", "x"]), nodes, ids(&[0]));
    let want = [
        "the function has no name",
        "parameter 1 has no name",
        "parameters 0 and 2 are both `x`",
    ];
    assert_eq!(report(&func), want);
}

#[test]
fn all_violations_are_collected() {
    let found = violations(&[X, (Op::Add, &[0], Dtype::F32), (Op::Param(7), &[], Dtype::F32)], &[1]);
    assert_eq!(found.len(), 3, "{found:?}");
}
