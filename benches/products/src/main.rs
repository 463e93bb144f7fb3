//! Matrix products of loopweave, the crate `gemm`, and BLAS libraries, interleaved in one process.
//!
//! ```text
//! cargo run --release --manifest-path benches/products/Cargo.toml -- [OPTION …] [MxKxN …]
//!     --threads N                       of every side; BLAS libraries read it from the environment (OMP_NUM_THREADS)
//!     --dtype f32|f64                   that one alone
//!     --target NAME                     what ours is compiled for, such as simd128; the peak is then that of its vectors
//!     --seconds S                       for each case, 1.0 if not said
//!     --blas NAME=PATH=SGEMM=DGEMM      a shared library and the names of its two Fortran functions, any number of times
//! ```
//!
//! Out: a line for each case: billions of operations a second of each side (a multiplication and an addition each being
//! one), ours as a share of what multiply-adds between registers reach in the same process, and ours by the best other.
//! Every side computes into an array that exists, in huge pages; ours through a bound call, as the others take pointers. A figure is
//! the lower quartile of the times of rounds in which the sides take turns. On several threads `KMP_BLOCKTIME=0` and
//! `OPENBLAS_THREAD_TIMEOUT=4` keep the libraries' threads from spinning on while the next side has its turn.

mod peak;

use std::ffi::c_char;
use std::time::{Duration, Instant};

use libloading::Library;
use loopweave::ir::Element;
use loopweave::jit;
use loopweave::target::Target;
use memmap2::{Advice, MmapMut, MmapOptions};
use ndarray::{ArrayView2, ArrayViewMut2};

/// The squares, then a tall product and skinny ones.
const SHAPES: [[usize; 3]; 15] = [
    [16, 16, 16],
    [32, 32, 32],
    [64, 64, 64],
    [127, 127, 127],
    [128, 128, 128],
    [250, 250, 250],
    [256, 256, 256],
    [512, 512, 512],
    [1000, 1000, 1000],
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [4096, 512, 512],
    [16, 1024, 1024],
    [64, 4096, 64],
    [1024, 16, 1024],
];

/// A side runs at least this long in each round, so that the clock's own cost vanishes.
const ROUND: Duration = Duration::from_micros(50);

/// The Fortran interface; extents are read as 32 or 64 bits, which on little-endian machines makes no difference.
type Blas<T> = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const i64,
    *const i64,
    *const i64,
    *const T,
    *const T,
    *const i64,
    *const T,
    *const i64,
    *const T,
    *mut T,
    *const i64,
);

/// A BLAS library: its name here, and its function for each dtype.
struct Peer {
    name: String,
    functions: [String; 2],
    library: Library,
}

/// What the command line says.
struct Wanted {
    threads: usize,
    seconds: f64,
    dtypes: Vec<String>,
    target: Target,
    shapes: Vec<[usize; 3]>,
    peers: Vec<Peer>,
}

impl Wanted {
    /// Bytes of the vectors that ours multiplies and adds.
    fn vector_bytes(&self) -> usize {
        self.target.fma_bytes().max(self.target.vector_bytes())
    }
}

trait Real: Element + Copy + 'static {
    /// 0 for `f32`, 1 for `f64`.
    const INDEX: usize;
    const ONE: Self;
    const ZERO: Self;
    fn of(value: f64) -> Self;
}

impl Real for f32 {
    const INDEX: usize = 0;
    const ONE: f32 = 1.0;
    const ZERO: f32 = 0.0;
    fn of(value: f64) -> f32 {
        value as f32
    }
}

impl Real for f64 {
    const INDEX: usize = 1;
    const ONE: f64 = 1.0;
    const ZERO: f64 = 0.0;
    fn of(value: f64) -> f64 {
        value
    }
}

fn main() {
    let wanted = wanted();
    let others: Vec<&str> = wanted.peers.iter().map(|p| p.name.as_str()).collect();
    let peak = peak_of::<f32>(wanted.threads, peak::bytes_per_ns(wanted.vector_bytes()));
    println!("{} threads, whose peak in f32 is about {peak:.0}", wanted.threads);
    println!(
        "| dtype | m x k x n | ours | share | gemm | {} | ours / best |",
        others.join(" | ")
    );
    println!("|{}", " --- |".repeat(6 + others.len()));
    for &shape in &wanted.shapes {
        for dtype in &wanted.dtypes {
            match dtype.as_str() {
                "f32" => case::<f32>(&wanted, shape),
                _ => case::<f64>(&wanted, shape),
            }
        }
    }
}

fn wanted() -> Wanted {
    let mut wanted = Wanted {
        threads: 1,
        seconds: 1.0,
        dtypes: vec!["f32".into(), "f64".into()],
        target: Target::native().expect("a processor"),
        shapes: Vec::new(),
        peers: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--threads" => wanted.threads = value().parse().expect("a number of threads"),
            "--seconds" => wanted.seconds = value().parse().expect("seconds"),
            "--dtype" => wanted.dtypes = vec![value()],
            "--target" => wanted.target = Target::parse(&value()).expect("a target"),
            "--blas" => wanted.peers.push(peer(&value())),
            shape => {
                let extents: Vec<usize> = shape.split('x').map(|e| e.parse().expect("an extent")).collect();
                wanted.shapes.push(extents.try_into().expect("MxKxN"));
            }
        }
    }
    if wanted.shapes.is_empty() {
        wanted.shapes = SHAPES.to_vec();
    }
    wanted
}

fn peer(text: &str) -> Peer {
    let parts: Vec<&str> = text.split('=').collect();
    let [name, path, sgemm, dgemm] = parts[..] else {
        panic!("--blas takes NAME=PATH=SGEMM=DGEMM")
    };
    // SAFETY: the user names a BLAS library, whose initialisers may run.
    let library = unsafe { Library::new(path) }.unwrap_or_else(|e| panic!("{path}: {e}"));
    Peer {
        name: name.into(),
        functions: [sgemm.into(), dgemm.into()],
        library,
    }
}

/// Zeroed memory in huge pages, where the system gives those on request.
fn memory<T: Real>(len: usize) -> MmapMut {
    let bytes = (len * size_of::<T>()).next_multiple_of(2 << 20) + (2 << 20);
    let map = MmapOptions::new().len(bytes).map_anon().expect("memory");
    let _ = map.advise(Advice::HugePage);
    map
}

/// The elements of such memory, from a boundary of huge pages on.
fn elements<T: Real>(map: &mut MmapMut, len: usize) -> &mut [T] {
    let skip = map.as_ptr().align_offset(2 << 20);
    let bytes = &mut map[skip..skip + len * size_of::<T>()];
    // SAFETY: any bits are floats, and huge pages are aligned to more than those.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) }
}

fn case<T: Real>(wanted: &Wanted, [m, k, n]: [usize; 3]) {
    let [mut x, mut w, mut y, mut z] = [m * k, k * n, m * n, m * n].map(|len| memory::<T>(len));
    let x = elements::<T>(&mut x, m * k);
    let w = elements::<T>(&mut w, k * n);
    let (y, z) = (elements::<T>(&mut y, m * n), elements::<T>(&mut z, m * n));
    for (i, value) in x.iter_mut().chain(w.iter_mut()).enumerate() {
        *value = T::of((i * 37 % 257) as f64 / 128.0 - 1.0);
    }
    let (xp, wp, zp) = (x.as_ptr(), w.as_ptr(), z.as_mut_ptr());
    let (xs, ws) = (
        ArrayView2::from_shape((m, k), x).expect("a matrix"),
        ArrayView2::from_shape((k, n), w).expect("a matrix"),
    );
    let mut ys = ArrayViewMut2::from_shape((m, n), y).expect("a matrix");
    let product = jit::matmul().target(wanted.target.clone());
    let product = product.threads(wanted.threads).expect("threads");
    let mut bound = product.bind((&xs, &ws), &mut ys).expect("fitting arrays");
    let parallelism = match wanted.threads {
        1 => gemm::Parallelism::None,
        threads => gemm::Parallelism::Rayon(threads),
    };
    let mut sides: Vec<Box<dyn FnMut() + '_>> = vec![
        Box::new(move || bound.run()),
        Box::new(move || {
            let (ks, ns) = (k as isize, n as isize);
            let [zero, one] = [T::ZERO, T::ONE];
            // SAFETY: the arrays have these extents, in rows.
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    zp,
                    1,
                    ns,
                    false,
                    xp,
                    1,
                    ks,
                    wp,
                    1,
                    ns,
                    zero,
                    one,
                    false,
                    false,
                    false,
                    parallelism,
                )
            }
        }),
    ];
    for peer in &wanted.peers {
        let name = peer.functions[T::INDEX].as_bytes();
        // SAFETY: the user says that this is that function.
        let function = unsafe { peer.library.get::<Blas<T>>(name) }.unwrap_or_else(|e| panic!("{}: {e}", peer.name));
        sides.push(Box::new(move || {
            let [m, k, n] = [m as i64, k as i64, n as i64];
            let as_is = c"N".as_ptr();
            // SAFETY: the arrays have these extents; rows of one are columns of its transpose.
            unsafe { function(as_is, as_is, &n, &m, &k, &T::ONE, wp, &n, xp, &k, &T::ZERO, zp, &n) }
        }));
    }
    let (times, peak) = interleaved(&mut sides, wanted.seconds, wanted.vector_bytes());
    drop(sides);
    let rates: Vec<f64> = times.iter().map(|ns| 2.0 * (m * k * n) as f64 / ns).collect();
    let best = rates[1..].iter().copied().fold(0.0, f64::max);
    let others: Vec<String> = rates[1..].iter().map(|rate| format!("{rate:.1}")).collect();
    println!(
        "| {} | {m} x {k} x {n} | {:.1} | {:.0} % | {} | {:.2} |",
        ["f32", "f64"][T::INDEX],
        rates[0],
        100.0 * rates[0] / peak_of::<T>(wanted.threads, peak),
        others.join(" | "),
        rates[0] / best
    );
}

/// Operations a nanosecond of all threads, of a core's rate in [`peak::bytes_per_ns`].
fn peak_of<T: Real>(threads: usize, rate: f64) -> f64 {
    2.0 * threads as f64 * rate / size_of::<T>() as f64
}

/// The lower quartiles of the sides' times in nanoseconds, and the peak of vectors of so many bytes in the same rounds.
fn interleaved(sides: &mut [Box<dyn FnMut() + '_>], seconds: f64, vector_bytes: usize) -> (Vec<f64>, f64) {
    let repeats: Vec<u32> = sides
        .iter_mut()
        .map(|side| {
            side();
            let start = Instant::now();
            side();
            (ROUND.as_nanos() / start.elapsed().as_nanos().max(1)).max(1) as u32
        })
        .collect();
    let mut times = vec![Vec::new(); sides.len()];
    let mut peaks = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || times[0].len() < 5 {
        for ((side, times), &repeats) in sides.iter_mut().zip(&mut times).zip(&repeats) {
            // Once untimed: each side finds the caches as it leaves them itself.
            if repeats > 1 {
                side();
            }
            let start = Instant::now();
            (0..repeats).for_each(|_| side());
            times.push(start.elapsed().as_nanos() as f64 / f64::from(repeats));
        }
        peaks.push(-peak::bytes_per_ns(vector_bytes));
    }
    let quartile = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 4]
    };
    (times.iter_mut().map(quartile).collect(), -quartile(&mut peaks))
}
