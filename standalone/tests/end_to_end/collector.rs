//! A collector of OpenTelemetry in the test: it decodes what arrives.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use testkit::wait::until;

const BOUND: Duration = Duration::from_secs(30);
/// What a client must bring.
pub(crate) const AUTHORIZATION: &str = "Bearer s3cret";

/// A span, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Collected {
    pub(crate) service: String,
    pub(crate) span: Span,
}

impl Collected {
    pub(crate) fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub(crate) fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.span.attributes, key)
    }

    /// The spans that it is linked to.
    pub(crate) fn links(&self) -> Vec<String> {
        self.span.links.iter().map(|link| hex(&link.span_id)).collect()
    }
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    service: Data<Service>,
    arriving: Receiver<Collected>,
    arrived: RefCell<Vec<Collected>>,
}

/// What its worker has.
struct Service {
    spans: Sender<Collected>,
    /// What it answers with.
    status: AtomicU16,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let (spans, arriving) = channel();
        let service = Data::new(Service { spans, status: AtomicU16::new(200) });
        let shared = service.clone();
        let app = move || {
            App::new().app_data(shared.clone()).route("/otlp/v1/traces", web::post().to(take))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        Self { address, service, arriving, arrived: RefCell::default() }
    }

    /// Its `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/otlp", self.address)
    }

    pub(crate) fn answer_with(&self, status: StatusCode) {
        self.service.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// What `find` finds among the spans, once they are there.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&[Collected]) -> Option<T>) -> T {
        until(what, BOUND, async || find(&self.spans())).await
    }

    /// All that have arrived.
    pub(crate) fn spans(&self) -> Vec<Collected> {
        let mut arrived = self.arrived.borrow_mut();
        arrived.extend(self.arriving.try_iter());
        arrived.clone()
    }
}

async fn take(service: Data<Service>, request: HttpRequest, body: Bytes) -> HttpResponse {
    assert_eq!(request.headers().get("content-type").unwrap(), "application/x-protobuf");
    if request.headers().get("authorization").is_none_or(|value| value != AUTHORIZATION) {
        return HttpResponse::Unauthorized().finish();
    }
    let status = StatusCode::from_u16(service.status.load(Ordering::Relaxed)).unwrap();
    if status.is_success() {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for resource_spans in request.resource_spans {
            let resource = resource_spans.resource.unwrap().attributes;
            let name = attribute(&resource, "service.name").unwrap();
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                // The test may be over.
                let _ = service.spans.send(Collected { service: name.clone(), span });
            }
        }
    }
    HttpResponse::build(status).finish()
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(id)
}
