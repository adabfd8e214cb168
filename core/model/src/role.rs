//! Roles: whom resources are for. A role is a path such as `eng/web`; `*` is everybody.

use crate::ids::text_newtype;

text_newtype!(
    /// A role name.
    Role
);

/// The role of resources that nobody has reserved.
pub const ANY: &str = "*";

impl Role {
    /// Whether this is `*`.
    pub fn is_any(&self) -> bool {
        self.as_str() == ANY
    }

    /// The first component of the path: quota is set on it.
    pub fn top_level(&self) -> &str {
        self.as_str().split('/').next().unwrap_or(ANY)
    }
}

/// Whether `role` lies strictly below `ancestor`: `eng/web` below `eng`.
pub fn is_strict_subrole(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The roles above `role`, the nearest first: `a/b`, `a` for `a/b/c`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    let parent = |role: &str| role.rfind('/');
    std::iter::successors(parent(role).map(|slash| &role[..slash]), move |above| {
        parent(above).map(|slash| &above[..slash])
    })
}

/// Whether `name` may be a role (Mesos: src/common/roles.cpp).
pub fn validate(name: &str) -> Result<(), String> {
    if name == ANY {
        return Ok(());
    }
    if name.is_empty() {
        return Err("Empty role name is invalid".to_owned());
    }
    if name.starts_with('/') {
        return Err(format!("Role '{name}' cannot start with a slash"));
    }
    if name.ends_with('/') {
        return Err(format!("Role '{name}' cannot end with a slash"));
    }
    if name.contains("//") {
        return Err(format!("Role '{name}' cannot contain two adjacent slashes"));
    }
    name.split('/').try_for_each(validate_component)
}

fn validate_component(component: &str) -> Result<(), String> {
    /// Tab, LF, VT, FF, CR, blank and DEL, as Mesos lists them.
    const FORBIDDEN: [char; 7] = ['\t', '\n', '\x0b', '\x0c', '\r', ' ', '\x7f'];

    if matches!(component, "." | ".." | ANY) {
        return Err(format!("Role component '{component}' is invalid"));
    }
    if component.starts_with('-') {
        return Err(format!(
            "Role component '{component}' is invalid because it starts with a dash"
        ));
    }
    if component.contains(FORBIDDEN) {
        return Err(format!(
            "Role component '{component}' is invalid because it contains backspace or whitespace"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names() {
        for name in [
            "*", "eng", "eng/web", "a/b/c", "a.b", "...", "é", "a-b", "a*",
        ] {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn invalid_names() {
        for (name, text) in [
            ("", "Empty role name is invalid"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            ("a/./b", "Role component '.' is invalid"),
            ("..", "Role component '..' is invalid"),
            ("a/*", "Role component '*' is invalid"),
            (
                "a/-x",
                "Role component '-x' is invalid because it starts with a dash",
            ),
        ] {
            assert_eq!(validate(name), Err(text.to_owned()));
        }
        for name in ["a b", "a\tb", "a/b\x7f", "\n"] {
            assert!(validate(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_tree() {
        assert!(is_strict_subrole("a/b", "a"));
        assert!(is_strict_subrole("a/b/c", "a"));
        assert!(!is_strict_subrole("a", "a"));
        assert!(!is_strict_subrole("ab", "a"));
        assert!(!is_strict_subrole("a", "a/b"));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
        assert_eq!(Role::from("a/b").top_level(), "a");
    }
}
