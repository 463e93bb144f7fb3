//! Fusion moves no bits: random programs give the same results fused and with every op in a kernel of its own.
//!
//! A program is made of genes, one per node, so that a failing case shrinks to few nodes. Both programs run as machine code,
//! and the fused one also in the interpreter of nests.

mod support;

use std::sync::{Arc, LazyLock};

use loopweave::fuse::{self, Verdict};
use loopweave::graph::build::{GraphBuilder, ReduceWith};
use loopweave::graph::{Dim, Graph, Named, NodeId, Slice};
use loopweave::ir::{Dtype, Func, Literal, Scalar, trace};
use loopweave::pipeline::{KernelCache, Options, Program};
use proptest::prelude::*;
use support::{Lay, Strided, assert_same, interpret, run};

type Gene = (u8, u8, u8, u8);

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_and_unfused_programs_agree(
        genes in proptest::collection::vec(any::<Gene>(), 2..16),
        extents in (0usize..6, 0usize..6),
        seed: u64,
    ) {
        check(&genes, [EXTENTS[extents.0], EXTENTS[5 - extents.1]], seed);
    }
}

/// Around the lanes of each order, and beyond the rows of a chain's block.
const EXTENTS: [usize; 6] = [1, 2, 7, 33, 70, 300];

/// The combinations that the rules of fusion speak of, each often enough to be met by chance in the cases above.
#[test]
fn all_rules_are_met() {
    let mut met: Vec<&str> = Vec::new();
    let mut state = 7u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u8
    };
    for _ in 0..4000 {
        let genes: Vec<Gene> = (0..12).map(|_| (random(), random(), random(), random())).collect();
        let made = Made::new(&genes, [33, 7]);
        met.extend(fuse::plan(&made.graph).decisions.iter().map(|d| match d.verdict {
            Verdict::Fused(rule) => rule.code(),
            Verdict::Refused(reason) => reason.code(),
        }));
    }
    met.sort_unstable();
    let codes = met.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()));
    let rare: Vec<_> = codes.clone().filter(|(_, count)| *count < 5).collect();
    let count = codes.count();
    assert!(rare.is_empty() && count >= 16, "{count} codes, rarely met: {rare:?}");
}

fn check(genes: &[Gene], extents: [usize; 2], seed: u64) {
    static CACHE: LazyLock<Arc<KernelCache>> = LazyLock::new(Arc::default);
    let made = Made::new(genes, extents);
    let inputs: Vec<Strided> = made.inputs(seed);
    let program = |fusion: bool| {
        let options = Options {
            fusion,
            ..Options::native().unwrap()
        };
        Program::compile_shared(made.graph.clone(), &options, Arc::clone(&CACHE)).unwrap()
    };
    let (fused, unfused) = (program(true), program(false));
    let groups: Vec<_> = fused
        .plan()
        .groups
        .iter()
        .map(|g| (g.kind.clone(), &g.members, &g.roots))
        .collect();
    let case = format!("{}\n{groups:?}", made.graph);
    // A reshape that strides cannot make is refused either way.
    let Ok(expected) = run(&unfused, &inputs) else { return };
    assert_same(
        &run(&fused, &inputs).unwrap_or_else(|e| panic!("{case}: {e}")),
        &expected,
        &case,
    );
    assert_same(&interpret(&fused, &inputs), &expected, &case);
}

/// A program made from genes.
struct Made {
    graph: Graph,
    /// The dtype and shape of each input.
    inputs: Vec<(Dtype, Vec<usize>)>,
}

impl Made {
    fn new(genes: &[Gene], extents: [usize; 2]) -> Made {
        let mut growing = Growing {
            builder: GraphBuilder::new("random"),
            nodes: Vec::new(),
            inputs: Vec::new(),
            extents,
        };
        for dims in ["n m", "n m", "m", "n 1", "", "? ?"] {
            let dtype = [Dtype::F32, Dtype::F32, Dtype::F64, Dtype::F32, Dtype::F32, Dtype::I32][growing.inputs.len()];
            growing.input(dtype, dims);
        }
        for &gene in genes {
            growing.grow(gene);
        }
        growing.finish(genes)
    }

    fn inputs(&self, seed: u64) -> Vec<Strided> {
        let array = |(i, (dtype, shape)): (usize, &(Dtype, Vec<usize>))| {
            Strided::new(*dtype, shape, Lay::Contiguous, |at| {
                let bits =
                    (seed ^ (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + i as u64)).wrapping_mul(0xd129_0f57);
                match (bits >> 32) % 41 {
                    0 if dtype.is_float() => Scalar::from_f64(*dtype, f64::NAN),
                    1 if dtype.is_float() => Scalar::from_f64(*dtype, f64::INFINITY),
                    2 => Scalar::from_f64(*dtype, -0.0),
                    _ => Scalar::from_f64(*dtype, ((bits >> 20) % 20_011) as f64 / 997.0 - 10.0),
                }
            })
        };
        self.inputs.iter().enumerate().map(array).collect()
    }
}

/// A graph with the shape of each node in the one call that is made.
struct Growing {
    builder: GraphBuilder,
    nodes: Vec<(NodeId, Vec<usize>)>,
    inputs: Vec<(Dtype, Vec<usize>)>,
    extents: [usize; 2],
}

impl Growing {
    fn input(&mut self, dtype: Dtype, dims: &str) {
        let [n, m] = self.extents;
        let mut shape = Vec::new();
        let dims = dims.split_whitespace().enumerate().map(|(axis, dim)| match dim {
            "n" => (Some(Dim::from("n")), n),
            "m" => (Some(Dim::from("m")), m),
            "1" => (Some(Dim::Fixed(1)), 1),
            _ => (None, if axis == 0 { n } else { m }),
        });
        let mut declared = Vec::new();
        for (dim, extent) in dims {
            declared.push(dim);
            shape.push(extent);
        }
        let id = self
            .builder
            .input_with_dims(format!("x{}", self.inputs.len()), dtype, declared);
        self.inputs.push((dtype, shape.clone()));
        self.nodes.push((id, shape));
    }

    /// A node of those there are; more often one of the last.
    fn pick(&self, gene: u8) -> (NodeId, Vec<usize>) {
        let n = self.nodes.len();
        let back = if gene.is_multiple_of(3) {
            gene as usize / 3 % n
        } else {
            gene as usize / 3 % n.min(4)
        };
        self.nodes[n - 1 - back].clone()
    }

    fn grow(&mut self, (kind, a, b, c): Gene) {
        let (x, shape) = self.pick(a);
        match kind % 16 {
            0..=1 => self.map(&unary(c), &[(x, shape)]),
            2..=7 => {
                let y = self.pick(b);
                self.map(&binary(c), &[(x, shape), y]);
            }
            8 => {
                let (y, z) = (self.pick(b), self.pick(c));
                let blend = trace("blend", |[x, y, z]| x.lt(y).select(x + z, y * z)).unwrap();
                self.map(&blend, &[(x, shape), y, z]);
            }
            9..=10 => self.reduce(x, &shape, b, c),
            // Siblings, of one array or of two that are made of one.
            11 => {
                self.reduce(x, &shape, b, c);
                self.reduce(x, &shape, b / 16, c);
            }
            12 => {
                self.map(&unary(b), &[(x, shape.clone())]);
                let (y, made) = self.nodes.last().cloned().unwrap();
                self.reduce(x, &shape, b / 16, c);
                self.reduce(y, &made, b, c);
            }
            13 => {
                let y = self.pick(b);
                self.product((x, shape), y);
            }
            _ => self.view(x, shape, b),
        }
    }

    /// A matrix product, with the second factor or with its transpose, where extents allow one.
    fn product(&mut self, (x, a): (NodeId, Vec<usize>), (y, mut b): (NodeId, Vec<usize>)) {
        let Some(&depth) = a.last() else { return };
        let contracted = |b: &[usize]| b[b.len().saturating_sub(2)];
        let mut right = y;
        if b.len() == 2 && contracted(&b) != depth {
            b.reverse();
            right = self.builder.transpose(y).unwrap();
        }
        if b.is_empty() || contracted(&b) != depth || (a.len() > 2 && b.len() > 2) {
            return;
        }
        let lead = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
        let mut result = if a.len() > 2 { lead(&a) } else { lead(&b) };
        result.extend(a.len().checked_sub(2).map(|axis| a[axis]));
        result.extend((b.len() > 1).then(|| b[b.len() - 1]));
        if result.iter().product::<usize>() * depth > 400_000 {
            return;
        }
        if let Ok(id) = self.builder.matmul(x, right) {
            self.nodes.push((id, result));
        }
    }

    fn map(&mut self, func: &Func, args: &[(NodeId, Vec<usize>)]) {
        let rank = args.iter().map(|(_, shape)| shape.len()).max().unwrap();
        let mut result = vec![1; rank];
        for (_, shape) in args {
            for (to, &extent) in result[rank - shape.len()..].iter_mut().zip(shape) {
                if *to != extent && *to != 1 && extent != 1 {
                    return;
                }
                *to = extent.max(*to);
            }
        }
        // Outer products of results would grow without bound.
        if rank > 3 || result.iter().product::<usize>() > 40_000 {
            return;
        }
        let ids: Vec<NodeId> = args.iter().map(|(id, _)| *id).collect();
        if let Ok(id) = self.builder.map(func, &ids) {
            self.nodes.push((id, result));
        }
    }

    fn reduce(&mut self, x: NodeId, shape: &[usize], which: u8, how: u8) {
        let axes: Vec<isize> = match how % 4 {
            0 => (0..shape.len() as isize).collect(),
            1 => vec![0],
            _ => vec![-1],
        };
        if shape.is_empty() {
            return;
        }
        let keepdims = how & 4 != 0;
        let made = match which as usize % (Named::ALL.len() + 5) {
            i if i < Named::ALL.len() => self.builder.reduce(Named::ALL[i], x, Some(&axes), keepdims),
            i if i < Named::ALL.len() + 3 => {
                let dtype = [None, Some(Dtype::F64), Some(Dtype::F32)][i - Named::ALL.len()];
                let named = Named::Sum;
                self.builder
                    .reduce(ReduceWith::Named { named, dtype }, x, Some(&axes), keepdims)
            }
            i => {
                // The second of these does not commute.
                let combine = match i - Named::ALL.len() {
                    3 => trace("product", |[x, y]| x * y),
                    _ => trace("last", |[x, y]| y + x * 0.0),
                };
                let combine = combine.unwrap();
                let init = Literal::Int(1);
                self.builder.reduce(
                    ReduceWith::Custom {
                        combine: &combine,
                        init,
                    },
                    x,
                    Some(&axes),
                    keepdims,
                )
            }
        };
        let Ok(id) = made else { return };
        let reduced = |axis: usize| {
            axes.iter()
                .any(|&a| a.rem_euclid(shape.len() as isize) as usize == axis)
        };
        let kept = |(axis, &extent): (usize, &usize)| match (reduced(axis), keepdims) {
            (false, _) => Some(extent),
            (true, true) => Some(1),
            (true, false) => None,
        };
        let result = shape.iter().enumerate().filter_map(kept).collect();
        self.nodes.push((id, result));
    }

    fn view(&mut self, x: NodeId, shape: Vec<usize>, which: u8) {
        let rank = shape.len();
        let named = |extent: usize| {
            let [n, m] = self.extents;
            match extent {
                _ if extent == n => Dim::from("n"),
                _ if extent == m => Dim::from("m"),
                _ => Dim::Fixed(extent),
            }
        };
        let (made, result): (_, Vec<usize>) = match which % 6 {
            0 | 1 => (self.builder.transpose(x), shape.iter().rev().copied().collect()),
            2 if rank > 0 => {
                let every = |step| Slice::Range {
                    start: None,
                    stop: None,
                    step,
                };
                let slices: Vec<Slice> = (0..rank).map(|axis| every(if axis == 0 { -1 } else { 2 })).collect();
                let taken = |(axis, &extent): (usize, &usize)| if axis == 0 { extent } else { extent.div_ceil(2) };
                (
                    self.builder.slice(x, &slices),
                    shape.iter().enumerate().map(taken).collect(),
                )
            }
            3 if rank > 0 && rank < 3 => {
                let made = self.builder.slice(x, &[Slice::New]);
                (made, [&[1], &shape[..]].concat())
            }
            4 if rank > 0 && rank < 3 => {
                let dims: Vec<Dim> = [2].iter().chain(&shape).map(|&extent| named(extent)).collect();
                (self.builder.broadcast(x, &dims), [&[2], &shape[..]].concat())
            }
            _ => {
                let made = self.builder.reshape(x, &[None]);
                (made, vec![shape.iter().product()])
            }
        };
        if let Ok(id) = made {
            self.nodes.push((id, result));
        }
    }

    /// The last node and some others are outputs.
    fn finish(mut self, genes: &[Gene]) -> Made {
        let computed = self.nodes.split_off(self.inputs.len().min(self.nodes.len() - 1));
        let last = computed.len() - 1;
        for (i, (id, _)) in computed.iter().enumerate() {
            if i == last || genes.get(i).is_some_and(|gene| gene.2 % 4 == 0) {
                self.builder.output(format!("y{i}"), *id);
            }
        }
        Made {
            graph: self.builder.finish().unwrap(),
            inputs: self.inputs,
        }
    }
}

fn unary(which: u8) -> Func {
    let func = match which % 6 {
        0 => trace("exp", |[x]| (x * 0.25).exp()),
        1 => trace("abs", |[x]| x.abs() + 1.0),
        2 => trace("half", |[x]| x.cast(Dtype::F16)),
        3 => trace("double", |[x]| x.cast(Dtype::F64)),
        4 => trace("single", |[x]| x.cast(Dtype::F32)),
        _ => trace("count", |[x]| x.cast(Dtype::I32)),
    };
    func.unwrap()
}

fn binary(which: u8) -> Func {
    let func = match which % 6 {
        0 => trace("add", |[x, y]| x + y),
        1 => trace("sub", |[x, y]| x - y),
        2 => trace("mul", |[x, y]| x * y),
        3 => trace("div", |[x, y]| x / (y.abs() + 0.5)),
        4 => trace("max", |[x, y]| x.maximum(y)),
        _ => trace("less", |[x, y]| x.lt(y)),
    };
    func.unwrap()
}
