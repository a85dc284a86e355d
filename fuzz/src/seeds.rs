//! Bytes to begin with, by hand or written by the very code whose reader is tried.

use std::fs;
use std::path::Path;

use busway_core::transport::{Declare, Group, Publication, ReceiverOptions, Want};
use busway_core::{Message, Outcome, Queue, Reason, State, Transport};
use busway_state::SqliteState;
use bytes::Bytes;

use crate::bounds::{block_on, folder};
use crate::store::{FILE, open};

type Seeds = Vec<Vec<u8>>;

fn texts(texts: &[&str]) -> Seeds {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"item.new","subject":"a b","time":"2026-01-31T12:00:00.5Z","account":"acme","partitionkey":"k","bwpriority":7,"bwdeliverat":"2026-01-31T12:00:00Z","expirytime":"1969-01-31T12:00:00+02:00","bwattempt":3,"bwreason":"error:timeout","bwaccepted":"1700000000000","traceparent":"00-ab","number":-7,"flag":true,"data":{"b":1.50,"a":[1,2]}}"#;

pub(crate) fn binary() -> Seeds {
    texts(&[
        "ce-id: 1\nce-type: item.new\nce-source: /s\ncontent-type: application/json\nce-time: 2026-01-31T12:00:00Z\n\n{\"b\": 1.50}",
        "ce-type:t\nCE-Subject: \"quoted \\\" text\"\nce-bwpriority: 9\nce-x1: %E2%82%AC%0d%0a%00\n\nbody",
        "ce-type: t\nce-bwreason: share\nce-expirytime: 2026-01-31T12:00:00+14:00\nhost: x\n\n",
        "ce-type: t\nce-data: x\n\n",
    ])
}

pub(crate) fn header_values() -> Seeds {
    texts(&[
        "plain",
        "\"quoted \\\" and \\\\\"",
        "%E2%82%AC",
        "%zz%",
        "%0D%0Ax: y",
        "\"",
        "\"\\\"",
        " \t",
        "%FF",
        "\u{80}",
    ])
}

pub(crate) fn structured() -> Seeds {
    let mut seeds = texts(&[
        EVENT,
        r#"{"type":"t","datacontenttype":"text/plain","data":"line\n\u20ac\ud83d\ude00"}"#,
        r#"{"type":"t","data_base64":"AAEC/w==","datacontenttype":"application/octet-stream"}"#,
        r#"{"type":"t","datacontenttype":"text/plain; charset=utf-8","data":{"a":1}}"#,
        "{\"type\":\"t\",\"data\":[\r\n1,\n2e400]}",
        r#"{"type":"t","data":null,"subject":null,"x":2147483648}"#,
        r#"{"type":"t","data":"\ud800"}"#,
    ]);
    seeds.push(format!("{{\"type\":\"t\",\"data\":{}{}}}", "[".repeat(300), "]".repeat(300)).into_bytes());
    seeds.push(format!("{{\"type\":\"t\",\"{}\":1}}", "Long".repeat(2_000)).into_bytes());
    // Real events, the shortest ones.
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/github-webhooks.jsonl");
    let real = fs::read(real).unwrap_or_default();
    let mut lines: Vec<&[u8]> = real.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_by_key(|line| line.len());
    seeds.extend(lines.into_iter().take(3).map(<[u8]>::to_vec));
    seeds
}

pub(crate) fn batches() -> Seeds {
    let mut seeds = texts(&[
        "[]",
        "[ ]x",
        r#"[{"type":"a"},{"type":"b","data":1}]"#,
        r#"[{"type":"a"},{}]"#,
        "[1,",
        "{}",
    ]);
    seeds.push(format!("[{EVENT},{EVENT}]").into_bytes());
    seeds.push(format!("[{}]", vec![r#"{"type":"a"}"#; 20].join(",")).into_bytes());
    seeds
}

pub(crate) fn lines() -> Seeds {
    let long = "x".repeat(70);
    texts(&[
        "\u{1}{\"type\":\"a\"}\n{\"type\":\"b\"}\n",
        "\u{3}\n\r\n{\"type\":\"a\"}\r\nno json",
        &format!("\u{7}{long}\n{{\"type\":\"a\"}}\n{long}"),
    ])
}

pub(crate) fn requests() -> Seeds {
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut seeds = texts(&[
        "GET /v1/dead?type=a%2Fb&account=&max=3 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /v1/messages/priority?max=99999999999999999999 HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
        "DELETE /v1/dead?id=%FF%00 HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: http://localhost\r\n\r\n",
        "GET /v1/dead/%2e%2e%2f HTTP/1.0\r\nhost: evil\r\n\r\n",
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: t\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
        "POST /v1/accounts/a%20b/weight?weight=-1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
    for (headers, body) in [
        ("ce-type: item.new\r\nce-subject: %0d%0a\r\n", "body"),
        ("content-type: application/cloudevents+json\r\n", EVENT),
        ("content-type: application/cloudevents-batch+json\r\n", "[{\"type\":\"a\"},{}]"),
        ("content-type: application/x-ndjson\r\n", "{\"type\":\"a\"}\nno\n{\"type\":\"b\"}"),
        ("content-type: application/cloudevents+xml\r\ncontent-encoding: gzip\r\n", "<x/>"),
    ] {
        seeds.push(post(headers, body).into_bytes());
    }
    seeds
}

pub(crate) fn answers() -> Seeds {
    let bodies = [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 429 Too Many\r\nretry-after: Sun, 06 Nov 2094 08:49:37 GMT\r\ncontent-length: 9999\r\n\r\nx",
        "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
        "SSH-2.0-x\r\n",
    ];
    bodies
        .iter()
        .flat_map(|body| [format!("\0{body}"), format!("\u{1}{body}")])
        .map(String::into_bytes)
        .collect()
}

pub(crate) fn retry_after() -> Seeds {
    texts(&[
        "120",
        "99999999999999999999",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "-1",
        " 7 ",
    ])
}

pub(crate) fn config_files() -> Seeds {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut seeds = texts(&[
        "[flow]\nwrokers = 1\n[[routes]]\ntype = [\"a\"]\nto = [\"b\"]\n",
        "[http]\ntoken = { env = \"SECRET\" }\n[endpoints.a]\nkind = \"file\"\npath = \"x\"\n[[routes]]\ntype = [\"#\"]\nto = [\"a\"]\n",
        "[endpoints.a]\nkind = \"http\"\nurl = \"http://u:p@h/\"\nheaders = { x = { file = \"/dev/null\" } }\nretry = { attempts = 0, first = \"2h\", max = \"1s\" }\nrate = \"5/s\"\n",
        "[endpoints.\"\\u0000\"]\nkind = 1\n[http]\nlisten = \"0.0.0.0:99999\"\nmax_body = \"1XB\"\n",
        "[bus]\nname = \"shop\"\nname = \"twice\"\nx = 99999999999999999999\ny = 1979-05-27T07:32:00Z\nz = inf\n",
    ]);
    let deep = "a.".repeat(20_000);
    seeds.push(format!("{deep}a = 1\n").into_bytes());
    seeds.push(format!("[{deep}a]\nb = 1\n").into_bytes());
    seeds.push(format!("a = {}", "[".repeat(20_000)).into_bytes());
    seeds.push(format!("[flow]\n{} = 1\n", "workers".repeat(2_000)).into_bytes());
    let mut files: Vec<_> = fs::read_dir(config).into_iter().flatten().filter_map(Result::ok).collect();
    files.sort_by_key(std::fs::DirEntry::path);
    seeds.extend(files.iter().filter_map(|file| fs::read(file.path()).ok()));
    seeds
}

pub(crate) fn overrides() -> Seeds {
    let deep = "a.".repeat(20_000);
    texts(&[
        &format!("{deep}a=1\nBUSWAY__{}A=1", "A__".repeat(20_000)),
        &format!("a={}\nb={}", "[".repeat(20_000), "{a=".repeat(20_000)),
        "flow.workers=7\nbus.name=\"x\"\nBUSWAY__FLOW__MAX_SHARE=0.5",
        "BUSWAY__ENDPOINTS__A={ kind = \"exec\", command = [\"true\"] }\nroutes=[{ type = [\"a\"], to = [\"a\"] }]",
        "BUSWAY____=1\n=\n.\na.b.c.d=1\nBUSWAY__http__token={ env = \"NONE\" }",
        "http.listen=127.0.0.1:0\nhttp.max_body=300KiB\ntransports.local.path=a\nflow.window=1h30m",
    ])
}

pub(crate) fn values() -> Seeds {
    texts(&[
        "10s",
        "1h30m",
        "500ms",
        "213503982334d",
        "64MiB",
        "1 kB",
        "16777216TiB",
        "18446744073709551615",
        "500/s",
        "18446744073709551615/d",
        "0/s",
        " 1d1ms ",
    ])
}

pub(crate) fn routes() -> Seeds {
    texts(&[
        "item.*\nitem.new\nacme",
        "#\n\n",
        "a.#.b.#.c\na.x.b.b.y.c\na.b.c",
        "*\na\na.b",
        "#.#.#.*.#\na.b\n*",
        "a..b\na\na",
        &format!("{}x\n{}\na", "#.a.".repeat(40), "a.".repeat(200)),
    ])
}

pub(crate) fn names() -> Seeds {
    texts(&["a", "shop-1_b", "to.items", "priority", "error:timeout", "error:", "\u{e9}", &"a".repeat(42)])
}

pub(crate) fn times() -> Seeds {
    texts(&[
        "2026-01-31T12:00:00Z",
        "1970-01-01T00:00:00.0001Z",
        "9999-12-31T23:59:59.9999999Z",
        "0000-01-01T00:00:00-23:59",
        "2016-12-31T23:59:60Z",
        "1969-12-31T23:59:59.9999Z",
    ])
}

pub(crate) fn stored_messages() -> Seeds {
    sample().iter().map(busway_embedded::fuzz::encode_message).collect()
}

/// What is in the groups of a log.
pub(crate) fn records() -> Seeds {
    let log = log();
    let mut groups = Vec::new();
    // Behind the file's header: each group's length stands behind four bytes of its own.
    let mut rest = &log[56..];
    while let Some((header, behind)) = rest.split_at_checked(32) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some((group, behind)) = behind.split_at_checked(length) else { break };
        groups.push(group.to_vec());
        rest = behind;
    }
    groups
}

pub(crate) fn segments() -> Seeds {
    [0, 1].map(|how| [&[how], &log()[..]].concat()).into()
}

pub(crate) fn versions() -> Seeds {
    texts(&["busway-embedded 1\n", "busway-embedded 99\n", "busway-embedded", "", "another 1\n"])
}

pub(crate) fn frames() -> Seeds {
    vec![
        b"\0\0\0\x02{}\0\0\0\0".to_vec(),
        b"\0\0\0\x05{}".to_vec(),
        b"\xff\xff\xff\xff{}".to_vec(),
        b"\0\0\x10\0x".to_vec(),
    ]
}

pub(crate) fn calls() -> Seeds {
    let mut seeds = texts(&[
        r#"{"verb":"ping"}"#,
        r#"{"verb":"peek","params":{"queue":"dead","max":18446744073709551615}}"#,
        r#"{"verb":"dead-list","params":{"filter":{"id":"1","type":null},"max":3}}"#,
        r#"{"verb":"run-once","params":{"workers":1,"limit":null}}"#,
        r#"{"verb":"account-weight","params":{"name":"a","weight":4294967296}}"#,
        r#"{"verb":"publish","params":{"messages":[{"event":{"type":"t","data":1},"content_type":null}],"deadline_ms":1}}"#,
    ]);
    seeds.extend(busway::remote::fuzz::publish(sample()));
    seeds
}

pub(crate) fn call_answers() -> Seeds {
    texts(&[
        r#"{"ok":[{"id":"1","outcome":"stored"}]}"#,
        r#"{"error":{"kind":"NotFound","class":"reject","place":"local/dead","text":"there is none"}}"#,
        r#"{"error":{"kind":"Else","class":"else","place":null,"text":""}}"#,
        r#"{"ok":null,"error":null}"#,
    ])
}

pub(crate) fn gate_rows() -> Seeds {
    texts(&[
        r#"{"quiet_until":1700000000000,"breaker_until":null}"#,
        r#"{"quiet_until":18446744073709551615,"breaker_until":18446744073709551615}"#,
        r#"{"quiet_until":-1,"breaker_until":"x"}"#,
        "[]",
        "1",
    ])
}

pub(crate) fn state_files() -> Seeds {
    let folder = folder();
    let path = folder.path().join("state.db");
    block_on(async {
        let state = SqliteState::open(&path).await.unwrap();
        for key in ["pause/endpoint/it", "weight/account/acme", "gate/it"] {
            state.swap(key, None, Some(Bytes::from_static(b"1"))).await.unwrap();
        }
        state.close().await.unwrap();
    });
    vec![fs::read(path).unwrap(), Vec::new(), b"SQLite format 3\0".to_vec()]
}

/// Messages with each attribute there is.
fn sample() -> Vec<Message> {
    let mut full = busway_core::envelope::json::decode(EVENT.as_bytes()).unwrap();
    full.id = "full".to_owned();
    full.destination = Some("it".to_owned());
    full.reason = Some(Reason::error("timeout"));
    let plain = Message::new("t", "body").id("plain").account("acme").priority(0);
    vec![plain, full, Message::new("t", Bytes::from_static(&[0, 255])).id("bytes").content_type("x/y")]
}

/// A log with messages, some of which were settled, retried and counted.
fn log() -> Vec<u8> {
    let folder = folder();
    block_on(async {
        let store = open(folder.path()).unwrap();
        store.declare(&[Queue::Priority, Queue::Delayed, Queue::Dead], Declare::Create).await.unwrap();
        let sender = store.sender().await.unwrap();
        let queues = [Queue::Priority, Queue::Delayed, Queue::Dead];
        for (message, queue) in sample().into_iter().cycle().zip(queues.into_iter().cycle()).take(7) {
            let mut publication = Publication::new(queue, message);
            publication.group = Some(Group { key: 5, position: Some(2) });
            sender.publish(vec![publication]).await.remove(0).unwrap();
        }
        let reader = store.receiver(&Queue::Priority, ReceiverOptions::default()).await.unwrap();
        let after = std::time::Duration::from_secs(3_600);
        let retry = Outcome::Retry { after, reason: Reason::error("timeout") };
        for outcome in [Outcome::Ack, retry] {
            for leased in reader.receive(Want::new(1, std::time::Duration::from_secs(1))).await.unwrap() {
                reader.settle(vec![(leased.receipt, outcome.clone())]).await.remove(0).unwrap();
            }
        }
        store.close().await.unwrap();
    });
    fs::read(folder.path().join(FILE)).unwrap()
}
