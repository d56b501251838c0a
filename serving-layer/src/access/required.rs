//! What each path asks of the key that a request sends.

use platform::api_key::Scope;

/// Health checks, which hold no key.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];
/// The process's own counters.
const TELEMETRY: &str = "/metrics";
/// Paths that begin so show what clients have sent, byte by byte, whatever that is.
const ADMIN: [&str; 1] = ["/v1/rejected"];

/// What a path asks for, if there are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Required {
    /// Nothing.
    Nothing,
    /// A key with this scope or a greater one.
    Scope(Scope),
    /// It is answered on `telemetry.listen` alone.
    AnotherAddress,
}

/// What a path of the route table asks for, or what is asked of a request to none of them. A path that is named nowhere here asks for a key.
pub(crate) fn of(route: Option<&str>) -> Required {
    match route {
        Some(route) if OPEN.contains(&route) => Required::Nothing,
        Some(TELEMETRY) => Required::AnotherAddress,
        Some(route) if ADMIN.iter().any(|begin| route.starts_with(begin)) => Required::Scope(Scope::Admin),
        _ => Required::Scope(Scope::Read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router;

    #[test]
    fn what_is_named_here_is_a_path_and_nothing_else_asks_for_no_key() {
        let routes: Vec<&str> = router::routes().into_iter().map(|(path, _)| path).collect();
        for open in OPEN.into_iter().chain([TELEMETRY]) {
            assert!(routes.contains(&open), "{open}");
        }
        for begin in ADMIN {
            assert!(routes.iter().any(|route| route.starts_with(begin)), "{begin}");
        }
        let asks_for_none = routes.into_iter().filter(|route| of(Some(route)) == Required::Nothing);
        assert_eq!(asks_for_none.collect::<Vec<_>>(), OPEN);
    }
}
