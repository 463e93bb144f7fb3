//! The reference emitter: nests as Cranelift IR with vectors of 128 bits, for every target.
//!
//! In: a nest and a target. Out: the functions of its kernel, defined in a module: [`define`]; or their text: [`print()`].
//!
//! [`mod@emit`] has the loops around a leaf, [`map`] and [`reduce`] the leaves (the latter with [`lanes`] and [`across`] for its
//! two orders), [`rows`] several of both, [`body`] the evaluation of a function on lanes,
//! [`op`], [`cast`] and [`scalar`] the ops, [`memory`] loads and stores.

mod emit;

mod map;

mod reduce;

mod across;
mod lanes;

mod rows;
mod turn;

mod elements;
mod tree;

mod finish;
mod matmul;
mod panel;

mod body;

mod cast;
mod lookup;
mod op;
mod scalar;

mod memory;
mod micro;
mod value;

mod bound;

use std::time::{Duration, Instant};

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{FuncId, Linkage, Module, ModuleError, ModuleReloc, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use loopweave_ir::Dtype;
use loopweave_ir::expand::lower_storage_casts;

use self::emit::Emitter;
use self::reduce::Wide;
use crate::codegen::CodegenError;
use crate::codegen::bound::{LoopKind, VectorLoop};
use crate::codegen::wide::{self, MachineCode};
use crate::nest::{Leaf, MatMul, Nest, Order};
use crate::target::{Placement, Target};

/// A kernel in a module.
#[derive(Clone, Copy, Debug)]
pub struct Defined {
    /// The function that is called; it calls the others.
    pub main: FuncId,
    /// Bytes of machine code.
    pub size: usize,
    /// How long it took to make Cranelift IR of the nest.
    pub emit: Duration,
}

/// What [`print()`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Cranelift IR, as emitted.
    Ir,
    /// The target's instructions.
    Assembly,
}

/// A function that is emitted but not yet compiled.
struct Emitted {
    id: FuncId,
    symbol: String,
    code: Code,
}

/// What a function is compiled from.
enum Code {
    /// Cranelift IR, and whether its instructions stay where they were emitted.
    Ir(Box<Context>, InOrder),
    /// Machine code without relocations.
    Bytes(MachineCode),
}

/// Whether the instructions of a function stay in the order in which they were emitted, and the code generator's optimiser leaves
/// them alone.
///
/// Some code needs that. In the micro-kernel of a matrix product the optimiser would bring all of a step's loads before its
/// arithmetic, and they do not fit the registers. In a map of many constants it would hold them all across the loop, on the stack,
/// and move them about where a branch is. Loops around functions of the wide emitter have nothing to gain: without the optimiser
/// they compile in three quarters of the time and run as fast.
type InOrder = bool;

/// Defines the functions of a nest's kernel: `symbol`, and what that calls.
///
/// # Errors
/// A nest with ops that are not basic or types that are missing, which no lowering makes; a frame too large for a thread's
/// stack; and whatever the code generator or the module refuses.
pub fn define(module: &mut dyn Module, nest: &Nest, target: &Target, symbol: &str) -> Result<Defined, CodegenError> {
    let start = Instant::now();
    let mut functions = emit(module, nest, target, symbol)?;
    let emit = start.elapsed();
    let mut size = 0;
    for function in &mut functions {
        define_function(module, target, function)?;
        size += match &function.code {
            Code::Ir(context, _) => context
                .compiled_code()
                .map_or(0, |code| code.code_info().total_size as usize),
            Code::Bytes(code) => code.bytes.len(),
        };
    }
    Ok(Defined {
        main: functions[0].id,
        size,
        emit,
    })
}

/// The text of the functions of a nest's kernel, in the order of their definition.
///
/// # Errors
/// As [`define`].
pub fn print(nest: &Nest, target: &Target, form: Form) -> Result<String, CodegenError> {
    let isa = target.isa(Placement::Object)?;
    let builder = ObjectBuilder::new(isa, "print", default_libcall_names()).map_err(|e| failed("print", e))?;
    let mut module = ObjectModule::new(builder);
    let mut text = String::new();
    for mut function in emit(&mut module, nest, target, "kernel")? {
        if let Code::Ir(context, _) = &mut function.code {
            context.set_disasm(true);
        }
        if form == Form::Assembly {
            define_function(&mut module, target, &mut function)?;
        }
        let code = match (&function.code, form) {
            (Code::Ir(context, _), Form::Ir) => context.func.to_string(),
            (Code::Ir(context, _), Form::Assembly) => {
                let code = context.compiled_code().and_then(|code| code.vcode.clone());
                code.unwrap_or_default()
            }
            (Code::Bytes(bytes), Form::Ir) => format!("; {} bytes of machine code\n", bytes.bytes.len()),
            (Code::Bytes(bytes), Form::Assembly) => wide::disassemble(bytes),
        };
        text += &format!("; {}\n{code}\n", function.symbol);
    }
    Ok(text)
}

/// Compiles a function into a module.
fn define_function(module: &mut dyn Module, target: &Target, function: &mut Emitted) -> Result<(), CodegenError> {
    let Emitted { id, symbol, code } = function;
    let (context, in_order) = match code {
        Code::Ir(context, in_order) => (context, *in_order),
        Code::Bytes(bytes) => {
            return module
                .define_function_bytes(*id, wide::ALIGNMENT, &bytes.bytes, &[])
                .map_err(|e| failed(symbol, e));
        }
    };
    if !in_order {
        return module.define_function(*id, context).map_err(|e| failed(symbol, e));
    }
    let placement = match module.isa().flags().is_pic() {
        true => Placement::Object,
        false => Placement::Jit,
    };
    let isa = target.isa_in_order(placement)?;
    let compiled = context.compile(&*isa, &mut ControlPlane::default());
    let code = compiled.map_err(|e| failed(symbol, ModuleError::Compilation(e.inner)))?;
    let alignment = (code.buffer.alignment as u64)
        .max(isa.function_alignment().minimum as u64)
        .max(isa.symbol_alignment());
    let code = context.compiled_code().expect("it was compiled");
    let relocations = code.buffer.relocs().iter();
    let relocations: Vec<ModuleReloc> = relocations
        .map(|relocation| ModuleReloc::from_mach_reloc(relocation, &context.func, *id))
        .collect();
    module
        .define_function_bytes(*id, alignment, code.code_buffer(), &relocations)
        .map_err(|e| failed(symbol, e))
}

/// Emits the functions of a nest: `main`, then what it calls.
fn emit(module: &mut dyn Module, nest: &Nest, target: &Target, symbol: &str) -> Result<Vec<Emitted>, CodegenError> {
    if let Leaf::Map { map, loads, stores } = &nest.leaf {
        let axes = nest.axes.len().min(2);
        if let Some(leaf) = wide::map(nest, axes, map, loads, stores, Vec::new(), target)? {
            return match nest.turned_side() {
                Some(side) => turned_map(module, nest, side, symbol, leaf.encode()?),
                None => wide_leaf(module, nest, axes, symbol, leaf.encode()?),
            };
        }
    }
    if let Leaf::MatMul(product) = &nest.leaf
        && let Some(operands) = product.operands_in_place(nest)
    {
        let code = wide::product_in_place(nest, product, operands)?;
        return wide_leaf(module, nest, 3, symbol, code);
    }
    let mut parts = Vec::new();
    let wide = match &nest.leaf {
        Leaf::Map { .. } => Vec::new(),
        leaf => wide_stages(module, nest, leaf.stages(), target, symbol, &mut parts)?,
    };
    let nest = &lower(nest, target)?;
    let mut tiles = None;
    if let Leaf::MatMul(product) = &nest.leaf {
        let functions = block_tiles(module, nest, product, target, symbol)?;
        tiles = functions.first().map(|tiles| tiles.id);
        parts.extend(functions);
    }
    let has_many_constants = |stage: &Leaf| matches!(stage, Leaf::Map { map, .. } if body::has_many_constants(map));
    let in_order = match &nest.leaf {
        Leaf::MatMul(_) => true,
        leaf if leaf.stages().iter().any(has_many_constants) => true,
        Leaf::Map { .. } => false,
        Leaf::Reduce(_) | Leaf::Rows(_) => wide.iter().all(Wide::is_whole),
    };
    let main = function(module, nest, symbol.to_owned(), in_order, |e| match &nest.leaf {
        Leaf::Map { map, loads, stores } => {
            let pointers = e.pointers();
            e.nest_loops(&pointers, &mut |e, pointers| e.map_leaf(map, loads, stores, pointers))
        }
        Leaf::Reduce(reduce) => e.reduction(reduce, &wide[0]),
        Leaf::MatMul(product) => {
            let pointers = e.pointers();
            e.nest_loops(&pointers, &mut |e, pointers| {
                let tiles = tiles.expect("a product has them");
                e.matmul_leaf(product, tiles, &wide[0], pointers)
            })
        }
        Leaf::Rows(rows) => e.rows_leaf(rows, &wide),
    })?;
    parts.insert(0, main);
    Ok(parts)
}

/// The vector loops of a nest's code, one for each stage: as the emitter makes them that makes the code.
///
/// # Errors
/// As [`define`].
pub fn vector_loops(nest: &Nest, target: &Target) -> Result<Vec<VectorLoop>, CodegenError> {
    let loops = nest.leaf.stages().iter();
    loops.map(|stage| vector_loop(nest, stage, target)).collect()
}

fn vector_loop(nest: &Nest, stage: &Leaf, target: &Target) -> Result<VectorLoop, CodegenError> {
    let (kind, leaf) = match stage {
        Leaf::Map { map, loads, stores } => {
            let leaf = wide::map(nest, 1, map, loads, stores, Vec::new(), target)?;
            (LoopKind::Map, leaf)
        }
        Leaf::Reduce(reduce) if nest.is_across() => {
            let rows = across::rows_at_once(reduce, &reduce.next());
            let leaf = wide::strip(nest, reduce, rows, target)?;
            (LoopKind::Strip { rows: rows as u32 }, leaf)
        }
        Leaf::Reduce(reduce) => {
            let lanes = match reduce.order {
                Order::Lanes { lanes, .. } => lanes,
                Order::Chain { .. } => nest.vector.lanes,
            };
            (LoopKind::Fold { lanes }, wide::fold(nest, reduce, Vec::new(), target)?)
        }
        Leaf::MatMul(product) => return Ok(bound::product(product, target)),
        Leaf::Rows(_) => (LoopKind::Map, None),
    };
    Ok(match leaf {
        Some(leaf) => leaf.main_loop(kind, target.microarchitecture()),
        None => bound::main_loop(nest, stage, kind, target),
    })
}

/// The functions of the wide emitter for the stages of a leaf, for as many as it takes; they are added to `parts`.
fn wide_stages(
    module: &mut dyn Module,
    nest: &Nest,
    stages: &[Leaf],
    target: &Target,
    symbol: &str,
    parts: &mut Vec<Emitted>,
) -> Result<Vec<Wide>, CodegenError> {
    let mut all = Vec::with_capacity(stages.len());
    for (i, stage) in stages.iter().enumerate() {
        let mut part = |name: &str, leaf: Option<wide::Leaf>| {
            let Some(leaf) = leaf else { return Ok(None) };
            let part = machine_code(module, format!("{symbol}_{name}{i}"), leaf.encode()?)?;
            let id = part.id;
            parts.push(part);
            Ok::<_, CodegenError>(Some(id))
        };
        let mut wide = Wide::default();
        match stage {
            Leaf::Map { map, loads, stores } => {
                let next_row = wide::next_rows(nest, i);
                let axes = rows::map_axes(nest);
                wide.map = part("map", wide::map(nest, axes, map, loads, stores, next_row, target)?)?;
            }
            Leaf::Reduce(reduce) if !nest.is_across() => {
                // Elements that several axes make are packed first.
                if nest.reduced().count() == 1 {
                    let next_row = wide::next_rows(nest, i);
                    wide.fold = part("fold", wide::fold(nest, reduce, next_row, target)?)?;
                }
            }
            Leaf::Reduce(reduce) => {
                let mut counts = vec![across::rows_at_once(reduce, &reduce.next()), 1, 0];
                counts.dedup();
                for rows in counts {
                    let Some(id) = part(&format!("rows{rows}_"), wide::strip(nest, reduce, rows, target)?)? else {
                        break;
                    };
                    wide.strips.push((rows, id));
                }
            }
            // Tiles that go to the output as they are need none.
            Leaf::MatMul(product) if product.masks_columns() && product.direct_store(nest).is_some() => {}
            Leaf::MatMul(product) => {
                wide.map = part("epilogue", wide::epilogue(nest, product, target)?)?;
            }
            Leaf::Rows(_) => {}
        }
        all.push(wide);
    }
    Ok(all)
}

/// The functions of a nest whose last axes, `axes` of them, are the machine code of the wide emitter: that alone, or loops
/// around it.
fn wide_leaf(
    module: &mut dyn Module,
    nest: &Nest,
    axes: usize,
    symbol: &str,
    code: MachineCode,
) -> Result<Vec<Emitted>, CodegenError> {
    if nest.axes.len() == axes {
        return Ok(vec![machine_code(module, symbol.to_owned(), code)?]);
    }
    let inner = machine_code(module, format!("{symbol}_inner"), code)?;
    let main = function(module, nest, symbol.to_owned(), true, |e| {
        let pointers = e.pointers();
        let outer: Vec<usize> = (0..nest.axes.len() - axes).collect();
        let outer = e.with_extents(&outer);
        let block = e.inner_block(axes);
        e.outer_loops(&outer, &pointers, &mut |e, pointers| {
            e.call_inner(inner.id, &block, pointers);
            Ok(())
        })
    })?;
    Ok(vec![main, inner])
}

/// The functions of a map some of whose operands lie across: loops over tiles of the last two axes, in which those operands are
/// turned into a buffer before the wide emitter's code reads them from there.
fn turned_map(
    module: &mut dyn Module,
    nest: &Nest,
    side: usize,
    symbol: &str,
    code: MachineCode,
) -> Result<Vec<Emitted>, CodegenError> {
    let inner = machine_code(module, format!("{symbol}_inner"), code)?;
    let mut functions = vec![inner];
    let mut turns: Vec<(usize, FuncId)> = Vec::new();
    for (operand, size) in turn::across(nest) {
        if turns.iter().all(|(known, _)| *known != size) {
            let turn = machine_code(module, format!("{symbol}_turn{operand}"), wide::turn(size, side)?)?;
            turns.push((size, turn.id));
            functions.push(turn);
        }
    }
    let inner = functions[0].id;
    let main = function(module, nest, symbol.to_owned(), true, |e| {
        e.turned_map(inner, &turns, side)
    })?;
    functions.insert(0, main);
    Ok(functions)
}

/// The function over the tiles of a block of a product, and then what it calls.
fn block_tiles(
    module: &mut dyn Module,
    nest: &Nest,
    product: &MatMul,
    target: &Target,
    symbol: &str,
) -> Result<Vec<Emitted>, CodegenError> {
    let name = format!("{symbol}_tiles");
    if wide::has_tiles(product, target) {
        return Ok(vec![machine_code(module, name, wide::block_tiles(product)?)?]);
    }
    let (mut ids, mut functions) = (Vec::new(), Vec::new());
    for rows in micro::row_counts(product.tile.rows) {
        let kernel = function(module, nest, format!("{symbol}_tile{rows}"), true, |e| {
            e.micro_kernel(product, rows)
        })?;
        ids.push((rows, kernel.id));
        functions.push(kernel);
    }
    let tiles = function(module, nest, name, true, |e| e.block_tiles(product, &ids))?;
    functions.insert(0, tiles);
    Ok(functions)
}

/// Declares a function that takes an argument block, and is made of these bytes.
fn machine_code(module: &mut dyn Module, symbol: String, code: MachineCode) -> Result<Emitted, CodegenError> {
    let id = declare(module, &symbol)?;
    let code = Code::Bytes(code);
    Ok(Emitted { id, symbol, code })
}

/// Declares a function that takes an argument block.
fn declare(module: &mut dyn Module, symbol: &str) -> Result<FuncId, CodegenError> {
    let mut signature = module.make_signature();
    signature.params.push(AbiParam::new(types::I64));
    module
        .declare_function(symbol, Linkage::Export, &signature)
        .map_err(|e| failed(symbol, e))
}

/// The nest with conversions of storage floats written as bit operations, which every target has, and with scalar code
/// where the target has no vectors.
fn lower(nest: &Nest, target: &Target) -> Result<Nest, CodegenError> {
    let mut nest = nest.clone();
    if target.vector_bytes() == 0 {
        nest.vector.lanes = 1;
    }
    for func in nest.leaf.functions_mut() {
        let mut types = func.nodes().iter().map(|n| n.dtype);
        if types.any(|dtype| dtype.is_some_and(Dtype::is_storage_only)) {
            *func = lower_storage_casts(func)?;
        } else if !func.is_typed() {
            let func = func.name().to_owned();
            return Err(CodegenError::Untyped { func });
        }
    }
    Ok(nest)
}

/// Declares a function that takes an argument block, and emits its code.
fn function(
    module: &mut dyn Module,
    nest: &Nest,
    symbol: String,
    in_order: InOrder,
    emit: impl FnOnce(&mut Emitter<'_>) -> Result<(), CodegenError>,
) -> Result<Emitted, CodegenError> {
    let mut context = module.make_context();
    context.func.signature.params.push(AbiParam::new(types::I64));
    let id = declare(module, &symbol)?;
    let mut frontend = FunctionBuilderContext::new();
    let builder = FunctionBuilder::new(&mut context.func, &mut frontend);
    let mut emitter = Emitter::new(builder, nest, module);
    emit(&mut emitter)?;
    emitter.finish();
    let code = Code::Ir(Box::new(context), in_order);
    Ok(Emitted { id, symbol, code })
}

/// An error of the code generator's, on the function of this name.
fn failed(symbol: &str, source: ModuleError) -> CodegenError {
    CodegenError::Module {
        symbol: symbol.to_owned(),
        source: Box::new(source),
    }
}
