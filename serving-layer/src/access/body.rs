//! What a request brings. It is read before the handler runs, so that every handler has the same bounds, and none can forget them.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use futures::StreamExt;
use platform::settings::Size;

use crate::problem::Problem;

/// How much of a body that is refused is read and forgotten, in bodies of the greatest size. A client that is still sending when its connection
/// is closed may never see the answer.
const DISCARD_MAX: u64 = 16;
/// How long that may take.
const DISCARD_WITHIN: Duration = Duration::from_secs(1);

/// The request with its body in memory.
///
/// # Errors
/// If the body has more than `max` bytes, does not arrive `within` that time, or breaks off.
pub(super) async fn whole(request: Request, max: Size, within: Duration) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > max.bytes() {
        discard(body, max).await;
        return Err(Problem::body_too_large(max));
    }
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    let reading = async {
        while let Some(chunk) = chunks.next().await {
            let chunk: Bytes = chunk.map_err(|_| Problem::body_broke_off())?;
            if (read.len() + chunk.len()) as u64 > max.bytes() {
                return Err(Problem::body_too_large(max));
            }
            read.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(within, reading).await {
        Ok(Ok(())) => Ok(Request::from_parts(head, Body::from(read))),
        Ok(Err(problem)) => {
            discard(Body::from_stream(chunks), max).await;
            Err(problem)
        }
        Err(_) => Err(Problem::body_too_slow(within)),
    }
}

/// Reads the rest of a body and forgets it, as far as that is soon done.
pub(super) async fn discard(body: Body, max: Size) {
    let mut chunks = body.into_data_stream();
    let reading = async {
        let mut left = max.bytes().saturating_mul(DISCARD_MAX);
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    };
    // Whether it was read to its end changes nothing: the connection is closed if it was not.
    let _ = tokio::time::timeout(DISCARD_WITHIN, reading).await;
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use futures::stream;

    use super::*;

    const MAX: Size = Size::from_bytes(1_024);

    /// Status, or the size of the body that a handler gets.
    async fn brought(body: Body) -> Result<usize, u16> {
        match whole(Request::new(body), MAX, Duration::from_millis(50)).await {
            Ok(request) => Ok(to_bytes(request.into_body(), usize::MAX).await.expect("in memory").len()),
            Err(problem) => Err(problem.into_response().status().as_u16()),
        }
    }

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<Result<Bytes, std::io::Error>> =
            sizes.iter().map(|size| Ok(vec![b'x'; *size].into())).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_it_says_its_size_or_not() {
        assert_eq!(brought(Body::empty()).await, Ok(0));
        assert_eq!(brought(Body::from(vec![b'x'; 1_024])).await, Ok(1_024));
        assert_eq!(brought(Body::from(vec![b'x'; 1_025])).await, Err(413));
        assert_eq!(brought(chunks(&[1_000, 24])).await, Ok(1_024));
        assert_eq!(brought(chunks(&[1_000, 24, 1])).await, Err(413));
    }

    #[tokio::test]
    async fn a_body_that_stops_is_waited_for_only_so_long() {
        let stopped = stream::once(async { Ok::<_, std::io::Error>(Bytes::from("x")) }).chain(stream::pending());
        assert_eq!(brought(Body::from_stream(stopped)).await, Err(408));
        let broken = stream::iter([Ok(Bytes::from("x")), Err(std::io::Error::other("reset"))]);
        assert_eq!(brought(Body::from_stream(broken)).await, Err(400));
    }

    #[tokio::test]
    async fn of_an_endless_body_that_is_refused_a_part_is_read() {
        let endless = Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 512]))));
        discard(endless, MAX).await;
    }
}
