//! Two hosts of a lab whose files are in a bucket: one goes on with what the other began.

use std::path::Path;

use farmctl::domain::sha256_hex;
use testlab::S3Server;

use super::api::RARELY;
use super::daemon::Daemon;
use super::http::{address, get, get_json};
use super::support::{HOST_TARGET, Lab, QUICK, built_runner, farm, lasting, local_device};

/// A host whose lab.yaml names that server's bucket.
fn host(server: &S3Server) -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("lab.yaml", &format!("artifacts: {{ at: s3://lab/x, endpoint: 'http://{}' }}\n", server.address()));
    std::fs::create_dir(lab.path(".aws")).unwrap();
    let (key, secret) = (server.key(), server.secret());
    lab.write_secret(
        ".aws/credentials",
        &format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"),
    );
    lab
}

/// Runs farmctl, which must end well; gives all it printed.
#[track_caller]
fn told(lab: &Lab, words: &[&str]) -> String {
    let (code, stdout, stderr) = lab.run(words);
    assert_eq!(code, 0, "{words:?}: {stdout}{stderr}");
    stdout + &stderr
}

#[test]
fn another_host_goes_on_with_the_runner_of_the_first_and_has_its_outputs() {
    let server = S3Server::start_guarded().unwrap();
    let one = host(&server);
    one.write("configs/slow.yaml", &format!("{}repeats: 2\n", lasting(4)));
    let mut running = one.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    running.interrupt();
    running.finish().expect_code(130);

    // The store moves to another host, as PostgreSQL's would be there already. Its compiler makes another runner.
    told(&one, &["store", "backup", "moved.db"]);
    let other = host(&server);
    told(&other, &["store", "restore", one.path("moved.db").to_str().unwrap()]);
    other.change_runner(Some("#!/bin/sh\nexit 3\n"));
    let sha256 = sha256_hex(&std::fs::read(built_runner(HOST_TARGET)).unwrap());
    let fetched = other.path(".farm/artifacts").join(&sha256);
    let _ = std::fs::remove_file(&fetched); // the cache of models is that of all tests
    other.sweep(&["--resume"]).expect_code(0);
    let rows = other.rows();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["status"] == "ok" && row["runner_sha256"] == sha256), "{rows:?}");
    assert!(fetched.is_file(), "it came from the bucket");

    // What the network answered at the first host is in the reports of the second.
    let output = other.path(&format!(".farm/outputs/{}.f32", rows[0]["output_sha256"]));
    std::fs::remove_file(&output).unwrap();
    told(&other, &["report", "latest"]);
    assert!(other.rows().iter().all(|row| !row["output_error"].is_empty()), "an output is missing");
    assert!(output.is_file() && told(&other, &["store", "check"]).contains("sound"));

    // Without the bucket the same is told as it always was.
    std::fs::remove_file(&fetched).unwrap();
    without_the_bucket(&one);
}

/// The first host's own lab, which knows of no bucket now: another runner is another program.
fn without_the_bucket(one: &Lab) {
    std::fs::remove_file(one.path("lab.yaml")).unwrap();
    one.change_runner(Some("#!/bin/sh\nexit 3\n"));
    let (code, stdout, stderr) = one.run(&["sweep", "--resume"]);
    let said = stdout + &stderr;
    assert!(code == 2 && said.contains("is another now"), "{said}");
}

/// A host that shares files in that folder, with its own cache; `pictures` lie at the first one alone.
fn host_of_pictures(shared: &Path) -> Lab {
    let lab = Lab::new();
    std::fs::remove_file(lab.path(".farm/artifacts")).unwrap();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("lab.yaml", &format!("artifacts: {}\n", shared.display()));
    let datasets = "datasets:\n  - { name: mine, classes: 10, folders: { path: ../pictures, numbered: true } }\n";
    lab.write("configs/datasets.yaml", datasets);
    let models = "models:\n  - name: digits\n    input_shape: [1, 1, 8, 8]\n    classes: 10\n    \
                  preprocessing: { crop: 1 }\n    weights: { trained: { builtin: digits } }\n";
    lab.write("configs/models.yaml", models);
    lab
}

#[test]
fn another_host_goes_on_with_the_images_that_the_first_has_prepared() {
    let shared = tempfile::tempdir().unwrap();
    let one = host_of_pictures(shared.path());
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/datasets/samples");
    std::fs::create_dir_all(one.path("pictures/3")).unwrap();
    for name in ["colours.png", "grey16.png"] {
        std::fs::copy(samples.join(name), one.path("pictures/3").join(name)).unwrap();
    }
    let limits = "limits:\n  warmup: { min_runs: 1, min_seconds: 0, max_seconds: 5 }\n  \
                  measure: { min_runs: 2, min_seconds: 4, max_seconds: 60 }\n";
    let sweep = format!("models: [digits]\nweights: [trained]\ndataset: mine\nrepeats: 2\n{limits}");
    one.write("configs/mine.yaml", &sweep);
    let mut running = one.start(&["configs/mine.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    running.interrupt();
    running.finish().expect_code(130);
    told(&one, &["store", "backup", "moved.db"]);

    let other = host_of_pictures(shared.path());
    told(&other, &["store", "restore", one.path("moved.db").to_str().unwrap()]);
    other.sweep(&["--resume"]).expect_code(0);
    let rows = other.rows();
    let has_images = |row: &std::collections::HashMap<String, String>| row["status"] == "ok" && row["n_images"] == "2";
    assert!(rows.len() == 2 && rows.iter().all(has_images), "{rows:?}");
}

/// Any host of the lab shows what one of them has written.
#[test]
fn another_host_shows_the_reports_of_the_first() {
    let shared = tempfile::tempdir().unwrap();
    let host = || {
        let lab = Lab::new();
        std::fs::remove_file(lab.path(".farm/artifacts")).unwrap();
        lab.write("farms/lab.yaml", &farm(&[local_device()]));
        lab.write("lab.yaml", &format!("artifacts: {}\n", shared.path().display()));
        lab.write("configs/quick.yaml", QUICK);
        lab.write("configs/daemon.yaml", RARELY);
        lab
    };
    let one = host();
    one.sweep(&["configs/quick.yaml"]).expect_code(0);
    let id = std::fs::read_link(one.path("reports/latest")).unwrap().display().to_string();
    told(&one, &["store", "backup", "moved.db"]);
    let other = host();
    told(&other, &["store", "restore", one.path("moved.db").to_str().unwrap()]);

    let daemon = Daemon::start(&other, "d", &[]);
    let address = address(&other, &daemon);
    let report = |name: &str| get(address, &format!("/reports/{id}/{name}"));
    let sweep = get_json(address, &format!("/api/v1/sweeps/{id}"));
    let names: Vec<&str> = sweep["reports"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"index.html") && names.contains(&"samples.csv.zst"), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("log-")).count(), 1, "what the first has logged: {names:?}");
    for name in &names {
        let there = if name.starts_with("log-") { "log.jsonl" } else { name };
        let written = std::fs::read(one.path("reports").join(&id).join(there)).unwrap();
        assert!(report(name) == (200, written), "{name}");
    }
    assert!(!other.path("reports").join(&id).exists(), "its own are those that it wrote");
    assert_eq!(report("nothing.csv").0, 404);

    // What is damaged there is not shown, and what is gone is not there.
    let written = std::fs::read(one.path("reports/latest/results.md")).unwrap();
    let name = sha256_hex(&written);
    std::fs::remove_file(other.path(".farm/artifacts").join(&name)).unwrap();
    std::fs::write(shared.path().join("reports").join(&name), "else").unwrap();
    assert_eq!(report("results.md").0, 404);
    // Written anew by this host, it is shown by both.
    told(&other, &["report", &id]);
    assert_eq!(report("results.md").0, 200);
    assert!(other.path("reports").join(&id).join("results.md").is_file());
}
