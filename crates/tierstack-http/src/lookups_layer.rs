use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tierstack_core::WriteToken;
use tower_layer::Layer;
use tower_service::Service;

use crate::lookups::{Lookups, Noted};
use crate::{Wishes, WriteCookie, write_token_header, write_token_of};

/// Gives each request its [`Lookups`], and tells in the response's headers what they came to. For any service over HTTP
/// requests: a router of axum, a server of tonic.
///
/// 1. *`Cache-Status`* (RFC 9211): one member for all lookups of the request; none if there was none.
/// 2. *Wishes* of a client are granted if the application says so. Default: none.
/// 3. *Tokens of writes* are taken from requests, and given in responses, in the ways that the application says. Default: in
///    none. A token makes lookups cost more, a load each if the origin tells no moments; so who may bring one may have that.
///
/// ```
/// use tierstack_http::{LookupsLayer, Wishes, WriteCookie};
/// let layer = LookupsLayer::new().grant(Wishes::none().refresh()).write_token_header().write_token_cookie(WriteCookie::new());
/// # let _ = layer;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LookupsLayer(Arc<Options>);

#[derive(Clone, Debug, Default)]
struct Options {
    name: Option<Cow<'static, str>>,
    wishes: Wishes,
    header: bool,
    cookie: Option<WriteCookie>,
}

impl LookupsLayer {
    /// A layer that grants nothing, and carries no tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the cache in `Cache-Status`. Default: `tierstack`.
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options().name = Some(name.into());
        self
    }

    /// Sets which wishes of a client are granted.
    pub fn grant(mut self, wishes: Wishes) -> Self {
        self.options().wishes = wishes;
        self
    }

    /// Carries tokens of writes in the header [`WRITE_TOKEN`](crate::WRITE_TOKEN), both ways.
    pub fn write_token_header(mut self) -> Self {
        self.options().header = true;
        self
    }

    /// Carries tokens of writes in a cookie, both ways.
    pub fn write_token_cookie(mut self, cookie: WriteCookie) -> Self {
        self.options().cookie = Some(cookie);
        self
    }

    fn options(&mut self) -> &mut Options {
        Arc::make_mut(&mut self.0)
    }
}

impl Options {
    fn lookups(&self, headers: &HeaderMap) -> Lookups {
        let of_header = if self.header { write_token_of(headers) } else { Ok(WriteToken::default()) };
        let of_cookie = self.cookie.as_ref().map(|_| WriteCookie::token_of(headers));
        let seen = of_header.map(|token| of_cookie.map_or_else(|| token.clone(), |other| token.and(&other)));
        Lookups::new(self.wishes.terms(headers), seen)
    }

    fn tell(&self, lookups: &Lookups, headers: &mut HeaderMap) {
        let Noted { status, wrote } = lookups.take_noted();
        if let Some(mut status) = status {
            if let Some(name) = &self.name {
                status = status.named(name.clone());
            }
            let (name, value) = status.header();
            headers.append(name, value);
        }
        let Some(wrote) = wrote else { return };
        // The client forgets the token it brought.
        let token = lookups.seen().map_or_else(|_| wrote.clone(), |seen| seen.and(&wrote));
        if self.header {
            let (name, value) = write_token_header(&token);
            headers.insert(name, value);
        }
        if let Some(cookie) = &self.cookie {
            let (name, value) = cookie.header(&token);
            headers.append(name, value);
        }
    }
}

impl<S> Layer<S> for LookupsLayer {
    type Service = LookupsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LookupsService { options: Arc::clone(&self.0), inner }
    }
}

/// A service whose requests have [`Lookups`]. Ready when the one below is.
#[derive(Clone, Debug)]
pub struct LookupsService<S> {
    options: Arc<Options>,
    inner: S,
}

impl<S, A, B> Service<Request<A>> for LookupsService<S>
where
    S: Service<Request<A>, Response = Response<B>, Future: Send + 'static>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let options = Arc::clone(&self.options);
        let lookups = options.lookups(request.headers());
        request.extensions_mut().insert(lookups.clone());
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            options.tell(&lookups, response.headers_mut());
            Ok(response)
        })
    }
}
