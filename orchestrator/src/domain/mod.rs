//! The spine types: what all parts of farmctl talk about.
//!
//! Main types: [`Inventory`], [`Sweep`], [`Catalog`], [`Plan`], [`Job`], [`Record`], [`Event`]. Plain serde structs: no
//! handles, no lifetimes. Never does I/O, reads no clock and no environment, and is never async.

mod android;
mod backend;
mod baseline;
mod catalog;
mod change;
mod check;
mod clock;
mod cooldown;
mod count;
mod daemon_status;
mod dataset;
mod device;
mod digest;
mod event;
mod failure;
mod history;
mod host;
mod ids;
mod lock;
mod notice;
mod plan;
mod record;
mod regression;
mod report_file;
#[cfg(test)]
pub mod sample;
mod scheduled;
mod shared_files;
mod side_by_side;
mod sighting;
mod signature;
mod state;
mod sweep;
mod trust;

pub use android::{AndroidFacts, AndroidOptions, Battery, DeviceIdentity};
pub use backend::{Archive, BackendFile, BackendProgram, BackendSource, BackendTarget, DELEGATE, PipPackage};
pub use baseline::Baseline;
pub use catalog::{
    Accuracy, Backend, Catalog, CatalogInput, CatalogModel, FilePart, GivenValues, InputValues, PublishedNetwork,
    WeightsFile, WeightsKind, WeightsSource,
};
pub use change::{DeviceChange, OpenChange, Setting};
pub use check::{CheckFigures, CheckVerdict, DeviceCheck, Finding, Pace, PastCheck, Unfit};
pub use clock::{BelievedClock, Moment};
pub use cooldown::{Cooldown, CooledDown, IdleTemperature, Reached};
pub use count::many;
pub use daemon_status::DaemonStatus;
pub use dataset::{
    CatalogDataset, DatasetList, DatasetOrigin, JobDataset, LabelColumn, PREPROCESSING_VERSION, PreparedImages,
    Preprocessing, Remark, ResizeFilter, ResizeRule, image_shape,
};
pub use device::{
    AdbEndpoint, Device, DeviceLimits, DeviceStatus, HostKey, HostKeyChecking, Inventory, Recovery, SecretSource,
    SshEndpoint, THIS_HOST, Tag, TransportConfig, is_host_and_port,
};
pub use digest::{hex, sha256_hex};
pub use event::{Event, EventKind, SweepCompared};
pub use failure::{Blame, Failure, FailureKind, Refusal, Retry};
pub use farmctl_protocol::{
    ArtifactRef, Calibration, Dialect, ElementType, EndedBy, Figures, InputRange, InputSpec, KernelTime, Layout,
    Limits, NamedArtifact, Precision, Scenario, Steady, TensorInfo,
};
pub use history::{Facts, HistoryCell, LinkHistory, MeasuredJob, PastRun};
pub use host::{DeclaredDevice, HOST_SILENT_AFTER, Host, HostFigures, HostStatus, NewHost};
pub use ids::{JobId, LabId, RegressionId, RunId, SweepId};
pub use lock::DeviceLock;
pub use notice::{Channel, Email, MailTls, Notice, Webhook};
pub use plan::{Job, JobModel, Plan, Skipped};
pub use record::{CheckThen, Condition, DeviceFacts, MeasuredAccuracy, Measurement, OutputRef, Record, RunStatus};
pub use regression::{Against, LONGEST_BASELINE_NAME, Regression, RegressionEnd, RegressionRule, is_baseline_name};
pub use report_file::{HOST_LOG_PREFIX, ReportFile, host_log_name};
pub use scheduled::{DueTime, SchedulePause, ScheduledStart};
pub use shared_files::{S3Place, SharedFilesConfig, SharedPlace};
pub use side_by_side::{PairSide, SideBySide, SideRunner};
pub use sighting::Sighting;
pub use signature::{
    Arithmetic, DataFile, Dimension, FirstDimension, ModelSignature, Operator, Peculiarity, TensorElement,
    TensorSignature,
};
pub use state::{
    DeviceState, DeviceStep, HostState, HostStep, JobState, JobStep, RegressionState, RegressionStep, RunState,
    RunStep, StartState, StartStep, SweepState, SweepStep,
};
pub use sweep::{
    CellPattern, DEFAULT_SUSTAINED_SECONDS, DeviceSelector, OnFailure, Order, RetryPolicy, Submission, Sweep,
    SweepDefinition, SweepOrder, SweepRow, ThreadCount, Timeouts,
};
pub use trust::{Judgement, Rerun, TrustPolicy, TrustRules, Verdict};
