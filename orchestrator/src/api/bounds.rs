//! What the document of the API says of parameters and bodies, held against what is sent: in one place, for all routes.

use axum::extract::Query;
use axum::http::Uri;
use serde_json::Value;

use super::Refusal;

/// What each refusal of this kind helps with.
const HINT: &str = "/api/v1/openapi.json says how long and how large each may be";

/// The bounds of the fields of a query or a body.
#[derive(Debug, Clone)]
pub(super) struct Bounds(Vec<Bound>);

/// The bounds of one field.
#[derive(Debug, Clone)]
struct Bound {
    name: String,
    /// Characters of a text.
    length: Range,
    /// A whole number.
    size: Range,
    /// Entries of a list.
    items: Range,
}

/// From the least to the most, where there are such.
#[derive(Debug, Clone, Copy)]
struct Range {
    least: Option<i128>,
    most: Option<i128>,
}

impl Range {
    fn of(schema: &Value, least: &str, most: &str) -> Range {
        let whole = |name: &str| {
            let value = &schema[name];
            value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
        };
        Range { least: whole(least), most: whole(most) }
    }

    fn has(self, number: i128) -> bool {
        self.least.is_none_or(|least| least <= number) && self.most.is_none_or(|most| number <= most)
    }

    /// For people: «from 1 to 500», «at most 200».
    fn text(self) -> String {
        match (self.least, self.most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (None, Some(most)) => format!("at most {most}"),
            (Some(least), None) => format!("at least {least}"),
            (None, None) => "any".to_owned(),
        }
    }
}

impl Bounds {
    /// The bounds that a schema of an object states of its fields.
    pub(super) fn of(schema: &Value) -> Bounds {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let bound = |(name, schema): (&String, &Value)| Bound {
            name: name.clone(),
            length: Range::of(schema, "minLength", "maxLength"),
            size: Range::of(schema, "minimum", "maximum"),
            items: Range::of(schema, "minItems", "maxItems"),
        };
        Bounds(fields.map(bound).collect())
    }

    /// Whether each parameter of a query is within its bounds. What is no number is another's to refuse.
    ///
    /// # Errors
    /// When one is not: which, and what it may be.
    pub(super) fn check_query(&self, uri: &Uri) -> Result<(), Refusal> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else { return Ok(()) };
        for (name, text) in &pairs {
            let Some(bound) = self.0.iter().find(|bound| bound.name == *name) else { continue };
            bound.check_text(text)?;
            if let Ok(number) = text.parse::<i128>() {
                bound.check_number(number)?;
            }
        }
        Ok(())
    }

    /// Whether each field of a body is within its bounds.
    ///
    /// # Errors
    /// When one is not: which, and what it may be.
    pub(super) fn check_body(&self, body: &[u8]) -> Result<(), Refusal> {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
        for (name, value) in &fields {
            let Some(bound) = self.0.iter().find(|bound| bound.name == *name) else { continue };
            match value {
                Value::String(text) => bound.check_text(text)?,
                Value::Number(number) => {
                    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                    whole.map_or(Ok(()), |number| bound.check_number(number))?;
                }
                Value::Array(items) => bound.check_items(items.len())?,
                Value::Null | Value::Bool(_) | Value::Object(_) => {}
            }
        }
        Ok(())
    }
}

impl Bound {
    fn check_text(&self, text: &str) -> Result<(), Refusal> {
        let characters = text.chars().count();
        if self.length.has(characters as i128) {
            return Ok(());
        }
        Err(self.refusal(&format!("has {characters} characters; it may have {}", self.length.text())))
    }

    fn check_number(&self, number: i128) -> Result<(), Refusal> {
        if self.size.has(number) { Ok(()) } else { Err(self.refusal(&format!("is {}", self.size.text()))) }
    }

    fn check_items(&self, count: usize) -> Result<(), Refusal> {
        if self.items.has(count as i128) {
            return Ok(());
        }
        Err(self.refusal(&format!("has {count} entries; it may have {}", self.items.text())))
    }

    fn refusal(&self, what: &str) -> Refusal {
        Refusal::bad_request(format!("`{}` {what}", self.name)).with_hint(HINT)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn bounds() -> Bounds {
        Bounds::of(&json!({"properties": {
            "q": {"type": "string", "maxLength": 5},
            "before": {"type": "string", "minLength": 1, "maxLength": 5},
            "limit": {"type": "integer", "minimum": 1, "maximum": 18_446_744_073_709_551_615_u64},
            "devices": {"type": "array", "minItems": 1, "maxItems": 2},
            "runs": {"type": "boolean"},
        }}))
    }

    fn query(text: &str) -> String {
        let refused = bounds().check_query(&format!("/x?{text}").parse().unwrap()).err();
        refused.map(|refusal| format!("{refusal:?}")).unwrap_or_default()
    }

    #[test]
    fn a_query_is_held_to_its_document() {
        // Letters, not bytes, and what they stand for.
        for well in ["", "q=", "q=%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4", "limit=1", "limit=x", "other=123456", "runs=1", "q"]
        {
            assert_eq!(query(well), "", "{well}");
        }
        let wrong = [
            ("q=123456", "`q` has 6 characters; it may have at most 5"),
            ("limit=1&q=%20%20%20%20%20%20", "`q` has 6 characters"),
            ("before=", "`before` has 0 characters; it may have from 1 to 5"),
            ("limit=0", "`limit` is from 1 to 18446744073709551615"),
            ("limit=18446744073709551616", "`limit` is from"),
            ("q=1&q=123456", "`q` has 6 characters"),
        ];
        for (text, said) in wrong {
            let refused = query(text);
            assert!(refused.contains(said) && refused.contains("openapi.json"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_body_is_held_to_its_document() {
        let check = |body: &str| bounds().check_body(body.as_bytes());
        for well in ["", "{", "[]", r#"{"q": "12345", "limit": 7, "devices": ["a"], "runs": true, "other": "123456"}"#]
        {
            assert_eq!(check(well), Ok(()), "{well}");
        }
        for wrong in [r#"{"q": "123456"}"#, r#"{"limit": 0}"#, r#"{"devices": []}"#, r#"{"devices": ["a", "b", "c"]}"#]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
