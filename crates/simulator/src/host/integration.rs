//! The integration services of a guest, as far as a backup needs them: does the guest's VSS take part?
//!
//! An application-consistent checkpoint needs the VSS component enabled and answering (WMI notes 1.5). A VM that
//! is off has nothing to freeze; the level asked for is kept, as its meaning is not known for that case (2.7).

use super::refusal::{HRESULT_WRITER_NONRETRYABLE, JobError};
use crate::model::{GuestVss, Power, Vm};

/// `VSS_E_WRITERERROR_TIMEOUT`: the guest never answered.
const HRESULT_WRITER_TIMEOUT: u32 = 0x8004_23F2;

/// Lets the guest's writers freeze, or tells why they do not.
pub(crate) fn freeze_writers(vm: &Vm) -> Result<(), JobError> {
    let cannot = |why: &str, hresult| {
        let who = format!("'{}' cannot create a production checkpoint", vm.name);
        Err(JobError::failed(&format!("{who} (Virtual machine ID {}): {why}", vm.id), hresult))
    };
    match (vm.power, &vm.vss) {
        (Power::Off, _) | (Power::Running, GuestVss::Healthy) => Ok(()),
        (_, GuestVss::Disabled) => cannot(
            "the integration service Backup (volume shadow copy) is disabled",
            HRESULT_WRITER_NONRETRYABLE,
        ),
        (_, GuestVss::NoContact) => cannot("the guest did not answer in time", HRESULT_WRITER_TIMEOUT),
        (_, GuestVss::Failing(hresult)) => cannot("a writer in the guest failed", *hresult),
    }
}

/// `EnabledState` of the VSS component: 2 enabled, 3 disabled.
pub(crate) fn enabled_state(vm: &Vm) -> u16 {
    if vm.vss == GuestVss::Disabled { 3 } else { 2 }
}

/// `OperationalStatus` of the VSS component.
pub(crate) fn operational_status(vm: &Vm) -> Vec<u16> {
    match (vm.power, &vm.vss) {
        (Power::Off, _) => vec![12, 32784],
        (Power::Running, GuestVss::NoContact) => vec![13, 32783],
        // A writer that will fail is not visible before it is asked to freeze.
        (Power::Running, _) => vec![2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SimVmId;
    use uuid::Uuid;

    #[test]
    fn only_a_running_guest_can_refuse_to_freeze() {
        let mut vm = crate::builder::blank_vm(SimVmId(Uuid::from_u128(1)), "SQL01", 1, 0);
        vm.vss = GuestVss::Failing(0x8004_23F4);
        vm.power = Power::Running;
        let error = freeze_writers(&vm).unwrap_err();
        assert!(error.text.ends_with("a writer in the guest failed (0x800423F4)."), "{}", error.text);
        vm.power = Power::Off;
        assert_eq!(freeze_writers(&vm), Ok(()));
    }
}
