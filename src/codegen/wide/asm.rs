//! Machine code over virtual registers: blocks of instructions whose registers are yet to be chosen.
//!
//! In: instructions from the selection. Out: [`Assembly`], which [`alloc`](super::alloc) gives registers and
//! [`encode`](super::encode) turns into bytes.
//!
//! Invariants: a virtual register is written once ([`Arg::Update`] reads one and writes another); a block that a branch goes
//! to has no other predecessor, so moves between blocks have a place of their own.

use iced_x86::Code;
use regalloc2::{PReg, RegClass, VReg};
use smallvec::SmallVec;

/// A virtual register and how much of it an instruction names: 8 bytes of a general register, 16 to 64 of a vector, 0 for a
/// mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reg {
    pub(super) vreg: VReg,
    pub(super) bytes: u8,
}

impl Reg {
    /// The same register, named by another width.
    pub(super) fn as_bytes(self, bytes: usize) -> Reg {
        Reg {
            bytes: bytes as u8,
            ..self
        }
    }
}

/// A memory operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) base: Reg,
    /// A register and the factor it is multiplied with: 1, 2, 4 or 8.
    pub(super) index: Option<(Reg, u8)>,
    pub(super) offset: i32,
}

/// The index of a constant in the pool behind the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConstId(u32);

impl ConstId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An operand, in the place where the instruction has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    Use(Reg),
    Def(Reg),
    /// A register that holds `from` before and `to` after.
    Update {
        from: Reg,
        to: Reg,
    },
    Memory(Memory),
    /// A constant in memory.
    Const(ConstId),
    Byte(u8),
    Word(i32),
}

/// One instruction.
#[derive(Clone, Debug)]
pub(super) struct Inst {
    pub(super) code: Code,
    pub(super) args: SmallVec<[Arg; 4]>,
    /// The lanes it works on, and whether the others become zero; otherwise they stay as [`Arg::Update`] found them.
    pub(super) mask: Option<(Reg, bool)>,
    /// Whether its memory operand is one element for all lanes.
    pub(super) broadcast: bool,
}

impl Inst {
    pub(super) fn new(code: Code, args: &[Arg]) -> Inst {
        Inst {
            code,
            args: SmallVec::from_slice(args),
            mask: None,
            broadcast: false,
        }
    }

    /// The instruction on the lanes of a mask alone, where the others become zero.
    pub(super) fn zeroing(mut self, mask: Reg) -> Inst {
        self.mask = Some((mask, true));
        self
    }

    /// The instruction on the lanes of a mask alone, where the others stay.
    pub(super) fn merging(mut self, mask: Reg) -> Inst {
        self.mask = Some((mask, false));
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockId(pub(super) u32);

impl BlockId {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a block ends.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// To a block, with values for its parameters.
    Jump(BlockId, SmallVec<[Reg; 4]>),
    /// To the first of two blocks if the flags fulfil the condition of this jump, else to the second.
    Branch(Code, BlockId, BlockId),
    Return,
}

/// Straight-line code.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) params: SmallVec<[Reg; 4]>,
    pub(super) insts: Vec<Inst>,
    pub(super) end: End,
}

/// A function: blocks in the order in which they will stand, and constants.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) blocks: Vec<Block>,
    pub(super) registers: usize,
    pub(super) constants: Vec<Vec<u8>>,
    /// The argument, and the register it comes in.
    pub(super) argument: (Reg, PReg),
    /// Where an iteration of the main loop begins, if there is one.
    pub(super) main: Option<BlockId>,
    current: BlockId,
}

/// The register of the first argument in the System V calling convention.
const RDI: PReg = PReg::new(7, RegClass::Int);

impl Assembly {
    /// A function of one argument, at the beginning of its first block.
    pub(super) fn new() -> Assembly {
        let argument = Reg {
            vreg: VReg::new(0, RegClass::Int),
            bytes: 8,
        };
        let mut assembly = Assembly {
            blocks: Vec::new(),
            registers: 1,
            constants: Vec::new(),
            argument: (argument, RDI),
            main: None,
            current: BlockId(0),
        };
        assembly.block(&[]);
        assembly
    }

    /// A new block; its parameters are new registers.
    pub(super) fn block(&mut self, params: &[Reg]) -> BlockId {
        self.blocks.push(Block {
            params: SmallVec::from_slice(params),
            insts: Vec::new(),
            end: End::Return,
        });
        BlockId(self.blocks.len() as u32 - 1)
    }

    /// The block that instructions go to.
    pub(super) fn current(&self) -> BlockId {
        self.current
    }

    /// Makes instructions go to a block.
    pub(super) fn switch_to(&mut self, block: BlockId) {
        self.current = block;
    }

    pub(super) fn push(&mut self, inst: Inst) {
        self.blocks[self.current.index()].insts.push(inst);
    }

    pub(super) fn emit(&mut self, code: Code, args: &[Arg]) {
        self.push(Inst::new(code, args));
    }

    /// Ends the current block by going to another.
    pub(super) fn jump(&mut self, to: BlockId, args: &[Reg]) {
        self.blocks[self.current.index()].end = End::Jump(to, SmallVec::from_slice(args));
    }

    /// Ends the current block: goes to `then` where the flags fulfil the condition of a jump, and goes on in a new block where
    /// they do not. The block in between that makes room for moves is made here.
    pub(super) fn branch(&mut self, condition: Code, then: BlockId, args: &[Reg]) {
        let (edge, next) = (self.block(&[]), self.block(&[]));
        self.blocks[self.current.index()].end = End::Branch(condition, edge, next);
        self.switch_to(edge);
        self.jump(then, args);
        self.switch_to(next);
    }

    /// Puts the blocks in reverse postorder, in which each comes after one that goes to it; of two successors, the one without a
    /// jump comes next. Blocks that nothing goes to are left out.
    pub(super) fn order_blocks(&mut self) {
        let successors = |end: &End| -> SmallVec<[BlockId; 2]> {
            match end {
                End::Jump(to, _) => SmallVec::from_slice(&[*to]),
                End::Branch(_, then, otherwise) => SmallVec::from_slice(&[*then, *otherwise]),
                End::Return => SmallVec::new(),
            }
        };
        let mut seen = vec![false; self.blocks.len()];
        let mut order = Vec::with_capacity(self.blocks.len());
        let mut stack = vec![(BlockId(0), 0)];
        seen[0] = true;
        while let Some((block, next)) = stack.pop() {
            let Some(&to) = successors(&self.blocks[block.index()].end).get(next) else {
                order.push(block);
                continue;
            };
            stack.push((block, next + 1));
            if !std::mem::replace(&mut seen[to.index()], true) {
                stack.push((to, 0));
            }
        }
        order.reverse();
        let mut renamed = vec![BlockId(0); self.blocks.len()];
        for (new, old) in order.iter().enumerate() {
            renamed[old.index()] = BlockId(new as u32);
        }
        self.main = self.main.map(|block| renamed[block.index()]);
        let mut blocks: Vec<Option<Block>> = std::mem::take(&mut self.blocks).into_iter().map(Some).collect();
        for old in order {
            let Some(mut block) = blocks[old.index()].take() else {
                continue;
            };
            match &mut block.end {
                End::Jump(to, _) => *to = renamed[to.index()],
                End::Branch(_, then, otherwise) => {
                    *then = renamed[then.index()];
                    *otherwise = renamed[otherwise.index()];
                }
                End::Return => {}
            }
            self.blocks.push(block);
        }
    }

    fn register(&mut self, class: RegClass, bytes: usize) -> Reg {
        self.registers += 1;
        Reg {
            vreg: VReg::new(self.registers - 1, class),
            bytes: bytes as u8,
        }
    }

    pub(super) fn general(&mut self) -> Reg {
        self.register(RegClass::Int, 8)
    }

    pub(super) fn vector(&mut self, bytes: usize) -> Reg {
        self.register(RegClass::Float, bytes)
    }

    pub(super) fn mask(&mut self) -> Reg {
        self.register(RegClass::Vector, 0)
    }

    /// A register of the same kind.
    pub(super) fn like(&mut self, reg: Reg) -> Reg {
        self.register(reg.vreg.class(), reg.bytes as usize)
    }

    /// A constant in the pool.
    pub(super) fn constant(&mut self, bytes: Vec<u8>) -> ConstId {
        let at = self.constants.iter().position(|c| *c == bytes);
        ConstId(at.unwrap_or_else(|| {
            self.constants.push(bytes);
            self.constants.len() - 1
        }) as u32)
    }
}
