//! Words of the command line that stand for values of the library.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Takes one of these values by its word; each has a help text, which may be empty.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    values: &'static [T],
    word: fn(T) -> &'static str,
    help: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let words = values.iter().map(move |value| {
        let possible = PossibleValue::new(word(*value));
        if help(*value).is_empty() { possible } else { possible.help(help(*value)) }
    });
    PossibleValuesParser::new(words)
        .try_map(move |wanted| values.iter().copied().find(|value| word(*value) == wanted).ok_or("no such word"))
}
