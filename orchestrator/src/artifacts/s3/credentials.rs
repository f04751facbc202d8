//! Whose key requests are signed with: variables of the environment, else a profile of AWS's files.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

use crate::{regular_file, secret};

use super::S3Surroundings;
use super::heard::{Heard, Refusal};

/// Largest file of settings that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The key, looked for at each request: what a login has renewed counts at once. Never shown.
pub(super) struct Credentials(S3Surroundings);

impl Credentials {
    pub(super) fn of(around: &S3Surroundings) -> Credentials {
        Credentials(around.clone())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// There is nothing to sign with.
#[derive(Debug, thiserror::Error)]
#[error("no credentials: {0}")]
struct Missing(String);

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        find(&self.0).map(Arc::new).map_err(|words| {
            Heard::note(Refusal::NoCredentials(words.clone()));
            object_store::Error::Generic { store: "S3", source: Box::new(Missing(words)) }
        })
    }
}

/// The key, or in words why there is none.
fn find(around: &S3Surroundings) -> Result<AwsCredential, String> {
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(key_id), Some(secret_key)) => {
            return Ok(AwsCredential { key_id, secret_key, token: variable("AWS_SESSION_TOKEN") });
        }
        (None, None) => {}
        (Some(_), None) => return Err("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not".to_owned()),
        (None, Some(_)) => return Err("AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not".to_owned()),
    }
    let (profile, path) = (profile_name(around), credentials_file(around));
    let text = match secret::text(&path) {
        Ok(text) => text,
        Err(error) if error.is_absent() => {
            return Err(format!("AWS_ACCESS_KEY_ID is not set, and {} is not there", path.display()));
        }
        Err(error) => return Err(error.to_string()),
    };
    let value = |name| setting(&text, &[&profile], name);
    match (value("aws_access_key_id"), value("aws_secret_access_key")) {
        (Some(key_id), Some(secret_key)) => Ok(AwsCredential { key_id, secret_key, token: value("aws_session_token") }),
        _ => Err(format!("{} has no key and secret for the profile {profile:?}", path.display())),
    }
}

fn profile_name(around: &S3Surroundings) -> String {
    let named = (around.variable)("AWS_PROFILE").filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "default".to_owned())
}

fn credentials_file(around: &S3Surroundings) -> PathBuf {
    named_file(around, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

fn named_file(around: &S3Surroundings, variable: &str, name: &str) -> PathBuf {
    let named = (around.variable)(variable).filter(|path| !path.is_empty());
    named.map_or_else(|| around.home.join(".aws").join(name), PathBuf::from)
}

/// What a profile says of the server: no secret.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

impl Profile {
    /// That of the profile that is meant; empty where there is none.
    ///
    /// # Errors
    /// When its file can't be read, in words.
    pub(super) fn read(around: &S3Surroundings) -> Result<Profile, String> {
        let path = named_file(around, "AWS_CONFIG_FILE", "config");
        let bytes = match regular_file::read(&path, MAX_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Profile::default()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let text = String::from_utf8_lossy(&bytes);
        let name = profile_name(around);
        let sections = [format!("profile {name}"), name];
        let value = |key| setting(&text, &sections.each_ref().map(String::as_str), key);
        Ok(Profile { region: value("region"), endpoint: value("endpoint_url") })
    }
}

/// A setting of the first of these sections that has it. A line that is set in belongs to the setting above it.
fn setting(text: &str, sections: &[&str], name: &str) -> Option<String> {
    let mut is_meant = false;
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '#', ';'])) {
        if let Some(header) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_meant = sections.contains(&header.split_whitespace().collect::<Vec<_>>().join(" ").as_str());
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_meant)
            && key.trim().eq_ignore_ascii_case(name)
        {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::artifacts::S3Timeouts;
    use crate::tls::Trust;

    fn around(home: &std::path::Path, variables: &'static [(&'static str, &'static str)]) -> S3Surroundings {
        S3Surroundings {
            variable: Arc::new(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            }),
            home: home.to_owned(),
            proxy: None,
            trust: Trust::default(),
            timeouts: S3Timeouts::default(),
        }
    }

    #[test]
    fn a_key_comes_from_the_environment_or_from_the_profile_that_is_meant() {
        let home = tempfile::tempdir().unwrap();
        let key = |variables| find(&around(home.path(), variables)).map(|it| (it.key_id, it.secret_key, it.token));
        let error = key(&[]).unwrap_err();
        assert!(error.contains("AWS_ACCESS_KEY_ID is not set") && error.contains(".aws/credentials"), "{error}");
        let of_variables = &[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s1"), ("AWS_PROFILE", "lab")];
        assert_eq!(key(of_variables).unwrap(), ("A".to_owned(), "s1".to_owned(), None));
        let half = key(&[("AWS_ACCESS_KEY_ID", "A")]).unwrap_err();
        assert!(half.contains("AWS_SECRET_ACCESS_KEY is not"), "{half}");

        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let file = home.path().join(".aws/credentials");
        let text = "# mine\n[default]\naws_access_key_id = D\naws_secret_access_key=sD\n\n[ lab ]\n\
                    aws_access_key_id=L\naws_secret_access_key = s=L\naws_session_token = t\n";
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(key(&[]).unwrap(), ("D".to_owned(), "sD".to_owned(), None));
        let of_lab = ("L".to_owned(), "s=L".to_owned(), Some("t".to_owned()));
        assert_eq!(key(&[("AWS_PROFILE", "lab")]).unwrap(), of_lab);
        let error = key(&[("AWS_PROFILE", "none")]).unwrap_err();
        assert!(error.contains("no key and secret for the profile \"none\""), "{error}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = key(&[]).unwrap_err();
        assert!(error.contains("chmod 600") && !error.contains("sD"), "{error}");
        assert_eq!(format!("{:?}", Credentials::of(&around(home.path(), of_variables))), "Credentials");
    }

    #[test]
    fn a_profile_tells_region_and_endpoint() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Profile::read(&around(home.path(), &[])).unwrap(), Profile::default());
        let file = home.path().join("config");
        let text = "[default]\nregion = eu-west-1\n[profile lab]\nregion=eu-central-1\ns3 =\n  region = nested\n\
                    endpoint_url = https://s3.lab\n";
        std::fs::write(&file, text).unwrap();
        let mut surroundings = around(home.path(), &[]);
        let named = file.display().to_string();
        surroundings.variable = Arc::new(move |name| (name == "AWS_CONFIG_FILE").then(|| named.clone()));
        let default = Profile::read(&surroundings).unwrap();
        assert_eq!((default.region.as_deref(), default.endpoint), (Some("eu-west-1"), None));
        let named = file.display().to_string();
        surroundings.variable = Arc::new(move |name| match name {
            "AWS_CONFIG_FILE" => Some(named.clone()),
            "AWS_PROFILE" => Some("lab".to_owned()),
            _ => None,
        });
        let lab = Profile::read(&surroundings).unwrap();
        assert_eq!((lab.region.as_deref(), lab.endpoint.as_deref()), (Some("eu-central-1"), Some("https://s3.lab")));
    }
}
