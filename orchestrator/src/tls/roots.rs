use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use rustls_pki_types::CertificateDer;
use tokio_rustls::rustls::RootCertStore;

/// What a certificate in DER begins with: a sequence of more than 255 bytes.
const DER: [u8; 2] = [0x30, 0x82];

/// Certificates of authorities, and where they are from.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) sources: Vec<Source>,
}

/// A place where certificates were looked for.
#[derive(Debug)]
pub(super) struct Source {
    /// Which, as a person knows it.
    pub(super) place: String,
    /// How many of it are believed.
    pub(super) count: usize,
    /// What could not be used there.
    pub(super) problems: Vec<String>,
}

impl Roots {
    /// Those of the places where OpenSSL looks on this system.
    pub(super) fn of_system() -> Self {
        let mut roots = Self::default();
        roots.add("this system".to_owned(), load_native_certs());
        roots
    }

    /// Those of a file, which `word` names, and of folders.
    pub(super) fn from_paths(file: Option<&Path>, word: &str, folders: &[PathBuf]) -> Self {
        let mut roots = Self::default();
        if let Some(file) = file {
            let source = roots.add(format!("{word} {}", file.display()), load_certs_from_paths(Some(file), None));
            if source.count == 0 && is_der(file) {
                let name = file.display();
                source.problems.push(format!(
                    "it is DER, and PEM is needed: `openssl x509 -inform der -in {name} -out {name}.pem` makes it"
                ));
            }
        }
        for folder in folders {
            roots.add(format!("SSL_CERT_DIR {}", folder.display()), load_certs_from_paths(None, Some(folder)));
        }
        roots
    }

    fn add(&mut self, place: String, found: CertificateResult) -> &mut Source {
        let all = found.certs.len();
        let is_usable = |der: &CertificateDer<'static>| RootCertStore::empty().add(der.clone()).is_ok();
        let mut usable: Vec<_> = found.certs.into_iter().filter(is_usable).collect();
        let unusable = all - usable.len();
        let mut problems: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        problems.extend((unusable > 0).then(|| format!("{unusable} certificates of it are none of an authority")));
        // A bundle and the folder beside it hold the same ones.
        usable.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        usable.dedup();
        let count = usable.len();
        usable.retain(|der| !self.certificates.contains(der));
        self.certificates.append(&mut usable);
        self.sources.push(Source { place, count, problems });
        let last = self.sources.len() - 1;
        &mut self.sources[last]
    }
}

impl Source {
    /// What to know of it: how many authorities, or why none.
    pub(super) fn told(&self) -> String {
        let Source { place, count, problems } = self;
        match (count, problems.is_empty()) {
            (0, true) => format!("{place} holds no certificate"),
            (0, false) => format!("{place} can't be used: {}", problems.join("; ")),
            (1, _) => format!("1 authority of {place}"),
            _ => format!("{count} authorities of {place}"),
        }
    }
}

fn is_der(file: &Path) -> bool {
    let mut begin = [0; DER.len()];
    File::open(file).and_then(|mut file| file.read_exact(&mut begin)).is_ok_and(|()| begin == DER)
}
