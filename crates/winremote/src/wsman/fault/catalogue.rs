//! The numbers by which WinRM tells the cause of a fault, with the SOAP code, subcode and sentence that go with each.
//!
//! Only what the client decides on or a simulated host says is listed; any other number is kept and shown as it is.
//! Numbers: wsmerror.h and wbemcli.h; the sentences are ours.

/// One line of the catalogue.
pub(super) struct Entry {
    code: u32,
    pub(super) name: &'static str,
    pub(super) soap_code: &'static str,
    pub(super) subcode: &'static str,
    pub(super) text: &'static str,
}

/// Looks a number up.
pub(super) fn find(code: u32) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.code == code)
}

/// Makes a constant and a line of the table of each: number, name, SOAP code, subcode, sentence.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal, $soap:ident $subcode:literal, $text:literal;)*) => {
        /// Codes by name.
        pub mod code {
            $($(#[$doc])* pub const $constant: u32 = $code;)*
        }

        static ENTRIES: &[Entry] = &[$(Entry {
            code: $code,
            name: $name,
            soap_code: stringify!($soap),
            subcode: $subcode,
            text: $text,
        }),*];
    };
}

catalogue! {
    /// Win32 ERROR_ACCESS_DENIED.
    ACCESS_DENIED = 5, "access denied", Sender "AccessDenied",
        "Access is denied.";
    /// The object does not exist.
    RESOURCE_NOT_FOUND = 2150858752, "resource not found", Sender "DestinationUnreachable",
        "The service cannot find the resource identified by the resource URI and selectors.";
    /// The class has no such method.
    INVALID_ACTION_URI = 2150858753, "invalid action URI", Sender "ActionNotSupported",
        "The resource URI does not support the requested operation.";
    /// OperationTimeout is no length of time, or not one that is kept.
    UNSUPPORTED_TIMEOUT = 2150858764, "unsupported time-out", Sender "InvalidTimeout",
        "The WS-Management service cannot process the request because the OperationTimeout is not valid.";
    /// The envelope is of another SOAP version.
    SOAP_VERSION_MISMATCH = 2150858765, "SOAP version mismatch", VersionMismatch "",
        "The WS-Management service does not support the SOAP version specified in the request.";
    /// A header's content is wrong.
    INVALID_MESSAGE_HEADER = 2150858767, "invalid message header", Sender "InvalidMessageInformationHeader",
        "The WS-Management service cannot process the request. The request contains one or more invalid SOAP \
         headers.";
    /// An unknown header insists on being understood.
    MUST_UNDERSTAND = 2150858768, "header not understood", MustUnderstand "",
        "The WS-Management service cannot process a SOAP header in the request that is marked as \
         mustUnderstand by the client.";
    /// A header is missing.
    MESSAGE_HEADER_REQUIRED = 2150858769, "message header required", Sender "MessageInformationHeaderRequired",
        "The WS-Management service cannot process the request. The request does not have all the expected \
         SOAP headers.";
    /// The address is not one of this service.
    DESTINATION_UNREACHABLE = 2150858770, "destination unreachable", Sender "DestinationUnreachable",
        "The client cannot connect to the destination specified in the request.";
    /// The action is none of the known ones.
    ACTION_NOT_SUPPORTED = 2150858771, "action not supported", Sender "ActionNotSupported",
        "The action is not supported by the service.";
    /// The filter's dialect is not known.
    FILTER_DIALECT = 2150858777, "filter dialect not supported", Sender "FilterDialectRequestedUnavailable",
        "The WS-Management service does not support the filter dialect in the request.";
    /// The filter cannot be read.
    CANNOT_PROCESS_FILTER = 2150858778, "cannot process filter", Sender "CannotProcessFilter",
        "The WS-Management service cannot process the filter in the request.";
    /// The enumeration context is unknown, used up or expired.
    INVALID_ENUMERATION_CONTEXT = 2150858779, "invalid enumeration context", Receiver "InvalidEnumerationContext",
        "The WS-Management service cannot process the request. The enumeration context in the request is not valid.";
    /// The request is larger than the service accepts.
    ENCODING_LIMIT = 2150858790, "envelope too large", Sender "EncodingLimit",
        "The WS-Management service cannot process the request because the request envelope is too large.";
    /// The operation timed out.
    TIMED_OUT = 2150858793, "operation timed out", Receiver "TimedOut",
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.";
    /// MaxEnvelopeSize in the request is below 8192.
    ENVELOPE_LIMIT_TOO_SMALL = 2150858805, "encoding limit", Sender "EncodingLimit",
        "The WS-Management service cannot process the request because the MaxEnvelopeSize value is too small; \
         it must be at least 8192.";
    /// A parameter is not valid.
    INVALID_PARAMETER = 2150858810, "invalid parameter", Sender "InvalidParameter",
        "The WS-Management service cannot process the request because a parameter is not valid.";
    /// The resource URI is wrong.
    INVALID_RESOURCE_URI = 2150858811, "invalid resource URI", Sender "InvalidResourceURI",
        "The WS-Management service cannot process the request. The resource URI is missing or it has an \
         incorrect format.";
    /// A selector is not a key of the class.
    INVALID_SELECTORS = 2150858813, "invalid selectors", Sender "InvalidSelectors",
        "The WS-Management service cannot process the request because the selectors are not valid for the resource.";
    /// A quota is used up.
    QUOTA_LIMIT = 2150858815, "quota limit", Sender "QuotaLimit",
        "The WS-Management service cannot process the request because a quota is exceeded.";
    /// The message does not follow its schema.
    SCHEMA_VALIDATION = 2150858817, "schema validation error", Sender "SchemaValidationError",
        "The SOAP XML in the message does not match the corresponding XML schema definition.";
    /// The reply does not fit the requested envelope.
    MAX_ENVELOPE_SIZE = 2150858823, "maximum envelope size", Sender "EncodingLimit",
        "The WS-Management service cannot process the request because the response is larger than the \
         MaxEnvelopeSize in the request.";
    /// The reply does not fit the host's own envelope limit.
    MAX_ENVELOPE_SIZE_EXCEEDED = 2150858824, "maximum envelope size exceeded", Sender "EncodingLimit",
        "The response that the WS-Management service computed exceeds the maximum envelope size.";
    /// A class without keys was given selectors.
    SINGLETON_WITH_SELECTORS = 2150859002, "singleton given selectors", Sender "InvalidSelectors",
        "The WS-Management service cannot process the request because it has selectors for a class with a \
         single instance.";
    /// WQL was sent with a class URI.
    WQL_NEEDS_WILDCARD = 2150859003, "WQL needs a wildcard resource", Sender "CannotProcessFilter",
        "The WQL filter dialect needs a resource URI that ends with an asterisk.";
    /// An object is nested too deeply.
    WMI_NESTING = 2150859008, "WMI nesting too deep", Sender "InvalidParameter",
        "The WMI object is nested too deeply.";
    /// A reference names another host.
    REMOTE_CIM_PATH = 2150859009, "remote CIM path not supported", Sender "InvalidParameter",
        "The WS-Management service does not support a reference to an object on another computer.";
    /// The provider cannot do it.
    PROVIDER_NOT_CAPABLE = 2150859010, "provider not capable", Sender "ActionNotSupported",
        "The WMI provider does not support the operation.";
    /// A value is not valid.
    INVALID_VALUE = 2150859011, "invalid value", Sender "InvalidParameter",
        "The WMI provider returned an invalid value.";
    /// WMI denied access.
    WMI_SERVICE_ACCESS_DENIED = 2150859012, "WMI service access denied", Sender "AccessDenied",
        "The WMI service denied access.";
    /// The provider denied access.
    WMI_PROVIDER_ACCESS_DENIED = 2150859013, "WMI provider access denied", Sender "AccessDenied",
        "The WMI provider denied access.";
    /// WMI denied the connection.
    WMI_CONNECTION_ACCESS_DENIED = 2150859014, "WMI connection access denied", Sender "AccessDenied",
        "The WMI service denied the connection.";
    /// Too many shells of this user.
    SHELL_QUOTA = 2150859173, "shell quota", Sender "QuotaLimit",
        "The maximum number of concurrent shells for this user is exceeded.";
    /// Too many operations of this user.
    OPERATION_QUOTA = 2150859174, "operation quota", Sender "QuotaLimit",
        "The maximum number of concurrent operations for this user is exceeded.";
    /// This user's load is too high.
    USER_QUOTA = 2150859175, "user quota", Sender "QuotaLimit",
        "The user load quota is exceeded.";
    /// The system's load is too high.
    SYSTEM_QUOTA = 2150859176, "system quota", Sender "QuotaLimit",
        "The system load quota is exceeded.";
    /// WBEM_E_FAILED.
    WBEM_FAILED = 0x80041001, "WMI: failed", Receiver "InternalError",
        "The WMI service returned an error.";
    /// WBEM_E_NOT_FOUND.
    WBEM_NOT_FOUND = 0x80041002, "WMI: not found", Sender "DestinationUnreachable",
        "The WMI service cannot find the object.";
    /// WBEM_E_ACCESS_DENIED.
    WBEM_ACCESS_DENIED = 0x80041003, "WMI: access denied", Sender "AccessDenied",
        "The WMI service denied access.";
    /// WBEM_E_INVALID_NAMESPACE.
    WBEM_INVALID_NAMESPACE = 0x8004100E, "WMI: invalid namespace", Sender "DestinationUnreachable",
        "The WMI service cannot find the namespace.";
    /// WBEM_E_INVALID_CLASS.
    WBEM_INVALID_CLASS = 0x80041010, "WMI: invalid class", Sender "DestinationUnreachable",
        "The WMI service cannot find the class.";
    /// WBEM_E_INVALID_QUERY.
    WBEM_INVALID_QUERY = 0x80041017, "WMI: invalid query", Sender "CannotProcessFilter",
        "The WMI service cannot process the query.";
    /// WBEM_E_INVALID_METHOD.
    WBEM_INVALID_METHOD = 0x8004102E, "WMI: invalid method", Sender "ActionNotSupported",
        "The WMI class has no such method.";
    /// WBEM_E_INVALID_METHOD_PARAMETERS, also when selectors are missing.
    WBEM_INVALID_METHOD_PARAMETERS = 0x8004102F, "WMI: invalid method parameters", Sender "InvalidParameter",
        "The WMI service cannot use the parameters of the method.";
}
