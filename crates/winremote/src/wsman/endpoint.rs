//! References on the wire: an address, a class URI and selectors.
//!
//! Inside a property or parameter WinRM writes address and reference parameters directly, without the
//! `a:EndpointReference` that the standard puts around them, and refuses the wrapper in parameters. Reading accepts
//! both. Keys that are references themselves become object paths.

use super::names::{ADDRESSING, ANONYMOUS, WSMAN, class_uri, split_class_uri};
use crate::cim::Reference;
use crate::xml::{Element, Writer};

/// The selector by which WMI tells the namespace once more.
const NAMESPACE_SELECTOR: &str = "__cimnamespace";

/// Who writes: hosts add the namespace as a selector, clients leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Writes address and reference parameters; `a` and `w` are declared by the envelope.
pub(crate) fn write(writer: &mut Writer, reference: &Reference, default_namespace: &str, side: Side) {
    let namespace = namespace_of(reference, default_namespace);
    writer.leaf("a:Address", &[], ANONYMOUS).open("a:ReferenceParameters", &[]);
    writer.leaf("w:ResourceURI", &[], &class_uri(namespace, &reference.class));
    let extra = (side == Side::Server).then_some((NAMESPACE_SELECTOR, namespace));
    write_selectors(writer, reference, extra);
    writer.close();
}

/// Writes the selector set, unless there are no selectors.
pub(crate) fn write_selectors(writer: &mut Writer, reference: &Reference, extra: Option<(&str, &str)>) {
    if reference.key_count() == 0 && extra.is_none() {
        return;
    }
    writer.open("w:SelectorSet", &[]);
    for (name, value) in reference.keys().chain(extra) {
        writer.leaf("w:Selector", &[("Name", name)], value);
    }
    writer.close();
}

/// The reference's namespace, or the default.
pub(crate) fn namespace_of<'a>(reference: &'a Reference, default_namespace: &'a str) -> &'a str {
    if reference.namespace.is_empty() { default_namespace } else { &reference.namespace }
}

/// True when the element holds a reference, with or without wrapper.
pub(crate) fn is_reference(element: &Element) -> bool {
    is_wrapped(element) || element.child(ADDRESSING, "ReferenceParameters").is_some()
}

/// True when the reference stands in an `a:EndpointReference` of its own.
pub(crate) fn is_wrapped(element: &Element) -> bool {
    element.child(ADDRESSING, "EndpointReference").is_some()
}

/// True when the reference names the address of another service than the one that is asked.
pub(crate) fn is_elsewhere(element: &Element) -> bool {
    element.child_text(ADDRESSING, "Address").is_some_and(|address| address != ANONYMOUS)
}

/// Reads the reference inside an element.
pub(crate) fn read(element: &Element) -> Result<Reference, String> {
    let element = element.child(ADDRESSING, "EndpointReference").unwrap_or(element);
    let parameters =
        element.child(ADDRESSING, "ReferenceParameters").ok_or("a reference has no parameters")?;
    let uri = parameters.child_text(WSMAN, "ResourceURI").ok_or("a reference has no resource URI")?;
    let (namespace, class) = split_class_uri(uri).ok_or("a reference's resource URI names no class")?;
    let mut reference = Reference::new(namespace, class);
    if let Some(set) = parameters.child(WSMAN, "SelectorSet") {
        read_selectors(set, &mut reference)?;
    }
    Ok(reference)
}

/// Adds the selectors of a set to a reference.
pub(crate) fn read_selectors(set: &Element, reference: &mut Reference) -> Result<(), String> {
    for selector in set.children_named(WSMAN, "Selector") {
        let name =
            selector.attribute("", "Name").filter(|name| !name.is_empty()).ok_or("a selector has no name")?;
        let value = match is_reference(selector) {
            true => read(selector)?.to_object_path(),
            false => selector.text.clone(),
        };
        if name.eq_ignore_ascii_case(NAMESPACE_SELECTOR) {
            reference.namespace = value.trim().replace('\\', "/");
        } else if reference.key(name).is_some() {
            return Err("a selector stands twice".to_owned());
        } else {
            reference.set_key(name, value);
        }
    }
    Ok(())
}
