use std::time::SystemTime;

use super::*;
use crate::catalog::hashing::Activity;
use crate::domain::{ElementType, InputRange, InputSpec, Layout, WeightsKind, sample, sha256_hex};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(300)
}

fn file(source: WeightsSource, artifact: Option<ArtifactRef>) -> WeightsFile {
    let weights = WeightsKind::Synthetic;
    WeightsFile {
        weights,
        format: "onnx".to_owned(),
        declared_precision: Some(Precision::Float32),
        layout: Layout::Nchw,
        artifact,
        source,
        parts: Vec::new(),
        signature: None,
        macs: None,
    }
}

/// The hash and size that are recorded of a network's ONNX file.
fn pinned(network: &str) -> ArtifactRef {
    formats::builtin_files(network, WeightsKind::Synthetic)[0].artifact.clone().unwrap()
}

fn squeezenet() -> WeightsFile {
    file(WeightsSource::Builtin("squeezenet1_0".to_owned()), Some(pinned("squeezenet1_0")))
}

struct Lab {
    folder: tempfile::TempDir,
    cache: ArtifactCache,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { cache: ArtifactCache::new(folder.path().join("cache"), DownloadSettings::default()), folder }
    }

    fn ensure(&self, file: &WeightsFile) -> Result<LocalArtifact, CatalogError> {
        self.cache.ensure("net", file, soon(), &mut |_| ()).map(|local| local.file)
    }

    fn verify(&self, file: &WeightsFile) -> Result<LocalArtifact, CatalogError> {
        self.cache.verify("net", file, soon(), &mut |_| ()).map(|local| local.file)
    }

    /// Names in the cache's folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("cache")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// A file of the user's, unchanged for a day.
    fn own_file(&self, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("own.onnx");
        fs::write(&path, content).unwrap();
        age(&path, 86_400);
        path
    }
}

fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// Files larger than this are not built in tests: VGG16's alone would take gigabytes. Of ONNX, which most jobs take,
/// all but these are built, of the other formats the smaller ones.
const LARGEST_BUILT: u64 = 120_000_000;
const LARGEST_OF_OTHERS: u64 = 36_000_000;

/// Builds files of the networks, and compares them with what is recorded.
fn assert_built_as_pinned(wanted: impl Fn(&WeightsFile) -> bool) -> usize {
    let mut built = 0;
    for network in networks::names() {
        let weights = networks::build(network).unwrap().weights_kind();
        let files = formats::builtin_files(network, weights);
        // Every network is recorded in every form.
        assert_eq!(files.len(), 5, "{network}");
        for file in files.into_iter().filter(&wanted) {
            let lab = Lab::new();
            let local = lab.cache.ensure(network, &file, soon(), &mut |_| ()).unwrap();
            for artifact in std::iter::once(&local.file).chain(&local.parts) {
                let found = hash_file(&artifact.path, soon(), &mut |_| ()).unwrap();
                assert_eq!(found, artifact.artifact, "{network} {} {:?}", file.format, file.declared_precision);
            }
            built += 1;
        }
    }
    built
}

fn is_small(file: &WeightsFile) -> bool {
    let sizes = file.parts.iter().map(|part| &part.artifact).chain([&file.artifact]);
    let largest = if file.format == "onnx" { LARGEST_BUILT } else { LARGEST_OF_OTHERS };
    sizes.flatten().map(|artifact| artifact.size_bytes).sum::<u64>() <= largest
}

#[test]
fn every_network_is_built_as_pinned() {
    let built = assert_built_as_pinned(|file| file.format != "torchscript_lite" && is_small(file));
    // ONNX without AlexNet and VGG16; 8-bit TensorFlow Lite without these; the others without ResNets and InceptionV3,
    // too.
    assert_eq!(built, 12 + 12 + 9 + 9);
}

/// The script runs on PyTorch, which scripts/prepare installs.
#[test]
fn a_torchscript_file_is_made_as_pinned() {
    let built = assert_built_as_pinned(|file| file.format == "torchscript_lite" && is_smallest(file));
    assert_eq!(built, 4);
}

fn is_smallest(file: &WeightsFile) -> bool {
    file.artifact.as_ref().is_some_and(|artifact| artifact.size_bytes < 15_000_000)
}

#[test]
fn a_cached_file_is_not_built_again() {
    let lab = Lab::new();
    assert!(!lab.cache.has(&squeezenet()));
    let mut bytes = 0;
    let mut progress = |progress: Progress| {
        assert_eq!((progress.activity, progress.total_bytes), (Activity::Building, squeezenet_size()));
        bytes = progress.done_bytes;
    };
    lab.cache.ensure("net", &squeezenet(), soon(), &mut progress).unwrap();
    assert_eq!(bytes, squeezenet_size());
    assert!(lab.cache.has(&squeezenet()));
    lab.cache.ensure("net", &squeezenet(), soon(), &mut |_| panic!("work is done again")).unwrap();
}

fn squeezenet_size() -> u64 {
    pinned("squeezenet1_0").size_bytes
}

#[test]
fn a_network_unlike_its_pin_is_refused() {
    let lab = Lab::new();
    let pin = ArtifactRef { sha256: "0".repeat(64), size_bytes: 1 };
    let failure = lab.ensure(&file(WeightsSource::Builtin("squeezenet1_0".to_owned()), Some(pin.clone())));
    let message = failure.unwrap_err().to_string();
    assert!(message.contains(&pin.sha256) && message.contains(&pinned("squeezenet1_0").sha256), "{message}");
    assert_eq!(lab.names(), Vec::<String>::new());
}

#[test]
fn building_ends_at_its_deadline() {
    let lab = Lab::new();
    let failure = lab.cache.ensure("net", &squeezenet(), Instant::now(), &mut |_| ());
    assert!(matches!(failure, Err(CatalogError::Deadline { .. })), "{failure:?}");
    assert_eq!(lab.names(), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_found_and_built_again() {
    let lab = Lab::new();
    let path = lab.ensure(&squeezenet()).unwrap().path;
    lab.verify(&squeezenet()).unwrap();
    let mut content = fs::read(&path).unwrap();
    content[4_000_000] ^= 1;
    fs::write(&path, &content).unwrap();
    assert!(matches!(lab.verify(&squeezenet()), Err(CatalogError::WrongContent { .. })));
    assert!(!path.exists());
    lab.verify(&squeezenet()).unwrap();
}

#[test]
fn a_truncated_file_is_not_trusted() {
    let lab = Lab::new();
    let path = lab.ensure(&squeezenet()).unwrap().path;
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    assert!(!lab.cache.has(&squeezenet()));
    lab.ensure(&squeezenet()).unwrap();
    assert_eq!(fs::metadata(path).unwrap().len(), squeezenet_size());
}

#[test]
fn a_file_of_the_users_stays_where_it_is() {
    let lab = Lab::new();
    let path = lab.own_file(b"content");
    let local = lab.ensure(&file(WeightsSource::Path(path.clone()), None)).unwrap();
    assert_eq!(local.path, path);
    assert_eq!(local.artifact, ArtifactRef { sha256: sha256_hex(b"content"), size_bytes: 7 });
    let pin = ArtifactRef { sha256: "0".repeat(64), size_bytes: 7 };
    let pinned = file(WeightsSource::Path(path.clone()), Some(pin));
    assert!(matches!(lab.ensure(&pinned), Err(CatalogError::WrongContent { .. })));
    assert!(matches!(lab.verify(&pinned), Err(CatalogError::WrongContent { .. })));
    assert!(path.exists());
}

#[test]
fn the_hash_of_a_users_file_is_remembered_until_it_changes() {
    let lab = Lab::new();
    let path = lab.own_file(b"content");
    let own = file(WeightsSource::Path(path.clone()), None);
    lab.ensure(&own).unwrap();
    lab.cache.ensure("net", &own, soon(), &mut |_| panic!("it is read again")).unwrap();
    fs::write(&path, b"CONTENT").unwrap();
    age(&path, 3600);
    assert_eq!(lab.ensure(&own).unwrap().artifact.sha256, sha256_hex(b"CONTENT"));
}

#[test]
fn the_hash_of_a_file_changed_just_now_is_not_remembered() {
    let lab = Lab::new();
    let path = lab.own_file(b"content");
    age(&path, 0);
    let own = file(WeightsSource::Path(path), None);
    lab.ensure(&own).unwrap();
    let mut read = false;
    lab.cache.ensure("net", &own, soon(), &mut |_| read = true).unwrap();
    assert!(read);
}

#[test]
fn what_cannot_be_had_says_why() {
    let lab = Lab::new();
    let missing = file(WeightsSource::Path(lab.folder.path().join("absent.onnx")), None);
    let folder = file(WeightsSource::Path(lab.folder.path().to_owned()), None);
    let unpinned = file(WeightsSource::Urls(vec!["https://example.org/net.onnx".to_owned()]), None);
    let unknown = file(WeightsSource::Builtin("resnet51".to_owned()), None);
    let outside = ArtifactRef { sha256: "../../etc/passwd".to_owned(), size_bytes: 1 };
    let outside = file(WeightsSource::Urls(Vec::new()), Some(outside));
    for (file, word) in [
        (missing, "absent.onnx"),
        (folder, "no regular file"),
        (unpinned, "sha256"),
        (unknown, "resnet50"),
        (outside, "hexadecimal"),
    ] {
        let message = lab.ensure(&file).unwrap_err().to_string();
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let lab = Lab::new();
    fs::write(lab.folder.path().join("cache"), b"a file where the folder should be").unwrap();
    let message = lab.ensure(&squeezenet()).unwrap_err().to_string();
    assert!(message.contains("cache"), "{message}");
}

#[test]
fn a_summary_is_of_the_file_that_is_here() {
    let lab = Lab::new();
    let path = lab.folder.path().join("own.onnx");
    let mut content = Vec::new();
    formats::write(&networks::build("squeezenet1_0").unwrap(), FileKind::Onnx, &mut content).unwrap();
    fs::write(&path, content).unwrap();
    let model = sample::model("net");
    let own = file(WeightsSource::Path(path), None);
    let of_file = lab.cache.summary(&model, &own, &[]).unwrap().unwrap();
    assert_eq!(lab.cache.summary(&model, &squeezenet(), &[]).unwrap().unwrap(), of_file);
    assert!(!lab.cache.has(&squeezenet()), "a network of our own is written for its summary");
    let remote = file(WeightsSource::Urls(Vec::new()), Some(pinned("squeezenet1_0")));
    assert_eq!(lab.cache.summary(&model, &remote, &[]).unwrap(), None);
    lab.ensure(&squeezenet()).unwrap();
    assert_eq!(lab.cache.summary(&model, &remote, &[]).unwrap(), Some(of_file));
    let range = InputRange { low: 0.0, high: 1.0 };
    let (name, element, shape) = ("input".to_owned(), ElementType::Float32, vec![1, 3, 299, 299]);
    let other = InputSpec { name, element, shape, range, values: None };
    assert!(lab.cache.summary(&model, &own, &[other]).unwrap_err().to_string().contains("[1, 3, 299, 299]"));
}
