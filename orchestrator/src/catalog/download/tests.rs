use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::*;
use crate::catalog::ArtifactCache;
use crate::domain::{Layout, Precision, WeightsFile, WeightsKind, WeightsSource};

mod resumed;
mod ways;

/// What the server does with one request.
#[derive(Clone)]
struct Reply {
    head: String,
    body: Vec<u8>,
    /// Keeps the connection open and silent afterwards.
    stalls: bool,
}

fn reply(head: &str, body: &[u8]) -> Reply {
    Reply { head: format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n"), body: body.to_vec(), stalls: false }
}

/// The whole content.
fn whole(content: &[u8]) -> Reply {
    reply(&format!("200 OK\r\nContent-Length: {}", content.len()), content)
}

/// The content from that byte on.
fn rest(content: &[u8], from: usize) -> Reply {
    let (size, last) = (content.len(), content.len() - 1);
    let head =
        format!("206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{last}/{size}", size - from);
    reply(&head, &content[from..])
}

/// The reply, breaking off after that many bytes.
fn cut(reply: Reply, at: usize) -> Reply {
    Reply { body: reply.body[..at].to_vec(), ..reply }
}

fn stalled(reply: Reply) -> Reply {
    Reply { stalls: true, ..reply }
}

/// Answers one connection after the other with the replies given, and keeps what was asked.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for reply in replies {
                let Ok((mut stream, _)) = listener.accept() else { return };
                asked.lock().unwrap().push(request_head(&stream));
                let _ = stream.write_all(reply.head.as_bytes()).and_then(|()| stream.write_all(&reply.body));
                if reply.stalls {
                    open.push(stream);
                }
            }
            // Stalled connections stay open until the client gives up.
            for stream in open {
                let _ = BufReader::new(stream).read_to_end(&mut Vec::new());
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("{}/net.onnx", self.address)
    }

    /// The ranges asked for, one a request.
    fn ranges(&self) -> Vec<Option<String>> {
        let requests = self.requests.lock().unwrap();
        let range = |head: &String| head.lines().find_map(|line| line.strip_prefix("range: ").map(str::to_owned));
        requests.iter().map(range).collect()
    }
}

fn request_head(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let mut head = lines.next().unwrap_or_default();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        head.push_str(&format!("\n{}:{value}", name.to_lowercase()));
    }
    head
}

/// A cache in a folder of its own.
struct Lab {
    folder: tempfile::TempDir,
    cache: ArtifactCache,
    content: Vec<u8>,
    artifact: ArtifactRef,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = DownloadSettings {
            proxy: None,
            trust: Trust::default(),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_millis(300),
        };
        let content: Vec<u8> = (0..100_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let artifact = ArtifactRef { sha256: hash(&content), size_bytes: content.len() as u64 };
        Self { cache: ArtifactCache::new(folder.path(), settings), folder, content, artifact }
    }

    fn get(&self, urls: &[String]) -> Result<PathBuf, CatalogError> {
        self.get_within(urls, Duration::from_secs(60), &mut |_| ())
    }

    fn get_within(
        &self,
        urls: &[String],
        time: Duration,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, CatalogError> {
        let file = WeightsFile {
            weights: WeightsKind::Trained,
            format: "onnx".to_owned(),
            declared_precision: Some(Precision::Float32),
            layout: Layout::Nchw,
            artifact: Some(self.artifact.clone()),
            source: WeightsSource::Urls(urls.to_vec()),
            parts: Vec::new(),
            signature: None,
            macs: None,
        };
        self.cache.ensure("net", &file, Instant::now() + time, progress).map(|local| local.file.path)
    }

    /// The file is there, whole, and nothing is left of the way there.
    fn assert_got(&self, outcome: Result<PathBuf, CatalogError>) {
        let path = outcome.unwrap();
        assert_eq!(path, self.folder.path().join(&self.artifact.sha256));
        assert!(std::fs::read(path).unwrap() == self.content, "the content differs");
        assert!(!self.partial().exists());
    }

    /// The file isn't there, and the message says each of these.
    fn assert_failed(&self, outcome: Result<PathBuf, CatalogError>, words: &[&str]) {
        let message = outcome.unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
        assert!(!self.folder.path().join(&self.artifact.sha256).exists());
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join("partial").join(&self.artifact.sha256)
    }

    fn leave_partial(&self, content: &[u8]) {
        std::fs::create_dir_all(self.folder.path().join("partial")).unwrap();
        std::fs::write(self.partial(), content).unwrap();
    }
}

fn hash(content: &[u8]) -> String {
    crate::domain::sha256_hex(content)
}

fn from(byte: usize) -> Option<String> {
    Some(format!("bytes={byte}-"))
}

#[test]
fn a_file_is_downloaded_once() {
    let lab = Lab::new();
    let server = Server::start(vec![whole(&lab.content)]);
    let mut last = None;
    let outcome = lab.get_within(&[server.url()], Duration::from_secs(60), &mut |progress| {
        if progress.activity == Activity::Downloading {
            last = Some(progress);
        }
    });
    lab.assert_got(outcome);
    let done = Progress { activity: Activity::Downloading, done_bytes: 100_000, total_bytes: 100_000 };
    assert_eq!(last, Some(done));
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn a_server_that_never_answers_is_left() {
    let lab = Lab::new();
    let silent = Server::start(vec![Reply { head: String::new(), body: Vec::new(), stalls: true }]);
    let good = Server::start(vec![whole(&lab.content)]);
    lab.assert_got(lab.get(&[silent.url(), good.url()]));
}

#[test]
fn the_deadline_ends_a_download_that_still_makes_progress() {
    let lab = Lab::new();
    let server = Server::start((1..20).map(|at| cut(rest_or_whole(&lab.content, at - 1), 1)).collect());
    let outcome = lab.get_within(&[server.url()], Duration::ZERO, &mut |_| ());
    lab.assert_failed(outcome, &["download model net", "deadline"]);
}

fn rest_or_whole(content: &[u8], from: usize) -> Reply {
    if from == 0 { whole(content) } else { rest(content, from) }
}

#[test]
fn other_content_is_refused_and_removed() {
    let lab = Lab::new();
    let mut lie = lab.content.clone();
    lie[50_000] ^= 1;
    let server = Server::start(vec![whole(&lie)]);
    lab.assert_failed(lab.get(&[server.url()]), &[&lab.artifact.sha256, &hash(&lie), &server.url()]);
    assert!(!lab.partial().exists());
}

#[test]
fn another_size_is_refused_before_it_is_sent() {
    let lab = Lab::new();
    let server = Server::start(vec![stalled(reply("200 OK\r\nContent-Length: 5000000000", &[]))]);
    lab.assert_failed(lab.get(&[server.url()]), &["5000000000 bytes", "100000"]);
}

#[test]
fn a_body_that_is_packed_unasked_is_unpacked() {
    let lab = Lab::new();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&lab.content).unwrap();
    let packed = packer.finish().unwrap();
    let part = "206 Partial Content\r\nContent-Range: bytes 9-99/100\r\nContent-Encoding: gzip";
    let with_length = reply(&format!("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}", packed.len()), &packed);
    let without = reply("200 OK\r\nContent-Encoding: x-gzip", &packed);
    for replies in [
        vec![with_length.clone()],
        vec![without],
        vec![cut(with_length.clone(), packed.len() / 2), reply(part, b"..."), with_length.clone()],
    ] {
        let lab = Lab::new();
        lab.assert_got(lab.get(&[Server::start(replies).url()]));
    }
    // One that is packed itself has its own length, whatever the server calls it.
    let own = ArtifactRef { sha256: hash(&packed), size_bytes: packed.len() as u64 };
    let lab = Lab { content: packed.clone(), artifact: own, ..Lab::new() };
    lab.assert_got(lab.get(&[Server::start(vec![with_length]).url()]));
    let lab = Lab::new();
    let other = reply("200 OK\r\nContent-Encoding: br", &packed);
    lab.assert_failed(lab.get(&[Server::start(vec![other]).url()]), &["packs the file by \"br\""]);
    let bomb = reply("200 OK\r\nContent-Encoding: gzip", &{
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&[0; 1 << 20]).unwrap();
        packer.finish().unwrap()
    });
    lab.assert_failed(lab.get(&[Server::start(vec![bomb]).url()]), &["more than the 100000 bytes"]);
}

#[test]
fn what_stands_in_a_files_place_is_told() {
    let page = b"<!DOCTYPE html>\n<title>Sign in</title>".to_vec();
    let same_size = [page.clone(), vec![b' '; 100_000 - page.len()]].concat();
    let too_long = [page.clone(), vec![b' '; 200_000]].concat();
    for reply in [whole(&page), reply("200 OK", &page), whole(&same_size), reply("200 OK", &too_long)] {
        let lab = Lab::new();
        let words = ["a web page titled \"Sign in\", not the 100000 bytes"];
        lab.assert_failed(lab.get(&[Server::start(vec![reply.clone(), reply]).url()]), &words);
    }
    let bare = reply("200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 3", b"No.");
    let lab = Lab::new();
    lab.assert_failed(lab.get(&[Server::start(vec![bare.clone(), bare]).url()]), &["a web page, not the 100000 bytes"]);
    let lab = Lab::new();
    let pointer = whole(b"version https://git-lfs.github.com/spec/v1\n");
    lab.assert_failed(lab.get(&[Server::start(vec![pointer]).url()]), &["a Git LFS pointer"]);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let lab = Lab::new();
    let server = Server::start(vec![reply("200 OK", &[0; 300_000])]);
    lab.assert_failed(lab.get(&[server.url()]), &["more than the 100000 bytes"]);
    assert!(!lab.partial().exists());
}

#[test]
fn a_body_without_a_length_is_taken() {
    let lab = Lab::new();
    let server = Server::start(vec![reply("200 OK", &lab.content)]);
    lab.assert_got(lab.get(&[server.url()]));
}
