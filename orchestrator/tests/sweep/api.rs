//! The daemon's API as a process serves it: what a person does there the command line sees, and nobody gets further
//! than they may.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::daemon::{Daemon, json as listed, schedule, wait_until};
use super::http::{TIMEOUT, Viewer, address, connect, get, get_json, post, send};
use super::support::{Lab, QUICK, farm, lasting, local_device};

/// A schedule that is never due while a test runs.
pub const RARELY: &str = "listen: 127.0.0.1:0
probe_minutes: 0
schedules:
  - { name: rarely, cron: 0 0 1 1 *, timezone: Etc/UTC, sweep: quick.yaml }
";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/daemon.yaml", RARELY);
    lab
}

#[test]
fn a_sweep_is_started_followed_and_read_by_the_api() {
    let lab = lab();
    // Long enough to be seen by the daemon, which looks each second what there is to tell.
    lab.write("configs/quick.yaml", &lasting(1));
    let daemon = Daemon::start(&lab, "d", &[]);
    let address = address(&lab, &daemon);
    let mut viewer = Viewer::open(address);
    assert_eq!(get_json(address, "/api/v1/files")["items"], json!([{"file": "configs/quick.yaml", "is_usual": true}]));
    let wanted = json!({"file": "configs/quick.yaml", "devices": ["this-host"]});
    let (status, preview) = post(address, "/api/v1/preview", &wanted);
    assert_eq!((status, &preview["jobs"], &preview["devices"][0]["device"]), (200, &json!(1), &json!("this-host")));
    let (status, sweep) =
        post(address, "/api/v1/sweeps", &json!({"file": "configs/quick.yaml", "devices": ["this-host"]}));
    assert_eq!(status, 201, "{sweep}");
    let id = sweep["id"].as_str().unwrap().to_owned();
    viewer.wait_for(|text| text.contains(r#""state":"finished""#) && text.contains(&id));
    for wanted in [r#""state":"running""#, "event: cell", "run ok: squeezenet1_0", "/root"] {
        assert_eq!(viewer.heard.contains(wanted), wanted != "/root", "{wanted} in {}", viewer.heard);
    }
    let sweep = get_json(address, &format!("/api/v1/sweeps/{id}"));
    assert_eq!((&sweep["state"], &sweep["cells"][0]["state"]), (&json!("finished"), &json!("ok")));
    assert!(sweep["cells"][0]["p50_ms"].as_f64().unwrap() > 0.0, "{sweep}");
    for file in sweep["reports"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        let (status, bytes) = get(address, &format!("/reports/{id}/{file}"));
        let written = std::fs::read(lab.path("reports").join(&id).join(file)).unwrap();
        assert!(status == 200 && bytes == written, "{file}");
    }
    assert!(sweep["reports"].as_array().unwrap().contains(&json!("index.html")), "{sweep}");
    let (status, again) = post(address, "/api/v1/schedules/rarely/run", &json!({}));
    assert_eq!(status, 201, "{again}");
    let second = again["id"].as_str().unwrap().to_owned();
    assert_ne!(second, id);
    viewer.wait_for(|text| text.rfind(r#""state":"finished""#).is_some_and(|at| text[..at].contains(&second)));
    let schedules = get_json(address, "/api/v1/schedules");
    let last = &schedules["items"][0]["last"][0];
    assert_eq!((&last["sweep_id"], &last["state"]), (&json!(second), &json!("begun")), "{schedules}");
    assert!(last["by"].is_string(), "it was begun by hand: {schedules}");
    let (_, text, _) = lab.run(&["schedules", "list"]);
    assert!(text.contains(&second) && text.contains("begun by hand"), "{text}");
    assert_eq!(get(address, "/reports/latest/").1, std::fs::read(lab.path("reports/latest/index.html")).unwrap());
    let head = format!("GET /reports/latest/results.csv HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let mut stream = connect(address);
    stream.write_all(format!("{head}Range: bytes=0-7\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 206") && answer.ends_with("\r\n\r\nsweep_id"), "{answer}");
    assert!(answer.contains(&format!("filename=\"{second}-results.csv\"")), "{answer}");
    let told = String::from_utf8(get(address, "/metrics").1).unwrap();
    assert!(told.contains("farmctl_jobs_total{status=\"ok\"} 2"), "{told}");
    assert_eq!(listed(&lab, &["sweeps", "list"]).len(), 2);
    assert!(daemon.stop().success());
}

#[test]
fn what_people_do_by_the_api_the_command_line_sees() {
    let lab = lab();
    let runs = lasting(20);
    lab.write("configs/long.yaml", &format!("{runs}repeats: 5\n"));
    let daemon = Daemon::start(&lab, "d", &[]);
    let address = address(&lab, &daemon);
    let device = || listed(&lab, &["devices", "list"]).remove(0);

    let lock = json!({"minutes": 60, "why": "a new fan"});
    let (status, locked) = post(address, "/api/v1/devices/this-host/lock", &lock);
    assert_eq!((status, &locked["status"]), (200, &json!("locked")));
    assert_eq!((&device()["status"], &device()["lock"]["why"]), (&json!("locked"), &json!("a new fan")));
    assert_eq!(lab.run(&["devices", "unlock", "this-host"]).0, 0);
    assert_eq!(post(address, "/api/v1/devices/this-host/unlock", &json!({})).0, 409);
    let history = get_json(address, "/api/v1/devices/this-host/history?limit=2");
    assert_eq!(
        (&history["items"][0]["kind"], &history["items"][1]["kind"]),
        (&json!("device_unlocked"), &json!("device_locked"))
    );

    assert_eq!(post(address, "/api/v1/schedules/rarely/pause", &json!({})).0, 200);
    let schedule = || listed(&lab, &["schedules", "list"]).remove(0);
    assert!(schedule()["paused"]["by"].is_string() && schedule()["next_due"].is_null(), "{}", schedule());
    let next = || get_json(address, "/api/v1/lab")["status"]["next"].clone();
    wait_until(|| next().is_null(), || next().to_string());
    assert_eq!(lab.run(&["schedules", "pause", "rarely"]).0, 4, "it is paused already");
    assert_eq!(lab.run(&["schedules", "resume", "rarely"]).0, 0);
    wait_until(|| !next().is_null(), || next().to_string());
    assert_eq!(lab.run(&["schedules", "pause", "seldom"]).0, 2);

    let (status, sweep) = post(address, "/api/v1/sweeps", &json!({"file": "configs/long.yaml"}));
    assert_eq!(status, 201, "{sweep}");
    let id = sweep["id"].as_str().unwrap();
    let (status, ending) = post(address, &format!("/api/v1/sweeps/{id}/cancel"), &json!({}));
    assert_eq!(status, 200, "{ending}");
    let state = || get_json(address, &format!("/api/v1/sweeps/{id}"))["state"].clone();
    wait_until(|| state() == "cancelled", || format!("{}: {}", state(), daemon.told()));
    assert_eq!(listed(&lab, &["sweeps", "list"])[0]["state"], "cancelled");
    assert_eq!(post(address, &format!("/api/v1/sweeps/{id}/cancel"), &json!({})).0, 409);
    assert!(daemon.stop().success());
}

#[test]
fn no_path_leads_out_of_what_is_served() {
    let lab = lab();
    lab.write("secret.yaml", QUICK);
    let daemon = Daemon::start(&lab, "d", &[]);
    let address = address(&lab, &daemon);
    std::fs::create_dir(lab.path("reports/x")).unwrap();
    std::os::unix::fs::symlink("../../configs/daemon.yaml", lab.path("reports/x/link.csv")).unwrap();
    std::os::unix::fs::symlink("../configs", lab.path("reports/linked")).unwrap();
    let ups = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "%252e%252e%252f", "..;/", "....//"];
    let below = ["reports", "reports/x", "page", "api/v1/sweeps", "api/v1/devices"];
    for up in ups {
        for folder in below {
            for depth in 1..4 {
                let path = format!("/{folder}/{}configs/daemon.yaml", up.repeat(depth));
                let (status, body) = get(address, &path);
                let text = String::from_utf8_lossy(&body);
                assert!(status == 404 || status == 400, "{path}: {status}");
                assert!(!text.contains("schedules:"), "{path}: {text}");
            }
        }
    }
    for path in [
        "/reports/x/link.csv",
        "/reports/linked/daemon.yaml",
        "/reports/x/%00",
        "/reports/.farm/state.db",
        "/reports/x/",
        "//etc/passwd",
        "/reports//etc/passwd",
    ] {
        assert_eq!(get(address, path).0, 404, "{path}");
    }
    for file in [
        "secret.yaml",
        "../secret.yaml",
        "configs/../secret.yaml",
        "configs/daemon.yaml",
        "configs/models.yaml",
        "/etc/passwd",
        "",
        "configs/",
        "configs/quick.yaml\u{0}",
        "configs/nothing.yaml",
    ] {
        let (status, answer) = post(address, "/api/v1/sweeps", &json!({"file": file}));
        assert_eq!(status, 400, "{file}: {answer}");
    }
    let unknown = json!({"file": "configs/quick.yaml", "devices": ["*"]});
    assert_eq!(post(address, "/api/v1/sweeps", &unknown).0, 400, "names are names, and no patterns");
    assert_eq!(listed(&lab, &["sweeps", "list"]).len(), 0);
    assert!(daemon.stop().success());
}

#[test]
fn a_thousand_connections_and_slow_ones_keep_nobody_out_for_long() {
    let lab = lab();
    let daemon = Daemon::start(&lab, "d", &[]);
    let address = address(&lab, &daemon);
    let mut viewer = Viewer::open(address);
    let began_at = Instant::now();
    let mut idle: Vec<TcpStream> = (0..1000).map(|_| connect(address)).collect();
    // Slow loris: a head, and a body, that never end.
    for stream in idle.iter_mut().take(20) {
        let _ = stream.write_all(b"GET /api/v1/lab HTTP/1.1\r\nHost: loc");
    }
    let head = format!(
        "POST /api/v1/devices/this-host/lock HTTP/1.1\r\nHost: {address}\r\nX-Farmctl: 1\r\n\
         Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
    );
    for stream in idle.iter_mut().skip(20).take(20) {
        let _ = stream.write_all(head.as_bytes());
    }
    // Who is in hears what happens while they are there.
    assert_eq!(lab.run(&["devices", "lock", "this-host", "--for", "1h", "--why", "x"]).0, 0);
    viewer.wait_for(|text| text.contains("event: device"));
    // Each of them is ended by the daemon.
    for mut stream in idle {
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "after {:?}", began_at.elapsed());
        }
    }
    assert!(began_at.elapsed() < TIMEOUT, "{:?}", began_at.elapsed());
    assert_eq!(get_json(address, "/api/v1/lab")["devices"], json!({"locked": 1}));
    assert!(daemon.stop().success());
}

#[test]
fn the_daemon_does_not_start_half_open() {
    let lab = lab();
    let refused = |text: &str, wanted: &str, code: i32| {
        lab.write("configs/daemon.yaml", &RARELY.replace("listen: 127.0.0.1:0", text));
        let (found, stdout, stderr) = lab.run(&["daemon"]);
        assert!(found == code && stderr.contains(wanted) && stdout.is_empty(), "{text}: {found} {stdout} {stderr}");
    };
    refused("listen: 0.0.0.0:0", "it needs `tokens`", 3);
    refused("listen: 127.0.0.1:0\ntokens: { file: tokens }", "farmctl tokens add NAME", 2);
    let (code, secret, stderr) = lab.run(&["tokens", "add", "anna", "--role", "view"]);
    assert_eq!(code, 0, "{stderr}");
    let path = lab.path("configs/tokens");
    assert!(!std::fs::read_to_string(&path).unwrap().contains(secret.trim()));
    Command::new("chmod").arg("644").arg(&path).status().unwrap();
    refused("listen: 127.0.0.1:0\ntokens: { file: tokens }", "others may read or write it", 2);
    Command::new("chmod").arg("600").arg(&path).status().unwrap();
    refused("listen: 127.0.0.1:0\ntls: { certificate: c.pem, key: k.pem }", "c.pem", 2);

    let daemon = Daemon::start(&lab, "d", &[]);
    drop(daemon);
    lab.write(
        "configs/daemon.yaml",
        &RARELY.replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:0\ntokens: { file: tokens }"),
    );
    let daemon = Daemon::start(&lab, "e", &[]);
    let address = address(&lab, &daemon);
    assert_eq!(get(address, "/api/v1/lab").0, 401);
    let with = |secret: &str| {
        format!(
            "GET /api/v1/session HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\n\
             \r\n"
        )
    };
    let (status, body) = send(address, &with(secret.trim()));
    let session: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &session["name"], &session["role"]), (200, &json!("anna"), &json!("view")));
    assert_eq!(lab.run(&["tokens", "remove", "anna"]).0, 0);
    assert_eq!(send(address, &with(secret.trim())).0, 401);
    assert_eq!(lab.run(&["tokens", "list"]).0, 4);
    assert!(daemon.stop().success());
}

#[test]
fn it_speaks_tls_with_a_certificate() {
    let lab = lab();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-keyout", "configs/key.pem", "-out", "configs/cert.pem"])
        .current_dir(lab.path(""))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let tls = "listen: 127.0.0.1:0\ntls: { certificate: cert.pem, key: key.pem }";
    lab.write("configs/daemon.yaml", &RARELY.replace("listen: 127.0.0.1:0", tls));
    let daemon = Daemon::start(&lab, "d", &[]);
    let address = address(&lab, &daemon);
    assert!(daemon.told().contains("https://"), "{}", daemon.told());
    let certificate = ureq::tls::Certificate::from_pem(&std::fs::read(lab.path("configs/cert.pem")).unwrap()).unwrap();
    let roots = ureq::tls::RootCerts::new_with_certs(&[certificate]);
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(TIMEOUT)).build().new_agent();
    let url = format!("https://localhost:{}/healthz", address.port());
    let answer = agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(answer, "ok\n");
    assert!(daemon.stop().success());
}

#[test]
fn a_store_that_somebody_keeps_locked_is_told_of_and_nothing_due_is_lost() {
    let lab = lab();
    lab.write("configs/daemon.yaml", &schedule(5, ""));
    let daemon = Daemon::start(&lab, "d", &[]);
    let address = address(&lab, &daemon);
    let readiness = || {
        let (status, body) = get(address, "/readyz");
        (status, String::from_utf8(body).unwrap())
    };
    let finished = |counted_by: &Connection| -> u32 {
        let count = "SELECT count(*) FROM sweeps WHERE state = 'finished'";
        counted_by.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let somebody = Connection::open(lab.path(".farm/state.db")).unwrap();
    somebody.busy_timeout(TIMEOUT).unwrap();
    wait_until(|| finished(&somebody) > 0, || format!("the first sweep: {}", daemon.told()));
    assert_eq!(readiness(), (200, "ready\n".to_owned()));

    somebody.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = finished(&somebody);
    let is_told = |(status, text): (u16, String)| status == 503 && text.contains("another process keeps it locked");
    wait_until(|| is_told(readiness()), || format!("word of the lock: {:?}\n{}", readiness(), daemon.told()));
    // What only reads goes on.
    assert_eq!(get(address, "/healthz").0, 200);
    assert_eq!(get_json(address, "/api/v1/devices")["items"][0]["name"], "this-host");
    assert_eq!(finished(&somebody), before);
    somebody.execute_batch("COMMIT").unwrap();

    wait_until(|| readiness().0 == 200, || format!("the end of it: {:?}\n{}", readiness(), daemon.told()));
    wait_until(|| finished(&somebody) >= before + 2, || format!("two sweeps more: {}", daemon.told()));
    lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
    let is_open = |sweep: &Value| sweep["state"] == "open";
    wait_until(|| !listed(&lab, &["sweeps", "list"]).iter().any(is_open), || format!("the last: {}", daemon.told()));
    assert!(daemon.stop().success());
    for sweep in listed(&lab, &["sweeps", "list"]) {
        assert_eq!(
            (&sweep["state"], &sweep["jobs"], &sweep["ok"]),
            (&json!("finished"), &json!(1), &json!(1)),
            "{sweep}"
        );
    }
    let (code, found, _) = lab.run(&["store", "check"]);
    assert_eq!(code, 0, "{found}");
}
