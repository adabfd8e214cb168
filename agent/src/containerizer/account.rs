//! The user that a container runs as: looked up in the system's user database files.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// What a process needs in order to be a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    /// All groups, the primary one included.
    pub groups: Vec<u32>,
}

impl Account {
    /// Gives up what this process is and becomes the account, for good. The calls change the
    /// calling thread only: it has to be the first and only one.
    pub fn take_on(&self) -> io::Result<()> {
        use rustix::process::{Gid, Uid};
        let groups: Vec<Gid> = self.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
        let gid = Gid::from_raw(self.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        let uid = Uid::from_raw(self.uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }
}

/// Why a container cannot run as the user it names.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such user.
    #[error("Failed to get user information for '{0}': no such user")]
    Unknown(String),
    /// The user database cannot be read.
    #[error("Failed to get user information for '{0}': {1}")]
    Unreadable(String, io::Error),
    /// Another user than the agent's, and the agent is not root.
    #[error("Failed to switch to user '{0}': the agent does not run as root")]
    NotRoot(String),
}

/// The account of a user, by name or by number; `None` if that is who this process is.
pub fn lookup(user: &str) -> Result<Option<Account>, AccountError> {
    let unreadable = |error| AccountError::Unreadable(user.to_string(), error);
    let passwd = fs::read_to_string("/etc/passwd").map_err(unreadable)?;
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let account = find(&passwd, &group, user).ok_or(AccountError::Unknown(user.to_string()))?;
    let me = rustix::process::geteuid();
    if account.uid == me.as_raw() {
        return Ok(None);
    }
    if !me.is_root() {
        return Err(AccountError::NotRoot(user.to_string()));
    }
    Ok(Some(account))
}

/// The name of a user, or the number where it has none.
pub fn user_name(passwd: &str, uid: u32) -> String {
    let line = passwd
        .lines()
        .find(|line| line.split(':').nth(2) == Some(uid.to_string().as_str()));
    line.and_then(|line| line.split(':').next())
        .map_or_else(|| uid.to_string(), str::to_string)
}

fn find(passwd: &str, group: &str, user: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(user) || fields.nth(1) == Some(user)
    })?;
    let fields: Vec<&str> = line.split(':').collect();
    let name = fields.first()?;
    let uid = fields.get(2)?.parse().ok()?;
    let gid = fields.get(3)?.parse().ok()?;
    let member_of = group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let member = fields
            .get(3)?
            .split(',')
            .any(|member| member.trim() == *name);
        if member {
            fields.get(2)?.parse().ok()
        } else {
            None
        }
    });
    let mut groups: Vec<u32> = std::iter::once(gid).chain(member_of).collect();
    groups.sort_unstable();
    groups.dedup();
    Some(Account { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:A,,,:/home/alice:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nalice:x:1000:\ndocker:x:998:bob,alice\nwheel:x:10:bob\n";

    #[test]
    fn groups_are_collected() {
        let alice = Account {
            uid: 1000,
            gid: 1000,
            groups: vec![998, 1000],
        };
        assert_eq!(find(PASSWD, GROUP, "alice"), Some(alice.clone()));
        assert_eq!(find(PASSWD, GROUP, "1000"), Some(alice));
        assert_eq!(find(PASSWD, GROUP, "mallory"), None);
        assert_eq!(find(PASSWD, GROUP, ""), None);
    }

    #[test]
    fn unknown_users_are_named() {
        let text = lookup("no-such-user-here").unwrap_err().to_string();
        assert!(text.contains("'no-such-user-here'"), "{text}");
        assert_eq!(user_name(PASSWD, 1000), "alice");
        assert_eq!(user_name(PASSWD, 7), "7");
    }
}
