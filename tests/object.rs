//! Object files: a linked kernel gives the bits that the same kernel gives in memory, on this machine and on an emulated one,
//! and every target takes every op.

mod harness;

use std::process::Command;

use harness::{Layout, Via, axis, bind, operand, run};
use loopweave::codegen::abi::{Abi, scratch_bytes};
use loopweave::codegen::jit::JitCode;
use loopweave::codegen::object::emit_object;
use loopweave::jit::IntoFunc;
use loopweave::nest::interp::Buffer;
use loopweave::nest::matmul::{Factor, MatMul, Tile};
use loopweave::nest::{AxisRole, Binding, Leaf, Nest, OperandId, Order, Reduce, Role, Vector, Writes};
use loopweave::target::{NAMES, Target};
use loopweave_ir::expand::expand;
use loopweave_ir::testing::operand_dtypes;
use loopweave_ir::{Builder, Dtype, Func, Op, Scalar, Stage, Table, specialise};

const N: usize = 5003;
/// The extents of the product of the first elements with themselves.
const M: usize = 21;
const K: usize = 70;
const COLUMNS: usize = 37;

fn map(func: Func, lanes: u32) -> Nest {
    let inputs = func.param_dtypes();
    let outputs = func.result_dtypes();
    let ids = |range: std::ops::Range<usize>| range.map(|i| OperandId(i as u32)).collect();
    let count = inputs.len();
    Nest {
        name: func.name().to_owned(),
        operands: (inputs.iter().map(|&d| operand(d, Role::Input, Layout::Contiguous)))
            .chain(outputs.iter().map(|&d| operand(d, Role::Output, Layout::Contiguous)))
            .collect(),
        axes: vec![axis(AxisRole::Kept)],
        leaf: Leaf::Map {
            map: func,
            loads: ids(0..count),
            stores: ids(count..count + outputs.len()),
        },
        vector: Vector { lanes, unroll: 2 },
        writes: Writes::Plain,
    }
}

/// x % 3 of floats, which calls libm.
fn remainder() -> Nest {
    let mut b = Builder::typed("remainder");
    let x = b.param("x", Some(Dtype::F32));
    let three = b.float(Dtype::F32, 3.0);
    let r = b.node(Op::Rem, &[x, three]);
    map(b.finish(&[r]), 4)
}

/// Functions that expand into most of the basic ops.
fn functions() -> Nest {
    let func = "sin(x) * exp(x / 100) + (if x > 0 { ln(x) } else { floor(x) - erf(x) })"
        .into_func()
        .unwrap();
    let typed = specialise(&func, &[Dtype::F32.into()]).unwrap();
    map(expand(&typed).unwrap(), 4)
}

fn sum(order: Order) -> Nest {
    let mut b = Builder::typed("map");
    let x = b.param("x", Some(Dtype::F32));
    let map = b.finish(&[x]);
    let mut b = Builder::typed("add");
    let (x, y) = (b.param("x", Some(Dtype::F32)), b.param("y", Some(Dtype::F32)));
    let add = b.node(Op::Add, &[x, y]);
    let combine = b.finish(&[add]);
    let mut b = Builder::typed("finish");
    let x = b.param("x", Some(Dtype::F32));
    b.param("n", Some(Dtype::I64));
    let finish = b.finish(&[x]);
    let chain = matches!(order, Order::Chain { .. });
    let (axes, layout) = match chain {
        true => (vec![AxisRole::Reduced, AxisRole::Kept], Layout::Contiguous),
        false => (vec![AxisRole::Reduced], Layout::Broadcast),
    };
    Nest {
        name: String::from("sum"),
        operands: vec![
            operand(Dtype::F32, Role::Input, Layout::Contiguous),
            operand(Dtype::F32, Role::Output, layout),
        ],
        axes: axes.into_iter().map(axis).collect(),
        leaf: Leaf::Reduce(Reduce {
            map,
            loads: vec![OperandId(0)],
            combine,
            init: Some(vec![Scalar::from(0.0f32)]),
            apply_init: false,
            finish,
            finish_loads: vec![],
            stores: vec![OperandId(1)],
            order,
        }),
        vector: Vector { lanes: 4, unroll: 8 },
        writes: Writes::Plain,
    }
}

/// A product of matrices, whose micro-kernels are functions of their own.
fn product() -> Nest {
    let mut b = Builder::typed("element");
    let x = b.param("x", Some(Dtype::F32));
    let element = b.finish(&[x]);
    let mut b = Builder::typed("fma");
    let params = ["acc", "x", "y"].map(|name| b.param(name, Some(Dtype::F32)));
    let fma = b.node(Op::Fma, &[params[1], params[2], params[0]]);
    let combine = b.finish(&[fma]);
    let factor = |operand| Factor {
        map: element.clone(),
        loads: vec![OperandId(operand)],
    };
    let input = |layout| operand(Dtype::F32, Role::Input, layout);
    Nest {
        name: String::from("product"),
        operands: vec![
            input(Layout::Broadcast),
            input(Layout::Contiguous),
            operand(Dtype::F32, Role::Output, Layout::Contiguous),
        ],
        axes: [AxisRole::Kept, AxisRole::Reduced, AxisRole::Kept].map(axis).to_vec(),
        leaf: Leaf::MatMul(MatMul {
            left: factor(0),
            right: factor(1),
            combine,
            zero: Scalar::from(0.0f32),
            finish: element.clone(),
            finish_loads: vec![],
            stores: vec![OperandId(2)],
            tile: Tile {
                rows: 4,
                vectors: 2,
                lanes: 4,
                depth: 32,
                panel: 16,
                ways: 8,
                band: 8,
                in_place: false,
            },
        }),
        vector: Vector { lanes: 4, unroll: 1 },
        writes: Writes::Plain,
    }
}

/// The value of element i in both programs.
fn element(i: usize) -> f32 {
    (i as i32 * 37 % 1009 - 500) as f32 / 7.0
}

fn main_in_c(map: &Nest, sum: &Nest, product: &Nest) -> String {
    let (r, s, p) = (Abi::of(map), Abi::of(sum), Abi::of(product));
    format!(
        r#"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
void map(uint64_t *args);
void sum(uint64_t *args);
void product(uint64_t *args);
static float x[{N}], y[{N}], total;
static uint64_t scratch[{scratch}] __attribute__((aligned(64)));
static float z[{m} * {n}];
int main(void) {{
    for (int i = 0; i < {N}; i++) x[i] = (float)(i * 37 % 1009 - 500) / 7.0f;
    uint64_t a[{rn}] = {{0}}, b[{sn}] = {{0}};
    a[{re}] = {N}; a[{rp0}] = (uint64_t)x; a[{rp1}] = (uint64_t)y; a[{rs0}] = 4; a[{rs1}] = 4;
    map(a);
    b[0] = (uint64_t)scratch; b[{se}] = {N}; b[{sp0}] = (uint64_t)x; b[{sp1}] = (uint64_t)&total; b[{ss0}] = 4;
    sum(b);
    uint64_t c[{pn}] = {{0}};
    c[0] = (uint64_t)scratch; c[{pe}] = {m}; c[{pe} + 1] = {k}; c[{pe} + 2] = {n};
    c[{pp}] = (uint64_t)x; c[{pp} + 1] = (uint64_t)x; c[{pp} + 2] = (uint64_t)z;
    c[{ps}] = 4 * {k}; c[{ps} + 1] = 4; c[{ps} + 4] = 4 * {n}; c[{ps} + 5] = 4; c[{ps} + 6] = 4 * {n}; c[{ps} + 8] = 4;
    product(c);
    uint32_t bits;
    for (int i = 0; i < {N}; i++) {{ memcpy(&bits, &y[i], 4); printf("%08x\n", bits); }}
    memcpy(&bits, &total, 4); printf("%08x\n", bits);
    for (int i = 0; i < {m} * {n}; i++) {{ memcpy(&bits, &z[i], 4); printf("%08x\n", bits); }}
    return 0;
}}
"#,
        scratch = scratch_bytes(product, &[M, K, COLUMNS]).div_ceil(8).max(64),
        m = M,
        k = K,
        n = COLUMNS,
        pn = p.len(),
        pe = p.extent(0),
        pp = p.pointer(0),
        ps = p.stride(0, 0),
        rn = r.len(),
        re = r.extent(0),
        rp0 = r.pointer(0),
        rp1 = r.pointer(1),
        rs0 = r.stride(0, 0),
        rs1 = r.stride(1, 0),
        sn = s.len(),
        se = s.extent(0),
        sp0 = s.pointer(0),
        sp1 = s.pointer(1),
        ss0 = s.stride(0, 0),
    )
}

fn words(bytes: &[u8]) -> Vec<String> {
    let word = |c: &[u8]| format!("{:08x}", u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
    bytes.chunks(4).map(word).collect()
}

/// The output of a nest of one input row, by the JIT.
fn by_jit(nest: &Nest, target: &Target, outputs: usize) -> Vec<String> {
    let code = JitCode::compile(nest, target).unwrap();
    let input = (0..N).flat_map(|i| element(i).to_le_bytes()).collect();
    let mut result = bind(Dtype::F32, Layout::Contiguous, &[outputs], &[true]).0;
    if outputs == 1 {
        result.strides[0] = 0;
    }
    let binding = Binding {
        extents: [N].into_iter().collect(),
        operands: [bind(Dtype::F32, Layout::Contiguous, &[N], &[true]).0, result]
            .into_iter()
            .collect(),
        strip: None,
    };
    let buffers = [
        Buffer {
            bytes: input,
            origin: 0,
        },
        Buffer {
            bytes: vec![0; 4 * outputs],
            origin: 0,
        },
    ];
    words(&run(nest, &code, &binding, &buffers, true, Via::Main)[1])
}

/// How a program for a target is linked and run.
struct Machine {
    target: Target,
    cc: &'static str,
    /// What runs it, where this machine does not.
    emulator: Option<&'static str>,
}

impl Machine {
    /// Whether its tools are here; in CI they must be.
    fn is_here(&self) -> bool {
        let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
        let missing: Vec<&str> = [self.cc].into_iter().chain(self.emulator).filter(missing).collect();
        assert!(
            missing.is_empty() || std::env::var_os("CI").is_none(),
            "needed: {missing:?}"
        );
        if !missing.is_empty() {
            eprintln!("skipped: there is no {missing:?}");
        }
        missing.is_empty()
    }

    /// What a program of C and these kernels prints.
    fn run(&self, map: &Nest, sum: &Nest, product: &Nest) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let object = emit_object(&[("map", map), ("sum", sum), ("product", product)], &self.target).unwrap();
        std::fs::write(path("kernels.o"), object).unwrap();
        std::fs::write(path("main.c"), main_in_c(map, sum, product)).unwrap();
        let mut link = Command::new(self.cc);
        link.args([path("main.c"), path("kernels.o")])
            .arg("-o")
            .arg(path("main"));
        // An emulator finds no libraries of its machine.
        link.args(self.emulator.map(|_| "-static")).arg("-lm");
        let link = link.output().unwrap();
        assert!(link.status.success(), "{}", String::from_utf8_lossy(&link.stderr));
        let output = match self.emulator {
            Some(emulator) => Command::new(emulator).arg(path("main")).output().unwrap(),
            None => Command::new(path("main")).output().unwrap(),
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Compares linked kernels with the same ones in the memory of this machine.
    fn check(&self) {
        if !self.is_here() {
            return;
        }
        let (sum, product) = (sum(Order::Lanes { lanes: 64, block: 4096 }), product());
        let chain = |i: usize, j: usize| {
            let terms = (0..K).map(|k| (element(i * K + k), element(k * COLUMNS + j)));
            terms.fold(0.0f32, |acc, (x, y)| x.mul_add(y, acc))
        };
        let products = (0..M * COLUMNS).map(|at| chain(at / COLUMNS, at % COLUMNS));
        let products = words(&products.flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
        let here = Target::native().unwrap();
        for map in [remainder(), functions()] {
            let mut expected = by_jit(&map, &here, N);
            expected.extend(by_jit(&sum, &here, 1));
            expected.extend(products.iter().cloned());
            assert_eq!(self.run(&map, &sum, &product), expected, "{}", map.name);
        }
    }
}

#[test]
fn a_linked_kernel_gives_the_bits_of_the_jit() {
    Machine {
        target: Target::native().unwrap(),
        cc: "cc",
        emulator: None,
    }
    .check();
}

/// On an emulated aarch64. Its tools are the packages `gcc-aarch64-linux-gnu` and `qemu-user` of Debian.
#[test]
fn another_machine_gives_the_same_bits() {
    Machine {
        target: Target::parse("aarch64").unwrap(),
        cc: "aarch64-linux-gnu-gcc",
        emulator: Some("qemu-aarch64"),
    }
    .check();
}

#[test]
fn every_target_takes_every_op() {
    let mut nests = vec![
        sum(Order::Lanes { lanes: 64, block: 4096 }),
        sum(Order::Chain { block: 4096 }),
    ];
    let mut cases: Vec<(Op, Vec<Dtype>)> = Vec::new();
    for dtype in Dtype::ALL {
        cases.extend(Op::ALL.iter().map(|&op| (op, operand_dtypes(op, dtype))));
        cases.extend(
            Dtype::ALL
                .iter()
                .flat_map(|&to| [(Op::Cast(to), vec![dtype]), (Op::Bitcast(to), vec![dtype])]),
        );
    }
    let columns = Table::all().flat_map(Table::columns);
    cases.extend(columns.map(|column| (Op::Lookup(column), vec![column.table().dtype().to_unsigned()])));
    for (op, dtypes) in cases {
        let computed = dtypes[dtypes.len().min(2) - 1];
        if op.result_dtype(&dtypes).is_none() || op.stage_for(computed) != Stage::Basic {
            continue;
        }
        let mut b = Builder::typed(op.name());
        let params: Vec<_> = (0..)
            .zip(&dtypes)
            .map(|(i, &d)| b.param(format!("x{i}"), Some(d)))
            .collect();
        let result = b.node(op, &params);
        let func = b.finish(&[result]);
        for lanes in [1, 2, 16] {
            nests.push(map(func.clone(), lanes));
        }
    }
    let symbols: Vec<String> = (0..nests.len()).map(|i| format!("k{i}")).collect();
    let kernels: Vec<(&str, &Nest)> = symbols.iter().map(String::as_str).zip(&nests).collect();
    for name in NAMES {
        let object = emit_object(&kernels, &Target::parse(name).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(object.len() > 100 * kernels.len(), "{name}");
    }
}
