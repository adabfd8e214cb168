//! Flag values that name a file or are the text themselves, as stout's flags allow.

use anyhow::Context;

/// The text: inline JSON as it stands, else the content of the file (path or `file://` URL).
pub fn read(value: &str) -> anyhow::Result<String> {
    if value.trim_start().starts_with(['{', '[']) {
        return Ok(value.to_owned());
    }
    let path = value.strip_prefix("file://").unwrap_or(value);
    std::fs::read_to_string(path).with_context(|| format!("cannot read '{path}'"))
}
