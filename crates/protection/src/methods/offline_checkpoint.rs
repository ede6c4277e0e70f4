//! Recovery checkpoint of a VM that is off. Its disks are at rest; the checkpoint is taken all
//! the same, since it stops a VM that is started meanwhile from writing into what is being read.

use hyperv::{PowerState, VmFacts};

use super::Verdict;
use crate::policy::Policy;

/// Works for a VM that is off.
pub(super) fn assess(vm: &VmFacts, _policy: &Policy) -> Verdict {
    if vm.state == PowerState::Off {
        Verdict::Works("the VM is off, so its disks are at rest".into())
    } else {
        Verdict::Refused(format!("the VM is {}, not off", vm.state))
    }
}
