use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::TokioIo;
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
use super::patience::Patience;
use super::socket::Socket;
use super::unread::Reader;
use super::{HttpOptions, Tls, socket, target};

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
    let (http, prefix): (_, Arc<str>) = (Arc::new(http()), options.prefix().into());
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
        let connection = Connection {
            router: router.clone(),
            http: Arc::clone(&http),
            prefix: Arc::clone(&prefix),
            peer,
            place,
            patience: Patience::of(options, connections.are_many()),
            _permit: permit,
        };
        let (watcher, tls, stop) = (graceful.watcher(), listener.tls.clone(), stop.clone());
        tokio::spawn(listen(connection, stream, tls, stop, watcher));
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections that did not end in time are cut");
    }
}

/// Waits for a connection's first byte, and has it served as a task of its own then: whoever says nothing costs little more than a
/// socket.
async fn listen(connection: Connection, stream: Stream, tls: Option<Tls>, stop: CancellationToken, watcher: Watcher) {
    let (evicted, limit) = (connection.place.evicted(), connection.patience.head);
    let mut first = [0];
    let heard = tokio::select! {
        // A socket counts as readable until it has been looked at, so that only a look tells; whoever has gone has nothing to say.
        heard = stream.get_ref().peek(&mut first) => heard.is_ok_and(|bytes| bytes > 0),
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
        tokio::spawn(connection.open(stream, tls, stop, watcher));
    }
}

/// Heads have their time below hyper, in [`Flowing`].
fn http() -> Builder {
    let mut http = Builder::new();
    http.header_read_timeout(None).keep_alive(true).max_buf_size(64 << 10);
    http
}

/// What serves one connection.
struct Connection {
    router: Router,
    http: Arc<Builder>,
    prefix: Arc<str>,
    peer: SocketAddr,
    place: Arc<Place>,
    patience: Patience,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Whoever begins a handshake has as long for it as for a head.
    async fn open(self, stream: Stream, tls: Option<Tls>, stop: CancellationToken, watcher: Watcher) {
        let Some(tls) = tls else { return self.serve(stream, watcher).await };
        let handshake = tokio::time::timeout(self.patience.head, tls.acceptor().accept(stream));
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
        I: AsyncRead + AsyncWrite + Socket + Unpin + Send + 'static,
    {
        let Self { router, http, prefix, peer, place, patience, _permit } = self;
        let (evicted, flow) = (place.evicted(), Flow::default());
        let stream = TokioIo::new(Flowing::new(stream, flow.clone(), patience));
        let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let refusal = target::refusal(&request);
            target::settle(&mut request, &prefix);
            let (router, place, flow) = (router.clone(), Arc::clone(&place), flow.clone());
            flow.begin(http_body::Body::size_hint(request.body()).exact());
            // Apart, it takes its room only while there is a request, and not as long as the connection.
            Box::pin(async move {
                // What waits behind an answer that nobody reads is not begun, and no reason for the connection to stay.
                flow.quit().await;
                // The answer before it is at its end by now, and so was what it made the connection.
                flow.go_on();
                let busy = place.busy();
                let mut response = match refusal {
                    Some(refusal) => refusal,
                    None => router.oneshot(request.map(Body::new) as Request).await?,
                };
                let unread = response.extensions_mut().remove::<Reader>().map(|reader| reader.room());
                Ok::<_, std::convert::Infallible>(response.map(|body| Guarded::new(body, flow.answer(unread, busy))))
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
