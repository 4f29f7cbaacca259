//! Who may depend on whom. Only libraries (`crates/`) are bound; tests, benches, examples and this tool are free.

use super::metadata::{Metadata, Package};

const CORE: &str = "tierstack-core";

/// Import the core, and never each other: which of them a user takes is the user's choice.
const SIBLINGS: &[&str] =
    &["tierstack-derive", "tierstack-redis", "tierstack-postgres", "tierstack-otel", "tierstack-http"];

/// One library knows a client, so that a new major version of it is a change in one place. A star stands for any ending.
const OWNED: &[(&str, &[&str])] = &[
    ("tierstack-redis", &["redis", "deadpool-redis"]),
    (
        "tierstack-postgres",
        &["tokio-postgres", "deadpool-postgres", "postgres", "postgres-types", "postgres-protocol"],
    ),
    ("tierstack-otel", &["opentelemetry*", "tracing-opentelemetry"]),
    ("tierstack-http", &["axum*", "tonic*"]),
];

/// What talks to the outside. The core is built without any of it.
const CLIENTS: &[&str] = &[
    "redis*",
    "deadpool*",
    "tokio-postgres*",
    "postgres*",
    "opentelemetry*",
    "tracing-opentelemetry",
    "axum*",
    "tonic*",
    "prost*",
    "tower-http",
    "http",
    "http-body*",
    "hyper*",
    "reqwest",
];

pub(crate) fn check(members: &Metadata) -> Vec<String> {
    members.libraries().flat_map(check_library).collect()
}

fn check_library(library: &Package) -> Vec<String> {
    let name = library.name.as_str();
    let mut complaints = Vec::new();
    for dependency in &library.dependencies {
        let other = dependency.name.as_str();
        let is_dev = dependency.kind.as_deref() == Some("dev");
        let mut complain = |why: &str| complaints.push(format!("{name} depends on {other}: {why}"));
        if name == CORE {
            if CLIENTS.iter().any(|pattern| matches(pattern, other)) {
                complain(
                    "the core imports no client, put it behind a trait of the core in a crate of its own",
                );
            }
            if other.starts_with("tierstack") && !is_dev {
                complain("the core is below every other crate");
            }
        }
        if SIBLINGS.contains(&name) && other != name {
            if SIBLINGS.contains(&other) {
                complain("siblings never import each other, what both need belongs in the core");
            } else if other.starts_with("tierstack") && other != CORE && !is_dev {
                complain("a sibling imports the core only");
            }
        }
        for (owner, clients) in OWNED {
            // A complaint about a client in the core was made above.
            if name != *owner && name != CORE && clients.iter().any(|pattern| matches(pattern, other)) {
                complain(&format!("only {owner} names it"));
            }
        }
    }
    complaints
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::Dependency;

    fn package(directory: &str, name: &str, dependency: &str, kind: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            manifest_path: format!("/w/{directory}/{name}/Cargo.toml"),
            rust_version: None,
            dependencies: vec![Dependency { name: dependency.to_owned(), kind: kind.map(str::to_owned) }],
            source: None,
        }
    }

    #[test]
    fn each_rule_has_a_case_on_either_side() {
        for (name, dependency, kind, allowed) in [
            ("tierstack-core", "moka", None, true),
            ("tierstack-core", "redis", None, false),
            ("tierstack-core", "redis", Some("dev"), false),
            ("tierstack-core", "deadpool-postgres", Some("build"), false),
            ("tierstack-core", "opentelemetry_sdk", None, false),
            ("tierstack-core", "tower-http", None, false),
            ("tierstack-core", "tower-service", None, true),
            ("tierstack-core", "tierstack-derive", None, false),
            ("tierstack-core", "tierstack-derive", Some("dev"), true),
            ("tierstack-redis", "tierstack-core", None, true),
            ("tierstack-redis", "redis", None, true),
            ("tierstack-redis", "tierstack-postgres", None, false),
            ("tierstack-redis", "tierstack-postgres", Some("dev"), false),
            ("tierstack-redis", "tierstack", None, false),
            ("tierstack-redis", "tierstack", Some("dev"), true),
            ("tierstack-redis", "tierstack-servers", Some("dev"), true),
            ("tierstack-redis", "tokio-postgres", None, false),
            ("tierstack-http", "opentelemetry", None, false),
            ("tierstack-http", "http", None, true),
            ("tierstack-http", "axum", None, true),
            ("tierstack-postgres", "axum", None, false),
            ("tierstack", "tonic", None, false),
            ("tierstack", "tierstack-redis", None, true),
            ("tierstack", "redis", None, false),
            ("tierstack", "deadpool-postgres", None, false),
        ] {
            let complaints = check_library(&package("crates", name, dependency, kind));
            assert_eq!(complaints.is_empty(), allowed, "{name} -> {dependency} ({kind:?}): {complaints:?}");
        }
    }

    #[test]
    fn tests_and_tools_are_free() {
        let packages = vec![package("tests", "tierstack-redis", "tokio-postgres", None)];
        assert!(check(&Metadata { packages, workspace_root: "/w".to_owned() }).is_empty());
        let packages = vec![package("crates", "tierstack-redis", "tokio-postgres", None)];
        assert_eq!(check(&Metadata { packages, workspace_root: "/w".to_owned() }).len(), 1);
    }
}
