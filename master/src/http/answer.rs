//! The brain's verdict on a request as an HTTP answer.

use caprock_http::{Reply, reply};
use caprock_leader::Reply as Verdict;
use http::StatusCode;

/// The answer that a verdict means. A stream is opened where SUBSCRIBE is handled.
pub fn reply(verdict: Verdict) -> Reply {
    match verdict {
        Verdict::Accepted => reply::empty(StatusCode::ACCEPTED),
        Verdict::Ok => reply::empty(StatusCode::OK),
        Verdict::BadRequest(text) => reply::bad_request(text),
        Verdict::Forbidden(text) => reply::text(StatusCode::FORBIDDEN, text),
        Verdict::NotFound(text) => reply::text(StatusCode::NOT_FOUND, text),
        Verdict::Conflict(text) => reply::text(StatusCode::CONFLICT, text),
        Verdict::NotImplemented => reply::status_line(StatusCode::NOT_IMPLEMENTED),
        Verdict::Unavailable(text) => reply::text(StatusCode::SERVICE_UNAVAILABLE, text),
        Verdict::Stream(session) => {
            tracing::error!(?session, "a stream was answered to a call that has none");
            reply::status_line(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
