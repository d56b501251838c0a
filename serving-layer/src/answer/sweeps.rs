//! Answers that need a sweep, which costs Redis as much as a metric has counters. Requests that ask the same at the same time share one.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use platform::settings;
use shared_logic::catalog::Metric;

use super::keys::{Listed, keys};
use super::top::{Top, top};
use crate::problem::Problem;
use crate::together::Together;
use crate::versions::Version;
use crate::written::{Form, Written};

/// What requests share.
type Answer = Result<Arc<Written>, Problem>;

/// The sweeps of all versions.
#[derive(Default)]
pub(crate) struct Sweeps {
    shared: Arc<Together<Question, Answer>>,
}

/// What is asked. Questions are equal if they have the same answer, to the byte, but for its moment.
#[derive(Clone)]
struct Question {
    version: Arc<Version>,
    metric: String,
    of: Of,
    form: Form,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Of {
    Top(Top),
    Keys(Listed),
}

impl Sweeps {
    /// Answers `top`.
    ///
    /// # Errors
    /// If one of the views cannot be read, or there are too many keys in the speed view.
    pub(crate) async fn top(
        &self,
        version: &Arc<Version>,
        metric: &Metric,
        top: Top,
        form: Form,
        http: &settings::Http,
    ) -> Answer {
        self.ask(Question { version: Arc::clone(version), metric: metric.name.clone(), of: Of::Top(top), form }, http)
            .await
    }

    /// Answers `keys`.
    ///
    /// # Errors
    /// As [`Sweeps::top`].
    pub(crate) async fn keys(
        &self,
        version: &Arc<Version>,
        metric: &Metric,
        listed: Listed,
        form: Form,
        http: &settings::Http,
    ) -> Answer {
        let of = Of::Keys(listed);
        self.ask(Question { version: Arc::clone(version), metric: metric.name.clone(), of, form }, http).await
    }

    async fn ask(&self, question: Question, http: &settings::Http) -> Answer {
        let first_within = http.request_timeout.get() / 2;
        let answer = move |question: Question| async move { question.answered(first_within).await };
        self.shared.ask(question, answer).await.unwrap_or_else(|| Err(Problem::internal()))
    }
}

impl Question {
    async fn answered(&self, first_within: Duration) -> Answer {
        let (version, metric) = (&self.version, self.version.metric(&self.metric)?);
        let written = match &self.of {
            Of::Top(asked) => top(version, metric, asked, self.form, first_within).await?,
            Of::Keys(listed) => keys(version, metric, listed, self.form, first_within).await?,
        };
        Ok(Arc::new(written))
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Question) -> bool {
        let is_same = (&self.metric, &self.of, self.form) == (&other.metric, &other.of, other.form);
        is_same && Arc::ptr_eq(&self.version, &other.version)
    }
}

impl Eq for Question {}

impl Hash for Question {
    /// Without the version: most requests ask the active one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.metric, &self.of, self.form).hash(state);
    }
}
