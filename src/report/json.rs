//! Reports as JSON.
//!
//! In: a [`Report`]. Out: text with the fields in the order of their declaration; and back.

use super::Report;

impl Report {
    /// The report as JSON for tools; the module's docs describe the schema.
    ///
    /// ```
    /// use loopweave::prelude::*;
    /// let json = jit::map(|x| x.exp())?.report().json();
    /// let report: Report = serde_json::from_str(&json)?;
    /// assert_eq!(report.program, "map");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys and numbers that are finite")
    }
}
