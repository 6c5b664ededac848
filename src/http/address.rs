use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::TrustedProxies;

/// The client's address: the connection's, unless that is a trusted proxy's; then the last one in `X-Forwarded-For` that is none.
///
/// Whatever stands before that one in the header was said by somebody who is not trusted.
pub(super) fn client_address(peer: SocketAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let peer = peer.ip().to_canonical();
    if !trusted.contain(peer) {
        return peer;
    }
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(','));
    let mut nearest = peer;
    for hop in hops {
        let Some(address) = parse(hop) else { break };
        nearest = address;
        if !trusted.contain(address) {
            break;
        }
    }
    nearest
}

/// An address as proxies write it: alone or with a port, IPv6 perhaps in brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let trusted = TrustedProxies::new(vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(of("192.0.2.9:1", &["203.0.113.7"]), "192.0.2.9", "a stranger says anything");
        assert_eq!(of("10.0.0.1:1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(of("10.0.0.1:1", &[]), "10.0.0.1");
        assert_eq!(
            of("10.0.0.1:1", &["198.51.100.1, 203.0.113.7, 10.0.0.2"]),
            "203.0.113.7",
            "what stands before was forged"
        );
        assert_eq!(of("10.0.0.1:1", &["198.51.100.1", "203.0.113.7"]), "203.0.113.7", "headers are one list");
        assert_eq!(of("10.0.0.1:1", &["198.51.100.1, rubbish"]), "10.0.0.1");
        assert_eq!(of("[::ffff:10.0.0.1]:1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1:1", &["[2001:db8::1]"]), "2001:db8::1");
    }
}
