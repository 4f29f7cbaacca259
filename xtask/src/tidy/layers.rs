//! The floors of the core: layers never import each other (what two of them need lies below both, in the contract), and
//! what is pure imports nothing that has a clock, randomness or a runtime.

use std::collections::BTreeSet;

use super::Text;

const SOURCE: &str = "crates/tierstack-core/src/";

/// The ground floor: no clock, no randomness, no runtime, no mechanism.
const PURE: &[&str] = &[
    "entry",
    "error",
    "freshness",
    "key",
    "lookup",
    "query",
    "record",
    "schema",
    "settings",
    "stamp",
    "time",
    "token",
];

/// What a pure module must not name at the root of the crate, besides the layers.
const IMPURE: &[&str] =
    &["Clock", "Random", "Namespace", "Cache", "clock", "random", "cache", "namespace", "memory_tier"];

pub(crate) fn check(files: &[Text]) -> Vec<String> {
    // A layer is a folder with a `layer.rs`.
    let layers: BTreeSet<&str> =
        files.iter().filter_map(|file| file.path.strip_prefix(SOURCE)?.strip_suffix("/layer.rs")).collect();
    let mut complaints = Vec::new();
    if files.iter().any(|file| file.path.starts_with(SOURCE)) && layers.is_empty() {
        complaints.push(format!("no folder of {SOURCE} has a layer.rs: this check would check nothing"));
    }
    let mut pure = BTreeSet::new();
    for file in files {
        let Some((module, depth)) = module_of(&file.path) else { continue };
        let is_layer = layers.contains(module);
        let is_pure = PURE.contains(&module);
        if is_pure {
            pure.insert(module);
        }
        for (number, named) in imports(&file.text, depth) {
            let named = named.as_str();
            if named != module && layers.contains(named) && (is_layer || is_pure) {
                complaints.push(format!("{}:{number}: {module} imports the layer {named}", file.path));
            }
            if is_pure && IMPURE.contains(&named) {
                complaints.push(format!("{}:{number}: {module} is pure and names {named}", file.path));
            }
        }
        if is_pure
            && file.text.lines().any(|line| line.split("//").next().unwrap_or_default().contains("tokio"))
        {
            complaints.push(format!("{}: {module} is pure and names tokio", file.path));
        }
    }
    // The table must follow a rename, or it would check nothing.
    if !layers.is_empty() {
        let missing = PURE.iter().filter(|module| !pure.contains(*module));
        complaints.extend(
            missing.map(|module| format!("there is no {module} in {SOURCE}: change the table of this check")),
        );
    }
    complaints
}

/// The module at the root of the crate that a source file belongs to, and how many modules lie between it and the root.
fn module_of(path: &str) -> Option<(&str, usize)> {
    let module = path.strip_prefix(SOURCE)?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    Some((module.split('/').next()?, module.split('/').count()))
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
        let layers =
            ["l1", "l2", "merge", "origin"].iter().map(|layer| file(&format!("{layer}/layer.rs"), ""));
        let pure = PURE.iter().map(|module| file(&format!("{module}.rs"), ""));
        let mut files: Vec<Text> = layers.chain(pure).collect();
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
            ("record/value.rs", "use crate::l2::Thing;"),
            ("record/value.rs", "use crate::{Clock, Token};"),
            ("freshness.rs", "let now = tokio::time::Instant::now();"),
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
            ("builder.rs", "use crate::{l1::A, l2::B, Clock};"),
            ("record/value.rs", "use crate::{Stamp, Token}; // not tokio"),
        ] {
            assert_eq!(complaints(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn a_module_that_moved_is_missed() {
        let file = |path: &str| Text { path: format!("{SOURCE}{path}"), text: String::new() };
        assert_eq!(check(&[file("l1/layer.rs"), file("record/mod.rs")]).len(), PURE.len() - 1);
        assert_eq!(check(&[file("l1/mod.rs")]).len(), 1);
    }
}
