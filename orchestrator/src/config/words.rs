//! Pieces that the file types share: a list that may be one value, and the words of the domain's enums.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::domain::{Dialect, Layout, Precision, ResizeFilter, Scenario, ThreadCount, WeightsKind};

/// A list; one value alone stands for a list of one. `Many` is tried first, since serde also reads a list as the fields
/// of a struct.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    /// As a list.
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] })
    }
}

macro_rules! word {
    ($name:ident, $domain:ty, $description:literal, $words:expr) => {
        #[derive(Debug, Clone, Copy, Deserialize)]
        #[serde(transparent)]
        pub(super) struct $name(pub(super) $domain);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($domain).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<&str> = $words.iter().map(|word| word.as_str()).collect();
                json_schema!({ "type": "string", "description": $description, "enum": words })
            }
        }
    };
}

word!(PrecisionWord, Precision, "Arithmetic that the network runs in.", Precision::ALL);
word!(DialectWord, Dialect, "What an engine program says.", Dialect::ALL);
word!(LayoutWord, Layout, "Order of an image's dimensions: channels before rows and columns, or after.", Layout::ALL);
word!(ResizeFilterWord, ResizeFilter, "How pixels are computed where a picture's size changes.", ResizeFilter::ALL);
word!(ScenarioWord, Scenario, "Load pattern, in MLPerf's words.", Scenario::ALL);
word!(
    WeightsWord,
    WeightsKind,
    "Kind of weights: `synthetic` ones are drawn from a fixed seed and need no download.",
    [WeightsKind::Synthetic, WeightsKind::Trained]
);

/// Most threads that a job may ask for.
const MAX_THREADS: u32 = 1024;

/// Threads: a number, `big`, or `all`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Threads {
    Count(u32),
    Word(ThreadWord),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ThreadWord {
    Big,
    All,
}

impl JsonSchema for Threads {
    fn schema_name() -> Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Threads of the engine: a number (not pinned), `big` (one on each of the fastest cores, pinned) \
                            or `all` (one on each core).",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": MAX_THREADS },
                { "type": "string", "enum": ["big", "all"] }
            ]
        })
    }
}

impl From<Threads> for ThreadCount {
    fn from(threads: Threads) -> ThreadCount {
        match threads {
            Threads::Count(count) => ThreadCount::Count(count),
            Threads::Word(ThreadWord::Big) => ThreadCount::Big,
            Threads::Word(ThreadWord::All) => ThreadCount::All,
        }
    }
}
