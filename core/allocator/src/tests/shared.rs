//! Shared volumes: many may have them, but in one cycle each is offered once.

use super::*;

const VOLUME: &str = r#"[{"name":"disk","type":"SCALAR","scalar":{"value":10},
    "reservations":[{"type":"STATIC","role":"a"}],"shared":{},
    "disk":{"persistence":{"id":"v"},"volume":{"container_path":"d","mode":"RW"}}}]"#;

fn world() -> World {
    let mut world = World::new(1, "cpus:2", &[("a", "f1"), ("a", "f2")]);
    let volume = Resources::parse(VOLUME, "*").unwrap();
    world.agents[0].available += &volume;
    world.total += &volume.quantities();
    world.options.min_allocatable = Vec::new();
    for framework in ["f1", "f2"] {
        world.framework("a", framework).capabilities = everything();
    }
    world
}

#[test]
fn once_in_a_cycle_and_again_in_the_next() {
    let mut world = world();
    let first = world.run().grants;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].framework, "f1");
    assert_eq!(first[0].resources.shared().len(), 1);
    world.count(&first);
    let second = world.run().grants;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].framework, "f2");
    let volume = Resources::parse(VOLUME, "*").unwrap();
    assert_eq!(second[0].resources, volume.allocated_to("a"));
}

#[test]
fn the_allocator_keeps_offering_them() {
    let world = world();
    let mut allocator = crate::Allocator::load(&world.request(), &Default::default());
    for expected in ["f1", "f2", "f1"] {
        let grants = allocator.cycle_all(1, &OpenGate);
        assert_eq!(grants.len(), 1, "{expected}");
        assert_eq!(grants[0].framework, expected);
        assert_eq!(grants[0].resources.shared().len(), 1);
        let grant = &grants[0];
        allocator.release(
            &grant.role,
            &grant.framework,
            &grant.agent,
            &grant.resources,
        );
    }
    let available = allocator.available(&"S0".into()).unwrap();
    assert_eq!(*available, world.agents[0].available);
}

/// A gate that knows who has the volume.
struct Holders(&'static str);

impl Gate for Holders {
    fn blocks(&self, _: &FrameworkId, _: &Role, _: &AgentId, _: &Resources) -> Option<Reason> {
        None
    }

    fn holds(&self, framework: &FrameworkId, _: &AgentId, _: &Resource) -> bool {
        framework.as_str() == self.0
    }
}

#[test]
fn several_copies_count_once() {
    let share_after = |holder| {
        let mut world = world();
        world.agents[0].available = world.agents[0].available.shared();
        let mut allocator = crate::Allocator::load(&world.request(), &Default::default());
        allocator.cycle_all(1, &Holders(holder));
        allocator
            .cycle_all(1, &Holders(holder))
            .swap_remove(0)
            .framework
    };
    assert_eq!(share_after(""), FrameworkId::from("f2"));
    // The first still has no share, but has had one grant more.
    assert_eq!(share_after("f1"), FrameworkId::from("f2"));
}
