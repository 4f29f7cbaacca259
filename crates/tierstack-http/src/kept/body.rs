//! Reading a body up to a limit, and giving on what was read of it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tierstack_core::BoxError;

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// So many bytes.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "it is what bodies of HTTP are read by"))]
    Bytes(usize),
    #[cfg_attr(not(feature = "tonic"), expect(dead_code, reason = "it is what bodies of gRPC are read by"))]
    /// One message of gRPC of so many bytes, with the five that stand before it.
    Message(usize),
}

/// A body that was read.
pub(crate) enum Gathered<B> {
    /// All of it.
    Whole(Bytes, Option<HeaderMap>),
    /// It is longer, or broke off: what was read, and what follows.
    More(Replay<B>),
}

/// Reads a body up to the limit: no further than the frame that goes beyond it.
///
/// # Cancel safety
/// What was read is lost with the future.
pub(crate) async fn gather<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin>(
    mut body: B,
    limit: Limit,
) -> Gathered<B> {
    let mut read = Read::default();
    let (Limit::Bytes(most) | Limit::Message(most)) = limit;
    if body.size_hint().lower() > most as u64 + Message::HEAD as u64 {
        return Gathered::More(read.replay(Some(body)));
    }
    loop {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => return read.whole(),
            Some(Ok(frame)) => {
                read.take(frame);
                if read.is_over(limit) {
                    return Gathered::More(read.replay(Some(body)));
                }
            }
            Some(Err(error)) => {
                read.error = Some(error.into());
                return Gathered::More(read.replay(None));
            }
        }
    }
}

/// What was read of a body.
#[derive(Default)]
struct Read {
    frames: VecDeque<Frame<Bytes>>,
    size: usize,
    message: Message,
    error: Option<BoxError>,
}

impl Read {
    fn take(&mut self, frame: Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            // Any number of empty ones would be read.
            if data.is_empty() {
                return;
            }
            self.size += data.len();
            self.message.take(data);
        }
        self.frames.push_back(frame);
    }

    fn is_over(&self, limit: Limit) -> bool {
        match limit {
            Limit::Bytes(most) => self.size > most,
            Limit::Message(most) => match self.message.size() {
                Some(size) => size > most || self.size > size.saturating_add(Message::HEAD),
                None => false,
            },
        }
    }

    fn whole<B>(mut self) -> Gathered<B> {
        // More than one frame of trailers: not what anybody sends, and not what is kept.
        let trailers = self.frames.iter().filter(|frame| frame.is_trailers()).count();
        if trailers > 1 || (trailers == 1 && !self.frames.back().is_some_and(Frame::is_trailers)) {
            return Gathered::More(self.replay(None));
        }
        let trailers = if trailers == 1 { self.frames.pop_back() } else { None };
        let mut data = self.frames.into_iter().filter_map(|frame| frame.into_data().ok());
        let first = data.next().unwrap_or_default();
        let bytes = match data.next() {
            None => first,
            Some(second) => {
                let mut all = BytesMut::with_capacity(self.size);
                [first, second].into_iter().chain(data).for_each(|part| all.extend_from_slice(&part));
                all.freeze()
            }
        };
        Gathered::Whole(bytes, trailers.and_then(|frame| frame.into_trailers().ok()))
    }

    fn replay<B>(self, rest: Option<B>) -> Replay<B> {
        Replay { frames: self.frames, error: self.error, rest }
    }
}

/// The head of a message of gRPC: a flag, and four bytes of length.
#[derive(Default)]
struct Message {
    head: [u8; Message::HEAD],
    known: usize,
}

impl Message {
    const HEAD: usize = 5;

    fn take(&mut self, data: &[u8]) {
        let wanted = &mut self.head[self.known..];
        let count = wanted.len().min(data.len());
        wanted[..count].copy_from_slice(&data[..count]);
        self.known += count;
    }

    /// Its length, without the head.
    fn size(&self) -> Option<usize> {
        let [_, a, b, c, d] = self.head;
        (self.known == Self::HEAD).then(|| u32::from_be_bytes([a, b, c, d]) as usize)
    }
}

/// What was read of a body, then what follows.
pub(crate) struct Replay<B> {
    frames: VecDeque<Frame<Bytes>>,
    error: Option<BoxError>,
    rest: Option<B>,
}

impl<B> Replay<B> {
    /// These bytes and trailers, and nothing else.
    pub(crate) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        let data = (!bytes.is_empty()).then(|| Frame::data(bytes));
        let frames = data.into_iter().chain(trailers.map(Frame::trailers)).collect();
        Replay { frames, error: None, rest: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Replay<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match &mut self.rest {
            None => Poll::Ready(None),
            Some(rest) => Pin::new(rest).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.error.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum::<u64>();
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let (None, Some(upper)) = (&self.error, rest.upper()) {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

// Nothing in it is pinned: the body below is `Unpin`.
impl<B> Unpin for Replay<B> {}
