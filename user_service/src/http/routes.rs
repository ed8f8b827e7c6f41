//! Which handler answers which method of which path.

use actix_web::web;
use shared::bus::direct::SYNC_PATH;
use shared::http::{get_or_head, resource};

use super::{
    Api, create_user, delete_user, end_sessions, internal_sync, list_users, password_reset,
    read_user, update_user,
};

/// Adds the paths of this service.
pub fn configure(api: Api, config: &mut web::ServiceConfig) {
    let users = resource("/users", "GET, HEAD, POST")
        .route(web::route().guard(get_or_head()).to(list_users::list_users))
        .route(web::post().to(create_user::create_user));
    let user = resource("/users/{user_id}", "GET, HEAD, PUT, DELETE")
        .route(web::route().guard(get_or_head()).to(read_user::read_user))
        .route(web::put().to(update_user::update_user))
        .route(web::delete().to(delete_user::delete_user));
    let sessions = resource("/users/{user_id}/sessions", "DELETE")
        .route(web::delete().to(end_sessions::end_sessions));
    let reset_token = resource("/users/{user_id}/reset-token", "POST")
        .route(web::post().to(password_reset::make_reset_token));
    let reset =
        resource("/password-reset", "POST").route(web::post().to(password_reset::reset_password));
    let sync = resource(SYNC_PATH, "POST").route(web::post().to(internal_sync::internal_sync));
    config.app_data(web::Data::new(api)).service(user).service(users).service(sync);
    config.service(sessions).service(reset_token).service(reset);
}
