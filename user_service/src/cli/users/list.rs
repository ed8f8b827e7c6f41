//! `users list`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use shared::cli::CommandError;

use super::each_page;

pub(super) fn list(data_dir: &Path, is_json: bool) -> Result<(), CommandError> {
    let mut output = BufWriter::new(io::stdout().lock());
    each_page(data_dir, false, |page| {
        for user in page {
            if is_json {
                serde_json::to_writer(&mut output, &user).map_err(io::Error::from)?;
                output.write_all(b"\n")?;
            } else {
                writeln!(output, "{:>10}  {}", user.id, user.username)?;
            }
        }
        Ok::<_, CommandError>(())
    })?;
    Ok(output.flush()?)
}
