//! How long a text of a device may be.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest name, version or word of a device, as it is kept.
pub(super) const MAX_TEXT_CHARS: usize = 256;

/// What a device said, with each of its texts cut to that length.
pub(super) fn cut<T: Serialize + DeserializeOwned>(said: T) -> T {
    let Ok(mut value) = serde_json::to_value(&said) else { return said };
    if !cut_texts(&mut value) {
        return said;
    }
    serde_json::from_value(value).unwrap_or(said)
}

/// Cuts the texts of a value; says whether there was anything to cut.
fn cut_texts(value: &mut Value) -> bool {
    match value {
        Value::String(text) => match text.char_indices().nth(MAX_TEXT_CHARS) {
            Some((end, _)) => {
                text.truncate(end);
                text.push('…');
                true
            }
            None => false,
        },
        Value::Array(items) => items.iter_mut().fold(false, |is_cut, item| cut_texts(item) | is_cut),
        Value::Object(fields) => fields.values_mut().fold(false, |is_cut, field| cut_texts(field) | is_cut),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_cut_wherever_it_stands() {
        let long = "ä".repeat(400_000);
        let said = serde_json::json!({"soc": long, "list": [{"name": long}, "short"], "number": 7});
        let kept = cut(said.clone());
        assert_eq!(kept["soc"].as_str().map(|text| text.chars().count()), Some(MAX_TEXT_CHARS + 1));
        assert_eq!((&kept["list"][0]["name"], &kept["list"][1]), (&kept["soc"], &said["list"][1]));
        assert_eq!(cut(kept["list"][1].clone()), said["list"][1]);
    }
}
