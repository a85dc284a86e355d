//! What is too large, and what memory is held.

use std::io::Write;

use crate::Served;
use crate::client::{Request, connect, read};

const STRUCTURED: &str = "application/cloudevents+json";

fn head(content_type: &str, framing: &str) -> String {
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: t\r\ncontent-type: {content_type}\r\n\
         {framing}\r\n\r\n"
    )
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_the_body_comes() {
    let served = Served::with(|config| config.max_stream_bytes = 2 * 1024 * 1024);
    for (content_type, length) in [
        ("text/plain", 1024 * 1024 + 1_u64),
        (STRUCTURED, 1024 * 1024 + 1),
        ("application/x-ndjson", 1 << 40),
    ] {
        let mut stream = connect(served.server.addr());
        let head = head(content_type, &format!("content-length: {length}"));
        stream.write_all(head.as_bytes()).unwrap();
        let reply = read(&mut stream, false);
        assert_eq!(reply.status, 413, "{content_type}");
        assert!(reply.json()["error"].as_str().unwrap().contains("limit"), "{reply:?}");
        assert_eq!(reply.header("connection"), Some("close"));
    }
}

#[test]
fn a_client_that_sends_its_whole_body_still_reads_the_413() {
    let served = Served::new();
    let request = Request::post("text/plain", vec![b'x'; 8 * 1024 * 1024]).header("ce-type", "t");
    assert_eq!(served.send(&request).status, 413);
}

#[test]
fn a_chunked_body_is_refused_once_it_is_over_the_limit() {
    let served = Served::new();
    let mut stream = connect(served.server.addr());
    stream.write_all(head("text/plain", "transfer-encoding: chunked").as_bytes()).unwrap();
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend_from_slice(&[b'x'; 0x10000]);
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..17 {
        stream.write_all(&chunk).unwrap();
    }
    assert_eq!(read(&mut stream, false).status, 413);
    assert_eq!(served.bus.begun(), 0);
}

#[test]
fn bodies_up_to_the_limit_are_stored_byte_for_byte() {
    let served = Served::new();
    let body: Vec<u8> = (0..1024 * 1024).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let request = Request::post("application/octet-stream", body.clone()).header("ce-type", "t");
    assert_eq!(served.send(&request).status, 202);
    let mut stream = connect(served.server.addr());
    stream.write_all(head("application/octet-stream", "transfer-encoding: chunked").as_bytes()).unwrap();
    for part in body.chunks(100_000) {
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
        stream.write_all(part).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream, false).status, 202);
    let stored = served.bus.stored.lock().unwrap();
    assert!(stored.iter().all(|message| message.data == body), "a body was changed");
    assert_eq!(stored.len(), 2);
}

#[test]
fn a_body_that_is_cut_is_not_stored() {
    let served = Served::new();
    let mut stream = connect(served.server.addr());
    stream.write_all(head("text/plain", "content-length: 10").as_bytes()).unwrap();
    stream.write_all(b"12345").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read(&mut stream, false).status, 400);
    assert_eq!(served.bus.begun(), 0);
}

#[test]
fn bodies_of_all_requests_together_are_bounded_and_let_go() {
    let served = Served::with(|config| config.max_held_bytes = 1024 * 1024);
    let mut holder = connect(served.server.addr());
    holder.write_all(head("text/plain", "content-length: 1000000").as_bytes()).unwrap();
    holder.write_all(&[b'x'; 900_000]).unwrap();
    let event = Request::post("text/plain", vec![b'x'; 500_000]).header("ce-type", "t");
    crate::until("the body is held", || served.held() == 900_000);
    let refused = served.send(&event);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let small = Request::post("text/plain", "x").header("ce-type", "t");
    assert_eq!(served.send(&small).status, 202);
    holder.write_all(&[b'x'; 100_000]).unwrap();
    assert_eq!(read(&mut holder, false).status, 202);
    assert_eq!(served.send(&event).status, 202);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let served = Served::new();
    let mut stream = connect(served.server.addr());
    let head = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(200 * 1024));
    let (mut writer, bytes) = (stream.try_clone().unwrap(), head.into_bytes());
    let sent = std::thread::spawn(move || writer.write_all(&bytes).is_ok());
    assert_eq!(read(&mut stream, false).status, 431);
    sent.join().unwrap();
}
