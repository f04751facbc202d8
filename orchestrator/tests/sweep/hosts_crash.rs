//! Three hosts carry sweeps out while the worst happens to them: a host dies, or stands still for longer than its
//! lease; the database is gone, or one host's way to it, or to a board; clocks are set. Each job has its one record all
//! the same, no board ever has two runs at once, and all hosts tell the same.
//!
//! `FARMCTL_CRASH_SEED=N` has the moments of an earlier run again, as far as time lets it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use farmctl::domain::{SweepId, sha256_hex};
use farmctl::lease::LEASE;
use jiff::Timestamp;
use nix::sys::signal::Signal;

use super::daemon::Daemon;
use super::hosts_lab::{BOARDS, HOSTS, HostsLab, Witness, is_soon};
use super::support::lasting;
use super::workdir::expect_nothing_left;

/// Each job measures for a second.
const REPEATS: u64 = 12;
const DAY_SECONDS: i64 = 86_400;
const OFF_SECONDS: i64 = 300;
/// Nothing that is waited for takes longer, however slow the machine.
const LIMIT: Duration = Duration::from_secs(240);
/// A host that stood still for so long has lost its leases.
const BEYOND_LEASE: Duration = Duration::from_secs(LEASE.as_secs() + 5);

/// A host stands still at one of the first moments.
const EARLY: usize = 6;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A host's daemon is killed, and started again at once or some moments later.
    Kill,
    /// A host stands still for longer than its leases last.
    Freeze,
    /// The server is stopped at once, and started again at once or some seconds later.
    DatabaseGone,
    /// A host does not reach the database for some moments.
    DatabaseCut,
    /// A host does not reach one board for some moments.
    BoardCut,
    /// A host's clock is set.
    Clock,
}

/// How often each happens: 25 moments.
const OFTEN: [(Kind, usize); 6] = [
    (Kind::Kill, 8),
    (Kind::Freeze, 1),
    (Kind::DatabaseGone, 4),
    (Kind::DatabaseCut, 4),
    (Kind::BoardCut, 4),
    (Kind::Clock, 4),
];

/// Numbers by a seed: the hash of it and a count.
struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.drawn += 1;
        let digits = &sha256_hex(format!("{} {}", self.seed, self.drawn).as_bytes())[..12];
        usize::try_from(u64::from_str_radix(digits, 16).unwrap()).unwrap() % limit
    }

    fn seconds(&mut self, most: usize) -> Duration {
        Duration::from_millis(self.below(most * 1000) as u64)
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        if among.is_empty() { None } else { Some(among[self.below(among.len())]) }
    }

    /// All that is to happen, in an order.
    fn moments(&mut self) -> Vec<Kind> {
        let mut moments: Vec<Kind> = OFTEN.iter().flat_map(|(kind, times)| vec![*kind; *times]).collect();
        for last in (1..moments.len()).rev() {
            moments.swap(last, self.below(last + 1));
        }
        // It lasts for long: the rest happens meanwhile.
        let frozen = moments.iter().position(|kind| *kind == Kind::Freeze).unwrap_or_default();
        moments.swap(frozen, frozen % EARLY);
        moments
    }
}

/// How a host is.
enum HostState {
    Up(Daemon),
    /// Since then.
    Frozen(Daemon, Instant),
    /// Until the moment of this number.
    Dead(usize),
}

/// A way that is broken, until the moment of this number.
struct Broken {
    host: usize,
    /// `None`: the way to the database.
    board: Option<&'static str>,
    until: usize,
}

struct Story {
    lab: HostsLab,
    chance: Chance,
    states: Vec<HostState>,
    broken: Vec<Broken>,
    /// The number of the moment.
    now: usize,
    began: Instant,
}

/// What the server itself saw of runs: when each began and ended, by its clock, whoever asked for it.
const WATCH: &str = "
    CREATE SCHEMA witness;
    CREATE TABLE witness.seen (run TEXT, device TEXT, state TEXT, at TIMESTAMPTZ);
    CREATE FUNCTION witness.see() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness.seen SELECT NEW.id, device, NEW.state, clock_timestamp() FROM jobs
        WHERE sweep_id = NEW.sweep_id AND job_id = NEW.job_id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER witness AFTER INSERT OR UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION witness.see();";

const AT_ONCE: &str = "
    WITH spans AS (SELECT device, run, min(at) AS began,
            coalesce(min(at) FILTER (WHERE state <> 'live'), 'infinity') AS ended
        FROM witness.seen GROUP BY device, run)
    SELECT a.device, a.run, a.began, a.ended, b.run, b.began, b.ended FROM spans a
    JOIN spans b ON a.device = b.device AND a.run <> b.run AND a.began <= b.began AND b.began < a.ended";

impl Story {
    fn new(seed: u64) -> Story {
        let lab = HostsLab::new(&format!("{}repeats: {REPEATS}\n", lasting(1)));
        lab.ask(WATCH);
        // One of them is a day off all the time.
        lab.hosts[2].set_clock(DAY_SECONDS);
        let states = lab.hosts.iter().map(|host| HostState::Up(host.start())).collect();
        let chance = Chance { seed, drawn: 0 };
        Story { lab, chance, states, broken: Vec::new(), now: 0, began: Instant::now() }
    }

    fn say(&self, what: &str) {
        let open: usize = self.sweeps().iter().map(|sweep| self.lab.store.open_jobs(sweep, None).unwrap().len()).sum();
        println!("{:5.1} s, moment {}, {open} jobs open: {what}", self.began.elapsed().as_secs_f64(), self.now);
    }

    /// What there is to see, where something was waited for in vain.
    fn seen(&self) -> String {
        let told = self.states.iter().zip(HOSTS).map(|(state, name)| match state {
            HostState::Up(daemon) => format!("{name}:\n{}", daemon.told()),
            HostState::Frozen(daemon, _) => format!("{name}, frozen:\n{}", daemon.told()),
            HostState::Dead(_) => format!("{name}: dead\n"),
        });
        let open = self.lab.ask(
            "SELECT sweep_id, device, state, count(*) FROM jobs WHERE state <> 'recorded' GROUP BY 1, 2, 3;
             SELECT id, lease_holder, lease_until_ns FROM runs WHERE state = 'live';
             SELECT * FROM device_leases; SELECT * FROM sweep_parts WHERE until_ns > 0",
        );
        format!("{open}\n{}", told.collect::<String>())
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        assert!(is_soon(LIMIT, is_so), "waited in vain for {what}:\n{}", self.seen());
    }

    fn up(&self) -> Vec<usize> {
        (0..HOSTS.len()).filter(|host| matches!(self.states[*host], HostState::Up(_))).collect()
    }

    fn sweeps(&self) -> Vec<SweepId> {
        self.lab.store.sweeps().unwrap().into_iter().map(|sweep| sweep.id).collect()
    }

    fn is_over(&self) -> bool {
        self.lab.store.sweeps().unwrap().iter().all(|sweep| sweep.state.is_over())
    }

    /// Begins a sweep at a host, and leaves it to the daemons.
    fn begin_sweep(&mut self) {
        self.heal();
        let host = self.chance.below(HOSTS.len());
        self.say(&format!("a sweep is begun at {}", HOSTS[host]));
        let before: BTreeSet<SweepId> = self.sweeps().into_iter().collect();
        let running = self.lab.hosts[host].lab.start(&["configs/story.yaml"]);
        let is_begun = || {
            let new = self.sweeps().into_iter().find(|sweep| !before.contains(sweep));
            new.is_some_and(|new| !self.lab.store.live_runs(&new, None).unwrap().is_empty())
        };
        self.wait_until("a run of the new sweep", is_begun);
        running.kill();
    }

    /// What is over by now: broken ways, dead hosts, and those that stood still for long enough.
    fn go_on(&mut self, is_all: bool) {
        let now = self.now;
        let (over, broken) = std::mem::take(&mut self.broken).into_iter().partition(|it| is_all || it.until <= now);
        self.broken = broken;
        let over: Vec<Broken> = over;
        for Broken { host, board, .. } in over {
            self.say(&format!("{} reaches {} again", HOSTS[host], board.unwrap_or("the database")));
            self.pass(host, board);
        }
        for host in 0..HOSTS.len() {
            match &self.states[host] {
                HostState::Dead(until) if is_all || *until <= now => self.restart(host),
                HostState::Frozen(_, since) if since.elapsed() > BEYOND_LEASE => self.thaw(host),
                HostState::Frozen(_, since) if is_all => {
                    let since = *since;
                    self.wait_until("the end of a lease", || since.elapsed() > BEYOND_LEASE);
                    self.thaw(host);
                }
                _ => {}
            }
        }
    }

    fn pass(&self, host: usize, board: Option<&str>) {
        let host = &self.lab.hosts[host];
        board.map_or(&host.to_database, |board| host.to_board(board)).pass();
    }

    fn restart(&mut self, host: usize) {
        self.say(&format!("{} is started again", HOSTS[host]));
        // A daemon that does not reach the database does not start.
        self.broken.retain(|broken| broken.host != host || broken.board.is_some());
        self.pass(host, None);
        self.states[host] = HostState::Up(self.lab.hosts[host].start());
    }

    fn thaw(&mut self, host: usize) {
        self.say(&format!("{} goes on", HOSTS[host]));
        if let HostState::Frozen(daemon, _) = std::mem::replace(&mut self.states[host], HostState::Dead(0)) {
            daemon.signal(Signal::SIGCONT);
            self.states[host] = HostState::Up(daemon);
        }
    }

    /// All is well from now on.
    fn heal(&mut self) {
        self.go_on(true);
    }

    /// Lets the hosts work, for so long or until so much has happened.
    fn work(&mut self) {
        let (limit, events) = (self.chance.seconds(6), 1 + self.chance.below(60) as u64);
        let before = self.lab.store.last_event().unwrap();
        is_soon(limit, || self.lab.store.last_event().unwrap() >= before + events);
    }

    fn happen(&mut self, kind: Kind) {
        let until = self.now + self.chance.below(4);
        let up = self.up();
        // One host is at work at any moment.
        let may_lose = up.len() > 1;
        match kind {
            Kind::Kill | Kind::Freeze if may_lose => {
                let host = self.chance.pick(&up).unwrap();
                let HostState::Up(daemon) = std::mem::replace(&mut self.states[host], HostState::Dead(until)) else {
                    unreachable!("it is up")
                };
                if kind == Kind::Freeze {
                    self.say(&format!("{} stands still", HOSTS[host]));
                    daemon.signal(Signal::SIGSTOP);
                    self.states[host] = HostState::Frozen(daemon, Instant::now());
                } else {
                    self.say(&format!("{} is killed, until moment {until}", HOSTS[host]));
                    daemon.kill();
                }
            }
            Kind::DatabaseGone => {
                let limit = if self.chance.below(2) == 0 { Duration::ZERO } else { self.chance.seconds(5) };
                self.say(&format!("the database is gone for {limit:?}"));
                self.lab.server.stop_at_once();
                is_soon(limit, || false);
                self.lab.server.restart().unwrap();
            }
            Kind::DatabaseCut | Kind::BoardCut => {
                let host = self.chance.below(HOSTS.len());
                let reached = BOARDS.iter().filter(|board| board.hosts.contains(&host)).map(|board| board.name);
                let reached: Vec<&'static str> = reached.collect();
                let board = if kind == Kind::BoardCut { self.chance.pick(&reached) } else { None };
                let way = &self.lab.hosts[host];
                let way = board.map_or(&way.to_database, |board| way.to_board(board));
                let is_silent = self.chance.below(2) == 0;
                if is_silent {
                    way.stall();
                } else {
                    way.refuse();
                    way.cut();
                }
                let how = if is_silent { "silently" } else { "loudly" };
                let what = board.unwrap_or("the database");
                self.say(&format!("{} is cut from {what} {how}, until moment {}", HOSTS[host], until + 1));
                self.broken.push(Broken { host, board, until: until + 1 });
            }
            Kind::Clock | Kind::Kill | Kind::Freeze => {
                let (host, ahead) = (self.chance.below(2), [OFF_SECONDS, -OFF_SECONDS, 0][self.chance.below(3)]);
                self.say(&format!("the clock of {} is {ahead} s ahead", HOSTS[host]));
                self.lab.hosts[host].set_clock(ahead);
            }
        }
    }

    /// Each job has its one record, which is good; no board had two runs at once; all hosts tell the same; nothing is
    /// left, and nobody complains.
    fn check(mut self, witness: Witness) {
        assert_eq!(self.lab.ask(AT_ONCE), "", "two runs of a board at once, by the server's clock");
        let (at_once, runs) = witness.at_once();
        assert_eq!(at_once, Vec::<String>::new(), "by the boards' own words");
        let sweeps = self.sweeps();
        let jobs = REPEATS * BOARDS.len() as u64 * sweeps.len() as u64;
        println!("{} sweeps, {jobs} jobs, {runs} runs on boards", sweeps.len());
        assert!(runs as u64 >= jobs, "a board was not looked at: {runs} runs");
        let of_records = "SELECT count(*) FROM records c JOIN jobs j USING (sweep_id, job_id)";
        let counts = ["SELECT count(*) FROM jobs", "SELECT count(*) FROM records", of_records];
        assert_eq!(counts.map(|sql| self.lab.number(sql)), [jobs; 3]);
        let bad = "SELECT sweep_id, device, status, left(record, 1500) FROM records JOIN jobs USING (sweep_id, job_id)
                   WHERE status <> 'ok' LIMIT 5";
        assert_eq!(self.lab.ask(bad), "", "{}", self.seen());
        for sweep in &sweeps {
            let told = self.lab.hosts.iter().map(|host| host.table(sweep.as_str())).collect::<BTreeSet<_>>();
            assert_eq!(told.len(), 1, "hosts tell of {sweep} in several ways: {told:#?}");
        }
        self.lab.ask("DROP TRIGGER witness ON runs; DROP SCHEMA witness CASCADE");
        assert_eq!(self.lab.store.check().unwrap().faults, Vec::<String>::new());
        expect_nothing_left(&self.lab.workdirs());
        let held = || self.lab.store.device_leases(Timestamp::now()).unwrap();
        self.wait_until("devices that nobody has", || held().is_empty());
        let troubles = || self.lab.hosts.iter().flat_map(|host| host.troubles()).collect::<Vec<_>>();
        self.wait_until(&format!("an end of troubles: {:?}", troubles()), || troubles().is_empty());
        for (state, name) in self.states.drain(..).zip(HOSTS) {
            let HostState::Up(daemon) = state else { panic!("{name} is not up") };
            let told = daemon.told();
            assert!(daemon.stop().success(), "{name}:\n{told}");
        }
    }
}

#[test]
fn three_hosts_have_25_bad_moments_and_each_job_has_one_record() {
    let seed = std::env::var("FARMCTL_CRASH_SEED").map_or_else(
        |_| u64::try_from(Timestamp::now().as_millisecond()).unwrap(),
        |seed| seed.parse().expect("FARMCTL_CRASH_SEED=N"),
    );
    println!("FARMCTL_CRASH_SEED={seed} has these moments again");
    let mut story = Story::new(seed);
    let witness = Witness::of(&story.lab.workdirs());
    let moments = story.chance.moments();
    assert_eq!(moments.len(), 25);
    for kind in moments {
        if story.is_over() {
            story.begin_sweep();
        }
        story.work();
        story.now += 1;
        story.go_on(false);
        story.happen(kind);
    }
    story.heal();
    story.lab.hosts.iter().for_each(|host| host.set_clock(0));
    story.wait_until("the end of the sweeps", || story.is_over());
    story.say("all sweeps are over");
    story.check(witness);
}
