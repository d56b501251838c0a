//! `GET /v1/metrics/{metric}/keys`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use platform::clock;
use shared_logic::group_key::ColumnPattern;

use super::all_keys::Columns;
use super::query::{range, require};
use super::{Reader, form, respond};
use crate::answer::{KeysBody, Listed};
use crate::app::App;
use crate::openapi::{AnswerRefusals, KnownAnswer, MetricName, OtherColumns, Require, Times, WhichVersion};
use crate::problem::Problem;
use crate::routes::parameters::Parameters;
use crate::routes::{NameInPath, Requested};

/// The parameters besides the columns.
const OTHERS: [&str; 7] = ["by", "prefix", "after", "limit", "from", "to", "require"];
/// How many keys a page has if the request does not say so, and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// The values of a column
///
/// In the order of their texts, page by page: `after` is the last one of the page before. Other columns are parameters.
#[utoipa::path(
    get, path = "/v1/metrics/{metric}/keys", operation_id = "keys", tag = "metrics",
    params(
        MetricName,
        ("by" = Option<String>, Query, description = "The column whose values are listed. Default: the first that the request gives no value of."),
        ("prefix" = Option<String>, Query, description = "Only values whose text begins so.", example = "a"),
        ("after" = Option<String>, Query, description = "Only values behind this one."),
        ("limit" = Option<usize>, Query, description = "How many values at most. Default: 100.", minimum = 1, maximum = 1000, example = 5),
        OtherColumns, Times, Require, KnownAnswer, WhichVersion),
    responses(
        (status = 200, description = "The values.", headers(
            ("etag" = String, description = "Names the answer, for `If-None-Match`."),
            ("braid-complete" = String, description = "`true` if nothing is missing, or `false`."),
            ("braid-as-of" = String, description = "As of when the answer speaks, RFC 3339."),
            ("braid-more" = String, description = "`true` if there are values behind these, or `false`."),
        ), content(
            (KeysBody<'static> = "application/json"),
            (String = "text/csv"),
        )),
        AnswerRefusals,
    ),
)]
pub(crate) async fn keys(
    State(app): State<Arc<App>>,
    Requested { version, parameters, headers }: Requested,
    NameInPath(name): NameInPath,
) -> Result<Response, Problem> {
    let metric = version.metric(&name)?;
    let reader = Reader { catalog: &version.catalog, metric, http: &app.http, now_us: clock::now_us() };
    let (listed, require_complete) = reader.keys(&parameters)?;
    let answer = app.sweeps.keys(&version, metric, listed, form(&headers), &app.http).await?;
    respond(&answer, require_complete, &headers)
}

impl Reader<'_> {
    /// Reads the parameters of `keys`, and whether an incomplete answer is refused.
    ///
    /// # Errors
    /// As [`Reader::total`], and if the request leaves no column to be listed.
    pub(crate) fn keys(&self, parameters: &Parameters) -> Result<(Listed, bool), Problem> {
        parameters.repeat_only(|_| false)?;
        let columns = Columns::read(parameters, self.catalog, self.metric, &OTHERS)?;
        let by = match parameters.get("by") {
            None => columns.not_given(),
            Some(name) => columns.named([name].into_iter())?,
        };
        let column = by[0];
        let mut asked = columns.asked(&[column], range(parameters, self.metric.grain_us, self.now_us)?);
        asked.after = match parameters.get("after") {
            Some(text) => Some(columns.key_with(column, "after", text)?),
            None => None,
        };
        let prefix = parameters.get("prefix").filter(|prefix| !prefix.is_empty());
        if let Some(prefix) = prefix {
            asked.columns[column] = ColumnPattern::beginning(columns.kind(column), prefix);
        }
        let require_complete = require(parameters)?;
        let listed = Listed {
            asked,
            column,
            by: self.metric.by[column].clone(),
            prefix: prefix.map(str::to_owned),
            limit: parameters.limit(USUAL, MOST)?,
        };
        Ok((listed, require_complete))
    }
}
