//! Containers and their volumes.

use caprock_proto::mesos::v1::{ContainerInfo, Volume, container_info, volume};

use super::{Prefixed, Validity, ensure};

/// Whether a container is valid.
pub fn container(container: &ContainerInfo) -> Validity {
    container
        .volumes
        .iter()
        .try_for_each(volume)
        .prefixed("Invalid volume: ")?;
    if container.r#type() != container_info::Type::Docker {
        return Ok(());
    }
    let docker = container.docker.as_ref();
    let docker = docker.ok_or("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo")?;
    ensure(
        docker
            .parameters
            .iter()
            .all(|parameter| parameter.key != "name"),
        "Parameter in DockerInfo must not be 'name'",
    )
}

fn volume(volume: &Volume) -> Validity {
    use volume::source::Type;

    let origins = [
        volume.host_path.is_some(),
        volume.image.is_some(),
        volume.source.is_some(),
    ];
    ensure(
        origins.iter().filter(|set| **set).count() == 1,
        "Only one of them should be set: 'host_path', 'image' and 'source'",
    )?;
    let Some(source) = &volume.source else {
        return Ok(());
    };
    let (member, set) = match source.r#type() {
        Type::DockerVolume => ("docker_volume", source.docker_volume.is_some()),
        Type::HostPath => ("host_path", source.host_path.is_some()),
        Type::SandboxPath => ("sandbox_path", source.sandbox_path.is_some()),
        Type::Secret => ("secret", source.secret.is_some()),
        Type::CsiVolume => ("csi_volume", source.csi_volume.is_some()),
        Type::Unknown => return Err("'source.type' is unknown".to_owned()),
    };
    let kind = source.r#type().as_str_name();
    ensure(
        set,
        format!("'source.{member}' is not set for {kind} volume"),
    )
}

#[cfg(test)]
mod tests {
    use caprock_proto::MesosMessage;

    use super::*;

    fn check(fields: &str) -> Validity {
        let json = format!("{{{fields}}}");
        container(&ContainerInfo::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn docker() {
        assert_eq!(check(r#""type":"MESOS""#), Ok(()));
        assert!(check(r#""type":"DOCKER""#).is_err());
        assert_eq!(check(r#""type":"DOCKER","docker":{"image":"i"}"#), Ok(()));
        let named = r#""type":"DOCKER","docker":{"image":"i",
            "parameters":[{"key":"name","value":"x"}]}"#;
        assert_eq!(
            check(named),
            Err("Parameter in DockerInfo must not be 'name'".into())
        );
    }

    #[test]
    fn volumes_have_one_origin() {
        let volume = |fields: &str| {
            check(&format!(
                r#""type":"MESOS","volumes":[{{"mode":"RW","container_path":"p"{fields}}}]"#
            ))
        };
        assert!(volume("").is_err());
        assert_eq!(volume(r#","host_path":"/h""#), Ok(()));
        assert!(volume(r#","host_path":"/h","source":{"type":"HOST_PATH"}"#).is_err());
        assert_eq!(
            volume(r#","source":{"type":"SANDBOX_PATH"}"#),
            Err("Invalid volume: 'source.sandbox_path' is not set for SANDBOX_PATH volume".into())
        );
        let sandbox = r#","source":{"type":"SANDBOX_PATH","sandbox_path":{"path":"x"}}"#;
        assert_eq!(volume(sandbox), Ok(()));
    }
}
