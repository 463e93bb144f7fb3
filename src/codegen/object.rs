//! Object files: kernels as symbols that a linker takes.
//!
//! In: nests with the names their symbols begin with. Out: the bytes of a relocatable object of the target's format.
//!
//! A kernel `k` is the symbol `k`, with the interface of [`abi`](crate::codegen::abi). It may refer to functions of libm.

use cranelift_module::default_libcall_names;
use cranelift_object::{ObjectBuilder, ObjectModule};

use crate::codegen::{CodegenError, clif};
use crate::nest::Nest;
use crate::target::{Placement, Target};

/// Compiles kernels into one object file.
///
/// # Errors
/// As [`clif::define`]; two kernels of one name are an error of the code generator's.
pub fn emit_object(kernels: &[(&str, &Nest)], target: &Target) -> Result<Vec<u8>, CodegenError> {
    let isa = target.isa(Placement::Object)?;
    let builder = ObjectBuilder::new(isa, "loopweave", default_libcall_names()).map_err(|e| CodegenError::Module {
        symbol: "loopweave".to_owned(),
        source: Box::new(e),
    })?;
    let mut module = ObjectModule::new(builder);
    for (symbol, nest) in kernels {
        clif::define(&mut module, nest, target, symbol)?;
    }
    module.finish().emit().map_err(|e| CodegenError::Object(e.to_string()))
}
