//! Bytes: an assembly with its registers chosen, as machine code followed by its constants.
//!
//! In: an [`Assembly`]. Out: bytes that run at any address aligned to a cache line: branches and constants are relative, so
//! there is nothing for a linker to do. The calling convention is System V's.
//!
//! Blocks stand in their order. A block that only goes on to the next has no code; one that holds nothing but a jump is
//! skipped by those that go there.

use iced_x86::{Code, Encoder, IcedError, Instruction, OpKind, Register};
use regalloc2::{Allocation, Edit, InstOrEdit, Output, RegClass};

use super::MachineCode;
use super::alloc::{Kind, Program, SAVED};
use super::asm::{Arg, Assembly, BlockId, End, Inst, Reg};
use crate::codegen::CodegenError;

/// The machine code of an assembly for vectors of at most so many bytes, 32 or 64.
///
/// # Errors
/// An instruction that cannot be encoded, or more registers than there are.
pub(super) fn encode(assembly: &Assembly, vector_bytes: usize) -> Result<MachineCode, CodegenError> {
    let program = Program::new(assembly, vector_bytes);
    let output = program.allocate()?;
    let mut writer = Writer {
        encoder: Encoder::new(64),
        bytes: 0,
        vector_bytes,
        starts: vec![None; assembly.blocks.len()],
        branches: Vec::new(),
        constants: Vec::new(),
        frame: Frame::of(&program, &output),
    };
    writer
        .function(&program, &output)
        .map_err(|e| CodegenError::Encode(e.to_string()))?;
    Ok(writer.finish(assembly))
}

/// What a function needs on the stack.
struct Frame {
    /// Registers that belong to the caller.
    saved: Vec<usize>,
    /// Bytes of places for values that have no register.
    spills: usize,
}

impl Frame {
    fn of(program: &Program<'_>, output: &Output) -> Frame {
        let mut used = [false; 16];
        let edits = output
            .edits
            .iter()
            .flat_map(|(_, Edit::Move { from, to })| [*from, *to]);
        for allocation in output.allocs.iter().copied().chain(edits) {
            if let Some(reg) = allocation.as_reg().filter(|r| r.class() == RegClass::Int) {
                used[reg.hw_enc()] = true;
            }
        }
        debug_assert!(!program.steps.is_empty(), "every block has an end");
        Frame {
            saved: SAVED.into_iter().filter(|&r| used[r]).collect(),
            spills: (8 * output.num_spillslots).next_multiple_of(64),
        }
    }
}

struct Writer {
    encoder: Encoder,
    /// Bytes written.
    bytes: usize,
    vector_bytes: usize,
    starts: Vec<Option<usize>>,
    /// Where the distance to a block goes: the position after it, and the block.
    branches: Vec<(usize, BlockId)>,
    /// Where the distance to a constant goes: its position, the end of the instruction, and the constant.
    constants: Vec<(usize, usize, usize)>,
    frame: Frame,
}

impl Writer {
    fn function(&mut self, program: &Program<'_>, output: &Output) -> Result<(), IcedError> {
        self.enter()?;
        let order: Vec<BlockId> = (0..program.assembly.blocks.len() as u32).map(BlockId).collect();
        let empty: Vec<Option<BlockId>> = order.iter().map(|&block| goes_on(program, output, block)).collect();
        for (at, &block) in order.iter().enumerate() {
            if empty[block.index()].is_some() {
                continue;
            }
            self.starts[block.index()] = Some(self.bytes);
            let next = order[at + 1..].iter().copied().find(|b| empty[b.index()].is_none());
            let id = regalloc2::Block::new(block.index());
            for step in output.block_insts_and_edits(program, id) {
                match step {
                    InstOrEdit::Edit(Edit::Move { from, to }) => self.transfer(*from, *to)?,
                    InstOrEdit::Inst(number) => match program.steps[number.index()].kind {
                        Kind::Argument => {}
                        Kind::Inst(inst) => self.inst(inst, output.inst_allocs(number))?,
                        Kind::End(end) => self.end(end, next, &empty)?,
                    },
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, instruction: &Instruction) -> Result<(), IcedError> {
        self.bytes += self.encoder.encode(instruction, self.bytes as u64)?;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), IcedError> {
        if self.frame.spills > 0 {
            self.put(&Instruction::with1(Code::Push_r64, Register::RBP)?)?;
            self.put(&Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP)?)?;
        }
        for register in self.frame.saved.clone() {
            self.put(&Instruction::with1(Code::Push_r64, general(register))?)?;
        }
        if self.frame.spills > 0 {
            let bytes = self.frame.spills as i32 + 64;
            self.put(&Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, bytes)?)?;
            self.put(&Instruction::with2(Code::And_rm64_imm8, Register::RSP, -64)?)?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), IcedError> {
        self.put(&Instruction::with(Code::VEX_Vzeroupper))?;
        if self.frame.spills > 0 {
            let saved = -8 * self.frame.saved.len() as i64;
            let place = iced_x86::MemoryOperand::with_base_displ(Register::RBP, saved);
            self.put(&Instruction::with2(Code::Lea_r64_m, Register::RSP, place)?)?;
        }
        for register in self.frame.saved.clone().into_iter().rev() {
            self.put(&Instruction::with1(Code::Pop_r64, general(register))?)?;
        }
        if self.frame.spills > 0 {
            self.put(&Instruction::with1(Code::Pop_r64, Register::RBP)?)?;
        }
        self.put(&Instruction::with(Code::Retnq))
    }

    /// Leaves a block.
    fn end(&mut self, end: &End, next: Option<BlockId>, empty: &[Option<BlockId>]) -> Result<(), IcedError> {
        let real = |mut block: BlockId| {
            while let Some(on) = empty[block.index()] {
                block = on;
            }
            block
        };
        match end {
            End::Return => self.leave()?,
            End::Jump(to, _) => self.go(Code::Jmp_rel32_64, real(*to), next)?,
            End::Branch(condition, then, otherwise) => {
                self.go(*condition, real(*then), None)?;
                self.go(Code::Jmp_rel32_64, real(*otherwise), next)?;
            }
        }
        Ok(())
    }

    /// A jump, unless it goes to what comes next.
    fn go(&mut self, code: Code, to: BlockId, next: Option<BlockId>) -> Result<(), IcedError> {
        if Some(to) == next {
            return Ok(());
        }
        self.put(&Instruction::with_branch(code, self.bytes as u64)?)?;
        self.branches.push((self.bytes, to));
        Ok(())
    }

    fn inst(&mut self, inst: &Inst, allocations: &[Allocation]) -> Result<(), IcedError> {
        let mut allocations = allocations.iter();
        let mut name = |reg: &Reg| {
            allocations
                .next()
                .map_or(Register::None, |a| register(*a, reg.bytes as usize))
        };
        let mut instruction = Instruction::default();
        instruction.set_code(inst.code);
        let mut constant = None;
        for (i, arg) in inst.args.iter().enumerate() {
            let i = i as u32;
            match arg {
                Arg::Use(reg) | Arg::Def(reg) => instruction.set_op_register(i, name(reg)),
                Arg::Update { from, to } => {
                    name(from);
                    instruction.set_op_register(i, name(to));
                }
                Arg::Memory(memory) => {
                    instruction.set_op_kind(i, OpKind::Memory);
                    instruction.set_memory_base(name(&memory.base));
                    if let Some((index, scale)) = &memory.index {
                        instruction.set_memory_index(name(index));
                        instruction.set_memory_index_scale(*scale as u32);
                    }
                    instruction.set_memory_displacement64(memory.offset as i64 as u64);
                    // The encoder takes the short form where the offset fits.
                    instruction.set_memory_displ_size((memory.offset != 0) as u32);
                }
                Arg::Const(id) => {
                    constant = Some(id.index());
                    instruction.set_op_kind(i, OpKind::Memory);
                    instruction.set_memory_base(Register::RIP);
                    instruction.set_memory_displacement64(self.bytes as u64);
                    instruction.set_memory_displ_size(8);
                }
                Arg::Byte(value) => {
                    instruction.set_op_kind(i, OpKind::Immediate8);
                    instruction.set_immediate8(*value);
                }
                Arg::Word(value) => {
                    instruction.set_op_kind(i, OpKind::Immediate32to64);
                    instruction.set_immediate32to64(*value as i64);
                }
            }
        }
        if let Some((mask, zeroing)) = &inst.mask {
            instruction.set_op_mask(name(mask));
            instruction.set_zeroing_masking(*zeroing);
        }
        instruction.set_is_broadcast(inst.broadcast);
        let start = self.bytes;
        self.put(&instruction)?;
        if let Some(constant) = constant {
            let offset = self.encoder.get_constant_offsets().displacement_offset();
            self.constants.push((start + offset, self.bytes, constant));
        }
        Ok(())
    }

    /// A move between registers or places on the stack, as the allocator asks for it.
    fn transfer(&mut self, from: Allocation, to: Allocation) -> Result<(), IcedError> {
        if from == to {
            return Ok(());
        }
        let class = from.as_reg().or(to.as_reg()).map_or(RegClass::Int, |r| r.class());
        let wide = self.vector_bytes == 64;
        // Register to register or from memory, and to memory.
        let (load, store) = match class {
            RegClass::Int => (Code::Mov_r64_rm64, Code::Mov_rm64_r64),
            RegClass::Float if wide => (Code::EVEX_Vmovaps_zmm_k1z_zmmm512, Code::EVEX_Vmovaps_zmmm512_k1z_zmm),
            RegClass::Float => (Code::VEX_Vmovaps_ymm_ymmm256, Code::VEX_Vmovaps_ymmm256_ymm),
            RegClass::Vector => (Code::VEX_Kmovq_kr_km64, Code::VEX_Kmovq_m64_kr),
        };
        let bytes = self.vector_bytes;
        let place = |slot: regalloc2::SpillSlot| {
            iced_x86::MemoryOperand::with_base_displ(Register::RSP, 8 * slot.index() as i64)
        };
        let instruction = match (from.as_stack(), to.as_stack()) {
            (Some(slot), _) => Instruction::with2(load, register(to, bytes), place(slot))?,
            (_, Some(slot)) => Instruction::with2(store, place(slot), register(from, bytes))?,
            _ => Instruction::with2(load, register(to, bytes), register(from, bytes))?,
        };
        self.put(&instruction)
    }

    /// Fills in the distances, and puts the constants behind the code, each aligned to its size.
    fn finish(mut self, assembly: &Assembly) -> MachineCode {
        let mut code = self.encoder.take_buffer();
        for &(end, block) in &self.branches {
            let start = self.starts[block.index()].expect("a jump goes to a block with code");
            patch(&mut code, end - 4, end, start);
        }
        let instructions = code.len();
        let mut at = vec![0; assembly.constants.len()];
        for (bytes, at) in assembly.constants.iter().zip(&mut at) {
            code.resize(code.len().next_multiple_of(bytes.len().next_power_of_two().min(64)), 0);
            *at = code.len();
            code.extend_from_slice(bytes);
        }
        for &(position, end, constant) in &self.constants {
            patch(&mut code, position, end, at[constant]);
        }
        MachineCode {
            bytes: code,
            instructions,
        }
    }
}

/// Writes the distance from `end` to `to`.
fn patch(code: &mut [u8], position: usize, end: usize, to: usize) {
    let distance = (to as i64 - end as i64) as i32;
    code[position..position + 4].copy_from_slice(&distance.to_le_bytes());
}

/// The block that an otherwise empty block goes on to.
fn goes_on(program: &Program<'_>, output: &Output, block: BlockId) -> Option<BlockId> {
    let End::Jump(to, _) = &program.assembly.blocks[block.index()].end else {
        return None;
    };
    let id = regalloc2::Block::new(block.index());
    let mut steps = output.block_insts_and_edits(program, id);
    let only_jump = steps.all(|step| match step {
        InstOrEdit::Edit(Edit::Move { from, to }) => from == to,
        InstOrEdit::Inst(number) => matches!(program.steps[number.index()].kind, Kind::End(_)),
    });
    (only_jump && block.index() != 0).then_some(*to)
}

fn general(name: usize) -> Register {
    Register::RAX + name as u32
}

/// The name of a register by class and width.
fn register(allocation: Allocation, bytes: usize) -> Register {
    let Some(reg) = allocation.as_reg() else {
        return Register::None;
    };
    let first = match (reg.class(), bytes) {
        // Low bytes: those of the first four registers, of which the encoder's list has the second bytes next, then all others.
        (RegClass::Int, 1) if reg.hw_enc() >= 4 => Register::SPL - 4,
        (RegClass::Int, 1) => Register::AL,
        (RegClass::Int, 2) => Register::AX,
        (RegClass::Int, 4) => Register::EAX,
        (RegClass::Int, _) => Register::RAX,
        (RegClass::Float, 16) => Register::XMM0,
        (RegClass::Float, 32) => Register::YMM0,
        (RegClass::Float, _) => Register::ZMM0,
        (RegClass::Vector, _) => Register::K0,
    };
    first + reg.hw_enc() as u32
}
