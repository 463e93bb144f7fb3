//! Under construction.
use super::Nest;
pub(super) fn print(_nest: &Nest, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    Ok(())
}
