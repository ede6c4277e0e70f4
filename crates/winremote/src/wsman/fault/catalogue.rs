//! The numbers by which WinRM tells the cause of a fault, with the SOAP code, subcode and sentence that go with each.
//!
//! Only what the client decides on or a simulated host says is listed; any other number is kept and shown as it is.
//! Numbers: wsmerror.h and wbemcli.h; the sentences are ours.

/// One line of the catalogue.
pub(super) struct Entry {
    pub(super) code: u32,
    pub(super) name: &'static str,
    pub(super) soap_code: &'static str,
    pub(super) subcode: &'static str,
    pub(super) text: &'static str,
}

/// Looks a number up.
pub(super) fn find(code: u32) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.code == code)
}

/// Codes by name.
pub mod code {
    /// Win32 ERROR_ACCESS_DENIED.
    pub const ACCESS_DENIED: u32 = 5;
    /// The object does not exist.
    pub const RESOURCE_NOT_FOUND: u32 = 2150858752;
    /// The class has no such method.
    pub const INVALID_ACTION_URI: u32 = 2150858753;
    /// OperationTimeout is no length of time, or not one that is kept.
    pub const UNSUPPORTED_TIMEOUT: u32 = 2150858764;
    /// The envelope is of another SOAP version.
    pub const SOAP_VERSION_MISMATCH: u32 = 2150858765;
    /// A header's content is wrong.
    pub const INVALID_MESSAGE_HEADER: u32 = 2150858767;
    /// An unknown header insists on being understood.
    pub const MUST_UNDERSTAND: u32 = 2150858768;
    /// A header is missing.
    pub const MESSAGE_HEADER_REQUIRED: u32 = 2150858769;
    /// The address is not one of this service.
    pub const DESTINATION_UNREACHABLE: u32 = 2150858770;
    /// The action is none of the known ones.
    pub const ACTION_NOT_SUPPORTED: u32 = 2150858771;
    /// The filter's dialect is not known.
    pub const FILTER_DIALECT: u32 = 2150858777;
    /// The filter cannot be read.
    pub const CANNOT_PROCESS_FILTER: u32 = 2150858778;
    /// The enumeration context is unknown, used up or expired.
    pub const INVALID_ENUMERATION_CONTEXT: u32 = 2150858779;
    /// The request is larger than the service accepts.
    pub const ENCODING_LIMIT: u32 = 2150858790;
    /// The operation timed out.
    pub const TIMED_OUT: u32 = 2150858793;
    /// MaxEnvelopeSize in the request is below 8192.
    pub const ENVELOPE_LIMIT_TOO_SMALL: u32 = 2150858805;
    /// A parameter is not valid.
    pub const INVALID_PARAMETER: u32 = 2150858810;
    /// The resource URI is wrong.
    pub const INVALID_RESOURCE_URI: u32 = 2150858811;
    /// A selector is not a key of the class.
    pub const INVALID_SELECTORS: u32 = 2150858813;
    /// A quota is used up.
    pub const QUOTA_LIMIT: u32 = 2150858815;
    /// The message does not follow its schema.
    pub const SCHEMA_VALIDATION: u32 = 2150858817;
    /// The reply does not fit the requested envelope.
    pub const MAX_ENVELOPE_SIZE: u32 = 2150858823;
    /// The reply does not fit the host's own envelope limit.
    pub const MAX_ENVELOPE_SIZE_EXCEEDED: u32 = 2150858824;
    /// A class without keys was given selectors.
    pub const SINGLETON_WITH_SELECTORS: u32 = 2150859002;
    /// WQL was sent with a class URI.
    pub const WQL_NEEDS_WILDCARD: u32 = 2150859003;
    /// An object is nested too deeply.
    pub const WMI_NESTING: u32 = 2150859008;
    /// A reference names another host.
    pub const REMOTE_CIM_PATH: u32 = 2150859009;
    /// The provider cannot do it.
    pub const PROVIDER_NOT_CAPABLE: u32 = 2150859010;
    /// A value is not valid.
    pub const INVALID_VALUE: u32 = 2150859011;
    /// WMI denied access.
    pub const WMI_SERVICE_ACCESS_DENIED: u32 = 2150859012;
    /// The provider denied access.
    pub const WMI_PROVIDER_ACCESS_DENIED: u32 = 2150859013;
    /// WMI denied the connection.
    pub const WMI_CONNECTION_ACCESS_DENIED: u32 = 2150859014;
    /// Too many shells of this user.
    pub const SHELL_QUOTA: u32 = 2150859173;
    /// Too many operations of this user.
    pub const OPERATION_QUOTA: u32 = 2150859174;
    /// This user's load is too high.
    pub const USER_QUOTA: u32 = 2150859175;
    /// The system's load is too high.
    pub const SYSTEM_QUOTA: u32 = 2150859176;
    /// WBEM_E_FAILED.
    pub const WBEM_FAILED: u32 = 0x80041001;
    /// WBEM_E_NOT_FOUND.
    pub const WBEM_NOT_FOUND: u32 = 0x80041002;
    /// WBEM_E_ACCESS_DENIED.
    pub const WBEM_ACCESS_DENIED: u32 = 0x80041003;
    /// WBEM_E_INVALID_NAMESPACE.
    pub const WBEM_INVALID_NAMESPACE: u32 = 0x8004100E;
    /// WBEM_E_INVALID_CLASS.
    pub const WBEM_INVALID_CLASS: u32 = 0x80041010;
    /// WBEM_E_INVALID_QUERY.
    pub const WBEM_INVALID_QUERY: u32 = 0x80041017;
    /// WBEM_E_INVALID_METHOD.
    pub const WBEM_INVALID_METHOD: u32 = 0x8004102E;
    /// WBEM_E_INVALID_METHOD_PARAMETERS, also when selectors are missing.
    pub const WBEM_INVALID_METHOD_PARAMETERS: u32 = 0x8004102F;
}

const fn entry(
    code: u32,
    name: &'static str,
    soap_code: &'static str,
    subcode: &'static str,
    text: &'static str,
) -> Entry {
    Entry { code, name, soap_code, subcode, text }
}

static ENTRIES: &[Entry] = &[
    entry(code::ACCESS_DENIED, "access denied", "Sender", "AccessDenied", "Access is denied."),
    entry(
        code::RESOURCE_NOT_FOUND,
        "resource not found",
        "Sender",
        "DestinationUnreachable",
        "The service cannot find the resource identified by the resource URI and selectors.",
    ),
    entry(
        code::INVALID_ACTION_URI,
        "invalid action URI",
        "Sender",
        "ActionNotSupported",
        "The resource URI does not support the requested operation.",
    ),
    entry(
        code::UNSUPPORTED_TIMEOUT,
        "unsupported time-out",
        "Sender",
        "InvalidTimeout",
        "The WS-Management service cannot process the request because the OperationTimeout is not valid.",
    ),
    entry(
        code::SOAP_VERSION_MISMATCH,
        "SOAP version mismatch",
        "VersionMismatch",
        "",
        "The WS-Management service does not support the SOAP version specified in the request.",
    ),
    entry(
        code::INVALID_MESSAGE_HEADER,
        "invalid message header",
        "Sender",
        "InvalidMessageInformationHeader",
        "The WS-Management service cannot process the request. The request contains one or more invalid SOAP headers.",
    ),
    entry(
        code::MUST_UNDERSTAND,
        "header not understood",
        "MustUnderstand",
        "",
        "The WS-Management service cannot process a SOAP header in the request that is marked as mustUnderstand by the client.",
    ),
    entry(
        code::MESSAGE_HEADER_REQUIRED,
        "message header required",
        "Sender",
        "MessageInformationHeaderRequired",
        "The WS-Management service cannot process the request. The request does not have all the expected SOAP headers.",
    ),
    entry(
        code::DESTINATION_UNREACHABLE,
        "destination unreachable",
        "Sender",
        "DestinationUnreachable",
        "The client cannot connect to the destination specified in the request.",
    ),
    entry(
        code::ACTION_NOT_SUPPORTED,
        "action not supported",
        "Sender",
        "ActionNotSupported",
        "The action is not supported by the service.",
    ),
    entry(
        code::FILTER_DIALECT,
        "filter dialect not supported",
        "Sender",
        "FilterDialectRequestedUnavailable",
        "The WS-Management service does not support the filter dialect in the request.",
    ),
    entry(
        code::CANNOT_PROCESS_FILTER,
        "cannot process filter",
        "Sender",
        "CannotProcessFilter",
        "The WS-Management service cannot process the filter in the request.",
    ),
    entry(
        code::INVALID_ENUMERATION_CONTEXT,
        "invalid enumeration context",
        "Receiver",
        "InvalidEnumerationContext",
        "The WS-Management service cannot process the request. The enumeration context in the request is not valid.",
    ),
    entry(
        code::ENCODING_LIMIT,
        "envelope too large",
        "Sender",
        "EncodingLimit",
        "The WS-Management service cannot process the request because the request envelope is too large.",
    ),
    entry(
        code::TIMED_OUT,
        "operation timed out",
        "Receiver",
        "TimedOut",
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
    ),
    entry(
        code::ENVELOPE_LIMIT_TOO_SMALL,
        "encoding limit",
        "Sender",
        "EncodingLimit",
        "The WS-Management service cannot process the request because the MaxEnvelopeSize value is too small; it must be at least 8192.",
    ),
    entry(
        code::INVALID_PARAMETER,
        "invalid parameter",
        "Sender",
        "InvalidParameter",
        "The WS-Management service cannot process the request because a parameter is not valid.",
    ),
    entry(
        code::INVALID_RESOURCE_URI,
        "invalid resource URI",
        "Sender",
        "InvalidResourceURI",
        "The WS-Management service cannot process the request. The resource URI is missing or it has an incorrect format.",
    ),
    entry(
        code::INVALID_SELECTORS,
        "invalid selectors",
        "Sender",
        "InvalidSelectors",
        "The WS-Management service cannot process the request because the selectors are not valid for the resource.",
    ),
    entry(
        code::QUOTA_LIMIT,
        "quota limit",
        "Sender",
        "QuotaLimit",
        "The WS-Management service cannot process the request because a quota is exceeded.",
    ),
    entry(
        code::SCHEMA_VALIDATION,
        "schema validation error",
        "Sender",
        "SchemaValidationError",
        "The SOAP XML in the message does not match the corresponding XML schema definition.",
    ),
    entry(
        code::MAX_ENVELOPE_SIZE,
        "maximum envelope size",
        "Sender",
        "EncodingLimit",
        "The WS-Management service cannot process the request because the response is larger than the MaxEnvelopeSize in the request.",
    ),
    entry(
        code::MAX_ENVELOPE_SIZE_EXCEEDED,
        "maximum envelope size exceeded",
        "Sender",
        "EncodingLimit",
        "The response that the WS-Management service computed exceeds the maximum envelope size.",
    ),
    entry(
        code::SINGLETON_WITH_SELECTORS,
        "singleton given selectors",
        "Sender",
        "InvalidSelectors",
        "The WS-Management service cannot process the request because it has selectors for a class with a single instance.",
    ),
    entry(
        code::WQL_NEEDS_WILDCARD,
        "WQL needs a wildcard resource",
        "Sender",
        "CannotProcessFilter",
        "The WQL filter dialect needs a resource URI that ends with an asterisk.",
    ),
    entry(
        code::WMI_NESTING,
        "WMI nesting too deep",
        "Sender",
        "InvalidParameter",
        "The WMI object is nested too deeply.",
    ),
    entry(
        code::REMOTE_CIM_PATH,
        "remote CIM path not supported",
        "Sender",
        "InvalidParameter",
        "The WS-Management service does not support a reference to an object on another computer.",
    ),
    entry(
        code::PROVIDER_NOT_CAPABLE,
        "provider not capable",
        "Sender",
        "ActionNotSupported",
        "The WMI provider does not support the operation.",
    ),
    entry(
        code::INVALID_VALUE,
        "invalid value",
        "Sender",
        "InvalidParameter",
        "The WMI provider returned an invalid value.",
    ),
    entry(
        code::WMI_SERVICE_ACCESS_DENIED,
        "WMI service access denied",
        "Sender",
        "AccessDenied",
        "The WMI service denied access.",
    ),
    entry(
        code::WMI_PROVIDER_ACCESS_DENIED,
        "WMI provider access denied",
        "Sender",
        "AccessDenied",
        "The WMI provider denied access.",
    ),
    entry(
        code::WMI_CONNECTION_ACCESS_DENIED,
        "WMI connection access denied",
        "Sender",
        "AccessDenied",
        "The WMI service denied the connection.",
    ),
    entry(
        code::SHELL_QUOTA,
        "shell quota",
        "Sender",
        "QuotaLimit",
        "The maximum number of concurrent shells for this user is exceeded.",
    ),
    entry(
        code::OPERATION_QUOTA,
        "operation quota",
        "Sender",
        "QuotaLimit",
        "The maximum number of concurrent operations for this user is exceeded.",
    ),
    entry(code::USER_QUOTA, "user quota", "Sender", "QuotaLimit", "The user load quota is exceeded."),
    entry(code::SYSTEM_QUOTA, "system quota", "Sender", "QuotaLimit", "The system load quota is exceeded."),
    entry(
        code::WBEM_FAILED,
        "WMI: failed",
        "Receiver",
        "InternalError",
        "The WMI service returned an error.",
    ),
    entry(
        code::WBEM_NOT_FOUND,
        "WMI: not found",
        "Sender",
        "DestinationUnreachable",
        "The WMI service cannot find the object.",
    ),
    entry(
        code::WBEM_ACCESS_DENIED,
        "WMI: access denied",
        "Sender",
        "AccessDenied",
        "The WMI service denied access.",
    ),
    entry(
        code::WBEM_INVALID_NAMESPACE,
        "WMI: invalid namespace",
        "Sender",
        "DestinationUnreachable",
        "The WMI service cannot find the namespace.",
    ),
    entry(
        code::WBEM_INVALID_CLASS,
        "WMI: invalid class",
        "Sender",
        "DestinationUnreachable",
        "The WMI service cannot find the class.",
    ),
    entry(
        code::WBEM_INVALID_QUERY,
        "WMI: invalid query",
        "Sender",
        "CannotProcessFilter",
        "The WMI service cannot process the query.",
    ),
    entry(
        code::WBEM_INVALID_METHOD,
        "WMI: invalid method",
        "Sender",
        "ActionNotSupported",
        "The WMI class has no such method.",
    ),
    entry(
        code::WBEM_INVALID_METHOD_PARAMETERS,
        "WMI: invalid method parameters",
        "Sender",
        "InvalidParameter",
        "The WMI service cannot use the parameters of the method.",
    ),
];
