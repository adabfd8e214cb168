//! Unpacking archives into the sandbox, and nowhere else. The kind is told by the file name
//! alone, as in Mesos (src/launcher/fetcher.cpp `extract`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tar,
    TarGz,
    /// Unpacked by a program of the machine.
    TarPiped(&'static str),
    Gz,
    Zip,
}

/// The first that fits counts.
const SUFFIXES: [(&str, Kind); 9] = [
    (".tar", Kind::Tar),
    (".tar.gz", Kind::TarGz),
    (".tgz", Kind::TarGz),
    (".tar.bz2", Kind::TarPiped("bzip2")),
    (".tbz2", Kind::TarPiped("bzip2")),
    (".tar.xz", Kind::TarPiped("xz")),
    (".txz", Kind::TarPiped("xz")),
    (".gz", Kind::Gz),
    (".zip", Kind::Zip),
];

/// Unpacks a file that is an archive by its name; leaves others alone.
pub fn extract(file: &Path, directory: &Path) -> Result<(), String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Some((suffix, kind)) = SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix)) else {
        return Ok(());
    };
    unpack(file, directory, suffix, *kind)
        .map_err(|error| format!("Failed to extract {name}: {error}"))
}

fn unpack(file: &Path, directory: &Path, suffix: &str, kind: Kind) -> io::Result<()> {
    let input = File::open(file)?;
    match kind {
        Kind::Tar => untar(input, directory),
        Kind::TarGz => untar(MultiGzDecoder::new(input), directory),
        Kind::TarPiped(program) => untar_piped(program, input, directory),
        Kind::Zip => zip::ZipArchive::new(input)
            .and_then(|mut archive| archive.extract(directory))
            .map_err(io::Error::other),
        Kind::Gz => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let plain = file.with_file_name(name.trim_end_matches(suffix));
            io::copy(&mut MultiGzDecoder::new(input), &mut File::create(plain)?).map(|_| ())
        }
    }
}

/// Entries that would land outside of the directory are skipped by the library, also those
/// that go through links which the archive itself made.
fn untar(input: impl Read, directory: &Path) -> io::Result<()> {
    tar::Archive::new(input).unpack(directory)
}

fn untar_piped(program: &str, input: File, directory: &Path) -> io::Result<()> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::other(format!("cannot run {program}: {error}")))?;
    let unpacked = match child.stdout.take() {
        Some(output) => untar(output, directory),
        None => Err(io::Error::other(format!("{program} has no output"))),
    };
    let status = child.wait()?;
    unpacked?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{program}: {status}")))
    }
}
