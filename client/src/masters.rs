//! The addresses of the quorum, or of gateways.

use std::str::FromStr;

use crate::ClientError;

/// A list of `host:port`, tried in order from the one that answered last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masters {
    addresses: Vec<String>,
    preferred: usize,
}

impl Masters {
    /// All addresses, the one to try first first.
    pub fn in_order(&self) -> impl Iterator<Item = (usize, &str)> {
        let n = self.addresses.len();
        (0..n).map(move |i| {
            let at = (self.preferred + i) % n;
            (at, self.addresses[at].as_str())
        })
    }

    /// The one to try first.
    pub fn first(&self) -> &str {
        &self.addresses[self.preferred]
    }

    /// Remembers who answered.
    pub fn prefer(&mut self, at: usize) {
        self.preferred = at % self.addresses.len();
    }

    /// Goes on to the next one after a failure.
    pub fn rotate(&mut self) {
        self.prefer(self.preferred + 1);
    }

    /// The list as it was given.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }
}

impl FromStr for Masters {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let addresses: Vec<String> = text
            .split(',')
            .map(str::trim)
            .filter(|a| !a.is_empty())
            .map(without_scheme)
            .collect();
        let valid = |a: &String| {
            a.rsplit_once(':')
                .is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok())
        };
        if addresses.is_empty() || !addresses.iter().all(valid) {
            return Err(ClientError::BadAddress(text.to_owned()));
        }
        Ok(Masters {
            addresses,
            preferred: 0,
        })
    }
}

fn without_scheme(address: &str) -> String {
    address
        .strip_prefix("http://")
        .unwrap_or(address)
        .trim_end_matches('/')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_list_with_and_without_scheme() {
        let m: Masters = "http://a:1/, b:2,".parse().unwrap();
        assert_eq!(m.addresses(), ["a:1", "b:2"]);
    }

    #[test]
    fn refuses_what_is_no_address() {
        for bad in ["", ",", "a", "a:", ":5050", "a:99999", "a:1,b"] {
            assert!(bad.parse::<Masters>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn rotates_from_the_preferred_one() {
        let mut m: Masters = "a:1,b:2,c:3".parse().unwrap();
        m.prefer(2);
        let order: Vec<&str> = m.in_order().map(|(_, a)| a).collect();
        assert_eq!(order, ["c:3", "a:1", "b:2"]);
        m.rotate();
        assert_eq!(m.first(), "a:1");
    }
}
