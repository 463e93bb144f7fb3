//! Layouts, broadcasting, slicing, building and binding: tables against NumPy's rules.

#![allow(clippy::type_complexity, reason = "the tables are read as rows")]

use loopweave::graph::bind::{bind, layout};
use loopweave::graph::build::{GraphBuilder, ReduceWith};
use loopweave::graph::{Dim, Graph, GraphError, Named, NodeId, Reduction, Slice};
use loopweave::ir::{Dtype, Literal, Type, Weak, trace};
use loopweave::shape::{Layout, broadcast_shapes, overlap};

use Dtype::*;

#[test]
fn shapes_broadcast_as_in_numpy() {
    let table: &[(&[usize], &[usize], Option<&[usize]>)] = &[
        (&[], &[], Some(&[])),
        (&[], &[3], Some(&[3])),
        (&[3], &[3], Some(&[3])),
        (&[1], &[3], Some(&[3])),
        (&[3, 1], &[4], Some(&[3, 4])),
        (&[3, 1], &[1, 4], Some(&[3, 4])),
        (&[2, 1, 5], &[4, 1], Some(&[2, 4, 5])),
        (&[0], &[1], Some(&[0])),
        (&[3, 0], &[3, 1], Some(&[3, 0])),
        (&[1, 1, 1], &[], Some(&[1, 1, 1])),
        (&[0], &[3], None),
        (&[3], &[4], None),
        (&[2, 3], &[3, 2], None),
        (&[2, 3], &[2], None),
        (&[1 << 40, 1], &[1, 1 << 40], None),
    ];
    for &(a, b, expected) in table {
        for (a, b) in [(a, b), (b, a)] {
            let met = broadcast_shapes(&[("a", a), ("b", b)]).ok();
            assert_eq!(met.as_deref(), expected, "{a:?} with {b:?}");
        }
    }
    let error = broadcast_shapes(&[("x", &[3, 5]), ("s", &[]), ("y", &[3, 4])]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`y` has shape [3, 4], which does not broadcast with `x` [3, 5] at axis 1"
    );
}

/// The positions that a slice of `arange(10)` takes, as NumPy has them.
#[test]
fn ranges_are_those_of_numpy() {
    let table: &[(Option<i64>, Option<i64>, i64, &[isize])] = &[
        (None, None, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Some(2), Some(5), 1, &[2, 3, 4]),
        (Some(-3), None, 1, &[7, 8, 9]),
        (None, Some(-8), 1, &[0, 1]),
        (Some(5), Some(2), 1, &[]),
        (Some(8), Some(100), 1, &[8, 9]),
        (Some(100), None, 1, &[]),
        (Some(-100), Some(2), 1, &[0, 1]),
        (None, None, 3, &[0, 3, 6, 9]),
        (Some(1), Some(8), 3, &[1, 4, 7]),
        (None, None, -1, &[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (None, None, -4, &[9, 5, 1]),
        (Some(2), None, -1, &[2, 1, 0]),
        (Some(2), Some(-100), -1, &[2, 1, 0]),
        (Some(100), Some(7), -1, &[9, 8]),
        (Some(-2), Some(-5), -1, &[8, 7, 6]),
        (Some(2), Some(5), -1, &[]),
        (Some(-100), None, -1, &[]),
        (None, None, i64::MAX, &[0]),
        (None, None, i64::MIN, &[9]),
        (Some(i64::MIN), Some(i64::MAX), 5, &[0, 5]),
    ];
    let ten = Layout::contiguous(&[10]).unwrap();
    for &(start, stop, step, expected) in table {
        let view = ten.slice(&[Slice::Range { start, stop, step }]).unwrap();
        assert_eq!(positions(&view), expected, "{start:?}:{stop:?}:{step}");
    }
}

#[test]
fn views_see_the_right_elements() {
    let x = Layout::contiguous(&[2, 3]).unwrap();
    let table: &[(Layout, &[usize], &[isize])] = &[
        (x.clone(), &[2, 3], &[0, 1, 2, 3, 4, 5]),
        (x.permute(&[1, 0]).unwrap(), &[3, 2], &[0, 3, 1, 4, 2, 5]),
        (x.slice(&[Slice::At(-1)]).unwrap(), &[3], &[3, 4, 5]),
        (
            x.slice(&[Slice::ALL, Slice::New, Slice::At(1)]).unwrap(),
            &[2, 1],
            &[1, 4],
        ),
        (x.slice(&[Slice::At(1), Slice::At(2)]).unwrap(), &[], &[5]),
        (
            x.slice(&[Slice::At(0)]).unwrap().broadcast_to(&[2, 3]).unwrap(),
            &[2, 3],
            &[0, 1, 2, 0, 1, 2],
        ),
        (x.reshape(&[Some(3), None]).unwrap(), &[3, 2], &[0, 1, 2, 3, 4, 5]),
        (
            x.reshape(&[Some(1), Some(6), Some(1)]).unwrap(),
            &[1, 6, 1],
            &[0, 1, 2, 3, 4, 5],
        ),
        (
            Layout::new(&[2, 2, 3], &[20, 6, 2])
                .unwrap()
                .reshape(&[Some(2), Some(6)])
                .unwrap(),
            &[2, 6],
            &[0, 2, 4, 6, 8, 10, 20, 22, 24, 26, 28, 30],
        ),
        (
            Layout::new(&[4], &[-1]).unwrap().reshape(&[Some(2), Some(2)]).unwrap(),
            &[2, 2],
            &[0, -1, -2, -3],
        ),
    ];
    for (view, shape, expected) in table {
        assert_eq!(&view.shape[..], *shape);
        assert_eq!(positions(view), *expected, "{view:?}");
        let range = (
            expected.iter().min().copied().unwrap(),
            expected.iter().max().copied().unwrap(),
        );
        assert_eq!(view.range(), Some(range));
    }
}

#[test]
fn impossible_layouts_are_errors() {
    let x = Layout::contiguous(&[2, 3]).unwrap();
    let transposed = x.permute(&[1, 0]).unwrap();
    let step = |step| Slice::Range {
        start: None,
        stop: None,
        step,
    };
    let table = [
        (
            Layout::contiguous(&[usize::MAX, 2]),
            "an array of shape [18446744073709551615, 2] is too large",
        ),
        (
            Layout::contiguous(&[0, 1 << 62]),
            "an array of shape [0, 4611686018427387904] is too large",
        ),
        (Layout::new(&[2], &[isize::MIN]), "an array of shape [2] is too large"),
        (Layout::new(&[2], &[]), "1 extents but 0 strides"),
        (x.permute(&[0]), "[0] does not name each of the 2 axes once"),
        (
            x.slice(&[Slice::ALL, Slice::At(3)]),
            "index 3 is out of range for axis 1 of extent 3",
        ),
        (
            x.slice(&[Slice::At(-3)]),
            "index -3 is out of range for axis 0 of extent 2",
        ),
        (x.slice(&[Slice::ALL; 3]), "3 subscripts for 2 axes"),
        (
            x.slice(&[Slice::New, step(0)]),
            "the step of the range along axis 0 is 0",
        ),
        (
            x.broadcast_to(&[3, 2]),
            "shape [2, 3] does not broadcast to [3, 2] at axis 0",
        ),
        (x.broadcast_to(&[3]), "shape [2, 3] does not broadcast to [3] at axis 0"),
        (
            x.broadcast_to(&[1 << 62, 2, 3]),
            "an array of shape [4611686018427387904, 2, 3] is too large",
        ),
        (
            x.reshape(&[Some(4), None]),
            "shape [2, 3] has 6 elements, which [4, -1] does not hold",
        ),
        (x.reshape(&[None, None]), "a reshape can leave one extent open, not 2"),
        (
            x.reshape(&[Some(usize::MAX), Some(2)]),
            "shape [2, 3] has 6 elements, which [18446744073709551615, 2] does not hold",
        ),
        (
            transposed.reshape(&[None]),
            "shape [3, 2] with strides [1, 3] cannot be viewed as [-1]; reshape a copy, as `x + 0` makes one",
        ),
    ];
    for (result, expected) in table {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn contiguity_ignores_axes_of_extent_1() {
    let table: &[(&[usize], &[isize], bool)] = &[
        (&[2, 3], &[3, 1], true),
        (&[2, 3], &[1, 2], false),
        (&[2, 1, 3], &[3, 77, 1], true),
        (&[1], &[-5], true),
        (&[], &[], true),
        (&[0, 3], &[7, 7], true),
        (&[3, 0], &[7, 7], true),
        (&[3], &[-1], false),
        (&[3], &[0], false),
    ];
    for &(shape, strides, expected) in table {
        let layout = Layout::new(shape, strides).unwrap();
        assert_eq!(layout.is_contiguous(), expected, "{shape:?} {strides:?}");
    }
}

#[test]
fn byte_ranges_overlap_where_a_byte_is_shared() {
    let reversed = Layout::new(&[4], &[-1]).unwrap();
    assert_eq!(reversed.byte_range(4), -12..4);
    let empty = Layout::contiguous(&[0]).unwrap();
    assert!(empty.byte_range(4).is_empty());
    assert!(overlap(&(88..104), &(103..110)));
    assert!(!overlap(&(88..104), &(104..110)));
    assert!(!overlap(&(88..104), &(90..90)));
}

#[test]
fn reductions_have_the_dtypes_of_numpy() {
    use Named::*;
    let table = [
        (Sum, [I64, I64, I64, I64, I64, U64, U64, U64, U64, F16, Bf16, F32, F64]),
        (Prod, [I64, I64, I64, I64, I64, U64, U64, U64, U64, F16, Bf16, F32, F64]),
        (Mean, [F64, F64, F64, F64, F64, F64, F64, F64, F64, F16, Bf16, F32, F64]),
        (Min, Dtype::ALL),
        (Max, Dtype::ALL),
        (Any, [Bool; 13]),
        (All, [Bool; 13]),
        (ArgMin, [I64; 13]),
        (ArgMax, [I64; 13]),
    ];
    for (named, expected) in table {
        for (dtype, expected) in Dtype::ALL.into_iter().zip(expected) {
            let mut g = GraphBuilder::new("g");
            let x = g.input("x", dtype, 2);
            let id = g.reduce(named, x, None, false).unwrap();
            let node = g.graph().node(id);
            assert_eq!((node.dtype, node.rank), (expected, 0), "{} of {dtype}", named.name());
        }
    }
}

#[test]
fn axes_are_normalised() {
    let table: &[(Option<&[isize]>, bool, Result<usize, &str>)] = &[
        (None, false, Ok(0)),
        (None, true, Ok(3)),
        (Some(&[]), false, Ok(3)),
        (Some(&[-1]), false, Ok(2)),
        (Some(&[2, 0]), false, Ok(1)),
        (Some(&[2, 0]), true, Ok(3)),
        (Some(&[3]), false, Err("axis 3 is out of range for `x` with 3 axes")),
        (Some(&[-4]), false, Err("axis -4 is out of range for `x` with 3 axes")),
        (
            Some(&[isize::MIN]),
            false,
            Err("axis -9223372036854775808 is out of range for `x` with 3 axes"),
        ),
        (Some(&[0, -3]), false, Err("axis -3 is given twice")),
    ];
    for &(axes, keepdims, expected) in table {
        let mut g = GraphBuilder::new("g");
        let x = g.input("x", F32, 3);
        let rank = g
            .reduce(Named::Sum, x, axes, keepdims)
            .map(|id| g.graph().node(id).rank);
        let rank = rank.map_err(|e| e.to_string());
        assert_eq!(rank.as_ref().map_err(String::as_str).copied(), expected, "{axes:?}");
    }
}

#[test]
fn a_combiner_maps_two_elements_to_one() {
    let reduce = |dtype, func: &loopweave::ir::Func, init| {
        let mut g = GraphBuilder::new("g");
        let x = g.input("x", dtype, 1);
        let id = g.reduce(ReduceWith::Custom { combine: func, init }, x, None, false)?;
        Ok::<_, GraphError>(g.graph().node(id).clone())
    };
    let add = trace("add2", |[a, b]| a + b).unwrap();
    let half = trace("half", |[a, b]| (a + b) * 0.5).unwrap();
    let node = reduce(F16, &add, Literal::float(0.0)).unwrap();
    assert_eq!(node.dtype, F16);
    let loopweave::graph::ArrayOp::Reduce {
        reduction: Reduction::Custom { combine, init },
        ..
    } = node.op
    else {
        panic!("a reduction")
    };
    assert_eq!((combine.param_dtypes(), init.dtype()), (vec![F32, F32], F32));
    for (dtype, func, init, expected) in [
        (
            I32,
            &half,
            Literal::Int(0),
            "the combiner `half` takes two i32 to f64; expected i32",
        ),
        (
            I8,
            &add,
            Literal::Int(200),
            "the initial value of `add2` does not fit i8",
        ),
        (
            I8,
            &add,
            Literal::float(0.0),
            "the initial value of `add2` does not fit i8",
        ),
    ] {
        assert_eq!(reduce(dtype, func, init).unwrap_err().to_string(), expected);
    }
}

#[test]
fn maps_are_typed_for_their_arguments() {
    let mut g = GraphBuilder::new("axpy");
    let a = g.input("a", Type::Weak(Weak::Float), 0);
    let (x, y) = (g.input("x", F32, 1), g.input("y", F32, 2));
    let axpy = trace("axpy", |[a, x, y]| a * x + y).unwrap();
    let out = g.map(&axpy, &[a, x, y]).unwrap();
    assert_eq!((g.graph().node(a).dtype, g.graph().node(out).dtype), (F64, F32));
    assert_eq!(g.graph().node(out).rank, 2);
    assert_eq!(
        g.map(&axpy, &[a, x]).unwrap_err().to_string(),
        "`axpy` takes 3 arguments but is given 2"
    );
    let both = trace("both", |[x]| (x + 1, x.lt(0))).unwrap();
    let ids = g.map_multi(&both, &[x]).unwrap();
    let dtypes: Vec<_> = ids.iter().map(|&id| g.graph().node(id).dtype).collect();
    assert_eq!(dtypes, [F32, Bool]);
    assert_eq!(
        g.map(&both, &[x]).unwrap_err().to_string(),
        "`both` has 2 results where one is expected"
    );
    let not = trace("not", |[x]| !x).unwrap();
    assert_eq!(
        g.map(&not, &[x]).unwrap_err().to_string(),
        "`not` of f32: `not` does not take f32; expected integers or bool"
    );
    let elsewhere = NodeId(99);
    assert_eq!(
        g.map(&not, &[elsewhere]).unwrap_err().to_string(),
        "node %99 is not a node of `axpy`"
    );
}

#[test]
fn dead_nodes_go_and_inputs_stay() {
    let mut g = GraphBuilder::new("g");
    let (x, y) = (g.input("x", F32, 1), g.input("y", F32, 1));
    let exp = trace("exp", |[x]| x.exp()).unwrap();
    g.map(&exp, &[y]).unwrap();
    let live = g.map(&exp, &[x]).unwrap();
    g.output("out", live);
    let graph = g.finish().unwrap();
    assert_eq!(graph.nodes.len(), 3);
    assert_eq!((graph.inputs.len(), graph.outputs[0].1), (2, NodeId(2)));
    assert_eq!(
        GraphBuilder::new("g").finish().unwrap_err().to_string(),
        "`g` has no output"
    );
}

/// A graph that exercises what binding checks; the row says with which shapes of x and y.
fn program(build: impl FnOnce(&mut GraphBuilder, NodeId, NodeId) -> NodeId) -> Graph {
    let mut g = GraphBuilder::new("dist");
    let name = |n: &str| Some(Dim::from(n));
    let x = g.input_with_dims("x", F32, vec![name("n"), None]);
    let y = g.input_with_dims("y", F32, vec![name("n"), Some(Dim::Fixed(4))]);
    let out = build(&mut g, x, y);
    g.output("out", out);
    g.finish().unwrap()
}

#[test]
fn binding_errors_use_the_users_names() {
    let add = trace("add", |[x, y]| x + y).unwrap();
    let exp = trace("exp", |[x]| x.exp()).unwrap();
    let sum = program(|g, x, y| g.map(&add, &[x, y]).unwrap());
    let max = program(|g, x, _| g.reduce(Named::Max, x, Some(&[1]), false).unwrap());
    let argmin = program(|g, x, _| g.reduce(Named::ArgMin, x, None, false).unwrap());
    let row = program(|g, x, _| g.slice(x, &[Slice::At(3)]).unwrap());
    let flat = program(|g, x, _| g.reshape(x, &[Some(Dim::Fixed(5)), None]).unwrap());
    let grown = program(|g, x, _| g.broadcast(x, &[Dim::from("n"), Dim::Fixed(7)]).unwrap());
    let huge = program(|g, x, _| {
        let (a, b) = (g.slice(x, &[Slice::New]).unwrap(), g.transpose(x).unwrap());
        let b = g.slice(b, &[Slice::ALL, Slice::New]).unwrap();
        let a = g.map(&exp, &[a]).unwrap();
        g.map(&add, &[a, b]).unwrap()
    });
    let table: &[(&Graph, &[&[usize]], &str)] = &[
        (&sum, &[&[2, 4]], "`dist` takes 2 arrays, not 1"),
        (&sum, &[&[2], &[2, 4]], "`x` has 1 axis; `dist` takes 2"),
        (
            &sum,
            &[&[5, 4], &[4, 4]],
            "the extent `n` is 5 in `x` (axis 0) but 4 in `y` (axis 0)",
        ),
        (
            &sum,
            &[&[5, 4], &[5, 3]],
            "`y` has extent 3 at axis 1; `dist` declares 4",
        ),
        (
            &sum,
            &[&[5, 3], &[5, 4]],
            "`y` has shape [5, 4], which does not broadcast with `x` [5, 3] at axis 1",
        ),
        (
            &max,
            &[&[3, 0], &[3, 4]],
            "`max` over axis 1 of `x` [3, 0] has no elements",
        ),
        (
            &argmin,
            &[&[3, 0], &[3, 4]],
            "`argmin` over axes [0, 1] of `x` [3, 0] has no elements",
        ),
        (
            &row,
            &[&[3, 2], &[3, 4]],
            "`x`: index 3 is out of range for axis 0 of extent 3",
        ),
        (
            &flat,
            &[&[3, 2], &[3, 4]],
            "`x`: shape [3, 2] has 6 elements, which [5, -1] does not hold",
        ),
        (
            &grown,
            &[&[3, 2], &[3, 4]],
            "`x`: shape [3, 2] does not broadcast to [3, 7] at axis 1",
        ),
        (
            &huge,
            &[&[1 << 25, 1 << 25], &[1 << 25, 4]],
            "an array of shape [33554432, 33554432, 33554432] is too large",
        ),
    ];
    for (graph, shapes, expected) in table {
        assert_eq!(bind(graph, shapes).unwrap_err().to_string(), *expected);
    }
    // Nothing along a kept axis is no reason to refuse.
    assert!(bind(&max, &[&[0, 0], &[0, 4]]).is_ok());
}

#[test]
fn declared_extents_of_results_are_checked() {
    let mut g = GraphBuilder::new("k");
    let x = g.input_with_dims("x", F32, vec![Some(Dim::from("n")), None]);
    let out = g.transpose(x).unwrap();
    g.output_with_dims("out", out, vec![Some(Dim::from("n")), Some(Dim::from("k"))]);
    let graph = g.finish().unwrap();
    assert!(bind(&graph, &[&[3, 3]]).is_ok());
    let error = bind(&graph, &[&[3, 4]]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the extent `n` is 3 in `x` (axis 0) but 4 in the result `out` (axis 0)"
    );
}

#[test]
fn layouts_of_views_follow_their_sources() {
    let graph = program(|g, x, _| {
        let t = g.transpose(x).unwrap();
        let r = g.reshape(t, &[None, Some(Dim::from("n"))]).unwrap();
        g.slice(r, &[Slice::At(-1)]).unwrap()
    });
    let shapes = bind(&graph, &[&[3, 2], &[3, 4]]).unwrap();
    let mut at = Layout::new(&[3, 2], &[2, 1]).unwrap();
    for (id, _) in graph.iter().skip(2) {
        at = layout(&graph, &shapes, id, &at).unwrap();
        assert_eq!(at.shape, shapes[id]);
    }
    assert_eq!(positions(&at), [1, 3, 5]);
}

/// The offsets of a layout's elements in C order of its axes.
fn positions(layout: &Layout) -> Vec<isize> {
    let mut found = vec![layout.offset];
    for (&extent, &stride) in layout.shape.iter().zip(&layout.strides) {
        let along = |at: isize| (0..extent as isize).map(move |i| at + i * stride);
        found = found.into_iter().flat_map(along).collect();
    }
    found
}
