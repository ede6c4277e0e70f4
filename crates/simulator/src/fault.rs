//! Faults as data: which call, what happens, how often.
//!
//! The product promises to survive every one of them: a failed method or job is reported and cleaned up after, a
//! dropped connection leads to a look at the host before anything is repeated, and lost change tracking to a full
//! read with its reason.

use std::time::Duration;

/// Something that goes wrong on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Method name (`CreateSnapshot`), `Get` or `Query` for reads; `*` for any call.
    pub call: String,
    /// What happens.
    pub effect: FaultEffect,
    /// How many calls it happens to before it is over.
    pub times: u32,
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultEffect {
    /// The method returns this code and does nothing; a read fails with it as a WBEM error.
    Return(u32),
    /// The method starts a job that fails, having done nothing.
    FailJob {
        /// `ErrorCode` of the job.
        code: u16,
        /// `ErrorDescription`; real ones end with an HRESULT in parentheses.
        text: String,
    },
    /// The answer comes this much later.
    Delay(Duration),
    /// The job that the method starts takes this much longer.
    SlowJob(Duration),
    /// The connection breaks. The call was carried out (`true`) or not (`false`); the client cannot know.
    DropConnection {
        /// Whether the host still carries the call out.
        carried_out: bool,
    },
}

/// The faults that are waiting for their call.
#[derive(Debug, Default)]
pub(crate) struct FaultTable {
    waiting: Vec<Fault>,
}

impl FaultTable {
    pub(crate) fn add(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.waiting.push(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What happens to this call; the oldest matching fault is used up by one.
    pub(crate) fn take(&mut self, call: &str) -> Option<FaultEffect> {
        let fits = |fault: &Fault| fault.call == "*" || fault.call.eq_ignore_ascii_case(call);
        let at = self.waiting.iter().position(fits)?;
        let fault = &mut self.waiting[at];
        fault.times -= 1;
        let effect = fault.effect.clone();
        if fault.times == 0 {
            self.waiting.remove(at);
        }
        Some(effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_over_after_its_number_of_calls() {
        let mut faults = FaultTable::default();
        let effect = FaultEffect::Return(32775);
        faults.add(Fault { call: "CreateSnapshot".into(), effect: effect.clone(), times: 2 });
        assert_eq!(faults.take("DestroySnapshot"), None);
        assert_eq!(faults.take("createsnapshot"), Some(effect.clone()));
        assert_eq!(faults.take("CreateSnapshot"), Some(effect));
        assert_eq!(faults.take("CreateSnapshot"), None);
    }
}
