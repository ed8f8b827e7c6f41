//! Wires the two services: they share the hashing threads and the bus.

use std::net::SocketAddr;
use std::sync::Arc;

use shared::bus::Bus;
use shared::capacity::Capacity;
use shared::clock::Clock;
use shared::config::local_address;
use shared::hashing::{HashingConfig, HashingMetrics, HashingStartError, HashingThreads};
use shared::secrets::DataLayout;
use shared::telemetry::registry_of;
use user_service::AuthServiceAddress;
use user_service::config::DatabaseError;
use user_service::store::Store;

use crate::config::Config;

/// Both services, running.
pub struct Running {
    user_service: user_service::Running,
    auth_service: auth_service::Running,
}

/// One of the services cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The hashing threads.
    #[error("cannot hash passwords")]
    Hashing(#[from] HashingStartError),
    /// The database of users.
    #[error("cannot use the database of users")]
    Database(#[from] DatabaseError),
    /// user_service.
    #[error("user_service cannot start")]
    UserService(#[from] user_service::StartError),
    /// auth_service.
    #[error("auth_service cannot start")]
    AuthService(#[from] auth_service::StartError),
}

/// Starts both services on `bus`, with the users in the database that the settings name.
///
/// Must be called inside an actix system.
///
/// # Errors
/// See [`StartError`]; services that had started by then are stopped.
pub async fn start(
    config: &Config,
    capacity: Capacity,
    bus: Arc<dyn Bus>,
    clock: Clock,
) -> Result<Running, StartError> {
    let users = {
        let config = config.for_user_service();
        config.store(&config.common.data_dir)?
    };
    start_with(config, capacity, users, bus, clock).await
}

/// [`start`] with the users in this database.
///
/// # Errors
/// See [`StartError`]; services that had started by then are stopped.
pub async fn start_with(
    config: &Config,
    capacity: Capacity,
    users: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    clock: Clock,
) -> Result<Running, StartError> {
    // Each service has its own registry, as in separate processes; both show the shared threads.
    let mut registries = ["user_service", "auth_service"].map(registry_of);
    let metrics = HashingMetrics::register(&mut registries[0]);
    metrics.register_again(&mut registries[1]);
    let hashing = HashingConfig::from_args(&config.hashing, capacity.hash_threads);
    let hashing = HashingThreads::start(hashing, metrics)?;
    let [registry, auth_registry] = registries;
    let auth_address = AuthServiceAddress::from(config.user_service.auth_service_url.clone());
    let user_config = config.for_user_service();
    let deps = user_service::Deps {
        place: user_service::claim(&user_config, DataLayout::Whole).await?,
        store: users,
        bus: Arc::clone(&bus),
        hashing: hashing.clone(),
        capacity,
        clock: clock.clone(),
        registry,
        auth_service: auth_address.clone(),
    };
    let user_service = user_service::start(user_config, deps).await?;
    let (layout, registry) = (DataLayout::Whole, auth_registry);
    let deps = auth_service::Deps { bus, hashing, capacity, layout, clock, registry };
    match auth_service::start(config.for_auth_service(), deps).await {
        Ok(auth_service) => {
            let url = format!("http://{}", local_address(auth_service.address));
            // An address always has this form.
            if let Ok(url) = url.parse() {
                auth_address.set(url);
            }
            Ok(Running { user_service, auth_service })
        }
        Err(error) => {
            user_service.stop().await;
            Err(error.into())
        }
    }
}

impl Running {
    /// Where user_service listens.
    pub fn user_service_address(&self) -> SocketAddr {
        self.user_service.address
    }

    /// Where auth_service listens.
    pub fn auth_service_address(&self) -> SocketAddr {
        self.auth_service.address
    }

    /// Stops both: user_service first, so that auth_service still receives its last events.
    pub async fn stop(self) {
        self.user_service.stop().await;
        self.auth_service.stop().await;
    }
}
