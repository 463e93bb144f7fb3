//! The verifier of nests and bindings refuses what is wrong, and says what.

use loopweave::graph::text::lower_kernel;
use loopweave::ir::text::ast::Item;
use loopweave::ir::text::{lower_module, parse};
use loopweave::nest::schedule::Scheduled;
use loopweave::nest::verify::{Violation, verify, verify_binding};
use loopweave::nest::{Leaf, OperandId, Order};
use loopweave::pipeline::{Options, Program};
use loopweave::shape::Layout;

/// The one nest of a kernel over an array of 40 × 50.
fn scheduled(body: &str) -> Scheduled {
    let module = parse(&format!("kernel k(x: f32[n, m]) {{ {body} }}"), "k.lw").unwrap();
    let functions = lower_module(&module).unwrap();
    let Some(Item::Kernel(kernel)) = module.items.last() else {
        panic!("no kernel")
    };
    let graph = lower_kernel(kernel, &functions, &module.source).unwrap();
    let program = Program::compile(graph, &Options::native().unwrap()).unwrap();
    let mut all = program.schedule(&[Layout::contiguous(&[40, 50]).unwrap()]).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Bytes of the array, and of a result of so many elements.
fn views(results: isize) -> [std::ops::Range<isize>; 2] {
    [0..40 * 50 * 4, 0..results * 4]
}

/// Bodies, and the elements of their results.
const SOUND: [(&str, isize); 3] = [
    ("x[:, ::-2] + 1", 1000),
    ("sum(x, axis = 1)", 40),
    ("sum(x, axis = 0)", 50),
];

#[test]
fn what_is_right_passes() {
    for (body, results) in SOUND {
        let it = scheduled(body);
        assert_eq!(verify(&it.nest), Ok(()), "{body}");
        assert_eq!(verify_binding(&it.nest, &it.binding, &views(results)), Ok(()), "{body}");
    }
}

#[test]
fn an_access_outside_of_its_view_is_found() {
    for (body, results) in SOUND {
        let it = scheduled(body);
        let refused = |change: &dyn Fn(&mut Scheduled), views: &[std::ops::Range<isize>]| {
            let mut it = it.clone();
            change(&mut it);
            let violations = verify_binding(&it.nest, &it.binding, views).unwrap_err();
            let is_outside = |v: &Violation| matches!(v, Violation::OutOfBounds { .. });
            assert!(violations.iter().all(is_outside), "{body}: {violations:?}");
        };
        let [x, out] = views(results);
        refused(&|_| {}, &[x.start..x.end - 4, out.clone()]);
        refused(&|_| {}, &[x.start + 8..x.end, out.clone()]);
        refused(&|_| {}, &[x.clone(), out.start..out.end - 1]);
        refused(&|it| it.binding.extents[0] += 1, &[x.clone(), out.clone()]);
        refused(&|it| it.binding.operands[0].offset -= 4 * 50, &[x, out]);
    }
}

#[test]
fn a_binding_of_another_nest_is_found() {
    let it = scheduled("x + 1");
    let mut fewer = it.binding.clone();
    fewer.operands.pop();
    assert_eq!(
        verify_binding(&it.nest, &fewer, &views(2000)),
        Err(vec![Violation::Arity])
    );
    let mut apart = it.binding.clone();
    *apart.operands[0].strides.last_mut().unwrap() = 8;
    let violations = verify_binding(&it.nest, &apart, &[0..16000, 0..8000]).unwrap_err();
    assert!(matches!(&violations[..], [Violation::Class { operand, stride: 8 }] if operand == "x"));
}

#[test]
fn a_nest_without_form_is_found() {
    let it = scheduled("sum(x, axis = 1)").nest;
    let broken = |change: &dyn Fn(&mut loopweave::nest::Nest)| {
        let mut nest = it.clone();
        change(&mut nest);
        verify(&nest).unwrap_err()
    };
    let reduce = |nest: &mut loopweave::nest::Nest, change: &dyn Fn(&mut loopweave::nest::Reduce)| match &mut nest.leaf
    {
        Leaf::Reduce(reduce) => change(reduce),
        other => panic!("{other:?}"),
    };
    let order = Order::Lanes { lanes: 3, block: 12 };
    assert_eq!(
        broken(&|nest| reduce(nest, &|r| r.order = order)),
        [Violation::BadOrder { order }]
    );
    let order = Order::Chain { block: 256 };
    let chain = broken(&|nest| reduce(nest, &|r| r.order = order));
    assert_eq!(chain, [Violation::BadOrder { order }]);
    let roles = broken(&|nest| nest.axes.insert(0, nest.axes[1].clone()));
    assert_eq!(roles, [Violation::AxisOrder]);
    let loads = broken(&|nest| reduce(nest, &|r| r.loads.clear()));
    assert!(!loads.is_empty());
    let overwritten = broken(&|nest| reduce(nest, &|r| r.stores[0] = OperandId(0)));
    assert!(overwritten.iter().any(|v| matches!(v, Violation::RoleMisused { .. })));
    assert!(broken(&|nest| nest.axes.clear()).contains(&Violation::NoAxis));
}
