//! `users list`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use shared::cli::CommandError;

use super::each_page;

pub(super) fn list(data_dir: &Path, is_json: bool) -> Result<(), CommandError> {
    let mut output = BufWriter::new(io::stdout().lock());
    each_page(data_dir, false, |page| {
        for user in page {
            user.write_line(&mut output, is_json)?;
        }
        Ok::<_, CommandError>(())
    })?;
    Ok(output.flush()?)
}
