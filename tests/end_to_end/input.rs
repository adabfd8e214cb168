//! Whatever is sent to a master, it answers and goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use caprock_tests::Cluster;

/// Sends raw bytes and returns the first line of the answer, if any.
fn exchange(address: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer)?;
    let text = String::from_utf8_lossy(&answer[..count]).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

#[tokio::test]
async fn bad_requests_are_refused_and_change_nothing() -> Result<()> {
    let cluster = Cluster::start(1, 0).await?;
    let address = cluster.masters[0].address();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let json = "application/json";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (post("/api/v1/scheduler", json, b"{"), "400"),
        (
            post("/api/v1/scheduler", json, b"{\"type\":\"KILL\"}"),
            "400",
        ),
        (post("/api/v1/scheduler", json, deep.as_bytes()), "400"),
        (post("/api/v1/scheduler", "text/plain", b"x"), "415"),
        (
            post("/api/v1/scheduler", "application/x-protobuf", &[0xff; 64]),
            "400",
        ),
        (post("/api/v1", json, b"{\"type\":\"NO_SUCH_CALL\"}"), "400"),
        (
            b"GET /no/such/path HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "404",
        ),
        (
            b"GET /api/v1/scheduler HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "405",
        ),
        (b"\x00\x01garbage\r\n\r\n".to_vec(), "400"),
    ];
    for (request, status) in cases {
        let address = address.clone();
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let line = tokio::task::spawn_blocking(move || exchange(&address, &request)).await??;
        assert!(
            line.contains(status),
            "{shown:?} was answered {line:?}, not {status}"
        );
    }
    let state = cluster.state().await?.get_state.unwrap_or_default();
    assert!(
        state
            .get_frameworks
            .unwrap_or_default()
            .frameworks
            .is_empty()
    );
    Ok(())
}
