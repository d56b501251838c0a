//! `GET /`: the web page. It shows what the HTTP API answers, to people. Its files come with the program, and load nothing from elsewhere.
//!
//! They are written as browsers read them: there is no step that makes them of others. What they hold is in `serving-layer/page`.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::Xxh3Default;

use crate::openapi::{AnswerRefusals, KnownAnswer, Unavailable};
use crate::problem::Problem;
use crate::routes::NameInPath;

/// Stands in the page for the name of these files, so that a browser keeps them until there are others.
const TAG_HERE: &str = "{tag}";
/// Another program may have others under the same name.
const ASKED_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// There is only one file of that name and tag.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

const INDEX: &str = include_str!("../../page/index.html");

/// A file that the page loads.
struct File {
    /// Its path below the folder of the page. It is asked for by the last part alone.
    path: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(File { path: $path, text: include_str!(concat!("../../page/", $path)) }),+]
    };
}

static FILES: &[File] = files![
    "alerts.js",
    "announce.js",
    "api.js",
    "chart.css",
    "chart.js",
    "early.js",
    "element.js",
    "events.js",
    "format.js",
    "freshness.js",
    "gap_list.js",
    "gaps.js",
    "icon.svg",
    "key.js",
    "main.js",
    "paced.js",
    "page.css",
    "panels.js",
    "picker.js",
    "question.js",
    "reconciles.js",
    "rejects.js",
    "reports.js",
    "sources.js",
    "streams.js",
    "theme.js",
    "top.js",
    "totals.js",
    "vendor/LICENSE",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
    "versions.js",
    "view.js",
    "words.js",
];

/// Another one whenever a file is another.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Xxh3Default::new();
    for File { path, text } in FILES {
        hash.update(path.as_bytes());
        hash.update(text.as_bytes());
    }
    format!("{:016x}", hash.digest())
});

static PAGE: LazyLock<String> = LazyLock::new(|| INDEX.replace(TAG_HERE, &TAG));

/// The web page
///
/// It shows metrics as they change, how fresh they are and what they lack, reconciles, streams, reports, versions and alerts: everything that this API
/// answers.
#[utoipa::path(
    get, path = "/", operation_id = "page", tag = "process",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"), Unavailable),
)]
pub(crate) async fn index() -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, ASKED_AGAIN)], PAGE.as_str()).into_response()
}

/// A file of the web page
///
/// Scripts, styles and an image. Under the tag that the page names, they never change.
#[utoipa::path(
    get, path = "/page/{tag}/{file}", operation_id = "pageFile", tag = "process",
    params(
        ("tag" = String, Path, description = "Names all files of the page together. Another one gives the same files, and they are not kept.", example = "any"),
        ("file" = String, Path, description = "The name of the file.", example = "main.js"),
        KnownAnswer,
    ),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/javascript"),
            (String = "text/css"),
            (String = "image/svg+xml"),
            (String = "text/plain"),
        )),
        AnswerRefusals,
    ),
)]
pub(crate) async fn file(
    NameInPath((tag, name)): NameInPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let none = || Problem::no_path(&format!("/page/{tag}/{name}"));
    let file = FILES.iter().find(|file| file.name() == name).ok_or_else(none)?;
    let etag = format!("W/\"{}\"", *TAG);
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|known| known.trim() == etag || known.trim() == "*");
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(file.text) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.kind()));
    }
    let kept = if tag == *TAG { KEPT } else { ASKED_AGAIN };
    response.headers_mut().insert(CACHE_CONTROL, kept);
    response.headers_mut().insert(ETAG, HeaderValue::try_from(etag).expect("digits and letters"));
    Ok(response)
}

impl File {
    fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    fn kind(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use axum::body::to_bytes;

    use super::*;

    async fn get(tag: &str, name: &str, headers: HeaderMap) -> (StatusCode, HeaderMap, String) {
        let asked = NameInPath((tag.to_owned(), name.to_owned()));
        let (head, body) = file(asked, headers).await.unwrap_or_else(Problem::into_response).into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("bytes");
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    fn listed(folder: &Path, before: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
        let mut found = BTreeSet::new();
        for entry in entries {
            let path = format!("{before}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                found.append(&mut listed(&entry.path(), &format!("{path}/")));
            } else {
                found.insert(path);
            }
        }
        found
    }

    #[test]
    fn every_file_of_the_folder_is_embedded_under_a_name_of_its_own() {
        let mut in_folder = listed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("page"), "");
        assert!(in_folder.remove("index.html"));
        assert_eq!(FILES.iter().map(|file| file.path.to_owned()).collect::<BTreeSet<_>>(), in_folder);
        assert_eq!(FILES.iter().map(File::name).collect::<BTreeSet<_>>().len(), FILES.len());
    }

    #[test]
    fn what_is_loaded_is_here_and_nothing_is_elsewhere() {
        let is_here = |name: &str| FILES.iter().any(|file| file.name() == name);
        let folder = format!("/page/{}/", *TAG);
        let named = PAGE.split(&folder).skip(1);
        for name in named.map(|part| part.split('"').next().unwrap_or_default()) {
            assert!(is_here(name), "{name}");
        }
        assert!(PAGE.contains("main.js") && !PAGE.contains(TAG_HERE));
        for File { path, text } in FILES.iter().filter(|file| !file.path.starts_with("vendor/")) {
            for name in text.split(" from \"./").skip(1).map(|part| part.split('"').next().unwrap_or_default()) {
                assert!(is_here(name), "{path} imports {name}");
            }
            // The one name of an address that is never fetched: it says that an element is SVG.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:"), "{path}");
        }
    }

    /// The policy of the server forbids them, so they would only not work.
    #[test]
    fn no_script_and_no_style_stands_within_the_page() {
        assert!(!PAGE.contains("<script>") && !PAGE.contains("<style") && !PAGE.contains(" style="));
        assert!(!PAGE.contains(" onclick=") && !PAGE.contains("javascript:") && !PAGE.contains("https:"));
        for File { path, text } in FILES.iter().filter(|file| !file.path.starts_with("vendor/")) {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text.contains(word), "{path} contains {word}");
            }
        }
    }

    #[tokio::test]
    async fn files_of_the_tag_are_kept_and_others_are_asked_for_again() {
        let (status, headers, text) = get(&TAG, "main.js", HeaderMap::new()).await;
        assert_eq!((status, &headers[CACHE_CONTROL]), (StatusCode::OK, &KEPT));
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert!(text.contains("learn()"), "{text}");
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, headers[ETAG].clone())]);
        let (status, headers, text) = get("of-another-program", "main.js", known).await;
        assert_eq!((status, &headers[CACHE_CONTROL], text.as_str()), (StatusCode::NOT_MODIFIED, &ASKED_AGAIN, ""));
        for name in ["index.html", "vendor/LICENSE", "../Cargo.toml", ""] {
            assert_eq!(get(&TAG, name, HeaderMap::new()).await.0, StatusCode::NOT_FOUND, "{name}");
        }
    }
}
