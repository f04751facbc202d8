//! Addresses, redirects, proxies and other processes.

use super::*;

#[test]
fn redirects_are_followed_with_the_range() {
    let lab = Lab::new();
    lab.leave_partial(&lab.content[..40_000]);
    let target = Server::start(vec![rest(&lab.content, 40_000)]);
    let head = format!("302 Found\r\nContent-Length: 0\r\nLocation: {}", target.url());
    let server = Server::start(vec![reply(&head, &[])]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(target.ranges(), [from(40_000)]);
}

#[test]
fn redirects_without_end_are_refused() {
    let lab = Lab::new();
    let server = Server::start(vec![reply("302 Found\r\nContent-Length: 0\r\nLocation: /net.onnx", &[]); 50]);
    lab.assert_failed(lab.get(&[server.url()]), &["redirect"]);
}

#[test]
fn the_first_address_that_has_it_is_taken() {
    let lab = Lab::new();
    let closed = testlab::ClosedPort::take().unwrap();
    let missing = Server::start(vec![reply("404 Not Found\r\nContent-Length: 0", &[])]);
    let good = Server::start(vec![whole(&lab.content)]);
    lab.assert_got(lab.get(&[format!("http://127.0.0.1:{}/net.onnx", closed.port()), missing.url(), good.url()]));
}

#[test]
fn when_nobody_has_it_every_reason_is_told() {
    let lab = Lab::new();
    let missing = Server::start(vec![reply("404 Not Found\r\nContent-Length: 0", &[])]);
    let broken = Server::start(vec![reply("500 Internal Server Error\r\nContent-Length: 0", &[])]);
    let garbage =
        Server::start(vec![Reply { head: "no HTTP at all\r\n\r\n".to_owned(), body: Vec::new(), stalls: false }]);
    let urls = [missing.url(), broken.url(), garbage.url(), "ftp://example.org/net.onnx".to_owned()];
    let words =
        ["model net", "404", "500", &missing.url(), &broken.url(), &garbage.url(), "ftp://example.org/net.onnx"];
    lab.assert_failed(lab.get(&urls), &words);
    lab.assert_failed(lab.get(&[]), &["no urls"]);
}

#[test]
fn two_at_a_time_download_once() {
    let lab = Lab::new();
    let server = Server::start(vec![whole(&lab.content)]);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| lab.get(&[server.url()]));
        lab.assert_got(lab.get(&[server.url()]));
        lab.assert_got(other.join().unwrap());
    });
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_proxy_is_gone_through() {
    let mut lab = Lab::new();
    let proxy = Server::start(vec![reply("403 Forbidden\r\nContent-Length: 0", &[])]);
    let settings = DownloadSettings { proxy: Some(Proxy::new(&proxy.address).unwrap()), ..DownloadSettings::default() };
    lab.cache = ArtifactCache::new(lab.folder.path(), settings);
    lab.assert_failed(lab.get(&["http://example.invalid/net.onnx".to_owned()]), &["example.invalid"]);
    let asked = proxy.requests.lock().unwrap().clone();
    assert!(asked[0].contains("example.invalid"), "{asked:?}");
}

#[test]
fn a_server_without_tls_where_it_is_asked_for_is_a_reason() {
    let lab = Lab::new();
    let server = Server::start(vec![whole(&lab.content)]);
    let urls = [server.url().replace("http://", "https://")];
    lab.assert_failed(lab.get(&urls), &[&urls[0]]);
}

#[test]
fn addresses_are_shown_without_secrets() {
    let shown = without_secrets("https://user:secret@example.org:8443/a/b.onnx?token=secret#secret");
    assert_eq!(shown, "https://example.org:8443/a/b.onnx");
    assert_eq!(without_secrets("nonsense"), "nonsense");
}
