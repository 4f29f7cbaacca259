//! The checker isn't blind: a run with what it should find ends badly, and one without ends well.

use std::process::Command;

/// Runs the driver; whether it ended well, and what it printed.
fn soak(options: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--ops", "6000", "--seed", "5"])
        .args(options)
        .output()
        .expect("the driver can be run");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    if let Some((_, notes)) = text.lines().find_map(|line| line.split_once("the notes are in ")) {
        std::fs::remove_dir_all(notes).expect("the notes of a run that ended badly are there");
    }
    (output.status.success(), text)
}

/// How many anomalies of a class a run tells of.
fn count(text: &str, class: &str) -> u64 {
    let counts =
        text.lines().find_map(|line| line.strip_prefix("anomalies: ")).expect("the figures are there");
    let mut words = counts.split(' ');
    words.find(|word| *word == class).expect("the class is told");
    words.next().and_then(|count| count.parse().ok()).expect("with a number")
}

#[test]
fn a_run_in_which_all_is_well_ends_well() {
    let (well, text) = soak(&[]);
    assert!(well, "{text}");
}

/// What one node writes and tells nobody of is answered old by L2, and by its own L1.
#[test]
fn a_node_that_tells_nobody_of_its_writes_is_found() {
    let (well, text) = soak(&["--mute"]);
    assert!(!well, "{text}");
    assert!(count(&text, "old") + count(&text, "own") > 0, "{text}");
    assert_eq!(count(&text, "phantom") + count(&text, "future"), 0, "{text}");
}

/// L1 that answers though it can't know what others write.
#[test]
fn a_node_that_hears_nobody_is_found() {
    let (well, text) = soak(&["--deaf"]);
    assert!(!well, "{text}");
    assert!(count(&text, "late") > 0, "{text}");
    assert_eq!(
        count(&text, "old") + count(&text, "own"),
        0,
        "L2 and the writers' own nodes are well: {text}"
    );
}
