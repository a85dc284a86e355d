//! Start, address, stop.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::rt::System;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer as ActixServer};
use busway_core::{Admin, Error, ErrorKind, Result};
use tokio::sync::{oneshot, watch};

use crate::config::HttpConfig;
use crate::context::Context;
use crate::guard::guard;
use crate::reload::Reload;
use crate::routes;
use crate::watch::Watch;

/// Gives the process's own metrics in Prometheus' text form, for `/metrics`.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the process that runs the bus lends to its HTTP interface.
#[derive(Clone, Default)]
pub struct Aids {
    /// Adds the process's own metrics to `/metrics`.
    pub metrics: Option<RenderMetrics>,
    /// Serves `POST /v1/reload`.
    pub reload: Option<Reload>,
}

/// How long the threads may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Open files left to the rest of the process.
const SPARED_FILES: u64 = 256;

/// Open files a connection takes: its socket, and the one it is watched by.
const FILES_EACH: u64 = 2;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long a client may take to send the head of its first request, at most.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that is being closed may take to take what was answered.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A running HTTP interface. Dropping it stops it at once; requests in hand are cut.
pub struct HttpServer {
    address: SocketAddr,
    stop: Mutex<Option<oneshot::Sender<Duration>>>,
    stopped: watch::Receiver<bool>,
}

impl HttpServer {
    /// Listens and serves `admin` in threads of its own; installs no signal handlers.
    ///
    /// It may be called inside any runtime or none; it blocks for the moment that the threads take
    /// to come up.
    ///
    /// # Errors
    /// `Configuration` for settings that do not go together, an address that is not loopback
    /// without a token among them; `Conflict` where another program listens there; `Io` otherwise.
    pub fn start(config: HttpConfig, admin: Arc<dyn Admin>, aids: Aids) -> Result<Self> {
        config.check()?;
        let listener = listen(&config).map_err(|e| refused(config.listen, e))?;
        let address = listener.local_addr().map_err(|e| refused(config.listen, e))?;
        let context = Data::new(Context::new(config, admin, aids));
        let (stop, stop_asked) = oneshot::channel();
        let (stopped_sender, stopped) = watch::channel(false);
        let (started_sender, started) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("busway-http".to_owned())
            .spawn(move || {
                System::new().block_on(run(context, listener, started_sender, stop_asked));
                stopped_sender.send_replace(true);
            })
            .map_err(|e| refused(address, e))?;
        match started.recv_timeout(START_TIMEOUT) {
            Ok(Ok(())) => Ok(Self { address, stop: Mutex::new(Some(stop)), stopped }),
            Ok(Err(error)) => Err(refused(address, error)),
            Err(_) => Err(refused(address, io::Error::other("the server's thread did not come up"))),
        }
    }

    /// Where it listens, with the port that was taken where the configuration said 0.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener, lets requests in hand finish for as long as `grace`, then cuts the
    /// rest; returns when it has stopped. A further call waits for the first.
    ///
    /// Cancelling it stops the waiting, not the stop.
    pub async fn stop(&self, grace: Duration) {
        let asked = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(asked) = asked
            && asked.send(grace).is_err()
        {
            tracing::debug!("the server had stopped before it was asked to");
        }
        let mut stopped = self.stopped.clone();
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            tracing::error!("the server's thread ended in a panic");
        }
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn listen(config: &HttpConfig) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(config.listen)?;
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    limit_unread(&listener, config.deadline)?;
    Ok(listener)
}

/// A client that does not read its answer is cut after this time; accepted connections have the
/// option from the listener.
#[cfg(target_os = "linux")]
fn limit_unread(listener: &TcpListener, time: Duration) -> io::Result<()> {
    let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
    Ok(rustix::net::sockopt::set_tcp_user_timeout(listener, millis)?)
}

#[cfg(not(target_os = "linux"))]
fn limit_unread(_: &TcpListener, _: Duration) -> io::Result<()> {
    Ok(())
}

fn refused(address: SocketAddr, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            Error::new("listen", ErrorKind::Conflict, "another program listens there")
                .at(address)
                .advise("stop it or set http.listen to a free port")
                .caused_by(error)
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::AddrNotAvailable => {
            Error::new("listen", ErrorKind::Configuration, "this address cannot be had")
                .at(address)
                .advise("set http.listen to an address of this machine and a port over 1023")
                .caused_by(error)
        }
        _ => Error::new("listen", ErrorKind::Io, "the server does not start").at(address).caused_by(error),
    }
}

async fn run(
    context: Data<Context>,
    listener: TcpListener,
    started: mpsc::SyncSender<io::Result<()>>,
    stop: oneshot::Receiver<Duration>,
) {
    let config = &context.config;
    let head_timeout = config.deadline.min(HEAD_TIMEOUT);
    // the server's own timers come first
    let watch = Arc::new(Watch::new(config.keep_alive + head_timeout, 2 * config.deadline));
    let mut server = match build(context, listener, watch.clone()) {
        Ok(server) => server,
        Err(error) => return tell(&started, Err(error)),
    };
    // the first poll brings the workers up
    match futures_util::poll!(&mut server) {
        std::task::Poll::Pending => tell(&started, Ok(())),
        std::task::Poll::Ready(ended) => {
            let error = ended.err().unwrap_or_else(|| io::Error::other("the server ended at once"));
            return tell(&started, Err(error));
        }
    }
    let handle = server.handle();
    let grace = tokio::select! {
        ended = &mut server => {
            tracing::error!(?ended, "the HTTP server ended by itself");
            return;
        }
        grace = stop => grace.unwrap_or_default(),
        () = sweep(&watch) => return,
    };
    let graceful = async {
        tokio::select! {
            _ = async { tokio::join!(handle.stop(true), &mut server) } => {}
            () = sweep(&watch) => {}
        }
    };
    if !grace.is_zero() && tokio::time::timeout(grace, graceful).await.is_err() {
        tracing::warn!("requests were in hand when the grace had passed; they are cut");
    }
}

/// Never ends.
async fn sweep(watch: &Watch) {
    let mut ticks = tokio::time::interval(watch.period());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        watch.sweep();
    }
}

fn tell(started: &mpsc::SyncSender<io::Result<()>>, result: io::Result<()>) {
    if started.send(result).is_err() {
        tracing::error!("nobody waits for the HTTP server to start");
    }
}

/// As many as configured, but never so many that the process runs out of open files.
fn most_connections(config: &HttpConfig) -> usize {
    let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else {
        return config.max_connections;
    };
    let room = usize::try_from(files.saturating_sub(SPARED_FILES) / FILES_EACH).unwrap_or(usize::MAX);
    if room < config.max_connections {
        tracing::warn!(
            limit = room.max(1),
            configured = config.max_connections,
            "fewer connections are served than configured; raise the limit of open files"
        );
    }
    config.max_connections.min(room.max(1))
}

fn build(context: Data<Context>, listener: TcpListener, watch: Arc<Watch>) -> io::Result<Server> {
    let config = context.config.clone();
    let server = ActixServer::new(move || {
        let guarded = context.clone();
        App::new()
            .app_data(context.clone())
            .wrap(from_fn(move |request, next| guard(guarded.clone(), request, next)))
            .configure(routes::configure)
            .default_service(web::to(routes::nowhere))
    })
    .workers(config.workers)
    .max_connections(most_connections(&config).div_ceil(config.workers))
    .keep_alive(config.keep_alive)
    .client_request_timeout(config.deadline.min(HEAD_TIMEOUT))
    .client_disconnect_timeout(config.deadline.min(CLOSE_TIMEOUT))
    .tcp_nodelay(true)
    // the grace is counted by `stop`, which knows it only then
    .shutdown_timeout(u64::from(u32::MAX))
    .disable_signals()
    .on_connect(move |stream, data| watch.add(stream, data))
    .listen(listener)?;
    Ok(server.run())
}
