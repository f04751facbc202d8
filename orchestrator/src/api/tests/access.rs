//! Who gets in, and how far.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_other_sites_and_forms_are_refused() {
    let asked = Asked::start(None);
    let lock = "/api/v1/devices/a/lock";
    let body = r#"{"minutes": 5, "why": "x"}"#;
    for (host, wanted) in [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil@localhost", 421),
        ("", 421),
        ("lab.example:7878", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:7878", 200),
    ] {
        let text = format!("GET /api/v1/lab HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(asked.send(text).await.0, wanted, "{host:?}");
    }
    let two = "GET /api/v1/lab HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(asked.send(two.to_owned()).await.0, 400);
    for (origin, wanted) in
        [("http://evil.example", 403), ("null", 403), ("http://localhost:1", 403), ("http://localhost", 200)]
    {
        let headers = format!("Origin: {origin}\r\n");
        assert_eq!(asked.get_with("/api/v1/lab", &headers).await.0, wanted, "{origin}");
    }
    assert_eq!(asked.post(lock, body, "Origin: http://evil.example\r\n").await.0, 403);
    let plain = |more: &str| {
        format!(
            "POST {lock} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}Content-Length: 26\r\n\r\n{body}"
        )
    };
    assert_eq!(asked.send(plain("Content-Type: application/json\r\n")).await.0, 403, "without X-Farmctl");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        assert_eq!(asked.send(plain(&format!("X-Farmctl: 1\r\n{kind}"))).await.0, 415, "{kind}");
    }
    for bad in [
        "{",
        "[]",
        "nul",
        r#"{"minutes": -1, "why": "x"}"#,
        r#"{"minutes": 5}"#,
        r#"{"minutes": 5, "why": "x", "y": 1}"#,
        r#"{"minutes": 5, "why": "x"} {}"#,
        r#"{"minutes": 0, "why": "x"}"#,
        r#"{"minutes": 5, "why": "  "}"#,
        r#"{"minutes": 5, "why": "a\u001b[31m"}"#,
        r#"{"minutes": 5, "why": "a\u202eb"}"#,
        r#"{"minutes": 5, "why": "a\nb"}"#,
        r#"{"minutes": 99999999, "why": "x"}"#,
    ] {
        let (status, answer) = asked.post(lock, bad, "").await;
        assert_eq!((status, answer["error"]["kind"].as_str()), (400, Some("bad_request")), "{bad}");
    }
    let deep = "[".repeat(30_000);
    assert_eq!(asked.post(lock, &deep, "").await.0, 400);
    let huge = format!(r#"{{"minutes": 5, "why": "{}"}}"#, "x".repeat(70_000));
    assert_eq!(asked.post(lock, &huge, "").await.0, 413);
    assert_eq!(asked.store.device_locks(Some("a"), Timestamp::now()).unwrap(), [], "nothing of it was done");
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let text = format!(
            "{method} /api/v1/lab HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\n\
             Content-Type: application/json\r\n\r\n"
        );
        assert_eq!(asked.send(text).await.0, 405, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_what_a_browser_keeps_to() {
    let asked = Asked::start(None);
    for path in ["/", "/page/main.js", "/api/v1/lab", "/api/v1/devices/nobody", "/nowhere", "/reports/x/y.csv"] {
        let (_, head, _) = asked.get_with(path, "").await;
        for header in ["x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy: no-referrer"] {
            assert!(head.contains(header), "{path}: {header} in {head}");
        }
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(!head.contains("access-control-allow"), "{path}: {head}");
    }
    let (_, head, _) = asked.get_with("/", "").await;
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert_eq!(asked.get_with("/", &format!("If-None-Match: {tag}\r\n")).await.0, 304);
}

/// A request by which a browser logs in.
fn login(secret: &str) -> String {
    let body = json!({"token": secret}).to_string();
    let headers = "Host: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\nContent-Type: application/json\r\n";
    format!("POST /api/v1/login HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_let_in_who_they_are_of_and_no_further_than_their_role() {
    let folder = tempfile::tempdir().unwrap();
    let file = || TokenFile::new(folder.path().join("tokens"));
    let mut secrets = std::collections::HashMap::new();
    for role in Role::ALL {
        secrets.insert(role.as_str(), file().add(role.as_str(), *role, at(0), None).unwrap());
    }
    let asked = Asked::start(Some(file()));
    let by = |role: &str| format!("Authorization: Bearer {}\r\n", secrets[role]);
    for path in ["/api/v1/lab", "/api/v1/events", "/api/v1/session", "/metrics", "/reports/x/y.csv"] {
        let (status, _, body) = asked.get_with(path, "").await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["needs_login"]), (401, &json!(true)), "{path}");
    }
    for path in ["/", "/page/style.css", "/healthz", "/readyz"] {
        assert_eq!(asked.get_with(path, "").await.0, 200, "{path} is for everybody");
    }
    let lock = r#"{"minutes": 5, "why": "x"}"#;
    assert_eq!(asked.get_with("/api/v1/lab", &by("view")).await.0, 200);
    assert_eq!(asked.post("/api/v1/devices/a/lock", lock, &by("view")).await.0, 403);
    assert_eq!(asked.post("/api/v1/devices/a/lock", lock, "").await.0, 401);
    let (status, device) = asked.post("/api/v1/devices/a/lock", lock, &by("run")).await;
    assert_eq!((status, &device["lock"]["by"]), (200, &json!("run")));
    assert_eq!(asked.post("/api/v1/schedules/nightly/resume", "{}", &by("run")).await.0, 403);
    assert_eq!(asked.post("/api/v1/schedules/nightly/resume", "{}", &by("admin")).await.0, 200);
    let events = asked.store.new_events(0, 99).unwrap();
    let is_told = |wanted: &EventKind| events.iter().any(|(_, event)| event.kind == *wanted);
    assert!(is_told(&EventKind::ScheduleResumed { by: "admin".into(), schedule: "nightly".into() }), "{events:?}");

    // A token that is removed is out at once.
    assert!(file().remove("view").unwrap());
    assert_eq!(asked.get_with("/api/v1/lab", &by("view")).await.0, 401);
    // Wrong ones are counted; the right one is let in all the same.
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(asked.send(login("farmctl_wrong")).await.0);
    }
    assert!(statuses[..8].iter().all(|status| *status == 401) && statuses[11] == 429, "{statuses:?}");
    assert_eq!(asked.get_with("/api/v1/lab", &by("run")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_by_a_token_and_has_a_session_until_it_logs_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = TokenFile::new(folder.path().join("tokens"));
    let secret = file.add("run", Role::Run, at(0), None).unwrap();
    let asked = Asked::start(Some(file));
    let (status, head, body) = asked.send(login(&secret)).await;
    assert_eq!(status, 200, "{body}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().to_owned();
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=strict") && !cookie.contains("secure"),
        "{cookie}"
    );
    assert!(!body.contains(&secret) && !cookie.contains(&secret.to_ascii_lowercase()));
    // Header names and values were made small above; the session's name is needed as it is.
    let session = {
        let mut stream = TcpStream::connect(asked.server.address).await.unwrap();
        stream.write_all(login(&secret).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap())
    };
    let (status, _, body) = asked.get_with("/api/v1/session", &session).await;
    assert!(status == 200 && body.contains(r#""name":"run""#) && body.contains(r#""needs_login":true"#), "{body}");
    let lock = r#"{"minutes": 5, "why": "x"}"#;
    assert_eq!(asked.post("/api/v1/devices/a/lock", lock, &session).await.0, 200);
    assert_eq!(asked.post("/api/v1/devices/a/unlock", "{}", &session).await.0, 200);
    let logout = format!(
        "POST /api/v1/logout HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Farmctl: 1\r\n\
         Content-Type: application/json\r\n{session}\r\n"
    );
    assert_eq!(asked.send(logout).await.0, 204);
    assert_eq!(asked.get_with("/api/v1/session", &session).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_does_not_do_all_at_once() {
    let asked = Asked::start(None);
    let mut statuses = Vec::new();
    for _ in 0..WRITES_AT_ONCE + 30 {
        statuses.push(asked.post("/api/v1/devices/ccc/unlock", "{}", "").await.0);
    }
    assert!(statuses.contains(&429) && statuses[..50].iter().all(|status| *status == 409), "{statuses:?}");
    assert_eq!(asked.get("/api/v1/lab").await.0, 200, "looking is no writing");
}

#[test]
fn refusals_do_not_tell_of_the_hosts_files() {
    let error = StoreError::Full { action: "x".into(), path: "/secret/state.db".into(), cause: "y".into() };
    let refusal = Refusal::from(error);
    assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!format!("{refusal:?}").contains("secret"));
}
