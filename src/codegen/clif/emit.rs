//! The emitter: a Cranelift function under construction, with the loops and arguments that every leaf is made of.
//!
//! In: calls of the leaves. Out: Cranelift IR.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, FuncRef, InstBuilder, MemFlagsData, Signature, StackSlot, StackSlotData, StackSlotKind,
    Type, Value, types,
};
use cranelift_frontend::FunctionBuilder;
use cranelift_module::{FuncId, Linkage, Module};
use loopweave_ir::Dtype;
use smallvec::SmallVec;
use target_lexicon::Architecture;

use super::lookup::Lookups;
use super::value::scalar_type;
use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::Nest;

/// The type of pointers, extents and indices.
pub(super) const WORD: Type = types::I64;

/// Stack that one function may use: a small part of a thread's.
const STACK_LIMIT: usize = 1 << 20;

/// Values that a loop carries around.
pub(super) type Carried = SmallVec<[Value; 8]>;

/// What stands inside of loops: given the pointers of all operands.
type Leaf<'l, E> = dyn FnMut(&mut E, &[Value]) -> Result<(), CodegenError> + 'l;

/// The argument block of a function over a nest's last axes.
#[derive(Clone, Copy)]
pub(super) struct InnerBlock {
    abi: Abi,
    address: Value,
}

/// A function under construction.
pub(super) struct Emitter<'a> {
    pub(super) b: FunctionBuilder<'a>,
    pub(super) nest: &'a Nest,
    pub(super) module: &'a mut dyn Module,
    abi: Abi,
    /// The pointer to the argument block.
    pub(super) args: Value,
    library: HashMap<&'static str, FuncRef>,
    pub(super) lookups: Lookups,
    /// What the stages of rows use on the stack, one after the other.
    shared: Option<StackSlot>,
    /// Whether vectors are loaded as integers.
    ///
    /// The code generator puts loads into comparisons of floats, and without AVX those fault on what is not aligned to 16 bytes.
    /// It leaves loads of integers alone, as other instructions with that limit.
    pub(super) loads_integers: bool,
}

impl<'a> Emitter<'a> {
    /// An emitter at the beginning of a function that takes an argument block.
    pub(super) fn new(mut b: FunctionBuilder<'a>, nest: &'a Nest, module: &'a mut dyn Module) -> Emitter<'a> {
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let args = b.block_params(entry)[0];
        let isa = module.isa();
        let has_avx = || {
            isa.isa_flags()
                .iter()
                .any(|flag| flag.name == "has_avx" && flag.as_bool() == Some(true))
        };
        let loads_integers = isa.triple().architecture == Architecture::X86_64 && !has_avx();
        Emitter {
            b,
            nest,
            module,
            abi: Abi::of(nest),
            args,
            library: HashMap::new(),
            lookups: Lookups::new(),
            shared: None,
            loads_integers,
        }
    }

    /// The address of a function of the module.
    pub(super) fn address_of(&mut self, func: FuncId) -> Value {
        let func = self.module.declare_func_in_func(func, self.b.func);
        // A relative call may not reach: the loader puts functions where there is room.
        self.b.func.dfg.ext_funcs[func].colocated = false;
        self.b.ins().func_addr(WORD, func)
    }

    /// Calls the function at an address with an argument block.
    pub(super) fn call_at(&mut self, address: Value, args: Value) {
        let signature = self.b.func.signature.clone();
        let signature = self.b.import_signature(signature);
        self.b.ins().call_indirect(signature, address, &[args]);
    }

    /// Whether the code is for an x86-64 machine.
    pub(super) fn is_x86_64(&self) -> bool {
        self.module.isa().triple().architecture == Architecture::X86_64
    }

    /// Ends the function.
    pub(super) fn finish(mut self) {
        self.b.ins().return_(&[]);
        self.b.seal_all_blocks();
        self.b.finalize(self.module.target_config());
    }

    /// The extent of an axis.
    pub(super) fn extent(&mut self, axis: usize) -> Value {
        self.argument(self.abi.extent(axis))
    }

    /// The distance in bytes between an operand's neighbours along an axis.
    pub(super) fn stride(&mut self, operand: usize, axis: usize) -> Value {
        self.argument(self.abi.stride(operand, axis))
    }

    /// The pointers to all operands' elements at index 0.
    pub(super) fn pointers(&mut self) -> Carried {
        (0..self.nest.operands.len())
            .map(|operand| self.argument(self.abi.pointer(operand)))
            .collect()
    }

    /// A word of the argument block.
    pub(super) fn argument(&mut self, word: usize) -> Value {
        // The launcher's array is aligned to its words, and no operand overlaps it.
        self.b
            .ins()
            .load(WORD, MemFlagsData::trusted(), self.args, 8 * word as i32)
    }

    /// A constant word.
    pub(super) fn word(&mut self, value: i64) -> Value {
        self.b.ins().iconst(WORD, value)
    }

    /// Refuses arrays on the stack of more bytes than a function may use.
    pub(super) fn limit_stack(&self, bytes: usize) -> Result<(), CodegenError> {
        if bytes <= STACK_LIMIT {
            return Ok(());
        }
        Err(CodegenError::Stack {
            nest: self.nest.name.clone(),
            bytes,
            limit: STACK_LIMIT,
        })
    }

    /// Room on the stack that all who ask for it use in turn: arrays of these lengths, one after the other.
    ///
    /// # Errors
    /// More bytes than a function may use.
    pub(super) fn shared_stack(&mut self, bytes: impl Iterator<Item = usize>) -> Result<Vec<Value>, CodegenError> {
        let mut end = 0;
        let starts: Vec<usize> = bytes
            .map(|bytes| {
                let start = end;
                end += bytes.next_multiple_of(64);
                start
            })
            .collect();
        self.limit_stack(end)?;
        let slot = *self.shared.get_or_insert_with(|| {
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 6);
            self.b.create_sized_stack_slot(slot)
        });
        let room = &mut self.b.func.sized_stack_slots[slot].size;
        *room = (*room).max(end as u32);
        let at = |start: usize| self.b.ins().stack_addr(WORD, slot, start as i32);
        Ok(starts.into_iter().map(at).collect())
    }

    /// An array on the stack, aligned to a cache line: its address.
    pub(super) fn stack(&mut self, bytes: usize) -> Value {
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 6);
        let slot = self.b.create_sized_stack_slot(slot);
        self.b.ins().stack_addr(WORD, slot, 0)
    }

    /// A block with parameters of these types.
    pub(super) fn block(&mut self, params: impl IntoIterator<Item = Type>) -> Block {
        let block = self.b.create_block();
        for ty in params {
            self.b.append_block_param(block, ty);
        }
        block
    }

    /// Goes to a block.
    pub(super) fn jump(&mut self, to: Block, args: &[Value]) {
        let args = block_args(args);
        self.b.ins().jump(to, &args);
    }

    /// Goes to one of two blocks.
    pub(super) fn branch(&mut self, condition: Value, then: (Block, &[Value]), otherwise: (Block, &[Value])) {
        let (then_args, else_args) = (block_args(then.1), block_args(otherwise.1));
        self.b
            .ins()
            .brif(condition, then.0, &then_args, otherwise.0, &else_args);
    }

    /// `start < end` as signed numbers.
    pub(super) fn less(&mut self, start: Value, end: Value) -> Value {
        self.b.ins().icmp(IntCC::SignedLessThan, start, end)
    }

    /// Emits `then` for when the condition holds.
    pub(super) fn when(
        &mut self,
        condition: Value,
        then: impl FnOnce(&mut Self) -> Result<(), CodegenError>,
    ) -> Result<(), CodegenError> {
        let (inside, after) = (self.block([]), self.block([]));
        self.branch(condition, (inside, &[]), (after, &[]));
        self.b.switch_to_block(inside);
        then(self)?;
        self.jump(after, &[]);
        self.b.switch_to_block(after);
        Ok(())
    }

    /// A loop `for i = start; i < end; i += step` that carries values around. Gives the first `i` not below `end`, and the
    /// values after the last iteration.
    pub(super) fn for_range(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        carried: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Result<Carried, CodegenError>,
    ) -> Result<(Value, Carried), CodegenError> {
        self.loop_while(start, end, carried, |e, i, carried| {
            let left = body(e, i, carried)?;
            Ok((e.b.ins().iadd_imm_s(i, step), left))
        })
    }

    /// A loop `while at < end` whose body gives the next `at`, beside the values it carries around. Gives what they are
    /// after the last iteration.
    pub(super) fn loop_while(
        &mut self,
        start: Value,
        end: Value,
        carried: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Result<(Value, Carried), CodegenError>,
    ) -> Result<(Value, Carried), CodegenError> {
        let types: Vec<Type> = std::iter::once(WORD)
            .chain(carried.iter().map(|&v| self.b.func.dfg.value_type(v)))
            .collect();
        let (inside, after) = (self.block(types.iter().copied()), self.block(types));
        let entering: Carried = std::iter::once(start).chain(carried.iter().copied()).collect();
        // The test stands at the end of the body too, so that an iteration takes one branch.
        let any = self.less(start, end);
        self.branch(any, (inside, &entering), (after, &entering));
        self.b.switch_to_block(inside);
        let params: Carried = self.b.block_params(inside).iter().copied().collect();
        let (next, left) = body(self, params[0], &params[1..])?;
        let leaving: Carried = std::iter::once(next).chain(left).collect();
        let again = self.less(next, end);
        self.branch(again, (inside, &leaving), (after, &leaving));
        self.b.switch_to_block(after);
        let params: Carried = self.b.block_params(after).iter().copied().collect();
        Ok((params[0], params[1..].iter().copied().collect()))
    }

    /// As [`Emitter::for_range`], with the test in a block of its own. Each value that is carried around then has one use at the
    /// end of the body, without which the code generator would not fold loads into the instructions that made it.
    pub(super) fn for_range_folding(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        carried: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Result<Carried, CodegenError>,
    ) -> Result<(Value, Carried), CodegenError> {
        let types = carried.iter().map(|&v| self.b.func.dfg.value_type(v));
        let types: Vec<Type> = std::iter::once(WORD).chain(types).collect();
        let (test, inside, after) = (self.block(types), self.block([]), self.block([]));
        let entering: Carried = std::iter::once(start).chain(carried.iter().copied()).collect();
        self.jump(test, &entering);
        self.b.switch_to_block(test);
        let params: Carried = self.b.block_params(test).iter().copied().collect();
        let again = self.less(params[0], end);
        self.branch(again, (inside, &[]), (after, &[]));
        self.b.switch_to_block(inside);
        let left = body(self, params[0], &params[1..])?;
        let next = self.b.ins().iadd_imm_s(params[0], step);
        let leaving: Carried = std::iter::once(next).chain(left).collect();
        self.jump(test, &leaving);
        self.b.switch_to_block(after);
        Ok((params[0], params[1..].iter().copied().collect()))
    }

    /// The nest's outer loops around `leaf`, which gets the pointers of all operands.
    pub(super) fn nest_loops(&mut self, pointers: &[Value], leaf: &mut Leaf<'_, Self>) -> Result<(), CodegenError> {
        let axes: Vec<usize> = self.nest.outer().map(|axis| axis.index()).collect();
        let axes = self.with_extents(&axes);
        self.outer_loops(&axes, pointers, leaf)
    }

    /// Axes with their extents, as [`Emitter::outer_loops`] takes them.
    pub(super) fn with_extents(&mut self, axes: &[usize]) -> Vec<(usize, Value)> {
        axes.iter().map(|&axis| (axis, self.extent(axis))).collect()
    }

    /// Plain loops over some axes and their extents, in order, around `leaf`, which gets the pointers of all operands.
    pub(super) fn outer_loops(
        &mut self,
        axes: &[(usize, Value)],
        pointers: &[Value],
        leaf: &mut Leaf<'_, Self>,
    ) -> Result<(), CodegenError> {
        let Some((&(axis, end), inner)) = axes.split_first() else {
            return leaf(self, pointers);
        };
        let start = self.word(0);
        self.for_range(start, end, 1, pointers, |e, _, pointers| {
            e.outer_loops(inner, pointers, leaf)?;
            Ok(e.advance(pointers, axis))
        })?;
        Ok(())
    }

    /// An argument block for a function over the nest's last axes, with their extents and the distances along them.
    pub(super) fn inner_block(&mut self, axes: usize) -> InnerBlock {
        let abi = Abi::inner(self.nest, axes);
        let (address, first) = (self.stack(8 * abi.len()), self.nest.axes.len() - axes);
        for axis in 0..axes {
            let extent = self.extent(first + axis);
            self.store_word(extent, address, abi.extent(axis));
            for operand in 0..self.nest.operands.len() {
                let stride = self.stride(operand, first + axis);
                self.store_word(stride, address, abi.stride(operand, axis));
            }
        }
        InnerBlock { abi, address }
    }

    /// An argument block for functions along the vector axis.
    pub(super) fn row_block(&mut self) -> InnerBlock {
        self.inner_block(Abi::row(self.nest).axes())
    }

    /// An argument block that calls fill: of one axis by [`Emitter::call_row`].
    pub(super) fn empty_block(&mut self, abi: Abi) -> InnerBlock {
        let address = self.stack(8 * abi.len());
        InnerBlock { abi, address }
    }

    /// Calls a function along the vector axis, of `n` elements, with operands at these pointers.
    pub(super) fn call_row(&mut self, func: FuncId, block: &InnerBlock, pointers: &[Value], n: Value) {
        self.store_word(n, block.address, block.abi.vector_extent());
        self.call_inner(func, block, pointers);
    }

    /// Says in an argument block where the fold of a block leaves its values.
    pub(super) fn set_results(&mut self, block: &InnerBlock, results: Value) {
        self.store_word(results, block.address, Abi::SCRATCH);
    }

    /// Sets a word of an argument block; gives its address.
    pub(super) fn set_word(&mut self, block: &InnerBlock, word: usize, value: Value) -> Value {
        self.store_word(value, block.address, word);
        self.b.ins().iadd_imm_s(block.address, 8 * word as i64)
    }

    /// Calls the fold of a block: `m` elements from the position `origin` on, where the pointers stand.
    pub(super) fn call_fold(&mut self, func: FuncId, block: &InnerBlock, pointers: &[Value], origin: Value, m: Value) {
        self.store_word(origin, block.address, Abi::FIRST_BLOCK);
        self.call_row(func, block, pointers, m);
    }

    /// Sets the extent of an axis of an argument block.
    pub(super) fn set_extent(&mut self, block: &InnerBlock, axis: usize, extent: Value) {
        self.store_word(extent, block.address, block.abi.extent(axis));
    }

    /// Sets the distance between an operand's neighbours along an axis of an argument block.
    pub(super) fn set_stride(&mut self, block: &InnerBlock, operand: usize, axis: usize, stride: Value) {
        self.store_word(stride, block.address, block.abi.stride(operand, axis));
    }

    /// Calls a function over the nest's last axes with the operands at these pointers.
    pub(super) fn call_inner(&mut self, func: FuncId, block: &InnerBlock, pointers: &[Value]) {
        for (operand, &pointer) in pointers.iter().enumerate() {
            self.store_word(pointer, block.address, block.abi.pointer(operand));
        }
        let func = self.address_of(func);
        self.call_at(func, block.address);
    }

    /// Stores a word of an argument block.
    pub(super) fn store_word(&mut self, value: Value, block: Value, word: usize) {
        self.b
            .ins()
            .store(MemFlagsData::trusted(), value, block, 8 * word as i32);
    }

    /// The pointers moved by one along an axis.
    pub(super) fn advance(&mut self, pointers: &[Value], axis: usize) -> Carried {
        pointers
            .iter()
            .enumerate()
            .map(|(operand, &pointer)| {
                let stride = self.stride(operand, axis);
                self.b.ins().iadd(pointer, stride)
            })
            .collect()
    }

    /// A call of a libm function on floats of one type.
    pub(super) fn call_library(
        &mut self,
        name: &'static str,
        dtype: Dtype,
        args: &[Value],
    ) -> Result<Value, CodegenError> {
        let func = match self.library.get(name) {
            Some(&func) => func,
            None => {
                let mut signature = Signature::new(self.module.target_config().default_call_conv);
                signature.params = vec![AbiParam::new(scalar_type(dtype)); args.len()];
                signature.returns = vec![AbiParam::new(scalar_type(dtype))];
                let id = self
                    .module
                    .declare_function(name, Linkage::Import, &signature)
                    .map_err(|e| super::failed(name, e))?;
                let func = self.module.declare_func_in_func(id, self.b.func);
                self.library.insert(name, func);
                func
            }
        };
        let call = self.b.ins().call(func, args);
        Ok(self.b.inst_results(call)[0])
    }
}

fn block_args(values: &[Value]) -> SmallVec<[BlockArg; 8]> {
    values.iter().copied().map(BlockArg::from).collect()
}
