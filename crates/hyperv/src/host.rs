//! A Hyper-V host we are connected to.
//!
//! Connecting proves three things apart, so that each failure has its own sentence: something answers and it is
//! WS-Management (Identify without sign-in), the account is accepted (Identify with sign-in), and Hyper-V is there
//! for this account (the management service is visible; Hyper-V hides it from accounts without rights instead of
//! refusing them). The network is a seam: `connect_through` takes any stream maker.

use std::fmt;
use std::sync::Arc;

use winremote::connector::Connector;
use winremote::wsman::client::{Client, ClientOptions, Credentials};

use crate::error::{Attempt, Error, Result};
use crate::path_map::PathMap;
use crate::wmi;

/// First Windows build whose checkpoints know a guest backup type (Windows 10 1703); Server 2016 is 14393.
const BUILD_WITH_GUEST_BACKUP_TYPE: u32 = 15_063;

/// What is needed to reach a host.
#[derive(Debug, Clone)]
pub struct HostProfile {
    /// The name the operator gave it, for texts.
    pub name: String,
    /// Address of its WS-Management service, `http://hv1:5985/wsman`.
    pub endpoint: String,
    /// Who signs in.
    pub credentials: Credentials,
    /// Where its files appear on this machine.
    pub paths: PathMap,
}

/// A connected host. Clones share the connections.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    client: Client,
    paths: PathMap,
    computer_name: String,
    os_version: String,
}

impl Host {
    /// Connects over TCP.
    pub async fn connect(profile: HostProfile) -> Result<Self> {
        let options = ClientOptions::new(&profile.endpoint, profile.credentials.clone());
        let client = Client::over_tcp(options).map_err(|cause| connect_error(&profile, cause))?;
        Self::sign_in(profile, client).await
    }

    /// Connects over streams of `connector`.
    pub async fn connect_through(profile: HostProfile, connector: Arc<dyn Connector>) -> Result<Self> {
        let options = ClientOptions::new(&profile.endpoint, profile.credentials.clone());
        let client = Client::new(connector, options).map_err(|cause| connect_error(&profile, cause))?;
        Self::sign_in(profile, client).await
    }

    async fn sign_in(profile: HostProfile, client: Client) -> Result<Self> {
        let failed = |cause| connect_error(&profile, cause);
        let identity = client.identify().await.map_err(failed)?;
        let query = format!("select * from {}", wmi::MANAGEMENT_SERVICE);
        let services = client.query(wmi::NAMESPACE, &query).await.map_err(failed)?;
        let Some(service) = services.first() else {
            return Err(Error::HyperVHidden {
                host: profile.name,
                user: profile.credentials.user().to_owned(),
            });
        };
        let computer_name = service.get_str("SystemName").unwrap_or(&profile.name).to_owned();
        let os_version = identity.os_version().unwrap_or_default().to_owned();
        tracing::debug!(host = %profile.name, %computer_name, %os_version, "connected");
        let HostProfile { name, paths, .. } = profile;
        Ok(Self { inner: Arc::new(Inner { name, client, paths, computer_name, os_version }) })
    }

    /// The name the operator gave it.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The name it gives itself; part of object paths.
    pub fn computer_name(&self) -> &str {
        &self.inner.computer_name
    }

    /// Windows version, `10.0.20348`; empty when the host does not tell.
    pub fn os_version(&self) -> &str {
        &self.inner.os_version
    }

    /// Where its files appear on this machine.
    pub fn paths(&self) -> &PathMap {
        &self.inner.paths
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn at(&self, deed: impl Into<String>) -> Attempt {
        Attempt::new(self.name(), deed)
    }

    /// Server 2016 refuses the property. An unknown version is taken for a current one.
    pub(crate) fn knows_guest_backup_type(&self) -> bool {
        build_number(self.os_version()).is_none_or(|build| build >= BUILD_WITH_GUEST_BACKUP_TYPE)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The third number of `10.0.20348`.
fn build_number(os_version: &str) -> Option<u32> {
    os_version.split('.').nth(2)?.parse().ok()
}

fn connect_error(profile: &HostProfile, cause: winremote::Error) -> Error {
    let (host, endpoint) = (profile.name.clone(), profile.endpoint.clone());
    let user = profile.credentials.user().to_owned();
    let namespace_missing = cause.is_not_found();
    let cause = Box::new(cause);
    match *cause {
        winremote::Error::NotReachable { .. }
        | winremote::Error::TimedOut { .. }
        | winremote::Error::ConnectionLost { .. }
        | winremote::Error::Busy { .. } => Error::HostUnreachable { host, endpoint, cause },
        winremote::Error::SignInRefused { .. } => Error::SignInRefused { host, user, cause },
        winremote::Error::AccessDenied { .. } => Error::AccessDenied { host, user, cause },
        winremote::Error::Endpoint { .. } | winremote::Error::UnsafeSignIn { .. } => {
            Error::EndpointRefused { host, endpoint, cause }
        }
        _ if namespace_missing => Error::NoHyperV { host, cause },
        _ => Error::NotWinRm { host, endpoint, cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_number_is_the_third_part() {
        assert_eq!(build_number("10.0.14393"), Some(14_393));
        assert_eq!(build_number("10.0"), None);
        assert_eq!(build_number(""), None);
    }
}
