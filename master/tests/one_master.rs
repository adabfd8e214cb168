//! A cluster of one, from outside.

mod common;

use common::{Cluster, Stream, call, subscribe};

#[tokio::test]
async fn endpoints_answer_as_mesos_does() {
    let cluster = Cluster::start(1, |_| {});
    let master = cluster.leader(None).await;

    let health = master.get("/health").await.unwrap();
    assert_eq!((health.status, health.body.len()), (200, 0));
    let version = master.get("/version").await.unwrap();
    assert_eq!(version.json()["version"], "1.11.0");
    let unknown = master.get("/no/such").await.unwrap();
    assert_eq!(
        (unknown.status, unknown.text().as_str()),
        (404, "404 Not Found.")
    );
    assert_eq!(unknown.headers["content-type"], "text/plain; charset=utf-8");

    let refused = master.get("/api/v1/scheduler").await.unwrap();
    assert_eq!(
        (refused.status, refused.headers["allow"].as_str()),
        (405, "POST")
    );
    let redirect = master.get("/master/redirect").await.unwrap();
    let location = format!("//localhost:{}", master.address.port());
    assert_eq!(
        (redirect.status, &redirect.headers["location"]),
        (307, &location)
    );

    for path in [
        "/state",
        "/master/state/x",
        "/state-summary",
        "/slaves",
        "/frameworks",
        "/tasks",
    ] {
        let answer = master.get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.json().is_object(), "{path}");
        assert!(
            answer.headers.contains_key("caprock-applied-index"),
            "{path}"
        );
    }
    let state = master.get("/state").await.unwrap().json();
    assert_eq!(state["leader"], state["pid"]);
    let tasks = master.get("/tasks?limit=x").await.unwrap();
    assert_eq!(tasks.status, 400);
    let metrics = master.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("caprock_master_elected 1.0"), "{metrics}");
}

#[tokio::test]
async fn operator_calls() {
    let cluster = Cluster::start(1, |_| {});
    let master = cluster.leader(None).await;

    for kind in [
        "GET_HEALTH",
        "GET_FLAGS",
        "GET_VERSION",
        "GET_LOGGING_LEVEL",
        "GET_MASTER",
        "GET_STATE",
        "GET_AGENTS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_TASKS",
        "GET_ROLES",
        "GET_OPERATIONS",
        "GET_WEIGHTS",
        "GET_QUOTA",
        "GET_MAINTENANCE_STATUS",
        "GET_MAINTENANCE_SCHEDULE",
    ] {
        let answer = master
            .post("/api/v1", &[], &format!("{{\"type\":\"{kind}\"}}"))
            .await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        assert_eq!(answer.json()["type"], kind);
    }
    let metrics = master
        .post("/api/v1", &[], r#"{"type":"GET_METRICS","get_metrics":{}}"#)
        .await;
    assert_eq!(metrics.status, 200);
    let missing = master
        .post("/api/v1", &[], r#"{"type":"GET_METRICS"}"#)
        .await;
    assert_eq!(missing.status, 400);
    assert_eq!(
        missing.text(),
        "Failed to validate master::Call: Expecting 'get_metrics' to be present"
    );
    let teardown = r#"{"type":"TEARDOWN","teardown":{"framework_id":{"value":"x"}}}"#;
    assert_eq!(master.post("/api/v1", &[], teardown).await.status, 400);
    let unsupported = r#"{"type":"UNKNOWN"}"#;
    assert_eq!(master.post("/api/v1", &[], unsupported).await.status, 501);
}

#[tokio::test]
async fn the_life_of_a_subscription() {
    let cluster = Cluster::start(1, |_| {});
    let master = cluster.leader(None).await;

    let mut stream = Stream::subscribe(master.address, &subscribe("life", None, 60.0)).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "application/json");
    assert_eq!(stream.headers["transfer-encoding"], "chunked");
    let subscribed = stream.next().await.unwrap();
    assert_eq!(subscribed["type"], "SUBSCRIBED");
    assert_eq!(stream.next().await.unwrap()["type"], "HEARTBEAT");
    let id = subscribed["subscribed"]["framework_id"]["value"]
        .as_str()
        .unwrap()
        .to_owned();

    let revived = master
        .scheduler(stream.stream_id(), &call("REVIVE", &id))
        .await;
    assert_eq!(
        (revived.status, revived.headers["content-length"].as_str()),
        (202, "0")
    );
    assert!(!revived.headers.contains_key("content-type"));
    let without = master
        .post("/api/v1/scheduler", &[], &call("REVIVE", &id))
        .await;
    assert_eq!(without.status, 400);

    let frameworks = master.get("/frameworks").await.unwrap().json();
    assert_eq!(frameworks["frameworks"][0]["id"], id.as_str());
    assert_eq!(frameworks["frameworks"][0]["connected"], true);

    let torn_down = master
        .scheduler(stream.stream_id(), &call("TEARDOWN", &id))
        .await;
    assert_eq!(torn_down.status, 202, "{}", torn_down.text());
    assert!(stream.next().await.is_none());
    let mut again = Stream::subscribe(master.address, &subscribe("life", Some(&id), 60.0)).await;
    assert_eq!(again.status, 200);
    assert_eq!(
        again.next().await.unwrap()["error"]["message"],
        "Framework has been removed"
    );
    assert!(again.next().await.is_none());
}

#[tokio::test]
async fn operators_see_a_framework_come_and_go() {
    let cluster = Cluster::start(1, |_| {});
    let master = cluster.leader(None).await;
    let mut events = common::events(master.address).await;
    assert_eq!(events.next().await.unwrap()["type"], "SUBSCRIBED");
    assert_eq!(events.next().await.unwrap()["type"], "HEARTBEAT");

    let mut stream = Stream::subscribe(master.address, &subscribe("seen", None, 60.0)).await;
    let subscribed = stream.event("SUBSCRIBED").await;
    let id = subscribed["subscribed"]["framework_id"]["value"]
        .as_str()
        .unwrap();
    let added = events.event("FRAMEWORK_ADDED").await;
    assert_eq!(
        added["framework_added"]["framework"]["framework_info"]["id"]["value"],
        id
    );
    let torn_down = master
        .scheduler(stream.stream_id(), &call("TEARDOWN", id))
        .await;
    assert_eq!(torn_down.status, 202);
    events.event("FRAMEWORK_REMOVED").await;
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = caprock_master::MasterConfig {
        listen: taken.local_addr().unwrap(),
        data_dir: data.path().to_owned(),
        ..caprock_master::MasterConfig::default()
    };
    let error = caprock_master::run(config, std::future::pending())
        .await
        .unwrap_err();
    let line = format!("{error:#}");
    assert!(line.starts_with("cannot listen on 127.0.0.1:"), "{line}");
    assert!(!line.contains('\n'), "{line}");
}
