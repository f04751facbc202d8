//! The `farmctl` program.

fn main() -> std::process::ExitCode {
    farmctl::cli::run(std::env::args_os().collect())
}
