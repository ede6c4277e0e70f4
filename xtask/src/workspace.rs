//! Where the workspace is and what its crates depend on, as cargo tells it.
//!
//! `cargo metadata` is read with a few serde structs; a metadata crate would be more to build than it saves.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A crate of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Crate name.
    pub(crate) name: String,
    /// Path of its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// Its direct dependencies of every kind.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A direct dependency of a crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Name of the crate depended on.
    pub(crate) name: String,
    /// `None` is a normal dependency; else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Dependency {
    /// Whether only tests, examples and benchmarks see it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Package {
    /// The folder below `root`, with `/`.
    pub(crate) fn folder(&self, root: &Path) -> String {
        let folder = self.manifest_path.parent().unwrap_or(root);
        folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('\\', "/")
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

/// The root folder of the workspace that the current folder is in.
pub(crate) fn root() -> Result<PathBuf> {
    let output = cargo(Path::new("."))
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .context("cannot run cargo locate-project")?;
    if !output.status.success() {
        bail!("no cargo workspace here: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let manifest = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(manifest.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// The crates of the workspace at `root`.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    Ok(metadata(root)?.packages)
}

/// The folder that cargo builds into.
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf> {
    Ok(metadata(root)?.target_directory)
}

fn metadata(root: &Path) -> Result<Metadata> {
    let output = cargo(root)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed in {}", root.display());
    }
    parse(&output.stdout)
}

fn parse(json: &[u8]) -> Result<Metadata> {
    serde_json::from_slice(json).context("cargo metadata is not as expected")
}

/// A cargo command in `root` that reads no input.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root).stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_the_kinds_of_their_dependencies_are_read() {
        let json = br#"{"packages":[{"name":"vdisk","manifest_path":"/r/crates/vdisk/Cargo.toml","extra":1,
            "dependencies":[{"name":"uuid","kind":null},{"name":"proptest","kind":"dev"}]}],"target_directory":"/r/target"}"#;

        let packages = parse(json).unwrap().packages;

        assert_eq!(packages[0].folder(Path::new("/r")), "crates/vdisk");
        assert!(!packages[0].dependencies[0].is_dev());
        assert!(packages[0].dependencies[1].is_dev());
    }

    #[test]
    fn metadata_of_another_shape_is_an_error() {
        assert!(parse(b"{}").is_err());
    }
}
