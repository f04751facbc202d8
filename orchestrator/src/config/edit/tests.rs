#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::TransportConfig;

const LAB: &str = "# the lab
farm: desk
devices:
  # the old board
  - name: board   # by the window
    transport:
      ssh:
        host: 10.0.0.7  # static
        port: 22
    tags: [arm, room=a]   # what it is
    limits:
      max_run_seconds: 60
    notes: |
      one
      # two

  # the host
  - { name: here, transport: local, notes: it's }   # always on
  - name: phone
    transport: { adb: { serial: R58, server: '127.0.0.1:5038' } }
    disabled: it's broken # since May
# after all
";

fn nothing(_: &str) -> Option<String> {
    None
}

fn with(text: &str, work: impl FnOnce(&Path) -> Result<(), ConfigErrors>) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.yaml");
    std::fs::write(&path, text).unwrap();
    let result = work(&path);
    let now = std::fs::read_to_string(&path).unwrap();
    match result {
        Ok(()) => Ok(now),
        Err(errors) => {
            assert_eq!(now, text, "a refused file is as it was");
            Err(errors.to_string())
        }
    }
}

fn edited(name: &str, changes: &[FieldChange]) -> Result<String, String> {
    with(LAB, |path| edit_device(path, name, changes, &nothing))
}

fn set(field: &str, value: &str) -> FieldChange {
    FieldChange::Set(field.to_owned(), value.to_owned())
}

#[track_caller]
fn assert_line(name: &str, change: FieldChange, before: &str, after: &str) {
    assert_eq!(LAB.matches(before).count(), 1, "{before}");
    assert_eq!(edited(name, &[change]).unwrap(), LAB.replace(before, after));
}

#[test]
fn one_field_changes_and_every_other_byte_stays() {
    let unset = |field: &str| FieldChange::Unset(field.to_owned());
    assert_line("board", set("transport.ssh.port", "2222"), "port: 22", "port: 2222");
    assert_line("board", set("transport.ssh.host", "b.local"), "10.0.0.7  # static", "b.local  # static");
    assert_line("board", set("transport.ssh.user", "pi"), "port: 22\n", "port: 22\n        user: pi\n");
    assert_line("board", FieldChange::Tag("room=b".into()), "[arm, room=a]", "[arm, room=b]");
    assert_line("board", FieldChange::Untag("room".into()), "[arm, room=a]", "[arm]");
    assert_line("board", set("limits.min_free_mb", "5"), "seconds: 60\n", "seconds: 60\n      min_free_mb: 5\n");
    assert_line("board", unset("limits.max_run_seconds"), "    limits:\n      max_run_seconds: 60\n", "");
    assert_line("board", unset("notes"), "    notes: |\n      one\n      # two\n", "");
    let why = FieldChange::Text("disabled".into(), "the fan: loud".into());
    assert_line("board", why, "      # two\n", "      # two\n    disabled: \"the fan: loud\"\n");
    let shorter = FieldChange::Text("notes".into(), "one".into());
    assert_line("board", shorter, "notes: |\n      one\n      # two\n", "notes: one\n");
    assert_line(
        "here",
        set("price_per_hour", "0.5"),
        "it's }",
        "it's }".replace("it's }", "\"it's\", price_per_hour: 0.5 }").as_str(),
    );
    assert_line(
        "phone",
        set("transport.adb.serial", "R59"),
        "serial: R58, server: '127.0.0.1:5038' ",
        "serial: R59, server: \"127.0.0.1:5038\" ",
    );
    assert_line("phone", unset("disabled"), "    disabled: it's broken # since May\n", "");
    assert_line("phone", FieldChange::Text("disabled".into(), "gone".into()), "it's broken # since", "gone # since");
}

#[test]
fn devices_are_removed_and_what_stands_around_them_stays() {
    let removed = |name: &str| with(LAB, |path| remove_device(path, name, &nothing));
    let phone = &LAB[LAB.find("  - name: phone").unwrap()..LAB.find("# after all").unwrap()];
    assert_eq!(removed("phone").unwrap(), LAB.replace(phone, ""));
    assert_eq!(
        removed("here").unwrap(),
        LAB.replace("  - { name: here, transport: local, notes: it's }   # always on\n", "")
    );
    assert!(removed("board").unwrap().contains("# the old board\n\n  # the host\n"));
    let only = with("devices:\n- name: a\n  transport: local\n", |path| remove_device(path, "a", &nothing));
    assert!(only.unwrap_err().contains("only device of this file"));
}

#[test]
fn what_would_be_faulty_is_refused_with_its_place() {
    for (name, change, told) in [
        ("board", set("transport.ssh.port", "hot"), "lab.yaml:9"),
        ("board", set("limits.max_run_seconds", "-1"), "lab.yaml:12"),
        ("board", set("colour", "red"), "unknown field"),
        ("board", set("notes", "[a"), "--set notes"),
        ("board", set("name", "other"), "to rename it, remove it and add it"),
        ("board", FieldChange::Unset("transport".into()), "transport"),
        ("board", FieldChange::Unset("workdir".into()), "no field `workdir`"),
        ("phone", FieldChange::Unset("transport.adb.address".into()), "no field `address`"),
        ("nobody", set("notes", "x"), "no device"),
    ] {
        let error = edited(name, std::slice::from_ref(&change)).unwrap_err();
        assert!(error.contains(told), "{change:?}: {error}");
    }
}

#[test]
fn devices_are_added_with_their_fields() {
    let endpoint = crate::domain::SshEndpoint { host: "h".into(), port: Some(23), ..Default::default() };
    let new = NewDevice { name: "new".into(), transport: TransportConfig::Ssh(endpoint), notes: None };
    let changes = [FieldChange::Tag("arch=arm64".into()), set("limits.max_run_seconds", "9")];
    let added = with(LAB, |path| add_device(path, &new, &changes, &nothing)).unwrap();
    let entry = "  - name: \"new\"\n    transport: { ssh: { host: \"h\", port: 23 } }\n    tags: [arch=arm64]\n    \
                 limits: { max_run_seconds: 9 }\n";
    assert_eq!(added, LAB.replace("# after all\n", &format!("{entry}# after all\n")));
    let refused = with(LAB, |path| add_device(path, &new, &[set("limits.max_run_seconds", "0")], &nothing));
    assert!(refused.unwrap_err().contains("lab.yaml:2"));
}

#[test]
fn lines_from_an_editor_take_the_place_of_the_device_alone() {
    let text = with(LAB, |path| {
        let text = device_text(path, "phone")?;
        assert!(text.starts_with("  - name: phone\n") && text.ends_with("since May\n"), "{text}");
        replace_device(path, "phone", &text.replace("R58", "R59"), &nothing)
    });
    assert_eq!(text.unwrap(), LAB.replace("R58", "R59"));
    for bad in
        ["  - name: other\n    transport: local\n", "  - name: phone\n    transport: lcoal\n", "  -\n", "farm: x\n"]
    {
        with(LAB, |path| replace_device(path, "phone", bad, &nothing)).unwrap_err();
    }
}
