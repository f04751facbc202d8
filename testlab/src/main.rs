//! `testlab up FILE [--boards N]`: virtual boards to try farmctl on, until Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testlab::{Farm, LabError};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: testlab up FILE [--boards N]   (for example: testlab up farms/testlab.yaml --boards 4)";
const DEFAULT_BOARDS: usize = 4;
const MAX_BOARDS: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some((path, boards)) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match up(&path, boards).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testlab: failed to {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Option<(PathBuf, usize)> {
    if words.next()? != "up" {
        return None;
    }
    let (mut path, mut boards) = (None, DEFAULT_BOARDS);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--boards" => boards = words.next()?.parse().ok().filter(|count| (1..=MAX_BOARDS).contains(count))?,
            option if option.starts_with('-') => return None,
            _ if path.is_none() => path = Some(PathBuf::from(word)),
            _ => return None,
        }
    }
    Some((path?, boards))
}

async fn up(path: &Path, boards: usize) -> Result<(), LabError> {
    // From here on a signal is waited for, so that an early one also cleans up.
    let failed = |source| LabError::File { what: "wait for signals for", path: path.to_owned(), source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut farm = Farm::start(boards)?;
    farm.write_inventory(path)?;
    for (index, board) in farm.boards.iter().enumerate() {
        println!(
            "board-{}: ssh -p {} -i {} {}@127.0.0.1",
            index + 1,
            board.port,
            board.identity.path.display(),
            board.user
        );
    }
    println!("{boards} boards are up, and {} names them. In another terminal:", path.display());
    println!("  cargo run --release --bin farmctl -- sweep configs/smoke.yaml");
    println!("Ctrl-C ends them and removes the file.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(farm);
    println!("the boards are gone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<(PathBuf, usize)> {
        arguments(line.split_ascii_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_checked() {
        assert_eq!(parse("up farms/x.yaml"), Some((PathBuf::from("farms/x.yaml"), DEFAULT_BOARDS)));
        assert_eq!(parse("up --boards 2 x"), Some((PathBuf::from("x"), 2)));
        for bad in
            ["", "down x", "up", "up x y", "up x --boards", "up x --boards 0", "up x --boards many", "up x --colour"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
