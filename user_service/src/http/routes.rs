//! Which handler answers which method of which path.

use actix_web::web;
use shared::bus::direct::DIRECT_PATH;
use shared::http::{get_or_head, resource};

use super::{Api, create_user, delete_user, internal_sync, list_users, read_user, update_user};

/// Adds the paths of this service.
pub fn configure(api: Api, config: &mut web::ServiceConfig) {
    let users = resource("/users", "GET, HEAD, POST")
        .route(web::route().guard(get_or_head()).to(list_users::list_users))
        .route(web::post().to(create_user::create_user));
    let user = resource("/users/{user_id}", "GET, HEAD, PUT, DELETE")
        .route(web::route().guard(get_or_head()).to(read_user::read_user))
        .route(web::put().to(update_user::update_user))
        .route(web::delete().to(delete_user::delete_user));
    let sync = resource(DIRECT_PATH, "POST").route(web::post().to(internal_sync::internal_sync));
    config.app_data(web::Data::new(api)).service(user).service(users).service(sync);
}
