use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connections::{Connections, Place};
use super::flow::{Flow, Flowing};
use super::guarded::Guarded;
use super::{HttpOptions, Tls, socket};

/// How long connections may take to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// A pause when the system has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// Connections that were put out and are about to end.
const ENDING: usize = 32;

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

/// Serves until `stop`, then lets the requests under way end.
///
/// An accept loop of our own: small answers leave at once (`TCP_NODELAY`), a request's head and a reader's patience are bounded,
/// and so are connections, in all and by address. For one too many a silent one makes room; where nobody can, it is closed
/// unheard. Over TLS the same holds from the handshake on.
pub async fn serve(listener: Listener, router: Router, options: &HttpOptions, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let connections = Connections::new(options);
    // Those that make room end a moment later.
    let sockets = Arc::new(Semaphore::new(options.most_connections.saturating_add(ENDING).min(Semaphore::MAX_PERMITS)));
    let (calm, crowded) = (Arc::new(http(options.header_limit)), Arc::new(http(options.header_limit / 4)));
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
        let Some(place) = connections.place(peer.ip().to_canonical()) else {
            metrics::counter!("bailiwick_http_connections_refused_total").increment(1);
            continue;
        };
        let Ok(permit) = Arc::clone(&sockets).acquire_owned().await else { break };
        let Some(stream) = prepared(stream, options) else { continue };
        let is_crowded = connections.are_many();
        let connection = Connection {
            router: router.clone(),
            http: Arc::clone(if is_crowded { &crowded } else { &calm }),
            peer,
            place,
            write_limit: options.write_limit,
            _permit: permit,
        };
        let (watcher, tls, stop) = (graceful.watcher(), listener.tls.clone(), stop.clone());
        let limit = if is_crowded { options.header_limit / 4 } else { options.header_limit };
        tokio::spawn(listen(connection, stream, tls, limit, stop, watcher));
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections that did not end in time are cut");
    }
}

/// Waits for a connection's first byte, and has it served as a task of its own then: whoever says nothing costs little more than a
/// socket.
async fn listen(
    connection: Connection,
    stream: Stream,
    tls: Option<Tls>,
    limit: Duration,
    stop: CancellationToken,
    watcher: Watcher,
) {
    let evicted = connection.place.evicted();
    let heard = tokio::select! {
        heard = stream.get_ref().readable() => heard.is_ok(),
        () = tokio::time::sleep(limit) => {
            if tls.is_some() {
                metrics::counter!("bailiwick_http_handshakes_failed_total").increment(1);
            }
            false
        }
        () = evicted.cancelled() => false,
        () = stop.cancelled() => false,
    };
    if heard {
        tokio::spawn(connection.open(stream, tls, limit, stop, watcher));
    }
}

fn http(header_limit: Duration) -> Builder {
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_limit).keep_alive(true).max_buf_size(64 << 10);
    http
}

/// What serves one connection.
struct Connection {
    router: Router,
    http: Arc<Builder>,
    peer: SocketAddr,
    place: Arc<Place>,
    write_limit: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Whoever begins a handshake has as long for it as for a head.
    async fn open(self, stream: Stream, tls: Option<Tls>, limit: Duration, stop: CancellationToken, watcher: Watcher) {
        let Some(tls) = tls else { return self.serve(stream, watcher).await };
        let handshake = tokio::time::timeout(limit, tls.acceptor().accept(stream));
        match self.place.evicted().run_until_cancelled(stop.run_until_cancelled(handshake)).await {
            Some(Some(Ok(Ok(stream)))) => self.serve(stream, watcher).await,
            Some(Some(Ok(Err(error)))) => {
                metrics::counter!("bailiwick_http_handshakes_failed_total").increment(1);
                tracing::debug!(%error, "a handshake failed");
            }
            Some(Some(Err(_elapsed))) => metrics::counter!("bailiwick_http_handshakes_failed_total").increment(1),
            Some(None) | None => {}
        }
    }

    async fn serve<I>(self, stream: I, watcher: Watcher)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { router, http, peer, place, write_limit, _permit } = self;
        let (evicted, flow) = (place.evicted(), Flow::default());
        let stream = TokioIo::new(Flowing::new(stream, flow.clone(), write_limit));
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let (router, place, flow) = (router.clone(), Arc::clone(&place), flow.clone());
            // Apart, it takes its room only while there is a request, and not as long as the connection.
            Box::pin(async move {
                // What waits behind an answer that nobody reads is not begun, and no reason for the connection to stay.
                flow.quit().await;
                let busy = place.busy();
                let response = router.oneshot(request.map(Body::new) as Request).await?;
                Ok::<_, std::convert::Infallible>(response.map(|body| Guarded::new(body, (busy, flow.answer()))))
            })
        });
        let connection = Box::pin(watcher.watch(http.serve_connection(stream, service)));
        if let Some(Err(error)) = evicted.run_until_cancelled(connection).await {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

type Stream = std::pin::Pin<Box<TimeoutStream<TcpStream>>>;

fn prepared(stream: TcpStream, options: &HttpOptions) -> Option<Stream> {
    socket::prepare(&stream).ok()?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(options.write_limit));
    Some(Box::pin(stream))
}
