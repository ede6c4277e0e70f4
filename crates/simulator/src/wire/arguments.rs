//! Reading the parameters of a method call as strictly as WMI does (WMI notes 3.6).

use winremote::cim::{Instance, Reference, Value, embedded};

use super::names::split_instance_id;
use super::schema::{self, Mismatch};
use crate::host::refusal::{INCORRECT_TYPE, INVALID_PARAMETER, Refusal};
use crate::ids::{CheckpointId, SimVmId};

type Read<T> = Result<T, Refusal>;

/// A required reference.
pub(crate) fn reference(arguments: &Instance, name: &str) -> Read<Reference> {
    arguments.get_reference(name).map_err(|error| Refusal::bad_parameters(&error.to_string()))
}

/// A required reference to a VM.
pub(crate) fn vm(arguments: &Instance, name: &str) -> Read<SimVmId> {
    let reference = reference(arguments, name)?;
    if !reference.is_class("Msvm_ComputerSystem") {
        return Err(Refusal::Return(INVALID_PARAMETER));
    }
    vm_of(&reference)
}

/// The VM that a reference to a computer system names.
pub(crate) fn vm_of(reference: &Reference) -> Read<SimVmId> {
    let named = reference.key("Name").unwrap_or_default();
    named.parse().map_err(|_| Refusal::not_found(&format!("virtual machine {named}")))
}

/// A required reference to settings: the GUID of their owner and the device part.
pub(crate) fn settings(arguments: &Instance, name: &str) -> Read<(String, String)> {
    owner_and_part(reference(arguments, name)?.key("InstanceID").unwrap_or_default())
}

/// A required reference to a checkpoint's settings.
pub(crate) fn checkpoint(arguments: &Instance, name: &str) -> Read<CheckpointId> {
    let (owner, _) = settings(arguments, name)?;
    owner.parse().map_err(|_| Refusal::not_found(&format!("checkpoint {owner}")))
}

/// Owner and device part of an InstanceID.
pub(crate) fn owner_and_part(id: &str) -> Read<(String, String)> {
    let split = split_instance_id(id).map(|(owner, part)| (owner.to_owned(), part.to_owned()));
    split.ok_or_else(|| Refusal::not_found(&format!("settings {id}")))
}

/// A text; empty when it is left out.
pub(crate) fn text(arguments: &Instance, name: &str) -> Read<String> {
    let text = arguments.get_opt_str(name).map_err(|error| Refusal::bad_parameters(&error.to_string()))?;
    Ok(text.unwrap_or_default().to_owned())
}

/// A required number.
pub(crate) fn number(arguments: &Instance, name: &str) -> Read<u64> {
    arguments.get_u64(name).map_err(|error| Refusal::bad_parameters(&error.to_string()))
}

/// An embedded instance of a class; nothing when the parameter is left out or empty.
pub(crate) fn instance(arguments: &Instance, name: &str, class: &str) -> Read<Option<Instance>> {
    let Some(found) = instances(arguments, name)?.into_iter().next() else { return Ok(None) };
    if found.is_class(class) { Ok(Some(found)) } else { Err(Refusal::Return(INVALID_PARAMETER)) }
}

/// All embedded instances of an array parameter.
pub(crate) fn instances(arguments: &Instance, name: &str) -> Read<Vec<Instance>> {
    let values = match arguments.get(name) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    let given = values.iter().filter(|value| !value.is_null() && value.as_text() != Some(""));
    given.map(checked_instance).collect()
}

fn checked_instance(value: &Value) -> Read<Instance> {
    let instance = match value {
        Value::Embedded(instance) => (**instance).clone(),
        Value::Text(text) => embedded::decode(text).map_err(|_| Refusal::Return(INVALID_PARAMETER))?,
        _ => return Err(Refusal::Return(INCORRECT_TYPE)),
    };
    match schema::check(&instance) {
        Ok(()) => Ok(instance),
        Err(Mismatch::Unknown(_)) => Err(Refusal::Return(INVALID_PARAMETER)),
        Err(Mismatch::Shape(_)) => Err(Refusal::Return(INCORRECT_TYPE)),
    }
}
