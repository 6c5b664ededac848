//! Who could listen on the way to the database, or stand in for it.

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

use crate::db::{Endpoint, TlsCheck, TlsRoots};

/// Longest wait for a name to be looked up; who has no address is not reached either.
const PATIENCE: Duration = Duration::from_secs(2);

/// Warns of a way to the database that leads over a public network and is not safe there.
pub(super) async fn warn(name: &str, endpoint: &Endpoint) {
    let Some(weakness) = weakness(endpoint) else { return };
    if let Some(host) = public_host(endpoint).await {
        tracing::warn!(host, "{name} leads over a public network, {weakness}: add sslmode=verify-full to it");
    }
}

/// What a stranger on the way could do.
fn weakness(endpoint: &Endpoint) -> Option<&'static str> {
    let settings = endpoint.tls().settings();
    match (endpoint.get_ssl_mode(), settings.map(|settings| (settings.check, &settings.roots))) {
        (_, None) => Some("unencrypted: whoever is on the way reads passwords and documents"),
        (SslMode::Prefer, _) => Some("encrypted only if the server offers it, and nobody checks who answers"),
        (_, Some((TlsCheck::Nothing, _))) => Some("and nobody checks who answers"),
        (_, Some((TlsCheck::Authority, TlsRoots::System))) => Some("and any site's certificate would do"),
        (_, Some((TlsCheck::Authority, TlsRoots::File(_)) | (TlsCheck::Name, _))) => None,
    }
}

/// The first of its hosts that is not on a network of one's own.
async fn public_host(endpoint: &Endpoint) -> Option<String> {
    if let Some(address) = endpoint.get_hostaddrs().iter().find(|address| is_public(**address)) {
        return Some(address.to_string());
    }
    if !endpoint.get_hostaddrs().is_empty() {
        return None;
    }
    for host in endpoint.get_hosts() {
        let Host::Tcp(name) = host else { continue };
        let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.as_str(), 0))).await;
        let Ok(Ok(mut addresses)) = looked_up else { continue };
        if addresses.any(|address| is_public(address.ip())) {
            return Some(name.clone());
        }
    }
    None
}

/// Whether strangers may be on the way there.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            // Carriers' own networks (RFC 6598), which clouds use among their machines.
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0b1100_0000 == 64;
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Tls, TlsRoots, TlsSettings};

    #[test]
    fn one_s_own_networks_are_not_public() {
        for own in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn only_a_way_that_is_checked_is_safe_over_a_public_network() {
        let config: tokio_postgres::Config =
            "host=db.example hostaddr=8.8.8.8 user=ann sslmode=require".parse().unwrap();
        let over = |check, roots| Endpoint::new(config.clone(), Tls::new(TlsSettings { check, roots, client: None }));
        let with = |check| over(check, TlsRoots::System);
        assert!(weakness(&Endpoint::from(&config)).unwrap().contains("unencrypted"));
        assert!(weakness(&with(TlsCheck::Nothing)).unwrap().contains("nobody checks"));
        assert!(weakness(&with(TlsCheck::Authority)).unwrap().contains("any site"));
        assert_eq!(weakness(&over(TlsCheck::Authority, TlsRoots::File("own.crt".into()))), None);
        assert_eq!(weakness(&with(TlsCheck::Name)), None);
        assert_eq!(public_host(&with(TlsCheck::Name)).await.as_deref(), Some("8.8.8.8"));
        let local: tokio_postgres::Config = "host=localhost user=ann".parse().unwrap();
        assert_eq!(public_host(&Endpoint::from(local)).await, None);
    }
}
