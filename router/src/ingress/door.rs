//! The door: refuses what can be refused before it is read, and counts what is on its way in.
//!
//! A layer around each service, since a refusal should cost as little as possible: no message is received, decoded, or
//! checked for it. What the metadata say of a request is known here; what its fields say is not, and they win. So a
//! request that may still say that it is important is refused here only when there is no room for anyone.
//!
//! Questions about the grid and its models always pass: under overload they matter most, and cost next to nothing.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::Either;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use nanogrid_resilience::Criticality;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use crate::admission::{self, Admission, Arriving};

/// A service behind the door.
#[derive(Clone, Debug)]
pub(crate) struct Door<S> {
    inner: S,
    admission: Arc<Admission>,
}

impl<S> Door<S> {
    pub(crate) fn new(inner: S, admission: Arc<Admission>) -> Self {
        Self { inner, admission }
    }
}

impl<S: NamedService> NamedService for Door<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(kind) = Kind::of(request.uri().path()) else {
            return Either::Right(self.inner.call(request));
        };
        let criticality = admission::told(request.headers()).unwrap_or_default();
        let at_most = match kind {
            // Each message on it is admitted by itself.
            Kind::Stream => None,
            Kind::WithField => Some(Criticality::CriticalPlus),
            Kind::MetadataOnly => Some(criticality),
        };
        if let Some(at_most) = at_most
            && let Err(shed) = self.admission.has_room(at_most, criticality)
        {
            return Either::Left(ready(Ok(shed.status().into_http())));
        }
        let arriving = Arriving::new(self.admission.clone());
        let counted = |inner| Body::new(Counted { inner, criticality, arriving, begun: Begun::default() });
        Either::Right(self.inner.call(request.map(counted)))
    }
}

/// A method that takes requests for experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The criticality may stand in the message.
    WithField,
    /// The message has no place for it.
    MetadataOnly,
    /// Many messages.
    Stream,
}

impl Kind {
    /// `None` for questions.
    fn of(path: &str) -> Option<Self> {
        match path {
            "/nanogrid.v1.Grid/Infer" | "/nanogrid.v1.Grid/Route" => Some(Self::WithField),
            "/inference.GRPCInferenceService/ModelInfer" => Some(Self::MetadataOnly),
            "/nanogrid.v1.Grid/InferStream" | "/inference.GRPCInferenceService/ModelStreamInfer" => {
                Some(Self::Stream)
            }
            _ => None,
        }
    }
}

/// A body whose bytes count until they have become a message, which then counts for itself.
struct Counted {
    inner: Body,
    criticality: Criticality,
    arriving: Arriving,
    begun: Begun,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        // Whoever asks for more has taken every whole message out of what there was.
        this.arriving.only(this.begun.n_bytes);
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            if let Err(shed) = this.arriving.more(data.len(), this.criticality) {
                return Poll::Ready(Some(Err(shed.status())));
            }
            this.begun.and_then(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// How much of a gRPC message has arrived that is not whole yet. Each has a head: a flag, and its length in four bytes.
#[derive(Debug, Default)]
struct Begun {
    n_bytes: usize,
    head: [u8; HEAD],
}

const HEAD: usize = 5;

impl Begun {
    fn and_then(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let needed = match self.n_bytes.checked_sub(HEAD) {
                None => HEAD - self.n_bytes,
                Some(n_arrived) => self.length() - n_arrived,
            };
            let (taken, rest) = data.split_at(needed.min(data.len()));
            if let Some(head) = self.head.get_mut(self.n_bytes..self.n_bytes + taken.len()) {
                head.copy_from_slice(taken);
            }
            self.n_bytes += taken.len();
            if self.n_bytes >= HEAD && self.n_bytes - HEAD == self.length() {
                self.n_bytes = 0;
            }
            data = rest;
        }
    }

    fn length(&self) -> usize {
        let [_flag, length @ ..] = self.head;
        u32::from_be_bytes(length) as usize
    }
}

#[cfg(test)]
mod tests;
