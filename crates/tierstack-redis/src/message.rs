//! Messages as the scripts write them.
//!
//! | bytes | | |
//! |---|---|---|
//! | 0..5 | `\xf1TSB`, 1 | what it is, and of which format |
//! | 5 | `I` | an invalidation; for each key its length (4 bytes, big endian), the key, and the token there, 16 bytes, zero if there is none |
//! | 5 | `B` | a heartbeat: the node, 16 bytes, its number, 8 bytes, big endian, and the run of the server, up to the end |

use std::str;

use tierstack_core::{Beat, Message, Token};

const MAGIC: &[u8] = b"\xf1TSB\x01";
/// The run of a server is 40 hex digits; nothing if the user may not ask for it.
const LONGEST_RUN: usize = 64;

/// The message that those bytes are. What is no message that a script of this release writes is unreadable.
pub(crate) fn read(bytes: &[u8]) -> Message {
    let known = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first);
    let message = match known {
        Some((b'I', rest)) => invalidated(rest),
        Some((b'B', rest)) => beat(rest),
        _ => None,
    };
    message.unwrap_or(Message::Unreadable)
}

fn invalidated(mut rest: &[u8]) -> Option<Message> {
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (key, after) = after.split_at_checked(length)?;
        let (token, after) = after.split_first_chunk()?;
        let token = Token::from_bytes(*token);
        keys.push((str::from_utf8(key).ok()?.into(), (!token.is_none()).then_some(token)));
        rest = after;
    }
    Some(Message::Invalidated(keys))
}

fn beat(rest: &[u8]) -> Option<Message> {
    let (node, rest) = rest.split_first_chunk()?;
    let (seq, run) = rest.split_first_chunk()?;
    let run = str::from_utf8(run).ok().filter(|run| run.len() <= LONGEST_RUN)?;
    if !run.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let beat = Beat { node: Token::from_bytes(*node), seq: u64::from_be_bytes(*seq) };
    Some(Message::Beat(beat, run.into()))
}

/// Node and number of a heartbeat, as the script passes them on.
pub(crate) fn of_beat(beat: Beat) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(beat.node.as_bytes());
    bytes[16..].copy_from_slice(&beat.seq.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: u8, rest: &[&[u8]]) -> Vec<u8> {
        [MAGIC, &[kind]].concat().into_iter().chain(rest.concat()).collect()
    }

    #[test]
    fn what_scripts_write_is_read() {
        let token = [7; 16];
        let read_keys = |rest: &[&[u8]]| read(&with(b'I', rest));
        assert_eq!(read_keys(&[]), Message::Invalidated(vec![]));
        let two: [&[u8]; 6] = [&[0, 0, 0, 2], b"ab", &token, &[0, 0, 0, 3], "ä~".as_bytes(), &[0; 16]];
        let expected = vec![("ab".into(), Some(Token::from_bytes(token))), ("ä~".into(), None)];
        assert_eq!(read_keys(&two), Message::Invalidated(expected));
        let beat = Beat { node: Token::from_bytes(token), seq: u64::MAX - 1 };
        for run in ["", "0123456789abcdef0123456789abcdef01234567"] {
            let bytes = with(b'B', &[&of_beat(beat), run.as_bytes()]);
            assert_eq!(read(&bytes), Message::Beat(beat, run.into()));
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        let key: [&[u8]; 3] = [&[0, 0, 0, 2], b"ab", &[7; 16]];
        let whole = with(b'I', &key);
        let beat = with(b'B', &[&[1; 24]]);
        // Cut anywhere but between two keys.
        for cut in (0..whole.len()).filter(|cut| *cut != 6) {
            assert_eq!(read(&whole[..cut]), Message::Unreadable, "{cut}");
        }
        for cut in 0..beat.len() {
            assert_eq!(read(&beat[..cut]), Message::Unreadable, "{cut}");
        }
        for bytes in [
            with(b'X', &key),
            with(b'I', &[&[0xff; 4], b"ab", &[7; 16]]),
            with(b'I', &[&[0, 0, 0, 2], b"\xff\xfe", &[7; 16]]),
            with(b'B', &[&[1; 24], &[b'a'; 65]]),
            with(b'B', &[&[1; 24], b"not a run"]),
            [b"\xf1TSB\x02".as_slice(), &whole[5..]].concat(),
            b"hello".to_vec(),
        ] {
            assert_eq!(read(&bytes), Message::Unreadable, "{bytes:?}");
        }
    }
}
