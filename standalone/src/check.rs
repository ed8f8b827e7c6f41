//! `check`: the databases of both services, and whether they agree.

use std::time::Duration;

use actix_web::rt::time::sleep;
use auth_service::store::checking::{ProjectionCheck, check_tokens};
use shared::backup::Stop;
use shared::checking::{Agreement, CheckFailed, Outcome, Report};
use shared::cli::{CommandError, stop_on_signal, tell_check};
use user_service::cli::check::UsersCheck;

use crate::Config;

/// How often both are looked at again until they are at the same record.
const LOOKS: u32 = 40;
/// The pause between.
const PAUSE: Duration = Duration::from_millis(50);

/// Checks all databases, and prints what is wrong.
pub(crate) fn check(config: &Config, is_json: bool) -> Result<(), CommandError> {
    let stop = stop_on_signal()?;
    let checking = async {
        let outcome = run(config, &stop).await?;
        tell_check(&outcome, is_json)
    };
    actix_web::rt::System::new().block_on(checking)
}

async fn run(config: &Config, stop: &Stop) -> Result<Outcome, CommandError> {
    let directory = &config.common.data_dir;
    let users = UsersCheck::open(&config.for_user_service(), stop).await?;
    let projection = ProjectionCheck::open(directory, stop)?;
    if let (Ok(users), Ok(projection)) = (&users, &projection) {
        meet(users, projection).await?;
    }
    let users = match users {
        Ok(opened) => opened.run(stop).await?,
        Err(report) => report,
    };
    let projection = match projection {
        Ok(opened) => opened.run(stop)?,
        Err(report) => report,
    };
    let agreement = compare(&users, &projection).into_iter().collect();
    let tokens = check_tokens(directory, stop)?;
    Ok(Outcome { databases: vec![users, projection, tokens], agreement })
}

/// Goes on to a moment at which both are at the same record, if there is one soon: the projection
/// follows within milliseconds while the services run.
async fn meet(users: &UsersCheck, projection: &ProjectionCheck) -> Result<(), CheckFailed> {
    for _ in 0..LOOKS {
        // What is damaged is told by the check itself.
        let (Ok(at), Ok(Some(followed))) = (users.find_place().await, projection.find_place())
        else {
            return Ok(());
        };
        match followed.seq.cmp(&at.seq) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => projection.renew()?,
            std::cmp::Ordering::Greater => users.renew().await?,
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

fn compare(users: &Report, projection: &Report) -> Option<Agreement> {
    Some(Agreement::of(&users.place?, &projection.place?))
}
