//! The fetcher with files, archives and a web server of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;

fn item(uri: impl Into<String>) -> Item {
    Item {
        uri: uri.into(),
        executable: false,
        extract: true,
        output_file: None,
    }
}

fn fetch_into(sandbox: &Path, items: &[Item]) -> Result<(), String> {
    fetch(&FetchSpec {
        directory: sandbox.to_path_buf(),
        items: items.to_vec(),
        frameworks_home: None,
        account: None,
    })
}

fn sandbox_and_source() -> (TempDir, TempDir) {
    (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
}

#[test]
fn a_local_file_is_copied_and_made_executable() {
    let (sandbox, source) = sandbox_and_source();
    let script = source.path().join("run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let mut wanted = item(format!("file://{}", script.display()));
    wanted.executable = true;
    fetch_into(sandbox.path(), &[wanted]).unwrap();
    let copied = sandbox.path().join("run.sh");
    assert_eq!(fs::read_to_string(&copied).unwrap(), "#!/bin/sh\n");
    assert_eq!(
        fs::metadata(&copied).unwrap().permissions().mode() & 0o777,
        0o755
    );
}

#[test]
fn output_files_stay_inside() {
    let (sandbox, source) = sandbox_and_source();
    let file = source.path().join("a");
    fs::write(&file, "x").unwrap();
    let mut wanted = item(file.display().to_string());
    wanted.output_file = Some("deep/er/b".into());
    fetch_into(sandbox.path(), std::slice::from_ref(&wanted)).unwrap();
    assert_eq!(fs::read(sandbox.path().join("deep/er/b")).unwrap(), b"x");
    for bad in ["/tmp/b", "../b", "a/../../b", "."] {
        wanted.output_file = Some(bad.into());
        let text = fetch_into(sandbox.path(), std::slice::from_ref(&wanted)).unwrap_err();
        assert!(text.starts_with("Failed to fetch '"), "{text}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let (sandbox, _) = sandbox_and_source();
    let text = fetch_into(sandbox.path(), &[item("/no/such/file")]).unwrap_err();
    assert_eq!(
        text,
        "Failed to fetch '/no/such/file': Local URI '/no/such/file' does not exist"
    );
}

fn tar_with(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        // set_path refuses what an attacker would write.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn archives_are_unpacked_unless_told_otherwise() {
    let (sandbox, source) = sandbox_and_source();
    let archive = source.path().join("a.tar.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        fs::File::create(&archive).unwrap(),
        flate2::Compression::default(),
    );
    encoder
        .write_all(&tar_with(&[("dir/hello", "hi")]))
        .unwrap();
    encoder.finish().unwrap();
    let mut wanted = item(archive.display().to_string());
    wanted.extract = false;
    fetch_into(sandbox.path(), std::slice::from_ref(&wanted)).unwrap();
    assert!(sandbox.path().join("a.tar.gz").exists() && !sandbox.path().join("dir").exists());
    wanted.extract = true;
    fetch_into(sandbox.path(), &[wanted]).unwrap();
    assert_eq!(fs::read(sandbox.path().join("dir/hello")).unwrap(), b"hi");
}

#[test]
fn a_zip_is_unpacked() {
    let (sandbox, source) = sandbox_and_source();
    let path = source.path().join("a.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    writer
        .start_file("d/x", zip::write::SimpleFileOptions::default())
        .unwrap();
    writer.write_all(b"zipped").unwrap();
    writer.finish().unwrap();
    fetch_into(sandbox.path(), &[item(path.display().to_string())]).unwrap();
    assert_eq!(fs::read(sandbox.path().join("d/x")).unwrap(), b"zipped");
}

#[test]
fn tar_entries_do_not_leave_the_sandbox() {
    let (parent, source) = sandbox_and_source();
    let sandbox = parent.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let archive = source.path().join("evil.tar");
    fs::write(&archive, tar_with(&[("../escaped", "x"), ("fine", "y")])).unwrap();
    let _ = fetch_into(&sandbox, &[item(archive.display().to_string())]);
    assert!(!parent.path().join("escaped").exists());
}

#[test]
fn tar_links_do_not_lead_out_of_the_sandbox() {
    let (parent, source) = sandbox_and_source();
    let sandbox = parent.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, "door", parent.path())
        .unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "door/escaped", &b"x"[..])
        .unwrap();
    let archive = source.path().join("evil.tar");
    fs::write(&archive, builder.into_inner().unwrap()).unwrap();
    let _ = fetch_into(&sandbox, &[item(archive.display().to_string())]);
    assert!(!parent.path().join("escaped").exists());
}

#[test]
fn zip_entries_do_not_leave_the_sandbox() {
    let (parent, source) = sandbox_and_source();
    let sandbox = parent.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let path = source.path().join("evil.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    writer
        .add_symlink("door", parent.path().to_string_lossy(), options)
        .unwrap();
    writer.start_file("door/escaped", options).unwrap();
    writer.write_all(b"x").unwrap();
    writer.start_file("../escaped", options).unwrap();
    writer.write_all(b"x").unwrap();
    writer.finish().unwrap();
    let _ = fetch_into(&sandbox, &[item(path.display().to_string())]);
    assert!(!parent.path().join("escaped").exists());
}

#[test]
fn a_target_that_is_a_link_is_the_users_own_business() {
    // The fetcher runs as the task's user: a link gives it no right that it lacks.
    let (sandbox, source) = sandbox_and_source();
    let file = source.path().join("a");
    fs::write(&file, "x").unwrap();
    symlink(source.path().join("b"), sandbox.path().join("a")).unwrap();
    fetch_into(sandbox.path(), &[item(file.display().to_string())]).unwrap();
    assert_eq!(fs::read(source.path().join("b")).unwrap(), b"x");
}

/// Answers one request with this status line and body.
fn serve_once(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let mut length = 0;
        while !request[..length].ends_with(b"\r\n\r\n") {
            length += stream.read(&mut request[length..]).unwrap();
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    });
    format!("http://{address}")
}

#[test]
fn http_is_downloaded() {
    let (sandbox, _) = sandbox_and_source();
    let base = serve_once("200 OK", "content");
    fetch_into(sandbox.path(), &[item(format!("{base}/dir/file.txt"))]).unwrap();
    assert_eq!(
        fs::read(sandbox.path().join("file.txt")).unwrap(),
        b"content"
    );
}

#[test]
fn http_errors_are_reported() {
    let (sandbox, _) = sandbox_and_source();
    let base = serve_once("404 Not Found", "");
    let text = fetch_into(sandbox.path(), &[item(format!("{base}/file.txt"))]).unwrap_err();
    assert!(text.ends_with("received HTTP return code 404"), "{text}");
}
