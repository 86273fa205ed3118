//! The gRPC services of a server, by name: what reflection lists and which methods the metrics know.

use std::convert::Infallible;

use axum::response::IntoResponse;
use http::{Request, Response};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

/// Services that are served on one port.
///
/// Limits on message sizes and compression belong to each generated server, and are set before it is added:
/// `max_decoding_message_size`, `accept_compressed`.
#[derive(Clone, Debug, Default)]
pub struct Services {
    routes: Routes,
    names: Vec<&'static str>,
}

impl Services {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a generated server.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: tower::Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// For the ops port: the services with reflection over them, as routes beside the HTTP ones.
    pub fn into_router(self) -> axum::Router {
        // What is not found is HTTP's to say there.
        self.with_reflection().routes.into_axum_router().reset_fallback()
    }

    /// Both versions, as there are clients that know one only.
    pub(crate) fn with_reflection(self) -> Self {
        let v1 = self.reflection().build_v1().expect("our own descriptors are well-formed");
        let v1alpha = self.reflection().build_v1alpha().expect("our own descriptors are well-formed");
        self.with(v1).with(v1alpha)
    }

    fn reflection(&self) -> Builder<'static> {
        let builder = DESCRIPTORS
            .into_iter()
            .fold(Builder::configure(), |builder, set| builder.register_encoded_file_descriptor_set(set));
        self.names.iter().chain(&REFLECTION).fold(builder, |builder, name| builder.with_service_name(*name))
    }

    /// Every method of these services, as `package.Service/Method`.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.names.iter().flat_map(|name| methods(name)).collect()
    }

    pub(crate) fn into_routes(mut self) -> Routes {
        let routes = self.routes.axum_router_mut();
        *routes = std::mem::take(routes).fallback(unknown);
        self.routes.prepare()
    }
}

/// The methods of a service (`package.Service`) as `package.Service/Method`; none for a service we do not describe.
pub fn methods(service: &str) -> Vec<String> {
    let mut methods = Vec::new();
    for set in DESCRIPTORS {
        let set = FileDescriptorSet::decode(set).expect("our own descriptors are well-formed");
        for file in set.file {
            for known in &file.service {
                if format!("{}.{}", file.package(), known.name()) == service {
                    methods.extend(known.method.iter().map(|method| format!("{service}/{}", method.name())));
                }
            }
        }
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

/// For whoever took this port for another.
async fn unknown(request: Request<axum::body::Body>) -> Response<Body> {
    let path = request.uri().path();
    Status::unimplemented(format!("no such method here, reflection lists what is: `{path}`")).into_http()
}

const DESCRIPTORS: [&[u8]; 4] = [
    nanogrid_proto::DESCRIPTORS,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
