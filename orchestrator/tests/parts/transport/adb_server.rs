//! An adb server that dies, hangs or loses a phone, and what brings it back.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use farmctl::domain::AdbEndpoint;
use farmctl::transport::{Command, ErrorKind, run_collect};

use super::adb::{AtFirstByte, SHORT, healing_of, interrupted, reached, refused, says, with_programs};
use super::suite::LONG;
use super::support::{adb_server, connected_phone, phone, phone_endpoint};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_is_started_again() {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_phone(&phone, &server).await;
    let error = interrupted(&transport, LONG, || server.kill()).await;
    assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error}");
    let transport = reached(&phone_endpoint(&phone, &server), &with_programs()).await.unwrap();
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
    end_server(server.port());
}

/// A server that says its version, and is gone before anything else is asked.
fn one_answer() -> (SocketAddr, JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answered = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        stream.read_exact(&mut [0; "000chost:version".len()]).unwrap();
        stream.write_all(b"OKAY00040029").unwrap();
    });
    (address, answered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_between_two_questions_is_started_again() {
    let phone = phone();
    let (address, first_answer) = one_answer();
    let endpoint = AdbEndpoint {
        address: Some(phone.address().to_string()),
        server: Some(address.to_string()),
        ..AdbEndpoint::default()
    };
    let transport = reached(&endpoint, &with_programs()).await;
    first_answer.join().unwrap();
    assert_eq!(says(&transport.unwrap(), &["echo", "back"]).await, "back");
    end_server(address.port());
}

/// As phones at USB are: their server finds them by itself, once it has had time to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_started_again_has_time_to_find_a_phone_that_is_known_by_its_serial_alone() {
    let phone = phone();
    let (address, first_answer) = one_answer();
    let words = format!("host:connect:{}", phone.address());
    let found = std::thread::spawn(move || {
        first_answer.join().unwrap();
        let give_up_at = Instant::now() + LONG;
        let mut stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < give_up_at, "nobody started it: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        write!(stream, "{:04x}{words}", words.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("connected to"), "{answer}");
    });
    let endpoint = AdbEndpoint {
        serial: Some(phone.address().to_string()),
        server: Some(address.to_string()),
        ..AdbEndpoint::default()
    };
    let transport = reached(&endpoint, &with_programs()).await;
    found.join().unwrap();
    assert_eq!(says(&transport.unwrap(), &["echo", "back"]).await, "back");
    end_server(address.port());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_restarted_once_for_all() {
    let (phones, server) = ([phone(), phone()], adb_server());
    let transport = connected_phone(&phones[0], &server).await;
    server.freeze();
    let command = Command::new(["true"], SHORT);
    let error = run_collect(transport.as_ref(), &command, b"", 100).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    let options = with_programs();
    let endpoints = phones.each_ref().map(|phone| phone_endpoint(phone, &server));
    let both = tokio::join!(reached(&endpoints[0], &options), reached(&endpoints[1], &options));
    for transport in [both.0.unwrap(), both.1.unwrap()] {
        assert_eq!(says(&transport, &["echo", "back"]).await, "back");
    }
    let steps = healing_of(&server, &mut Vec::new());
    let restarts = steps.iter().filter(|step| step.contains("restarting the adb server")).count();
    assert_eq!(restarts, 1, "{steps:?}");
    end_server(server.port());
}

/// Ends a server that farmctl started, which is no child of the test's.
fn end_server(port: u16) {
    let status = std::process::Command::new("adb").args(["-P", &port.to_string(), "kill-server"]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_is_only_believed_to_be_there_is_reconnected() {
    let (phone, server) = (phone(), adb_server());
    connected_phone(&phone, &server).await;
    // With its cable pulled while it boots, the server does not learn that the old connection is dead: or late, by what
    // it sends itself.
    phone.unplug().unwrap();
    phone.reboot().unwrap();
    let believed = server.state_of(phone.address()).unwrap();
    assert!(matches!(believed.as_deref(), Some("device" | "offline")), "{believed:?}");
    let result = reached(&phone_endpoint(&phone, &server), &with_programs()).await;
    let steps = healing_of(&server, &mut Vec::new());
    let transport = result.unwrap_or_else(|error| panic!("after {steps:?}: failed to {error}"));
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
    // The server may have found out by itself meanwhile: then there was nothing to heal.
    assert!(!steps.iter().any(|step| step.contains("restarting")), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_not_restarted_while_another_phone_uses_it() {
    let (good, bad, server) = (phone(), phone(), adb_server());
    let transport = connected_phone(&good, &server).await;
    connected_phone(&bad, &server).await;
    let command = Command::new(["sh", "-c", "echo begun; read line; echo $line"], LONG);
    let (mut near, mut far) = tokio::io::duplex(64);
    let (begun, running) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let mut sink = AtFirstByte(Some(move || begun.take().unwrap().send(()).unwrap()));
    let run = async { transport.run(&command, &mut far, &mut sink).await.unwrap() };
    let heal = async {
        running.await.unwrap();
        bad.freeze();
        let error = refused(&phone_endpoint(&bad, &server), &with_programs()).await;
        let steps = healing_of(&server, &mut Vec::new());
        assert!(steps.iter().any(|step| step.contains("reconnecting it")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("restarting")), "{steps:?}");
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("not restarted")), "{error:?}");
        tokio::io::AsyncWriteExt::write_all(&mut near, b"done\n").await.unwrap();
        drop(near);
    };
    let (exit, ()) = tokio::join!(run, heal);
    assert!(exit.success(), "{exit}");
}
