//! No dependency asks for a newer Rust than the workspace promises.

use anyhow::{Context, Result};

use super::metadata::Metadata;

/// # Errors
/// When no member says what the workspace promises, or a version isn't one.
pub(crate) fn check(all: &Metadata) -> Result<Vec<String>> {
    let member = all.packages.iter().find(|package| package.source.is_none());
    let promised =
        member.and_then(|member| member.rust_version.as_deref()).context("no member has a rust-version")?;
    let ours = parts(promised)?;
    let mut complaints = Vec::new();
    for package in &all.packages {
        let Some(theirs) = package.rust_version.as_deref() else { continue };
        if parts(theirs)? > ours {
            complaints.push(format!(
                "{} {} needs Rust {theirs}, the workspace promises {promised}: take an older one, or raise rust-version",
                package.name, package.version
            ));
        }
    }
    Ok(complaints)
}

/// `1.88` is `1.88.0`.
fn parts(version: &str) -> Result<[u32; 3]> {
    let mut parts = [0; 3];
    for (part, text) in parts.iter_mut().zip(version.split('.')) {
        *part = text.parse().with_context(|| format!("`{version}` is no version of Rust"))?;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::Package;

    #[test]
    fn a_dependency_that_asks_for_more_is_named() {
        for (theirs, allowed) in [
            (None, true),
            (Some("1.88"), true),
            (Some("1.88.0"), true),
            (Some("1.9"), true),
            (Some("1.88.1"), false),
            (Some("1.100"), false),
        ] {
            let package = |name: &str, version: Option<&str>, source: Option<&str>| Package {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                manifest_path: String::new(),
                rust_version: version.map(str::to_owned),
                dependencies: Vec::new(),
                source: source.map(str::to_owned),
            };
            let packages =
                vec![package("dependency", theirs, Some("registry")), package("ours", Some("1.88"), None)];
            let complaints = check(&Metadata { packages, workspace_root: String::new() }).expect("versions");
            assert_eq!(complaints.is_empty(), allowed, "{theirs:?}: {complaints:?}");
        }
    }
}
