//! Reports that hosts share.

use super::{Open, over};
use crate::domain::{ReportFile, SweepId, host_log_name};

fn file(name: &str, content: &str) -> ReportFile {
    ReportFile {
        name: name.to_owned(),
        sha256: crate::domain::sha256_hex(content.as_bytes()),
        size_bytes: 5_000_000_000,
    }
}

pub fn reports_that_hosts_share_are_those_said_last_and_leave_with_their_sweep(open: &Open) {
    let store = open();
    let (one, other) = (over(&*store, "one"), over(&*store, "other"));
    assert_eq!(store.report_files(&one.id).unwrap(), []);
    let first = [file("index.html", "a"), file("results.csv", "b")];
    store.set_report_files(&one.id, &first).unwrap();
    store.set_report_files(&other.id, &first[..1]).unwrap();
    assert_eq!(open().report_files(&one.id).unwrap(), first);
    let second = [file("index.html", "c")];
    store.set_report_files(&one.id, &second).unwrap();
    assert_eq!(open().report_files(&one.id).unwrap(), second);
    assert!(store.set_report_files(&SweepId("unknown".into()), &first).is_err());
    assert!(store.remove_sweep(&one.id).unwrap());
    assert_eq!(store.report_files(&one.id).unwrap(), []);
    assert_eq!(store.report_files(&other.id).unwrap(), first[..1]);
    // What each host logged stays while reports are written anew.
    let logs = [file(&host_log_name("a b"), "d"), file(&host_log_name("c"), "e")];
    logs.iter().for_each(|log| store.set_host_log(&other.id, log).unwrap());
    let later = file(&host_log_name("c"), "f");
    store.set_host_log(&other.id, &later).unwrap();
    store.set_report_files(&other.id, &[]).unwrap();
    assert_eq!(store.report_files(&other.id).unwrap(), [logs[0].clone(), later]);
    assert!(store.set_host_log(&SweepId("unknown".into()), &logs[0]).is_err());
    store.forget_report_files(&other.id).unwrap();
    assert_eq!(store.report_files(&other.id).unwrap(), []);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
