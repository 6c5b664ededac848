use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;

use super::{ForwardedHeader, HttpOptions};

/// The client's address: the connection's, unless that is a trusted proxy's; then the last one of those that the proxies' header
/// names that is none.
///
/// Whatever stands before that one in the header was said by somebody who is not trusted.
pub(super) fn client_address(peer: SocketAddr, headers: &HeaderMap, options: &HttpOptions) -> IpAddr {
    let peer = peer.ip().to_canonical();
    if !options.trusted_proxies.contain(peer) {
        return peer;
    }
    let mut nearest = peer;
    for hop in hops(headers, options.forwarded_header) {
        let Some(address) = hop else { break };
        nearest = address;
        if !options.trusted_proxies.contain(address) {
            break;
        }
    }
    nearest
}

/// What counts as one address: of IPv6 the /64, of which a single machine can have every address.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// The addresses that the header names, the nearest first; `None` for what is no address.
fn hops(headers: &HeaderMap, header: ForwardedHeader) -> Vec<Option<IpAddr>> {
    let name = match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let mut hops = Vec::new();
    // Headers of one name are one list (RFC 9110, section 5.3).
    for value in headers.get_all(name) {
        let Ok(value) = value.to_str() else {
            hops.push(None);
            continue;
        };
        match header {
            ForwardedHeader::XForwardedFor => hops.extend(value.split(',').map(address)),
            ForwardedHeader::Forwarded => hops.extend(rfc7239::parse(value).map(|node| {
                let node = node.ok()?.forwarded_for?;
                node.ip().copied().map(|ip| ip.to_canonical())
            })),
        }
    }
    hops.reverse();
    hops
}

/// An address as proxies write it: alone or with a port, IPv6 perhaps in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: ForwardedHeader, peer: &str, given: &[(&'static str, &str)]) -> String {
        let trusted_proxies = "10.0.0.0/30".parse().unwrap();
        let options = HttpOptions { trusted_proxies, forwarded_header: header, ..HttpOptions::default() };
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &options).to_string()
    }

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let given: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        found(ForwardedHeader::XForwardedFor, peer, &given)
    }

    fn rfc(forwarded: &[&str]) -> String {
        let given: Vec<_> = forwarded.iter().map(|value| ("forwarded", *value)).collect();
        found(ForwardedHeader::Forwarded, "10.0.0.1:1", &given)
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

    #[test]
    fn the_standard_header_is_read_in_the_same_way() {
        assert_eq!(rfc(&["for=203.0.113.7;proto=https;by=10.0.0.1"]), "203.0.113.7");
        assert_eq!(rfc(&["For=\"[2001:db8::1]:4711\""]), "2001:db8::1");
        assert_eq!(rfc(&["for=\"203.0.113.7:80\", for=10.0.0.2"]), "203.0.113.7");
        assert_eq!(rfc(&["for=198.51.100.1", "for=203.0.113.7"]), "203.0.113.7", "what stands before was forged");
        assert_eq!(rfc(&["for=\"x, for=198.51.100.1\", for=203.0.113.7"]), "203.0.113.7");
        for nobody in ["for=unknown", "for=_hidden", "proto=https", "rubbish", "", "for=", "for=203.0.113.7;x"] {
            assert_eq!(rfc(&[nobody]), "10.0.0.1", "{nobody}");
        }
    }

    #[test]
    fn the_other_header_is_the_clients_own() {
        let both = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(found(ForwardedHeader::XForwardedFor, "10.0.0.1:1", &both), "203.0.113.7");
        assert_eq!(found(ForwardedHeader::Forwarded, "10.0.0.1:1", &both), "198.51.100.1");
        assert_eq!(found(ForwardedHeader::Forwarded, "10.0.0.1:1", &both[1..]), "10.0.0.1");
    }
}
