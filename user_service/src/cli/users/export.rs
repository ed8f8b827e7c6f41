//! `users export`.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use shared::backup::Stop;
use shared::cli::{CommandError, exit, stop_on_signal};
use shared::regular_file::directory_of;
use tempfile::NamedTempFile;

use super::each_page;

/// `users export`.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// The file, or `-` for the standard output. It is readable for its owner alone, and replaced when the
    /// export is whole
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Leave the password hashes out
    #[arg(long)]
    without_hashes: bool,
}

impl Export {
    pub(super) fn run(self, data_dir: &Path) -> Result<(), CommandError> {
        let stop = stop_on_signal()?;
        if self.file.as_os_str() == "-" {
            return self.write_to(&mut io::stdout().lock(), data_dir, &stop).map(drop);
        }
        let cannot = |error: io::Error| {
            CommandError::new(
                exit::CANT_CREATE,
                format!("cannot write {}: {error}", self.file.display()),
            )
        };
        let mut file = NamedTempFile::new_in(directory_of(&self.file)).map_err(cannot)?;
        let count = self.write_to(file.as_file_mut(), data_dir, &stop)?;
        file.as_file().sync_all().map_err(cannot)?;
        file.persist(&self.file).map_err(|error| cannot(error.error))?;
        let synced = std::fs::File::open(directory_of(&self.file)).and_then(|dir| dir.sync_all());
        synced.map_err(cannot)?;
        Ok(writeln!(io::stderr(), "{count} users exported to {}", self.file.display())?)
    }

    fn write_to(
        &self,
        output: &mut dyn Write,
        data_dir: &Path,
        stop: &Stop,
    ) -> Result<u64, CommandError> {
        let cannot = |error: io::Error| {
            CommandError::new(
                exit::CANT_CREATE,
                format!("cannot write {}: {error}", self.file.display()),
            )
        };
        let mut output = BufWriter::new(output);
        let mut count = 0;
        each_page(data_dir, !self.without_hashes, |page| {
            if stop.is_asked() {
                return Err(CommandError::new(exit::INTERRUPTED, "interrupted; nothing was kept"));
            }
            count += page.len() as u64;
            for user in page {
                serde_json::to_writer(&mut output, &user).map_err(|error| cannot(error.into()))?;
                output.write_all(b"\n").map_err(cannot)?;
            }
            Ok(())
        })?;
        output.flush().map_err(cannot)?;
        Ok(count)
    }
}
