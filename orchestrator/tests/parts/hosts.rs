//! Hosts of one lab: each a daemon with a folder, a name and a machine of its own, and one store on a server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testlab::PostgresServer;

/// Nothing that is waited for takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(120);

fn server() -> PostgresServer {
    PostgresServer::start().unwrap_or_else(|error| panic!("failed to {error}"))
}

/// A host: its folder of the lab, and the machine it is.
struct Host {
    folder: TempDir,
}

impl Host {
    /// One whose `lab.yaml` names that store and this host. `machine`: a digit, of which its identity is made.
    fn new(store: &str, name: &str, machine: char) -> Host {
        let host = Host { folder: tempfile::tempdir().unwrap() };
        for folder in ["configs", "farms"] {
            std::fs::create_dir(host.path(folder)).unwrap();
        }
        host.write("machine-id", &format!("{}\n", machine.to_string().repeat(32)));
        host.write("configs/daemon.yaml", "listen: 127.0.0.1:0\n");
        host.write("farms/own.yaml", &format!("devices:\n{}", board(&format!("board-of-{name}"), "127.0.0.1", "")));
        host.name(store, name);
        host
    }

    fn name(&self, store: &str, name: &str) {
        self.write("lab.yaml", &format!("name: vision\nhost: {name}\nstore: {store}\n"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// farmctl on that machine: in a mount namespace of its own.
    fn command(&self, words: &[&str]) -> Command {
        let script = "mount --bind machine-id /etc/machine-id && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_farmctl")]);
        command.current_dir(self.folder.path()).args(words).env("HOME", self.folder.path());
        command.env_remove("FARMCTL_LOG").env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn daemon(&self) -> Daemon {
        let stderr = self.path("stderr");
        let mut command = self.command(&["daemon"]);
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&stderr).unwrap());
        let daemon = Daemon { child: command.spawn().unwrap(), stderr };
        daemon.wait_for("goes by");
        daemon
    }

    /// What a verb answers in JSON.
    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", said(&output)))
    }

    /// Each host with what it does.
    #[track_caller]
    fn statuses(&self) -> Vec<(String, String)> {
        let hosts = self.json(&["host", "list"]);
        let text = |host: &Value, field: &str| host[field].as_str().unwrap().to_owned();
        hosts.as_array().unwrap().iter().map(|host| (text(host, "host"), text(host, "status"))).collect()
    }
}

/// The entry of a board that nobody reaches.
fn board(name: &str, address: &str, more: &str) -> String {
    // With a password, no ssh agent is missed.
    let login = format!("host: {address}, port: 9, password: {{ environment: NOBODYS }}");
    format!("  - {{ name: {name}, transport: {{ ssh: {{ {login} }} }}{more} }}\n")
}

struct Daemon {
    child: Child,
    stderr: PathBuf,
}

impl Daemon {
    fn told(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_until(|| self.told().contains(text), || format!("{text} in:\n{}", self.told()));
    }

    /// Ends it as people do.
    fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.told());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Of a test that failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let give_up_at = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < give_up_at, "waited in vain for {}", what());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no «{word}» in: {said}");
    }
}

fn pair(host: &str, status: &str) -> (String, String) {
    (host.to_owned(), status.to_owned())
}

#[test]
fn a_name_that_another_machine_has_is_refused_with_both_and_what_helps() {
    let server = server();
    let url = server.create("lab").unwrap();
    let (one, two) = (Host::new(&url, "rack", '1'), Host::new(&url, "rack", '2'));
    let first = one.daemon();
    let refused = two.run(&["daemon"]);
    let pid = format!("process {}", first.child.id());
    expect(&refused, 2, &["this lab has another host rack", &pid, "`host: NAME`", "end the other daemon"]);
    let machine = |host: &Value| host["machine"].as_str().unwrap().to_owned();
    let of_first = machine(&two.json(&["host", "show", "rack"]));
    assert!(of_first.len() == 12 && said(&refused).contains(&of_first), "{of_first}: {}", said(&refused));

    two.name(&url, "shelf");
    let second = two.daemon();
    assert_eq!(one.statuses(), [pair("rack", "working"), pair("shelf", "working")]);
    let of_second = machine(&one.json(&["host", "show", "shelf"]));
    assert!(of_first != of_second && said(&refused).contains(&of_second), "{of_second}: {}", said(&refused));
    expect(&two.run(&["host", "remove", "rack"]), 2, &["the host rack is there", &pid]);
    second.stop();

    // What is stopped stays its machine's, until a person says that it is gone for good.
    first.stop();
    assert_eq!(two.statuses(), [pair("rack", "stopped"), pair("shelf", "stopped")]);
    two.name(&url, "rack");
    expect(&two.run(&["daemon"]), 2, &["another host rack", "`farmctl host remove rack`"]);
    expect(&two.run(&["host", "remove", "rack"]), 0, &["rack is forgotten"]);
    let taken = two.daemon();
    assert_eq!(one.statuses(), [pair("rack", "working"), pair("shelf", "stopped")]);
    assert_eq!(machine(&one.json(&["host", "show", "rack"])), of_second);
    taken.stop();
}

#[test]
fn a_host_that_is_killed_is_silent_by_the_servers_clock_and_comes_back() {
    let server = server();
    let url = server.create("lab").unwrap();
    let (one, two) = (Host::new(&url, "rack", '1'), Host::new(&url, "shelf", '2'));
    let (first, second) = (one.daemon(), two.daemon());
    first.kill();
    assert_eq!(two.statuses()[0], pair("rack", "working"), "nobody knows yet");
    server.run_sql("lab", "UPDATE hosts SET beat_at_ns = beat_at_ns - 60000000000 WHERE name = 'rack'").unwrap();
    assert_eq!(two.statuses(), [pair("rack", "silent"), pair("shelf", "working")]);
    expect(&two.run(&["host", "list"]), 0, &["rack", "silent", "no beat for"]);
    one.daemon().kill();
    assert_eq!(two.statuses()[0], pair("rack", "working"));
    // Its next daemon takes its place at once: the process before is known to have ended.
    one.daemon().kill();
    server.run_sql("lab", "UPDATE hosts SET beat_at_ns = beat_at_ns - 60000000000 WHERE name = 'rack'").unwrap();
    expect(&two.run(&["host", "remove", "rack"]), 0, &["forgotten"]);
    assert_eq!(two.statuses(), [pair("shelf", "working")]);
    expect(&two.run(&["audit"]), 0, &["removed the host rack"]);
    second.stop();
}

#[test]
fn any_host_drains_and_resumes_another() {
    let server = server();
    let url = server.create("lab").unwrap();
    let (one, two) = (Host::new(&url, "rack", '1'), Host::new(&url, "shelf", '2'));
    let (first, second) = (one.daemon(), two.daemon());
    expect(&two.run(&["host", "drain", "rack"]), 0, &["rack begins no further run", "farmctl host resume rack"]);
    first.wait_for("nothing is begun here until `farmctl host resume rack`");
    expect(&two.run(&["host", "drain", "rack"]), 4, &["drained already"]);
    assert_eq!(one.statuses(), [pair("rack", "draining"), pair("shelf", "working")]);
    assert!(one.json(&["host", "show", "rack"])["detail"].as_str().unwrap().starts_with("drained by "));
    assert!(!second.told().contains("is begun here"), "{}", second.told());
    expect(&two.run(&["host", "resume", "rack"]), 0, &["rack begins runs again"]);
    first.wait_for("all is well again");
    expect(&two.run(&["host", "resume", "rack"]), 4, &["is not drained"]);
    expect(&two.run(&["audit"]), 0, &["drained the host rack", "resumed the host rack"]);
    expect(&two.run(&["host", "drain", "nobody"]), 2, &["there is no host", "hosts: rack, shelf"]);
    first.stop();
    second.stop();
}

/// A lab that has its store in a file has one host, whatever its name was before.
#[test]
fn a_lab_of_one_host_needs_nothing_and_shows_nothing_new() {
    let host = Host::new("x", "rack", '1');
    host.write("lab.yaml", "host: rack\n");
    let daemon = host.daemon();
    assert_eq!(host.statuses(), [pair("rack", "working")]);
    daemon.stop();
    host.write("lab.yaml", "host: renamed\n");
    host.write("machine-id", &format!("{}\n", "3".repeat(32)));
    let daemon = host.daemon();
    assert_eq!(host.statuses(), [pair("renamed", "working")]);
    assert!(!daemon.told().contains("TROUBLE"), "{}", daemon.told());
    let devices = said(&host.run(&["devices", "list"]));
    assert!(!devices.contains("hosts") && !devices.contains("renamed"), "{devices}");
    assert!(Path::new(&host.path(".farm/state.db")).is_file());
    daemon.stop();
}

/// The devices as `devices list` has them: name and hosts.
fn devices(host: &Host) -> Vec<(String, String)> {
    let listed = host.json(&["devices", "list"]);
    let hosts = |device: &Value| {
        let hosts = device["hosts"].as_array().into_iter().flatten().map(|it| it.as_str().unwrap());
        hosts.collect::<Vec<_>>().join(" ")
    };
    let listed = listed.as_array().unwrap().iter();
    let mut devices: Vec<_> = listed.map(|it| (it["name"].as_str().unwrap().to_owned(), hosts(it))).collect();
    devices.sort();
    devices
}

/// What the API of a host's daemon answers.
fn ask(host: &Host, path: &str) -> Value {
    use std::io::{Read as _, Write as _};
    let status: Value = serde_json::from_slice(&std::fs::read(host.path(".farm/daemon.json")).unwrap()).unwrap();
    let address = status["url"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Two hosts that both reach a board, and each a board of its own.
fn two_hosts(url: &str) -> [Host; 2] {
    let hosts = [Host::new(url, "rack", '1'), Host::new(url, "shelf", '2')];
    hosts[0].write("farms/own.yaml", &format!("devices:\n{}{}", shared("127.0.0.9"), board("a", "127.0.0.1", "")));
    hosts[1].write("farms/own.yaml", &format!("devices:\n{}{}", board("b", "127.0.0.2", ""), shared("127.0.0.9")));
    for host in &hosts {
        host.write("configs/quick.yaml", "models: [digits]\nweights: [trained]\n");
    }
    hosts
}

fn shared(address: &str) -> String {
    board("shared", address, ", hosts: [shelf, rack]")
}

fn union() -> Vec<(String, String)> {
    [("a", "rack"), ("b", "shelf"), ("shared", "shelf rack")].map(|(name, hosts)| pair(name, hosts)).to_vec()
}

#[test]
fn every_host_shows_the_devices_of_all_and_acts_on_them() {
    let server = server();
    let [one, two] = two_hosts(&server.create("lab").unwrap());
    let (first, second) = (one.daemon(), two.daemon());
    for host in [&one, &two] {
        wait_until(|| devices(host) == union(), || format!("{:?}", devices(host)));
        let answer = ask(host, "/api/v1/devices");
        let answered = answer["items"].as_array().unwrap();
        assert_eq!(answered.len(), 3, "{answer}");
        let of_shared = answered.iter().find(|it| it["name"] == "shared").unwrap();
        assert_eq!(of_shared["hosts"], serde_json::json!(["shelf", "rack"]));
    }
    expect(&one.run(&["devices", "list"]), 0, &[" hosts ", "shelf rack", "127.0.0.2"]);
    expect(&one.run(&["devices", "show", "b"]), 0, &["shelf", "127.0.0.2"]);
    expect(&one.run(&["host", "show", "shelf"]), 0, &["shared (ssh, farms/own.yaml:3), also at rack"]);
    // A person's lock holds wherever it is made.
    expect(&one.run(&["devices", "lock", "b", "--for", "5m", "--why", "a cable"]), 0, &["b"]);
    expect(&two.run(&["devices", "show", "b"]), 0, &["locked", "a cable"]);
    expect(&one.run(&["why", "b"]), 0, &["locked", "a cable"]);
    expect(&one.run(&["devices", "unlock", "b"]), 0, &["b is free"]);
    expect(&two.run(&["devices", "unlock", "b"]), 4, &["b is not locked"]);
    for words in [["devices", "trust", "b"], ["devices", "utilisation", "b"]] {
        expect(&one.run(&words), 0, &["b"]);
    }
    // Who does not reach it says who does.
    for verb in ["probe", "check", "remove"] {
        expect(&one.run(&["devices", verb, "b"]), 2, &["not reached from here", "on a host that has it: shelf"]);
    }
    assert_eq!(ask(&one, "/api/v1/hosts")["items"].as_array().unwrap().len(), 2);
    // What is forgotten takes along what it alone declared.
    second.stop();
    assert_eq!(devices(&one), union(), "it comes back");
    expect(&one.run(&["host", "remove", "shelf"]), 0, &["forgotten"]);
    assert_eq!(devices(&one), [pair("a", ""), pair("shared", "")]);
    first.stop();
}

#[test]
fn a_name_that_means_two_devices_is_told_with_both_places_and_not_measured() {
    let server = server();
    let [one, two] = two_hosts(&server.create("lab").unwrap());
    let (first, second) = (one.daemon(), two.daemon());
    wait_until(|| devices(&one) == union(), || format!("{:?}", devices(&one)));
    let planned = said(&one.run(&["plan", "configs/quick.yaml"]));
    assert!(!planned.contains("two ways"), "{planned}");
    two.write("farms/own.yaml", &format!("devices:\n{}{}", board("b", "127.0.0.2", ""), shared("127.0.0.8")));
    let words = ["declared in two ways", "host rack (farms/own.yaml:2)", "host shelf (farms/own.yaml:3)", "transport"];
    for daemon in [&first, &second] {
        daemon.wait_for("device shared: declared in two ways");
        words.iter().for_each(|word| daemon.wait_for(word));
    }
    for host in [&one, &two] {
        for verb in [&["plan", "configs/quick.yaml"][..], &["host", "show", "rack"], &["devices", "list"]] {
            let said = said(&host.run(verb));
            words.iter().for_each(|word| assert!(said.contains(word), "{verb:?}: no «{word}» in: {said}"));
        }
        let doctor = said(&host.run(&["doctor"]));
        words.iter().for_each(|word| assert!(doctor.contains(word), "no «{word}» in: {doctor}"));
    }
    two.write("farms/own.yaml", &format!("devices:\n{}{}", board("b", "127.0.0.2", ""), shared("127.0.0.9")));
    for daemon in [&first, &second] {
        daemon.wait_for("all is well again");
    }
    let doctor = said(&one.run(&["doctor"]));
    assert!(doctor.contains("rack working, shelf working"), "{doctor}");
    first.stop();
    second.stop();
}

#[test]
fn a_sweep_is_planned_on_the_devices_of_all_hosts_and_alike_at_each() {
    let server = server();
    let [one, two] = two_hosts(&server.create("lab").unwrap());
    let (first, second) = (one.daemon(), two.daemon());
    let planned = |host: &Host| {
        let plan = host.json(&["plan", "configs/quick.yaml"]);
        let jobs = plan["jobs"].as_array().unwrap_or_else(|| panic!("{plan}")).iter();
        let mut jobs: Vec<_> =
            jobs.map(|job| [&job["id"], &job["device"]].map(|it| it.as_str().unwrap().to_owned())).collect();
        jobs.sort();
        jobs
    };
    for host in [&one, &two] {
        wait_until(|| devices(host) == union(), || format!("{:?}", devices(host)));
    }
    let (of_one, of_two) = (planned(&one), planned(&two));
    let names: Vec<&str> = of_one.iter().map(|[_, device]| device.as_str()).collect();
    assert!(["a", "b", "shared"].iter().all(|name| names.contains(name)) && names.len() == 3, "{of_one:?}");
    assert_eq!(of_one, of_two);
    // Another host's device can be named.
    one.write("configs/b.yaml", "models: [digits]\nweights: [trained]\ndevices: [b]\n");
    assert_eq!(one.json(&["plan", "configs/b.yaml"])["jobs"].as_array().unwrap().len(), 1);
    first.stop();
    second.stop();
}
