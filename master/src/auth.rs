//! HTTP basic authentication against a file of credentials, switched on per realm
//! (Mesos: docs/authentication.md, src/authentication/http/basic_authenticator_factory.cpp).

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use caprock_http::{Reply, reply};

use crate::config::MasterConfig;
use crate::source;

/// A group of endpoints for which authentication is switched on or off together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// The scheduler API.
    Scheduler,
    /// Endpoints that show the state.
    ReadOnly,
    /// Endpoints that change it.
    ReadWrite,
}

impl Realm {
    /// The name in the challenge.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "mesos-master-scheduler",
            Self::ReadOnly => "mesos-master-readonly",
            Self::ReadWrite => "mesos-master-readwrite",
        }
    }
}

/// Checks who sends a request.
#[derive(Debug, Default)]
pub struct Authenticator {
    secrets: BTreeMap<String, String>,
    scheduler: bool,
    read_only: bool,
    read_write: bool,
}

#[derive(Deserialize)]
struct CredentialsFile {
    credentials: Vec<Credential>,
}

#[derive(Deserialize)]
struct Credential {
    principal: String,
    #[serde(default)]
    secret: String,
}

impl Authenticator {
    /// Reads the credentials that the settings name.
    pub fn new(config: &MasterConfig) -> anyhow::Result<Self> {
        let secrets = match &config.credentials {
            Some(value) => {
                let text = source::read(value).context("cannot read --credentials")?;
                parse_credentials(&text).context("--credentials are not usable")?
            }
            None => BTreeMap::new(),
        };
        let on = config.authenticate_http_frameworks
            || config.authenticate_http_readonly
            || config.authenticate_http_readwrite;
        if on && config.credentials.is_none() {
            bail!("authentication is switched on, but no --credentials are given");
        }
        Ok(Self {
            secrets,
            scheduler: config.authenticate_http_frameworks,
            read_only: config.authenticate_http_readonly,
            read_write: config.authenticate_http_readwrite,
        })
    }

    /// The principal of the request: none where authentication is off.
    ///
    /// # Errors
    /// The answer 401 for missing or wrong credentials.
    pub fn authenticate(
        &self,
        realm: Realm,
        headers: &HeaderMap,
    ) -> Result<Option<String>, Box<Reply>> {
        let required = match realm {
            Realm::Scheduler => self.scheduler,
            Realm::ReadOnly => self.read_only,
            Realm::ReadWrite => self.read_write,
        };
        if !required {
            return Ok(None);
        }
        self.principal(headers)
            .map(Some)
            .ok_or_else(|| Box::new(unauthorized(realm)))
    }

    fn principal(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
        let (principal, secret) = decoded.split_once(':')?;
        let expected = self.secrets.get(principal)?;
        same_secret(expected.as_bytes(), secret.as_bytes()).then(|| principal.to_owned())
    }
}

/// Compares in a time that does not tell where the first difference is.
fn same_secret(expected: &[u8], given: &[u8]) -> bool {
    let difference = expected
        .iter()
        .zip(given)
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    expected.len() == given.len() && difference == 0
}

fn unauthorized(realm: Realm) -> Reply {
    let mut reply = reply::status_line(StatusCode::UNAUTHORIZED);
    let challenge = format!("Basic realm=\"{}\"", realm.as_str());
    let value = HeaderValue::from_str(&challenge).expect("realm names are visible ASCII");
    reply.headers_mut().insert(WWW_AUTHENTICATE, value);
    reply
}

/// JSON as Mesos has it since 1.11, or its older form: a principal and a secret per line.
fn parse_credentials(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    if text.trim_start().starts_with('{') {
        let file: CredentialsFile = serde_json::from_str(text)?;
        return Ok(file
            .credentials
            .into_iter()
            .map(|c| (c.principal, c.secret))
            .collect());
    }
    let mut secrets = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some(principal), Some(secret), None) => {
                secrets.insert(principal.to_owned(), secret.to_owned());
            }
            _ => bail!("line {} is not 'principal secret'", index + 1),
        }
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticator() -> Authenticator {
        Authenticator {
            secrets: parse_credentials(
                r#"{"credentials":[{"principal":"alice","secret":"won:der"}]}"#,
            )
            .unwrap(),
            scheduler: true,
            ..Authenticator::default()
        }
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    fn basic(pair: &str) -> HeaderMap {
        headers(&format!("Basic {}", STANDARD.encode(pair)))
    }

    #[test]
    fn only_the_right_secret_passes() {
        let check = |headers: &HeaderMap| {
            authenticator()
                .authenticate(Realm::Scheduler, headers)
                .map_err(|r| r.status())
        };
        assert_eq!(check(&basic("alice:won:der")), Ok(Some("alice".to_owned())));
        let refused = Err(StatusCode::UNAUTHORIZED);
        assert_eq!(check(&basic("alice:wonder")), refused);
        assert_eq!(check(&basic("alice:won:derr")), refused);
        assert_eq!(check(&basic("bob:won:der")), refused);
        assert_eq!(check(&basic("alice")), refused);
        assert_eq!(check(&headers("Basic !!!")), refused);
        assert_eq!(check(&headers("Bearer abc")), refused);
        assert_eq!(check(&HeaderMap::new()), refused);
    }

    #[test]
    fn the_challenge_names_the_realm() {
        let error = authenticator()
            .authenticate(Realm::Scheduler, &HeaderMap::new())
            .unwrap_err();
        assert_eq!(
            error.headers()[WWW_AUTHENTICATE],
            "Basic realm=\"mesos-master-scheduler\""
        );
    }

    #[test]
    fn a_realm_that_is_off_asks_nothing() {
        let passed = authenticator().authenticate(Realm::ReadOnly, &HeaderMap::new());
        assert_eq!(passed.map_err(|r| r.status()), Ok(None));
    }

    #[test]
    fn lines_and_broken_files() {
        let parsed = parse_credentials("alice wonder\n\nbob  builder\n").unwrap();
        assert_eq!(parsed["bob"], "builder");
        assert!(parse_credentials("alice\n").is_err());
        assert!(parse_credentials("{\"credentials\":3}").is_err());
    }

    #[test]
    fn authentication_without_credentials_is_a_mistake() {
        let config = MasterConfig {
            authenticate_http_readonly: true,
            ..MasterConfig::default()
        };
        assert!(Authenticator::new(&config).is_err());
    }
}
