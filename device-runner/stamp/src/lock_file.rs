/// A package of the lock file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) checksum: &'a str,
    block: &'a str,
}

/// The package `wanted` of the lock file: a name, with version and source where that alone is ambiguous.
pub(crate) fn package<'a>(lock: &'a str, wanted: &str) -> Option<Package<'a>> {
    let mut words = wanted.split(' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    lock.split("[[package]]").skip(1).find_map(|block| {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
        };
        let package = Package { name: value("name"), version: value("version"), checksum: value("checksum"), block };
        (package.name == name && (version.is_empty() || package.version == version)).then_some(package)
    })
}

/// Everything that a package is built from, itself included, in order.
pub(crate) fn dependencies<'a>(lock: &'a str, root: &str) -> Vec<Package<'a>> {
    let mut found: Vec<Package<'a>> = package(lock, root).into_iter().collect();
    let mut next = 0;
    while let Some(current) = found.get(next).copied() {
        next += 1;
        let listed = current.block.lines().skip_while(|line| *line != "dependencies = [").skip(1);
        for line in listed.take_while(|line| *line != "]") {
            let name = line.trim().trim_end_matches(',').trim_matches('"');
            found.extend(package(lock, name).filter(|dependency| !found.contains(dependency)));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LOCK: &str = "version = 4\n\n\
        [[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n\
        [[package]]\nname = \"b\"\nversion = \"0.1.0\"\nchecksum = \"bb\"\n\n\
        [[package]]\nname = \"c\"\nversion = \"1.0.0\"\n\n\
        [[package]]\nname = \"c\"\nversion = \"2.0.0\"\nchecksum = \"cc\"\ndependencies = [\n \"b\",\n]\n";

    #[test]
    fn dependencies_are_followed_by_name_and_version() {
        let found = dependencies(LOCK, "a");
        let named: Vec<String> = found.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        assert_eq!(named, ["a 1.0.0", "b 0.1.0", "c 2.0.0"]);
        assert_eq!(package(LOCK, "c 2.0.0").unwrap().checksum, "cc");
        assert!(package(LOCK, "d").is_none());
    }
}
