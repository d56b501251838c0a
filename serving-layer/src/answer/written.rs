//! An answer as it is written, in JSON or as CSV.

use serde::Serialize;
use serde_json::Value as Json;
use shared_logic::catalog::Metric;
use shared_logic::merge::{Layer, Merged};
use shared_logic::time::format_rfc3339;
use utoipa::ToSchema;

use super::csv::Csv;
use super::selection::{AskedKey, Given};
use super::values::{Named, Overflow, measures, value_names};
use super::{Bounds, Finalized, Gathered, bound_text, duration_text, lag_ms};
use crate::asked::Stepping;
use crate::gap_text::{GapText, as_json};
use crate::versions::Version;
use crate::written::{Form, Written};

/// What an answer to `total` or `series` says of all keys.
pub(super) struct Head<'a> {
    pub(super) version: &'a Version,
    pub(super) metric: &'a Metric,
    /// The range that it is about.
    pub(super) covered: (Option<i64>, Option<i64>),
    pub(super) stepping: Option<&'a Stepping>,
    pub(super) gathered: &'a Gathered,
}

/// The body of an answer to `total` or `series`, with all that it need not own. Instants are RFC 3339.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer<'a> {
    /// The version that answers.
    version: &'a str,
    metric: &'a str,
    /// The columns that were asked for; only of one key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::Key>, nullable = false)]
    key: Option<Given<'a>>,
    /// Widened to the grain, as far as there is time; null if the range is unbounded.
    #[schema(required = true, format = DateTime)]
    from: Option<String>,
    #[schema(required = true, format = DateTime)]
    to: Option<String>,
    /// The width of a bucket.
    grain: String,
    /// Only in a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    step: Option<String>,
    /// The zone by whose clocks steps begin, if the request names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tz: Option<&'static str>,
    /// How much time each point covers, if it is more than its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    window: Option<String>,
    /// Only in a total of one key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::Values>, nullable = false)]
    values: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow<'a>>,
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    bounds: Bounds<'a>,
    /// Whether nothing that arrived before `as_of` is missing.
    complete: bool,
    gaps: Vec<GapText>,
    /// Whether all of it comes from the batch view: the answer is complete, and the speed view adds nothing.
    authoritative: bool,
    /// Every record that had arrived at this time is counted, apart from the gaps: the oldest over the partitions of the latest time whose end
    /// offset is counted. Null if that is not known for a partition.
    #[schema(required = true, format = DateTime)]
    as_of: Option<String>,
    provenance: Provenance<'a>,
    /// Only in a series of one key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    points: Option<Vec<Point<'a>>>,
    /// Only if several keys were asked for, in that order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keys: Option<Vec<AnswerOfKey<'a>>>,
}

/// What an answer to several keys says of one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AnswerOfKey<'a> {
    #[schema(value_type = crate::openapi::Key)]
    key: Given<'a>,
    /// Only in a total.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::Values>, nullable = false)]
    values: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overflow: Vec<Overflow<'a>>,
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    bounds: Bounds<'a>,
    authoritative: bool,
    provenance: ProvenanceOfKey<'a>,
    /// Only in a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    points: Option<Vec<Point<'a>>>,
    #[serde(skip)]
    layer: Layer,
}

/// One step of a series, or a window that ends with it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Point<'a> {
    #[schema(format = DateTime)]
    pub(super) start: String,
    /// Only if the request names a zone or a window: then points are not all as long as a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub(super) end: Option<String>,
    #[serde(skip)]
    pub(super) to_us: i64,
    #[schema(value_type = crate::openapi::Values)]
    pub(super) values: Named<'a>,
    /// Which views contributed; batch also if neither did.
    pub(super) layer: Layer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) overflow: Vec<Overflow<'a>>,
    #[serde(skip_serializing_if = "Bounds::is_empty")]
    pub(super) bounds: Bounds<'a>,
}

/// What each view contributed, and how fresh it is.
#[derive(Debug, Serialize, ToSchema)]
struct Provenance<'a> {
    batch: BatchPart<'a>,
    speed: SpeedPart<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BatchPart<'a> {
    /// Only of one key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::Values>, nullable = false)]
    values: Option<Named<'a>>,
    /// The batch view's version; null before the first reconcile.
    #[schema(required = true)]
    version: Option<u64>,
    #[schema(required = true, format = DateTime)]
    committed_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SpeedPart<'a> {
    /// Only of one key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::Values>, nullable = false)]
    values: Option<Named<'a>>,
    /// Milliseconds from `as_of` to the moment at which the shards were read.
    #[schema(required = true)]
    lag_ms: Option<i64>,
}

/// What each view contributed to one of several keys.
#[derive(Debug, Serialize, ToSchema)]
struct ProvenanceOfKey<'a> {
    batch: Contributed<'a>,
    speed: Contributed<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Contributed<'a> {
    #[schema(value_type = crate::openapi::Values)]
    values: Named<'a>,
}

impl<'a> AnswerOfKey<'a> {
    /// About a key, without values and points. `all` is everything in the range, merged.
    pub(super) fn new(metric: &'a Metric, asked: &'a AskedKey, all: &Merged) -> AnswerOfKey<'a> {
        let contributed = |values| Contributed { values: measures(metric, values) };
        AnswerOfKey {
            key: asked.given(metric),
            values: None,
            overflow: Vec::new(),
            bounds: Bounds::default(),
            // Until it is known whether the answer is complete.
            authoritative: false,
            provenance: ProvenanceOfKey { batch: contributed(&all.batch), speed: contributed(&all.speed) },
            points: None,
            layer: all.layer,
        }
    }

    /// The same of a total.
    pub(super) fn with(self, Finalized { values, overflow, bounds }: Finalized<'a>) -> AnswerOfKey<'a> {
        AnswerOfKey { values: Some(values), overflow, bounds, ..self }
    }

    /// The same of a series.
    pub(super) fn with_points(self, points: Vec<Point<'a>>) -> AnswerOfKey<'a> {
        AnswerOfKey { points: Some(points), ..self }
    }
}

impl<'a> Head<'a> {
    /// Writes the answer that says this of each key.
    pub(super) fn written(&self, form: Form, of_keys: Vec<AnswerOfKey<'a>>) -> Written {
        match form {
            Form::Json => self.answer(of_keys).written(self.gathered.as_of_us()),
            Form::Csv => self.csv(&of_keys),
        }
    }

    fn gaps(&self) -> Vec<GapText> {
        let (from, to) = (self.covered.0.map(bound_text), self.covered.1.map(bound_text));
        self.gathered.gaps().map(|gap| GapText::new(gap, &self.metric.source, &from, &to)).collect()
    }

    fn answer(&self, mut of_keys: Vec<AnswerOfKey<'a>>) -> Answer<'a> {
        let (metric, stepping) = (self.metric, self.stepping);
        let gaps = self.gaps();
        let complete = gaps.is_empty();
        for of_key in &mut of_keys {
            of_key.authoritative = complete && of_key.layer == Layer::Batch;
        }
        let (view, as_of_us) = (self.gathered.ground.view.as_ref(), self.gathered.as_of_us());
        let answer = Answer {
            version: self.version.version_name(),
            metric: &metric.name,
            key: None,
            from: self.covered.0.map(bound_text),
            to: self.covered.1.map(bound_text),
            grain: duration_text(metric.grain_us),
            step: stepping.map(|stepping| stepping.steps.width().to_string()),
            tz: stepping.filter(|stepping| stepping.names_zone).map(|stepping| stepping.steps.zone().name()),
            window: stepping.and_then(|stepping| stepping.window).map(|window| window.to_string()),
            values: None,
            overflow: Vec::new(),
            bounds: Bounds::default(),
            complete,
            gaps,
            authoritative: of_keys.iter().all(|of_key| of_key.authoritative),
            as_of: as_of_us.map(format_rfc3339),
            provenance: Provenance {
                batch: BatchPart {
                    values: None,
                    version: view.map(|view| view.version),
                    committed_at: view.map(|view| format_rfc3339(view.note.committed_at_us)),
                },
                speed: SpeedPart {
                    values: None,
                    lag_ms: as_of_us.map(|as_of_us| lag_ms(as_of_us, self.gathered.at_us())),
                },
            },
            points: None,
            keys: None,
        };
        if of_keys.len() == 1
            && let Some(of_key) = of_keys.pop()
        {
            answer.of_one(of_key)
        } else {
            Answer { keys: Some(of_keys), ..answer }
        }
    }

    /// One row for each key and point.
    fn csv(&self, of_keys: &[AnswerOfKey<'_>]) -> Written {
        let columns = of_keys.first().map(|of_key| of_key.key.columns().map(|(name, _)| name));
        let times: &[&str] = if self.stepping.is_some() { &["start", "end"] } else { &[] };
        let names = columns.into_iter().flatten().chain(times.iter().copied()).chain(value_names(self.metric));
        let mut csv = Csv::new(names.chain(["layer"]));
        let layer = |layer: Layer| serde_json::to_value(layer).expect("a layer is plain data");
        for AnswerOfKey { key, values, points, layer: of_all, .. } in of_keys {
            if let Some(values) = values {
                csv.row(key.columns().map(|(_, value)| value).chain(values.to_json()).chain([layer(*of_all)]));
            }
            for point in points.iter().flatten() {
                let times = [point.start.clone(), bound_text(point.to_us)].map(Json::String);
                let cells = key.columns().map(|(_, value)| value).chain(times).chain(point.values.to_json());
                csv.row(cells.chain([layer(point.layer)]));
            }
        }
        csv.written(as_json(&self.gaps()), self.gathered.as_of_us())
    }
}

impl<'a> Answer<'a> {
    fn of_one(self, of_key: AnswerOfKey<'a>) -> Answer<'a> {
        let Provenance { batch, speed } = self.provenance;
        Answer {
            key: Some(of_key.key),
            values: of_key.values,
            overflow: of_key.overflow,
            bounds: of_key.bounds,
            provenance: Provenance {
                batch: BatchPart { values: Some(of_key.provenance.batch.values), ..batch },
                speed: SpeedPart { values: Some(of_key.provenance.speed.values), ..speed },
            },
            points: of_key.points,
            ..self
        }
    }

    fn written(mut self, as_of_us: Option<i64>) -> Written {
        let text = |answer: &Answer<'_>| serde_json::to_vec(answer).expect("an answer is plain data");
        let body = text(&self);
        let gaps = as_json(&self.gaps);
        // Points and keys, which may be many, stand last. They are not written again to be told apart from the moment.
        let dated = match (self.points.take(), self.keys.take()) {
            (None, None) => body.len() - 1,
            _ => text(&self).len() - 1,
        };
        self.as_of = None;
        self.provenance.batch.version = None;
        self.provenance.batch.committed_at = None;
        self.provenance.speed.lag_ms = None;
        let undated = text(&self);
        let tail = body[dated..].to_vec();
        Written::new(Form::Json, body, &[&undated, &tail], gaps, as_of_us)
    }
}
