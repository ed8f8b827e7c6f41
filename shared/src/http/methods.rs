//! 405 with `Allow` for every path that exists.

use actix_web::http::header;
use actix_web::{Resource, web};

use super::problem::{Problem, ProblemKind};

/// Makes the resource answer methods other than those of its routes with 405; `allow` names these.
#[must_use]
pub fn allow_only(resource: Resource, allow: &'static str) -> Resource {
    resource.default_service(web::to(move || async move {
        let detail = format!("this path takes {allow}");
        Err::<&str, _>(
            Problem::new(ProblemKind::MethodNotAllowed, detail).with_header(header::ALLOW, allow),
        )
    }))
}

/// Passes GET, and HEAD, which is answered like it without the body.
pub fn get_or_head() -> impl actix_web::guard::Guard {
    actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head())
}
