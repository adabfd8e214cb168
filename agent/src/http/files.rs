//! `/files/*`, LIST_FILES and READ_FILE: sandboxes from outside (Mesos: src/files/files.cpp).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use caprock_http::{Reply, reply, stream};
use caprock_model::Millis;
use caprock_proto::mesos::v1::FileInfo;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, StatusCode};
use rustix::fs::{AtFlags, Dir};
use serde_json::{Value, json};

use super::legacy::write;
use super::sandbox_file::SandboxFile;
use super::{Context, Refusal};
use crate::containerizer::account;

type Query = BTreeMap<String, String>;

/// Most bytes of one READ_FILE: 16 pages.
const PART_MAX_BYTES: u64 = 16 * 4096;
/// Bytes of one chunk of a download, and chunks that wait for the reader.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS_WAITING: usize = 4;

/// A piece of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Size of the whole file.
    pub size: u64,
    pub offset: u64,
    pub data: Vec<u8>,
}

/// `/files/browse`
pub async fn browse(
    context: &Context,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Reply, Refusal> {
    let found = list(context, path_of(query)?).await?;
    let rows: Value = found.iter().map(row).collect();
    Ok(write(headers, query, &rows))
}

fn row(info: &FileInfo) -> Value {
    let seconds = info
        .mtime
        .as_ref()
        .map_or(0, |time| time.nanoseconds / 1_000_000_000);
    json!({
        "path": info.path,
        "mode": mode_text(info.mode()),
        "nlink": info.nlink(),
        "size": info.size(),
        "mtime": seconds,
        "uid": info.uid(),
        "gid": info.gid(),
    })
}

/// `/files/read`
pub async fn read(context: &Context, headers: &HeaderMap, query: &Query) -> Result<Reply, Refusal> {
    let path = path_of(query)?;
    let offset = number_of(query, "offset")?;
    let length = number_of(query, "length")?;
    let part = part(context, path, offset, length).await?;
    let document = json!({ "offset": part.offset, "data": String::from_utf8_lossy(&part.data) });
    Ok(write(headers, query, &document))
}

/// `/files/download`
pub async fn download(context: &Context, query: &Query) -> Result<Reply, Refusal> {
    let path = path_of(query)?;
    let name = path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .replace(['"', '\\'], "_");
    let file = open(context, path).await?;
    let (file, size) = blocking(move || {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok((file, metadata.len()))
    })
    .await?;
    let (sender, mut reply) = stream::open("application/octet-stream", CHUNKS_WAITING);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    tokio::task::spawn_blocking(move || send_chunks(file.take(size), &sender));
    Ok(reply)
}

fn send_chunks(mut file: io::Take<File>, sender: &stream::Sender) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                // The reader may have gone.
                if sender
                    .blocking_send(Bytes::copy_from_slice(&chunk[..length]))
                    .is_err()
                {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!("cannot read a file for download: {error}");
                return;
            }
        }
    }
}

/// `/files/debug`: virtual paths and what they stand for.
pub async fn debug(
    context: &Context,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Reply, Refusal> {
    let view = context.view().await?;
    let agent = view.agent_id.as_ref().map_or("", |id| id.as_str());
    let executors = view
        .frameworks
        .iter()
        .flat_map(|framework| &framework.executors);
    let rows = executors.map(|executor| {
        let (framework, id) = (executor.framework_id.as_str(), executor.id.as_str());
        let virtual_path = format!("/frameworks/{framework}/executors/{id}/runs/latest");
        let work_dir = context.config.work_dir.display();
        let real = format!("{work_dir}/slaves/{agent}{virtual_path}");
        (virtual_path, Value::from(real))
    });
    Ok(write(headers, query, &Value::Object(rows.collect())))
}

/// The entries of a folder, by path; nothing for a plain file.
pub async fn list(context: &Context, path: String) -> Result<Vec<FileInfo>, Refusal> {
    let file = open(context, path.clone()).await?;
    blocking(move || list_folder(&file, path.trim_end_matches('/'))).await
}

fn list_folder(folder: &File, path: &str) -> io::Result<Vec<FileInfo>> {
    if !folder.metadata()?.is_dir() {
        return Ok(Vec::new());
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // An entry that has gone meanwhile is skipped.
        let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        found.push(FileInfo {
            path: format!("{path}/{}", name.to_string_lossy()),
            nlink: i32::try_from(stat.st_nlink).ok(),
            size: u64::try_from(stat.st_size).ok(),
            mtime: Some(Millis(stat.st_mtime.saturating_mul(1000)).to_proto()),
            mode: Some(stat.st_mode),
            uid: Some(account::user_name(&passwd, stat.st_uid)),
            gid: Some(account::user_name(&group, stat.st_gid)),
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A piece of a file. Without an offset only the size is told: readers that follow a log
/// start so.
pub async fn part(
    context: &Context,
    path: String,
    offset: Option<u64>,
    length: Option<u64>,
) -> Result<Part, Refusal> {
    let file = open(context, path).await?;
    blocking(move || read_part(file, offset, length)).await
}

fn read_part(mut file: File, offset: Option<u64>, length: Option<u64>) -> io::Result<Part> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    let size = metadata.size();
    let Some(offset) = offset else {
        return Ok(Part {
            size,
            offset: size,
            data: Vec::new(),
        });
    };
    let mut data = Vec::new();
    if offset < size {
        file.seek(SeekFrom::Start(offset))?;
        let length = length.unwrap_or(PART_MAX_BYTES).min(PART_MAX_BYTES);
        file.take(length).read_to_end(&mut data)?;
    }
    Ok(Part { size, offset, data })
}

async fn open(context: &Context, path: String) -> Result<File, Refusal> {
    let view = context.view().await?;
    let agent_id = view.agent_id.as_ref().map(|id| id.as_str().to_string());
    let work_dir = context.config.work_dir.clone();
    let file = SandboxFile::parse(&work_dir, agent_id.as_deref(), &path)
        .ok_or_else(|| reply::status_line(StatusCode::NOT_FOUND))?;
    blocking(move || file.open()).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let outcome = tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other);
    let done = outcome
        .and_then(|outcome| outcome)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                reply::status_line(StatusCode::NOT_FOUND)
            }
            io::ErrorKind::IsADirectory => reply::bad_request("Cannot read a directory."),
            _ => reply::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        })?;
    Ok(done)
}

fn path_of(query: &Query) -> Result<String, Refusal> {
    match query.get("path") {
        Some(path) if !path.is_empty() => Ok(path.clone()),
        _ => Err(reply::bad_request("Expecting 'path=value' in query.").into()),
    }
}

/// A number of the query; -1 is as good as none.
fn number_of(query: &Query, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = query.get(name).filter(|text| *text != "-1") else {
        return Ok(None);
    };
    let number = text.parse().map_err(|_| {
        reply::bad_request(format!(
            "Failed to parse {name}: '{text}' is not a number of bytes."
        ))
    })?;
    Ok(Some(number))
}

/// As `ls -l` writes it.
fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o010_000 => 'p',
        0o140_000 => 's',
        0o020_000 => 'c',
        0o060_000 => 'b',
        _ => '-',
    };
    let bits = "rwxrwxrwx".chars().enumerate();
    let bits = bits.map(|(index, letter)| {
        if mode >> (8 - index) & 1 == 1 {
            letter
        } else {
            '-'
        }
    });
    std::iter::once(kind).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use caprock_http::query;

    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        assert_eq!(mode_text(0o100_644), "-rw-r--r--");
        assert_eq!(mode_text(0o040_750), "drwxr-x---");
        assert_eq!(mode_text(0o120_777), "lrwxrwxrwx");
    }

    #[test]
    fn parts_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
        let read = |offset, length| read_part(File::open(&path).unwrap(), offset, length).unwrap();
        let at_end = read(None, None);
        assert_eq!(
            (at_end.size, at_end.offset, at_end.data.len()),
            (100_000, 100_000, 0)
        );
        assert_eq!(read(Some(0), None).data.len(), 65_536);
        assert_eq!(read(Some(99_990), Some(100)).data.len(), 10);
        assert_eq!(read(Some(5), Some(3)).data, b"xxx");
        assert!(read(Some(200_000), None).data.is_empty());
        assert!(read_part(File::open(folder.path()).unwrap(), None, None).is_err());
    }

    #[test]
    fn folders_are_listed_by_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b"), "1").unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let found = list_folder(&File::open(folder.path()).unwrap(), "/v").unwrap();
        let paths: Vec<&str> = found.iter().map(|info| info.path.as_str()).collect();
        assert_eq!(paths, ["/v/a", "/v/b"]);
        assert_eq!(found[1].size(), 1);
        assert!(mode_text(found[0].mode()).starts_with('d'));
    }

    #[test]
    fn numbers_of_queries() {
        let query = |text: &str| query::parse(text);
        assert_eq!(number_of(&query("offset=-1"), "offset").ok(), Some(None));
        assert_eq!(number_of(&query(""), "offset").ok(), Some(None));
        assert_eq!(number_of(&query("offset=7"), "offset").ok(), Some(Some(7)));
        assert!(number_of(&query("offset=-2"), "offset").is_err());
        assert!(path_of(&query("path=")).is_err());
    }
}
