//! What a change of streams costs.

use shared_logic::catalog::{Catalog, Stream};

use super::push_line;

/// What becomes of a stream of the new catalog. `old` is the catalog of before, if it is of the same version: another version
/// writes its streams from the beginning.
pub(super) fn push_stream(text: &mut String, old: Option<&Catalog>, new: &Catalog, stream: &Stream) {
    let name = &stream.name;
    let Some((old, before)) = old.and_then(|old| Some((old, old.streams.get(name)?))) else {
        push_line(
            text,
            &format!("stream {name}: new; it is made from {} and written to topic {}", stream.from, stream.topic),
        );
        return;
    };
    if before.topic != stream.topic {
        push_line(text, &format!("stream {name}: topic {} is written instead of {}", stream.topic, before.topic));
    }
    if before.from != stream.from {
        push_line(text, &format!("stream {name}: it is made from {} instead of {}", stream.from, before.from));
    } else if old.stream_definition(before) == new.stream_definition(stream) {
        push_line(text, &format!("stream {name}: writes the same"));
    } else {
        push_line(text, &format!("stream {name}: writes otherwise, from where it has come to"));
        push_line(
            text,
            "  a window or session across that place may be written twice or not at all; a new version has no seam",
        );
    }
}

/// Streams that the new catalog lacks.
pub(super) fn push_gone(text: &mut String, old: &Catalog, new: &Catalog) {
    for stream in old.streams.values().filter(|stream| !new.streams.contains_key(&stream.name)) {
        push_line(text, &format!("stream {}: gone; its topic and its archive stay as they are", stream.name));
    }
}
