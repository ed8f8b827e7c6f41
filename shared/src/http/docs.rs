//! `/openapi.json`, made from the code, and `/docs`, which shows it.

use actix_web::{HttpResponse, web};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::methods::{allow_only, get_or_head};

/// Adds the two paths. The pages come from this binary: nothing is fetched from elsewhere.
pub(super) fn configure(document: &OpenApi, config: &mut web::ServiceConfig) {
    let json = serde_json::to_string(document).unwrap_or_default();
    let openapi =
        web::resource("/openapi.json").route(web::route().guard(get_or_head()).to(move || {
            let json = json.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(json) }
        }));
    config.service(allow_only(openapi, "GET, HEAD"));
    let to_pages = web::redirect("/docs", "/docs/");
    config.service(to_pages);
    config.service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")));
}
