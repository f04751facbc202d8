#![allow(clippy::unwrap_used)]
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;

fn file() -> (tempfile::TempDir, TokenFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = TokenFile::new(folder.path().join("tokens"));
    (folder, file)
}

#[test]
fn a_token_is_found_by_its_secret_and_only_its_hash_is_kept() {
    let (folder, file) = file();
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let secret = file.add("anna", Role::Run, now, None).unwrap();
    let other = file.add("ben@desk", Role::View, now, None).unwrap();
    assert!(secret.starts_with(PREFIX) && secret.len() == PREFIX.len() + 43 && secret != other);
    let text = std::fs::read_to_string(folder.path().join("tokens")).unwrap();
    assert!(!text.contains(&secret[PREFIX.len()..]), "{text}");
    assert_eq!(std::fs::metadata(folder.path().join("tokens")).unwrap().mode() & 0o777, 0o600);
    let tokens = file.tokens().unwrap();
    let found = find(&tokens, &hash(&secret)).unwrap();
    assert_eq!((found.name.as_str(), found.role, found.created_at), ("anna", Role::Run, now));
    assert_eq!(find(&tokens, &hash("farmctl_x")), None);
    assert!(file.add("anna", Role::View, now, None).is_err(), "a name is given once");
    assert!(file.add("a b", Role::View, now, None).is_err());
    assert!(file.remove("anna").unwrap() && !file.remove("anna").unwrap());
    assert_eq!(find(&file.tokens().unwrap(), &hash(&secret)), None);
}

#[test]
fn a_file_that_others_may_read_or_that_is_garbled_is_refused() {
    let (folder, file) = file();
    assert!(matches!(file.tokens(), Err(TokenError::Secret(error)) if error.is_absent()));
    file.add("anna", Role::Run, Timestamp::UNIX_EPOCH, None).unwrap();
    let path = folder.path().join("tokens");
    for mode in [0o640, 0o604, 0o620, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = match file.tokens() {
            Err(TokenError::Secret(SecretError::Open { mode: found, .. })) => found == mode,
            _ => false,
        };
        assert!(refused);
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for line in ["anna", "anna boss 00 1970-01-01T00:00:00Z", "anna run zz 1970-01-01T00:00:00Z", "a run b c d e"] {
        std::fs::write(&path, format!("# mine\n\n{line}\n")).unwrap();
        assert!(matches!(file.tokens(), Err(TokenError::Line { line: 3, .. })), "{line}");
    }
}

#[test]
fn one_that_is_out_stays_out_whoever_changes_the_tokens_meanwhile() {
    let (folder, _file) = file();
    let path = folder.path().join("not").join("there").join("tokens");
    let now = Timestamp::UNIX_EPOCH;
    std::thread::scope(|scope| {
        for number in 0..16 {
            let path = path.clone();
            // Each as a process of its own would do it.
            scope.spawn(move || {
                let file = TokenFile::new(path);
                file.add(&format!("stays{number}"), Role::View, now, None).unwrap();
                file.add(&format!("goes{number}"), Role::Admin, now, None).unwrap();
                assert!(file.remove(&format!("goes{number}")).unwrap());
            });
        }
    });
    let tokens = TokenFile::new(path.clone()).tokens().unwrap();
    assert_eq!(tokens.len(), 16);
    assert!(tokens.iter().all(|token| token.name.starts_with("stays")));
    let mode = std::fs::metadata(path.parent().unwrap()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700, "the folder is for its owner");
}

#[test]
fn a_token_has_its_day() {
    let (folder, file) = file();
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let later = "2026-04-02T03:04:05Z".parse().unwrap();
    file.add("guest", Role::View, now, Some(later)).unwrap();
    let again = TokenFile::new(folder.path().join("tokens"));
    let token = again.tokens().unwrap()[0].clone();
    assert_eq!(token.expires_at, Some(later));
    assert!(!token.has_expired(now) && token.has_expired(later));
}

#[test]
fn a_token_that_is_out_is_out_of_the_file_that_a_link_leads_to() {
    let (folder, _file) = file();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("etc")).unwrap();
    std::os::unix::fs::symlink("etc/tokens", at("middle")).unwrap();
    std::os::unix::fs::symlink(at("middle"), at("tokens")).unwrap();
    let file = TokenFile::new(at("tokens"));
    // Where the file is not there yet, it is made where the link leads to.
    file.add("leaked", Role::Admin, Timestamp::UNIX_EPOCH, None).unwrap();
    file.add("stays", Role::View, Timestamp::UNIX_EPOCH, None).unwrap();
    assert!(file.remove("leaked").unwrap());
    assert!(at("tokens").is_symlink() && at("middle").is_symlink());
    let names: Vec<String> =
        TokenFile::new(at("etc/tokens")).tokens().unwrap().iter().map(|token| token.name.clone()).collect();
    assert_eq!(names, ["stays"]);
}
