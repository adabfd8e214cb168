//! Operations: examples of each kind, and that nothing is made or lost.

use caprock_proto::mesos::v1::resource::disk_info::Persistence;
use caprock_proto::mesos::v1::resource::{ReservationInfo, reservation_info};
use caprock_proto::mesos::v1::{Volume, volume};
use proptest::prelude::*;

use super::*;

fn dynamic(role: &str) -> ReservationInfo {
    ReservationInfo {
        r#type: Some(reservation_info::Type::Dynamic as i32),
        role: Some(role.to_owned()),
        ..ReservationInfo::default()
    }
}

fn reserved(text: &str, roles: &[&str]) -> Vec<v1::Resource> {
    let mut protos = Resources::parse(text, "*").unwrap().to_protos();
    for proto in &mut protos {
        proto.reservations = roles.iter().map(|role| dynamic(role)).collect();
    }
    protos
}

fn volume(size: f64, id: &str) -> v1::Resource {
    let mut disk = reserved("disk:1", &["eng"]).remove(0);
    disk.scalar = Some(value::Scalar { value: size });
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

fn of(kind: Type) -> Operation {
    Operation {
        r#type: Some(kind as i32),
        ..Operation::default()
    }
}

fn reserve_of(resources: Vec<v1::Resource>) -> Operation {
    Operation {
        reserve: Some(operation::Reserve {
            source: Vec::new(),
            resources,
        }),
        ..of(Type::Reserve)
    }
}

fn unreserve_of(resources: Vec<v1::Resource>) -> Operation {
    Operation {
        unreserve: Some(operation::Unreserve { resources }),
        ..of(Type::Unreserve)
    }
}

fn create_of(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        create: Some(operation::Create { volumes }),
        ..of(Type::Create)
    }
}

fn destroy_of(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        destroy: Some(operation::Destroy { volumes }),
        ..of(Type::Destroy)
    }
}

fn grow_of(volume: v1::Resource, addition: v1::Resource) -> Operation {
    Operation {
        grow_volume: Some(operation::GrowVolume { volume, addition }),
        ..of(Type::GrowVolume)
    }
}

fn shrink_of(volume: v1::Resource, by: f64) -> Operation {
    Operation {
        shrink_volume: Some(operation::ShrinkVolume {
            volume,
            subtract: value::Scalar { value: by },
        }),
        ..of(Type::ShrinkVolume)
    }
}

fn after(total: &Resources, operation: &Operation) -> Resources {
    conversion(operation).unwrap().apply(total).unwrap()
}

#[test]
fn reserve_refine_and_back() {
    let plain = Resources::parse("cpus:4;disk:100", "*").unwrap();
    let first = after(&plain, &reserve_of(reserved("cpus:3", &["eng"])));
    assert_eq!(first.reserved_to("eng").cpus(), Scalar::from_f64(3.0));
    let refined = reserved("cpus:2", &["eng", "eng/web"]);
    let second = after(&first, &reserve_of(refined.clone()));
    assert_eq!(second.reserved_to("eng").cpus(), Scalar::from_f64(1.0));
    assert_eq!(second.reserved_to("eng/web").cpus(), Scalar::from_f64(2.0));
    // Only the last reservation is taken off.
    assert_eq!(after(&second, &unreserve_of(refined)), first);
    let back = after(&first, &unreserve_of(reserved("cpus:3", &["eng"])));
    assert_eq!(back, plain);
}

#[test]
fn what_is_not_there_is_not_converted() {
    let plain = Resources::parse("cpus:4", "*").unwrap();
    let applied = |operation| conversion(&operation).unwrap().apply(&plain);
    assert_eq!(applied(reserve_of(reserved("cpus:5", &["eng"]))), None);
    assert_eq!(applied(unreserve_of(reserved("cpus:1", &["eng"]))), None);
    assert_eq!(applied(create_of(vec![volume(10.0, "v")])), None);
}

#[test]
fn a_volume_grows_shrinks_and_goes() {
    let plain = Resources::parse("disk:100", "*").unwrap();
    let disk = after(&plain, &reserve_of(reserved("disk:100", &["eng"])));
    let small = after(&disk, &create_of(vec![volume(40.0, "v")]));
    assert_eq!(small.persistent_volumes().disk(), Scalar::from_f64(40.0));
    let addition = reserved("disk:50", &["eng"]).remove(0);
    let large = after(&small, &grow_of(volume(40.0, "v"), addition));
    assert_eq!(large.persistent_volumes().disk(), Scalar::from_f64(90.0));
    let again = after(&large, &shrink_of(volume(90.0, "v"), 50.0));
    assert_eq!(again, small);
    // A volume is one thing: another size is another volume.
    let wrong = conversion(&destroy_of(vec![volume(39.0, "v")])).unwrap();
    assert_eq!(wrong.apply(&again), None);
    assert_eq!(after(&again, &destroy_of(vec![volume(40.0, "v")])), disk);
}

#[test]
fn launches_and_broken_operations_convert_nothing() {
    assert!(conversion(&of(Type::Launch)).is_err());
    assert!(conversion(&of(Type::Reserve)).is_err());
    assert!(conversion(&shrink_of(volume(40.0, "v"), 40.0)).is_err());
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let role = || {
        prop_oneof![
            Just(vec!["eng"]),
            Just(vec!["eng", "eng/web"]),
            Just(vec!["ops"])
        ]
    };
    let amount = || (1u32..5).prop_map(|count| format!("cpus:{count};disk:{}", count * 16));
    let id = || prop_oneof![Just("v"), Just("w")];
    let size = || (1u32..5).prop_map(|count| f64::from(count) * 16.0);
    prop_oneof![
        (amount(), role()).prop_map(|(text, roles)| reserve_of(reserved(&text, &roles))),
        (amount(), role()).prop_map(|(text, roles)| unreserve_of(reserved(&text, &roles))),
        (size(), id()).prop_map(|(size, id)| create_of(vec![volume(size, id)])),
        (size(), id()).prop_map(|(size, id)| destroy_of(vec![volume(size, id)])),
        (size(), id(), size()).prop_map(|(size, id, by)| {
            let addition = reserved(&format!("disk:{by}"), &["eng"]).remove(0);
            grow_of(volume(size, id), addition)
        }),
        (size(), id(), 1u32..40)
            .prop_map(|(size, id, by)| { shrink_of(volume(size.max(48.0), id), f64::from(by)) }),
    ]
}

proptest! {
    /// Quantities never change, whatever is done; and what was done can be undone.
    #[test]
    fn nothing_is_made_or_lost(operations in proptest::collection::vec(any_operation(), 0..30)) {
        let mut total = Resources::parse("cpus:8;disk:200", "*").unwrap();
        let quantities = total.quantities();
        for operation in operations {
            let conversion = conversion(&operation).unwrap();
            prop_assert_eq!(conversion.consumed.quantities(), conversion.converted.quantities());
            let Some(changed) = conversion.apply(&total) else { continue };
            prop_assert_eq!(changed.quantities(), quantities.clone());
            prop_assert!(changed.contains(&conversion.converted));
            prop_assert_eq!(conversion.reversed().apply(&changed), Some(total));
            total = changed;
        }
    }
}
