//! Masters in this process, each on its own runtime so that one can be lost at once, and a
//! small HTTP client that shows what is on the wire.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use caprock_master::{FollowerMode, MasterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Master {
    pub id: u64,
    pub address: SocketAddr,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<anyhow::Result<()>>>,
}

pub struct Cluster {
    pub masters: Vec<Master>,
    ending: Vec<JoinHandle<()>>,
    _data: tempfile::TempDir,
}

impl Cluster {
    pub fn start(members: u64, change: impl Fn(&mut MasterConfig)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let listeners: Vec<TcpListener> = (0..members)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        drop(listeners);
        let quorum: BTreeMap<u64, String> = (1..)
            .zip(&addresses)
            .map(|(id, address)| (id, address.to_string()))
            .collect();
        let masters = (1..).zip(&addresses).map(|(id, address)| {
            let mut config = MasterConfig {
                id,
                listen: *address,
                data_dir: data.path().join(format!("member{id}")),
                quorum: if members > 1 {
                    quorum.clone()
                } else {
                    BTreeMap::new()
                },
                follower_mode: FollowerMode::Gateway,
                ..MasterConfig::default()
            };
            change(&mut config);
            Master::start(config)
        });
        Self {
            masters: masters.collect(),
            ending: Vec::new(),
            _data: data,
        }
    }

    /// The master that says it is elected; the one given does not count.
    pub async fn leader(&self, but: Option<u64>) -> &Master {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for master in self
                .masters
                .iter()
                .filter(|m| m.runs() && Some(m.id) != but)
            {
                let Ok(answer) = master.get("/metrics/snapshot").await else {
                    continue;
                };
                let metrics: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                if metrics["master/elected"] == 1.0 {
                    return master;
                }
            }
            assert!(Instant::now() < deadline, "no leader");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn master(&self, id: u64) -> &Master {
        self.masters.iter().find(|master| master.id == id).unwrap()
    }

    pub fn lose(&mut self, id: u64) {
        let master = self
            .masters
            .iter_mut()
            .find(|master| master.id == id)
            .unwrap();
        if let Some(runtime) = master.runtime.take() {
            // Not on a thread of the test's own runtime, which must not block.
            let end = move || runtime.shutdown_timeout(PATIENCE);
            self.ending.push(std::thread::spawn(end));
        }
    }

    pub async fn stop(&mut self, id: u64) {
        let master = self
            .masters
            .iter_mut()
            .find(|master| master.id == id)
            .unwrap();
        drop(master.stop.take());
        let ended = master.ended.take().unwrap();
        tokio::time::timeout(PATIENCE, ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // RocksDB has to be closed before the process ends, or its own clean-up aborts it.
        for master in &mut self.masters {
            drop(master.stop.take());
            let (runtime, ended) = (master.runtime.take(), master.ended.take());
            self.ending.push(std::thread::spawn(move || {
                let Some(runtime) = runtime else { return };
                if let Some(ended) = ended {
                    let ended =
                        runtime.block_on(async { tokio::time::timeout(PATIENCE, ended).await });
                    drop(ended);
                }
                runtime.shutdown_timeout(PATIENCE);
            }));
        }
        for thread in self.ending.drain(..) {
            if thread.join().is_err() {
                eprintln!("a master could not be ended");
            }
        }
    }
}

impl Master {
    fn start(config: MasterConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let (id, address) = (config.id, config.listen);
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        runtime.spawn(async move {
            let shutdown = async {
                let _: Result<(), _> = stopped.await;
            };
            let result = caprock_master::run(config, shutdown).await;
            if let Err(error) = &result {
                eprintln!("master {id} ended: {error:#}");
            }
            let _: Result<(), _> = end.send(result);
        });
        Self {
            id,
            address,
            runtime: Some(runtime),
            stop: Some(stop),
            ended: Some(ended),
        }
    }

    pub fn runs(&self) -> bool {
        self.runtime.is_some() && self.stop.is_some()
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        request(self.address, "GET", path, &[], b"").await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        ];
        all.extend_from_slice(headers);
        request(self.address, "POST", path, &all, body.as_bytes())
            .await
            .unwrap()
    }

    pub async fn scheduler(&self, stream_id: &str, body: &str) -> Answer {
        self.post("/api/v1/scheduler", &[("Mesos-Stream-Id", stream_id)], body)
            .await
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own.
pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Answer> {
    let exchange = async {
        let mut connection = Connection::send(to, method, path, headers, body).await?;
        let (status, headers) = connection.head().await?;
        let mut body = Vec::new();
        if headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            while let Some(chunk) = connection.chunk().await? {
                body.extend_from_slice(&chunk);
            }
        } else {
            let length = headers
                .get("content-length")
                .map_or(0, |length| length.parse().unwrap());
            body = connection.exactly(length).await?;
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    };
    tokio::time::timeout(PATIENCE, exchange).await?
}

/// A scheduler's event stream.
pub struct Stream {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    connection: Connection,
}

impl Stream {
    /// Subscribes with this `FrameworkInfo`.
    pub async fn subscribe(to: SocketAddr, call: &str) -> Self {
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Connection", "close"),
        ];
        let path = "/api/v1/scheduler";
        let sent = Connection::send(to, "POST", path, &headers, call.as_bytes()).await;
        let mut connection = sent.unwrap();
        let head = tokio::time::timeout(PATIENCE, connection.head())
            .await
            .unwrap();
        let (status, headers) = head.unwrap();
        Self {
            status,
            headers,
            connection,
        }
    }

    pub fn stream_id(&self) -> &str {
        &self.headers["mesos-stream-id"]
    }

    /// The next event, which has to be one record in one chunk; none at the end.
    pub async fn next(&mut self) -> Option<serde_json::Value> {
        let chunk = tokio::time::timeout(PATIENCE, self.connection.chunk()).await;
        let chunk = chunk.expect("an event in time").ok()??;
        let newline = chunk.iter().position(|byte| *byte == b'\n').unwrap();
        let length: usize = std::str::from_utf8(&chunk[..newline])
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(length, chunk.len() - newline - 1, "one record is one chunk");
        Some(serde_json::from_slice(&chunk[newline + 1..]).unwrap())
    }

    /// The next event of this type.
    pub async fn event(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the stream ended: no {kind}"));
            if event["type"] == kind {
                return event;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn send(
        to: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Self> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let mut piece = vec![0; 16_384];
        let read = self.stream.read(&mut piece).await?;
        anyhow::ensure!(read > 0, "the connection was closed");
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(())
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8(line[..end].to_vec())?);
            }
            self.fill().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn head(&mut self) -> anyhow::Result<(u16, BTreeMap<String, String>)> {
        let status = self.line().await?.split(' ').nth(1).unwrap().parse()?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                return Ok((status, headers));
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }

    async fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(self.line().await?.trim(), 16)?;
        let chunk = self.exactly(length).await?;
        self.line().await?;
        Ok((length > 0).then_some(chunk))
    }
}

pub fn subscribe(name: &str, id: Option<&str>, failover_timeout: f64) -> String {
    let mut info = serde_json::json!({
        "user": "root", "name": name, "failover_timeout": failover_timeout,
    });
    let mut call = serde_json::json!({"type": "SUBSCRIBE"});
    if let Some(id) = id {
        info["id"] = serde_json::json!({"value": id});
        call["framework_id"] = info["id"].clone();
    }
    call["subscribe"] = serde_json::json!({"framework_info": info});
    call.to_string()
}

pub fn call(kind: &str, framework_id: &str) -> String {
    serde_json::json!({"type": kind, "framework_id": {"value": framework_id}}).to_string()
}

/// The operator's event stream.
pub async fn events(to: SocketAddr) -> Stream {
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let body = br#"{"type":"SUBSCRIBE"}"#;
    let mut connection = Connection::send(to, "POST", "/api/v1", &headers, body)
        .await
        .unwrap();
    let head = tokio::time::timeout(PATIENCE, connection.head())
        .await
        .unwrap();
    let (status, headers) = head.unwrap();
    Stream {
        status,
        headers,
        connection,
    }
}
