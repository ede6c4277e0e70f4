//! One element with its namespace resolved.

use std::sync::Arc;

/// An attribute; `namespace` is empty for those without prefix.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// An element, its attributes, its children and its text.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    /// Namespace URI; empty when there is none. Shared by all elements of one document in the same namespace.
    pub(crate) namespace: Arc<str>,
    pub(crate) name: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Element>,
    /// All text directly inside, joined; white space between children is part of it.
    pub(crate) text: String,
}

impl Element {
    /// An element without namespace and content, in place of one that is missing.
    pub(crate) fn empty(name: &str) -> Self {
        let (attributes, children, text) = (Vec::new(), Vec::new(), String::new());
        Self { namespace: Arc::from(""), name: name.to_owned(), attributes, children, text }
    }

    /// True for this name in this namespace.
    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && &*self.namespace == namespace
    }

    /// The first child of this name.
    pub(crate) fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    /// All children of this name, in order.
    pub(crate) fn children_named<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(namespace, name))
    }

    /// Text of the first child of this name, without white space around it.
    pub(crate) fn child_text(&self, namespace: &str, name: &str) -> Option<&str> {
        self.child(namespace, name).map(|child| child.text.trim())
    }

    /// An attribute's value.
    pub(crate) fn attribute(&self, namespace: &str, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|found| found.name == name && &*found.namespace == namespace);
        found.map(|attribute| attribute.value.as_str())
    }

    /// All text inside, also that of children, in document order except that an element's own text comes first.
    pub(crate) fn deep_text(&self) -> String {
        let mut text = self.text.clone();
        for child in &self.children {
            text.push_str(&child.deep_text());
        }
        text
    }
}
