//! The arithmetic as Mesos has it, and what has to hold for all collections.

use caprock_proto::MesosMessage;
use caprock_proto::mesos::v1;
use proptest::prelude::*;

use super::*;
use crate::role::Role;

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn proto(fields: &str) -> v1::Resource {
    v1::Resource::from_json(format!("{{{fields}}}").as_bytes()).unwrap()
}

fn entry(fields: &str) -> Resources {
    Resources::from_protos(&[proto(fields)]).unwrap()
}

fn error(fields: &str) -> String {
    Resources::from_protos(&[proto(fields)]).unwrap_err().0
}

const CPUS: &str = r#""name":"cpus","type":"SCALAR","scalar":{"value":1}"#;

fn volume(size: u32, id: &str, more: &str) -> Resources {
    entry(&format!(
        r#""name":"disk","type":"SCALAR","scalar":{{"value":{size}}},
        "reservations":[{{"type":"DYNAMIC","role":"eng"}}],
        "disk":{{"persistence":{{"id":"{id}"}},
        "volume":{{"container_path":"d","mode":"RW"}}}}{more}"#
    ))
}

fn mount(size: u32, root: &str) -> Resources {
    entry(&format!(
        r#""name":"disk","type":"SCALAR","scalar":{{"value":{size}}},
        "disk":{{"source":{{"type":"MOUNT","mount":{{"root":"{root}"}}}}}}"#
    ))
}

#[test]
fn entries_merge_only_within_one_reservation() {
    let all = parse("cpus:1;cpus(a):2") + &parse("cpus:1;cpus(b):4");
    assert_eq!(all, parse("cpus:2;cpus(a):2;cpus(b):4"));
    assert_eq!(all.len(), 3);
    assert_eq!(all.cpus(), Scalar::from_units(8));
    assert!(
        !all.contains(&parse("cpus:3")),
        "entries of several reservations do not add up"
    );
    assert!(!parse("cpus(a):4").contains(&parse("cpus:1")));
}

#[test]
fn subtraction_takes_what_is_there() {
    assert_eq!(
        parse("cpus:4;mem:8") - &parse("cpus:1;gpus:1"),
        parse("cpus:3;mem:8")
    );
    assert_eq!(parse("cpus:1") - &parse("cpus:2"), Resources::new());
    assert_eq!(
        parse("ports:[1-10]") - &parse("ports:[4-5]"),
        parse("ports:[1-3,6-10]")
    );
    assert_eq!(
        parse("disks:{a,b}") - &parse("disks:{b,c}"),
        parse("disks:{a}")
    );
    assert_eq!(parse("cpus:1").checked_sub(&parse("cpus:2")), None);
    assert_eq!(
        parse("cpus:2").checked_sub(&parse("cpus:2")),
        Some(Resources::new())
    );
}

#[test]
fn one_name_of_two_types_does_not_mix() {
    let both = parse("x:1") + &parse("x:{a}");
    assert_eq!(both.len(), 2);
    assert_eq!(both - &parse("x:{a}"), parse("x:1"));
}

#[test]
fn allocation_keeps_entries_apart_until_it_is_dropped() {
    let both = &parse("cpus:1").allocated_to("a") + &parse("cpus:2").allocated_to("b");
    assert_eq!(both.len(), 2);
    assert_eq!(both.allocation_role(), None);
    assert_eq!(both.allocations()["b"], parse("cpus:2").allocated_to("b"));
    assert_eq!(both.unallocated(), parse("cpus:3"));
    assert_eq!(both.allocated_to("c"), parse("cpus:3").allocated_to("c"));
    assert_eq!(both.allocated_to("c").allocation_role().unwrap(), "c");
    assert_ne!(parse("cpus:1"), parse("cpus:1").allocated_to("a"));
}

#[test]
fn volumes_are_taken_whole_or_not_at_all() {
    let two = &volume(10, "v1", "") + &volume(10, "v2", "");
    assert_eq!(two.len(), 2);
    assert!(two.contains(&volume(10, "v1", "")));
    assert!(!two.contains(&volume(5, "v1", "")));
    assert_eq!(&two - &volume(5, "v1", ""), two);
    assert_eq!(&two - &volume(10, "v1", ""), volume(10, "v2", ""));
    assert_eq!(two.persistent_volumes(), two);
}

#[test]
fn equal_mounts_stand_side_by_side() {
    let one = mount(10, "/m");
    let two = &one + &one;
    assert_eq!(two.len(), 2);
    assert!(two.contains(&two));
    assert!(!one.contains(&two));
    assert_eq!(&two - &one, one);
    assert!(!mount(10, "/m").contains(&mount(5, "/m")));
}

#[test]
fn path_disks_of_one_root_merge() {
    let path = |size: u32, root: &str| {
        entry(&format!(
            r#""name":"disk","type":"SCALAR","scalar":{{"value":{size}}},
            "disk":{{"source":{{"type":"PATH","path":{{"root":"{root}"}}}}}}"#
        ))
    };
    assert_eq!(&path(1, "/a") + &path(2, "/a"), path(3, "/a"));
    assert_eq!((&path(1, "/a") + &path(2, "/b")).len(), 2);
}

#[test]
fn shared_volumes_are_counted() {
    let one = volume(10, "v", r#","shared":{}"#);
    let two = &one + &one;
    assert_eq!(two.len(), 1);
    assert_eq!(two.entries()[0].copies(), 2);
    assert_ne!(one, two);
    assert!(two.contains(&one) && !one.contains(&two));
    assert_eq!(&two - &one, one);
    assert_eq!(&(&two - &one) - &one, Resources::new());
    assert_eq!(two.quantities().get("disk"), Scalar::from_units(10));
    assert_eq!(two.to_protos().len(), 2);
    assert_eq!(Resources::from_protos(&two.to_protos()).unwrap(), two);
    assert_ne!(one, volume(10, "v", ""));
}

#[test]
fn roles_see_their_own_and_their_ancestors_reservations() {
    let all = parse("cpus:1;cpus(a):2;cpus(a/b):4;cpus(c):8");
    let seen = |role: &str| all.available_to(role).cpus().to_f64();
    assert_eq!(
        [seen("a"), seen("a/b"), seen("a/b/x"), seen("ab"), seen("*")],
        [3.0, 7.0, 7.0, 1.0, 1.0]
    );
    assert_eq!(all.reserved_to("a").cpus().to_f64(), 2.0);
    assert_eq!(all.unreserved().cpus().to_f64(), 1.0);
    assert_eq!(all.reservations().len(), 3);
}

#[test]
fn both_reservation_formats_are_one() {
    let old = entry(&format!(r#"{CPUS},"role":"eng""#));
    let new = entry(&format!(
        r#"{CPUS},"reservations":[{{"type":"STATIC","role":"eng"}}]"#
    ));
    assert_eq!(old, new);
    assert_eq!(old, parse("cpus(eng):1"));
    let principal = r#""principal":"alice","labels":{"labels":[{"key":"k","value":"v"}]}"#;
    let old = entry(&format!(
        r#"{CPUS},"role":"eng","reservation":{{{principal}}}"#
    ));
    let new = entry(&format!(
        r#"{CPUS},"reservations":[{{"type":"DYNAMIC","role":"eng",{principal}}}]"#
    ));
    assert_eq!(old, new);
    assert_eq!(
        old.to_string(),
        "cpus(reservations: [(DYNAMIC,eng,alice,{k: v})]):1"
    );
    assert_ne!(old, parse("cpus(eng):1"));
    assert_eq!(entry(&format!(r#"{CPUS},"role":"*""#)), parse("cpus:1"));
}

#[test]
fn formats_that_are_sent() {
    let fields = |resources: &Resources, refinement, allocation| {
        let protos = resources.to_protos_for(refinement, allocation);
        let shape = |proto: &v1::Resource| {
            let reservation = proto.reservation.is_some();
            let allocation = proto.allocation_info.is_some();
            (
                proto.role.clone(),
                reservation,
                proto.reservations.len(),
                allocation,
            )
        };
        protos.iter().map(shape).collect::<Vec<_>>()
    };
    let role = |role: &str| Some(role.to_owned());
    let fixed = parse("cpus(eng):1").allocated_to("eng");
    let dynamic = entry(&format!(
        r#"{CPUS},"reservations":[{{"type":"DYNAMIC","role":"eng"}}]"#
    ));
    let refined = entry(&format!(
        r#"{CPUS},"reservations":[{{"type":"STATIC","role":"eng"}},
        {{"type":"DYNAMIC","role":"eng/a"}}]"#
    ));
    assert_eq!(
        fields(&parse("cpus:1"), false, false),
        [(role("*"), false, 0, false)]
    );
    assert_eq!(
        fields(&parse("cpus:1"), true, false),
        [(None, false, 0, false)]
    );
    assert_eq!(fields(&fixed, false, true), [(role("eng"), false, 0, true)]);
    assert_eq!(fields(&fixed, true, false), [(None, false, 1, false)]);
    assert_eq!(
        fields(&dynamic, false, false),
        [(role("eng"), true, 0, false)]
    );
    assert_eq!(fields(&refined, true, false), [(None, false, 2, false)]);
    assert_eq!(fields(&refined, false, false), []);
    let endpoint = dynamic.to_protos_for_endpoints().remove(0);
    assert!(endpoint.role.is_some() && endpoint.reservation.is_some());
    assert_eq!(endpoint.reservations.len(), 1);
    assert_eq!(Resources::from_protos(&[endpoint]).unwrap(), dynamic);
    let endpoint = refined.to_protos_for_endpoints().remove(0);
    assert!(endpoint.role.is_none() && endpoint.reservations.len() == 2);
}

#[test]
fn invalid_amounts() {
    let scalar = |value: &str| {
        error(&format!(
            r#""name":"cpus","type":"SCALAR","scalar":{{"value":{value}}}"#
        ))
    };
    assert_eq!(
        error(r#""name":"","type":"SCALAR","scalar":{"value":1}"#),
        "Empty resource name"
    );
    assert_eq!(scalar("-1"), "Invalid scalar resource: value <= 0");
    assert_eq!(scalar("0.0001"), "Invalid scalar resource: value <= 0");
    for value in [f64::NAN, f64::INFINITY] {
        let scalar = Some(v1::value::Scalar { value });
        let proto = v1::Resource {
            scalar,
            ..proto(CPUS)
        };
        let error = Resources::from_protos(&[proto]).unwrap_err();
        assert!(error.0.contains("not finite"), "{error}");
    }
    assert!(scalar("1e300").contains("too large"));
    assert_eq!(
        entry(r#""name":"cpus","type":"SCALAR","scalar":{"value":0}"#),
        Resources::new()
    );
    assert_eq!(
        error(&format!(r#"{CPUS},"set":{{}}"#)),
        "Invalid scalar resource"
    );
    assert_eq!(
        error(r#""name":"x","type":"TEXT""#),
        "Unsupported resource type"
    );
    assert_eq!(error(r#""name":"x","type":"SET""#), "Invalid set resource");
    let ranges = |ranges: &str| {
        error(&format!(
            r#""name":"p","type":"RANGES","ranges":{{"range":[{ranges}]}}"#
        ))
    };
    assert_eq!(
        ranges(r#"{"begin":2,"end":1}"#),
        "Invalid ranges resource: begin > end"
    );
    assert_eq!(
        ranges(r#"{"begin":1,"end":5},{"begin":5,"end":6}"#),
        "Invalid ranges resource: overlapping ranges"
    );
    assert_eq!(
        error(r#""name":"s","type":"SET","set":{"item":["a","a"]}"#),
        "Invalid set resource: duplicated elements"
    );
    assert_eq!(
        error(r#""name":"gpus","type":"SCALAR","scalar":{"value":0.5}"#),
        "The 'gpus' resource must be an unsigned integer"
    );
}

#[test]
fn invalid_reservations() {
    let cpus = |fields: &str| error(&format!("{CPUS},{fields}"));
    let stack = |stack: &str| cpus(&format!(r#""reservations":[{stack}]"#));
    const ENG: &str = r#"{"type":"DYNAMIC","role":"eng"}"#;
    assert!(cpus(r#""role":"*","reservation":{}"#).contains("cannot be dynamically reserved"));
    assert!(cpus(r#""reservation":{}"#).contains("cannot be dynamically reserved"));
    assert!(cpus(r#""role":"a","reservation":{"type":"DYNAMIC"}"#).contains("must not be set"));
    assert!(cpus(r#""role":"a","reservation":{"role":"a"}"#).contains("must not be set"));
    assert_eq!(
        cpus(r#""role":"a b""#),
        crate::role::validate("a b").unwrap_err()
    );
    assert!(stack(r#"{"role":"eng"}"#).contains("'Resource.ReservationInfo.type'"));
    assert!(stack(r#"{"type":"DYNAMIC"}"#).contains("'Resource.ReservationInfo.role'"));
    assert!(stack(r#"{"type":"DYNAMIC","role":"*"}"#).contains("cannot be reserved"));
    assert_eq!(
        stack(&format!(r#"{ENG},{{"type":"DYNAMIC","role":"ops"}}"#)),
        "Role 'ops' is not a refinement of 'eng'"
    );
    assert_eq!(
        stack(&format!(r#"{ENG},{{"type":"STATIC","role":"eng/a"}}"#)),
        "A refined reservation cannot be STATIC"
    );
    assert!(cpus(&format!(r#""role":"ops","reservations":[{ENG}]"#)).contains("does not match"));
    assert!(cpus(&format!(r#""role":"eng","reservations":[{ENG}]"#)).contains("both"));
    let refined = format!(r#""reservations":[{ENG},{{"type":"DYNAMIC","role":"eng/a"}}]"#);
    assert!(cpus(&format!(r#""role":"eng/a",{refined}"#)).contains("more than one"));
}

#[test]
fn what_only_disks_can_be() {
    assert_eq!(
        error(&format!(r#"{CPUS},"disk":{{}}"#)),
        "DiskInfo should not be set for cpus resource"
    );
    assert_eq!(
        error(&format!(r#"{CPUS},"shared":{{}}"#)),
        "Resource cpus cannot be shared"
    );
    assert_eq!(
        error(r#""name":"disk","type":"SCALAR","scalar":{"value":1},"shared":{}"#),
        "Only persistent volumes can be shared"
    );

    let check = |fields: &str| {
        let disk = format!(r#""name":"disk","type":"SCALAR","scalar":{{"value":1}},{fields}"#);
        crate::validate::resources::resources(&[proto(&disk)])
    };
    const VOLUME: &str = r#""volume":{"container_path":"d","mode":"RW"}"#;
    const ENG: &str = r#""role":"eng""#;
    let persistent =
        |more: &str| format!(r#"{more},"disk":{{"persistence":{{"id":"v"}},{VOLUME}}}"#);
    let invalid = |text: &str| Err(format!("Invalid DiskInfo: {text}"));
    assert_eq!(check(&persistent(ENG)), Ok(()));
    assert_eq!(
        check(&persistent(r#""role":"*""#)),
        invalid("Persistent volumes cannot be created from unreserved resources")
    );
    assert_eq!(
        check(&persistent(&format!(r#"{ENG},"revocable":{{}}"#))),
        invalid("Persistent volumes cannot be created from revocable resources")
    );
    assert_eq!(
        check(&format!(r#"{ENG},"disk":{{{VOLUME}}}"#)),
        invalid("Non-persistent volume not supported")
    );
    assert_eq!(
        check(&format!(r#"{ENG},"disk":{{}}"#)),
        invalid("DiskInfo is set but empty")
    );
    assert!(check(&format!(r#"{ENG},"disk":{{"persistence":{{"id":"v"}}}}"#)).is_err());
    let revocable = format!(r#"{ENG},"reservation":{{}},"revocable":{{}}"#);
    assert!(
        check(&revocable)
            .unwrap_err()
            .starts_with("Invalid ReservationInfo: ")
    );
}

#[test]
fn text_of_everything() {
    let all = &parse("cpus:1.5;mem(eng):64").allocated_to("eng") + &volume(10, "v", "");
    assert_eq!(
        all.to_string(),
        "cpus(allocated: eng):1.5; mem(allocated: eng)(reservations: [(STATIC,eng)]):64; \
         disk(reservations: [(DYNAMIC,eng)])[v:d]:10"
    );
    assert_eq!(Resources::new().to_string(), "{}");
    assert_eq!(mount(10, "/m").to_string(), "disk[MOUNT:/m]:10");
    let revocable = entry(&format!(r#"{CPUS},"revocable":{{}}"#));
    assert_eq!(revocable.to_string(), "cpus{REV}:1");
    assert_ne!(revocable, parse("cpus:1"));
    assert_eq!((&revocable + &parse("cpus:1")).revocable(), revocable);
}

#[test]
fn a_copy_shares_until_it_changes() {
    let one = parse("cpus:1;mem:2");
    let mut other = one.clone();
    other += &parse("cpus:1");
    assert_eq!(one, parse("cpus:1;mem:2"));
    assert_eq!(other, parse("cpus:2;mem:2"));
    assert_eq!(one.filter(|_| true), one);
}

#[test]
fn counts_are_for_all_types() {
    let counts = parse("cpus:1.5;ports:[1-10];disks:{a,b}").counts();
    assert_eq!(
        counts,
        Quantities::parse("cpus:1.5;ports:10;disks:2").unwrap()
    );
    assert_eq!(
        parse("cpus:1;ports:[1-2]").quantities(),
        Quantities::parse("cpus:1").unwrap()
    );
}

/// Names, roles, stacks, allocations and disks of a small world, so that entries meet.
fn any_resource() -> impl Strategy<Value = Resource> {
    let range = (0u64..20, 0u64..5).prop_map(|(first, more)| (first, first + more));
    let amount = prop_oneof![
        4 => (0i64..5000).prop_map(|thousandths| ("cpus", Amount::Scalar(Scalar(thousandths)))),
        2 => (0i64..5000).prop_map(|thousandths| ("mem", Amount::Scalar(Scalar(thousandths)))),
        2 => prop::collection::vec(range, 0..4)
            .prop_map(|ranges| ("ports", Amount::Ranges(Ranges::new(ranges)))),
        1 => prop::collection::vec(0u8..5, 0..4).prop_map(|items| {
            ("zones", Amount::Set(Items::new(items.iter().map(|item| item.to_string().into()))))
        }),
    ];
    let reservation = prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec![Reservation::fixed("a")]),
        1 => Just(vec![Reservation::dynamic("a", Some("p"))]),
        1 => Just(vec![Reservation::fixed("a"), Reservation::dynamic("a/b", None)]),
    ];
    let allocation = prop_oneof![2 => Just(None), 1 => Just(Some(Role::from("a")))];
    let entry = (amount, reservation, allocation, any::<bool>()).prop_map(
        |((name, amount), stack, allocation, revocable): (
            (&str, Amount),
            Vec<Reservation>,
            Option<Role>,
            bool,
        )| {
            let mut entry = Resource::plain(name, amount).with_reservations(&stack);
            entry.revocable = revocable;
            entry.with_allocation(allocation.as_ref())
        },
    );
    let whole = prop_oneof![
        Just(mount(1, "/m")),
        Just(volume(1, "v", "")),
        Just(volume(2, "v", "")),
        Just(volume(1, "s", r#","shared":{}"#)),
    ];
    prop_oneof![5 => entry, 1 => whole.prop_map(|one| one.entries()[0].clone())]
}

fn any_resources() -> impl Strategy<Value = Resources> {
    prop::collection::vec(any_resource(), 0..7).prop_map(|entries| entries.into_iter().collect())
}

/// Scalars and counted or indivisible entries: what addition does not absorb. The union of
/// ranges or sets forgets what was on both sides.
fn any_countable() -> impl Strategy<Value = Resources> {
    let counts = |entry: &Resource| entry.scalar().is_some();
    any_resources().prop_map(move |resources| resources.filter(counts))
}

proptest! {
    #[test]
    fn addition_commutes(a in any_resources(), b in any_resources()) {
        prop_assert_eq!(&a + &b, &b + &a);
    }

    #[test]
    fn addition_associates(a in any_resources(), b in any_resources(), c in any_resources()) {
        prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
    }

    #[test]
    fn a_sum_contains_its_parts(a in any_resources(), b in any_resources()) {
        let sum = &a + &b;
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        prop_assert!(a.contains(&Resources::new()));
    }

    #[test]
    fn what_was_added_can_be_taken(a in any_countable(), b in any_countable()) {
        prop_assert_eq!(&(&a + &b) - &b, a);
    }

    #[test]
    fn what_was_taken_can_be_added(sum in any_resources(), mask in any::<u8>()) {
        let mut at = 0;
        let part = sum.filter(|_| { at += 1; mask >> at & 1 == 1 });
        prop_assert!(sum.contains(&part));
        let rest = sum.checked_sub(&part).unwrap();
        prop_assert_eq!(&rest + &part, sum);
    }

    #[test]
    fn containment_is_what_subtraction_undoes(a in any_resources(), b in any_resources()) {
        prop_assert_eq!(a.contains(&b), &(&a - &b) + &b == a);
    }

    #[test]
    fn equality_is_containment_both_ways(a in any_resources(), b in any_resources()) {
        prop_assert_eq!(a == b, a.contains(&b) && b.contains(&a));
    }

    #[test]
    fn nothing_minus_anything_is_nothing(a in any_resources()) {
        prop_assert!((&Resources::new() - &a).is_empty());
        prop_assert!((&a - &a).is_empty());
    }

    #[test]
    fn quantities_add_up(a in any_countable(), b in any_countable()) {
        // Copies of a shared volume count once.
        let (a, b) = (a.non_shared(), b.non_shared());
        prop_assert_eq!((&a + &b).quantities(), a.quantities() + &b.quantities());
    }

    #[test]
    fn the_wire_keeps_everything(a in any_resources()) {
        prop_assert_eq!(Resources::from_protos(&a.to_protos()), Ok(a));
    }

    #[test]
    fn plain_text_is_read_back(a in any_resources()) {
        let plain = |entry: &Resource| {
            entry.is_unreserved() && !entry.is_revocable() && entry.disk().is_none()
        };
        let plain = a.unallocated().filter(plain);
        let text = if plain.is_empty() { String::new() } else { plain.to_string() };
        prop_assert_eq!(Resources::parse(&text, "*"), Ok(plain));
    }

    #[test]
    fn parts_make_the_whole(a in any_resources()) {
        let (revocable, rest) = a.partition(Resource::is_revocable);
        prop_assert_eq!(&(&revocable + &rest), &a);
        prop_assert_eq!(&(&a.unreserved() + &a.reserved()), &a);
        let by_role: Resources = a.reservations().values().sum();
        prop_assert_eq!(by_role, a.reserved());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9:;()\\[\\]{},. -]{0,30}") {
        if let Ok(resources) = Resources::parse(&text, "*") {
            prop_assert!(resources.iter().all(|entry| !entry.is_empty()));
        }
    }
}
