/// The known word that is nearest to what was written, if one is near enough to be meant.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if written.chars().count() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '.'], "_");
    let written = plain(written);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written, &plain(word)), word))
        .filter(|(distance, word)| *distance <= (word.chars().count().max(written.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `did you mean …?`, or else the known words when they are few.
pub fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    const FEW: usize = 16;
    if let Some(word) = nearest(written, known.clone()) {
        return Some(format!("did you mean `{word}`?"));
    }
    let known: Vec<&str> = known.into_iter().take(FEW + 1).collect();
    let listed = || known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    (!known.is_empty() && known.len() <= FEW).then(|| format!("known here: {}", listed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_meant_and_else_the_known_are_listed() {
        let known = ["resnet50", "mobilenet_v2"];
        assert_eq!(did_you_mean("MobileNet-v3", known).as_deref(), Some("did you mean `mobilenet_v2`?"));
        assert_eq!(did_you_mean("x", known).as_deref(), Some("known here: `resnet50`, `mobilenet_v2`"));
        assert_eq!((did_you_mean("x", [""; 0]), nearest(&"x".repeat(65), known)), (None, None));
    }
}
