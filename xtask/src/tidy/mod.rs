//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy holds.
//!
//! Each check is a pure function from what was read to a list of complaints, one line each, that say what to do.

mod dependencies;
mod documents;
mod layers;
mod manifests;
mod metadata;
mod rust_version;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use metadata::Metadata;

/// A file of the repository: its path from the root, and what is in it.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// # Errors
/// When a rule is broken, after every complaint was printed; when something can't be read.
pub(crate) fn run() -> Result<()> {
    let root = crate::root()?;
    let members = Metadata::read(&root, &["--no-deps"])?;
    let all = Metadata::read(&root, &["--locked", "--all-features"])?;
    let files = files(&root)?;
    let exists = |path: &str| root.join(path).exists();

    let checks = [
        ("who may depend on whom", dependencies::check(&members)),
        ("layers never import each other", layers::check(&files)),
        ("rust-version", rust_version::check(&all)?),
        ("links and paths in documents", documents::check(&files, exists)),
        ("manifests", manifests::check(&files)),
    ];
    let mut complaints = 0;
    for (name, found) in checks {
        println!("{} {name}", if found.is_empty() { "ok    " } else { "FAILED" });
        for complaint in &found {
            println!("       {complaint}");
        }
        complaints += found.len();
    }
    ensure!(complaints == 0, "complaints: {complaints}");
    Ok(())
}

/// The text files that are in the repository or would be added to it.
fn files(root: &Path) -> Result<Vec<Text>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("can't run git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout)?;
    // A file that was deleted and not yet removed from the index, or isn't text, has nothing to be checked.
    let read = |path: &str| {
        Some(Text { path: path.to_owned(), text: std::fs::read_to_string(root.join(path)).ok()? })
    };
    Ok(names.split_terminator('\0').filter_map(read).collect())
}
