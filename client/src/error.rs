//! What can go wrong between a client and the cluster.

/// An error of a call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address at all, or one that is not `host:port`.
    #[error("'{0}' is not a list of masters such as 10.0.0.1:5050,10.0.0.2:5050")]
    BadAddress(String),
    /// Nobody answered.
    #[error("no master answers (tried {tried}): {last}")]
    Unreachable { tried: String, last: String },
    /// The connection broke before the answer was complete.
    #[error("the connection to {address} broke: {reason}")]
    Broken { address: String, reason: String },
    /// An answer other than success.
    #[error("{address} answered {status}: {text}")]
    Status {
        address: String,
        status: u16,
        text: String,
    },
    /// An answer that this client cannot read.
    #[error("{address} sent something that is not understood: {reason}")]
    BadAnswer { address: String, reason: String },
    /// The scheduler or executor has no open stream.
    #[error("not subscribed")]
    NotSubscribed,
}

impl ClientError {
    /// True if another try, perhaps at another master, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
            ClientError::Status { status, .. } => *status == 503,
            ClientError::BadAddress(_)
            | ClientError::BadAnswer { .. }
            | ClientError::NotSubscribed => false,
        }
    }
}
