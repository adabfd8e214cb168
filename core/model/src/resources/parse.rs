//! The text form of resources: `cpus:4;mem(eng):8192;ports:[31000-32000];disks:{sda,sdb}`,
//! or a JSON array of Resource messages.

use caprock_proto::MesosMessage;
use caprock_proto::mesos::v1::{self, Value, offer, value};

use super::{Amount, Items, Ranges, Reservation, Resource, ResourceError, Resources, Scalar};
use crate::role;

impl Resources {
    /// Reads the text of `--resources`. What names no role is for `default_role`.
    pub fn parse(text: &str, default_role: &str) -> Result<Resources, ResourceError> {
        if text.trim_start().starts_with('[') {
            return Self::parse_json(text, default_role);
        }
        let mut result = Resources::new();
        for token in text
            .split([';', '\n'])
            .filter(|token| !token.trim().is_empty())
        {
            result.insert(&parse_token(token, default_role)?);
        }
        Ok(result)
    }

    fn parse_json(text: &str, default_role: &str) -> Result<Resources, ResourceError> {
        // Any message that is nothing but a list of resources carries the array.
        let message = format!("{{\"resources\":{text}}}");
        let list = offer::operation::Unreserve::from_json(message.as_bytes()).map_err(|error| {
            ResourceError(format!(
                "Some JSON resources were not formatted properly: {error}"
            ))
        })?;
        let mut protos = list.resources;
        for proto in &mut protos {
            set_default_role(proto, default_role);
        }
        Self::from_protos(&protos)
    }
}

fn set_default_role(proto: &mut v1::Resource, default_role: &str) {
    if proto.role.is_none() && proto.reservations.is_empty() {
        proto.role = Some(default_role.to_owned());
    }
}

fn parse_token(token: &str, default_role: &str) -> Result<Resource, ResourceError> {
    let bad = |why: &str| ResourceError(format!("Bad value for resources, {why} in {token}"));
    let missing = || bad("missing or extra ':'");
    let (left, right) = token.split_once(':').ok_or_else(missing)?;
    if right.contains(':') || right.trim().is_empty() {
        return Err(missing());
    }
    let (name, reserved_to) = match left.split_once('(') {
        None => (left.trim(), default_role),
        Some((name, rest)) => {
            let (role, _) = rest
                .split_once(')')
                .ok_or_else(|| bad("mismatched parentheses"))?;
            (name.trim(), role.trim())
        }
    };
    if name.is_empty() {
        return Err(ResourceError("Empty resource name".to_owned()));
    }
    role::validate(reserved_to).map_err(ResourceError)?;
    let amount = amount_of(name, &parse_value(right)?)?;
    let resource = Resource::plain(name, amount);
    if reserved_to == role::ANY {
        return Ok(resource);
    }
    Ok(resource.with_reservations(&[Reservation::fixed(reserved_to)]))
}

fn amount_of(name: &str, value: &Value) -> Result<Amount, ResourceError> {
    let amount = match (value.scalar, &value.ranges, &value.set) {
        (Some(scalar), None, None) => {
            crate::validate::resources::scalar(name, scalar.value).map_err(ResourceError)?;
            Amount::Scalar(Scalar::from_f64(scalar.value))
        }
        (None, Some(ranges), None) => {
            crate::validate::resources::ranges(ranges).map_err(ResourceError)?;
            Amount::Ranges(Ranges::from(ranges))
        }
        (None, None, Some(set)) => {
            crate::validate::resources::set(set).map_err(ResourceError)?;
            Amount::Set(Items::from(set))
        }
        _ => {
            return Err(ResourceError(format!(
                "Bad type for resource {name} value, expecting a scalar, ranges or a set"
            )));
        }
    };
    Ok(amount)
}

/// Reads a value: a scalar, `[1-2, 5-7]`, `{a, b}`, or else text.
pub fn parse_value(text: &str) -> Result<Value, ResourceError> {
    let text = text.trim();
    let mut value = Value::default();
    if text.is_empty() {
        return Err(ResourceError("Expecting non-empty string".to_owned()));
    }
    if text.starts_with('[') {
        value.r#type = value::Type::Ranges as i32;
        value.ranges = Some(parse_ranges(text)?);
    } else if text.starts_with('{') {
        value.r#type = value::Type::Set as i32;
        value.set = Some(parse_set(text)?);
    } else if text.contains(['[', ']', '{', '}']) {
        return Err(unexpected(text));
    } else if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
    {
        let number = text.parse().map_err(|_| unexpected(text))?;
        value.r#type = value::Type::Scalar as i32;
        value.scalar = Some(value::Scalar { value: number });
    } else {
        value.r#type = value::Type::Text as i32;
        value.text = Some(value::Text {
            value: text.to_owned(),
        });
    }
    Ok(value)
}

fn unexpected(text: &str) -> ResourceError {
    ResourceError(format!("Unexpected value '{text}'"))
}

fn parse_ranges(text: &str) -> Result<value::Ranges, ResourceError> {
    let error = || ResourceError(format!("Expecting one or more \"ranges\" in '{text}'"));
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let mut ranges = value::Ranges::default();
    for pair in inner
        .ok_or_else(error)?
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
    {
        let (begin, end) = pair.split_once('-').ok_or_else(error)?;
        let begin = begin.trim().parse().map_err(|_| error())?;
        let end = end.trim().parse().map_err(|_| error())?;
        ranges.range.push(value::Range { begin, end });
    }
    Ok(ranges)
}

fn parse_set(text: &str) -> Result<value::Set, ResourceError> {
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or_else(|| unexpected(text))?;
    let items = inner
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    Ok(value::Set {
        item: items.map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Resources {
        Resources::parse(text, "*").unwrap()
    }

    fn error(text: &str) -> String {
        Resources::parse(text, "*").unwrap_err().to_string()
    }

    #[test]
    fn all_types() {
        let all = parse("cpus:4;mem:8192;disk:10240;ports:[31000-32000];disks:{b, a};gpus:2");
        assert_eq!(
            all.to_string(),
            "cpus:4; gpus:2; mem:8192; disk:10240; ports:[31000-32000]; disks:{a, b}"
        );
        assert_eq!(parse(&all.to_string()), all);
        assert_eq!(parse(" cpus : 1 ; cpus:0.5 "), parse("cpus:1.5"));
        assert_eq!(parse("cpus:0;ports:[]"), Resources::new());
        assert_eq!(parse(""), Resources::new());
    }

    #[test]
    fn static_reservations() {
        let all = parse("cpus(eng):2;cpus:1;mem(*):64");
        assert_eq!(
            all.to_string(),
            "cpus:1; cpus(reservations: [(STATIC,eng)]):2; mem:64"
        );
        let by_default = Resources::parse("cpus:2;mem(*):64", "eng").unwrap();
        assert_eq!(by_default.reserved_to("eng"), parse("cpus(eng):2"));
        assert_eq!(by_default.unreserved(), parse("mem:64"));
    }

    #[test]
    fn json() {
        let text = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":4}},
            {"name":"mem","type":"SCALAR","scalar":{"value":64},"role":"eng"}]"#;
        assert_eq!(parse(text), parse("cpus:4;mem(eng):64"));
        let reserved = Resources::parse(text, "ops").unwrap();
        assert_eq!(reserved, parse("cpus(ops):4;mem(eng):64"));
        assert!(error("[{\"name\":1}]").starts_with("Some JSON resources"));
        assert!(error("[").starts_with("Some JSON resources"));
    }

    #[test]
    fn broken_text_is_refused() {
        assert_eq!(
            error("cpus"),
            "Bad value for resources, missing or extra ':' in cpus"
        );
        assert_eq!(
            error("cpus:1:2"),
            "Bad value for resources, missing or extra ':' in cpus:1:2"
        );
        assert_eq!(
            error("cpus(eng:1"),
            "Bad value for resources, mismatched parentheses in cpus(eng:1"
        );
        assert_eq!(
            error("cpus(a//b):1"),
            "Role 'a//b' cannot contain two adjacent slashes"
        );
        assert_eq!(
            error("gpus:1.5"),
            "The 'gpus' resource must be an unsigned integer"
        );
        for text in [
            "cpus:-1",
            "cpus:abc",
            "cpus:0.0001",
            "ports:[1]",
            "ports:[1-2",
            "ports:[2-1]",
            "ports:[1-5,3-9]",
            "disks:{a",
            "disks:{a,a}",
            "ports:1-2",
            ":1",
            "cpus:1e400",
        ] {
            assert!(Resources::parse(text, "*").is_err(), "{text}");
        }
    }
}
