//! Bounds of the reference emitter's vector loops, and of the steps of matrix products.
//!
//! In: a stage of a nest. Out: its [`VectorLoop`]. Which instructions there will be is the code generator's business, later;
//! most ops are one, and are counted as such.

use loopweave_ir::{Dtype, ExprId, Func, Op};

use crate::codegen::bound::{Choice, Demand, LoopKind, VectorLoop};
use crate::nest::{Leaf, MatMul, Nest, OperandId, Stride, Vector};
use crate::target::Target;
use crate::target::microarchitecture::{Kind, Microarchitecture, Quotient};

/// Bytes of the reference emitter's vectors.
const BYTES: usize = 16;

/// The main loop of a stage that the reference emitter makes.
pub(super) fn main_loop(nest: &Nest, stage: &Leaf, kind: LoopKind, target: &Target) -> VectorLoop {
    let mut body = Body {
        lanes: nest.vector.lanes as usize,
        is_x86_64: target.is_x86_64(),
        demand: target.microarchitecture().map(Demand::of),
        instructions: 0,
    };
    let Vector { lanes, unroll } = nest.vector;
    // How often an iteration does the stage's work.
    let copies = match kind {
        LoopKind::Fold { lanes: all } => (all / lanes).min(unroll),
        LoopKind::Strip { rows } => rows,
        LoopKind::Map | LoopKind::Product => unroll,
    };
    for _ in 0..copies {
        body.stage(nest, stage);
    }
    if let (LoopKind::Strip { .. }, Leaf::Reduce(reduce)) = (kind, stage) {
        for dtype in reduce.accumulators() {
            body.load(dtype);
            body.store(dtype);
        }
    }
    let counting = Microarchitecture::LOOP_UOPS as usize;
    let choice = match kind {
        LoopKind::Fold { lanes: all } => Choice::Accumulators {
            of: (all / lanes) as usize,
            registers: target.vector_registers(BYTES),
        },
        _ => Choice::Loop {
            instructions: body.instructions + counting,
            counting,
            abreast: 1,
        },
    };
    let bound = body.demand.map(|mut demand| {
        demand.scalar(counting as f64);
        demand.bound((copies * lanes) as usize)
    });
    VectorLoop {
        kind,
        vector: nest.vector,
        choice,
        bound,
    }
}

/// A step along the contracted axis of a product, on a tile of it: a vector of each column of the tile is loaded, and an
/// element of each row.
pub(super) fn product(product: &MatMul, target: &Target) -> VectorLoop {
    let (tile, dtype) = (product.tile, product.accumulator());
    let bytes = tile.lanes as usize * dtype.size();
    let accumulators = (tile.rows * tile.vectors) as usize;
    let elements = accumulators * tile.lanes as usize;
    let bound = |core| {
        let mut demand = Demand::of(core);
        demand.load(bytes, f64::from(tile.vectors), f64::from(tile.vectors));
        demand.load(BYTES, f64::from(tile.rows), f64::from(tile.rows));
        let kinds: &[Kind] = match dtype.is_float() {
            true => &[Kind::MultiplyAdd],
            false => &[Kind::IntegerMultiply, Kind::Simple],
        };
        for &kind in kinds {
            demand.compute(kind, bytes, accumulators as f64);
            demand.chain += core.cost(kind).latency;
        }
        demand.bound(elements)
    };
    VectorLoop {
        kind: LoopKind::Product,
        vector: Vector {
            lanes: tile.lanes,
            unroll: tile.vectors,
        },
        choice: Choice::Tile {
            accumulators,
            registers: target.vector_registers(bytes),
        },
        bound: target.microarchitecture().map(bound),
    }
}

/// A vector's part of an iteration.
struct Body {
    lanes: usize,
    is_x86_64: bool,
    demand: Option<Demand>,
    instructions: usize,
}

impl Body {
    fn stage(&mut self, nest: &Nest, stage: &Leaf) {
        let load_all = |body: &mut Body, loads: &[OperandId]| {
            for load in loads.iter().map(|&id| nest.operand(id)) {
                if load.stride != Stride::Zero {
                    body.load(load.dtype);
                }
            }
        };
        match stage {
            Leaf::Map { map, loads, stores } => {
                load_all(self, loads);
                let path = self.function(map, |_| Some(0.0));
                stores.iter().for_each(|&id| self.store(nest.operand(id).dtype));
                self.set_latency(path, 0.0);
            }
            Leaf::Reduce(reduce) => {
                load_all(self, &reduce.loads);
                let path = self.function(&reduce.map, |_| Some(0.0));
                let accumulators = reduce.accumulators().len();
                let chain = self.function(&reduce.combine, |param| (param < accumulators).then_some(0.0));
                self.set_latency(path, chain);
            }
            Leaf::MatMul(_) | Leaf::Rows(_) => {}
        }
    }

    /// Counts the ops of a function that every vector needs; gives the cycles from those parameters that are there at a time to
    /// the results.
    fn function(&mut self, func: &Func, param: impl Fn(usize) -> Option<f64>) -> f64 {
        let needed = func.always_needed();
        let mut times: Vec<Option<f64>> = Vec::with_capacity(func.nodes().len());
        for (id, node) in func.iter() {
            let time = match node.op {
                Op::Param(p) => param(p as usize),
                _ if !needed[id.index()] => None,
                _ => {
                    let latency = self.op(func, id);
                    let before = node.args.iter().filter_map(|arg| times[arg.index()]);
                    before.reduce(f64::max).map(|time| time + latency)
                }
            };
            times.push(time);
        }
        let results = func.results().iter().filter_map(|id| times[id.index()]);
        results.fold(0.0, f64::max)
    }

    /// Counts an op; gives its latency.
    fn op(&mut self, func: &Func, id: ExprId) -> f64 {
        let node = func.node(id);
        let result = func.dtype(id);
        let operand = node.args.first().map_or(result, |&arg| func.dtype(arg));
        let registers = (self.lanes * operand.size().max(result.size())).div_ceil(BYTES);
        let is_bound = node.args.iter().any(|&arg| matches!(func.node(arg).op, Op::Const(_)));
        let instructions = match node.op {
            Op::Minimum | Op::Maximum if operand.is_float() && is_bound => {
                Instructions::Of(&[Kind::Compare, Kind::Simple])
            }
            Op::Minimum | Op::Maximum if operand.is_float() && self.is_x86_64 => Instructions::Of(&EXTREMUM_X86_64),
            op => instructions(op, operand, result),
        };
        let count = registers as f64;
        match (instructions, &mut self.demand) {
            (Instructions::Of(kinds), demand) => {
                self.instructions += registers * kinds.len();
                let Some(demand) = demand else { return 0.0 };
                kinds.iter().for_each(|&kind| demand.compute(kind, BYTES, count));
                kinds.iter().map(|&kind| demand.core.cost(kind).latency).sum()
            }
            (Instructions::Divider(quotient), demand) => {
                self.instructions += registers;
                let Some(demand) = demand else { return 0.0 };
                demand.divide(quotient, BYTES, count);
                demand.core.cost(Kind::Divide).latency
            }
            (Instructions::EachLane, demand) => {
                self.instructions += SCALAR_DIVISION * self.lanes;
                let Some(demand) = demand else { return 0.0 };
                demand.scalar((SCALAR_DIVISION * self.lanes) as f64);
                SCALAR_DIVISION as f64
            }
        }
    }

    fn registers(&self, dtype: Dtype) -> usize {
        (self.lanes * dtype.size()).div_ceil(BYTES)
    }

    fn load(&mut self, dtype: Dtype) {
        let registers = self.registers(dtype);
        self.instructions += registers;
        let count = registers as f64;
        self.demand
            .iter_mut()
            .for_each(|demand| demand.load(BYTES, count, count));
    }

    fn store(&mut self, dtype: Dtype) {
        let registers = self.registers(dtype);
        self.instructions += registers;
        let count = registers as f64;
        self.demand.iter_mut().for_each(|demand| demand.store(BYTES, count));
    }

    fn set_latency(&mut self, path: f64, chain: f64) {
        if let Some(demand) = &mut self.demand {
            demand.path = demand.core.load_latency + path;
            demand.chain = chain;
        }
    }
}

/// Instructions of a quotient of integers, and the cycles it takes: about as many.
const SCALAR_DIVISION: usize = 20;

/// The instructions of an extremum of floats on x86-64 that keeps NaN and the sign of zero.
const EXTREMUM_X86_64: [Kind; 8] = [
    Kind::Add,
    Kind::Add,
    Kind::Simple,
    Kind::Simple,
    Kind::Add,
    Kind::Compare,
    Kind::Shift,
    Kind::Simple,
];

/// What an op becomes.
enum Instructions {
    /// These, one after the other, for each register.
    Of(&'static [Kind]),
    Divider(Quotient),
    /// Scalar code for each lane.
    EachLane,
}

fn instructions(op: Op, operand: Dtype, result: Dtype) -> Instructions {
    use Instructions::{Divider, EachLane, Of};
    let is_float = operand.is_float();
    match op {
        Op::Param(_) | Op::Const(_) | Op::Literal(_) | Op::Bitcast(_) => Of(&[]),
        Op::Add | Op::Sub | Op::Minimum | Op::Maximum if is_float => Of(&[Kind::Add]),
        Op::Mul if is_float => Of(&[Kind::Multiply]),
        Op::Fma if is_float => Of(&[Kind::MultiplyAdd]),
        Op::Mul => Of(&[Kind::IntegerMultiply]),
        Op::Fma => Of(&[Kind::IntegerMultiply, Kind::Simple]),
        Op::Div if operand == Dtype::F64 => Divider(Quotient::DivF64),
        Op::Div => Divider(Quotient::DivF32),
        Op::Sqrt if operand == Dtype::F64 => Divider(Quotient::SqrtF64),
        Op::Sqrt => Divider(Quotient::SqrtF32),
        Op::TruncDiv | Op::Rem => EachLane,
        Op::Floor | Op::Ceil | Op::Trunc | Op::Round => Of(&[Kind::Round]),
        Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge if is_float => Of(&[Kind::Compare]),
        Op::Shl | Op::Shr => Of(&[Kind::Shift]),
        // Loads and a transposition of rows, shared by columns.
        Op::Lookup(column) if column.table().dtype() == Dtype::F64 => Of(&[Kind::Shuffle]),
        Op::Lookup(_) => Of(&[Kind::Shuffle, Kind::Shuffle]),
        Op::Select | Op::Rare => Of(&[Kind::Blend]),
        Op::Cast(_) if operand.size() == result.size() => Of(&[Kind::Convert]),
        Op::Cast(_) => Of(&[Kind::Resize]),
        _ => Of(&[Kind::Simple]),
    }
}
