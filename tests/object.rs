//! Kernels in an object file, linked by the system's C compiler: the same bits as in memory.
//!
//! Needs `cc`. Without it the test says that it is skipped, and fails where `CI` is set.

use std::fmt::Write;
use std::process::Command;

use loopweave::codegen::abi::{Abi, scratch_bytes};
use loopweave::codegen::object::emit_object;
use loopweave::graph::build::GraphBuilder;
use loopweave::graph::{Graph, Named};
use loopweave::ir::{Type, trace};
use loopweave::nest::Role;
use loopweave::nest::schedule::Scheduled;
use loopweave::pipeline::{Options, Program};
use loopweave::prelude::*;
use loopweave::runtime::view::Arg;
use loopweave::shape::Layout;

/// Long enough for several blocks of a reduction and a tail.
const N: usize = 10_037;

fn input(i: usize) -> f32 {
    (i as f32 * 0.37).sin() * 3.0
}

fn silu() -> Graph {
    let mut g = GraphBuilder::new("silu");
    let x = g.input("x", Type::Strong(F32), 1);
    let y = g
        .map(&trace("silu", |[x]| x / (1.0 + (-x).exp())).unwrap(), &[x])
        .unwrap();
    g.output("y", y);
    g.finish().unwrap()
}

/// Sums, whose float order is fixed, and remainders, which call the C library.
fn remainder_sum() -> Graph {
    let mut g = GraphBuilder::new("remainder_sum");
    let x = g.input("x", Type::Strong(F32), 1);
    let y = g.map(&trace("rem", |[x]| x % 0.3).unwrap(), &[x]).unwrap();
    let s = g.reduce(Named::Sum, y, None, false).unwrap();
    g.output("s", s);
    g.finish().unwrap()
}

/// A C function that fills the argument block of a kernel and prints the bits of its results.
fn caller(symbol: &str, scheduled: &Scheduled, results: usize) -> String {
    let (nest, binding) = (&scheduled.nest, &scheduled.binding);
    let abi = Abi::of(nest);
    let vector = binding.extents[nest.vector_axis().index()];
    let scratch = scratch_bytes(nest, binding.reduced_len(nest), vector).max(64);
    let mut c = format!("extern void {symbol}(uint64_t *);\nstatic void call_{symbol}(void) {{\n");
    writeln!(c, "  static _Alignas(64) uint8_t scratch[{scratch}];").unwrap();
    writeln!(c, "  static uint32_t out[{results}];").unwrap();
    writeln!(
        c,
        "  static uint64_t w[{}];\n  w[{}] = (uint64_t)scratch;",
        abi.len(),
        Abi::SCRATCH
    )
    .unwrap();
    for (axis, extent) in binding.extents.iter().enumerate() {
        writeln!(c, "  w[{}] = {extent};", abi.extent(axis)).unwrap();
    }
    for (operand, bound) in binding.operands.iter().enumerate() {
        let array = match nest.operands[operand].role {
            Role::Input => "x",
            Role::Output => "out",
        };
        writeln!(c, "  w[{}] = (uint64_t){array};", abi.pointer(operand)).unwrap();
        for (axis, stride) in bound.strides.iter().enumerate() {
            writeln!(c, "  w[{}] = (uint64_t)(int64_t){stride};", abi.stride(operand, axis)).unwrap();
        }
    }
    writeln!(
        c,
        "  {symbol}(w);\n  for (int i = 0; i < {results}; i++) printf(\"%08x\\n\", out[i]);\n}}"
    )
    .unwrap();
    c
}

#[test]
fn linked_objects_give_the_bits_of_the_jit() {
    if Command::new("cc").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs a C compiler");
        eprintln!("skipped: no cc");
        return;
    }
    let options = Options::native().unwrap();
    let x: Vec<f32> = (0..N).map(input).collect();
    let mut expected = String::new();
    let mut nests = Vec::new();
    for graph in [silu(), remainder_sum()] {
        let program = Program::compile(graph, &options).unwrap();
        for value in program.run(&[x.view()]).unwrap()[0].scalars() {
            writeln!(expected, "{:08x}", value.bits()).unwrap();
        }
        nests.extend(program.schedule(&[Layout::contiguous(&[N]).unwrap()]).unwrap());
    }

    let symbols = ["silu_kernel", "remainder_kernel"];
    let kernels: Vec<_> = symbols.into_iter().zip(nests.iter().map(|s| &s.nest)).collect();
    let object = emit_object(&kernels, &options.target).unwrap();

    let bits: Vec<String> = x.iter().map(|v| format!("{:#x}", v.to_bits())).collect();
    let mut c = format!(
        "#include <stdint.h>\n#include <stdio.h>\nstatic uint32_t x[] = {{{}}};\n",
        bits.join(",")
    );
    c += &caller(symbols[0], &nests[0], N);
    c += &caller(symbols[1], &nests[1], 1);
    writeln!(
        c,
        "int main(void) {{ call_{}(); call_{}(); return 0; }}",
        symbols[0], symbols[1]
    )
    .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("kernels.o"), object).unwrap();
    std::fs::write(path("main.c"), c).unwrap();
    let linked = Command::new("cc")
        .args(["-O1", "-o"])
        .args([path("program"), path("main.c"), path("kernels.o")])
        .arg("-lm")
        .output()
        .unwrap();
    assert!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
    let ran = Command::new(path("program")).output().unwrap();
    assert!(ran.status.success());
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), expected);
}
