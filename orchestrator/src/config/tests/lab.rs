//! `lab.yaml`.

use std::path::Path;

use crate::config::{LabConfig, load_lab};
use crate::domain::{S3Place, SharedFilesConfig, SharedPlace};

fn load(text: &str) -> Result<LabConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.yaml");
    std::fs::write(&path, text).unwrap();
    let root = folder.path().display().to_string();
    load_lab(&path).map_err(|error| error.to_string().replace(&root, "")).map(|config| LabConfig {
        artifacts: config.artifacts.map(|artifacts| SharedFilesConfig {
            place: match artifacts.place {
                SharedPlace::Folder(path) => {
                    let below = path.strip_prefix(folder.path()).map(Path::to_owned);
                    SharedPlace::Folder(below.unwrap_or(path))
                }
                place @ SharedPlace::S3(_) => place,
            },
            ..artifacts
        }),
        ..config
    })
}

fn artifacts(text: &str) -> SharedFilesConfig {
    load(text).unwrap().artifacts.unwrap()
}

#[test]
fn files_are_shared_in_a_folder_or_in_a_bucket() {
    assert_eq!(load("{}").unwrap(), LabConfig::default());
    let folder = |path: &str| SharedPlace::Folder(path.into());
    assert_eq!(artifacts("artifacts: /mnt/lab\n").place, folder("/mnt/lab"));
    let whole = artifacts("artifacts: { at: shared, cache_mb: 3 }\n");
    assert_eq!((whole.place, whole.cache_bytes), (folder("shared"), Some(3_000_000)));
    let s3 = |prefix: &str| S3Place { bucket: "my-bucket".to_owned(), prefix: prefix.to_owned(), ..S3Place::default() };
    assert_eq!(artifacts("artifacts: s3://my-bucket\n").place, SharedPlace::S3(s3("")));
    assert_eq!(artifacts("artifacts: s3://my-bucket/a/b=1/\n").place, SharedPlace::S3(s3("a/b=1")));
    let text = "artifacts:\n  at: s3://my-bucket/lab\n  endpoint: http://10.0.0.5:9000\n  region: eu-central-1\n";
    let (endpoint, region) = (Some("http://10.0.0.5:9000".to_owned()), Some("eu-central-1".to_owned()));
    assert_eq!(artifacts(text).place, SharedPlace::S3(S3Place { endpoint, region, ..s3("lab") }));
}

#[test]
fn a_farm_file_of_that_name_says_nothing_of_the_lab() {
    let farm = "farm: bench\ndefaults: { exclusive: bench }\ndevices:\n  - name: a\n    transport: local\n";
    assert_eq!(load(farm).unwrap(), LabConfig::default());
    let mixed = load(&format!("host: rack-a\n{farm}")).unwrap_err();
    assert!(mixed.contains("unknown field `devices`"), "{mixed}");
}

#[test]
fn lab_and_host_may_have_names() {
    let named = load("name: vision\nhost: rack-a.lab\n").unwrap();
    assert_eq!((named.name.as_deref(), named.host.as_deref()), (Some("vision"), Some("rack-a.lab")));
    for (text, place) in [("host: rack a\n", "lab.yaml:1:7"), ("name: ''\n", "lab.yaml:1:7"), ("host: -a\n", "1:7")] {
        let error = load(text).unwrap_err();
        assert!(error.contains(place) && error.contains("no good name"), "{text:?}: {error}");
    }
}

#[test]
fn what_is_no_place_is_told_with_its_line() {
    let cases = [
        ("artifacts: gs://bucket\n", "lab.yaml:1:12", "no place for files"),
        ("artifacts: s3://No_Bucket/x\n", "lab.yaml:1:12", "no name of a bucket"),
        ("artifacts: s3://ab\n", "lab.yaml:1:12", "no name of a bucket"),
        ("artifacts: s3://bucket/a//b\n", "lab.yaml:1:12", "no good prefix"),
        ("artifacts: s3://bucket/../b\n", "lab.yaml:1:12", "no good prefix"),
        ("artifacts:\n  at: s3://bucket\n  endpoint: s3.lab\n", "lab.yaml:3:13", "neither `https://`"),
        ("artifacts:\n  at: /mnt\n  region: x\n", "lab.yaml:3:11", "a folder has no"),
        ("artifacts:\n  at: /mnt\n  cache_mb: 0\n", "lab.yaml:3:13", "1"),
        ("artifact: /mnt\n", "lab.yaml:1:1", "artifacts"),
        ("artifacts: 5\n", "lab.yaml:1:12", ""),
    ];
    for (text, place, words) in cases {
        let error = load(text).unwrap_err();
        assert!(error.contains(place) && error.contains(words), "{text:?}: {error}");
    }
    let error = load("artifacts:\n  at: s3://bucket\n  endpoint: https://me:s3cret@s3.lab\n").unwrap_err();
    assert!(error.contains("no user and password") && !error.contains("s3cret"), "{error}");
}
