//! Where a store's server is, as whom to go there, and whom to believe: from a URL, a service file, a password file and
//! variables, as libpq reads them. A password is in none of the texts that are shown.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use tokio_postgres::config::{Config, Host, SslMode};

use crate::environment::EnvironmentLookup;
use crate::store::StoreError;
use crate::tls::Trust;

/// What this process has to reach a server by, besides the URL.
#[derive(Clone)]
pub struct ServerAccess {
    /// Looks up a variable of the environment.
    pub variable: EnvironmentLookup,
    /// The home folder, with `.pgpass` and `.pg_service.conf`.
    pub home: Option<PathBuf>,
    /// Who runs this process: the server's user where nothing names another.
    pub user: String,
    /// Whose certificates are believed.
    pub trust: Trust,
}

impl fmt::Debug for ServerAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAccess").field("home", &self.home).field("user", &self.user).finish_non_exhaustive()
    }
}

/// The files of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A server, and how to go there.
pub(super) struct Address {
    /// For people: host and database.
    pub(super) shown: String,
    pub(super) config: Config,
    /// Whom to believe; `None` where the connection stays on this host, or nothing is to be encrypted.
    pub(super) trust: Option<Trust>,
    pub(super) client: Option<ClientFiles>,
    /// Where the password is from, for people.
    password_from: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("shown", &self.shown).field("client", &self.client).finish_non_exhaustive()
    }
}

/// What stands in a URL's query or in a service file, and is no setting of the client's own.
#[derive(Default)]
struct Settings {
    ssl_mode: Option<String>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    service: Option<String>,
    password_file: Option<PathBuf>,
    password_from: Option<String>,
}

impl Settings {
    /// Takes a setting; says whether it is one of these.
    fn take(&mut self, name: &str, value: &str) -> bool {
        match name {
            "sslmode" => self.ssl_mode.get_or_insert_with(|| value.to_owned()),
            "service" => self.service.get_or_insert_with(|| value.to_owned()),
            "sslrootcert" => return take_path(&mut self.root, value),
            "sslcert" => return take_path(&mut self.certificate, value),
            "sslkey" => return take_path(&mut self.key, value),
            "passfile" => return take_path(&mut self.password_file, value),
            _ => return false,
        };
        true
    }
}

/// The first word counts.
fn take_path(place: &mut Option<PathBuf>, value: &str) -> bool {
    place.get_or_insert_with(|| PathBuf::from(value));
    true
}

impl Address {
    /// Reads a URL, and what it leaves open from the other places.
    ///
    /// # Errors
    /// When it is none, has a password, or names a file that can't be used.
    pub(super) fn of(url: &str, access: &ServerAccess) -> Result<Address, StoreError> {
        let shown = shown(url);
        let refused = |cause: String| StoreError::Address { url: shown.clone(), cause };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut settings = Settings::default();
        let own = |pair: &&str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            !settings.take(name, &percent_decoded(value))
        };
        let rest: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).filter(own).collect();
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // The client's words may repeat the URL.
        let mut config = Config::from_str(&plain).map_err(|_| {
            refused("it is no address of a server: postgres://USER@HOST:PORT/DATABASE?sslmode=…".to_owned())
        })?;
        if config.get_password().is_some() {
            let cause = "a password in it would be seen by others: put it into ~/.pgpass, a service file or PGPASSWORD";
            return Err(refused(cause.to_owned()));
        }
        add_service(&mut config, &mut settings, access).map_err(refused)?;
        add_variables(&mut config, &mut settings, access);
        if config.get_password().is_none() {
            add_password(&mut config, &mut settings, access).map_err(refused)?;
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refused("it names no host; a server of this host is at ?host=/run/postgresql".to_owned()));
        }
        let is_encrypted = is_encrypted(&config, settings.ssl_mode.as_deref()).map_err(refused)?;
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        let trust = is_encrypted.then(|| match &settings.root {
            Some(root) => Trust::of_file(root, "sslrootcert"),
            None => access.trust.clone(),
        });
        let client = match (settings.certificate, settings.key) {
            (Some(certificate), Some(key)) => Some(ClientFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(refused("sslcert and sslkey belong together: name both".to_owned())),
        };
        Ok(Address { shown, config, trust, client, password_from: settings.password_from })
    }

    /// Which password is shown to the server.
    pub(super) fn password_told(&self) -> String {
        match &self.password_from {
            Some(place) => format!("the password is that of {place}"),
            None => "no password was found: neither in PGPASSWORD nor in a service file or password file".to_owned(),
        }
    }
}

/// A URL without its query and without a password.
fn shown(url: &str) -> String {
    let base = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = base.split_once("://") else { return "the address".to_owned() };
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    let user = user.map(|user| format!("{}@", user.split(':').next().unwrap_or_default())).unwrap_or_default();
    format!("{scheme}://{user}{place}")
}

/// What stays on this host needs no encryption; else it has to be asked not to be. What checks no certificate is none.
fn is_encrypted(config: &Config, mode: Option<&str>) -> Result<bool, String> {
    let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    match mode {
        None => Ok(!is_local),
        Some("disable") => Ok(false),
        Some("verify-full" | "require") => Ok(true),
        Some(other) => Err(format!(
            "sslmode={other} may go on without a check of the server's certificate: use verify-full, or disable"
        )),
    }
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the service says that the URL leaves open.
fn add_service(config: &mut Config, settings: &mut Settings, access: &ServerAccess) -> Result<(), String> {
    let Some(service) = settings.service.clone().or_else(|| (access.variable)("PGSERVICE")) else { return Ok(()) };
    let named = (access.variable)("PGSERVICEFILE").map(PathBuf::from);
    let own = || Some(access.home.as_ref()?.join(".pg_service.conf"));
    let path = named.or_else(own).ok_or("there is no home folder with a .pg_service.conf")?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("the service file {} can't be read: {error}", path.display()))?;
    let section = format!("[{service}]");
    if !text.lines().any(|line| line.trim() == section) {
        return Err(format!("the service file {} has no section {section}", path.display()));
    }
    let lines = text.lines().map(str::trim).skip_while(|line| *line != section).skip(1);
    let (mut host, mut port) = (None, None);
    for line in lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
            continue;
        };
        match name {
            "host" => host = Some(value.to_owned()),
            "port" => port = value.parse::<u16>().ok(),
            "user" if config.get_user().is_none() => {
                config.user(value);
            }
            "dbname" if config.get_dbname().is_none() => {
                config.dbname(value);
            }
            "password" if config.get_password().is_none() => {
                config.password(value);
                settings.password_from = Some(format!("the service file {}", path.display()));
            }
            name => {
                settings.take(name, value);
            }
        }
    }
    if let Some(host) = host.filter(|_| config.get_hosts().is_empty()) {
        config.host(&host);
    }
    if let Some(port) = port.filter(|_| config.get_ports().is_empty()) {
        config.port(port);
    }
    Ok(())
}

fn add_variables(config: &mut Config, settings: &mut Settings, access: &ServerAccess) {
    let variable = |name: &str| (access.variable)(name).filter(|value| !value.is_empty());
    if let Some(host) = variable("PGHOST").filter(|_| config.get_hosts().is_empty()) {
        config.host(&host);
    }
    if let Some(port) = variable("PGPORT").and_then(|port| port.parse().ok()).filter(|_| config.get_ports().is_empty())
    {
        config.port(port);
    }
    if config.get_user().is_none() {
        config.user(variable("PGUSER").unwrap_or_else(|| access.user.clone()));
    }
    if let Some(name) = variable("PGDATABASE").filter(|_| config.get_dbname().is_none()) {
        config.dbname(&name);
    }
    if let Some(password) = variable("PGPASSWORD").filter(|_| config.get_password().is_none()) {
        config.password(password);
        settings.password_from = Some("PGPASSWORD".to_owned());
    }
}

/// The password that a file has for this server, database and user: the first line that fits.
fn add_password(config: &mut Config, settings: &mut Settings, access: &ServerAccess) -> Result<(), String> {
    let named = settings.password_file.clone().or_else(|| (access.variable)("PGPASSFILE").map(PathBuf::from));
    let own = || Some(access.home.as_ref()?.join(".pgpass"));
    let Some(path) = named.clone().or_else(own) else { return Ok(()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(()),
        Err(error) => return Err(format!("the password file {} can't be read: {error}", path.display())),
    };
    keep_to_owner(&path)?;
    let user = config.get_user().unwrap_or_default().to_owned();
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let database = config.get_dbname().unwrap_or(&user).to_owned();
    let wanted = [host, port, database, user];
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(password_line);
    let is_of = |fields: &Vec<String>| {
        fields.len() == 5 && fields.iter().zip(&wanted).all(|(field, wanted)| field == "*" || field == wanted)
    };
    if let Some(fields) = lines.find(is_of) {
        config.password(&fields[4]);
        settings.password_from = Some(path.display().to_string());
    }
    Ok(())
}

/// The fields of a line, which are separated by colons; a backslash takes the next character as it is.
fn password_line(line: &str) -> Vec<String> {
    let (mut fields, mut is_escaped) = (vec![String::new()], false);
    for character in line.chars() {
        let count = fields.len();
        match (character, fields.last_mut()) {
            ('\\', _) if !is_escaped => {
                is_escaped = true;
                continue;
            }
            // The password is the rest.
            (':', _) if !is_escaped && count < 5 => fields.push(String::new()),
            (character, Some(field)) => field.push(character),
            (_, None) => {}
        }
        is_escaped = false;
    }
    fields
}

/// Refuses a file with a secret that others may read.
pub(super) fn keep_to_owner(path: &Path) -> Result<(), String> {
    let about = std::fs::metadata(path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    if about.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(format!("other users may read {0}: `chmod 600 {0}`", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn access(home: &Path, variables: &'static [(&'static str, &'static str)]) -> ServerAccess {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let variable = std::sync::Arc::new(variable);
        ServerAccess { variable, home: Some(home.to_owned()), user: "ann".into(), trust: Trust::default() }
    }

    fn write(folder: &Path, name: &str, text: &str, mode: u32) {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_url_with_a_password_is_refused_and_never_shown() {
        let home = tempfile::tempdir().unwrap();
        let url = "postgres://ann:s3cret@db.example/lab?sslmode=disable";
        let error = Address::of(url, &access(home.path(), &[])).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains("~/.pgpass") && said.contains("ann@db.example") && !said.contains("s3cret"), "{said}");
        let error = Address::of("postgres://ann:s3cret@db:port/lab", &access(home.path(), &[])).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn passwords_come_from_file_service_and_environment_and_stay_unseen() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), ".pgpass", "# lab\nother:*:*:*:no\ndb.example:5432:la\\:b:ann:fr\\:om:file\n", 0o600);
        write(
            home.path(),
            ".pg_service.conf",
            "[x]\nhost=no\n[lab]\nhost=db.example\ndbname=lab\npassword=service\n",
            0o600,
        );
        let password = |url: &str, variables| {
            let address = Address::of(url, &access(home.path(), variables)).unwrap();
            let said = format!("{address:?}");
            let password = String::from_utf8(address.config.get_password().unwrap().to_vec()).unwrap();
            assert!(!said.contains(&password), "{said}");
            password
        };
        assert_eq!(password("postgres://db.example/la%3Ab", &[]), "fr:om:file");
        assert_eq!(password("postgres:///?service=lab", &[]), "service");
        assert_eq!(password("postgres://db.example/la%3Ab", &[("PGPASSWORD", "variable")]), "variable");
        write(home.path(), ".pgpass", "*:*:*:*:seen\n", 0o644);
        let error = Address::of("postgres://db.example/lab", &access(home.path(), &[])).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains("seen"), "{error}");
    }

    #[test]
    fn what_goes_over_a_network_is_encrypted_and_the_server_is_checked() {
        let home = tempfile::tempdir().unwrap();
        let trust = |url: &str| Address::of(url, &access(home.path(), &[])).map(|address| address.trust.is_some());
        assert!(trust("postgres://db.example/lab").unwrap());
        assert!(!trust("postgres:///lab?host=/run/postgresql").unwrap());
        assert!(!trust("postgres://db.example/lab?sslmode=disable").unwrap());
        let error = trust("postgres://db.example/lab?sslmode=prefer").unwrap_err().to_string();
        assert!(error.contains("verify-full"), "{error}");
        let error = trust("postgres://db.example/lab?sslcert=a.pem").unwrap_err().to_string();
        assert!(error.contains("sslkey"), "{error}");
    }
}
