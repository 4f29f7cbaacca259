//! What there is to ask, for people and for the check.

use std::net::SocketAddr;

/// A path, and what its answer is.
pub(crate) struct Address {
    pub(crate) path: &'static str,
    pub(crate) expect: Expect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// 200, and the caches say how they came by it.
    Rows,
    /// 404, a fact that is cached.
    Absent,
    /// 400, with what is wrong about it.
    Refused,
    /// 404, as nothing is there for any cache to know.
    Unknown,
    /// 200, from no cache.
    Stats,
}

pub(crate) const ADDRESSES: &[Address] = &[
    Address { path: "/films/7", expect: Expect::Rows },
    Address { path: "/films?ids=3,1,2", expect: Expect::Rows },
    Address { path: "/films?ids=3,88888,3", expect: Expect::Rows },
    Address { path: "/films?rating=PG", expect: Expect::Rows },
    Address { path: "/films/7/actors", expect: Expect::Rows },
    Address { path: "/actors/1", expect: Expect::Rows },
    Address { path: "/customers/1", expect: Expect::Rows },
    Address { path: "/customers/1/rentals", expect: Expect::Rows },
    Address { path: "/films/99999", expect: Expect::Absent },
    Address { path: "/films/99999/actors", expect: Expect::Absent },
    Address { path: "/films/3.9", expect: Expect::Refused },
    Address { path: "/films/%FF", expect: Expect::Refused },
    Address { path: "/films?ids=1,,2", expect: Expect::Refused },
    Address { path: "/films?rating=XX", expect: Expect::Refused },
    Address { path: "/films?ids=1&rating=PG", expect: Expect::Refused },
    Address { path: "/films", expect: Expect::Refused },
    Address { path: "/actresses/1", expect: Expect::Unknown },
    Address { path: "/stats", expect: Expect::Stats },
    Address { path: "/metrics", expect: Expect::Stats },
    Address { path: "/health", expect: Expect::Stats },
    Address { path: "/ready", expect: Expect::Stats },
];

pub(crate) fn print(server: SocketAddr) {
    println!("open http://{server}/ in a browser: the caches, live\n");
    for Address { path, .. } in ADDRESSES {
        println!("curl -i 'http://{server}{path}'");
    }
    println!(
        "curl -i 'http://{server}/films/7/rate' -X PUT -H 'content-type: application/json' -d '{{\"rental_rate\": 3.5}}'"
    );
    println!("\nCtrl-C ends it, and the private servers with it.");
}
