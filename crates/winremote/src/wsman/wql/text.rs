//! WQL as text: quoting, patterns, and queries written out again.

use std::fmt;

use super::{Associators, Condition, Literal, Operator, Query, References, Select};
use crate::cim::Reference;

/// Text as a WQL literal: in single quotes, with backslashes and quotes escaped.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Text as part of a `like` pattern that matches exactly itself: `%`, `_` and `[` stand in brackets.
pub fn like_pattern(text: &str) -> String {
    let mut pattern = String::new();
    for letter in text.chars() {
        match letter {
            '%' | '_' | '[' => pattern.extend(['[', letter, ']']),
            _ => pattern.push(letter),
        }
    }
    pattern
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(query) => query.fmt(formatter),
            Self::Associators(query) => query.fmt(formatter),
            Self::References(query) => query.fmt(formatter),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = if self.columns.is_empty() { "*".to_owned() } else { self.columns.join(", ") };
        write!(formatter, "select {columns} from {}", self.class)?;
        match &self.condition {
            Some(condition) => write!(formatter, " where {condition}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Associators {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = [
            ("AssocClass", &self.assoc_class),
            ("ResultClass", &self.result_class),
            ("Role", &self.role),
            ("ResultRole", &self.result_role),
        ];
        write_of(formatter, "associators", &self.source, &options)
    }
}

impl fmt::Display for References {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = [("ResultClass", &self.result_class), ("Role", &self.role)];
        write_of(formatter, "references", &self.source, &options)
    }
}

fn write_of(
    formatter: &mut fmt::Formatter<'_>,
    verb: &str,
    source: &Reference,
    options: &[(&str, &Option<String>)],
) -> fmt::Result {
    write!(formatter, "{verb} of {{{source}}}")?;
    let given = options.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    for (index, (name, value)) in given.enumerate() {
        let word = if index == 0 { " where" } else { "" };
        write!(formatter, "{word} {name} = {value}")?;
    }
    Ok(())
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(left, right) => write!(formatter, "({left} and {right})"),
            Self::Or(left, right) => write!(formatter, "({left} or {right})"),
            Self::Not(inner) => write!(formatter, "not ({inner})"),
            Self::Compare { property, operator, literal } => {
                write!(formatter, "{property} {operator} {literal}")
            }
            Self::Like { property, pattern } => write!(formatter, "{property} like {}", quote(pattern)),
            Self::IsNull { property, negated: false } => write!(formatter, "{property} is null"),
            Self::IsNull { property, negated: true } => write!(formatter, "{property} is not null"),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(&quote(text)),
            Self::Number(number) => number.fmt(formatter),
            Self::Bool(truth) => truth.fmt(formatter),
        }
    }
}
