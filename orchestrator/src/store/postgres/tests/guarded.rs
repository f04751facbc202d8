//! A server behind a network: whom the store believes, what it shows, and what is told where one of both is refused.

use std::path::Path;
use std::sync::Arc;

use testlab::{Authority, Certificate, PostgresOptions, PostgresServer, PostgresTls};

use super::access;
use crate::store::postgres::{PostgresStore, ServerAccess};
use crate::store::{EventStore as _, MaintenanceStore as _, StoreError};

/// The password of the role `guarded`.
const SECRET: &str = "fl:mingo\\9";
const WRONG: &str = "h3ron";

/// Its certificate is `localhost`'s. Roles: `guarded` has a password, `shown` a certificate.
struct Guarded {
    authority: Authority,
    server: PostgresServer,
}

impl Guarded {
    fn start() -> Guarded {
        let authority = Authority::create().unwrap();
        let Certificate { file, key } = authority.sign("server", Some("localhost")).unwrap();
        let let_in = ["hostssl all guarded 127.0.0.1/32 scram-sha-256", "hostssl all shown 127.0.0.1/32 cert"];
        let options = PostgresOptions {
            let_in: let_in.map(str::to_owned).into(),
            tls: Some(PostgresTls { certificate: file, key, client_authority: authority.file() }),
            ..PostgresOptions::default()
        };
        let server = PostgresServer::start_with(options).unwrap_or_else(|error| panic!("failed to {error}"));
        for role in ["guarded", "shown"] {
            let sql = format!("CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'");
            server.run_sql("postgres", &sql).unwrap();
            server.run_sql("postgres", &format!("CREATE DATABASE {role} OWNER {role}")).unwrap();
        }
        Guarded { authority, server }
    }

    fn url(&self, role: &str, host: &str, more: &str) -> String {
        let (port, root) = (self.server.address().port(), self.authority.file());
        format!("postgres://{role}@{host}:{port}/{role}?sslrootcert={}{more}", root.display())
    }

    /// How many connections of a role are encrypted.
    fn encrypted(&self, role: &str) -> u32 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = '{role}'"
        );
        self.server.run_sql("postgres", &sql).unwrap().trim().parse().unwrap()
    }
}

fn with(home: Option<&Path>, variables: &[(&'static str, String)]) -> ServerAccess {
    let variables = variables.to_vec();
    let variable = move |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    ServerAccess { variable: Arc::new(variable), home: home.map(Path::to_owned), ..access() }
}

fn with_password(password: &str) -> ServerAccess {
    with(None, &[("PGPASSWORD", password.to_owned())])
}

/// Opens it, which must fail; whatever is told of that has no secret.
fn refused(url: &str, access: &ServerAccess) -> StoreError {
    let error = PostgresStore::open(url, access).err().unwrap();
    let shown = format!("{error} {error:?} {access:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("mingo") && !shown.contains(WRONG), "{shown}");
    error
}

fn refused_by_tls(url: &str, access: &ServerAccess, words: &[&str]) {
    let error = refused(url, access);
    let said = error.to_string();
    assert!(matches!(error, StoreError::Unencrypted { .. }), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} in: {said}"));
}

fn taken(url: &str, access: &ServerAccess) -> PostgresStore {
    let store = PostgresStore::open(url, access).unwrap_or_else(|error| panic!("failed to {error}"));
    assert_eq!(store.last_event().unwrap(), 0);
    store
}

/// One server for all: each test may be a process.
#[test]
fn over_a_network_both_sides_are_who_they_say() {
    let guarded = Guarded::start();
    the_server_is_believed_or_not(&guarded);
    a_certificate_is_shown(&guarded);
    passwords_are_shown(&guarded);
    let log = guarded.server.log();
    assert!(log.contains("password authentication failed") && !log.contains("mingo"), "{log}");
}

fn the_server_is_believed_or_not(guarded: &Guarded) {
    let (url, access) = (guarded.url("guarded", "localhost", ""), with_password(SECRET));
    let store = taken(&url, &access);
    assert!(guarded.encrypted("guarded") > 0);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    assert!(!format!("{store:?}").contains("mingo"), "{store:?}");

    let other = Authority::create().unwrap();
    let port = guarded.server.address().port();
    let root = other.file().display().to_string();
    let unknown = format!("postgres://guarded@localhost:{port}/guarded?sslrootcert={root}");
    refused_by_tls(&unknown, &access, &["invalid peer certificate", &format!("1 authority of sslrootcert {root}")]);
    // The system's authorities know it as little.
    let of_system = format!("postgres://guarded@localhost:{port}/guarded");
    refused_by_tls(&of_system, &access, &["invalid peer certificate", "SSL_CERT_FILE"]);
    let named_otherwise = guarded.url("guarded", "127.0.0.1", "");
    refused_by_tls(&named_otherwise, &access, &["127.0.0.1", "name the server as its certificate does"]);
    let missing = format!("postgres://guarded@localhost:{port}/guarded?sslrootcert=/nowhere.pem");
    let error = refused(&missing, &access);
    assert!(matches!(error, StoreError::Address { .. }), "{error}");
    assert!(error.to_string().contains("sslrootcert /nowhere.pem can't be used"), "{error}");

    let let_in = vec!["host all all 127.0.0.1/32 trust".to_owned()];
    let plain = PostgresServer::start_with(PostgresOptions { let_in, ..PostgresOptions::default() });
    let plain = plain.unwrap_or_else(|error| panic!("failed to {error}"));
    let url = format!("postgres://farmctl@localhost:{}/postgres", plain.address().port());
    refused_by_tls(&url, &access, &["the server does not encrypt connections", "sslmode=disable"]);
    taken(&format!("{url}?sslmode=disable"), &access);
}

fn a_certificate_is_shown(guarded: &Guarded) {
    let error = refused(&guarded.url("shown", "localhost", ""), &with_password(SECRET)).to_string();
    assert!(error.contains("certificate"), "{error}");
    let by = |Certificate { file, key }: &Certificate| {
        guarded.url("shown", "localhost", &format!("&sslcert={}&sslkey={}", file.display(), key.display()))
    };
    let own = guarded.authority.sign("shown", None).unwrap();
    let store = taken(&by(&own), &access());
    assert!(guarded.encrypted("shown") > 0);
    drop(store);
    // The right authority, and another name; and the right name by another authority.
    let error = refused(&by(&guarded.authority.sign("guarded", None).unwrap()), &access()).to_string();
    assert!(error.contains("certificate authentication failed for user \"shown\""), "{error}");
    let other = Authority::create().unwrap();
    let error = refused(&by(&other.sign("shown", None).unwrap()), &access());
    // Its refusal may be overtaken by the end of the connection.
    assert!(matches!(error, StoreError::Unencrypted { .. } | StoreError::Unreachable { .. }), "{error}");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&own.key, open).unwrap();
    let error = refused(&by(&own), &access()).to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

/// A way by which a password comes.
struct Way {
    url: String,
    right: (&'static str, String),
    wrong: (&'static str, String),
    /// What an error tells of where it was.
    place: String,
}

fn passwords_are_shown(guarded: &Guarded) {
    let home = tempfile::tempdir().unwrap();
    let (url, port) = (guarded.url("guarded", "localhost", ""), guarded.server.address().port());
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let escaped = |password: &str| password.replace('\\', "\\\\").replace(':', "\\:");
    let line = |password: &str| format!("localhost:{port}:guarded:guarded:{}\n", escaped(password));
    let root = guarded.authority.file();
    let section = |password: &str| {
        format!(
            "[lab]\nhost=localhost\nport={port}\nuser=guarded\ndbname=guarded\nsslrootcert={}\npassword={password}\n",
            root.display()
        )
    };
    let (right, wrong) = (write("right", &line(SECRET)), write("wrong", &line(WRONG)));
    let (service, other) = (write("service", &section(SECRET)), write("other", &section(WRONG)));
    let way = |url: &str, variable, right: String, wrong: String, place: &str| Way {
        url: url.to_owned(),
        right: (variable, right),
        wrong: (variable, wrong),
        place: place.to_owned(),
    };
    let ways = [
        way(&url, "PGPASSWORD", SECRET.to_owned(), WRONG.to_owned(), "PGPASSWORD"),
        way(&url, "PGPASSFILE", right.clone(), wrong.clone(), &wrong),
        way("postgres:///?service=lab", "PGSERVICEFILE", service, other.clone(), &other),
    ];
    for Way { url, right, wrong, place } in &ways {
        taken(url, &with(Some(home.path()), std::slice::from_ref(right)));
        let error = refused(url, &with(Some(home.path()), std::slice::from_ref(wrong)));
        let said = error.to_string();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{said}");
        assert!(said.contains("password authentication failed for user \"guarded\""), "{said}");
        assert!(said.contains("the password is that of ") && said.contains(place.as_str()), "{place}: {said}");
    }
    taken(&format!("{url}&passfile={right}"), &with(Some(home.path()), &[]));
    // Its own places: ~/.pgpass.
    write(".pgpass", &line(SECRET));
    taken(&url, &with(Some(home.path()), &[]));
    let error = refused(&url, &access()).to_string();
    assert!(error.contains("no password was found: neither in PGPASSWORD"), "{error}");
}
