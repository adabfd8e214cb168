//! The parameters of a query string or of a form body.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// Decoded parameters by name; of a repeated one the last counts.
pub fn parse(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(parse_pair)
        .collect()
}

fn parse_pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(name), decode(value))
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let parsed = parse("path=%2Fa+b%2bc&offset=-1&flag&&x=1=2");
        assert_eq!(parsed["path"], "/a b+c");
        assert_eq!(parsed["offset"], "-1");
        assert_eq!(parsed["flag"], "");
        assert_eq!(parsed["x"], "1=2");
        assert_eq!(parsed.len(), 4);
    }
}
