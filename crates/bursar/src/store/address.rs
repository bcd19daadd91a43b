//! What the address of a PostgreSQL may say: one server, and how the way to it is protected. What is deliberately not here:
//! what the server itself must be (`super`).

use std::net::Ipv4Addr;

use url::{Host, Url};

use super::{Result, StoreError};

/// One server is named: which one of several is the primary now, something before them must say.
pub(super) fn check(url: &str) -> Result<()> {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    if host.rsplit('@').next().is_some_and(|host| host.contains(',')) {
        let told = "BURSAR_DATABASE_URL names several servers. Bursar takes one address, which must lead to the primary: one \
                    that moves with it, or a proxy before them";
        return Err(StoreError::Conflict(told.to_owned()));
    }
    check_encrypted(url)
}

/// What lies in the database, and its password, would travel readable: without `sslmode` the driver does as with `prefer`.
fn check_encrypted(url: &str) -> Result<()> {
    let Ok(read) = Url::parse(url) else { return Ok(()) };
    let named = |wanted: &str| {
        read.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    // A host that is named there takes the place of the other one.
    let here = named("host").map_or_else(|| is_here(&read), |host| host.starts_with('/'));
    // `prefer` and `allow` take a plain connection where the server offers no other.
    let said = named("sslmode").or_else(|| named("ssl-mode"));
    let said = said.is_some_and(|mode| matches!(&*mode, "disable" | "require" | "verify-ca" | "verify-full"));
    if here || said {
        return Ok(());
    }
    let told = "BURSAR_DATABASE_URL leads to another machine and does not say how the way there is protected. Add \
                ?sslmode=verify-full (and sslrootcert=FILE, where the server's certificate is of your own authority). Over a \
                network that protects it already, say so with ?sslmode=disable";
    Err(StoreError::Conflict(told.to_owned()))
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        // An address of numbers is no more than a name where the scheme is none of a browser's.
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
