//! Checks on a PostgreSQL URL: a single server, and a stated TLS mode. Not here: what the server itself must provide
//! (`super`).

use std::net::Ipv4Addr;

use url::{Host, Url};

use super::{Result, StoreError};

/// Require a single host: choosing the primary among several is a proxy's job.
pub(super) fn check(url: &str) -> Result<()> {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    if host.rsplit('@').next().is_some_and(|host| host.contains(',')) {
        let message = "BURSAR_DATABASE_URL names several servers. Bursar takes one address, which must lead to the primary: one \
                    that moves with it, or a proxy before them";
        return Err(StoreError::Conflict(message.to_owned()));
    }
    check_encrypted(url)
}

/// Without `sslmode` the driver behaves like `prefer`, so data and password could travel unencrypted.
fn check_encrypted(url: &str) -> Result<()> {
    let Ok(read) = Url::parse(url) else { return Ok(()) };
    let named = |wanted: &str| {
        read.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    // A `host` parameter overrides the URL's host.
    let here = named("host").map_or_else(|| is_here(&read), |host| host.starts_with('/'));
    // `prefer` and `allow` fall back to plain text if the server offers no TLS.
    let said = named("sslmode").or_else(|| named("ssl-mode"));
    let said = said.is_some_and(|mode| matches!(&*mode, "disable" | "require" | "verify-ca" | "verify-full"));
    if here || said {
        return Ok(());
    }
    let message = "BURSAR_DATABASE_URL leads to another machine and does not say how the way there is protected. Add \
                ?sslmode=verify-full (and sslrootcert=FILE, where the server's certificate is of your own authority). Over a \
                network that protects it already, say so with ?sslmode=disable";
    Err(StoreError::Conflict(message.to_owned()))
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        // For a non-web scheme, `Url` parses an IPv4 address as a domain.
        Some(Host::Domain(name)) => {
            let socket = name.starts_with("%2F") || name.starts_with("%2f");
            socket || name == "localhost" || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_another_machine_is_said() {
        for fine in [
            "postgres://bursar@127.0.0.1:5432/bursar",
            "postgres://bursar@localhost/bursar",
            "postgres://bursar@[::1]/bursar",
            "postgres://bursar@%2Frun%2Fpostgresql/bursar",
            "postgres:///bursar?host=/run/postgresql",
            "postgres://bursar@db.example.com/bursar?sslmode=verify-full",
            "postgres://bursar@10.0.0.4/bursar?sslmode=disable",
        ] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        for open in [
            "postgres://bursar@db.example.com/bursar",
            "postgres://bursar@10.0.0.4/bursar?connect_timeout=3",
            "postgres://bursar@db.example.com/bursar?sslmode=prefer",
            "postgres://bursar@localhost/bursar?host=db.example.com",
        ] {
            let refused = check(open).unwrap_err().to_string();
            assert!(refused.contains("?sslmode=verify-full"), "{open}: {refused}");
        }
        let several = check("postgres://bursar@one,two/bursar?sslmode=verify-full").unwrap_err().to_string();
        assert!(several.contains("names several servers"), "{several}");
    }
}
