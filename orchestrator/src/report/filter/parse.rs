use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::token::{FilterFault, Token, TokenKind, tokens};
use super::{Comparison, Condition, Filter, Value};
use crate::report::columns::{COLUMNS, Column, ColumnKind};
use crate::wording::did_you_mean;

/// Deepest brackets.
const MAX_DEPTH: usize = 32;

pub(super) fn filter(text: &str) -> Result<Filter, FilterFault> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, next: 0 };
    let filter = parser.any(0)?;
    match parser.peek() {
        None => Ok(filter),
        Some(Token { kind: TokenKind::Close, .. }) => Err(parser.fault("this bracket was not opened")),
        Some(_) => Err(parser.fault("`and` or `or` is missing before this")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        Some(token)
    }

    /// A fault at what comes next.
    fn fault(&self, message: impl Into<String>) -> FilterFault {
        let byte = self.peek().map_or(self.text.len(), |token| token.byte);
        FilterFault::new(self.text, byte, message)
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let is_next = |token: &Token| matches!(&token.kind, TokenKind::Word(word) if word.eq_ignore_ascii_case(wanted));
        let is_there = self.peek().is_some_and(is_next);
        self.next += usize::from(is_there);
        is_there
    }

    fn any(&mut self, depth: usize) -> Result<Filter, FilterFault> {
        let mut parts = vec![self.all(depth)?];
        while self.takes_word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(one_or(parts, Filter::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Filter, FilterFault> {
        let mut parts = vec![self.part(depth)?];
        while self.takes_word("and") {
            parts.push(self.part(depth)?);
        }
        Ok(one_or(parts, Filter::All))
    }

    fn part(&mut self, depth: usize) -> Result<Filter, FilterFault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(format!("brackets and `not` are nested more than {MAX_DEPTH} deep")));
        }
        if self.takes_word("not") {
            return Ok(Filter::Not(Box::new(self.part(depth + 1)?)));
        }
        if !matches!(self.peek(), Some(Token { kind: TokenKind::Open, .. })) {
            return self.condition();
        }
        self.next += 1;
        let inner = self.any(depth + 1)?;
        match self.peek() {
            Some(Token { kind: TokenKind::Close, .. }) => self.next += 1,
            _ => return Err(self.fault("`)` is missing here")),
        }
        Ok(inner)
    }

    fn condition(&mut self) -> Result<Filter, FilterFault> {
        const FORM: &str = "a condition is a column, a sign and a value: model=resnet50";
        let no_column = self.fault("a column is missing here").with_hint(Some(FORM.to_owned()));
        let Some(TokenKind::Word(name)) = self.peek().map(|token| &token.kind) else { return Err(no_column) };
        let Some(column) = COLUMNS.iter().find(|column| column.name == name) else {
            let near = did_you_mean(name, COLUMNS.iter().map(|column| column.name));
            let hint = near.unwrap_or_else(|| "`farmctl report --columns` lists them".to_owned());
            return Err(self.fault(format!("there is no column {name:?}")).with_hint(Some(hint)));
        };
        self.next += 1;
        let signs = Some("one of = != ~ !~ < <= > >=".to_owned());
        let no_sign = self.fault(format!("a sign is missing after {name}")).with_hint(signs);
        let sign = self.fault("");
        let comparison = match self.take().map(|token| &token.kind) {
            Some(TokenKind::Sign(sign)) => comparison(sign),
            _ => return Err(no_sign),
        };
        let is_text = matches!(column.kind, ColumnKind::Text | ColumnKind::Word);
        let is_order =
            matches!(comparison, Comparison::Less | Comparison::AtMost | Comparison::More | Comparison::AtLeast);
        if is_text && is_order {
            let hint = Some("= and != compare texts, ~ looks for a part".to_owned());
            return Err(FilterFault { message: format!("{name} is a text, and has no order"), ..sign }.with_hint(hint));
        }
        let no_value = self.fault(format!("a value is missing for {name}"));
        let place = no_value.clone();
        let word = match self.take().map(|token| &token.kind) {
            Some(TokenKind::Word(word) | TokenKind::Quoted(word)) => word,
            _ => return Err(no_value.with_hint(Some("the empty value is \"\"".to_owned()))),
        };
        let is_part = matches!(comparison, Comparison::Contains | Comparison::ContainsNot);
        let value = match is_part || word.is_empty() && !is_order {
            true => Value::Text(word.to_lowercase()),
            false => value(column, word).map_err(|message| FilterFault { message, ..place })?,
        };
        Ok(Filter::Is(Condition { column, comparison, value }))
    }
}

fn one_or(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

fn comparison(sign: &str) -> Comparison {
    match sign {
        "!=" => Comparison::Unequal,
        "~" => Comparison::Contains,
        "!~" => Comparison::ContainsNot,
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::More,
        ">=" => Comparison::AtLeast,
        _ => Comparison::Equal,
    }
}

/// A word as what its column holds.
fn value(column: &Column, word: &str) -> Result<Value, String> {
    let name = column.name;
    match column.kind {
        ColumnKind::Text | ColumnKind::Word => Ok(Value::Text(word.to_lowercase())),
        ColumnKind::Integer | ColumnKind::Bits | ColumnKind::Number => {
            let number = word.parse::<f64>().ok().filter(|number| !number.is_nan());
            number.map(Value::Number).ok_or_else(|| format!("{name} is a number, and {word:?} is none"))
        }
        ColumnKind::Time => {
            let moment = word.parse::<Timestamp>().ok();
            let day = || TimeZone::UTC.to_timestamp(word.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok();
            let fault = || format!("{name} is a time: write 2026-11-23 or 2026-11-23T22:15:00Z, in quotes or not");
            moment.or_else(day).map(Value::Time).ok_or_else(fault)
        }
    }
}
