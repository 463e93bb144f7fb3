//! The command line, end to end: the program is run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use loopweave::cli::npy;
use loopweave::{AnyArray, Dtype};
use ndarray::{Array, ArrayD, Dimension, IxDyn, ShapeBuilder, array};
use tempfile::TempDir;

/// A folder with the files of a test, where the program runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn array<T, D: Dimension>(self, name: &str, array: Array<T, D>) -> Folder
    where
        AnyArray: From<ArrayD<T>>,
    {
        npy::write(&self.path(name), &AnyArray::from(array.into_dyn())).unwrap();
        self
    }

    fn text(self, name: &str, text: &str) -> Folder {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    fn run(&self, args: &[&str]) -> Output {
        command(self.0.path(), args).output().unwrap()
    }

    /// What is printed by a run that must succeed silently.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""), "{args:?}");
        out(&output)
    }

    /// The message of a run that must fail with exit code 1 and print nothing else.
    fn error(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let message = err(&output);
        assert_eq!(
            (output.status.code(), out(&output).as_str()),
            (Some(1), ""),
            "{args:?} {message}"
        );
        assert!(
            !message.contains("panicked") && !message.contains("RUST_BACKTRACE"),
            "{message}"
        );
        assert!(!message.contains("please report"), "{message}");
        message
    }

    fn read(&self, name: &str) -> AnyArray {
        npy::read(&self.path(name)).unwrap()
    }
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopweave"));
    command
        .args(args)
        .current_dir(folder)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null());
    command
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const FILE: &str = "\
// Two functions and two kernels.
fn sq(x) { x * x }
fn both(x: f32, y: f32) -> (f32, f32) { (x + y, x - y) }
kernel dist(x: f32[n], y: f32[n]) -> f32[n] { sqrt(sq(x) + sq(y)) }
kernel range(x: f64[n, m]) -> (lo: f64[n], hi: f64[n]) { (min(x, axis = -1), max(x, axis = -1)) }
";

fn folder() -> Folder {
    Folder::new()
        .text("two.lw", FILE)
        .text("one.lw", "kernel twice(x: f32[n]) -> f32[n] { x + x }\n")
        .text("cube.lw", "fn cube(x) { x * x * x }\n")
        .array("x.npy", array![3f32, 6.0, 5.0])
        .array("y.npy", array![4f32, 8.0, 12.0])
        .array("i.npy", array![[1i32, -2, 3], [4, 5, -6]])
        .array("m.npy", array![[1f64, 2.0, 3.0], [6.0, 5.0, 4.0]])
        .array("h.npy", array![1.5f32, -2.0].mapv(half::f16::from_f32))
        .array("b.npy", array![1.5f32, -2.0].mapv(half::bf16::from_f32))
        .array("t.npy", array![true, false])
        .array("empty.npy", ArrayD::<f32>::zeros(IxDyn(&[0])))
}

/// Each kind of expression: the arguments and what is printed.
#[test]
fn eval_prints_as_numpy() {
    let folder = folder();
    #[rustfmt::skip]
    let rows: &[(&[&str], &str)] = &[
        (&["sqrt(x*x + y*y)", "-i", "x=x.npy", "-i", "y=y.npy"], "[ 5. 10. 13.]"),
        (&["x + 1", "-i", "x=x.npy"], "[4. 7. 6.]"),
        (&["x * s", "-i", "x=x.npy", "-i", "s=0.5"], "[1.5 3.  2.5]"),
        (&["x * s", "-i", "x=x.npy", "-i", "s=0.5f64"], "[1.5 3.  2.5]"),
        (&["i * s", "-i", "i=i.npy", "-i", "s=2"], "[[  2  -4   6]\n [  8  10 -12]]"),
        (&["let c = m - mean(m, axis = 1, keepdims = true); c * c", "-i", "m=m.npy"], "[[1. 0. 1.]\n [1. 0. 1.]]"),
        (&["sum(m)", "-i", "m=m.npy"], "21.0"),
        (&["sum(i, axis = 0)", "-i", "i=i.npy"], "[ 5  3 -3]"),
        (&["argmax(m, axis = -1)", "-i", "m=m.npy"], "[2 0]"),
        (&["permute(m, 1, 0)", "-i", "m=m.npy"], "[[1. 6.]\n [2. 5.]\n [3. 4.]]"),
        (&["m[::-1, 1:]", "-i", "m=m.npy"], "[[5. 4.]\n [2. 3.]]"),
        (&["if x > y { x } else { -y }", "-i", "x=x.npy", "-i", "y=5"], "[-5.  6. -5.]"),
        (&["x > 4", "-i", "x=x.npy"], "[False  True  True]"),
        (&["!t", "-i", "t=t.npy"], "[False  True]"),
        (&["h + b", "-i", "h=h.npy", "-i", "b=b.npy"], "[ 3. -4.]"),
        (&["h * 2", "-i", "h=h.npy"], "[ 3. -4.]"),
        (&["x as i8", "-i", "x=x.npy"], "[3 6 5]"),
        (&["x + x", "-i", "x=empty.npy"], "[]"),
        (&["sum(x)", "-i", "x=empty.npy"], "0.0"),
        (&["(x + y, x - y)", "-i", "x=x.npy", "-i", "y=y.npy"], "out0 =\n[ 7. 14. 17.]\nout1 =\n[-1. -2. -7.]"),
        (&["-i", "x=x.npy", "--", "-x"], "[-3. -6. -5.]"),
        (&["x + x", "-i", "x=x.npy", "--threads", "3", "--target", "simd128", "--fast"], "[ 6. 12. 10.]"),
        (&["x + x", "-i", "x=x.npy", "--fast=contract,nsz"], "[ 6. 12. 10.]"),
        (&["a + a", "-i", "a=1.5"], "3.0"),
        (&["a + a", "-i", "a=.5"], "1.0"),
        (&["a + a", "-i", "a=+5"], "10"),
        // Files.
        (&["one.lw", "-i", "x=x.npy"], "[ 6. 12. 10.]"),
        (&["cube.lw", "-i", "x=x.npy"], "[ 27. 216. 125.]"),
        (&["two.lw:dist", "-i", "x=x.npy", "-i", "y=y.npy"], "[ 5. 10. 13.]"),
        (&["two.lw:sq", "-i", "x=i.npy"], "[[ 1  4  9]\n [16 25 36]]"),
        (&["two.lw:range", "-i", "x=m.npy"], "lo =\n[1. 4.]\nhi =\n[3. 6.]"),
        (&["two.lw:both", "-i", "x=x.npy", "-i", "y=1"], "both.0 =\n[4. 7. 6.]\nboth.1 =\n[2. 5. 4.]"),
    ];
    for (args, expected) in rows {
        assert_eq!(
            folder.ok(&[&["eval"], *args].concat()),
            format!("{expected}\n"),
            "{args:?}"
        );
    }
}

#[test]
fn eval_writes_files() {
    let folder = folder();
    assert_eq!(
        folder.ok(&["eval", "x + y", "-i", "x=x.npy", "-i", "y=y.npy", "-o", "r.npy"]),
        ""
    );
    assert_eq!(
        folder.read("r.npy"),
        AnyArray::from(array![7f32, 14.0, 17.0].into_dyn())
    );

    // By name, in order, and the rest printed.
    assert_eq!(
        folder.ok(&["eval", "two.lw:range", "-i", "x=m.npy", "-o", "hi=hi.npy"]),
        "lo =\n[1. 4.]\n"
    );
    assert_eq!(folder.read("hi.npy"), AnyArray::from(array![3f64, 6.0].into_dyn()));
    assert_eq!(
        folder.ok(&[
            "eval",
            "two.lw:range",
            "-i",
            "x=m.npy",
            "-o",
            "a.npy",
            "-o",
            "lo=lo.npy"
        ]),
        ""
    );
    assert_eq!(folder.read("a.npy"), folder.read("hi.npy"));

    // A path may hold a `=`, once it cannot be a name.
    folder.ok(&["eval", "x + y", "-i", "x=x.npy", "-i", "y=y.npy", "-o", "./a=b.npy"]);
    assert_eq!(folder.read("a=b.npy"), folder.read("r.npy"));

    for (input, dtype) in [
        ("h", Dtype::F16),
        ("b", Dtype::Bf16),
        ("t", Dtype::Bool),
        ("i", Dtype::I32),
    ] {
        folder.ok(&["eval", "v[:]", "-i", &format!("v={input}.npy"), "-o", "r.npy"]);
        let (found, expected) = (folder.read("r.npy"), folder.read(&format!("{input}.npy")));
        assert_eq!((found.dtype(), found), (dtype, expected));
    }
}

/// Fortran order is read as it lies; results are the same bits as in C order.
#[test]
fn eval_fortran_order() {
    let c = Array::from_shape_fn((5, 7), |(i, j)| (i * 7 + j) as f32 * 0.1);
    let mut f = Array::zeros((5, 7).f());
    f.assign(&c);
    let folder = Folder::new().array("c.npy", c).array("f.npy", f);
    for expr in [
        "v * v + 1",
        "sum(v, axis = 0)",
        "sum(v, axis = 1)",
        "sum(v)",
        "v[1:, ::-2]",
    ] {
        let c = folder.ok(&["eval", expr, "-i", "v=c.npy"]);
        assert_eq!(folder.ok(&["eval", expr, "-i", "v=f.npy"]), c, "{expr}");
    }
    folder.ok(&["eval", "c + f", "-i", "c=c.npy", "-i", "f=f.npy", "-o", "r.npy"]);
    assert_eq!(folder.read("r.npy").shape(), [5, 7]);
}

#[test]
fn eval_time_is_one_line_of_json() {
    let folder = folder();
    let printed = folder.ok(&[
        "eval",
        "sqrt(x*x + y*y)",
        "-i",
        "x=x.npy",
        "-i",
        "y=y.npy",
        "--time",
        "20",
        "--threads",
        "2",
    ]);
    assert_eq!(printed.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let number = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("no {key} in {printed}"));
    assert_eq!(json.as_object().unwrap().len(), 5);
    assert!(number("compile_us") > 0);
    assert!(0 < number("call_ns_min") && number("call_ns_min") <= number("call_ns_median"));
    assert_eq!((number("threads"), json["target"].as_str()), (2, Some("native")));
}

#[test]
fn reports_follow_the_result() {
    let folder = folder();
    let args = ["eval", "sqrt(x*x + y*y)", "-i", "x=x.npy", "-i", "y=y.npy"];
    let mut last = 0;
    for level in ["1", "2", "3", "4"] {
        let printed = folder.ok(&[&args[..], &["--report", level]].concat());
        let report = printed
            .strip_prefix("[ 5. 10. 13.]\n\n")
            .unwrap_or_else(|| panic!("{printed}"));
        assert!(
            report.len() > last,
            "level {level} says more than the one below: {report}"
        );
        last = report.len();
    }
    let output = folder.run(&[&args[..], &["--report", "1", "--time", "3"]].concat());
    assert_eq!(out(&output).lines().count(), 1);
    assert!(!err(&output).is_empty());
}

/// What is wrong with what the user gave, as the user sees it.
#[test]
fn error_messages() {
    let folder = folder()
        .text("broken.lw", "fn f(x) { x + }\nkernel k(x: f32[n]) -> f32[n] { y }\n")
        .text("notes.npy", "not an array")
        .text(
            "deep.lw",
            &format!("fn f(x) {{ {}x{} }}", "(".repeat(100_000), ")".repeat(100_000)),
        )
        .text("same.lw", "kernel k(x: f32[n]) -> (x: f32[n]) { x[1:] }\n")
        .text(
            "unfit.lw",
            "kernel p(x: f32[3, 4], w: f32[5, 4]) { x @ w }\nkernel s(x: f32[3]) -> f32[7] { x * 2 }\n\
             kernel fits(x: f32[3, 1], w: f32[4]) -> f32[3, 4] { x * w }\n",
        );
    std::fs::write(folder.path("binary.lw"), [0xff, 0xfe, 0x00]).unwrap();
    #[rustfmt::skip]
    let rows: &[&[&str]] = &[
        // Names.
        &["eval", "x + y * z", "-i", "y=y.npy"],
        &["eval", "x", "-i", "x=x.npy", "-i", "z=y.npy", "-i", "w=1"],
        &["eval", "x", "-i", "x=x.npy", "-i", "x=y.npy"],
        &["eval", "1 + 2", "-i", "x=x.npy"],
        &["eval", "x // 2", "-i", "x=x.npy"],
        &["eval", "x", "-i", "x=x.npy", "-o", "z=r.npy"],
        &["eval", "x", "-i", "x=x.npy", "-o", "a.npy", "-o", "b.npy"],
        &["eval", "x", "-i", "x=x.npy", "-o", "x+1=r.npy"],
        &["eval", "(x, -x)", "-i", "x=x.npy", "-o", "a.npy", "-o", "./a.npy"],
        &["eval", "(x, -x)", "-i", "x=x.npy", "-o", "x.npy", "-o", "out1=./x.npy"],
        // A call without its argument is why its name is no input.
        &["eval", "maximum()", "-i", "x=x.npy"],
        &["eval", "sum(axis = 0) + y", "-i", "x=x.npy", "-i", "y=y.npy"],
        // Text.
        &["eval", "x +* 2", "-i", "x=x.npy"],
        &["eval", "sqr(x) + frob(x)", "-i", "x=x.npy"],
        &["eval", ""],
        &["eval", "two.lw", "-i", "x=x.npy"],
        &["eval", "two.lw:dst", "-i", "x=x.npy"],
        &["eval", "none.lw", "-i", "x=x.npy"],
        &["check", "broken.lw"],
        &["check", "unfit.lw"],
        &["check", "none.lw"],
        // Types and shapes.
        &["eval", "x + m", "-i", "x=y.npy", "-i", "m=h.npy"],
        &["eval", "x ^ y", "-i", "x=x.npy", "-i", "y=y.npy"],
        &["eval", "sum(x, axis = 3)", "-i", "x=x.npy"],
        &["eval", "max(x)", "-i", "x=empty.npy"],
        &["eval", "two.lw:dist", "-i", "x=x.npy", "-i", "y=h.npy"],
        &["eval", "one.lw", "-i", "x=m.npy"],
        &["eval", "two.lw:dist", "-i", "x=x.npy", "-i", "y=1"],
        &["eval", "same.lw", "-i", "x=x.npy"],
        &["eval", "max(x[3:]) + 1", "-i", "x=x.npy"],
        &["eval", "9223372036854775808"],
        // Files.
        &["eval", "x", "-i", "x=none.npy"],
        &["eval", "x", "-i", "x=notes.npy"],
        &["eval", "x", "-i", "x=x.npy", "-o", "no/such/folder.npy"],
        // Machines.
        &["eval", "x", "-i", "x=x.npy", "--target", "riscv64"],
        &["explain", "x + y", "-a", "x=f32[3]"],
        &["explain", "x + y", "-a", "x=f32[3]", "-a", "y=f32[4]"],
        &["explain", "x", "-a", "x=f32[3,3]:[1]"],
        &["explain", "two.lw:dist", "-a", "x=f64[3]"],
        &["explain", "two.lw:dist", "--emit", "nest"],
        &["explain", "x", "-a", "x=f32[9223372036854775807,9]"],
    ];
    let mut text = String::new();
    for args in rows {
        let message = folder.error(args);
        let args: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
        text += &format!("$ loopweave {}\n{message}\n", args.join(" "));
    }
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("cli_errors", text);
    });

    // Hostile files: an error, and no more of it than a person reads.
    for args in [
        &["check", "deep.lw"][..],
        &["check", "binary.lw"],
        &["check", "."],
        &["eval", "deep.lw:f", "-i", "x=1"],
    ] {
        let message = folder.error(args);
        assert!(message.len() < 20_000, "{} bytes for {args:?}", message.len());
    }
    let long = "a".repeat(100_000);
    for args in [
        &["eval", &long][..],
        &["eval", "1", "-i", &format!("{long}=2")],
        &["eval", "1", "-o", &format!("{long}=2")],
        &["eval", "x", "-i", &format!("x={long}")],
    ] {
        let message = folder.error(args);
        assert!(message.len() < 1_000, "{} bytes", message.len());
    }
    for expr in [
        "(".repeat(200_000),
        "-".repeat(200_000) + "x",
        "x+".repeat(60_000) + "x",
        "[".repeat(1000),
    ] {
        // The expression goes through a file, for its length.
        let folder = Folder::new().text("e.lw", &format!("fn f(x) {{ {expr} }}"));
        let output = folder.run(&["eval", "e.lw", "-i", "x=1"]);
        assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let folder = folder();
    let rows: &[&[&str]] = &[
        &["frobnicate"],
        &["eval"],
        &["eval", "x", "-i", "x"],
        &["eval", "x", "-i", "x=300u8"],
        &["eval", "x", "-i", "x=1e999"],
        &["eval", "x", "-i", "x=1", "-o", "-"],
        &["eval", "x", "-i", "x=1", "-o", "x="],
        &["eval", "-x", "-i", "x=1"],
        &["eval", "x", "-i", "x=1", "--frobnicate"],
        &["eval", "x", "--target", "sparc"],
        &["eval", "x", "--threads", "0"],
        &["eval", "x", "--threads", "many"],
        &["eval", "x", "--report", "5"],
        &["eval", "x", "--time", "0"],
        &["eval", "x", "--fast=quick"],
        &["eval", "x", "y"],
        &["explain", "x", "-a", "x=f33[2]"],
        &["explain", "x", "-a", "x=f32[2"],
        &["explain", "x", "-a", "x=f32", "--emit", "soup"],
        &["explain", "x", "-a", "x=f32", "--report", "0"],
        &["explain", "x", "-a", "x=f32", "--html"],
        &["check"],
    ];
    for args in rows {
        let output = folder.run(args);
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(2), ""), "{args:?}");
        assert!(
            err(&output).contains("error:") || err(&output).contains("Usage:"),
            "{args:?}: {}",
            err(&output)
        );
    }
    let long = folder.run(&["eval", "x", "-i", &format!("x=3{}", "a".repeat(100_000))]);
    assert!(
        long.status.code() == Some(2) && err(&long).len() < 2_000,
        "{}",
        err(&long).len()
    );
    for args in [&["--help"][..], &["--version"], &["eval", "--help"]] {
        assert!(!folder.ok(args).is_empty());
    }
}

#[test]
fn check_counts_what_is_there() {
    let folder = folder();
    assert_eq!(folder.ok(&["check", "two.lw"]), "two.lw: 2 fns, 2 kernels\n");
    assert_eq!(folder.ok(&["check", "cube.lw"]), "cube.lw: 1 fn, 0 kernels\n");
}

/// Every stage, for a machine that is not this one.
#[test]
fn explain_for_another_machine() {
    let folder = folder();
    let args = [
        "explain",
        "sqrt(x*x + y*y)",
        "-a",
        "x=f32[100]",
        "-a",
        "y=f32[100]",
        "--emit",
    ];
    for target in ["aarch64", "x86-64", "native"] {
        for stage in ["func", "graph", "plan", "nest", "clif", "asm", "report", "dot"] {
            let printed = folder.ok(&[&args[..], &[stage, "--target", target]].concat());
            assert!(
                !printed.trim().is_empty() && !printed.starts_with("=="),
                "{stage} {target}: {printed}"
            );
        }
    }
    let report = folder.ok(&[&args[..], &["report", "--report", "2", "--target", "aarch64"]].concat());
    assert!(report.contains("for  x.0  100  vector of 4 lanes"), "{report}");
    let asm = folder.ok(&[&args[..], &["asm", "--target", "aarch64"]].concat());
    assert!(asm.contains("fsqrt") && asm.contains(".4s"), "{asm}");
    let asm = folder.ok(&[&args[..], &["asm", "--target", "x86-64"]].concat());
    assert!(asm.contains("sqrtps"), "{asm}");

    let printed = folder.ok(&[&args[..], &["func,graph,plan,nest", "--target", "aarch64"]].concat());
    let titles: Vec<&str> = printed.lines().filter(|line| line.starts_with("==")).collect();
    assert_eq!(titles, ["== func ==", "== graph ==", "== plan ==", "== nest =="]);
}

#[test]
fn explain_layouts_and_kernels() {
    let folder = folder();
    let nest = |x: &str| folder.ok(&["explain", "x + y", "-a", x, "-a", "y=f32[64,64]", "--emit", "nest"]);
    assert_ne!(nest("x=f32[64,64]"), nest("x=f32[64,64]:F"));
    assert_eq!(nest("x=f32[64,64]"), nest("x=f32[64,64]:[64,1]"));
    assert_ne!(nest("x=f32[64,64]"), nest("x=2.5"));
    // A kernel's own types are enough for the stages that need no extents.
    let printed = folder.ok(&["explain", "two.lw:range", "--emit", "func,graph,plan"]);
    assert!(printed.contains("== plan =="), "{printed}");
}

const DENSE: &str = "\
fn gelu(x) { 0.5 * x * (1.0 + erf(x * 0.70710678)) }
kernel dense(x: f32[n, d], w: f32[d, m], b: f32[m]) -> f32[n, m] {
    let h = x @ w + b;
    gelu(h)
}
";
const DENSE_ARGS: [&str; 6] = ["-a", "x=f32[64,96]", "-a", "w=f32[96,80]", "-a", "b=f32[80]"];

/// Before and after fusion, with the places of the ops; known without shapes.
#[test]
fn explain_plan() {
    let folder = Folder::new().text("dense.lw", DENSE);
    let plan = folder.ok(&["explain", "dense.lw", "--emit", "plan"]);
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("dense_plan", plan);
    });
    assert_eq!(
        folder.ok(&[&["explain", "dense.lw", "--emit", "plan"], &DENSE_ARGS[..]].concat()),
        plan
    );
}

#[test]
fn explain_reports_by_level() {
    let folder = Folder::new().text("dense.lw", DENSE);
    let report = |more: &[&str]| {
        let args = [&["explain", "dense.lw", "--target", "x86-64"], &DENSE_ARGS[..], more].concat();
        folder.ok(&args)
    };
    let (short, long) = (report(&["--report", "1"]), report(&["--report", "4"]));
    assert!(short.lines().count() <= 5 && short.contains("+ h, gelu"), "{short}");
    assert!(
        long.contains("line 3, column 13") && long.len() > 2 * short.len(),
        "{long}"
    );
    assert_eq!(report(&["--emit", "report", "--report", "1"]), short);
    let both = report(&["--emit", "dot", "--report", "1"]);
    assert!(both.starts_with("== dot ==") && both.contains("== report =="), "{both}");
}

#[test]
fn shapes_tell_what_of_an_expression_is_fused() {
    let folder = folder();
    let report = |expr: &str, args: &[&str]| {
        let args: Vec<&str> = args.iter().flat_map(|arg| ["-a", arg]).collect();
        folder.ok(&[&["explain", expr, "--report", "1"], &args[..]].concat())
    };
    let dense = report("x @ w + b", &["x=f32[512,64]", "w=f32[64,256]", "b=f32[256]"]);
    assert!(dense.contains("1 kernel from 2 ops"), "{dense}");
    // An expensive op of few elements is not computed once for each of many.
    let broadcast = report("x + exp(y)", &["x=f32[4096,1024]", "y=f32[1,1024]"]);
    assert!(broadcast.contains("2 kernels from 2 ops"), "{broadcast}");
    let same = report("x + exp(y)", &["x=f32[4096,1024]", "y=f32[4096,1024]"]);
    assert!(same.contains("1 kernel from 2 ops"), "{same}");
}

#[test]
fn pages() {
    let folder = folder().text("dense.lw", DENSE);
    let page = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    // Nothing else is printed unless it is asked for.
    for target in ["native", "aarch64"] {
        let args = [
            &["explain", "dense.lw", "--html", "d.html", "--target", target],
            &DENSE_ARGS[..],
        ]
        .concat();
        assert_eq!(folder.ok(&args), "");
        for part in [
            "</html>",
            "kernel dense(",
            "<svg",
            "nest out",
            "function u0:0",
            "matmul x @ w",
        ] {
            assert!(page("d.html").contains(part), "no `{part}` for {target}");
        }
    }
    // Without shapes there are no loops to show.
    assert_eq!(folder.ok(&["explain", "dense.lw", "--html", "p.html"]), "");
    assert!(page("p.html").contains("<svg") && !page("p.html").contains("<figcaption>"));
    let printed = folder.ok(&["eval", "x + x", "-i", "x=x.npy", "--html", "e.html"]);
    assert_eq!(
        (printed.as_str(), page("e.html").contains("of 1 kernel")),
        ("[ 6. 12. 10.]\n", true)
    );
    let message = folder.error(&["explain", "dense.lw", "--html", "no/such/folder.html"]);
    assert!(message.contains("`no/such/folder.html` cannot be written"), "{message}");
}

/// A reader that goes away early is no error.
#[test]
#[cfg(unix)]
fn broken_pipe_is_quiet() {
    let folder = folder();
    for args in [
        &["eval", "x + x", "-i", "x=x.npy"][..],
        &[],
        &["explain", "x + x", "-a", "x=f32[9]", "--emit", "asm"],
    ] {
        let mut child = command(folder.0.path(), args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn tour() {
    let printed = folder().ok(&[]);
    for part in [
        "sqrt(x*x + y*y)",
        "ln(sum(exp(z - top)",
        "mean(s*s)",
        "compiled",
        "plain Rust",
        "loopweave eval",
    ] {
        assert!(printed.contains(part), "no `{part}` in {printed}");
    }
}
