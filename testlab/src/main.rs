//! `testlab up FILE`: virtual phones and boards to try farmctl on, until Ctrl-C; `testlab fault …`: breaks one of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use testlab::{Farm, FarmOptions, Fault, LabDevice, LabError, Machine};
use tokio::signal::unix::{Signal, SignalKind, signal};

const USAGE: &str = "\
usage: testlab up FILE [--phones N] [--boards N] [--emulated-boards N] [--duplicate]
       testlab up FOLDER --hosts N [--phones N] [--boards N] [--emulated-boards N]
       testlab fault FILE|FOLDER NAME ACTION

up starts virtual devices, writes the farm file FILE, and stays until Ctrl-C. (Phones and hosts need root.)
  --phones N     phones with Android's adb daemon; from two on the last one has an ARM CPU (default: 0)
  --boards N     boards with an ssh server, every fourth one dropbear (default: 4 without others, else 0)
  --emulated-boards N
                 boards that are whole aarch64 machines; each takes some 6 to 30 s to start
  --duplicate    lists the first phone a second time, by another way to it
  --hosts N      hosts of one lab, each with a folder in FOLDER, which goes in the end; two reach each board, one each
                 phone; they share a database. Call it in a clone of the repository: configs/ is copied

fault does something to a device of the farm that `up` wrote to FILE (FILE may also be its control socket):
  cut            closes its connections
  stall          lets nothing pass to it and from it; closes nothing
  slow BYTES     lets so many bytes pass in a second
  garble         damages what it sends
  duplicate      what it sends comes twice
  pass           undoes stall, slow, garble and duplicate
  stop, cont     everything on it hangs; goes on
  kill, restart  its daemon dies (what runs goes on); is started again
  reboot         it is turned off and on
  unplug, replug the cable of a phone
  fill, free     its disk is full; has room again
NAME may be a host, too: kill (all that runs on it dies), restart, stop, cont, and the faults of ways, of all of its
ways; or one way of it: host-1/board-2, host-1/database.

example: testlab up farms/testlab.yaml --phones 3 --boards 4
         testlab fault farms/testlab.yaml phone-2 slow 200000
         testlab up lab --hosts 3 --boards 4
         testlab fault lab host-2/database stall";
const DEFAULT_BOARDS: usize = 4;
const MAX_DEVICES: usize = 200;
const MAX_HOSTS: usize = 20;

#[derive(Debug, PartialEq, Eq)]
enum Task {
    Up { path: PathBuf, options: FarmOptions },
    Fault { path: PathBuf, order: String },
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(task) = task(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let result = match task {
        Task::Up { path, options } => up(&path, options).await,
        Task::Fault { path, order } => testlab::send(&path, &order),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testlab: failed to {error}");
            ExitCode::FAILURE
        }
    }
}

fn task(words: &[&str]) -> Option<Task> {
    match words {
        ["up", rest @ ..] => up_arguments(rest),
        ["fault", file, device, action @ ..] => {
            Fault::parse(action)?;
            Some(Task::Fault { path: PathBuf::from(file), order: format!("{device} {}", action.join(" ")) })
        }
        _ => None,
    }
}

fn up_arguments(words: &[&str]) -> Option<Task> {
    let mut words = words.iter();
    let up_to = |most: usize, word: Option<&&str>| word?.parse().ok().filter(|count| (0..=most).contains(count));
    let count = |word| up_to(MAX_DEVICES, word);
    let (mut path, mut boards, mut options) = (None, None, FarmOptions::default());
    while let Some(&word) = words.next() {
        match word {
            "--phones" => options.phones = count(words.next())?,
            "--boards" => boards = Some(count(words.next())?),
            "--emulated-boards" => options.emulated_boards = count(words.next())?,
            "--hosts" => options.hosts = up_to(MAX_HOSTS, words.next()).filter(|count| *count > 0)?,
            "--duplicate" => options.duplicate = true,
            option if option.starts_with('-') => return None,
            _ if path.is_none() => path = Some(PathBuf::from(word)),
            _ => return None,
        }
    }
    let others = options.phones + options.emulated_boards;
    options.boards = boards.unwrap_or(if others == 0 { DEFAULT_BOARDS } else { 0 });
    let has_first = options.phones > 0 && options.hosts == 0;
    let is_possible = others + options.boards > 0 && (has_first || !options.duplicate);
    is_possible.then_some(Task::Up { path: path?, options })
}

async fn up(path: &Path, options: FarmOptions) -> Result<(), LabError> {
    // From here on a signal is waited for, so that an early one also cleans up.
    let failed = |source| LabError::File { what: "wait for signals for", path: path.to_owned(), source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut farm = Farm::start(options).await?;
    if options.hosts > 0 {
        farm.start_hosts(options.hosts, path).await?;
    } else {
        farm.write_inventory(path)?;
    }
    let mut farm = Arc::new(farm);
    let connected = Arc::clone(&farm);
    let connecting = tokio::task::spawn_blocking(move || connected.connect_phones());
    connecting.await.map_err(|error| failed(std::io::Error::other(error)))??;
    print_devices(&farm);
    if options.hosts > 0 {
        guide_to_hosts(&farm, path)
    } else {
        guide_to_farm(&farm, path)
    }
    let result = tokio::select! {
        result = testlab::serve(Arc::clone(&farm)) => result,
        () = either(&mut interrupt, &mut terminate) => Ok(()),
    };
    // An order that is being obeyed is waited for, so that the devices go with this value.
    while let Err(shared) = Arc::try_unwrap(farm).map(drop) {
        farm = shared;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("the devices are gone");
    result
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn print_devices(farm: &Farm) {
    for LabDevice { name, machine, proxy } in &farm.devices {
        let (host, port) = (proxy.address().ip(), proxy.address().port());
        match machine {
            Machine::Phone(phone) => println!("{name}: adb connect {host}:{port}   (ro.serialno {})", phone.serial()),
            Machine::Board(board) => {
                println!("{name}: ssh -p {port} -i {} {}@{host}", board.identity.path.display(), board.user);
            }
            Machine::Emulated(board) => {
                println!("{name}: ssh -p {port} -i {} root@{host}", board.identity.path.display());
            }
        }
    }
}

/// What is done next with several hosts.
fn guide_to_hosts(farm: &Farm, path: &Path) {
    for host in farm.hosts() {
        let reached: Vec<&str> = host.ways.iter().map(|way| way.name.as_str()).collect();
        println!("{}: page http://{}/, reaches {}", host.name, host.page, reached.join(", "));
    }
    let (hosts, devices) = (farm.hosts().len(), farm.devices.len());
    println!("{hosts} hosts and {devices} devices are up. In a terminal for each host:");
    for host in farm.hosts() {
        println!("  {}/{}/enter \"$PWD/target/release/farmctl\" daemon", path.display(), host.name);
    }
    let first = farm.hosts().first().map_or("HOST", |host| &host.name);
    println!("Then, at any host:");
    println!("  {}/{first}/enter \"$PWD/target/release/farmctl\" sweep configs/smoke.yaml", path.display());
    println!("  cargo run -p testlab -- fault {} {first} kill    # or another fault", path.display());
    println!("Ctrl-C ends them and removes the folder.");
}

/// What is done next with a farm file.
fn guide_to_farm(farm: &Farm, path: &Path) {
    println!("{} devices are up, and {} names them. In another terminal:", farm.devices.len(), path.display());
    if let Some(server) = &farm.server {
        println!("  export ANDROID_ADB_SERVER_PORT={}    # for adb itself; the farm file says it too", server.port());
    }
    println!("  cargo run --release --bin farmctl -- --farm {} sweep configs/smoke.yaml", path.display());
    println!(
        "  cargo run -p testlab -- fault {} {} stall    # or another fault, as `testlab` alone lists them",
        path.display(),
        { farm.devices.first().map_or("DEVICE", |device| &device.name) }
    );
    println!("Ctrl-C ends them and removes the file.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Task> {
        task(&line.split_ascii_whitespace().collect::<Vec<_>>())
    }

    fn up_with(path: &str, phones: usize, boards: usize, duplicate: bool) -> Option<Task> {
        Some(Task::Up {
            path: PathBuf::from(path),
            options: FarmOptions { phones, boards, duplicate, ..FarmOptions::default() },
        })
    }

    #[test]
    fn arguments_are_checked() {
        assert_eq!(parse("up farms/x.yaml"), up_with("farms/x.yaml", 0, DEFAULT_BOARDS, false));
        assert_eq!(parse("up --boards 2 x --phones 3"), up_with("x", 3, 2, false));
        assert_eq!(parse("up x --phones 1 --duplicate"), up_with("x", 1, 0, true));
        let options = FarmOptions { boards: 2, hosts: 3, ..FarmOptions::default() };
        assert_eq!(parse("up lab --hosts 3 --boards 2"), Some(Task::Up { path: PathBuf::from("lab"), options }));
        let order = "phone-1 slow 9".to_owned();
        assert_eq!(parse("fault x phone-1 slow 9"), Some(Task::Fault { path: PathBuf::from("x"), order }));
        for bad in [
            "",
            "down x",
            "up",
            "up x y",
            "up x --boards",
            "up x --boards 0",
            "up x --boards many",
            "up x --phones -1",
            "up x --duplicate",
            "up x --hosts 0",
            "up x --hosts 2 --phones 1 --duplicate",
            "up x --colour",
            "fault x phone-1",
            "fault x phone-1 explode",
            "fault x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
