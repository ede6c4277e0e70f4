//! Reads a query. `not` binds closest, then `and`, then `or`, as in SQL.

use super::lexer::{Placed, Problem, Token, cut};
use super::{Associators, Condition, Literal, Operator, Query, References, Select};
use crate::cim::{Reference, same_name};
use crate::error::{Error, Result};

/// Text of a query at most, in bytes; WMI's own limit is of this order.
const QUERY_BYTES_MAX: usize = 256 * 1024;
/// Brackets and `not`s inside one another at most. Reading goes by recursion, so this bounds the stack.
const DEPTH_MAX: usize = 64;

/// Reads a query of the understood part of WQL.
pub fn parse(text: &str) -> Result<Query> {
    let fail =
        |(at, why): Problem| Error::Wql { query: text.chars().take(200).collect(), at, why: why.to_owned() };
    if text.len() > QUERY_BYTES_MAX {
        return Err(fail((1, "it is too long")));
    }
    let tokens = cut(text).map_err(fail)?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.chars().count() + 1 };
    let query = parser.query().map_err(fail)?;
    if parser.at < tokens.len() {
        return Err(fail(parser.problem("nothing more was expected")));
    }
    Ok(query)
}

type Parsed<T> = std::result::Result<T, Problem>;

struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    end: usize,
}

impl Parser<'_> {
    fn query(&mut self) -> Parsed<Query> {
        if self.word("select") {
            return self.select().map(Query::Select);
        }
        let associators = self.word("associators");
        if !associators && !self.word("references") {
            return Err(self.problem("select, associators or references was expected"));
        }
        self.expect_word("of", "of was expected")?;
        let source = self.path()?;
        let mut options = if self.word("where") { self.options(associators)? } else { Options::default() };
        Ok(if associators {
            Query::Associators(Associators {
                source,
                assoc_class: options.assoc_class.take(),
                result_class: options.result_class.take(),
                role: options.role.take(),
                result_role: options.result_role.take(),
            })
        } else {
            Query::References(References {
                source,
                result_class: options.result_class.take(),
                role: options.role.take(),
            })
        })
    }

    fn select(&mut self) -> Parsed<Select> {
        let mut columns = Vec::new();
        if !self.mark("*") {
            columns.push(self.name("a property or * was expected")?);
            while self.mark(",") {
                columns.push(self.name("a property was expected")?);
            }
        }
        self.expect_word("from", "from was expected")?;
        let class = self.name("a class was expected")?;
        let condition = if self.word("where") { Some(self.any_of(0)?) } else { None };
        Ok(Select { columns, class, condition })
    }

    fn any_of(&mut self, depth: usize) -> Parsed<Condition> {
        let mut left = self.all_of(depth)?;
        while self.word("or") {
            left = Condition::Or(Box::new(left), Box::new(self.all_of(depth)?));
        }
        Ok(left)
    }

    fn all_of(&mut self, depth: usize) -> Parsed<Condition> {
        let mut left = self.term(depth)?;
        while self.word("and") {
            left = Condition::And(Box::new(left), Box::new(self.term(depth)?));
        }
        Ok(left)
    }

    fn term(&mut self, depth: usize) -> Parsed<Condition> {
        if depth > DEPTH_MAX {
            return Err(self.problem("brackets are nested too deeply"));
        }
        if self.word("not") {
            return Ok(Condition::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.mark("(") {
            let inner = self.any_of(depth + 1)?;
            return if self.mark(")") { Ok(inner) } else { Err(self.problem(") was expected")) };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let property = self.name("a property was expected")?;
        if self.word("is") {
            let negated = self.word("not");
            self.expect_word("null", "null was expected")?;
            return Ok(Condition::IsNull { property, negated });
        }
        if self.word("like") {
            let Some((Token::Text(pattern), _)) = self.take() else {
                return Err(self.problem_before("a pattern in quotes was expected"));
            };
            return Ok(Condition::Like { property, pattern });
        }
        let operator = self.operator()?;
        if self.word("null") {
            return match operator {
                Operator::Equal => Ok(Condition::IsNull { property, negated: false }),
                Operator::NotEqual => Ok(Condition::IsNull { property, negated: true }),
                _ => Err(self.problem_before("null has no order")),
            };
        }
        Ok(Condition::Compare { property, operator, literal: self.literal()? })
    }

    fn operator(&mut self) -> Parsed<Operator> {
        let Some((Token::Mark(mark), _)) = self.take() else {
            return Err(self.problem_before("a comparison was expected"));
        };
        match mark {
            "=" => Ok(Operator::Equal),
            "<>" | "!=" => Ok(Operator::NotEqual),
            "<" => Ok(Operator::Less),
            "<=" => Ok(Operator::LessOrEqual),
            ">" => Ok(Operator::Greater),
            ">=" => Ok(Operator::GreaterOrEqual),
            _ => Err(self.problem_before("a comparison was expected")),
        }
    }

    fn literal(&mut self) -> Parsed<Literal> {
        match self.take() {
            Some((Token::Text(text), _)) => Ok(Literal::Text(text)),
            Some((Token::Number(number), _)) => Ok(Literal::Number(number)),
            Some((Token::Word(word), _)) if same_name(&word, "true") => Ok(Literal::Bool(true)),
            Some((Token::Word(word), _)) if same_name(&word, "false") => Ok(Literal::Bool(false)),
            _ => Err(self.problem_before("a constant was expected")),
        }
    }

    fn options(&mut self, associators: bool) -> Parsed<Options> {
        let mut options = Options::default();
        while self.at < self.tokens.len() {
            let name = self.name("AssocClass, ResultClass, Role or ResultRole was expected")?;
            let place = match name.to_ascii_lowercase().as_str() {
                "assocclass" if associators => &mut options.assoc_class,
                "resultrole" if associators => &mut options.result_role,
                "resultclass" => &mut options.result_class,
                "role" => &mut options.role,
                _ => return Err(self.problem_before("this is not understood here")),
            };
            if place.is_some() {
                return Err(self.problem_before("this stands twice"));
            }
            if !self.mark("=") {
                return Err(self.problem("= was expected"));
            }
            *place = Some(self.name("a name was expected")?);
        }
        Ok(options)
    }

    fn path(&mut self) -> Parsed<Reference> {
        match self.take() {
            Some((Token::Path(path), at)) => {
                Reference::parse_object_path(path.trim()).map_err(|_| (at, "this is not an object path"))
            }
            _ => Err(self.problem_before("an object path in braces was expected")),
        }
    }

    fn name(&mut self, otherwise: &'static str) -> Parsed<String> {
        match self.take() {
            Some((Token::Word(word), _)) => Ok(word),
            _ => Err(self.problem_before(otherwise)),
        }
    }

    fn expect_word(&mut self, word: &str, otherwise: &'static str) -> Parsed<()> {
        if self.word(word) { Ok(()) } else { Err(self.problem(otherwise)) }
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found =
            matches!(self.tokens.get(self.at), Some((Token::Word(word), _)) if same_name(word, wanted));
        self.at += usize::from(found);
        found
    }

    fn mark(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Mark(mark), _)) if *mark == wanted);
        self.at += usize::from(found);
        found
    }

    /// Steps forward even past the end, so that `problem_before` points at what was just looked at.
    fn take(&mut self) -> Option<Placed> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn problem(&self, why: &'static str) -> Problem {
        (self.tokens.get(self.at).map_or(self.end, |(_, at)| *at), why)
    }

    fn problem_before(&self, why: &'static str) -> Problem {
        (self.tokens.get(self.at.saturating_sub(1)).map_or(self.end, |(_, at)| *at), why)
    }
}

#[derive(Default)]
struct Options {
    assoc_class: Option<String>,
    result_class: Option<String>,
    role: Option<String>,
    result_role: Option<String>,
}
