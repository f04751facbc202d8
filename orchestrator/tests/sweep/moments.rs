//! Bad moments on real servers, at times that a seed settles: each board loses its way, its login, its key, its boot or
//! its disk for seconds, again and again. Each job ends with its one record, no board is quarantined, and what was
//! measured is kept. Ten seconds here; `FARMCTL_MOMENTS_SECONDS=600 FARMCTL_MOMENTS_SEED=7` in the environment of
//! `scripts/test moments` makes a night of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use testlab::{Board, BoardOptions, Direction, FaultProxy};

use super::support::{Lab, Outcome, farm, lasting, runtime, ssh_device};

/// How long it goes on where nobody says.
const USUAL_SECONDS: u64 = 10;
const BOARDS: usize = 3;
/// A board's disk, which one of the moments fills.
const DISK_BYTES: u64 = 160 << 20;
const JOBS_A_BOARD: usize = 2;

/// What a board loses for a moment.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Its connections, once.
    Cut,
    /// Those of the next logins, at some byte of them.
    CutLogins,
    /// The way to it, without a word.
    Stall,
    /// New connections.
    Refuse,
    /// Most of its bandwidth.
    Slow,
    /// Its key of the lab.
    LockOut,
    /// Its address, to another machine.
    OtherMachine,
    /// Its shell, as while it boots.
    Closed,
    /// Its server.
    Killed,
    /// Itself, with all that runs.
    Frozen,
    /// The room on its disk.
    Full,
}

const MOMENTS: [Moment; 11] = [
    Moment::Cut,
    Moment::CutLogins,
    Moment::Stall,
    Moment::Refuse,
    Moment::Slow,
    Moment::LockOut,
    Moment::OtherMachine,
    Moment::Closed,
    Moment::Killed,
    Moment::Frozen,
    Moment::Full,
];

/// A seeded source of numbers (xorshift64).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}

/// A board, the way to it, and what stands there when its shell lets nobody in.
struct Place {
    board: Board,
    proxy: FaultProxy,
    closed: PathBuf,
}

impl Place {
    fn new(lab: &Lab, number: usize, runtime: &tokio::runtime::Runtime) -> Place {
        let (closed, shell) = (lab.path(&format!("closed-{number}")), lab.path(&format!("shell-{number}")));
        let script = format!("#!/bin/sh\n[ ! -e {0} ] || exit 254\nexec /bin/sh \"$@\"\n", closed.display());
        std::fs::write(&shell, script).unwrap();
        std::fs::set_permissions(&shell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let options =
            BoardOptions { login_shell: Some(shell), disk_size_bytes: Some(DISK_BYTES), ..BoardOptions::default() };
        let board = Board::start_with(&options).unwrap();
        let proxy = runtime.block_on(FaultProxy::start(board.address())).unwrap();
        Place { board, proxy, closed }
    }

    /// Lets a moment come, last, and pass.
    fn suffer(&self, moment: Moment, chance: &mut Chance, other: &Board) {
        let Place { board, proxy, closed } = self;
        let length = chance.millis(200, 2500);
        let last = || std::thread::sleep(length);
        match moment {
            Moment::Cut => proxy.cut(),
            Moment::CutLogins => {
                for _ in 0..2 {
                    let direction = [Direction::ToClient, Direction::ToServer][chance.below(2) as usize];
                    proxy.cut_next(direction, chance.below(2500));
                }
                proxy.cut();
            }
            Moment::Stall => (proxy.stall(), last(), proxy.pass()).2,
            Moment::Refuse => (proxy.refuse(), proxy.cut(), last(), proxy.pass()).3,
            Moment::Slow => (proxy.slow(20_000), last(), proxy.pass()).2,
            Moment::LockOut => (board.lock_out().unwrap(), proxy.cut(), last(), board.let_in().unwrap()).3,
            Moment::OtherMachine => {
                proxy.redirect(other.address());
                last();
                proxy.redirect(board.address());
            }
            Moment::Closed => {
                std::fs::write(closed, "").unwrap();
                proxy.cut();
                last();
                std::fs::remove_file(closed).unwrap();
            }
            Moment::Killed => (board.kill_daemon().unwrap(), last(), board.restart_daemon().unwrap()).2,
            Moment::Frozen => (board.freeze(), last(), board.thaw()).2,
            Moment::Full => (board.disk().unwrap().fill().unwrap(), last(), board.disk().unwrap().free().unwrap()).2,
        }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// What a sweep that had its bad moments must have kept: each run, but those whose samples found no room on the disk.
fn check(lab: &Lab, ended: &Outcome) -> Result<(), String> {
    let rows = lab.rows();
    let given_back = ended.named("run_given_back");
    let is_kept = ended.named("run_started").len() == rows.len() + given_back.len()
        && given_back.iter().all(|event| event["failure"]["kind"] == "disk_full");
    let is_whole = rows.len() == BOARDS * JOBS_A_BOARD && rows.iter().all(|row| row["status"] == "ok");
    if ended.code == 0 && is_kept && is_whole && ended.named("device_quarantined").is_empty() {
        return Ok(());
    }
    let of_row = |row: &std::collections::HashMap<String, String>| {
        format!("{} {} {}: {}", row["device"], row["status"], row["attempt"], row["failure"])
    };
    let rows: Vec<String> = rows.iter().map(of_row).collect();
    let told = |name: &str| ended.named(name).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let [quarantined, given_back, started] = ["device_quarantined", "run_given_back", "run_started"].map(told);
    Err(format!("code {}; {rows:#?}\n{quarantined}\n{given_back}\n{started}\n{}", ended.code, ended.stderr))
}

#[test]
fn bad_moments_cost_no_row_no_run_and_no_board() {
    let seconds = number("FARMCTL_MOMENTS_SECONDS", USUAL_SECONDS);
    let seed = number("FARMCTL_MOMENTS_SEED", 1);
    let (lab, runtime, other) = (Lab::new(), runtime(), Board::start().unwrap());
    let places: Vec<Place> = (0..BOARDS).map(|number| Place::new(&lab, number, &runtime)).collect();
    let devices = places.iter().enumerate();
    let devices: Vec<String> =
        devices.map(|(at, it)| ssh_device(&format!("board-{at}"), &it.board, it.proxy.address().port())).collect();
    lab.write("farms/lab.yaml", &farm(&devices));
    let timeouts = "timeouts: { connect_seconds: 3 }\n";
    lab.write("configs/run.yaml", &format!("{}repeats: {JOBS_A_BOARD}\n{timeouts}", lasting(1)));
    let (code, _, stderr) = lab.run(&["devices", "probe"]);
    assert_eq!(code, 0, "{stderr}");
    let (begun, length) = (Instant::now(), Duration::from_secs(seconds));
    let (mut sweeps, mut faults) = (0, Vec::new());
    let moments: Vec<Vec<String>> = std::thread::scope(|scope| {
        let suffering: Vec<_> = places
            .iter()
            .enumerate()
            .map(|(at, place)| {
                let other = &other;
                scope.spawn(move || {
                    let (mut chance, mut had) = (Chance::new(seed * 100 + at as u64), Vec::new());
                    // The last sweep ends in peace.
                    while begun.elapsed() < length {
                        std::thread::sleep(chance.millis(200, 2500));
                        let moment = MOMENTS[chance.below(MOMENTS.len() as u64) as usize];
                        had.push(format!("{:.1} s {moment:?}", begun.elapsed().as_secs_f64()));
                        place.suffer(moment, &mut chance, other);
                    }
                    had
                })
            })
            .collect();
        while begun.elapsed() < length {
            let ended = lab.sweep(&["configs/run.yaml"]);
            sweeps += 1;
            faults.extend(check(&lab, &ended).err().map(|fault| format!("{:?}: {fault}", begun.elapsed())));
        }
        suffering.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let had: usize = moments.iter().map(Vec::len).sum();
    eprintln!("seed {seed}: {sweeps} sweeps of {} jobs, {had} moments", BOARDS * JOBS_A_BOARD);
    assert!(faults.is_empty(), "seed {seed}: {} of {sweeps} sweeps\n{}\n{moments:#?}", faults.len(), faults.join("\n"));
}
