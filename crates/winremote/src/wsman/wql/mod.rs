//! The part of WQL that is spoken with hosts: `select`, `associators of` and `references of`.
//!
//! The client mostly writes queries as text; a server reads them with [`parse`] and asks [`Select::matches`] which of
//! its instances fit. Knowing which classes derive from the named one is the server's business. Grammar: "WQL (SQL for
//! WMI)" in the WMI reference.

mod lexer;
mod matcher;
mod parser;
mod text;

use crate::cim::Reference;

pub use parser::parse;
pub use text::{like_pattern, quote};

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// `select … from … where …`
    Select(Select),
    /// `associators of {…} where …`
    Associators(Associators),
    /// `references of {…} where …`
    References(References),
}

/// `select` with its columns, class and condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// Named properties; empty for `*`.
    pub columns: Vec<String>,
    /// The class in `from`; instances of derived classes belong to it too.
    pub class: String,
    /// The condition in `where`.
    pub condition: Option<Condition>,
}

/// `associators of {source}`: the objects at the other end of associations.
#[derive(Clone, Debug, PartialEq)]
pub struct Associators {
    /// The object in braces.
    pub source: Reference,
    /// `AssocClass`: the association in between.
    pub assoc_class: Option<String>,
    /// `ResultClass`: class of the objects wanted.
    pub result_class: Option<String>,
    /// `Role`: the property of the association that names the source.
    pub role: Option<String>,
    /// `ResultRole`: the property of the association that names the result.
    pub result_role: Option<String>,
}

/// `references of {source}`: the association objects themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct References {
    /// The object in braces.
    pub source: Reference,
    /// `ResultClass`: class of the associations wanted.
    pub result_class: Option<String>,
    /// `Role`: the property of the association that names the source.
    pub role: Option<String>,
}

/// A condition of a `select`.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Both hold.
    And(Box<Condition>, Box<Condition>),
    /// At least one holds.
    Or(Box<Condition>, Box<Condition>),
    /// The inner one does not hold.
    Not(Box<Condition>),
    /// A property compared with a constant.
    Compare {
        /// The property.
        property: String,
        /// How it is compared.
        operator: Operator,
        /// With what.
        literal: Literal,
    },
    /// A property's text matches a pattern of `%`, `_` and `[a-z]`.
    Like {
        /// The property.
        property: String,
        /// The pattern.
        pattern: String,
    },
    /// A property is, or with `is not null` is not, null.
    IsNull {
        /// The property.
        property: String,
        /// True for `is not null`.
        negated: bool,
    },
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<>` or `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A constant in a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `'text'` or `"text"`, without the doubling of backslashes.
    Text(String),
    /// A whole number; wide enough for every CIM integer.
    Number(i128),
    /// `true` or `false`.
    Bool(bool),
}
