//! Comparison of JSON values.

use serde_json::Value;

/// Checks that everything in `part` is in `whole` too. Numbers are compared by value, since Mesos
/// prints doubles with a fraction always; `whole` may have more fields, such as printed defaults.
pub fn assert_contains(whole: &Value, part: &Value, path: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, part) in part {
                let whole = whole
                    .get(name)
                    .unwrap_or_else(|| panic!("{path}.{name} is lost"));
                assert_contains(whole, part, &format!("{path}.{name}"));
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{path}");
            for (i, (whole, part)) in whole.iter().zip(part).enumerate() {
                assert_contains(whole, part, &format!("{path}[{i}]"));
            }
        }
        (Value::Number(whole), Value::Number(part)) if whole != part => {
            assert_eq!(whole.as_f64(), part.as_f64(), "{path}");
        }
        _ => assert_eq!(whole, part, "{path}"),
    }
}
