//! One exchange with a Redis server over a connection of its own, with the answer as text.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longer than any command of a test takes, short enough that a stopped server is told from a slow one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arrays within arrays that an answer may have, so that a broken server can't exhaust the stack.
const DEPTH: u32 = 16;

/// Sends one command and reads one answer.
///
/// Numbers and strings are themselves, a missing value is `(nil)`, an array is its elements, one a line.
///
/// # Errors
/// What the connection says; an error answer of the server, in its own words.
pub(crate) fn exchange(address: impl ToSocketAddrs, command: &[&str]) -> Result<String> {
    let mut first_error = Error::new(ErrorKind::NotFound, "the address resolves to nothing");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return exchange_on(stream, command),
            Err(error) => first_error = error,
        }
    }
    Err(first_error)
}

fn exchange_on(mut stream: TcpStream, command: &[&str]) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&encode(command))?;
    answer(&mut BufReader::new(stream), DEPTH)
}

fn encode(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn answer(reader: &mut impl BufRead, depth: u32) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end_matches(['\r', '\n']);
    let kind = line.chars().next().unwrap_or(' ');
    let rest = line.get(1..).unwrap_or_default();
    match kind {
        '+' | ':' => Ok(rest.to_owned()),
        '-' => Err(Error::other(rest.to_owned())),
        '$' if rest == "-1" => Ok("(nil)".to_owned()),
        '*' if rest == "-1" => Ok("(nil)".to_owned()),
        '$' => {
            let mut bytes = Vec::new();
            reader.take(length(rest)? + 2).read_to_end(&mut bytes)?;
            bytes.truncate(bytes.len().saturating_sub(2));
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        '*' if depth > 0 => {
            let parts: Result<Vec<String>> = (0..length(rest)?).map(|_| answer(reader, depth - 1)).collect();
            Ok(parts?.join("\n"))
        }
        _ => Err(Error::new(ErrorKind::InvalidData, format!("not an answer of Redis: {line}"))),
    }
}

fn length(digits: &str) -> Result<u64> {
    digits.parse().map_err(|_| Error::new(ErrorKind::InvalidData, format!("not a length: {digits}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_text() {
        for (bytes, text) in [
            ("+OK\r\n", "OK"),
            (":-7\r\n", "-7"),
            ("$-1\r\n", "(nil)"),
            ("$0\r\n\r\n", ""),
            ("$4\r\na\r\nb\r\n", "a\r\nb"),
            ("*-1\r\n", "(nil)"),
            ("*3\r\n$1\r\na\r\n*1\r\n:2\r\n$-1\r\n", "a\n2\n(nil)"),
        ] {
            assert_eq!(answer(&mut bytes.as_bytes(), DEPTH).expect(bytes), text);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for bytes in ["", "\r\n", "-ERR no\r\n", "?\r\n", "$x\r\n", "*1\r\n"] {
            assert!(answer(&mut bytes.as_bytes(), DEPTH).is_err(), "{bytes:?}");
        }
        assert!(answer(&mut "*1\r\n".repeat(1_000).as_bytes(), DEPTH).is_err());
    }

    #[test]
    fn words_are_sent_by_length_so_that_any_text_goes() {
        assert_eq!(encode(&["SET", "a b", "\r\n"]), b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$2\r\n\r\n\r\n");
    }
}
