//! What goes wrong with a server: each is told as what it is, in time, and nothing is there half.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farmctl::artifacts::{
    ArtifactStore as _, Asked, Call, FolderStore, Kind, S3Store, S3Timeouts, SharedFiles, Trouble,
};
use farmctl::domain::S3Place;
use testlab::{Direction, FaultProxy, S3Server};

use super::{call, file, folder, large, place, store_at, surroundings};

/// Waits that a test can wait for.
fn short() -> S3Timeouts {
    let seconds = Duration::from_secs_f64;
    S3Timeouts { connect: seconds(0.5), stall: seconds(0.5), request: seconds(2.0) }
}

#[test]
fn a_server_that_dies_in_the_middle_of_an_upload_has_nothing_of_it() {
    let (server, folder) = (S3Server::start().unwrap(), folder());
    let store = S3Store::open(place(server.address()), &surroundings("k", "s3cret", short())).unwrap();
    let (path, name) = file(folder.path(), Kind::Artifact, &large());
    let mut kill = |_| server.kill();
    let deadline = Instant::now() + Duration::from_secs(20);
    let begun = Instant::now();
    let error = store.put(&name, &path, &mut Call { deadline, progress: &mut kill }).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Unreachable(_) | Trouble::Deadline(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(45), "it took {:?}", begun.elapsed());
    let text = format!("{error} {error:?} {store:?}");
    assert!(text.contains(&server.address().to_string()) && !text.contains("s3cret"), "{text}");
    assert!(error.remedy().unwrap().contains("farmctl doctor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_costs_a_part_and_not_the_file() {
    let (server, folder) = (S3Server::start().unwrap(), folder());
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    // In the middle of a part, twice, and in the middle of an answer.
    proxy.cut_next(Direction::ToServer, 3 << 20);
    proxy.cut_next(Direction::ToServer, 9 << 20);
    let store = store_at(&server, proxy.address());
    let work = move || {
        let (path, name) = file(folder.path(), Kind::Artifact, &large());
        call(|call| store.put(&name, &path, call)).unwrap();
        proxy.cut_next(Direction::ToClient, 5 << 20);
        proxy.cut();
        let into = folder.path().join("into");
        call(|call| store.get(&name, &into, call)).unwrap();
        assert!(std::fs::read(&into).unwrap() == large());
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_or_stands_still_holds_nobody_up_beyond_the_deadline() {
    let (server, folder) = (S3Server::start().unwrap(), folder());
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    let store = S3Store::open(place(proxy.address()), &surroundings("k", "s", S3Timeouts::default())).unwrap();
    let work = move || {
        let (path, name) = file(folder.path(), Kind::Artifact, &large());
        for is_still in [false, true] {
            if is_still {
                proxy.stall()
            } else {
                proxy.slow(100_000)
            }
            let begun = Instant::now();
            let deadline = begun + Duration::from_secs(2);
            let error = store.put(&name, &path, &mut Call { deadline, progress: &mut |_| {} }).unwrap_err();
            assert!(matches!(error.trouble(), Trouble::Deadline(_)), "{error}");
            // Taking the upload back may take a few seconds more.
            assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
        }
        proxy.pass();
        assert_eq!(call(|call| store.size(&name, call)).unwrap(), None, "nothing is there half");
        call(|call| store.put(&name, &path, call)).unwrap();
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[test]
fn a_wrong_key_is_told_as_what_it_is_and_never_shown() {
    let (server, folder) = (S3Server::start_guarded().unwrap(), folder());
    let (path, name) = file(folder.path(), Kind::Output, b"x");
    let right = store_at(&server, server.address());
    call(|call| right.put(&name, &path, call)).unwrap();
    for (key, secret, said, remedy) in [
        (server.key(), "wr0ngsecret", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("AKIANOBODY", "wr0ngsecret", "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
    ] {
        let around = surroundings(key, secret, S3Timeouts::default());
        let wrong = S3Store::open(place(server.address()), &around).unwrap();
        let error = call(|call| wrong.put(&name, &path, call)).unwrap_err();
        assert!(matches!(error.trouble(), Trouble::Denied { status: 403, .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.remedy().unwrap().contains(remedy), "{error}");
        assert!(!format!("{error} {error:?} {wrong:?}").contains("wr0ngsecret"));
    }
    let none = surroundings("", "", S3Timeouts::default());
    let none = S3Store::open(place(server.address()), &none).unwrap();
    let error = call(|call| none.size(&name, call)).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::NoCredentials(_)), "{error}");
    assert!(error.to_string().contains("/nowhere/.aws/credentials"), "{error}");
}

#[test]
fn a_bucket_that_is_not_there_and_a_server_that_is_not_are_told() {
    let (server, folder) = (S3Server::start().unwrap(), folder());
    let (path, name) = file(folder.path(), Kind::Output, b"x");
    let around = surroundings("k", "s", short());
    let nowhere = S3Place { bucket: "no-such-bucket".to_owned(), ..place(server.address()) };
    let store = S3Store::open(nowhere, &around).unwrap();
    let error = call(|call| store.put(&name, &path, call)).unwrap_err();
    assert!(error.to_string().contains("there is no bucket no-such-bucket"), "{error}");
    let error = call(|call| store.list(Kind::Output, call)).unwrap_err();
    assert!(error.to_string().contains("there is no bucket no-such-bucket"), "{error}");
    // Nobody listens on the port of a server that has ended.
    server.kill();
    let store = S3Store::open(place(server.address()), &around).unwrap();
    let error = call(|call| store.get(&name, &path, call)).unwrap_err();
    assert!(matches!(error.trouble(), Trouble::Unreachable(_)), "{error}");
    let endpoint = Some("https://me:s3cret@s3.lab".to_owned());
    let error = S3Store::open(S3Place { endpoint, ..place("x") }, &around).unwrap_err();
    assert!(error.to_string().contains("has a user in it") && !error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn what_can_not_be_asked_is_told_once_and_left_alone_for_a_while() {
    let folder = folder();
    let told = Arc::new(Mutex::new(Vec::new()));
    let remarks = Arc::clone(&told);
    let nowhere = Arc::new(FolderStore::new(folder.path().join("not-mounted")));
    let shared = SharedFiles::new(nowhere, Arc::new(move |text| remarks.lock().unwrap().push(text.to_owned())));
    let mut call = Call { deadline: Instant::now() + Duration::from_secs(5), progress: &mut |_| {} };
    for content in ["one", "two", "three"] {
        let (path, name) = file(folder.path(), Kind::Output, content.as_bytes());
        assert!(!shared.share(Kind::Output, name.sha256(), &path, &mut call));
        let asked = shared.fetch(Kind::Output, name.sha256(), &path, &mut call);
        assert_ne!(asked, Asked::Done);
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("not-mounted: there is no such folder") && told[0].contains("farmctl doctor"), "{told:?}");
}
