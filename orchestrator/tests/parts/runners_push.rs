//! The runner goes to a board packed, goes on where a cable broke, and is what was sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farmctl::device::{BringUp, RunnerFile, RunnerProvider, Session};
use farmctl::domain::{
    Device, DeviceLimits, Failure, HostKey, LabId, SshEndpoint, Timeouts, TransportConfig, sha256_hex,
};
use farmctl::runners::{self, HOST_TARGET};
use farmctl::transport::{Connect, ConnectOptions};
use testlab::{Board, Direction, FaultProxy};

struct Built(RunnerFile);

#[async_trait]
impl RunnerProvider for Built {
    async fn runner(&self, target: &str) -> Result<RunnerFile, Failure> {
        assert_eq!(target, HOST_TARGET);
        Ok(self.0.clone())
    }
}

async fn built() -> Built {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = workspace.join("target/runners").join(HOST_TARGET).join("release/device-runner");
    assert!(path.is_file(), "the runner is not built: run the tests by scripts/test, which builds it");
    Built(runners::read(&path, HOST_TARGET).await.unwrap().file)
}

fn device(board: &Board, port: u16) -> Device {
    let host_key = board.host_key.public().unwrap().split(' ').take(2).collect::<Vec<_>>().join(" ");
    let endpoint = SshEndpoint {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        user: Some(board.user.clone()),
        identity_file: Some(board.identity.path.clone()),
        host_key: Some(HostKey(host_key)),
        ..SshEndpoint::default()
    };
    Device {
        name: "board".to_owned(),
        farm: "test".to_owned(),
        tags: [].into(),
        transport: TransportConfig::Ssh(endpoint),
        workdir: board.home.join("farmctl").display().to_string(),
        notes: None,
        limits: DeviceLimits::default(),
        price_per_hour: None,
        delegates: Default::default(),
        android: Default::default(),
        recovery: Default::default(),
        exclusive: None,
        max_parallel: None,
        disabled: None,
        preferred_hosts: Vec::new(),
        declared_at: "test".to_owned(),
        is_elsewhere: false,
    }
}

/// Brings the board up, and gives what was told of the push; `pushing` is told too.
async fn bring_up(
    device: &Device,
    runners: &Built,
    mut pushing: impl FnMut(u64, u64) + Send,
) -> (Session, Vec<(u64, u64)>) {
    let home = tempfile::tempdir().unwrap();
    let connect: Arc<dyn Connect> = Arc::new(ConnectOptions {
        home: home.path().to_owned(),
        user: "nobody-in-particular".to_owned(),
        agent_socket: None,
        environment: Arc::new(|_| None),
        accept_new: false,
        connect_timeout: Duration::from_secs(60),
    });
    let mut told = Vec::new();
    let timeouts = Timeouts::default();
    let mut pushing = |there, size| {
        told.push((there, size));
        pushing(there, size);
    };
    let lab = LabId("lab".to_owned());
    let with = BringUp { connect: &connect, timeouts: &timeouts, runners, lab: &lab, pushing: &mut pushing };
    let session = Session::bring_up(device, with).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    (session, told)
}

fn files_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_travels_packed_and_goes_on_where_the_cable_broke() {
    let runners = built().await;
    let artifact = &runners.0.artifact;
    let board = Board::start().unwrap();
    let proxy = FaultProxy::start(board.address()).await.unwrap();
    let device = device(&board, proxy.address().port());
    let mut cut = false;
    let (session, told) = bring_up(&device, &runners, |there, size| {
        if !cut && there > size / 3 {
            cut = true;
            proxy.cut();
        }
    })
    .await;
    assert_eq!(session.runner_sha256(), artifact.sha256);
    let &(there, packed_bytes) = told.last().unwrap();
    assert_eq!(there, packed_bytes, "told to its end");
    assert!(packed_bytes < artifact.size_bytes / 2, "{packed_bytes} of {}", artifact.size_bytes);
    let (first_chunk, _) = told[0];
    let after_cut = told.iter().skip_while(|(there, size)| *there <= size / 3);
    assert!(
        after_cut.clone().zip(after_cut.clone().skip(1)).any(|(one, next)| next.0 < one.0),
        "the cable broke: {told:?}"
    );
    assert!(after_cut.map(|(there, _)| there).min() > Some(&first_chunk), "it went on where it was: {told:?}");
    assert!(proxy.bytes(Direction::ToServer) < artifact.size_bytes, "no more went over the wire than is told");

    let workdir = board.home.join("farmctl");
    assert_eq!(files_in(&workdir.join("bin")), vec![artifact.sha256.clone()]);
    assert_eq!(files_in(&workdir.join("partial")), Vec::<String>::new(), "nothing is left of the push");
    let (_, told) = bring_up(&device, &runners, |_, _| {}).await;
    assert_eq!(told, [], "a runner that is there is not pushed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_something_else_is_thrown_away() {
    let runners = built().await;
    let artifact = &runners.0.artifact;
    let board = Board::start().unwrap();
    let partial = board.home.join("farmctl/partial");
    std::fs::create_dir_all(&partial).unwrap();
    // By the name that this lab's entry of the board has for it, and no other.
    let tag = &sha256_hex(b"lab\nboard")[..12];
    std::fs::write(partial.join(format!("{}.{tag}.gz", artifact.sha256)), "no gzip at all").unwrap();
    for name in ["bin", "store", "runs"] {
        std::fs::create_dir_all(board.home.join("farmctl").join(name)).unwrap();
    }
    let (session, _) = bring_up(&device(&board, board.port), &runners, |_, _| {}).await;
    assert_eq!(session.hello.runner_sha256, artifact.sha256);
    assert_eq!(files_in(&partial), Vec::<String>::new());
}
