//! What is missing on this host, and what mends it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;

use crate::runners::{HOST_TARGET, TARGETS, way_to_build};
use crate::wording::many;

use super::Lab;

const NO_WORKSPACE: &str = "give a folder with --runner-dir, or run farmctl in a clone of its source";

const TRUST_REMEDY: &str = "apt-get install ca-certificates, or set SSL_CERT_FILE to a file of certificates (PEM)";

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Without it nothing runs.
    pub required: bool,
    /// What was found, or what is wrong.
    pub detail: String,
    /// What mends it.
    pub remedy: Option<String>,
}

impl Lab {
    /// Looks at all that a lab needs of its host.
    pub async fn examine_host(&self) -> Vec<Finding> {
        let linker_remedy = "apt-get install gcc libc6-dev   (or your system's C compiler)";
        let mut findings = vec![
            writable(self),
            private(self),
            runner(self),
            tool("cargo", "--version", "builds the runner", "install Rust: https://rustup.rs").await,
            tool("cc", "--version", "links the runner", linker_remedy).await,
            configuration(self),
            catalogue(self),
            agent(self),
            finding("tls", false, self.believed(), TRUST_REMEDY),
        ];
        findings.extend(shared_files(self).await);
        findings.extend(hosts(self));
        findings.extend(daemon(self));
        findings.extend(notifications(self));
        findings.extend(other_machines(self).await);
        findings
    }
}

fn finding(what: &str, required: bool, outcome: Result<String, String>, remedy: &str) -> Finding {
    let ok = outcome.is_ok();
    let detail = outcome.unwrap_or_else(|detail| detail);
    Finding {
        what: what.to_owned(),
        ok,
        required,
        detail,
        remedy: Some(remedy.to_owned()).filter(|text| !text.is_empty()),
    }
}

fn writable(lab: &Lab) -> Finding {
    let folder = lab.path(Path::new(".farm"));
    let outcome = lab
        .make_private_folder()
        .map_err(|error| error.to_string())
        .and_then(|()| tempfile::tempfile_in(&folder).map_err(|error| error.to_string()))
        .map(|_| format!("{} can be written", lab.short_path(&folder)))
        .map_err(|error| format!("{} can't be written: {error}", lab.short_path(&folder)));
    finding("lab folder", true, outcome, "run farmctl in a folder of yours, or name one with --lab")
}

/// Whether other users of this host are kept out of the lab's own files.
fn private(lab: &Lab) -> Finding {
    let open = lab.open_to_others();
    let names = open.iter().map(|path| lab.short_path(path)).collect::<Vec<_>>().join(" ");
    let outcome = if open.is_empty() {
        Ok("other users of this host can't read or write the lab's own files".to_owned())
    } else {
        Err(format!("other users of this host may read or write {names}"))
    };
    let remedy = if open.is_empty() { String::new() } else { format!("chmod go-rwx {names}") };
    finding("lab privacy", false, outcome, &remedy)
}

fn runner(lab: &Lab) -> Finding {
    let places = lab.runners().places(HOST_TARGET);
    let there = places.iter().find(|place| place.path.is_file());
    let buildable = places.iter().find_map(|place| place.workspace.as_ref());
    let outcome = match (there, buildable) {
        (Some(place), _) => Ok(format!("{} ({})", lab.short_path(&place.path), place.label)),
        (None, Some(workspace)) => {
            Ok(format!("not built yet; the first sweep builds it in {}", lab.short_path(workspace)))
        }
        (None, None) => Err("no runner, and no workspace to build it in".to_owned()),
    };
    finding("runner", true, outcome, NO_WORKSPACE)
}

/// Whether runners for other machines are there or could be built. musl's targets serve the same machines as glibc's.
async fn other_machines(lab: &Lab) -> Vec<Finding> {
    let runners = lab.runners();
    let mut findings = Vec::new();
    for target in TARGETS.iter().filter(|target| **target != HOST_TARGET && !target.ends_with("-musl")) {
        let places = runners.places(target);
        let there = places.iter().find(|place| place.path.is_file());
        let (outcome, remedy) = match (there, places.iter().find_map(|place| place.workspace.as_ref())) {
            (Some(place), _) => (Ok(format!("{} ({})", lab.short_path(&place.path), place.label)), String::new()),
            (None, None) => (Err("no runner, and no workspace to build it in".to_owned()), NO_WORKSPACE.to_owned()),
            (None, Some(workspace)) => match way_to_build(workspace, target).await {
                Ok(means) => (Ok(format!("not built yet; would be built with {means}")), String::new()),
                Err(remedies) => {
                    let ways: Vec<String> = remedies.iter().map(|remedy| remedy.commands.join(" && ")).collect();
                    (Err("can't be built on this host; needed for such devices only".to_owned()), ways.join("   or   "))
                }
            },
        };
        findings.push(finding(machine_of(target), false, outcome, &remedy));
    }
    findings
}

/// What a target is called here: its processor.
fn machine_of(target: &str) -> &str {
    target.split('-').next().unwrap_or(target)
}

async fn tool(name: &str, argument: &str, purpose: &str, remedy: &str) -> Finding {
    let mut command = tokio::process::Command::new(name);
    command.arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let outcome = match tokio::time::timeout(Duration::from_secs(10), command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            Ok(said.lines().next().unwrap_or_default().trim().to_owned())
        }
        Ok(Ok(output)) => Err(format!("{name} {argument} ended with {} ({purpose})", output.status)),
        Ok(Err(error)) => Err(format!("{name} does not start: {error} ({purpose})")),
        Err(_) => Err(format!("{name} {argument} did not end ({purpose})")),
    };
    // A runner that is there already needs no tools.
    finding(name, false, outcome, remedy)
}

fn configuration(lab: &Lab) -> Finding {
    let outcome = lab
        .inventory()
        .map(|inventory| many(inventory.devices.len() as u64, "device"))
        .map_err(|error| error.to_string());
    finding("farms", true, outcome, "correct the farm file at the place named")
}

fn catalogue(lab: &Lab) -> Finding {
    let outcome =
        lab.catalog().map(|catalog| many(catalog.models.len() as u64, "model")).map_err(|error| error.to_string());
    finding("models", true, outcome, "correct configs/models.yaml at the place named")
}

/// Whether the place where hosts share files takes and gives them; nothing where this host has its own alone.
async fn shared_files(lab: &Lab) -> Option<Finding> {
    let outcome = lab.probe_shared_files().await?;
    Some(finding("shared files", false, outcome, "mend `artifacts` in lab.yaml, or what is wrong with that place"))
}

/// Whether all hosts of the lab are well, and mean the same by each name; nothing where this is the only one.
fn hosts(lab: &Lab) -> Option<Finding> {
    let outcome = lab.examine_hosts().transpose()?.map_err(|error| error.in_short()).flatten();
    Some(finding("hosts", false, outcome, "`farmctl host list` and `farmctl host show NAME` say more"))
}

/// What the daemon that runs in this lab says is wrong; nothing where none runs.
fn daemon(lab: &Lab) -> Option<Finding> {
    let status = lab.daemon_status().filter(|_| lab.daemon_is_running())?;
    let outcome = if status.troubles.is_empty() { Ok(status.line()) } else { Err(status.troubles.join("; ")) };
    Some(finding("daemon", false, outcome, "mend what it names; it goes away by itself then"))
}

/// Whether the secrets of those who are told can be had; nothing where nobody is, or the file can't be read.
fn notifications(lab: &Lab) -> Option<Finding> {
    let channels = lab.daemon_rules(&lab.daemon_config()).ok()?.channels;
    if channels.is_empty() {
        return None;
    }
    let outcome = match lab.channel_faults(&channels) {
        None => Ok(format!("{} ways to tell; their secrets can be read", channels.len())),
        Some(faults) => Err(faults),
    };
    Some(finding("notifications", false, outcome, "mend what it names; a variable is the daemon's own"))
}

fn agent(lab: &Lab) -> Finding {
    let outcome = match lab.connect_options().agent_socket {
        Some(socket) if socket.exists() => Ok(format!("keys from {}", socket.display())),
        Some(socket) => Err(format!("SSH_AUTH_SOCK names {}, which isn't there", socket.display())),
        None => Err("none runs; keys with a passphrase need one".to_owned()),
    };
    finding("ssh agent", false, outcome, "eval $(ssh-agent) && ssh-add")
}
