//! Devices are added, changed and taken out by commands, and the farm files keep what people wrote there.

use super::support::Lab;

const FARM: &str =
    "# our lab\ndevices:\n  # the host\n  - { name: this-host, transport: local, workdir: here }   # always on\n";

#[test]
fn a_farm_file_is_changed_by_commands_and_keeps_what_people_wrote() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", FARM);
    let told = |words: &[&str], code: i32| {
        let (ended, stdout, stderr) = lab.run(&[&["devices"], words].concat());
        assert_eq!(ended, code, "{words:?}: {stdout}{stderr}");
        stdout + &stderr
    };
    let file = || std::fs::read_to_string(lab.path("farms/lab.yaml")).unwrap();
    told(&["add", "pi5", "--ssh", "pi@10.0.0.7:2222", "--tag", "arch=arm64", "--notes", "by the window"], 0);
    let added = "  - name: \"pi5\"\n    transport: { ssh: { host: \"10.0.0.7\", user: \"pi\", port: 2222 } }\n    \
                 tags: [arch=arm64]\n    notes: \"by the window\"\n";
    assert_eq!(file(), format!("{FARM}{added}"));
    told(&["add", "pi5", "--local"], 2);
    told(&["edit", "pi5", "--disable", "no fan", "--set", "limits.max_run_seconds=60", "--untag", "arch"], 0);
    assert!(told(&["list"], 0).contains("no fan"));
    let before = file();
    let refused = told(&["edit", "pi5", "--set", "transport.ssh.port=hot"], 3);
    assert!(refused.contains("farms/lab.yaml:6"), "{refused}");
    assert_eq!(file(), before);

    // By an editor: what it leaves behind is read before the file is replaced, and kept when it is refused.
    let by_editor = |script: &str| {
        let mut command = lab.command(&["devices", "edit", "pi5", "--editor"]);
        let output = command.env_remove("VISUAL").env("EDITOR", script).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = by_editor("sed -i s/lcoal/local/");
    assert!(code == 0 && stderr.contains("nothing was changed"), "{stderr}");
    assert_eq!(by_editor("sed -i s/window/door/").0, 0);
    assert_eq!(file(), before.replace("window", "door"));
    let (code, stderr) = by_editor("sed -i s/ssh:/shh:/");
    assert!(code == 3 && stderr.contains("your lines are in "), "{stderr}");
    let kept = stderr.split("your lines are in ").nth(1).unwrap().trim();
    assert!(std::fs::read_to_string(kept).unwrap().contains("shh:"));
    std::fs::remove_file(kept).unwrap();

    told(&["remove", "pi5"], 0);
    assert_eq!(file(), FARM);
    assert!(told(&["remove", "this-host"], 3).contains("only device"));
}
