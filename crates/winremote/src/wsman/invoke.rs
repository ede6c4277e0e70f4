//! Method calls: `Method_INPUT` and `Method_OUTPUT` in the namespace of the class.

use super::endpoint::{self, Side};
use super::names::{CIM, XSI, class_uri};
use super::values;
use super::{Fault, Output, code};
use crate::cim::Instance;
use crate::xml::{Element, Writer};

const RETURN_VALUE: &str = "ReturnValue";

/// The body of a call. Parameters go in the order of their names, which no host minds.
pub(crate) fn input_body(namespace: &str, class: &str, method: &str, arguments: &Instance) -> String {
    let mut writer = Writer::new();
    let uri = class_uri(namespace, class);
    let names = [("xmlns:p", uri.as_str()), ("xmlns:xsi", XSI), ("xmlns:cim", CIM)];
    writer.open(&format!("p:{method}_INPUT"), &names);
    values::write_properties(&mut writer, arguments, namespace, Side::Client);
    writer.finish()
}

/// The body of a result.
pub(crate) fn output_body(namespace: &str, class: &str, method: &str, output: &Output) -> String {
    let mut writer = Writer::new();
    let uri = class_uri(namespace, class);
    let names = [("xmlns:xsi", XSI), ("xmlns:p", uri.as_str()), ("xmlns:cim", CIM)];
    writer.open(&format!("p:{method}_OUTPUT"), &names);
    let mut values = output.values.clone();
    values.set(RETURN_VALUE, output.return_value);
    values::write_properties(&mut writer, &values, namespace, Side::Server);
    writer.finish()
}

/// Reads a result. Without `ReturnValue` the method has none and succeeded.
pub(crate) fn read_output(body: &Element, method: &str) -> Result<Output, String> {
    let wanted = format!("{method}_OUTPUT");
    let element = body.children.iter().find(|child| child.name.eq_ignore_ascii_case(&wanted));
    let mut values = values::read_instance(element.ok_or("it holds no result of the method")?)?;
    values.class = wanted;
    let return_value = values.get_opt::<u32>(RETURN_VALUE).map_err(|error| error.to_string())?;
    values.remove(RETURN_VALUE);
    Ok(Output { return_value: return_value.unwrap_or(0), values })
}

/// Reads the parameters of a call, strictly: hosts refuse what does not follow the schema, and references to other
/// hosts.
pub(crate) fn read_input(body: &Element, uri: &str, method: &str) -> Result<Instance, Fault> {
    let element = check_input(body, uri, method).map_err(|why| Fault::schema(&why))?;
    if element.children.iter().any(endpoint::is_elsewhere) {
        return Err(Fault::new(code::REMOTE_CIM_PATH));
    }
    let mut arguments = values::read_instance(element).map_err(|why| Fault::schema(&why))?;
    arguments.class = format!("{method}_INPUT");
    Ok(arguments)
}

fn check_input<'a>(body: &'a Element, uri: &str, method: &str) -> Result<&'a Element, String> {
    let wanted = format!("{method}_INPUT");
    let [element] = body.children.as_slice() else {
        return Err("the body must hold exactly one element".to_owned());
    };
    if !element.name.eq_ignore_ascii_case(&wanted) || !element.namespace.eq_ignore_ascii_case(uri) {
        return Err(format!("the body must hold {wanted} in the namespace of the class"));
    }
    for parameter in &element.children {
        if parameter.namespace != element.namespace {
            return Err(format!("the parameter {} is not in the namespace of the class", parameter.name));
        }
        if let Some(why) = values::misuse(parameter) {
            return Err(format!("{}: {why}", parameter.name));
        }
    }
    Ok(element)
}
