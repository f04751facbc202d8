//! What does not run somewhere.

use super::*;

#[test]
fn programs_are_skipped_where_they_do_not_run() {
    let mut phone = device("phone", &[]);
    phone.transport = TransportConfig::Adb(AdbEndpoint { serial: Some("1".to_owned()), ..AdbEndpoint::default() });
    let host_target = Some("aarch64-unknown-linux-gnu".to_owned());
    let inventory = Inventory { devices: vec![phone, device("host", &[])], host_target };
    for (target, skipped) in
        [("aarch64-unknown-linux-gnu", "phone"), ("aarch64-unknown-linux-musl", ""), ("aarch64-linux-android", "host")]
    {
        let mut catalog = catalog();
        let target = BackendTarget { target: target.to_owned(), needs: None, files: Vec::new() };
        catalog.backends[0].program = Some(BackendProgram {
            licence: None,
            dialect: Dialect::Engine,
            command: Vec::new(),
            options: BTreeMap::new(),
            targets: vec![target],
        });
        let sweep =
            Sweep { models: models(&["small"]), devices: vec![DeviceSelector::Name("*".to_owned())], ..sweep() };
        let plan = plan(&sweep, &inventory, &catalog);
        let cells: Vec<&str> = plan.skipped.iter().map(|cell| cell.job.device.as_str()).collect();
        assert_eq!(cells.concat(), skipped, "{:?}", plan.skipped);
        let reason = if skipped == "phone" { "bionic" } else { "has no program for aarch64-unknown-linux-gnu" };
        assert!(plan.skipped.iter().all(|cell| cell.reason.contains(reason)), "{:?}", plan.skipped);
    }
}

#[test]
fn a_delegate_is_asked_of_devices_that_have_it_alone() {
    let mut with_gpu = device("with-gpu", &[]);
    with_gpu.delegates.insert("gpu".to_owned());
    let inventory = Inventory { devices: vec![with_gpu, device("without", &[])], host_target: None };
    let mut catalog = catalog();
    catalog.backends[0].program = Some(BackendProgram {
        licence: None,
        dialect: Dialect::Engine,
        command: Vec::new(),
        options: [(DELEGATE.to_owned(), "gpu".to_owned())].into(),
        targets: Vec::new(),
    });
    let sweep = Sweep { models: models(&["small"]), devices: vec![DeviceSelector::Name("*".to_owned())], ..sweep() };
    let plan = plan(&sweep, &inventory, &catalog);
    assert!(plan.jobs.iter().all(|job| job.device == "with-gpu" && job.options[DELEGATE] == "gpu"), "{:?}", plan.jobs);
    assert!(!plan.jobs.is_empty());
    let skipped: Vec<&str> = plan.skipped.iter().map(|cell| cell.job.device.as_str()).collect();
    assert_eq!(skipped, ["without"]);
    assert!(plan.skipped[0].reason.contains("the delegate gpu, which without does not have"), "{:?}", plan.skipped);
}
