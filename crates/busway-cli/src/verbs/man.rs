//! `man [DIR]`.

use std::path::Path;

use crate::cli::Man;
use crate::exit::{Failure, Outcome};
use crate::help::man::{Page, pages};
use crate::output;

pub(super) fn run(man: &Man) -> Outcome {
    let pages = pages().map_err(|error| Failure::Failed(format!("manual pages: {error}")))?;
    match &man.dir {
        None => pages.first().map_or(Ok(()), |page| output::print(&String::from_utf8_lossy(&page.text))),
        Some(dir) => {
            write(dir, &pages).map_err(|error| {
                Failure::Failed(format!("manual pages cannot be written to {}: {error}", dir.display()))
            })?;
            output::line(&format!("wrote {} pages to {}", pages.len(), dir.display()))
        }
    }
}

fn write(dir: &Path, pages: &[Page]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    pages.iter().try_for_each(|page| std::fs::write(dir.join(&page.file), &page.text))
}
