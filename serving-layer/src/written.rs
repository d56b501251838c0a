//! An answer about a metric as it is sent.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::HeaderValue;
use serde_json::Value;
use shared_logic::time::format_rfc3339;
use xxhash_rust::xxh3::Xxh3Default;

use crate::asked::Stepping;

/// The bytes of an answer, and what a response says of them beside.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) form: Form,
    pub(crate) body: Bytes,
    /// The gaps as they stand in JSON.
    pub(crate) gaps: Vec<Value>,
    /// Nothing that arrived before this moment is missing, if there are no gaps; microseconds since 1970.
    pub(crate) as_of_us: Option<i64>,
    /// Equal answers have equal tags, however fresh they are: a hash of all but the moment, the lag and the view's version.
    pub(crate) tag: u64,
    /// Whether there is another page behind this one; `None`: there are no pages.
    pub(crate) more: Option<bool>,
    told: OnceLock<Told>,
}

/// What the head of every response says that sends this answer.
#[derive(Debug)]
pub(crate) struct Told {
    /// The tag, weak: the moment is no part of it.
    pub(crate) tag: HeaderValue,
    pub(crate) as_of: Option<HeaderValue>,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    #[default]
    Json,
    Csv,
}

/// What an answer consists of: with the same shape, the same cells give the same bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// How a series is divided; `None`: it is a total.
    pub(crate) stepping: Option<Stepping>,
    pub(crate) form: Form,
}

impl Written {
    /// An answer without its moment. `undated` is all that makes it another answer.
    pub(crate) fn new(
        form: Form,
        body: Vec<u8>,
        undated: &[&[u8]],
        gaps: Vec<Value>,
        as_of_us: Option<i64>,
    ) -> Written {
        let mut hash = Xxh3Default::new();
        undated.iter().for_each(|part| hash.update(part));
        gaps.iter().for_each(|gap| hash.update(gap.to_string().as_bytes()));
        Written { form, body: body.into(), gaps, as_of_us, tag: hash.digest(), more: None, told: OnceLock::new() }
    }

    /// The same, as a page. What of it is a table says nowhere else whether there is another one, so that makes it another answer.
    pub(crate) fn with_more(self, more: bool) -> Written {
        Written { more: Some(more), tag: self.tag ^ u64::from(more), told: OnceLock::new(), ..self }
    }

    /// Written by the first response, for all that share this answer.
    pub(crate) fn told(&self) -> &Told {
        let header = |text: String| HeaderValue::try_from(text).expect("digits and letters");
        self.told.get_or_init(|| Told {
            tag: header(format!("W/\"{:016x}\"", self.tag)),
            as_of: self.as_of_us.map(format_rfc3339).map(header),
        })
    }
}
