//! The settings of both services, each only once.

use auth_service::config::AuthServiceConfig;
use clap::Args;
use shared::config::{CommonConfig, HashingArgs};
use user_service::config::UserServiceConfig;

/// Everything that [`crate::start`] needs to know.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The settings that both services have.
    #[command(flatten)]
    pub common: CommonConfig,
    /// The cost of hashing: one set of threads serves both services.
    #[command(flatten)]
    pub hashing: HashingArgs,
    /// The settings of user_service only.
    #[command(flatten)]
    pub user_service: UserServiceConfig,
    /// The settings of auth_service only.
    #[command(flatten)]
    pub auth_service: AuthServiceConfig,
}

impl Config {
    /// The part that user_service sees.
    pub fn for_user_service(&self) -> user_service::config::Config {
        user_service::config::Config {
            common: self.common.clone(),
            service: self.user_service.clone(),
        }
    }

    /// The part that auth_service sees.
    pub fn for_auth_service(&self) -> auth_service::config::Config {
        auth_service::config::Config {
            common: self.common.clone(),
            service: self.auth_service.clone(),
        }
    }
}
