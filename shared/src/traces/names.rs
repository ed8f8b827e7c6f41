//! Names of attributes, by the semantic conventions of OpenTelemetry, version 1.45. Those of messaging may
//! still change.

pub(super) const SERVICE_NAMESPACE: &str = "service.namespace";
pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";
pub(super) const SERVICE_INSTANCE_ID: &str = "service.instance.id";

pub(super) const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub(super) const HTTP_ROUTE: &str = "http.route";
pub(super) const HTTP_STATUS: &str = "http.response.status_code";
pub(super) const URL_PATH: &str = "url.path";
pub(super) const URL_SCHEME: &str = "url.scheme";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const ERROR_TYPE: &str = "error.type";
/// Stands for a method that HTTP does not know.
pub(super) const OTHER_METHOD: &str = "_OTHER";
/// `X-Request-Id`; not of the conventions.
pub(super) const REQUEST_ID: &str = "lockstep.request_id";

pub(super) const MESSAGING_SYSTEM: &str = "messaging.system";
pub(super) const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
pub(super) const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
pub(super) const MESSAGING_DESTINATION: &str = "messaging.destination.name";
pub(super) const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
pub(super) const MESSAGING_BATCH_COUNT: &str = "messaging.batch.message_count";
pub(super) const ROUTING_KEY: &str = "messaging.rabbitmq.destination.routing_key";
