//! What went wrong between us and Redis, as an error that says what to do.

use redis::{RedisError, ServerError};
use tierstack_core::{Error, ErrorKind};

/// What the server says, and what to do about it. The first word of ours that occurs in its text decides.
const KNOWN: [(&str, &str); 14] = [
    ("OOM", "redis is full: raise its maxmemory, or set a maxmemory-policy that evicts, such as allkeys-lfu"),
    (
        "MISCONF",
        "redis can't save to its disk and refuses writes: mend the disk, or turn stop-writes-on-bgsave-error off",
    ),
    ("READONLY", "this redis is a replica: let the url name the master"),
    ("LOADING", "redis is loading its data: try again in a moment"),
    ("NOAUTH", "redis wants a password: put it into the url"),
    ("WRONGPASS", "redis refuses the user or the password of the url: mend them"),
    // The client's word for it.
    ("AuthenticationFailed", "redis refuses the user or the password of the url: mend them"),
    ("NOPERM", GRANT),
    // The client's word for it.
    ("NoPerm", GRANT),
    // From within a script, 7.0 says it in these words, and without a code.
    ("executing", GRANT),
    ("BUSY", "another script keeps redis busy: end it with SCRIPT KILL"),
    ("MASTERDOWN", "this redis is a replica without its master: let the url name the master"),
    ("NOREPLICAS", "redis has fewer replicas than min-replicas-to-write: bring them back"),
    ("MOVED", "this redis is a node of a cluster, which this tier doesn't speak to: name a single master"),
];

const GRANT: &str = "the redis user lacks a permission: grant it +mget +time +evalsha +eval +get +set +setrange +del +pttl +pexpire +publish +subscribe, the keys of the namespace and its channels, as in ~shop:* &shop:!bus*";

/// The error of a server that answered `text`.
pub(crate) fn refused(text: &str) -> Error {
    let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    let advice =
        words.find_map(|word| KNOWN.iter().find(|(known, _)| *known == word)).map(|(_, advice)| *advice);
    let said = text.trim().trim_end_matches('.');
    Error::new(
        ErrorKind::Unavailable,
        match advice {
            Some(advice) => format!("{advice} ({said})"),
            None => format!("redis refused the request: {said}"),
        },
    )
}

/// The error of a reply that is an error.
pub(crate) fn server(error: &ServerError) -> Error {
    refused(&format!("{} {}", error.code(), error.details().unwrap_or_default()))
}

/// The error of a connection that failed during a request, or while it was opened.
pub(crate) fn connection(error: RedisError) -> Error {
    if error.is_timeout() {
        let text = "redis did not answer within its timeout: look at its load and at the network";
        return Error::with_source(ErrorKind::Unavailable, text, error);
    }
    if !error.is_io_error() {
        // Refused during the handshake: the password, the database, the ACL.
        return refused(&error.to_string());
    }
    let text = format!("redis can't be reached: {error}");
    Error::with_source(ErrorKind::Unavailable, text, error)
}

/// The error of a reply that is not what was asked for.
pub(crate) fn unexpected(what: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "redis answered something else than {what}: does a proxy, or another program, stand in its place?"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        for (said, advice) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", "raise its maxmemory"),
            ("@user_script: 12: -OOM command not allowed", "raise its maxmemory"),
            ("MISCONF Redis is configured to save RDB snapshots", "mend the disk"),
            ("READONLY You can't write against a read only replica.", "name the master"),
            ("LOADING Redis is loading the dataset in memory", "in a moment"),
            ("NOAUTH Authentication required.", "put it into the url"),
            ("NOPERM this user has no permissions to run the 'mget' command", "+mget"),
            ("ERR The user executing the script can't run this command or subcommand", "+setrange"),
            ("ERR something new", "something new"),
        ] {
            let error = refused(said);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains(advice), "{said}: {error}");
        }
    }
}
