//! An object store that speaks S3: AWS's, MinIO, Ceph, Cloudflare R2 and others.

mod calls;
mod client;
mod credentials;
mod heard;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::{BackoffConfig, RetryConfig};

use crate::domain::S3Place;
use crate::environment::EnvironmentLookup;
use crate::tls::Trust;

use super::{ArtifactError, ArtifactStore, Call, Kind, StoredFile, StoredName, Trouble};
use calls::Worker;
use client::Connector;
use credentials::{Credentials, Profile};

/// Where AWS's own buckets are, where nothing else is said.
const DEFAULT_REGION: &str = "us-east-1";
/// How often a request is repeated that the server or the network failed.
const MAX_RETRIES: usize = 4;
/// For how long it is repeated at most.
const RETRY_TIMEOUT: Duration = Duration::from_secs(90);

/// Longest waits of one request.
#[derive(Debug, Clone, Copy)]
pub struct S3Timeouts {
    /// For a name and for a connection.
    pub connect: Duration,
    /// For the answer to begin, once all is sent, and for its next byte.
    pub stall: Duration,
    /// In all.
    pub request: Duration,
}

impl Default for S3Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        S3Timeouts { connect: seconds(5), stall: seconds(30), request: seconds(180) }
    }
}

/// What a store takes of its process: variables of the environment, and how to connect.
#[derive(Clone)]
pub struct S3Surroundings {
    /// A variable of the environment.
    pub variable: EnvironmentLookup,
    /// The home folder, below which credentials are looked for.
    pub home: PathBuf,
    /// What connections go through.
    pub proxy: Option<ureq::Proxy>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// How long is waited.
    pub timeouts: S3Timeouts,
}

/// Files in a bucket: `<prefix>/<kind>/<sha256>`.
pub struct S3Store {
    bucket: Arc<AmazonS3>,
    s3: S3Place,
    place: String,
    worker: Worker,
}

impl S3Store {
    /// The store in that bucket. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// When the endpoint is no address, or this host has no room for a thread.
    pub fn open(s3: S3Place, around: &S3Surroundings) -> Result<S3Store, ArtifactError> {
        let shown = shown_place(&s3, None);
        let failed = |trouble| ArtifactError::new("open", "the store", "at", &shown, trouble);
        let profile = Profile::read(around).map_err(|words| failed(Trouble::NoCredentials(words)))?;
        let variable = |name: &str| (around.variable)(name).filter(|value| !value.is_empty());
        let given = s3.endpoint.clone();
        let given = given.or_else(|| variable("AWS_ENDPOINT_URL_S3")).or_else(|| variable("AWS_ENDPOINT_URL"));
        let endpoint = given.or(profile.endpoint);
        if let Some(endpoint) = &endpoint {
            check_endpoint(endpoint).map_err(|words| failed(Trouble::Other(words)))?;
        }
        let region = s3.region.clone();
        let region = region.or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
        let region = region.or(profile.region).unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let place = shown_place(&s3, endpoint.as_deref());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&s3.bucket)
            .with_region(region)
            .with_credentials(Arc::new(Credentials::of(around)))
            .with_http_connector(Connector::new(around))
            .with_checksum_algorithm(Checksum::SHA256)
            .with_disable_bulk_delete(true)
            .with_allow_http(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(200),
                    max_backoff: Duration::from_secs(5),
                    base: 2.0,
                },
                max_retries: MAX_RETRIES,
                retry_timeout: RETRY_TIMEOUT,
            });
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let bucket = builder.build().map_err(|error| failed(Trouble::Other(error.to_string())))?;
        let worker = Worker::start().map_err(|error| failed(Trouble::Other(error.to_string())))?;
        Ok(S3Store { bucket: Arc::new(bucket), s3, place, worker })
    }

    /// The key of a file.
    fn key(&self, name: &StoredName) -> object_store::path::Path {
        object_store::path::Path::from(self.below(&name.to_string()))
    }

    /// What is below the prefix.
    fn below(&self, path: &str) -> String {
        let prefix = self.s3.prefix.trim_matches('/');
        if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") }
    }

    fn failed(&self, action: &'static str, name: impl ToString, way: &'static str, trouble: Trouble) -> ArtifactError {
        ArtifactError::new(action, name, way, &self.place, trouble)
    }
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store").field("place", &self.place).finish_non_exhaustive()
    }
}

impl ArtifactStore for S3Store {
    fn place(&self) -> &str {
        &self.place
    }

    fn size(&self, name: &StoredName, call: &mut Call<'_>) -> Result<Option<u64>, ArtifactError> {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key(name));
        let work = move |_| async move { transfer::size(bucket.as_ref(), &key).await };
        self.worker.call(call, &self.s3.bucket, work).map_err(|trouble| self.failed("look for", name, "in", trouble))
    }

    fn put(&self, name: &StoredName, from: &Path, call: &mut Call<'_>) -> Result<(), ArtifactError> {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key(name));
        let (from, sha256) = (from.to_owned(), name.sha256().to_owned());
        let work = move |way| async move { transfer::put(bucket.as_ref(), &key, &sha256, &from, &way).await };
        self.worker.call(call, &self.s3.bucket, work).map_err(|trouble| self.failed("put", name, "into", trouble))
    }

    fn get(&self, name: &StoredName, into: &Path, call: &mut Call<'_>) -> Result<u64, ArtifactError> {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key(name));
        let (into, sha256) = (into.to_owned(), name.sha256().to_owned());
        let work = move |way| async move { transfer::get(bucket.as_ref(), &key, &sha256, &into, &way).await };
        self.worker.call(call, &self.s3.bucket, work).map_err(|trouble| self.failed("get", name, "from", trouble))
    }

    fn list(&self, kind: Kind, call: &mut Call<'_>) -> Result<Vec<StoredFile>, ArtifactError> {
        let (bucket, prefix) = (Arc::clone(&self.bucket), self.below(kind.folder()));
        let prefix = object_store::path::Path::from(prefix);
        let work = move |_| async move { transfer::list(bucket.as_ref(), &prefix, kind).await };
        let listed = self.worker.call(call, &self.s3.bucket, work);
        listed.map_err(|trouble| self.failed("list", kind.folder(), "in", trouble))
    }

    fn remove(&self, name: &StoredName, call: &mut Call<'_>) -> Result<bool, ArtifactError> {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key(name));
        let work = move |_| async move { transfer::remove(bucket.as_ref(), &key).await };
        self.worker.call(call, &self.s3.bucket, work).map_err(|trouble| self.failed("take", name, "out of", trouble))
    }
}

/// A place as people know it; an endpoint without what may be secret in it.
fn shown_place(s3: &S3Place, endpoint: Option<&str>) -> String {
    let prefix = s3.prefix.trim_matches('/');
    let path = if prefix.is_empty() { s3.bucket.clone() } else { format!("{}/{prefix}", s3.bucket) };
    match endpoint {
        None => format!("s3://{path}"),
        Some(endpoint) => format!("s3://{path} at {}", endpoint.rsplit('@').next().unwrap_or_default()),
    }
}

/// An endpoint is a server's address alone: what else stands in it would be sent to places where it is not meant to be.
fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("the endpoint begins with neither https:// nor http://".to_owned()) };
    if rest.contains('@') {
        return Err("the endpoint has a user in it: credentials come from the environment or a file".to_owned());
    }
    if rest.is_empty() || rest.contains(['?', '#', ' ']) {
        return Err("the endpoint is no address of a server".to_owned());
    }
    Ok(())
}
