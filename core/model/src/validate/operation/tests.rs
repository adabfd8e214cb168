//! Each rule once.

use caprock_proto::mesos::v1::offer::operation::{Create, Destroy, Reserve, Unreserve};
use caprock_proto::mesos::v1::resource::disk_info::Persistence;
use caprock_proto::mesos::v1::resource::{DiskInfo, ReservationInfo, reservation_info};
use caprock_proto::mesos::v1::{Volume, framework_info, value};

use super::*;

fn reserved(text: &str, roles: &[&str], principal: Option<&str>) -> v1::Resource {
    let mut proto = Resources::parse(text, "*").unwrap().to_protos().remove(0);
    let stack = roles.iter().map(|role| ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic as i32),
        role: Some((*role).to_owned()),
        principal: principal.map(str::to_owned),
        ..ReservationInfo::default()
    });
    proto.reservations = stack.collect();
    proto
}

fn volume(size: u32, id: &str) -> v1::Resource {
    let mut disk = reserved(&format!("disk:{size}"), &["eng"], None);
    disk.disk = Some(DiskInfo {
        persistence: Some(Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        volume: Some(Volume {
            mode: volume::Mode::Rw as i32,
            container_path: "data".to_owned(),
            ..Volume::default()
        }),
        ..DiskInfo::default()
    });
    disk
}

fn allocated(mut resource: v1::Resource, role: &str) -> v1::Resource {
    let role = Some(role.to_owned());
    resource.allocation_info = Some(AllocationInfo { role });
    resource
}

fn framework(capabilities: &[framework_info::capability::Type]) -> FrameworkInfo {
    let capability = |kind: &framework_info::capability::Type| framework_info::Capability {
        r#type: Some(*kind as i32),
    };
    FrameworkInfo {
        roles: vec!["eng".to_owned(), "ops".to_owned()],
        capabilities: capabilities
            .iter()
            .chain([&framework_info::capability::Type::MultiRole])
            .map(capability)
            .collect(),
        ..FrameworkInfo::default()
    }
}

/// Judges with an agent that has volume `v` of 32 MB.
fn judge(
    operation: &Operation,
    framework: Option<&FrameworkInfo>,
    principal: Option<&str>,
    used: &[v1::Resource],
) -> Validity {
    let total = Resources::from_protos(&[volume(32, "v")]).unwrap();
    let used = Resources::from_protos(used).unwrap();
    super::operation(
        operation,
        &Asker {
            framework,
            principal,
            agent: AgentCapabilities::ALL,
            total: &total,
            used: &used,
        },
    )
}

fn of(kind: Type) -> Operation {
    Operation {
        r#type: Some(kind as i32),
        ..Operation::default()
    }
}

fn reserve_of(resources: Vec<v1::Resource>, source: Vec<v1::Resource>) -> Operation {
    Operation {
        reserve: Some(Reserve { source, resources }),
        ..of(Type::Reserve)
    }
}

fn create_of(volume: v1::Resource) -> Operation {
    let volumes = vec![volume];
    Operation {
        create: Some(Create { volumes }),
        ..of(Type::Create)
    }
}

fn has(validity: Validity, text: &str) {
    let error = validity.unwrap_err();
    assert!(error.contains(text), "{error}");
}

#[test]
fn reservations_of_operators() {
    let reserve = |resource| judge(&reserve_of(vec![resource], vec![]), None, Some("al"), &[]);
    assert_eq!(reserve(reserved("cpus:1", &["a"], Some("al"))), Ok(()));
    has(
        reserve(reserved("cpus:1", &["a"], None)),
        "no principal set",
    );
    has(
        reserve(reserved("cpus:1", &["a"], Some("b"))),
        "principal 'b'",
    );
    has(
        reserve(reserved("cpus:1", &[], None)),
        "not dynamically reserved",
    );
    let offered = allocated(reserved("cpus:1", &["a"], Some("al")), "a");
    has(reserve(offered), "only allows reservations");
    has(
        judge(&reserve_of(vec![], vec![]), None, None, &[]),
        "Invalid resources: The resources have multiple resource providers: ",
    );
}

#[test]
fn reservations_of_frameworks() {
    let info = framework(&[]);
    let reserve = |resource| judge(&reserve_of(vec![resource], vec![]), Some(&info), None, &[]);
    let eng = || reserved("cpus:1", &["eng"], None);
    assert_eq!(reserve(allocated(eng(), "eng")), Ok(()));
    has(reserve(eng()), "on unallocated resource");
    has(reserve(allocated(eng(), "ops")), "allocated to role 'ops'");
    let foreign = allocated(reserved("cpus:1", &["qa"], None), "qa");
    has(reserve(foreign), "only has roles '{ eng, ops }'");
}

#[test]
fn reservations_that_move() {
    let of = |amount: &str, role: &str| vec![reserved(amount, &[role], None)];
    let judged = |from, to| judge(&reserve_of(to, from), None, None, &[]);
    assert_eq!(judged(of("cpus:1", "a"), of("cpus:1", "b")), Ok(()));
    has(
        judged(of("cpus:1", "a"), of("cpus:2", "b")),
        "identical resource quantities",
    );
}

#[test]
fn volumes_are_not_unreserved() {
    let unreserve = |resource| {
        let resources = vec![resource];
        let operation = Operation {
            unreserve: Some(Unreserve { resources }),
            ..of(Type::Unreserve)
        };
        judge(&operation, None, None, &[])
    };
    assert_eq!(unreserve(reserved("cpus:1", &["a"], None)), Ok(()));
    has(unreserve(volume(32, "v")), "cannot be unreserved directly");
}

#[test]
fn volumes_are_created() {
    let info = framework(&[]);
    let create = |volume| judge(&create_of(volume), Some(&info), None, &[]);
    assert_eq!(create(allocated(volume(8, "w"), "eng")), Ok(()));
    has(create(volume(8, "v")), "Persistence ID 'v' is not unique");
    has(
        create(reserved("disk:8", &["eng"], None)),
        "Not a persistent volume",
    );
    let mut read_only = volume(8, "w");
    let disk = read_only.disk.as_mut().unwrap();
    disk.volume.as_mut().unwrap().mode = volume::Mode::Ro as i32;
    has(create(read_only), "Read-only persistent volume");
    let mut shared = allocated(volume(8, "w"), "eng");
    shared.shared = Some(v1::resource::SharedInfo::default());
    has(create(shared.clone()), "no SHARED_RESOURCES");
    let able = framework(&[framework_info::capability::Type::SharedResources]);
    assert_eq!(judge(&create_of(shared), Some(&able), None, &[]), Ok(()));
    has(
        judge(&create_of(volume(8, "w")), None, Some("al"), &[]),
        "no principal set in 'disk.persistence'",
    );
    let mut plain = volume(8, "w");
    plain.reservations.clear();
    has(create(plain), "unreserved resources");
}

#[test]
fn volumes_are_destroyed() {
    let destroy = |volume, used: &[v1::Resource]| {
        let volumes = vec![volume];
        let operation = Operation {
            destroy: Some(Destroy { volumes }),
            ..of(Type::Destroy)
        };
        judge(&operation, None, None, used)
    };
    assert_eq!(destroy(volume(32, "v"), &[]), Ok(()));
    has(
        destroy(volume(32, "w"), &[]),
        "Persistent volumes not found",
    );
    has(
        destroy(volume(32, "v"), &[volume(32, "v")]),
        "Persistent volumes in use",
    );
}

#[test]
fn volumes_are_resized() {
    let grow = |addition| {
        let volume = volume(32, "v");
        let operation = Operation {
            grow_volume: Some(operation::GrowVolume { volume, addition }),
            ..of(Type::GrowVolume)
        };
        judge(&operation, None, None, &[])
    };
    assert_eq!(grow(reserved("disk:8", &["eng"], None)), Ok(()));
    has(
        grow(reserved("disk:8", &["ops"], None)),
        "Incompatible resources",
    );
    let shrink = |by| {
        let subtract = value::Scalar { value: by };
        let volume = volume(32, "v");
        let operation = Operation {
            shrink_volume: Some(operation::ShrinkVolume { volume, subtract }),
            ..of(Type::ShrinkVolume)
        };
        judge(&operation, None, None, &[])
    };
    assert_eq!(shrink(31.0), Ok(()));
    has(shrink(32.0), "must be smaller");
    has(shrink(0.0), "must be greater than zero");
    has(shrink(f64::NAN), "must be greater than zero");
}

#[test]
fn both_formats_become_one() {
    let mut old = Resources::parse("cpus:1", "*").unwrap().to_protos();
    old[0].role = Some("eng".to_owned());
    old[0].reservation = Some(ReservationInfo::default());
    let mut operation = reserve_of(old, vec![]);
    assert_eq!(normalize_operation(&mut operation, Some("eng")), Ok(()));
    let expected = allocated(reserved("cpus:1", &["eng"], None), "eng");
    assert_eq!(operation.reserve.unwrap().resources, [expected]);
    let mut broken = reserve_of(vec![v1::Resource::default()], vec![]);
    assert!(normalize_operation(&mut broken, None).is_err());
}
