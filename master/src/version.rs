//! What this build says of itself. Build data is compiled in where the build provides it.

use caprock_proto::mesos::v1::VersionInfo;

use crate::identity::{CAPROCK_VERSION, MESOS_VERSION};

/// Version, in Mesos' terms: clients parse it as three numbers and choose features by it.
pub fn info() -> VersionInfo {
    VersionInfo {
        version: MESOS_VERSION.to_owned(),
        build_date: option_env!("CAPROCK_BUILD_DATE").map(str::to_owned),
        build_time: option_env!("CAPROCK_BUILD_TIME").and_then(|seconds| seconds.parse().ok()),
        build_user: option_env!("CAPROCK_BUILD_USER").map(str::to_owned),
        git_sha: option_env!("CAPROCK_GIT_SHA").map(str::to_owned),
        git_branch: None,
        git_tag: None,
    }
}

/// The same as fields of a JSON object, with Caprock's own version beside it.
pub fn fields() -> serde_json::Map<String, serde_json::Value> {
    let info = info();
    let mut fields = serde_json::Map::new();
    fields.insert("version".to_owned(), info.version.into());
    fields.insert("caprock_version".to_owned(), CAPROCK_VERSION.into());
    let optional = [
        ("build_date", info.build_date.map(Into::into)),
        ("build_time", info.build_time.map(Into::into)),
        ("build_user", info.build_user.map(Into::into)),
        ("git_sha", info.git_sha.map(Into::into)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
    fields
}
