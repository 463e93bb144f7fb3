//! Ops on lanes: what each basic op is in vector instructions.
//!
//! In: an op with its operands. Out: the lanes of its result, or the [`Gap`] that leaves the leaf to the other emitter. Meaning
//! is the interpreter's, to the bit; [`super::super::clif`] has the same ops for 128 bits.

use loopweave_ir::{Dtype, Kind, Op, Scalar};

use super::asm::{Arg, Inst, Reg};
use super::isa::{self, Isa, Row, by_size};
use super::lanes::{Gap, Lanes, Logic, Selected, Selector};
use super::pattern::{Pattern, Signs};

/// Rows for elements of 1, 2, 4 and 8 bytes.
const ADD: [Row; 4] = [isa::ADD8, isa::ADD16, isa::ADD32, isa::ADD64];
const SUB: [Row; 4] = [isa::SUB8, isa::SUB16, isa::SUB32, isa::SUB64];
const AND: [Row; 4] = [isa::AND32, isa::AND32, isa::AND32, isa::AND64];
const OR: [Row; 4] = [isa::OR32, isa::OR32, isa::OR32, isa::OR64];
const XOR: [Row; 4] = [isa::XOR32, isa::XOR32, isa::XOR32, isa::XOR64];

/// Multiply-adds, by whether the product is negated, whether the sum's other operand is, dtype, and the operand overwritten:
/// the first factor or that other operand.
const FMA: [[[[Row; 2]; 2]; 2]; 2] = [
    [
        [[isa::FMA213_PS, isa::FMA231_PS], [isa::FMA213_PD, isa::FMA231_PD]],
        [
            [isa::FMA_LESS213_PS, isa::FMA_LESS231_PS],
            [isa::FMA_LESS213_PD, isa::FMA_LESS231_PD],
        ],
    ],
    [
        [
            [isa::FMA_NEGATED213_PS, isa::FMA_NEGATED231_PS],
            [isa::FMA_NEGATED213_PD, isa::FMA_NEGATED231_PD],
        ],
        [
            [isa::FMA_NEGATED_LESS213_PS, isa::FMA_NEGATED_LESS231_PS],
            [isa::FMA_NEGATED_LESS213_PD, isa::FMA_NEGATED_LESS231_PD],
        ],
    ],
];

impl Selector {
    /// An op of operands of `dtype` (for `select`, that of the two values). `dying` says which operands nothing else needs.
    pub(super) fn op(&mut self, op: Op, dtype: Dtype, args: &[Lanes], dying: &[bool]) -> Selected<Lanes> {
        match op {
            Op::Cast(to) => return self.cast(&args[0], to),
            Op::Bitcast(to) => {
                return Ok(match args[0].as_const() {
                    Some(value) => self.constant(Scalar::from_bits(to, value.bits())),
                    None => Lanes::new(to, self.reg(&args[0])),
                });
            }
            Op::Lookup(column) => return self.lookup(column, &args[0]),
            Op::Select | Op::Rare => return self.select(dtype, args),
            _ if dtype == Dtype::Bool => return self.bool_op(op, args),
            _ => {}
        }
        if let Some(compare) = Compare::of(op) {
            let mask = match dtype.is_float() {
                true => self.float_compare(op, compare, dtype, args)?,
                false => self.int_compare(op, compare, dtype, args)?,
            };
            return Ok(Lanes::new(Dtype::Bool, mask));
        }
        if matches!((op, dtype.is_float()), (Op::TruncDiv | Op::Rem, false)) {
            return self.divide(op, dtype, args);
        }
        let reg = match dtype.is_float() {
            true => self.float_op(op, dtype, args, dying)?,
            false => self.int_op(op, dtype, args)?,
        };
        Ok(Lanes::new(dtype, reg))
    }

    /// The one instruction for what several ops make, the last of them `op`.
    pub(super) fn pattern(&mut self, op: Op, pattern: Pattern, args: &[Lanes], dying: &[bool]) -> Selected<Lanes> {
        let dtype = args[0].dtype;
        let of = |single: Row, double: Row| if dtype == Dtype::F32 { single } else { double };
        let row = match pattern {
            Pattern::Lesser => of(isa::MIN_PS, isa::MIN_PD),
            Pattern::Greater => of(isa::MAX_PS, isa::MAX_PD),
            Pattern::Scale => of(isa::SCALE_PS, isa::SCALE_PD),
            Pattern::Fma(signs) => return Ok(Lanes::new(dtype, self.fma(signs, dtype, args, dying)?)),
            Pattern::Logic(table) => return self.logic_of_three(op, table, args),
        };
        let (x, y) = (self.reg(&args[0]), self.rm(&args[1]));
        let reg = self.binary(op, row, dtype.size(), x, y)?;
        Ok(Lanes::new(dtype, reg))
    }

    /// The function of three words' bits that a table gives.
    fn logic_of_three(&mut self, op: Op, table: u8, args: &[Lanes]) -> Selected<Lanes> {
        let dtype = args[0].dtype;
        let row = if dtype.size() == 8 { isa::LOGIC64 } else { isa::LOGIC32 };
        let code = self.code(row, self.register_bytes(dtype.size()), op)?;
        let (from, second, third) = (self.reg(&args[0]), self.reg(&args[1]), self.rm(&args[2]));
        Ok(Lanes::new(dtype, self.update(from, code, second, third, Some(table))))
    }

    pub(super) fn constant(&self, value: Scalar) -> Lanes {
        Lanes {
            dtype: value.dtype(),
            place: super::lanes::Place::Const(value),
        }
    }

    // Floats.

    fn float_op(&mut self, op: Op, dtype: Dtype, args: &[Lanes], dying: &[bool]) -> Selected<Reg> {
        let size = dtype.size();
        let of = |single: Row, double: Row| if dtype == Dtype::F32 { single } else { double };
        // The operand that may be in memory is the last; of operands that commute that is the constant.
        let swaps = op.is_commutative() && args.len() > 1 && args[0].as_const().is_some();
        let (a, b) = match (args.len(), swaps) {
            (1, _) => (&args[0], &args[0]),
            (_, true) => (&args[1], &args[0]),
            (_, false) => (&args[0], &args[1]),
        };
        let rows = match op {
            Op::Add => of(isa::ADD_PS, isa::ADD_PD),
            Op::Sub => of(isa::SUB_PS, isa::SUB_PD),
            Op::Mul => of(isa::MUL_PS, isa::MUL_PD),
            Op::Div => of(isa::DIV_PS, isa::DIV_PD),
            Op::Sqrt => {
                let x = self.rm(a);
                return self.unary(op, of(isa::SQRT_PS, isa::SQRT_PD), size, x);
            }
            Op::Floor | Op::Ceil | Op::Trunc | Op::Round => {
                // Bit 3: without the exception for an inexact result.
                let mode = match op {
                    Op::Round => 8,
                    Op::Floor => 9,
                    Op::Ceil => 10,
                    _ => 11,
                };
                let x = self.rm(a);
                return self.unary_byte(op, of(isa::ROUND_PS, isa::ROUND_PD), size, x, mode);
            }
            Op::Neg | Op::Abs => {
                let sign = 1u64 << (8 * size - 1);
                let (rows, bits) = match op {
                    Op::Neg => (XOR, sign),
                    _ => (AND, sign - 1),
                };
                let x = self.reg(a);
                let mask = self.constant(Scalar::from_bits(dtype, bits));
                let mask = self.rm(&mask);
                return self.binary(op, by_size(rows, size), size, x, mask);
            }
            Op::Fma => return self.fma(Signs::default(), dtype, args, dying),
            Op::Minimum | Op::Maximum => return self.extremum(op, dtype, args),
            _ => return Err(Gap { op }),
        };
        let (x, y) = (self.reg(a), self.rm(b));
        self.binary(op, rows, size, x, y)
    }

    /// ±a · b ± c. The instruction overwrites one operand: one that nothing else needs, if there is one.
    fn fma(&mut self, signs: Signs, dtype: Dtype, args: &[Lanes], dying: &[bool]) -> Selected<Reg> {
        let is_const = |i: usize| args[i].as_const().is_some();
        let bytes = self.register_bytes(dtype.size());
        let into_sum = !is_const(2) && (dying[2] || !(dying[0] || dying[1]));
        let (form, from, factor, last) = if into_sum {
            // 231: the overwritten operand is the sum.
            let (factor, last) = if is_const(0) { (1, 0) } else { (0, 1) };
            (1, 2, factor, last)
        } else {
            // 213: it is the first factor.
            let (from, factor) = if dying[0] || !dying[1] { (0, 1) } else { (1, 0) };
            (0, from, factor, 2)
        };
        let rows = FMA[signs.product as usize][signs.sum as usize][(dtype == Dtype::F64) as usize];
        let code = self.code(rows[form], bytes, Op::Fma)?;
        let (from, factor, last) = (self.reg(&args[from]), self.reg(&args[factor]), self.rm(&args[last]));
        Ok(self.update(from, code, factor, last, None))
    }

    /// `minimum` or `maximum`: NaN if either is, and −0 below +0.
    ///
    /// The instruction gives its second operand where either is a NaN or both are zeros. So with a constant that is a number as
    /// the first, NaN passes; and zeros are right too unless the constant is the one that wins over the other zero.
    fn extremum(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<Reg> {
        let size = dtype.size();
        let of = |single: Row, double: Row| if dtype == Dtype::F32 { single } else { double };
        let row = match op {
            Op::Maximum => of(isa::MAX_PS, isa::MAX_PD),
            _ => of(isa::MIN_PS, isa::MIN_PD),
        };
        let bound = match (args[0].as_const(), args[1].as_const()) {
            (Some(c), _) if !c.is_nan() => Some((c, &args[0], &args[1])),
            (_, Some(c)) if !c.is_nan() => Some((c, &args[1], &args[0])),
            _ => None,
        };
        if let Some((value, c, x)) = bound {
            let is_zero = value.as_f64() == 0.0;
            let is_negative = value.as_f64().is_sign_negative();
            let wins = is_zero && is_negative == (op == Op::Minimum);
            if !wins {
                let (c, x) = (self.reg(c), self.reg(x));
                return self.binary(op, row, size, c, x);
            }
            if op == Op::Maximum {
                // Adding +0 takes −0 to +0 and leaves all else.
                let (c, x) = (self.reg(c), self.reg(x));
                let most = self.binary(op, row, size, c, x)?;
                return self.binary(op, of(isa::ADD_PS, isa::ADD_PD), size, most, c);
            }
        }
        let (x, y) = (self.reg(&args[0]), self.reg(&args[1]));
        let bytes = self.register_bytes(size);
        let unordered = self.float_compare(op, Compare::Unordered, dtype, args)?;
        match self.isa {
            Isa::Avx512 => {
                // A NaN is left out, so the sum, which is one, takes its place.
                let from = self.number_extremum(op, dtype, x, y)?;
                let to = self.asm.vector(bytes);
                let code = self.code(of(isa::ADD_PS, isa::ADD_PD), bytes, op)?;
                let add = Inst::new(code, &[Arg::Update { from, to }, Arg::Use(x), Arg::Use(y)]);
                self.asm.push(add.merging(unordered));
                Ok(to)
            }
            Isa::Avx2 => {
                // Of two zeros each order of the operands gives the other, and the bits of both make the right one.
                let (one, other) = (self.binary(op, row, size, x, y)?, self.binary(op, row, size, y, x)?);
                let bits = if op == Op::Maximum { AND } else { OR };
                let number = self.binary(op, by_size(bits, size), size, one, other)?;
                let nan = self.binary(op, of(isa::ADD_PS, isa::ADD_PD), size, x, y)?;
                self.blend(unordered, nan, number, size)
            }
        }
    }

    /// `minimum` or `maximum` of numbers, the other operand for a NaN, with AVX-512: zeros are in their order.
    pub(super) fn number_extremum(&mut self, op: Op, dtype: Dtype, x: Reg, y: Reg) -> Selected<Reg> {
        let row = if dtype == Dtype::F32 {
            isa::RANGE_PS
        } else {
            isa::RANGE_PD
        };
        let bytes = self.register_bytes(dtype.size());
        let code = self.code(row, bytes, op)?;
        let select = 4 | (op == Op::Maximum) as u8;
        Ok(self.set(code, bytes, &[Arg::Use(x)], y.into(), Some(select)))
    }

    fn float_compare(&mut self, op: Op, compare: Compare, dtype: Dtype, args: &[Lanes]) -> Selected<Reg> {
        let row = if dtype == Dtype::F32 { isa::CMP_PS } else { isa::CMP_PD };
        let predicate = match compare {
            Compare::Equal => 0,
            Compare::Less => 1,
            Compare::LessEqual => 2,
            Compare::Unordered => 3,
            Compare::NotEqual => 4,
            Compare::GreaterEqual => 13,
            Compare::Greater => 14,
        };
        self.compare(op, row, dtype.size(), args, predicate)
    }

    /// The comparison that an instruction makes by a predicate.
    fn compare(&mut self, op: Op, row: Row, size: usize, args: &[Lanes], predicate: u8) -> Selected<Reg> {
        let bytes = self.register_bytes(size);
        let code = self.code(row, bytes, op)?;
        let (x, y) = (self.reg(&args[0]), self.rm(&args[1]));
        match self.isa {
            Isa::Avx512 => {
                let to = self.asm.mask();
                Ok(self.set_to(to, code, &[Arg::Use(x)], y, Some(predicate)))
            }
            Isa::Avx2 => {
                let lanes = self.set(code, bytes, &[Arg::Use(x)], y, Some(predicate));
                self.mask_from(op, lanes, size)
            }
        }
    }

    // Integers.

    fn int_op(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<Reg> {
        let size = dtype.size();
        let signed = dtype.kind() == Kind::Signed;
        let swaps = op.is_commutative() && args.len() > 1 && args[0].as_const().is_some();
        let (a, b) = match (args.len(), swaps) {
            (1, _) => (&args[0], &args[0]),
            (_, true) => (&args[1], &args[0]),
            (_, false) => (&args[0], &args[1]),
        };
        let rows = match op {
            Op::Add => ADD,
            Op::Sub => SUB,
            Op::And => AND,
            Op::Or => OR,
            Op::Xor => XOR,
            Op::Mul => {
                let (x, y) = (self.reg(a), self.reg(b));
                return self.multiply(op, size, x, y);
            }
            Op::Fma => {
                let (x, y) = (self.reg(a), self.reg(b));
                let product = self.multiply(op, size, x, y)?;
                let sum = self.rm(&args[2]);
                return self.binary(op, by_size(ADD, size), size, product, sum);
            }
            Op::Neg => {
                let (zero, x) = (self.splat(0, size), self.rm(a));
                return self.binary(op, by_size(SUB, size), size, zero, x);
            }
            Op::Not => {
                let (x, ones) = (self.reg(a), self.splat(u64::MAX, size));
                return self.binary(op, by_size(XOR, size), size, x, ones);
            }
            Op::Abs if !signed => return Ok(self.reg(a)),
            Op::Abs => return self.absolute(size, a),
            Op::Minimum | Op::Maximum => return self.int_extremum(op, dtype, args),
            Op::Shl | Op::Shr => return self.shift(op, dtype, args),
            _ => return Err(Gap { op }),
        };
        let (x, y) = (self.reg(a), self.rm(b));
        self.binary(op, by_size(rows, size), size, x, y)
    }

    fn multiply(&mut self, op: Op, size: usize, x: Reg, y: Reg) -> Selected<Reg> {
        match (size, self.isa) {
            (2, _) => self.binary(op, isa::MUL16, size, x, y),
            (4, _) => self.binary(op, isa::MUL32, size, x, y),
            (8, Isa::Avx512) => self.binary(op, isa::MUL64, size, x, y),
            (8, Isa::Avx2) => {
                // From products of halves; that of the upper ones is beyond the result.
                let (high_x, high_y) = (
                    self.unary_byte(op, isa::SHR64, size, x, 32)?,
                    self.unary_byte(op, isa::SHR64, size, y, 32)?,
                );
                let one = self.binary(op, isa::MUL_EVEN32, size, high_x, y)?;
                let other = self.binary(op, isa::MUL_EVEN32, size, x, high_y)?;
                let cross = self.binary(op, isa::ADD64, size, one, other)?;
                let cross = self.unary_byte(op, isa::SHL64, size, cross, 32)?;
                let low = self.binary(op, isa::MUL_EVEN32, size, x, y)?;
                self.binary(op, isa::ADD64, size, low, cross)
            }
            _ => {
                // Bytes: those at even places and those at odd ones as 16-bit lanes.
                let low = self.pairs_mask(0x00ff);
                let high = self.pairs_mask(0xff00);
                let even = self.binary(op, isa::MUL16, 1, x, y)?;
                let even = self.binary(op, isa::AND32, 1, even, low)?;
                let x = self.unary_byte(op, isa::SHR16, 1, x, 8)?;
                let y = self.binary(op, isa::AND32, 1, y, high)?;
                let odd = self.binary(op, isa::MUL16, 1, x, y)?;
                self.binary(op, isa::OR32, 1, even, odd)
            }
        }
    }

    /// A pattern of 16 bits in a register of bytes.
    fn pairs_mask(&mut self, bits: u64) -> Reg {
        let bytes = self.register_bytes(1);
        self.vector_const(bits.to_le_bytes()[..2].repeat(bytes / 2))
    }

    fn absolute(&mut self, size: usize, x: &Lanes) -> Selected<Reg> {
        let op = Op::Abs;
        if size == 8 && self.isa == Isa::Avx2 {
            let (zero, x) = (self.splat(0, 8), self.reg(x));
            let sign = self.binary(op, isa::GREATER64, 8, zero, x)?;
            let flipped = self.binary(op, isa::XOR64, 8, x, sign)?;
            return self.binary(op, isa::SUB64, 8, flipped, sign);
        }
        let rows = [isa::ABS8, isa::ABS16, isa::ABS32, isa::ABS64];
        let x = self.reg(x);
        self.unary(op, by_size(rows, size), size, x)
    }

    fn int_extremum(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<Reg> {
        let (size, signed) = (dtype.size(), dtype.kind() == Kind::Signed);
        if size == 8 && self.isa == Isa::Avx2 {
            let greater = self.int_compare(op, Compare::Greater, dtype, args)?;
            let (x, y) = (self.reg(&args[0]), self.reg(&args[1]));
            let (then, otherwise) = if op == Op::Maximum { (x, y) } else { (y, x) };
            return self.blend(greater, then, otherwise, size);
        }
        let rows = match (op, signed) {
            (Op::Minimum, true) => [isa::MIN_I8, isa::MIN_I16, isa::MIN_I32, isa::MIN_I64],
            (Op::Minimum, false) => [isa::MIN_U8, isa::MIN_U16, isa::MIN_U32, isa::MIN_U64],
            (_, true) => [isa::MAX_I8, isa::MAX_I16, isa::MAX_I32, isa::MAX_I64],
            (_, false) => [isa::MAX_U8, isa::MAX_U16, isa::MAX_U32, isa::MAX_U64],
        };
        let (x, y) = (self.reg(&args[0]), self.rm(&args[1]));
        self.binary(op, by_size(rows, size), size, x, y)
    }

    fn int_compare(&mut self, op: Op, compare: Compare, dtype: Dtype, args: &[Lanes]) -> Selected<Reg> {
        let (size, signed) = (dtype.size(), dtype.kind() == Kind::Signed);
        if self.isa == Isa::Avx512 {
            let rows = match signed {
                true => [isa::CMP_I8, isa::CMP_I16, isa::CMP_I32, isa::CMP_I64],
                false => [isa::CMP_U8, isa::CMP_U16, isa::CMP_U32, isa::CMP_U64],
            };
            let predicate = match compare {
                Compare::Equal => 0,
                Compare::Less => 1,
                Compare::LessEqual => 2,
                Compare::NotEqual => 4,
                Compare::GreaterEqual => 5,
                Compare::Greater => 6,
                Compare::Unordered => return Err(Gap { op }),
            };
            return self.compare(op, by_size(rows, size), size, args, predicate);
        }
        let (mut x, mut y) = (self.reg(&args[0]), self.reg(&args[1]));
        let is_equality = matches!(compare, Compare::Equal | Compare::NotEqual);
        if !signed && !is_equality {
            // The instruction takes signed numbers; flipping the sign bits keeps the order.
            let sign = self.splat(1 << (8 * size - 1), size);
            x = self.binary(op, by_size(XOR, size), size, x, sign)?;
            y = self.binary(op, by_size(XOR, size), size, y, sign)?;
        }
        let rows = match is_equality {
            true => [isa::EQUAL8, isa::EQUAL16, isa::EQUAL32, isa::EQUAL64],
            false => [isa::GREATER8, isa::GREATER16, isa::GREATER32, isa::GREATER64],
        };
        if matches!(compare, Compare::Less | Compare::GreaterEqual) {
            (x, y) = (y, x);
        }
        let lanes = self.binary(op, by_size(rows, size), size, x, y)?;
        let mask = self.mask_from(op, lanes, size)?;
        Ok(match compare {
            Compare::NotEqual | Compare::LessEqual | Compare::GreaterEqual => self.not(mask),
            _ => mask,
        })
    }

    /// A shift; counts are taken modulo the width.
    fn shift(&mut self, op: Op, dtype: Dtype, args: &[Lanes]) -> Selected<Reg> {
        let (size, signed) = (dtype.size(), dtype.kind() == Kind::Signed);
        let arithmetic = op == Op::Shr && signed;
        let x = self.reg(&args[0]);
        if let Some(count) = args[1].as_const() {
            let count = (count.bits() & (8 * size as u64 - 1)) as u8;
            return self.shift_by(op, size, arithmetic, x, count);
        }
        if size == 1 {
            return self.shift_bytes(op, arithmetic, x, &args[1]);
        }
        let (count, most) = (self.reg(&args[1]), self.splat(8 * size as u64 - 1, size));
        let count = self.binary(op, by_size(AND, size), size, count, most)?;
        if size == 2 {
            return self.shift_words(op, arithmetic, size, x, count);
        }
        if arithmetic && size == 8 && self.isa == Isa::Avx2 {
            // The sign bit moves along, and from there up all bits become it.
            let low = self.binary(op, isa::SHRV64, 8, x, count)?;
            let sign = self.splat(1 << 63, 8);
            let sign = self.binary(op, isa::SHRV64, 8, sign, count)?;
            let flipped = self.binary(op, isa::XOR64, 8, low, sign)?;
            return self.binary(op, isa::SUB64, 8, flipped, sign);
        }
        self.binary(op, by_size(shifts(op, arithmetic), size), size, x, count)
    }

    /// A shift of 16-bit lanes by counts below 16, in registers of lanes of `size` bytes. AVX2 has none, but one of 32-bit lanes:
    /// its lower halves are the lanes at even places, its upper ones those at odd places.
    fn shift_words(&mut self, op: Op, arithmetic: bool, size: usize, x: Reg, count: Reg) -> Selected<Reg> {
        let rows = shifts(op, arithmetic);
        if self.isa == Isa::Avx512 {
            return self.binary(op, rows[1], size, x, count);
        }
        let halves = self.vector_const(0xffffu32.to_le_bytes().repeat(self.register_bytes(size) / 4));
        let even_count = self.binary(op, isa::AND32, size, count, halves)?;
        let odd_count = self.unary_byte(op, isa::SHR32, size, count, 16)?;
        // What a lane takes in from the other half is either zero or cut off again.
        let (even, odd) = match (op, arithmetic) {
            (Op::Shl, _) => (x, self.binary(op, isa::AND_NOT32, size, halves, x)?),
            (_, true) => (self.unary_byte(op, isa::SHL32, size, x, 16)?, x),
            (_, false) => (self.binary(op, isa::AND32, size, x, halves)?, x),
        };
        let mut even = self.binary(op, rows[2], size, even, even_count)?;
        if arithmetic {
            even = self.unary_byte(op, isa::SHR32, size, even, 16)?;
        }
        let odd = self.binary(op, rows[2], size, odd, odd_count)?;
        let bytes = self.register_bytes(size);
        let code = self.code(isa::BLEND_WORDS, bytes, op)?;
        Ok(self.set(code, bytes, &[Arg::Use(even)], odd.into(), Some(0b1010_1010)))
    }

    /// A shift of all lanes by one count.
    fn shift_by(&mut self, op: Op, size: usize, arithmetic: bool, x: Reg, count: u8) -> Selected<Reg> {
        let (shl, shr, sar) = (
            [isa::SHL16, isa::SHL16, isa::SHL32, isa::SHL64],
            [isa::SHR16, isa::SHR16, isa::SHR32, isa::SHR64],
            [isa::SAR16, isa::SAR16, isa::SAR32, isa::SAR64],
        );
        let lacks = size == 1 || (size == 8 && self.isa == Isa::Avx2);
        if op == Op::Shl {
            let shifted = self.unary_byte(op, by_size(shl, size), size, x, count)?;
            return match size {
                1 => {
                    let kept = self.splat((0xff << count) & 0xff, 1);
                    self.binary(op, isa::AND32, 1, shifted, kept)
                }
                _ => Ok(shifted),
            };
        }
        if arithmetic && !lacks {
            return self.unary_byte(op, by_size(sar, size), size, x, count);
        }
        let mut shifted = self.unary_byte(op, by_size(shr, size), size, x, count)?;
        if size == 1 {
            let kept = self.splat(0xff >> count, 1);
            shifted = self.binary(op, isa::AND32, 1, shifted, kept)?;
        }
        if !arithmetic {
            return Ok(shifted);
        }
        let sign = self.splat((1u64 << (8 * size - 1)) >> count, size);
        let flipped = self.binary(op, by_size(XOR, size), size, shifted, sign)?;
        self.binary(op, by_size(SUB, size), size, flipped, sign)
    }

    /// A shift of bytes by counts of their own: those at even places and those at odd ones as 16-bit lanes.
    fn shift_bytes(&mut self, op: Op, arithmetic: bool, x: Reg, count: &Lanes) -> Selected<Reg> {
        let (count, most) = (self.reg(count), self.splat(7, 1));
        let count = self.binary(op, isa::AND32, 1, count, most)?;
        let (low, high) = (self.pairs_mask(0x00ff), self.pairs_mask(0xff00));
        let even_count = self.binary(op, isa::AND32, 1, count, low)?;
        let odd_count = self.unary_byte(op, isa::SHR16, 1, count, 8)?;
        let even = if arithmetic {
            let top = self.unary_byte(op, isa::SHL16, 1, x, 8)?;
            let shifted = self.shift_words(op, true, 1, top, even_count)?;
            self.unary_byte(op, isa::SHR16, 1, shifted, 8)?
        } else {
            let part = self.binary(op, isa::AND32, 1, x, low)?;
            let shifted = self.shift_words(op, false, 1, part, even_count)?;
            self.binary(op, isa::AND32, 1, shifted, low)?
        };
        let odd = self.binary(op, isa::AND32, 1, x, high)?;
        let odd = self.shift_words(op, arithmetic, 1, odd, odd_count)?;
        let odd = self.binary(op, isa::AND32, 1, odd, high)?;
        self.binary(op, isa::OR32, 1, even, odd)
    }

    // Masks.

    fn bool_op(&mut self, op: Op, args: &[Lanes]) -> Selected<Lanes> {
        let a = self.reg(&args[0]);
        let b = args.get(1).map(|b| self.reg(b)).unwrap_or(a);
        let mask = match op {
            Op::Not => self.not(a),
            Op::And => self.logic(Logic::And, a, b),
            Op::Or => self.logic(Logic::Or, a, b),
            Op::Xor | Op::Ne => self.logic(Logic::Xor, a, b),
            Op::Eq => {
                let differ = self.logic(Logic::Xor, a, b);
                self.not(differ)
            }
            Op::Lt => self.logic(Logic::AndNot, a, b),
            Op::Gt => self.logic(Logic::AndNot, b, a),
            Op::Le => {
                let greater = self.logic(Logic::AndNot, b, a);
                self.not(greater)
            }
            Op::Ge => {
                let less = self.logic(Logic::AndNot, a, b);
                self.not(less)
            }
            _ => return Err(Gap { op }),
        };
        Ok(Lanes::new(Dtype::Bool, mask))
    }

    fn select(&mut self, dtype: Dtype, args: &[Lanes]) -> Selected<Lanes> {
        let condition = self.reg(&args[0]);
        let (then, otherwise) = (&args[1], &args[2]);
        let reg = if dtype == Dtype::Bool {
            let (then, otherwise) = (self.reg(then), self.reg(otherwise));
            let (yes, no) = (
                self.logic(Logic::And, condition, then),
                self.logic(Logic::AndNot, condition, otherwise),
            );
            self.logic(Logic::Or, yes, no)
        } else if otherwise.as_const().is_some_and(|c| c.bits() == 0) {
            let then = self.reg(then);
            self.keep(condition, then, dtype.size())?
        } else {
            let (otherwise, then) = (self.reg(otherwise), self.rm(then));
            self.blend(condition, then, otherwise, dtype.size())?
        };
        Ok(Lanes::new(dtype, reg))
    }
}

/// The shifts by counts of their own, which are taken as they are.
fn shifts(op: Op, arithmetic: bool) -> [Row; 4] {
    match (op, arithmetic) {
        (Op::Shl, _) => [isa::SHLV16, isa::SHLV16, isa::SHLV32, isa::SHLV64],
        (_, true) => [isa::SARV16, isa::SARV16, isa::SARV32, isa::SARV64],
        (_, false) => [isa::SHRV16, isa::SHRV16, isa::SHRV32, isa::SHRV64],
    }
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Either is a NaN.
    Unordered,
}

impl Compare {
    fn of(op: Op) -> Option<Compare> {
        Some(match op {
            Op::Eq => Compare::Equal,
            Op::Ne => Compare::NotEqual,
            Op::Lt => Compare::Less,
            Op::Le => Compare::LessEqual,
            Op::Gt => Compare::Greater,
            Op::Ge => Compare::GreaterEqual,
            _ => return None,
        })
    }
}
