//! Compiles the `.proto` files of this crate to Rust, without a system `protoc`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders that hold `.proto` files; every file in them is compiled.
const FOLDERS: [&str; 2] = ["mesos", "caprock"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        collect_protos(Path::new(folder), &mut files)?;
    }
    files.sort();

    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".")
        .compile_well_known_types(true)
        .include_file("proto.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect_protos(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
