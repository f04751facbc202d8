//! Pieces that the file types share: a list that may be one value, and the words of the domain's enums.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::presets::Preset;
use crate::domain::{Dialect, ElementType, Layout, Precision, ResizeFilter, Scenario, ThreadCount, WeightsKind};

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

    /// The values.
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }

    /// The values, to be changed.
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            OneOrMany::One(one) => std::slice::from_mut(one),
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

/// Values by name, in the order in which they are written.
#[derive(Debug, Clone)]
pub(super) struct Named<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("values by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value, "minProperties": 1 })
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
word!(ElementWord, ElementType, "Type of the elements of an input.", ElementType::ALL);
word!(ResizeFilterWord, ResizeFilter, "How pixels are computed where a picture's size changes.", ResizeFilter::ALL);
word!(
    ScenarioWord,
    Scenario,
    "Load pattern: one inference after the other, throughput, or throughput for minutes.",
    Scenario::ALL
);
word!(
    PresetWord,
    Preset,
    "Limits under a name that people know: `quick` for a look, `tflite` as LiteRT's benchmark tool, `mlperf_mobile` as \
     MLPerf Mobile's single stream, `aiotbench` as configs/aiotbench.yaml.",
    Preset::ALL
);
word!(
    WeightsWord,
    WeightsKind,
    "Kind of weights: `synthetic` ones are drawn from a fixed seed and need no download.",
    [WeightsKind::Synthetic, WeightsKind::Trained]
);

/// Most threads that a job may ask for.
pub(crate) const MAX_THREADS: u32 = 1024;

/// Highest index of a core that a job may ask for: the kernel's sets of processors hold so many.
const MAX_CORE: u32 = 1023;

/// Threads: a number, a kind of core, `all`, or a list of cores.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Threads {
    Count(u32),
    Word(ThreadWord),
    Cores { cores: Vec<u32> },
}

impl Threads {
    /// The cores that it lists; none where it lists none.
    pub(super) fn cores(&self) -> &[u32] {
        match self {
            Threads::Cores { cores } => cores,
            Threads::Count(_) | Threads::Word(_) => &[],
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ThreadWord {
    Little,
    Mid,
    Big,
    Prime,
    All,
}

impl JsonSchema for Threads {
    fn schema_name() -> Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Threads of the engine, and the cores that they are pinned to.",
            "anyOf": [
                {
                    "description": "So many, not pinned.",
                    "type": "integer", "minimum": 1, "maximum": MAX_THREADS
                },
                {
                    "description": "One on each core of that kind, pinned; `big` are the fastest but for a `prime` \
                                    one. `all`: one on each core, not pinned.",
                    "type": "string", "enum": ["little", "mid", "big", "prime", "all"]
                },
                {
                    "description": "One on each of these cores, by the kernel's index, pinned.",
                    "type": "object",
                    "properties": { "cores": {
                        "type": "array", "minItems": 1, "maxItems": MAX_THREADS, "uniqueItems": true,
                        "items": { "type": "integer", "minimum": 0, "maximum": MAX_CORE }
                    } },
                    "required": ["cores"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl From<Threads> for ThreadCount {
    fn from(threads: Threads) -> ThreadCount {
        match threads {
            Threads::Count(count) => ThreadCount::Count(count),
            Threads::Word(ThreadWord::Little) => ThreadCount::Little,
            Threads::Word(ThreadWord::Mid) => ThreadCount::Mid,
            Threads::Word(ThreadWord::Big) => ThreadCount::Big,
            Threads::Word(ThreadWord::Prime) => ThreadCount::Prime,
            Threads::Word(ThreadWord::All) => ThreadCount::All,
            Threads::Cores { mut cores } => {
                cores.sort_unstable();
                ThreadCount::Cores(cores)
            }
        }
    }
}
