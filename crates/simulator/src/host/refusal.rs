//! How the host says no: return codes of methods, errors of jobs, faults of WMI.
//!
//! Codes: WMI notes 1.2. HRESULTs stand only in parentheses at the end of a text, as on real hosts.

use winremote::wsman::{Fault, Output, code};

/// Done at once.
pub(crate) const COMPLETED: u32 = 0;
/// A job was started.
pub(crate) const JOB_STARTED: u32 = 4096;
/// Failed.
pub(crate) const FAILED: u32 = 32768;
/// Not supported.
pub(crate) const NOT_SUPPORTED: u32 = 32770;
/// Invalid parameter.
pub(crate) const INVALID_PARAMETER: u32 = 32773;
/// Invalid state for this operation.
pub(crate) const INVALID_STATE: u32 = 32775;
/// Incorrect data type.
pub(crate) const INCORRECT_TYPE: u32 = 32776;
/// File not found.
pub(crate) const FILE_NOT_FOUND: u32 = 32779;

/// Another handle has the file open: `ERROR_SHARING_VIOLATION`.
pub(crate) const HRESULT_SHARING_VIOLATION: u32 = 0x8007_0020;
/// `ERROR_FILE_NOT_FOUND`.
pub(crate) const HRESULT_FILE_NOT_FOUND: u32 = 0x8007_0002;
/// `VSS_E_WRITERERROR_NONRETRYABLE`, what an application-consistent checkpoint fails with.
pub(crate) const HRESULT_WRITER_NONRETRYABLE: u32 = 0x8004_23F4;

/// A method's answer when it does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The method ran and returns this code.
    Return(u32),
    /// WMI itself refused the call.
    Fault(Box<Fault>),
}

/// Result of a method of the host.
pub(crate) type Answer = Result<Output, Refusal>;

impl Refusal {
    /// WMI itself refuses.
    pub(crate) fn fault(fault: Fault) -> Refusal {
        Refusal::Fault(Box::new(fault))
    }

    /// The object that a reference names does not exist.
    pub(crate) fn not_found(what: &str) -> Refusal {
        Refusal::fault(Fault::wmi(code::WBEM_NOT_FOUND, format!("Not found: {what}")))
    }

    /// A parameter has the wrong shape for its declaration.
    pub(crate) fn bad_parameters(what: &str) -> Refusal {
        Refusal::fault(Fault::wmi(
            code::WBEM_INVALID_METHOD_PARAMETERS,
            format!("Invalid method parameter: {what}"),
        ))
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobError {
    /// `ErrorCode`.
    pub(crate) code: u16,
    /// `ErrorDescription`.
    pub(crate) text: String,
}

impl JobError {
    /// The general failure with a text that ends with an HRESULT.
    pub(crate) fn failed(what: &str, hresult: u32) -> JobError {
        JobError { code: 32768, text: format!("{what} (0x{hresult:08X}).") }
    }

    /// A failure of this machine that the model does not foresee, told as the host would tell an I/O error.
    pub(crate) fn io(error: &crate::Error) -> JobError {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        JobError::failed(&text, 0x8007_001F)
    }
}
