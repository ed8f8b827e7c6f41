//! What both documents have in common: the paths that both services have, and the headers of every request
//! and answer.

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{HeaderBuilder, OpenApi, Ref, RefOr, Required};

use super::{OperationProblems, add_problems, operations};
use crate::http::problem::ProblemKind;
use crate::http::{docs, probes, problem_pages};

/// Names the header among the parameters and the headers of the components.
const REQUEST_ID: &str = "RequestId";
/// Names the header among the parameters of the components.
const TRACEPARENT: &str = "Traceparent";

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        probes::healthz,
        probes::readyz,
        probes::metrics,
        problem_pages::explain,
        docs::read_document,
    ),
    tags((name = "operation", description = "For operators and developers"))
)]
struct Paths;

/// Their problems, beside those of every operation.
const PROBLEMS: [OperationProblems; 5] = [
    ("isAlive", &[]),
    ("isReady", &[]),
    ("readMetrics", &[]),
    ("explainProblem", &[&[ProblemKind::NoSuchPath]]),
    ("readDocument", &[]),
];

/// Completes the document of a service, whose own operations have their problems already.
pub(in crate::http) fn complete(document: &mut OpenApi) {
    let mut paths = Paths::openapi();
    add_problems(&mut paths, &PROBLEMS);
    document.info.version = env!("CARGO_PKG_VERSION").into();
    document.merge(paths);
    add_components(document);
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        add_headers(operation);
        operation.parameters.iter_mut().flatten().for_each(remove_null);
    }
}

fn add_components(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let request_id = parameter("X-Request-Id").description(Some(
        "1 to 128 visible ASCII characters, for the logs of both sides. Anything else is replaced",
    ));
    let traceparent = parameter("traceparent")
        .description(Some("W3C trace context. One that is not well-formed is ignored"));
    for (name, parameter) in [(REQUEST_ID, request_id), (TRACEPARENT, traceparent)] {
        components.parameters.insert(name.to_owned(), parameter.build().into());
    }
    let header = HeaderBuilder::new()
        .schema(Some(text()))
        .description(Some("The request's, or a new one: the service's log has it"));
    components.headers.insert(REQUEST_ID.to_owned(), header.build().into());
}

fn parameter(name: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(text()))
}

fn text() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

fn add_headers(operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    for name in [REQUEST_ID, TRACEPARENT] {
        parameters.push(RefOr::Ref(Ref::new(format!("#/components/parameters/{name}"))));
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let header = Ref::new(format!("#/components/headers/{REQUEST_ID}"));
            response.headers.insert("X-Request-Id".to_owned(), RefOr::Ref(header));
        }
    }
}

/// utoipa describes an optional parameter as nullable. Headers and queries have no null: there it
/// would be the text "null".
fn remove_null(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(parameter) = parameter
        && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        && let SchemaType::Array(types) = &schema.schema_type
        && let [one] = types.iter().filter(|kind| **kind != Type::Null).collect::<Vec<_>>()[..]
    {
        schema.schema_type = SchemaType::Type(one.clone());
    }
}
