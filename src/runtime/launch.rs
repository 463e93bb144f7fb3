//! The launcher: the one place where pointers to users' arrays meet generated code.
//!
//! In: a compiled nest with the binding of a call ([`Launch::new`], which verifies it), then memory for each operand
//! ([`Launch::run`]). Out: the outputs, written.
//!
//! Invariants: [`Launch::new`] refuses a binding that could leave the views it was made for; [`Launch::run`] refuses memory
//! that does not cover what the binding reaches. Both checks stand before the first machine instruction, which is why
//! generated code has none, and why `run` is safe to call.

#![allow(unsafe_code, reason = "calls generated code on pointers into the caller's arrays")]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use loopweave_ir::Element;
use ndarray::{ArrayView, ArrayViewD, Axis, Dimension, IxDyn, ShapeBuilder};
use smallvec::SmallVec;

use super::array::OutputError;
use super::parallel::{Split, Threads, for_each};
use super::view::{View, ViewMut};
use crate::codegen::abi::{self, Abi, scratch_bytes};
use crate::codegen::jit::JitCode;
use crate::nest::schedule::Scheduled;
use crate::nest::verify::{Violation, verify_binding};
use crate::nest::{AxisId, AxisRole, Binding, Leaf, Nest, Role};
use crate::shape::byte_range;

/// A nest and its machine code, shared by all calls it fits.
#[derive(Debug)]
pub struct Kernel {
    /// The loops.
    pub nest: Nest,
    /// Their code.
    pub code: JitCode,
}

/// One kernel bound to the extents and strides of a call; it can be run many times on memory of that layout.
#[derive(Debug)]
pub struct Launch {
    kernel: Arc<Kernel>,
    abi: Abi,
    binding: Binding,
    tile: Option<usize>,
    split: Split,
    /// The argument block, without pointers.
    template: Box<[u64]>,
    operands: SmallVec<[Operand; 6]>,
    /// Bytes of scratch for a part of the largest extent along the vector axis.
    scratch: usize,
    /// Whether there is nothing to write.
    empty: bool,
}

/// What a launch asks of one operand's memory.
#[derive(Debug)]
struct Operand {
    /// Its position among the nest's operands.
    index: usize,
    /// The bytes it may reach, relative to the view's first element.
    reach: Range<isize>,
    /// From the view's first element to that at index 0 of every axis, in bytes.
    offset: isize,
    written: bool,
}

/// The memory of one operand: where its first element is, and which bytes around it are its own.
#[derive(Clone, Debug)]
pub struct Region<'a> {
    pointer: *mut u8,
    bytes: Range<isize>,
    writable: bool,
    borrow: PhantomData<&'a ()>,
}

impl<'a> Region<'a> {
    /// The memory of a view to read.
    #[inline]
    pub fn read(view: &'a View<'_>) -> Region<'a> {
        Region {
            pointer: view.pointer().cast_mut(),
            bytes: byte_range(view.shape(), view.strides(), view.dtype().size()),
            writable: false,
            borrow: PhantomData,
        }
    }

    /// The memory of a view to write.
    #[inline]
    pub fn write(view: &'a mut ViewMut<'_>) -> Region<'a> {
        Region {
            pointer: view.pointer(),
            bytes: byte_range(view.shape(), view.strides(), view.dtype().size()),
            writable: true,
            borrow: PhantomData,
        }
    }

    /// A part of an arena, for an intermediate array. The arena must have been reserved to that size.
    ///
    /// # Panics
    /// If the arena is smaller: a fault of the calling module, which reserves what it planned.
    pub fn within(arena: Option<&'a Arena>, bytes: &Range<usize>) -> Region<'a> {
        let (base, len) = arena.map_or((0, 0), |a| (a.base, a.lines.len() * size_of::<Line>()));
        assert!(bytes.end <= len, "the arena holds every intermediate array");
        Region {
            pointer: std::ptr::with_exposed_provenance_mut(base + bytes.start),
            bytes: 0..(bytes.end - bytes.start) as isize,
            writable: true,
            borrow: PhantomData,
        }
    }

    /// The first logical element.
    pub fn pointer(&self) -> *const u8 {
        self.pointer
    }

    /// The addresses of the bytes.
    #[inline]
    pub fn addresses(&self) -> Range<usize> {
        let address = self.pointer.addr();
        address.wrapping_add_signed(self.bytes.start)..address.wrapping_add_signed(self.bytes.end)
    }
}

/// Where an operand's array is.
#[derive(Clone, Debug)]
pub enum Place {
    /// The array of an input.
    Input(usize),
    /// The array of an output.
    Output(usize),
    /// Bytes of the arena.
    Arena(Range<usize>),
}

impl Place {
    /// The memory there, of a call with this memory of its inputs and then its outputs.
    #[inline]
    pub fn region<'a>(&self, regions: &[Region<'a>], inputs: usize, arena: Option<&'a Arena>) -> Region<'a> {
        match self {
            Place::Input(i) => regions[*i].clone(),
            Place::Output(o) => regions[inputs + o].clone(),
            Place::Arena(bytes) => Region::within(arena, bytes),
        }
    }
}

/// Memory for the intermediate arrays of one call at a time, kept for the next.
#[derive(Debug, Default)]
pub struct Arena {
    lines: Vec<Line>,
    /// The address of the first line; generated code reaches the lines through it alone.
    base: usize,
}

impl Arena {
    /// Makes room for `bytes` bytes.
    pub fn reserve(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(size_of::<Line>());
        if self.lines.len() < lines {
            // Nothing of what was there is needed again.
            self.lines = Vec::with_capacity(lines);
            prefer_large_pages(self.lines.spare_capacity_mut());
            self.lines.resize(lines, Line([0; 64]));
        }
        self.base = self.lines.as_mut_ptr().expose_provenance();
    }
}

/// Bytes of an array from which on large pages pay: a page of the usual size costs the system about as long as writing it.
const LARGE_ARRAY: usize = 4 << 20;

/// Asks the system to put large pages under memory that nothing was written to yet, where it knows them: then it makes ready
/// 2 MiB at a time, and a walk across the array finds its pages sooner. Contents stay as they are.
pub(crate) fn prefer_large_pages<T>(memory: &mut [T]) {
    let bytes = size_of_val(memory);
    if bytes < LARGE_ARRAY {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let start = memory.as_mut_ptr().cast::<u8>();
        let inside = start.align_offset(PAGE).min(bytes);
        let length = (bytes - inside) / PAGE * PAGE;
        // SAFETY: the pages lie inside of the slice, and the advice changes neither contents nor validity.
        let advised =
            unsafe { rustix::mm::madvise(start.add(inside).cast(), length, rustix::mm::Advice::LinuxHugepage) };
        // A system that refuses it goes on as before.
        let _: Result<(), rustix::io::Errno> = advised;
    }
}

impl Launch {
    /// Binds a kernel to a schedule whose nest it was compiled from, for views of these byte ranges.
    ///
    /// # Errors
    /// If an access could leave its view.
    pub fn new(
        kernel: Arc<Kernel>,
        scheduled: &Scheduled,
        split: Split,
        views: &[Range<isize>],
    ) -> Result<Launch, Vec<Violation>> {
        let binding = scheduled.binding.clone();
        verify_binding(&kernel.nest, &binding, views)?;
        let abi = Abi::of(&kernel.nest);
        let mut template = vec![0; abi.len()].into_boxed_slice();
        for (axis, &extent) in binding.extents.iter().enumerate() {
            template[abi.extent(axis)] = extent as u64;
        }
        for (operand, bound) in binding.operands.iter().enumerate() {
            for (axis, &stride) in bound.strides.iter().enumerate() {
                template[abi.stride(operand, axis)] = stride as u64;
            }
        }
        let nest = &kernel.nest;
        let operands = nest.operands.iter().zip(&binding.operands).zip(views).enumerate();
        let operands = operands.filter(|(_, ((operand, _), _))| operand.role != Role::Local);
        let operands = operands.map(|(index, ((operand, bound), view))| Operand {
            index,
            reach: view.clone(),
            offset: bound.offset,
            written: operand.role == Role::Output,
        });
        // Those of the largest part, or of a strip, for which the distances of local operands leave room.
        let mut extents = binding.strip_extents();
        let mut narrow = |axis: AxisId, grain: usize| extents[axis.index()] = grain.min(extents[axis.index()]);
        match split {
            _ if binding.strip.is_some() => {}
            Split::Axis { axis, grain } => narrow(axis, grain),
            Split::Grid { axes, grain } => axes
                .into_iter()
                .zip(grain)
                .for_each(|(axis, grain)| narrow(axis, grain)),
            Split::Serial { .. } | Split::Blocks { .. } => {}
        }
        Ok(Launch {
            abi,
            tile: scheduled.tile,
            template,
            operands: operands.collect(),
            scratch: scratch_bytes(nest, &extents),
            empty: binding.kept_len(nest) == 0,
            split,
            binding,
            kernel,
        })
    }

    /// The kernel's machine code.
    pub fn code(&self) -> &JitCode {
        &self.kernel.code
    }

    /// How the call is split among threads.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Runs the kernel on the operands' memory, in their order but without local ones.
    ///
    /// # Panics
    /// If a region does not cover the view that the launch was verified for, or an output's is not writable: a fault of the
    /// calling module, which binds again for every layout.
    pub fn run<'a>(self: &Arc<Self>, regions: impl Iterator<Item = Region<'a>>, threads: &Threads) {
        with_copy(&self.template, |words| {
            self.point(words, regions);
            self.run_words(words, threads);
        });
    }

    /// Writes the operands' pointers into a block; panics as [`Launch::run`] says.
    #[inline]
    fn point<'a>(&self, words: &mut [u64], mut regions: impl Iterator<Item = Region<'a>>) {
        for operand in &self.operands {
            let region = regions.next().expect("one region per operand");
            assert!(
                region.bytes.start <= operand.reach.start && region.bytes.end >= operand.reach.end,
                "a region covers the view it stands for"
            );
            assert!(region.writable || !operand.written, "an output is writable");
            // An offset beyond an empty view is never followed, so it need not stay inside an allocation.
            let pointer = region.pointer.wrapping_offset(operand.offset);
            words[self.abi.pointer(operand.index)] = pointer.expose_provenance() as u64;
        }
    }

    /// Runs the kernel on a block whose pointers `point` checked.
    #[inline]
    fn run_words(self: &Arc<Self>, words: &mut [u64], threads: &Threads) {
        if self.empty {
            return;
        }
        match self.split {
            Split::Serial { .. } => self.part(words),
            Split::Axis { axis, grain } => self.run_grid(words, [(axis, grain)], threads),
            Split::Grid {
                axes: [row, column],
                grain: [rows, columns],
            } => self.run_grid(words, [(row, rows), (column, columns)], threads),
            Split::Blocks { grain } => self.run_blocks(words, grain, threads),
        }
    }

    /// Runs in parallel the parts that lie between multiples of a grain along each of some axes.
    fn run_grid<const N: usize>(self: &Arc<Self>, words: &[u64], cuts: [(AxisId, usize); N], threads: &Threads) {
        let cuts = cuts.map(|(axis, grain)| (axis.index(), self.binding.extents[axis.index()], grain));
        let parts = cuts.iter().map(|(_, extent, grain)| extent.div_ceil(*grain)).product();
        let (launch, words) = (Arc::clone(self), Box::<[u64]>::from(words));
        for_each(threads, parts, move |mut part| {
            with_copy(&words, |words| {
                for (axis, extent, grain) in cuts {
                    let count = extent.div_ceil(grain);
                    let start = part % count * grain;
                    part /= count;
                    launch.narrow(words, axis, start, grain.min(extent - start));
                }
                launch.part(words);
            });
        });
    }

    /// Runs `main` on one part, tile by tile where the operands disagree about the fast axis, and strip by strip where rows go
    /// together.
    fn part(&self, words: &mut [u64]) {
        match (self.tile, self.binding.strip) {
            (Some(size), _) => self.tiles(words, 0, size),
            (None, Some(strip)) if words[self.abi.vector_extent()] as usize > strip => {
                let vector = self.binding.extents.len() - 1;
                let extent = words[self.abi.extent(vector)] as usize;
                for start in (0..extent).step_by(strip) {
                    with_copy(words, |words| {
                        self.narrow(words, vector, start, strip.min(extent - start));
                        self.part(words);
                    });
                }
            }
            (None, _) => with_scratch(self.scratch, |scratch| {
                words[Abi::SCRATCH] = scratch.expose_provenance() as u64;
                // SAFETY: the block has the form that `Abi` gives this nest. Its pointers and strides reach inside the
                // regions that `point` checked: `new` verified the whole, and a part is the whole with some axis narrowed.
                // The regions' borrows last as long as `run`, or are kept by a `Bound`, and no part outlives `for_each`.
                // Scratch has the size that the interface asks for the largest part, and the code lives as long as `kernel`.
                unsafe { self.kernel.code.main()(words.as_mut_ptr()) }
            }),
        }
    }

    /// Tiles the two innermost axes; outer ones go index by index so that a tile's lines stay in cache.
    fn tiles(&self, words: &[u64], axis: usize, size: usize) {
        let axes = self.binding.extents.len();
        let step = if axis + 2 >= axes { size } else { 1 };
        let extent = words[self.abi.extent(axis)] as usize;
        for start in (0..extent).step_by(step) {
            with_copy(words, |words| {
                self.narrow(words, axis, start, step.min(extent - start));
                if axis + 1 < axes {
                    self.tiles(words, axis + 1, size);
                } else {
                    // SAFETY: as in `part`; a map needs no scratch.
                    unsafe { self.kernel.code.main()(words.as_mut_ptr()) }
                }
            });
        }
    }

    /// Runs a reduction with the blocks of each result in parallel.
    fn run_blocks(self: &Arc<Self>, words: &mut [u64], grain: usize, threads: &Threads) {
        let nest = &self.kernel.nest;
        let Leaf::Reduce(reduce) = &nest.leaf else {
            return self.part(words);
        };
        let vector = nest.vector_axis().index();
        let count = self.binding.reduced_len(nest).div_ceil(reduce.order.block() as usize);
        let outer: SmallVec<[usize; 4]> = (0..nest.axes.len())
            .filter(|&a| nest.axes[a].role == AxisRole::Kept && !(nest.is_across() && a == vector))
            .collect();
        let rounds: usize = outer.iter().map(|&a| self.binding.extents[a]).product();
        with_scratch(self.scratch, |scratch| {
            for round in 0..rounds {
                with_copy(words, |words| {
                    words[Abi::SCRATCH] = scratch.expose_provenance() as u64;
                    let mut rest = round;
                    for &axis in outer.iter().rev() {
                        let extent = self.binding.extents[axis];
                        self.narrow(words, axis, rest % extent, 1);
                        rest /= extent;
                    }
                    let (launch, whole) = (Arc::clone(self), Box::<[u64]>::from(&*words));
                    for_each(threads, count.div_ceil(grain), move |i| {
                        with_copy(&whole, |words| {
                            words[Abi::FIRST_BLOCK] = (i * grain) as u64;
                            words[Abi::LAST_BLOCK] = ((i + 1) * grain).min(count) as u64;
                            words[Abi::MODE] = abi::MODE_BLOCKS;
                            // SAFETY: as in `part`; the parts write disjoint blocks of scratch, and read the operands.
                            unsafe { launch.kernel.code.main()(words.as_mut_ptr()) }
                        });
                    });
                    words[Abi::MODE] = abi::MODE_FINISH;
                    // SAFETY: as in `part`; every block of this index was written above.
                    unsafe { self.kernel.code.main()(words.as_mut_ptr()) }
                });
            }
        });
    }

    /// Narrows a block to `len` indices of an axis from `start` on.
    fn narrow(&self, words: &mut [u64], axis: usize, start: usize, len: usize) {
        words[self.abi.extent(axis)] = len as u64;
        for operand in self.operands.iter().map(|operand| operand.index) {
            let stride = words[self.abi.stride(operand, axis)];
            let pointer = &mut words[self.abi.pointer(operand)];
            *pointer = pointer.wrapping_add(stride.wrapping_mul(start as u64));
        }
    }
}

/// A call whose arguments are checked and whose argument blocks are written: it keeps their borrows, so that running it
/// again costs little more than the machine code. Made by [`jit::Kernel::bind`](crate::jit::Kernel::bind).
#[derive(Debug)]
pub struct Bound<'a> {
    steps: Vec<(Arc<Launch>, Box<[u64]>)>,
    threads: Threads,
    // What the blocks point to. Scalars are in their views, which a vector does not move.
    outputs: Vec<ViewMut<'a>>,
    _inputs: Vec<View<'a>>,
    _arena: Arena,
}

impl<'a> Bound<'a> {
    /// Binds launches, each with the places of its operands, to a call's arrays and an arena of this many bytes. The arrays
    /// overlap in no way that the program does not allow.
    ///
    /// # Panics
    /// As [`Launch::run`].
    pub(crate) fn new<'s>(
        steps: impl Iterator<Item = (&'s Arc<Launch>, &'s [Place])>,
        inputs: Vec<View<'a>>,
        mut outputs: Vec<ViewMut<'a>>,
        arena_bytes: usize,
        threads: Threads,
    ) -> Bound<'a> {
        let mut arena = Arena::default();
        arena.reserve(arena_bytes);
        let read = inputs.iter().map(Region::read);
        let regions: Vec<Region<'_>> = read.chain(outputs.iter_mut().map(Region::write)).collect();
        let block = |(launch, places): (&Arc<Launch>, &[Place])| {
            let mut words = launch.template.clone();
            let operands = places
                .iter()
                .map(|place| place.region(&regions, inputs.len(), Some(&arena)));
            launch.point(&mut words, operands);
            (Arc::clone(launch), words)
        };
        let steps = steps.map(block).collect();
        drop(regions);
        Bound {
            steps,
            threads,
            outputs,
            _inputs: inputs,
            _arena: arena,
        }
    }

    /// Computes the outputs from what the inputs hold now.
    #[inline]
    pub fn run(&mut self) {
        for (launch, words) in &self.steps {
            with_copy(words, |words| launch.run_words(words, &self.threads));
        }
    }

    /// An output, by its position, to look at between runs.
    ///
    /// # Errors
    /// A position that no output has; another dtype or number of axes than the output's; an output in
    /// [`Cells`](crate::jit::Cells), which show it themselves.
    pub fn output<T: Element, D: Dimension>(&self, position: usize) -> Result<ArrayView<'_, T, D>, OutputError> {
        let count = OutputError::Count {
            found: self.outputs.len(),
            expected: position.saturating_add(1),
        };
        let output = self.outputs.get(position).ok_or(count)?;
        if output.is_cells() {
            return Err(OutputError::Cells);
        }
        if output.dtype() != T::DTYPE {
            return Err(OutputError::Dtype {
                found: output.dtype(),
                expected: T::DTYPE,
            });
        }
        let rank = |_| OutputError::Rank {
            shape: output.shape().to_vec(),
            expected: D::NDIM.unwrap_or(0),
        };
        output_view(output).into_dimensionality().map_err(rank)
    }
}

/// The array of an output whose dtype is that of `T`.
fn output_view<'a, T: Element>(output: &'a ViewMut<'_>) -> ArrayViewD<'a, T> {
    let (shape, strides) = (output.shape(), output.strides());
    // ndarray starts from the lowest address, and turns axes round after that.
    let low = byte_range(shape, strides, size_of::<T>()).start;
    let distances: Vec<usize> = strides.iter().map(|stride| stride.unsigned_abs()).collect();
    let pointer = output.pointer().wrapping_offset(low).cast::<T>();
    // SAFETY: the output came from an array of `T` with these extents and strides, exclusively borrowed for longer than `'a`
    // since it is no cells, and is written by `Bound::run` alone, which needs the `Bound` that is borrowed here.
    let mut view = unsafe { ArrayView::from_shape_ptr(IxDyn(shape).strides(IxDyn(&distances)), pointer) };
    let reversed = strides.iter().enumerate().filter(|(_, stride)| **stride < 0);
    reversed.for_each(|(axis, _)| view.invert_axis(Axis(axis)));
    view
}

/// Calls `f` with a copy of an argument block: code may overwrite its own, and a part narrows it. The copy is on the stack for
/// up to nine operands over five axes, more than a map of eight arguments has in all but odd layouts.
#[inline]
fn with_copy(block: &[u64], f: impl FnOnce(&mut [u64])) {
    const WORDS: usize = 64;
    let mut space = [const { MaybeUninit::uninit() }; WORDS];
    match space.get_mut(..block.len()) {
        Some(space) => f(space.write_copy_of_slice(block)),
        None => f(&mut block.to_vec()),
    }
}

/// 64 bytes, aligned as the interface asks for scratch.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "only generated code reads the bytes")] [u8; 64]);

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Lines of scratch that a call has on its stack: what a thread keeps costs 15 ns to take, as much as a small reduction.
const STACK_LINES: usize = 4;

/// Calls `f` with at least `bytes` bytes of scratch memory; beyond a little, of this thread's, which is kept for the next call.
fn with_scratch(bytes: usize, f: impl FnOnce(*mut u8)) {
    if bytes == 0 {
        return f(std::ptr::null_mut());
    }
    if bytes <= size_of::<[Line; STACK_LINES]>() {
        return f([Line([0; 64]); STACK_LINES].as_mut_ptr().cast());
    }
    // Taken out of its cell: a thread that waits for parts of its own may be given another call's part to run.
    let mut scratch = SCRATCH.take();
    let lines = bytes.div_ceil(64);
    if scratch.len() < lines {
        scratch.resize(lines, Line([0; 64]));
    }
    f(scratch.as_mut_ptr().cast());
    SCRATCH.set(scratch);
}
