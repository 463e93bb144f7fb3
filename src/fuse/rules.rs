//! Under construction.
use super::Plan;
use crate::graph::Graph;
/// Under construction.
pub fn plan(_graph: &Graph) -> Plan {
    Plan {
        groups: Vec::new(),
        decisions: Vec::new(),
    }
}
