//! Under construction.
use super::Graph;
pub(super) fn print(_graph: &Graph, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    Ok(())
}
