//! A store whose writer fails on demand, for the unit tests of the actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::{Head, RecordHash};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::store::{
    Change, Committed, FollowerPlace, Lease, LeaseClaim, LogReader, LogWatch, Opened, Pruned,
    Reader, Records, Retention, Snapshot, Store, StoreError, Writer,
};

/// The faults that are switched on.
#[derive(Clone, Default)]
pub(super) struct Troubles {
    /// Every write fails.
    pub(super) is_full: Arc<AtomicBool>,
    /// The database cannot be reached: no reader of the log can be opened or asked.
    pub(super) is_away: Arc<AtomicBool>,
    /// The next pruning panics.
    pub(super) prune_panics: Arc<AtomicBool>,
    /// The next commit panics.
    pub(super) commit_panics: Arc<AtomicBool>,
}

/// A store with such faults.
pub(super) struct TroubledStore {
    pub(super) inside: Arc<dyn Store>,
    pub(super) troubles: Troubles,
}

struct TroubledWriter {
    inside: Box<dyn Writer>,
    troubles: Troubles,
}

impl Troubles {
    fn check(&self, panics: &AtomicBool) -> Result<(), StoreError> {
        assert!(!panics.swap(false, Ordering::Relaxed), "as the test wants it");
        if self.is_full.load(Ordering::Relaxed) {
            return Err(StoreError::Full(Arc::new(std::io::Error::other("as the test wants it"))));
        }
        Ok(())
    }

    fn check_reach(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::Relaxed) {
            let cause = std::io::Error::other("as the test wants it");
            return Err(StoreError::Unavailable(Arc::new(cause)));
        }
        Ok(())
    }

    fn check_room(&self) -> Result<(), StoreError> {
        self.check(&AtomicBool::new(false))
    }
}

impl Store for TroubledStore {
    fn migrate(&self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.inside.migrate()
    }

    fn open_writer(&self, now_ms: i64) -> LocalBoxFuture<'_, Result<Opened, StoreError>> {
        async move {
            self.troubles.check_room()?;
            let opened = self.inside.open_writer(now_ms).await?;
            let troubles = self.troubles.clone();
            let writer = Box::new(TroubledWriter { inside: opened.writer, troubles });
            Ok(Opened { writer, ..opened })
        }
        .boxed_local()
    }

    fn open_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn Reader>, StoreError>> {
        self.inside.open_reader()
    }

    fn open_log_reader(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogReader>, StoreError>> {
        async {
            self.troubles.check_reach()?;
            let inside = self.inside.open_log_reader().await?;
            let reader: Box<dyn LogReader> =
                Box::new(TroubledLogReader { inside, troubles: self.troubles.clone() });
            Ok(reader)
        }
        .boxed_local()
    }

    fn watch_log(&self) -> LocalBoxFuture<'_, Result<Box<dyn LogWatch>, StoreError>> {
        self.inside.watch_log()
    }

    fn is_damaged(&self) -> bool {
        self.inside.is_damaged()
    }

    fn trouble(&self) -> Option<&'static str> {
        self.inside.trouble()
    }
}

struct TroubledLogReader {
    inside: Box<dyn LogReader>,
    troubles: Troubles,
}

impl LogReader for TroubledLogReader {
    fn find_head(&self) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        async {
            self.troubles.check_reach()?;
            self.inside.find_head().await
        }
        .boxed_local()
    }

    fn find_record_hash(
        &self,
        seq: i64,
    ) -> LocalBoxFuture<'_, Result<Option<RecordHash>, StoreError>> {
        self.inside.find_record_hash(seq)
    }

    fn list_records(
        &self,
        seq: i64,
        limit: u32,
    ) -> LocalBoxFuture<'_, Result<Records, StoreError>> {
        self.inside.list_records(seq, limit)
    }

    fn snapshot(&self) -> LocalBoxFuture<'_, Result<Box<dyn Snapshot + '_>, StoreError>> {
        self.inside.snapshot()
    }
}

impl Writer for TroubledWriter {
    fn commit(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Committed, StoreError>> {
        async move {
            self.troubles.check(&self.troubles.commit_panics)?;
            self.inside.commit(changes, now_ms).await
        }
        .boxed_local()
    }

    fn hear_follower(
        &mut self,
        place: FollowerPlace,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        async move {
            self.troubles.check_room()?;
            self.inside.hear_follower(place, now_ms).await
        }
        .boxed_local()
    }

    fn follow_others(
        &mut self,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Option<Head>, StoreError>> {
        self.inside.follow_others(now_ms)
    }

    fn keep_mark(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.inside.keep_mark()
    }

    fn claim_lease(&mut self, claim: LeaseClaim) -> LocalBoxFuture<'_, Result<Lease, StoreError>> {
        self.inside.claim_lease(claim)
    }

    fn prune(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Pruned, StoreError>> {
        async move {
            self.troubles.check(&self.troubles.prune_panics)?;
            self.inside.prune(retention, now_ms).await
        }
        .boxed_local()
    }

    fn probe(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.troubles.check_room()?;
            self.inside.probe().await
        }
        .boxed_local()
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>> {
        self.inside.close()
    }
}
