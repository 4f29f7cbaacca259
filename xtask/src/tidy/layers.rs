//! The layers of the core never import each other: what two of them need lies below both, in the contract.

use super::Text;

const SOURCE: &str = "crates/tierstack-core/src/";

const LAYERS: &[&str] = &["l1", "l2", "revalidate", "single_flight", "merge", "origin"];

pub(crate) fn check(files: &[Text]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut complaints = Vec::new();
    for file in files {
        let Some((layer, depth)) = layer_of(&file.path) else { continue };
        seen.push(layer);
        for (number, module) in imports(&file.text, depth) {
            if module != layer && LAYERS.contains(&module.as_str()) {
                complaints.push(format!("{}:{number}: {layer} imports the layer {module}", file.path));
            }
        }
    }
    // The table must follow a rename, or it would check nothing. Before there is any layer there is nothing to follow.
    if !seen.is_empty() {
        let missing = LAYERS.iter().filter(|layer| !seen.contains(*layer));
        complaints.extend(
            missing.map(|layer| {
                format!("there is no layer {layer} in {SOURCE}: change the table of this check")
            }),
        );
    }
    complaints
}

/// The layer that a source file belongs to, and how many modules lie between it and the root of the crate.
fn layer_of(path: &str) -> Option<(&'static str, usize)> {
    let module = path.strip_prefix(SOURCE)?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    let first = module.split('/').next()?;
    let layer = LAYERS.iter().find(|layer| **layer == first)?;
    Some((layer, module.split('/').count()))
}

/// The modules at the root of the crate that the code names, with the number of the line. Comments may name what they like.
fn imports(text: &str, depth: usize) -> Vec<(usize, String)> {
    let code: String =
        text.lines().flat_map(|line| [line.split("//").next().unwrap_or_default(), "\n"]).collect();
    // An inner module, such as one of tests, reaches the root by one more `super`.
    let roots = [
        "crate::".to_owned(),
        format!("{}::", vec!["super"; depth].join("::")),
        format!("{}::", vec!["super"; depth + 1].join("::")),
    ];
    let mut found = Vec::new();
    for root in &roots {
        for (at, _) in code.match_indices(root) {
            // Part of a longer path or word: `super::` within `super::super::`, `mycrate::`.
            if code[..at].ends_with(|before: char| before == ':' || before == '_' || before.is_alphanumeric())
            {
                continue;
            }
            let number = code[..at].matches('\n').count() + 1;
            let names = first_names(&code[at + root.len()..]);
            found.extend(names.into_iter().map(|name| (number, name)));
        }
    }
    found
}

/// `a::b` gives `a`; `{a::b, c::{d, e}}` gives `a` and `c`.
fn first_names(path: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(list) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&list[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| Text { path: format!("{SOURCE}{path}"), text: text.to_owned() };
        let mut files: Vec<Text> = LAYERS.iter().map(|layer| file(&format!("{layer}/mod.rs"), "")).collect();
        files.push(file(path, text));
        check(&files)
    }

    #[test]
    fn an_import_of_another_layer_is_found() {
        for (path, text) in [
            ("l1/service.rs", "use crate::l2::Thing;"),
            ("l1/service.rs", "use crate::{key::Key, l2::{A, B}};"),
            ("l1/service.rs", "use crate::{\n    entry::{self, Entry},\n    merge,\n};"),
            ("l1/service.rs", "let x = crate::origin::load();"),
            ("l1/service.rs", "use super::super::l2::Thing;"),
            ("l1/service.rs", "mod tests { use super::super::super::l2::Thing; }"),
            ("l1/mod.rs", "use super::l2::Thing;"),
            ("l1.rs", "use super::l2::Thing;"),
        ] {
            assert_eq!(complaints(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for (path, text) in [
            ("l1/service.rs", "use crate::l1::Thing;"),
            ("l1/service.rs", "use crate::key::{l2, Key};"),
            ("l1/service.rs", "/// See [`crate::l2`].\n// use crate::l2::Thing;"),
            ("l1/service.rs", "use super::l2_of_mine::Thing;"),
            ("l1/service.rs", "use super::origin::Thing;"),
            ("l1/service.rs", "use othercrate::l2::Thing;"),
            ("builder.rs", "use crate::{l1::A, l2::B};"),
        ] {
            assert_eq!(complaints(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn a_layer_that_moved_is_missed() {
        let files = [Text { path: format!("{SOURCE}l1/mod.rs"), text: String::new() }];
        assert_eq!(check(&files).len(), LAYERS.len() - 1);
    }
}
