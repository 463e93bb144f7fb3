//! The fusion plan, a row a case: which nodes run together, and what was decided of each edge.
//!
//! A plan reads `group; group | producer>consumer rule-or-reason, …`; a group is its members' names joined by `+`.

use loopweave::fuse::{self, Plan, Verdict};
use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{Dim, Graph, Named, NodeId, Slice};
use loopweave::ir::{Builder, Dtype, Func, Op};

/// A graph under construction: every method adds one node under a name of its own.
struct G(GraphBuilder);

impl G {
    /// An `f32` input; `dims` as `n 4 ?`.
    fn input(&mut self, name: &str, dims: &str) -> NodeId {
        let dims = dims.split_whitespace().map(|dim| match dim.parse() {
            _ if dim == "?" => None,
            Ok(extent) => Some(Dim::Fixed(extent)),
            Err(_) => Some(Dim::Name(dim.to_owned())),
        });
        self.0.input_with_dims(name, Dtype::F32, dims.collect())
    }

    /// The sum of the arguments' elements, under the given name.
    fn map(&mut self, name: &str, args: &[NodeId]) -> NodeId {
        self.0.map(&addition(name, args.len()), args).unwrap()
    }

    fn sum(&mut self, name: &str, arg: NodeId, axes: &[isize]) -> NodeId {
        self.reduce(name, arg, axes, false)
    }

    fn sum_keepdims(&mut self, name: &str, arg: NodeId, axes: &[isize]) -> NodeId {
        self.reduce(name, arg, axes, true)
    }

    fn reduce(&mut self, name: &str, arg: NodeId, axes: &[isize], keepdims: bool) -> NodeId {
        let id = self.0.reduce(Named::Sum, arg, Some(axes), keepdims).unwrap();
        self.0.rename(id, name).unwrap();
        id
    }

    fn t(&mut self, arg: NodeId) -> NodeId {
        self.0.transpose(arg).unwrap()
    }

    fn slice(&mut self, arg: NodeId, slices: &[Slice]) -> NodeId {
        self.0.slice(arg, slices).unwrap()
    }

    fn out(&mut self, id: NodeId) {
        let name = format!("out{}", self.0.graph().outputs.len());
        self.0.output(name, id);
    }
}

fn addition(name: &str, arity: usize) -> Func {
    let mut b = Builder::polymorphic(name);
    let params: Vec<_> = (0..arity).map(|i| b.param(format!("x{i}"), None)).collect();
    let sum = params[1..].iter().fold(params[0], |sum, &x| b.node(Op::Add, &[sum, x]));
    let result = b.node(Op::Abs, &[sum]);
    b.finish(&[result])
}

fn render(graph: &Graph, plan: &Plan) -> String {
    let name = |id: &NodeId| graph.node(*id).name.as_str();
    let group = |g: &fuse::Group| g.members.iter().map(name).collect::<Vec<_>>().join("+");
    let decision = |d: &fuse::Decision| {
        let code = match d.verdict {
            Verdict::Fused(rule) => rule.code(),
            Verdict::Refused(reason) => reason.code(),
        };
        format!("{}>{} {code}", name(&d.producer), name(&d.consumer))
    };
    let groups: Vec<_> = plan.groups.iter().map(group).collect();
    let decisions: Vec<_> = plan.decisions.iter().map(decision).collect();
    format!("{} | {}", groups.join("; "), decisions.join(", "))
}

fn check(build: impl FnOnce(&mut G), expected: &str) {
    let mut g = G(GraphBuilder::new("case"));
    build(&mut g);
    let graph = g.0.finish().unwrap();
    let plan = fuse::plan(&graph);
    assert_eq!(render(&graph, &plan).trim(), expected);
    sound(&graph, &plan);
}

/// What holds of every plan: each computed node in one group, and every array made before it is read.
fn sound(graph: &Graph, plan: &Plan) {
    let mut group_of = vec![None; graph.nodes.len()];
    for (i, group) in plan.groups.iter().enumerate() {
        for member in &group.members {
            assert_eq!(group_of[member.index()].replace(i), None, "{member} is in two groups");
        }
    }
    for (id, node) in graph.iter() {
        let Some(reader) = group_of[id.index()] else { continue };
        for &arg in &node.args {
            let mut source = arg;
            while group_of[source.index()].is_none() && !graph.node(source).args.is_empty() {
                source = graph.node(source).args[0];
            }
            if let Some(writer) = group_of[source.index()] {
                assert!(writer <= reader, "{id} reads {source} before it is made");
                let is_root = plan.groups[writer].roots.contains(&source);
                assert!(writer == reader || is_root, "{source} leaves its group but is no root");
            }
        }
    }
}

const EVEN: Slice = Slice::Range {
    start: None,
    stop: None,
    step: 2,
};

#[test]
fn maps() {
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            g.out(a)
        },
        "a |",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            let b = g.map("b", &[a]);
            let c = g.map("c", &[b]);
            g.out(c)
        },
        "a+b+c | a>b map-into-map, b>c map-into-map",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            let b = g.map("b", &[x]);
            let c = g.map("c", &[a, b]);
            g.out(c)
        },
        "a+b+c | a>c map-into-map, b>c map-into-map",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            let b = g.map("b", &[a, a]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            let b = g.map("b", &[a]);
            let c = g.map("c", &[a, b]);
            g.out(c)
        },
        "a; b+c | a>b used-elsewhere, a>c used-elsewhere, b>c map-into-map",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            let b = g.map("b", &[a]);
            g.out(b);
            g.out(a)
        },
        "a; b | a>b used-elsewhere",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let a = g.map("a", &[x]);
            let b = g.map("b", &[x]);
            g.out(a);
            g.out(b)
        },
        "a; b |",
    );
}

#[test]
fn broadcasts() {
    check(
        |g| {
            let (x, y) = (g.input("x", "n m"), g.input("y", "m"));
            let a = g.map("a", &[y]);
            let b = g.map("b", &[x, a]);
            g.out(b)
        },
        "a; b | a>b shape-mismatch",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n m"), g.input("y", "1 m"));
            let a = g.map("a", &[y]);
            let b = g.map("b", &[x, a]);
            g.out(b)
        },
        "a; b | a>b shape-mismatch",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "? ?"), g.input("y", "? ?"));
            let a = g.map("a", &[y]);
            let b = g.map("b", &[x, a]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n"), g.input("y", ""));
            let a = g.map("a", &[y]);
            let b = g.map("b", &[x, a]);
            g.out(b)
        },
        "a; b | a>b shape-mismatch",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", ""), g.input("y", ""));
            let a = g.map("a", &[y]);
            let b = g.map("b", &[x, a]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "1 m"), g.input("y", "1 m"));
            let a = g.map("a", &[y]);
            let b = g.map("b", &[x, a]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
}

#[test]
fn views() {
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let v = g.t(a);
            let b = g.map("b", &[v]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let v = g.slice(a, &[EVEN, Slice::At(0)]);
            let b = g.map("b", &[v]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let x = g.input("x", "n n");
            let a = g.map("a", &[x]);
            let v = g.t(a);
            let b = g.map("b", &[a, v]);
            g.out(b)
        },
        "a; b | a>b view-between",
    );
    check(
        |g| {
            let x = g.input("x", "n n");
            let a = g.map("a", &[x]);
            let (v, w) = (g.t(a), g.t(a));
            let b = g.map("b", &[v, w]);
            g.out(b)
        },
        "a+b | a>b map-into-map",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n"), g.input("y", "n m"));
            let a = g.map("a", &[x]);
            let v = g.slice(a, &[Slice::ALL, Slice::New]);
            let b = g.map("b", &[v, y]);
            g.out(b)
        },
        "a; b | a>b view-between",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let v = g.0.reshape(a, &[None]).unwrap();
            let b = g.map("b", &[v]);
            g.out(b)
        },
        "a; b | a>b view-between",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n"), g.input("y", "m"));
            let a = g.map("a", &[x]);
            let v =
                g.0.broadcast(a, &[Dim::Name("m".into()), Dim::Name("n".into())])
                    .unwrap();
            let b = g.map("b", &[v]);
            g.out(b);
            g.out(y)
        },
        "a; b; y | a>b view-between",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let v = g.t(x);
            g.out(v);
            g.out(x)
        },
        "transpose; x |",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let v = g.t(a);
            g.out(v)
        },
        "a; transpose |",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let v = g.t(a);
            let b = g.map("b", &[v]);
            g.out(b);
            g.out(v)
        },
        "a; transpose; b | a>b used-elsewhere",
    );
}

#[test]
fn reductions() {
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let s = g.sum("s", a, &[1]);
            g.out(s)
        },
        "a+s | a>s map-into-reduce",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let a = g.map("a", &[x]);
            let v = g.t(a);
            let s = g.sum("s", v, &[1]);
            g.out(s)
        },
        "a+s | a>s map-into-reduce",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let s = g.sum("s", x, &[1]);
            let b = g.map("b", &[s]);
            let c = g.map("c", &[b]);
            g.out(c)
        },
        "s+b+c | s>b map-after-reduce, b>c map-after-reduce",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n m"), g.input("y", "n"));
            let s = g.sum("s", x, &[1]);
            let b = g.map("b", &[s, y]);
            g.out(b)
        },
        "s+b | s>b map-after-reduce",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n m"), g.input("y", "n"));
            let s = g.sum("s", x, &[1]);
            let e = g.map("e", &[y]);
            let b = g.map("b", &[e, s]);
            g.out(b)
        },
        "s+e+b | e>b map-into-map, s>b map-after-reduce",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n m"), g.input("y", "?"));
            let s = g.sum("s", x, &[1]);
            let b = g.map("b", &[s, y]);
            g.out(b)
        },
        "s; b | s>b shape-mismatch",
    );
    check(
        |g| {
            let (x, y) = (g.input("x", "n m"), g.input("y", "m n"));
            let s = g.sum("s", x, &[1]);
            let b = g.map("b", &[s, y]);
            g.out(b)
        },
        "s; b | s>b result-is-broadcast",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let s = g.sum_keepdims("s", x, &[1]);
            let b = g.map("b", &[x, s]);
            g.out(b)
        },
        "s; b | s>b result-is-broadcast",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let s = g.sum_keepdims("s", x, &[1]);
            let e = g.map("e", &[s]);
            let b = g.map("b", &[x, e]);
            g.out(b)
        },
        "s+e; b | s>e map-after-reduce, e>b result-is-broadcast",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let s = g.sum("s", x, &[1]);
            let t = g.sum("t", s, &[0]);
            g.out(t)
        },
        "s; t | s>t reduce-of-reduce",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let s = g.sum("s", x, &[1]);
            let e = g.map("e", &[s]);
            let t = g.sum("t", e, &[0]);
            g.out(t)
        },
        "s+e; t | s>e map-after-reduce, e>t reduce-of-reduce",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let (s, t) = (g.sum("s", x, &[0]), g.sum("t", x, &[0]));
            let b = g.map("b", &[s, t]);
            g.out(b)
        },
        "t; s+b | s>b map-after-reduce, t>b second-reduction",
    );
    check(
        |g| {
            let x = g.input("x", "n");
            let s = g.sum("s", x, &[0]);
            let (b, c) = (g.map("b", &[s]), g.map("c", &[s]));
            g.out(b);
            g.out(c)
        },
        "s; b; c | s>b used-elsewhere, s>c used-elsewhere",
    );
    check(
        |g| {
            let x = g.input("x", "n n");
            let s = g.sum("s", x, &[]);
            let v = g.t(s);
            let b = g.map("b", &[v]);
            g.out(b)
        },
        "s; b | s>b view-between",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let s = g.sum("s", x, &[1]);
            let v = g.slice(s, &[Slice::ALL, Slice::New]);
            let b = g.map("b", &[x, v]);
            g.out(b)
        },
        "s; b | s>b result-is-broadcast",
    );
    check(
        |g| {
            let x = g.input("x", "n m");
            let e = g.map("e", &[x]);
            let s = g.sum_keepdims("s", e, &[1]);
            let b = g.map("b", &[e, s]);
            g.out(b)
        },
        "e; s; b | e>s used-elsewhere, e>b used-elsewhere, s>b result-is-broadcast",
    );
}
