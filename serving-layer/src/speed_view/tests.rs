use std::collections::HashSet;

use shared_logic::complete::{Evidence, Gap, TopicState, Why};
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::{Instance, Shard};
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::measure::Value;
use shared_logic::time::Width;
use test_kit::catalogs::TINY;

use super::looked::Judge;
use super::shard::ShardReading;
use super::*;
use crate::asked::Stepping;
use crate::written::{Form, Written};

fn catalog() -> Catalog {
    Catalog::parse(TINY).expect("a catalog")
}

fn definition() -> DefinitionHash {
    let catalog = catalog();
    catalog.definition(&catalog.metrics["m"])
}

/// What a snapshot says of the metric: its topic has one partition, which is archived from offset 0 on, and there is no view.
fn standing() -> Arc<Standing> {
    let mut facts = Facts::default();
    facts.begin(&PartitionId::new("log", 0), 0);
    Arc::new(Standing::of(&Evidence {
        definition: &definition(),
        rules: &catalog().sources["s"].decoding_rules(),
        view: None,
        archive: Some(&facts),
        archive_version: 1,
        topic: Some(&TopicState { log: Some(("log".to_owned(), 1)), at_us: 50 }),
        log_only: false,
    }))
}

fn key(text: &str) -> Arc<CountedKey> {
    let key = GroupKey::new(&[KeyPart::Value(KeyValue::Text(text.to_owned()))]);
    Arc::new(CountedKey { definition: definition(), key })
}

fn question(standing: &Arc<Standing>) -> Question {
    Question {
        standing: Arc::clone(standing),
        keys: [key("a")].into(),
        kinds: Arc::new([MeasureKind::Count]),
        bounds: (None, None),
        chunks: ChunkRange { first: 0, last: 9 },
        shape: Shape::default(),
    }
}

/// A shard that has counted 7 events of the key in its last slice.
fn reading(slices: &[i64], truncated: Option<i64>) -> Option<ShardReading> {
    let shard = Shard {
        cursor: 9,
        slices: slices.to_vec(),
        definitions: [(definition(), 0)].into(),
        instance: Instance::new(1),
        witnesses: vec![None; slices.len() + 1],
        truncated,
    };
    let state = Arc::new(State { shard, as_of_us: Some(40), begin: None });
    Some(ShardReading { state, counters: vec![vec![Arc::new(vec![(3, 0, Value::Int(7))])]] })
}

#[test]
fn only_requests_that_have_the_same_answer_ask_the_same() {
    let one = standing();
    let (asked, minutes) = (question(&one), Stepping::plain(Width::Within(60_000_000)));
    let mut questions = HashSet::from([asked.clone()]);
    assert!(!questions.insert(question(&one)), "another request");
    for other in [
        Question { standing: standing(), ..asked.clone() },
        Question { keys: [key("b")].into(), ..asked.clone() },
        Question { keys: [key("a"), key("b")].into(), ..asked.clone() },
        Question { keys: [key("b"), key("a")].into(), ..asked.clone() },
        Question { bounds: (Some(0), None), ..asked.clone() },
        Question { bounds: (None, Some(0)), ..asked.clone() },
        Question { shape: Shape { stepping: Some(minutes), ..asked.shape }, ..asked.clone() },
        Question {
            shape: Shape { stepping: Some(Stepping { names_zone: true, ..minutes }), ..asked.shape },
            ..asked.clone()
        },
        Question { shape: Shape { form: Form::Csv, ..asked.shape }, ..asked.clone() },
    ] {
        assert!(questions.insert(other.clone()), "{other:?}");
    }
}

#[test]
fn positions_are_judged_once_and_each_question_by_its_own() {
    let (one, whole) = (standing(), reading(&[0], None));
    let mut judge = Judge::new(60);
    let first = judge.looked(&one, vec![whole.clone()]);
    assert_eq!((first.judged().verdict.gaps.len(), first.judged().as_of_us, first.at_us), (0, Some(40), 60));
    assert_eq!(first.cells(0, 60).collect::<Vec<_>>(), [(180, 0, Value::Int(7))]);
    let second = judge.looked(&one, vec![whole.clone()]);
    assert!(std::ptr::eq(first.judged(), second.judged()));

    let of_another_snapshot = judge.looked(&standing(), vec![whole]);
    assert!(!std::ptr::eq(first.judged(), of_another_snapshot.judged()));
    let later = judge.looked(&one, vec![reading(&[5], None)]);
    assert!(matches!(later.judged().verdict.gaps[..], [Gap { why: Why::NoSliceAtCut { cut: 0 }, .. }]), "{later:?}");
    let none = judge.looked(&one, vec![None]);
    assert!(matches!(none.judged().verdict.gaps[..], [Gap { why: Why::NoShard, .. }]), "{none:?}");
    assert_eq!((none.judged().as_of_us, none.cells(0, 60).count()), (None, 0));
    let marked = judge.looked(&one, vec![reading(&[0], Some(3))]);
    assert!(matches!(marked.judged().verdict.gaps[..], [Gap { why: Why::LogTruncated, .. }]), "{marked:?}");
    assert_eq!(marked.cells(0, 60).count(), 0, "nothing of it is added (R12)");
}

#[test]
fn each_key_has_its_own_counters() {
    let of = |n: i64| Arc::new(vec![(n, 0, Value::Int(n.into()))]);
    let with = |counters| reading(&[0], None).map(|reading| ShardReading { counters, ..reading });
    let readings = vec![with(vec![vec![of(1)], vec![of(2), of(3)]]), None, with(vec![vec![], vec![of(4)]])];
    let looked = Judge::new(0).looked(&standing(), readings);
    let of_key = |key| looked.cells(key, 1).map(|(bucket, ..)| bucket).collect::<Vec<_>>();
    assert_eq!([of_key(0), of_key(1), of_key(2)], [vec![1], vec![2, 3, 4], vec![]]);
}

#[test]
fn an_answer_is_written_once_and_goes_with_its_look() {
    let look = || Judge::new(0).looked(&standing(), vec![None]);
    let looked = look();
    assert!(looked.written().is_none());
    let write =
        |body: &'static str| looked.write(Written::new(Form::Json, body.into(), &[], Vec::new(), None)).body.clone();
    assert_eq!([write("first"), write("second")], ["first", "first"]);
    assert_eq!(looked.written().expect("written").body, "first");
    assert!(look().written().is_none(), "another look");
}
