//! The classes of the host: what derives from what, which properties are keys, and their types.
//!
//! The table is text (`schema.txt`), read once. It answers queries on base classes, lets instances carry every
//! property of their class (unset ones as nil, as WMI sends them) and tells when a client sends a scalar where an
//! array belongs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use winremote::cim::{Instance, Reference, Value};

/// Namespace of Hyper-V.
pub(crate) const VIRTUALIZATION: &str = "root/virtualization/v2";

/// One class.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) namespace: String,
    base: Option<String>,
    keys: Vec<String>,
    properties: Vec<Property>,
}

/// One property as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    /// CIM type without brackets.
    pub(crate) kind: String,
    pub(crate) is_array: bool,
}

static CLASSES: LazyLock<BTreeMap<String, Class>> = LazyLock::new(|| read(include_str!("schema.txt")));

/// The class with this name, in any spelling.
pub(crate) fn class(name: &str) -> Option<&'static Class> {
    CLASSES.get(&name.to_lowercase())
}

/// All classes of a namespace, or none when there is no such namespace.
pub(crate) fn classes_in(namespace: &str) -> impl Iterator<Item = &'static Class> {
    CLASSES.values().filter(move |class| class.namespace.eq_ignore_ascii_case(namespace))
}

/// Whether a class is another one or derives from it.
pub(crate) fn is_a(name: &str, base: &str) -> bool {
    ancestry(name).any(|class| class.name.eq_ignore_ascii_case(base))
}

/// The keys of a class, its own or inherited.
pub(crate) fn keys(name: &str) -> Vec<&'static str> {
    let declaring = ancestry(name).find(|class| !class.keys.is_empty());
    declaring.map_or_else(Vec::new, |class| class.keys.iter().map(String::as_str).collect())
}

/// All properties of a class with the inherited ones.
pub(crate) fn properties(name: &str) -> impl Iterator<Item = &'static Property> {
    ancestry(name).flat_map(|class| class.properties.iter())
}

/// The declaration of a property of a class.
pub(crate) fn property(class: &str, name: &str) -> Option<&'static Property> {
    properties(class).find(|property| property.name.eq_ignore_ascii_case(name))
}

/// The instance in its class's namespace, with every property that is not set as null.
pub(crate) fn complete(mut instance: Instance) -> Instance {
    let class_name = instance.class.clone();
    if let Some(class) = class(&class_name) {
        instance.namespace.clone_from(&class.namespace);
    }
    for property in properties(&class_name) {
        if instance.get(&property.name).is_none() {
            instance.set(&property.name, Value::Null);
        }
    }
    instance
}

/// The reference to an instance of a known class.
pub(crate) fn reference(instance: &Instance) -> Option<Reference> {
    instance.reference(&keys(&instance.class)).ok()
}

/// What is wrong with an instance that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The class is unknown, or has no such property.
    Unknown(String),
    /// A scalar where an array belongs, or the reverse.
    Shape(String),
}

/// Checks names and shapes of what a client sent.
pub(crate) fn check(instance: &Instance) -> Result<(), Mismatch> {
    if class(&instance.class).is_none() {
        return Err(Mismatch::Unknown(instance.class.clone()));
    }
    for (name, value) in instance.iter() {
        let property = property(&instance.class, name).ok_or_else(|| Mismatch::Unknown(name.to_owned()))?;
        let is_array = matches!(value, Value::Array(_));
        if !value.is_null() && is_array != property.is_array {
            return Err(Mismatch::Shape(name.to_owned()));
        }
    }
    Ok(())
}

fn ancestry(name: &str) -> impl Iterator<Item = &'static Class> {
    std::iter::successors(class(name), |found| found.base.as_deref().and_then(class))
}

fn read(text: &str) -> BTreeMap<String, Class> {
    let mut classes = BTreeMap::new();
    let mut namespace = String::new();
    let mut current: Option<Class> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), &mut current) {
            (["namespace", name], _) => namespace = (*name).to_owned(),
            (["class", name, base @ ..], _) => {
                let fresh = Class::declared(name, &namespace, base.last().copied());
                keep(&mut classes, current.replace(fresh));
            }
            (["key", names @ ..], Some(class)) => {
                class.keys = names.iter().map(|&name| name.to_owned()).collect();
            }
            ([kind, names @ ..], Some(class)) => class.declare(kind, names),
            _ => {}
        }
    }
    keep(&mut classes, current);
    classes
}

impl Class {
    fn declared(name: &str, namespace: &str, base: Option<&str>) -> Class {
        Class {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            base: base.map(str::to_owned),
            keys: Vec::new(),
            properties: Vec::new(),
        }
    }

    fn declare(&mut self, kind: &str, names: &[&str]) {
        let is_array = kind.ends_with("[]");
        let kind = kind.trim_end_matches("[]");
        let property = |name: &&str| Property { name: (*name).to_owned(), kind: kind.to_owned(), is_array };
        self.properties.extend(names.iter().map(property));
    }
}

fn keep(classes: &mut BTreeMap<String, Class>, class: Option<Class>) {
    if let Some(class) = class {
        classes.insert(class.name.to_lowercase(), class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_base_class_is_declared_and_every_type_is_cim() {
        const KINDS: [&str; 12] = [
            "boolean", "datetime", "real64", "sint8", "sint16", "sint32", "sint64", "string", "uint8",
            "uint16", "uint32", "uint64",
        ];
        assert!(CLASSES.len() > 30);
        for found in CLASSES.values() {
            if let Some(base) = &found.base {
                assert!(class(base).is_some(), "{} : {base}", found.name);
            }
            for property in &found.properties {
                assert!(KINDS.contains(&property.kind.as_str()), "{} {}", property.kind, property.name);
            }
        }
    }

    #[test]
    fn keys_and_properties_are_inherited() {
        assert_eq!(keys("Msvm_StorageAllocationSettingData"), ["InstanceID"]);
        assert_eq!(keys("msvm_computersystem"), ["CreationClassName", "Name"]);
        assert!(is_a("Msvm_StorageAllocationSettingData", "CIM_ResourceAllocationSettingData"));
        assert!(!is_a("Msvm_StorageAllocationSettingData", "Msvm_ResourceAllocationSettingData"));
        assert!(property("Msvm_StorageAllocationSettingData", "hostresource").unwrap().is_array);
    }

    #[test]
    fn a_scalar_for_an_array_is_noticed() {
        let instance = Instance::new("Msvm_StorageAllocationSettingData").with("HostResource", r"C:\a.vhdx");
        assert_eq!(check(&instance), Err(Mismatch::Shape("HostResource".into())));
        let instance =
            Instance::new("Msvm_StorageAllocationSettingData").with("Hostresource", vec![r"C:\a.vhdx"]);
        assert_eq!(check(&instance), Ok(()));
        let instance = Instance::new("Msvm_StorageAllocationSettingData").with("NoSuch", 1_u16);
        assert_eq!(check(&instance), Err(Mismatch::Unknown("NoSuch".into())));
    }

    #[test]
    fn an_instance_carries_every_property_of_its_class() {
        let instance = complete(Instance::new("Msvm_ComputerSystem").with("Name", "HV1"));
        assert_eq!(instance.namespace, VIRTUALIZATION);
        assert_eq!(instance.get("OtherEnabledState"), Some(&Value::Null));
        assert!(instance.has("Name"));
    }
}
