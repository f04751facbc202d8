/// A number of things: «1 job», «3 jobs».
pub fn many(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|count| many(count, "job")), ["0 jobs", "1 job", "2 jobs"]);
    }
}
