//! The page of a report: `--html FILE`.
//!
//! In: a program and the layouts of its arguments. Out: a file.

use std::fs;
use std::path::Path;

use super::error::CliError;
use super::explain::report;
use super::subject::Subject;
use crate::codegen::{print_asm, print_clif};
use crate::error::Error;
use crate::pipeline::Program;
use crate::report::Listing;
use crate::shape::Layout;

/// Writes the page; without layouts, one that knows no loops and no code.
pub(super) fn write(
    file: &Path,
    program: &Program,
    subject: &Subject,
    layouts: Option<&[Layout]>,
) -> Result<(), CliError> {
    let report = report(program, subject, layouts)?;
    let listings = layouts.map(|layouts| listings(program, layouts)).transpose()?;
    let page = report.html(subject.source(), &listings.unwrap_or_default());
    fs::write(file, page).map_err(|source| CliError::Write {
        path: file.to_owned(),
        source,
    })
}

/// The loops and the code of each kernel.
fn listings(program: &Program, layouts: &[Layout]) -> Result<Vec<Listing>, Error> {
    let target = &program.options().target;
    let listing = |scheduled: &crate::nest::schedule::Scheduled| {
        Ok(Listing {
            nest: scheduled.nest.to_string(),
            clif: print_clif(&scheduled.nest, target)?,
            asm: print_asm(&scheduled.nest, target)?,
        })
    };
    program.schedule(layouts)?.iter().map(listing).collect()
}
