use std::fmt;

/// Longest condition, in bytes.
pub(super) const MAX_BYTES: usize = 4096;

/// Why a text is no condition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FilterFault {
    /// The text.
    pub(super) text: String,
    /// Where it goes wrong: characters before that.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) message: String,
    /// What to write.
    pub(super) hint: Option<String>,
}

impl FilterFault {
    pub(super) fn new(text: &str, byte: usize, message: impl Into<String>) -> FilterFault {
        let at = text.get(..byte).map_or(0, |before| before.chars().count());
        FilterFault { text: text.to_owned(), at, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: Option<String>) -> FilterFault {
        FilterFault { hint, ..self }
    }

    /// What to write.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for FilterFault {
    /// With the place, counted from 1, and the text from there on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        let rest: String = self.text.chars().skip(self.at).take(SHOWN).collect();
        let place = if rest.is_empty() { "at its end".to_owned() } else { format!("at {rest:?}") };
        write!(f, "read the condition: column {}, {place}: {}", self.at + 1, self.message)
    }
}

/// A word of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The byte it begins at.
    pub(super) byte: usize,
    pub(super) kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, a value, or one of `and`, `or`, `not`.
    Word(String),
    /// A value in quotes: never one of these.
    Quoted(String),
    /// `=`, `!=`, `~`, `!~`, `<`, `<=`, `>`, `>=`.
    Sign(&'static str),
    Open,
    Close,
}

/// The longer ones first.
const SIGNS: [&str; 9] = ["!=", "!~", "<=", ">=", "==", "=", "~", "<", ">"];

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\'' | '=' | '~' | '<' | '>' | '!')
}

/// The words of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterFault> {
    if text.len() > MAX_BYTES {
        return Err(FilterFault::new(text, MAX_BYTES, format!("it is longer than {MAX_BYTES} bytes")));
    }
    let mut tokens = Vec::new();
    let mut byte = 0;
    while let Some(first) = text[byte..].chars().next() {
        let rest = &text[byte..];
        let (length, kind) = match first {
            c if c.is_whitespace() => {
                byte += c.len_utf8();
                continue;
            }
            '(' => (1, TokenKind::Open),
            ')' => (1, TokenKind::Close),
            quote @ ('"' | '\'') => {
                let Some(length) = rest[1..].find(quote) else {
                    return Err(FilterFault::new(text, byte, format!("the quote {quote} is not closed")));
                };
                (length + 2, TokenKind::Quoted(rest[1..=length].to_owned()))
            }
            _ => match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
                Some("==") => (2, TokenKind::Sign("=")),
                Some(sign) => (sign.len(), TokenKind::Sign(sign)),
                None => {
                    let length = rest.find(ends_word).unwrap_or(rest.len());
                    if length == 0 {
                        return Err(FilterFault::new(text, byte, "`!` stands before `=` or `~` only"));
                    }
                    (length, TokenKind::Word(rest[..length].to_owned()))
                }
            },
        };
        tokens.push(Token { byte, kind });
        byte += length;
    }
    Ok(tokens)
}
