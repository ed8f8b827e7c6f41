//! Lockstep from outside: real processes, real files, and the journeys of a user through both
//! services. Each journey is run in one process on the in-process bus, and in two processes with
//! RabbitMQ between them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod alerts;
mod audit;
mod backups;
mod client;
mod collector;
mod contract_tools;
mod curl;
mod documented;
mod documented_verifiers;
mod echo;
mod events;
mod example_service;
mod example_verifiers;
mod freshness;
mod journeys;
mod kubernetes;
mod metrics;
mod moving;
mod moving_in;
mod nginx;
mod old_data;
mod openapi;
mod operations;
mod other_logs;
mod owners;
mod places;
mod proxies;
mod replicas;
mod restores;
mod sbom;
mod sealing_keys;
mod secrets;
mod spans;
mod system;
mod traces;
mod user_replicas;

use system::System;

macro_rules! in_one_process {
    ($($journey:ident)*) => {
        $(#[actix_web::test]
        async fn $journey() {
            let mut system = System::in_one_process();
            journeys::$journey(&mut system).await;
            system.stop();
        })*

        /// On one broker and one pair of processes, one after the other: it is the long run that
        /// is tested, too.
        #[actix_web::test]
        async fn all_journeys_in_two_processes_over_rabbitmq() {
            let mut system = System::in_two_processes().await;
            $(println!("journey {}", stringify!($journey));
            journeys::$journey(&mut system).await;)*
            journeys::the_broker_is_away_and_comes_back(&mut system).await;
            system.stop();
        }

        #[actix_web::test]
        async fn all_journeys_with_the_users_in_postgresql() {
            let mut system = System::in_two_processes_on_postgresql().await;
            $(println!("journey {}", stringify!($journey));
            journeys::$journey(&mut system).await;)*
            system.stop();
        }
    };
}

in_one_process! {
    a_user_is_created_renamed_and_deleted_and_logs_in_meanwhile
    a_logout_kills_its_token_and_a_restart_does_not_revive_it
    a_logout_everywhere_kills_all_tokens_of_the_user_at_once_and_for_good
    a_deleted_user_is_logged_out
    a_change_of_password_kills_the_tokens_of_the_old_one
    a_login_right_after_the_write_sees_it
    a_name_that_became_free_belongs_to_its_new_owner_alone
    a_kill_at_any_moment_loses_nothing_that_was_answered
}
