//! What this build says of itself.

use caprock_proto::mesos::v1::VersionInfo;

/// Level of the Mesos API; clients parse it as three numbers and choose features by it.
pub const MESOS_VERSION: &str = "1.11.0";

/// Caprock's own version.
pub const CAPROCK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The answer of GET_VERSION.
pub fn info() -> VersionInfo {
    VersionInfo {
        version: MESOS_VERSION.to_string(),
        build_date: option_env!("CAPROCK_BUILD_DATE").map(str::to_string),
        build_time: option_env!("CAPROCK_BUILD_TIME").and_then(|seconds| seconds.parse().ok()),
        build_user: option_env!("CAPROCK_BUILD_USER").map(str::to_string),
        git_sha: option_env!("CAPROCK_GIT_SHA").map(str::to_string),
        git_branch: None,
        git_tag: None,
    }
}

/// The fields of `/version`, which `/state` has too.
pub fn fields() -> serde_json::Map<String, serde_json::Value> {
    let info = info();
    let optional = [
        ("build_date", info.build_date.map(Into::into)),
        ("build_time", info.build_time.map(Into::into)),
        ("build_user", info.build_user.map(Into::into)),
        ("git_sha", info.git_sha.map(Into::into)),
    ];
    let mut fields = serde_json::Map::new();
    fields.insert("version".into(), info.version.into());
    fields.insert("caprock_version".into(), CAPROCK_VERSION.into());
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name.into(), value);
        }
    }
    fields
}
