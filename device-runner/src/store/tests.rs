use super::*;
use crate::scratch::Scratch;

/// SHA-256 of `abc`, from FIPS 180-2.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn with_partial(content: &[u8]) -> (Scratch, Workdir, Digest) {
    let folder = Scratch::new();
    let workdir = Workdir::open(folder.path()).unwrap();
    fs::write(workdir.partial().join(ABC), content).unwrap();
    (folder, workdir, ABC.parse().unwrap())
}

#[test]
fn commit_moves_a_right_file_and_may_be_repeated() {
    let (_folder, workdir, digest) = with_partial(b"abc");
    let store = Store::new(&workdir);
    for executable in [false, true] {
        assert_eq!(store.commit(&digest, 3, executable).unwrap().size_bytes, 3);
        let mode = fs::metadata(store.path(&digest)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if executable { 0o755 } else { 0o644 });
    }
    let status = store.status().unwrap();
    assert_eq!((status.files.len(), status.partial.len()), (1, 0));
    assert!(status.free_bytes > 0);
}

#[test]
fn commit_keeps_a_short_file_and_removes_a_wrong_one() {
    let (_folder, workdir, digest) = with_partial(b"ab");
    let store = Store::new(&workdir);
    assert!(matches!(store.commit(&digest, 3, false), Err(StoreError::WrongSize { found: 2, .. })));
    assert_eq!(store.status().unwrap().partial[0].size_bytes, 2);
    assert!(matches!(store.commit(&digest, 2, false), Err(StoreError::WrongHash { .. })));
    assert!(matches!(store.commit(&digest, 2, false), Err(StoreError::Missing(_))));
    assert_eq!(store.status().unwrap().files, []);
}

#[test]
fn verify_removes_and_reports_the_corrupt() {
    let (_folder, workdir, digest) = with_partial(b"abc");
    let store = Store::new(&workdir);
    store.commit(&digest, 3, false).unwrap();
    assert_eq!(store.verify(&[]).unwrap().intact.len(), 1);
    fs::write(store.path(&digest), b"abd").unwrap();
    assert_eq!(store.verify(&[]).unwrap().corrupt, [ABC]);
    assert_eq!(store.verify(std::slice::from_ref(&digest)).unwrap().missing, [ABC]);
    store.remove(&[digest]).unwrap();
}

#[test]
fn names_that_are_no_digest_are_refused() {
    for name in ["../../etc/passwd", "", &ABC[1..], &ABC.to_uppercase(), &format!("{}/", &ABC[1..])] {
        assert!(name.parse::<Digest>().is_err(), "{name:?}");
    }
}

#[test]
fn what_was_used_longest_ago_leaves_first() {
    let folder = Scratch::new();
    let workdir = Workdir::open(folder.path()).unwrap();
    let store = Store::new(&workdir);
    let name = |digit: char| digit.to_string().repeat(64);
    for (age_seconds, digit) in [(30, 'a'), (20, 'b'), (10, 'c')] {
        let path = workdir.store().join(name(digit));
        fs::write(&path, [0; 100]).unwrap();
        let used_at = SystemTime::now() - std::time::Duration::from_secs(age_seconds);
        File::open(&path).unwrap().set_modified(used_at).unwrap();
    }
    assert_eq!(store.trim(0, &[]).unwrap(), StoreTrim::default());
    store.touch(&name('a').parse().unwrap());
    assert_eq!(store.trim(50, &[]).unwrap(), StoreTrim { removed: vec![name('b')], freed_bytes: 100 });
    let kept = name('c').parse().unwrap();
    assert_eq!(store.trim(u64::MAX, &[kept]).unwrap().removed, [name('a')]);
    assert_eq!(store.status().unwrap().files[0].sha256, name('c'));
}

#[test]
fn a_hash_can_be_given_up() {
    let (_folder, workdir, digest) = with_partial(b"abc");
    let store = Store::new(&workdir);
    store.commit(&digest, 3, false).unwrap();
    assert!(matches!(store.check(&digest, &mut || true), Err(StoreError::Interrupted(_))));
}
