//! Three hosts of one lab: real daemons, each with a folder, a name, a machine identity and a clock of its own; one
//! PostgreSQL, and boards that two or three of the hosts reach. Each way of a host breaks alone: to the database, and
//! to each board.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use farmctl::domain::sha256_hex;
use farmctl::store::Store;
use farmctl::store::postgres::ServerAccess;
use serde_json::Value;
use tempfile::TempDir;
use testlab::{Board, FaultProxy, PostgresOptions, PostgresServer};
use tokio::runtime::Runtime;

use super::daemon::Daemon;
use super::keeper::wrong_clock;
use super::support::{Lab, farm, runtime, ssh_device};
use super::workdir::Workdir;

pub const HOSTS: [&str; 3] = ["host-a", "host-b", "host-c"];
/// How often it is looked at what the boards write of their runs: shorter than any of them takes.
const LOOK: Duration = Duration::from_millis(20);

/// A board, and the hosts that reach it.
pub struct Reached {
    pub name: &'static str,
    pub hosts: &'static [usize],
}

pub const BOARDS: [Reached; 3] = [
    Reached { name: "board-x", hosts: &[0, 1] },
    Reached { name: "board-y", hosts: &[0, 1, 2] },
    Reached { name: "board-z", hosts: &[1, 2] },
];

/// A host of the lab.
pub struct LabHost {
    pub lab: Lab,
    pub to_database: FaultProxy,
    to_boards: BTreeMap<&'static str, FaultProxy>,
    daemons: AtomicU32,
}

impl LabHost {
    /// Its way to a board that it reaches.
    pub fn to_board(&self, name: &str) -> &FaultProxy {
        &self.to_boards[name]
    }

    /// Its clock is so many seconds ahead from now on.
    pub fn set_clock(&self, ahead: i64) {
        // Whole or not at all: its processes read it at each look.
        self.lab.write("clock.new", &format!("{ahead:+}\n"));
        std::fs::rename(self.lab.path("clock.new"), self.lab.path("clock")).unwrap();
    }

    /// Starts its daemon by its clock, and waits until it works.
    pub fn start(&self) -> Daemon {
        let daemon = self.start_only();
        daemon.wait_for("page and API");
        daemon
    }

    /// Starts its daemon by its clock.
    pub fn start_only(&self) -> Daemon {
        let (clock, library) = (self.lab.path("clock"), wrong_clock());
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let number = self.daemons.fetch_add(1, Ordering::Relaxed);
        Daemon::start(&self.lab, &format!("daemon-{number}"), &environment)
    }

    /// What its daemon says is wrong.
    pub fn troubles(&self) -> Vec<String> {
        let said = std::fs::read(self.lab.path(".farm/daemon.json")).unwrap_or_default();
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        let troubles = said["troubles"].as_array().cloned().unwrap_or_default();
        troubles.iter().map(|trouble| trouble.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The table of a sweep, as this host renders it.
    pub fn table(&self, sweep: &str) -> String {
        let (code, stdout, stderr) = self.lab.run(&["report", sweep, "--format", "csv"]);
        assert_eq!(code, 0, "{stderr}");
        stdout
    }
}

/// The hosts, their server and their boards.
pub struct HostsLab {
    pub hosts: Vec<LabHost>,
    pub boards: Vec<Board>,
    pub server: PostgresServer,
    /// By a way of its own that nobody breaks.
    pub store: Arc<dyn Store>,
    _files: TempDir,
    _runtime: Runtime,
}

impl HostsLab {
    /// Hosts that have this sweep as `configs/story.yaml`.
    pub fn new(sweep: &str) -> HostsLab {
        let let_in = vec!["host all all 127.0.0.1/32 trust".to_owned()];
        let server = PostgresServer::start_with(PostgresOptions { let_in, ..PostgresOptions::default() }).unwrap();
        let url = server.create("lab").unwrap();
        let user = "nobody".to_owned();
        let access = ServerAccess { variable: Arc::new(|_| None), home: None, user, trust: Default::default() };
        let store = farmctl::store::open_at(&url, &access).unwrap();
        let (runtime, files) = (runtime(), tempfile::tempdir().unwrap());
        let boards: Vec<Board> = BOARDS.iter().map(|_| Board::start().unwrap()).collect();
        let host = |number| host(number, &server, &boards, &runtime);
        let hosts: Vec<LabHost> = (0..HOSTS.len()).map(host).collect();
        for host in &hosts {
            host.lab.write("lab.yaml", &format!("artifacts: {}\n", files.path().display()));
            host.lab.write("configs/story.yaml", sweep);
            host.lab.write("configs/daemon.yaml", "listen: 127.0.0.1:0\nprobe_minutes: 0\n");
        }
        HostsLab { hosts, boards, server, store, _files: files, _runtime: runtime }
    }

    pub fn workdirs(&self) -> Vec<Workdir> {
        self.boards.iter().map(Workdir::on_board).collect()
    }

    pub fn ask(&self, sql: &str) -> String {
        self.server.run_sql("lab", sql).unwrap().trim().to_owned()
    }

    pub fn number(&self, sql: &str) -> u64 {
        self.ask(sql).parse().unwrap()
    }

    /// Number of the attempt and status of a run's record.
    pub fn record_of(&self, run: &str) -> String {
        self.ask(&format!(
            "SELECT r.attempt, c.status FROM records c JOIN runs r ON r.id = c.run_id WHERE c.run_id = '{run}'"
        ))
    }
}

/// A host: its ways, its farm file, and what makes it a machine of its own.
fn host(number: usize, server: &PostgresServer, boards: &[Board], runtime: &Runtime) -> LabHost {
    let to_database = runtime.block_on(FaultProxy::start(server.address())).unwrap();
    let url = format!("postgres://farmctl@{}/lab?sslmode=disable", to_database.address());
    let lab = Lab::of_host(HOSTS[number], &url);
    // Hosts say the same of a board: its name and port. Each has an address of its own for it.
    let loopback = Ipv4Addr::new(127, 0, 2, u8::try_from(number + 1).unwrap());
    let (mut names, mut devices) = ("127.0.0.1 localhost\n".to_owned(), Vec::new());
    let mut to_boards = BTreeMap::new();
    for (Reached { name, hosts }, board) in BOARDS.iter().zip(boards) {
        if hosts.contains(&number) {
            let at = SocketAddr::from((loopback, board.port));
            to_boards.insert(*name, runtime.block_on(FaultProxy::start_at(at, board.address())).unwrap());
            names.push_str(&format!("{loopback} {name}\n"));
            devices.push(ssh_device(name, board, board.port).replace("host: 127.0.0.1", &format!("host: {name}")));
        }
    }
    lab.write("hosts", &names);
    lab.write("machine-id", &format!("{}\n", &sha256_hex(url.as_bytes())[..32]));
    lab.write("farms/lab.yaml", &farm(&devices));
    let host = LabHost { lab, to_database, to_boards, daemons: AtomicU32::new(0) };
    host.set_clock(0);
    host
}

/// A run of a board.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BoardRun {
    board: usize,
    run: String,
}

/// When a board had a run, in milliseconds of its own clock.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    board: usize,
    began: u64,
    ended: u64,
    run: String,
}

/// Keeps what the boards themselves write of their runs, also of those whose folders are gone.
pub struct Witness {
    messages: Arc<Mutex<BTreeMap<BoardRun, File>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Witness {
    pub fn of(workdirs: &[Workdir]) -> Witness {
        let folders: Vec<PathBuf> = workdirs.iter().map(|workdir| workdir.path("runs")).collect();
        let (messages, is_over) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicBool::new(false)));
        let (kept, ends) = (Arc::clone(&messages), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut known = BTreeSet::new();
            while !ends.load(Ordering::Relaxed) {
                for (board, folder) in folders.iter().enumerate() {
                    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                        let run = BoardRun { board, run: entry.file_name().into_string().unwrap() };
                        // Not there yet: at the next look.
                        let Ok(file) = File::open(entry.path().join("messages.jsonl")) else { continue };
                        if known.insert(run.clone()) {
                            kept.lock().unwrap().insert(run, file);
                        }
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
        Witness { messages, is_over, thread: Some(thread) }
    }

    /// Runs of one board that went on at the same time, by the board's own words, and how many runs there were.
    pub fn at_once(mut self) -> (Vec<String>, usize) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let mut spans = Vec::new();
        for (BoardRun { board, run }, file) in self.messages.lock().unwrap().iter_mut() {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let of = |name: &str| lines.iter().find_map(|line| find(line, name));
            // One that its host has ended tells no time: its last word was then.
            let written = file.metadata().unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
            let ended = of("finished_unix_ms").unwrap_or(u64::try_from(written.as_millis()).unwrap());
            let began = of("started_unix_ms").unwrap_or(ended);
            spans.push(Span { board: *board, began, ended, run: run.clone() });
        }
        spans.sort();
        let pairs = spans.windows(2).filter(|pair| pair[0].board == pair[1].board && pair[1].began < pair[0].ended);
        (pairs.map(|pair| format!("{pair:?}")).collect(), spans.len())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// A number in a message, whatever it lies in.
fn find(message: &Value, name: &str) -> Option<u64> {
    match message {
        Value::Object(fields) => {
            fields.get(name).and_then(Value::as_u64).or_else(|| fields.values().find_map(|field| find(field, name)))
        }
        _ => None,
    }
}

/// Waits until something is so, at most so long; whether it is.
pub fn is_soon(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let give_up_at = Instant::now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > give_up_at {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
