//! Compiles the `.proto` files of this crate to Rust, without a system `protoc`: structs and
//! gRPC services for all of them; field tables and JSON writers for what Mesos clients see.

#[path = "build/schema.rs"]
mod schema;
#[path = "build/tables.rs"]
mod tables;
#[path = "build/writers.rs"]
mod writers;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

use schema::Schema;

/// The folders that hold `.proto` files; every file in them is compiled.
const FOLDERS: [&str; 2] = ["mesos", "caprock"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        collect_protos(Path::new(folder), &mut files)?;
    }
    files.sort();

    let mut descriptors = protox::compile(&files, ["."])?;
    let schema = Schema::new(&descriptors)?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out_dir.join("tables.rs"), tables::generate(&schema)?)?;
    fs::write(out_dir.join("writers.rs"), writers::generate(&schema)?)?;

    forget_deprecations(&mut descriptors);
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".")
        // `google.protobuf.Duration` is printed like any other message, so it has to be ours.
        .compile_well_known_types(true)
        .include_file("proto.rs")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect_protos(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// A deprecated field is one that a new client should not use. A server has to read it all the
/// same, without a compiler warning at each place that does.
fn forget_deprecations(descriptors: &mut FileDescriptorSet) {
    for file in &mut descriptors.file {
        file.enum_type.iter_mut().for_each(forget_in_enum);
        file.message_type.iter_mut().for_each(forget_in_message);
    }
}

fn forget_in_message(message: &mut DescriptorProto) {
    for options in message
        .field
        .iter_mut()
        .filter_map(|field| field.options.as_mut())
    {
        options.deprecated = None;
    }
    message.enum_type.iter_mut().for_each(forget_in_enum);
    message.nested_type.iter_mut().for_each(forget_in_message);
}

fn forget_in_enum(r#enum: &mut EnumDescriptorProto) {
    for options in r#enum
        .value
        .iter_mut()
        .filter_map(|value| value.options.as_mut())
    {
        options.deprecated = None;
    }
}
