//! The micro-kernels of a matrix product, in vectors of 16, 32 or 64 bytes.
//!
//! In: the shape of a tile, and the [`block`](super::block) it is in. Out: the instructions that compute it.
//!
//! A micro-kernel keeps a tile of accumulators in registers over the contracted axis. A step loads the tile's columns of one
//! row of `right`, and for each row of the tile broadcasts an element of `left` and adds its products to that row's
//! accumulators. Rows are reached from one pointer, by multiples of the distance between them: with 1, 3, 5, 7 … times that
//! distance in registers, the scales of an addressing mode make all others.
//!
//! Vectors of 64 bytes have masks, and then the last tile may have fewer columns. Accumulators are loaded and stored by masks
//! in any case; rows of `right` only where columns are missing, as that takes a unit from the multiply-adds.

use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register};
use loopweave_ir::Dtype;

use super::block::Places;
use crate::codegen::abi::BlockWord;

pub(super) const ARGS: Register = Register::RDI;
pub(super) const LEFT: Register = Register::RAX;
const LEFT_STEP: Register = Register::RCX;
const RIGHT: Register = Register::R8;
const RIGHT_STEP: Register = Register::R9;
const DEPTH: Register = Register::R10;
/// 1, 3, 5 … times the distance between rows; also that between rows of the accumulators, before and after the loop.
const ROWS: [Register; 8] = [
    Register::RDX,
    Register::RSI,
    Register::R11,
    Register::RBX,
    Register::RBP,
    Register::R12,
    Register::R13,
    Register::R15,
];
/// The number of columns, where there are masks, and of rows; free for the pointers to rows before and after.
pub(super) const COUNT: Register = Register::R8;
/// Bytes from the row of `right` at work to the one that is prefetched.
const AHEAD: Register = Register::R14;
/// Those of them that belong to the caller.
const SAVED: [Register; 6] = [
    Register::RBX,
    Register::RBP,
    Register::R12,
    Register::R13,
    Register::R15,
    AHEAD,
];
/// Elements of the contracted axis from which on prefetching pays.
const PREFETCH_DEPTH: i32 = 256;
/// Rows of `right` further apart than this are prefetched: the processor does not see from one which is next. In GFLOP/s at
/// one thread in f32 on Sapphire Rapids, 16 × 1024 × 1024 without / with: 55 / 82. Of packed rows it costs 3 %.
const FAR_BYTES: i32 = 2048;
/// How many rows ahead.
const ROWS_AHEAD: i32 = 12;
/// Steps per iteration of the loop.
const UNROLL: i32 = 2;
/// The most rows that have an address.
pub(super) const MOST_ROWS: usize = 2 * ROWS.len();

/// The instructions of one dtype and width.
pub(super) struct Set {
    load: Code,
    store: Code,
    /// Whether loads and stores take a mask.
    masks: bool,
    broadcast: Code,
    multiply_add: MultiplyAdd,
    first: Register,
}

/// How a product comes to a sum.
#[derive(Clone, Copy)]
enum MultiplyAdd {
    Fused(Code),
    /// As integers do: the product goes to a register of its own, the last one.
    Apart {
        multiply: Code,
        add: Code,
    },
}

impl Set {
    pub(super) fn of(dtype: Dtype, width: usize) -> Set {
        let (load, store, first) = match (width, dtype.size()) {
            // A bit of a mask stands for an element of the instruction's.
            (64, 4) => (
                Code::EVEX_Vmovups_zmm_k1z_zmmm512,
                Code::EVEX_Vmovups_zmmm512_k1z_zmm,
                Register::ZMM0,
            ),
            (64, _) => (
                Code::EVEX_Vmovupd_zmm_k1z_zmmm512,
                Code::EVEX_Vmovupd_zmmm512_k1z_zmm,
                Register::ZMM0,
            ),
            (32, _) => (
                Code::VEX_Vmovups_ymm_ymmm256,
                Code::VEX_Vmovups_ymmm256_ymm,
                Register::YMM0,
            ),
            _ => (
                Code::VEX_Vmovups_xmm_xmmm128,
                Code::VEX_Vmovups_xmmm128_xmm,
                Register::XMM0,
            ),
        };
        let broadcast = match (dtype.size(), width) {
            (4, 64) => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            (4, 32) => Code::VEX_Vbroadcastss_ymm_m32,
            (4, _) => Code::VEX_Vbroadcastss_xmm_m32,
            (_, 64) => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            (_, 32) => Code::VEX_Vbroadcastsd_ymm_m64,
            (_, _) => Code::VEX_Vmovddup_xmm_xmmm64,
        };
        let apart = |multiply, add| MultiplyAdd::Apart { multiply, add };
        let multiply_add = match (dtype, width) {
            (Dtype::F32, 64) => MultiplyAdd::Fused(Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er),
            (Dtype::F32, 32) => MultiplyAdd::Fused(Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256),
            (Dtype::F32, _) => MultiplyAdd::Fused(Code::VEX_Vfmadd231ps_xmm_xmm_xmmm128),
            (Dtype::F64, 64) => MultiplyAdd::Fused(Code::EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er),
            (Dtype::F64, 32) => MultiplyAdd::Fused(Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256),
            (Dtype::F64, _) => MultiplyAdd::Fused(Code::VEX_Vfmadd231pd_xmm_xmm_xmmm128),
            (Dtype::I64 | Dtype::U64, _) => apart(
                Code::EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64,
                Code::EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
            ),
            (_, 64) => apart(
                Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
                Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
            ),
            (_, _) => apart(Code::VEX_Vpmulld_ymm_ymm_ymmm256, Code::VEX_Vpaddd_ymm_ymm_ymmm256),
        };
        Set {
            load,
            store,
            masks: width == 64,
            broadcast,
            multiply_add,
            first,
        }
    }

    /// The vector registers that there are.
    pub(super) fn registers(&self) -> usize {
        if self.masks { 32 } else { 16 }
    }

    /// Registers that products take beside sums, columns and elements.
    pub(super) fn product_registers(&self) -> usize {
        matches!(self.multiply_add, MultiplyAdd::Apart { .. }).into()
    }

    fn register(&self, index: usize) -> Register {
        self.first + index as u32
    }

    /// A register of zeros: a write to the low part clears the rest, which the registers above 15 need another encoding for.
    fn zero(&self, index: usize) -> Result<Instruction, IcedError> {
        if index < 16 {
            let low = Register::XMM0 + index as u32;
            Instruction::with3(Code::VEX_Vxorps_xmm_xmm_xmmm128, low, low, low)
        } else {
            let whole = self.register(index);
            Instruction::with3(Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, whole, whole, whole)
        }
    }
}

/// Where rows of `right` are: near each other, or so far apart that they are prefetched. Where columns are missing, so many
/// vectors of them have any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Near,
    Far,
    Partial(usize),
}

/// The code of a block under construction. Branches go to labels: the address that the first instruction after one is given.
pub(super) struct Block {
    pub(super) set: Set,
    /// Bytes and elements of a vector.
    pub(super) width: usize,
    pub(super) lanes: usize,
    /// The most rows of a tile, and its vectors of columns.
    pub(super) rows: usize,
    pub(super) vectors: usize,
    pub(super) places: Places,
    pub(super) code: Vec<Instruction>,
    pub(super) labels: u64,
}

impl Block {
    /// One tile of so many rows, where the cursors are.
    pub(super) fn tile(&mut self, rows: usize) -> Result<(), IcedError> {
        self.masks()?;
        self.start(rows)?;
        self.prefetch(rows)?;
        for (register, word) in [
            (LEFT, BlockWord::Left),
            (LEFT_STEP, BlockWord::LeftStep),
            (RIGHT, BlockWord::RightAt),
            (RIGHT_STEP, BlockWord::RightStep),
        ] {
            self.word(register, word)?;
        }
        self.row_distances(BlockWord::LeftRow, rows)?;

        let (far, end) = (self.label(), self.label());
        let counts = 1..=if self.set.masks { self.vectors } else { 0 };
        let partial: Vec<(usize, u64)> = counts.map(|vectors| (vectors, self.label())).collect();
        for &(vectors, label) in &partial {
            let most = vectors * self.lanes - (vectors == self.vectors) as usize;
            self.compare(BlockWord::ColumnsAt, most as i32)?;
            self.push(Instruction::with_branch(Code::Jle_rel32_64, label)?);
        }
        self.push(Instruction::with2(Code::Cmp_rm64_imm32, RIGHT_STEP, FAR_BYTES)?);
        self.push(Instruction::with_branch(Code::Jg_rel32_64, far)?);
        self.steps(Right::Near, rows, end)?;
        self.push(Instruction::with_branch(Code::Jmp_rel32_64, end)?);
        self.place(far);
        self.push(Instruction::with3(
            Code::Imul_r64_rm64_imm32,
            AHEAD,
            RIGHT_STEP,
            ROWS_AHEAD,
        )?);
        self.steps(Right::Far, rows, end)?;
        for (vectors, label) in partial {
            self.push(Instruction::with_branch(Code::Jmp_rel32_64, end)?);
            self.place(label);
            self.steps(Right::Partial(vectors), rows, end)?;
        }
        self.place(end);

        self.word(LEFT, BlockWord::ToAt)?;
        self.row_distances(BlockWord::ToRow, rows)?;
        for row in 0..rows {
            for vector in 0..self.vectors {
                let to = self.address(LEFT, row, vector * self.width);
                let store = Instruction::with2(self.set.store, to, self.sum(row, vector))?;
                self.push_masked(store, vector);
            }
        }
        Ok(())
    }

    /// A mask for each vector of columns, of those that there are.
    fn masks(&mut self) -> Result<(), IcedError> {
        if !self.set.masks {
            return Ok(());
        }
        // The instruction looks at the low byte of the count alone.
        self.word(COUNT, BlockWord::ColumnsAt)?;
        self.push(Instruction::with2(Code::Mov_rm64_imm32, LEFT, 64)?);
        self.push(Instruction::with2(Code::Cmp_r64_rm64, COUNT, LEFT)?);
        self.push(Instruction::with2(Code::Cmovg_r64_rm64, COUNT, LEFT)?);
        self.push(Instruction::with2(Code::Mov_rm64_imm32, LEFT, -1)?);
        self.push(Instruction::with3(Code::VEX_Bzhi_r64_rm64_r64, LEFT, LEFT, COUNT)?);
        self.push(Instruction::with2(Code::VEX_Kmovq_kr_r64, mask(0), LEFT)?);
        for vector in 1..self.vectors {
            let (from, lanes) = (mask(vector - 1), self.lanes as u32);
            self.push(Instruction::with3(
                Code::VEX_Kshiftrq_kr_kr_imm8,
                mask(vector),
                from,
                lanes,
            )?);
        }
        Ok(())
    }

    /// An instruction under the mask of a vector of columns, if there are masks; a load then clears what it does not load.
    fn push_masked(&mut self, mut instruction: Instruction, vector: usize) {
        if self.set.masks {
            instruction.set_op_mask(mask(vector));
            instruction.set_zeroing_masking(instruction.code() == self.set.load);
        }
        self.push(instruction);
    }

    /// The accumulators: zeros, or what the words say.
    fn start(&mut self, rows: usize) -> Result<(), IcedError> {
        if self.places.in_place {
            return self.zeros(rows);
        }
        let (zeros, started) = (self.label(), self.label());
        self.compare(BlockWord::From, 0)?;
        self.push(Instruction::with_branch(Code::Je_rel32_64, zeros)?);
        self.word(LEFT, BlockWord::FromAt)?;
        self.row_distances(BlockWord::FromRow, rows)?;
        for row in 0..rows {
            for vector in 0..self.vectors {
                let from = self.address(LEFT, row, vector * self.width);
                let to = self.sum(row, vector);
                let load = Instruction::with2(self.set.load, to, from)?;
                self.push_masked(load, vector);
            }
        }
        self.push(Instruction::with_branch(Code::Jmp_rel32_64, started)?);
        self.place(zeros);
        self.zeros(rows)?;
        self.place(started);
        Ok(())
    }

    fn zeros(&mut self, rows: usize) -> Result<(), IcedError> {
        for sum in 0..rows * self.vectors {
            let zero = self.set.zero(sum)?;
            self.push(zero);
        }
        Ok(())
    }

    /// Where the results go, to write, and where those of the next tile to the right do, which may start from what is there. Over
    /// few elements of the contracted axis there is no time to wait for them, and they are near: 1 % at 1024³, 2 % at 2048³.
    fn prefetch(&mut self, rows: usize) -> Result<(), IcedError> {
        let few = self.label();
        self.word(DEPTH, BlockWord::Depth)?;
        self.push(Instruction::with2(Code::Cmp_rm64_imm32, DEPTH, PREFETCH_DEPTH)?);
        self.push(Instruction::with_branch(Code::Jl_rel32_64, few)?);
        let (ahead, row) = match self.places.in_place {
            true => (BlockWord::ToAt, BlockWord::ToRow),
            false => (BlockWord::AheadAt, BlockWord::AheadRow),
        };
        self.word(LEFT, ahead)?;
        self.row_distances(row, rows)?;
        let bytes = self.vectors * self.width;
        for row in 0..rows {
            for line in (0..bytes).step_by(64) {
                let to = self.address(LEFT, row, line);
                self.push(Instruction::with1(Code::Prefetchw_m8, to)?);
                let next = self.address(LEFT, row, bytes + line);
                self.push(Instruction::with1(Code::Prefetcht0_m8, next)?);
            }
        }
        self.place(few);
        Ok(())
    }

    /// The loop over the contracted axis, which leaves to a label or falls through.
    fn steps(&mut self, right: Right, rows: usize, end: u64) -> Result<(), IcedError> {
        let (steps, rest) = (self.label(), self.label());
        self.push(Instruction::with2(Code::Sub_rm64_imm8, DEPTH, UNROLL)?);
        self.push(Instruction::with_branch(Code::Jl_rel32_64, rest)?);
        self.place(steps);
        for _ in 0..UNROLL {
            self.step(right, rows)?;
        }
        self.push(Instruction::with2(Code::Sub_rm64_imm8, DEPTH, UNROLL)?);
        self.push(Instruction::with_branch(Code::Jge_rel32_64, steps)?);
        self.place(rest);
        self.push(Instruction::with2(Code::Add_rm64_imm8, DEPTH, UNROLL)?);
        self.push(Instruction::with_branch(Code::Jle_rel32_64, end)?);
        let last = match right {
            Right::Near | Right::Far => Right::Near,
            Right::Partial(vectors) => Right::Partial(vectors),
        };
        self.step(last, rows)
    }

    /// One element of the contracted axis.
    fn step(&mut self, right: Right, rows: usize) -> Result<(), IcedError> {
        let sums = rows * self.vectors;
        let spare = self.set.registers() - sums - self.vectors - self.set.product_registers();
        let vectors = match right {
            Right::Near | Right::Far => self.vectors,
            Right::Partial(vectors) => vectors,
        };
        for vector in 0..vectors {
            if right == Right::Far {
                let ahead = memory(RIGHT, AHEAD, 1, vector * self.width);
                self.push(Instruction::with1(Code::Prefetcht0_m8, ahead)?);
            }
            let from = memory(RIGHT, Register::None, 1, vector * self.width);
            let column = self.set.register(sums + vector);
            let load = Instruction::with2(self.set.load, column, from)?;
            match right {
                Right::Partial(vectors) if vector + 1 == vectors => self.push_masked(load, vector),
                _ => self.push(load),
            }
        }
        for row in 0..rows {
            let from = self.address(LEFT, row, 0);
            if vectors == 1 && self.set.masks {
                // What is used once is broadcast by its use.
                let (sum, column) = (self.sum(row, 0), self.set.register(sums));
                self.multiply_add(sum, |code, to| {
                    let mut multiply = Instruction::with3(code, to, column, from)?;
                    multiply.set_is_broadcast(true);
                    Ok(multiply)
                })?;
                continue;
            }
            let element = self.set.register(sums + self.vectors + row % spare.min(4));
            self.push(Instruction::with2(self.set.broadcast, element, from)?);
            for vector in 0..vectors {
                let (sum, column) = (self.sum(row, vector), self.set.register(sums + vector));
                self.multiply_add(sum, |code, to| Instruction::with3(code, to, element, column))?;
            }
        }
        self.push(Instruction::with2(Code::Add_r64_rm64, LEFT, LEFT_STEP)?);
        self.push(Instruction::with2(Code::Add_r64_rm64, RIGHT, RIGHT_STEP)?);
        Ok(())
    }

    /// Adds a product to a sum, by the instruction of this code which multiplies into the register it is given.
    fn multiply_add(
        &mut self,
        sum: Register,
        multiply: impl FnOnce(Code, Register) -> Result<Instruction, IcedError>,
    ) -> Result<(), IcedError> {
        match self.set.multiply_add {
            MultiplyAdd::Fused(code) => self.push(multiply(code, sum)?),
            MultiplyAdd::Apart { multiply: code, add } => {
                let product = self.set.register(self.set.registers() - 1);
                self.push(multiply(code, product)?);
                self.push(Instruction::with3(add, sum, sum, product)?);
            }
        }
        Ok(())
    }

    /// The odd multiples, below a number of rows, of the distance that a word holds.
    fn row_distances(&mut self, word: BlockWord, rows: usize) -> Result<(), IcedError> {
        self.word(ROWS[0], word)?;
        for odd in 1..(rows / 2).max(1) {
            let twice = memory(ROWS[odd - 1], ROWS[0], 2, 0);
            self.push(Instruction::with2(Code::Lea_r64_m, ROWS[odd], twice)?);
        }
        Ok(())
    }

    /// The address of a row, some bytes on.
    fn address(&self, base: Register, row: usize, offset: usize) -> MemoryOperand {
        if row == 0 {
            return memory(base, Register::None, 1, offset);
        }
        let scale = 1 << row.trailing_zeros();
        memory(base, ROWS[row / scale / 2], scale as u32, offset)
    }

    fn sum(&self, row: usize, vector: usize) -> Register {
        self.set.register(row * self.vectors + vector)
    }

    /// Loads an argument.
    pub(super) fn word(&mut self, register: Register, word: BlockWord) -> Result<(), IcedError> {
        let from = self.places.of(word);
        self.push(Instruction::with2(Code::Mov_r64_rm64, register, from)?);
        Ok(())
    }

    /// Stores a word.
    pub(super) fn put(&mut self, register: Register, word: BlockWord) -> Result<(), IcedError> {
        let to = self.places.of(word);
        self.push(Instruction::with2(Code::Mov_rm64_r64, to, register)?);
        Ok(())
    }

    pub(super) fn compare(&mut self, word: BlockWord, with: i32) -> Result<(), IcedError> {
        let what = self.places.of(word);
        self.push(Instruction::with2(Code::Cmp_rm64_imm8, what, with)?);
        Ok(())
    }

    /// The caller's registers that the code needs.
    pub(super) fn saved(&self) -> Vec<Register> {
        let used = &ROWS[..(self.rows / 2).max(1)];
        let is_used = |register: &Register| *register == AHEAD || used.contains(register);
        SAVED.into_iter().filter(is_used).collect()
    }

    pub(super) fn label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    /// Gives the next instruction the address of a label.
    pub(super) fn place(&mut self, label: u64) {
        let mut here = Instruction::with(Code::Zero_bytes);
        here.set_ip(label);
        self.code.push(here);
    }

    pub(super) fn push(&mut self, instruction: Instruction) {
        self.code.push(instruction);
    }
}

/// The mask of a vector of columns: a tile has up to four.
fn mask(vector: usize) -> Register {
    Register::K1 + vector as u32
}

/// A memory operand; the short form of its displacement is chosen where it fits.
pub(super) fn memory(base: Register, index: Register, scale: u32, offset: usize) -> MemoryOperand {
    let size = if offset == 0 { 0 } else { 1 };
    MemoryOperand::new(base, index, scale, offset as i64, size, false, Register::None)
}
