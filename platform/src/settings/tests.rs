use std::io::Write;

use super::*;

fn load(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let mut on_disk = tempfile::NamedTempFile::new().expect("a temporary file");
    on_disk.write_all(file.as_bytes()).expect("written");
    let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Settings::load(Some(on_disk.path()), own(env).into_iter(), &own(flags))
}

fn refusal(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    load(file, env, flags).expect_err("must be refused").to_string()
}

#[test]
fn without_anything_the_defaults_stand() {
    let settings = Settings::load(None, std::iter::empty(), &[]).expect("defaults");
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.speed.linger.get().as_millis(), 50);
    assert_eq!(settings.archive.max_bytes.bytes(), 64 << 20);
    assert!(!settings.is_named("kafka.brokers"));
}

#[test]
fn later_layers_win() {
    let file = "[kafka]\nbrokers = \"file:1\"\n[speed]\nlinger = \"1s\"\nmax_rows = 5\n[http]\nmax_points = 7\n";
    let env = [("BRAID__KAFKA__BROKERS", "env:1"), ("BRAID__SPEED__MAX_ROWS", "6"), ("HOME", "/nowhere")];
    let settings = load(file, &env, &[("kafka.brokers", "flag:1")]).expect("loads");
    assert_eq!(settings.kafka.brokers, "flag:1");
    assert_eq!(settings.speed.max_rows, 6);
    assert_eq!(settings.speed.linger, Span::from_secs(1));
    assert_eq!(settings.http.max_points, 7);
    assert!(settings.is_named("kafka.brokers") && settings.is_named("http.max_points"));
    assert!(!settings.is_named("redis.url"));
}

#[test]
fn passed_through_properties_keep_their_dots() {
    let file = "[kafka.client]\nsecurity.protocol = \"ssl\"\n\"socket.nagle.disable\" = true\nfetch.wait.max.ms = 7\n";
    let env =
        [("BRAID__KAFKA__CLIENT__SECURITY_PROTOCOL", "sasl_ssl"), ("BRAID__STORE__OPTIONS__AWS_REGION", "eu-north-1")];
    let settings = load(file, &env, &[("kafka.client.sasl.password", "hunter2")]).expect("loads");
    let client: Vec<_> = settings.kafka.client.iter().collect();
    let expected = [
        ("fetch.wait.max.ms", "7"),
        ("sasl.password", "hunter2"),
        ("security.protocol", "sasl_ssl"),
        ("socket.nagle.disable", "true"),
    ];
    assert_eq!(client, expected);
    assert_eq!(settings.store.options.get("aws_region"), Some("eu-north-1"));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn unknown_keys_are_refused_and_the_known_ones_named() {
    let text = refusal("[kafka]\nbroker = \"x\"\n", &[], &[]);
    assert!(text.contains("line 2") && text.contains("`broker`") && text.contains("`brokers`"), "{text}");
    let text = refusal("", &[("BRAID__KAFKA__BROKER", "x")], &[]);
    assert!(text.contains("BRAID__KAFKA__BROKER") && text.contains("known here: brokers, client, "), "{text}");
    let text = refusal("", &[], &[("kaffka.brokers", "x")]);
    assert!(text.contains("--set kaffka.brokers") && text.contains("catalog, "), "{text}");
    let text = refusal("", &[("BRAID__TELEMETRY__LISTN", "x")], &[]);
    assert!(text.contains("listen"), "{text}");
}

#[test]
fn values_of_the_wrong_type_are_refused_with_their_place() {
    let text = refusal("[speed]\nlinger = 50\n", &[], &[]);
    assert!(text.contains("line 2"), "{text}");
    let text = refusal("", &[], &[("speed.linger", "50")]);
    assert!(text.contains("--set speed.linger") && text.contains("50ms"), "{text}");
    let text = refusal("", &[("BRAID__HTTP__MAX_POINTS", "many")], &[]);
    assert!(text.contains("a whole number") && text.contains("many"), "{text}");
    let text = refusal("[speed]\nmax_rows = 0\n", &[], &[]);
    assert_eq!(text, "setting speed.max_rows must be at least 1");
    let text = refusal("", &[("BRAID__KAFKA__CLIENT", "x")], &[]);
    assert!(text.contains("a key within this table"), "{text}");
}

#[test]
fn the_time_between_transactions_of_lanes_lies_between_bounds_that_fit() {
    let text = refusal("", &[], &[("streams.min_interval", "0s")]);
    assert_eq!(text, "setting streams.min_interval must be longer than zero");
    let text = refusal("", &[], &[("streams.min_interval", "2s")]);
    assert_eq!(text, "setting streams.min_interval must be at most streams.max_interval");
    let both = [("streams.min_interval", "2s"), ("streams.max_interval", "2s")];
    load("", &[], &both).expect("always two seconds");
}

#[test]
fn optional_keys_can_be_set() {
    let settings = load("", &[("BRAID__TELEMETRY__LISTEN", "127.0.0.1:0")], &[]).expect("loads");
    assert_eq!(settings.telemetry.listen.map(|address| address.port()), Some(0));
    assert_eq!(settings.serving.folder, None);
    let settings = load("[serving]\nfolder = \"/var/cache/braid\"\n", &[], &[]).expect("loads");
    assert_eq!(settings.serving.folder, Some("/var/cache/braid".into()));
}

#[test]
fn secrets_do_not_print() {
    let settings = load("[redis]\nurl = \"redis://:hunter2@db:6379\"\n", &[], &[]).expect("loads");
    assert_eq!(settings.redis.url.reveal(), "redis://:hunter2@db:6379");
    let written = toml::to_string(&settings).expect("written");
    assert!(!format!("{settings:?}{}{written}", settings.redis.url).contains("hunter2"));
}

#[test]
fn spans_and_sizes_read_back_what_they_print() {
    for text in ["50ms", "10s", "5m", "36h", "400d", "1500us", "0s"] {
        let span: Span = text.parse().expect(text);
        assert_eq!(span.to_string(), text);
        assert_eq!(span.to_string().parse(), Ok(span));
    }
    assert_eq!("0".parse(), Ok(Span::from_secs(0)));
    assert_eq!("120s".parse::<Span>().map(|span| span.to_string()), Ok("2m".to_owned()));
    for text in ["64MiB", "3GiB", "1000B", "0B"] {
        let size: Size = text.parse().expect(text);
        assert_eq!(size.to_string(), text);
    }
    for text in ["", "10", "s", "-1s", "1.5s", "10 parsecs", "99999999999999999999d", "9999999999999d"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    for text in ["64", "64MB", "-1B", "MiB", "99999999999TiB"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}

#[test]
fn flags_are_pairs() {
    use clap::Parser;
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        settings: SettingsArgs,
    }
    let flags = ["x", "--set", "speed.linger=20ms", "--set", "kafka.brokers=a:1", "--kafka", "b:2", "--data", "/d"];
    let settings = Command::try_parse_from(flags).expect("parses").settings;
    let loaded = Settings::load(None, std::iter::empty(), &settings.overrides()).expect("loads");
    assert_eq!(loaded.speed.linger, Span::from_millis(20));
    assert_eq!((loaded.kafka.brokers.as_str(), loaded.store.url.as_str()), ("b:2", "/d"));
    assert!(Command::try_parse_from(["x", "--set", "linger"]).is_err());
}

#[test]
fn what_may_be_an_api_key_is_never_repeated() {
    let key = &crate::api_key::random().expect("random");
    for (file, word) in [
        (format!("[access]\ninsecure = \"{key}\"\n"), "line 2, column 12: invalid type: a text, expected a boolean"),
        (format!("[access]\nkeys = \"{key}\"\n"), "line 2"),
        (format!("[access]\nkeys = {{ wall = [\"{key}\"] }}\n"), "line"),
        (format!("[access.keys]\nwall = \"{key}\" x\n"), "line 2"),
        (format!("[access.keys]\nwall = \"\"\"\n{key}\n"), "line"),
        (format!("access = \"{key}\"\n"), "line 1"),
        (format!("[acess]\nkeys.wall = \"{key}\"\n"), "acess"),
        (format!("acess.keys.wall = \"{key}\"\n"), "acess"),
        (format!("[access]\n{key} = \"read\"\n"), "line 2, column 1: something else belongs there"),
    ] {
        let error = refusal(&file, &[], &[]);
        assert!(error.contains(word) && !error.contains(key.as_str()), "{file}{error}");
    }
    for (name, path) in [
        ("BRAID__ACCESS__INSECURE", "access.insecure"),
        ("BRAID__ACCESS__KEYS", "access.keys"),
        ("BRAID__ACCESS__BURST", "access.burst"),
    ] {
        for error in [refusal("", &[(name, key)], &[]), refusal("", &[], &[(path, key)])] {
            assert!(error.contains("got something else") && !error.contains(key.as_str()), "{error}");
        }
    }
    let others = refusal("[access]\ninsecure = true\n[http]\nmax_points = \"many\"\n", &[], &[]);
    assert!(others.contains("4 | max_points = \"many\""), "what is no secret is shown: {others}");
}
