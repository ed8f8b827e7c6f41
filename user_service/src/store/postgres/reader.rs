//! Reads users, by one connection for each reader: questions that are asked together are sent
//! together.

use contract::UserId;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use shared::idempotency::IdempotentRequest;
use shared::postgres::Link;

use super::super::{ChangeError, Reader, StoreError};
use super::{responses, users};
use crate::domain::{Credentials, User, Written};

/// Reads users.
pub(super) struct PostgresReader {
    link: Link,
}

impl PostgresReader {
    pub(super) fn new(link: Link) -> Self {
        Self { link }
    }
}

// A single statement is consistent by itself.
impl Reader for PostgresReader {
    fn find_user(&self, id: UserId) -> LocalBoxFuture<'_, Result<Option<User>, StoreError>> {
        users::find(&self.link, id).boxed_local()
    }

    fn find_user_by_key<'a>(
        &'a self,
        username_key: &'a str,
    ) -> LocalBoxFuture<'a, Result<Option<User>, StoreError>> {
        users::find_by_key(&self.link, username_key).boxed_local()
    }

    fn find_credentials(
        &self,
        id: UserId,
    ) -> LocalBoxFuture<'_, Result<Option<Credentials>, StoreError>> {
        users::find_credentials(&self.link, id).boxed_local()
    }

    fn list_users(
        &self,
        after: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>> {
        users::list(&self.link, after, limit).boxed_local()
    }

    fn list_admins(&self) -> LocalBoxFuture<'_, Result<Vec<User>, StoreError>> {
        users::list_admins(&self.link).boxed_local()
    }

    fn find_response<'a>(
        &'a self,
        request: &'a IdempotentRequest,
        now_ms: i64,
    ) -> LocalBoxFuture<'a, Result<Option<Written>, ChangeError>> {
        responses::find_one(&self.link, request, now_ms).boxed_local()
    }
}
