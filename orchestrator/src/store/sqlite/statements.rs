//! Statements and rows of SQLite, as the store asks for them.

use std::borrow::Cow;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection};

use crate::store::sql::value::{Bound, Columns, Value};
use crate::store::sql::{self, Fault, Outcome};

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Refused(Box::new(error))
    }
}

impl sql::Connection for Connection {
    fn execute(&self, sql: &str, bound: &[Bound<'_>]) -> Outcome<u64> {
        let mut statement = self.prepare_cached(sql)?;
        bind(&mut statement, bound)?;
        Ok(statement.raw_execute()? as u64)
    }

    fn query(&self, sql: &str, bound: &[Bound<'_>], each: &mut dyn FnMut(&dyn Columns) -> Outcome<()>) -> Outcome<()> {
        let mut statement = self.prepare_cached(sql)?;
        bind(&mut statement, bound)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(row)?;
        }
        Ok(())
    }
}

fn bind(statement: &mut CachedStatement<'_>, bound: &[Bound<'_>]) -> Outcome<()> {
    for (number, Bound { name, value }) in (1..).zip(bound) {
        let place = match name {
            None => number,
            Some(name) => {
                let place = statement.parameter_index(name)?;
                place.ok_or_else(|| rusqlite::Error::InvalidParameterName((*name).to_owned()))?
            }
        };
        match value {
            Value::Null => statement.raw_bind_parameter(place, rusqlite::types::Null)?,
            Value::Integer(number) => statement.raw_bind_parameter(place, number)?,
            Value::Text(text) => statement.raw_bind_parameter(place, text.as_ref())?,
        }
    }
    if bound.len() == statement.parameter_count() {
        return Ok(());
    }
    Err(rusqlite::Error::InvalidParameterCount(bound.len(), statement.parameter_count()).into())
}

impl Columns for rusqlite::Row<'_> {
    fn names(&self) -> Vec<&str> {
        self.as_ref().column_names().collect()
    }

    fn value(&self, index: usize) -> Outcome<Value<'_>> {
        match self.get_ref(index)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|error| Fault::Column(error.to_string()))?;
                Ok(Value::Text(Cow::Borrowed(text)))
            }
            ValueRef::Real(_) | ValueRef::Blob(_) => {
                Err(Fault::Column("a column has no whole number and no text".to_owned()))
            }
        }
    }
}
