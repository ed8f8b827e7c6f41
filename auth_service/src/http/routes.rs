//! Which handler answers which method of which path.

use actix_web::web::{self, Data, ServiceConfig};
use shared::bus::direct::TOKENS_PATH;
use shared::http::{GET_OR_HEAD, get_or_head, resource};

use super::{
    Api, internal_tokens, introspect, jwks, login, logout, logout_all, metadata, refresh, revoke,
    verify,
};

/// Adds the paths of this service.
pub fn configure(api: Api, config: &mut ServiceConfig) {
    let get = || web::route().guard(get_or_head());
    let verify = resource("/verify", GET_OR_HEAD).route(get().to(verify::verify));
    let login = resource("/login", "POST").route(web::post().to(login::login));
    let logout = resource("/logout", "POST").route(web::post().to(logout::logout));
    let logout_all = resource("/logout/all", "POST").route(web::post().to(logout_all::logout_all));
    let refresh = resource("/refresh", "POST").route(web::post().to(refresh::refresh));
    let jwks = resource("/.well-known/jwks.json", GET_OR_HEAD).route(get().to(jwks::jwks));
    let introspect = resource("/introspect", "POST").route(web::post().to(introspect::introspect));
    let revoke = resource("/revoke", "POST").route(web::post().to(revoke::revoke));
    let metadata = resource("/.well-known/oauth-authorization-server", GET_OR_HEAD)
        .route(get().to(metadata::metadata));
    let tokens = resource(TOKENS_PATH, "POST").route(web::post().to(internal_tokens::answer));
    config.app_data(Data::new(api)).service(verify).service(login).service(logout).service(jwks);
    config
        .service(tokens)
        .service(logout_all)
        .service(refresh)
        .service(introspect)
        .service(revoke)
        .service(metadata);
}
