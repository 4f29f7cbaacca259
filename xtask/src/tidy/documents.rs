//! Links of the documents lead somewhere, and nothing that a reader sees names a path of somebody's machine.

use super::Text;

/// Directories that differ from machine to machine: a document that names a file below one is of use to nobody else.
const LOCAL: &[&str] = &["home", "root", "tmp", "work", "mnt", "Users"];

pub(crate) fn check(files: &[Text], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let is_document = file.path.ends_with(".md");
        if is_document {
            for (number, target) in links(&file.text) {
                if resolve(&file.path, &target).is_some_and(|path| !exists(&path)) {
                    complaints.push(format!("{}:{number}: the link to `{target}` leads nowhere", file.path));
                }
            }
        }
        if is_document || file.path.starts_with("crates/") || file.path.starts_with("examples/") {
            for (number, line) in file.text.lines().enumerate() {
                if let Some(path) = local_path(line) {
                    complaints.push(format!(
                        "{}:{}: `{path}…` is a path of one machine",
                        file.path,
                        number + 1
                    ));
                }
            }
        }
    }
    complaints
}

/// The targets of `[text](target)` and `[name]: target`, with the number of the line. Code is no link.
fn links(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in document.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        // Every other part between backticks is code.
        let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let inline =
            text.match_indices("](").map(|(at, _)| text[at + 2..].split(')').next().unwrap_or_default());
        let reference =
            text.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        // After the target there may be a title.
        let targets = inline.chain(reference).filter_map(|target| target.split_whitespace().next());
        found.extend(targets.map(|target| (number + 1, target.to_owned())));
    }
    found
}

/// The path from the root that a link in a document leads to; nothing for an address or a heading of the same document.
fn resolve(document: &str, target: &str) -> Option<String> {
    let target = target.trim_start_matches('<').trim_end_matches('>').split('#').next()?;
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            // Above the root there is nothing that a reader of the repository has.
            ".." if parts.pop().is_none() => return Some(format!("\0{target}")),
            ".." => {}
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn local_path(line: &str) -> Option<String> {
    LOCAL.iter().map(|directory| format!("/{directory}/")).find(|local| {
        line.match_indices(local.as_str()).any(|(at, _)| {
            // Part of an address or of a longer path is something else.
            !line[..at].ends_with(|before: char| {
                before.is_alphanumeric() || matches!(before, '/' | '.' | '-' | '_' | '}' | '~')
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = Text { path: path.to_owned(), text: text.to_owned() };
        check(&[file], |path| ["README.md", "docs/a.md", "docs"].contains(&path))
    }

    #[test]
    fn a_link_leads_somewhere() {
        for (text, well) in [
            ("[a](docs/a.md)", true),
            ("[a](./docs/a.md#part), [b](docs/)", true),
            ("[a](docs/b.md)", false),
            ("[a](docs/a.md) and [b](b.md)", false),
            ("[a](<docs/b.md>)", false),
            ("[a](docs/b.md \"title\")", false),
            ("[a]: docs/b.md", false),
            ("[a](../README.md)", false),
            ("[a](https://example.org/b.md), [b](#part), [c](mailto:a@example.org)", true),
            ("`[a](b.md)`", true),
            ("```\n[a](b.md)\n```", true),
            ("```\n```\n[a](b.md)", false),
        ] {
            assert_eq!(complaints("README.md", text).is_empty(), well, "{text}");
        }
        assert!(complaints("docs/x.md", "[a](a.md) [b](../README.md)").is_empty());
        assert_eq!(complaints("docs/x.md", "[a](README.md)").len(), 1);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for local in LOCAL {
            let line = format!("see `/{local}/x`");
            assert_eq!(complaints("README.md", &line).len(), 1, "{line}");
            assert_eq!(complaints("crates/a/src/lib.rs", &line).len(), 1, "{line}");
            assert!(complaints("xtask/src/main.rs", &line).is_empty(), "{line}");
            assert!(
                complaints("README.md", &format!("https://example.org/{local}/x and a/{local}/x")).is_empty()
            );
        }
    }
}
