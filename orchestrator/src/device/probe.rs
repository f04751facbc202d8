use std::sync::Arc;

use crate::domain::{AndroidFacts, Device, Failure, FailureKind, Timeouts};
use crate::transport::script::{PROLOGUE, REFUSED_FUNCTION};
use crate::transport::{Connect, Transport};

use super::android::{PROPERTIES_SCRIPT, Properties, is_boot_id, wait_for_boot};
use super::part::PartFile;
use super::{Machine, lines, run_checked, transport_failure};

/// Prepares the workdir and says in one round trip what a host must know before it has a runner there. `$1` is the
/// workdir as declared.
const PROBE_SCRIPT: &str = r#"
case $1 in
'~') dir=$HOME ;;
'~/'*) dir=$HOME/${1#'~/'} ;;
/*) dir=$1 ;;
*) dir=$HOME/$1 ;;
esac
if [ ! -d "$dir/runs" ]; then
  mkdir -p "$dir/bin" "$dir/partial" "$dir/store" "$dir/runs" || {
    there=$dir
    while [ -n "$there" ] && [ ! -d "$there" ]; do there=${there%/*}; done
    refused "$there/new"
  }
fi
cd "$dir" || exit 1
[ -w partial ] || (: > partial/.farmctl-$$ && rm -f partial/.farmctl-$$) || refused ./partial/new
printf 'workdir %s\n' "$PWD"
printf 'kernel %s\n' "$(uname -sm)"
printf 'elf %s\n' "$(dd if=/proc/self/exe bs=1 skip=4 count=2 2> /dev/null | tr '\001\002' 12 2> /dev/null)"
printf 'folder %s\n' "$(stat -L -c %d:%i . 2> /dev/null)"
if [ -n "$boot" ] && mkdir -p hosts && : > "hosts/$boot"; then
  find hosts -type f -mmin -1440 2> /dev/null
  find hosts -type f -mmin +20160 -exec rm -f {} \; 2> /dev/null
fi
printf a | gzip 2> /dev/null | gzip -dc > /dev/null 2>&1 && echo 'gzip yes'
wc -c bin/* partial/* 2> /dev/null
exit 0
"#;

/// What a device says before a runner is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceProbe {
    /// Absolute path of its workdir.
    pub workdir: String,
    /// `uname -s`.
    pub system: String,
    /// `uname -m`.
    pub machine: String,
    /// What Android's properties say, on Android.
    pub android: Option<AndroidFacts>,
    /// Whether Android has not booted yet.
    pub is_booting: bool,
    /// Which boot it is in.
    pub(super) boot_id: Option<String>,
    /// The workdir's numbers in its file system.
    pub(super) folder: Option<String>,
    /// Boots of the machines that have used the workdir in the last day.
    pub(super) hosts: Vec<String>,
    /// Android's ABI list; empty elsewhere.
    pub abis: String,
    /// Class and byte order of its programs, see [`Machine::elf`].
    pub elf: String,
    /// Whether it can unpack what `gzip` packed.
    pub unpacks_gzip: bool,
    files: Vec<(String, u64)>,
}

impl DeviceProbe {
    /// What it says of its processor.
    pub fn machine(&self) -> Machine<'_> {
        Machine { system: &self.system, kernel: &self.machine, abis: &self.abis, elf: &self.elf }
    }

    /// Size of a file below the workdir, if it is there.
    pub(super) fn size_of(&self, path: &str) -> Option<u64> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, size_bytes)| *size_bytes)
    }

    /// The files whose push has not ended.
    pub(super) fn partial_files(&self) -> Vec<PartFile> {
        let partial = self.files.iter().filter(|(path, _)| path.starts_with("partial/"));
        partial.map(|(path, size_bytes)| PartFile { path: path.clone(), size_bytes: *size_bytes }).collect()
    }

    fn parse(text: &str) -> Result<DeviceProbe, String> {
        let mut properties = Properties::default();
        let mut probe = DeviceProbe::default();
        // A login shell may greet before the script runs, and `wc` ends with a sum: such lines say nothing here.
        for line in text.lines() {
            properties.take(line);
            let (word, rest) = line.trim_start().split_once(' ').unwrap_or((line, ""));
            match word {
                "workdir" => probe.workdir = rest.to_owned(),
                "kernel" => {
                    let (system, machine) = rest.split_once(' ').ok_or_else(|| line.to_owned())?;
                    (probe.system, probe.machine) = (system.to_owned(), machine.to_owned());
                }
                "elf" => probe.elf = rest.to_owned(),
                "folder" => probe.folder = Some(rest.trim().to_owned()).filter(|numbers| !numbers.is_empty()),
                "gzip" => probe.unpacks_gzip = rest == "yes",
                _ if rest.starts_with("bin/") || rest.starts_with("partial/") => {
                    probe.files.push((rest.to_owned(), word.parse().map_err(|_| line.to_owned())?));
                }
                _ => {
                    let host = line.trim().strip_prefix("hosts/").filter(|host| is_boot_id(host));
                    probe.hosts.extend(host.map(str::to_owned));
                }
            }
        }
        (probe.is_booting, probe.boot_id) = (properties.is_booting(), properties.boot_id.clone());
        probe.android = properties.facts();
        probe.abis = probe.android.iter().flat_map(|android| &android.abis).cloned().collect::<Vec<_>>().join(",");
        if probe.workdir.starts_with('/') && !probe.machine.is_empty() { Ok(probe) } else { Err(text.to_owned()) }
    }
}

/// Connects to a device and asks what can be asked without a runner.
///
/// # Errors
/// When it can't be reached, or its workdir can't be made.
pub async fn connect_and_probe(
    device: &Device,
    connect: &dyn Connect,
    timeouts: &Timeouts,
) -> Result<(Arc<dyn Transport>, DeviceProbe), Failure> {
    let transport = connect
        .connect(&device.transport, timeouts.connect())
        .await
        .map_err(|error| transport_failure(&device.name, "connect", &error))?;
    let script = format!("{PROLOGUE}{REFUSED_FUNCTION}{PROPERTIES_SCRIPT}{PROBE_SCRIPT}");
    let argv = ["sh", "-c", &script, "sh", &device.workdir].map(str::to_owned).to_vec();
    let output = run_checked(transport.as_ref(), argv, timeouts.bring_up())
        .await
        .map_err(|error| transport_failure(&device.name, &format!("prepare the workdir {}", device.workdir), &error))?;
    let mut probe = DeviceProbe::parse(&String::from_utf8_lossy(&output)).map_err(|text| {
        Failure::new(
            FailureKind::TransportProtocol,
            format!("failed to probe {}: its shell answered {}", device.name, lines::excerpt(text.as_bytes())),
        )
    })?;
    if probe.is_booting {
        let limit = timeouts.reconnect();
        probe.is_booting = !wait_for_boot(&device.name, transport.as_ref(), timeouts.bring_up(), limit).await?;
    }
    Ok((transport, probe))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_probe_is_read_past_a_greeting() {
        let text = "Welcome to board-1!\nworkdir /home/a b/farm\nkernel Linux aarch64\nelf 11\ngzip yes\n\
                    \x20  12 bin/ab\n   12 total\n";
        let probe = DeviceProbe::parse(text).unwrap();
        assert_eq!((probe.workdir.as_str(), probe.machine.as_str()), ("/home/a b/farm", "aarch64"));
        assert_eq!((probe.abis.as_str(), probe.elf.as_str(), probe.unpacks_gzip), ("", "11", true));
        assert_eq!(probe.size_of("bin/ab"), Some(12));
        assert_eq!((probe.size_of("partial/ab"), probe.android), (None, None));
    }

    #[test]
    fn a_workdir_tells_which_folder_it_is_and_who_uses_it() {
        let text = "boot 0f-2\nworkdir /farm\nkernel Linux aarch64\nfolder 8:77\nhosts/0f-1\nhosts/0f-2\nhosts/$(x)\n";
        let probe = DeviceProbe::parse(text).unwrap();
        assert_eq!((probe.boot_id.as_deref(), probe.folder.as_deref()), (Some("0f-2"), Some("8:77")));
        assert_eq!(probe.hosts, ["0f-1", "0f-2"]);
    }

    #[test]
    fn a_phones_abis_are_those_of_its_properties() {
        let text = "uid 2000\r\n[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\r\n[ro.serialno]: [a]\r\n\
                    workdir /data/local/tmp/farmctl\nkernel Linux aarch64\nelf 21\n";
        let probe = DeviceProbe::parse(text).unwrap();
        assert_eq!(probe.machine().abis, "arm64-v8a,armeabi-v7a");
        assert_eq!(probe.android.unwrap().abis, ["arm64-v8a", "armeabi-v7a"]);
    }

    #[test]
    fn half_a_probe_is_refused() {
        assert!(DeviceProbe::parse("kernel Linux x86_64\n").is_err());
        assert!(DeviceProbe::parse("workdir /a\nkernel Linux m\nmany bin/x\n").is_err());
        assert!(!DeviceProbe::parse("workdir /a\nkernel Linux m\n").unwrap().unpacks_gzip);
        assert!(DeviceProbe::parse("workdir relative\nkernel Linux m\n").is_err());
    }
}
