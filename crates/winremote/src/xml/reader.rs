//! Reads a whole document into a tree, within limits.

use std::collections::HashSet;
use std::sync::Arc;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::tree::{Attribute, Element};

/// What a document may be at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    /// Elements inside one another. SOAP with an endpoint reference in an array in a method needs about 10.
    pub(crate) depth: usize,
    /// Elements together; each takes about 120 bytes of memory.
    pub(crate) elements: usize,
    /// Attributes of one element. Root elements declare about ten namespaces.
    pub(crate) attributes: usize,
}

impl Limits {
    /// Limits for a document of so many bytes: the shortest useful element (`<p:a>1</p:a>`) has about ten.
    pub(crate) fn for_bytes(bytes: usize) -> Self {
        Self { bytes, depth: 40, elements: bytes / 10 + 64, attributes: 48 }
    }
}

/// Reads a document. The error says what is wrong, without quoting the document.
pub(crate) fn parse(text: &str, limits: Limits) -> Result<Element, String> {
    if text.len() > limits.bytes {
        return Err(format!("it has more than {} bytes", limits.bytes));
    }
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_end_names = true;
    let mut builder =
        Builder { limits, open: Vec::new(), root: None, elements: 0, namespaces: HashSet::new() };
    loop {
        let (resolved, event) =
            reader.read_resolved_event().map_err(|error| format!("it is not XML: {error}"))?;
        match event {
            Event::Start(start) => {
                let namespace = builder.namespace(&resolved)?;
                let attributes = builder.attributes(&reader, &start)?;
                builder.open(namespace, &start, attributes)?;
            }
            Event::End(_) => builder.close()?,
            Event::Text(text) => builder.text(&text.xml10_content())?,
            Event::CData(text) => builder.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => builder.text(character(&reference)?.encode_utf8(&mut [0; 4]))?,
            Event::Eof => return builder.finish(),
            Event::Comment(_) | Event::Decl(_) => {}
            Event::DocType(_) => return Err("it has a document type, which SOAP forbids".to_owned()),
            Event::PI(_) => return Err("it has a processing instruction, which SOAP forbids".to_owned()),
            Event::Empty(_) => return Err("an empty element was not expanded".to_owned()),
        }
    }
}

struct Builder {
    limits: Limits,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    namespaces: HashSet<Arc<str>>,
}

impl Builder {
    fn open(
        &mut self,
        namespace: Arc<str>,
        start: &BytesStart<'_>,
        attributes: Vec<Attribute>,
    ) -> Result<(), String> {
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(format!("it has more than {} elements", self.limits.elements));
        }
        if self.open.len() >= self.limits.depth {
            return Err(format!("its elements are nested more than {} deep", self.limits.depth));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err("it has two root elements".to_owned());
        }
        let name = start.local_name().as_ref().to_owned();
        self.open.push(Element { namespace, name, attributes, children: Vec::new(), text: String::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let element = self.open.pop().ok_or("an element ends that never began")?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.chars().all(|letter| letter.is_whitespace() || letter == '\u{feff}') => {}
            None => return Err("there is text outside of its root element".to_owned()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, String> {
        if self.open.is_empty() {
            self.root.ok_or("it is empty".to_owned())
        } else {
            Err("it is cut off".to_owned())
        }
    }

    /// Namespaces repeat thousands of times in a reply, so each is kept once.
    fn namespace(&mut self, resolved: &ResolveResult<'_>) -> Result<Arc<str>, String> {
        let uri = match resolved {
            ResolveResult::Bound(namespace) => namespace.0,
            ResolveResult::Unbound => "",
            ResolveResult::Unknown(_) => return Err("a prefix is not declared".to_owned()),
        };
        if let Some(known) = self.namespaces.get(uri) {
            return Ok(Arc::clone(known));
        }
        let shared: Arc<str> = Arc::from(uri);
        self.namespaces.insert(Arc::clone(&shared));
        Ok(shared)
    }

    fn attributes(
        &mut self,
        reader: &NsReader<&[u8]>,
        start: &BytesStart<'_>,
    ) -> Result<Vec<Attribute>, String> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| format!("an attribute is malformed: {error}"))?;
            if count >= self.limits.attributes {
                return Err(format!("an element has more than {} attributes", self.limits.attributes));
            }
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let (resolved, name) = reader.resolver().resolve_attribute(attribute.key);
            let namespace = self.namespace(&resolved)?;
            let name = name.as_ref().to_owned();
            let value = attribute_value(&attribute.value)?;
            attributes.push(Attribute { namespace, name, value });
        }
        Ok(attributes)
    }
}

fn attribute_value(raw: &str) -> Result<String, String> {
    let value =
        quick_xml::escape::unescape(raw).map_err(|error| format!("an attribute is malformed: {error}"))?;
    Ok(value.into_owned())
}

/// One of the five entities of XML, or a character by number.
fn character(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(letter) =
        reference.resolve_char_ref().map_err(|error| format!("a character is malformed: {error}"))?
    {
        return Ok(letter);
    }
    match reference.xml10_content().as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err("it uses an entity, which SOAP forbids".to_owned()),
    }
}

/// The text of a message body: UTF-8, or UTF-16 where a byte order mark or the content type says so.
pub(crate) fn text_of_bytes(bytes: &[u8], content_type: &str) -> Result<String, String> {
    let wide = |big: bool, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| {
            let pair = [pair[0], pair[1]];
            if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        });
        char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| "it is not UTF-16".to_owned())
    };
    let utf16 = content_type.to_ascii_lowercase().contains("utf-16");
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(false, rest),
        [0xfe, 0xff, rest @ ..] => wide(true, rest),
        _ if utf16 => wide(false, bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "it is not UTF-8".to_owned())
}
