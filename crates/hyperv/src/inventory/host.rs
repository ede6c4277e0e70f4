//! The host itself, and what could not be read of it.

use serde::{Deserialize, Serialize};

use super::vm::VmFacts;
use crate::id::VmId;

/// Everything read from one host in one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInventory {
    /// The host.
    pub host: HostFacts,
    /// Its VMs, ordered by id.
    pub vms: Vec<VmFacts>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
}

impl HostInventory {
    /// The VM with this id.
    pub fn vm(&self, id: VmId) -> Option<&VmFacts> {
        self.vms.iter().find(|vm| vm.id == id)
    }
}

/// The host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Computer name.
    pub name: String,
    /// Windows version, `10.0.20348`.
    pub os_version: String,
    /// Windows edition as the host calls it; empty when not readable.
    pub product: String,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which object.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Gap {
    pub(crate) fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}
