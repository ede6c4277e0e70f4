//! A VM's definition as the host described it, kept with every restore point.
//!
//! Every setting instance is kept as read, in reading order, also properties this version does not use: a later
//! version may need them, and the operator can read them. Values stay the text that came over the wire, because
//! WS-Management sends no types; types are added when a VM is made (`define_vm`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use winremote::cim::{Instance, Value, embedded};

use crate::call::bad_answer;
use crate::error::{Attempt, Error, Result};
use crate::host::Host;
use crate::id::{CheckpointId, VmId};
use crate::wmi;

/// Version of the JSON layout. Readers accept this and older ones.
pub(crate) const DEFINITION_FORMAT: u32 = 1;

/// Largest definition that is read back: a VM with 256 disks stays under 1 MiB.
const DEFINITION_BYTES_MAX: usize = 4 << 20;

/// All settings of one VM, as read from its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmDefinition {
    /// Version of this layout.
    pub format: u32,
    /// The host it was read from; its name is inside object paths in the settings.
    pub host: String,
    /// The VM.
    pub vm: VmId,
    /// Its label at that time.
    pub name: String,
    /// Whether the active settings or those of a checkpoint were read.
    pub source: DefinitionSource,
    /// The settings, the system's own first.
    pub settings: Vec<Setting>,
}

/// Which settings a definition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefinitionSource {
    /// Those in force.
    Active,
    /// Those frozen in a checkpoint.
    Checkpoint(CheckpointId),
}

/// One setting instance (`Msvm_…SettingData`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its WMI class.
    pub class: String,
    /// Its properties in reading order.
    pub properties: Vec<(String, SettingValue)>,
}

/// A property's value as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Not set.
    Null,
    /// One value.
    Text(String),
    /// Several values. An array with one value arrives as `Text`.
    List(Vec<SettingValue>),
    /// A point in time.
    Moment {
        /// As the host wrote it.
        datetime: String,
    },
    /// A length of time.
    Interval {
        /// As the host wrote it.
        interval: String,
    },
}

impl VmDefinition {
    /// Writes it as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| unreadable(error.to_string()))
    }

    /// Reads it back, refusing what is too large or newer than this version.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > DEFINITION_BYTES_MAX {
            return Err(unreadable(format!(
                "it has {} bytes, more than {DEFINITION_BYTES_MAX}",
                bytes.len()
            )));
        }
        let definition: Self =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if definition.format == 0 || definition.format > DEFINITION_FORMAT {
            return Err(unreadable(format!(
                "its layout is version {}, this program reads up to {DEFINITION_FORMAT}",
                definition.format
            )));
        }
        Ok(definition)
    }
}

impl Setting {
    /// A property by name, compared without regard to case as WMI does.
    pub fn get(&self, name: &str) -> Option<&SettingValue> {
        self.properties.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A property's text, or the first text of a list.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }
}

impl SettingValue {
    /// The text, or the first text of a list.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(values) => values.first()?.text(),
            Self::Null | Self::Moment { .. } | Self::Interval { .. } => None,
        }
    }
}

impl Host {
    /// The settings of a VM that are in force.
    pub async fn vm_definition(&self, vm: &VmId) -> Result<VmDefinition> {
        let at = self.at(format!("reading the settings of VM {vm}"));
        let found = self.definition(&at, vm.guid(), DefinitionSource::Active).await?;
        found.ok_or_else(|| Error::VmNotFound { host: self.name().to_owned(), vm: *vm })
    }

    /// The settings that a checkpoint froze: those that belong to its disks.
    pub async fn checkpoint_definition(&self, checkpoint: &CheckpointId) -> Result<VmDefinition> {
        let at = self.at(format!("reading the settings in checkpoint {checkpoint}"));
        let source = DefinitionSource::Checkpoint(*checkpoint);
        let found = self.definition(&at, checkpoint.guid(), source).await?;
        found.ok_or_else(|| Error::CheckpointNotFound {
            host: self.name().to_owned(),
            checkpoint: *checkpoint,
        })
    }

    async fn definition(
        &self,
        at: &Attempt,
        owner: Uuid,
        source: DefinitionSource,
    ) -> Result<Option<VmDefinition>> {
        let target = wmi::settings_reference(owner);
        let Some(system) = self.get(at, &target).await? else { return Ok(None) };
        let bad = |error: &dyn std::error::Error| bad_answer(at, &error.to_string());
        let vm = system.get_str("VirtualSystemIdentifier").map_err(|error| bad(&error))?;
        let vm: VmId = vm.parse().map_err(|error| bad(&error))?;
        let mut parts = self.associators(at, &target, wmi::SETTING_COMPONENT, "").await?;
        parts.sort_by(|a, b| part_order(a).cmp(&part_order(b)));
        let name = system.get_str("ElementName").unwrap_or_default().to_owned();
        let settings = std::iter::once(&system).chain(&parts).map(Setting::of).collect();
        let host = self.computer_name().to_owned();
        Ok(Some(VmDefinition { format: DEFINITION_FORMAT, host, vm, name, source, settings }))
    }
}

/// Two readings of the same settings give the same order.
fn part_order(part: &Instance) -> (&str, &str) {
    (&part.class, part.get_str("InstanceID").unwrap_or_default())
}

impl Setting {
    fn of(instance: &Instance) -> Self {
        let properties = instance.iter().map(|(name, value)| (name.to_owned(), SettingValue::of(value)));
        Self { class: instance.class.clone(), properties: properties.collect() }
    }
}

impl SettingValue {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Text(text) => Self::Text(text.clone()),
            Value::Bool(truth) => Self::Text(truth.to_string()),
            Value::U8(number) => Self::Text(number.to_string()),
            Value::U16(number) => Self::Text(number.to_string()),
            Value::U32(number) => Self::Text(number.to_string()),
            Value::U64(number) => Self::Text(number.to_string()),
            Value::I8(number) => Self::Text(number.to_string()),
            Value::I16(number) => Self::Text(number.to_string()),
            Value::I32(number) => Self::Text(number.to_string()),
            Value::I64(number) => Self::Text(number.to_string()),
            Value::Real(number) => Self::Text(number.to_string()),
            Value::DateTime(moment) => Self::Moment { datetime: moment.to_iso() },
            Value::Interval(length) => Self::Interval { interval: length.to_iso() },
            Value::Reference(reference) => Self::Text(reference.to_object_path()),
            Value::Embedded(instance) => Self::Text(embedded::encode(instance)),
            Value::Array(values) => Self::List(values.iter().map(Self::of).collect()),
        }
    }
}

fn unreadable(why: String) -> Error {
    Error::DefinitionUnreadable { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> VmDefinition {
        let vm = "7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77".parse().unwrap();
        let properties = vec![
            ("ElementName".to_owned(), SettingValue::Text("sql01".to_owned())),
            ("Parent".to_owned(), SettingValue::Null),
            ("HostResource".to_owned(), SettingValue::List(vec![SettingValue::Text("a".to_owned())])),
            ("CreationTime".to_owned(), SettingValue::Moment { datetime: "2025-03-09T03:06:25Z".to_owned() }),
            ("Delay".to_owned(), SettingValue::Interval { interval: "P0DT0H0M0S".to_owned() }),
        ];
        let settings = vec![Setting { class: "Msvm_VirtualSystemSettingData".to_owned(), properties }];
        let (host, name) = ("HV1".to_owned(), "sql01".to_owned());
        VmDefinition { format: 1, host, vm, name, source: DefinitionSource::Active, settings }
    }

    #[test]
    fn a_definition_survives_json_with_order_and_nulls() {
        let json = definition().to_json().unwrap();
        assert_eq!(VmDefinition::from_json(&json).unwrap(), definition());
    }

    #[test]
    fn a_definition_of_a_newer_version_is_refused_by_name() {
        let json = VmDefinition { format: 2, ..definition() }.to_json().unwrap();
        let error = VmDefinition::from_json(&json).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the VM definition cannot be read: its layout is version 2, this program reads up to 1"
        );
        assert_eq!(error.code(), "HV-050");
    }

    #[test]
    fn text_that_is_no_definition_is_an_error() {
        assert!(VmDefinition::from_json(b"").is_err());
        assert!(VmDefinition::from_json(b"{\"format\":1}").is_err());
    }
}
