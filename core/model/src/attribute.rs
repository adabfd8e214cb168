//! Agent attributes: `rack:a;zone:7;ports:[1-2];disks:{a,b}`.

use caprock_proto::mesos::v1::{Attribute, value};

use crate::resources::{ResourceError, parse_value};

/// Reads the text form of attributes. A value is a scalar, ranges, a set, or else text.
pub fn parse(text: &str) -> Result<Vec<Attribute>, ResourceError> {
    text.split([';', '\n'])
        .filter(|token| !token.trim().is_empty())
        .map(parse_one)
        .collect()
}

fn parse_one(token: &str) -> Result<Attribute, ResourceError> {
    let Some((name, value)) = token.split_once(':') else {
        return Err(ResourceError(format!(
            "Invalid attribute key:value pair '{token}'"
        )));
    };
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err(ResourceError(format!(
            "Invalid attribute key:value pair '{token}'"
        )));
    }
    let parsed = parse_value(value)?;
    Ok(Attribute {
        name: name.to_owned(),
        r#type: parsed.r#type,
        scalar: parsed.scalar,
        ranges: parsed.ranges,
        set: parsed.set,
        text: parsed.text,
    })
}

/// The first attribute of this name: the one that offer constraints look at.
pub fn first<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name == name)
}

/// The text of an attribute of type TEXT.
pub fn text_of(attribute: &Attribute) -> Option<&str> {
    if attribute.r#type != value::Type::Text as i32 {
        return None;
    }
    attribute.text.as_ref().map(|text| text.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_types() {
        let attributes =
            parse("rack:a;zone:7;free:[1-2, 4-4];disks:{sda,sdb};url:http://x").unwrap();
        let types: Vec<i32> = attributes
            .iter()
            .map(|attribute| attribute.r#type)
            .collect();
        assert_eq!(types, [3, 0, 1, 2, 3]);
        assert_eq!(text_of(&attributes[0]), Some("a"));
        assert_eq!(text_of(&attributes[1]), None);
        assert_eq!(attributes[1].scalar.unwrap().value, 7.0);
        assert_eq!(text_of(&attributes[4]), Some("http://x"));
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let attributes = parse("rack:a;rack:b").unwrap();
        assert_eq!(first(&attributes, "rack").and_then(text_of), Some("a"));
        assert_eq!(first(&attributes, "row"), None);
    }

    #[test]
    fn broken_text_is_refused() {
        for text in ["rack", "rack:", ":a", "rack:[1-", "rack:{a"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse(""), Ok(vec![]));
    }
}
