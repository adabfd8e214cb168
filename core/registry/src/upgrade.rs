//! Formats of entries and snapshots: what is older is brought up to date here, what is newer
//! is refused, so that a member that is behind in its version stops instead of diverging.

use caprock_proto::caprock::registry::Entry;

use crate::FORMAT;

/// An entry that this build cannot apply. The member must not go on: others may have
/// applied it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("format {found} of the log is newer than {FORMAT}, the newest that this build knows")]
    Newer { found: u32 },
    #[error("the log has an entry without a format")]
    NoFormat,
    #[error("the log has a command that this build does not know")]
    UnknownCommand,
}

/// Whether this build can read the format. There has been no other than the first, so an
/// entry or a record needs no change; a second format gets its conversion here.
pub(crate) fn check_format(format: u32) -> Result<(), Unsupported> {
    match format {
        0 => Err(Unsupported::NoFormat),
        FORMAT => Ok(()),
        found => Err(Unsupported::Newer { found }),
    }
}

/// Whether this build can apply the entry as it is.
pub(crate) fn check_entry(entry: &Entry) -> Result<(), Unsupported> {
    check_format(entry.format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_present_format_is_read() {
        assert_eq!(check_format(FORMAT), Ok(()));
        assert_eq!(check_format(0), Err(Unsupported::NoFormat));
        assert_eq!(
            check_format(FORMAT + 1),
            Err(Unsupported::Newer { found: FORMAT + 1 })
        );
    }
}
