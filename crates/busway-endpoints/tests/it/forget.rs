//! HTTP without waiting for the answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busway_core::{Endpoint, endpoint::Verdict};
use busway_endpoints::{HttpConfig, HttpEndpoint, Mode};
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, oneshot};

use crate::server::{Peer, Server};
use crate::support::{eventually, send};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn config(server: &Server) -> HttpConfig {
    HttpConfig { mode: Mode::Forget, ..HttpConfig::new("peer", server.url()) }
}

fn endpoint(server: &Server) -> HttpEndpoint {
    HttpEndpoint::new(config(server)).unwrap()
}

fn impatient(server: &Server) -> HttpEndpoint {
    HttpEndpoint::new(HttpConfig { timeout: Duration::from_millis(500), ..config(server) }).unwrap()
}

/// A listener whose connections have a small receive buffer.
fn narrow() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(64).unwrap()
}

#[tokio::test]
async fn what_was_received_is_success_and_the_answer_is_not_waited_for() {
    let (finished, returned) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (done, told) = (Arc::clone(&finished), Arc::clone(&returned));
    let server = Server::start(move |mut peer| {
        let (done, told) = (Arc::clone(&done), Arc::clone(&told));
        async move {
            peer.request().await.unwrap();
            // A delivery that waited for the answer would never get it.
            told.notified().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            // Nothing has happened to the connection meanwhile, and the answer is taken.
            let mut byte = [0];
            let seen = peer.stream.try_read(&mut byte).map_err(|e| e.kind());
            assert_eq!(seen, Err(std::io::ErrorKind::WouldBlock));
            peer.write(OK).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(peer.stream.take_error().unwrap().map(|e| e.kind()), None);
            done.store(true, Ordering::SeqCst);
        }
    })
    .await;
    let endpoint = endpoint(&server);
    send(&endpoint, vec![b'x'; 100_000]).await.unwrap();
    returned.notify_one();
    eventually("the peer finished its work", || finished.load(Ordering::SeqCst)).await;
    assert_eq!(server.seen.bodies(), [vec![b'x'; 100_000]]);
}

#[tokio::test]
async fn a_peer_slower_than_the_reader_is_not_disturbed() {
    let (told, heard) = oneshot::channel();
    let told = Arc::new(Mutex::new(Some(told)));
    let server = Server::start(move |mut peer| {
        let told = Arc::clone(&told);
        async move {
            peer.request().await.unwrap();
            tokio::time::sleep(Duration::from_millis(6500)).await;
            let mut byte = [0];
            let quiet =
                peer.stream.try_read(&mut byte).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
            let first = peer.write(OK).await.is_ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let unharmed = peer.stream.take_error().unwrap().is_none();
            told.lock().unwrap().take().unwrap().send((quiet, first, unharmed)).unwrap();
        }
    })
    .await;
    send(&endpoint(&server), "{}").await.unwrap();
    assert_eq!(heard.await.unwrap(), (true, true, true));
}

#[tokio::test]
async fn empty_and_large_payloads_arrive() {
    let server = Server::answering(OK).await;
    let endpoint = endpoint(&server);
    let large = vec![b'x'; 3_000_000];
    send(&endpoint, "").await.unwrap();
    send(&endpoint, large.clone()).await.unwrap();
    eventually("both came", || server.seen.bodies().len() == 2).await;
    let mut bodies = server.seen.bodies();
    bodies.sort_unstable();
    assert_eq!(bodies, [Vec::new(), large]);
}

#[tokio::test]
async fn a_peer_that_never_answers_has_received_what_it_acknowledged() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        std::future::pending::<()>().await;
    })
    .await;
    let endpoint = endpoint(&server);
    for size in [0, 1, 1000, 100_000, 3_000_000] {
        send(&endpoint, vec![b'x'; size]).await.unwrap();
        eventually("it came", || server.seen.bodies().last().is_some_and(|body| body.len() == size)).await;
    }
}

#[tokio::test]
async fn any_answer_is_success_whatever_it_says() {
    for answer in ["HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 301 No\r\n\r\n", "what?"] {
        let server = Server::answering(answer).await;
        send(&endpoint(&server), "{}").await.unwrap();
        eventually("it came", || server.seen.bodies().len() == 1).await;
    }
}

#[tokio::test]
async fn an_answer_before_the_body_is_read_is_success_and_the_body_still_arrives() {
    let (told, heard) = oneshot::channel();
    let told = Arc::new(Mutex::new(Some(told)));
    let serve = move |mut peer: Peer| {
        let told = Arc::clone(&told);
        async move {
            peer.head().await.unwrap();
            peer.write(OK).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let whole = peer.request_rest(20_000_000).await;
            told.lock().unwrap().take().unwrap().send(whole).unwrap();
        }
    };
    let server = Server::on(narrow(), serve);
    send(&endpoint(&server), vec![b'x'; 20_000_000]).await.unwrap();
    assert!(heard.await.unwrap(), "the peer was cut off");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    // Bound, so that nobody else has the port, and without a listener.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let config = HttpConfig { mode: Mode::Forget, ..HttpConfig::new("peer", url) };
    let error = send(&HttpEndpoint::new(config).unwrap(), "{}").await.unwrap_err();
    assert_eq!(
        (&*error.class, error.overloaded, error.verdict),
        ("refused", true, Verdict::Retry),
        "{error}"
    );
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_a_timeout_and_never_gets_the_rest() {
    for size in [40_000_000, 400_000] {
        let (told, heard) = oneshot::channel();
        let told = Arc::new(Mutex::new(Some(told)));
        let go_on = Arc::new(Notify::new());
        let wait = Arc::clone(&go_on);
        let server = Server::on(narrow(), move |mut peer| {
            let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
            async move {
                wait.notified().await;
                peer.head().await;
                let whole = peer.request_rest(size).await;
                told.lock().unwrap().take().unwrap().send(whole).unwrap();
            }
        });
        let error = send(&impatient(&server), vec![b'x'; size]).await.unwrap_err();
        assert_eq!((&*error.class, error.overloaded), ("timeout", true), "{error}");
        go_on.notify_one();
        assert!(!heard.await.unwrap(), "{size}: the peer got what was told to have failed");
    }
}

#[tokio::test]
async fn a_reset_before_every_byte_is_received_is_a_failure() {
    // Small enough for the kernel to take all of it at once, too large for the peer to acknowledge.
    for size in [40_000_000, 200_000] {
        let server = Server::on(narrow(), |mut peer| async move {
            peer.head().await;
            peer.reset();
        });
        let error = send(&endpoint(&server), vec![b'x'; size]).await.unwrap_err();
        assert!(matches!(&*error.class, "reset" | "closed"), "{size}: {error}");
        assert_eq!(error.verdict, Verdict::Retry);
    }
}

#[tokio::test]
async fn a_peer_that_closes_within_the_body_is_a_failure() {
    let server = Server::on(narrow(), |mut peer| async move {
        peer.head().await;
    });
    let error = send(&endpoint(&server), vec![b'x'; 40_000_000]).await.unwrap_err();
    assert!(matches!(&*error.class, "reset" | "closed"), "{error}");
}

#[tokio::test]
async fn a_peer_that_reads_all_and_closes_has_received_it() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
    })
    .await;
    let endpoint = endpoint(&server);
    for _ in 0..20 {
        send(&endpoint, vec![b'x'; 50_000]).await.unwrap();
    }
    eventually("all came", || server.seen.bodies().len() == 20).await;
}

#[tokio::test]
async fn connections_are_used_again_once_their_answer_was_read() {
    for answer in [
        OK,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let server = Server::answering(answer).await;
        let endpoint = endpoint(&server);
        for n in 0..50 {
            send(&endpoint, "{}").await.unwrap();
            eventually("it came", || server.seen.bodies().len() == n + 1).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Not 1: a machine may be too busy to answer at once.
        assert!(server.seen.connections() < 40, "{}", server.seen.connections());
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_at_once_is_asked_to_end_its_connections() {
    let server = Server::start(|mut peer| async move {
        let request = peer.request().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.write(OK).await.unwrap();
        if request.headers.get("connection").is_none_or(|value| value != "close") {
            peer.head().await;
        }
    })
    .await;
    let endpoint = endpoint(&server);
    let asked = || {
        let requests = server.seen.requests.lock().unwrap();
        requests.last().is_some_and(|request| request.headers.contains_key("connection"))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !asked() {
        assert!(Instant::now() < deadline, "it is never asked");
        send(&endpoint, "{}").await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(format!("{endpoint:?}").contains("idle: 0"), "{endpoint:?}");
}

/// Every connection is closed after its first answer: at once, a little later, or only when a
/// second request comes, of which nothing is processed.
async fn stale_server(late: fn(usize) -> Option<Duration>) -> Server {
    Server::start(move |mut peer| async move {
        if peer.request().await.is_some() {
            peer.write(OK).await.ok();
            match late(peer.seen.bodies().len()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => drop(peer.head().await),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_connection_is_neither_a_failure_nor_a_loss() {
    for late in [(|n| Some(Duration::from_micros(200 * (n % 4) as u64))) as fn(usize) -> _, |n| {
        if n % 2 == 0 { Some(Duration::ZERO) } else { None }
    }] {
        let server = stale_server(late).await;
        let endpoint = Arc::new(endpoint(&server));
        let workers = (0..8).map(|worker| {
            let endpoint = Arc::clone(&endpoint);
            tokio::spawn(async move {
                for n in 0..50 {
                    send(&*endpoint, format!("{worker}-{n}")).await.unwrap();
                }
            })
        });
        join_all(workers).await.into_iter().for_each(Result::unwrap);
        let came = || {
            let mut bodies = server.seen.bodies();
            bodies.sort_unstable();
            bodies.dedup();
            bodies.len()
        };
        // What was only acknowledged by a peer that had given up, none of which is processed.
        eventually("every delivery told to have succeeded came", || came() == 400).await;
    }
}

#[tokio::test]
async fn a_408_for_an_idle_connection_is_no_answer() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let server = Server::start(move |mut peer| {
        let count = Arc::clone(&count);
        async move {
            peer.request().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            peer.write(OK).await.unwrap();
            // The second request is swallowed whole, as in a lingering close.
            peer.stream.readable().await.unwrap();
            peer.write("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .await
                .ok();
        }
    })
    .await;
    let endpoint = endpoint(&server);
    for n in 0..5 {
        send(&endpoint, "{}").await.unwrap();
        eventually("it was served", || served.load(Ordering::SeqCst) == n + 1).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn answers_without_an_end_are_left_after_their_bound() {
    for head in ["HTTP/1.1 200 OK\r\nx-first: 1\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"] {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let server = Server::start(move |mut peer| {
            let end = Arc::clone(&end);
            async move {
                peer.request().await;
                peer.write(head).await.unwrap();
                while peer.write("x-more: and more and more\r\n").await.is_ok() {}
                end.store(true, Ordering::SeqCst);
            }
        })
        .await;
        let endpoint = endpoint(&server);
        send(&endpoint, "{}").await.unwrap();
        eventually("the endpoint let go", || ended.load(Ordering::SeqCst)).await;
    }
}

#[tokio::test]
async fn the_number_of_answers_awaited_is_bounded() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        std::future::pending::<()>().await;
    })
    .await;
    // Enough for the first two, and for the third less than the 5 s that they hold their places.
    let config = HttpConfig { max_unread_answers: 2, timeout: Duration::from_secs(2), ..config(&server) };
    let endpoint = HttpEndpoint::new(config).unwrap();
    send(&endpoint, "1").await.unwrap();
    send(&endpoint, "2").await.unwrap();
    let error = send(&endpoint, "3").await.unwrap_err();
    assert_eq!((error.verdict, error.overloaded), (Verdict::NotTried, true), "{error}");
    assert_eq!(server.seen.connections(), 2, "nothing is handed over without a place");
    // After their 5 s the two linger without taking a place.
    let deadline = Instant::now() + Duration::from_secs(60);
    while send(&endpoint, "4").await.is_err() {
        assert!(Instant::now() < deadline, "no place came free");
    }
}

#[tokio::test]
async fn closing_waits_for_answers_that_are_on_their_way() {
    let finished = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&finished);
    let server = Server::start(move |mut peer| {
        let done = Arc::clone(&done);
        async move {
            peer.request().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            peer.write(OK).await.unwrap();
            done.store(true, Ordering::SeqCst);
        }
    })
    .await;
    let endpoint = endpoint(&server);
    send(&endpoint, "{}").await.unwrap();
    assert!(!finished.load(Ordering::SeqCst));
    endpoint.close().await;
    assert!(finished.load(Ordering::SeqCst));
}
