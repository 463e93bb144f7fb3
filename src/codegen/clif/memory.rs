//! Loads and stores of the elements of an operand along the vector axis.
//!
//! In: an [`Access`], an index along the axis and a number of lanes. Out: lanes in registers, or in memory.
//!
//! Neighbours in memory move as vectors, of no alignment but the element's; other elements one by one. Invariant: no byte
//! but those of the elements asked for is touched, as another mapping may end right after them.

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use loopweave_ir::Dtype;

use super::emit::Emitter;
use super::value::{Lanes, Registers, int_vector, registers, scalar_type, vector_type};
use crate::nest::{OperandId, Stride};

/// How the elements of one operand are reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// The type of the elements in memory.
    pub(super) dtype: Dtype,
    /// How they lie along the vector axis.
    pub(super) stride: Stride,
    /// The element at index 0 of the axis.
    pub(super) pointer: Value,
    /// The distance between neighbours in bytes, where it is not known.
    step: Option<Value>,
}

/// Flags of every access to an operand: its bounds were checked, its alignment was not.
fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

impl Access {
    /// Neighbours in memory from an address on.
    pub(super) fn contiguous(dtype: Dtype, pointer: Value) -> Access {
        Access {
            dtype,
            stride: Stride::Unit,
            pointer,
            step: None,
        }
    }
}

impl Emitter<'_> {
    /// The accesses to some operands along an axis, with the pointers of all operands.
    pub(super) fn accesses(&mut self, ids: &[OperandId], pointers: &[Value], axis: usize) -> Vec<Access> {
        ids.iter()
            .map(|id| {
                let operand = self.nest.operand(*id);
                let (dtype, stride) = (operand.dtype, operand.stride);
                Access {
                    dtype,
                    stride,
                    pointer: pointers[id.index()],
                    step: (stride != Stride::Unit).then(|| self.stride(id.index(), axis)),
                }
            })
            .collect()
    }

    /// The element at the access's pointer.
    pub(super) fn load_scalar(&mut self, dtype: Dtype, pointer: Value) -> Value {
        self.b.ins().load(scalar_type(dtype), flags(), pointer, 0)
    }

    /// Stores one element.
    pub(super) fn store_scalar(&mut self, value: Value, pointer: Value) {
        self.b.ins().store(flags(), value, pointer, 0);
    }

    /// Loads `count` elements from index `i + ahead` on.
    pub(super) fn load(&mut self, access: &Access, i: Value, ahead: usize, count: usize) -> Lanes {
        let dtype = access.dtype;
        let width = dtype.size();
        if access.stride != Stride::Unit {
            let scalars: Registers = self
                .addresses(access, i, ahead, count)
                .into_iter()
                .map(|address| self.load_scalar(dtype, address))
                .collect();
            return self.gather(dtype, &scalars);
        }
        let address = self.unit_address(access, i);
        let offset = (ahead * width) as i32;
        if count == 1 {
            let value = self.b.ins().load(scalar_type(dtype), flags(), address, offset);
            return Lanes::scalar(dtype, value);
        }
        let ty = vector_type(dtype);
        let loaded: Registers = match count * width {
            bytes @ (8 | 4) => {
                // A load into the low part of a register, which clears the rest.
                let (part, whole) = if bytes == 8 {
                    (types::F64, types::F64X2)
                } else {
                    (types::F32, types::F32X4)
                };
                let low = self.b.ins().load(part, flags(), address, offset);
                let register = self.b.ins().scalar_to_vector(whole, low);
                Registers::from_elem(self.retype(register, ty), 1)
            }
            2 => {
                let low = self.b.ins().load(types::I16, flags(), address, offset);
                let low = self.b.ins().uextend(types::I32, low);
                let register = self.b.ins().scalar_to_vector(types::I32X4, low);
                Registers::from_elem(self.retype(register, ty), 1)
            }
            _ => {
                let loaded = if self.loads_integers { int_vector(width) } else { ty };
                let load = |r| {
                    let register = self.b.ins().load(loaded, flags(), address, offset + 16 * r);
                    self.retype(register, ty)
                };
                (0..registers(count, width) as i32).map(load).collect()
            }
        };
        let lanes = Lanes::new(dtype, count, width, loaded);
        if dtype == Dtype::Bool {
            self.mask_from_bytes(lanes)
        } else {
            lanes
        }
    }

    /// Stores the lanes of a value from index `i + ahead` on.
    pub(super) fn store(&mut self, access: &Access, i: Value, ahead: usize, value: &Lanes) {
        if access.stride != Stride::Unit {
            for (lane, address) in self.addresses(access, i, ahead, value.count).into_iter().enumerate() {
                let element = self.extract(value, lane);
                self.store_scalar(element, address);
            }
            return;
        }
        let width = access.dtype.size();
        let address = self.unit_address(access, i);
        let offset = (ahead * width) as i32;
        if value.count == 1 {
            self.b.ins().store(flags(), value.first(), address, offset);
            return;
        }
        let stored = if value.dtype == Dtype::Bool {
            self.bytes_from_mask(value)
        } else {
            value.registers.clone()
        };
        let part = match value.count * width {
            8 => Some((types::F64X2, 0)),
            4 => Some((types::F32X4, 0)),
            2 => Some((types::I16X8, 0)),
            _ => None,
        };
        if let Some((ty, lane)) = part {
            let register = self.retype(stored[0], ty);
            let low = self.b.ins().extractlane(register, lane as u8);
            self.b.ins().store(flags(), low, address, offset);
            return;
        }
        for (r, &register) in stored.iter().enumerate() {
            self.b.ins().store(flags(), register, address, offset + 16 * r as i32);
        }
    }

    /// Bytes of 0 and 1 from a mask.
    fn bytes_from_mask(&mut self, mask: &Lanes) -> Registers {
        let one = self.vector_const(types::I8X16, 1, |_| 1);
        let mask = self.mask_to_width(mask, 1);
        mask.registers.iter().map(|&r| self.b.ins().band(r, one)).collect()
    }

    /// The address of index `i` among neighbours, in the form that folds into an addressing mode.
    pub(super) fn unit_address(&mut self, access: &Access, i: Value) -> Value {
        let shift = access.dtype.size().trailing_zeros() as i64;
        let offset = if shift == 0 {
            i
        } else {
            self.b.ins().ishl_imm_u(i, shift)
        };
        self.b.ins().iadd(access.pointer, offset)
    }

    /// The addresses of `count` elements from index `i + ahead` on, of an operand with a distance between neighbours.
    fn addresses(&mut self, access: &Access, i: Value, ahead: usize, count: usize) -> Registers {
        let Some(step) = access.step else {
            return Registers::new();
        };
        let first = if ahead == 0 {
            i
        } else {
            self.b.ins().iadd_imm_s(i, ahead as i64)
        };
        let offset = self.b.ins().imul(first, step);
        let mut address = self.b.ins().iadd(access.pointer, offset);
        let mut addresses = Registers::from_elem(address, 1);
        for _ in 1..count {
            address = self.b.ins().iadd(address, step);
            addresses.push(address);
        }
        addresses
    }
}
