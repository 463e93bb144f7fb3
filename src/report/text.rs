//! Reports for people.

use std::fmt;

use super::Report;

impl Report {
    /// The report as text.
    pub fn text(&self, level: u8) -> String {
        let _ = level;
        String::new()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(2))
    }
}
