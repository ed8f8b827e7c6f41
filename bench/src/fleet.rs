//! Replicas of auth_service in one data directory, with a user_service and a private RabbitMQ.

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::rabbitmq::RabbitMq;

use crate::system::{Service, post, until_login_gives};

/// They have one user.
pub(crate) struct Fleet {
    /// The replica in place N of the data directory is at N - 1, as long as none is added or stopped.
    pub(crate) replicas: Vec<Service>,
    _user_service: Service,
    pub(crate) broker: RabbitMq,
    directory: TempDir,
}

impl Fleet {
    /// Starts it, and waits until the user can log in at each replica.
    pub(crate) async fn start(replicas: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = RabbitMq::start().await;
        let user_service = Service::start("user_service", directory.path(), &broker.url()).await;
        let created = post(user_service.address, "/users", "user1").await;
        assert_eq!(created.0, 201, "{}", created.1);
        let mut fleet =
            Self { replicas: Vec::new(), _user_service: user_service, broker, directory };
        for _ in 0..replicas {
            let replica = fleet.start_replica().await;
            until_login_gives(replica.address, "user1", 200).await;
            fleet.replicas.push(replica);
        }
        fleet
    }

    /// One more, in the first free place.
    pub(crate) async fn start_replica(&self) -> Service {
        Service::start("auth_service", self.directory.path(), &self.broker.url()).await
    }

    /// Where the replica in this place has its files.
    pub(crate) fn place(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("auth_service/replica-{number}"))
    }
}
