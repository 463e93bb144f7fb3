//! Registers: each virtual register of an assembly gets real ones, or a place on the stack.
//!
//! In: an [`Assembly`]. Out: `regalloc2`'s choice, beside the instructions in the order in which it numbered them.

use std::cell::RefCell;
use std::mem;

use regalloc2::{
    Block as Id, Ctx, Function, Inst as Number, InstRange, MachineEnv, Operand, Output, PReg, PRegSet, RegClass,
    RegallocOptions, VReg, run_with_ctx,
};
use smallvec::SmallVec;

use super::asm::{Arg, Assembly, End, Inst};
use crate::codegen::CodegenError;

/// An assembly as the allocator sees it: instructions numbered through, with one at the start that brings in the argument
/// and one at the end of each block that leaves it.
pub(super) struct Program<'a> {
    pub(super) assembly: &'a Assembly,
    pub(super) steps: Vec<Step<'a>>,
    ranges: Vec<InstRange>,
    params: Vec<Vec<VReg>>,
    successors: Vec<SmallVec<[Id; 2]>>,
    predecessors: Vec<SmallVec<[Id; 4]>>,
    jumps: Vec<Vec<VReg>>,
    vector_bytes: usize,
}

/// What stands at one number.
pub(super) struct Step<'a> {
    pub(super) kind: Kind<'a>,
    operands: SmallVec<[Operand; 6]>,
}

pub(super) enum Kind<'a> {
    Argument,
    Inst(&'a Inst),
    End(&'a End),
}

impl<'a> Program<'a> {
    pub(super) fn new(assembly: &'a Assembly, vector_bytes: usize) -> Program<'a> {
        let blocks = &assembly.blocks;
        let mut program = Program {
            assembly,
            steps: Vec::with_capacity(blocks.iter().map(|b| b.insts.len() + 1).sum::<usize>() + 1),
            ranges: Vec::with_capacity(blocks.len()),
            params: blocks
                .iter()
                .map(|b| b.params.iter().map(|r| r.vreg).collect())
                .collect(),
            successors: vec![SmallVec::new(); blocks.len()],
            predecessors: vec![SmallVec::new(); blocks.len()],
            jumps: vec![Vec::new(); blocks.len()],
            vector_bytes,
        };
        for (id, block) in blocks.iter().enumerate() {
            let first = Number::new(program.steps.len());
            if id == 0 {
                let (argument, place) = assembly.argument;
                program.steps.push(Step {
                    kind: Kind::Argument,
                    operands: SmallVec::from_slice(&[Operand::reg_fixed_def(argument.vreg, place)]),
                });
            }
            program.steps.extend(block.insts.iter().map(|inst| Step {
                kind: Kind::Inst(inst),
                operands: operands(inst),
            }));
            program.steps.push(Step {
                kind: Kind::End(&block.end),
                operands: SmallVec::new(),
            });
            program
                .ranges
                .push(InstRange::new(first, Number::new(program.steps.len())));
            match &block.end {
                End::Jump(to, args) => {
                    program.successors[id].push(Id::new(to.index()));
                    program.jumps[id] = args.iter().map(|r| r.vreg).collect();
                }
                End::Branch(_, then, otherwise) => {
                    program.successors[id].push(Id::new(then.index()));
                    program.successors[id].push(Id::new(otherwise.index()));
                }
                End::Return => {}
            }
            for to in &program.successors[id] {
                program.predecessors[to.index()].push(Id::new(id));
            }
        }
        program
    }

    /// Chooses registers.
    ///
    /// # Errors
    /// More values that must be in registers at once than there are.
    pub(super) fn allocate(&self) -> Result<Output, CodegenError> {
        let env = environment(self.vector_bytes);
        let output = CONTEXT.with_borrow_mut(|context| {
            let done = run_with_ctx(self, &env, &RegallocOptions::default(), context);
            done.map(drop).map(|()| mem::take(&mut context.output))
        });
        let output = output.map_err(|e| CodegenError::Encode(format!("registers: {e}")))?;
        #[cfg(test)]
        {
            let mut checker = regalloc2::checker::Checker::new(self, &env);
            checker.prepare(&output);
            checker.run().expect("every use finds its value");
        }
        Ok(output)
    }
}

thread_local! {
    /// The allocator's tables, which it clears before it uses them: making them takes a good part of a small function's time.
    static CONTEXT: RefCell<Ctx> = RefCell::default();
}

/// The operands of an instruction for the allocator, in the order in which the encoder asks for them again: those of the
/// arguments, then the mask.
fn operands(inst: &Inst) -> SmallVec<[Operand; 6]> {
    let mut operands = SmallVec::new();
    for arg in &inst.args {
        match arg {
            Arg::Use(reg) => operands.push(Operand::reg_use(reg.vreg)),
            Arg::Def(reg) => operands.push(Operand::reg_def(reg.vreg)),
            Arg::Update { from, to } => {
                operands.push(Operand::reg_use(from.vreg));
                operands.push(Operand::reg_reuse_def(to.vreg, operands.len() - 1));
            }
            Arg::Memory(memory) => {
                operands.push(Operand::reg_use(memory.base.vreg));
                operands.extend(memory.index.map(|(index, _)| Operand::reg_use(index.vreg)));
            }
            Arg::Const(_) | Arg::Byte(_) | Arg::Word(_) => {}
        }
    }
    operands.extend(inst.mask.map(|(mask, _)| Operand::reg_use(mask.vreg)));
    operands
}

/// General registers that belong to the caller; `rbp` and `rsp` keep the frame.
pub(super) const SAVED: [usize; 5] = [3, 12, 13, 14, 15];

/// The registers there are: of general ones those that need not be saved first; of vectors 16, or 32 with AVX-512, which
/// also has masks, of which the first cannot be one.
fn environment(vector_bytes: usize) -> MachineEnv {
    let set = |class, names: &mut dyn Iterator<Item = usize>| {
        names.fold(PRegSet::empty(), |set, name| set.with(PReg::new(name, class)))
    };
    let vectors = if vector_bytes == 64 { 32 } else { 16 };
    let masks = if vector_bytes == 64 { 8 } else { 1 };
    MachineEnv {
        preferred_regs_by_class: [
            set(RegClass::Int, &mut [0, 1, 2, 6, 7, 8, 9, 10, 11].into_iter()),
            set(RegClass::Float, &mut (0..vectors)),
            set(RegClass::Vector, &mut (1..masks)),
        ],
        non_preferred_regs_by_class: [
            set(RegClass::Int, &mut SAVED.into_iter()),
            PRegSet::empty(),
            PRegSet::empty(),
        ],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

impl Function for Program<'_> {
    fn num_insts(&self) -> usize {
        self.steps.len()
    }

    fn num_blocks(&self) -> usize {
        self.ranges.len()
    }

    fn entry_block(&self) -> Id {
        Id::new(0)
    }

    fn block_insns(&self, block: Id) -> InstRange {
        self.ranges[block.index()]
    }

    fn block_succs(&self, block: Id) -> &[Id] {
        &self.successors[block.index()]
    }

    fn block_preds(&self, block: Id) -> &[Id] {
        &self.predecessors[block.index()]
    }

    fn block_params(&self, block: Id) -> &[VReg] {
        &self.params[block.index()]
    }

    fn is_ret(&self, inst: Number) -> bool {
        matches!(self.steps[inst.index()].kind, Kind::End(End::Return))
    }

    fn is_branch(&self, inst: Number) -> bool {
        matches!(
            self.steps[inst.index()].kind,
            Kind::End(End::Jump(..) | End::Branch(..))
        )
    }

    fn branch_blockparams(&self, block: Id, _: Number, _: usize) -> &[VReg] {
        &self.jumps[block.index()]
    }

    fn inst_operands(&self, inst: Number) -> &[Operand] {
        &self.steps[inst.index()].operands
    }

    fn inst_clobbers(&self, _: Number) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.assembly.registers
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        match class {
            RegClass::Float => self.vector_bytes / 8,
            RegClass::Int | RegClass::Vector => 1,
        }
    }
}
