//! `GET /docs`: a page that shows the document of `/openapi.json`, and lets its reader try each path. It is Swagger UI, and comes with the
//! program: nothing is fetched from elsewhere.

use std::io::Read;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use crate::openapi::{Refusals, Unavailable};
use crate::problem::Problem;
use crate::routes::NameInPath;

const INDEX: &str = include_str!("docs/index.html");
const START: &str = include_str!("docs/start.js");
/// The name of the script that is ours.
const OURS: &str = "start.js";
/// The files of Swagger UI that the page loads.
const FILES: [&str; 3] = ["favicon-32x32.png", "swagger-ui-bundle.js", "swagger-ui.css"];
/// They are those of the program, and change with it.
const CACHED: &str = "max-age=300";

/// The page that shows this document
///
/// It lists all paths, and sends requests to them.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "process",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"), Unavailable),
)]
pub(crate) async fn index() -> Response {
    page("text/html; charset=utf-8", INDEX.as_bytes())
}

/// A file of the page that shows this document
///
/// Scripts, styles and an image.
#[utoipa::path(
    get, path = "/docs/{file}", operation_id = "docsFile", tag = "process",
    params(("file" = String, Path, description = "The name of the file.", example = "start.js")),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/javascript"),
            (String = "text/css"),
            (String = "image/png"),
        )),
        Refusals,
    ),
)]
pub(crate) async fn file(NameInPath(name): NameInPath, headers: HeaderMap) -> Result<Response, Problem> {
    if name == OURS {
        return Ok(page("text/javascript; charset=utf-8", START.as_bytes()));
    }
    let none = || Problem::no_path(&format!("/docs/{name}"));
    let known = FILES.into_iter().find(|known| *known == name).ok_or_else(none)?;
    let found = utoipa_swagger_ui::serve(known, Arc::new(Config::from("/openapi.json")));
    let file = found.ok().flatten().ok_or_else(none)?;
    if !file.gzpipped {
        return Ok(page(&file.content_type, &file.bytes));
    }
    if !accepts_gzip(&headers) {
        return Ok(page(&file.content_type, &unpacked(&file.bytes)));
    }
    let mut response = page(&file.content_type, &file.bytes);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(response)
}

fn page(kind: &str, bytes: &[u8]) -> Response {
    let kind = HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHED)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    (headers, bytes.to_vec()).into_response()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    // They were packed when the program was built.
    GzDecoder::new(bytes).read_to_end(&mut unpacked).expect("bytes of the program");
    unpacked
}

/// Whether a client takes what is packed.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let names = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = names.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::StatusCode;

    use super::*;

    async fn get(name: &str, accepts: &'static str) -> (Option<HeaderValue>, Vec<u8>) {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts))]);
        let response = file(NameInPath(name.to_owned()), headers).await.unwrap_or_else(Problem::into_response);
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        let encoding = response.headers().get(header::CONTENT_ENCODING).cloned();
        (encoding, to_bytes(response.into_body(), usize::MAX).await.expect("bytes").to_vec())
    }

    #[tokio::test]
    async fn every_file_that_the_page_loads_is_there_and_none_is_elsewhere() {
        for part in INDEX.split("/docs/").skip(1) {
            let name = part.split('"').next().expect("a name");
            let (encoding, bytes) = get(name, "identity").await;
            assert!(encoding.is_none() && bytes.len() > 100, "{name}: {} bytes", bytes.len());
        }
        for text in [INDEX, START] {
            assert!(!text.contains("http:") && !text.contains("https:"), "{text}");
        }
        let (encoding, packed) = get("swagger-ui-bundle.js", "br, gzip;q=0.5").await;
        assert_eq!(encoding, Some(HeaderValue::from_static("gzip")));
        let (_, whole) = get("swagger-ui-bundle.js", "gzip;q=0").await;
        assert!(packed.len() * 2 < whole.len() && unpacked(&packed) == whole);
        let headers = HeaderMap::new();
        let other = file(NameInPath("swagger-ui.js".to_owned()), headers).await.unwrap_or_else(Problem::into_response);
        assert_eq!(other.status(), StatusCode::NOT_FOUND);
    }
}
