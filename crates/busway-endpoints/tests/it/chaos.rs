//! A peer that misbehaves in turn: what is told to have succeeded is what it got, and nothing else.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busway_endpoints::{HttpConfig, HttpEndpoint, Mode};
use futures_util::future::join_all;
use tokio::net::TcpSocket;

use crate::server::{Peer, Server};
use crate::support::{deliver, eventually, message};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// More than the peer's receive buffer holds, so that nothing is acknowledged that was not read.
const SIZE: usize = 300_000;

/// What the peer got and what it meant by it.
#[derive(Default)]
struct Book {
    turn: AtomicUsize,
    /// Read to the end.
    whole: Mutex<HashSet<String>>,
    /// Answered 2xx.
    answered: Mutex<HashSet<String>>,
}

async fn serve(mut peer: Peer, book: Arc<Book>) {
    loop {
        let turn = book.turn.fetch_add(1, Ordering::SeqCst);
        let Some(request) = peer.head().await else { return };
        let id = request.headers["ce-id"].clone();
        match turn % 8 {
            3 => return drop(peer),
            4 => return peer.reset(),
            5 => {
                peer.request_rest(SIZE / 2).await;
                return peer.reset();
            }
            6 => {
                peer.request_rest(SIZE / 2).await;
                return tokio::time::sleep(Duration::from_secs(600)).await;
            }
            _ => {}
        }
        if !peer.request_rest(SIZE).await {
            return;
        }
        peer.take_rest(SIZE);
        book.whole.lock().unwrap().insert(id.clone());
        if turn % 8 == 7 {
            return;
        }
        book.answered.lock().unwrap().insert(id);
        if peer.write(OK).await.is_err() || turn % 8 == 2 {
            return;
        }
    }
}

async fn run(mode: Mode) -> (Arc<Book>, HashSet<String>) {
    let book = Arc::new(Book::default());
    let shared = Arc::clone(&book);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = Server::on(socket.listen(64).unwrap(), move |peer| serve(peer, Arc::clone(&shared)));
    let config =
        HttpConfig { mode, timeout: Duration::from_secs(4), ..HttpConfig::new("peer", server.url()) };
    let endpoint = Arc::new(HttpEndpoint::new(config).unwrap());
    let workers = (0..8).map(|worker| {
        let endpoint = Arc::clone(&endpoint);
        tokio::spawn(async move {
            let mut succeeded = Vec::new();
            for n in 0..20 {
                let id = format!("{worker}-{n}");
                let message = message(vec![b'x'; SIZE]).id(&*id);
                if deliver(&*endpoint, message).await.is_ok() {
                    succeeded.push(id);
                }
            }
            succeeded
        })
    });
    let succeeded = join_all(workers).await.into_iter().flat_map(Result::unwrap).collect();
    (book, succeeded)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_success_is_what_the_peer_answered() {
    let (book, succeeded) = run(Mode::Wait).await;
    let answered = book.answered.lock().unwrap();
    let lies: Vec<_> = succeeded.difference(&answered).collect();
    assert!(lies.is_empty(), "{lies:?}");
    assert!(succeeded.len() >= 40, "{} succeeded", succeeded.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgetting_success_is_what_the_peer_has_read() {
    let (book, succeeded) = run(Mode::Forget).await;
    // The last bytes may be acknowledged and not read yet.
    eventually("the peer has read them all", || succeeded.is_subset(&book.whole.lock().unwrap())).await;
    assert!(succeeded.len() >= 40, "{} succeeded", succeeded.len());
}
