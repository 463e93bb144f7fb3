//! The interpreter of nests: what a nest does to buffers, element by element.
//!
//! In: a nest, a binding, and a buffer per operand. Out: the buffers, with the outputs written. It follows the order of a
//! reduction from the module's definition and nothing else (no vectors, no blocks in flight), and so is what generated code
//! is compared with, bit for bit.

use loopweave_ir::Scalar;
use loopweave_ir::interp::{EvalError, Evaluator};

use super::{Axis, AxisRole, Binding, Leaf, Nest, OperandId, Order, Reduce};

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
    match &nest.leaf {
        Leaf::Map { map, loads, stores } => {
            let mut map = Evaluator::new(map)?;
            let mut args = Vec::new();
            for index in indices(&kept) {
                machine.load(loads, &index, buffers, &mut args);
                let results = map.eval(&args, 0)?;
                machine.store(stores, &index, results, buffers);
            }
        }
        Leaf::Reduce(reduce) => {
            let mut map = Evaluator::new(&reduce.map)?;
            let mut finish = Evaluator::new(&reduce.finish)?;
            let mut fold = Fold::new(reduce)?;
            let mut args = Vec::new();
            for kept_index in indices(&kept) {
                let mut elements = Vec::new();
                for (position, reduced_index) in indices(&reduced).enumerate() {
                    let index: Vec<usize> = kept_index.iter().zip(&reduced_index).map(|(a, b)| a + b).collect();
                    machine.load(&reduce.loads, &index, buffers, &mut args);
                    elements.push(map.eval(&args, position as i64)?.to_vec());
                }
                let count = elements.len() as i64;
                let Some(value) = fold.run(elements)? else { continue };
                machine.load(&reduce.finish_loads, &kept_index, buffers, &mut args);
                let inputs: Vec<Scalar> = value
                    .into_iter()
                    .chain([Scalar::from(count)])
                    .chain(args.drain(..))
                    .collect();
                let results = finish.eval(&inputs, 0)?.to_vec();
                machine.store(&reduce.stores, &kept_index, &results, buffers);
            }
        }
        Leaf::MatMul(product) => {
            let (mut left, mut right) = (Evaluator::new(&product.left.map)?, Evaluator::new(&product.right.map)?);
            let (mut combine, mut finish) = (Evaluator::new(&product.combine)?, Evaluator::new(&product.finish)?);
            let mut args = Vec::new();
            for kept_index in indices(&kept) {
                let mut acc = product.zero;
                for reduced_index in indices(&reduced) {
                    let index: Vec<usize> = kept_index.iter().zip(&reduced_index).map(|(a, b)| a + b).collect();
                    machine.load(&product.left.loads, &index, buffers, &mut args);
                    let a = left.eval(&args, 0)?[0];
                    machine.load(&product.right.loads, &index, buffers, &mut args);
                    let b = right.eval(&args, 0)?[0];
                    acc = combine.eval(&[acc, a, b], 0)?[0];
                }
                machine.load(&product.finish_loads, &kept_index, buffers, &mut args);
                args.insert(0, acc);
                let results = finish.eval(&args, 0)?.to_vec();
                machine.store(&product.stores, &kept_index, &results, buffers);
            }
        }
    }
    Ok(())
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
        let steps: isize = bound
            .strides
            .iter()
            .zip(index)
            .map(|(&stride, &i)| stride * i as isize)
            .sum();
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
