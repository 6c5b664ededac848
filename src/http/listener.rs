use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{HttpOptions, Tls};

/// How long connections may take to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// A pause when the system has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Where the peer of a connection is, among the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// Binds it.
    ///
    /// # Errors
    /// The system's, for example that the port is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls: None })
    }

    /// The same, with its connections encrypted.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Where it is, with the port that port 0 became.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Connections by address.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One connection's place, given back when it ends.
struct Place {
    counts: Counts,
    address: IpAddr,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Serves until `stop`, then lets the requests under way end.
///
/// An accept loop of our own: small answers leave at once (`TCP_NODELAY`), a request's head and a reader's patience are bounded,
/// and so are connections, in all and by address. One too many is closed unheard. Over TLS the same holds from the handshake on.
pub async fn serve(listener: Listener, router: Router, options: &HttpOptions, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let (permits, counts) = (Arc::new(tokio::sync::Semaphore::new(options.most_connections)), Counts::default());
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_limit).keep_alive(true).max_buf_size(64 << 10);
    let http = Arc::new(http);
    if let Some(tls) = &listener.tls {
        tokio::spawn(tls.clone().follow(stop.clone()));
    }
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        let Some(place) = place(&permits, &counts, peer.ip().to_canonical(), options) else {
            metrics::counter!("bailiwick_http_connections_refused_total").increment(1);
            continue;
        };
        let Some(stream) = prepared(stream, options) else { continue };
        let router = router.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request.map(axum::body::Body::new) as Request)
        });
        let (http, watcher) = (Arc::clone(&http), graceful.watcher());
        let Some(tls) = &listener.tls else {
            let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                let _place = place;
                ended(connection.await);
            });
            continue;
        };
        // Whoever begins a handshake has as long for it as for a head, and takes a place meanwhile.
        let handshake = tokio::time::timeout(options.header_limit, tls.acceptor().accept(stream));
        let stop = stop.clone();
        tokio::spawn(async move {
            let _place = place;
            match stop.run_until_cancelled(handshake).await {
                Some(Ok(Ok(stream))) => {
                    ended(watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await);
                }
                Some(Ok(Err(error))) => {
                    metrics::counter!("bailiwick_http_handshakes_failed_total").increment(1);
                    tracing::debug!(%error, "a handshake failed");
                }
                Some(Err(_elapsed)) => metrics::counter!("bailiwick_http_handshakes_failed_total").increment(1),
                None => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections that did not end in time are cut");
    }
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}

fn place(permits: &Arc<tokio::sync::Semaphore>, counts: &Counts, peer: IpAddr, options: &HttpOptions) -> Option<Place> {
    let address = neighbourhood(peer);
    let permit = Arc::clone(permits).try_acquire_owned().ok()?;
    let mut taken = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let count = taken.entry(address).or_default();
    if *count >= options.most_connections_of_address && !options.trusted_proxies.contain(peer) {
        return None;
    }
    *count += 1;
    Some(Place { counts: Arc::clone(counts), address, _permit: permit })
}

/// What counts as one address: of IPv6 the /64, of which a single machine can have every address.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

fn prepared(stream: TcpStream, options: &HttpOptions) -> Option<std::pin::Pin<Box<TimeoutStream<TcpStream>>>> {
    stream.set_nodelay(true).ok()?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(options.write_limit));
    Some(Box::pin(stream))
}
