//! Where a URI points to.

use std::path::{Path, PathBuf};

/// A place that can be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Local(PathBuf),
    Http(String),
}

impl Source {
    /// Understands `http(s)://`, `file://`, absolute paths, and paths relative to the
    /// frameworks' home (Mesos: src/slave/containerizer/fetcher.cpp `uriToLocalPath`).
    pub fn parse(uri: &str, frameworks_home: Option<&Path>) -> Result<Self, String> {
        let Some((scheme, rest)) = uri.split_once("://") else {
            return local(uri, frameworks_home);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Ok(Source::Http(uri.to_string())),
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err("file URI only supports absolute paths".into());
                }
                local(path, None)
            }
            other => Err(format!("unsupported scheme '{other}'")),
        }
    }

    /// The last component of the path. A query is part of it: who wants another name gives
    /// `output_file` (Mesos: `Fetcher::basename`).
    pub fn base_name(&self) -> Result<String, String> {
        let (text, is_url) = match self {
            Source::Local(path) => (path.to_string_lossy().into_owned(), false),
            Source::Http(url) => (
                url.split_once("://").map_or("", |(_, rest)| rest).into(),
                true,
            ),
        };
        match text.rsplit_once('/') {
            Some((_, name)) if !name.is_empty() => Ok(name.to_string()),
            None if !is_url => Ok(text),
            _ => Err("Malformed URI (missing path)".into()),
        }
    }
}

fn local(path: &str, frameworks_home: Option<&Path>) -> Result<Source, String> {
    if path.is_empty() {
        return Err("empty URI".into());
    }
    if path.starts_with('/') {
        return Ok(Source::Local(path.into()));
    }
    match frameworks_home {
        Some(home) => Ok(Source::Local(home.join(path))),
        None => Err("a relative path needs the agent's flag --frameworks-home".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uris_mean() {
        let parse = |uri: &str| Source::parse(uri, None);
        assert_eq!(parse("/a/b"), Ok(Source::Local("/a/b".into())));
        assert_eq!(parse("file:///a/b"), Ok(Source::Local("/a/b".into())));
        assert_eq!(
            parse("file://localhost/a/b"),
            Ok(Source::Local("/a/b".into()))
        );
        assert_eq!(parse("HTTP://h/x"), Ok(Source::Http("HTTP://h/x".into())));
        assert!(parse("file://a/b").is_err());
        assert!(parse("hdfs://h/x").is_err());
        assert!(parse("a/b").is_err());
        assert!(parse("").is_err());
        let home = Source::parse("a/b", Some(Path::new("/home/f")));
        assert_eq!(home, Ok(Source::Local("/home/f/a/b".into())));
    }

    #[test]
    fn base_names() {
        let name = |uri: &str| Source::parse(uri, None).unwrap().base_name();
        assert_eq!(name("/a/b.tgz").as_deref(), Ok("b.tgz"));
        assert_eq!(
            name("https://host:80/dir/b.tgz?x=1").as_deref(),
            Ok("b.tgz?x=1")
        );
        assert!(name("http://host/").is_err());
        assert!(name("http://host").is_err());
        assert!(name("/a/").is_err());
    }
}
