//! The leaf of a reduction whose vectors run across results: `Order::Chain`, and `Order::Lanes` where results lie together.
//!
//! In: the pointers at one kept index, where a whole row of results stands along the vector axis. Out: the stored results,
//! or the rows of some blocks in scratch.
//!
//! A row of elements is combined into a row of accumulators, vector by vector; several rows at once, so that an accumulator
//! is loaded and stored once for all of them: `acc = ((acc ∘ r₀) ∘ r₁) …`. For a chain the accumulators are those of the block
//! in scratch, and for lanes there is a row of them for each lane on the stack, which meet in the tree over lanes. The row is
//! cut into strips whose accumulators stay in the first-level cache over all rows of a block, or of a lane.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_module::FuncId;
use loopweave_ir::Func;

use super::body::Body;
use super::emit::{Carried, Emitter, InnerBlock};
use super::memory::Access;
use super::reduce::Reduction;
use super::value::Lanes;
use crate::codegen::CodegenError;
use crate::codegen::abi::Abi;
use crate::nest::{Order, Reduce, Stride};

/// Bytes of one accumulator's strip.
const STRIP: usize = 8 << 10;

/// Bytes of the strips of all lanes, on the stack.
const LANE_STRIPS: usize = 128 << 10;

/// Operations up to which several rows are combined at once.
const ROWS_LENGTH: usize = 48;

/// The words of an argument block that hold the position of the first row, and how far it is to the next: operands after all
/// others of a function of rows that needs them.
const POSITION_WORDS: [usize; 2] = [Abi::FIRST_BLOCK, Abi::LAST_BLOCK];

/// One row of elements at a position along the reduced axes.
struct Row<'f> {
    body: Body<'f>,
    loads: Vec<Access>,
}

/// A strip of accumulators for each lane.
struct LaneRows {
    count: u32,
    /// Elements of a strip.
    strip: usize,
    /// The first lane's strip, for each accumulator.
    rows: Vec<Value>,
}

/// Rows that are combined at once by this function: as many as leave the pointers in registers and the code short.
pub(super) fn rows_at_once(reduce: &Reduce, combine: &Func) -> usize {
    let nodes = reduce.map.nodes().len() + combine.nodes().len();
    let mut rows = 8;
    while rows > 1 && (rows * nodes > ROWS_LENGTH || rows * reduce.loads.len() > 8) {
        rows /= 2;
    }
    rows
}

impl Emitter<'_> {
    /// All that a function of the reduction does at one index of the outer axes.
    pub(super) fn across_leaf(&mut self, r: &Reduction<'_>, pointers: &[Value]) -> Result<(), CodegenError> {
        let widest = r.accumulators.iter().map(|d| d.size()).max().unwrap_or(1);
        let mut strip = STRIP / widest;
        let mut lanes = None;
        if let Order::Lanes { lanes: count, .. } = r.reduce.order {
            let all: usize = r.accumulators.iter().map(|d| d.size()).sum();
            strip = strip.min((LANE_STRIPS / (all * count as usize)).next_multiple_of(16));
            let bytes = r.accumulators.iter().map(|d| strip * count as usize * d.size());
            let rows = self.shared_stack(bytes)?;
            lanes = Some(LaneRows { count, strip, rows });
        }
        let strip = strip as i64;
        let zero = self.word(0);
        self.for_range(zero, r.row, strip, &[], |e, start, _| {
            let end = e.b.ins().iadd_imm_s(start, strip);
            let columns = (start, e.b.ins().smin(end, r.row));
            e.for_range(r.first, r.last, 1, &[], |e, block, _| {
                let to = e.block_row(r, block);
                let size = r.reduce.order.block() as i64;
                let first = e.b.ins().imul_imm_s(block, size);
                let last = e.b.ins().iadd_imm_s(first, size);
                let rows = (first, e.b.ins().smin(last, r.n));
                match &lanes {
                    None => e.fold_down(r, pointers, &to, rows, 1, columns)?,
                    Some(lanes) => e.fold_down_lanes(r, pointers, lanes, &to, rows, columns)?,
                }
                Ok(Carried::new())
            })?;
            match r.part {
                Some(part) => {
                    let combines = e.b.ins().icmp_imm_s(IntCC::Equal, part.is_blocks, 0);
                    e.when(combines, |e| e.across_finish(r, pointers, columns))?;
                }
                None => e.across_finish(r, pointers, columns)?,
            }
            Ok(Carried::new())
        })?;
        Ok(())
    }

    /// A strip of a block over lanes: each lane's rows folded from left to right, then the tree over lanes.
    fn fold_down_lanes(
        &mut self,
        r: &Reduction<'_>,
        pointers: &[Value],
        lanes: &LaneRows,
        to: &[Access],
        rows: (Value, Value),
        columns: (Value, Value),
    ) -> Result<(), CodegenError> {
        let len = self.b.ins().isub(rows.1, rows.0);
        let count = self.word(lanes.count as i64);
        let used = self.b.ins().smin(len, count);
        let zero = self.word(0);
        self.for_range(zero, used, 1, &[], |e, lane, _| {
            let own = e.lane_row(r, lanes, lane, columns.0);
            let first = e.b.ins().iadd(rows.0, lane);
            e.fold_down(r, pointers, &own, (first, rows.1), lanes.count as i64, columns)?;
            Ok(Carried::new())
        })?;
        // Over h = lanes / 2, lanes / 4 … 1.
        let (two, h) = (self.word(2), self.word(lanes.count as i64 / 2));
        let end = self.b.ins().iadd_imm_s(count, 1);
        self.loop_while(two, end, &[h], |e, level, carried| {
            let h = carried[0];
            let pairs = e.b.ins().isub(used, h);
            let pairs = e.b.ins().smin(pairs, h);
            e.for_range(zero, pairs, 1, &[], |e, lane, _| {
                let other = e.b.ins().iadd(lane, h);
                let (to, from) = (
                    e.lane_row(r, lanes, lane, columns.0),
                    e.lane_row(r, lanes, other, columns.0),
                );
                e.combine_rows(r, &to, &from, columns)?;
                Ok(Carried::new())
            })?;
            let half = e.b.ins().ushr_imm_u(h, 1);
            Ok((e.b.ins().iadd(level, level), [half].into_iter().collect()))
        })?;
        let total = self.lane_row(r, lanes, zero, columns.0);
        self.vector_loops(columns.0, columns.1, |e, v, count| {
            let values = e.load_all(&total, v, 0, count);
            e.store_all(to, v, 0, &values);
            Ok(())
        })
    }

    /// The accumulators of a lane, as if its strip were a part of a whole row.
    fn lane_row(&mut self, r: &Reduction<'_>, lanes: &LaneRows, lane: Value, start: Value) -> Vec<Access> {
        let index = self.b.ins().imul_imm_s(lane, lanes.strip as i64);
        let index = self.b.ins().isub(index, start);
        self.rows_at(r, &lanes.rows, index)
    }

    /// Combines a strip of a row of accumulators with another one's.
    fn combine_rows(
        &mut self,
        r: &Reduction<'_>,
        to: &[Access],
        from: &[Access],
        columns: (Value, Value),
    ) -> Result<(), CodegenError> {
        self.vector_loops(columns.0, columns.1, |e, v, count| {
            let (a, b) = (e.load_all(to, v, 0, count), e.load_all(from, v, 0, count));
            let values = e.combine(r, &a, &b)?;
            e.store_all(to, v, 0, &values);
            Ok(())
        })
    }

    /// The accumulators of a block in scratch.
    fn block_row(&mut self, r: &Reduction<'_>, block: Value) -> Vec<Access> {
        let index = self.b.ins().imul(block, r.row);
        self.rows_at(r, &r.scratch, index)
    }

    /// Arrays that start some accumulators further.
    fn rows_at(&mut self, r: &Reduction<'_>, arrays: &[Value], index: Value) -> Vec<Access> {
        let starts: Vec<Value> = r
            .accumulators
            .iter()
            .zip(arrays)
            .map(|(dtype, &start)| {
                let offset = self.b.ins().imul_imm_s(index, dtype.size() as i64);
                self.b.ins().iadd(start, offset)
            })
            .collect();
        self.arrays(r, &starts)
    }

    /// A strip of rows folded from left to right into accumulators: those of every `step`-th row of a range that is not empty.
    fn fold_down(
        &mut self,
        r: &Reduction<'_>,
        pointers: &[Value],
        accumulators: &[Access],
        (first, last): (Value, Value),
        step: i64,
        columns: (Value, Value),
    ) -> Result<(), CodegenError> {
        if let [.., (0, seed)] = r.strips {
            return self.fold_down_wide(r, pointers, accumulators, *seed, (first, last), step, columns);
        }
        let (start, end) = columns;
        let seed = self.rows(r, pointers, first, 1, step)?;
        self.vector_loops(start, end, |e, v, count| {
            let values = e.row_values(&seed[0], v, count)?;
            e.store_all(accumulators, v, 0, &values);
            Ok(())
        })?;
        let mut at = self.b.ins().iadd_imm_s(first, step);
        let mut groups = vec![rows_at_once(r.reduce, &r.reduce.combine), 1];
        groups.dedup();
        for group in groups {
            let stop = self.b.ins().iadd_imm_s(last, step * (1 - group as i64));
            (at, _) = self.for_range(at, stop, step * group as i64, &[], |e, row, _| {
                let rows = e.rows(r, pointers, row, group, step)?;
                e.vector_loops(start, end, |e, v, count| {
                    let mut values = e.load_all(accumulators, v, 0, count);
                    for row in &rows {
                        let elements = e.row_values(row, v, count)?;
                        values = e.combine(r, &values, &elements)?;
                    }
                    e.store_all(accumulators, v, 0, &values);
                    Ok(())
                })?;
                Ok(Carried::new())
            })?;
        }
        Ok(())
    }

    /// The same by the wide emitter's functions.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a fold takes, and the function to start with"
    )]
    fn fold_down_wide(
        &mut self,
        r: &Reduction<'_>,
        pointers: &[Value],
        accumulators: &[Access],
        seed: FuncId,
        rows: (Value, Value),
        step: i64,
        columns: (Value, Value),
    ) -> Result<(), CodegenError> {
        let most = r.strips.iter().map(|&(rows, _)| rows).max().unwrap_or(1).max(1);
        let positions = if r.reduce.uses_index() { POSITION_WORDS.len() } else { 0 };
        let abi = Abi::sized(1, accumulators.len() + most * r.reduce.loads.len() + positions);
        let block = self.empty_block(abi);
        let count = self.b.ins().isub(columns.1, columns.0);
        let sums: Carried = accumulators.iter().map(|a| self.unit_address(a, columns.0)).collect();
        self.call_rows(r, pointers, (seed, &block), &sums, (rows.0, 1, step), columns.0, count);
        let mut at = self.b.ins().iadd_imm_s(rows.0, step);
        for &(group, func) in r.strips.iter().filter(|(rows, _)| *rows > 0) {
            let stop = self.b.ins().iadd_imm_s(rows.1, step * (1 - group as i64));
            (at, _) = self.for_range(at, stop, step * group as i64, &[], |e, row, _| {
                e.call_rows(r, pointers, (func, &block), &sums, (row, group, step), columns.0, count);
                Ok(Carried::new())
            })?;
        }
        Ok(())
    }

    /// Calls a function of rows on those from a flat position along the reduced axes on, a step apart.
    #[expect(clippy::too_many_arguments, reason = "what a call takes")]
    fn call_rows(
        &mut self,
        r: &Reduction<'_>,
        pointers: &[Value],
        (func, block): (FuncId, &InnerBlock),
        sums: &[Value],
        (position, group, step): (Value, usize, i64),
        column: Value,
        count: Value,
    ) {
        let axis = self.nest.vector_axis().index();
        let mut places: Carried = sums.iter().copied().collect();
        let first = position;
        for ahead in 0..group as i64 {
            let position = self.b.ins().iadd_imm_s(position, step * ahead);
            let by = self.decompose(&r.axes, position);
            let pointers = self.moved(r, pointers, &by);
            for access in self.accesses(&r.reduce.loads, &pointers, axis) {
                places.push(match access.stride {
                    Stride::Unit => self.unit_address(&access, column),
                    Stride::Zero | Stride::Across | Stride::Any => access.pointer,
                });
            }
        }
        if r.reduce.uses_index() {
            let step = self.word(step);
            for (word, value) in POSITION_WORDS.into_iter().zip([first, step]) {
                places.push(self.set_word(block, word, value));
            }
        }
        self.call_row(func, block, &places, count);
    }

    /// Rows from a flat position along the reduced axes on, a step apart.
    fn rows<'f>(
        &mut self,
        r: &Reduction<'f>,
        pointers: &[Value],
        position: Value,
        count: usize,
        step: i64,
    ) -> Result<Vec<Row<'f>>, CodegenError> {
        let axis = self.nest.vector_axis().index();
        (0..count as i64)
            .map(|ahead| {
                let position = self.b.ins().iadd_imm_s(position, step * ahead);
                let by = self.decompose(&r.axes, position);
                let pointers = self.moved(r, pointers, &by);
                let loads = self.accesses(&r.reduce.loads, &pointers, axis);
                let once = self.load_once(&loads);
                let body = self.body(&r.reduce.map, |p| once[p], Some(position))?;
                Ok(Row { body, loads })
            })
            .collect()
    }

    /// The mapped elements of a row.
    fn row_values(&mut self, row: &Row<'_>, v: Value, count: usize) -> Result<Vec<Lanes>, CodegenError> {
        let load = |e: &mut Self, p: usize| Ok(e.load(&row.loads[p], v, 0, count));
        let values = self.eval(&row.body, count, load, None)?;
        Ok(values.iter().map(|v| self.carried_form(v)).collect())
    }

    /// A strip of the results: the tree over the blocks' rows, the initial value, `finish` and the stores.
    fn across_finish(
        &mut self,
        r: &Reduction<'_>,
        pointers: &[Value],
        columns: (Value, Value),
    ) -> Result<(), CodegenError> {
        let (start, end) = columns;
        self.block_tree(r, |e, i, other| {
            let (to, from) = (e.block_row(r, i), e.block_row(r, other));
            e.combine_rows(r, &to, &from, columns)
        })?;
        let totals = self.arrays(r, &r.scratch);
        if let Some(init) = &r.reduce.init {
            let empty = self.b.ins().icmp_imm_s(IntCC::Equal, r.n, 0);
            self.when(empty, |e| {
                e.vector_loops(start, end, |e, v, count| {
                    let values = e.initial(init, count);
                    e.store_all(&totals, v, 0, &values);
                    Ok(())
                })
            })?;
            if r.reduce.apply_init {
                let any = self.b.ins().icmp_imm_s(IntCC::NotEqual, r.n, 0);
                self.when(any, |e| {
                    e.vector_loops(start, end, |e, v, count| {
                        let (a, b) = (e.initial(init, count), e.load_all(&totals, v, 0, count));
                        let a: Vec<Lanes> = a.iter().map(|a| e.carried_form(a)).collect();
                        let values = e.combine(r, &a, &b)?;
                        e.store_all(&totals, v, 0, &values);
                        Ok(())
                    })
                })?;
            }
        }

        // The launcher refuses a reduction of nothing that has no value, so there is something to store here.
        let axis = self.nest.vector_axis().index();
        let loads = self.accesses(&r.reduce.finish_loads, pointers, axis);
        let stores = self.accesses(&r.reduce.stores, pointers, axis);
        let once = self.load_once(&loads);
        let k = totals.len();
        let param = |p: usize| match p.checked_sub(k) {
            None => None,
            Some(0) => Some(r.n),
            Some(load) => once[load - 1],
        };
        let body = self.body(&r.reduce.finish, param, None)?;
        self.vector_loops(start, end, |e, v, count| {
            let load = |e: &mut Self, p: usize| {
                Ok(match p.checked_sub(k) {
                    None => {
                        let value = e.load(&totals[p], v, 0, count);
                        e.carried_form(&value)
                    }
                    Some(load) => e.load(&loads[load - 1], v, 0, count),
                })
            };
            let results = e.eval(&body, count, load, None)?;
            for (store, value) in stores.iter().zip(&results) {
                e.store(store, v, 0, value);
            }
            Ok(())
        })
    }
}
