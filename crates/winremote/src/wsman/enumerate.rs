//! Enumerate, Pull and Release: bodies of requests and replies.
//!
//! Quirks that both sides share: the Enumerate reply has `w:Items` and `w:EndOfSequence`, the Pull reply `n:Items` and
//! `n:EndOfSequence`; every reply but the last carries a new context, and an old one is worth nothing.

use super::names::{ENUMERATION, WQL_DIALECT, WSMAN};
use super::values;
use crate::cim::Instance;
use crate::xml::{Element, Writer};

/// Items asked for in one reply; hosts allow no more.
pub(crate) const ITEMS_PER_REPLY: u32 = 32_000;

/// The body of Enumerate, with a WQL query or for all of the class.
pub(crate) fn enumerate_body(wql: Option<&str>) -> String {
    let mut writer = Writer::new();
    writer.open("n:Enumerate", &[("xmlns:n", ENUMERATION)]).empty("w:OptimizeEnumeration", &[]);
    writer.leaf("w:MaxElements", &[], &ITEMS_PER_REPLY.to_string());
    if let Some(wql) = wql {
        writer.leaf("w:Filter", &[("Dialect", WQL_DIALECT)], wql);
    }
    writer.finish()
}

/// The body of Pull.
pub(crate) fn pull_body(context: &str) -> String {
    let mut writer = Writer::new();
    writer.open("n:Pull", &[("xmlns:n", ENUMERATION)]).leaf("n:EnumerationContext", &[], context);
    writer.leaf("n:MaxElements", &[], &ITEMS_PER_REPLY.to_string());
    writer.finish()
}

/// The body of Release.
pub(crate) fn release_body(context: &str) -> String {
    let mut writer = Writer::new();
    writer.open("n:Release", &[("xmlns:n", ENUMERATION)]).leaf("n:EnumerationContext", &[], context);
    writer.finish()
}

/// One reply's worth of an enumeration.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Instance>,
    /// The context for the next Pull; none at the end.
    pub(crate) context: Option<String>,
}

/// Reads the reply to Enumerate or Pull. Items of a query for columns name no class, so it is given.
pub(crate) fn read_page(body: &Element, class_of_columns: &str) -> Result<Page, String> {
    let response =
        body.child(ENUMERATION, "EnumerateResponse").or_else(|| body.child(ENUMERATION, "PullResponse"));
    let response = response.ok_or("it holds no enumeration")?;
    let of_either = |name| response.child(ENUMERATION, name).or_else(|| response.child(WSMAN, name));
    let items = of_either("Items").map(|items| items.children.as_slice()).unwrap_or_default();
    let items = items.iter().map(|item| read_item(item, class_of_columns)).collect::<Result<_, _>>()?;
    let context =
        response.child_text(ENUMERATION, "EnumerationContext").filter(|context| !context.is_empty());
    match (of_either("EndOfSequence"), context) {
        (Some(_), _) => Ok(Page { items, context: None }),
        (None, Some(context)) => Ok(Page { items, context: Some(context.to_owned()) }),
        (None, None) => Err("the enumeration neither ends nor goes on".to_owned()),
    }
}

fn read_item(item: &Element, class_of_columns: &str) -> Result<Instance, String> {
    if item.is(WSMAN, "XmlFragment") {
        return values::read_fragment(item, class_of_columns);
    }
    // With references asked for, object and reference stand together in an item of their own.
    let object = if item.is(WSMAN, "Item") { item.children.first().ok_or("an item is empty")? } else { item };
    values::read_instance(object)
}

/// What a client asks of Enumerate.
#[derive(Debug)]
pub(crate) struct EnumerateRequest {
    pub(crate) optimize: bool,
    pub(crate) max_elements: Option<u32>,
    /// Dialect and text.
    pub(crate) filter: Option<(String, String)>,
    /// `EnumerateEPR` or `EnumerateObjectAndEPR`.
    pub(crate) mode: Option<String>,
}

impl EnumerateRequest {
    pub(crate) fn read(element: &Element) -> Result<Self, String> {
        let filter = element.child(WSMAN, "Filter").or_else(|| element.child(ENUMERATION, "Filter"));
        let filter = filter.map(|filter| {
            (
                filter.attribute("", "Dialect").unwrap_or_default().trim().to_owned(),
                filter.text.trim().to_owned(),
            )
        });
        Ok(Self {
            optimize: element.child(WSMAN, "OptimizeEnumeration").is_some(),
            max_elements: read_count(element.child_text(WSMAN, "MaxElements"))?,
            filter,
            mode: element.child_text(WSMAN, "EnumerationMode").map(str::to_owned),
        })
    }
}

/// Context and `MaxElements` of a Pull; the latter is 1 when left out (WS-Enumeration 3.2).
pub(crate) fn read_pull(element: &Element) -> Result<(String, u32), String> {
    let max = read_count(element.child_text(ENUMERATION, "MaxElements"))?.unwrap_or(1);
    Ok((read_context(element).ok_or("it names no context")?, max))
}

/// The context that a request names.
pub(crate) fn read_context(element: &Element) -> Option<String> {
    element.child_text(ENUMERATION, "EnumerationContext").map(str::to_owned)
}

fn read_count(text: Option<&str>) -> Result<Option<u32>, String> {
    let count =
        |text: &str| text.parse().ok().filter(|count| *count > 0).ok_or("MaxElements is no count".to_owned());
    text.map(count).transpose()
}

/// Which reply a page is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageOf {
    Enumerate,
    Pull,
}

/// The body of a reply with items already written. `items` is none where Enumerate was not optimised.
pub(crate) fn page_body(of: PageOf, items: Option<&str>, context: Option<&str>) -> String {
    let mut writer = Writer::new();
    let (response, prefix) = match of {
        PageOf::Enumerate => ("n:EnumerateResponse", "w"),
        PageOf::Pull => ("n:PullResponse", "n"),
    };
    writer.open(response, &[("xmlns:n", ENUMERATION)]);
    if context.is_some() || of == PageOf::Enumerate {
        writer.leaf("n:EnumerationContext", &[], context.unwrap_or_default());
    }
    if let Some(items) = items {
        writer.open(&format!("{prefix}:Items"), &[]).raw(items).close();
    }
    if context.is_none() {
        writer.empty(&format!("{prefix}:EndOfSequence"), &[]);
    }
    writer.finish()
}
