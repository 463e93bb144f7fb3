//! What the suites share: arrays of any dtype and layout, and the ways a program can be run.
//!
//! In: a graph and [`Strided`] arrays. Out: results as scalars in C order, from the interpreter of nests ([`interpret`]) or
//! from machine code at both optimisation levels ([`Engines`]). Results are compared with [`assert_same`]: by bits, all NaNs
//! of a dtype being one.

#![allow(dead_code, reason = "each suite uses a part")]

use std::collections::HashMap;
use std::sync::Arc;

use loopweave::graph::bind::bind;
use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{Graph, NodeId};
use loopweave::ir::{Dtype, Func, Scalar};
use loopweave::nest::interp::{self, Buffer};
use loopweave::nest::{Role, verify};
use loopweave::pipeline::{KernelCache, Options, Program};
use loopweave::runtime::view::{Arg, ArgMut, View};
use loopweave::shape::Layout;
use loopweave::target::{OptLevel, Target};
use loopweave::{AnyArray, Error};
use ndarray::{ArrayRef, ArrayViewD, ArrayViewMutD, Axis, IxDyn, Slice};

/// How an array lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lay {
    /// Dense, in C order.
    Contiguous,
    /// Every third element along each axis.
    Strided,
    /// Backwards along each axis.
    Reversed,
    /// Dense, in Fortran order.
    Transposed,
    /// Neighbours along the last axis, the first one element after where the memory begins, so that it is aligned as an element.
    Shifted,
    /// One element for the whole of this axis.
    Broadcast(usize),
}

impl Lay {
    /// Every layout of an array of this rank.
    pub(crate) fn all(rank: usize) -> Vec<Lay> {
        let mut all = vec![Lay::Contiguous, Lay::Strided, Lay::Reversed];
        if rank > 1 {
            all.push(Lay::Transposed);
        }
        if rank > 0 {
            all.push(Lay::Shifted);
        }
        all.extend((0..rank).map(Lay::Broadcast));
        all
    }
}

/// An array of a dtype and layout chosen at run time.
#[derive(Debug)]
pub(crate) struct Strided {
    base: AnyArray,
    /// The shape the base is broadcast to.
    shape: Vec<usize>,
    /// Per axis of the base: the first position and the step.
    slices: Vec<(isize, isize)>,
    /// Per axis of the array: the axis of the base.
    axes: Vec<usize>,
}

/// How one axis of an array lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisLay {
    /// The distance between neighbours, in elements of a dense array; not 0.
    pub(crate) step: isize,
    /// Whether one element stands for the whole axis.
    pub(crate) broadcast: bool,
    /// Elements before the axis's first.
    pub(crate) first: usize,
}

/// The array inside an [`AnyArray`], whatever its type.
#[macro_export]
macro_rules! typed {
    ($any:expr, $array:ident => $body:expr) => {
        match $any {
            loopweave::AnyArray::Bool($array) => $body,
            loopweave::AnyArray::I8($array) => $body,
            loopweave::AnyArray::I16($array) => $body,
            loopweave::AnyArray::I32($array) => $body,
            loopweave::AnyArray::I64($array) => $body,
            loopweave::AnyArray::U8($array) => $body,
            loopweave::AnyArray::U16($array) => $body,
            loopweave::AnyArray::U32($array) => $body,
            loopweave::AnyArray::U64($array) => $body,
            loopweave::AnyArray::F16($array) => $body,
            loopweave::AnyArray::Bf16($array) => $body,
            loopweave::AnyArray::F32($array) => $body,
            loopweave::AnyArray::F64($array) => $body,
        }
    };
}

impl Strided {
    /// An array of this shape and layout whose element at position i in C order is `value(i)`. Along a broadcast axis the
    /// values at index 0 stand for the others.
    pub(crate) fn new(dtype: Dtype, shape: &[usize], lay: Lay, value: impl Fn(usize) -> Scalar) -> Strided {
        let rank = shape.len();
        let mut axes: Vec<usize> = (0..rank).collect();
        let mut lays = vec![
            AxisLay {
                step: 1,
                broadcast: false,
                first: 0,
            };
            rank
        ];
        match lay {
            Lay::Contiguous => {}
            Lay::Strided => lays.iter_mut().for_each(|l| l.step = 3),
            Lay::Reversed => lays.iter_mut().for_each(|l| l.step = -1),
            Lay::Transposed => axes.reverse(),
            Lay::Shifted => lays.iter_mut().next_back().into_iter().for_each(|l| l.first = 1),
            Lay::Broadcast(axis) => lays[axis].broadcast = true,
        }
        Strided::general(dtype, shape, &lays, &axes, value)
    }

    /// As [`Strided::new`], with a layout per axis, and the order of the axes in memory: axis i is the `axes[i]`-th.
    pub(crate) fn general(
        dtype: Dtype,
        shape: &[usize],
        lays: &[AxisLay],
        axes: &[usize],
        value: impl Fn(usize) -> Scalar,
    ) -> Strided {
        let rank = shape.len();
        let (mut base, mut shown, mut slices) = (vec![0; rank], vec![0; rank], vec![(0, 1); rank]);
        for ((&extent, lay), &at) in shape.iter().zip(lays).zip(axes) {
            if lay.broadcast {
                base[at] = extent.min(1);
                shown[at] = extent;
            } else {
                base[at] = lay.first + extent * lay.step.unsigned_abs();
                shown[at] = base[at];
                slices[at] = (lay.first as isize + isize::from(lay.step > 1), lay.step);
            }
        }
        let mut array = Strided {
            base: AnyArray::zeros(dtype, &base).unwrap(),
            shape: shown,
            slices,
            axes: axes.to_vec(),
        };
        array.fill(shape, value);
        array
    }

    /// A 0-d array.
    pub(crate) fn scalar(value: Scalar) -> Strided {
        Strided::new(value.dtype(), &[], Lay::Contiguous, |_| value)
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.base.dtype()
    }

    /// The array as an argument.
    pub(crate) fn arg(&self) -> Box<dyn Arg + '_> {
        typed!(&self.base, a => Box::new(self.arrange(a.broadcast(IxDyn(&self.shape)).unwrap())))
    }

    /// The array as an output. Broadcast arrays cannot be one.
    pub(crate) fn arg_mut(&mut self) -> Box<dyn ArgMut + '_> {
        let (slices, axes) = (&self.slices, &self.axes);
        typed!(&mut self.base, a => Box::new(arrange_mut(ArrayRef::view_mut(a), slices, axes)))
    }

    pub(crate) fn layout(&self) -> Layout {
        self.arg().view().layout()
    }

    /// The elements in C order.
    pub(crate) fn scalars(&self) -> Vec<Scalar> {
        typed!(&self.base, a => {
            let view = self.arrange(a.broadcast(IxDyn(&self.shape)).unwrap());
            view.iter().map(|&v| Scalar::from(v)).collect()
        })
    }

    /// Every element of the memory, those between the array's own included.
    pub(crate) fn memory(&self) -> Vec<Scalar> {
        self.base.scalars()
    }

    /// The memory as the interpreter takes it.
    pub(crate) fn buffer(&self) -> Buffer {
        let size = self.dtype().size();
        let first = self.arg().view().pointer().addr();
        Buffer {
            bytes: self
                .base
                .scalars()
                .iter()
                .flat_map(|s| s.bits().to_le_bytes()[..size].to_vec())
                .collect(),
            origin: first.saturating_sub(self.base.view().pointer().addr()),
        }
    }

    /// Gives the elements of the memory that are not the array's own this value.
    pub(crate) fn paint_gaps(&mut self, value: Scalar) {
        let own = self.scalars();
        typed!(&mut self.base, a => a.fill(from_scalar(value)));
        let (slices, axes) = (&self.slices, &self.axes);
        typed!(&mut self.base, a => {
            let mut view = arrange_mut(ArrayRef::view_mut(a), slices, axes);
            view.iter_mut().zip(&own).for_each(|(slot, value)| *slot = from_scalar(*value));
        });
    }

    fn arrange<'a, T>(&self, mut view: ArrayViewD<'a, T>) -> ArrayViewD<'a, T> {
        for (axis, &(start, step)) in self.slices.iter().enumerate() {
            view.slice_axis_inplace(
                Axis(axis),
                Slice::new(start.min(view.len_of(Axis(axis)) as isize), None, step),
            );
        }
        view.permuted_axes(&self.axes[..])
    }

    fn fill(&mut self, shape: &[usize], value: impl Fn(usize) -> Scalar) {
        let (slices, axes) = (&self.slices, &self.axes);
        typed!(&mut self.base, a => {
            let mut view = arrange_mut(ArrayRef::view_mut(a), slices, axes);
            for (index, slot) in view.indexed_iter_mut() {
                let position = (0..shape.len()).fold(0, |p, axis| p * shape[axis] + index[axis]);
                *slot = from_scalar(value(position));
            }
        });
    }
}

fn arrange_mut<'a, T>(
    mut view: ArrayViewMutD<'a, T>,
    slices: &[(isize, isize)],
    axes: &[usize],
) -> ArrayViewMutD<'a, T> {
    for (axis, &(start, step)) in slices.iter().enumerate() {
        let start = start.min(view.len_of(Axis(axis)) as isize);
        view.slice_axis_inplace(Axis(axis), Slice::new(start, None, step));
    }
    view.permuted_axes(axes)
}

fn from_scalar<T: loopweave::ir::Element>(value: Scalar) -> T {
    assert_eq!(value.dtype(), T::DTYPE);
    T::from_bits(value.bits())
}

/// The graph that applies a typed function to arrays of these ranks.
pub(crate) fn map_graph(func: &Func, ranks: &[usize]) -> Graph {
    let mut g = GraphBuilder::new(func.name());
    let inputs: Vec<NodeId> = func
        .params()
        .iter()
        .zip(ranks)
        .map(|(p, &rank)| g.input(&p.name, p.dtype.unwrap(), rank))
        .collect();
    for (i, node) in g.map_multi(func, &inputs).unwrap().into_iter().enumerate() {
        g.output(format!("r{i}"), node);
    }
    g.finish().unwrap()
}

/// A program in the machine code of every emitter that this machine can run.
pub(crate) struct Engines {
    programs: Vec<(&'static str, Program)>,
}

/// The ways to make machine code: a name, a target and how much work goes into it. The first is this machine's own.
const MACHINES: [(&str, &str, OptLevel); 5] = [
    ("native", "native", OptLevel::Speed),
    ("unoptimised", "native", OptLevel::None),
    ("128 bits", "simd128", OptLevel::Speed),
    ("AVX2", "x86-64-v3", OptLevel::Speed),
    ("SSE", "x86-64", OptLevel::Speed),
];

/// Kernels that several programs share, for each way to make them.
#[derive(Default)]
pub(crate) struct Caches([Arc<KernelCache>; MACHINES.len()]);

impl Engines {
    pub(crate) fn new(graph: &Graph, caches: &Caches) -> Engines {
        let native = Target::native().unwrap();
        let program = |((name, target, opt), cache): ((&'static str, &str, OptLevel), &Arc<KernelCache>)| {
            let target = Target::parse(target).unwrap();
            // Another machine has no such code, or not all of its instructions.
            if !target.runs_here() || target.name() == "x86-64-v3" && native.wide_bytes() == 0 {
                return None;
            }
            let mut options = Options::native().unwrap();
            options.target = target.with_opt_level(opt);
            let program = Program::compile_shared(graph.clone(), &options, Arc::clone(cache));
            Some((name, program.unwrap()))
        };
        Engines {
            programs: MACHINES.into_iter().zip(&caches.0).filter_map(program).collect(),
        }
    }

    /// The program in this machine's own code.
    pub(crate) fn speed(&self) -> &Program {
        &self.programs[0].1
    }

    /// Runs all engines and asserts that each gives `expected`, one list of scalars in C order per output.
    pub(crate) fn check(&self, inputs: &[Strided], expected: &[Vec<Scalar>], case: &str) {
        let interpreted = interpret(self.speed(), inputs);
        assert_same(&interpreted, expected, &format!("{case}, nest interpreter"));
        self.check_code(inputs, expected, case);
    }

    /// Runs the machine code of each level and asserts that it gives `expected`.
    pub(crate) fn check_code(&self, inputs: &[Strided], expected: &[Vec<Scalar>], case: &str) {
        for (name, program) in &self.programs {
            let results = run(program, inputs).unwrap_or_else(|e| panic!("{case}, {name}: {e:?}"));
            assert_same(&results, expected, &format!("{case}, {name}"));
        }
    }
}

/// The results of machine code.
pub(crate) fn run(program: &Program, inputs: &[Strided]) -> Result<Vec<Vec<Scalar>>, Error> {
    let args: Vec<_> = inputs.iter().map(Strided::arg).collect();
    let views: Vec<View<'_>> = args.iter().map(|a| a.view()).collect();
    Ok(program.run(&views)?.iter().map(AnyArray::scalars).collect())
}

/// The results of the interpreter of nests, every group run in order on buffers. Each nest and binding is verified first.
pub(crate) fn interpret(program: &Program, inputs: &[Strided]) -> Vec<Vec<Scalar>> {
    let graph = program.graph();
    let layouts: Vec<Layout> = inputs.iter().map(Strided::layout).collect();
    let extents: Vec<&[usize]> = layouts.iter().map(|l| &l.shape[..]).collect();
    let shapes = bind(graph, &extents).unwrap();
    let models: Vec<&Layout> = layouts.iter().collect();
    let mut arrays: HashMap<NodeId, (Buffer, Layout)> = HashMap::new();
    for ((&node, input), layout) in graph.inputs.iter().zip(inputs).zip(&layouts) {
        arrays.insert(node, (input.buffer(), layout.clone()));
    }
    let groups = program.groups_for(&layouts).unwrap();
    for (group, scheduled) in groups.iter().zip(program.schedule(&layouts).unwrap()) {
        verify::verify(&scheduled.nest).unwrap();
        for operand in group.operands.iter().filter(|o| o.role == Role::Output) {
            let node = operand.access.source;
            let is_output = graph.outputs.iter().any(|(_, output)| *output == node);
            let layout = if is_output {
                Layout::like(&shapes[node], &models).unwrap()
            } else {
                Layout::contiguous(&shapes[node]).unwrap()
            };
            let bytes = vec![0xa5; layout.len() * operand.dtype.size()];
            arrays.insert(node, (Buffer { bytes, origin: 0 }, layout));
        }
        let operands = || scheduled.sources.iter().map(|&source| &group.operands[source]);
        let strip = scheduled.binding.strip_extents();
        let ranges: Vec<_> = operands()
            .zip(scheduled.nest.operand_ids())
            .map(|(o, id)| {
                if o.role == Role::Local {
                    return 0..scheduled.nest.local_bytes(id, &strip) as isize;
                }
                let size = o.dtype.size() as isize;
                let range = arrays[&o.access.source].1.range();
                range.map_or(0..0, |(low, high)| low * size..(high + 1) * size)
            })
            .collect();
        verify::verify_binding(&scheduled.nest, &scheduled.binding, &ranges).unwrap();
        let buffer = |(o, range): (&loopweave::nest::lower::Operand, &std::ops::Range<isize>)| match o.role {
            Role::Local => Buffer {
                bytes: vec![0xa5; range.end as usize],
                origin: 0,
            },
            _ => arrays[&o.access.source].0.clone(),
        };
        let mut buffers: Vec<Buffer> = operands().zip(&ranges).map(buffer).collect();
        let before = buffers.clone();
        interp::run(&scheduled.nest, &scheduled.binding, &mut buffers).unwrap();
        for ((operand, before), after) in operands().zip(&before).zip(&buffers) {
            if operand.role == Role::Output {
                // Several operands may each write a part of one array.
                let all = &mut arrays.get_mut(&operand.access.source).unwrap().0.bytes;
                let changes = all.iter_mut().zip(&before.bytes).zip(&after.bytes);
                changes
                    .filter(|((_, before), after)| before != after)
                    .for_each(|((to, _), &after)| *to = after);
            }
        }
    }
    graph
        .outputs
        .iter()
        .map(|(_, node)| {
            let (buffer, layout) = &arrays[node];
            elements(buffer, layout, graph.node(*node).dtype)
        })
        .collect()
}

/// The elements of a buffer in C order.
fn elements(buffer: &Buffer, layout: &Layout, dtype: Dtype) -> Vec<Scalar> {
    let size = dtype.size();
    (0..layout.len())
        .map(|mut position| {
            let mut at = buffer.origin as isize;
            for (&extent, &stride) in layout.shape.iter().zip(&layout.strides).rev() {
                at += (position % extent) as isize * stride * size as isize;
                position /= extent;
            }
            let mut word = [0; 8];
            word[..size].copy_from_slice(&buffer.bytes[at as usize..at as usize + size]);
            Scalar::from_bits(dtype, u64::from_le_bytes(word))
        })
        .collect()
}

/// Asserts that results are the same bits, all NaNs being one.
pub(crate) fn assert_same(found: &[Vec<Scalar>], expected: &[Vec<Scalar>], case: &str) {
    assert_eq!(found.len(), expected.len(), "{case}: number of results");
    for (output, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{case}: elements of result {output}");
        let wrong = (0..found.len()).find(|&i| !found[i].is_same(expected[i]));
        if let Some(i) = wrong {
            panic!(
                "{case}: element {i} of result {output} is {} ({:#x}), not {} ({:#x})",
                found[i],
                found[i].bits(),
                expected[i],
                expected[i].bits()
            );
        }
    }
}
