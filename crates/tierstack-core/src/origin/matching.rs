//! Matches the rows of a load to the keys that were asked. Pure.

use std::collections::HashMap;
use std::hash::Hash;

use crate::{Error, ErrorKind};

/// One result per key, in order: its row, `None` if it is absent, or why that can't be told.
pub(super) fn match_rows<K: Eq + Hash, V>(
    keys: &[K],
    rows: Vec<(K, V)>,
    failed: Vec<(K, Error)>,
) -> Vec<Result<Option<V>, Error>> {
    let places: HashMap<&K, usize, foldhash::quality::RandomState> =
        keys.iter().enumerate().map(|(place, key)| (key, place)).collect();
    let mut found: Vec<Result<Option<V>, Error>> = keys.iter().map(|_| Ok(None)).collect();
    let mut surplus = 0usize;
    let rows = rows.into_iter().map(|(key, row)| (key, Ok(Some(row))));
    for (key, outcome) in rows.chain(failed.into_iter().map(|(key, error)| (key, Err(error)))) {
        let Some(place) = places.get(&key) else {
            surplus += 1;
            continue;
        };
        found[*place] = match &found[*place] {
            Ok(None) => outcome,
            _ => Err(Error::new(
                ErrorKind::Loader,
                "the loader returned two rows or errors for this key: mend it, or the key",
            )),
        };
    }
    if surplus > 0 {
        let text = format!(
            "the loader returned {surplus} rows or errors nobody asked for, so a missing row can't be trusted: mend it"
        );
        let unsure = Error::new(ErrorKind::Loader, text);
        for result in &mut found {
            if let Ok(None) = result {
                *result = Err(unsure.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` a row, `-` absent, `!` a broken contract, `x` what the key failed with.
    fn shown(keys: &[i32], rows: &[i32], failed: &[i32]) -> String {
        let failed = failed.iter().map(|key| (*key, Error::new(ErrorKind::Origin, "torn"))).collect();
        let matched = match_rows(keys, rows.iter().map(|key| (*key, ())).collect(), failed);
        matched
            .iter()
            .map(|result| match result {
                Ok(Some(())) => '+',
                Ok(None) => '-',
                Err(error) if error.kind() == ErrorKind::Loader => '!',
                Err(_) => 'x',
            })
            .collect()
    }

    #[test]
    fn rows_are_matched_by_key() {
        for (keys, rows, failed, expected) in [
            (&[1, 2, 3][..], &[3, 1][..], &[][..], "+-+"),
            (&[1, 2], &[], &[], "--"),
            (&[1, 2], &[1, 1, 2], &[], "!+"),
            (&[1, 2, 3], &[1, 2, 4], &[], "++!"),
            (&[1], &[1, 4], &[], "+"),
            (&[1], &[1, 1, 1], &[], "!"),
            (&[], &[1], &[], ""),
            (&[1, 2, 3], &[3], &[1], "x-+"),
            (&[1, 2], &[], &[2, 1], "xx"),
            (&[1, 2, 3], &[1, 3], &[1], "!-+"),
            (&[1, 2], &[2], &[1, 1], "!+"),
            (&[1, 2, 3], &[1], &[2, 4], "+x!"),
            (&[], &[], &[1], ""),
        ] {
            assert_eq!(shown(keys, rows, failed), expected, "{keys:?} {rows:?} {failed:?}");
        }
    }
}
