//! What one installation remembers: the home folder with `hosts.json` and `journal.db`.
//!
//! Passwords are never stored; an entry holds the path of the file that has it. The file is JSON, so that people
//! and configuration management can write it, and it is replaced as a whole, so that it is never half written.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files;
use crate::select::near;

/// More hosts than anybody has fit in a megabyte of JSON.
const HOSTS_FILE_BYTES_MAX: u64 = 1 << 20;

/// Version of `hosts.json`; another one was written by another Refpoint.
const HOSTS_VERSION: u32 = 1;

/// A registered Hyper-V host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostEntry {
    /// The name that commands use.
    pub name: String,
    /// The WS-Management endpoint, for example `http://hv1:5985/wsman`.
    pub url: String,
    /// Who signs in.
    pub user: String,
    /// The file with the password; without one `REFPOINT_HOST_PASSWORD` or a prompt is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// How paths on the host are reached from here.
    pub maps: Vec<PathMapping>,
}

/// One rule from a path prefix on the host to a folder here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PathMapping {
    /// For example `C:\`.
    pub host: String,
    /// The folder here that shows the same files.
    pub folder: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsFile {
    version: u32,
    hosts: Vec<HostEntry>,
}

/// The home folder.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    home: PathBuf,
}

impl Settings {
    /// Settings in `home`, or where the system keeps a user's data.
    pub(crate) fn at(home: Option<PathBuf>) -> Self {
        Self { home: home.unwrap_or_else(default_home) }
    }

    /// Where the journal of running backups is kept; the folder exists afterwards.
    pub(crate) fn journal(&self) -> Result<PathBuf, Error> {
        files::make_private_folder(&self.home)?;
        Ok(self.home.join("journal.db"))
    }

    /// The registered hosts, in the order they were added.
    pub(crate) fn hosts(&self) -> Result<Vec<HostEntry>, Error> {
        let file = self.hosts_file();
        let Some(bytes) = files::read_bounded(&file, HOSTS_FILE_BYTES_MAX).map_err(|source| Error::File {
            path: file.clone(),
            action: "read",
            source,
        })?
        else {
            return Ok(Vec::new());
        };
        let damaged = |problem: String| Error::SettingsDamaged { file: file.clone(), problem };
        let parsed: HostsFile = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if parsed.version != HOSTS_VERSION {
            return Err(damaged(format!("version {} is not known to this Refpoint", parsed.version)));
        }
        Ok(parsed.hosts)
    }

    /// The host with this name.
    pub(crate) fn host(&self, name: &str) -> Result<HostEntry, Error> {
        let hosts = self.hosts()?;
        let found = hosts.iter().find(|host| host.name.eq_ignore_ascii_case(name)).cloned();
        found.ok_or_else(|| host_unknown(name, &hosts))
    }

    /// Adds a host; the name must be new.
    pub(crate) fn add_host(&self, entry: HostEntry) -> Result<(), Error> {
        let mut hosts = self.hosts()?;
        if hosts.iter().any(|host| host.name.eq_ignore_ascii_case(&entry.name)) {
            return Err(Error::HostExists { name: entry.name });
        }
        hosts.push(entry);
        self.write_hosts(hosts)
    }

    /// Forgets a host and returns what was known of it.
    pub(crate) fn remove_host(&self, name: &str) -> Result<HostEntry, Error> {
        let mut hosts = self.hosts()?;
        let Some(at) = hosts.iter().position(|host| host.name.eq_ignore_ascii_case(name)) else {
            return Err(host_unknown(name, &hosts));
        };
        let removed = hosts.remove(at);
        self.write_hosts(hosts)?;
        Ok(removed)
    }

    fn hosts_file(&self) -> PathBuf {
        self.home.join("hosts.json")
    }

    fn write_hosts(&self, hosts: Vec<HostEntry>) -> Result<(), Error> {
        files::make_private_folder(&self.home)?;
        let text = crate::output::json_line(&HostsFile { version: HOSTS_VERSION, hosts });
        files::replace_private(&self.hosts_file(), text.as_bytes())
    }
}

fn host_unknown(name: &str, hosts: &[HostEntry]) -> Error {
    let near = near(name, hosts.iter().map(|host| host.name.as_str()));
    Error::HostUnknown { name: name.to_owned(), near }
}

/// `$XDG_DATA_HOME/refpoint`, else `~/.local/share/refpoint`, else a folder beside the caller.
fn default_home() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local").join("share")))
        .unwrap_or_else(|| Path::new(".").to_owned())
        .join("refpoint")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> HostEntry {
        HostEntry {
            name: name.into(),
            url: "http://hv1:5985/wsman".into(),
            user: "backup".into(),
            password_file: Some("/secrets/hv1".into()),
            maps: vec![PathMapping { host: r"C:\".into(), folder: "/mnt/hv1/c".into() }],
        }
    }

    #[test]
    fn hosts_are_kept_across_openings_and_found_without_regard_to_case() {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings::at(Some(home.path().join("new")));
        settings.add_host(entry("HV1")).unwrap();
        let again = Settings::at(Some(home.path().join("new")));
        assert_eq!(again.host("hv1").unwrap(), entry("HV1"));
        assert!(matches!(again.add_host(entry("hv1")), Err(Error::HostExists { .. })));
        assert_eq!(again.remove_host("HV1").unwrap(), entry("HV1"));
        assert!(matches!(again.host("HV1"), Err(Error::HostUnknown { .. })));
    }

    #[test]
    fn damaged_or_foreign_settings_are_named_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings::at(Some(home.path().to_owned()));
        for text in ["{", "{\"version\": 2, \"hosts\": []}", "{\"version\": 1}"] {
            std::fs::write(home.path().join("hosts.json"), text).unwrap();
            assert!(matches!(settings.add_host(entry("HV1")), Err(Error::SettingsDamaged { .. })));
            assert_eq!(std::fs::read_to_string(home.path().join("hosts.json")).unwrap(), text);
        }
    }
}
