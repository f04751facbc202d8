//! Two hosts of one lab: what one has got, the other has from the files that they share.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use farmctl::domain::sha256_hex;
use tempfile::TempDir;
use testlab::S3Server;

/// A folder of a host, with that lab.yaml.
fn host(lab_yaml: &str, models_yaml: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("configs")).unwrap();
    if let Some(text) = models_yaml {
        std::fs::write(folder.path().join("configs/models.yaml"), text).unwrap();
    }
    std::fs::write(folder.path().join("lab.yaml"), lab_yaml).unwrap();
    folder
}

fn farmctl(lab: &Path, server: Option<&S3Server>, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farmctl"));
    command.arg("--lab").arg(lab).args(words).env("HOME", lab).env_remove("FARMCTL_LOG");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    if let Some(server) = server {
        command.env("AWS_ACCESS_KEY_ID", server.key()).env("AWS_SECRET_ACCESS_KEY", server.secret());
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Serves one content to whoever asks, so often.
fn serve(content: &'static [u8], times: usize) -> String {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/net.onnx", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
            stream.write_all(answer.as_bytes()).unwrap();
            stream.write_all(content).unwrap();
        }
    });
    url
}

/// A catalogue of one model, which comes from an address that answers once.
fn models(content: &'static [u8]) -> String {
    let (url, sha256, size_bytes) = (serve(content, 1), sha256_hex(content), content.len());
    let file = format!("{{ urls: [ \"{url}\" ], sha256: {sha256}, size_bytes: {size_bytes} }}");
    format!("models:\n  - name: net\n    input_shape: [1, 3, 8, 8]\n    weights:\n      trained: {file}\n")
}

#[test]
fn a_model_that_one_host_has_got_comes_to_the_other_from_the_bucket() {
    let server = S3Server::start_guarded().unwrap();
    let lab_yaml = format!("artifacts: {{ at: s3://lab/x, endpoint: 'http://{}' }}\n", server.address());
    let models = models(b"no network, but a file");
    let (one, other) = (host(&lab_yaml, Some(&models)), host(&lab_yaml, Some(&models)));
    let name = sha256_hex(b"no network, but a file");
    let fetched = farmctl(one.path(), Some(&server), &["models", "fetch", "net"]);
    assert!(one.path().join(".farm/artifacts").join(&name).is_file(), "{}", said(&fetched));
    // The address answers nobody any more.
    let fetched = farmctl(other.path(), Some(&server), &["models", "fetch", "net"]);
    let file = other.path().join(".farm/artifacts").join(&name);
    assert_eq!(std::fs::read(file).unwrap(), b"no network, but a file", "{}", said(&fetched));
}

#[test]
fn a_place_that_can_not_be_asked_keeps_nobody_from_the_file() {
    let content = b"another file";
    let lab_yaml = "artifacts: not-mounted\n";
    let host = host(lab_yaml, Some(&models(content)));
    let fetched = farmctl(host.path(), None, &["models", "fetch", "net"]);
    assert!(host.path().join(".farm/artifacts").join(sha256_hex(content)).is_file(), "{}", said(&fetched));
    assert!(said(&fetched).contains("there is no such folder"), "{}", said(&fetched));
}

#[test]
fn doctor_tries_the_place_and_says_what_is_wrong_with_it() {
    let server = S3Server::start_guarded().unwrap();
    let lab_yaml = format!("artifacts: {{ at: s3://lab, endpoint: 'http://{}' }}\n", server.address());
    let host = host(&lab_yaml, None);
    let right = said(&farmctl(host.path(), Some(&server), &["doctor"]));
    assert!(right.contains("shared files") && right.contains("a file was put there, had and taken out"), "{right}");
    let none = said(&farmctl(host.path(), None, &["doctor"]));
    assert!(none.contains("no credentials") && none.contains("AWS_ACCESS_KEY_ID is not set"), "{none}");
    std::fs::write(host.path().join("lab.yaml"), "artifacts: s3://x\n").unwrap();
    let faulty = said(&farmctl(host.path(), Some(&server), &["doctor"]));
    assert!(faulty.contains("lab.yaml:1:12") && faulty.contains("no name of a bucket"), "{faulty}");
    std::fs::remove_file(host.path().join("lab.yaml")).unwrap();
    assert!(!said(&farmctl(host.path(), None, &["doctor"])).contains("shared files"));
}

#[test]
fn what_can_be_had_again_from_there_is_cut_to_its_limit() {
    let host = host("artifacts: { at: shared, cache_mb: 1 }\n", None);
    std::fs::write(host.path().join("configs/daemon.yaml"), "retention: { at: '04:30' }\n").unwrap();
    let cache = host.path().join(".farm/artifacts");
    std::fs::create_dir_all(&cache).unwrap();
    let (old, new) = (cache.join("a".repeat(64)), cache.join("b".repeat(64)));
    for path in [&old, &new] {
        std::fs::write(path, vec![0; 800_000]).unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 24 * 3600);
    let times = std::fs::FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
    std::fs::File::options().write(true).open(&old).unwrap().set_times(times).unwrap();
    let tidied = said(&farmctl(host.path(), None, &["retention", "--yes"]));
    assert!(!old.exists() && new.exists(), "{tidied}");
    assert!(tidied.contains("1 × artifact"), "{tidied}");
}
