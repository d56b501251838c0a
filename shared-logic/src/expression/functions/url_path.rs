//! `url_path(url)`: the path of a URL, so that the same page counts once whatever its query says.

use std::borrow::Cow;

use super::PureFunction;
use crate::expression::Scalar;
use crate::schema::FieldType;

/// The path of an absolute or relative URL.
pub(super) const URL_PATH: PureFunction = PureFunction {
    name: "url_path",
    takes: &[FieldType::String],
    gives: FieldType::String,
    is_total: true,
    about: "the path of a URL, without scheme, host, query and fragment",
    apply,
};

fn apply<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::String(Cow::Borrowed(url))] => Scalar::String(Cow::Borrowed(path(url))),
        [Scalar::String(Cow::Owned(url))] => Scalar::String(Cow::Owned(path(url).to_owned())),
        _ => Scalar::Null,
    }
}

/// The path as RFC 3986 (appendix B) splits it, not decoded; `/` where there is a host and no path.
///
/// A host needs a scheme before it. `//favicon.ico`, as clients request it from a server, is a path.
fn path(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => match rest.strip_prefix("//") {
            Some(host) => host.find('/').map_or("/", |slash| &host[slash..]),
            None => rest,
        },
        _ => url,
    }
}

/// A letter, then letters, digits, `+`, `-` and `.`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn only_the_path_remains() {
        let table = [
            ("https://example.org/video/7?t=3#top", "/video/7"),
            ("https://example.org", "/"),
            ("https://example.org?q=/a", "/"),
            ("http://example.org//a//b", "//a//b"),
            ("//favicon.ico", "//favicon.ico"),
            ("//example.org/a?b", "//example.org/a"),
            ("*", "*"),
            ("/a/b?c=d", "/a/b"),
            ("a/b:c#d", "a/b:c"),
            ("mailto:someone", "someone"),
            ("", ""),
        ];
        for (url, expected) in table {
            assert_eq!(path(url), expected, "{url}");
        }
    }
}
