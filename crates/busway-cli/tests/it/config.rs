//! `config init|check|show|schema`, and what a wrong configuration does to every verb.

use crate::bus::until;
use crate::harness::Place;

#[test]
fn what_init_writes_is_checked_and_shown() {
    let place = Place::new();
    let init = place.run("config init");
    assert_eq!((init.code, init.stdout.as_str()), (Some(0), "wrote busway.toml\n"), "{}", init.stderr);
    let check = place.run("config check");
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), "ok: busway.toml\n"), "{}", check.stderr);
    let show = place.run("config show");
    assert_eq!(show.code, Some(0));
    assert!(show.stdout.contains("name = \"shop\"  # busway.toml:5\n"), "{}", show.stdout);
    assert!(show.stdout.contains("credit = 1024  # default\n"), "{}", show.stdout);
    assert_eq!(place.run("config init").code, Some(1));
    assert_eq!(place.run("config init --force").code, Some(0));
    assert_eq!(place.run("config init other.toml --json").stdout, "{\"file\":\"other.toml\"}\n");
    assert_eq!(place.run("config init -").stdout, std::fs::read_to_string(place.path("other.toml")).unwrap());
}

#[test]
fn the_schema_is_printed_whatever_the_configuration() {
    let place = Place::new().file("busway.toml", "[flow]\nwrokers = 1\n");
    let long = place.run("config schema");
    assert_eq!((long.code, long.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&long.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["flow"]["properties"]["workers"]["default"], 64);
    assert!(long.stdout.lines().count() > 100, "{}", long.stdout);
    let short = place.run("config schema --json");
    assert_eq!(short.stdout.lines().count(), 1);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&short.stdout).unwrap(), schema);
}

#[test]
fn the_layers_stand_over_each_other() {
    let place = Place::new()
        .file("a.toml", "[flow]\nworkers = 5\nwindow = \"7s\"\n")
        .file("busway.toml", "[flow]\nworkers = 6\n")
        .env("BUSWAY__FLOW__WINDOW", "9s");
    let shown = |words: &str| -> serde_json::Value {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let json = shown("-c a.toml --set flow.credit=7 config show --set flow.credit_bytes=3MiB --json");
    assert_eq!(json["flow"]["workers"], serde_json::json!({ "value": 5, "origin": "a.toml:2" }));
    assert_eq!(json["flow"]["window"]["value"], "9s");
    assert_eq!(json["flow"]["window"]["origin"], "BUSWAY__FLOW__WINDOW");
    assert_eq!(json["flow"]["credit"]["value"], 7);
    assert_eq!(json["flow"]["credit_bytes"]["origin"], "--set flow.credit_bytes");
    assert_eq!(shown("config show --json")["flow"]["workers"]["value"], 6);
    assert_eq!(shown("config show --json -c a.toml")["flow"]["workers"]["value"], 5);
}

#[test]
fn busway_config_names_the_file() {
    let place = Place::new()
        .file("a.toml", "[bus]\nname = \"other\"\n")
        .file("b.toml", "[bus]\nname = \"third\"\n")
        .file("busway.toml", "[bus]\nname = \"here\"\n")
        .env("BUSWAY_CONFIG", "a.toml");
    assert!(place.run("config show").stdout.contains("name = \"other\"  # a.toml:2\n"));
    assert!(place.run("config show -c b.toml").stdout.contains("name = \"third\"  # b.toml:2\n"));
    let place = place.env("BUSWAY_CONFIG", "no-such.toml");
    assert_eq!(place.run("config show").code, Some(2), "./busway.toml is no way out");
}

#[test]
fn a_mistake_is_exit_2_for_every_verb_before_anything_is_touched() {
    let place =
        Place::new().file("busway.toml", "[flow]\nwrokers = 1\n\n[[routes]]\ntype = [\"a\"]\nto = [\"b\"]\n");
    for verb in
        ["config check", "config show", "queues", "run", "run --once", "publish --type a", "dead list"]
    {
        let ran = place.run(verb);
        assert_eq!(ran.code, Some(2), "{verb}: {}", ran.stderr);
        let expected = "busway.toml:2:1: flow: unknown key `wrokers`; did you mean `workers`?\n\
                        busway.toml:6:7: routes[0].to[0]: there is no endpoint \"b\"; none is configured\n";
        assert_eq!(ran.stderr, expected, "{verb}");
        assert_eq!(ran.stdout, "", "{verb}");
    }
    assert_eq!(std::fs::read_dir(place.path(".")).unwrap().count(), 1, "a verb has left something behind");
}

#[test]
fn mistakes_outside_of_files_name_their_place() {
    let ran = Place::new().env("BUSWAY__FLOW__WORKERS", "x").run("config check --set flow.windw=1s");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("BUSWAY__FLOW__WORKERS: flow.workers: expected a whole number"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--set flow.windw: flow: unknown key `windw`; did you mean `window`?"));
    let ran = Place::new().run("config check -c no-such.toml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("no-such.toml"), "{}", ran.stderr);
}

#[test]
fn verify_prints_what_an_administrator_must_create_and_is_exit_2() {
    let verified = "[bus]\nname = \"shop\"\n[transports.local]\nkind = \"embedded\"\ndeclare = \"verify\"\n";
    let place = Place::new().file("busway.toml", verified);
    for verb in ["run", "run --once", "publish --type a", "queues"] {
        let ran = place.run(verb);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{verb}: {}", ran.stderr);
        let expected =
            "transports.local: an administrator must create: shop.priority, shop.delayed, shop.dead";
        assert!(ran.stderr.contains(expected), "{verb}: {}", ran.stderr);
    }
    assert_eq!(place.run("queues --set transports.local.declare=create").code, Some(0));
    assert_eq!(place.run("queues").code, Some(0));
    let further = format!("{verified}[endpoints.q]\nkind = \"queue\"\nqueue = \"further\"\n");
    std::fs::write(place.path("busway.toml"), further).unwrap();
    let ran = place.run("run");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("an administrator must create: shop.further"), "{}", ran.stderr);
}

#[test]
fn a_route_without_an_account_a_pattern_of_no_word_and_attempts_are_what_the_file_says() {
    let text = r##"
        [endpoints.audit]
        kind = "file"
        path = "audit.jsonl"
        [endpoints.ill]
        kind = "exec"
        command = ["sh", "-c", "echo tried >> tries; exit 3"]
        retry = { attempts = 2, first = "1ms", max = "1ms" }
        [[routes]]
        type = ["item.#"]
        to = ["audit"]
        [[routes]]
        type = ["#"]
        account = ["acme"]
        to = ["audit"]
        [[routes]]
        type = ["bad"]
        to = ["ill"]
    "##;
    let place = Place::new().file("busway.toml", text).env("PATH", "/usr/bin:/bin");
    // The first by both routes, two without an account, one by its account alone.
    let by_account = "--type other.b.c --account acme";
    for words in ["--type item --account acme", "--type item", "--type item.a", by_account, "--type bad"] {
        assert_eq!(place.run(&format!("publish {words}")).code, Some(0));
    }
    let dead = || -> serde_json::Value {
        assert_eq!(place.run("run --once").code, Some(0));
        serde_json::from_str(&place.run("dead list --json").stdout).unwrap()
    };
    until("its tries are spent", || dead()[0]["attempts"] == 2);
    let lines = |file: &str| std::fs::read_to_string(place.path(file)).unwrap().lines().count();
    assert_eq!((lines("audit.jsonl"), lines("tries")), (4, 2));
    assert_eq!(dead().as_array().unwrap().len(), 1);
}

#[test]
fn a_secret_that_is_not_set_is_exit_2_by_its_name_and_one_that_is_set_is_hidden() {
    let text = "[http]\ntoken = { env = \"SHOP_TOKEN\" }\n";
    let ran = Place::new().file("busway.toml", text).run("queues");
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.stderr, "busway.toml:2:1: http.token: environment variable SHOP_TOKEN is not set\n");
    let place = Place::new().file("busway.toml", text).env("SHOP_TOKEN", "hunter2");
    for verb in ["config show", "config show --json", "config check"] {
        let ran = place.run(verb);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{}", ran.stdout);
    }
    assert!(place.run("config show").stdout.contains("token = { env = \"SHOP_TOKEN\" }  # busway.toml:2\n"));
}
