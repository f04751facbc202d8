use std::borrow::Cow;

use super::database::{Fault, Outcome};

/// What a column has, and what is bound to a statement: every column is a whole number or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(Cow<'a, str>),
}

/// A value for a place in a statement: by its name (with a colon in front), or by where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The name; none of one that is known by where it stands.
    pub name: Option<&'a str>,
    /// The value.
    pub value: Value<'a>,
}

/// What can be bound.
pub(crate) trait ToValue {
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        self.as_str().to_value()
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

/// A flag is 1 or 0: not every database has another type for it.
impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

/// All that is bound to a statement.
pub(crate) trait Params {
    fn bound(&self) -> Vec<Bound<'_>>;
}

impl Params for [&str; 0] {
    fn bound(&self) -> Vec<Bound<'_>> {
        Vec::new()
    }
}

macro_rules! arrays {
    ($($count:literal)+) => {
        $(impl<T: ToValue> Params for [T; $count] {
            fn bound(&self) -> Vec<Bound<'_>> {
                self.iter().map(|value| Bound { name: None, value: value.to_value() }).collect()
            }
        })+
    };
}
arrays!(1 2 3);

impl Params for &[&dyn ToValue] {
    fn bound(&self) -> Vec<Bound<'_>> {
        self.iter().map(|value| Bound { name: None, value: value.to_value() }).collect()
    }
}

impl Params for &[(&str, &dyn ToValue)] {
    fn bound(&self) -> Vec<Bound<'_>> {
        self.iter().map(|(name, value)| Bound { name: Some(name), value: value.to_value() }).collect()
    }
}

/// Values by where they stand: `?1` is the first.
macro_rules! params {
    ($($value:expr),+ $(,)?) => {
        &[$(&$value as &dyn $crate::store::sql::value::ToValue),+] as &[&dyn $crate::store::sql::value::ToValue]
    };
}

/// Values by their names.
macro_rules! named_params {
    ($($name:literal: $value:expr),+ $(,)?) => {
        &[$(($name, &$value as &dyn $crate::store::sql::value::ToValue)),+]
            as &[(&str, &dyn $crate::store::sql::value::ToValue)]
    };
}

pub(crate) use {named_params, params};

/// The columns of a row, as a database has them.
pub trait Columns {
    /// Their names.
    fn names(&self) -> Vec<&str>;

    /// What one has.
    ///
    /// # Errors
    /// When there is none of that number, or it is no whole number and no text.
    fn value(&self, index: usize) -> Outcome<Value<'_>>;
}

/// A row that is being read.
pub(crate) struct Row<'a>(pub(crate) &'a dyn Columns);

impl Row<'_> {
    /// What a column has.
    pub(crate) fn get<T: FromValue>(&self, index: usize) -> Outcome<T> {
        let value = self.0.value(index)?;
        T::from_value(value).ok_or_else(|| {
            let name = self.0.names().get(index).map_or_else(|| index.to_string(), |name| (*name).to_owned());
            Fault::Column(format!("column {name} has something else than it should"))
        })
    }
}

/// What a column can be read as.
pub(crate) trait FromValue: Sized {
    fn from_value(value: Value<'_>) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Option<i64> {
        match value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Option<u32> {
        u32::try_from(i64::from_value(value)?).ok()
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<String> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
