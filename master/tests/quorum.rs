//! Three masters, from outside: who answers, and what a scheduler sees of a failover.

mod common;

use caprock_master::FollowerMode;
use common::{Cluster, Stream, call, subscribe};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_redirect_as_mesos_does() {
    let cluster = Cluster::start(3, |config| config.follower_mode = FollowerMode::Redirect);
    let leader = cluster.leader(None).await;
    let deadline = std::time::Instant::now() + common::PATIENCE;
    for follower in cluster
        .masters
        .iter()
        .filter(|master| master.id != leader.id)
    {
        let location = format!("//localhost:{}", leader.address.port());
        loop {
            let answer = follower.get("/redirect").await.unwrap();
            if answer.status == 307 {
                assert_eq!(answer.headers["location"], location);
                break;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "the follower knows no leader"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let answer = follower.post("/api/v1?x=1", &[], "no call").await;
        assert_eq!(answer.status, 307);
        assert_eq!(
            answer.headers["location"],
            format!("{location}/master/api/v1?x=1")
        );
        assert_eq!(follower.get("/health").await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_forward_and_mark_what_they_know_themselves() {
    let cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader(None).await;
    let follower = cluster
        .masters
        .iter()
        .find(|master| master.id != leader.id)
        .unwrap();
    let state = follower.get("/state").await.unwrap();
    assert_eq!(state.status, 200);
    assert_eq!(state.json()["pid"], format!("master@{}", leader.address));
    let own = follower.get("/state?local").await.unwrap();
    assert_eq!(own.json()["pid"], format!("master@{}", follower.address));
    assert!(own.headers.contains_key("caprock-age-ms"));
    let health = follower
        .post("/api/v1", &[], r#"{"type":"GET_HEALTH"}"#)
        .await;
    assert_eq!(health.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_outlives_its_leader() {
    let mut cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader(None).await.id;
    let held_by = cluster
        .masters
        .iter()
        .find(|master| master.id != leader)
        .unwrap()
        .id;
    let address = cluster.master(held_by).address;

    let mut stream = Stream::subscribe(address, &subscribe("held", None, 60.0)).await;
    let subscribed = stream.event("SUBSCRIBED").await;
    let id = subscribed["subscribed"]["framework_id"]["value"]
        .as_str()
        .unwrap()
        .to_owned();
    let stream_id = stream.stream_id().to_owned();
    let revive = call("REVIVE", &id);
    assert_eq!(
        cluster
            .master(held_by)
            .scheduler(&stream_id, &revive)
            .await
            .status,
        202
    );

    cluster.lose(leader);
    let next = cluster.leader(Some(leader)).await.id;
    assert_ne!(next, leader);
    // The stream is the same, and so is its id: the call is held until it is subscribed again.
    let held = cluster.master(held_by).scheduler(&stream_id, &revive).await;
    assert_eq!(held.status, 202, "{}", held.text());
    let frameworks = cluster
        .master(held_by)
        .get("/frameworks")
        .await
        .unwrap()
        .json();
    assert_eq!(frameworks["frameworks"][0]["id"], id.as_str());
    assert_eq!(frameworks["frameworks"][0]["connected"], true);

    let teardown = call("TEARDOWN", &id);
    assert_eq!(
        cluster
            .master(held_by)
            .scheduler(&stream_id, &teardown)
            .await
            .status,
        202
    );
    while let Some(event) = stream.next().await {
        assert!(
            event["type"] == "HEARTBEAT" || event["type"] == "OFFERS",
            "{event}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_first() {
    let mut cluster = Cluster::start(3, |_| {});
    let leader = cluster.leader(None).await.id;
    cluster.stop(leader).await;
    let next = cluster.leader(Some(leader)).await;
    assert_ne!(next.id, leader);
    let answer = next.post("/api/v1", &[], r#"{"type":"GET_HEALTH"}"#).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_of_its_own_follows_the_leader() {
    let mut cluster = Cluster::start(3, |config| config.follower_mode = FollowerMode::Redirect);
    let leader = cluster.leader(None).await.id;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let masters = cluster
        .masters
        .iter()
        .map(|master| master.address.to_string())
        .collect();
    let config = caprock_master::gateway::GatewayConfig::new(address, masters);
    let gateway = tokio::spawn(caprock_master::gateway::run(config, std::future::pending()));
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while common::request(address, "GET", "/health", &[], b"")
        .await
        .is_err()
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the gateway does not listen"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    let mut stream = Stream::subscribe(address, &subscribe("beside", None, 60.0)).await;
    let subscribed = stream.event("SUBSCRIBED").await;
    let id = subscribed["subscribed"]["framework_id"]["value"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster.lose(leader);
    let json = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let mut headers = json.to_vec();
    let stream_id = stream.stream_id().to_owned();
    headers.push(("Mesos-Stream-Id", &stream_id));
    loop {
        let body = call("REVIVE", &id);
        let path = "/api/v1/scheduler";
        let answer = common::request(address, "POST", path, &headers, body.as_bytes()).await;
        let answer = answer.unwrap();
        if answer.status == 202 {
            break;
        }
        // A call that was under way when the leader died: its sender tries again.
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(std::time::Instant::now() < deadline, "no leader took over");
    }
    gateway.abort();
}
