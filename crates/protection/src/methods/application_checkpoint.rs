//! Application-consistent recovery checkpoint (`SnapshotType` 32768, `ConsistencyLevel` 1).
//!
//! The host asks the integration service in the guest to quiesce; it needs the VSS component
//! enabled and answering. Source: `Msvm_VssComponent`, and the three-generation sequences.

use hyperv::{PowerState, VmFacts, VssStatus};

use super::Verdict;
use crate::policy::Policy;

/// Works for a running VM whose guest answers the backup integration service.
pub(super) fn assess(vm: &VmFacts, _policy: &Policy) -> Verdict {
    if vm.state != PowerState::Running {
        return Verdict::Refused(format!("the VM is {}, so nothing inside it can be quiesced", vm.state));
    }
    match &vm.vss {
        VssStatus::Ready => {
            Verdict::Works("the VM is running and its backup integration service answers".into())
        }
        VssStatus::Disabled => {
            Verdict::Refused("the backup integration service is switched off for this VM".into())
        }
        VssStatus::NotResponding(status) => {
            Verdict::Refused(format!("the backup integration service does not answer ({status})"))
        }
        VssStatus::Unknown => {
            Verdict::Refused("the host does not list a backup integration service for this VM".into())
        }
    }
}
