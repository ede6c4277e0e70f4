//! WMI object paths: `\\HOST\root\virtualization\v2:Class.Key="value",Other="value"` ("Describing a WMI Object Path").
//!
//! Inside quotes a backslash is doubled and a quote is escaped. Numbers and booleans stand without quotes; they are
//! read as text and written back quoted, which WMI accepts because it converts by the key's declared type.

use super::Reference;
use crate::error::{Error, Result};

/// No path that WMI makes comes near this; a longer one is not read at all.
const PATH_BYTES_MAX: usize = 64 * 1024;
/// Classes have one to four keys.
const KEYS_MAX: usize = 64;

pub(super) fn format(reference: &Reference) -> String {
    let mut path = String::new();
    if let Some(host) = &reference.host {
        path.push_str(r"\\");
        path.push_str(host);
        path.push('\\');
    }
    if !reference.namespace.is_empty() {
        path.push_str(&reference.namespace.replace('/', r"\"));
        path.push(':');
    }
    path.push_str(&reference.class);
    if reference.key_count() == 0 {
        path.push_str("=@");
    }
    for (index, (name, value)) in reference.keys().enumerate() {
        path.push(if index == 0 { '.' } else { ',' });
        path.push_str(name);
        path.push_str("=\"");
        for letter in value.chars() {
            if matches!(letter, '\\' | '"') {
                path.push('\\');
            }
            path.push(letter);
        }
        path.push('"');
    }
    path
}

pub(super) fn parse(text: &str) -> Result<Reference> {
    let fail = |why: &str| Error::ObjectPath { path: super::instance::shortened(text), why: why.to_owned() };
    if text.len() > PATH_BYTES_MAX {
        return Err(fail("it is too long"));
    }
    let (place, object) = split_place(text);
    let (host, namespace) = parse_place(place).map_err(fail)?;
    let end = object.find(['.', '=']).unwrap_or(object.len());
    let (class, keys) = object.split_at(end);
    if !is_name(class) {
        return Err(fail("it has no class name"));
    }
    let mut reference = Reference::new(namespace, class);
    reference.host = host;
    match keys {
        "" | "=@" => {}
        _ => parse_keys(keys, &mut reference).map_err(fail)?,
    }
    Ok(reference)
}

/// Splits at the colon before the class; colons inside quoted keys do not count.
fn split_place(text: &str) -> (&str, &str) {
    let unquoted = text.find('"').unwrap_or(text.len());
    text[..unquoted].find(':').map_or(("", text), |at| (&text[..at], &text[at + 1..]))
}

fn parse_place(place: &str) -> Result<(Option<String>, String), &'static str> {
    let normal = place.replace('\\', "/");
    let (host, namespace) = match normal.strip_prefix("//") {
        None => (None, normal.as_str()),
        Some(rest) => {
            let (host, namespace) = rest.split_once('/').ok_or("it names a host but no namespace")?;
            (Some(host), namespace)
        }
    };
    if host == Some("") || (!place.is_empty() && namespace.split('/').any(|part| !is_name(part))) {
        return Err("its host or namespace is not well formed");
    }
    Ok((host.filter(|host| *host != ".").map(str::to_owned), namespace.to_owned()))
}

/// Reads `.Key="value",Key2=3`, or `="value"` where a class with one key leaves out its name.
fn parse_keys(text: &str, reference: &mut Reference) -> Result<(), &'static str> {
    let mut rest = text.strip_prefix('.').unwrap_or(text);
    loop {
        let (name, after) = rest.split_once('=').ok_or("a key has no value")?;
        if !(is_name(name) || (name.is_empty() && reference.key_count() == 0 && text.starts_with('='))) {
            return Err("a key has no name");
        }
        let (value, after) = parse_key_value(after)?;
        if reference.key(name).is_some() {
            return Err("a key stands twice");
        }
        reference.set_key(name, value);
        if reference.key_count() > KEYS_MAX {
            return Err("it has too many keys");
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(()),
            None => return Err("something follows a key's value"),
        }
    }
}

fn parse_key_value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '+' | '.');
        return match &text[..end] {
            "" => Err("a key has no value"),
            value if value.chars().all(plain) => Ok((value.to_owned(), &text[end..])),
            _ => Err("a key's text is not in quotes"),
        };
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next().ok_or("a key's quotes are not closed")?.1),
            _ => value.push(letter),
        }
    }
    Err("a key's quotes are not closed")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'))
}
