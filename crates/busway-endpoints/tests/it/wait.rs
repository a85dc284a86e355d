//! HTTP, waiting for the answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use busway_core::{AttributeValue, Endpoint, Message, endpoint::Verdict};
use busway_endpoints::{HttpConfig, HttpEndpoint};
use futures_util::future::join_all;
use tokio::net::TcpSocket;

use crate::server::Server;
use crate::support::{delivery, eventually, message, send};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn endpoint(server: &Server) -> HttpEndpoint {
    HttpEndpoint::new(HttpConfig::new("peer", server.url())).unwrap()
}

fn impatient(server: &Server) -> HttpEndpoint {
    let config = HttpConfig { timeout: Duration::from_secs(3), ..HttpConfig::new("peer", server.url()) };
    HttpEndpoint::new(config).unwrap()
}

#[tokio::test]
async fn a_delivery_is_a_post_with_the_very_payload_and_ce_headers() {
    let server = Server::answering(OK).await;
    let config = HttpConfig {
        headers: vec![("X-Team".to_owned(), "blue".to_owned())],
        token: Some("s3cret".into()),
        ..HttpConfig::new("peer", server.url())
    };
    let endpoint = HttpEndpoint::new(config).unwrap();
    let mut message = message(&br#"{"b":1.0,"a":2}"#[..]).source("/items").partition_key("k 1");
    message.attempt = 3;
    message.extensions.insert("traceparent".to_owned(), AttributeValue::String("00-ab".to_owned()));
    endpoint.deliver(vec![delivery(message)]).await.remove(0).unwrap();

    let request = server.seen.requests.lock().unwrap()[0].clone();
    assert_eq!(request.line, "POST /rpc/items?a=b HTTP/1.1");
    assert_eq!(request.body, br#"{"b":1.0,"a":2}"#);
    for (name, value) in [
        ("host", server.address.to_string().as_str()),
        ("content-type", "application/json"),
        ("content-length", "15"),
        ("x-team", "blue"),
        ("authorization", "Bearer s3cret"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-type", "item.updated"),
        ("ce-source", "/items"),
        ("ce-account", "acme"),
        ("ce-partitionkey", "k%201"),
        ("ce-bwattempt", "3"),
        ("ce-traceparent", "00-ab"),
    ] {
        assert_eq!(request.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn empty_and_large_payloads_arrive() {
    let server = Server::answering(OK).await;
    let endpoint = endpoint(&server);
    let large = vec![b'x'; 3_000_000];
    send(&endpoint, "").await.unwrap();
    send(&endpoint, large.clone()).await.unwrap();
    assert_eq!(server.seen.bodies(), [Vec::new(), large]);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::answering(OK).await;
    let chunked =
        Server::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let empty = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    for server in [server, chunked, empty] {
        let endpoint = endpoint(&server);
        for _ in 0..20 {
            send(&endpoint, "{}").await.unwrap();
        }
        assert_eq!((server.seen.bodies().len(), server.seen.connections()), (20, 1));
    }
}

#[tokio::test]
async fn idle_connections_are_bounded_and_closed_with_the_endpoint() {
    let server = Server::answering(OK).await;
    let config = HttpConfig { max_idle: 2, ..HttpConfig::new("peer", server.url()) };
    let endpoint = HttpEndpoint::new(config).unwrap();
    join_all((0..8).map(|_| send(&endpoint, "{}"))).await.into_iter().for_each(Result::unwrap);
    assert!(format!("{endpoint:?}").contains("idle: 2"), "{endpoint:?}");
    endpoint.close().await;
    assert!(format!("{endpoint:?}").contains("idle: 0"), "{endpoint:?}");
    send(&endpoint, "{}").await.unwrap();
}

/// Every answer leaves the connection open as far as its headers say, and closes it at once or a
/// little later.
async fn closing_server() -> Server {
    Server::start(|mut peer| async move {
        if peer.request().await.is_some() {
            let late = peer.seen.bodies().len() % 3;
            peer.write(OK).await.ok();
            tokio::time::sleep(Duration::from_micros(300 * late as u64)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_connection_is_no_failed_delivery() {
    let server = closing_server().await;
    let endpoint = endpoint(&server);
    for _ in 0..200 {
        send(&endpoint, "{}").await.unwrap();
    }
    assert!(server.seen.bodies().len() >= 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_connections_are_no_failed_deliveries_under_concurrency() {
    let server = closing_server().await;
    let endpoint = Arc::new(endpoint(&server));
    let workers = (0..16).map(|_| {
        let endpoint = Arc::clone(&endpoint);
        tokio::spawn(async move {
            for _ in 0..50 {
                send(&*endpoint, "{}").await.unwrap();
            }
        })
    });
    join_all(workers).await.into_iter().for_each(Result::unwrap);
    assert!(server.seen.bodies().len() >= 800);
}

/// The second request of a connection is read and then answered by closing: what a request meets
/// that goes out just as the server closes.
#[tokio::test]
async fn a_kept_connection_that_dies_under_a_request_is_replaced() {
    let server = Server::start(|mut peer| async move {
        if peer.request().await.is_some() {
            peer.write(OK).await.unwrap();
            peer.head().await;
        }
    })
    .await;
    let endpoint = endpoint(&server);
    for _ in 0..10 {
        send(&endpoint, "{}").await.unwrap();
    }
    assert_eq!((server.seen.bodies().len(), server.seen.connections()), (10, 10));
}

#[tokio::test]
async fn a_408_for_an_idle_connection_is_no_answer() {
    let server = Server::start(|mut peer| async move {
        if peer.request().await.is_some() {
            peer.write(OK).await.unwrap();
            peer.head().await;
            peer.write("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await.ok();
        }
    })
    .await;
    let endpoint = endpoint(&server);
    for _ in 0..10 {
        send(&endpoint, "{}").await.unwrap();
    }
}

#[tokio::test]
async fn a_new_connection_that_is_closed_without_an_answer_is_a_failure_told_once() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
    })
    .await;
    let error = send(&endpoint(&server), "{}").await.unwrap_err();
    assert_eq!((&*error.class, error.verdict), ("closed", Verdict::Retry), "{error}");
    assert_eq!(server.seen.bodies().len(), 1);
}

#[tokio::test]
async fn a_status_other_than_2xx_is_a_failure() {
    let date = httpdate(SystemTime::now() + Duration::from_secs(90));
    for (status, extra, class, overloaded, wait) in [
        ("301 Moved", "location: http://127.0.0.1:1/\r\n".to_owned(), "status-301", false, None),
        ("400 Bad", String::new(), "status-400", false, None),
        ("408 Late", String::new(), "timeout", true, None),
        ("410 Gone", String::new(), "gone", false, None),
        ("429 Slow", "retry-after: 7\r\n".to_owned(), "status-429", true, Some(7)),
        ("429 Slow", format!("retry-after: {date}\r\n"), "status-429", true, Some(90)),
        ("503 Busy", "retry-after: 9999999\r\n".to_owned(), "status-503", true, Some(86_400)),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\n{extra}content-length: 0\r\n\r\n");
        let server = Server::answering(answer.leak()).await;
        let error = send(&endpoint(&server), "{}").await.unwrap_err();
        assert_eq!((&*error.class, error.overloaded), (class, overloaded), "{status}");
        assert_eq!(error.verdict, Verdict::Retry, "{status}");
        let (got, want) = (error.retry_after.map(|d| d.as_secs_f64()), wait.map(f64::from));
        assert!(
            got.zip(want).map_or(got.is_none() && want.is_none(), |(g, w)| (g - w).abs() < 10.0),
            "{got:?}"
        );
        assert_eq!(server.seen.bodies().len(), 1, "{status}: a failure is told, not tried again");
    }
}

/// The date form of a moment.
fn httpdate(at: SystemTime) -> String {
    httpdate::fmt_http_date(at)
}

#[tokio::test]
async fn a_refused_connection_is_a_counted_try_and_a_sign_of_overload() {
    // Bound, so that nobody else has the port, and without a listener.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let endpoint = HttpEndpoint::new(HttpConfig::new("peer", url)).unwrap();
    let error = send(&endpoint, "{}").await.unwrap_err();
    assert_eq!(
        (&*error.class, error.verdict, error.overloaded),
        ("refused", Verdict::Retry, true),
        "{error}"
    );
    assert_eq!(&*endpoint.test().await.unwrap_err().class, "refused");
}

#[tokio::test]
async fn a_host_without_an_address_is_a_failure() {
    let config = HttpConfig {
        timeout: Duration::from_secs(5),
        ..HttpConfig::new("peer", "http://no-such-host.invalid/")
    };
    let error = send(&HttpEndpoint::new(config).unwrap(), "{}").await.unwrap_err();
    // A resolver that is out of reach may take longer than the delivery.
    assert!(matches!(&*error.class, "dns" | "timeout"), "{error}");
    assert_eq!(error.verdict, Verdict::Retry);
}

#[tokio::test]
async fn an_answer_after_the_timeout_is_a_timeout() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let error = send(&impatient(&server), "{}").await.unwrap_err();
    assert_eq!((&*error.class, error.overloaded), ("timeout", true), "{error}");
}

#[tokio::test]
async fn a_peer_that_sleeps_before_it_answers_is_waited_for() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        peer.write(OK).await.unwrap();
    })
    .await;
    send(&endpoint(&server), "{}").await.unwrap();
}

#[tokio::test]
async fn a_peer_that_stops_reading_the_body_is_a_timeout_and_never_gets_the_rest() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let told = Arc::new(std::sync::Mutex::new(Some(told)));
    let go_on = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&go_on);
    let server = Server::start(move |mut peer| {
        let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
        async move {
            peer.head().await;
            wait.notified().await;
            let whole = peer.request_rest(40_000_000).await;
            told.lock().unwrap().take().unwrap().send(whole).unwrap();
        }
    })
    .await;
    let error = send(&impatient(&server), vec![b'x'; 40_000_000]).await.unwrap_err();
    assert_eq!(&*error.class, "timeout", "{error}");
    go_on.notify_one();
    assert!(!heard.await.unwrap(), "the peer got a request whose delivery was told to have failed");
}

#[tokio::test]
async fn a_reset_within_the_body_is_a_failure() {
    let server = Server::start(|mut peer| async move {
        peer.head().await;
        peer.reset();
    })
    .await;
    let error = send(&endpoint(&server), vec![b'x'; 40_000_000]).await.unwrap_err();
    assert!(matches!(&*error.class, "reset" | "closed"), "{error}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_after_its_status_keeps_its_outcome() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf",
    ] {
        let server = Server::start(move |mut peer| async move {
            peer.request().await;
            peer.write(answer).await.unwrap();
        })
        .await;
        send(&endpoint(&server), "{}").await.unwrap();
    }
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write("HTTP/1.1 200 O").await.unwrap();
    })
    .await;
    assert_eq!(&*send(&endpoint(&server), "{}").await.unwrap_err().class, "closed");
}

#[tokio::test]
async fn a_success_told_before_the_body_is_read_does_not_cut_the_body_off() {
    let server = Server::start(|mut peer| async move {
        peer.head().await;
        peer.write(OK).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if peer.request_rest(20_000_000).await {
            peer.seen.connections.store(99, std::sync::atomic::Ordering::SeqCst);
        }
    })
    .await;
    send(&endpoint(&server), vec![b'x'; 20_000_000]).await.unwrap();
    eventually("the body came", || server.seen.connections() == 99).await;
}

#[tokio::test]
async fn a_refusal_told_before_the_body_is_read_is_told_at_once() {
    let server = Server::start(|mut peer| async move {
        peer.head().await;
        peer.write("HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let start = std::time::Instant::now();
    let error = send(&endpoint(&server), vec![b'x'; 40_000_000]).await.unwrap_err();
    assert_eq!(&*error.class, "status-413", "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn endless_headers_are_bounded() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\n").await.unwrap();
        while peer.write("x-more: and more and more\r\n").await.is_ok() {}
    })
    .await;
    let error = send(&endpoint(&server), "{}").await.unwrap_err();
    assert_eq!(&*error.class, "answer", "{error}");
}

/// Interim answers come before the head, and may be any number of them.
#[tokio::test]
async fn interim_answers_are_read_over_and_bounded() {
    let early = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n";
    let server = Server::start(move |mut peer| async move {
        while let Some(request) = peer.request().await {
            peer.write(&early.repeat(50)).await.unwrap();
            if request.body == b"endless" {
                while peer.write(&early.repeat(500)).await.is_ok() {}
                return;
            }
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let endpoint = endpoint(&server);
    send(&endpoint, "few").await.unwrap();
    let error = send(&endpoint, "endless").await.unwrap_err();
    assert_eq!((&*error.class, error.verdict), ("answer", Verdict::Retry), "{error}");
    assert!(error.detail.contains("no end"), "{error}");
}

#[tokio::test]
async fn an_endless_body_is_bounded_and_changes_nothing() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ] {
        let server = Server::start(move |mut peer| async move {
            peer.request().await;
            peer.write(head).await.unwrap();
            let mut sent = 0_usize;
            while peer.write("and more and more and more\n").await.is_ok() {
                sent += 1;
                assert!(sent < 1_000_000, "the endpoint goes on reading");
            }
            peer.seen.connections.store(0, std::sync::atomic::Ordering::SeqCst);
        })
        .await;
        let endpoint = endpoint(&server);
        send(&endpoint, "{}").await.unwrap();
        assert!(format!("{endpoint:?}").contains("idle: 0"), "{endpoint:?}");
        eventually("the endless answer ended", || server.seen.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_slow_body_of_a_success_ends_with_the_timeout_and_stays_a_success() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    send(&impatient(&server), "{}").await.unwrap();
}

#[tokio::test]
async fn what_is_no_http_is_a_failure() {
    let server = Server::answering("220 mail.example ESMTP\r\n").await;
    let error = send(&endpoint(&server), "{}").await.unwrap_err();
    assert_eq!(&*error.class, "answer", "{error}");
}

#[tokio::test]
async fn a_test_connects_and_sends_nothing() {
    let server = Server::answering(OK).await;
    let endpoint = endpoint(&server);
    let said = endpoint.test().await.unwrap();
    assert!(said.contains(&server.address.to_string()), "{said}");
    eventually("the connection came", || server.seen.connections() == 1).await;
    assert!(server.seen.bodies().is_empty());
}

#[tokio::test]
async fn wrong_settings_are_refused_with_their_key() {
    for url in ["", "nonsense", "ftp://h/", "http:///x", "//h/x", "http://user:pass@h/"] {
        let error = HttpEndpoint::new(HttpConfig::new("peer", url)).unwrap_err();
        assert_eq!(error.kind(), busway_core::ErrorKind::Configuration, "{url}");
        assert!(error.to_string().contains("endpoints.peer.url"), "{error}");
        assert!(!error.to_string().contains("pass"), "{error}");
    }
    for name in ["content-length", "Transfer-Encoding", "ce-id", "bad name", "connection"] {
        let headers = vec![(name.to_owned(), "x".to_owned())];
        let config = HttpConfig { headers, ..HttpConfig::new("peer", "http://h/") };
        let error = HttpEndpoint::new(config).unwrap_err();
        assert!(error.to_string().contains("endpoints.peer.headers"), "{error}");
    }
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let config = HttpConfig {
        headers: vec![("x-key".to_owned(), "hunter2".to_owned())],
        token: Some("hunter2".into()),
        ..HttpConfig::new("peer", "http://127.0.0.1:1/hunter2")
    };
    let endpoint = HttpEndpoint::new(config.clone()).unwrap();
    let error = endpoint.deliver(vec![delivery(Message::new("t", "hunter2"))]).await.remove(0).unwrap_err();
    for text in [format!("{config:?}"), format!("{endpoint:?}"), format!("{error:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
