use super::*;

const CATALOG: &str = r#"
[sources.s]
topic = "events"
event_id = "id"
event_time = "at"
key = "id"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
[tables.users]
topic = "users"
key = "id"
[tables.users.fields]
id = "string"
plan = "string?"
[streams.few]
from = "s"
where = "n < 5"
[streams.many]
from = "s"
topic = "crowd"
where = "n > 5"
[streams.most]
from = "many"
where = "n > 50"
"#;

fn with(changes: &[(&str, &str)]) -> Catalog {
    let mut text = CATALOG.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn generations(changed: &Changed) -> Vec<String> {
    let all = changed.streams.iter().chain(&changed.tables);
    all.map(|(name, generation)| format!("{name} {generation}")).collect()
}

fn shares(new: &Catalog, known: &[&Catalog], version: &str) -> Vec<String> {
    generations(&changed(new, known, version, "v1").unwrap_or_else(|conflicts| panic!("{conflicts:?}")))
}

fn conflicts(new: &Catalog, known: &[&Catalog]) -> String {
    let conflicts = changed(new, known, "v2", "v1").expect_err("a conflict");
    conflicts.iter().map(Conflict::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_stream_is_shared_with_the_version_that_has_the_same() {
    let first = with(&[]);
    assert_eq!(shares(&with(&[]), &[&first], "v2"), [""; 0], "nothing changed");
    let few = with(&[("n < 5", "n < 6")]);
    assert_eq!(shares(&few, &[&first], "v2"), ["few v2"]);
    let many = with(&[("n > 5\"", "n > 6\"")]);
    assert_eq!(shares(&many, &[&first], "v2"), ["many v2", "most v2"], "what reads a changed stream has changed");
    assert_eq!(shares(&with(&[("plan = ", "tariff = ")]), &[&first], "v2"), ["users v2"]);
    let decoded = with(&[("n = \"int\"", "n = \"int?\"")]);
    assert_eq!(shares(&decoded, &[&first], "v2"), ["few v2", "many v2", "most v2"], "other rules, other events");
}

#[test]
fn a_third_version_shares_with_the_second_what_that_changed() {
    let first = with(&[]);
    let second = with(&[("n < 5", "n < 6")]);
    let of_second = changed(&second, &[&first], "v2", "v1").expect("shared");
    let second = second.as_version("v2", "v1", &of_second);
    let third = with(&[("n < 5", "n < 6"), ("n > 50", "n > 60")]);
    assert_eq!(shares(&third, &[&first, &second], "v3"), ["few v2", "most v3"]);
    let back = with(&[("n > 50", "n > 60")]);
    assert_eq!(shares(&back, &[&second, &first], "v3"), ["most v3"], "it goes back to the first one's");
}

#[test]
fn versions_do_not_mix_topics_in_one_archive() {
    let first = with(&[]);
    for (change, why) in [
        (("topic = \"events\"", "topic = \"others\""), "source s reads the topic others, and events in version v1"),
        (
            ("topic = \"crowd\"", "topic = \"mob\""),
            "stream many decides what it does in version v1, and has another topic, mob instead of crowd",
        ),
        (
            ("[sources.s]", "[pipeline]\nname = \"other\"\n[sources.s]"),
            "the catalog is of the deployment other, and this one is braid",
        ),
    ] {
        let found = conflicts(&with(&[change]), &[&first]);
        assert!(found.contains(why), "{found}");
    }
    let renamed = with(&[("[tables.users", "[tables.people")]);
    assert!(conflicts(&renamed, &[&first]).contains("people has the topic users, which users has in version v1"));
    let table =
        "[tables.users]\ntopic = \"users\"\nkey = \"id\"\n[tables.users.fields]\nid = \"string\"\nplan = \"string?\"\n";
    let stream = with(&[(table, "[streams.users]\nfrom = \"s\"\ntopic = \"of_users\"\nwhere = \"n = 1\"\n")]);
    assert!(conflicts(&stream, &[&first]).contains("users is a stream, and a table in version v1"));
}

#[test]
fn a_source_starts_at_one_place() {
    let latest = with(&[("topic = \"events\"", "topic = \"events\"\nstart = \"latest\"")]);
    assert!(conflicts(&latest, &[&with(&[])]).contains("source s has another start than in version v1"));
}

/// What the file says is refused beside a second version that counts fewer as `few`.
fn in_place(changes: &[(&str, &str)]) -> Vec<String> {
    let second = with(&[("n < 5", "n < 6")]);
    let of_second = changed(&second, &[&with(&[])], "v2", "v1").expect("shared");
    let second = second.as_version("v2", "v1", &of_second);
    changed_in_place(&with(changes), &[&second]).iter().map(Conflict::to_string).collect()
}

#[test]
fn the_file_keeps_what_other_versions_share_with_it() {
    assert_eq!(in_place(&[]), [""; 0]);
    assert_eq!(in_place(&[("n > 5\"", "n > 6\"")]), [""; 0], "a changed definition stands against a promotion alone");
    assert_eq!(in_place(&[("n < 5", "n < 6")]), [""; 0], "two lanes write the same to two topics");
    let (events, n) = ("topic = \"events\"", "n = \"int\"");
    let s2 = "[sources.s2]\ntopic = \"few.v2\"\nevent_time = \"at\"\n[sources.s2.fields]\nat = \"timestamp\"\n[tables.users]";
    let rejected = (events, "topic = \"events\"\nraw = \"rejected\"");
    for (changes, why) in [
        (vec![(events, "topic = \"others\"")], "source s reads the topic others, and events in version v2"),
        (vec![("topic = \"crowd\"", "topic = \"mob\"")], "has another topic, mob instead of crowd"),
        (vec![(events, "topic = \"events\"\nstart = \"latest\"")], "source s has another start than in version v2"),
        (vec![("[tables.users]", s2)], "s2 has the topic few.v2, which few has in version v2"),
        (vec![rejected, (n, "n = \"int?\"")], "source s is decoded otherwise than in version v2"),
    ] {
        let found = in_place(&changes);
        assert!(found.len() == 1 && found[0].contains(why), "{changes:?}: {found:?}");
    }
}

#[test]
fn a_name_of_a_retired_version_keeps_its_topic() {
    let first = with(&[]);
    let source = |topic: &str| {
        format!(
            "[sources.u]\ntopic = \"{topic}\"\nevent_time = \"at\"\n[sources.u.fields]\nat = \"timestamp\"\n[sources.s]\n"
        )
    };
    let version = |topic: &str, version: &str| {
        with(&[("[sources.s]\n", &source(topic))]).as_version(version, "v1", &Changed::default())
    };
    let retired = [version("a", "v2")];
    let found = |topic: &str, living: &[&Catalog]| archived_otherwise(&version(topic, "v3"), living, &retired).len();
    assert_eq!((found("a", &[&first]), found("b", &[&first])), (0, 1));
    assert_eq!(found("b", &[&version("b", "v4")]), 0, "that is judged by who has it");
}

#[test]
fn versions_that_decode_otherwise_need_the_bytes_of_what_is_archived_from_now_on() {
    let raw = ("topic = \"events\"", "topic = \"events\"\nraw = \"rejected\"");
    let other = ("n = \"int\"", "n = \"int?\"");
    for (first, new) in [(vec![raw], vec![raw, other]), (vec![raw], vec![other]), (vec![], vec![raw, other])] {
        let found = conflicts(&with(&new), &[&with(&first)]);
        assert!(found.contains("source s is decoded otherwise than in version v1"), "{found}");
    }
    assert_eq!(shares(&with(&[raw]), &[&with(&[])], "v2"), [""; 0], "both decode alike");
    let without_archive = "[pipeline]\narchive = false\n[sources.s]\nraw = \"rejected\"\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n";
    let [first, new] =
        ["", "n = \"int\"\n"].map(|field| Catalog::parse(&format!("{without_archive}{field}")).expect("a catalog"));
    assert_eq!(shares(&new, &[&first], "v2"), [""; 0], "nothing is archived");
}

#[test]
fn what_only_another_version_has_is_in_nobodys_way() {
    let first = with(&[]);
    let fewer = with(&[("[streams.most]\nfrom = \"many\"\nwhere = \"n > 50\"\n", "")]);
    assert_eq!(shares(&fewer, &[&first], "v2"), [""; 0]);
    assert_eq!(shares(&with(&[]), &[&fewer], "v2"), ["most v2"], "a new stream belongs to its version");
}

#[test]
fn what_has_no_bytes_is_decoded_under_its_own_rules_alone() {
    let (known, new) = (with(&[]), with(&[("n = \"int\"", "n = \"float\"")]));
    let (source, other) = (&known.sources["s"], &new.sources["s"]);
    let mut facts = Facts::default();
    facts.begin(&PartitionId::new("log", 0), 0);
    assert!(facts.advance(&PartitionId::new("log", 0), 0, 10));
    assert_eq!(undecodable(&facts, other), None);
    facts.note_columns_only(&PartitionId::new("log", 0), &source.rules(), 3, 7);
    assert_eq!(undecodable(&facts, source), None);
    let (id, range) = undecodable(&facts, other).expect("no bytes");
    assert_eq!((id, range.from, range.to), (PartitionId::new("log", 0), 3, 7));
}
