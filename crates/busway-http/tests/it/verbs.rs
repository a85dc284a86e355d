//! The operator's verbs.

use busway_core::ErrorKind;
use serde_json::json;

use crate::Served;
use crate::client::Request;

#[test]
fn looks_answer_the_rows_of_the_bus() {
    let served = Served::new();
    let queues = served.get("/v1/queues").json();
    assert_eq!(queues["queues"][0]["physical"], "shop.priority");
    assert_eq!(queues["queues"][0]["delayed"], json!(null));
    assert_eq!(queues["endpoints"][0]["endpoint"], "audit");
    assert_eq!(served.get("/v1/endpoints").json()[0]["delivered"], 9);
    assert_eq!(served.get("/v1/accounts").json()[0]["account"], "acme");
    assert_eq!(served.get("/v1/snapshots").json()["router"]["state"], "running");
    assert_eq!(served.bus.calls(), ["queues", "endpoints", "accounts"]);
}

#[test]
fn a_peek_is_bounded() {
    let served = Served::new();
    assert_eq!(served.get("/v1/messages/priority").json()[0]["id"], "p1");
    assert_eq!(served.get("/v1/messages/delayed?n=3").status, 200);
    let why = served.get("/v1/messages/delayed?why=true").json();
    assert_eq!(why[0]["waits"]["why"], "paused: endpoint audit");
    assert_eq!(
        served.bus.calls(),
        ["peek priority 10 false", "peek delayed 3 false", "peek delayed 10 true"]
    );
    for query in ["n=0", "n=1001", "n=x", "m=3", "why=perhaps"] {
        assert_eq!(served.get(&format!("/v1/messages/priority?{query}")).status, 400, "{query}");
    }
    assert!(served.bus.calls().is_empty());
}

#[test]
fn a_message_is_traced() {
    let served = Served::new();
    let trace = served.get("/v1/trace/d%2F1").json();
    assert_eq!((trace["id"].as_str(), trace["missing"].as_u64()), (Some("d/1"), Some(2)));
    assert!(trace["where"].is_array() && trace["events"].is_array());
    assert_eq!(served.get("/v1/trace/other").status, 404);
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let served = Served::new();
    let row = &served.get("/v1/dead?type=t&account=a%26b&limit=7").json()[0];
    assert_eq!((row["id"].as_str(), row["destination"].clone()), (Some("d/1"), json!(null)));
    let calls = served.bus.calls();
    assert!(calls[0].contains(r#"type: Some("t"), account: Some("a&b"), destination: None"#), "{calls:?}");
    assert!(calls[0].ends_with(" 7"), "{calls:?}");
    let shown = served.get("/v1/dead/d%2F1");
    assert_eq!(shown.status, 200);
    assert!(shown.text().contains(r#""message":{"id":"d1","data":1.50}"#), "{shown:?}");
    assert_eq!(served.get("/v1/dead/other").status, 404);
    assert_eq!(served.get("/v1/dead?limit=0").status, 400);
    assert_eq!(served.get("/v1/dead?typ=t").status, 400);
}

#[test]
fn replay_and_delete_take_selectors_and_nothing_without() {
    let served = Served::new();
    let replay = |query: &str, body: &str| {
        served.send(&Request::new("POST", &format!("/v1/dead/replay{query}")).body(body))
    };
    assert_eq!(replay("?id=x", "").json(), json!({ "replayed": 4 }));
    assert_eq!(replay("", r#"{"account":"acme"}"#).json(), json!({ "replayed": 4 }));
    assert_eq!(replay("?all=true&rate=2.5&limit=9", "").json(), json!({ "replayed": 4 }));
    let calls = served.bus.calls();
    assert!(calls[0].contains(r#"id: Some("x")"#), "{calls:?}");
    assert!(calls[1].contains(r#"account: Some("acme")"#), "{calls:?}");
    assert!(calls[2].contains("id: None, type: None, account: None, destination: None"), "{calls:?}");
    assert!(calls[2].contains("max: Some(9), rate: Some(2.5)"), "{calls:?}");
    for (query, body) in [
        ("", ""),
        ("", "{}"),
        ("?all=false", ""),
        ("?all=true&id=x", ""),
        ("?acount=acme", ""),
        ("", r#"{"acount":"acme"}"#),
        ("?id=x", r#"{"id":"x"}"#),
        ("?all=true&rate=0", ""),
        ("?since=yesterday", ""),
        ("", "nonsense"),
    ] {
        assert_eq!(replay(query, body).status, 400, "{query} {body}");
        let delete = Request::new("DELETE", &format!("/v1/dead{query}")).body(body);
        assert_eq!(served.send(&delete).status, 400, "{query} {body}");
    }
    assert!(served.bus.calls().is_empty());
    let delete = served
        .send(&Request::new("DELETE", "/v1/dead?destination=audit&reason=error&until=1970-01-01T00:00:01Z"));
    assert_eq!((delete.status, delete.json()), (200, json!({ "deleted": 5 })));
    let call = served.bus.calls().remove(0);
    assert!(call.contains(r#"destination: Some("audit"), reason: Some("error")"#), "{call}");
    assert!(call.contains("since: None, until: Some(1000)"), "{call}");
}

#[test]
fn endpoints_and_accounts_are_paused_resumed_tested_and_weighed() {
    let served = Served::new();
    let act = |method: &str, path: &str, body: &str| served.send(&Request::new(method, path).body(body));
    for (method, path, body) in [
        ("POST", "/v1/endpoints/audit/pause", ""),
        ("POST", "/v1/endpoints/audit/resume", ""),
        ("POST", "/v1/endpoints/audit/test", ""),
        ("POST", "/v1/accounts/a%2Fb/pause", ""),
        ("POST", "/v1/accounts/-/resume", ""),
        ("PUT", "/v1/accounts/acme/weight", r#"{"weight":5}"#),
        ("PUT", "/v1/accounts/acme/weight?weight=6", ""),
    ] {
        assert_eq!(act(method, path, body).status, 200, "{path}");
    }
    assert_eq!(
        served.bus.calls(),
        [
            "endpoint_pause audit true",
            "endpoint_pause audit false",
            "endpoint_test audit",
            "account_pause a/b true",
            "account_pause - false",
            "account_weight acme 5",
            "account_weight acme 6",
        ]
    );
    for (method, path, status) in [
        ("POST", "/v1/endpoints/audit/stop", 404),
        ("POST", "/v1/accounts/acme/stop", 404),
        ("PUT", "/v1/accounts/acme/weight?weight=0", 400),
        ("PUT", "/v1/accounts/acme/weight?weight=1001", 400),
        ("PUT", "/v1/accounts/acme/weight", 400),
        ("GET", "/v1/endpoints/audit/pause", 405),
    ] {
        assert_eq!(act(method, path, "").status, status, "{method} {path}");
    }
    assert!(served.bus.calls().is_empty());
}

#[test]
fn an_error_of_the_bus_has_its_status_and_class() {
    let served = Served::new();
    for (kind, status, class) in [
        (ErrorKind::NotFound, 404, "fatal"),
        (ErrorKind::Unavailable, 503, "reconnect"),
        (ErrorKind::Timeout, 503, "retry"),
        (ErrorKind::Unsupported, 501, "unsupported"),
        (ErrorKind::Corrupt, 500, "fatal"),
    ] {
        *served.bus.error.lock().unwrap() = Some(kind);
        let reply = served.get("/v1/messages/priority");
        assert_eq!((reply.status, reply.json()["class"].clone()), (status, json!(class)), "{kind:?}");
        assert!(reply.json()["error"].as_str().unwrap().contains("as it was told"));
        let replay = served.send(&Request::new("POST", "/v1/dead/replay?all=true"));
        assert_eq!(replay.status, status, "{kind:?}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let served = Served::new();
    for path in ["/", "/v1", "/v1/", "/v1/queues/", "/etc/passwd", "/../../etc/passwd"] {
        let reply = served.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].is_string());
    }
    let reply = served.get("/v1/messages");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    let reply = served.send(&Request::new("DELETE", "/v1/queues"));
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_head_is_a_get_without_its_body() {
    let served = Served::new();
    for path in ["/v1/queues", "/metrics", "/readyz", "/v1/dead"] {
        let head = served.send(&Request::new("HEAD", path));
        assert_eq!(head.status, 200, "{path}");
        assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 0, "{head:?}");
    }
}

#[test]
fn a_reload_is_not_there_where_the_process_lends_none() {
    let served = Served::new();
    let reply = served.send(&Request::new("POST", "/v1/reload"));
    assert_eq!((reply.status, served.get("/v1/reload").status), (404, 405), "{}", reply.text());
}
