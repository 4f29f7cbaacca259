//! The parts of `cargo metadata` that the checks look at.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_root: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Absolute.
    pub(crate) manifest_path: String,
    pub(crate) rust_version: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    /// Nothing: a member of this workspace, or another path.
    pub(crate) source: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package's own name, whatever it is renamed to.
    pub(crate) name: String,
    /// Nothing for an ordinary one; `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// # Errors
    /// When cargo fails, in its words.
    pub(crate) fn read(root: &Path, arguments: &[&str]) -> Result<Metadata> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1"])
            .args(arguments)
            .current_dir(root)
            .output()
            .context("can't run cargo")?;
        ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout).context("cargo metadata says what we don't understand")
    }

    /// The libraries of the workspace, which follow stricter rules than its tests and tools.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Package> {
        let directory = format!("{}/crates/", self.workspace_root);
        self.packages.iter().filter(move |package| package.manifest_path.starts_with(&directory))
    }
}
