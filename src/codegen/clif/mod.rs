//! Under construction.

use crate::codegen::CodegenError;
use crate::nest::Nest;
use crate::target::Target;
pub enum Form {
    Ir,
    Assembly,
}
pub struct KernelIds {
    pub main: cranelift_module::FuncId,
    pub blocks: Option<cranelift_module::FuncId>,
    pub finish: Option<cranelift_module::FuncId>,
    pub size: usize,
    pub emit: std::time::Duration,
}
pub fn define(
    _m: &mut dyn cranelift_module::Module,
    _n: &Nest,
    t: &Target,
    _s: &str,
) -> Result<KernelIds, CodegenError> {
    Err(CodegenError::Foreign(t.name().into()))
}
pub fn print(_n: &Nest, t: &Target, _f: Form) -> Result<String, CodegenError> {
    Err(CodegenError::Foreign(t.name().into()))
}
