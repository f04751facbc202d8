//! Files that hosts share: what every place for them must do, on a folder and on a real S3-compatible server.

mod faults;
mod hosts;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farmctl::artifacts::{
    ArtifactError, ArtifactStore, Call, FolderStore, Kind, S3Store, S3Surroundings, S3Timeouts, StoredName, Trouble,
};
use farmctl::domain::{S3Place, sha256_hex};
use farmctl::tls::Trust;
use tempfile::TempDir;
use testlab::S3Server;

/// Longer than a part, and not a whole number of parts.
const LARGE_BYTES: usize = (20 << 20) + 17;

/// What a store at that server takes of its process, with this key.
fn surroundings(key: &str, secret: &str, timeouts: S3Timeouts) -> S3Surroundings {
    let variables = [("AWS_ACCESS_KEY_ID", key.to_owned()), ("AWS_SECRET_ACCESS_KEY", secret.to_owned())];
    S3Surroundings {
        variable: Arc::new(move |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        }),
        home: PathBuf::from("/nowhere"),
        proxy: None,
        trust: Trust::default(),
        timeouts,
    }
}

fn place(address: impl std::fmt::Display) -> S3Place {
    S3Place {
        bucket: S3Server::BUCKET.to_owned(),
        prefix: "a/lab".to_owned(),
        endpoint: Some(format!("http://{address}")),
        region: None,
    }
}

/// The store at that address, as a host with that server's key has it.
fn store_at(server: &S3Server, address: impl std::fmt::Display) -> S3Store {
    S3Store::open(place(address), &surroundings(server.key(), server.secret(), S3Timeouts::default())).unwrap()
}

/// A file with that content, and its name.
fn file(folder: &Path, kind: Kind, content: &[u8]) -> (PathBuf, StoredName) {
    let name = StoredName::new(kind, &sha256_hex(content)).unwrap();
    let path = folder.join(format!("source-{}", name.sha256()));
    std::fs::write(&path, content).unwrap();
    (path, name)
}

fn large() -> Vec<u8> {
    (0..LARGE_BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Makes one call that may take a minute.
fn call<T>(work: impl FnOnce(&mut Call<'_>) -> Result<T, ArtifactError>) -> Result<T, ArtifactError> {
    work(&mut Call { deadline: Instant::now() + Duration::from_secs(60), progress: &mut |_| {} })
}

/// What every place must do. `damage` writes other bytes in the place of a file's.
fn conforms(store: &dyn ArtifactStore, damage: &dyn Fn(&StoredName, &[u8])) {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    let (path, name) = file(folder.path(), Kind::Output, b"what a network answered");

    // Nothing is there.
    assert_eq!(call(|call| store.size(&name, call)).unwrap(), None);
    let missing = call(|call| store.get(&name, &into, call)).unwrap_err();
    assert!(matches!(missing.trouble(), Trouble::Missing), "{missing}");
    assert!(!call(|call| store.remove(&name, call)).unwrap());
    assert_eq!(call(|call| store.list(Kind::Output, call)).unwrap(), []);

    // It is put there, as often as one likes, and had.
    for _ in 0..2 {
        call(|call| store.put(&name, &path, call)).unwrap();
        assert_eq!(call(|call| store.size(&name, call)).unwrap(), Some(23));
        assert_eq!(call(|call| store.get(&name, &into, call)).unwrap(), 23);
        assert_eq!(std::fs::read(&into).unwrap(), b"what a network answered");
    }
    let listed = call(|call| store.list(Kind::Output, call)).unwrap();
    assert_eq!(listed.iter().map(|file| (&file.name, file.size_bytes)).collect::<Vec<_>>(), [(&name, 23)]);
    assert_eq!(call(|call| store.list(Kind::Runner, call)).unwrap(), [], "each kind has a folder of its own");

    // An empty file is a file.
    let (empty, empty_name) = file(folder.path(), Kind::Artifact, b"");
    call(|call| store.put(&empty_name, &empty, call)).unwrap();
    assert_eq!(call(|call| store.get(&empty_name, &folder.path().join("empty"), call)).unwrap(), 0);

    // What is not what its name says is not put there, and what is there stays.
    let (other, _) = file(folder.path(), Kind::Output, b"something else");
    let changed = call(|call| store.put(&name, &other, call)).unwrap_err();
    assert!(matches!(changed.trouble(), Trouble::Changed { .. }), "{changed}");
    assert_eq!(call(|call| store.size(&name, call)).unwrap(), Some(23));

    // What was damaged there is not had, and nothing here is changed.
    damage(&name, b"what a network answereD");
    std::fs::write(&into, b"of before").unwrap();
    let corrupt = call(|call| store.get(&name, &into, call)).unwrap_err();
    assert!(matches!(corrupt.trouble(), Trouble::Corrupt { .. }), "{corrupt}");
    assert!(corrupt.to_string().contains(store.place()) && corrupt.remedy().is_some(), "{corrupt}");
    assert_eq!(std::fs::read(&into).unwrap(), b"of before");
    call(|call| store.put(&name, &path, call)).unwrap();
    call(|call| store.get(&name, &into, call)).unwrap();

    assert!(call(|call| store.remove(&name, call)).unwrap());
    assert_eq!(call(|call| store.size(&name, call)).unwrap(), None);
    large_files_go_in_parts(store, folder.path());
    many_use_it_at_once(store);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{left:?}");
}

fn large_files_go_in_parts(store: &dyn ArtifactStore, folder: &Path) {
    let content = large();
    let (path, name) = file(folder, Kind::Artifact, &content);
    let (into, told) = (folder.join("large"), Mutex::new(Vec::new()));
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut progress = |bytes| told.lock().unwrap().push(bytes);
    store.put(&name, &path, &mut Call { deadline, progress: &mut progress }).unwrap();
    assert_eq!(call(|call| store.size(&name, call)).unwrap(), Some(LARGE_BYTES as u64));
    store.get(&name, &into, &mut Call { deadline, progress: &mut progress }).unwrap();
    assert!(std::fs::read(&into).unwrap() == content, "it is another file");
    let told = told.into_inner().unwrap();
    assert!(told.len() > 2 && told.last() == Some(&(LARGE_BYTES as u64)), "{told:?}");

    // A file whose last byte is another: nothing of it comes to be there.
    let mut other = content;
    *other.last_mut().unwrap() ^= 1;
    let (path, _) = file(folder, Kind::Artifact, &other);
    let (_, wanted) = file(folder, Kind::Artifact, b"wanted");
    let changed = call(|call| store.put(&wanted, &path, call)).unwrap_err();
    assert!(matches!(changed.trouble(), Trouble::Changed { .. }), "{changed}");
    assert_eq!(call(|call| store.size(&wanted, call)).unwrap(), None);
}

fn many_use_it_at_once(store: &dyn ArtifactStore) {
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            scope.spawn(move || {
                let folder = tempfile::tempdir().unwrap();
                for round in 0..3u8 {
                    // All put the first, each its own second.
                    for content in [vec![round], vec![round, thread]] {
                        let (path, name) = file(folder.path(), Kind::Output, &content);
                        call(|call| store.put(&name, &path, call)).unwrap();
                        let into = folder.path().join("into");
                        call(|call| store.get(&name, &into, call)).unwrap();
                        assert_eq!(std::fs::read(&into).unwrap(), content);
                    }
                }
            });
        }
    });
    assert_eq!(call(|call| store.list(Kind::Output, call)).unwrap().len(), 3 + 4 * 3);
}

#[test]
fn a_folder_does_what_every_place_must_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path().to_owned());
    conforms(&store, &|name, bytes| std::fs::write(folder.path().join(name.to_string()), bytes).unwrap());
    let gone = FolderStore::new(folder.path().join("not-mounted"));
    let (path, name) = file(folder.path(), Kind::Output, b"x");
    let error = call(|call| gone.put(&name, &path, call)).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Unreachable(_)), "{error}");
    assert!(!folder.path().join("not-mounted").exists(), "what is not mounted becomes no folder of this host");
}

#[test]
fn a_bucket_does_what_every_place_must_do() {
    let server = S3Server::start().unwrap();
    let store = store_at(&server, server.address());
    conforms(&store, &|name, bytes| {
        let url = format!("http://{}/{}/a/lab/{name}", server.address(), S3Server::BUCKET);
        // The server takes any key, and asks for one.
        let any = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        ureq::put(&url).header("authorization", any).send(bytes).unwrap();
    });
}

/// A folder for what a test gets.
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}
