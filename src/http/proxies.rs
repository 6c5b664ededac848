use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Networks of proxies before this server, whose word on the client is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is no address or network of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}; expected addresses like 10.0.0.1 or networks like 10.0.0.0/8, and not the whole world")]
pub struct InvalidProxy(String);

impl TrustedProxies {
    /// These proxies.
    #[must_use]
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self(addresses.into_iter().map(|address| address.to_canonical().into()).collect())
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidProxy;

    /// Reads addresses and networks parted by commas.
    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(network).collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, InvalidProxy> {
    let address = || text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into());
    let network = text.parse::<IpNet>().ok().or_else(address);
    // Who trusts everybody believes whatever a client says of itself.
    network.filter(|network| network.prefix_len() > 0).ok_or_else(|| InvalidProxy(text.to_owned()))
}

/// The header in which trusted proxies name the client. One alone is believed: a proxy that writes one of them lets the other
/// pass as the client wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_read() {
        let proxies: TrustedProxies = "10.0.0.0/8, 192.0.2.7,2001:db8::/32 ,::ffff:198.51.100.1".parse().unwrap();
        for inside in ["10.255.0.1", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8::9", "198.51.100.1"] {
            assert!(proxies.contain(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::1"] {
            assert!(!proxies.contain(outside.parse().unwrap()), "{outside}");
        }
        assert!("".parse::<TrustedProxies>().unwrap().is_empty());
    }

    #[test]
    fn what_is_none_is_refused() {
        for wrong in ["proxy", "10.0.0.0/33", "10.0.0", "0.0.0.0/0", "::/0", "10.0.0.1:80"] {
            assert!(wrong.parse::<TrustedProxies>().is_err(), "{wrong}");
        }
    }
}
