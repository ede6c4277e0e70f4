//! Which properties are taken over into a new VM, and their types.
//!
//! WS-Management tells no types, but embedded instances need them, so what is written is listed here by class. The
//! list is also the policy: identities (BIOS GUID, serial numbers), paths and read-only values are not in it.
//! Types: `HyperV_v2` class reference.

use std::str::FromStr;

use winremote::cim::{Instance, Interval, Value};

use crate::inventory::Gap;
use crate::vm_definition::{Setting, SettingValue};

/// A property's CIM type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    Truth,
    U16,
    U16s,
    U32,
    U64,
    Length,
}

/// Properties with their types.
pub(super) type Properties = &'static [(&'static str, Kind)];

/// `Msvm_VirtualSystemSettingData`.
pub(super) const SYSTEM: Properties = &[
    ("AllowFullSCSICommandSet", Kind::Truth),
    ("AutomaticCriticalErrorAction", Kind::U16),
    ("AutomaticCriticalErrorActionTimeout", Kind::Length),
    ("AutomaticRecoveryAction", Kind::U16),
    ("AutomaticShutdownAction", Kind::U16),
    ("AutomaticSnapshotsEnabled", Kind::Truth),
    ("AutomaticStartupAction", Kind::U16),
    ("AutomaticStartupActionDelay", Kind::Length),
    ("AutomaticStartupActionSequenceNumber", Kind::U16),
    ("BIOSNumLock", Kind::Truth),
    ("BootOrder", Kind::U16s),
    ("ConsoleMode", Kind::U16),
    ("EnhancedSessionTransportType", Kind::U16),
    ("GuestControlledCacheTypes", Kind::Truth),
    ("HighMmioGapSize", Kind::U64),
    ("LockOnDisconnect", Kind::Truth),
    ("LowMmioGapSize", Kind::U64),
    ("NetworkBootPreferredProtocol", Kind::U16),
    ("Notes", Kind::Texts),
    ("PauseAfterBootFailure", Kind::Truth),
    ("SecureBootEnabled", Kind::Truth),
    ("SecureBootTemplateId", Kind::Text),
    ("TurnOffOnGuestRestart", Kind::Truth),
    ("UserSnapshotType", Kind::U16),
    ("Version", Kind::Text),
    ("VirtualNumaEnabled", Kind::Truth),
    ("VirtualSystemSubType", Kind::Text),
];

/// `Msvm_MemorySettingData`.
pub(super) const MEMORY: Properties = &[
    ("DynamicMemoryEnabled", Kind::Truth),
    ("Limit", Kind::U64),
    ("Reservation", Kind::U64),
    ("TargetMemoryBuffer", Kind::U32),
    ("VirtualQuantity", Kind::U64),
    ("Weight", Kind::U32),
];

/// `Msvm_ProcessorSettingData`.
pub(super) const PROCESSOR: Properties = &[
    ("ExposeVirtualizationExtensions", Kind::Truth),
    ("HwThreadsPerCore", Kind::U64),
    ("Limit", Kind::U64),
    ("LimitCPUID", Kind::Truth),
    ("LimitProcessorFeatures", Kind::Truth),
    ("Reservation", Kind::U64),
    ("VirtualQuantity", Kind::U64),
    ("Weight", Kind::U32),
];

/// `Msvm_ResourceAllocationSettingData` of a controller.
pub(super) const CONTROLLER: Properties = &[
    ("Address", Kind::Text),
    ("ElementName", Kind::Text),
    ("ResourceSubType", Kind::Text),
    ("ResourceType", Kind::U16),
    ("VirtualSystemIdentifiers", Kind::Texts),
];

/// `Msvm_ResourceAllocationSettingData` of a drive.
pub(super) const DRIVE: Properties = &[
    ("AddressOnParent", Kind::Text),
    ("ElementName", Kind::Text),
    ("ResourceSubType", Kind::Text),
    ("ResourceType", Kind::U16),
];

/// `Msvm_StorageAllocationSettingData`.
pub(super) const IMAGE: Properties = &[
    ("CachingMode", Kind::U16),
    ("ElementName", Kind::Text),
    ("IOPSLimit", Kind::U64),
    ("IOPSReservation", Kind::U64),
    ("ResourceSubType", Kind::Text),
    ("ResourceType", Kind::U16),
    ("WriteHardeningMethod", Kind::U16),
];

/// `Msvm_SyntheticEthernetPortSettingData` and its emulated sister.
pub(super) const ADAPTER: Properties = &[
    ("Address", Kind::Text),
    ("ElementName", Kind::Text),
    ("ResourceSubType", Kind::Text),
    ("ResourceType", Kind::U16),
    ("StaticMacAddress", Kind::Truth),
    ("VirtualSystemIdentifiers", Kind::Texts),
];

/// The listed properties of a setting, typed. One that does not fit its type is left out and noted.
pub(super) fn typed_instance(setting: &Setting, properties: Properties, left_out: &mut Vec<Gap>) -> Instance {
    typed_of_class(setting, &setting.class, properties, left_out)
}

pub(super) fn typed_of_class(
    setting: &Setting,
    class: &str,
    properties: Properties,
    left_out: &mut Vec<Gap>,
) -> Instance {
    let mut instance = Instance::new(class);
    for (name, kind) in properties {
        let Some(value) = setting.get(name).filter(|value| **value != SettingValue::Null) else { continue };
        match typed(value, *kind) {
            Some(value) => instance.set(*name, value),
            None => left_out.push(Gap::new(format!("{class}.{name}"), "its value does not fit its type")),
        }
    }
    instance
}

fn typed(value: &SettingValue, kind: Kind) -> Option<Value> {
    match kind {
        Kind::Text => Some(value.text()?.into()),
        Kind::Texts => list(value, |text| Some(text.to_owned())),
        Kind::Truth => Some(value.text()?.to_ascii_lowercase().parse::<bool>().ok()?.into()),
        Kind::U16 => number::<u16>(value.text()?),
        Kind::U16s => list(value, |text| text.trim().parse::<u16>().ok()),
        Kind::U32 => number::<u32>(value.text()?),
        Kind::U64 => number::<u64>(value.text()?),
        Kind::Length => {
            let text = match value {
                SettingValue::Interval { interval } => interval,
                other => other.text()?,
            };
            Some(Interval::parse_iso(text).or_else(|| Interval::parse_cim(text))?.into())
        }
    }
}

fn number<T: FromStr + Into<Value>>(text: &str) -> Option<Value> {
    text.trim().parse::<T>().ok().map(Into::into)
}

/// An array with one value arrives as that value.
fn list<T: Into<Value>>(value: &SettingValue, read: impl Fn(&str) -> Option<T>) -> Option<Value> {
    let values: Option<Vec<T>> = match value {
        SettingValue::List(values) => values.iter().map(|value| read(value.text()?)).collect(),
        SettingValue::Text(text) => read(text).map(|one| vec![one]),
        _ => None,
    };
    Some(values?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_wire_gets_the_type_that_its_class_declares() {
        let properties = [
            ("ResourceType", SettingValue::Text("31".to_owned())),
            ("IOPSLimit", SettingValue::Text("18446744073709551615".to_owned())),
            ("CachingMode", SettingValue::Text("many".to_owned())),
            ("WriteHardeningMethod", SettingValue::Null),
            ("HostResource", SettingValue::Text("C:\\\\old.vhdx".to_owned())),
        ];
        let properties = properties.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let setting = Setting { class: "Msvm_StorageAllocationSettingData".to_owned(), properties };
        let mut left_out = Vec::new();

        let instance = typed_instance(&setting, IMAGE, &mut left_out);

        assert_eq!(instance.get("ResourceType"), Some(&Value::U16(31)));
        assert_eq!(instance.get("IOPSLimit"), Some(&Value::U64(u64::MAX)));
        assert_eq!(instance.len(), 2, "neither null nor unlisted nor unfitting properties are taken over");
        assert_eq!(left_out[0].what, "Msvm_StorageAllocationSettingData.CachingMode");
    }

    #[test]
    fn an_array_of_one_and_an_interval_are_understood_as_the_wire_shows_them() {
        let one = SettingValue::Text("2".to_owned());
        assert_eq!(typed(&one, Kind::U16s), Some(Value::Array(vec![Value::U16(2)])));
        let length = SettingValue::Interval { interval: "P0DT0H45M0S".to_owned() };
        assert!(matches!(typed(&length, Kind::Length), Some(Value::Interval(_))));
    }
}
