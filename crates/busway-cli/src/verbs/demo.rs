//! `demo`.

use super::Scope;
use crate::cli::Demo;
use crate::demo;
use crate::exit::Outcome;

pub(super) async fn run(scope: &Scope, _: &Demo) -> Outcome {
    let report = demo::run(demo::data::messages()?).await?;
    demo::table::show(&report, scope.json)
}
