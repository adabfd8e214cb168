//! Fetching over HTTP and HTTPS; certificates are checked against those of the machine.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_REDIRECTS: u32 = 10;

/// Writes what the URL gives to a file.
pub fn download(url: &str, target: &Path) -> Result<(), String> {
    let response = client().get(url).call().map_err(|error| match error {
        ureq::Error::StatusCode(code) => {
            format!("Error downloading resource, received HTTP return code {code}")
        }
        other => format!("Error downloading resource: {other}"),
    })?;
    let mut body = response.into_body().into_reader();
    let mut file = File::create(target).map_err(|error| super::cannot("create", target, &error))?;
    io::copy(&mut body, &mut file)
        .map(|_| ())
        .map_err(|error| format!("Error downloading resource: {error}"))
}

fn client() -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(FIRST_BYTE_TIMEOUT))
        .max_redirects(MAX_REDIRECTS)
        .user_agent(concat!("caprock/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}
