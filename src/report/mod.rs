//! Under construction.

use crate::pipeline::{Prepared, Program};

/// What a program did.
#[derive(Clone, Debug)]
pub struct Report {}

impl Report {
    pub(crate) fn of(_program: &Program, _prepared: Option<&Prepared>) -> Report {
        Report {}
    }

    pub(crate) fn uncalled(_name: &str) -> Report {
        Report {}
    }
}
