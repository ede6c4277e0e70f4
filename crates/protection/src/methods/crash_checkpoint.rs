//! Crash-consistent recovery checkpoint (`SnapshotType` 32768, `ConsistencyLevel` 2): the disks
//! as after a power cut. It needs nothing of the guest, so it is the last resort.

use hyperv::{PowerState, VmFacts};

use super::Verdict;
use crate::policy::Policy;

/// Works for a VM that is up in any way, where the policy allows it.
pub(super) fn assess(vm: &VmFacts, policy: &Policy) -> Verdict {
    if vm.state == PowerState::Off {
        return Verdict::Refused("the VM is off; the offline checkpoint says more".into());
    }
    if !policy.crash_consistent_allowed {
        return Verdict::Refused("the policy does not allow a crash-consistent restore point".into());
    }
    Verdict::Works(format!("the VM is {} and the policy allows the state after a power cut", vm.state))
}
