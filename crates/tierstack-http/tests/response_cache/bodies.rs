//! How bodies are read: up to the bound, and no byte of them is lost.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::{StreamExt, stream};
use http::Response;

use crate::pages::{pages, read, request};

#[tokio::test]
async fn a_body_over_the_bound_passes_whole() {
    for (parts, size, is_kept) in
        [(1, 1_000, true), (10, 100, true), (1, 1_001, false), (11, 100, false), (3, 100_000, false)]
    {
        for is_stream in [false, true] {
            let pages = pages(|pages| pages.max_body_bytes(1_000));
            let handler = move |call: usize, _| async move {
                let letter = char::from(b'a' + u8::try_from(call).unwrap());
                let part = letter.to_string().repeat(size);
                if is_stream {
                    let parts = stream::iter(0..parts).map(move |_| Ok::<_, Infallible>(part.clone()));
                    Response::new(Body::from_stream(parts))
                } else {
                    Response::new(Body::from(part.repeat(parts)))
                }
            };
            let first = read(pages.ask_of(request("/a"), handler).await).await.1;
            assert_eq!(first, "a".repeat(parts * size));
            let second = read(pages.ask_of(request("/a"), handler).await).await.1;
            let letter = if is_kept { "a" } else { "b" };
            assert_eq!(second, letter.repeat(parts * size), "{parts} × {size}, streamed: {is_stream}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_its_caller_alone() {
    let pages = pages(|pages| pages);
    let handler = |call: usize, _| async move {
        if call > 0 {
            return Response::new(Body::from("well"));
        }
        let parts = [Ok("begun"), Err(std::io::Error::other("broken"))];
        Response::new(Body::from_stream(stream::iter(parts)))
    };
    let mut broken = pages.ask_of(request("/a"), handler).await.into_body().into_data_stream();
    assert_eq!(broken.next().await.unwrap().unwrap(), "begun");
    assert!(broken.next().await.unwrap().unwrap_err().to_string().contains("broken"));
    assert_eq!(read(pages.ask_of(request("/a"), handler).await).await.1, "well");
}
