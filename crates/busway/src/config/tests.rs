//! The configuration as a user meets it: layers, mistakes with their places, what is shown.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

const EXAMPLE: &str = include_str!("../../../../config/example.toml");

struct Case {
    dir: tempfile::TempDir,
    options: LoadOptions,
}

impl Case {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("busway.toml");
        std::fs::write(&file, text).unwrap();
        Self { dir, options: LoadOptions { file: Some(file), ..LoadOptions::default() } }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.options.env.push((OsString::from(name), OsString::from(value)));
        self
    }

    fn set(mut self, set: &str) -> Self {
        self.options.set.push(set.to_owned());
        self
    }

    fn loaded(&self) -> Loaded {
        load(&self.options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The mistakes, with the directory of the file taken off.
    fn mistakes(&self) -> String {
        let error = load(&self.options).expect_err("the configuration has no mistake");
        error.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

#[track_caller]
fn assert_mistake(case: &Case, expected: &str) {
    assert_eq!(case.mistakes(), expected);
}

#[test]
fn the_example_of_the_documentation_loads() {
    let config = Case::new(EXAMPLE).loaded().config;
    assert_eq!(config.bus.name, "shop");
    assert_eq!(config.bus.state, "sqlite:var/shop/state.db");
    assert_eq!(config.transports["local"], Transport::embedded("var/shop/queues"));
    assert_eq!(config.http.unwrap().listen.to_string(), "127.0.0.1:8620");
    assert_eq!(config.flow, Flow::default());
    let inventory = &config.endpoints["inventory"];
    assert_eq!(inventory.policy.timeout, Duration::from_secs(15));
    assert_eq!(inventory.policy.concurrency, Concurrency { min: 1, max: Some(16) });
    assert_eq!(inventory.policy.rate.unwrap().per_second(), 500.0);
    assert_eq!(inventory.policy.retry, Retry::default());
    let Target::File(audit) = &config.endpoints["audit"].target else { panic!("not a file") };
    assert_eq!(audit.path, PathBuf::from("var/shop/audit.jsonl"));
    assert_eq!(config.routes[0].r#type, ["item.*", "customer.#"]);
    assert_eq!(config.routes[0].to, ["inventory", "audit"]);
}

#[test]
fn the_default_file_is_the_declared_one_and_loads_to_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/default.toml");
    if std::env::var_os("BUSWAY_WRITE_DEFAULTS").is_some() {
        std::fs::write(path, default_file()).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text == default_file(), "config/default.toml is stale: BUSWAY_WRITE_DEFAULTS=1 writes it anew");
    assert_eq!(Case::new(&text).loaded().config, Config::default());
}

#[test]
fn an_empty_file_gives_the_defaults_and_they_are_valid() {
    let config = Case::new("").loaded().config;
    assert_eq!(config, Config::default());
    assert_eq!(config.validate(), Ok(()));
    assert_eq!(Config::named("shop").bus.state, "sqlite:var/shop/state.db");
    assert_eq!(Config::named("shop").transports["local"], Transport::embedded("var/shop/queues"));
}

#[test]
fn later_layers_win_and_tables_are_merged() {
    let case = Case::new(EXAMPLE)
        .env("BUSWAY__FLOW__WORKERS", "8")
        .env("busway__flow__window", "20s")
        .env("BUSWAY__ENDPOINTS__INVENTORY__RETRY__ATTEMPTS", "3")
        .env("BUSWAY_LOG", "debug")
        .set("flow.workers=4")
        .set("endpoints.audit={ timeout = \"2s\" }");
    let loaded = case.loaded();
    assert_eq!(loaded.config.flow.workers, 4);
    assert_eq!(loaded.config.flow.window, Duration::from_secs(20));
    let retry = &loaded.config.endpoints["inventory"].policy.retry;
    assert_eq!((retry.attempts, retry.max), (3, Duration::from_secs(3_600)));
    assert_eq!(loaded.config.endpoints["audit"].policy.timeout, Duration::from_secs(2));
    assert_eq!(loaded.origins["flow.workers"], Origin::Set("flow.workers".into()));
    assert_eq!(loaded.origins["flow.window"], Origin::Env("busway__flow__window".into()));
    assert!(matches!(&loaded.origins["bus.name"], Origin::File { line: 5, .. }), "{:?}", loaded.origins);
}

#[test]
fn a_variable_finds_a_name_with_hyphens_and_text_that_looks_like_a_number() {
    let text = "[endpoints.my-file]\nkind = \"file\"\npath = \"a\"\n[http]\n";
    let case =
        Case::new(text).env("BUSWAY__ENDPOINTS__MY_FILE__PATH", "12").env("BUSWAY__HTTP__TOKEN", "0123");
    let config = case.loaded().config;
    let Target::File(file) = &config.endpoints["my-file"].target else { panic!("not a file") };
    assert_eq!(file.path, PathBuf::from("12"));
    assert_eq!(config.http.unwrap().token.unwrap().expose(), "0123");
}

#[test]
fn a_variable_is_read_as_toml_else_as_text_whatever_its_case() {
    let text = "[endpoints.my-file]\nkind = \"file\"\npath = \"a\"\n";
    let config = Case::new(text)
        .env("Busway__Http__Hosts", "[\"a\", \"b\"]")
        .env("BUSWAY__HTTP__TOKEN", "{ env = \"SHOP_TOKEN\" }")
        .env("SHOP_TOKEN", "s3cret")
        .env("busway__bus__NAME", "shop")
        .env("BUSWAY__FLOW__MAX_SHARE", "0.5")
        .env("BUSWAY__ENDPOINTS__MY_FILE__CONCURRENCY", "{ max = 3 }")
        .env("BUSWAY__ENDPOINTS__MY_FILE__TIMEOUT", "\"2s\"")
        .env("BUSWAY__ENDPOINTS__MORE", "{ kind = \"file\", path = \"b\" }")
        .loaded()
        .config;
    let http = config.http.unwrap();
    assert_eq!(
        (http.hosts.as_slice(), http.token.unwrap().expose()),
        (&["a".into(), "b".into()][..], "s3cret")
    );
    assert_eq!((config.bus.name.as_str(), config.flow.max_share), ("shop", 0.5));
    assert_eq!(config.endpoints.keys().collect::<Vec<_>>(), ["more", "my-file"]);
    let policy = &config.endpoints["my-file"].policy;
    assert_eq!(policy.concurrency, Concurrency { min: 1, max: Some(3) });
    assert_eq!(policy.timeout, Duration::from_secs(2));
}

#[test]
fn an_unknown_key_names_its_line_and_what_was_meant() {
    assert_mistake(
        &Case::new("[bus]\nname = \"shop\"\n\n[flow]\nwrokers = 3\n"),
        "busway.toml:5:1: flow: unknown key `wrokers`; did you mean `workers`?",
    );
    assert_mistake(&Case::new("[flows]\n"), "busway.toml:1:2: unknown key `flows`; did you mean `flow`?");
    assert_mistake(
        &Case::new("[endpoints.a]\nkind = \"file\"\npath = \"x\"\nurl = \"y\"\n"),
        "busway.toml:4:1: endpoints.a: unknown key `url`; known: kind, path, timeout, concurrency, rate, retry, order",
    );
    assert_mistake(
        &Case::new("[endpoints.a]\nkind = \"file\"\npath = \"x\"\nretry = { atempts = 3 }\n"),
        "busway.toml:4:11: endpoints.a.retry: unknown key `atempts`; did you mean `attempts`?",
    );
}

#[test]
fn an_unknown_kind_names_the_known_ones() {
    assert_mistake(
        &Case::new(
            "[transports.local]\nkind = \"embedded\"\n[transports.mq]\nkind = \"rabbitmq\"\nurl = \"x\"\n",
        ),
        "busway.toml:4:1: transports.mq.kind: unknown kind \"rabbitmq\"; known: embedded",
    );
    assert_mistake(
        &Case::new("[endpoints.a]\nkind = \"htpp\"\n"),
        "busway.toml:2:1: endpoints.a.kind: unknown kind \"htpp\"; did you mean `http`?",
    );
    assert_mistake(
        &Case::new("[endpoints.a]\npath = \"x\"\n"),
        "busway.toml:1:12: endpoints.a: `kind` is missing; known: http, file, queue, exec",
    );
}

#[test]
fn a_wrong_type_names_what_is_expected() {
    for (text, expected) in [
        ("flow = 1", "busway.toml:1:1: flow: expected a table, found an integer"),
        ("flow.workers = \"many\"", "busway.toml:1:6: flow.workers: expected a whole number, found a string"),
        ("flow.workers = -1", "busway.toml:1:6: flow.workers: -1 is out of range"),
        ("flow.workers = 0", "busway.toml:1:6: flow.workers: must be 1 to 65536"),
        (
            "transports.local = { kind = \"embedded\", max_message = \"200KiB\" }",
            "busway.toml:1:41: transports.local.max_message: must be 336KiB to 64MiB",
        ),
        (
            "http.max_body = \"8MiB\"",
            "busway.toml:1:6: http.max_body: is more than the bus's transport can carry: its `max_message` must \
             be 136KiB larger",
        ),
        ("flow.max_share = 1.5", "busway.toml:1:6: flow.max_share: must be above 0 and at most 1"),
        (
            "flow.window = 10",
            "busway.toml:1:6: flow.window: expected a duration such as \"10s\", found an integer",
        ),
        (
            "flow.window = \"10\"",
            "busway.toml:1:6: flow.window: \"10\" is not a duration such as \"10s\", \"500ms\", \"1h\" or \"2d\"",
        ),
        (
            "bus.name = \"Shop\"",
            "busway.toml:1:5: bus.name: \"Shop\" is not a name; use a lower-case letter, then at most 40 of a-z 0-9 _ -",
        ),
        ("bus.state = \"mysql:x\"", "busway.toml:1:5: bus.state: not a state store; known: sqlite:PATH"),
        (
            "[[routes]]\ntype = \"a\"\nto = [1]",
            "busway.toml:2:1: routes[0].type: expected a list, each a string, found a string\n\
             busway.toml:3:7: routes[0].to[0]: expected a string, found an integer",
        ),
    ] {
        assert_mistake(&Case::new(text), expected);
    }
}

#[test]
fn a_missing_reference_names_its_line_and_what_was_meant() {
    assert_mistake(
        &Case::new(&EXAMPLE.replace("\"audit\"]", "\"audti\"]")),
        "busway.toml:39:20: routes[0].to[1]: there is no endpoint \"audti\"; did you mean `audit`?",
    );
    assert_mistake(
        &Case::new(&EXAMPLE.replace("transport = \"local\"", "transport = \"locla\"")),
        "busway.toml:6:1: bus.transport: there is no transport \"locla\"; did you mean `local`?",
    );
    assert_mistake(
        &Case::new("[endpoints.q]\nkind = \"queue\"\nqueue = \"next\"\ntransport = \"elsewhere\"\n"),
        "busway.toml:4:1: endpoints.q.transport: there is no transport \"elsewhere\"; known: local",
    );
    assert_mistake(
        &Case::new("[[routes]]\ntype = [\"#\"]\nto = [\"a\"]\n"),
        "busway.toml:3:7: routes[0].to[0]: there is no endpoint \"a\"; none is configured",
    );
}

#[test]
fn a_missing_setting_is_named_with_its_section() {
    assert_mistake(
        &Case::new("\n[endpoints.a]\nkind = \"http\"\n"),
        "busway.toml:2:12: endpoints.a: `url` is missing; it is a string",
    );
    assert_mistake(
        &Case::new("[endpoints.a]\nkind = \"file\"\npath = \"x\"\n[[routes]]\nto = [\"a\"]\n"),
        "busway.toml:4:1: routes[0]: `type` is missing; it is a list",
    );
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_their_lines() {
    let text =
        "[bus]\nname = 1\ncolour = 2\n[flow]\nworkers = \"x\"\n[[routes]]\ntype = [\"a*\"]\nto = [\"b\"]\n";
    let mistakes = Case::new(text).set("flow.creidt=1").mistakes();
    let places: Vec<&str> = mistakes.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "busway.toml:2:1",
        "busway.toml:3:1",
        "busway.toml:5:1",
        "busway.toml:7:9",
        "busway.toml:8:7",
        "--set flow.creidt",
    ];
    assert_eq!(places, expected, "{mistakes}");
}

#[test]
fn mistakes_of_syntax_name_their_line_and_do_not_repeat_it() {
    let mistakes = Case::new("[bus]\nname = \"shop\"\ntoken = hunter2\n").mistakes();
    assert!(mistakes.starts_with("busway.toml:3:"), "{mistakes}");
    assert!(!mistakes.contains("hunter2"), "{mistakes}");
    let twice = Case::new("[bus]\nname = \"a\"\nname = \"b\"\n").mistakes();
    assert!(twice.starts_with("busway.toml:3:1: duplicate key"), "{twice}");
}

#[test]
fn mistakes_of_variables_and_flags_name_them() {
    assert_mistake(
        &Case::new("").env("BUSWAY__FLOW__WORKES", "3"),
        "BUSWAY__FLOW__WORKES: flow: unknown key `workes`; did you mean `workers`?",
    );
    assert_mistake(
        &Case::new("").env("BUSWAY__FLOW__WORKERS", "many"),
        "BUSWAY__FLOW__WORKERS: flow.workers: expected a whole number, found a string",
    );
    assert_mistake(
        &Case::new("").env("BUSWAY__FLOW__", "1"),
        "BUSWAY__FLOW__: names no setting; the form is BUSWAY__SECTION__KEY",
    );
    assert_mistake(
        &Case::new("").set("flow.workers"),
        "--set flow.workers: names no setting; the form is --set section.key=value",
    );
    assert_mistake(
        &Case::new("").set("flow.window=soon"),
        "--set flow.window: flow.window: \"soon\" is not a duration such as \"10s\", \"500ms\", \"1h\" or \"2d\"",
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let options = LoadOptions { file: Some(PathBuf::from("no/such.toml")), ..LoadOptions::default() };
    let error = load(&options).unwrap_err().to_string();
    assert!(error.contains("no/such.toml: cannot be read"), "{error}");
    let env = vec![(OsString::from("BUSWAY_CONFIG"), OsString::from("no/other.toml"))];
    let error = load(&LoadOptions { env, ..LoadOptions::default() }).unwrap_err().to_string();
    assert!(error.contains("no/other.toml: cannot be read"), "{error}");
}

#[test]
fn secrets_are_resolved_and_a_missing_one_is_named() {
    let text = "[http]\ntoken = { env = \"SHOP_TOKEN\" }\n";
    assert_eq!(
        Case::new(text).env("SHOP_TOKEN", "s3cret").loaded().config.http.unwrap().token.unwrap().expose(),
        "s3cret"
    );
    assert_mistake(
        &Case::new(text),
        "busway.toml:2:1: http.token: environment variable SHOP_TOKEN is not set",
    );
    assert_mistake(
        &Case::new(text).env("SHOP_TOKEN", ""),
        "busway.toml:2:1: http.token: the secret in env SHOP_TOKEN is empty",
    );
    let case = Case::new("[http]\n");
    let file = case.dir.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    let case = case.set(&format!("http.token={{ file = {:?} }}", file.display().to_string()));
    assert_eq!(case.loaded().config.http.unwrap().token.unwrap().expose(), "from-file");
    std::fs::remove_file(&file).unwrap();
    assert!(case.mistakes().contains("token cannot be read"), "{}", case.mistakes());
    let inline = Case::new("[http]\n").set("http.token=hunter2").mistakes();
    assert!(inline.contains("command line") && !inline.contains("hunter2"), "{inline}");
}

#[test]
fn any_string_may_be_a_reference_and_one_layer_replaces_anothers() {
    let text = "[endpoints.a]\nkind = \"http\"\nurl = { env = \"A_URL\" }\n";
    let case = Case::new(text).env("A_URL", "http://host/hook-4711").env("B_URL", "http://b/");
    let Target::Http(http) = &case.loaded().config.endpoints["a"].target.clone() else { panic!("not http") };
    assert_eq!(http.url, "http://host/hook-4711");
    assert!(!case.loaded().to_toml().contains("4711"), "{}", case.loaded().to_toml());
    let case = case.set("endpoints.a.url={ env = \"B_URL\" }");
    let Target::Http(http) = &case.loaded().config.endpoints["a"].target.clone() else { panic!("not http") };
    assert_eq!(http.url, "http://b/");
    let wrong = Case::new("flow.window = { env = \"W\" }").env("W", "hunter2").mistakes();
    assert!(wrong.contains("flow.window") && !wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn what_a_reference_holds_is_in_no_mistake() {
    let reference = "{ env = \"HIDDEN\" }";
    let file = "[endpoints.a]\nkind = \"file\"\npath = \"x\"\n";
    for (text, place) in [
        (format!("bus.name = {reference}"), "bus.name"),
        (format!("bus.transport = {reference}"), "bus.transport"),
        (format!("bus.state = {reference}"), "bus.state"),
        (format!("transports.local.kind = {reference}"), "transports.local.kind"),
        (format!("http.listen = {reference}"), "http.listen"),
        (format!("flow.window = {reference}"), "flow.window"),
        (format!("flow.credit_bytes = {reference}"), "flow.credit_bytes"),
        (format!("endpoints.a.kind = {reference}"), "endpoints.a.kind"),
        (format!("endpoints.a = {{ kind = \"http\", url = {reference} }}"), "endpoints.a.url"),
        (format!("endpoints.a = {{ kind = \"queue\", queue = {reference} }}"), "endpoints.a.queue"),
        (format!("{file}rate = {reference}"), "endpoints.a.rate"),
        (format!("{file}order = {reference}"), "endpoints.a.order"),
        (format!("{file}[[routes]]\ntype = [{reference}]\nto = [\"a\"]"), "routes[0].type[0]"),
        (format!("{file}[[routes]]\ntype = [\"#\"]\nto = [{reference}]"), "routes[0].to[0]"),
    ] {
        for secret in ["Hunter2 \"quoted\" **", "hunter2 with\nlines"] {
            let mistakes = Case::new(&text).env("HIDDEN", secret).mistakes();
            assert!(!mistakes.to_lowercase().contains("hunter2"), "{text}: {mistakes}");
            assert!(mistakes.contains(&format!(" {place}: ")), "{text}: {mistakes}");
        }
    }
}

#[test]
fn what_others_can_reach_needs_a_token() {
    let text = "[http]\nlisten = \"0.0.0.0:8620\"\n";
    assert!(Case::new(text).mistakes().starts_with("busway.toml:2:1: http.listen: "));
    Case::new(text).env("BUSWAY__HTTP__TOKEN", "x").loaded();
}

#[test]
fn pairs_that_do_not_fit_are_refused() {
    for (setting, expected) in [
        ("concurrency = { min = 3, max = 2 }", "endpoints.a.concurrency.max: is below `min`"),
        ("concurrency = { min = 0 }", "endpoints.a.concurrency.min: must be at least 1"),
        ("retry = { attempts = 0 }", "endpoints.a.retry.attempts: must be at least 1"),
        ("retry = { first = \"2h\" }", "endpoints.a.retry.max: is below `first`"),
        ("timeout = \"0s\"", "endpoints.a.timeout: must be longer than 0s"),
        (
            "order = \"partition\"",
            "endpoints.a.order: unknown word \"partition\"; did you mean `partitionkey`?",
        ),
        ("rate = \"0/s\"", "endpoints.a.rate: \"0/s\" would let nothing through; pause the endpoint instead"),
    ] {
        let mistakes =
            Case::new(&format!("[endpoints.a]\nkind = \"file\"\npath = \"x\"\n{setting}\n")).mistakes();
        assert!(mistakes.ends_with(expected), "{mistakes}");
    }
}

#[test]
fn the_shown_form_names_origins_hides_secrets_and_loads_again() {
    let text = "[endpoints.a]\nkind = \"exec\"\ncommand = [\"load\", \"db://user:hunter2@host/\"]\nenv = { x-key = \"hunter2\", y = { env = \"Y\" } }\n";
    let case = Case::new(text).env("Y", "hunter2").env("BUSWAY__FLOW__WORKERS", "8").set("bus.name=shop");
    let shown = case.loaded().to_toml().replace(&format!("{}/", case.dir.path().display()), "");
    assert!(!shown.contains("hunter2"), "{shown}");
    for line in [
        "name = \"shop\"  # --set bus.name",
        "workers = 8  # BUSWAY__FLOW__WORKERS",
        "credit = 1024  # default",
        "command = [\"load\", \"db://***@host/\"]  # busway.toml:3",
        "x-key = \"***\"  # busway.toml:4",
        "y = { env = \"Y\" }  # busway.toml:4",
        "[endpoints.a.retry]",
        "attempts = 10  # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    Case::new(&shown).env("Y", "x").loaded();
    let json = case.loaded().to_json();
    assert_eq!(json["flow"]["workers"]["value"], 8);
    assert_eq!(json["flow"]["workers"]["origin"], "BUSWAY__FLOW__WORKERS");
    assert_eq!(json["endpoints"]["a"]["env"]["x-key"]["value"], "***");
    assert!(!json.to_string().contains("hunter2"), "{json}");
}

#[test]
fn the_shown_form_of_the_example_loads_to_the_same() {
    let loaded = Case::new(EXAMPLE).loaded();
    assert_eq!(Case::new(&loaded.to_toml()).loaded().config, loaded.config);
}

#[test]
fn changes_are_named_by_path() {
    let old = Case::new(EXAMPLE).loaded().config;
    let case = Case::new(EXAMPLE).set("flow.workers=3").set("endpoints.audit.timeout=1s");
    let case = case.set("bus.name=other").set("endpoints.more={ kind = \"file\", path = \"x\" }");
    let case = case.env("X", "1").set("endpoints.inventory.headers.x={ env = \"X\" }");
    let new = case.loaded().config;
    let expected = [
        "bus.name",
        "endpoints.audit.timeout",
        "endpoints.inventory.headers.x",
        "endpoints.more",
        "flow.workers",
    ];
    assert_eq!(old.changes(&new), expected);
    assert!(old.changes(&old).is_empty());
    let case = Case::new(EXAMPLE).env("X", "2").set("endpoints.inventory.headers.x={ env = \"X\" }");
    let other = case.set("flow.workers=3").set("endpoints.audit.timeout=1s").loaded().config;
    assert!(new.changes(&other).contains(&"endpoints.inventory.headers.x".to_owned()));
}

#[test]
fn a_configuration_made_in_code_is_validated() {
    let mut config = Config::named("shop");
    config.bus.transport = "elsewhere".into();
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, "configuration: bus.transport: there is no transport \"elsewhere\"; known: local");
}

#[test]
fn an_endpoint_may_run_a_quarter_of_the_workers_unless_told() {
    let config = Case::new(EXAMPLE).loaded().config;
    assert_eq!(config.max_concurrency(&config.endpoints["inventory"].policy), 16);
    assert_eq!(config.max_concurrency(&config.endpoints["audit"].policy), 16);
    let few = Case::new(EXAMPLE).set("flow.workers=2").loaded().config;
    assert_eq!(few.max_concurrency(&few.endpoints["audit"].policy), 1);
}

#[test]
fn credentials_in_a_url_are_refused_and_not_repeated() {
    let text = "[endpoints.a]\nkind = \"http\"\nurl = \"http://me:hunter2@host/x\"\n";
    assert_mistake(
        &Case::new(text),
        "busway.toml:3:1: endpoints.a.url: has a user part; use `token` or `headers` for credentials",
    );
}

#[test]
fn a_value_that_is_not_toml_as_a_whole_is_a_string() {
    for text in ["5 apples", "true story", "http://host/?a=b", "1.2.3", "[x", "10s", "a\"b", "# note", ""] {
        let name = "endpoints.a={ kind = \"file\", path = \"x\" }";
        let case = Case::new("").set(name).set(&format!("endpoints.a.path=x{text}"));
        let Target::File(file) = &case.loaded().config.endpoints["a"].target.clone() else {
            panic!("not file")
        };
        assert_eq!(file.path, PathBuf::from(format!("x{text}")));
        let case = Case::new("").set("http.hosts=[]").set(&format!("bus.name={text}"));
        let found = case.mistakes();
        assert!(found.starts_with("--set bus.name: bus.name: "), "{text}: {found}");
    }
    let routes = "routes=[{ type = [\"#\"], to = [\"a\"] }]";
    let case = Case::new("[endpoints.a]\nkind = \"file\"\npath = \"x\"\n").set(routes);
    assert_eq!(case.loaded().config.routes[0].to, ["a"]);
}

#[test]
fn a_queue_on_another_transport_is_refused() {
    let text = "[transports.local]\nkind = \"embedded\"\n[transports.far]\nkind = \"embedded\"\npath = \"x\"\n\
                [endpoints.q]\nkind = \"queue\"\nqueue = \"next\"\ntransport = \"far\"\n";
    assert_mistake(
        &Case::new(text),
        "busway.toml:9:1: endpoints.q.transport: is not the bus's transport; a queue of another one is not supported",
    );
    Case::new(&text.replace("\"far\"\n", "\"local\"\n")).loaded();
}
