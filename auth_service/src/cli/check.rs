//! `check`: the databases of the replicas.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use shared::backup::Stop;
use shared::checking::{Agreement, CheckFailed, Outcome, Place};
use shared::cli::{CommandError, stop_on_signal, tell_check};
use shared::secrets::places;

use crate::store::checking::{ProjectionCheck, check_tokens};

/// How long a projection may take to come as far as the users that it is compared with.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Checks the databases of all replicas in the data directory, and compares the projections with the
/// users that are told in `against`.
pub(super) fn check(
    data_dir: &Path,
    against: Option<&Path>,
    is_json: bool,
) -> Result<(), CommandError> {
    let stop = stop_on_signal()?;
    let users = against.map(Outcome::read_place).transpose()?;
    let mut outcome = Outcome::default();
    for directory in directories(data_dir)? {
        check_replica(&directory, users.as_ref(), &mut outcome, &stop)?;
    }
    tell_check(&outcome, is_json)
}

/// Those of the replicas, or the data directory itself if nobody has taken a place in it.
fn directories(data_dir: &Path) -> Result<Vec<PathBuf>, CheckFailed> {
    let places = places(data_dir).map_err(CheckFailed::input(data_dir))?;
    let directories: Vec<_> = places.into_iter().map(|(_, place)| place).collect();
    Ok(if directories.is_empty() { vec![data_dir.to_owned()] } else { directories })
}

fn check_replica(
    directory: &Path,
    users: Option<&Place>,
    outcome: &mut Outcome,
    stop: &Stop,
) -> Result<(), CheckFailed> {
    let projection = match ProjectionCheck::open(directory, stop)? {
        Ok(opened) => {
            if let Some(users) = users {
                catch_up(&opened, users)?;
            }
            opened.run(stop)?
        }
        Err(report) => report,
    };
    if let (Some(users), Some(place)) = (users, &projection.place) {
        outcome.agreement.push(Agreement::of(users, place));
    }
    outcome.databases.push(projection);
    outcome.databases.push(check_tokens(directory, stop)?);
    Ok(())
}

/// Waits until the projection is as far as the users; not for long, since nobody may be running.
fn catch_up(projection: &ProjectionCheck, users: &Place) -> Result<(), CheckFailed> {
    let give_up_at = Instant::now() + PATIENCE;
    while projection.find_place()?.is_some_and(|place| place.seq < users.seq)
        && Instant::now() < give_up_at
    {
        sleep(PAUSE);
        projection.renew()?;
    }
    Ok(())
}
