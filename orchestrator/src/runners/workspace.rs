use std::path::{Path, PathBuf};

/// The farmctl workspace that holds this folder, if one does.
pub fn enclosing_workspace(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().find(|candidate| is_workspace(candidate)).map(Path::to_owned)
}

/// The workspace that this program was built from, if it is still there.
pub fn origin_workspace() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    is_workspace(root).then(|| root.to_owned())
}

fn is_workspace(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
        && folder.join("device-runner/Cargo.toml").is_file()
        && folder.join("protocol/Cargo.toml").is_file()
}
