//! A device that means harm: what it says of itself, of its files and of its runs names places on the host, holds
//! control characters, and numbers without measure. The host writes where it always does, and nowhere else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::support::{Lab, QUICK, farm, local_device};

/// A runner that speaks the protocol, with places of the host in every text that it may choose.
const RUNNER: &str = r#"#!/bin/sh
self=$(sha256sum "$0" | cut -d' ' -f1)
up='../../../../../../../../../tmp/farmctl-escaped'
harm='\u202e\u001b[2J\u001b]0;owned\u0007\r\n../../../escaped'
big=18446744073709551615
case $1 in
hello)
  printf '{"protocol":6,"runner_sha256":"%s","runner_version":"%s",' "$self" "$harm"
  printf '"runner_commit":"%s","runner_sources":"%s",' "$harm" "$up"
  printf '"target":"%s","os":"=HYPERLINK(1)%s","kernel":"%s","machine":"%s",' "$harm" "$harm" "$harm" "$up"
  printf '"hostname":"%s","soc":"%s","boot_id":"%s","unix_ms":%s,' "$up" "$harm" "$up" $big
  printf '"cpus":[{"index":4294967295,"max_frequency_khz":%s}],' $big
  printf '"memory_total_bytes":%s,"memory_available_bytes":%s,' $big $big
  printf '"backends":[{"name":"tract","version":"VERSION","formats":["onnx"],"precisions":["fp32"],'
  printf '"multi_threaded":true,"kernel":"%s"}],' "$harm"
  printf '"scenarios":["single_stream"],"store":{"files":[{"sha256":"%s","size_bytes":%s},' "$up" $big
  printf '{"sha256":"/etc/passwd","size_bytes":%s}],' $big
  printf '"partial":[{"sha256":"%s","size_bytes":%s}],"program_bytes":%s,"free_bytes":%s},' "$up" $big $big $big
  printf '"running":null,"runs":[{"run_id":"%s","lab":"%s","is_live":true},' "$up" "$up"
  printf '{"run_id":"--workdir","lab":null,"is_live":false}]}\n'
  ;;
store)
  case $2 in
  trim) printf '{"removed":["%s"],"freed_bytes":%s}\n' "$up" $big ;;
  *) printf '{"sha256":"%s","size_bytes":%s}\n' "$up" $big ;;
  esac
  ;;
run)
  cat > /dev/null
  printf '\033[2Jowned\007 %s\n' "$up" >&2
  printf '{"kind":"accepted","protocol":6,"run_id":"%s","pid":4294967295,' "$up"
  printf '"boot_id":"%s","started_unix_ms":%s}\n' "$up" $big
  printf '{"kind":"loaded","load_ns":%s,"inputs":[{"name":"%s","element":"%s","shape":[%s]}]}\n' $big "$up" "$harm" $big
  printf '{"kind":"first_inference","latency_ns":%s}\n{"kind":"samples","latencies_ns":[%s,%s]}\n' $big $big $big
  printf '{"kind":"measured","samples":ANNOUNCED,"wall_ns":%s,"cpu_user_ns":%s,"cpu_system_ns":%s,' $big $big $big
  printf '"peak_rss_bytes":%s,"cpus":[4294967295],"threads":4294967295}\n' $big
  printf '{"kind":"output","name":"%s","shape":[1],"first":0,"values_base64":"AAAAAA=="}\n' "$up"
  printf '{"kind":"output","name":"%s","shape":[1],"first":0,"values_base64":"AACAPw=="}\n' "$harm"
  END
  ;;
esac
"#;

/// A device whose farm file means harm.
const OFF: &str = r#"  - name: "off"
    transport: local
    disabled: "=1\u202E\e[31m\n2026-01-01T00:00:00Z this-host: run ok: forged"
    notes: "@SUM(1)\x9b31m\u2028"
"#;

const FINISHED: &str = r#"printf '{"kind":"finished","finished_unix_ms":%s}\n' $big"#;
const FAILED: &str = concat!(
    r#"printf '{"kind":"failed","failure":"crashed","message":"%s","signal":-1,"exit_code":-1,' "$harm"; "#,
    r#"printf '"stderr_tail":["%s","%s"]}\n' "$up" "$harm""#,
);

/// Whether a text holds only what [`farmctl::wording::printable`] lets pass.
#[track_caller]
fn assert_printable(text: &str) {
    assert_eq!(text, farmctl::wording::printable(text, false), "what a device chose reached the terminal");
}

/// Whatever shows what devices, farm files and people say, in whatever form.
fn assert_nothing_harmful_is_printed(lab: &Lab, job: &str) {
    let verbs: &[&[&str]] = &[
        &["why", "this-host"],
        &["why", "off"],
        &["why", job],
        &["why", "latest"],
        &["devices", "list"],
        &["devices", "show", "this-host"],
        &["devices", "show", "off"],
        &["devices", "history", "this-host"],
        &["devices", "utilisation"],
        &["devices", "probe", "off"],
        &["sweeps", "list"],
        &["sweeps", "show", "latest"],
        &["plan", "configs/quick.yaml"],
        &["report", "latest"],
        &["store", "check"],
    ];
    for verb in verbs {
        for format in ["human", "json", "csv", "markdown"] {
            let (_, stdout, stderr) = lab.run(&[*verb, &["--format", format]].concat());
            assert_printable(&stdout);
            assert_printable(&stderr);
            assert!(!stdout.lines().any(|line| line.starts_with("2026-01-01")), "a line was forged: {stdout}");
            let is_formula = |cell: &str| cell.trim_start_matches('"').starts_with(['=', '@']);
            assert!(format != "csv" || !stdout.lines().any(|line| line.split(',').any(is_formula)), "{stdout}");
        }
    }
}

/// All files below a folder, without following links.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()))
        } else {
            found.insert(entry.path());
        }
    }
    found
}

#[test]
fn a_hostile_device_makes_the_host_write_nowhere_else() {
    let has_escaped = || {
        let names = std::fs::read_dir("/tmp").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.into_iter().any(|name| name.starts_with("farmctl-escaped"))
    };
    assert!(!has_escaped());
    let version = &farmctl::catalog::builtin_backends()[0].version;
    // Of two samples; what was measured stands though the run failed afterwards.
    for (end, announced, status) in [(FINISHED, "2", "ok"), (FAILED, "3", "failed"), (FAILED, "2", "ok")] {
        let runner = RUNNER.replace("END", end).replace("VERSION", version).replace("ANNOUNCED", announced);
        let lab = Lab::with_runner(&runner);
        lab.write("farms/lab.yaml", &(farm(&[local_device()]) + OFF));
        lab.write("configs/quick.yaml", QUICK);
        let (code, stdout, stderr) = lab.run(&["sweep", "configs/quick.yaml"]);
        assert_eq!(code, if status == "ok" { 0 } else { 6 }, "{stderr}");
        let row = lab.row("this-host");
        assert_eq!(row["status"], status, "{row:?}");
        assert_eq!(row["remarks"].contains("after all was measured the run failed"), (end, status) == (FAILED, "ok"));
        let (_, shown, told) = lab.run(&["devices", "probe"]);
        [stdout, stderr, shown, told].iter().for_each(|text| assert_printable(text));
        assert_nothing_harmful_is_printed(&lab, &row["job_id"]);
        assert!(!has_escaped() && !lab.path("escaped").exists());
        let root = lab.path("");
        for path in files(&root) {
            let place = path.strip_prefix(&root).unwrap();
            // The device without a workdir has the usual one, below this home.
            let known =
                ["configs", "farms", "reports", ".farm", "here", ".cache/farmctl/device", "runner.sh", "stderr"];
            assert!(known.iter().any(|known| place.starts_with(known)), "{} was written", place.display());
            if place.starts_with(".farm/outputs") {
                let name = place.file_name().unwrap().to_str().unwrap();
                let content = std::fs::read(&path).unwrap();
                assert_eq!(name, format!("{}.f32", farmctl::domain::sha256_hex(&content)));
            }
        }
        let (code, said, _) = lab.run(&["store", "check"]);
        assert_eq!(code, 0, "{said}");
    }
}
