use std::path::PathBuf;

use clap::Subcommand;

use crate::catalog::{EngineFiles, LocalArtifact};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::domain::{Backend, BackendFile, BackendProgram, BackendSource, BackendTarget, Catalog};
use crate::lab::{LabError, find_backend};
use crate::runners::HOST_TARGET;
use crate::terminal::print::{print_text, say};
use crate::terminal::table::{Table, field_line};

#[derive(Debug, Subcommand)]
pub(super) enum BackendsVerb {
    /// List the engines, the machines they run on, and whether their files are here
    List,
    /// Show an engine: what it loads and its files with their sources
    Show {
        /// Its name
        name: String,
    },
    /// Get the files of engines: download, check and unpack libraries, build the programs
    Fetch {
        /// Names; all engines without any
        names: Vec<String>,
        /// Rust target triple of the devices' machines (may be given several times); this host's without it
        #[arg(long, value_name = "TRIPLE")]
        target: Vec<String>,
    },
}

pub(super) async fn run(context: &Context, verb: BackendsVerb) -> Result<u8, LabError> {
    let catalog = context.lab.catalog()?;
    match verb {
        BackendsVerb::List => list(context, &catalog),
        BackendsVerb::Show { name } => show(context, find_backend(&catalog, &name)?),
        BackendsVerb::Fetch { names, target } => fetch(context, &catalog, &names, target).await,
    }
}

const LIST_HEADER: [&str; 7] = ["backend", "version", "formats", "precisions", "target", "files", "needs"];

fn list(context: &Context, catalog: &Catalog) -> Result<u8, LabError> {
    let files = context.lab.engine_files();
    let mut rows = Vec::new();
    for backend in &catalog.backends {
        let precisions: Vec<&str> = backend.precisions.iter().map(|precision| precision.as_str()).collect();
        let of = |target: &str, state: String, needs: &str| {
            let facts = [&*backend.name, &backend.version, &backend.formats.join(" "), &precisions.join(" ")];
            [facts.map(str::to_owned).to_vec(), vec![target.to_owned(), state, needs.to_owned()]].concat()
        };
        let Some(program) = &backend.program else {
            rows.push(of("every runner's", "compiled in".to_owned(), ""));
            continue;
        };
        for target in &program.targets {
            rows.push(of(&target.target, state(&files, target), target.needs.as_deref().unwrap_or_default()));
        }
    }
    Table::new(&LIST_HEADER, rows).json(&catalog.backends).print(context.format)?;
    Ok(exit::OK)
}

/// How many of a target's files are on this host.
fn state(files: &EngineFiles, target: &BackendTarget) -> String {
    let here = target.files.iter().filter(|file| matches!(files.find(target, file), Ok(Some(_)))).count();
    if here == target.files.len() { "ready".to_owned() } else { format!("{here} of {}", target.files.len()) }
}

fn show(context: &Context, backend: &Backend) -> Result<u8, LabError> {
    print_text(context.format, &described(context, backend), backend)?;
    Ok(exit::OK)
}

fn described(context: &Context, backend: &Backend) -> String {
    let mut text = format!("{} {}\n", backend.name, backend.version);
    let mut line = |name: &str, value: String| text.push_str(&field_line(&format!("  {name}"), 12, &value));
    let precisions: Vec<&str> = backend.precisions.iter().map(|precision| precision.as_str()).collect();
    line("loads", backend.formats.join(", "));
    line("runs in", precisions.join(", "));
    let Some(BackendProgram { licence, dialect, command, options, targets }) = &backend.program else {
        line("program", "compiled into every runner".to_owned());
        return text;
    };
    line("licence", licence.clone().unwrap_or_else(|| "unknown".to_owned()));
    line("speaks", dialect.to_string());
    line("command", command.join(" "));
    for (name, value) in options {
        line("option", format!("{name} = {value}"));
    }
    let cache = context.lab.engine_files();
    for target in targets {
        let needs = target.needs.as_ref().map(|needs| format!("; the device needs {needs}")).unwrap_or_default();
        line("target", format!("{}{needs}", target.target));
        for file in &target.files {
            line("file", format!("{}, {}", file.name, origin(&cache, target, file)));
        }
    }
    text
}

fn origin(cache: &EngineFiles, target: &BackendTarget, file: &BackendFile) -> String {
    let from = match &file.source {
        BackendSource::Build { engine, .. } => format!("built by device-runner/engines/{engine}/build"),
        BackendSource::Member { archive, member } => {
            format!("{member} of {}", archive.origin())
        }
        BackendSource::Path(path) => format!("at {}", path.display()),
    };
    match cache.find(target, file) {
        Ok(Some(LocalArtifact { artifact, .. })) => {
            format!("{} bytes, sha256 {}, {from}", artifact.size_bytes, artifact.sha256)
        }
        Ok(None) => format!("not here yet, {from}"),
        Err(error) => format!("failed to {error}"),
    }
}

async fn fetch(context: &Context, catalog: &Catalog, names: &[String], targets: Vec<String>) -> Result<u8, LabError> {
    let wanted = if targets.is_empty() { vec![HOST_TARGET.to_owned()] } else { targets };
    let progress = context.open_progress();
    let outcomes = context.lab.get_engine_files(catalog, names, &wanted, &progress).await;
    context.close_progress(&progress);
    let outcomes = outcomes?;
    if outcomes.is_empty() {
        say(&format!("no engine has files for {}", wanted.join(", ")));
        return Ok(exit::NOTHING);
    }
    let file =
        |got: &Result<PathBuf, String>| got.as_ref().map_or_else(String::clone, |path| context.lab.short_path(path));
    Table::of(&outcomes)
        .column("backend", |outcome| outcome.backend.clone())
        .column("target", |outcome| outcome.target.clone())
        .column("name", |outcome| outcome.name.clone())
        .column("status", |outcome| if outcome.got.is_ok() { "ok" } else { "failed" }.to_owned())
        .column("file", move |outcome| file(&outcome.got))
        .done()
        .print(context.format)?;
    Ok(if outcomes.iter().any(|outcome| outcome.got.is_err()) { exit::SOME_FAILED } else { exit::OK })
}
