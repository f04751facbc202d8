//! The form of `artifacts:` in a lab file. The comments here are the descriptions of its JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

/// Where the files are that the lab's hosts share: a place alone, or with more that is to be known of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ArtifactsEntry {
    /// A folder that all hosts see, relative to this file, or `s3://BUCKET/PREFIX`.
    Place(String),
    /// The same, with more that is to be known of it.
    Whole(PlaceEntry),
}

/// A place for files that hosts share.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceEntry {
    /// A folder that all hosts see, relative to this file, or `s3://BUCKET/PREFIX`.
    pub(super) at: String,
    /// The server of `s3://`: `https://s3.example.org:9000`. Without it: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL,
    /// `endpoint_url` of the profile in ~/.aws/config, or AWS itself.
    pub(super) endpoint: Option<String>,
    /// Region of the bucket of `s3://`. Without it: AWS_REGION, AWS_DEFAULT_REGION, `region` of the profile, or
    /// us-east-1.
    pub(super) region: Option<String>,
    /// Most that `.farm/artifacts/` takes on this host, in megabytes (10⁶ bytes). Beyond it, when a sweep has ended,
    /// the least recently used files leave that nobody has used for a day; they can be had again from there. Without
    /// it: no limit.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) cache_mb: Option<u64>,
}
