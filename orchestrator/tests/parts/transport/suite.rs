//! What every transport must do. Each function gets a fresh folder on the device, whose files are on this host too, so
//! that results can be looked at without the transport.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use farmctl::transport::{Command, ErrorKind, Exit, FileStat, OutputSink, Transport, TransportError, run_collect};
use sha2::{Digest, Sha256};
use testlab::SmallDisk;
use tokio::io::AsyncRead;

pub const LONG: Duration = Duration::from_secs(120);
const COLLECT_LIMIT: usize = 64 << 20;

type Subject = Arc<dyn Transport>;

/// A fresh folder of the device, and where this host has it.
pub struct Place {
    /// The device's path of it.
    pub folder: String,
    /// This host's path of it.
    pub here: PathBuf,
}

impl Place {
    /// A folder of a device that shares the files of this host.
    pub fn shared(folder: &Path) -> Place {
        Place { folder: folder.to_str().unwrap().to_owned(), here: folder.to_owned() }
    }

    /// This host's path of a file below the folder.
    fn here(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix(&self.folder).unwrap_or_else(|| panic!("{path} is not below {}", self.folder));
        self.here.join(below.trim_start_matches('/'))
    }
}

fn sh(script: &str) -> Command {
    Command::new(["sh", "-c", script], LONG)
}

async fn output_of(transport: &Subject, command: &Command, stdin: &[u8]) -> farmctl::transport::Finished {
    run_collect(transport.as_ref(), command, stdin, COLLECT_LIMIT)
        .await
        .unwrap_or_else(|error| panic!("failed to {error}"))
}

/// Bytes that never repeat within a megabyte.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.rotate_left(17).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub async fn arguments_arrive_as_they_are(transport: Subject, _place: &Place) {
    let arguments = [
        "",
        " ",
        "two words",
        "it's",
        "\"quoted\"",
        "back\\slash",
        "a\nb\n",
        "$(echo no)",
        "`echo no`",
        "$HOME",
        "*",
        "~",
        "!",
        "ü 漢字 🦀",
        "-n",
        "--",
        ";",
        "&&",
        "a=b",
        "\t",
        "%s",
        "{a,b}",
        "#",
    ];
    let command = Command::new(["printf", "%s\\0"].into_iter().chain(arguments), LONG);
    let finished = output_of(&transport, &command, b"").await;
    assert_eq!(finished.exit, Exit::Code(0));
    let text = String::from_utf8(finished.stdout).unwrap();
    assert_eq!(text.split_terminator('\0').collect::<Vec<_>>(), arguments);
    let nul = Command::new(["echo", "a\0b"], LONG);
    let error = run_collect(transport.as_ref(), &nul, b"", COLLECT_LIMIT).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
}

pub async fn a_missing_program_is_told_from_exit_code_127(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    for program in ["there-is-no-such-program".to_owned(), format!("{folder}/no such")] {
        let error =
            run_collect(transport.as_ref(), &Command::new([program.as_str()], LONG), b"", 1000).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::CommandNotFound, "{error}");
        assert!(error.message.contains(&program), "{error}");
    }
    assert_eq!(output_of(&transport, &sh("exit 127"), b"").await.exit, Exit::Code(127));
    assert_eq!(output_of(&transport, &sh("exit 126"), b"").await.exit, Exit::Code(126));
}

pub async fn exit_codes_and_signals_come_back(transport: Subject, _place: &Place) {
    for code in 0..=255 {
        assert_eq!(output_of(&transport, &sh(&format!("exit {code}")), b"").await.exit, Exit::Code(code));
    }
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("ABRT", 6)] {
        // `kill` itself is hit, for some shells end with a code when they get a signal.
        let exit = output_of(&transport, &sh(&format!("ulimit -c 0; exec kill -{name} $$")), b"").await.exit;
        assert_eq!(exit, Exit::Signal(number), "SIG{name}");
    }
}

pub async fn much_output_on_both_streams_comes_whole(transport: Subject, _place: &Place) {
    let script = "i=0; while [ $i -lt 10 ]; do head -c 1000000 /dev/zero; head -c 1000000 /dev/zero | tr '\\0' e >&2; \
                  i=$((i+1)); done; exit 3";
    let finished = output_of(&transport, &sh(script), b"").await;
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(finished.stdout.len(), 10_000_000);
    assert_eq!(finished.stderr.len(), 10_000_000);
    assert!(finished.stdout.iter().all(|byte| *byte == 0) && finished.stderr.iter().all(|byte| *byte == b'e'));
}

pub async fn a_large_input_arrives_whole(transport: Subject, _place: &Place) {
    let input = pattern(10_000_000);
    let finished = output_of(&transport, &Command::new(["cat"], LONG), &input).await;
    assert!(finished.exit.success());
    assert!(finished.stdout == input, "{} bytes came back of {}", finished.stdout.len(), input.len());
}

pub async fn a_command_that_reads_no_input_ends_anyway(transport: Subject, _place: &Place) {
    let input = pattern(10_000_000);
    assert_eq!(output_of(&transport, &sh("exit 7"), &input).await.exit, Exit::Code(7));
}

struct Slow(Vec<u8>, usize);

#[async_trait]
impl OutputSink for Slow {
    async fn stdout(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.0.extend_from_slice(bytes);
        self.1 = self.1.max(bytes.len());
        Ok(())
    }
    async fn stderr(&mut self, _: &[u8]) -> Result<(), TransportError> {
        Ok(())
    }
}

pub async fn a_slow_sink_holds_the_command_back(transport: Subject, _place: &Place) {
    let mut sink = Slow(Vec::new(), 0);
    let exit = transport.run(&sh("head -c 8000000 /dev/zero"), &mut tokio::io::empty(), &mut sink).await.unwrap();
    assert_eq!((exit, sink.0.len()), (Exit::Code(0), 8_000_000));
    assert!(sink.1 <= 1 << 20, "chunks of {} bytes", sink.1);
}

pub async fn files_of_all_sizes_come_back_the_same(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    for size in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        let path = format!("{folder}/file of {size} b'ytes");
        let content = pattern(size);
        let (mut last, mut calls) = (0, 0);
        let mut progress = |bytes| {
            assert!(bytes > last, "progress goes back");
            (last, calls) = (bytes, calls + 1);
        };
        transport
            .write(&path, 0, &mut content.as_slice(), LONG, &mut progress)
            .await
            .unwrap_or_else(|error| panic!("failed to {error}"));
        assert_eq!(last, size as u64);
        assert!(std::fs::read(place.here(&path)).unwrap() == content, "{size} bytes arrived differently");
        assert!(
            transport.read(&path, 0, u64::MAX / 2, LONG).await.unwrap() == content,
            "{size} bytes came back differently"
        );
    }
    let path = format!("{folder}/file of 1 b'ytes");
    transport.write(&path, 0, &mut b"".as_slice(), LONG, &mut |_| {}).await.unwrap();
    assert_eq!(std::fs::read(place.here(&path)).unwrap(), b"", "a shorter file replaces a longer one whole");
}

pub async fn a_large_file_comes_back_the_same(transport: Subject, place: &Place, size: usize) {
    let folder = place.folder.as_str();
    let path = format!("{folder}/large");
    let content = pattern(size);
    let wanted = Sha256::digest(&content);
    transport.write(&path, 0, &mut content.as_slice(), LONG, &mut |_| {}).await.unwrap();
    drop(content);
    assert_eq!(Sha256::digest(std::fs::read(place.here(&path)).unwrap()), wanted);
    assert_eq!(Sha256::digest(transport.read(&path, 0, size as u64, LONG).await.unwrap()), wanted);
}

pub async fn a_write_goes_on_where_the_file_ends(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    let path = format!("{folder}/resumed");
    let content = pattern(300_000);
    std::fs::write(place.here(&path), &content[..120_001]).unwrap();
    transport.write(&path, 120_001, &mut &content[120_001..], LONG, &mut |_| {}).await.unwrap();
    assert!(std::fs::read(place.here(&path)).unwrap() == content, "resumed at the end");
    transport.write(&path, 7, &mut &content[7..5000], LONG, &mut |_| {}).await.unwrap();
    assert!(std::fs::read(place.here(&path)).unwrap() == content[..5000], "what stands behind the offset is cut first");
    for (path, offset) in [(path.clone(), 5001), (format!("{folder}/missing"), 1)] {
        let error = transport.write(&path, offset, &mut b"x".as_slice(), LONG, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::File, "{error}");
    }
    assert_eq!(std::fs::metadata(place.here(&path)).unwrap().len(), 5000, "a refused write changes nothing");
    assert!(!place.here(&format!("{folder}/missing")).exists());
}

pub async fn reads_give_the_range_asked_for(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    let path = format!("{folder}/ranges");
    let content = pattern(100_000);
    std::fs::write(place.here(&path), &content).unwrap();
    for (offset, limit) in
        [(0, 0), (0, 1), (1, 1), (99_999, 1), (99_999, 10), (100_000, 10), (200_000, 10), (4095, 50_001)]
    {
        let start = offset.min(content.len());
        let wanted = &content[start..(start + limit).min(content.len())];
        let got = transport.read(&path, offset as u64, limit as u64, LONG).await.unwrap();
        assert!(got == wanted, "{limit} bytes from {offset}: {} came", got.len());
    }
    for path in [format!("{folder}/missing"), folder.to_owned()] {
        let error = transport.read(&path, 0, 1, LONG).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::File, "{error}");
        assert!(error.message.contains(&path), "{error}");
    }
}

pub async fn files_are_looked_at_renamed_and_removed(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    let (old, new) = (format!("{folder}/- old $name"), format!("{folder}/new\nname"));
    assert_eq!(transport.stat(&old, LONG).await.unwrap(), None);
    std::fs::write(place.here(&old), b"12345").unwrap();
    assert_eq!(transport.stat(&old, LONG).await.unwrap(), Some(FileStat { size_bytes: 5, is_dir: false }));
    assert_eq!(transport.stat(folder, LONG).await.unwrap().map(|stat| stat.is_dir), Some(true));
    std::fs::write(place.here(&new), b"replaced").unwrap();
    transport.rename(&old, &new, LONG).await.unwrap();
    assert_eq!(std::fs::read(place.here(&new)).unwrap(), b"12345");
    assert!(!place.here(&old).exists());
    assert_eq!(transport.rename(&old, &new, LONG).await.unwrap_err().kind, ErrorKind::File);
    assert_eq!(transport.rename(&new, folder, LONG).await.unwrap_err().kind, ErrorKind::File);
    transport.remove(&new, LONG).await.unwrap();
    assert!(!place.here(&new).exists());
    transport.remove(&new, LONG).await.unwrap();
    assert_eq!(transport.remove(folder, LONG).await.unwrap_err().kind, ErrorKind::File);
}

pub async fn what_can_not_be_written_is_a_file_error(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    for path in [format!("{folder}/no/such/folder"), folder.to_owned()] {
        let error = transport.write(&path, 0, &mut pattern(3_000_000).as_slice(), LONG, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::File, "{error}");
        assert!(error.message.contains(&path), "{error}");
    }
}

/// Both disks are mounted before the device is started, so that it sees them.
pub async fn full_and_read_only_disks_are_told(transport: Subject, small: &SmallDisk, read_only: &SmallDisk) {
    for (disk, kind) in [(small, ErrorKind::DiskFull), (read_only, ErrorKind::File)] {
        let path = format!("{}/big", disk.path().display());
        let error = transport.write(&path, 0, &mut pattern(8_000_000).as_slice(), LONG, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(&path), "{error}");
    }
}

/// Seconds that no other process of this host sleeps: processes of a device are found by them, whatever numbers they
/// have there.
fn sleep_of_its_own() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(1);
    format!("1{:07}{:03}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Waits until no process has this word on its command line; the transport can't be asked, for it is the one under
/// test.
async fn wait_until_gone(word: &str) {
    let has_word = |process: &std::fs::DirEntry| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument.ends_with(word.as_bytes()))
    };
    let deadline = Instant::now() + LONG;
    while std::fs::read_dir("/proc").unwrap().map(Result::unwrap).any(|process| has_word(&process)) {
        assert!(Instant::now() < deadline, "a process with {word} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn a_deadline_ends_the_command(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    let (started, seconds) = (format!("{folder}/started"), sleep_of_its_own());
    let script = format!("echo > '{started}'; exec sleep {seconds}");
    let command = Command::new(["sh", "-c", script.as_str()], Duration::from_secs(2));
    let error = run_collect(transport.as_ref(), &command, b"", 1000).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(place.here(&started).exists());
    wait_until_gone(&seconds).await;
    assert_eq!(
        output_of(&transport, &sh("exit 5"), b"").await.exit,
        Exit::Code(5),
        "the connection is as good as before"
    );
}

struct UntilFirstByte(Option<tokio::sync::oneshot::Sender<Vec<u8>>>);

#[async_trait]
impl OutputSink for UntilFirstByte {
    async fn stdout(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(bytes.to_vec());
        }
        Ok(())
    }
    async fn stderr(&mut self, _: &[u8]) -> Result<(), TransportError> {
        Ok(())
    }
}

pub async fn a_dropped_call_ends_the_command(transport: Subject, _place: &Place) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut sink = UntilFirstByte(Some(sender));
    let mut input: Box<dyn AsyncRead + Send + Unpin> = Box::new(tokio::io::empty());
    let seconds = sleep_of_its_own();
    let command = sh(&format!("echo started; exec sleep {seconds}"));
    tokio::select! {
        result = transport.run(&command, &mut input, &mut sink) => panic!("ended: {result:?}"),
        bytes = receiver => assert_eq!(bytes.unwrap(), b"started\n"),
    };
    wait_until_gone(&seconds).await;
}

pub async fn many_calls_at_once_do_not_disturb_each_other(transport: Subject, place: &Place) {
    let folder = place.folder.as_str();
    let calls = (0..24).map(|number: usize| {
        let (transport, path) = (transport.clone(), format!("{folder}/parallel {number}"));
        tokio::spawn(async move {
            let content = pattern(50_000 + number);
            transport.write(&path, 0, &mut content.as_slice(), LONG, &mut |_| {}).await.unwrap();
            let finished = output_of(&transport, &sh(&format!("cat; exit {number}")), &content).await;
            assert_eq!(finished.exit, Exit::Code(number as i32));
            assert!(finished.stdout == content);
            assert!(transport.read(&path, 0, 1 << 20, LONG).await.unwrap() == content);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}
