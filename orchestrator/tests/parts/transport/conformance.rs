//! Every transport does the same: the conformance suite against this host, OpenSSH, dropbear and Android's
//! adb daemon.

use std::sync::Arc;

use farmctl::domain::TransportConfig;
use farmctl::transport::{Transport, connect};
use testlab::{AdbServer, Board, BoardOptions, Phone, Server, SmallDisk};

use super::suite::{self, Place};
use super::support::{adb_server, board_with, connected, connected_old_phone, connected_phone, options, phone};

/// A transport, and what must live as long as it.
struct Subject {
    transport: Arc<dyn Transport>,
    place: Place,
    _keep: Box<dyn std::any::Any>,
}

async fn local() -> Subject {
    let home = tempfile::tempdir().unwrap();
    let transport = connect(&TransportConfig::Local, &options(home.path())).await.unwrap();
    Subject { transport, place: Place::shared(home.path()), _keep: Box::new(home) }
}

async fn ssh(server: Server) -> Subject {
    let board = board_with(&BoardOptions { server, ..BoardOptions::default() });
    let transport = connected(&board).await;
    Subject { transport, place: Place::shared(&board.home), _keep: Box::new(board) }
}

/// A phone, through an adb server of its own.
async fn adb() -> Subject {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_phone(&phone, &server).await;
    on_phone(transport, phone, server)
}

/// The same, with the phone's shell protocol left unused.
async fn old_adb() -> Subject {
    let (phone, server) = (phone(), adb_server());
    let transport = connected_old_phone(&phone, &server).await;
    on_phone(transport, phone, server)
}

fn on_phone(transport: Arc<dyn Transport>, phone: Phone, server: AdbServer) -> Subject {
    let folder = phone.data_path("local/tmp/suite");
    std::fs::create_dir_all(&folder).unwrap();
    let place = Place { folder: "/data/local/tmp/suite".to_owned(), here: folder };
    Subject { transport, place, _keep: Box::new((phone, server)) }
}

macro_rules! conformance {
    ($($test:ident),+ $(,)?) => {
        mod local_host {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let subject = super::local().await;
                super::suite::$test(subject.transport.clone(), &subject.place).await;
            })+
        }
        mod openssh {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let subject = super::ssh(super::Server::OpenSsh).await;
                super::suite::$test(subject.transport.clone(), &subject.place).await;
            })+
        }
        mod adb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let subject = super::adb().await;
                super::suite::$test(subject.transport.clone(), &subject.place).await;
            })+
        }
        mod old_adb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let subject = super::old_adb().await;
                super::suite::$test(subject.transport.clone(), &subject.place).await;
            })+
        }
        mod dropbear {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let subject = super::ssh(super::Server::Dropbear).await;
                super::suite::$test(subject.transport.clone(), &subject.place).await;
            })+
        }
    };
}

conformance!(
    arguments_arrive_as_they_are,
    a_missing_program_is_told_from_exit_code_127,
    exit_codes_and_signals_come_back,
    much_output_on_both_streams_comes_whole,
    a_large_input_arrives_whole,
    a_command_that_reads_no_input_ends_anyway,
    a_slow_sink_holds_the_command_back,
    files_of_all_sizes_come_back_the_same,
    a_write_goes_on_where_the_file_ends,
    reads_give_the_range_asked_for,
    files_are_looked_at_renamed_and_removed,
    what_can_not_be_written_is_a_file_error,
    a_deadline_ends_the_command,
    a_dropped_call_ends_the_command,
    many_calls_at_once_do_not_disturb_each_other,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_and_read_only_disks_are_told_by_all() {
    let mount = |read_only| SmallDisk::mount(2 << 20, read_only).unwrap_or_else(|error| panic!("failed to {error}"));
    let (small, read_only) = (mount(false), mount(true));
    for subject in [local().await, ssh(Server::OpenSsh).await, ssh(Server::Dropbear).await] {
        suite::full_and_read_only_disks_are_told(subject.transport, &small, &read_only).await;
    }
}

/// One after the other, since each of them keeps a processor busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_megabytes_come_back_the_same() {
    for subject in [local().await, ssh(Server::OpenSsh).await, ssh(Server::Dropbear).await, adb().await] {
        suite::a_large_file_comes_back_the_same(subject.transport, &subject.place, 200_000_000).await;
    }
}

/// The login shells that people have; each runs the line that farmctl sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_login_shells_will_do() {
    for shell in ["/bin/bash", "/usr/bin/fish", "/usr/bin/tcsh"] {
        assert!(
            std::path::Path::new(shell).exists(),
            "{shell} is missing: install the Debian packages bash, fish, tcsh"
        );
        let board = board_with(&BoardOptions { login_shell: Some(shell.into()), ..BoardOptions::default() });
        let greeting = "echo a greeting that disturbs scp\necho and an error >&2\n";
        std::fs::write(board.home.join(".bashrc"), format!("{greeting}read line\nread another\n")).unwrap();
        std::fs::create_dir_all(board.home.join(".config/fish")).unwrap();
        let greeting = "echo a greeting\n";
        std::fs::write(board.home.join(".config/fish/config.fish"), format!("{greeting}read line\n")).unwrap();
        std::fs::write(board.home.join(".cshrc"), format!("{greeting}set line = \"$<\"\n")).unwrap();
        let transport = connected(&board).await;
        let place = Place::shared(&board.home);
        suite::files_are_looked_at_renamed_and_removed(transport.clone(), &place).await;
        suite::reads_give_the_range_asked_for(transport.clone(), &place).await;
        suite::a_large_input_arrives_whole(transport.clone(), &place).await;
        suite::arguments_arrive_as_they_are(transport, &place).await;
    }
}

#[tokio::test]
async fn relative_paths_lie_below_the_home_of_the_login() {
    let board: Board = board_with(&BoardOptions::default());
    let transport = connected(&board).await;
    let mut source: &[u8] = b"here";
    transport.write("~/below", 0, &mut source, suite::LONG, &mut |_| {}).await.unwrap();
    assert_eq!(std::fs::read(board.home.join("below")).unwrap(), b"here");
    assert_eq!(transport.read("below", 0, 10, suite::LONG).await.unwrap(), b"here");
}
