//! Faults of meaning, and what right files mean.

use std::path::PathBuf;

use crate::domain::{
    AdbEndpoint, DeviceSelector, SecretSource, Tag, ThreadCount, TransportConfig, TrustPolicy, TrustRules, WeightsFile,
};

use super::{environment, farm, models, said, sweep};
use crate::config::load_inventory;

#[test]
fn meaning_of_a_farm() {
    let cases = [
        (
            "names",
            "farm: a/b\ndevices:\n  - { name: -a, transport: local }\n  - { name: all, transport: local }\n  \
             - { name: ä, transport: local }\n",
        ),
        ("tags", "devices:\n  - { name: a, transport: local, tags: [a b, k=, =v, k=v=w, \"\", x, x] }\n"),
        (
            "the same name twice",
            "devices:\n  - { name: a, transport: local }\n  - { name: b, transport: local }\n  \
             - { name: a, transport: local }\n",
        ),
        (
            "workdirs",
            "defaults: { workdir: / }\ndevices:\n  - { name: a, transport: local, workdir: '~' }\n  \
             - { name: b, transport: local, workdir: '${HOME}/x' }\n  \
             - { name: c, transport: local, workdir: ~bob/x }\n",
        ),
        (
            "variables",
            "devices:\n  - { name: a, transport: { ssh: { host: '${NOWHERE}', user: '${BOARD', identity_file: '${A \
             B}/x', known_hosts: '${EMPTY}' } } }\n",
        ),
        (
            "hosts",
            "devices:\n  - { name: a, transport: { ssh: { host: root@x } } }\n  \
             - { name: b, transport: { ssh: { host: -oProxyCommand=x } } }\n",
        ),
        ("host keys", "devices:\n  - { name: a, transport: { ssh: { host: x, host_key: AAAAC3Nza } } }\n"),
        ("another's home", "devices:\n  - { name: a, transport: { ssh: { host: x, identity_file: ~bob/key } } }\n"),
    ];
    insta::assert_snapshot!("meaning_of_a_farm", said(farm, &cases));
}

#[test]
fn meaning_of_a_sweep() {
    let cases = [
        (
            "unknown names",
            "models: [resnet_50, mobilenet_v2, vgg]\nbackends: trakt\ndevices: [pi6, this_host, zebra]\n",
        ),
        (
            "globs and tags",
            "models: resnet50\ndevices: [pixel-*, 'p[', { tag: arch=arm46 }, { tag: a b }, { tag: cooled }]\n",
        ),
        ("a tag as a name", "models: resnet50\ndevices: arch=arm64\n"),
        ("twice", "models: [resnet50, resnet50]\nthreads: [1, big, 1]\nweights: [trained, trained]\n"),
        ("cores twice", "models: [resnet50]\nthreads: [1, { cores: [4, 5, 4] }]\n"),
        (
            "minima and maxima",
            "models: resnet50\nlimits: { warmup: { min_seconds: 60 }, measure: { max_seconds: 2, min_runs: 9, \
             max_runs: 8 } }\n",
        ),
        ("no time for it", "models: resnet50\ntimeouts: { run_seconds: 3 }\n"),
        (
            "a loop that may last longer than its run",
            "models: resnet50\nlimits: { measure: { max_seconds: 700, interval_percent: 1 } }\ntimeouts: { \
             run_seconds: 6 }\n",
        ),
        (
            "an interval that may take longer than the run",
            "models: resnet50\nlimits: { measure: { interval_percent: 1 } }\ntimeouts: { run_seconds: 60 }\n",
        ),
        (
            "no time for sustained load",
            "models: resnet50\nscenario: sustained\nlimits: { sustained: { seconds: 601 } }\n",
        ),
        ("a preset that is not known", "models: resnet50\npreset: mlperfmobile\n"),
        ("below what the preset says", "models: resnet50\npreset: tflite\nlimits: { measure: { max_runs: 10 } }\n"),
        (
            "percentages",
            "models: resnet50\nlimits: { warmup: { steady_percent: 0 }, measure: { interval_percent: 200 } }\n",
        ),
        (
            "in include and exclude",
            "models: resnet50\ninclude: { models: resnet51 }\nexclude: [ { devices: pi44 }, { threads: 0 } ]\n",
        ),
        ("an exclude that names nothing", "models: resnet50\nexclude: [ {} ]\n"),
        (
            "an exclude without effect",
            "models: [resnet50, mobilenet_v2]\ndevices: [pi4]\nexclude:\n  - { models: resnet50 }\n  \
             - { models: mobilenet_v2, threads: 2 }\n  - devices: this-host\n",
        ),
        ("nothing left", "models: [resnet50]\nexclude: { models: resnet50 }\n"),
        ("cool-down", "models: resnet50\ncooldown: { min_seconds: 130 }\n"),
        ("name", "name: ../../x\nmodels: resnet50\n"),
    ];
    insta::assert_snapshot!("meaning_of_a_sweep", said(sweep, &cases));
}

#[test]
fn meaning_of_models() {
    let cases = [
        (
            "twice",
            "models:\n  - { name: a, weights: { trained: { path: a } } }\n  \
             - { name: a, weights: { trained: { path: b } } }\n",
        ),
        ("name", "models:\n  - { name: a b, weights: { trained: { path: a } } }\n"),
        ("no weights", "models:\n  - { name: a, weights: {} }\n"),
        ("no place to get them", "models:\n  - { name: a, weights: { trained: { sha256: x } } }\n"),
        ("two places", "models:\n  - { name: a, weights: { trained: { path: x, urls: [https://x.example/y] } } }\n"),
        ("not pinned", "models:\n  - name: a\n    weights:\n      trained: { urls: https://x.example/y }\n"),
        ("half pinned", "models:\n  - name: a\n    weights:\n      trained: { path: x, size_bytes: 5 }\n"),
        (
            "hash and URL",
            "models:\n  - name: a\n    weights:\n      trained: { urls: [ftp://x], sha256: abc, size_bytes: 1 }\n",
        ),
        ("unknown network", "models:\n  - { name: a, weights: { synthetic: { builtin: resnet51 } } }\n"),
        ("unknown form", "models:\n  - { name: a, weights: { synthetic: { builtin: resnet50, format: mnn } } }\n"),
        (
            "a checkpoint that is missing",
            "models:\n  - { name: a, weights: { trained: { builtin: efficientnet_lite0 } } }\n",
        ),
        (
            "a checkpoint too many",
            "models:\n  - name: a\n    weights:\n      trained:\n        builtin: digits\n        \
             checkpoint:\n          archive: { urls: https://x.example/y, sha256: \
             abababababababababababababababababababababababababababababababab, size_bytes: 1 }\n          \
             member: x\n          sha256: abababababababababababababababababababababababababababababababab\n          \
             size_bytes: 1\n",
        ),
        (
            "no checkpoint",
            "models:\n  - name: a\n    weights:\n      trained: { builtin: efficientnet_lite0, \
             checkpoint: { archive: { urls: ftp://x, sha256: 1a, size_bytes: 1 }, member: x, sha256: 2b, \
             size_bytes: 1 } }\n",
        ),
        (
            "a format twice",
            "models:\n  - name: a\n    weights:\n      trained: [ { path: x.onnx, precision: fp32 }, \
             { path: x.tflite }, { path: y.onnx, precision: fp32 } ]\n",
        ),
        (
            "parts",
            "models:\n  - name: a\n    weights:\n      trained:\n        \
             - { path: x, format: caffe2, parts: { name: init } }\n        \
             - { path: y, parts: [ { name: a/b, path: z }, { name: b, urls: ftp://x } ] }\n",
        ),
        ("range", "models:\n  - { name: a, input_range: [2, 1], weights: { trained: { path: a } } }\n"),
    ];
    insta::assert_snapshot!("meaning_of_models", said(models, &cases));
}

#[test]
fn files_and_folders_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.yaml", "devices: [ { name: x, transport: local } ]\n");
    write("a.yml", "devices:\n  - { name: y, transport: local }\n  - { name: x, transport: local, bad: 1 }\n");
    write("c.yaml.example", "nonsense");
    write(".d.yaml", "nonsense");
    let read = |paths: &[PathBuf]| {
        let text = load_inventory(paths, &environment).unwrap_err().to_string();
        text.replace(&*folder.path().to_string_lossy(), "FARMS")
    };
    insta::assert_snapshot!("several_files", read(&[folder.path().to_owned(), folder.path().join("none.yaml")]));
    let empty = tempfile::tempdir().unwrap();
    let text = load_inventory(&[empty.path().to_owned()], &environment).unwrap_err().to_string();
    assert!(text.contains("the folder has no farm file"), "{text}");
}

#[test]
fn defaults_and_variables_reach_the_devices() {
    let inventory = farm(
        "defaults:
  tags: [rack=1, lab]
  limits: { max_run_seconds: 60, min_free_mb: 5 }
  ssh: { user: bench, port: 2022, identity_file: keys/id }
devices:
  - name: a
    tags: rack=2
    limits: { max_run_seconds: 5 }
    transport:
      ssh: { host: '${BOARD}.example$${x}$y', user: root, known_hosts: ~/kh, password: { file: /etc/p } }
  - { name: b, transport: local, workdir: }
",
    )
    .unwrap();
    let [a, b] = inventory.devices.as_slice() else { panic!("two devices") };
    assert_eq!(a.tags.iter().map(Tag::to_string).collect::<Vec<_>>(), ["lab", "rack=2"]);
    assert_eq!((a.limits.max_run_seconds, a.limits.min_free_bytes), (Some(5.0), Some(5_000_000)));
    let TransportConfig::Ssh(ssh) = &a.transport else { panic!("ssh") };
    assert_eq!((ssh.host.as_str(), ssh.user.as_deref(), ssh.port), ("board7.example${x}$y", Some("root"), Some(2022)));
    assert_eq!(ssh.identity_file, Some(PathBuf::from("farms/keys/id")));
    assert_eq!(ssh.known_hosts, Some(PathBuf::from("/home/lab/kh")));
    assert_eq!(ssh.password, Some(SecretSource::File(PathBuf::from("/etc/p"))));
    assert_eq!(
        (a.workdir.as_str(), a.declared_at.as_str(), a.farm.as_str()),
        ("~/.farmctl", "farms/lab.yaml:6", "lab")
    );
    assert_eq!(b.workdir, "~/.cache/farmctl/device");
    assert_eq!(b.limits.max_run_seconds, Some(60.0));
}

#[test]
fn an_adb_device_has_its_serial_address_and_server() {
    let inventory = farm(
        "devices:
  - { name: a, transport: { adb: { serial: '${BOARD}', server: '[::1]:5038' } } }
  - { name: b, transport: { adb: { address: 'phone.example:5555' } }, workdir: /data/x }
",
    )
    .unwrap();
    let [a, b] = inventory.devices.as_slice() else { panic!("two devices") };
    let endpoint = AdbEndpoint { serial: Some("board7".into()), address: None, server: Some("[::1]:5038".into()) };
    assert_eq!(a.transport, TransportConfig::Adb(endpoint));
    assert_eq!((a.workdir.as_str(), a.transport.name()), ("/data/local/tmp/farmctl", "adb"));
    let endpoint = AdbEndpoint { address: Some("phone.example:5555".into()), ..AdbEndpoint::default() };
    assert_eq!((&b.transport, b.workdir.as_str()), (&TransportConfig::Adb(endpoint), "/data/x"));
}

#[test]
fn a_phone_takes_no_default_workdir_below_a_home_it_has_not() {
    for (default, phone, board) in [
        ("~/bench", "/data/local/tmp/farmctl", "~/bench"),
        ("bench", "/data/local/tmp/farmctl", "bench"),
        ("/data/bench", "/data/bench", "/data/bench"),
    ] {
        let inventory = farm(&format!(
            "defaults: {{ workdir: {default} }}
devices:
  - {{ name: a, transport: {{ adb: {{ serial: R58 }} }} }}
  - {{ name: b, transport: {{ ssh: {{ host: board }} }} }}
  - {{ name: c, transport: {{ adb: {{ serial: R59 }} }}, workdir: {default} }}
"
        ))
        .unwrap();
        let workdirs: Vec<&str> = inventory.devices.iter().map(|device| device.workdir.as_str()).collect();
        assert_eq!(workdirs, [phone, board, default]);
    }
}

#[test]
fn a_sweep_of_one_line_has_the_documented_defaults() {
    insta::assert_snapshot!(
        "default_sweep",
        serde_json::to_string_pretty(&sweep("models: resnet50").unwrap()).unwrap()
    );
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    let one = sweep("{ models: resnet50, threads: big, devices: { tag: arch }, exclude: { devices: pi4 } }").unwrap();
    let many =
        sweep("{ models: [resnet50], threads: [big], devices: [ { tag: arch } ], exclude: [ { devices: [pi4] } ] }")
            .unwrap();
    assert_eq!(one, many);
    assert_eq!(one.threads, [ThreadCount::Big]);
    let kinds = sweep("{ models: resnet50, threads: [little, mid, prime, { cores: [5, 4] }] }").unwrap();
    let [little, mid, prime] = [ThreadCount::Little, ThreadCount::Mid, ThreadCount::Prime];
    assert_eq!(kinds.threads, [little, mid, prime, ThreadCount::Cores(vec![4, 5])]);
    let core = sweep("{ models: resnet50, threads: { cores: [0] } }").unwrap();
    assert_eq!(core.threads, [ThreadCount::Cores(vec![0])]);
    assert_eq!(one.devices, [DeviceSelector::Tag(Tag { key: "arch".to_owned(), value: None })]);
}

#[test]
fn aliases_are_copied_in() {
    let inventory = farm(
        "devices:\n  - { name: a, tags: &t [x, y=1], transport: local }\n  - { name: b, tags: *t, transport: local }\n",
    );
    let inventory = inventory.unwrap();
    assert_eq!(inventory.devices[0].tags, inventory.devices[1].tags);
}

#[test]
fn a_users_model_needs_a_name_and_a_path() {
    let models =
        models("models:\n  - name: mine\n    weights:\n      trained: { path: ../models/mine.onnx }\n").unwrap();
    insta::assert_snapshot!("users_model", serde_json::to_string_pretty(&models).unwrap());
}

#[test]
fn a_network_in_several_formats_is_one_model() {
    let models = models(
        "models:
  - name: mine
    weights:
      synthetic: { builtin: squeezenet1_0 }
      trained:
        - { path: mine.onnx }
        - { path: mine.tflite }
        - { path: int8.tflite, precision: int8 }
        - { path: predict_net.pb, format: caffe2, parts: { name: init, path: init_net.pb } }
",
    )
    .unwrap();
    let line = |file: &WeightsFile| {
        let parts = file.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>().join(" ");
        format!(
            "{} {} {} [{parts}] {}\n",
            file.weights,
            file.format,
            file.precision().unwrap(),
            file.artifact.is_some()
        )
    };
    insta::assert_snapshot!("formats_of_a_model", models[0].files.iter().map(line).collect::<String>());
}

#[test]
fn a_builtin_network_is_had_in_one_format_where_that_is_asked_for() {
    let files = |entry: &str| {
        let text =
            format!("models:\n  - {{ name: a, weights: {{ synthetic: {{ builtin: mobilenet_v2{entry} }} }} }}\n");
        models(&text).unwrap().remove(0).files
    };
    let names = |entry: &str| {
        files(entry).iter().map(|file| format!("{} {}", file.format, file.precision().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(names(", format: tflite"), ["tflite fp32", "tflite int8"]);
    assert_eq!(names(", format: tflite, precision: int8"), ["tflite int8"]);
    let hash = "ab".repeat(32);
    let pinned = files(&format!(", sha256: {hash}, size_bytes: 5"));
    assert_eq!((pinned.len(), pinned[0].format.as_str()), (1, "onnx"));
    assert_eq!(pinned[0].artifact.as_ref().map(|artifact| &artifact.sha256), Some(&hash));
}

#[test]
fn when_a_number_is_believed() {
    let usual = sweep("models: resnet50\n").unwrap().trust;
    assert_eq!(usual, TrustPolicy::default());
    assert_eq!(usual.max_reruns, 0, "nothing is measured again unasked");
    let said =
        sweep("models: resnet50\ntrust: { max_reruns: 2, rerun_pause_seconds: 0, change_percent: 8 }\n").unwrap().trust;
    let rules = TrustRules { change_percent: 8.0, ..usual.rules };
    assert_eq!(said, TrustPolicy { rules, max_reruns: 2, rerun_pause_seconds: 0.0 });
}

#[test]
fn the_hosts_of_a_device_are_names_in_their_order() {
    let with = |hosts: &str| farm(&format!("devices:\n  - {{ name: a, transport: local, hosts: {hosts} }}\n"));
    assert_eq!(with("[rack-b, rack-a]").unwrap().devices[0].preferred_hosts, ["rack-b", "rack-a"]);
    assert_eq!(with("desk").unwrap().devices[0].preferred_hosts, ["desk"]);
    for (hosts, words) in [("[a, a]", "listed twice"), ("[a b]", "no good name")] {
        let error = with(hosts).unwrap_err().to_string();
        assert!(error.contains("farms/lab.yaml:2") && error.contains(words), "{error}");
    }
}
