//! Every package takes the lints of the workspace: without the two lines it would compile under none of them.

use super::Text;

pub(crate) fn check(files: &[Text]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml") && !takes_lints(&file.text))
        .map(|file| format!("{}: add `[lints]` and `workspace = true`", file.path))
        .collect()
}

fn takes_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(|line| line.split('#').next().unwrap_or_default().replace(' ', ""));
    lines.any(|line| line == "[lints]")
        && lines.find(|line| !line.is_empty()).is_some_and(|line| line == "workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_taken_by_two_lines() {
        for (text, well) in [
            ("[package]\n\n[lints]\nworkspace = true\n", true),
            ("[lints]\n# why\n\nworkspace=true # all", true),
            ("[package]\nname = 'a'", false),
            ("# [lints]\nworkspace = true", false),
            ("[lints]\n[dependencies]\nworkspace = true", false),
            ("[lints]", false),
        ] {
            let file = |path: &str| Text { path: path.to_owned(), text: text.to_owned() };
            assert_eq!(check(&[file("crates/a/Cargo.toml")]).is_empty(), well, "{text}");
            assert!(check(&[file("Cargo.toml")]).is_empty(), "the workspace itself has no lints to take");
        }
    }
}
