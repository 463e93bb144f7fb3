//! The same bits on any number of threads, and kernels shared between threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use loopweave::AnyArray;
use loopweave::ir::testing::Rng;
use loopweave::jit::{self, Kernel};
use loopweave::runtime::parallel::{Threads, for_each};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rayon::ThreadPoolBuilder;

const COUNTS: [usize; 5] = [1, 2, 3, 7, 16];

/// Values whose sums round at every step, so that another order of addition shows.
fn noise(shape: &[usize]) -> ArrayD<f32> {
    let mut rng = Rng::new(shape.len() as u64);
    ArrayD::from_shape_simple_fn(IxDyn(shape), || (rng.below(1 << 24) as f32 / 1e6).powi(5))
}

/// The bits of a kernel's result on each number of threads, which must be equal; and that more than one was used.
fn same_bits(name: &str, kernel: &Kernel, args: &[&ArrayD<f32>]) {
    let mut first: Option<Vec<loopweave::Scalar>> = None;
    for count in COUNTS {
        let kernel = kernel.threads(count).unwrap();
        for repetition in 0..3 {
            let result: AnyArray = match args {
                [x] => kernel.call(*x),
                [x, y] => kernel.call((*x, *y)),
                _ => unreachable!("one argument or two"),
            }
            .unwrap();
            let bits = result.scalars();
            match &first {
                None => first = Some(bits),
                Some(first) => assert!(first == &bits, "{name}: {count} threads, repetition {repetition}"),
            }
        }
        let parallel = kernel.report().to_string().contains("parallel");
        assert!(
            count == 1 || parallel,
            "{name} is too small for {count} threads:\n{}",
            kernel.report()
        );
    }
}

#[test]
fn maps() {
    let square = jit::map(|x| (x * x + 1.0).sqrt()).unwrap();
    let axpy = jit::zip(|x, y| 2.5 * x + y).unwrap();
    let exp = jit::map(|x| (-x).exp()).unwrap();
    let long = noise(&[1_000_003]);
    let (wide, tall) = (noise(&[3, 400_001]), noise(&[400_001, 3]));
    for x in [&long, &wide, &tall] {
        same_bits("square", &square, &[x]);
        same_bits("exp", &exp, &[x]);
        same_bits("axpy", &axpy, &[x, x]);
    }
    let transposed = wide.t().to_owned();
    same_bits("transposed axpy", &axpy, &[&transposed, &tall]);
    same_bits("column", &axpy, &[&tall, &noise(&[3])]);
}

#[test]
fn reductions() {
    let sum = jit::sum();
    for shape in [
        &[2_000_003][..],
        &[3, 700_001],
        &[700_001, 3],
        &[1500, 1500],
        &[20, 300, 400],
    ] {
        let x = noise(shape);
        same_bits(&format!("sum of all of {shape:?}"), &sum, &[&x]);
        for axis in 0..shape.len() as isize {
            if shape.len() > 1 {
                same_bits(&format!("sum of {shape:?} along {axis}"), &sum.axis(axis), &[&x]);
            }
        }
    }
    let x = noise(&[1000, 2000]);
    same_bits("argmax", &jit::argmax().axis(-1), &[&x]);
    same_bits("argmin of all", &jit::argmin(), &[&x]);
    same_bits("mean of columns", &jit::mean().axis(0), &[&x]);
    let product = jit::reduce(|a, b| a * b, 1.0).unwrap().of(|x| 1.0 + x / 1e10);
    same_bits("product", &product, &[&x]);
}

#[test]
fn sums_of_columns_are_split_by_rows_where_there_are_enough() {
    let rows = [
        ([2048, 2048], "parallel, 8 parts of 1 block on 2 threads"),
        // One block: a band of columns for each thread.
        ([200, 40_000], "parallel, 2 parts of 20032 on 2 threads"),
    ];
    let kernel = jit::sum().axis(0).threads(2).unwrap();
    for (shape, split) in rows {
        let _: Array1<f32> = kernel.call(Array2::<f32>::ones(shape)).unwrap();
        let report = kernel.report().text(4);
        assert!(report.contains(split), "{shape:?}:\n{report}");
    }
}

#[test]
fn one_kernel_called_from_four_threads() {
    let kernel = jit::zip(|x, y| x * y + 1.0).unwrap();
    thread::scope(|scope| {
        for t in 0..4usize {
            let kernel = &kernel;
            scope.spawn(move || {
                for round in 0..50 {
                    // Shapes and layouts differ between threads, so some calls compile while others run.
                    let shape = (1 + (t + round) % 5, 100 * (t + 1));
                    let x = Array2::from_shape_fn(shape, |(i, j)| (i * 7 + j) as f32);
                    let y = x.t().to_owned();
                    let z: Array2<f32> = kernel.call((&x, &y.t())).unwrap();
                    assert!(z.indexed_iter().all(|(at, &z)| z == x[at] * x[at] + 1.0));
                }
            });
        }
    });
}

#[test]
fn large_calls_from_four_threads_share_one_pool() {
    let kernel = jit::sum().axis(-1).threads(3).unwrap();
    let x = Array2::from_shape_fn((64, 20_000), |(i, j)| ((i + j) % 7) as f64);
    let expected: Array1<f64> = kernel.call(&x).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let sums: Array1<f64> = kernel.call(&x).unwrap();
                    assert_eq!(sums, expected);
                }
            });
        }
    });
}

#[test]
fn a_handle_may_be_dropped_while_others_run() {
    let x = Arc::new(Array1::from_elem(300_000, 2.0f32));
    for _ in 0..20 {
        let kernel = jit::map(|x| x * x - 1.0).unwrap();
        let _: Array1<f32> = kernel.call(&*x).unwrap();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (kernel, x) = (kernel.clone(), Arc::clone(&x));
                thread::spawn(move || {
                    for _ in 0..5 {
                        let y: Array1<f32> = kernel.call(&*x).unwrap();
                        assert!(y.iter().all(|&y| y == 3.0));
                    }
                })
            })
            .collect();
        drop(kernel);
        workers.into_iter().for_each(|w| w.join().unwrap());
    }
}

/// A kernel with a call that is split, and that call.
fn doubling() -> (Kernel, impl Fn(&Kernel)) {
    let x = Array1::from_shape_fn(500_000, |i| i as f32);
    let kernel = jit::map(|x| x + x).unwrap();
    (kernel, move |kernel| {
        let y: Array1<f32> = kernel.call(&x).unwrap();
        assert!(y.iter().zip(&x).all(|(&y, &x)| y == x + x));
    })
}

#[test]
fn calls_from_a_pool_s_own_threads_end() {
    let (kernel, call) = doubling();
    for threads in [1, 2, 3] {
        let pool = Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        let other = Arc::new(ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        for kernel in [&kernel, &kernel.pool(Arc::clone(&pool)), &kernel.pool(other)] {
            for _ in 0..10 {
                pool.install(|| call(kernel));
                pool.install(|| rayon::join(|| call(kernel), || call(kernel)));
                call(kernel);
            }
            // Within and without the pool at once.
            thread::scope(|scope| {
                scope.spawn(|| pool.broadcast(|_| call(kernel)));
                scope.spawn(|| call(kernel));
                scope.spawn(|| rayon::broadcast(|_| call(kernel)));
            });
        }
    }
}

#[test]
fn every_part_runs_once_and_none_after_the_loop() {
    for threads in [
        Threads::Global,
        Threads::Caller,
        Threads::count(2).unwrap(),
        Threads::count(7).unwrap(),
    ] {
        for parts in [0, 1, 2, 3, 100] {
            for _ in 0..50 {
                let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..parts).map(|_| AtomicUsize::new(0)).collect());
                let of_loop = Arc::clone(&runs);
                for_each(&threads, parts, move |i| {
                    thread::yield_now();
                    of_loop[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|r| r.load(Ordering::Relaxed) == 1), "{parts} parts");
            }
        }
    }
}

#[test]
fn a_part_s_panic_reaches_the_caller_after_the_others_ended() {
    let threads = Threads::count(3).unwrap();
    for failing in 0..8 {
        let ended = Arc::new(AtomicUsize::new(0));
        let of_loop = Arc::clone(&ended);
        let result = catch_unwind(AssertUnwindSafe(|| {
            for_each(&threads, 8, move |i| {
                assert!(i != failing, "part {i}");
                thread::sleep(Duration::from_micros(300));
                of_loop.fetch_add(1, Ordering::Relaxed);
            });
        }));
        let message = result.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*message, format!("part {failing}"));
        assert_eq!(ended.load(Ordering::Relaxed), 7);
    }
}

#[test]
fn other_jobs_of_the_pool_run_between_calls() {
    let (kernel, call) = doubling();
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let kernel = kernel.pool(Arc::clone(&pool));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                call(&kernel);
            }
        });
        for _ in 0..20 {
            pool.install(|| thread::sleep(Duration::from_micros(50)));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_pool_ends_soon_after_its_last_call() {
    let (kernel, call) = doubling();
    let (ended, ends) = mpsc::channel();
    let builder = ThreadPoolBuilder::new().num_threads(2);
    let pool = builder.exit_handler(move |_| ended.send(()).unwrap()).build().unwrap();
    let kernel = kernel.pool(Arc::new(pool));
    call(&kernel);
    drop(kernel);
    for _ in 0..2 {
        ends.recv_timeout(Duration::from_secs(5))
            .expect("the pool's threads end");
    }
}

/// A thread that went on looking for work would take a third of a second's ticks.
#[cfg(target_os = "linux")]
#[test]
fn a_pool_is_idle_after_its_last_call() {
    let (kernel, call) = doubling();
    let builder = ThreadPoolBuilder::new().num_threads(1);
    let pool = builder.thread_name(|_| "idle-after".to_owned()).build().unwrap();
    let kernel = kernel.pool(Arc::new(pool));
    (0..10).for_each(|_| call(&kernel));
    thread::sleep(Duration::from_millis(20));
    let before = ticks("idle-after");
    thread::sleep(Duration::from_millis(330));
    let used = ticks("idle-after") - before;
    assert!(used <= 2, "{used} ticks of 10 ms without a call");
}

/// The ticks of the processor that this process's threads of that name used.
#[cfg(target_os = "linux")]
fn ticks(name: &str) -> u64 {
    let mut threads = 0;
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread of another test may have ended.
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else {
            continue;
        };
        let (head, fields) = stat.rsplit_once(')').unwrap();
        if head.ends_with(&format!("({name}")) {
            threads += 1;
            let fields: Vec<&str> = fields.split_whitespace().collect();
            sum += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    assert!(threads > 0, "no thread is called {name}");
    sum
}

/// Kernels that share a pool move its threads about, but leave them where they may run.
#[test]
#[cfg(target_os = "linux")]
fn threads_may_run_where_they_might_before() {
    let allowed = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("Cpus_allowed:"));
        line.unwrap().to_owned()
    };
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let before = pool.broadcast(|_| allowed());
    thread::scope(|scope| {
        for _ in 0..3 {
            let kernel = jit::map(|x| x.exp() + 1).unwrap().pool(Arc::clone(&pool));
            scope.spawn(move || {
                let x = Array1::<f32>::ones(200_000);
                let mut y = x.clone();
                for _ in 0..300 {
                    kernel.call_into(&x, &mut y).unwrap();
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!(pool.broadcast(|_| allowed()), before);
}
