//! The flags of the rewrites that may change results: what a user allows, by name.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use crate::op::Accuracy;

/// A set of permissions to change results; none of them is given by default.
///
/// ```
/// use loopweave_ir::simplify::Fast;
/// let fast: Fast = "contract,nsz".parse()?;
/// assert!(fast.contains(Fast::CONTRACT) && !fast.contains(Fast::RECIP));
/// assert_eq!(fast, Fast::CONTRACT | Fast::NSZ);
/// assert_eq!(fast.to_string(), "contract,nsz");
/// # Ok::<(), loopweave_ir::simplify::UnknownFlag>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fast(u8);

impl Fast {
    /// No permission: every result keeps its bits.
    pub const NONE: Fast = Fast(0);
    /// A product and a sum may round once, as a fused multiply-add.
    pub const CONTRACT: Fast = Fast(1);
    /// Sums and products may be regrouped.
    pub const REASSOC: Fast = Fast(1 << 1);
    /// A division may become a multiplication by the reciprocal.
    pub const RECIP: Fast = Fast(1 << 2);
    /// Operands and results may be taken to be no NaN.
    pub const NNAN: Fast = Fast(1 << 3);
    /// Operands and results may be taken to be finite.
    pub const NINF: Fast = Fast(1 << 4);
    /// The sign of a zero may be ignored.
    pub const NSZ: Fast = Fast(1 << 5);
    /// Functions may be off by up to 4 ulp: [`Accuracy::Fast`].
    pub const APPROX: Fast = Fast(1 << 6);
    /// Every permission.
    pub const ALL: Fast = Fast((1 << 7) - 1);

    /// Values that are numbers.
    pub(super) const FINITE: Fast = Fast::NNAN.union(Fast::NINF);
    /// What makes x · 0 a 0.
    pub(super) const NSZ_NNAN: Fast = Fast::NSZ.union(Fast::NNAN);

    const NAMED: [(&'static str, Fast); 7] = [
        ("contract", Fast::CONTRACT),
        ("reassoc", Fast::REASSOC),
        ("recip", Fast::RECIP),
        ("nnan", Fast::NNAN),
        ("ninf", Fast::NINF),
        ("nsz", Fast::NSZ),
        ("approx", Fast::APPROX),
    ];

    /// Whether every permission of `other` is given.
    pub const fn contains(self, other: Fast) -> bool {
        self.0 & other.0 == other.0
    }

    /// How exact functions are to be.
    pub const fn accuracy(self) -> Accuracy {
        if self.contains(Fast::APPROX) {
            Accuracy::Fast
        } else {
            Accuracy::Precise
        }
    }

    /// Whether no permission is given.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permissions of `self` but not of `other`.
    pub const fn without(self, other: Fast) -> Fast {
        Fast(self.0 & !other.0)
    }

    /// The permissions of both; `|` in constants.
    pub const fn union(self, other: Fast) -> Fast {
        Fast(self.0 | other.0)
    }
}

impl BitOr for Fast {
    type Output = Fast;

    fn bitor(self, other: Fast) -> Fast {
        self.union(other)
    }
}

impl fmt::Debug for Fast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fast({self})")
    }
}

/// The names in the order of declaration, separated by commas; `none` for the empty set, `all` for the full one.
impl fmt::Display for Fast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fast::NONE => f.pad("none"),
            Fast::ALL => f.pad("all"),
            set => {
                let names = Fast::NAMED.iter().filter(|(_, flag)| set.contains(*flag));
                f.pad(&names.map(|(name, _)| *name).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// A name that is no flag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a fast-math flag; expected a comma list of contract, reassoc, recip, nnan, ninf, nsz, approx, or all, none"
)]
pub struct UnknownFlag(pub String);

impl FromStr for Fast {
    type Err = UnknownFlag;

    fn from_str(s: &str) -> Result<Fast, UnknownFlag> {
        let mut set = Fast::NONE;
        for name in s.split(',').map(str::trim) {
            set = set
                | match name {
                    "all" => Fast::ALL,
                    "none" => Fast::NONE,
                    _ => {
                        let known = Fast::NAMED.iter().find(|(known, _)| *known == name);
                        known.ok_or_else(|| UnknownFlag(name.to_owned()))?.1
                    }
                };
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_prints_and_parses() {
        for set in (0..=Fast::ALL.0).map(Fast) {
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert_eq!("contract, nan".parse::<Fast>(), Err(UnknownFlag("nan".to_owned())));
    }
}
