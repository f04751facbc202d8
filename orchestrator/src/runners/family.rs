use std::collections::VecDeque;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A program with all that it started, which are ended when this is dropped before [`Family::has_ended`]:
/// cargo-zigbuild starts cargo, and that its compilers. They stay in farmctl's own process group, so that Ctrl-C
/// reaches them too; so they are found by their parents, in `/proc`.
pub(super) struct Family {
    root: Option<u32>,
}

impl Family {
    /// What this process starts; none when it has ended already.
    pub(super) fn of(root: Option<u32>) -> Family {
        Family { root }
    }

    /// There is nothing left to end.
    pub(super) fn has_ended(mut self) {
        self.root = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // Parents first: one that is gone starts nothing anew.
        for member in self.root.map(members).unwrap_or_default() {
            let _ = i32::try_from(member).map(|id| kill(Pid::from_raw(id), Signal::SIGKILL));
        }
    }
}

/// The process and all that came of it, each after its parent.
fn members(root: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    let (mut found, mut next) = (Vec::new(), VecDeque::from([root]));
    while let Some(member) = next.pop_front() {
        found.push(member);
        next.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(id, _)| *id));
    }
    found
}

/// The parent of a process, while it is there.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Its name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::BufRead as _;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// A shell whose own shell waits for a third program; with the identifier of that.
    fn grandparent() -> (Child, u32) {
        let inner = "sleep 60 & echo $!; wait; true";
        let mut shell = Command::new("sh");
        let mut child = shell.args(["-c", "sh -c \"$0\"; true", inner]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim().parse().unwrap())
    }

    /// Whether it runs; what has ended, and nobody asked for yet, does not.
    fn runs(id: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    }

    #[test]
    fn what_came_of_a_program_ends_with_it() {
        let (mut child, grandchild) = grandparent();
        assert!(members(child.id()).contains(&grandchild) && runs(grandchild));
        drop(Family::of(Some(child.id())));
        child.wait().unwrap();
        let give_up_at = Instant::now() + Duration::from_secs(10);
        while runs(grandchild) {
            assert!(Instant::now() < give_up_at, "{grandchild} goes on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_has_ended_leaves_nothing_to_end() {
        let (mut child, grandchild) = grandparent();
        Family::of(Some(child.id())).has_ended();
        assert!(runs(grandchild));
        drop(Family::of(Some(child.id())));
        child.wait().unwrap();
    }
}
