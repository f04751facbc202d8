//! What a board's server is made of: its folder, its login, its configuration and its command.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use crate::LabError;
use crate::board::{BoardOptions, NEW_BOOT_ID, Server, wait_until};
use crate::keys::KeyPair;
use crate::process::{Owned, find_program, run};

/// Files of a board.
pub(crate) struct Layout {
    folder: PathBuf,
    home: PathBuf,
    pub(crate) identity: KeyPair,
    pub(crate) host_key: KeyPair,
}

impl Layout {
    pub(crate) fn create(
        folder: &Path,
        home: PathBuf,
        options: &BoardOptions,
        user: &User,
    ) -> Result<Layout, LabError> {
        let ssh = home.join(".ssh");
        for path in [&home, &ssh] {
            fs::create_dir(path).map_err(LabError::file("create", path))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(LabError::file("protect", path))?;
        }
        let identity = KeyPair::generate(&folder.join("id"), "ed25519", "")?;
        let host_key = KeyPair::generate(&folder.join("host_key"), &options.host_key_kind, "")?;
        let authorized = ssh.join("authorized_keys");
        fs::write(&authorized, identity.public()? + "\n").map_err(LabError::file("write", &authorized))?;
        let shell = options.login_shell.as_deref().unwrap_or(Path::new("/bin/sh"));
        let own_line = format!("{}:x:{}:{}::{}:{}", user.name, user.uid, user.gid, home.display(), shell.display());
        let passwd = folder.join("passwd");
        fs::write(&passwd, passwd_with(&own_line, &user.name)?).map_err(LabError::file("write", &passwd))?;
        let enter = folder.join("enter");
        fs::write(&enter, enter_script(&home)).map_err(LabError::file("write", &enter))?;
        fs::set_permissions(&enter, fs::Permissions::from_mode(0o700)).map_err(LabError::file("protect", &enter))?;
        let layout = Layout { folder: folder.to_owned(), home, identity, host_key };
        layout.write_boot_id()?;
        Ok(layout)
    }

    pub(crate) fn write_boot_id(&self) -> Result<(), LabError> {
        let path = self.folder.join("boot_id");
        // A write would be seen by what still runs under the old one.
        let _ = fs::remove_file(&path);
        let boot_id = fs::read(NEW_BOOT_ID).map_err(LabError::file("read", NEW_BOOT_ID))?;
        fs::write(&path, boot_id).map_err(LabError::file("write", &path))
    }

    pub(crate) fn launch(&self, options: &BoardOptions, port: u16) -> Result<Owned, LabError> {
        let is_root = Uid::effective().is_root();
        let server = match options.server {
            Server::OpenSsh => self.sshd_command(options, port, is_root)?,
            Server::Dropbear => self.dropbear_command(options, port)?,
        };
        let log = self.folder.join("log");
        let mut process = if is_root {
            let script = "mount --bind \"$0/passwd\" /etc/passwd && \
                          mount --bind \"$0/boot_id\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
            let mut command: Vec<&OsStr> =
                ["-m", "--propagation", "slave", "sh", "-c", script].map(OsStr::new).to_vec();
            command.push(self.folder.as_os_str());
            command.extend(server.iter().map(|word| OsStr::new(word.as_str())));
            Owned::start(&find_program("unshare", "util-linux")?, &command, &self.folder, &log)?
        } else {
            let arguments: Vec<&OsStr> = server[1..].iter().map(|word| OsStr::new(word.as_str())).collect();
            Owned::start(Path::new(&server[0]), &arguments, &self.folder, &log)?
        };
        let ready = wait_until(options.server.name(), || {
            process.has_ended() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        if ready.is_err() || process.has_ended() {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(LabError::NotReady { server: options.server.name(), reason: log.trim().to_owned() });
        }
        Ok(process)
    }

    fn sshd_command(&self, options: &BoardOptions, port: u16, is_root: bool) -> Result<Vec<String>, LabError> {
        let program = find_program("sshd", "openssh-server")?;
        if is_root {
            fs::create_dir_all("/run/sshd").map_err(LabError::file("create", "/run/sshd"))?;
        }
        let (folder, home) = (self.folder.display(), self.home.display());
        let passwords = if options.passwords { "yes" } else { "no" };
        let sftp_server = sftp_server();
        let mut config = format!(
            "{}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n\
             AuthorizedKeysFile {home}/.ssh/authorized_keys\nStrictModes no\nUsePAM no\nUseDNS no\nPrintMotd no\n\
             PermitRootLogin {}\nPasswordAuthentication {passwords}\nKbdInteractiveAuthentication no\n\
             MaxStartups 100:30:200\nMaxSessions 100\nAllowTcpForwarding yes\nSetEnv {}={folder}\n\
             Subsystem sftp {sftp_server}\n",
            options.server_config,
            if options.passwords { "yes" } else { "prohibit-password" },
            crate::process::MARK,
        );
        if !is_root {
            config.push_str(&format!("ForceCommand exec {folder}/enter\n"));
        }
        let path = self.folder.join("sshd_config");
        fs::write(&path, config).map_err(LabError::file("write", &path))?;
        let words = [program.display().to_string(), "-D".into(), "-e".into(), "-f".into(), path.display().to_string()];
        Ok(words.to_vec())
    }

    fn dropbear_command(&self, options: &BoardOptions, port: u16) -> Result<Vec<String>, LabError> {
        let program = find_program("dropbear", "dropbear-bin")?;
        let key = self.folder.join("dropbear_host_key");
        if !key.exists() {
            let from = self.host_key.path.as_os_str();
            let arguments = [OsStr::new("openssh"), OsStr::new("dropbear"), from, key.as_os_str()];
            run("dropbearconvert", "dropbear-bin", &arguments)?;
        }
        // With -e commands inherit the mark.
        let mut words = vec![program.display().to_string(), "-F".into(), "-E".into(), "-m".into(), "-e".into()];
        if !options.passwords {
            words.push("-s".into());
        }
        words.extend(["-r".into(), key.display().to_string(), "-p".into(), format!("127.0.0.1:{port}")]);
        words.extend(["-P".into(), self.folder.join("pid").display().to_string()]);
        Ok(words)
    }
}

/// /etc/passwd with one user's line replaced.
fn passwd_with(line: &str, user: &str) -> Result<String, LabError> {
    let text = fs::read_to_string("/etc/passwd").map_err(LabError::file("read", "/etc/passwd"))?;
    let prefix = format!("{user}:");
    let others = text.lines().filter(|other| !other.starts_with(&prefix));
    Ok(std::iter::once(line).chain(others).map(|line| format!("{line}\n")).collect())
}

fn enter_script(home: &Path) -> String {
    format!(
        "#!/bin/sh\nHOME='{}';export HOME\ncd \"$HOME\"||exit\n\
         if [ -z \"$SSH_ORIGINAL_COMMAND\" ];then exec sh;fi\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        home.display()
    )
}

/// The program, since a forced command can't start the one within sshd.
fn sftp_server() -> String {
    let known = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
    known.iter().find(|path| Path::new(path).exists()).unwrap_or(&"internal-sftp").to_string()
}
