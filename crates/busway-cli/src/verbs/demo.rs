//! `demo`.

use super::{Scope, interrupted};
use crate::cli::Demo;
use crate::demo;
use crate::exit::{Failure, Outcome};
use crate::output::complain;

pub(super) async fn run(scope: &Scope, _: &Demo) -> Outcome {
    refuse_or_warn(scope)?;
    let report = demo::run(demo::data::messages()?, interrupted()).await?;
    demo::table::show(&report, scope.json)
}

/// The demo reads no configuration: a file that is not there is a mistake all the same, and what is
/// there has no effect.
fn refuse_or_warn(scope: &Scope) -> Outcome {
    let common = &scope.common;
    if let Some(path) = &common.config
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::Usage(format!("{path}: there is no such file; demo needs no configuration")));
    }
    if common.config.is_some() || !common.set.is_empty() {
        complain("demo reads no configuration: -c and --set have no effect on it");
    }
    Ok(())
}
