//! The URL of Redis: parsed, refused with what to change, and shown without its password.

use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError};
use tierstack_core::{Error, ErrorKind, System};

use crate::settings::invalid;

/// A connection on which nothing moves is probed after this long: a peer that vanished without a word is noticed.
const PROBE_AFTER: Duration = Duration::from_secs(15);

const FORM: &str = "write redis://[user][:password@]host[:port][/database] or unix:///path?db=0";

/// Where a URL leads, with the options of its socket.
pub(crate) fn parse(url: &str) -> Result<ConnectionInfo, Error> {
    let shown = shown(url);
    let info = url.into_connection_info().map_err(|error| {
        Error::with_source(ErrorKind::Invalid, format!("{shown} can't be used: {}", mend(&error)), error)
    })?;
    if matches!(info.addr(), ConnectionAddr::Tcp(_, 0)) {
        return Err(invalid(format!("{shown} has port 0, where nobody listens: write the server's port")));
    }
    let database = info.redis_settings().db();
    if database < 0 {
        return Err(invalid(format!("{shown} names database {database}: databases count from 0")));
    }
    let socket = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_AFTER));
    Ok(info.set_tcp_settings(socket))
}

/// What telemetry says of the server that a URL leads to.
pub(crate) fn system(url: &str) -> System {
    let system = System::new("redis", "MGET", "EVALSHA");
    let Ok(info) = url.into_connection_info() else { return system };
    let system = system.database(info.redis_settings().db().to_string());
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            system.at(host.as_str(), *port)
        }
        _ => system,
    }
}

/// What to change in a URL that the client refused; its own words are the source of our error.
fn mend(error: &RedisError) -> &'static str {
    let words = error.to_string();
    let known = [
        (
            "wildcard",
            "a server listens on such an address, a client names one: write 127.0.0.1 or the server's name",
        ),
        (
            "TLS",
            "this build has no TLS: write redis://, or hand a pool built with TLS to RedisTier::from_pool",
        ),
        ("database", "a database is a number: write redis://host:port/0"),
        ("hostname", "it names no host: write redis://host:port"),
    ];
    known.into_iter().find(|(word, _)| words.contains(word)).map_or(FORM, |(_, advice)| advice)
}

/// The URL without user, password and options.
pub(crate) fn shown(url: &str) -> String {
    match redis::parse_redis_url(url) {
        None => "the url".into(),
        Some(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_is_refused_with_what_to_change_and_without_its_password() {
        for (url, advice) in [
            ("", FORM),
            ("http://host:6379", FORM),
            ("localhost:6379", FORM),
            ("redis://", "names no host"),
            ("redis://:secret@0.0.0.0:6379", "write 127.0.0.1"),
            ("redis://[::]:6379", "write 127.0.0.1"),
            ("redis://:secret@host/films", "a database is a number"),
            ("redis://:secret@host/-1", "databases count from 0"),
            ("unix:///run/redis.sock?db=x&pass=secret", "a database is a number"),
            ("redis://host:0", "port 0"),
            ("redis://:secret@host:99999", FORM),
        ] {
            let error = parse(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(advice), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}: {error:?}");
        }
        for url in ["redis://host", "redis://u:p@host:1/3", "unix:///run/redis.sock", "valkey://[::1]:7"] {
            parse(url).expect(url);
        }
    }

    #[test]
    fn what_is_shown_of_a_url_has_no_password() {
        assert_eq!(shown("redis://user:secret@host:1/2?protocol=resp3"), "redis://host:1/2");
        assert_eq!(shown("unix:///run/redis.sock?pass=secret"), "unix:///run/redis.sock");
        assert_eq!(shown("redis:/secret"), "redis:///secret");
    }
}
