//! Faults of syntax and structure.

use super::{farm, models, said, sweep};

#[test]
fn syntax() {
    let cases = [
        ("empty", ""),
        ("only a comment", "# nothing\n"),
        ("unclosed", "devices: [a, b\n"),
        ("a tab", "devices:\n\t- name: a\n"),
        ("bad indentation", "farm: lab\n  devices: []\n"),
        ("twice the same field", "farm: a\ndevices:\n  - { name: a, transport: local, name: b }\nfarm: b\n"),
        ("two documents", "farm: a\n---\nfarm: b\n"),
        ("merge key", "defaults: &d { workdir: ~/x }\ndevices:\n  - { <<: *d, name: a, transport: local }\n"),
        ("unknown alias", "devices: *nowhere\n"),
        ("alias inside itself", "devices: &a [ *a ]\n"),
        ("a tag", "devices:\n  - { name: !secret a, transport: local }\n"),
        ("a list as a key", "? [a, b]\n: c\ndevices: [ { name: a, transport: local } ]\n"),
        ("carriage returns", "farm: lab\r\ndevices:\r\n  - nme: a\r\n    transport: local\r\n"),
        ("byte order mark", "\u{feff}fram: lab\ndevices: [ { name: a, transport: local } ]\n"),
    ];
    insta::assert_snapshot!("syntax", said(farm, &cases));
}

#[test]
fn structure_of_a_farm() {
    let cases = [
        ("a list where fields are wanted", "- a\n"),
        ("no devices", "farm: lab\n"),
        ("an empty list", "devices: []\n"),
        ("a list left empty", "devices:\nfarm: lab\n"),
        ("unknown field", "devices:\n  - name: a\n    transport:\n      ssh:\n        host: x\n        prot: 22\n"),
        ("missing fields", "devices:\n  - { tags: [x] }\n  - name: b\n    transport: { ssh: { user: x } }\n"),
        ("wrong kinds", "devices:\n  - { name: 1e3, transport: local, disabled: yes, notes: true, limits: 5 }\n"),
        (
            "ports",
            "devices:\n  - { name: a, transport: { ssh: { host: x, port: 0 } } }\n  \
             - { name: b, transport: { ssh: { host: x, port: 65536 } } }\n  \
             - { name: c, transport: { ssh: { host: x, port: \"22\" } } }\n",
        ),
        (
            "numbers",
            "devices:\n  - { name: a, transport: local, limits: { max_run_seconds: .nan, min_free_mb: -5 } }\n  \
             - { name: b, transport: local, limits: { max_run_seconds: 0, min_free_mb: 1.5 } }\n",
        ),
        (
            "prices",
            "devices:\n  - { name: a, transport: local, price_per_hour: 0 }\n  \
             - { name: b, transport: local, price_per_hour: 3 EUR }\n",
        ),
        ("delegates", "devices:\n  - { name: a, transport: local, delegates: [gpu, gpu, cpu, Hexagon DSP] }\n"),
        ("a word that is none", "devices:\n  - { name: a, transport: lokal }\n"),
        ("ssh without its fields", "devices:\n  - { name: a, transport: ssh }\n"),
        (
            "adb without serial and address",
            "devices:\n  - name: a\n    transport:\n      adb: { server: 'lab:5037' }\n",
        ),
        (
            "adb with what is no address",
            "devices:\n  - { name: a, transport: { adb: { serial: 'R58 ', address: phone, server: ':5037' } } }\n  \
             - { name: b, transport: { adb: { address: 'x:0', sireal: R58 } } }\n",
        ),
        ("unknown transport", "devices:\n  - { name: a, transport: { shh: { host: x } } }\n"),
        ("two transports", "devices:\n  - { name: a, transport: { ssh: { host: x }, local: {} } }\n"),
        ("a number as a tag", "devices:\n  - { name: a, transport: local, tags: [2024, ok] }\n"),
    ];
    insta::assert_snapshot!("structure_of_a_farm", said(farm, &cases));
}

#[test]
fn structure_of_a_sweep() {
    let cases = [
        ("no models", "name: x\n"),
        ("empty lists", "models: []\nthreads: []\n"),
        ("words", "models: resnet50\nprecision: fp23\nweights: [trained, synthetik]\non_failure: stop\n"),
        ("a precision of the median", "models: resnet50\nprecision: 2 %\n"),
        ("threads", "models: resnet50\nthreads: [0, 2, bigg, 1.5, -1, all]\n"),
        ("cores", "models: resnet50\nthreads: [{ cores: [] }, { core: [1] }, { cores: [-1, 4096, x] }]\n"),
        (
            "numbers",
            "models: resnet50\nrepeats: 0\nbatch: 0\nseed: -1\ntimeouts: { run_seconds: .inf, connect_seconds: 0 }\n",
        ),
        ("a number beyond its type", "models: resnet50\nseed: 99999999999999999999\n"),
        (
            "the largest of its type and one more",
            "models: resnet50\nlimits: { warmup: { min_runs: 4294967296 } }\nseed: 18446744073709551616\n",
        ),
        ("a selector with a slip", "models: resnet50\ndevices: [ { tga: host } ]\n"),
        (
            "trust",
            "models: resnet50\ntrust: { max_reruns: 11, min_samples: 0, interval_percent: 0, outlier_persent: 5,\n  \
             mode_share_percent: 51 }\n",
        ),
        ("fields of limits", "models: resnet50\nlimits: { warmup: { min_run: 3 }, measur: {} }\n"),
    ];
    insta::assert_snapshot!("structure_of_a_sweep", said(sweep, &cases));
}

#[test]
fn structure_of_models() {
    let cases = [
        ("shape", "models:\n  - { name: a, input_shape: [1, 0, x], weights: { trained: { path: a } } }\n"),
        ("range", "models:\n  - { name: a, input_range: [1], weights: { trained: { path: a } } }\n"),
        ("weights", "models:\n  - { name: a, weights: { traind: { path: a } } }\n  - { name: b }\n"),
        ("accuracy", "models:\n  - { name: a, accuracy: { top1_percent: 176 }, weights: { trained: { path: a } } }\n"),
    ];
    insta::assert_snapshot!("structure_of_models", said(models, &cases));
}

#[test]
fn all_faults_of_a_file_at_once_in_the_order_of_its_lines() {
    let text = "frm: lab
devices:
  - name: a b
    tags: [x=, y]
    transport: { ssh: { host: x, port: 0 } }
  - name: good
    transport: { ssh: { host: '${NOWHERE}', known_host: x } }
  - transport: local
  - name: good
    transport: local
";
    insta::assert_snapshot!("all_faults_at_once", farm(text).unwrap_err().to_string());
}

#[test]
fn a_secret_is_refused_and_never_shown() {
    let cases = [
        ("plain", "devices:\n  - name: a\n    transport:\n      ssh:\n        host: x\n        password: hunter2\n"),
        (
            "on one line with another fault",
            "devices:\n  - { name: a, transport: { ssh: { hots: x, password: hunter2 } } }\n",
        ),
        ("with a slip in its name", "devices:\n  - { name: a, transport: { ssh: { host: x, pasword: hunter2 } } }\n"),
        ("as a number", "devices:\n  - { name: a, transport: { ssh: { host: x, \"password\": 2222 } } }\n"),
        ("as a list", "devices:\n  - { name: a, transport: { ssh: { host: x, password: [hunter2] } } }\n"),
        ("with broken syntax", "devices:\n  - { name: a, password: 'hunter2\n"),
        ("by a wrong word", "devices:\n  - { name: a, transport: { ssh: { host: x, password: { env: A } } } }\n"),
        (
            "by a variable that is none",
            "devices:\n  - { name: a, transport: { ssh: { host: x, password: { environment: $A } } } }\n",
        ),
        ("by nothing", "devices:\n  - { name: a, transport: { ssh: { host: x, password: {} } } }\n"),
    ];
    let text = said(farm, &cases);
    assert!(!text.contains("hunter2") && !text.contains("2222"), "{text}");
    insta::assert_snapshot!("secrets", text);
}

#[test]
fn the_caret_is_right_whatever_stands_before_it() {
    let long = format!(
        "devices: [ {{ name: a, transport: local, notes: {}, nots: x, more: {} }} ]\n",
        "n".repeat(300),
        "m".repeat(300)
    );
    let cases = [
        ("tabs between", "devices:\n  - name: a\n    transport:\t\tlokal\n"),
        ("wide characters", "devices:\n  - { notes: \"測定装置 ü e\u{301}\", nme: a, transport: local }\n"),
        (
            "characters that can't be seen",
            "devices:\n  - { \"no\u{202e}tes\": x, name: a, transport: local, nme: b }\n",
        ),
        ("a long line", long.as_str()),
    ];
    insta::assert_snapshot!("carets", said(farm, &cases));
}
