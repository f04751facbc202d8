#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::JoinHandle;

use super::*;
use crate::domain::{Email, MailTls, Webhook};

const NO_PAUSES: [Duration; 3] = [Duration::ZERO; 3];

fn notice() -> Notice {
    Notice {
        event: "sweep_finished",
        about: "s-1".to_owned(),
        subject: "sweep s finished: 1 ok".to_owned(),
        lines: ["one".to_owned(), "two ü".to_owned(), "three".to_owned()],
    }
}

fn variables(name: &str) -> Option<String> {
    (name == "THE_SECRET").then(|| "key".to_owned())
}

fn told(channel: &Channel) -> Result<(), NotifyError> {
    let means = Means { environment: &variables, trust: &Trust::default() };
    send_with(channel, &notice(), means, &NO_PAUSES)
}

/// A server that answers one request after the other with these statuses; gives head and body of each.
fn http_server(statuses: &'static [u16]) -> (String, JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:pass@{}/hook?token=x", listener.local_addr().unwrap());
    let serve = move || statuses.iter().map(|status| answer(listener.accept().unwrap().0, *status)).collect();
    (url, std::thread::spawn(serve))
}

fn answer(stream: TcpStream, status: u16) -> (String, String) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(&stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn webhook(url: String, secret: Option<SecretSource>) -> Channel {
    Channel::Webhook(Webhook { url, secret })
}

#[test]
fn a_webhook_gets_a_signed_message_and_is_tried_again_while_it_is_away() {
    let (url, server) = http_server(&[503, 429, 200]);
    told(&webhook(url, Some(SecretSource::Environment("THE_SECRET".to_owned())))).unwrap();
    let requests = server.join().unwrap();
    assert_eq!(requests.len(), 3);
    let (head, body) = &requests[2];
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (value["event"].as_str(), value["text"].as_str()),
        (Some("sweep_finished"), Some("one\ntwo ü\nthree\n"))
    );
    let digest = webhook::sign("key", body).ok().unwrap();
    assert!(head.contains(&format!("x-farmctl-signature: sha256={digest}")), "{digest}: {head}");
    // RFC 4231, test case 2.
    let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(webhook::sign("Jefe", "what do ya want for nothing?").ok().as_deref(), Some(known));
}

#[test]
fn a_webhook_that_refuses_is_not_asked_again_and_its_secrets_are_not_told() {
    let (url, server) = http_server(&[403]);
    let error = told(&webhook(url.clone(), None)).unwrap_err().to_string();
    assert_eq!(server.join().unwrap().len(), 1);
    assert!(error.contains("127.0.0.1:") && error.ends_with("status 403"), "{error}");
    assert!(!error.contains("pass") && !error.contains("token"), "{error}");
    let error = told(&webhook(url, Some(SecretSource::Environment("UNSET".to_owned())))).unwrap_err().to_string();
    assert!(error.contains("the variable UNSET is not set"), "{error}");
}

#[test]
fn a_command_gets_the_message_on_its_input_and_its_words_are_no_shells() {
    let folder = tempfile::tempdir().unwrap();
    let argv = |words: &[&str]| Channel::Command(words.iter().map(|word| (*word).to_owned()).collect());
    let out = folder.path().join("out");
    let script = "cat > \"$1\"; echo \"$2 $FARMCTL_EVENT $FARMCTL_ABOUT\" >> \"$1\"";
    told(&argv(&["sh", "-c", script, "sh", out.to_str().unwrap(), "$(id)"])).unwrap();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "one\ntwo ü\nthree\n$(id) sweep_finished s-1\n");
    let error = told(&argv(&["sh", "-c", "echo no room >&2; exit 3"])).unwrap_err().to_string();
    assert!(error.contains("exit status: 3: no room"), "{error}");
    told(&argv(&["/nowhere/at-all"])).unwrap_err();
    // It ends with its deadline, and so does what it has started.
    let Err(Failed::Always(cause)) = command::send(
        &["sh".into(), "-c".into(), "sleep 600 & sleep 600".into()],
        &notice(),
        Duration::from_millis(100),
    ) else {
        panic!("it can't have ended");
    };
    assert!(cause.contains("did not end"), "{cause}");
}

/// A mail server that takes one message, or refuses its receiver; gives what it was told.
fn mail_server(refuses: bool) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut heard, mut in_data) = (String::new(), false);
        write!(stream, "220 sink\r\n").unwrap();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                return heard;
            }
            heard.push_str(&line);
            let answer = match (in_data, line.split([' ', '\r']).next().unwrap_or_default()) {
                (true, ".") => "250 taken",
                (true, _) => continue,
                (false, "EHLO") => "250-sink\r\n250 AUTH PLAIN",
                (false, "AUTH") => "235 welcome",
                (false, "RCPT") if refuses => "550 nobody here",
                (false, "DATA") => "354 go on",
                (false, "QUIT") => "221 bye",
                (false, _) => "250 ok",
            };
            in_data = answer.starts_with("354");
            write!(stream, "{answer}\r\n").unwrap();
            if answer.starts_with("221") {
                return heard;
            }
        }
    };
    (port, std::thread::spawn(serve))
}

fn email(port: u16, password: &Path) -> Channel {
    Channel::Email(Email {
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::None,
        login: Some(("lab".to_owned(), SecretSource::File(password.to_owned()))),
        from: "farmctl <lab@example.org>".to_owned(),
        to: vec!["ann@example.org".to_owned(), "bob@example.org".to_owned()],
    })
}

#[test]
fn mail_is_handed_to_a_server_and_a_refusal_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "hush\nnot this\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (port, server) = mail_server(false);
    told(&email(port, &password)).unwrap();
    let heard = server.join().unwrap();
    // base64 of «\0lab\0hush».
    for part in
        ["AUTH PLAIN AGxhYgBodXNo", "RCPT TO:<bob@example.org>", "Subject: [farmctl] sweep s finished: 1 ok", "three"]
    {
        assert!(heard.contains(part), "{part} in: {heard}");
    }
    let (port, server) = mail_server(true);
    let error = told(&email(port, &password)).unwrap_err().to_string();
    assert!(error.contains("nobody here") && !error.contains("hush"), "{error}");
    drop(server.join());
}

#[test]
fn what_keeps_a_channel_from_its_secret_is_known_before_there_is_anything_to_tell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let webhook = |secret| Channel::Webhook(Webhook { url: "https://chat.example.org/hook".to_owned(), secret });
    let mail = Channel::Email(Email {
        host: "mail.example.org".to_owned(),
        port: 587,
        tls: MailTls::Starttls,
        login: Some(("lab".to_owned(), SecretSource::Environment("LAB_MAIL".to_owned()))),
        from: "lab@example.org".to_owned(),
        to: vec!["keeper@example.org".to_owned()],
    });
    let channels = [webhook(Some(SecretSource::File(path.clone()))), webhook(None), mail];
    let faults = |variable: Option<&str>| -> Vec<String> {
        let lookup = |_: &str| variable.map(str::to_owned);
        faults(&channels, &lookup).iter().map(ToString::to_string).collect()
    };
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(faults(None).len(), 2, "one is not there, and neither is the variable");
    std::fs::write(&path, "s3cret\n").unwrap();
    mode(0o600);
    assert_eq!(faults(Some("pw")), Vec::<String>::new());
    mode(0o666);
    let found = faults(Some("pw"));
    assert!(found[0].contains("chat.example.org") && found[0].contains("chmod 600") && found.len() == 1, "{found:?}");
    assert!(!found[0].contains("s3cret"));
    let found = faults(None);
    assert!(found[1].ends_with("the variable LAB_MAIL is not set"), "{found:?}");
}
