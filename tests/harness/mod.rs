//! Runs a nest both as machine code and by the interpreter, on buffers that end at pages no code may touch.

#![allow(dead_code, reason = "each test crate uses its own part")]
#![allow(
    unsafe_code,
    reason = "generated code is called on pointers into buffers made for it"
)]

use loopweave::codegen::abi::{Abi, MODE_ALL, MODE_BLOCKS, MODE_FINISH, scratch_bytes};
use loopweave::codegen::jit::JitCode;
use loopweave::nest::interp::{self, Buffer};
use loopweave::nest::{Axis, AxisRole, Binding, Bound, Nest, Operand, Role, Stride};
use loopweave_ir::{Dtype, Scalar};

/// How an operand lies along the axes of its nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Contiguous,
    Strided,
    Reversed,
    /// One element serves the vector axis.
    Broadcast,
}

impl Layout {
    pub(crate) const ALL: [Layout; 4] = [Layout::Contiguous, Layout::Strided, Layout::Reversed, Layout::Broadcast];

    pub(crate) fn stride(self) -> Stride {
        match self {
            Layout::Contiguous => Stride::Unit,
            Layout::Broadcast => Stride::Zero,
            Layout::Strided | Layout::Reversed => Stride::Any,
        }
    }
}

/// An operand of a test's nest.
pub(crate) fn operand(dtype: Dtype, role: Role, layout: Layout) -> Operand {
    Operand {
        name: String::from("x"),
        dtype,
        role,
        stride: layout.stride(),
    }
}

/// An axis of a test's nest.
pub(crate) fn axis(role: AxisRole) -> Axis {
    Axis {
        name: String::from("i"),
        role,
    }
}

/// One operand's buffer and how the nest walks it. `axes` tells along which axes it has an extent.
pub(crate) fn bind(dtype: Dtype, layout: Layout, extents: &[usize], axes: &[bool]) -> (Bound, usize) {
    let size = dtype.size() as isize;
    let vector = extents.len() - 1;
    let mut strides = vec![0isize; extents.len()];
    let (mut offset, mut at) = (0, size);
    for (i, &extent) in extents.iter().enumerate().rev() {
        if !axes[i] || (i == vector && layout == Layout::Broadcast) {
            continue;
        }
        strides[i] = match (i == vector, layout) {
            (true, Layout::Strided) => 3 * at,
            (true, Layout::Reversed) => -at,
            // A gap between rows, as a slice of a larger array has.
            (false, Layout::Strided) => at + size,
            _ => at,
        };
        if strides[i] < 0 {
            offset = -strides[i] * (extent as isize - 1).max(0);
        }
        at = strides[i].abs() * extent.max(1) as isize;
    }
    let reach: isize = (0..extents.len())
        .map(|i| strides[i].abs() * (extents[i] as isize - 1).max(0))
        .sum();
    let bytes = if extents.iter().zip(axes).any(|(&e, &on)| on && e == 0) {
        0
    } else {
        reach + size
    };
    let bound = Bound {
        offset,
        strides: strides.into_iter().collect(),
    };
    (bound, bytes as usize)
}

/// A buffer between two pages that no access may touch, flush with one of them.
pub(crate) struct Guarded {
    memory: region::Allocation,
    start: usize,
    len: usize,
}

impl Guarded {
    pub(crate) fn new(bytes: &[u8], at_end: bool) -> Guarded {
        let page = region::page::size();
        let inside = bytes.len().next_multiple_of(page);
        let mut memory = region::alloc(inside + 2 * page, region::Protection::NONE).unwrap();
        let base = memory.as_mut_ptr::<u8>();
        let start = if at_end { page + inside - bytes.len() } else { page };
        if inside > 0 {
            // SAFETY: the pages lie inside of the allocation, which has no other user; the copy stays in them.
            unsafe {
                region::protect(base.add(page), inside, region::Protection::READ_WRITE).unwrap();
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), base.add(start), bytes.len());
            }
        }
        Guarded {
            memory,
            start,
            len: bytes.len(),
        }
    }

    fn address(&mut self) -> u64 {
        // SAFETY: the start lies inside of the allocation.
        unsafe { self.memory.as_mut_ptr::<u8>().add(self.start) as u64 }
    }

    fn bytes(&self) -> Vec<u8> {
        // SAFETY: the range lies inside of the allocation and was written by `new`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr::<u8>().add(self.start), self.len) }.to_vec()
    }
}

/// How a reduction is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Main,
    /// Blocks in two calls, then their combination; for nests without outer axes.
    Parts,
}

/// The outputs of a nest by its machine code, from these buffers.
pub(crate) fn run(
    nest: &Nest,
    code: &JitCode,
    binding: &Binding,
    buffers: &[Buffer],
    at_end: bool,
    via: Via,
) -> Vec<Vec<u8>> {
    let abi = Abi::of(nest);
    let mut guarded: Vec<Guarded> = buffers.iter().map(|b| Guarded::new(&b.bytes, at_end)).collect();
    let n = binding.reduced_len(nest);
    let mut scratch = vec![0xaa_u8; scratch_bytes(nest, &binding.extents) + 64];
    let fill = |guarded: &mut [Guarded], scratch: &mut [u8], first: usize, last: usize| {
        let mut args = vec![0u64; abi.len()];
        args[Abi::SCRATCH] = (scratch.as_mut_ptr() as u64).next_multiple_of(64);
        args[Abi::FIRST_BLOCK] = first as u64;
        args[Abi::LAST_BLOCK] = last as u64;
        for (axis, &extent) in binding.extents.iter().enumerate() {
            args[abi.extent(axis)] = extent as u64;
        }
        for (i, (bound, buffer)) in binding.operands.iter().zip(buffers).enumerate() {
            args[abi.pointer(i)] = guarded[i]
                .address()
                .wrapping_add_signed(buffer.origin as i64 + bound.offset as i64);
            for (axis, &stride) in bound.strides.iter().enumerate() {
                args[abi.stride(i, axis)] = stride as u64;
            }
        }
        args
    };
    let mut call = |mode: u64, first: usize, last: usize| {
        let mut args = fill(&mut guarded, &mut scratch, first, last);
        args[Abi::MODE] = mode;
        // SAFETY: the block is laid out for this nest, and the buffers have the bytes its binding reaches.
        unsafe { code.main()(args.as_mut_ptr()) }
    };
    match via {
        Via::Main => call(MODE_ALL, 0, 0),
        Via::Parts => {
            let nest_order = match &nest.leaf {
                loopweave::nest::Leaf::Reduce(r) => r.order,
                _ => panic!("only a reduction has parts"),
            };
            let blocks = n.div_ceil(nest_order.block() as usize);
            call(MODE_BLOCKS, blocks / 2, blocks);
            call(MODE_BLOCKS, 0, blocks / 2);
            call(MODE_FINISH, 0, 0);
        }
    }
    guarded.iter().map(Guarded::bytes).collect()
}

/// Compares the machine code of a nest with the interpreter on these buffers, element by element.
pub(crate) fn compare(nest: &Nest, code: &JitCode, binding: &Binding, buffers: &[Buffer], via: &[Via], what: &str) {
    let mut expected = buffers.to_vec();
    interp::run(nest, binding, &mut expected).unwrap();
    for &via in via {
        for at_end in [true, false] {
            let found = run(nest, code, binding, buffers, at_end, via);
            for (i, operand) in nest.operands.iter().enumerate() {
                let size = operand.dtype.size();
                let elements = expected[i].bytes.chunks(size).zip(found[i].chunks(size)).enumerate();
                for (at, (expected, found)) in elements {
                    let (expected, found) = (scalar(operand.dtype, expected), scalar(operand.dtype, found));
                    assert!(
                        expected.is_same(found),
                        "{what}: {via:?}, operand {i}, element {at}: expected {expected}, found {found}, extents {:?}\n{nest}",
                        binding.extents
                    );
                }
            }
        }
    }
}

fn scalar(dtype: Dtype, bytes: &[u8]) -> Scalar {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Scalar::from_bits(dtype, u64::from_le_bytes(word))
}

/// The bytes of `count` elements, as `value` gives them.
pub(crate) fn fill(dtype: Dtype, bytes: usize, mut value: impl FnMut(usize) -> Scalar) -> Vec<u8> {
    (0..bytes / dtype.size())
        .flat_map(|i| value(i).bits().to_le_bytes()[..dtype.size()].to_vec())
        .collect()
}
