//! The operations, each from a checked request to the body of its reply.

use std::collections::VecDeque;

use super::dispatch::Request;
use super::enumerations::Remaining;
use super::{Provider, Shared};
use crate::cim::Instance;
use crate::wsman::endpoint::Side;
use crate::wsman::enumerate::{EnumerateRequest, PageOf, page_body, read_context, read_pull};
use crate::wsman::names::{ENUMERATION, WQL_DIALECT};
use crate::wsman::wql::{self, Query};
use crate::wsman::{Fault, code, invoke as calls, values};
use crate::xml::{Element, Writer};

/// What header and frame of a reply take at most; items and frame together stay under the envelope.
const FRAME_BYTES: usize = 2048;

/// Get.
pub(super) async fn get<P: Provider>(shared: &Shared<P>, request: &Request) -> Result<String, Fault> {
    if request.target.class == "*" {
        return Err(Fault::new(code::INVALID_RESOURCE_URI));
    }
    if !request.message.body.children.is_empty() {
        return Err(Fault::schema("the body of Get must be empty"));
    }
    let instance = shared.provider.get(&request.target).await?;
    let mut writer = Writer::new();
    values::write_instance(&mut writer, &instance, &request.target.namespace, Side::Server);
    Ok(writer.finish())
}

/// Invoke, for every action that is none of the others.
pub(super) async fn invoke<P: Provider>(shared: &Shared<P>, request: &Request) -> Result<String, Fault> {
    let known =
        request.action.rsplit_once('/').filter(|(uri, _)| uri.eq_ignore_ascii_case(&request.resource_uri));
    let Some((uri, method)) = known.filter(|(_, method)| !method.is_empty()) else {
        let code = if request.action.starts_with(wsman_actions()) {
            code::ACTION_NOT_SUPPORTED
        } else {
            code::INVALID_ACTION_URI
        };
        return Err(Fault::new(code));
    };
    if request.target.class == "*" {
        return Err(Fault::new(code::INVALID_RESOURCE_URI));
    }
    let arguments = calls::read_input(&request.message.body, uri, method)?;
    let output = shared.provider.invoke(&request.target, method, &arguments).await?;
    Ok(calls::output_body(&request.target.namespace, &request.target.class, method, &output))
}

/// Actions of the standards themselves, such as Put; the rest are method names.
fn wsman_actions() -> &'static str {
    "http://schemas.xmlsoap.org/"
}

/// Enumerate.
pub(super) async fn enumerate<P: Provider>(shared: &Shared<P>, request: &Request) -> Result<String, Fault> {
    let element = only(&request.message.body, "Enumerate")?;
    let asked = EnumerateRequest::read(element).map_err(|why| Fault::schema(&why))?;
    if asked.mode.is_some() {
        return Err(Fault::new(code::ACTION_NOT_SUPPORTED).with_reason("Only objects are enumerated here."));
    }
    let query = query_of(request, &asked)?;
    let mut items: VecDeque<Instance> =
        shared.provider.query(&request.target.namespace, &query).await?.into();
    let columns = match query {
        Query::Select(select) => select.columns,
        Query::Associators(_) | Query::References(_) => Vec::new(),
    };
    let first = if asked.optimize {
        asked.max_elements.map_or(1, |count| count as usize).min(shared.options.first_reply_items)
    } else {
        0
    };
    let namespace = request.target.namespace.clone();
    let page = take_page(&mut items, first, &columns, &namespace, request.max_envelope_bytes)?;
    let rest = Remaining { items, columns, namespace, user: request.user.clone() };
    if rest.items.is_empty() && asked.optimize {
        return Ok(page_body(PageOf::Enumerate, Some(&page), None));
    }
    let context = shared.enumerations.keep(rest)?;
    Ok(page_body(PageOf::Enumerate, asked.optimize.then_some(page.as_str()), Some(&context)))
}

/// Pull: as many items as were asked for and fit, the rest under a new context.
pub(super) fn pull<P: Provider>(shared: &Shared<P>, request: &Request) -> Result<String, Fault> {
    let (context, max_elements) =
        read_pull(only(&request.message.body, "Pull")?).map_err(|why| Fault::schema(&why))?;
    let mut rest = shared.enumerations.take(&context, &request.user)?;
    let count = max_elements.min(shared.options.batch_items_max) as usize;
    let page = take_page(&mut rest.items, count, &rest.columns, &rest.namespace, request.max_envelope_bytes)?;
    let next = if rest.items.is_empty() { None } else { Some(shared.enumerations.keep(rest)?) };
    Ok(page_body(PageOf::Pull, Some(&page), next.as_deref()))
}

/// Release.
pub(super) fn release<P: Provider>(shared: &Shared<P>, request: &Request) -> Result<String, Fault> {
    let context = read_context(only(&request.message.body, "Release")?).unwrap_or_default();
    shared.enumerations.take(&context, &request.user)?;
    Ok(String::new())
}

/// WQL needs the wildcard resource, and the wildcard needs WQL.
fn query_of(request: &Request, asked: &EnumerateRequest) -> Result<Query, Fault> {
    let wildcard = request.target.class == "*";
    let Some((dialect, text)) = &asked.filter else {
        let class = (!wildcard).then(|| request.target.class.clone());
        let class = class.ok_or_else(|| Fault::new(code::INVALID_RESOURCE_URI))?;
        return Ok(Query::Select(wql::Select { columns: Vec::new(), class, condition: None }));
    };
    if !dialect.eq_ignore_ascii_case(WQL_DIALECT) {
        return Err(Fault::new(code::FILTER_DIALECT));
    }
    if !wildcard {
        return Err(Fault::new(code::WQL_NEEDS_WILDCARD));
    }
    wql::parse(text).map_err(|error| Fault::wmi(code::WBEM_INVALID_QUERY, format!("Invalid query: {error}")))
}

/// Takes items off the front until count or size is reached. Pages fill half of the envelope, as observed of hosts;
/// a single item may fill all of it, and one that does not fit even then is a fault.
fn take_page(
    items: &mut VecDeque<Instance>,
    count: usize,
    columns: &[String],
    namespace: &str,
    envelope_bytes: usize,
) -> Result<String, Fault> {
    let mut page = String::new();
    for taken in 0..count {
        let Some(item) = items.front() else { break };
        let text = write_item(item, columns, namespace);
        if text.len() + FRAME_BYTES > envelope_bytes {
            if taken > 0 {
                break;
            }
            return Err(Fault::new(code::MAX_ENVELOPE_SIZE));
        }
        if taken > 0 && page.len() + text.len() + FRAME_BYTES > envelope_bytes / 2 {
            break;
        }
        page.push_str(&text);
        items.pop_front();
    }
    Ok(page)
}

fn write_item(item: &Instance, columns: &[String], namespace: &str) -> String {
    let mut writer = Writer::new();
    if columns.is_empty() {
        values::write_instance(&mut writer, item, namespace, Side::Server);
    } else {
        values::write_fragment(&mut writer, item, columns, namespace);
    }
    writer.finish()
}

fn only<'a>(body: &'a Element, name: &str) -> Result<&'a Element, Fault> {
    match body.children.as_slice() {
        [only] if only.is(ENUMERATION, name) => Ok(only),
        _ => Err(Fault::schema(&format!("the body must hold {name} alone"))),
    }
}
