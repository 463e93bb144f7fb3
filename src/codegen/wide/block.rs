//! The loops over the tiles of a block of a matrix product, around its micro-kernels.
//!
//! In: a tile's shape, and where the arguments are: with the interface of [`BlockWord`], or of a nest's whole product. Out:
//! machine code in the System V calling convention.
//!
//! There is a micro-kernel for each number of rows, so that the rows of a block are parted into nearly equal numbers. Row panels
//! are the outer loop: that of `left` is in the first-level cache for all columns.

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, IcedError, Instruction, InstructionBlock, MemoryOperand, Register,
};
use loopweave_ir::Dtype;

use super::MachineCode;
use super::tile::{ARGS, Block, COUNT, LEFT, MOST_ROWS, Set, memory};
use crate::codegen::CodegenError;
use crate::codegen::abi::{Abi, BlockWord};
use crate::nest::OperandId;
use crate::nest::matmul::Tile;

/// Words of the function's own, and the arguments that they start from in each row panel; the last are in blocks only.
const CURSORS: [(BlockWord, BlockWord); 5] = [
    (BlockWord::ColumnsAt, BlockWord::Columns),
    (BlockWord::RightAt, BlockWord::Right),
    (BlockWord::ToAt, BlockWord::To),
    (BlockWord::AheadAt, BlockWord::Ahead),
    (BlockWord::FromAt, BlockWord::From),
];

/// Which words of the argument block the arguments are.
pub(super) struct Places {
    words: [usize; BlockWord::COUNT],
    /// Whether they are those of a whole product in place, whose tiles start from zeros and are the results, and whose column
    /// panels of `right` are neighbours: there are no words that say so.
    pub(super) in_place: bool,
}

impl Places {
    /// Those of a block of their own.
    pub(super) fn block() -> Places {
        Places {
            words: std::array::from_fn(|word| word),
            in_place: false,
        }
    }

    /// Those of a nest's last three axes, with both factors and the result at these operands. The function's own are words that
    /// products have no other use for.
    pub(super) fn nest(abi: Abi, [left, right, to]: [OperandId; 3]) -> Places {
        let (row, k, column) = (0, 1, 2);
        let mut words = [usize::MAX; BlockWord::COUNT];
        for (word, place) in [
            (BlockWord::Left, abi.pointer(left.index())),
            (BlockWord::LeftStep, abi.stride(left.index(), k)),
            (BlockWord::LeftRow, abi.stride(left.index(), row)),
            (BlockWord::Right, abi.pointer(right.index())),
            (BlockWord::RightStep, abi.stride(right.index(), k)),
            (BlockWord::Depth, abi.extent(k)),
            (BlockWord::To, abi.pointer(to.index())),
            (BlockWord::ToRow, abi.stride(to.index(), row)),
            (BlockWord::Rows, abi.extent(row)),
            (BlockWord::Columns, abi.extent(column)),
            (BlockWord::RightAt, Abi::SCRATCH),
            (BlockWord::ToAt, Abi::FIRST_BLOCK),
            (BlockWord::RowsAt, Abi::LAST_BLOCK),
            (BlockWord::ColumnsAt, Abi::MODE),
        ] {
            words[word as usize] = place;
        }
        Places { words, in_place: true }
    }

    /// Where an argument is.
    pub(super) fn of(&self, word: BlockWord) -> MemoryOperand {
        memory(ARGS, Register::None, 1, 8 * self.words[word as usize])
    }

    /// The cursors that there are words for.
    fn cursors(&self) -> &'static [(BlockWord, BlockWord)] {
        if self.in_place { &CURSORS[..3] } else { &CURSORS }
    }
}

/// The code over all tiles of a block, or of a product, whose arguments are at these places.
///
/// # Errors
/// A tile that does not fit the registers.
pub(super) fn block_tiles(dtype: Dtype, tile: Tile, places: Places) -> Result<MachineCode, CodegenError> {
    let failed = |e: IcedError| CodegenError::Encode(e.to_string());
    let (rows, vectors) = (tile.rows as usize, tile.vectors as usize);
    let width = tile.lanes as usize * dtype.size();
    let set = Set::of(dtype, width);
    if rows == 0 || rows > MOST_ROWS || rows * vectors + vectors + 1 + set.product_registers() > set.registers() {
        return Err(CodegenError::Encode(format!(
            "{rows} x {vectors} vectors do not fit the registers"
        )));
    }
    let mut block = Block {
        set,
        width,
        lanes: tile.lanes as usize,
        rows,
        vectors,
        places,
        code: Vec::new(),
        labels: 0,
    };
    block.emit().map_err(failed)?;
    let instructions = InstructionBlock::new(&block.code, 0);
    let encoded = BlockEncoder::encode(64, instructions, BlockEncoderOptions::NONE).map_err(failed)?;
    let bytes = encoded.code_buffer;
    Ok(MachineCode {
        instructions: bytes.len(),
        bytes,
    })
}

impl Block {
    fn emit(&mut self) -> Result<(), IcedError> {
        let saved = self.saved();
        for &register in &saved {
            self.push(Instruction::with1(Code::Push_r64, register)?);
        }
        let (panels, counted, end) = (self.label(), self.label(), self.label());
        let tiles: Vec<u64> = (0..self.rows).map(|_| self.label()).collect();
        self.word(LEFT, BlockWord::Rows)?;
        self.put(LEFT, BlockWord::RowsAt)?;
        if self.places.in_place {
            for extent in [BlockWord::Rows, BlockWord::Columns] {
                self.compare(extent, 0)?;
                self.push(Instruction::with_branch(Code::Jle_rel32_64, end)?);
            }
        }
        // As many rows as a tile has; of less than twice as many, half.
        self.place(panels);
        self.word(COUNT, BlockWord::RowsAt)?;
        self.push(Instruction::with2(Code::Cmp_rm64_imm8, COUNT, self.rows as i32)?);
        self.push(Instruction::with_branch(Code::Jle_rel32_64, counted)?);
        self.push(Instruction::with2(Code::Cmp_rm64_imm8, COUNT, 2 * self.rows as i32)?);
        self.push(Instruction::with_branch(Code::Jge_rel32_64, tiles[self.rows - 1])?);
        self.push(Instruction::with2(Code::Add_rm64_imm8, COUNT, 1)?);
        self.push(Instruction::with2(Code::Shr_rm64_1, COUNT, 1)?);
        self.place(counted);
        self.choose(&tiles, 1)?;
        for (rows, label) in (1..).zip(tiles) {
            self.place(label);
            self.row_panel(rows)?;
            let rest = self.places.of(BlockWord::RowsAt);
            self.push(Instruction::with2(Code::Sub_rm64_imm8, rest, rows as i32)?);
            self.push(Instruction::with_branch(Code::Jle_rel32_64, end)?);
            self.next_rows(BlockWord::Left, BlockWord::LeftRow, rows)?;
            self.next_rows(BlockWord::To, BlockWord::ToRow, rows)?;
            if !self.places.in_place {
                self.next_rows(BlockWord::Ahead, BlockWord::AheadRow, rows)?;
                // Where there is nothing to start from, nor is there at the next panel.
                self.compare(BlockWord::From, 0)?;
                self.push(Instruction::with_branch(Code::Je_rel32_64, panels)?);
                self.next_rows(BlockWord::From, BlockWord::FromRow, rows)?;
            }
            self.push(Instruction::with_branch(Code::Jmp_rel32_64, panels)?);
        }

        self.place(end);
        for &register in saved.iter().rev() {
            self.push(Instruction::with1(Code::Pop_r64, register)?);
        }
        self.push(Instruction::with(Code::VEX_Vzeroupper));
        self.push(Instruction::with(Code::Retnq));
        Ok(())
    }

    /// All tiles of so many rows.
    fn row_panel(&mut self, rows: usize) -> Result<(), IcedError> {
        for &(at, start) in self.places.cursors() {
            self.word(LEFT, start)?;
            self.put(LEFT, at)?;
        }
        let (panels, end) = (self.label(), self.label());
        self.place(panels);
        self.tile(rows)?;
        let (rest, columns) = (self.places.of(BlockWord::ColumnsAt), self.vectors * self.lanes);
        self.push(Instruction::with2(Code::Sub_rm64_imm8, rest, columns as i32)?);
        self.push(Instruction::with_branch(Code::Jle_rel32_64, end)?);
        self.next_columns(BlockWord::ToAt)?;
        if self.places.in_place {
            self.next_columns(BlockWord::RightAt)?;
        } else {
            self.next_columns(BlockWord::FromAt)?;
            self.next_columns(BlockWord::AheadAt)?;
            self.word(LEFT, BlockWord::RightPanel)?;
            let right = self.places.of(BlockWord::RightAt);
            self.push(Instruction::with2(Code::Add_rm64_r64, right, LEFT)?);
        }
        self.push(Instruction::with_branch(Code::Jmp_rel32_64, panels)?);
        self.place(end);
        Ok(())
    }

    /// Goes to the label of a number of rows, where that of the first is `least`.
    fn choose(&mut self, tiles: &[u64], least: usize) -> Result<(), IcedError> {
        if let [tile] = tiles {
            self.push(Instruction::with_branch(Code::Jmp_rel32_64, *tile)?);
            return Ok(());
        }
        let (few, many) = tiles.split_at(tiles.len() / 2);
        let above = self.label();
        let least_of_many = least + few.len();
        self.push(Instruction::with2(Code::Cmp_rm64_imm8, COUNT, least_of_many as i32)?);
        self.push(Instruction::with_branch(Code::Jge_rel32_64, above)?);
        self.choose(few, least)?;
        self.place(above);
        self.choose(many, least_of_many)
    }

    /// Moves a pointer by the columns of a tile, which are neighbours.
    fn next_columns(&mut self, word: BlockWord) -> Result<(), IcedError> {
        let to = self.places.of(word);
        let bytes = (self.vectors * self.width) as i32;
        self.push(Instruction::with2(Code::Add_rm64_imm32, to, bytes)?);
        Ok(())
    }

    /// Moves a pointer by so many rows.
    fn next_rows(&mut self, word: BlockWord, distance: BlockWord, rows: usize) -> Result<(), IcedError> {
        let (to, distance) = (self.places.of(word), self.places.of(distance));
        self.push(Instruction::with3(
            Code::Imul_r64_rm64_imm8,
            LEFT,
            distance,
            rows as i32,
        )?);
        self.push(Instruction::with2(Code::Add_rm64_r64, to, LEFT)?);
        Ok(())
    }
}
