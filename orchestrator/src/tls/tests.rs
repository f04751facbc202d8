#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustls::crypto::ring::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::catalog::{ArtifactCache, DownloadSettings};
use crate::domain::{
    ArtifactRef, Channel, Email, Layout, MailTls, Notice, Precision, Webhook, WeightsFile, WeightsKind, WeightsSource,
    sha256_hex,
};
use crate::notify::{Means, send};

/// What is said to a client once the connection is encrypted.
type Talk = fn(&mut dyn ReadWrite) -> std::io::Result<()>;

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A server whose certificate is signed by an authority of its own, in `ca.pem`.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn start(talk: Talk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(
            folder.path(),
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=Lab",
        );
        openssl(
            folder.path(),
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out csr -subj /CN=localhost",
        );
        std::fs::write(folder.path().join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
        openssl(folder.path(), "x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -out pem -extfile ext");
        let chain = CertificateDer::pem_file_iter(folder.path().join("pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(folder.path().join("key")).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let _ = talk(&mut rustls::StreamOwned::new(connection, stream));
            }
        });
        Self { folder, port }
    }

    fn file(&self, name: &str) -> OsString {
        self.folder.path().join(name).into()
    }

    /// Those who believe its authority: by the file, by a folder, by one of two folders.
    fn believers(&self) -> [Trust; 3] {
        let folder = self.folder.path().join("folder");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(self.file("ca.pem"), folder.join("lab.pem")).unwrap();
        let two = std::env::join_paths([Path::new("/nowhere"), &folder]).unwrap();
        [
            Trust::named(Some(&self.file("ca.pem")), None),
            Trust::named(None, Some(folder.as_os_str())),
            Trust::named(Some(OsStr::new("")), Some(&two)),
        ]
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

fn http(stream: &mut dyn ReadWrite) -> std::io::Result<()> {
    let mut length = 0;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        length =
            line.to_lowercase().strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
    }
    reader.read_exact(&mut vec![0; length])?;
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnet")
}

fn smtp(stream: &mut dyn ReadWrite) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut answer, mut line) = ("220 sink", String::new());
    loop {
        reader.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if !answer.starts_with("354") || line == ".\r\n" {
                break;
            }
        }
        answer = if line.starts_with("DATA") { "354 go on" } else { "250 ok" };
    }
}

fn download(port: u16, trust: &Trust) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let settings = DownloadSettings { trust: trust.clone(), ..DownloadSettings::default() };
    let file = WeightsFile {
        weights: WeightsKind::Trained,
        format: "onnx".to_owned(),
        declared_precision: Some(Precision::Float32),
        layout: Layout::Nchw,
        artifact: Some(ArtifactRef { sha256: sha256_hex(b"net"), size_bytes: 3 }),
        source: WeightsSource::Urls(vec![format!("https://localhost:{port}/net.onnx")]),
        parts: Vec::new(),
        signature: None,
        macs: None,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let got = ArtifactCache::new(folder.path(), settings).ensure("net", &file, deadline, &mut |_| ());
    got.map(drop).map_err(|error| error.to_string())
}

fn tell(channel: &Channel, trust: &Trust) -> Result<(), String> {
    let lines = ["one", "two", "three"].map(str::to_owned);
    let notice = Notice { event: "sweep_finished", about: "s".to_owned(), subject: "s".to_owned(), lines };
    send(channel, &notice, Means { environment: &|_| None, trust }).map_err(|error| error.to_string())
}

#[test]
fn an_authority_that_is_named_is_believed_in_downloads_webhooks_and_mail() {
    let (web, mail) = (Server::start(http), Server::start(smtp));
    let webhook = Channel::Webhook(Webhook { url: format!("https://localhost:{}/", web.port), secret: None });
    let email = |tls| {
        Channel::Email(Email {
            host: "localhost".to_owned(),
            port: mail.port,
            tls,
            login: None,
            from: "lab@example.org".to_owned(),
            to: vec!["ann@example.org".to_owned()],
        })
    };
    for trust in &web.believers() {
        download(web.port, trust).unwrap();
        tell(&webhook, trust).unwrap();
    }
    tell(&email(MailTls::Implicit), &mail.believers()[0]).unwrap();
}

#[test]
fn a_certificate_that_is_not_believed_says_whose_are_and_what_helps() {
    let (web, other) = (Server::start(http), Server::start(http));
    let missing = web.file("nowhere.pem");
    let empty = web.file("ext");
    openssl(web.folder.path(), "x509 -in ca.pem -outform der -out ca.der");
    let der = web.file("ca.der");
    let folder = other.folder.path().join("folder");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(other.file("ca.pem"), folder.join("lab.pem")).unwrap();
    let cases = [
        (Trust::default(), "if a proxy or server here has an authority"),
        (Trust::named(Some(&other.file("ca.pem")), None), "believed are 1 authority of SSL_CERT_FILE /"),
        (Trust::named(Some(&missing), None), "nobody is believed: SSL_CERT_FILE "),
        (Trust::named(Some(&empty), None), "ext holds no certificate"),
        (Trust::named(Some(&der), None), "ca.der can't be used: it is DER, and PEM is needed: `openssl x509"),
        (Trust::named(Some(&der), Some(folder.as_os_str())), "believed are 1 authority of SSL_CERT_DIR /"),
        (Trust::named(Some(&missing), Some(folder.as_os_str())), "nowhere.pem can't be used: "),
    ];
    for (trust, words) in &cases {
        let error = download(web.port, trust).unwrap_err();
        assert!(error.contains("invalid peer certificate") && error.contains(words), "{words:?} in: {error}");
        assert!(error.contains("SSL_CERT_FILE"), "{error}");
    }
    let described = |index: usize| cases[index].0.described();
    assert!(described(0).unwrap().contains("this system"), "{:?}", described(0));
    assert!(described(2).unwrap_err().contains("No such file"), "{:?}", described(2));
    // What can't be used is told beside what is believed.
    assert!(described(5).unwrap().contains("; SSL_CERT_FILE /"), "{:?}", described(5));
    // Of a mail server, whose library hides the reason in what an error comes from.
    let mail = Server::start(smtp);
    let connect = |trust: &Trust| {
        let tls = lettre::transport::smtp::client::Tls::Wrapper(trust.mail("localhost").unwrap());
        lettre::SmtpTransport::builder_dangerous("localhost").port(mail.port).tls(tls).build().test_connection()
    };
    let hint = web.believers()[0].hint(&connect(&web.believers()[0]).unwrap_err()).unwrap();
    assert!(hint.contains("1 authority of SSL_CERT_FILE"), "{hint}");
    assert_eq!(web.believers()[0].hint(&std::io::Error::other("cable")), None);
}
