//! Each mechanism, taken out: the model finds what it is there for.

use tests_protocol::anomaly::Anomaly;
use tests_protocol::explore::explore;
use tests_protocol::catalogue;

#[test]
fn without_a_mechanism_the_model_finds_what_it_is_there_for() {
    let mut missing = Vec::new();
    for case in catalogue::mechanisms() {
        let whole = explore(&case.whole());
        let found = explore(&case.scenario);
        println!("{} {:?}: {} -> {} ({} / {} states)", case.name, case.without, whole.anomalies, found.anomalies, whole.states, found.states);
        for letter in case.shows.iter().copied() {
            let letter: Anomaly = letter;
            if let Some(t) = found.trace(letter) { println!("   {}: {t}", letter.letter()); }
            if !found.anomalies.has(letter) { missing.push(format!("{} lacks {}", case.name, letter.letter())); }
            if whole.anomalies.has(letter) { missing.push(format!("{} has {} with everything", case.name, letter.letter())); }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
