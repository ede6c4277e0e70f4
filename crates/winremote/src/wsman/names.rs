//! Namespaces, actions and fixed addresses of WS-Management as Windows speaks it (MS-WSMV 2.2.1, DSP0226).

/// SOAP 1.2.
pub(crate) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// WS-Addressing of 2004/08; the later one is not understood by WinRM.
pub(crate) const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// WS-Management.
pub(crate) const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
/// Microsoft's extensions to it.
pub(crate) const MS_WSMAN: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
/// WS-Enumeration.
pub(crate) const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
/// Identify.
pub(crate) const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
/// CIM types in XML.
pub(crate) const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/common";
/// WinRM's fault detail.
pub(crate) const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
/// `xsi:nil` and `xsi:type`.
pub(crate) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Class URIs are this, the namespace, a slash and the class.
pub(crate) const WMI_PREFIX: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/";
/// The reply comes back on the same connection.
pub(crate) const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// Filter dialect of WQL.
pub(crate) const WQL_DIALECT: &str = "http://schemas.microsoft.com/wbem/wsman/1/WQL";

/// Action of Get.
pub(crate) const ACTION_GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
/// Action of Enumerate.
pub(crate) const ACTION_ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
/// Action of Pull.
pub(crate) const ACTION_PULL: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull";
/// Action of Release.
pub(crate) const ACTION_RELEASE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Release";
/// Action of most faults.
pub(crate) const ACTION_FAULT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault";
/// Action of faults that WS-Addressing defines.
pub(crate) const ACTION_ADDRESSING_FAULT: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault";

/// Content type of requests and replies.
pub(crate) const CONTENT_TYPE: &str = "application/soap+xml;charset=UTF-8";
/// Smallest `MaxEnvelopeSize` that hosts accept.
pub(crate) const ENVELOPE_BYTES_MIN: u32 = 8192;

/// The URI of a class, or with `*` of all classes of a namespace.
pub(crate) fn class_uri(namespace: &str, class: &str) -> String {
    format!("{WMI_PREFIX}{namespace}/{class}")
}

/// Namespace and class of a class URI.
pub(crate) fn split_class_uri(uri: &str) -> Option<(&str, &str)> {
    let path = uri.get(..WMI_PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(WMI_PREFIX));
    let (namespace, class) = uri[path?.len()..].rsplit_once('/')?;
    (!namespace.is_empty() && !class.is_empty()).then_some((namespace, class))
}
