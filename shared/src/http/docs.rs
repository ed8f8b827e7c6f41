//! `/openapi.json`, made from the code, and `/docs`, which shows it.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa_swagger_ui::Config;

use super::methods::{GET_OR_HEAD, get_or_head, resource};
use super::openapi::operations;
use super::problem::{Problem, ProblemKind};

/// The text of `/openapi.json`, for all workers: the document itself takes a megabyte.
pub(super) fn rendered(mut document: OpenApi) -> Bytes {
    parameters(&mut document).for_each(remove_null);
    serde_json::to_string(&document).unwrap_or_default().into()
}

/// Adds the paths. The pages are served from this binary: nothing is fetched from elsewhere.
pub(super) fn configure(document: Bytes, config: &mut web::ServiceConfig) {
    let get = || web::route().guard(get_or_head());
    let openapi = resource("/openapi.json", GET_OR_HEAD).route(get().to(move || {
        let document = document.clone();
        async move { HttpResponse::Ok().content_type("application/json").body(document) }
    }));
    let to_pages = resource("/docs", GET_OR_HEAD).route(get().to(to_pages));
    let settings = web::Data::new(Config::from("/openapi.json"));
    let pages = resource("/docs/{file:.*}", GET_OR_HEAD).app_data(settings).route(get().to(page));
    for resource in [openapi, to_pages, pages] {
        config.service(resource);
    }
}

async fn to_pages() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

async fn page(
    file: web::Path<String>,
    settings: web::Data<Config<'static>>,
) -> Result<HttpResponse, Problem> {
    let page = utoipa_swagger_ui::serve(&file, Arc::clone(&settings))
        .map_err(|error| Problem::internal(error.to_string()))?
        .ok_or_else(|| Problem::new(ProblemKind::NoSuchPath, "/docs has no file of this name"))?;
    let mut answer = HttpResponse::Ok();
    if page.gzpipped {
        answer.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    // The pages are part of the binary and change only with its version.
    answer.insert_header((header::CACHE_CONTROL, "max-age=3600"));
    Ok(answer.content_type(page.content_type).body(page.bytes.into_owned()))
}

fn parameters(document: &mut OpenApi) -> impl Iterator<Item = &mut Parameter> {
    let operations = document.paths.paths.values_mut().flat_map(operations);
    let parameters = operations.flat_map(|operation| operation.parameters.iter_mut().flatten());
    parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

/// utoipa describes an optional parameter as nullable. Headers and queries have no null: there it
/// would be the text "null".
fn remove_null(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        && let SchemaType::Array(types) = &schema.schema_type
        && let [one] = types.iter().filter(|kind| **kind != Type::Null).collect::<Vec<_>>()[..]
    {
        schema.schema_type = SchemaType::Type(one.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    async fn get(path: &str) -> (u16, String) {
        let document = rendered(OpenApi::default());
        let app = App::new().configure(|app| configure(document, app));
        let app = init_service(app).await;
        let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        let status = answer.status().as_u16();
        (status, String::from_utf8_lossy(&read_body(answer).await).into_owned())
    }

    #[actix_web::test]
    async fn the_pages_show_this_document_and_have_all_their_parts() {
        let (status, index) = get("/docs/").await;
        assert_eq!(status, 200);
        let parts = index.split(['"', '\'']).filter_map(|part| part.strip_prefix("./"));
        for part in parts {
            assert_eq!(get(&format!("/docs/{part}")).await.0, 200, "{part}");
        }
        assert!(get("/docs/swagger-initializer.js").await.1.contains("/openapi.json"));
    }

    #[actix_web::test]
    async fn what_is_not_there_is_a_problem() {
        let (status, body) = get("/docs/nothing.js").await;
        assert_eq!(status, 404);
        assert!(body.contains("/problems/no-such-path"), "{body}");
    }
}
