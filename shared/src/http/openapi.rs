//! The common part of the OpenAPI documents of both services: the problems of each operation, from
//! one table.

mod everywhere;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use contract::problem::PROBLEM_JSON;
use contract::{MemberError, ProblemDocument};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Problem, ProblemKind};
pub(super) use everywhere::complete;

/// An operation's id, and the problems that it can answer with, in addition to those of every
/// operation.
pub type OperationProblems = (&'static str, &'static [&'static [ProblemKind]]);

/// The problems of every operation.
const ALWAYS: &[ProblemKind] = &[
    ProblemKind::Malformed,
    ProblemKind::HeadTooSlow,
    ProblemKind::HeadTooLarge,
    ProblemKind::TargetTooLong,
    ProblemKind::Internal,
    ProblemKind::Overloaded,
    ProblemKind::VersionNotSupported,
];
/// The problems of an operation that takes a body of one media type: JSON or a form.
pub const TYPED_BODY: &[ProblemKind] =
    &[ProblemKind::BodyTooSlow, ProblemKind::BodyTooLarge, ProblemKind::UnsupportedMediaType];

/// The problems of an operation that changes something, and takes no body.
pub const IGNORED_BODY: &[ProblemKind] = &[ProblemKind::BodyTooSlow, ProblemKind::BodyTooLarge];

/// Adds the problems of each operation in the table to the document.
pub fn add_problems(document: &mut OpenApi, table: &[OperationProblems]) {
    let components = document.components.get_or_insert_default();
    for (name, schema) in [
        (ProblemDocument::name(), ProblemDocument::schema()),
        (MemberError::name(), MemberError::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let id = operation.operation_id.as_deref();
        let own = table.iter().find(|(name, _)| Some(*name) == id).map_or(&[][..], |row| row.1);
        let mut of_status: BTreeMap<StatusCode, Vec<ProblemKind>> = BTreeMap::new();
        for kind in ALWAYS.iter().chain(own.iter().copied().flatten()) {
            of_status.entry(kind.status()).or_default().push(*kind);
        }
        for (status, kinds) in of_status {
            let problem = describe(status, &kinds);
            let answers = &mut operation.responses.responses;
            if let Some(RefOr::T(own)) = answers.get_mut(status.as_str()) {
                // An answer of its own has the same status.
                own.content.extend(problem.content);
            } else {
                answers.insert(status.as_str().to_owned(), problem.into());
            }
        }
    }
}

/// Adds the security scheme `token`: a token in the `Authorization` header.
pub fn add_bearer_scheme(document: &mut OpenApi) {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.bearer_format = Some("JWT".to_owned());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
}

/// The ids of operations that only the document or only the table names: there should be none.
pub fn not_in_both(document: &OpenApi, table: &[OperationProblems]) -> Vec<String> {
    let items = document.paths.paths.values();
    let described: BTreeSet<_> = items
        .flat_map(|item| [&item.get, &item.post, &item.put, &item.delete])
        .filter_map(|operation| operation.as_ref()?.operation_id.as_deref())
        .collect();
    let named = table.iter().map(|(name, _)| *name).collect();
    described.symmetric_difference(&named).map(ToString::to_string).collect()
}

/// The operations of a path.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

fn describe(status: StatusCode, kinds: &[ProblemKind]) -> Response {
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.title()).collect();
    let mut content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemDocument::name())));
    for kind in kinds {
        let document = Problem::new(*kind, kind.meaning()).document();
        let value = serde_json::to_value(document).unwrap_or_default();
        let example = ExampleBuilder::new().summary(kind.title()).value(Some(value)).build();
        content = content.examples_from_iter([(kind.slug(), example)]);
    }
    let content = content.build();
    let response =
        ResponseBuilder::new().description(titles.join("; or: ")).content(PROBLEM_JSON, content);
    let (name, kind, description) = match status {
        StatusCode::UNAUTHORIZED => {
            ("WWW-Authenticate", Type::String, "As in RFC 6750 or, for clients, RFC 7617")
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            ("Retry-After", Type::Integer, "Seconds")
        }
        _ => return response.build(),
    };
    let schema = ObjectBuilder::new().schema_type(kind).build();
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
    response.header(name, header).build()
}
