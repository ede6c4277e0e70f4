//! Whether an instance fits a condition, as WMI sees it: text compares without case, and null fits no comparison.

use std::cmp::Ordering;

use super::{Condition, Literal, Operator, Select};
use crate::cim::{FromValue, Instance, Value};

impl Select {
    /// True when the instance fits the `where` clause. The class is not looked at.
    pub fn matches(&self, instance: &Instance) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(instance))
    }
}

impl Condition {
    /// True when the condition holds for the instance.
    pub fn holds(&self, instance: &Instance) -> bool {
        match self {
            Self::And(left, right) => left.holds(instance) && right.holds(instance),
            Self::Or(left, right) => left.holds(instance) || right.holds(instance),
            Self::Not(inner) => !inner.holds(instance),
            Self::IsNull { property, negated } => instance.has(property) == *negated,
            Self::Like { property, pattern } => instance
                .get(property)
                .is_some_and(|value| text_of(value).is_some_and(|text| like(&text, pattern))),
            Self::Compare { property, operator, literal } => {
                let found = instance.get(property).filter(|value| !value.is_null());
                found.is_some_and(|value| compare(value, *operator, literal))
            }
        }
    }
}

fn compare(value: &Value, operator: Operator, literal: &Literal) -> bool {
    let order = match literal {
        Literal::Number(number) => number_of(value).map(|found| found.cmp(number)),
        Literal::Bool(truth) => bool::from_value(value).map(|found| found.cmp(truth)),
        Literal::Text(text) => match (number_of(value), text.trim().parse::<i128>()) {
            (Some(found), Ok(number)) if value.as_text().is_none() => Some(found.cmp(&number)),
            _ => text_of(value).map(|found| found.to_lowercase().cmp(&text.to_lowercase())),
        },
    };
    order.is_some_and(|order| match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::NotEqual => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterOrEqual => order != Ordering::Less,
    })
}

fn number_of(value: &Value) -> Option<i128> {
    u64::from_value(value).map(i128::from).or_else(|| i64::from_value(value).map(i128::from))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::DateTime(moment) => Some(moment.to_cim()),
        Value::Interval(interval) => Some(interval.to_cim()),
        Value::Reference(reference) => Some(reference.to_object_path()),
        _ => number_of(value).map(|number| number.to_string()),
    }
}

/// One element of a `like` pattern.
enum Piece {
    Any,
    One,
    Exactly(char),
    /// Ranges in brackets, negated with `^`.
    Among(Vec<(char, char)>, bool),
}

/// Matches with one level of backtracking: only the last `%` is ever tried again, so time stays within
/// text × pattern.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let pieces = pieces(&pattern.to_lowercase());
    let (mut at, mut piece) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match pieces.get(piece) {
            Some(Piece::Any) => {
                retry = Some((at, piece));
                piece += 1;
            }
            Some(one) if one.fits(text[at]) => {
                at += 1;
                piece += 1;
            }
            _ => match retry {
                None => return false,
                Some((from, any)) => {
                    retry = Some((from + 1, any));
                    (at, piece) = (from + 1, any + 1);
                }
            },
        }
    }
    pieces[piece.min(pieces.len())..].iter().all(|piece| matches!(piece, Piece::Any))
}

impl Piece {
    fn fits(&self, letter: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Exactly(wanted) => *wanted == letter,
            Self::Among(ranges, negated) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
            }
        }
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let letters: Vec<char> = pattern.chars().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        at += 1;
        let closing =
            letters[at..].iter().skip(1).position(|letter| *letter == ']').map(|found| at + 1 + found);
        match (letter, closing) {
            ('%', _) => pieces.push(Piece::Any),
            ('_', _) => pieces.push(Piece::One),
            ('[', Some(end)) => {
                pieces.push(among(&letters[at..end]));
                at = end + 1;
            }
            _ => pieces.push(Piece::Exactly(letter)),
        }
    }
    pieces
}

fn among(letters: &[char]) -> Piece {
    let negated = letters.len() > 1 && letters[0] == '^';
    let mut rest = if negated { &letters[1..] } else { letters };
    let mut ranges = Vec::new();
    while let Some(&from) = rest.first() {
        let range = rest.len() >= 3 && matches!(rest[1], '-' | '=');
        ranges.push((from, if range { rest[2] } else { from }));
        rest = &rest[if range { 3 } else { 1 }..];
    }
    Piece::Among(ranges, negated)
}
