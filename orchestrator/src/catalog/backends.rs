use crate::domain::{Backend, Precision};

/// The engines compiled into the runner that belongs to this farmctl, in the order of the runner's registry.
pub fn builtin_backends() -> Vec<Backend> {
    vec![Backend {
        name: "tract".to_owned(),
        // Of the workspace's lock file: the runner is built from the same one.
        version: env!("FARMCTL_TRACT_VERSION").to_owned(),
        formats: vec!["onnx".to_owned()],
        precisions: vec![Precision::Float32],
        converts_to: Vec::new(),
        operator_domains: Vec::new(),
        multi_threaded: true,
        program: None,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        let version = builtin_backends().remove(0).version;
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"tract-onnx\"\nversion = \"{version}\"\n")), "{version}");
    }
}
