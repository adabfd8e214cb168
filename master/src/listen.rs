//! The one port of a process: HTTP/1.1 and gRPC (HTTP/2 with prior knowledge) side by side.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::service::Routes;
use tower::ServiceExt;

/// A peer that does not answer a ping for this long has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Wait after accept() failed, for instance for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// What a request body holds back at most before it is read (HTTP/2).
const WINDOW_BYTES: u32 = 1 << 20;

/// Answers the HTTP requests that are no gRPC.
pub trait HttpService: Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = caprock_http::Reply> + Send;
}

/// Binds the port; nothing is served yet.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Serves connections until `stopping` says true; then ends them in good order.
pub async fn serve<S: HttpService>(
    listener: TcpListener,
    service: Arc<S>,
    grpc: Routes,
    mut stopping: watch::Receiver<bool>,
    drain: Duration,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Idle connections of schedulers stay open, as libprocess leaves them.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .keep_alive_timeout(KEEP_ALIVE)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES * 4);
    let grpc = grpc.prepare();
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = asked_to_stop(&mut stopping) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let connection = connection(&builder, stream, Arc::clone(&service), grpc.clone());
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::debug!("connections were still open at the end");
    }
}

async fn asked_to_stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that nobody can ask any more, which comes to the same.
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        tracing::debug!("the node ended without asking the server to stop");
    }
}

fn connection<S: HttpService>(
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    service: Arc<S>,
    grpc: Routes,
) -> impl hyper_util::server::graceful::GracefulConnection<Error: std::fmt::Display> + 'static {
    // Offers and updates are small and must not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (service, grpc) = (Arc::clone(&service), grpc.clone());
        async move { Ok::<_, Infallible>(answer(&*service, grpc, request).await) }
    });
    builder
        .serve_connection(TokioIo::new(stream), answer)
        .into_owned()
}

async fn answer<S: HttpService>(
    service: &S,
    grpc: Routes,
    request: Request<Incoming>,
) -> Response<Body> {
    if is_grpc(&request) {
        let Ok(response) = grpc.oneshot(request.map(tonic::body::Body::new)).await;
        return response.map(Body::new);
    }
    service.handle(request).await.map(Body::new)
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
