//! The interpreter of nests: what a nest does to buffers, element by element.
//!
//! In: a nest, a binding, and a buffer per operand. Out: the buffers, with the outputs written. It follows the order of a
//! reduction from the module's definition and nothing else (no vectors, no blocks in flight), and so is what generated code
//! is compared with, bit for bit.

use loopweave_ir::Scalar;
use loopweave_ir::interp::{EvalError, Evaluator};

use super::{Axis, AxisRole, Binding, Leaf, MatMul, Nest, OperandId, Order, Reduce, Role};

/// The bytes of an operand, and where in them the view's first logical element stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The memory.
    pub bytes: Vec<u8>,
    /// The position of the first logical element, in bytes.
    pub origin: usize,
}

/// Runs a nest on buffers, one per operand. The binding must have passed [`super::verify::verify`] for buffers of these sizes.
///
/// # Errors
/// A function of the nest that holds an op without a direct meaning; lowering leaves none.
pub fn run(nest: &Nest, binding: &Binding, buffers: &mut [Buffer]) -> Result<(), EvalError> {
    let kept = axes_of(nest, binding, AxisRole::Kept);
    let reduced = axes_of(nest, binding, AxisRole::Reduced);
    let machine = Machine { nest, binding };
    let whole = vec![0; nest.axes.len()];
    match &nest.leaf {
        Leaf::Map { .. } | Leaf::Reduce(_) | Leaf::MatMul(_) => {
            let rows: Vec<Vec<usize>> = match &nest.leaf {
                Leaf::Map { .. } => vec![whole],
                _ => indices(&kept).collect(),
            };
            let space = if matches!(nest.leaf, Leaf::Map { .. }) {
                &kept
            } else {
                &reduced
            };
            let mut stage = Stage::new(&nest.leaf)?;
            for row in rows {
                stage.run(&machine, &row, space, buffers)?;
            }
        }
        Leaf::Rows(stages) => {
            let mut stages = stages.iter().map(Stage::new).collect::<Result<Vec<_>, _>>()?;
            for row in indices(&kept) {
                for stage in &mut stages {
                    stage.run(&machine, &row, &reduced, buffers)?;
                }
            }
        }
    }
    Ok(())
}

/// A leaf, ready to run at one index after the other.
enum Stage<'a> {
    Map(Evaluator<'a>, &'a [OperandId], &'a [OperandId]),
    Reduce {
        reduce: &'a Reduce,
        map: Evaluator<'a>,
        fold: Fold<'a>,
        finish: Evaluator<'a>,
    },
    MatMul {
        product: &'a MatMul,
        left: Evaluator<'a>,
        right: Evaluator<'a>,
        combine: Evaluator<'a>,
        finish: Evaluator<'a>,
    },
}

impl<'a> Stage<'a> {
    fn new(leaf: &'a Leaf) -> Result<Stage<'a>, EvalError> {
        Ok(match leaf {
            Leaf::Map { map, loads, stores } => Stage::Map(Evaluator::new(map)?, loads, stores),
            Leaf::Reduce(reduce) => Stage::Reduce {
                reduce,
                map: Evaluator::new(&reduce.map)?,
                fold: Fold::new(reduce)?,
                finish: Evaluator::new(&reduce.finish)?,
            },
            Leaf::MatMul(product) => Stage::MatMul {
                product,
                left: Evaluator::new(&product.left.map)?,
                right: Evaluator::new(&product.right.map)?,
                combine: Evaluator::new(&product.combine)?,
                finish: Evaluator::new(&product.finish)?,
            },
            Leaf::Rows(_) => unreachable!("verified: the stages of rows are maps and reductions"),
        })
    }

    /// Computes what belongs to one index: a map the whole of `space`, the others what they reduce over it.
    fn run(
        &mut self,
        machine: &Machine<'_>,
        at: &[usize],
        space: &[usize],
        buffers: &mut [Buffer],
    ) -> Result<(), EvalError> {
        let mut args = Vec::new();
        let within = indices(space).map(|index| at.iter().zip(&index).map(|(a, b)| a + b).collect::<Vec<_>>());
        match self {
            Stage::Map(map, loads, stores) => {
                for index in within {
                    machine.load(loads, &index, buffers, &mut args);
                    let results = map.eval(&args, 0)?;
                    machine.store(stores, &index, results, buffers);
                }
            }
            Stage::Reduce {
                reduce,
                map,
                fold,
                finish,
            } => {
                let mut elements = Vec::new();
                for (position, index) in within.enumerate() {
                    machine.load(&reduce.loads, &index, buffers, &mut args);
                    elements.push(map.eval(&args, position as i64)?.to_vec());
                }
                let count = elements.len() as i64;
                let Some(value) = fold.run(elements)? else {
                    return Ok(());
                };
                machine.load(&reduce.finish_loads, at, buffers, &mut args);
                let inputs: Vec<Scalar> = value
                    .into_iter()
                    .chain([Scalar::from(count)])
                    .chain(args.drain(..))
                    .collect();
                let results = finish.eval(&inputs, 0)?.to_vec();
                machine.store(&reduce.stores, at, &results, buffers);
            }
            Stage::MatMul {
                product,
                left,
                right,
                combine,
                finish,
            } => {
                let mut acc = product.zero;
                for index in within {
                    machine.load(&product.left.loads, &index, buffers, &mut args);
                    let a = left.eval(&args, 0)?[0];
                    machine.load(&product.right.loads, &index, buffers, &mut args);
                    let b = right.eval(&args, 0)?[0];
                    acc = combine.eval(&[acc, a, b], 0)?[0];
                }
                machine.load(&product.finish_loads, at, buffers, &mut args);
                args.insert(0, acc);
                let results = finish.eval(&args, 0)?.to_vec();
                machine.store(&product.stores, at, &results, buffers);
            }
        }
        Ok(())
    }
}

/// Every axis with its extent where it has the role, else with extent 1, so that indices of the two roles add up.
fn axes_of(nest: &Nest, binding: &Binding, role: AxisRole) -> Vec<usize> {
    let extent = |(axis, &extent): (&Axis, &usize)| if axis.role == role { extent } else { 1 };
    nest.axes.iter().zip(&binding.extents).map(extent).collect()
}

/// All indices of a space in C order.
fn indices(extents: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let total: usize = extents.iter().product();
    let extents = extents.to_vec();
    (0..total).map(move |mut position| {
        let mut index = vec![0; extents.len()];
        for (i, &extent) in extents.iter().enumerate().rev() {
            index[i] = position % extent;
            position /= extent;
        }
        index
    })
}

struct Machine<'a> {
    nest: &'a Nest,
    binding: &'a Binding,
}

impl Machine<'_> {
    fn position(&self, operand: OperandId, index: &[usize], buffer: &Buffer) -> usize {
        let bound = &self.binding.operands[operand.index()];
        // What is local to a row is at the first index of the kept axes.
        let is_local = self.nest.operand(operand).role == Role::Local;
        let step = |((&stride, &i), axis): ((&isize, &usize), &Axis)| match is_local && axis.role == AxisRole::Kept {
            true => 0,
            false => stride * i as isize,
        };
        let steps: isize = bound.strides.iter().zip(index).zip(&self.nest.axes).map(step).sum();
        (buffer.origin as isize + bound.offset + steps) as usize
    }

    fn load(&self, operands: &[OperandId], index: &[usize], buffers: &[Buffer], values: &mut Vec<Scalar>) {
        values.clear();
        for &operand in operands {
            let buffer = &buffers[operand.index()];
            let at = self.position(operand, index, buffer);
            let dtype = self.nest.operand(operand).dtype;
            let mut word = [0; 8];
            word[..dtype.size()].copy_from_slice(&buffer.bytes[at..at + dtype.size()]);
            values.push(Scalar::from_bits(dtype, u64::from_le_bytes(word)));
        }
    }

    fn store(&self, operands: &[OperandId], index: &[usize], values: &[Scalar], buffers: &mut [Buffer]) {
        for (&operand, value) in operands.iter().zip(values) {
            let buffer = &mut buffers[operand.index()];
            let at = self.position(operand, index, buffer);
            let size = self.nest.operand(operand).dtype.size();
            buffer.bytes[at..at + size].copy_from_slice(&value.bits().to_le_bytes()[..size]);
        }
    }
}

/// The combination of elements in the order of a reduction.
struct Fold<'a> {
    reduce: &'a Reduce,
    combine: Evaluator<'a>,
}

type Values = Vec<Scalar>;

impl<'a> Fold<'a> {
    fn new(reduce: &'a Reduce) -> Result<Fold<'a>, EvalError> {
        Ok(Fold {
            reduce,
            combine: Evaluator::new(&reduce.combine)?,
        })
    }

    /// The combined value of all elements, or `None` where there is none and no initial value either.
    fn run(&mut self, elements: Vec<Values>) -> Result<Option<Values>, EvalError> {
        if elements.is_empty() {
            return Ok(self.reduce.init.clone());
        }
        let mut blocks = Vec::new();
        for block in elements.chunks(self.reduce.order.block() as usize) {
            blocks.push(match self.reduce.order {
                Order::Lanes { lanes, .. } => self.lanes(block, lanes as usize)?,
                Order::Chain { .. } => self.chain(block)?,
            });
        }
        let mut h = 1;
        while h < blocks.len() {
            for i in (0..blocks.len() - h).step_by(2 * h) {
                blocks[i] = self.combine(&blocks[i], &blocks[i + h])?;
            }
            h *= 2;
        }
        let total = blocks.swap_remove(0);
        match &self.reduce.init {
            Some(init) if self.reduce.apply_init => Ok(Some(self.combine(&init.clone(), &total)?)),
            _ => Ok(Some(total)),
        }
    }

    fn lanes(&mut self, block: &[Values], lanes: usize) -> Result<Values, EvalError> {
        let mut lane: Vec<Values> = block[..lanes.min(block.len())].to_vec();
        for (i, element) in block.iter().enumerate().skip(lanes) {
            lane[i % lanes] = self.combine(&lane[i % lanes], element)?;
        }
        let mut h = lanes / 2;
        while h > 0 {
            for i in 0..h.min(lane.len().saturating_sub(h)) {
                lane[i] = self.combine(&lane[i], &lane[i + h])?;
            }
            h /= 2;
        }
        Ok(lane.swap_remove(0))
    }

    fn chain(&mut self, block: &[Values]) -> Result<Values, EvalError> {
        let mut value = block[0].clone();
        for element in &block[1..] {
            value = self.combine(&value, element)?;
        }
        Ok(value)
    }

    fn combine(&mut self, a: &[Scalar], b: &[Scalar]) -> Result<Values, EvalError> {
        let args: Vec<Scalar> = a.iter().chain(b).copied().collect();
        Ok(self.combine.eval(&args, 0)?.to_vec())
    }
}
