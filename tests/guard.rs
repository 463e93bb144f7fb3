//! Kernels stay inside their arrays: every buffer ends at a page that must not be touched, or begins after one.
//!
//! A stray read or write kills this process, so passing is the proof. All dtypes, sizes around the vectors, and steps.

#![allow(unsafe_code, reason = "lays arrays against protected pages")]

use std::ops::Range;

use half::{bf16, f16};
use loopweave::ir::testing::Rng;
use loopweave::ir::{Element, Scalar};
use loopweave::jit::{self, Kernel};
use loopweave::target::Target;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Slice, s};
use region::{Allocation, Protection};

/// Which end of the buffer lies against a protected page.
#[derive(Clone, Copy, Debug)]
enum End {
    First,
    Last,
}

/// Memory between two pages that must not be touched.
struct Guarded {
    memory: Allocation,
    usable: Range<usize>,
}

impl Guarded {
    fn new(bytes: usize) -> Guarded {
        let page = region::page::size();
        let inner = bytes.max(1).next_multiple_of(page);
        let memory = region::alloc(inner + 2 * page, Protection::READ_WRITE).unwrap();
        let start: *const u8 = memory.as_ptr();
        for guard in [0, page + inner] {
            // SAFETY: the page belongs to `memory`, which outlives every view of it.
            unsafe { region::protect(start.wrapping_add(guard), page, Protection::NONE).unwrap() };
        }
        Guarded {
            memory,
            usable: page..page + inner,
        }
    }

    /// `len` elements at one end of the usable memory.
    fn slice<T: Element>(&mut self, len: usize, end: End) -> &mut [T] {
        let bytes = len * size_of::<T>();
        let at = match end {
            End::First => self.usable.start,
            End::Last => self.usable.end - bytes,
        };
        assert!(bytes <= self.usable.len());
        let pointer: *mut u8 = self.memory.as_mut_ptr();
        // SAFETY: the bytes lie in usable memory, aligned since pages are, borrowed with `self`; fresh pages are zeros, which
        // every element type has as a value.
        unsafe { std::slice::from_raw_parts_mut(pointer.wrapping_add(at).cast(), len) }
    }
}

/// Every `step`-th element of a slice: backwards for a negative step.
fn stepped<T>(slice: &[T], step: isize) -> ArrayView1<'_, T> {
    let mut view = ArrayView1::from(slice);
    view.slice_axis_inplace(Axis(0), Slice::new(0, None, step));
    view
}

fn stepped_mut<T>(slice: &mut [T], step: isize) -> ArrayViewMut1<'_, T> {
    let mut view = ArrayViewMut1::from(slice);
    view.slice_axis_inplace(Axis(0), Slice::new(0, None, step));
    view
}

/// The elements that `count` steps of this size span, the last one being the end of the memory.
fn span(count: usize, step: isize) -> usize {
    count.saturating_sub(1) * step.unsigned_abs() + usize::from(count > 0)
}

/// This machine, and where it has wide vectors those without masks for narrow elements.
fn targets() -> Vec<Target> {
    let native = Target::native().unwrap();
    let avx2 = (native.wide_bytes() > 0).then(|| Target::parse("x86-64-v3").unwrap());
    std::iter::once(native).chain(avx2).collect()
}

fn check<T: Element>() {
    targets().into_iter().for_each(check_on::<T>);
}

fn check_on<T: Element>(target: Target) {
    let func = |text| jit::func(text).unwrap().target(target.clone());
    let (copy, select) = (func("x"), func("if x < y { x } else { y }"));
    let (min, sum) = (jit::min().target(target.clone()), jit::sum().target(target.clone()));
    let mut buffers = [0; 3].map(|_| Guarded::new(4 * 71 * size_of::<T>()));
    let [x, y, out] = &mut buffers;
    let mut rng = Rng::new(1);
    for end in [End::First, End::Last] {
        for count in 0..=70 {
            for (input_step, output_step) in [(1, 1), (2, 1), (1, 3), (-1, 1), (1, -1), (-2, 2)] {
                let x = x.slice::<T>(span(count, input_step), end);
                let y = y.slice::<T>(span(count, 1), end);
                x.iter_mut().for_each(|v| *v = T::from_bits(rng.value(T::DTYPE).bits()));
                y.iter_mut().for_each(|v| *v = T::from_bits(rng.value(T::DTYPE).bits()));
                let out = out.slice::<T>(span(count, output_step), end);
                let (x, y) = (stepped(x, input_step), stepped(y, 1));
                assert_eq!(x.len(), count);
                let mut out = stepped_mut(out, output_step);
                copy.call_into(x, &mut out).unwrap();
                assert!(
                    x.iter().zip(&out).all(|(x, out)| same(*x, *out)),
                    "{} {end:?} {count}",
                    T::DTYPE
                );
                select.call_into((&x, &y), &mut out).unwrap();
                if count > 0 && output_step == 1 {
                    reduce(&min, &x);
                    reduce(&sum, &x);
                }
            }
        }
    }
}

fn reduce<T: Element>(kernel: &Kernel, x: &ArrayView1<'_, T>) {
    let result: loopweave::AnyArray = kernel.call(x).unwrap();
    assert_eq!(result.shape(), [0usize; 0]);
}

fn same<T: Element>(x: T, y: T) -> bool {
    Scalar::from_bits(T::DTYPE, x.to_bits()).is_same(Scalar::from_bits(T::DTYPE, y.to_bits()))
}

macro_rules! each_dtype {
    ($($name:ident $t:ty;)*) => {$(
        #[test]
        fn $name() {
            check::<$t>();
        }
    )*};
}

each_dtype! {
    bools bool; i8s i8; i16s i16; i32s i32; i64s i64; u8s u8; u16s u16; u32s u32; u64s u64; f16s f16; bf16s bf16; f32s f32;
    f64s f64;
}

/// Casts between widths load and store vectors of different lengths.
#[test]
fn casts_between_widths() {
    fn between<A: Element, B: Element>() {
        targets().into_iter().for_each(between_on::<A, B>);
    }
    fn between_on<A: Element, B: Element>(target: Target) {
        let cast = jit::func(&*format!("x as {}", B::DTYPE)).unwrap().target(target);
        let mut buffers = [0; 2].map(|_| Guarded::new(8 * 71));
        let [x, out] = &mut buffers;
        for end in [End::First, End::Last] {
            for count in 0..=70 {
                let (x, out) = (x.slice::<A>(count, end), out.slice::<B>(count, end));
                cast.call_into(&*x, &mut *out).unwrap();
            }
        }
    }
    between::<u8, f64>();
    between::<f64, u8>();
    between::<bool, u64>();
    between::<i64, bool>();
    between::<f16, f64>();
    between::<f64, bf16>();
    between::<i8, i16>();
    between::<f32, i64>();
}

/// Arrays that disagree about the fast axis are turned tile by tile: sizes around tiles and blocks, parts of larger arrays, and
/// columns that run backwards.
#[test]
fn transposed() {
    fn turned<T: Element>() {
        targets().into_iter().for_each(turned_on::<T>);
    }
    fn turned_on<T: Element>(target: Target) {
        let both = jit::func("if x < y { x } else { y }").unwrap().target(target);
        let mut buffers = [0; 4].map(|_| Guarded::new(150 * 151 * size_of::<T>()));
        let [x, y, z, out] = &mut buffers;
        let mut rng = Rng::new(2);
        for end in [End::First, End::Last] {
            for (rows, columns) in [
                (16, 16),
                (17, 33),
                (31, 16),
                (64, 64),
                (65, 130),
                (100, 40),
                (150, 75),
                (1, 40),
                (40, 1),
                (0, 20),
            ] {
                let [x, y, z] = [&mut *x, &mut *y, &mut *z].map(|buffer| {
                    let slice = buffer.slice::<T>(rows * columns, end);
                    slice
                        .iter_mut()
                        .for_each(|v| *v = T::from_bits(rng.value(T::DTYPE).bits()));
                    &*slice
                });
                let x = ArrayView2::from_shape((rows, columns), x).unwrap();
                let y = ArrayView2::from_shape((columns, rows), y).unwrap().reversed_axes();
                let z = ArrayView2::from_shape((columns, rows), z).unwrap().reversed_axes();
                let out = out.slice::<T>(rows * columns, end);
                let mut out = ArrayViewMut2::from_shape((rows, columns), out).unwrap();
                let mut check = |a: ArrayView2<'_, T>, b: ArrayView2<'_, T>| {
                    both.call_into((&a, &b), &mut out).unwrap();
                    let expected: ndarray::ArrayD<T> = both.call((&a.to_owned(), &b.as_standard_layout())).unwrap();
                    let same = out
                        .iter()
                        .zip(&expected)
                        .all(|(found, expected)| same(*found, *expected));
                    assert!(same, "{} {rows} x {columns} {end:?}", T::DTYPE);
                };
                check(x, y);
                check(y, x);
                check(x, y.slice(s![.., ..;-1]));
                check(z, y);
            }
        }
    }
    turned::<f32>();
    turned::<f64>();
    turned::<i16>();
    turned::<f16>();
    turned::<u8>();
    turned::<bool>();
}

/// Arrays of different sizes that disagree with others about the fast axis: their tiles are those of the widest.
#[test]
fn transposed_of_different_sizes() {
    fn filled<T: Element>(buffer: &mut Guarded, shape: [usize; 2], seed: u64) -> ArrayView2<'_, T> {
        let mut rng = Rng::new(seed);
        let slice = buffer.slice::<T>(shape[0] * shape[1], End::Last);
        let bits = slice.iter_mut().map(|v| (v, rng.value(T::DTYPE).bits()));
        bits.for_each(|(v, bits)| *v = T::from_bits(bits));
        ArrayView2::from_shape(shape, &*slice).unwrap()
    }
    let mut buffers = [0; 5].map(|_| Guarded::new(8 * 150 * 300));
    let [a, b, c, x, out] = &mut buffers;
    for target in targets() {
        let sum = jit::func("(a as i64) * x + (b as i64) * y + (c as i64) * z").unwrap();
        let sum = sum.target(target);
        for shape @ [rows, columns] in [[64, 64], [100, 40], [150, 300]] {
            let across = [columns, rows];
            let a = filled::<u8>(a, across, 1).reversed_axes();
            let b = filled::<i16>(b, across, 2).reversed_axes();
            let c = filled::<i32>(c, across, 3).reversed_axes();
            let x = filled::<i64>(x, shape, 4);
            let out = out.slice::<i64>(rows * columns, End::Last);
            let mut out = ArrayViewMut2::from_shape(shape, out).unwrap();
            sum.call_into((&a, &x, &b, &x, &c, &x), &mut out).unwrap();
            let factor = |at| i64::from(a[at]) + i64::from(b[at]) + i64::from(c[at]);
            let mut found = out.indexed_iter();
            assert!(
                found.all(|(at, found)| *found == factor(at).wrapping_mul(x[at])),
                "{shape:?}"
            );
        }
    }
}
