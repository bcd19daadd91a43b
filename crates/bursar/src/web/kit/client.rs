//! Determines the client's address. Behind a proxy, the connection's peer is the proxy, and `X-Forwarded-For` is only
//! trusted from proxies that the operator has configured, because anybody can write it. Not here: who signs in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};

use crate::config::Range;

/// A block of addresses that usually belongs to one party: an IPv4 /24 or an IPv6 /64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network(IpAddr);

/// An IPv6 site, a /48: one customer often gets all of its 65,536 networks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SitePrefix(Ipv6Addr);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })
    }

    /// The site of an IPv6 network; `None` for IPv4, where nobody gets that many.
    pub fn site(self) -> Option<SitePrefix> {
        match self.0 {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(SitePrefix(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80))),
        }
    }
}

/// Parses an entry of `X-Forwarded-For`: an address, with a port in some proxies' entries, and IPv6 addresses in brackets.
fn passed_on_for(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse::<IpAddr>().or_else(|_| entry.parse::<SocketAddr>().map(|at| at.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The client's address: the peer's or, if the peer is a trusted proxy, the last entry of its list that is not a trusted
/// proxy itself.
pub fn address(request: &Request, trusted: &[Range]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.holds(address));
    let mut nearest = peer.ip().to_canonical();
    for passed_on in listed(request).iter().rev() {
        if !is_trusted(nearest) {
            break;
        }
        // An invalid entry ends the trusted part of the list.
        let Some(address) = passed_on_for(passed_on) else { break };
        nearest = address;
    }
    Some(nearest)
}

/// The address for access control; `None` if a trusted proxy forwarded an invalid one.
pub fn certain(request: &Request, trusted: &[Range]) -> Option<IpAddr> {
    let found = address(request, trusted)?;
    let is_proxy = trusted.iter().any(|range| range.holds(found));
    // The peer is an unconfigured proxy on this machine, so the real client is unknown.
    if found.is_loopback() && !is_proxy && !listed(request).is_empty() {
        return None;
    }
    // The proxy itself is the client only if its list is empty or has nothing but proxies.
    let unreadable = || listed(request).iter().any(|entry| passed_on_for(entry).is_none());
    if is_proxy && unreadable() { None } else { Some(found) }
}

/// The entries of `X-Forwarded-For`, nearest last. An invalid entry does not affect the others.
fn listed(request: &Request) -> Vec<String> {
    let lines = request.headers().get_all("x-forwarded-for").iter();
    let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// The client's network, for counting its attempts. `None` for this machine: it is an unconfigured proxy then, and one
/// counter would cover everybody behind it.
pub fn network(request: &Request, trusted: &[Range]) -> Option<Network> {
    address(request, trusted).filter(|address| !address.is_loopback()).map(Network::of)
}

/// The network of a client that has not signed in; a request extension of forms open to anybody.
#[derive(Clone, Copy, Debug)]
pub struct ClientNetwork(pub Option<Network>);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn only_a_named_proxy_is_believed() {
        let of = |peer: &str, passed_on: &str, trusted: &[&str]| {
            let mut request =
                Request::builder().header("x-forwarded-for", passed_on).body(Body::empty()).unwrap();
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let trusted: Vec<Range> = trusted.iter().map(|range| range.parse().unwrap()).collect();
            address(&request, &trusted).unwrap().to_string()
        };
        let rows: [(&str, &str, &[&str], &str); 13] = [
            ("198.51.100.1:9", "203.0.113.9", &[], "198.51.100.1"),
            ("127.0.0.1:9", "203.0.113.9", &[], "127.0.0.1"),
            ("127.0.0.1:9", "203.0.113.9", &["127.0.0.1"], "203.0.113.9"),
            ("127.0.0.1:9", "1.2.3.4, 203.0.113.9", &["127.0.0.1"], "203.0.113.9"),
            ("127.0.0.1:9", "203.0.113.9, 10.1.2.3", &["127.0.0.1", "10.0.0.0/8"], "203.0.113.9"),
            ("[::1]:9", "nonsense", &["::1"], "::1"),
            ("[::ffff:10.0.0.1]:9", "2001:db8::7", &["10.0.0.0/8"], "2001:db8::7"),
            ("127.0.0.1:9", "203.0.113.9:50123", &["127.0.0.1"], "203.0.113.9"),
            ("127.0.0.1:9", "[2001:db8::7]:50123", &["127.0.0.1"], "2001:db8::7"),
            ("127.0.0.1:9", "[2001:db8::7]", &["127.0.0.1"], "2001:db8::7"),
            (
                "127.0.0.1:9",
                "1.2.3.4, 203.0.113.9:1, 10.1.2.3:2",
                &["127.0.0.1", "10.0.0.0/8"],
                "203.0.113.9",
            ),
            ("127.0.0.1:9", "[203.0.113.9", &["127.0.0.1"], "127.0.0.1"),
            ("127.0.0.1:9", "203.0.113.9:port", &["127.0.0.1"], "127.0.0.1"),
        ];
        for (peer, passed_on, trusted, expected) in rows {
            assert_eq!(of(peer, passed_on, trusted), expected, "{peer} {passed_on} {trusted:?}");
        }
    }

    #[test]
    fn what_is_no_address_allows_nothing() {
        let of = |passed_on: &[u8]| {
            let passed_on = axum::http::HeaderValue::from_bytes(passed_on).unwrap();
            let mut request =
                Request::builder().header("x-forwarded-for", passed_on).body(Body::empty()).unwrap();
            let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let trusted: Vec<Range> = vec!["127.0.0.1".parse().unwrap()];
            (address(&request, &trusted).unwrap().to_string(), certain(&request, &trusted))
        };
        let outside: IpAddr = "198.51.100.1".parse().unwrap();
        assert_eq!(of(b"\xe9, 198.51.100.1"), (outside.to_string(), Some(outside)), "rubbish is one entry");
        for unreadable in [&b"unknown"[..], b"_hidden", b"198.51.100.1, unknown", b"\xe9"] {
            assert_eq!(of(unreadable), ("127.0.0.1".to_owned(), None), "{unreadable:?}");
        }
    }

    #[test]
    fn neighbours_are_counted_together() {
        let of = |address: &str| Network::of(address.parse().unwrap());
        assert_eq!(of("203.0.113.9"), of("203.0.113.200"));
        assert_eq!(of("::ffff:203.0.113.9"), of("203.0.113.200"));
        assert_ne!(of("203.0.113.9"), of("203.0.112.9"));
        assert_eq!(of("2001:db8:0:1::7"), of("2001:db8:0:1:ffff::9"));
        assert_ne!(of("2001:db8:0:1::7"), of("2001:db8:0:2::7"));
        assert_eq!(of("2001:db8:0:1::7").site(), of("2001:db8:0:2::7").site());
        assert_ne!(of("2001:db8:0:1::7").site(), of("2001:db8:1:1::7").site());
        assert_eq!(of("203.0.113.9").site(), None);
    }
}
