//! What the wide emitter takes, and what it leaves to the reference emitter. That both give the same bits is shown by the tests
//! of conformance, which run every op through each.

use iced_x86::{Decoder, DecoderOptions};
use loopweave_ir::expand::{expand, expand_to};
use loopweave_ir::testing::{operand_dtypes, single_op};
use loopweave_ir::{Accuracy, Builder, Dtype, Func, Op, Stage};

use super::alloc::Program;
use super::encode::encode;
use super::isa::Isa;
use super::lanes::{Selected, Selector};
use super::map::{Map, Stream, Unroll, select_unrolled};
use crate::codegen::abi::Abi;
use crate::nest::Writes;

/// The remainder of floats is a function of the library's, and AVX2 divides 64-bit integers one at a time; everything else is
/// taken.
#[test]
fn gaps_are_these_alone() {
    for isa in [Isa::Avx512, Isa::Avx2] {
        let has_none = |dtype: Dtype| dtype.is_float() || dtype.size() == 8 && isa == Isa::Avx2;
        for func in functions() {
            let mut nodes = func.nodes().iter();
            let is_gap = nodes.any(|n| matches!(n.op, Op::TruncDiv | Op::Rem) && n.dtype.is_some_and(has_none));
            assert_eq!(selected(&func, isa).is_none(), is_gap, "{} in {isa:?}", func.name());
        }
    }
}

/// Every function's code reads back as instructions that exist, one after the other, up to the constants.
#[test]
fn code_reads_back() {
    for isa in [Isa::Avx512, Isa::Avx2] {
        for func in functions() {
            let Some(code) = selected(&func, isa) else { continue };
            let instructions = &code.bytes[..code.instructions];
            let mut last = None;
            for instruction in &mut Decoder::new(64, instructions, DecoderOptions::NONE) {
                assert!(!instruction.is_invalid(), "{} at {:x}", func.name(), instruction.ip());
                last = Some(instruction);
            }
            let last = last.expect("a function has instructions");
            assert_eq!(last.mnemonic(), iced_x86::Mnemonic::Ret, "{}", func.name());
            assert_eq!(last.next_ip() as usize, code.instructions, "{}", func.name());
        }
    }
}

/// Each basic op on each dtype it takes, stored as it is loaded.
fn functions() -> Vec<Func> {
    let mut functions = Vec::new();
    for &op in Op::ALL {
        for dtype in Dtype::ALL {
            let dtypes = operand_dtypes(op, dtype.compute());
            let Some(result) = op.result_dtype(&dtypes) else {
                continue;
            };
            let mut b = Builder::typed(format!("{}_{dtype}", op.name()));
            let mut operands = Vec::new();
            for (i, &compute) in dtypes.iter().enumerate() {
                let stored = if compute == dtype.compute() { dtype } else { compute };
                let param = b.param(format!("x{i}"), Some(stored));
                operands.push(b.cast(param, compute));
            }
            let value = b.node(op, &operands);
            let stored = if result == dtype.compute() { dtype } else { result };
            let value = b.cast(value, stored);
            let Ok(func) = expand(&b.finish(&[value])) else {
                continue;
            };
            functions.push(func);
        }
    }
    assert!(functions.len() > 300, "{} functions", functions.len());
    functions
}

/// With one vector in flight every expansion has registers enough, in either tier.
#[test]
fn expansions_do_not_spill() {
    let mut spilling = Vec::new();
    let mut count = 0;
    let one = Unroll { vectors: 1, abreast: 1 };
    for isa in [Isa::Avx512, Isa::Avx2] {
        for (op, dtype, func) in expansions() {
            let selector = mapped(&func, |map| select_unrolled(map, isa, |_| one));
            let Some(selector) = selector else { continue };
            count += 1;
            let output = Program::new(&selector.asm, isa.bytes()).allocate().unwrap();
            if output.num_spillslots > 0 {
                spilling.push((isa, op, dtype));
            }
        }
    }
    assert!(count > 200, "{count} expansions");
    assert_eq!(spilling, []);
}

/// The functions of one op each that are written in basic ops, in both tiers.
fn expansions() -> Vec<(Op, Dtype, Func)> {
    let mut expansions = Vec::new();
    for accuracy in [Accuracy::Precise, Accuracy::Fast] {
        for (&op, dtype) in Op::ALL.iter().flat_map(|op| [(op, Dtype::F32), (op, Dtype::F64)]) {
            let dtypes = operand_dtypes(op, dtype);
            if op.stage_for(dtype) != Stage::Expanded || op.tier(accuracy) != accuracy {
                continue;
            }
            let Some(func) = single_op(op, &dtypes) else { continue };
            expansions.push((op, dtype, expand_to(&func, accuracy).unwrap()));
        }
    }
    expansions
}

fn selected(func: &Func, isa: Isa) -> Option<super::MachineCode> {
    let selector = mapped(func, |map| {
        select_unrolled(map, isa, |_| Unroll { vectors: 2, abreast: 2 })
    })?;
    Some(encode(&selector.asm, isa.bytes()).unwrap())
}

/// What comes of a map of the function over rows of its own.
fn mapped(func: &Func, select: impl Fn(&Map<'_>) -> Selected<Selector>) -> Option<Selector> {
    let func = super::with_storage_floats(func).unwrap();
    let stream = |(operand, dtype): (usize, Dtype)| Stream {
        operand,
        dtype,
        is_uniform: false,
        is_strided: false,
    };
    let arity = func.params().len();
    let map = Map {
        func: &func,
        loads: func.param_dtypes().into_iter().enumerate().map(stream).collect(),
        stores: vec![stream((arity, func.result_dtypes()[0]))],
        abi: Abi::sized(1, arity + 1),
        axes: 1,
        writes: Writes::Plain,
        tile: None,
        next_row: Vec::new(),
    };
    select(&map).ok()
}
