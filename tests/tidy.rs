//! The style of the project, as a test: what a reader relies on in every file.

use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_COLUMNS: usize = 100;
/// Crates without I/O, clock or randomness.
const PURE: &str = "core/";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// All Rust sources with their paths relative to the workspace.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a readable folder");
        for path in entries.map(|e| e.expect("a readable entry").path()) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).expect("a readable source");
                let relative = path.strip_prefix(root()).expect("below the workspace");
                found.push((relative.display().to_string(), text));
            }
        }
    }
    assert!(found.len() > 100, "only {} sources were found", found.len());
    found.sort();
    found
}

/// A file's lines before its tests.
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = |line: &&str| line.trim_start().starts_with("#[cfg(test)]");
    text.lines()
        .take_while(move |l| !end(l))
        .enumerate()
        .map(|(i, l)| (i + 1, l))
}

/// Files that are compiled for tests only.
fn is_test(path: &str) -> bool {
    let folders = ["tests/", "/benches/", "/testing/"];
    let files = [
        "/tests.rs",
        "/properties.rs",
        "_test.rs",
        "/testing.rs",
        "/test_support.rs",
    ];
    folders.iter().any(|f| path.contains(f)) || files.iter().any(|f| path.ends_with(f))
}

fn assert_none(problems: &[String], rule: &str) {
    assert!(problems.is_empty(), "{rule}:\n  {}", problems.join("\n  "));
}

#[test]
fn files_are_short() {
    let long = |(path, text): &(String, String)| {
        let lines = text.lines().count();
        (lines > MAX_FILE_LINES).then(|| format!("{path}: {lines} lines"))
    };
    assert_none(
        &sources().iter().filter_map(long).collect::<Vec<_>>(),
        "files too long",
    );
}

#[test]
fn lines_are_short() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > MAX_COLUMNS {
                problems.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert_none(&problems, "lines too long");
}

#[test]
fn functions_are_short() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let mut open: Option<(usize, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts = [
                "fn ",
                "pub fn ",
                "async fn ",
                "pub async fn ",
                "pub(crate) fn ",
            ];
            let trimmed = line.trim_start();
            if open.is_none() && starts.iter().any(|s| trimmed.starts_with(s)) {
                open = Some((number, indent));
            }
            if let Some((start, at)) = open
                && indent == at
                && (trimmed == "}" || trimmed.ends_with(';') || trimmed.ends_with("{}"))
            {
                if number - start + 1 > MAX_FUNCTION_LINES {
                    problems.push(format!(
                        "{path}:{}: {} lines",
                        start + 1,
                        number - start + 1
                    ));
                }
                open = None;
            }
        }
    }
    assert_none(&problems, "functions too long");
}

#[test]
fn every_module_says_what_it_is() {
    let silent = |(path, text): &(String, String)| {
        (!text.trim_start().starts_with("//!")).then(|| path.clone())
    };
    assert_none(
        &sources().iter().filter_map(silent).collect::<Vec<_>>(),
        "no //! at the top",
    );
}

#[test]
fn the_core_is_pure() {
    let banned = [
        "tokio",
        "std::time::",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::env",
        "std::thread",
        "rand::",
        "HashMap",
        "HashSet",
        "SystemTime",
    ];
    let mut problems = Vec::new();
    for (path, text) in sources() {
        if !path.starts_with(PURE) || is_test(&path) {
            continue;
        }
        for (number, line) in product_lines(&text) {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = banned.iter().find(|w| code.contains(**w)) {
                problems.push(format!("{path}:{number}: {word}"));
            }
        }
    }
    assert_none(
        &problems,
        "I/O, clock, randomness or unordered maps in the core",
    );
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) {
            continue;
        }
        for (number, line) in product_lines(&text) {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains(".unwrap()") || code.contains("todo!(") {
                problems.push(format!("{path}:{number}"));
            }
        }
    }
    assert_none(&problems, "unwrap or todo outside tests");
}

#[test]
fn only_the_store_names_openraft() {
    let names = |(path, text): &(String, String)| {
        let outside = !path.starts_with("raft-store/") && !path.starts_with("tests/");
        (outside && text.contains("openraft::")).then(|| path.clone())
    };
    assert_none(
        &sources().iter().filter_map(names).collect::<Vec<_>>(),
        "openraft outside",
    );
}

#[test]
fn every_promise_names_tests_that_exist() {
    let path = root().join("docs/specification.md");
    let text = std::fs::read_to_string(path).expect("the specification");
    let sources = sources();
    let exists = |name: &str| {
        let definition = format!("fn {name}(");
        sources
            .iter()
            .any(|(_, source)| source.contains(&definition))
    };
    let mut problems = Vec::new();
    let promises = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
    for promise in promises {
        let names: Vec<&str> = promise.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            problems.push(format!("no test: {promise}"));
        }
        problems.extend(
            names
                .iter()
                .filter(|n| !exists(n))
                .map(|n| format!("no such test: {n}")),
        );
    }
    assert_none(&problems, "promises without tests");
}
